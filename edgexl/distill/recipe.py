"""The distillation recipe: which data, which teacher, what shapes, and how long each stage trains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgexl import toml
from edgexl.errors import BadInput


@dataclass(frozen=True)
class ShapeTable:
    """[student]: sizes of both modules; see `Shapes`, `ScreenerConfig` and `ReasonerConfig` for what they mean."""

    teacher_layers: tuple[int, ...]
    max_tokens: int = 128
    query_dims: int = 256
    word_dims: int = 192
    shortlist: int = 128
    label_tokens: int = 8
    reasoner_dims: int = 192
    reasoner_ffn_dims: int = 384
    reasoner_heads: int = 6
    reasoner_layers: int = 2
    token_dims: int = 48

    def __post_init__(self) -> None:
        if not self.teacher_layers:
            raise ValueError("teacher_layers names no layer; name at least one of the teacher's")


@dataclass(frozen=True)
class SplitTable:
    """[split]: how the training queries are divided, by hash, so that the division never changes.

    `reasoning_share` of them train the reasoner and are kept from the screener, so that the reasoner meets shortlists
    as bad as the device's. `calibration` queries and `development` queries are kept from both.
    """

    reasoning_share: float = 0.2
    calibration: int = 2000
    development: int = 2000
    evaluation: int = 2000

    def __post_init__(self) -> None:
        if not 0.0 < self.reasoning_share < 1.0:
            raise ValueError("reasoning_share must lie between 0 and 1")
        if min(self.calibration, self.development, self.evaluation) < 1:
            raise ValueError("calibration, development and evaluation need at least one query each")


@dataclass(frozen=True)
class ScreeningTable:
    """[screening]: softmax over in-batch positives and `random_labels` more, plus `teacher_weight` x (1 - cosine)."""

    steps: int
    batch: int = 512
    random_labels: int = 512
    learning_rate: float = 4e-4
    warmup: float = 0.06
    temperature: float = 0.05
    teacher_weight: float = 2.0
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.random_labels) < 1 or self.temperature <= 0 or self.learning_rate <= 0:
            raise ValueError("steps, batch, random_labels, temperature and learning_rate must be positive")


@dataclass(frozen=True)
class ReasoningTable:
    """[reasoning]: listwise softmax over the shortlist, plus `teacher_weight` x KL to the teacher's softmax there.

    Label vectors are met compressed to `bits` a dimension: `leading_dims` of them for half of the batches, all for
    the other half. Each step hides `token_dropout` of a query's tokens, against learning queries by heart.
    `familiar_queries` of the screener's own queries are added to those that are the reasoner's alone: their shortlists
    look a little too good, but there are many of them.
    """

    steps: int
    batch: int = 64
    learning_rate: float = 5e-4
    warmup: float = 0.06
    teacher_weight: float = 0.05
    teacher_temperature: float = 0.05
    weight_decay: float = 0.05
    dropout: float = 0.1
    token_dropout: float = 0.1
    familiar_queries: int = 0
    bits: int = 4
    leading_dims: int = 192

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.leading_dims) < 1 or self.learning_rate <= 0:
            raise ValueError("steps, batch, leading_dims and learning_rate must be positive")
        if not 1 <= self.bits <= 8 or not 0.0 <= self.dropout < 1.0 or not 0.0 <= self.token_dropout < 1.0:
            raise ValueError("bits must lie in 1 to 8, dropout and token_dropout in 0 to 1")
        if self.familiar_queries < 0:
            raise ValueError("familiar_queries must be 0 or more")


@dataclass(frozen=True)
class DistillRecipe:
    """A whole recipe. `data` names a built-in data set or a directory, `teacher` a model as importers take it."""

    data: str
    teacher: str
    student: ShapeTable
    screening: ScreeningTable
    reasoning: ReasoningTable
    split: SplitTable = SplitTable()
    seed: int = 0


def read_recipe(path: Path) -> DistillRecipe:
    """Read a recipe; raises `BadInput` for unknown keys and impossible values."""
    recipe = toml.load(path, DistillRecipe)
    if recipe.reasoning.leading_dims > recipe.student.query_dims:
        raise BadInput(
            f"{path}: reasoning.leading_dims ({recipe.reasoning.leading_dims}) is more than "
            f"student.query_dims ({recipe.student.query_dims}); lower it."
        )
    return recipe
