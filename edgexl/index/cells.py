"""Cells: from a few million rows on, a query scans the rows near it instead of all of them.

K-means parts the rows into cells; coarse codes lie in the order of their cells, and a query scans the cells whose
centroids score best. How many is fitted on held-out queries, to a share of what the flat scan finds; where the best
cell leads by far, fewer are scanned. The scan is the same kernel, and the bytes are docs/format.md's, "Cells section".
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Floats, Ints
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.bundle.cells import CENTROID_BITS, Cells
from edgexl.bundle.parameters import LARGEST_F32
from edgexl.index.fine import encode_fine
from edgexl.index.search import cell_scores

# A flat scan of so many rows takes 2 to 3 ms of a core; with fewer, cells cost more recall than time is worth.
LEAST_ROWS = 3_000_000
MOST_CELLS = 16_384
# K-means sees so many rows of each cell: with four times as many the recall is the same within its error.
_SAMPLE_ROWS_A_CELL = 64
_ITERATIONS = 10
# A cell that holds more than so many times the mean gives rows away: they would cost time whenever it is probed.
_MOST_TIMES_MEAN = 2.0
_NEAREST_CELLS = 4
_CHUNK_ROWS = 8192


class Vectors(Protocol):
    """Vectors [rows, D] that are read in slices: an array, or one mapped from a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice) -> Floats: ...


def cell_count(wanted: int | str, rows: int) -> int:
    """How many cells `[index] cells` asks for: a number, or "auto". 0: none.

    About 2 x sqrt(rows), a power of two: scoring the centroids then takes as long as scanning what recall asks for.
    """
    if wanted != "auto":
        return int(wanted) if int(wanted) > 1 else 0
    if rows < LEAST_ROWS:
        return 0
    return min(MOST_CELLS, 1 << round(float(np.log2(2 * np.sqrt(rows)))))


def make_cells(
    vectors: Vectors,
    count: int,
    dims: int,
    seed: int,
    threads: int = 1,
    progress: StageProgress = no_stage_progress,
) -> Cells:
    """At most `count` cells of the rows, by the leading `dims` dimensions; all of them are probed until `fit_probes`
    says which. vectors: [rows, D], as the codes are made of them; read once, in slices, and once for a sample. The
    cells do not depend on the number of threads.
    """
    rows = vectors.shape[0]
    count = min(count, rows)
    centroids = _train(_sample(vectors, count * _SAMPLE_ROWS_A_CELL, dims, seed), count, seed)
    encoded = encode_fine(centroids, dims, CENTROID_BITS)
    of_row = _assign(vectors, centroids, threads, progress)
    sizes = np.bincount(of_row, minlength=count)
    there = np.flatnonzero(sizes)
    order = np.argsort(of_row, kind="stable").astype(np.uint32)
    starts = np.concatenate([[0], np.cumsum(sizes[there])]).astype(np.uint32)
    kept = np.frombuffer(encoded, np.uint8).reshape(count, -1)[there].tobytes()
    return Cells(starts, order, kept, dims, probes=len(there), margin=LARGEST_F32)


def _sample(vectors: Vectors, most: int, dims: int, seed: int) -> Floats:
    """Evenly many rows of each slice, so that no more than a slice is in memory beside the sample."""
    rows = vectors.shape[0]
    rng = np.random.default_rng(seed)
    share = min(1.0, most / rows)
    parts = []
    for begin in range(0, rows, _CHUNK_ROWS):
        chunk = vectors[begin : min(rows, begin + _CHUNK_ROWS)][:, :dims]
        chosen = rng.choice(len(chunk), max(1, round(share * len(chunk))), replace=False)
        parts.append(np.array(chunk[np.sort(chosen)], np.float32))
    return np.concatenate(parts)


def _train(sample: Floats, count: int, seed: int) -> Floats:
    """Centroids [count, dims] of unit length, by k-means. One BLAS thread: more of them would add the same sums in
    another order.

    Measured on 200,000 of MeSH's label vectors in 256 cells, rows to scan for .98 of the exact first 10, probes alone:
    27.6% as it is, 30.3% with centroids of any length by distance, 31.8% with those by inner product. On all 354,068
    probes alone scan 24.4%, with a margin 18.2%.
    """
    import faiss
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    k_means = faiss.Kmeans(
        sample.shape[1], count, niter=_ITERATIONS, seed=seed + 1, min_points_per_centroid=1,
        max_points_per_centroid=_SAMPLE_ROWS_A_CELL, spherical=True,
    )  # fmt: skip
    with threadpool_limits(1, "blas"):
        k_means.train(sample)
    centroids: Floats = np.ascontiguousarray(k_means.centroids, np.float32)
    return centroids


def _assign(vectors: Vectors, centroids: Floats, threads: int, progress: StageProgress) -> npt.NDArray[np.int32]:
    """The cell of each row: the one of highest inner product; where that is full, for those that lose least by it, one
    of the next.
    """
    rows, dims = vectors.shape[0], centroids.shape[1]
    near = min(_NEAREST_CELLS, len(centroids))
    cells, losses = np.empty((rows, near), np.int32), np.empty((rows, near), np.float32)

    def one(begin: int) -> int:
        end = min(rows, begin + _CHUNK_ROWS)
        closeness = np.asarray(vectors[begin:end][:, :dims], np.float32) @ centroids.T
        best = closeness.max(axis=1)
        for place in range(near):  # few times the largest: quicker than any order of all of them
            cells[begin:end, place] = closeness.argmax(axis=1)
            at = np.arange(end - begin), cells[begin:end, place]
            losses[begin:end, place] = best - closeness[at]
            closeness[at] = -np.inf
        return end

    # numpy lets go of the interpreter in all of these
    with ThreadPoolExecutor(threads) as pool:
        for end in pool.map(one, range(0, rows, _CHUNK_ROWS)):
            progress(end, rows)
    return _balance(cells, losses, int(np.ceil(_MOST_TIMES_MEAN * rows / len(centroids))), len(centroids))


def _balance(cells: npt.NDArray[np.int32], losses: Floats, most: int, count: int) -> npt.NDArray[np.int32]:
    """One of each row's `cells` [rows, near], in which no more than `most` rows are, as far as that is possible.

    Of a cell with too many those leave that lose least by their next choice; what finds all of its cells full stays.
    """
    chosen = cells[:, 0].copy()
    for place in range(1, cells.shape[1]):
        sizes = np.bincount(chosen, minlength=count)
        crowded = np.flatnonzero((sizes > most)[chosen])
        if not len(crowded):
            break
        order = crowded[np.lexsort((crowded, losses[crowded, place], chosen[crowded]))]
        leaves = _rank(chosen[order]) < (sizes - most)[chosen[order]]
        moving = order[leaves]
        target = cells[moving, place]
        by_target = np.lexsort((moving, losses[moving, place], target))
        moving, target = moving[by_target], target[by_target]
        fits = _rank(target) < (most - sizes)[target]
        chosen[moving[fits]] = target[fits]
    return chosen


def _rank(groups: npt.NDArray[np.int32]) -> Ints:
    """For each place of ascending `groups` how many of its group stand before it."""
    places = np.arange(len(groups))
    first = np.concatenate([[True], groups[1:] != groups[:-1]]) if len(groups) else np.zeros(0, np.bool_)
    return places - np.maximum.accumulate(np.where(first, places, 0))


@dataclass(frozen=True)
class ProbeFit:
    """What was fitted: `recall` of the flat scan's rows by the queries that were fitted on, and the mean share of all
    rows that these scan."""

    cells: Cells
    recall: float
    scanned: float


def fit_probes(cells: Cells, queries: Floats, wanted: list[Ints], goal: float) -> ProbeFit:
    """The fewest probes that find the share `goal` of each query's `wanted` rows, on average.

    queries: [Q, D], held out; wanted: for each the rows that the flat scan finds and that matter. Of all pairs of a
    number of probes and a margin that reach the goal, the one with the fewest rows to scan is taken.
    """
    cell_of_row = np.empty(len(cells.rows), np.int32)
    cell_of_row[cells.rows] = np.repeat(np.arange(cells.count), np.diff(cells.starts))
    sizes = np.diff(cells.starts).astype(np.float64)
    ranks, behind, weights, scanned, lags = [], [], [], [], []
    for query, rows in zip(queries, wanted, strict=True):
        scores = cell_scores(cells, query)
        order = np.argsort(-scores, kind="stable")
        rank = np.empty(cells.count, np.int64)
        rank[order] = np.arange(cells.count)
        mine = cell_of_row[rows]
        ranks.append(rank[mine])
        behind.append(scores[order[0]] - scores[mine])
        weights.append(np.full(len(rows), 1 / max(1, len(rows))))
        scanned.append(sizes[order].cumsum() / sizes.sum())
        lags.append(scores[order[0]] - scores[order])
    rank, lag = np.concatenate(ranks), np.concatenate(behind)
    weight = np.concatenate(weights) / sum(len(rows) > 0 for rows in wanted)
    share, steps = np.array(scanned), np.array(lags)
    best: tuple[float, int, float, float] | None = None
    for probes in _candidates(rank, weight, goal, cells.count):
        margin, recall = _least_margin(rank < probes, lag, weight, goal)
        if recall < goal:
            continue
        taken = np.maximum(1, np.minimum(probes, (steps <= margin).sum(axis=1)))
        cost = float(share[np.arange(len(share)), taken - 1].mean())
        if best is None or cost < best[0]:
            best = (cost, probes, margin, recall)
    assert best is not None  # all cells and every margin reach any goal
    cost, probes, margin, recall = best
    return ProbeFit(replace(cells, probes=probes, margin=margin), recall, cost)


def _candidates(rank: Ints, weight: npt.NDArray[np.float64], goal: float, count: int) -> list[int]:
    """Numbers of probes that reach the goal: the fewest, and ever more, for margins to cut down."""
    found = np.bincount(rank, weight, minlength=count).cumsum()
    least = int(np.searchsorted(found, min(goal, found[-1]) - 1e-12)) + 1
    return sorted({min(count, max(least, round(least * 1.1**step))) for step in range(40)} | {count})


def _least_margin(
    probed: npt.NDArray[np.bool_], lag: Floats, weight: npt.NDArray[np.float64], goal: float
) -> tuple[float, float]:
    """The least margin (an f32) that still reaches the goal, and the recall with it."""
    order = np.argsort(lag, kind="stable")
    found = np.where(probed[order], weight[order], 0.0).cumsum()
    at = min(int(np.searchsorted(found, goal - 1e-12)), len(found) - 1)
    # scores are compared after a subtraction that rounds: a hair more keeps what lies on the edge
    margin = float(np.nextafter(np.float32(lag[order][at]) * np.float32(1.0001), np.float32(np.inf)))
    kept = lag <= margin
    return margin, float(weight[probed & kept].sum()) + 1e-12
