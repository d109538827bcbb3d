"""Aliases and descriptions as queries over an index that holds all but them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_queries, encode_rows
from edgexl.compiler.encoding.workers import LocalWorkers
from edgexl.compiler.measure import leave_one_out
from edgexl.compiler.passes.encode import Encode
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import CalibrateRecipe, IndexRecipe, Recipe
from edgexl.data import Query
from edgexl.index.exact_search import ExactSearch
from edgexl.target import load_target
from tests.tiny import tiny_described, tiny_labels, tiny_student


@pytest.fixture(scope="module")
def described() -> Artifact:
    """Exported, of labels of which a third has an alias and each a description, without queries."""
    student = dataclasses.replace(tiny_student(), calibration=(), evaluation=())
    student = student.with_labels(tiny_described(tiny_labels(120, aliases=True)))
    return Export().run(begin(student, Recipe("bare", calibrate=CalibrateRecipe("none")), load_target("host")))


def test_each_is_searched_for_among_all_other_rows(described: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = described.rows
    vectors = rows.vectors(encode_rows(described.graphs.label_encoder, rows.tokens, True, 1))
    every = rows.texts(described.student.labels, described.student.tokenizer, 16)
    texts = [every[place] for place in rows.texts_of]
    monkeypatch.setattr(leave_one_out, "DEPTH", 5)
    found = leave_one_out.leave_one_out(described, rows, vectors, texts)
    named = len(rows) - rows.descriptions
    for kind, members in (("aliases", range(120, named)), ("descriptions", range(named, len(rows)))):
        first = among = 0
        for row in members:
            gone = np.arange(len(rows.alias_labels)) == row - 120
            others, places = rows.without(gone)
            search = ExactSearch(vectors[places], 120, others.alias_labels, 5, others.descriptions)
            query = encode_queries(described, [Query("", texts[row], ())])[0]
            labels = search.search(query).labels
            gold = rows.alias_labels[row - 120]
            first += int(labels[0] in gold)
            among += bool(np.isin(labels, gold).any())
        assert found[kind]["queries"] == len(members)
        assert found[kind]["P@1"] == pytest.approx(100 * first / len(members), abs=1e-2)
        assert found[kind]["R@5"] == pytest.approx(100 * among / len(members), abs=1e-2)


def test_a_sample_is_taken_of_many(described: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leave_one_out, "SAMPLE", 7)
    made = Encode(IndexRecipe(), Quantize(described.recipe, described.target), LocalWorkers(1)).run(described)
    assert {kind: told["queries"] for kind, told in made.facts["left_out"].items()} == {"aliases": 7, "descriptions": 7}
