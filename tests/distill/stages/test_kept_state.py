"""What a stage keeps between runs comes back as it was written, or the stage begins again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgexl.base.errors import BadInput
from edgexl.distill.stages.training import Checkpoint, Curves, load_tensors, make_optimiser, save_tensors


def trained(steps: int) -> tuple[nn.Linear, torch.optim.AdamW]:
    torch.manual_seed(0)
    module = nn.Linear(4, 3)
    optimiser = make_optimiser(module, 0.1, 0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        module(torch.ones(2, 4)).sum().backward()
        optimiser.step()
    return module, optimiser


def test_a_checkpoint_goes_on_where_it_ended(tmp_path: Path) -> None:
    kept = Checkpoint(tmp_path / "stage.safetensors", "a")
    module, optimiser = trained(3)
    kept.save(module, optimiser, 3, now=True)
    other, state = trained(0)
    assert kept.restore(other, state) == 3
    assert torch.equal(other.weight, module.weight)
    moments, restored = optimiser.state_dict()["state"][0], state.state_dict()["state"][0]
    assert torch.equal(moments["exp_avg"], restored["exp_avg"])
    with pytest.raises(BadInput, match="unfinished run of another recipe"):
        Checkpoint(kept.path, "b").restore(other, state)


def test_a_damaged_checkpoint_is_none(tmp_path: Path) -> None:
    """Also where only the name of the recipe is damaged: that is no other recipe's state, to be kept from harm."""
    kept = Checkpoint(tmp_path / "stage.safetensors", "identity of the recipe")
    kept.save(*trained(3), 3, now=True)
    content = kept.path.read_bytes()
    for place in (0, 9, content.index(b"identity of"), len(content) // 2, len(content) - 1):
        kept.path.unlink()
        kept.path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert kept.restore(*trained(0)) == 0
    kept.path.write_bytes(b"")
    assert kept.restore(*trained(0)) == 0


def test_tensors_are_those_of_the_same_question(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.safetensors"
    assert load_tensors(path, {"answers": "1"}) is None
    save_tensors(path, {"labels": torch.arange(5), "logits": torch.ones(2, 3, dtype=torch.float16)}, {"answers": "1"})
    found = load_tensors(path, {"answers": "1"})
    assert found is not None
    assert torch.equal(found["labels"], torch.arange(5))
    assert found["logits"].dtype == torch.float16
    assert load_tensors(path, {"answers": "2"}) is None


@pytest.mark.parametrize("line", [b'{"stage": "a", "st', b"[1]", b"{}", b'{"stage": 1, "step": 2}', b"\xff", b"NaN"])
def test_curves_end_before_a_damaged_line(line: bytes, tmp_path: Path) -> None:
    curves = Curves(tmp_path / "curves.jsonl")
    curves.restore("a", 0)
    for step in (50, 100, 150):
        curves.add({"stage": "a", "step": step, "loss": 1.0})
    with curves.path.open("ab") as file:
        file.write(line + b"\n")
    again = Curves(curves.path)
    again.restore("a", 100)
    assert [point["step"] for point in again.points] == [50, 100]
    assert curves.path.read_bytes().count(b"\n") == 2
