"""CSV files and workbooks → sheets of text, with the row of each record as a person sees it.

No study knowledge and no types: a sheet is headings and cells. What Excel and people leave behind (empty
rows and columns, odd spaces, full-width headings) is removed with one note a kind; what is ambiguous
(doubled or missing headings, ragged rows) is an error with its place.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import stat
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.core.problems import Problem, Severity
from helpers.readers.apart import Sheet, is_measured, sheets_apart
from helpers.readers.bounds import MOST_BYTES, MOST_CELLS, column_number, package_problem
from helpers.readers.text import decode

MOST_COLUMNS, MOST_ROWS = 2_000, 2_000_000
_SPACES = "\u00a0\u2007\u202f\u200b\u200c\u200d\u2060\ufeff\u3000 \t\r\n"
_ERROR_CELL = re.compile(
    rb'<c\b[^>]*?\br="([A-Z]{1,3}\d{1,7})"[^>]*?\bt="e"[^>]*>(?:<f[^>]*>[^<]*</f>|<f[^>]*/>)?<v>([^<]{1,20})</v>'
)
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LIKE_THOUSANDS = re.compile(r"-?[1-9]\d{0,2}\.\d{3}")
_CODE_LIKE = re.compile(r"[\w\s.,:;/%+\-<>=()（）．，：；％＋－＜＞＝！-～]*", re.ASCII)


@dataclass(frozen=True)
class RawTable:
    """One sheet as text.

    Parameters
    ----------
    file, sheet
        Path inside the study with forward slashes; name of the sheet, empty for CSV.
    columns
        Headings, cleaned, each once.
    cells
        Text, one column a heading, missing is an empty string, index 0 to n − 1.
    rows
        File line or sheet row of each record, counted from 1.
    marks
        ``(record, heading) → kind`` for workbook cells whose kind matters: date, error, or number where the text
        of the number could be taken for thousands (1.234).
    problems
        What was repaired, and what is wrong.
    places
        File, sheet, row and column of each record where they differ from record to record: of a plate drawn as
        a grid, where each record was one cell.
    """

    file: str
    sheet: str
    columns: tuple[str, ...]
    cells: pd.DataFrame
    rows: tuple[int, ...]
    marks: dict[tuple[int, str], str]
    problems: tuple[Problem, ...]
    places: tuple[tuple[str, str, int, str], ...] = ()

    def place(self, i: int, heading: str) -> dict[str, Any]:
        """Place of a cell as keyword arguments of `Problem`."""
        if self.places:
            return dict(zip(("file", "sheet", "row", "column"), self.places[i], strict=True))
        return {"file": self.file, "sheet": self.sheet, "row": self.rows[i], "column": heading}


@dataclass
class _Grid:
    """Rows of text with their numbers, before headings are known."""

    file: str
    sheet: str
    lines: list[list[str]]
    numbers: list[int]
    kinds: dict[tuple[int, int], str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def say(
        self,
        severity: Severity,
        code: str,
        message: str,
        fix: str,
        row: int | None = None,
        column: str = "",
        found: str = "",
        expected: str = "",
    ) -> None:
        self.problems.append(
            Problem(
                severity,
                code,
                message,
                fix,
                file=self.file,
                sheet=self.sheet,
                row=row,
                column=column,
                found=found,
                expected=expected,
            )
        )


def read_tables(path: Path, file: str) -> tuple[list[RawTable], list[Problem]]:
    """Every sheet of a file, told by its content and not by its ending.

    Parameters
    ----------
    path
        The file.
    file
        Its path inside the study, for messages.

    Returns
    -------
    Sheets, and what is wrong with the file as a whole (then there are no sheets).
    """
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):  # a pipe or a device may never end
            return [], [
                Problem(
                    "error",
                    "not-a-file",
                    "This is no ordinary file but a pipe, a device or a folder.",
                    "Remove it, or put the real file there.",
                    file=file,
                )
            ]
        if state.st_size > MOST_BYTES:
            return [], [
                Problem(
                    "error",
                    "too-large",
                    "This file is far too large for a study table.",
                    "Move it out of the study folder.",
                    file=file,
                    expected=f"at most {MOST_BYTES // 1_000_000} MB",
                )
            ]
        data = path.read_bytes()
    except OSError as err:
        return [], [
            Problem(
                "error",
                "unreadable",
                f"This file cannot be read ({err.strerror or type(err).__name__}).",
                "Close it in other programs and check its permissions.",
                file=file,
            )
        ]
    if _is_office(data):
        return read_workbook(data, file)
    table = read_csv(data, file)
    return ([table], []) if table.columns else ([], list(table.problems))


# ---- CSV


def read_csv(data: bytes, file: str) -> RawTable:
    """One CSV file, in any encoding that can be told, with comma, semicolon or tab.

    Examples
    --------
    >>> table = read_csv(b"donor_id;age\\nD01;44\\n", "donors.csv")
    >>> table.columns, table.rows, table.cells["age"].tolist()
    (('donor_id', 'age'), (2,), ['44'])
    """
    decoded = decode(data, file)
    grid = _Grid(file, "", [], [], problems=list(decoded.problems))
    if any(p.severity == "error" for p in grid.problems):
        return _table(grid)
    text = decoded.text
    first, _, rest = text.partition("\n")
    skipped = 0
    if re.fullmatch(r"sep=.\r?", first.strip("\ufeff"), re.I):
        delimiter, text, skipped = first.strip("\ufeff")[4], rest, 1
    else:
        delimiter = _delimiter(text)
    _split(grid, text, delimiter, skipped)
    return _table(grid)


def _delimiter(text: str) -> str:
    """The separator that cuts the first records into the same number of cells, and into most of them."""
    best, score = ",", (0.0, 0)
    for candidate in (",", ";", "\t"):
        try:
            reader = csv.reader(io.StringIO(text[:200_000], newline=""), delimiter=candidate)
            widths = [len(r) for r, _ in zip((r for r in reader if any(c.strip() for c in r)), range(50), strict=False)]
        except csv.Error:
            continue
        if widths and widths[0] > 1:
            same = sum(w == widths[0] for w in widths) / len(widths)
            if (same, widths[0]) > score:
                best, score = candidate, (same, widths[0])
    return best


def _split(grid: _Grid, text: str, delimiter: str, skipped: int) -> None:
    csv.field_size_limit(10_000_000)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    before = cells = 0
    try:
        for record in reader:
            cells += len(record)
            if len(grid.lines) > MOST_ROWS or len(record) > MOST_COLUMNS or cells > MOST_CELLS:
                grid.say(
                    "error",
                    "too-large",
                    "This table is far too large for a study table.",
                    "Check that it is the right file.",
                    expected=f"at most {MOST_ROWS:,} rows, {MOST_COLUMNS:,} columns and {MOST_CELLS:,} cells",
                )
                return
            grid.lines.append(record)
            grid.numbers.append(before + 1 + skipped)
            if reader.line_num - before > 200:
                grid.say(
                    "error",
                    "open-quote",
                    "A quotation mark opens here and is not closed.",
                    "Close or remove the quotation mark.",
                    row=before + 1 + skipped,
                )
                return
            before = reader.line_num
    except csv.Error:
        grid.say(
            "error",
            "not-csv",
            "This line cannot be read as CSV.",
            "Save the table again as CSV UTF-8.",
            row=reader.line_num + skipped,
        )
    if text.count('"') % 2 and grid.lines and any("\n" in c for c in grid.lines[-1]):
        grid.say(
            "error",
            "open-quote",
            "A quotation mark opens here and is not closed.",
            "Close or remove the quotation mark.",
            row=grid.numbers[-1],
        )


# ---- workbooks


def read_workbook(data: bytes, file: str) -> tuple[list[RawTable], list[Problem]]:
    """Every sheet of an .xlsx, .xls or .ods workbook that has anything in it.

    Returns
    -------
    Sheets, and what is wrong with the workbook as a whole.
    """
    refused = package_problem(data, file)
    if refused:
        return [], [refused]
    try:
        sheets = _sheets_here(data) if is_measured(data) else sheets_apart(data)
    except Exception as err:  # the library raises many kinds for damaged files
        said = f"{type(err).__name__} {err}".casefold()
        locked = "password" in said or b"E\0n\0c\0r\0y\0p\0t" in data[:200_000]
        return [], [
            Problem(
                "error",
                "locked-workbook" if locked else "damaged-workbook",
                "This workbook is protected by a password."
                if locked
                else "This workbook cannot be opened; it is damaged, far too large, or not a workbook.",
                "Remove the password and save again."
                if locked
                else "Open it in Excel, save it again as .xlsx, or save each sheet as CSV UTF-8.",
                file=file,
            )
        ]
    tables, problems, errors = [], [], _error_cells(data)
    for sheet in sheets:
        name, values = sheet.name, sheet.values
        large = sheet.height > MOST_ROWS or sheet.width > MOST_COLUMNS
        if large or (values is None and sheet.height):
            problems.append(
                Problem(
                    "error",
                    "too-large",
                    "This sheet is far too large for a study table.",
                    "Delete unused rows and columns, and look for a stray cell far right or far down (Ctrl+End).",
                    file=file,
                    sheet=name,
                    found=f"{sheet.height:,} rows, {sheet.width:,} columns",
                    expected=f"at most {MOST_ROWS:,} rows, {MOST_COLUMNS:,} columns and {MOST_CELLS:,} cells",
                )
            )
            continue
        if values is None:
            problems.append(
                Problem(
                    "error",
                    "damaged-sheet",
                    "This sheet cannot be read.",
                    "Open the workbook in Excel and save it again.",
                    file=file,
                    sheet=name,
                )
            )
            continue
        for (i, j), text in errors.get(name, {}).items():
            if i < len(values) and j < len(values[i]):
                values[i][j] = text
        if any(v != "" for line in values for v in line):
            grid = _sheet_grid(file, name, values)
            if sheet.hidden:
                grid.say(
                    "warning",
                    "hidden-sheet",
                    "This sheet is hidden in the workbook, but it is read.",
                    "Show it and look at it, or delete it.",
                )
            tables.append(_table(grid))
    if not tables and not problems:
        problems.append(
            Problem(
                "error",
                "empty-workbook",
                "This workbook holds nothing.",
                "Fill in a sheet, or remove the file.",
                file=file,
            )
        )
    return tables, problems


def _sheets_here(data: bytes) -> list[Sheet]:
    import python_calamine

    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    hidden = {s.name for s in book.sheets_metadata if s.visible != python_calamine.SheetVisibleEnum.Visible}
    found = []
    for name in book.sheet_names:
        try:
            sheet = book.get_sheet_by_name(name)
            height, width = sheet.total_height, sheet.total_width
            small = height <= MOST_ROWS and width <= MOST_COLUMNS
            values = sheet.to_python(skip_empty_area=False) if small else None
        except Exception:
            height, width, values = 0, 0, None
        found.append(Sheet(name, name in hidden, height, width, values))
    return found


def _error_cells(data: bytes) -> dict[str, dict[tuple[int, int], str]]:
    """Cells of an .xlsx workbook that hold an Excel error, by sheet; calamine itself reads them as empty."""
    if not data.startswith(b"PK"):
        return {}
    import defusedxml.ElementTree as xml

    found: dict[str, dict[tuple[int, int], str]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            links = {
                r.get("Id"): r.get("Target", "") for r in xml.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
            }
            for sheet in xml.fromstring(archive.read("xl/workbook.xml")).iter():
                target = next((links.get(v, "") for k, v in sheet.attrib.items() if k.endswith("}id")), "")
                if sheet.tag.endswith("}sheet") and target:
                    content = archive.read(target.lstrip("/") if target.startswith("/") else f"xl/{target}")
                    found[sheet.get("name", "")] = {
                        _position(m[1]): m[2].decode() for m in _ERROR_CELL.finditer(content)
                    }
    except Exception:  # a workbook so odd is read without this check or refused by calamine
        return found
    return found


def _position(reference: bytes) -> tuple[int, int]:
    """Row and column from 0 of a cell such as ``AB12``."""
    letters = reference.rstrip(b"0123456789")
    return int(reference[len(letters) :]) - 1, column_number(letters) - 1


def _sheet_grid(file: str, name: str, values: Sequence[Sequence[object]]) -> _Grid:
    grid = _Grid(file, name, [], [])
    for i, line in enumerate(values):
        texts = []
        for j, value in enumerate(line):
            text, kind = _cell_text(value)
            texts.append(text)
            if kind:
                grid.kinds[(i, j)] = kind
        grid.lines.append(texts)
        grid.numbers.append(i + 1)
    return grid


def _cell_text(value: object) -> tuple[str, str]:
    """A workbook's value as the text a person sees, and whether it is a date, an error or a number like 1.234."""
    if isinstance(value, bool):
        return ("TRUE" if value else "FALSE"), ""
    if isinstance(value, float):
        text = str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
        return text, "number" if _LIKE_THOUSANDS.fullmatch(text) else ""
    if isinstance(value, (dt.datetime, dt.date, dt.time, dt.timedelta)):
        return str(value), "date"
    text = str(value)
    return text, "error" if re.fullmatch(r"#(N/A|REF!|VALUE!|DIV/0!|NAME\?|NUM!|NULL!|SPILL!|CALC!)", text) else ""


_PLACES = (
    ("docProps/", "properties"),
    ("meta.xml", "properties"),
    ("xl/workbook.xml", "sheet names"),
    ("omments", "comments"),
    ("xl/persons", "comments"),
    ("content.xml", "comments"),
    ("xl/drawings/", "text boxes"),
    ("xl/worksheets/sheet", "header or footer"),
    ("styles.xml", "header or footer"),
)
_WITHIN = {
    "header or footer": re.compile(r"(odd|even|first)(Header|Footer)|(header|footer)(-left|-first)?"),
    "comments of .ods": re.compile("annotation"),
}
_NAMING = ("name", "displayName", "author", "userId")


MOST_TEXT = 20_000_000
"""Of one part of an Office file that is looked through for texts outside the cells."""


def workbook_texts(source: bytes | Path, unread: list[str] | None = None) -> Iterator[tuple[str, str]]:
    """Text of a workbook that stands in no cell: properties, sheet names, comments, text boxes, headers and footers.

    Parameters
    ----------
    source
        Content or path of an .xlsx or .ods workbook, whatever its name ends in; other Office files keep their
        properties in the same place.
    unread
        Gets the place of every part that is too large to be looked through.

    Yields
    ------
    Place (``properties``, ``comments``, …) and text. Nothing where it is no such workbook.
    """
    import defusedxml.ElementTree as xml

    try:
        archive = zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (zipfile.BadZipFile, OSError, ValueError):
        return
    with archive:
        for member in archive.infolist():
            name = member.filename
            place = next((p for key, p in _PLACES if key in name), "") if name.endswith(".xml") else ""
            if place and member.file_size > MOST_TEXT and unread is not None:
                unread.append(place)
            if not place or member.file_size > MOST_TEXT:
                continue
            within = _WITHIN.get("comments of .ods" if name == "content.xml" else place)
            try:
                content = archive.read(member)
                if place == "header or footer" and not re.search(rb"[Hh]eader|[Ff]ooter", content):
                    continue
                root = xml.fromstring(content)
            except Exception:  # damaged members are reported where the sheet itself is read
                continue
            for element in root.iter():
                if within is None:
                    naming = (v for k, v in element.attrib.items() if k in _NAMING)
                    yield from ((place, t.strip()) for t in (element.text, *naming) if t and t.strip())
                elif within.fullmatch(element.tag.rsplit("}", 1)[-1]):
                    yield from ((place, t.strip()) for t in element.itertext() if t.strip())


def is_office_file(path: Path) -> bool:
    """Whether a file is an archive or a compound file, as all Office files are, told by its first bytes."""
    try:
        with path.open("rb") as handle:
            return _is_office(handle.read(8))
    except OSError:
        return False


def _is_office(data: bytes) -> bool:
    return data.startswith((b"PK\x03\x04", _OLD_OFFICE))


def has_closed_texts(path: Path) -> bool:
    """Whether an Office file is of a binary kind (.xls, .xlsb), whose properties and comments are not read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.bin" in archive.namelist()
    except zipfile.BadZipFile:
        return True
    except (OSError, ValueError):
        return False


# ---- from a grid to a table


def _table(grid: _Grid) -> RawTable:
    if any(p.severity == "error" for p in grid.problems) or not any(
        any(c.strip(_SPACES) for c in line) for line in grid.lines
    ):
        if not grid.problems:
            grid.say(
                "error",
                "empty-table",
                "This table is empty; not even headings are there.",
                "Fill it in, or remove the file.",
            )
        return RawTable(grid.file, grid.sheet, (), pd.DataFrame(), (), {}, tuple(grid.problems))
    start = next(i for i, line in enumerate(grid.lines) if any(c.strip(_SPACES) for c in line))
    if start:
        grid.say("repaired", "empty-rows", "Empty rows stand above the headings; skipped.", "Nothing to do.", row=1)
    headings = _headings(grid, start)
    kept = [i for i in range(start + 1, len(grid.lines)) if any(c.strip(_SPACES) for c in grid.lines[i])]
    if kept and len(kept) < kept[-1] - start:
        filled = set(kept)
        grid.say(
            "repaired",
            "empty-rows",
            "Empty rows stand between the records; skipped.",
            "Nothing to do.",
            row=grid.numbers[next(i for i in range(start + 1, kept[-1]) if i not in filled)],
        )
    width = len(grid.lines[start])
    _fit(grid, kept, width)
    columns = {
        name: [_clean(grid.lines[i][j]) if j < len(grid.lines[i]) else "" for i in kept] for name, j in headings.items()
    }
    _note_cleaning(grid, kept, headings, columns)
    marks = {
        (n, name): grid.kinds[(i, j)]
        for name, j in headings.items()
        for n, i in enumerate(kept)
        if (i, j) in grid.kinds
    }
    cells = pd.DataFrame(columns, index=range(len(kept)), dtype=object)
    return RawTable(
        grid.file, grid.sheet, tuple(headings), cells, tuple(grid.numbers[i] for i in kept), marks, tuple(grid.problems)
    )


def _headings(grid: _Grid, start: int) -> dict[str, int]:
    """Heading → position; doubled headings and data without a heading are errors."""
    line, row = grid.lines[start], grid.numbers[start]
    found: dict[str, int] = {}
    changed = 0
    for j, raw in enumerate(line):
        name = _clean_heading(raw)
        changed += name != raw
        filled = any(j < len(other) and other[j].strip(_SPACES) for other in grid.lines[start + 1 :])
        if not name and filled:
            grid.say(
                "error",
                "no-heading",
                "A column has data but no heading.",
                "Write a heading above it, or delete the column.",
                row=row,
                column=_letter(j),
            )
        elif name in found and filled:
            grid.say(
                "error",
                "duplicate-heading",
                f"This heading stands twice (columns {_letter(found[name])} and {_letter(j)}).",
                "Keep one of the two columns.",
                row=row,
                column=name,
            )
        elif name in found:
            grid.say(
                "repaired",
                "empty-column",
                "A heading stands twice, once above an empty column; that one is skipped.",
                "Nothing to do.",
                row=row,
                column=name,
            )
        elif name:
            found[name] = j
    if changed:
        grid.say(
            "repaired",
            "heading-spaces",
            "Headings have blanks around them or full-width characters; read without.",
            "Nothing to do.",
            row=row,
        )
    return found


def _fit(grid: _Grid, kept: Sequence[int], width: int) -> None:
    """A record may be shorter than the headings or have empty cells behind them, but no data there."""
    short = False
    for i in kept:
        line = grid.lines[i]
        if any(c.strip(_SPACES) for c in line[width:]):
            grid.say(
                "error",
                "long-row",
                "This row has more cells than there are headings.",
                "Look for a separator or a comma inside a value; put such a value into quotation marks.",
                row=grid.numbers[i],
                found=str(len(line)),
                expected=f"{width} cells",
            )
        elif len(line) < width and not short:
            short = True
            grid.say(
                "repaired",
                "short-row",
                "Rows have fewer cells than there are headings; the last cells are taken as empty.",
                "Nothing to do.",
                row=grid.numbers[i],
            )


def _clean_heading(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).strip(_SPACES))


def _clean(text: str) -> str:
    """A cell without blanks around it; code-like text in full-width characters becomes half-width."""
    text = text.strip(_SPACES)
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text)
        if plain.isascii() and _CODE_LIKE.fullmatch(plain):
            return plain.strip(_SPACES)
    return text


def _note_cleaning(grid: _Grid, kept: list[int], headings: dict[str, int], columns: dict[str, list[str]]) -> None:
    for name, j in headings.items():
        before = [grid.lines[i][j] if j < len(grid.lines[i]) else "" for i in kept]
        kinds = Counter(
            "full-width" if a.strip(_SPACES) != b else "spaces"
            for a, b in zip(before, columns[name], strict=True)
            if a != b
        )
        for kind, n in kinds.items():
            said = "have blanks around them" if kind == "spaces" else "have full-width characters"
            first = next(
                i
                for i, b in zip(kept, columns[name], strict=True)
                if (grid.lines[i][j] if j < len(grid.lines[i]) else "") != b
            )
            grid.say(
                "repaired",
                kind,
                f"Cells that {said}: {n}; read without.",
                "Nothing to do.",
                row=grid.numbers[first],
                column=name,
            )


def _letter(j: int) -> str:
    """Excel's letter of a column, counted from 0.

    Examples
    --------
    >>> _letter(0), _letter(27)
    ('A', 'AB')
    """
    text = ""
    j += 1
    while j:
        j, rest = divmod(j - 1, 26)
        text = chr(65 + rest) + text
    return text
