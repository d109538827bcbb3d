"""How good a float student is on held-out queries, by stage: exact search over its rows, then its reasoner, in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from edgexl.base.progress import Progress, no_progress
from edgexl.data import Query
from edgexl.data.metrics import evaluate
from edgexl.distill.corpus.divide import Targets
from edgexl.distill.corpus.rows import RowTable
from edgexl.distill.stages import reasoning
from edgexl.distill.stages.compute import TokenTable
from edgexl.distill.stages.search import RowSearch, encode_table
from edgexl.student.evaluate import CUTOFFS, REPORTED
from edgexl.student.student import Student
from edgexl.student.text import encode_texts, label_tokens


class Judge:
    """A student, ready to be judged on `device`: the rows of its labels are encoded once.

    `trained` are the labels that some training query was right for, where known: the others are unseen, and queries
    that ask for one of those are also reported apart.
    """

    def __init__(
        self,
        student: Student,
        device: torch.device,
        progress: Progress = no_progress,
        trained: set[int] | None = None,
        aliases: bool = True,
    ) -> None:
        self.student, self.device, self.progress, self.trained = student, device, progress, trained
        self.screener, self.reasoner = student.screener.to(device).eval(), student.reasoner.to(device).eval()
        labels, shapes = student.labels, student.shapes
        self.rows = RowTable.make(labels, student.tokenizer, shapes.max_tokens, device, aliases)
        vectors = encode_table(self.screener, self.rows.tokens, "encode labels to judge", progress, half=False)
        self.search = RowSearch(self.rows, vectors)
        tokens = torch.from_numpy(label_tokens(student.tokenizer, labels.texts, shapes.label_tokens)).to(device)
        self.tables = reasoning.LabelTables((vectors,), tokens)

    def __call__(self, queries: Sequence[Query]) -> dict[str, Any]:
        """{"queries": n, "screening": {...}, "reasoned": {...}[, "unseen": {...}]}: percentages of `REPORTED`, before
        and after the reasoner. Beyond the shortlist both rankings are screening's, so R@1000 is the same in both."""
        shapes, count = self.student.shapes, len(self.student.labels)
        cutoffs = tuple(k for k in CUTOFFS if k <= count)
        texts = [query.text for query in queries]
        tokens = TokenTable.of(encode_texts(self.student.tokenizer, texts, shapes.max_tokens), self.device)
        asked = encode_table(self.screener, tokens, "judge", self.progress, half=False)
        nobody = np.full(len(queries), -1, np.int64)
        found = self.search.shortlists(asked, max(*cutoffs, shapes.shortlist), nobody, self.progress, "judge")
        head = found.labels[:, : shapes.shortlist]
        right = reasoning.mark_right(head, Targets.make(queries), count)
        aliases = None if found.aliases is None else found.aliases[:, : shapes.shortlist]
        data = reasoning.Shortlists(tokens, asked, head, aliases, right).to(self.device)
        logits = reasoning.decide(self.screener, self.reasoner, data, self.tables, shapes.shortlist, half=False).cpu()
        order = logits.argsort(dim=1, descending=True, stable=True)
        reasoned = torch.cat([head.gather(1, order), found.labels[:, shapes.shortlist :]], 1)
        wanted = [query.targets for query in queries]
        report: dict[str, Any] = {"queries": len(queries)}
        for stage, ranked in (("screening", found.labels), ("reasoned", reasoned)):
            report[stage] = _rounded(evaluate(ranked.numpy().astype(np.int64), wanted, cutoffs))
        if self.trained is not None:
            report |= self._unseen(reasoned, wanted, cutoffs)
        return report

    def _unseen(
        self, ranked: torch.Tensor, wanted: Sequence[tuple[int, ...]], cutoffs: tuple[int, ...]
    ) -> dict[str, Any]:
        assert self.trained is not None
        places = [place for place, own in enumerate(wanted) if any(target not in self.trained for target in own)]
        if not places:
            return {}
        chosen = ranked[places].numpy().astype(np.int64)
        return {"unseen": {"queries": len(places), **_rounded(evaluate(chosen, [wanted[p] for p in places], cutoffs))}}


def _rounded(found: dict[str, Any]) -> dict[str, float]:
    return {name: round(found[name], 2) for name in REPORTED if name in found}
