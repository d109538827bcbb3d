"""Students without attention, and label sets of many aliases, through the whole compiler to the C runtime."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgexl.bundle.layout import Kind
from edgexl.bundle.plan import Code, Function, Plan
from edgexl.bundle.read import read_bundle
from edgexl.bundle.weights import unpack_weights
from edgexl.compiler import CompileReport, compile
from edgexl.compiler.measure.reference import ReferencePipeline
from edgexl.compiler.recipe import GraphRecipe, IndexRecipe, Recipe
from edgexl.data.label_set import LabelSet
from edgexl.runtime.binding import open_bundle
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.tiny import AS_IT_IS, SHAPES, WORDS, tiny_labels, tiny_ngram_student, tiny_tokenizer

RECIPE = Recipe(
    "test",
    screener=GraphRecipe("int8-token"),
    index=IndexRecipe(code_bytes=8, overfetch=64, lexical="none"),
    **AS_IT_IS,
)


@pytest.fixture(scope="module")
def micro() -> Student:
    return tiny_ngram_student(tiny_labels(aliases=True))


@pytest.fixture(scope="module")
def bundle(micro: Student, tmp_path_factory: pytest.TempPathFactory) -> CompileReport:
    return compile(micro, RECIPE, "host", tmp_path_factory.mktemp("bundle") / "micro.exl")


def assert_the_runtime_agrees(path: Path, texts: list[str]) -> list[int]:
    """The C runtime's shortlists, scores and logits are the reference's; returns the shortlists' lengths."""
    reference = ReferencePipeline.from_bundle(path, tiny_tokenizer())
    lengths, same = [], 0
    with open_bundle(path) as handle:
        assert handle.self_test()["failed"] == 0
        for text, wanted in zip(texts, reference.answers(texts), strict=True):
            got = handle.predict(text)
            # the last digit of a float may move an activation by one of its 255 steps, and the query vector with it;
            # what the index then finds is exact
            np.testing.assert_allclose(got.query_vector, wanted.query_vector, atol=2e-3)
            found = reference.screening.search(got.query_vector)
            assert got.shortlist_labels.tolist() == found.labels.tolist(), text
            np.testing.assert_allclose(got.shortlist_scores, found.scores.max(1), atol=1e-6)
            if found.labels.tolist() == wanted.labels.tolist():
                same += 1
                np.testing.assert_allclose(got.shortlist_logits, wanted.logits, atol=1e-2)
            lengths.append(len(found.labels))
    assert same >= 0.9 * len(texts)
    return lengths


def test_it_compiles_and_runs(micro: Student, bundle: CompileReport) -> None:
    assert bundle.ledger[0].accuracy.p_at_1 is not None
    assert bundle.ledger[0].accuracy.p_at_1 > 50  # random weights, but words that are shared show
    assert abs(bundle.ledger[-1].accuracy.p_at_1 - bundle.ledger[0].accuracy.p_at_1) < 6
    texts = [query.text for query in micro.evaluation[:60]]
    assert_the_runtime_agrees(bundle.path, [*texts, "zzzzz zyx ba", "[PAD] ba [CLS] [SEP]", "be " * 40])


def test_the_table_is_stored_once_in_bytes_with_its_weights(bundle: CompileReport) -> None:
    opened = read_bundle(bundle.path)
    weights = unpack_weights(opened.section(Kind.SCREENER_WEIGHTS))
    tables = [dims for kind, dims, _ in weights.values() if kind == onnx.TensorProto.INT8 and len(dims) == 2]
    assert tables == [(SHAPES.vocabulary + 2048, 32)]
    others = sum(len(content) for _, dims, content in weights.values()) - 32 * (SHAPES.vocabulary + 2048)
    assert others < 4 * (SHAPES.vocabulary + 2048) + 20_000  # a scale a row, and the small products
    plan = Plan.unpack(bytes(opened.section(Kind.SCREENER_GRAPH)))
    assert Function.EXP not in [operation.function for operation in plan.operations if operation.code == Code.MAP]


def test_two_compiles_are_the_same_bytes(
    bundle: CompileReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    host = load_target("host")
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    again = compile(tiny_ngram_student(tiny_labels(aliases=True)), RECIPE, host, tmp_path / "again.exl")
    assert again.path.read_bytes() == bundle.path.read_bytes()


def test_a_recipe_says_which_aliases_say_nothing_new(micro: Student, tmp_path: Path) -> None:
    """The manifest counts those left out, and what that cost."""
    recipe = dataclasses.replace(RECIPE, index=dataclasses.replace(RECIPE.index, alias_cosine=0.05))
    report = compile(micro, recipe, "host", tmp_path / "fewer.exl")
    facts = read_bundle(report.path).manifest["aliases"]
    left_out = facts["dropped_near_label_text"] + facts["dropped_near_other_alias"]
    assert 10 < left_out < 100
    assert facts["rows"] == read_bundle(report.path).parameters.rows - 300
    assert facts["queries"] == 200
    assert facts["R@16"] <= facts["R@16_with_all"] + 5
    assert_the_runtime_agrees(report.path, [query.text for query in micro.evaluation[:20]])


def test_crowds_of_aliases(tmp_path: Path) -> None:
    """A label of 2,000 aliases, which can fill all places of the over-fetch, and aliases of 150 labels each."""
    base = tiny_labels(300)
    many = [f"{a} {b}" for a in WORDS[:30] for b in WORDS[20:]][:2000]
    aliases: list[tuple[str, ...]] = [("ba be bi bo bu", "fa fe fi") if at % 2 else () for at in range(300)]
    aliases[7] = tuple(many)
    aliases[8] = ("fa fe fi", *many[:900], *(text.upper() for text in many[:900]))
    labels = LabelSet(base.ids, base.texts, tuple(aliases))
    report = compile(tiny_ngram_student(labels), RECIPE, "host", tmp_path / "crowd.exl")
    opened = read_bundle(report.path)
    starts, _ = opened.row_labels
    assert np.diff(starts).max() == 150
    facts = opened.manifest["aliases"]
    assert facts["rows"] == len(starts) - 1
    # each alias is one row, whoever has it; what is missing of them was left out and counted
    assert facts["rows"] + facts["dropped_near_label_text"] + facts["dropped_near_other_alias"] == 2002
    if facts["dropped_near_label_text"] + facts["dropped_near_other_alias"]:
        assert abs(facts["R@16"] - facts["R@16_with_all"]) < 2
    lengths = assert_the_runtime_agrees(report.path, [*many[::100], "ba be bi", "fa fe", *labels.texts[:20]])
    assert min(lengths) < 16 <= max(lengths)
