"""What the runtime answers, as Python has it: labels with their probabilities, explanations, and the sizes of bundles
and label sets. Each is a copy, and outlives the session and the bundle that gave it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Floats
from edgexl.base.errors import BadInput, shorten
from edgexl.report.summary import Shown, Summary, quote, say_count
from edgexl.report.table import Cell, Percent, Table, format_bytes

LabelState = Literal["compiled", "added", "retired", "overlaid"]
FoundBy = Literal["text", "alias", "description"]
FOUND_BY: tuple[FoundBy, ...] = ("text", "alias", "description")
LABEL_STATES: tuple[LabelState, ...] = ("compiled", "added", "retired", "overlaid")  # by their numbers in edgexl.h


@dataclass(frozen=True)
class LabelAnswer:
    """A label of an answer; `index` is its place in the label set, `probability` is calibrated. `state` says where it
    is from: "compiled", "added" or "overlaid", and then `overlay` from which of the bundle's overlays, from 0 on."""

    id: str
    text: str
    probability: float
    logit: float
    index: int
    state: LabelState = "compiled"
    overlay: int | None = None

    def as_json(self) -> dict[str, Any]:
        """What is said of a label in JSON."""
        from_overlay = {} if self.overlay is None else {"overlay": self.overlay}
        return {"id": self.id, "text": self.text, "probability": self.probability} | from_overlay


# Labels of an answer that a line has, and a notebook's table.
_FIRST, _MOST = 3, 25


@dataclass(frozen=True, repr=False)
class Prediction(Shown):
    """An answer, best label first, with what led to it.

    `ms` maps each stage, and `total`, to milliseconds. `shortlist_labels` are label indices [N] in screening's
    order, with their `shortlist_scores` [N] and `shortlist_logits` [N]. `query_vector` is [dims], of unit length.
    `tokens` counts the text's tokens, [CLS] and [SEP] included; of which it was read in so many
    `windows`; `truncated`: it had more than these hold.
    `none_fits`: the best label is likely to be wrong. `coverage_holds`: the labels have the
    coverage that was asked for, and the label set is the one that it was counted on.
    """

    labels: list[LabelAnswer]
    ms: dict[str, float]
    shortlist_labels: npt.NDArray[np.uint32]
    shortlist_scores: Floats
    shortlist_logits: Floats
    query_vector: Floats
    tokens: int
    truncated: bool
    none_fits: bool
    coverage_holds: bool = False
    windows: int = 1

    @property
    def ranked(self) -> npt.NDArray[np.int64]:
        """The shortlist's label indices [N], best logit first; ties in screening's order, as in the runtime."""
        order = np.argsort(-self.shortlist_logits, kind="stable")
        return self.shortlist_labels[order].astype(np.int64)

    def as_json(self) -> dict[str, Any]:
        """The answer in JSON's types, without the shortlist's arrays: what a web service returns of it."""
        return {
            "labels": [label.as_json() for label in self.labels],
            "none_fits": self.none_fits,
            "tokens": self.tokens,
            "windows": self.windows,
            "truncated": self.truncated,
            "ms": self.ms,
        }

    def _summary(self) -> Summary:
        first = ", ".join(f"{label.probability:.1%} {quote(label.text)}" for label in self.labels[:_FIRST])
        parts = [first or "no label"]
        if (more := len(self.labels) - _FIRST) > 0:
            parts[0] += f" and {more:,} more"
        parts += ["perhaps none fits"] * self.none_fits + ["the text was cut"] * self.truncated
        parts += [say_count(self.windows, "window")] * (self.windows > 1)
        total = self.ms.get("total", math.nan)
        labels = [(label.text, label.id, Percent(label.probability)) for label in self.labels]
        rest = f", the first {_MOST}" if len(labels) > _MOST else ""
        stages = Table(f"{total:.2f} ms by stage", ("stage", "ms"), [(name, float(ms)) for name, ms in self.ms.items()])
        return Summary(
            "; ".join([*parts, f"{total:.2f} ms"]),
            {
                "tokens": f"{self.tokens:,}" + f" in {self.windows} windows" * (self.windows > 1),
                **({"hint": "perhaps none of these fits"} if self.none_fits else {}),
                **({"cut": "the text is longer than what was read"} if self.truncated else {}),
            },
            (Table(say_count(len(labels), "label") + rest, ("label", "id", "probability"), labels[:_MOST]),),
            (stages,) if self.ms else (),
        )


@dataclass(frozen=True, repr=False)
class Explanation(Shown):
    """A label's way through both stages; ranks count from 1, screening's over the whole label set.

    A label that is not `shortlisted` was lost at screening: its reasoner_rank, logit and probability are 0.
    `found_by` says which of the label's rows is most like the text, whose score is the screening score: its own text,
    an alias or a description; `text_score`, `alias_score` and `description_score` are the best of each kind, None where
    the label has none. Of a shortlisted label `votes_score` is what all rows near the text say together, and
    `words_score` how alike its words are to the text's, both 0 otherwise.
    """

    id: str
    text: str
    index: int
    screening_rank: int
    screening_score: float
    shortlisted: bool
    reasoner_rank: int
    logit: float
    probability: float
    found_by: FoundBy
    text_score: float
    alias_score: float | None
    description_score: float | None
    votes_score: float = 0.0
    words_score: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The fields in JSON's types."""
        return dict(vars(self))

    def _summary(self) -> Summary:
        found = f"found by its {self.found_by}" if self.found_by != "text" else "found by its text"
        screening = f"screening rank {self.screening_rank:,}"
        if self.shortlisted:
            said = f"{screening}, reasoner rank {self.reasoner_rank:,}, {self.probability:.1%}, {found}"
            after: dict[str, Cell] = {"reasoner rank": self.reasoner_rank, "probability": Percent(self.probability)}
        else:
            said = f"lost at screening: rank {self.screening_rank:,}, {found}"
            after = {"shortlisted": "no: lost at screening"}
        kinds = ("text", "alias", "description", "votes", "words")
        scores = [(kind, getattr(self, f"{kind}_score")) for kind in kinds]
        return Summary(
            f"{quote(self.text)}: {said}",
            {"label": self.text, "id": self.id, "screening rank": self.screening_rank, **after},
            (Table(f"evidence ({found})", ("evidence", "score"), scores),),
        )


@dataclass(frozen=True)
class NewLabel:
    """A label to add: an id that the set does not have, its text, and other texts that find it."""

    id: str
    text: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelsInfo:
    """The current label set. Labels of overlays, and then those that were added, have indices from the bundle's number
    of labels on, below `end`.

    `labels` are in the set; `added` and `overlaid` count retired ones too. A label is also retired where another one
    with its id counts: an overlay's before the bundle's, the label file's before an overlay's. `generation` grows with
    every change, and is 0 before any. `file_bytes` are the label file's.
    """

    labels: int
    end: int
    added: int
    retired_compiled: int
    retired_added: int
    generation: int
    file_bytes: int
    overlaid: int = 0
    retired_overlaid: int = 0


@dataclass(frozen=True)
class OverlayInfo:
    """An overlay of an open bundle: how many `labels` it holds, with their aliases `rows`; the `queries` that its
    calibration was fitted on (0: it has none), and whether that `calibrates` the answers. Where keys were given,
    `signed_by` is the place of the key that has signed it, and `signed_version` the signer's number, or 0."""

    labels: int
    rows: int
    queries: int
    calibrates: bool
    signed_by: int | None
    signed_version: int
    file_bytes: int


@dataclass(frozen=True, repr=False)
class BundleInfo(Shown):
    """Sizes of an open bundle. `rows` are labels, aliases and descriptions, `shortlist` the most labels that an answer
    can have (of a smaller label set all, until it has grown), `threshold` is the compiler's choice for set answers,
    `presence` the logit below which a best label means that none fits (-inf: never said). `copied`: the bundle lies
    in memory and not in a mapped file. Of one that was opened with trusted keys, `signed_by` is the place of the key
    that has signed it among these, and `signed_version` the signer's number, or 0; else None and 0.
    """

    labels: int
    rows: int
    dims: int
    shortlist: int
    max_tokens: int
    format: str
    file_bytes: int
    threshold: float
    presence: float
    engine: str
    kernel: str
    goldens: int
    copied: bool
    windows: int
    signed_by: int | None = None
    signed_version: int = 0
    overlays: tuple[OverlayInfo, ...] = ()
    calibrated_by: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields in JSON's types: a `presence` that is never said is null."""
        presence = self.presence if math.isfinite(self.presence) else None
        return vars(self) | {"presence": presence, "overlays": [vars(each) for each in self.overlays]}

    def _summary(self) -> Summary:
        engine = self.engine if self.kernel in ("", self.engine) else f"{self.engine} ({self.kernel})"
        line = (
            f"{say_count(self.labels, 'label')}, {say_count(self.rows, 'row')} of {self.dims} dims, shortlist "
            f"{self.shortlist}, {self.max_tokens} tokens, engine {engine}, format {self.format}, "
            f"{format_bytes(self.file_bytes)}"
        )
        facts = self.as_json() | {"overlays": len(self.overlays)}
        return Summary(line, {name.replace("_", " "): value for name, value in facts.items()})


def copy_prediction(result: Any, dims: int) -> Prediction:
    """The answer that an exl_result holds, which belongs to its session."""
    labels = [
        LabelAnswer(
            decode(at.id), decode(at.text), at.probability, at.logit, at.label,
            LABEL_STATES[at.state], at.overlay - 1 if at.overlay else None,
        )
        for at in (result.predictions[place].contents for place in range(result.count))
    ]  # fmt: skip
    count = result.shortlist
    return Prediction(
        labels=labels,
        ms={result.stage_names[stage].decode(): result.stage_ms[stage] for stage in range(result.stage_count)}
        | {"total": result.total_ms},
        shortlist_labels=np.ctypeslib.as_array(result.shortlist_labels, (count,)).copy(),
        shortlist_scores=np.ctypeslib.as_array(result.shortlist_scores, (count,)).copy(),
        shortlist_logits=np.ctypeslib.as_array(result.shortlist_logits, (count,)).copy(),
        query_vector=np.ctypeslib.as_array(result.query_vector, (dims,)).copy(),
        tokens=result.tokens,
        truncated=bool(result.truncated),
        none_fits=bool(result.none_fits),
        coverage_holds=bool(result.coverage_holds),
        windows=result.windows,
    )


def decode(content: bytes) -> str:
    """A string of a bundle. Raises `BadInput` where it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(
            f"The bundle holds a string that is not UTF-8 ({shorten(repr(content))}); fetch or compile it again."
        ) from None
