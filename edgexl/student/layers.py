"""The transformer parts that the built-in screener and reasoner are made of.

Attention is written as matrix product, softmax, matrix product: it exports to plain ONNX, quantises as three named
operators, and on CPUs its backward pass is several times faster at short lengths than the fused kernel's.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from edgexl.base.errors import BadInput

# Added to the attention score of a padding position: exp() of it is 0 in fp32, bf16 and fp16 alike.
MASKED = -1e4


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B,L,heads*w] -> [B,heads,L,w]."""
    return x.view(x.shape[0], x.shape[1], heads, x.shape[-1] // heads).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """Multi-head attention of [B,L,w] over [B,M,w]; `bias` [B,1,1,M] is added to the scores. Returns [B,L,w]."""
    q, k, v = (split_heads(x, heads) for x in (query, key, value))
    # Scaling the query, not the scores, touches L*w numbers instead of heads*L*M.
    scores = torch.matmul(q * (1.0 / math.sqrt(q.shape[-1])), k.transpose(-1, -2))
    if bias is not None:
        scores = scores + bias
    return torch.matmul(scores.softmax(-1), v).transpose(1, 2).flatten(2)


def padding_bias(attention_mask: Tensor) -> Tensor:
    """[B,T] of 1 (token) and 0 (padding) -> [B,1,1,T] of 0 and `MASKED`."""
    return ((1.0 - attention_mask.to(torch.float32)) * MASKED)[:, None, None, :]


def count_layers(module: nn.Module) -> int:
    """How many layers a stage of a student is a stack of; 0 where it is none."""
    layers = getattr(module, "layers", None)
    return len(layers) if isinstance(layers, nn.ModuleList) else 0


def keep_layers(module: nn.Module, count: int | None, role: str) -> nn.Module:
    """A stage of a student with its first `count` layers; the module itself where that is None or all of them. Raises
    `BadInput` where it has fewer, naming it by its `role`."""
    there = count_layers(module)
    if count is None or count == there:
        return module
    if count > there:
        has = f"{there} layers" if there else "no layers to choose from"
        raise BadInput(f"[{role}] layers = {count}, but the student's {role} has {has}; leave it out, or lower it.")
    kept = copy.copy(module)
    kept._modules = dict(module._modules)
    kept.layers = nn.ModuleList(list(module.layers)[:count])  # type: ignore[arg-type]
    return kept


class EncoderLayer(nn.Module):
    """A BERT layer (normalisation after each sum), shaped so that BERT's weights load into it."""

    def __init__(self, dims: int, ffn_dims: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(dims, dims) for _ in range(4))
        self.attention_norm = nn.LayerNorm(dims, eps=eps)
        self.up = nn.Linear(dims, ffn_dims)
        self.down = nn.Linear(ffn_dims, dims)
        self.ffn_norm = nn.LayerNorm(dims, eps=eps)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x [B,T,dims], bias [B,1,1,T] -> [B,T,dims]."""
        attended = attend(self.query(x), self.key(x), self.value(x), self.heads, bias)
        x = self.attention_norm(x + self.output(attended))
        x = self.ffn_norm(x + self.down(nn.functional.gelu(self.up(x))))
        return x


class ListLayer(nn.Module):
    """A layer of the reasoner: labels attend to each other, then (`cross`) to the query's tokens, then a feed-forward.

    Normalisation comes before each part. There are no positions, so the layer commutes with permutations of its list.
    """

    def __init__(self, dims: int, ffn_dims: int, heads: int, dropout: float, cross: bool) -> None:
        super().__init__()
        self.heads = heads
        self.cross = cross
        self.self_norm, self.ffn_norm = nn.LayerNorm(dims), nn.LayerNorm(dims)
        self.query, self.key, self.value, self.output = (nn.Linear(dims, dims) for _ in range(4))
        if cross:
            self.cross_norm = nn.LayerNorm(dims)
            self.cross_query, self.cross_output = nn.Linear(dims, dims), nn.Linear(dims, dims)
            self.cross_key, self.cross_value = nn.Linear(dims, dims), nn.Linear(dims, dims)
        self.up = nn.Linear(dims, ffn_dims)
        self.down = nn.Linear(ffn_dims, dims)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, tokens: Tensor, bias: Tensor) -> Tensor:
        """x [B,N,dims], tokens [B,T,dims], bias [B,1,1,T] -> [B,N,dims]."""
        y = self.self_norm(x)
        x = x + self.dropout(self.output(attend(self.query(y), self.key(y), self.value(y), self.heads)))
        if self.cross:
            y = self.cross_query(self.cross_norm(x))
            attended = attend(y, self.cross_key(tokens), self.cross_value(tokens), self.heads, bias)
            x = x + self.dropout(self.cross_output(attended))
        y = nn.functional.gelu(self.up(self.ffn_norm(x)))
        out: Tensor = x + self.dropout(self.down(y))
        return out
