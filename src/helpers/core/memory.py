"""What a long-lived process does with memory: it searches seldom for what is unreachable, and gives back what is free."""

from __future__ import annotations

import atexit
import ctypes
import gc
import sys


def collect_seldom() -> None:
    """Let this process search seldom: tables and figures are many objects that live long.

    With Python's own thresholds the search took a tenth of the time, and another half second before the process
    ends, where nothing need be found any more.
    """
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)


def give_back() -> None:
    """Give free memory back to the system, which glibc keeps for later: after reading 2,600 donors a third of all."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none and keeps nothing
        if trim is not None:
            trim(0)
