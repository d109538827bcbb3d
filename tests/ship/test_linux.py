"""Tarballs and Debian packages: used from where they were unpacked, under qemu, and installed into a clean root."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.bundle.signing import new_key, sign_bundle, store_signature
from edgexl.ship.linux import PORT, ship_linux
from edgexl.ship.machines import MACHINES, build_library
from edgexl.ship.product import Product, open_product
from tests.runtime.c_tests import configure, tool
from tests.runtime.test_amalgamate import PROGRAM
from tests.runtime.test_install import PROJECT
from tests.ship.conftest import Run, commands, unpack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif((platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="not Linux on x86-64"),
]
HERE = "linux-x86-64"
# Under qemu: the emulator, and the triple of Debian's cross gcc, whose C library the example is linked with.
EMULATED = {
    "linux-arm64": ("qemu-aarch64", "aarch64-linux-gnu"),
    "linux-armhf": ("qemu-arm", "arm-linux-gnueabihf"),
}


@pytest.fixture(scope="module")
def files(product: Product) -> dict[str, bytes]:
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    return ship_linux(product, HERE)


@pytest.fixture(scope="module")
def folder(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(files[f"tiny-words-1.2.3-{HERE}.tar.gz"], tmp_path_factory.mktemp("tarball"))


def test_the_readme_holds(folder: Path, product: Product, run: Run) -> None:
    first, in_c, over_http, sound = commands((folder / "README.md").read_text())
    assert max(len(block.splitlines()) for block in (first, in_c, over_http)) <= 5
    said = json.loads(run("sh", "-ec", first, cwd=folder))
    assert (said["text"], said["labels"][0]["id"]) == (product.example, product.answer)
    assert len(run("sh", "-ec", in_c, cwd=folder).splitlines()) == 5
    assert json.loads(run("sh", "-ec", sound, cwd=folder))["failed"] == 0
    serve, ask = over_http.replace(str(PORT), "8317").splitlines()
    with subprocess.Popen(shlex.split(serve.rstrip(" &")), cwd=folder, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        answer = json.loads(run("sh", "-ec", ask))
        server.terminate()
    assert answer["labels"][0]["id"] == product.answer


def test_with_a_key_its_commands_ask_for_it(files: dict[str, bytes], bundle: Path, tmp_path: Path, run: Run) -> None:
    """The README's in the tarball, and the service's; `files` has built the tools."""
    key = new_key()
    store_signature(bundle, sign_bundle(bundle, key, 3), tmp_path / "words.exl")
    signed = open_product(tmp_path / "words.exl", "tiny-words", "1.2.3", keys=[key.public.line])
    made = ship_linux(signed, HERE)
    folder = unpack(made[f"tiny-words-1.2.3-{HERE}.tar.gz"], tmp_path)
    first, _, over_http, sound = commands((folder / "README.md").read_text())
    asked = f"--key {key.public.line} --least-version 3"
    assert all(asked in command for command in (first, over_http, sound))
    assert json.loads(run("sh", "-ec", first, cwd=folder))["labels"][0]["id"] == signed.answer
    assert json.loads(run("sh", "-ec", sound, cwd=folder))["failed"] == 0
    shutil.copy(bundle, folder / "share" / "tiny-words" / "tiny-words.exl")
    done = subprocess.run(["sh", "-ec", first], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, "holds no signature" in done.stderr) == (2, True)
    deb = next(content for name, content in made.items() if name == "tiny-words_1.2.3_all.deb")
    (tmp_path / "words.deb").write_bytes(deb)
    run("sh", "-ec", "ar x words.deb data.tar.gz && tar xzf data.tar.gz")
    unit = (tmp_path / "usr/lib/systemd/system/tiny-words.service").read_text()
    assert f"--port ${{PORT}} {asked}\n" in unit


def test_find_package_finds_it(folder: Path, product: Product, tmp_path: Path, run: Run) -> None:
    (tmp_path / "program.c").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT.format(find="find_package(edgexl 0.1 REQUIRED)"))
    configure(tmp_path / "build", f"-DCMAKE_PREFIX_PATH={folder}", source=tmp_path)
    run(tool("cmake"), "--build", tmp_path / "build")
    for program in ("app-edgexl", "app-edgexl_static"):
        said = run(tmp_path / "build" / program, folder / "share" / product.name / product.file)
        assert said == "answers as recorded"


def test_the_same_product_gives_the_same_bytes(files: dict[str, bytes], product: Product) -> None:
    assert ship_linux(product, HERE) == files


@pytest.mark.parametrize("name", EMULATED)
def test_it_answers_under_an_emulator(name: str, product: Product, tmp_path: Path, run: Run) -> None:
    """The tools of the tarball, and a program that was linked against its shared library."""
    emulator, triple = EMULATED[name]
    for needed in (emulator, f"{triple}-gcc"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    made = ship_linux(product, name)
    root = unpack(made[f"tiny-words-1.2.3-{name}.tar.gz"], tmp_path)
    bundle = root / "share" / product.name / product.file
    assert json.loads(run(emulator, root / "bin" / "exl-run", bundle, "--self-test"))["failed"] == 0
    (tmp_path / "program.c").write_text(PROGRAM)
    command = (
        f"{triple}-gcc",
        tmp_path / "program.c",
        "-o",
        tmp_path / "program",
        f"-I{root}/include",
        f"-L{root}/lib",
    )
    run(*command, "-ledgexl", f"-Wl,-rpath,{root}/lib")
    said = run(emulator, "-L", f"/usr/{triple}", "-E", f"LD_LIBRARY_PATH={root}/lib", tmp_path / "program", bundle)
    assert said == "answers as recorded"


# ---- a clean root ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian of its own, with nothing but what every one has."""
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        pytest.skip("debootstrap is not installed, or this user is not root")
    place = tmp_path_factory.mktemp("root") / "debian"
    command = ["debootstrap", "--variant=minbase", "bookworm", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"debootstrap cannot make a root here: {done.stdout[-200:]}")
    yield place
    shutil.rmtree(place, ignore_errors=True)


def test_debian_packages_answer_in_a_clean_root(
    files: dict[str, bytes], product: Product, root: Path, run: Run
) -> None:
    debs = [name for name in files if name.endswith(".deb")]
    assert debs == [f"libedgexl_{__version__}_amd64.deb", "tiny-words_1.2.3_all.deb"]
    for name in debs:
        (root / "tmp" / name).write_bytes(files[name])
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    run("chroot", root, "dpkg", "-i", *(f"/tmp/{name}" for name in debs), **path)
    assert run("chroot", root, "dpkg", "--verify", "libedgexl", "tiny-words", **path) == ""
    first, over_http = commands((root / "usr/share/doc/tiny-words/README.md").read_text())
    said = json.loads(run("chroot", root, "sh", "-ec", first, **path))
    assert said["labels"][0]["id"] == product.answer
    bundle = f"/usr/share/{product.name}/{product.file}"
    assert json.loads(run("chroot", root, "exl-run", bundle, "--self-test", **path))["failed"] == 0
    unit = (root / "usr/lib/systemd/system/tiny-words.service").read_text()
    (command,) = (line.partition("=")[2] for line in unit.splitlines() if line.startswith("ExecStart="))
    with subprocess.Popen(
        ["chroot", str(root), *shlex.split(command.replace("${PORT}", "8318"))], stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        server.stdout.readline()
        ask = over_http.splitlines()[-1].replace(str(PORT), "8318")
        assert json.loads(run("sh", "-ec", ask))["labels"][0]["id"] == product.answer
        server.terminate()
    run("chroot", root, "dpkg", "-r", "tiny-words", "libedgexl", **path)
    assert not (root / "usr/share/tiny-words").exists()


def test_what_is_built_twice_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not out of a cache."""
    before = build_library(MACHINES[HERE])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    begin = time.monotonic()
    assert build_library(MACHINES[HERE]) == before
    assert time.monotonic() - begin > 1
