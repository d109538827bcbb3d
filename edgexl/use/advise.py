"""What would have to change for a text to be answered by another label: what `edgexl explain` shows.

The change is tried, on a copy of the label file, so that what is said is what it does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput, shorten
from edgexl.bundle.label_file import label_file_of
from edgexl.runtime.binding import BundleHandle, Explanation, LabelAnswer, Prediction, open_bundle
from edgexl.use.labels import LabelStore, WouldForget

FOUND_BY_WORDS = {"text": "its text", "alias": "an alias", "description": "a description"}


@dataclass(frozen=True)
class Trial:
    """An alias that was tried: the label's `rank` with it (0: lost at screening) and its `probability` there, and
    whether the label that is first without it still is for its own text. `forgets`: the sentence that says what the
    label would lose, or None."""

    alias: str
    rank: int
    probability: float
    spares_first: bool
    forgets: str | None

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Advice:
    """A text's `answer`, what it makes of a label (`way`), how high the `last` label of the shortlist scores, and what
    an alias would do; None where none is needed, or the text is too long to be one."""

    text: str
    answer: Prediction
    first: LabelAnswer | None
    way: Explanation
    last: float
    trial: Trial | None

    def sentences(self, bundle: Path) -> list[str]:
        """For people: where the label is, what it lacks, and what would make it the first."""
        assert self.first is not None
        way = self.way
        if way.index == self.first.index:
            return [f"{way.text} ({way.id}) is the first label, {way.probability:.1%}.", *self._ways()]
        found = [
            f"The first label is {self.first.text} ({self.first.id}), {self.first.probability:.1%}.",
            *self._ways(),
        ]
        if self.trial is None:
            return [*found, "The text is too long to be an alias; give a short one that should find the label."]
        return [*found, *self._trial_sentences(self.trial, bundle)]

    def _ways(self) -> list[str]:
        way = self.way
        found = [
            f"Screening puts {way.text} ({way.id}) at rank {way.screening_rank:,}, by {FOUND_BY_WORDS[way.found_by]} "
            f"(score {way.screening_score:.4f})."
        ]
        if way.shortlisted:
            return [*found, f"Reasoning puts it at rank {way.reasoner_rank}, {way.probability:.1%}."]
        count = len(self.answer.shortlist_labels)
        return [*found, f"It is lost there: {count:,} labels are handed on, of which the last scores {self.last:.4f}."]

    def _trial_sentences(self, trial: Trial, bundle: Path) -> list[str]:
        text = shorten(repr(trial.alias), 60)
        if trial.rank == 1:
            found = [f"With the alias {text} it would be the first, {trial.probability:.1%}."]
        else:
            where = f"only at rank {trial.rank}" if trial.rank else "lost all the same"
            found = [f"With the alias {text} it would be {where}: others are more like it to reasoning."]
        assert self.first is not None
        if not trial.spares_first:
            found.append(f"{self.first.text} would not be the first label of its own text any more.")
        forget = ""
        if trial.forgets is not None:
            found.append(f"But: {trial.forgets}")
            forget = " --forget-compiled"
        command = f"edgexl labels add {shlex.quote(os.fspath(bundle))} {shlex.quote(self.way.id)}"
        return [
            *found,
            f"To do so now: {command} --alias {shlex.quote(trial.alias)}{forget}",
            "To keep it: write the alias into the file of labels, too, from which the next bundle is compiled.",
        ]

    def as_json(self) -> dict[str, Any]:
        """The keys that `edgexl explain --json` promises."""
        return {
            "text": self.text,
            "first": self.first and self.first.as_json(),
            "label": self.way.as_json(),
            "shortlist": len(self.answer.shortlist_labels),
            "last_score": self.last,
            "trial": self.trial and self.trial.as_json(),
        }


def advise(bundle: Path, text: str, label: str | None = None, labels_file: Path | None = None) -> Advice:
    """What a text makes of a label, by its id or text (default: the first one), and what would make it the first.
    Raises `BadInput` for a text without a token, and where the bundle or the label is not there."""
    with tempfile.TemporaryDirectory() as scratch, open_bundle(bundle, labels_path=labels_file) as handle:
        answer = handle.predict(text, k=1)
        first = answer.labels[0] if answer.labels else None
        if first is None:
            raise BadInput(f"{bundle} has no label to explain: all are retired; add some.")
        way = handle.explain(text, first.index if label is None else label)
        last = float(answer.shortlist_scores[-1])
        trial = None
        if way.index != first.index and not answer.truncated and answer.windows == 1:
            trial = _try_alias(handle, bundle, labels_file, Path(scratch) / "tried.labels", text, way, first)
        return Advice(text, answer, first, way, last, trial)


def _try_alias(
    handle: BundleHandle,
    bundle: Path,
    labels_file: Path | None,
    copy: Path,
    text: str,
    way: Explanation,
    first: LabelAnswer,
) -> Trial:
    """What the text as an alias of the label does, on a copy of the label file."""
    if (changes := labels_file or label_file_of(bundle)).exists():
        shutil.copyfile(changes, copy)
    before = _first_of(handle, first.text)
    with open_bundle(bundle, labels_path=copy) as tried:
        store, forgets = LabelStore(tried, bundle, copy), None
        try:
            store.add_aliases(way.id, [text])
        except WouldForget as error:
            forgets = str(error)
            store.add_aliases(way.id, [text], forget_compiled=True)
        found = tried.explain(text, way.id)
        spares = _first_of(tried, first.text) == before
    return Trial(text, found.reasoner_rank, found.probability, spares, forgets)


def _first_of(handle: BundleHandle, text: str) -> str | None:
    """The id of the first label of a text."""
    labels = handle.predict(text, k=1).labels
    return labels[0].id if labels else None
