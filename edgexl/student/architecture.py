"""How a transformer encoder computes: what tells one family of encoders from another, apart from its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Activation = Literal["identity", "tanh", "relu", "sigmoid", "gelu"]


@dataclass(frozen=True)
class Architecture:
    """The defaults are BERT's: learned positions, LayerNorm behind each sum, GELU, biases everywhere.

    `positions`: a vector a position, added to the words; or rotations of queries and keys by angles of base `theta`, in
    `local_layers` of base `local_theta`. `relative_buckets`: a number for each head and bucket of distances is added to
    attention's scores, the same in all layers; distances from `relative_distance` on share one bucket (Raffel et al.,
    2020). `norms`: behind each sum, before each part, or before and behind each part. A part is attention or the
    feed-forward. `gated`: the feed-forward's units are multiplied by a second product (Shazeer, 2020). `window`:
    tokens on each side that attention of the `local_layers` sees. `shared_keys`: all heads have one key and one value.
    `head_dims`: width of a head, 0 for the encoder's width divided by its heads.
    """

    positions: Literal["learned", "rotary", "none"] = "learned"
    theta: float = 10_000.0
    local_theta: float = 10_000.0
    relative_buckets: int = 0
    relative_distance: int = 128
    norm: Literal["layer", "rms"] = "layer"
    norms: Literal["after", "before", "around"] = "after"
    norm_bias: bool = True
    embedding_norm: bool = True
    head_norms: bool = False
    bias: bool = True
    gated: bool = False
    activation: Literal["gelu", "gelu_tanh"] = "gelu"
    local_layers: tuple[int, ...] = ()
    window: int = 0
    shared_keys: bool = False
    head_dims: int = 0

    def __post_init__(self) -> None:
        if not all(1 < theta < 1e12 for theta in (self.theta, self.local_theta)):
            raise ValueError(f"theta ({self.theta}) and local_theta ({self.local_theta}) must be numbers above 1")
        if self.relative_buckets % 4 or self.relative_buckets < 0:
            raise ValueError(f"relative_buckets ({self.relative_buckets}) must be a multiple of 4")
        if self.relative_buckets and self.relative_distance <= self.relative_buckets // 4:
            raise ValueError(f"relative_distance ({self.relative_distance}) must be more than a quarter of the buckets")
        if list(self.local_layers) != sorted(set(self.local_layers)) or any(layer < 0 for layer in self.local_layers):
            raise ValueError(f"local_layers ({list(self.local_layers)}) must ascend from 0 on")
        if self.local_layers and self.window < 1:
            raise ValueError(f"window is {self.window}; local layers need at least 1")
        if self.head_dims < 0 or (self.positions == "rotary" and self.head_dims % 2):
            raise ValueError(f"head_dims ({self.head_dims}) must be an even number, or 0")


BERT = Architecture()


@dataclass(frozen=True)
class DenseStep:
    """A linear map behind the pooling and what is done to its numbers. `normalised`: the vector is brought to length 1
    first."""

    dims: int
    activation: Activation = "identity"
    bias: bool = True
    normalised: bool = False

    def __post_init__(self) -> None:
        if self.dims < 1:
            raise ValueError(f"dims is {self.dims}; a dense step needs at least 1")
