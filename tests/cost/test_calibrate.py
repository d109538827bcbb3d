"""Calibrating: the real bundles on this machine (two of them), a target's file that names its model, a kit's result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.read import read_bundle
from edgexl.cost.find import find_model, user_path
from edgexl.cost.model import TOTAL, Sample, fit
from edgexl.cost.predict import UNMEASURED, predict_bundle
from edgexl.cost.stages import STAGES, read_anatomy
from edgexl.device.local import this_machine
from edgexl.target import load_target
from edgexl.use.calibrating.bundles import SHAPES, lengths_of, make_bundle, make_text
from edgexl.use.calibrating.calibrate import calibrate_kit, save_to_target
from edgexl.use.calibrating.measure import measure
from edgexl.use.profile import profile
from tests.command_line import Edgexl, Tiny

ABOUT = {"unit": "ms", "device": "a device", "fitted": "2026-01-01"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    for name in ("a", "j"):
        make_bundle(name, SHAPES[name], folder / f"{name}.exl")
    return {name: folder / f"{name}.exl" for name in ("a", "j")}


def test_a_calibration_bundle_has_the_sizes_of_its_shape(small: dict[str, Path]) -> None:
    for name, path in small.items():
        opened, shape = read_bundle(path), SHAPES[name]
        assert opened.parameters.rows == opened.parameters.labels == shape.labels
        assert (opened.parameters.overfetch, opened.parameters.fine_bits) == (shape.overfetch, shape.fine_bits)
    assert not list(small["a"].parent.glob("*.small"))
    kinds = {each.of for each in measured(small)}
    assert {"linear_int8", "linear_f32", "attention", "layer_norm", *STAGES, TOTAL} - {"match"} <= kinds


def measured(bundles: dict[str, Path]) -> list[Sample]:
    place = next(iter(bundles.values())).parent / "kept"
    return measure(this_machine(), bundles, place)


def test_measuring_goes_on_where_it_stopped(small: dict[str, Path]) -> None:
    samples = measured(small)
    kept = small["a"].parent / "kept"
    files = sorted(kept.glob("*.json"))
    assert len(files) == 12 * sum(len(lengths_of(SHAPES[name].tokens)) for name in small)
    times = [file.stat().st_mtime_ns for file in files]
    assert measured(small) == samples
    assert [file.stat().st_mtime_ns for file in files] == times


def test_texts_have_the_tokens_that_they_say(small: dict[str, Path], tmp_path: Path) -> None:
    import edgexl

    with edgexl.open_bundle(small["a"]) as bundle:
        assert [bundle.predict(make_text(tokens)).tokens for tokens in (3, 13, 47)] == [3, 13, 47]


def test_a_model_of_this_machine_foretells_another_bundle(tiny: Tiny, small: dict[str, Path], tmp_path: Path) -> None:
    base = find_model(load_target("host")).model
    save_to_target(fit(measured(small), ABOUT, base), "host")
    found = predict_bundle(read_bundle(tiny.bundle), load_target("host"))
    assert UNMEASURED not in found.said
    took = profile(tiny.bundle, runs=100)["total"]["min_ms"]
    assert found.total.middle / 4 <= took <= 4 * found.total.middle  # whatever else the machine does


def test_a_target_file_names_the_model_that_was_written(tmp_path: Path, small: dict[str, Path]) -> None:
    model = fit(measured(small), ABOUT)
    for line in ('costs = "cortex-a72"\n', ""):
        mine = tmp_path / f"mine{len(line)}.toml"
        mine.write_text(Path("targets/raspberry-pi-4.toml").read_text().replace('costs = "cortex-a72"\n', line))
        before = load_target(mine)
        place = save_to_target(model, str(mine))
        assert place == mine.with_suffix(".costs.json")
        assert find_model(load_target(mine)).path == place.resolve()
        assert load_target(mine).hardware == before.hardware
        assert save_to_target(model, str(mine)) == place.resolve()  # once more: the same file
        assert mine.read_text().count("costs") == 2  # the key, and its file's name


def test_a_shipped_target_is_calibrated_in_the_cache(small: dict[str, Path]) -> None:
    place = save_to_target(fit(measured(small), ABOUT), "raspberry-pi-4")
    assert place == user_path(load_target("raspberry-pi-4"))
    assert find_model(load_target("raspberry-pi-4")).measured


def test_what_a_kit_brings_back_scales_the_model(tiny: Tiny) -> None:
    told = profile(tiny.bundle, runs=10, operations=True)
    digest = hashlib.sha256(tiny.bundle.read_bytes()).hexdigest()
    before = predict_bundle(read_bundle(tiny.bundle), load_target("raspberry-pi-4")).total
    model, _ = calibrate_kit("raspberry-pi-4", told, tiny.bundle, digest, "my device")
    found = predict_bundle(read_bundle(tiny.bundle), load_target("raspberry-pi-4"))
    assert (model.unit, model.bundles) == ("ms", 1)
    assert found.total.middle == pytest.approx(told["total"]["min_ms"], rel=0.4)
    assert found.total.middle < before.middle  # this machine is no Raspberry Pi
    with pytest.raises(BadInput, match="not the bundle"):
        calibrate_kit("raspberry-pi-4", told, tiny.bundle, "0" * 64, "my device")
    with pytest.raises(BadInput, match="lacks a part"):
        calibrate_kit("raspberry-pi-4", told | {"operations": []}, tiny.bundle, digest, "my device")


def test_bundles_for_onnx_runtime_are_refused(small: dict[str, Path], tmp_path: Path) -> None:
    from edgexl.bundle.layout import Kind
    from edgexl.bundle.write import write_bundle

    opened = read_bundle(small["a"])
    sections = {Kind(entry.kind): bytes(opened.section(Kind(entry.kind))) for entry in opened.entries}
    sections[Kind.PARAMETERS] = dataclasses.replace(opened.parameters, engine=1).pack()
    write_bundle(tmp_path / "ort.exl", sections)
    with pytest.raises(BadInput, match="ONNX Runtime"):
        read_anatomy(read_bundle(tmp_path / "ort.exl"))


def test_the_command_refuses_what_does_not_fit(edgexl: Edgexl, tmp_path: Path) -> None:
    edgexl("targets", "calibrate", "rasberry-pi-4").refuses(2, "did you mean")
    edgexl("targets", "calibrate", "--bundle", "b.exl").refuses(2, "--from")
    edgexl("targets", "calibrate", "--from", "result.json").refuses(2, "--bundle")
    (tmp_path / "result.json").write_text(json.dumps({"kit": 1}))
    said = edgexl("targets", "calibrate", "--from", tmp_path / "result.json", "--bundle", "b.exl")
    said.refuses(2, "lacks a part")


def test_show_tells_which_model_a_target_has(edgexl: Edgexl) -> None:
    told = edgexl("targets", "show", "raspberry-pi-4", "--json").json
    assert told["predicted_by"].startswith("cortex-a72.json: instructions")
    assert "not measured on this target" in told["predicted_by"]
