"""What a pass found out by trying, remembered between compiles: which code keeps most, what words weigh, what a stage
reaches. It depends on much and is little itself, so that a hash of all that it depends on finds it again.

It lies in the row cache (`edgexl.index.row_cache`), and goes when the code or a library that made it does.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edgexl.base.arrays import Array
from edgexl.index.row_cache import RowCache

_LIBRARIES = ("numpy", "onnxruntime", "tokenizers")


def remembered(name: str, parts: Iterable[bytes | memoryview | str | Array], find_out: Callable[[], Any]) -> Any:
    """What `find_out` returns, as JSON has it, or returned when it was called by this `name` with the same `parts`,
    which are all that it depends on."""
    cache = RowCache.of_user()
    if cache.most_bytes == 0:
        return find_out()
    key = _key(name, parts)
    if known := cache.get(key, 1):
        return json.loads(known[0].tobytes())
    found = find_out()
    cache.put(key, np.frombuffer(json.dumps(found).encode(), np.uint8))
    return found


def _key(name: str, parts: Iterable[bytes | memoryview | str | Array]) -> str:
    digest = hashlib.sha256(_made_by() + name.encode())
    for part in parts:
        if isinstance(part, np.ndarray):
            about, content = f"{part.dtype}{part.shape}", np.ascontiguousarray(part).view(np.uint8).data
        else:
            about, content = "", memoryview(part.encode() if isinstance(part, str) else part)
        digest.update(f"|{about}{content.nbytes}|".encode())
        digest.update(content)
    return digest.hexdigest()


@functools.cache
def _made_by() -> bytes:
    """A hash of this package's code and of the libraries' versions."""
    digest = hashlib.sha256()
    root = Path(__file__).parent.parent
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}".encode() + path.read_bytes())
    for library in _LIBRARIES:
        try:
            digest.update(f"{library} {importlib.metadata.version(library)}".encode())
        except importlib.metadata.PackageNotFoundError:
            digest.update(library.encode())
    return digest.digest()
