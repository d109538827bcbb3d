"""What a bundle takes as WebAssembly in Node, beside the C library on this machine: milliseconds a query, and to open.

python -m benchmarks.web BUNDLE [RUNS]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from edgexl.runtime.binding import open_bundle
from edgexl.ship.npm import ship_web
from edgexl.ship.product import open_product

_PROGRAM = """
import { readFileSync } from "node:fs";
const begin = performance.now();
const { open } = await import("./package/index.js");
const bundle = await open();
const texts = JSON.parse(readFileSync("texts.json", "utf8"));
bundle.predict(texts[0]);
const first = performance.now() - begin;
const query = (i) => bundle.predict(texts[i % texts.length]).ms;
for (let i = 0; i < 100; i++) query(i);
const before = process.cpuUsage();
const ms = Array.from({ length: +process.argv[2] }, (_, i) => query(i));
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ first, ms, cpu: (user + system) / 1e3 / ms.length }));
"""


def measure(bundle: Path, runs: int = 400) -> dict[str, Any]:
    """`web` and `native`: {median_ms, min_ms, first_ms, cpu_ms}, over the bundle's goldens in turn after 100 of them;
    `ratio` of the medians, and `cpu_ratio` of processor time, which other programs disturb less. Raises as
    `open_product` does."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        ((name, content),) = ship_web(open_product(bundle)).items()
        (folder / name).write_bytes(content)
        with tarfile.open(folder / name) as archive:
            archive.extractall(folder, filter="data")
        begin = time.perf_counter()
        with open_bundle(bundle, verify=False) as opened:
            texts = opened.golden_texts()
            opened.predict(texts[0])
            first = 1e3 * (time.perf_counter() - begin)
            for place in range(100):
                opened.predict(texts[place % len(texts)])
            begin = time.process_time()
            timed = [opened.predict(texts[place % len(texts)]).ms["total"] for place in range(runs)]
            cpu = 1e3 * (time.process_time() - begin) / runs
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        (folder / "run.mjs").write_text(_PROGRAM, encoding="utf-8")
        told = subprocess.run(["node", "run.mjs", str(runs)], cwd=folder, capture_output=True, text=True, check=True)
    web = json.loads(told.stdout)
    return {
        "web": _summary(web["ms"], web["first"], web["cpu"]),
        "native": _summary(timed, first, cpu),
        "ratio": statistics.median(web["ms"]) / statistics.median(timed),
        "cpu_ratio": web["cpu"] / cpu,
    }


def _summary(ms: list[float], first: float, cpu: float) -> dict[str, float]:
    return {"median_ms": statistics.median(ms), "min_ms": min(ms), "first_ms": first, "cpu_ms": cpu}


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), *map(int, sys.argv[2:3])), indent=1))
