"""The one object that everything asks for tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers import analysis
from helpers.simulate import write_demo
from helpers.study.opening import folder_inputs, inputs_digest


def test_a_study_that_was_moved_is_read_where_it_is_now(small_study: Path) -> None:
    (small_study / "cytokines" / "raw").mkdir(parents=True)
    (small_study / "cytokines" / "raw" / "p.csv").write_text("not a plate at all\n", encoding="utf-8")
    (small_study / "cytokines" / "plates.csv").write_text("plate_id,instrument_file\nP1,p.csv\n", encoding="utf-8")
    digest = inputs_digest(folder_inputs(small_study))
    assert analysis._opened(digest, str(small_study)).folder == small_study
    moved = small_study.rename(small_study.with_name("moved"))
    data = analysis.load_study(moved)
    assert data.folder == moved
    assert ("plate", "P1") in data.study.quarantined, "the file was looked for, and found to be no plate"
    assert len(data.table("effects")), "the rest of the study goes on"


def said(study: Path, name: str) -> list[tuple[str, str]]:
    """Severity and code of what `check` says of one file."""
    return [(p.severity, p.code) for p in analysis.check(study) if p.file.endswith(name)]


def test_check_looks_into_fcs_files_and_uptake_tables(four_donors: Path) -> None:
    """What the report would set aside is said before anything is computed, with the same code."""
    fcs, raw = four_donors / "phenotype" / "fcs", four_donors / "phagocytosis" / "raw"
    stained = sorted(fcs.glob("*_stained.fcs"))
    stained[0].write_bytes(stained[0].read_bytes()[:3000])
    stained[1].write_bytes(stained[1].read_bytes().replace(b"PE-A", b"PX-A"))
    warm = sorted(raw.glob("*_warm.fcs"))[0]
    warm.write_text("not a cytometer's file\n", encoding="utf-8")
    assert ("quarantine", "truncated") in said(four_donors, stained[0].name)
    assert ("quarantine", "channel-missing") in said(four_donors, stained[1].name)
    assert ("quarantine", "not-fcs") in said(four_donors, warm.name)
    aside = {p.entity for p in analysis.check(four_donors) if p.severity == "quarantine"}
    assert aside == {p.entity for p in analysis.load_study(four_donors).problems if p.severity == "quarantine"}


@pytest.fixture
def four_donors(tmp_path: Path) -> Path:
    """A small simulated study that a test may break."""
    write_demo(tmp_path / "study", 4)
    return tmp_path / "study"
