"""Two reports of the whole demo, each from nothing, are the same but for their times."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.report.build import build_report

CHANGING = {"provenance.json", "ro-crate-metadata.json"}

pytestmark = pytest.mark.long


def test_a_report_of_the_demo_from_nothing_has_the_same_bytes(
    report: Path, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "cache"))
    build_report(demo, tmp_path / "again")
    one, two = (
        {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        for out in (report, tmp_path / "again")
    )
    assert set(one) == set(two)
    assert {f for f in one if one[f] != two[f]} == CHANGING
