"""The built-in reasoner: equivariance, padding, and what it looks at."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgexl.predict.float_student import Encoded, Screened, StudentPredictor
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from tests.tiny import tiny_student


@pytest.fixture(scope="module")
def predictor() -> StudentPredictor:
    return StudentPredictor(tiny_student())


def shortlist(predictor: StudentPredictor, text: str) -> tuple[Encoded, Screened]:
    encoded = predictor.encode([text])
    return encoded, predictor.screen(encoded.query_vector, 16)


def test_permuting_the_shortlist_permutes_the_logits_and_nothing_else(predictor: StudentPredictor) -> None:
    encoded, screened = shortlist(predictor, "ba de fi")
    logits = predictor.reason(encoded, screened)
    draw = torch.Generator().manual_seed(1)
    for _ in range(5):
        order = torch.randperm(16, generator=draw)
        shuffled = screened.take(order)
        torch.testing.assert_close(predictor.reason(encoded, shuffled), logits[:, order], rtol=1e-5, atol=1e-5)


def test_a_label_is_judged_within_its_list(predictor: StudentPredictor) -> None:
    encoded, screened = shortlist(predictor, "ba de fi")
    whole = predictor.reason(encoded, screened)
    half = predictor.reason(encoded, screened.take(slice(8)))
    assert not torch.allclose(whole[:, :8], half, atol=1e-3)


def test_padding_of_a_batch_changes_no_logit(predictor: StudentPredictor) -> None:
    texts = ["ba", "ba de fi go ku la me"]
    encoded = predictor.encode(texts)
    together = predictor.reason(encoded, predictor.screen(encoded.query_vector, 16))
    for row, text in enumerate(texts):
        alone = predictor.reason(*shortlist(predictor, text))
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-4)


def inputs_of(reasoner: ListwiseReasoner, label_tokens: Tensor, input_ids: Tensor) -> dict[str, Tensor]:
    config = reasoner.config
    count, length = label_tokens.shape[1], input_ids.shape[1]
    return {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "token_states": torch.zeros(1, length, config.state_dims),
        "query_vector": torch.zeros(1, config.query_dims),
        "label_vectors": torch.zeros(1, count, config.query_dims),
        "screening_scores": torch.zeros(1, count, 2),
        "label_tokens": label_tokens,
    }


def test_a_word_piece_shared_with_the_query_counts_unless_it_is_special() -> None:
    torch.manual_seed(0)
    config = ReasonerConfig(
        vocabulary=50, query_dims=4, state_dims=4, dims=8, ffn_dims=8, heads=2, layers=1, token_dims=4, first_word_id=10
    )
    reasoner = ListwiseReasoner(config).eval()
    with torch.no_grad():
        reasoner.verdict.normal_()
        reasoner.text.tokens.weight.zero_()  # pieces differ in nothing but their ids
    with torch.no_grad():
        logits = reasoner(**inputs_of(reasoner, torch.tensor([[[20, 0], [30, 0]]]), torch.tensor([[5, 20, 6]])))
        assert (logits[0, 0] - logits[0, 1]).abs() > 1e-3
        logits = reasoner(**inputs_of(reasoner, torch.tensor([[[5, 0], [6, 0], [9, 0]]]), torch.tensor([[5, 20, 6]])))
        assert torch.allclose(logits, logits[:, :1].expand_as(logits), atol=1e-6)


def test_no_parameter_belongs_to_a_label() -> None:
    student = tiny_student()
    for module in (student.screener, student.reasoner):
        for name, value in module.state_dict().items():
            assert len(student.labels) not in value.shape, name
