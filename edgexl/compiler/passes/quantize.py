"""Quantize: each graph under its own scheme."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgexl.compiler.artifact import Artifact
from edgexl.compiler.schemes import quantize_graph
from edgexl.recipe import GraphRecipe
from edgexl.target import Int8


@dataclass(frozen=True)
class Quantize:
    """The screener's and the reasoner's scheme, for a CPU whose 8-bit products are as `int8` says."""

    screener: GraphRecipe
    reasoner: GraphRecipe
    int8: Int8
    name: str = "quantize"

    def run(self, artifact: Artifact) -> Artifact:
        """Replaces the two graphs; the label encoder stays float."""
        assert artifact.graphs is not None
        graphs = dataclasses.replace(
            artifact.graphs,
            screener=quantize_graph(artifact.graphs.screener, self.screener, self.int8),
            reasoner=quantize_graph(artifact.graphs.reasoner, self.reasoner, self.int8),
        )
        return dataclasses.replace(artifact, graphs=graphs)
