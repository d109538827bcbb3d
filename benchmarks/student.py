"""Held-out accuracy of a student by stage, and the time of its single-query path in PyTorch on one thread.

    python benchmarks/student.py [NAME_OR_DIRECTORY] [--json]

The queries are the student's own evaluation.json.gz: for WordNet, the first 2,000 of the test split. The float student
searches all labels exactly; its time is the peer of a compiled bundle's.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch

from edgexl.base.shipped import available_students
from edgexl.predict.evaluate import REPORTED, evaluate_student
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.student import load_student


def main() -> None:
    """Evaluate one student and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", nargs="?", default="wordnet", help="a shipped student's name or a directory")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--runs", type=int, default=200, help="single queries to time")
    arguments = parser.parse_args()
    student = load_student(arguments.student)
    predictor = StudentPredictor(student)
    report = {"student": arguments.student, "labels": len(student.labels)}
    report |= evaluate_student(predictor, student.evaluation)
    report["bytes_without_labels"] = size_without_labels(arguments.student)
    report["single_query_ms"] = time_queries(predictor, arguments.runs)
    print(json.dumps(report, indent=1) if arguments.json else as_table(report))


def time_queries(predictor: StudentPredictor, runs: int) -> dict[str, float]:
    """Milliseconds a query, one thread: {"p50", "p90"} over the first `runs` evaluation queries."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    texts = [query.text for query in predictor.student.evaluation[:runs]]
    for text in texts[:5]:
        predictor.predict(text)
    taken = []
    for text in texts:
        start = time.perf_counter()
        predictor.predict(text)
        taken.append((time.perf_counter() - start) * 1e3)
    torch.set_num_threads(threads)
    return {"p50": round(float(np.percentile(taken, 50)), 2), "p90": round(float(np.percentile(taken, 90)), 2)}


def size_without_labels(source: str) -> int:
    """Bytes of the student's directory, label set left out."""
    directory = available_students().get(source, Path(source))
    return sum(path.stat().st_size for path in directory.iterdir() if path.name != "labels.json.gz")


def as_table(report: dict[str, object]) -> str:
    """The report as Markdown."""
    rows = ["| stage | " + " | ".join(REPORTED) + " |", "|---" * (len(REPORTED) + 1) + "|"]
    for stage in ("screening", "reasoned"):
        values: dict[str, float] = report[stage]  # type: ignore[assignment]
        rows.append(f"| {stage} | " + " | ".join(f"{values.get(name, math.nan):.1f}" for name in REPORTED) + " |")
    times: dict[str, float] = report["single_query_ms"]  # type: ignore[assignment]
    rows.append(
        f"\n{report['queries']} queries, {report['labels']} labels; {report['bytes_without_labels']} bytes without the "
        f"label set; PyTorch, one thread: {times['p50']} ms a query (90th percentile {times['p90']})"
    )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
