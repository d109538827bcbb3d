"""The ASGI application: routes, JSON in and out, and which error is which status.

An error is {"error": one sentence}: 400 for what is no JSON, 403 for changes to a read-only server, 404 for a label or
a path that there is not, 409 for a change that the label set does not allow, 413 for a body too large, 415 for one that
does not call itself JSON, 422 for a request that says something unusable, 500 for a fault of edgexl, 503 where the
device cannot do it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from edgexl.base import strict_json
from edgexl.base.errors import BadInput, DeviceError
from edgexl.base.shipped import shipped_folder
from edgexl.runtime.binding import LabelExists, NoSuchLabel
from edgexl.serve.endpoints import ENDPOINTS, Endpoint
from edgexl.serve.guard import Guard
from edgexl.serve.openapi import describe
from edgexl.serve.requests import read, read_query
from edgexl.serve.service import Service
from edgexl.use.labels import WouldForget

MOST_BODY_BYTES = 1 << 20
BODY_SECONDS = 30  # a client that sends no body would keep its connection for ever
# The files a browser may load: path -> (file, what it is).
_FILES = {
    "/": ("serve/page/playground.html", "text/html"),
    "/docs": ("serve/page/docs.html", "text/html"),
    "/playground.js": ("serve/page/playground.js", "text/javascript"),
    "/shared.js": ("serve/page/shared.js", "text/javascript"),
    "/docs.js": ("serve/page/docs.js", "text/javascript"),
    "/tokens.css": ("report/tokens.css", "text/css"),
    "/style.css": ("serve/page/style.css", "text/css"),
    "/icon.svg": ("serve/page/icon.svg", "image/svg+xml"),
}


def make_app(service: Service, workers: Executor, host: str, names: Collection[str] = ()) -> Starlette:
    """The application over `service`, whose work `workers` do, for a server that listens at `host`, an address, and is
    called by `names`, too."""
    document = _respond(describe(ENDPOINTS, service.bundle.name))
    routes = [Route(one.path, _answer_by(one, service, workers), methods=[one.method]) for one in ENDPOINTS]
    routes += [Route(path, _file(*file)) for path, file in _FILES.items()]
    routes += [Route("/openapi.json", lambda _: document)]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, host=host, names=names)],
        exception_handlers={HTTPException: _say_http},
    )


def _answer_by(endpoint: Endpoint, service: Service, workers: Executor) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        try:
            if endpoint.changes and not service.writable:
                raise HTTPException(403, "This server does not change labels; start it with --writable to have it do.")
            is_get = endpoint.method == "GET"
            given = dict(request.query_params) if is_get else await _read_json(request)
            asked: Any = (read_query if is_get else read)(given, endpoint.takes)
            work = asyncio.get_running_loop().run_in_executor(workers, endpoint.does, service, asked)
            return _respond(await work)
        except (HTTPException, ClientDisconnect):
            raise
        except asyncio.CancelledError:  # after Ctrl-C; what a worker has begun it ends all the same
            return _say(503, "The server is closing down.")
        except Exception as error:
            return _say(_status_of(error), _sentence_of(error))

    return answer


async def _read_json(request: Request) -> Any:
    """The body's JSON value. Raises `HTTPException` for a body that is too large, too slow, or no JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "Send the body as JSON, with the header Content-Type: application/json.")
    too_large = HTTPException(413, f"The body is larger than {MOST_BODY_BYTES:,} bytes; send less at once.")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length[:20]) > MOST_BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BODY_BYTES:
                    raise too_large
    except TimeoutError:
        raise HTTPException(408, f"The body did not come within {BODY_SECONDS} seconds.") from None
    try:
        return strict_json.parse(bytes(body))
    except ValueError as error:
        raise HTTPException(400, f"The body is not readable JSON ({error}).") from None


def _status_of(error: Exception) -> int:
    match error:
        case NoSuchLabel():
            return 404
        case LabelExists() | WouldForget():
            return 409
        case BadInput():
            return 422
        case DeviceError():
            return 503
        case _:
            return 500


def _sentence_of(error: Exception) -> str:
    if isinstance(error, BadInput | DeviceError):
        return str(error)
    if os.environ.get("EDGEXL_DEBUG"):
        traceback.print_exception(error)
    told = f"{type(error).__name__}: {error}"
    print(f"edgexl: {told[:300]}; this is a fault of edgexl", file=sys.stderr, flush=True)
    return "This is a fault of edgexl; its terminal says more."


def _say_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    plain = {404: "There is no such path; /docs lists those there are.", 405: "The path takes another method."}
    return _say(error.status_code, plain.get(error.status_code, error.detail), error.headers)


def _say(status: int, sentence: str, headers: Any = None) -> Response:
    return _respond({"error": sentence}, status, headers)


def _respond(value: Any, status: int = 200, headers: Any = None) -> Response:
    # halves of surrogate pairs, which a request can hold, become escapes again
    content = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    return Response(content, status, {"Cache-Control": "no-store"} | dict(headers or {}), "application/json")


def _file(name: str, kind: str) -> Callable[[Request], Any]:
    folder, _, file = name.rpartition("/")
    content = (shipped_folder(folder) / file).read_bytes()

    async def give(_: Request) -> Response:
        return Response(content, headers={"Cache-Control": "no-cache"}, media_type=kind)

    return give
