"""A bundle is opened from memory and out of the middle of an open file, and answers as from its own."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgexl.runtime.declarations import read_header
from edgexl.runtime.library import call, load_library
from tests.runtime.tiny_bundle import build

HEADER = read_header()
STATUS = HEADER.constants
COPY = STATUS["EXL_OPEN_COPY"]
VERIFY = STATUS["EXL_OPEN_VERIFY"]
TEXT = b"old kings of cold rivers"


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(native=True).write(tmp_path_factory.mktemp("bundle") / "tiny.exl").read_bytes()


@pytest.fixture(scope="module")
def memory(content: bytes) -> Iterator[int]:
    """Where the content lies, at a multiple of 64, with 64 bytes of room behind it."""
    room = ctypes.create_string_buffer(len(content) + 128)
    start = ctypes.addressof(room) + -ctypes.addressof(room) % 64
    ctypes.memmove(start, content, len(content))
    yield start
    del room  # it had to live until here


def opened(how: str, *arguments: Any, flags: int = VERIFY, labels: bytes | None = None) -> tuple[int, str, Any]:
    """Status, sentence, and what it answers: labels with probabilities, to the bit."""
    library, bundle, session = load_library(), ctypes.c_void_p(), ctypes.c_void_p()
    options = HEADER.make("exl_open_options", flags=flags, labels_path=labels)
    status, sentence = call(library, how, *arguments, ctypes.byref(options), ctypes.byref(bundle))
    if status != STATUS["EXL_OK"]:
        assert not bundle
        return status, sentence, None
    assert call(library, "exl_session_open", bundle, None, ctypes.byref(session))[0] == 0
    report = HEADER.make("exl_self_test_report")
    assert call(library, "exl_self_test_run", session, ctypes.byref(report))[0] == 0
    assert report.goldens > 0
    result = ctypes.POINTER(HEADER.structs["exl_result"])()
    assert call(library, "exl_predict", session, TEXT, len(TEXT), None, ctypes.byref(result))[0] == 0
    predictions = [result.contents.predictions[place].contents for place in range(result.contents.count)]
    answer = [(one.id, one.probability, one.logit) for one in predictions]
    retired = call(library, "exl_labels_retire", bundle, (ctypes.c_char_p * 1)(answer[0][0]),
                   (ctypes.c_size_t * 1)(len(answer[0][0])), 1)  # fmt: skip
    library.exl_session_close(session)
    library.exl_bundle_close(bundle)
    return status, retired[1], answer


@pytest.fixture
def expected(content: bytes, tmp_path: Path) -> Any:
    (tmp_path / "plain.exl").write_bytes(content)
    return opened("exl_bundle_open", os.fsencode(tmp_path / "plain.exl"))[2]


def test_from_memory(content: bytes, memory: int, expected: Any) -> None:
    status, said, answer = opened("exl_bundle_open_memory", memory, len(content))
    assert (status, answer) == (0, expected)
    assert "opened without its label file" in said
    assert opened("exl_bundle_open_memory", memory, len(content), flags=VERIFY | COPY)[2] == expected


def test_memory_must_be_aligned_unless_it_is_copied(content: bytes, expected: Any) -> None:
    room = ctypes.create_string_buffer(len(content) + 128)
    odd = ctypes.addressof(room) + -ctypes.addressof(room) % 64 + 4
    ctypes.memmove(odd, content, len(content))
    status, said, _ = opened("exl_bundle_open_memory", odd, len(content))
    assert (status, "multiple of 64" in said) == (STATUS["EXL_BAD_ARGUMENT"], True)
    assert opened("exl_bundle_open_memory", odd, len(content), flags=COPY)[2] == expected


@pytest.mark.parametrize(("offset", "behind"), [(0, 0), (64, 0), (4096, 33), (16384 + 640, 100_000)])
def test_from_the_middle_of_a_file(content: bytes, offset: int, behind: int, expected: Any, tmp_path: Path) -> None:
    (tmp_path / "asset").write_bytes(b"\1" * offset + content + b"\2" * behind)
    with (tmp_path / "asset").open("rb") as asset:
        for flags in (VERIFY, VERIFY | COPY, 0):
            for length in (len(content), *(() if behind else (0,))):
                how = (asset.fileno(), offset, length)
                assert opened("exl_bundle_open_descriptor", *how, flags=flags)[2] == expected
        assert os.fstat(asset.fileno()).st_size  # it is still ours


def test_an_offset_must_be_aligned_unless_it_is_copied(content: bytes, expected: Any, tmp_path: Path) -> None:
    (tmp_path / "asset").write_bytes(b"\1" * 30 + content)
    with (tmp_path / "asset").open("rb") as asset:
        status, said, _ = opened("exl_bundle_open_descriptor", asset.fileno(), 30, len(content))
        assert (status, "multiple of 64" in said) == (STATUS["EXL_BAD_ARGUMENT"], True)
        assert opened("exl_bundle_open_descriptor", asset.fileno(), 30, 0, flags=COPY)[2] == expected


def test_labels_are_changed_where_a_path_is_given(content: bytes, memory: int, expected: Any, tmp_path: Path) -> None:
    labels = os.fsencode(tmp_path / "changes")
    assert opened("exl_bundle_open_memory", memory, len(content), labels=labels)[1:] == ("", expected)
    again = opened("exl_bundle_open_memory", memory, len(content), labels=labels)[2]
    assert again[0] != expected[0]
    assert opened("exl_bundle_open_memory", memory, len(content), labels=labels, flags=8)[2] == expected


def test_what_cannot_be_opened_is_said(content: bytes, memory: int, tmp_path: Path) -> None:
    def said(how: str, *arguments: Any) -> tuple[int, str]:
        return opened(how, *arguments)[:2]

    assert said("exl_bundle_open_memory", None, 5)[0] == STATUS["EXL_BAD_ARGUMENT"]
    assert said("exl_bundle_open_memory", memory, 0) == (STATUS["EXL_NOT_A_BUNDLE"], "the file is empty")
    assert said("exl_bundle_open_memory", memory, len(content) - 1)[0] == STATUS["EXL_BUNDLE_TRUNCATED"]
    (tmp_path / "asset").write_bytes(content)
    with (tmp_path / "asset").open("rb") as asset:
        number = asset.fileno()
        for offset, length in ((0, len(content) + 1), (len(content) + 64, 0), (64, 2**64 - 1), (2**64 - 64, 0)):
            assert said("exl_bundle_open_descriptor", number, offset, length)[0] == STATUS["EXL_BUNDLE_TRUNCATED"]
        assert said("exl_bundle_open_descriptor", number, len(content), 0)[0] in (
            STATUS["EXL_NOT_A_BUNDLE"],
            STATUS["EXL_BAD_ARGUMENT"],
        )
    assert said("exl_bundle_open_descriptor", number, 0, 0)[0] == STATUS["EXL_FILE_UNREADABLE"]
    assert said("exl_bundle_open_descriptor", -1, 0, 0)[0] == STATUS["EXL_BAD_ARGUMENT"]
    reader, writer = os.pipe()
    assert "pipe" in said("exl_bundle_open_descriptor", reader, 0, 0)[1]
    os.close(reader)
    os.close(writer)


def test_nothing_stays_open(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "asset").write_bytes(content)
    before = os.listdir("/proc/self/fd") if Path("/proc/self/fd").is_dir() else []
    with (tmp_path / "asset").open("rb") as asset:
        opened("exl_bundle_open_descriptor", asset.fileno(), 0, 0)
        opened("exl_bundle_open_descriptor", asset.fileno(), 0, 0, flags=COPY)
        opened("exl_bundle_open_descriptor", asset.fileno(), 64, 0)
    assert len(os.listdir("/proc/self/fd")) == len(before) if before else True
