"""What words weigh in screening, fitted with held-out queries before the reasoner is trained, as a compile will fit it:
so the reasoner corrects the scores that the device will have."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from edgexl.base.arrays import Doubles, Ints
from edgexl.base.progress import Progress
from edgexl.compiler.measure.weighing import FEWEST_QUERIES, QUERIES, gains
from edgexl.compiler.passes.index_words import TRIED
from edgexl.data import Query
from edgexl.data.metrics import precisions, recalls
from edgexl.distill.stages.evidence import Candidates, EvidenceSearch
from edgexl.index.best_of_rows import Weighing

DEPTH = 100


def fit_words(
    search: EvidenceSearch, queries: Sequence[Query], vectors: Tensor, banned: Ints, progress: Progress
) -> EvidenceSearch:
    """The search with the weights of words that put most gold labels of the `queries`, of vectors [n,d], in front;
    those of other label sets where there are too few queries, or none is better by more than the standard error."""
    queries = queries[:QUERIES]
    if len(queries) < FEWEST_QUERIES:
        return search
    found = list(search.candidates(vectors[: len(queries)], [query.text for query in queries], DEPTH, banned, progress))
    usual = judge_candidates(found, search.weighing, queries)
    chosen, best = search.weighing, usual
    for each in TRIED:
        weighing = dataclasses.replace(search.weighing, lexical_weight=each.features)
        judged = judge_candidates(found, weighing, queries)
        if gains(judged, best) and gains(judged, usual):
            chosen, best = weighing, judged
    return search.weighed_by(chosen)


def judge_candidates(found: Sequence[Candidates], weighing: Weighing, queries: Sequence[Query]) -> Doubles:
    """[queries, 3]: P@1, R@10 and R@100 of screening, weighed so."""
    ranked = np.full((len(found), DEPTH), -1, np.int64)
    for line, each in zip(ranked, found, strict=True):
        order = each.rank(weighing)[:DEPTH]
        line[: len(order)] = order
    return judge_rankings(ranked, queries)


def judge_rankings(ranked: Ints, queries: Sequence[Query]) -> Doubles:
    """[queries, 3]: P@1, R@10 and R@100 of rankings [queries, 100]; -1 pads."""
    targets = [query.targets for query in queries]
    return np.stack([precisions(ranked, targets, 1), *(recalls(ranked, targets, k) for k in (10, DEPTH))], -1)
