"""Lower: each graph becomes a plan, where the native engine may run it and covers both."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from edgexl.base.errors import BadInput
from edgexl.bundle.parameters import SCREENER_OUTPUTS
from edgexl.bundle.weights import pack_weights
from edgexl.compiler.artifact import Artifact, Plans
from edgexl.compiler.engines import find_wanted_engine, may_be_native
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.lowering import NotCovered, lower_graph
from edgexl.compiler.passes.declaration import Pass


@dataclass(frozen=True)
class Lower(Pass):
    """No settings: the graphs and their quantization are what they are."""

    name = "lower"
    needs = ("graphs",)
    adds = ("engine",)

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `engine`, the native one's `plans`, and for the manifest why it is that engine. Raises `BadInput` where
        the native engine is asked for and does not cover the graphs."""
        engine = find_wanted_engine(artifact.recipe, artifact.target)
        facts: dict[str, Any] = {"asked": engine}
        if not may_be_native(artifact.recipe, artifact.target):
            why = {} if engine == "ort" else {"because": "a graph stays in fp32"}
            return _add_choice(artifact, "ort", facts | why)
        graphs, sizes = artifact.graphs, (artifact.shapes.max_tokens, artifact.shapes.shortlist)
        # token states that no reasoner takes are not even computed
        reasoner = artifact.reasoner
        states = reasoner is not None and "token_states" in Session(reasoner).input_names
        wanted = SCREENER_OUTPUTS[: 1 + states]
        sections: list[bytes] = []
        missing: list[str] = []
        for model, outputs in ((graphs.screener, wanted), (reasoner, None)):
            if model is None:
                sections += (b"", b"")
                continue
            try:
                lowered = lower_graph(model, *sizes, outputs)
                sections += (lowered.plan.pack(), pack_weights(lowered.weights))
            except NotCovered as error:
                missing += error.operators
        if not missing:
            return _add_choice(artifact, "native", facts, Plans(*sections))
        if engine == "native":
            raise BadInput(
                f"The native engine does not cover the student's graphs ({', '.join(dict.fromkeys(missing))}); "
                'set engine = "ort" or "auto" in the recipe.'
            )
        return _add_choice(artifact, "ort", facts | {"not_covered": list(dict.fromkeys(missing))})


def _add_choice(
    artifact: Artifact, engine: Literal["native", "ort"], facts: dict[str, Any], plans: Plans | None = None
) -> Artifact:
    return dataclasses.replace(artifact, engine=engine, plans=plans, facts=artifact.facts | {"engine_choice": facts})
