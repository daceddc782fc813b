"""All output tables in one Excel workbook: a sheet a table, notes on the columns, nothing that runs."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Mapping
from typing import Any, cast

import openpyxl
import pandas as pd
from lxml.etree import SerialisationError
from openpyxl.cell import WriteOnlyCell
from openpyxl.comments import Comment
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter

from helpers.core.office import without_times
from helpers.core.schemas import output_tables
from helpers.study.config import Config
from helpers.tables.words import READ_ME_SIMULATED

EXCEL_ROWS = 1_048_576
ROWS_AT_ONCE = 5_000
"""Rows that are Python's objects at one time: a whole table of them takes hundreds of megabytes."""
_HEAD = PatternFill("solid", fgColor="E8EEF4")
_RUN = ("=", "+", "-", "@", "#")
"""Beginnings of text that is kept from being read as a formula or an error."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def workbook_bytes(tables: Mapping[str, pd.DataFrame], config: Config) -> bytes:
    """The workbook as bytes.

    Parameters
    ----------
    tables
        Output tables by name, in the order of the sheets.
    config
        study.yaml, for the first sheet.

    Returns
    -------
    An .xlsx file. Text is stored as text, so that no cell is ever run as a formula; longer tables than Excel
    holds are cut, and the first sheet says so.

    Raises
    ------
    OSError
        Where the disk is full: each sheet passes through a file.
    """
    try:
        book = openpyxl.Workbook(write_only=True)
        book.properties.creator = "apap-notebooks"
        _read_me(book.create_sheet("read me"), tables, config)
        for name, table in tables.items():
            _sheet(book.create_sheet(sheet_name(name)), name, table)
        out = io.BytesIO()
        book.save(out)
    except SerialisationError as err:  # of a sheet on its way through the disk: a name such as IO_ENOSPC
        number = getattr(errno, str(err).removeprefix("IO_"), errno.EIO)
        raise OSError(number, os.strerror(number)) from err
    return without_times(out.getvalue())


def sheet_name(name: str) -> str:
    """A table's name as Excel allows it: at most 31 characters, without : \\ / ? * [ ].

    Examples
    --------
    >>> sheet_name("cytokines/plates")
    'cytokines_plates'
    """
    return re.sub(r"[:\\/?*\[\]]", "_", name)[:31]


def _read_me(sheet: Any, tables: Mapping[str, pd.DataFrame], config: Config) -> None:
    schemas = output_tables()
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width, sheet.column_dimensions["C"].width = (
        28,
        12,
        110,
    )
    lines: list[list[Any]] = [[config.title], [f"Study {config.id}, registry {config.registry_id or 'none'}"]]
    if config.simulated:
        lines.append([READ_ME_SIMULATED])
    lines += [[], ["Sheet", "Rows", "What it holds"]]
    for name, table in tables.items():
        said = schemas[name].description if name in schemas else ""
        cut = " Cut at the rows Excel can hold; the CSV file has all." if len(table) >= EXCEL_ROWS else ""
        lines.append([sheet_name(name), len(table), said + cut])
    for i, line in enumerate(lines):
        sheet.append([_cell(sheet, value, bold=i == 0 or line[:1] == ["Sheet"]) for value in line])


def _sheet(sheet: Any, name: str, table: pd.DataFrame) -> None:
    sheet.freeze_panes = "A2"
    schema = output_tables().get(name)
    known = {f.name: f for f in schema.fields} if schema else {}
    for j, column in enumerate(table.columns, 1):
        longest = max([len(str(column)), *(len(str(v)) for v in table[column].head(200))])
        sheet.column_dimensions[get_column_letter(j)].width = min(60, longest + 3)
    head = []
    for column in table.columns:
        cell = _cell(sheet, str(column), bold=True)
        cell.fill = _HEAD
        if column in known:
            unit = f"\nUnit: {known[column].unit}" if known[column].unit else ""
            cell.comment = Comment(
                f"{known[column].title}. {known[column].description}{unit}", "apap-notebooks", height=110, width=300
            )
        head.append(cell)
    sheet.append(head)
    for start in range(0, min(len(table), EXCEL_ROWS - 1), ROWS_AT_ONCE):
        shown = table.iloc[start : min(start + ROWS_AT_ONCE, EXCEL_ROWS - 1)]
        columns = [[_value(sheet, v) for v in _plain(shown[column])] for column in shown]
        for row in zip(*columns, strict=True):
            sheet.append(row)
    if len(table.columns):
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(table.columns))}{min(len(table), EXCEL_ROWS - 1) + 1}"


def _plain(column: pd.Series) -> list[Any]:
    """Values as Python's own, None where missing."""
    return cast(list[Any], column.astype(object).where(column.notna(), None).tolist())


def _value(sheet: Any, value: Any) -> Any:
    """A value as it is; a cell of its own for text that Excel would run, or take for an error."""
    if isinstance(value, str):
        return _cell(sheet, value) if value[:1] in _RUN or _CONTROL.search(value) else value
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return value


def _cell(sheet: Any, value: Any, bold: bool = False) -> Any:
    cell = WriteOnlyCell(sheet, value=_CONTROL.sub("", value) if isinstance(value, str) else value)
    if isinstance(value, str):
        cell.data_type = "s"  # openpyxl would make a formula of text that begins with =, an error of #N/A
        cell.quotePrefix = value[:1] in _RUN
    if bold:
        cell.font = Font(bold=True)
    return cell
