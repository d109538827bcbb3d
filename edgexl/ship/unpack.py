"""What is in a package: the files of tarballs, wheels, jars, crates, npm and Debian packages."""

from __future__ import annotations

import io
import tarfile
import zipfile

from edgexl.base.archives import read_ar

# No package of a bundle has as much; an archive of a few kilobytes can.
_MOST_BYTES = 8 << 30
ENDS = (".tar.gz", ".tgz", ".whl", ".deb", ".crate", ".jar")


def unpack(name: str, content: bytes) -> dict[str, bytes]:
    """The files of a package, links left out, by their paths; `name`: its own. Raises what Python's readers of archives
    do, or `ValueError`, where it is none, or holds more than 8 GiB."""
    if name.endswith((".whl", ".jar")):
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            _check_size(sum(entry.file_size for entry in wheel.infolist()))
            return {each: wheel.read(each) for each in wheel.namelist()}
    if name.endswith(".deb"):
        members = read_ar(content)
        if "data.tar.gz" not in members:
            raise ValueError("it holds no data.tar.gz")
        content = members["data.tar.gz"]
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        found, unpacked = {}, 0
        for member in archive:
            unpacked += member.size
            _check_size(unpacked)
            if member.isreg() and (stream := archive.extractfile(member)) is not None:
                found[member.name.removeprefix("./")] = stream.read()
        return found


def _check_size(unpacked: int) -> None:
    if unpacked > _MOST_BYTES:
        raise ValueError(f"what it holds has more than {_MOST_BYTES >> 30} GiB unpacked")
