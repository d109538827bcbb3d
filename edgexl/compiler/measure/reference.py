"""Prediction in plain numpy and ONNX Runtime: what the C runtime does, step by step, in Python.

The compiler measures, calibrates and makes goldens with it, and tests compare the runtime with it. Screening is a part
of its own, so that the ledger can put an exact search over float vectors in the place of the index.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from edgexl.base.arrays import Floats, Ints
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.bundle.calibration import Calibration
from edgexl.bundle.cells import Cells, unpack_cells
from edgexl.bundle.layout import Kind
from edgexl.bundle.lexical import unpack_lexical
from edgexl.bundle.parameters import ENGINE_NATIVE, REASONER_OUTPUTS, SCREENER_OUTPUTS, Parameters
from edgexl.bundle.read import Bundle, read_bundle
from edgexl.bundle.strings import unpack_strings
from edgexl.bundle.tokenizer import read_prompts
from edgexl.bundle.weights import internalise
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.lowering.interpret import PlanSession
from edgexl.index import LabelIndex, Shortlist
from edgexl.index.best_of_rows import Weighing
from edgexl.student.text import cut_windows, encode_pieces, encode_texts, label_tokens

Feeds = dict[str, npt.NDArray[Any]]
# Queries answered side by side.
BATCH = 256
# Of a text that is read in several windows, those that the reasoner sees at most: the best by screening.
JUDGED_WINDOWS = 4
# Inputs that are the same for all windows of a text.
_OF_LABELS = frozenset({"label_vectors", "screening_scores", "label_tokens", "evidence"})


class Screening(Protocol):
    """From a query vector to a shortlist."""

    @property
    def shortlist(self) -> int:
        """How many labels a shortlist has at most."""

    def search(self, query: Floats, text: str = "") -> Shortlist:
        """The shortlist of a query vector [D] and its text, best first."""

    def search_all(
        self, queries: Floats, pool: ThreadPoolExecutor, texts: Sequence[str] | None = None
    ) -> Iterable[Shortlist]:
        """The shortlists of query vectors [n, D] and their texts, on the pool's threads where that helps."""

    def decompress(self, labels: Ints) -> Floats:
        """label_vectors [n, D] as the reasoner gets them."""

    def with_shortlist(self, shortlist: int) -> Screening:
        """The same for shortlists of another length (of all labels, where there are fewer)."""


@dataclass(frozen=True)
class Window:
    """A part of a text that is screened on its own, and its tokens, [CLS] and [SEP] included."""

    text: str
    ids: list[int]


@dataclass(frozen=True)
class Blend:
    """What a logit is made of: so many times the reasoner's logit and so many times the screening score."""

    reasoner: float = 1.0
    screening: float = 0.0

    def times(self, factor: float) -> Blend:
        """Logits so many times as large, in the numbers that a bundle holds."""
        return Blend(*(float(np.float32(weight) * np.float32(factor)) for weight in (self.reasoner, self.screening)))

    def of(self, logits: Floats | None, screening: Floats) -> Floats:
        """The shortlist's logits f32 [N], as the C runtime adds them; `logits` of the reasoner, where there is one."""
        logits = np.zeros_like(screening) if logits is None else logits
        if (self.reasoner, self.screening) == (1.0, 0.0):
            return logits
        return np.float32(self.reasoner) * logits + np.float32(self.screening) * screening


@dataclass(frozen=True)
class Answer:
    """A query's way through both stages; labels, scores and logits in the shortlist's order; the query vector of the
    window that found most, where there are several.

    `screening` are the scores [N] that put the shortlist in order; `reasoned` the reasoner's own logits, where there is
    one; `order` sorts it by logit, descending, ties as they were.
    """

    tokens: tuple[int, ...]
    query_vector: Floats
    labels: Ints
    scores: Floats
    screening: Floats
    reasoned: Floats | None
    logits: Floats
    order: Ints

    @property
    def ranked(self) -> Ints:
        """Labels, best first."""
        return self.labels[self.order]

    @property
    def nbytes(self) -> int:
        """What its arrays take."""
        arrays = (self.query_vector, self.labels, self.scores, self.screening, self.reasoned, self.logits, self.order)
        return sum(array.nbytes for array in arrays if array is not None)

    def blended(self, blend: Blend) -> Answer:
        """The same of other logits."""
        logits = blend.of(self.reasoned if blend.reasoner else None, self.screening)
        return replace(self, logits=logits, order=np.argsort(-logits, kind="stable"))


REASONER_ALONE = Blend()


@dataclass(frozen=True)
class ReferencePipeline:
    """Tokenizer, two graphs (the second may be missing), screening, the tokens of all label texts [labels, S], what the
    logits are made of, and in how many windows a longer text is read at most."""

    tokenizer: Tokenizer
    screener: Session | PlanSession
    reasoner: Session | PlanSession | None
    screening: Screening
    label_pieces: Ints
    max_tokens: int
    calibration: Calibration | None = None
    blend: Blend = REASONER_ALONE
    windows: int = 1
    prompt: str = ""

    def answer(self, text: str) -> Answer:
        """Both stages for one text."""
        return self._answer_windows(self._read([text])[0], self.screening)

    def _read(self, texts: Sequence[str]) -> list[list[Window]]:
        """The windows of texts: one of each that the screener takes whole."""

        def read(text: str, ids: list[int]) -> list[Window]:
            if len(ids) <= self.max_tokens:
                return [Window(text, ids)]
            parts = cut_windows(text, self.windows)
            tokens = encode_texts(self.tokenizer, parts, self.max_tokens, self.prompt)
            own = encode_pieces(self.tokenizer, parts, 1)
            return [Window(part, each) for part, each, some in zip(parts, tokens, own, strict=True) if some]

        return list(map(read, texts, encode_texts(self.tokenizer, texts, self.max_tokens + 1, self.prompt)))

    def _answer_windows(self, windows: Sequence[Window], screening: Screening, without: Sequence[int] = ()) -> Answer:
        """Both stages for a text, one window after the other."""
        feeds = [self._screen(window.ids) for window in windows]
        found = [
            screening.search(one["query_vector"][0], window.text) for one, window in zip(feeds, windows, strict=True)
        ]
        if without:
            found = [_without(one, without, self.screening.shortlist) for one in found]
        of_text = self.reasoner is not None and set(self.reasoner.input_names) - _OF_LABELS
        near = np.array([one.screening[0] if len(one.labels) else 0 for one in found])
        judged = np.argsort(-near, kind="stable")[: JUDGED_WINDOWS if of_text else 1].tolist()
        merged = merge_shortlists(found, self.screening.shortlist) if len(found) > 1 else found[0]
        logits = [self._run_reasoner(feeds[window], merged) for window in judged]
        reasoned = None if self.reasoner is None else np.maximum.reduce([each for each in logits if each is not None])
        return self._blend(windows[0].ids, feeds[judged[0]], merged, reasoned)

    def _screen(self, ids: Sequence[int]) -> Feeds:
        """The screener's inputs and outputs."""
        tokens = np.array([ids], np.int64)
        feeds: Feeds = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        return feeds | dict(zip(self.screener.output_names, self.screener.run(feeds), strict=False))

    def _reason(self, feeds: Feeds, found: Shortlist) -> Answer:
        return self._blend(feeds["input_ids"][0].tolist(), feeds, found, self._run_reasoner(feeds, found))

    def _run_reasoner(self, feeds: Feeds, found: Shortlist) -> Floats | None:
        """The logits [N] by the reasoner, where there is one."""
        if self.reasoner is None:
            return None
        feeds = feeds | {
            "label_vectors": self.screening.decompress(found.labels)[None],
            "screening_scores": found.scores[None],
            "label_tokens": self.label_pieces[found.labels][None],
            "evidence": found.evidence[None],
        }
        logits: Floats = self.reasoner.run(feeds)[0][0]
        return logits

    def _blend(self, ids: Sequence[int], feeds: Feeds, found: Shortlist, reasoned: Floats | None) -> Answer:
        logits = self.blend.of(reasoned, found.screening)
        order = np.argsort(-logits, kind="stable")
        tokens = tuple(ids)
        vector = feeds["query_vector"][0]
        return Answer(tokens, vector, found.labels, found.scores, found.screening, reasoned, logits, order)

    def answers(
        self,
        texts: Sequence[str],
        threads: int = 1,
        progress: StageProgress = no_stage_progress,
        without: Sequence[Sequence[int]] | None = None,
    ) -> Iterator[Answer]:
        """Answers in order, on `threads` threads; each graph runs on its caller's. The labels `without` of each text
        are taken out of its shortlist, and the next ones move up."""
        length, screening = self.screening.shortlist, self.screening
        if without is not None:
            screening = screening.with_shortlist(length + max(map(len, without), default=0))
        read = self._read(texts)
        pool = ThreadPoolExecutor(threads)
        done = 0
        try:
            for begin in range(0, len(texts), BATCH):
                batch = range(begin, min(begin + BATCH, len(texts)))
                short = [at for at in batch if len(read[at]) == 1]
                screened = list(pool.map(self._screen, [read[at][0].ids for at in short]))
                found: list[Shortlist] = []
                if short:
                    queries = np.concatenate([feeds["query_vector"] for feeds in screened])
                    found = list(screening.search_all(queries, pool, [texts[at] for at in short]))
                if without is not None:
                    found = [_without(one, without[at], length) for one, at in zip(found, short, strict=True)]
                of_short = pool.map(self._reason, screened, found)
                long = [at for at in batch if len(read[at]) > 1]
                taken = [without[at] if without is not None else () for at in long]
                of_long = pool.map(self._answer_windows, [read[at] for at in long], repeat(screening), taken)
                for at in batch:
                    answer = next(of_short if len(read[at]) == 1 else of_long)
                    done += 1
                    progress(done, len(texts))
                    yield answer
        finally:
            # a caller who has seen enough, or is interrupted, does not wait for the rest
            pool.shutdown(cancel_futures=True)

    def predict(self, text: str, k: int = 5) -> list[tuple[int, float]]:
        """The first k (label, probability), best first. The pipeline must have a calibration."""
        assert self.calibration is not None
        answer = self.answer(text)
        probabilities = self.calibration.probabilities(answer.logits)
        return [(int(answer.labels[place]), float(probabilities[place])) for place in answer.order[:k]]

    @classmethod
    def from_bundle(cls, bundle: Bundle | str | os.PathLike[str], tokenizer: Tokenizer) -> ReferencePipeline:
        """The pipeline of a bundle. Its tokenizer tables serve C alone, so `tokenizer` is the student's."""
        if not isinstance(bundle, Bundle):
            bundle = read_bundle(bundle)
        sections = {entry.kind: bundle.section(Kind(entry.kind)) for entry in bundle.entries if entry.kind in set(Kind)}
        starts, labels = bundle.row_labels
        return cls.from_sections(sections, bundle.parameters, bundle.calibration, starts, labels, tokenizer)

    @classmethod
    def from_sections(
        cls,
        sections: dict[Any, Any],
        sizes: Parameters,
        calibration: Calibration,
        row_starts: npt.NDArray[np.uint32],
        row_labels: npt.NDArray[np.uint32],
        tokenizer: Tokenizer,
        label_pieces: Ints | None = None,
    ) -> ReferencePipeline:
        """The pipeline of a bundle's sections, by kind. `label_pieces`: the tokens of its label texts, where the caller
        has them."""
        cells = None
        if sizes.cells:
            tables = unpack_cells(sections[Kind.CELLS], sizes.cells, sizes.rows, sizes.fine_dims)
            cells = Cells(*tables, dims=sizes.fine_dims, probes=sizes.probes, margin=sizes.cell_margin)
        index = LabelIndex(
            codebook=np.frombuffer(sections[Kind.CODEBOOK], "<f4").reshape(sizes.subspaces, 16, sizes.subspace_dims),
            coarse=sections[Kind.COARSE_CODES],
            fine=sections[Kind.FINE_CODES],
            labels=sizes.labels,
            fine_dims=sizes.fine_dims,
            dims=sizes.dims,
            fine_bits=sizes.fine_bits,
            fine_gain=sizes.fine_gain,
            cells=cells,
            overfetch=sizes.overfetch,
            shortlist=sizes.shortlist,
            row_starts=row_starts,
            row_labels=row_labels,
            descriptions=sizes.descriptions,
            weighing=Weighing(sizes.votes_temperature, sizes.votes_weight, sizes.lexical_weight, sizes.lexical_most),
            lexical=unpack_lexical(sections[Kind.LEXICAL], sizes.rows) if sizes.lexical_candidates else None,
            lexical_candidates=sizes.lexical_candidates,
        )
        if label_pieces is None:
            texts = unpack_strings(sections[Kind.LABEL_TEXTS])
            label_pieces = label_tokens(tokenizer, texts, sizes.label_tokens)
        return cls(
            tokenizer=tokenizer,
            screener=_session(sections, Kind.SCREENER_GRAPH, sizes, SCREENER_OUTPUTS),
            reasoner=_session(sections, Kind.REASONER_GRAPH, sizes, REASONER_OUTPUTS)
            if sizes.reasoner_inputs
            else None,
            screening=index,
            label_pieces=label_pieces,
            max_tokens=sizes.max_tokens,
            calibration=calibration,
            blend=Blend(sizes.reasoner_weight, sizes.screening_weight),
            windows=max(1, sizes.windows),
            prompt=read_prompts(sections[Kind.TOKENIZER]).query,
        )


def merge_shortlists(found: Sequence[Shortlist], length: int) -> Shortlist:
    """The `length` best labels of several shortlists, each as the one has it where it scores best, the first of
    equals."""
    labels, screening = (np.concatenate([getattr(one, name) for one in found]) for name in ("labels", "screening"))
    evidence = np.concatenate([one.evidence for one in found])
    order = np.lexsort((np.arange(len(labels)), labels, -screening))
    _, first = np.unique(labels[order], return_index=True)
    kept = order[np.sort(first)[:length]]
    return Shortlist(labels[kept], evidence[kept], screening[kept])


def _without(found: Shortlist, labels: Sequence[int], length: int) -> Shortlist:
    """The first `length` of a shortlist but some labels."""
    others = ~np.isin(found.labels, labels)
    kept = np.flatnonzero(others)[:length]
    return Shortlist(found.labels[kept], found.evidence[kept], found.screening[kept])


def _session(
    sections: dict[Any, Any], kind: Kind, sizes: Parameters, outputs: tuple[str, ...]
) -> Session | PlanSession:
    """A graph's section and the one behind it, its weights, as something to run."""
    graph, weights = bytes(sections[kind]), sections[Kind(kind + 1)]
    if sizes.engine == ENGINE_NATIVE:
        return PlanSession(graph, weights, outputs)
    return Session(internalise(graph, weights))
