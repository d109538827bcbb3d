"""Label texts and ids: bytes, beside plain front coding and plain symbols, and the times of a look-up and of a
search for a prefix."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.kernels import Kernels, Strings
from edgexl.bundle.strings import pack_strings


def string_figures(kernels: Kernels, parts: dict[str, Sequence[str]]) -> dict[str, Any]:
    """For each part, and in all: raw and packed bytes, their share, microseconds a look-up at a random place, and
    milliseconds to find what begins so."""
    found: dict[str, Any] = {}
    raw_bytes = packed_bytes = 0
    for name, texts in parts.items():
        raw = [text.encode() for text in texts]
        section = pack_strings(texts)
        sizes = {"raw_bytes": sum(map(len, raw)), "packed_bytes": len(section)}
        shuffled = [texts[place] for place in np.random.default_rng(0).permutation(len(texts)).tolist()]
        alternatives = {
            "front_coding_share": _front_coded_bytes(raw) / sizes["raw_bytes"],
            "symbols_share": len(pack_strings(shuffled)) / sizes["raw_bytes"],  # front coding finds nothing there
        }
        raw_bytes, packed_bytes = raw_bytes + sizes["raw_bytes"], packed_bytes + sizes["packed_bytes"]
        share = len(section) / sizes["raw_bytes"]
        strings = kernels.open_strings(section, len(texts))
        assert strings is not None
        times = {"lookup_us": _lookup_us(strings, len(texts)), "prefix_ms": _prefix_ms(strings, texts)}
        found[name] = {**sizes, "share": share, **alternatives, **times}
    return {**found, "raw_bytes": raw_bytes, "packed_bytes": packed_bytes, "share": packed_bytes / raw_bytes}


def _front_coded_bytes(raw: list[bytes]) -> int:
    """With no symbols: blocks of 16, a byte each for what is shared and what follows, offsets of 4 bytes a block."""
    total = 4 * (len(raw) // 16 + 1)
    for place, text in enumerate(raw):
        before = raw[place - 1] if place % 16 else b""
        shared = 0
        while shared < min(len(text), len(before)) and text[shared] == before[shared]:
            shared += 1
        total += 2 + len(text) - shared
    return total


def _prefix_ms(strings: Strings, texts: Sequence[str]) -> float:
    """The whole set searched for what few strings begin with, the first 9 letters of one: median of the least of 5."""
    prefixes = [text.encode()[:9] for text in texts[:: max(1, len(texts) // 10)]]
    times = [min(_seconds(partial(strings.prefix, prefix, len(texts)), 5)) for prefix in prefixes]
    return float(np.median(times)) * 1e3


def _lookup_us(strings: Strings, count: int) -> float:
    """Random places, the least of many short runs; the call's own cost (a look-up of the first string, which is read at
    once) taken off."""
    places = np.random.default_rng(0).integers(0, count, 300).tolist()

    def look_up(indices: list[int]) -> None:
        for index in indices:
            strings.get(index, strings.longest_bytes)

    least, own = (min(_seconds(partial(look_up, indices), 60)) for indices in (places, [0] * len(places)))
    return (least - own) / len(places) * 1e6


def _seconds(run: Callable[[], object], times: int) -> list[float]:
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        found.append(time.perf_counter() - begin)
    return found
