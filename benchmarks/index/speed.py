"""The scan alone: every kernel of this CPU beside faiss at equal bytes, in turns within one process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.index.ours import page_aligned
from benchmarks.kernels import Kernels
from edgexl.base.arrays import Floats
from edgexl.index import BLOCK_ROWS, encode_coarse, train_codebook

KEEP = 256


def scan_speed(
    kernels: Kernels, vectors: Floats, rows: int, code_bytes: int, queries: int, seconds: float, kernel_names: list[str]
) -> dict[str, Any]:
    """Nanoseconds a row, scan and first 256 rows, of `queries` queries at once; the least of many runs.

    Both code the same vectors [n, D], given again and again up to `rows`, by 16 entries for each of 2 x code_bytes
    parts.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    dims = 4 * code_bytes if vectors.shape[1] >= 4 * code_bytes else 2 * code_bytes
    whole = len(vectors) // BLOCK_ROWS * BLOCK_ROWS  # so that blocks repeat
    leading = np.ascontiguousarray(vectors[:whole, :dims])
    repeats = -(-rows // whole)
    codebook = train_codebook(leading, "pq", code_bytes, seed=0)
    encoded = np.frombuffer(encode_coarse(leading, codebook), np.uint8)
    codes = page_aligned(np.tile(encoded, repeats)[: -(-rows // BLOCK_ROWS) * BLOCK_ROWS * code_bytes])
    peer = faiss.IndexPQFastScan(dims, 2 * code_bytes, 4, faiss.METRIC_INNER_PRODUCT)
    peer.train(leading[:16384])
    for repeat in range(repeats):
        peer.add(leading[: rows - repeat * whole])
    asked = leading[:: whole // queries][:queries]
    tables = np.empty((queries, 2 * code_bytes, 16), np.uint8)
    memory = kernels.batch_memory(tables, rows, KEEP)
    contenders: dict[str, Callable[[], object]] = {
        name: kernels.timed_scan(name, codes, rows, asked, codebook, memory, KEEP) for name in kernel_names
    }
    contenders["faiss"] = lambda: peer.search(asked, KEEP)
    best = dict.fromkeys(contenders, float("inf"))
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for name, run in contenders.items():
            begin = time.perf_counter_ns()
            run()
            best[name] = min(best[name], (time.perf_counter_ns() - begin) / rows / queries)
    ratios = {name: best[name] / best["faiss"] for name in kernel_names}
    return {
        "rows": rows,
        "bytes": code_bytes,
        "queries": queries,
        "faiss_level": os.environ.get("FAISS_OPT_LEVEL", "best"),
        "ns_a_row": {name: round(value, 4) for name, value in best.items()},
        "ratio_to_faiss": {name: round(value, 4) for name, value in ratios.items()},
    }
