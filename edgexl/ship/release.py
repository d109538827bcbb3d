"""Wheels of edgexl itself, of a checkout: what scikit-build-core packs without compiling, with the runtime that Zig
compiles for each machine. They need no compiler where they are installed, and the same sources give the same bytes.

    python -m edgexl.ship.release dist       those for `MACHINES_OF_RELEASES`
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgexl.base.archives import Member, pack_zip
from edgexl.base.errors import BadInput, DeviceError, EdgexlError
from edgexl.base.files import write_bytes
from edgexl.runtime.build import RUNTIME, TOOLS
from edgexl.ship.machines import MACHINES, Machine, link_objects
from edgexl.ship.unpack import unpack
from edgexl.ship.wheel import make_record

MACHINES_OF_RELEASES = ("linux-x86-64", "linux-arm64")
# Where library.py, private_library.py and the tools' callers look.
_FOLDER = "edgexl/runtime/lib"


def make_wheels(directory: Path, machines: Sequence[str] = MACHINES_OF_RELEASES) -> list[Path]:
    """Write the wheels for these machines into `directory`. Raises `BadInput` where this edgexl is no checkout,
    `DeviceError` where scikit-build-core or Zig lacks."""
    files = _without_runtime()
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name in machines:
        title, content = _wheel(files, MACHINES[name])
        written.append(directory / title)
        write_bytes(written[-1], content)
    return written


def _without_runtime() -> dict[str, bytes]:
    """What is in a wheel of these sources, the compiled runtime left out."""
    root = RUNTIME.parents[1]
    if not (root / "pyproject.toml").is_file():
        raise BadInput(f"{root} is no checkout of edgexl, of which wheels are made.")
    with tempfile.TemporaryDirectory() as scratch:
        how = ("--no-deps", "--no-build-isolation", "--config-settings=wheel.cmake=false", "--wheel-dir", scratch)
        command = (sys.executable, "-m", "pip", "wheel", "--quiet", *how, str(root))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        made = list(Path(scratch).glob("*.whl"))
        if done.returncode or not made:
            raise DeviceError(f"scikit-build-core cannot pack {root}: {(done.stderr.strip() or 'no wheel')[-300:]}")
        return unpack(made[0].name, made[0].read_bytes())


def _wheel(files: Mapping[str, bytes], machine: Machine) -> tuple[str, bytes]:
    """(its name, its bytes)"""
    tag = f"py3-none-{machine.wheel}"
    about = next(name for name in files if name.endswith(".dist-info/WHEEL")).partition("/")[0]
    lines = files[f"{about}/WHEEL"].decode().splitlines()
    kept = [line for line in lines if line and not line.startswith(("Tag:", "Root-Is-Purelib:"))]
    packed = {name: content for name, content in sorted(files.items()) if name != f"{about}/RECORD"}
    native = _native(machine)
    packed |= {f"{_FOLDER}/{name}": content for name, content in native.items()}
    packed[f"{about}/WHEEL"] = "\n".join((*kept, "Root-Is-Purelib: false", f"Tag: {tag}", "")).encode()
    packed[f"{about}/RECORD"] = make_record(packed, about)
    programs = {f"{_FOLDER}/{name}" for name in native}
    members = {name: Member(content, 0o755 if name in programs else 0o644) for name, content in packed.items()}
    return f"{about.removesuffix('.dist-info')}-{tag}.whl", pack_zip(members)


def _native(machine: Machine) -> dict[str, bytes]:
    """Both libraries and the tools, which load ONNX Runtime where a bundle is for it, and so are not static."""
    sources: dict[str, Path | None] = {name: RUNTIME / "tools" / source for name, source in TOOLS.items()}
    sources |= {"libedgexl_private.so": RUNTIME / "private" / "private.c", "libedgexl.so": None}
    return link_objects(machine, sources)


if __name__ == "__main__":
    try:
        for path in make_wheels(Path(sys.argv[1] if len(sys.argv) == 2 else "dist")):
            print(path, f"{path.stat().st_size:,} bytes")
    except EdgexlError as error:
        sys.exit(str(error))
