"""What a bundle takes as WebAssembly in Node, beside the C library on this machine: milliseconds a query, and to open.

python -m benchmarks.web BUNDLE [ROUNDS] [--FLAG-OF-NODE ...]
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgexl.runtime.binding import open_bundle
from edgexl.ship.npm import ship_web
from edgexl.ship.product import open_product

_PROGRAM = """
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
const begin = performance.now();
const { open } = await import("./package/index.js");
const bundle = await open();
const texts = JSON.parse(readFileSync("texts.json", "utf8"));
bundle.predict(texts[0]);
console.log(performance.now() - begin);
for await (const _ of createInterface({ input: process.stdin })) {
  const before = process.cpuUsage();
  const ms = texts.map((text) => bundle.predict(text).ms);
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify([ms, (user + system) / 1e3 / texts.length]));
}
"""


def measure(bundle: Path, rounds: int = 30, flags: Sequence[str] = ()) -> dict[str, Any]:
    """`web` and `native`: {ms, cpu_ms, first_ms}: over the bundle's goldens, on both sides in turn, the mean of each
    text's least time, the least processor time of a round a text, and the first answer after opening; `ratio` and
    `cpu_ratio` of these. `flags`: of Node. Raises as `open_product` does."""
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
            native = _Side(1e3 * (time.perf_counter() - begin))
            (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
            (folder / "run.mjs").write_text(_PROGRAM, encoding="utf-8")
            command = ("node", *flags, "run.mjs")
            pipe = subprocess.PIPE
            with subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, text=True, bufsize=1) as node:
                assert node.stdin is not None
                assert node.stdout is not None
                web = _Side(float(node.stdout.readline()))
                for _ in range(rounds):
                    cpu = time.process_time()
                    ms = [opened.predict(text).ms["total"] for text in texts]
                    native.add(ms, 1e3 * (time.process_time() - cpu) / len(texts))
                    node.stdin.write("again\n")
                    web.add(*json.loads(node.stdout.readline()))
    return {
        "web": web.summary(),
        "native": native.summary(),
        "ratio": web.summary()["ms"] / native.summary()["ms"],
        "cpu_ratio": web.cpu_ms / native.cpu_ms,
    }


@dataclass
class _Side:
    first_ms: float
    least_ms: list[float] = field(default_factory=list)
    cpu_ms: float = math.inf

    def add(self, ms: list[float], cpu_ms: float) -> None:
        self.least_ms = list(map(min, ms, self.least_ms or ms))
        self.cpu_ms = min(self.cpu_ms, cpu_ms)

    def summary(self) -> dict[str, float]:
        return {"ms": sum(self.least_ms) / len(self.least_ms), "cpu_ms": self.cpu_ms, "first_ms": self.first_ms}


if __name__ == "__main__":
    given = [word for word in sys.argv[2:] if word.startswith("--")]
    rounds = next((int(word) for word in sys.argv[2:] if word not in given), 30)
    print(json.dumps(measure(Path(sys.argv[1]), rounds, given), indent=1))
