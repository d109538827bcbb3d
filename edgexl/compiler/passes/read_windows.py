"""Read windows: in how many windows the runtime reads a text that has more tokens than the screener takes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgexl.base.arrays import Doubles
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.measure.reference import ReferencePipeline
from edgexl.compiler.measure.weighing import FEWEST_QUERIES, QUERIES, figures_of, gains, judge_shortlists
from edgexl.compiler.measure.yardstick import reference_pipeline
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.recipe import ShortlistRecipe
from edgexl.data import Query
from edgexl.student.text import encode_texts

USUAL = 64  # some 1,150 words: two pages


@dataclass(frozen=True)
class ReadWindows(Pass):
    """What the recipe says of windows."""

    shortlist: ShortlistRecipe
    threads: int = 1

    name = "read_windows"
    needs = ("graphs", "vectors", "index")

    def run(self, artifact: Artifact) -> Artifact:
        """The artifact with its `windows`: those of the recipe, or `USUAL` unless long held-out queries gain nothing by
        them."""
        if self.shortlist.windows != "auto":
            because = "The recipe says so."
            return _tell(artifact, self.shortlist.windows, {"because": because})
        queries = _long_queries(artifact)
        if len(queries) < FEWEST_QUERIES:
            because = (
                f"As usual: there are not {FEWEST_QUERIES} held-out queries that are longer than the screener takes."
            )
            return _tell(artifact, USUAL, {"because": because})
        pipeline = reference_pipeline(artifact, artifact.vectors, artifact.rows)
        cut = self._judge(pipeline, queries)
        windows = self._judge(dataclasses.replace(pipeline, windows=USUAL), queries)
        pays = gains(windows, cut)
        because = f"Long texts are {'read in windows' if pays else 'cut'}: on {len(queries)} held-out queries that are "
        because += f"longer than the screener takes, windows gain {'more than chance explains' if pays else 'nothing'}."
        facts = {"queries": len(queries), "cut": figures_of(cut), "windows": figures_of(windows), "because": because}
        return _tell(artifact, USUAL if pays else 1, facts)

    def _judge(self, pipeline: ReferencePipeline, queries: tuple[Query, ...]) -> Doubles:
        answers = pipeline.answers([query.text for query in queries], self.threads)
        return judge_shortlists([answer.labels for answer in answers], queries)


def _long_queries(artifact: Artifact) -> tuple[Query, ...]:
    """Held-out queries that have more tokens than the screener takes, as many as are looked at."""
    queries, most = artifact.student.calibration, artifact.shapes.max_tokens
    student = artifact.student
    ids = encode_texts(student.tokenizer, [query.text for query in queries], most + 1, student.prompts.query)
    long = np.flatnonzero([len(each) > most for each in ids])
    return tuple(queries[place] for place in long[:QUERIES].tolist())


def _tell(artifact: Artifact, windows: int, facts: dict[str, Any]) -> Artifact:
    told = artifact.facts | {"windows": {"most": windows, **facts}}
    return dataclasses.replace(artifact, windows=windows, facts=told)
