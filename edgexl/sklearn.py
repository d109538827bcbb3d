"""scikit-learn's interface: `EdgexlClassifier` compiles labels into a bundle when it is fitted, and answers from it.

It trains nothing: an encoder reads texts and labels, and the texts given to `fit` calibrate probabilities and measure
the compile, as `edgexl compile LABELS --encoder MODEL --queries FILE` does. So labels are told apart by what their
texts say: give `labels` with texts where `y` holds codes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from edgexl.base.arguments import as_batch, as_items, is_missing
from edgexl.base.errors import BadInput
from edgexl.compiler.from_labels import TARGET, compile_labels
from edgexl.compiler.recipe import Recipe
from edgexl.data.label_set import LabelSet
from edgexl.data.tables.labels import Fault, as_text
from edgexl.data.tables.objects import LabelSource, as_label_set
from edgexl.data.tables.queries import LabelNames
from edgexl.runtime.binding import BundleHandle, open_bundle
from edgexl.target import Target

if TYPE_CHECKING:
    from edgexl.compiler.pipeline import CompileReport

_BUNDLE = "classifier.exl"
Name = str | int


class EdgexlClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier of texts over up to millions of labels.

    `encoder` is a model that can be imported, or a student's name or directory. `labels` is the full label set
    (anything that `Student.from_encoder` takes), by default what `y` names; `recipe` and `target` are as in
    `edgexl.compile`. The bundle is written to `out`, by default to a folder that lives as long as the estimator; leave
    it out where several are fitted, as in cross-validation. `threads` texts are answered at a time.

    After `fit`: `classes_` [labels] in the label set's order, as `y` names them: by id, or by text; `labels_`, the
    label set; `bundle_`, the bundle's path; `report_`, what the compile measured.

    >>> classifier = EdgexlClassifier("wordnet", labels={"7544": "umbrella", "7702": "mousetrap"})
    >>> _ = classifier.fit(["it keeps the rain off", "it catches mice"], ["7544", "7702"])
    >>> classifier.predict(["a device that catches rodents"]).tolist()
    ['7702']

    A pickle of a fitted estimator holds the bundle, and unpickles into a folder of its own.
    """

    classes_: npt.NDArray[Any]
    labels_: LabelSet
    bundle_: Path
    report_: CompileReport

    def __init__(
        self,
        encoder: str | os.PathLike[str] = "all-MiniLM-L6-v2",
        labels: LabelSource | None = None,
        recipe: Recipe | str | os.PathLike[str] | None = None,
        target: Target | str | os.PathLike[str] = TARGET,
        out: str | os.PathLike[str] | None = None,
        threads: int = 1,
    ) -> None:
        self.encoder = encoder
        self.labels = labels
        self.recipe = recipe
        self.target = target
        self.out = out
        self.threads = threads

    def fit(self, X: Iterable[str], y: Iterable[Name] | Iterable[Sequence[Name]]) -> Self:
        """Compile the label set, calibrated on the texts `X` and their labels `y`: ids or texts, or a list of them for
        each text. From 400 texts on, half of them measure the compile instead; with fewer than 20 no probabilities are
        fitted. Raises `BadInput` for texts or labels that cannot be used, `GateFailed` as `edgexl.compile` does."""
        texts = as_batch("Text", X)
        gold, several = _names_of(y)
        if len(texts) != len(gold):
            raise BadInput(f"X has {len(texts):,} texts, but y labels for {len(gold):,}; give each text its own.")
        if not texts:
            raise BadInput("X holds no text; give some, with their labels.")
        named: dict[str, Name] = {}
        for names in gold:
            for name in names:
                named.setdefault(str(name), name)
        labels, classes = _label_set(self.labels, named)
        home = tempfile.mkdtemp(prefix="edgexl-") if self.out is None else None
        out = Path(self.out) if self.out is not None else Path(home or "") / _BUNDLE
        try:
            pairs = [(text, list(map(str, names))) for text, names in zip(texts, gold, strict=True)]
            report = compile_labels(labels, self.encoder, out, pairs, self.recipe, self.target)
        except BaseException:
            if home is not None:
                shutil.rmtree(home, ignore_errors=True)
            raise
        self._settle(home)
        self.labels_, self.classes_, self.bundle_, self.report_ = labels, classes, out, report
        self._several = several
        return self

    def predict(self, X: Iterable[str]) -> npt.NDArray[Any]:
        """The most probable label of each text, [texts]. Where `fit` was given lists of labels: an array of objects
        [texts], for each text a tuple of those at least as probable as the bundle's threshold, best first.

        Raises `BadInput` for a text without a token, and for a place without a text."""
        handle = self._open()
        if not self._several:
            return self.classes_[self._best(handle, X)]
        answers = handle.predict_batch(X, k=0, threads=self.threads, threshold=-1.0)
        found = np.empty(len(answers), dtype=object)
        for place, answer in enumerate(answers):
            found[place] = tuple(self.classes_[[label.index for label in answer.labels]].tolist())
        return found

    def predict_proba(self, X: Iterable[str]) -> csr_array:
        """Sparse probabilities [texts, classes]: of each text, those of the labels on its shortlist; all others are 0.

        Each is the calibrated probability that this label is right, on its own: a text may have several right labels or
        none, so that a row need not sum to 1. `.toarray()` is dense: 8 bytes a text and class. Raises as `predict`.

        `cross_val_predict` with this method renames the labels to numbers before `fit`, which refuses them.
        """
        handle = self._open()
        answers = handle.predict_batch(X, k=handle.info.shortlist, threads=self.threads)
        counts = [len(answer.labels) for answer in answers]
        values = np.array([label.probability for answer in answers for label in answer.labels])
        places = np.array([label.index for answer in answers for label in answer.labels], np.int64)
        starts = np.cumsum([0, *counts])
        found = csr_array((values, places, starts), shape=(len(answers), len(self.classes_)))
        found.sort_indices()
        return found

    def score(
        self,
        X: Iterable[str],
        y: Iterable[Name] | Iterable[Sequence[Name]],
        sample_weight: Sequence[float] | None = None,
    ) -> float:
        """The share of texts, 0 to 1, whose most probable label is one of their labels in `y` (P@1), named by id or
        text. A label that the set lacks counts as missed."""
        handle = self._open()
        gold, _ = _names_of(y)
        names = LabelNames.of(self.labels_.ids, self.labels_.texts)
        best = self._best(handle, X)
        if len(best) != len(gold):
            raise BadInput(f"X has {len(best):,} texts, but y labels for {len(gold):,}; give each text its own.")
        right = [place in {names.find(str(name)) for name in of} for place, of in zip(best, gold, strict=True)]
        return float(np.average(right, weights=sample_weight))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return dict(super().get_params(deep))

    def set_params(self, **params: object) -> Self:
        """Set constructor arguments; the bundle stays until the next `fit`."""
        super().set_params(**params)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "bundle_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.sparse = True, False, False
        tags.classifier_tags.multi_label = True
        tags.no_validation = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = {key: value for key, value in super().__getstate__().items() if key not in ("_handle", "_clean")}
        if self.__sklearn_is_fitted__():
            state["_content"] = self.bundle_.read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        content = state.pop("_content", None)
        super().__setstate__(state)
        if content is not None:
            home = tempfile.mkdtemp(prefix="edgexl-")
            self._settle(home)
            self.bundle_ = Path(home) / _BUNDLE
            self.bundle_.write_bytes(content)

    def _settle(self, home: str | None) -> None:
        """Forget the bundle before, and remove `home` with the estimator."""
        handle: BundleHandle | None = self.__dict__.pop("_handle", None)
        if handle is not None:
            handle.close()
        clean = self.__dict__.pop("_clean", None)
        if clean is not None:
            clean()
        if home is not None:
            self._clean = weakref.finalize(self, shutil.rmtree, home, ignore_errors=True)

    def _open(self) -> BundleHandle:
        check_is_fitted(self)
        handle: BundleHandle | None = self.__dict__.get("_handle")
        if handle is None:
            handle = self._handle = open_bundle(self.bundle_, compiled_only=True)
        return handle

    def _best(self, handle: BundleHandle, X: Iterable[str]) -> npt.NDArray[np.int64]:
        answers = handle.predict_batch(X, k=1, threads=self.threads)
        return np.array([answer.labels[0].index for answer in answers], np.int64)


def _names_of(y: Any) -> tuple[list[list[Name]], bool]:
    """(for each text what its labels are called, whether any has a list of them)."""
    gold: list[list[Name]] = []
    several = False
    for place, item in enumerate(as_items("The labels y", y)):
        listed = isinstance(item, list | tuple | set | frozenset | np.ndarray)
        several |= listed
        gold.append([_name(place, name) for name in (item if listed else [item])])
    return gold, several


def _name(place: int, value: Any) -> Name:
    plain = value.item() if isinstance(value, np.generic) else value
    if is_missing(plain):
        raise BadInput(f"y {place} is missing ({plain}); give the text a label, or leave it out.")
    try:
        text = as_text(plain, "y")
    except Fault as fault:
        raise BadInput(f"y {place}: {fault}.") from None
    return int(text) if isinstance(plain, int | float) and text.lstrip("-").isdigit() else text


def _label_set(labels: LabelSource | None, named: dict[str, Name]) -> tuple[LabelSet, npt.NDArray[Any]]:
    """(the label set, its classes as y names them)."""
    numbers = all(isinstance(name, int) for name in named.values())
    if labels is None:
        if numbers:
            raise BadInput("y holds numbers alone, whose meaning no encoder knows; give labels={number: text, ...}.")
        ordered = tuple(sorted(named))
        return LabelSet(ordered, ordered), np.array(ordered)
    known = as_label_set(labels)
    ids = set(known.ids)
    if all(text in ids for text in named):
        if numbers and all(uid.isdecimal() and str(int(uid)) == uid for uid in known.ids):
            return known, np.array(list(map(int, known.ids)))
        return known, np.array(known.ids)
    if len(set(known.texts)) < len(known):
        return known, np.array(known.ids)  # texts that several labels share name none
    return known, np.array(known.texts)
