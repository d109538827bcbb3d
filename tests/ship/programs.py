"""Programs that use each binding as a package of a product has it, over this machine's library where that will do: what
they print."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgexl.runtime.build import HEADER
from edgexl.runtime.declarations import HEADER as DECLARED
from edgexl.runtime.library import find_library
from edgexl.ship import wheel
from edgexl.ship.crate import ship_rust
from edgexl.ship.jar import JNI, compile_classes, java_sources, jni_flags
from edgexl.ship.npm import ship_web
from edgexl.ship.product import Product
from tests.ship.conftest import Run, unpack

CPP = HEADER.parents[1] / "cpp"


def run_python(program: str, product: Product, folder: Path, scratch: Path, run: Run) -> str:
    """What the program prints in `folder`; it imports the package `binding`."""
    place = scratch / "binding"
    place.mkdir()
    binding = (Path(wheel.__file__).parent / "python" / "binding.py").read_text()
    (place / "__init__.py").write_text("from .binding import *")
    (place / "binding.py").write_text(wheel.trusting(binding, product))
    (place / "declarations.py").write_bytes(DECLARED.parents[1].joinpath("declarations.py").read_bytes())
    shutil.copy(HEADER, place)
    shutil.copy(find_library(), place)
    return run(sys.executable, "-c", program, cwd=folder, PYTHONPATH=str(scratch))


def run_c_plus_plus(program: str, arguments: tuple[str, ...], folder: Path, scratch: Path, run: Run) -> str:
    """The same in C++, of these arguments."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    (scratch / "program.cpp").write_text(program)
    library = find_library()
    flags = "-std=c++17", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{HEADER.parent}", f"-I{CPP}"
    run("g++", *flags, "program.cpp", library, f"-Wl,-rpath,{library.parent}", "-o", "program", cwd=scratch)
    return run(scratch / "program", *arguments, cwd=folder)


def run_java(program: str, product: Product, folder: Path, scratch: Path, run: Run) -> str:
    """The same of Java's class Program."""
    if shutil.which("javac") is None:
        pytest.skip("no JDK is installed")
    for name, content in compile_classes(product, java_sources(product, ("Loader", "Product"))).items():
        (scratch / name).parent.mkdir(exist_ok=True)
        (scratch / name).write_bytes(content)
    (scratch / "Program.java").write_text(program)
    library = find_library()
    flags = "-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *jni_flags(product), f"-I{HEADER.parent}"
    run("cc", *flags, JNI, library, f"-Wl,-rpath,{library.parent}", "-o", "jni.so", cwd=scratch)
    subprocess.run(["javac", "-cp", str(scratch), "-d", str(scratch), str(scratch / "Program.java")], check=True)
    named = f"-Dedgexl.library={scratch / 'jni.so'}"
    return run("java", "-Xcheck:jni", named, "-cp", scratch, "Program", cwd=folder)


def run_rust(program: str, product: Product, folder: Path, scratch: Path, run: Run) -> str:
    """The same in Rust."""
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is not installed")
    crate = unpack(ship_rust(product)[f"{product.title}.crate"], scratch)
    (crate / "examples" / "program.rs").write_text(program)
    folders = {"CARGO_HOME": str(scratch / "cargo"), "RUSTUP_HOME": str(Path.home() / ".rustup"), "CFLAGS": "-O0"}
    path = f"{Path(cargo).parent}:/usr/local/bin:/usr/bin:/bin"
    run(cargo, "build", "-q", "--offline", "--example", "program", cwd=crate, PATH=path, **folders)
    return run(crate / "target/debug/examples/program", cwd=folder)


def run_node(program: str, product: Product, folder: Path, run: Run) -> str:
    """The same in Node; it lies in `folder`, beside `package`."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    unpack(ship_web(product)[f"{product.title}.tgz"], folder)
    (folder / "program.mjs").write_text(program)
    return run("node", "program.mjs", cwd=folder)
