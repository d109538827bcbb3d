"""A bundle over generated vectors: a student's own graphs, and an index that never is in memory as vectors."""

from __future__ import annotations

import dataclasses
import json
import struct
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.large.vectors import VectorFile, generate
from edgexl.base.arrays import Floats, Ints
from edgexl.base.progress import Progress
from edgexl.base.ragged import Ragged
from edgexl.bundle.goldens import Goldens
from edgexl.bundle.layout import Kind
from edgexl.bundle.parameters import Parameters
from edgexl.bundle.strings import BLOCK_STRINGS
from edgexl.bundle.write import Section, write_bundle
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_rows
from edgexl.compiler.encoding.workers import LocalWorkers
from edgexl.compiler.measure.probing import fit_probing
from edgexl.compiler.passes.pack import TOLERANCE
from edgexl.compiler.pipeline import begin, run_passes
from edgexl.compiler.recipe import CalibrateRecipe, GateRecipe, GraphRecipe, IndexRecipe, ReasonerRecipe, Recipe
from edgexl.index import LabelIndex, cell_count, leading_gain, make_cells, train_codebook
from edgexl.index.stream import coarse_pieces, fine_pieces
from edgexl.student.student import load_student
from edgexl.student.text import encode_texts
from edgexl.target import load_target

SAMPLE_ROWS = 65_536
SEED = 0
_STRINGS_HEAD = struct.Struct("<IIII16x")
_OFFSETS_AT = 2336


@dataclasses.dataclass(frozen=True)
class Base:
    """A student compiled as it is: its sections, its labels' vectors [n, D] in the index's space, and held-out queries
    [Q, D] with their texts."""

    artifact: Artifact
    vectors: Floats
    queries: Floats
    texts: list[str]


def compile_base(student: str, threads: int, progress: Progress) -> Base:
    """The student by the balanced recipe, without aliases, gates and calibration: what they cost is no part of this."""
    loaded = load_student(student)
    held_out = (*loaded.calibration, *loaded.evaluation)
    dims = loaded.shapes.query_dims
    index = IndexRecipe(
        rotation="pca", coarse="pq", code_bytes=min(32, dims // 4), fine_bits=4, fine_dims=dims * 13 // 32 * 2,
        aliases=False, cells=0, lexical="none",
    )  # fmt: skip
    recipe = Recipe(
        "large",
        screener=GraphRecipe("int8-token"),
        index=index,
        calibrate=CalibrateRecipe("none"),
        reasoner=ReasonerRecipe(blend="none"),
        gates=GateRecipe(reasoner_gain=-100),
    )
    bare = dataclasses.replace(loaded, calibration=(), evaluation=())
    artifact = run_passes(begin(bare, recipe, load_target("host")), Path("base.exl"), LocalWorkers(threads), progress)
    assert artifact.rotation is not None
    texts = [query.text for query in held_out]
    tokens = Ragged.of(encode_texts(loaded.tokenizer, texts, artifact.shapes.max_tokens), np.int32)
    queries = encode_rows(artifact.graphs.label_encoder, tokens, True, threads) @ artifact.rotation
    return Base(artifact, artifact.vectors, queries, texts)


def build(
    base: Base, labels: int, cells: int | str, recall: float, folder: Path, threads: int, progress: Progress
) -> tuple[Path, LabelIndex, dict[str, Any]]:
    """The bundle's path in `folder`, its index over mapped sections, and what was measured, seconds a step with it."""
    count = len(base.vectors) // BLOCK_STRINGS * BLOCK_STRINGS
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def step(name: str) -> None:
        nonlocal clock
        seconds[name] = round(time.perf_counter() - clock, 2)
        clock = time.perf_counter()

    vectors = generate(folder / "vectors", base.vectors[:count], labels, SEED, threads, partial(progress, "generate"))
    step("generate")
    known = base.artifact.index
    sample = _sample(vectors)
    subspaces, _, subspace_dims = known.codebook.shape
    codebook = train_codebook(sample[:, : subspaces * subspace_dims], "pq", subspaces // 2, SEED)
    gain = leading_gain(sample, subspaces * subspace_dims, known.fine_dims)
    step("train")
    parted = None
    if wanted := cell_count(cells, labels):
        parted = make_cells(vectors, wanted, known.fine_dims, SEED, threads, partial(progress, "cells"))
    step("cells")
    coarse, fine = folder / "coarse", folder / "fine"
    _write(coarse, coarse_pieces(vectors, codebook, parted, threads, partial(progress, "coarse codes")))
    step("coarse")
    bits = known.fine_bits
    _write(fine, fine_pieces(vectors, known.fine_dims, bits, gain, threads, partial(progress, "fine codes")))
    step("fine")
    vectors.path.unlink()
    index = dataclasses.replace(
        known, codebook=codebook, coarse=_map(coarse), fine=_map(fine), labels=labels, cells=parted,
        fine_gain=gain.factor,
    )  # fmt: skip
    facts: dict[str, Any] = {}
    if parted is not None:
        index, facts["cells"] = fit_probing(index, base.queries, recall, threads)
    step("fit probes")
    path = folder / "large.exl"
    facts["bytes"] = write_bundle(path, _sections(base, index, coarse, fine))
    step("write")
    return path, index, facts | {"seconds": seconds | {"total": round(sum(seconds.values()), 2)}}


def _sections(base: Base, index: LabelIndex, coarse: Path, fine: Path) -> dict[Kind, Section]:
    """The base's sections with another index in their midst."""
    known, labels, cells = base.artifact.sections, index.labels, index.cells
    sizes = Parameters.unpack(known[Kind.PARAMETERS])
    sizes = dataclasses.replace(sizes, labels=labels, rows=labels, fine_gain=index.fine_gain)
    if cells is not None:
        sizes = dataclasses.replace(sizes, cells=cells.count, probes=cells.probes, cell_margin=cells.margin)
    changed: dict[Kind, Section] = {
        Kind.MANIFEST: json.dumps({"labels": labels, "rows": labels, "note": "generated vectors"}).encode(),
        Kind.PARAMETERS: sizes.pack(),
        Kind.CODEBOOK: index.codebook.astype("<f4").tobytes(),
        Kind.COARSE_CODES: coarse,
        Kind.FINE_CODES: fine,
        Kind.LABEL_TEXTS: repeated_strings(known[Kind.LABEL_TEXTS], labels),
        Kind.LABEL_IDS: repeated_strings(known[Kind.LABEL_IDS], labels),
        Kind.GOLDENS: Goldens(1, TOLERANCE, ()).pack(),  # the base's labels are not these
    }
    if cells is not None:
        changed[Kind.CELLS] = cells.pack()
    return {**known, **changed}


def repeated_strings(section: bytes, count: int) -> bytes:
    """A string section of `count` strings, a multiple of 64: those of `section` over and over, its last odd ones left
    out. Blocks stand alone, so they are copied as they are."""
    known, longest, symbols, _ = _STRINGS_HEAD.unpack_from(section)
    blocks = -(-known // BLOCK_STRINGS)
    starts = np.frombuffer(section, "<u4", blocks + 1, _OFFSETS_AT)
    data = section[_OFFSETS_AT + 4 * len(starts) :]
    whole, wanted = known // BLOCK_STRINGS, count // BLOCK_STRINGS
    lengths = np.resize(np.diff(starts[: whole + 1]), wanted)
    offsets: Ints = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    assert offsets[-1] < 1 << 32
    times, rest = divmod(wanted, whole)
    body = data[: starts[whole]] * times + data[: starts[rest]]
    head = _STRINGS_HEAD.pack(count, longest, symbols, int(offsets[-1]))
    return b"".join([head, section[_STRINGS_HEAD.size : _OFFSETS_AT], offsets.astype("<u4").tobytes(), body])


def _sample(vectors: VectorFile) -> Floats:
    """Evenly spread short runs of rows."""
    rows, run = vectors.shape[0], 64
    begins = np.linspace(0, rows - run, SAMPLE_ROWS // run).astype(int)
    return np.concatenate([vectors[begin : begin + run] for begin in begins.tolist()])


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with open(path, "wb") as stream:
        for piece in pieces:
            stream.write(piece)


def _map(path: Path) -> memoryview:
    return memoryview(np.memmap(path, np.uint8, "r"))  # type: ignore[arg-type]
