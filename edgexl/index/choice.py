"""Which codes keep the most: measured on held-out queries, not guessed.

With so many bytes a row one can keep few dimensions well or many badly, by signs or by a trained code book. What is
right depends on how the vectors' energy falls off and on how queries lie to labels, so the candidates are tried on a
sample of the rows: how many of the rows that matter are among the best by what the codes stand for? Those are the
nearest of each query by the float vectors, and the rows of its gold labels that float search would have found.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Array, Floats, Ints
from edgexl.base.errors import BadInput
from edgexl.index.coarse import decode_coarse, encode_coarse
from edgexl.index.codebook import Coarse, train_codebook
from edgexl.index.remembered import remembered
from edgexl.index.rotation import Rotation, train_rotation

NEAREST = 10
SAMPLE_ROWS = 65_536
SAMPLE_QUERIES = 500
# A subspace of more than 8 dimensions has 16 entries for what no 16 entries can tell apart.
_MOST_SUBSPACE_DIMS = 8
_LEAST_ENERGY = 0.5  # what the leading dimensions must hold to be worth a trial
_LUCK = 0.005  # about the standard error of a difference between candidates, over 500 queries
_BATCH = 64


@dataclass(frozen=True)
class CoarseCode:
    """A coarse code of the leading `dims` dimensions, and what it keeps.

    `nearest`: share of the float search's 10 nearest rows among the code's first `depth` rows; `gold`: the same of
    gold labels' rows that float search has among its first `depth` (None where no gold labels are known).
    """

    coarse: Coarse
    dims: int
    nearest: float = 0.0
    gold: float | None = None
    depth: int = 0

    @property
    def kept(self) -> float:
        """What codes are chosen by: the mean of both shares."""
        return self.nearest if self.gold is None else (self.nearest + self.gold) / 2


def coarse_code(
    vectors: Floats,
    queries: Floats,
    gold_rows: Sequence[Ints],
    rotation: Rotation,
    coarse: Coarse,
    coarse_dims: int | None,
    code_bytes: int,
    fine_dims: int,
    depth: int,
    seed: int,
    threads: int = 1,
) -> tuple[CoarseCode, list[CoarseCode]]:
    """The coarse code to take, and all that were measured to choose it: none, where there is nothing to choose from.

    With `auto`, what `prefer` takes of all candidates; without held-out queries some of the vectors stand in, so
    that at least the energy of their space is right. Otherwise what is given, of all dimensions by default.
    """
    if coarse != "auto":
        return CoarseCode(coarse, coarse_dims or vectors.shape[1]), []
    candidates = coarse_candidates(vectors, rotation, coarse, coarse_dims, code_bytes)
    if len(candidates) == 1:
        return candidates[0], []
    if not len(queries):
        queries = vectors[:: max(1, len(vectors) // SAMPLE_QUERIES)]
        gold_rows = [np.empty(0, np.int64)] * len(queries)
    settings = json.dumps([rotation, [asdict(each) for each in candidates], code_bytes, depth, seed])

    def find_out() -> list[dict[str, Any]]:
        tried = choose_coarse(vectors, queries, gold_rows, rotation, candidates, code_bytes, depth, seed, threads)
        return [asdict(each) for each in tried]

    parts: tuple[str | Array, ...] = (settings, vectors, queries, *gold_rows)
    tried = [CoarseCode(**each) for each in remembered("coarse code", parts, find_out)]
    return prefer(tried, fine_dims), tried


def prefer(tried: Sequence[CoarseCode], fine_dims: int) -> CoarseCode:
    """The code that keeps most, or one that keeps as much but for the sample's luck and more of the `fine_dims`
    dimensions: a pca rotation spreads energy apart over the coarse codes' dimensions and the rest, and fine codes are
    best where it is spread over all that they keep."""
    most = max(code.kept for code in tried)
    equal = [code for code in tried if code.kept >= most - _LUCK]
    return max(equal, key=lambda code: (min(code.dims, fine_dims), code.kept))


def choose_coarse(
    vectors: Floats,
    queries: Floats,
    gold_rows: Sequence[Ints],
    rotation: Rotation,
    candidates: Sequence[CoarseCode],
    code_bytes: int,
    depth: int,
    seed: int,
    threads: int = 1,
) -> list[CoarseCode]:
    """The candidates with what they keep, best first; of equals the one of fewer dimensions.

    vectors: [rows, D], not yet rotated; queries: [Q, D], held out; gold_rows: for each query the rows of its gold
    labels (all empty where none are known). At most 65,536 rows and 500 queries are looked at.
    The candidates are tried on so many threads.
    """
    rng = np.random.default_rng(seed)
    queries, gold_rows = queries[:SAMPLE_QUERIES], gold_rows[:SAMPLE_QUERIES]
    chosen = rng.choice(len(vectors), min(len(vectors), SAMPLE_ROWS), replace=False)
    chosen = np.unique(np.concatenate([chosen, *gold_rows]).astype(np.int64))
    sample = np.ascontiguousarray(vectors[chosen])
    depth = min(depth, len(sample))
    exact = _first(queries, sample, depth)
    nearest = [row[: min(NEAREST, depth)] for row in exact]
    gold = [np.intersect1d(np.searchsorted(chosen, rows), found) for rows, found in zip(gold_rows, exact, strict=True)]

    def measure(candidate: CoarseCode) -> CoarseCode:
        turn = train_rotation(sample, rotation, seed, candidate.dims)[:, : candidate.dims]
        turned = sample @ turn
        codebook = train_codebook(turned, candidate.coarse, code_bytes, seed)
        decoded = decode_coarse(encode_coarse(turned, codebook), len(turned), codebook)
        found = _first(queries @ turn, decoded, depth)
        share = _share(gold, found) if any(map(len, gold)) else None
        return CoarseCode(candidate.coarse, candidate.dims, _share(nearest, found), share, depth)

    with ThreadPoolExecutor(threads) as pool:
        return sorted(pool.map(measure, candidates), key=lambda code: (-code.kept, code.dims))


def coarse_candidates(
    vectors: Floats, rotation: Rotation, coarse: Coarse, coarse_dims: int | None, code_bytes: int
) -> list[CoarseCode]:
    """What there is to choose from. Raises `BadInput` where there is nothing.

    Only a pca rotation makes the leading dimensions better than the others; with any other all are kept. A
    `coarse_dims` or `coarse` that is given is not departed from.
    """
    dims, subspaces = vectors.shape[1], 2 * code_bytes
    kinds: list[Coarse] = ["pq", "sign"] if coarse == "auto" else [coarse]
    widths = [width for width in range(1, _MOST_SUBSPACE_DIMS + 1) if width * subspaces <= dims]
    if coarse_dims is not None:
        sizes = [coarse_dims]
    elif rotation == "pca":
        energy = np.sort(np.linalg.eigvalsh(_moment(vectors)))[::-1].cumsum()
        sizes = [width * subspaces for width in widths if energy[width * subspaces - 1] >= _LEAST_ENERGY * energy[-1]]
        sizes = sizes or [width * subspaces for width in widths[-1:]]
    else:
        sizes = [dims]
    fitting = [size for size in sizes if size <= dims and size % subspaces == 0]
    if not fitting:
        raise BadInput(
            f"{code_bytes} bytes a row are {subspaces} subspaces, and {sizes[0] if sizes else dims} dimensions do not "
            "divide into them. Choose coarse_dims or code_bytes so that 2 x code_bytes divides it"
            + ("." if rotation == "pca" else ', or rotation = "pca".')
        )
    # Signs have a bit a dimension and four of them a nibble: with fewer dimensions they leave bits unused.
    return [
        CoarseCode(kind, size)
        for size in fitting
        for kind in kinds
        if kind == "pq" or len(kinds) == 1 or size == min(4 * subspaces, max(fitting))
    ]


def _moment(vectors: Floats) -> npt.NDArray[np.float64]:
    step = max(1, len(vectors) // SAMPLE_ROWS)
    some = vectors[::step].astype(np.float64)
    moment: npt.NDArray[np.float64] = some.T @ some
    return moment


def _first(queries: Floats, vectors: Floats, depth: int) -> list[Ints]:
    """The `depth` rows of highest inner product with each query, best first."""
    found: list[Ints] = []
    for begin in range(0, len(queries), _BATCH):
        scores = queries[begin : begin + _BATCH] @ vectors.T
        for row in scores:
            best = np.argpartition(-row, depth - 1)[:depth]
            found.append(best[np.argsort(-row[best], kind="stable")])
    return found


def _share(wanted: Sequence[Ints], found: Sequence[Ints]) -> float:
    hits = sum(int(np.isin(rows, among).sum()) for rows, among in zip(wanted, found, strict=True))
    return hits / max(1, sum(map(len, wanted)))
