"""A bundle's profile: what is asked for is there, adds up, and goes into files that other programs read."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.read import read_bundle
from edgexl.runtime.binding import open_bundle
from edgexl.use.profile import profile
from edgexl.use.profile.busy import warn_of_others
from edgexl.use.profile.limits import add_limits, bandwidth
from edgexl.use.profile.queries import read_texts
from edgexl.use.profile.write import write_csv, write_trace
from tests.command_line import Edgexl
from tests.runtime.tiny_bundle import build


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native=True, labels=300).write(tmp_path_factory.mktemp("profile") / "b.exl")


@pytest.fixture(scope="module")
def whole(bundle: Path) -> dict[str, Any]:
    return profile(bundle, runs=60, operations=True, samples=True, sweep=True, seconds=1)


def test_stages_add_up_to_the_whole(whole: dict[str, Any]) -> None:
    medians = sum(times["p50_ms"] for times in whole["stages"].values())
    assert medians == pytest.approx(whole["total"]["p50_ms"], rel=0.25)
    assert whole["timed"]
    assert whole["runs"] == 60
    assert whole["cold"]["first_ms"] > whole["cold"]["load_ms"] > 0
    assert whole["throughput"][0]["sessions"] == 1
    assert len(whole["sustained"]) == 1
    assert set(whole["busy"]) > {"warning", "waited_percent"}


def test_an_operation_is_bound_by_what_takes_longer() -> None:
    limits = {
        "int8_gmacs": 100.0, "f32_gmacs": 10.0,
        "read": [{"bytes": 1024, "gb_per_s": 64.0}, {"bytes": 4096, "gb_per_s": 16.0}],
    }  # fmt: skip
    dense = {"kind": "linear_int8", "macs": 1_000_000, "bytes": 4096, "p50_ms": 0.02}
    wide = {"kind": "map", "macs": 0, "bytes": 2048, "p50_ms": 0.0001}
    floats = {"kind": "attention", "macs": 1_000_000, "bytes": 100, "p50_ms": 0.1}
    report: dict[str, Any] = {"operations": [dense, wide, floats]}
    add_limits(report, limits)
    assert dense["limit_ms"] == pytest.approx(0.01)
    assert (dense["share_of_limit"], dense["bounds"]) == (0.5, "compute")
    assert wide["limit_ms"] == pytest.approx(2048 / 40e6, abs=1e-6)  # 2048 is halfway from 64 to 16 GB/s
    assert wide["bounds"] == "memory"
    assert floats["share_of_limit"] == 1.0
    assert bandwidth(limits["read"], 10) == 64.0
    assert bandwidth(limits["read"], 1 << 30) == 16.0


@pytest.mark.parametrize(
    ("busy", "words"),
    [
        ({"waited_percent": 0.4, "steal_percent": 0.0, "spread_percent": 4.0, "run_queue": 0.0}, None),
        ({"waited_percent": 50.0, "run_queue": 2.0}, "2 other processes ran): the process waited for its core 50 %"),
        ({"waited_percent": 0.0, "steal_percent": 9.0}, "9 % of the time went to other virtual machines"),
        ({"waited_percent": 0.0, "steal_percent": None, "spread_percent": 40.0}, "lie 40 % apart"),
    ],
)
def test_a_busy_machine_is_warned_of(busy: dict[str, float | None], words: str | None) -> None:
    said = warn_of_others(busy)
    assert said is None if words is None else said is not None and words in said


def test_operations_go_into_a_table(whole: dict[str, Any], tmp_path: Path) -> None:
    write_csv(whole, tmp_path / "o.csv")
    rows = list(csv.DictReader((tmp_path / "o.csv").open()))
    assert len(rows) == len(whole["operations"])
    for row, operation in zip(rows, whole["operations"], strict=True):
        assert float(row["p50_ms"]) == operation["p50_ms"]
        assert float(row["macs"]) == operation["macs"]
        assert 0 < float(row["limit_ms"]) < 10
        assert row["bounds"] in ("compute", "memory")
    with pytest.raises(BadInput, match="does not tell what its operations take"):
        write_csv({"engine": "ort"}, tmp_path / "none.csv")


def test_a_trace_holds_every_query_and_nests(whole: dict[str, Any], tmp_path: Path) -> None:
    write_trace(whole, tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    queries = [event for event in slices if event["cat"] == "query"]
    assert len(queries) == 60
    for query, ms in zip(queries, whole["samples"]["total"], strict=True):
        assert query["dur"] == pytest.approx(1e3 * ms, abs=1e-2)
    starts = [query["ts"] for query in queries]
    assert starts == sorted(starts)
    stages = {event["name"]: event for event in slices if event["cat"] == "stage" and event["tid"] == 2}
    operations = [event for event in slices if event["cat"] == "operation"]
    assert len(operations) == len(whole["operations"])
    for event in operations:
        inside = [s for s in stages.values() if s["ts"] - 0.01 <= event["ts"]
                  and event["ts"] + event["dur"] <= s["ts"] + s["dur"] + 0.1]  # fmt: skip
        assert len(inside) >= 1


def test_texts_of_every_kind_of_file(bundle: Path, tmp_path: Path) -> None:
    opened = read_bundle(bundle)
    (tmp_path / "a.txt").write_text("\ufeffred river\n\n old   king \n")
    (tmp_path / "b.csv").write_text('id,query,label\n1,red river,L0001\n2,"old\nking",L0002\n')
    (tmp_path / "c.jsonl").write_text('{"question": "red river"}\n{"question": "old king"}\n')
    for name in ("a.txt", "b.csv", "c.jsonl"):
        assert read_texts(tmp_path / name, opened) == ["red river", "old king"], name
    (tmp_path / "d.jsonl").write_text('{"one": "red river", "two": "old king"}\n')
    with pytest.raises(BadInput, match="'one', 'two' is known to be the queries' text; call it 'query'"):
        read_texts(tmp_path / "d.jsonl", opened)
    (tmp_path / "e.txt").write_text("\n \n")
    with pytest.raises(BadInput, match="holds no query"):
        read_texts(tmp_path / "e.txt", opened)
    with pytest.raises(BadInput, match="nowhere"):
        read_texts(tmp_path / "nowhere.csv", opened)


def test_the_command_tells_and_writes_all(edgexl: Edgexl, bundle: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("o.csv", "t.json", "r.html")]
    done = edgexl(
        "profile", bundle, "--runs", "30", "--sweep", "--csv", files[0], "--trace", files[1], "--report", files[2]
    )
    assert "of limit %" in done.out
    assert "a core's limit here" in done.out
    assert "queries_per_s" in done.out
    for file in files:
        assert file.stat().st_size > 1000
        assert f"{file} is written" in done.out
    page = files[2].read_text()
    assert "b.exl" in page
    assert "linear" in page
    report = edgexl("profile", bundle, "--runs", "5", "--core", "any", "--json").json
    assert report["core"] is None
    assert "operations" not in report


def test_a_file_that_cannot_be_written_is_told_before_anything_runs(edgexl: Edgexl, bundle: Path) -> None:
    edgexl("profile", bundle, "--runs", "1000000", "--csv", "no/such/o.csv").refuses(2, "no/such")


@pytest.mark.slow
def test_what_people_would_use_instead_takes_longer(bundle: Path) -> None:
    with open_bundle(bundle) as handle:
        texts = handle.golden_texts()
    found = profile(bundle, runs=4, baseline=True)["baseline"]
    assert found["queries"] == 4 > len(texts)  # taken in turn
    assert found["p50_ms"] > 10 * found["bundle_p50_ms"] > 0
    assert found["ratio"] == pytest.approx(found["p50_ms"] / found["bundle_p50_ms"])
    assert set(found["stages"]) == {"encode", "search", "judge"}
