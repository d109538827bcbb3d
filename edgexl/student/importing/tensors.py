"""A model's weights: one safetensors file or several with an index, in any float type."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from edgexl.base.errors import BadInput
from edgexl.base.fetch import sha256_file
from edgexl.student.importing.files import ForeignModel, inside, read_table
from edgexl.student.weights import find_weight_fault, read_safetensors, read_shapes

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
# Heads, and buffers that are counted anew.
_UNUSED = re.compile(
    r"(cls|pooler|classifier|qa_outputs|dropout|lm_head|vocab_(transform|layer_norm|projector)|pre_classifier|head|decoder)"
    r"\.|embeddings\.(position_ids|token_type_ids)$"
)

log = logging.getLogger(__name__)


@dataclass
class Tensors:
    """The tensors of a folder, by name; taking one checks it. `kind` is what the model should be."""

    folder: Path
    found: dict[str, Tensor]
    files: tuple[Path, ...]
    kind: str = ""

    def require(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor as it is stored. Raises `BadInput` where it is missing, has another shape, or is no float."""
        if name not in self.found:
            raise BadInput(f"{self.folder} lacks the tensor '{name}', so it is not a plain {self.kind} encoder.")
        value = self.found[name]
        if value.dtype not in _FLOATS:
            raise ForeignModel(
                f"{self.folder}: the tensor '{name}' is stored as {value.dtype}; edgexl imports float weights, not "
                "quantised ones."
            )
        if tuple(value.shape) != shape:
            raise BadInput(
                f"{self.folder}: the model's '{name}' is {list(value.shape)}, "
                f"but its config.json makes it {list(shape)}."
            )
        return value

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor in fp32, which is then gone from here. Raises as `require` does, and where it holds no sound
        weights."""
        value = self.require(name, shape).to(torch.float32)
        del self.found[name]
        if fault := find_weight_fault(name, value):
            raise BadInput(f"{self.folder} cannot be imported: {fault}.")
        return value

    def warn_of_the_rest(self) -> None:
        """Say which tensors, other than heads', were not asked for."""
        rest = sorted(name for name in self.found if not _UNUSED.match(name))
        if rest:
            log.warning("%s: edgexl does not read the tensor '%s' (%d such)", self.folder, rest[0], len(rest))

    def sha256(self) -> str:
        """What tells these weights from others: the file's hash, or one over those of several."""
        hashes = [sha256_file(path) for path in self.files]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def read_tensors(folder: Path, prefix: str = "", kind: str = "") -> Tensors:
    """The weights of a folder, without the `prefix` that some have before their names. Raises `BadInput` where there
    are none in safetensors, or a file is not sound."""
    files = _weight_files(folder)
    found: dict[str, Tensor] = {}
    for path in files:
        for name, value in read_safetensors(path).items():
            plain = _plain_name(name, prefix)
            if plain in found:
                raise BadInput(
                    f"{folder} holds the tensor '{plain}' twice, the second time as '{name}' in {path.name}."
                )
            found[plain] = value
    return Tensors(folder, found, files, kind)


def _plain_name(name: str, prefix: str) -> str:
    """The name of today: older ones say gamma and beta, and models with a head put a prefix before all."""
    name = name.removeprefix(prefix)
    return re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name))


def _weight_files(folder: Path) -> tuple[Path, ...]:
    if (folder / WEIGHTS).exists():
        return (folder / WEIGHTS,)
    index = folder / INDEX
    if not index.exists():
        raise BadInput(f"{folder} has no {WEIGHTS}; convert its weights (pickles are never read).")
    places = read_table(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise BadInput(f"{index} has no 'weight_map' that says which file holds which tensor.")
    files = {name: inside(folder, name, index) for name in dict.fromkeys(map(str, places.values()))}
    for name, path in files.items():
        if path.suffix != ".safetensors":
            raise BadInput(f"{index} names {name!r:.80}, which is no safetensors file (pickles are never read).")
        if not path.exists():
            raise BadInput(f"{index} names {name}, which is missing; fetch the model again.")
        held = read_shapes(path)
        if missing := [tensor for tensor, at in places.items() if at == name and tensor not in held]:
            raise BadInput(f"{index} places the tensor '{missing[0]}' in {name}, which does not hold it.")
    return tuple(files.values())
