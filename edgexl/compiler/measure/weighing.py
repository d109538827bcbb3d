"""What a screening score is made of, judged by held-out queries: each way of weighing ranks the same candidates."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from edgexl.base.arrays import Doubles, Floats, Ints
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_queries
from edgexl.compiler.measure.kernel_search import fastest
from edgexl.compiler.measure.yardstick import pad_rows
from edgexl.data import Query, metrics
from edgexl.index import LabelIndex
from edgexl.index.best_of_rows import Weighing

# Fewer queries tell a gain from chance only where it is large; more tell no more.
FEWEST_QUERIES, QUERIES = 50, 500
FIGURES = ("P@1", "R@10", "R@100")


def turn_queries(artifact: Artifact, queries: tuple[Query, ...]) -> Floats:
    """The queries' vectors in the index's space."""
    vectors = encode_queries(artifact, queries)
    return vectors if artifact.rotation is None else vectors @ artifact.rotation


def judge_weighings(
    index: LabelIndex, weighings: Sequence[Weighing], vectors: Floats, queries: tuple[Query, ...], threads: int
) -> list[Doubles]:
    """For each of the `weighings` [queries, 3]: P@1, R@10 and R@100 of the screening of each query. What does not
    depend on them is found once."""
    index = fastest(index)

    def search(vector: Floats, text: str) -> list[Ints]:
        shortlists = index.shortlists_of(vector, index.candidates(vector), index.match(text), weighings)
        return [each.labels for each in shortlists]

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(search, vectors, [query.text for query in queries]))
    return [judge_shortlists(labels, queries) for labels in zip(*found, strict=True)]


def gains(one: Doubles, other: Doubles) -> bool:
    """Whether `one` is better than the other in the mean of all three, by more than the standard error of that."""
    gain = (one - other).mean(1)
    return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))


def figures_of(judged: Doubles) -> dict[str, float]:
    """In percent, by their names."""
    return {name: round(100 * float(value), 2) for name, value in zip(FIGURES, judged.mean(0), strict=True)}


def judge_shortlists(shortlists: Sequence[Ints], queries: tuple[Query, ...]) -> Doubles:
    """[queries, 3]: P@1, R@10 and R@100 of the labels of each query's shortlist, best first."""
    ranked = pad_rows(shortlists, -1)
    ranked = np.pad(ranked, ((0, 0), (0, max(0, 100 - ranked.shape[1]))), constant_values=-1)
    targets = [query.targets for query in queries]
    return np.stack(
        [metrics.precisions(ranked, targets, 1), *(metrics.recalls(ranked, targets, k) for k in (10, 100))], -1
    )
