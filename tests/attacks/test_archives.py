"""An archive is read in memory that its own size bounds, ends, and writes nothing where it says (tar, zip, ar)."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgexl.base.archives import pack_ar, read_ar
from edgexl.ship.unpack import unpack


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for entry, content in members:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize("size", [b"-60", b"-1", b"+1", b"1e3", b"", b"0x10"])
def test_an_ar_whose_member_leads_back_to_itself(size: bytes) -> None:
    archive = bytearray(pack_ar({"data.tar.gz": b"x" * 60}))
    archive[8 + 48 : 8 + 58] = size.ljust(10)
    with pytest.raises(ValueError, match="has no size"):
        read_ar(bytes(archive))


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "a/../../evil", "C:\\evil", "evil\\..\\.."])
def test_paths_that_climb_out(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are names in memory alone."""
    monkeypatch.chdir(tmp_path)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, b"x")
    assert list(unpack("a.whl", packed.getvalue()).values()) == [b"x"]
    assert list(unpack("a.tar.gz", tar_of((tarfile.TarInfo(name), b"x"))).values()) == [b"x"]
    assert list(tmp_path.iterdir()) == []
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_members_that_are_no_files(kind: bytes) -> None:
    entry = tarfile.TarInfo("link")
    entry.type, entry.linkname = kind, "/etc/passwd"
    assert unpack("a.tar.gz", tar_of((entry, b""))) == {}


def test_a_tar_that_unpacks_to_more_than_there_is_memory() -> None:
    entry = tarfile.TarInfo("zeros")
    entry.size = 1 << 40
    with pytest.raises(ValueError, match="more than 8 GiB unpacked"):
        unpack("a.tar.gz", gzip.compress(entry.tobuf(tarfile.GNU_FORMAT) + bytes(4096)))


def test_a_zip_that_unpacks_to_more_than_there_is_memory() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"zeros{number}", bytes(1 << 20))
    content = packed.getvalue()
    large = content.replace((1 << 20).to_bytes(4, "little"), (0xFFFFFFF0).to_bytes(4, "little"))
    assert large != content
    with pytest.raises(ValueError, match="more than 8 GiB unpacked"):
        unpack("a.whl", large)
