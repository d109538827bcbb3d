"""How the command line ends: every way out is one exit status and at most one line on standard error.

0    done
1    a gate failed
2    bad input, wrong usage, or a file that cannot be written
3    a device, its engine or its emulator failed
130  interrupted
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click

from edgexl.errors import BadInput, DeviceError, EdgexlError

INTERRUPTED = 130
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def exit_status(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run `command` and return its exit status; what went wrong is said in one line on standard error."""
    try:
        # not command.main, which answers interrupts and closed pipes in its own way
        with command.make_context("edgexl", list(sys.argv[1:] if arguments is None else arguments)) as context:
            status = command.invoke(context)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.UsageError as error:
        error.show()
        return BadInput.exit_code
    except click.ClickException as error:
        return _say(error.format_message(), BadInput.exit_code)
    except EdgexlError as error:
        return _say(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("edgexl"):
            raise
        wanted = f"the package {error.name.partition('.')[0]} is not installed"
        return _say(f"{wanted}; compiling and distilling need `pip install edgexl[compile]`", DeviceError.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # the reader (`head`, a pager) has what it wanted
        _silence_stdout()
        return 0
    except OSError as error:
        _silence_stdout()
        kind = DeviceError if error.errno in _DISK_ERRORS else BadInput
        place = f"{error.filename}: " if error.filename else ""
        return _say(f"{place}{error.strerror or error}; check the path and the space left there", kind.exit_code)


def _say(message: str, status: int) -> int:
    print(f"edgexl: {' '.join(message.split())}", file=sys.stderr)
    return status


def _silence_stdout() -> None:
    """Let the interpreter's last flush go nowhere: it would fail again, and say so."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
