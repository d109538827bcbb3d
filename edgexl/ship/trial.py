"""Tries packages: unpacks each as it is installed, and has it answer the goldens of its bundle, where this machine can.

Programs for this machine run as they are, those for another processor under qemu where it is installed, wheels in a
Python that sees no other package, jars by Java, WebAssembly in Node, and sources in C and Rust are compiled. What
cannot run here says why.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from edgexl.base.errors import BadInput, DeviceError
from edgexl.base.files import read_input
from edgexl.device.process import run_process
from edgexl.runtime.build import RUNTIME, TOOLS
from edgexl.ship.machines import MACHINES
from edgexl.ship.unpack import ENDS, unpack

# A platform's processor as uname has it, and what runs its programs on another one.
_PROCESSORS = {
    "linux-x86-64": ("x86_64", ("qemu-x86_64", "-cpu", "max")),
    "linux-arm64": ("aarch64", ("qemu-aarch64", "-cpu", "cortex-a72")),
    "linux-armhf": ("armv7l", ("qemu-arm",)),
}
# Compiling the runtime at -O3 takes minutes on a small machine, as do emulated queries of a large bundle.
_MOST_SECONDS = 600.0
_IN_PYTHON = """import importlib, json, sys
sys.path.insert(0, sys.argv[1])
bundle = importlib.import_module(sys.argv[2]).bundle()
print(json.dumps({"goldens": bundle.self_test(), "failed": 0}))
"""
_IN_NODE = """import { open } from "./package/index.js";
const bundle = await open({ verify: true });
console.log(JSON.stringify({ goldens: bundle.selfTest().goldens, failed: 0 }));
"""
_IN_RUST = """fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{{\\"goldens\\": {}, \\"failed\\": 0}}", MODULE::open()?.self_test()?.goldens);
    Ok(())
}
"""

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Trial:
    """What became of a package: it answered `answered` of its bundle's `goldens`, and `how` it ran; or `why` it was not
    run, or what went wrong."""

    outcome: Literal["answered", "not run", "failed"]
    how: str = ""
    goldens: int = 0
    answered: int = 0
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """The trial as `ship --json` tells it."""
        return {
            "outcome": self.outcome, "how": self.how, "goldens": self.goldens, "answered": self.answered,
            "why": self.why,
        }  # fmt: skip


def try_packages(platform_name: str, paths: Sequence[Path]) -> dict[Path, Trial]:
    """What becomes of those of a platform's files that are packages; a Debian package is tried with the others."""
    packages = {path: unpack(path.name, read_input(path)) for path in paths if path.name.endswith(ENDS)}
    debian = {name: each for path, files in packages.items() if path.suffix == ".deb" for name, each in files.items()}
    tried = {}
    for path, files in packages.items():
        with tempfile.TemporaryDirectory(prefix="edgexl-try-") as folder:
            try:
                trial = _try(platform_name, path, debian if path.suffix == ".deb" else files, Path(folder))
            except (DeviceError, BadInput) as error:
                trial = Trial("failed", why=str(error).rstrip("."))
            tried[path] = replace(trial, why=trial.why.replace(f"{folder}/", ""))
    return tried


def _try(platform_name: str, path: Path, files: Files, folder: Path) -> Trial:
    if platform_name == "python":
        return _try_wheel(path.name, files, folder)
    if platform_name == "web":
        return _try_web(files, folder)
    if platform_name == "c-source":
        return _try_sources(files, folder)
    if platform_name.startswith("android"):
        return Trial("not run", why="it is for Android, of which there is none here")
    if platform_name == "apple":
        return Trial("not run", why="it is for Xcode, which is not here")
    if platform_name == "java":
        return _try_jar(path)
    if platform_name == "rust":
        return _try_crate(files, folder)
    return _try_linux(platform_name, files, folder)


def _try_linux(platform_name: str, files: Files, folder: Path) -> Trial:
    """By the package's own tool."""
    processor, emulator = _PROCESSORS[platform_name]
    here = platform.system() == "Linux" and platform.machine() == processor
    if not here and shutil.which(emulator[0]) is None:
        return Trial("not run", why=f"it is for another processor, and {emulator[0]} (qemu-user) is not installed")
    _write(files, folder)
    tool = folder / _find(files, "bin/exl-run")
    tool.chmod(0o755)
    command = (tool, folder / _find(files, ".exl"), "--self-test")
    return _run("natively", command) if here else _run(f"by {emulator[0]}", (*emulator, *command))


def _try_wheel(name: str, files: Files, folder: Path) -> Trial:
    """By a Python of this machine's that sees the standard library and the wheel alone."""
    machine = next((each.name for each in MACHINES.values() if name.endswith(f"-{each.wheel}.whl")), "no known machine")
    if machine != _this_machine():
        return Trial("not run", why=f"it is for {machine}")
    _write(files, folder)
    module = _find(files, ".exl").partition("/")[0]
    version = ".".join(platform.python_version_tuple()[:2])
    return _run(f"by Python {version}", (sys.executable, "-I", "-S", "-c", _IN_PYTHON, folder, module))


def _try_web(files: Files, folder: Path) -> Trial:
    node = shutil.which("node")
    if node is None:
        return Trial("not run", why="node is not installed")
    _write(files, folder)
    (folder / "try.mjs").write_text(_IN_NODE, encoding="utf-8")
    return _run("by Node", (node, folder / "try.mjs"))


def _try_sources(files: Files, folder: Path) -> Trial:
    """The package's `edgexl.c` with exl-run, whose own sources are not in it."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return Trial("not run", why="no C compiler is installed")
    _write(files, folder)
    source, tool = folder / _find(files, "edgexl.c"), folder / "exl-run"
    sources = (f"-I{source.parent}", source, RUNTIME / "tools" / TOOLS["exl-run"])
    command = (compiler, "-O3", *sources, "-o", tool, "-lm", "-ldl", "-lpthread")
    built = run_process(list(map(str, command)), "", _MOST_SECONDS, {})
    if built.exit_code != 0:
        wrong = [line for line in built.stderr.splitlines() if "error" in line] or [f"{compiler} failed"]
        return Trial("failed", why=f"it cannot be compiled: {wrong[0]}")
    return _run(f"compiled by {Path(compiler).name}", (tool, folder / _find(files, ".exl"), "--self-test"))


def _try_jar(path: Path) -> Trial:
    java = shutil.which("java")
    if java is None:
        return Trial("not run", why="java is not installed")
    return _run("by Java", (java, "-jar", path, "--self-test"))


def _try_crate(files: Files, folder: Path) -> Trial:
    """By a program of the crate's, which cargo compiles without a network."""
    cargo = shutil.which("cargo")
    if cargo is None:
        return Trial("not run", why="cargo is not installed")
    _write(files, folder)
    crate = (folder / _find(files, "Cargo.toml")).parent
    module = Path(_find(files, ".exl")).stem.replace("-", "_")
    (crate / "examples" / "trial.rs").write_text(_IN_RUST.replace("MODULE", module), encoding="utf-8")
    where = ("--manifest-path", crate / "Cargo.toml", "--target-dir", folder / "target")
    return _run("by cargo", (cargo, "run", "--quiet", "--offline", "--release", "--example", "trial", *where))


def _run(how: str, command: Sequence[str | Path]) -> Trial:
    """Run what prints how many goldens there are, and how many were answered otherwise."""
    done = run_process(list(map(str, command)), "", _MOST_SECONDS, {})
    try:
        said = json.loads(done.stdout)
        goldens, failed = int(said["goldens"]), int(said["failed"])
    except (ValueError, KeyError, TypeError):
        goldens = failed = 0
    if done.exit_code == 0 and goldens > failed == 0:
        return Trial("answered", how, goldens, goldens)
    lines = done.stderr.strip().splitlines() or [f"it ended with exit status {done.exit_code}"]
    return Trial("failed", how, goldens, goldens - failed, lines[-1])


def _this_machine() -> str:
    """This machine's name among `MACHINES`; one that is not there where it has none."""
    system = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    processor = {"AMD64": "x86-64", "aarch64": "arm64", "armv7l": "armhf"}.get(platform.machine(), platform.machine())
    musl = "-musl" if system == "linux" and platform.libc_ver()[0] != "glibc" else ""
    return f"{system}-{processor.replace('_', '-')}{musl}"


def _write(files: Files, folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BadInput(f"it has a file outside itself: {name}.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _find(files: Files, end: str) -> str:
    """The file whose path ends so. Raises `BadInput` where there is none."""
    for name in files:
        if name.endswith(end):
            return name
    raise BadInput(f"it holds no {end.removeprefix('bin/')}.")
