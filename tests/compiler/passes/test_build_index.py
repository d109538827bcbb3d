"""Build the index: codes of the rotated vectors, and float graphs that speak the rotated space."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_rows
from edgexl.compiler.encoding.workers import LocalWorkers
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.graphs.schemes import product_names
from edgexl.compiler.passes.build_index import VOTES, VOTES_TRIED, BuildIndex
from edgexl.compiler.passes.encode import Encode
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import CalibrateRecipe, IndexRecipe, Recipe
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.student.contract import sample_inputs
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE
from tests.tiny import AS_IT_IS, described_queries, tiny_described, tiny_labels, tiny_student


@pytest.fixture(scope="module")
def encoded(student: Student) -> Artifact:
    artifact = Export().run(begin(student, TINY_RECIPE, load_target("host")))
    vectors = encode_rows(artifact.graphs.label_encoder, artifact.rows.tokens, True, 1)
    return dataclasses.replace(artifact, vectors=vectors)


def test_codes_and_graphs_are_of_the_rotated_space(encoded: Artifact) -> None:
    made = BuildIndex(IndexRecipe(rotation="random", code_bytes=4, fine_bits=8, overfetch=64)).run(encoded)
    assert made.rotation is not None
    np.testing.assert_allclose(made.vectors, encoded.vectors @ made.rotation, atol=1e-6)
    every = np.arange(len(made.vectors))
    np.testing.assert_allclose(made.index.decompress(every), made.vectors, atol=0.01)
    inputs = sample_inputs(encoded.student.screener, encoded.shapes, tokens=9, labels=6)
    feeds = {name: value.numpy() for name, value in inputs.items()}
    wanted = Session(encoded.graphs.reasoner).run(feeds)[0]
    vector = Session(made.graphs.screener).run(feeds)[0]
    np.testing.assert_allclose(vector, feeds["query_vector"] @ made.rotation, atol=1e-5)
    turned = feeds | {"query_vector": vector, "label_vectors": feeds["label_vectors"] @ made.rotation}
    np.testing.assert_allclose(Session(made.graphs.reasoner).run(turned)[0], wanted, atol=1e-3)
    assert made.graphs.label_encoder == encoded.graphs.label_encoder
    # what is left to quantize: every product that there was, and the rotation's
    assert set(product_names(encoded.graphs.reasoner)) <= set(product_names(made.graphs.reasoner))
    assert "query_vector/rotate" in product_names(made.graphs.screener)


def test_without_a_rotation_the_graphs_stay(encoded: Artifact) -> None:
    made = BuildIndex(IndexRecipe(code_bytes=4, overfetch=64)).run(encoded)
    assert made.rotation is None
    assert made.graphs == encoded.graphs
    np.testing.assert_array_equal(made.vectors, encoded.vectors)


def test_fine_codes_keep_all_dimensions_where_there_are_fewer_than_the_recipe_says(encoded: Artifact) -> None:
    dims = encoded.vectors.shape[1]
    assert BuildIndex(IndexRecipe(code_bytes=4, fine_dims=1000)).run(encoded).index.fine_dims == dims - dims % 2


def test_votes_weigh_something_where_labels_are_described_and_what_queries_say_where_these_can_tell() -> None:
    labels = tiny_described(tiny_labels(120))
    index = IndexRecipe(code_bytes=8, overfetch=64, alias_cosine=1.0)
    recipe = Recipe("eight-byte codes", index=index, calibrate=CalibrateRecipe("none"), **AS_IT_IS)
    quantize = Quantize(recipe, load_target("host"))

    def indexed(queries: tuple[Query, ...], labels: LabelSet = labels) -> Artifact:
        student = tiny_student(labels).with_labels(labels, queries, ())
        artifact = Export().run(begin(student, recipe, load_target("host")))
        artifact = Encode(recipe.index, quantize, LocalWorkers(1)).run(artifact)
        return BuildIndex(recipe.index).run(artifact)

    without = indexed(())
    assert without.facts["votes"] == {"weight": VOTES}
    assert without.index.weighing.votes_weight == VOTES > 0
    asked = indexed(described_queries(labels, 60))
    told = asked.facts["votes"]
    assert (told["queries"], told["weight"]) == (60, asked.index.weighing.votes_weight)
    assert sum(told["chosen"].values()) >= sum(told["usual"].values())
    assert told["weight"] in (VOTES, *VOTES_TRIED)
    bare = indexed((), tiny_labels(120))
    assert "votes" not in bare.facts
    assert bare.index.weighing.votes_weight == 0
