"""The compiler: a student becomes a bundle. `pipeline.py` is its table of contents.

Importing this package brings nothing: recipes and files are read, and refused, without torch and onnx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgexl.compiler.pipeline import CompileReport, compile

__all__ = ["CompileReport", "compile"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'edgexl.compiler' has no attribute {name!r}")
    from edgexl.compiler import pipeline

    return getattr(pipeline, name)
