"""Commands about targets: list, show, detect."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

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
    subcommand_metavar="[NAME] | show NAME | detect -o FILE",
)
def targets() -> None:
    """List the devices that can be compiled for, show one, or measure one.

    \b
    edgexl targets
    edgexl targets raspberry-pi-5
    edgexl targets detect --device ssh://pi@till -o till.toml
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
        _show(load_target(name), as_json)
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


def _show(target: Target, as_json: bool) -> None:
    facts = dataclasses.asdict(target)
    if not as_json:  # what is 0 in these is not known
        facts |= {name: {key: value or None for key, value in facts[name].items()} for name in ("budget", "hardware")}
    print_record(facts, as_json)
