"""Index words: the lexical side of screening, which finds labels by the words that they share with a query, however
these are spelled. What it weighs comes from the query itself."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgexl.base.arrays import Doubles, Floats
from edgexl.base.errors import BadInput
from edgexl.base.ragged import Ragged
from edgexl.bundle.parameters import LEXICAL_FEATURES
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_rows
from edgexl.compiler.measure.kernel_search import fastest
from edgexl.compiler.measure.yardstick import pad_rows
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.recipe import IndexRecipe
from edgexl.data import Query, metrics
from edgexl.index import LabelIndex
from edgexl.index.lexical import build_lexical
from edgexl.student.text import encode_texts

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
        texts = artifact.rows.texts(artifact.student.labels)
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
        vectors = encode_queries(artifact, queries)
        without = judge_screening(artifact.index, vectors, queries, self.threads)
        usual = judge_screening(with_words, vectors, queries, self.threads)
        best, chosen, found = with_words, (BASE, SLOPE), usual
        for base in BASES:
            for slope in SLOPES:
                if not base + slope:
                    continue
                weighing = dataclasses.replace(with_words.weighing, lexical_weight=weight_of(base, slope))
                tried = dataclasses.replace(with_words, weighing=weighing)
                judged = judge_screening(tried, vectors, queries, self.threads)
                if _is_better(judged, found) and _is_better(judged, usual):
                    best, chosen, found = tried, (base, slope), judged
        figures = {"without": _figures(without), "usual": _figures(usual), "chosen": _figures(found)}
        facts |= {"base": chosen[0], "slope": chosen[1], "queries": len(queries)} | figures
        if not _is_better(found, without):
            facts |= {"kept": False, "because": f"Left out: on {len(queries)} held-out queries it gains nothing."}
            return _tell(artifact, facts)
        facts["because"] = f"Kept: on {len(queries)} held-out queries it gains more than chance explains."
        return _tell(dataclasses.replace(artifact, index=best), facts)


def weight_of(base: float, slope: float) -> tuple[float, ...]:
    """The weights of a query's features: `base`, and `slope` times the share of misspelt words."""
    weights = [0.0] * LEXICAL_FEATURES
    weights[ALWAYS], weights[MISSPELT] = base, slope
    return tuple(weights)


def encode_queries(artifact: Artifact, queries: tuple[Query, ...]) -> Floats:
    """The queries' vectors in the index's space."""
    texts = [query.text for query in queries]
    ids = encode_texts(artifact.student.tokenizer, texts, artifact.shapes.max_tokens)
    vectors = encode_rows(artifact.graphs.label_encoder, Ragged.of(ids, np.int32), True, 1)
    return vectors if artifact.rotation is None else vectors @ artifact.rotation


def judge_screening(index: LabelIndex, vectors: Floats, queries: tuple[Query, ...], threads: int) -> Doubles:
    """[queries, 3]: P@1, R@10 and R@100 of the screening of each."""
    with ThreadPoolExecutor(threads) as pool:
        found = list(fastest(index).search_all(vectors, pool, [query.text for query in queries]))
    ranked = pad_rows([shortlist.labels for shortlist in found], -1)
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
