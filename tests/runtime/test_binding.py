"""The C runtime through Python: the same answers as the reference, errors as exceptions, threads."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from edgexl.base.errors import BadInput, DeviceError, GateFailed
from edgexl.bundle.calibration import Input
from edgexl.bundle.doubts import Doubts, mark_tokens
from edgexl.bundle.layout import Kind
from edgexl.runtime import binding
from edgexl.runtime.binding import BundleHandle, NewLabel, open_bundle
from tests.runtime.tiny_bundle import DIMS, MAX_TOKENS, SHORTLIST, WORDS, TinyBundle, build, tiny_tokenizer


@pytest.fixture(scope="module")
def handle(toy_path: Path) -> Iterator[BundleHandle]:
    with open_bundle(toy_path) as opened:
        yield opened


def some_texts(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices([*WORDS, "Rivers", "zebra", ","], k=draw.randint(1, 15))) for _ in range(count)]


@pytest.mark.parametrize("scalar", [False, True])
def test_same_answers_as_the_reference(toy: TinyBundle, toy_path: Path, scalar: bool) -> None:
    with open_bundle(toy_path, scalar=scalar) as handle:
        assert (handle.info.kernel == "scalar") or not scalar
        for text in some_texts(500):
            expected, got = toy.reference.answer(text), handle.predict(text)
            assert got.shortlist_labels.tolist() == expected.labels.tolist()
            np.testing.assert_array_equal(got.shortlist_scores, expected.scores.max(1))
            np.testing.assert_allclose(got.shortlist_logits, expected.logits, atol=1e-4)
            first = expected.order[:5]
            assert [label.index for label in got.labels] == expected.labels[first].tolist()
            assert [label.text for label in got.labels] == [toy.texts[label] for label in expected.labels[first]]
            np.testing.assert_allclose(
                [label.probability for label in got.labels], expected.probabilities[first], atol=1e-4
            )
            assert got.tokens == len(expected.tokens)


def test_threads_that_share_the_scan_change_nothing(handle: BundleHandle, toy_path: Path) -> None:
    with open_bundle(toy_path, scan_threads=3) as shared:
        for text in some_texts(20):
            expected, got = handle.predict(text), shared.predict(text)
            assert got.shortlist_labels.tolist() == expected.shortlist_labels.tolist()
            assert got.shortlist_scores.tolist() == expected.shortlist_scores.tolist()
    for wrong in (0, 65):
        with pytest.raises(BadInput, match="scan_threads"):
            open_bundle(toy_path, scan_threads=wrong)


def test_it_says_when_none_fits(toy: TinyBundle, handle: BundleHandle) -> None:
    said = []
    for text in some_texts(200):
        best = toy.reference.answer(text).logits.max()
        if abs(best - handle.info.presence) > 1e-3:  # closer than that, engines may differ
            said.append(handle.predict(text).none_fits)
            assert said[-1] == (best < handle.info.presence)
    assert set(said) == {False, True}


@pytest.mark.parametrize("native", [False, True])
def test_strange_texts_are_doubted_and_names_are_not(tmp_path: Path, native: bool) -> None:
    """Half of the words are known, and more than a third of a text must be; single letters stand in no label."""
    tokenizer = tiny_tokenizer()
    words = [tokenizer.token_to_id(word) for word in WORDS]
    known = mark_tokens(np.array(words[::2]), tokenizer.get_vocab_size())
    doubts = Doubts.of(known, 0.34, 0.8)
    toy = build(aliases=True, native=native, doubts=doubts)
    said = []
    with open_bundle(toy.write(tmp_path / "doubts.exl")) as handle:
        for text in [*some_texts(200), *toy.texts[:200]]:
            found, got = toy.reference.answer(text), handle.predict(text)
            best, logit = found.order[0], found.logits.max()
            if abs(logit - handle.info.presence) < 1e-3 or abs(found.scores[best].max() - doubts.same_text) < 1e-5:
                continue
            wanted = doubts.none_fits(found.tokens, found.scores[best], float(logit), handle.info.presence)
            assert got.none_fits == wanted, text
            named = found.scores[best].max() >= doubts.same_text
            said.append((doubts.is_strange(found.tokens), bool(logit < handle.info.presence), bool(named), wanted))
        strange = handle.predict("x y z")
    assert strange.none_fits
    assert doubts.is_strange(tokenizer.encode("x y z").ids)
    for kind in ((True, False, False, True), (False, True, False, True)):
        assert kind in said
    assert any(named and (strange or below) for strange, below, named, _ in said)
    without = build(aliases=True, native=native)
    with open_bundle(without.write(tmp_path / "plain.exl")) as handle:
        assert handle.predict("x y z").none_fits == (handle.predict("x y z").labels[0].logit < handle.info.presence)


@pytest.mark.parametrize("calibrated", ["logit", "log_softmax_or_none"])
def test_probabilities_of_every_kind_of_calibration(tmp_path: Path, calibrated: Input) -> None:
    toy = build(calibrated=calibrated)
    usual = build()
    with open_bundle(toy.write(tmp_path / "toy.exl")) as handle:
        for text in some_texts(100):
            expected, got = toy.reference.answer(text), handle.predict(text)
            found = [label.probability for label in got.labels]
            np.testing.assert_allclose(found, expected.probabilities[expected.order[:5]], atol=1e-4)
            assert max(abs(expected.probabilities - usual.reference.answer(text).probabilities)) > 1e-4


@pytest.mark.parametrize(("fine_bits", "coarse_dims"), [(4, DIMS), (2, DIMS), (8, DIMS // 2)])
def test_fewer_bits_and_dimensions(tmp_path: Path, fine_bits: int, coarse_dims: int) -> None:
    toy = build(aliases=True, fine_bits=fine_bits, coarse_dims=coarse_dims)
    with open_bundle(toy.write(tmp_path / "toy.exl")) as handle:
        for text in some_texts(100):
            expected, got = toy.reference.answer(text), handle.predict(text)
            assert got.shortlist_labels.tolist() == expected.labels.tolist()
            np.testing.assert_allclose(got.shortlist_logits, expected.logits, atol=1e-4)


@pytest.mark.parametrize("aliases", [False, True])
def test_cells_answer_as_the_reference(tmp_path: Path, aliases: bool) -> None:
    toy = build(aliases=aliases, labels=2000, cells=24)
    flat = build(aliases=aliases, labels=2000)
    elsewhere = 0
    for scalar in (False, True):
        with open_bundle(toy.write(tmp_path / "toy.exl"), scalar=scalar) as handle:
            handle.self_test()
            for text in some_texts(100):
                expected, got = toy.reference.answer(text), handle.predict(text)
                assert got.shortlist_labels.tolist() == expected.labels.tolist()
                np.testing.assert_array_equal(got.shortlist_scores, expected.scores.max(1))
                elsewhere += got.shortlist_labels.tolist() != flat.reference.answer(text).labels.tolist()
    assert elsewhere > 0  # else nothing was probed


def test_a_label_behind_cells_is_retired(tmp_path: Path) -> None:
    """The coarse codes lie in another order than the labels: what is retired is the label that was asked for."""
    with open_bundle(build(aliases=True, labels=2000, cells=24).write(tmp_path / "toy.exl")) as handle:
        before = handle.predict("red river", k=SHORTLIST)
        gone = [label.id for label in before.labels[::2]]
        handle.retire_labels(gone)
        after = [label.id for label in handle.predict("red river", k=SHORTLIST).labels]
        assert not set(gone) & set(after)
        assert {label.id for label in before.labels[1::2]} <= set(after)
        assert len(after) == SHORTLIST


def test_a_cell_that_names_no_row_is_told(tmp_path: Path) -> None:
    toy = build(labels=2000, cells=24)
    cells = bytearray(toy.sections[Kind.CELLS])
    cells[4 * 25 : 4 * (25 + 2000)] = b"\xff" * 8000
    damaged = replace(toy, sections=toy.sections | {Kind.CELLS: bytes(cells)})
    with open_bundle(damaged.write(tmp_path / "toy.exl")) as handle, pytest.raises(BadInput, match="cells name a row"):
        handle.predict("red river")


def test_prediction(handle: BundleHandle) -> None:
    got = handle.predict("The red river", k=SHORTLIST)
    assert len(got.labels) == len(got.shortlist_labels) == SHORTLIST
    assert set(got.ms) == {"tokenize", "encode", "scan", "match", "rescore", "gather", "reason", "calibrate", "total"}
    assert got.ms["total"] == pytest.approx(sum(ms for stage, ms in got.ms.items() if stage != "total"), rel=0.01)
    assert np.linalg.norm(got.query_vector) == pytest.approx(1, abs=1e-5)
    assert [at.logit for at in got.labels] == sorted((at.logit for at in got.labels), reverse=True)
    assert not got.truncated
    assert handle.predict("river " * 100).truncated
    assert handle.predict("river " * 100).tokens == MAX_TOKENS


def test_threshold(handle: BundleHandle) -> None:
    everything = handle.predict("red river", k=SHORTLIST)
    chosen = handle.predict("red river", k=0, threshold=0.05)
    assert [at.index for at in chosen.labels] == [at.index for at in everything.labels if at.probability >= 0.05]
    own = handle.predict("red river", k=0, threshold=-1)
    assert [at.index for at in own.labels] == [
        at.index for at in everything.labels if at.probability >= handle.info.threshold
    ]


def test_one_session_after_another_is_the_same(handle: BundleHandle) -> None:
    texts = some_texts(200, seed=3)
    expected = [handle.predict(text) for text in texts]
    for got, wanted in zip(handle.predict_batch(texts, threads=4), expected, strict=True):
        assert [(at.index, at.logit) for at in got.labels] == [(at.index, at.logit) for at in wanted.labels]


def test_two_threads_in_the_engine(toy: TinyBundle, toy_path: Path) -> None:
    with open_bundle(toy_path, threads=2) as handle, ThreadPoolExecutor(2) as pool:
        for text, got in zip(some_texts(40), pool.map(handle.predict, some_texts(40)), strict=True):
            assert got.shortlist_labels.tolist() == toy.reference.answer(text).labels.tolist()


def test_labels(toy: TinyBundle, handle: BundleHandle) -> None:
    assert [handle.label_text(index) for index in range(300)] == list(toy.texts)
    assert handle.label_id(299) == "L0299"
    assert handle.find_label("L0123") == 123
    assert handle.find_label(toy.texts[17]) == 17
    for wrong in (300, -1):
        with pytest.raises(BadInput, match="300 labels"):
            handle.label_text(wrong)
    with pytest.raises(BadInput, match="no label with the id or text 'nothing'"):
        handle.find_label("nothing")


def test_completion(toy: TinyBundle, handle: BundleHandle) -> None:
    """As brute force finds them, whatever the case, page by page; nothing is where nothing begins so."""
    for prefix in ("", "r", "RED", "red r", toy.texts[200], toy.texts[200] + " and more"):
        wanted = [at for at, text in enumerate(toy.texts) if text.lower().startswith(prefix.lower())]
        assert handle.complete(prefix, 300) == wanted
        assert handle.complete(prefix, 2) == wanted[:2]
        assert handle.complete(prefix, 300, start=150) == [at for at in wanted if at >= 150]
    assert handle.complete("r", 5, start=300) == []
    with pytest.raises(BadInput, match="limit is 0"):
        handle.complete("r", 0)


def test_tokens(toy: TinyBundle, handle: BundleHandle) -> None:
    for text in [*some_texts(50), "", "Réd\x00 rivers—OLD 龍"]:
        ids = toy.reference.tokenizer.encode(text).ids
        assert handle.tokenize(text) == (ids if len(ids) <= MAX_TOKENS else [*ids[: MAX_TOKENS - 1], ids[-1]])


def test_explanation(handle: BundleHandle) -> None:
    got = handle.predict("red river", k=SHORTLIST)
    for rank, label in enumerate(got.labels, start=1):
        way = handle.explain("red river", label.id)
        assert (way.index, way.text, way.reasoner_rank) == (label.index, label.text, rank)
        assert (way.shortlisted, way.logit, way.probability) == (True, label.logit, label.probability)
    lost = next(index for index in range(300) if index not in got.shortlist_labels)
    assert not handle.explain("red river", lost).shortlisted


def test_screening_rank_counts_the_whole_index(toy: TinyBundle, handle: BundleHandle) -> None:
    index, query = toy.reference.index, handle.predict("red river").query_vector
    everywhere = replace(index, overfetch=index.rows, shortlist=index.labels).search(query)
    for rank, (label, scores) in enumerate(zip(everywhere.labels.tolist(), everywhere.scores, strict=True), start=1):
        way = handle.explain("red river", label)
        assert (way.screening_rank, way.screening_score) == (rank, scores.max())


def test_goldens(handle: BundleHandle) -> None:
    assert handle.self_test() == {
        "goldens": 3,
        "failed": 0,
        "largest_probability_difference": pytest.approx(0, abs=1e-4),
    }
    assert handle.golden_texts()[0] == "red river"


def test_a_golden_that_differs(toy: TinyBundle, tmp_path: Path) -> None:
    from edgexl.bundle.goldens import Golden, Goldens
    from edgexl.bundle.layout import Kind
    from edgexl.bundle.write import write_bundle

    goldens = Goldens.unpack(toy.sections[Kind.GOLDENS])
    first = goldens.items[0]
    wrong = Golden(first.text, first.tokens, first.labels, (first.probabilities[0] + 0.01, *first.probabilities[1:]))
    changed = Goldens(goldens.k, goldens.tolerance, (wrong, *goldens.items[1:])).pack()
    write_bundle(tmp_path / "toy.exl", {**toy.sections, Kind.GOLDENS: changed})
    with open_bundle(tmp_path / "toy.exl") as handle, pytest.raises(GateFailed, match="1 of 3 goldens"):
        handle.self_test()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "no token"), ("  \n", "no token"), (b"\xff", "UTF-8"), ("\ud800", "UTF-8")],
)
def test_texts_that_cannot_be_answered(handle: BundleHandle, text: str | bytes, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        handle.predict(text)


def test_wrong_numbers(handle: BundleHandle) -> None:
    with pytest.raises(BadInput, match="shortlist is 20"):
        handle.predict("red", k=21)
    with pytest.raises(BadInput, match="-1"):
        handle.predict("red", k=-1)
    with pytest.raises(BadInput, match="not a number"):
        handle.predict("red", threshold=float("nan"))


def test_files_that_are_no_bundles(tmp_path: Path) -> None:
    (tmp_path / "text.exl").write_text("hello, this is text")
    with pytest.raises(BadInput, match="does not begin"):
        open_bundle(tmp_path / "text.exl")
    with pytest.raises(BadInput, match=r"missing\.exl: the file cannot be read"):
        open_bundle(tmp_path / "missing.exl")


def test_engine_that_is_not_there(toy_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="pip install onnxruntime"):
        open_bundle(toy_path, engine_library=tmp_path / "libonnxruntime.so")
    monkeypatch.setenv("EDGEXL_ORT_LIBRARY", str(tmp_path / "libonnxruntime.so"))
    with pytest.raises(DeviceError, match="EDGEXL_ORT_LIBRARY"):
        open_bundle(toy_path)
    with open_bundle(toy_path, engine=False) as handle:
        assert handle.info.labels == 300
        assert handle.manifest["engine"] == "ort"
        with pytest.raises(BadInput, match="without its engine"):
            handle.predict("red river")


def test_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEXL_LIBRARY", "/no/such/libedgexl.so")
    with pytest.raises(DeviceError, match="EDGEXL_LIBRARY"):
        binding.find_library()


def test_closed(toy_path: Path) -> None:
    handle = open_bundle(toy_path)
    handle.predict("red")
    handle.close()
    handle.close()
    with pytest.raises(BadInput, match="closed"):
        handle.predict("red")


def test_arguments_of_another_kind(alias_path: Path, tmp_path: Path) -> None:
    """One sentence at once; nothing is cut to what C can hold."""
    labels = tmp_path / "labels"
    with open_bundle(alias_path, labels_path=labels) as handle:
        wrong: list[Callable[[], object]] = [
            lambda: handle.predict(None),
            lambda: handle.predict(7),
            lambda: handle.predict("red", k="5"),
            lambda: handle.predict("red", k=2.0),
            lambda: handle.predict("red", k=2**32 + 3),
            lambda: handle.predict("red", k=-(2**32) + 3),
            lambda: handle.predict("red", k=10**400),
            lambda: handle.predict("red", threshold="0.5"),
            lambda: handle.predict("red", threshold=10**400),
            lambda: handle.predict_batch("red river"),
            lambda: handle.predict_batch(None),
            lambda: handle.predict_batch(["red", None]),
            lambda: handle.predict_batch(np.array("red")),
            lambda: handle.predict_batch(np.array([["red"]])),
            lambda: handle.predict_batch(["red"], threads=0),
            lambda: handle.explain("red", None),
            lambda: handle.explain("red", 2**32 + 3),
            lambda: handle.explain("red", 3.0),
            lambda: handle.tokenize(None),
            lambda: handle.label_text("3"),
            lambda: handle.label_id(2**32),
            lambda: handle.label_state(10**30),
            lambda: handle.find_label(3),
            lambda: handle.complete(None),
            lambda: handle.complete("red", limit=1.5),
            lambda: handle.complete("red", limit=10**30),
            lambda: handle.add_labels(NewLabel("N1", "red")),
            lambda: handle.add_labels([("N1", "red")]),
            lambda: handle.add_labels([NewLabel(1, "red")]),
            lambda: handle.add_labels([NewLabel("N1", None)]),
            lambda: handle.add_labels([NewLabel("N1", "red", "river")]),
            lambda: handle.retire_labels("L0001"),
            lambda: handle.retire_labels([1]),
            lambda: handle.retire_labels(None),
            lambda: open_bundle(None),
            lambda: open_bundle(""),
            lambda: open_bundle(f"{alias_path}\0.exl"),
            lambda: open_bundle(alias_path, labels_path=f"{labels}\0"),
            lambda: open_bundle(alias_path, engine_library="/lib\0.so"),
            lambda: open_bundle(alias_path, threads="2"),
            lambda: open_bundle(alias_path, threads=2**32 + 1),
            lambda: open_bundle(alias_path, scan_threads=1.5),
        ]
        for at, call in enumerate(wrong):
            with pytest.raises(BadInput) as raised:
                call()
            assert len(str(raised.value)) < 300, at
        assert not labels.exists()
        assert handle.predict(bytearray(b"red river")).labels == handle.predict("red river").labels
        assert handle.predict("red river", k=np.int64(3)).labels == handle.predict("red river", k=3).labels
        assert handle.label_text(np.uint32(3)) == handle.label_text(3)
        assert handle.explain("red river", np.int32(3)) == handle.explain("red river", 3)
        assert len(handle.predict_batch(text for text in ("red", "river"))) == 2


def test_a_batch_is_anything_that_holds_texts(handle: BundleHandle) -> None:
    texts = some_texts(5)
    wanted = [handle.predict(text).labels for text in texts]
    for batch in (
        tuple(texts),
        iter(texts),
        np.array(texts),
        np.array(texts, object),
        pd.Series(texts),
        pl.Series(texts),
    ):
        assert [answer.labels for answer in handle.predict_batch(batch)] == wanted


@pytest.mark.parametrize("missing", [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT])
def test_a_batch_with_a_place_for_none(handle: BundleHandle, missing: object) -> None:
    for batch in (["red", "river", missing], pd.Series(["red", "river", missing], dtype=object)):
        with pytest.raises(BadInput, match=r"^Text 2 of 3 is missing \(.+\); give a text"):
            handle.predict_batch(batch)


def test_a_frame_is_no_batch(handle: BundleHandle) -> None:
    for frame in (pd.DataFrame({"query": ["red"]}), pl.DataFrame({"query": ["red"]})):
        with pytest.raises(BadInput, match="type DataFrame; give one of its columns"):
            handle.predict_batch(frame)


def test_a_batch_has_the_arguments_of_one(handle: BundleHandle) -> None:
    text = " ".join(some_texts(20))
    for options in ({"k": 2}, {"threshold": 0.5}, {"windows": 1}, {"k": 3, "windows": 0}):
        one, batch = handle.predict(text, **options), handle.predict_batch([text], **options)
        assert (batch[0].labels, batch[0].windows) == (one.labels, one.windows)
    with pytest.raises(BadInput, match=r"^windows is 1000"):
        handle.predict_batch([text], windows=1000)
    with pytest.raises(BadInput, match="coverage"):
        handle.predict_batch([text], coverage=1.5)


@pytest.mark.parametrize("kind", ["plain", "ort", "cells", "lexical"])
def test_texts_are_answered_together_as_alone(kind: str, tmp_path: Path) -> None:
    """Whatever their lengths, in windows too, with labels added; an error names the first that has no answer."""
    made = {
        "plain": lambda: build(native=True),
        "ort": lambda: build(aliases=True),
        "cells": lambda: build(aliases=True, native=True, cells=9, windows=5),
        "lexical": lambda: build(aliases=True, native=True, lexical=True, windows=3),
    }[kind]()
    texts = [*some_texts(40, 3), "red", " ".join(some_texts(30, 5)), "zirconium plate", *some_texts(7, 8)]
    with open_bundle(made.write(tmp_path / "a.exl"), labels_path=tmp_path / "a.labels") as handle:
        handle.add_labels([NewLabel("A", "zirconium plate", ("red rivers",))])
        handle.retire_labels([handle.label_id(handle.predict(texts[0]).labels[0].index)])
        alone = [handle.predict(text, k=7) for text in texts]
        for together in (1, 2, 5, 32):
            answers = handle.predict_batch(texts, k=7, together=together)
            for answer, one in zip(answers, alone, strict=True):
                assert (answer.labels, answer.windows) == (one.labels, one.windows)
                assert (answer.query_vector == one.query_vector).all()
                assert answer.ms.keys() == one.ms.keys()
                assert answer.ms["total"] > 0
        with pytest.raises(BadInput, match=r"^Text 11 of the batch \(''\): the text holds no token"):
            handle.predict_batch([*texts[:11], "", "red", b"\xff"], together=8)
        with pytest.raises(BadInput, match=r"^Text 1 of the batch \(5\)"):
            handle.predict_batch(["red", 5, ""], together=8)  # type: ignore[list-item]
        with pytest.raises(BadInput, match="together"):
            handle.predict_batch(["red"], together=33)
        assert handle.predict_batch([]) == []
