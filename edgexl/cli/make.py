"""Commands that make things: distill, finish, adapt, runtime."""

from __future__ import annotations

from pathlib import Path

import click

from edgexl.cli.output import json_option, print_json, print_table, progress_bar
from edgexl.cli.streams import print_line

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("recipe")
@click.option("-o", "--out", type=PATH, help="The student's directory to write; without it, the recipe's name here.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: the GPU where there is one.")
@json_option
def distill(recipe: str, out: Path | None, device: str, as_json: bool) -> None:
    """Distill a student after RECIPE (a name or path): minutes to hours, and resumed where it was interrupted.

    \b
    edgexl distill wordnet-tiny -o student
    """
    from edgexl.distill.pipeline import distill
    from edgexl.distill.recipe import find_distill_recipe

    path = find_distill_recipe(recipe)
    directory = out or Path(path.stem)
    with progress_bar(as_json) as progress:
        student = distill(path, directory, progress, log=lambda line: print_line(line, err=True), device=device)
    if as_json:
        print_json({"student": str(directory), "labels": len(student.labels), "metrics": student.metrics})
        return
    print_line(f"{directory}: a student for {len(student.labels):,} labels; `edgexl compile {directory}` comes next")


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
    """Compile libedgexl, exl-run and exl-bench for a target.

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
