"""The training loop that both stages share: optimiser, schedule, curves, and checkpoints without pickles.

Batches are pure functions of (seed, step), so a checkpoint is weights, optimiser moments and a step, as safetensors.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from edgexl.base.errors import BadInput
from edgexl.base.files import read_input, write_text
from edgexl.base.progress import Progress
from edgexl.base.sealed import read_sealed, write_sealed
from edgexl.base.strict_json import parse_line
from edgexl.distill.processes import average_gradients, rank, share_state
from edgexl.distill.stages.compute import trim_heap

# Losing less than a minute to a kill is bearable; writing 100 MB every 45 seconds is not noticed.
CHECKPOINT_SECONDS = 45.0
LOG_STEPS = 50

Losses = dict[str, Tensor]


def divergence(wanted: Tensor, own: Tensor) -> Tensor:
    """Mean KL between distributions `wanted` [B,N] and log probabilities `own` [B,N]; rows of 0 count as 0."""
    return (wanted * (wanted.clamp_min(1e-9).log() - own)).sum(-1).mean()


@dataclass(frozen=True)
class Schedule:
    """How a stage is optimised: AdamW, a linear rise over the first `warmup` of the steps, half a cosine down."""

    steps: int
    learning_rate: float
    warmup: float
    weight_decay: float

    def rate(self, step: int) -> float:
        """The learning rate of a step; it ends at 2 % of the peak."""
        rise = max(1, round(self.steps * self.warmup))
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        share = (step - rise) / max(1, self.steps - rise)
        return self.learning_rate * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * share)))


def make_optimiser(module: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves tables of embeddings, biases and scales alone."""
    tables = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in parameters if parameter.ndim > 1 and id(parameter) not in tables]
    others = [parameter for parameter in parameters if parameter.ndim <= 1 or id(parameter) in tables]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, fused=True)


@dataclass
class Curves:
    """What was logged: one dictionary a point, {"stage", "step", "seconds", losses and held-out metrics by name}.

    Kept in a file of JSON lines, so that a resumed run goes on with the curves of the one before.
    """

    path: Path
    points: list[dict[str, Any]] = field(default_factory=list)

    def restore(self, stage: str, step: int) -> None:
        """Read the file; drop what a stage logged after `step`, for it will be done again."""
        known: list[dict[str, Any]] = []
        if self.path.is_file():
            for line in read_input(self.path).splitlines():
                point = _curve_point(line)
                if point is None:
                    break  # torn by a kill, or damaged
                known.append(point)
        self.points = [point for point in known if point["stage"] != stage or point["step"] <= step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, "".join(json.dumps(point) + "\n" for point in self.points))

    def add(self, point: dict[str, Any]) -> None:
        """Append a point, here and in the file."""
        self.points.append(point)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")


def _curve_point(line: bytes) -> dict[str, Any] | None:
    try:
        point = parse_line(line)
    except ValueError:
        return None
    sound = isinstance(point, dict) and isinstance(point.get("stage"), str) and type(point.get("step")) is int
    return point if sound else None


@dataclass
class Checkpoint:
    """Where one stage of one recipe keeps its state; `identity` tells it from other recipes' states."""

    path: Path
    identity: str
    saved_at: float = field(default_factory=time.monotonic)

    def restore(self, module: nn.Module, optimiser: torch.optim.AdamW) -> int:
        """Load the state, if there is one; returns the number of steps already done. Raises `BadInput` for a state of
        another recipe, which going on would overwrite."""
        if not self.path.is_file():
            return 0
        found = _read_tensors(self.path)
        if found is None:
            return 0  # damaged: start this stage again
        tensors, about = found
        if about.get("identity") != self.identity:
            raise BadInput(
                f"{self.path.parent} holds an unfinished run of another recipe, teacher or data set than this one; "
                "finish that run with what it began with, or delete the directory."
            )
        module.load_state_dict({k.removeprefix("module."): v for k, v in tensors.items() if k.startswith("module.")})
        state = optimiser.state_dict()
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".")
                state["state"].setdefault(int(index), {})[key] = value
        optimiser.load_state_dict(state)
        return int(about["step"])

    def save(self, module: nn.Module, optimiser: torch.optim.AdamW, step: int, now: bool = False) -> None:
        """Write the state after `step` steps, unless the last was written less than `CHECKPOINT_SECONDS` ago."""
        if not now and time.monotonic() - self.saved_at < CHECKPOINT_SECONDS:
            return
        tensors = {f"module.{name}": value.detach() for name, value in module.state_dict().items()}
        for index, entry in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{key}": torch.as_tensor(value) for key, value in entry.items()}
        save_tensors(self.path, tensors, {"identity": self.identity, "step": str(step)})
        self.saved_at = time.monotonic()


def save_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    """Write tensors as one step, sealed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_sealed(path, durable=True) as stream:
        stream.write(save({name: value.cpu().contiguous() for name, value in tensors.items()}, metadata=about))


def load_tensors(path: Path, about: dict[str, str]) -> dict[str, Tensor] | None:
    """What `save_tensors` wrote with the same `about`; None where there is none, a damaged or another one."""
    found = _read_tensors(path)
    return found[0] if found and found[1] == about else None


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """What `save_tensors` wrote, tensors and `about`; None where that is not there, or not as it was written."""
    content = read_sealed(path)
    if content is None:
        return None
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return load(content), header.get("__metadata__", {})
    except (SafetensorError, ValueError, AttributeError):
        return None  # sealed by another program


@dataclass(frozen=True)
class Observer:
    """Whom a stage tells of its way: a progress bar, lines of text, curves; and how it is judged meanwhile.

    `held_out` returns metrics by name, on queries that no training sees; it is called `looks` times a stage.
    """

    progress: Progress
    log: Callable[[str], None]
    curves: Curves
    held_out: Callable[[], dict[str, float]] | None = None
    looks: int = 4


def train_stage(
    name: str,
    module: nn.Module,
    losses_at: Callable[[int], Losses],
    schedule: Schedule,
    seed: int,
    checkpoint: Checkpoint,
    observer: Observer,
) -> None:
    """Train `module` in place: `losses_at(step)` gives the losses of a step, of which "loss" is minimised.

    Goes on from the checkpoint where there is one. Several processes (`edgexl.distill.processes`) train one module, of
    which each has the same. Raises `BadInput` where the loss is no longer a finite number.
    """
    optimiser = make_optimiser(module, schedule.learning_rate, schedule.weight_decay)
    first = share_state(module, optimiser, 0 if rank() else checkpoint.restore(module, optimiser))
    observer.curves.restore(name, first)
    began = time.monotonic()
    recent: list[Losses] = []
    module.train()
    for step in range(first, schedule.steps):
        torch.manual_seed(seed * 1_000_003 + step)  # all that is left to chance, the same after a restart
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        losses = losses_at(step)
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        average_gradients(module)
        nn.utils.clip_grad_norm_(module.parameters(), 1.0, foreach=True)
        optimiser.step()
        recent.append({key: value.detach() for key, value in losses.items()})
        done, last = step + 1, step + 1 == schedule.steps
        observer.progress(f"train {name}", done, schedule.steps)
        if done % LOG_STEPS == 0 or last:
            means = {key: float(torch.stack([each[key].float() for each in recent]).mean()) for key in recent[0]}
            point: dict[str, Any] = {"stage": name, "step": done, "seconds": round(time.monotonic() - began, 1)} | means
            if not math.isfinite(means["loss"]):
                raise BadInput(f"The loss of {name} is no finite number any more at step {done}; lower learning_rate.")
            recent = []
            if observer.held_out and (last or _is_look(done, schedule.steps, observer.looks)):
                module.eval()
                point |= observer.held_out()
                module.train()
            observer.curves.add(point)
            said = ", ".join(f"{k} {v:.4g}" for k, v in point.items() if k not in ("stage", "step", "seconds"))
            observer.log(f"{name} step {done}/{schedule.steps}: {said}")
            trim_heap()
        if not rank():
            checkpoint.save(module, optimiser, done, now=last)
    module.eval()


def _is_look(done: int, steps: int, looks: int) -> bool:
    """Is this point, a multiple of LOG_STEPS, the first at or after one of `looks` even places?"""
    return done * looks // steps > max(0, done - LOG_STEPS) * looks // steps
