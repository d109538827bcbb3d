"""Each pattern that lowering fuses, as PyTorch exports it, against the unfused graph in ONNX Runtime: by the
interpreter, and by every kernel set of the engine, which agree with each other to the bit.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.native import NativeGraph, NativeLibrary
from edgexl.bundle.plan import Activation, Code, Scales
from edgexl.bundle.weights import pack_weights
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.lowering import lower_graph
from edgexl.compiler.lowering.interpret import PlanSession
from edgexl.compiler.passes.export import trace
from edgexl.compiler.recipe import GraphRecipe, Scheme
from edgexl.student.layers import EncoderLayer, ListLayer, padding_bias
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.screeners.ngrams import NgramConfig, NgramScreener
from edgexl.target import load_target

TOKENS, LABELS, WIDTH, VOCABULARY, PIECES = 24, 20, 64, 90, 4
INT8 = load_target("host").int8  # of this machine, where ONNX Runtime answers, too


@pytest.fixture(scope="module")
def library() -> NativeLibrary:
    return NativeLibrary()


def feeds(tokens: int, labels: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Every graph input; a few tokens at the end are padding, and labels share pieces with the text."""
    random = np.random.default_rng(seed)
    mask = np.ones((1, tokens), np.int64)
    mask[0, max(1, tokens - 2) :] = 0
    vectors = random.normal(size=(1, labels, WIDTH)).astype(np.float32)
    return {
        "input_ids": random.integers(1, VOCABULARY, (1, tokens)),
        "attention_mask": mask,
        "token_states": random.normal(size=(1, tokens, WIDTH)).astype(np.float32),
        "query_vector": random.normal(size=(1, WIDTH)).astype(np.float32),
        "label_vectors": vectors / np.linalg.norm(vectors, axis=-1, keepdims=True),
        "screening_scores": random.normal(size=(1, labels, 2)).astype(np.float32),
        "label_tokens": random.integers(0, VOCABULARY, (1, labels, PIECES)),
        "evidence": random.normal(size=(1, labels, 5)).astype(np.float32),
    }


def exported(module: nn.Module, names: tuple[str, ...], outputs: tuple[str, ...]) -> bytes:
    sample = {name: torch.from_numpy(array) for name, array in feeds(7, 5).items()}
    with torch.no_grad():
        return trace(module, names, outputs, sample)


def check(
    model: bytes,
    library: NativeLibrary,
    wanted: dict[str, int],
    scheme: Scheme = "fp32",
    tolerance: float = 2e-5,
    embeddings: Literal["fp32", "int4"] = "fp32",
) -> None:
    """Lower `model` under `scheme`, see that it has so many operations of each kind, and compare at several lengths."""
    quantised = quantize_graph(model, GraphRecipe(scheme=scheme, embeddings=embeddings), INT8)
    lowered = lower_graph(quantised, TOKENS, LABELS)
    kinds = collections.Counter(operation.code.name for operation in lowered.plan.operations)
    assert {name: kinds[name] for name in wanted} == wanted
    plan, weights = lowered.plan.pack(), pack_weights(lowered.weights)
    interpreter, reference = PlanSession(plan, weights, lowered.output_names), Session(quantised)
    graphs = [NativeGraph(library, plan, weights, kernels) for kernels in library.kernels]
    assert not graphs[0].cleared_bytes  # every value is written before it is read: a run clears nothing
    for tokens, labels in ((1, 1), (TOKENS, LABELS), (7, 3), (17, 16)):
        given = feeds(tokens, labels, seed=tokens)
        exact, slow = reference.run(given), interpreter.run(given)
        found = [graph.run(given) for graph in graphs]
        for place, array in enumerate(exact):
            scale = max(1.0, float(np.abs(array).max()))
            assert np.abs(slow[place].reshape(array.shape) - array).max() <= tolerance * scale
            assert np.abs(found[0][place].reshape(array.shape) - array).max() <= tolerance * scale
            for other in found[1:]:
                assert other[place].tobytes() == found[0][place].tobytes()


class Module(nn.Module):
    """A module of a function and its parameters."""

    def __init__(self, forward: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self._forward = forward

    def forward(self, **inputs: Tensor) -> Tensor:
        return self._forward(self, **inputs)


def activated(how: Callable[[Tensor], Tensor]) -> nn.Module:
    return Module(lambda own, token_states: how(own.up(token_states)), up=nn.Linear(WIDTH, 40))


def embedded(own: Module, input_ids: Tensor) -> Tensor:
    return own.norm(own.word(input_ids) + own.position.weight[: input_ids.shape[1]])


def pooled(own: Module, token_states: Tensor, attention_mask: Tensor) -> Tensor:
    weight = attention_mask.to(torch.float32).unsqueeze(-1)
    mean = (token_states * weight).sum(1) / weight.sum(1)
    return mean / (mean * mean).sum(-1, keepdim=True).clamp_min(1e-24).sqrt()


@pytest.fixture(autouse=True)
def same_weights() -> None:
    torch.manual_seed(3)


@pytest.mark.parametrize("scheme", ["fp32", "int8-token", "int8", "int8-weights", "int4-weights"])
def test_bias_and_activation(scheme: Scheme, library: NativeLibrary) -> None:
    """One operation for product, bias and GELU, under every scheme. ONNX Runtime rounds activations otherwise."""
    code = {"fp32": "LINEAR_F32", "int8-token": "LINEAR_INT8", "int8": "LINEAR_INT8"}.get(scheme, "LINEAR_BLOCKS")
    module = Module(
        lambda own, label_vectors: own.up(own.widen(label_vectors)).relu(),
        widen=nn.Linear(WIDTH, 96), up=nn.Linear(96, 40),
    )  # fmt: skip
    model = exported(module, ("label_vectors",), ("logits",))
    check(model, library, {code: 2, "MAP": 1}, scheme, 2e-5 if scheme == "fp32" else 3e-2)


@pytest.mark.parametrize("how", [nn.functional.gelu, torch.relu, torch.tanh], ids=["gelu", "relu", "tanh"])
def test_activations(how: Callable[[Tensor], Tensor], library: NativeLibrary) -> None:
    model = exported(activated(how), ("token_states",), ("token_states_out",))
    operations = lower_graph(model, TOKENS, LABELS).plan.operations
    assert operations[0].function != Activation.NONE
    check(model, library, {"LINEAR_F32": 1, "MAP": 1})


def test_embedding_and_layer_norm(library: NativeLibrary) -> None:
    parts = {"word": nn.Embedding(VOCABULARY, 40), "position": nn.Embedding(TOKENS, 40), "norm": nn.LayerNorm(40)}
    model = exported(Module(embedded, **parts), ("input_ids",), ("token_states_out",))
    check(model, library, {"EMBED": 1, "LAYER_NORM": 1, "MAP": 2})


def test_a_table_of_4_bits(library: NativeLibrary) -> None:
    model = exported(
        Module(lambda own, input_ids: own.word(input_ids), word=nn.Embedding(1024, 96)),
        ("input_ids",), ("token_states_out",),
    )  # fmt: skip
    check(model, library, {"EMBED": 1}, embeddings="int4", tolerance=1e-6)
    small = quantize_graph(model, GraphRecipe(embeddings="int4"), INT8)
    operation = lower_graph(small, TOKENS, LABELS).plan.operations[0]
    assert (operation.code, operation.function) == (Code.EMBED, Scales.BLOCKS)


def test_an_encoder_layer(library: NativeLibrary) -> None:
    """Query, key and value are one product; masked attention, residual sums and GELU have no operation of their own."""
    module = Module(
        lambda own, token_states, attention_mask: own.layer(token_states, padding_bias(attention_mask)),
        layer=EncoderLayer(WIDTH, 64, 4, 1e-12),
    )
    model = exported(module, ("token_states", "attention_mask"), ("token_states_out",))
    wanted = {"LINEAR_F32": 4, "ATTENTION": 1, "LAYER_NORM": 2, "SOFTMAX": 0, "MATMUL": 0}
    check(model, library, wanted)
    check(model, library, {**wanted, "LINEAR_F32": 0, "LINEAR_INT8": 4}, "int8-token", 4e-2)


def test_a_list_layer_that_looks_at_the_text(library: NativeLibrary) -> None:
    module = Module(
        lambda own, label_vectors, token_states, attention_mask: own.layer(
            label_vectors, token_states, padding_bias(attention_mask)
        ).sum(-1),
        layer=ListLayer(WIDTH, 64, 2, 0.0, cross=True),
    )
    model = exported(module, ("label_vectors", "token_states", "attention_mask"), ("logits",))
    check(model, library, {"ATTENTION": 2, "LAYER_NORM": 3, "MATMUL": 0, "SOFTMAX": 0}, tolerance=5e-5)


def test_pooling_and_normalisation(library: NativeLibrary) -> None:
    model = exported(Module(pooled), ("token_states", "attention_mask"), ("query_vector_out",))
    check(model, library, {"REDUCE": 3})


@pytest.mark.parametrize(
    "options",
    [{}, {"coverage": True, "absence": True}, {"absence": True, "evidence": True, "residual": True}],
    ids=["plain", "coverage", "residual"],
)
def test_late_interaction(options: dict[str, bool], library: NativeLibrary) -> None:
    """The whole reasoner: best matches come out of attention itself, and nothing is left that multiplies two values."""
    config = ReasonerConfig(
        vocabulary=VOCABULARY, query_dims=WIDTH, state_dims=WIDTH, dims=32, ffn_dims=48, heads=2, layers=1,
        token_dims=16, first_word_id=4, **options,
    )  # fmt: skip
    reasoner = ListwiseReasoner(config)
    with torch.no_grad():
        reasoner.verdict.normal_()
    model = exported(reasoner, reasoner.input_names, ("logits",))
    check(model, library, {"ATTENTION": 3, "MATMUL": 0}, tolerance=5e-5)


def test_ngrams_are_hashed_exactly(library: NativeLibrary) -> None:
    """One wrong bucket would look up another row."""
    config = NgramConfig(
        vocabulary=VOCABULARY, max_tokens=TOKENS, dims=24, buckets=500, ffn_dims=32, query_dims=16, orders=(2, 3)
    )
    screener = NgramScreener(config, torch.randint(0, 2, (VOCABULARY,), dtype=torch.uint8))
    model = exported(screener, ("input_ids", "attention_mask"), ("query_vector", "token_states_out"))
    check(model, library, {"EMBED": 2, "RUNNING_SUM": 1, "SHIFT": 5})
