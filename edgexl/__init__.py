"""edgexl: an edge deployment compiler for two-stage students over huge label sets.

    student = edgexl.load_student("wordnet")  # by name, or a directory
    edgexl.compile(student, "balanced", "host", "words.exl")
    with edgexl.open_bundle("words.exl") as bundle:
        for label in bundle.predict("a small house for a dog", k=5).labels:
            print(label.probability, label.text)
        bundle.explain("a small house for a dog", "kennel")
    edgexl.evaluate("words.exl", "students/wordnet/evaluation.json.gz")["bundle"]["P@1"]
    edgexl.profile("words.exl", runs=100)["total"]["p50_ms"]

    # your labels: a list, a dictionary, a data frame or a file; no training
    edgexl.compile_labels({"7544": "umbrella", "7702": "mousetrap"}, "all-MiniLM-L6-v2", "till.exl")
    edgexl.Student.from_encoder("all-MiniLM-L6-v2", "till.csv").save("mine")

`pydoc edgexl.runtime.binding.BundleHandle` shows all that an open bundle does. Each name is imported when it is first
used, so that `import edgexl` costs nothing and running a bundle never loads torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from edgexl.compiler import compile
    from edgexl.compiler.from_labels import compile_labels
    from edgexl.runtime.binding import open_bundle
    from edgexl.student.student import Student, load_student
    from edgexl.use.evaluate import evaluate
    from edgexl.use.profile import profile

__all__ = ["Student", "__version__", "compile", "compile_labels", "evaluate", "load_student", "open_bundle", "profile"]

_HOMES = {
    "Student": "edgexl.student.student",
    "compile": "edgexl.compiler",
    "compile_labels": "edgexl.compiler.from_labels",
    "evaluate": "edgexl.use.evaluate",
    "load_student": "edgexl.student.student",
    "open_bundle": "edgexl.runtime.binding",
    "profile": "edgexl.use.profile",
}


# ONNX Runtime writes a device id and a database of events into the user's cache as soon as it is imported, and sends
# them, unless this is set by then; who has set it has chosen.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgexl' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
