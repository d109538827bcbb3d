"""Index words: the lexical side of screening, which finds labels by the words that they share with a query, however
these are spelled. What it weighs comes from the query itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgexl.base.arrays import Doubles, Floats, Ints
from edgexl.base.errors import BadInput
from edgexl.bundle.parameters import LEXICAL_FEATURES
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_queries
from edgexl.compiler.measure.kernel_search import fastest
from edgexl.compiler.measure.yardstick import pad_rows
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.recipe import IndexRecipe
from edgexl.data import Query, metrics
from edgexl.index import LabelIndex
from edgexl.index.lexical import build_lexical

# Where features stand among those of a query (docs/format.md).
ALWAYS, MISSPELT = 0, 3
# A query's weight without queries to fit it on: so much, and so much times the share of words that no label has and
# some label nearly has. Fitted on other label sets (benchmarks/lexical_weight.py).
BASE, SLOPE, MOST = 0.25, 4.4, 2.5
# What is tried where there are queries.
BASES, SLOPES = (0.0, 0.1, 0.2, 0.35, 0.6, 1.0), (0.0, 2.0, 4.4, 8.0)
QUERIES, FEWEST_QUERIES = 500, 50


@dataclass(frozen=True)
class IndexWords(Pass):
    """What the recipe says of the lexical side."""

    index: IndexRecipe
    threads: int = 1

    name = "index_words"
    needs = ("graphs", "index")
    measured = True

    def run(self, artifact: Artifact) -> Artifact:
        """The index with a lexical side, where the recipe wants one and held-out queries do not speak against it."""
        if self.index.lexical == "none":
            return artifact
        student = artifact.student
        texts = artifact.rows.row_texts(student.labels, student.tokenizer, artifact.shapes.max_tokens)
        try:
            lexical = build_lexical(texts, bytes_a_row=self.index.lexical_bytes)
        except BadInput as error:
            return _tell(artifact, {"kept": False, "because": f"There is no lexical side, for {error}"})
        with_words = dataclasses.replace(
            artifact.index,
            lexical=lexical,
            lexical_candidates=self.index.lexical_candidates,
            weighing=dataclasses.replace(
                artifact.index.weighing, lexical_weight=weight_of(BASE, SLOPE), lexical_most=MOST
            ),
        )
        facts: dict[str, Any] = {"kept": True, "bytes": len(lexical.pack()), "base": BASE, "slope": SLOPE}
        queries = artifact.student.calibration[:QUERIES]
        if len(queries) < FEWEST_QUERIES:
            facts["because"] = f"Kept, with the weight of other label sets: there are not {FEWEST_QUERIES} queries."
            return _tell(dataclasses.replace(artifact, index=with_words), facts)
        return self._fit(artifact, with_words, queries, facts)

    def _fit(
        self, artifact: Artifact, with_words: LabelIndex, queries: tuple[Query, ...], facts: dict[str, Any]
    ) -> Artifact:
        """By held-out queries: whether the lexical side pays, and what it weighs."""
        vectors = turn_queries(artifact, queries)
        pairs = [(BASE, SLOPE), *((base, slope) for base in BASES for slope in SLOPES if base + slope)]
        weights = [weight_of(*pair) for pair in pairs]
        [without] = judge_weights(
            artifact.index, [artifact.index.weighing.lexical_weight], vectors, queries, self.threads
        )
        usual, *others = judge_weights(with_words, weights, vectors, queries, self.threads)
        chosen, found = pairs[0], usual
        for pair, judged in zip(pairs[1:], others, strict=True):
            if _is_better(judged, found) and _is_better(judged, usual):
                chosen, found = pair, judged
        figures = {"without": _figures(without), "usual": _figures(usual), "chosen": _figures(found)}
        facts |= {"base": chosen[0], "slope": chosen[1], "queries": len(queries)} | figures
        if not _is_better(found, without):
            facts |= {"kept": False, "because": f"Left out: on {len(queries)} held-out queries it gains nothing."}
            return _tell(artifact, facts)
        facts["because"] = f"Kept: on {len(queries)} held-out queries it gains more than chance explains."
        return _tell(dataclasses.replace(artifact, index=_weigh(with_words, weight_of(*chosen))), facts)


def weight_of(base: float, slope: float) -> tuple[float, ...]:
    """The weights of a query's features: `base`, and `slope` times the share of misspelt words."""
    weights = [0.0] * LEXICAL_FEATURES
    weights[ALWAYS], weights[MISSPELT] = base, slope
    return tuple(weights)


def turn_queries(artifact: Artifact, queries: tuple[Query, ...]) -> Floats:
    """The queries' vectors in the index's space."""
    vectors = encode_queries(artifact, queries)
    return vectors if artifact.rotation is None else vectors @ artifact.rotation


def judge_weights(
    index: LabelIndex,
    weights: Sequence[tuple[float, ...]],
    vectors: Floats,
    queries: tuple[Query, ...],
    threads: int,
) -> list[Doubles]:
    """For each of the weights [queries, 3]: P@1, R@10 and R@100 of the screening of each query. What does not depend on
    the weights is found once."""
    index = fastest(index)
    weighed = [_weigh(index, weight) for weight in weights]

    def search(vector: Floats, text: str) -> list[Ints]:
        candidates, words = index.candidates(vector), index.match(text)
        return [each.shortlist_of(vector, candidates, words).labels for each in weighed]

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(search, vectors, [query.text for query in queries]))
    return [_judge(labels, queries) for labels in zip(*found, strict=True)]


def _weigh(index: LabelIndex, weight: tuple[float, ...]) -> LabelIndex:
    """The index with these weights of a query's lexical features."""
    return dataclasses.replace(index, weighing=dataclasses.replace(index.weighing, lexical_weight=weight))


def _judge(shortlists: Sequence[Ints], queries: tuple[Query, ...]) -> Doubles:
    ranked = pad_rows(shortlists, -1)
    ranked = np.pad(ranked, ((0, 0), (0, max(0, 100 - ranked.shape[1]))), constant_values=-1)
    targets = [query.targets for query in queries]
    return np.stack(
        [metrics.precisions(ranked, targets, 1), *(metrics.recalls(ranked, targets, k) for k in (10, 100))], -1
    )


def _is_better(one: Doubles, other: Doubles) -> bool:
    """Whether one is better in the mean of all three, by more than the standard error of that."""
    gain = (one - other).mean(1)
    return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))


def _figures(judged: Doubles) -> dict[str, float]:
    return {
        name: round(100 * float(value), 2) for name, value in zip(("P@1", "R@10", "R@100"), judged.mean(0), strict=True)
    }


def _tell(artifact: Artifact, facts: dict[str, Any]) -> Artifact:
    return dataclasses.replace(artifact, facts=artifact.facts | {"lexical": facts})
