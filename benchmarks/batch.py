"""What a bundle takes when it answers several texts together, beside one at a time: processor time a text, on one core.

    python -m benchmarks.batch BUNDLE [OTHER] [--rounds 20]

The goldens in turns, each way once a round; least times. OTHER: a second bundle, as of the same student for ONNX
Runtime, which answers one at a time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from edgexl.runtime.binding import BundleHandle, open_bundle

TOGETHER = (1, 4, 8, 32)


def measure(bundle: Path, other: Path | None = None, rounds: int = 20) -> dict[str, float]:
    """`one`, `together_N` and `other`: ms of processor time a text; `ratio_N`: of `one`; `ratio_other`: the best of
    these to `other`."""
    with ExitStack() as stack:
        handle = stack.enter_context(open_bundle(bundle, verify=False))
        texts = handle.golden_texts()
        ways = {f"together_{count}": _answer_by(handle, texts, count) for count in TOGETHER}
        if other:
            ways["other"] = _answer_by(stack.enter_context(open_bundle(other, verify=False)), texts, 1)
        least = dict.fromkeys(ways, float("inf"))
        for _ in range(rounds):
            for name, answer in ways.items():
                begin = time.process_time()
                answer()
                least[name] = min(least[name], 1e3 * (time.process_time() - begin) / len(texts))
    least["one"] = least.pop("together_1")
    found = {**least, **{f"ratio_{count}": least[f"together_{count}"] / least["one"] for count in TOGETHER[1:]}}
    if other:
        found["ratio_other"] = min(found[f"together_{count}"] for count in TOGETHER[1:]) / found["other"]
    return found


def _answer_by(handle: BundleHandle, texts: list[str], together: int) -> Callable[[], object]:
    return lambda: handle.predict_batch(texts, together=together)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("other", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=20)
    words = parser.parse_args()
    print(json.dumps(measure(words.bundle, words.other, words.rounds), indent=1))
