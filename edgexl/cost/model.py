"""A cost model: what each number of an operation or a stage weighs on one processor, and how far predictions were off.

A cost is a sum of numbers (`operations.py`, `stages.py`) times weights that are never negative. They are fitted by
non-negative least squares (Lawson and Hanson, 1974) of relative errors, over operations and stages at once. Where there
is a model of another processor already, its weights, scaled, are what few measurements leave as it is.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgexl.base import toml
from edgexl.base.arrays import Doubles
from edgexl.base.errors import BadInput
from edgexl.base.files import read_input, write_text
from edgexl.base.strict_json import parse_object
from edgexl.cost.operations import Features

FORMAT = 1
TOTAL = "total"
# What intervals are to hold.
COVERAGE = 0.9
Unit = Literal["ms", "instructions"]
_MOST_BYTES = 4 << 20
# A stage counts as much as so many of its operations: stages are what is predicted.
_STAGE_WEIGHT = 20.0
# Weights differ between processors by half of themselves, measurements from a model by some 3 %: their squares' ratio
# is what a base model's weight counts beside one measurement.
_PRIOR = (0.03 / 0.5) ** 2
# Fewer bundles than these say too little of what another bundle takes.
_FEWEST_BUNDLES = 4


@dataclass(frozen=True)
class Sample:
    """A cost that was measured: of an operation (`of` is its kind), a stage, or the `total` of a query; at one length
    of text, of the bundle called `bundle`."""

    bundle: str
    of: str
    features: Features
    measured: float
    is_operation: bool = False


@dataclass(frozen=True)
class CostModel:
    """Weights of numbers, in `unit`s. `device`: what they were measured on, by which `kernel`, when (`fitted`, a date).

    `errors`: of each stage, of the `total` and of "any" the relative error that `COVERAGE` of predictions for bundles
    that a model was not fitted on stay within: measured / predicted lies within 1 / (1 + error) and 1 + error.
    `bundles` and `samples`: how many it was fitted on. Raises `ValueError` for numbers that are none of a model.
    """

    unit: Unit
    device: str
    fitted: str
    bundles: int
    samples: int
    weights: dict[str, float]
    errors: dict[str, float]
    kernel: str = ""
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"format {self.format} is not {FORMAT}; calibrate again")
        if not self.weights or min(self.weights.values()) < 0:
            raise ValueError("weights must be there, and not negative")
        if "any" not in self.errors or min(self.errors.values()) < 0:
            raise ValueError("errors must hold one for any stage, and none that is negative")

    def predict(self, features: Features) -> float:
        """The cost of something with these numbers, in `unit`s. An operation of a kind that the model does not know
        costs what one of another kind with the numbers of this name costs at most."""
        return sum(self._weight(name) * value for name, value in features.items())

    def error(self, stage: str) -> float:
        """The relative error of a stage's predictions."""
        return self.errors.get(stage, self.errors["any"])

    def _weight(self, name: str) -> float:
        if (weight := self.weights.get(name)) is not None:
            return weight
        kind, _, number = name.rpartition(".")
        if any(known.startswith(f"{kind}.") for known in self.weights):
            return 0.0  # a number that no calibration bundle had
        return max((weight for known, weight in self.weights.items() if known.endswith(f".{number}")), default=0.0)


def load_model(path: Path) -> CostModel:
    """Read a model's file. Raises `BadInput` where it is none, or of another version."""
    try:
        content = parse_object(read_input(path, _MOST_BYTES))
    except ValueError as error:
        raise BadInput(f"{path} is no cost model: {error}; calibrate again.") from None
    return toml.build(content, CostModel, str(path))


def save_model(model: CostModel, path: Path) -> None:
    """Write a model's file. Weights keep five digits."""
    content = dataclasses.asdict(model)
    content["weights"] = {name: float(f"{value:.5g}") for name, value in model.weights.items()}
    content["errors"] = {name: float(f"{value:.4g}") for name, value in model.errors.items()}
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def fit(samples: Sequence[Sample], about: Mapping[str, Any], base: CostModel | None = None) -> CostModel:
    """The model of all samples. `about`: its `unit`, `device`, `kernel` and `fitted`.

    With `base`, a model in any unit, weights are drawn to its own times one factor. Raises `BadInput` for no samples.
    """
    if not samples:
        raise BadInput("There is nothing to fit a cost model to.")
    names = sorted({sample.bundle for sample in samples})
    weights = fit_weights(samples, base)
    if len(names) >= _FEWEST_BUNDLES:
        errors = hold_out(samples, base)
        found = {stage: spread([abs(off) for _, off in values], len(names)) for stage, values in errors.items()}
    else:  # what is off here, on top of what the base was off elsewhere
        errors = _errors(CostModel(weights=weights, **_DRAFT), samples)
        before = {stage: base.error(stage) if base else 1.0 for stage in errors}
        here = {stage: spread([abs(off) for _, off in values], len(names)) for stage, values in errors.items()}
        found = {stage: (1 + here[stage]) * (1 + before[stage]) - 1 for stage in errors}
    found["any"] = max(found.values())
    return CostModel(weights=weights, errors=found, bundles=len(names), samples=len(samples), **about)


# What is needed of a model that only predicts.
_DRAFT: dict[str, Any] = {
    "unit": "ms", "device": "", "fitted": "", "bundles": 0, "samples": 0, "errors": {"any": 0.0},
}  # fmt: skip


def fit_weights(samples: Sequence[Sample], base: CostModel | None = None) -> dict[str, float]:
    """Weights of all numbers that samples have, and of those that `base` knows beside them."""
    return _solve(_Table.of(samples), base)


@dataclass(frozen=True, eq=False)
class _Table:
    """Samples as rows: `numbers` [samples, names], of relative costs, and what their weighed sums are to be."""

    names: tuple[str, ...]
    bundles: npt.NDArray[np.str_]
    numbers: Doubles
    wanted: Doubles

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> _Table:
        samples = [sample for sample in samples if sample.measured > 0]
        names = sorted({name for sample in samples for name in sample.features})
        place = {name: at for at, name in enumerate(names)}
        numbers = np.zeros((len(samples), len(names)))
        wanted = np.sqrt([1.0 if sample.is_operation else _STAGE_WEIGHT for sample in samples])
        for row, sample in enumerate(samples):
            columns = [place[name] for name in sample.features]
            numbers[row, columns] = list(sample.features.values())
            numbers[row] *= wanted[row] / sample.measured
        return cls(tuple(names), np.array([sample.bundle for sample in samples]), numbers, wanted)

    def without(self, bundle: str) -> _Table:
        """The samples of all other bundles, and the numbers that they have."""
        rows = self.bundles != bundle
        numbers = self.numbers[rows]
        used = np.flatnonzero(numbers.any(axis=0))
        names = tuple(self.names[at] for at in used)
        return _Table(names, self.bundles[rows], numbers[:, used], self.wanted[rows])


def _solve(table: _Table, base: CostModel | None) -> dict[str, float]:
    from scipy.optimize import nnls

    numbers, wanted = table.numbers, table.wanted
    others: dict[str, float] = {}
    if base is not None:
        before = np.array([base.weights.get(name, 0.0) for name in table.names])
        factor = _fit_factor(numbers @ before, wanted)
        others = {name: weight * factor for name, weight in base.weights.items() if name not in table.names}
        numbers, wanted = _draw_to(numbers, wanted, before * factor)
    scale = np.abs(numbers).max(axis=0)
    scale[scale == 0] = 1.0
    # the triangle of as many rows as columns has the same solution as all rows
    triangle: Doubles = np.linalg.qr(np.column_stack([numbers / scale, wanted]), mode="r")  # type: ignore[assignment]
    found, _ = nnls(triangle[:, :-1], triangle[:, -1], maxiter=30 * len(table.names))
    return others | dict(zip(table.names, (found / scale).tolist(), strict=True))


def _fit_factor(predicted: Doubles, wanted: Doubles) -> float:
    """The factor that brings predictions to what was measured, in the middle of their ratios."""
    known = predicted > 0
    return float(np.median(wanted[known] / predicted[known])) if known.any() else 1.0


def _draw_to(numbers: Doubles, wanted: Doubles, before: Doubles) -> tuple[Doubles, Doubles]:
    """Further rows that draw each weight to the one before it."""
    known = np.flatnonzero(before > 0)
    rows = np.zeros((len(known), numbers.shape[1]))
    rows[np.arange(len(known)), known] = math.sqrt(_PRIOR) / before[known]
    return np.vstack([numbers, rows]), np.concatenate([wanted, np.full(len(known), math.sqrt(_PRIOR))])


def hold_out(samples: Sequence[Sample], base: CostModel | None = None) -> dict[str, list[tuple[str, float]]]:
    """Of each stage and the total: (bundle, logarithm of measured / predicted) by models of the other bundles."""
    table = _Table.of(samples)
    found: dict[str, list[tuple[str, float]]] = {}
    for bundle in sorted({sample.bundle for sample in samples}):
        model = CostModel(weights=_solve(table.without(bundle), base), **_DRAFT)
        for stage, values in _errors(model, [sample for sample in samples if sample.bundle == bundle]).items():
            found.setdefault(stage, []).extend(values)
    return found


def _errors(model: CostModel, samples: Iterable[Sample]) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {}
    for sample in samples:
        predicted = model.predict(sample.features)
        if not sample.is_operation and sample.measured > 0 and predicted > 0:
            off = math.log(sample.measured / predicted)
            found.setdefault(sample.of, []).append((sample.bundle, off))
    return found


def spread(values: Sequence[float], bundles: int) -> float:
    """The relative error that `COVERAGE` of another bundle's predictions stay within, out of logarithms: of so few
    bundles, a larger quantile (split conformal prediction, Vovk et al., 2005, with each bundle as one draw)."""
    level = min(1.0, COVERAGE * (1 + 1 / bundles))
    return math.exp(float(np.quantile(values, level))) - 1
