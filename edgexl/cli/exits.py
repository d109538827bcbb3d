"""How the command line ends: every way out is one exit status and at most one line on standard error, or one for
each input that is wrong.

0    done
1    a gate failed, and nothing else
2    bad input, wrong usage, or a file that cannot be written
3    a device, its engine or its emulator failed, the disk is full, or edgexl itself has a fault
130  interrupted

With EDGEXL_DEBUG=1 in the environment, a traceback comes before the line.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from edgexl.base.errors import BadInput, DeviceError, EdgexlError, SeveralFaults
from edgexl.base.files import DISK_ERRORS
from edgexl.cli.streams import OutputError, lead_nowhere, print_line

INTERRUPTED = 130
# Where a command finds the arguments of the whole command line.
GIVEN = "edgexl.given"


def exit_status(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run `command` and return its exit status; what went wrong is said in one line on standard error."""
    try:
        # not command.main, which answers interrupts and closed pipes in its own way
        given = list(sys.argv[1:] if arguments is None else arguments)
        with command.make_context("edgexl", list(given)) as context:
            context.meta[GIVEN] = given
            status = command.invoke(context)
        _flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # the reader (`head`, a pager) has what it wanted
        lead_nowhere(sys.stdout)
        return 0
    except Exception as error:
        if os.environ.get("EDGEXL_DEBUG"):
            traceback.print_exc()
        return _refuse(error)


def _refuse(error: Exception) -> int:
    """Say what went wrong and give the exit status for it."""
    if isinstance(error, click.UsageError):
        return _show_usage(error)
    if isinstance(error, click.ClickException):
        return _say(error.format_message(), BadInput.exit_code)
    if isinstance(error, SeveralFaults):
        for sentence in error.sentences:
            _say(sentence, error.exit_code)
        return error.exit_code
    if isinstance(error, EdgexlError):
        return _say(str(error), error.exit_code)
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("edgexl"):
        wanted = f"the package {error.name.partition('.')[0]} is not installed"
        return _say(f"{wanted}; compiling and distilling need `pip install edgexl[compile]`", DeviceError.exit_code)
    if isinstance(error, OSError):
        kind = DeviceError if error.errno in DISK_ERRORS else BadInput
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return _say(f"{place}{error.strerror or error}; check the path and the space left there", kind.exit_code)
    if isinstance(error, MemoryError):
        return _say("there is not enough memory for this", DeviceError.exit_code)
    what = str(error).strip()
    told = f"{type(error).__name__}: {what}" if what else type(error).__name__
    advice = "this is a fault of edgexl: set EDGEXL_DEBUG=1 to see where, and report it"
    return _say(f"{told[:300]}; {advice}", DeviceError.exit_code)


def _show_usage(error: click.UsageError) -> int:
    if error.ctx is not None:
        for line in error.ctx.get_usage().splitlines():
            print_line(line, err=True)
        print_line(f"Try '{error.ctx.command_path} {error.ctx.help_option_names[0]}' for help.\n".rstrip(), err=True)
        print_line(err=True)
    print_line(f"Error: {error.format_message()}", err=True)
    return BadInput.exit_code


def _say(message: str, status: int) -> int:
    print_line(f"edgexl: {' '.join(message.split())}", err=True)
    return status


def _flush() -> None:
    """Have what was printed written, or raise `OutputError`."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        lead_nowhere(sys.stdout)
        raise OutputError(f"standard output cannot be written ({error.strerror})") from None
