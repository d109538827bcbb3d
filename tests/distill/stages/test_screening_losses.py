"""The screener's losses by their formulas, in plain loops over a pool of few rows."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgexl.base.progress import no_progress
from edgexl.base.ragged import Ragged
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.distill.corpus.divide import epoch_batches, gold_labels
from edgexl.distill.corpus.rows import RowTable
from edgexl.distill.methods.mechanistic import MECHANISTIC, _draw_hard
from edgexl.distill.methods.standard import STANDARD
from edgexl.distill.recipe import ScreeningTable
from edgexl.distill.stages.screening import (
    Batches,
    GoldRows,
    HardRows,
    Lists,
    ScreeningData,
    TowerVectors,
    encode_pool,
    gold_mask,
    rotate_output,
    sample_vectors,
)
from edgexl.distill.stages.search import encode_table
from edgexl.student.screeners import kind_of
from edgexl.student.screeners.ngrams import NGRAMS, NgramScreener, bag_table
from edgexl.student.screeners.transformer import TransformerScreener
from edgexl.student.student import Student
from edgexl.student.text import encode_texts
from edgexl.student.tokens import TokenTable, hide_tokens
from tests.distill.stages.test_losses import STUDENT, screening_data
from tests.tiny import tiny_ngram_student, tiny_student

SEED, STEP, RANDOM = 3, 2, 8
TABLE = ScreeningTable(
    steps=10, batch=16, random_labels=RANDOM, temperature=0.07, teacher_weight=0.5, ranking_weight=0.25,
    ranking_temperature=0.1,
)  # fmt: skip


def uneven_data() -> ScreeningData:
    """400 queries: 300 of them for four labels, the others for a label each; every other has a second right one."""
    data = screening_data(False)
    labels = [[query % 4] if query < 300 else [query - 296] for query in range(400)]
    for query in range(0, 400, 2):
        labels[query].append(100 + query // 2 % 30)
    starts = np.cumsum([0, *map(len, labels)])
    return replace(data, targets=Ragged(np.concatenate([np.array(some) for some in labels]), starts))


def gold_of(data: ScreeningData, query: int) -> list[int]:
    return data.targets[query].tolist()


def expected_rows(data: ScreeningData) -> np.ndarray:
    """How often each label's row is in the pool on average: each query draws one of its labels, then come random
    rows."""
    expected = np.full(300, RANDOM / 300)
    for query in range(400):
        for label in gold_of(data, query):
            expected[label] += 16 / 400 / len(gold_of(data, query))
    return expected


def softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()


def pooled(data: ScreeningData, listed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A step's queries, the rows of its pool, and the columns of its lists, drawn as the losses draw them."""
    asked = Batches(data.queries.lengths, 16, SEED).at(STEP)
    rng = np.random.default_rng((SEED, STEP, 1))
    rows, columns = [GoldRows(data).draw(asked, rng)], np.zeros((16, 0), np.int64)
    if listed:
        assert data.lists is not None
        columns = rng.integers(0, data.lists.labels.shape[1], (16, listed))
        rows.append(np.maximum(np.take_along_axis(data.lists.labels[asked], columns, 1), 0).ravel())
    return asked, np.concatenate([*rows, rng.integers(0, 300, RANDOM)]), columns


def cosines(data: ScreeningData, asked: np.ndarray, pool: np.ndarray) -> np.ndarray:
    encoded = encode_pool(STUDENT.screener, data, asked, pool)
    return (encoded.queries.detach() @ encoded.rows.detach().T).double().numpy()


def task_by_hand(data: ScreeningData, asked: np.ndarray, pool: np.ndarray) -> float:
    """Mean over queries of -log softmax of the right row; its other right rows are no candidates."""
    close, expected = cosines(data, asked, pool), expected_rows(data)
    losses = []
    for place, query in enumerate(asked):
        right = gold_of(data, query)
        others = [place, *(column for column, row in enumerate(pool) if row not in right)]
        scores = close[place, others] / TABLE.temperature - np.log(expected[pool[others]])
        losses.append(-np.log(softmax(scores)[0]))
    return float(np.mean(losses))


def test_the_mechanistic_loss_is_its_formula() -> None:
    data = uneven_data()
    draw = torch.Generator().manual_seed(1)
    theirs = [torch.nn.functional.normalize(torch.randn(count, 32, generator=draw), dim=-1) for count in (400, 300)]
    data = replace(data, query_teacher=theirs[0], row_teacher=theirs[1])
    found = {
        name: float(value.detach())
        for name, value in MECHANISTIC.screening_losses(STUDENT.screener, data, TABLE, HardRows(), SEED)(STEP).items()
    }
    asked, pool, _ = pooled(data)
    assert found["task"] == pytest.approx(task_by_hand(data, asked, pool), rel=0.02)

    encoded = encode_pool(STUDENT.screener, data, asked, pool)
    lengths = [
        (own.detach() * teacher).sum(-1).mean()
        for own, teacher in ((encoded.queries, theirs[0][asked]), (encoded.rows, theirs[1][pool]))
    ]
    assert found["distance"] == pytest.approx(1 - float(sum(lengths)) / 2, rel=1e-3)

    close, opinion = cosines(data, asked, pool), (theirs[0][asked] @ theirs[1][pool].T).double().numpy()
    divergences = []
    for mine, yours in zip(close, opinion, strict=True):
        p, q = softmax(yours / TABLE.ranking_temperature), softmax(mine / TABLE.ranking_temperature)
        divergences.append((p * np.log(p / q)).sum())
    assert found["ranking"] == pytest.approx(np.mean(divergences), rel=0.02)
    assert found["loss"] == pytest.approx(found["task"] + 0.5 * found["distance"] + 0.25 * found["ranking"], rel=1e-5)


def test_a_teacher_of_lists_is_followed_by_its_shares() -> None:
    draw = np.random.default_rng(5)
    listed = np.where(draw.random((400, 6)) < 0.3, -1, draw.integers(0, 300, (400, 6)))
    lists = Lists(listed, draw.random((400, 6)).astype(np.float32))
    data = replace(uneven_data(), lists=lists)
    found = MECHANISTIC.screening_losses(STUDENT.screener, data, TABLE, HardRows(), SEED)(STEP)
    assert set(found) == {"loss", "task", "ranking"}
    asked, pool, columns = pooled(data, 4)
    close = cosines(data, asked, pool)
    divergences = []
    for place, query in enumerate(asked):
        labels, shares = lists.labels[query][columns[place]], lists.probabilities[query][columns[place]]
        kept = np.flatnonzero(labels >= 0)
        if not len(kept):
            divergences.append(0.0)
            continue
        p = shares[kept] / shares[kept].sum()
        q = softmax(close[place, 16 + 4 * place + kept] / TABLE.temperature)
        divergences.append((p * np.log(p / q)).sum())
    assert float(found["ranking"].detach()) == pytest.approx(np.mean(divergences), rel=0.02)
    assert float(found["task"].detach()) == pytest.approx(task_by_hand(data, asked, pool), rel=0.02)
    total = float(found["task"].detach()) + 0.25 * float(found["ranking"].detach())
    assert float(found["loss"].detach()) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("hard", [0, 2])
def test_the_standard_loss_is_its_formula(hard: int) -> None:
    """Labels that the teacher names more often are drawn more often, and the scores take that off again."""
    draw = np.random.default_rng(7)
    labels = np.stack(
        [draw.permutation(20)[:4] if query % 2 else 20 + draw.permutation(280)[:4] for query in range(400)]
    )
    labels[::3, 3] = -1
    shares = draw.dirichlet(np.ones(4), 400).astype(np.float32)
    shares[labels < 0] = 0.0
    shares /= shares.sum(1, keepdims=True)
    data = replace(uneven_data(), lists=Lists(labels, shares))
    table = replace(TABLE, hard_labels=hard)
    losses = STANDARD.screening_losses(STUDENT.screener, data, table, HardRows(), SEED)
    found = float(losses(STEP)["loss"].detach())

    asked = Batches(data.queries.lengths, 16, SEED).at(STEP)
    rng = np.random.default_rng((SEED, STEP, 1))
    points = rng.random((16, 1 + hard, 1))[:, :, 0]
    named = [
        int(labels[query][np.searchsorted(np.cumsum(shares[query]), point)])
        for query, some in zip(asked, points, strict=True)
        for point in some
    ]
    pool = np.unique([*named, *rng.integers(0, 300, RANDOM).tolist()])
    expected = np.full(300, RANDOM / 300)
    for query in range(400):
        for label, share in zip(labels[query], shares[query], strict=True):
            if label >= 0:
                expected[label] += 16 * (1 + hard) * share / 400
    close = cosines(data, asked, pool)
    losses = []
    for place, query in enumerate(asked):
        known = dict(zip(labels[query].tolist(), shares[query].tolist(), strict=True))
        wanted = np.array([known.get(int(label), 0.0) for label in pool])
        scores = close[place] / TABLE.temperature - np.log(expected[pool])
        losses.append(-(wanted / wanted.sum() * np.log(softmax(scores))).sum())
    assert found == pytest.approx(np.mean(losses), rel=0.02)


def test_aliases_are_expected_as_often_as_they_are_drawn() -> None:
    data = screening_data(True)
    right, expected = GoldRows(data), np.zeros(len(data.rows))
    rng = np.random.default_rng(0)
    for _ in range(300):
        expected += np.bincount(right.draw(np.arange(400), rng), minlength=len(data.rows)) * 16 / (300 * 400)
    expected += RANDOM / len(data.rows)
    said = right.log_expected(16, RANDOM, data.rows).double().exp().numpy()
    # a label that two queries ask for has both as aliases: its text stands in for the one that is the query itself
    texts = np.arange(len(data.rows)) < 300
    asked = np.isin(np.arange(len(data.rows)), data.targets.values)
    np.testing.assert_allclose(said[texts & ~asked], RANDOM / len(data.rows), rtol=1e-5)
    assert said[texts & asked].sum() < expected[texts & asked].sum() < 2.1 * said[texts & asked].sum()
    assert expected[~texts].sum() < said[~texts].sum() < 2.1 * expected[~texts].sum()


def aliased_data() -> ScreeningData:
    """Three labels, of which one has three aliases, one shares one of these, and one has none; four queries."""
    labels = LabelSet(("a", "b", "c"), ("ba be", "bi bo", "da do"), (("fa",), ("fa", "fe", "fi"), ()))
    rows = RowTable.make(labels, STUDENT.tokenizer, 16, torch.device("cpu"))
    queries = [Query("0", "fe", (1,)), Query("1", "ki", (0, 1)), Query("2", "ka", (2,)), Query("3", "fa", (1, 0))]
    tokens = TokenTable.of(encode_texts(STUDENT.tokenizer, [query.text for query in queries], 16), torch.device("cpu"))
    return ScreeningData(tokens, gold_labels(queries), rows, rows.rows_of_queries(queries))


def test_a_right_row_is_a_text_or_an_alias_of_the_rarest_label() -> None:
    """Rarest is the one of fewest aliases: what the last query itself is would be its only one."""
    data = aliased_data()
    assert data.own_texts.tolist() == [4, -1, -1, 3]
    right = GoldRows(data)
    drawn = np.stack([right.draw(np.arange(4), np.random.default_rng(seed)) for seed in range(300)])
    assert [set(column.tolist()) for column in drawn.T] == [{1, 3, 5}, {0, 1, 3}, {2}, {0, 1}]
    assert (drawn[:, 1] == 3).mean() == pytest.approx(0.5, abs=0.1)
    assert (drawn[:, 0] == 5).mean() == pytest.approx(1 / 6, abs=0.07)  # half the time an alias, and one of three
    # four draws of a batch are a text each time, or half the time where there are aliases; and a random row in six
    texts = np.array([0.25 + 0.25, 0.5 + 0.25 + 0.25, 1.0])
    said = right.log_expected(16, 8, data.rows).double().exp().tolist()
    assert said == pytest.approx([*(16 / 4 * texts + 8 / 6), *[16 / 4 * 0.5 + 8 / 6] * 3])


def test_near_misses_are_drawn_from_what_was_mined() -> None:
    mined = HardRows(np.array([[7, 8, 9, -1], [1, 2, 3, 4], [-1, -1, -1, -1]]))
    asked = np.array([2, 0])
    columns = np.random.default_rng(5).integers(0, 4, (2, 3))
    wanted = sorted({[7, 8, 9, -1][column] for column in columns[1]} - {-1})
    assert _draw_hard(mined, asked, 3, np.random.default_rng(5)).tolist() == wanted
    assert len(wanted) > 1  # or this shows nothing
    assert _draw_hard(mined, asked, 0, np.random.default_rng(5)).tolist() == []
    assert _draw_hard(HardRows(), asked, 3, np.random.default_rng(5)).tolist() == []


def test_texts_are_cut_where_nearly_all_are_whole() -> None:
    data = aliased_data()
    queries, rows = (
        TokenTable.of([[1] * length for length in range(1, count + 1)], torch.device("cpu")) for count in (101, 1001)
    )
    data = replace(data, queries=queries, rows=replace(data.rows, tokens=rows))
    assert (data.cut_query_tokens, data.cut_tokens) == (99, 999)


@pytest.mark.parametrize("ngrams", [False, True])
def test_tokens_of_queries_are_hidden_and_of_rows_are_not(ngrams: bool) -> None:
    data = aliased_data()
    screener = STUDENT.screener
    if ngrams:
        screener = tiny_ngram_student().screener
        assert isinstance(screener, NgramScreener)
        bags = [bag_table(screener, table) for table in (data.queries, data.rows.tokens)]
        data = replace(data, query_inputs=bags[0], row_inputs=bags[1])
    asked, candidates = np.arange(4), np.array([5, 0, 3])
    with torch.no_grad():
        whole = encode_pool(screener, data, asked, candidates)
        torch.manual_seed(0)
        hidden = encode_pool(screener, data, asked, candidates, 0.8)
    assert torch.equal(whole.rows, hidden.rows)
    assert not torch.allclose(whole.queries, hidden.queries, atol=0.1)


def unit_vectors(count: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 32, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_a_label_tower_stands_for_the_rows_and_draws_the_screener_near() -> None:
    data = uneven_data()
    tower = TowerVectors(unit_vectors(400, 1), unit_vectors(300, 2))
    data = replace(data, tower=tower)
    table = replace(TABLE, live_weight=0.75)
    losses = MECHANISTIC.screening_losses(STUDENT.screener, data, table, HardRows(), SEED)(STEP)
    found = {name: float(value.detach()) for name, value in losses.items()}
    asked, pool, _ = pooled(data)
    encoded = encode_pool(STUDENT.screener, data, asked, pool)
    assert torch.equal(encoded.rows, tower.rows[pool])
    assert not encoded.rows.requires_grad
    assert found["task"] == pytest.approx(task_by_hand(data, asked, pool), rel=0.02)
    near = (encoded.queries.detach() * tower.queries[asked]).sum(-1).mean()
    assert found["distance"] == pytest.approx(1 - float(near), rel=1e-3)
    some = np.array([row for place, row in enumerate(pool) if place % 2 == 0])
    own = encode_pool(STUDENT.screener, replace(data, tower=None), asked, some).rows.detach()
    assert found["live"] == pytest.approx(1 - float((own * tower.rows[some]).sum(-1).mean()), rel=1e-3)
    whole = found["task"] + 0.5 * found["distance"] + 0.75 * found["live"]
    assert found["loss"] == pytest.approx(whole, rel=1e-4)
    assert set(found) == {"loss", "task", "distance", "live"}

    taught = replace(data, query_teacher=unit_vectors(400, 3), row_teacher=unit_vectors(300, 4))
    more = MECHANISTIC.screening_losses(STUDENT.screener, taught, table, HardRows(), SEED)(STEP)
    assert float(more["distance"].detach()) == pytest.approx(
        found["distance"], rel=1e-3
    )  # the teacher's does not count
    assert float(more["ranking"].detach()) > 0  # its order does

    lists = Lists(np.arange(400)[:, None] % 300, np.ones((400, 1), np.float32))
    standard = STANDARD.screening_losses(STUDENT.screener, replace(data, lists=lists), table, HardRows(), SEED)(STEP)
    values = {name: float(value.detach()) for name, value in standard.items()}
    assert values["loss"] == pytest.approx(values["task"] + 0.75 * values["live"], rel=1e-4)
    assert 0 < values["live"] < 2


def test_rows_of_an_index_are_the_towers_where_there_is_one() -> None:
    data = uneven_data()
    sample = np.array([5, 0, 250])
    tower = TowerVectors(unit_vectors(400, 1).half(), unit_vectors(300, 2).half())
    found = sample_vectors(STUDENT.screener, replace(data, tower=tower), sample, "encode")
    assert torch.equal(found, tower.rows[sample].float())
    own = sample_vectors(STUDENT.screener, data, sample, "encode")
    with torch.no_grad():
        for place, row in enumerate(sample):
            alone = STUDENT.screener(*data.rows.tokens.batch(np.array([row])))[0][0]
            assert torch.cosine_similarity(own[place], alone, dim=0) > 0.999


def test_batches_are_an_epochs_and_then_the_nexts() -> None:
    lengths = np.random.default_rng(0).integers(2, 9, 50)
    batches = Batches(lengths, 16, SEED)
    wanted = [batch.tolist() for epoch in range(3) for batch in epoch_batches(lengths, 16, SEED, epoch)]
    assert len(wanted) == 9
    assert [batches.at(step).tolist() for step in range(9)] == wanted
    assert batches.at(4).tolist() == wanted[4]
    assert sorted(Batches(lengths[:5], 16, SEED).at(7).tolist()) == list(range(5))


@pytest.mark.parametrize("layers", [0, 1])
def test_frozen_parts_are_the_embeddings_and_the_first_layers(layers: int) -> None:
    screener = tiny_student().screener
    assert isinstance(screener, TransformerScreener)
    screener.layers.append(copy.deepcopy(screener.layers[0]))
    kind_of(screener).freeze(screener, layers)
    still = {name.split(".")[0] + name.split(".")[1] * name.startswith("layers")
             for name, part in screener.named_parameters() if not part.requires_grad}  # fmt: skip
    assert still == ({"word", "position", "embedding_norm", "layers0"} if layers else set())
    NGRAMS.freeze(tiny_ngram_student().screener, 1)  # it has none


def test_without_a_teacher_the_task_is_all_there_is() -> None:
    """Whatever its opinion would weigh."""
    data = uneven_data()
    found = MECHANISTIC.screening_losses(STUDENT.screener, data, TABLE, HardRows(), SEED)(STEP)
    assert set(found) == {"loss", "task"}
    assert float(found["loss"].detach()) == float(found["task"].detach())
    asked, pool, _ = pooled(data)
    assert float(found["task"].detach()) == pytest.approx(task_by_hand(data, asked, pool), rel=0.02)


def test_hidden_tokens_are_a_share_of_all_but_the_first() -> None:
    mask = torch.ones(200, 21, dtype=torch.int64)
    mask[:, 15:] = 0
    torch.manual_seed(0)
    drawn = torch.rand(mask.shape) >= 0.3
    torch.manual_seed(0)
    shown = hide_tokens(mask, 0.3)
    assert bool((shown[:, 0] == 1).all())
    assert torch.equal(shown[:, 1:], mask[:, 1:] * drawn[:, 1:])
    assert float(shown[:, 1:15].double().mean()) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("make", [tiny_student, tiny_ngram_student])
def test_an_output_is_turned_to_the_labels_principal_axes(make: Callable[[], Student]) -> None:
    screener = make().screener
    assert isinstance(screener, TransformerScreener | NgramScreener)
    last = (screener.down, screener.skip) if isinstance(screener, NgramScreener) else (screener.projection,)
    with torch.no_grad():
        for part in last:
            if part.bias is not None:
                part.bias.normal_()
    ids = torch.randint(4, 100, (5, 6), generator=torch.Generator().manual_seed(1))
    labels = torch.randn(50, 32, generator=torch.Generator().manual_seed(2)) * torch.linspace(1, 3, 32)
    with torch.no_grad():
        before = screener(ids, torch.ones_like(ids))[0]
        rotation = rotate_output(screener, labels)
        after = screener(ids, torch.ones_like(ids))[0]
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(32), atol=1e-5, rtol=0)
    torch.testing.assert_close(after, before @ rotation.T, atol=1e-5, rtol=0)
    turned = labels @ rotation.T
    variances = turned.square().sum(0)
    torch.testing.assert_close(turned.T @ turned, torch.diag(variances), atol=1e-2, rtol=0)
    assert bool((variances.diff() < 0).all())


def described_data() -> ScreeningData:
    """Three labels, of which two have descriptions, one of them the same; three queries, two of which are these."""
    labels = LabelSet(("a", "b", "c"), ("ba be", "bi bo", "da do"), descriptions=(("fa",), ("fa", "fe"), ()))
    rows = RowTable.make(labels, STUDENT.tokenizer, 16, torch.device("cpu"), descriptions="joined")
    queries = [Query("0", "fa", (0, 1)), Query("1", "fe", (1,)), Query("2", "ki", (1,))]
    tokens = TokenTable.of(encode_texts(STUDENT.tokenizer, [query.text for query in queries], 16), torch.device("cpu"))
    return ScreeningData(tokens, gold_labels(queries), rows, rows.texts_of_queries(queries))


def test_descriptions_are_rows_joined_with_their_labels_text() -> None:
    """As an index has them, and a query is shown none that is itself."""
    data = described_data()
    assert (len(data.rows), data.rows.rows.descriptions, len(data.rows.texts)) == (6, 3, 5)
    assert data.own_texts.tolist() == [3, 4, -1]
    right = GoldRows(data)
    drawn = np.stack([right.draw(np.arange(3), np.random.default_rng(seed)) for seed in range(300)])
    assert [set(column.tolist()) for column in drawn.T] == [{0, 1}, {1, 4}, {1, 4, 5}]
    every = np.arange(6)
    pool = encode_pool(STUDENT.screener, data, np.arange(3), every).rows
    texts = encode_table(STUDENT.screener, data.rows.tokens, "encode", no_progress, half=False)
    wanted = torch.from_numpy(data.rows.rows.vectors(texts.numpy()))
    torch.testing.assert_close(pool.detach(), wanted, atol=2e-3, rtol=0)
    torch.testing.assert_close(data.rows.join(texts), wanted)
    torch.testing.assert_close(
        sample_vectors(STUDENT.screener, data, every[2:], "encode"), wanted[2:], atol=2e-3, rtol=0
    )
    # the first query is masked at both labels' rows that are its own text, and so at all rows of its labels
    assert gold_mask(data, np.arange(3), every).tolist() == [
        [True, True, False, True, True, True], [False, True, False, False, True, True],
        [False, True, False, False, True, True],
    ]  # fmt: skip
    said = right.log_expected(12, 1, data.rows).exp() - 1 / 6
    assert said.tolist() == pytest.approx([4 * 0.25, 4 * (0.25 + 0.5 + 0.5), 0, 4 * 0.5, 4 * 0.5, 4 * 0.5], abs=1e-6)
