"""Memory of a long-lived process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FREED_MB = """
import psutil
from helpers.core.memory import give_back
rss = psutil.Process().memory_info
kept = [bytearray(600) for _ in range(200_000)][-1]  # the last one keeps what lies before it from going by itself
before = rss().rss
give_back()
print((before - rss().rss) // 1_000_000)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is free")
def test_free_memory_goes_back_to_the_system() -> None:
    run = subprocess.run([sys.executable, "-c", FREED_MB], capture_output=True, text=True, check=True)
    assert int(run.stdout) > 50
