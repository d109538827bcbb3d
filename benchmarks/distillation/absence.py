"""Does a bundle say so when no label of its shortlist is right? Its own numbers, with the right labels taken away.

    python -m benchmarks.distillation.absence BUNDLE STUDENT [--queries 2000] [--json]

Each evaluation query is screened twice as far as the bundle would, the right labels are taken out, and the reasoner
decides over as many labels as usual. Counted is how often the best label's probability stays below the bundle's
threshold; beside it, how often it does where the shortlist holds a right label and nothing is taken away.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

import numpy as np

from edgexl.compiler.reference import ReferencePipeline
from edgexl.index import LabelIndex, Shortlist
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
    print(f"threshold {found['threshold']:.3f}, {found['queries']} queries")
    print(f"right labels taken away: below it in {found['below_without_right_percent']:.1f} %")
    print(f"right labels in the shortlist: below it in {found['below_with_right_percent']:.1f} %")


def measure(bundle: str, source: str, limit: int) -> dict[str, Any]:
    """Percentages of queries whose best label stays below the threshold, without and with right labels."""
    student = load_student(source)
    pipeline = ReferencePipeline.from_bundle(bundle, student.tokenizer)
    calibration, index = pipeline.calibration, pipeline.screening
    assert calibration is not None
    assert isinstance(index, LabelIndex)
    length = index.shortlist
    longer = dataclasses.replace(index, shortlist=min(2 * length, index.labels))
    tally: dict[str, list[bool]] = {"without": [], "with": []}
    for query in student.evaluation[:limit]:
        answer = pipeline.answer(query.text)
        best = float(calibration.probabilities(answer.logits).max())
        if np.isin(answer.labels, query.targets).any():
            tally["with"].append(best < calibration.threshold)
        found = longer.search(answer.query_vector)
        wrong = ~np.isin(found.labels, query.targets)
        rest = Shortlist(found.labels[wrong][:length], found.scores[wrong][:length])
        altered = dataclasses.replace(pipeline, screening=_Given(index, rest))
        logits = altered.answer_tokens(answer.tokens).logits
        tally["without"].append(float(calibration.probabilities(logits).max()) < calibration.threshold)
    return {
        "queries": len(tally["without"]),
        "threshold": calibration.threshold,
        "below_without_right_percent": 100 * float(np.mean(tally["without"])),
        "below_with_right_percent": 100 * float(np.mean(tally["with"])) if tally["with"] else float("nan"),
    }


@dataclasses.dataclass(frozen=True)
class _Given:
    """Screening that always finds one shortlist."""

    index: LabelIndex
    found: Shortlist

    def search(self, query: Any) -> Shortlist:
        return self.found

    def decompress(self, labels: Any) -> Any:
        return self.index.decompress(labels)


if __name__ == "__main__":
    main()
