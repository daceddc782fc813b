"""Workbooks of Bio-Plex Manager (.xls and .xlsx) → one plate.

Three layouts, told by their headings and never by their ending: a sheet an analyte, with the vendor's legend and
curve below the wells; the same with a table of replicate means beside the table of single wells; and wide tables,
a column an analyte and one statistic a table, on sheets of their own or below each other. A cell belongs to the
well its row names and to the analyte its sheet or column names; where those are in doubt the row or column is left
out and said. Std Dev, Conc in Range, Group and Ratio have no place in `Plate` and are not kept.
"""

from __future__ import annotations

import math
import pickle
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from helpers.core.problems import Problem, Refused, Severity
from helpers.readers.bounds import MOST_BYTES, package_problem
from helpers.readers.plate import ANALYTES, CURVES, STANDARDS, WELLS, Plate, concentration, frame, number, role_of
from helpers.readers.sheets import _SPACES, MOST_COLUMNS, _cell_text, _error_cells, _letter

Cells = Sequence[object]
Sheets = Mapping[str, Sequence[Cells]]
"""Values of a workbook (numbers, texts, dates), rows of cells by sheet, from its first row and column to the last
cell of each row that is filled."""
Record = dict[str, Any]

MOST_CELLS = 2_000_000
"""So many cells has no sheet of a plate; 384 wells of 100 analytes fill 40,000."""
SOFTWARE = "Bio-Plex Manager"
_DEEPEST = 100
"""Rows of a sheet in which its first headings are looked for."""
_MOST_MEMORY = 4_000_000_000
_SECONDS = 120

_STATISTICS = {
    "outlier": "outlier",
    "fi": "mfi",
    "fi - bkgd": "net_mfi",
    "std dev": "",
    "%cv": "cv_pct",
    "obs conc": "conc",
    "exp conc": "expected",
    "(obs/exp) * 100": "recovery_pct",
    "(obs exp) x 100": "recovery_pct",
    "conc in range": "",
    "standard curve": "",
    "group": "",
    "ratio": "",
    "dilution": "dilution",
    "bead count": "bead_count",
    "sampling errors": "errors",
}
_KEYS = ("analyte", "type", "well", "description")
_ORDER = ("analyte", "type", "well", "outlier", "description", *(s for s in _STATISTICS if s != "outlier"))
"""Headings in the order in which every version prints those it has."""

_WELL = r"[A-P][1-9]\d?"
_WELLS = re.compile(rf"{_WELL}(?:,{_WELL})*")
_BEYOND = re.compile(r"2[5-9]|[3-9]\d")
_REGION = re.compile(r"(.*\S)\s*\((\d{1,3})\)")
_META = re.compile(r"(File Name|Analyte|Acquisition Date|Reader Serial Number|Plate ID):\s*(.*)", re.I)
_CURVE_LINE = re.compile(r"\s*(?:regression type:|std\. ?curve:|fitprob\. =)", re.I)
_LEGEND = re.compile(
    r"\s*(?:sampling errors|1 - low bead|\*\*\*|\*value|oor\b|exp conc =|conc in range =|ratio =|"
    r"regression type:|std\. ?curve:|fitprob\. =)",
    re.I,
)
_N = r"([-+]?\d+(?:[.,]\d+)?(?:e[-+]?\d+)?)"
_EQUATION = re.compile(
    rf"FI = {_N} \+ \({_N} ([-+]) {_N}\) / (?:\(1 \+ \(Conc / {_N}\)\^{_N}\)"
    rf"|\(\(1 \+ \(Conc / {_N}\)\^{_N}\)\)\^{_N})",
    re.I,
)
_FIT = {"fit_prob": re.compile(rf"FitProb\. = {_N}", re.I), "res_var": re.compile(rf"ResVar\. = {_N}", re.I)}
_MARKED = r"[*<>\s]*[-+]?"
_COMMA = re.compile(rf"{_MARKED}\d*,\d+")
_POINT = re.compile(rf"{_MARKED}\d*\.\d+(?:e[-+]?\d+)?", re.I)
_THOUSANDS = re.compile(rf"{_MARKED}[1-9]\d{{0,2}},\d{{3}}")

_ERRORS = {
    "1": "low bead number",
    "2": "aggregated beads",
    "3": "classification",
    "4": "region selection",
    "5": "platform temperature",
}
_AGAIN = "Export the plate again from Bio-Plex Manager and read that file untouched."
_LOOK = "Compare this place with the plate in Bio-Plex Manager."
_FINE = "Nothing to do."
_SENTENCES: dict[str, tuple[Severity, str, str]] = {
    "too-large": ("error", "This workbook is far too large for a plate.", _AGAIN),
    "locked-workbook": ("error", "This workbook is protected by a password.", "Remove the password and save again."),
    "damaged-workbook": ("error", "This workbook cannot be opened; it is damaged or no workbook.", _AGAIN),
    "damaged-sheet": ("error", "This sheet cannot be read.", _AGAIN),
    "large-sheet": ("error", "This sheet is far too large for a plate.", "Delete unused rows and columns."),
    "no-data": ("error", "No sheet holds a table of wells as Bio-Plex Manager prints it.", _AGAIN),
    "no-headings": ("error", "This sheet begins like a table of wells, but has no row of headings.", _AGAIN),
    "row-above": ("error", "This row stands above the headings, so it is not read.", _AGAIN),
    "no-rows": ("error", "No row that can be read stands below these headings.", _AGAIN),
    "no-well-column": ("error", "No column of this table names the wells, so it is left out.", _AGAIN),
    "duplicate-heading": ("error", "This heading stands more than once, so none of its columns is read.", _AGAIN),
    "statistic-differs": ("error", "This column is not headed by its table's statistic, so it is left out.", _AGAIN),
    "no-analyte": ("error", "No analyte is named above this heading, so what stands below is left out.", _AGAIN),
    "not-a-well": ("error", "This row does not say to which well it belongs, so it is left out.", _AGAIN),
    "well-twice": ("error", "This well stands more than once in one table; each such row is left out.", _AGAIN),
    "mean-among-wells": ("error", "This row is a mean of wells of its own table, so it is left out.", _AGAIN),
    "analyte-differs": ("error", "This row names another analyte than its table, so it is left out.", _AGAIN),
    "analyte-of-sheet": ("error", "The first lines of this sheet name another analyte than its rows.", _AGAIN),
    "analyte-twice": ("error", "This table repeats an analyte of another table, so it is left out.", _AGAIN),
    "runs-differ": ("error", "File name, plate, date or reader are not those of the other sheets.", _AGAIN),
    "no-fi": ("warning", "This table has no column FI.", _AGAIN),
    "no-heading": ("warning", "This column has cells but no heading; it is not read.", _LOOK),
    "unknown-column": ("warning", "Bio-Plex Manager prints no such column; it is not read.", _LOOK),
    "column-order": (
        "warning",
        "This heading does not stand where Bio-Plex Manager prints it; it may be wrong.",
        _LOOK,
    ),
    "unknown-line": ("warning", "Bio-Plex Manager prints no such line; it is not read.", _LOOK),
    "not-a-number": ("warning", "This cell is no number; it is left empty.", _LOOK),
    "date-cell": ("warning", "This sample's name is stored as a date; Excel may have changed it.", _LOOK),
    "no-such-well": ("warning", "A 384-well plate has no such well.", _LOOK),
    "well-in-two-rows": ("warning", "A well of this row stands in another row of the table, too.", _LOOK),
    "wells-differ": ("warning", "This table does not hold the wells that other tables of the plate hold.", _LOOK),
    "analytes-differ": ("warning", "This table does not hold the analytes that other tables hold.", _LOOK),
    "means-only": ("warning", "Only means were read of this analyte, while others have single wells.", _AGAIN),
    "sample-differs": ("warning", "This well has another type or sample here than in the other tables.", _LOOK),
    "expected-differs": ("warning", "The same standard or control has another expected concentration here.", _LOOK),
    "no-legend": ("warning", "The legend below the wells is missing; this sheet may be cut off.", _AGAIN),
    "no-curve": ("warning", "A regression is named, but no curve is printed.", _LOOK),
    "unknown-equation": ("warning", "This is no 4PL or 5PL curve as it is printed; its parameters are empty.", _LOOK),
    "curve-differs": ("warning", "This does not agree with what else is printed of this analyte's curve.", _LOOK),
    "curve-of-none": ("warning", "It is not clear to which analyte this belongs; it is not read.", _LOOK),
    "decimal-comma": ("repaired", "Numbers of this file have a decimal comma; read as such.", _FINE),
    "other-sheets": ("repaired", "Sheets without a table of wells are not read.", _FINE),
    "not-kept": ("repaired", "File names, dates, serial numbers and signatures are not kept.", _FINE),
}


@dataclass(frozen=True)
class _Column:
    """One column of a table: whose statistic it holds, and where. Statistics that are not kept have no name."""

    analyte: str
    statistic: str
    position: int
    heading: str


@dataclass(frozen=True)
class _Line:
    """One row of a table that names its wells; row is counted from 1."""

    row: int
    well: str
    kind: str
    sample: str
    cells: Cells


@dataclass(frozen=True)
class _Table:
    """Rows of wells below one row of headings; `wide` where the row above the headings names the analytes."""

    sheet: str
    row: int
    columns: tuple[_Column, ...]
    lines: tuple[_Line, ...]
    wide: bool
    averaged: bool = False

    @property
    def keys(self) -> set[tuple[str, str]]:
        return {(column.analyte, column.statistic) for column in self.columns if column.statistic}

    @property
    def wells(self) -> set[str]:
        return {line.well for line in self.lines}


# ---- what other readers of this vendor's files share


def analyte_names(printed: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """Name and bead region of each printed analyte; the name keeps its region where two would be called alike.

    Examples
    --------
    >>> analyte_names(["IL-6 (12)", "TNF", "B (1)", "B (2)"])
    {'IL-6 (12)': ('IL-6', '12'), 'TNF': ('TNF', None), 'B (1)': ('B (1)', '1'), 'B (2)': ('B (2)', '2')}
    """
    parts = {p: (m[1], m[2]) if (m := _REGION.fullmatch(p)) else (p, None) for p in dict.fromkeys(printed)}
    alike = Counter(name for name, _ in parts.values())
    return {p: (p if alike[name] > 1 else name, region) for p, (name, region) in parts.items()}


def curve_parameters(text: str) -> dict[str, float | str] | None:
    """Model and parameters of a printed curve, None where the text is no 4PL or 5PL equation of this vendor.

    ``y = a + (d − a)/(1 + (x/c)^b)^g``; the vendor prints ``+`` for minus minus and, in some locales, commas.

    Examples
    --------
    >>> curve_parameters("FI = -1.29 + (490671 + 1.29) / ((1 + (Conc / 9511.48)^-3.75411))^0.291452")
    {'model': '5pl', 'a': -1.29, 'd': 490671.0, 'c': 9511.48, 'b': -3.75411, 'g': 0.291452}
    """
    match = _EQUATION.search(" ".join(text.split()))
    if match is None:
        return None
    a, d, c4, b4, c5, b5, g5 = (
        float(match[i].replace(",", ".")) if match[i] else math.nan for i in (1, 2, 5, 6, 7, 8, 9)
    )
    again = float(match[4].replace(",", ".")) * (1 if match[3] == "-" else -1)
    if again != a:
        return None
    if match[9]:
        return {"model": "5pl", "a": a, "d": d, "c": c5, "b": b5, "g": g5}
    return {"model": "4pl", "a": a, "d": d, "c": c4, "b": b4, "g": 1.0}


def sampling_errors(text: str) -> str:
    """The vendor's codes of sampling errors in words; what is no known code stays as it is printed.

    Examples
    --------
    >>> sampling_errors("1, 5"), sampling_errors("7")
    ('low bead number; platform temperature', '7')
    """
    return "; ".join(_ERRORS.get(code, code) for code in re.split(r"[,;\s]+", text.strip()) if code)


def plate_tables(records: Iterable[Record]) -> tuple[list[Record], list[Record]]:
    """Rows of `WELLS`, finished, and the printed concentrations among them as rows of `STANDARDS`.

    Parameters
    ----------
    records
        Columns of `WELLS` as far as a file has them; `errors` and `outlier` become flag and state. A control's
        expected concentration of 0 is one that nobody entered: it is left empty.
    """
    rows: list[Record] = []
    standards: dict[tuple[object, ...], Record] = {}
    for record in records:
        kind, sample = record.get("kind") or "", record.get("sample") or ""
        role, level = role_of(kind or sample)
        role = record.get("role", role)
        row = {**record, "kind": kind or None, "sample": sample or None, "role": role, "level": level}
        row["state"] = row.get("state", "not_available")
        if row.get("outlier") and row["state"] == "not_available":
            row["state"] = "excluded"
        if role == "control" and row.get("expected") == 0:
            row["expected"] = math.nan
        flags = ["outlier" if row.get("outlier") else "", row.get("errors", "")]
        row["flag"] = "; ".join(filter(None, flags)) or None
        rows.append(row)
        expected = row.get("expected")
        if role in ("standard", "control") and expected is not None and not math.isnan(expected):
            standard = {k: row[k] for k in ("analyte", "role", "sample", "level", "expected")}
            standards.setdefault(tuple(standard.values()), standard)
    return rows, list(standards.values())


# ---- from bytes to cells

_CHILD = """
import io, pickle, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
except (ImportError, ValueError, OSError):
    pass
import python_calamine
try:
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
    found = {{}}
    for name in book.sheet_names:
        try:
            sheet = book.get_sheet_by_name(name)
            if sheet.total_height * sheet.total_width > {cells}:
                found[name] = "large-sheet"
                continue
            rows = sheet.to_python(skip_empty_area=False)
            for row in rows:
                while row and row[-1] == "":
                    del row[-1]
            found[name] = rows
        except BaseException:
            found[name] = "damaged-sheet"
except BaseException as err:
    found = type(err).__name__ + str(err)
pickle.dump(found, sys.stdout.buffer)
"""


def workbook_values(data: bytes, file: str) -> tuple[dict[str, list[list[object]]], list[Problem]]:
    """Values of an .xlsx or .xls workbook, and which of its sheets could not be read.

    It is opened in a process of its own with a bound on memory and time: calamine does not raise on every damaged
    .xls file, nor on a cell far outside the table, but ends the whole program.

    Parameters
    ----------
    data
        The whole file.
    file
        Its path inside the study, for messages.

    Raises
    ------
    Refused
        If it is too large, locked, damaged, or no workbook.
    """
    if len(data) > MOST_BYTES:
        raise _refused([_problem("too-large")], file)
    if bomb := package_problem(data, file):
        raise Refused([bomb])
    code = _CHILD.format(memory=_MOST_MEMORY, cells=MOST_CELLS)
    command = [sys.executable, "-P", "-c", code]  # -P: no module is taken from the folder the user works in
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=True)
        found = pickle.loads(done.stdout)
    except subprocess.SubprocessError:
        found = ""
    if isinstance(found, str):
        locked = "password" in found.casefold() or b"E\0n\0c\0r\0y\0p\0t" in data[:200_000]
        raise _refused([_problem("locked-workbook" if locked else "damaged-workbook")], file)
    problems = [_problem(sheet, name) for name, sheet in found.items() if isinstance(sheet, str)]
    values = {name: sheet for name, sheet in found.items() if not isinstance(sheet, str)}
    for name, errors in _error_cells(data).items():
        for (i, j), text in errors.items():
            if name in values and i < len(values[name]) and j < MOST_COLUMNS:
                row = values[name][i]
                row.extend([""] * (j + 1 - len(row)))
                row[j] = text
    return values, problems


def _problem(
    code: str, sheet: str = "", row: int | None = None, column: str = "", found: str = "", expected: str = ""
) -> Problem:
    severity, message, fix = _SENTENCES[code]
    return Problem(severity, code, message, fix, "", sheet, row, column, found, expected)


def _refused(problems: Iterable[Problem], file: str) -> Refused:
    return Refused(replace(p, file=file) for p in problems)


def _text(cell: object) -> str:
    return _cell_text(cell)[0].strip(_SPACES)


def _at(cells: Cells, position: int | None) -> str:
    return _text(cells[position]) if position is not None and position < len(cells) else ""


def _heading(cell: object) -> str:
    return re.sub(r"\s+", " ", _text(cell)).casefold()


def _number(cell: object, decimal: str) -> float | None:
    """A cell as a number: NaN where it says there is none, None where it is no number."""
    if isinstance(cell, float | int) and not isinstance(cell, bool):
        return float(cell) if math.isfinite(cell) else None
    text = _text(cell)
    return math.nan if text == "---" else number(text, decimal)


# ---- from cells to tables


def is_bioplex(sheets: Sheets) -> bool:
    """Whether a workbook's cells are an export of Bio-Plex Manager.

    Parameters
    ----------
    sheets
        Values as `workbook_values` gives them; texts do as well.

    Examples
    --------
    >>> is_bioplex({"IL-6": [["Analyte", "Type", "Well", "FI"]]}), is_bioplex({"layout": [["Type", "Well", "use"]]})
    (True, False)
    """
    return any(_is_export(rows, i) for rows in sheets.values() for i in range(min(len(rows), _DEEPEST)))


def _is_export(rows: Sequence[Cells], i: int) -> bool:
    names = [_heading(c) for c in rows[i]]
    if names and names[0] == "analyte":
        return {"type", "well", "fi"} <= set(names)
    statistics = [j for j, name in enumerate(names) if name in _STATISTICS]
    known = set(names) <= {*_STATISTICS, *_KEYS, ""}
    return known and _is_wide(names) and any(i and _at(rows[i - 1], j) for j in statistics)


def _is_wide(names: Sequence[str]) -> bool:
    return {"type", "well"} <= set(names) and names[0] != "analyte"


def read_bioplex(data: bytes, file: str) -> list[Plate]:
    """The plate of one workbook of Bio-Plex Manager, as printed.

    A problem of severity error in `Plate.problems` means that some of the file could not be placed and was left out.

    Parameters
    ----------
    data
        The whole file.
    file
        Its path inside the study, for messages.

    Raises
    ------
    Refused
        If it is no workbook or holds no table of wells.
    """
    sheets, problems = workbook_values(data, file)
    tables = [t for sheet, rows in sheets.items() for t in _tables(sheet, rows, problems)]
    tables = _split_means(_unrepeated(tables, problems))
    curves = _curves(sheets, tables, problems)
    _check_sheets(sheets, {t.sheet: t for t in tables}, {sheet for sheet, _ in curves}, problems)
    if not tables:
        expected = "a row of headings that begins with Analyte, or with Type and Well below the analytes"
        raise _refused([*problems, _problem("no-data", expected=expected)], file)
    for averaged in (False, True):
        _check_wells([t for t in tables if t.averaged is averaged], problems)
    names = analyte_names(column.analyte for table in tables for column in table.columns)
    _check_analytes(tables, problems)
    records = _records(tables, names, _decimal_mark(tables, problems), problems)
    _check_expected(records, problems)
    wells, standards = plate_tables(r for r in records if not r["averaged"])
    averages, _ = plate_tables(r for r in records if r["averaged"])
    plate = Plate(
        number=1,
        layout="bioplex_wide" if any(table.wide for table in tables) else "bioplex",
        software=SOFTWARE,
        wells=frame(wells, WELLS),
        averages=frame(averages, WELLS),
        standards=frame(standards, STANDARDS),
        curves=frame(
            [
                {"model": c.get("regression"), **c, "analyte": names[p][0]}
                for (_, p), c in curves.items()
                if "equation" in c
            ],
            CURVES,
        ),
        analytes=frame([{"analyte": name, "region": region} for name, region in names.values()], ANALYTES),
        problems=tuple(dict.fromkeys(replace(p, file=file) for p in problems)),
    )
    return [plate]


def _tables(sheet: str, rows: Sequence[Cells], problems: list[Problem]) -> Iterator[_Table]:
    """Every table of one sheet: rows from one row of headings to the next."""
    named = [[_heading(c) for c in cells] for cells in rows]
    tops = [i for i, names in enumerate(named) if names and (names[0] == "analyte" or _is_wide(names))]
    if tops:
        above = range(tops[0] - (named[tops[0]][0] != "analyte"))
        wrong = [i for i in above if sum(map(bool, named[i])) > 2]
        problems += [_problem("row-above", sheet, i + 1) for i in wrong]
    for top, following in pairwise([*tops, len(rows)]):
        wide = named[top][0] != "analyte"
        # the analytes of a wide table stand above its headings
        end = following - (following < len(rows) and named[following][0] != "analyte")
        positions = _positions(sheet, rows[top], top + 1, wide, problems)
        if "well" not in positions:
            problems.append(_problem("no-well-column", sheet, top + 1, expected="Well"))
            continue
        lines = list(_lines(sheet, rows, range(top + 1, end), positions, problems))
        if wide:
            columns = _wide_columns(sheet, rows, top, problems)
        else:
            analyte, lines = _own_lines(sheet, rows[:top], lines, problems)
            columns = [
                _Column(analyte, _STATISTICS[name], j, _text(rows[top][j]))
                for name, j in positions.items()
                if name in _STATISTICS
            ]
        lines = _once(sheet, lines, problems)
        for j in range(max((len(line.cells) for line in lines), default=0)):
            headed = _at(rows[top], j) or (wide and top and _at(rows[top - 1], j))
            if not headed and any(_at(line.cells, j) for line in lines):
                problems.append(_problem("no-heading", sheet, top + 1, _letter(j)))
        if lines and columns:
            yield _Table(sheet, top + 1, tuple(columns), tuple(lines), wide)
        elif not lines and any(column.statistic for column in columns):
            problems.append(_problem("no-rows", sheet, top + 1))


def _positions(sheet: str, cells: Cells, row: int, wide: bool, problems: list[Problem]) -> dict[str, int]:
    """Where each heading stands; in a wide table those of the wells only, since its statistic repeats."""
    found: dict[str, list[int]] = {}
    for j, cell in enumerate(cells):
        name = _heading(cell)
        if name in _KEYS or (name in _STATISTICS and not wide):
            found.setdefault(name, []).append(j)
        elif name and not wide:
            problems.append(_problem("unknown-column", sheet, row, _text(cell)))
    for places in found.values():
        if len(places) > 1:
            problems.append(_problem("duplicate-heading", sheet, row, _text(cells[places[0]])))
    once = {name: places[0] for name, places in found.items() if len(places) == 1}
    if not wide:
        order = [_ORDER.index(name) for name in sorted(once, key=lambda name: once[name])]
        for left, right in pairwise(order):
            if right < left:
                problems.append(_problem("column-order", sheet, row, _text(cells[once[_ORDER[right]]])))
        if "fi" not in once:
            problems.append(_problem("no-fi", sheet, row, expected="FI"))
    return once


def _wide_columns(sheet: str, rows: Sequence[Cells], top: int, problems: list[Problem]) -> list[_Column]:
    """Columns of a wide table that have an analyte above and hold the one statistic of that table."""
    columns, bare = [], []
    width = max(len(rows[top]), len(rows[top - 1]) if top else 0)
    names = {j: name for j in range(width) if (name := _heading(_at(rows[top], j))) not in _KEYS}
    known = Counter(_STATISTICS[name] for name in names.values() if name in _STATISTICS)
    # a sheet may be named after its statistic, else most of its columns say it
    usual = _STATISTICS.get(sheet.casefold()) or next((name for name, _ in known.most_common(1)), "")
    for j, name in names.items():
        analyte, heading = _at(rows[top - 1], j) if top else "", _at(rows[top], j)
        if name and not analyte:
            bare.append(heading)
        elif analyte and (name not in _STATISTICS or _STATISTICS[name] != usual):
            problems.append(_problem("statistic-differs", sheet, top + 1, analyte, heading))
        elif analyte:
            columns.append(_Column(analyte, usual, j, f"{analyte}, {heading}"))
    if bare:
        problems.append(_problem("no-analyte", sheet, top + 1, bare[0], f"{len(bare)} of {len(names)} columns"))
    return columns


def _lines(
    sheet: str, rows: Sequence[Cells], span: range, positions: Mapping[str, int], problems: list[Problem]
) -> Iterator[_Line]:
    """Rows that name their wells; blank rows, the legend and curves are passed over, anything else is said."""
    kind, well, sample = (positions.get(name) for name in ("type", "well", "description"))
    for i in span:
        filled = [j for j, c in enumerate(rows[i]) if _text(c)]
        if all(_CURVE_LINE.match(_text(rows[i][j])) for j in filled):
            continue
        if filled == [0]:
            if not _LEGEND.match(_text(rows[i][0])):
                problems.append(_problem("unknown-line", sheet, i + 1, found=_text(rows[i][0])))
            continue
        wells = re.sub(r"\s", "", _at(rows[i], well))
        if not _WELLS.fullmatch(wells):
            expected = "a well such as A1, or A1,A2 for a mean"
            problems.append(_problem("not-a-well", sheet, i + 1, "Well", wells, expected))
            continue
        if _BEYOND.search(wells):
            problems.append(_problem("no-such-well", sheet, i + 1, "Well", wells))
        if sample in filled and _cell_text(rows[i][sample])[1] == "date":
            problems.append(_problem("date-cell", sheet, i + 1, "Description"))
        yield _Line(i + 1, wells, _at(rows[i], kind), _at(rows[i], sample), rows[i])


def _own_lines(
    sheet: str, above: Sequence[Cells], lines: list[_Line], problems: list[Problem]
) -> tuple[str, list[_Line]]:
    """The analyte that a sheet's rows name, and its rows; a row that names another one is left out."""
    analyte = next((name for name, _ in Counter(_text(line.cells[0]) for line in lines).most_common(1)), "")
    meta = dict(_meta(above)).get("analyte", analyte)
    if meta != analyte and lines:
        problems.append(_problem("analyte-of-sheet", sheet, lines[0].row, "Analyte", analyte, meta))
    own = [line for line in lines if _text(line.cells[0]) == analyte]
    for line in lines:
        if line not in own:
            problems.append(_problem("analyte-differs", sheet, line.row, "Analyte", _text(line.cells[0]), analyte))
    return analyte, own


def _once(sheet: str, lines: list[_Line], problems: list[Problem]) -> list[_Line]:
    """Rows whose wells stand once: no well twice, since one row must be wrong, and no mean beside its own wells."""
    times = Counter(line.well for line in lines)
    kept, seen = [], set[str]()
    for line in lines:
        own = line.well.split(",")
        if times[line.well] > 1:
            code = "well-twice"
        elif len(own) > 1 and any(times[well] for well in own):
            code = "mean-among-wells"
        else:
            code = "well-in-two-rows" if seen.intersection(own) else ""
            kept.append(line)
            seen.update(own)
        if code:
            problems.append(_problem(code, sheet, line.row, "Well", line.well))
    return kept


# ---- from tables to one plate


def _unrepeated(tables: list[_Table], problems: list[Problem]) -> list[_Table]:
    """Tables without those that repeat an analyte's statistic; means beside single wells are no repetition."""
    kept: list[_Table] = []
    for table in tables:
        twins = [t for t in kept if t.keys & table.keys]
        if not twins or (len(twins) == 1 and twins[0].sheet == table.sheet and _are_means(twins[0], table)):
            kept.append(table)
        else:
            found = f'as on sheet "{twins[0].sheet}", row {twins[0].row}'
            problems.append(_problem("analyte-twice", table.sheet, table.row, table.columns[0].analyte, found))
    return kept


def _are_means(one: _Table, other: _Table) -> bool:
    """Whether of two tables one holds the means of the other's wells (or both the same wells, one a sample)."""
    grouped = [any("," in w for w in table.wells) for table in (one, other)]
    return grouped[0] != grouped[1] or (not any(grouped) and one.wells == other.wells)


def _split_means(tables: list[_Table]) -> list[_Table]:
    """The same tables, those of replicate means marked where the file has tables of single wells beside them."""
    first = {table.sheet: table for table in reversed(tables)}
    beside = {t.sheet for t in tables if t is not first[t.sheet] and t.keys & first[t.sheet].keys}
    marked = []
    for table in tables:
        grouped = any("," in well for well in table.wells)
        # means of one well each stand above the single wells
        single = table is first[table.sheet] and not any(
            "," in w for t in tables if t.sheet == table.sheet for w in t.wells
        )
        marked.append(replace(table, averaged=bool(beside) and (grouped or (table.sheet in beside and single))))
    return marked


def _meta(rows: Sequence[Cells]) -> Iterator[tuple[str, str]]:
    """Lines above the headings by which sheets of one plate are told; none of them is kept."""
    for cells in rows:
        if cells and (match := _META.match(_text(cells[0]))):
            yield match[1].casefold(), match[2].strip()


def _check_sheets(sheets: Sheets, tables: Mapping[str, _Table], curves: set[str], problems: list[Problem]) -> None:
    """Sheets without a table, sheets of another run, sheets that may be cut off, and lines that are not kept."""
    meta = {sheet: dict(_meta(rows)) for sheet, rows in sheets.items()}
    runs = {sheet: tuple((k, v) for k, v in meta[sheet].items() if k != "analyte") for sheet in tables}
    usual = next((run for run, _ in Counter(runs.values()).most_common(1)), ())
    said, others = {p.sheet for p in problems if p.severity == "error"}, []
    for sheet, rows in sheets.items():
        if sheet in tables:
            if runs[sheet] != usual:
                problems.append(_problem("runs-differ", sheet, 1))
            if not tables[sheet].wide and not any(cells and _LEGEND.match(_text(cells[0])) for cells in rows):
                problems.append(_problem("no-legend", sheet, len(rows)))
        elif meta[sheet] and sheet not in said | curves:
            problems.append(_problem("no-headings", sheet, expected="a row that begins with Analyte, or Type and Well"))
        elif sheet not in said | curves and any(_text(c) for cells in rows for c in cells):
            others.append(sheet)
    if others:
        problems.append(_problem("other-sheets", found=", ".join(others)))
    if any(set(lines) - {"analyte"} for lines in meta.values()):
        problems.append(_problem("not-kept"))


def _check_wells(tables: list[_Table], problems: list[Problem]) -> None:
    """Whether all tables hold the same wells, and the same type and sample in each well."""
    holders = Counter(well for table in tables for well in table.wells)
    named: dict[str, Counter[tuple[str, str]]] = {}
    for line in (line for table in tables for line in table.lines):
        named.setdefault(line.well, Counter())[line.kind, line.sample] += 1
    for table in tables:
        own = [line for line in table.lines if 2 * holders[line.well] <= len(tables) and len(tables) > 1]
        lacking = [well for well, n in holders.items() if 2 * n > len(tables) and well not in table.wells]
        if own:
            found = _some(line.well for line in own)
            problems.append(_problem("wells-differ", table.sheet, own[0].row, "Well", found))
        if lacking:
            problems.append(_problem("wells-differ", table.sheet, table.row, "Well", expected=_some(lacking)))
        for line in table.lines:
            kind, sample = named[line.well].most_common(1)[0][0]
            if line.kind != kind:
                problems.append(_problem("sample-differs", table.sheet, line.row, "Type", line.kind, kind))
            elif line.sample != sample:
                problems.append(_problem("sample-differs", table.sheet, line.row, "Description", line.sample))


def _check_analytes(tables: list[_Table], problems: list[Problem]) -> None:
    """Whether all wide tables hold the same analytes, and whether single wells are there of every analyte."""
    wide = [table for table in tables if table.wide]
    every = dict.fromkeys(column.analyte for table in wide for column in table.columns)
    for table in wide:
        own = {column.analyte for column in table.columns}
        if lacking := [analyte for analyte in every if analyte not in own]:
            problems.append(_problem("analytes-differ", table.sheet, table.row, expected=_some(lacking)))
    single = {column.analyte for table in tables if not table.averaged for column in table.columns}
    for table in tables:
        if lacking := [c.analyte for c in table.columns if c.analyte not in single]:
            problems.append(_problem("means-only", table.sheet, table.row, lacking[0]))


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return "; ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")


def _decimal_mark(tables: list[_Table], problems: list[Problem]) -> str:
    """Decimal mark of the numbers that are stored as text; what is written with the other mark is then no number."""
    cells = (
        line.cells[c.position] for t in tables for line in t.lines for c in t.columns if c.position < len(line.cells)
    )
    texts = [cell.strip() for cell in cells if isinstance(cell, str)]
    commas = [text for text in texts if _COMMA.fullmatch(text)]
    points = sum(_POINT.fullmatch(text) is not None for text in texts)
    if len(commas) <= points or all(_THOUSANDS.fullmatch(text) for text in commas):
        return "."
    problems.append(_problem("decimal-comma"))
    return ","


def _records(
    tables: list[_Table], names: Mapping[str, tuple[str, str | None]], decimal: str, problems: list[Problem]
) -> list[Record]:
    """One record a well and analyte, in the order of the file's analytes and rows."""
    records: dict[str, dict[tuple[bool, str], Record]] = {}
    for table in tables:
        for column in table.columns:
            own = records.setdefault(column.analyte, {})
            for line in table.lines:
                base = {
                    "averaged": table.averaged,
                    "analyte": names[column.analyte][0],
                    "place": (table.sheet, line.row),
                }
                base |= {"well": line.well, "kind": line.kind, "sample": line.sample}
                record = own.setdefault((table.averaged, line.well), base)
                cell = line.cells[column.position] if column.position < len(line.cells) else ""
                value = _value(column.statistic, cell, decimal)
                if value is None:
                    expected = f"a number with a decimal {'comma' if decimal == ',' else 'point'}"
                    place = (table.sheet, line.row, column.heading)
                    problems.append(_problem("not-a-number", *place, _text(cell), expected))
                else:
                    record.update(value)
    return [record for own in records.values() for record in own.values()]


def _value(statistic: str, cell: object, decimal: str) -> Record | None:
    """What a cell adds to its record, None where it is no number."""
    if not statistic:
        return {}
    if statistic == "errors":
        return {"errors": sampling_errors(_text(cell))}
    if statistic == "conc" and not isinstance(cell, float | int):
        found = concentration(_text(cell), decimal)
        return None if found is None else {"conc": found[0], "state": found[1]}
    value = _number(cell, decimal)
    if value is None:
        return None
    if statistic == "conc":
        return {"conc": value, "state": "measured"}
    if statistic == "outlier":
        return {"outlier": True} if value > 0 else {}
    marked = {"outlier": True} if statistic in ("mfi", "net_mfi") and _text(cell) == "---" else {}
    return {statistic: value, **marked}


def _check_expected(records: list[Record], problems: list[Problem]) -> None:
    """Whether every standard and control has one expected concentration an analyte."""
    printed: dict[tuple[str, str], Counter[float]] = {}
    held = [r for r in records if r["kind"] and not math.isnan(r.get("expected", math.nan))]
    for record in held:
        printed.setdefault((record["analyte"], record["kind"]), Counter())[record["expected"]] += 1
    for record in held:
        usual = printed[record["analyte"], record["kind"]].most_common(1)[0][0]
        if record["expected"] != usual:
            found, expected = f"{record['expected']:.10g}", f"{usual:.10g}"
            sheet, row = record["place"]
            problems.append(_problem("expected-differs", sheet, row, "Exp Conc", found, expected))


# ---- printed curves


def _curves(sheets: Sheets, tables: list[_Table], problems: list[Problem]) -> dict[tuple[str, str], Record]:
    """The vendor's printed curves by sheet and analyte: the sheet's own, or the one a cell stands below or beside."""
    analytes = {column.analyte for table in tables for column in table.columns}
    own = {table.sheet: table.columns[0].analyte for table in tables if not table.wide}
    unread = {sheet for sheet, rows in sheets.items() if sheet not in own and "analyte" in dict(_meta(rows))}
    found: dict[tuple[str, str], Record] = {}
    for sheet, rows in sheets.items():
        for i, cells in enumerate(rows):
            for j, cell in enumerate(cells):
                if sheet in unread or not isinstance(cell, str) or not _CURVE_LINE.match(cell):
                    continue
                near = [*(_at(cells, k) for k in range(j)), *(_at(rows[k], j) for k in range(i - 1, -1, -1))]
                owner = own.get(sheet) or next((text for text in near if text in analytes), None)
                if owner is None:
                    problems.append(_problem("curve-of-none", sheet, i + 1))
                else:
                    _add_curve(found.setdefault((sheet, owner), {}), cell.strip(), sheet, i + 1, problems)
    for (sheet, owner), curve in found.items():
        if "equation" not in curve:
            problems.append(_problem("no-curve", sheet, curve["row"], owner))
    return found


def _add_curve(curve: Record, text: str, sheet: str, row: int, problems: list[Problem]) -> None:
    """One printed line of a curve: type of regression, equation, or quality of the fit."""
    before, curve["row"] = dict(curve), row
    for name, pattern in _FIT.items():
        if match := pattern.search(text):
            curve[name] = float(match[1].replace(",", "."))
    label, _, rest = text.partition(":")
    if label.casefold().startswith("std"):
        parameters = curve_parameters(rest)
        if parameters is None:
            problems.append(_problem("unknown-equation", sheet, row, found=rest))
        curve |= {"equation": rest.strip(), **(parameters or {})}
    elif label.casefold().startswith("regression") and (model := re.search(r"[45]pl", rest.casefold())):
        curve["regression"] = model[0]
    changed = any(before.get(k, v) != v for k, v in curve.items() if k != "row")
    models = {curve[k] for k in ("regression", "model") if k in curve}
    if changed or len(models) > 1:
        problems.append(_problem("curve-differs", sheet, row, found=text))
