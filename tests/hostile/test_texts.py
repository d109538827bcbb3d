"""Texts and options that cannot be meant, through the command line and the C tool."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.command_line import TARGET, Edgexl, Tiny, edgexl_process, exl_run


@pytest.mark.parametrize("text", ["", " \t", "\u200b"])
def test_a_text_without_a_token(text: str, tiny: Tiny, edgexl: Edgexl) -> None:
    edgexl("run", tiny.bundle, text).refuses(2, "no token")
    said = exl_run(tiny.bundle, text)
    assert (said.status, said.lines[0]["text"]) == (2, text)
    assert "token" in said.lines[0]["error"]


def test_a_text_of_a_megabyte_is_answered_from_its_beginning(tiny: Tiny, edgexl: Edgexl) -> None:
    start = tiny.texts(1)[0]
    long = " ".join([start] * (1_000_000 // len(start)))
    answers = [
        edgexl("run", tiny.bundle, "-", "--json", stdin=long.encode()).json,
        exl_run(tiny.bundle, stdin=long.encode()).json,
        edgexl("run", tiny.bundle, long[:1000], "--json").json,
    ]
    ids = [[label["id"] for label in answer["labels"]] for answer in answers]
    assert ids[0] == ids[1] == ids[2]
    assert answers[0]["text"] == long


def test_nul_bytes_are_no_end_of_the_text(tiny: Tiny, edgexl: Edgexl) -> None:
    """The tokenizer drops control characters, so the text means what it means without them."""
    text = tiny.texts(1)[0]
    asked = (text[:2] + "\0" + text[2:] + "\0").encode()
    plain = edgexl("run", tiny.bundle, text, "--json").json["labels"]
    for answer in (edgexl("run", tiny.bundle, "-", "--json", stdin=asked).json, exl_run(tiny.bundle, stdin=asked).json):
        assert answer["text"].encode() == asked
        assert [label["id"] for label in answer["labels"]] == [label["id"] for label in plain]


@pytest.mark.parametrize("content", [b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\xaf", b"cut \xe2\x82"])
def test_invalid_utf8(content: bytes, tiny: Tiny, edgexl: Edgexl) -> None:
    edgexl("run", tiny.bundle, os.fsdecode(content)).refuses(2, "UTF-8")
    edgexl("run", tiny.bundle, "-", stdin=content).refuses(2, "line 1", "UTF-8")
    said = exl_run(tiny.bundle, stdin=content + b"\n")
    assert said.status == 2
    assert "UTF-8" in said.lines[0]["error"]


def test_an_unusable_line_does_not_cost_the_others(tiny: Tiny) -> None:
    first, second = tiny.texts(2)
    said = exl_run(tiny.bundle, stdin=f"{first}\n\n{second}\n".encode())
    assert said.status == 2
    assert [record["text"] for record in said.lines] == [first, "", second]
    assert ["labels" in record for record in said.lines] == [True, False, True]


def test_k_beyond_the_shortlist(tiny: Tiny, edgexl: Edgexl) -> None:
    edgexl("run", tiny.bundle, "a text", "-k", "17").refuses(2, "17", "16")
    exl_run(tiny.bundle, "a text", "-k", "17").refuses(2, "17", "16")
    assert edgexl("run", tiny.bundle, "a text", "-k", "0").status == 2
    assert exl_run(tiny.bundle, "a text", "-k", "0").status == 2
    assert len(edgexl("run", tiny.bundle, tiny.texts(1)[0], "-k", "16", "--json").json["labels"]) == 16


@pytest.fixture(scope="module")
def foreign(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny student's bundle for ONNX Runtime, which is a library of its own and may be missing."""
    home = tmp_path_factory.mktemp("foreign")
    recipe, bundle = home / "foreign.toml", home / "foreign.exl"
    recipe.write_text('engine = "ort"\n' + tiny.recipe.read_text())
    said = edgexl_process("compile", tiny.student, "--recipe", recipe, "--target", TARGET, "-o", bundle)
    assert said.status == 0, said.err
    return bundle


def test_a_missing_engine_names_the_way_to_get_it(foreign: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    nowhere, wrong = str(tmp_path / "libonnxruntime.so"), tmp_path / "wrong.so"
    wrong.write_text("no library")
    edgexl_process("run", foreign, "a text", EDGEXL_ORT_LIBRARY=nowhere).refuses(3, nowhere, "EDGEXL_ORT_LIBRARY")
    edgexl_process("run", foreign, "a text", EDGEXL_ORT_LIBRARY=str(wrong)).refuses(3, "wrong.so")
    exl_run(foreign, "a text", EDGEXL_ORT_LIBRARY=nowhere).refuses(3, nowhere)
    # looking needs no engine
    assert edgexl("inspect", foreign).status == 0


def test_no_engine_installed_at_all(foreign: Path, tiny: Tiny, tmp_path: Path) -> None:
    # In a process of its own: one that has imported onnxruntime holds its C library, and the loader finds it by name.
    environment = {"EDGEXL_ORT_LIBRARY": "", "PYTHONPATH": str(tmp_path)}
    (tmp_path / "sitecustomize.py").write_text('import sys\nsys.modules["onnxruntime"] = None\n')
    missing = edgexl_process("run", foreign, "a text", **environment)
    missing.refuses(3, "pip install onnxruntime", "EDGEXL_ORT_LIBRARY")
    # the native engine needs none
    assert edgexl_process("run", tiny.bundle, tiny.texts(1)[0], **environment).status == 0


def test_output_to_a_full_disk_is_not_taken_for_success(tiny: Tiny) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    import subprocess
    import sys

    text = tiny.texts(1)[0]
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "edgexl", "run", str(tiny.bundle), text, "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "No space left" in done.stderr
