"""The transformer parts that the built-in screener and reasoner are made of.

Attention is written as matrix product, softmax, matrix product: it exports to plain ONNX, quantises as three named
operators, and on CPUs its backward pass is several times faster at short lengths than the fused kernel's.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgexl.base.errors import BadInput
from edgexl.student.architecture import BERT, Architecture

# Added to the attention score of a padding position: exp() of it is 0 in fp32, bf16 and fp16 alike.
MASKED = -1e4


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B,L,heads*w] -> [B,heads,L,w]."""
    return x.view(x.shape[0], x.shape[1], heads, x.shape[-1] // heads).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """Multi-head attention of [B,L,w] over [B,M,w]; `bias` [B,1 or heads,1 or L,M] is added to the scores. Returns
    [B,L,w]."""
    q, k, v = (split_heads(x, heads) for x in (query, key, value))
    return attend_heads(q, k, v, bias)


def attend_heads(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same of [B,heads,L,w] over [B,heads or 1,M,w]."""
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


class RMSNorm(nn.Module):
    """x divided by the root of its mean square, times a weight a dimension (Zhang and Sennrich, 2019)."""

    def __init__(self, dims: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dims))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return x / ((x * x).mean(-1, keepdim=True) + self.eps).sqrt() * self.weight


def make_norm(dims: int, eps: float, architecture: Architecture) -> nn.Module:
    """The normalisation of an architecture."""
    if architecture.norm == "rms":
        return RMSNorm(dims, eps)
    return nn.LayerNorm(dims, eps=eps, bias=architecture.norm_bias)


def relative_buckets(tokens: int, buckets: int, distance: int) -> Tensor:
    """The bucket [2 tokens - 1] of each distance of a key from its query, from 1 - tokens to tokens - 1: half of the
    buckets are for keys behind the query; a quarter hold one distance each, the others grow by its logarithm."""
    away = torch.arange(1 - tokens, tokens)
    half, exact, far = buckets // 2, buckets // 4, away.abs()
    share = torch.log(far.clamp_min(1).float() / exact) / math.log(distance / exact)
    grown = (exact + (share * (half - exact)).long()).clamp_max(half - 1)
    return torch.where(far < exact, far, grown) + (away > 0) * half


def rotation_angles(tokens: int, dims: int, theta: float) -> Tensor:
    """[tokens, dims / 2]: by what each pair of a head's numbers is rotated at each place (Su et al., 2021)."""
    frequencies = 1.0 / theta ** (torch.arange(0, dims, 2, dtype=torch.float32) / dims)
    return torch.arange(tokens, dtype=torch.float32)[:, None] * frequencies


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """[B,heads,T,w] with number i and number i + w / 2 of each head as a pair that is rotated."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cosines - b * sines, b * cosines + a * sines), -1)


@dataclass(frozen=True)
class Surroundings:
    """What all layers of a kind share: `bias` is added to attention's scores [B,1 or heads,1 or T,T], `turn` are the
    cosines and sines [T,w/2] of rotary positions."""

    bias: Tensor
    turn: tuple[Tensor, Tensor] | None = None


class EncoderLayer(nn.Module):
    """A transformer layer, shaped so that a family's weights load into it: BERT's (normalisation after each sum), or as
    `architecture` says. `bare`: the words come normalised, so attention does not do it again."""

    def __init__(
        self,
        dims: int,
        ffn_dims: int,
        heads: int,
        eps: float,
        architecture: Architecture = BERT,
        bare: bool = False,
    ) -> None:
        super().__init__()
        a = architecture
        self.heads, self.architecture = heads, a
        head = a.head_dims or dims // heads
        shared = head if a.shared_keys else heads * head
        self.query, self.key, self.value, self.output = (
            nn.Linear(into, out, bias=a.bias)
            for into, out in ((dims, heads * head), (dims, shared), (dims, shared), (heads * head, dims))
        )
        self.attention_norm = nn.Identity() if bare else make_norm(dims, eps, a)
        self.up = nn.Linear(dims, ffn_dims, bias=a.bias)
        self.down = nn.Linear(ffn_dims, dims, bias=a.bias)
        self.ffn_norm = make_norm(dims, eps, a)
        if a.gated:
            self.gate = nn.Linear(dims, ffn_dims, bias=a.bias)
        if a.norms == "around":
            self.attended_norm, self.fed_norm = make_norm(dims, eps, a), make_norm(dims, eps, a)
        if a.head_norms:
            self.query_norm, self.key_norm = make_norm(head, eps, a), make_norm(head, eps, a)

    def forward(self, x: Tensor, around: Surroundings | Tensor) -> Tensor:
        """x [B,T,dims]; around: what the layers share, or a bias [B,1,1,T] alone -> [B,T,dims]."""
        if isinstance(around, Tensor):
            around = Surroundings(around)
        if self.architecture.norms == "after":
            x = self.attention_norm(x + self.attend(x, around))
            x = self.ffn_norm(x + self.feed(x))
            return x
        attended, around_norms = self.attend(self.attention_norm(x), around), self.architecture.norms == "around"
        x = x + (self.attended_norm(attended) if around_norms else attended)
        fed = self.feed(self.ffn_norm(x))
        return x + (self.fed_norm(fed) if around_norms else fed)

    def attend(self, x: Tensor, around: Surroundings) -> Tensor:
        """Attention of [B,T,dims] over itself, and its output product."""
        a = self.architecture
        query, key, value = self.query(x), self.key(x), self.value(x)
        if not (around.turn or a.head_norms or a.shared_keys):
            out: Tensor = self.output(attend(query, key, value, self.heads, around.bias))
            return out
        q, k, v = (
            split_heads(query, self.heads),
            *(split_heads(part, 1 if a.shared_keys else self.heads) for part in (key, value)),
        )
        if a.head_norms:
            q, k = self.query_norm(q), self.key_norm(k)
        if around.turn:
            q, k = rotate(q, *around.turn), rotate(k, *around.turn)
        out = self.output(attend_heads(q, k, v, around.bias))
        return out

    def feed(self, x: Tensor) -> Tensor:
        """The feed-forward of [B,T,dims]."""
        tanh = self.architecture.activation == "gelu_tanh"
        activated = functional.gelu(
            self.gate(x) if self.architecture.gated else self.up(x), approximate="tanh" if tanh else "none"
        )
        out: Tensor = self.down(activated * self.up(x) if self.architecture.gated else activated)
        return out


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
