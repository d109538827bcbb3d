"""Answers queries with the C runtime, through ctypes: `open_bundle` gives a handle that any thread may use.

This is no second implementation: everything here calls `libedgexl` (`library.py`), and gives copies of its answers
(`answers.py`). Needs numpy alone.
"""

from __future__ import annotations

import ctypes
import math
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Literal

from edgexl.base.arguments import as_batch, as_items, as_number, as_path, as_text, as_whole
from edgexl.base.errors import BadInput, NotDurable, kind_of, shorten
from edgexl.base.files import read_input
from edgexl.base.strict_json import parse_object
from edgexl.bundle.signing import LARGEST_VERSION, MOST_SIGNATURE_BYTES, read_public_key
from edgexl.report.ledger import gates_table, ledger_table
from edgexl.report.summary import Shown, Summary, quote, say_count
from edgexl.report.table import Cell, format_bytes
from edgexl.runtime.answers import (
    FOUND_BY,
    LABEL_STATES,
    BundleInfo,
    Explanation,
    LabelAnswer,
    LabelsInfo,
    LabelState,
    NewLabel,
    OverlayInfo,
    Prediction,
    copy_prediction,
    decode,
)
from edgexl.runtime.declarations import read_header
from edgexl.runtime.library import (
    EmptyText,
    LabelExists,
    NoSuchLabel,
    NotTrusted,
    call,
    check,
    engine_library_if_any,
    find_engine_library,
    find_library,
    load_library,
)

__all__ = [
    "DEFAULT_K",
    "BundleHandle",
    "BundleInfo",
    "EmptyText",
    "Explanation",
    "LabelAnswer",
    "LabelExists",
    "LabelState",
    "LabelsInfo",
    "NewLabel",
    "NoSuchLabel",
    "NotTrusted",
    "Overlay",
    "OverlayInfo",
    "Prediction",
    "find_engine_library",
    "find_library",
    "open_bundle",
]

_LARGEST = 0xFFFFFFFF  # what the library's numbers hold
DEFAULT_K = 5


@dataclass(frozen=True)
class Overlay:
    """Labels of one's own over a bundle: the file that `edgexl overlay` made, or its bytes. `keys`: who must have
    signed it (default: the keys of the bundle, where there are some); `least_version` and `signature` as `open_bundle`
    has them for a bundle."""

    source: bytes | str | os.PathLike[str]
    keys: Iterable[str | os.PathLike[str]] = ()
    least_version: int = 0
    signature: bytes | str | os.PathLike[str] | None = None


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
    keys: Iterable[str | os.PathLike[str]] = (),
    least_version: int = 0,
    signature: bytes | str | os.PathLike[str] | None = None,
    lazy: bool = False,
    overlays: Iterable[Overlay | bytes | str | os.PathLike[str]] = (),
) -> BundleHandle:
    """Open a bundle file with its engine.

    `threads` is the size of the engine's pool; `verify` hashes every section (otherwise the small ones only);
    `engine_library` is the path of libonnxruntime (default: `find_engine_library`), which native bundles do not need;
    `scalar` uses the plain C kernels;
    without `engine` the bundle can be looked at but not queried;
    `labels_path` is the label file that keeps labels added and retired since the compile (default: the bundle's path
    and ".labels"), which `compiled_only` passes over; `scan_threads` (1 to 64) share the scan of each query, with the
    same answers; with `copy` the whole file is read into memory, for a file that someone may cut or write to while it
    is open (which ends a process that has it mapped).

    With `keys`, public keys of minisign's (a file's path, or the line in it that begins with RW), only a bundle that
    one of them has signed is opened, and only as it was signed: any byte that differs is refused before it is used,
    and so is one that the signer has given a version below `least_version`. `signature` is the one to go by: its bytes
    or its file; by default what the bundle holds, or its path and ".minisig". `lazy`: weights, codes and goldens are
    hashed when they are first used, not now, and what is wrong in them shows then (docs/trust.md).

    `overlays` add labels, the lowest first: files that `edgexl overlay` made, their bytes, or each with keys of its own
    (`Overlay`). Of labels with one id that of the last overlay counts, before the bundle's (docs/overlays.md).

    Raises `BadInput` for a file that is no sound bundle or overlay, `NotTrusted` for one that the keys do not accept,
    `DeviceError` where the runtime or the engine is missing or refuses.
    """
    scan_threads = as_whole("scan_threads", scan_threads, 1, 64)
    threads = as_whole("threads", threads, 0, _LARGEST)
    place = as_path("The bundle", path)
    library = load_library()
    options = make_open_options(
        engine_library, engine, labels_path, compiled_only, keys, least_version, signature, overlays,
        VERIFY=verify, SCALAR=scalar, COPY=copy, LAZY=lazy,
    )  # fmt: skip
    options.threads = threads
    bundle = ctypes.c_void_p()
    status, sentence = call(library, "exl_bundle_open", place, ctypes.byref(options), ctypes.byref(bundle))
    check(status, f"{os.fsdecode(path)}: {sentence}")
    return BundleHandle(library, bundle, scan_threads, os.fsdecode(path))


def make_open_options(
    engine_library: str | os.PathLike[str] | None,
    engine: bool,
    labels_path: str | os.PathLike[str] | None,
    compiled_only: bool,
    keys: Iterable[str | os.PathLike[str]],
    least_version: int,
    signature: bytes | str | os.PathLike[str] | None,
    overlays: Iterable[Overlay | bytes | str | os.PathLike[str]] = (),
    **flags: bool,
) -> Any:
    """The `exl_open_options` of what `open_bundle` takes; `flags` are further ones, by their names behind EXL_OPEN_.
    Raises `BadInput` for what is no key, and for a signature that cannot be read."""
    header = read_header()
    options = header.make("exl_open_options")
    chosen = {"NO_ENGINE": not engine, "COMPILED": compiled_only, **flags}
    options.flags = sum(header.constants[f"EXL_OPEN_{name}"] for name, is_set in chosen.items() if is_set)
    if labels_path is not None:
        options.labels_path = as_path("The label file", labels_path)
    _set_trust(options, keys, least_version, signature)
    if given := [each if isinstance(each, Overlay) else Overlay(each) for each in as_items("The overlays", overlays)]:
        items = (header.structs["exl_overlay"] * len(given))()
        for place, (item, overlay) in enumerate(zip(items, given, strict=True)):
            item.struct_size = ctypes.sizeof(item)
            if isinstance(overlay.source, bytes):
                item.bytes, item.length = _as_pointer(overlay.source), len(overlay.source)
            else:
                item.path = as_path(f"Overlay {place}", overlay.source)
            _set_trust(item, overlay.keys, overlay.least_version, overlay.signature)
        options.overlays, options.overlay_count = items, len(given)
    if engine and (found := engine_library or engine_library_if_any()):
        options.engine_library = as_path("The engine's library", found)
    return options


def point_at_signature(signature: bytes | str | os.PathLike[str]) -> tuple[ctypes.c_void_p, int]:
    """Where a signature's bytes are, its own or its file's, and how many. Raises `BadInput` where it cannot be read."""
    text = signature if isinstance(signature, bytes) else read_input(signature, MOST_SIGNATURE_BYTES)
    return _as_pointer(text), len(text)


def _set_trust(
    struct: Any,
    keys: Iterable[str | os.PathLike[str]],
    least_version: int,
    signature: bytes | str | os.PathLike[str] | None,
) -> None:
    """The fields of trust that options have, and overlays."""
    trusted = [read_public_key(key).line.encode() for key in as_items("The keys", keys)]
    if trusted:
        struct.trusted_keys, struct.trusted_key_count = (ctypes.c_char_p * len(trusted))(*trusted), len(trusted)
    struct.least_version = as_whole("least_version", least_version, 0, LARGEST_VERSION)
    if signature is not None:
        struct.signature, struct.signature_bytes = point_at_signature(signature)


def _as_pointer(content: bytes) -> ctypes.c_void_p:
    """To bytes, which it keeps alive."""
    return ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p)


class BundleHandle(Shown):
    """An open bundle; a context manager. All methods may be called from any thread, and threads run in parallel.

    Each call borrows a session (its scratch memory); there are as many as there were calls at the same time. A child
    made by fork may use the handle as well, and each process closes its own; sessions of before the fork scan alone.
    """

    def __init__(self, library: ctypes.CDLL, bundle: ctypes.c_void_p, scan_threads: int = 1, path: str = "") -> None:
        self._library, self._path = library, path
        self._header = read_header()
        self._scan_threads = scan_threads
        self._bundle = bundle
        self._idle: dict[int, SimpleQueue[ctypes.c_void_p]] = {}
        info = self._read("exl_bundle_get_info", "exl_bundle_info")
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
            windows=info.windows,
            signed_by=info.signed_by - 1 if info.signed_by else None,
            signed_version=info.signed_version,
            overlays=tuple(self._overlay_info(number) for number in range(1, info.overlays + 1)),
            calibrated_by=info.calibrated_by - 1 if info.calibrated_by else None,
        )

    def _overlay_info(self, number: int) -> OverlayInfo:
        info = self._header.make("exl_overlay_info")
        self._do("exl_overlay_get_info", self._open(), number, ctypes.byref(info))
        return OverlayInfo(
            labels=info.labels,
            rows=info.rows,
            queries=info.queries,
            calibrates=bool(info.calibrates),
            signed_by=info.signed_by - 1 if info.signed_by else None,
            signed_version=info.signed_version,
            file_bytes=info.file_bytes,
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
        for idle in self._idle.values():
            while not idle.empty():
                self._library.exl_session_close(idle.get_nowait())
        self._library.exl_bundle_close(bundle)

    def _summary(self) -> Summary:
        info = self.info
        labels = self.labels_info().labels if self._bundle else info.labels
        line = f"{say_count(labels, 'label')}, engine {info.engine}, {format_bytes(info.file_bytes)}"
        try:
            manifest = self.manifest
        except BadInput:
            manifest = {}
        named = {key: dict(manifest.get(key) or {}).get("name") for key in ("recipe", "target")}
        facts: dict[str, Cell] = {
            "labels": labels,
            "file": self._path,
            "size": format_bytes(info.file_bytes),
            "engine": f"{info.engine} ({info.kernel})",
            **{key: str(name) for key, name in named.items() if name},
            "shortlist": info.shortlist,
            "tokens read at once": info.max_tokens,
        }
        if held_out := dict(manifest.get("held_out") or {}).get("measured_on"):
            facts["measured on"] = str(held_out)
        ledger, gates = manifest.get("ledger") or [], manifest.get("gates") or []
        return Summary(
            f"{quote(Path(self._path).name)}: {line}" + ("" if self._bundle else ", closed"),
            facts,
            folded=(
                *((ledger_table(ledger, "ledger: what each pass cost"),) if ledger else ()),
                *((gates_table(gates, "gates"),) if gates else ()),
            ),
        )

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest: recipe, target, provenance, ledger, gates. Raises `BadInput` where it is not JSON."""
        try:
            return parse_object(self._manifest)
        except ValueError as error:
            raise BadInput(f"The bundle's manifest is not JSON ({error}); compile it again.") from None

    def predict(
        self,
        text: str | bytes,
        k: int | None = None,
        threshold: float | None = None,
        coverage: float | None = None,
        windows: int = 0,
    ) -> Prediction:
        """Answer one text with at most `k` labels, best first: by default 5; `k` 0 = 5 labels, or all with a threshold.

        There are fewer where the label set is smaller, or the bundle's shortlist by default. With a `threshold` only
        labels at least that probable; negative = the bundle's own. With a `coverage` above 0 instead, by default all
        labels of the smallest set that holds a gold one with that probability, as counted on held-out queries. A
        text of more than `info.max_tokens` is read in at most so many `windows`: 0 = `info.windows`, 1 = its beginning
        only. Raises `BadInput` for a text without a token or that is not UTF-8 (bytes), for a k beyond the shortlist,
        `info.shortlist`, and for a coverage that the bundle does not reach.

        >>> with open_bundle("till.exl") as bundle:
        ...     answer = bundle.predict("something that gives light", k=2)
        >>> answer.labels[0].id, answer.labels[0].text
        ('7310', 'candle')
        """
        options = self._predict_options(k, threshold, coverage, windows)
        content = as_text("The text", text)
        with self._session() as session:
            result = ctypes.POINTER(self._header.structs["exl_result"])()
            self._do("exl_predict", session, content, len(content), ctypes.byref(options), ctypes.byref(result))
            return copy_prediction(result.contents, self.info.dims)

    def predict_batch(
        self,
        texts: Iterable[str | bytes],
        k: int | None = None,
        threads: int = 1,
        threshold: float | None = None,
        coverage: float | None = None,
        windows: int = 0,
        together: int = 4,
    ) -> list[Prediction]:
        """Answer many texts, on `threads` threads at a time; in order. `texts` may be a list, a generator, an array of
        strings, or a column of pandas or polars; the rest is as in `predict`. Each thread answers so many texts
        `together`, 1 to 32: the model and the index are read once for them, and each takes the memory of a session. The
        answers are those of `predict`.

        Raises as `predict` does, for the first one that it cannot answer, which the error names by its place from 0;
        and for a place without a text (None, NaN) before any is answered.

        >>> with open_bundle("till.exl") as bundle:
        ...     answers = bundle.predict_batch(["it keeps the rain off", "it catches mice"], k=1)
        >>> [answer.labels[0].text for answer in answers]
        ['umbrella', 'mousetrap']
        """

        def predict(first: int) -> list[Prediction]:
            answers: list[Prediction] = []
            try:
                self._predict_together(given[first : first + together], options, together, answers)
            except BadInput as error:
                place = first + len(answers)
                raise type(error)(f"Text {place} of the batch ({shorten(repr(given[place]))}): {error}") from None
            return answers

        given = as_batch("Text", texts)
        threads = as_whole("threads", threads, 1, 1024)
        together = min(as_whole("together", together, 1, 32), max(1, len(given)))
        options = self._predict_options(k, threshold, coverage, windows)
        firsts = range(0, len(given), together)
        if threads == 1:
            return [answer for first in firsts for answer in predict(first)]
        with ThreadPoolExecutor(threads) as pool:
            return [answer for answers in pool.map(predict, firsts) for answer in answers]

    def _predict_together(self, texts: list[Any], options: Any, together: int, answers: list[Prediction]) -> None:
        """Put the answers to texts, up to so many, behind `answers`. Raises as `predict` does, for the first that has
        none."""
        contents: list[bytes] = []
        raised: list[Exception] = []
        for text in texts:
            try:
                contents.append(as_text("The text", text))
            except BadInput as error:  # those before it may have none either
                raised.append(error)
                break

        def take(_: Any, __: int, result: Any, error: Any) -> int:
            try:
                check(int(error.contents.status), error.contents.sentence.decode("utf-8", "replace"))
                answers.append(copy_prediction(result.contents, self.info.dims))
            except Exception as problem:  # it cannot go through C
                raised.insert(0, problem)
                return 1
            return 0

        batch = self._header.make("exl_batch", count=len(contents), options=ctypes.pointer(options))
        batch.texts = (ctypes.c_char_p * len(contents))(*contents)
        batch.text_bytes = (ctypes.c_size_t * len(contents))(*map(len, contents))
        batch.answer = type(batch.answer)(take)
        with self._session(together) as session:
            self._do("exl_predict_batch", session, ctypes.byref(batch))
        if raised:
            raise raised[0]

    def receipt(
        self,
        text: str | bytes,
        key: bytes,
        k: int | None = None,
        threshold: float | None = None,
        coverage: float | None = None,
        windows: int = 0,
        note: bytes | str = b"",
        time: int = 0,
        sign: Callable[[bytes], bytes] | None = None,
    ) -> tuple[bytes, Prediction]:
        """Answer one text, as `predict` does, and make the receipt of the answer, which `edgexl replay` checks.

        `key` is a secret of 16 bytes or more, by which the receipt has the text's hash and not the text; `note` are up
        to 4096 bytes of your own, `time` is a number of your own, such as seconds since 1970. `sign` is given the
        record and gives its signature, up to 8192 bytes, which is stored with it; `replay` checks Ed25519's. What it
        raises is raised here. Gives the receipt and the answer. Raises `BadInput` as `predict` does, for a key that is
        too short or a note that is too long, for an empty signature, and for a bundle of another engine than "native",
        whose answers differ between processors.

        >>> with open_bundle("till.exl") as bundle:
        ...     receipt, answer = bundle.receipt("it keeps the rain off", b"a secret of 16 bytes", k=1)
        >>> receipt[1:4], answer.labels[0].text
        (b'EXR', 'umbrella')
        """
        header, room = self._header, self._header.constants["EXL_RECEIPT_MOST_SIGNATURE"]
        predict = self._predict_options(k, threshold, coverage, windows)
        content, secret, own = as_text("The text", text), as_text("The key", key), as_text("The note", note)
        options = header.make("exl_receipt_options", predict=ctypes.pointer(predict))
        options.key, options.key_bytes = ctypes.cast(ctypes.c_char_p(secret), ctypes.c_void_p), len(secret)
        options.note, options.note_bytes = ctypes.cast(ctypes.c_char_p(own), ctypes.c_void_p), len(own)
        options.time = as_whole("time", time, 0, 2**64 - 1)
        raised: list[Exception] = []
        if sign is not None:
            options.sign, options.signature_bytes = type(options.sign)(_signer(sign, raised)), room
        size, result = ctypes.c_size_t(), ctypes.POINTER(header.structs["exl_result"])()
        with self._session() as session:
            arguments = (session, content, len(content), ctypes.byref(options))
            status, sentence = call(
                self._library, "exl_receipt", *arguments, None, 0, ctypes.byref(size), ctypes.byref(result)
            )
            if status != header.constants["EXL_BUFFER_TOO_SMALL"]:
                check(status, sentence)
            made = ctypes.create_string_buffer(size.value)
            status, sentence = call(
                self._library, "exl_receipt", *arguments, made, size, ctypes.byref(size), ctypes.byref(result)
            )
            if raised:
                raise raised[0]
            check(status, sentence)
            return made.raw[: size.value], copy_prediction(result.contents, self.info.dims)

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
            found_by=FOUND_BY[explanation.found_by],
            text_score=explanation.text_score,
            alias_score=_score(explanation.alias_score),
            description_score=_score(explanation.description_score),
            votes_score=explanation.votes_score,
            words_score=explanation.words_score,
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
        """Token ids as the screener gets them: the text's, special ones around it, at most `info.max_tokens`."""
        content = as_text("The text", text)
        ids = (ctypes.c_int32 * self.info.max_tokens)()
        count = ctypes.c_size_t()
        self._do("exl_tokenize", self._open(), content, len(content), ids, self.info.max_tokens, ctypes.byref(count))
        return ids[: count.value]

    def has_tokens(self, text: str | bytes) -> bool:
        """Whether a text has a token of its own; one without any gets no answer."""
        return len(self.tokenize(text)) > len(self.tokenize(""))

    def golden_texts(self) -> list[str]:
        """The texts of the bundle's goldens."""
        texts, text, length = [], ctypes.c_char_p(), ctypes.c_size_t()
        for golden in range(self.info.goldens):
            self._do("exl_golden_read", self._open(), golden, ctypes.byref(text), ctypes.byref(length))
            texts.append(decode(ctypes.string_at(text, length.value)))
        return texts

    def label_id(self, index: int) -> str:
        """The external id of a label. Raises `BadInput` for an index that the bundle does not have."""
        return self._read_label(index, "id")

    def label_text(self, index: int) -> str:
        """The text of a label. Raises `BadInput` for an index that the bundle does not have."""
        return self._read_label(index, "text")

    def label_description(self, index: int) -> str:
        """A label's descriptions, a line each; "" where it has none, or the bundle was compiled without keeping them.
        Raises `BadInput` for an index that the bundle does not have."""
        return self._read_label(index, "description")

    def find_label(self, label: str) -> int:
        """The index of the label with this id, or else this text. Raises `NoSuchLabel` where there is none.

        The same characters win; else those that are canonically equivalent do (é may be e and an accent), for an id as
        for a text.
        """
        wanted, index = as_text("The label", label), ctypes.c_uint32()
        status, sentence = call(self._library, "exl_label_find", self._open(), wanted, len(wanted), ctypes.byref(index))
        if status != self._header.constants["EXL_NO_SUCH_LABEL"]:
            check(status, sentence)
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
        raise NoSuchLabel(f"The bundle has no label with the id or text {shorten(repr(label))}.")

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
        info = self._read("exl_labels_get_info", "exl_labels_info")
        return LabelsInfo(**{field.name: getattr(info, field.name) for field in fields(LabelsInfo)})

    def label_state(self, index: int) -> LabelState:
        """Whether a label was compiled, added, or is of an overlay, or is retired. Raises `BadInput` for an index that
        there is not."""
        label = self._header.make("exl_label")
        self._do("exl_label_read", self._open(), self._check_index(index), ctypes.byref(label))
        return LABEL_STATES[int(label.state)]

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

    def _predict_options(self, k: int | None, threshold: float | None, coverage: float | None, windows: int) -> Any:
        """The `exl_predict_options` of what `predict` takes."""
        if k is None:
            k = 0 if coverage else min(DEFAULT_K, self.info.shortlist)
        k = as_whole("k", k, 0, _LARGEST, f"from 1 to the bundle's shortlist, {self.info.shortlist}")
        windows = as_whole("windows", windows, 0, self.info.windows, f"from 0 to the bundle's, {self.info.windows}")
        options = self._header.make("exl_predict_options", k=k, windows=windows)
        if threshold is not None:
            options.use_threshold, options.threshold = 1, as_number("threshold", threshold)
        if coverage is not None:
            options.coverage = as_number("coverage", coverage)
        return options

    def _do(self, function: str, *arguments: Any) -> None:
        """Call a function of the library. Raises what its status stands for."""
        check(*call(self._library, function, *arguments))

    def _read(self, function: str, struct: str) -> Any:
        """The struct that a function fills in about the bundle."""
        answer = self._header.make(struct)
        self._do(function, self._open(), ctypes.byref(answer))
        return answer

    def _check_index(self, index: int) -> int:
        end, number = self.labels_info().end, as_whole("The label's index", index, -sys.maxsize, sys.maxsize)
        if not 0 <= number < end:
            raise BadInput(f"There is no label {number}; the bundle has {end:,} labels, from 0.")
        return number

    def _read_label(self, index: int, field: Literal["id", "text", "description"]) -> str:
        index, length = self._check_index(index), 255
        while True:
            buffer = ctypes.create_string_buffer(length + 1)
            label = self._header.make(
                "exl_label", **{field: ctypes.addressof(buffer), f"{field}_capacity": len(buffer)}
            )
            status, sentence = call(self._library, "exl_label_read", self._open(), index, ctypes.byref(label))
            length = getattr(label, f"{field}_bytes")
            if length < len(buffer):
                break
        check(status, sentence)
        return decode(buffer.raw[:length])

    def _open(self) -> ctypes.c_void_p:
        if not self._bundle:
            raise BadInput("The bundle is closed.")
        return self._bundle

    @contextmanager
    def _session(self, together: int = 1) -> Iterator[ctypes.c_void_p]:
        """A session that no other thread has, for so many texts at a time."""
        bundle = self._open()
        idle = self._idle.setdefault(together, SimpleQueue())
        try:
            session = idle.get_nowait()
        except Empty:
            session = ctypes.c_void_p()
            options = self._header.make("exl_session_options", scan_threads=self._scan_threads, batch=together)
            self._do("exl_session_open", bundle, ctypes.byref(options), ctypes.byref(session))
        try:
            yield session
        finally:
            idle.put(session)


def _signer(sign: Callable[[bytes], bytes], raised: list[Exception]) -> Callable[..., int]:
    """`exl_receipt_options.sign` of a function in Python; what that raises cannot go through C: it goes to `raised`."""

    def write(_: Any, record: int, record_bytes: int, signature: int, signature_bytes: Any) -> int:
        try:
            made = bytes(sign(ctypes.string_at(record, record_bytes)))
        except Exception as error:
            raised.append(error)
            return 1
        if len(made) <= signature_bytes[0]:
            ctypes.memmove(signature, made, len(made))
        signature_bytes[0] = len(made)
        return 0

    return write


def _score(found: float) -> float | None:
    """A score of the library's, which has minus infinity where there is none."""
    return found if found > -math.inf else None


def _as_new_label(what: str, label: Any) -> tuple[bytes, bytes, list[bytes]]:
    """A new label's id, text and aliases."""
    if not isinstance(label, NewLabel):
        raise BadInput(f"New {what} is {kind_of(label)}; give NewLabel(id, text, aliases).")
    aliases = as_items(f"The aliases of new {what}", label.aliases)
    uid, text = as_text(f"The id of new {what}", label.id), as_text(f"The text of new {what}", label.text)
    return uid, text, [as_text(f"An alias of new {what}", alias) for alias in aliases]
