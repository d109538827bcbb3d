"""Adapting a screener to a label set with a few hundred queries: a linear map behind its vectors, learned in seconds.

An encoder that has never seen a label set measures likeness by what it was trained on. From held-out queries q with
gold rows r+ and a pool C of rows (the batch's gold ones, near misses, random ones) a map M is learned from the identity
on, by

    -log softmax over C of cos(M q, M r) / temperature,   other gold rows of q masked out

It is multiplied into the screener's last product, so that queries, labels and labels added on a device all go through
it, and a bundle of the adapted student is as small and as fast. How long M is trained is judged on folds that it was
not trained on, and it stays the identity where nothing is gained beyond the standard error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgexl.base.arrays import Doubles, Ints
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.base.ragged import Ragged
from edgexl.data import Query
from edgexl.data.layout import Dataset
from edgexl.data.metrics import precisions, recalls
from edgexl.data.split import text_hash
from edgexl.index.best_of_rows import rows_of_labels
from edgexl.index.exact_search import ExactSearch
from edgexl.index.rows import Rows
from edgexl.index.tower_vectors import encode_by_tower
from edgexl.student.encode import encode_vectors
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.screeners import kind_of
from edgexl.student.student import Student

LEAST_QUERIES = 50
FOLDS = 5
# Training is judged after so many passes over the queries; 0 leaves the screener as it is.
PASSES = (0, 2, 4, 7, 11, 16)
BATCH, NEAR_MISSES, RANDOM_ROWS = 100, 20, 1500
LEARNING_RATE, TEMPERATURE = 1e-3, 0.05
# Rows that folds are judged among, with all gold ones: more would take longer and tell the same.
JUDGED_ROWS = 100_000
MOST_CALIBRATION = 2000


@dataclass(frozen=True)
class Adapted:
    """The `student` with the map in its screener; `passes` over the queries (0: nothing was gained), and what folds
    that were held out reached before and after: P@1 and R@10 in percent."""

    student: Student
    passes: int
    before: dict[str, float]
    after: dict[str, float]


def adapt(student: Student, queries: Sequence[Query], seed: int = 0, progress: Progress = no_progress) -> Adapted:
    """Adapt a student's screener to its label set with `queries`, 50 at least, whose targets index its labels.

    Do not calibrate on the same queries: they look better than others then. Raises `BadInput` for too few queries, and
    for a student whose reasoner was trained in the screener's space.
    """
    queries = [query for query in queries if query.targets and query.has_text]
    if len(queries) < LEAST_QUERIES:
        raise BadInput(
            f"Adapting needs at least {LEAST_QUERIES} queries with labels, and there are {len(queries)}; give more, or "
            "compile without adapting."
        )
    if not isinstance(student.reasoner, ScreeningReasoner):
        raise BadInput(
            "This student's reasoner was trained in the space of its screener, which adapting turns; adapt a student "
            "whose reasoner is the ScreeningReasoner, or distill one on the queries."
        )
    bench = _Bench.of(student, queries, seed, progress)
    folds = [np.flatnonzero(np.arange(len(queries)) % FOLDS == fold) for fold in range(FOLDS)]
    everyone = np.arange(len(queries))
    judged = np.zeros((len(PASSES), len(queries), 2))
    for number, held in enumerate(folds):
        for column, learned in enumerate(bench.train(np.setdiff1d(everyone, held), PASSES)):
            judged[column, held] = bench.judge(learned, held)
        progress("adapt", number + 1, FOLDS + 1)
    column = _choose(judged)
    before, after = (
        {name: round(100 * float(value), 2) for name, value in zip(("P@1", "R@10"), judged[place].mean(0), strict=True)}
        for place in (0, column)
    )
    learned = bench.train(everyone, PASSES[: column + 1])[-1]
    progress("adapt", FOLDS + 1, FOLDS + 1)
    if not column:
        return Adapted(student, 0, before, after)
    about = {"queries": len(queries), "passes": PASSES[column], "before": before, "after": after}
    screener = kind_of(student.screener).with_map(student.screener, learned)
    tower = student.label_tower.then(learned) if student.label_tower else None
    changed = dataclasses.replace(
        student, screener=screener, label_tower=tower, provenance=student.provenance | {"adapted": about}, metrics={}
    )
    return Adapted(changed, PASSES[column], before, after)


def adapt_to_data(student: Student, data: Dataset, seed: int = 0, progress: Progress = no_progress) -> Adapted:
    """`adapt` to the training queries of a data set over the student's label set, of which every third, by hash, is
    kept from it and calibrates. Raises `BadInput` as `adapt` does, and where the label sets differ."""
    if data.labels.ids != student.labels.ids:
        raise BadInput(
            f"{data.directory} is over other labels than the student, {len(data.labels):,} where that has "
            f"{len(student.labels):,}; make the student over this label set (student.with_labels)."
        )
    queries = sorted((query for query in data.queries("trn") if query.has_text), key=lambda one: text_hash(one.text))
    kept = [query for place, query in enumerate(queries) if place % 3 == 2]
    found = adapt(student, [query for place, query in enumerate(queries) if place % 3 != 2], seed, progress)
    ready = dataclasses.replace(found.student, calibration=tuple(kept[:MOST_CALIBRATION]))
    return dataclasses.replace(found, student=ready)


def _choose(judged: Doubles) -> int:
    """The place of the best number of passes by the folds' P@1 and R@10 [numbers, queries, 2]; 0 where it is not better
    beyond the standard error."""
    gains = (judged - judged[0]).mean(2)
    best = int(gains.mean(1).argmax())
    error = float(gains[best].std()) / np.sqrt(gains.shape[1])
    return best if gains[best].mean() > error else 0


@dataclass(frozen=True)
class _Bench:
    """Vectors of queries [n,d] and rows [rows,d], unit ones, and the gold rows of each query."""

    queries: Tensor
    rows: Tensor
    alias_labels: Ragged
    labels: int
    gold: Ragged
    targets: list[tuple[int, ...]]
    near: Tensor
    seed: int

    @classmethod
    def of(cls, student: Student, queries: Sequence[Query], seed: int, progress: Progress) -> _Bench:
        shapes, tokenizer = student.shapes, student.tokenizer

        def encode(texts: Sequence[str], what: str, prompt: str) -> Tensor:
            return encode_vectors(
                student.screener, tokenizer, texts, shapes.max_tokens,
                progress=lambda done, total: progress(what, done, total), prompt=prompt,
            )  # fmt: skip

        rows = Rows.of(student.labels, tokenizer, shapes.max_tokens, aliases=True, prompt=student.prompts.label)
        texts = rows.texts(student.labels)
        if student.label_tower is not None:
            found = encode_by_tower(student.label_tower, texts, None, lambda *told: progress("encode labels", *told))
            vectors = torch.from_numpy(found)
        else:
            vectors = encode(texts, "encode labels", student.prompts.label)
        mine = encode([query.text for query in queries], "encode queries", student.prompts.query)
        aliases = rows_of_labels(rows.labels, rows.alias_labels)
        gold = Ragged.of(
            [[row for label in query.targets for row in (label, *aliases[label])] for query in queries], np.int64
        )
        near = torch.cat(
            [(part @ vectors.T).topk(min(NEAR_MISSES, len(vectors))).indices for part in torch.split(mine, 64)]
        )
        targets = [query.targets for query in queries]
        return cls(mine, vectors, rows.alias_labels, rows.labels, gold, targets, near, seed)

    def train(self, members: Ints, passes: Sequence[int]) -> list[Tensor]:
        """The maps [d,d] after each of the numbers of passes, ascending, over the queries that are `members`."""
        draw = np.random.default_rng((self.seed, len(members)))
        dims = self.queries.shape[1]
        extra = torch.zeros(dims, dims, requires_grad=True)
        optimiser = torch.optim.Adam([extra], LEARNING_RATE)
        learned = []
        for number in range(passes[-1] + 1):
            if number in passes:
                learned.append(torch.eye(dims) + extra.detach().T)
            if number == passes[-1]:
                break  # what a further pass would learn is not asked for
            order = draw.permutation(members)
            for begin in range(0, len(order), BATCH):
                loss = self._loss(extra, order[begin : begin + BATCH], draw)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        return learned

    def _loss(self, extra: Tensor, batch: Ints, draw: np.random.Generator) -> Tensor:
        gold = self.gold.take(batch)
        # the gold row that the screener finds nearest, which is the one that will bring the label in
        scores = torch.einsum("nd,nd->n", self.queries[batch[gold.owners]], self.rows[gold.values]).numpy()
        order = np.lexsort((-scores, gold.owners))
        positives = gold.values[order][gold.starts[:-1]]
        random_rows = draw.integers(0, len(self.rows), RANDOM_ROWS)
        pool = np.concatenate([positives, self.near[torch.from_numpy(batch)].numpy().ravel(), random_rows])
        queries, rows = self.queries[batch], self.rows[pool]
        left = torch.nn.functional.normalize(queries + queries @ extra, dim=-1)
        right = torch.nn.functional.normalize(rows + rows @ extra, dim=-1)
        cosines = left @ right.T / TEMPERATURE
        mask = np.zeros((len(batch), len(pool)), np.bool_)
        for place in range(len(batch)):
            mask[place] = np.isin(pool, gold[place])
        mask[np.arange(len(batch)), np.arange(len(batch))] = False
        wanted = torch.arange(len(batch))
        return torch.nn.functional.cross_entropy(cosines.masked_fill(torch.from_numpy(mask), -1e4), wanted)

    def judge(self, learned: Tensor, members: Ints) -> Doubles:
        """[members, 2]: whether the first label is a gold one, and the share of gold ones among ten."""
        step = max(1, len(self.rows) // JUDGED_ROWS)
        kept = np.unique(np.concatenate([np.arange(0, len(self.rows), step), self.gold.take(members).values]))
        place = np.full(self.labels, -1, np.int64)
        own = np.unique(np.concatenate([kept[kept < self.labels], *(self._labels_of(kept))]))
        place[own] = np.arange(len(own))
        alias = kept[kept >= self.labels]
        of = self.alias_labels.take(alias - self.labels)
        vectors = torch.nn.functional.normalize(self.rows[np.concatenate([own, alias])] @ learned.T, dim=-1)
        search = ExactSearch(vectors.numpy(), len(own), Ragged(place[of.values], of.starts), min(10, len(own)))
        queries = torch.nn.functional.normalize(self.queries[members] @ learned.T, dim=-1)
        ranked = np.concatenate([search.search_batch(part.numpy())[0] for part in torch.split(queries, 32)])
        targets = [[int(place[target]) for target in self.targets[member]] for member in members]
        ten = ranked.shape[1]
        return np.stack([precisions(ranked, targets, 1), recalls(ranked, targets, ten)], -1)

    def _labels_of(self, rows: Ints) -> list[Ints]:
        """The labels that alias rows among `rows` stand for."""
        return [self.alias_labels.take(rows[rows >= self.labels] - self.labels).values.astype(np.int64)]
