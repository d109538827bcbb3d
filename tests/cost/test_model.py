"""What is fitted, what a base model does to it, how far off it says it is, and which files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.cost.model import CostModel, Sample, fit, fit_weights, load_model, save_model

ABOUT = {"unit": "ms", "device": "a device", "kernel": "neon", "fitted": "2026-01-01"}
WEIGHTS = {"linear.calls": 0.002, "linear.macs": 3e-6, "scan.bytes": 1e-5}


def samples(bundles: int, noise: float, weights: dict[str, float] = WEIGHTS, each: int = 20) -> list[Sample]:
    """Stages of bundles whose costs are the weights' but for some noise."""
    draw = np.random.default_rng(7)
    found = []
    for bundle in range(bundles):
        for _ in range(each):
            linear = {"linear.calls": float(draw.integers(1, 9)), "linear.macs": float(draw.integers(100, 90_000))}
            scan = {"scan.bytes": float(draw.integers(1000, 90_000))}
            for stage, features in (("encode", linear), ("scan", scan)):
                cost = sum(weights[name] * value for name, value in features.items())
                found.append(Sample(f"b{bundle}", stage, features, cost * float(np.exp(noise * draw.normal()))))
    return found


def test_exact_costs_give_their_weights_back() -> None:
    found = fit_weights(samples(3, 0.0))
    assert found == pytest.approx(WEIGHTS, rel=1e-6)


def test_weights_are_never_negative() -> None:
    rising = [Sample("b", "scan", {"scan.calls": 1.0, "scan.bytes": float(n)}, 10.0 - n) for n in range(1, 8)]
    assert min(fit_weights(rising).values()) >= 0


def test_few_measurements_scale_a_base_model() -> None:
    base = fit(samples(5, 0.0), ABOUT | {"unit": "instructions"})
    slower = {name: 4 * weight for name, weight in WEIGHTS.items()}
    few = [sample for sample in samples(1, 0.0, slower, each=2) if sample.of == "encode"]
    found = fit(few, ABOUT, base)
    assert found.weights == pytest.approx(slower, rel=0.01)  # that of the scan, too, which was not measured


def test_many_measurements_replace_a_base_model() -> None:
    base = fit(samples(5, 0.0), ABOUT)
    other = WEIGHTS | {"scan.bytes": 5e-5}
    found = fit(samples(8, 0.02, other, each=40), ABOUT, base)
    assert found.weights["scan.bytes"] == pytest.approx(5e-5, rel=0.05)
    assert found.weights["linear.macs"] == pytest.approx(3e-6, rel=0.05)


def test_errors_cover_what_they_say() -> None:
    model = fit(samples(10, 0.1), ABOUT)
    other = samples(40, 0.1)[400:]  # of bundles that it was not fitted on
    off = [max(sample.measured, model.predict(sample.features)) / min(sample.measured, model.predict(sample.features))
           for sample in other if sample.of == "scan"]  # fmt: skip
    covered = np.mean(np.array(off) <= 1 + model.error("scan"))
    assert 0.85 <= covered <= 0.99


def test_one_bundle_is_no_reason_for_narrow_errors() -> None:
    base = fit(samples(8, 0.2), ABOUT)
    found = fit(samples(1, 0.01), ABOUT, base)
    assert found.error("scan") > base.error("scan")


def test_an_unknown_kind_of_operation_costs_as_much_as_any() -> None:
    model = fit(samples(3, 0.0), ABOUT)
    assert model.predict({"other.macs": 10.0}) == pytest.approx(3e-5)
    assert model.predict({"linear.rows": 10.0}) == 0


def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    model = fit(samples(5, 0.05), ABOUT)
    save_model(model, tmp_path / "m.json")
    read = load_model(tmp_path / "m.json")
    assert read.weights == pytest.approx(model.weights, rel=1e-4)
    assert read.error("scan") == pytest.approx(model.error("scan"), rel=1e-3)
    assert (read.unit, read.device, read.bundles) == ("ms", "a device", 5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weight": {}}, "unknown key 'weight'; did you mean 'weights'"),
        ({"format": 2}, "calibrate again"),
        ({"unit": "hours"}, "unit"),
        ({"weights": {"scan.bytes": -1.0}}, "not negative"),
        ({"weights": {"scan.bytes": "much"}}, "must be float"),
        ({"errors": {}}, "errors"),
        ({"samples": 1e300}, "must be int"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "m.json"
    save_model(fit(samples(3, 0.0), ABOUT), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadInput, match=said):
        load_model(path)
    path.write_text("[1, 2]")
    with pytest.raises(BadInput, match="no cost model"):
        load_model(path)


def test_nothing_fits_nothing() -> None:
    with pytest.raises(BadInput, match="nothing to fit"):
        fit([], ABOUT)
    with pytest.raises(ValueError, match="weights"):
        CostModel("ms", "", "", 0, 0, {}, {"any": 0.0})
