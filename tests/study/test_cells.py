"""Cells: repaired only where there is one way to read them."""

from __future__ import annotations

import pytest

from helpers.core.schemas import Field, input_tables
from helpers.study.cells import Column, column_problems, read_column

NUMBER = Field("x", "number", "X", "A number.", unit="mmHg")
PERCENT = Field("x", "number", "X", "A share.", unit="%")
WHOLE = Field("x", "integer", "X", "A count.")
SEX = input_tables()["donors"].field("sex")
YES_NO = input_tables()["donors"].field("consent_signed")
DONOR = input_tables()["donors"].field("donor_id")


def read(field: Field, *cells: str, marks: dict[int, str] | None = None) -> Column:
    column = Column(field, field.name, list(cells), tuple(range(2, len(cells) + 2)), marks or {})
    read_column(column)
    return column


@pytest.mark.parametrize(
    ("field", "typed", "meant"),
    [
        (NUMBER, "12,5", "12.5"),
        (NUMBER, "-0,25", "-0.25"),
        (NUMBER, "１２．５", "12.5"),
        (NUMBER, "−3", "-3"),
        (NUMBER, "1,234.5", "1234.5"),
        (NUMBER, "1.234,5", "1234.5"),
        (NUMBER, "1,234,567", "1234567"),
        (NUMBER, "1 234,5", "1234.5"),
        (NUMBER, "1.234", "1.234"),
        (NUMBER, "n/a", ""),
        (NUMBER, "—", ""),
        (NUMBER, "1e-3", "1e-3"),
        (PERCENT, "12 %", "12"),
        (WHOLE, "3.0", "3"),
        (WHOLE, "1E+02", "100"),
        (SEX, "男", "male"),
        (SEX, "F", "female"),
        (SEX, "Female ", "female"),
        (YES_NO, "是", "true"),
        (YES_NO, "NO", "false"),
        (YES_NO, "1", "true"),
        (DONOR, "Ｄ０１", "D01"),
    ],
)
def test_what_can_be_read_in_one_way_is_read(field: Field, typed: str, meant: str) -> None:
    column = read(field, typed)
    assert column.cells == [meant]
    assert not column.refused


@pytest.mark.parametrize(
    ("field", "typed", "code"),
    [
        (NUMBER, "1,234", "ambiguous-comma"),
        (NUMBER, "<12.3", "qualifier-in-number"),
        (NUMBER, "＜5", "qualifier-in-number"),
        (NUMBER, "65 mmHg", "unit-in-number"),
        (NUMBER, "3-May", "excel-date"),
        (NUMBER, "May-03", "excel-date"),
        (NUMBER, "#REF!", "excel-error"),
        (NUMBER, "########", "excel-error"),
        (NUMBER, "high", "not-a-number"),
        (NUMBER, "1.2.3", "not-a-number"),
        (NUMBER, "0x10", "unit-in-number"),
        (WHOLE, "3.5", "not-whole"),
        (WHOLE, "100.000", "ambiguous-point"),
        (WHOLE, "1e300", "out-of-range"),
        (DONOR, "1-Mar", "excel-date"),
        (DONOR, "01. Mrz", "excel-date"),
        (DONOR, "3月1日", "excel-date"),
        (DONOR, "1.23E+11", "excel-number"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(field: Field, typed: str, code: str) -> None:
    column = read(field, typed)
    assert column.refused[0][0] == code


@pytest.mark.parametrize("typed", ["MAR-1", "MAR-01", "SEP2", "DEC1-A", "1E5"])
def test_codes_that_excel_would_have_spoilt_but_did_not_are_codes(typed: str) -> None:
    column = read(DONOR, typed)
    assert column.refused == {} and column.cells == [typed]


def test_a_clear_decimal_comma_settles_the_doubtful_ones_of_its_column() -> None:
    assert read(NUMBER, "1,234", "0,5").cells == ["1.234", "0.5"]


@pytest.mark.parametrize("doubtful", ["1.234", "6.000", "-12.345"])
@pytest.mark.parametrize("clear", ["12,5", "1.234,5"])
def test_a_point_may_separate_thousands_where_commas_separate_decimals(doubtful: str, clear: str) -> None:
    column = read(NUMBER, doubtful, clear, "0.125", "1.25")
    assert {i: code for i, (code, _, _) in column.refused.items()} == {0: "ambiguous-point"}


def test_a_comma_that_was_settled_is_not_doubted_again() -> None:
    assert read(NUMBER, "12,345", "0,5").cells == ["12.345", "0.5"]


def test_a_number_cell_of_a_workbook_has_no_doubtful_point() -> None:
    assert read(NUMBER, "1.234", "12,5", marks={0: "number"}).refused == {}


def test_thousands_and_decimal_commas_in_one_column_settle_nothing() -> None:
    column = read(NUMBER, "1,234", "0,5", "1,234,567")
    assert column.refused[0][0] == "ambiguous-comma"


def test_a_date_cell_of_excel_is_refused_in_every_column() -> None:
    assert read(DONOR, "2024-03-01", marks={0: "date"}).refused[0][0] == "excel-date"


def test_an_unknown_code_stays_for_the_structure_check() -> None:
    column = read(SEX, "femal")
    assert column.cells == ["femal"]
    assert not column.refused


def test_repairs_are_said_once_a_kind() -> None:
    column = read(NUMBER, "1,5", "2,5", "3,5", "n/a")
    said = column_problems(column, "donors.csv", "")
    assert sorted(p.code for p in said) == ["decimal-comma", "missing-word"]
    assert all(p.severity == "repaired" for p in said)
    assert "3 cells" in next(p.message for p in said if p.code == "decimal-comma")
