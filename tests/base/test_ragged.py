"""Lists of unequal length in flat arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgexl.base.ragged import Ragged

LISTS = st.lists(st.lists(st.integers(0, 99), max_size=5), max_size=8)


@given(LISTS, LISTS, st.data())
def test_it_is_its_lists(left: list[list[int]], right: list[list[int]], data: st.DataObject) -> None:
    joined = Ragged.joined([Ragged.of(left, np.int32), Ragged.of(right, np.int32)])
    lists = left + right
    assert joined.tolist() == lists == [part.tolist() for part in joined]
    assert len(joined) == len(lists)
    assert joined.lengths.tolist() == [len(one) for one in lists]
    assert joined.owners.tolist() == [place for place, one in enumerate(lists) for _ in one]
    assert joined.values.dtype == np.int32
    places = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=9)) if lists else []
    assert joined.take(np.array(places, np.int64)).tolist() == [lists[place] for place in places]
