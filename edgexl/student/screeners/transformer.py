"""The built-in screener: a small BERT encoder, mean pooling, a projection, a unit vector.

Its word table may be factorised: narrow rows and one shared map up to the encoder's width. At 30,522 word pieces the
table is most of a small student's bytes, and a narrow one costs less accuracy than dropping layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.student.layers import EncoderLayer, padding_bias
from edgexl.student.screeners.kind import ScreenerKind, factorise
from edgexl.student.screeners.shape import ShapeTable
from edgexl.student.tokens import TokenTable


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


@torch.no_grad()
def project(screener: TransformerScreener, matrix: Tensor, bias: Tensor) -> TransformerScreener:
    """The screener with `matrix` [out,in] and `bias` [out] behind what it gives (before it is made a unit vector)."""
    projection = screener.projection
    if isinstance(projection, nn.Linear):
        matrix, bias = matrix @ projection.weight, matrix @ projection.bias + bias
    longer = TransformerScreener(replace(screener.config, query_dims=len(bias)))
    own = {name: value for name, value in screener.state_dict().items() if not name.startswith("projection.")}
    longer.load_state_dict(own | {"projection.weight": matrix, "projection.bias": bias})
    return longer


@dataclass(frozen=True)
class TransformerShape(ShapeTable):
    """`teacher_layers` are those of the model that the recipe starts from. `ffn_dims` below the model's own keeps its
    strongest units; 0 keeps all."""

    screener: str = "transformer"
    teacher_layers: tuple[int, ...] = ()
    ffn_dims: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.teacher_layers:
            raise ValueError("teacher_layers names no layer; name at least one of the model's")
        if self.ffn_dims < 0:
            raise ValueError("ffn_dims must not be negative")


class TransformerKind(ScreenerKind):
    """A transformer made of some of another's layers and word pieces."""

    name, shape, module, config = "transformer", TransformerShape, TransformerScreener, ScreenerConfig

    def start(
        self,
        encoder: TransformerScreener,
        shape: TransformerShape,
        tokenizer: Tokenizer,
        old_ids: Ints,
        weights: Tensor,
    ) -> TransformerScreener:
        table = word_rows(encoder)[torch.from_numpy(old_ids)]
        source = encoder.config
        if not all(0 <= layer < source.layers for layer in shape.teacher_layers):
            raise BadInput(
                f"The model that the recipe starts from has layers 0 to {source.layers - 1}; "
                f"the recipe asks for {list(shape.teacher_layers)}."
            )
        ffn_dims = min(shape.ffn_dims or source.ffn_dims, source.ffn_dims)
        screener = TransformerScreener(
            ScreenerConfig(
                vocabulary=len(old_ids),
                max_tokens=min(shape.max_tokens, source.max_tokens),
                word_dims=min(shape.word_dims, source.state_dims),
                state_dims=source.state_dims,
                ffn_dims=ffn_dims,
                heads=source.heads,
                layers=len(shape.teacher_layers),
                query_dims=shape.query_dims,
                pooling=source.pooling,
                eps=source.eps,
            )
        )
        with torch.no_grad():
            _start_projection(screener, encoder)
            screener.position.weight.copy_(encoder.position.weight[: screener.config.max_tokens])
            screener.embedding_norm.load_state_dict(encoder.embedding_norm.state_dict())
            if screener.config.word_dims < source.state_dims:
                words = factorise(table, screener.config.word_dims, weights)
                screener.word.weight.copy_(words.rows)
                assert isinstance(screener.word_map, nn.Linear)
                screener.word_map.weight.copy_(words.map.T)
                screener.position.weight.add_(words.mean)
            else:
                screener.word.weight.copy_(table)
        for own, theirs in enumerate(shape.teacher_layers):
            copy_layer(screener.layers[own], encoder.layers[theirs], ffn_dims)
        return screener

    def encoder(self, screener: TransformerScreener) -> TransformerScreener:
        return screener

    def sizes(self, screener: TransformerScreener) -> dict[str, Any]:
        config = screener.config
        if config.query_dims is None:
            return {}
        return {
            "teacher_layers": tuple(range(config.layers)), "max_tokens": config.max_tokens, "ffn_dims": config.ffn_dims,
            "word_dims": config.word_dims, "query_dims": config.query_dims,
        }  # fmt: skip

    def aim(self, screener: TransformerScreener, tokens: TokenTable, wanted: Tensor) -> None:
        """Set the projection so that pooled states land as near as they can to `wanted`: ridge regression.

        Distillation then starts near its goal, whatever was cut from the model.
        """
        bare = TransformerScreener(replace(screener.config, query_dims=None))
        bare.load_state_dict({k: v for k, v in screener.state_dict().items() if not k.startswith("projection.")})
        device = tokens.flat.device
        pooled = self.encode_all(bare.to(device).eval(), tokens, cut=screener.config.max_tokens)
        goal = wanted.to(device, torch.float32)
        mean, goal_mean = pooled.mean(0), goal.mean(0)
        centred = pooled - mean
        gram = centred.T @ centred
        ridge = 1e-3 * gram.diagonal().mean() * torch.eye(len(gram), device=device)
        weight = torch.linalg.solve(gram + ridge, centred.T @ (goal - goal_mean)).T
        assert isinstance(screener.projection, nn.Linear)
        with torch.no_grad():
            screener.projection.weight.copy_(weight)
            screener.projection.bias.copy_(goal_mean - weight @ mean)

    def freeze(self, screener: TransformerScreener, layers: int) -> None:
        if not layers:
            return
        words = (screener.word, screener.word_map, screener.position, screener.embedding_norm)
        for part in (*words, *screener.layers[:layers]):
            part.requires_grad_(False)

    def last_products(self, screener: TransformerScreener) -> Sequence[nn.Linear]:
        assert isinstance(screener.projection, nn.Linear)
        return (screener.projection,)

    def with_map(self, screener: TransformerScreener, matrix: Tensor) -> TransformerScreener:
        return project(screener, matrix, torch.zeros(len(matrix))).train(screener.training)

    def words(self, screener: TransformerScreener) -> tuple[str, Tensor]:
        return "screener.word.weight", screener.word.weight.detach()

    def encode_batches(self, screener: TransformerScreener, batches: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """The word table is looked up once for all, for that backward pass is the dear part on CPUs."""
        words = screener.word(torch.cat([ids.flatten() for ids, _ in batches]))
        looked_up = words.split([ids.numel() for ids, _ in batches])
        return [
            screener.encode_words(word.view(*ids.shape, -1), mask)[0]
            for word, (ids, mask) in zip(looked_up, batches, strict=True)
        ]


def _start_projection(screener: TransformerScreener, encoder: TransformerScreener) -> None:
    """Begin with the encoder's own vectors, or their leading dimensions, where the new ones are not to be wider; else
    with random directions. A distilled student's vectors are turned so that the leading dimensions tell most."""
    assert isinstance(screener.projection, nn.Linear)
    if isinstance(encoder.projection, nn.Linear):
        width = len(screener.projection.weight)
        if width <= len(encoder.projection.weight):
            own = encoder.projection.state_dict()
            screener.projection.load_state_dict({name: value[:width] for name, value in own.items()})
    elif screener.projection.weight.shape[0] == screener.projection.weight.shape[1]:
        nn.init.eye_(screener.projection.weight)
        nn.init.zeros_(screener.projection.bias)


def word_rows(encoder: TransformerScreener) -> Tensor:
    """The encoder's whole word table [V,h]."""
    words = encoder.word.weight.detach()
    return words if isinstance(encoder.word_map, nn.Identity) else words @ encoder.word_map.weight.detach().T


def copy_layer(target: nn.Module, source: nn.Module, ffn_dims: int) -> None:
    """Copy a layer's weights; of the feed-forward's units, the `ffn_dims` whose two weight vectors are longest."""
    weights = {name: value.detach() for name, value in source.state_dict().items()}
    strength = weights["up.weight"].norm(dim=1) * weights["down.weight"].norm(dim=0)
    kept = strength.topk(ffn_dims).indices.sort().values
    weights["up.weight"], weights["up.bias"] = weights["up.weight"][kept], weights["up.bias"][kept]
    weights["down.weight"] = weights["down.weight"][:, kept]
    target.load_state_dict(weights)


TRANSFORMER = TransformerKind()
