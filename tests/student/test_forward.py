"""Both built-in modules give the numbers that they always gave: saved students are read by them for years.

Weights and inputs are made by a formula. Whoever changes what a module computes on purpose makes a new kind of module.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig, ScreeningReasoner
from edgexl.student.screeners.ngrams import NgramConfig, NgramScreener
from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener

IDS = torch.tensor([[2, 17, 5, 30, 11, 3], [2, 8, 8, 3, 0, 0]])
MASK = (IDS > 0).long()


def waves(*shape: int, pace: float = 0.7, height: float = 0.5) -> torch.Tensor:
    """Numbers that no two of a small tensor share."""
    count = int(np.prod(shape))
    return (height * torch.sin(pace * torch.arange(count, dtype=torch.float64) + 0.3)).float().reshape(shape)


def filled(module: nn.Module) -> nn.Module:
    """The module with weights by the formula."""
    with torch.no_grad():
        for place, (name, parameter) in enumerate(sorted(module.named_parameters())):
            parameter.copy_(waves(*parameter.shape, pace=0.37 + 0.11 * place) + (1.0 if "norm.weight" in name else 0.0))
    return module.eval()


def check(found: torch.Tensor, wanted: list[float]) -> None:
    """Some of the numbers, spread over all of them."""
    flat = found.detach().reshape(-1)
    some = flat[:: max(1, len(flat) // 6)][:6]
    np.testing.assert_allclose(some.tolist(), wanted, atol=2e-4)


TRANSFORMER = ScreenerConfig(
    vocabulary=40, max_tokens=8, word_dims=6, state_dims=8, ffn_dims=10, heads=2, layers=2, query_dims=5
)
NGRAMS = NgramConfig(vocabulary=40, max_tokens=8, dims=6, buckets=50, ffn_dims=7, query_dims=5)
LISTWISE = ReasonerConfig(
    vocabulary=40, query_dims=5, state_dims=8, dims=8, ffn_dims=10, heads=2, layers=2, token_dims=4, first_word_id=4,
    coverage=True, absence=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("config", "vector", "states"),
    [
        (
            TRANSFORMER,
            [0.09133, -0.33036, 0.09044, 0.45728, -0.81562, 0.47048],
            [0.65624, 1.01016, 1.5142, 0.35494, 1.41553, 1.78329],
        ),
        (
            replace(TRANSFORMER, word_dims=8, query_dims=None),
            [0.30537, -0.06805, -0.28198, -0.14794, 0.41117, -0.06162],
            [1.80301, 1.67933, -0.21716, 0.39456, 0.96936, 0.67805],
        ),
        (
            replace(TRANSFORMER, pooling="cls", eps=0.5),
            [0.02001, -0.17531, -0.04954, 0.51825, -0.83536, 0.00402],
            [0.55424, 0.77484, 0.84458, 0.1648, 0.99032, 1.25515],
        ),
    ],
)
def test_a_transformer(config: ScreenerConfig, vector: list[float], states: list[float]) -> None:
    found = filled(TransformerScreener(config))(IDS, MASK)
    check(found[0], vector)
    check(found[1][0], states)


@pytest.mark.parametrize(
    ("config", "vector", "states"),
    [
        (
            NGRAMS,
            [0.74062, 0.35012, 0.39779, -0.22187, -0.34848, 0.76482],
            [0.12028, -0.04281, 0.96509, -1.4351, -0.21673, -0.19563],
        ),
        (
            replace(NGRAMS, orders=(3,), words=False),
            [0.73131, 0.36201, 0.43502, -0.18172, -0.33447, 0.76403],
            [0.12028, -1.43602, 0.55418, -1.43152, -0.43578, 0.46586],
        ),
        (
            replace(NGRAMS, orders=(), words=False),
            [0.72619, 0.36656, 0.45345, -0.16197, -0.32624, 0.75416],
            [0.12028, -1.43602, -0.32041, -0.46999, -1.08329, -0.02685],
        ),
    ],
)
def test_ngrams(config: NgramConfig, vector: list[float], states: list[float]) -> None:
    screener = filled(NgramScreener(config, (torch.arange(40) % 3 == 2).to(torch.uint8)))
    with torch.no_grad():
        screener.table.weight[0] = 0.0  # [PAD]'s
    found = screener(IDS, MASK)
    check(found[0], vector)
    check(found[1][0], states)


def reasoner_inputs() -> dict[str, torch.Tensor]:
    return {
        "input_ids": IDS, "attention_mask": MASK, "token_states": waves(2, 6, 8, pace=0.9),
        "query_vector": nn.functional.normalize(waves(2, 5, pace=1.3), dim=-1),
        "label_vectors": nn.functional.normalize(waves(2, 4, 5, pace=1.7), dim=-1),
        "screening_scores": waves(2, 4, 2, pace=2.1),
        "label_tokens": torch.tensor(
            [[[17, 5, 0], [30, 2, 3], [9, 0, 0], [0, 0, 0]], [[8, 8, 0], [3, 9, 1], [7, 6, 5], [8, 0, 0]]]
        ),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "logits"),
    [
        (LISTWISE, [0.65716, -0.9543, -0.08046, 0.67499, -0.95155, 0.17949]),
        (
            replace(LISTWISE, coverage=False, absence=False),
            [-0.36615, -0.55927, -0.11958, -0.22473, -0.48118, -0.04986],
        ),
        (replace(LISTWISE, cross_layers=0, layers=1), [0.02531, -0.50628, -0.60125, 0.16761, -0.39393, -0.43304]),
        (replace(LISTWISE, cross_layers=2, first_word_id=10), [1.92212, 0.28594, 2.21534, 1.76085, 0.77715, 2.09733]),
    ],
)
def test_a_listwise_reasoner(config: ReasonerConfig, logits: list[float]) -> None:
    check(filled(ListwiseReasoner(config))(**reasoner_inputs()), logits)


def test_a_reasoner_that_repeats_screening() -> None:
    scores = reasoner_inputs()["screening_scores"]
    assert torch.allclose(ScreeningReasoner()(scores), 20 * scores.amax(-1))


@pytest.mark.parametrize(
    ("config", "key", "inside", "outside"),
    [
        *((TRANSFORMER, key, (1,), (0,)) for key in ("vocabulary", "ffn_dims", "word_dims")),
        (TRANSFORMER, "query_dims", (1, None), (-1,)),
        (TRANSFORMER, "layers", (0,), (-1,)),
        (TRANSFORMER, "max_tokens", (3,), (2,)),
        (TRANSFORMER, "heads", (1, 4), (0, 3)),
        (TRANSFORMER, "state_dims", (2,), (0, 7)),
        (TRANSFORMER, "eps", (1e-12, 0.9), (0.0, -1e-5, 1.0)),
        *((NGRAMS, key, (1,), (0,)) for key in ("vocabulary", "dims", "buckets", "ffn_dims", "query_dims")),
        (NGRAMS, "max_tokens", (3,), (2,)),
        (NGRAMS, "buckets", (2147483607,), (2147483608,)),
        (NGRAMS, "orders", ((), (2,), (2, 8), (3, 4)), ((1,), (3, 2), (2, 2), (2, 9))),
        *((LISTWISE, key, (1,), (0,)) for key in ("vocabulary", "query_dims", "state_dims", "ffn_dims", "token_dims")),
        (LISTWISE, "layers", (1,), (0,)),
        (LISTWISE, "heads", (1, 4), (0, 3)),
        (LISTWISE, "dims", (2,), (0, 7)),
    ],
)
def test_sizes_that_a_module_may_have(config: object, key: str, inside: tuple, outside: tuple) -> None:
    for value in inside:
        assert getattr(replace(config, **{key: value}), key) == value  # type: ignore[type-var]
    for value in outside:
        with pytest.raises((ValueError, ZeroDivisionError)):
            replace(config, **{key: value})  # type: ignore[type-var]


def test_what_a_saved_config_leaves_out() -> None:
    """Old students name fewer settings than there are now."""
    listwise = ReasonerConfig(
        vocabulary=9, query_dims=2, state_dims=2, dims=2, ffn_dims=2, heads=1, layers=1, token_dims=2
    )
    assert (listwise.cross_layers, listwise.first_word_id, listwise.dropout) == (1, 999, 0.0)
    assert (listwise.coverage, listwise.absence) == (False, False)
    transformer = ScreenerConfig(vocabulary=9, max_tokens=3, word_dims=2, state_dims=2, ffn_dims=2, heads=1, layers=1)
    assert (transformer.query_dims, transformer.pooling, transformer.eps) == (None, "mean", 1e-12)
    ngrams = NgramConfig(vocabulary=9, max_tokens=3, dims=2, buckets=1, ffn_dims=2, query_dims=2)
    assert (ngrams.orders, ngrams.words) == ((2, 3), True)
