"""`edgexl serve` as a process of its own, and calls of it over real connections."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.command_line import heed_interrupts

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """A status, the headers by their lower-case names, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def refuses(self, status: int, *words: str) -> None:
        """Assert that it is an error of that status, whose sentence holds all `words`."""
        assert (self.status, list(self.json)) == (status, ["error"]), self
        for word in words:
            assert word in self.json["error"], self.json


@dataclass(frozen=True)
class Server:
    """A running server, and the line that it printed."""

    bundle: Path
    said: dict[str, Any]
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return str(self.said["url"])

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """A request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.url).port or 0, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, named, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, value: Any) -> Reply:
        return self.send("POST", path, json.dumps(value), JSON)

    def stop(self) -> int:
        """Ctrl-C, and its exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@contextmanager
def serving(bundle: Path, *options: str) -> Iterator[Server]:
    """A server of the bundle at a free port, which ends with the block."""
    command = [sys.executable, "-m", "edgexl", "serve", str(bundle), "--port", "0", "--json", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heed_interrupts)
    assert process.stdout is not None
    try:
        yield Server(bundle, json.loads(process.stdout.readline()), process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)
        process.stdout.close()
