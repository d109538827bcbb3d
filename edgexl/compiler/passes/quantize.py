"""Quantize: each graph under its own scheme."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgexl.compiler.artifact import Artifact
from edgexl.compiler.engines import may_be_native, scheme_for
from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.recipe import GraphRecipe, Recipe
from edgexl.target import Target


@dataclass(frozen=True)
class Quantize(Pass):
    """The screener's and the reasoner's scheme, for an engine and a CPU."""

    recipe: Recipe
    target: Target

    name = "quantize"
    needs = ("graphs", "index")  # the rotation into the index's space is a product like others, or a part of one
    measured = True

    def run(self, artifact: Artifact) -> Artifact:
        """Replaces the two graphs; the label encoder stays float."""
        screener = self.quantize(artifact.graphs.screener, self.recipe.screener)
        reasoner = self.quantize(artifact.graphs.reasoner, self.recipe.reasoner)
        graphs = dataclasses.replace(artifact.graphs, screener=screener, reasoner=reasoner)
        return dataclasses.replace(artifact, graphs=graphs)

    def quantize(self, model: bytes, graph: GraphRecipe) -> bytes:
        """The model under one of the recipe's schemes."""
        scheme = scheme_for(may_be_native(self.recipe, self.target), graph.scheme)
        return quantize_graph(model, dataclasses.replace(graph, scheme=scheme), self.target.int8)
