"""What a recipe is chosen by, and how it is written down."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgexl.data import Query
from edgexl.data.damage import Damage, Learned
from edgexl.distill.choosing.choose import Chosen, Facts, Timing, choose_recipe, choose_steps
from edgexl.distill.choosing.write import format_recipe, read_reasons, write_recipe
from edgexl.distill.corpus.open import Material, open_material
from edgexl.distill.recipe import FilesTable, read_recipe
from edgexl.distill.stages.start import Start, open_start
from tests.distill.choosing.conftest import LABELS, QUERIES, Shop


@pytest.fixture
def data(shop: Shop) -> FilesTable:
    return FilesTable(str(shop.sources.labels), str(shop.sources.queries))


@pytest.fixture
def start(shop: Shop) -> Start:
    return open_start(shop.sources.encoder)


def chosen_for(data: FilesTable, start: Start, **changes: object) -> Chosen:
    facts = dataclasses.replace(Facts.of(open_material(data), start.tokenizer), **changes)  # type: ignore[arg-type]
    return choose_recipe(data, facts, start, "encoder")


def test_facts_are_those_of_the_files(data: FilesTable, start: Start) -> None:
    facts = Facts.of(open_material(data), start.tokenizer)
    assert (facts.labels, facts.queries) == (LABELS, QUERIES)
    assert facts.pieces == (3, 3)
    assert facts.learned.named > 0.9
    assert facts.learned.damage.dropped == pytest.approx(0.3, abs=0.05)
    assert list(facts.scripts) == ["Latin"]
    assert "420 queries for" in facts.sentences()[0]
    assert "name their label" in facts.sentences()[1]


def test_a_language_that_the_encoder_does_not_know_is_said(data: FilesTable, start: Start) -> None:
    found = open_material(data)
    queries = tuple(Query(str(at), "неизвестное слово", (at,)) for at in range(400))
    facts = Facts.of(Material(found.labels, (*found.queries[:10], *queries[:150])), start.tokenizer)
    assert "Cyrillic" in facts.scripts
    assert any("unknown to this encoder" in sentence for sentence in facts.sentences())


def test_steps_are_what_the_time_allows_and_the_queries_are_good_for(data: FilesTable, start: Start) -> None:
    chosen = chosen_for(data, start, learned=Learned(0.1, Damage()))
    slow = choose_steps(chosen, Timing(screening=12.0, reasoning=14.0, rest=100.0), 30, QUERIES).recipe
    spent = 12.0 * slow.screening.steps + 14.0 * slow.reasoning.steps + 100.0
    assert slow.screening.steps > 40
    assert 0.5 * 30 * 60 < spent < 30 * 60
    fast = choose_steps(chosen, Timing(screening=1e-3, reasoning=1e-3, rest=1.0), 30, QUERIES)
    assert slow.screening.steps < fast.recipe.screening.steps < 2000
    assert slow.reasoning.steps < fast.recipe.reasoning.steps < 2000
    assert "by heart" in fast.reasons["screening.steps"]
    none = choose_steps(chosen, Timing(screening=60.0, reasoning=1.0, rest=1.0), 5, QUERIES)
    assert none.recipe.screening.steps == 0
    assert "stays as it is" in none.reasons["screening.steps"]


def test_queries_that_describe_their_labels_have_none_made_like_them(data: FilesTable, start: Start) -> None:
    names, describes = chosen_for(data, start), chosen_for(data, start, learned=Learned(0.1, Damage()))
    assert names.recipe.naming is not None
    without = choose_steps(names, Timing(0.1, 0.1, 10.0), 30, QUERIES)  # words find names
    assert without.recipe.screening.steps == 0
    assert without.recipe.reasoning.steps > 100
    assert names.recipe.screening.naming_queries > 0
    assert describes.recipe.naming is None
    assert describes.recipe.screening.naming_queries == 0
    assert describes.recipe.reasoning.naming_queries > 0


def test_a_recipe_is_read_as_it_was_written_with_its_reasons(data: FilesTable, start: Start, tmp_path: Path) -> None:
    chosen = choose_steps(chosen_for(data, start), Timing(0.5, 0.1, 20.0), 3, QUERIES)
    (tmp_path / "made").mkdir()
    path = tmp_path / "made" / "recipe.toml"
    write_recipe(chosen, path)
    again = read_recipe(path)
    assert isinstance(again.data, FilesTable)
    assert Path(again.data.labels).resolve() == Path(data.labels).resolve()
    assert dataclasses.replace(again, data=data) == chosen.recipe
    assert 'labels = "../labels.csv"' in path.read_text()
    reasons = {key: why for key, why in chosen.reasons.items() if why}
    assert read_reasons(path) == reasons
    assert format_recipe(Chosen(again, read_reasons(path)), path) == path.read_text()
