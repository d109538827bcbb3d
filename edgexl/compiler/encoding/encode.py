"""Encoding the rows of the index: token ids to vectors, remembered on disk by what they depend on.

The key is a hash of the graph, of the number of texts that it takes at once and of all token ids, so that a second
compile with other index settings encodes nothing again. Where rows were changed, added or taken out, the others'
vectors are those of the compile before (`known_rows`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnxruntime

from edgexl.base.arrays import Floats, Ints
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.base.ragged import Ragged
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.known_rows import KnownRows, find_known, remember
from edgexl.compiler.encoding.workers import Batch, LocalWorkers, Workers
from edgexl.data import Query
from edgexl.index.row_cache import RowCache
from edgexl.index.tower_vectors import encode_by_tower
from edgexl.student.text import encode_texts

# 2,048 tokens a batch keep the activations of a small encoder inside a core's second-level cache.
BATCH_TOKENS = 2048


def encode_rows(
    model: bytes,
    rows: Ragged,
    batched: bool,
    threads: int,
    progress: StageProgress = no_stage_progress,
    workers: Workers | None = None,
) -> Floats:
    """Vectors [rows, D], float32, of token id lists, by `workers` or else by so many threads.

    `batched`: the graph takes many texts of one length at once; else it takes one, as on the device, where an 8-bit
    graph's activation scales depend on what else is in the batch.
    """
    cache, graph_key = RowCache.of_user(), _graph_key(model, batched)
    key = _key(graph_key, rows)
    if known := cache.get(key, 1):
        progress(len(rows), len(rows))
        return known[0]
    encode = partial(
        _encode, model, batch_tokens=BATCH_TOKENS if batched else 0, workers=workers or LocalWorkers(threads)
    )
    vectors = _encode_others(find_known(cache, graph_key, rows), rows, encode, progress)
    cache.put(key, vectors)
    remember(cache, graph_key, rows, key)
    return vectors


def _encode_others(
    known: KnownRows | None, rows: Ragged, encode: Callable[[Ragged, StageProgress], Floats], progress: StageProgress
) -> Floats:
    """The vectors of all rows, of which some may be known."""
    if known is None:
        return encode(rows, progress)
    others = np.flatnonzero(~known.known)
    before = len(rows) - len(others)
    progress(before, len(rows))
    vectors = np.empty((len(rows), known.vectors.shape[1]), np.float32)
    vectors[known.known] = known.vectors
    if len(others):
        vectors[others] = encode(rows.take(others), lambda done, _: progress(before + done, len(rows)))
    return vectors


def _encode(model: bytes, rows: Ragged, progress: StageProgress, batch_tokens: int, workers: Workers) -> Floats:
    batches = _batches(rows, batch_tokens)
    size = workers.shard_batches
    shards = _Shards(rows, [batches[begin : begin + size] for begin in range(0, len(batches), size)])
    vectors: Floats | None = None
    done = 0
    for number, parts in workers.encode(model, shards):
        for batch, part in zip(shards.places[number], parts, strict=True):
            if vectors is None:
                vectors = np.empty((len(rows), part.shape[1]), np.float32)
            vectors[batch] = part
            done += len(batch)
        progress(done, len(rows))
    assert vectors is not None
    return vectors


def encode_queries(artifact: Artifact, queries: Sequence[Query], threads: int = 1) -> Floats:
    """The vectors [queries, D] of queries in the student's own space, by the float screener."""
    texts = [query.text for query in queries]
    student = artifact.student
    ids = encode_texts(student.tokenizer, texts, artifact.shapes.max_tokens, student.prompts.query)
    return encode_rows(artifact.graphs.label_encoder, Ragged.of(ids, np.int32), True, threads)


def encode_labels(artifact: Artifact, workers: Workers, progress: StageProgress = no_stage_progress) -> Floats:
    """Vectors [texts, D], float32, of the texts of an artifact's rows, as `Rows.of` made them: by the student's label
    tower where it has one, which reads them with a tokenizer of its own, else by its screener as the float graph."""
    student, rows = artifact.student, artifact.rows
    if student.label_tower is not None:
        texts = rows.texts(student.labels, student.tokenizer, artifact.shapes.max_tokens)
        return encode_by_tower(student.label_tower, texts, workers.threads, progress)
    return encode_rows(artifact.graphs.label_encoder, rows.tokens, True, workers.threads, progress, workers)


@dataclass(frozen=True)
class _Shards(Sequence[list[Batch]]):
    """The token ids of each shard's batches, taken when they are asked for; `places`: the rows of each batch."""

    rows: Ragged
    places: list[list[Ints]]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: Any) -> Any:
        found = [self.rows.take(batch) for batch in self.places[number]]
        return [ids.values.reshape(len(ids), -1) for ids in found]


def _batches(rows: Ragged, batch_tokens: int) -> list[Ints]:
    """Indices in batches of one length, in order of length; single ones when `batch_tokens` is 0."""
    lengths = rows.lengths
    found = []
    for length in np.unique(lengths).tolist():
        members = np.flatnonzero(lengths == length)
        size = max(1, batch_tokens // length)
        found += [members[begin : begin + size] for begin in range(0, len(members), size)]
    return found


def _graph_key(model: bytes, batched: bool) -> str:
    """Hash of all that a row's vector depends on beside the row: the graph, the engine's version, the batches."""
    about = f"{onnxruntime.__version__} {BATCH_TOKENS if batched else 0} "
    return hashlib.sha256(about.encode() + hashlib.sha256(model).digest()).hexdigest()


def _key(graph_key: str, rows: Ragged) -> str:
    digest = hashlib.sha256(graph_key.encode())
    digest.update(rows.lengths.tobytes())
    digest.update(rows.values.astype(np.int32).tobytes())
    return digest.hexdigest()
