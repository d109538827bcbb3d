"""Pruned tokenizers: exact for what they keep, never [UNK] where the whole one is not, and the same on the device."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from benchmarks import tokenizer as bench
from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.bundle.tokenizer import pack_tokenizer
from edgexl.data.label_set import LabelSet
from edgexl.student.contract import Shapes, check_tokenizer
from edgexl.student.vocabulary import (
    FIRST_TOKENS,
    choose_pieces,
    count_pieces,
    prune_screener_table,
    prune_tokenizer,
)
from tests.tiny import tiny_tokenizer

WHOLE = bench.load_peer(bench.student_tokenizer())
TEXTS = LabelSet.load(bench.SHIPPED.parent / "labels.json.gz").texts[::5]
COUNTS = count_pieces(WHOLE, TEXTS)
KEPT = choose_pieces(COUNTS, 6_000)
SMALL, OLD_IDS = prune_tokenizer(WHOLE, KEPT)


def ids_of(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=True)]


def assert_exact(texts: list[str], whole: Tokenizer, small: Tokenizer, old_ids: Ints) -> int:
    """Texts of kept pieces are split alike, no text gains an [UNK]; returns how many were of kept pieces."""
    kept, unknown = set(old_ids.tolist()), whole.token_to_id("[UNK]")
    same = 0
    for text, before, after in zip(texts, ids_of(whole, texts), ids_of(small, texts), strict=True):
        mapped = old_ids[np.array(after)].tolist()
        if kept.issuperset(before):
            assert mapped == before, text
            same += 1
        assert mapped.count(unknown) == before.count(unknown), text
    return same


def test_special_tokens_come_first_and_the_rest_keeps_its_order() -> None:
    assert [SMALL.token_to_id(name) for name in FIRST_TOKENS] == [0, 1, 2, 3, 4]
    assert (np.diff(OLD_IDS[5:]) > 0).all()
    assert SMALL.get_vocab_size() == len(OLD_IDS) == max(SMALL.get_vocab().values()) + 1
    for new, old in enumerate(OLD_IDS.tolist()):
        assert SMALL.id_to_token(new) == WHOLE.id_to_token(old)
    assert set(KEPT.tolist()) <= set(OLD_IDS.tolist())
    spelled = [place for piece, place in WHOLE.get_vocab().items() if len(piece.removeprefix("##")) == 1]
    assert set(spelled) <= set(OLD_IDS.tolist())
    assert len(OLD_IDS) < 6_000 + len(spelled) + 5
    check_tokenizer(SMALL, Shapes(16, 8, 8, 8, 4, vocabulary=len(OLD_IDS)))


def test_texts_of_kept_pieces_are_split_as_before() -> None:
    same = assert_exact(list(TEXTS), WHOLE, SMALL, OLD_IDS)
    assert 0.5 * len(TEXTS) < same < len(TEXTS)  # both cases are met


def test_hostile_texts_gain_no_unknown_word() -> None:
    rng = random.Random(5)
    contents = [token.content for token in WHOLE.get_added_tokens_decoder().values()]
    texts = [*bench.long_words(rng), *bench.special_tokens(rng, contents, 3_000), *bench.mixtures(rng, 3_000)]
    texts += bench.english(rng, [WHOLE.id_to_token(int(place)) for place in KEPT], 1_000)
    assert assert_exact(texts, WHOLE, SMALL, OLD_IDS) > 1_000


@given(st.sets(st.integers(0, WHOLE.get_vocab_size() - 1), max_size=60), st.lists(st.text(), max_size=20))
@settings(max_examples=15, deadline=None)
def test_any_choice_of_pieces_is_exact(kept: set[int], texts: list[str]) -> None:
    small, old_ids = prune_tokenizer(WHOLE, sorted(kept))
    words = "".join(WHOLE.id_to_token(place).removeprefix("##") for place in sorted(kept))
    assert_exact([*texts, words, " ".join(texts)], WHOLE, small, old_ids)


def test_the_runtime_gives_the_pruned_tokenizers_ids(tmp_path: Path) -> None:
    device = bench.DeviceTokenizer(bench.build_library(tmp_path), pack_tokenizer(SMALL.to_str()))
    rng = random.Random(6)
    texts = [text.encode() for text in (*TEXTS[::3], *bench.long_words(rng), *bench.mixtures(rng, 5_000))]
    texts += [text.encode() for text in bench.special_tokens(rng, list(FIRST_TOKENS), 5_000)]
    tally = bench.compare(device, SMALL, texts)
    assert not tally.different, tally.different[:3]
    assert tally.strings > 15_000


def test_counting_and_choosing() -> None:
    tokenizer = tiny_tokenizer()
    counts = count_pieces(tokenizer, iter(["ba ba na", "naq", ""] * 7_000))
    ba, na, q = (tokenizer.token_to_id(piece) for piece in ("ba", "na", "##q"))
    assert (counts[ba], counts[na], counts[q], counts.sum()) == (14_000, 14_000, 7_000, 35_000)
    assert choose_pieces(counts, 1).tolist() == [min(ba, na)]
    assert choose_pieces(counts, 1_000).tolist() == sorted([ba, na, q])
    assert choose_pieces(counts, 0).tolist() == []


def test_added_tokens_stay() -> None:
    """Also one outside the model's vocabulary: it comes last, where the tokenizers library puts it."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens(["<gene>"])
    small, old_ids = prune_tokenizer(tokenizer, [])
    assert small.token_to_id("<gene>") == len(old_ids) - 1
    assert old_ids[-1] == tokenizer.token_to_id("<gene>")
    texts = ["ba <gene> na", "<gene>", "[SEP] b"]
    for before, after in zip(ids_of(tokenizer, texts[1:]), ids_of(small, texts[1:]), strict=True):
        assert old_ids[np.array(after)].tolist() == before
    assert small.encode(texts[0]).tokens == ["[CLS]", "b", "##a", "<gene>", "n", "##a", "[SEP]"]


def test_a_bert_post_processor_is_renumbered() -> None:
    spec = json.loads(WHOLE.to_str())
    spec["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}
    small, _ = prune_tokenizer(Tokenizer.from_str(json.dumps(spec)), KEPT)
    assert small.encode("cat").ids == SMALL.encode("cat").ids


def test_tables_follow() -> None:
    table = torch.randn(WHOLE.get_vocab_size(), 3)
    pruned = prune_screener_table(table, OLD_IDS)
    for piece in ("[PAD]", "[SEP]", "of", "##s"):
        assert torch.equal(pruned[SMALL.token_to_id(piece)], table[WHOLE.token_to_id(piece)])


def test_vocabularies_that_cannot_be_pruned_are_refused() -> None:
    with pytest.raises(BadInput, match="no piece 99999"):
        prune_tokenizer(WHOLE, [5, 99_999])
    spec = json.loads(tiny_tokenizer().to_str())
    spec["model"]["vocab"]["##"] = len(spec["model"]["vocab"])  # two characters, not a continuation of none
    with pytest.raises(BadInput, match="'##' holds a character that is no piece of its own \\('#' is missing\\)"):
        prune_tokenizer(Tokenizer.from_str(json.dumps(spec)), [5])
    del spec["model"]["vocab"]["##"]
    spec["model"]["vocab"]["bax"] = spec["model"]["vocab"].pop("##x")
    with pytest.raises(BadInput, match="'bax' holds a character that is no piece of its own \\('##x' is missing\\)"):
        prune_tokenizer(Tokenizer.from_str(json.dumps(spec)), [5])
    spec["model"] = {"type": "WordLevel", "vocab": spec["model"]["vocab"], "unk_token": "[UNK]"}
    with pytest.raises(BadInput, match="WordLevel vocabulary cannot be pruned"):
        prune_tokenizer(Tokenizer.from_str(json.dumps(spec)), [5])
