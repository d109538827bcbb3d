"""How much memory a bundle takes on a device, estimated from how long its sections are."""

from __future__ import annotations

from collections.abc import Mapping

from edgexl.bundle.layout import Kind

# Resident before any model is loaded: ONNX Runtime on x86-64, version 1.32; the native engine with its arena.
ENGINE_BYTES = {"ort": 22_000_000, "native": 4_000_000}
# ONNX Runtime keeps its own packed copy of most weights beside the mapped one.
WEIGHT_COPIES = {"ort": 2, "native": 1}


def memory_bytes(lengths: Mapping[Kind, int], engine: str) -> int:
    """An estimate of what a device needs resident to answer queries: engine, weights, and all that each query scans.

    Fine codes and texts are not in it: a query reads a few pages of them, and the system takes those back when it must.
    """
    weights = lengths[Kind.SCREENER_WEIGHTS] + lengths.get(Kind.REASONER_WEIGHTS, 0)
    scanned = lengths[Kind.COARSE_CODES] + lengths[Kind.TOKENIZER]
    return ENGINE_BYTES[engine] + WEIGHT_COPIES[engine] * weights + scanned
