"""How well the instructions of the graphs are foretold from their plans alone, on bundles that nothing was fitted on.

    python -m benchmarks.cost_model [--work DIR] [--cpus cortex-a53 cortex-a76] [--json]

Six students of random weights and different shapes are compiled. Under qemu each answers texts of 3 to 80 tokens by an
exl-bench that counts instructions (`edgexl.device.emulated`). A cost model weighs each operation's numbers
(`features.py`) by non-negative least squares of relative errors, without one bundle, and foretells that bundle's
screener and reasoner at each length. What is counted repeats to a thousandth, so that one run is enough. Bundles and
counts stay in DIR, and are not made again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from benchmarks.cost_model.features import Features, measure_plan
from edgexl.base.fetch import cache_directory
from edgexl.bundle.layout import Kind
from edgexl.bundle.plan import Plan
from edgexl.bundle.read import Bundle, read_bundle
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import GateRecipe, load_recipe
from edgexl.data.label_set import LabelSet
from edgexl.device.open_device import open_device
from edgexl.student.contract import Shapes
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener
from edgexl.student.student import Student
from edgexl.use.profile import profile
from tests.tiny import WORDS, tiny_queries, tiny_tokenizer

VOCABULARY = 2 + 1024
LENGTHS = (3, 5, 8, 13, 20, 31, 47, 64, 80)
BOARDS = {"cortex-a53": "raspberry-pi-zero-2", "cortex-a72": "raspberry-pi-4", "cortex-a76": "raspberry-pi-5"}


@dataclass(frozen=True)
class Shape:
    """A student's sizes, and its index's."""

    tokens: int
    query_dims: int
    state_dims: int
    ffn_dims: int
    heads: int
    layers: int
    shortlist: int
    label_tokens: int
    reasoner: tuple[int, int, int, int, int]  # dims, ffn_dims, heads, layers, token_dims
    labels: int
    code_bytes: int
    overfetch: int


SHAPES = {
    "a": Shape(48, 64, 64, 128, 2, 1, 32, 4, (64, 128, 2, 1, 32), 2000, 16, 256),
    "b": Shape(48, 128, 256, 1024, 8, 2, 128, 8, (128, 256, 2, 2, 64), 6000, 32, 1024),
    "c": Shape(64, 256, 384, 1536, 12, 3, 64, 8, (96, 384, 3, 1, 32), 4000, 32, 512),
    "d": Shape(64, 192, 192, 768, 6, 2, 256, 6, (160, 320, 4, 3, 48), 8000, 24, 2048),
    "e": Shape(32, 128, 320, 640, 5, 1, 100, 5, (128, 512, 4, 2, 64), 3000, 16, 700),
    "f": Shape(80, 384, 384, 1536, 12, 4, 128, 8, (192, 384, 6, 2, 64), 5000, 48, 1024),
}


@dataclass(frozen=True)
class Sample:
    """An operation of a bundle's graph at one length: its numbers, and what it took."""

    bundle: str
    tokens: int
    graph: str
    name: str
    features: Features
    instructions: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=cache_directory() / "cost-model")
    parser.add_argument("--cpus", nargs="+", choices=sorted(BOARDS), default=["cortex-a53", "cortex-a76"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for name, shape in SHAPES.items():
        if not (options.work / f"{name}.exl").is_file():
            make_bundle(name, shape, options.work / f"{name}.exl")
    report = {cpu: judge(count(cpu, options.work)) for cpu in options.cpus}
    if options.json:
        print(json.dumps(report))
        return
    print("instructions of a graph for one text, bundle by bundle held out: error, and share of each kind of operation")
    for cpu, found in report.items():
        print(
            f"{cpu}: median {found['median']:.2%}, 90th percentile {found['p90']:.2%}, largest {found['most']:.2%} "
            f"of {found['graphs']} graphs and lengths"
        )
        for name, kind in found["kinds"].items():
            print(f"  {name:16} {kind['share']:6.1%} of all; one operation: median {kind['median']:.2%}")


def make_bundle(name: str, shape: Shape, path: Path) -> None:
    """A student of random weights over labels of three words, compiled by the shipped recipe's schemes."""
    import torch

    torch.manual_seed(ord(name))
    draw = random.Random(name)
    texts = sorted({" ".join(draw.sample(WORDS, 3)) for _ in range(shape.labels)})
    labels = LabelSet(tuple(f"id{place:05d}" for place in range(len(texts))), tuple(texts))
    dims, ffn_dims, heads, layers, token_dims = shape.reasoner
    screener = TransformerScreener(
        ScreenerConfig(
            vocabulary=VOCABULARY, max_tokens=shape.tokens, word_dims=shape.state_dims // 2,
            state_dims=shape.state_dims, ffn_dims=shape.ffn_dims, heads=shape.heads, layers=shape.layers,
            query_dims=shape.query_dims,
        )
    )  # fmt: skip
    reasoner = ListwiseReasoner(
        ReasonerConfig(
            vocabulary=VOCABULARY, query_dims=shape.query_dims, state_dims=shape.state_dims, dims=dims,
            ffn_dims=ffn_dims, heads=heads, layers=layers, token_dims=token_dims, first_word_id=4,
        )
    )  # fmt: skip
    student = Student.from_modules(
        screener=screener, reasoner=reasoner, tokenizer=tiny_tokenizer(), labels=labels,
        shapes=Shapes(
            max_tokens=shape.tokens, query_dims=shape.query_dims, state_dims=shape.state_dims,
            shortlist=shape.shortlist, label_tokens=shape.label_tokens, vocabulary=VOCABULARY,
        ),
        calibration=tiny_queries(labels, 200, 0), evaluation=tiny_queries(labels, 50, 2), provenance={},
    )  # fmt: skip
    base = load_recipe("balanced")
    index = dataclasses.replace(
        base.index, code_bytes=shape.code_bytes, overfetch=shape.overfetch, fine_dims=min(shape.query_dims, 232)
    )
    reasoning = dataclasses.replace(base.reasoner, blend="none")
    gates = GateRecipe(reasoner_gain=-100)
    compile(student, dataclasses.replace(base, gates=gates, reasoner=reasoning, index=index), "raspberry-pi-5", path)


def count(cpu: str, work: Path) -> list[Sample]:
    """What each operation of each bundle takes at each length."""
    samples = []
    with open_device(f"emulated:{BOARDS[cpu]}") as device:
        for name, shape in SHAPES.items():
            opened = read_bundle(work / f"{name}.exl")
            plans = {graph: _plan(opened, kind) for graph, kind in _GRAPHS.items()}
            for tokens in (length for length in LENGTHS if length <= shape.tokens):
                kept = work / f"{cpu}-{name}-{tokens}.json"
                if not kept.is_file():
                    (work / "text.txt").write_text(" ".join(WORDS[7 * i % len(WORDS)] for i in range(tokens - 2)))
                    told = profile(work / f"{name}.exl", work / "text.txt", runs=2, device=device, operations=True)
                    kept.write_text(json.dumps(told["operations"]))
                known = {graph: measure_plan(plan, tokens, shape.shortlist) for graph, plan in plans.items()}
                for each in json.loads(kept.read_text()):
                    kind, features = known[each["graph"]][each["number"]]
                    taken = float(each["min_instructions"])
                    samples.append(Sample(name, tokens, each["graph"], kind, features, taken))
    return samples


_GRAPHS = {"screener": Kind.SCREENER_GRAPH, "reasoner": Kind.REASONER_GRAPH}


def _plan(bundle: Bundle, kind: Kind) -> Plan:
    return Plan.unpack(bytes(bundle.section(kind)))


def fit(samples: Sequence[Sample]) -> dict[str, float]:
    """A weight for each number of one kind of operation: all at least 0, the relative error the least."""
    names = sorted({name for sample in samples for name in sample.features})
    taken = np.array([max(sample.instructions, 1.0) for sample in samples])
    numbers = np.array([[sample.features.get(name, 0.0) for name in names] for sample in samples])
    weights, _ = nnls(numbers / taken[:, None], np.ones(len(samples)))
    return dict(zip(names, weights.tolist(), strict=True))


def judge(samples: Sequence[Sample]) -> dict[str, Any]:
    """Errors on each bundle by a model of the others."""
    sums: dict[tuple[str, int, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    errors: dict[str, list[float]] = defaultdict(list)
    shares: dict[str, float] = defaultdict(float)
    for name in sorted({sample.name for sample in samples}):
        same = [sample for sample in samples if sample.name == name]
        for held_out in SHAPES:
            weights = fit([sample for sample in same if sample.bundle != held_out] or same)
            for sample in (each for each in same if each.bundle == held_out):
                foretold = sum(weights.get(key, 0.0) * value for key, value in sample.features.items())
                sums[sample.bundle, sample.tokens, sample.graph][0] += foretold
                sums[sample.bundle, sample.tokens, sample.graph][1] += sample.instructions
                errors[name].append(abs(foretold / max(sample.instructions, 1.0) - 1))
                shares[name] += sample.instructions
    found = np.array([abs(foretold / taken - 1) for foretold, taken in sums.values()])
    whole = sum(shares.values())
    largest = sorted(shares, key=lambda name: -shares[name])[:8]
    return {
        "graphs": len(found),
        "median": float(np.median(found)),
        "p90": float(np.quantile(found, 0.9)),
        "most": float(found.max()),
        "kinds": {name: {"share": shares[name] / whole, "median": float(np.median(errors[name]))} for name in largest},
    }


if __name__ == "__main__":
    main()
