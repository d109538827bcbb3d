"""`edgexl run --receipts` and `edgexl replay`: what is the same is said to be, and whatever is not, by its name."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgexl.bundle.receipt import parse_receipts, read_receipts
from edgexl.bundle.signing import new_key, write_keys
from edgexl.device import ssh
from edgexl.device.emulated import why_not
from edgexl.device.local import this_machine
from edgexl.runtime.binding import NewLabel, open_bundle
from tests.command_line import Edgexl, Said
from tests.device.sshd import serve, why_no_server
from tests.runtime.tiny_bundle import build

TEXTS = ("old king", "a cold river", "new kings of the sea")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    bundle = build(native=True, aliases=True, lexical=True, windows=3)
    return bundle.write(tmp_path_factory.mktemp("replay") / "tiny.exl").read_bytes()


@pytest.fixture
def place(content: bytes, tmp_path: Path) -> Path:
    """A folder with a bundle, texts and a key."""
    (tmp_path / "tiny.exl").write_bytes(content)
    (tmp_path / "key").write_bytes(bytes(range(32)))
    (tmp_path / "texts").write_text("".join(f"{text}\n" for text in TEXTS))
    return tmp_path


def make(edgexl: Edgexl, place: Path, *options: str | Path) -> Said:
    given = ("--receipts", place / "made", "--receipt-key", place / "key")
    said = edgexl("run", place / "tiny.exl", "-", *given, *options, stdin=(place / "texts").read_bytes())
    assert said.status == 0, said.err
    return said


def check(edgexl: Edgexl, place: Path, *options: str | Path, **others: Path) -> Said:
    files = {"bundle": place / "tiny.exl", "texts": place / "texts", "key_file": place / "key"} | others
    given = [each for name, path in files.items() for each in (f"--{name.replace('_', '-')}", path)]
    return edgexl("replay", place / "made", *given, *options)


def test_receipts_are_the_same_again(edgexl: Edgexl, place: Path) -> None:
    make(edgexl, place)
    make(edgexl, place, "-k", "3", "--threshold", "own")
    make(edgexl, place, "--coverage", "0.5", "--windows", "1")
    said = check(edgexl, place)
    assert (said.status, said.out) == (0, "9 of 9 receipts are the same to the bit (local)\n"), said.err
    told = check(edgexl, place, "--json").json
    assert (told["same"], told["differ"], told["signed"]) == (9, 0, None)
    assert [(one["number"], one["line"], one["stage"]) for one in told["receipts"]] == [
        (number, (number - 1) % 3 + 1, None) for number in range(1, 10)
    ]
    with open_bundle(place / "tiny.exl") as handle:
        best = handle.predict(TEXTS[0]).labels[0]
    assert told["receipts"][0]["answers"][0] == {
        "index": best.index, "probability": best.probability, "logit": best.logit
    }  # fmt: skip


def test_texts_may_stand_in_any_order_or_be_one_with_lines(edgexl: Edgexl, place: Path) -> None:
    make(edgexl, place)
    (place / "texts").write_text("unasked\r\n" + "".join(f"{text}\r\n" for text in reversed(TEXTS)))
    assert [one["line"] for one in check(edgexl, place, "--json").json["receipts"]] == [4, 3, 2]
    text = "an old king\nand a river"
    (place / "made").unlink()
    edgexl("run", place / "tiny.exl", text, "--receipts", place / "made", "--receipt-key", place / "key")
    for written in (text, f"{text}\n"):
        (place / "texts").write_text(written)
        told = check(edgexl, place, "--json").json
        assert (told["same"], told["receipts"][0]["line"]) == (1, 0)


def test_another_text_key_and_bundle_are_named(edgexl: Edgexl, place: Path) -> None:
    make(edgexl, place)
    (place / "other-texts").write_text(f"{TEXTS[0]}\nanother river\n{TEXTS[2]}\n")
    said = check(edgexl, place, texts=place / "other-texts")
    assert said.status == 1
    assert said.out.startswith(
        f"{place / 'made'}, receipt 2: its text is not among the texts (differs in text)\n2 of 3"
    )
    (place / "other-key").write_bytes(bytes(32))
    told = check(edgexl, place, "--json", key_file=place / "other-key").json
    assert [one["differs"] for one in told["receipts"]] == [["key"]] * 3
    for other in (build(native=True, labels=200), build(labels=200)):
        other.write(place / "other.exl")
        said = check(edgexl, place, "--json", bundle=place / "other.exl")
        assert said.status == 1
        assert [one["stage"] for one in said.json["receipts"]] == ["bundle"] * 3


def test_labels_that_changed_are_named_and_an_old_label_file_replays(edgexl: Edgexl, place: Path) -> None:
    labels = place / "tiny.exl.labels"
    with open_bundle(place / "tiny.exl") as handle:
        handle.add_labels([NewLabel("new-1", "zebra lantern")])
    make(edgexl, place)
    (place / "then").write_bytes(labels.read_bytes())
    with open_bundle(place / "tiny.exl") as handle:
        handle.retire_labels(["L0001"])
    said = check(edgexl, place)
    assert said.status == 1
    assert "the label set is another one: labels were added, retired" in said.out
    told = check(edgexl, place, "--json", "--labels-file", place / "then").json
    assert told["same"] == 3


@pytest.mark.parametrize(
    ("at", "stage"),
    [(52, "options"), (192, "tokenize"), (200, "encode"), (212, "shortlist"), (216, "reason"), (220, "calibrate")],
)
def test_a_record_that_was_changed_tells_its_stage(edgexl: Edgexl, place: Path, at: int, stage: str) -> None:
    make(edgexl, place)
    content = bytearray((place / "made").read_bytes())
    content[at] ^= 64  # k beyond the shortlist; else a bit
    (place / "made").write_bytes(content)
    said = check(edgexl, place, "--json")
    first, *others = said.json["receipts"]
    assert (said.status, first["stage"], [one["same"] for one in others]) == (1, stage, [True, True])
    assert first["why"]


def test_signatures_are_checked_by_a_key(edgexl: Edgexl, place: Path) -> None:
    public = write_keys(place / "shop.key", new_key())
    make(edgexl, place, "--receipt-signer", place / "shop.key")
    assert "3 have a signature, which was not checked" in check(edgexl, place).out
    said = check(edgexl, place, "--signer", public)
    assert (said.status, "3 of 3 are signed by key" in said.out) == (0, True)
    other = write_keys(place / "other.key", new_key())
    said = check(edgexl, place, "--signer", other)
    assert (said.status, said.out.count("its signature does not hold")) == (1, 3)
    make(edgexl, place)
    told = check(edgexl, place, "--signer", public, "--json")
    assert (told.status, told.json["signed"], told.json["same"]) == (1, 3, 6)
    assert [one["signature"] for one in told.json["receipts"]] == ["holds"] * 3 + ["none"] * 3


def test_what_cannot_be_made_or_read_is_refused(edgexl: Edgexl, place: Path) -> None:
    run = ("run", place / "tiny.exl", "old king")
    edgexl(*run, "--receipts", place / "made").refuses(2, "--receipt-key")
    edgexl(*run, "--receipt-key", place / "key").refuses(2, "give --receipts")
    (place / "short").write_bytes(bytes(15))
    edgexl(*run, "--receipts", place / "made", "--receipt-key", place / "short").refuses(2, "15 bytes")
    edgexl(*run, "--receipts", place / "no" / "made", "--receipt-key", place / "key").refuses(2, "cannot be written")
    build().write(place / "ort.exl")
    given = ("--receipts", place / "made", "--receipt-key", place / "key")
    edgexl("run", place / "ort.exl", "old king", *given).refuses(2, "engine ort gives no receipts")
    check(edgexl, place).refuses(2, "does not exist")
    (place / "made").write_bytes(b"no receipt")
    check(edgexl, place).refuses(2, "receipt 1, at byte 0, does not begin as one does")
    assert not (place / "no").exists()


def test_exl_run_makes_the_same(edgexl: Edgexl, place: Path) -> None:
    """Into its lines, or into a file."""
    make(edgexl, place, "-k", "5")
    here = [one.parts() for one in read_receipts(place / "made")]
    arguments, stdin = [str(place / "tiny.exl"), "--receipt-key", str(place / "key")], (place / "texts").read_text()
    lines = [json.loads(line) for line in this_machine().run("exl-run", arguments, stdin).stdout.splitlines()]
    assert [one.parts() for line in lines for one in parse_receipts(base64.b64decode(line["receipt"]))] == here
    arguments += ["--receipts", str(place / "there")]
    for _ in range(2):
        done = this_machine().run("exl-run", arguments, stdin)
        assert ["receipt" in json.loads(line) for line in done.stdout.splitlines()] == [False] * 3
    assert [one.parts() for one in read_receipts(place / "there")] == here * 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--receipts", "out"), "--receipts needs --receipt-key"),
        (("--receipt-key", "short"), "is no key of receipts: give a file of 16 to 4096 bytes"),
        (("--receipt-key", "none"), "is no key of receipts"),
        (("--receipt-key", "key", "--receipts", "no/out"), "cannot be written"),
        (("--coverage", "2"), "the coverage '2' is not a probability from 0 to 1"),
    ],
)
def test_exl_run_refuses(place: Path, options: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (place / "short").write_bytes(bytes(15))
    done = this_machine().run("exl-run", ["tiny.exl", "old king", *options])
    assert done.exit_code == 2
    assert said in done.stderr


def test_exl_run_says_once_that_an_engine_gives_none(place: Path) -> None:
    build().write(place / "ort.exl")
    done = this_machine().run("exl-run", [str(place / "ort.exl"), "--receipt-key", str(place / "key")], "a\nb\n")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "engine ort gives no receipts" in done.stderr


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if reason := why_no_server():
        pytest.skip(reason)
    with serve(tmp_path_factory.mktemp("sshd")) as running, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssh, "CLIENT", running.client)
        yield running.address


def test_another_device_makes_and_replays(edgexl: Edgexl, place: Path, address: str) -> None:
    public = write_keys(place / "shop.key", new_key())
    with open_bundle(place / "tiny.exl") as handle:
        handle.add_labels([NewLabel("new-1", "zebra lantern")])
    labels = ("--labels-file", place / "tiny.exl.labels")
    make(edgexl, place, "--device", address, "--receipt-signer", place / "shop.key", *labels)
    assert check(edgexl, place, "--signer", public).status == 0
    make(edgexl, place, "--coverage", "0.5")
    text = "an old king\nand a river"
    edgexl("run", place / "tiny.exl", text, "--receipts", place / "made", "--receipt-key", place / "key")
    with (place / "texts").open("a") as stream:
        stream.write("the river\n")
    said = check(edgexl, place, "--device", address)
    assert said.status == 1
    assert said.out.splitlines()[-2].startswith("6 of 7 receipts are the same to the bit (ssh://")
    (place / "texts").write_text(text)
    told = check(edgexl, place, "--device", address, "--json").json
    assert [one["stage"] for one in told["receipts"]] == ["text"] * 6 + [None]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["raspberry-pi-zero-2", "raspberry-pi-5"])
def test_an_emulated_processor_gives_the_same_bits(edgexl: Edgexl, place: Path, target: str) -> None:
    """A Cortex-A53, and a Cortex-A76, which has dot products."""
    if reason := why_not({"raspberry-pi-zero-2": "cortex-a53"}.get(target, "cortex-a76")):
        pytest.skip(reason)
    make(edgexl, place)
    make(edgexl, place, "--threshold", "0.1")
    said = check(edgexl, place, "--device", f"emulated:{target}")
    assert (said.status, said.out.split(" receipts")[0]) == (0, "6 of 6"), said.err
