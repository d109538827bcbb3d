"""What the API does with an open bundle, without HTTP: a request in, JSON's types out."""

from __future__ import annotations

import threading
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edgexl import __version__
from edgexl.base.errors import BadInput
from edgexl.runtime.binding import BundleHandle, NewLabel, Prediction
from edgexl.serve.requests import (
    AddAliases,
    AddLabels,
    CompleteLabels,
    Explain,
    ListLabels,
    Nothing,
    Predict,
    RetireLabels,
)
from edgexl.use.answer import Answer
from edgexl.use.labels import LabelStore

# What a compile tells of itself that a user of the bundle may want to know.
_FROM_MANIFEST = ("calibration", "held_out", "label_tower")
_EXAMPLES = 3  # texts of the bundle's goldens that a page offers


class Service:
    """An open bundle and its label set. Any thread may call any method; the handle gives each a session of its own."""

    def __init__(self, handle: BundleHandle, bundle: Path, labels_file: Path | None, writable: bool) -> None:
        self._handle, self.bundle, self.writable = handle, bundle, writable
        self._store = LabelStore(handle, bundle, labels_file)
        self._changing = threading.Lock()

    def health(self, _: Nothing) -> dict[str, Any]:
        """That the process answers, and how often the label set has changed."""
        return {"status": "ok", "generation": self._handle.labels_info().generation}

    def tell(self, _: Nothing) -> dict[str, Any]:
        """What the bundle is, and whether its labels may be changed here."""
        self._handle.refresh_labels()
        manifest = self._handle.manifest
        named = {key: dict(manifest.get(key) or {}).get("name") for key in ("recipe", "target")}
        ledger = manifest.get("ledger") or [{}]
        measured = {key: value for key, value in ledger[-1].items() if key not in ("pass", "seconds", "bytes")}
        return {
            "name": self.bundle.name,
            "edgexl": __version__,
            "writable": self.writable,
            **self._handle.info.as_json(),
            **named,
            "label_set": vars(self._handle.labels_info()),
            "measured": measured,
            "examples": self._handle.golden_texts()[:_EXAMPLES],
            **{key: manifest.get(key) for key in _FROM_MANIFEST},
        }

    def predict(self, asked: Predict) -> dict[str, Any]:
        """An answer; or, to several texts, `answers`, of which one that cannot be given is {text, error}."""
        self._handle.refresh_labels()
        info = self._handle.info
        if (asked.k or 0) > info.shortlist:
            raise BadInput(f"k is {asked.k}, but the bundle shortlists {info.shortlist} labels; give a smaller k.")
        if (asked.windows or 0) > info.windows:
            raise BadInput(f"windows is {asked.windows}, but the bundle reads in {info.windows} at most; give fewer.")
        if asked.text is not None:
            return self._answer(asked.text, asked)
        answers: list[dict[str, Any]] = []
        for text in asked.texts or ():
            try:
                answers.append(self._answer(text, asked))
            except BadInput as error:
                answers.append({"text": text, "error": str(error)})
        return {"answers": answers}

    def explain(self, asked: Explain) -> dict[str, Any]:
        """Each label's way through both stages, with its descriptions, a line each, where the bundle keeps them."""
        self._handle.refresh_labels()
        found = []
        for label in asked.labels:
            way = self._handle.explain(asked.text, self._handle.find_label(label))
            state, description = self._handle.label_state(way.index), self._handle.label_description(way.index)
            found.append(way.as_json() | {"state": state, "description": description})
        return {"text": asked.text, "explanations": found}

    def complete(self, asked: CompleteLabels) -> dict[str, Any]:
        """Labels whose text begins with the prefix, in the label set's order."""
        found = self._handle.complete(asked.prefix, asked.limit)
        return {"prefix": asked.prefix, "labels": [self._name(label) for label in found]}

    def list_labels(self, asked: ListLabels) -> dict[str, Any]:
        """A page of labels, and the index that the next one begins at, or null."""
        self._handle.refresh_labels()
        page = list(islice(self._store.find(asked.state, asked.start), asked.limit + 1))
        following = page[asked.limit].index if len(page) > asked.limit else None
        return {"labels": [vars(label) for label in page[: asked.limit]], "next": following}

    def add_labels(self, asked: AddLabels) -> dict[str, Any]:
        """Add labels, or replace those with their ids; what `edgexl labels add --json` says."""
        with self._changing:
            labels = [NewLabel(label.id, label.text, label.aliases) for label in asked.labels]
            return self._tell_change(self._store.add(labels, asked.replace))

    def add_aliases(self, asked: AddAliases) -> dict[str, Any]:
        """`LabelStore.add_aliases`; what `edgexl labels add --json` says."""
        with self._changing:
            self._handle.refresh_labels()
            forget = asked.forget_compiled
            return self._tell_change(self._store.add_aliases(asked.label, asked.aliases, forget_compiled=forget))

    def retire_labels(self, asked: RetireLabels) -> dict[str, Any]:
        """Take labels out of the set; what `edgexl labels retire --json` says."""
        with self._changing:
            return self._tell_change(self._store.retire(asked.ids))

    def _answer(self, text: str, asked: Predict) -> dict[str, Any]:
        threshold = -1.0 if asked.threshold == "own" else asked.threshold
        prediction = self._handle.predict(text, asked.k, threshold, asked.coverage, asked.windows or 0)
        record = Answer(text, prediction, coverage=asked.coverage is not None).as_json()
        place = {int(label): rank for rank, label in enumerate(prediction.shortlist_labels)}
        for label, said in zip(prediction.labels, record["labels"], strict=True):
            rank = place[label.index]
            said |= {"logit": label.logit, "shortlist_rank": rank + 1}
            said["screening_score"] = float(prediction.shortlist_scores[rank])
        record["shortlist"] = len(prediction.shortlist_labels)
        if asked.screening:
            record["screening"] = self._screened(prediction, asked.screening)
        return record

    def _screened(self, prediction: Prediction, count: int) -> list[dict[str, Any]]:
        """The labels that screening put first, and where reasoning put them."""
        rank = np.empty(len(prediction.shortlist_labels), np.int64)
        rank[np.argsort(-prediction.shortlist_logits, kind="stable")] = np.arange(1, len(rank) + 1)
        first = prediction.shortlist_labels[:count]
        return [
            self._name(int(label))
            | {"screening_score": float(prediction.shortlist_scores[place]), "reasoner_rank": int(rank[place])}
            for place, label in enumerate(first)
        ]

    def _name(self, label: int) -> dict[str, Any]:
        return {"id": self._handle.label_id(label), "text": self._handle.label_text(label)}

    def _tell_change(self, report: dict[str, Any]) -> dict[str, Any]:
        """A change's report without the paths of this machine."""
        return {key: value for key, value in report.items() if key not in ("bundle", "labels_file")}
