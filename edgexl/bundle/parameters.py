"""The parameters section: the only configuration that the runtime reads."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgexl.base.errors import BadInput

ENGINE_ORT, ENGINE_NATIVE = 1, 2
# The graphs' input vocabulary: a name's position is its bit.
GRAPH_INPUTS = (
    "input_ids",
    "attention_mask",
    "token_states",
    "query_vector",
    "label_vectors",
    "screening_scores",
    "label_tokens",
    "evidence",
)
# Far beyond what vectors ask for; decompressed numbers cannot overflow.
LARGEST_GAIN = 1024.0
# The most of each size that a bundle and a student share.
LARGEST_SIZES = {
    "max_tokens": 8192, "dims": 4096, "state_dims": 8192, "shortlist": 4096, "label_tokens": 64, "vocabulary": 1 << 24,
}  # fmt: skip
SCREENER_INPUTS = GRAPH_INPUTS[:2]
SCREENER_OUTPUTS = ("query_vector", "token_states")
REASONER_OUTPUTS = ("logits",)

MOST_CELLS = 65536
LARGEST_F32 = 3.4028234663852886e38
# What screening knows of a label: the scores of its own text, its best alias and its best description, the votes of all
# its candidate rows, and how alike its words are.
EVIDENCE = ("own", "alias", "description", "votes", "lexical")
LEXICAL_FEATURES = 8
VOTES_TEMPERATURE = 0.05000000074505806  # 0.05 as an f32
LARGEST_VOTES_WEIGHT = LARGEST_LEXICAL_WEIGHT = 16.0
MOST_LEXICAL_CANDIDATES = 4096
MOST_WINDOWS = 256

_STRUCT = struct.Struct("<18I32sfIIfI4f8ffIffI64s")
assert _STRUCT.size == 256


def input_bits(names: tuple[str, ...]) -> int:
    """The bit set of graph input `names`."""
    return sum(1 << GRAPH_INPUTS.index(name) for name in names)


def input_names(bits: int) -> tuple[str, ...]:
    """The graph inputs of a bit set, in the vocabulary's order."""
    return tuple(name for bit, name in enumerate(GRAPH_INPUTS) if bits >> bit & 1)


@dataclass(frozen=True)
class Parameters:
    """Sizes of a bundle, as docs/format.md names them; making one with a value out of its limits raises `BadInput`."""

    labels: int
    rows: int
    dims: int
    subspaces: int
    subspace_dims: int
    fine_dims: int
    fine_bits: int
    overfetch: int
    shortlist: int
    max_tokens: int
    label_tokens: int
    state_dims: int
    screener_inputs: int
    reasoner_inputs: int
    screener_outputs: int
    vocabulary: int
    label_set_sha256: bytes
    engine: int = ENGINE_ORT
    fine_gain: float = 1.0
    cells: int = 0
    probes: int = 0
    cell_margin: float = 0.0
    descriptions: int = 0
    reasoner_weight: float = 1.0
    screening_weight: float = 0.0
    votes_temperature: float = VOTES_TEMPERATURE
    votes_weight: float = 0.0
    lexical_weight: tuple[float, ...] = (0.0,) * LEXICAL_FEATURES
    lexical_most: float = 0.0
    lexical_candidates: int = 0
    least_known: float = 0.0
    same_text: float = 0.0
    windows: int = 1

    def __post_init__(self) -> None:
        limits = {
            "labels": (1, 2**31 - 1),
            "rows": (self.labels, 2**31 - 1),
            "dims": (8, LARGEST_SIZES["dims"]),
            "subspaces": (2, 256),
            "subspace_dims": (1, 64),
            "fine_dims": (2, self.dims),
            "overfetch": (self.shortlist, 16384),
            "shortlist": (1, LARGEST_SIZES["shortlist"]),  # also of fewer labels: some may be added
            "max_tokens": (3, LARGEST_SIZES["max_tokens"]),
            "label_tokens": (0, LARGEST_SIZES["label_tokens"]),
            "state_dims": (0, LARGEST_SIZES["state_dims"]),
            "screener_inputs": (1, 3),
            "reasoner_inputs": (0, 2 ** len(GRAPH_INPUTS) - 1),
            "vocabulary": (1, LARGEST_SIZES["vocabulary"]),
            "cells": (0, min(self.rows, MOST_CELLS)),
            "probes": (min(1, self.cells), self.cells),
            "cell_margin": (0.0, LARGEST_F32 if self.cells else 0.0),  # nor is it NaN, as none of these is
            "descriptions": (0, self.rows - self.labels),
            "reasoner_weight": (0.0, LARGEST_F32 if self.reasoner_inputs else 0.0),
            "screening_weight": (0.0, LARGEST_F32),
            "votes_temperature": (1 / 1024, 1.0),
            "votes_weight": (0.0, LARGEST_VOTES_WEIGHT),
            "lexical_candidates": (0, MOST_LEXICAL_CANDIDATES),
            "least_known": (0.0, 1.0),
            "same_text": (0.0, 2.0),
            "windows": (0, MOST_WINDOWS),  # 0 as 1
            "lexical_most": (0.0, LARGEST_LEXICAL_WEIGHT if self.lexical_candidates else 0.0),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise BadInput(f"The bundle's parameter {name} is {value}; it must lie within {low} and {high}.")
        if self.fine_bits not in (2, 4, 8):
            raise BadInput(f"The bundle's parameter fine_bits is {self.fine_bits}; it must be 2, 4 or 8.")
        if self.fine_bits == 2 and self.fine_dims % 4:
            raise BadInput("The bundle's parameter fine_dims must be a multiple of 4 where fine_bits is 2.")
        if not 1 / LARGEST_GAIN <= self.fine_gain <= LARGEST_GAIN:  # nor is NaN
            raise BadInput(f"The bundle's parameter fine_gain is {self.fine_gain}; it must lie within 1/1024 and 1024.")
        if self.subspaces % 2 or self.fine_dims % 2:
            raise BadInput("The bundle's parameters subspaces and fine_dims must be even.")
        if self.subspaces * self.subspace_dims > self.dims:
            raise BadInput("The bundle's parameter dims must be at least subspaces times subspace_dims.")
        if self.screener_outputs not in (1, 3):
            raise BadInput(f"The bundle's parameter screener_outputs is {self.screener_outputs}; it must be 1 or 3.")
        if len(self.lexical_weight) != LEXICAL_FEATURES or not all(
            abs(weight) <= LARGEST_F32 for weight in self.lexical_weight
        ):
            raise BadInput(f"The bundle's parameter lexical_weight must be {LEXICAL_FEATURES} finite numbers.")
        takes = input_names(self.reasoner_inputs)
        if ("label_tokens" in takes) != (self.label_tokens > 0):
            raise BadInput("The bundle's reasoner takes label_tokens exactly when that parameter is not 0.")
        if "token_states" in takes and (self.state_dims == 0 or self.screener_outputs != 3):
            raise BadInput("The bundle's reasoner takes token_states, which its screener does not give.")

    def pack(self) -> bytes:
        """The section's 256 bytes."""
        numbers = [getattr(self, name) for name in list(self.__dataclass_fields__)[:16]]
        cells = (self.cells, self.probes, self.cell_margin)
        weights = (self.reasoner_weight, self.screening_weight, self.votes_temperature, self.votes_weight)
        lexical = (*self.lexical_weight, self.lexical_most, self.lexical_candidates)
        doubts = (self.least_known, self.same_text, self.windows)
        head = (self.label_set_sha256, self.fine_gain, *cells, self.descriptions, *weights)
        tail = (*head, *lexical, *doubts, bytes(64))
        return _STRUCT.pack(_STRUCT.size, self.engine, *numbers, *tail)

    @classmethod
    def unpack(cls, section: bytes) -> Parameters:
        """Read a section (one longer than 256 bytes is of a later minor version). Raises `BadInput`."""
        if len(section) < _STRUCT.size:
            raise BadInput(f"The bundle's parameters have {len(section)} bytes; {_STRUCT.size} are needed.")
        struct_bytes, engine, *fields = _STRUCT.unpack_from(section)
        numbers, (label_set, *others, reserved) = fields[:16], fields[16:]
        if struct_bytes < _STRUCT.size or struct_bytes != len(section):
            raise BadInput(f"The bundle's parameters say that they have {struct_bytes} bytes, but have {len(section)}.")
        if engine not in (ENGINE_ORT, ENGINE_NATIVE):
            raise BadInput(f"The bundle's engine is number {engine}, which this version does not know.")
        if any(reserved):
            raise BadInput("The bundle's parameters have a reserved byte that is not 0.")
        before, weights, behind = others[:9], tuple(others[9 : 9 + LEXICAL_FEATURES]), others[9 + LEXICAL_FEATURES :]
        values = [*numbers, label_set, engine, *before, weights, *behind]
        return cls(**dict(zip(cls.__dataclass_fields__, values, strict=True)))
