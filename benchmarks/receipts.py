"""Receipts that are made on this machine, replayed on other processors: how many are the same to the bit.

    edgexl demo -o words.exl
    python -m benchmarks.receipts words.exl dictionary [--count 1000]

The texts are the first held-out queries of the student, or the lines of a file that is named in its place. A Cortex-A53
and a Cortex-A76 are emulated by qemu and answer by exl-run, WebAssembly answers in Node by the package for the web.
Seconds are those of each whole replay.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edgexl.bundle.receipt import differences, parse_receipts, read_receipts
from edgexl.device.open_device import open_device
from edgexl.runtime.binding import open_bundle
from edgexl.ship.npm import ship_web
from edgexl.ship.product import open_product
from edgexl.student.student import load_student
from edgexl.use.replay import replay

TARGETS = {"Cortex-A53": "raspberry-pi-zero-2", "Cortex-A76": "raspberry-pi-5"}
_PROGRAM = """
import { appendFileSync, readFileSync } from "node:fs";
import { open } from "./package/index.js";
const bundle = await open();
const key = readFileSync("receipts.key");
for (const text of JSON.parse(readFileSync("texts.json", "utf8")))
  appendFileSync("web.exr", bundle.receipt(text, { key, k: 5 }).receipt);
"""


def make(bundle: Path, texts: Sequence[str], folder: Path) -> dict[str, float]:
    """Write key, texts and receipts into the folder; what a receipt takes: its bytes, and the median milliseconds of
    processor time that the same texts take without and with one, in turns."""
    key = os.urandom(32)
    (folder / "receipts.key").write_bytes(key)
    (folder / "texts.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    content, without, with_one = b"", [], []
    with open_bundle(bundle) as handle:
        for text in texts:
            handle.predict(text)
            begin = time.process_time()
            handle.predict(text)
            middle = time.process_time()
            content += handle.receipt(text, key)[0]
            without.append(1e3 * (middle - begin))
            with_one.append(1e3 * (time.process_time() - middle))
    (folder / "made.exr").write_bytes(content)
    return {
        "bytes": len(content) / len(texts),
        "predict_ms": statistics.median(without),
        "receipt_ms": statistics.median(with_one),
    }


def replay_emulated(bundle: Path, folder: Path, target: str) -> Counter[str]:
    """How many are the "same" on the emulated target, and in which stage others differ."""
    files = folder / "texts.txt", folder / "receipts.key"
    with open_device(f"emulated:{target}") as device:
        told = replay([folder / "made.exr"], bundle, *files, device)
        return Counter(one.differs[0] if one.differs else "same" for one in told)


def replay_web(bundle: Path, texts: Sequence[str], folder: Path) -> Counter[str]:
    """The same by WebAssembly in Node, which makes receipts anew."""
    ((name, content),) = ship_web(open_product(bundle)).items()
    (folder / name).write_bytes(content)
    with tarfile.open(folder / name) as archive:
        archive.extractall(folder, filter="data")
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    (folder / "run.mjs").write_text(_PROGRAM, encoding="utf-8")
    subprocess.run(["node", "run.mjs"], cwd=folder, check=True)
    made, again = read_receipts(folder / "made.exr"), list(parse_receipts((folder / "web.exr").read_bytes()))
    found = (differences(one, other) for one, other in zip(made, again, strict=True))
    return Counter(differs[0] if differs else "same" for differs in found)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("student", help="or a file of texts")
    parser.add_argument("--count", type=int, default=1000)
    given = parser.parse_args()
    texts = _texts(given.student)[: given.count]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cost = make(given.bundle, texts, folder)
        print(
            f"{len(texts):,} receipts of {cost['bytes']:,.0f} bytes; median {cost['predict_ms']:.2f} ms of processor "
            f"time a query, {cost['receipt_ms']:.2f} ms with its receipt",
            flush=True,
        )
        print("| replayed on | the same to the bit | seconds |\n|---|---|---|", flush=True)
        for name, target in TARGETS.items():
            begin = time.monotonic()
            found = replay_emulated(given.bundle, folder, target)
            print(_row(f"{name}, emulated", found, len(texts), time.monotonic() - begin), flush=True)
        begin = time.monotonic()
        print(_row("WebAssembly, Node", replay_web(given.bundle, texts, folder), len(texts), time.monotonic() - begin))


def _texts(source: str) -> list[str]:
    if Path(source).is_file():
        return Path(source).read_text(encoding="utf-8").splitlines()
    return [query.text for query in load_student(source).evaluation]


def _row(name: str, found: Counter[str], count: int, seconds: float) -> str:
    others = "".join(f", {number:,} differ in {stage}" for stage, number in found.items() if stage != "same")
    return f"| {name} | {found['same']:,} of {count:,}{others} | {seconds:.0f} |"


if __name__ == "__main__":
    main()
