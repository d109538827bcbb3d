"""Recipes: the shipped ones load, names and paths are found, and what is wrong is said."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.compiler.recipe import (
    CalibrateRecipe,
    GateRecipe,
    GraphRecipe,
    IndexRecipe,
    Recipe,
    ShortlistRecipe,
    available_recipes,
    find_recipe,
    load_recipe,
)


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
        ("[vocabulary]\nkeep = 0", "keep = 0 must be above 0"),
        ("[vocabulary]\nkeep = 'some'", "keep"),
        ("[vocabulary]\nkeep = 'all'\nlanguages = ['de']", "leave them out"),
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


def test_what_a_recipe_leaves_out() -> None:
    """A file that leaves a key out compiles today as it did before: these are a promise."""
    graph = {"scheme": "int8", "embeddings": "int8", "keep_fp32": (), "layers": None}
    assert dataclasses.asdict(Recipe("mine")) == {
        "name": "mine", "description": "", "engine": "auto", "screener": graph,
        "reasoner": {**graph, "blend": "auto"},
        "vocabulary": {"keep": "auto", "languages": (), "words": 20_000},
        "index": {
            "rotation": "none", "coarse": "pq", "coarse_dims": None, "code_bytes": 32, "overfetch": 1024,
            "fine_bits": 4, "fine_dims": None, "aliases": True, "alias_cosine": 0.99, "descriptions": "auto",
            "keep_descriptions": False, "labels_from": "float", "cells": "auto", "cell_recall": 0.98, "lexical": "auto",
            "lexical_bytes": 24.0, "lexical_candidates": 128, "seed": 0,
        },
        "shortlist": {"n": None, "windows": "auto"},
        "calibrate": {"method": "isotonic", "queries": 2000, "absence_noticed": 0.8, "most_doubted": 0.33},
        "gates": {
            "p_at_1_kept": 0.0, "r_at_100_kept": 0.0, "confidence": 0.5, "max_bundle_bytes": None, "queries": 2000,
            "reasoner_gain": 0.0, "max_memory_bytes": None, "max_load_ms": None, "max_calibration_error": None,
            "max_ms": dict.fromkeys(
                ("total", "tokenize", "encode", "scan", "match", "rescore", "gather", "reason", "calibrate")
            ),
            "max_bytes": dict.fromkeys(("screener", "reasoner", "index", "texts")),
            "min": {
                f"{part}{name}": None for part in ("", "screening_") for name in ("p_at_1", "r_at_100", "ndcg_at_5")
            },
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "key", "inside", "outside"),
    [
        (IndexRecipe, "code_bytes", (1, 128), (0, 129)),
        (IndexRecipe, "coarse_dims", (64, 128), (63, 65, 96, 0, -64)),
        (IndexRecipe, "overfetch", (1, 16384), (0, 16385)),
        (IndexRecipe, "alias_cosine", (1e-6, 1.0), (0.0, 1.001, -0.5)),
        (IndexRecipe, "cells", (0, 1, 65536, "auto"), (-1, 65537)),
        (IndexRecipe, "cell_recall", (1e-6, 1.0), (0.0, 1.001)),
        (IndexRecipe, "lexical_bytes", (1.0, 1024.0), (0.9, 1025.0)),
        (IndexRecipe, "lexical_candidates", (1, 4096), (0, 4097)),
        (IndexRecipe, "fine_dims", (2, 4, None), (0, 1, 3, -2)),
        (ShortlistRecipe, "n", (1, 4096, None), (0, 4097)),
        (CalibrateRecipe, "absence_noticed", (0.0, 0.999), (-0.001, 1.0)),
        (CalibrateRecipe, "most_doubted", (0.0, 1.0), (-0.001, 1.001)),
        (CalibrateRecipe, "queries", (20, 21), (19, 0)),
        (GateRecipe, "p_at_1_kept", (0.0, 100.0), (-0.1, 100.1)),
        (GateRecipe, "r_at_100_kept", (0.0, 100.0), (-0.1, 100.1)),
        (GateRecipe, "confidence", (0.5, 0.999), (0.499, 1.0)),
        (GateRecipe, "queries", (1,), (0,)),
        (GateRecipe, "max_bundle_bytes", (1, None), (0,)),
        (GateRecipe, "max_memory_bytes", (1, None), (0,)),
        (GateRecipe, "max_load_ms", (0.1, None), (0.0,)),
        (GateRecipe, "max_calibration_error", (0.0, 100.0, None), (-0.1, 100.1)),
        (GraphRecipe, "layers", (1, None), (0, -1)),
    ],
)
def test_limits_are_where_they_are_said_to_be(table: type, key: str, inside: tuple, outside: tuple) -> None:
    for value in inside:
        assert getattr(table(**{key: value}), key) == value
    for value in outside:
        with pytest.raises(ValueError, match=rf"{key}\b.*"):
            table(**{key: value})


def test_as_many_rows_are_rescored_as_labels_are_handed_on() -> None:
    Recipe("mine", index=IndexRecipe(overfetch=100), shortlist=ShortlistRecipe(100))
    with pytest.raises(ValueError, match="overfetch = 100 is below"):
        Recipe("mine", index=IndexRecipe(overfetch=100), shortlist=ShortlistRecipe(101))


def test_dimensions_of_fine_codes() -> None:
    assert [IndexRecipe().fine_dims_of(dims) for dims in (8, 9, 384)] == [8, 8, 384]
    assert IndexRecipe(fine_dims=6).fine_dims_of(6) == 6
    assert IndexRecipe(fine_dims=8).fine_dims_of(7) == 6
    assert [IndexRecipe(fine_bits=2).fine_dims_of(dims) for dims in (8, 11)] == [8, 8]


def test_a_file_beside_shipped_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is a file here is that file; distillation's recipes are no compile recipes."""
    monkeypatch.chdir(tmp_path)
    assert find_recipe("tiny").stem == "tiny"
    write(tmp_path, "").rename(tmp_path / "tiny")
    assert find_recipe("tiny") == Path("tiny")
    assert load_recipe("tiny").name == "mine"
    assert "wordnet" not in available_recipes()
    assert list(available_recipes()) == sorted(available_recipes())
