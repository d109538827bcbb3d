"""Token ids of many texts: padded, laid end to end, and in groups of like length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgexl.student.text import encode_texts
from edgexl.student.tokens import GROUP_TOKENS, TokenTable, alike
from tests.tiny import tiny_tokenizer

CPU = torch.device("cpu")


def test_a_table_of_tokens_gives_what_padding_would() -> None:
    texts = ["ba", "ba be bi", "", "do da do da do"]
    rows = encode_texts(tiny_tokenizer(), texts, 16)
    table = TokenTable.of(rows, CPU)
    ids, mask = table.batch(np.array([3, 0, 2]))
    assert [ids[i][mask[i] > 0].tolist() for i in range(3)] == [rows[3], rows[0], rows[2]]
    assert int((ids * (1 - mask)).sum()) == 0
    assert table.batch(np.array([3]), width=3)[0].tolist() == [rows[3][:3]]
    flat, offsets = table.bags(np.array([1, 2]))
    assert flat.tolist() == rows[1] + rows[2]
    assert offsets.tolist() == [0, len(rows[1])]


@pytest.mark.parametrize(("count", "waste"), [(700, 1.2), (50_000, 1.15)])
def test_groups_of_like_length_take_all_and_stay_within_their_tokens(count: int, waste: float) -> None:
    lengths = np.random.default_rng(1).integers(1, 90, count)
    groups = list(alike(lengths, 100, CPU))
    assert sorted(np.concatenate([group for group, _ in groups]).tolist()) == list(range(count))
    assert all(len(group) * width <= GROUP_TOKENS[0] for group, width in groups)
    assert all(lengths[group].max() <= width for group, width in groups)
    assert sum(len(group) * width for group, width in groups) < waste * lengths.sum()


def test_groups_of_few_texts() -> None:
    assert [(group.tolist(), width) for group, width in alike(np.array([9000, 3]), 9001, CPU)] == [
        ([1], 9001),
        ([0], 9001),
    ]
    assert [(group.tolist(), width) for group, width in alike(np.array([5]), 7, CPU)] == [([0], 7)]
    assert list(alike(np.zeros(0, np.int64), 7, CPU)) == []


def test_pools_of_all_kinds_bring_few_shapes() -> None:
    rng, shapes = np.random.default_rng(2), set()
    for _ in range(200):
        lengths = np.minimum(rng.geometric(0.06, rng.integers(300, 900)), 128)
        shapes |= {(len(group), width) for group, width in alike(lengths, 128, CPU)}
    assert len(shapes) < 60
