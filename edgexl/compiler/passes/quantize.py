"""Quantize: each graph under its own scheme."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgexl.compiler.artifact import Artifact
from edgexl.compiler.engines import choose_engine, scheme_for
from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.recipe import GraphRecipe
from edgexl.target import Int8


@dataclass(frozen=True)
class Quantize(Pass):
    """The screener's and the reasoner's scheme, for a CPU whose 8-bit products are as `int8` says."""

    screener: GraphRecipe
    reasoner: GraphRecipe
    int8: Int8

    name = "quantize"
    needs = ("graphs",)
    adds = ("engine",)
    measured = True

    def run(self, artifact: Artifact) -> Artifact:
        """Chooses the engine and replaces the two graphs; the label encoder stays float."""
        engine, facts = choose_engine(artifact)
        screener, reasoner = (
            dataclasses.replace(recipe, scheme=scheme_for(engine, recipe.scheme))
            for recipe in (self.screener, self.reasoner)
        )
        graphs = dataclasses.replace(
            artifact.graphs,
            screener=quantize_graph(artifact.graphs.screener, screener, self.int8),
            reasoner=quantize_graph(artifact.graphs.reasoner, reasoner, self.int8),
        )
        return dataclasses.replace(
            artifact, graphs=graphs, engine=engine, facts=artifact.facts | {"engine_choice": facts}
        )
