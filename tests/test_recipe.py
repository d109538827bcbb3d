"""Recipes: the shipped ones load, names and paths are found, and what is wrong is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgexl.errors import BadInput
from edgexl.recipe import Recipe, available_recipes, find_recipe, load_recipe


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(f'name = "mine"\n{text}')
    return path


def test_the_shipped_recipes() -> None:
    assert {"accurate", "balanced", "tiny"} <= set(available_recipes())
    for name in available_recipes():
        assert load_recipe(name).name == name
        assert load_recipe(name).description
    assert load_recipe("accurate").screener.scheme == "fp32"
    assert load_recipe("balanced").gates.p_at_1_kept == 98.5
    assert load_recipe("balanced").gates.r_at_100_kept == 99.0


def test_an_empty_recipe_is_the_defaults(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, "")) == Recipe("mine")
    assert load_recipe(str(write(tmp_path, ""))).index.code_bytes == 32


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[screener]\nschema = 'int8'", "did you mean 'scheme'"),
        ("[screener]\nscheme = 'int9'", "did you mean 'int8'"),
        ("[index]\nfine_bits = 5", "fine_bits"),
        ("[index]\ncode_bytes = 0", "code_bytes = 0 must lie within 1 and 128"),
        ("[index]\nfine_dims = 7", "fine_dims = 7 must be even"),
        ("[index]\nalias_cosine = 1.5", "alias_cosine = 1.5 must be above 0"),
        ("[index]\noverfetch = 50\n[shortlist]\nn = 100", "overfetch = 50 is below"),
        ("[shortlist]\nn = 5000", "within 1 and 4096"),
        ("[calibrate]\nqueries = 3", "at least 20"),
        ("[gates]\np_at_1_kept = 985", "percentage"),
        ("[gates]\nqueries = -1", "queries"),
        ("[gates]\nconfidence = 1.0", "confidence = 1.0 must be a share from 0.5"),
        ("[gates]\nmax_bundle_bytes = '35 MB'", "must be int"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence) as caught:
        load_recipe(write(tmp_path, text))
    assert "mine.toml" in str(caught.value)


def test_unknown_names_and_paths() -> None:
    with pytest.raises(BadInput, match="did you mean 'balanced'"):
        find_recipe("balancd")
    with pytest.raises(BadInput, match=r"no recipe at .*none\.toml"):
        find_recipe("somewhere/none.toml")
