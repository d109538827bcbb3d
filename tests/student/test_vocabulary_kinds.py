"""Pruned Unigram and BPE vocabularies are exact for texts of kept pieces, whatever was thrown away."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from edgexl.base.errors import BadInput
from edgexl.student.vocabulary import choose_pieces, count_pieces, prune_tokenizer

_WORDS = """
    water watering can candle candlestick mouse mousetrap Wasserkanne Kerze Mausefalle Gießkanne bougie souris lumière
    крыса мышь вода свеча 水 蝋燭 ねずみ ネズミ ماء شمعة فأر น้ำ เทียน หนู ὕδωρ 123 456 7890 can't won't a an the
"""
WORDS = _WORDS.split()
FAMILIES = ("unigram", "byte-level", "metaspace", "template")


def texts(count: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(1, 7))) for _ in range(count)]


@cache
def train(family: str) -> Tokenizer:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    if family == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=260, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    elif family == "byte-level":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=500, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )  # fmt: skip
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
        tokenizer.decoder = decoders.Replace("\u2581", " ")
        special = ["<pad>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
        trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts(400, 1), trainer)
    if family == "template":
        tokenizer.add_tokens([AddedToken("EXTRA", normalized=False)])
        ends = [("<pad>", 0), ("<unk>", 1)]
        tokenizer.post_processor = processors.TemplateProcessing(single="<pad> $A <unk>", special_tokens=ends)
    return tokenizer


def assert_exact(whole: Tokenizer, small: Tokenizer, old_ids: np.ndarray, given_texts: list[str]) -> int:
    kept, same = set(old_ids.tolist()), 0
    for text in given_texts:
        before, after = whole.encode(text).ids, small.encode(text).ids
        if kept.issuperset(before):
            assert old_ids[np.array(after, np.int64)].tolist() == before, text
            same += 1
    return same


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=25, deadline=None)
@given(budget=st.integers(0, 300), seed=st.integers(0, 99))
def test_texts_of_kept_pieces_are_split_as_before(family: str, budget: int, seed: int) -> None:
    whole = train(family)
    few = texts(12, seed)
    small, old_ids = prune_tokenizer(whole, choose_pieces(count_pieces(whole, few), budget))
    assert small.get_vocab_size() == len(old_ids) == max(small.get_vocab().values()) + 1
    assert [small.id_to_token(new) for new in range(len(old_ids))] == list(map(whole.id_to_token, old_ids.tolist()))
    assert_exact(whole, small, old_ids, [*few, *texts(60, seed + 100), "☃ EXTRA water", "e\u0301 \uff21\uff22"])
    if budget == 300:
        assert assert_exact(whole, small, old_ids, few) == len(few)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_thrown_away_is_spelled_by_characters(family: str) -> None:
    whole = train(family)
    small, old_ids = prune_tokenizer(whole, [])
    assert len(old_ids) < whole.get_vocab_size()
    unknown = whole.token_to_id("<unk>")
    for text in texts(100, 5):
        before = whole.encode(text, add_special_tokens=False).ids
        after = old_ids[np.array(small.encode(text, add_special_tokens=False).ids, np.int64)].tolist()
        assert after.count(unknown) == before.count(unknown) == 0, text


def test_an_unknown_characters_score_stays_that_of_the_whole_vocabulary() -> None:
    """It is a fixed step below the lowest score, so that a piece of that score must stay."""
    whole = train("unigram")
    scores = [score for _, score in json.loads(whole.to_str())["model"]["vocab"]]
    small, _ = prune_tokenizer(whole, [])
    assert min(score for _, score in json.loads(small.to_str())["model"]["vocab"]) == min(scores)


def test_a_vocabulary_of_another_kind_is_refused() -> None:
    with pytest.raises(BadInput, match="A WordLevel vocabulary cannot be pruned; keep the whole vocabulary"):
        prune_tokenizer(Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")), [0])
    with pytest.raises(BadInput, match="with prefixes or suffixes cannot be pruned"):
        prune_tokenizer(Tokenizer(models.BPE({"a": 0}, [], end_of_word_suffix="</w>")), [0])
