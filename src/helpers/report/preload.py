"""Beginning and ending what kernels come from, without the packages of Jupyter.

The fork server imports before it forks what kernels and measuring children would import each on their own.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import pkgutil
import signal
import subprocess
import weakref
from typing import Any

from helpers.core import forks

PRELOADED = (
    "helpers.report.kernels",
    "ipykernel.kernelapp",
    # what every kernel would import while it starts, half of its time
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.magics.execution",
    "IPython.core.oinspect",
    "IPython.core.pylabtools",
    "IPython.extensions.storemagic",
    "sqlite3",
    "pandas",
    "matplotlib.pyplot",
    "scipy.stats",
    "tableone",
    "joblib",
    "helpers.analysis",
    "helpers.assays.phenotype.tasks",
    "helpers.assays.phagocytosis.wells",
)
PRELOADED_ROOMS = ("helpers.figures", "helpers.tables")


def begin() -> None:
    """Start the fork server where there is none yet and forking is safe; does not wait for it."""
    forks.begin("helpers.report.preload:preload")


started: weakref.WeakSet[Any] = weakref.WeakSet()
"""Whatever has a ``process`` in which a kernel was started here; forked ones end with their server."""


def stop() -> None:
    """End every kernel that this process started, and the fork server."""
    for process in [one.process for one in started if isinstance(one.process, subprocess.Popen)]:
        if process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
    forks.stop()


atexit.register(stop)


def preload() -> None:
    """Import what notebooks use; what cannot be imported is left to the notebook that needs it, which says so."""
    import matplotlib

    matplotlib.use("agg")
    names = [*PRELOADED]
    for room in PRELOADED_ROOMS:
        names += [m.name for m in pkgutil.iter_modules(importlib.import_module(room).__path__, room + ".")]
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
