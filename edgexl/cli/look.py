"""Commands that look: inspect, profile, recipes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from edgexl.base import toml
from edgexl.base.shipped import head_comment, shipped_files
from edgexl.cli.output import (
    device_option,
    json_option,
    labels_file_option,
    print_gates,
    print_json,
    print_ledger,
    print_record,
    print_table,
    progress_bar,
)
from edgexl.cli.streams import print_line

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=PATH)
@click.option("--self-test", is_flag=True, help="Also run the bundle's goldens on this machine.")
@click.option("--rules", is_flag=True, help="Of a student: the fusion rules that its graphs are lowered by.")
@labels_file_option
@json_option
def inspect(bundle: Path, self_test: bool, rules: bool, labels_file: Path | None, as_json: bool) -> None:
    """Show what is in BUNDLE, after checking every byte of it; with --rules, BUNDLE is a student instead.

    \b
    edgexl inspect tags.exl
    edgexl inspect wordnet --rules
    """
    from edgexl.use.inspect import inspect, inspect_rules

    if rules:
        found = inspect_rules(str(bundle))
        if as_json:
            print_json(found)
        else:
            print_table(tuple(found[0]), (tuple(row.values()) for row in found))
        return
    report = inspect(bundle, self_test, labels_file)
    if as_json:
        print_json(report)
        return
    print_line(f"{bundle}: format {report['format']}, engine {report['engine']}, {report['labels']:,} labels")
    print_line(f"recipe {report['recipe']['name']}, target {report['target']['name']}")
    if "label_tower" in report:
        print_line(f"labels encoded by {report['label_tower']['model']}")
    print_line()
    print_table(("section", "bytes"), report["bytes"].items())
    print_line()
    print_table(("shape", ""), report["shapes"].items())
    print_line()
    print_ledger(report["ledger"])
    print_gates(report["gates"])
    for key in ("lexical", "blend"):
        if "because" in report.get(key, {}):
            print_line()
            print_line(str(report[key]["because"]))
    if "held_out" in report:
        print_line()
        print_line(report["held_out"]["measured_on"])
    if "labels_file" in report:
        told = report["labels_file"]
        print_line()
        print_line(
            f"{told['path']}: {told['added']:,} labels added, {told['retired']:,} retired, {told['labels']:,} now"
        )
    if self_test:
        print_line()
        print_line("self-test: {goldens} goldens reproduced here".format(**report["self_test"]))


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("queries", type=PATH, required=False)
@click.option("--engine", type=click.Choice(["native", "ort"]), help="Refuse a bundle made for another one.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Of the engine.")
@click.option("--runs", type=click.IntRange(min=1), default=200, show_default=True, help="Timed queries.")
@device_option
@labels_file_option
@json_option
def profile(
    bundle: Path,
    queries: Path | None,
    engine: str | None,
    threads: int,
    runs: int,
    device: str,
    labels_file: Path | None,
    as_json: bool,
) -> None:
    """Time BUNDLE on a device, stage by stage, with QUERIES (a text a line) or the bundle's own goldens.

    A device by SSH needs Linux, 64 bits, and a key that the client finds; nothing stays there. What is emulated is
    checked and not timed: its milliseconds say nothing of the device.

    \b
    edgexl profile tags.exl
    edgexl profile tags.exl past.txt --device ssh://pi@till
    """
    from edgexl.device.open_device import open_device
    from edgexl.use.profile import profile

    with progress_bar(as_json) as progress, open_device(device, progress) as where:
        report = profile(
            bundle, queries, engine=engine, threads=threads, runs=runs, device=where, progress=progress,
            labels_file=labels_file,
        )  # fmt: skip
    if as_json:
        print_json(report)
        return
    print_line(
        f"{report['device']}: {report['runs']} queries, {report['threads']} thread(s), engine {report['engine']}"
    )
    if not report["timed"]:
        print_line("emulated: these times say nothing of the device")
    print_line()
    columns = ("min_ms", "p50_ms", "p90_ms", "p99_ms")
    stages = {**report["stages"], "total": report["total"]}
    rows = ([stage, *(f"{times[column]:.3f}" for column in columns)] for stage, times in stages.items())
    print_table(("stage", *columns), rows)
    print_line()
    print_line(f"open {report['load_ms']:.1f} ms; open and first answer {report['first_ms']:.1f} ms")
    mib = 1 << 20
    print_line(
        f"peak resident {report['peak_resident_bytes'] / mib:.1f} MiB, mapped {report['mapped_bytes'] / mib:.1f} MiB"
    )


@click.command()
@click.argument("name", required=False)
@json_option
def recipes(name: str | None, as_json: bool) -> None:
    """List the recipes that edgexl ships, or show the one called NAME (or at that path).

    Compile recipes are for `edgexl compile --recipe`, distillation recipes for `edgexl distill`.

    \b
    edgexl recipes balanced > mine.toml
    """
    from edgexl.compiler.recipe import available_recipes, load_recipe

    distilling = shipped_files("recipes/distill")
    if name is not None:
        if name in distilling:
            print_record(toml.parse(distilling[name]), as_json)
        else:
            print_record(dataclasses.asdict(load_recipe(name)), as_json)
        return
    compiling = [load_recipe(each) for each in available_recipes()]
    others = [{"name": each, "description": head_comment(path)} for each, path in distilling.items()]
    if as_json:
        own = [dataclasses.asdict(each) | {"kind": "compile"} for each in compiling]
        print_json(own + [each | {"kind": "distill"} for each in others])
        return
    rows = [(each.name, "compile", each.description) for each in compiling]
    print_table(
        ("name", "for", "description"), [*rows, *((each["name"], "distill", each["description"]) for each in others)]
    )
