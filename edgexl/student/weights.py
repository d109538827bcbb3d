"""Weights on disk: safetensors in which matrices are int8 with one fp16 scale a row, and everything else is fp16.

An int8 matrix `NAME` stands beside its scales `NAME.scale`; the value is `int8 * scale`. A table that is a product of
another stored table and a small matrix is stored as that small matrix alone (see `Product`). What is read back is the
student: everything is evaluated on the reloaded weights, so rounding is never left out of a figure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from edgexl.base.errors import BadInput
from edgexl.base.files import check_input, write_bytes

SCALE = ".scale"
LARGEST_WEIGHT = 65504.0


@dataclass(frozen=True)
class Product:
    """The matrix `name` [R,C] is the first R `rows` of `table` [.,K], another stored matrix, times `map` [K,C], which
    is stored for it; 0 stands for all rows."""

    name: str
    table: str
    map: str
    rows: int = 0


def quantise_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """[R,C] float -> (int8 [R,C] in -127..127, fp16 scales [R]); a row of zeros has scale 0."""
    scale = (matrix.abs().amax(1) / 127.0).to(torch.float16)
    steps = matrix / scale.to(torch.float32).clamp_min(1e-12).unsqueeze(1)
    return steps.round().clamp(-127, 127).to(torch.int8), scale


def round_trip(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights as they would be read back from disk."""
    return unpack(pack(weights))


def pack(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Float tensors by name -> the tensors to store."""
    stored: dict[str, Tensor] = {}
    for name, value in weights.items():
        value = value.detach().to("cpu", torch.float32)
        if value.ndim == 2 and min(value.shape) > 8:
            stored[name], stored[name + SCALE] = quantise_rows(value)
        else:
            stored[name] = value.to(torch.float16)
    return {name: value.contiguous() for name, value in stored.items()}


def unpack(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stored tensors -> float tensors by name. Raises `ValueError` where scale and matrix do not fit each other."""
    weights: dict[str, Tensor] = {}
    for name, value in stored.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in stored:
            continue
        if value.dtype == torch.int8:
            scale = stored.get(name + SCALE)
            if value.ndim != 2 or scale is None or scale.shape != value.shape[:1]:
                raise ValueError(f"the int8 tensor '{name}' needs one scale a row in '{name}{SCALE}'")
            weights[name] = value.to(torch.float32) * scale.to(torch.float32).unsqueeze(1)
        elif value.dtype in (torch.float16, torch.bfloat16, torch.float32):
            weights[name] = value.to(torch.float32)
        else:
            raise ValueError(f"the tensor '{name}' is {value.dtype}; weights are int8 with scales, or floats")
        if fault := find_weight_fault(name, weights[name]):
            raise ValueError(fault)
    return weights


def find_weight_fault(name: str, weights: Tensor) -> str | None:
    """What keeps the tensor `name` from being weights, as a sentence without its end, or None where nothing does.

    A number beyond half precision's largest is refused as one that is not finite is: sums of its squares overflow, and
    the answers that come of it are not numbers.
    """
    if not weights.numel():
        return None
    least, most = weights.aminmax()
    if float(least) >= -LARGEST_WEIGHT and float(most) <= LARGEST_WEIGHT:  # where one is NaN, both are
        return None
    place = (~(weights.abs() <= LARGEST_WEIGHT)).nonzero()[0].tolist()
    value = float(weights[tuple(place)])
    row = f", row {place[0]}," if weights.ndim > 1 else ""
    if math.isfinite(value):
        return f"the tensor '{name}'{row} holds {value:.3g}, and no weight may be beyond {LARGEST_WEIGHT:,.0f}"
    return f"the tensor '{name}'{row} holds numbers that are not finite ({value})"


def write_weights(path: Path, weights: dict[str, Tensor], maps: dict[Product, Tensor]) -> None:
    """Write `weights` without those that `maps` derives; the same weights give the same bytes."""
    derived = {product.name for product in maps}
    stored = pack({name: value for name, value in weights.items() if name not in derived})
    stored.update(pack({product.map: value for product, value in maps.items()}))
    write_bytes(path, save(stored))


def read_weights(path: Path, products: tuple[Product, ...]) -> tuple[dict[str, Tensor], dict[Product, Tensor]]:
    """Read what `write_weights` wrote: (all weights as fp32, the maps that derived some). Raises `BadInput`."""
    stored = read_safetensors(path)
    try:
        weights = unpack(stored)
    except ValueError as error:
        raise BadInput(f"{path} is not a sound weight file: {error}.") from None
    maps: dict[Product, Tensor] = {}
    for product in products:
        table, small = weights.get(product.table), weights.pop(product.map, None)
        if table is None or small is None or not _fits(table, small, product.rows):
            raise BadInput(
                f"{path}: '{product.name}' is said to be '{product.table}' times '{product.map}', "
                "but these are missing or do not fit; save the student again."
            )
        weights[product.name] = (table[: product.rows] if product.rows else table) @ small
        maps[product] = small
    return weights, maps


def _fits(table: Tensor, small: Tensor, rows: int) -> bool:
    return table.ndim == 2 and small.ndim == 2 and table.shape[1] == small.shape[0] and 0 <= rows <= table.shape[0]


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a safetensors file, out of its header alone. Raises `BadInput`."""
    with _open_safetensors(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises `BadInput` where it is cut, not one, or cannot be read."""
    with _open_safetensors(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no iteration offered


@contextmanager
def _open_safetensors(path: Path) -> Iterator[Any]:
    check_input(path)
    try:
        with safe_open(path, framework="pt") as file:
            if twice := _find_twice_named(path):
                raise ValueError(f"it holds two tensors '{twice}'")
            yield file
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}).") from None
    except (SafetensorError, RuntimeError, ValueError, OverflowError, KeyError) as error:
        raise BadInput(f"{path} is not a sound weight file: {str(error).splitlines()[0].rstrip('.')}.") from None


def _find_twice_named(path: Path) -> str:
    """A name that a sound header gives to two tensors ("": none), of which the library takes the last in silence."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            names = [name for name, _ in pairs]
            twice.append(next(name for name in entries if names.count(name) > 1))
        return entries

    twice: list[str] = []
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        json.loads(file.read(size), object_pairs_hook=unique)
    return twice[0] if twice else ""
