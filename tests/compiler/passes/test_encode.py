"""Encode: a vector for each row, and the aliases that say nothing new left out."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from edgexl.base.errors import BadInput
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_rows
from edgexl.compiler.encoding.workers import LocalWorkers
from edgexl.compiler.measure.yardstick import reference_pipeline
from edgexl.compiler.passes.encode import Encode
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import IndexRecipe, Recipe
from edgexl.data import Query
from edgexl.index.rows import Rows
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.label_tower import LabelTower, open_model
from edgexl.target import load_target
from tests.distill.conftest import write_teacher
from tests.tiny import described_queries, tiny_described, tiny_labels, tiny_queries, tiny_student


def encode(artifact: Artifact, **index: object) -> Artifact:
    quantize = Quantize(artifact.recipe, artifact.target)
    return Encode(IndexRecipe(**index), quantize, LocalWorkers(1)).run(artifact)  # type: ignore[arg-type]


def test_aliases_are_left_out_and_what_that_costs_is_told(aliased: Artifact) -> None:
    made = encode(aliased, alias_cosine=0.98)
    rows = aliased.rows
    vectors = encode_rows(aliased.graphs.label_encoder, rows.tokens, True, 1)
    repetitions = rows.repetitions(vectors, 0.98)
    assert repetitions.near_text.any()
    assert (repetitions.near_alias & ~repetitions.near_text).any()  # or this shows nothing
    kept, places = rows.without(repetitions.either)
    assert made.rows.alias_labels.tolist() == kept.alias_labels.tolist()
    np.testing.assert_array_equal(made.vectors, vectors[places])
    told = made.facts["aliases"]
    assert told["rows"] == len(kept.alias_labels) < len(rows.alias_labels)
    assert told["dropped_near_label_text"] == repetitions.near_text.sum()
    assert told["dropped_near_other_alias"] == (repetitions.near_alias & ~repetitions.near_text).sum()
    assert told["queries"] == len(aliased.student.calibration)
    for name, some, of in (("R@16_with_all", rows, vectors), ("R@16", kept, vectors[places])):
        assert told[name] == pytest.approx(recall_by_hand(aliased, some, of), abs=1e-3)
    every = encode(dataclasses.replace(aliased, rows=kept), alias_cosine=1.0)
    assert set(every.facts["aliases"]) == {"rows", "dropped_near_label_text", "dropped_near_other_alias"}


def towered(artifact: Artifact, directory: Path) -> tuple[Artifact, LabelTower]:
    """The artifact of the same student with a label tower of random weights."""
    source = str(write_teacher(directory / "tower", seed=4))
    projection = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    tower = LabelTower(source, open_model(source).provenance["weights_sha256"], projection)
    return dataclasses.replace(artifact, student=dataclasses.replace(artifact.student, label_tower=tower)), tower


def test_a_label_tower_encodes_all_rows_once(aliased: Artifact, tmp_path: Path) -> None:
    artifact, tower = towered(aliased, tmp_path)
    made = encode(artifact, alias_cosine=1.0)
    np.testing.assert_array_equal(made.vectors, tower.encode(made.rows.texts(artifact.student.labels)))
    assert made.facts["label_tower"] == tower.describe()
    assert str(tmp_path) not in str(made.facts)
    shutil.rmtree(tower.source)
    again = encode(artifact, alias_cosine=1.0)  # remembered: the model is not needed
    np.testing.assert_array_equal(again.vectors, made.vectors)
    turned = dataclasses.replace(tower, projection=tower.projection.flip(0))
    student = dataclasses.replace(artifact.student, label_tower=turned)
    with pytest.raises(BadInput, match="is no directory"):
        encode(dataclasses.replace(artifact, student=student))


def test_a_label_tower_encodes_descriptions_too(tmp_path: Path) -> None:
    labels = tiny_described(tiny_labels(40))
    plain = Export().run(begin(tiny_student(labels), Recipe("described"), load_target("host")))
    assert plain.rows.descriptions
    artifact, tower = towered(plain, tmp_path)
    made = encode(artifact, alias_cosine=1.0, descriptions="joined")
    first = len(made.rows) - made.rows.descriptions
    label = made.rows.alias_labels[first - len(labels)].item()
    texts = [labels.texts[label], labels.descriptions[label][0]]
    by_hand = tower.encode(texts).sum(0)
    np.testing.assert_allclose(made.vectors[first], by_hand / np.linalg.norm(by_hand), atol=1e-5)
    predictor = StudentPredictor(artifact.student)
    np.testing.assert_allclose(predictor.row_vectors[first], made.vectors[first], atol=1e-5)


def test_labels_as_the_device_encodes_them_are_no_towers(aliased: Artifact, tmp_path: Path) -> None:
    artifact, _ = towered(aliased, tmp_path)
    made = encode(artifact, labels_from="quantized")
    np.testing.assert_array_equal(made.vectors, encode(aliased, labels_from="quantized").vectors)
    assert "label_tower" not in made.facts


def recall_by_hand(artifact: Artifact, rows: Rows, vectors: np.ndarray) -> float:
    """R@16 of labels by the best of their rows, query by query."""
    student, shares = artifact.student, []
    pipeline = reference_pipeline(artifact, vectors, rows)
    owners = rows.alias_labels
    for query in student.calibration:
        scores = vectors @ pipeline.answer(query.text).query_vector
        best = scores[: rows.labels].copy()
        for alias in range(len(owners)):
            for label in owners[alias]:
                best[label] = max(best[label], scores[rows.labels + alias])
        found = np.lexsort((np.arange(rows.labels), -best))[:16]
        shares.append(len(set(found.tolist()) & set(query.targets)) / len(query.targets))
    return 100 * float(np.mean(shares))


def test_labels_as_the_device_would_encode_them(aliased: Artifact) -> None:
    """By the quantized screener itself, one text at a time."""
    made = encode(aliased, labels_from="quantized", alias_cosine=1.0)
    screener = Quantize(aliased.recipe, aliased.target).quantize(aliased.graphs.screener, aliased.recipe.screener)
    assert screener != aliased.graphs.screener
    alone = encode_rows(screener, made.rows.tokens, False, 1)
    np.testing.assert_array_equal(made.vectors, alone)


@pytest.fixture(scope="module")
def described() -> Artifact:
    """Of labels with descriptions; every other calibration query asks by these, and the last one repeats one."""
    labels = tiny_described(tiny_labels(120))
    named, meant = tiny_queries(labels, 80, 0), described_queries(labels, 80)
    queries = named[::2] + meant[1::2]
    repeated = Query("r", labels.descriptions[7][0], (7,))
    recipe = Recipe("eight-byte codes", index=IndexRecipe(code_bytes=8, overfetch=64))
    student = tiny_student(labels).with_labels(labels, (*queries, repeated), tiny_queries(labels, 40, 1))
    return Export().run(begin(student, recipe, load_target("host")))


def test_queries_that_are_descriptions_measure_nothing(described: Artifact) -> None:
    assert len(described.student.calibration) == 80
    assert described.facts["queries_that_are_descriptions"] == {"calibration": 1, "evaluation": 0}
    student = described.student
    most = tuple(Query(str(label), student.labels.descriptions[label][0], (label,)) for label in range(100))
    with pytest.raises(BadInput, match="100 of the student's 180 calibration queries are descriptions of their own"):
        begin(dataclasses.replace(student, calibration=student.calibration + most), described.recipe, described.target)


@pytest.mark.parametrize("form", ["joined", "rows", "auto"])
def test_descriptions_become_rows(described: Artifact, form: str) -> None:
    wanted = dataclasses.replace(described.recipe, index=dataclasses.replace(described.recipe.index, descriptions=form))
    started = Export().run(begin(described.student, wanted, described.target))
    made = encode(started, descriptions=form)
    told = made.facts["descriptions"]
    assert made.rows.descriptions == told["rows"] == 120 - told["dropped_near_label_text"]
    assert len(made.vectors) == len(made.rows) == 120 + told["rows"]
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-5)
    if form == "auto":
        best = max(("joined", "rows", "none"), key=lambda name: (told[f"R@16_{name}"], told[f"P@1_{name}"]))
        assert (told["form"], told["queries"]) == (best, 80)
        assert told[f"R@16_{best}"] > 80
    else:
        assert told["form"] == form
    plain = encode_rows(started.graphs.label_encoder, started.rows.tokens, True, 1)
    label = int(made.rows.alias_labels.values[0])
    expected = plain[label] + plain[120 + label] if made.rows.joined else plain[120 + label]
    np.testing.assert_allclose(made.vectors[120], expected / np.linalg.norm(expected), atol=1e-5)


def test_descriptions_are_left_out_where_queries_find_more_without_them(described: Artifact) -> None:
    """Labels that are described by what others mean, asked for by their names."""
    labels = described.student.labels
    others = labels.descriptions[1:] + labels.descriptions[:1]
    mixed_up = dataclasses.replace(labels, descriptions=tuple((labels.texts[i - 1], *d) for i, d in enumerate(others)))
    named = tiny_queries(labels, 80, 0)
    student = described.student.with_labels(mixed_up, named, tiny_queries(labels, 40, 1))
    made = encode(Export().run(begin(student, described.recipe, described.target)))
    told = made.facts["descriptions"]
    best = {name: (told[f"R@16_{name}"], told[f"P@1_{name}"]) for name in ("joined", "rows", "none")}
    assert told["form"] == "none"
    assert best["none"] > max(best["joined"], best["rows"])
    assert made.rows.descriptions == 0
    assert len(made.vectors) == len(made.rows) == 120


def test_descriptions_are_left_out_where_the_recipe_says_so(described: Artifact) -> None:
    index = dataclasses.replace(described.recipe.index, descriptions="none")
    started = begin(described.student, dataclasses.replace(described.recipe, index=index), described.target)
    assert (len(started.rows), started.rows.descriptions, started.facts) == (120, 0, {})
