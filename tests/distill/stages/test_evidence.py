"""Evidence in training: as the device has it, hidden so that nothing is given away, and on other label sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgexl.base.arrays import Doubles
from edgexl.base.errors import BadInput
from edgexl.base.progress import no_progress
from edgexl.bundle.parameters import EVIDENCE, LEXICAL_FEATURES
from edgexl.compiler.encoding.workers import LocalWorkers
from edgexl.compiler.passes.build_index import VOTES_TRIED, BuildIndex
from edgexl.compiler.passes.encode import Encode
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.index_words import MOST, TRIED, IndexWords, WordsWeight
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import CalibrateRecipe, IndexRecipe, Recipe
from edgexl.data import Query, write_dataset
from edgexl.data.label_set import LabelSet
from edgexl.distill.recipe import DistillRecipe, LabelSetsTable, find_distill_recipe, read_recipe
from edgexl.distill.stages.evidence import Candidates, Evidence, EvidenceSearch, Hiding
from edgexl.distill.stages.label_sets import make_evidence_lists
from edgexl.distill.stages.reasoning import RESERVE, reasoner_inputs, train_logits
from edgexl.distill.stages.start import start_screener
from edgexl.distill.stages.weigh_screening import choose_weighing
from edgexl.distill.workbench import Workbench, prepare
from edgexl.index import LabelIndex
from edgexl.index.best_of_rows import Weighing
from edgexl.student.encode import encode_vectors
from edgexl.student.reasoner import ListwiseReasoner
from edgexl.target import load_target
from tests.distill.conftest import RECIPE, write_teacher
from tests.student.test_reasoner import residual_student
from tests.tiny import WORDS, tiny_described, tiny_labels, tiny_queries, tiny_student

KINDS = range(1, len(EVIDENCE))


def shared(labels: LabelSet) -> LabelSet:
    """The labels, of which every fifth has the description of the one before, too, and one a long one."""
    described = list(labels.descriptions)
    for label in range(5, len(described), 5):
        described[label] += described[label - 1]
    described[7] += (" ".join(f"{word}." for word in WORDS[:40]),)
    return dataclasses.replace(labels, descriptions=tuple(described))


@pytest.fixture(scope="module")
def index() -> tuple[LabelIndex, EvidenceSearch, list[str], torch.Tensor]:
    """A compiled index whose scan keeps all rows, a search over the same rows, texts to ask and their vectors."""
    labels = shared(tiny_described(tiny_labels(60, aliases=True)))
    student = tiny_student(labels)
    student = dataclasses.replace(student, calibration=())
    recipe = Recipe(
        "all",
        index=IndexRecipe(code_bytes=8, overfetch=512, fine_bits=8, lexical_bytes=500),
        calibrate=CalibrateRecipe("none"),
    )
    artifact = begin(student, recipe, load_target("host"))
    steps = (
        Export(), Encode(recipe.index, Quantize(recipe, artifact.target), LocalWorkers(1)), BuildIndex(recipe.index),
        IndexWords(recipe.index),
    )  # fmt: skip
    for step in steps:
        artifact = step.run(artifact)
    made = dataclasses.replace(artifact.index, shortlist=24)
    assert made.lexical is not None
    assert made.descriptions > 60
    rows, texts = artifact.rows, artifact.rows.row_texts(labels, student.tokenizer, student.shapes.max_tokens)
    search = EvidenceSearch(rows, torch.from_numpy(made.decompress(np.arange(len(rows)))), texts, lexical_bytes=500)
    asked = [query.text for query in tiny_queries(labels, 12, 1)] + [texts[0] for texts in labels.descriptions[:12]]
    return made, search, asked, encode_vectors(student.screener, student.tokenizer, asked)


def test_evidence_is_the_devices(index: tuple[LabelIndex, EvidenceSearch, list[str], torch.Tensor]) -> None:
    made, search, texts, vectors = index
    found = search.shortlists(vectors, texts, 24, np.full(len(texts), -1), no_progress)
    own = torch.einsum("nd,nkd->nk", vectors, torch.from_numpy(made.decompress(np.arange(60)))[found.labels])
    known, screening = found.evidence.take(torch.arange(len(texts))).weigh(own)
    missing = 0
    for place, (text, vector) in enumerate(zip(texts, vectors.numpy(), strict=True)):
        wanted = made.search(vector, text)
        assert set(wanted.labels[:20].tolist()) <= set(found.labels[place].tolist())
        order = [found.labels[place].tolist().index(label) for label in wanted.labels[:20]]
        np.testing.assert_allclose(known[place, order].numpy(), wanted.evidence[:20], atol=2e-3)
        np.testing.assert_allclose(screening[place, order].numpy(), wanted.screening[:20], atol=2e-3)
        missing += int((wanted.evidence[:, 1] == wanted.evidence[:, 0]).sum())
    assert missing
    assert (known[..., 4] > 0.1).any()
    assert (known[..., 2] > known[..., :2].amax(-1) + 0.05).any()


def test_given_labels_have_the_evidence_that_screening_gives_them(
    index: tuple[LabelIndex, EvidenceSearch, list[str], torch.Tensor],
) -> None:
    _, search, texts, vectors = index
    none = np.full(len(texts), -1)
    found = search.shortlists(vectors, texts, 60, none, no_progress)
    given = search.evidence_of(vectors, texts, found.labels.flip(1), none, no_progress)
    for name, value in given.tensors().items():
        wanted = getattr(found.evidence, name)
        assert torch.equal(value, wanted if name == "weights" else wanted.flip(1)), name


def test_a_part_of_the_labels_is_screened_as_though_there_were_no_others(
    index: tuple[LabelIndex, EvidenceSearch, list[str], torch.Tensor],
) -> None:
    _, search, texts, vectors = index
    some = np.arange(0, 60, 2)
    part = search.part(some)
    whole = search.shortlists(vectors, texts, 60, np.full(len(texts), -1), no_progress)
    found = part.shortlists(vectors, texts, 30, np.full(len(texts), -1), no_progress)
    assert [search.texts[place] for place in part.places] == list(part.texts)
    for place in range(len(texts)):
        assert sorted(some[found.labels[place].numpy()]) == some.tolist()
        for kind in ("aliases", "descriptions"):
            there = {label: float(score) for label, score in zip(
                whole.labels[place].tolist(), getattr(whole.evidence, kind)[place], strict=True)}  # fmt: skip
            mine = getattr(found.evidence, kind)[place].tolist()
            assert mine == [there[label] for label in some[found.labels[place].numpy()].tolist()]


def test_a_query_that_is_a_row_finds_none_of_its_words_there(
    index: tuple[LabelIndex, EvidenceSearch, list[str], torch.Tensor],
) -> None:
    _, search, _, _ = index
    row = len(search.rows) - 1
    label, text = int(search.rows.alias_labels.values[-1]), search.texts[row]
    vector, banned = search._search.vectors[row : row + 1], np.array([row])
    asked = EvidenceSearch(search.rows, search._search.vectors, search.texts, lexical_bytes=500, asked=banned)
    words = [
        found.evidence.words[0][found.labels[0] == label].item()
        for found in (one.shortlists(vector, [text], 60, banned, no_progress) for one in (search, asked))
    ]
    [with_itself], [without] = (
        list(one.candidates(vector, [text], 60, banned, no_progress)) for one in (search, asked)
    )  # fmt: skip
    best = 5  # the best row's lexical score
    assert with_itself.features is not None
    assert without.features is not None
    assert without.features[best] < with_itself.features[best] - 0.2
    assert words[1] == pytest.approx(words[0], abs=0.25)


def test_votes_and_words_weigh_what_held_out_queries_say() -> None:
    features = np.zeros(LEXICAL_FEATURES, np.float32)
    features[0] = 1
    queries = [Query(str(place), "a query", (1,)) for place in range(80)]

    def candidates(votes: float, words: float) -> list[Candidates]:
        """Label 0 has the best row, and label 1, the gold one, more votes and words."""
        zero = np.float32(0)
        found = (np.array([0.5, 0.45], np.float32), np.array([zero, votes], np.float32), np.array([zero, words]))
        return [Candidates(np.arange(2), *found, features) for _ in queries]

    usual = Weighing(lexical_weight=WordsWeight().features, lexical_most=MOST)
    tried = [dataclasses.replace(usual, votes_weight=weight) for weight in VOTES_TRIED]
    assert choose_weighing(candidates(0.2, 0.0), usual, tried, queries).votes_weight == 0.5
    assert choose_weighing(candidates(0.0, 0.2), usual, tried, queries) == usual
    tried = [dataclasses.replace(usual, lexical_weight=each.features) for each in TRIED]
    assert choose_weighing(candidates(0.0, 0.2), usual, tried, queries).lexical_weight[0] == pytest.approx(0.35)


def test_each_kind_is_dropped_for_whole_queries() -> None:
    torch.manual_seed(0)
    known = Evidence(*(torch.full((400, 6), value) for value in (0.5, 0.7, 0.1, 0.4)), torch.full((400, 2), 0.3))
    own = torch.full((400, 6), 0.2)
    told, screening = known.drop(0.25).weigh(own)
    assert torch.equal(told, told[:, :1].expand_as(told))  # all labels of a query alike
    alias, description, votes, words = (told[:, 0, place] for place in (1, 2, 3, 4))
    for dropped in (alias == 0.2, description == torch.maximum(alias, own[:, 0]), words == 0):
        assert 0.15 < dropped.float().mean() < 0.35
    best = told[:, 0, :3].amax(-1)
    without = (alias == 0.2) | (description == alias)
    assert (votes[without] == best[without]).all()
    torch.testing.assert_close(screening[:, 0], best + 0.3 * (votes - best) + 0.3 * words)
    whole, _ = known.drop(0.0).weigh(own)
    assert torch.equal(whole, known.weigh(own)[0])


Prepared = Callable[..., tuple[Workbench, Any]]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """A workbench over given labels and queries, and its untrained screener; [reasoning] may be changed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_teacher(tmp_path / "teacher")

    def make(labels: LabelSet, queries: list[Query], shortlist: int = 16, **reasoning: Any) -> tuple[Workbench, Any]:
        write_dataset(tmp_path / "data", labels, queries, tiny_queries(labels, 20, 2), "made in code")
        path = tmp_path / "recipe.toml"
        path.write_text(RECIPE.format(data=tmp_path / "data", teacher=tmp_path / "teacher", screening=5, reasoning=5))
        recipe = read_recipe(path)
        table = dataclasses.replace(recipe.reasoning, evidence=True, teacher_weight=0.0, **reasoning)
        shape = dataclasses.replace(recipe.student, shortlist=shortlist)
        split = dataclasses.replace(recipe.split, calibration=1, development=5, reasoning_share=0.9)
        recipe = dataclasses.replace(recipe, reasoning=table, student=shape, split=split)
        made = prepare(recipe, tmp_path / "work", str, log=lambda line: None, device="cpu")
        torch.manual_seed(0)
        screener = start_screener(made.start, recipe.student, made.tokenizer, made.old_ids, made.counts)
        return made, screener.eval()

    return make


def described(count: int, seed: int) -> tuple[LabelSet, list[Query]]:
    """Labels with one to three descriptions each, and for each label one of these as a query."""
    rng = np.random.default_rng(seed)
    texts = [tuple(" ".join(rng.choice(WORDS, 5)) for _ in range(rng.integers(1, 4))) for _ in range(count)]
    queries = [Query(str(label), own[int(rng.integers(len(own)))], (label,)) for label, own in enumerate(texts)]
    return dataclasses.replace(tiny_labels(count), descriptions=tuple(texts)), queries


def predict_by_presence(lists: Any) -> tuple[Doubles, float]:
    """Whether a predictor that knows of each label's evidence only which kinds are there, fitted on one half of the
    queries, puts a gold label of the other half first (ties by chance): its hits, and what chance would hit."""
    there = torch.stack(
        [lists.evidence.aliases.isfinite(), lists.evidence.descriptions.isfinite(), lists.evidence.votes > 0], -1
    ).numpy()
    code, gold = there @ np.array([1, 2, 4]), lists.gold.numpy()
    half = len(gold) // 2
    gold_share = np.array(
        [gold[:half][code[:half] == kind].mean() if (code[:half] == kind).any() else 0 for kind in range(8)]
    )
    score = gold_share[code[half:]]
    first = score == score.max(1, keepdims=True)
    hits = (first & gold[half:]).sum(1) / first.sum(1)
    return hits, float(gold[half:].mean())


@pytest.mark.parametrize("hides", ["one", "all"])
def test_missing_evidence_predicts_gold_labels_at_chance(bench: Prepared, hides: str) -> None:
    """Every label is shortlisted, so that which are does not tell either."""
    labels, queries = described(140, seed=1)
    made, screener = bench(labels, queries, shortlist=140, hide_descriptions=hides)
    hits, chance = predict_by_presence(make_evidence_lists(made, screener, None).lists)
    assert len(hits) > 50
    assert abs(hits.mean() - chance) < 3 * max(hits.std(), chance) / len(hits) ** 0.5


def test_queries_in_other_words_give_nothing_away_beside_descriptions(bench: Prepared) -> None:
    """As the shipped reverse dictionary is trained: half of the queries are descriptions of their labels, the others
    say the same in words that no label is described by."""
    assert read_recipe(find_distill_recipe("dictionary")).reasoning.hide_descriptions == "one"
    labels, queries = described(140, seed=3)
    rng = np.random.default_rng(3)
    others = [
        dataclasses.replace(query, text=" ".join(rng.permutation(query.text.split())[:4]))
        for query in queries[: len(queries) // 2]
    ]
    made, screener = bench(labels, [*others, *queries[len(others) :]], shortlist=140)
    hits, chance = predict_by_presence(make_evidence_lists(made, screener, None).lists)
    assert len(hits) > 50
    assert abs(hits.mean() - chance) < 3 * max(hits.std(), chance) / len(hits) ** 0.5


def test_hiding_only_what_asks_would_give_gold_labels_away(bench: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """The predictor of the test above is no weak one."""
    labels, queries = described(140, seed=1)
    hides = Hiding.hides

    def hide_gold(self: Hiding, query: str, rows: Any) -> Any:
        own = [label for label, _ in self.described.get(query, ())]
        return hides(self, query, rows) & np.isin(self.labels[rows], own)

    monkeypatch.setattr(Hiding, "hides", hide_gold)
    made, screener = bench(labels, queries, shortlist=140)
    hits, chance = predict_by_presence(make_evidence_lists(made, screener, None).lists)
    assert hits.mean() > 10 * chance


def test_no_query_meets_itself_nor_one_description_of_any_label(bench: Prepared) -> None:
    labels, queries = described(140, seed=2)
    made, screener = bench(labels, queries, shortlist=140)
    lists = make_evidence_lists(made, screener, None).lists
    assert lists.evidence is not None
    count = np.array([len(texts) for texts in made.corpus.labels.descriptions])[lists.labels.numpy()]
    there = lists.evidence.descriptions.isfinite().numpy()
    assert not there[count <= 1].any()
    assert there[count > 1].all()
    assert float(lists.evidence.descriptions.max()) < 0.999
    held_out = make_evidence_lists(made, screener, None).held_out
    assert held_out.evidence is not None
    assert held_out.evidence.descriptions.isfinite().float().mean() > 0.9  # the device hides nothing


def test_shortlists_of_other_label_sets(bench: Prepared, tmp_path: Path) -> None:
    labels = tiny_labels(aliases=True)
    other = tiny_described(LabelSet(*([f"{word}x" for word in WORDS[:50]], list(WORDS[:50]))))
    write_dataset(tmp_path / "other", other, tiny_queries(other, 5, 0), tiny_queries(other, 5, 0), "made in code")
    sets = LabelSetsTable((str(tmp_path / "other"),), swapped_queries=30, mixed=0.3, cut=0.4)
    queries = [query for word in (0, 1) for query in tiny_queries(labels, 300, word)]
    made, screener = bench(labels, queries, label_sets=sets, naming_queries=10)
    found = make_evidence_lists(made, screener, None)
    lists, tables = found.lists, found.tables
    assert [len(part) for part in tables.vectors] == [350, 350]
    assert torch.allclose(tables.vectors[0].norm(dim=1), torch.ones(350), atol=0.1)
    foreign = lists.labels >= 300
    swapped, own = foreign.all(1), lists.labels.shape[1]
    assert own == 16 + RESERVE
    assert swapped.tolist() == [False] * (len(lists) - 30) + [True] * 30
    assert lists.gold[swapped].any(1).float().mean() > 0.9
    mixed = foreign.any(1) & ~swapped
    assert 0.2 < mixed.float().mean() < 0.4
    assert foreign[mixed].sum(1).max() <= own // 2
    assert not (lists.gold & foreign)[mixed].any()
    assert all(len(set(row)) == own for row in lists.labels.tolist())
    # a smaller set's shortlist goes further down than that of all labels
    plain, _ = bench(labels, queries, naming_queries=10)
    whole = make_evidence_lists(plain, screener, None).lists
    others = torch.tensor([
        len(set(mine.tolist()) - set(all_of.tolist()))
        for mine, all_of in zip(lists.labels[~swapped], whole.labels, strict=True)
    ])  # fmt: skip
    assert 0.25 < (others[~mixed[~swapped]] > 4).float().mean() < 0.55
    again = make_evidence_lists(made, screener, None).lists
    assert torch.equal(again.labels, lists.labels)  # remembered
    few = LabelSet(tuple("abcdefghijkl"), tuple("abcdefghijkl"))
    write_dataset(tmp_path / "other", few, queries[:1], queries[:1], "made in code")
    made, _ = bench(labels, queries, label_sets=sets)
    with pytest.raises(BadInput, match="has 12 labels, fewer than a shortlist"):
        make_evidence_lists(made, screener, None)


def test_a_teacher_decides_about_its_own_labels_alone(bench: Prepared, tmp_path: Path) -> None:
    labels, other = tiny_labels(), tiny_labels(100)
    write_dataset(tmp_path / "other", other, tiny_queries(other, 5, 0), tiny_queries(other, 5, 0), "made in code")
    sets = LabelSetsTable((str(tmp_path / "other"),), swapped_queries=20, mixed=1.0)
    made, screener = bench(labels, list(tiny_queries(labels, 300, 0)), label_sets=sets)
    table = dataclasses.replace(made.recipe.reasoning, teacher_weight=1.0)
    made = dataclasses.replace(made, recipe=dataclasses.replace(made.recipe, reasoning=table))
    lists = make_evidence_lists(made, screener, None).lists
    assert lists.teacher is not None
    assert torch.equal(
        lists.teacher.isfinite(), (lists.labels < 300) & (torch.arange(len(lists)) < len(lists) - 20)[:, None]
    )


def test_an_untrained_residual_reasoner_is_screening_in_training_too(bench: Prepared) -> None:
    labels, queries = described(140, seed=3)
    made, screener = bench(labels, queries, residual=True)
    found = make_evidence_lists(made, screener, None)
    reasoner = residual_student().reasoner
    assert isinstance(reasoner, ListwiseReasoner)
    config = dataclasses.replace(reasoner.config, query_dims=24, state_dims=32)
    torch.manual_seed(0)
    reasoner = ListwiseReasoner(config)
    rows, columns = np.arange(8), torch.arange(16).expand(8, -1)
    inputs = reasoner_inputs(screener, found.lists, found.tables, rows, columns, 0)
    logits = train_logits(screener, reasoner, found.lists, found.tables, rows, columns, 0, made.recipe.reasoning)
    best = inputs["evidence"][..., :3].amax((1, 2), keepdim=True).squeeze(-1)
    torch.testing.assert_close(logits, 20.0 * (inputs["screening"] - best), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("residual = true", "residual, letters, label_sets need evidence = true"),
        ("hide_descriptions = 'all'", "need evidence = true"),
        ("evidence = true\nevidence_dropout = 1.0", "evidence_dropout must lie in 0 to 1"),
        ("evidence = true\nhide_descriptions = 'none'", "hide_descriptions"),
        ("evidence = true\n[reasoning.label_sets]\nmixed = 0.5", "need domains, other data sets; name one"),
        ("evidence = true\n[reasoning.label_sets]\ncut = 1.5", "mixed and cut must lie in 0 to 1"),
    ],
)
def test_what_a_recipe_may_not_say(tmp_path: Path, lines: str, complaint: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(data="data", teacher="teacher", screening=5, reasoning=5) + lines + "\n")
    with pytest.raises(BadInput, match=complaint):
        read_recipe(path)


def test_standard_distillation_knows_of_no_evidence(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    text = RECIPE.format(data="data", teacher="teacher", screening=5, reasoning=5) + "evidence = true\n"
    path.write_text("method = 'standard'\n" + text)
    with pytest.raises(BadInput, match="standard distillation knows of no evidence"):
        read_recipe(path)


def test_older_recipes_are_told_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(data="data", teacher="teacher", screening=5, reasoning=5))
    recipe = read_recipe(path)
    assert "evidence" not in str(recipe.as_table())
    with_evidence = dataclasses.replace(recipe, reasoning=dataclasses.replace(recipe.reasoning, evidence=True))
    assert with_evidence.as_table()["reasoning"]["label_sets"]["cut"] == 0.0
    assert isinstance(with_evidence, DistillRecipe)
