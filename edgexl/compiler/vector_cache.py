"""Encoded rows, remembered on disk between compiles: encoding is the longest step, and other bits do not change it.

A cache and nothing more. An entry is named by a hash of all that its vectors depend on and ends with a hash of its own
bytes, so that a damaged one is made again; entries are put in place in one step; and all together stay below a bound,
those that were used the longest ago giving way. Deleting any of it costs time alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgexl.errors import BadInput
from edgexl.fetch import cache_directory

Floats = npt.NDArray[np.float32]

# MeSH with all its aliases takes 689 MB: this holds a few such students.
DEFAULT_BYTES = 4 << 30
BYTES_SETTING = "EDGEXL_VECTOR_CACHE_BYTES"
_DIGEST_BYTES = 32
# No compile takes as long: what is older was left behind by one that was killed while it wrote.
_STALE_SECONDS = 86_400


@dataclass(frozen=True)
class VectorCache:
    """Vectors in `place`, by key; together at most `most_bytes`, 0 remembering nothing."""

    place: Path
    most_bytes: int

    @classmethod
    def of_user(cls) -> VectorCache:
        """The user's own, bounded by EDGEXL_VECTOR_CACHE_BYTES (4 GiB where unset). Raises `BadInput` where that is no
        number of bytes."""
        setting = os.environ.get(BYTES_SETTING, "")
        if setting and not setting.isdecimal():
            raise BadInput(f"{BYTES_SETTING} is '{setting}'; give it a whole number of bytes, or 0 to keep nothing.")
        return cls(cache_directory() / "vectors", int(setting) if setting else DEFAULT_BYTES)

    def get(self, key: str, rows: int) -> Floats | None:
        """The vectors [rows, D] under `key`, float32; None where there are none that are whole."""
        if self.most_bytes == 0:  # turned off: what an earlier run has left does not count either
            return None
        path = self._path(key)
        try:
            with open(path, "rb") as stream:
                vectors = np.load(stream, allow_pickle=False)
                digest = stream.read()
            if vectors.ndim != 2 or len(vectors) != rows or vectors.dtype != np.float32 or digest != _digest(vectors):
                return None
            os.utime(path)  # used just now
        except (OSError, ValueError, EOFError):
            return None
        found: Floats = vectors
        return found

    def put(self, key: str, vectors: Floats) -> None:
        """Remember `vectors` [rows, D]. A cache that cannot be written (full disk, no home) costs time, not the
        compile.
        """
        path = self._path(key)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        if vectors.nbytes > self.most_bytes:
            return
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(vectors.nbytes, path)
            try:
                with open(temporary, "wb") as stream:
                    np.save(stream, vectors)
                    stream.write(_digest(vectors))
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)

    def _make_room(self, wanted_bytes: int, for_path: Path) -> None:
        """Delete what was used the longest ago until `wanted_bytes` more fit, and what killed compiles left."""
        kept = []
        for path in self.place.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another compile may be making room too
                known = path.stat()
                if path.suffix == ".npy" and path != for_path:
                    kept.append((known.st_mtime, path.name, known.st_size))
                elif path.suffix == ".tmp" and known.st_mtime < time.time() - _STALE_SECONDS:
                    path.unlink()
        held = sum(size for _, _, size in kept)
        for _, name, size in sorted(kept):
            if held + wanted_bytes <= self.most_bytes:
                break
            (self.place / name).unlink(missing_ok=True)
            held -= size

    def _path(self, key: str) -> Path:
        return self.place / f"{key}.npy"


def _digest(vectors: Floats) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(vectors).data).digest()
