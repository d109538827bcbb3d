"""`edgexl ship`: packs a bundle for platforms, each as what is installed there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput, DeviceError
from edgexl.base.files import write_bytes
from edgexl.base.progress import Progress, no_progress
from edgexl.base.toml import nearest
from edgexl.ship.android import check_tools, ship_aar, ship_android
from edgexl.ship.apple import ship_apple
from edgexl.ship.c_source import ship_c_source
from edgexl.ship.crate import ship_rust
from edgexl.ship.jar import find_javac, ship_java
from edgexl.ship.linux import ship_linux
from edgexl.ship.npm import ship_web
from edgexl.ship.product import Product
from edgexl.ship.wheel import ship_python

Packer = Callable[[Product, Progress], dict[str, bytes]]


def _linux(platform: str) -> Packer:
    return lambda product, progress: ship_linux(product, platform, progress)


# What a platform's packages are made by: their files, by name.
PLATFORMS: dict[str, Packer] = {
    "c-source": lambda product, _: ship_c_source(product),
    "linux-x86-64": _linux("linux-x86-64"),
    "linux-arm64": _linux("linux-arm64"),
    "linux-armhf": _linux("linux-armhf"),
    "python": ship_python,
    "java": ship_java,
    "android": lambda product, _: ship_android(product),
    "android-aar": ship_aar,
    "apple": lambda product, _: ship_apple(product),
    "rust": lambda product, _: ship_rust(product),
    "web": ship_web,
}
# What a platform wants of this machine besides Zig: it raises `DeviceError` where that lacks.
_NEEDS: dict[str, Callable[[], object]] = {"java": find_javac, "android-aar": check_tools}


@dataclass(frozen=True)
class Shipped:
    """A file that was written for a platform."""

    platform: str
    path: Path
    file_bytes: int

    def as_json(self) -> dict[str, Any]:
        """The file as `ship --json` tells it."""
        return {"platform": self.platform, "path": str(self.path), "bytes": self.file_bytes}


def ship(
    product: Product, platforms: Sequence[str], directory: Path, progress: Progress = no_progress
) -> list[Shipped]:
    """Write the packages for `platforms` into `directory`, beside what is there; where there is none, for all that this
    machine has the tools for (`lacking`).

    Platforms are packed side by side: most of a cold start is Zig's, which compiles C libraries file by file. The same
    product gives the same bytes.

    Raises `BadInput` for an unknown platform, `DeviceError` where a compiler is missing.
    """
    for platform in platforms:
        if platform not in PLATFORMS:
            raise BadInput(f"There is no platform '{platform}'{nearest(platform, list(PLATFORMS))}")
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is not a directory; give -o a new one.")
    directory.mkdir(parents=True, exist_ok=True)
    out_of_reach = {} if platforms else lacking()
    wanted = dict.fromkeys(platforms or (each for each in PLATFORMS if each not in out_of_reach))
    writing = threading.Lock()  # Linux's platforms have a package in common

    def pack(platform: str) -> list[Shipped]:
        files = PLATFORMS[platform](product, progress)
        with writing:
            for name, content in files.items():
                write_bytes(directory / name, content)
        return [Shipped(platform, directory / name, len(content)) for name, content in files.items()]

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return [each for packed in workers.map(pack, wanted) for each in packed]


def lacking() -> dict[str, str]:
    """The platforms for which this machine has no tools, with a sentence each."""
    found = {}
    for platform, find in _NEEDS.items():
        try:
            find()
        except DeviceError as error:
            found[platform] = str(error)
    return found
