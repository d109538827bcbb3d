"""What exl-run and exl-bench make of their arguments, of odd texts, and of an output that takes nothing."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from pathlib import Path

import pytest

from edgexl.bundle.layout import Kind
from edgexl.bundle.signing import new_key, sign_bundle, store_signature
from edgexl.bundle.write import write_bundle
from edgexl.runtime.binding import find_engine_library, find_library, open_bundle
from tests.runtime.tiny_bundle import build

LINE = "RWRlZGdleGwgMepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"  # a public key


def tool(name: str, *arguments: str | Path | bytes, stdin: bytes = b"", **more: object) -> subprocess.CompletedProcess:
    environment = {**os.environ, "EDGEXL_ORT_LIBRARY": "nowhere.so"}  # native bundles need none
    command = [find_library().parent / name, *arguments]
    options: dict = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment, "timeout": 120} | more
    return subprocess.run(command, input=stdin, check=False, **options)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Native: quick to open."""
    return build(aliases=True, native=True).write(tmp_path_factory.mktemp("tools") / "native.exl")


@pytest.mark.parametrize(
    ("name", "arguments", "code", "sentence"),
    [
        ("exl-run", ["-k"], 2, "the option -k needs a value"),
        ("exl-run", ["-k", ""], 2, "the option -k takes a whole number from 1 to 4294967295, not ''"),
        ("exl-run", ["-k", "5x"], 2, "not '5x'"),
        ("exl-run", ["-k", "+5"], 2, "not '+5'"),
        ("exl-run", ["-k", ":"], 2, "not ':'"),
        ("exl-run", ["-k", "4294967296"], 2, "not '4294967296'"),
        ("exl-run", ["--threads", "0"], 2, "the option --threads takes a whole number from 1 to 1024, not '0'"),
        ("exl-run", ["--threads", "1025"], 2, "not '1025'"),
        ("exl-run", ["--threads"], 2, "the option --threads needs a value"),
        ("exl-run", ["--threads", "2"], 2, "thread"),
        ("exl-run", ["--threshold"], 2, "the option --threshold needs a value"),
        ("exl-run", ["--threshold", ""], 2, "the threshold '' is not a probability from 0 to 1"),
        ("exl-run", ["--threshold", "0.5%"], 2, "the threshold '0.5%' is not"),
        ("exl-run", ["--threshold", "-0.1"], 2, "the threshold '-0.1' is not"),
        ("exl-run", ["--threshold", "nan"], 2, "the threshold 'nan' is not"),
        ("exl-run", ["--explain"], 2, "the option --explain needs a value"),
        ("exl-run", ["--engine"], 2, "the option --engine needs a value"),
        ("exl-run", ["--no-such"], 2, "unknown option --no-such"),
        ("exl-run", ["--key"], 2, "the option --key needs a value"),
        ("exl-run", ["--key", "no/such.pub"], 2, "the key no/such.pub cannot be read"),
        ("exl-run", ["--key", "/dev/zero"], 2, "the key /dev/zero cannot be used: it is too long"),
        ("exl-run", ["--key", LINE], 2, "the bundle holds no signature"),
        ("exl-run", ["--key", LINE, "--trust"], 2, "give --key or --trust"),
        ("exl-run", ["--key", LINE] * 17, 2, "the option --key is taken 16 times at most"),
        ("exl-run", ["--least-version", "1"], 2, "needs --key"),
        ("exl-run", ["--key", LINE, "--least-version", "18446744073709551616"], 2, "takes a whole number"),
        ("exl-serve", ["--key", LINE, "--port", "0"], 2, "the bundle holds no signature"),
        ("exl-serve", ["--key", LINE, "--least-version", "-1"], 2, "takes a whole number"),
        ("exl-bench", ["--queries"], 2, "the option --queries needs a value"),
        ("exl-bench", ["--queries", "no/such.txt"], 2, "no/such.txt cannot be read"),
        ("exl-bench", ["--queries", os.devnull], 2, "/dev/null holds no query"),
        ("exl-bench", ["--engine"], 2, "the option --engine needs a value"),
        ("exl-bench", ["--runs", "0"], 2, "the option --runs takes a whole number from 1 to 10000000, not '0'"),
        ("exl-bench", ["--warmup", "-1"], 2, "the option --warmup takes a whole number from 0 to 10000000, not '-1'"),
        ("exl-bench", ["--threads", "1025"], 2, "the option --threads takes a whole number from 1 to 1024"),
        ("exl-bench", ["--no-such"], 2, "--no-such is not expected here"),
        ("exl-bench", ["second.exl"], 2, "second.exl is not expected here"),
    ],
)
def test_what_is_refused(name: str, arguments: list[str], code: int, sentence: str, bundle: Path) -> None:
    done = tool(name, bundle, *arguments)
    assert (done.returncode, done.stdout) == (code, b"")
    assert sentence in done.stderr.decode()


def test_what_a_key_has_signed_is_opened(bundle: Path, tmp_path: Path) -> None:
    """By the key's file or its line; of several, one is enough."""
    key, other, signed = new_key(), new_key(), tmp_path / "signed.exl"
    store_signature(bundle, sign_bundle(bundle, key, 3), signed)
    (tmp_path / "shop.pub").write_text(key.public.text)
    for given in (["--key", key.public.line], ["--key", LINE, "--key", tmp_path / "shop.pub", "--least-version", "3"]):
        done = tool("exl-run", signed, "red", *given)
        assert (done.returncode, done.stderr) == (0, b"")
        server = [find_library().parent / "exl-serve", signed, "--port", "0", *given]
        with subprocess.Popen(server, stdout=subprocess.PIPE) as serving:
            assert serving.stdout is not None
            assert b"answers at" in serving.stdout.readline()
            serving.terminate()
    done = tool("exl-run", signed, "red", "--key", other.public.line)
    assert (done.returncode, b"not one of the trusted" in done.stderr) == (2, True)
    done = tool("exl-run", signed, "red", "--key", key.public.line, "--least-version", "4")
    assert (done.returncode, b"4 is the least accepted" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["exl-run", "exl-bench"])
def test_without_a_bundle(name: str, tmp_path: Path) -> None:
    done = tool(name)
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"usage: {name} BUNDLE")
    done = tool(name, tmp_path / "none.exl")
    assert done.returncode == 2
    assert "none.exl: the file cannot be read" in done.stderr.decode()


def test_numbers_at_their_ends(bundle: Path) -> None:
    for k, count in (("1", 1), ("020", 20)):
        assert len(json.loads(tool("exl-run", bundle, "red", "-k", k).stdout)["labels"]) == count
    for threshold, count in (("0", 20), ("1", 0), ("0.0", 20)):
        done = tool("exl-run", bundle, "red", "--threshold", threshold)
        assert len(json.loads(done.stdout)["labels"]) == count
    done = tool("exl-bench", bundle, "--runs", "1", "--warmup", "0", "--threads", "1")
    assert json.loads(done.stdout)["runs"] == 1


def test_texts_that_look_like_options(bundle: Path) -> None:
    done = tool("exl-run", bundle, "--trust", "--", "--self-test", "-k", "-", stdin=b"red\n")
    assert done.returncode == 0, done.stderr
    texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
    assert texts == ["--self-test", "-k", "red"]  # "-" is standard input wherever it stands


def test_the_worst_exit_code_counts(bundle: Path) -> None:
    done = tool("exl-run", bundle, "red", "-", " ", "river", stdin=b"snow\n\nrain")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["text"] for line in lines] == ["red", "snow", "", "rain", " ", "river"]
    assert [line.get("error") for line in lines] == [
        *(None, None, "the text holds no token"),
        *(None, "the text holds no token", None),
    ]
    assert done.returncode == 2


def test_json_of_any_bytes(bundle: Path) -> None:
    """Characters of every length stay, what is not UTF-8 becomes U+FFFD byte by byte, the rest is escaped."""
    sound = '\x01 \x1f \x7f " \\ é ߿ ࠀ ￿ 𐀀 \U0010ffff'
    broken = [
        b"\x80",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
    ]
    broken += [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc3(", b"\xe2\x28\xa1", b"\xff"]
    lines = [sound.encode(), *(b"red " + one + b" river" for one in broken)]
    done = tool("exl-run", bundle, stdin=b"\n".join(lines))
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found[0]["text"] == sound
    assert "labels" in found[0]
    for line, wanted in zip(found[1:], broken, strict=True):
        assert line["text"].replace("�", "").replace("(", "").replace("\x28", "").replace("¡", "") == "red  river"
        assert line["text"].count("�") >= 1
        assert line["error"] == "the text is not valid UTF-8", wanted


def test_lines_longer_than_any_room(bundle: Path) -> None:
    for length in (4095, 4096, 4097, 8192, 8193):
        text = ("red " * length)[:length]
        done = tool("exl-run", bundle, "--trust", stdin=f"{text}\r\nsnow".encode())
        assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == [text, "snow"]


@pytest.mark.parametrize("name", ["exl-run", "exl-bench"])
def test_memory_for_a_line_runs_out(name: str, bundle: Path, tmp_path: Path) -> None:
    """A line of 64 MB where only 32 MB may be had."""
    queries = tmp_path / "long.txt"
    with queries.open("wb") as file:
        for _ in range(64):
            file.write(b"x" * (1 << 20))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (32 << 20, 32 << 20))

    if name == "exl-run":
        with queries.open("rb") as stdin:
            environment = {**os.environ, "EDGEXL_ORT_LIBRARY": "nowhere.so"}
            command = [find_library().parent / name, bundle]
            done = subprocess.run(
                command, stdin=stdin, capture_output=True, preexec_fn=limit, env=environment, check=False, timeout=120
            )
    else:
        done = tool(name, bundle, "--queries", queries, preexec_fn=limit)
    assert done.returncode == 3
    assert b"cannot be read: Cannot allocate memory" in done.stderr


def test_an_output_that_takes_nothing(bundle: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = tool("exl-run", bundle, "red", stdout=full)
    assert done.returncode == 3
    assert done.stderr.startswith(b"the output cannot be written: ")


def test_a_failed_self_test_is_a_failed_gate(bundle: Path, tmp_path: Path) -> None:
    sections = dict(build(aliases=True, native=True).sections)
    golden = bytearray(sections[Kind.GOLDENS])
    golden[24] ^= 1  # the first label
    write_bundle(tmp_path / "other.exl", sections | {Kind.GOLDENS: bytes(golden)})
    done = tool("exl-run", tmp_path / "other.exl", "--self-test")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "goldens": 3,
        "failed": 1,
        "largest_probability_difference": pytest.approx(0, abs=1e-3),
    }
    assert b"1 of 3 goldens are not reproduced" in done.stderr


def test_bench_stops_at_a_text_that_has_no_answer(bundle: Path, tmp_path: Path) -> None:
    queries = tmp_path / "queries.txt"
    queries.write_bytes(b"red\n\nriver\n\xff\n")
    done = tool("exl-bench", bundle, "--queries", queries)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"query 3: the text is not valid UTF-8\n"
    queries.write_bytes(b"red\n" * 600)  # more than the first room holds
    assert tool("exl-bench", bundle, "--queries", queries, "--runs", "601").returncode == 0


def test_named_engine(alias_path: Path) -> None:
    engine = find_engine_library()
    for name, more in (("exl-run", ["red", "--explain", "L0003"]), ("exl-bench", ["--runs", "3"])):
        done = tool(name, alias_path, *more, "--engine", engine, "--threads", "2")
        assert done.returncode == 0, done.stderr
    done = tool("exl-bench", alias_path)  # of another engine than the environment names there is none
    assert done.returncode == 3
    assert b"nowhere.so" in done.stderr


def test_explanations_of_what_was_lost_and_what_was_not(bundle: Path) -> None:
    with open_bundle(bundle) as handle:
        shortlist = set(handle.predict("red river", k=1).shortlist_labels.tolist())
        lost = next(label for label in range(300) if label not in shortlist)
        for label in (lost, min(shortlist)):
            done = tool("exl-run", bundle, "red river", "--explain", f"L{label:04d}")
            said, way = json.loads(done.stdout)["explanation"], handle.explain("red river", f"L{label:04d}")
            assert said["shortlisted"] is (label != lost)
            for field in ("index", "screening_rank", "reasoner_rank", "text"):
                assert said[field] == getattr(way, field)
            for field in ("screening_score", "logit", "probability"):
                assert said[field] == pytest.approx(getattr(way, field), rel=1e-4)
