"""`build` knows its data sets by name."""

from __future__ import annotations

import pytest

from edgexl.base.errors import BadInput
from edgexl.data import build


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(BadInput, match="no data set 'wordnt' to build; there are dictionary, mesh, wordnet"):
        build("wordnt", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
