"""Damage: learned from queries, and done to texts again."""

from __future__ import annotations

import numpy as np
import pytest

from edgexl.data import Query
from edgexl.data.damage import Damage, find_fault, learn_damage
from edgexl.data.label_set import LabelSet
from edgexl.data.naming import naming_queries

WORDS = (
    "walnut copper lantern basket velvet carriage hammer orchid silver window pepper bottle".split()  # noqa: SIM905
)


def make_labels(count: int = 300) -> LabelSet:
    rng = np.random.default_rng(5)
    texts = {" ".join(WORDS[at] for at in rng.permutation(len(WORDS))[:6]): None for _ in range(2 * count)}
    return LabelSet(tuple(map(str, range(count))), tuple(texts)[:count])


@pytest.mark.parametrize(
    ("written", "fault"), [("wlnut", 0), ("walnuut", 1), ("walkut", 2), ("wlanut", 3), ("walnut", None), ("w", None)]
)
def test_a_fault_is_known_by_its_kind(written: str, fault: int | None) -> None:
    assert find_fault("walnut", written) == fault


def test_what_was_done_to_texts_is_learned_from_them() -> None:
    labels = make_labels()
    done = Damage(dropped=0.25, misspelt=(0.3, 0.5, 0.2), faults=(0.7, 0.1, 0.1, 0.1), turned=0.4)
    found = learn_damage(labels, naming_queries(labels, 2000, 3, done))
    assert found.named > 0.95
    assert found.damage.dropped == pytest.approx(0.25, abs=0.03)
    assert found.damage.misspelt == pytest.approx((0.3, 0.5, 0.2), abs=0.05)
    assert found.damage.faults == pytest.approx(done.faults, abs=0.06)
    assert found.damage.turned == pytest.approx(0.4, abs=0.06)


def test_queries_that_describe_their_label_name_none() -> None:
    labels = make_labels()
    queries = [Query(str(at), f"something that one needs on a {at}", (at,)) for at in range(200)]
    assert learn_damage(labels, queries).named == 0.0


def test_queries_are_made_of_all_labels_alike_and_the_same_each_time() -> None:
    labels = make_labels()
    made = naming_queries(labels, 750, 1, Damage())
    assert [query.text for query in made] == [query.text for query in naming_queries(labels, 750, 1, Damage())]
    counts = np.bincount([query.targets[0] for query in made], minlength=len(labels))
    assert (counts.min(), counts.max()) == (2, 3)
    assert all(query.text.strip() for query in made)


@pytest.mark.parametrize("wrong", [{"dropped": 1.5}, {"misspelt": ()}, {"misspelt": (0.0,)}, {"faults": (1.0, 1.0)}])
def test_impossible_shares_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        Damage(**wrong)  # type: ignore[arg-type]
