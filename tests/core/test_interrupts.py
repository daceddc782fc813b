"""An interrupt is raised where it arrives, and put off where it would be lost or leave a lock behind."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.core import interrupts

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here: Python's own way is kept")


def soon(seconds: float = 0.1) -> None:
    """An interrupt of this process, from another thread."""
    threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT)).start()


def waits_after(work: Callable[[], object]) -> None:
    """Something, and then a long wait, where interrupts are heard."""
    with interrupts.heard():
        work()
        time.sleep(20)


def test_it_comes_at_once_and_the_handlers_come_back() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGALRM)]
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        waits_after(soon)
    assert time.monotonic() - start < 10
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGALRM)] == before


def test_an_import_is_ended_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text(
        "import time\ntry:\n    time.sleep(2)\nexcept BaseException:\n    pass\nREADY = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    soon(0.5)
    with pytest.raises(KeyboardInterrupt):
        waits_after(lambda: importlib.import_module("slow_to_import"))
    assert sys.modules["slow_to_import"].READY


def test_what_joblib_would_swallow_is_raised_behind_it() -> None:
    names: dict[str, Callable[[Callable[[], None]], None]] = {}
    code = "def store(write):\n    try:\n        write()\n    except:\n        pass\n"
    exec(compile(code, "/anywhere/joblib/_store_backends.py", "exec"), names)
    stored = []

    def write() -> None:
        signal.raise_signal(signal.SIGINT)
        stored.append(True)

    with pytest.raises(KeyboardInterrupt):
        waits_after(lambda: names["store"](write))
    assert stored, "what was being stored is stored"


def test_what_a_weak_reference_calls_is_ended_first() -> None:
    called = []
    names: dict[str, Callable[..., None]] = {"raise_signal": lambda: signal.raise_signal(signal.SIGINT)}
    exec(compile("def gone(_):\n    raise_signal()\n    called(1)\n", "/anywhere/weakref.py", "exec"), names)
    names["called"] = called.append
    there = [type("One", (), {})()]
    watched = weakref.ref(there[0], names["gone"])
    with pytest.raises(KeyboardInterrupt):
        waits_after(there.clear)
    assert called
    assert watched() is None


def test_another_thread_leaves_the_handlers_as_they_are() -> None:
    seen = []

    def elsewhere() -> None:
        with interrupts.heard():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
