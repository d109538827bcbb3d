"""Packing a tokenizer: what is refused and by what name, and that equal tokenizers give equal sections."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from tokenizers import Tokenizer, models

from benchmarks.tokenizer import SPECIALS, Variant, make_tokenizer
from edgexl.base.errors import BadInput
from edgexl.bundle.tokenizer import HEADER, pack_tokenizer

PIECES = ["un", "##able", "\u00e9t\u00e9", "ete", "Upper", "a-b", "!"]


def bert_json() -> dict[str, Any]:
    return dict(json.loads(make_tokenizer(PIECES, Variant())))


def pack(**changes: object) -> bytes:
    return pack_tokenizer(json.dumps({**bert_json(), **changes}))


def added(**options: object) -> dict[str, object]:
    token = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": 4, "content": "[MASK]", "special": True, **token, **options}


def sequence(*parts: dict[str, object]) -> dict[str, object]:
    return {"type": "Sequence", "normalizers": list(parts)}


def model(**changes: object) -> dict[str, object]:
    return {**bert_json()["model"], **changes}


def template(*steps: tuple[str, str]) -> dict[str, object]:
    single = [{kind: {"id": name, "type_id": 0}} for kind, name in steps]
    ids = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in (("[CLS]", 2), ("[SEP]", 3))}
    return {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": ids}


def test_header() -> None:
    fields = HEADER.unpack_from(pack())
    assert fields[:6] == (1, len(SPECIALS) + len(PIECES), 2, 3, 1, 100)
    assert fields[-1] == 0


def test_pieces_that_no_text_reaches_are_left_out() -> None:
    section = pack()
    assert b"ete" in section
    for unreachable in ("\u00e9t\u00e9", "Upper", "a-b"):  # accented, upper case, split at the hyphen
        assert unreachable.encode() not in section
    assert b"Upper" in pack(normalizer={**bert_json()["normalizer"], "lowercase": False})


def test_equal_tokenizers_give_equal_sections() -> None:
    shuffled = bert_json()
    shuffled["model"]["vocab"] = dict(reversed(shuffled["model"]["vocab"].items()))
    shuffled["added_tokens"].reverse()
    same = template(CLS, TEXT, SEP)
    assert pack_tokenizer(json.dumps(shuffled)) == pack() == pack(post_processor=same)


def test_truncation_and_padding_are_not_the_tokenizers_business() -> None:
    tokenizer = Tokenizer.from_str(json.dumps(bert_json()))
    tokenizer.enable_truncation(7)
    tokenizer.enable_padding(length=7)
    assert pack_tokenizer(tokenizer.to_str()) == pack()


UNIGRAM = json.loads(Tokenizer(models.Unigram([("a", 0.0)], unk_id=0, byte_fallback=False)).to_str())["model"]
LEFT = {"direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0}
CLS, TEXT, SEP = ("SpecialToken", "[CLS]"), ("Sequence", "A"), ("SpecialToken", "[SEP]")
BPE = json.loads(Tokenizer(models.BPE()).to_str())["model"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": UNIGRAM}, "model Unigram has a pre-tokenizer"),
        ({"model": BPE}, "model BPE has a pre-tokenizer"),
        ({"model": model(unk_token="<unk>")}, "unknown token '<unk>'"),
        ({"model": model(max_input_chars_per_word=300)}, "max_input_chars_per_word is 300"),
        ({"model": model(vocab={"[UNK]": 1, "a" * 90: 2, "\U00010428" * 80: 3})}, "longer than 255 bytes"),
        ({"model": model(vocab={"[UNK]": 1 << 24})}, "token id 16777216"),
        ({"normalizer": {"type": "ByteLevel"}}, "normalizer is ByteLevel"),
        ({"normalizer": sequence({"type": "NFC"}, {"type": "NFKD"})}, "normalizer NFKD stands behind"),
        ({"normalizer": {"type": "Replace", "pattern": {"Regex": "a+"}, "content": "a"}}, "the expression 'a\\+'"),
        ({"normalizer": {"type": "Replace", "pattern": {"String": "ab"}, "content": "a"}}, "replaces 'ab'"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "pre-tokenizer is Whitespace"),
        ({"pre_tokenizer": None}, "model WordPiece has a pre-tokenizer"),
        ({"post_processor": template(CLS, TEXT, TEXT)}, "template for one text"),
        ({"post_processor": template(CLS, TEXT, *[SEP] * 5)}, "template for one text"),
        ({"added_tokens": [added(normalized=True, lstrip=True)]}, r"'\[MASK\]' has lstrip=true"),
        ({"added_tokens": [added(content=" mask")]}, "white space"),
        ({"added_tokens": [added(content="a\ufffdb")]}, "U\\+FFFD"),
        ({"truncation": LEFT}, "on the left"),
        ({"model": {"type": "WordPiece"}}, "cannot be read"),
        ({"model": None}, "not a Hugging Face tokenizer.json"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_refuses_by_name(changes: dict[str, object], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        pack(**changes)


@pytest.mark.parametrize("text", ["", "[]", "{}", "not JSON", "\x00"])
def test_refuses_what_is_no_tokenizer(text: str) -> None:
    with pytest.raises(BadInput, match="not a Hugging Face tokenizer"):
        pack_tokenizer(text)


def test_pieces_are_packed_as_they_always_were() -> None:
    """The hash tables, records and added tokens: all behind the characters, which are the library's Unicode version."""
    words = [f"{first}{second}{third}" for first in "bdfgk" for second in "aeiou" for third in ("", "l", "r", "nt")]
    pieces = [*words, *(f"##{word}" for word in words[::2]), "é", "##é", "!", "日"]
    tokenizer = json.loads(make_tokenizer(pieces, Variant()))
    tokenizer["added_tokens"] += [added(), {**added(), "id": 999, "content": "[longer one]"}]
    section = pack_tokenizer(json.dumps(tokenizer))
    fields = HEADER.unpack_from(section)
    assert fields[1] == 160
    pages, expansions, items = fields[10:13]
    arrays = [2 * 0x110000 // 128, 256 * pages, 2 * (expansions + 1), 4 * items]
    begin = HEADER.size + sum(size + -size % 4 for size in arrays)
    assert hashlib.sha256(section[begin:]).hexdigest()[:32] == "91053585d500b5d52633b50f6825e606"
    sizes = [4 * fields[6], 4 * fields[8], fields[13], 4 * (fields[14] + 1), fields[15]]
    assert begin + sum(size + -size % 4 for size in sizes) == len(section)
    longest = max(len(piece.encode()) for piece in [*SPECIALS, *pieces] if not piece.startswith("##"))
    assert fields[7] <= longest
