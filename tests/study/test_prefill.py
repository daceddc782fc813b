"""A new study begun from instrument files has their plates, layouts and analytes filled in."""

from __future__ import annotations

from pathlib import Path

import openpyxl

from helpers.study.prefill import prefilled
from helpers.study.template import write_template


def test_the_demos_plates_fill_the_sheets(demo: Path, tmp_path: Path) -> None:
    files = sorted((demo / "cytokines" / "raw").iterdir())
    problems = write_template(tmp_path / "new", files)
    assert not [p for p in problems if p.severity == "error"]
    book = openpyxl.load_workbook(tmp_path / "new" / "template.xlsx")
    plates = list(book["cytokines_plates"].iter_rows(min_row=2, values_only=True))
    heads = [c.value for c in book["cytokines_plates"][1]]
    named = [dict(zip(heads, row, strict=True)) for row in plates if row[0]]
    assert [(r["plate_id"], r["instrument_file"], r["platform"]) for r in named] == [
        ("P1", "P1.csv", "luminex_xponent"),
        ("P2", "P2.csv", "luminex_xponent"),
        ("P3", "P3.xlsx", "bioplex"),
    ]
    layout = [r for r in book["cytokines_layout"].iter_rows(min_row=2, values_only=True) if r[0]]
    assert len([r for r in layout if r[0] == "P1"]) == 96
    roles = {r[1]: r[2] for r in layout if r[0] == "P1"}
    assert roles["A1"] == "standard"
    assert len([r for r in book["cytokines_analytes"].iter_rows(min_row=2, values_only=True) if r[0]]) >= 30


def test_a_name_of_a_person_never_becomes_a_sample(tmp_path: Path) -> None:
    file = tmp_path / "plate.csv"
    file.write_text(
        "well,sample,analyte,mfi\nA1,C001,IL-6,10\nA2,张伟,IL-6,11\nA3,Maria Lopez,IL-6,12\n", encoding="utf-8"
    )
    rows, _ = prefilled([], [file])
    assert [r.get("sample_id", "") for r in rows["cytokines/layout"]] == ["C001", "", ""]


def test_a_file_that_cannot_be_read_keeps_its_record_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "junk.csv"
    file.write_text("nothing of a plate\n", encoding="utf-8")
    rows, problems = prefilled([], [file])
    assert rows["cytokines/plates"] == [{"plate_id": "P1", "instrument_file": "junk.csv"}]
    assert {p.severity for p in problems} == {"warning"}
