"""From a student to the next one: it begins as the first one is, and past queries that repeat are names of labels."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgexl.base.errors import BadInput
from edgexl.data import Query
from edgexl.distill.choosing.check import check_files
from edgexl.distill.choosing.choose import Facts, choose_recipe
from edgexl.distill.choosing.run import distil_files
from edgexl.distill.corpus.open import open_material
from edgexl.distill.corpus.rows import with_query_aliases
from edgexl.distill.recipe import FilesTable
from edgexl.distill.stages.start import goes_on, inherit_reasoner, open_start, start_screener, token_product
from edgexl.student.encode import encode_vectors
from edgexl.student.letters import COLUMNS
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.screeners.ngrams import NgramScreener, NgramShape
from edgexl.student.student import Student, load_student
from tests.distill.choosing.conftest import LABELS, Shop
from tests.tiny import tiny_labels, tiny_ngram_student, tiny_student


def shorten(path: Path) -> None:
    """Fewer steps and made queries, so that a test takes seconds."""
    text = re.sub(r"(\[screening\]\nsteps = )\d+", r"\g<1>0", path.read_text())
    text = re.sub(r"(\[reasoning\]\nsteps = )\d+", r"\g<1>3", text)
    text = text.replace("keep_better = true", "keep_better = false")  # of random weights screening may be better
    path.write_text(re.sub(r"naming_queries = \d+", "naming_queries = 30", text))


def go_on(shop: Shop, start: Path, out: Path) -> Student:
    checked = check_files(replace(shop.sources, encoder=str(start)), out, 1)
    return distil_files(checked, log=lambda line: None, device="cpu", show=shorten)


@pytest.fixture
def grams(tmp_path: Path) -> Path:
    tiny_ngram_student(seed=3).save(tmp_path / "grams")
    return tmp_path / "grams"


@pytest.mark.slow
def test_a_student_without_layers_goes_on_and_then_its_reasoner_too(shop: Shop, grams: Path, tmp_path: Path) -> None:
    first = load_student(grams)
    second = go_on(shop, grams, tmp_path / "second")
    texts = tiny_labels(LABELS).texts[:40]
    before, after = (encode_vectors(each.screener, each.tokenizer, texts) for each in (first, second))
    # turned, and rounded once more; what is near what stays
    np.testing.assert_allclose(before @ before.T, after @ after.T, atol=0.02)
    assert isinstance(second.screener, NgramScreener)
    assert second.screener.config == first.screener.config

    assert isinstance(second.reasoner, ListwiseReasoner)
    start = open_start(str(tmp_path / "second"))
    shape = NgramShape(word_dims=32, buckets=2048, ffn_dims=64, query_dims=32, max_tokens=16)
    assert goes_on(start, shape)
    made = ListwiseReasoner(second.reasoner.config)
    token_map = inherit_reasoner(start, shape, made)
    assert token_map is not None
    kept, given = second.reasoner.state_dict(), made.state_dict()
    assert all(torch.equal(given[name], kept[name]) for name in kept if name != "text.tokens.weight")
    words = start_screener(start, shape, start.tokenizer, np.arange(1026), torch.ones(1026)).table.weight[:1026]  # type: ignore[union-attr]
    torch.testing.assert_close(words @ token_map, kept["text.tokens.weight"], atol=2e-3, rtol=0.01)

    third = go_on(shop, tmp_path / "second", tmp_path / "third")
    vectors = encode_vectors(third.screener, third.tokenizer, texts)
    torch.testing.assert_close(vectors, after, atol=1e-3, rtol=0.01)  # not turned: the reasoner knows its dimensions
    assert isinstance(third.reasoner, ListwiseReasoner)
    assert third.reasoner.config == second.reasoner.config
    moved, fresh = (
        (third.reasoner.label.weight - other.label.weight).norm()
        for other in (second.reasoner, ListwiseReasoner(second.reasoner.config))
    )
    assert moved < 0.1 * fresh


def test_a_transformer_goes_on_as_it_is_where_all_of_it_is_taken(shop: Shop, tmp_path: Path) -> None:
    student = tiny_student(seed=4)
    student.save(tmp_path / "student")
    start = open_start(str(tmp_path / "student"))
    data = FilesTable(str(shop.sources.labels), str(shop.sources.queries))
    shape = choose_recipe(data, Facts.of(open_material(data), start.tokenizer), start, "student").recipe.student
    assert goes_on(start, shape)
    made = start_screener(start, shape, start.tokenizer, np.arange(1026), torch.ones(1026))
    ours, kept = made.state_dict(), start.encoder.state_dict()
    assert all(torch.equal(ours[name], kept[name]) for name in kept)
    assert not goes_on(start, replace(shape, word_dims=16))
    assert not goes_on(start, replace(shape, vocabulary=900))  # hashed n-grams would be others
    assert not goes_on(open_start(shop.sources.encoder), shape)


def test_sizes_that_a_student_without_layers_has_not_are_refused(grams: Path) -> None:
    start = open_start(str(grams), "ngrams")
    shape = NgramShape(word_dims=32, buckets=1024, ffn_dims=64, query_dims=32, max_tokens=16)
    with pytest.raises(BadInput, match=r"must have its sizes \(.*buckets = 2048, ngrams = \[2, 3\].*\) and no vocab"):
        start_screener(start, shape, start.tokenizer, np.arange(1026), torch.ones(1026))
    with pytest.raises(BadInput, match="has no transformer"):
        open_start(str(grams), "transformer")


def test_a_reasoner_is_gone_on_with_where_it_sees_all_evidence(grams: Path, tmp_path: Path) -> None:
    student = load_student(grams)
    sizes = replace(student.reasoner.config, evidence=True, residual=True, letters=COLUMNS, coverage=True)  # type: ignore[arg-type,union-attr]
    assert isinstance(sizes, ReasonerConfig)
    token_map = torch.randn(32, sizes.token_dims)
    maps = {token_product(student.screener): token_map}
    replace(student, reasoner=ListwiseReasoner(sizes), maps=maps).save(tmp_path / "first")
    start = open_start(str(tmp_path / "first"))
    assert start.student is not None
    shape = NgramShape(word_dims=32, buckets=2048, ffn_dims=64, query_dims=32, max_tokens=16)
    made, kept = ListwiseReasoner(sizes), start.student.reasoner.state_dict()
    # maps are stored in int8
    torch.testing.assert_close(inherit_reasoner(start, shape, made), token_map, atol=0.05, rtol=0.05)
    given = made.state_dict()
    assert all(torch.equal(given[name], kept[name]) for name in kept if name != "text.tokens.weight")
    # a prior is given anew when training is done
    start.student.reasoner.set_prior(torch.randn(sizes.vocabulary, 1))  # type: ignore[operator,union-attr]
    again = ListwiseReasoner(sizes)
    assert inherit_reasoner(start, shape, again) is not None
    assert all(
        torch.equal(value, given[name]) for name, value in again.state_dict().items() if name != "text.tokens.weight"
    )

    for other, of in ((ListwiseReasoner(replace(sizes, letters=0)), shape), (made, replace(shape, vocabulary=900))):
        before = {name: value.clone() for name, value in other.state_dict().items()}
        assert inherit_reasoner(start, of, other) is None
        assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())


def test_queries_that_repeat_are_names(shop: Shop, grams: Path) -> None:
    start = open_start(str(grams))
    data = FilesTable(str(shop.sources.labels), str(shop.sources.queries))

    def choose() -> tuple[float, str]:
        facts = Facts.of(open_material(data), start.tokenizer)
        return facts.repeated, choose_recipe(data, facts, start, "grams").recipe.aliases

    assert choose() == (0.0, "own")
    path = shop.folder / "past.csv"
    with open(path, newline="") as stream:
        head, *rows = csv.reader(stream)
    with open(path, "w", newline="") as stream:
        csv.writer(stream).writerows([head, *rows, *rows[: len(rows) // 2]])
    assert choose() == (pytest.approx(1 / 3, abs=0.01), "queries")


def test_a_text_names_what_it_was_mostly_meant_for() -> None:
    labels = tiny_labels(6)
    asked = [("ba", 0)] * 4 + [("ba", 1)] * 2 + [("ba", 2)] * 3 + [("be", 3), ("be", 4)] + [(labels.texts[5], 5)]
    made = with_query_aliases(labels, [Query(str(at), text, (label,)) for at, (text, label) in enumerate(asked)])
    assert made.aliases == (("ba",), (), ("ba",), ("be",), ("be",), ())
