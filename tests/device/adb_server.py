"""A stand-in for adb's server with a device, for the real adb client: it speaks their protocol over TCP, and runs what
it is given on this machine, in a folder that is the device's /data/local/tmp.

Only what the client needs is here: the services of packages/modules/adb/SERVICES.TXT and SYNC.TXT, and the packets of
shell_protocol.h.
"""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import struct
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SCRATCH = "/data/local/tmp"
_VERSION = b"0029"  # of the server's protocol, in hexadecimal: the client starts another server where it is not its own
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)


@dataclass
class Phone:
    """A device of the stand-in: what it is called, what its features are, whether files can be written there, and the
    paths that were pushed to it."""

    folder: Path
    serial: str = "stand-in-1"
    features: str = "shell_v2,cmd,stat_v2"
    full: bool = False
    pushed: list[str] = field(default_factory=list)

    def path(self, there: str) -> str:
        """A path or a script of the device's, on this machine."""
        return there.replace(SCRATCH, str(self.folder / "tmp"))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    phones: tuple[Phone, ...] = ()


@contextlib.contextmanager
def serve(*phones: Phone) -> Iterator[str]:
    """Serve these devices; the address as $ADB_SERVER_SOCKET takes it."""
    for phone in phones:
        (phone.folder / "tmp").mkdir(parents=True)
        (phone.folder / "bin").mkdir()
        property_of = phone.folder / "bin" / "getprop"
        property_of.write_text(
            "#!/bin/sh\ncase $1 in ro.build.version.sdk) echo 34;; ro.product.model) echo Stand-in;; esac\n"
        )
        property_of.chmod(0o755)
    with _Server(("127.0.0.1", 0), _Talk) as server:
        server.phones = phones
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"tcp:127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class _Talk(socketserver.BaseRequestHandler):
    """A connection: requests to the server until one of them is a device's service, which has the rest."""

    request: socket.socket
    server: _Server

    def handle(self) -> None:
        phone: Phone | None = None
        with contextlib.suppress(ConnectionError):
            while asked := self._read_request():
                if phone is not None:
                    self._serve_device(phone, asked)
                    return
                if asked == "host:version":
                    self.request.sendall(b"OKAY" + _with_length(_VERSION))
                    return
                phone = self._choose(asked)
                if phone is None:
                    return
                if asked.endswith(":features"):
                    self.request.sendall(b"OKAY" + _with_length(phone.features.encode()))
                    return
                # tport: the client is told which device it was given
                self.request.sendall(b"OKAY" + (struct.pack("<Q", 1) if asked.startswith("host:tport") else b""))

    def _choose(self, asked: str) -> Phone | None:
        phones = {phone.serial: phone for phone in self.server.phones}
        words = asked.split(":")
        named = next((serial for serial in phones if serial in words), None)
        if named is not None:
            return phones[named]
        if "serial" in asked or words[1] == "transport" or len(phones) != 1:
            said = "no devices/emulators found" if not phones else "more than one device/emulator"
            wanted = words[-1] if words[0] == "host" else words[1]
            self._fail(f"device '{wanted}' not found" if "serial" in asked else said)
            return None
        return next(iter(phones.values()))

    def _serve_device(self, phone: Phone, asked: str) -> None:
        service, _, command = asked.partition(":")
        if service == "sync":
            self.request.sendall(b"OKAY")
            self._sync(phone)
        elif service.startswith("shell,v2"):
            self.request.sendall(b"OKAY")
            self._run(phone, command)
        else:
            self._fail(f"unknown service {service}")

    # ---- files ---------------------------------------------------------------------------------------------------

    def _sync(self, phone: Phone) -> None:
        while head := self._read(8):
            kind, length = head[:4], struct.unpack("<I", head[4:])[0]
            if kind == b"QUIT":
                return
            text = self._read(length).decode()
            if kind in (b"STA2", b"LST2"):
                self.request.sendall(_status(kind, phone.path(text)))
            elif kind == b"STAT":
                found = _status(b"STA2", phone.path(text))
                mode, size, changed = struct.unpack_from("<24xI12xQ8xq", found)
                self.request.sendall(b"STAT" + struct.pack("<III", mode, size, changed))
            elif kind == b"SEND":
                self._receive(phone, text)
            else:
                raise AssertionError(f"the client asks for {kind!r}")

    def _receive(self, phone: Phone, text: str) -> None:
        path, _, _ = text.rpartition(",")
        content = b""
        while True:
            kind, length = struct.unpack("<4sI", self._read(8))
            if kind == b"DONE":
                break
            content += self._read(length)
        if phone.full:
            said = b"No space left on device"
            self.request.sendall(b"FAIL" + struct.pack("<I", len(said)) + said)
            return
        Path(phone.path(path)).write_bytes(content)
        phone.pushed.append(path)
        self.request.sendall(b"OKAY" + struct.pack("<I", 0))

    # ---- programs ------------------------------------------------------------------------------------------------

    def _run(self, phone: Phone, command: str) -> None:
        environment = {**os.environ, "PATH": f"{phone.folder / 'bin'}:{os.environ['PATH']}"}
        process = subprocess.Popen(
            ["sh", "-c", phone.path(command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=phone.folder, env=environment,
        )  # fmt: skip
        lock = threading.Lock()
        readers = [
            threading.Thread(target=self._forward, args=(stream, kind, lock), daemon=True)
            for stream, kind in ((process.stdout, _STDOUT), (process.stderr, _STDERR))
        ]
        for reader in readers:
            reader.start()
        threading.Thread(target=self._feed, args=(process,), daemon=True).start()
        for reader in readers:
            reader.join()
        status = process.wait()
        with contextlib.suppress(OSError), lock:
            self.request.sendall(struct.pack("<BIB", _EXIT, 1, status if status >= 0 else 128 - status))

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        """What the client sends goes to the program; its end, or the client's, is the end of the program's input."""
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            while head := self._read(5):
                kind, length = struct.unpack("<BI", head)
                content = self._read(length)
                if kind == _STDIN:
                    process.stdin.write(content)
                    process.stdin.flush()
                elif kind == _CLOSE_STDIN:
                    process.stdin.close()
        with contextlib.suppress(OSError):
            process.stdin.close()

    def _forward(self, stream: object, kind: int, lock: threading.Lock) -> None:
        while piece := os.read(stream.fileno(), 4096):  # type: ignore[attr-defined]
            with contextlib.suppress(OSError), lock:
                self.request.sendall(struct.pack("<BI", kind, len(piece)) + piece)

    # ---- bytes ---------------------------------------------------------------------------------------------------

    def _read_request(self) -> str:
        length = self._read(4)
        return self._read(int(length, 16)).decode() if length else ""

    def _read(self, count: int) -> bytes:
        """So many bytes; none where the client is gone."""
        content = b""
        while len(content) < count:
            piece = self.request.recv(count - len(content))
            if not piece:
                return b""
            content += piece
        return content

    def _fail(self, sentence: str) -> None:
        self.request.sendall(b"FAIL" + _with_length(sentence.encode()))


def _with_length(content: bytes) -> bytes:
    return b"%04x" % len(content) + content


def _status(kind: bytes, path: str) -> bytes:
    """A `sync_stat_v2` of a file; its error is ENOENT where there is none."""
    try:
        found = os.stat(path)
    except OSError as error:
        return struct.pack("<4sIQQIIIIQqqq", kind, error.errno or 2, *[0] * 10)
    return struct.pack(
        "<4sIQQIIIIQqqq", kind, 0, found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid,
        found.st_gid, found.st_size, int(found.st_atime), int(found.st_mtime), int(found.st_ctime),
    )  # fmt: skip
