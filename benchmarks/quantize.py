"""What each quantisation scheme costs in accuracy and gains in bytes and milliseconds, for each graph on its own.

    python benchmarks/quantize.py                          # the WordNet student, on this machine's CPU
    python benchmarks/quantize.py --student DIR --target x86-64-v3 --queries 500 --json

One graph is quantised, the other stays fp32, screening is an exact search over float vectors: what a row loses, its
scheme has lost. Cosine: the screener's query vectors, or the reasoner's logits about their mean, to fp32's. Times: one
thread, all schemes of a graph in turns within this process, the least of many runs, at 16 tokens and a full shortlist.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from typing import Any, get_args

import numpy as np

from edgexl.compiler.artifact import Artifact, Graphs
from edgexl.compiler.encoding.encode import encode_rows
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.measure.yardstick import measure_accuracy, reference_pipeline
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import GraphRecipe, Recipe, Scheme
from edgexl.student.contract import sample_inputs
from edgexl.student.student import load_student
from edgexl.target import load_target

TOKENS = 16
ROUNDS = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default="wordnet")
    parser.add_argument("--target", default="host")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--schemes", nargs="*", default=list(get_args(Scheme)), choices=get_args(Scheme))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    student = load_student(options.student)
    student = dataclasses.replace(student, evaluation=student.evaluation[: options.queries])
    artifact = Export().run(begin(student, Recipe("benchmark"), load_target(options.target)))
    vectors = encode_rows(artifact.graphs.label_encoder, artifact.rows.tokens, batched=True, threads=1)
    rows = []
    for role in ("screener", "reasoner"):
        tables = [GraphRecipe("fp32", kind) for kind in ("fp32", "int8", "int4")]
        recipes = [*tables, *(GraphRecipe(scheme) for scheme in options.schemes)]
        graphs = [_with(artifact.graphs, role, recipe, artifact) for recipe in recipes]
        times = _times(artifact, [getattr(made, role) for made in graphs])
        base = None
        for recipe, made, ms in zip(recipes, graphs, times, strict=True):
            outputs, found = _outputs(dataclasses.replace(artifact, graphs=made), vectors, role)
            base = outputs if base is None else base
            rows.append(
                {
                    "graph": role,
                    "scheme": recipe.scheme,
                    "embeddings": recipe.embeddings,
                    "bytes": len(getattr(made, role)),
                    "min_ms": round(ms, 3),
                    "cosine": round(float((base * outputs).sum(1).mean()), 5),
                    **found,
                }
            )
            if not options.json:
                print(" ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    if options.json:
        print(json.dumps({"target": options.target, "queries": len(student.evaluation), "rows": rows}, indent=1))


def _with(graphs: Graphs, role: str, recipe: GraphRecipe, artifact: Artifact) -> Graphs:
    quantised = quantize_graph(getattr(graphs, role), recipe, artifact.target.int8)
    return dataclasses.replace(graphs, **{role: quantised})


def _outputs(artifact: Artifact, vectors: Any, role: str) -> tuple[Any, dict[str, float | None]]:
    """What the graph gives on the evaluation queries, as unit rows, and the accuracy."""
    pipeline = reference_pipeline(artifact, vectors, artifact.rows)
    queries = artifact.student.evaluation
    answers = list(pipeline.answers([query.text for query in queries]))
    if role == "screener":
        outputs = np.stack([answer.query_vector for answer in answers])
    else:
        outputs = np.stack([answer.logits - answer.logits.mean() for answer in answers])
    found = measure_accuracy(np.stack([answer.ranked for answer in answers]), queries)
    units = outputs / np.linalg.norm(outputs, axis=1, keepdims=True)
    return units, {"P@1": found.p_at_1, "R@100": found.r_at_100, "nDCG@5": found.ndcg_at_5}


def _times(artifact: Artifact, models: list[bytes]) -> list[float]:
    """Least milliseconds a run of each model, taken in turns so that a busy machine hits all alike."""
    inputs = sample_inputs(artifact.student.screener, artifact.shapes, TOKENS, artifact.shapes.shortlist)
    feeds = {name: value.numpy() for name, value in inputs.items()}
    sessions = [Session(model) for model in models]
    least = [float("inf")] * len(models)
    for _ in range(ROUNDS):
        for place, session in enumerate(sessions):
            for _ in range(3):
                began = time.perf_counter()
                session.run(feeds)
                least[place] = min(least[place], 1e3 * (time.perf_counter() - began))
    return least


if __name__ == "__main__":
    main()
