"""Encoding the rows of the index: token ids to vectors, remembered on disk by what they depend on.

The memory is a cache: keyed by a hash of the graph and of all token ids, so that a second compile with other index
settings encodes nothing again, and deleting it costs time alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from edgexl.compiler.graph import Session
from edgexl.fetch import cache_directory
from edgexl.ragged import Places, Ragged

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

# 2,048 tokens a batch keep the activations of a small encoder inside a core's second-level cache.
BATCH_TOKENS = 2048


def encode_rows(model: bytes, rows: Ragged, batched: bool, threads: int, progress: Progress | None = None) -> Floats:
    """Vectors [rows, D], float32, of token id lists.

    `batched`: the graph takes many texts of one length at once; else it takes one, as on the device, where an 8-bit
    graph's activation scales depend on what else is in the batch.
    """
    place = cache_directory() / "vectors" / f"{_key(model, rows)}.npy"
    if (known := _remembered(place, len(rows))) is not None:
        return known
    session = Session(model)
    vectors: Floats | None = None
    done = 0
    batches = _batches(rows, BATCH_TOKENS if batched else 0)
    pool = ThreadPoolExecutor(threads)
    try:
        for batch, part in zip(batches, pool.map(lambda batch: _encode(session, rows, batch), batches), strict=True):
            if vectors is None:
                vectors = np.empty((len(rows), part.shape[1]), np.float32)
            vectors[batch] = part
            done += len(batch)
            if progress:
                progress(done, len(rows))
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted compile does not wait for the rest
    assert vectors is not None
    _remember(place, vectors)
    return vectors


def _encode(session: Session, rows: Ragged, batch: Places) -> Floats:
    ids = rows.take(batch).values.reshape(len(batch), -1).astype(np.int64)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return np.asarray(session.run(feeds)[0], np.float32)


def _batches(rows: Ragged, batch_tokens: int) -> list[Places]:
    """Indices in batches of one length, in order of length; single ones when `batch_tokens` is 0."""
    lengths = rows.lengths
    found = []
    for length in np.unique(lengths).tolist():
        members = np.flatnonzero(lengths == length)
        size = max(1, batch_tokens // length)
        found += [members[begin : begin + size] for begin in range(0, len(members), size)]
    return found


def _key(model: bytes, rows: Ragged) -> str:
    """Hash of all that the vectors depend on: the graph, the engine's version, and the token ids."""
    digest = hashlib.sha256(onnxruntime.__version__.encode() + hashlib.sha256(model).digest())
    digest.update(rows.lengths.tobytes())
    digest.update(rows.values.astype(np.int32).tobytes())
    return digest.hexdigest()


def _remembered(place: Path, rows: int) -> Floats | None:
    try:
        vectors: Floats = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == rows and vectors.dtype == np.float32 else None


def _remember(place: Path, vectors: Floats) -> None:
    """Write the vectors in one step. A cache that cannot be written (full disk, no home) costs time, not the
    compile.
    """
    temporary = place.with_suffix(f".{os.getpid()}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            np.save(stream, vectors)
        os.replace(temporary, place)
    except OSError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
