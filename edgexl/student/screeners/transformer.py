"""The built-in screener: a small transformer encoder (BERT's, or of another family's architecture), pooling, a
projection, a unit vector. Without layers it is a static table of words.

Its word table may be factorised: narrow rows and one shared map up to the encoder's width. At 30,522 word pieces the
table is most of a small student's bytes, and a narrow one costs less accuracy than dropping layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.student.architecture import BERT, Architecture, DenseStep
from edgexl.student.layers import (
    MASKED,
    EncoderLayer,
    Surroundings,
    make_norm,
    padding_bias,
    relative_buckets,
    rotation_angles,
)
from edgexl.student.reading import Pooling
from edgexl.student.screeners.kind import ScreenerKind, factorise
from edgexl.student.screeners.shape import ShapeTable
from edgexl.student.tokens import TokenTable


@dataclass(frozen=True)
class ScreenerConfig:
    """Shapes of a `TransformerScreener`. All sizes are counts of dimensions unless the name says otherwise.

    `word_dims` is the width of the word table's rows; equal to `state_dims`, the table is not factorised.
    `query_dims` is the width of the query vector; None leaves the pooled states, or what the `dense` steps make of
    them, as they are (no projection). `architecture` is how the layers compute; None is BERT. `pooling`: "weighted" is
    the mean in which place i counts i + 1 times, "sqrt" the sum divided by the root of the number of tokens.
    """

    vocabulary: int
    max_tokens: int
    word_dims: int
    state_dims: int
    ffn_dims: int
    heads: int
    layers: int
    query_dims: int | None = None
    pooling: Pooling = "mean"
    eps: float = 1e-12
    architecture: Architecture | None = None
    dense: tuple[DenseStep, ...] = field(default=(), metadata={"unsaid": ()})

    def __post_init__(self) -> None:
        sizes = (self.vocabulary, self.word_dims, self.state_dims, self.ffn_dims, self.heads, self.query_dims or 1)
        if min(sizes) < 1 or self.layers < 0 or self.max_tokens < 3:
            raise ValueError("a screener's sizes must be positive, and max_tokens at least 3")
        if not 0 < self.eps < 1:  # nor is it NaN
            raise ValueError(f"eps is {self.eps}; it must be a small positive number")
        if self.state_dims % self.heads and not (self.architecture and self.architecture.head_dims):
            raise ValueError(f"state_dims ({self.state_dims}) must be a multiple of heads ({self.heads})")

    @property
    def vector_dims(self) -> int:
        """The width of the query vector."""
        return self.query_dims or self.pooled_dims

    @property
    def pooled_dims(self) -> int:
        """The width of what the projection takes."""
        return self.dense[-1].dims if self.dense else self.state_dims


class TransformerScreener(nn.Module):
    """Text to query vector and token states; the same graph encodes label texts."""

    def __init__(self, config: ScreenerConfig) -> None:
        super().__init__()
        self.config = config
        self.word = nn.Embedding(config.vocabulary, config.word_dims)
        factorised = config.word_dims != config.state_dims
        self.word_map = nn.Linear(config.word_dims, config.state_dims, bias=False) if factorised else nn.Identity()
        a = config.architecture or BERT
        if a.positions == "learned":
            self.position = nn.Embedding(config.max_tokens, config.state_dims)
        if a.relative_buckets:
            self.relative = nn.Embedding(a.relative_buckets, config.heads)
        self.embedding_norm = make_norm(config.state_dims, config.eps, a) if a.embedding_norm else nn.Identity()
        self.layers = nn.ModuleList(
            EncoderLayer(
                config.state_dims, config.ffn_dims, config.heads, config.eps, a,
                bare=index == 0 and a.norms != "after" and a.embedding_norm,
            )
            for index in range(config.layers)
        )  # fmt: skip
        if a.norms != "after" and config.layers:
            self.last_norm = make_norm(config.state_dims, config.eps, a)
        widths = [config.state_dims, *(step.dims for step in config.dense)]
        if config.dense:
            self.dense = nn.ModuleList(
                nn.Linear(into, step.dims, bias=step.bias) for into, step in zip(widths, config.dense, strict=False)
            )
        projected = config.query_dims is not None
        self.projection = nn.Linear(widths[-1], config.query_dims or 1) if projected else nn.Identity()
        nn.init.normal_(self.word.weight, std=0.02)
        if a.positions == "learned":
            nn.init.normal_(self.position.weight, std=0.02)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """`input_ids`, `attention_mask` [B,T] int64 -> (query vector [B,d] of length 1, token states [B,T,h])."""
        return self.encode_words(self.word(input_ids), attention_mask)

    def encode_words(self, words: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` does after looking up the word table: `words` is [B,T,word_dims]."""
        x = self.word_map(words)
        a = self.config.architecture or BERT
        if a.positions == "learned":
            x = x + self.position.weight[: words.shape[1]]
        x = self.embedding_norm(x)
        if self.config.layers:
            far, near = self._surroundings(attention_mask)
            for index, layer in enumerate(self.layers):
                x = layer(x, near if index in a.local_layers else far)
            if a.norms != "after":
                x = self.last_norm(x)
        vector = self._project(self._pool(x, attention_mask)).to(torch.float32)
        return vector / (vector * vector).sum(-1, keepdim=True).clamp_min(1e-24).sqrt(), x

    def _surroundings(self, attention_mask: Tensor) -> tuple[Surroundings, Surroundings]:
        """What layers with attention over the whole text share, and those with local attention."""
        a, config, tokens = self.config.architecture or BERT, self.config, attention_mask.shape[1]
        bias = padding_bias(attention_mask)
        windowed = bool(a.local_layers) and config.max_tokens - 1 > a.window
        if a.relative_buckets or windowed:
            # two axes each, so that no size of a graph is taken for a table of sizes
            places = torch.arange(config.max_tokens, device=bias.device)[:, None]
            distances = places[:tokens].T + (config.max_tokens - 1 - places)[:tokens]
        if a.relative_buckets:
            buckets = relative_buckets(config.max_tokens, a.relative_buckets, a.relative_distance).to(bias.device)
            bias = bias + self.relative.weight[buckets][distances].permute(2, 0, 1)
        near = bias
        if windowed:
            away = torch.arange(1 - config.max_tokens, config.max_tokens, device=bias.device)
            near = bias + ((away.abs() > a.window).float() * MASKED)[distances]
        if a.positions != "rotary":
            return Surroundings(bias), Surroundings(near)
        head = a.head_dims or config.state_dims // config.heads
        turns = []
        for theta in (a.theta, a.local_theta):
            angles = rotation_angles(config.max_tokens, head, theta).to(bias.device)
            turns.append((angles.cos()[:tokens], angles.sin()[:tokens]))
        return Surroundings(bias, turns[0]), Surroundings(near, turns[1])

    def _pool(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        """States [B,T,h] to one vector a text [B,h]."""
        pooling = self.config.pooling
        if pooling == "cls":
            return x[:, 0]
        if pooling == "last":
            # 1 at the last token alone
            ends = attention_mask - functional.pad(attention_mask, (-1, 1))
            return (x * ends.to(x.dtype).unsqueeze(-1)).sum(1)
        weight = attention_mask.to(x.dtype).unsqueeze(-1)
        if pooling == "max":
            return (x + (1.0 - weight) * -1e9).amax(1)
        if pooling == "weighted":
            weight = weight * attention_mask.cumsum(1).to(x.dtype).unsqueeze(-1)
        if pooling == "sqrt":
            return (x * weight).sum(1) / weight.sum(1).sqrt()
        return (x * weight).sum(1) / weight.sum(1)

    def _project(self, vector: Tensor) -> Tensor:
        """The dense steps and the projection of pooled states [B,h]."""
        for place, step in enumerate(self.config.dense):
            if step.normalised:
                vector = vector / (vector * vector).sum(-1, keepdim=True).clamp_min(1e-24).sqrt()
            vector = _ACTIVATIONS[step.activation](self.dense[place](vector))
        projected: Tensor = self.projection(vector)
        return projected


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x, "tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "gelu": functional.gelu,
}  # fmt: skip


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
        if not source.layers:
            raise BadInput(
                "The recipe starts from a model that is a table of words without layers; name an encoder that has "
                "some, or make it a student of n-grams (screener = 'ngrams')."
            )
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
                architecture=_keep_layers_of(source, shape.teacher_layers),
            )
        )
        placed = (source.architecture or BERT).positions == "learned"
        with torch.no_grad():
            _start_projection(screener, encoder)
            if placed:
                screener.position.weight.copy_(encoder.position.weight[: screener.config.max_tokens])
            for part in ("embedding_norm", "relative", "last_norm"):
                if hasattr(encoder, part):
                    getattr(screener, part).load_state_dict(getattr(encoder, part).state_dict())
            if screener.config.word_dims < source.state_dims:
                words = factorise(table, screener.config.word_dims, weights, centred=placed)
                screener.word.weight.copy_(words.rows)
                assert isinstance(screener.word_map, nn.Linear)
                screener.word_map.weight.copy_(words.map.T)
                if placed:
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
        if config.query_dims is None or config.dense:
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
        words = (getattr(screener, name, None) for name in ("word", "word_map", "position", "embedding_norm"))
        for part in (*filter(None, words), *screener.layers[:layers]):
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


def _keep_layers_of(source: ScreenerConfig, layers: tuple[int, ...]) -> Architecture | None:
    """The architecture of an encoder made of some layers of another. Raises `BadInput` where they make none."""
    a = source.architecture
    if source.dense:
        raise BadInput(
            "The model that the recipe starts from has dense layers with activations behind its pooling, which "
            "students do not take over; name another model."
        )
    if a is None:
        return None
    if a.norms != "after" and a.embedding_norm and layers[0] != 0:
        raise BadInput(
            f"teacher_layers begins with {layers[0]}, but this model normalises its words for layer 0 alone; "
            "begin with 0."
        )
    return replace(a, local_layers=tuple(own for own, theirs in enumerate(layers) if theirs in a.local_layers))


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
    """Copy a layer's weights; of the feed-forward's units, the `ffn_dims` whose weight vectors are longest."""
    weights = {name: value.detach() for name, value in source.state_dict().items()}
    into = [name for name in ("up", "gate") if f"{name}.weight" in weights]
    strength = weights["down.weight"].norm(dim=0)
    for name in into:
        strength = strength * weights[f"{name}.weight"].norm(dim=1)
    kept = strength.topk(ffn_dims).indices.sort().values
    for name in into:
        for part in (f"{name}.weight", f"{name}.bias"):
            if part in weights:
                weights[part] = weights[part][kept]
    weights["down.weight"] = weights["down.weight"][:, kept]
    target.load_state_dict(weights)


TRANSFORMER = TransformerKind()
