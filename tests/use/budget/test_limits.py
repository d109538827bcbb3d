"""What is asked: read, refused, and judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.target import load_target
from edgexl.use.budget.figures import Figures
from edgexl.use.budget.limits import Limits, read_bytes

FOUND = Figures(40.0, 80.0, 25_000_000, 30_000_000, {"encode": 1.0}, 2.0)


@pytest.mark.parametrize(
    ("text", "size"),
    [("30MB", 30_000_000), ("1.5 GiB", 3 << 29), ("512KiB", 512 << 10), ("25_000_000", 25_000_000), ("7b", 7)],
)
def test_bytes_are_read_with_their_unit(text: str, size: int) -> None:
    assert read_bytes(text, "--max-size") == size


@pytest.mark.parametrize("text", ["", "MB", "-3MB", "30 parsecs", "nan", "1e9"])
def test_what_is_no_size_is_refused_by_the_option(text: str) -> None:
    with pytest.raises(BadInput, match="--max-memory is"):
        read_bytes(text, "--max-memory")


def test_each_limit_is_missed_by_itself() -> None:
    assert Limits(2.0, 30_000_000, 25_000_000, 80.0).missed(FOUND) == ()
    assert Limits(ms=1.9).missed(FOUND) == ("ms",)
    assert Limits(memory_bytes=29_999_999, size_bytes=24_999_999).missed(FOUND) == ("memory_bytes", "size_bytes")
    assert Limits(recall=80.1).missed(FOUND) == ("recall",)
    assert Limits().are_met(FOUND)


def test_a_recall_that_nobody_measured_keeps_no_limit() -> None:
    assert not Limits(recall=1.0).are_met(Figures(None, None, 1, 1, {}, 1.0))


@pytest.mark.parametrize("limits", [{"ms": 0.0}, {"ms": float("nan")}, {"size_bytes": 0}, {"recall": 101.0}])
def test_limits_that_mean_nothing_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=r"--m\S+ is "):
        Limits(**limits)  # type: ignore[arg-type]


def test_a_targets_usual_budget_fills_what_is_not_said() -> None:
    usual = Limits(size_bytes=9_000_000).or_usual(load_target(Path("android-arm64")))
    assert usual == Limits(ms=100, size_bytes=9_000_000)
