"""Traces of a reasoning model, read as they were collected and taken as a teacher.

A trace file is JSON lines, plain (*.jsonl) or gzipped (*.jsonl.gz), a text a line:

    {"text": "...", "shortlist": ["id", ...], "labels": ["id", ...], "reasoning": "..."}

`shortlist` holds label ids in the order in which they appeared, `labels` the final ones, best first; `reasoning`, what
the model wrote, may be left out. A final label that is not on the shortlist appeared last. Further keys (the collector
writes some) are passed over.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from edgexl.base.arrays import Floats, Ints
from edgexl.base.errors import BadInput
from edgexl.base.fetch import sha256_file
from edgexl.base.gzipped_lines import is_unicode, read_lines
from edgexl.base.progress import Progress, no_progress
from edgexl.data.label_set import LabelSet

# Added to a final label's logit: beside a hundred others, which lie between 0 and 1, it has 95 % of a softmax.
FINAL_LOGIT = 8.0


@dataclass(frozen=True, slots=True)
class Trace:
    """A text, the label numbers that came up (finals among them) in their order, the final ones, and the reasoning."""

    text: str
    shortlist: tuple[int, ...]
    labels: tuple[int, ...]
    reasoning: str | None = None


def read_traces(path: str | os.PathLike[str], labels: LabelSet) -> Iterator[Trace]:
    """Stream the traces of a file. Raises `BadInput`, naming file and line, at the first that is wrong.

    Wrong is a line that is no JSON object, an empty text or one that an earlier line has, an id that the label set does
    not know, and an id twice in a list.
    """
    number_of = {uid: number for number, uid in enumerate(labels.ids)}
    first_line: dict[str, int] = {}
    for line, record in read_lines(path):
        where = f"{path}, line {line}"
        trace = _trace(record, where, number_of)
        if (first := first_line.setdefault(trace.text, line)) != line:
            raise BadInput(f"{where}: the text is that of line {first}; keep one trace a text.")
        yield trace


def _trace(record: dict[str, Any], where: str, number_of: dict[str, int]) -> Trace:
    text, reasoning = record.get("text"), record.get("reasoning")
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"{where}: a trace needs the string 'text', and not an empty one.")
    if not is_unicode(text):
        raise BadInput(f"{where}: the text holds half of a surrogate pair; correct it.")
    if reasoning is not None and not isinstance(reasoning, str):
        raise BadInput(f"{where}: 'reasoning' must be a string.")
    shortlist = _numbers(record, "shortlist", where, number_of)
    final = _numbers(record, "labels", where, number_of)
    return Trace(text, tuple(dict.fromkeys([*shortlist, *final])), tuple(final), reasoning)


def _numbers(record: dict[str, Any], key: str, where: str, number_of: dict[str, int]) -> list[int]:
    ids = record.get(key)
    if not isinstance(ids, list) or not all(isinstance(uid, str) for uid in ids):
        raise BadInput(f"{where}: a trace needs '{key}', a list of label ids.")
    seen: set[str] = set()
    for uid in ids:
        if uid not in number_of:
            raise BadInput(
                f"{where}: '{key}' names the label {uid!r}, which the label set does not know; "
                "use the data set that the trace was made for, or remove it."
            )
        if uid in seen:
            raise BadInput(f"{where}: '{key}' names the label {uid!r} twice; keep the first.")
        seen.add(uid)
    return [number_of[uid] for uid in ids]


class TraceTeacher:
    """A `Teacher` (see `protocol`) that repeats what its traces say, and has no opinion of texts that it has none for.

    Phase one is the order of appearance: of n labels, the r-th (from 0) scores 1 - r / n. Phase two adds `FINAL_LOGIT`
    to the final ones, in their order. Raises `BadInput` as `read_traces` does, and for a file without traces.
    """

    tokenizer: Tokenizer | None = None

    def __init__(self, path: str | os.PathLike[str], labels: LabelSet) -> None:
        self.labels = labels
        self.traces = {trace.text: trace for trace in read_traces(path, labels)}
        if not self.traces:
            raise BadInput(f"{path} holds no traces; collect some with `edgexl characterize collect`.")
        content = sha256_file(Path(path))
        self.identity = hashlib.sha256(f"{content}\0{labels.sha256()}".encode()).hexdigest()
        self.provenance: dict[str, Any] = {"source": Path(path).name, "kind": "traces", "traces_sha256": content}

    def vectors(self, texts: Sequence[str], progress: Progress = no_progress) -> Tensor | None:
        """None: traces have no vectors."""
        return None

    def screen(self, texts: Sequence[str], depth: int, progress: Progress = no_progress) -> tuple[Ints, Floats]:
        """The first `depth` labels that came up."""
        labels = np.full((len(texts), depth), -1, dtype=np.int64)
        scores = np.full((len(texts), depth), -np.inf, dtype=np.float32)
        for row, text in enumerate(texts):
            opinion = list(_appearance(self.traces.get(text)).items())[:depth]
            labels[row, : len(opinion)] = [label for label, _ in opinion]
            scores[row, : len(opinion)] = [score for _, score in opinion]
        return labels, scores

    def score(self, texts: Sequence[str], candidates: Ints) -> Tensor:
        """`screen`'s scores of candidates; minus infinity for those that never came up."""
        return _look_up([_appearance(self.traces.get(text)) for text in texts], candidates)

    def decide(self, texts: Sequence[str], shortlists: Ints) -> Tensor:
        """High for final labels, low for others that came up, minus infinity for the rest."""
        return _look_up([_verdict(self.traces.get(text)) for text in texts], shortlists)


def _appearance(trace: Trace | None) -> dict[int, float]:
    """Label to phase one's score, best first."""
    listed = trace.shortlist if trace else ()
    return {label: 1 - rank / len(listed) for rank, label in enumerate(listed)}


def _verdict(trace: Trace | None) -> dict[int, float]:
    """Label to phase two's logit."""
    final = trace.labels if trace else ()
    first = {label: FINAL_LOGIT + 1 - rank / len(final) for rank, label in enumerate(final)}
    return _appearance(trace) | first


def _look_up(opinions: Sequence[dict[int, float]], labels: Ints) -> Tensor:
    """[n,N]: each row's opinion of its labels; pads and unknown ones are minus infinity."""
    rows = [
        [opinion.get(label, -np.inf) for label in row] for opinion, row in zip(opinions, labels.tolist(), strict=True)
    ]
    return torch.tensor(rows, dtype=torch.float32).view(labels.shape)
