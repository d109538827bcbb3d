"""The compiler: a student becomes a bundle. `pipeline.py` shows the whole flow on one page."""

from edgexl.compiler.pipeline import CompileReport, compile

__all__ = ["CompileReport", "compile"]
