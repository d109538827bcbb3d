"""The runtime's tokenizer against Hugging Face's: differences over more than 2 million strings, and the time of both.

    python -m benchmarks.tokenizer              the student's tokenizer, about 2.6 million strings
    python -m benchmarks.tokenizer --variants   also all settings of the BERT normalizer, every code point in each
    python -m benchmarks.tokenizer --kinds      a tokenizer of each other kind, over 2 million strings each
    python -m benchmarks.tokenizer --kinds roberta,e5       some of them, by parts of their names

The strings hold every code point, alone and between letters; every mark and format character between reordering marks;
pairs of all kinds of characters; Hangul composed and decomposed; words around the length limit; special tokens written
out; mixtures of scripts; English-like text; bytes that are not UTF-8; and the same cut at several lengths. It exits 1
on any difference. The tests under tests/ run the same families.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Read when the library starts its threads: one thread for each side, so that times can be compared.
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from edgexl.bundle.tokenizer import pack_tokenizer

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = ROOT / "edgexl/runtime/src"
SOURCES = [*(RUNTIME / f"{name}.c" for name in ("tokenizer", "subwords", "spelling", "utf8"))]
SOURCES += [ROOT / "benchmarks/tokenize_batch.c"]
SHIPPED = ROOT / "students/wordnet/tokenizer.json"

BATCH = 2048  # strings a call, of both sides
WHOLE = 1 << 15  # a capacity that none of the strings reaches
ALPHABET = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
# Two marks that survive accent stripping and change places when written in this order.
HIGH_MARK, LOW_MARK = "\U0001d16d", "\U0001d165"


# ---- Both sides ----


def build_library(directory: Path, *flags: str) -> ctypes.CDLL:
    """Compile the runtime's tokenizer into a shared library of its own, without the rest of the runtime."""
    path = directory / "libtokenize_batch.so"
    include = f"-I{SOURCES[0].parent}"
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", "-O2", *warnings, *flags, "-shared", "-fPIC", include, *SOURCES, "-o", path], check=True)
    return ctypes.CDLL(str(path))


@dataclass
class DeviceTokenizer:
    """The C tokenizer on a packed section."""

    library: ctypes.CDLL
    section: bytes

    def encode(
        self, texts: list[bytes], add_special: bool = True, capacity: int = WHOLE
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ids of all texts, end to end (int32), and where each text's ids end (uint64)."""
        joined = b"".join(texts)
        ends = np.fromiter(itertools.accumulate(map(len, texts)), np.uint64, len(texts))
        ids = np.empty(len(texts) * capacity, np.int32)
        id_ends = np.empty(len(texts), np.uint64)
        refused = self.library.tokenize_batch(
            self.section,
            ctypes.c_uint64(len(self.section)),
            joined,
            ends.ctypes,
            ctypes.c_uint64(len(texts)),
            int(add_special),
            ctypes.c_uint64(capacity),
            ids.ctypes,
            id_ends.ctypes,
        )
        if refused:
            raise ValueError("the runtime refuses the tokenizer section")
        return ids[: int(id_ends[-1])] if texts else ids[:0], id_ends


def load_peer(tokenizer_json: str) -> Tokenizer:
    """Hugging Face's tokenizer, without the truncation and padding that its file may ask for."""
    peer = Tokenizer.from_str(tokenizer_json)
    peer.no_truncation()
    peer.no_padding()
    return peer


def student_tokenizer() -> str:
    """The shipped student's tokenizer.json; where there is none yet, that of the model it is made from."""
    if SHIPPED.is_file():
        return SHIPPED.read_text(encoding="utf-8")
    from edgexl.student.importer import locate_model

    return (locate_model("all-MiniLM-L6-v2") / "tokenizer.json").read_text(encoding="utf-8")


@dataclass
class Tally:
    """What a comparison found: `different` holds the strings, the first few of them printed by the caller."""

    strings: int = 0
    tokens: int = 0
    different: list[tuple[bytes, list[int], list[int]]] = field(default_factory=list)

    def __iadd__(self, other: Tally) -> Tally:
        self.strings += other.strings
        self.tokens += other.tokens
        self.different += other.different
        return self


def compare(
    device: DeviceTokenizer, peer: Tokenizer, texts: list[bytes], add_special: bool = True, cut: int = 0
) -> Tally:
    """Tokenize on both sides. `cut`: the number of tokens to truncate to, 0 = do not truncate."""
    if cut:
        peer.enable_truncation(cut)
    tally = Tally()
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        ids, ends = device.encode(batch, add_special, cut or WHOLE)
        decoded = [text.decode(errors="replace") for text in batch]
        expected = [e.ids for e in peer.encode_batch_fast(decoded, add_special_tokens=add_special)]
        expected_ends = np.fromiter(itertools.accumulate(map(len, expected)), np.uint64, len(batch))
        flat = np.fromiter(itertools.chain.from_iterable(expected), np.int32, int(expected_ends[-1]))
        tally.strings += len(batch)
        tally.tokens += len(ids)
        if not (np.array_equal(ends, expected_ends) and np.array_equal(ids, flat)):
            for text, row, want in zip(batch, np.split(ids, ends[:-1].astype(np.int64)), expected, strict=True):
                if row.tolist() != want:
                    tally.different.append((text, row.tolist(), want))
    if cut:
        peer.no_truncation()
    return tally


# ---- The strings ----

SCRIPTS = {
    "latin": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
    "accented": "".join(map(chr, range(0xC0, 0x250))) + "".join(map(chr, range(0x1E00, 0x1F00))),
    "greek": "".join(map(chr, range(0x370, 0x400))) + "".join(map(chr, range(0x1F00, 0x2000))),
    "cyrillic": "".join(map(chr, range(0x400, 0x530))),
    "hebrew_arabic": "".join(map(chr, range(0x590, 0x780))),
    "indic": "".join(map(chr, range(0x900, 0xE00))),
    "south_east_asian": "".join(map(chr, range(0xE00, 0x1100))) + "".join(map(chr, range(0x1780, 0x1C50))),
    "hangul": "".join(map(chr, range(0xAC00, 0xD7A4, 7))) + "".join(map(chr, range(0x1100, 0x1200))),
    "japanese": "".join(map(chr, range(0x3000, 0x3100))),
    "chinese": "".join(map(chr, range(0x4E00, 0x9FFF, 11))) + "".join(map(chr, range(0xF900, 0xFB00))),
    "symbols": "".join(map(chr, range(0x2000, 0x2C00))),
    "ascii_punctuation": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "spaces_controls": "".join(map(chr, range(0x21)))
    + "\x7f\x80\x85\xa0\xad\u1680\u180e\u200b\u200d\u2028\u2029\u202f\u3000\ufeff\ufffd",
    "marks": "".join(c for c in ALPHABET if unicodedata.category(c)[0] == "M"),
    "musical": "".join(map(chr, range(0x1D100, 0x1D200))),
    "emoji": "".join(map(chr, range(0x1F300, 0x1F700))) + "\u200d\ufe0f",
    "unassigned_private": "\u0378\ue000\uf8ff\U000e0001\U000f0000\U0010fffd\ufdd0\uffff",
}


def is_special(char: str) -> bool:
    """Whether a character is more than an undecomposable, caseless letter or an unassigned or private code point."""
    return unicodedata.category(char) not in ("Lo", "Cn", "Co") or bool(unicodedata.decomposition(char))


def pairs(rng: random.Random) -> Iterator[str]:
    """All pairs of about 230 characters: a few of each category with each kind of decomposition, and all spaces."""
    kinds: dict[tuple[str, int, int, bool], list[str]] = {}
    for char in ALPHABET:
        decomposed = unicodedata.normalize("NFD", char)
        kind = (unicodedata.category(char), len(decomposed), unicodedata.combining(char) // 40, char.isspace())
        kinds.setdefault(kind, []).append(char)
    chosen = [char for members in kinds.values() for char in rng.sample(members, min(3, len(members)))]
    chosen += ["a", "A", "\u00c9", "\u0130", "\u4e2d", "\uac01", "\uf900", HIGH_MARK, LOW_MARK, "\u0344", "\u037e"]
    for first, second in itertools.product(chosen, repeat=2):
        yield "x" + first + second + "y"


def hangul(rng: random.Random) -> Iterator[str]:
    syllables = [chr(c) for c in range(0xAC00, 0xD7A4)]
    for syllable in syllables:
        yield syllable + rng.choice(syllables)
        yield unicodedata.normalize("NFD", syllable) + rng.choice("\u11a8\u1161\u1100a\u302e")


def reordered_marks(rng: random.Random, count: int) -> Iterator[str]:
    marks = SCRIPTS["marks"]
    survivors = "".join(c for c in marks if unicodedata.category(c) == "Mc" and unicodedata.combining(c))
    for _ in range(count):
        yield "".join(
            rng.choice(rng.choice((survivors, survivors, marks, "e\u200d\x00\u4e2d!\u1d15e "))) for _ in range(8)
        )


def mixtures(rng: random.Random, count: int) -> Iterator[str]:
    names = list(SCRIPTS)
    for _ in range(count):
        alphabet = "".join(SCRIPTS[name] for name in rng.sample(names, 2)) + " e"
        yield "".join(rng.choices(alphabet, k=rng.randrange(1, 24)))


def english(rng: random.Random, pieces: list[str], count: int) -> Iterator[str]:
    """Words as the vocabulary would make them, with case, accents and punctuation; 1 to 24 words."""
    heads = [word for word in (piece.lstrip("\u0120\u2581") for piece in pieces) if word.isalpha() and word.isascii()]
    tails = [piece[2:] for piece in pieces if piece.startswith("##")] or heads
    ends = ["", "", "", "", ",", ".", "'s", "-", ";", " (", ")", "...", "\u2019s", " \u2013"]

    def word() -> str:
        made = rng.choice(heads) + "".join(rng.choices(tails, k=rng.choice((0, 0, 0, 1, 1, 2))))
        made = rng.choice((made, made, made.capitalize(), made.upper(), made.replace("e", "\u00e9")))
        return made + rng.choice(ends)

    for _ in range(count):
        yield " ".join(word() for _ in range(rng.randrange(1, 25)))


def long_words(rng: random.Random) -> Iterator[str]:
    """Words of 90 to 110 characters, on both sides of the limit of 100, of one to four bytes or decomposing to more."""
    for length in range(90, 111):
        for unit in (
            "a",
            "ab",
            "\u00e9",
            "\u0130",
            "\u0e01",
            "\U00010400",
            "\uac00",
            "\uac01",
            "e\u0301",
            LOW_MARK,
            HIGH_MARK + LOW_MARK,
        ):
            made = (unit * length)[: length * 2 if len(unit) == 2 and unit[0] == "e" else length]
            for around in ("{}", "x {} y", "{}.", "({})", "{}\u4e2d", "{}[SEP]z", "{}\u0301", "\x00{}\ufffd"):
                yield around.format(made)
    for length in (1000, 20000):
        yield "a" * length + " b" + rng.choice("cde")


def special_tokens(rng: random.Random, contents: list[str], count: int) -> Iterator[str]:
    near = [
        "[CLS",
        "SEP]",
        "[sep]",
        "[ SEP ]",
        "[[MASK]]",
        "[MASK]]",
        "[",
        "]",
        "[UNK]\u0301",
        "[PAD][PAD]",
        "##ing",
        "[unused1]",
    ]
    rest = ["a", "B", " ", "\t", "\u00a0", "\u4e2d", "-", "\u00e9", "\u0301", "hello", "\x00", LOW_MARK]
    for _ in range(count):
        yield "".join(rng.choice(rng.choice((contents, near, rest, rest))) for _ in range(rng.randrange(1, 9)))


def damage(rng: random.Random, count: int) -> Iterator[bytes]:
    """Bytes that are not UTF-8: random ones, and valid text with bytes overwritten or cut off."""
    valid = "h\u00e9llo \u4e2d\u6587 \U0001f600 \uac00! [SEP] \u0e01".encode()
    leads = bytes(
        [0x80, 0xBF, 0xC0, 0xC1, 0xC2, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF, 0x9F, 0xA0, 0x90, 0x8F, 0x61]
    )
    for _ in range(count):
        if rng.random() < 0.5:
            yield bytes(rng.choices(leads, k=rng.randrange(1, 12)))
        else:
            text = bytearray(valid[rng.randrange(len(valid)) :][: rng.randrange(1, 30)])
            text[rng.randrange(len(text))] = rng.randrange(256)
            yield bytes(text)


def families(peer: Tokenizer) -> Iterator[tuple[str, Callable[[], list[bytes]]]]:
    """Names and makers of the families of strings, about 2.6 million in all, the same in every run."""
    pieces = [piece for piece, _ in sorted(peer.get_vocab().items(), key=lambda entry: entry[1])]
    contents = [token.content for _, token in sorted(peer.get_added_tokens_decoder().items())]

    def encoded(make: Callable[[random.Random], Iterator[str]]) -> Callable[[], list[bytes]]:
        return lambda: [text.encode() for text in make(random.Random(20261122))]

    yield "every code point", encoded(lambda _: iter(ALPHABET))
    yield "between letters", encoded(lambda _: ("a" + c + "b" for c in ALPHABET))
    yield "between moving marks", encoded(lambda _: (HIGH_MARK + c + LOW_MARK for c in ALPHABET if is_special(c)))
    yield "behind an accent", encoded(lambda _: ("E\u0301" + c + "\u0327\u0301" for c in ALPHABET if is_special(c)))
    yield "pairs", encoded(pairs)
    yield "hangul", encoded(hangul)
    yield "reordered marks", encoded(lambda rng: reordered_marks(rng, 40_000))
    yield "mixtures", encoded(lambda rng: mixtures(rng, 60_000))
    yield "english", encoded(lambda rng: english(rng, pieces, 40_000))
    yield "long words", encoded(long_words)
    yield "special tokens", encoded(lambda rng: special_tokens(rng, contents, 40_000))
    yield "not utf-8", lambda: list(damage(random.Random(20261122), 40_000))


def compare_families(
    device: DeviceTokenizer, peer: Tokenizer, report: Callable[[str, Tally], None] | None = None
) -> Tally:
    """All families, whole; then some of them again cut to several numbers of tokens and without special tokens."""
    total = Tally()

    def add(name: str, tally: Tally) -> None:
        nonlocal total
        total += tally
        if report:
            report(name, tally)

    for name, make in families(peer):
        texts = make()
        add(name, compare(device, peer, texts))
        if name in ("mixtures", "english", "long words", "special tokens"):
            cut = Tally()
            for tokens in (2, 3, 5, 8, 17, 32, 128):
                cut += compare(device, peer, texts[tokens::9], cut=tokens)
            for tokens in (1, 2, 8):
                cut += compare(device, peer, texts[tokens::9], add_special=False, cut=tokens)
            add(name + ", cut", cut)
    return total


# ---- Settings of the normalizer ----


@dataclass(frozen=True)
class Variant:
    """BertNormalizer's settings. strip_accents None follows lowercase."""

    clean_text: bool = True
    handle_chinese_chars: bool = True
    strip_accents: bool | None = None
    lowercase: bool = True


VARIANTS = [Variant(*v) for v in itertools.product((True, False), (True, False), (None, True, False), (True, False))]


SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def make_tokenizer(pieces: list[str], variant: Variant) -> str:
    """A BERT tokenizer.json with the special tokens and these pieces, numbered in this order."""
    numbered = {piece: number for number, piece in enumerate([*SPECIALS, *pieces])}
    tokenizer = Tokenizer(models.WordPiece(numbered, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**vars(variant))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(list(SPECIALS))
    return str(tokenizer.to_str())


def alphabet_tokenizer(variant: Variant) -> str:
    """All assigned characters as pieces, at a word's start and inside one: the ids show what became of each."""
    letters = [c for c in ALPHABET if unicodedata.category(c) not in ("Cn", "Co", "Cc")]
    return make_tokenizer([*letters, *("##" + c for c in letters)], variant)


def variant_strings() -> list[bytes]:
    """Every code point between letters, 32 to a string, and characters in changing company."""
    rng = random.Random(20261122)
    texts = [" ".join("a" + c + "B" for c in ALPHABET[i : i + 32]) for i in range(0, len(ALPHABET), 32)]
    texts += ["".join(rng.choices(SCRIPTS["marks"] + "ae\u00c9\u4e2d !", k=12)) for _ in range(5_000)]
    texts += [*mixtures(rng, 10_000), *reordered_marks(rng, 5_000)]
    return [text.encode() for text in texts]


def compare_variant(library: ctypes.CDLL, variant: Variant) -> Tally:
    tokenizer_json = alphabet_tokenizer(variant)
    device = DeviceTokenizer(library, pack_tokenizer(tokenizer_json))
    return compare(device, load_peer(tokenizer_json), variant_strings())


# ---- Times ----


def measure(device: DeviceTokenizer, peer: Tokenizer) -> dict[str, float]:
    """Nanoseconds a token of both sides over English-like texts, one thread each, in turns; the best of 5."""
    texts = dict(families(peer))["english"]()[:4000]
    decoded = [text.decode() for text in texts]
    best = {"device": float("inf"), "hugging_face": float("inf")}
    tokens = 0
    for _ in range(5):
        start = time.perf_counter()
        tokens = len(device.encode(texts)[0])
        best["device"] = min(best["device"], time.perf_counter() - start)
        start = time.perf_counter()
        peer.encode_batch_fast(decoded)
        best["hugging_face"] = min(best["hugging_face"], time.perf_counter() - start)
    return {side: seconds / tokens * 1e9 for side, seconds in best.items()} | {"tokens_a_text": tokens / len(texts)}


def compare_kinds(library: ctypes.CDLL, wanted: list[str], report: Callable[[str, Tally], None]) -> int:
    """Compare tokenizers of other kinds, whose names hold one of `wanted`, and print their times; 1 on a difference."""
    from benchmarks import tokenizer_kinds

    differences = 0
    for kind, make in tokenizer_kinds.KINDS.items():
        if not any(part in kind for part in wanted):
            continue
        tokenizer_json = make()
        section = pack_tokenizer(tokenizer_json)
        device, peer = DeviceTokenizer(library, section), load_peer(tokenizer_json)
        print(f"{kind}: {len(section):,} bytes")
        rng = random.Random(20261201)
        texts = [*tokenizer_kinds.texts_of_kind(rng, 100_000), *tokenizer_kinds.long_texts(rng, 2_000)]
        encoded = [text.encode() for text in texts]
        total = compare(device, peer, encoded)
        report("texts of this kind", total)
        for tokens in (3, 9, 32):
            cut = compare(device, peer, encoded[tokens::9], cut=tokens)
            report(f"cut to {tokens}", cut)
            total += cut
        total += compare_families(device, peer, report)
        times = measure(device, peer)
        ratio = times["hugging_face"] / times["device"]
        print(f"{kind}: {total.strings:,} strings, {len(total.different)} differences, {ratio:.1f} times as fast")
        differences += len(total.different)
    return 1 if differences else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", action="store_true", help="also all settings of the normalizer")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--kinds", nargs="?", const="", help="other kinds of tokenizers, by parts of their names")
    options = parser.parse_args()

    def report(name: str, tally: Tally) -> None:
        if not options.json:
            print(
                f"{name:28} {tally.strings:9,} strings {tally.tokens:11,} tokens {len(tally.different):6} differences"
            )
            for text, got, want in tally.different[:3]:
                print(f"    {text!r}: {got} instead of {want}")

    with tempfile.TemporaryDirectory() as scratch:
        library = build_library(Path(scratch))
        if options.kinds is not None:
            return compare_kinds(library, options.kinds.split(","), report)
        tokenizer_json = student_tokenizer()
        start = time.perf_counter()
        section = pack_tokenizer(tokenizer_json)
        pack_seconds = time.perf_counter() - start
        device, peer = DeviceTokenizer(library, section), load_peer(tokenizer_json)
        total = compare_families(device, peer, report)
        for variant in VARIANTS if options.variants else []:
            tally = compare_variant(library, variant)
            report(" ".join(f"{key[:5]}={value}" for key, value in vars(variant).items()), tally)
            total += tally
        times = measure(device, peer)
    figures = {
        "strings": total.strings,
        "tokens": total.tokens,
        "differences": len(total.different),
        "device_ns_per_token": round(times["device"], 1),
        "hugging_face_ns_per_token": round(times["hugging_face"], 1),
        "ratio": round(times["hugging_face"] / times["device"], 1),
        "tokens_per_text": round(times["tokens_a_text"], 1),
        "section_bytes": len(section),
        "pack_seconds": round(pack_seconds, 1),
    }
    print(json.dumps(figures) if options.json else "\n".join(f"{key:28} {value:,}" for key, value in figures.items()))
    return 1 if total.different else 0


if __name__ == "__main__":
    sys.exit(main())
