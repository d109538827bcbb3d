"""exl-bench: what it measures beside the stages' times (operations, sessions, memory, how busy, limits)."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgexl.bundle.layout import Kind
from edgexl.bundle.plan import Code, Plan
from edgexl.bundle.read import read_bundle
from edgexl.runtime.binding import find_library
from tests.runtime.test_tools import tool
from tests.runtime.tiny_bundle import build

linux = pytest.mark.skipif(platform.system() != "Linux", reason="Linux alone tells of it")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native=True, labels=300).write(tmp_path_factory.mktemp("bench") / "b.exl")


def bench(*arguments: str | Path) -> dict[str, Any]:
    done = tool("exl-bench", *arguments)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_operations_are_those_of_both_plans_and_take_no_longer_than_their_stages(bundle: Path) -> None:
    report = bench(bundle, "--operations", "--runs", "50")
    opened = read_bundle(bundle)
    kinds = {"screener": Kind.SCREENER_GRAPH, "reasoner": Kind.REASONER_GRAPH}
    plans = {graph: Plan.unpack(bytes(opened.section(kind))) for graph, kind in kinds.items()}
    found = report["operations"]
    assert [(each["graph"], each["number"]) for each in found] == [
        (graph, number) for graph, plan in plans.items() for number in range(len(plan.operations))
    ]
    codes = [operation.code for plan in plans.values() for operation in plan.operations]
    assert [each["kind"] for each in found] == [Code(code).name.lower() for code in codes]
    took = sum(each["min_ms"] for each in found)
    assert 0 < took <= report["operations_total_p50_ms"]
    for each in found:
        assert 0 <= each["min_ms"] <= each["p50_ms"] <= each["p90_ms"]
        sizes = [int(size) for size in each["shape"].split("x")]
        if each["kind"] == "linear_int8" and each["graph"] == "reasoner":  # the shortlist has the same length always
            rows, depth, columns = sizes
            assert each["macs"] == rows * depth * columns
            assert each["bytes"] >= 4 * rows * (depth + columns) + depth * columns
        assert (each["macs"] > 0) == (each["kind"] in ("linear_int8", "linear_f32", "attention", "matmul"))


def test_samples_have_every_time_of_every_stage(bundle: Path) -> None:
    report = bench(bundle, "--samples", "--runs", "31", "--warmup", "3")
    samples = report["samples"]
    assert list(samples) == [*report["stages"], "total"]
    for stage, times in samples.items():
        assert len(times) == 31
        said = report["total"] if stage == "total" else report["stages"][stage]
        assert sorted(times)[0] == pytest.approx(said["min_ms"], abs=1e-5)
        assert sorted(times)[15] == pytest.approx(said["p50_ms"], abs=1e-5)
    for run in range(31):
        parts = sum(samples[stage][run] for stage in report["stages"])
        assert parts == pytest.approx(samples["total"][run], rel=0.02, abs=0.002)


def test_sessions_answer_side_by_side(bundle: Path) -> None:
    one, two = (bench(bundle, "--sessions", str(n), "--runs", "300") for n in (1, 2))
    assert (one["sessions"], two["sessions"]) == (1, 2)
    for report in (one, two):
        assert 0 < report["queries_per_s"] < report["sessions"] * 1e3 / report["total"]["min_ms"]
    assert two["stages"]["encode"]["min_ms"] > 0


@linux
def test_a_core_is_kept_and_told(bundle: Path) -> None:
    allowed = os.sched_getaffinity(0)
    core = min(allowed)
    assert bench(bundle, "--core", str(core), "--runs", "5")["core"] == core
    assert bench(bundle, "--core", "auto", "--runs", "5")["core"] in allowed
    assert bench(bundle, "--runs", "5")["core"] is None
    missing = next(core for core in range(4095) if core not in allowed)
    done = tool("exl-bench", bundle, "--core", str(missing))
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"this process cannot be kept on core {missing}: give one that it may use, or auto" in done.stderr.decode()
    done = tool("exl-bench", bundle, "--core", "fast")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"takes a core's number or auto, not 'fast'" in done.stderr


@linux
def test_memory_and_faults_are_those_of_the_system(bundle: Path) -> None:
    report = bench(bundle, "--runs", "20")
    memory = report["memory"]
    assert memory["peak_resident_bytes"] >= memory["resident_bytes"] > 0
    assert memory["anonymous_bytes"] + memory["file_bytes"] <= memory["resident_bytes"] + 4096
    assert report["faults"]["first"]["minor"] > report["faults"]["runs"]["minor"] >= 0
    copied = bench(bundle, "--runs", "20", "--copy")
    grown = copied["memory"]["anonymous_bytes"] - memory["anonymous_bytes"]
    assert grown > 0.5 * bundle.stat().st_size


@linux
def test_cold_drops_the_file_from_the_systems_memory(bundle: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.exl"
    large.write_bytes(bundle.read_bytes())
    os.sync()
    assert bench(large, "--runs", "1")["cached_percent"] == 100
    cold = bench(large, "--runs", "1", "--warmup", "0", "--cold")["cached_percent"]
    if cold > 50:
        pytest.skip(f"this file system keeps {cold} % of a file whatever it is told")
    assert bench(large, "--runs", "1")["cached_percent"] > cold


def test_a_busy_core_shows(bundle: Path) -> None:
    """Two processes on one core wait for each other half of the time."""
    core = str(max(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None
    if core is None:
        pytest.skip("no cores to keep to")
    other = subprocess.Popen(["taskset", "-c", core, "sh", "-c", "while :; do :; done"])
    try:
        busy = bench(bundle, "--core", core, "--runs", "4000")["busy"]
    finally:
        other.kill()
        other.wait()
    assert busy["waited_percent"] > 15
    assert busy["run_queue"] >= 0.5
    assert busy["spread_percent"] >= 0


def test_a_sustained_run_has_its_parts(bundle: Path) -> None:
    parts = bench(bundle, "--seconds", "2", "--runs", "5")["sustained"]
    assert [round(part["s"]) for part in parts] == [1, 2]
    assert all(part["p50_ms"] > 0 for part in parts)
    assert all(set(part) == {"s", "p50_ms", "mhz", "celsius"} for part in parts)


def test_limits_are_higher_than_what_operations_reach(bundle: Path) -> None:
    limits = bench("--limits", "--file", find_library())
    assert min(limits["int8_gmacs"], limits["f32_gmacs"]) > 0.01
    sizes = [each["bytes"] for each in limits["read"]]
    assert sizes == [16384 << i for i in range(len(sizes))]
    assert all(each["gb_per_s"] > 0.01 for each in limits["read"])
    for each in bench(bundle, "--operations", "--runs", "50")["operations"]:
        if each["kind"] == "linear_int8":
            assert each["macs"] / each["min_ms"] / 1e6 < 1.5 * limits["int8_gmacs"]


@pytest.mark.parametrize("name", ["exl-run", "exl-bench"])
def test_help_names_every_option(name: str) -> None:
    done = tool(name, "--help")
    assert done.returncode == 0
    source = (Path(__file__).parents[2] / "edgexl/runtime/tools" / f"{name.replace('-', '_')}.c").read_text()
    options = {part.split('"')[0] for part in source.split('{"')[1:] if part.startswith("-")}
    assert len(options) > 8
    for option in options:
        assert f"  {option} " in done.stdout.decode(), option
