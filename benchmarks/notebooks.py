"""How much faster the report runs notebooks than the commands ``papermill`` and ``jupyter nbconvert`` do.

Run with ``.venv/bin/python benchmarks/notebooks.py``. The notebooks are those of the cohort and the pages of the 26
donors of the demo, each with its page as HTML, two at once on both sides, over the same notebooks with the same
parameters and the same warm cache of the analysis; no page is taken from the cache. Both sides start from nothing:
their own imports count. Then an empty notebook, two at once, whose time is overhead alone.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from helpers.analysis import load_study
from helpers.core.files import PROJECT
from helpers.report.donors import page_keys
from helpers.simulate import write_demo

NOTEBOOKS = PROJECT / "notebooks"
COHORT = ("00_data_check", "01_cohort_description")
OURS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from helpers.report.notebooks import render
study, *tasks = sys.argv[1:]
with ThreadPoolExecutor(2) as pool:
    going = [pool.submit(render, Path(source), {"donor": donor} if donor else {}, Path(study), f"benchmark {i}", "demo")
             for i, (source, donor) in enumerate(task.split("|") for task in tasks)]
    assert not any(one.result().failed for one in going)
"""


def command(source: Path, donor: str, study: Path, out: Path) -> None:
    """A notebook by the two commands."""
    out.mkdir(parents=True)
    words = ["-p", "study", str(study), "-p", "out", str(out), *(["-p", "donor", donor] if donor else [])]
    run = str(out / "run.ipynb")
    for more in (["papermill", str(source), run, *words], ["nbconvert", "--to", "html", run]):
        subprocess.run([sys.executable, "-m", *more], check=True, capture_output=True)


def seconds(tasks: list[tuple[Path, str]], study: Path, here: Path) -> tuple[float, float]:
    """Wall seconds of our way and of the commands."""
    start = time.perf_counter()
    words = [f"{source}|{donor}" for source, donor in tasks]
    # a cache of the rendered pages of its own, beside the shared one of the analysis
    subprocess.run([sys.executable, "-c", OURS, str(study), *words], check=True)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda i: command(*tasks[i], study, here / str(i)), range(len(tasks))))
    return ours, time.perf_counter() - start


def main() -> None:
    """Print medians over the rounds, their ranges, and the ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        os.environ["APAP_CACHE"] = str(here / "cache")
        write_demo(here / "demo")
        data = load_study(here / "demo")
        _ = data.inferred
        tasks = [(NOTEBOOKS / f"{name}.ipynb", "") for name in COHORT]
        tasks += [(NOTEBOOKS / "donor_report.ipynb", donor) for donor in page_keys(data)]
        taken = []
        for i in range(rounds):
            for pages in (here / "cache").rglob("_rendered"):
                subprocess.run(["rm", "-rf", str(pages)], check=True)
            taken.append(seconds(tasks, here / "demo", here / f"round {i}"))
        for name, values in zip(("apap", "papermill and nbconvert"), zip(*taken, strict=True), strict=True):
            print(
                f"{len(tasks)} notebooks, {name}: {statistics.median(values):.1f} s ({min(values):.1f}–{max(values):.1f})"
            )
        ratios = [theirs / ours for ours, theirs in taken]
        print(f"times as fast: {statistics.median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})")
        print(f"overhead a notebook: {overhead(here):.2f} s")


def overhead(here: Path) -> float:
    """Wall seconds of an empty notebook beyond those of the first, two at once."""
    cells = json.loads((NOTEBOOKS / "donor_report.ipynb").read_text(encoding="utf-8"))
    cells["cells"] = [c for c in cells["cells"] if "parameters" in c["metadata"].get("tags", ())]
    empty = here / "empty.ipynb"
    empty.write_text(json.dumps(cells), encoding="utf-8")
    taken = []
    for n in (2, 42):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", OURS, str(here / "demo"), *[f"{empty}|E{n}-{i}" for i in range(n)]], check=True
        )
        taken.append(time.perf_counter() - start)
    return (taken[1] - taken[0]) / 20


if __name__ == "__main__":
    main()
