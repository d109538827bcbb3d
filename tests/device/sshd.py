"""A real sshd on loopback, for one test: with keys of its own, without root's help, and a client configuration that
knows it as `device`."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SERVER = "/usr/sbin/sshd"


def why_no_server() -> str:
    """Why no sshd can be started here; empty where one can be."""
    if not Path(SERVER).exists() or shutil.which("ssh-keygen") is None:
        return "OpenSSH's server is not installed (openssh-server)"
    return ""


@dataclass(frozen=True)
class Server:
    """Where it listens, what it says, the folder that sessions have for temporary files, and its process."""

    address: str
    folder: Path
    scratch: Path
    process: subprocess.Popen[bytes]

    @property
    def client(self) -> tuple[str, ...]:
        """The client with the keys for it, as `ssh.CLIENT`."""
        return ("ssh", "-F", str(self.folder / "home" / ".ssh" / "config"))

    def sessions(self) -> list[int]:
        """The processes below the server."""
        return [int(pid) for pid in _children(self.process.pid)]


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Start it, with `HOME` for the client within the folder."""
    home, scratch = folder / "home", folder / "device"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    scratch.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host", "PidFile": folder / "pid",
        "AuthorizedKeysFile": folder / "authorized", "PasswordAuthentication": "no", "UsePAM": "no",
        "StrictModes": "no", "SetEnv": f"TMPDIR={scratch}",
    }  # fmt: skip
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    host = (folder / "host.pub").read_text().rsplit(" ", 1)[0]
    (home / ".ssh" / "known").write_text(f"[127.0.0.1]:{port} {host}\n")
    (home / ".ssh" / "config").write_text(
        f"Host device\n  HostName 127.0.0.1\n  Port {port}\nHost *\n  User {getpass.getuser()}\n"
        f"  IdentityFile {folder / 'user'}\n  UserKnownHostsFile {home / '.ssh' / 'known'}\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where root's sshd parts from its privileges
    log = (folder / "log").open("wb")
    process = subprocess.Popen([SERVER, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield Server(f"ssh://127.0.0.1:{port}", folder, scratch, process)
    finally:
        for pid in _children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        process.kill()
        process.wait()
        log.close()


def _children(pid: int) -> list[str]:
    """All processes below one, those of sessions first."""
    done = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = [line.split() for line in done.stdout.splitlines()]
    found, level = [], [str(pid)]
    while level:
        level = [child for child, parent in parents if parent in level]
        found += level
    return found[::-1]
