"""Builds the C tests with a pair of tiny bundles beside them, and runs them by ctest.

python -m tests.runtime.c_tests BUILD_DIRECTORY [-DCMAKE_OPTION=VALUE ...]
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from edgexl.runtime.library import find_engine_library

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "edgexl" / "runtime"


def build(directory: Path, *options: str) -> None:
    """Builds what has changed since the last time; `options` are CMake's, such as -DEDGEXL_SANITIZE=ON."""
    bundles = directory / "bundles"
    bundles.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_bundles(bundles)
        tests = ["-DEDGEXL_TESTS=ON", f"-DEDGEXL_TEST_BUNDLES={bundles.resolve()}"]
        configure(directory, "-DCMAKE_BUILD_TYPE=Debug", *tests, *options)
        subprocess.run([tool("cmake"), "--build", str(directory)], check=True)


def build_trapping() -> Path:
    """The private library with the release's optimization and a trap at whatever C leaves undefined."""
    directory = ROOT / "build" / "trapping"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        configure(directory, "-DEDGEXL_TOOLS=OFF", "-DEDGEXL_TRAP=ON")
        subprocess.run([tool("cmake"), "--build", str(directory), "--target", "edgexl_private"], check=True)
    return next(path for path in directory.glob("libedgexl_private.*") if path.is_file())


def configure(directory: Path, *options: str, source: Path = RUNTIME) -> str:
    """What CMake says about it."""
    make = f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}"
    command = [tool("cmake"), "-S", str(source), "-B", str(directory), "-G", "Ninja", make, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """ctest's outcome; `arguments` are its own, such as `-R NAME`."""
    environment = {**os.environ, "EDGEXL_ORT_LIBRARY": str(find_engine_library())}
    command = [tool("ctest"), "--test-dir", str(directory), "--output-on-failure", "-j2", *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def tool(name: str) -> str:
    """The program of this Python's environment, or the system's."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found, f"{name} is not installed: make .venv/.ready-dev"
    return found


def write_bundles(directory: Path) -> None:
    """The bundles that EDGEXL_TEST_BUNDLES asks for."""
    from edgexl.bundle.signing import secret_key, sign_bundle, store_signature
    from tests.runtime.tiny_bundle import build as tiny

    tiny(aliases=True).write(directory / "ort.exl")
    tiny(aliases=True, native=True, cells=9, windows=5).write(directory / "native.exl")
    tiny(aliases=True, native=True, descriptions=100, lexical=True).write(directory / "lexical.exl")
    signed = tiny(native=True).write(directory / "signed.exl")
    store_signature(signed, sign_bundle(signed, secret_key(b"edgexl 1", bytes([7]) * 32), version=3))


if __name__ == "__main__":
    build(Path(sys.argv[1]), *sys.argv[2:])
    done = run(Path(sys.argv[1]))
    print(done.stdout)
    sys.exit(done.returncode)
