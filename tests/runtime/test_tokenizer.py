"""The runtime's tokenizer gives Hugging Face's ids: over 2.6 million strings, settings, added tokens and damage."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import mmap
import multiprocessing
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from benchmarks import tokenizer as bench
from edgexl.bundle.tokenizer import pack_tokenizer

fork = multiprocessing.get_context("fork")
RUNTIME = Path(__file__).parents[2] / "edgexl/runtime"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return bench.build_library(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def student_json() -> str:
    return bench.student_tokenizer()


@pytest.fixture(scope="module")
def student_section(student_json: str) -> bytes:
    return pack_tokenizer(student_json)


def assert_same(tally: bench.Tally) -> None:
    shown = "\n".join(f"{text!r}: {got} instead of {want}" for text, got, want in tally.different[:5])
    assert not tally.different, f"{len(tally.different)} of {tally.strings} strings differ, such as\n{shown}"


def test_a_sample_has_the_same_ids_as_hugging_face(
    library: ctypes.CDLL, student_json: str, student_section: bytes
) -> None:
    device, peer = bench.DeviceTokenizer(library, student_section), bench.load_peer(student_json)
    tally = bench.Tally()
    for _, make in bench.families(peer):
        tally += bench.compare(device, peer, make()[::9])
    assert_same(tally)
    assert tally.strings >= 200_000


@pytest.mark.slow
def test_same_ids_as_hugging_face(library: ctypes.CDLL, student_json: str, student_section: bytes) -> None:
    tally = bench.compare_families(bench.DeviceTokenizer(library, student_section), bench.load_peer(student_json))
    assert_same(tally)
    assert tally.strings >= 2_000_000


# benchmarks/tokenizer.py --variants goes through all 24; here each setting is met once on and once off.
@pytest.mark.parametrize(
    "variant",
    [
        bench.Variant(),
        bench.Variant(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False),
        bench.Variant(clean_text=False, strip_accents=False),
    ],
    ids=str,
)
def test_same_ids_in_other_settings(library: ctypes.CDLL, variant: bench.Variant) -> None:
    assert_same(bench.compare_variant(library, variant))


def small_tokenizer(**changes: object) -> str:
    """A tokenizer.json with a few pieces; `changes` replace parts of the JSON, or of the model, by name."""
    pieces = ["a", "##a", "b", "##b", "ab", "##ab", "-", "[", "]", "\u00df", "<x>"]
    spec = json.loads(bench.make_tokenizer(pieces, bench.Variant()))
    for name, value in changes.items():
        (spec["model"] if name in spec["model"] else spec)[name] = value
    return json.dumps(spec)


def added(number: int, content: str, **options: bool) -> dict[str, object]:
    off = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": content, "special": True, **off, **options}


TEXTS = [
    "a <x> b", "a<x>b", "a <x>\u00a0\u0301b", "\u2003<x>\u2003<x>", "<x><x>>ab", "<<x>", "<x", "<X>", "<xy", "",
    "ab<xy> <x>a", "b <x>\x85<x> a", "aab baab", "a-b", "[CLS]a[SEP]", "[cls]", "a" * 12, "ab" * 6, "aaa aaaa aaaaa",
    "\u00df\u1e9e",
]  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"added_tokens": [added(15, "<x>", lstrip=True, rstrip=True)]},
        {"added_tokens": [added(15, "<x>", special=False), added(16, "<xy>", rstrip=True), added(17, "<")]},
        {"added_tokens": []},
        {"max_input_chars_per_word": 4},
        {"continuing_subword_prefix": ""},
        {"continuing_subword_prefix": "a"},
        {"unk_token": "b"},
    ],
    ids=str,
)
def test_same_ids_with_other_tokens(library: ctypes.CDLL, changes: dict[str, object]) -> None:
    tokenizer_json = small_tokenizer(**changes)
    device = bench.DeviceTokenizer(library, pack_tokenizer(tokenizer_json))
    texts = [text.encode() for text in TEXTS]
    assert_same(bench.compare(device, bench.load_peer(tokenizer_json), texts))
    assert_same(bench.compare(device, bench.load_peer(tokenizer_json), texts, add_special=False))


def test_marks_that_stay_come_in_canonical_order(library: ctypes.CDLL) -> None:
    """Without accents: combining marks that take room, which stay in a word, of 3 and 4 bytes and of ranks 6 to 226."""
    marks = ["\u302e", "\U0001d165", "\U0001d16d", "\U0001d16e", "\U00016ff0", "\u0f3e"]
    pieces = ["a", *marks, *(f"##{one}" for one in ("a", *marks))]
    setting = bench.Variant(strip_accents=True, lowercase=False)
    tokenizer_json = bench.make_tokenizer(pieces, setting)
    device = bench.DeviceTokenizer(library, pack_tokenizer(tokenizer_json))
    draw = random.Random(5)
    texts = ["".join(draw.choices(["a", " ", "\u0301", *marks], k=9)).encode() for _ in range(3000)]
    assert_same(bench.compare(device, bench.load_peer(tokenizer_json), texts))


def encode_guarded(library: ctypes.CDLL, section: bytes, text: bytes, capacity: int, wanted: list[int]) -> None:
    """In a process of its own: encode 16 MB of `text` again and again, of which only the first 64 KiB can be read."""
    faulthandler.disable()  # reading on is meant to be fatal
    size, readable = 16 << 20, 64 << 10
    memory = mmap.mmap(-1, size)
    memory[:readable] = (text * (readable // len(text) + 1))[:readable]
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address + readable), ctypes.c_size_t(size - readable), 0) == 0
    ids, ends = (ctypes.c_int32 * capacity)(), ctypes.c_uint64()
    refused = library.tokenize_batch(
        section, ctypes.c_uint64(len(section)), ctypes.c_void_p(address), ctypes.byref(ctypes.c_uint64(size)),
        ctypes.c_uint64(1), 1, ctypes.c_uint64(capacity), ids, ctypes.byref(ends),
    )  # fmt: skip
    os._exit(refused or list(ids[: ends.value]) != wanted)


@pytest.mark.parametrize("text", [b"hello ", b"\xed\x95\x9c \xff", b"[MASK]", b"(\xcc\x81"], ids=repr)
def test_reading_stops_when_the_ids_are_full(library: ctypes.CDLL, student_section: bytes, text: bytes) -> None:
    wanted = bench.DeviceTokenizer(library, student_section).encode([text * 2_000], capacity=16)[0].tolist()
    for capacity, exit_code in ((16, 0), (1 << 20, -signal.SIGSEGV)):  # room for more ids has it read on
        child = fork.Process(target=encode_guarded, args=(library, student_section, text, capacity, wanted))
        child.start()
        child.join()
        assert child.exitcode == exit_code


def test_unaligned_section(library: ctypes.CDLL, student_section: bytes) -> None:
    shifted = ctypes.create_string_buffer(b"\0" + student_section)
    ids, ends = (ctypes.c_int32 * 8)(), ctypes.c_uint64()
    refused = library.tokenize_batch(
        ctypes.byref(shifted, 1), ctypes.c_uint64(len(student_section)), b"hello", ctypes.byref(ctypes.c_uint64(5)),
        ctypes.c_uint64(1), 1, ctypes.c_uint64(8), ids, ctypes.byref(ends),
    )  # fmt: skip
    assert not refused
    assert ends.value == 3


def test_refuses_what_is_behind_the_section(library: ctypes.CDLL, student_section: bytes) -> None:
    for damaged in (student_section + bytes(4), student_section[:-4], b""):
        with pytest.raises(ValueError, match="refuses"):
            bench.DeviceTokenizer(library, damaged).encode([b"hello"])


def test_damaged_sections_under_sanitizers(tmp_path: Path, student_section: bytes) -> None:
    section, program = tmp_path / "section.bin", tmp_path / "test_tokenizer"
    section.write_bytes(student_section)
    sources = [RUNTIME / "tests/test_tokenizer.c", *bench.SOURCES[:-1]]
    flags = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    subprocess.run(["cc", *flags, "-fno-sanitize-recover=all", *sources, "-o", program], check=True)
    done = subprocess.run([program, section], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "all passed" in done.stdout
