"""Commands about targets: list, show, detect, calibrate."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgexl.base.errors import BadInput
from edgexl.cli.output import json_option, print_json, print_record, print_table, progress_bar
from edgexl.cli.streams import print_line
from edgexl.cli.study import DefaultingGroup

if TYPE_CHECKING:
    from edgexl.target import Target

PATH = click.Path(path_type=Path)


class TargetsGroup(DefaultingGroup):
    """`edgexl targets` lists, and `edgexl targets NAME` shows one."""

    default = "show"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or [self.default])


@click.group(
    cls=TargetsGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="[NAME] | show NAME | detect -o FILE | calibrate [NAME]",
)
def targets() -> None:
    """List the devices that can be compiled for, show one, or measure one.

    \b
    edgexl targets
    edgexl targets raspberry-pi-5
    edgexl targets detect --device ssh://pi@till -o till.toml
    edgexl targets calibrate till.toml --device ssh://pi@till
    """


@targets.command("show")
@click.argument("name", required=False)
@json_option
def show(name: str | None, as_json: bool) -> None:
    """Show the target called NAME, or at that path; without one, list the shipped ones.

    \b
    edgexl targets show raspberry-pi-5
    """
    from edgexl.target import available_targets, load_target

    if name is not None:
        target = load_target(name)
        _show(target, as_json, _describe_costs(target))
        return
    shipped = [load_target(each) for each in available_targets()]
    if as_json:
        print_json([dataclasses.asdict(each) for each in shipped])
        return
    columns = ("name", "isa", "cores", "description")
    print_table(columns, ([getattr(each, column) for column in columns] for each in shipped))


@targets.command("detect")
@click.option(
    "--device", default="local", show_default=True, help="Which: local, ssh://user@host[:port], adb[:SERIAL]."
)
@click.option("--from", "kit", type=PATH, help="Instead: what a kit brought back (see `edgexl profile --kit`).")
@click.option("-o", "--out", required=True, type=PATH, help="The TOML file to write; the target has its name.")
@click.option("--force", is_flag=True, help="Write over the file.")
@json_option
def detect(device: str, kit: Path | None, out: Path, force: bool, as_json: bool) -> None:
    """Measure a device into a target's file: its system, cores, memory by level, storage, and what the runtime's
    kernels reach on it. It takes half a minute, and nothing stays there.

    \b
    edgexl targets detect --device ssh://pi@till -o till.toml
    """
    from edgexl.device.detect import detect_to
    from edgexl.use.kit import detect_from

    if kit is not None and device != "local":
        raise BadInput("A kit's result is of the device where it ran; leave out --device, or --from.")
    with progress_bar(as_json) as progress:
        found = detect_to(device, out, force, progress) if kit is None else detect_from(kit, out, force)
    _show(found, as_json)
    if not as_json:
        print_line()
        print_line(f"{out}: look through it; `edgexl compile --target {out}` takes it")


@targets.command("calibrate")
@click.argument("name", default="host")
@click.option(
    "--device", default="local", show_default=True, help="Which: local, ssh://user@host[:port], adb[:SERIAL]."
)
@click.option("--from", "kit", type=PATH, help="Instead: what a kit brought back (see `edgexl profile --kit`).")
@click.option("--bundle", type=PATH, help="With --from: the bundle that the kit was made of.")
@json_option
def calibrate(name: str, device: str, kit: Path | None, bundle: Path | None, as_json: bool) -> None:
    """Measure what bundles take on a device, so that milliseconds are predicted for the target NAME (default: host).

    Thirteen small bundles are made once, which takes some minutes, and answer texts of several lengths on the device,
    which takes some minutes more; an interrupted run goes on where it stopped. The model is written beside a target's
    file, which then names it, or for a shipped target into your cache.

    \b
    edgexl targets calibrate
    edgexl targets calibrate till.toml --device ssh://pi@till
    edgexl targets calibrate my.toml --from result.json --bundle words.exl
    """
    from edgexl.device.open_device import open_device
    from edgexl.target import load_target
    from edgexl.use.calibrating.calibrate import calibrate_device, calibrate_kit
    from edgexl.use.kit import read_kit_result

    load_target(name)  # a misspelt name should not wait for a device
    if kit is not None:
        if device != "local" or bundle is None:
            raise BadInput(
                "A kit's result is of one bundle on the device where it ran; give --bundle, and no --device."
            )
        result = read_kit_result(kit)
        model, path = calibrate_kit(name, result.profile, bundle, result.bundle_sha256, f"a device, by {kit.name}")
    elif bundle is not None:
        raise BadInput("--bundle is for what a kit brought back; give that as --from FILE.")
    else:
        with progress_bar(as_json) as progress, open_device(device, progress) as opened:
            model, path = calibrate_device(name, opened, progress)
    found: dict[str, Any] = {"model": str(path), "unit": model.unit, "device": model.device, "fitted": model.fitted}
    found |= {"bundles": model.bundles, "samples": model.samples, "errors": model.errors}
    if as_json:
        print_json(found)
        return
    made_of = f"{model.bundles} bundle{'s' if model.bundles > 1 else ''} on {model.device}"
    print_line(f"{path}: of {made_of}; 9 of 10 predictions of a query are within {model.error('total'):.0%}")


def _describe_costs(target: Target) -> dict[str, str]:
    """What predictions for a target are made by."""
    from edgexl.cost.find import find_model

    found = find_model(target)
    told = f"{found.path.name}: {found.model.unit}, fitted on {found.model.device}, {found.model.fitted}"
    return {"predicted_by": told if found.measured else f"{told}; not measured on this target"}


def _show(target: Target, as_json: bool, more: dict[str, str] | None = None) -> None:
    facts = dataclasses.asdict(target) | (more or {})
    if not as_json:  # what is 0 in these is not known
        facts |= {name: {key: value or None for key, value in facts[name].items()} for name in ("budget", "hardware")}
    print_record(facts, as_json)
