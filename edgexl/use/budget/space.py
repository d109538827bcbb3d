"""What there is to choose from: for each part of a bundle, some options, each a change of the recipe one begins with.

A part's options are measured one at a time, with all other parts as the recipe has them. Parts that depend on each
other (how short the codes are that are scanned, and how many rows are rescored after it) are one part.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgexl.compiler.engines import may_be_native
from edgexl.compiler.recipe import GateRecipe, Recipe, available_recipes, load_recipe
from edgexl.cost.stages import STAGES
from edgexl.student.layers import count_layers
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.student import Student
from edgexl.target import Target

PARTS = ("engine", "screener", "reasoner", "scan", "fine", "shortlist")
# The stages of a query that a part's options change; a measured change of another one is noise.
STAGES_OF = {
    "engine": STAGES,
    "screener": ("encode",),
    "reasoner": ("gather", "reason", "calibrate"),
    "scan": ("scan", "rescore"),
    "fine": ("rescore", "gather"),
    "shortlist": ("gather", "reason", "calibrate"),
}
# (recipe's table, or "" for the recipe itself; its key; the value)
Setting = tuple[str, str, Any]


@dataclass(frozen=True)
class Option:
    """A named choice for one of the `PARTS`; without settings it is what the recipe says."""

    part: str
    name: str
    settings: tuple[Setting, ...] = ()

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe with this option. Raises `ValueError` where the two do not go together."""
        tables: dict[str, dict[str, Any]] = {}
        for table, key, value in self.settings:
            tables.setdefault(table, {})[key] = value
        changed = {name: dataclasses.replace(getattr(recipe, name), **of) for name, of in tables.items() if name}
        return dataclasses.replace(recipe, **changed, **tables.get("", {}))


@dataclass(frozen=True)
class Point:
    """One option for each part."""

    options: tuple[Option, ...]

    @property
    def changes(self) -> tuple[Option, ...]:
        """Those that are not what the recipe says."""
        return tuple(option for option in self.options if option.settings)

    @property
    def name(self) -> str:
        return "; ".join(option.name for option in self.changes) or "as the recipe says"

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe with all options. Raises `ValueError` where they do not go together."""
        # one by one they may contradict each other on the way: all of them at once
        settings = tuple(setting for option in self.options for setting in option.settings)
        return Option("", "", settings).apply(recipe)


@dataclass(frozen=True)
class Space:
    """The recipe that one begins with, and each part's options, the first of which is the recipe's own. `shipped`: the
    points that are recipes of edgexl's, by name."""

    base: Recipe
    options: Mapping[str, tuple[Option, ...]]
    shipped: Mapping[str, Point] = field(default_factory=dict)

    @property
    def first(self) -> Point:
        """The recipe as it is."""
        return Point(tuple(self.options[part][0] for part in PARTS))

    def points(self) -> Iterator[Point]:
        """All combinations that are a recipe."""
        for options in itertools.product(*(self.options[part] for part in PARTS)):
            point = Point(options)
            if self._fits(point):
                yield point

    def recipe(self, point: Point) -> Recipe:
        return point.apply(self.base)

    def _fits(self, point: Point) -> bool:
        by_part = {option.part: option for option in point.options}
        # what the other engine brings are the graphs' schemes
        schemes = any(key == "scheme" for part in ("screener", "reasoner") for _, key, _ in by_part[part].settings)
        if by_part["engine"].settings and schemes:
            return False
        try:
            point.apply(self.base)
        except ValueError:
            return False
        return True


def make_space(
    student: Student, recipe: Recipe, target: Target, reasons: bool = True, predicted: bool = False
) -> Space:
    """The options of a student: those that usually pay, and those that the shipped recipes take. `reasons`: whether a
    compile by the recipe keeps the reasoner; `predicted`: whether costs are foretold, which is for the native engine
    alone."""
    dims, shortlist = student.shapes.query_dims, recipe.shortlist.n or student.shapes.shortlist
    # what is asked for is the limits: how much of the float student is kept is told, and fails nothing
    gates = GateRecipe(queries=recipe.gates.queries, reasoner_gain=-100.0, confidence=recipe.gates.confidence)
    base = dataclasses.replace(recipe, gates=gates)
    native = may_be_native(base, target)
    shipped = {name: load_recipe(name) for name in available_recipes()} if recipe.name in available_recipes() else {}
    options = {
        "engine": _engine(base, native and not predicted),
        "screener": _graph("screener", base.screener.scheme, count_layers(student.screener), native),
        "reasoner": _reasoner(student, base, native and reasons, reasons),
        "scan": _scan(base, shipped, dims, shortlist),
        "fine": _fine(base, shipped, dims),
        "shortlist": _shortlist(shortlist, reasons),
    }
    space = Space(base, {part: tuple(options[part]) for part in PARTS})
    return dataclasses.replace(space, shipped=_find_shipped(space, shipped, native, dims - dims % 2))


def _engine(base: Recipe, native: bool) -> list[Option]:
    own = Option("engine", "")
    if not native or base.engine != "auto":
        return [own]
    float_graphs = (("", "engine", "ort"), ("screener", "scheme", "fp32"), ("reasoner", "scheme", "fp32"))
    return [own, Option("engine", "float graphs, ONNX Runtime", float_graphs)]


def _graph(part: str, scheme: str, layers: int, native: bool) -> list[Option]:
    found = [Option(part, "")]
    if native and scheme != "int4-weights":
        found.append(Option(part, f"{part} 4-bit", ((part, "scheme", "int4-weights"),)))
    if layers > 1:
        found.append(Option(part, f"{part} {layers - 1}/{layers} layers", ((part, "layers", layers - 1),)))
    return found


def _reasoner(student: Student, base: Recipe, native: bool, reasons: bool) -> list[Option]:
    if isinstance(student.reasoner, ScreeningReasoner) or not reasons:
        return [Option("reasoner", "")]
    found = _graph("reasoner", base.reasoner.scheme, count_layers(student.reasoner), native)
    return [*found, Option("reasoner", "no reasoner", (("reasoner", "blend", "screening"),))]


def _scan(base: Recipe, shipped: Mapping[str, Recipe], dims: int, shortlist: int) -> list[Option]:
    own = (base.index.code_bytes, base.index.overfetch)
    pairs = [(each.index.code_bytes, each.index.overfetch) for each in shipped.values()]
    half = max(1, own[0] // 2)
    pairs += [(own[0], own[1] // 2), (own[0] * 3 // 4, own[1]), (half, 2 * own[1]), (own[0] * 3 // 2, own[1])]
    fixed = base.index.coarse_dims is not None
    return [
        Option("scan", ""),
        *(
            Option(
                "scan",
                f"codes {code_bytes} B, rescore {overfetch:,}",
                (("index", "code_bytes", code_bytes), ("index", "overfetch", overfetch)),
            )
            for code_bytes, overfetch in dict.fromkeys(pairs)
            if (code_bytes, overfetch) != own and overfetch >= shortlist and 4 * code_bytes <= dims
            and 1 <= code_bytes <= 128 and overfetch <= 16384 and not (fixed and code_bytes != own[0])
        ),
    ]  # fmt: skip


def _fine(base: Recipe, shipped: Mapping[str, Recipe], dims: int) -> list[Option]:
    even = dims - dims % 2

    def of(recipe: Recipe) -> tuple[int, int]:
        return recipe.index.fine_bits, min(recipe.index.fine_dims or even, even)

    own = of(base)
    pairs = [of(each) for each in shipped.values()]
    pairs += [(4, even), (4, 2 * (3 * even // 8)), (4, 2 * (even // 4)), (2, even), (8, even)]
    return [
        Option("fine", ""),
        *(
            Option(
                "fine", f"fine {bits} bit x {kept}",
                (("index", "fine_bits", bits), ("index", "fine_dims", kept)),
            )
            for bits, kept in dict.fromkeys(pairs)
            if (bits, kept) != own and kept >= 2
        ),
    ]  # fmt: skip


def _shortlist(own: int, reasons: bool) -> list[Option]:
    shorter: Sequence[int] = (own // 2, own // 4) if reasons else ()
    return [
        Option("shortlist", ""),
        *(Option("shortlist", f"shortlist {n}", (("shortlist", "n", n),)) for n in shorter if n >= 8),
    ]


def _find_shipped(space: Space, shipped: Mapping[str, Recipe], native: bool, dims: int) -> dict[str, Point]:
    """The points that compile to what a shipped recipe does."""

    def essence(recipe: Recipe) -> tuple[Any, ...]:
        index = recipe.index
        engine = native and "fp32" not in (recipe.screener.scheme, recipe.reasoner.scheme) and recipe.engine != "ort"
        schemes = tuple(
            "int8-token" if engine and graph.scheme == "int8" else graph.scheme
            for graph in (recipe.screener, recipe.reasoner)
        )
        layers = (recipe.screener.layers, recipe.reasoner.layers, recipe.reasoner.blend)
        return (
            engine, schemes, layers, index.rotation, index.coarse, index.code_bytes, index.overfetch, index.fine_bits,
            index.fine_dims or dims, recipe.shortlist.n,
        )  # fmt: skip

    wanted = {name: essence(recipe) for name, recipe in shipped.items()}
    found: dict[str, Point] = {}
    for point in space.points():
        for name in [name for name, each in wanted.items() if each == essence(point.apply(space.base))]:
            found.setdefault(name, point)
    return found
