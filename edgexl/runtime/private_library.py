"""libedgexl_private, which the build installs beside libedgexl: the same objects, whose private functions it shows one
by one. `kernels.py` is its numpy face for the compiler, benchmarks/kernels.py and native.py are those for benchmarks
and tests. What else Python is to call is added to `private/private.c`.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from edgexl.base.errors import DeviceError
from edgexl.runtime.library import find_library


class PrivateLibrary:
    """The library at `path`, by default the installed one. Raises `DeviceError` where there is none.

    `private_` functions are its own; what it only shows is the library's own function, whose name begins with `exl__`.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            public = find_library()
            path = public.with_name(public.name.replace("libedgexl", "libedgexl_private"))
        if not path.is_file():
            raise DeviceError(f"The library {path} is not there; run `make lib`, or install edgexl with pip.")
        self._c = ctypes.CDLL(str(path))

    def function(self, name: str, result: Any = ctypes.c_int) -> Any:
        """A function that takes whatever it is called with, and gives a `result`."""
        if name.startswith("exl__"):
            return ctypes.CFUNCTYPE(result)(ctypes.c_void_p.in_dll(self._c, f"shown_{name}").value or 0)
        found = getattr(self._c, name)
        found.restype = result
        return found
