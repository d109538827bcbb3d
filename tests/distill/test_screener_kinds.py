"""Kinds of screeners: all that tells one from another stands in its file, so that a third takes that and a place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgexl.base.errors import BadInput
from edgexl.distill.pipeline import distill
from edgexl.distill.stages.start import Start, open_start, start_screener
from edgexl.student import screeners
from edgexl.student.encode import encode_vectors
from edgexl.student.screeners import kind_of
from edgexl.student.screeners.kind import ScreenerKind, factorise
from edgexl.student.screeners.shape import ShapeTable
from edgexl.student.screeners.transformer import TransformerShape, word_rows
from edgexl.student.student import load_student
from tests.distill.conftest import write_teacher
from tests.tiny import tiny_labels


@dataclass(frozen=True)
class MeanConfig:
    vocabulary: int
    max_tokens: int
    state_dims: int
    query_dims: int


class MeanScreener(nn.Module):
    """The mean of word vectors, projected."""

    def __init__(self, config: MeanConfig) -> None:
        super().__init__()
        self.config = config
        self.word = nn.Embedding(config.vocabulary, config.state_dims)
        self.projection = nn.Linear(config.state_dims, config.query_dims)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        states = self.word(input_ids) * attention_mask.unsqueeze(-1).to(torch.float32)
        vector = self.projection(states.sum(1)).to(torch.float32)
        return vector / (vector * vector).sum(-1, keepdim=True).clamp_min(1e-24).sqrt(), states


@dataclass(frozen=True)
class MeanShape(ShapeTable):
    word_scale: float = 1.0


class MeanKind(ScreenerKind):
    name, shape, module, config = "mean", MeanShape, MeanScreener, MeanConfig

    def start(self, encoder: Any, shape: Any, tokenizer: Any, old_ids: Any, weights: Tensor) -> MeanScreener:
        screener = MeanScreener(MeanConfig(len(old_ids), shape.max_tokens, shape.word_dims, shape.query_dims))
        words = factorise(word_rows(encoder)[torch.from_numpy(old_ids)], shape.word_dims, weights).rows
        with torch.no_grad():
            screener.word.weight.copy_(words * shape.word_scale)
        return screener

    def last_products(self, screener: MeanScreener) -> tuple[nn.Linear]:
        return (screener.projection,)

    def words(self, screener: MeanScreener) -> tuple[str, Tensor]:
        return "screener.word.weight", screener.word.weight.detach()


def written(recipe: Path, said: str, sizes: str) -> Path:
    recipe.write_text(said.replace("teacher_layers = [0, 2]", sizes))
    return recipe


def test_a_third_kind_is_distilled_saved_and_loaded(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screeners, "KINDS", (*screeners.KINDS, MeanKind()))
    said = tiny_recipe.read_text()
    with pytest.raises(BadInput, match="student: unknown key 'teacher_layers'"):
        distill(written(tiny_recipe, said, 'teacher_layers = [0]\nscreener = "mean"'), tmp_path / "student")
    written(tiny_recipe, said, 'screener = "mean"\nword_scale = 0.5')
    student = distill(tiny_recipe, tmp_path / "student", log=lambda line: None, device="cpu")
    assert student.metrics["evaluation"]["screening"]["P@1"] > 30
    again = load_student(tmp_path / "student")
    assert isinstance(again.screener, MeanScreener)
    assert kind_of(again.screener).name == "mean"
    assert kind_of(nn.Linear(1, 1)).name == ""


def test_a_screener_as_wide_as_its_start_has_its_vectors(tmp_path: Path) -> None:
    write_teacher(tmp_path / "model")
    (tmp_path / "model" / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    start = open_start(str(tmp_path / "model"))
    counts = torch.ones(start.encoder.config.vocabulary)
    whole = TransformerShape("transformer", 24, 32, 32, teacher_layers=(0, 1, 2))
    texts = list(tiny_labels().texts[:40])
    theirs = encode_vectors(start.encoder, start.tokenizer, texts)
    own = start_screener(start, whole, start.tokenizer, np.arange(len(counts)), counts).eval()
    assert own.config.pooling == "cls"  # type: ignore[union-attr]
    torch.testing.assert_close(encode_vectors(own, start.tokenizer, texts), theirs, atol=1e-5, rtol=0)
    # and so does one that starts from that, with its projection
    turned = kind_of(own).with_map(own, torch.linalg.qr(torch.randn(32, 32)).Q)
    again = start_screener(
        Start(turned, start.tokenizer), whole, start.tokenizer, np.arange(len(counts)), counts
    ).eval()  # fmt: skip
    vectors = encode_vectors(again, start.tokenizer, texts)
    torch.testing.assert_close(vectors @ vectors.T, theirs @ theirs.T, atol=1e-4, rtol=0)
