"""An index of millions of labels: compiled out of core, opened, and queried on one core.

    python -m benchmarks.large --labels 10000000 [--student DIR] [--json]

The vectors are generated about those of a real student's labels (default: the shipped WordNet student), the queries
are its own held-out ones, and the bundle is a whole one that the C runtime opens and answers with. 10 million labels
take 13 GB of disk for the time of the run.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.large.build import Base, build, compile_base
from edgexl.base.progress import Progress
from edgexl.bundle.strings import BLOCK_STRINGS
from edgexl.cli.output import json_option, print_json, print_table, progress_bar
from edgexl.compiler.measure.kernel_search import fastest
from edgexl.index import LabelIndex
from edgexl.runtime.binding import open_bundle

OPENINGS = 7
QUERIES = 200
FLAT_QUERIES = 10


@click.command(help=__doc__)
@click.option("--labels", type=click.IntRange(min=1000), required=True)
@click.option("--student", default="wordnet", show_default=True, help="A student's name or directory.")
@click.option("--cells", default="auto", show_default=True, help="How many, 0 for none, or auto.")
@click.option("--recall", default=0.98, show_default=True, help="Of the flat scan's first 10, that probes must keep.")
@click.option("--threads", default=os.cpu_count() or 1, show_default=True, help="Of the compile; queries have one.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to work; a temporary directory if left out.")
@json_option
def main(
    labels: int, student: str, cells: str, recall: float, threads: int, folder: Path | None, as_json: bool
) -> None:
    labels = -(-labels // BLOCK_STRINGS) * BLOCK_STRINGS
    with tempfile.TemporaryDirectory(dir=folder) as scratch, progress_bar(as_json) as progress:
        base = compile_base(student, threads, progress)
        before = _peak_bytes()
        wanted = cells if cells == "auto" else int(cells)
        path, index, report = build(base, labels, wanted, recall, Path(scratch), threads, progress)
        report |= {"labels": labels, "peak_bytes": _peak_bytes(), "peak_bytes_of_the_student_alone": before}
        report |= _time_queries(path, index, base, progress)
    if as_json:
        print_json(report)
        return
    flat = {name: value for name, value in report.items() if not isinstance(value, dict)}
    parts = [(f"{name} {key}", value) for name in report if name not in flat for key, value in report[name].items()]
    print_table(("what", "figure"), [*flat.items(), *parts])


def _time_queries(path: Path, index: LabelIndex, base: Base, progress: Progress) -> dict[str, Any]:
    """Milliseconds to open the bundle and to answer, by the C runtime; a flat scan's beside them, by its kernels."""
    opened = []
    for _ in range(OPENINGS):
        began = time.perf_counter()
        with open_bundle(path, verify=False):  # as a device opens it: hashing all is for after a download
            opened.append(1000 * (time.perf_counter() - began))
    stages: dict[str, list[float]] = {}
    with open_bundle(path) as handle:
        for place, text in enumerate(base.texts[:QUERIES]):
            for name, ms in handle.predict(text).ms.items():
                stages.setdefault(name, []).append(ms)
            progress("query", place + 1, min(QUERIES, len(base.texts)))
    flat = []
    everything = fastest(_flat(index))
    for query in base.queries[:FLAT_QUERIES]:
        began = time.perf_counter()
        everything.candidates(query)
        flat.append(1000 * (time.perf_counter() - began))
    return {
        "open_ms": {"min": round(min(opened), 2), "median": round(float(np.median(opened)), 2)},
        "query_median_ms": {name: round(float(np.median(ms)), 3) for name, ms in stages.items()},
        "query_min_ms": {name: round(min(ms), 3) for name, ms in stages.items()},
        "flat_scan_ms": {"min": round(min(flat), 2), "median": round(float(np.median(flat)), 2)},
    }


def _flat(index: LabelIndex) -> LabelIndex:
    """The same index with every cell probed."""
    import dataclasses

    from edgexl.bundle.parameters import LARGEST_F32

    if index.cells is None:
        return index
    every = dataclasses.replace(index.cells, probes=index.cells.count, margin=LARGEST_F32)
    return dataclasses.replace(index, cells=every)


def _peak_bytes() -> int:
    """The most memory that this process has had resident, mapped files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
