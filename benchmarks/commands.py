"""How long the commands take on the demo, as multiples of what a plain script needs for the same work.

Run with ``.venv/bin/python benchmarks/commands.py``. Peers, in the same run on the same machine: for
``apap check``, importing pandas and frictionless and validating the tables one by one; for ``apap report``,
papermill and nbconvert on the same notebooks, one after the other.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
APAP = [sys.executable, "-c", "from helpers.cli import main; main()"]
VALIDATE = """
import pathlib, sys, pandas, frictionless
schemas = pathlib.Path(sys.argv[2]) / "data_schema" / "inputs"
for table in sorted(pathlib.Path(sys.argv[1]).glob("*.csv")):
    schema = frictionless.Schema.from_descriptor(str((schemas / table.stem).with_suffix(".json")))
    schema.foreign_keys = []
    frictionless.Resource(path=table.name, basepath=str(table.parent), schema=schema).validate()
"""
PAPERMILL = """
import pathlib, subprocess, sys
for notebook in sorted((pathlib.Path(sys.argv[2]) / "notebooks").glob("0*.ipynb")):
    run = str(pathlib.Path(sys.argv[3]) / notebook.name)
    subprocess.run([sys.executable, "-m", "papermill", str(notebook), run, "-p", "study", sys.argv[1]], check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "nbconvert", "--to", "html", run], check=True, capture_output=True)
"""


def seconds(words: list[str], cache: Path, times: int) -> float:
    """Median wall time of a command."""
    taken = []
    for i in range(times):
        env = {**os.environ, "APAP_CACHE": str(cache / str(i))}
        start = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True, env=env)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    """Print one line a command."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        demo, out = str(here / "demo"), str(here / "out")
        subprocess.run([*APAP, "demo", demo], check=True, capture_output=True)
        pairs = {
            "check": ([*APAP, "check", demo], [sys.executable, "-c", VALIDATE, demo, str(PROJECT)], 5),
            "report": (
                [*APAP, "report", demo, "--out", out],
                [sys.executable, "-c", PAPERMILL, demo, str(PROJECT), folder],
                3,
            ),
        }
        for name, (ours, peer, times) in pairs.items():
            mine, theirs = seconds(ours, here / name, times), seconds(peer, here / f"{name} peer", times)
            print(f"apap {name}: {mine:.2f} s, peer {theirs:.2f} s, ratio {mine / theirs:.2f}")
        again = seconds(pairs["report"][0], here / "report", 1)
        print(f"apap report, nothing changed: {again:.2f} s")


if __name__ == "__main__":
    main()
