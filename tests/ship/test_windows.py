"""Windows: what is built for it, and a program with edgexl.dll under wine: answers, label files, locks, replacement.

Without wine each of these is skipped and says so, and fails instead when $EDGEXL_REQUIRE_EMULATION is set, as CI does.
Wine 8 renames no file over an open one, as FAT and many servers: what is tested is how the library does without.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.base.archives import Member, pack_zip
from edgexl.runtime.amalgamate import amalgamate
from edgexl.runtime.build import RUNTIME
from edgexl.ship.check import check_packages
from edgexl.ship.machines import MACHINES, build_library, build_tools, link_flags
from edgexl.ship.pe import AMD64, parse_pe
from edgexl.ship.product import Product
from edgexl.ship.proof import PROGRAMS
from edgexl.ship.vectors import NAME
from edgexl.ship.wheel import ship_python

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
AMD = MACHINES["windows-x86-64"]
ZIG = (sys.executable, "-m", "ziglang")
# As the library is linked: by other flags Zig compiles Windows' C library again, for minutes.
CC = (*ZIG, "cc", "-target", AMD.zig, *link_flags(AMD), "-s", "-Wl,--gc-sections", "-Wall", "-Wextra", "-Werror")


@pytest.fixture(scope="module", autouse=True)
def zig() -> None:
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")


class Windows:
    """A folder in which Windows's programs run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = shutil.which("wine") or ""
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "WINEPREFIX": str(folder / "prefix"),
            "WINEDEBUG": "-all", "LC_ALL": "C.UTF-8", "WINEDLLOVERRIDES": "mscoree,mshtml=",
        }  # fmt: skip

    def start(self, program: str, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.command, program, *map(str, arguments)], cwd=self.folder, env=self.environment, text=True,
            encoding="utf-8", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, program: str, *arguments: str | Path, status: int = 0) -> list[str]:
        with self.start(program, *arguments) as process:
            out, err = process.communicate(timeout=300)
        assert process.returncode == status, out + err
        return out.splitlines()

    def probe(self, *arguments: str | Path, status: int = 0) -> list[str]:
        return self.run("probe.exe", *arguments, status=status)

    def labels(self, bundle: str) -> dict[str, str]:
        """The labels that were added, by id, with their states."""
        return {line.split()[0]: line.split()[1] for line in self.probe("list", bundle)}


@pytest.fixture(scope="module")
def windows(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    """With edgexl.dll, exl-run.exe, a program that uses the library, and a bundle."""
    machine = Windows(tmp_path_factory.mktemp("windows"))
    if not machine.command:
        if os.environ.get("EDGEXL_REQUIRE_EMULATION"):
            pytest.fail("wine is not installed")
        pytest.skip("wine is not installed")
    folder = machine.folder
    for name, content in {**build_library(AMD), **build_tools(AMD)}.items():
        (folder / name).write_bytes(content)
    names = parse_pe((folder / AMD.shared).read_bytes(), AMD.shared).exports
    (folder / "edgexl.def").write_text("\n".join(["LIBRARY edgexl.dll", "EXPORTS", *names, ""]))
    subprocess.run(
        [*ZIG, "dlltool", "-m", "i386:x86-64", "-d", "edgexl.def", "-l", "edgexl.lib"], cwd=folder, check=True
    )
    for program, source in (("probe.exe", HERE / "windows_probe.c"), ("vectors.exe", PROGRAMS / "vectors.c")):
        command = [*CC, f"-I{RUNTIME / 'include'}", str(source), "edgexl.lib", "-lshell32", "-o", program]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (folder / NAME).write_bytes(product.vectors)
    (folder / "words.exl").write_bytes(product.bundle)
    assert machine.run("exl-run.exe", "--version") == [__version__]
    yield machine
    subprocess.run(["wineserver", "-k"], env=machine.environment, check=False)  # of this prefix alone


@pytest.fixture
def fresh(windows: Windows, product: Product, request: pytest.FixtureRequest) -> str:
    """A copy of the bundle without a label file, by its name."""
    name = f"{request.node.name}.exl"
    (windows.folder / name).write_bytes(product.bundle)
    return name


# ---- what is built ---------------------------------------------------------------------------------------------------


def test_the_library_holds_the_interface_and_needs_what_windows_has() -> None:
    pe = parse_pe(build_library(AMD)["edgexl.dll"], "edgexl.dll")
    header = (RUNTIME / "include" / "edgexl.h").read_text()
    assert pe.machine == AMD64
    assert pe.is_library
    assert len(pe.exports) == header.count("EXL_API ") - header.count("#define EXL_API")
    assert all(f" {symbol}(" in header or f"*{symbol}(" in header for symbol in pe.exports)
    assert (pe.debug, pe.built) == (b"", 0)
    assert {each.lower() for each in pe.imports if "api-ms-win-crt" not in each.lower()} == {
        "kernel32.dll",
        "advapi32.dll",
    }


def test_a_wheel_is_sound(product: Product, tmp_path: Path) -> None:
    ((name, content),) = ship_python(product, machines=("windows-x86-64",)).items()
    assert name == "tiny_words-1.2.3-py3-none-win_amd64.whl"
    (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(BytesIO(content)) as wheel:
        assert b"Zope Public License" in wheel.read("tiny_words-1.2.3.dist-info/licenses/NOTICE")
    (checked,) = check_packages(tmp_path)
    assert [each.sentence for each in checked.findings] == ["it is not signed: say its SHA-256 where people fetch it"]
    assert len(content) - len(product.bundle) < 300_000


def test_the_doctor_finds_what_is_wrong_with_a_library(product: Product, tmp_path: Path) -> None:
    library = build_library(AMD)["edgexl.dll"]

    def said(content: bytes, name: str = "w-win_amd64.whl") -> str:
        (tmp_path / name).write_bytes(pack_zip({"w/edgexl.dll": Member(content), "w/a/edgexl.dll": Member(b"")}))
        (checked,) = check_packages(tmp_path)
        (tmp_path / name).unlink()
        return " ".join(each.sentence for each in checked.findings)

    assert "2 copies of the runtime" in said(library)
    assert "another processor" not in said(library)
    assert "another processor than the package says (PE machine 0x8664)" in said(library, "w-win_arm64.whl")
    assert "needs advapi99.dll, which" in said(re.sub(b"(?i)advapi32.dll", b"advapi99.dll", library))
    assert "exports abl_predict, which" in said(library.replace(b"exl_predict\0", b"abl_predict\0"))
    for cut in (2, 100, 300, len(library) // 2):
        assert "no sound PE file" in said(library[:cut])


def test_two_builds_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = build_library(AMD)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build_library(AMD) == before


def test_the_amalgamation_compiles_and_answers(windows: Windows, product: Product) -> None:
    folder = windows.folder / "one"
    folder.mkdir()
    amalgamate(folder)
    command = [*CC, f"-I{RUNTIME / 'include'}", str(RUNTIME / "tools" / "exl_run.c")]
    subprocess.run([*command, "edgexl.c", "-lshell32", "-o", "one.exe"], cwd=folder, check=True)
    assert '"failed": 0' in windows.run("one/one.exe", "words.exl", "--self-test")[0]


# ---- under wine --------------------------------------------------------------------------------------------------


def test_the_vectors_are_answered_to_the_bit(windows: Windows, product: Product) -> None:
    answered = windows.run("vectors.exe", "words.exl", NAME)
    assert len(answered) == 50
    assert answered == product.vectors.decode().splitlines()


def test_exl_run_speaks_utf_8_and_takes_long_paths(windows: Windows, product: Product) -> None:
    folder = windows.folder / "wörter 日本" / ("long" * 40) / ("longer" * 30)
    folder.mkdir(parents=True)
    (folder / "é.exl").write_bytes(product.bundle)
    path = str((folder / "é.exl").relative_to(windows.folder))
    assert len(path) > 300
    (answer,) = windows.run("exl-run.exe", path, "öld thing", "-k", "1")
    assert '"text": "öld thing", "labels": [{' in answer
    assert windows.probe("add", path, "日本", "1", "0") == ["日本-0"]
    assert windows.labels(path) == {"日本-0": "added"}


def test_a_descriptor_gives_a_part_of_a_file(windows: Windows, product: Product) -> None:
    goldens = windows.probe("hold", "words.exl")[-1]
    for offset in (5, 65536 * 2 + 64):
        (windows.folder / "asset").write_bytes(b"x" * offset + product.bundle)
        said = windows.probe("descriptor", "asset", str(offset), status=1)
        assert said[:3] == [goldens, "at 0", "201"]  # its place stays; a closed one is no crash
        assert "Bad file descriptor" in said[3]


@pytest.mark.parametrize(
    ("path", "why"), [("NUL", "a device"), ("CON", "a device"), (".", "a directory"), ("none.exl", "No such file"),
                      (r"\\.\pipe\x", "a pipe"), ("b?d.exl", "No such file")]
)  # fmt: skip
def test_only_regular_files_are_opened(windows: Windows, path: str, why: str) -> None:
    (said,) = windows.probe("self-test", path, status=1)
    assert said.startswith("open: the file cannot be read: ")
    assert why in said


def test_labels_are_added_and_retired_and_stay(windows: Windows, fresh: str) -> None:
    assert windows.probe("add", fresh, "new", "3", "0") == ["new-0", "new-1", "new-2"]
    windows.probe("retire", fresh, "new-1")
    assert windows.labels(fresh) == {"new-0": "added", "new-1": "retired", "new-2": "added"}
    before = (windows.folder / f"{fresh}.labels").stat().st_size
    windows.probe("compact", fresh)
    assert windows.labels(fresh) == {"new-0": "added", "new-2": "added"}
    assert (windows.folder / f"{fresh}.labels").stat().st_size < before
    assert "LABEL" not in "".join(windows.probe("hold", fresh))
    assert not list(windows.folder.glob(".edgexl-*"))


def test_two_writers_lose_nothing(windows: Windows, fresh: str) -> None:
    """Each writes the file anew after every third label, so that they replace it below each other."""
    writers = [windows.start("probe.exe", "add", fresh, name, "12", "3") for name in ("a", "b")]
    for writer in writers:
        out, err = writer.communicate(timeout=300)
        assert writer.returncode == 0, out + err
    assert windows.labels(fresh) == {f"{name}-{number}": "added" for name in ("a", "b") for number in range(12)}


def test_a_lock_ends_with_its_process_and_the_file_is_whole(windows: Windows, fresh: str) -> None:
    """Killed at many moments, some of them in the middle of a change: what was said to be there is."""
    for round_ in range(4):
        writer = windows.start("probe.exe", "add", fresh, f"r{round_}", "100000", "2")
        assert writer.stdout is not None
        said = [writer.stdout.readline().strip()]
        time.sleep(0.05 + 0.03 * round_)
        writer.kill()  # wine's process is the program's own
        said += writer.communicate(timeout=60)[0].split()
        found = [each for each in windows.labels(fresh) if each.startswith(f"r{round_}-")]
        assert found[: len(said)] == said
        assert len(found) - len(said) <= 1
    windows.probe("compact", fresh)
    assert not list(windows.folder.glob(".edgexl-*"))


def test_a_bundle_in_use_can_be_replaced(windows: Windows, fresh: str, product: Product) -> None:
    """Its file is renamed aside, and another put in its place: who has it mapped answers on from the old one."""
    (windows.folder / "new.exl").write_bytes(product.bundle)
    holder = windows.start("probe.exe", "hold", fresh)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    windows.run("cmd", "/c", f"ren {fresh} {fresh}.old&& ren new.exl {fresh}")
    assert (windows.folder / f"{fresh}.old").exists()
    assert "goldens" in windows.probe("self-test", fresh)[0]
    out, _ = holder.communicate("\n", timeout=60)
    assert "goldens" in out
