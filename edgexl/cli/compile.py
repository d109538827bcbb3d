"""The command compile: a student, or a file of labels and an encoder, into a bundle."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgexl.base.errors import BadInput, GateFailed
from edgexl.base.progress import Progress
from edgexl.cli.budget import Budget, budget_options, print_budget, take_budget
from edgexl.cli.columns import label_columns, query_columns
from edgexl.cli.output import (
    check_page,
    command_line,
    json_option,
    print_gates,
    print_json,
    print_ledger,
    print_table,
    progress_bar,
    report_option,
)
from edgexl.cli.streams import print_line
from edgexl.student.reading import OF_A_STUDENT, EncoderReading, Pooling

if TYPE_CHECKING:
    from edgexl.compiler import CompileReport
    from edgexl.compiler.from_files import Checked
    from edgexl.compiler.recipe import Recipe
    from edgexl.device.device import Device
    from edgexl.student.student import Student
    from edgexl.target import Target

PATH = click.Path(path_type=Path)
# What files of labels are called: a name that is no student's is then explained as one.
_FILES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".ttl", ".rdf", ".nt", ".gz")


@click.command("compile")
@click.argument("source", metavar="STUDENT|LABELS")
@click.option("--encoder", metavar="MODEL", help="Of LABELS: a sentence-transformers model, or a student's name.")
@click.option("--dims", type=int, metavar="N", help="Dimensions to keep of MODEL's vectors.  [default: all]")
@click.option("--pooling", metavar="mean|cls|max|...", help="How to pool MODEL's states.  [default: as it says]")
@click.option("--queries", type=PATH, help="Of LABELS: texts whose labels are known (CSV, JSON, ...).")
@click.option("--recipe", help="A name or path (see `edgexl recipes`).  [default: balanced, for LABELS labels]")
@click.option("--target", default="host", show_default=True, help="A name or path (see `edgexl targets`).")
@click.option("-o", "--out", type=PATH, help="The bundle to write.")
@click.option(
    "--vocabulary", metavar="auto|all|labels|N", help="Word pieces to keep: all, those that labels need, N in all."
)
@click.option("--word-lists", metavar="LANGUAGES", help="... and those of frequent words of languages: de,fr.")
@click.option("--dry-run", is_flag=True, help="Of a student: say what it would take, and compile nothing.")
@click.option(
    "--workers", default="local", show_default=True, help="Who encodes: local (all cores), a number, ray://HOST:PORT."
)
@click.option("--base", type=PATH, help="An older bundle to stay as like as can be, for a small `edgexl diff`.")
@click.option("--calibrate", type=PATH, help="Queries of your own to calibrate on, not the student's.")
@budget_options
@label_columns
@query_columns
@report_option
@json_option
def compile_student(
    source: str,
    encoder: str | None,
    dims: int | None,
    pooling: Pooling | None,
    queries: Path | None,
    recipe: str | None,
    target: str,
    out: Path | None,
    dry_run: bool,
    workers: str,
    base: Path | None,
    calibrate: Path | None,
    vocabulary: str | None,
    word_lists: str | None,
    page: Path | None,
    as_json: bool,
    **others: Any,
) -> None:
    """Compile a student, or labels with an encoder, into one bundle file.

    STUDENT is a directory, or a name such as 'wordnet'. LABELS is a file of labels: CSV, TSV, JSON, JSON lines,
    Parquet, plain text (a label a line) or a SKOS thesaurus.

    \b
    edgexl compile wordnet -o words.exl
    edgexl compile labels.csv --encoder all-MiniLM-L6-v2 -o tags.exl
    edgexl compile labels.csv --encoder wordnet --queries past.csv -o tags.exl
    edgexl compile wordnet -o words.exl --report words.html
    edgexl compile wordnet -o words.exl --max-ms 20 --max-size 25MB
    edgexl compile wordnet --target raspberry-pi-4 --dry-run
    """
    budget, columns, reading = take_budget(others), others, EncoderReading(dims, pooling)
    if encoder is None:
        reading.refuse(OF_A_STUDENT)
    if dry_run:
        _refuse_dry(encoder, out, page, bool(budget))
        _refuse_options(source, queries, columns)
        _predict(source, recipe or "balanced", target, as_json)
        return
    if out is None:
        raise click.UsageError("Missing option '-o' / '--out'.")
    check_page(page)
    if base is not None and budget:
        raise BadInput("--base is for one recipe, and a budget is a search among many; leave one of them out.")
    end = _End(out, workers, budget, page, as_json, base, _read_vocabulary(vocabulary, word_lists))
    if encoder is None:
        _refuse_options(source, queries, columns)
        _compile_student(source, recipe or "balanced", target, calibrate, end)
        return
    if calibrate is not None:
        raise BadInput("--calibrate is for a student that has queries; with --encoder give them as --queries.")
    from edgexl.compiler.from_files import Sources, check_sources, student_of
    from edgexl.data.tables.roles import Wanted

    wanted = Wanted(columns["id"], columns["text"], columns["aliases"], columns["descriptions"])
    sources = Sources(
        Path(source), encoder, queries, wanted, columns["query_text"], columns["query_labels"], columns["language"],
        reading,
    )  # fmt: skip
    checked = check_sources(sources, out, recipe, target, workers)
    if not as_json:
        for sentence in checked.sentences():
            print_line(sentence)
        print_line()
    end.compile(lambda progress: student_of(checked, progress), checked.target, checked.as_json(), _about(checked))


def _read_vocabulary(keep: str | None, word_lists: str | None) -> dict[str, Any]:
    """What the options say of a recipe's [vocabulary]. Raises `BadInput`."""
    said: dict[str, Any] = {}
    if keep is not None:
        if keep not in ("auto", "all", "labels") and not (keep.isdecimal() and int(keep) > 0):
            raise BadInput(f"--vocabulary is '{keep:.20}'; it must be auto, all, labels or a number of word pieces.")
        said["keep"] = int(keep) if keep.isdecimal() else keep
    if word_lists is not None:
        said["languages"] = tuple(word_lists.split(","))
        if keep == "all":
            raise BadInput("--word-lists says which word pieces are kept; with --vocabulary all leave it out.")
    return said


def _with_vocabulary(
    load: Callable[[Progress], tuple[Student, Recipe]], said: dict[str, Any], progress: Progress
) -> tuple[Student, Recipe]:
    student, recipe = load(progress)
    return student, replace(recipe, vocabulary=replace(recipe.vocabulary, **said))


def _about(checked: Checked) -> dict[str, Any]:
    """What the manifest says of files."""
    return {"held_out": checked.held_out.about}


def _compile_student(student: str, recipe: str, target: str, calibrate: Path | None, end: _End) -> None:
    from edgexl.base.files import check_output
    from edgexl.compiler.recipe import load_recipe
    from edgexl.target import load_target

    check_output(end.out)
    # both are read before the student, which takes seconds: a misspelt key should not wait for it
    chosen_recipe, chosen_target = load_recipe(recipe), load_target(target)

    def load(progress: Progress) -> tuple[Student, Recipe]:
        from edgexl import load_student

        progress("load the student", 0, 1)
        loaded = load_student(student, progress)
        if calibrate is not None:
            loaded = loaded.with_calibration(calibrate)
        progress("load the student", 1, 1)
        return loaded, chosen_recipe

    end.compile(load, chosen_target, {}, {})


@dataclass(frozen=True)
class _End:
    """What is done with a student once it is there."""

    out: Path
    workers: str
    budget: Budget
    page: Path | None
    as_json: bool
    base: Path | None
    vocabulary: dict[str, Any]

    def compile(
        self,
        load: Callable[[Progress], tuple[Student, Recipe]],
        target: Target,
        files: dict[str, Any],
        facts: dict[str, Any],
    ) -> None:
        """Compile and tell of it; `files` are for the JSON, `facts` for the manifest."""
        from edgexl import compile
        from edgexl.compiler.measure.costs import choose_meter

        if self.vocabulary:
            load = partial(_with_vocabulary, load, self.vocabulary)
        if self.budget:
            self._search(load, target, files, facts)
            return
        with contextlib.ExitStack() as stack:
            progress = stack.enter_context(progress_bar(self.as_json))
            meter, device = None, self._open_device(stack, progress)
            student, recipe = load(progress)
            if device is not None:
                if not recipe.gates.on_costs:
                    raise BadInput(
                        "--device is where a budget or a recipe's gates on time are measured; give --max-ms, say."
                    )
                meter = choose_meter(target, device)
            try:
                report = compile(student, recipe, target, self.out, progress, self.workers, facts, meter, self.base)
            except GateFailed as failed:
                self._tell_failed(failed)
                raise
            _write_page(report, self.page, progress)
        _tell(report, self.out, self.as_json, files)

    def _open_device(self, stack: contextlib.ExitStack, progress: Progress) -> Device | None:
        from edgexl.device.open_device import open_device

        name = self.budget.device
        return None if name is None else stack.enter_context(open_device(name, progress))

    def _tell_failed(self, failed: GateFailed) -> None:
        """The page of a compile that a gate stopped: what it measured until then is not lost."""
        if self.page is not None:
            from edgexl.use.reports.compile_page import write_stopped_report

            write_stopped_report(failed, self.out.name, self.page, command_line())

    def _search(
        self,
        load: Callable[[Progress], tuple[Student, Recipe]],
        target: Target,
        files: dict[str, Any],
        facts: dict[str, Any],
    ) -> None:
        from edgexl.use.budget.search import compile_to_budget, refuse
        from edgexl.use.reports.budget_page import write_budget_report

        limits = self.budget.limits(target)
        with contextlib.ExitStack() as stack:
            progress = stack.enter_context(progress_bar(self.as_json))
            device = self._open_device(stack, progress)
            student, recipe = load(progress)
            found = compile_to_budget(
                student, recipe, target, self.out, limits, device, progress, self.workers, facts
            )  # fmt: skip
            if self.page is not None:
                write_budget_report(found, self.page, command_line(), progress)
        if self.as_json:
            compiled = {} if found.report is None else _as_json(found.report, self.out)
            print_json({"budget": found.as_json(), **compiled, **files})
        else:
            print_budget(found, self.out)
        refuse(found)


def _refuse_dry(encoder: str | None, out: Path | None, page: Path | None, budget: bool) -> None:
    """Raise `BadInput` for what --dry-run does not take."""
    if budget:
        raise BadInput("--dry-run tells of one recipe, and a budget is a search among many; leave one of them out.")
    if encoder is not None:
        raise BadInput("--dry-run is for a student; labels with --encoder become one in the compile.")
    if out is not None or page is not None:
        raise BadInput(f"--dry-run writes nothing; leave out {'-o' if out is not None else '--report'}.")


def _predict(student: str, recipe: str, target: str, as_json: bool) -> None:
    from edgexl.compiler.recipe import load_recipe
    from edgexl.target import load_target

    chosen_recipe, chosen_target = load_recipe(recipe), load_target(target)
    from edgexl import load_student
    from edgexl.use.dry_run import dry_run

    with progress_bar(as_json) as progress:
        progress("load the student", 0, 1)
        found = dry_run(load_student(student, progress), chosen_recipe, chosen_target, progress)
    said, stages = found.prediction, found.prediction.stages | {"total": found.prediction.total}
    if as_json:
        ranges = {"bytes": found.size_bytes, "memory_bytes": said.memory_bytes, "load_ms": said.load}
        told: dict[str, Any] = {name: asdict(value) for name, value in ranges.items()}
        told |= {"sections": found.sections, "ms": {name: asdict(value) for name, value in stages.items()}}
        counted = {name: asdict(value) for name, value in (said.instructions or {}).items()}
        print_json(told | {"instructions": counted or None, "said": said.said})
        return
    rows = [(name, f"{each.low:.2f}", f"{each.middle:.2f}", f"{each.high:.2f}") for name, each in stages.items()]
    rows.append(("load", f"{said.load.low:.2f}", f"{said.load.middle:.2f}", f"{said.load.high:.2f}"))
    print_table(("ms", "low", "middle", "high"), rows)
    print_line()
    for name, each in (("size", found.size_bytes), ("memory", said.memory_bytes)):
        print_line(f"{name}: {each.middle / 1e6:.1f} MB ({each.low / 1e6:.1f} to {each.high / 1e6:.1f})")
    print_line(f"milliseconds: {said.said}")


def _write_page(report: CompileReport, page: Path | None, progress: Progress) -> None:
    if page is not None:
        from edgexl.use.reports.compile_page import write_compile_report

        write_compile_report(report, page, command_line(), progress)


def is_labels(source: str) -> bool:
    """Whether someone gave a file of labels, or what is called like one."""
    return Path(source).is_file() or (source.lower().endswith(_FILES) and not Path(source).is_dir())


def _refuse_options(source: str, queries: Path | None, columns: dict[str, Any]) -> None:
    """Raise `BadInput` for what only labels with an encoder take, and for labels without one."""
    if is_labels(source):
        raise BadInput(
            f"{source} is no student; where it is a file of labels, say which model encodes them: "
            "--encoder all-MiniLM-L6-v2, or a student's name or directory."
        )
    given = [f"--{name.replace('_', '-')}" for name, value in {"queries": queries, **columns}.items() if value]
    if given:
        raise BadInput(f"{given[0]} is for a file of labels; give one, and a model that encodes it: --encoder MODEL.")


def _tell(report: CompileReport, out: Path, as_json: bool, files: dict[str, Any]) -> None:
    if as_json:
        print_json(_as_json(report, out) | files)
        return
    print_ledger([row.as_json() for row in report.ledger])
    print_gates([gate.as_json() for gate in report.gates])
    if cut := report.facts.get("vocabulary"):
        print_line()
        print_line(
            f"{cut['pieces']:,} of {cut['of']:,} word pieces are kept; {cut['tokens_lost']:,} of the held-out queries' "
            f"{cut['held_out_tokens']:,} tokens lost, in {cut['texts_changed']:,} of {cut['held_out_texts']:,} texts"
        )
    for kind, left_out in report.facts.get("left_out", {}).items():
        print_line()
        print_line(
            f"{kind} taken out of the index one by one find their label first in {left_out['P@1']:.1f}% and in 100 in "
            f"{left_out['R@100']:.1f}% of {left_out['queries']:,} cases (exact search, without words)"
        )
    if found := report.facts["calibration"].get("cross_validated"):
        off, (low, high) = found["ECE"], found["ECE_interval"]
        print_line()
        print_line(
            f"first labels' probabilities are off by {off:.1%} on average (95%: {low:.1%} to {high:.1%}), each of the "
            f"{found['queries']:,} queries judged by a curve that the others fitted"
        )
    print_line()
    print_line(f"{out}: {report.bytes:,} bytes, in {report.seconds:.0f} s")


def _as_json(report: CompileReport, out: Path) -> dict[str, Any]:
    ledger = [row.as_json() for row in report.ledger]
    gates = [gate.as_json() for gate in report.gates]
    sizes = {**report.sections, "total": report.bytes}
    told = {"bundle": str(out), "bytes": sizes, "seconds": report.seconds, "ledger": ledger, "gates": gates}
    return told | {
        name: report.facts[name] for name in ("calibration", "left_out", "vocabulary") if name in report.facts
    }
