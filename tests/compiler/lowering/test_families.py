"""Whole encoders of every family and each way to pool: lowered to the plan's operations, none new, and the same numbers
as the unfused graph in ONNX Runtime, on every kernel set to the bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.native import NativeLibrary
from edgexl.student.architecture import Architecture, DenseStep
from edgexl.student.importing.static import STATIC
from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener
from tests.compiler.lowering.test_patterns import TOKENS, VOCABULARY, check, exported

ROTARY = Architecture(
    positions="rotary", theta=500.0, norms="before", norm_bias=False, bias=False, gated=True, window=3,
    local_layers=(1,),
)  # fmt: skip
GEMMA = Architecture(
    positions="rotary", theta=1e6, norm="rms", norms="around", embedding_norm=False, head_norms=True, bias=False,
    gated=True, activation="gelu_tanh", window=4, local_layers=(0,), shared_keys=True, head_dims=16,
)  # fmt: skip
# Two layers: the operations of each architecture. Query, key and value are one product, and so are rotary's where no
# norm stands between; of a gated feed-forward there are two.
FAMILIES: dict[str, tuple[Architecture | None, dict[str, int]]] = {
    "BERT": (None, {"LINEAR_F32": 8, "ATTENTION": 2, "LAYER_NORM": 5, "EMBED": 1, "MATMUL": 0, "SOFTMAX": 0}),
    "MPNet": (Architecture(relative_buckets=32), {"LINEAR_F32": 8, "ATTENTION": 2, "EMBED": 2, "MATMUL": 0}),
    "ModernBERT": (ROTARY, {"LINEAR_F32": 10, "ATTENTION": 2, "LAYER_NORM": 5, "EMBED": 2, "MATMUL": 0}),
    "Gemma 3": (GEMMA, {"LINEAR_F32": 8, "ATTENTION": 2, "EMBED": 2, "MATMUL": 0, "SOFTMAX": 0}),
}


@pytest.fixture(scope="module")
def library() -> NativeLibrary:
    return NativeLibrary()


def lowered_screener(architecture: Architecture | None, **changes: Any) -> bytes:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocabulary": VOCABULARY, "max_tokens": TOKENS, "word_dims": 32, "state_dims": 32, "ffn_dims": 48, "heads": 4,
        "layers": 2, "query_dims": None, "eps": 1e-5,
    }  # fmt: skip
    screener = TransformerScreener(ScreenerConfig(architecture=architecture, **(sizes | changes)))
    with torch.no_grad():
        for name, value in screener.named_parameters():
            if "norm" not in name:
                value.normal_(std=0.3)
    return exported(screener, ("input_ids", "attention_mask"), ("query_vector_out", "token_states_out"))


@pytest.mark.parametrize(("architecture", "wanted"), FAMILIES.values(), ids=FAMILIES.keys())
def test_an_encoder_of_a_family(
    architecture: Architecture | None, wanted: dict[str, int], library: NativeLibrary
) -> None:
    check(lowered_screener(architecture), library, wanted, tolerance=5e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "weighted", "sqrt", "last"])
def test_a_way_to_pool(pooling: str, library: NativeLibrary) -> None:
    """A static table, so that nothing else can differ."""
    check(lowered_screener(STATIC, layers=0, pooling=pooling), library, {"EMBED": 1, "ATTENTION": 0})


def test_dense_steps_with_activations(library: NativeLibrary) -> None:
    steps = tuple(
        DenseStep(20 + place, activation, bias=bool(place % 2), normalised=place == 3)
        for place, activation in enumerate(("tanh", "relu", "sigmoid", "gelu", "identity"))
    )
    check(lowered_screener(STATIC, layers=0, dense=steps), library, {"LINEAR_F32": 5})


def test_a_window_that_holds_every_text_costs_nothing(library: NativeLibrary) -> None:
    wide = Architecture(positions="rotary", local_layers=(0, 1), window=TOKENS - 1)
    check(lowered_screener(wide), library, {"EMBED": 1, "ATTENTION": 2})
