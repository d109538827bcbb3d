"""Work in a child made by fork, for what could wait for ever there."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable

_fork = multiprocessing.get_context("fork")


def in_child(work: Callable[[], None], seconds: float = 100) -> None:
    """Run `work` in a child; an exception there, or no end after `seconds`, fails the test here."""
    child = _fork.Process(target=work)
    child.start()
    child.join(seconds)
    if child.is_alive():
        child.kill()
        child.join()
        raise AssertionError(f"the child did not end within {seconds} seconds")
    assert child.exitcode == 0, "the child failed: its traceback is above"
