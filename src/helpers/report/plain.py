"""A kernel in a process of its own, for where none can be forked: as bound to its client as a forked one.

ipykernel looks whether its client still is there once it has started. One that hangs while it starts, as it does
where another program took its port, would outlive a client that was killed.
"""

from __future__ import annotations

import os
import threading
import time


def _end_with(parent: int) -> None:
    """Look twice a second, and end at once when this process has another parent than it was given."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":  # before ipykernel is imported, which takes a second
    threading.Thread(target=_end_with, args=(int(os.environ["JPY_PARENT_PID"]),), daemon=True).start()
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()
