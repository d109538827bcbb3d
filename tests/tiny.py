"""A student small enough to compile in seconds: random weights, a tokenizer and a label set made in code.

Its screener knows the right answers by the words that query and label share, for the word table is random and nothing
else weighs much: queries are two words of a label's three, so that accuracy is far above chance and quantising shows.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from torch import nn

from edgexl.compiler.recipe import GateRecipe, ReasonerRecipe
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.student.contract import Shapes
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.screeners.ngrams import NgramConfig, NgramScreener, continuation_pieces
from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener
from edgexl.student.student import Student

WORDS = tuple(first + second for first in "bdfgklmnprst" for second in ("a", "e", "i", "o", "u", "ar", "el", "in"))
# Of a recipe: a reasoner of random weights stays as it is, so that there are two stages to look at.
AS_IT_IS: dict[str, Any] = {"reasoner": ReasonerRecipe(blend="none"), "gates": GateRecipe(reasoner_gain=-100)}
SHAPES = Shapes(max_tokens=16, query_dims=32, state_dims=32, shortlist=16, label_tokens=4, vocabulary=2 + 1024)


def tiny_tokenizer() -> Tokenizer:
    """BERT's kind, over the words, their letters and pieces."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *"abcdefghijklmnopqrstuvwxyz"]
    pieces += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    special = [("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))]
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    return tokenizer


def tiny_labels(count: int = 300, aliases: bool = False) -> LabelSet:
    """`count` labels of three words each; with `aliases`, every third has one of two other words."""
    triples = itertools.islice(itertools.combinations(WORDS, 3), 0, 311 * count, 311)
    texts = sorted(" ".join(triple) for triple in triples)
    extra = tuple((f"{WORDS[i % 90]} {WORDS[(7 * i) % 90]}",) if aliases and i % 3 == 0 else () for i in range(count))
    return LabelSet(tuple(f"id{place:04d}" for place in range(count)), tuple(texts), extra)


def tiny_described(labels: LabelSet) -> LabelSet:
    """The labels, each described by four words that no other label's description has in this order."""
    places = ((17 * label, 31 * label + 5, 43 * label + 11, 59 * label + label // 96) for label in range(len(labels)))
    texts = (" ".join(WORDS[place % len(WORDS)] for place in four) for four in places)
    return replace(labels, descriptions=tuple((text,) for text in texts))


def described_queries(labels: LabelSet, count: int) -> tuple[Query, ...]:
    """Three of the four words of a label's description."""
    texts = [labels.descriptions[place * 7 % len(labels)][0].split() for place in range(count)]
    return tuple(
        Query(f"d{place}", " ".join(words[1:]), (place * 7 % len(labels),)) for place, words in enumerate(texts)
    )


def tiny_queries(labels: LabelSet, count: int, word: int) -> tuple[Query, ...]:
    """Queries that leave out the label's `word`-th word of three; where there is only one, it stays."""
    found = []
    for place in range(count):
        label = place * 7 % len(labels)
        words = labels.texts[label].split()
        rest = words[:word] + words[word + 1 :] or words
        found.append(Query(f"q{place}", " ".join(rest), (label,)))
    return tuple(found)


def tiny_student(labels: LabelSet | None = None, seed: int = 0) -> Student:
    """Both built-in modules at toy sizes; the same arguments give the same weights."""
    labels = labels or tiny_labels()
    torch.manual_seed(seed)
    screener = TransformerScreener(
        ScreenerConfig(
            vocabulary=SHAPES.vocabulary, max_tokens=16, word_dims=32, state_dims=32, ffn_dims=64, heads=2, layers=1,
            query_dims=32,
        )
    )  # fmt: skip
    reasoner = tiny_reasoner()
    with torch.no_grad():
        screener.word.weight.normal_(std=1.0)
    return assembled(labels, screener, reasoner)


def tiny_ngram_student(labels: LabelSet | None = None, seed: int = 0) -> Student:
    """The same with a screener of n-grams."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    config = NgramConfig(vocabulary=SHAPES.vocabulary, max_tokens=16, dims=32, buckets=2048, ffn_dims=64, query_dims=32)
    screener = NgramScreener(config, continuation_pieces(tokenizer, SHAPES.vocabulary))
    with torch.no_grad():
        screener.importance.weight.normal_(std=0.3)
        screener.importance.weight[SHAPES.vocabulary :] -= 2.0  # pieces tell more of what query and label share
    return assembled(labels or tiny_labels(), screener, tiny_reasoner())


def tiny_reasoner() -> ListwiseReasoner:
    """Over both tiny screeners."""
    reasoner = ListwiseReasoner(
        ReasonerConfig(
            vocabulary=SHAPES.vocabulary, query_dims=32, state_dims=32, dims=32, ffn_dims=64, heads=2, layers=1,
            token_dims=16, first_word_id=4,
        )
    )  # fmt: skip
    with torch.no_grad():
        # one label's logit must differ from another's by more than its screening score
        reasoner.verdict.normal_(std=0.1)
    return reasoner


def assembled(labels: LabelSet, screener: nn.Module, reasoner: nn.Module) -> Student:
    """A student of the modules, with the tiny tokenizer and queries."""
    return Student.from_modules(
        screener=screener,
        reasoner=reasoner,
        tokenizer=tiny_tokenizer(),
        labels=labels,
        shapes=SHAPES,
        calibration=tiny_queries(labels, 200, 0),
        evaluation=tiny_queries(labels, 200, 2),
        provenance={"note": "random weights"},
    )
