"""Which cost model speaks for a target: its own file, what the user calibrated, a shipped one, or that of a processor
like its own.

A target names its model (`costs`): a file beside it, or a shipped model. `edgexl targets calibrate` of a shipped target
puts the user's model into the cache, from where it is taken before the shipped one.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory
from edgexl.base.shipped import shipped_folder
from edgexl.base.toml import nearest
from edgexl.cost.model import CostModel, load_model
from edgexl.device.local import cpu_model
from edgexl.target import Target

# What a core's instructions are counted by, where a target names no model: one of its instruction set.
_BY_ISA = {"armv8-a": "cortex-a53", "armv8.2-a+dotprod": "cortex-a76"}
X86 = "x86-64-v3"


@dataclass(frozen=True)
class Found:
    """A model, where it lies, and whether it was fitted on the target itself (`measured`)."""

    model: CostModel
    path: Path
    measured: bool


def find_model(target: Target) -> Found:
    """The model of a target. Raises `BadInput` where it names one that is not there, or whose file is damaged."""
    own = user_path(target)
    if own.is_file():
        return Found(load_model(own), own, True)
    if target.costs.endswith(".json"):
        path = Path(target.costs)
        if not path.is_file():
            raise BadInput(
                f"The target {target.name} names the cost model {path}, which is not there; calibrate it: "
                "edgexl targets calibrate."
            )
        return Found(load_model(path), path, True)
    name = target.costs or _BY_ISA.get(target.isa, X86)
    if name not in shipped_models():
        near = nearest(name, list(shipped_models()))
        raise BadInput(f"The target {target.name} names the cost model '{name}', which edgexl does not ship{near}")
    model = load_shipped(name)
    return Found(model, shipped_models()[name], target.name == "host" and model.device == cpu_model())


def shipped_models() -> dict[str, Path]:
    """The models that edgexl ships: name -> file, sorted."""
    return {path.stem: path for path in sorted(shipped_folder("targets/costs").glob("*.json"))}


@functools.cache
def load_shipped(name: str) -> CostModel:
    """One of `shipped_models`."""
    return load_model(shipped_models()[name])


def user_path(target: Target) -> Path:
    """Where the user's own model of a target lies, once it is calibrated: by the target's name and hardware, and for
    this machine by its processor."""
    about = [target.name, target.isa, asdict(target.hardware), cpu_model() if target.name == "host" else ""]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    return cache_directory() / "costs" / f"{target.name}-{digest}.json"
