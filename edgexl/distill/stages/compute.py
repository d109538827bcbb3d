"""Where training runs, and what memory it hands back."""

from __future__ import annotations

import ctypes
import gc
import os

import torch

from edgexl.base.errors import BadInput


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is the GPU where there is one: of several processes on a machine, as torchrun starts them, each has its
    own. Raises `BadInput` for a device that this machine lacks."""
    if name == "auto":
        place = int(os.environ.get("LOCAL_RANK", "0"))
        return torch.device("cuda", place) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise BadInput(f"There is no device '{name}' here ({str(error).splitlines()[0]}); use cpu or auto.") from None
    return device


def release_memory() -> None:
    """Between stages: free what only cycles of references hold, and hand back free pages."""
    gc.collect()
    trim_heap()


def trim_heap() -> None:
    """Hand pages back that glibc keeps for later: blocks of a few megabytes in ever new sizes leave gaps between them,
    which over a training add up to gigabytes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
    if trim is not None:
        trim(0)
