"""What probing is fitted on and what is told of it, by plain searches."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgexl.compiler.measure.probing import fit_probing
from edgexl.index import LabelIndex, encode_coarse, encode_fine, fit_probes, make_cells, train_codebook


@pytest.fixture(scope="module")
def index() -> LabelIndex:
    """2,400 labels in 12 cells, all of them probed."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((30, 16))[rng.integers(0, 30, 2400)] + 0.5 * rng.standard_normal((2400, 16))
    vectors = vectors.astype(np.float32)
    cells = make_cells(vectors, 12, 16, seed=0)
    codebook = train_codebook(vectors, "pq", 4, seed=0)
    return LabelIndex(
        codebook=codebook, coarse=encode_coarse(vectors[cells.rows], codebook), fine=encode_fine(vectors, 16, 8),
        labels=2400, dims=16, fine_dims=16, fine_bits=8, overfetch=120, shortlist=30,
        row_starts=np.zeros(1, np.uint32), row_labels=np.zeros(0, np.uint32), cells=cells,
    )  # fmt: skip


def test_even_queries_are_fitted_on_and_odd_ones_measured_on(index: LabelIndex) -> None:
    assert index.cells is not None
    queries = np.random.default_rng(1).standard_normal((61, 16)).astype(np.float32)
    probing, told = fit_probing(index, queries, 0.9)
    wanted = [index.search(query).labels[:10] for query in queries[::2]]
    fitted = fit_probes(index.cells, queries[::2], wanted, 0.9)
    assert probing == dataclasses.replace(index, cells=probing.cells)
    assert probing.cells is not None
    assert (probing.cells.probes, probing.cells.margin) == (fitted.cells.probes, fitted.cells.margin)
    before, after = ([one.search(query).labels for query in queries[1::2]] for one in (index, probing))
    first = [np.isin(old[:10], new).mean() for old, new in zip(before, after, strict=True)]
    whole = [np.isin(old, new).mean() for old, new in zip(before, after, strict=True)]
    sizes = np.diff(index.cells.starts)
    assert told == {
        "cells": 12, "largest_cell_rows": sizes.max(), "smallest_cell_rows": sizes.min(),
        "probes": fitted.cells.probes, "margin": fitted.cells.margin,
        "rows_scanned_share": round(fitted.scanned, 5), "recall_goal": 0.9, "recall_fitted": round(fitted.recall, 5),
        "first_10_kept": round(float(np.mean(first)), 5), "shortlist_kept": round(float(np.mean(whole)), 5),
        "queries": 30,
    }  # fmt: skip
    assert told["shortlist_kept"] < told["first_10_kept"] < 1  # or this shows nothing


def test_one_query_is_both(index: LabelIndex) -> None:
    query = np.ones((1, 16), np.float32)
    assert fit_probing(index, query, 1.0)[1]["queries"] == 1
