"""The libraries that edgexl's index is measured beside, each as it comes, on the same vectors and one thread.

A rival is built from vectors [rows, D] and a budget of bytes a row, and gives the first rows of a query. One that is
not installed is named as such, not left out.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgexl.base.arrays import Floats, Ints


@dataclass
class Built:
    """An index that a library made: `search(query [D], k)` gives row numbers; bytes are a row's, in its file and in
    what a query has to have in memory."""

    search: Callable[[Floats, int], Ints]
    disk_bytes: float
    resident_bytes: float
    build_seconds: float
    load_ms: float


def _faiss(vectors: Floats, make: Callable[[Any], Any], prepare: Callable[[Any], None] = lambda index: None) -> Built:
    import faiss

    faiss.omp_set_num_threads(1)
    began = time.perf_counter()
    index = make(faiss)
    if not index.is_trained:
        index.train(vectors[:: max(1, len(vectors) // 32768)])
    index.add(vectors)
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "index"
        faiss.write_index(index, str(path))
        size = path.stat().st_size / len(vectors)
        began = time.perf_counter()
        index = faiss.read_index(str(path))
        load_ms = (time.perf_counter() - began) * 1e3
    prepare(index)
    return Built(lambda query, k: index.search(query[None], k)[1][0], size, size, seconds, load_ms)


def _faiss_named(vectors: Floats, name: str, prepare: Callable[[Any], None] = lambda index: None) -> Built:
    """What faiss's factory makes of `name`."""
    dims = vectors.shape[1]
    return _faiss(vectors, lambda faiss: faiss.index_factory(dims, name, faiss.METRIC_INNER_PRODUCT), prepare)


def exact(vectors: Floats, code_bytes: int) -> Built:
    """All inner products in float."""
    return _faiss(vectors, lambda faiss: faiss.IndexFlatIP(vectors.shape[1]))


def pq_fast_scan(vectors: Floats, code_bytes: int) -> Built:
    """faiss IndexPQFastScan of all dimensions."""
    dims = vectors.shape[1]
    return _faiss(vectors, lambda faiss: faiss.IndexPQFastScan(dims, 2 * code_bytes, 4, faiss.METRIC_INNER_PRODUCT))


def pca_fast_scan(vectors: Floats, code_bytes: int) -> Built:
    """The same over leading principal dimensions, turned at random: two for each of its parts."""
    parts = 2 * code_bytes
    name = f"PCAR{min(2 * parts, vectors.shape[1])},PQ{parts}x4fs"
    return _faiss_named(vectors, name)


def pq_fast_scan_refined(vectors: Floats, code_bytes: int) -> Built:
    """PQ fast scan, its first 1,024 rescored by 8-bit scalar codes: two stages, as here, all of it in memory."""
    name = f"PQ{2 * code_bytes}x4fs,Refine(SQ8)"

    def prepare(index: Any) -> None:
        index.k_factor = 8

    return _faiss_named(vectors, name, prepare)


def ivf_fast_scan(vectors: Floats, code_bytes: int) -> Built:
    """faiss IVF of 512 lists, 32 of them probed, PQ fast scan within."""
    name = f"IVF512,PQ{2 * code_bytes}x4fs"

    def prepare(index: Any) -> None:
        index.nprobe = 32

    return _faiss_named(vectors, name, prepare)


def rabitq_fast_scan(vectors: Floats, code_bytes: int) -> Built:
    """faiss RaBitQ fast scan: a bit a dimension of as many principal dimensions as there are bits, and its factors."""
    dims = min(8 * code_bytes, vectors.shape[1])

    def make(faiss: Any) -> Any:
        index = faiss.IndexRaBitQFastScan(dims, faiss.METRIC_INNER_PRODUCT)
        turn = faiss.PCAMatrix(vectors.shape[1], dims, 0, True)
        return faiss.IndexPreTransform(turn, index)

    return _faiss(vectors, make)


def usearch_i8(vectors: Floats, code_bytes: int) -> Built:
    """usearch HNSW over 8-bit vectors."""
    return _usearch(vectors, "ip", "i8")


def usearch_b1(vectors: Floats, code_bytes: int) -> Built:
    """usearch HNSW over sign bits, by Hamming distance."""
    return _usearch(np.packbits(vectors > 0, axis=1), "hamming", "b1", vectors.shape[1])


def _usearch(vectors: Any, metric: str, dtype: str, dims: int | None = None) -> Built:
    from usearch.index import Index

    began = time.perf_counter()
    index = Index(ndim=dims or vectors.shape[1], metric=metric, dtype=dtype, connectivity=16)
    index.add(np.arange(len(vectors)), vectors, threads=1)
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "index"
        index.save(str(path))
        size = path.stat().st_size / len(vectors)
        began = time.perf_counter()
        index.load(str(path))
        load_ms = (time.perf_counter() - began) * 1e3

    def search(query: Floats, k: int) -> Ints:
        asked = np.packbits(query > 0) if dtype == "b1" else query
        return np.asarray(index.search(asked, k, threads=1).keys, np.int64)

    return Built(search, size, size, seconds, load_ms)


def hnswlib_float(vectors: Floats, code_bytes: int) -> Built:
    """hnswlib over the float vectors."""
    import hnswlib

    began = time.perf_counter()
    index = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=16, ef_construction=100)
    index.set_num_threads(1)
    index.add_items(vectors)
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "index"
        index.save_index(str(path))
        size = path.stat().st_size / len(vectors)
        began = time.perf_counter()
        index = hnswlib.Index("ip", vectors.shape[1])
        index.load_index(str(path))
        load_ms = (time.perf_counter() - began) * 1e3
    index.set_num_threads(1)
    index.set_ef(256)
    return Built(lambda query, k: index.knn_query(query, k)[0][0].astype(np.int64), size, size, seconds, load_ms)


def scann_rescored(vectors: Floats, code_bytes: int) -> Built:
    """ScaNN: brute force over 4-bit codes with anisotropic loss, its first 1,024 rescored in float."""
    import scann

    dims = max(1, vectors.shape[1] // (2 * code_bytes))
    began = time.perf_counter()
    builder = scann.scann_ops_pybind.builder(vectors, 128, "dot_product")
    index = builder.score_ah(dims, anisotropic_quantization_threshold=0.2).reorder(1024).build()
    seconds = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as directory:
        index.serialize(directory)
        size = sum(path.stat().st_size for path in Path(directory).iterdir()) / len(vectors)
        began = time.perf_counter()
        scann.scann_ops_pybind.load_searcher(directory)
        load_ms = (time.perf_counter() - began) * 1e3
    return Built(
        lambda query, k: index.search(query, final_num_neighbors=k)[0].astype(np.int64), size, size, seconds, load_ms
    )


def sqlite_vec_bits(vectors: Floats, code_bytes: int) -> Built:
    """sqlite-vec: brute force over sign bits, its first 1,024 rescored in float, as its guide shows."""
    import sqlite_vec

    try:  # most builds of Python have an sqlite3 that loads no extensions
        import pysqlite3 as sqlite3
    except ImportError:
        import sqlite3
    began = time.perf_counter()
    directory = tempfile.TemporaryDirectory()
    path = Path(directory.name) / "index.db"
    database = sqlite3.connect(path)
    if not hasattr(database, "enable_load_extension"):
        raise ImportError("this Python's sqlite3 loads no extensions; pip install pysqlite3-binary")
    database.enable_load_extension(True)
    sqlite_vec.load(database)
    dims = vectors.shape[1]
    database.execute(f"create virtual table v using vec0(bits bit[{dims}], +whole blob)")
    rows = (
        (place, np.packbits(vector > 0, bitorder="little").tobytes(), vector.tobytes())
        for place, vector in enumerate(vectors)
    )
    with database:
        database.executemany("insert into v(rowid, bits, whole) values (?, vec_bit(?), ?)", rows)
    seconds = time.perf_counter() - began
    size = path.stat().st_size / len(vectors)
    began = time.perf_counter()
    database.execute("select count(*) from v").fetchone()
    load_ms = (time.perf_counter() - began) * 1e3
    statement = "select rowid, whole from v where bits match vec_bit(?) and k = 1024"

    def search(query: Floats, k: int) -> Ints:
        found = database.execute(statement, (np.packbits(query > 0, bitorder="little").tobytes(),)).fetchall()
        whole = np.frombuffer(b"".join(row[1] for row in found), np.float32).reshape(len(found), -1)
        order = np.argsort(-(whole @ query))[:k]
        return np.array([found[place][0] for place in order], np.int64)

    built = Built(search, size, dims / 8, seconds, load_ms)
    built.search.__dict__["keep"] = directory  # the file lives as long as the search
    return built


# Name -> how it is built, and whether its size follows the budget (else it is built once).
RIVALS: dict[str, tuple[Callable[[Floats, int], Built], bool]] = {
    "exact (faiss flat)": (exact, False),
    "faiss PQ fast scan": (pq_fast_scan, True),
    "faiss PCA, PQ fast scan": (pca_fast_scan, True),
    "faiss PQ fast scan, refined": (pq_fast_scan_refined, True),
    "faiss IVF, PQ fast scan": (ivf_fast_scan, True),
    "faiss RaBitQ fast scan": (rabitq_fast_scan, True),
    "ScaNN": (scann_rescored, True),
    "sqlite-vec, bits": (sqlite_vec_bits, False),
    "usearch HNSW i8": (usearch_i8, False),
    "usearch HNSW b1": (usearch_b1, False),
    "hnswlib": (hnswlib_float, False),
}
