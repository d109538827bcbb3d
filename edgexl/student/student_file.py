"""student.json, the labels that it names, and the modules that it describes: read strictly, and held against the
weights before they are built."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgexl.base import toml
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.base.strict_json import parse_line, read_json
from edgexl.bundle.tokenizer import Prompts
from edgexl.data import Query, read_queries
from edgexl.data.built_labels import build_labels, find_texts
from edgexl.data.label_set import LabelSet
from edgexl.student import screeners
from edgexl.student.contract import Shapes
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig, ScreeningReasoner
from edgexl.student.weights import SCALE, Product

FORMAT_VERSION = 1
LABELS_FILE, QUERY_FILES = "labels.json.gz", ("calibration.json.gz", "evaluation.json.gz")
Known = dict[str, tuple[type[nn.Module], type[Any]]]
PROJECTION = "label_tower.projection"
# What a tensor's dimension can be at all; products of two of them stay below 2^62.
LARGEST_SIZE = 2**31 - 1


@dataclass(frozen=True)
class EmptyConfig:
    """The configuration of a module that has no sizes."""


REASONERS: Known = {
    "ListwiseReasoner": (ListwiseReasoner, ReasonerConfig),
    "ScreeningReasoner": (ScreeningReasoner, EmptyConfig),
}


@dataclass(frozen=True)
class ModuleEntry:
    """student.json: a built-in class and its sizes."""

    type: str
    config: dict[str, Any]


@dataclass(frozen=True)
class TowerEntry:
    """student.json: the label tower's model, and the width of its vectors."""

    source: str
    weights_sha256: str
    width: int

    def __post_init__(self) -> None:
        if not 1 <= self.width <= LARGEST_SIZE:
            raise ValueError(f"width is {self.width}; it must be from 1 to {LARGEST_SIZE:,}")


@dataclass(frozen=True)
class StudentFile:
    """student.json, as the strict reader takes it. `labels_from`: what builds the labels, where no file holds them."""

    format: str
    version: int
    shapes: Shapes
    screener: ModuleEntry
    reasoner: ModuleEntry
    labels_sha256: str
    products: tuple[Product, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    label_tower: TowerEntry | None = None
    labels_from: str | None = None
    prompts: Prompts | None = None

    def as_json(self) -> dict[str, Any]:
        """The table that `read_student_file` reads; what a student has not, it does not name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Plan:
    """A built-in class and the checked configuration to make it of."""

    cls: type[nn.Module]
    config: Any

    def build(self) -> nn.Module:
        """The module, its weights as its class draws them."""
        return self.cls() if isinstance(self.config, EmptyConfig) else self.cls(self.config)


def list_screeners() -> Known:
    """The built-in screeners, by the class that student.json names."""
    return {kind.module.__name__: (kind.module, kind.config) for kind in screeners.KINDS}


def read_student_file(path: Path) -> StudentFile:
    """Read and check student.json. Raises `BadInput`."""
    table = read_json(path, "save the student again", parse_line)
    if not isinstance(table, dict) or table.get("format") != "edgexl student":
        raise BadInput(f"{path} is not a student's: it lacks the entry format = 'edgexl student'.")
    if table.get("version") != FORMAT_VERSION:
        raise BadInput(
            f"{path} is format version {table.get('version')!s:.20}; this edgexl reads version {FORMAT_VERSION}."
        )
    try:
        return toml.build(table, StudentFile, str(path))
    except OverflowError:
        raise BadInput(f"{path} holds a number beyond what a float holds; save the student again.") from None
    except BadInput as error:
        # sizes are checked by `Shapes` itself, which knows of no file
        raise BadInput(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def read_data(
    directory: Path, about: StudentFile, progress: Progress = no_progress
) -> tuple[LabelSet, tuple[Query, ...], tuple[Query, ...]]:
    """(labels, calibration, evaluation) of a student's directory: its own labels, or those that student.json names,
    built or out of the cache, of which its held-out queries are no names. Texts of queries that the directory does not
    carry come out of the data set that they were drawn from. Raises `BadInput`, also where a package is not at hand."""
    if about.labels_from is None or (directory / LABELS_FILE).is_file():
        labels = LabelSet.load(directory / LABELS_FILE)
        if labels.sha256() != about.labels_sha256:
            raise BadInput(f"{directory}: {LABELS_FILE} is not the label set that student.json was written with.")
        calibration, evaluation = (tuple(read_queries(directory / name, len(labels))) for name in QUERY_FILES)
        return labels, calibration, evaluation
    calibration, evaluation = (tuple(read_queries(directory / name)) for name in QUERY_FILES)
    try:
        found = tuple(find_texts(about.labels_from, (*calibration, *evaluation), progress))
        labels = build_labels(about.labels_from, {query.text for query in found}, about.labels_sha256, progress)
    except BadInput as error:
        raise BadInput(f"{directory} names its labels, which are built on first use: {error}") from None
    return labels, found[: len(calibration)], found[len(calibration) :]


def describe_module(module: nn.Module, known: Known, role: str) -> ModuleEntry:
    """What student.json says of a module. Raises `BadInput` for a class that is not edgexl's own."""
    for name, (cls, _) in known.items():
        if type(module) is cls:
            config = getattr(module, "config", EmptyConfig())
            unsaid = {each.name: each.metadata.get("unsaid") for each in dataclasses.fields(config)}
            return ModuleEntry(name, {k: v for k, v in dataclasses.asdict(config).items() if v is not unsaid[k]})
    raise BadInput(
        f"This student cannot be saved, because its {role} is the class {type(module).__qualname__} and only edgexl's "
        f"own ({', '.join(known)}) can be loaded again without running foreign code; compile it directly instead."
    )


def plan_module(
    entry: ModuleEntry,
    known: Known,
    role: str,
    shapes: dict[str, tuple[int, ...]],
    products: tuple[Product, ...],
    directory: Path,
) -> Plan:
    """The class and sizes that `entry` names, after seeing that the weights' `shapes`, by name, are what these sizes
    make: nothing is allocated on the word of student.json alone. Raises `BadInput`."""
    where = f"{directory}/student.json: {role}"
    if entry.type not in known:
        raise BadInput(f"{where}: unknown type '{entry.type}'{toml.nearest(entry.type, list(known))}")
    for key, value in entry.config.items():
        if isinstance(value, int) and abs(value) > LARGEST_SIZE:
            raise BadInput(f"{where}: {key} is beyond {LARGEST_SIZE:,}, which no size of a module can be.")
    cls, config_cls = known[entry.type]
    try:
        plan = Plan(cls, toml.build(entry.config, config_cls, where))
    except OverflowError:
        raise BadInput(f"{where}: a number is beyond what a float holds.") from None
    weights = f"{directory}/model.safetensors"
    layers = getattr(plan.config, "layers", 0)
    if layers > len(shapes):
        raise BadInput(f"{where}: layers is {layers}, but {weights} holds {len(shapes)} tensors in all.")
    expected = _expect_shapes(plan, where)
    own = {name.removeprefix(f"{role}."): shape for name, shape in shapes.items() if name.startswith(f"{role}.")}
    derived = {product.name.removeprefix(f"{role}.") for product in products if product.name.startswith(f"{role}.")}
    maps = {product.map.removeprefix(f"{role}.") for product in products}
    for name in sorted(expected.keys() | own.keys()):
        if name not in own and name not in derived:
            raise BadInput(f"{weights} lacks the tensor '{role}.{name}'.")
        if name not in expected and name not in maps and not (name.endswith(SCALE) and name.removesuffix(SCALE) in own):
            raise BadInput(f"{weights} holds the unknown tensor '{role}.{name}'.")
        if name in own and name in expected:
            _compare(weights, f"{role}.{name}", own[name], expected[name])
    return plan


def check_tower(entry: TowerEntry | None, dims: int, shapes: dict[str, tuple[int, ...]], directory: Path) -> None:
    """Hold the weights' `shapes`, by name, against student.json's entry of a label tower. Raises `BadInput`."""
    weights = f"{directory}/model.safetensors"
    if entry is None:
        if PROJECTION in shapes:
            raise BadInput(f"{weights} holds the tensor '{PROJECTION}', but student.json names no label tower.")
        return
    if PROJECTION not in shapes:
        raise BadInput(f"{weights} lacks the tensor '{PROJECTION}'.")
    _compare(weights, PROJECTION, shapes[PROJECTION], (dims, entry.width))


def build_module(plan: Plan, role: str, weights: dict[str, Tensor], directory: Path) -> nn.Module:
    """The module of a plan with its share of `weights`. Raises `BadInput` where a derived one does not fit."""
    module = plan.build()
    own = {k.removeprefix(f"{role}."): v for k, v in weights.items() if k.startswith(f"{role}.")}
    for name, value in module.state_dict().items():
        _compare(f"{directory}/model.safetensors", f"{role}.{name}", tuple(own[name].shape), tuple(value.shape))
    module.load_state_dict(own)
    return module


def _expect_shapes(plan: Plan, where: str) -> dict[str, tuple[int, ...]]:
    """The shapes of a module's tensors, without their memory."""
    try:
        with torch.device("meta"):
            return {name: tuple(value.shape) for name, value in plan.build().state_dict().items()}
    except (RuntimeError, OverflowError):
        raise BadInput(f"{where}: its sizes make tensors larger than any memory; save the student again.") from None


def _compare(weights: str, name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise BadInput(f"{weights}: '{name}' is {list(found)}, but student.json's sizes make it {list(expected)}.")
