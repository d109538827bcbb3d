"""What index codes keep of exact search, what they weigh, and how fast the scan is beside faiss.

    python benchmarks/index.py                              # the WordNet student's vectors
    python benchmarks/index.py --student DIR --queries 500
    python benchmarks/index.py --vectors labels.npy queries.npy --dims 256

Accuracy: the share of the exact 10 nearest labels (float, inner product) among the coarse scan's best 256, 512 and
1024 rows, and in the shortlist after rescoring. Speed: one thread, the scan and faiss's IndexPQFastScan
(same sub-spaces and bits, same k) in turns within this process; the least of many runs, in nanoseconds a row.
Strings: bytes and random access of the student's label texts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgexl.bundle.strings import pack_strings
from edgexl.index import decode_fine, encode_coarse, encode_fine, fine_stride_bytes, train_codebook, train_rotation
from edgexl.runtime.kernels import Kernels, build_kernels

Floats = npt.NDArray[np.float32]
NEAREST = 10
OVERFETCH = (256, 512, 1024)
SHORTLIST = 128
# rotation, its leading dimensions (None = all), coarse code, bytes a row
COARSE = [
    ("none", None, "sign", 32),
    ("random", None, "sign", 32),
    ("none", None, "pq", 32),
    ("random", None, "pq", 32),
]
COARSE += [("pca", 192, "pq", 32), ("pca", 128, "pq", 32), ("random", None, "pq", 16), ("pca", 128, "pq", 16)]
# rotation, dimensions, bits
FINE = [("random", 256, 8), ("random", 256, 4), ("pca", 192, 4), ("pca", 128, 4), ("pca", 96, 4), ("none", 128, 4)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default="wordnet")
    parser.add_argument("--vectors", nargs=2, type=Path, metavar=("LABELS", "QUERIES"), help="use these instead")
    parser.add_argument("--dims", type=int, help="reduce the vectors to so many principal dimensions first")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--speed-rows", type=int, nargs="*", default=[0, 1_000_000], help="0 = the labels' number")
    parser.add_argument("--only", choices=["coarse", "fine", "speed", "strings"], nargs="*")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    wanted = options.only or ["coarse", "fine", "speed", "strings"]

    labels, queries, texts = _load(options)
    report: dict[str, Any] = {"labels": len(labels), "dims": labels.shape[1], "queries": len(queries)}
    with tempfile.TemporaryDirectory() as directory:
        kernels = build_kernels(Path(directory))
        report["kernel"] = kernels.best_isa
        if "coarse" in wanted:
            report["coarse"] = coarse_accuracy(kernels, labels, queries)
        if "fine" in wanted:
            report["fine"] = fine_accuracy(kernels, labels, queries)
        if "speed" in wanted:
            report["speed"] = [scan_speed(kernels, rows or len(labels)) for rows in options.speed_rows]
        if "strings" in wanted and texts:
            report["strings"] = string_figures(kernels, texts)
    print(json.dumps(report, indent=2) if options.json else _table(report))


def _load(options: argparse.Namespace) -> tuple[Floats, Floats, list[str]]:
    if options.vectors:
        labels, queries = (np.load(path).astype(np.float32) for path in options.vectors)
        texts: list[str] = []
    else:
        from edgexl.student import encode, student  # torch, only where it is needed

        loaded = student.load_student(options.student)
        texts = list(loaded.labels.texts)
        asked = [query.text for query in loaded.evaluation[: options.queries]]
        labels, queries = (
            encode.encode_vectors(loaded.screener, loaded.tokenizer, part, bfloat16=True).numpy()
            for part in (texts, asked)
        )
    if options.dims:
        basis = train_rotation(labels, "pca", 0)[:, : options.dims]
        labels, queries = labels @ basis, queries @ basis
    queries = queries[: options.queries]
    return _unit(labels), _unit(queries), texts


def _unit(vectors: Floats) -> Floats:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def exact_nearest(labels: Floats, queries: Floats) -> npt.NDArray[np.int64]:
    """Indices [Q, 10] by inner product."""
    nearest = []
    for begin in range(0, len(queries), 64):
        scores = queries[begin : begin + 64] @ labels.T
        nearest.append(np.argpartition(-scores, NEAREST, axis=1)[:, :NEAREST])
    return np.concatenate(nearest)


class Rotated:
    """Labels and queries under a rotation, each computed once."""

    def __init__(self, labels: Floats, queries: Floats) -> None:
        self._labels, self._queries = labels, queries
        self._made: dict[tuple[str, int | None], tuple[Floats, Floats]] = {}

    def under(self, kind: Any, leading_dims: int | None) -> tuple[Floats, Floats]:
        """Labels [L, D] and queries [Q, D]."""
        if (kind, leading_dims) not in self._made:
            rotation = train_rotation(self._labels, kind, 0, leading_dims)
            self._made[kind, leading_dims] = (self._labels @ rotation, np.ascontiguousarray(self._queries @ rotation))
        return self._made[kind, leading_dims]


def coarse_accuracy(kernels: Kernels, labels: Floats, queries: Floats) -> list[dict[str, Any]]:
    """A line for each of COARSE: share of the exact nearest in the scan's best rows."""
    exact, rotated, lines = exact_nearest(labels, queries), Rotated(labels, queries), []
    for rotation, leading, coarse, code_bytes in COARSE:
        if 2 * code_bytes > labels.shape[1] or labels.shape[1] % (2 * code_bytes):
            continue
        vectors, asked = rotated.under(rotation, leading)
        codebook = train_codebook(vectors, coarse, code_bytes, seed=0)  # type: ignore[arg-type]
        codes = np.frombuffer(encode_coarse(vectors, codebook), np.uint8)
        found = np.zeros(len(OVERFETCH))
        for query, nearest in zip(asked, exact, strict=True):
            tables = kernels.scan_tables(query, codebook)
            rows, _ = kernels.scan(kernels.best_isa, codes, len(labels), tables, max(OVERFETCH))
            found += [np.isin(nearest, rows[:keep]).mean() for keep in OVERFETCH]
        shares = {f"@{keep}": share / len(asked) for keep, share in zip(OVERFETCH, found, strict=True)}
        lines.append(
            {
                "rotation": rotation,
                "leading": leading or labels.shape[1],
                "coarse": coarse,
                "bytes": code_bytes,
                **shares,
            }
        )
    return lines


def fine_accuracy(kernels: Kernels, labels: Floats, queries: Floats) -> list[dict[str, Any]]:
    """A line for each of FINE, behind 32-byte PQ codes and an over-fetch of 1024: share of the exact nearest among the
    first 10 and the shortlist, and the mean cosine of decompressed label vectors to the float ones."""
    exact, rotated, lines = exact_nearest(labels, queries), Rotated(labels, queries), []
    for rotation, fine_dims, fine_bits in FINE:
        if fine_dims > labels.shape[1]:
            continue
        vectors, asked = rotated.under(rotation, fine_dims)
        codebook = train_codebook(vectors, "pq", 32, seed=0)
        codes = np.frombuffer(encode_coarse(vectors, codebook), np.uint8)
        fine = np.frombuffer(encode_fine(vectors, fine_dims, fine_bits), np.uint8)
        first = listed = 0.0
        for query, nearest in zip(asked, exact, strict=True):
            tables = kernels.scan_tables(query, codebook)
            rows, _ = kernels.scan(kernels.best_isa, codes, len(labels), tables, 1024)
            quantized, unit = kernels.quantize_query(query, fine_dims)
            scores = kernels.rescore(kernels.best_isa, fine, rows, fine_bits, quantized, unit)
            ordered = rows[np.lexsort((rows, -scores))]
            first += np.isin(nearest, ordered[:NEAREST]).mean()
            listed += np.isin(nearest, ordered[:SHORTLIST]).mean()
        sample = slice(0, 10000)
        stride = fine_stride_bytes(fine_dims, fine_bits)
        decoded = decode_fine(
            fine.tobytes()[: stride * 10000], len(vectors[sample]), fine_dims, fine_bits, len(vectors[0])
        )
        cosine = (_unit(decoded) * vectors[sample]).sum(axis=1).mean()
        line = {"rotation": rotation, "fine_dims": fine_dims, "fine_bits": fine_bits, "bytes": stride}
        lines.append({**line, "@10": first / len(asked), "@128": listed / len(asked), "cosine": float(cosine)})
    return lines


def scan_speed(kernels: Kernels, rows: int, code_bytes: int = 32, keep: int = 256) -> dict[str, Any]:
    """Nanoseconds a row of each kernel here and of faiss, over random vectors; interleaved, the least of the runs."""
    import faiss

    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    dims, chunk = 8 * code_bytes, 65536
    sample = rng.standard_normal((16384, dims)).astype(np.float32)
    codebook = train_codebook(sample, "pq", code_bytes, seed=0)
    peer = faiss.IndexPQFastScan(dims, 2 * code_bytes, 4, faiss.METRIC_INNER_PRODUCT)
    peer.train(sample)
    encoded = []
    for begin in range(0, rows, chunk):
        vectors = rng.standard_normal((min(chunk, rows - begin), dims), np.float32)
        encoded.append(np.frombuffer(encode_coarse(vectors, codebook), np.uint8))
        peer.add(vectors)
    codes = _page_aligned(np.concatenate(encoded))
    query = sample[0]

    def ours(isa: str) -> None:
        kernels.scan(isa, codes, rows, kernels.scan_tables(query, codebook), keep)

    contenders: dict[str, Callable[[], object]] = {
        isa: (lambda isa=isa: ours(isa)) for isa in kernels.isas if isa != "scalar"
    }
    contenders["faiss"] = lambda: peer.search(query[None], keep)
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(100):
        for name, run in contenders.items():
            begin_ns = time.perf_counter_ns()
            run()
            best[name] = min(best[name], (time.perf_counter_ns() - begin_ns) / rows)
    ratio = best["faiss"] / best[kernels.best_isa]
    return {"rows": rows, "bytes": code_bytes, "keep": keep, "ns_a_row": best, "faiss_over_ours": ratio}


def _page_aligned(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """As in a mapped bundle. (numpy aligns to 16 bytes: every load of 64 would then touch two cache lines.)"""
    room = np.empty(len(codes) + 16384, np.uint8)
    begin = -room.ctypes.data % 16384
    room[begin : begin + len(codes)] = codes
    return room[begin : begin + len(codes)]


def string_figures(kernels: Kernels, texts: list[str]) -> dict[str, Any]:
    """Bytes of the packed texts in their order and shuffled (front coding then finds nothing), and the time of a random
    access, with the call's own cost measured apart and taken off."""
    begin = time.perf_counter()
    section = pack_strings(texts)
    seconds = time.perf_counter() - begin
    strings = kernels.open_strings(section, len(texts))
    assert strings is not None
    order = np.random.default_rng(0).integers(0, len(texts), 20000).tolist()
    first = [0] * len(order)  # block starts decode one short string: what is left is the call's own cost

    def seconds_for(indices: list[int]) -> float:
        begin = time.perf_counter()
        for index in indices:
            strings.get(index, strings.longest_bytes)
        return time.perf_counter() - begin

    shuffled = [texts[i] for i in np.random.default_rng(0).permutation(len(texts)).tolist()]
    raw = sum(len(text.encode()) for text in texts)
    access = min(seconds_for(order) for _ in range(3)) - min(seconds_for(first) for _ in range(3))
    return {
        "strings": len(texts),
        "raw_bytes": raw,
        "packed_bytes": len(section),
        "share": len(section) / raw,
        "shuffled_share": len(pack_strings(shuffled)) / raw,
        "pack_seconds": seconds,
        "access_ns": access / len(order) * 1e9,
    }


def _table(report: dict[str, Any]) -> str:
    lines = [f"{report['labels']} labels, {report['dims']} dimensions, {report['queries']} queries, {report['kernel']}"]
    for part in ("coarse", "fine", "speed", "strings"):
        rows = report.get(part, [])
        rows = [rows] if isinstance(rows, dict) else rows
        if rows:
            lines += ["", part, "  ".join(f"{key:>10}" for key in rows[0])]
            lines += ["  ".join(_cell(value) for value in row.values()) for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {_cell(number).strip()}" for key, number in value.items())
    return f"{value:>10.4f}" if isinstance(value, float) else f"{value!s:>10}"


if __name__ == "__main__":
    main()
