"""From a file of labels to answers: how long it takes, and how good the answers are.

    python -m benchmarks.labels_to_answers [--labels shop] [--encoder all-MiniLM-L6-v2] [--past 0] [--queries 2000]
    python -m benchmarks.labels_to_answers --past 5000 --distill [--minutes 28]

Writes a CSV of the labels, and runs `edgexl compile` on it in a process of its own that remembers nothing of earlier
ones; then `edgexl eval --baselines` on queries. `--labels` is shop, 20,000 products (benchmarks/shop.py), or icd,
46,881 categories and their inclusion terms (benchmarks/label_sets.py). `--past` gives so many queries to the compile,
which are none of those that are measured on. `--distill` has `edgexl distill` make a student of labels and past queries
first, within so many `--minutes`, and compiles that. `--keep` keeps the files.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.label_sets import build_icd
from benchmarks.shop import build_shop
from edgexl.data import Query
from edgexl.data.label_set import LabelSet

METRICS = ("P@1", "R@10", "R@100")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", choices=("shop", "icd"), default="shop")
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--past", type=int, default=0)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--distill", action="store_true")
    parser.add_argument("--minutes", type=float, default=28.0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    if options.distill and not options.past:
        parser.error("--distill needs --past queries")
    labels, queries = read_labels(options.labels, options.past + options.queries)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        write_labels(folder / "labels.csv", labels)
        write_queries(folder / "past.csv", labels, queries[: options.past])
        write_queries(folder / "new.csv", labels, queries[options.past :][: options.queries])
        commands = plan(options.encoder, options.past, options.minutes if options.distill else None)
        began, processor = time.perf_counter(), cpu_seconds()
        for command in commands:
            made = run(folder, command)
        seconds, processor = time.perf_counter() - began, cpu_seconds() - processor
        found = run(folder, ["eval", "labels.exl", "--queries", "new.csv", "--baselines", "--json"])
    size = made["bytes"]["total"]
    print(f"{len(labels):,} labels: {seconds:.0f} s, {processor:.0f} s of processor time; {size:,} bytes")
    print("  ".join(f"{row['pass']} {row['seconds']:.1f}" for row in made["ledger"]))
    systems = {"bundle": found["bundle"], "its screening": found["screening"], **found["baselines"]}
    for name, values in systems.items():
        figures = "  ".join(f"{metric} {values[metric]:.2f}" for metric in METRICS)
        print(f"{name:14} {figures}   ({found['queries']:,} queries)")
    rivals = {name: found["baselines"][name]["P@1"] for name in ("minilm", "tf-idf")}
    lead = found["bundle"]["P@1"] - max(rivals.values())
    print(
        f"| {options.labels}, {options.past:,} past queries | {len(commands)} commands, 0 lines, {seconds / 60:.1f} "
        f"minutes | P@1 {found['bundle']['P@1']:.1f}, MiniLM {rivals['minilm']:.1f}, TF-IDF {rivals['tf-idf']:.1f}: "
        f"{lead:+.1f} |"
    )


def plan(encoder: str, past: int, minutes: float | None) -> list[list[str]]:
    """The command from the files to labels.exl."""
    queries = ["--queries", "past.csv"] if past else []
    if minutes is None:
        return [["compile", "labels.csv", "--encoder", encoder, *queries, "-o", "labels.exl", "--json"]]
    distill = ["distill", "labels.csv", "--encoder", encoder, *queries, "--minutes", f"{minutes:g}"]
    return [[*distill, "-o", "tags", "--bundle", "labels.exl", "--json"]]


def read_labels(name: str, count: int) -> tuple[LabelSet, Sequence[Query]]:
    """The label set, and `count` queries at most."""
    if name == "shop":
        return build_shop(count=count)
    labels, queries = build_icd()
    return labels, queries[:count]


def write_labels(path: Path, labels: LabelSet) -> None:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream)
        lines.writerow(("id", "text"))
        lines.writerows(zip(labels.ids, labels.texts, strict=True))


def write_queries(path: Path, labels: LabelSet, queries: Sequence[Query]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream)
        lines.writerow(("query", "label"))
        lines.writerows((query.text, "|".join(labels.ids[target] for target in query.targets)) for query in queries)


def run(folder: Path, arguments: list[str]) -> Any:
    """What an edgexl command says as JSON; it remembers no vectors of earlier ones."""
    environment = {**os.environ, "EDGEXL_ROW_CACHE_BYTES": "0"}
    command = [sys.executable, "-m", "edgexl", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def cpu_seconds() -> float:
    """Of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
