"""exl-run, exl-bench and the example: built and run as a user would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgexl.bundle.label_file import label_file_of, read_label_file
from edgexl.runtime.binding import NewLabel, find_engine_library, find_library, open_bundle

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
            assert list(line) == ["text", "labels", "none_fits", "windows", "truncated", "ms"]
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


def shell(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """The command in a shell, where $1 and so on are the arguments and the tools are programs."""
    environment = {
        **os.environ,
        "EDGEXL_ORT_LIBRARY": str(find_engine_library()),
        "PATH": f"{find_library().parent}:{os.environ['PATH']}",
    }
    whole = ["sh", "-c", command, "sh", *map(str, arguments)]
    return subprocess.run(whole, capture_output=True, check=False, env=environment, timeout=120)


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        ("exl-run $1 <&-", 2, b"standard input cannot be read: Bad file descriptor"),
        ("exl-run $1 </", 2, b"standard input cannot be read: Is a directory"),
        ("exl-run $1 red >&-", 3, b"the output cannot be written: Bad file descriptor"),
        ("exl-run $1 red >/dev/full", 3, b"the output cannot be written: No space left on device"),
        ("yes red | exl-run $1 >/dev/full", 3, b"the output cannot be written: No space left on device"),
        ("exl-run --version >/dev/full", 3, b"the output cannot be written: No space left on device"),
        ("exl-run $1 --self-test >/dev/full", 3, b"the output cannot be written: No space left on device"),
        ("exl-bench $1 --runs 1 --warmup 0 >/dev/full", 3, b"the output cannot be written: No space left"),
        ("exl-bench $1 --queries /", 2, b"/ cannot be read: Is a directory"),
        ("exl-bench $1 --queries /no/such", 2, b"/no/such cannot be read: No such file"),
        ("exl-run $1 red 2>&- >&-", 3, b""),
    ],
)
def test_streams_that_are_closed_full_or_no_stream(alias_path: Path, command: str, code: int, sentence: bytes) -> None:
    done = shell(command, alias_path)
    assert done.returncode == code
    assert sentence in done.stderr
    assert done.stderr.count(b"\n") <= 1


def test_closed_streams_do_not_meet_the_files(alias_path: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "toy.exl"
    shutil.copy(alias_path, bundle)
    with open_bundle(bundle) as handle:
        handle.add_labels([NewLabel("N1", "red river horse")])
    before = bundle.read_bytes(), label_file_of(bundle).read_bytes()
    add = (
        "import os, sys; os.closerange(0, 3); from edgexl.runtime.binding import *; "
        "handle = open_bundle(sys.argv[1]); handle.add_labels([NewLabel('N2', 'old king')]); "
        "os._exit(sum(os.path.exists(f'/proc/self/fd/{stream}') for stream in range(3)))"
    )
    assert subprocess.run([sys.executable, "-c", add, str(bundle)], check=False, timeout=120).returncode == 0
    assert bundle.read_bytes() == before[0]
    assert [label.id for label in read_label_file(label_file_of(bundle)).added] == ["N1", "N2"]
    for command in ("exl-run $1 red <&- 2>&-", "exl-run $1 - <&- >&- 2>&-"):
        shell(command, bundle)
    assert bundle.read_bytes() == before[0]
    assert [label.id for label in read_label_file(label_file_of(bundle)).added] == ["N1", "N2"]


def test_a_label_file_elsewhere_and_a_copy(alias_path: Path, tmp_path: Path) -> None:
    labels = tmp_path / "elsewhere"
    with open_bundle(alias_path, labels_path=labels) as handle:
        handle.add_labels([NewLabel("N1", "red river horse")])
    for more in ([], ["--copy"]):
        line = json.loads(tool("exl-run", alias_path, "red river horse", "--labels-file", labels, *more).stdout)
        assert line["labels"][0]["id"] == "N1"
        bench = tool("exl-bench", alias_path, "--runs", "3", "--labels-file", labels, *more)
        assert bench.returncode == 0, bench.stderr
        assert json.loads(bench.stdout)["mapped_bytes"] == (0 if more else alias_path.stat().st_size)
    assert json.loads(tool("exl-run", alias_path, "red river horse").stdout)["labels"][0]["id"] != "N1"
    labels.write_bytes(b"something else")
    for name in ("exl-run", "exl-bench"):
        done = tool(name, alias_path, "--labels-file", labels)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"the label file does not begin as one does" in done.stderr


def test_nothing_is_printed_that_a_terminal_would_obey(alias_path: Path, tmp_path: Path) -> None:
    wild = "a\x1b[31m\nb\x7f\x9b2J\u2028\u202ec\u2066 \u0085red"
    labels = tmp_path / "labels"
    with open_bundle(alias_path, labels_path=labels) as handle:
        handle.add_labels([NewLabel(wild, wild, (wild + " river",))])
    done = tool("exl-run", alias_path, wild, "--labels-file", labels, "--explain", wild, "-k", "1")
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert len(text.splitlines()) == 1
    assert text.removesuffix("\n").isprintable()
    line = json.loads(text)
    assert line["text"] == line["labels"][0]["id"] == line["labels"][0]["text"] == line["explanation"]["id"] == wild
    for arguments in (
        [f"/no/{wild}", "red"],
        [alias_path, "--explain", wild],
        [alias_path, f"--{wild}"],
        [alias_path, "-k", wild],
        [alias_path, "red", "--threshold", wild],
        [alias_path, "red", "--labels-file", tmp_path / "labels" / wild],
    ):
        done = tool("exl-run", *arguments)
        assert done.returncode == 2
        said = done.stderr.decode()
        assert "a\\x1b[31m\\x0ab" in said
        assert all(line.isprintable() for line in said.split("\n"))
    done = tool("exl-bench", alias_path, wild)
    assert done.returncode == 2
    assert b"\x1b" not in done.stderr
    bad = tool("exl-run", os.fsdecode(b"/no/\xff\xc3("), "red")
    assert bad.stderr.startswith(b"/no/\\xff\\xc3(: ")


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
    stages = ["tokenize", "encode", "scan", "match", "rescore", "gather", "reason", "calibrate"]
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
    source.write_text('#include "edgexl.h"\nint main() { return exl_get_version() == nullptr; }\n')
    command = ["c++", "-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
    subprocess.run([*command, f"-I{RUNTIME / 'include'}", str(source)], check=True)


def test_only_the_interface_is_exported() -> None:
    done = subprocess.run(["nm", "-D", "--defined-only", find_library()], capture_output=True, text=True, check=True)
    names = {line.split()[-1] for line in done.stdout.splitlines()}
    assert names
    assert all(name.startswith("exl_") and not name.startswith("exl__") for name in names)
