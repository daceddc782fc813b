"""How time and memory grow with the number of donors: simulated studies of several sizes, from raw files to the site.

Run with ``.venv/bin/python benchmarks/scale.py 26 52 104 260``; numbers above 1,000 give studies of tables alone.
Each study is reported with an empty cache, then again with nothing changed. Processor seconds are those of the
command and of all it started, so that other work on the machine disturbs them little; memory is the largest sum of
proportional set sizes over all these processes, looked at twice a second. The last line fits
``seconds = a · donors^b`` by least squares on logarithms; an exponent of 1 is a flat cost a donor.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

APAP = [sys.executable, "-c", "from helpers.cli import main; main()"]


def memory_mb(root: psutil.Process) -> float:
    """Proportional set size of a process and all below it."""
    total = 0
    for one in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += one.memory_full_info().pss
    return total / 1e6


def measured(words: list[str], cache: Path) -> tuple[float, float, float]:
    """Wall seconds, processor seconds and largest memory in MB of a command."""
    before, start, most = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0.0
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, env={**os.environ, "APAP_CACHE": str(cache)}) as run:
        while run.poll() is None:
            with contextlib.suppress(psutil.Error):
                most = max(most, memory_mb(psutil.Process(run.pid)))
            time.sleep(0.5)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if run.returncode not in (0, 3):  # 3: a simulated value so odd that a check set its donor aside
        raise SystemExit(f"the command ended with {run.returncode}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, used, most


def main() -> None:
    """Print a row a study, and the fitted exponent."""
    sizes = [int(word) for word in sys.argv[1:]] or [26, 52, 104]
    print("| donors | input, MB | cold, s | processor, s | a donor, s | memory, MB | nothing changed, s | site, MB |")
    print("|---|---|---|---|---|---|---|---|")
    used = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            study, out, cache = here / "study", here / "out", here / "cache"
            subprocess.run([*APAP, "demo", str(study), "--donors", str(size)], check=True, capture_output=True)
            words = [*APAP, "report", str(study), "--out", str(out)]
            wall, cpu, most = measured(words, cache)
            again, _, _ = measured(words, cache)
            mb = [sum(p.stat().st_size for p in f.rglob("*") if p.is_file()) / 1e6 for f in (study, out)]
        used.append(cpu)
        cells = (mb[0], wall, cpu, cpu / size, most, again, mb[1])
        print(f"| {size} | " + " | ".join(f"{c:.1f}" if c < 100 else f"{c:.0f}" for c in cells) + " |", flush=True)
    if len(sizes) > 1:
        exponent, _ = np.polyfit(np.log(sizes), np.log(used), 1)
        print(f"Fitted: processor seconds grow with donors to the power {exponent:.2f}.")


if __name__ == "__main__":
    main()
