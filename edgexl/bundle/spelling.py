"""What a tokenizer's normalizer, added tokens and pre-tokenizer make of a text, as tables that the runtime reads.

The tables hold no Unicode version of their own: the Hugging Face objects are asked about every code point. What depends
on neighbours is one of a few known steps (graphemes of a precompiled charsmap, canonical order and composition, runs of
white space, stripping), in an order that can be reproduced; everything else is refused by name.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.bundle.charsmap import grapheme_classes, read_charsmap

HEADER = struct.Struct("<8B13I4x")
PAGE_SIZE = 128
AS_IS, GRAPHEMES, CANONICAL = range(3)
KEEP, DROP, EXPAND, MARK, SECOND, HANGUL, KEYED = range(7)
SPACES, WHITE_RUNS = 1, 2
ALWAYS, FIRST, ANYWAY = 1, 2, 3
NO_SPLIT, AT_MARKS, AT_WHITE, GPT2, BERT = range(5)
LETTER, NUMBER, WHITE, PUNCTUATION, WORD_BIT = 1, 2, 3, 4, 8
LSTRIP, RSTRIP, SINGLE_WORD = 1, 2, 4
ITEM_SECOND = 1 << 21
MOST_EXPANSIONS = 1 << 13
# Between the characters of a question: it composes with nothing, is a grapheme of its own and no normalizer maps it.
APART = "\U0010fffd"
ALPHABET = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]

_CONTEXT_FREE = ("Lowercase", "StripAccents", "Nmt", "Replace", "BertNormalizer")


@dataclass
class Steps:
    """A normalizer and a pre-tokenizer as the steps that the runtime has. `before` and `behind`: context-free parts of
    the normalizer around the one that looks at neighbours."""

    before: list[dict[str, Any]] = field(default_factory=list)
    order: int = AS_IS
    form: str = ""
    charsmap: str = ""
    behind: list[dict[str, Any]] = field(default_factory=list)
    collapse: int = 0
    collapsed: str = " "
    strip_left: bool = False
    strip_right: bool = False
    start: int = 0
    mark: str = " "
    mark_spaces: bool = False
    split: int = NO_SPLIT
    digits_alone: bool = False
    byte_level: bool = False
    chinese_apart: bool = False  # by their class, where words are split as BERT does


def _kind(part: Mapping[str, Any] | None) -> str:
    return "none" if part is None else str(part["type"])


def _flatten(part: Mapping[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [step for each in part[inner] for step in _flatten(each, inner)]
    return [dict(part)]


def read_steps(spec: Mapping[str, Any]) -> Steps:
    """The steps of a tokenizer.json. Raises `BadInput` for one that the runtime does not have."""
    steps = Steps()
    kinds = [step["type"] for step in _flatten(spec["pre_tokenizer"], "pretokenizers")]
    for step in _flatten(spec["normalizer"], "normalizers"):
        if step["type"] == "BertNormalizer" and kinds == ["BertPreTokenizer"]:
            steps.chinese_apart |= step["handle_chinese_chars"]
            step["handle_chinese_chars"] = False
        _add_normalizer(steps, step)
    _add_pre_tokenizers(steps, _flatten(spec["pre_tokenizer"], "pretokenizers"))
    return steps


def _add_normalizer(steps: Steps, step: dict[str, Any]) -> None:
    kind = step["type"]
    settled = bool(steps.collapse or steps.strip_left or steps.strip_right)
    pattern = step.get("pattern", {})
    if kind == "Replace" and "Regex" in pattern:
        runs = {" {2,}": SPACES, "\\s+": WHITE_RUNS}.get(pattern["Regex"])
        if runs is None or len(step["content"]) != 1 or steps.collapse or steps.start:
            raise BadInput(f"the tokenizer replaces by the expression {pattern['Regex']!r:.60}, which edgexl has not")
        steps.collapse, steps.collapsed = runs, step["content"]
    elif kind == "Strip":
        if steps.start or (steps.collapse and steps.collapsed != " "):
            raise BadInput("the tokenizer strips texts where edgexl cannot, behind marks in the place of spaces")
        steps.strip_left |= step["strip_left"]
        steps.strip_right |= step["strip_right"]
    elif kind == "Prepend":
        if len(step["prepend"]) != 1 or settled or steps.start:
            raise BadInput(f"the tokenizer's normalizer Prepend puts {step['prepend']!r:.20} where edgexl cannot")
        steps.start, steps.mark = ANYWAY, step["prepend"]
    elif kind in ("NFC", "NFD", "NFKC", "NFKD", "Precompiled"):
        if steps.order != AS_IS or settled or steps.start or (kind == "Precompiled" and steps.before):
            raise BadInput(f"the tokenizer's normalizer {kind} stands behind one that edgexl cannot put before it")
        steps.order = GRAPHEMES if kind == "Precompiled" else CANONICAL
        steps.form = kind
        steps.charsmap = step.get("precompiled_charsmap", "")
    elif kind in _CONTEXT_FREE:
        if kind == "Replace" and len(pattern.get("String", "")) != 1:
            raise BadInput(
                f"the tokenizer replaces {pattern.get('String')!r:.40}, but edgexl replaces characters alone"
            )
        if settled:
            raise BadInput(f"the tokenizer's normalizer {kind} stands behind white space's, where edgexl has not it")
        if kind == "BertNormalizer":
            _add_bert(steps, step)
        else:
            (steps.before if steps.order == AS_IS else steps.behind).append(step)
    elif kind != "ByteLevel":
        raise BadInput(f"the tokenizer's normalizer is {kind}, which edgexl does not reproduce")
    else:
        raise BadInput("the tokenizer's normalizer is ByteLevel, but edgexl takes it as a pre-tokenizer alone")


def _add_bert(steps: Steps, step: dict[str, Any]) -> None:
    strip = step["lowercase"] if step["strip_accents"] is None else step["strip_accents"]
    clean = {**step, "strip_accents": False, "lowercase": False}
    lower = {"type": "Lowercase"}
    if not strip:
        part = steps.before if steps.order == AS_IS else steps.behind
        part += [clean, *[lower] * step["lowercase"]]
        return
    if steps.order != AS_IS:
        raise BadInput("the tokenizer's normalizer BertNormalizer stands behind one that edgexl cannot put before it")
    steps.before.append(clean)
    steps.order, steps.form = CANONICAL, "NFD"
    marks = {**step, "clean_text": False, "handle_chinese_chars": False, "strip_accents": True, "lowercase": False}
    steps.behind += [marks, *[lower] * step["lowercase"]]


def _add_pre_tokenizers(steps: Steps, parts: list[dict[str, Any]]) -> None:
    kinds = [part["type"] for part in parts]
    last = parts[-1] if parts else {}
    if kinds == ["Split"] and last["pattern"] == {"String": " "} and _maps_spaces(steps):
        kinds = []  # there is no space left that it could split at
    if kinds and kinds[-1] == "Metaspace" and kinds[:-1] in ([], ["WhitespaceSplit"]):
        scheme, mark = last["prepend_scheme"], last["replacement"]
        if steps.start:
            raise BadInput("the tokenizer puts a mark before texts twice, which edgexl does not reproduce")
        if kinds[:-1] and (not last["split"] or scheme == "first"):
            raise BadInput(
                "the tokenizer's pre-tokenizer is Metaspace behind WhitespaceSplit with other settings than edgexl has"
            )
        if scheme == "first" and (steps.strip_left or _drops(steps)):
            raise BadInput(
                "the tokenizer's Metaspace marks the beginning of a text alone, which its normalizer may drop"
            )
        steps.start = {"always": ALWAYS, "first": FIRST, "never": 0}[scheme]
        steps.mark, steps.mark_spaces = mark, True
        steps.split = AT_WHITE if kinds[:-1] else AT_MARKS if last["split"] else NO_SPLIT
    elif kinds and kinds[-1] == "ByteLevel" and kinds[:-1] in ([], ["Digits"]):
        if steps.start:
            raise BadInput("the tokenizer puts a mark before texts twice, which edgexl does not reproduce")
        steps.byte_level = True
        steps.split = GPT2 if last.get("use_regex", True) else NO_SPLIT
        steps.start = ALWAYS if last["add_prefix_space"] else 0
        if kinds[:-1]:
            if not parts[0]["individual_digits"] or steps.split != GPT2 or steps.start:
                raise BadInput("the tokenizer's pre-tokenizer Digits has settings that edgexl does not reproduce")
            steps.digits_alone = True
    elif kinds == ["BertPreTokenizer"]:
        steps.split = BERT
    elif kinds:
        raise BadInput(f"the tokenizer's pre-tokenizer is {', '.join(kinds)}, which edgexl does not reproduce")


def _maps_spaces(steps: Steps) -> bool:
    return _function([*steps.before, *steps.behind])(" ") != " "


def _drops(steps: Steps) -> bool:
    return any(step["type"] in ("Nmt", "StripAccents", "BertNormalizer") for step in [*steps.before, *steps.behind])


# ---- What becomes of each character ----


def _function(steps: Sequence[dict[str, Any]]) -> Callable[[str], str]:
    """A context-free part of a normalizer, as a function of one text."""
    if not steps:
        return lambda text: text
    normalizer = normalizer_of({"type": "Sequence", "normalizers": list(steps)})
    return lambda text: str(normalizer.normalize_str(text))


def normalizer_of(spec: dict[str, Any]) -> Any:
    """The Hugging Face normalizer of a part of a tokenizer.json."""
    from tokenizers import Tokenizer, models

    whole = json.loads(Tokenizer(models.BPE()).to_str())
    whole["normalizer"] = spec
    return Tokenizer.from_str(json.dumps(whole)).normalizer


def _map_each(function: Callable[[str], str], chars: Sequence[str]) -> dict[str, str]:
    """What a context-free function makes of each character, where that is another text. Many are asked at once."""
    changed: dict[str, str] = {}
    if (made := function(APART)) != APART and APART in chars:
        changed[APART] = made
    for start in range(0, len(chars), 4096):
        batch = [char for char in chars[start : start + 4096] if char != APART]
        joined = APART.join(batch)
        answer = function(joined)
        if answer == joined:
            continue
        answers = answer.split(APART)
        if len(answers) != len(batch):
            answers = [function(char) for char in batch]
        changed |= {char: answer for char, answer in zip(batch, answers, strict=True) if answer != char}
    return changed


@dataclass
class Expansions:
    """Texts that stand for characters, each once."""

    items: dict[tuple[int, ...], int] = field(default_factory=dict)

    def of(self, items: Iterable[int]) -> int:
        found = self.items.setdefault(tuple(items), len(self.items))
        if found >= MOST_EXPANSIONS:
            raise BadInput(
                f"the tokenizer's normalizer maps to more than {MOST_EXPANSIONS} texts, which edgexl does not take"
            )
        return found

    def pack(self) -> tuple[bytes, bytes]:
        starts: list[int] = [0]
        flat: list[int] = []
        for items in self.items:
            flat += items
            starts.append(len(flat))
        return struct.pack(f"<{len(starts)}I", *starts), struct.pack(f"<{len(flat)}I", *flat)


@dataclass(frozen=True)
class Spelling:
    """The packed spelling: the header's part and the arrays behind it, and what else the models need to know."""

    header: bytes
    arrays: tuple[bytes, ...]
    steps: Steps
    maps_to: Callable[[str], str]


def pack_spelling(tokenizer: Any, spec: Mapping[str, Any], steps: Steps) -> Spelling:
    """The tables of a tokenizer (`spec` is its JSON). Raises `BadInput` for what cannot be reproduced."""
    expansions = Expansions()
    tail: list[int] | None = None
    sequences: list[tuple[int, int, int, int]] = []
    if steps.order == AS_IS:
        entries = _plain_entries(_map_each(_function([*steps.before, *steps.behind]), ALPHABET), expansions)
    elif steps.order == GRAPHEMES:
        entries, sequences = _grapheme_entries(steps, expansions)
    else:
        entries, sequences = _canonical_entries(steps, expansions)
        # what has been decomposed holds no character that decomposes
        apart = _map_each(_function([{"type": steps.form}]), ALPHABET) if steps.form in ("NFD", "NFKD") else {}
        behind = _map_each(_function(steps.behind), [char for char in ALPHABET if char not in apart])
        tail = _plain_entries(behind, expansions) if behind else None
    literal, normal = read_added(tokenizer)
    maps = [_pack_pages(entries, "H")]
    maps += [_pack_pages(tail, "H")] if tail is not None else []
    maps.append(
        _pack_pages(_classes(steps.split, steps.digits_alone, steps.order == GRAPHEMES, steps.chinese_apart), "B")
    )
    counts = [
        len(pages) // (PAGE_SIZE * size) for (_, pages), size in zip(maps, (2, 2, 1) if tail else (2, 1), strict=True)
    ]
    starts, items = expansions.pack()
    added = [_pack_added(literal), _pack_added(normal)]
    header = HEADER.pack(
        steps.order, steps.collapse, steps.strip_left, steps.strip_right, steps.start, steps.split, steps.digits_alone,
        steps.mark_spaces, ord(steps.mark), ord(steps.collapsed), 0, counts[0], counts[1] if tail else 0, counts[-1],
        len(starts) // 4 - 1, len(items) // 4, len(sequences), len(literal), len(added[0][1]), len(normal),
        len(added[1][1]),
    )  # fmt: skip
    flat = [number for sequence in sorted(sequences) for number in sequence]
    arrays = [part for table in maps for part in table]
    arrays += [starts, items, struct.pack(f"<{len(flat)}I", *flat), *added[0], *added[1]]
    return Spelling(header, tuple(arrays), steps, _function([*steps.before, *steps.behind]))


def _plain_entries(changed: Mapping[str, str], expansions: Expansions) -> list[int]:
    entries = [KEEP << 13] * 0x110000
    for char, made in changed.items():
        entries[ord(char)] = EXPAND << 13 | expansions.of(map(ord, made)) if made else DROP << 13
    return entries


def _grapheme_entries(steps: Steps, expansions: Expansions) -> tuple[list[int], list[tuple[int, int, int, int]]]:
    mapped = read_charsmap(steps.charsmap)
    behind = _function(steps.behind)
    entries = _plain_entries(_map_each(behind, ALPHABET), expansions)
    sequences = []
    for key, text in mapped.items():
        made = tuple(map(ord, behind(text)))
        if len(key) == 1:
            entries[ord(key)] = KEYED << 13 | expansions.of(made)
        elif len(key.encode()) < 6 and len(key) <= 3:
            a, b, c = [*map(ord, key), 0][:3]
            sequences.append((a, b, c, expansions.of(made)))
        elif len(key.encode()) < 6:
            raise BadInput(f"the tokenizer's charsmap maps {key!r}, which edgexl does not reproduce")
    return entries, sequences


def _canonical_entries(steps: Steps, expansions: Expansions) -> tuple[list[int], list[tuple[int, int, int, int]]]:
    from tokenizers.normalizers import NFC, NFD

    compose, decompose = NFC(), NFD()
    form = {"NFC": "NFD", "NFKC": "NFKD"}.get(steps.form, steps.form)
    changed = _map_each(_function([*steps.before, {"type": form}]), ALPHABET)
    ranks = _mark_ranks(ALPHABET)
    pairs: dict[tuple[str, str], str] = {}
    if steps.form in ("NFC", "NFKC"):
        composed = _map_each(lambda text: str(decompose.normalize_str(text)), ALPHABET)
        for char, parts in composed.items():
            if 0xAC00 <= ord(char) <= 0xD7A3 or len(parts) < 2 or compose.normalize_str(char) != char:
                continue
            first = compose.normalize_str(parts[:-1])
            if len(first) != 1 or compose.normalize_str(first + parts[-1]) != char:
                raise BadInput(f"this version of the tokenizers library composes U+{ord(char):04X} as no other does")
            pairs[first, parts[-1]] = char
    seconds = {second for _, second in pairs}
    if pairs:
        seconds |= {chr(c) for c in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}

    def item(char: str) -> int:
        return ord(char) | ITEM_SECOND * (char in seconds or char in ranks) | ranks.get(char, 0) << 24

    entries = [KEEP << 13] * 0x110000
    for char, rank in ranks.items():
        entries[ord(char)] = MARK << 13 | rank
    for char in seconds - ranks.keys():
        entries[ord(char)] = SECOND << 13
    for char, made in changed.items():
        if 0xAC00 <= ord(char) <= 0xD7A3 and made == _jamo(ord(char) - 0xAC00):
            entries[ord(char)] = HANGUL << 13
        else:
            entries[ord(char)] = EXPAND << 13 | expansions.of(map(item, made)) if made else DROP << 13
    return entries, [(ord(a), ord(b), 0, ord(char)) for (a, b), char in pairs.items()]


def _jamo(syllable: int) -> str:
    tail = syllable % 28
    return chr(0x1100 + syllable // 588) + chr(0x1161 + syllable // 28 % 21) + (chr(0x11A7 + tail) if tail else "")


def _mark_ranks(chars: Sequence[str]) -> dict[str, int]:
    """The characters that canonical decomposition moves, with their order, from 1."""
    from tokenizers.normalizers import NFD

    decompose = NFD()
    marks = []
    for start in range(0, len(chars), 4096):
        batch = [c for c in chars[start : start + 4096] if c != APART]
        answers = decompose.normalize_str(APART.join("\u0345" + c + "\u0334" for c in batch)).split(APART)
        marks += [
            char
            for char, answer in zip(batch, answers, strict=True)
            if answer[0] != "\u0345" and decompose.normalize_str(char) == char
        ]
    return rank_marks(marks)


def rank_marks(marks: Iterable[str]) -> dict[str, int]:
    """The place of each mark in canonical order, from 1; marks of one class, which keep the order in which they are
    written, have one place."""
    from tokenizers.normalizers import NFD

    decompose = NFD()

    def above(first: str, second: str) -> bool:
        return bool(decompose.normalize_str(first + second) == second + first != first + second)

    classes: list[list[str]] = []
    for mark in marks:
        at = sum(above(mark, members[0]) for members in classes)
        if at < len(classes) and not above(classes[at][0], mark):
            classes[at].append(mark)
        else:
            classes.insert(at, [mark])
    return {mark: rank for rank, members in enumerate(classes, start=1) for mark in members}


@lru_cache(maxsize=4)
def _classes(split: int, digits_alone: bool, graphemes: bool, chinese: bool) -> bytes:
    """[0x110000]: what splits, options of added tokens and graphemes ask of each character."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Digits, Split, WhitespaceSplit

    def places(pre_tokenizer: Any) -> set[int]:
        found: set[int] = set()
        for start in range(0, len(ALPHABET), 2048):
            spans = pre_tokenizer.pre_tokenize_str("".join(ALPHABET[start : start + 2048]))
            found.update(start + at for _, (begin, end) in spans for at in range(begin, end))
        return found

    def those(expression: str) -> set[int]:
        return places(Split(Regex(f"[^{expression}]+"), "removed"))

    classes = bytearray(0x110000)
    if split == GPT2:
        numbers = those(r"\p{N}")
        for at in those(r"\p{L}"):
            classes[ord(ALPHABET[at])] = LETTER
        for at in numbers:
            classes[ord(ALPHABET[at])] = NUMBER
        if digits_alone and numbers != _isolated(Digits(individual_digits=True)):
            raise BadInput("this version of the tokenizers library has digits that are no numbers")
    if split == BERT:
        from tokenizers.pre_tokenizers import BertPreTokenizer

        for at in _isolated(BertPreTokenizer()):
            classes[ord(ALPHABET[at])] = PUNCTUATION
    if chinese:
        apart = {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": True}
        apart |= {"strip_accents": False, "lowercase": False}
        for char in _map_each(_function([apart]), ALPHABET):
            classes[ord(char)] = PUNCTUATION
    white = those(r"\s")
    if white != set(range(len(ALPHABET))) - places(WhitespaceSplit()):
        raise BadInput("this version of the tokenizers library has two kinds of white space")
    for at in white:
        classes[ord(ALPHABET[at])] = WHITE
    for at in those(r"\w"):
        classes[ord(ALPHABET[at])] |= WORD_BIT
    if graphemes:
        for code_point, kind in enumerate(grapheme_classes()):
            classes[code_point] |= kind << 4
    return bytes(classes)


def _isolated(pre_tokenizer: Any) -> set[int]:
    """The places in `ALPHABET` of characters that a pre-tokenizer makes a word of, between letters."""
    found: set[int] = set()
    for start in range(0, len(ALPHABET), 4096):
        batch = ALPHABET[start : start + 4096]
        spans = pre_tokenizer.pre_tokenize_str("a" + "a".join(batch) + "a")
        found |= {start + begin // 2 for _, (begin, end) in spans if end - begin == 1 and begin % 2 == 1}
    return found


def _pack_pages(entries: Sequence[int] | bytes, size: str) -> tuple[bytes, bytes]:
    pages: dict[bytes, int] = {}
    packed = bytes(entries) if size == "B" else struct.pack(f"<{len(entries)}H", *entries)
    step = PAGE_SIZE * struct.calcsize(size)
    page_of = [pages.setdefault(packed[at : at + step], len(pages)) for at in range(0, len(packed), step)]
    return struct.pack(f"<{len(page_of)}H", *page_of), b"".join(pages)


# ---- Added tokens ----

Added = list[tuple[str, int, int]]  # text, id, options


def read_added(tokenizer: Any) -> tuple[Added, Added]:
    """Added tokens that are looked for in the text as it is, and in the normalised one. Raises `BadInput` for options
    that cannot be reproduced."""
    literal: Added = []
    normal: Added = []
    decoder = tokenizer.get_added_tokens_decoder()
    for number, token in sorted(decoder.items()):
        if not token.content:
            continue
        options = LSTRIP * token.lstrip | RSTRIP * token.rstrip | SINGLE_WORD * token.single_word
        content = token.content
        if "\ufffd" in content or "\0" in content:
            raise BadInput(
                f"the tokenizer's added token {content!r} holds U+FFFD or U+0000, which edgexl does not take"
            )
        if content != content.lstrip() and any(each.rstrip for each in decoder.values()):
            raise BadInput(f"the tokenizer's added token {content!r} begins with white space that another one takes")
        if token.normalized:
            if token.lstrip:
                raise BadInput(f"the tokenizer's added token {content!r} has lstrip=true and normalized=true")
            if tokenizer.normalizer is not None:
                content = tokenizer.normalizer.normalize_str(content)
            if not content:
                raise BadInput(f"the tokenizer's added token {token.content!r} is nothing once it is normalised")
            if any(content == text for text, _, _ in normal):
                raise BadInput(f"the tokenizer's added token {token.content!r} is another one once it is normalised")
        (normal if token.normalized else literal).append((content, number, options))
    for added in (literal, normal):
        if len(added) > 0xFFFF:
            raise BadInput(f"the tokenizer has {len(added)} added tokens, but edgexl takes {0xFFFF} at most")
        added.sort(key=lambda entry: (entry[0].encode()[0], -len(entry[0].encode()), entry[0].encode()))
    return literal, normal


def refuse_straddling(literal: Iterable[str], *prompts: str) -> None:
    """Raise `BadInput` where an added token could begin in a prompt and end in the text behind it."""
    for content in literal:
        for prompt in prompts:
            if any(prompt.endswith(content[:size]) for size in range(1, len(content))):
                raise BadInput(f"the prompt {prompt!r:.60} ends as the tokenizer's added token {content!r} begins")


def _pack_added(added: Added) -> tuple[bytes, bytes]:
    records = [struct.pack("<IB", number, options) + text.encode() for text, number, options in added]
    starts = [0]
    for record in records:
        starts.append(starts[-1] + len(record))
    return struct.pack(f"<{len(starts)}I", *starts), b"".join(records)
