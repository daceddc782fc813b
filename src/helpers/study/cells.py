"""Cells: what people and Excel wrote, as the text the schema means, or a sentence why not.

Only what can be read in one way is repaired, and every repair is said once per column with its count.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from helpers.core.problems import Problem
from helpers.core.schemas import Field

MISSING_WORDS = frozenset(
    {"na", "n/a", "n.a.", "nan", "null", "#n/a", "-", "--", "—", "–", ".", "?", "missing", "unknown"}
)
"""Words for a missing value; read so in columns of numbers, yes/no and codes, never in free text."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_GROUPED_POINT = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+|[+-]?\d{1,3}(,\d{3}){2,}")
_GROUPED_COMMA = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+|[+-]?\d{1,3}([ '\u202f]\d{3})+(,\d+)?")
_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d{1,3})?")
_AMBIGUOUS_COMMA = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_AMBIGUOUS_POINT = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
_ALL_ZEROS = re.compile(r"[+-]?[1-9]\d{0,2}(\.000)+")
_MONTHS = "Jan|Feb|Mar|Mrz|Apr|May|Mai|Jun|Jul|Aug|Sep|Oct|Okt|Nov|Dec|Dez"
# as Excel writes it: 1-Mar, 1-Mar-24, Mar-01, 01. Mrz; a code typed as MAR-1 is not among them
_EXCEL_DATE = re.compile(rf"\d{{1,2}}(-|\. ?)({_MONTHS})([- ]\d{{2,4}})?|({_MONTHS})[- ]\d{{2}}|\d{{1,2}}月\d{{1,2}}日")
_EXCEL_NUMBER = re.compile(r"\d\.\d+E\+\d{2}")
_EXCEL_ERROR = re.compile(r"#(N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|SPILL!|CALC!)|#+", re.I)
_QUALIFIED = re.compile(r"[<>≤≥＜＞~≈]\s*[+-]?[\d.,]+.*")
_WITH_UNIT = re.compile(r"[+-]?[\d.,]+\s*[^\d\s.,eE+-].*")


@dataclass
class Column:
    """One column on its way from text to meaning: its cells, and notes and errors by kind.

    `decimal_commas` are the cells whose comma was read as the decimal point.
    """

    field: Field
    heading: str
    cells: list[str]
    rows: tuple[int, ...]
    marks: dict[int, str]
    repaired: dict[str, list[int]] = dataclasses.field(default_factory=lambda: defaultdict(list))
    refused: dict[int, tuple[str, str, str]] = dataclasses.field(default_factory=dict)
    decimal_commas: set[int] = dataclasses.field(default_factory=set)

    def note(self, kind: str, i: int, text: str) -> None:
        """Replace cell `i` by what it means and remember that it was repaired."""
        self.repaired[kind].append(i)
        self.cells[i] = text

    def refuse(self, i: int, code: str, message: str, fix: str) -> None:
        """Remember why cell `i` cannot be read; it becomes missing."""
        self.refused.setdefault(i, (code, message, fix))


_REPAIRS = {
    "missing-word": (
        "says in words that the value is missing; read as empty",
        "say in words that the value is missing; read as empty",
    ),
    "full-width": (
        "has full-width characters; read as ordinary ones",
        "have full-width characters; read as ordinary ones",
    ),
    "decimal-comma": ("has a decimal comma; read as a decimal point", "have a decimal comma; read as a decimal point"),
    "thousands": ("has separators of thousands; read without them", "have separators of thousands; read without them"),
    "percent-sign": (
        "carries a percent sign in a column of percent; read without it",
        "carry a percent sign in a column of percent; read without it",
    ),
    "whole-number": (
        "is a whole number written with decimals; read as whole",
        "are whole numbers written with decimals; read as whole",
    ),
    "code-spelling": (
        "differs from the listed codes in case or spaces; read as the listed one",
        "differ from the listed codes in case or spaces; read as the listed ones",
    ),
}


def read_column(column: Column) -> None:
    """Repair all cells of a column in place, by the type and codes of its field.

    Examples
    --------
    >>> from helpers.core.schemas import input_tables
    >>> age = Column(input_tables()["donors"].field("height_cm"), "height_cm", ["171,5", "NA"], (2, 3), {})
    >>> read_column(age); age.cells, sorted(age.repaired)
    (['171.5', ''], ['decimal-comma', 'missing-word'])
    """
    _excel_traces(column)
    if column.field.type in ("number", "integer"):
        _numbers(column)
    elif column.field.type == "boolean" or column.field.codes:
        _codes(column)
    elif column.field.identifier or column.field.pattern_setting:
        _identifiers(column)


def _open_cells(column: Column) -> Iterable[int]:
    return [i for i, text in enumerate(column.cells) if text and i not in column.refused]


def _excel_traces(column: Column) -> None:
    """Dates, errors and shortened numbers that Excel made of something else cannot be undone."""
    free_text = not (column.field.type != "string" or column.field.codes or column.field.identifier)
    for i in _open_cells(column):
        text = column.cells[i]
        if column.marks.get(i) == "date" or (_EXCEL_DATE.fullmatch(text) and not free_text):
            column.refuse(
                i,
                "excel-date",
                "Excel has turned this cell into a date; what was typed is lost.",
                "Format the column as text, type the value again and save.",
            )
        elif column.marks.get(i) == "error" or _EXCEL_ERROR.fullmatch(text):
            column.refuse(
                i,
                "excel-error",
                "This cell holds an Excel error instead of a value.",
                "Mend the formula or type the value; leave the cell empty where it is missing.",
            )
        elif column.field.identifier and _EXCEL_NUMBER.fullmatch(text):
            column.refuse(
                i,
                "excel-number",
                "Excel has shortened a long number here; digits are lost.",
                "Format the column as text and type the code again.",
            )


def _half_width(column: Column, i: int) -> str:
    text = unicodedata.normalize("NFKC", column.cells[i]).replace("−", "-").replace("﹣", "-").strip()
    if text != column.cells[i]:
        column.note("full-width", i, text)
    return text


def _numbers(column: Column) -> None:
    plain = _NUMBER.fullmatch
    commas: list[int] = []
    for i in _open_cells(column):
        text = _half_width(column, i)
        if plain(text):
            continue
        if text.casefold() in MISSING_WORDS:
            column.note("missing-word", i, "")
        elif column.field.unit == "%" and text.endswith("%") and plain(text[:-1].strip()):
            column.note("percent-sign", i, text[:-1].strip())
        elif _GROUPED_POINT.fullmatch(text):
            column.note("thousands", i, text.replace(",", ""))
        elif _GROUPED_COMMA.fullmatch(text):
            column.decimal_commas |= {i} if "," in text else set()
            column.note("thousands", i, re.sub(r"[. '\u202f]", "", text).replace(",", "."))
        elif _COMMA.fullmatch(text):
            commas.append(i)
        else:
            _not_a_number(column, i, text)
    _decimal_commas(column, commas)
    if column.decimal_commas:
        refuse_points(column)
    if column.field.type == "integer":
        _whole_numbers(column)


def _decimal_commas(column: Column, commas: list[int]) -> None:
    """1,234 may be a thousand or one and a bit: only another cell of the column can tell."""
    clear = [i for i in commas if not _AMBIGUOUS_COMMA.fullmatch(column.cells[i])]
    grouped = column.repaired.get("thousands", [])
    for i in commas:
        if i in clear or (clear and not grouped and column.field.type == "number"):
            column.note("decimal-comma", i, column.cells[i].replace(",", "."))
            column.decimal_commas.add(i)
        else:
            column.refuse(
                i,
                "ambiguous-comma",
                "The comma may separate thousands or decimals.",
                "Write the number with a decimal point and without separators.",
            )


def refuse_points(column: Column) -> None:
    """Refuse points that may separate thousands: 1.234 where the column or its table has decimal commas.

    A number cell of a workbook is no text, so its point is the decimal point.
    """
    if column.field.type in ("number", "integer"):
        _refuse_points(column, _AMBIGUOUS_POINT)


def _refuse_points(column: Column, ambiguous: re.Pattern[str]) -> None:
    for i in _open_cells(column):
        settled = i in column.decimal_commas or column.marks.get(i) == "number"
        if not settled and ambiguous.fullmatch(column.cells[i]):
            column.refuse(
                i,
                "ambiguous-point",
                "The point may separate thousands or decimals.",
                "Write thousands without a separator (1234), and decimals as the other cells do.",
            )


def _whole_numbers(column: Column) -> None:
    _refuse_points(column, _ALL_ZEROS)  # 100.000 may be a hundred or a hundred thousand
    for i in _open_cells(column):
        value = float(column.cells[i])
        if not abs(value) < 1e15:
            column.refuse(i, "out-of-range", "This number is too large.", "Correct the number.")
        elif not value.is_integer():
            column.refuse(
                i, "not-whole", "A whole number is expected here.", "Correct the number, or the column it stands in."
            )
        elif column.cells[i] != str(int(value)):
            column.note("whole-number", i, str(int(value)))


def _not_a_number(column: Column, i: int, text: str) -> None:
    if _QUALIFIED.fullmatch(text):
        column.refuse(
            i,
            "qualifier-in-number",
            "A sign such as < stands in a column of numbers.",
            "Put the number here and the sign into the column qualifier, where the table has one.",
        )
    elif _WITH_UNIT.fullmatch(text):
        column.refuse(
            i,
            "unit-in-number",
            "The number has text behind it, perhaps a unit.",
            "Write the number alone; the unit is fixed by the column or has a column of its own.",
        )
    else:
        column.refuse(
            i,
            "not-a-number",
            "A number is expected here.",
            "Write a number, or leave the cell empty where it is missing.",
        )


def _codes(column: Column) -> None:
    known = set(column.field.codes) | ({"true", "false"} if column.field.type == "boolean" else set())
    spelled = {_folded(s): code for s, code in column.field.synonyms.items()} | {_folded(c): c for c in known}
    for i in _open_cells(column):
        text = column.cells[i]
        if text in known:
            continue
        code = column.field.synonyms.get(text) or spelled.get(_folded(text))
        if code is not None:
            listed = text in column.field.synonyms or text.casefold() in column.field.synonyms
            if listed or column.field.type == "boolean":
                column.cells[i] = code
            else:
                column.note("code-spelling", i, code)
        elif text.casefold() in MISSING_WORDS:
            column.note("missing-word", i, "")


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold().strip()
    return re.sub(r"[\s_-]+", "_", text) if len(text) > 1 else text


def _identifiers(column: Column) -> None:
    for i in _open_cells(column):
        _half_width(column, i)


def column_problems(column: Column, file: str, sheet: str) -> list[Problem]:
    """What was repaired (one note a kind) and what was refused (one error a cell)."""
    problems = []
    for kind, hits in column.repaired.items():
        left = [i for i in hits if i not in column.refused]
        if left:
            problems.append(
                Problem(
                    "repaired",
                    kind,
                    f"{_count(left)} {_REPAIRS[kind][len(left) > 1]}.",
                    "Nothing to do; correct the file if this is not what was meant.",
                    file=file,
                    sheet=sheet,
                    row=column.rows[left[0]],
                    column=column.heading,
                )
            )
    for i, (code, message, fix) in column.refused.items():
        problems.append(
            Problem(
                "error",
                code,
                message,
                fix,
                file=file,
                sheet=sheet,
                row=column.rows[i],
                column=column.heading,
                found=column.cells[i],
                expected=expected_of(column.field),
            )
        )
    return problems


def _count(hits: list[int]) -> str:
    return "1 cell" if len(hits) == 1 else f"{len(hits):,} cells"


def expected_of(one: Field) -> str:
    """What a cell of this column may hold, in words.

    Examples
    --------
    >>> from helpers.core.schemas import input_tables
    >>> expected_of(input_tables()["donors"].field("age_years"))
    'a whole number from 0 to 120 (years)'
    """
    if one.codes:
        return "one of " + ", ".join(one.codes)
    if one.type == "boolean":
        return "yes or no"
    if one.type in ("number", "integer"):
        kind = "a whole number" if one.type == "integer" else "a number"
        limits = ""
        if one.minimum is not None and one.maximum is not None:
            limits = f" from {one.minimum:g} to {one.maximum:g}"
        elif one.minimum is not None:
            limits = f" of at least {one.minimum:g}"
        return kind + limits + (f" ({one.unit})" if one.unit else "")
    return f"text of the form {one.pattern}" if one.pattern else one.title
