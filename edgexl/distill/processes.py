"""Training by several processes, on one machine or more, which an engine for that starts: torchrun, or Ray Train.

    torchrun --nproc-per-node 2 -m edgexl distill RECIPE -o OUT

Each process draws batches of its own, of a part of the recipe's size, and all take the same step, by the mean of their
gradients. Everything else each does for itself, in a work directory of its own; the first one alone keeps checkpoints,
writes and speaks. All have to see the directory that is written, and the user's cache.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import nn

_Table = TypeVar("_Table", bound=Any)
# While one process judges, which may take an hour on few cores, the others wait.
_PATIENCE = timedelta(hours=4)
# From process to process: far more than a recipe's seeds are apart.
_SEEDS_APART = 7_919_017


def count_processes() -> int:
    """How many train together, as the engine says in the environment; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this one is, from 0."""
    return int(os.environ.get("RANK", "0")) if count_processes() > 1 else 0


def work_of(out: Path) -> Path:
    """Where a run that writes `out` keeps what it has."""
    return out.with_name(f"{out.name}.work-{rank()}" if rank() else f"{out.name}.work")


def join_processes(device: torch.device) -> None:
    """Meet the others, where there are some and the engine has not arranged that yet."""
    import torch.distributed as dist

    if count_processes() > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)


def divide_batch(table: _Table) -> _Table:
    """A stage's table with this process's part of its batch."""
    return replace(table, batch=max(1, table.batch // count_processes()))


def own_seed(seed: int) -> int:
    """What this process draws its batches by."""
    return seed + _SEEDS_APART * rank()


def share_state(module: nn.Module, optimiser: torch.optim.AdamW, step: int) -> int:
    """Give all processes the first one's weights and moments; returns its `step`."""
    if count_processes() == 1:
        return step
    import torch.distributed as dist

    told: list[Any] = [step, module.state_dict(), optimiser.state_dict()]
    dist.broadcast_object_list(told, src=0)
    if rank():
        module.load_state_dict(told[1])
        optimiser.load_state_dict(told[2])
    return int(told[0])


def average_gradients(module: nn.Module) -> None:
    """The mean of all processes' gradients, in the place of each one's own."""
    if count_processes() == 1:
        return
    import torch
    import torch.distributed as dist

    for parameter in module.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:  # another process may have one
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)
            parameter.grad /= count_processes()


def wait_for_all() -> None:
    """Until every process is here."""
    if count_processes() > 1:
        import torch.distributed as dist

        dist.barrier()
