"""Builds the C tests with a pair of tiny bundles beside them, and runs them by ctest.

python -m tests.runtime.c_tests                   with sanitizers
python -m tests.runtime.c_tests BUILD_DIRECTORY [-DCMAKE_OPTION=VALUE ...]
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from edgexl.bundle.signing import SecretKey
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


def build_sanitized() -> Path:
    """With clang where there is one: its sanitizers also see sizes that wrap (runtime/tests/wraps.txt)."""
    clang = shutil.which("clang")
    directory = ROOT / "build" / ("sanitized-clang" if clang else "sanitized")
    build(directory, "-DEDGEXL_SANITIZE=ON", *([f"-DCMAKE_C_COMPILER={clang}"] if clang else []))
    return directory


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

    key = secret_key(b"edgexl 1", bytes([7]) * 32)

    tiny(aliases=True).write(directory / "ort.exl")
    tiny(aliases=True, native=True, cells=9, windows=5).write(directory / "native.exl")
    lexical = tiny(aliases=True, native=True, descriptions=100, lexical=True).write(directory / "lexical.exl")
    signed = tiny(native=True).write(directory / "signed.exl")
    store_signature(signed, sign_bundle(signed, key, version=3))
    for bundle in (lexical, signed):
        write_overlay(bundle, key)


def write_overlay(path: Path, key: SecretKey) -> None:
    """An overlay beside a bundle without cells, of labels with the codes of its own."""
    from edgexl.bundle.layout import Kind
    from edgexl.bundle.overlay import OverlayFile, OverlayLabel, code_space_of, identity_of
    from edgexl.bundle.read import read_bundle

    bundle = read_bundle(path)
    sizes = bundle.parameters
    fine_bytes = 2 + sizes.fine_dims * sizes.fine_bits // 8
    blocks = np.frombuffer(bundle.section(Kind.COARSE_CODES), np.uint8).reshape(-1, sizes.subspaces // 2, 256)
    fine = bytes(bundle.section(Kind.FINE_CODES))

    def label(uid: str, *texts: str) -> OverlayLabel:
        rows = range(10, 10 + len(texts))
        coarse = tuple(blocks[row // 256, :, row % 256].tobytes() for row in rows)
        codes = tuple(fine[row * fine_bytes : (row + 1) * fine_bytes] for row in rows)
        return OverlayLabel(uid, texts[0], texts[1:], coarse, codes)

    labels = (
        label("O0", "red river"),
        label("O1", "storm apple", "glass king"),
        label("O2", "salt"),
        label("O3", "old king"),
        label("L0007", "winter bread"),
    )
    plain = OverlayFile(code_space_of(bundle), labels)
    calibration = dataclasses.replace(bundle.calibration, label_set_sha256=plain.labels_sha256)
    made = dataclasses.replace(plain, calibration=calibration, calibrated_over=identity_of(bundle))
    signed = dataclasses.replace(made, signature=made.sign(key, 3).text.encode())
    path.with_suffix(".exlo").write_bytes(signed.pack())


if __name__ == "__main__":
    if sys.argv[1:]:
        directory = Path(sys.argv[1])
        build(directory, *sys.argv[2:])
    else:
        directory = build_sanitized()
    done = run(directory)
    print(done.stdout)
    sys.exit(done.returncode)
