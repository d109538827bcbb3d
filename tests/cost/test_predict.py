"""What a bundle is predicted to take: on this machine against what it takes, and on boards that are not there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.plan import Plan
from edgexl.bundle.read import read_bundle
from edgexl.cost.find import find_model, user_path
from edgexl.cost.memory import Range
from edgexl.cost.model import save_model
from edgexl.cost.operations import measure_plan, name_operation
from edgexl.cost.predict import UNMEASURED, predict_bundle
from edgexl.cost.stages import STAGES, measure_stages, read_anatomy
from edgexl.target import Cluster, load_target
from edgexl.use.profile import profile
from tests.command_line import Tiny

BOARDS = ("raspberry-pi-zero-2", "raspberry-pi-4", "raspberry-pi-5")


@pytest.fixture(autouse=True)
def no_user_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_board_is_predicted_and_never_called_measured(tiny: Tiny) -> None:
    bundle = read_bundle(tiny.bundle)
    totals = []
    for name in BOARDS:
        found = predict_bundle(bundle, load_target(name))
        assert found.said.startswith(UNMEASURED)
        assert found.instructions is not None
        assert set(found.stages) == set(STAGES)
        assert 0 < found.total.low < found.total.middle < found.total.high
        parts = sum(stage.middle for stage in found.stages.values())
        assert parts == pytest.approx(found.total.middle, rel=1e-9)
        totals.append(found.total.middle)
    assert totals == sorted(totals, reverse=True)  # each board is faster than the one before it


def test_longer_texts_take_longer(tiny: Tiny) -> None:
    bundle = read_bundle(tiny.bundle)
    target = load_target("raspberry-pi-4")
    short, long = (predict_bundle(bundle, target, [tokens]) for tokens in (4, 16))
    assert long.stages["encode"].middle > 1.5 * short.stages["encode"].middle
    assert long.stages["scan"].middle == short.stages["scan"].middle
    middle = predict_bundle(bundle, target, [4, 16, 4])
    assert middle.total.middle == pytest.approx(short.total.middle)
    beyond = predict_bundle(bundle, target, [400])  # the bundle reads 16
    assert beyond.total.middle == pytest.approx(long.total.middle)


def test_a_faster_clock_is_a_shorter_time(tiny: Tiny) -> None:
    target = load_target("raspberry-pi-4")
    clusters = (dataclasses.replace(target.hardware.clusters[0], mhz=3000),)
    fast = dataclasses.replace(target, hardware=dataclasses.replace(target.hardware, clusters=clusters))
    bundle = read_bundle(tiny.bundle)
    assert predict_bundle(bundle, fast).total.middle == pytest.approx(
        predict_bundle(bundle, target).total.middle * 1500 / 3000
    )


def test_a_core_that_nobody_knows_has_a_wide_range(tiny: Tiny) -> None:
    target = load_target("raspberry-pi-4")
    odd = dataclasses.replace(target, costs="", hardware=dataclasses.replace(target.hardware, clusters=()))
    known, unknown = (predict_bundle(read_bundle(tiny.bundle), each).total for each in (target, odd))
    assert unknown.high / unknown.low > 2 * known.high / known.low
    other = dataclasses.replace(target.hardware, clusters=(Cluster("Strange", 4, 1500),))
    predict_bundle(read_bundle(tiny.bundle), dataclasses.replace(target, hardware=other))


def test_memory_is_what_exl_bench_finds(tiny: Tiny) -> None:
    measured = profile(tiny.bundle, runs=20)["peak_resident_bytes"]
    found = predict_bundle(read_bundle(tiny.bundle), load_target("host")).memory_bytes
    assert found.low <= measured <= found.high
    assert found.high < 2 * found.low


def test_all_operations_have_numbers(tiny: Tiny) -> None:
    anatomy = read_anatomy(read_bundle(tiny.bundle))
    for plan in (anatomy.screener, anatomy.reasoner):
        assert isinstance(plan, Plan)
        for operation, (name, features) in zip(plan.operations, measure_plan(plan, 9, 16), strict=True):
            assert name == name_operation(operation)
            assert features
            assert all(number.startswith(f"{name}.") for number in features)
    stages = measure_stages(anatomy, 9)
    linear = sum(value for name, value in stages["encode"].items() if name == "linear_int8.calls")
    assert linear == sum(name_operation(each) == "linear_int8" for each in anatomy.screener.operations)


def test_what_the_user_calibrated_comes_first(tiny: Tiny, tmp_path: Path) -> None:
    target = load_target("raspberry-pi-4")
    model = dataclasses.replace(find_model(target).model, unit="ms", device="my board")
    user_path(target).parent.mkdir(parents=True)
    save_model(model, user_path(target))
    assert predict_bundle(read_bundle(tiny.bundle), target).said.startswith("fitted on my board")


def test_a_target_names_its_model(tiny: Tiny, tmp_path: Path) -> None:
    text = Path("targets/raspberry-pi-4.toml").read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text(text.replace('costs = "cortex-a72"', 'costs = "mine.json"'))
    with pytest.raises(BadInput, match="not there; calibrate"):
        predict_bundle(read_bundle(tiny.bundle), load_target(mine))
    save_model(dataclasses.replace(find_model(load_target("raspberry-pi-4")).model, unit="ms"), tmp_path / "mine.json")
    assert UNMEASURED not in predict_bundle(read_bundle(tiny.bundle), load_target(mine)).said
    mine.write_text(text.replace('costs = "cortex-a72"', 'costs = "cortex-a27"'))
    with pytest.raises(BadInput, match="did you mean 'cortex-a7"):
        predict_bundle(read_bundle(tiny.bundle), load_target(mine))


def test_ranges_multiply() -> None:
    assert Range(1, 2, 3).times(10) == Range(10, 20, 30)
