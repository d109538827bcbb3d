"""A local HTTP server that speaks the chat-completions protocol over a real language model, and fails on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from edgexl.distill.teachers.endpoint import Reply
from edgexl.distill.teachers.local_model import LocalModel


class ChatServer:
    """What it was queried with, and what it is to do wrong: `failures` maps a request's number, from 0, to a failure.

    A failure is an HTTP status, or "hang up" (the connection closes without an answer), or "die" (and so do all after).
    """

    def __init__(self, model: LocalModel, base_url: str) -> None:
        self.model = model
        self.base_url = base_url
        self.failures: dict[int, int | str] = {}
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.times: list[float] = []  # monotonic seconds
        self.dead = False
        self.answered = threading.Event()
        self.lock = threading.Lock()

    def failure(self, request: dict[str, Any], key: str | None) -> int | str | None:
        """Note a request down; how it fails, if it does."""
        with self.lock:
            planned = self.failures.get(len(self.requests))
            self.requests.append(request)
            self.keys.append(key)
            self.times.append(time.monotonic())
            self.dead = self.dead or planned == "die"
        return "hang up" if self.dead else planned


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        chat = self.server.chat
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        failure = chat.failure(request, self.headers.get("Authorization"))
        if failure == "hang up":
            self.connection.close()
        elif isinstance(failure, int):
            self._send(failure, {"error": {"message": f"told to fail with {failure}", "code": "told"}})
        elif self.path != "/v1/chat/completions" or request["model"] != "smollm":
            self._send(404, {"error": {"message": "there is no such model"}})
        else:
            reply = chat.model.query(request["messages"], threading.Event())
            self._send(200, _completion(reply))
            chat.answered.set()

    def _send(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status == 429:
            self.send_header("Retry-After", "0.2")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a test's output is its own."""


class _Server(ThreadingHTTPServer):
    chat: ChatServer
    daemon_threads = True


def _completion(reply: Reply) -> dict[str, Any]:
    total = reply.prompt_tokens + reply.completion_tokens
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 0,
        "model": "smollm",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": reply.content},
                "finish_reason": "length" if reply.cut_short else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "total_tokens": total,
        },
    }


@contextmanager
def serving(model: LocalModel) -> Iterator[ChatServer]:
    """A `ChatServer` on a free port of this machine."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.chat = ChatServer(model, f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.chat
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
