"""The student: tokenizer, screener, reasoner and label set, with where they came from and how good they are.

A saved student is a directory that holds nothing executable:

    student.json         format version, shapes, the modules' classes and sizes, provenance, metrics
    model.safetensors    the weights (see `edgexl.student.weights`), named screener.* and reasoner.*
    tokenizer.json       the Hugging Face tokenizer, without truncation and padding
    labels.json.gz       the label set
    calibration.json.gz  queries that no training saw, to fit probabilities and codes on
    evaluation.json.gz   queries that neither training nor calibration saw, to report on

A user's own modules become a student by `Student.from_modules`, if they meet the contract in `edgexl.student.contract`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl import toml
from edgexl.data import Query, read_queries, write_queries
from edgexl.directories import entries, settle_directory, write_directory
from edgexl.errors import BadInput
from edgexl.files import write_text
from edgexl.sealed import SEAL_FILE
from edgexl.student.contract import Shapes, check_modules, check_tokenizer
from edgexl.student.labels import LabelSet
from edgexl.student.ngrams import NgramConfig, NgramScreener
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig, ScreeningReasoner
from edgexl.student.screener import ScreenerConfig, TransformerScreener
from edgexl.student.shipped import available_students
from edgexl.student.weights import Product, read_weights, write_weights

FORMAT_VERSION = 1
# All that edgexl writes into a student's directory: also a distillation's page of curves and a cached student's seal.
_FILES = (
    "student.json", "model.safetensors", "tokenizer.json", "labels.json.gz", "calibration.json.gz",
    "evaluation.json.gz", "training.html", SEAL_FILE,
)  # fmt: skip
SCREENERS: dict[str, tuple[type[nn.Module], type[Any]]] = {
    "TransformerScreener": (TransformerScreener, ScreenerConfig),
    "NgramScreener": (NgramScreener, NgramConfig),
}


@dataclass(frozen=True)
class EmptyConfig:
    """The configuration of a module that has no sizes."""


REASONERS: dict[str, tuple[type[nn.Module], type[Any]]] = {
    "ListwiseReasoner": (ListwiseReasoner, ReasonerConfig),
    "ScreeningReasoner": (ScreeningReasoner, EmptyConfig),
}


@dataclass(frozen=True)
class ModuleEntry:
    """student.json: a built-in class and its sizes."""

    type: str
    config: dict[str, Any]


@dataclass(frozen=True)
class StudentFile:
    """student.json, as the strict reader takes it."""

    format: str
    version: int
    shapes: Shapes
    screener: ModuleEntry
    reasoner: ModuleEntry
    labels_sha256: str
    products: tuple[Product, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Student:
    """A checked student; make one with `load_student`, `Student.from_modules` or a distillation.

    `calibration` and `evaluation` are held-out queries whose targets index `labels`; either may be empty.
    `maps` are the small matrices that derive tables of the reasoner from tables of the screener (see `Product`).
    """

    screener: nn.Module
    reasoner: nn.Module
    tokenizer: Tokenizer
    labels: LabelSet
    shapes: Shapes
    provenance: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    calibration: tuple[Query, ...] = ()
    evaluation: tuple[Query, ...] = ()
    maps: dict[Product, Tensor] = field(default_factory=dict)

    @classmethod
    def from_modules(
        cls,
        *,
        screener: nn.Module,
        reasoner: nn.Module,
        tokenizer: Tokenizer,
        labels: LabelSet,
        shapes: Shapes,
        calibration: Sequence[Query] = (),
        evaluation: Sequence[Query] = (),
        provenance: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        maps: dict[Product, Tensor] | None = None,
    ) -> Student:
        """Make a student of any modules that meet the graph contract, after running them once to see that they do.

        `screener(input_ids [B,T], attention_mask [B,T])` returns the unit query vector [B,d] and token states [B,T,h];
        `reasoner` has `input_names` out of the contract's vocabulary and, called with those by name, returns logits
        [B,N]. Raises `BadInput` in one sentence for the first thing that does not fit.
        """
        tokenizer = check_tokenizer(tokenizer, shapes)
        for split, queries in (("calibration", calibration), ("evaluation", evaluation)):
            _check_targets(split, queries, len(labels))
        check_modules(screener, reasoner, shapes)
        return cls(
            screener=screener.eval(),
            reasoner=reasoner.eval(),
            tokenizer=tokenizer,
            labels=labels,
            shapes=shapes,
            provenance=dict(provenance or {}),
            metrics=dict(metrics or {}),
            calibration=tuple(calibration),
            evaluation=tuple(evaluation),
            maps=dict(maps or {}),
        )

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the student's directory as one step, replacing an older student there. Other files there stay.

        Only built-in modules can be saved, for a directory that named other code would have to run it on loading:
        raises `BadInput` for a student whose modules are the user's own (such a student can be compiled as it is).
        """
        about = StudentFile(
            format="edgexl student",
            version=FORMAT_VERSION,
            shapes=self.shapes,
            screener=_entry(self.screener, SCREENERS, "screener"),
            reasoner=_entry(self.reasoner, REASONERS, "reasoner"),
            labels_sha256=self.labels.sha256(),
            products=tuple(self.maps),
            provenance=self.provenance,
            metrics=self.metrics,
        )
        target = Path(directory)
        refuse_foreign_directory(target)
        with write_directory(target, _FILES) as staging:
            weights = {f"screener.{name}": value for name, value in self.screener.state_dict().items()}
            weights |= {f"reasoner.{name}": value for name, value in self.reasoner.state_dict().items()}
            write_weights(staging / "model.safetensors", weights, self.maps)
            write_text(staging / "tokenizer.json", self.tokenizer.to_str())
            self.labels.save(staging / "labels.json.gz")
            write_queries(staging / "calibration.json.gz", self.calibration)
            write_queries(staging / "evaluation.json.gz", self.evaluation)
            text = json.dumps(dataclasses.asdict(about), indent=1, ensure_ascii=False)
            write_text(staging / "student.json", text + "\n")


def load_student(source: str | os.PathLike[str]) -> Student:
    """Load a student from a directory, or one that edgexl ships by its name (`available_students`).

    Weights come back in fp32, modules in evaluation mode. Raises `BadInput` where anything is missing, contradicts
    another part, or is not what student.json says.
    """
    directory = _locate(source)
    about = _read_about(directory / "student.json")
    labels = LabelSet.load(directory / "labels.json.gz")
    if labels.sha256() != about.labels_sha256:
        raise BadInput(f"{directory}: labels.json.gz is not the label set that student.json was written with.")
    weights, maps = read_weights(directory / "model.safetensors", about.products)
    screener = _module(about.screener, SCREENERS, "screener", weights, directory)
    reasoner = _module(about.reasoner, REASONERS, "reasoner", weights, directory)
    strays = [name for name in weights if not name.startswith(("screener.", "reasoner."))]
    if strays:
        raise BadInput(f"{directory}/model.safetensors holds the unknown tensor '{strays[0]}'.")
    try:
        return Student.from_modules(
            screener=screener,
            reasoner=reasoner,
            tokenizer=_read_tokenizer(directory / "tokenizer.json"),
            labels=labels,
            shapes=about.shapes,
            calibration=tuple(read_queries(directory / "calibration.json.gz", len(labels))),
            evaluation=tuple(read_queries(directory / "evaluation.json.gz", len(labels))),
            provenance=about.provenance,
            metrics=about.metrics,
            maps=maps,
        )
    except BadInput as error:
        raise BadInput(str(error) if str(directory) in str(error) else f"{directory}: {error}") from None


def refuse_foreign_directory(target: Path) -> None:
    """Raise `BadInput` where a student cannot be written to `target` without replacing something that is none."""
    if target.exists() and not (target / "student.json").is_file() and (target.is_file() or entries(target)):
        raise BadInput(f"{target} holds something that is not a student; give a new or empty directory.")


def _locate(source: str | os.PathLike[str]) -> Path:
    directory = settle_directory(source, _FILES)
    if (directory / "student.json").is_file():
        return directory
    shipped = available_students()
    if str(source) in shipped:
        return shipped[str(source)]
    if directory.is_dir():
        raise BadInput(f"{directory} is not a student: it has no student.json; distill one or import a model first.")
    names = ", ".join(shipped) or "none"
    raise BadInput(f"There is no student '{source}': neither a directory, nor one of the shipped ones ({names}).")


def _read_about(path: Path) -> StudentFile:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not readable JSON ({error}); save the student again.") from None
    if not isinstance(table, dict) or table.get("format") != "edgexl student":
        raise BadInput(f"{path} is not a student's: it lacks the entry format = 'edgexl student'.")
    if table.get("version") != FORMAT_VERSION:
        raise BadInput(
            f"{path} is format version {table.get('version')!r}; this edgexl reads version {FORMAT_VERSION}."
        )
    try:
        return toml.build(table, StudentFile, str(path))
    except BadInput as error:
        # sizes are checked by `Shapes` itself, which knows of no file
        raise BadInput(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def _read_tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}).") from None
    except Exception as error:  # the tokenizers library raises bare Exception for every parse error
        raise BadInput(f"{path} is not a Hugging Face tokenizer: {error}.") from None


def _entry(module: nn.Module, known: dict[str, tuple[type[nn.Module], type[Any]]], role: str) -> ModuleEntry:
    for name, (cls, _) in known.items():
        if type(module) is cls:
            config = getattr(module, "config", EmptyConfig())
            return ModuleEntry(name, {k: v for k, v in dataclasses.asdict(config).items() if v is not None})
    raise BadInput(
        f"This student cannot be saved, because its {role} is the class {type(module).__qualname__} and only edgexl's "
        f"own ({', '.join(known)}) can be loaded again without running foreign code; compile it directly instead."
    )


def _module(
    entry: ModuleEntry,
    known: dict[str, tuple[type[nn.Module], type[Any]]],
    role: str,
    weights: dict[str, Tensor],
    directory: Path,
) -> nn.Module:
    """Build the class that `entry` names and load its share of `weights`."""
    where = f"{directory}/student.json: {role}"
    if entry.type not in known:
        raise BadInput(f"{where}: unknown type '{entry.type}'{toml.nearest(entry.type, list(known))}")
    cls, config_cls = known[entry.type]
    config = toml.build(entry.config, config_cls, where)
    module = cls() if config_cls is EmptyConfig else cls(config)
    own = {k.removeprefix(f"{role}."): v for k, v in weights.items() if k.startswith(f"{role}.")}
    expected = module.state_dict()
    for name in sorted(expected.keys() | own.keys()):
        if name not in own:
            raise BadInput(f"{directory}/model.safetensors lacks the tensor '{role}.{name}'.")
        if name not in expected:
            raise BadInput(f"{directory}/model.safetensors holds the unknown tensor '{role}.{name}'.")
        if own[name].shape != expected[name].shape:
            raise BadInput(
                f"{directory}/model.safetensors: '{role}.{name}' is {list(own[name].shape)}, "
                f"but student.json's sizes make it {list(expected[name].shape)}."
            )
    module.load_state_dict(own)
    return module


def _check_targets(split: str, queries: Sequence[Query], label_count: int) -> None:
    for query in queries:
        if not query.targets or not all(0 <= target < label_count for target in query.targets):
            raise BadInput(
                f"The {split} query {query.uid!r} has no target or one outside the {label_count} labels; correct it."
            )
