"""How long the commands take on the demo, from the first time to a donor who is added.

Run with ``.venv/bin/python benchmarks/commands.py``. Medians over rounds, with their range. Peers, in the same run
on the same machine: for ``apap --help`` a program of one command in the same library; for ``apap check`` importing
pandas and frictionless and validating the tables one by one. The rest of the rows are the same report under other
circumstances, as shares of the cold one. What notebooks cost beside papermill's command is in ``notebooks.py``.
"""

from __future__ import annotations

import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from helpers.core.files import PROJECT
from helpers.simulate import write_demo

APAP = [sys.executable, "-c", "from helpers.cli import main; main()"]
HELP = "import typer; app = typer.Typer(); app.command()(lambda: None); app(args=['--help'])"
VALIDATE = """
import pathlib, sys, pandas, frictionless
schemas = pathlib.Path(sys.argv[2]) / "data_schema" / "inputs"
for table in sorted(pathlib.Path(sys.argv[1]).glob("*.csv")):
    schema = frictionless.Schema.from_descriptor(str((schemas / table.stem).with_suffix(".json")))
    schema.foreign_keys = []
    frictionless.Resource(path=table.name, basepath=str(table.parent), schema=schema).validate()
"""
TIMES = 5
CONTROL, PATIENT = "D26", "D17"
"""Who is added. Every page compares its donor with the controls, so that one of them changes all pages. A patient leaves
the other pages as they are, unless a flag changes that all carry, as by 7 of the demo's 17 patients."""


def seconds(words: list[str], cache: Path) -> float:
    """Wall seconds of a command."""
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "APAP_CACHE": str(cache)})
    return time.perf_counter() - start


def without(study: Path, donor: str) -> None:
    """Take a donor out of a study: rows of every table, and files that only these rows name."""
    codes = {donor}
    for name in ("specimens.csv", "cultures.csv", "cytokines/samples.csv"):
        with (study / name).open(newline="", encoding="utf-8") as handle:
            rows = list(csv.reader(handle))
        codes |= {row[0] for row in rows[1:] if codes & set(row)}
    for table in study.rglob("*.csv"):
        if "raw" in table.parts:
            continue
        with table.open(newline="", encoding="utf-8") as handle:
            head, *rows = csv.reader(handle)
        kept = [row for row in rows if not codes & set(row)]
        for row in rows:
            for cell in row if row not in kept else ():
                if cell.endswith(".fcs"):
                    folder = "phenotype/fcs" if "phenotype" in table.parts else "phagocytosis/raw"
                    (study / folder / cell).unlink(missing_ok=True)
        with table.open("w", newline="", encoding="utf-8") as handle:
            csv.writer(handle, lineterminator="\n").writerows([head, *kept])


def reports(here: Path) -> dict[str, list[float]]:
    """Seconds of a report: cold, nothing changed, a donor added, that donor's page alone, one gate moved.

    What takes seconds is taken five times, a page with a copy of the cache that knows nothing of its donor.
    """
    study, out, cache = here / "study", here / "out", here / "cache"
    write_demo(study)
    whole = [*APAP, "report", str(study), "--out", str(out)]
    found = {"cold": [seconds(whole, cache)], "nothing changed": [seconds(whole, cache) for _ in range(TIMES)]}
    for who, donor in (("control", CONTROL), ("patient", PATIENT)):
        fewer, grown, other = (here / f"{what} {who}" for what in ("without a", "out with a", "cache with a"))
        shutil.copytree(study, fewer)
        without(fewer, donor)
        seconds([*APAP, "report", str(fewer), "--out", str(grown)], other)
        again = [*APAP, "report", str(study), "--out", str(grown)]
        copies = [shutil.copytree(other, here / f"cache {i} with a {who}") for i in range(TIMES)]
        found[f"a {who} added, that page"] = [seconds([*again, "--donor", donor], copy) for copy in copies]
        found[f"a {who} added, then everything"] = [seconds(again, copies[-1])]
    gates = study / "phenotype" / "gates.csv"
    gates.write_text(gates.read_text(encoding="utf-8").replace("45000;5000;", "46000;5000;", 1), encoding="utf-8")
    found["one gate moved"] = [seconds(whole, cache)]
    return found


def line(name: str, ours: list[float], peers: list[float]) -> str:
    """A row of the table."""
    ratio = statistics.median(a / b for a, b in zip(ours, peers, strict=True))
    spread = f"{min(ours):.2f}–{max(ours):.2f}"
    return f"| {name} | {statistics.median(ours):.2f} | {spread} | {statistics.median(peers):.2f} | {ratio:.2f} |"


def main() -> None:
    """Print one row a command."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    print("| command | s | range | peer, s | ratio |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        write_demo(here / "demo")
        demo, cache = str(here / "demo"), here / "cache"
        seconds([*APAP, "check", demo], cache)  # the first one after an installation also writes what Python compiles
        pairs = {
            "apap --help": ([*APAP, "--help"], [sys.executable, "-c", HELP]),
            "apap check": ([*APAP, "check", demo], [sys.executable, "-c", VALIDATE, demo, str(PROJECT)]),
        }
        for name, (ours, peer) in pairs.items():
            taken = [(seconds(ours, cache), seconds(peer, cache)) for _ in range(TIMES)]
            print(line(name, [a for a, _ in taken], [b for _, b in taken]), flush=True)
        taken_by_case: dict[str, list[float]] = {}
        for i in range(rounds):
            (here / str(i)).mkdir()
            for name, values in reports(here / str(i)).items():
                taken_by_case.setdefault(name, []).extend(values)
        cold = statistics.median(taken_by_case["cold"])
        for name, values in taken_by_case.items():
            print(line(f"apap report: {name}", values, [cold] * len(values)))


if __name__ == "__main__":
    main()
