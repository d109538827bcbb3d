"""Who may call: a request must name this server as its host, and a page of another origin gets nothing.

A page anywhere can make its reader's browser send requests to a server on loopback, and, by letting its own name point
there (DNS rebinding), read the answers. Neither works where the Host header must be a name that only this server has,
and requests that a browser marks as of another origin are refused. No CORS header is ever sent.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The pages load their own files alone, and nothing may frame them.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_LOOPBACK = frozenset({"localhost"})


class Guard:
    """Middleware around `app`. `host` is the address that the server listens at, `names` are other names it has."""

    def __init__(self, app: ASGIApp, host: str, names: Collection[str] = ()) -> None:
        self._app, self._loopback = app, is_loopback(host)
        own = _LOOPBACK if self._loopback else _LOOPBACK | {host.lower(), socket.gethostname().lower()}
        self._names = own | {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                into = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    into.setdefault(name, value)
            await send(message)

        if not self._is_own(host := headers.get("host", "")):
            await _refuse(421, f"This server is not called {host[:80]!r}; call it by its address.", send_guarded)
        elif scope["path"].startswith("/api/") and not _is_same_origin(headers):
            await _refuse(403, "A page of another origin may not call this server.", send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _is_own(self, host: str) -> bool:
        """Whether a Host header names this server: a name of its own, or an address, which nobody can let a name of
        theirs be; on loopback such a one."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOOPBACK


def _is_same_origin(headers: Headers) -> bool:
    """Whether no browser says that the request comes from elsewhere; what is no browser says nothing."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()


async def _refuse(status: int, sentence: str, send: Send) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
