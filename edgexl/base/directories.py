"""Directories written as one step: students, data sets and what else is more than one file.

The new directory is filled beside the old one, synchronised, and exchanged with it, after which the old one goes. A
directory that cannot be renamed (a mount point, the working directory, one in a parent that is not ours to write) is
filled inside: complete under a hidden name, which a rename declares to be the new content (`.arriving-*`), and from
there linked into place. Whatever stops a writer, `settle_directory` gives a reader the old content or the new, whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgexl.base.errors import BadInput, EdgexlError
from edgexl.base.files import (
    PathLike,
    holds,
    keep_owner_and_mode,
    lock_if_free,
    name_beside,
    names_beside,
    real_target,
    refuse_writing,
    sync_directory,
)

_INCOMING, _ARRIVING = ".incoming-", ".arriving-"
# Reasons for which a directory stays where it is although its files may be written.
_UNMOVABLE = (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS)
# What a file system says that cannot exchange two names.
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100
# A writer that has everything on the disk is done in a moment.
_PATIENCE_SECONDS = 10.0


@contextmanager
def write_directory(path: PathLike, own: Collection[str] | None = None) -> Iterator[Path]:
    """An empty directory to fill, which becomes `path` when the block ends without an error, and is gone otherwise.

    `own` are the names that such a directory's parts can have: those of an older one go; files by any other name are
    not this writer's and stay. Without it, all of the older one goes. A symlink to a directory is followed and stays.
    Mode and owner are kept. Raises `BadInput` where `path` is a file or cannot be written, `DeviceError` where the disk
    is full or fails.
    """
    target = real_target(path)
    staging: Path | None = None
    descriptor = -1
    try:
        if target.exists() and not target.is_dir():
            raise BadInput(f"{os.fspath(path)} is a file; give the path of a directory.")
        target.parent.mkdir(parents=True, exist_ok=True)
        settle_directory(target, own)
        _sweep(target)
        staging, descriptor = _create_staging(target)
        yield staging
        _put_in_place(staging, target, own)
    except OSError as error:
        # the block's own errors, which are about other files, are not this directory's
        if not _is_about(error, target, staging):
            raise
        raise refuse_writing(path, error) from None
    except EdgexlError as error:
        if staging is None or str(staging) not in str(error):
            raise
        raise type(error)(str(error).replace(str(staging), os.fspath(path))) from None
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        if descriptor >= 0:
            os.close(descriptor)


def settle_directory(path: PathLike, own: Collection[str] | None = None) -> Path:
    """Finish or discard what a writer of `path` left that was stopped; returns the directory to read from.

    That is `path`, but where this user may not write there: then it is the place that holds the content whole.
    """
    target = real_target(path)
    if not os.path.lexists(target):
        return _undo_renames(target) or Path(path)
    began = time.monotonic()
    while arriving := _list_hidden(target, _ARRIVING):
        descriptor = lock_if_free(arriving[-1], os.O_DIRECTORY)
        if descriptor is None:
            if not os.access(arriving[-1], os.R_OK | os.X_OK) or time.monotonic() - began > _PATIENCE_SECONDS:
                return arriving[-1]
            time.sleep(0.02)  # its writer is at it
            continue
        try:
            _finish_arrival(arriving[-1], target, own)
        except OSError:
            return arriving[-1]
        finally:
            os.close(descriptor)
    return Path(path)


def entries(directory: Path) -> set[str]:
    """The names in a directory, without what a file system or a stopped writer puts there."""
    return {name for name in os.listdir(directory) if name != "lost+found" and not _is_ours(name)}


def _is_about(error: OSError, target: Path, staging: Path | None) -> bool:
    """Whether an error is about writing the target, its staging or a parent of them."""
    if error.filename is None:
        return True
    place = os.path.abspath(os.fsdecode(error.filename))
    return str(target).startswith(place) or place.startswith((str(target), str(staging)))


def _is_ours(name: str) -> bool:
    return name.startswith((_INCOMING, _ARRIVING))


def _list_hidden(directory: Path, prefix: str) -> list[Path]:
    try:
        return sorted(directory / name for name in os.listdir(directory) if name.startswith(prefix))
    except OSError:
        return []


def _create_staging(target: Path) -> tuple[Path, int]:
    """A new, locked directory: beside the target, or inside it where it must stay."""
    if not _must_stay(target):
        try:
            return _create(lambda: name_beside(target, "new"))
        except OSError as error:
            if error.errno not in _UNMOVABLE or not target.is_dir():
                raise
    return _create(lambda: target / f"{_INCOMING}{secrets.token_hex(4)}")


def _must_stay(target: Path) -> bool:
    """Whether another directory cannot take this one's place, or not without pulling it from under our feet."""
    if not target.is_dir():
        return False
    with contextlib.suppress(OSError):
        here = Path.cwd()
        if target == here or target in here.parents:
            return True
    return os.path.ismount(target)


def _create(name: Callable[[], Path]) -> tuple[Path, int]:
    while True:
        path = name()
        try:
            path.mkdir()
        except FileExistsError:
            continue
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # a file system without locks: nothing is swept there
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if holds(descriptor, path):
            return path, descriptor
        os.close(descriptor)


def _put_in_place(staging: Path, target: Path, own: Collection[str] | None) -> None:
    if staging.parent == target:
        _arrive(staging, target, own)
        return
    if not target.exists():
        _sync_tree(staging)
        os.rename(staging, target)
        sync_directory(target.parent)
        return
    if own is not None:
        _carry_over(target, staging, own)
    _keep(target, staging)
    _sync_tree(staging)
    try:
        _exchange(staging, target)
    except OSError as error:
        if error.errno not in _UNMOVABLE:
            raise
        # a mount that shows only when it is to be moved
        inside, descriptor = _create(lambda: target / f"{_INCOMING}{secrets.token_hex(4)}")
        try:
            shutil.copytree(staging, inside, symlinks=True, dirs_exist_ok=True)
            _arrive(inside, target, own)
        finally:
            shutil.rmtree(inside, ignore_errors=True)
            os.close(descriptor)
    sync_directory(target.parent)


def _keep(old: Path, new: Path) -> None:
    descriptor = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        keep_owner_and_mode(descriptor, os.stat(old))
    finally:
        os.close(descriptor)


def _carry_over(old: Path, new: Path, own: Collection[str]) -> None:
    """Have the new directory hold, too, what in the old one is not its writer's."""
    for name in sorted(entries(old) - set(own) - set(os.listdir(new))):
        source = old / name
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, new / name, symlinks=True, copy_function=_link_or_copy)
        else:
            _link_or_copy(source, new / name)


def _link_or_copy(source: PathLike, target: PathLike) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # a file system without hard links, or with a limit to their number
        shutil.copy2(source, target, follow_symlinks=False)


def _exchange(new: Path, old: Path) -> None:
    """Put `new` in the place of `old`, in one step where the system has one; the old one is at `new` or gone then."""
    try:
        _exchange_names(new, old)
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
        aside = new.with_suffix(".old")
        os.rename(old, aside)
        os.rename(new, old)  # stopped before this, `_undo_renames` does it
        shutil.rmtree(aside, ignore_errors=True)


def _exchange_names(one: Path, other: Path) -> None:
    """renameat2(2), which Python does not have. Raises OSError, ENOSYS where the C library lacks it."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(other))
    if function(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _undo_renames(target: Path) -> Path | None:
    """Where a writer was stopped between its two renames: put the new directory in place, or the old one back."""
    for aside in names_beside(target, "old"):
        new = aside.with_suffix(".new")
        whole = new if new.is_dir() else aside
        descriptor = lock_if_free(whole, os.O_DIRECTORY)
        if descriptor is None:
            continue
        try:
            os.rename(whole, target)
        except OSError:
            return target if target.is_dir() else whole
        finally:
            os.close(descriptor)
        return None
    return None


def _arrive(incoming: Path, target: Path, own: Collection[str] | None) -> None:
    """Declare `incoming`, inside the target, to be its content, and put it in place."""
    _sync_tree(incoming)
    arriving = target / incoming.name.replace(_INCOMING, _ARRIVING)
    os.rename(incoming, arriving)
    sync_directory(target)
    _finish_arrival(arriving, target, own)


def _finish_arrival(arriving: Path, target: Path, own: Collection[str] | None) -> None:
    """Link every file into place, so that `arriving` is whole until all are, then drop it. May be done again."""
    for folder, folders, files in os.walk(arriving):
        place = target / Path(folder).relative_to(arriving)
        if place.is_symlink() or not place.is_dir():
            _remove(place)
            place.mkdir()
        # a link to a directory is listed among the folders, and is put in place as a file is
        for name in [*files, *(name for name in folders if os.path.islink(os.path.join(folder, name)))]:
            if (place / name).is_dir():
                _remove(place / name)
            temporary = place / f"{_INCOMING}{secrets.token_hex(4)}"
            _link_or_copy(Path(folder) / name, temporary)
            os.replace(temporary, place / name)
    for name in (entries(target) if own is None else set(own)) - set(os.listdir(arriving)):
        _remove(target / name)
    sync_directory(target)
    spent = target / arriving.name.replace(_ARRIVING, _INCOMING)
    os.rename(arriving, spent)
    shutil.rmtree(spent, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_tree(directory: Path) -> None:
    for folder, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(folder))


def _sweep(target: Path) -> None:
    """Delete what writers of `target` left that were killed: directories whose lock nobody holds."""
    left = [*names_beside(target, "new"), *names_beside(target, "old")]
    if target.is_dir():
        left += _list_hidden(target, _INCOMING)
    for path in left:
        if path.suffix == ".old" and path.with_suffix(".new").exists():
            continue  # its writer may be between its two renames
        descriptor = lock_if_free(path)
        if descriptor is not None:
            with contextlib.suppress(OSError):
                _remove(path)
            os.close(descriptor)
