"""The doctor: nothing is wrong with what is shipped, and each fault that is put in is found."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.base.archives import Member, pack_tar_gz, pack_zip
from edgexl.base.errors import BadInput
from edgexl.runtime.library import find_library
from edgexl.ship.c_source import ship_c_source
from edgexl.ship.check import check_packages
from edgexl.ship.product import Product
from tests.command_line import Edgexl

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def files(product: Product) -> Files:
    """Of the C sources, by their paths."""
    with tarfile.open(fileobj=io.BytesIO(ship_c_source(product)["tiny-words-1.2.3-c-source.tar.gz"])) as archive:
        members = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive}
        return {name: stream.read() for name, stream in members.items() if stream is not None}


def found(files: Files, directory: Path, name: str = "words.tar.gz") -> list[str]:
    members = {path: Member(content) for path, content in files.items()}
    (directory / name).write_bytes(pack_zip(members) if name.endswith(".whl") else pack_tar_gz(members))
    return [f"{each.kind}: {each.sentence}" for checked in check_packages(directory) for each in checked.findings]


def test_nothing_is_wrong_with_what_is_shipped(files: Files, tmp_path: Path) -> None:
    assert found(files, tmp_path) == []


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE", "sbom.cdx.json"])
def test_a_paper_that_lacks_is_missed(files: Files, name: str, tmp_path: Path) -> None:
    said = found({path: content for path, content in files.items() if path != name}, tmp_path)
    assert any(each.startswith("fault: it holds no ") for each in said)


def test_a_bundle_that_is_another_or_damaged_is_found(files: Files, product: Product, tmp_path: Path) -> None:
    damaged = bytearray(product.bundle)
    damaged[-5000] ^= 1
    said = found(files | {product.file: bytes(damaged)}, tmp_path)
    assert "fault: the bill of materials is of another bundle" in said
    assert any("is damaged" in each for each in said)
    assert not any("/tmp" in each for each in said)


def test_a_licence_that_nobody_stated_is_warned_of(files: Files, tmp_path: Path) -> None:
    bill = files["sbom.cdx.json"].replace(b'"expression": "CC0-1.0"', b'"license": {"name": "?"}')
    assert found(files | {"sbom.cdx.json": bill}, tmp_path) == [
        "warning: it states no licence of tiny-words: give --license"
    ]


def test_a_library_for_another_machine_is_found(files: Files, tmp_path: Path) -> None:
    """This machine's own: it is linked against its own glibc, perhaps, and not by Zig."""
    library = Path(find_library()).read_bytes()
    other = "arm64" if library[18] == 62 else "x86-64"
    said = found(files | {f"lib/libedgexl.so.{__version__}": library}, tmp_path, f"words-linux-{other}.tar.gz")
    assert any("another processor" in each for each in said)
    twice = found({**files, "a/libedgexl.so": library, "b/libedgexl.so.0": library}, tmp_path)
    assert "fault: it holds 2 copies of the runtime" in twice
    broken = found(files | {"lib/libedgexl.so": library[:3000]}, tmp_path)
    assert any("sound ELF" in each for each in broken)


def test_a_library_for_windows_that_is_none_is_found(files: Files, tmp_path: Path) -> None:
    """test_windows.py has sound ones."""
    for content in (b"MZ", b"MZ" + bytes(200), b"MZ" + bytes(58) + b"\x40\0\0\0" + b"PE\0\0" + bytes(20)):
        said = found(files | {"edgexl.dll": content}, tmp_path)
        assert said == ["fault: it is no sound PE file of 64 bits"]


def test_modules_with_other_imports_are_found(files: Files, tmp_path: Path) -> None:
    def module(*imports: bytes) -> bytes:
        names = b"".join(bytes([len(part)]) + part for one in imports for part in one.split(b".")[:2])
        body = bytes([len(imports)]) + (names + b"\0\0" if imports else b"")
        return b"\0asm\1\0\0\0" + b"\2" + bytes([len(body)]) + body

    assert found(files | {"a.wasm": module(b"edgexl.now_ms")}, tmp_path, "w.tgz") == []
    said = found(files | {"a.wasm": module(b"wasi.fd_write")}, tmp_path, "w.tgz")
    assert said == ["fault: it imports wasi.fd_write, which pages do not have"]
    large = module() + bytes(300_000)
    assert any("more than 280 KB" in each for each in found(files | {"a.wasm": large}, tmp_path, "w.tgz"))


def test_what_is_no_package_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no package"):
        check_packages(tmp_path)
    with pytest.raises(BadInput, match="is not a directory"):
        check_packages(tmp_path / "none")
    for name, content in (("a.whl", b"x"), ("a.tar.gz", gzip.compress(b"x" * 600)), ("a.deb", b"!<arch>\nx")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match="cannot be unpacked"):
            check_packages(tmp_path)
        (tmp_path / name).unlink()


def test_the_command_fails_where_there_is_a_fault(
    files: Files, product: Product, edgexl: Edgexl, tmp_path: Path
) -> None:
    assert found(files, tmp_path) == []
    page = tmp_path / "page.html"
    assert edgexl("ship", "--check", tmp_path, "--report", page).status == 0
    assert "Nothing stands in the way." in page.read_text()
    assert "words.tar.gz" in page.read_text()
    found({path: content for path, content in files.items() if path != "LICENSE"}, tmp_path)
    said = edgexl("ship", "--check", tmp_path)
    assert (said.status, "holds no licence" in said.out, "A fault: words.tar.gz" in said.err) == (1, True, True)
    assert edgexl("ship", "--check", tmp_path, "--json").json["findings"][0]["kind"] == "fault"
    assert edgexl("ship", "--check", tmp_path, "-o", tmp_path).status == 2
    assert edgexl("ship").status == 2
    assert edgexl("ship", "--check", tmp_path, "--report", tmp_path / "page.txt").status == 2
    (checked,) = check_packages(tmp_path)
    assert checked.parts["bundle"] == len(product.bundle)
    assert checked.beside_bytes == sum(map(len, files.values())) - len(product.bundle) - len(files["LICENSE"])
