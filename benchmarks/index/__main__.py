"""The label index, measured beside the best libraries in one run.

    python -m benchmarks.index --quick --json               under 40 seconds: generated vectors, the scan beside faiss
    python -m benchmarks.index                              the WordNet student's own vectors, all parts
    python -m benchmarks.index --student DIR --plot FILE.svg
    python -m benchmarks.index --every 7 --only rivals      fewer labels: graphs take long to build

kept      share of the exact float first 10 (label texts' rows) in the shortlist of 128 after rescoring, and R@100 of
          gold labels beside exact float search, at 16 to 64 bytes; aliases count where the student has some
aware     what codes trained for the queries keep, beside those trained for the labels alone
scan      nanoseconds a row of every kernel and of faiss's IndexPQFastScan, scan and first 256 rows
arm       instructions a row under qemu, scan and first 256 rows
rivals    bytes a row on disk and resident, recall, microseconds a query, load and build time, on one thread
strings   texts and ids: share of their raw bytes, microseconds a look-up

FAISS_OPT_LEVEL=AVX2 in the environment holds faiss to AVX2, to compare the avx2 kernel with.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.index.aware import query_aware
from benchmarks.index.instructions import scan_instructions
from benchmarks.index.ours import SHORTLIST, Ours
from benchmarks.index.rivals import RIVALS, Built
from benchmarks.index.speed import scan_speed
from benchmarks.index.strings import string_figures
from benchmarks.index.workload import Workload, generate, of_student
from benchmarks.kernels import Kernels
from edgexl.base.arrays import Floats, Ints
from edgexl.report import LineChart, Series, write_text

PARTS = ("kept", "aware", "scan", "arm", "rivals", "strings")
CODE_BYTES = (16, 24, 32, 48, 64)
RIVAL_BYTES = (16, 32, 64)
AWARE_SIZES = ((16, 128), (32, 128))  # bytes, leading dimensions
QUICK_ROWS = 354_068  # as many as MeSH has labels
QUICK_KEPT_ROWS = 30_000
BATCH, BATCH_ROWS = 32, 1_000_000
MOST_JUDGED_SECONDS = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default="wordnet")
    parser.add_argument("--generated", type=int, metavar="ROWS", help="vectors like real ones instead of a student's")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--every", type=int, default=1, help="of so many labels one, without aliases")
    parser.add_argument("--fine-dims", type=int, default=208, help="at most")
    parser.add_argument("--only", choices=PARTS, nargs="*")
    parser.add_argument("--rival", choices=list(RIVALS), nargs="*", help="only these")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    options = parser.parse_args()
    kernels = Kernels()
    report = quick(kernels) if options.quick else full(kernels, options)
    if options.plot and report.get("rivals"):
        write_text(options.plot, pareto(report).svg())
    print(json.dumps(report, indent=2) if options.json else table(report))


def quick(kernels: Kernels) -> dict[str, Any]:
    """The figures that generated vectors can show in half a minute."""
    workload = generate(QUICK_KEPT_ROWS)
    one = scan_speed(kernels, workload.vectors, QUICK_ROWS, 32, 1, 5.0, [kernels.best_isa])
    kept = [keeps(kernels, workload, code_bytes, 128) for code_bytes in (16, 32)]
    return {
        "kernel": kernels.best_isa,
        "rows": QUICK_ROWS,
        "scan_ratio_to_faiss_32_bytes": one["ratio_to_faiss"][kernels.best_isa],
        "scan": [one],
        "kept": kept,
    }


def full(kernels: Kernels, options: argparse.Namespace) -> dict[str, Any]:
    """All parts that are wanted."""
    wanted = options.only or PARTS
    if options.generated:
        workload = generate(options.generated, queries=options.queries)
    elif wanted == ["arm"]:  # which takes no vectors
        workload = generate(1, queries=1)
    else:
        workload = of_student(options.student, options.queries, options.every, os.cpu_count() or 1)
    report: dict[str, Any] = {
        "data": workload.name,
        "labels": workload.labels,
        "rows": len(workload.vectors),
        "queries": len(workload.queries),
        "kernel": kernels.best_isa,
    }
    if "kept" in wanted:
        report["kept"] = [keeps(kernels, workload, code_bytes, options.fine_dims) for code_bytes in CODE_BYTES]
        report["float"] = {"gold_R@100": round(100 * workload.gold_recall(exact_labels(workload, 100)), 3)}
    if "aware" in wanted:
        report["aware"] = [line for size, dims in AWARE_SIZES for line in query_aware(workload, size, dims)]
    if "scan" in wanted:
        names = [name for name in kernels.isas if name != "scalar"]
        leading = np.ascontiguousarray(workload.vectors[: workload.labels])
        report["scan"] = [scan_speed(kernels, leading, len(leading), size, 1, 5.0, names) for size in RIVAL_BYTES]
        report["scan"] += [
            scan_speed(kernels, leading, BATCH_ROWS, 32, count, 10.0, [kernels.best_isa]) for count in (1, BATCH)
        ]
    if "arm" in wanted:
        with tempfile.TemporaryDirectory() as directory:
            report["arm"] = scan_instructions(Path(directory), QUICK_ROWS, 32, 256)
    if "rivals" in wanted:
        report["rivals"] = side_by_side(kernels, workload, options)
    if "strings" in wanted and workload.texts:
        report["strings"] = string_figures(kernels, {"texts": workload.texts, "ids": workload.ids})
    return report


def keeps(kernels: Kernels, workload: Workload, code_bytes: int, fine_dims: int) -> dict[str, Any]:
    """What an index of so many bytes a row keeps, over the label texts' rows and, for gold labels, all rows."""
    index = Ours.build(kernels, workload, len(workload.vectors), code_bytes, fine_dims)
    turned = [index.turn(query) for query in workload.queries]
    rescored = [index.shortlist(query, workload, index.overfetch) for query in turned]
    listed = [row[:SHORTLIST] for row in rescored]
    nearest = exact_labels(workload, 100)

    def share(depth: int, found: list[Ints]) -> float:
        return round(
            float(np.mean([np.isin(near[:depth], row).mean() for near, row in zip(nearest, found, strict=True)])), 4
        )

    return {
        "bytes": code_bytes,
        "code": index.code.coarse,
        "dims": index.code.dims,
        "overfetch": index.overfetch,
        "fine_bytes": index.fine_bytes,
        "float_top_10_in_128": share(10, listed),
        "float_top_100_rescored": share(100, rescored),
        "gold_R@100": round(100 * workload.gold_recall([row[:100] for row in listed]), 3),
        "build_seconds": round(index.build_seconds, 1),
    }


def exact_labels(workload: Workload, depth: int) -> list[Ints]:
    """The first labels by exact float search over all rows."""
    aliases = workload.alias_labels
    found: list[Ints] = []
    for begin in range(0, len(workload.queries), 16):
        for scores in workload.queries[begin : begin + 16] @ workload.vectors.T:
            rows = np.argpartition(-scores, min(len(scores) - 1, 40 * depth))[: 40 * depth]
            rows = rows[np.argsort(-scores[rows], kind="stable")]
            of = aliases.take(rows[rows >= workload.labels] - workload.labels)
            labels = np.concatenate([rows[rows < workload.labels], of.values.astype(np.int64)])
            alias_scores = np.repeat(scores[rows[rows >= workload.labels]], of.lengths)
            best = np.concatenate([scores[rows[rows < workload.labels]], alias_scores])
            order = np.argsort(-best, kind="stable")
            _, first = np.unique(labels[order], return_index=True)
            found.append(labels[order][np.sort(first)[:depth]])
    return found


def side_by_side(kernels: Kernels, workload: Workload, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A line an index: edgexl's and the rivals', over the label texts' rows."""
    vectors = np.ascontiguousarray(workload.vectors[: workload.labels])
    lines = []
    for code_bytes in RIVAL_BYTES:
        index = Ours.build(kernels, workload, workload.labels, code_bytes, options.fine_dims)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "codes"
            index.save(path)
            begin = time.perf_counter()
            np.memmap(path, np.uint8, "r")
            load_ms = (time.perf_counter() - begin) * 1e3
        built = Built(index.search, index.disk_bytes, index.resident_bytes, index.build_seconds, load_ms)
        lines.append(judge("edgexl", code_bytes, built, workload, [index.turn(query) for query in workload.queries]))
    for name in options.rival or RIVALS:
        build, follows = RIVALS[name]
        for code_bytes in RIVAL_BYTES if follows else (0,):
            try:
                built = build(vectors, code_bytes)
            except ImportError as error:
                lines.append({"index": name, "missing": f"cannot be used here: {error}"})
                break
            lines.append(judge(name, code_bytes, built, workload, list(workload.queries)))
    return lines


def judge(name: str, code_bytes: int, built: Built, workload: Workload, queries: list[Floats]) -> dict[str, Any]:
    """An index's line. The time of a query is the least of up to five passes, so that a busy machine counts less."""
    found: list[Ints] = []
    least = [float("inf")] * len(queries)
    began = time.perf_counter()
    for turn in range(5):
        if turn > 1 and time.perf_counter() - began > MOST_JUDGED_SECONDS:
            break
        for place, query in enumerate(queries):
            begin = time.perf_counter_ns()
            rows = built.search(query, SHORTLIST)
            least[place] = min(least[place], (time.perf_counter_ns() - begin) / 1e3)
            if turn == 0:
                found.append(rows)
    return {
        "index": name,
        "bytes": code_bytes or None,
        "disk_bytes": round(built.disk_bytes, 1),
        "resident_bytes": round(built.resident_bytes, 1),
        "float_top_10_in_128": round(workload.nearest_share(found), 4),
        "gold_R@100": round(100 * workload.gold_recall([row[:100] for row in found]), 2),
        "us_a_query": round(float(np.median(least)), 1),
        "load_ms": round(built.load_ms, 2),
        "build_seconds": round(built.build_seconds, 1),
    }


def pareto(report: dict[str, Any]) -> LineChart:
    """Recall over time a query: up and to the left is better."""
    names = dict.fromkeys(line["index"] for line in report["rivals"] if "us_a_query" in line)
    series = []
    for name in names:
        lines = sorted((x for x in report["rivals"] if x["index"] == name), key=lambda line: float(line["us_a_query"]))
        xs, ys = ([line[key] for line in lines] for key in ("us_a_query", "float_top_10_in_128"))
        series.append(Series(name, xs, ys))
    return LineChart(
        f"Exact first 10 kept, over {report['labels']:,} labels",
        "microseconds a query, one thread",
        "share in the first 128",
        series,
        x_scale="log10",
        note="Each mark is one size: 16, 32 and 64 bytes a row where the index has a choice.",
    )


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [", ".join(f"{key} {value}" for key, value in report.items() if not isinstance(value, list | dict))]
    for part in ("kept", "float", "aware", "scan", "arm", "rivals", "strings"):
        rows = report.get(part, [])
        rows = [rows] if isinstance(rows, dict) else rows
        if not rows:
            continue
        heads = list(dict.fromkeys(key for row in rows for key in row))
        cells = [heads] + [[_cell(row.get(head)) for head in heads] for row in rows]
        widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
        lines += ["", part]
        lines += ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {_cell(number)}" for key, number in value.items())
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
