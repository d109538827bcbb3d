"""How good a float student is on the held-out queries of its own training."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from edgexl.base.progress import Progress
from edgexl.distill.corpus.divide import Corpus
from edgexl.predict.evaluate import evaluate_student
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.student import Student


def judge_splits(student: Student, corpus: Corpus, device: torch.device, progress: Progress) -> dict[str, Any]:
    """{"development": ..., "evaluation": ...}: metrics by stage (see `evaluate_student`). The student's modules end up
    on `device`."""
    queries = (*corpus.screening, *corpus.reasoning, *corpus.calibration, *corpus.development)
    trained = {label for query in queries for label in query.targets}
    predictor = StudentPredictor(student, None, partial(progress, "encode labels to judge"), device)
    splits = {"development": corpus.development, "evaluation": corpus.evaluation}
    tell = partial(progress, "judge")
    return {name: evaluate_student(predictor, split, tell, trained) for name, split in splits.items()}
