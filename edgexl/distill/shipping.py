"""A trained student as edgexl ships it: weights and held-out queries in the repository, labels built on first use.

    python -m edgexl.distill.shipping TRAINED students/mesh --labels mesh

Labels then have every synonym and description that the package knows, where those that it was trained over lack what
held-out queries say. Names among these stay withheld; descriptions do not, so queries that are one go. So the student
is judged anew, over the labels that it will have.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from functools import partial

from edgexl.base.errors import BadInput, EdgexlError
from edgexl.base.progress import Progress, no_progress
from edgexl.data.built_labels import LABEL_SETS, build_labels
from edgexl.predict.evaluate import evaluate_student
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.student import Student, load_student


def ship_student(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    labels_from: str,
    progress: Progress = no_progress,
) -> Student:
    """Write the student of the directory `source` to `out` with the name `labels_from` (one of
    `edgexl.data.built_labels.LABEL_SETS`) in the place of its labels; returned as loaded from there.

    Raises `BadInput` where the labels of that name are others than the student was trained over, aliases aside, or
    where it has no held-out queries.
    """
    trained = load_student(source, progress)
    held_out = (*trained.calibration, *trained.evaluation)
    if not trained.evaluation:
        raise BadInput(f"{source} has no evaluation queries to be judged by; ship a student as training left it.")
    labels = build_labels(labels_from, {query.text for query in held_out}, progress=progress)
    if (labels.ids, labels.texts) != (trained.labels.ids, trained.labels.texts):
        raise BadInput(
            f"{source} was trained over {len(trained.labels):,} labels, which are not the {len(labels):,} of "
            f"'{labels_from}'; name the label set that it was trained over."
        )
    described = {text for texts in labels.descriptions for text in texts}
    kept = (
        tuple(query for query in held if query.text not in described)
        for held in (trained.calibration, trained.evaluation)
    )
    student = trained.with_labels(labels, *kept)
    asked = {label for label, aliases in enumerate(trained.labels.aliases) if aliases}
    predictor = StudentPredictor(student, None, partial(progress, "encode labels to judge"))
    found = evaluate_student(predictor, student.evaluation, partial(progress, "judge"), asked)
    replace(student, metrics={"evaluation": found}).save(out, labels_from)
    return load_student(out, progress)


def main() -> None:
    """Ship a student, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained")
    parser.add_argument("out")
    parser.add_argument("--labels", required=True, choices=sorted(LABEL_SETS))
    options = parser.parse_args()
    try:
        student = ship_student(options.trained, options.out, options.labels)
    except EdgexlError as error:
        sys.exit(str(error))
    for stage, figures in student.metrics["evaluation"].items():
        print(stage, figures)


if __name__ == "__main__":
    main()
