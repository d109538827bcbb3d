"""What devices have in common that are reached by a client program with a shell at its other end: SSH's, adb's.

What a run needs lies in a scratch folder on the device, which is gone when the device is closed, and also when either
end is killed or the line is cut: a watcher there removes it as soon as this end has been silent for a while.
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
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from edgexl.base.errors import DeviceError
from edgexl.base.files import open_input
from edgexl.bundle.layout import MAGIC, Kind
from edgexl.bundle.memory import ENGINE_BYTES, memory_bytes
from edgexl.bundle.read import read_bundle
from edgexl.device.device import DeviceFacts, Outcome
from edgexl.device.probe import PROBE, SystemFacts, read_probe

CONNECT_S = 10
# This end says every so often that it is there; the device waits for so long.
BEAT_S, SILENCE_S = 1.0, 20
_SIGNALS = 128

# Removes what a device that went off with all its processes has left, makes the scratch folder and tells its name, then
# reads beats. The watcher is nobody's child: it is left where the session is killed, and goes by whether the file of
# beats grows. Programs of the folder that still run end with it.
_KEEPER = """
for old in "${TMPDIR:-/tmp}"/edgexl-????????; do
  [ -n "$(find "$old/.beats" -mmin +2 2>/dev/null)" ] && rm -rf "$old"
done
d=$(mktemp -d "${TMPDIR:-/tmp}/edgexl-XXXXXXXX") || exit 1
chmod 700 "$d"; : > "$d/.beats"
clean() {
 ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n "s|.*/proc/\\([0-9]*\\)/exe -> $d/.*|\\1|p" | while read -r pid; do
   kill -9 "$pid"
 done
 rm -rf "$d"
}
trap clean EXIT HUP INT TERM
( (trap '' HUP; old=-1; quiet=0
 while [ -d "$d" ]; do
   sleep 1
   new=$(wc -c < "$d/.beats" 2>/dev/null) || break
   if [ "$new" = "$old" ]; then quiet=$((quiet + 1)); else quiet=0; old=$new; fi
   [ "$quiet" -lt SILENCE ] || clean
 done) </dev/null >/dev/null 2>&1 & )
echo "$d"
cat > "$d/.beats"
"""


class RemoteDevice(ABC):
    """`name`: as sentences and reports have it; `tools`: a directory with exl-run and exl-bench for the device;
    `engine_library`: ONNX Runtime's, for bundles that need it. To be closed, or used as a context. Raises `DeviceError`
    where the device cannot be reached or its shell does not do what a system for it must."""

    name: str
    _room_advice = "free some, or set TMPDIR there to a folder with more"

    def __init__(self, tools: Path | None = None, engine_library: Path | None = None) -> None:
        self.tools, self.engine_library = tools, engine_library
        self._pushed: dict[str, str] = {}
        self.scratch = ""
        self._folder = tempfile.mkdtemp(prefix="edgexl-device-")
        self._over = threading.Event()
        self._keeper: subprocess.Popen[bytes] | None = None
        try:
            self.about = self._probe()
            self.scratch = self._keep_scratch()
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _client(self, command: str) -> list[str]:
        """The words that have the client run a shell's `command` on the device."""

    @abstractmethod
    def _failed(self, done: Outcome) -> bool:
        """Whether the client itself failed, and the device said nothing."""

    def _copy(self, file: Path, path: str) -> Outcome:
        """Copy a file to `path` on the device."""
        with file.open("rb") as stream:
            return self._call(f"cat > {shlex.quote(path)}", stream=stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Remove the scratch folder, and let the connection go."""
        self._leave()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _leave(self) -> None:
        """Have the keeper remove the scratch folder, or do it without one. A second call does nothing."""
        self._over.set()
        if self._keeper is not None and self._keeper.stdin is not None:
            with contextlib.suppress(OSError):
                self._keeper.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._keeper.wait(timeout=CONNECT_S)
            if self._keeper.poll() != 0 and self.scratch:  # it was killed, and has removed nothing
                with contextlib.suppress(DeviceError):
                    self._call(f"rm -rf {shlex.quote(self.scratch)}", timeout_s=CONNECT_S)
            self._keeper.kill()
        self._keeper = None

    def facts(self) -> DeviceFacts:
        about = self.about
        return DeviceFacts(self.name, about.machine, about.cpu or about.machine, about.cores, timed=True)

    def push(self, file: Path) -> str:
        """Copy a file into the scratch folder, unless it is there. Raises `DeviceError` where there is no room for it,
        or too little memory to answer from it."""
        with open_input(file) as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if digest not in self._pushed:
            size = file.stat().st_size
            self._check_room(file, size)
            path = f"{self.scratch}/{digest[:16]}-{re.sub(r'[^A-Za-z0-9._-]', '_', file.name)[-80:]}"
            copied = self._copy(file, path)
            arrived = self._call(f"wc -c < {shlex.quote(path)}") if not copied.exit_code else copied
            if arrived.exit_code or arrived.stdout.strip() != str(size):
                raise DeviceError(f"{file} could not be copied to {self.name}: {last_line(arrived)}.")
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
        done = self._call(command, text=stdin, timeout_s=timeout_s)
        if done.exit_code > _SIGNALS:
            said = done.stderr.strip() or "it said nothing"
            raise DeviceError(f"{tool} on {self.name} was killed by signal {done.exit_code - _SIGNALS}: {said}")
        return done

    def run_shell(self, script: str) -> str:
        return self._call(script).stdout

    def _check_room(self, file: Path, size: int) -> None:
        if 0 < self.about.disk_bytes < size + (1 << 20):
            raise DeviceError(
                f"{self.name} has {self.about.disk_bytes:,} bytes free in its temporary folder, and {file} has "
                f"{size:,}; {self._room_advice}."
            )
        needed = _needed_memory(file) if self.about.memory_bytes else 0
        if self.about.memory_bytes < needed:
            raise DeviceError(
                f"{self.name} has {self.about.memory_bytes:,} bytes of memory free, and answering from {file} takes "
                f"about {needed:,}; end something that runs there, or compile a smaller bundle."
            )

    def _probe(self) -> SystemFacts:
        """What the device is, by its own commands."""
        done = self._call(PROBE)
        about = read_probe(done.stdout)
        if done.exit_code or about is None:
            raise DeviceError(f"{self.name} has no shell that tells what it is: {last_line(done)}.")
        return about

    def _keep_scratch(self) -> str:
        """The scratch folder, which its keeper on the device removes once this end is silent."""
        self._keeper = subprocess.Popen(
            self._client(_KEEPER.replace("SILENCE", str(SILENCE_S))),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._keeper.stdout is not None
        folder = self._keeper.stdout.readline().decode(errors="replace").strip()
        if not folder.startswith("/"):
            raise DeviceError(f"{self.name} has no temporary folder to work in: {self._room_advice}.")
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

    def _call(self, command: str, text: str = "", stream: BinaryIO | None = None, timeout_s: float = 600) -> Outcome:
        """Run a shell's command on the device. Raises `DeviceError` where the connection fails."""
        return self._call_client(self._client(command), text, stream, timeout_s)

    def _call_client(
        self, words: Sequence[str], text: str = "", stream: BinaryIO | None = None, timeout_s: float = 600
    ) -> Outcome:
        source = subprocess.PIPE if stream is None else stream
        with subprocess.Popen(words, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                stdout, stderr = process.communicate(None if stream else text.encode(), timeout_s)
            except BaseException as error:
                process.kill()
                if not isinstance(error, subprocess.TimeoutExpired):
                    raise
                raise DeviceError(f"{self.name} did not answer within {timeout_s:g} s.") from None
        done = Outcome(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))
        if done.exit_code < 0 or self._failed(done):
            raise DeviceError(f"{self.name} cannot be reached: {last_line(done)}.")
        return done


def last_line(done: Outcome) -> str:
    """The last thing that a command said on standard error, without its full stop."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "it said nothing"


def _needed_memory(file: Path) -> int:
    """About what answering from a bundle takes resident; 0 for any other file."""
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return 0
    bundle = read_bundle(file, verify=False)
    engine = str(bundle.manifest.get("engine"))
    lengths = {Kind(entry.kind): entry.length for entry in bundle.entries if entry.kind in set(Kind)}
    return memory_bytes(lengths, engine) if engine in ENGINE_BYTES else 0
