"""An interrupt at the terminal ends a command whenever it comes.

Python raises it wherever the main thread is. Raised within an import it can leave a lock held, for which other
threads then wait forever; some `except` clauses of joblib take it for a full disk; and what a weak reference calls
may raise nothing at all. There it is put off until the thread has come out.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

OURS = str(Path(__file__).parents[1])
DEAF = (
    "<frozen importlib._bootstrap>",
    "joblib/_store_backends.py",
    "joblib/func_inspect.py",
    "weakref.py",
    "_weakrefset.py",
)
"""Ends of the names of files whose functions an interrupt must not be raised in, nor in what they call."""
AGAIN_S = 0.02


@contextmanager
def heard() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` where it arrives; as Python does where this is no main thread or has no timers."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    before = {number: signal.signal(number, _raise) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    if _deaf(frame):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
    else:
        raise KeyboardInterrupt


def _deaf(frame: FrameType | None) -> bool:
    """Whether a file of `DEAF` lies between here and the nearest function of ours."""
    while frame is not None and not (file := frame.f_code.co_filename).startswith(OURS):
        if file.endswith(DEAF):
            return True
        frame = frame.f_back
    return False
