"""`edgexl diff`: the patch that makes one bundle of another (docs/updates.md)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.base.files import check_output, write_bytes
from edgexl.bundle.patch import identity, pack_patch, turn
from edgexl.bundle.read import read_bundle
from edgexl.runtime.patches import code_contents


@dataclass(frozen=True)
class Difference:
    """What a patch takes: its bytes, both bundles', the names of the sections that differ, and the time in seconds."""

    patch_bytes: int
    old_bytes: int
    new_bytes: int
    changed: tuple[str, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """With the keys of `diff --json`."""
        return {
            "patch_bytes": self.patch_bytes,
            "old_bytes": self.old_bytes,
            "new_bytes": self.new_bytes,
            "share": self.patch_bytes / self.new_bytes,
            "changed": list(self.changed),
            "seconds": self.seconds,
        }


def write_patch(
    old_path: str | os.PathLike[str], new_path: str | os.PathLike[str], out: str | os.PathLike[str]
) -> Difference:
    """Write to `out` the patch that makes the bundle at `new_path` of the one at `old_path`; both are checked first.

    Equal bundles give equal patches. Takes memory for both and about twice the old one more. Raises `BadInput` where
    one is no sound bundle or both are the same, or `out` cannot be written.
    """
    begun = time.monotonic()
    check_output(out)
    old, new = read_bundle(old_path), read_bundle(new_path)
    if identity(old) == identity(new):
        raise BadInput(
            f"{os.fspath(old_path)} and {os.fspath(new_path)} are the same bundle: there is nothing to update."
        )
    before = {entry.kind: entry for entry in old.entries}
    starts = [(0, 0)]
    starts += [(entry.offset, before[entry.kind].offset) for entry in new.entries if entry.kind in before]
    patch = pack_patch(old, new, code_contents(turn(old), turn(new), starts))
    write_bytes(out, patch)
    changed = tuple(
        entry.name for entry in new.entries if entry.kind not in before or before[entry.kind].sha256 != entry.sha256
    )
    return Difference(len(patch), old.file_bytes, new.file_bytes, changed, time.monotonic() - begun)
