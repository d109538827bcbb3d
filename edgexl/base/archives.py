"""Archives whose bytes depend on what is in them alone: no time, no owner, no order of a directory's."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.errors import BadInput

# The first moment that a zip archive can tell.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Member:
    """A file of an archive, or, with `link`, a symbolic link to that path."""

    content: bytes
    mode: int = 0o644
    link: str = ""


def pack_tar_gz(members: Mapping[str, Member], folders: bool = False) -> bytes:
    """A gzipped tar; `members` by their paths. `folders`: with an entry for each folder, before what is in it."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", 6, packed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        made: set[str] = set()
        for name, member in sorted(members.items()):
            parts = name.split("/")
            for folder in ("/".join(parts[:end]) for end in range(1, len(parts))) if folders else ():
                if folder not in made and folder != ".":
                    made.add(folder)
                    entry = tarfile.TarInfo(f"{folder}/")
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(entry)
            entry = tarfile.TarInfo(name)
            if member.link:
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, member.link, 0o777
                archive.addfile(entry)
            else:
                entry.size, entry.mode = len(member.content), member.mode
                archive.addfile(entry, io.BytesIO(member.content))
    return packed.getvalue()


def pack_ar(members: Mapping[str, bytes]) -> bytes:
    """A Unix archive, as a Debian package is one, in the order of `members`, whose names have 15 characters at most."""
    parts = [b"!<arch>\n"]
    for name, content in members.items():
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{0o100644:<8o}{len(content):<10}`\n"
        parts += [head.encode("ascii"), content, b"\n" * (len(content) % 2)]
    return b"".join(parts)


def read_ar(archive: bytes) -> dict[str, bytes]:
    """The members of an archive that `pack_ar` or Debian's tools made, by name. Raises `ValueError` for anything
    else."""
    if not archive.startswith(b"!<arch>\n"):
        raise ValueError("it does not begin as an ar archive does")
    members, at = {}, 8
    while at + 60 <= len(archive):
        head = archive[at : at + 60]
        if head[58:] != b"`\n":
            raise ValueError(f"there is no member at byte {at}")
        digits = head[48:58].rstrip(b" ")
        if not digits.isdigit():  # a minus would lead back to this very member, for ever
            raise ValueError(f"the member at byte {at} has no size")
        size = int(digits)
        members[head[:16].decode("ascii").rstrip(" /")] = archive[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    return members


def open_deb(path: Path) -> tarfile.TarFile:
    """The files of a Debian package. Raises `BadInput` where it holds none."""
    members = read_ar(path.read_bytes())
    name = next((each for each in members if each.startswith("data.tar")), "")
    if not name:
        raise BadInput(f"{path} holds no data.tar; delete it, and it is fetched anew.")
    return tarfile.open(fileobj=io.BytesIO(members[name]))


def pack_zip(members: Mapping[str, Member], stored: frozenset[str] = frozenset()) -> bytes:
    """A zip archive in the order of `members`; those of `stored` are not compressed. It has no links."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, member in members.items():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.create_system = 3  # Unix: modes count
            entry.external_attr = (0o100000 | member.mode) << 16
            how = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.content, how, 6)
    return packed.getvalue()
