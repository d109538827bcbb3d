"""What both stages' training loops share: the optimiser, its schedule, and checkpoints without pickles.

Batches are pure functions of (seed, step), so a checkpoint is weights, optimiser moments and a step, as safetensors.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

# Losing two minutes to a kill is bearable; writing 100 MB every two minutes is not noticed.
CHECKPOINT_SECONDS = 120.0


def make_optimiser(module: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves tables of embeddings, biases and scales alone."""
    tables = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in parameters if parameter.ndim > 1 and id(parameter) not in tables]
    others = [parameter for parameter in parameters if parameter.ndim <= 1 or id(parameter) in tables]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, fused=True)


def learning_rate_at(step: int, steps: int, peak: float, warmup: float) -> float:
    """Linear rise over the first `warmup` of the steps, then half a cosine down to 2 % of the peak."""
    rise = max(1, round(steps * warmup))
    if step < rise:
        return peak * (step + 1) / rise
    share = (step - rise) / max(1, steps - rise)
    return peak * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * share)))


@dataclass
class Checkpoint:
    """Where one stage of one recipe keeps its state; `identity` tells it from other recipes' states."""

    path: Path
    identity: str
    saved_at: float = field(default_factory=time.monotonic)

    def restore(self, module: nn.Module, optimiser: torch.optim.AdamW) -> int:
        """Load the state, if there is one of the same identity; returns the number of steps already done."""
        if not self.path.is_file():
            return 0
        try:
            with safe_open(self.path, framework="pt") as file:
                about = file.metadata() or {}
                tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            return 0  # torn by a kill: start this stage again
        if about.get("identity") != self.identity:
            return 0
        module.load_state_dict({k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")})
        state = optimiser.state_dict()
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".")
                state["state"].setdefault(int(index), {})[key] = value
        optimiser.load_state_dict(state)
        return int(about["step"])

    def save(self, module: nn.Module, optimiser: torch.optim.AdamW, step: int, now: bool = False) -> None:
        """Write the state after `step` steps, unless the last was written less than two minutes ago."""
        if not now and time.monotonic() - self.saved_at < CHECKPOINT_SECONDS:
            return
        tensors = {f"module.{name}": value.detach() for name, value in module.state_dict().items()}
        for index, entry in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{key}": torch.as_tensor(value) for key, value in entry.items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        about = {"identity": self.identity, "step": str(step)}
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary, metadata=about)
        os.replace(temporary, self.path)
        self.saved_at = time.monotonic()
