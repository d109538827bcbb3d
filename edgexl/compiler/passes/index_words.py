"""Index words: the lexical side of screening, which finds labels by the words that they share with a query, however
these are spelled. What it weighs comes from the query itself."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, astuple, dataclass
from itertools import product, starmap
from typing import Any

import numpy as np

from edgexl.base.errors import BadInput
from edgexl.bundle.lexical import Lexical
from edgexl.bundle.parameters import LEXICAL_FEATURES
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.measure.weighing import (
    FEWEST_QUERIES,
    QUERIES,
    figures_of,
    gains,
    judge_weighings,
    turn_queries,
)
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.recipe import IndexRecipe
from edgexl.data import Query
from edgexl.data.layout import spell_queries
from edgexl.index import LabelIndex
from edgexl.index.lexical import build_lexical
from edgexl.index.remembered import remembered


@dataclass(frozen=True)
class WordsWeight:
    """A query's weight, by its features (docs/format.md): `base`, and so much times the share of words that no label
    has and some label nearly has (`misspelt`), times how far the best row's words lead (`lead`), and times how many
    words it has, of ten (`words`)."""

    base: float = 0.0
    misspelt: float = 0.0
    lead: float = 0.0
    words: float = 0.0

    @property
    def features(self) -> tuple[float, ...]:
        """The weights of all features."""
        weights = dict.fromkeys(range(LEXICAL_FEATURES), 0.0) | dict(zip((0, 3, 6, 7), astuple(self), strict=True))
        return tuple(weights.values())

    def times(self, factor: float) -> WordsWeight:
        return WordsWeight(*(round(factor * weight, 4) for weight in astuple(self)))


# The weight without queries to fit it on: fitted on other label sets (benchmarks/lexical_weight.py). Few words, spelt
# as no label has them, of which one label has far more than the next: then words tell. In a sentence they do not.
USUAL, MOST = WordsWeight(misspelt=5.7, lead=2.5, words=-0.8), 2.5
# What is tried where there are queries.
TRIED = (
    *(USUAL.times(factor) for factor in (0.5, 2.0, 4.0)),
    *starmap(WordsWeight, product((0.0, 0.1, 0.2, 0.35, 0.6, 1.0, 2.0), (0.0, 2.0, 4.4, 8.0))),
)


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
        try:
            lexical = make_lexical(artifact, self.index)
        except BadInput as error:
            return _tell(artifact, {"kept": False, "because": f"There is no lexical side, for {error}"})
        with_words = dataclasses.replace(
            artifact.index,
            lexical=lexical,
            lexical_candidates=self.index.lexical_candidates,
            weighing=dataclasses.replace(artifact.index.weighing, lexical_weight=USUAL.features, lexical_most=MOST),
        )
        facts: dict[str, Any] = {"kept": True, "bytes": len(lexical.pack()), "weight": asdict(USUAL)}
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
        tried = [USUAL, *(weight for weight in TRIED if any(astuple(weight)))]

        def find_out() -> list[list[list[float]]]:
            [without] = judge_weighings(artifact.index, [artifact.index.weighing], vectors, queries, self.threads)
            weighings = [dataclasses.replace(with_words.weighing, lexical_weight=each.features) for each in tried]
            judged = judge_weighings(with_words, weighings, vectors, queries, self.threads)
            return [each.tolist() for each in (without, *judged)]

        parts = (repr(tried), spell_queries(queries), vectors, *with_words.parts())
        without, usual, *others = map(np.array, remembered("what words weigh", parts, find_out))
        chosen, found = USUAL, usual
        for each, judged in zip(tried[1:], others, strict=True):
            if gains(judged, found) and gains(judged, usual):
                chosen, found = each, judged
        figures = {"without": figures_of(without), "usual": figures_of(usual), "chosen": figures_of(found)}
        facts |= {"weight": asdict(chosen), "queries": len(queries)} | figures
        if not gains(found, without):
            facts |= {"kept": False, "because": f"Left out: on {len(queries)} held-out queries it gains nothing."}
            return _tell(artifact, facts)
        facts["because"] = f"Kept: on {len(queries)} held-out queries it gains more than chance explains."
        return _tell(dataclasses.replace(artifact, index=_weigh(with_words, chosen.features)), facts)


def make_lexical(artifact: Artifact, recipe: IndexRecipe) -> Lexical:
    """The lexical tables of an artifact's rows. Raises `BadInput` for rows without words."""
    student = artifact.student
    texts = artifact.rows.row_texts(student.labels, student.tokenizer, artifact.shapes.max_tokens)
    return build_lexical(texts, bytes_a_row=recipe.lexical_bytes)


def _weigh(index: LabelIndex, weight: tuple[float, ...]) -> LabelIndex:
    """The index with these weights of a query's lexical features."""
    return dataclasses.replace(index, weighing=dataclasses.replace(index.weighing, lexical_weight=weight))


def _tell(artifact: Artifact, facts: dict[str, Any]) -> Artifact:
    return dataclasses.replace(artifact, facts=artifact.facts | {"lexical": facts})
