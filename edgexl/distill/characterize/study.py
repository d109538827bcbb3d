"""`edgexl characterize`: a teacher's two phases measured on a data set, written as numbers, a page and advice.

The study goes phase by phase, as a reader of the page does:

    sample queries -> phase one's shortlists -> fit temperatures -> focus -> confusion -> interventions -> sweep
                   -> (probe) -> recommendation -> profile.json, index.html

Nothing here grows with labels x queries: the teacher searches in blocks, and of each query its best 1,024 labels are
kept. The same teacher, data and seed give the same profile, but for the last bits of a model's arithmetic.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.data import Dataset
from edgexl.data.label_set import LabelSet
from edgexl.distill.characterize.bench import Bench, has_none
from edgexl.distill.characterize.confusion import measure_confusion
from edgexl.distill.characterize.focus import measure_focus
from edgexl.distill.characterize.following import measure_following
from edgexl.distill.characterize.interventions import measure_interventions, sweep_lengths
from edgexl.distill.characterize.measures import Bootstrap
from edgexl.distill.characterize.neighbours import find_neighbours
from edgexl.distill.characterize.pages import profile_page
from edgexl.distill.characterize.probe import probe_reasoning
from edgexl.distill.characterize.recommendation import PROFILE_FORMAT, PROFILE_VERSION, recommend
from edgexl.distill.characterize.sample import draw_sample
from edgexl.distill.teachers import Teacher, TwoStageTeacher, open_teacher
from edgexl.report import write_text
from edgexl.student.student import is_student

DEPTH = 1024
SHORTLIST = 128


def characterize(
    teacher: str,
    dataset: Dataset,
    out: str | os.PathLike[str],
    queries: int = 1000,
    shortlist: int | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    cross_encoder: str | None = None,
    probe: str | None = None,
    progress: Progress = no_progress,
    compare: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure the teacher `teacher` (as `open_teacher` takes it) on `dataset`; write `out`/profile.json and index.html.

    `shortlist`: N, the student's own for a two-stage teacher unless told, 128 for others. `probe`: a causal language
    model to probe along the traces' reasoning. `compare`: students' directories or names, of which it is measured how
    closely each goes the teacher's way. Returns the profile as written. Raises `BadInput` for what cannot be
    opened or measured, before anything is written.
    """
    directory = Path(out)
    _refuse_foreign_directory(directory)
    labels = dataset.labels
    # first, since a student that is none should be refused before minutes of measuring
    sources = list(dict.fromkeys(compare))
    last = [Path(source).name for source in sources]
    names = last if len(set(last)) == len(last) else sources
    students = {name: open_student(each, labels, device) for name, each in zip(names, sources, strict=True)}
    opened = open_teacher(teacher, labels, device, cross_encoder)
    bench = set_up(opened, dataset, queries, shortlist, seed, progress)
    profile = measure(bench, dataset, probe, device) | {"following": measure_following(bench, students) or None}
    directory.mkdir(parents=True, exist_ok=True)
    write_text(directory / "profile.json", json.dumps(profile, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(directory / "index.html", profile_page(profile))
    return profile


def open_student(source: str, labels: LabelSet, device: str | torch.device = "cpu") -> TwoStageTeacher:
    """A student to compare, over `labels`. Raises `BadInput` where there is none of this name."""
    opened = open_teacher(source, labels, device) if is_student(source) else None
    if not isinstance(opened, TwoStageTeacher):
        raise BadInput(f"{source} is no student: --compare takes students' directories or names.")
    return opened


def set_up(
    teacher: Teacher,
    dataset: Dataset,
    queries: int = 1000,
    shortlist: int | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Bench:
    """Draw the sample and query phase one; `BadInput` where the teacher has nothing to say of any query."""
    labels = dataset.labels
    sample = draw_sample(dataset, teacher, queries, seed)
    wanted = shortlist or (teacher.shapes.shortlist if isinstance(teacher, TwoStageTeacher) else SHORTLIST)
    length = min(wanted, len(labels))
    ranking, scores = teacher.screen(sample.texts, min(max(DEPTH, 2 * length), len(labels)), progress)
    if not (ranking >= 0).any():
        raise BadInput("The teacher names no label for any of the queries, so there is nothing to measure.")
    return Bench(
        teacher=teacher,
        labels=labels,
        sample=sample,
        neighbours=find_neighbours(teacher, labels, sample, length, progress),
        ranking=ranking,
        scores=scores.astype("float64"),
        shortlist=length,
        seed=seed,
        none=has_none(teacher),
        bootstrap=Bootstrap(len(sample), seed),
        progress=progress,
    )


def measure(
    bench: Bench, dataset: Dataset, probe: str | None = None, device: str | torch.device = "cpu"
) -> dict[str, Any]:
    """All of profile.json (see `edgexl/distill/characterize/PROFILE.md`)."""
    # first, since a model that cannot be probed should be refused before minutes of measuring
    probed = None if probe is None else probe_reasoning(bench, probe, device)
    interventions, complementarity = measure_interventions(bench)
    profile: dict[str, Any] = {
        "format": PROFILE_FORMAT,
        "version": PROFILE_VERSION,
        "teacher": {"identity": bench.teacher.identity, "provenance": bench.teacher.provenance},
        "data": {
            "source": dataset.directory.resolve().name,
            "split": bench.sample.split,
            "queries": len(bench.sample),
            "labels": len(bench.labels),
            "labels_sha256": bench.labels.sha256(),
        },
        "seed": bench.seed,
        "shortlist": bench.shortlist,
        "temperature": bench.temperature,
        "focus": measure_focus(bench),
        "confusion": measure_confusion(bench),
        "interventions": interventions,
        "sweep": sweep_lengths(bench),
        "complementarity": complementarity,
        "probe": probed,
    }
    has_vectors = bench.teacher.vectors(bench.sample.texts[:1]) is not None
    profile["recommendation"] = dataclasses.asdict(recommend(profile, has_vectors))
    return profile


def _refuse_foreign_directory(directory: Path) -> None:
    if directory.is_file():
        raise BadInput(f"{directory} is a file; give a directory for the profile.")
    if directory.is_dir():
        foreign = sorted({entry.name for entry in directory.iterdir()} - {"profile.json", "index.html"})
        if foreign:
            raise BadInput(f"{directory} holds files that are not a profile's ({foreign[0]}); give a new directory.")
