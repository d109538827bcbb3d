"""Engines: which one runs the graphs on the device, and what that means for how they are quantised."""

from __future__ import annotations

from typing import Any, Literal

from edgexl.base.errors import BadInput
from edgexl.compiler.artifact import Artifact, Graphs
from edgexl.compiler.lowering import NotCovered, lower_graph
from edgexl.compiler.recipe import Scheme


def choose_engine(artifact: Artifact) -> tuple[Literal["native", "ort"], dict[str, Any]]:
    """The engine for the artifact's float graphs, and for the manifest why it is that one.

    The recipe decides, then the target; where both leave it open, it is the native engine if that covers both graphs
    and neither stays in fp32. Raises `BadInput` where the native engine is asked for and does not cover them.
    """
    recipe, target = artifact.recipe, artifact.target
    asked = recipe.engine if recipe.engine != "auto" else target.engine
    if asked == "ort":
        return "ort", {"asked": asked}
    if asked == "auto" and "fp32" in (recipe.screener.scheme, recipe.reasoner.scheme):
        return "ort", {"asked": asked, "because": "a graph stays in fp32"}
    missing = uncovered(artifact.graphs, artifact.shapes.max_tokens, artifact.shapes.shortlist)
    if not missing:
        return "native", {"asked": asked}
    if asked == "native":
        raise BadInput(
            f"The native engine does not cover the student's graphs ({', '.join(missing)}); "
            'set engine = "ort" or "auto" in the recipe.'
        )
    return "ort", {"asked": asked, "not_covered": list(missing)}


def uncovered(graphs: Graphs, max_tokens: int, shortlist: int) -> tuple[str, ...]:
    """The operators of both graphs that the native engine does not cover."""
    missing: list[str] = []
    for model in (graphs.screener, graphs.reasoner):
        try:
            lower_graph(model, max_tokens, shortlist)
        except NotCovered as error:
            missing += error.operators
    return tuple(dict.fromkeys(missing))


def scheme_for(engine: Literal["native", "ort"], scheme: Scheme) -> Scheme:
    """The scheme that a graph gets for an engine: the native one scales activations by row in any case."""
    return "int8-token" if engine == "native" and scheme == "int8" else scheme
