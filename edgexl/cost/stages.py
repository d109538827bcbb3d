"""What the cost of each stage of a query grows with, from a bundle's sizes and plans and the text's tokens.

The stages have the names that exl-bench prints. `encode` and `reason` are sums of their plans' operations; the others
are a few counts each of what `edgexl/runtime/src` loops over. `load` opens the bundle and a session.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgexl.base.errors import BadInput
from edgexl.bundle.layout import Kind
from edgexl.bundle.lexical import unpack_lexical
from edgexl.bundle.parameters import ENGINE_NATIVE, Parameters, input_names
from edgexl.bundle.plan import Plan
from edgexl.bundle.read import Bundle
from edgexl.cost.operations import Features, add_features, cold, measure_plan, weight_bytes

LOAD = "load"
STAGES = ("tokenize", "encode", "scan", "match", "rescore", "gather", "reason", "calibrate")
# Rows of a block of coarse codes, and blocks that a first minimum is judged by (edgexl/runtime/src/scan.c).
_BLOCK_ROWS, _SAMPLE_BLOCKS = 256, 32
# A region that is read again and again comes from the level of memory that holds it: what is beyond each of these
# sizes may cost more. They are usual sizes of caches; a processor's own lie between them.
_LEVELS = {"256K": 1 << 18, "1M": 1 << 20, "4M": 1 << 22, "16M": 1 << 24}
# A word has about as many three-letter features as letters.
_WORD_FEATURES = 8


@dataclass(frozen=True)
class LexicalFacts:
    """What matching words costs with: `rows`, `terms`, `dense` ones; `feature_bytes` and `term_bytes` of the list that
    a word of the labels usually meets (a list is met as often as it is long)."""

    rows: int
    terms: int
    dense: int
    feature_bytes: float
    term_bytes: float


@dataclass(frozen=True)
class Anatomy:
    """A bundle as far as its costs go: sizes, plans (`reasoner` is None where there is none), sections' `lengths` in
    bytes, the lexical side's facts. A bundle need not be there: a compile that has not run yet has one, too."""

    parameters: Parameters
    screener: Plan
    reasoner: Plan | None
    lengths: Mapping[Kind, int]
    lexical: LexicalFacts | None = None

    @functools.cached_property
    def streamed_bytes(self) -> float:
        """What a query reads from its first byte to its last: products' weights, scanned codes, counts of terms."""
        p = self.parameters
        plans = [plan for plan in (self.screener, self.reasoner) if plan is not None]
        weights = sum(weight_bytes(operation) for plan in plans for operation in plan.operations)
        codes = self.lengths[Kind.COARSE_CODES] * (p.probes / p.cells if p.cells else 1)
        words = 4 * self.lexical.terms + 4 * self.lexical.rows if self.lexical else 0
        return weights + codes + words


def read_anatomy(bundle: Bundle) -> Anatomy:
    """Of a bundle. Raises `BadInput` for one that runs on ONNX Runtime, whose graphs have no plans."""
    if bundle.parameters.engine != ENGINE_NATIVE:
        raise BadInput(
            f"{bundle.path} runs on ONNX Runtime, whose times cannot be predicted; compile it for the native engine, "
            "or measure it: edgexl profile."
        )
    lengths = {Kind(entry.kind): entry.length for entry in bundle.entries if entry.kind in set(Kind)}
    reasoner = bytes(bundle.section(Kind.REASONER_GRAPH))
    return Anatomy(
        bundle.parameters,
        Plan.unpack(bytes(bundle.section(Kind.SCREENER_GRAPH))),
        Plan.unpack(reasoner) if reasoner else None,
        lengths,
        read_lexical(bundle.section(Kind.LEXICAL), bundle.parameters.rows) if Kind.LEXICAL in lengths else None,
    )


def read_lexical(section: bytes | memoryview, rows: int) -> LexicalFacts:
    """Of a lexical section."""
    lexical = unpack_lexical(section, rows)
    return LexicalFacts(
        lexical.rows, lexical.terms, lexical.dense, _usual(lexical.feature_starts), _usual(lexical.term_starts)
    )


def _usual(starts: np.ndarray) -> float:
    """The mean length of a list, each weighed by its length."""
    lengths = np.diff(starts.astype(np.float64))
    return float((lengths**2).sum() / lengths.sum()) if lengths.sum() else 0.0


def measure_stages(anatomy: Anatomy, tokens: int) -> dict[str, Features]:
    """The numbers of each of `STAGES`, and of `load`, for a text of `tokens` ([CLS] and [SEP] among them; of
    more than the bundle reads, as many as it reads). A bundle without a lexical side has no numbers of `match`."""
    p, streamed = anatomy.parameters, anatomy.streamed_bytes
    tokens = min(tokens, p.max_tokens)
    found: dict[str, Features] = {
        "tokenize": {"calls": 1, "tokens": tokens, **cold("calls", 1, streamed)},
        "encode": {"calls": 1, "numbers": p.dims + tokens * p.state_dims},
        "scan": _scan(p) | cold("kept", p.overfetch, streamed),
        "match": _match(anatomy, tokens),
        "rescore": _rescore(p, anatomy.lengths, streamed),
        "gather": _gather(p, streamed),
        "reason": {"calls": 1, "labels": p.shortlist},
        "calibrate": {
            "calls": 1,
            "labels": p.shortlist,
            "sorted": p.shortlist * math.log2(p.shortlist + 1),
            **cold("labels", p.shortlist, streamed),
        },
        LOAD: _load(anatomy),
    }
    named = {
        stage: {f"{stage}.{name}": float(value) for name, value in numbers.items() if value}
        for stage, numbers in found.items()
    }
    for stage, plan in (("encode", anatomy.screener), ("reason", anatomy.reasoner)):
        if plan is not None:
            operations = [features for _, features in measure_plan(plan, tokens, p.shortlist, streamed)]
            named[stage] = add_features([named[stage], *operations])
    return named


def total_features(stages: Mapping[str, Features]) -> Features:
    """The numbers of a whole query: of all stages."""
    return add_features(numbers for stage, numbers in stages.items() if stage != LOAD)


def _scan(p: Parameters) -> Features:
    rows = p.rows * p.probes / p.cells if p.cells else p.rows
    blocks = -(-rows // _BLOCK_ROWS)
    kept = min(p.overfetch, rows)
    code_bytes = blocks * _BLOCK_ROWS * p.subspaces / 2
    sampled = blocks >= 2 * _SAMPLE_BLOCKS
    # records of a random order, until the minimum stands where it ends; a sample finds it nearly at once
    pushed = kept * (1 + (0.0 if sampled else math.log(max(rows / kept, 1))))
    return {
        "calls": 1,
        "table": p.subspaces * 16 * p.subspace_dims,
        "blocks": blocks,
        "bytes": code_bytes,
        "kept": kept,
        "pushed": pushed,
        "sampled": _SAMPLE_BLOCKS * _BLOCK_ROWS * p.subspaces / 2 if sampled else 0,
        "cells": p.cells * p.fine_dims,
        "probes": p.probes,
        **{f"bytes beyond {name}": max(0.0, code_bytes - size) for name, size in _LEVELS.items()},
    }


def _match(anatomy: Anatomy, tokens: int) -> Features:
    lexical = anatomy.lexical
    if lexical is None:
        return {}
    words = max(tokens - 2, 1)
    return {
        "calls": 1,
        "words": words,
        "counted": words * _WORD_FEATURES * lexical.feature_bytes,
        "compared": words * lexical.terms,
        "given": words * lexical.term_bytes,
        "dense": words * lexical.dense,
        "rows": lexical.rows,
        "candidates": anatomy.parameters.lexical_candidates,
    }


def _rescore(p: Parameters, lengths: Mapping[Kind, int], streamed: float) -> Features:
    rows = min(p.overfetch, p.rows) + p.lexical_candidates
    row_bytes = 2 + p.fine_dims * p.fine_bits / 8
    lines = rows * (row_bytes / 64 + 1)
    codes = lengths[Kind.FINE_CODES] + streamed
    beyond = {f"lines beyond {name}": lines for name, size in _LEVELS.items() if codes > size}
    return {
        "calls": 1,
        "rows": rows,
        f"numbers of {p.fine_bits} bits": rows * p.fine_dims,
        "lines": lines,
        "query": p.fine_dims,
        "ranked": rows * math.log2(p.shortlist + 1),
        "kept": p.shortlist,
        "rows with aliases": rows if p.rows > p.labels else 0,
        "rows with words": rows if p.lexical_candidates else 0,
        **beyond,
        **cold("rows", rows, streamed),
    }


def _gather(p: Parameters, streamed: float) -> Features:
    takes = input_names(p.reasoner_inputs)
    texts = p.shortlist if p.label_tokens else 0
    return {
        "calls": 1,
        "labels": p.shortlist,
        "vectors": p.shortlist * p.dims if "label_vectors" in takes else 0,
        "texts": texts,
        "pieces": texts * p.label_tokens,
        **cold("labels", p.shortlist, streamed),
    }


def _load(anatomy: Anatomy) -> Features:
    plans = [plan for plan in (anatomy.screener, anatomy.reasoner) if plan is not None]
    lexical = anatomy.lexical
    return {
        "calls": 1,
        "operations": sum(len(plan.operations) for plan in plans),
        "weights": sum(plan.weights for plan in plans),
        "tokenizer": anatomy.lengths[Kind.TOKENIZER],
        "codebook": anatomy.lengths[Kind.CODEBOOK],
        "strings": anatomy.lengths[Kind.LABEL_TEXTS] + anatomy.lengths[Kind.LABEL_IDS],
        "aliases": anatomy.lengths.get(Kind.ROW_LABELS, 0),
        "cells": anatomy.lengths.get(Kind.CELLS, 0),
        "lexical": lexical.rows + lexical.terms if lexical else 0,
    }
