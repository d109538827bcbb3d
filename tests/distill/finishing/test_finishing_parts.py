"""What finishing trains on: pools, rankings of the float self, shortlists as the device makes them; losses by hand."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgexl.base.errors import BadInput
from edgexl.base.progress import no_progress
from edgexl.compiler.recipe import GraphRecipe, IndexRecipe, ReasonerRecipe, Recipe
from edgexl.data import Query
from edgexl.distill.corpus.divide import gold_labels
from edgexl.distill.finishing.finish import _make_trainable, _prepare, _usable, split_of
from edgexl.distill.finishing.finish_reasoning import (
    _shortlists,
    _shortlists_with_evidence,
    finish_reasoner,
    hidden_descriptions,
)
from edgexl.distill.finishing.finish_screening import _pool, _rank_by_float_self, _student_vectors, finish_screener
from edgexl.distill.finishing.setup import Setup, choose_code, cross_entropy, encode_rows, float_rows
from edgexl.distill.finishing.table import FinishingTable
from edgexl.distill.recipe import SplitTable
from edgexl.distill.stages.screening import Batches
from edgexl.distill.stages.search import encode_table
from edgexl.distill.stages.simulate import FULL_RANGE, IndexCodes, simulate
from edgexl.distill.stages.training import divergence
from edgexl.student.student import Student
from tests.student.test_reasoner import residual_student
from tests.tiny import tiny_labels, tiny_queries, tiny_student

ALIASED = tiny_labels(aliases=True)
RECIPE = Recipe(
    "short codes", screener=GraphRecipe("int4-weights"), reasoner=ReasonerRecipe("int4-weights"),
    index=IndexRecipe(rotation="pca", code_bytes=2, fine_dims=16, overfetch=300),
)  # fmt: skip
TABLE = FinishingTable(screening_steps=3, screening_batch=16, random_rows=20, near_rows=7)


@pytest.fixture
def student() -> Student:
    return tiny_student(ALIASED)


@pytest.fixture
def setup(student: Student, tmp_path: Path) -> Setup:
    return _prepare(student, RECIPE, TABLE, FULL_RANGE, 5, "cpu", tmp_path / "work", no_progress, lambda line: None)


@pytest.fixture
def queries() -> tuple[Query, ...]:
    """Of the first ten, the text is an alias of their label."""
    named = [Query(f"a{label}", ALIASED.aliases[label][0], (label,)) for label in range(0, 30, 3)]
    return (*named, *tiny_queries(ALIASED, 90, 1))


def test_losses_by_hand() -> None:
    own = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]]).log()
    right = torch.tensor([[True, True, False], [False, False, False], [False, False, True]])
    by_hand = -((np.log(0.5) + np.log(0.25)) / 2 + np.log(0.6)) / 2
    assert float(cross_entropy(own, right)) == pytest.approx(by_hand, rel=1e-6)
    assert float(cross_entropy(own, torch.zeros_like(right))) == 0.0
    wanted = torch.tensor([[1.0, 0.0, 0.0], [0.1, 0.6, 0.3], [0.5, 0.5, 0.0]])
    by_hand = (np.log(1 / 0.5) + 0 + np.log(0.5 / 0.2)) / 3
    assert float(divergence(wanted, own)) == pytest.approx(by_hand, rel=1e-5)


def test_the_float_selfs_ranking_leaves_out_the_query_itself(setup: Setup, queries: tuple[Query, ...]) -> None:
    rows, tokens = setup.rows, setup.tokens(queries)
    own = rows.rows_of_queries(queries)
    assert (own[:10] >= rows.labels).all()
    vectors = float_rows(setup)
    exact = encode_table(setup.original.screener, rows.tokens, "", no_progress)
    assert vectors.dtype == torch.float16
    assert torch.allclose(vectors.float(), exact, atol=2e-3)
    batches = Batches(tokens.lengths, 16, setup.seed)
    ranking = _rank_by_float_self(setup, queries, tokens, own, vectors, batches)
    asked = sorted({int(place) for step in range(3) for place in batches.at(step)})
    assert sorted(np.flatnonzero(ranking.place >= 0)) == asked
    assert ranking.best.shape == (len(asked), 256)
    for query in asked:
        place = int(ranking.place[query])
        scores = (
            vectors.float() @ encode_table(setup.original.screener, setup.tokens([queries[query]]), "", no_progress)[0]
        )
        if own[query] >= 0:
            assert own[query] not in ranking.best[place]
            scores[own[query]] = -torch.inf
        best = scores[torch.from_numpy(ranking.best[place])]
        assert torch.allclose(best, scores.topk(256).values, atol=1e-2)
        assert ranking.best[place, 0] == int(scores.argmax()) or float(scores.max() - best[0]) < 1e-2


def test_a_pool_holds_the_best_rows_some_deeper_ones_strangers_and_what_is_right(
    setup: Setup, queries: tuple[Query, ...]
) -> None:
    tokens, targets = setup.tokens(queries), gold_labels(queries)
    own = setup.rows.rows_of_queries(queries)
    batches = Batches(tokens.lengths, 16, setup.seed)
    ranking = _rank_by_float_self(setup, queries, tokens, own, float_rows(setup), batches)
    asked = batches.at(0)
    ranking = replace(ranking, best=ranking.best[:, :12])  # of 400 rows, so that some are strangers to all
    pool = _pool(setup, targets, ranking, asked, np.random.default_rng(1))
    assert (np.diff(pool) > 0).all()
    best = ranking.best[ranking.place[asked]]
    certain = {*best[:, :3].ravel().tolist(), *(target for query in asked for target in queries[query].targets)}
    assert certain <= set(pool.tolist())
    assert len(certain) < len(pool) <= len(certain) + 16 * 4 + 20  # seven rows a query, three of them the best
    draw = np.random.default_rng(1)
    columns = draw.integers(0, 12, (16, 4))
    deeper = {int(row[column]) for row, some in zip(best, columns, strict=True) for column in some}
    assert set(pool.tolist()) == certain | deeper | set(draw.integers(0, len(setup.rows), 20).tolist())


def test_rows_are_encoded_as_the_compiler_will(setup: Setup, queries: tuple[Query, ...]) -> None:
    screener = setup.original.screener
    exact = encode_table(screener, setup.rows.tokens, "", no_progress, half=False)
    assert torch.allclose(encode_rows(setup, screener), exact, atol=2e-2)
    some = np.array([3, 299, 310])
    assert torch.allclose(encode_rows(setup, screener, some), exact[some], atol=2e-2)
    with simulate(screener, RECIPE.screener, FULL_RANGE):
        rounded = encode_table(screener, setup.rows.tokens, "", no_progress, half=False)
    quantized = replace(setup, recipe=replace(RECIPE, index=replace(RECIPE.index, labels_from="quantized")))
    assert torch.allclose(encode_rows(quantized, screener), rounded, atol=1e-5)
    assert not torch.allclose(rounded, exact, atol=2e-2)
    asked, pool = np.array([11, 40, 12]), np.array([2, 7, 150, 299, 305])
    own, rows = _student_vectors(setup, screener, setup.tokens(queries), asked, pool)
    assert torch.allclose(rows, exact[pool], atol=2e-2)
    with simulate(screener, RECIPE.screener, FULL_RANGE):
        wanted = encode_table(screener, setup.tokens([queries[i] for i in asked]), "", no_progress, half=False)
    assert torch.allclose(own, wanted, atol=1e-4)


def test_the_reasoners_lessons_are_shortlists_of_coded_rows(setup: Setup, queries: tuple[Query, ...]) -> None:
    screener, exact = setup.original.screener, float_rows(setup)
    codes = IndexCodes(RECIPE.index, 32, choose_code(setup))
    vectors = encode_rows(setup, screener)
    codes.learn(vectors)
    coded = codes.fine(codes.turn(vectors))
    lessons = _shortlists(setup, screener, codes, coded, exact, queries)
    assert lessons.found.labels.shape == (100, 16)
    own = setup.rows.rows_of_queries(queries)
    with simulate(screener, RECIPE.screener, FULL_RANGE):
        asked = encode_table(screener, lessons.tokens, "", no_progress, half=False)
    turned = codes.turn(asked)
    floats = encode_table(screener, lessons.tokens, "", no_progress)
    for query in range(0, 100, 7):
        coarse, fine = (coded @ turned[query]).detach(), exact.float() @ floats[query]
        best = {}
        for name, scores in (("coded", coarse), ("float", fine)):
            text, alias = scores[:300].clone(), torch.full((300,), -torch.inf)
            for row in range(300, len(setup.rows)):
                if row != own[query]:
                    for label in setup.rows.of.pairs(np.array([row]))[1]:
                        alias[label] = max(alias[label], scores[row])
            best[name] = text, torch.where(alias.isinf(), text, alias)
        total = torch.maximum(*best["coded"])
        labels = lessons.found.labels[query].long()
        assert torch.allclose(total[labels], total.topk(16).values, atol=1e-4)
        assert lessons.gold[query].tolist() == [label in queries[query].targets for label in labels.tolist()]
        text, alias = best["float"]
        assert torch.allclose(lessons.float_scores[query, :, 0].float(), text[labels], atol=5e-3)
        near = alias[labels] > fine.topk(128).values[-1]  # aliases far from the query are not looked for
        assert torch.allclose(lessons.float_scores[query, :, 1].float()[near], alias[labels][near], atol=5e-3)


def test_what_is_trained_and_on_what(student: Student, queries: tuple[Query, ...]) -> None:
    screener = student.screener
    assert _make_trainable(screener)
    assert {name for name, value in screener.named_parameters() if not value.requires_grad} == {
        "word.weight", "position.weight",
    }  # fmt: skip
    assert not _make_trainable(torch.nn.Sequential(torch.nn.Embedding(3, 2)))
    held = student.evaluation[0]
    usable = _usable(student, (*queries, held, Query("x", "nothing is right", ())), "screening")
    texts = {query.text for query in (*student.calibration, *student.evaluation)}
    assert usable == tuple(query for query in queries if query.text not in texts)
    with pytest.raises(BadInput, match="no screening queries"):
        _usable(student, (held,), "screening")


def test_a_student_says_how_its_queries_were_divided(student: Student) -> None:
    assert split_of(student) == SplitTable()
    told = replace(student, provenance={"recipe": {"split": {"calibration": 7, "reasoning_share": 0.5}}})
    assert split_of(told) == SplitTable(reasoning_share=0.5, calibration=7)
    assert split_of(replace(student, provenance={"recipe": "mine"})) == SplitTable()


@pytest.mark.parametrize(
    ("key", "inside", "outside"),
    [
        *((key, 0, -1) for key in ("screening_steps", "reasoning_steps", "random_rows")),
        *((key, 1, 0) for key in ("screening_batch", "reasoning_batch", "refresh_steps")),
        *((key, 1e-9, 0.0) for key in ("screening_rate", "reasoning_rate", "temperature")),
        *(
            (key, 0.0, -0.1)
            for key in ("coarse_weight", "vector_weight", "screening_data_weight", "reasoning_data_weight")
        ),
        ("near_rows", 2, 1),
    ],
)
def test_limits_of_the_table(key: str, inside: float, outside: float) -> None:
    assert getattr(FinishingTable(**{key: inside}), key) == inside  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\w"):
        FinishingTable(**{key: outside})  # type: ignore[arg-type]


def test_what_a_table_leaves_out() -> None:
    assert FinishingTable() == FinishingTable(
        screening_steps=300, screening_batch=64, screening_rate=1e-4, near_rows=8, random_rows=256, refresh_steps=50,
        temperature=0.1, coarse_weight=0.1, vector_weight=1.0, screening_data_weight=0.05, reasoning_steps=300,
        reasoning_batch=32, reasoning_rate=3e-4, reasoning_data_weight=0.1,
    )  # fmt: skip


@pytest.mark.parametrize("weights", [(0.3, 0.7, 0.2, 0.4), (0.0, 0.5, 0.0, 0.0)])
def test_each_stages_loss_is_the_sum_of_its_parts(
    setup: Setup, queries: tuple[Query, ...], weights: tuple[float, float, float, float]
) -> None:
    """As the curves tell it: a part without weight is not even measured."""
    coarse, vector, screening, reasoning = weights
    table = replace(
        TABLE, coarse_weight=coarse, vector_weight=vector, screening_data_weight=screening,
        reasoning_data_weight=reasoning, reasoning_steps=2, reasoning_batch=8,
    )  # fmt: skip
    setup = replace(setup, table=table)
    screener, reasoner = copy.deepcopy(setup.original.screener), copy.deepcopy(setup.original.reasoner)
    assert _make_trainable(screener)
    assert _make_trainable(reasoner)
    finish_screener(setup, screener, queries)
    (point,) = setup.curves.points
    assert (point["stage"], point["step"]) == ("finishing screener", 3)
    wanted = {"ranking": 1.0, "distance": vector} | ({"coarse": coarse} if coarse else {})
    wanted |= {"data": screening} if screening else {}
    assert set(point) == {"stage", "step", "seconds", "loss", *wanted}
    assert point["loss"] == pytest.approx(sum(weight * point[name] for name, weight in wanted.items()), rel=1e-4)
    assert all(point[name] > 0 for name in wanted)
    finish_reasoner(setup, screener, reasoner, queries)
    point = setup.curves.points[-1]
    assert (point["stage"], point["step"]) == ("finishing reasoner", 2)
    wanted = {"decision": 1.0} | ({"data": reasoning} if reasoning else {})
    assert set(point) == {"stage", "step", "seconds", "loss", *wanted}
    assert point["loss"] == pytest.approx(sum(weight * point[name] for name, weight in wanted.items()), rel=1e-4)
    for name, before in setup.original.screener.state_dict().items():
        moved = not torch.equal(screener.state_dict()[name], before)
        assert moved == (name not in ("word.weight", "position.weight")), name


@pytest.mark.parametrize("hides", ["one", "all"])
def test_a_reasoner_that_sees_all_evidence_is_finished_on_it(tmp_path: Path, hides: str) -> None:
    """Descriptions and words are met as in training: none that a query is itself."""
    student = residual_student(untrained=False)
    student = replace(student, provenance={"recipe": {"reasoning": {"hide_descriptions": hides}}})
    index = replace(RECIPE.index, lexical="auto", lexical_bytes=100.0)
    table = replace(TABLE, reasoning_steps=4, reasoning_batch=8)
    setup = _prepare(
        student, replace(RECIPE, index=index), table, FULL_RANGE, 5, "cpu", tmp_path, no_progress, lambda line: None
    )
    queries = (*tiny_queries(student.labels, 60, 1), *(
        Query(f"d{label}", texts[0], (label,)) for label, texts in enumerate(student.labels.descriptions[:40])
    ))  # fmt: skip
    screener, exact = setup.original.screener, float_rows(setup)
    codes = IndexCodes(index, 32, choose_code(setup))
    codes.learn(encode_rows(setup, screener))
    coded = codes.fine(codes.turn(encode_rows(setup, screener)))
    lessons = _shortlists_with_evidence(setup, screener, codes, coded, exact, queries)
    assert lessons.float_scores is None
    for known in (lessons.evidence, lessons.float_evidence):
        assert known is not None
        assert (known.words > 0).any()
        assert known.aliases.isfinite().any()
        assert not known.descriptions.isfinite().any()  # each label has but one
    assert hidden_descriptions(student) == hides
    reasoner = copy.deepcopy(setup.original.reasoner)
    assert _make_trainable(reasoner)
    finish_reasoner(setup, screener, reasoner, queries)
    assert setup.curves.points[-1]["decision"] < 1.0  # beside the float self on the same evidence
    before, after = setup.original.reasoner.state_dict(), reasoner.state_dict()
    assert not torch.equal(before["evidence_weight"], after["evidence_weight"])
