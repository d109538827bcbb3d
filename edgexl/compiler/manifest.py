"""The manifest: what people and hosts can know of a bundle, written when all passes are done. A pass adds what it finds
to `Artifact.facts`; what all compiles have in common stands here."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from edgexl import __version__
from edgexl.bundle.layout import MAJOR, MINOR, Kind
from edgexl.bundle.write import bundle_bytes
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.measure.budget import judge_bytes
from edgexl.compiler.measure.gates import judge


def add_manifest(artifact: Artifact) -> Artifact:
    """The artifact with its last section, and the file's length in the ledger's last row. The manifest states that
    length, which depends on it: repeat until it agrees. Raises `GateFailed` when the bundle is over its budget."""
    file_bytes = 0
    while True:
        lengths = {kind: len(content) for kind, content in artifact.sections.items()} | {Kind.MANIFEST: 1}
        verdicts = judge_bytes(lengths, file_bytes, artifact.recipe, artifact.target, artifact.engine)
        *rows, last = artifact.ledger
        ledger = (*rows, dataclasses.replace(last, bytes=file_bytes))
        made = dataclasses.replace(artifact, ledger=ledger, verdicts=artifact.verdicts + verdicts)
        text = json.dumps(make_manifest(made), ensure_ascii=False, indent=1)
        sections = {Kind.MANIFEST: text.encode() + b"\n", **artifact.sections}
        found = bundle_bytes({kind: len(content) for kind, content in sections.items()})
        if found == file_bytes:
            judge(verdicts)
            return dataclasses.replace(made, sections=sections)
        file_bytes = found


def make_manifest(artifact: Artifact) -> dict[str, Any]:
    """The manifest. No time and no place is in it: the same inputs give the same bytes."""
    student = artifact.student
    return {
        "format": f"{MAJOR}.{MINOR}",
        "edgexl": __version__,
        "engine": artifact.engine,
        "labels": len(student.labels),
        "rows": len(artifact.rows),
        "label_set_sha256": student.labels.sha256(),
        "shapes": dataclasses.asdict(artifact.shapes),
        "recipe": dataclasses.asdict(artifact.recipe),
        "target": artifact.target.as_compiled(),
        "provenance": student.provenance,
        "student_metrics": student.metrics,
        **artifact.facts,
        "ledger": [row.as_json(seconds=False) for row in artifact.ledger],
        "gates": [verdict.as_json(volatile=False) for verdict in artifact.verdicts],
    }
