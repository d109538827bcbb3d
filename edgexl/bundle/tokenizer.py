"""Packs a student's tokenizer into the bundle's tokenizer section, which edgexl/runtime/src/tokenizer.c runs.

The section holds no Unicode version of its own: what becomes of each code point is found out from the Hugging
Face normalizer and pre-tokenizer about each in turn, so that the device gives the ids the student was trained on. The
layout is docs/format.md's chapter "Tokenizer section". BERT's kind of tokenizer (BertNormalizer, BertPreTokenizer,
WordPiece, one token before and one behind the text) is packed here as version 1; with prompts or other special tokens,
and all other kinds (`edgexl.bundle.subwords`), as version 2. What the runtime could not reproduce is refused by name.
"""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.bundle.spelling import rank_marks, refuse_straddling
from edgexl.bundle.subwords import check_subwords, pack_subwords

VERSION = 1
HEADER = struct.Struct("<11I2H4I")

PAGE_SIZE = 128
MAX_WORD_CHARS = 256
MAX_PIECE_BYTES = 255
_MOST_PIECES_BYTES = (1 << 24) - 1

# The C side's search is fastest with many free slots and smallest with few; at 0.6 a miss costs about four probes.
SLOTS_PER_PIECE = 5 / 3
HEADS_BASIS = 0x811C9DC5
TAILS_BASIS = 0x9E3779B9

# Tokens before a text, and behind it, that a template may have.
MOST_AROUND = 4
MOST_PROMPT_BYTES = 1024
SECOND_HEADER = struct.Struct("<3I2H10I8x")

# Actions of the character table and kinds of expansion items, as docs/format.md numbers them.
KEEP, DROP, BARRIER, SPACE, ISOLATE, EXPAND, MARK, HANGUL = range(8)
ITEM_KEEP, ITEM_ISOLATE, ITEM_SPACE, ITEM_MARK = range(4)

# Stands between the characters of a question to the normalizer: it is no letter, no mark and composes with nothing.
SEPARATOR = "|"


@dataclass(frozen=True)
class Prompts:
    """The texts that a model wants before queries and before label texts."""

    query: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        for name, text in (("query", self.query), ("label", self.label)):
            if len(text.encode(errors="surrogatepass")) > MOST_PROMPT_BYTES or not _is_utf8(text) or "\0" in text:
                raise BadInput(
                    f"the prompt of a {name} is {text!r:.60}; it must be text of {MOST_PROMPT_BYTES} bytes at most"
                )

    def __bool__(self) -> bool:
        return bool(self.query or self.label)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


NO_PROMPTS = Prompts()


def pack_tokenizer(tokenizer_json: str, prompts: Prompts = NO_PROMPTS) -> bytes:
    """The tokenizer section for the text of a Hugging Face `tokenizer.json` and a model's prompts.

    Its truncation and padding settings are not packed: the runtime is given the number of tokens to make. Raises
    `BadInput` for a tokenizer that the runtime could not reproduce exactly.
    """
    tokenizer, spec = _open(tokenizer_json)
    _refuse_left(spec)
    before, behind = surrounding_ids(spec["post_processor"])
    if _is_bert(tokenizer, spec):
        parts = _read_parts(tokenizer, spec)
        refuse_straddling((content for content, _ in parts.added), prompts.query, prompts.label)
        section = _pack_bert(parts)
        if not prompts and len(before) == len(behind) == 1:
            return section
        kind, vocabulary = 1, parts.vocabulary
    else:
        literal = [t.content for t in tokenizer.get_added_tokens_decoder().values() if not t.normalized]
        refuse_straddling(literal, prompts.query, prompts.label)
        kind, vocabulary, section = pack_subwords(tokenizer, spec)
    texts = [prompts.query.encode(), prompts.label.encode()]
    around = [[*ids, *[0] * (MOST_AROUND - len(ids))] for ids in (before, behind)]
    header = SECOND_HEADER.pack(2, kind, vocabulary, len(before), len(behind), *around[0], *around[1], *map(len, texts))
    return header + b"".join(text + bytes(-len(text) % 4) for text in texts) + section


def read_prompts(section: bytes | memoryview) -> Prompts:
    """The prompts of a tokenizer section that is well formed."""
    if struct.unpack_from("<I", section)[0] != 2:
        return NO_PROMPTS
    *_, query, label = SECOND_HEADER.unpack_from(section)
    begin = SECOND_HEADER.size + query + -query % 4
    texts = section[SECOND_HEADER.size :][:query], section[begin : begin + label]
    return Prompts(*(bytes(text).decode() for text in texts))


def _pack_bert(parts: _Parts) -> bytes:
    characters = _character_tables(parts.normalizer)
    heads, tails = _split_pieces(parts, characters)
    records, offsets = _pack_records(heads, tails)
    head_slots = _pack_slots(heads, offsets, HEADS_BASIS)
    tail_slots = _pack_slots(tails, offsets, TAILS_BASIS)
    added_starts, added_records = _pack_added(parts.added)
    header = HEADER.pack(
        VERSION,
        parts.vocabulary,
        parts.prefix_id,
        parts.suffix_id,
        parts.pieces[parts.unknown],
        parts.max_word_chars,
        len(head_slots) // 4,
        _longest_bytes(heads),
        len(tail_slots) // 4,
        _longest_bytes(tails),
        len(characters.pages) // (2 * PAGE_SIZE),
        len(characters.expansions) // 2 - 1,
        len(characters.items) // 4,
        len(records),
        len(parts.added),
        len(added_records),
        0,
    )
    arrays = [characters.page_of, characters.pages, characters.expansions, characters.items]
    arrays += [head_slots, tail_slots, records, added_starts, added_records]
    return header + b"".join(array + bytes(-len(array) % 4) for array in arrays)


def check_tokenizer_json(tokenizer_json: str) -> None:
    """See that the text of a `tokenizer.json` can be packed.

    Raises `BadInput` as `pack_tokenizer` does, but in a fraction of its time.
    """
    tokenizer, spec = _open(tokenizer_json)
    _refuse_left(spec)
    surrounding_ids(spec["post_processor"])
    if not _is_bert(tokenizer, spec):
        check_subwords(tokenizer, spec)
        return
    parts = _read_parts(tokenizer, spec)
    sizes = [len(piece.encode()) for piece in parts.pieces]
    if max(sizes) > MAX_PIECE_BYTES or 2 * (sum(sizes) + 4 * len(sizes)) >= _MOST_PIECES_BYTES:
        _pack_bert(parts)  # whether these pieces count depends on all characters


# ---- What a tokenizer.json must say ----


@dataclass(frozen=True)
class _Parts:
    normalizer: str  # BertNormalizer's settings as canonical JSON
    pieces: Mapping[str, int]
    continuation: str
    unknown: str
    max_word_chars: int
    prefix_id: int
    suffix_id: int
    added: tuple[tuple[str, int], ...]
    vocabulary: int


def _model_kind(tokenizer_json: str) -> str:
    try:
        return str(json.loads(tokenizer_json)["model"].get("type", "WordPiece"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput("the tokenizer is not a Hugging Face tokenizer.json: no model in it") from error


def _open(tokenizer_json: str) -> tuple[Any, dict[str, Any]]:
    """The tokenizer of a tokenizer.json, and that as the library writes it anew."""
    from tokenizers import Tokenizer

    _model_kind(tokenizer_json)
    try:
        tokenizer = Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # the library raises nothing more specific
        raise BadInput(f"the tokenizer.json cannot be read: {error}") from error
    return tokenizer, json.loads(tokenizer.to_str())


def _refuse_left(spec: Mapping[str, Any]) -> None:
    if (spec["truncation"] or {}).get("direction", "Right") != "Right":
        raise BadInput("the tokenizer truncates texts on the left, but edgexl keeps their beginning")


def _is_bert(tokenizer: Any, spec: Mapping[str, Any]) -> bool:
    """Whether version 1 has all that a tokenizer needs, its tokens around a text apart."""
    plain = [_kind(spec["model"]), _kind(spec["normalizer"]), _kind(spec["pre_tokenizer"])]
    return plain == ["WordPiece", "BertNormalizer", "BertPreTokenizer"] and not any(
        token.normalized or token.single_word
        for token in tokenizer.get_added_tokens_decoder().values()
        if token.content
    )


def _read_parts(tokenizer: Any, spec: Mapping[str, Any]) -> _Parts:
    model = spec["model"]
    if model["unk_token"] not in model["vocab"]:
        raise BadInput(f"the tokenizer's unknown token {model['unk_token']!r} is not in its vocabulary")
    if not 1 <= model["max_input_chars_per_word"] <= MAX_WORD_CHARS:
        raise BadInput(
            f"the tokenizer's max_input_chars_per_word is {model['max_input_chars_per_word']}, "
            f"but edgexl takes 1 to {MAX_WORD_CHARS}"
        )
    before, behind = surrounding_ids(spec["post_processor"])
    prefix_id, suffix_id = before[0] if before else 0, behind[0] if behind else 0
    added = _added_tokens(tokenizer.get_added_tokens_decoder())
    ids = [*model["vocab"].values(), *(number for _, number in added), prefix_id, suffix_id]
    if max(ids) >= 1 << 24:
        raise BadInput(f"the tokenizer has the token id {max(ids)}, but edgexl takes ids below {1 << 24}")
    return _Parts(
        normalizer=json.dumps(spec["normalizer"], sort_keys=True),
        pieces=model["vocab"],
        continuation=model["continuing_subword_prefix"],
        unknown=model["unk_token"],
        max_word_chars=model["max_input_chars_per_word"],
        prefix_id=prefix_id,
        suffix_id=suffix_id,
        added=added,
        vocabulary=max(ids) + 1,
    )


def _kind(part: Mapping[str, Any] | None) -> str:
    return "none" if part is None else str(part["type"])


def surrounding_ids(processor: Mapping[str, Any] | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids of the tokens before and of those behind a text, by the post-processor of a tokenizer.json."""
    kind = _kind(processor)
    if processor is None or kind == "ByteLevel":  # ByteLevel sets offsets alone
        return (), ()
    if kind in ("BertProcessing", "RobertaProcessing"):
        return (processor["cls"][1],), (processor["sep"][1],)
    if kind == "Sequence":
        before: tuple[int, ...] = ()
        behind: tuple[int, ...] = ()
        for each in processor["processors"]:
            prefix, suffix = surrounding_ids(each)
            before, behind = prefix + before, behind + suffix
        return before, behind
    if kind != "TemplateProcessing":
        raise BadInput(f"the tokenizer's post-processor is {kind}, which edgexl does not know")
    single = processor["single"]
    texts = [place for place, step in enumerate(single) if "Sequence" in step]
    ids = [
        processor["special_tokens"][step["SpecialToken"]["id"]]["ids"] if "SpecialToken" in step else []
        for step in single
    ]
    before, behind = (
        (tuple(itertools.chain(*part)) for part in (ids[: texts[0]], ids[texts[0] + 1 :])) if texts else ((), ())
    )
    if len(texts) != 1 or max(len(before), len(behind)) > MOST_AROUND:
        shown = " ".join("A" if "Sequence" in step else step["SpecialToken"]["id"] for step in single)
        raise BadInput(
            f"the tokenizer's template for one text is {shown!r:.120}, but edgexl takes a text once, and {MOST_AROUND} "
            "tokens at most before it and behind it"
        )
    return before, behind


def _added_tokens(decoder: Mapping[int, Any]) -> tuple[tuple[str, int], ...]:
    """Added tokens and their ids, in the order in which the runtime tries them.

    `lstrip` and `rstrip` need no support: they swallow white space around the token, which makes no token anyway.
    """
    added = []
    for number, token in sorted(decoder.items()):
        content = token.content
        if not content:
            continue
        if content != content.strip() or "\ufffd" in content:
            raise BadInput(
                f"the tokenizer's added token {content!r} begins or ends with white space or holds U+FFFD, "
                "which edgexl does not reproduce"
            )
        added.append((content, number))
    if len(added) > 0xFFFF:
        raise BadInput(f"the tokenizer has {len(added)} added tokens, but edgexl takes {0xFFFF} at most")

    def order(entry: tuple[str, int]) -> tuple[int, int, bytes]:
        encoded = entry[0].encode()
        return encoded[0], -len(encoded), encoded

    return tuple(sorted(added, key=order))


# ---- Characters ----


@dataclass(frozen=True)
class _Characters:
    """The packed character table, and what can come out of it."""

    page_of: bytes
    pages: bytes
    expansions: bytes
    items: bytes
    inside_words: frozenset[str]
    isolated: frozenset[str]


@lru_cache(maxsize=4)
def _character_tables(normalizer_settings: str) -> _Characters:
    """Queries the normalizer with these settings (JSON) and BertPreTokenizer about all code points: 2 to 4 seconds."""
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    settings = json.loads(normalizer_settings)
    del settings["type"]
    normalizer, pre_tokenizer = BertNormalizer(**settings), BertPreTokenizer()
    plain: list[str] = []
    others: list[str] = []
    for start in range(0, 0x110000, 256):
        if not 0xD800 <= start < 0xE000:
            batch = [chr(c) for c in range(start, start + 256)]
            (plain if _all_plain(normalizer, pre_tokenizer, batch) else others).extend(batch)
    normal = dict(zip(others, _normalize_each(normalizer, others), strict=True))
    kinds = _output_kinds(pre_tokenizer, list(dict.fromkeys("".join(normal.values()))))
    ranks = _mark_ranks(normal, kinds)
    gone = _gone_actions(normalizer, [c for c in others if not normal[c]], ranks)

    entries = [KEEP << 13] * 0x110000  # as plain characters are; surrogates, which UTF-8 cannot hold, keep it too
    expansions: dict[tuple[int, ...], int] = {}
    for char, result in normal.items():
        if result == char and kinds[char] == ITEM_KEEP and char not in ranks:
            continue
        if not result:
            entries[ord(char)] = gone[char] << 13
            continue
        items = _items(result, kinds, ranks)
        entries[ord(char)] = _entry(char, items, result, expansions)
    if len(expansions) > 1 << 13:
        raise BadInput(f"the tokenizer's normalizer maps to {len(expansions)} strings, but edgexl takes {1 << 13}")
    page_of, pages = _pack_pages(entries)
    starts: list[int] = [0]
    flat: list[int] = []
    for items in expansions:
        flat += items
        starts.append(len(flat))
    return _Characters(
        page_of=page_of,
        pages=pages,
        expansions=struct.pack(f"<{len(starts)}H", *starts),
        items=struct.pack(f"<{len(flat)}I", *flat),
        inside_words=frozenset(plain).union(c for c, kind in kinds.items() if kind == ITEM_KEEP),
        isolated=frozenset(c for c, kind in kinds.items() if kind == ITEM_ISOLATE),
    )


def _all_plain(normalizer: Any, pre_tokenizer: Any, chars: list[str]) -> bool:
    """Whether all of them stay as they are, inside words and where they stand: true of most blocks, and soon known."""
    apart = SEPARATOR.join(chars)
    return (
        SEPARATOR not in chars
        and normalizer.normalize_str(apart) == apart
        and len(pre_tokenizer.pre_tokenize_str("a" + "a".join(chars) + "a")) == 1
        and not _moving_marks(chars)
    )


def _moving_marks(chars: list[str]) -> list[str]:
    """Those that canonical decomposition moves: U+0345, of the highest combining class, does not stay before them,
    or they do not stay before U+0334, of the lowest."""
    from tokenizers.normalizers import NFD

    answers = _normalize_each(NFD(), ["\u0345" + char + "\u0334" for char in chars])
    return [char for char, answer in zip(chars, answers, strict=True) if answer[0] != "\u0345"]


def _normalize_each(normalizer: Any, texts: list[str]) -> list[str]:
    """What a normalizer makes of each text by itself. Many are normalized at once, which is ten times as fast."""
    answers: list[str] = []
    for start in range(0, len(texts), 4096):
        batch = texts[start : start + 4096]
        joined = [text for text in batch if SEPARATOR not in text]
        if len(joined) < len(batch):
            answers += [normalizer.normalize_str(text) for text in batch]
        else:
            answers += normalizer.normalize_str(SEPARATOR.join(joined)).split(SEPARATOR)
    if len(answers) != len(texts):
        raise BadInput("this version of the tokenizers library normalizes characters depending on a separator")
    return answers


def _output_kinds(pre_tokenizer: Any, outputs: list[str]) -> dict[str, int]:
    """Whether a normalized character goes on with a word, is a word by itself or ends one."""
    kinds = {}
    for start in range(0, len(outputs), 256):
        batch = outputs[start : start + 256]
        spans = [span for _, span in pre_tokenizer.pre_tokenize_str("a" + "a".join(batch) + "a")]
        if len(spans) == 1:
            kinds.update(dict.fromkeys(batch, ITEM_KEEP))
            continue
        covered = {at for begin, end in spans for at in range(begin, end)}
        alone = {begin for begin, end in spans if end - begin == 1}
        for place, char in enumerate(batch):
            at = 2 * place + 1
            kinds[char] = ITEM_SPACE if at not in covered else ITEM_ISOLATE if at in alone else ITEM_KEEP
    return kinds


def _mark_ranks(normal: Mapping[str, str], kinds: Mapping[str, int]) -> dict[str, int]:
    """The marks that survive normalization and that canonical decomposition moves, with their order, from 1.

    Empty when the normalizer does not decompose (strip_accents off).
    """
    if normal["\u00e9"] == "\u00e9":
        return {}
    marks = _moving_marks(list(kinds))
    for mark in marks:
        if kinds[mark] != ITEM_KEEP or normal[mark] != mark:
            raise BadInput(f"this version of the tokenizers library splits words at the mark U+{ord(mark):04X}")
    return rank_marks(marks)


def _gone_actions(normalizer: Any, gone: list[str], ranks: Mapping[str, int]) -> dict[str, int]:
    """For characters that normalize to nothing: do marks still move across them?"""
    if not ranks:
        return dict.fromkeys(gone, DROP)
    low, high = min(ranks, key=lambda mark: ranks[mark]), max(ranks, key=lambda mark: ranks[mark])
    actions = {}
    for char, answer in zip(gone, _normalize_each(normalizer, [high + char + low for char in gone]), strict=True):
        if answer not in (low + high, high + low):
            raise BadInput(f"this version of the tokenizers library reorders around U+{ord(char):04X} as no other does")
        actions[char] = DROP if answer == low + high else BARRIER
    return actions


def _items(result: str, kinds: Mapping[str, int], ranks: Mapping[str, int]) -> tuple[int, ...]:
    def item(char: str) -> int:
        if char in ranks:
            return ord(char) | ITEM_MARK << 21 | ranks[char] << 24
        return ord(char) | kinds[char] << 21

    if len(result) == 3 and kinds[result[0]] == kinds[result[2]] == ITEM_SPACE and kinds[result[1]] == ITEM_KEEP:
        return (ord(result[1]) | ITEM_ISOLATE << 21,)  # a Chinese character, which comes with spaces around it
    if all(kinds[char] == ITEM_SPACE for char in result):
        return (ord(" ") | ITEM_SPACE << 21,)
    return tuple(item(char) for char in result)


def _entry(char: str, items: tuple[int, ...], result: str, expansions: dict[tuple[int, ...], int]) -> int:
    """The character table's entry; a new expansion is added to `expansions`."""
    if len(items) == 1:
        code_point, kind, rank = items[0] & 0x1FFFFF, items[0] >> 21 & 7, items[0] >> 24
        if kind == ITEM_SPACE:
            return SPACE << 13
        if code_point == ord(char):
            return {ITEM_KEEP: KEEP, ITEM_ISOLATE: ISOLATE, ITEM_MARK: MARK}[kind] << 13 | rank
    if 0xAC00 <= ord(char) <= 0xD7A3 and result == _jamo(ord(char) - 0xAC00):
        return HANGUL << 13
    return EXPAND << 13 | expansions.setdefault(items, len(expansions))


def _jamo(syllable: int) -> str:
    tail = syllable % 28
    return chr(0x1100 + syllable // 588) + chr(0x1161 + syllable // 28 % 21) + (chr(0x11A7 + tail) if tail else "")


def _pack_pages(entries: list[int]) -> tuple[bytes, bytes]:
    pages: dict[bytes, int] = {}
    page_of = []
    for start in range(0, len(entries), PAGE_SIZE):
        page = struct.pack(f"<{PAGE_SIZE}H", *entries[start : start + PAGE_SIZE])
        page_of.append(pages.setdefault(page, len(pages)))
    return struct.pack(f"<{len(page_of)}H", *page_of), b"".join(pages)


# ---- Pieces ----


def _split_pieces(parts: _Parts, characters: _Characters) -> tuple[list[tuple[bytes, int]], list[tuple[bytes, int]]]:
    """The vocabulary as heads (at a word's start) and tails (inside a word), by id, without what no text can reach."""

    def reachable(piece: str) -> bool:
        return 0 < len(piece) <= parts.max_word_chars and characters.inside_words.issuperset(piece)

    heads, tails = [], []
    for piece, number in sorted(parts.pieces.items(), key=lambda entry: (entry[1], entry[0])):
        if reachable(piece) or piece in characters.isolated:
            heads.append((piece.encode(), number))
        rest = piece.removeprefix(parts.continuation)
        if piece.startswith(parts.continuation) and reachable(rest):
            tails.append((rest.encode(), number))
    for piece_bytes, _ in heads + tails:
        if len(piece_bytes) > MAX_PIECE_BYTES:
            raise BadInput(f"the tokenizer's piece {piece_bytes.decode()!r} is longer than {MAX_PIECE_BYTES} bytes")
    return heads, tails


def _pack_records(*tables: list[tuple[bytes, int]]) -> tuple[bytes, dict[tuple[bytes, int], int]]:
    """All pieces as `u24 id, u8 length, bytes`, and where each stands."""
    packed = bytearray()
    offsets = {}
    for piece, number in (entry for table in tables for entry in table):
        offsets[piece, number] = len(packed)
        packed += number.to_bytes(3, "little") + bytes([len(piece)]) + piece
    if len(packed) >= _MOST_PIECES_BYTES:
        raise BadInput(f"the tokenizer's vocabulary takes {len(packed)} bytes, but edgexl takes 16 MiB at most")
    return bytes(packed), offsets


def _hash(piece: bytes, basis: int) -> int:
    value = basis
    for byte in piece:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    value = (value ^ value >> 15) * 0x2C1B3C6D & 0xFFFFFFFF
    return value ^ value >> 13


def _pack_slots(pieces: list[tuple[bytes, int]], offsets: Mapping[tuple[bytes, int], int], basis: int) -> bytes:
    slots = [0] * (int(len(pieces) * SLOTS_PER_PIECE) + 1)
    for piece, number in pieces:
        value = _hash(piece, basis)
        at = value * len(slots) >> 32
        while slots[at]:
            at = (at + 1) % len(slots)
        slots[at] = (value & 0xFF) << 24 | (offsets[piece, number] + 1)
    return struct.pack(f"<{len(slots)}I", *slots)


def _longest_bytes(pieces: Iterable[tuple[bytes, int]]) -> int:
    return max((len(piece) for piece, _ in pieces), default=0)


def _pack_added(added: tuple[tuple[str, int], ...]) -> tuple[bytes, bytes]:
    records = [struct.pack("<I", number) + content.encode() for content, number in added]
    return struct.pack(f"<{len(records) + 1}I", *_starts(records)), b"".join(records)


def _starts(records: Iterable[bytes]) -> Iterator[int]:
    start = 0
    yield start
    for record in records:
        start += len(record)
        yield start
