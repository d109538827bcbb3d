"""The examples in docstrings run, one after another in one folder, with the student that comes with edgexl."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgexl.compiler.from_labels import compile_labels
from edgexl.runtime.binding import BundleHandle, open_bundle
from edgexl.sklearn import EdgexlClassifier
from edgexl.student.student import Student

# In order: a bundle is compiled before it is queried.
EXAMPLES: tuple[Callable[..., Any], ...] = (
    Student.from_encoder,
    compile_labels,
    BundleHandle.predict,
    BundleHandle.predict_batch,
    BundleHandle.receipt,
    EdgexlClassifier,
)
NAMES = {"Student": Student, "compile_labels": compile_labels, "open_bundle": open_bundle}


def test_examples_in_docstrings_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner, said = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS), list[str]()
    for place in EXAMPLES:
        text = place.__doc__ or ""
        names = {**NAMES, "EdgexlClassifier": EdgexlClassifier}
        test = doctest.DocTestParser().get_doctest(text, names, place.__qualname__, None, None)
        assert test.examples, f"{place.__qualname__} has no example"
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
