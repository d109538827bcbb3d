"""How fast a bundle answers on this machine, beside the float student in PyTorch with exact search, in the same run.

    python benchmarks/latency.py BUNDLE STUDENT [--queries 200] [--json]

One query at a time, one thread each, the two systems in turn, so that whatever else the machine does falls on both
alike: 20 queries each, since an exact search drives everything else out of the CPU's caches. Medians. Then, in
processes of their own: from opening the bundle to the first answer (median of seven, the files in the page cache), and
the resident memory of exl-run after 1,000 queries.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from edgexl.device.local import LocalDevice, this_machine
from edgexl.predict.float_student import StudentPredictor
from edgexl.runtime.binding import open_bundle
from edgexl.student.student import load_student

# what this project wants of its reference student on a two-core x86-64 server
WANTED = {"ratio": 10.0, "first_answer_ms": 60.0, "resident_mb": 90.0}
BLOCK = 20
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("student")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    if not ONE_THREAD.items() <= os.environ.items():
        # numpy and torch read these once, when they are imported: begin again with them
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    torch.set_num_threads(1)
    student = load_student(options.student)
    texts = [query.text for query in student.evaluation]
    report: dict[str, Any] = compare(options.bundle, StudentPredictor(student), texts[: options.queries])
    device = this_machine()
    report["device"] = device.facts().cpu
    report["first_answer_ms"] = first_answer_ms(device, options.bundle)
    report |= resident(device, options.bundle, (texts * 1000)[:1000])
    if options.json:
        print(json.dumps(report))
        return
    show(report)


def compare(bundle: Path, predictor: StudentPredictor, texts: Sequence[str]) -> dict[str, Any]:
    """Median ms a stage of both systems over the same texts, block by block in turn."""
    measured: dict[str, dict[str, list[float]]] = {"bundle_ms": defaultdict(list), "student_ms": defaultdict(list)}
    with open_bundle(bundle) as handle:
        kernel = handle.info.kernel
        systems: dict[str, Callable[[str], dict[str, float]]] = {
            "bundle_ms": lambda text: handle.predict(text).ms,
            "student_ms": lambda text: student_stages_ms(predictor, text),
        }
        for start in range(0, len(texts), BLOCK):
            for name, answer in systems.items():
                answer(texts[start])
                for text in texts[start : start + BLOCK]:
                    for stage, ms in answer(text).items():
                        measured[name][stage].append(ms)
    medians = {
        name: {stage: statistics.median(ms) for stage, ms in stages.items()} for name, stages in measured.items()
    }
    return {
        "queries": len(texts),
        "labels": len(predictor.student.labels),
        "kernel": kernel,
        **medians,
        "ratio": medians["student_ms"]["total"] / medians["bundle_ms"]["total"],
    }


def student_stages_ms(predictor: StudentPredictor, text: str) -> dict[str, float]:
    """The float student's stages for one text; the encoding includes tokenization."""
    began = time.perf_counter()
    encoded = predictor.encode([text])
    seen = time.perf_counter()
    screened = predictor.screen(encoded.query_vector, predictor.student.shapes.shortlist)
    searched = time.perf_counter()
    predictor.reason(encoded, screened)[0].argsort(descending=True, stable=True)
    ended = time.perf_counter()
    moments = {"encode": seen - began, "search": searched - seen, "reason": ended - searched, "total": ended - began}
    return {stage: 1e3 * seconds for stage, seconds in moments.items()}


def first_answer_ms(device: LocalDevice, bundle: Path) -> float:
    """Median of seven processes: from opening the bundle to its first answer."""
    runs = [device.run("exl-bench", [str(bundle), "--runs", "1", "--warmup", "0"]) for _ in range(7)]
    return statistics.median(float(json.loads(run.stdout)["first_ms"]) for run in runs)


def resident(device: LocalDevice, bundle: Path, texts: Sequence[str]) -> dict[str, float]:
    """Megabytes (10^6) that exl-run holds after answering `texts`: all of it, and what is not mapped from files."""
    environment = {**os.environ, "EDGEXL_ORT_LIBRARY": str(device.engine_library)}
    command = [str(device.tools / "exl-run"), str(bundle), "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, text=True, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in texts:
            process.stdin.write(text + "\n")
            process.stdin.flush()
            process.stdout.readline()
        status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        process.stdin.close()
        process.stdout.read()
    lines = {line.split(":")[0]: line.split()[1] for line in status if line.startswith(("VmRSS", "RssAnon"))}
    return {"resident_mb": int(lines["VmRSS"]) * 1024 / 1e6, "anonymous_mb": int(lines["RssAnon"]) * 1024 / 1e6}


def show(report: dict[str, Any]) -> None:
    print(f"{report['device']}, kernel {report['kernel']}, {report['labels']:,} labels, {report['queries']} queries")
    for system in ("bundle_ms", "student_ms"):
        print(f"{system[:-3]:8}", "  ".join(f"{stage} {ms:.3f}" for stage, ms in report[system].items()), "ms (median)")
    found = {
        "ratio": f"the bundle is {report['ratio']:.1f} times as fast as PyTorch with exact search",
        "first_answer_ms": f"open to first answer {report['first_answer_ms']:.1f} ms",
        "resident_mb": f"resident after 1,000 queries {report['resident_mb']:.1f} MB "
        f"({report['anonymous_mb']:.1f} MB of it anonymous)",
    }
    for name, sentence in found.items():
        relation = "at least" if name == "ratio" else "at most"
        print(f"{sentence}; wanted {relation} {WANTED[name]:g}")


if __name__ == "__main__":
    main()
