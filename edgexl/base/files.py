"""How edgexl opens and writes files: every reader opens by `open_input`, every writer writes by `write_file`.

Opening never blocks: a FIFO, a device or a directory where a file belongs is refused in a sentence. A file is written
under a name of its own beside its target, synchronised, and renamed, so that whatever stops the writer, the target
holds the old bytes or the new ones. Directories are written by `edgexl.base.directories`, in the same way.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from edgexl.base.errors import BadInput, DeviceError, EdgexlError

PathLike = str | os.PathLike[str]
# The device has failed or is full; every other reason is the caller's choice of a place.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# File systems end names at 255 bytes; what is added to a name must fit as well.
_LONGEST_STEM_BYTES = 200
# What a file system says that cannot synchronise a directory, which is no failure of the file.
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)


def open_input(path: PathLike) -> BufferedReader:
    """Open a file to read its bytes, without ever waiting for one who writes to it.

    Raises `BadInput` where there is none, it may not be read, or it is a directory, a FIFO, a socket or a device.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise BadInput(f"{os.fspath(path)} cannot be read: it does not exist.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise BadInput(f"{os.fspath(path)} cannot be read: {_reason(error)}.") from None
    try:
        _require_regular(os.fstat(descriptor).st_mode, path, "read")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def check_input(path: PathLike) -> None:
    """Refuse what `open_input` refuses, for a library that opens its files itself."""
    open_input(path).close()


def read_input(path: PathLike, most_bytes: int | None = None) -> bytes:
    """The bytes of a file. Raises `BadInput` as `open_input` does, and for more than `most_bytes`."""
    with open_input(path) as stream:
        try:
            content = stream.read(-1 if most_bytes is None else most_bytes + 1)
        except OSError as error:
            raise BadInput(f"{os.fspath(path)} cannot be read: {_reason(error)}.") from None
    if most_bytes is not None and len(content) > most_bytes:
        raise BadInput(f"{os.fspath(path)} is larger than {most_bytes:,} bytes, which no such file is.")
    return content


def check_output(path: PathLike) -> None:
    """Refuse what `write_file` would refuse, before the work whose result it is to hold."""
    target = real_target(path)
    _old_file(path, target)
    if not target.parent.is_dir():
        raise BadInput(f"{os.fspath(path)}: cannot be written; give a path in a directory that exists.")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise refuse_writing(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


@contextmanager
def write_file(path: PathLike, durable: bool = True) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file `path` when the block ends without an error, and are gone otherwise.

    A symlink is followed and stays; mode and owner of an older file are kept. `durable` waits for the disk; a cache
    that checks what it reads need not. Raises `BadInput` where `path` cannot be written, is a directory or no regular
    file, `DeviceError` where the disk is full or fails.
    """
    target = real_target(path)
    old = _old_file(path, target)
    temporary: Path | None = None
    try:
        _sweep(target)
        temporary, descriptor = _create_beside(target)
        with os.fdopen(descriptor, "wb") as stream:
            if old is not None:
                keep_owner_and_mode(descriptor, old)
            yield stream
            stream.flush()
            if durable:
                os.fsync(descriptor)
            os.replace(temporary, target)
        temporary = None
        if durable:
            sync_directory(target.parent)
    except OSError as error:
        # the block's own errors, which are about other files, are not this one's
        if error.filename is not None and str(error.filename) not in (str(temporary), str(target), str(target.parent)):
            raise
        raise refuse_writing(path, error) from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_bytes(path: PathLike, content: bytes, durable: bool = True) -> None:
    """Write `content` to `path` in one step. Raises as `write_file` does."""
    with write_file(path, durable) as stream:
        stream.write(content)


def write_text(path: PathLike, text: str) -> None:
    """Write UTF-8, with line ends as they are, in one step. Raises as `write_file` does."""
    # halves of surrogate pairs, which names of files can hold, become escapes that JSON reads as well
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def copy_file(source: Path, path: PathLike) -> None:
    """Write the bytes of `source` to `path` in one step; a new file gets its mode, too. Raises as `write_file` does."""
    with open_input(source) as content, write_file(path) as stream:
        shutil.copyfileobj(content, stream)
        if not os.path.exists(path):
            os.fchmod(stream.fileno(), stat.S_IMODE(os.fstat(content.fileno()).st_mode))


def refuse_writing(path: PathLike, error: OSError) -> EdgexlError:
    """Why there can be no file or directory `path`, and what to do; to be raised."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DeviceError(f"{os.fspath(path)}: the disk is full; free some space and try again.")
    if error.errno == errno.EBUSY:
        return BadInput(f"{os.fspath(path)} is a mount point of its own and cannot be replaced; mount its directory.")
    sentence = f"{os.fspath(path)}: cannot be written ({_reason(error)}); choose another place for it."
    return (DeviceError if error.errno in DISK_ERRORS else BadInput)(sentence)


def real_target(path: PathLike) -> Path:
    """Where a path leads, all symlinks followed, whether there is something or not."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise BadInput(f"{os.fspath(path)}: cannot be written ({_reason(error)}).") from None


def keep_owner_and_mode(descriptor: int, old: os.stat_result) -> None:
    """Give what is being written the owner, as far as this user may, and the mode of what it will replace."""
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def sync_directory(directory: Path) -> None:
    """Wait until the disk holds the names in a directory, where its file system can be told to."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise


def name_beside(target: Path, suffix: str) -> Path:
    """A new hidden name in the target's directory, which `names_beside` finds again."""
    return target.with_name(f".{_stem(target)}.{secrets.token_hex(4)}.{suffix}")


def names_beside(target: Path, suffix: str) -> list[Path]:
    """What writers of `target` have left in its directory under names with `suffix`, sorted."""
    pattern = re.compile(rf"\.{re.escape(_stem(target))}\.[0-9a-f]{{8}}\.{suffix}")
    try:
        return sorted(target.parent / name for name in os.listdir(target.parent) if pattern.fullmatch(name))
    except OSError:
        return []


def lock_if_free(path: Path, flags: int = 0) -> int | None:
    """A descriptor that holds the lock on a writer's temporary file or directory; None where its writer lives, or it
    is gone or not ours to open."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if holds(descriptor, path):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def holds(descriptor: int, path: Path) -> bool:
    """Whether an open file or directory is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


def _stem(target: Path) -> str:
    name = os.fsencode(target.name)
    if len(name) <= _LONGEST_STEM_BYTES:
        return target.name
    return f"{os.fsdecode(name[: _LONGEST_STEM_BYTES - 17])}-{hashlib.sha256(name).hexdigest()[:16]}"


def _old_file(path: PathLike, target: Path) -> os.stat_result | None:
    """The file to be replaced, if there is one; `BadInput` for anything that is no file to replace."""
    try:
        old = os.stat(path)
        real = os.stat(target) if os.path.lexists(target) else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refuse_writing(path, error) from None
    _require_regular(old.st_mode, path, "written")
    # /dev/stdout of a deleted or an unnamed file leads to a name that is not its
    if real is None or not os.path.samestat(old, real):
        raise BadInput(f"{os.fspath(path)} is not the name of a file; give the file's own path.")
    return old


def _create_beside(target: Path) -> tuple[Path, int]:
    """A new, empty, locked file; one that another process planted under its name is neither followed nor used."""
    while True:
        path = name_beside(target, "tmp")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o666)
        except FileExistsError:
            continue
        except OSError as error:
            error.filename = str(target)  # whoever reads it knows no temporary names
            raise
        try:
            with contextlib.suppress(OSError):  # a file system without locks: nothing is swept there
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if holds(descriptor, path):
                return path, descriptor
        except BaseException:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        os.close(descriptor)


def _sweep(target: Path) -> None:
    """Delete what writers of `target` left that were killed: files whose lock nobody holds."""
    for path in names_beside(target, "tmp"):
        descriptor = lock_if_free(path)
        if descriptor is not None:
            with contextlib.suppress(OSError):
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    path.unlink()
            os.close(descriptor)


def _require_regular(mode: int, path: PathLike, verb: str) -> None:
    if stat.S_ISDIR(mode):
        raise BadInput(f"{os.fspath(path)} cannot be {verb}: Is a directory; give the path of a file.")
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(mode), "no regular file")
        raise BadInput(f"{os.fspath(path)} cannot be {verb}: it is {kind}; give the path of a regular file.")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
