"""Every way out of the command line: one exit status, at most one line on standard error, no traceback."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from edgexl.base.errors import BadInput, DeviceError, GateFailed
from edgexl.cli.exits import exit_status
from tests.command_line import Edgexl, edgexl_process, heed_interrupts


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (GateFailed("p_at_1_kept is 90\nand should be 98"), 1),
        (BadInput("no such file"), 2),
        (DeviceError("no engine"), 3),
        (KeyboardInterrupt(), 130),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 3),
        (click.UsageError("no such option"), 2),
        (click.ClickException("odd"), 2),
        (OSError(28, "No space left on device", "out.exl"), 3),
        (FileNotFoundError(2, "No such file or directory", "no/where"), 2),
        (MemoryError(), 3),
        (RecursionError("maximum recursion depth exceeded"), 3),
        (ModuleNotFoundError("No module named 'edgexl.none'", name="edgexl.none"), 3),
        (UnicodeEncodeError("ascii", "é", 0, 1, "ordinal not in range"), 3),
        (IndexError("list index out of range"), 3),
    ],
)
def test_each_error_has_its_status_and_one_line(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def fails() -> None:
        raise error

    assert exit_status(fails, []) == status
    said = capsys.readouterr().err
    assert "Traceback" not in said
    if not isinstance(error, click.UsageError):
        assert said.count("\n") == 1
        assert said.startswith("edgexl: ")


def test_a_command_without_a_status_exits_0_and_one_with_a_status_exits_with_it() -> None:
    assert exit_status(click.Command("done", callback=lambda: None), []) == 0
    assert exit_status(click.Command("some", callback=lambda: 2), []) == 2


def test_a_wrong_option_exits_2() -> None:
    done = edgexl("targets", "--colour")
    assert done.returncode == 2
    assert "--colour" in done.stderr


def test_a_reader_that_leaves_early_hears_nothing_more() -> None:
    command = f"{shlex.quote(sys.executable)} -m edgexl targets --json | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_said_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = edgexl("targets", stdout=full)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


def test_an_interrupt_exits_130_with_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """The interrupted command waits for a compiler that does not end."""
    compiler = tmp_path / "bin" / "aarch64-linux-gnu-gcc"
    compiler.parent.mkdir()
    compiler.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexec sleep 60\n")
    compiler.chmod(0o755)
    out = tmp_path / "out" / "runtime"
    command = [sys.executable, "-m", "edgexl", "runtime", "build", "--target", "raspberry-pi-5", "-o", str(out)]
    path = f"{compiler.parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PATH": path}, preexec_fn=heed_interrupts
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, "edgexl: interrupted\n")
    assert list(out.parent.iterdir()) == []


def edgexl(*arguments: str, **how: object) -> subprocess.CompletedProcess[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    return subprocess.run([sys.executable, "-m", "edgexl", *arguments], text=True, check=False, **streams)  # type: ignore[call-overload, no-any-return]


def test_shells_complete_commands_and_options() -> None:
    said = edgexl_process(_EDGEXL_COMPLETE="bash_source")
    assert said.status == 0
    assert "complete -o nosort -F" in said.out
    completed = {"_EDGEXL_COMPLETE": "bash_complete", "COMP_WORDS": "edgexl comp", "COMP_CWORD": "1"}
    assert edgexl_process(**completed).out.split() == ["plain,compare", "plain,compile", "plain,complete"]
    completed |= {"COMP_WORDS": "edgexl compile --que", "COMP_CWORD": "2"}
    assert "plain,--queries" in edgexl_process(**completed).out.split()


def test_commands_are_summed_up_in_80_columns(edgexl: Edgexl) -> None:
    shown = edgexl("--help").out
    assert shown.count("\n  ") > 15
    assert "..." not in shown.partition("Commands:")[2]
    assert max(map(len, shown.splitlines())) <= 80
