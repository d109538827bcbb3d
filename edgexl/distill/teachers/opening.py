"""Opening a teacher by what its source is: a student's directory, an encoder, or a file of traces."""

from __future__ import annotations

from pathlib import Path

import torch

from edgexl.base.errors import BadInput
from edgexl.base.shipped import available_students
from edgexl.data.label_set import LabelSet
from edgexl.distill.stages.compute import choose_device
from edgexl.distill.teachers.bi_encoder import BiEncoderTeacher
from edgexl.distill.teachers.protocol import Teacher
from edgexl.distill.teachers.traces import TraceTeacher
from edgexl.distill.teachers.two_stage import TwoStageTeacher
from edgexl.student.student import load_student


def open_teacher(
    source: str, labels: LabelSet, device: str | torch.device = "cpu", cross_encoder: str | None = None
) -> Teacher:
    """Open the teacher `source` over `labels`.

    - a directory of an edgexl student, or a shipped student's name: `TwoStageTeacher`
    - a file *.jsonl or *.jsonl.gz: `TraceTeacher`
    - a sentence-transformers directory, hub id or packaged name: `BiEncoderTeacher`, whose second phase is
      `cross_encoder` (a directory or hub id), where one is named

    Raises `BadInput` where there is no such source, or `cross_encoder` is named for a teacher that has its own second
    phase.
    """
    where = choose_device(str(device))
    is_student = (Path(source) / "student.json").is_file() or source in available_students()
    is_traces = source.endswith((".jsonl", ".jsonl.gz"))
    if cross_encoder and (is_student or is_traces):
        raise BadInput(f"{source} decides by itself; a cross-encoder goes with a bi-encoder only, so leave it out.")
    if is_traces:
        return TraceTeacher(source, labels)
    if is_student:
        return TwoStageTeacher(load_student(source), labels, where, Path(source).name)
    return BiEncoderTeacher(source, labels, where, cross_encoder)
