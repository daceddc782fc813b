"""Sheets as people and Excel leave them, and files that are no sheets at all."""

from __future__ import annotations

import csv
import datetime
import io
import os
import string
import zipfile
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.readers.sheets import (
    RawTable,
    has_closed_texts,
    is_office_file,
    read_csv,
    read_tables,
    read_workbook,
    workbook_texts,
)


def codes(table: RawTable) -> set[str]:
    return {p.code for p in table.problems}


def book(*rows: list[object], title: str = "donors") -> bytes:
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.title = title
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_separators_are_found(delimiter: str) -> None:
    table = read_csv(
        delimiter.join(["donor_id", "note"]).encode() + b"\n" + delimiter.join(["D01", '"a, b; c"']).encode() + b"\n",
        "x.csv",
    )
    assert table.columns == ("donor_id", "note")
    assert table.cells["note"].tolist() == ["a, b; c"]


def test_semicolons_with_decimal_commas() -> None:
    table = read_csv(b"donor_id;height\nD01;171,5\nD02;160,0\n", "x.csv")
    assert table.cells["height"].tolist() == ["171,5", "160,0"]


def test_the_first_line_of_excel_names_the_separator_and_rows_still_count_right() -> None:
    table = read_csv(b"sep=;\ndonor_id;note\nD01;x\n", "x.csv")
    assert table.columns == ("donor_id", "note")
    assert table.rows == (3,)


def test_rows_are_lines_of_the_file() -> None:
    table = read_csv(b'donor_id,note\nD01,"two\nlines"\n\nD02,x\n', "x.csv")
    assert table.rows == (2, 5)
    assert table.cells["note"].tolist() == ["two\nlines", "x"]


def test_empty_rows_and_columns_of_excel_vanish() -> None:
    table = read_csv("donor_id,age,,\nD01,44,,\n,,,\n,,,\n".encode("utf-8-sig"), "x.csv")
    assert table.columns == ("donor_id", "age")
    assert len(table.rows) == 1


def test_spaces_of_all_kinds_are_removed_and_said_once() -> None:
    table = read_csv("donor_id,age\n D01\u00a0,44\n\u3000D02,\u200b45\n".encode(), "x.csv")
    assert table.cells["donor_id"].tolist() == ["D01", "D02"]
    assert table.cells["age"].tolist() == ["44", "45"]
    assert sum(p.code == "spaces" and p.column == "donor_id" for p in table.problems) == 1


def test_full_width_codes_become_ordinary_and_chinese_comments_stay() -> None:
    table = read_csv(
        "ｄｏｎｏｒ＿ｉｄ，comment\n".replace("，", ",").encode() + "Ｄ０１,灌洗，第３次（左）\n".encode(), "x.csv"
    )
    assert table.columns == ("donor_id", "comment")
    assert table.cells.iloc[0].tolist() == ["D01", "灌洗，第３次（左）"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty-table"), (b"\n\n", "empty-table"), (b"a,a\n1,2\n", "duplicate-heading"), (b"a,\n1,2\n", "no-heading"), (b"a,b\n1,2,3\n", "long-row"),
        (b'a,b\n1,"x\n2,3\n', "open-quote"), (b"\x00\x01\x02" * 50, "not-text"), ("a,b\nM\u00fcller,1\n".encode("cp1252"), "unknown-encoding"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_an_error_with_a_place(data: bytes, code: str) -> None:
    table = read_csv(data, "x.csv")
    hit = next(p for p in table.problems if p.code == code)
    assert (hit.severity, hit.file) == ("error", "x.csv")
    assert hit.fix


def test_a_doubled_heading_above_an_empty_column_is_skipped() -> None:
    table = read_csv(b"a,b,a\n1,2,\n", "x.csv")
    assert table.columns == ("a", "b")
    assert codes(table) == {"empty-column"}


def test_workbook_cells_are_read_as_people_see_them() -> None:
    data = book(
        ["donor_id", "n", "x", "ok", "day", "bad"], ["D01", 3, 0.1 + 0.2, True, datetime.date(2024, 3, 1), "#N/A"]
    )
    (table,), problems = read_workbook(data, "x.xlsx")
    assert problems == []
    assert table.cells.iloc[0].tolist() == ["D01", "3", "0.3", "TRUE", "2024-03-01", "#N/A"]
    assert table.marks == {(0, "day"): "date", (0, "bad"): "error"}
    assert (table.sheet, table.rows) == ("donors", (2,))


def test_sheet_rows_are_those_of_excel() -> None:
    (table,), _ = read_workbook(book([None], [None], ["donor_id", "n"], ["D01", 1], [None, None], ["D02", 2]), "x.xlsx")
    assert table.rows == (4, 6)
    assert {"empty-rows"} == codes(table)


def test_a_sheet_that_starts_away_from_the_corner_keeps_its_rows() -> None:
    made = openpyxl.Workbook()
    made.active["C5"], made.active["D5"], made.active["C6"], made.active["D6"] = "donor_id", "n", "D01", 1
    out = io.BytesIO()
    made.save(out)
    (table,), _ = read_workbook(out.getvalue(), "x.xlsx")
    assert table.columns == ("donor_id", "n")
    assert table.rows == (6,)


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04",
        b"PK\x03\x04" + b"\x00" * 500,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 2000,
        book(["a"], [1])[:-400],
    ],
)
def test_a_damaged_workbook_is_a_sentence(data: bytes) -> None:
    tables, problems = read_workbook(data, "x.xlsx")
    assert tables == []
    assert problems[0].code in ("damaged-workbook", "locked-workbook")


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 60_000_000)
    tables, problems = read_workbook(out.getvalue(), "x.xlsx")
    assert (tables, problems[0].code) == ([], "zip-bomb")


def test_a_hidden_sheet_is_read_and_said() -> None:
    made = openpyxl.Workbook()
    made.active.append(["a"])
    made.active.append([1])
    other = made.create_sheet("old")
    other.append(["a"])
    other.append([2])
    other.sheet_state = "hidden"
    out = io.BytesIO()
    made.save(out)
    shown, hidden = read_workbook(out.getvalue(), "x.xlsx")[0]
    assert [p.code for p in shown.problems] == []
    assert [p.code for p in hidden.problems] == ["hidden-sheet"]


def test_texts_outside_cells_are_found() -> None:
    made = openpyxl.Workbook()
    made.properties.creator, made.properties.keywords = "somebody", "secret"
    made.active["A1"] = "x"
    made.active["A1"].comment = openpyxl.comments.Comment("a comment", "author")
    made.active.oddHeader.center.text = "a header"
    out = io.BytesIO()
    made.save(out)
    texts = " ".join(text for _, text in workbook_texts(out.getvalue()))
    for word in ("somebody", "secret", "a comment", "a header"):
        assert word in texts
    assert list(workbook_texts(b"no workbook")) == []


def test_texts_outside_the_cells_of_an_open_document_are_found() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("meta.xml", '<m xmlns:dc="u"><dc:creator>somebody</dc:creator></m>')
        archive.writestr("content.xml", "<c><p>a cell</p><annotation><p>a <b>comment</b></p></annotation></c>")
        archive.writestr("styles.xml", "<s><header><p>a header</p></header><name>a style</name></s>")
    found = list(workbook_texts(out.getvalue()))
    assert ("properties", "somebody") in found
    assert ("comments", "comment") in found
    assert ("header or footer", "a header") in found
    assert not {"a cell", "a style"} & {text for _, text in found}


def test_old_and_binary_workbooks_are_known_to_hold_texts_that_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with zipfile.ZipFile(tmp_path / "binary", "w") as archive:
        archive.writestr("xl/workbook.bin", b"x")
    (tmp_path / "new").write_bytes(book(["a"]))
    (tmp_path / "text").write_text("a,b", encoding="utf-8")
    names = ("old", "binary", "new", "text")
    assert [is_office_file(tmp_path / n) for n in names] == [True, True, True, False]
    assert [has_closed_texts(tmp_path / n) for n in names[:3]] == [True, True, False]


def test_content_and_not_the_ending_tells_the_format(tmp_path: Path) -> None:
    (tmp_path / "donors.csv").write_bytes(book(["donor_id", "n"], ["D01", 1]))
    tables, problems = read_tables(tmp_path / "donors.csv", "donors.csv")
    assert problems == []
    assert tables[0].columns == ("donor_id", "n")


def test_a_file_that_vanished_is_a_sentence(tmp_path: Path) -> None:
    tables, problems = read_tables(tmp_path / "none.csv", "none.csv")
    assert (tables, problems[0].code) == ([], "unreadable")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_a_sentence_and_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "donors.csv")
    tables, problems = read_tables(tmp_path / "donors.csv", "donors.csv")
    assert (tables, problems[0].code) == ([], "not-a-file")


def test_numbers_that_look_like_thousands_are_marked_as_numbers() -> None:
    (table,), _ = read_workbook(book(["x", "y"], [1.234, "1.234"], [12.5, "12,5"]), "x.xlsx")
    assert table.marks == {(0, "x"): "number"}


def test_real_exports_give_tables_or_sentences(reference_data: Path) -> None:
    files = [
        p for p in sorted(reference_data.rglob("*")) if p.suffix in (".csv", ".xlsx", ".xls", ".tsv") and p.is_file()
    ]
    assert len(files) > 50
    for path in files:
        tables, problems = read_tables(path, path.name)
        said = [*problems, *(p for t in tables for p in t.problems)]
        assert tables or any(p.severity == "error" and p.file for p in said), path.name


plain = (
    st.text(string.ascii_letters + string.digits + ",;'\"|. -_/", min_size=1, max_size=8).map(str.strip).filter(bool)
)


@settings(max_examples=60)
@given(st.lists(st.lists(plain, min_size=3, max_size=3), min_size=1, max_size=6), st.sampled_from([",", ";", "\t"]))
def test_what_csv_writes_is_read_back(rows: list[list[str]], delimiter: str) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["a", "b", "c"], *rows])
    assert read_csv(out.getvalue().encode(), "x.csv").cells.to_numpy().tolist() == rows


@settings(max_examples=150)
@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    read_csv(data, "x.csv")
    read_workbook(b"PK\x03\x04" + data, "x.xlsx")
