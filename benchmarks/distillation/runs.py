"""The runs of the comparison: which student is trained how, on what, and what is measured of it.

A run is (data set, size, method, seed). Its recipe is the shipped one of that data set and size; standard distillation
changes the method and the few settings in `STANDARD`, which were chosen on development queries as the mechanistic
recipe's own were. Steps, batches, architecture, data and teacher are the same, so that both train equally long.
MeSH's screeners learn from a sample of the queries, by either method: standard distillation needs the teacher's final
answer to each of them. All training queries are aliases nonetheless.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Literal

from edgexl.distill.recipe import DistillRecipe, find_distill_recipe, read_recipe

Method = Literal["mechanistic", "standard"]
DATA_SETS = ("wordnet", "mesh")
SIZES = ("small", "tiny", "micro")
METHODS: tuple[Method, ...] = ("mechanistic", "standard")
# Training differs by chance most where students are small, and costs least there.
SEEDS = {"small": (0, 1), "tiny": (0, 1, 2), "micro": (0, 1, 2)}
# What standard distillation needs otherwise than its rival: table, setting, value.
STANDARD: tuple[tuple[str, str, float], ...] = (("reasoning", "teacher_temperature", 1.0),)
# Queries that train the screener in a run; 0 = all of them.
SCREENING_QUERIES = {"wordnet": 0, "mesh": 120_000}
# Steps of the screener in a run, where they are not the recipe's: the sample takes fewer than all queries do, and an
# encoder with attention is dear to train.
SCREENING_STEPS = {("mesh", "small"): 600, ("mesh", "tiny"): 600}


@dataclass(frozen=True)
class Run:
    """One training run."""

    data: str
    size: str
    method: Method
    seed: int

    @property
    def name(self) -> str:
        """What the run is called in files and tables."""
        return f"{self.data}-{self.size}-{self.method}-{self.seed}"

    def recipe(self) -> DistillRecipe:
        """The run's recipe."""
        recipe = read_recipe(find_distill_recipe(recipe_name(self.data, self.size)))
        split = dataclasses.replace(recipe.split, screening_queries=SCREENING_QUERIES[self.data])
        steps = SCREENING_STEPS.get((self.data, self.size), recipe.screening.steps)
        screening = dataclasses.replace(recipe.screening, steps=steps)
        recipe = dataclasses.replace(recipe, seed=self.seed, method=self.method, split=split, screening=screening)
        if self.method == "standard":
            for table, setting, value in STANDARD:
                changed = dataclasses.replace(getattr(recipe, table), **{setting: value})
                recipe = dataclasses.replace(recipe, **{table: changed})
        return recipe


def recipe_name(data: str, size: str) -> str:
    """The shipped distillation recipe of a data set and a size."""
    return data if data == "wordnet" and size == "small" else f"{data}-{size}"


def all_runs() -> list[Run]:
    """Every run, seeds outermost: whoever stops early has whole comparisons."""
    runs = [
        Run(data, size, method, seed)
        for data, size, method in itertools.product(DATA_SETS, SIZES, METHODS)
        for seed in SEEDS[size]
    ]
    return sorted(runs, key=lambda run: (run.seed, -SIZES.index(run.size), DATA_SETS.index(run.data)))
