"""Several processes train one student: they share batches and steps, and only the first one writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from edgexl.base.errors import BadInput
from edgexl.distill.choosing.choose import Chosen
from edgexl.distill.choosing.timing import time_recipe
from edgexl.distill.pipeline import distill
from edgexl.distill.processes import average_gradients, divide_batch, own_seed, rank, work_of
from edgexl.distill.recipe import read_recipe
from edgexl.student.student import load_student

ROOT = Path(__file__).parents[2]
# What each process does of one step: a gradient of its own, and a parameter that only the second one has one of.
STEP = """
import torch
from edgexl.distill.processes import average_gradients, join_processes, rank, share_state, wait_for_all
from edgexl.distill.stages.training import make_optimiser
join_processes(torch.device("cpu"))
torch.manual_seed(rank())
module = torch.nn.ParameterDict({"both": torch.nn.Parameter(torch.randn(2)), "one": torch.nn.Parameter(torch.ones(2))})
optimiser = make_optimiser(module, 0.1, 0.0)
step = share_state(module, optimiser, 7 if rank() == 0 else 0)
(module["both"].sum() * (rank() + 1) + (module["one"].sum() if rank() else 0)).backward()
average_gradients(module)
wait_for_all()
told = [step, module["both"].tolist(), module["both"].grad.tolist(), module["one"].grad.tolist()]
open(f"told-{rank()}", "w").write(repr(told))
"""


def run_two(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Two processes of this machine, by torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_one_process_is_as_without_an_engine(tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    table = read_recipe(tiny_recipe).screening
    assert (rank(), own_seed(5), divide_batch(table)) == (0, 5, table)
    assert work_of(Path("a/b")) == Path("a/b.work")
    module = nn.Linear(2, 1)
    module(torch.ones(2)).sum().backward()
    average_gradients(module)
    assert module.weight.grad is not None
    assert module.weight.grad.tolist() == [[1.0, 1.0]]


def test_each_of_several_has_its_part(tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    recipe = read_recipe(tiny_recipe)
    assert divide_batch(recipe.screening).batch == recipe.screening.batch // 2
    assert own_seed(5) != 5
    assert work_of(Path("a/b")) == Path("a/b.work-1")
    with pytest.raises(BadInput, match="Several processes train by a whole recipe"):
        time_recipe(Chosen(recipe), tmp_path, 1, 100, lambda *told: None, "cpu")


@pytest.mark.slow
def test_gradients_are_the_mean_of_both_and_state_is_the_first_ones(tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text(STEP)
    done = run_two("step.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    one, other = ((tmp_path / f"told-{rank}").read_text() for rank in (0, 1))
    assert one == other
    torch.manual_seed(0)
    assert one == repr([7, torch.randn(2).tolist(), [1.5, 1.5], [0.5, 0.5]])


@pytest.mark.slow
def test_two_processes_make_a_student_as_good_as_one(tiny_recipe: Path, tmp_path: Path) -> None:
    alone = distill(tiny_recipe, tmp_path / "alone", log=lambda line: None, device="cpu")
    done = run_two("-m", "edgexl", "distill", tiny_recipe, "-o", tmp_path / "both", "--device", "cpu", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("a student for 300 labels") == 1  # one tells of it
    assert not list(tmp_path.glob("*.work*"))
    both = load_student(tmp_path / "both")
    assert both.calibration == alone.calibration
    found, wanted = (each.metrics["evaluation"] for each in (both, alone))
    for stage in ("screening", "reasoned"):
        shares = [each[stage]["R@10"] / 100 for each in (found, wanted)]
        error = (sum(share * (1 - share) for share in shares) / found["queries"]) ** 0.5
        assert abs(shares[0] - shares[1]) < 3 * error + 0.02, (stage, shares)
        assert found[stage]["P@1"] > 10  # chance is 0.3
