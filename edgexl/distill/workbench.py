"""What every step of a distillation works with, opened as the recipe names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.data import Query
from edgexl.data.frequency import count_targets
from edgexl.data.naming import naming_queries
from edgexl.distill.characterize.recommendation import read_recommendation
from edgexl.distill.corpus.divide import Corpus
from edgexl.distill.corpus.open import open_corpus
from edgexl.distill.corpus.rows import RowTable, with_query_aliases, without_descriptions
from edgexl.distill.methods import METHODS, Method
from edgexl.distill.recipe import DistillRecipe, FilesTable
from edgexl.distill.stages.compute import choose_device, release_memory
from edgexl.distill.stages.start import Start, open_start, prune
from edgexl.distill.stages.training import Checkpoint, Curves, Observer
from edgexl.distill.teachers import Teacher, open_teacher
from edgexl.distill.teachers.teaching import Lessons
from edgexl.distill.teachers.tower import TowerLessons
from edgexl.student.text import encode_texts
from edgexl.student.tokens import TokenTable


@dataclass(frozen=True)
class Workbench:
    """What every step of a distillation needs: the recipe, the data, the teacher, and where to tell and keep things.

    `tokenizer` is the student's own, after pruning; `old_ids` and `counts` [V] are its pieces' ids in the model that
    the student starts from, and how often each stands in the texts.
    """

    recipe: DistillRecipe
    corpus: Corpus
    teacher: Teacher | None
    start: Start
    tokenizer: Tokenizer
    old_ids: Ints
    counts: Tensor
    device: torch.device
    work: Path
    curves: Curves
    progress: Progress
    log: Callable[[str], None]

    @cached_property
    def rows(self) -> RowTable:
        """The rows of the student's index."""
        return RowTable.make(self.corpus.labels, self.tokenizer, self.recipe.student.max_tokens, self.device)

    @cached_property
    def learned_rows(self) -> RowTable:
        """The rows that the screener is trained on: with descriptions, where the recipe wants those."""
        if not self.recipe.screening.descriptions or not any(self.corpus.labels.descriptions):
            return self.rows
        max_tokens = self.recipe.student.max_tokens
        return RowTable.make(self.corpus.labels, self.tokenizer, max_tokens, self.device, descriptions="joined")

    @property
    def familiar(self) -> tuple[Query, ...]:
        """The data set's queries that train the screener."""
        return self.corpus.screening[: self.recipe.split.screening_queries or None]

    @cached_property
    def learned(self) -> tuple[Query, ...]:
        """All queries that train the screener: behind the data set's those made from label texts."""
        return self.familiar + self.naming(self.recipe.screening.naming_queries, 0)

    def naming(self, count: int, seed: int) -> tuple[Query, ...]:
        """Queries made from `count` label texts, for a method that knows gold labels."""
        if not self.method.knows_gold_labels:
            return ()
        return naming_queries(self.corpus.labels, count, seed, self.recipe.naming)

    @property
    def method(self) -> Method:
        """The recipe's."""
        return METHODS[self.recipe.method]

    @cached_property
    def lessons(self) -> Lessons:
        """The teacher, queried about this corpus."""
        assert self.teacher is not None
        return Lessons(self.teacher, self.rows, self.device, self.progress)

    @cached_property
    def tower_lessons(self) -> TowerLessons:
        """The label tower that the recipe names, queried about this corpus."""
        recipe = self.recipe
        assert recipe.label_tower is not None
        return TowerLessons(recipe.label_tower, self.rows, recipe.student.query_dims, self.device, self.progress)

    def asked(self) -> Ints:
        """How often training asks for each label."""
        return count_targets((*self.corpus.screening, *self.corpus.reasoning), len(self.corpus.labels)).counts

    def rest_teacher(self) -> None:
        """Teacher and label tower have told a stage all that it wants to know: make room for the training."""
        if self.teacher is not None:
            self.lessons.forget()
        if self.recipe.label_tower:
            self.tower_lessons.forget()
        release_memory()

    def tokens(self, queries: tuple[Query, ...]) -> TokenTable:
        """The student's token ids of queries."""
        texts = [query.text for query in queries]
        return TokenTable.of(encode_texts(self.tokenizer, texts, self.recipe.student.max_tokens), self.device)

    def identity(self, stage: str) -> str:
        """A hash of all that shapes a stage: its part of the recipe, what came before it, the data, teacher and label
        tower."""
        tables = self.recipe.as_table()
        if stage == "screening":
            tables.pop("reasoning")
            tables["student"] = {
                key: value
                for key, value in tables["student"].items()
                if not key.startswith(("reasoner", "shortlist", "label_tokens", "token_dims", "cross"))
            }
        if isinstance(self.recipe.data, FilesTable):
            tables["data"] = self.corpus.queries_sha256()
        taught = self.teacher.identity if self.teacher else None
        tower = self.tower_lessons.identity if self.recipe.label_tower else None
        text = json.dumps([stage, tables, taught, tower, self.corpus.labels.sha256()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def checkpoint(self, stage: str) -> Checkpoint:
        """The checkpoint of a stage."""
        return Checkpoint(self.work / f"{stage}.safetensors", self.identity(stage))

    def observer(self, held_out: Callable[[], dict[str, float]]) -> Observer:
        """Whom a stage's training tells."""
        return Observer(self.progress, self.log, self.curves, held_out)


def prepare(
    recipe: DistillRecipe,
    work: Path,
    find_teacher: Callable[[str], str],
    progress: Progress = no_progress,
    log: Callable[[str], None] = print,
    device: str = "auto",
) -> Workbench:
    """Open the data set, the teacher and the model to start from, as the recipe names them. `find_teacher` makes of
    the recipe's teacher what `open_teacher` takes."""
    if recipe.method not in METHODS:
        raise BadInput(f"The recipe's method is '{recipe.method}'; it must be one of {', '.join(METHODS)}.")
    if METHODS[recipe.method].needs_teacher and not recipe.teacher:
        raise BadInput(f"The recipe names no teacher, but {recipe.method} distillation imitates one; name one.")
    chosen = choose_device(device)
    corpus = open_corpus(recipe.data, recipe.split, progress)
    if recipe.profile:
        read_recommendation(recipe.profile, corpus.labels)
    corpus = with_aliases(corpus, recipe)
    log(
        f"{len(corpus.labels)} labels; queries: {len(corpus.screening)} for screening, {len(corpus.reasoning)} for "
        f"reasoning, {len(corpus.calibration)} held out for calibration, {len(corpus.development)} for development; "
        f"on {chosen}"
    )
    source = find_teacher(recipe.teacher) if recipe.teacher else None
    teacher = open_teacher(source, corpus.labels, chosen, recipe.cross_encoder) if source else None
    start = open_start(recipe.start or source or "", recipe.student.screener)
    texts = [*corpus.labels.texts, *(query.text for query in (*corpus.screening, *corpus.reasoning))]
    if not recipe.student.vocabulary:
        texts = texts[:: max(1, len(texts) // 50_000)]  # the counts only weigh rows then
    tokenizer, old_ids, counts = prune(start, texts, recipe.student.vocabulary)
    curves = Curves(work / "curves.jsonl")
    return Workbench(recipe, corpus, teacher, start, tokenizer, old_ids, counts, chosen, work, curves, progress, log)


def with_aliases(corpus: Corpus, recipe: DistillRecipe) -> Corpus:
    """The corpus with the aliases that the recipe wants; held-out queries never become any, and no label is described
    by one."""
    labels = without_descriptions(corpus.labels, (*corpus.calibration, *corpus.development, *corpus.evaluation))
    if recipe.aliases == "none":
        labels = replace(labels, aliases=())
    elif recipe.aliases == "queries":
        labels = with_query_aliases(labels, (*corpus.screening, *corpus.reasoning))
    return replace(corpus, labels=labels)
