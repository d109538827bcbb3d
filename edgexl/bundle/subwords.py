"""Packs Unigram and byte-pair encoding, and WordPiece with other normalizers than BERT's, into the tokenizer section's
version 2, which edgexl/runtime/src/subwords.c runs. The layout is docs/format.md's chapter "Tokenizer section"."""

from __future__ import annotations

import itertools
import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.bundle.spelling import BERT, NO_SPLIT, Spelling, Steps, pack_spelling, read_added, read_steps

WORDPIECE, UNIGRAM, BPE = 4, 2, 3
HEADER = struct.Struct("<8I6B2xdII8x")
MOST_PIECE_BYTES = 255
SLOTS_PER_PIECE = 5 / 3
SLOTS_PER_MERGE = 5 / 3
NO_ID = 0xFFFFFF
MOST_IDS = 0xFFFFF0
BASIS, TAIL_BASIS = 0x811C9DC5, 0x9E3779B9
_PENALTY = 10.0  # of an unknown character below the worst piece, SentencePiece's
_MOST_WORD_CHARS = 120


def check_subwords(tokenizer: Any, spec: Mapping[str, Any]) -> None:
    """Raise `BadInput` for a tokenizer that `pack_subwords` refuses, as far as that is known without asking about each
    character."""
    steps = read_steps(spec)
    _check_model(spec["model"], steps)
    read_added(tokenizer)
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if highest >= MOST_IDS:
        raise BadInput(f"the tokenizer has the token id {highest}, but edgexl takes ids below {MOST_IDS}")


def pack_subwords(tokenizer: Any, spec: Mapping[str, Any]) -> tuple[int, int, bytes]:
    """(kind, ids below this, what follows the section's header) of a tokenizer, `spec` being its JSON. Raises
    `BadInput` for what cannot be reproduced exactly."""
    check_subwords(tokenizer, spec)
    steps = read_steps(spec)
    spelling = pack_spelling(tokenizer, spec, steps)
    model = spec["model"]
    vocabulary = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())
    if model["type"] == "Unigram":
        body, kind = _pack_unigram(model, spelling), UNIGRAM
    elif model["type"] == "BPE":
        body, kind = _pack_bpe(model, spelling), BPE
    else:
        body, kind = _pack_wordpiece(model, spelling), WORDPIECE
    return kind, vocabulary, body


def _check_model(model: Mapping[str, Any], steps: Steps) -> None:
    kind = model["type"]
    if kind not in ("Unigram", "BPE", "WordPiece"):
        raise BadInput(f"the tokenizer's model is {kind}, which edgexl does not reproduce")
    if (kind == "WordPiece") != (steps.split == BERT):
        raise BadInput(f"the tokenizer's model {kind} has a pre-tokenizer that edgexl does not reproduce with it")
    if steps.byte_level and kind != "BPE":
        raise BadInput(f"the tokenizer's model {kind} works on bytes, which edgexl reproduces for BPE alone")
    if kind == "Unigram":
        if model["unk_id"] is None:
            raise BadInput("the tokenizer's Unigram model has no unknown token")
        scores = [score for _, score in model["vocab"]]
        if not all(map(math.isfinite, scores)) or min(scores, default=0) > 5 or max(map(abs, scores), default=0) > 1e9:
            raise BadInput("the tokenizer's Unigram model has scores that are no logarithms")
    if kind == "BPE":
        for option in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
            if model.get(option):
                raise BadInput(
                    f"the tokenizer's BPE model has {option}={model[option]!r}, which edgexl does not reproduce"
                )
        if not steps.byte_level and model["unk_token"] not in model["vocab"]:
            raise BadInput(
                "the tokenizer's BPE model drops the characters that it does not know, having no unknown token"
            )
    if kind == "WordPiece" and model["max_input_chars_per_word"] > _MOST_WORD_CHARS:
        raise BadInput(
            f"the tokenizer's max_input_chars_per_word is {model['max_input_chars_per_word']}, but edgexl takes "
            f"{_MOST_WORD_CHARS} at most with such a normalizer"
        )


# ---- Hashes, many at once ----


def _mix(values: Any) -> Any:
    values = (values ^ values >> np.uint32(15)) * np.uint32(0x2C1B3C6D)
    return values ^ values >> np.uint32(13)


def _hashes(pieces: Sequence[bytes], basis: int = BASIS) -> tuple[Any, Any]:
    """uint32 [pieces]: the mixed hash of each; and those of all their beginnings at characters' ends, each shorter
    than the piece."""
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    longest = int(lengths.max(initial=1))
    table = np.zeros((len(pieces), longest + 1), np.uint8)
    for row, piece in enumerate(pieces):
        table[row, : len(piece)] = np.frombuffer(piece, np.uint8)
    values = np.full(len(pieces), basis, np.uint32)
    whole = np.zeros(len(pieces), np.uint32)
    beginnings: list[Any] = []
    with np.errstate(over="ignore"):
        for column in range(longest):
            values = (values ^ table[:, column]) * np.uint32(0x01000193)
            mixed = _mix(values)
            whole[lengths == column + 1] = mixed[lengths == column + 1]
            beginnings.append(np.unique(mixed[lengths > column + 1]))
    return whole, np.unique(np.concatenate(beginnings)) if beginnings else np.zeros(0, np.uint32)


def _pack_table(records: Sequence[tuple[bytes, int, int]], prefixes: bool) -> tuple[bytes, bytes, bytes, int, int]:
    """(slots, bits of beginnings, records, the number of these bits as a power of two, the longest piece's bytes) of
    (piece, id, flag)."""
    packed, offsets = bytearray(), []
    for piece, number, flag in records:
        offsets.append(len(packed))
        packed += number.to_bytes(3, "little") + bytes([len(piece), flag]) + piece
    if len(packed) > 0xFFFFFE:
        raise BadInput(f"the tokenizer's vocabulary takes {len(packed)} bytes, but edgexl takes 16 MiB at most")
    hashes, beginnings = _hashes([piece for piece, _, _ in records])
    slots = _fill(hashes, offsets, int(len(records) * SLOTS_PER_PIECE) + 1)
    bits, power = b"", 0
    if prefixes:
        power = max(6, len(beginnings).bit_length() + 3)
        mask = np.zeros(1 << power, np.bool_)
        mask[beginnings & np.uint32((1 << power) - 1)] = True
        bits = np.packbits(mask, bitorder="little").tobytes()
    return slots, bits, bytes(packed), power, max((len(piece) for piece, _, _ in records), default=1)


def _fill(hashes: Any, offsets: Sequence[int], count: int) -> bytes:
    slots = [0] * count
    places = (hashes.astype(np.uint64) * np.uint64(count) >> np.uint64(32)).tolist()
    for value, offset, place in zip(hashes.tolist(), offsets, places, strict=True):
        at = place
        while slots[at]:
            at = (at + 1) % count
        slots[at] = (value & 0xFF) << 24 | (offset + 1)
    return struct.pack(f"<{count}I", *slots)


def _assemble(
    spelling: Spelling,
    table: tuple[bytes, bytes, bytes, int, int],
    *,
    unknown: int,
    ids: int,
    scores: bytes = b"",
    merges: bytes = b"",
    made_by: bytes = b"",
    byte_ids: Sequence[int] = (),
    pairs: bytes = b"",
    wide: bool = False,
    byte_level: bool = False,
    fallback: bool = False,
    fuse: bool = False,
    ignore_merges: bool = False,
    unknown_score: float = 0.0,
    word_chars: int = 0,
) -> bytes:
    slots, bits, records, power, longest = table
    header = HEADER.pack(
        len(slots) // 4, power, len(records), longest, unknown, ids, len(merges) // 12, bool(pairs), wide, byte_level,
        fallback, fuse, ignore_merges, 0, unknown_score, word_chars, 0,
    )  # fmt: skip
    arrays = [*spelling.arrays, slots, bits, records, scores, merges, made_by]
    arrays += [struct.pack(f"<{len(byte_ids)}I", *byte_ids), pairs]
    return spelling.header + header + b"".join(array + bytes(-len(array) % 4) for array in arrays)


def _fits(piece: bytes) -> bool:
    if len(piece) > MOST_PIECE_BYTES:
        raise BadInput(
            f"the tokenizer's piece {piece.decode(errors='replace')!r:.60} is longer than {MOST_PIECE_BYTES} bytes"
        )
    return len(piece) > 0


def _fallback_ids(vocabulary: Mapping[str, int], asked: bool) -> list[int]:
    """The ids of the pieces that stand for bytes, where texts can become such."""
    if not asked:
        return []
    ids = [vocabulary.get(f"<0x{byte:02X}>") for byte in range(256)]
    known = [number for number in ids if number is not None]
    if known and len(known) < 256:
        raise BadInput("the tokenizer falls back to bytes, but has pieces for some of them alone")
    return known


def _themselves(model: Mapping[str, Any], pieces: Sequence[str]) -> list[list[int]]:
    """The ids that the model makes of each piece as a word."""
    from tokenizers import Tokenizer

    bare: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
    }
    bare |= {"normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": None}
    bare |= {"model": {**model, "ignore_merges": False}}
    if model["type"] == "Unigram":
        del bare["model"]["ignore_merges"]
    tokenizer = Tokenizer.from_str(json.dumps(bare))
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(pieces), add_special_tokens=False)]


# ---- Unigram ----


def _pack_unigram(model: Mapping[str, Any], spelling: Spelling) -> bytes:
    pieces: list[tuple[str, float]] = model["vocab"]
    number = {piece: place for place, (piece, _) in enumerate(pieces)}
    kept = [(piece, place) for piece, place in number.items() if _fits(piece.encode())]
    whole = _themselves(model, [piece for piece, _ in kept])
    records = [(piece.encode(), place, int(ids == [place])) for (piece, place), ids in zip(kept, whole, strict=True)]
    scores = [score for _, score in pieces]
    narrow = np.array(scores, np.float64).astype("<f4")
    wide = bool((narrow.astype(np.float64) != np.array(scores)).any())
    fallback = _fallback_ids(number, bool(model["byte_fallback"]))
    return _assemble(
        spelling,
        _pack_table(records, prefixes=True),
        unknown=model["unk_id"],
        ids=len(pieces),
        scores=np.array(scores, "<f8").tobytes() if wide else narrow.tobytes(),
        byte_ids=fallback,
        wide=wide,
        fallback=bool(fallback),
        fuse=True,
        unknown_score=min(scores) - _PENALTY,
    )


# ---- Byte-pair encoding ----


def _pack_bpe(model: Mapping[str, Any], spelling: Spelling) -> bytes:
    vocabulary: Mapping[str, int] = model["vocab"]
    steps = spelling.steps
    ids = 1 + max(vocabulary.values(), default=0)
    merges: dict[tuple[int, int], tuple[int, int]] = {}
    for rank, merge in enumerate(model["merges"], start=1):
        left, right = merge if isinstance(merge, list | tuple) else merge.split(" ", 1)
        merges[vocabulary[left], vocabulary[right]] = (rank, vocabulary[left + right])
    fallback = _fallback_ids(vocabulary, bool(model["byte_fallback"]) and not steps.byte_level)
    unknown = NO_ID if steps.byte_level else vocabulary[model["unk_token"]]
    merged = {number for pair in merges for number in pair}
    if unknown in merged or merged.intersection(fallback):
        raise BadInput("the tokenizer's BPE model merges pieces that stand for what it does not know")
    names = dict(vocabulary)
    if not steps.byte_level:
        for byte in range(256) if fallback else ():
            names.pop(f"<0x{byte:02X}>")
    derived = _derive(names, merges, steps.byte_level)
    slots, places = _pack_merges(merges)
    made_by = np.zeros(ids, "<u4")
    records = []
    of_bytes = _bytes_of()
    for piece, place in names.items():
        if steps.byte_level:
            if any(char not in of_bytes for char in piece):
                continue  # no text becomes it
            content = bytes(of_bytes[char] for char in piece)
        else:
            content = piece.encode()
        if not _fits(content):
            continue
        pair = derived.get(place)
        if pair:
            made_by[place] = 1 + places[pair]
        records.append((content, place, int(place in derived)))
    if steps.byte_level:
        lacking = [byte for byte, char in _characters().items() if char not in vocabulary]
        if lacking and (model["unk_token"] is not None or model["ignore_merges"]):
            raise BadInput(f"the tokenizer's BPE model works on bytes, but has no piece for the byte {lacking[0]}")
        byte_ids: list[int] = [vocabulary.get(_characters()[byte], NO_ID) for byte in range(256)]
    else:
        byte_ids = fallback
    soft = steps.split == NO_SPLIT and not model["ignore_merges"] and not steps.byte_level
    return _assemble(
        spelling,
        _pack_table(records, prefixes=True),
        unknown=unknown,
        ids=ids,
        merges=slots,
        made_by=made_by.tobytes(),
        byte_ids=byte_ids,
        pairs=_pack_pairs(vocabulary, merges) if soft else b"",
        byte_level=steps.byte_level,
        fallback=bool(fallback),
        fuse=bool(model["fuse_unk"]),
        ignore_merges=bool(model["ignore_merges"]),
    )


def _characters() -> dict[int, str]:
    """The character that byte-level BPE writes for each byte: itself where it can be seen, others from U+0100 on."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return {byte: chr(byte) if byte in seen else chr(next(others)) for byte in range(256)}


def _bytes_of() -> dict[str, int]:
    return {char: byte for byte, char in _characters().items()}


def _derive(
    names: Mapping[str, int], merges: Mapping[tuple[int, int], tuple[int, int]], byte_level: bool
) -> dict[int, tuple[int, int] | None]:
    """By id, the last merge by which each piece is the encoding of itself; None for characters. Others are left out.

    Raises `BadInput` where a piece is made by a merge of a lower rank than its parts are, which the runtime's window
    does not reproduce.
    """
    derived: dict[int, tuple[int, int] | None] = {}
    single = {piece: place for piece, place in names.items() if len(piece) == 1}
    for piece, place in names.items():
        if len(piece) == 1:
            derived[place] = None
            continue
        symbols = [single.get(char, -1) for char in piece]
        last: tuple[int, int] | None = None
        ranks = [merges.get(pair, (0, 0)) for pair in itertools.pairwise(symbols)]
        while len(symbols) > 1:
            best = min((rank for rank, _ in ranks if rank), default=0)
            if not best:
                break
            at = next(i for i, (rank, _) in enumerate(ranks) if rank == best)
            last = symbols[at], symbols[at + 1]
            symbols[at : at + 2] = [ranks[at][1]]
            del ranks[at]
            if at > 0:
                ranks[at - 1] = merges.get((symbols[at - 1], symbols[at]), (0, 0))
            if at < len(ranks):
                ranks[at] = merges.get((symbols[at], symbols[at + 1]), (0, 0))
        if symbols == [place]:
            derived[place] = last
    rank_of = {place: merges[pair][0] if pair else 0 for place, pair in derived.items()}
    for place, pair in derived.items():
        if pair and max(rank_of.get(part, 1 << 30) for part in pair) >= rank_of[place]:
            name = next(piece for piece, number in names.items() if number == place)
            raise BadInput(
                f"the tokenizer's BPE model merges {name!r:.40} before its parts, which edgexl does not reproduce"
            )
    return derived


def _pack_merges(merges: Mapping[tuple[int, int], tuple[int, int]]) -> tuple[bytes, dict[tuple[int, int], int]]:
    if len(merges) >= 0xFFFFFF:
        raise BadInput(f"the tokenizer has {len(merges)} merges, but edgexl takes {0xFFFFFE} at most")
    count = int(len(merges) * SLOTS_PER_MERGE) + 1
    pairs = np.array(list(merges) or [(0, 0)], np.uint32)
    with np.errstate(over="ignore"):
        hashes = _mix(
            pairs[:, 0] * np.uint32(0x9E3779B1) ^ (pairs[:, 1] * np.uint32(0x85EBCA77) + np.uint32(0x165667B1))
        )
    packed = bytearray(12 * count)
    places: dict[tuple[int, int], int] = {}
    taken = bytearray(count)
    starts = (hashes.astype(np.uint64) * np.uint64(count) >> np.uint64(32)).tolist()
    for (pair, (rank, made)), start in zip(merges.items(), starts, strict=False):
        at = start
        while taken[at]:
            at = (at + 1) % count
        taken[at] = 1
        places[pair] = at
        packed[12 * at : 12 * at + 12] = b"".join(n.to_bytes(3, "little") for n in (*pair, rank, made))
    return bytes(packed), places


def _pack_pairs(vocabulary: Mapping[str, int], merges: Iterable[tuple[int, int]]) -> bytes:
    """65536 bits: which pairs of a piece's last character and the next one's first, hashed, are those of a merge."""
    name_of = {place: piece for piece, place in vocabulary.items()}
    seams = {(ord(name_of[left][-1]), ord(name_of[right][0])) for left, right in merges}
    ends: Ints = np.array(sorted(seams) or [(0, 0)], np.uint32)
    with np.errstate(over="ignore"):
        bits = (ends[:, 0] * np.uint32(0x9E3779B1) ^ ends[:, 1] * np.uint32(0x85EBCA77)) >> np.uint32(16)
    mask = np.zeros(1 << 16, np.bool_)
    mask[bits] = True
    return np.packbits(mask, bitorder="little").tobytes()


# ---- WordPiece ----


def _pack_wordpiece(model: Mapping[str, Any], spelling: Spelling) -> bytes:
    vocabulary: Mapping[str, int] = model["vocab"]
    if model["unk_token"] not in vocabulary:
        raise BadInput(f"the tokenizer's unknown token {model['unk_token']!r} is not in its vocabulary")
    mark = model["continuing_subword_prefix"]
    records = [(piece.encode(), place, 0) for piece, place in vocabulary.items() if _fits(piece.encode())]
    tails = [
        (piece[len(mark) :].encode(), place, 1)
        for piece, place in vocabulary.items()
        if piece.startswith(mark) and len(piece) > len(mark)
    ]
    slots, longest = _two_tables(records, tails)
    packed = b"".join(
        number.to_bytes(3, "little") + bytes([len(piece), flag]) + piece for piece, number, flag in [*records, *tails]
    )
    if len(packed) > 0xFFFFFE:
        raise BadInput(f"the tokenizer's vocabulary takes {len(packed)} bytes, but edgexl takes 16 MiB at most")
    return _assemble(
        spelling,
        (slots, b"", packed, 0, longest),
        unknown=vocabulary[model["unk_token"]],
        ids=1 + max(vocabulary.values()),
        word_chars=model["max_input_chars_per_word"],
    )


def _two_tables(heads: Sequence[tuple[bytes, int, int]], tails: Sequence[tuple[bytes, int, int]]) -> tuple[bytes, int]:
    """One table of slots for pieces at words' beginnings and inside words, which differ by their hash's basis."""
    offsets, at = [], 0
    for piece, _, _ in [*heads, *tails]:
        offsets.append(at)
        at += 5 + len(piece)
    first, _ = _hashes([piece for piece, _, _ in heads])
    second, _ = _hashes([piece for piece, _, _ in tails], TAIL_BASIS)
    hashes = np.concatenate([first, second])
    return _fill(hashes, offsets, int(len(hashes) * SLOTS_PER_PIECE) + 1), max(len(piece) for piece, _, _ in heads)
