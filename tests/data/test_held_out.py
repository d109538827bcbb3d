"""Held-out queries: divided where there are many, all of both where there are some, made where there are too few."""

from __future__ import annotations

import pytest

from edgexl.data import Query
from edgexl.data.held_out import hold_out
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
