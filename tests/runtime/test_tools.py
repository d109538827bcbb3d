"""exl-run, exl-bench and the example: built and run as a user would."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from edgexl.runtime.binding import find_engine_library, find_library, open_bundle

RUNTIME = Path(__file__).parents[2] / "edgexl" / "runtime"


def tool(name: str, *arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "EDGEXL_ORT_LIBRARY": str(find_engine_library())}
    command = [str(find_library().parent / name), *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, env=environment, timeout=120)


def test_run_answers_as_the_binding(alias_path: Path) -> None:
    done = tool("exl-run", alias_path, "red river", 'say "old"\\ king\t', "-k", "3")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["text"] for line in lines] == ["red river", 'say "old"\\ king\t']
    with open_bundle(alias_path) as handle:
        for line in lines:
            expected = handle.predict(line["text"], k=3)
            assert [(at["id"], at["text"]) for at in line["labels"]] == [(at.id, at.text) for at in expected.labels]
            for got, wanted in zip(line["labels"], expected.labels, strict=True):
                assert got["probability"] == pytest.approx(wanted.probability, rel=1e-5)
            assert list(line) == ["text", "labels", "none_fits", "ms"]
            assert line["none_fits"] == expected.none_fits
            assert list(line["ms"]) == list(expected.ms)


def test_run_reads_lines_and_goes_on_after_a_bad_one(alias_path: Path) -> None:
    done = tool("exl-run", alias_path, "--trust", stdin=b"red river\r\n\n\xff\xfe\nold\0king\n" + b"sea " * 300_000)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [("error" in line) for line in lines] == [False, True, True, False, False]
    assert lines[3]["text"] == "old\0king"
    assert done.returncode == 2


def test_run_explains(alias_path: Path) -> None:
    line = json.loads(tool("exl-run", alias_path, "red river", "--explain", "L0003").stdout)
    with open_bundle(alias_path) as handle:
        way = handle.explain("red river", "L0003")
    assert {key: line["explanation"][key] for key in ("id", "text", "index")} == {
        "id": "L0003",
        "text": way.text,
        "index": 3,
    }
    assert list(line["explanation"]) == list(vars(way))
    assert line["explanation"]["screening_rank"] == way.screening_rank
    assert line["explanation"]["shortlisted"] == way.shortlisted


def test_run_threshold(alias_path: Path) -> None:
    everything = json.loads(tool("exl-run", alias_path, "red river", "-k", "20").stdout)["labels"]
    above = json.loads(tool("exl-run", alias_path, "red river", "--threshold", "0.05").stdout)["labels"]
    assert above == [label for label in everything if label["probability"] >= 0.05]
    own = json.loads(tool("exl-run", alias_path, "red river", "--above").stdout)["labels"]
    assert own == [label for label in everything if label["probability"] >= 0.25]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, b"usage"),
        (["--frobnicate"], 2, b"unknown option"),
        (["no/such.exl", "red"], 2, b"no/such.exl"),
        (["BUNDLE", "red", "-k", "0"], 2, b"-k"),
        (["BUNDLE", "red", "-k", "21"], 2, b"shortlist is 20"),
        (["BUNDLE", "red", "--threshold", "7"], 2, b"probability"),
        (["BUNDLE", "red", "--explain", "nobody"], 2, b"no such label"),
        (["BUNDLE", "red", "--engine", "no/such.so"], 3, b"pip install onnxruntime"),
        ([__file__, "red"], 2, b"does not begin"),
    ],
)
def test_run_refuses(alias_path: Path, arguments: list[str], code: int, sentence: bytes) -> None:
    done = tool("exl-run", *(alias_path if at == "BUNDLE" else at for at in arguments))
    assert done.returncode == code
    assert sentence in done.stderr
    assert done.stdout == b""


def test_self_test(alias_path: Path) -> None:
    done = tool("exl-run", alias_path, "--self-test")
    assert done.returncode == 0
    assert json.loads(done.stdout)["failed"] == 0


@pytest.mark.parametrize("with_file", [False, True])
def test_bench(alias_path: Path, tmp_path: Path, with_file: bool) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_text("red river\nthe old king\n")
    more = ["--queries", queries] if with_file else []
    done = tool("exl-bench", alias_path, "--runs", "50", "--warmup", "5", *more)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    stages = ["tokenize", "encode", "scan", "rescore", "gather", "reason", "calibrate"]
    assert list(report["stages"]) == stages
    for times in (*report["stages"].values(), report["total"]):
        assert 0 <= times["min_ms"] <= times["p50_ms"] <= times["p90_ms"] <= times["p99_ms"]
    assert (report["engine"], report["threads"], report["runs"]) == ("ort", 1, 50)
    assert report["mapped_bytes"] == alias_path.stat().st_size
    assert 0 < report["load_ms"] < report["first_ms"]
    assert report["peak_resident_bytes"] > 1_000_000


def test_the_example_in_the_readme(alias_path: Path, tmp_path: Path) -> None:
    library = find_library()
    program = tmp_path / "embed"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{RUNTIME / 'include'}"]
    links = [f"-L{library.parent}", f"-Wl,-rpath,{library.parent}", "-ledgexl"]
    subprocess.run(["cc", *flags, str(RUNTIME / "examples" / "embed.c"), "-o", program, *links], check=True)
    environment = {**os.environ, "EDGEXL_ORT_LIBRARY": str(find_engine_library())}
    command = [str(program), str(alias_path), "red river"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    with open_bundle(alias_path) as handle:
        expected = [f"{at.probability:.3f} {at.text}" for at in handle.predict("red river").labels]
    assert done.stdout.splitlines() == expected


def test_the_header_is_cpp_too(tmp_path: Path) -> None:
    source = tmp_path / "header.cpp"
    source.write_text('#include "edgexl.h"\nint main() { return exl_version() == nullptr; }\n')
    command = ["c++", "-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
    subprocess.run([*command, f"-I{RUNTIME / 'include'}", str(source)], check=True)


def test_only_the_interface_is_exported() -> None:
    done = subprocess.run(["nm", "-D", "--defined-only", find_library()], capture_output=True, text=True, check=True)
    names = {line.split()[-1] for line in done.stdout.splitlines()}
    assert names
    assert all(name.startswith("exl_") and not name.startswith("exl__") for name in names)
