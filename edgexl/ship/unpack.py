"""What is in a package: the files of tarballs, wheels, npm and Debian packages."""

from __future__ import annotations

import io
import tarfile
import zipfile

ENDS = (".tar.gz", ".tgz", ".whl", ".deb")


def unpack(name: str, content: bytes) -> dict[str, bytes]:
    """The files of a package, links left out, by their paths; `name`: its own. Raises what Python's readers of archives
    do, or `ValueError`, where it is none."""
    if name.endswith(".whl"):
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            return {each: wheel.read(each) for each in wheel.namelist()}
    if name.endswith(".deb"):
        content = _member_of_ar(content, "data.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        found = {}
        for member in archive:
            if member.isreg() and (stream := archive.extractfile(member)) is not None:
                found[member.name.removeprefix("./")] = stream.read()
        return found


def _member_of_ar(content: bytes, wanted: str) -> bytes:
    at = 8
    while content.startswith(b"!<arch>\n") and at + 60 <= len(content):
        name, size = content[at : at + 16].decode().strip(), int(content[at + 48 : at + 58])
        if name.rstrip("/") == wanted:
            return content[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    raise ValueError(f"it holds no {wanted}")
