"""What every Python process in the scratch copy does at its start: import that copy, and be recorded where asked.

The copy's `sitecustomize.py` imports this module, so that the processes that tests start do it too.
"""

from __future__ import annotations

import atexit
import os
import sys

ROOT, CONTEXT, DATA = "EDGEXL_MUTANTS_ROOT", "EDGEXL_MUTANTS_CONTEXT", "EDGEXL_MUTANTS_DATA"


def enter() -> None:
    """Let no editable installation come before the copy; record the lines that this process runs."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
    if CONTEXT not in os.environ or DATA not in os.environ:
        return
    import coverage

    recording = coverage.Coverage(
        data_file=os.environ[DATA], data_suffix=True, context=os.environ[CONTEXT], config_file=False,
        source=[os.path.join(os.environ[ROOT], "edgexl")], messages=False,
    )  # fmt: skip
    recording._warn_no_data = False
    recording.start()

    def save() -> None:
        recording.stop()
        recording.save()

    atexit.register(save)
