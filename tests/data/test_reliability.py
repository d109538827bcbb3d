"""Intervals of shares."""

from __future__ import annotations

import pytest

from edgexl.data.reliability import wilson


def test_an_interval_is_wilsons() -> None:
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611252), abs=1e-6)
