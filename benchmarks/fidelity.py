"""How true a bundle is to its student, the C runtime to its Python reference, and ARM to x86-64.

    python benchmarks/fidelity.py BUNDLE STUDENT [--queries 2000] [--emulate raspberry-pi-4 --emulate raspberry-pi-5]

Three comparisons: the metrics of the bundle with the float student's, as a share kept; the runtime with the plain
numpy and ONNX Runtime pipeline on 500 queries; and, with --emulate, the runtime built for a target under qemu with this
machine's on 100 queries. Last, where the bundle's bytes go.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgexl.base.shipped import available_students
from edgexl.compiler.measure.reference import ReferencePipeline
from edgexl.device.device import Device
from edgexl.device.emulated import EmulatedDevice
from edgexl.device.local import this_machine
from edgexl.runtime.binding import open_bundle
from edgexl.runtime.build import build_runtime
from edgexl.runtime.engine import LIBRARY
from edgexl.student.student import load_student
from edgexl.target import load_target
from edgexl.use.evaluate import evaluate
from edgexl.use.inspect import inspect

K = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("student")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--emulate", action="append", default=[], metavar="TARGET")
    options = parser.parse_args()

    student = load_student(options.student)
    texts = [query.text for query in student.evaluation]
    directory = available_students().get(options.student, Path(options.student))
    print_kept(options.bundle, directory, options.queries)
    against_reference(options.bundle, ReferencePipeline.from_bundle(options.bundle, student.tokenizer), texts[:500])
    for name in options.emulate:
        against_emulated(options.bundle, name, texts[:100])
    for section, size in inspect(options.bundle)["bytes"].items():
        print(f"{section:18}{size:>12,} bytes")


def print_kept(bundle: Path, student: Path, queries: int) -> None:
    """The metrics of the bundle and of the float student, and what share the bundle keeps."""
    report = evaluate(bundle, student / "evaluation.json.gz", student=student, limit=queries)
    print(f"{report['queries']} queries, {report['labels']:,} labels")
    for metric in ("P@1", "P@5", "nDCG@5", "R@10", "R@100"):
        screened, ours, theirs = (report[system][metric] for system in ("screening", "bundle", "student"))
        share = 100 * ours / theirs if theirs else 100.0
        print(f"{metric:8} screening {screened:6.2f}  bundle {ours:6.2f}  student {theirs:6.2f}  kept {share:6.2f} %")


def against_reference(bundle: Path, reference: ReferencePipeline, texts: Sequence[str]) -> None:
    """How often the C runtime and the Python pipeline shortlist and rank alike."""
    shortlists = ranked = 0
    largest = 0.0
    with open_bundle(bundle) as handle:
        for text, answer in zip(texts, reference.answers(texts), strict=True):
            prediction = handle.predict(text, k=K)
            shortlists += np.array_equal(prediction.shortlist_labels, answer.labels)
            ranked += [label.index for label in prediction.labels] == answer.ranked[:K].tolist()
            largest = max(largest, float(np.abs(prediction.shortlist_logits - answer.logits).max()))
    print(f"C against Python, {len(texts)} queries: {shortlists} shortlists and {ranked} first {K} labels the same;")
    print(f"    largest difference of a logit {largest:.2g}")


def against_emulated(bundle: Path, name: str, texts: Sequence[str]) -> None:
    """How often a target's build under the emulator ranks as this machine's does."""
    target = load_target(name)
    assert target.emulator is not None, f"{name} has no emulator"
    with tempfile.TemporaryDirectory() as scratch:
        tools = build_runtime(target, Path(scratch) / "runtime", with_engine=True).directory
        there = answers(EmulatedDevice(target.emulator.cpu, tools, tools / LIBRARY), bundle, texts)
    here = answers(this_machine(), bundle, texts)
    same = sum(ids(a) == ids(b) for a, b in zip(here, there, strict=True))
    pairs = [
        abs(ours["probability"] - theirs["probability"])
        for a, b in zip(here, there, strict=True)
        for ours, theirs in zip(a["labels"], b["labels"], strict=True)
    ]
    print(f"{target.emulator.cpu} (emulated) against this machine, {len(texts)} queries:")
    print(f"    {same} first {K} labels the same; largest difference of a probability {max(pairs):.2g}")


def answers(device: Device, bundle: Path, texts: Sequence[str]) -> list[dict[str, Any]]:
    done = device.run("exl-run", [device.push(bundle), "-k", str(K)], stdin="".join(f"{text}\n" for text in texts))
    return [json.loads(line) for line in done.stdout.splitlines()]


def ids(answer: dict[str, Any]) -> list[str]:
    return [label["id"] for label in answer["labels"]]


if __name__ == "__main__":
    main()
