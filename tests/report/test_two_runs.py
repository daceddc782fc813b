"""Two runs into one folder at once, and a clock that was set back, end in a right report or a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.report.build import build_report

RECORDS = {"provenance.json", "ro-crate-metadata.json"}
"""Files of a report that hold times."""
ONLY = ["00_data_check", "01_cohort_description"]
FUTURE = 4_102_444_800
"""The first second of 2100."""


def contents(out: Path) -> dict[str, bytes]:
    files = (p for p in out.rglob("*") if p.is_file())
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files if p.name not in RECORDS}


def test_of_two_runs_at_once_one_writes_and_the_other_says_so(small_study: Path, tmp_path: Path) -> None:
    build_report(small_study, tmp_path / "alone", only=ONLY)
    out = tmp_path / "out"
    words = ["report", str(small_study), "--out", str(out), *(w for name in ONLY for w in ("--only", name))]
    command = [sys.executable, "-c", "from helpers.cli import main; main()", *words]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    said = {run.communicate(timeout=300)[0]: run.returncode for run in runs}
    assert set(said.values()) <= {0, 2} and 0 in said.values()
    assert all("Another run is writing" in text for text, code in said.items() if code == 2)
    assert contents(out) == contents(tmp_path / "alone")


def test_a_clock_that_was_set_back_changes_nothing(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    build_report(small_study, out, only=ONLY)
    donors = small_study / "donors.csv"
    text = donors.read_text(encoding="utf-8")
    donors.write_text(text.replace("never", "former", 1), encoding="utf-8")
    assert donors.read_text(encoding="utf-8") != text
    for root in (small_study, out, tmp_path / "cache"):  # all that is there was written in a time still to come
        for path in root.rglob("*"):
            os.utime(path, (FUTURE, FUTURE))
    build_report(small_study, out, only=ONLY)
    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "other cache"))
    build_report(small_study, tmp_path / "fresh", only=ONLY)
    assert contents(out) == contents(tmp_path / "fresh")
