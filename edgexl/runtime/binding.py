"""Answers queries with the C runtime, through ctypes: `open_bundle` gives a handle that any thread may use.

This is no second implementation: everything here calls `libedgexl`. Needs numpy alone. A status of the C library
becomes an exception: its 1xx and 3xx are the caller's and the file's fault (`BadInput`), a file that cannot be read
among them; 2xx and 4xx are the device's (`DeviceError`; `NotDurable` where a change was made, but may not outlive a
power cut), and a failed self-test is a failed gate (`GateFailed`).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgexl.base.arguments import as_items, as_number, as_path, as_text, as_whole
from edgexl.base.arrays import Floats
from edgexl.base.errors import BadInput, DeviceError, GateFailed, NotDurable, kind_of, shorten
from edgexl.base.strict_json import parse_object
from edgexl.runtime.declarations import read_header

LabelState = Literal["compiled", "added", "retired"]
_STATES: tuple[LabelState, ...] = ("compiled", "added", "retired")
_LARGEST = 0xFFFFFFFF  # what the library's numbers hold
DEFAULT_K = 5


class EmptyText(BadInput):
    """A text without a token: empty, or nothing but blanks and control characters."""


@dataclass(frozen=True)
class LabelAnswer:
    """A label of an answer; `index` is its place in the label set, `probability` is calibrated."""

    id: str
    text: str
    probability: float
    logit: float
    index: int


@dataclass(frozen=True)
class Prediction:
    """An answer, best label first, with what led to it.

    `ms` maps each stage, and `total`, to milliseconds. `shortlist_labels` are label indices [N] in screening's
    order, with their `shortlist_scores` [N] and `shortlist_logits` [N]. `query_vector` is [dims], of unit length.
    `tokens` counts the text's tokens, [CLS] and [SEP] included; `truncated`: it had more than the bundle takes.
    `none_fits`: the best logit is one that shortlists without a gold label have.
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

    @property
    def ranked(self) -> npt.NDArray[np.int64]:
        """The shortlist's label indices [N], best logit first; ties in screening's order, as in the runtime."""
        order = np.argsort(-self.shortlist_logits, kind="stable")
        return self.shortlist_labels[order].astype(np.int64)


@dataclass(frozen=True)
class Explanation:
    """A label's way through both stages; ranks count from 1, screening's over the whole label set.

    A label that is not `shortlisted` was lost at screening: its reasoner_rank, logit and probability are 0.
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


@dataclass(frozen=True)
class NewLabel:
    """A label to add: an id that the set does not have, its text, and other texts that find it."""

    id: str
    text: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelsInfo:
    """The current label set. Labels that were added have indices from the bundle's number of labels on, below `end`.

    `labels` are in the set; `added` counts retired ones too. `generation` grows with every change, and is 0 before any.
    `file_bytes` are the label file's.
    """

    labels: int
    end: int
    added: int
    retired_compiled: int
    retired_added: int
    generation: int
    file_bytes: int


@dataclass(frozen=True)
class BundleInfo:
    """Sizes of an open bundle. `rows` are labels and aliases, `shortlist` the most labels that an answer can have (of a
    smaller label set all, until it has grown), `threshold` is the compiler's choice for set answers,
    `presence` the logit below which a best label means that none fits (-inf: never said). `copied`: the bundle lies
    in memory and not in a mapped file.
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


def open_bundle(
    path: str | os.PathLike[str],
    threads: int = 1,
    verify: bool = True,
    engine_library: str | os.PathLike[str] | None = None,
    scalar: bool = False,
    engine: bool = True,
    labels_path: str | os.PathLike[str] | None = None,
    compiled_only: bool = False,
    scan_threads: int = 1,
    copy: bool = False,
) -> BundleHandle:
    """Open a bundle file with its engine.

    `threads` is the size of the engine's pool; `verify` hashes every section (otherwise the small ones only);
    `engine_library` is the path of libonnxruntime (default: `find_engine_library`), which native bundles do not need;
    `scalar` uses the plain C kernels;
    without `engine` the bundle can be looked at but not asked;
    `labels_path` is the label file that keeps labels added and retired since the compile (default: the bundle's path
    and ".labels"), which `compiled_only` passes over; `scan_threads` (1 to 64) share the scan of each query, with the
    same answers; with `copy` the whole file is read into memory, for a file that someone may cut or write to while it
    is open (which ends a process that has it mapped). Raises `BadInput` for a file that is no sound bundle,
    `DeviceError` where the runtime or the engine is missing or refuses.
    """
    scan_threads = as_whole("scan_threads", scan_threads, 1, 64)
    threads = as_whole("threads", threads, 0, _LARGEST)
    place = as_path("The bundle", path)
    library = _library()
    header = read_header()
    options = header.make("exl_open_options", threads=threads)
    chosen = {"VERIFY": verify, "NO_ENGINE": not engine, "SCALAR": scalar, "COMPILED": compiled_only, "COPY": copy}
    options.flags = sum(header.constants[f"EXL_OPEN_{name}"] for name, is_set in chosen.items() if is_set)
    if labels_path is not None:
        options.labels_path = as_path("The label file", labels_path)
    if engine and (found := engine_library or engine_library_if_any()):
        options.engine_library = as_path("The engine's library", found)
    bundle = ctypes.c_void_p()
    status, sentence = _call(library, "exl_bundle_open", place, ctypes.byref(options), ctypes.byref(bundle))
    _check(status, f"{os.fsdecode(path)}: {sentence}")
    return BundleHandle(library, bundle, scan_threads)


class BundleHandle:
    """An open bundle; a context manager. All methods may be called from any thread, and threads run in parallel.

    Each call borrows a session (its scratch memory); there are as many as there were calls at the same time. A child
    made by fork may use the handle as well, and each process closes its own; sessions of before the fork scan alone.
    """

    def __init__(self, library: ctypes.CDLL, bundle: ctypes.c_void_p, scan_threads: int = 1) -> None:
        self._library = library
        self._header = read_header()
        self._session_options = self._header.make("exl_session_options", scan_threads=scan_threads)
        self._bundle = bundle
        self._idle: SimpleQueue[ctypes.c_void_p] = SimpleQueue()
        info = self._ask("exl_bundle_get_info", "exl_bundle_info")
        manifest = ctypes.c_void_p.from_buffer(info, type(info).manifest.offset)  # which does not end in NUL
        self._manifest = ctypes.string_at(manifest.value or 0, info.manifest_bytes)
        self.info = BundleInfo(
            labels=info.labels,
            rows=info.rows,
            dims=info.dims,
            shortlist=info.shortlist,
            max_tokens=info.max_tokens,
            format=f"{info.format_major}.{info.format_minor}",
            file_bytes=info.file_bytes,
            threshold=info.threshold,
            presence=info.presence,
            engine=info.engine.decode(),
            kernel=info.kernel.decode(),
            goldens=info.goldens,
            copied=bool(info.copied),
        )

    def __enter__(self) -> BundleHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give everything back. No call may be under way; later calls raise `BadInput`. Closing twice is allowed."""
        bundle, self._bundle = self._bundle, ctypes.c_void_p()
        if not bundle:
            return
        while True:
            try:
                self._library.exl_session_close(self._idle.get_nowait())
            except Empty:
                break
        self._library.exl_bundle_close(bundle)

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest: recipe, target, provenance, ledger, gates. Raises `BadInput` where it is not JSON."""
        try:
            return parse_object(self._manifest)
        except ValueError as error:
            raise BadInput(f"The bundle's manifest is not JSON ({error}); compile it again.") from None

    def predict(self, text: str | bytes, k: int | None = None, threshold: float | None = None) -> Prediction:
        """Answer one text with at most `k` labels, best first: by default 5; `k` 0 = 5 labels, or all with a threshold.

        There are fewer where the label set is smaller, or the bundle's shortlist by default. With a `threshold` only
        labels at least that probable; negative = the bundle's own. Raises `BadInput` for a text without a token or that
        is not UTF-8 (bytes), and for a k beyond the shortlist, `info.shortlist`.
        """
        if k is None:
            k = min(DEFAULT_K, self.info.shortlist)
        k = as_whole("k", k, 0, _LARGEST, f"from 1 to the bundle's shortlist, {self.info.shortlist}")
        options = self._header.make("exl_predict_options", k=k)
        if threshold is not None:
            options.use_threshold, options.threshold = 1, as_number("threshold", threshold)
        content = as_text("The text", text)
        with self._session() as session:
            result = ctypes.POINTER(self._header.structs["exl_result"])()
            self._do("exl_predict", session, content, len(content), ctypes.byref(options), ctypes.byref(result))
            return _prediction(result.contents, self.info.dims)

    def predict_batch(
        self, texts: Sequence[str | bytes], k: int | None = None, threads: int = 1, threshold: float | None = None
    ) -> list[Prediction]:
        """Answer many texts, on `threads` threads at a time; in order. Raises as `predict` does, for the first one
        that it cannot answer, which the error names by its place from 0."""

        def predict(place: int) -> Prediction:
            try:
                return self.predict(texts[place], k, threshold)
            except BadInput as error:
                raise type(error)(f"Text {place} of the batch ({shorten(repr(texts[place]))}): {error}") from None

        texts = as_items("The texts", texts)
        threads = as_whole("threads", threads, 1, 1024)
        if threads == 1:
            return [predict(place) for place in range(len(texts))]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(predict, range(len(texts))))

    def explain(self, text: str | bytes, label: int | str) -> Explanation:
        """A label's way through both stages; `label` is an index, an id or a text. Raises `BadInput` as `predict`."""
        index = self._check_index(label) if not isinstance(label, str | bytes) else self.find_label(label)
        explanation = self._header.make("exl_explanation")
        content = as_text("The text", text)
        with self._session() as session:
            self._do("exl_explain", session, content, len(content), index, ctypes.byref(explanation))
        return Explanation(
            id=self.label_id(index),
            text=self.label_text(index),
            index=index,
            screening_rank=explanation.screening_rank,
            screening_score=explanation.screening_score,
            shortlisted=bool(explanation.shortlisted),
            reasoner_rank=explanation.reasoner_rank,
            logit=explanation.logit,
            probability=explanation.probability,
        )

    def self_test(self) -> dict[str, float]:
        """Run the goldens: {goldens, failed, largest_probability_difference}. Raises `GateFailed` where one differs."""
        report = self._header.make("exl_self_test_report")
        with self._session() as session:
            self._do("exl_self_test_run", session, ctypes.byref(report))
        return {
            "goldens": report.goldens,
            "failed": report.failed,
            "largest_probability_difference": report.largest_probability_difference,
        }

    def tokenize(self, text: str | bytes) -> list[int]:
        """Token ids as the screener gets them: [CLS], the text's, [SEP], at most `info.max_tokens`."""
        content = as_text("The text", text)
        ids = (ctypes.c_int32 * self.info.max_tokens)()
        count = ctypes.c_size_t()
        self._do("exl_tokenize", self._open(), content, len(content), ids, self.info.max_tokens, ctypes.byref(count))
        return ids[: count.value]

    def golden_texts(self) -> list[str]:
        """The texts of the bundle's goldens."""
        texts, text, length = [], ctypes.c_char_p(), ctypes.c_size_t()
        for golden in range(self.info.goldens):
            self._do("exl_golden_read", self._open(), golden, ctypes.byref(text), ctypes.byref(length))
            texts.append(_text(ctypes.string_at(text, length.value)))
        return texts

    def label_id(self, index: int) -> str:
        """The external id of a label. Raises `BadInput` for an index that the bundle does not have."""
        return self._read_label(index, "id")

    def label_text(self, index: int) -> str:
        """The text of a label. Raises `BadInput` for an index that the bundle does not have."""
        return self._read_label(index, "text")

    def find_label(self, label: str) -> int:
        """The index of the label with this id, or else this text. Raises `BadInput` where there is none.

        The same characters win; else those that are canonically equivalent do (é may be e and an accent), for an id as
        for a text.
        """
        wanted, index = as_text("The label", label), ctypes.c_uint32()
        status, sentence = _call(
            self._library, "exl_label_find", self._open(), wanted, len(wanted), ctypes.byref(index)
        )
        if status != self._header.constants["EXL_NO_SUCH_LABEL"]:
            _check(status, sentence)
            return index.value
        equivalent = None
        found = self.complete(label, limit=1)
        while found:
            text = self.label_text(found[0])
            if text == label:
                return found[0]
            if equivalent is None and unicodedata.normalize("NFC", text) == unicodedata.normalize("NFC", label):
                equivalent = found[0]
            found = self.complete(label, 1, found[0] + 1)
        if equivalent is not None:
            return equivalent
        raise BadInput(f"The bundle has no label with the id or text {label!r}.")

    def complete(self, prefix: str, limit: int = 10, start: int = 0) -> list[int]:
        """For typing ahead: the first `limit` labels from label `start` on whose text begins with `prefix`, in the
        label set's order, whatever its case and normal form: "cafe" and "É" find "Café" and "été" however their accents
        are written (see `exl_labels_complete` in edgexl.h). Raises `BadInput` for a limit below 1."""
        limit = as_whole("limit", limit, 1, sys.maxsize, "at least 1")
        start = as_whole("start", start, 0, sys.maxsize, "at least 0")
        content, count = as_text("The prefix", prefix), ctypes.c_uint32()
        end = self.labels_info().end
        capacity = min(limit, end)
        labels = (ctypes.c_uint32 * capacity)()
        first = min(start, end)
        arguments = (content, len(content), first, labels, capacity, ctypes.byref(count))
        self._do("exl_labels_complete", self._open(), *arguments)
        return labels[: count.value]

    def labels_info(self) -> LabelsInfo:
        """The current label set's sizes."""
        info = self._ask("exl_labels_get_info", "exl_labels_info")
        return LabelsInfo(**{field.name: getattr(info, field.name) for field in fields(LabelsInfo)})

    def label_state(self, index: int) -> LabelState:
        """Whether a label was compiled, added, or is retired. Raises `BadInput` for an index that there is not."""
        label = self._header.make("exl_label")
        self._do("exl_label_read", self._open(), self._check_index(index), ctypes.byref(label))
        return _STATES[int(label.state)]

    def add_labels(
        self, labels: Sequence[NewLabel], replace: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Add labels to the label file, all or none of them, and give the first one's index; the others follow.

        Their texts are encoded by the bundle's own screener. With `replace` their ids must be in the set, and those
        labels are retired. `progress` is told (labels encoded, of how many). Raises `BadInput` for a label that cannot
        be added, `DeviceError` where the file cannot be written, `NotDurable` where it was and may not last.
        """
        labels = as_items("The labels", labels)
        items, keep = (self._header.structs["exl_new_label"] * len(labels))(), []
        for place, (item, label) in enumerate(zip(items, labels, strict=True)):
            uid, text, aliases = _as_new_label(f"label {place}", label)
            pointers = (ctypes.c_char_p * len(aliases))(*aliases)
            lengths = (ctypes.c_size_t * len(aliases))(*map(len, aliases))
            keep.append((uid, text, aliases, pointers, lengths))
            item.struct_size = ctypes.sizeof(item)
            item.id, item.id_bytes, item.text, item.text_bytes = uid, len(uid), text, len(text)
            item.aliases, item.alias_bytes, item.alias_count = pointers, lengths, len(aliases)
        options = self._header.make("exl_add_options", replace=replace)
        if progress is not None:
            tell = progress
            options.progress = type(options.progress)(lambda _, done, count: tell(done, count))
        first = ctypes.c_uint32(self.labels_info().end)
        with self._session() as session:
            try:
                self._do("exl_labels_add", session, items, len(items), ctypes.byref(options), ctypes.byref(first))
            except NotDurable as error:
                error.first = first.value
                raise
        return first.value

    def retire_labels(self, ids: Sequence[str]) -> None:
        """Take the labels with these ids out of the set, all or none. Raises `BadInput` where one is not in it."""
        encoded = [as_text(f"Id {place}", uid) for place, uid in enumerate(as_items("The ids", ids))]
        texts = (ctypes.c_char_p * len(encoded))(*encoded)
        lengths = (ctypes.c_size_t * len(encoded))(*map(len, encoded))
        self._do("exl_labels_retire", self._open(), texts, lengths, len(encoded))

    def refresh_labels(self) -> None:
        """Take over what other processes have changed since the bundle was opened. Raises as `open_bundle` does."""
        self._do("exl_labels_refresh", self._open())

    def compact_labels(self) -> None:
        """Rewrite the label file without labels that were added and retired again; the others get new indices."""
        self._do("exl_labels_compact", self._open())

    def _do(self, function: str, *arguments: Any) -> None:
        """Call a function of the library. Raises what its status stands for."""
        _check(*_call(self._library, function, *arguments))

    def _ask(self, function: str, struct: str) -> Any:
        """The struct that a function fills in about the bundle."""
        answer = self._header.make(struct)
        self._do(function, self._open(), ctypes.byref(answer))
        return answer

    def _check_index(self, index: int) -> int:
        end, number = self.labels_info().end, as_whole("The label's index", index, -sys.maxsize, sys.maxsize)
        if not 0 <= number < end:
            raise BadInput(f"There is no label {number}; the bundle has {end:,} labels, from 0.")
        return number

    def _read_label(self, index: int, field: Literal["id", "text"]) -> str:
        index, length = self._check_index(index), 255
        while True:
            buffer = ctypes.create_string_buffer(length + 1)
            label = self._header.make(
                "exl_label", **{field: ctypes.addressof(buffer), f"{field}_capacity": len(buffer)}
            )
            status, sentence = _call(self._library, "exl_label_read", self._open(), index, ctypes.byref(label))
            length = getattr(label, f"{field}_bytes")
            if length < len(buffer):
                break
        _check(status, sentence)
        return _text(buffer.raw[:length])

    def _open(self) -> ctypes.c_void_p:
        if not self._bundle:
            raise BadInput("The bundle is closed.")
        return self._bundle

    @contextmanager
    def _session(self) -> Iterator[ctypes.c_void_p]:
        """A session that no other thread has."""
        bundle = self._open()
        try:
            session = self._idle.get_nowait()
        except Empty:
            session = ctypes.c_void_p()
            self._do("exl_session_open", bundle, ctypes.byref(self._session_options), ctypes.byref(session))
        try:
            yield session
        finally:
            self._idle.put(session)


def _prediction(result: Any, dims: int) -> Prediction:
    """A copy of what belongs to the session."""
    labels = [
        LabelAnswer(_text(at.id), _text(at.text), at.probability, at.logit, at.label)
        for at in (result.predictions[place].contents for place in range(result.count))
    ]
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
    )


def _text(content: bytes) -> str:
    """A string of a bundle. Raises `BadInput` where it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(
            f"The bundle holds a string that is not UTF-8 ({shorten(repr(content))}); fetch or compile it again."
        ) from None


def _as_new_label(what: str, label: Any) -> tuple[bytes, bytes, list[bytes]]:
    """A new label's id, text and aliases."""
    if not isinstance(label, NewLabel):
        raise BadInput(f"New {what} is {kind_of(label)}; give NewLabel(id, text, aliases).")
    aliases = as_items(f"The aliases of new {what}", label.aliases)
    uid, text = as_text(f"The id of new {what}", label.id), as_text(f"The text of new {what}", label.text)
    return uid, text, [as_text(f"An alias of new {what}", alias) for alias in aliases]


def _call(library: ctypes.CDLL, function: str, *arguments: Any) -> tuple[int, str]:
    """The status that a function of the library gives, and its sentence."""
    error = read_header().make("exl_error")
    status = getattr(library, function)(*arguments, ctypes.byref(error))
    return status, error.sentence.decode("utf-8", "replace")


def _check(status: int, sentence: str) -> None:
    """Raise what a status stands for."""
    if status == 0:
        return
    message = sentence + ("" if sentence.endswith(".") else ".")
    constants = read_header().constants
    kinds = {"EXL_SELF_TEST_FAILED": GateFailed, "EXL_NOT_DURABLE": NotDurable, "EXL_EMPTY_TEXT": EmptyText}
    raised = {constants[name]: kind for name, kind in kinds.items()}
    is_input = status // 100 in (1, 3) or status == constants["EXL_FILE_UNREADABLE"]
    raise raised.get(status, BadInput if is_input else DeviceError)(message)


def find_library() -> Path:
    """The path of libedgexl: $EDGEXL_LIBRARY, or where the build puts it. Raises `DeviceError` where it is not."""
    named = os.environ.get("EDGEXL_LIBRARY")
    path = Path(named) if named else Path(__file__).parent / "lib" / f"libedgexl{_suffix()}"
    if not path.is_file():
        hint = "correct $EDGEXL_LIBRARY" if named else "run `make lib`, or install edgexl with pip, which builds it"
        raise DeviceError(f"The runtime library {path} is not there; {hint}.")
    return path


def find_engine_library() -> Path:
    """The path of ONNX Runtime's C library: $EDGEXL_ORT_LIBRARY, or inside the installed `onnxruntime` package.

    The package is not imported. Raises `DeviceError` with the way to get the library where it is not found.
    """
    named = os.environ.get("EDGEXL_ORT_LIBRARY")
    if named:
        if not Path(named).is_file():
            raise DeviceError(f"$EDGEXL_ORT_LIBRARY names {named}, which is not there; correct it.")
        return Path(named)
    package = importlib.util.find_spec("onnxruntime")
    for place in package.submodule_search_locations or () if package else ():
        found = sorted(Path(place, "capi").glob(f"libonnxruntime*{_suffix()}*"))
        found = [path for path in found if "providers" not in path.name]
        if found:
            return found[0]
    raise DeviceError(
        "ONNX Runtime is not installed; run `pip install onnxruntime`, or set $EDGEXL_ORT_LIBRARY to the path of "
        f"libonnxruntime{_suffix()}."
    )


def engine_library_if_any() -> Path | None:
    """`find_engine_library`, or None where there is none: bundles for the native engine need none, and others are
    refused by the runtime with a sentence of its own. Raises `DeviceError` where $EDGEXL_ORT_LIBRARY names no file.
    """
    if not os.environ.get("EDGEXL_ORT_LIBRARY") and importlib.util.find_spec("onnxruntime") is None:
        return None
    return find_engine_library()


def _suffix() -> str:
    return ".dylib" if sys.platform == "darwin" else ".so"


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """libedgexl with its functions declared; loaded once."""
    path = find_library()
    try:
        return read_header().declare(ctypes.CDLL(str(path)))
    except (OSError, AttributeError) as error:
        raise DeviceError(f"The runtime library {path} cannot be used: {error}.") from None
