"""Where the time of a cold report goes: processor seconds of each part of the demo's report, one after the other.

Run with ``.venv/bin/python benchmarks/parts.py``. Nothing is cached before; notebooks run in kernels of the fork server,
whose start is a row of its own, so theirs are wall seconds. docs/scale.md shows the table.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from helpers.analysis import load_study
from helpers.assays.cytokines.assay import cytokines
from helpers.assays.phagocytosis.assay import phagocytosis
from helpers.assays.phenotype.assay import phenotype
from helpers.report.build import _exports
from helpers.report.donors import page_keys, render_donor
from helpers.report.notebooks import render, study_notebooks
from helpers.report.preload import begin
from helpers.simulate import write_demo
from helpers.study.opening import open_study


def row(name: str, work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> None:
    """Print what a part takes."""
    start = clock()
    work()
    print(f"| {name} | {clock() - start:.1f} |", flush=True)


def main() -> None:
    """Print a row a part."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["APAP_CACHE"] = str(Path(folder) / "cache")
        demo = Path(folder) / "demo"
        write_demo(demo)
        row("study opened", lambda: open_study(demo))
        study = open_study(demo)
        of_study = (study.folder, study.tables, study.quarantined, study.config)
        for assay in (cytokines, phenotype, phagocytosis):
            row(assay.__name__, lambda assay=assay: assay(*of_study))  # type: ignore[misc]
        row("cohort, readouts", lambda: load_study(demo))
        data = load_study(demo)
        row("statistics", lambda: data.inferred)
        row("parts of the donors' pages", lambda: page_keys(data))
        row("tables and workbook", lambda: _exports(data.digest, data))
        begin()
        donors = page_keys(data)
        places = (data.folder, data.config.id, data.digest)
        first, *rest = donors
        row("first page, server of kernels", lambda: render_donor(*places, first, donors[first]), time.perf_counter)
        row(f"{len(rest)} pages", lambda: [render_donor(*places, d, donors[d]) for d in rest], time.perf_counter)
        for name, path in study_notebooks().items():
            run = (path, {}, data.folder, data.digest, data.config.id, data.digest)
            row(name, lambda run=run: render(*run), time.perf_counter)  # type: ignore[misc]


if __name__ == "__main__":
    main()
