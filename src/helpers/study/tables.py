"""From raw sheets to typed tables: headings matched, cells read by the schema, structure checked.

The structure check itself (types, codes, limits, needed values) is frictionless'; the sentences are ours,
because its messages print the cell and count rows of their own.
"""

from __future__ import annotations

import re
import unicodedata
from collections import namedtuple
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pandas as pd

from helpers.core import privacy
from helpers.core.cache import digest_of, remember
from helpers.core.problems import Problem
from helpers.core.schemas import Field, TableSchema
from helpers.readers.sheets import RawTable
from helpers.study.cells import Column, column_problems, expected_of, read_column, refuse_points

DTYPES = {"string": "string", "integer": "Int64", "number": "float64", "boolean": "boolean"}


@dataclass(frozen=True)
class TypedTable:
    """A table as the schema means it, and where each cell stands in the file.

    Parameters
    ----------
    schema
        Its contract.
    frame
        Columns of the schema in order, then kept ``x_*`` columns; one row a record; dtypes as in `DTYPES`.
    file, sheet, rows, headings
        Where it came from: rows holds the file line or sheet row of each record, headings the heading of
        each column as the person wrote it, places the cell of each record where a table was drawn as a grid.
    """

    schema: TableSchema
    frame: pd.DataFrame
    file: str
    sheet: str
    rows: tuple[int, ...]
    headings: dict[str, str]
    places: tuple[tuple[str, str, int, str], ...] = ()

    def at(self, i: int, column: str = "") -> dict[str, Any]:
        """Place of record `i` (from 0) as keyword arguments of `Problem`."""
        if self.places:
            return dict(zip(("file", "sheet", "row", "column"), self.places[i], strict=True))
        return {
            "file": self.file,
            "sheet": self.sheet,
            "row": self.rows[i] if self.rows else None,
            "column": self.headings.get(column, column),
        }


def empty_table(schema: TableSchema, file: str = "") -> TypedTable:
    """The table of a study that does not have it: right columns, no rows."""
    frame = pd.DataFrame({f.name: pd.Series([], dtype=DTYPES[f.type]) for f in schema.fields})
    return TypedTable(schema, frame, file or f"{schema.name}.csv", "", (), {})


def default_rows(schema: TableSchema, n: int) -> pd.DataFrame:
    """`n` records in which every column has its default or is missing.

    Examples
    --------
    >>> from helpers.core.schemas import input_tables
    >>> default_rows(input_tables()["specimens"], 2)["visit"].tolist()
    ['V1', 'V1']
    """
    return _typed_frame(schema, {}, n)


def type_table(raw: RawTable, schema: TableSchema, patterns: Mapping[str, str]) -> tuple[TypedTable, list[Problem]]:
    """Read a raw sheet by its schema.

    Parameters
    ----------
    raw
        Headings and cells as text.
    schema
        The table it should be.
    patterns
        ``id_patterns`` of study.yaml, by name of the setting.

    Returns
    -------
    The typed table (cells that cannot be read are missing) and every problem.
    """
    headings, problems = match_headings(raw, schema)
    columns = {
        name: _column(raw, schema.field(name), heading)
        for name, heading in headings.items()
        if not name.startswith("x_")
    }
    for column in columns.values():
        read_column(column)
    if any(column.decimal_commas for column in columns.values()):
        for column in columns.values():
            refuse_points(column)
    for column in columns.values():
        problems += column_problems(column, raw.file, raw.sheet)
        for i in column.refused:
            column.cells[i] = ""
    problems += _structure(raw, schema, columns, patterns)
    for column in columns.values():
        _fill_default(column)
    problems += _unusual(raw, columns)
    frame = _typed_frame(schema, columns, len(raw.rows))
    for name, heading in headings.items():
        if name.startswith("x_"):
            frame[name] = pd.array(raw.cells[heading].tolist(), dtype="string")
    return TypedTable(schema, frame, raw.file, raw.sheet, raw.rows, headings, raw.places), problems


def _column(raw: RawTable, one: Field, heading: str) -> Column:
    marks = {i: kind for (i, name), kind in raw.marks.items() if name == heading}
    return Column(one, heading, raw.cells[heading].tolist(), raw.rows, marks)


def plain_heading(text: str) -> str:
    """A heading without case, spaces and punctuation, for matching.

    Examples
    --------
    >>> plain_heading(" Donor ID "), plain_heading("PaO2 (mmHg)")
    ('donor_id', 'pao2_mmhg')
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[^\w]+", "_", text).strip("_")


def match_headings(raw: RawTable, schema: TableSchema) -> tuple[dict[str, str], list[Problem]]:
    """Which heading is which column; unknown, private and missing ones as problems."""
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for heading in raw.columns:
        where: dict[str, Any] = {"file": raw.file, "sheet": raw.sheet, "column": heading}
        name = plain_heading(heading)
        private = privacy.column_finding(heading)
        if name in schema.columns and name not in found:
            found[name] = heading
            if name != heading:
                problems.append(
                    Problem(
                        "repaired",
                        "heading-spelling",
                        "This heading differs in case or spaces from the column it means.",
                        "Nothing to do.",
                        expected=name,
                        **where,
                    )
                )
        elif name in schema.columns:
            problems.append(
                Problem(
                    "error",
                    "duplicate-heading",
                    "Two headings mean the same column.",
                    "Keep one of them.",
                    expected=name,
                    **where,
                )
            )
        elif private:
            problems.append(
                Problem(
                    "error",
                    "private-column",
                    f"A column of this kind may not be in a study folder: {private.description}.",
                    "Delete the column; the study knows donors by their code alone.",
                    **where,
                )
            )
        elif re.fullmatch(r"x_\w{1,60}", name):
            found[name] = heading
        else:
            near = get_close_matches(name, schema.columns, 1, 0.6)
            problems.append(
                Problem(
                    "error",
                    "unknown-column",
                    f"The table {schema.name} has no such column.",
                    "Rename it, delete it, or begin its heading with x_ to keep it unused.",
                    expected=near[0] if near else "one of " + ", ".join(schema.columns[:6]) + ", …",
                    **where,
                )
            )
    for one in schema.fields:
        if one.required and one.name not in found:
            problems.append(
                Problem(
                    "error",
                    "missing-column",
                    f"The table {schema.name} needs a column that is not there.",
                    "Add the column.",
                    file=raw.file,
                    sheet=raw.sheet,
                    expected=one.name,
                )
            )
    return found, problems


def _structure(
    raw: RawTable, schema: TableSchema, columns: Mapping[str, Column], patterns: Mapping[str, str]
) -> list[Problem]:
    """Let frictionless check types, codes, limits and needed values; say the result in our words."""
    if not raw.rows or not columns:
        return []
    names = [f.name for f in schema.fields if f.name in columns]
    descriptor = {"fields": [_descriptor(schema, name, patterns) for name in names], "missingValues": [""]}
    cells = [columns[n].cells for n in names]
    problems = []
    for name, i in _wrong(digest_of([repr(descriptor), repr(cells)]), descriptor, cells):
        column = columns[name]
        if i not in column.refused:
            problems.append(_cell_problem(raw, schema, column, i, patterns))
            column.refused[i] = ("", "", "")
    for column in columns.values():
        for i in column.refused:
            column.cells[i] = ""
    return problems


@remember("study", ignore=("descriptor", "cells"))
def _wrong(digest: str, descriptor: dict[str, Any], cells: list[list[str]]) -> list[tuple[str, int]]:
    """Columns and records that frictionless refuses, without what stands there.

    Each field is asked of each text once: whole rows, of which most texts are repeated, took it six times as long.
    """
    import frictionless

    found = []
    for field, own in zip(frictionless.Schema.from_descriptor(descriptor).fields, cells, strict=True):
        read = field.create_cell_reader()
        refused = {text for text in set(own) if read(text)[1]}
        found += [(field.name, i) for i, text in enumerate(own) if text in refused]
    return found


def _descriptor(schema: TableSchema, name: str, patterns: Mapping[str, str]) -> dict[str, Any]:
    raw: dict[str, Any] = deepcopy(next(f for f in schema.descriptor["fields"] if f["name"] == name))
    setting = patterns.get(raw.get("patternSetting", ""))
    if setting:
        raw["constraints"]["pattern"] = f"(?:{setting})"
    kept = ("name", "type", "constraints", "trueValues", "falseValues")
    return {k: v for k, v in raw.items() if k in kept}


def _cell_problem(raw: RawTable, schema: TableSchema, column: Column, i: int, patterns: Mapping[str, str]) -> Problem:
    one, text = column.field, column.cells[i]
    where = raw.place(i, column.heading)
    expected = expected_of(one)
    if not text:
        return Problem(
            "error", "missing-value", "A value is needed here.", "Fill in the cell.", expected=expected, **where
        )
    if one.codes:
        near = get_close_matches(text.casefold(), one.codes, 1, 0.6)
        return Problem(
            "error",
            "unknown-code",
            "This is not one of the codes of the column.",
            "Use a listed code.",
            found=text,
            expected=f"{near[0]} (or {expected})" if near else expected,
            **where,
        )
    if one.type == "boolean":
        return Problem(
            "error",
            "not-yes-no",
            "Yes or no is expected here.",
            "Write yes or no, or leave the cell empty where it is not known.",
            found=text,
            expected=expected,
            **where,
        )
    if one.type in ("number", "integer"):
        return Problem(
            "error",
            "out-of-range",
            "This number lies outside what is possible.",
            "Correct the number or its unit.",
            found=text,
            expected=expected,
            **where,
        )
    if len(text) > 80 and not one.identifier:
        return Problem(
            "error", "too-long", "This text is too long.", "Shorten it.", found=text, expected=expected, **where
        )
    pattern = patterns.get(one.pattern_setting, one.pattern)
    return Problem(
        "error",
        "bad-code",
        "This code does not have the form its column needs.",
        f"Correct the code, or set id_patterns.{one.pattern_setting} in study.yaml."
        if one.pattern_setting
        else "Correct the text.",
        found=text,
        expected=f"text of the form {pattern}",
        **where,
    )


def _fill_default(column: Column) -> None:
    if column.field.default is not None:
        column.cells = [
            text or _as_text(column.field.default) if i not in column.refused else text
            for i, text in enumerate(column.cells)
        ]


def _as_text(value: str | int | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unusual(raw: RawTable, columns: Mapping[str, Column]) -> list[Problem]:
    """Possible values that are rarely right: said, not changed."""
    problems = []
    for column in columns.values():
        usual = column.field.usual
        for i, text in enumerate(column.cells if usual else ()):
            if usual and text and not usual[0] <= float(text) <= usual[1]:
                problems.append(
                    Problem(
                        "warning",
                        "unusual-value",
                        "This value is possible but unusual.",
                        "Check it against the source.",
                        **raw.place(i, column.heading),
                        found=text,
                        expected=f"usually {usual[0]:g} to {usual[1]:g} {column.field.unit}".strip(),
                    )
                )
    return problems


def _typed_frame(schema: TableSchema, columns: Mapping[str, Column], n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            one.name: _typed(one, columns[one.name].cells if one.name in columns else [_default(one)] * n)
            for one in schema.fields
        }
    )


def _default(one: Field) -> str:
    return "" if one.default is None else _as_text(one.default)


def _typed(one: Field, cells: list[str]) -> pd.Series:
    if one.type == "boolean":
        return pd.Series([None if not c else c == "true" for c in cells], dtype="boolean")
    if one.type == "number":
        return pd.Series([float(c) if c else float("nan") for c in cells], dtype="float64")
    if one.type == "integer":
        return pd.Series([int(float(c)) if c else None for c in cells], dtype="Int64")
    return pd.Series([c or None for c in cells], dtype="string")


def records(frame: pd.DataFrame) -> list[Any]:
    """Rows as named tuples of plain Python: None for missing text and yes/no, NaN for missing numbers.

    Comparisons with a missing number are then False instead of an error or a third value.

    Examples
    --------
    >>> row = records(pd.DataFrame({"n": pd.array([None], "Int64"), "ok": pd.array([True], "boolean")}))[0]
    >>> row.n > 0, row.ok is True
    (False, True)
    """
    plain: dict[str, list[Any]] = {}
    for name in frame.columns:
        values, missing = frame[name].astype(object).tolist(), frame[name].isna().tolist()
        numeric = pd.api.types.is_numeric_dtype(frame[name].dtype) and not pd.api.types.is_bool_dtype(frame[name].dtype)
        nothing = float("nan") if numeric else None
        plain[name] = [nothing if lacks else v for v, lacks in zip(values, missing, strict=True)]
    Record = namedtuple("Record", list(frame.columns), rename=True)  # type: ignore[misc]
    return [Record(*values) for values in zip(*plain.values(), strict=True)]
