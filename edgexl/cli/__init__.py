"""The command line: each command parses its arguments, calls one function of edgexl and prints what that returns.

Commands import what they need when they run, so that `edgexl run` starts without torch and onnx.
"""

from __future__ import annotations

import os
import sys

import click
from click.shell_completion import shell_complete

from edgexl import __version__
from edgexl.base.errors import DeviceError
from edgexl.cli.answer import complete, demo, evaluate, explain, run
from edgexl.cli.compare import compare
from edgexl.cli.compile import compile_student
from edgexl.cli.data import data
from edgexl.cli.exits import exit_status
from edgexl.cli.labels import labels
from edgexl.cli.look import inspect, recipes
from edgexl.cli.make import adapt_screener, distill, finish, runtime
from edgexl.cli.overlay import overlay
from edgexl.cli.profile import profile
from edgexl.cli.replay import replay
from edgexl.cli.serve import serve
from edgexl.cli.ship import ship
from edgexl.cli.sign import keys, sign, verify
from edgexl.cli.streams import prepare_streams, print_line
from edgexl.cli.study import characterize
from edgexl.cli.targets import targets
from edgexl.cli.update import diff, patch


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgexl")
def edgexl() -> None:
    """Compile a two-stage student for a huge label set into one file, and run it with a small C library.

    Exit status: 0 done, 1 a gate failed, 2 bad input, 3 device error.

    \b
    edgexl compile labels.csv --encoder all-MiniLM-L6-v2 -o tags.exl
    edgexl run tags.exl "walnut coffee table, 90 cm"
    """


# Each with what it is for, in the 62 characters that a list of commands has room for in 80 columns.
_COMMANDS = {
    demo: "Compile the reverse dictionary and ask it for ten words.",
    compile_student: "Compile labels or a student into one bundle file.",
    run: "Answer texts with a bundle.",
    replay: "Check receipts: answer again, and compare to the bit.",
    explain: "Show why a text has this label, or what would change it.",
    complete: "List a bundle's labels that begin with a text.",
    serve: "Answer over HTTP, with a page to try a bundle.",
    evaluate: "Measure a bundle on queries whose labels are known.",
    compare: "Compare two bundles: sizes, answers, times.",
    inspect: "Show what is in a bundle, after checking all of it.",
    profile: "Time a bundle on a device, stage by stage, with its memory.",
    ship: "Pack a bundle as platforms install it.",
    sign: "Sign a bundle, so that apps know whose it is.",
    verify: "Check whose a bundle is, and that nobody changed it.",
    keys: "Make and show keys that sign bundles.",
    distill: "Train a student after a recipe: minutes to hours.",
    finish: "Train a student for what compiling it will cost.",
    adapt_screener: "Adapt an imported student to its labels in a minute.",
    characterize: "Measure a teacher's two phases, or collect its traces.",
    data: "Look at label and query files; build data sets.",
    targets: "List the devices that can be compiled for; measure one.",
    recipes: "List the ways to compile, or show one.",
    runtime: "Build the C runtime for a device, or find it here.",
    labels: "Add, replace, retire or sync a bundle's labels.",
    overlay: "Put labels of your own over a bundle, as a file apart.",
    diff: "Write the patch that makes one bundle of another.",
    patch: "Update a bundle by a patch, all of it or nothing.",
}
for _command, _summary in _COMMANDS.items():
    _command.short_help = _summary
    edgexl.add_command(_command)

# What shells set to ask for completions: "bash_source" and the like.
_COMPLETE = "_EDGEXL_COMPLETE"


def main() -> None:
    """The console script."""
    shown = prepare_streams()
    if asked := os.environ.get(_COMPLETE):
        sys.exit(shell_complete(edgexl, {}, "edgexl", _COMPLETE, asked))
    status = exit_status(edgexl)
    if status == 0 and not shown:
        print_line("edgexl: standard output is closed: the command is done, and what it printed is lost", err=True)
        status = DeviceError.exit_code
    sys.exit(status)
