"""Tables as readers see them, and the workbook: escaped, rounded, never a formula."""

from __future__ import annotations

import io
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from helpers.analysis import load_study
from helpers.core.schemas import output_tables
from helpers.tables.base import show_table
from helpers.tables.workbook import sheet_name, workbook_bytes

NASTY = ["<script>alert(1)</script>", "\"quotes\" & 'more'", "😀", "肺泡巨噬细胞", "x" * 60, "=1+1", "@SUM(A1)", None]


def test_cells_and_captions_are_escaped() -> None:
    html = show_table(
        pd.DataFrame({"<b>": NASTY}), "A <i>caption</i>", ["<u>note</u>"], {"<b>": "<h>\n<unit>"}
    )._repr_html_()
    for raw in ("<script>", "<i>", "<u>note", "<h>", "<unit>"):
        assert raw not in html
    assert "肺泡巨噬细胞" in html


def test_numbers_are_rounded_in_text_and_whole_for_sorting() -> None:
    view = show_table(pd.DataFrame({"x": [0.123456789, None], "n": [1, 2], "ok": [True, False]}), "c")
    assert "0.123" in repr(view)
    assert 'data-sort="0.1235"' in view._repr_html_()
    assert "yes" in repr(view)


def test_long_tables_are_cut_with_a_sentence() -> None:
    view = show_table(pd.DataFrame({"x": range(1000)}), "c", file="tables/x.csv")
    assert view._repr_html_().count("<tr>") == 51
    assert "50 of 1,000 rows are shown. The whole table is in tables/x.csv." in repr(view)


def test_an_empty_table_says_so() -> None:
    assert "No rows." in repr(show_table(pd.DataFrame({"x": []}), "c"))
    assert "No rows." in show_table(pd.DataFrame({"x": []}), "c")._repr_html_()


@pytest.fixture(scope="module")
def book(demo: Path) -> openpyxl.Workbook:
    data = load_study(demo)
    tables = {n: data.table(n) for n in data.names()} | {
        "nasty": pd.DataFrame({"note": NASTY, "x": [0.1] * len(NASTY), "ok": [True, False] * 4})
    }
    return openpyxl.load_workbook(io.BytesIO(workbook_bytes(tables, data.config)))


def test_the_workbook_has_a_sheet_a_table_with_its_numbers(book: openpyxl.Workbook, demo: Path) -> None:
    data = load_study(demo)
    for name in data.names():
        sheet, table = book[sheet_name(name)], data.table(name)
        assert sheet.max_row == len(table) + 1
        assert [c.value for c in sheet[1]] == list(table.columns)
        assert sheet.freeze_panes == "A2"
    values = [
        r[0].value
        for r in book["donors_derived"].iter_rows(
            min_row=2, min_col=data.table("donors_derived").columns.get_loc("pao2_mmhg") + 1
        )
    ]
    assert values == pytest.approx([None if pd.isna(v) else v for v in data.table("donors_derived")["pao2_mmhg"]])


def test_headings_carry_their_meaning(book: openpyxl.Workbook) -> None:
    schema = output_tables()["donors_derived"]
    for cell in book["donors_derived"][1]:
        assert schema.field(cell.value).description in cell.comment.text


def test_nothing_in_the_workbook_runs(book: openpyxl.Workbook) -> None:
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f", f"{sheet.title} {cell.coordinate}"
    assert [c.value for c in book["nasty"]["A"]][6] == "=1+1"


def test_the_first_sheet_says_simulated(book: openpyxl.Workbook) -> None:
    assert any("SIMULATED" in str(c.value) for row in book["read me"].iter_rows(max_row=4) for c in row)


def test_the_same_tables_give_the_same_content(demo: Path) -> None:
    data = load_study(demo)
    one, two = (workbook_bytes({"problems": data.table("problems")}, data.config) for _ in range(2))
    import zipfile

    def parts(blob: bytes) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(blob)) as z:
            return {n: z.read(n) for n in z.namelist() if n != "docProps/core.xml"}

    assert parts(one) == parts(two)


@pytest.mark.parametrize("name", ["a/b", "x" * 50, "a:b?c*[d]"])
def test_sheet_names_are_those_excel_allows(name: str) -> None:
    made = sheet_name(name)
    assert len(made) <= 31
    assert not set(made) & set(":\\/?*[]")
