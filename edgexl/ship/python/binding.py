"""The edgexl runtime by ctypes, for a package that brings library and bundle along: Python's own library, nothing else.

`Bundle` is thread-safe: each call borrows a session, and there are as many as there were calls at the same time.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from edgexl.runtime.declarations import Header

_HERE = Path(__file__).parent
_header = Header((_HERE / "edgexl.h").read_text(encoding="utf-8"))
_library = _header.declare(
    ctypes.CDLL(str(next(path for path in _HERE.iterdir() if path.name.startswith(("libedgexl.", "edgexl.dll")))))
)
# Public keys, one of which must have signed a bundle, and the least version: what `edgexl ship --key` was given.
TRUSTED_KEYS: tuple[str, ...] = ()
LEAST_VERSION = 0
_FOUND_BY = ("text", "alias", "description")
_STATES = ("compiled", "added", "retired")


class EdgexlError(Exception):
    """What the library refuses, in one sentence; `status` is its number in edgexl.h."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Label:
    """A label of an answer, with its calibrated probability."""

    id: str
    text: str
    probability: float
    logit: float
    index: int


@dataclass(frozen=True)
class Answer:
    """Labels, best first. `none_fits`: the best one is likely to be wrong; `coverage_holds`: the labels have the
    coverage that was asked for."""

    labels: list[Label]
    none_fits: bool
    coverage_holds: bool
    truncated: bool
    ms: float


@dataclass(frozen=True)
class Explanation:
    """A label's way through both stages: ranks from 1; `shortlisted` False: lost at screening."""

    screening_rank: int
    screening_score: float
    shortlisted: bool
    reasoner_rank: int
    logit: float
    probability: float
    found_by: str


@dataclass(frozen=True)
class Update:
    """What an update did: the new bundle's bytes, and of the labels that were changed how many stay `added`, stay
    `retired`, or were `dropped`, for the new bundle has them or has no such label."""

    new_bytes: int
    added: int
    retired: int
    dropped: int


class Bundle:
    """An open bundle: of a path, of bytes, or of a descriptor with an offset. A context manager.

    `labels_path`: the file that keeps changes of labels (default: beside the path; without a path there is none).
    `keys`: public keys of minisign's, one of which must have signed it, with `least_version` or a later one (default:
    those that this package was made with; an empty list: none); `signature`: that of a bundle that does not hold it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        data: bytes | None = None,
        descriptor: int | None = None,
        offset: int = 0,
        length: int = 0,
        labels_path: str | os.PathLike[str] | None = None,
        verify: bool = False,
        keys: Iterable[str] | None = None,
        least_version: int | None = None,
        signature: bytes | None = None,
    ) -> None:
        if (path is not None) + (data is not None) + (descriptor is not None) != 1:
            raise TypeError("give one of path, data and descriptor")
        flag = _header.constants
        options = _trusting(labels_path, keys, least_version, signature)
        options.flags = flag["EXL_OPEN_VERIFY"] if verify else 0
        self._bundle = ctypes.c_void_p()
        self._idle: dict[int, SimpleQueue[ctypes.c_void_p]] = {}
        ends = ctypes.byref(options), ctypes.byref(self._bundle)
        if path is not None:
            _do("exl_bundle_open", os.fsencode(path), *ends)
        elif data is not None:
            options.flags |= flag["EXL_OPEN_COPY"]
            _do("exl_bundle_open_memory", data, len(data), *ends)
        else:
            options.flags |= flag["EXL_OPEN_COPY"] if offset % 64 else 0
            _do("exl_bundle_open_descriptor", descriptor, offset, length, *ends)

    @staticmethod
    def update(
        path: str | os.PathLike[str],
        patch: str | os.PathLike[str],
        out: str | os.PathLike[str] | None = None,
        *,
        labels_path: str | os.PathLike[str] | None = None,
        keys: Iterable[str] | None = None,
        least_version: int | None = None,
        signature: bytes | None = None,
        patch_signature: bytes | None = None,
        signed_patch: bool = False,
    ) -> Update:
        """Make the new bundle of the file at `path` and a patch of `edgexl diff`, in its place or at `out`: either all
        of it or nothing. The new one must reproduce its goldens, and be signed as `keys`, `least_version` and
        `signature` say for opening. In its place, changes of labels are carried over. A bundle that is open stays the
        old one.

        `patch_signature`: that of the patch (default: the patch's path and ".minisig", if it is there), which one of
        the keys must have made; with `signed_patch` there must be one. Raises `EdgexlError`."""
        opened = _trusting(labels_path, keys, least_version, signature)
        options = _header.make("exl_patch_options", open=ctypes.pointer(opened), signed_patch=signed_patch)
        if patch_signature is not None:
            options.signature = ctypes.cast(ctypes.c_char_p(patch_signature), ctypes.c_void_p)
            options.signature_bytes = len(patch_signature)
        report = _header.make("exl_patch_report")
        places = os.fsencode(path), os.fsencode(patch), None if out is None else os.fsencode(out)
        _do("exl_patch", *places, ctypes.byref(options), ctypes.byref(report))
        return Update(report.new_bytes, report.added, report.retired, report.dropped)

    def __enter__(self) -> Bundle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give everything back; no call may be under way. Closing twice is allowed."""
        bundle, self._bundle = self._bundle, ctypes.c_void_p()
        for idle in self._idle.values() if bundle else ():
            while not idle.empty():
                _library.exl_session_close(idle.get_nowait())
        _library.exl_bundle_close(bundle)

    def predict(
        self, text: str, k: int = 0, threshold: float | None = None, coverage: float = 0.0, windows: int = 0
    ) -> Answer:
        """Answer a text with at most `k` labels (0: 5, or all with a threshold or a coverage). `threshold`: only labels
        at least that probable, negative = the bundle's own; `coverage`: the smallest set that holds a right label with
        this probability. Raises `EdgexlError`."""
        options = _predict_options(k, threshold, coverage, windows)
        content = text.encode()
        with self._session() as session:
            result = ctypes.POINTER(_header.structs["exl_result"])()
            _do("exl_predict", session, content, len(content), ctypes.byref(options), ctypes.byref(result))
            return _copy(result.contents)

    def predict_batch(
        self,
        texts: Iterable[str],
        k: int = 0,
        threshold: float | None = None,
        coverage: float = 0.0,
        windows: int = 0,
        together: int = 4,
    ) -> list[Answer]:
        """Answer texts in order, as `predict` does each, so many `together` (1 to 32): the model and the index are read
        once for them, and each takes the memory of a session. Raises `EdgexlError` for the first that it cannot
        answer."""
        contents, answers = [text.encode() for text in texts], list[Answer]()
        raised: list[Exception] = []

        def take(_: Any, __: int, result: Any, error: Any) -> int:
            try:
                _check(error.contents.status, error.contents)
                answers.append(_copy(result.contents))
            except Exception as problem:  # it cannot go through C
                raised.append(problem)
            return len(raised)

        batch = _header.make("exl_batch", count=len(contents))
        batch.options = ctypes.pointer(_predict_options(k, threshold, coverage, windows))
        batch.texts = (ctypes.c_char_p * len(contents))(*contents)
        batch.text_bytes = (ctypes.c_size_t * len(contents))(*map(len, contents))
        batch.answer = type(batch.answer)(take)
        with self._session(min(together, max(1, len(contents)))) as session:
            _do("exl_predict_batch", session, ctypes.byref(batch))
        if raised:
            raise raised[0]
        return answers

    def explain(self, text: str, id: str) -> Explanation:
        """The way of the label with this id through both stages."""
        content, way = text.encode(), _header.make("exl_explanation")
        with self._session() as session:
            _do("exl_explain", session, content, len(content), self._find(id), ctypes.byref(way))
        return Explanation(
            way.screening_rank, way.screening_score, bool(way.shortlisted), way.reasoner_rank, way.logit,
            way.probability, _FOUND_BY[way.found_by],
        )  # fmt: skip

    def self_test(self) -> int:
        """Answer the bundle's goldens; gives how many there are. Raises `EdgexlError` where one differs."""
        report = _header.make("exl_self_test_report")
        with self._session() as session:
            _do("exl_self_test_run", session, ctypes.byref(report))
        return int(report.goldens)

    def golden_texts(self) -> list[str]:
        """Texts to try the bundle with."""
        info, texts = _header.make("exl_bundle_info"), []
        _do("exl_bundle_get_info", self._open(), ctypes.byref(info))
        for golden in range(info.goldens):
            text, length = ctypes.c_char_p(), ctypes.c_size_t()
            _do("exl_golden_read", self._open(), golden, ctypes.byref(text), ctypes.byref(length))
            texts.append(ctypes.string_at(text, length.value).decode())
        return texts

    # ---- labels

    def add_label(self, id: str, text: str, aliases: Iterable[str] = (), replace: bool = False) -> None:
        """Add a label; it is found at once. `replace`: in the place of the one with this id."""
        encoded = [alias.encode() for alias in aliases]
        new = _header.make("exl_new_label")
        new.id, new.text = id.encode(), text.encode()
        new.id_bytes, new.text_bytes, new.alias_count = len(id.encode()), len(text.encode()), len(encoded)
        new.aliases = (ctypes.c_char_p * len(encoded))(*encoded)
        new.alias_bytes = (ctypes.c_size_t * len(encoded))(*map(len, encoded))
        options = _header.make("exl_add_options", replace=replace)
        with self._session() as session:
            _do("exl_labels_add", session, ctypes.byref(new), 1, ctypes.byref(options), None)

    def retire_label(self, id: str) -> None:
        """Take the label with this id out of the set."""
        content = id.encode()
        _do("exl_labels_retire", self._open(), (ctypes.c_char_p * 1)(content), (ctypes.c_size_t * 1)(len(content)), 1)

    def labels(self) -> Iterator[tuple[str, str, str]]:
        """All labels as (id, text, state); state is "compiled", "added" or "retired"."""
        info = _header.make("exl_labels_info")
        _do("exl_labels_get_info", self._open(), ctypes.byref(info))
        for number in range(info.end):
            yield self._read(number)

    def complete(self, prefix: str, limit: int = 10) -> list[tuple[str, str]]:
        """The first labels whose text begins with a prefix, as (id, text)."""
        content, count = prefix.encode(), ctypes.c_uint32()
        numbers = (ctypes.c_uint32 * limit)()
        _do("exl_labels_complete", self._open(), content, len(content), 0, numbers, limit, ctypes.byref(count))
        return [self._read(number)[:2] for number in numbers[: count.value]]

    def _read(self, number: int) -> tuple[str, str, str]:
        id, text = ctypes.create_string_buffer(65537), ctypes.create_string_buffer(65537)
        label = _header.make("exl_label", id_capacity=len(id), text_capacity=len(text))
        label.id, label.text = ctypes.addressof(id), ctypes.addressof(text)
        _do("exl_label_read", self._open(), number, ctypes.byref(label))
        return id.value.decode(), text.value.decode(), _STATES[label.state]

    def _find(self, id: str) -> int:
        content, number = id.encode(), ctypes.c_uint32()
        _do("exl_label_find", self._open(), content, len(content), ctypes.byref(number))
        return number.value

    def _open(self) -> ctypes.c_void_p:
        if not self._bundle:
            raise EdgexlError("the bundle is closed", 100)
        return self._bundle

    @contextmanager
    def _session(self, together: int = 1) -> Iterator[ctypes.c_void_p]:
        bundle, idle = self._open(), self._idle.setdefault(together, SimpleQueue())
        try:
            session = idle.get_nowait()
        except Empty:
            session = ctypes.c_void_p()
            options = _header.make("exl_session_options", batch=together)
            _do("exl_session_open", bundle, ctypes.byref(options), ctypes.byref(session))
        try:
            yield session
        finally:
            idle.put(session)


def version() -> str:
    """The runtime's version."""
    return str(_library.exl_get_version().decode())


def _trusting(
    labels_path: str | os.PathLike[str] | None,
    keys: Iterable[str] | None,
    least_version: int | None,
    signature: bytes | None,
) -> Any:
    """The `exl_open_options` of these; no keys: those that this package was made with."""
    options = _header.make("exl_open_options")
    if labels_path is not None:
        options.labels_path = os.fsencode(labels_path)
    trusted = [key.encode() for key in (TRUSTED_KEYS if keys is None else keys)]
    if trusted:
        options.trusted_keys, options.trusted_key_count = (ctypes.c_char_p * len(trusted))(*trusted), len(trusted)
    if least_version is not None or keys is None:
        options.least_version = LEAST_VERSION if least_version is None else least_version
    if signature is not None:
        options.signature = ctypes.cast(ctypes.c_char_p(signature), ctypes.c_void_p)
        options.signature_bytes = len(signature)
    return options


def _predict_options(k: int, threshold: float | None, coverage: float, windows: int) -> Any:
    options = _header.make("exl_predict_options", k=k, coverage=coverage, windows=windows)
    if threshold is not None:
        options.use_threshold, options.threshold = 1, threshold
    return options


def _copy(told: Any) -> Answer:
    labels = [
        Label(one.id.decode(), one.text.decode(), one.probability, one.logit, one.label)
        for one in (told.predictions[place].contents for place in range(told.count))
    ]
    return Answer(labels, bool(told.none_fits), bool(told.coverage_holds), bool(told.truncated), told.total_ms)


def _check(status: int, error: Any) -> None:
    if status:
        raise EdgexlError(error.sentence.decode("utf-8", "replace"), status)


def _do(function: str, *arguments: Any) -> None:
    error = _header.make("exl_error")
    _check(getattr(_library, function)(*arguments, ctypes.byref(error)), error)
