"""Dense modules behind the pooling: one linear map where they are nothing else, otherwise steps with activations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from edgexl.student.architecture import Activation, DenseStep
from edgexl.student.importing.files import ForeignModel, as_size, read_table
from edgexl.student.importing.tensors import read_tensors

_ACTIVATIONS: dict[str, Activation] = {
    "Identity": "identity", "Tanh": "tanh", "ReLU": "relu", "Sigmoid": "sigmoid", "GELU": "gelu",
}  # fmt: skip


@dataclass(frozen=True)
class Dense:
    """A step with its weights [out,in] and [out], and the hash of their file."""

    step: DenseStep
    weight: Tensor
    bias: Tensor
    sha256: str

    @property
    def linear(self) -> bool:
        """Whether it maps a vector and its multiples alike."""
        return self.step.activation == "identity" and not bool(self.bias.any())


def read_dense(folders: tuple[tuple[Path, bool], ...], width: int) -> tuple[Dense, ...]:
    """All Dense modules, in order, of vectors that are `width` wide. Raises `BadInput`, and `ForeignModel` for what
    edgexl does not compute."""
    found = []
    for folder, normalised in folders:
        path = folder / "config.json"
        config = read_table(path)
        name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
        activation = _ACTIVATIONS.get(name.rpartition(".")[2]) if name.startswith("torch.nn.") else None
        if activation is None:
            known = ", ".join(_ACTIVATIONS)
            raise ForeignModel(f"{folder} is a Dense module with the activation {name:.80}; edgexl has {known}.")
        for key in ("module_input_name", "module_output_name"):
            if config.get(key) not in (None, "sentence_embedding"):
                raise ForeignModel(f"{path}: {key} is {config[key]!r:.40}; edgexl maps the sentence embedding alone.")
        sizes = as_size(path, "out_features", config.get("out_features")), width
        tensors = read_tensors(folder, kind="Dense")
        has_bias = bool(config.get("bias", True))
        weight = tensors.take("linear.weight", sizes)
        bias = tensors.take("linear.bias", sizes[:1]) if has_bias else torch.zeros(sizes[0])
        found.append(Dense(DenseStep(sizes[0], activation, has_bias, normalised), weight, bias, tensors.sha256()))
        width = sizes[0]
    return tuple(found)


def fold(steps: tuple[Dense, ...]) -> tuple[Tensor, Tensor] | None:
    """Steps as one map (matrix [out,in], bias [out]), where the direction of what they give is that of one."""
    matrix = torch.eye(steps[0].weight.shape[1], dtype=torch.float64)
    bias = torch.zeros(len(matrix), dtype=torch.float64)
    for dense in steps:
        shift = dense.bias.double()
        if dense.step.activation != "identity" or (dense.step.normalised and bool(shift.any() or bias.any())):
            return None
        matrix, bias = dense.weight.double() @ matrix, dense.weight.double() @ bias + shift
    return matrix.float(), bias.float()
