"""Patches by the C library: a bundle is updated by `update_bundle`, and `code_contents` codes what a patch holds, for
which the private library is needed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgexl.base.arguments import as_path
from edgexl.base.arrays import Bytes
from edgexl.base.errors import DeviceError
from edgexl.runtime.binding import Overlay, make_open_options, point_at_signature
from edgexl.runtime.declarations import read_header
from edgexl.runtime.kernels import address_of
from edgexl.runtime.library import call, check, load_library
from edgexl.runtime.private_library import PrivateLibrary


@dataclass(frozen=True)
class UpdateReport:
    """What an update did: the new bundle's bytes, and of the label file how many labels were carried over (`added`),
    how many compiled ones stay `retired`, and how many changes were `dropped` because the new bundle has them already
    or does not have their label."""

    new_bytes: int
    added: int
    retired: int
    dropped: int


def update_bundle(
    path: str | os.PathLike[str],
    patch: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    engine_library: str | os.PathLike[str] | None = None,
    engine: bool = True,
    labels_path: str | os.PathLike[str] | None = None,
    compiled_only: bool = False,
    progress: Callable[[int, int], None] | None = None,
    keys: Iterable[str | os.PathLike[str]] = (),
    least_version: int = 0,
    signature: bytes | str | os.PathLike[str] | None = None,
    patch_signature: bytes | str | os.PathLike[str] | None = None,
    signed_patch: bool = False,
    overlays: Iterable[Overlay | bytes | str | os.PathLike[str]] = (),
) -> UpdateReport:
    """Make a new bundle of the one at `path` and a `patch`, in its place or at `out`.

    In its place, what was added and retired since the compile is carried over from the label file at `labels_path`
    (default: the bundle's path and ".labels"), unless `compiled_only`. The new bundle must reproduce its goldens before
    it is put in place; without `engine` it need not, and labels cannot be carried over. `engine_library`, and the
    `keys`, `least_version` and `signature` that the new bundle must satisfy, are as in `open_bundle`, and a new
    bundle that would not open with the `overlays` is refused; `progress` is told (bytes written, of how many). Whatever
    fails or is killed leaves the old bundle or the new one.

    With `keys`, a signature of the patch itself is checked before anything is written: `patch_signature`, its bytes or
    its file, or by default what lies beside the patch (".minisig"), if anything does; with `signed_patch` it must.

    Raises `BadInput` for a patch of another bundle or a damaged one, `NotTrusted` where the keys do not accept the
    patch or the new bundle, `GateFailed` where goldens differ, `DeviceError` where files cannot be written,
    `NotDurable` where the new bundle is in place and may not last.
    """
    library, header = load_library(), read_header()
    trust = (keys, least_version, signature)
    opened = make_open_options(engine_library, engine, labels_path, compiled_only, *trust, overlays)
    options = header.make("exl_patch_options", open=ctypes.pointer(opened), signed_patch=signed_patch)
    if patch_signature is not None:
        options.signature, options.signature_bytes = point_at_signature(patch_signature)
    if progress is not None:
        tell = progress
        options.progress = type(options.progress)(lambda _, done, total: tell(done, total))
    report = header.make("exl_patch_report")
    places = (as_path("The bundle", path), as_path("The patch", patch))
    target = None if out is None else as_path("The new bundle", out)
    asked: tuple[Any, ...] = (*places, target, ctypes.byref(options), ctypes.byref(report))
    status, sentence = call(library, "exl_patch", *asked)
    check(status, f"{os.fsdecode(path)}: {sentence}")
    return UpdateReport(report.new_bytes, report.added, report.retired, report.dropped)


def verify_patch(
    header: bytes,
    keys: Iterable[str | os.PathLike[str]],
    signature: bytes | str | os.PathLike[str],
) -> None:
    """Check that one of `keys` has signed the patch whose first 160 bytes, or more, are `header`, and so all of it;
    arguments as in `update_bundle`. Raises `NotTrusted`, and `BadInput` for what is no patch."""
    trust = make_open_options(None, False, None, False, keys, 0, signature)
    status, sentence = call(load_library(), "exl_patch_verify", header, len(header), ctypes.byref(trust))
    check(status, sentence)


def code_contents(old: Bytes, new: Bytes, starts: Sequence[tuple[int, int]]) -> bytes:
    """A patch's contents from `old` to `new`, both turned (`edgexl/bundle/patch.py`). `starts`: where a part of the new
    file begins, and one that is most like it in the old, ascending. Raises `DeviceError` without enough memory."""
    write = PrivateLibrary().function("private_patch_write", ctypes.c_uint64)
    pairs = np.array(starts, np.uint64).reshape(-1, 2)
    capacity = len(new) + len(new) // 8 + 65536
    out = np.empty(capacity, np.uint8)
    files = [(address_of(file), ctypes.c_uint64(len(file))) for file in (old, new)]
    sizes = (address_of(pairs), ctypes.c_size_t(len(pairs)), address_of(out), ctypes.c_uint64(capacity))
    written = write(*files[0], *files[1], *sizes)
    if not 0 < written <= capacity:
        raise DeviceError("There is not enough memory to compare the bundles.")
    return out[:written].tobytes()
