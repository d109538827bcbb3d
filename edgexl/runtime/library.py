"""libedgexl: where it is, where ONNX Runtime is, and how a call of it ends.

A status of the C library becomes an exception: its 1xx and 3xx are the caller's and the file's fault (`BadInput`), a
file that cannot be read among them; 2xx and 4xx are the device's (`DeviceError`; `NotDurable` where a change was made,
but may not outlive a power cut), and a failed self-test is a failed gate (`GateFailed`).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput, DeviceError, GateFailed, NotDurable
from edgexl.runtime.declarations import read_header


class EmptyText(BadInput):
    """A text without a token: empty, or nothing but blanks and control characters."""


class NoSuchLabel(BadInput):
    """The label set has no label by that name."""


class LabelExists(BadInput):
    """The label set has a label with the id of one that is to be added."""


class NotTrusted(BadInput):
    """A bundle that the keys given do not accept: not signed, by another key, changed since, or of an old version."""


@lru_cache(maxsize=1)
def load_library() -> ctypes.CDLL:
    """libedgexl with its functions declared; loaded once."""
    path = find_library()
    try:
        return read_header().declare(ctypes.CDLL(str(path)))
    except (OSError, AttributeError) as error:
        raise DeviceError(f"The runtime library {path} cannot be used: {error}.") from None


def call(library: ctypes.CDLL, function: str, *arguments: Any) -> tuple[int, str]:
    """The status that a function of the library gives, and its sentence."""
    error = read_header().make("exl_error")
    status = getattr(library, function)(*arguments, ctypes.byref(error))
    return status, error.sentence.decode("utf-8", "replace")


def check(status: int, sentence: str) -> None:
    """Raise what a status stands for."""
    if status == 0:
        return
    message = sentence + ("" if sentence.endswith(".") else ".")
    constants = read_header().constants
    kinds = {
        "EXL_SELF_TEST_FAILED": GateFailed, "EXL_NOT_DURABLE": NotDurable, "EXL_EMPTY_TEXT": EmptyText,
        "EXL_NO_SUCH_LABEL": NoSuchLabel, "EXL_LABEL_EXISTS": LabelExists, "EXL_NOT_SIGNED": NotTrusted,
        "EXL_UNKNOWN_KEY": NotTrusted, "EXL_BAD_SIGNATURE": NotTrusted, "EXL_VERSION_TOO_OLD": NotTrusted,
    }  # fmt: skip
    raised = {constants[name]: kind for name, kind in kinds.items()}
    is_input = status // 100 in (1, 3) or status == constants["EXL_FILE_UNREADABLE"]
    raise raised.get(status, BadInput if is_input else DeviceError)(message)


def find_library() -> Path:
    """The path of libedgexl: $EDGEXL_LIBRARY, or where the build puts it. Raises `DeviceError` where it is not."""
    named = os.environ.get("EDGEXL_LIBRARY")
    path = Path(named) if named else Path(__file__).parent / "lib" / f"libedgexl{_suffix()}"
    if not path.is_file():
        hint = "correct $EDGEXL_LIBRARY" if named else "run `make lib`, or install edgexl with pip, which builds it"
        raise DeviceError(f"The runtime library {path} is not there; {hint}.")
    return path


def find_engine_library() -> Path:
    """The path of ONNX Runtime's C library: $EDGEXL_ORT_LIBRARY, or inside the installed `onnxruntime` package.

    The package is not imported. Raises `DeviceError` with the way to get the library where it is not found.
    """
    named = os.environ.get("EDGEXL_ORT_LIBRARY")
    if named:
        if not Path(named).is_file():
            raise DeviceError(f"$EDGEXL_ORT_LIBRARY names {named}, which is not there; correct it.")
        return Path(named)
    package = importlib.util.find_spec("onnxruntime")
    for place in package.submodule_search_locations or () if package else ():
        found = sorted(Path(place, "capi").glob(f"libonnxruntime*{_suffix()}*"))
        found = [path for path in found if "providers" not in path.name]
        if found:
            return found[0]
    raise DeviceError(
        "ONNX Runtime is not installed; run `pip install onnxruntime`, or set $EDGEXL_ORT_LIBRARY to the path of "
        f"libonnxruntime{_suffix()}."
    )


def engine_library_if_any() -> Path | None:
    """`find_engine_library`, or None where there is none: bundles for the native engine need none, and others are
    refused by the runtime with a sentence of its own. Raises `DeviceError` where $EDGEXL_ORT_LIBRARY names no file.
    """
    if not os.environ.get("EDGEXL_ORT_LIBRARY") and importlib.util.find_spec("onnxruntime") is None:
        return None
    return find_engine_library()


def _suffix() -> str:
    return ".dylib" if sys.platform == "darwin" else ".so"
