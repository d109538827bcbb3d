"""Encoders of each family on the native engine beside ONNX Runtime's int8, interleaved in one process, on one thread.

    python -m benchmarks.encoders                  all of them, at 16 tokens: minima, their ratio, cosine to fp32
    python -m benchmarks.encoders mpnet --tokens 64 --rounds 50

Each has the sizes of a published model and random weights: how long it takes does not depend on them. Its table of
words has 2,000 rows. ONNX Runtime multiplies int8 weights; on an x86-64 without VNNI these saturate, and uint8 weights,
which do not, are a second rival. Milliseconds are the thread's own, without those in which others had the core: of a
shared machine they say little, their ratios more.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.native import NativeGraph, NativeLibrary
from edgexl.base.arrays import Array
from edgexl.bundle.parameters import SCREENER_INPUTS, SCREENER_OUTPUTS
from edgexl.bundle.weights import pack_weights
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.lowering import lower_graph
from edgexl.compiler.passes.export import trace
from edgexl.compiler.recipe import GraphRecipe
from edgexl.student.architecture import Architecture
from edgexl.student.importing.static import STATIC
from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener
from edgexl.target import Int8

MAX_TOKENS, WORDS = 128, 2000


def _local(layers: int, every: int, first: int) -> tuple[int, ...]:
    return tuple(layer for layer in range(layers) if (layer + first) % every)


MODERNBERT = Architecture(
    positions="rotary", theta=160_000.0, norms="before", norm_bias=False, bias=False, gated=True, window=64,
    local_layers=_local(22, 3, 0),
)  # fmt: skip
GEMMA = Architecture(
    positions="rotary", theta=1e6, norm="rms", norms="around", embedding_norm=False, head_norms=True, bias=False,
    gated=True, activation="gelu_tanh", window=256, local_layers=_local(24, 6, 1), shared_keys=True, head_dims=256,
)  # fmt: skip
# The published model, its architecture, and its width, feed-forward, heads and layers.
ENCODERS: dict[str, tuple[str, Architecture | None, tuple[int, int, int, int]]] = {
    "bert": ("all-MiniLM-L6-v2", None, (384, 1536, 12, 6)),
    "xlm-roberta": ("paraphrase-multilingual-MiniLM-L12-v2", None, (384, 1536, 12, 12)),
    "distilbert": ("msmarco-distilbert-base", None, (768, 3072, 12, 6)),
    "mpnet": ("all-mpnet-base-v2", Architecture(relative_buckets=32), (768, 3072, 12, 12)),
    "modernbert": ("modernbert-embed-base", MODERNBERT, (768, 1152, 12, 22)),
    "static": ("potion-base-8M", STATIC, (256, 1, 1, 0)),
    "gemma3": ("embeddinggemma-300m", GEMMA, (768, 1152, 3, 24)),
}


def build(name: str) -> TransformerScreener:
    """A random encoder of a published model's sizes."""
    _, architecture, (width, ffn, heads, layers) = ENCODERS[name]
    torch.manual_seed(0)
    config = ScreenerConfig(
        vocabulary=WORDS, max_tokens=MAX_TOKENS, word_dims=width, state_dims=width, ffn_dims=ffn, heads=heads,
        layers=layers, architecture=architecture,
    )  # fmt: skip
    return TransformerScreener(config).eval()


def minima(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least milliseconds of the thread of each call, all of them taking turns."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.thread_time()
            call()
            least[name] = min(least[name], 1e3 * (time.thread_time() - began))
    return least


def compare(name: str, tokens: int, rounds: int) -> None:
    ids = torch.arange(1000, 1000 + tokens)[None]
    sample = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    model = trace(build(name), SCREENER_INPUTS, SCREENER_OUTPUTS, sample)
    feeds: dict[str, Array] = {key: value.numpy() for key, value in sample.items()}
    exact = Session(model).run(feeds)[0]
    lowered = lower_graph(quantize_graph(model, GraphRecipe("int8-token"), Int8("avx2", "int8")), MAX_TOKENS, 1)
    native = NativeGraph(NativeLibrary(), lowered.plan.pack(), pack_weights(lowered.weights))
    runners: dict[str, NativeGraph | Session] = {f"native {native.kernels}": native}
    for kind in ("int8", "uint8"):
        runners[f"ort {kind}"] = Session(quantize_graph(model, GraphRecipe("int8"), Int8("avx2", kind)))
    calls: dict[str, Callable[[], object]] = {key: partial(runner.run, feeds) for key, runner in runners.items()}
    calls[f"native {native.kernels}"] = partial(native.call, native.bind(feeds)[0])
    least = minima(calls, rounds)
    ours, *theirs = least.values()
    cosines = [float((runner.run(feeds)[0] * exact).sum()) for runner in runners.values()]
    said = [f"{key} {least[key]:.3f} ms (cosine {cosine:.4f})" for key, cosine in zip(runners, cosines, strict=True)]
    ratios = ", ".join(
        f"{ours / other:.2f} of ort {kind}" for other, kind in zip(theirs, ("int8", "uint8"), strict=True)
    )
    print(f"{name:12} {ENCODERS[name][0]:38} {', '.join(said)}: {ratios}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="*", choices=[[], *ENCODERS], default=[])
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    for name in given.encoders or ENCODERS:
        compare(name, given.tokens, given.rounds)


if __name__ == "__main__":
    main()
