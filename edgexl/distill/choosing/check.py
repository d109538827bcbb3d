"""Looking at files of labels and past queries before anything that takes long: all that can be refused, at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgexl.base.errors import BadInput
from edgexl.compiler.from_files import Faults, Read, Sources, read_sources
from edgexl.distill.choosing.unfinished import Asked, begin_run
from edgexl.distill.processes import work_of
from edgexl.student.foreign import refuse_foreign_directory

# A distillation takes so many unless told.
MINUTES = 30.0
# Fewer past queries than this train nothing that holds on others.
FEWEST_QUERIES = 300


@dataclass(frozen=True)
class Checked:
    """Files that were read and found to be sound; `resumed`: an unfinished run of the same is gone on with."""

    read: Read
    out: Path
    minutes: float
    resumed: bool

    @property
    def work(self) -> Path:
        """Where the run keeps what it has."""
        return work_of(self.out)

    @property
    def is_few(self) -> bool:
        """Whether there are too few queries to train on."""
        return len(self.read.queries) < FEWEST_QUERIES


def check_files(
    sources: Sources, out: Path, minutes: float = MINUTES, device: str = "auto", fresh: bool = False
) -> Checked:
    """Read the files and look at all the rest, but open no model. Raises `BadInput`, or `SeveralFaults` where more than
    one thing is wrong."""
    faults = Faults()
    faults.attempt(lambda: refuse_foreign_directory(out))
    faults.attempt(lambda: check_device(device))
    read = read_sources(sources, faults)
    if sources.queries is None:
        faults.found.append(
            BadInput(
                "A student is distilled from past queries: give them as --queries FILE (a text and its right label a "
                f"line). Without any, `edgexl compile {sources.labels} --encoder {sources.encoder}` needs none."
            )
        )
    if minutes < 1:
        faults.found.append(BadInput(f"--minutes is {minutes:g}; a student takes one minute at least."))
    faults.settle()
    assert read is not None
    resumed = begin_run(work_of(out), Asked.of_files(sources, minutes), fresh)
    return Checked(read, out, minutes, resumed)


def check_device(device: str) -> None:
    """Raise `BadInput` for a device that this machine lacks."""
    if device in ("auto", "cpu"):
        return
    # PyTorch, which knows the others, takes longer to import than all else here
    from edgexl.distill.stages.compute import choose_device

    choose_device(device)
