"""What goes into the stages of a distillation: shortlists, near misses, label vectors; an untrained student's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgexl.base.progress import no_progress
from edgexl.data.metrics import evaluate
from edgexl.distill.corpus.divide import gold_labels, names_its_label
from edgexl.distill.pipeline import glance_at_screener, label_vectors, start_reasoner
from edgexl.distill.recipe import DistillRecipe, read_recipe
from edgexl.distill.stages.mining import with_mining
from edgexl.distill.stages.reasoning import RESERVE
from edgexl.distill.stages.screening import HardRows, ScreeningData
from edgexl.distill.stages.search import RowSearch, encode_table
from edgexl.distill.stages.shortlists import (
    code_rows,
    make_development_shortlists,
    make_shortlists,
    make_training_shortlists,
    row_vectors,
)
from edgexl.distill.stages.start import start_screener
from edgexl.distill.teachers.tower import turn
from edgexl.distill.workbench import Workbench, prepare
from edgexl.index import LabelIndex, encode_fine, train_rotation
from edgexl.student.encode import encode_vectors
from edgexl.student.label_tower import open_model
from edgexl.student.screeners.transformer import TransformerScreener
from tests.distill.conftest import write_teacher

Prepared = tuple[Workbench, TransformerScreener]


@pytest.fixture
def bench(tiny_recipe: Path, tmp_path: Path) -> Callable[..., Prepared]:
    """A workbench and its untrained screener; tables of the recipe may be changed."""

    def make(change: Callable[[DistillRecipe], DistillRecipe] = lambda recipe: recipe) -> Prepared:
        recipe = change(read_recipe(tiny_recipe))
        made = prepare(recipe, tmp_path / "work", str, log=lambda line: None, device="cpu")
        torch.manual_seed(0)
        screener = start_screener(made.start, recipe.student, made.tokenizer, made.old_ids, made.counts)
        assert isinstance(screener, TransformerScreener)
        return made, screener.eval()

    return make


def read_search(made: Workbench, screener: TransformerScreener) -> RowSearch:
    """Search over the rows as devices read them."""
    return RowSearch(made.rows.rows, code_rows(row_vectors(made, screener, None), 4, 24), rough=True)


def changed(table: str, **values: Any) -> Callable[[DistillRecipe], DistillRecipe]:
    return lambda recipe: replace(recipe, **{table: replace(getattr(recipe, table), **values)})


def test_label_vectors_come_in_the_two_forms_that_a_reasoner_meets(bench: Callable[..., Prepared]) -> None:
    made, screener = bench()
    rows = row_vectors(made, screener, None)
    assert rows.shape == (len(made.rows), 24)
    exact = encode_table(screener, made.rows.tokens, "", no_progress)
    assert torch.allclose(rows, exact, atol=1e-3)
    read = code_rows(rows, 4, 24)
    whole, leading = label_vectors(made, rows, read)
    assert torch.equal(whole, read[:300])
    assert torch.equal(leading, code_rows(rows, 4, 16)[:300])
    assert float((whole - rows[:300]).norm()) < 0.15 * float(rows[:300].norm())
    standard = replace(made, recipe=replace(made.recipe, method="standard"))
    assert torch.equal(label_vectors(standard, rows, read)[0], rows[:300])
    with torch.no_grad():
        screener.word.weight.zero_()
    assert torch.equal(row_vectors(made, screener, None), rows)  # remembered


def test_rows_are_read_as_a_device_reads_them() -> None:
    """By way of the index that the compiler would build, and the runtime's numbers."""
    draw = np.random.default_rng(0)
    rows = (draw.standard_normal((500, 24)) * 0.8 ** np.arange(24)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for bits, dims in ((8, 24), (4, 24), (4, 16), (2, 20)):
        rotation = train_rotation(rows, "pca", 0, dims)
        index = LabelIndex(
            codebook=np.zeros((2, 16, 12), np.float32), coarse=b"", fine=encode_fine(rows @ rotation, dims, bits),
            labels=500, dims=24, fine_dims=dims, fine_bits=bits, overfetch=1, shortlist=1,
            row_starts=np.zeros(0, np.uint32), row_labels=np.zeros(0, np.uint32),
        )  # fmt: skip
        read = code_rows(torch.from_numpy(rows), bits, dims).numpy()
        np.testing.assert_allclose(read, index.decompress(np.arange(500)) @ rotation.T, atol=1e-6)
    np.testing.assert_array_equal(code_rows(torch.from_numpy(rows), 2, 23), code_rows(torch.from_numpy(rows), 2, 20))
    assert np.linalg.norm(code_rows(torch.from_numpy(rows), 8, 24).numpy() - rows, axis=1).max() < 0.02


def test_shortlists_are_screened_as_the_device_will(bench: Callable[..., Prepared]) -> None:
    made, screener = bench()
    rows = row_vectors(made, screener, None)
    queries = made.corpus.development[:20]
    found = make_shortlists(made, screener, read_search(made, screener), queries, 30)
    asked = encode_table(screener, made.tokens(queries), "", no_progress)
    scores = asked @ code_rows(rows, 4, 24).T
    for place, query in enumerate(queries):
        best = scores[place].topk(20).values  # the last ones of a rough search may be others
        assert torch.allclose(scores[place][found.labels[place, :20].long()], best, atol=1e-5)
        assert found.gold[place].tolist() == [label in query.targets for label in found.labels[place].tolist()]
    assert torch.allclose(found.vectors, asked)
    held_out = make_development_shortlists(made, screener, read_search(made, screener))
    assert held_out.labels.shape == (60, 16)
    assert found.gold.any()
    assert not found.gold.all()


def test_the_reasoner_learns_from_its_own_queries_and_those_that_the_recipe_adds(
    bench: Callable[..., Prepared],
) -> None:
    made, screener = bench(
        changed("reasoning", own_queries=40, familiar_queries=15, naming_queries=25, teacher_weight=0.5)
    )
    search = read_search(made, screener)
    lists = make_training_shortlists(made, screener, search)
    own = [q for q in (*made.corpus.reasoning[:40], *made.familiar[:15]) if not names_its_label(q, made.corpus.labels)]
    named = made.naming(25, 1)
    assert len(named) == 25
    assert lists.labels.shape == (len(own) + 25, 16 + RESERVE)
    wanted = make_shortlists(made, screener, search, (*own, *named), 16 + RESERVE)
    assert torch.equal(lists.labels, wanted.labels)
    assert torch.equal(lists.gold, wanted.gold)
    assert lists.teacher is not None
    assert torch.isinf(lists.teacher[len(own) :]).all()  # of queries that are made, the teacher says nothing
    decided = made.lessons.decide(own, lists.labels[: len(own)].numpy().astype(np.int64))
    assert torch.allclose(lists.teacher[: len(own)].float(), decided.float(), atol=2e-2)
    again = make_training_shortlists(made, screener, RowSearch(made.rows, torch.zeros(300, 24)))
    assert torch.equal(again.labels, lists.labels)  # remembered
    assert again.teacher is not None
    assert torch.equal(again.teacher, lists.teacher)


def test_a_teacher_that_no_term_needs_is_not_asked(bench: Callable[..., Prepared]) -> None:
    made, screener = bench(changed("reasoning", teacher_weight=0.0, near_miss_weight=0.0))
    lists = make_training_shortlists(made, screener, read_search(made, screener))
    assert lists.teacher is None
    assert len(lists) == sum(not names_its_label(query, made.corpus.labels) for query in made.corpus.reasoning)


def test_near_misses_are_the_best_wrong_rows_at_each_moment(bench: Callable[..., Prepared]) -> None:
    made, screener = bench(changed("screening", hard_labels=1, mine_at=(0.5, 0.2), mine_queries=50, steps=60))
    queries = made.learned
    data = ScreeningData(made.tokens(queries), gold_labels(queries), made.rows, made.rows.rows_of_queries(queries))
    hard, steps = HardRows(), []
    losses = with_mining(made, screener, data, hard, lambda step: {"step": torch.tensor(steps.append(step) or step)})
    losses(11)
    assert hard.rows is None  # a fifth of 60 steps are 12
    losses(12)
    assert hard.rows is not None
    first = hard.rows
    assert first.shape == (len(queries), 16)
    mined = np.flatnonzero((first >= 0).any(1))
    assert len(mined) == 50
    vectors = encode_table(screener, made.rows.tokens, "", no_progress)
    asked = encode_table(screener, data.queries, "", no_progress)
    scores = (asked @ vectors.T).numpy()
    near = 0
    for query in mined:
        right = set(queries[query].targets)
        wanted = [row for row in np.argsort(-scores[query]) if row not in right][:16]
        assert not right & set(first[query].tolist())
        near += len(set(wanted) & set(first[query].tolist()))
    assert near > 0.9 * 16 * 50  # the order is by bf16
    with torch.no_grad():
        screener.word.weight.normal_()
    losses(13)
    assert hard.rows is first
    losses(30)
    assert hard.rows is not first
    assert (hard.rows != first).any()
    assert steps == [11, 12, 13, 30]
    later = HardRows()
    with_mining(made, screener, data, later, lambda step: {})(45)  # a run that goes on has what was mined
    assert later.rows is not None
    np.testing.assert_array_equal(later.rows, hard.rows)


def test_a_glance_is_the_metrics_of_a_sample(bench: Callable[..., Prepared]) -> None:
    made, screener = bench()
    queries = made.corpus.development
    vectors = encode_table(screener, made.rows.tokens, "", no_progress)
    asked = encode_table(screener, made.tokens(queries), "", no_progress)
    best = (asked @ vectors.T).topk(10).indices.numpy()
    wanted = evaluate(best, [query.targets for query in queries], (1, 10))
    data = ScreeningData(
        made.tokens(made.learned), gold_labels(made.learned), made.rows, made.rows.rows_of_queries(made.learned)
    )
    assert glance_at_screener(made, screener, data) == {
        "held-out P@1 of 300": pytest.approx(wanted["P@1"], abs=2),
        "held-out R@10 of 300": pytest.approx(wanted["R@10"], abs=2),
    }


def test_a_label_tower_gives_the_rows_their_vectors(bench: Callable[..., Prepared], tmp_path: Path) -> None:
    source = str(write_teacher(tmp_path / "tower", seed=3))
    made, screener = bench(lambda recipe: replace(recipe, label_tower=source))
    lessons = made.tower_lessons
    tower = lessons.start()
    assert (tower.source, tower.dims, tower.width) == (source, 24, 32)
    texts = [query.text for query in made.learned]
    found = lessons.vectors(tower, texts)
    for vectors, of in ((found.rows, made.rows.texts), (found.queries, texts)):
        exact = torch.from_numpy(tower.encode(of))
        assert torch.cosine_similarity(vectors.float(), exact).min() > 0.995  # one is by products in bf16
    # leading directions lose least of all of the model's own vectors
    model = open_model(source)
    own = encode_vectors(model.screener, model.tokenizer, list(made.corpus.labels.texts))
    _, wanted = torch.linalg.eigh(own.T @ own)
    kept = (own @ tower.projection.T).square().sum()
    assert float(kept) == pytest.approx(float((own @ wanted[:, 8:]).square().sum()), rel=1e-2)

    rotation = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(0)))[0]
    turned = turn(tower, rotation)
    rows = row_vectors(made, screener, turned)
    assert torch.cosine_similarity(rows, found.rows.float() @ rotation.T).min() > 0.999
    assert made.identity("screening") != bench()[0].identity("screening")

    wider, _ = bench(lambda recipe: replace(changed("student", query_dims=40)(recipe), label_tower=source))
    padded = wider.tower_lessons.start()
    assert torch.equal(padded.projection, torch.eye(40, 32))


def test_a_reasoner_starts_as_the_recipe_has_it(bench: Callable[..., Prepared]) -> None:
    made, screener = bench(changed("reasoning", dropout=0.25))
    reasoner, tokens = start_reasoner(made, screener)
    config, shape = reasoner.config, made.recipe.student
    assert (config.vocabulary, config.query_dims, config.state_dims) == (1026, 24, 32)
    assert (config.dims, config.ffn_dims, config.heads, config.layers, config.cross_layers) == (32, 32, 2, 1, 1)
    assert (config.token_dims, config.first_word_id) == (8, 4)  # behind [PAD], [UNK], [CLS] and [SEP]
    assert config.coverage
    assert config.absence
    assert [layer.dropout.p for layer in reasoner.layers] == [0.25]  # type: ignore[union-attr]
    table = tokens.as_embedding().weight.detach()
    assert torch.allclose(table, screener.word.weight @ tokens.map, atol=1e-6)
    assert torch.allclose(tokens(torch.tensor([[5, 9]])), table[[5, 9]][None], atol=1e-6)
    assert shape.reasoner_layers == 1
