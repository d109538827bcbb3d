"""Vocabulary pruning: a tokenizer that knows fewer word pieces, and is exact for those that it keeps.

WordPiece takes the longest piece it knows, so a text made of kept pieces alone is split as before. All characters stay
spelled, so no text becomes [UNK] that was none: a word whose pieces are gone falls into shorter ones.

    counts = count_pieces(tokenizer, texts)
    small, old_ids = prune_tokenizer(tokenizer, choose_pieces(counts, 16_000))
    table = prune_screener_table(table, old_ids)

Hashed n-grams are made of piece ids: rows of an `NgramScreener`'s buckets mean nothing after pruning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput

# In this order, those that there are, before all other pieces; [PAD] must be 0.
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
    """A tokenizer of the pieces `kept_ids`, the added tokens and all single characters, and its pieces' old ids [new].

    New ids are dense: `FIRST_TOKENS`, other added tokens of the model's vocabulary, then pieces in their old order.
    Raises `BadInput` for a tokenizer other than WordPiece, for an id that it does not have, and where its pieces hold
    a character that is no piece of its own, for pruning would then make [UNK] of words that it can split.
    """
    spec = json.loads(tokenizer.to_str())
    model = spec["model"]
    if model.get("type") != "WordPiece":
        raise BadInput(f"A {model.get('type')} vocabulary cannot be pruned; use a student with a WordPiece tokenizer.")
    vocabulary: dict[str, int] = model["vocab"]
    kept = {int(place) for place in kept_ids}
    unknown = sorted(kept - set(tokenizer.get_vocab(with_added_tokens=True).values()))
    if unknown:
        raise BadInput(f"The tokenizer has no piece {unknown[0]}; choose the pieces to keep by its own ids.")
    added = [token["content"] for token in spec["added_tokens"]]
    special = {*FIRST_TOKENS, model["unk_token"], *added}
    spelled = _check_characters(vocabulary, model["continuing_subword_prefix"], special)
    first = [name for name in FIRST_TOKENS if name in vocabulary]
    first += sorted((special & vocabulary.keys()) - set(first), key=vocabulary.__getitem__)
    rest = [
        piece for piece, place in vocabulary.items() if piece not in special and (place in kept or piece in spelled)
    ]
    names = first + sorted(rest, key=vocabulary.__getitem__)
    old_ids = [vocabulary[name] for name in names]
    # added tokens outside the model's vocabulary come behind it, where the tokenizers library puts them itself
    outside = sorted((t for t in spec["added_tokens"] if t["content"] not in vocabulary), key=lambda t: int(t["id"]))
    names += [token["content"] for token in outside]
    old_ids += [token["id"] for token in outside]
    new_ids = {name: place for place, name in enumerate(names)}
    model["vocab"] = {name: new_ids[name] for name in names if name in vocabulary}
    for token in spec["added_tokens"]:
        token["id"] = new_ids[token["content"]]
    spec["added_tokens"].sort(key=lambda token: token["id"])
    _renumber(spec["post_processor"], new_ids)
    return Tokenizer.from_str(json.dumps(spec)), np.array(old_ids, np.int64)


def prune_screener_table(weight: Tensor, old_ids: Ints) -> Tensor:
    """A table of word pieces [old,dims] -> [new,dims] for the pruned tokenizer with these `old_ids`."""
    return weight.detach()[torch.from_numpy(old_ids)].clone()


def _check_characters(vocabulary: dict[str, int], prefix: str, special: set[str]) -> set[str]:
    """The pieces of a single character, at a word's beginning and further on, after seeing that none is missing."""
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


def _renumber(processor: dict[str, Any] | None, new_ids: dict[str, int]) -> None:
    """Give a post-processor the new ids of the tokens that it puts around a text."""
    if processor is None:
        return
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
