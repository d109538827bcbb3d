"""Predicts what a bundle takes on a target that need not be there: milliseconds of each stage, load and memory.

A model in milliseconds says what it was fitted on. One in instructions was counted under qemu, which knows no times: a
core's clock and how many instructions it ends in a cycle make milliseconds of them, "predicted, unmeasured".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from edgexl.bundle.read import Bundle
from edgexl.cost.find import X86, Found, find_model, load_shipped
from edgexl.cost.memory import Range, predict_memory
from edgexl.cost.model import TOTAL, CostModel
from edgexl.cost.stages import LOAD, STAGES, Anatomy, measure_stages, read_anatomy
from edgexl.target import Target

UNMEASURED = "predicted, unmeasured"
# Instructions that a core ends in a cycle, in code of this kind: choices, for none was measured. A core cannot end more
# than it decodes in a cycle, 2 (Cortex-A53), 3 (A72), 4 (A76; Arm's manuals of each), waits for memory bring it down to
# a fifth of that, and vector code of few dependences reaches some half of it.
_PER_CYCLE = {"cortex-a53": (0.4, 0.8, 1.5), "cortex-a72": (0.6, 1.3, 2.3), "cortex-a76": (0.8, 1.8, 3.2)}
_ANY_CORE = (0.4, 1.2, 3.2)
# The clock of a core that the target does not tell, in MHz: of phones and boards of the last ten years.
_ANY_MHZ = (1000.0, 1600.0, 3000.0)
# Opening a bundle is checks and page faults, of which instructions say nothing: so many times as long as on the machine
# of the x86 model, a choice.
_SLOWER_TO_LOAD = Range(1.5, 4.0, 12.0)
# How far two x86 processors of one instruction set lie apart, one way or the other: a choice.
_OTHER_X86 = 3.0


@dataclass(frozen=True)
class Prediction:
    """Of one query in the middle of those asked about: `stages` and `total` in ms, `load` in ms, peak resident
    `memory_bytes`; `instructions` of stages and total where the model counts them, else None. `said`: how the numbers
    came about."""

    stages: dict[str, Range]
    total: Range
    load: Range
    memory_bytes: Range
    instructions: dict[str, Range] | None
    said: str


def predict_bundle(bundle: Bundle, target: Target, tokens: Sequence[int] | None = None) -> Prediction:
    """What exl-bench would find on `target`: medians over texts of these many `tokens` each, [CLS] and [SEP] among
    them; without, over the bundle's goldens.

    Raises `BadInput` for a bundle that runs on ONNX Runtime, and where the target's cost model is missing or damaged.
    """
    lengths = tokens if tokens is not None else [len(golden.tokens) for golden in bundle.goldens.items]
    return predict(read_anatomy(bundle), target, lengths)


def predict(anatomy: Anatomy, target: Target, tokens: Sequence[int]) -> Prediction:
    """As `predict_bundle`, of a bundle that need not be there. `tokens`: at least one number."""
    found = find_model(target)
    costs = _predict_costs(anatomy, found, tokens)
    if found.model.unit == "ms":
        factor = Range(1.0, 1.0, 1.0) if found.measured else Range(1 / _OTHER_X86, 1.0, _OTHER_X86)
        said = f"fitted on {found.model.device}, {found.model.fitted}"
        said = said if found.measured else f"{UNMEASURED}; {said}"
        instructions = None
    else:
        factor = _ms_per_instruction(target)
        said = f"{UNMEASURED}; instructions fitted on {found.model.device}"
        instructions = costs
    ms = {name: _scale(cost, factor) for name, cost in costs.items()}
    if LOAD not in ms:
        x86 = load_shipped(X86)
        loading = _with_error(x86, LOAD, x86.predict(measure_stages(anatomy, 3)[LOAD]))
        ms[LOAD] = _scale(loading, _SLOWER_TO_LOAD)
    stages = {stage: ms[stage] for stage in STAGES if stage in ms}
    return Prediction(stages, ms[TOTAL], ms[LOAD], predict_memory(anatomy), instructions, said)


def _predict_costs(anatomy: Anatomy, found: Found, tokens: Sequence[int]) -> dict[str, Range]:
    """Of each stage, the total and load, in the model's unit."""
    model = found.model
    costs: dict[str, list[float]] = {}
    known: dict[int, dict[str, float]] = {}
    for count in tokens:
        length = min(count, anatomy.parameters.max_tokens)
        if length not in known:
            stages = measure_stages(anatomy, length)
            known[length] = {stage: model.predict(numbers) for stage, numbers in stages.items()}
            known[length][TOTAL] = sum(cost for stage, cost in known[length].items() if stage != LOAD)
        for stage, cost in known[length].items():
            costs.setdefault(stage, []).append(cost)
    if model.unit == "instructions":
        del costs[LOAD]
    return {stage: _with_error(model, stage, median(values)) for stage, values in costs.items()}


def _with_error(model: CostModel, stage: str, middle: float) -> Range:
    return Range(middle / (1 + model.error(stage)), middle, middle * (1 + model.error(stage)))


def _ms_per_instruction(target: Target) -> Range:
    cluster = target.hardware.one_thread
    core = cluster.core.lower() if cluster else ""
    per_cycle = next((known for name, known in _PER_CYCLE.items() if name in core), _ANY_CORE)
    mhz = (float(cluster.mhz),) * 3 if cluster and cluster.mhz else _ANY_MHZ
    slow, usual, fast = (each * clock * 1e3 for each, clock in zip(per_cycle, mhz, strict=True))
    return Range(1 / fast, 1 / usual, 1 / slow)


def _scale(cost: Range, factor: Range) -> Range:
    """The product of two ranges whose errors do not know of each other: their logarithms' squares add up."""
    middle = cost.middle * factor.middle
    if not middle:
        return Range(0.0, 0.0, 0.0)
    low = math.hypot(math.log(cost.middle / cost.low), math.log(factor.middle / factor.low))
    high = math.hypot(math.log(cost.high / cost.middle), math.log(factor.high / factor.middle))
    return Range(middle * math.exp(-low), middle, middle * math.exp(high))
