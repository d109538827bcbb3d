"""A user's program, checked by mypy: what it gets has types, and what it gives is looked at."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PROGRAM = """
from pathlib import Path

import polars as pl

import edgexl
from edgexl.sklearn import EdgexlClassifier

labels = {"7544": "umbrella", "7702": "mousetrap"}
student = edgexl.Student.from_encoder("model", labels, calibration=[("rain", "7544"), ("mice", "mousetrap")])
edgexl.Student.from_encoder("model", ["umbrella", "mousetrap"], evaluation=Path("past.csv"))
edgexl.Student.from_encoder("model", [("7544", "umbrella")], evaluation={"rain": "7544"})
edgexl.Student.from_encoder("model", {"7544": {"text": "umbrella", "aliases": ["brolly"]}, "7702": "trap"})
edgexl.Student.from_encoder("model", {7544: "umbrella"}, [("q1", "rain", [0])])
edgexl.Student.from_encoder("model", Path("labels.csv"))
edgexl.Student.from_encoder("model", pl.DataFrame({"name": ["umbrella"]}), pl.DataFrame({"query": ["rain"]}))
edgexl.Student.from_encoder("model", pl.Series(["umbrella"]))
edgexl.Student.from_encoder("model", 5)  # type: ignore[arg-type]
edgexl.Student.from_encoder("model", labels, calibration=[5])  # type: ignore[arg-type]
reveal_type(student)
reveal_type(student.labels.texts)
reveal_type(edgexl.compile_labels(labels, "model", "till.exl", [("rain", ["7544", "7702"])]).bytes)
reveal_type(edgexl.compile(student, "balanced", "host", "till.exl").ledger[0].accuracy.p_at_1)
with edgexl.open_bundle("till.exl") as bundle:
    reveal_type(bundle)
    for answer in bundle.predict_batch(pl.Series(["rain", "mice"]), k=1, windows=1):
        reveal_type(answer)
        reveal_type(answer.labels[0].probability)
    bundle.predict_batch(5)  # type: ignore[arg-type]
    reveal_type(bundle.explain("rain", "7544").screening_rank)
    reveal_type(bundle.info.labels)
classifier = EdgexlClassifier("model", labels).fit(["rain"], ["7544"])
EdgexlClassifier("model", labels).fit(["rain"], [["7544", "7702"]])
EdgexlClassifier("model", labels).fit(["rain"], 5)  # type: ignore[arg-type]
reveal_type(classifier)
reveal_type(classifier.score(["rain"], ["7544"]))
reveal_type(classifier.set_params(threads=2))
reveal_type(classifier.labels_.ids)
"""
REVEALED = (
    "Student", "tuple[str, ...]", "int", "float | None", "BundleHandle", "Prediction", "float", "int", "int",
    "EdgexlClassifier", "float", "EdgexlClassifier", "tuple[str, ...]",
)  # fmt: skip
# Their types reach no user, and take half a minute to read.
SETTINGS = """
[mypy]
strict = true
[mypy-torch.*,transformers.*,tokenizers.*,onnx.*]
follow_imports = skip
"""


def test_a_users_program_has_types(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--cache-dir=cache", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    notes = [re.fullmatch(r'program\.py:\d+: note: Revealed type is "(.*)"', line) for line in done.stdout.splitlines()]
    assert all(notes), done.stdout + done.stderr
    found = [re.sub(r"\b(?:\w+\.)+(?=\w)", "", note[1]) for note in notes if note]
    assert tuple(found) == REVEALED
    assert done.returncode == 0
