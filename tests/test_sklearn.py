"""scikit-learn's interface, by scikit-learn's own tools, over a model of random weights that knows words."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from edgexl.base.errors import BadInput
from edgexl.runtime.binding import open_bundle
from edgexl.sklearn import EdgexlClassifier
from tests.distill.conftest import write_teacher
from tests.tiny import WORDS

COUNT = 12
# each label's own words; a query has one of them and a stray one
TEXTS = [f"{WORDS[3 * place]} {WORDS[3 * place + 1]}" for place in range(COUNT)]
IDS = [str(700 + place) for place in range(COUNT)]
LABELS = dict(zip(IDS, TEXTS, strict=True))
QUERIES = [f"{TEXTS[place % COUNT].split()[place % 2]} {WORDS[-1 - place % 5]}" for place in range(4 * COUNT)]
GOLD = [IDS[place % COUNT] for place in range(4 * COUNT)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_teacher(tmp_path_factory.mktemp("encoder") / "model", seed=1))


@pytest.fixture(scope="module")
def fitted(encoder: str) -> EdgexlClassifier:
    return EdgexlClassifier(encoder, LABELS).fit(QUERIES, GOLD)


def test_it_answers_as_its_bundle_does(fitted: EdgexlClassifier) -> None:
    assert fitted.classes_.tolist() == IDS
    assert fitted.labels_.texts == tuple(TEXTS)
    predicted = fitted.predict(QUERIES)
    with open_bundle(fitted.bundle_) as handle:
        answers = handle.predict_batch(QUERIES, k=1)
        assert handle.manifest["held_out"]["calibration"] == len(set(QUERIES))
    assert predicted.tolist() == [answer.labels[0].id for answer in answers]
    assert accuracy_score(GOLD, predicted) == fitted.score(QUERIES, GOLD) > 0.8
    assert fitted.report_.path == fitted.bundle_


@pytest.mark.parametrize("make", [tuple, iter, np.array, pd.Series, pl.Series])
def test_texts_in_any_column(fitted: EdgexlClassifier, make: Any) -> None:
    assert fitted.predict(make(QUERIES[:5])).tolist() == fitted.predict(QUERIES[:5]).tolist()


def test_probabilities_are_sparse_and_each_its_own(fitted: EdgexlClassifier) -> None:
    found = fitted.predict_proba(QUERIES)
    assert found.shape == (len(QUERIES), COUNT)
    dense = found.toarray()
    assert ((dense >= 0) & (dense <= 1)).all()
    with open_bundle(fitted.bundle_) as handle:
        for row, text in zip(dense[:8], QUERIES, strict=False):
            for label in handle.predict(text, k=COUNT).labels:
                assert row[IDS.index(label.id)] == label.probability
    assert fitted.classes_[dense.argmax(1)].tolist() == fitted.predict(QUERIES).tolist()
    assert fitted.predict_proba([]).shape == (0, COUNT)
    assert fitted.predict([]).shape == (0,)


def test_a_score_takes_ids_texts_and_weights_and_misses_unknown_labels(fitted: EdgexlClassifier) -> None:
    predicted = fitted.predict(QUERIES[:2]).tolist()
    texts = [LABELS[uid] for uid in predicted]
    assert fitted.score(QUERIES[:2], texts) == fitted.score(QUERIES[:2], list(map(int, predicted))) == 1
    assert fitted.score(QUERIES[:2], [predicted[0], "no such label"]) == 0.5
    assert fitted.score(QUERIES[:2], [predicted[0], "no such label"], sample_weight=[3, 1]) == 0.75
    assert fitted.score(QUERIES[:2], [["no", predicted[0]], [predicted[1]]]) == 1


def test_without_labels_y_is_the_label_set(encoder: str) -> None:
    named = EdgexlClassifier(encoder).fit(QUERIES, [LABELS[uid] for uid in GOLD])
    assert named.classes_.tolist() == sorted(TEXTS)
    assert named.score(QUERIES, [LABELS[uid] for uid in GOLD]) > 0.8
    assert set(named.predict(QUERIES)) <= set(TEXTS)


def test_classes_are_what_y_calls_them(encoder: str) -> None:
    classifier = EdgexlClassifier(encoder, LABELS)
    for y, classes in (([int(uid) for uid in GOLD], [int(uid) for uid in IDS]), ([LABELS[uid] for uid in GOLD], TEXTS)):
        predicted = classifier.fit(QUERIES, pd.Series(y)).predict(QUERIES)
        assert classifier.classes_.tolist() == classes
        assert accuracy_score(y, predicted) == classifier.score(QUERIES, y) > 0.8


def test_lists_of_labels_make_sets(encoder: str) -> None:
    y = [[uid, IDS[0]] for uid in GOLD]
    classifier = EdgexlClassifier(encoder, LABELS, threads=2).fit(QUERIES, y)
    sets = classifier.predict(QUERIES[:6])
    assert sets.shape == (6,)
    assert all(isinstance(one, tuple) for one in sets)
    with open_bundle(classifier.bundle_) as handle:
        answers = handle.predict_batch(QUERIES[:6], k=0, threshold=-1)
    assert sets.tolist() == [tuple(label.id for label in answer.labels) for answer in answers]
    scores = cross_val_score(EdgexlClassifier(encoder, LABELS), np.array(QUERIES), _objects(y), cv=KFold(2))
    assert (scores > 0.5).all()


def _objects(values: list[Any]) -> np.ndarray[Any, Any]:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def test_it_works_in_a_pipeline_and_in_cross_validation(encoder: str) -> None:
    pipeline = Pipeline(
        [("upper", FunctionTransformer(lambda texts: [f" {text.upper()}" for text in texts])),
         ("label", EdgexlClassifier(encoder, LABELS))]
    )  # fmt: skip
    assert (cross_val_score(pipeline, QUERIES, GOLD, cv=2, error_score="raise") > 0.7).all()
    found = cross_val_predict(EdgexlClassifier(encoder, LABELS), pd.Series(QUERIES), GOLD, cv=2)
    assert accuracy_score(GOLD, found) > 0.7


def test_numbers_in_place_of_labels_are_refused() -> None:
    """`cross_val_predict` makes some of y for `predict_proba`."""
    for labels, words in ((None, "numbers alone"), (LABELS, "no label '0'")):
        with pytest.raises(BadInput, match=words):
            cross_val_predict(EdgexlClassifier(labels=labels), QUERIES, GOLD, cv=2, method="predict_proba")


def test_a_clone_is_not_fitted(fitted: EdgexlClassifier) -> None:
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert copy.set_params(threads=3).threads == 3
    for method in (copy.predict, copy.predict_proba):
        with pytest.raises(NotFittedError):
            method(QUERIES)
    with pytest.raises(NotFittedError):
        copy.score(QUERIES, GOLD)


def test_a_pickle_holds_the_bundle(fitted: EdgexlClassifier) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    assert again.bundle_ != fitted.bundle_
    assert again.bundle_.read_bytes() == fitted.bundle_.read_bytes()
    assert again.predict(QUERIES).tolist() == fitted.predict(QUERIES).tolist()
    place = again.bundle_.parent
    del again
    gc.collect()
    assert not place.exists()
    assert fitted.bundle_.exists()
    assert not hasattr(pickle.loads(pickle.dumps(EdgexlClassifier())), "bundle_")


def test_a_bundle_goes_where_it_is_wanted(encoder: str, tmp_path: Path) -> None:
    out = tmp_path / "mine.exl"
    classifier = EdgexlClassifier(encoder, LABELS, out=out).fit(QUERIES, GOLD)
    first = classifier.predict(QUERIES).tolist()
    assert classifier.bundle_ == out
    assert classifier.fit(QUERIES, GOLD).predict(QUERIES).tolist() == first
    del classifier
    gc.collect()
    assert out.exists()


def test_a_second_fit_forgets_the_first_one(encoder: str) -> None:
    classifier = EdgexlClassifier(encoder, LABELS).fit(QUERIES, GOLD)
    first = classifier.bundle_
    classifier.predict(QUERIES[:1])
    classifier.set_params(labels={"a": TEXTS[0], "b": TEXTS[1]}).fit(QUERIES[:2], ["a", "b"])
    assert not first.exists()
    assert set(classifier.predict(QUERIES)) <= {"a", "b"}


@pytest.mark.parametrize(
    ("X", "y", "words"),
    [
        ("text", ["700"], "Texts are of the type str"),
        (pd.DataFrame({"q": ["ba"]}), ["700"], "give one of its columns"),
        (["ba", None], ["700", "701"], "Text 1 of 2 is missing"),
        (["ba"], ["700", "701"], "1 texts, but y labels for 2"),
        ([], [], "holds no text"),
        (["ba"], "700", "labels y are of the type str"),
        (["ba"], [float("nan")], "y 0 is missing"),
        (["ba"], [True], "y 0: .* a truth value"),
        (["ba"], ["nothing"], "item 0: there is no label 'nothing'"),
        (["ba"], [[]], "names no label"),
        ([["ba"]], ["700"], "a list where a text belongs"),
    ],
)
def test_what_cannot_be_fitted_is_said_at_once(X: Any, y: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        EdgexlClassifier("all-MiniLM-L6-v2", LABELS).fit(X, y)


@pytest.mark.parametrize(
    "name",
    [
        "check_no_attributes_set_in_init", "check_do_not_raise_errors_in_init_or_set_params", "check_estimator_repr",
        "check_estimator_cloneable", "check_get_params_invariance", "check_set_params", "check_estimators_unfitted",
        "check_parameters_default_constructible", "check_valid_tag_types", "check_estimator_tags_renamed",
        "check_mixin_order",
    ],
)  # fmt: skip
def test_scikit_learns_own_checks(name: str) -> None:
    """Those that hand no numbers to a classifier of texts."""
    getattr(estimator_checks, name)(EdgexlClassifier.__name__, EdgexlClassifier())
