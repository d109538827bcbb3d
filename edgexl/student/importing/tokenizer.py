"""A model's tokenizer as transformers opens it.

BERT's kinds are read here: tokenizer.json or vocab.txt, and the settings that override them. All others (XLM-R,
RoBERTa, MPNet, Gemma, ...) are opened by transformers' own AutoTokenizer, which also converts sentencepiece models and
vocab.json with merges.txt, without the network and without code of the model's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer, Lowercase, Sequence
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from edgexl.base.errors import BadInput
from edgexl.base.files import read_input
from edgexl.student import text
from edgexl.student.contract import find_padding_fault, refuse_unpackable
from edgexl.student.importing.files import ForeignModel, read_table

# Tokenizers of transformers that are BERT's under another name, and those that are their tokenizer.json and no more.
_BERTS = {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer", "RetriBertTokenizer"}
_GENERIC = {"PreTrainedTokenizer", "TokenizersBackend"}
_UNBOUNDED = 1 << 31  # transformers writes 10^30 for a tokenizer without a limit


@dataclass(frozen=True)
class ImportedTokenizer:
    """A tokenizer without truncation and padding, and how many tokens its settings allow (None: any number).

    `swapped`: the id that has changed places with 0, which must be no piece of texts; the word table's rows do as well.
    """

    tokenizer: Tokenizer
    longest: int | None
    swapped: int | None = None


def read_model_tokenizer(folder: Path, lower_case: bool, named_by_config: Any = None) -> ImportedTokenizer:
    """The tokenizer of an encoder's folder. `lower_case`: lower-case texts first, as sentence-transformers is told to.

    `named_by_config` is config.json's tokenizer_class. Raises `BadInput` where a file is missing or not sound, and
    `ForeignModel` for a tokenizer that edgexl does not reproduce.
    """
    path = folder / "tokenizer_config.json"
    settings = read_table(path)
    kind = settings.get("tokenizer_class") or named_by_config or "BertTokenizer"
    kind = str(kind).removesuffix("Fast")
    if settings.get("auto_map"):
        raise ForeignModel(
            f"{folder} has a tokenizer of the class {kind:.40}, which is Python code of the model's own."
        )
    if kind not in _BERTS | _GENERIC:
        tokenizer = _open_by_transformers(folder, kind)
    elif (folder / "tokenizer.json").exists():
        tokenizer = text.read_tokenizer(folder / "tokenizer.json")
    elif (folder / "vocab.txt").exists() and kind in _BERTS:
        tokenizer = _from_vocabulary(folder, settings)
    else:
        raise BadInput(f"{folder} has no tokenizer.json; save its fast tokenizer there.")
    spec = json.loads(tokenizer.to_str())
    side = settings.get("truncation_side") or (spec["truncation"] or {}).get("direction", "right")
    if str(side).lower() != "right":
        raise ForeignModel(f"{folder}: truncation_side is '{side!s:.20}', but edgexl keeps a text's beginning.")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if kind in _BERTS | _GENERIC:
        _add_tokens(folder, tokenizer, settings)
    if (spec["normalizer"] or {}).get("type") == "BertNormalizer":
        _set_normalizer(tokenizer, spec["normalizer"], settings if kind in _BERTS else None, lower_case)
    elif lower_case:
        own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = Sequence([Lowercase(), *own])
    tokenizer, swapped = free_padding(tokenizer)
    try:
        refuse_unpackable(tokenizer)
    except BadInput as error:
        raise ForeignModel(f"{folder}: {error}") from None
    return ImportedTokenizer(tokenizer, _longest(path, settings), swapped)


def _open_by_transformers(folder: Path, kind: str) -> Tokenizer:
    """The fast tokenizer that transformers makes of a folder."""
    from transformers import AutoTokenizer

    try:
        opened = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, use_fast=True)
        return Tokenizer.from_str(opened.backend_tokenizer.to_str())
    except Exception as error:  # its libraries raise all kinds of things about files, and say what is wrong with them
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ForeignModel(
            f"{folder}: transformers opens no fast tokenizer of the class {kind:.40}: {reason}."
        ) from None


def free_padding(tokenizer: Tokenizer) -> tuple[Tokenizer, int | None]:
    """The tokenizer, and where its id 0 is a piece of texts, with a special token there, whose id that piece gets."""
    if find_padding_fault(tokenizer) is None:
        return tokenizer, None
    special = [place for place, token in sorted(tokenizer.get_added_tokens_decoder().items()) if token.special]
    if type(tokenizer.model).__name__ == "Unigram":  # its pieces' ids are their places
        special = [place for place in special if place < tokenizer.get_vocab_size(with_added_tokens=False)]
    if not special:
        return tokenizer, None
    return swap_ids(tokenizer, 0, special[0]), special[0]


def swap_ids(tokenizer: Tokenizer, first: int, second: int) -> Tokenizer:
    """The tokenizer in which two ids have changed places, in everything that names ids."""
    spec = json.loads(tokenizer.to_str())
    other = {first: second, second: first}
    model, processor = spec["model"], spec["post_processor"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {piece: other.get(place, place) for piece, place in model["vocab"].items()}
    else:
        pieces = model["vocab"]
        pieces[first], pieces[second] = pieces[second], pieces[first]
        model["unk_id"] = other.get(model["unk_id"], model["unk_id"])
    for token in spec["added_tokens"]:
        token["id"] = other.get(token["id"], token["id"])
    spec["added_tokens"].sort(key=lambda token: token["id"])
    for part in (processor or {}).get("processors", [processor or {}]):
        for token in part.get("special_tokens", {}).values():
            token["ids"] = [other.get(place, place) for place in token["ids"]]
        for role in ("cls", "sep"):
            if role in part:
                part[role][1] = other.get(part[role][1], part[role][1])
    return Tokenizer.from_str(json.dumps(spec))


def _from_vocabulary(folder: Path, settings: dict[str, Any]) -> Tokenizer:
    """The fast tokenizer that transformers makes of a vocab.txt."""
    try:
        lines = read_input(folder / "vocab.txt").decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise BadInput(f"{folder}/vocab.txt is not UTF-8.") from None
    pieces = {line.removesuffix("\r"): place for place, line in enumerate(lines) if line or place < len(lines) - 1}
    special = read_table(folder / "special_tokens_map.json")
    names = {}
    for role in ("unk", "cls", "sep", "pad", "mask"):
        name = settings.get(f"{role}_token") or special.get(f"{role}_token") or f"[{role.upper()}]"
        names[role] = str(name["content"] if isinstance(name, dict) and "content" in name else name)
    lacking = [names[role] for role in ("unk", "cls", "sep", "pad") if names[role] not in pieces]
    if lacking:
        raise BadInput(f"{folder}/vocab.txt has no line {lacking[0]!r:.40}; it is not a BERT vocabulary, or cut.")
    tokenizer = Tokenizer(WordPiece(pieces, unk_token=names["unk"], max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True
    )
    tokenizer.pre_tokenizer = BertPreTokenizer()
    around = [(names[role], pieces[names[role]]) for role in ("cls", "sep")]
    cls, sep = names["cls"], names["sep"]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0", pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1", special_tokens=around
    )
    tokenizer.add_special_tokens([name for name in names.values() if name in pieces])
    return tokenizer


def _add_tokens(folder: Path, tokenizer: Tokenizer, settings: dict[str, Any]) -> None:
    """Add the tokens that the settings name and the tokenizer does not have, or has with other options."""
    known = {token.content: token for token in tokenizer.get_added_tokens_decoder().values()}
    described = settings.get("added_tokens_decoder") or {}
    if not isinstance(described, dict):
        raise BadInput(f"{folder}/tokenizer_config.json: 'added_tokens_decoder' is not a table.")
    for place, entry in sorted(described.items(), key=lambda item: (len(item[0]), item[0])):
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise BadInput(f"{folder}/tokenizer_config.json: the added token {place:.20} has no 'content'.")
        options = {name: bool(entry.get(name, False)) for name in ("lstrip", "rstrip", "normalized", "single_word")}
        token = AddedToken(entry["content"], special=bool(entry.get("special", False)), **options)
        if known.get(token.content) != token:
            (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
        if tokenizer.token_to_id(token.content) != (int(place) if place.isdecimal() else -1):
            raise BadInput(
                f"{folder}: the added token {token.content!r:.40} is not id {place:.20}, as its settings say."
            )
    older = read_table(folder / "added_tokens.json")
    for content, place in older.items():
        if tokenizer.token_to_id(content) != place:
            raise ForeignModel(f"{folder}/added_tokens.json adds {content!r:.40}, which tokenizer.json does not hold.")


def _set_normalizer(
    tokenizer: Tokenizer, found: dict[str, Any], settings: dict[str, Any] | None, lower_case: bool
) -> None:
    """Give BERT's normalizer the options of the settings, as transformers does, and of `lower_case`."""
    lowercase, accents, chinese = found["lowercase"], found["strip_accents"], found["handle_chinese_chars"]
    if settings is not None:
        lowercase = settings.get("do_lower_case", True)
        accents = settings.get("strip_accents")
        chinese = settings.get("tokenize_chinese_chars", True)
    if lower_case and not lowercase:
        # accents go with the case unless told otherwise; what is lower-cased first keeps them
        lowercase, accents = True, bool(accents)
    tokenizer.normalizer = BertNormalizer(
        clean_text=found["clean_text"],
        handle_chinese_chars=bool(chinese),
        strip_accents=None if accents is None else bool(accents),
        lowercase=bool(lowercase),
    )


def _longest(path: Path, settings: dict[str, Any]) -> int | None:
    longest = settings.get("model_max_length", settings.get("max_len"))
    if longest is None:
        return None
    if isinstance(longest, bool) or not isinstance(longest, int | float) or not longest >= 1:
        raise BadInput(f"{path}: 'model_max_length' is {longest!r:.40}; expected a number of tokens.")
    return int(longest) if longest < _UNBOUNDED else None
