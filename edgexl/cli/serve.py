"""The command that answers over HTTP: serve."""

from __future__ import annotations

import importlib.util
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgexl.base.errors import DeviceError
from edgexl.cli.output import json_option, labels_file_option, print_json
from edgexl.cli.sign import least_version_option, public_keys_option
from edgexl.cli.streams import print_line

if TYPE_CHECKING:
    from edgexl.serve.server import Serving

_EXTRA = ("starlette", "uvicorn")


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: a free one.")
@click.option("--open", "browse", is_flag=True, help="Open the playground in the browser.")
@click.option(
    "--writable/--read-only",
    default=None,
    help="Whether clients may add and retire labels.  [default: where only this machine reaches the server]",
)
@click.option("--name", "names", multiple=True, help="A name that clients call the server by; may be repeated.")
@click.option("--threads", type=click.IntRange(1, 256), default=8, show_default=True, help="Texts answered at a time.")
@public_keys_option
@least_version_option
@labels_file_option
@json_option
def serve(
    bundle: Path,
    host: str,
    port: int,
    browse: bool,
    writable: bool | None,
    names: tuple[str, ...],
    threads: int,
    keys: tuple[str, ...],
    least_version: int,
    labels_file: Path | None,
    as_json: bool,
) -> None:
    """Answer with BUNDLE over HTTP, and show a page to try it.

    The page is at /, the JSON API at /api/, its description at /docs and /openapi.json. Only this machine reaches the
    server unless --host says otherwise. With --key BUNDLE must be signed by one of these keys. Ctrl-C ends it.

    \b
    edgexl serve tags.exl --open
    curl -H 'Content-Type: application/json' localhost:8000/api/predict \\
         -d '{"text": "walnut coffee table, 90 cm", "k": 3}'
    """
    for package in _EXTRA:
        if importlib.util.find_spec(package) is None:
            raise DeviceError(f"The package {package} is not installed; serving needs `pip install 'edgexl[serve]'`.")
    from edgexl.serve.server import serve

    def tell(serving: Serving) -> None:
        if as_json:
            print_json({"bundle": str(bundle), "url": serving.url, "writable": serving.writable})
        else:
            changes = "labels can be changed" if serving.writable else "read-only"
            print_line(f"{bundle} answers at {serving.url} ({changes}); Ctrl-C ends it")
        if browse:
            webbrowser.open(serving.url)

    serve(bundle, host, port, labels_file, threads, writable, names, tell, keys, least_version)
