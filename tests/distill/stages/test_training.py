"""What both stages of training share: rates, what decays, curves and checkpoints that a kill has torn."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from edgexl.base.errors import BadInput
from edgexl.base.progress import no_progress
from edgexl.distill.stages.training import (
    Checkpoint,
    Curves,
    Observer,
    Schedule,
    load_tensors,
    make_optimiser,
    save_tensors,
    train_stage,
)


def test_the_rate_rises_in_a_line_and_falls_along_half_a_cosine() -> None:
    schedule = Schedule(steps=104, learning_rate=2.0, warmup=0.04, weight_decay=0.0)
    assert [schedule.rate(step) for step in range(4)] == [0.5, 1.0, 1.5, 2.0]
    assert schedule.rate(4) == pytest.approx(2.0)
    assert schedule.rate(54) == pytest.approx(2.0 * (0.02 + 0.98 / 2))  # in the middle of the 100 that are left
    assert schedule.rate(29) == pytest.approx(2.0 * (0.02 + 0.98 * (1 + math.cos(math.pi / 4)) / 2))
    assert schedule.rate(104) == pytest.approx(0.04)
    assert Schedule(1, 2.0, 0.0, 0.0).rate(0) == 2.0


def test_matrices_decay_and_nothing_else() -> None:
    module = nn.ModuleDict({"table": nn.Embedding(5, 3), "map": nn.Linear(3, 2), "norm": nn.LayerNorm(2)})
    module["frozen"] = nn.Linear(2, 2)
    module["frozen"].requires_grad_(False)
    groups = make_optimiser(module, 0.1, 0.25).param_groups
    assert [group["weight_decay"] for group in groups] == [0.25, 0.0]
    assert [id(parameter) for parameter in groups[0]["params"]] == [id(module["map"].weight)]
    others = {id(part) for part in (module["table"].weight, module["map"].bias, *module["norm"].parameters())}
    assert {id(parameter) for parameter in groups[1]["params"]} == others
    assert {group["lr"] for group in groups} == {0.1}
    assert len(make_optimiser(nn.LayerNorm(2), 0.1, 0.25).param_groups) == 1


def test_curves_go_on_where_a_stage_does(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "curves.jsonl"
    curves = Curves(path)
    curves.restore("one", 0)
    points = [{"stage": stage, "step": step} for stage, step in (("one", 50), ("one", 100), ("two", 50), ("two", 100))]
    for point in points:
        curves.add(point)
    assert curves.points == points
    with path.open("a") as file:
        file.write('{"stage": "two", "st')  # torn by a kill
    again = Curves(path)
    again.restore("two", 50)
    assert again.points == points[:3]
    assert [json.loads(line) for line in path.read_text().splitlines()] == points[:3]
    assert [found.name for found in path.parent.iterdir()] == ["curves.jsonl"]


def test_tensors_come_back_to_whom_they_were_written_for(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "kept.safetensors"
    assert load_tensors(path, {"identity": "a"}) is None
    save_tensors(path, {"x": torch.arange(6).reshape(2, 3).T}, {"identity": "a"})
    kept = load_tensors(path, {"identity": "a"})
    assert kept is not None
    assert torch.equal(kept["x"], torch.arange(6).reshape(2, 3).T)
    assert load_tensors(path, {"identity": "b"}) is None
    path.write_bytes(path.read_bytes()[:40])
    assert load_tensors(path, {"identity": "a"}) is None
    assert [found.name for found in path.parent.iterdir()] == ["kept.safetensors"]


def quadratic(module: nn.Linear):  # type: ignore[no-untyped-def]
    """Losses that pull the weights to 3, with a little of each step's chance."""

    def losses(step: int) -> dict[str, torch.Tensor]:
        distance = (module.weight - 3 + 0.01 * torch.rand(1)).square().sum()
        return {"loss": distance, "half": distance / 2}

    return losses


def stage(tmp_path: Path, steps: int, looks: int = 4, stop: int | None = None, decay: float = 0.0):  # type: ignore[no-untyped-def]
    """A stage of `steps`, killed after `stop`; what was logged, how often the held-out queries were asked, weights."""
    torch.manual_seed(0)
    module, lines, asked = nn.Linear(4, 4), [], []

    def tell(what: str, done: int, total: int) -> None:
        assert (what, total) == ("train it", steps)
        if done == stop:
            raise InterruptedError

    def held_out() -> dict[str, float]:
        assert not module.training
        asked.append(len(lines))
        return {"P@1": 50.0}

    curves = Curves(tmp_path / "curves.jsonl")
    observer = Observer(tell, lines.append, curves, held_out, looks)
    schedule = Schedule(steps, 0.05, 0.1, decay)
    checkpoint = Checkpoint(tmp_path / "it.safetensors", "me")
    train_stage("it", module, quadratic(module), schedule, 7, checkpoint, observer)
    return module, curves.points, asked, lines


def test_a_stage_is_told_of_every_fifty_steps_and_judged_at_its_looks(tmp_path: Path) -> None:
    module, points, asked, lines = stage(tmp_path, 420)
    assert [point["step"] for point in points] == [50, 100, 150, 200, 250, 300, 350, 400, 420]
    # a quarter is 105 steps: the first line at or after each of 105, 210, 315 and 420
    assert [point["step"] for point in points if "P@1" in point] == [150, 250, 350, 420]
    assert len(asked) == 4
    assert all(point["half"] == pytest.approx(point["loss"] / 2) for point in points)
    assert points[0]["loss"] > points[1]["loss"] > points[-1]["loss"]
    assert points[-1]["loss"] < 0.01
    assert lines[-1].startswith("it step 420/420: loss ")
    assert "P@1 50" in lines[-1]
    assert "P@1" not in lines[0]
    assert not module.training
    assert torch.allclose(module.weight, torch.full((4, 4), 3.0), atol=0.05)


def test_what_is_logged_is_the_mean_since_the_last_line(tmp_path: Path) -> None:
    module = nn.Linear(1, 1, bias=False)

    def losses(step: int) -> dict[str, torch.Tensor]:
        assert torch.initial_seed() == 7 * 1_000_003 + step
        return {"loss": 0.0 * module.weight.sum() + step, "other": torch.tensor(2.0 * step)}

    curves = Curves(tmp_path / "curves.jsonl")
    observer = Observer(no_progress, lambda line: None, curves)
    train_stage(
        "it", module, losses, Schedule(120, 0.1, 0.1, 0.0), 7, Checkpoint(tmp_path / "it.safetensors", "me"), observer
    )
    assert [(point["loss"], point["other"]) for point in curves.points] == [(24.5, 49.0), (74.5, 149.0), (109.5, 219.0)]


def test_a_killed_stage_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgexl.distill.stages.training.CHECKPOINT_SECONDS", 0.0)
    (tmp_path / "killed").mkdir()
    with pytest.raises(InterruptedError):
        stage(tmp_path / "killed", 110, stop=78, decay=0.1)
    resumed, points, _, _ = stage(tmp_path / "killed", 110, decay=0.1)
    (tmp_path / "whole").mkdir()
    straight, all_points, _, _ = stage(tmp_path / "whole", 110, decay=0.1)
    assert torch.equal(resumed.weight, straight.weight)
    assert [point["step"] for point in points] == [point["step"] for point in all_points] == [50, 100, 110]
    again, _, _, lines = stage(tmp_path / "whole", 110, decay=0.1)
    assert torch.equal(again.weight, straight.weight)  # nothing is left to do
    assert lines == []


def test_a_checkpoint_waits_unless_it_is_the_last_one(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    optimiser = make_optimiser(module, 0.1, 0.0)
    checkpoint = Checkpoint(tmp_path / "it.safetensors", "me")
    checkpoint.save(module, optimiser, 3)
    assert not checkpoint.path.exists()  # the one before is less than 45 seconds old
    checkpoint.save(module, optimiser, 4, now=True)
    other = nn.Linear(2, 2)
    assert Checkpoint(checkpoint.path, "me").restore(other, make_optimiser(other, 0.1, 0.0)) == 4
    assert torch.equal(other.weight, module.weight)
    with pytest.raises(BadInput, match="unfinished run of another recipe"):
        Checkpoint(checkpoint.path, "you").restore(other, make_optimiser(other, 0.1, 0.0))
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:30])
    assert Checkpoint(checkpoint.path, "me").restore(other, make_optimiser(other, 0.1, 0.0)) == 0
    checkpoint.saved_at -= 46
    checkpoint.save(module, optimiser, 5)
    assert Checkpoint(checkpoint.path, "me").restore(other, make_optimiser(other, 0.1, 0.0)) == 5


def test_a_loss_that_is_no_number_is_said(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)

    def losses(step: int) -> dict[str, torch.Tensor]:
        return {"loss": module.weight.sum() * (math.inf if step == 60 else 1.0)}

    observer = Observer(no_progress, lambda line: None, Curves(tmp_path / "curves.jsonl"))
    checkpoint = Checkpoint(tmp_path / "it.safetensors", "me")
    with pytest.raises(BadInput, match="loss of it is no finite number any more at step 100"):
        train_stage("it", module, losses, Schedule(200, 0.1, 0.1, 0.0), 0, checkpoint, observer)
