"""The load on a server, for a few seconds: every client gets its answers, and the figures are told."""

from __future__ import annotations

from pathlib import Path

from benchmarks.serve import measure
from tests.runtime.tiny_bundle import build


def test_several_clients_get_their_answers(tmp_path: Path) -> None:
    found = measure(build(native=True).write(tmp_path / "small.exl"), clients=12, threads=8, seconds=2)
    assert (found["errors"], found["first_error"]) == (0, "")
    assert found["answers"] > 12
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["max_ms"]
    assert 0 < found["anonymous_mb_end"] < found["resident_mb_end"]
