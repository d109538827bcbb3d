"""`cmake --install`, and the runtime as a part of another project: a program finds it each way, and answers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.runtime.amalgamate import RUNTIME
from tests.runtime.c_tests import configure, tool
from tests.runtime.test_amalgamate import PROGRAM
from tests.runtime.tiny_bundle import build

PROJECT = """
cmake_minimum_required(VERSION 3.18)
project(app LANGUAGES C)
{find}
foreach(library edgexl edgexl_static)
  add_executable(app-${{library}} program.c)
  target_link_libraries(app-${{library}} PRIVATE edgexl::${{library}})
endforeach()
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native=True).write(tmp_path_factory.mktemp("bundle") / "tiny.exl")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it was installed, after it was moved from there."""
    place = tmp_path_factory.mktemp("install")
    configure(
        place / "build",
        "-DCMAKE_BUILD_TYPE=Debug",
        "-DCMAKE_INSTALL_LIBDIR=lib/this",
        "-DCMAKE_INSTALL_PREFIX=/opt/edgexl",
    )
    subprocess.run([tool("cmake"), "--build", place / "build"], check=True, stdout=subprocess.DEVNULL)
    command = [tool("cmake"), "--install", place / "build", "--prefix", place / "first"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (place / "first").rename(place / "second")


def say(*command: str | Path, **more: str) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=os.environ | more)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.strip()


def test_what_is_installed(installed: Path) -> None:
    library = installed / "lib" / "this"
    found = {str(path.relative_to(installed)) for path in installed.rglob("*") if not path.is_dir()}
    assert found == {
        "include/edgexl.h", "include/edgexl.hpp", "bin/exl-run", "bin/exl-bench", "bin/exl-serve",
        "lib/this/libedgexl.a",
        "lib/this/libedgexl.so", "lib/this/libedgexl.so.0", f"lib/this/libedgexl.so.{__version__}",
        "lib/this/pkgconfig/edgexl.pc", "lib/this/cmake/edgexl/edgexl-config.cmake",
        "lib/this/cmake/edgexl/edgexl-config-version.cmake",
    }  # fmt: skip
    assert os.readlink(library / "libedgexl.so") == "libedgexl.so.0"
    assert b"libedgexl.so.0\0" in (library / f"libedgexl.so.{__version__}").read_bytes()


@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="pkg-config is not installed")
def test_pkg_config_finds_it(installed: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text(PROGRAM)
    library = installed / "lib" / "this"
    flags = say("pkg-config", "--cflags", "--libs", "edgexl", PKG_CONFIG_PATH=str(library / "pkgconfig")).split()
    say("cc", tmp_path / "program.c", "-o", tmp_path / "program", *flags)
    assert say(tmp_path / "program", bundle, LD_LIBRARY_PATH=str(library)) == "answers as recorded"


def test_find_package_finds_it(installed: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT.format(find="find_package(edgexl 0.1 REQUIRED)"))
    configure(tmp_path / "build", f"-Dedgexl_DIR={installed}/lib/this/cmake/edgexl", source=tmp_path)
    say(tool("cmake"), "--build", tmp_path / "build")
    for program in ("app-edgexl", "app-edgexl_static"):
        assert say(tmp_path / "build" / program, bundle) == "answers as recorded"


def test_a_newer_version_than_it_has_is_not_found(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT.format(find="find_package(edgexl 0.9 REQUIRED)"))
    with pytest.raises(AssertionError, match=re.escape(__version__)):
        configure(tmp_path / "build", f"-Dedgexl_DIR={installed}/lib/this/cmake/edgexl", source=tmp_path)


@pytest.mark.slow
def test_it_is_a_part_of_another_project(bundle: Path, tmp_path: Path) -> None:
    """As FetchContent has it: neither tools nor private library are built, nothing is installed."""
    (tmp_path / "program.c").write_text(PROGRAM)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT.format(find=f'add_subdirectory("{RUNTIME}" edgexl)'))
    configure(tmp_path / "build", "-DCMAKE_BUILD_TYPE=Debug", source=tmp_path)
    say(tool("cmake"), "--build", tmp_path / "build")
    for program in ("app-edgexl", "app-edgexl_static"):
        assert say(tmp_path / "build" / program, bundle) == "answers as recorded"
    assert not list((tmp_path / "build").rglob("exl-run"))
    say(tool("cmake"), "--install", tmp_path / "build", "--prefix", tmp_path / "none")
    assert not (tmp_path / "none").exists()
