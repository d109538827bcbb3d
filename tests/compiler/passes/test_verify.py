"""Verify: the row of the ledger is what the C runtime answers, and a bundle that answers otherwise than its goldens is
no product."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import GateFailed
from edgexl.bundle.goldens import Goldens
from edgexl.bundle.layout import Kind
from edgexl.bundle.read import read_bundle
from edgexl.compiler import CompileReport
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.passes.verify import Verify
from edgexl.compiler.pipeline import begin
from edgexl.runtime.binding import open_bundle
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE


@pytest.fixture
def packed(compiled: CompileReport, student: Student) -> Artifact:
    """What pack has left."""
    bundle = read_bundle(compiled.path)
    sections = {Kind(entry.kind): bytes(bundle.section(Kind(entry.kind))) for entry in bundle.entries}
    del sections[Kind.MANIFEST]
    artifact = begin(student, TINY_RECIPE, load_target("host"))
    return dataclasses.replace(artifact, sections=sections, goldens=bundle.goldens)


def test_what_the_runtime_answers(packed: Artifact, compiled: CompileReport, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    made = Verify(tmp_path / "out.exl", 2, lambda *share: told.append(share)).run(packed)
    queries = packed.student.evaluation
    with open_bundle(compiled.path) as handle:
        first = [handle.predict(query.text, k=1).labels[0].index for query in queries]
    hits = [label in query.targets for label, query in zip(first, queries, strict=True)]
    assert made.answered.p_at_1 == pytest.approx(100 * np.mean(hits))
    assert [verdict.name for verdict in made.verdicts] == ["goldens_reproduced"]
    assert told == [(done, len(queries)) for done in range(50, len(queries) + 1, 50)]
    assert list(tmp_path.iterdir()) == []


def test_without_queries_only_the_goldens_are_answered(packed: Artifact, tmp_path: Path) -> None:
    bare = dataclasses.replace(packed, student=dataclasses.replace(packed.student, evaluation=()))
    assert Verify(tmp_path / "out.exl").run(bare).answered.p_at_1 is None


def test_goldens_that_are_not_reproduced_fail(packed: Artifact, tmp_path: Path) -> None:
    first, *others = packed.goldens.items
    wrong = dataclasses.replace(first, labels=tuple(label + 1 for label in first.labels))
    goldens = Goldens(packed.goldens.k, packed.goldens.tolerance, (wrong, *others))
    with pytest.raises(GateFailed, match=r"goldens_reproduced failed: 96.875 .* The stage to blame is verify"):
        Verify(tmp_path / "out.exl").run(dataclasses.replace(packed, goldens=goldens))
    assert list(tmp_path.iterdir()) == []
