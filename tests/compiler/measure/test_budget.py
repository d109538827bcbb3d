"""The budget's gates, by hand."""

from __future__ import annotations

import dataclasses

import pytest

from edgexl.bundle.layout import Kind
from edgexl.bundle.memory import memory_bytes
from edgexl.compiler.measure.budget import judge_bytes
from edgexl.compiler.recipe import GateRecipe, Recipe
from edgexl.target import Int8, Target

LENGTHS = {
    Kind.MANIFEST: 50, Kind.PARAMETERS: 160, Kind.TOKENIZER: 3_000, Kind.SCREENER_GRAPH: 700,
    Kind.SCREENER_WEIGHTS: 40_000, Kind.REASONER_GRAPH: 800, Kind.REASONER_WEIGHTS: 20_000, Kind.CODEBOOK: 9_000,
    Kind.COARSE_CODES: 30_000, Kind.FINE_CODES: 14_000, Kind.ROW_LABELS: 5_000, Kind.CELLS: 1_000,
    Kind.LABEL_TEXTS: 11_000, Kind.LABEL_IDS: 6_000, Kind.CALIBRATION: 500, Kind.GOLDENS: 900,
}  # fmt: skip
TARGET = Target("odd", "x86-64-v3", 1, 10**8, 10**6, 4096, Int8("avx2", "uint8"))


def test_memory_is_the_engine_the_weights_and_what_a_query_scans() -> None:
    assert memory_bytes(LENGTHS, "native") == 4_000_000 + 60_000 + 33_000
    assert memory_bytes(LENGTHS, "ort") == 22_000_000 + 2 * 60_000 + 33_000


@pytest.mark.parametrize("engine", ["native", "ort"])
def test_limits_are_the_targets_and_the_recipes(engine: str) -> None:
    verdicts = judge_bytes(LENGTHS, 150_000, Recipe("mine"), TARGET, engine)
    assert [(v.name, v.value, v.threshold) for v in verdicts] == [
        ("disk_bytes", 150_000, 10**6),
        ("memory_bytes", memory_bytes(LENGTHS, engine), 10**8),
    ]
    assert all(verdict.passed for verdict in verdicts)
    limited = Recipe("mine", gates=GateRecipe(max_bundle_bytes=149_999))
    assert [v.passed for v in judge_bytes(LENGTHS, 150_000, limited, TARGET, engine)] == [True, True, False]
    assert all(v.passed for v in judge_bytes(LENGTHS, 149_999, limited, TARGET, engine))
    small = dataclasses.replace(TARGET, memory_bytes=memory_bytes(LENGTHS, engine) - 1, disk_bytes=149_999)
    assert [v.passed for v in judge_bytes(LENGTHS, 150_000, Recipe("mine"), small, engine)] == [False, False]


def test_the_pass_with_most_bytes_is_to_blame() -> None:
    def blamed(**more: int) -> str:
        lengths = LENGTHS | {Kind[name]: LENGTHS[Kind[name]] + extra for name, extra in more.items()}
        (stage,) = {verdict.stage for verdict in judge_bytes(lengths, 1, Recipe("mine"), TARGET, "native")}
        return stage

    # graphs 61,500; index 59,000; everything else 21,610
    assert blamed() == "quantize"
    for name in ("CODEBOOK", "COARSE_CODES", "FINE_CODES", "ROW_LABELS", "CELLS"):
        assert blamed(**{name: 3_000}) == "build_index"
    for name in ("SCREENER_GRAPH", "SCREENER_WEIGHTS", "REASONER_GRAPH", "REASONER_WEIGHTS"):
        assert blamed(**{name: 1_000, "FINE_CODES": 3_000}) == "quantize"
    for name in ("MANIFEST", "TOKENIZER", "LABEL_TEXTS", "LABEL_IDS", "CALIBRATION", "GOLDENS", "PARAMETERS"):
        assert blamed(**{name: 40_000}) == "pack"
