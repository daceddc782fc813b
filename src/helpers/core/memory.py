"""Python's search for unreachable rings of objects, kept from looking through millions of living ones again and again."""

from __future__ import annotations

import atexit
import gc


def collect_seldom() -> None:
    """Let this process search seldom: tables and figures are many objects that live long.

    With Python's own thresholds the search took a tenth of the time, and another half second before the process
    ends, where nothing need be found any more.
    """
    gc.set_threshold(50_000, 20, 100)
    atexit.register(gc.freeze)
