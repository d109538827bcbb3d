"""Held-out queries: divided where there are many, all of both where there are some, made where there are too few."""

from __future__ import annotations

import pytest

from edgexl.data import Query
from edgexl.data.held_out import carry_over, hold_out
from edgexl.data.label_set import LabelSet
from tests.tiny import tiny_labels, tiny_queries

LABELS = tiny_labels(300)


@pytest.mark.parametrize("given", [0, 1, 19])
def test_too_few_queries_leave_those_made_of_labels(given: int) -> None:
    found = hold_out(LABELS, tiny_queries(LABELS, given, 0))
    assert found.calibration == ()
    assert len(found.evaluation) == 300
    assert all(LABELS.texts[query.targets[0]].split()[0][0].isalpha() for query in found.evaluation)
    assert found.about["made_of"].startswith("label texts")
    assert found.about["measured_on"].startswith(f"{given} queries are too few" if given else "Without queries")
    assert found == hold_out(LABELS, tiny_queries(LABELS, given, 0))


@pytest.mark.parametrize("given", [20, 399])
def test_some_queries_both_fit_and_judge(given: int) -> None:
    queries = tiny_queries(LABELS, given, 0)
    found = hold_out(LABELS, queries)
    assert found.calibration == found.evaluation
    assert sorted(query.uid for query in found.evaluation) == sorted(query.uid for query in queries)
    assert (found.about["evaluation"], found.about["calibration"], found.about["made_of"]) == (given, given, None)


@pytest.mark.parametrize(("given", "fitted", "judged"), [(400, 200, 200), (401, 200, 201), (5000, 2000, 2000)])
def test_many_queries_are_divided(given: int, fitted: int, judged: int) -> None:
    queries = tuple(Query(f"q{n}", f"text {n}", (n % 300,)) for n in range(given))
    found = hold_out(LABELS, queries)
    assert (len(found.calibration), len(found.evaluation)) == (fitted, judged)
    assert not {query.uid for query in found.calibration} & {query.uid for query in found.evaluation}
    assert hold_out(LABELS, queries[::-1]).calibration == found.calibration


def test_one_label_is_enough() -> None:
    found = hold_out(LabelSet(("1",), ("banana",)))
    assert [query.targets for query in found.evaluation] == [(0,)]


def test_a_students_own_queries_come_along_where_their_labels_are_still_there() -> None:
    ids = tuple(f"L{place}" for place in range(100))
    own = tuple(Query(f"q{place}", f"text {place}", (place, (place + 1) % 100)) for place in range(100))
    edited = LabelSet((*ids[50:], "new", *ids[:40]), tuple(f"label {place}" for place in range(91)))
    carried = carry_over(ids, own[:60], own[60:], edited)
    assert carried is not None
    # of labels 40 to 49, which are gone, no query names one any more
    assert [query.uid for query in carried.calibration] == [f"q{place}" for place in (*range(39), *range(50, 60))]
    assert [query.uid for query in carried.evaluation] == [f"q{place}" for place in range(60, 100)]
    for query in (*carried.calibration, *carried.evaluation):
        first, second = (edited.ids[target] for target in query.targets)
        assert (first, second) == (f"L{query.uid[1:]}", f"L{(int(query.uid[1:]) + 1) % 100}")
    assert carried.about["measured_on"] == (
        "Figures are of 40 queries that the student holds out, those whose labels are still there; probabilities are "
        "fitted on 49 others."
    )
    other = LabelSet(tuple(f"X{place}" for place in range(91)), edited.texts)
    assert carry_over(ids, own[:60], own[60:], other) is None
    assert carry_over(ids, own[:60], own[60:79], edited) is None  # 19 judge nothing
    half = LabelSet(ids[:50], edited.texts[:50])
    assert carry_over(ids, own[:30], own[30:], half) is None  # 49 of 100: most are gone
