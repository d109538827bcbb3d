"""Overlays over a bundle: one ranking, stacked, taken away without a trace, calibrated, trusted, and never half."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.label_file import label_file_of, read_label_file
from edgexl.bundle.layout import Kind
from edgexl.bundle.overlay import OverlayFile, identity_of, parse_overlay, read_overlay
from edgexl.bundle.read import read_bundle
from edgexl.bundle.signing import SecretKey, new_key, secret_key, sign_bundle, store_signature, write_keys
from edgexl.bundle.write import write_bundle
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.runtime.binding import NewLabel, NotTrusted, Overlay, open_bundle
from edgexl.runtime.patches import update_bundle
from edgexl.use.diff import write_patch
from edgexl.use.overlay import QuerySource, Signer, calibrate_overlay, make_overlay, write_overlay
from edgexl.use.replay import replay
from tests.runtime.forks import in_child
from tests.runtime.tiny_bundle import TinyBundle, build

OWN = LabelSet(("O1", "O2"), ("red river horse", "storm apple glass"), (("winter song",), ()), ((), ()))
# an id of OWN, another text; and one of the bundle's labels
OTHERS = LabelSet(("O2", "L0005"), ("salt bridge", "honey paper"), ((), ()), ((), ()))


@pytest.fixture(scope="module")
def tiny() -> TinyBundle:
    return build(native=True, aliases=True, cells=9, lexical=True)


@pytest.fixture
def bundle(tiny: TinyBundle, tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "tiny.exl")


@pytest.fixture(scope="module")
def overlays(tiny: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    path = tiny.write(tmp_path_factory.mktemp("made") / "tiny.exl")
    return make_overlay(path, OWN).pack(), make_overlay(path, OTHERS).pack()


@pytest.fixture(scope="module")
def key() -> SecretKey:
    return new_key()


def first(path: Path, text: str, **how: Any) -> tuple[str, str, int | None]:
    with open_bundle(path, **how) as handle:
        label = handle.predict(text, k=1).labels[0]
        return label.id, label.state, label.overlay


def refused(path: Path, *overlays: Any, **how: Any) -> str:
    with pytest.raises(BadInput) as error, open_bundle(path, engine=False, overlays=overlays, **how):
        pass
    return str(error.value)


def other_goldens(tiny: TinyBundle, path: Path) -> Path:
    """The same bundle with fewer goldens: its codes are the same, and its identity is another."""
    from edgexl.bundle.goldens import Goldens

    goldens = Goldens.unpack(tiny.sections[Kind.GOLDENS])
    fewer = dataclasses.replace(goldens, items=goldens.items[:-1])
    write_bundle(path, {**tiny.sections, Kind.GOLDENS: fewer.pack()})
    return path


# ---- one ranking ----


def test_labels_of_an_overlay_are_ranked_as_if_the_device_had_added_them(
    bundle: Path, overlays: tuple[bytes, bytes], tiny: TinyBundle, tmp_path: Path
) -> None:
    texts = [*OWN.texts, "winter song", *tiny.texts[:30]]
    new = [NewLabel(*label) for label in zip(OWN.ids, OWN.texts, OWN.aliases, strict=True)]
    with (
        open_bundle(bundle, overlays=[overlays[0]]) as stacked,
        open_bundle(bundle, labels_path=tmp_path / "added.labels") as live,
    ):
        live.add_labels(new)
        for text in texts:
            theirs, ours = (handle.predict(text, k=20) for handle in (live, stacked))
            assert [(one.id, one.probability) for one in ours.labels] == [
                (one.id, one.probability) for one in theirs.labels
            ]
            np.testing.assert_array_equal(ours.shortlist_labels, theirs.shortlist_labels)
            np.testing.assert_array_equal(ours.shortlist_scores, theirs.shortlist_scores)
        assert stacked.predict(OWN.texts[0]).labels[0].as_json()["overlay"] == 0
        assert [stacked.label_state(index) for index in (0, 300, 301)] == ["compiled", "overlaid", "overlaid"]
        assert stacked.find_label("O2") == 301
        assert stacked.complete("storm apple") == [301]
        assert stacked.explain(OWN.texts[0], "O1").reasoner_rank == 1
        assert stacked.self_test()["failed"] == 0  # of the bundle as it was compiled


def test_the_last_of_several_overlays_counts(bundle: Path, overlays: tuple[bytes, bytes]) -> None:
    both = list(overlays)
    assert first(bundle, "storm apple glass", overlays=both[:1]) == ("O2", "overlaid", 0)
    assert first(bundle, "salt bridge", overlays=both) == ("O2", "overlaid", 1)
    with open_bundle(bundle, overlays=both) as handle:
        info = handle.labels_info()
        assert (info.labels, info.end, info.overlaid, info.retired_overlaid, info.retired_compiled) == (
            302, 304, 4, 1, 1,
        )  # fmt: skip
        assert [handle.label_state(index) for index in (5, 300, 301, 302, 303)] == [
            "retired", "overlaid", "retired", "overlaid", "overlaid",
        ]  # fmt: skip
        assert handle.label_text(handle.find_label("O2")) == "salt bridge"
        assert handle.label_text(handle.find_label("L0005")) == "honey paper"
        assert not any(label.index in (5, 301) for label in handle.predict("storm apple glass", k=20).labels)
    with open_bundle(bundle, overlays=both[::-1]) as handle:
        assert handle.label_text(handle.find_label("O2")) == "storm apple glass"
        assert handle.label_text(handle.find_label("L0005")) == "honey paper"
    with open_bundle(bundle, overlays=[both[0], both[0]]) as handle:  # the same id and text twice
        assert handle.labels_info().labels == 302
        assert handle.predict("red river horse", k=1).labels[0].overlay == 1


# ---- without a trace ----


def test_an_overlay_that_is_left_away_leaves_nothing(
    bundle: Path, overlays: tuple[bytes, bytes], tiny: TinyBundle
) -> None:
    texts = [*OWN.texts, *tiny.texts[:20]]

    def answers() -> list[list[tuple[str, float]]]:
        with open_bundle(bundle) as handle:
            found = [handle.predict(text, k=20).labels for text in texts]
        return [[(label.id, label.probability) for label in labels] for labels in found]

    before, content = answers(), bundle.read_bytes()
    with open_bundle(bundle, overlays=overlays) as handle:
        handle.predict(OWN.texts[0])
        handle.refresh_labels()
    assert not label_file_of(bundle).exists()
    assert (answers(), bundle.read_bytes()) == (before, content)


def test_labels_that_the_device_adds_stay_when_the_overlay_goes(bundle: Path, overlays: tuple[bytes, bytes]) -> None:
    with open_bundle(bundle, overlays=overlays) as handle:
        assert handle.add_labels([NewLabel("N1", "winter bread")]) == 304
        handle.retire_labels(["L0007"])
        handle.retire_labels(["O1", "N1"])
        handle.add_labels([NewLabel("N2", "snow city"), NewLabel("O1", "clay root")])
        assert handle.predict("clay root", k=1).labels[0].state == "added"
    assert read_label_file(label_file_of(bundle)).retired_overlaid == ("O1",)
    with open_bundle(bundle) as handle:  # indices are those of without
        assert [handle.label_id(index) for index in range(300, handle.labels_info().end)] == ["N1", "N2", "O1"]
        assert [handle.label_state(index) for index in (5, 7, 300, 301)] == ["compiled", "retired", "retired", "added"]
        assert handle.predict("clay root", k=1).labels[0].index == 302
    with open_bundle(bundle, overlays=overlays[:1]) as handle:
        assert handle.label_text(handle.find_label("O1")) == "clay root"
        assert handle.label_text(handle.find_label("O2")) == "storm apple glass"
        handle.add_labels([NewLabel("O2", "iron ship")], replace=True)
        handle.retire_labels(["O2", "O1"])  # neither do the overlay's come back
        assert handle.labels_info().labels == 300 - 1 + 1
        handle.compact_labels()
        assert handle.labels_info().labels == 300
        assert read_label_file(label_file_of(bundle)).retired_overlaid == ("O1", "O2")
    with open_bundle(bundle) as handle:
        handle.compact_labels()  # without the overlay, what was retired from it is nobody's
    found = read_label_file(label_file_of(bundle))
    assert (found.retired_overlaid, found.retired_compiled, [label.id for label in found.added]) == ((), (7,), ["N2"])


def test_what_the_label_file_retires_of_the_bundle_an_overlay_may_have(
    bundle: Path, overlays: tuple[bytes, bytes]
) -> None:
    with open_bundle(bundle) as handle:
        handle.retire_labels(["L0005"])
    with open_bundle(bundle, overlays=overlays[1:]) as handle:
        assert handle.label_text(handle.find_label("L0005")) == "honey paper"
        assert handle.labels_info().retired_compiled == 1
        handle.compact_labels()
    assert read_label_file(label_file_of(bundle)).retired_compiled == (5,)


def test_a_set_is_changed_by_one_process_and_learnt_by_another(bundle: Path, overlays: tuple[bytes, bytes]) -> None:
    with open_bundle(bundle, overlays=overlays) as one, open_bundle(bundle) as other:
        one.add_labels([NewLabel("N1", "winter bread")])
        one.retire_labels(["O1"])
        other.refresh_labels()
        assert other.find_label("N1") == 300
        other.retire_labels(["N1"])
        one.refresh_labels()
        assert (one.labels_info().labels, one.label_state(304)) == (300 + 1, "retired")


def test_without_a_label_file_overlays_are_all_there_is(bundle: Path, overlays: tuple[bytes, bytes]) -> None:
    with open_bundle(bundle, compiled_only=True, overlays=overlays) as handle:
        assert handle.labels_info().labels == 302
        with pytest.raises(BadInput, match="without its label file"):
            handle.add_labels([NewLabel("N1", "winter bread")])
        with pytest.raises(BadInput, match="without its label file"):
            handle.refresh_labels()


def test_an_update_keeps_what_was_retired_and_the_overlay(
    tiny: TinyBundle, bundle: Path, overlays: tuple[bytes, bytes], tmp_path: Path
) -> None:
    with open_bundle(bundle, overlays=overlays) as handle:
        handle.retire_labels(["O1"])
    new = other_goldens(tiny, tmp_path / "new.exl")
    write_patch(bundle, new, tmp_path / "p")
    update_bundle(bundle, tmp_path / "p", overlays=overlays)
    assert bundle.read_bytes() == new.read_bytes()
    with open_bundle(bundle, overlays=overlays) as handle:
        assert handle.labels_info().labels == 301
        assert read_label_file(label_file_of(bundle)).retired_overlaid == ("O1",)


def test_an_update_that_would_lose_the_overlay_is_refused(
    bundle: Path, overlays: tuple[bytes, bytes], tmp_path: Path
) -> None:
    before = bundle.read_bytes()
    write_patch(bundle, build(native=True, labels=310).write(tmp_path / "new.exl"), tmp_path / "p")
    with pytest.raises(BadInput, match="another screener or other codes"):
        update_bundle(bundle, tmp_path / "p", overlays=overlays)
    assert bundle.read_bytes() == before
    update_bundle(bundle, tmp_path / "p")


# ---- calibration ----


def asked(bundle: Path, overlay: bytes, count: int = 200) -> list[Query]:
    """Queries whose gold label is near the top, but not always first."""
    with open_bundle(bundle, overlays=[overlay]) as handle:
        texts = [handle.label_text(index) for index in range(count)] + [*OWN.texts] * 10
        found = [handle.predict(text, k=3).labels for text in texts]
    return [
        Query(str(place), text, (labels[place % 2].index,))
        for place, (text, labels) in enumerate(zip(texts, found, strict=True))
    ]


def test_which_calibration_is_in_force_is_told(
    tiny: TinyBundle, bundle: Path, overlays: tuple[bytes, bytes], tmp_path: Path
) -> None:
    queries = asked(bundle, overlays[0])
    fitted, facts = calibrate_overlay(bundle, parse_overlay(overlays[0]), queries)
    content = fitted.pack()
    assert facts["queries"] == len(queries) == fitted.calibration.queries  # type: ignore[union-attr]
    assert parse_overlay(content) == fitted
    with open_bundle(bundle) as handle:
        base, presence = handle.info.threshold, handle.info.presence
        logits = handle.predict("old king", k=20).shortlist_logits
    with open_bundle(bundle, overlays=overlays) as handle:
        assert (handle.info.calibrated_by, handle.info.threshold) == (None, base)
        assert [one.calibrates for one in handle.info.overlays] == [False, False]
    with open_bundle(bundle, overlays=[overlays[1], content, overlays[1]]) as handle:
        info = handle.info
        assert (info.calibrated_by, info.presence) == (1, presence)
        assert info.threshold == fitted.calibration.threshold != base  # type: ignore[union-attr]
        assert [one.calibrates for one in info.overlays] == [False, True, False]
        assert info.overlays[1].queries == len(queries)
        answer = handle.predict("old king", k=20)
        expected = fitted.calibration.probabilities(answer.shortlist_logits)  # type: ignore[union-attr]
        order = np.argsort(-answer.shortlist_logits, kind="stable")
        np.testing.assert_allclose([label.probability for label in answer.labels], expected[order], atol=1e-6)
        assert handle.self_test()["failed"] == 0
        above = handle.predict("old king", threshold=-1)
        assert all(label.probability >= info.threshold for label in above.labels)
    new = other_goldens(tiny, tmp_path / "new.exl")  # of the same codes: the labels fit, the calibration is not for it
    with open_bundle(new, overlays=[content]) as handle:
        assert (handle.info.calibrated_by, handle.info.threshold) == (None, base)
        assert handle.info.overlays[0].queries == len(queries)
    assert len(logits) == 20


def test_coverage_holds_for_the_labels_that_it_was_counted_with(bundle: Path, overlays: tuple[bytes, bytes]) -> None:
    fitted, _ = calibrate_overlay(bundle, parse_overlay(overlays[0]), asked(bundle, overlays[0]))
    content = fitted.pack()

    def holds(*given: bytes) -> bool:
        with open_bundle(bundle, overlays=given) as handle:
            return handle.predict("old king", coverage=0.5).coverage_holds

    assert holds(content)
    assert holds()
    assert not holds(overlays[0])
    assert not holds(content, overlays[1])
    with open_bundle(bundle, overlays=[content]) as handle:
        handle.retire_labels(["O2"])
        assert not handle.predict("old king", coverage=0.5).coverage_holds


def test_too_few_queries_are_refused(bundle: Path, overlays: tuple[bytes, bytes]) -> None:
    with pytest.raises(BadInput, match="a calibration needs 20"):
        calibrate_overlay(bundle, parse_overlay(overlays[0]), asked(bundle, overlays[0])[:5])


def test_a_receipt_names_the_overlays(bundle: Path, overlays: tuple[bytes, bytes], tmp_path: Path) -> None:
    places = [tmp_path / "1.exlo", tmp_path / "2.exlo"]
    for place, content in zip(places, overlays, strict=True):
        place.write_bytes(content)
    (tmp_path / "key").write_bytes(bytes(16))
    (tmp_path / "texts").write_text("red river horse")
    with open_bundle(bundle, overlays=places) as handle:
        (tmp_path / "day.exr").write_bytes(handle.receipt("red river horse", bytes(16))[0])

    def differs(*given: Path) -> tuple[str, ...]:
        [one] = replay([tmp_path / "day.exr"], bundle, tmp_path / "texts", tmp_path / "key", overlays=given)
        return one.differs

    assert differs(*places) == ()
    for given in ((), places[:1], places[::-1]):
        assert "labels" in differs(*given)


# ---- trust ----


def signed(content: bytes, key: SecretKey, version: int = 0) -> bytes:
    overlay = parse_overlay(content)
    return dataclasses.replace(overlay, signature=overlay.sign(key, version).text.encode()).pack()


def test_only_trusted_keys_count_and_only_new_versions(
    bundle: Path, overlays: tuple[bytes, bytes], key: SecretKey, tmp_path: Path
) -> None:
    theirs, ours = new_key().public.line, key.public.line
    content = signed(overlays[0], key, 3)
    store_signature(bundle, sign_bundle(bundle, key, 9))
    with open_bundle(bundle, keys=[theirs, ours], overlays=[Overlay(content, least_version=3)]) as handle:
        (info,) = handle.info.overlays
        assert (info.signed_by, info.signed_version, handle.info.signed_version) == (1, 3, 9)
    assert "holds no signature" in refused(bundle, overlays[0], keys=[ours])
    assert "3; 4 is the least accepted" in refused(bundle, Overlay(content, least_version=4), keys=[ours])
    other = signed(overlays[0], new_key())
    assert "is signed by key" in refused(bundle, other, keys=[ours])
    same_id = signed(overlays[0], secret_key(key.id, bytes(32)), 3)
    assert "does not hold" in refused(bundle, same_id, keys=[ours])
    # keys of its own, in place of the bundle's
    assert "is signed by key" in refused(bundle, Overlay(content, keys=[theirs]), keys=[ours])
    with open_bundle(bundle, engine=False, overlays=[Overlay(content, keys=[ours])]) as handle:
        assert (handle.info.signed_by, handle.info.overlays[0].signed_by) == (None, 0)
    with open_bundle(bundle, engine=False, overlays=[other]) as handle:  # nobody asks
        assert handle.info.overlays[0].signed_by is None
    with pytest.raises(NotTrusted), open_bundle(bundle, keys=[ours], overlays=overlays[:1]):
        pass
    # a bundle's signature is none of an overlay's, and beside it lies another
    beside = tmp_path / "own.exlo"
    beside.write_bytes(overlays[0])
    (tmp_path / "own.exlo.minisig").write_text(sign_bundle(bundle, key).text)
    assert "does not hold" in refused(bundle, beside, keys=[ours])
    (tmp_path / "own.exlo.minisig").write_text(parse_overlay(overlays[0]).sign(key).text)
    with open_bundle(bundle, engine=False, keys=[ours], overlays=[beside]) as handle:
        assert handle.info.overlays[0].signed_by == 0
    given = parse_overlay(overlays[0]).sign(key, 5).text.encode()
    with open_bundle(bundle, engine=False, keys=[ours], overlays=[Overlay(overlays[0], signature=given)]) as handle:
        assert handle.info.overlays[0].signed_version == 5
    assert "mean nothing without trusted_keys" in refused(bundle, Overlay(content, least_version=1))


def test_every_byte_counts(bundle: Path, overlays: tuple[bytes, bytes], key: SecretKey) -> None:
    fitted, _ = calibrate_overlay(bundle, parse_overlay(overlays[0]), asked(bundle, overlays[0]))
    content, draw = signed(fitted.pack(), key, 3), random.Random(5)
    ours = key.public.line
    with open_bundle(bundle, engine=False, overlays=[Overlay(content, keys=[ours])]):
        pass
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        refused(bundle, Overlay(bytes(damaged), keys=[ours]))
    for length in range(len(content)):
        refused(bundle, Overlay(content[:length] or b"\0", keys=[ours]))
    refused(bundle, Overlay(content + b"\n", keys=[ours]))
    # without keys the signature is read all the same, and what it signs has hashes of its own
    signature = len(parse_overlay(content).signature)
    for place in range(len(content) - signature):
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        refused(bundle, bytes(damaged))
        with pytest.raises(BadInput):
            parse_overlay(bytes(damaged))
    for length in range(1, signature):
        refused(bundle, content[:-length])


def test_files_that_are_none_or_for_another_bundle(bundle: Path, overlays: tuple[bytes, bytes], tmp_path: Path) -> None:
    other = build(native=True, labels=310).write(tmp_path / "other.exl")
    assert "made for a bundle with another screener or other codes" in refused(other, overlays[0])
    assert "does not begin as an overlay does" in refused(bundle, bundle)
    assert "cannot be read" in refused(bundle, tmp_path / "none.exlo")
    (tmp_path / "empty.exlo").write_bytes(b"")
    assert f"overlay 2, {tmp_path / 'empty.exlo'}: the file is empty" in refused(
        bundle, overlays[0], tmp_path / "empty.exlo"
    )
    newer = bytearray(overlays[0])
    newer[8] = 2
    assert "format 2, this library reads up to 1" in refused(bundle, bytes(newer))
    assert "64 are the most" in refused(bundle, *[overlays[0]] * 65)
    with open_bundle(bundle, engine=False, overlays=[overlays[0]] * 64) as handle:
        assert handle.labels_info().labels == 302


def test_sealed_damage_never_gets_past_the_reader(bundle: Path, overlays: tuple[bytes, bytes]) -> None:
    """Bytes changed by one who mends the hashes: what is refused is refused in words, and what is not answers."""
    content, draw, refusals = overlays[0], random.Random(7), list[str]()
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(draw.randint(1, 3)):
            place = draw.choice([draw.randrange(16, 224), draw.randrange(256, len(content))])
            damaged[place] = draw.choice([0, 1, 255, draw.randrange(256)])
        damaged[128:160] = hashlib.sha256(damaged[256:]).digest()
        damaged[224:256] = hashlib.sha256(damaged[:224]).digest()
        try:
            with open_bundle(bundle, overlays=[bytes(damaged)]) as handle:
                handle.predict("red river horse", k=20)
        except BadInput as error:
            refusals.append(str(error))
    assert 100 < len(refusals) < 400
    assert all("overlay 1: " in said for said in refusals)


# ---- making one ----


def test_an_overlay_is_made_of_files(bundle: Path, key: SecretKey, tmp_path: Path) -> None:
    labels, past, out = tmp_path / "own.csv", tmp_path / "past.csv", tmp_path / "own.exlo"
    labels.write_text("id,text,aliases\nO1,red river horse,winter song\nO2,storm apple glass,\nL0005,honey paper,\n")
    with open_bundle(bundle, engine=False) as handle:
        texts = {handle.label_id(index): handle.label_text(index) for index in range(60)} | {"L0005": "honey paper"}
    rows = [f"{text},{uid}" for uid, text in texts.items()] + ["red river horse,O1", "storm apple glass,O2"]
    past.write_text("\n".join(["query,label", *rows]))
    write_keys(tmp_path / "own.key", key)
    signer = Signer(tmp_path / "own.key", lambda: "", 7, "of the shop")
    report = write_overlay(bundle, labels, out, QuerySource(past), signer)
    found = read_overlay(out)
    assert report["calibration"].pop("found_percent") > 90
    assert report == {
        "overlay": str(out), "bytes": out.stat().st_size, "labels": 3, "rows": 4, "replaced": 1, "described": 0,
        "code_space": found.code_space.hex(), "calibrated_over": identity_of(read_bundle(bundle)).hex(),
        "key": key.public.name, "version": 7, "calibration": report["calibration"],
    }  # fmt: skip
    assert report["calibration"]["queries"] == 62
    again = tmp_path / "again.exlo"
    write_overlay(bundle, labels, again, QuerySource(past), signer)
    assert again.read_bytes() == out.read_bytes()
    with open_bundle(bundle, keys=(), overlays=[Overlay(out, keys=[key.public.line])]) as handle:
        assert handle.info.calibrated_by == 0
        assert handle.predict("honey paper", k=1).labels[0].id == "L0005"
    labels.write_text("id,text\nO1,red\nO2,\u200d\n")
    with pytest.raises(BadInput, match=r"The label O2 has a text without a token"):
        write_overlay(bundle, labels, tmp_path / "none.exlo")
    assert not (tmp_path / "none.exlo").exists()


CHANGES = {"write", "flush", "fsync", "replace", "rename", "fchmod", "open", "close", "flock", "unlink"}


def killed(work: Callable[[], object], at: int) -> bool:
    """Whether `work`, in a process of its own, was killed at its call number `at` of a function that changes files."""
    pid = os.fork()
    if pid == 0:
        left = [at]

        def watch(_: object, event: str, called: Any) -> None:
            name = getattr(called, "__name__", "")
            if event == "c_call" and name in (
                "write",
                "flush",
                "fsync",
                "replace",
                "rename",
                "fchmod",
                "open",
                "close",
            ):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.setprofile(watch)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("what", ["overlay", "sign"])
def test_a_kill_at_any_write_leaves_the_old_file_or_the_new(
    bundle: Path, overlays: tuple[bytes, bytes], key: SecretKey, tmp_path: Path, what: str
) -> None:
    from edgexl.base.files import write_bytes

    place = tmp_path / "places"
    place.mkdir()
    file = place / "file"
    before = {"overlay": overlays[1], "sign": bundle.read_bytes()}[what]
    signature = sign_bundle(bundle, key, 3)

    def work() -> None:
        if what == "overlay":
            write_bytes(file, overlays[0])
        else:
            store_signature(file, signature)

    file.write_bytes(before)
    work()
    after, seen, at = file.read_bytes(), [], 1
    file.write_bytes(before)
    while killed(work, at):
        seen.append([before, after].index(file.read_bytes()))
        shutil.rmtree(place)
        place.mkdir()
        file.write_bytes(before)
        at += 1
    assert file.read_bytes() == after
    assert len(seen) >= 5
    assert seen == sorted(seen)
    assert {0, 1} == set(seen)


def test_a_child_of_fork_has_the_overlays_too(bundle: Path, overlays: tuple[bytes, bytes]) -> None:
    with open_bundle(bundle, overlays=overlays) as handle:
        handle.predict("red river horse")

        def work() -> None:
            assert handle.predict("red river horse", k=1).labels[0].id == "O1"
            handle.add_labels([NewLabel("N1", "winter bread")])

        in_child(work)
        handle.refresh_labels()
        assert handle.find_label("N1") == 304


def test_an_overlay_needs_labels_and_codes_of_its_calibration() -> None:
    with pytest.raises(BadInput, match="needs a label"):
        OverlayFile(bytes(32), ()).pack()
