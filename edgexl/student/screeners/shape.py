"""[student] of a distillation recipe: the sizes that every student has. A kind of screener adds its own to them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ShapeTable:
    """Sizes of both modules; see `Shapes`, `ReasonerConfig` and the kinds' own configurations.

    `screener` is the name of its kind. `vocabulary` keeps only so many word pieces of the model that the recipe starts
    from, the most used ones in labels and training queries; 0 keeps all. `word_dims` is the width of their rows.
    """

    screener: str
    max_tokens: int = 128
    query_dims: int = 256
    word_dims: int = 192
    vocabulary: int = 0
    shortlist: int = 128
    label_tokens: int = 8
    reasoner_dims: int = 192
    reasoner_ffn_dims: int = 384
    reasoner_heads: int = 6
    reasoner_layers: int = 2
    cross_layers: int = 1
    token_dims: int = 48

    def __post_init__(self) -> None:
        if self.vocabulary < 0:
            raise ValueError("vocabulary must not be negative")
