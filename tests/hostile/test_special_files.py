"""Files that are no files, and manifests that are no manifests: a sentence at once, by every command."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.layout import Kind
from edgexl.bundle.read import read_bundle
from edgexl.bundle.write import write_bundle
from edgexl.runtime.binding import open_bundle
from tests.command_line import Edgexl, Tiny, exl_run


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """A FIFO that blocks would block for ever."""
    timer = threading.Timer(120, os._exit, [99])
    timer.start()
    yield
    timer.cancel()


@pytest.fixture(params=["fifo", "directory", "device"])
def special(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "special"
    if request.param == "fifo":
        os.mkfifo(path)
    elif request.param == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    return path


def test_in_place_of_a_bundle(special: Path, tiny: Tiny, edgexl: Edgexl) -> None:
    for arguments in (
        ("run", special, "text"),
        ("complete", special, "a"),
        ("eval", special, tiny.student / "evaluation.json.gz"),
        ("inspect", special),
        ("profile", special),
        ("labels", "add", special, "a", "b"),
        ("labels", "list", special, "--state", "all"),
        ("labels", "compact", special),
        ("demo", "-o", special),
    ):
        edgexl(*arguments).refuses(2, str(special))
    exl_run(special, "text").refuses(2, str(special))


def test_in_place_of_a_label_file(special: Path, tiny: Tiny, edgexl: Edgexl) -> None:
    for arguments in (("run", tiny.bundle, "text"), ("complete", tiny.bundle, "a"), ("labels", "list", tiny.bundle),
                      ("labels", "add", tiny.bundle, "a", "b"), ("inspect", tiny.bundle)):  # fmt: skip
        said = edgexl(*arguments, "--labels-file", special)
        assert said.status in (2, 3), said
        assert said.err.count("\n") == 1, said
        assert "Traceback" not in said.err


def test_in_place_of_what_is_read(special: Path, tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    out = tmp_path / "out"
    where = ("--target", "host", "-o", out)
    for arguments in (
        ("labels", "add", tiny.bundle, "--file", special),
        ("labels", "retire", tiny.bundle, "--file", special),
        ("eval", tiny.bundle, special),
        ("eval", tiny.bundle, tiny.student / "evaluation.json.gz", "--student", special),
        ("profile", tiny.bundle, special),
        ("compile", special, "--recipe", tiny.recipe, *where),
        ("compile", tiny.student, "--recipe", special, *where),
        ("compile", tiny.student, "--recipe", tiny.recipe, "--target", special, "-o", out),
        ("recipes", special),
        ("targets", special),
        ("distill", special, "-o", out),
        ("data", "show", special),
        ("characterize", special, "wordnet", "-o", out),
    ):
        said = edgexl(*arguments)
        assert (said.status, said.err.count("\n")) == (2, 1), (arguments, said)
    assert not out.exists()


@pytest.mark.parametrize("name", ["student.json", "model.safetensors", "tokenizer.json", "labels.json.gz"])
def test_in_place_of_a_part_of_a_student(name: str, special: Path, tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    student = Path(shutil.copytree(tiny.student, tmp_path / "student"))
    (student / name).unlink()
    special.rename(student / name)
    edgexl("compile", student, "--recipe", tiny.recipe, "--target", "host", "-o", tmp_path / "b.exl").refuses(
        2, "student"
    )


def test_in_place_of_what_is_written(special: Path, tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    before = os.lstat(special)
    where = ("--recipe", tiny.recipe, "--target", "host")
    edgexl("compile", tiny.student, *where, "-o", special).refuses(2, str(special))
    if not special.is_dir():
        edgexl("data", "build", "wordnet", special).refuses(2, str(special))
        edgexl("runtime", "amalgamate", "-o", special).refuses(2, str(special))
    assert os.path.samestat(before, os.lstat(special))


def with_manifest(tiny: Tiny, path: Path, manifest: bytes) -> Path:
    """The tiny bundle with another manifest and right hashes."""
    bundle = read_bundle(tiny.bundle)
    sections = {Kind(entry.kind): bytes(bundle.section(Kind(entry.kind))) for entry in bundle.entries}
    write_bundle(path, {**sections, Kind.MANIFEST: manifest})
    return path


@pytest.mark.parametrize(
    "manifest",
    [
        b"\xff\xfe", b"{", b"[]", b"null", b'"text"', b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}',
        b'{"a": 1' + b"0" * 400 + b"}", b'{"a":' * 20_000, b"[" * 100_000, b'{"a": "\xff"}', "{}".encode("utf-16"),
    ],
    ids=lambda manifest: repr(manifest[:12]),
)  # fmt: skip
def test_a_manifest_that_is_no_json(manifest: bytes, tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    bundle = with_manifest(tiny, tmp_path / "b.exl", manifest)
    for arguments in (
        ("inspect", bundle),
        ("eval", bundle, tiny.student / "evaluation.json.gz"),
        ("profile", bundle),
        ("demo", "-o", bundle),
    ):
        edgexl(*arguments).refuses(2, "manifest")
    with pytest.raises(BadInput, match="manifest"), open_bundle(bundle) as handle:
        _ = handle.manifest
    # which needs no manifest, or says so
    assert edgexl("run", bundle, "ba").status in (0, 2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shapes", []), ("shapes", None), ("engine", 1), ("engine", None), ("recipe", "x"), ("recipe", {}),
        ("recipe", {"name": 1}), ("target", []), ("target", {"title": "x"}), ("ledger", {}), ("ledger", [1]),
        ("ledger", [{}]), ("ledger", [{"pass": 1, "seconds": None}]), ("gates", 1), ("gates", ["x"]), ("gates", None),
    ],
)  # fmt: skip
def test_a_manifest_of_another_shape(key: str, value: Any, tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    manifest = {**read_bundle(tiny.bundle).manifest, key: value}
    bundle = with_manifest(tiny, tmp_path / "b.exl", json.dumps(manifest).encode())
    edgexl("inspect", bundle).refuses(2, "manifest", key)
    del manifest[key]
    with_manifest(tiny, bundle, json.dumps(manifest).encode())
    edgexl("inspect", bundle).refuses(2, "manifest", key)
    assert edgexl("run", bundle, "ba").status == 0


@pytest.mark.parametrize("kind", [Kind.LABEL_TEXTS, Kind.LABEL_IDS])
def test_labels_that_are_not_utf8(kind: Kind, tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    """The bytes of strings are not looked at when a bundle is opened: whoever meets one says so."""
    bundle = read_bundle(tiny.bundle)
    sections = {Kind(entry.kind): bytes(bundle.section(Kind(entry.kind))) for entry in bundle.entries}
    strings = sections[kind]
    place = strings.index(b"ba" if kind == Kind.LABEL_TEXTS else b"id")  # in the table of symbols
    sections[kind] = strings[:place] + b"\xff\xfe" + strings[place + 2 :]
    path = tmp_path / "b.exl"
    write_bundle(path, sections)
    statuses = set()
    for arguments in (
        ("run", path, "ba"),
        ("complete", path, "b", "-n", "500"),
        ("labels", "list", path, "--state", "all"),
        ("eval", path, tiny.student / "evaluation.json.gz"),
    ):
        said = edgexl(*arguments)
        assert "Traceback" not in said.err
        assert said.status in (0, 2), said
        assert said.status == 0 or said.err.count("\n") == 1
        statuses.add(said.status)
    assert 2 in statuses
