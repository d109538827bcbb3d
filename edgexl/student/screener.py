"""The built-in screener: a small BERT encoder, mean pooling, a projection, a unit vector.

Its word table may be factorised: narrow rows and one shared map up to the encoder's width. At 30,522 word pieces the
table is most of a small student's bytes, and a narrow one costs less accuracy than dropping layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from edgexl.student.layers import EncoderLayer, padding_bias


@dataclass(frozen=True)
class ScreenerConfig:
    """Shapes of a `TransformerScreener`. All sizes are counts of dimensions unless the name says otherwise.

    `word_dims` is the width of the word table's rows; equal to `state_dims`, the table is not factorised.
    `query_dims` is the width of the query vector; None leaves the pooled states as they are (no projection).
    """

    vocabulary: int
    max_tokens: int
    word_dims: int
    state_dims: int
    ffn_dims: int
    heads: int
    layers: int
    query_dims: int | None = None
    pooling: Literal["mean", "cls"] = "mean"
    eps: float = 1e-12

    def __post_init__(self) -> None:
        sizes = (self.vocabulary, self.word_dims, self.state_dims, self.ffn_dims, self.heads, self.query_dims or 1)
        if min(sizes) < 1 or self.layers < 0 or self.max_tokens < 3:
            raise ValueError("a screener's sizes must be positive, and max_tokens at least 3")
        if not 0 < self.eps < 1:  # nor is it NaN
            raise ValueError(f"eps is {self.eps}; it must be a small positive number")
        if self.state_dims % self.heads:
            raise ValueError(f"state_dims ({self.state_dims}) must be a multiple of heads ({self.heads})")


class TransformerScreener(nn.Module):
    """Text to query vector and token states; the same graph encodes label texts."""

    def __init__(self, config: ScreenerConfig) -> None:
        super().__init__()
        self.config = config
        self.word = nn.Embedding(config.vocabulary, config.word_dims)
        factorised = config.word_dims != config.state_dims
        self.word_map = nn.Linear(config.word_dims, config.state_dims, bias=False) if factorised else nn.Identity()
        self.position = nn.Embedding(config.max_tokens, config.state_dims)
        self.embedding_norm = nn.LayerNorm(config.state_dims, eps=config.eps)
        self.layers = nn.ModuleList(
            EncoderLayer(config.state_dims, config.ffn_dims, config.heads, config.eps) for _ in range(config.layers)
        )
        projected = config.query_dims is not None
        self.projection = nn.Linear(config.state_dims, config.query_dims or 1) if projected else nn.Identity()
        nn.init.normal_(self.word.weight, std=0.02)
        nn.init.normal_(self.position.weight, std=0.02)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """`input_ids`, `attention_mask` [B,T] int64 -> (query vector [B,d] of length 1, token states [B,T,h])."""
        return self.encode_words(self.word(input_ids), attention_mask)

    def encode_words(self, words: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` does after looking up the word table: `words` is [B,T,word_dims]."""
        x = self.word_map(words) + self.position.weight[: words.shape[1]]
        x = self.embedding_norm(x)
        bias = padding_bias(attention_mask)
        for layer in self.layers:
            x = layer(x, bias)
        if self.config.pooling == "cls":
            pooled = x[:, 0]
        else:
            weight = attention_mask.to(x.dtype).unsqueeze(-1)
            pooled = (x * weight).sum(1) / weight.sum(1)
        vector = self.projection(pooled).to(torch.float32)
        return vector / (vector * vector).sum(-1, keepdim=True).clamp_min(1e-24).sqrt(), x
