"""Encode: the label texts, and the aliases, become vectors."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding import Progress, encode_rows


@dataclass(frozen=True)
class Encode:
    """`labels_from`: the float screener gives the least noise; the quantised one gives the vectors that the device
    itself would make of a label added later."""

    labels_from: Literal["float", "quantized"]
    threads: int
    progress: Progress | None = None
    name: str = "encode"

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `vectors` and leaves out the aliases that say nothing new."""
        assert artifact.graphs is not None
        batched = self.labels_from == "float"
        model = artifact.graphs.label_encoder if batched else artifact.graphs.screener
        vectors = encode_rows(model, artifact.rows.tokens, batched, self.threads, self.progress)
        rows, vectors = artifact.rows.without_repetition(vectors)
        return dataclasses.replace(artifact, rows=rows, vectors=vectors)
