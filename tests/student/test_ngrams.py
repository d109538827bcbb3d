"""The screener without attention: hashing that never changes, padding that never leaks, graphs that agree."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from edgexl.bundle.parameters import SCREENER_OUTPUTS
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.passes.export import trace
from edgexl.student.contract import Shapes
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.screeners.ngrams import (
    FACTOR,
    PRIME,
    WORD_SALT,
    NgramConfig,
    NgramScreener,
    bag_table,
    continuation_pieces,
    encode_bags,
    gram_keys,
)
from edgexl.student.student import Student, load_student
from edgexl.student.text import encode_texts, pad
from edgexl.student.tokens import TokenTable
from tests.tiny import tiny_labels, tiny_queries, tiny_tokenizer

PIECES = tiny_tokenizer().get_vocab_size()
CONFIG = NgramConfig(
    vocabulary=PIECES, max_tokens=16, dims=24, buckets=512, ffn_dims=40, query_dims=32, orders=(2, 3), words=True
)


def screener(config: NgramConfig = CONFIG) -> NgramScreener:
    """Random weights, importance included."""
    torch.manual_seed(3)
    module = NgramScreener(config, continuation_pieces(tiny_tokenizer(), config.vocabulary)).eval()
    with torch.no_grad():
        module.importance.weight.normal_()
    return module


def student() -> Student:
    labels = tiny_labels(40)
    return Student.from_modules(
        screener=screener(),
        reasoner=ScreeningReasoner(),
        tokenizer=tiny_tokenizer(),
        labels=labels,
        shapes=Shapes(max_tokens=16, query_dims=32, state_dims=24, shortlist=8, label_tokens=4, vocabulary=PIECES),
        calibration=tiny_queries(labels, 20, 0),
    )


def slow_keys(pieces: list[int], continues: list[int], orders: tuple[int, ...]) -> list[list[int]]:
    """What `gram_keys` says, one text at a time in Python's integers; -1 where there is no n-gram."""
    found = []
    for order in orders:
        row = []
        for end in range(len(pieces)):
            gram = pieces[max(0, end + 1 - order) : end + 1]
            key = 0
            for piece in gram:
                key = (key * FACTOR + piece) % PRIME
            row.append(key if len(gram) == order and 0 not in gram else -1)
        found.append(row)
    words = [-1] * len(pieces)
    start = 0
    for end in range(1, len(pieces) + 1):
        if end == len(pieces) or not continues[pieces[end]]:
            if end - start > 1 and continues[pieces[end - 1]]:
                word = [0 if not continues[pieces[start]] else pieces[start - 1] if start else 0, *pieces[start:end]]
                words[end - 1] = sum(
                    ((a * FACTOR + b + WORD_SALT) % PRIME) ** 2 % PRIME for a, b in itertools.pairwise(word)
                )
            start = end
    return [*found, words]


@given(st.lists(st.lists(st.integers(1, 29), min_size=1, max_size=12), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_keys_are_what_the_docstring_says(texts: list[list[int]]) -> None:
    """Also in a batch, behind padding."""
    continues = torch.tensor([0] * 15 + [1] * 15, dtype=torch.uint8)
    texts = [[2, *text] for text in texts]  # a word begins every text, as [CLS] does
    rows, _ = pad(texts)
    keys, present = gram_keys(torch.from_numpy(rows), continues, (2, 3, 5), True)
    got = torch.where(present > 0, keys, -1)
    for row, text in zip(got.tolist(), texts, strict=True):
        for line, wanted in zip(row, slow_keys(text, continues.tolist(), (2, 3, 5)), strict=True):
            assert line[: len(text)] == wanted
            assert set(line[len(text) :]) <= {-1}


def test_keys_never_change() -> None:
    """Trained tables hang on these numbers; ids up to the largest vocabularies in use."""
    pieces = torch.tensor([[101, 9078, 3723, 29358, 250001, 102]])
    continues = torch.zeros(250002, dtype=torch.uint8)
    continues[[3723, 29358, 250001]] = 1
    keys, present = gram_keys(pieces, continues, (2, 3), True)
    assert present.tolist() == [[[0, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 0]]]
    assert keys[0, 0, 1:].tolist() == [4884449, 438207861, 179742291, 1417390019, 1330380138]
    assert keys[0, 1, 2:].tolist() == [1701523879, 17764739, 506444982, 4613831]
    assert keys[0, 2, 4].item() == 5534365237


def test_no_key_overflows() -> None:
    """The largest ids that a config allows, in one word as long as the longest text."""
    pieces = [PRIME - 1] * 512
    continues = torch.ones(1, dtype=torch.uint8).expand(PRIME)  # no memory: one byte, seen everywhere
    keys, _ = gram_keys(torch.tensor([pieces]), continues, (2, 3), True)
    assert keys[0, 1, 2].item() == ((PRIME - 1) * FACTOR**2 + (PRIME - 1) * FACTOR + PRIME - 1) % PRIME
    squares = [((left * FACTOR + PRIME - 1 + WORD_SALT) % PRIME) ** 2 % PRIME for left in (0, PRIME - 1)]
    assert keys[0, 2, 511].item() == squares[0] + 511 * squares[1]


def test_a_text_alone_and_in_a_batch_are_the_same() -> None:
    module = screener()
    texts = ["ba", "bare zzyx ga", "nonexistent ba ba ba ba", "[PAD] ba [PAD]", ""]
    rows = encode_texts(tiny_tokenizer(), texts, 16)
    ids, mask = (torch.from_numpy(part) for part in pad(rows))
    ids = torch.where(mask > 0, ids, 7)  # what stands under the padding must not matter
    with torch.no_grad():
        vectors, states = module(ids, mask)
        for place, row in enumerate(rows):
            vector, own = module(torch.tensor([row]), torch.ones(1, len(row), dtype=torch.int64))
            assert torch.allclose(vector[0], vectors[place], atol=1e-6)
            assert torch.equal(own[0], states[place, : len(row)])
            assert not states[place, len(row) :].any()
    assert torch.allclose(vectors.norm(dim=1), torch.ones(len(texts)))


def test_order_and_word_boundaries_are_seen() -> None:
    """Two texts of the same pieces differ; without n-grams they do not."""
    tokenizer = tiny_tokenizer()
    ids = torch.tensor(encode_texts(tokenizer, ["ba ga na", "na ga ba"], 16))
    mask = torch.ones_like(ids)
    left, right = screener()(ids, mask)[0].detach()
    assert float(left @ right) < 0.99
    plain = NgramConfig(vocabulary=PIECES, max_tokens=16, dims=24, buckets=1, ffn_dims=40, query_dims=32, orders=(),
                        words=False)  # fmt: skip
    left, right = screener(plain)(ids, mask)[0].detach()
    assert torch.allclose(left, right, atol=1e-6)


def test_each_row_in_use_learns_and_padding_does_not() -> None:
    module = screener().train()
    rows = encode_texts(tiny_tokenizer(), ["ba xyz", "bare zzyx ga na"], 16)
    ids, mask = (torch.from_numpy(part) for part in pad(rows))
    vector, states = module(ids, mask)
    (vector[:, 0].sum() + (states[..., 0] ** 2).sum()).backward()
    used = set(module.rows(ids, mask).flatten().tolist())
    table, importance = module.table.weight.grad, module.importance.weight.grad
    assert table is not None
    assert importance is not None
    assert 0 in used
    assert set(table.abs().sum(1).nonzero().flatten().tolist()) == used - {0}
    assert set(importance.abs().sum(1).nonzero().flatten().tolist()) == used - {0}


@pytest.mark.parametrize(("orders", "words"), [((2, 3), True), ((2,), False), ((), True), ((), False), ((4,), True)])
def test_the_graph_gives_the_modules_numbers(orders: tuple[int, ...], words: bool) -> None:
    """At every length, alone and in a batch, with one table inside: rows times their weights."""
    config = NgramConfig(
        vocabulary=PIECES, max_tokens=16, dims=24, buckets=512, ffn_dims=40, query_dims=32, orders=orders, words=words
    )
    module = screener(config)
    rows = encode_texts(tiny_tokenizer(), ["bare zzyx ga na", "ba", "", "nonexistent"], 16)
    ids, mask = (torch.from_numpy(part) for part in pad(rows))
    names = ("input_ids", "attention_mask")
    sample = {"input_ids": ids[:1], "attention_mask": mask[:1]}
    graph = trace(module, names, SCREENER_OUTPUTS, sample)
    batched = trace(module, names, SCREENER_OUTPUTS, sample, free_batch=True)
    with torch.no_grad():
        wanted = [part.numpy() for part in module(ids, mask)]
    for found, value in zip(
        Session(batched).run({"input_ids": ids.numpy(), "attention_mask": mask.numpy()}), wanted, strict=True
    ):
        assert np.abs(found - value).max() < 1e-5
    session = Session(graph)
    for place, row in enumerate(rows):
        feeds = {"input_ids": np.array([row]), "attention_mask": np.ones((1, len(row)), np.int64)}
        vector, states = session.run(feeds)
        assert np.abs(vector[0] - wanted[0][place]).max() < 1e-5
        assert np.abs(states[0] - wanted[1][place, : len(row)]).max() < 1e-5
    table = 4 * 24 * (PIECES + 512)
    assert table < len(graph) < table + 40_000


def test_a_saved_screener_hashes_as_before(tmp_path: Path) -> None:
    """The tokenizer's continuations are among the weights and come back exactly; so do row 0 and the config."""
    before = student()
    before.save(tmp_path / "micro")
    after = load_student(tmp_path / "micro").screener
    assert isinstance(after, NgramScreener)
    assert after.config == CONFIG
    assert after.continues.dtype == torch.uint8
    assert torch.equal(after.continues, continuation_pieces(tiny_tokenizer(), PIECES))
    assert int(after.continues.sum()) == 26
    assert not after.table.weight[0].any()
    ids = torch.tensor(encode_texts(tiny_tokenizer(), ["bare zzyx"], 16))
    mask = torch.ones_like(ids)
    assert torch.equal(after.rows(ids, mask), screener().rows(ids, mask))
    vectors = [module(ids, mask)[0][0].detach() for module in (after, screener())]
    assert float(vectors[0] @ vectors[1]) > 0.99


def test_continuations_are_the_pieces_that_go_on_with_a_word() -> None:
    tokenizer: Tokenizer = tiny_tokenizer()
    flags = continuation_pieces(tokenizer, PIECES + 3)
    assert flags.shape == (PIECES + 3,)
    assert [tokenizer.id_to_token(place)[:2] for place in flags.nonzero().flatten().tolist()] == ["##"] * 26


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"orders": (3, 2)}, "must ascend"),
        ({"orders": (1,)}, "begin with 2"),
        ({"buckets": 0}, "positive"),
        ({"max_tokens": 2}, "at least 3"),
        ({"buckets": PRIME}, "rows together"),
    ],
)
def test_impossible_sizes_are_refused(change: dict[str, object], sentence: str) -> None:
    sizes = {"vocabulary": 100, "max_tokens": 16, "dims": 8, "buckets": 64, "ffn_dims": 16, "query_dims": 8}
    with pytest.raises(ValueError, match=sentence):
        NgramConfig(**{**sizes, **change})  # type: ignore[arg-type]


def test_bags_of_rows_give_the_screeners_vectors_and_gradients() -> None:
    tokenizer = tiny_tokenizer()
    torch.manual_seed(1)
    config = NgramConfig(vocabulary=200, max_tokens=16, dims=12, buckets=64, ffn_dims=24, query_dims=8)
    screener = NgramScreener(config, continuation_pieces(tokenizer, 200))
    torch.nn.init.normal_(screener.importance.weight)
    texts = ["ba be", "barbel", "do", "", "kin kin gin farin", "x y z"]
    table = TokenTable.of(encode_texts(tokenizer, texts, 16), torch.device("cpu"))
    bags = bag_table(screener, table)
    chosen = np.array([4, 0, 3, 5, 1])
    theirs = screener(*table.batch(chosen))[0]
    ours = encode_bags(screener, bags, chosen)
    assert torch.allclose(ours, theirs, atol=1e-5)
    weight = torch.randn(5, 8)
    gradients = [torch.autograd.grad((v * weight).sum(), list(screener.parameters())) for v in (ours, theirs)]
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-4)
