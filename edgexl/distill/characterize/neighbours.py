"""Which labels are like which: by the teacher's vectors, or by their words where it has none."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from edgexl.base.progress import Progress, track
from edgexl.data.label_set import LabelSet
from edgexl.distill.characterize.sample import Sample
from edgexl.distill.teachers import Ints, Teacher

# A label is gold-like from some cosine to a gold label on, or from a share of common words. Cosines are each teacher's
# own (near labels have 0.9 in one model and 0.5 in the next), so that theirs is measured: half of the gold labels have
# so many gold-like ones. It is stated in the profile.
GOLD_LIKE_LABELS, GOLD_LIKE_WORDS = 3, 0.5
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Neighbours:
    """For each query, the labels nearest to a gold label, nearest first: `labels` [n,K], `likeness` [n,K].

    Gold labels are not among them; -1 and minus infinity pad. `measure` is "cosine" or "words", and `threshold` the
    likeness from which a label is gold-like.
    """

    labels: Ints
    likeness: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    measure: str
    threshold: float

    @property
    def gold_like(self) -> Ints:
        """[n,K]: the gold-like ones, -1 elsewhere."""
        return np.where(self.likeness >= self.threshold, self.labels, -1)


def find_neighbours(teacher: Teacher, labels: LabelSet, sample: Sample, count: int, progress: Progress) -> Neighbours:
    """The `count` labels nearest to each query's gold labels."""
    wanted = np.unique(sample.gold[sample.gold >= 0])
    depth = min(count + sample.gold.shape[1], len(labels))
    texts = [labels.texts[label] for label in wanted]
    if teacher.vectors(texts[:1]) is None:
        near, likeness = _by_words(labels, wanted, depth, progress)
        measure, threshold = "words", GOLD_LIKE_WORDS
    else:
        near, likeness = teacher.screen(texts, depth, progress)
        # the nearest is the label itself
        measure, threshold = "cosine", float(np.median(likeness[:, min(GOLD_LIKE_LABELS, depth - 1)]))
    place = {int(label): row for row, label in enumerate(wanted)}
    chosen = np.full((len(sample), count), -1, dtype=np.int64)
    how_like = np.full((len(sample), count), -np.inf, dtype=np.float32)
    for row, gold in enumerate(sample.gold):
        rows = [place[int(label)] for label in gold if label >= 0]
        best: dict[int, float] = {}
        for label, value in zip(near[rows].ravel().tolist(), likeness[rows].ravel().tolist(), strict=True):
            if label >= 0 and label not in gold:
                best[label] = max(value, best.get(label, -np.inf))
        ranked = sorted(best.items(), key=lambda each: (-each[1], each[0]))[:count]
        chosen[row, : len(ranked)] = [label for label, _ in ranked]
        how_like[row, : len(ranked)] = [value for _, value in ranked]
    return Neighbours(chosen, how_like, measure, threshold)


def _by_words(
    labels: LabelSet, wanted: Ints, depth: int, progress: Progress
) -> tuple[Ints, np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """The labels that share most words with each of `wanted`, by Jaccard's index, and that index; both [w,depth]."""
    sizes = np.zeros(len(labels), dtype=np.int64)
    of_word: dict[str, list[int]] = defaultdict(list)
    sought = {word for label in wanted for word in _words(labels.texts[label])}
    for label, text in enumerate(labels.texts):
        words = _words(text)
        sizes[label] = len(words)
        for word in words & sought:
            of_word[word].append(label)
    holders = {word: np.array(found, dtype=np.int64) for word, found in of_word.items()}
    near = np.full((len(wanted), depth), -1, dtype=np.int64)
    likeness = np.full((len(wanted), depth), -np.inf, dtype=np.float32)
    for row, label in enumerate(track(wanted.tolist(), "compare label words", progress)):
        own = sorted(_words(labels.texts[label]))
        if not own:
            continue
        found, common = np.unique(np.concatenate([holders[word] for word in own]), return_counts=True)
        index = common / (len(own) + sizes[found] - common)
        best = np.lexsort((found, -index))[:depth]
        near[row, : len(best)], likeness[row, : len(best)] = found[best], index[best]
    return near, likeness


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))
