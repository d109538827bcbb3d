"""A real Chromium without a window, driven by its DevTools protocol over a pipe: JSON messages that end in a NUL."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# The sandbox wants rights that a container's root has not; only pages of this project are loaded.
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync")
SECONDS = 30
_KEYS = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40}


def find_chromium() -> str | None:
    """Its path, or None where it is not installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """A tab. `problems` are what went wrong in it: exceptions, and what the console warns of, as a policy broken."""

    def __init__(self, pipe: _Pipe, session: str) -> None:
        self._pipe, self._session = pipe, session
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    @property
    def problems(self) -> list[str]:
        self.evaluate("1")  # events come before the reply to what is asked after them
        found = []
        for event in self._pipe.events:
            method, told = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                found.append(told["exceptionDetails"].get("exception", {}).get("description", "exception"))
            if method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
                found.append(str(told["args"]))
            if method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
                found.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
        return found

    @property
    def requests(self) -> list[str]:
        """The URLs that were asked for."""
        self.evaluate("1")
        sent = [event for event in self._pipe.events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol. Raises `AssertionError` where it is refused."""
        return self._pipe.call(method, parameters, self._session)

    def show(self, width: int, height: int, dark: bool = False) -> None:
        """The window's size, and whether its user prefers dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def go(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def try_call(self, method: str, **parameters: Any) -> None:
        """A command that may be too late."""
        with contextlib.suppress(AssertionError):
            self.call(method, **parameters)

    def event(self, method: str, after: dict[str, Any] | None = None) -> dict[str, Any]:
        """The first event of a kind, or the first one `after` another: waited for."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.evaluate("1")
            found = [event["params"] for event in self._pipe.events if event["method"] == method]
            rest = found[found.index(after) + 1 :] if after else found
            if rest:
                return dict(rest[0])
            time.sleep(0.02)
        raise AssertionError(f"no {method}")

    def forget_problems(self) -> None:
        """Of a test that has looked at them."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        self._pipe.events = [event for event in self._pipe.events if event["method"] not in kinds]

    def evaluate(self, expression: str) -> Any:
        """What an expression gives, awaited. Raises `AssertionError` where it throws."""
        said = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if self.evaluate(f"Boolean({expression})"):
                return
            time.sleep(0.02)
        raise AssertionError(f"never true: {expression}; {self.evaluate('document.body.innerText')}; {self.problems}")

    def text(self, selector: str) -> str:
        """What an element shows."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText"))

    def type(self, text: str) -> None:
        """Type into what has the focus, all at once."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        code = _KEYS.get(key)
        named = {"key": key, "windowsVirtualKeyCode": code} if code else {"key": key, "text": key}
        if key == "Enter":
            named["text"] = "\r"
        self.call("Input.dispatchKeyEvent", type="keyDown", **named)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click(self, selector: str) -> None:
        """A click of the mouse in the middle of an element."""
        script = """(e) => { e.scrollIntoView({block: "center"}); const r = e.getBoundingClientRect();
            return [r.x + r.width / 2, r.y + r.height / 2]; }"""
        x, y = self.evaluate(f"({script})(document.querySelector({json.dumps(selector)}))")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        """The whole page, as PNG."""
        said = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(said["data"]))


class _Pipe:
    """Commands and replies; `events` are what came in between."""

    def __init__(self, commands: int, replies: int) -> None:
        self._commands, self._replies = commands, replies
        self._rest, self._last = b"", 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (said := self._read()).get("id") != self._last:
            self.events.append(said)
        assert "error" not in said, f"{method}: {said['error']}"
        return dict(said["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._replies], [], [], SECONDS)
            part = os.read(self._replies, 1 << 16) if ready else b""
            assert part, "the browser is gone, or says nothing"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browse(chromium: str, profile: Path) -> Iterator[Page]:
    """A browser with one empty page, and nothing of what its user has."""
    commands, replies = os.pipe(), os.pipe()
    # it reads commands from descriptor 3 and writes to 4
    shell = f'exec "$@" 3<&{commands[0]} 4>&{replies[1]}'
    arguments = [chromium, "--remote-debugging-pipe", f"--user-data-dir={profile}", *FLAGS]
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *arguments], pass_fds=(commands[0], replies[1]), stderr=subprocess.DEVNULL
    )
    os.close(commands[0])
    os.close(replies[1])
    pipe = _Pipe(commands[1], replies[0])
    try:
        target = pipe.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = pipe.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        yield Page(pipe, session)
        pipe.call("Browser.close", {})
    finally:
        os.close(commands[1])
        os.close(replies[0])
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
