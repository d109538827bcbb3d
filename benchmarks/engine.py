"""The native engine beside ONNX Runtime, interleaved in one process; minima of many short runs, on one thread.

    python -m benchmarks.engine minilm                       MiniLM-L6 at 16 tokens: times, speed, share of the core's
                                                             measured int8 peak (vpdpbusd), cosine to fp32
    python -m benchmarks.engine bundles NATIVE.exl ORT.exl   whole queries of two bundles, stage by stage
    python -m benchmarks.engine instructions                 MiniLM-L6 on emulated Cortex-A76 and A72, and beside
                                                             ONNX Runtime on an x86-64 without VNNI (qemu-user)
    python -m benchmarks.engine sizes                        the stripped library for x86-64 and AArch64, what it needs

Times of a shared machine say little; their ratios say more. The emulator counts instructions, to a few in a million.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.native import NativeGraph, NativeLibrary
from edgexl.bundle.weights import pack_weights
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.lowering import Lowered, lower_graph
from edgexl.compiler.passes.export import trace
from edgexl.compiler.recipe import GraphRecipe, Scheme
from edgexl.runtime.binding import open_bundle
from edgexl.student.importer import import_sentence_transformer
from edgexl.target import Int8

TOKENS, MAX_TOKENS = 16, 128
MULTIPLICATIONS = 6 * TOKENS * (4 * 384 * 384 + 2 * 384 * 1536)
TEXTS = (
    "a small house for a dog", "the capital of France", "pain in the lower back after lifting", "to run very fast",
    "a machine that washes dishes", "fear of open spaces", "the study of the stars", "a person who repairs shoes",
)  # fmt: skip
RUNTIME = Path(__file__).parents[1] / "edgexl" / "runtime"
# What a core can do at most: 24 independent sums, nothing read or written.
PEAK = """
#include <immintrin.h>
__attribute__((target("avx512f,avx512vnni"), noinline)) int peak(int rounds) {
    __m512i sums[24], a = _mm512_set1_epi32(rounds), b = _mm512_set1_epi32(3), all = _mm512_setzero_si512();
    for (int i = 0; i < 24; i++)
        sums[i] = _mm512_setzero_si512();
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < 24; i++) {
            sums[i] = _mm512_dpbusd_epi32(sums[i], a, b);
            __asm__("" : "+v"(sums[i]));
        }
    for (int i = 0; i < 24; i++)
        all = _mm512_add_epi32(all, sums[i]);
    return _mm512_reduce_add_epi32(all);
}
"""
PEAK_ROUNDS = 20_000


def minilm() -> tuple[bytes, list[dict[str, np.ndarray]]]:
    """The float graph of MiniLM-L6, and its inputs for some sentences."""
    encoder = import_sentence_transformer("all-MiniLM-L6-v2")
    ids = torch.arange(1000, 1007)[None]
    sample = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    model = trace(encoder.screener, tuple(sample), ("query_vector", "token_states"), sample)
    tokens = [np.array([encoder.tokenizer.encode(text).ids], np.int64) for text in TEXTS]
    return model, [{"input_ids": array, "attention_mask": np.ones_like(array)} for array in tokens]


def lower(model: bytes, scheme: Scheme) -> tuple[Lowered, bytes]:
    """The plan of a model under a scheme, and what ONNX Runtime would run."""
    quantised = quantize_graph(model, GraphRecipe(scheme), Int8("avx512_vnni", "int8"))
    return lower_graph(quantised, MAX_TOKENS, 1), quantised


def minima(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least milliseconds of each call, all of them taking turns."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            least[name] = min(least[name], 1e3 * (time.perf_counter() - began))
    return least


def peak_call(folder: Path) -> Callable[[], object]:
    """PEAK_ROUNDS x 24 instructions of 64 multiplications each; only for a CPU that has them."""
    (folder / "peak.c").write_text(PEAK)
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "peak.c", "-o", "peak.so"], cwd=folder, check=True)
    function = ctypes.CDLL(str(folder / "peak.so")).peak
    return lambda: function(PEAK_ROUNDS)


def compare_minilm(rounds: int) -> None:
    model, sentences = minilm()
    plan, _ = lower(model, "int8-token")
    rivals: tuple[tuple[str, Scheme], ...] = (("ort int8", "int8"), ("ort int8-weights", "int8-weights"))
    sessions = {name: Session(lower(model, scheme)[1]) for name, scheme in rivals}
    ids = np.arange(1000, 1000 + TOKENS)[None]
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    exact = [Session(model).run(sentence)[0] for sentence in sentences]
    with tempfile.TemporaryDirectory() as folder:
        library = NativeLibrary()
        packed = plan.plan.pack(), pack_weights(plan.weights)
        graphs = {name: NativeGraph(library, *packed, name) for name in library.kernels if name != "scalar"}
        calls: dict[str, Callable[[], object]] = {
            name: partial(graph.call, graph.bind(feeds)[0]) for name, graph in graphs.items()
        }
        calls |= {name: partial(session.run, feeds) for name, session in sessions.items()}
        if "avx512-vnni" in graphs:
            calls["peak"] = peak_call(Path(folder))
        least = minima(calls, rounds)
    peak = PEAK_ROUNDS * 24 * 64 / least.pop("peak") if "peak" in least else None
    if peak is not None:
        share = MULTIPLICATIONS / least["avx512-vnni"] / peak
        print(f"vpdpbusd's peak {peak / 1e6:.0f} GMAC/s; avx512-vnni reaches {100 * share:.0f} % of it, all told")
    runners: dict[str, NativeGraph | Session] = {**graphs, **sessions}
    for name, milliseconds in least.items():
        found = [runners[name].run(sentence)[0] for sentence in sentences]
        cosines = [
            float((left * right).sum() / np.linalg.norm(left) / np.linalg.norm(right))
            for left, right in zip(found, exact, strict=True)
        ]
        print(
            f"{name:18} {milliseconds:7.3f} ms  {MULTIPLICATIONS / milliseconds / 1e6:6.0f} GMAC/s"
            f"  {milliseconds / least['ort int8']:5.2f} of ort int8  {milliseconds / least['ort int8-weights']:5.2f} of"
            f" ort int8-weights  mean cosine to fp32 {statistics.mean(cosines):.5f}"
        )


def compare_bundles(native: Path, ort: Path, rounds: int) -> None:
    handles = {"native": open_bundle(native), "ort": open_bundle(ort)}
    for name, handle in handles.items():
        assert handle.info.engine == name, f"{name}: the bundle is made for {handle.info.engine}"
    least: dict[str, dict[str, float]] = {name: {} for name in handles}
    for place in range(rounds):
        for name, handle in handles.items():
            for stage, milliseconds in handle.predict(TEXTS[place % len(TEXTS)]).ms.items():
                least[name][stage] = min(least[name].get(stage, float("inf")), milliseconds)
    for stage in least["native"]:
        ours, theirs = least["native"][stage], least["ort"][stage]
        print(
            f"{stage:10} native {ours:6.3f} ms ({100 * ours / least['native']['total']:3.0f} %)  ort {theirs:6.3f} ms"
        )
    print(f"total: {least['native']['total'] / least['ort']['total']:.2f} of ort")


# ONNX Runtime alone, on as many runs as it is told.
ORT_PROGRAM = """
import sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession("ort.onnx", options, providers=["CPUExecutionProvider"])
ids = numpy.arange(1000, 1000 + int(sys.argv[1]))[None]
for _ in range(int(sys.argv[2])):
    session.run(None, {"input_ids": ids, "attention_mask": numpy.ones_like(ids)})
"""
EMULATED = (
    ("aarch64", "cortex-a76", "neon-dot"), ("aarch64", "cortex-a72", "neon"), ("aarch64", "max,sme=off", "neon-i8mm"),
    ("x86_64", "max", "avx2"),
)  # fmt: skip


def count_instructions() -> None:
    """By the plugin of the index's benchmark, On x86-64, qemu's CPU has AVX2
    but neither VNNI nor AVX-512: there ONNX Runtime's dynamic int8 runs on it as well, with its VNNI off."""
    model = minilm()[0]
    plan, _ = lower(model, "int8-token")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "plan").write_bytes(plan.plan.pack())
        (place / "weights").write_bytes(pack_weights(plan.weights))
        (place / "ort.onnx").write_bytes(lower(model, "int8")[1])
        plugin = str(RUNTIME / "counting" / "plugin.c")
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", plugin, "-o", str(place / "count.so")], check=True)
        for machine, compiler in (("aarch64", "aarch64-linux-gnu-gcc"), ("x86_64", "gcc")):
            build_program(compiler, place / machine)
        for machine, cpu, kernels in EMULATED:
            words = [f"./{machine}", "plan", "weights", str(TOKENS), str(MAX_TOKENS), "384", "384"]
            count, said = per_run(place, machine, cpu, words, [kernels])
            print(f"{cpu:11} {kernels:9} {count / 1e6:.1f} M instructions a run, {said}")
        ort = [sys.executable, "-c", ORT_PROGRAM, str(TOKENS)]
        count, _ = per_run(place, "x86_64", "max", ort, [], most=51)  # Python varies
        print(f"{'max':11} ort int8  {count / 1e6:.1f} M instructions a run")


def build_program(compiler: str, program: Path) -> None:
    """engine_program.c and the runtime."""
    sources = [str(path) for path in sorted((RUNTIME / "src").glob("*.c"))]
    flags = ["-std=c11", "-O3", "-ffp-contract=off", f"-I{RUNTIME / 'include'}", f"-I{RUNTIME / 'src'}"]
    source = str(Path(__file__).with_name("engine_program.c"))
    subprocess.run([compiler, *flags, source, *sources, "-o", str(program), "-lm", "-ldl", "-pthread"], check=True)


def per_run(
    place: Path, machine: str, cpu: str, before: list[str], after: list[str], most: int = 3
) -> tuple[float, str]:
    """Instructions of one run of a program, as the difference of `most` runs and one, and what it said.

    Its command line is `before`, the number of runs, `after`."""
    emulator = [f"qemu-{machine}", "-cpu", cpu, "-plugin", "./count.so"]
    if machine == "aarch64":
        emulator += ["-L", "/usr/aarch64-linux-gnu"]
    counts, said = [], ""
    for runs in (1, most):
        done = subprocess.run(
            [*emulator, *before, str(runs), *after], cwd=place, capture_output=True, text=True, check=True
        )
        counts.append(int(done.stderr.split()[-1]))
        said = done.stdout.strip()
    return (counts[1] - counts[0]) / (most - 1), said


def print_sizes() -> None:
    """Of the library as cmake builds a release, stripped, and the libraries that it needs."""
    for machine, tools in (("x86_64", ""), ("aarch64", "aarch64-linux-gnu-")):
        with tempfile.TemporaryDirectory() as folder:
            system = ["-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={machine}"] if tools else []
            compiler = f"-DCMAKE_C_COMPILER={tools}gcc"
            subprocess.run(
                ["cmake", "-S", str(RUNTIME), "-B", folder, compiler, *system], check=True, stdout=subprocess.DEVNULL
            )
            build = ["cmake", "--build", folder, "--target", "edgexl"]
            subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
            library = Path(folder) / "libedgexl.so"
            subprocess.run([f"{tools}strip", library], check=True)
            command = [f"{tools}readelf", "-d", str(library)]
            facts = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            needed = [line.split("[")[1].rstrip("]") for line in facts.splitlines() if "(NEEDED)" in line]
            print(f"{machine:8} {library.stat().st_size:,} bytes, needs {', '.join(needed)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["minilm", "bundles", "instructions", "sizes"])
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=300)
    given = parser.parse_args()
    if given.what == "minilm":
        compare_minilm(given.rounds)
    elif given.what == "instructions":
        count_instructions()
    elif given.what == "sizes":
        print_sizes()
    elif len(given.bundles) == 2:
        compare_bundles(given.bundles[0], given.bundles[1], given.rounds)
    else:
        parser.error("bundles: name a bundle for the native engine and one for ort")


if __name__ == "__main__":
    main()
