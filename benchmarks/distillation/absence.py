"""Does a bundle say so when no label of its shortlist is right? Its own numbers, with the gold labels taken away.

    python -m benchmarks.distillation.absence BUNDLE STUDENT [--queries 2000] [--json]

The gold labels are taken out of each evaluation query's shortlist, the next ones move up, and the reasoner decides
over as many labels as usual. Counted is how often the bundle then says that none fits (its `presence`) and how often
its best label stays below the probability that maximises set F1; beside it, how often it says so of right answers.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

import numpy as np

from edgexl.compiler.measure.reference import ReferencePipeline
from edgexl.student.student import load_student


def main() -> None:
    """Measure one bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("student", help="the directory or name of the student that it was compiled from")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.bundle, arguments.student, arguments.queries)
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{found['queries']} queries, presence {found['presence']:.3f}, threshold {found['threshold']:.3f}")
    print(
        f"gold labels taken away: {found['noticed_percent']:.1f} % are said to have none that fits; "
        f"{found['below_threshold_percent']:.1f} % stay below the threshold"
    )
    print(f"right best labels: {found['doubted_percent']:.1f} % are said not to fit")


def measure(bundle: str, source: str, limit: int) -> dict[str, Any]:
    """Percentages of queries: `noticed` and `below_threshold` without gold labels, `doubted` of right answers."""
    student = load_student(source)
    pipeline = ReferencePipeline.from_bundle(bundle, student.tokenizer)
    calibration, queries = pipeline.calibration, student.evaluation[:limit]
    assert calibration is not None
    texts, targets = [query.text for query in queries], [query.targets for query in queries]
    threads = os.cpu_count() or 1
    absent = [answer.logits for answer in pipeline.answers(texts, threads, without=targets)]
    right = [
        answer.logits.max()
        for answer, labels in zip(pipeline.answers(texts, threads), targets, strict=True)
        if answer.ranked[0] in labels
    ]
    probable = [float(calibration.probabilities(logits).max()) for logits in absent]
    return {
        "queries": len(queries),
        "presence": calibration.presence,
        "threshold": calibration.threshold,
        "noticed_percent": _percent([logits.max() < calibration.presence for logits in absent]),
        "doubted_percent": _percent([logit < calibration.presence for logit in right]),
        "below_threshold_percent": _percent([p < calibration.threshold for p in probable]),
    }


def _percent(holds: list[bool]) -> float | None:
    return 100 * float(np.mean(holds)) if holds else None


if __name__ == "__main__":
    main()
