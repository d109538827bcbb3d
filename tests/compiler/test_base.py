"""`compile --base`: what stays as it is in the older bundle, and what does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.layout import Kind
from edgexl.bundle.read import Bundle, read_bundle
from edgexl.bundle.strings import unpack_strings
from edgexl.compiler import compile
from edgexl.compiler.base import keep_order, read_base
from edgexl.data.label_set import LabelSet
from edgexl.runtime.binding import open_bundle
from edgexl.use.diff import write_patch
from tests.compiler.conftest import TINY_RECIPE
from tests.tiny import tiny_labels, tiny_queries, tiny_student

LABELS = tiny_labels(300)


def some(places: list[int]) -> LabelSet:
    return LabelSet(*(tuple(field[place] for place in places) for field in (LABELS.ids, LABELS.texts)))


def sections(bundle: Bundle, *kinds: Kind) -> list[bytes]:
    return [bytes(bundle.section(kind)) for kind in kinds]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("old") / "old.exl"
    compile(tiny_student(some(list(range(0, 290)))), TINY_RECIPE, "host", path)
    return path


def test_labels_keep_their_numbers(old: Path) -> None:
    base = read_base(old)
    gone, new = [5, 80, 289], [290, 291, 292, 293]
    student = tiny_student(some([*new, *(place for place in range(290) if place not in gone)]))
    ordered = keep_order(student, base)
    wanted = list(range(290))
    for place, other in zip(gone, new, strict=False):
        wanted[place] = other
    assert ordered.labels == some([*wanted, 293])
    for before, after in zip(student.calibration, ordered.calibration, strict=True):
        named = [student.labels.ids[target] for target in before.targets]
        assert (after.text, [ordered.labels.ids[target] for target in after.targets]) == (before.text, named)
    fewer = keep_order(tiny_student(some([place for place in range(290) if place not in gone])), base)
    assert fewer.labels == some([*range(5), 288, *range(6, 80), 287, *range(81, 287)])
    same = tiny_student(some(list(range(290))))
    assert keep_order(same, base) is same
    with pytest.raises(BadInput, match="has none of the student's labels"):
        keep_order(tiny_student(some([290, 291])), base)


def test_an_index_changes_where_labels_did(old: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.exl"
    labels = some(list(range(9, 300)))
    report = compile(tiny_student(labels), TINY_RECIPE, "host", new, base=old)
    assert report.facts["base"]["kept"] is True
    before, after = read_bundle(old), read_bundle(new)
    alike = (Kind.SCREENER_GRAPH, Kind.SCREENER_WEIGHTS, Kind.REASONER_WEIGHTS, Kind.CODEBOOK, Kind.TOKENIZER)
    assert sections(before, *alike) == sections(after, *alike)
    assert unpack_strings(after.section(Kind.LABEL_IDS))[9:290] == list(LABELS.ids[9:290])
    rows = [
        np.frombuffer(bundle.section(Kind.FINE_CODES), np.uint8).reshape(bundle.parameters.rows, -1)
        for bundle in (before, after)
    ]
    assert (rows[0][9:290] == rows[1][9:290]).all()
    assert (rows[0][:9] != rows[1][:9]).any(axis=1).all()
    with open_bundle(new) as handle:
        assert handle.self_test()["failed"] == 0
        found = [handle.predict(query.text, k=1).labels[0].id for query in tiny_queries(labels, 60, 0)]
    gold = [labels.ids[query.targets[0]] for query in tiny_queries(labels, 60, 0)]
    assert sum(one == other for one, other in zip(found, gold, strict=True)) > 10
    anew = tmp_path / "anew.exl"
    compile(tiny_student(labels), TINY_RECIPE, "host", anew)
    small = write_patch(old, new, tmp_path / "small.exlp").patch_bytes
    assert small < write_patch(old, anew, tmp_path / "large.exlp").patch_bytes / 2


def test_another_students_index_is_built_anew(old: Path, tmp_path: Path) -> None:
    labels = some(list(range(290)))
    with_base = compile(tiny_student(labels, seed=1), TINY_RECIPE, "host", tmp_path / "a.exl", base=old)
    assert with_base.facts["base"]["kept"] is False
    compile(tiny_student(labels, seed=1), TINY_RECIPE, "host", tmp_path / "b.exl")
    kinds = (Kind.CODEBOOK, Kind.COARSE_CODES, Kind.FINE_CODES, Kind.SCREENER_WEIGHTS)
    assert sections(read_bundle(tmp_path / "a.exl"), *kinds) == sections(read_bundle(tmp_path / "b.exl"), *kinds)
