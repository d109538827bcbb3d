"""The settings of finishing: the table [finishing] of a distillation recipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FinishingTable:
    """[finishing]: how long each stage trains, in batches of how many queries, and what its loss weighs.

    A query brings `near_rows` rows of its float self's ranking into the pool, half of them the best, and a batch
    `random_rows`. A soft `temperature` keeps the far end of a shortlist, too. The index's rotation and code book are
    fitted again every `refresh_steps`. Either stage is left as it is by 0 steps.
    """

    screening_steps: int = 300
    screening_batch: int = 64
    screening_rate: float = 1e-4
    near_rows: int = 8
    random_rows: int = 256
    refresh_steps: int = 50
    temperature: float = 0.1
    coarse_weight: float = 0.1
    vector_weight: float = 1.0
    screening_data_weight: float = 0.05
    reasoning_steps: int = 300
    reasoning_batch: int = 32
    reasoning_rate: float = 3e-4
    reasoning_data_weight: float = 0.1

    def __post_init__(self) -> None:
        if min(self.screening_steps, self.reasoning_steps, self.random_rows) < 0 or self.near_rows < 2:
            raise ValueError("steps and random_rows must not be negative, near_rows at least 2")
        if min(self.screening_batch, self.reasoning_batch, self.refresh_steps) < 1:
            raise ValueError("batches and refresh_steps must be at least 1")
        if min(self.screening_rate, self.reasoning_rate, self.temperature) <= 0:
            raise ValueError("rates and temperature must be positive")
        weights = (self.coarse_weight, self.vector_weight, self.screening_data_weight, self.reasoning_data_weight)
        if min(weights) < 0:
            raise ValueError("weights must not be negative")
