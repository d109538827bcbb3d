"""What votes and words weigh in screening, fitted with held-out queries before the reasoner is trained, as a compile
will fit it: so the reasoner corrects the scores that the device will have."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from edgexl.base.arrays import Doubles, Ints
from edgexl.base.progress import Progress
from edgexl.compiler.measure.weighing import FEWEST_QUERIES, QUERIES, gains
from edgexl.compiler.passes.build_index import VOTES_TRIED
from edgexl.compiler.passes.index_words import TRIED, WordsWeight
from edgexl.data import Query
from edgexl.data.metrics import precisions, recalls
from edgexl.distill.stages.evidence import Candidates, EvidenceSearch
from edgexl.index.best_of_rows import Weighing

DEPTH = 100


def fit_screening(
    search: EvidenceSearch, queries: Sequence[Query], vectors: Tensor, banned: Ints, progress: Progress
) -> EvidenceSearch:
    """The search with the weights of votes and of words that put most gold labels of the `queries`, of vectors [n,d],
    in front; those of other label sets where there are too few queries, or none is better by more than the standard
    error. Votes come first, without words, as when an index is built."""
    queries = queries[:QUERIES]
    if len(queries) < FEWEST_QUERIES:
        return search
    found = list(search.candidates(vectors[: len(queries)], [query.text for query in queries], DEPTH, banned, progress))
    wordless = dataclasses.replace(search.weighing, lexical_weight=WordsWeight().features)
    votes = [dataclasses.replace(wordless, votes_weight=weight) for weight in VOTES_TRIED]
    weight = choose_weighing(found, wordless, votes, queries).votes_weight
    usual = dataclasses.replace(search.weighing, votes_weight=weight)
    words = [dataclasses.replace(usual, lexical_weight=each.features) for each in TRIED]
    return search.weighed_by(choose_weighing(found, usual, words, queries))


def choose_weighing(
    found: Sequence[Candidates], usual: Weighing, tried: Sequence[Weighing], queries: Sequence[Query]
) -> Weighing:
    """The best way of weighing; the usual one, where none is better than it beyond chance."""
    as_usual = judge_candidates(found, usual, queries)
    chosen, best = usual, as_usual
    for each in tried:
        judged = judge_candidates(found, each, queries)
        if gains(judged, best) and gains(judged, as_usual):
            chosen, best = each, judged
    return chosen


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
