"""A sealed file or directory is whole, or it is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgexl.base.sealed import SEAL_BYTES, is_sealed, is_sealed_directory, read_sealed, seal_directory, write_sealed

CONTENT = bytes(range(256)) * 3


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "entry"
    with write_sealed(path) as stream:
        stream.write(CONTENT)
    return path


def test_what_was_sealed_comes_back(sealed: Path, tmp_path: Path) -> None:
    assert read_sealed(sealed) == CONTENT
    assert is_sealed(sealed)
    assert sealed.stat().st_size == len(CONTENT) + SEAL_BYTES
    with write_sealed(tmp_path / "empty"):
        pass
    assert read_sealed(tmp_path / "empty") == b""


def test_a_large_file_is_checked_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgexl.base.sealed._PIECE_BYTES", 100)
    path = tmp_path / "entry"
    with write_sealed(path) as stream:
        stream.write(CONTENT)
    assert is_sealed(path)
    content = path.read_bytes()
    path.write_bytes(content[100:200] + content[:100] + content[200:])
    assert not is_sealed(path)


def test_no_byte_can_change(sealed: Path) -> None:
    content = sealed.read_bytes()
    with open(sealed, "r+b", buffering=0) as file:
        for place, byte in enumerate(content):
            for bit in (1, 128):
                os.pwrite(file.fileno(), bytes([byte ^ bit]), place)
                assert read_sealed(sealed) is None
            os.pwrite(file.fileno(), bytes([byte]), place)
    assert read_sealed(sealed) == CONTENT


@pytest.mark.parametrize("kept", [0, 1, SEAL_BYTES - 1, SEAL_BYTES, 500, len(CONTENT) + SEAL_BYTES - 1])
def test_a_cut_file_is_none(kept: int, sealed: Path) -> None:
    sealed.write_bytes(sealed.read_bytes()[:kept])
    assert not is_sealed(sealed)


def test_what_is_no_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("directory", "fifo", "nothing", "n" * 300):
        assert not is_sealed(tmp_path / name)


def add(directory: Path) -> None:
    (directory / "more").write_bytes(b"x")


def change(directory: Path) -> None:
    (directory / "deep" / "two").write_bytes(b"THERE")


@pytest.mark.parametrize(
    "damage",
    [
        add,
        change,
        lambda directory: (directory / "one").unlink(),
        lambda directory: (directory / "SEAL.json").unlink(),
        lambda directory: (directory / "SEAL.json").write_bytes(b"["),
        lambda directory: (directory / "SEAL.json").write_bytes(b"[" * 100_000),
        shutil.rmtree,
    ],
)
def test_a_directory_is_as_it_was_sealed_or_not_sound(damage: Callable[[Path], None], tmp_path: Path) -> None:
    directory = tmp_path / "d"
    (directory / "deep").mkdir(parents=True)
    (directory / "one").write_bytes(b"")
    (directory / "deep" / "two").write_bytes(b"there")
    assert not is_sealed_directory(directory)
    seal_directory(directory)
    assert is_sealed_directory(directory)
    damage(directory)
    assert not is_sealed_directory(directory)
