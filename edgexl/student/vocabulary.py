"""Vocabulary pruning: a tokenizer that knows fewer word pieces, and is exact for those that it keeps.

A text made of kept pieces alone is split as before: WordPiece takes the longest piece it knows, Unigram the pieces of
the highest score, BPE merges by rank, and without the other pieces each does the same. All characters (of byte-level
BPE, bytes) stay spelled, so no text becomes unknown that was not: a word whose pieces are gone falls into shorter ones.

    counts = count_pieces(tokenizer, texts)
    small, old_ids = prune_tokenizer(tokenizer, choose_pieces(counts, 16_000))
    table = prune_screener_table(table, old_ids)

Hashed n-grams are made of piece ids: rows of an `NgramScreener`'s buckets mean nothing after pruning.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput

# In this order, those that there are, before all other pieces; [PAD] must be 0. Other kinds' tokens keep their order.
FIRST_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Texts tokenised at once: a quarter of a million short texts at once would be a gigabyte of encodings.
BATCH_TEXTS = 10_000


def count_pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> Ints:
    """int64 [vocabulary]: how often each piece occurs in `texts`, special tokens around them not counted."""
    size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    counts = np.zeros(size, np.int64)
    for batch in _batches(texts):
        encodings = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        ids = [place for encoding in encodings for place in encoding.ids]
        counts += np.bincount(np.array(ids, np.int64), minlength=size)
    return counts


def choose_pieces(counts: Ints, budget: int) -> Ints:
    """The ids of the `budget` most used pieces, ascending; of equally used ones the lower id, unused ones never.

    `prune_tokenizer` keeps the special tokens and all single characters besides.
    """
    order = np.argsort(-counts, kind="stable")[: max(0, budget)]
    return np.sort(order[counts[order] > 0]).astype(np.int64)


def prune_tokenizer(tokenizer: Tokenizer, kept_ids: Sequence[int] | Ints) -> tuple[Tokenizer, Ints]:
    """A tokenizer of the pieces `kept_ids`, the added tokens, all single characters and bytes and what the pieces are
    made of, and its pieces' old ids [new].

    New ids are dense: `FIRST_TOKENS`, other added tokens of the model's vocabulary, then pieces in their old order.
    Raises `BadInput` for a tokenizer of another kind than those above, for an id that it does not have, and where a
    WordPiece vocabulary holds a character that is no piece of its own, for pruning would then make [UNK] of words that
    it can split.
    """
    spec = json.loads(tokenizer.to_str())
    model = spec["model"]
    kind = model.get("type")
    if kind not in _NEEDED:
        raise BadInput(f"A {kind} vocabulary cannot be pruned; keep the whole vocabulary.")
    # Unigram's is a list of pieces with their scores, whose ids are their places
    scored: list[list[Any]] = model["vocab"] if kind == "Unigram" else []
    vocabulary: dict[str, int] = {piece: place for place, (piece, _) in enumerate(scored)} or model["vocab"]
    kept = {int(place) for place in kept_ids}
    unknown = sorted(kept - set(tokenizer.get_vocab(with_added_tokens=True).values()))
    if unknown:
        raise BadInput(f"The tokenizer has no piece {unknown[0]}; choose the pieces to keep by its own ids.")
    added = [token["content"] for token in spec["added_tokens"]]
    special = {*FIRST_TOKENS, *_unknown_tokens(model), *added} & vocabulary.keys()
    chosen = {piece for piece, place in vocabulary.items() if place in kept} - special
    chosen |= _NEEDED[kind](model, chosen, special)
    first = [name for name in FIRST_TOKENS if name in vocabulary]
    first += sorted(special - set(first), key=vocabulary.__getitem__)
    names = first + sorted(chosen - special, key=vocabulary.__getitem__)
    old_ids = [vocabulary[name] for name in names]
    # added tokens outside the model's vocabulary come behind it, where the tokenizers library puts them itself
    outside = sorted((t for t in spec["added_tokens"] if t["content"] not in vocabulary), key=lambda t: int(t["id"]))
    names += [token["content"] for token in outside]
    old_ids += [token["id"] for token in outside]
    new_ids = {name: place for place, name in enumerate(names)}
    inside = [name for name in names if name in vocabulary]
    if kind == "Unigram":
        unknown_piece = None if model["unk_id"] is None else scored[model["unk_id"]][0]
        model["vocab"] = [scored[vocabulary[name]] for name in inside]
        model["unk_id"] = None if unknown_piece is None else new_ids[unknown_piece]
    else:
        model["vocab"] = {name: new_ids[name] for name in inside}
    for token in spec["added_tokens"]:
        token["id"] = new_ids[token["content"]]
    spec["added_tokens"].sort(key=lambda token: token["id"])
    _renumber(spec["post_processor"], new_ids)
    return Tokenizer.from_str(json.dumps(spec)), np.array(old_ids, np.int64)


def prune_screener_table(weight: Tensor, old_ids: Ints) -> Tensor:
    """A table of word pieces [old,dims] -> [new,dims] for the pruned tokenizer with these `old_ids`."""
    return weight.detach()[torch.from_numpy(old_ids)].clone()


def _unknown_tokens(model: dict[str, Any]) -> list[str]:
    """The piece that stands for what has none."""
    if model["type"] == "Unigram":
        return [] if model["unk_id"] is None else [model["vocab"][model["unk_id"]][0]]
    return [model["unk_token"]] if model.get("unk_token") else []


def _needed_by_wordpiece(model: dict[str, Any], chosen: set[str], special: set[str]) -> set[str]:
    """The pieces of a single character, at a word's beginning and further on, after seeing that none is missing."""
    vocabulary: dict[str, int] = model["vocab"]
    prefix = model["continuing_subword_prefix"]
    needed: dict[str, str] = {}
    for piece in vocabulary:
        if piece in special:
            continue
        inner = prefix != "" and piece.startswith(prefix) and len(piece) > len(prefix)
        text = piece.removeprefix(prefix) if inner else piece
        for place, character in enumerate(text):
            needed.setdefault(prefix + character if inner or place else character, piece)
    for single, piece in needed.items():
        if single not in vocabulary:
            raise BadInput(
                f"The tokenizer's piece {piece!r} holds a character that is no piece of its own ({single!r} is "
                "missing), so words could become [UNK] without it; keep the whole vocabulary."
            )
    return set(needed)


def _needed_by_unigram(model: dict[str, Any], chosen: set[str], special: set[str]) -> set[str]:
    """Single characters, bytes, and a piece of the lowest score: an unknown character's score lies below it."""
    lowest = min(model["vocab"], key=lambda entry: entry[1])[0]
    return {piece for piece, _ in model["vocab"] if _is_single(piece)} | {lowest}


def _needed_by_bpe(model: dict[str, Any], chosen: set[str], special: set[str]) -> set[str]:
    """Single characters, bytes, and all that the pieces are merged from. Other merges are taken out of the model.

    A piece is merged in a text as it is alone, for no merge reaches over its ends; so a text whose pieces are all
    kept meets the merges that it met before, in their old order, and none of a lower rank.
    """
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise BadInput("A BPE vocabulary with prefixes or suffixes cannot be pruned; keep the whole vocabulary.")
    pairs = [tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in model["merges"]]
    ranks: dict[tuple[str, ...], int] = {}
    for rank, pair in enumerate(pairs):
        ranks.setdefault(pair, rank)
    used: set[int] = set()
    for piece in chosen:
        parts = [piece] if _is_single(piece) else list(piece)
        while len(parts) > 1:
            rank, place = min((ranks.get(pair, len(pairs)), at) for at, pair in enumerate(itertools.pairwise(parts)))
            if rank == len(pairs):
                break
            used.add(rank)
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
    model["merges"] = [model["merges"][rank] for rank in sorted(used)]
    parts_of_pieces = {part for rank in used for part in (*pairs[rank], "".join(pairs[rank]))}
    return parts_of_pieces | {piece for piece in model["vocab"] if _is_single(piece)}


def _is_single(piece: str) -> bool:
    """Whether a piece is a character, or stands for a byte."""
    return len(piece) == 1 or _BYTE.fullmatch(piece) is not None


_BYTE = re.compile("<0x[0-9A-F]{2}>")
# What must stay besides the chosen pieces, by the tokenizer's kind.
_NEEDED: dict[str, Callable[[dict[str, Any], set[str], set[str]], set[str]]] = {
    "WordPiece": _needed_by_wordpiece,
    "Unigram": _needed_by_unigram,
    "BPE": _needed_by_bpe,
}


def _renumber(processor: dict[str, Any] | None, new_ids: dict[str, int]) -> None:
    """Give a post-processor the new ids of the tokens that it puts around a text."""
    if processor is None:
        return
    for inner in processor.get("processors", ()):
        _renumber(inner, new_ids)
    for token in processor.get("special_tokens", {}).values():
        token["ids"] = [new_ids[name] for name in token["tokens"]]
    for role in ("cls", "sep"):
        if role in processor:
            processor[role][1] = new_ids[processor[role][0]]


def _batches(texts: Iterable[str]) -> Iterable[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == BATCH_TEXTS:
            yield batch
            batch = []
    if batch:
        yield batch
