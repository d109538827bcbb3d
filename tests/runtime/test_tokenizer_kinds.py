"""The runtime's tokenizers other than BERT's give Hugging Face's ids, and bear damaged sections.

`benchmarks/tokenizer.py --kinds` compares over 2 million strings each.
"""

from __future__ import annotations

import ctypes
import random
import subprocess
from pathlib import Path

import pytest

from benchmarks import tokenizer as bench
from benchmarks import tokenizer_kinds as kinds
from edgexl.bundle.tokenizer import Prompts, pack_tokenizer

RUNTIME = bench.ROOT / "edgexl/runtime"
SMALL = ("byte-level bpe: roberta", "bpe: llama")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return bench.build_library(tmp_path_factory.mktemp("tokenizer"))


def texts_for(count: int) -> list[bytes]:
    rng = random.Random(5)
    texts = [*kinds.texts_of_kind(rng, count), *kinds.long_texts(rng, count // 20), *bench.mixtures(rng, count)]
    return [*(text.encode() for text in texts), *bench.damage(rng, count // 4)]


def assert_equal(library: ctypes.CDLL, tokenizer_json: str, count: int) -> None:
    device = bench.DeviceTokenizer(library, pack_tokenizer(tokenizer_json))
    peer, texts = bench.load_peer(tokenizer_json), texts_for(count)
    for cut in (0, 3, 9):
        found = bench.compare(device, peer, texts, cut=cut)
        assert not found.different, found.different[:3]


@pytest.mark.parametrize("kind", SMALL)
def test_small_kinds(library: ctypes.CDLL, kind: str) -> None:
    assert_equal(library, kinds.KINDS[kind](), 600)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [name for name in kinds.KINDS if name not in SMALL and name != "wordpiece"])
def test_all_kinds(library: ctypes.CDLL, kind: str) -> None:
    assert_equal(library, kinds.KINDS[kind](), 4000)


def test_a_prompt_and_a_text_are_read_as_one(library: ctypes.CDLL) -> None:
    tokenizer_json = kinds.llama()
    device = bench.DeviceTokenizer(library, pack_tokenizer(tokenizer_json, Prompts("query: ", "e")))
    peer = bench.load_peer(tokenizer_json)
    for text in ("umbrella", "", " ", "\u0301", "<mask>", "x" * 600):
        ids, _ = device.encode([text.encode()])
        assert ids.tolist() == peer.encode("query: " + text).ids, text


def test_a_long_text_of_one_letter_takes_no_longer_than_its_length(library: ctypes.CDLL) -> None:
    """10 MB, of which no beginning is settled before the end: cut to 64 tokens."""
    device = bench.DeviceTokenizer(library, pack_tokenizer(kinds.llama()))
    ids, _ = device.encode([b"a" * 10_000_000], capacity=64)
    assert len(ids) == 64


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("sanitized") / "test_tokenizer"
    sources = [RUNTIME / "tests/test_tokenizer.c", *bench.SOURCES[:-1]]
    flags = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    subprocess.run(["cc", *flags, "-fno-sanitize-recover=all", *sources, "-o", program], check=True)
    return program


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_damaged_sections_under_sanitizers(sanitized: Path, tmp_path: Path, kind: str) -> None:
    section = tmp_path / "section.bin"
    section.write_bytes(pack_tokenizer(kinds.KINDS[kind](), Prompts("query: ", "passage: ")))
    done = subprocess.run([sanitized, section], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
