"""The budget: what a bundle takes of the target's disk and memory, and of the recipe's limit, judged as gates."""

from __future__ import annotations

from collections.abc import Mapping

from edgexl.bundle.layout import Kind
from edgexl.bundle.memory import memory_bytes
from edgexl.compiler.measure.gates import Verdict
from edgexl.compiler.recipe import Recipe
from edgexl.target import Target

# Which pass decides how long a section is: the one to blame when all of them together are too long.
PASS_OF = {
    Kind.SCREENER_GRAPH: "quantize",
    Kind.SCREENER_WEIGHTS: "quantize",
    Kind.REASONER_GRAPH: "quantize",
    Kind.REASONER_WEIGHTS: "quantize",
    Kind.CODEBOOK: "build_index",
    Kind.COARSE_CODES: "build_index",
    Kind.FINE_CODES: "build_index",
    Kind.ROW_LABELS: "build_index",
    Kind.CELLS: "build_index",
}
ADVICE = {
    "quantize": "choose fewer bits for its graphs, or a smaller student",
    "build_index": "choose fewer code_bytes, fine_bits or fine_dims, or no aliases",
    "pack": "shorten the label texts, or raise the limit",
}


def judge_bytes(
    lengths: Mapping[Kind, int], file_bytes: int, recipe: Recipe, target: Target, engine: str
) -> tuple[Verdict, ...]:
    """The gates on bytes, for a bundle of sections of these lengths."""
    by_pass: dict[str, int] = {}
    for kind, length in lengths.items():
        by_pass[PASS_OF.get(kind, "pack")] = by_pass.get(PASS_OF.get(kind, "pack"), 0) + length
    largest = max(sorted(by_pass), key=lambda name: by_pass[name])
    limits = [
        ("disk_bytes", file_bytes, target.disk_bytes),
        ("memory_bytes", memory_bytes(lengths, engine), target.memory_bytes),
    ]
    if recipe.gates.max_bundle_bytes is not None:
        limits.append(("max_bundle_bytes", file_bytes, recipe.gates.max_bundle_bytes))
    return tuple(Verdict(name, value, most, largest, ADVICE[largest], at_most=True) for name, value, most in limits)
