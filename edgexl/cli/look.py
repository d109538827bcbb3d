"""Commands that look: inspect, recipes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from edgexl.base import toml
from edgexl.base.shipped import head_comment, shipped_files
from edgexl.cli.output import (
    json_option,
    labels_file_option,
    print_gates,
    print_json,
    print_ledger,
    print_record,
    print_table,
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
    """Show what is in BUNDLE, after checking every byte of it; an overlay is shown, too. With --rules, BUNDLE is a
    student instead.

    \b
    edgexl inspect tags.exl
    edgexl inspect wordnet --rules
    """
    from edgexl.bundle.overlay import is_overlay
    from edgexl.use.inspect import inspect, inspect_rules

    if rules:
        found = inspect_rules(str(bundle))
        if as_json:
            print_json(found)
        else:
            print_table(tuple(found[0]), (tuple(row.values()) for row in found))
        return
    if is_overlay(bundle):
        _show_overlay(bundle, as_json)
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
    if "vocabulary" in report:
        print_line()
        print_line("{pieces:,} of the encoder's {of:,} word pieces".format(**report["vocabulary"]))
    if "labels_file" in report:
        told = report["labels_file"]
        print_line()
        print_line(
            f"{told['path']}: {told['added']:,} labels added, {told['retired']:,} retired, {told['labels']:,} now"
        )
    if self_test:
        print_line()
        print_line("self-test: {goldens} goldens reproduced here".format(**report["self_test"]))


def _show_overlay(path: Path, as_json: bool) -> None:
    from edgexl.use.overlay import inspect_overlay

    found = inspect_overlay(path)
    if as_json:
        print_json(found)
        return
    print_line(f"{path}: an overlay of {found['labels']:,} labels, {found['bytes']:,} bytes")
    fitted = found["calibration"]
    of_its_own = f"its own, of {fitted['queries']:,} queries" if fitted else "the bundle's"
    signed = f"key {found['key']}, version {found['version']}" if found["key"] else "nobody"
    rows = (
        ("texts", found["rows"]),
        ("calibration", of_its_own),
        ("signed by", signed),
        ("code space", found["code_space"]),
    )
    print_line()
    print_table(("what", ""), rows)


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
