"""A device that is reached by SSH: `ssh://user@host[:port]`, by the OpenSSH client with its own configuration and keys.

One connection is kept open and shared. What a run needs lies in a scratch folder on the device, which is gone when the
device is closed, and also when either end is killed or the line is cut: a watcher there removes it as soon as this end
has been silent for a while.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from edgexl.base.errors import BadInput, DeviceError
from edgexl.base.files import open_input
from edgexl.device.device import DeviceFacts, Outcome

CLIENT = ("ssh",)
CONNECT_S = 10
# This end says every so often that it is there; the device waits for so long.
BEAT_S, SILENCE_S = 1.0, 20
# What the client ends with where it failed itself.
_FAILED = 255
_SIGNALS = 128
_ADDRESS = re.compile(r"ssh://(?:([^@/\s]+)@)?(\[[0-9a-fA-F:.]+\]|[^:/@\s\[\]-][^:/@\s\[\]]*)(?::(\d{1,5}))?/?")

# Removes what a device that went off with all its processes has left, makes the scratch folder and tells its name, then
# reads beats. The watcher is nobody's child: it is left where the session is killed, and goes by whether the file of
# beats grows.
_KEEPER = """
for old in "${TMPDIR:-/tmp}"/edgexl-????????; do
  [ -n "$(find "$old/.beats" -mmin +2 2>/dev/null)" ] && rm -rf "$old"
done
d=$(mktemp -d "${TMPDIR:-/tmp}/edgexl-XXXXXXXX") || exit 1
chmod 700 "$d"; : > "$d/.beats"
trap 'rm -rf "$d"' EXIT HUP INT TERM
( (trap '' HUP; old=-1; quiet=0
 while [ -d "$d" ]; do
   sleep 1
   new=$(wc -c < "$d/.beats" 2>/dev/null) || break
   if [ "$new" = "$old" ]; then quiet=$((quiet + 1)); else quiet=0; old=$new; fi
   [ "$quiet" -lt SILENCE ] || rm -rf "$d"
 done) </dev/null >/dev/null 2>&1 & )
echo "$d"
cat > "$d/.beats"
"""
_PROBE = """
echo system="$(uname -s)"; echo machine="$(uname -m)"; echo page="$(getconf PAGE_SIZE 2>/dev/null)"
echo cores="$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null)"
echo libc="$(getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1 | head -n 1)"
echo memory="$(sed -n 's/^MemAvailable: *//p' /proc/meminfo 2>/dev/null)"
echo disk="$(df -Pk "${TMPDIR:-/tmp}" 2>/dev/null | tail -n 1 | awk '{print $4}')"
echo cpu="$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)"
echo board="$(tr -d '\\000' < /proc/device-tree/model 2>/dev/null)"
"""


@dataclass(frozen=True)
class Address:
    """Where a device is; what is left out is the SSH configuration's."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Of `ssh://user@host[:port]`. Raises `BadInput`."""
        match = _ADDRESS.fullmatch(text)
        if match is None or (match[3] and not 0 < int(match[3]) < 65536):
            raise BadInput(f"{text!r} is no device; write ssh://user@host or ssh://user@host:port.")
        return cls(match[2].strip("[]"), match[1], int(match[3]) if match[3] else None)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"


@dataclass(frozen=True)
class RemoteFacts:
    """What a device says of itself; numbers are 0 and texts empty where it does not."""

    system: str
    machine: str
    cpu: str
    cores: int
    libc: str
    page_bytes: int
    memory_bytes: int
    disk_bytes: int


class SshDevice:
    """`tools`: a directory with exl-run and exl-bench for the device; `engine_library`: ONNX Runtime's, for bundles
    that need it. To be closed, or used as a context. Raises `BadInput` for an address that is none, `DeviceError` where
    the device cannot be reached or its shell does not do what a system for it must."""

    def __init__(self, address: str, tools: Path | None = None, engine_library: Path | None = None) -> None:
        self.address = Address.parse(address)
        self.tools, self.engine_library = tools, engine_library
        self._pushed: dict[str, str] = {}
        self.scratch = ""
        self._folder = tempfile.mkdtemp(prefix="edgexl-ssh-")
        self._over = threading.Event()
        self._keeper: subprocess.Popen[bytes] | None = None
        if shutil.which(CLIENT[0]) is None:
            raise DeviceError("ssh is not installed; install the OpenSSH client.")
        try:
            self.about = self._probe()
            self.scratch = self._keep_scratch()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> SshDevice:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Remove the scratch folder, and let the connection go."""
        self._over.set()
        if self._keeper is not None and self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._keeper.wait(timeout=CONNECT_S)
            if self._keeper.poll() != 0 and self.scratch:  # it was killed, and has removed nothing
                with contextlib.suppress(DeviceError):
                    self._ssh(f"rm -rf {shlex.quote(self.scratch)}", timeout_s=CONNECT_S)
            self._keeper.kill()
        with contextlib.suppress(OSError):
            subprocess.run([*self._client("-O", "exit")], capture_output=True, timeout=CONNECT_S, check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def facts(self) -> DeviceFacts:
        return DeviceFacts(
            str(self.address), self.about.machine, self.about.cpu or self.about.machine, self.about.cores, timed=True
        )

    def push(self, file: Path) -> str:
        """Copy a file into the scratch folder, unless it is there. Raises `DeviceError` where there is no room."""
        with open_input(file) as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        name = f"{digest[:16]}-{re.sub(r'[^A-Za-z0-9._-]', '_', file.name)[-80:]}"
        if digest not in self._pushed:
            size = file.stat().st_size
            if 0 < self.about.disk_bytes < size + (1 << 20):
                raise DeviceError(
                    f"{self.address} has {self.about.disk_bytes:,} bytes free in its temporary folder, and {file} has "
                    f"{size:,}; free some, or set TMPDIR there to a folder with more."
                )
            path = f"{self.scratch}/{name}"
            with file.open("rb") as stream:
                copied = self._ssh(f"cat > {shlex.quote(path)} && wc -c < {shlex.quote(path)}", stream=stream)
            if copied.exit_code or copied.stdout.strip() != str(size):
                raise DeviceError(f"{file} could not be copied to {self.address}: {_last_line(copied)}.")
            self._pushed[digest] = path
        return self._pushed[digest]

    def run(self, tool: str, arguments: Sequence[str], stdin: str = "", timeout_s: float = 600) -> Outcome:
        if self.tools is None or not (self.tools / tool).is_file():
            where = self.tools or "nowhere"
            raise DeviceError(
                f"{tool} for {self.about.machine} is not in {where}; make it with `edgexl runtime build`."
            )
        path = self.push(self.tools / tool)
        words = ["chmod", "700", path]
        environment = []
        if self.engine_library is not None:
            environment = [f"EDGEXL_ORT_LIBRARY={self.push(self.engine_library)}"]
        # the tool is not what the shell ends with, so that the shell tells of signals
        command = f"{shlex.join(words)} && {shlex.join(['env', *environment, path, *arguments])}; exit $?"
        done = self._ssh(command, text=stdin, timeout_s=timeout_s)
        if done.exit_code > _SIGNALS:
            said = done.stderr.strip() or "it said nothing"
            raise DeviceError(f"{tool} on {self.address} was killed by signal {done.exit_code - _SIGNALS}: {said}")
        return done

    def _probe(self) -> RemoteFacts:
        """What the device is, by its own commands."""
        done = self._ssh(_PROBE)
        known = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        if done.exit_code or not known.get("system"):
            raise DeviceError(f"{self.address} has no shell that tells what it is: {_last_line(done)}.")
        number = {key: int(found[0]) if (found := re.findall(r"\d+", known.get(key, ""))) else 0 for key in known}
        return RemoteFacts(
            system=known["system"],
            machine=known.get("machine", ""),
            cpu=known.get("board") or known.get("cpu") or "",
            cores=number.get("cores", 0) or 1,
            libc=known.get("libc", ""),
            page_bytes=number.get("page", 0),
            memory_bytes=1024 * number.get("memory", 0),
            disk_bytes=1024 * number.get("disk", 0),
        )

    def _keep_scratch(self) -> str:
        """The scratch folder, which its keeper on the device removes once this end is silent."""
        script = _KEEPER.replace("SILENCE", str(SILENCE_S))
        self._keeper = subprocess.Popen(
            [*self._client(), f"exec sh -c {shlex.quote(script)}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._keeper.stdout is not None
        folder = self._keeper.stdout.readline().decode(errors="replace").strip()
        if not folder.startswith("/"):
            raise DeviceError(f"{self.address} has no temporary folder to work in; set TMPDIR there to one.")
        threading.Thread(target=self._beat, args=(self._keeper,), daemon=True).start()
        return folder

    def _beat(self, keeper: subprocess.Popen[bytes]) -> None:
        assert keeper.stdin is not None
        while not self._over.wait(BEAT_S):
            try:
                keeper.stdin.write(b".")
                keeper.stdin.flush()
            except (OSError, ValueError):
                return

    def _client(self, *more: str) -> list[str]:
        """The client's command line up to what is to be run."""
        options = {
            "BatchMode": "yes", "ConnectTimeout": str(CONNECT_S), "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3", "ControlMaster": "auto", "ControlPath": f"{self._folder}/socket",
            "ControlPersist": "60", "LogLevel": "ERROR",
        }  # fmt: skip
        words = [*CLIENT, "-T", *(f"-o{name}={value}" for name, value in options.items())]
        if self.address.port:
            words += ["-p", str(self.address.port)]
        if self.address.user:
            words += ["-l", self.address.user]
        return [*words, *more, "--", self.address.host]

    def _ssh(self, command: str, text: str = "", stream: BinaryIO | None = None, timeout_s: float = 600) -> Outcome:
        """Run a shell's command on the device. Raises `DeviceError` where the connection fails."""
        words = [*self._client(), f"exec sh -c {shlex.quote(command)}"]
        source = subprocess.PIPE if stream is None else stream
        with subprocess.Popen(words, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                stdout, stderr = process.communicate(None if stream else text.encode(), timeout_s)
            except BaseException as error:
                process.kill()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise DeviceError(f"{self.address} did not answer within {timeout_s:g} s.") from None
        done = Outcome(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))
        if done.exit_code == _FAILED or done.exit_code < 0:
            raise DeviceError(f"{self.address} cannot be reached: {_last_line(done)}.")
        return done


def _last_line(done: Outcome) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it said nothing"
