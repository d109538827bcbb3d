"""What is searched: label vectors, queries and their gold labels; a student's own, or generated ones like them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgexl.base.arrays import Floats, Ints
from edgexl.base.ragged import Ragged

NEAREST = 10
_BATCH = 32
# Share of the energy that a MeSH student's leading dimensions hold; 96 of its 256 hold nearly all.
_ENERGY = {0: 0.0, 1: 0.0486, 4: 0.1183, 16: 0.2879, 32: 0.4772, 64: 0.7925, 96: 0.9932, 128: 0.9966, 256: 1.0}


@dataclass(frozen=True)
class Workload:
    """`vectors` [rows, D]: the labels' own texts, then the aliases, whose labels `alias_labels` lists; `queries` [Q, D]
    and their gold labels; `held_out` queries with theirs, to choose codes by. All vectors have unit length."""

    name: str
    vectors: Floats
    labels: int
    alias_labels: Ragged
    queries: Floats
    gold: list[Ints]
    held_out: Floats
    held_out_gold: list[Ints]
    texts: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    @cached_property
    def nearest_rows(self) -> Ints:
        """The exact first 10 among the label texts' rows, [Q, 10]."""
        return self.first_rows(NEAREST)

    def first_rows(self, depth: int) -> Ints:
        """The exact first rows among the label texts', best first: [Q, depth]."""
        found = []
        for begin in range(0, len(self.queries), _BATCH):
            scores = self.queries[begin : begin + _BATCH] @ self.vectors[: self.labels].T
            best = np.argpartition(-scores, depth, axis=1)[:, :depth]
            order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
            found.append(np.take_along_axis(best, order, 1))
        return np.concatenate(found)

    def gold_recall(self, found: list[Ints] | Ints) -> float:
        """Mean share of each query's gold labels among the labels found for it."""
        return float(np.mean([np.isin(gold, row).mean() for gold, row in zip(self.gold, found, strict=True)]))

    def nearest_share(self, found: list[Ints] | Ints) -> float:
        """Share of the exact first 10 rows among the rows found."""
        return float(np.mean([np.isin(near, row).mean() for near, row in zip(self.nearest_rows, found, strict=True)]))


def of_student(name: str, queries: int, every: int, threads: int) -> Workload:
    """The student's own vectors, by its float screener (remembered on disk); of every so many labels one, without
    aliases where that leaves some out. Labels are in the order of their texts: the first ones would be too alike."""
    # torch, ONNX and ONNX Runtime, which generated vectors do without
    from edgexl.compiler import pipeline
    from edgexl.compiler.encoding.encode import encode_labels, encode_rows
    from edgexl.compiler.encoding.workers import LocalWorkers
    from edgexl.compiler.passes.export import Export
    from edgexl.compiler.recipe import Recipe
    from edgexl.student.student import load_student
    from edgexl.student.text import encode_texts
    from edgexl.target import load_target

    student = load_student(name)
    artifact = Export().run(pipeline.begin(student, Recipe("benchmark"), load_target("host")))
    encoder, shapes = artifact.graphs.label_encoder, artifact.shapes
    vectors = artifact.rows.vectors(encode_labels(artifact, LocalWorkers(threads)))
    count, aliases = artifact.rows.labels, artifact.rows.alias_labels
    if every > 1:
        vectors = np.ascontiguousarray(vectors[:count:every])
        count, aliases = len(vectors), Ragged.of((), np.uint32)

    def encode_queries(of: tuple) -> tuple[Floats, list[Ints]]:  # type: ignore[type-arg]
        kept = [query for query in of if any(label % every == 0 for label in query.targets)][:queries]
        tokens = Ragged.of(encode_texts(student.tokenizer, [query.text for query in kept], shapes.max_tokens), np.int32)
        gold = [np.array([label // every for label in query.targets if label % every == 0]) for query in kept]
        return encode_rows(encoder, tokens, True, threads), gold

    labels = student.labels
    found, held_out = encode_queries(student.evaluation), encode_queries(student.calibration)
    return Workload(
        name, vectors, count, aliases, *found, *held_out, tuple(labels.texts[::every]), tuple(labels.ids[::every])
    )


def generate(rows: int, dims: int = 256, queries: int = 200, seed: int = 0) -> Workload:
    """Vectors with the energy of real ones, in groups of about eight that are alike; a query lies near its label."""
    rng = np.random.default_rng(seed)
    ends = np.array(list(_ENERGY)) * dims // 256
    energies = np.diff(np.interp(np.arange(dims + 1), ends, list(_ENERGY.values())))
    scale = np.sqrt(np.maximum(energies, 1e-7)).astype(np.float32)
    centres = rng.standard_normal((rows // 8 + 1, dims), np.float32)
    vectors = np.empty((rows, dims), np.float32)
    for begin in range(0, rows, 65536):
        part = vectors[begin : begin + 65536]
        part[:] = centres[(np.arange(begin, begin + len(part)) // 8)] + rng.standard_normal(part.shape, np.float32)
        part *= scale
        part /= np.linalg.norm(part, axis=1, keepdims=True)

    def draw_queries() -> tuple[Floats, list[Ints]]:
        gold = rng.integers(0, rows, queries)
        found = vectors[gold] + rng.standard_normal((queries, dims), np.float32) * scale * np.float32(0.9)
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), [np.array([g]) for g in gold]

    found, held_out = draw_queries(), draw_queries()
    return Workload(f"{rows:,} generated", vectors, rows, Ragged.of((), np.uint32), *found, *held_out)
