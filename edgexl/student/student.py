"""The student: tokenizer, screener, reasoner and label set, with where they came from and how good they are.

A saved student is a directory that holds nothing executable:

    student.json         format version, shapes, the modules' classes and sizes, provenance, metrics
    model.safetensors    the weights (see `edgexl.student.weights`), named screener.* and reasoner.*; of a label tower
                         (`edgexl.student.label_tower`) only its projection, for its model is one that all can have
    tokenizer.json       the Hugging Face tokenizer, without truncation and padding
    labels.json.gz       the label set; a student that edgexl ships may name it instead, to be built on first use
    calibration.json.gz  queries that no training saw, to fit probabilities and codes on
    evaluation.json.gz   queries that neither training nor calibration saw, to report on

A user's own modules become a student by `Student.from_modules`, if they meet the contract in `edgexl.student.contract`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl.base.arguments import as_path
from edgexl.base.directories import settle_directory, write_directory
from edgexl.base.errors import BadInput
from edgexl.base.files import write_text
from edgexl.base.progress import Progress, no_progress
from edgexl.base.sealed import SEAL_FILE
from edgexl.base.shipped import available_students, find_student
from edgexl.bundle.tokenizer import NO_PROMPTS, Prompts
from edgexl.data import Query, write_queries
from edgexl.data.built_labels import hide_texts
from edgexl.data.label_set import LabelSet
from edgexl.data.tables.objects import LabelSource, QuerySource, as_label_set
from edgexl.data.tables.queries import LabelNames, read_any_queries
from edgexl.report.summary import Shown, Summary, say_count
from edgexl.report.table import Cell
from edgexl.student.arguments import (
    as_facts,
    as_module,
    as_queries,
    as_tokenizer,
    check_targets,
    check_tokens,
)
from edgexl.student.contract import Shapes, check_modules, check_tokenizer
from edgexl.student.foreign import refuse_foreign_directory as refuse_foreign_directory
from edgexl.student.importing.encoder import open_encoder
from edgexl.student.label_tower import LabelTower
from edgexl.student.reading import AS_IT_IS, OF_A_STUDENT, EncoderReading
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.student_file import (
    FORMAT_VERSION,
    LABELS_FILE,
    PROJECTION,
    QUERY_FILES,
    REASONERS,
    StudentFile,
    TowerEntry,
    build_module,
    check_tower,
    describe_module,
    list_screeners,
    plan_module,
    read_data,
    read_student_file,
)
from edgexl.student.text import read_tokenizer
from edgexl.student.weights import SCALE, Product, read_shapes, read_weights, write_weights

# All that edgexl writes into a student's directory: also a distillation's page of curves and a cached student's seal.
_FILES = (
    "student.json", "model.safetensors", "tokenizer.json", LABELS_FILE, *QUERY_FILES, "training.html", SEAL_FILE,
)  # fmt: skip

# Of a student made of an encoder: labels that are shortlisted, and word pieces of each that a reasoner could see.
SHORTLIST, LABEL_TOKENS = 128, 8


@dataclass(frozen=True, repr=False)
class Student(Shown):
    """A checked student; make one with `load_student`, `Student.from_modules` or a distillation.

    `calibration` and `evaluation` are held-out queries whose targets index `labels`; either may be empty.
    `maps` are the small matrices that derive tables of the reasoner from tables of the screener (see `Product`).
    `prompts` are the texts that the screener wants before queries and before label texts.
    `label_tower` encodes the labels where the compiler does so; without one the screener does.
    Queries and metrics belong to one label set, whose hash is `measured_over`: `with_labels` changes the labels.
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
    label_tower: LabelTower | None = None
    prompts: Prompts = NO_PROMPTS
    measured_over: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        labels = self.labels.sha256()
        if self.measured_over not in ("", labels):
            if self.calibration or self.evaluation:
                raise BadInput(
                    "The student's labels were replaced, but its queries and metrics are the old labels'; "
                    "use student.with_labels(labels, calibration, evaluation)."
                )
            object.__setattr__(self, "provenance", _relabel(self.provenance, self.measured_over))
            object.__setattr__(self, "metrics", {})
        object.__setattr__(self, "measured_over", labels)
        for split in ("calibration", "evaluation"):
            check_targets(split, getattr(self, split), len(self.labels))

    def _summary(self) -> Summary:
        modules = [type(module).__name__ for module in (self.screener, self.reasoner)]
        queries = {split: len(getattr(self, split)) for split in ("calibration", "evaluation")}
        parameters = sum(each.numel() for module in (self.screener, self.reasoner) for each in module.parameters())
        said = [f"{number:,} {split}" for split, number in queries.items() if number]
        labels = self.labels._summary()
        facts: dict[str, Cell] = {
            "screener": modules[0],
            "reasoner": modules[1],
            "parameters": parameters,
            "dimensions": self.shapes.query_dims,
            "tokens read at once": self.shapes.max_tokens,
            "shortlist": self.shapes.shortlist,
            **{f"{split} queries": number for split, number in queries.items()},
            **({"label tower": self.label_tower.source} if self.label_tower else {}),
        }
        line = f"{say_count(len(self.labels), 'label')}; {modules[0]} and {modules[1]}, {parameters:,} parameters"
        queries_said = f"queries: {', '.join(said)}" if said else "no queries"
        return Summary(f"{line}; {queries_said}", facts, labels.tables)

    @classmethod
    def from_modules(
        cls,
        *,
        screener: nn.Module,
        reasoner: nn.Module,
        tokenizer: Any,
        labels: LabelSource,
        shapes: Shapes,
        calibration: QuerySource = (),
        evaluation: QuerySource = (),
        provenance: dict[str, Any] | None = None,
        metrics: dict[str, Any] | None = None,
        maps: dict[Product, Tensor] | None = None,
        label_tower: LabelTower | None = None,
        prompts: Prompts = NO_PROMPTS,
    ) -> Student:
        """Make a student of any modules that meet the graph contract, after running them once to see that they do.

        Modules come out in evaluation mode, on the CPU and in fp32. `tokenizer` may be a fast one of transformers, and
        queries may be tuples.

        `screener(input_ids [B,T], attention_mask [B,T])` returns the unit query vector [B,d] and token states [B,T,h];
        `reasoner` has `input_names` out of the contract's vocabulary and, called with those by name, returns logits
        [B,N]. Raises `BadInput` in one sentence for the first thing that does not fit.
        """
        if not isinstance(shapes, Shapes):
            raise BadInput(f"The shapes are of the type {type(shapes).__name__}; give Shapes(max_tokens=..., ...).")
        labels = as_label_set(labels)
        tokenizer = check_tokenizer(as_tokenizer(tokenizer), shapes)
        fitted = check_tokens("calibration", as_queries("calibration", calibration, labels), tokenizer)
        judged = check_tokens("evaluation", as_queries("evaluation", evaluation, labels), tokenizer)
        screener, reasoner = as_module("screener", screener), as_module("reasoner", reasoner)
        check_modules(screener, reasoner, shapes)
        if label_tower is not None and label_tower.dims != shapes.query_dims:
            raise BadInput(
                f"The label tower's vectors have {label_tower.dims} dimensions, but the student's {shapes.query_dims}; "
                "give it a projection to as many."
            )
        return cls(
            screener=screener,
            reasoner=reasoner,
            tokenizer=tokenizer,
            labels=labels,
            shapes=shapes,
            provenance=as_facts("provenance", provenance),
            metrics=as_facts("metrics", metrics),
            calibration=fitted,
            evaluation=judged,
            maps=dict(maps or {}),
            label_tower=label_tower,
            prompts=prompts,
        )

    @classmethod
    def from_encoder(
        cls,
        encoder: str | bytes | os.PathLike[str],
        labels: LabelSource,
        calibration: QuerySource = (),
        evaluation: QuerySource = (),
        reading: EncoderReading = AS_IT_IS,
    ) -> Student:
        """A student over `labels` without training: a sentence-transformers model (what `import_sentence_transformer`
        takes), or an ONNX file with its tokenizer.json, as a screener that needs no reasoner, or the stages of another
        student, given its directory or name.

        Labels are a list of texts or of (id, text), a dictionary from ids to texts or to records of "text", "aliases"
        and "descriptions", a data frame, a file, or a `LabelSet`. Queries are pairs of a text and the id or text of its
        label (or a list of these), a data frame or a file, or `Query`s, whose targets count the labels. `reading` says
        of a model how many dimensions its vectors keep and how it pools, where that is to be otherwise than by itself.

        >>> Student.from_encoder("wordnet", {"7544": "umbrella", "7702": "mousetrap"}, evaluation=[("rain", "7544")])
        Student(2 labels; ... parameters; queries: 1 evaluation)

        Raises `BadInput` where the encoder is neither, or queries do not fit the labels, before anything is loaded.
        """
        labels = as_label_set(labels)
        calibration = as_queries("calibration", calibration, labels)
        evaluation = as_queries("evaluation", evaluation, labels)
        if is_student(encoder):
            reading.refuse(OF_A_STUDENT)
            return load_student(encoder).with_labels(labels, calibration, evaluation)
        model = open_encoder(encoder, labels, reading)
        config = model.screener.config
        shapes = Shapes(
            max_tokens=config.max_tokens,
            query_dims=config.vector_dims,
            state_dims=config.state_dims,
            shortlist=SHORTLIST,
            label_tokens=LABEL_TOKENS,
            vocabulary=config.vocabulary,
        )
        return cls.from_modules(
            screener=model.screener,
            reasoner=ScreeningReasoner(),
            tokenizer=model.tokenizer,
            labels=labels,
            shapes=shapes,
            calibration=calibration,
            evaluation=evaluation,
            provenance=model.provenance,
            prompts=model.prompts,
        )

    def with_labels(
        self,
        labels: LabelSource,
        calibration: QuerySource = (),
        evaluation: QuerySource = (),
    ) -> Student:
        """The student over other labels, with the queries given, whose targets index the new labels.

        What was measured over the old labels is dropped, and the provenance says that the modules were trained over
        others. Raises `BadInput` for queries that do not fit the labels.
        """
        labels = as_label_set(labels)
        fitted = check_tokens("calibration", as_queries("calibration", calibration, labels), self.tokenizer)
        judged = check_tokens("evaluation", as_queries("evaluation", evaluation, labels), self.tokenizer)
        bare = replace(self, labels=labels, calibration=(), evaluation=())
        return replace(bare, calibration=fitted, evaluation=judged)

    def with_calibration(self, path: str | os.PathLike[str]) -> Student:
        """The student with the queries of a file to calibrate on: in the raw layout, where targets index its labels, or
        a table (`edgexl.data.tables.queries`). Raises `BadInput` where they do not fit the labels, or are among the
        queries that it is evaluated on."""
        queries = read_any_queries(path, LabelNames.of(self.labels.ids, self.labels.texts), len(self.labels))
        judged = {query.text for query in self.evaluation}
        if known := next((query for query in queries if query.text in judged), None):
            raise BadInput(f"{known.name(path)} is also one to evaluate on, where nothing may be fitted; leave it out.")
        return replace(self, calibration=check_tokens("calibration", queries, self.tokenizer))

    def save(self, directory: str | os.PathLike[str], labels_from: str | None = None) -> None:
        """Write the student's directory as one step, replacing an older student there. Other files there stay.

        With `labels_from`, a name that `edgexl.data.built_labels` builds just these labels by, the directory holds
        that name instead of them, and of the held-out queries what `hide_texts` leaves.

        Only built-in modules can be saved, for a directory that named other code would have to run it on loading:
        raises `BadInput` for a student whose modules are the user's own (such a student can be compiled as it is).
        """
        tower = self.label_tower
        about = StudentFile(
            format="edgexl student",
            version=FORMAT_VERSION,
            shapes=self.shapes,
            screener=describe_module(self.screener, list_screeners(), "screener"),
            reasoner=describe_module(self.reasoner, REASONERS, "reasoner"),
            labels_sha256=self.labels.sha256(),
            products=tuple(self.maps),
            provenance=self.provenance,
            metrics=self.metrics,
            label_tower=TowerEntry(tower.source, tower.weights_sha256, tower.width) if tower else None,
            labels_from=labels_from,
            prompts=self.prompts or None,
        )
        target = Path(directory)
        refuse_foreign_directory(target)
        with write_directory(target, _FILES) as staging:
            weights = {f"screener.{name}": value for name, value in self.screener.state_dict().items()}
            weights |= {f"reasoner.{name}": value for name, value in self.reasoner.state_dict().items()}
            if tower is not None:
                weights[PROJECTION] = tower.projection
            write_weights(staging / "model.safetensors", weights, self.maps)
            write_text(staging / "tokenizer.json", self.tokenizer.to_str())
            if labels_from is None:
                self.labels.save(staging / LABELS_FILE)
            for name, queries in zip(QUERY_FILES, (self.calibration, self.evaluation), strict=True):
                write_queries(staging / name, queries if labels_from is None else hide_texts(labels_from, queries))
            text = json.dumps(about.as_json(), indent=1, ensure_ascii=False)
            write_text(staging / "student.json", text + "\n")


def load_student(source: str | bytes | os.PathLike[str], progress: Progress = no_progress) -> Student:
    """Load a student from a directory, or one that edgexl ships by its name (`available_students`).

    Weights come back in fp32, modules in evaluation mode. `progress` is told where labels are built first, which takes
    a download of a package and half a minute the first time, for a student that names them. Raises `BadInput` where
    anything is missing, contradicts another part, or is not what student.json says.
    """
    directory = _locate(source)
    about = read_student_file(directory / "student.json")
    shapes = read_shapes(directory / "model.safetensors")
    towers = (PROJECTION, PROJECTION + SCALE)
    strays = [name for name in shapes if not name.startswith(("screener.", "reasoner.")) and name not in towers]
    if strays:
        raise BadInput(f"{directory}/model.safetensors holds the unknown tensor '{strays[0]}'.")
    check_tower(about.label_tower, about.shapes.query_dims, shapes, directory)
    plans = {
        role: plan_module(entry, known, role, shapes, about.products, directory)
        for role, entry, known in (
            ("screener", about.screener, list_screeners()),
            ("reasoner", about.reasoner, REASONERS),
        )
    }
    labels, calibration, evaluation = read_data(directory, about, progress)
    weights, maps = read_weights(directory / "model.safetensors", about.products)
    screener, reasoner = (build_module(plan, role, weights, directory) for role, plan in plans.items())
    entry = about.label_tower
    try:
        return Student.from_modules(
            screener=screener,
            reasoner=reasoner,
            tokenizer=read_tokenizer(directory / "tokenizer.json"),
            labels=labels,
            shapes=about.shapes,
            calibration=calibration,
            evaluation=evaluation,
            provenance=about.provenance,
            metrics=about.metrics,
            maps=maps,
            label_tower=LabelTower(entry.source, entry.weights_sha256, weights[PROJECTION]) if entry else None,
            prompts=about.prompts or NO_PROMPTS,
        )
    except BadInput as error:
        raise BadInput(str(error) if str(directory) in str(error) else f"{directory}: {error}") from None


def is_student(source: str | bytes | os.PathLike[str]) -> bool:
    """Whether `load_student` knows a directory or a name; others are an encoder's."""
    name = os.fsdecode(as_path("The student", source))
    return find_student(name) is not None


def _locate(source: str | bytes | os.PathLike[str]) -> Path:
    name = os.fsdecode(as_path("The student", source))
    directory = settle_directory(name, _FILES)
    if (directory / "student.json").is_file():
        return directory
    shipped = available_students()
    if name in shipped:
        return shipped[name]
    if directory.is_dir():
        raise BadInput(f"{directory} is not a student: it has no student.json; distill one or import a model first.")
    names = ", ".join(shipped) or "none"
    raise BadInput(f"There is no student '{name}': neither a directory, nor one of the shipped ones ({names}).")


def _relabel(provenance: dict[str, Any], labels_sha256: str) -> dict[str, Any]:
    """The provenance of modules that were trained over the labels of this hash and serve others now."""
    return provenance if "trained_over" in provenance else {"trained_over": labels_sha256, "training": provenance}
