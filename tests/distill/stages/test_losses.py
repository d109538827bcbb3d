"""The two stages' objectives: what is masked, what is weighted, who is imitated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgexl.data import Query
from edgexl.distill.corpus.divide import gold_labels
from edgexl.distill.corpus.rows import RowTable, with_query_aliases
from edgexl.distill.methods.mechanistic import MECHANISTIC, choose_columns, decision_loss
from edgexl.distill.methods.standard import STANDARD
from edgexl.distill.recipe import ReasoningTable, ScreeningTable
from edgexl.distill.stages.reasoning import mark_gold, opinion
from edgexl.distill.stages.screening import (
    GoldRows,
    HardRows,
    Lists,
    ScreeningData,
    encode_pool,
    wrong_rows,
)
from edgexl.distill.stages.training import divergence
from edgexl.student import tokens
from edgexl.student.text import encode_texts
from edgexl.student.tokens import TokenTable
from tests.tiny import tiny_labels, tiny_queries, tiny_student

CPU = torch.device("cpu")
STUDENT = tiny_student()


def screening_data(aliases: bool) -> ScreeningData:
    """300 labels; two queries a label, the second kind serving as aliases too where wanted."""
    labels = tiny_labels()
    queries = (*tiny_queries(labels, 200, 0), *tiny_queries(labels, 200, 1))
    if aliases:
        labels = with_query_aliases(labels, queries)
    rows = RowTable.make(labels, STUDENT.tokenizer, 16, CPU)
    tokens = TokenTable.of(encode_texts(STUDENT.tokenizer, [query.text for query in queries], 16), CPU)
    return ScreeningData(tokens, gold_labels(queries), rows, rows.rows_of_queries(queries))


@pytest.mark.parametrize("aliases", [False, True])
def test_right_rows_are_right_and_never_the_query_itself(aliases: bool) -> None:
    data = screening_data(aliases)
    asked = np.arange(400)
    kinds = set()
    for seed in range(5):
        drawn = GoldRows(data).draw(asked, np.random.default_rng(seed))
        assert not (drawn == data.own_texts).any()
        kinds |= set((drawn >= data.rows.labels).tolist())
        for query, row in zip(asked, drawn, strict=True):
            own = set(data.targets.pairs(np.array([query]))[1].tolist())
            assert own & set(data.rows.of.pairs(np.array([row]))[1].tolist())
    assert kinds == ({False, True} if aliases else {False})


def test_wrong_rows_leave_out_what_is_right() -> None:
    data = screening_data(True)
    asked = np.array([0, 5])
    right = [data.targets.pairs(np.array([query]))[1][0] for query in asked]
    best = np.array([[right[0], 17, data.own_texts[0], 20], [1, 2, 4, right[1]]])
    found = wrong_rows(data, asked, best)
    assert found.tolist() == [[17, 20, -1, -1], [1, 2, 4, -1]]


def test_a_pool_is_encoded_as_each_of_its_texts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "GROUP_TOKENS", (24, 24))  # several groups, some of one text
    data = screening_data(True)
    rng = np.random.default_rng(0)
    asked, candidates = rng.permutation(400)[:40], rng.integers(0, len(data.rows), 60)
    pool = encode_pool(STUDENT.screener, data, asked, candidates)
    assert pool.live is None
    for found, table, texts in ((pool.queries, data.queries, asked), (pool.rows, data.rows.tokens, candidates)):
        assert len(found) == len(texts)
        for vector, text in zip(found, texts, strict=True):
            alone = STUDENT.screener(*table.batch(np.array([text])))[0][0]
            assert torch.cosine_similarity(vector, alone, dim=0) > 0.999  # one is by products in bf16


def test_near_misses_that_are_mined_enter_the_pool() -> None:
    data = screening_data(False)
    table = ScreeningTable(steps=10, batch=16, random_labels=8, hard_labels=1)
    plain = MECHANISTIC.screening_losses(STUDENT.screener, data, table, HardRows(), 0)(0)["task"]
    near = np.argsort(-np.random.default_rng(0).random((400, 300)), 1)[:, :16]
    mined = MECHANISTIC.screening_losses(STUDENT.screener, data, table, HardRows(near), 0)(0)["task"]
    assert float(mined.detach()) > float(plain.detach())  # more candidates, none of them right


def test_the_teachers_terms_vanish_where_the_student_equals_it() -> None:
    data = screening_data(False)
    with torch.no_grad():
        vectors = [STUDENT.screener(*t.batch(np.arange(len(t))))[0] for t in (data.queries, data.rows.tokens)]
    data = replace(data, query_teacher=vectors[0], row_teacher=vectors[1])
    table = ScreeningTable(steps=10, batch=16, random_labels=8, ranking_weight=1.0)
    found = MECHANISTIC.screening_losses(STUDENT.screener, data, table, HardRows(), 0)(0)
    assert float(found["distance"].detach()) < 1e-2
    assert float(found["ranking"].detach()) < 1e-2
    other = replace(data, query_teacher=vectors[0].roll(1, 0))
    worse = MECHANISTIC.screening_losses(STUDENT.screener, other, table, HardRows(), 0)(0)
    assert float(worse["distance"].detach()) > 0.1
    assert float(worse["ranking"].detach()) > 0.1


def test_standard_distillation_hears_of_nothing_but_the_final_distribution() -> None:
    data = screening_data(False)
    labels = np.random.default_rng(1).integers(0, 300, (400, 4))
    shares = np.full((400, 4), 0.25, np.float32)
    table = ScreeningTable(steps=10, batch=16, random_labels=8)
    losses = STANDARD.screening_losses(
        STUDENT.screener, replace(data, lists=Lists(labels, shares)), table, HardRows(), 0
    )
    # the data's own gold labels may be anything at all
    other = replace(data, targets=gold_labels([Query("x", "x", (0,))] * 400), lists=Lists(labels, shares))
    assert set(losses(0)) == {"loss"}
    assert torch.equal(
        losses(0)["loss"], STANDARD.screening_losses(STUDENT.screener, other, table, HardRows(), 0)(0)["loss"]
    )


def test_a_reasoner_that_is_sure_and_right_pays_nothing() -> None:
    table = ReasoningTable(steps=1, teacher_weight=0.0)
    right = torch.tensor([[False, True, False], [False, False, False]])
    sure = torch.tensor([[-20.0, 20.0, -20.0], [-20.0, -20.0, -20.0]])
    assert float(decision_loss(sure, right, None, table)["loss"]) < 1e-6
    # the same confidence where "none of these" is right
    assert float(decision_loss(sure.roll(1, 0), right, None, table)["loss"]) > 10


def test_what_confuses_the_teacher_weighs_more() -> None:
    logits = torch.tensor([[2.0, 1.0, 1.0]])
    right = torch.tensor([[True, False, False]])
    teacher = torch.tensor([[3.0, 3.0, -3.0]])
    plain, weighted = (
        float(decision_loss(logits, right, teacher, ReasoningTable(1, teacher_weight=0.0, near_miss_weight=w))["loss"])
        for w in (0.0, 2.0)
    )
    assert weighted > plain
    same = torch.full((1, 3), -torch.inf)  # no opinion at all
    silent = decision_loss(logits, right, same, ReasoningTable(1, teacher_weight=1.0, near_miss_weight=2.0))
    assert float(silent["loss"]) == pytest.approx(plain)


def test_divergence_is_zero_for_the_same_distribution_and_positive_otherwise() -> None:
    logits = torch.randn(5, 7)
    assert float(divergence(opinion(logits, 1.0), logits.log_softmax(-1))) == pytest.approx(0, abs=1e-6)
    assert float(divergence(opinion(logits.roll(1, 1), 1.0), logits.log_softmax(-1))) > 0.1
    assert bool((opinion(torch.full((2, 3), -torch.inf), 1.0) == 0).all())


def test_gold_labels_can_be_taken_out_of_a_shortlist() -> None:
    right = torch.tensor([[False, True, False, False, True], [True, False, False, False, False]])
    columns = choose_columns(right, 3, torch.tensor([True, False]))
    assert columns.tolist() == [[0, 2, 3], [0, 1, 2]]


def test_gold_labels_are_marked() -> None:
    targets = gold_labels([Query("a", "a", (3, 5)), Query("b", "b", (0,))])
    marked = mark_gold(torch.tensor([[5, 1, 3], [3, 5, 0]]), targets, 10)
    assert marked.tolist() == [[True, False, True], [False, False, True]]


def test_the_decision_loss_is_its_formula() -> None:
    """By plain loops: gold labels' shares against a crowd in which what confuses the teacher counts more."""
    draw = np.random.default_rng(0)
    logits, theirs = draw.standard_normal((6, 5)), draw.standard_normal((6, 5)) * 2
    theirs[2, 3] = -np.inf  # it has not seen that label
    theirs[4] = -np.inf  # nor any of these
    right = draw.random((6, 5)) < 0.3
    right[0], right[1, :2] = False, True
    assert right[2:].any()
    table = ReasoningTable(1, teacher_weight=0.3, teacher_temperature=1.5, near_miss_weight=0.7)
    tasks, lessons = [], []
    for z, t, r in zip(logits, theirs, right, strict=True):
        known = np.isfinite(t)
        wanted = np.where(known, np.exp(np.where(known, t, 0) / 1.5), 0.0)
        wanted = wanted / wanted.sum() if known.any() else wanted
        crowd = np.where(r, 1.0, 1 + 0.7 * 5 * wanted)
        total = (crowd * np.exp(z)).sum() + 1  # and "none of these"
        tasks.append(np.mean([-np.log(np.exp(z[i]) / total) for i in np.flatnonzero(r)]) if r.any() else np.log(total))
        own = np.exp(z) / np.exp(z).sum()
        lessons.append(sum(w * np.log(w / o) for w, o in zip(wanted, own, strict=True) if w > 0))
    found = decision_loss(torch.tensor(logits), torch.tensor(right), torch.tensor(theirs), table)
    assert float(found["task"]) == pytest.approx(np.mean(tasks), rel=1e-5)
    assert float(found["imitation"]) == pytest.approx(np.mean(lessons), rel=1e-5)
    assert float(found["loss"]) == pytest.approx(np.mean(tasks) + 0.3 * np.mean(lessons), rel=1e-5)
    alone = decision_loss(torch.tensor(logits), torch.tensor(right), None, table)
    assert set(alone) == {"loss"}
    plain = decision_loss(
        torch.tensor(logits), torch.tensor(right), torch.tensor(theirs), replace(table, near_miss_weight=0.0)
    )
    assert float(alone["loss"]) == pytest.approx(float(plain["task"]), rel=1e-6)


def test_columns_are_as_many_as_there_are() -> None:
    right = torch.tensor([[True, False, True]])
    assert choose_columns(right, 5, torch.tensor([False])).tolist() == [[0, 1, 2]]
    assert choose_columns(right, 2, torch.tensor([True])).tolist() == [[1, 0]]
