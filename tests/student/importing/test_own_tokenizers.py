"""Encoders of each family with a tokenizer of its own kind: sentence-transformers' vectors of 500 texts, by the float
student and by the native engine in 8 bits. `benchmarks/encoder_vectors.py` does the same at published sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import encoder_vectors as bench
from benchmarks.native import NativeLibrary
from edgexl.student.importing.packaged import PACKAGED_MODELS

QUICK = "gemma3"
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in bench.NAMES if name != QUICK]


@pytest.mark.parametrize("name", [QUICK, *SLOW])
def test_vectors_of_500_texts(name: str, tmp_path: Path) -> None:
    texts = bench.read_texts()
    assert len(texts) == 500
    found = bench.compare(bench.open_encoder(name, tmp_path, small=True), texts, NativeLibrary())
    assert found["fp32"] >= 1 - 1e-5
    assert found["int8_mean"] >= (0.998 if name == "mpnet" else 0.999)  # twelve layers of outstanding channels
    assert found["apart"] < 0.95


def test_every_packaged_encoder_is_compared() -> None:
    assert set(bench.PACKAGED.values()) <= set(PACKAGED_MODELS)
