"""Commands that study teachers: characterize, and its collection of traces."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


class DefaultingGroup(click.Group):
    """A group whose command `default` runs where the first argument names no command of its own."""

    default = "profile"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [self.default, *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=DefaultingGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="TEACHER DATA -o DIR | collect SOURCE DATA -o FILE",
)
def characterize() -> None:
    """Measure a teacher's two phases on a data set, or collect a reasoning model's traces to measure.

    `edgexl characterize TEACHER DATA -o DIR` measures; see `edgexl characterize profile --help` for its options.
    """
