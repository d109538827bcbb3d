"""The search: measure each option once, foretell all combinations, verify the best few, compile the one that is taken.

All that is measured is kept (`edgexl.use.budget.store`): a search that was interrupted goes on where it was, and one
with other limits begins with what is known.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput, GateFailed
from edgexl.base.files import check_output
from edgexl.base.progress import Progress, no_progress
from edgexl.compiler.measure.costs import Meter, choose_meter
from edgexl.compiler.pipeline import CompileReport, compile
from edgexl.compiler.recipe import Recipe
from edgexl.device.device import Device
from edgexl.report.summary import Shown, Summary, quote
from edgexl.report.table import Cell, Table, format_bytes
from edgexl.student.student import Student
from edgexl.target import Target
from edgexl.use.budget.figures import Figures, pack_hits
from edgexl.use.budget.forecast import Candidate, Forecast, find_pareto
from edgexl.use.budget.limits import COSTS, Limits
from edgexl.use.budget.relax import Relaxation, relax, relax_all
from edgexl.use.budget.space import Option, Point, Space, make_space
from edgexl.use.budget.store import Store
from edgexl.use.budget.workshop import Fitted, Workshop

# Of the points that are foretold to fit, so many of the best are made; and so many more where these do not fit.
VERIFIED, MORE = 4, 4
# So many are made whatever they promise; then only what promises more than the best that was made.
_AT_LEAST = 2
# Points of P@1 that another compile is worth: 2 of 2,000 queries.
_WORTH = 0.1
# Of those that fit when they are made, so many are compiled at most.
_COMPILED = 3


@dataclass(frozen=True)
class GivenUp:
    """What a part's option costs and gives, beside what the recipe says for that part."""

    option: Option
    p_at_1: float | None
    costs: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        return {"part": self.option.part, "option": self.option.name, "P@1": self.p_at_1, **self.costs}


@dataclass(frozen=True, repr=False)
class BudgetReport(Shown):
    """What a search found. `taken` is the point that was compiled, with what was measured of the bundle itself, and
    `report` its compile; both None where nothing fits, and then `relaxations` say what would.

    `candidates`: all combinations, foretold; `verified`: those that were made and measured; `front`: those that no
    other beats; `shipped`: the verified ones that are shipped recipes, by name. `measured_on` says whose times they
    are; `measurements`: how many candidates were measured now, and how many were known from before.
    """

    limits: Limits
    taken: Candidate | None
    report: CompileReport | None
    candidates: tuple[Candidate, ...]
    verified: tuple[Candidate, ...]
    shipped: dict[str, Candidate]
    given_up: tuple[GivenUp, ...]
    relaxations: tuple[Relaxation, ...]
    measured_on: str
    measurements: tuple[int, int]
    seconds: float

    @cached_property
    def front(self) -> tuple[Candidate, ...]:
        """The candidates that no other beats in P@1, time, memory and size; the verified ones as measured."""
        known = {each.point: each for each in self.verified}
        return tuple(find_pareto([known.get(each.point, each) for each in self.candidates]))

    def advice(self) -> str:
        """Where nothing fits, what would, in sentences; else the empty string."""
        if self.taken is not None:
            return ""
        said = [f"Nothing that edgexl can make of the student has {self.limits.sentence()}."]
        said += [f"{each.sentence()}." for each in self.relaxations]
        if not self.relaxations:
            factor, best = relax_all(self.candidates, self.limits)
            said.append(
                f"No single limit is to blame: with all of them {factor:.2f} times as high, P@1 would be "
                f"{best.quality:.1f} ({best.point.name}); a smaller student may do better."
            )
        return " ".join(said)

    def as_json(self) -> dict[str, Any]:
        return {
            "limits": self.limits.as_json(),
            "measured_on": self.measured_on,
            "taken": None if self.taken is None else tell(self.taken),
            "front": [tell(each) for each in self.front],
            "verified": [tell(each) for each in self.verified],
            "shipped": {name: tell(each) for name, each in self.shipped.items()},
            "given_up": [each.as_json() for each in self.given_up],
            "relax": [each.as_json() for each in self.relaxations],
            "measurements": {"now": self.measurements[0], "known": self.measurements[1]},
            "seconds": self.seconds,
        }

    def _summary(self) -> Summary:
        taken = self.taken
        rows = [
            (each.point.name, each.figures.p_at_1, each.figures.ms, each.figures.memory_bytes, each.figures.size_bytes)
            for each in self.front
        ]
        facts: dict[str, Cell] = {"asked": self.limits.sentence(), "times of": self.measured_on}
        if taken is None:
            return Summary(f"nothing has {self.limits.sentence()}", facts | {"advice": self.advice()})
        found, name = taken.figures, quote(self.report.path.name) if self.report else ""
        line = (
            f"{name}: {format_bytes(found.size_bytes)}, {found.ms:.3g} ms, {format_bytes(found.memory_bytes)} of memory"
        )
        columns = ("what is changed", "P@1", "ms", "memory", "size")
        return Summary(line, facts | {"taken": taken.point.name}, (Table("no other is better", columns, rows),))


def tell(candidate: Candidate) -> dict[str, Any]:
    """A candidate for JSON."""
    found = candidate.figures.as_json()
    found.pop("hits")
    named = {"P@1": found.pop("p_at_1"), "R@100": found.pop("recall")}
    return {"point": candidate.point.name, "verified": candidate.verified, **named, **found}


def compile_to_budget(
    student: Student,
    recipe: Recipe,
    target: Target,
    out: Path,
    limits: Limits,
    device: Device | None = None,
    progress: Progress = no_progress,
    workers: str = "local",
    facts: dict[str, Any] | None = None,
) -> BudgetReport:
    """Compile the best bundle of a student that keeps the limits on a target, and write it to `out`.

    `recipe` is where the search begins and what is not searched. Times and memory are measured on `device`, or on this
    machine where the target is this machine; else they are foretold (`edgexl.cost`). Raises as `compile` does; where
    nothing fits, `out` is not touched and the report says so.
    """
    began = time.perf_counter()
    check_output(out)
    meter = choose_meter(target, device)
    store = Store.of_user(student, target, meter.said)
    with _Search(student, recipe, target, meter, store, progress, workers) as search:
        search.measure_options()
        taken, report = search.compile_best(search.verify(limits), out, limits, facts or {})
        known = {each.point: each for each in search.verified}
        best = [known.get(each.point, each) for each in search.candidates]
        return BudgetReport(
            limits, taken, report, tuple(search.candidates), tuple(known.values()),
            {name: known[point] for name, point in search.space.shipped.items() if point in known},
            search.give_up(taken) if taken is not None else (), tuple(relax(best, limits, taken)), meter.said,
            (search.measured, search.known), time.perf_counter() - began,
        )  # fmt: skip


class _Search:
    """The steps of a search, over what the store knows already."""

    def __init__(
        self, student: Student, recipe: Recipe, target: Target, meter: Meter, store: Store, progress: Progress,
        workers: str,
    ) -> None:  # fmt: skip
        self._student, self._recipe, self._target, self._workers = student, recipe, target, workers
        self._progress, self._store, self._meter = progress, store, meter
        self.measured = self.known = 0
        self.space: Space = make_space(student, recipe, target, predicted=meter.predicted)
        fitted = Fitted.of_json(store.get_fact("fitted"))
        self._workshop = Workshop(student, self.space.base, target, meter, workers, progress, fitted)
        self._base: Figures | None = None
        self._base = base = self._look_up(self.space.base)
        if fitted is None:
            fitted = self._workshop.fitted
            store.put_fact("fitted", fitted.as_json())
        if not fitted.reasons:
            self.space = make_space(student, recipe, target, reasons=False, predicted=meter.predicted)
        self._forecast = Forecast(base, {})
        self._verified: dict[Point, Figures] = {self.space.first: base}
        self.candidates: list[Candidate] = []

    def __enter__(self) -> _Search:
        return self

    def __exit__(self, *_: object) -> None:
        self._workshop.close()

    @property
    def verified(self) -> list[Candidate]:
        return [Candidate(point, figures, True) for point, figures in self._verified.items()]

    def measure_options(self) -> None:
        """Each option by itself, and all combinations out of these."""
        options = [option for of_part in self.space.options.values() for option in of_part[1:]]
        found: dict[Option, Figures] = {}
        for done, option in enumerate(options):
            self._progress("options measured", done, len(options))
            recipe = option.apply(self.space.base)
            try:
                found[option] = self._look_up(recipe)
            except BadInput:  # such codes cannot be had of this student
                continue
        self._progress("options measured", len(options), len(options))
        self._forecast = Forecast(self._forecast.base, found)
        points = [point for point in self.space.points() if self._forecast.knows(point)]
        self.candidates = [self._forecast.foretell(point) for point in points]
        for point in points:  # what an earlier search has made
            if (whole := self._store.get(self.space.recipe(point))) is not None:
                self._verified[point] = whole

    def verify(self, limits: Limits) -> list[Candidate]:
        """Make the best points that are foretold to fit, and the best shipped recipe among them; what fits of all that
        were made, the best first."""
        fitting = [each for each in self.candidates if limits.are_met(each.figures)]
        fitting.sort(key=_rank)
        shipped = [each for each in fitting if each.point in self.space.shipped.values()][:1]
        wanted = [*fitting[:VERIFIED], *shipped]
        wanted = list({each.point: each for each in wanted}.values())
        for done, candidate in enumerate(wanted):
            self._progress("points made", done, len(wanted))
            best = max((each.quality for each in self._kept(limits)), default=-1.0)
            if done < _AT_LEAST or candidate in shipped or candidate.quality > best:
                self._make(candidate.point)
        for candidate in fitting[VERIFIED : VERIFIED + MORE]:
            if self._kept(limits):
                break
            self._make(candidate.point)
        self._progress("points made", len(wanted), len(wanted))
        return sorted(self._kept(limits), key=_rank)

    def _kept(self, limits: Limits) -> list[Candidate]:
        """Of those that were made, what keeps the limits."""
        return [each for each in self.verified if limits.are_met(each.figures)]

    def compile_best(
        self, candidates: Sequence[Candidate], out: Path, limits: Limits, facts: Mapping[str, Any]
    ) -> tuple[Candidate | None, CompileReport | None]:
        """Compile the first of the candidates that keeps the limits when it is made with all that a compile fits. Where
        that makes it worse than the next one was, by more than another compile is worth, or than a shipped recipe is,
        that one is compiled, too, and the better one stays."""
        taken: Candidate | None = None
        report: CompileReport | None = None
        shipped = self.space.shipped.values()
        later = [each for each in candidates[_COMPILED:] if each.point in shipped][:1]
        for candidate in (*candidates[:_COMPILED], *later):
            worth = 0.0 if candidate.point in shipped else _WORTH
            if taken is not None and candidate.quality <= taken.quality + worth:
                continue
            with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
                path = Path(folder) / out.name
                made = self._compile(candidate, path, limits, facts)
                found = self._judge(candidate, made, limits)
                if found is not None and (taken is None or found.quality > taken.quality):
                    taken, report = found, dataclasses.replace(made, path=out)
                    os.replace(path, out)
        return taken, report

    def _compile(self, candidate: Candidate, path: Path, limits: Limits, facts: Mapping[str, Any]) -> CompileReport:
        named = dataclasses.replace(
            self.space.recipe(candidate.point), name=f"{self._recipe.name}, to a budget",
            description=candidate.point.name,
        )  # fmt: skip
        changed = [each.name for each in candidate.point.changes]
        told = {**facts, "budget": {**limits.as_json(), "changed": changed}}
        return compile(self._student, named, self._target, path, self._progress, self._workers, told, self._meter)

    def _judge(self, candidate: Candidate, report: CompileReport, limits: Limits) -> Candidate | None:
        """The candidate with the figures of its bundle, where that keeps the limits."""
        last = report.ledger[-1].accuracy
        hits = pack_hits(last.shares["p_at_1"] > 0) if last.shares else ""
        for _ in range(3):  # a machine that was busy for a moment gets another chance
            costs = self._meter.tell(report.path)
            figures = Figures(
                last.p_at_1, last.r_at_100, report.bytes, costs.memory_bytes, dict(costs.stages), costs.ms, hits
            )
            if limits.are_met(figures):
                break
        self._verified[candidate.point] = figures
        self._store.put(self.space.recipe(candidate.point), figures)
        return Candidate(candidate.point, figures, True) if limits.are_met(figures) else None

    def give_up(self, taken: Candidate) -> tuple[GivenUp, ...]:
        """What each of a point's options changed by itself."""
        base, found = self._forecast.base, []
        for option in taken.point.changes:
            own = self._forecast.foretell(Point((option,))).figures
            p_at_1 = None if own.p_at_1 is None or base.p_at_1 is None else own.p_at_1 - base.p_at_1
            found.append(GivenUp(option, p_at_1, {name: getattr(own, name) - getattr(base, name) for name in COSTS}))
        return tuple(found)

    def _make(self, point: Point) -> None:
        if point not in self._verified:
            self._verified[point] = self._look_up(self.space.recipe(point))

    def _look_up(self, recipe: Recipe) -> Figures:
        if (known := self._store.get(recipe)) is not None:
            self.known += 1
            return known
        figures = self._workshop.measure(recipe, self._base)
        self.measured += 1
        self._store.put(recipe, figures)
        return figures


def _rank(candidate: Candidate) -> tuple[float, ...]:
    """The best first: by P@1; of equals what keeps the shortlist, changes least, and is fast."""
    found = candidate.figures
    return (-round(candidate.quality, 2), -round(found.recall or 0.0, 1), len(candidate.point.changes), found.ms)


def refuse(report: BudgetReport) -> None:
    """Raise `GateFailed` with advice where nothing fits."""
    if report.taken is None:
        raise GateFailed(report.advice())
