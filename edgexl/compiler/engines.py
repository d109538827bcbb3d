"""Engines: which one may run the graphs on the device, and what that means for how they are quantized.

The recipe decides, then the target. Where both leave it open, it is the native engine if neither graph stays in fp32
and lowering (`passes/lower.py`) covers both.
"""

from __future__ import annotations

from edgexl.compiler.recipe import Recipe, Scheme
from edgexl.target import Engine, Target


def find_wanted_engine(recipe: Recipe, target: Target) -> Engine:
    """What the recipe asks for, or else the target."""
    return recipe.engine if recipe.engine != "auto" else target.engine


def may_be_native(recipe: Recipe, target: Target) -> bool:
    """Whether the graphs are made for the native engine."""
    engine = find_wanted_engine(recipe, target)
    return engine == "native" or (engine == "auto" and "fp32" not in (recipe.screener.scheme, recipe.reasoner.scheme))


def scheme_for(native: bool, scheme: Scheme) -> Scheme:
    """The scheme that a graph gets: the native engine scales activations by row in any case."""
    return "int8-token" if native and scheme == "int8" else scheme
