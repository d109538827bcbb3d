"""The server: a bundle, a socket and uvicorn, from the first check to Ctrl-C."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from edgexl.base.errors import BadInput
from edgexl.runtime.binding import open_bundle
from edgexl.serve.app import make_app
from edgexl.serve.guard import is_loopback
from edgexl.serve.service import Service

_BACKLOG = 256
_CLOSING_SECONDS = 5


@dataclass(frozen=True)
class Serving:
    """Where a server answers, and whether it changes labels."""

    url: str
    writable: bool


def serve(
    bundle: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    labels_file: Path | None = None,
    threads: int = 8,
    writable: bool | None = None,
    names: Collection[str] = (),
    ready: Callable[[Serving], None] = lambda _: None,
    keys: Collection[str] = (),
    least_version: int = 0,
) -> None:
    """Serve `bundle` at `host` and `port` (0 = a free one) until the process is interrupted.

    `threads` texts are answered at a time. Labels can be changed where `writable` says so; by default where nothing but
    this machine reaches the server. `names` are names that clients may call it by, besides its addresses, "localhost"
    and, beyond loopback, this machine's name. `ready` is told once clients can connect. `keys` and `least_version` are
    as in `open_bundle`. Raises `BadInput` for a file
    that is no sound bundle and for an address that cannot be listened at.
    """
    with (
        open_bundle(bundle, labels_path=labels_file, keys=keys, least_version=least_version) as handle,
        start_workers(threads) as workers,
        _listen(host, port) as listener,
    ):
        address, own_port = listener.getsockname()[:2]
        changes = is_loopback(address) if writable is None else writable
        service = Service(handle, bundle, labels_file, changes)
        app = make_app(service, workers, address, {host, *names})
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=_CLOSING_SECONDS,
        )
        shown = f"[{address}]" if ":" in address else address
        ready(Serving(f"http://{shown}:{own_port}/", changes))
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:  # which uvicorn raises once it has closed down after Ctrl-C
            return


@contextmanager
def start_workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """The threads that use the bundle; none does so any more after the block, however often Ctrl-C is pressed."""
    pool = ThreadPoolExecutor(threads, "answer")
    try:
        yield pool
    finally:
        if threading.current_thread() is threading.main_thread():  # no other thread may, nor is one interrupted
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            pool.shutdown(cancel_futures=True)
            signal.signal(signal.SIGINT, before)
        else:
            pool.shutdown(cancel_futures=True)


def _listen(host: str, port: int) -> socket.socket:
    """A socket that clients can connect to from now on; they are answered once the server runs."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise BadInput(f"{host!r} is no address of this machine; give one, such as 127.0.0.1 or 0.0.0.0.") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise BadInput(
                f"Port {port} of {host} is taken; give another one with --port, or --port 0 for a free one."
            ) from None
        what = error.strerror or os.strerror(error.errno or 0)
        raise BadInput(f"The server cannot listen at {host}, port {port} ({what}); give others.") from None
    return listener
