"""Recipes, students and label sets that are wrong, and compiles that are cut short."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.command_line import Edgexl, Tiny, heed_interrupts


@pytest.fixture
def compile_student(tiny: Tiny, tmp_path: Path, edgexl: Edgexl):
    """Compile a copy of the tiny student after `damage(copy)`; nothing may be written."""

    def compile_(damage, *words: str) -> None:
        student, out = tmp_path / "student", tmp_path / "out"
        shutil.copytree(tiny.student, student)
        out.mkdir()
        damage(student)
        said = edgexl("compile", student, "--recipe", tiny.recipe, "--target", "host", "-o", out / "b.exl")
        said.refuses(2, *words)
        assert list(out.iterdir()) == []

    return compile_


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("overfech = 64", ["overfech", "did you mean 'overfetch'"]),
        ("fine_bits = 5", ["fine_bits", "4"]),
        ('fine_bits = "4"', ["fine_bits"]),
        ('coarse = "pg"', ["coarse", "known are auto, pq, sign"]),
        ("code_bytes = 0", ["code_bytes", "1"]),
        ("code_bytes = 8.5", ["code_bytes", "int"]),
        ("code_bytes = true", ["code_bytes"]),
        ("overfetch = 64\n[gate]\nqueries = 100", ["gate", "did you mean 'gates'"]),
        ("overfetch = = 3", ["TOML"]),
    ],
)
def test_a_recipe_with_an_unknown_key_or_value(
    line: str, words: list[str], tiny: Tiny, tmp_path: Path, edgexl: Edgexl
) -> None:
    recipe = tmp_path / "wrong.toml"
    recipe.write_text(f'name = "wrong"\n[index]\n{line}\n')
    out = tmp_path / "out.exl"
    said = edgexl("compile", tiny.student, "--recipe", recipe, "--target", "host", "-o", out)
    said.refuses(2, "wrong.toml", *words)
    edgexl("recipes", recipe).refuses(2, "wrong.toml", *words)
    assert not out.exists()


def test_names_that_nothing_has(tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    out = tmp_path / "out.exl"
    ways = {"--recipe": "balanced", "--target": "host"}
    for option, wrong, nearest in (("--recipe", "balancd", "balanced"), ("--target", "hos", "host")):
        options = [part for pair in {**ways, option: wrong}.items() for part in pair]
        edgexl("compile", tiny.student, *options, "-o", out).refuses(2, wrong, f"did you mean '{nearest}'")
    edgexl("compile", "no-such-student", "--recipe", "balanced", "--target", "host", "-o", out).refuses(2, "no-such")


@pytest.mark.parametrize("name", ["student.json", "model.safetensors", "tokenizer.json", "labels.json.gz"])
@pytest.mark.parametrize("how", ["missing", "cut", "empty"])
def test_a_student_with_a_file_missing_or_cut(name: str, how: str, compile_student) -> None:
    def damage(student: Path) -> None:
        content = (student / name).read_bytes()
        (student / name).unlink()
        if how != "missing":
            (student / name).write_bytes(content[: len(content) // 2] if how == "cut" else b"")

    # without student.json a directory is no student, and says so
    compile_student(damage, "student" if name == "student.json" else name)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("shapes", "query_dims"), 64),
        (("shapes", "state_dims"), 16),
        (("shapes", "label_tokens"), 0),
        (("shapes", "vocabulary"), 10),
        (("shapes", "max_tokens"), 1000),
        (("screener", "config", "layers"), 2),
        (("screener", "config", "word_dims"), 48),
        (("reasoner", "config", "state_dims"), 64),
        (("reasoner", "type"), "ListReasoner"),
        (("version",), 99),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_student_whose_shapes_contradict_each_other(path: tuple[str, ...], value: object, compile_student) -> None:
    def damage(student: Path) -> None:
        about = json.loads((student / "student.json").read_text())
        place = about
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        (student / "student.json").write_text(json.dumps(about))

    compile_student(damage)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda records: records[5].update(uid=records[4]["uid"]), ["id0004"]),
        (lambda records: records[5].update(uid=""), ["label 5", "empty id"]),
        (lambda records: records[5].update(title=""), ["label 5", "empty text"]),
        (lambda records: records[5].pop("title"), ["line 6", "title"]),
        (lambda records: records.clear(), ["label"]),
        (lambda records: records.pop(), ["label set"]),
    ],
    ids=["duplicate id", "empty id", "empty text", "no text", "no labels", "a label less"],
)
def test_label_sets_that_are_none(change, words: list[str], compile_student) -> None:
    def damage(student: Path) -> None:
        file = student / "labels.json.gz"
        records = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
        change(records)
        file.write_bytes(gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode()))

    compile_student(damage, *words)


def command(tiny: Tiny, out: Path) -> list[str]:
    where = ["--recipe", str(tiny.recipe), "--target", "host", "-o", str(out)]
    return [sys.executable, "-m", "edgexl", "compile", str(tiny.student), *where]


def test_a_disk_without_room_leaves_the_old_bundle(tiny: Tiny, tmp_path: Path) -> None:
    """A file may grow to a byte less than the bundle: writing it fails at the very end."""
    out = tmp_path / "out" / "b.exl"
    out.parent.mkdir()
    out.write_bytes(b"the old one")
    room = tiny.bundle.stat().st_size // 2

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = subprocess.run(command(tiny, out), capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode in (2, 3)
    assert done.stderr.count("\n") == 1, done.stderr
    assert "b.exl" in done.stderr
    assert [path.name for path in out.parent.iterdir()] == ["b.exl"]
    assert out.read_bytes() == b"the old one"


def test_an_interrupted_compile_leaves_the_old_bundle(tiny: Tiny, tmp_path: Path) -> None:
    """Interrupted once the progress bar, which a terminal gets, shows that it measures what quantising did."""
    out = tmp_path / "out" / "b.exl"
    out.parent.mkdir()
    out.write_bytes(b"the old one")
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        command(tiny, out), stdout=subprocess.PIPE, stderr=theirs, text=True, preexec_fn=heed_interrupts,
        env={**os.environ, "TERM": "xterm"},  # a dumb terminal gets no bar
    )  # fmt: skip
    os.close(theirs)
    said, interrupted = b"", False
    for chunk in iter(partial(read_terminal, ours), b""):
        said += chunk  # a word may come in two parts
        if b"measure" in said and not interrupted:
            interrupted = True
            process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert said.replace(b"\r\n", b"\n").endswith(b"edgexl: interrupted\n")
    assert b"Traceback" not in said
    assert [path.name for path in out.parent.iterdir()] == ["b.exl"]
    assert out.read_bytes() == b"the old one"


def read_terminal(descriptor: int) -> bytes:
    """What a process wrote to its terminal; empty once it has closed it, which Linux reports as an error."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""
