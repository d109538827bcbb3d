"""What the reference pipeline has said to texts, kept for the passes after: half of a compile's queries have been asked
before, of the same graphs and the same index."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.compiler.measure.reference import Answer

# Some 6,000 answers of 128 labels take 40 MB; of long shortlists fewer are kept.
_MOST_BYTES = 128 << 20


@dataclass
class Heard:
    """The answers of one pipeline at a time. `parts` are the objects that decide what it says, other ones make another
    pipeline; how both stages are blended is not among them."""

    _parts: tuple[object, ...] = ()
    _answers: dict[Hashable, Answer] = field(default_factory=dict)
    _bytes: int = 0

    def ask(
        self,
        parts: tuple[object, ...],
        texts: Sequence[str],
        keys: Sequence[Hashable],
        answer: Callable[[Sequence[str]], Iterator[Answer]],
        progress: StageProgress = no_stage_progress,
    ) -> list[Answer]:
        """The answers to all texts, in order. `answer` is asked for those whose keys, one a text, are not known."""
        if len(parts) != len(self._parts) or any(a is not b for a, b in zip(parts, self._parts, strict=True)):
            self._parts, self._answers, self._bytes = parts, {}, 0
        found = {key: self._answers[key] for key in keys if key in self._answers}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        for key, each in zip(new, answer(list(new.values())), strict=True):
            found[key] = each
            self._keep(key, each)
            progress(len(found), len(texts))
        progress(len(texts), len(texts))
        return [found[key] for key in keys]

    def _keep(self, key: Hashable, answer: Answer) -> None:
        if self._bytes + answer.nbytes <= _MOST_BYTES:
            self._bytes += answer.nbytes
            self._answers[key] = answer
