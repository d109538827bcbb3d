"""How often `edgexl compare` is right: a bundle beside itself, beside one that is some 8 % slower, and a loss of one
point of P@1 among many queries.

    python -m benchmarks.compare [STUDENT] [--runs 100] [--texts 60] [--queries 10000] [--json]

The slower bundle is the same student's, with longer shortlists; its ratio is measured over all runs together, and
printed. The loss is drawn: a twentieth as many queries are gained as are lost. What is wanted: "no difference" in 93 of
100 runs, and the difference found in 93 of 100.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.label_sets import without_queries
from benchmarks.lexical import cpu
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import GateRecipe, load_recipe
from edgexl.runtime.binding import open_bundle
from edgexl.student.student import load_student
from edgexl.use.compare_answers import tell
from edgexl.use.compare_times import TOTAL, compare_times
from edgexl.use.intervals import Interval, mean_interval

SLOWER, LOSS = 1.1, 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", nargs="?", default="wordnet")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--texts", type=int, default=60)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        student = load_student(options.student)
        texts = [query.text for query in student.evaluation[: options.texts]]
        recipe = dataclasses.replace(without_queries(load_recipe("balanced")), gates=GateRecipe(reasoner_gain=-100))
        recipe = dataclasses.replace(recipe, reasoner=dataclasses.replace(recipe.reasoner, blend="none"))
        bundles = []
        for times in (1.0, SLOWER):
            shortlist = dataclasses.replace(recipe.shortlist, n=round(times * student.shapes.shortlist))
            bundles.append(Path(folder) / f"{times}.exl")
            compile(student, dataclasses.replace(recipe, shortlist=shortlist), "host", bundles[-1])
        report = {
            "cpu": cpu(),
            "runs": options.runs,
            "itself": time_runs(bundles[0], bundles[0], texts, options.runs),
            "slower": time_runs(bundles[0], bundles[1], texts, options.runs),
            "worse": draw_losses(options.queries, options.runs),
        }
    if options.json:
        print(json.dumps(report))
        return
    itself, slower = report["itself"], report["slower"]
    print(f"{options.runs} runs each over {options.texts} texts, one core of {report['cpu']}")
    print(
        f"beside itself: no difference in {itself['no difference']}; all together {itself['ratio']:.4f} times as long"
    )
    print(f"beside one that takes {slower['ratio']:.3f} times as long: slower in {slower['slower']}")
    print(f"a loss of one point of P@1 over {options.queries:,} queries: worse in {report['worse']}")


def time_runs(first: Path, second: Path, texts: list[str], runs: int) -> dict[str, float]:
    """How often each verdict on the total came, and the median of the runs' ratios."""
    counts = {"no difference": 0, "slower": 0, "faster": 0}
    ratios = []
    with open_bundle(first) as a, open_bundle(second) as b:
        for _ in range(runs):
            times = compare_times((a, b), texts)[TOTAL]
            counts[times.verdict] += 1
            ratios.append(times.ratio.value)
    return {**counts, "ratio": float(np.median(ratios))}


def draw_losses(queries: int, runs: int, seed: int = 0) -> int:
    """How often a loss of a point is found among queries of which a bundle of 20 % right answers gains a twentieth of
    what it loses (as bundles of one student differ)."""
    rng, found = np.random.default_rng(seed), 0
    lost, gained = LOSS * 20 / 19, LOSS / 19
    for _ in range(runs):
        kind = rng.random(queries)
        difference = np.where(kind < lost, -1.0, np.where(kind < lost + gained, 1.0, 0.0))
        by = mean_interval(difference)
        found += tell(Interval(by.value, by.low, by.high)) == "worse"
    return found


if __name__ == "__main__":
    main()
