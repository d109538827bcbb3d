"""A compiled edgexl student, queried through the C runtime: what the rivals stand beside.

Runs in edgexl's own environment. Nothing is trained here: `settings["bundle"]` is the file.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from program import RANKS, Answer, Work, run

import edgexl


def train(work: Work, model: Path, settings: dict[str, Any]) -> None:
    """Keep a copy of the bundle."""
    shutil.copy(settings["bundle"], model / "student.exl")


def load(model: Path, settings: dict[str, Any]) -> Answer:
    handle = edgexl.open_bundle(model / "student.exl")
    return lambda text: [answer.index for answer in handle.predict(text, k=RANKS).labels]


if __name__ == "__main__":
    run(train, load, ("numpy",))
