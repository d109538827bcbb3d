"""Starting a tool as a process of this machine; what the local and the emulated device share."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from edgexl.base.errors import DeviceError
from edgexl.device.device import Outcome


def run_process(command: Sequence[str], stdin: str, timeout_s: float, environment: Mapping[str, str]) -> Outcome:
    """Run `command` with `environment` added to this process's own. Raises `DeviceError` as `Device.run` says."""
    try:
        done = subprocess.run(
            command,
            input=stdin.encode(),
            capture_output=True,
            timeout=timeout_s,
            env={**os.environ, **environment},
            check=False,
        )
    except OSError as error:
        raise DeviceError(f"{command[0]} cannot be started ({error.strerror}).") from None
    except subprocess.TimeoutExpired:
        raise DeviceError(f"{' '.join(command[:6])} did not end within {timeout_s:g} s.") from None
    stderr = done.stderr.decode(errors="replace")
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise DeviceError(f"{' '.join(command[:6])} was killed by {name}: {stderr.strip() or 'it said nothing'}")
    return Outcome(done.returncode, done.stdout.decode(errors="replace"), stderr)
