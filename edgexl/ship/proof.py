"""Kits for owners of what is not here, an NDK, Xcode, a device: a folder with packages and one command, which has them
answer the vectors where they are to run, and writes one file of JSON. `edgexl.ship.accept` reads what is brought back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl import __version__
from edgexl.base.errors import BadInput
from edgexl.base.files import write_bytes
from edgexl.base.progress import Progress, no_progress
from edgexl.base.toml import nearest
from edgexl.device.probe import ESCAPE, PROBE
from edgexl.ship import vectors
from edgexl.ship.apple import swift_module
from edgexl.ship.jar import class_name
from edgexl.ship.product import Product
from edgexl.ship.ship import PLATFORMS
from edgexl.ship.template import fill_template
from edgexl.ship.wheel import WHEELS, ship_python

FORMAT = 1
RESULT = "result.json"
PROGRAMS = Path(__file__).parent / "proof"
_COMMANDS = {".sh": "sh prove.sh", ".ps1": "powershell -ExecutionPolicy Bypass -File prove.ps1"}


@dataclass(frozen=True)
class _Kit:
    """What proves packages of a `platform` of `edgexl ship`. `needs`: what its owner has; `steps`: what is the
    platform's own in `prove.sh`, or in `prove.ps1`; `programs`: what runs there; `machines`: those of the wheels."""

    platform: str
    needs: str
    steps: tuple[str, ...]
    programs: tuple[str, ...] = ()
    machine: str = ""
    machines: tuple[str, ...] = ()


def _linux(platform: str, machine: str) -> _Kit:
    return _Kit(platform, f"Linux on {machine}, and a C compiler.", ("linux.sh",), ("vectors.c",), machine)


def _python(system: str, needs: str, steps: str) -> _Kit:
    wheels = tuple(name for name in WHEELS if name.startswith(system))
    return _Kit("python", f"{needs} with Python 3.9 or newer.", (steps,), ("vectors.py",), machines=wheels)


KITS = {
    "android": _Kit(
        "android", "Android's SDK with its NDK, a JDK 17, Gradle 8.9, and a device that adb sees.", ("android.sh",)
    ),
    "apple": _Kit("apple", "a Mac with Xcode 15; a device or a simulator where one is named.", ("apple.sh",)),
    "c-source": _Kit("c-source", "a C11 compiler.", ("c-source.sh",), ("vectors.c",)),
    "java": _Kit("java", "a JDK, 8 or newer.", ("java.sh", "java.ps1"), ("Vectors.java", "PrintVectors.java")),
    "linux-x86-64": _linux("linux-x86-64", "x86_64"),
    "linux-arm64": _linux("linux-arm64", "aarch64"),
    "linux-armhf": _linux("linux-armhf", "armv7l"),
    "macos": _python("macos", "a Mac", "python.sh"),
    "python": _python("linux", "Linux", "python.sh"),
    "rust": _Kit("rust", "Rust 1.63 or newer, and a C compiler.", ("rust.sh",), ("vectors.rs",)),
    "web": _Kit("web", "Node 18 or newer.", ("web.sh",), ("vectors.mjs",)),
    "windows": _python("windows", "Windows 10 or newer, on x86-64,", "python.ps1"),
}  # fmt: skip


@dataclass(frozen=True)
class ProofKit:
    """A kit that was written: its folder, what it `needs`, and the commands of which its owner runs one in it."""

    name: str
    folder: Path
    needs: str
    commands: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The kit as `ship --proof --json` tells it."""
        return {"kit": self.name, "path": str(self.folder), "needs": self.needs, "commands": list(self.commands)}


def write_kits(
    product: Product, names: Sequence[str], directory: Path, progress: Progress = no_progress
) -> list[ProofKit]:
    """Write a folder for each of these kits into `directory`. Raises `BadInput` for an unknown one, and as `ship`
    does for the packages in it."""
    for name in names:
        if name not in KITS:
            raise BadInput(f"There is no proof kit for '{name}'{nearest(name, list(KITS))}")
    return [_write_kit(product, name, directory, progress) for name in dict.fromkeys(names)]


def _write_kit(product: Product, name: str, directory: Path, progress: Progress) -> ProofKit:
    kit, folder = KITS[name], directory / f"{product.title}-proof-{name}"
    if kit.machines:
        packages = ship_python(product, progress, kit.machines)
    else:
        packages = PLATFORMS[kit.platform](product, progress)
    beside = {path: content for path, content in packages.items() if not path.endswith((".deb", ".sha256"))}
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in (beside | kit_files(product, name)).items():
        write_bytes(folder / path, content)
    commands = tuple(_COMMANDS[Path(steps).suffix] for steps in kit.steps)
    return ProofKit(name, folder, kit.needs, commands)


def kit_files(product: Product, name: str) -> dict[str, bytes]:
    """What a kit holds beside packages: its scripts, its programs and the vectors, by their names."""
    kit = KITS[name]
    facts = {
        "{title}": product.title, "{name}": product.name, "{version}": product.version, "{file}": product.file,
        "{module}": product.module, "{Class}": swift_module(product) if name == "apple" else class_name(product),
        "{vectors}": vectors.NAME, "{count}": str(len(product.vectors.splitlines())), "{result}": RESULT,
        "{needs}": kit.needs, "{machine}": kit.machine, "{platform}": kit.platform, "{edgexl}": __version__,
        "{format}": str(FORMAT), "{escape}": ESCAPE,
    }  # fmt: skip
    files = {vectors.NAME: product.vectors}
    for program in kit.programs:
        files[program] = fill_template(PROGRAMS / program, facts)
    for steps in kit.steps:
        script = f"prove{Path(steps).suffix}"
        own = (PROGRAMS / steps).read_text(encoding="utf-8").strip()
        files[script] = fill_template(PROGRAMS / script, {"{steps}": own, **facts})
    if "prove.sh" in files:
        files["system.sh"] = PROBE.lstrip().encode()
    return files
