"""How long reading a plate takes: each file detected and read whole, beside a plain script that reads less.

Run with ``.venv/bin/python benchmarks/plates.py FILE…``: exports of plates, such as drLumi_plate1.csv, the 30-analyte
plate of 96 wells and 23 blocks that is to be read within 0.1 s. The peer, in the same run, is what a script does that
knows where the medians stand: it splits the lines of an xPONENT file and hands that one block to pandas. It checks
nothing, and leaves out concentrations, counts, curves and comments. Files of other kinds have no peer.
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from helpers.readers.plates import read_plate_file

TIMES = 15


def ours(path: Path) -> int:
    """Wells × analytes that are read, with all that belongs to them."""
    return sum(len(plate.wells) for plate in read_plate_file(path, path.name))


def script(path: Path) -> int:
    """Medians alone."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    block = text.partition("DataType:,Median")[2].partition("\n")[2].partition("DataType:")[0]
    table = pd.read_csv(io.StringIO(block), index_col=0).dropna(how="all")
    return int(table.drop(columns="Total Events", errors="ignore").select_dtypes("number").size)


def seconds(make: Callable[[Path], int], path: Path) -> tuple[float, int]:
    """Median seconds of a call after a first one, which loads what is loaded late, and what it gave."""
    rows, taken = make(path), []
    for _ in range(TIMES):
        start = time.perf_counter()
        make(path)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), rows


def main(files: list[str]) -> None:
    """Print one line a file."""
    for path in map(Path, files):
        mine, rows = seconds(ours, path)
        peer = ""
        if b"DataType:,Median" in path.read_bytes():
            theirs, medians = seconds(script, path)
            peer = f"; the script {1000 * theirs:.1f} ms for {medians} medians, ratio {mine / theirs:.1f}"
        print(f"{path.name}: {1000 * mine:.1f} ms for {rows} wells × analytes{peer}")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("Name the plate files to read.")
    main(sys.argv[1:])
