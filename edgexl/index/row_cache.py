"""What becomes of an index's rows, remembered on disk between compiles: their token ids and their vectors, and the
tables of a tokenizer. Encoding is the longest step, and other bits do not change it.

A cache and nothing more. An entry is named by a hash of all that its arrays depend on and is sealed, so that a damaged
one is made again; entries are put in place in one step; and all together stay below a bound,
those that were used the longest ago giving way. Deleting any of it costs time alone.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgexl.base.arrays import Array
from edgexl.base.errors import BadInput, EdgexlError
from edgexl.base.fetch import cache_directory
from edgexl.base.sealed import SEAL_BYTES, is_sealed, write_sealed

# MeSH with all its aliases takes 689 MB: this holds a few such students.
DEFAULT_BYTES = 4 << 30
BYTES_SETTING = "EDGEXL_ROW_CACHE_BYTES"
# No compile takes as long: what is older was left behind by one that was killed while it wrote.
_STALE_SECONDS = 86_400


@dataclass(frozen=True)
class RowCache:
    """Arrays in `place`, by key; together at most `most_bytes`, 0 remembering nothing."""

    place: Path
    most_bytes: int

    @classmethod
    def of_user(cls) -> RowCache:
        """The user's own, bounded by EDGEXL_ROW_CACHE_BYTES (4 GiB where unset). Raises `BadInput` where that is no
        number of bytes."""
        setting = os.environ.get(BYTES_SETTING, "")
        if setting and not setting.isdecimal():
            raise BadInput(f"{BYTES_SETTING} is '{setting}'; give it a whole number of bytes, or 0 to keep nothing.")
        try:
            place = cache_directory() / "rows"
        except BadInput:  # no home: nothing is remembered
            return cls(Path(os.devnull), 0)
        return cls(place, int(setting) if setting else DEFAULT_BYTES)

    def get(self, key: str, count: int) -> list[Array] | None:
        """The `count` arrays under `key`; None where there are none that are whole."""
        if self.most_bytes == 0:  # turned off: what an earlier run has left does not count either
            return None
        path = self._path(key)
        try:
            if not is_sealed(path):
                return None
            with open(path, "rb") as stream:
                arrays = [np.load(stream, allow_pickle=False) for _ in range(count)]
                if stream.tell() != path.stat().st_size - SEAL_BYTES:
                    return None
            os.utime(path)  # used just now
        except (OSError, ValueError, EOFError):
            return None
        return arrays

    def put(self, key: str, *arrays: Array) -> None:
        """Remember `arrays`. A cache that cannot be written (full disk, no home) costs time, not the compile."""
        path = self._path(key)
        held_bytes = sum(array.nbytes for array in arrays)
        if held_bytes > self.most_bytes:
            return
        with contextlib.suppress(OSError, EdgexlError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(held_bytes, path)
            with write_sealed(path) as stream:
                for array in arrays:
                    np.save(stream, array)

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
