"""Teachers for tests: a tiny student, a random BERT, and one real language model for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from edgexl.data.label_set import LabelSet
from edgexl.distill.teachers.local_model import LocalModel
from tests.distill.conftest import write_teacher
from tests.tiny import tiny_labels


@pytest.fixture(autouse=True)
def _own_cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors are kept in the test's own cache; the language model is unpacked into the user's, once."""
    if "smollm" in request.fixturenames:
        request.getfixturevalue("smollm")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The work here is tiny, and threads that spin for one another take all of a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def labels() -> LabelSet:
    """300 labels, a hundred of them with an alias."""
    return tiny_labels(aliases=True)


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A sentence-transformers directory with random weights."""
    return write_teacher(tmp_path / "bert")


@pytest.fixture(scope="session")
def smollm() -> LocalModel:
    """SmolLM2-135M-Instruct out of its package, for short answers."""
    return LocalModel("SmolLM2-135M-Instruct", max_tokens=8)
