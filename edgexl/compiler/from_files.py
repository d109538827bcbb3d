"""From files to a bundle: labels, perhaps queries, and an encoder become a student, which is compiled.

Nothing has to be there but the labels and an encoder: what is missing has a default, and the default is said. All that
can be refused is looked at before anything that takes long, and is refused together.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgexl.base.errors import BadInput, SeveralFaults
from edgexl.base.files import check_input, check_output
from edgexl.base.progress import Progress, no_progress
from edgexl.base.shipped import find_student
from edgexl.compiler.encoding.open_workers import check_workers
from edgexl.compiler.from_labels import RECIPE, TARGET, compile_held_out, held_out_for, make_student, recipe_for
from edgexl.compiler.recipe import Recipe, load_recipe
from edgexl.data import Query
from edgexl.data.held_out import HeldOut
from edgexl.data.label_set import LabelSet
from edgexl.data.tables.labels import LabelTable, read_labels
from edgexl.data.tables.queries import LabelNames, QueryTable, read_query_table
from edgexl.data.tables.roles import Wanted
from edgexl.student.importing.sources import check_source
from edgexl.student.reading import AS_IT_IS, OF_A_STUDENT, EncoderReading
from edgexl.target import Target, load_target

if TYPE_CHECKING:
    from edgexl.compiler.pipeline import CompileReport
    from edgexl.student.student import Student

_T = TypeVar("_T")


@dataclass(frozen=True)
class Sources:
    """What someone has: a file of `labels`, an `encoder` (a model that can be imported, or a student's name or
    directory), perhaps a file of `queries`. `columns`, `query_text` and `query_labels` say which column is what,
    `language` which texts of a thesaurus are taken; what is left out is guessed. `reading`: how the encoder is read."""

    labels: Path
    encoder: str
    queries: Path | None = None
    columns: Wanted = field(default_factory=Wanted)
    query_text: str | None = None
    query_labels: tuple[str, ...] = ()
    language: str | None = None
    reading: EncoderReading = AS_IT_IS


@dataclass(frozen=True)
class Read:
    """The labels and, where there is a file of them, the queries of sources."""

    sources: Sources
    labels: LabelSet
    label_table: LabelTable
    query_table: QueryTable | None

    @property
    def queries(self) -> tuple[Query, ...]:
        """None where there is no file of them."""
        return () if self.query_table is None else self.query_table.queries

    def sentences(self) -> list[str]:
        """What was understood, a line a file, and what was decided on the way."""
        said = [f"{len(self.labels):,} labels: {self.label_table.columns.sentence()}"]
        said += [f"{self.sources.labels}: {note}" for note in self.label_table.notes]
        if self.query_table is not None:
            said.append(f"{len(self.query_table.queries):,} queries: {self.query_table.columns.sentence()}")
            said += [f"{self.sources.queries}: {note}" for note in self.query_table.notes]
        return said


class Faults:
    """Collects what is wrong, so that all of it can be said at once."""

    def __init__(self) -> None:
        self.found: list[BadInput] = []

    def attempt(self, make: Callable[[], _T]) -> _T | None:
        """What `make` makes; None where it raises `BadInput`, which is kept."""
        try:
            return make()
        except BadInput as fault:
            self.found.append(fault)
            return None

    def settle(self) -> None:
        """Raise what was found: `BadInput`, or `SeveralFaults` where that is more than one."""
        if len(self.found) > 1:
            raise SeveralFaults([str(fault) for fault in self.found])
        if self.found:
            raise self.found[0]


def read_sources(sources: Sources, faults: Faults) -> Read | None:
    """Read the files, and look whether the encoder can be one by its name; None where something is wrong, which
    `faults` know then."""
    faults.attempt(lambda: check_source(sources.encoder))
    if find_student(sources.encoder) is not None:
        faults.attempt(lambda: sources.reading.refuse(OF_A_STUDENT))
    table = faults.attempt(lambda: read_labels(sources.labels, sources.columns, sources.language))
    labels = None if table is None else faults.attempt(table.label_set)
    queries, asked = None, sources.queries
    if asked is not None and table is not None:
        names = LabelNames.of(table.ids, table.texts)
        queries = faults.attempt(lambda: read_query_table(asked, names, sources.query_text, sources.query_labels))
        if queries is not None and labels is not None:  # a row that is no label has queries that name none
            faults.attempt(queries.all)
    elif asked is not None:
        faults.attempt(lambda: check_input(asked))
    return None if table is None or labels is None else Read(sources, labels, table, queries)


@dataclass(frozen=True)
class Checked:
    """Sources that were read, with the recipe and the target that they are compiled by."""

    read: Read
    held_out: HeldOut
    recipe: Recipe
    target: Target
    default_recipe: bool = False

    @property
    def sources(self) -> Sources:
        """What was read."""
        return self.read.sources

    @property
    def labels(self) -> LabelSet:
        """The label set."""
        return self.read.labels

    @property
    def label_table(self) -> LabelTable:
        """What the file of labels was understood to be."""
        return self.read.label_table

    @property
    def query_table(self) -> QueryTable | None:
        """What the file of queries was understood to be."""
        return self.read.query_table

    def sentences(self) -> list[str]:
        """What was understood, a line a file, and what the figures are measured on."""
        return [*self.read.sentences(), self.held_out.about["measured_on"]]

    def as_json(self) -> dict[str, Any]:
        """The keys `labels_file`, `queries_file` (null without one) and `held_out` of `compile --json`."""
        labels, queries = self.label_table, self.query_table
        return {
            "labels_file": {
                "data": str(self.sources.labels),
                "format": labels.table.format,
                **labels.table.details,
                "labels": len(self.labels),
                "understood": labels.columns.sentence(),
                "notes": list(labels.notes),
            },
            "queries_file": queries
            and {
                "data": str(self.sources.queries),
                "format": queries.table.format,
                **queries.table.details,
                "queries": len(queries.queries),
                "understood": queries.columns.sentence(),
                "notes": list(queries.notes),
            },
            "held_out": self.held_out.about,
        }


def check_sources(
    sources: Sources,
    out: str | os.PathLike[str],
    recipe: Recipe | str | os.PathLike[str] | None = None,
    target: Target | str | os.PathLike[str] = TARGET,
    workers: str = "local",
) -> Checked:
    """Read the files and look at all the rest, but load no model. Raises `BadInput`, or `SeveralFaults` where more than
    one thing is wrong."""
    faults = Faults()
    faults.attempt(lambda: check_output(out))
    faults.attempt(lambda: check_workers(workers))
    chosen = faults.attempt(lambda: recipe if isinstance(recipe, Recipe) else load_recipe(Path(recipe or RECIPE)))
    device = faults.attempt(lambda: target if isinstance(target, Target) else load_target(Path(target)))
    read = read_sources(sources, faults)
    faults.settle()
    assert chosen is not None
    assert device is not None
    assert read is not None
    held_out = held_out_for(sources.encoder, read.labels, read.queries)
    return Checked(read, held_out, recipe_for(chosen, held_out), device, recipe is None)


def student_of(checked: Checked, progress: Progress = no_progress) -> tuple[Student, Recipe]:
    """The student and the recipe that `compile_sources` compiles. Raises `BadInput` where the encoder cannot be had or
    does not fit."""
    return make_student(
        checked.labels,
        checked.sources.encoder,
        checked.held_out,
        checked.recipe,
        progress,
        checked.default_recipe,
        checked.sources.reading,
    )


def compile_sources(
    checked: Checked, out: str | os.PathLike[str], progress: Progress = no_progress, workers: str = "local"
) -> CompileReport:
    """Compile what `check_sources` has read, and write the bundle to `out`. Raises `BadInput` where the encoder cannot
    be had or does not fit, `GateFailed` as `compile` does."""
    return compile_held_out(
        checked.labels,
        checked.sources.encoder,
        checked.held_out,
        checked.recipe,
        checked.target,
        out,
        progress,
        workers,
        fit_codes=checked.default_recipe,
        reading=checked.sources.reading,
    )
