"""Live labels through Python: found as compiled ones are, gone when retired, and whole whatever happens to a writer."""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.label_file import LabelFile, label_file_of, read_label_file
from edgexl.index import LabelIndex, Shortlist, encode_coarse, encode_fine, scan, scan_tables
from edgexl.index.added_words import AddedWords, read_words
from edgexl.index.coarse import unpack_coarse
from edgexl.index.lexical_scores import LexicalScores
from edgexl.runtime.binding import BundleHandle, NewLabel, Prediction, open_bundle
from tests.runtime.test_binding import some_texts
from tests.runtime.tiny_bundle import LABEL_TOKENS, SHORTLIST, WORDS, TinyBundle, TinyReference, build

NEW = [
    NewLabel("N1", "red river horse"),
    NewLabel("N2", "storm apple glass", ("silver song", "honey")),
    NewLabel("N3", "Dark GARDEN"),
]
fork = multiprocessing.get_context("fork")


@pytest.fixture
def path(toy: TinyBundle, tmp_path: Path) -> Path:
    return toy.write(tmp_path / "toy.exl")


@pytest.fixture
def handle(path: Path) -> Iterator[BundleHandle]:
    with open_bundle(path) as opened:
        yield opened


@pytest.fixture
def native_path(tmp_path: Path) -> Path:
    return build(native=True).write(tmp_path / "native.exl")


def ids(handle: BundleHandle, text: str, k: int = SHORTLIST) -> list[str]:
    return [label.id for label in handle.predict(text, k=k).labels]


# ---- the same answers as one index over all rows --------------------------------------------------------------------


@dataclass(frozen=True)
class WholeWords:
    """Lexical scores whose rows have these `places` in the index."""

    scores: LexicalScores
    places: np.ndarray

    @property
    def ranked(self) -> np.ndarray:
        return self.places[self.scores.ranked]

    def score(self, rows: np.ndarray) -> np.ndarray:
        every = np.zeros(self.places.max() + 1, np.float32)
        every[self.places] = self.scores.scores
        return np.where(rows < len(every), every[rows.clip(max=len(every) - 1)], np.float32(0))

    def features(self, dense: float) -> np.ndarray:
        return self.scores.features(dense)


@dataclass(frozen=True)
class WholeIndex:
    """What a bundle and its label file are together: `index` has the labels' own rows, compiled and added, then
    all aliases, then the descriptions; `places` are these rows in the order of the runtime, which has all added ones
    last."""

    index: LabelIndex
    unpacked: np.ndarray
    places: np.ndarray
    dead: np.ndarray
    added_words: AddedWords | None

    def search(self, query: np.ndarray, text: str = "") -> Shortlist:
        rows = self.index.rows
        best, _ = scan(self.unpacked, rows, scan_tables(query, self.index.codebook), rows)
        candidates = best[~self.dead[best]][: self.index.overfetch]
        return self.index.shortlist_of(query, self.places[candidates], self.match(text))

    def match(self, text: str) -> WholeWords | None:
        if self.added_words is None:
            return None
        compiled = self.index.lexical.rows
        left = np.concatenate([np.arange(compiled), compiled + np.flatnonzero(~self.dead[compiled:])])
        scores = LexicalScores(self.index.lexical, text, self.added_words, self.dead[:compiled])
        return WholeWords(scores, self.places[left])

    def decompress(self, labels: np.ndarray) -> np.ndarray:
        return self.index.decompress(labels)


def whole_index(compiled: LabelIndex, file: LabelFile) -> WholeIndex:
    added = [(label, row) for label in file.added for row in range(len(label.fine))]
    stride = len(added[0][0].fine[0])
    rows = [bytes(compiled.fine[at * stride : (at + 1) * stride]) for at in range(compiled.rows)]
    own = [label.fine[0] for label in file.added]
    aliases = [label.fine[row] for label, row in added if row]
    retired = {*file.retired_compiled, *(label.index for label in file.added if label.retired)}
    of_aliases = [
        [label for label in compiled.row_labels[begin:end].tolist() if label not in retired]
        for begin, end in zip(compiled.row_starts[:-1], compiled.row_starts[1:], strict=True)
    ]
    named = len(of_aliases) - compiled.descriptions
    of_aliases[named:named] = [[label.index] for label, row in added if row]
    labels, described = compiled.labels + len(file.added), compiled.rows - compiled.descriptions
    index = replace(
        compiled,
        labels=labels,
        fine=b"".join(
            [*rows[: compiled.labels], *own, *rows[compiled.labels : described], *aliases, *rows[described:]]
        ),
        row_starts=np.cumsum([0, *map(len, of_aliases)]).astype(np.uint32),
        row_labels=np.array([label for row in of_aliases for label in row], np.uint32),
    )
    alias = iter(range(labels + named, index.rows - compiled.descriptions))
    places = [
        *range(compiled.labels),
        *range(labels, labels + named),
        *range(index.rows - compiled.descriptions, index.rows),
        *(next(alias) if row else label.index for label, row in added),
    ]
    codes = np.array([list(label.coarse[row]) for label, row in added], np.uint8).T
    unpacked = np.hstack([unpack_coarse(compiled.coarse, compiled.rows, len(compiled.codebook)), codes])
    dead = [place in retired if place < labels else set(of_aliases[place - labels]) <= retired for place in places]
    left = [text for label in file.added if not label.retired for text in (label.text, *label.aliases)]
    words = read_words(compiled.lexical, left) if compiled.lexical is not None else None
    return WholeIndex(index, np.ascontiguousarray(unpacked), np.array(places), np.array(dead), words)


def reference(toy: TinyBundle, file: LabelFile) -> TinyReference:
    tokenizer = toy.reference.tokenizer
    pieces = [tokenizer.encode(label.text, add_special_tokens=False).ids[:LABEL_TOKENS] for label in file.added]
    tokens = np.array([[*ids, *[0] * (LABEL_TOKENS - len(ids))] for ids in pieces], np.int64)
    return replace(
        toy.reference,
        index=whole_index(toy.reference.index, file),
        label_tokens=np.concatenate([toy.reference.label_tokens, tokens]),
    )


def test_same_answers_as_one_index_over_all_rows(toy: TinyBundle, path: Path, handle: BundleHandle) -> None:
    assert_same_as_one_index(toy, path, handle, some_texts(150))


@pytest.mark.parametrize(("aliases", "descriptions"), [(False, 0), (True, 0), (True, 120)])
def test_words_of_added_labels_count_as_those_of_one_index(tmp_path: Path, aliases: bool, descriptions: int) -> None:
    toy = build(aliases, native=True, descriptions=descriptions, lexical=True, votes_weight=0.7)
    path = toy.write(tmp_path / "a.exl")
    texts = some_texts(100)
    misspelt = [text.replace("i", "ii").replace("or", "ro") for text in texts]
    with open_bundle(path) as handle:
        assert_same_as_one_index(toy, path, handle, [*texts, *misspelt, "rivxyz 42", "qqq"])


def assert_same_as_one_index(toy: TinyBundle, path: Path, handle: BundleHandle, queries: list[str]) -> None:
    draw = random.Random(1)
    words = [*WORDS, "rivxyz", "storrm", "42"]
    texts = [" ".join(draw.choices(words, k=3)) for _ in range(290)]
    new = [NewLabel(f"X{at}", text, tuple(texts[at - 2 : at]) if at % 5 == 0 else ()) for at, text in enumerate(texts)]
    handle.add_labels(new)
    handle.retire_labels([f"L{at:04d}" for at in range(0, 300, 3)] + [f"X{at}" for at in range(0, 290, 7)])
    expected_of = reference(toy, read_label_file(label_file_of(path)))
    same = 0
    for query in queries:
        expected, got = expected_of.answer(query), handle.predict(query)
        found = expected_of.index.search(got.query_vector, query)
        assert got.shortlist_labels.tolist() == found.labels.tolist()
        np.testing.assert_array_equal(got.shortlist_scores, found.screening)
        if expected.labels.tolist() != found.labels.tolist():
            continue  # near ties: the vectors of two engines differ in their last bits
        same += 1
        np.testing.assert_allclose(got.shortlist_logits, expected.logits, atol=1e-4)
        best = expected.order[0]
        label = got.labels[0]
        assert (label.index, label.id, label.text) == (
            expected.labels[best],
            handle.label_id(label.index),
            handle.label_text(label.index),
        )
    assert same > 0.9 * len(queries)
    assert any(label >= 300 for label in got.shortlist_labels)


def test_added_rows_have_the_bytes_that_the_compiler_gives_their_vectors(
    toy: TinyBundle, path: Path, handle: BundleHandle
) -> None:
    texts = sorted({text for text in some_texts(60, seed=5) if len(handle.tokenize(text)) > 2})
    handle.add_labels([NewLabel(f"X{at}", text) for at, text in enumerate(texts)])
    vectors = np.stack([handle.predict(text).query_vector for text in texts])
    index = toy.reference.index
    coarse = unpack_coarse(encode_coarse(vectors, index.codebook), len(texts), len(index.codebook)).T
    fine = np.frombuffer(encode_fine(vectors, index.fine_dims, index.fine_bits, index.gain), np.uint8)
    added = read_label_file(label_file_of(path)).added
    for label, code, row in zip(added, coarse, fine.reshape(len(texts), -1), strict=True):
        assert (label.coarse, label.fine) == ((code.tobytes(),), (row.tobytes(),))


# ---- what a caller sees -----------------------------------------------------------------------------------------


def test_add_replace_retire_compact(path: Path, handle: BundleHandle) -> None:
    seen: list[tuple[int, int]] = []
    assert handle.add_labels(NEW, progress=lambda done, count: seen.append((done, count))) == 300
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert ids(handle, "red river horse", 1) == ["N1"]
    assert (handle.label_text(301), handle.label_state(301), handle.find_label("Dark GARDEN")) == (
        "storm apple glass",
        "added",
        302,
    )
    assert "N2" in [handle.label_id(int(label)) for label in handle.predict("honey").shortlist_labels]
    assert handle.complete("dark gard")[-1:] == [302]
    way = handle.explain("red river horse", "N1")
    assert (way.screening_rank, way.shortlisted, way.index) == (1, True, 300)

    assert handle.add_labels([NewLabel("L0007", "winter bread"), NewLabel("N1", "bread salt")], replace=True) == 303
    assert handle.find_label("L0007") == 303
    assert ids(handle, "red river horse", 1) != ["N1"]
    assert handle.label_state(7) == handle.label_state(300) == "retired"
    handle.retire_labels(["N3", "L0299"])
    assert (handle.labels_info().labels, handle.labels_info().end) == (301, 305)
    with pytest.raises(BadInput, match="retired"):
        handle.explain("red", 7)

    found = read_label_file(label_file_of(path))
    assert found.generation == handle.labels_info().generation == 3
    assert [(label.id, label.aliases, label.retired) for label in found.added] == [
        ("N1", (), True),
        ("N2", ("silver song", "honey"), False),
        ("N3", (), True),
        ("L0007", (), False),
        ("N1", (), False),
    ]
    assert found.retired_compiled == (7, 299)
    before = [(label.id, label.logit) for label in handle.predict("storm bread", k=SHORTLIST).labels]
    handle.compact_labels()
    assert before == [(label.id, label.logit) for label in handle.predict("storm bread", k=SHORTLIST).labels]
    assert (handle.labels_info().labels, handle.labels_info().end) == (301, 303)
    with open_bundle(path) as again:
        assert before == [(label.id, label.logit) for label in again.predict("storm bread", k=SHORTLIST).labels]
        assert again.self_test()["failed"] == 0
    with open_bundle(path, compiled_only=True) as compiled:
        assert compiled.find_label("L0007") == 7


def test_retired_labels_take_no_place(handle: BundleHandle) -> None:
    gone = [f"L{at:04d}" for at in range(300) if at % 6]
    handle.retire_labels(gone)
    for text in some_texts(40):
        found = ids(handle, text)
        assert len(found) == SHORTLIST
        assert not set(found) & set(gone)
    handle.retire_labels([f"L{at:04d}" for at in range(0, 300, 6)])
    assert handle.labels_info().labels == 0
    nothing = handle.predict("red river")
    assert (nothing.labels, nothing.none_fits) == ([], True)
    handle.add_labels([NewLabel("L0006", "red")])
    assert ids(handle, "red river") == ["L0006"]


@pytest.mark.parametrize("aliases", [False, True])
def test_under_cells_only_the_retired_are_lost(tmp_path: Path, aliases: bool) -> None:
    """The codes lie in the cells' order there, and not in that of the rows."""
    path = build(aliases=aliases, native=True, cells=9).write(tmp_path / "cells.exl")
    draw = random.Random(3)
    gone = {f"L{at:04d}" for at in draw.sample(range(300), 110)}
    texts = some_texts(60)
    with open_bundle(path) as handle:
        before = [handle.predict(text) for text in texts]
        handle.add_labels(NEW)
        handle.retire_labels([*sorted(gone), "N2"])
        for text, old in zip(texts, before, strict=True):
            new = scored(handle, handle.predict(text))
            assert not {*gone, "N2"} & set(new)
            # a label that stays gives way to better ones only; more of its aliases may be looked at now
            last = min(new.values()) if len(new) == SHORTLIST else -math.inf
            for uid, score in scored(handle, old).items():
                assert uid in gone or new.get(uid, -math.inf) >= score or score <= last


def scored(handle: BundleHandle, prediction: Prediction) -> dict[str, float]:
    """The shortlist: label id -> screening score."""
    pairs = zip(prediction.shortlist_labels, prediction.shortlist_scores, strict=True)
    return {handle.label_id(int(label)): float(score) for label, score in pairs}


def test_all_or_nothing(path: Path, handle: BundleHandle) -> None:
    handle.add_labels(NEW)
    before = label_file_of(path).read_bytes()
    for wrong, sentence in (
        ([NewLabel("N4", "red"), NewLabel("N1", "blue")], "label with the id N1"),
        ([NewLabel("N4", "red"), NewLabel("L0003", "blue")], "label with the id L0003"),
        ([NewLabel("N4", "red"), NewLabel("N4", "blue")], "N4 is given twice"),
        ([NewLabel("N4", "red"), NewLabel("N5", " \n")], "label N5 holds no token"),
        ([NewLabel("N4", "red"), NewLabel("", "blue")], "id of new label 1"),
    ):
        with pytest.raises(BadInput, match=sentence):
            handle.add_labels(wrong)
    with pytest.raises(BadInput, match="no label with the id N9"):
        handle.retire_labels(["N1", "N9"])
    with pytest.raises(BadInput, match="no label with the id N9"):
        handle.add_labels([NewLabel("N1", "red"), NewLabel("N9", "blue")], replace=True)
    assert label_file_of(path).read_bytes() == before


def test_another_handle_sees_a_change_when_it_refreshes(path: Path, handle: BundleHandle) -> None:
    with open_bundle(path) as other:
        handle.add_labels(NEW)
        assert ids(other, "red river horse", 1) != ["N1"]
        other.refresh_labels()
        assert ids(other, "red river horse", 1) == ["N1"]
        label_file_of(path).unlink()
        other.refresh_labels()
        assert ids(other, "red river horse", 1) != ["N1"]


def test_files_of_another_bundle_and_at_another_place(path: Path, handle: BundleHandle, tmp_path: Path) -> None:
    handle.add_labels(NEW)
    other = build(labels=200).write(tmp_path / "other.exl")
    with pytest.raises(BadInput, match="made for another bundle"):
        open_bundle(other, labels_path=label_file_of(path))
    with open_bundle(path, labels_path=tmp_path / "mine") as mine:
        assert mine.labels_info().labels == 300
        mine.retire_labels(["L0001"])
    assert read_label_file(tmp_path / "mine").retired_compiled == (1,)
    with pytest.raises(BadInput, match=r"cannot be read|regular file"):
        open_bundle(path, labels_path=tmp_path)


# ---- writers that are killed, and two at a time ---------------------------------------------------------------------


def add_pairs(path: Path, name: str, count: int, told: int, ready: Barrier | None = None) -> None:
    """In a process of its own: add labels two by two, and tell of each pair that is there."""
    with open_bundle(path, verify=False) as handle:
        for at in range(count):
            if ready is not None:
                ready.wait()  # both at the same time, each time
            handle.add_labels([NewLabel(f"{name}{at}a", "red river"), NewLabel(f"{name}{at}b", "old king")])
            os.write(told, b".")
            if at % 7 == 6:
                handle.compact_labels()


def test_killed_at_any_moment(native_path: Path) -> None:
    draw = random.Random(0)
    for trial in range(8):
        reading, writing = os.pipe()
        child = fork.Process(target=add_pairs, args=(native_path, f"T{trial}_", 10_000, writing))
        child.start()
        os.close(writing)
        assert os.read(reading, 1) == b"."
        time.sleep(draw.uniform(0, 0.1))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        told = 1 + sum(len(part) for part in iter(lambda source=reading: os.read(source, 4096), b""))
        os.close(reading)
        with open_bundle(native_path, engine=False) as handle:
            count = handle.labels_info().labels - 300
        mine = [label.id for label in read_label_file(label_file_of(native_path)).added if f"T{trial}_" in label.id]
        assert len(mine) in (2 * told, 2 * told + 2)
        assert mine == [f"T{trial}_{at}{letter}" for at in range(len(mine) // 2) for letter in "ab"]
        assert count >= len(mine)
    with open_bundle(native_path, engine=False) as handle:
        handle.compact_labels()
    assert sorted(os.listdir(native_path.parent)) == ["native.exl", "native.exl.labels"]


def test_two_writers(native_path: Path) -> None:
    reading, writing = os.pipe()
    ready = fork.Barrier(2)
    children = [fork.Process(target=add_pairs, args=(native_path, name, 15, writing, ready)) for name in "AB"]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    os.close(writing)
    os.close(reading)
    added = read_label_file(label_file_of(native_path)).added
    assert sorted(label.id for label in added) == sorted(
        f"{name}{at}{letter}" for name in "AB" for at in range(15) for letter in "ab"
    )
    pairs = [label.id for label in added]
    assert all(second == first[:-1] + "b" for first, second in zip(pairs[::2], pairs[1::2], strict=True))
