"""Why an answer changed between two bundles: by which labels, or else by which evidence, and which pass makes that.

A label that one bundle alone has, or alone has aliases or descriptions of, is a reason by itself. Otherwise the scores
of the right label and of the one that stands in its place tell which kind of evidence moved between the bundles, and
the sections that differ tell which pass moved it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgexl.bundle.layout import Kind
from edgexl.bundle.read import Bundle
from edgexl.runtime.binding import BundleHandle, Explanation
from edgexl.runtime.library import NoSuchLabel

By = Literal["labels", "screening", "reasoning"]
# Scores that differ by less are equal: codes round them by more.
_EQUAL = 1e-3
_VECTORS = ("text", "alias", "description")
_KINDS = (*_VECTORS, "votes", "words")
_PLURAL = {"alias": "aliases", "description": "descriptions"}
_SCREENER = frozenset({Kind.TOKENIZER, Kind.SCREENER_GRAPH, Kind.SCREENER_WEIGHTS})
_REASONER = frozenset({Kind.REASONER_GRAPH, Kind.REASONER_WEIGHTS})
NAMES = ("the first", "the second")


@dataclass(frozen=True)
class Why:
    """What changed an answer: `by` labels, or else a stage; `source`, the pass of the compile or what of the labels, in
    words, for counting; and a sentence."""

    by: By
    source: str
    sentence: str

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Sources:
    """Which sections of two bundles differ, and whether both were made of one student."""

    differing: frozenset[Kind]
    one_student: bool
    reasoners: tuple[bool, bool]

    @classmethod
    def of(cls, bundles: tuple[Bundle, Bundle]) -> Sources:
        """Those of two files."""
        hashes = [{entry.kind: entry.sha256 for entry in bundle.entries} for bundle in bundles]
        differing = frozenset(kind for kind in Kind if hashes[0].get(kind) != hashes[1].get(kind))
        first, second = (bundle.manifest.get("provenance") for bundle in bundles)
        reasoners = tuple(bool(bundle.section(Kind.REASONER_WEIGHTS)) for bundle in bundles)
        return cls(differing, first == second, (reasoners[0], reasoners[1]))

    def of_vectors(self) -> str:
        """What moved the likeness of vectors."""
        if self.differing & _SCREENER:
            return "quantize" if self.one_student else "another screener"
        return "build_index"

    def of_reasoner(self) -> str:
        """What moved the reasoner's logits, where its evidence did not move."""
        if not self.differing & _REASONER:
            return "blend"
        if self.reasoners[0] != self.reasoners[1]:
            return "blend"  # which left one of them out
        return "quantize" if self.one_student else "another reasoner"

    def of_kind(self, kind: str) -> str:
        """What moved a kind of evidence."""
        return "index_words" if kind == "words" else self.of_vectors()


class Changes:
    """Explains the answers that two bundles do not share."""

    def __init__(self, bundles: tuple[BundleHandle, BundleHandle], sources: Sources) -> None:
        self._bundles, self._sources = bundles, sources

    def explain(self, text: str, right: str, wrong: str, loser: int) -> Why:
        """Why the bundle `loser` (0 or 1) has the label `wrong` first where the other has `right`, both by
        their ids."""
        better, worse = self._bundles[1 - loser], self._bundles[loser]
        theirs = _way(better, text, wrong)
        if theirs is None:
            name = worse.label_text(worse.find_label(wrong))
            return Why("labels", f"labels that only {NAMES[loser]} has", f"{name} is a label of {NAMES[loser]} alone")
        before, after = _way(better, text, right), _way(worse, text, right)
        instead = _way(worse, text, wrong)
        assert before is not None
        assert after is not None
        assert instead is not None
        by_rows = self._rows(before, after, loser, 1 - loser) or self._rows(instead, theirs, 1 - loser, loser)
        if by_rows is not None:
            return by_rows
        if not after.shortlisted:
            return self._lost(text, before, after, loser)
        fell = {
            kind: (_score(before, kind) - _score(theirs, kind)) - (_score(after, kind) - _score(instead, kind))
            for kind in _KINDS
        }
        kind = max(fell, key=lambda each: fell[each])
        same_reasoner = not self._sources.differing & (_REASONER | {Kind.CALIBRATION, Kind.PARAMETERS})
        margin = (before.screening_score - theirs.screening_score) - (after.screening_score - instead.screening_score)
        if fell[kind] > _EQUAL and (same_reasoner or margin > _EQUAL):
            return Why(
                "screening", self._sources.of_kind(kind),
                f"{after.text} is ahead of {instead.text} by {fell[kind]:.3f} less in {_spell(kind)}",
            )  # fmt: skip
        return Why(
            "reasoning", self._sources.of_reasoner(),
            f"the evidence stands as it did; {NAMES[1 - loser]} decides for {after.text}, {NAMES[loser]} for "
            f"{instead.text}",
        )  # fmt: skip

    def _rows(self, has: Explanation, lacks: Explanation, lacking: int, having: int) -> Why | None:
        """Where one bundle finds a label by rows of a kind of which the other has none."""
        kind = has.found_by
        if kind == "text" or getattr(lacks, f"{kind}_score") is not None:
            return None
        rows = f"{_PLURAL[kind]} that only {NAMES[having]} has"
        return Why("labels", rows, f"{NAMES[having]} finds {has.text} by {_spell(kind)} that {NAMES[lacking]} lacks")

    def _lost(self, text: str, before: Explanation, after: Explanation, loser: int) -> Why:
        """Why a label is not on the loser's shortlist."""
        fell = {kind: _score(before, kind) - _score(after, kind) for kind in _VECTORS}
        kind = max(fell, key=lambda each: fell[each])
        if fell[kind] > _EQUAL:
            return Why(
                "screening", self._sources.of_kind(kind),
                f"{after.text} is lost at rank {after.screening_rank:,}: {_spell(kind)} is like the text by "
                f"{fell[kind]:.3f} less",
            )  # fmt: skip
        worse = self._bundles[loser]
        ids = [worse.label_id(int(label)) for label in worse.predict(text, k=1).shortlist_labels]
        new = sum(_find(self._bundles[1 - loser], each) is None for each in ids)
        if new:
            return Why(
                "labels", f"labels that only {NAMES[loser]} has",
                f"{after.text} is lost at rank {after.screening_rank:,}, behind {new:,} labels of {NAMES[loser]} alone",
            )  # fmt: skip
        words = Kind.LEXICAL in self._sources.differing and before.words_score > _EQUAL
        return Why(
            "screening", self._sources.of_kind("words" if words else "text"),
            f"{after.text} is lost at rank {after.screening_rank:,}: it scores as it did, others score more",
        )  # fmt: skip


def count(whys: Sequence[Why]) -> dict[str, int]:
    """How many answers changed by what, most first."""
    counts = Counter(f"{why.by}: {why.source}" for why in whys)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _way(handle: BundleHandle, text: str, label: str) -> Explanation | None:
    """A label's way by its id; None where the bundle has no such label."""
    number = _find(handle, label)
    return None if number is None else handle.explain(text, number)


def _find(handle: BundleHandle, label: str) -> int | None:
    try:
        return handle.find_label(label)
    except NoSuchLabel:
        return None


def _score(way: Explanation, kind: str) -> float:
    """A kind's score; of one that the label lacks the text's, as the runtime has it."""
    found = getattr(way, f"{kind}_score")
    return way.text_score if found is None else float(found)


def _spell(kind: str) -> str:
    return {"text": "its text", "alias": "an alias", "description": "a description"}.get(kind, kind)
