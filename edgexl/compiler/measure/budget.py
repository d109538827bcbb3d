"""The budget: what a bundle takes of disk, memory and time, judged as gates by the target and the recipe."""

from __future__ import annotations

from collections.abc import Mapping

from edgexl.bundle.layout import Kind, part_of
from edgexl.bundle.memory import memory_bytes
from edgexl.compiler.measure.costs import Costs
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
    whole = [Verdict(name, value, most, largest, ADVICE[largest], at_most=True) for name, value, most in limits]
    by_part: dict[str, int] = {}
    for kind, length in lengths.items():
        by_part[part_of(kind)] = by_part.get(part_of(kind), 0) + length
    parts = [
        Verdict(f"max_bytes.{part}", by_part.get(part, 0), most, part, _OF_PART[part], at_most=True)
        for part, most in recipe.gates.max_bytes.limits.items()
    ]
    return (*whole, *parts)


_OF_PART = {
    "screener": "choose fewer bits for its weights, or a student with a smaller screener or vocabulary",
    "reasoner": "choose fewer bits for its weights, or a student with a smaller reasoner",
    "index": "choose fewer code_bytes, fine_bits, fine_dims or lexical_bytes",
    "texts": "shorten the label texts, or leave descriptions out (keep_descriptions)",
}
_OF_STAGE = {
    "encode": "choose fewer bits for the screener, or a student with a smaller one",
    "scan": "choose fewer code_bytes, or cells",
    "match": "choose fewer lexical_candidates, or lexical = none",
    "rescore": "choose a smaller overfetch, fine_bits or fine_dims",
    "gather": "choose a smaller [shortlist] n",
    "reason": "choose a smaller [shortlist] n, or a student with a smaller reasoner",
}


def judge_costs(costs: Costs, recipe: Recipe) -> tuple[Verdict, ...]:
    """The gates on times and memory. The stage to blame for the whole is the one that takes the longest."""
    gates, slowest = recipe.gates, max(costs.stages, key=lambda stage: costs.stages[stage])
    found = []
    for name, most in gates.max_ms.limits.items():
        stage = slowest if name == "total" else name
        value = costs.ms if name == "total" else costs.stages.get(name, 0.0)
        found.append(
            _volatile(f"max_ms.{name}", round(value, 4), most, stage, _OF_STAGE.get(stage, "take a faster target"))
        )
    if gates.max_memory_bytes is not None:
        advice = "choose fewer bits for weights or codes, or search for a recipe: edgexl compile --max-memory"
        found.append(_volatile("max_memory_bytes", costs.memory_bytes, gates.max_memory_bytes, "the whole", advice))
    if gates.max_load_ms is not None:
        advice = "choose a smaller bundle, or the native engine"
        found.append(_volatile("max_load_ms", round(costs.load_ms, 4), gates.max_load_ms, "load", advice))
    return tuple(found)


def _volatile(name: str, value: float, most: float, stage: str, advice: str) -> Verdict:
    return Verdict(name, value, most, stage, advice, at_most=True, volatile=True)
