"""When an answer reproduces a golden, and what a calibration may be."""

from __future__ import annotations

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.calibration import Calibration, log_softmax
from edgexl.bundle.goldens import Golden, Goldens, compare

GOLDEN = Golden("text", (1, 2), (7, 3, 9), (0.5, 0.305, 0.3))


@pytest.mark.parametrize(
    ("labels", "probabilities", "passes"),
    [
        ([7, 3, 9], [0.5, 0.305, 0.3], True),
        ([7, 3, 9, 4], [0.509, 0.296, 0.3, 0.1], True),  # within the tolerance
        ([7, 9, 3], [0.5, 0.302, 0.301], True),  # nearly equal labels change places
        ([3, 7, 9], [0.5, 0.49, 0.3], False),  # unequal ones do not
        ([7, 3, 8], [0.5, 0.305, 0.3], False),
        ([7, 3, 9], [0.52, 0.305, 0.3], False),
    ],
)
def test_comparison(labels: list[int], probabilities: list[float], passes: bool) -> None:
    assert compare(GOLDEN, labels, probabilities, tolerance=0.01) == passes


def test_goldens_come_back_and_cuts_are_noticed() -> None:
    goldens = Goldens(3, 0.5, (GOLDEN, Golden("größer", (5,), (1, 2, 3), (1.0, 0.5, 0.25))))
    section = goldens.pack()
    back = Goldens.unpack(section)
    assert [item.text for item in back.items] == ["text", "größer"]
    assert [item.labels for item in back.items] == [(7, 3, 9), (1, 2, 3)]
    np.testing.assert_allclose(back.items[0].probabilities, GOLDEN.probabilities, rtol=1e-6)
    for end in range(len(section)):
        with pytest.raises(BadInput, match="goldens"):
            Goldens.unpack(section[:end])


@pytest.mark.parametrize(
    ("x", "p", "threshold"),
    [
        ((0.0,), (0.5,), 0.5),
        ((0.0, 0.0), (0.1, 0.2), 0.5),
        ((1.0, 0.0), (0.1, 0.2), 0.5),
        ((0.0, float("nan")), (0.1, 0.2), 0.5),
        ((0.0, 1.0), (0.2, 0.1), 0.5),
        ((0.0, 1.0), (0.2, 1.1), 0.5),
        ((0.0, 1.0), (0.2, 0.3), 1.5),
        ((0.0, 1.0), (0.2, 0.3), float("nan")),
        ((0.0, 1.0, 2.0), (0.2, 0.3), 0.5),
    ],
)
def test_calibrations_that_are_none(x: tuple[float, ...], p: tuple[float, ...], threshold: float) -> None:
    with pytest.raises(BadInput):
        Calibration(bytes(32), "logit", threshold, x, p)


def test_calibrations_come_back_and_interpolate() -> None:
    calibration = Calibration(bytes(range(32)), "log_softmax", 0.25, (-2.0, -1.0, 0.0), (0.0, 0.5, 0.75))
    assert Calibration.unpack(calibration.pack()) == calibration
    logits = np.array([2.0, 2.0 + np.log(3.0), -50.0], np.float32)
    np.testing.assert_allclose(np.exp(log_softmax(logits)), [0.25, 0.75, 0.0], atol=1e-6)
    np.testing.assert_allclose(calibration.probabilities(logits), [0.3068, 0.6781, 0.0], atol=1e-3)
    with_none = np.array([0.0, np.log(2.0), -50.0], np.float32)
    np.testing.assert_allclose(np.exp(log_softmax(with_none, or_none=True)), [0.25, 0.5, 0.0], atol=1e-6)
    with pytest.raises(BadInput, match="calibration"):
        Calibration.unpack(calibration.pack()[:-1])
