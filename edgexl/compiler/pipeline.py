"""The flow on one page: a student goes through a flat list of passes and comes out as a bundle.

    student --export--> two ONNX graphs --encode--> label vectors --build index--> codes, graphs in their space
            --index words--> the lexical side --quantize--> --blend--> --calibrate--> probabilities, threshold
            --lower--> plans (native engine only) --pack--> sections --verify--> the C runtime's answers;
            and a manifest makes them a bundle

Gates judge after each step; each step appends its row to the ledger.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from edgexl.base.errors import BadInput, GateFailed
from edgexl.base.files import check_output
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.write import bundle_bytes, write_bundle
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.base import Base, keep_order, read_base
from edgexl.compiler.encoding.encode import encode_labels
from edgexl.compiler.encoding.open_workers import open_workers
from edgexl.compiler.encoding.workers import Workers
from edgexl.compiler.manifest import add_manifest
from edgexl.compiler.measure.costs import Meter, choose_meter
from edgexl.compiler.measure.gates import Verdict, accuracy_gates, calibration_gate, score_gates
from edgexl.compiler.measure.ledger import LedgerRow
from edgexl.compiler.measure.yardstick import Yardstick
from edgexl.compiler.passes.build_index import BuildIndex
from edgexl.compiler.passes.calibrate import Calibrate, calibration_queries
from edgexl.compiler.passes.declaration import Pass, run_pass
from edgexl.compiler.passes.encode import Encode
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.fit_blend import FitBlend
from edgexl.compiler.passes.index_words import IndexWords
from edgexl.compiler.passes.lower import Lower
from edgexl.compiler.passes.pack import Pack
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.passes.read_windows import ReadWindows
from edgexl.compiler.passes.verify import Verify
from edgexl.compiler.passes.weigh import Weigh
from edgexl.compiler.recipe import Recipe, VocabularyRecipe, load_recipe
from edgexl.data import Query
from edgexl.data.frequent_words import read_frequent_words
from edgexl.index.rows import Descriptions, Rows
from edgexl.report.ledger import gates_table, ledger_table
from edgexl.report.summary import Shown, Summary, quote, say_count
from edgexl.report.table import Cell, Table, format_bytes
from edgexl.student.cut import cut_vocabulary
from edgexl.student.layers import keep_layers
from edgexl.student.student import Student, load_student
from edgexl.target import Target, load_target


@dataclass(frozen=True, repr=False)
class CompileReport(Shown):
    """What a compile made: the bundle's `path` and `bytes`, those of each section, the ledger with seconds, the gates.

    `seconds` is the whole compile, with what measuring the ledger took; `facts` are what the passes found out, as the
    manifest has it; `queries` are those that the ledger was measured on.
    """

    path: Path
    bytes: int
    sections: dict[str, int]
    ledger: tuple[LedgerRow, ...]
    gates: tuple[Verdict, ...]
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    queries: tuple[Query, ...] = ()

    def _summary(self) -> Summary:
        last = self.ledger[-1].as_json()
        measured = [f"{key} {last[key]:.1f}" for key in ("P@1", "R@100") if last[key] is not None]
        passed = sum(gate.passed for gate in self.gates)
        said = [format_bytes(self.bytes), *measured]
        said += [f"{passed} of {say_count(len(self.gates), 'gate')} passed"] * bool(self.gates)
        facts: dict[str, Cell] = {"file": str(self.path), "size": format_bytes(self.bytes), "seconds": self.seconds}
        if told := dict(self.facts.get("held_out") or {}).get("measured_on"):
            facts["measured on"] = str(told)
        sections = Table("sections", ("section", "bytes"), list(self.sections.items()))
        gates = gates_table([gate.as_json() for gate in self.gates], "gates")
        return Summary(
            f"{quote(self.path.name)}: {', '.join([*said, f'{self.seconds:.1f} s'])}",
            facts,
            (ledger_table([row.as_json() for row in self.ledger], "what each pass cost"),),
            (*((gates,) if self.gates else ()), sections),
        )


def compile(
    student: Student | str | os.PathLike[str],
    recipe: Recipe | str | os.PathLike[str],
    target: Target | str | os.PathLike[str],
    out: str | os.PathLike[str],
    progress: Progress | None = None,
    workers: str = "local",
    facts: Mapping[str, Any] | None = None,
    meter: Meter | None = None,
    base: str | os.PathLike[str] | None = None,
) -> CompileReport:
    """Compile a student for a target by a recipe, and write the bundle to `out`.

    Each of the three may be given as an object, a path, or the name of one that edgexl ships. Raises `BadInput` when
    they do not fit each other, `GateFailed` when a gate judges the product to be below its threshold; `out` is not
    touched then. `progress` is told of each pass by its name, and of what the ledger measures as "measure" and its
    name. `workers` encode the labels: "local" (all cores), a number of threads, "ray", or "ray://HOST:PORT"; the bundle
    is the same. `facts` are for the manifest, beside what the passes find out. `meter` tells what gates on times and
    memory judge (`edgexl.compiler.measure.costs`): by default it is chosen for the target. `base` is an older bundle,
    whose labels' order, space and codes are kept as far as the student and the recipe allow (`edgexl.compiler.base`).
    """
    began = time.perf_counter()
    student = student if isinstance(student, Student) else load_student(student, progress or no_progress)
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(Path(recipe))
    target = target if isinstance(target, Target) else load_target(Path(target))
    path, crew = Path(out), open_workers(workers)
    check_output(path)
    older = None if base is None else read_base(base)
    if older is not None:
        student = keep_order(student, older)

    # Sums that several BLAS threads share come out another way for each number of them; and the passes that take long
    # run threads of their own, which more threads inside only hinder.
    with threadpool_limits(1, "blas"):
        artifact = begin(student, recipe, target)
        artifact = dataclasses.replace(artifact, facts=artifact.facts | dict(facts or {}))
        artifact = run_passes(artifact, path, crew, progress or no_progress, meter, older)

    file_bytes = write_bundle(path, artifact.sections)
    sections = {kind.name.lower(): len(content) for kind, content in sorted(artifact.sections.items())}
    seconds = time.perf_counter() - began
    return CompileReport(
        path, file_bytes, sections, artifact.ledger, artifact.verdicts, seconds, artifact.facts,
        artifact.student.evaluation[: recipe.gates.queries],
    )  # fmt: skip


def run_passes(
    artifact: Artifact,
    out: Path,
    workers: Workers,
    progress: Progress = no_progress,
    meter: Meter | None = None,
    base: Base | None = None,
) -> Artifact:
    """All passes in order, the ledger and the accuracy gates with them. The bundle is not written to `out`, but lies
    beside it while it is queried, and timed by `meter`."""
    recipe, threads, quantize = artifact.recipe, workers.threads, Quantize(artifact.recipe, artifact.target)
    passes: list[Pass] = [
        Export(),
        Encode(recipe.index, quantize, workers, partial(progress, "encode")),
        BuildIndex(recipe.index, threads, base),
        IndexWords(recipe.index, threads),
        quantize,
        ReadWindows(recipe.shortlist, threads),
        FitBlend(recipe, threads, partial(progress, "blend")),
        Calibrate(recipe.calibrate, threads, partial(progress, "calibrate")),
        Lower(),
        Pack(threads, base),
        Verify(out, threads, partial(progress, "verify")),
    ]
    if recipe.gates.on_costs:
        passes.append(Weigh(out, meter or choose_meter(artifact.target)))
    waiting: list[Stage] = []
    for step in passes:
        progress(step.name, 0, 1)
        began = time.perf_counter()
        with _telling(artifact):
            artifact = run_pass(step, artifact)
        waiting.append(Stage(step, time.perf_counter() - began, artifact))
        if not step.tells:
            progress(step.name, 1, 1)
        # What the passes before cost can be told as soon as there are label vectors to search.
        if artifact.has("vectors"):
            artifact = with_rows(artifact, waiting, workers, progress)
            waiting = []
        if step.judged:  # the last judgement of a gate stands
            reasons = artifact.reasoner is not None
            verdicts = {verdict.name: verdict for verdict in artifact.verdicts}
            with _telling(artifact):
                found = accuracy_gates(recipe.gates, artifact.ledger, reasons)
            verdicts |= {verdict.name: verdict for verdict in found}
            artifact = dataclasses.replace(artifact, verdicts=tuple(verdicts.values()))
    with _telling(artifact):
        found = score_gates(recipe.gates, artifact.ledger)
        found += calibration_gate(recipe.gates, artifact.facts["calibration"])
        return add_manifest(dataclasses.replace(artifact, verdicts=artifact.verdicts + found))


@contextmanager
def _telling(artifact: Artifact) -> Iterator[None]:
    """A gate that fails in the block tells what was measured until then."""
    try:
        yield
    except GateFailed as failed:
        failed.ledger = [row.as_json() for row in artifact.ledger]
        known = {verdict.name: verdict.as_json() for verdict in artifact.verdicts}
        failed.gates = list((known | {str(each["name"]): each for each in failed.gates}).values())
        raise


def begin(student: Student, recipe: Recipe, target: Target) -> Artifact:
    """The artifact before the first pass. Raises `BadInput` when the recipe cannot be met by any compile of the
    student.
    """
    gated = recipe.gates.p_at_1_kept > 0 or recipe.gates.r_at_100_kept > 0 or recipe.gates.min.limits
    if gated and not student.evaluation:
        raise BadInput(
            "The recipe has gates on accuracy, but the student no evaluation queries; give it some, "
            "or set [gates] to 0."
        )
    calibration_queries(student, recipe.calibrate)  # not after encoding all labels
    student = dataclasses.replace(
        student,
        screener=keep_layers(student.screener, recipe.screener.layers, "screener"),
        reasoner=keep_layers(student.reasoner, recipe.reasoner.layers, "reasoner"),
    )
    student, cut = _cut_vocabulary(student, recipe.vocabulary)
    # As many places as it says, also over fewer labels: a device may add some.
    shortlist = recipe.shortlist.n or student.shapes.shortlist
    shapes = dataclasses.replace(student.shapes, shortlist=shortlist)
    index = recipe.index
    form: Descriptions = "joined" if index.descriptions == "auto" else index.descriptions
    prompt = student.prompts.label
    rows = Rows.of(student.labels, student.tokenizer, shapes.max_tokens, index.aliases, form, prompt)
    if not rows.descriptions:
        return Artifact(student, recipe, target, shapes, rows, facts=cut)
    student, facts = _without_descriptions(student)
    return Artifact(student, recipe, target, shapes, rows, facts=cut | facts)


def _cut_vocabulary(student: Student, recipe: VocabularyRecipe) -> tuple[Student, dict[str, Any]]:
    """The student with the word pieces that the recipe keeps, and what the manifest tells of it."""
    words = [word for language in recipe.languages for word in read_frequent_words(language, recipe.words)]
    student, about = cut_vocabulary(student, recipe.keep, words)
    if about and recipe.languages:
        about["vocabulary"]["languages"] = list(recipe.languages)
    return student, about


def _without_descriptions(student: Student) -> tuple[Student, dict[str, Any]]:
    """The student without those held-out queries that are a description of one of their labels word for word, which is
    found at once and says nothing of other texts; how many those are, for the manifest. Raises `BadInput` where most
    of them are."""
    described = [frozenset(texts) for texts in student.labels.descriptions]

    def is_other(query: Query) -> bool:
        return not any(query.text in described[target] for target in query.targets)

    held_out = {"calibration": student.calibration, "evaluation": student.evaluation}
    kept = {split: tuple(filter(is_other, queries)) for split, queries in held_out.items()}
    for split, queries in held_out.items():
        if 2 * len(kept[split]) < len(queries):
            raise BadInput(
                f"{len(queries) - len(kept[split])} of the student's {len(queries)} {split} queries are descriptions "
                "of their own labels word for word, so nothing can be measured on them; give it other queries, or "
                "leave those descriptions out."
            )
    gone = {split: len(queries) - len(kept[split]) for split, queries in held_out.items()}
    if not any(gone.values()):
        return student, {}
    student = dataclasses.replace(student, calibration=kept["calibration"], evaluation=kept["evaluation"])
    return student, {"queries_that_are_descriptions": gone}


@dataclass(frozen=True)
class Stage:
    """A pass that waits for its row of the ledger: how long it took, and what it made."""

    step: Pass
    seconds: float
    artifact: Artifact


def with_rows(artifact: Artifact, waiting: Sequence[Stage], workers: Workers, progress: Progress) -> Artifact:
    """The artifact with ledger rows for the passes that wait for one."""
    queries = artifact.student.evaluation[: artifact.recipe.gates.queries]
    ledger = list(artifact.ledger)
    vectors = artifact.vectors
    if len(waiting) > 1 and artifact.recipe.index.labels_from != "float":
        vectors = artifact.rows.vectors(encode_labels(artifact, workers))
    yardstick = Yardstick(queries, vectors, artifact.rows, workers.threads)
    for stage in waiting:
        name, made = stage.step.name, stage.artifact
        if stage.step.measured:
            accuracy = yardstick.measure(made, partial(progress, f"measure {name}"))
        else:
            accuracy = made.answered if made.has("answered") else ledger[-1].accuracy
        ledger.append(LedgerRow(name, stage.seconds, product_bytes(made, yardstick), accuracy))
    return dataclasses.replace(artifact, ledger=tuple(ledger))


def product_bytes(artifact: Artifact, yardstick: Yardstick) -> int:
    """Graphs and label vectors or codes; once there are sections, the file."""
    if artifact.has("sections"):
        return bundle_bytes({kind: len(content) for kind, content in artifact.sections.items()})
    graphs = len(artifact.graphs.screener) + len(artifact.reasoner or b"")
    if artifact.plans is not None:
        graphs = sum(len(part) for part in dataclasses.astuple(artifact.plans))
    if not artifact.has("index"):
        return graphs + yardstick.vectors.nbytes
    index = artifact.index
    return graphs + len(index.coarse) + len(index.fine) + index.codebook.nbytes
