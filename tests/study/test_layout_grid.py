"""A plate drawn as a grid is a layout, cell by cell, and its mistakes point to the cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.study.folder import read_folder
from helpers.study.opening import check_study

HEAD = "{plate}," + ",".join(map(str, range(1, 13)))


def grid(plate: str, first: str) -> str:
    rows = [first, *(f"{letter}" + "," * 12 for letter in "BCDEFGH")]
    return "\n".join([HEAD.format(plate=plate), *rows]) + "\n"


@pytest.fixture
def drawn(small_study: Path) -> Path:
    (small_study / "cytokines" / "raw").mkdir(parents=True)
    (small_study / "cytokines" / "raw" / "p.csv").write_text("x\n", encoding="utf-8")
    (small_study / "cytokines" / "plates.csv").write_text(
        "plate_id,instrument_file\nP1,p.csv\nP2,p.csv\n", encoding="utf-8"
    )
    (small_study / "cytokines" / "layout_P1.csv").write_text(
        grid("P1", "A,S1,S2,B,QC1,R,C01,C02 @4,,,,,"), encoding="utf-8"
    )
    (small_study / "cytokines" / "layout_P2.csv").write_text(grid("P2", "A,S1,C03,,,,,,,,,,"), encoding="utf-8")
    return small_study


def test_two_grids_become_one_layout(drawn: Path) -> None:
    raw = read_folder(drawn).sheets["cytokines/layout"]
    assert raw.cells.to_numpy().tolist() == [
        ["P1", "A1", "standard", "1", "", ""],
        ["P1", "A2", "standard", "2", "", ""],
        ["P1", "A3", "blank", "", "", ""],
        ["P1", "A4", "control", "1", "", ""],
        ["P1", "A5", "bridge", "", "bridge", ""],
        ["P1", "A6", "sample", "", "C01", ""],
        ["P1", "A7", "sample", "", "C02", "4"],
        ["P2", "A1", "standard", "1", "", ""],
        ["P2", "A2", "sample", "", "C03", ""],
    ]
    assert not [p for p in check_study(drawn) if p.severity == "error"]


def test_a_wrong_code_points_to_its_cell(drawn: Path) -> None:
    (drawn / "cytokines" / "layout_P2.csv").write_text(grid("P2", "A,S1,,C99,,,,,,,,,"), encoding="utf-8")
    wrong = [p for p in check_study(drawn) if p.severity == "error"]
    assert [(p.file, p.row, p.column, p.found) for p in wrong] == [("cytokines/layout_P2.csv", 2, "3", "C99")]
