"""Commands that make things: distill, finish, adapt, runtime."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgexl.base.errors import BadInput
from edgexl.cli.columns import label_columns, query_columns
from edgexl.cli.output import json_option, print_json, print_table, progress_bar
from edgexl.cli.streams import print_line

if TYPE_CHECKING:
    from edgexl.compiler.from_files import Sources

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("source", metavar="RECIPE|LABELS")
@click.option("--encoder", metavar="MODEL", help="Of LABELS: what the student starts as, a model or a student's name.")
@click.option("--queries", type=PATH, help="Of LABELS: past queries whose labels are known (CSV, JSON, ...).")
@click.option("--minutes", type=float, help="How long it may take, where no recipe says the steps.  [default: 30]")
@click.option("-o", "--out", type=PATH, help="The student's directory to write.  [default: the recipe's name here]")
@click.option("--bundle", type=PATH, help="Then compile the student into this file, for this machine.")
@click.option("--bundle-recipe", default="balanced", show_default=True, help="What --bundle is compiled by.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: the GPU where there is one.")
@click.option("--fresh", is_flag=True, help="Begin anew, and drop an unfinished run of the same OUT.")
@label_columns
@query_columns
@json_option
def distill(
    source: str,
    encoder: str | None,
    queries: Path | None,
    minutes: float | None,
    out: Path | None,
    bundle: Path | None,
    bundle_recipe: str,
    device: str,
    fresh: bool,
    as_json: bool,
    **columns: Any,
) -> None:
    """Distill a student, of a recipe or of labels and past queries.

    LABELS is a file of labels, as `edgexl compile` takes it: the recipe is then made, shown and written to
    OUT/recipe.toml, to be edited. RECIPE is such a file, or a shipped recipe's name (see `edgexl recipes`). Both take
    minutes to hours, may be interrupted at any moment, and go on with the same command. With --bundle it ends with a
    file that answers, as `edgexl compile OUT` makes it.

    \b
    edgexl distill labels.csv --queries past.csv --encoder all-MiniLM-L6-v2 -o s
    edgexl distill s/recipe.toml -o s2 --bundle tags.exl
    edgexl distill wordnet-micro
    """
    from edgexl.base.files import check_output
    from edgexl.compiler.recipe import load_recipe
    from edgexl.distill.choosing.check import MINUTES, check_files

    if bundle is not None:
        check_output(bundle)
        load_recipe(bundle_recipe)
    # before PyTorch is there: threads that spin while they wait slow a busy machine down tenfold
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from edgexl.distill.processes import rank

    say = partial(print_line, err=True)
    if encoder is None and queries is None:
        path = _find_recipe(source, columns)
        directory = out or Path(path.stem)
        from edgexl.distill.choosing.run import describe, distil_recipe

        with progress_bar(as_json) as progress, _going_on(say):
            student = distil_recipe(path, directory, progress, say, device, fresh, minutes)
    else:
        if encoder is None:
            raise BadInput("Say what the student starts as: --encoder all-MiniLM-L6-v2, or a student's name.")
        if out is None:
            raise BadInput("Say where the student is to be written: -o DIRECTORY.")
        directory = out
        checked = check_files(
            _sources(source, encoder, queries, columns), out, MINUTES if minutes is None else minutes, device, fresh
        )
        from edgexl.distill.choosing.run import describe, distil_files

        if not as_json:
            for sentence in checked.read.sentences():
                say(sentence)
            if checked.resumed:
                say(f"an unfinished run in {checked.work} goes on")
        with progress_bar(as_json) as progress, _going_on(say):
            student = distil_files(checked, progress, say, device, None if as_json else _show_recipe)
    if rank():  # of several processes the first one tells of it
        return
    made: dict[str, Any] = {"student": str(directory), "labels": len(student.labels), "metrics": student.metrics}
    if bundle is not None:
        from edgexl.compiler.pipeline import compile

        with progress_bar(as_json) as progress:
            report = compile(student, bundle_recipe, "host", bundle, progress)
        sizes = {**report.sections, "total": report.bytes}
        made |= {"bundle": str(bundle), "bytes": sizes, "ledger": [row.as_json() for row in report.ledger]}
    if as_json:
        print_json(made)
        return
    _print_systems(describe(student), student.metrics.get("evaluation", {}).get("queries", 0))
    following = f"`edgexl compile {directory}` comes next"
    if bundle is not None:
        following = f"compiled into {bundle}, {made['bytes']['total']:,} bytes"
    print_line(f"{directory}: a student for {len(student.labels):,} labels; {following}")


@contextmanager
def _going_on(say: Callable[[str], None]) -> Iterator[None]:
    """Says on Ctrl-C that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        say("the same command goes on from here")
        raise


def _find_recipe(source: str, given: dict[str, Any]) -> Path:
    """The recipe's file. Raises `BadInput` for a file of labels, and for what only such a file takes."""
    from edgexl.cli.compile import is_labels
    from edgexl.distill.recipe import find_distill_recipe

    if is_labels(source) and not source.endswith(".toml"):
        raise BadInput(
            f"{source} is no recipe; where it is a file of labels, say which model the student starts as, and give "
            "past queries: --encoder all-MiniLM-L6-v2 --queries FILE."
        )
    for name, value in given.items():
        if value:
            raise BadInput(f"--{name.replace('_', '-')} is for a file of labels; a recipe says all that itself.")
    return find_distill_recipe(source)


def _sources(source: str, encoder: str, queries: Path | None, columns: dict[str, Any]) -> Sources:
    from edgexl.compiler.from_files import Sources
    from edgexl.data.tables.roles import Wanted

    wanted = Wanted(columns["id"], columns["text"], columns["aliases"], columns["descriptions"])
    return Sources(
        Path(source), encoder, queries, wanted, columns["query_text"], columns["query_labels"], columns["language"]
    )


def _show_recipe(path: Path) -> None:
    print_line(f"the recipe ({path}):", err=True)
    for line in path.read_text(encoding="utf-8").splitlines():
        print_line(f"  {line}".rstrip(), err=True)


def _print_systems(systems: dict[str, dict[str, float]], queries: int) -> None:
    """Each system's figures on the same queries."""
    if not systems:
        return
    names = [name for name in ("P@1", "R@10", "R@100") if all(name in values for values in systems.values())]
    print_line(f"on {queries:,} queries that nothing was fitted on:")
    print_table(("", *names), ((name, *(values[key] for key in names)) for name, values in systems.items()))
    print_line()


@click.command()
@click.argument("student")
@click.option(
    "--data", "source", required=True, help="The data set that it was trained on: wordnet, mesh or a directory."
)
@click.option("--recipe", required=True, help="The compile recipe to finish it for (see `edgexl recipes`).")
@click.option("--target", default="host", show_default=True, help="The target that it will be compiled for.")
@click.option("-o", "--out", required=True, type=PATH, help="The directory to write.")
@click.option("--steps", type=click.IntRange(min=1), default=300, show_default=True, help="Training steps a stage.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: the GPU where there is one.")
@json_option
def finish(
    student: str, source: str, recipe: str, target: str, out: Path, steps: int, seed: int, device: str, as_json: bool
) -> None:
    """Train STUDENT a little more so that compiling it by a recipe costs less accuracy. Resumed where interrupted.

    \b
    edgexl finish wordnet --data wordnet --recipe tiny -o finished
    """
    from edgexl.compiler.recipe import load_recipe
    from edgexl.data import open_data
    from edgexl.distill.finishing.finish import finish_student
    from edgexl.distill.finishing.table import FinishingTable
    from edgexl.target import load_target

    chosen, int8 = load_recipe(recipe), load_target(target).int8
    table = FinishingTable(screening_steps=steps, reasoning_steps=steps)
    with progress_bar(as_json) as progress:
        finished = finish_student(
            student, out, chosen, open_data(source, progress), table,
            int8=int8, seed=seed, device=device, progress=progress, log=lambda line: print_line(line, err=True),
        )  # fmt: skip
    if as_json:
        print_json({"student": str(out), "labels": len(finished.labels), "metrics": finished.metrics})
        return
    print_line(f"{out}: finished for the recipe {chosen.name}; `edgexl compile {out} --recipe {recipe}` comes next")


@click.command("adapt")
@click.argument("student")
@click.option("--data", "source", required=True, help="A data set over the student's labels: its training queries.")
@click.option("-o", "--out", required=True, type=PATH, help="The directory to write.")
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
def adapt_screener(student: str, source: str, out: Path, seed: int, as_json: bool) -> None:
    """Adapt an imported STUDENT's screener to its label set with a few hundred queries: seconds to minutes.

    \b
    edgexl adapt imported --data my-data -o adapted
    """
    from edgexl import load_student
    from edgexl.data import open_data
    from edgexl.predict.adapt import adapt_to_data
    from edgexl.student.student import refuse_foreign_directory

    refuse_foreign_directory(out)
    with progress_bar(as_json) as progress:
        found = adapt_to_data(load_student(student), open_data(source, progress), seed, progress)
        found.student.save(out)
    if as_json:
        print_json({"student": str(out), "passes": found.passes, "before": found.before, "after": found.after})
        return
    gains = ", ".join(f"{name} {found.before[name]} -> {found.after[name]}" for name in found.before)
    said = (
        f"in {found.passes} passes, on held-out folds: {gains}"
        if found.passes
        else "nothing was gained, left as it was"
    )
    print_line(f"{out}: {said}; `edgexl compile {out}` comes next")


@click.group()
def runtime() -> None:
    """Build the C runtime for a device, and find it on this machine."""


@runtime.command("build")
@click.option("--target", default="host", show_default=True, help="A name or path (see `edgexl targets`).")
@click.option("-o", "--out", required=True, type=PATH, help="The directory to write.")
@click.option("--with-engine", is_flag=True, help="Put ONNX Runtime's library for the device beside it.")
@json_option
def build_runtime(target: str, out: Path, with_engine: bool, as_json: bool) -> None:
    """Compile libedgexl and its tools for a target.

    \b
    edgexl runtime build --target raspberry-pi-5 -o pi
    """
    from edgexl.runtime.build import build_runtime
    from edgexl.target import load_target

    with progress_bar(as_json) as progress:
        built = build_runtime(load_target(target), out, with_engine, progress)
    if as_json:
        print_json(built.as_json())
        return
    print_table(("file", "bytes"), built.files.items())
    print_line()
    print_line(f"for {built.target}, compiled by {built.compiler}, in {built.directory}")


@runtime.command("amalgamate")
@click.option("-o", "--out", required=True, type=PATH, help="The directory to write into, which must be there.")
@json_option
def amalgamate_runtime(out: Path, as_json: bool) -> None:
    """Write the whole runtime as edgexl.c and edgexl.h, to compile with one command.

    \b
    edgexl runtime amalgamate -o src
    """
    from edgexl.runtime.amalgamate import amalgamate

    files = amalgamate(out)
    if as_json:
        print_json({"directory": str(out), "files_bytes": files})
        return
    print_table(("file", "bytes"), files.items())
    print_line()
    print_line(f"cc -O3 -c {out / 'edgexl.c'}; link with -lm, and with -ldl where that is a library")


@runtime.command("path")
@json_option
def runtime_path(as_json: bool) -> None:
    """Where this machine's runtime, header, sources and engine library are.

    \b
    edgexl runtime path
    """
    from edgexl.runtime.build import installed_paths

    paths = installed_paths()
    if as_json:
        print_json(paths)
        return
    for name, path in paths.items():
        print_line(f"{name:16}{path}")
