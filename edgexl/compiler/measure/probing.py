"""How many cells a query probes: fitted on held-out queries to what the flat scan finds, and measured on others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from edgexl.base.arrays import Floats, Ints
from edgexl.bundle.cells import Cells
from edgexl.compiler.measure.kernel_search import fastest
from edgexl.index import LabelIndex, ProbeFit, Shortlist, fit_probes, quantize_query, rescore

# What the flat search ranks first is what its misses cost most; the shortlist's tail is mostly wrong labels.
FIRST = 10
# The share of 2,000 queries' first 10 is known to a tenth of a point.
QUERIES = 2000


def fit_probing(index: LabelIndex, queries: Floats, goal: float, threads: int = 1) -> tuple[LabelIndex, dict[str, Any]]:
    """The index with the fewest probes that keep the share `goal` of the flat search's first 10 rows, and what it does,
    for the manifest.

    index: with cells that are all probed, which is the flat search; queries: [Q, D] in the index's space, held out. The
    even ones are fitted on and the odd ones measured on, by whole searches.
    """
    assert index.cells is not None
    queries = queries[:QUERIES]
    flat = fastest(index)
    with ThreadPoolExecutor(threads) as pool:
        wanted = list(pool.map(lambda query: _first_rows(index, flat.candidates(query), query), queries[::2]))
        fitted = fit_probes(index.cells, queries[::2], wanted, goal)
        probing = dataclasses.replace(index, cells=fitted.cells)
        others = queries[1::2] if len(queries) > 1 else queries
        before = list(flat.search_all(others, pool))
        after = list(fastest(probing).search_all(others, pool))
    return probing, _facts(fitted, goal, before, after)


def _first_rows(index: LabelIndex, candidates: Ints, query: Floats) -> Ints:
    """The best of the rows that a scan found, by their fine scores."""
    quantized, unit = quantize_query(query, index.fine_dims, index.gain)
    scores = rescore(index.fine, candidates, index.fine_dims, index.fine_bits, quantized, unit)
    return candidates[np.argsort(-scores, kind="stable")[:FIRST]]


def _facts(fit: ProbeFit, goal: float, before: Sequence[Shortlist], after: Sequence[Shortlist]) -> dict[str, Any]:
    cells: Cells = fit.cells
    sizes = np.diff(cells.starts)

    def kept(depth: int) -> float:
        shares = [np.isin(old.labels[:depth], new.labels).mean() for old, new in zip(before, after, strict=True)]
        return round(float(np.mean(shares)), 5)

    return {
        "cells": cells.count,
        "largest_cell_rows": int(sizes.max()),
        "smallest_cell_rows": int(sizes.min()),
        "probes": cells.probes,
        "margin": cells.margin,
        "rows_scanned_share": round(fit.scanned, 5),
        "recall_goal": goal,
        "recall_fitted": round(fit.recall, 5),
        "first_10_kept": kept(FIRST),
        "shortlist_kept": kept(len(before[0].labels)),
        "queries": len(before),
    }
