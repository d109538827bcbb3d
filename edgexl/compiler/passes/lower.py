"""Lower: for the native engine, each graph becomes a plan."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgexl.base.errors import BadInput
from edgexl.bundle.weights import pack_weights
from edgexl.compiler.artifact import Artifact, Plans
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.lowering import Lowered, NotCovered, lower_graph
from edgexl.compiler.passes.declaration import Pass


@dataclass(frozen=True)
class Lower(Pass):
    """No settings: the graphs and their quantisation are what they are."""

    name = "lower"
    needs = ("graphs", "engine")

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `plans`, where the native engine was chosen. The choice has seen that it covers the float graphs, and
        every scheme's operators are among those that it knows. Raises `BadInput` where that is not so after all."""
        if artifact.engine != "native":
            return artifact
        shapes = artifact.shapes
        # token states that no reasoner takes are not even computed
        wanted = ("query_vector", "token_states")[: 1 + takes_states(artifact)]
        try:
            screener = lower_graph(artifact.graphs.screener, shapes.max_tokens, shapes.shortlist, wanted)
            reasoner = lower_graph(artifact.graphs.reasoner, shapes.max_tokens, shapes.shortlist)
        except NotCovered as error:
            raise BadInput(
                f"The native engine does not cover the quantised graphs ({error}); "
                'choose another scheme, or engine = "ort" in the recipe.'
            ) from None
        return dataclasses.replace(artifact, plans=Plans(*_sections(screener), *_sections(reasoner)))


def takes_states(artifact: Artifact) -> bool:
    """Whether the reasoner takes token_states."""
    return "token_states" in Session(artifact.graphs.reasoner).input_names


def _sections(lowered: Lowered) -> tuple[bytes, bytes]:
    return lowered.plan.pack(), pack_weights(lowered.weights)
