"""The reader of label files, on files that the runtime wrote and on what became of them."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.label_file import COMMIT, OPERATIONS_AT, label_file_of, read_label_file
from edgexl.runtime.binding import NewLabel, open_bundle
from tests.runtime.tiny_bundle import build


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A label file's path, and its bytes after one change and after two."""
    bundle = build(native=True).write(tmp_path_factory.mktemp("labels") / "tiny.exl")
    with open_bundle(bundle) as handle:
        handle.add_labels([NewLabel("N1", "red river", ("old king",))])
        first = label_file_of(bundle).read_bytes()
        handle.retire_labels(["L0005", "N1"])
    return bundle.with_name("copy.labels"), first, label_file_of(bundle).read_bytes()


def signed(data: bytes) -> bytes:
    """The file with one commit, over all that it holds."""
    operations = hashlib.sha256(data[OPERATIONS_AT:]).digest()
    start = struct.pack("<QQ32s", 1, len(data), operations)
    commit = start + hashlib.sha256(data[:128] + start).digest()[:16]
    return data[:128] + commit + bytes(COMMIT.size) + data[OPERATIONS_AT:]


def test_what_was_added_and_retired(written: tuple[Path, bytes, bytes]) -> None:
    path, first, second = written
    path.write_bytes(first)
    (label,) = read_label_file(path).added
    assert (label.index, label.id, label.text, label.aliases) == (300, "N1", "red river", ("old king",))
    assert [len(row) for row in (*label.coarse, *label.fine)] == [2, 2, 14, 14]
    path.write_bytes(second)
    found = read_label_file(path)
    assert (found.labels, found.generation, found.retired_compiled) == (300, 2, (5,))
    assert found.added[0].retired


def test_old_or_new_wherever_it_is_cut(written: tuple[Path, bytes, bytes]) -> None:
    path, first, second = written
    for length in range(len(first), len(second)):
        path.write_bytes(second[:length])
        assert read_label_file(path).generation == 1
    for length in range(len(first)):
        path.write_bytes(second[:length])
        with pytest.raises(BadInput, match=r"copy it again|not a label file"):
            read_label_file(path)


def test_files_that_break_the_rules(written: tuple[Path, bytes, bytes]) -> None:
    path, first, second = written
    for at, value, sentence in (
        (256, 3, "at byte 256"),  # kind
        (260, 0, "at byte 256"),  # bytes
        (264, 301, "300 is due"),  # label
        (268, 1, "at byte 256"),  # rows
        (272, 1 << 31, "at byte 256"),  # string_bytes
        (276, 1, "at byte 256"),  # reserved
    ):
        data = bytearray(first)
        struct.pack_into("<I", data, at, value)
        path.write_bytes(signed(bytes(data)))
        with pytest.raises(BadInput, match=sentence):
            read_label_file(path)
    again = second + second[-24:]
    path.write_bytes(signed(again))
    with pytest.raises(BadInput, match="retires label 300, which is not in the set"):
        read_label_file(path)
    place = first.index(b"red river")
    path.write_bytes(signed(first[:place] + b"\xff" + first[place + 1 :]))
    with pytest.raises(BadInput, match="not UTF-8"):
        read_label_file(path)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_label_file(tmp_path / "none")
    with pytest.raises(BadInput, match=r"/proc/self/mem cannot be read: .*Input/output error"):
        read_label_file("/proc/self/mem")  # opens, and has no first byte
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BadInput, match="not a label file"):
        read_label_file(tmp_path / "text")
