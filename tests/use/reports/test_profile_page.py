"""The page of a profile: of all that one may have, and of what one has at least."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgexl.use.profile import profile
from edgexl.use.reports.profile_page import make_profile_page, write_profile_report
from tests.command_line import Tiny
from tests.report.look import look
from tests.use.reports.measured import STAGES, whole_profile


def test_all_that_a_profile_has_is_shown(chromium: str, axe: str, tmp_path: Path) -> None:
    report = whole_profile()
    text = look(chromium, axe, make_profile_page(report, command="edgexl profile a.exl --sweep"), tmp_path)
    total = report["total"]["p50_ms"]
    medians = sum(times["p50_ms"] for times in report["stages"].values())
    for words in (
        f"{total:.3g} ms", "ssh://pi@till", "neon kernels", "The machine was busy: repeated runs differ by 9.1%.",
        "38.2 MB", "4.2 mJ", "61 ms without page cache", f"{medians / total:.0%} of the median", *STAGES,
        "1 of them took longer than the axis reaches, up to 40 ms", "The 12 operations that take longest",
        "linear_int8", "the device's limit", "1,671", "4 sessions", "Temperature", "2.17 ms (+11.3%)",
        "MiniLM, faiss and a cross-encoder", "105.0 times as long", "rerank", "Cortex-A76", "38.4",
        "Threads that share one query's scan", "All 18 operations", "edgexl profile a.exl --sweep",
    ):  # fmt: skip
        assert words in text, words
    warm = make_profile_page({**report, "cold": {"first_ms": 9.0, "load_ms": 3.0, "cached_percent": 100.0}})
    assert "without page cache" not in warm
    assert "The system kept 100% of the file cached" in warm
    # most of a query's time is in what takes longest
    rows = re.findall(r"^(\w+)\t[\d.]+\t([\d.]+)\t[\d.]+\t[\d.]+\t([\d.]+)%$", text, re.MULTILINE)
    assert [name for name, *_ in rows] == list(STAGES)
    for name, median, share in rows:
        assert float(median) == pytest.approx(report["stages"][name]["p50_ms"], abs=6e-5)
        assert float(share) == pytest.approx(100 * report["stages"][name]["p50_ms"] / medians, abs=0.06)


def test_a_real_profile_leaves_out_what_it_does_not_have(tiny: Tiny, tmp_path: Path) -> None:
    report = profile(tiny.bundle, runs=20)
    least = {
        key: report[key]
        for key in (
            "device", "timed", "engine", "threads", "runs", "stages", "total", "load_ms", "first_ms",
            "peak_resident_bytes", "mapped_bytes",
        )
    }  # fmt: skip
    write_profile_report(least, tmp_path / "out.html", tiny.bundle, "edgexl profile tiny.exl")
    text = (tmp_path / "out.html").read_text()
    for words in ("Where the time goes", "Memory and the first answer", "How to reproduce this", "tiny.exl on host"):
        assert words in text
    for words in ("Operations", "Sessions", "A long run", "one would use instead", 'class="notice"'):
        assert words not in text
    emulated = make_profile_page({**least, "timed": False})
    assert "emulated: its times say nothing" in emulated
