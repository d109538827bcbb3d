"""The command line: each command parses its arguments, calls one function of edgexl and prints what that returns.

Commands import what they need when they run, so that `edgexl run` starts without torch and onnx.
"""

from __future__ import annotations

import sys

import click

from edgexl import __version__
from edgexl.base.errors import DeviceError
from edgexl.cli.answer import complete, demo, evaluate, run
from edgexl.cli.compile import compile_student
from edgexl.cli.data import data
from edgexl.cli.exits import exit_status
from edgexl.cli.labels import labels
from edgexl.cli.look import inspect, profile, recipes, targets
from edgexl.cli.make import adapt_screener, distill, finish, runtime
from edgexl.cli.streams import prepare_streams, print_line
from edgexl.cli.study import characterize


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgexl")
def edgexl() -> None:
    """Compile a two-stage student for a huge label set into one file, and run it with a small C library.

    Exit status: 0 done, 1 a gate failed, 2 bad input, 3 device error.
    """


_COMMANDS = (
    demo, compile_student, run, complete, evaluate, inspect, profile, distill, finish, adapt_screener, characterize,
    data, targets, recipes, runtime, labels,
)  # fmt: skip
for _command in _COMMANDS:
    edgexl.add_command(_command)


def main() -> None:
    """The console script."""
    shown = prepare_streams()
    status = exit_status(edgexl)
    if status == 0 and not shown:
        print_line("edgexl: standard output is closed: the command is done, and what it printed is lost", err=True)
        status = DeviceError.exit_code
    sys.exit(status)
