"""exl-serve over real connections: what it answers, and what it refuses."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from edgexl import __version__
from edgexl.runtime.binding import open_bundle
from edgexl.runtime.library import find_library
from tests.runtime.tiny_bundle import build

TOOL = Path(find_library()).with_name("exl-serve")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native=True).write(tmp_path_factory.mktemp("bundle") / "tiny.exl")


@pytest.fixture(scope="module")
def port(bundle: Path) -> Iterator[int]:
    with subprocess.Popen([TOOL, bundle, "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline().rpartition(":")[2].partition("/")[0])
        server.terminate()


def send(port: int, *parts: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the answer to a request that goes out in these parts."""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        for part in parts:
            connection.sendall(part)
        said = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def request(port: int, target: str, body: bytes | None = None, host: str = "localhost") -> tuple[int, dict[str, Any]]:
    if body is None:
        return send(port, f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return send(port, head, body)


def test_it_answers_as_the_library(port: int, bundle: Path) -> None:
    text = "old kings & cold rivers"
    with open_bundle(bundle) as opened:
        expected = [(label.id, pytest.approx(label.probability, rel=1e-5)) for label in opened.predict(text, 3).labels]
    for target, body in ((f"/predict?text={quote(text)}&k=3", None), ("/predict?k=3", text.encode())):
        status, said = request(port, target, body)
        assert (status, said["text"]) == (200, text)
        assert [(label["id"], label["probability"]) for label in said["labels"]] == expected
    assert request(port, "/predict?text=a+%C3%A4%2B%", None)[1]["text"] == "a ä+%"


def test_it_tells_its_health(port: int) -> None:
    assert request(port, "/health") == (200, {"status": "ok", "version": __version__, "labels": 300})


@pytest.mark.parametrize(
    ("target", "body", "status", "said"),
    [
        ("/", None, 404, "there are /predict and /health"),
        ("/predict", None, 400, "POST a text"),
        ("/predict?k=none", b"king", 400, "k is a whole number from 1"),
        ("/predict?threshold=2", b"king", 400, "threshold is a probability"),
        ("/predict?q=king", None, 400, "this takes text, k and threshold"),
        ("/predict?k=1000", b"king", 422, "shortlist"),
        ("/predict", b"", 422, "no token"),
        ("/predict", b"\xff", 422, "UTF-8"),
    ],
)
def test_what_cannot_be_answered_is_said(port: int, target: str, body: bytes | None, status: int, said: str) -> None:
    code, answer = request(port, target, body)
    assert code == status
    assert said in answer["error"]


def test_a_request_that_is_none_is_refused(port: int) -> None:
    assert request(port, "/health", host="evil.example")[0] == 421
    assert request(port, "/health", host="localhost.evil.example")[0] == 421
    assert send(port, b"GET /health HTTP/1.1\r\n\r\n")[0] == 421
    assert send(port, b"PUT /predict HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 405
    assert send(port, b"POST /predict HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 411
    long = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    assert send(port, long % 70000)[0] == 413
    assert send(port, long.replace(b"%d", b"-1"))[0] == 413
    assert send(port, b"GET /health HTTP/1.1\r\n" + b"x" * (1 << 16))[0] == 431


def test_many_ask_at_a_time_and_some_say_nothing(port: int) -> None:
    silent = socket.create_connection(("127.0.0.1", port))
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda _: request(port, "/predict?k=1", b"old king"), range(40)))
    silent.close()
    assert {status for status, _ in said} == {200}
    assert len({json.dumps(answer["labels"]) for _, answer in said}) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "usage"),
        (["--port", "70000"], 2, "from 0 to 65535"),
        (["{bundle}", "--nothing"], 2, "--nothing is not known"),
        (["{bundle}", "more"], 2, "more is not known"),
        (["none.exl"], 2, "none.exl"),
        (["{bundle}", "--port", "{port}"], 3, "cannot be listened to"),
    ],
)
def test_arguments(port: int, bundle: Path, arguments: list[str], status: int, said: str) -> None:
    words = [word.format(bundle=bundle, port=port) for word in arguments]
    done = subprocess.run([TOOL, *words], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == status
    assert said in done.stderr
