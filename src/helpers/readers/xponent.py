"""xPONENT's CSV (3.1, 4.2, 4.3, and INTELLIFLEX in the same layout) → plates.

A file is a header, then blocks of different width, one a statistic, each with its own header line. A cell is
placed by the names in its block's own header and by its Location, never by where it stands in another block:
a damaged line or heading stays its own damage, and nothing moves into another well or analyte.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd

from helpers.core.problems import Problem, Refused, Severity
from helpers.readers.plate import ANALYTES, CURVES, STANDARDS, WELLS, Plate, concentration, frame, number, role_of

T = TypeVar("T")
Name = tuple[str, int]
"""An analyte by its name and, since names may repeat in one header, which of them it is, from 0."""
Spot = tuple[int, str]
"""A well by its plate in the file, from 1, and its position."""

_STATISTICS = {"median": "mfi", "netmfi": "net_mfi", "count": "bead_count", "%cv": "cv_pct", "result": "conc"}
_OF_WELLS = {**_STATISTICS, "%recovery": "recovery_pct", "dilutionfactor": "dilution"}
_OF_GROUPS = {"avgnetmfi": "net_mfi", "avgresult": "conc", "%cvreplicates": "cv_pct"}
_OF_REAGENTS = {
    "standardexpectedconcentration": ("standard", "expected"),
    "controlexpectedconcentration": ("control", "expected"),
    "controlrange-low": ("control", "low"),
    "controlrange-high": ("control", "high"),
}
_OF_ANALYTES = {
    "units": re.compile("beadid|units"),
    "perbeadcount": re.compile("beadid|per bead"),
    "analysistypes": re.compile("analysistype"),
    "analysiscoefficients": re.compile("coefficient [a-z]"),
    "r^2": re.compile("value"),
}
"""Blocks of one column per analyte, and what their rows may be called."""
_READ = (*_OF_WELLS, *_OF_ANALYTES, *_OF_REAGENTS, *_OF_GROUPS)
_WARNINGS, _COMMENTS = "warnings/errors", "comments"
_BEYOND = re.compile("extrapolat", re.I)
"""What xPONENT writes into Comments where a concentration lies beyond the standards, its Result a plain number."""
_OTHER_STATISTICS = frozenset(
    {"mean", "peak", "stddev", "range", "acquisitiontime"}
    | {f"trimmed{name}" for name in ("count", "mean", "%cv", "peak", "standarddeviation", "stddev")}
)
_NOT_KEPT = _OTHER_STATISTICS | {"avgrange", "auditlogs"}
_DILUTION: Name = ("Dilution Factor", 0)
_PERSONAL = frozenset({"date", "sn", "batch", "operator", "computername", "batchstarttime", "batchstoptime"})
_LOGISTIC = {"logistic4p": "4pl", "logistic5p": "5pl"}
_LETTERS = {"a": "a", "b": "d", "c": "c", "d": "b", "f": "g"}
"""xPONENT's coefficients in the letters of `CURVES`; B is the upper asymptote itself."""

_DATATYPE = re.compile(r"(?:^|[\r\n])[\ufeff\"' ]*DataType:?[\" ]*[,;\t]", re.I)
_PROGRAM = re.compile(r"[\ufeff\"' ]*Program\"*([,;\t])\"*xPONENT", re.I)
_WRAPPED = ('\n"DataType:,', '\n"DataType:;', '\n"""DataType:""')
_BLANK = ' \t,;"'
_POSITION = r"([A-P])0?([1-9]|1\d|2[0-4])"
_LOCATION = re.compile(rf"\s*([0-9]{{1,4}})\s*\(\s*([0-9]{{1,4}})\s*[,;]\s*{_POSITION}\s*\)\s*", re.I)
_WARNED = re.compile(rf"\s*([0-9]{{1,4}})\s*[,;]\s*{_POSITION}\s*", re.I)
_HALVES = re.compile(rf"\s*\d+(?:\s*\(\s*\d+)?\s*,\s*{_POSITION}\s*\)?\s*", re.I)
_COMMA = re.compile(r"[<>*\s]*[+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*")
_POINT = re.compile(r"[<>*\s]*[+-]?\d+\.\d+(?:[eE][+-]?\d+)?\s*")
_THOUSANDS = re.compile(r"[<>*\s]*[+-]?\d{1,3},\d{3}\s*")

AGAIN = "Export the batch again from the instrument's software, and do not save it from Excel."
LOOK = "Compare this with the instrument's own export."


class Line(NamedTuple):
    """One line that is not blank: its number from 1, its cells, and whether its quotation marks close."""

    number: int
    cells: list[str]
    whole: bool


class Row(NamedTuple):
    """One row: its line, what names it, and a cell for every analyte asked for, empty where the row has none."""

    line: int
    name: str
    texts: list[str]


@dataclass(frozen=True)
class Log:
    """What was odd in a file, each with the plate it concerns, None for the whole file."""

    file: str
    said: list[tuple[int | None, Problem]] = field(default_factory=list)

    def say(
        self,
        severity: Severity,
        code: str,
        message: str,
        fix: str = AGAIN,
        *,
        plate: int | None = None,
        row: int | None = None,
        column: str = "",
        found: str = "",
        expected: str = "",
    ) -> None:
        """Keep one problem."""
        where = self.file, "", row, column.strip(), found.strip(), expected
        self.said.append((plate, Problem(severity, code, message, fix, *where)))

    def about(self, plate: int) -> tuple[Problem, ...]:
        """Problems of one plate and of the whole file."""
        return tuple(problem for which, problem in self.said if which in (None, plate))

    def refused(self) -> Refused:
        """Everything said, ready to be raised."""
        return Refused(problem for _, problem in self.said)


@dataclass
class _Block:
    kind: str
    name: str
    line: int
    header: Line | None = None
    rows: list[Line] = field(default_factory=list)


class _Grid(NamedTuple):
    """Rows of one block, each as long as its header, and the column in which each name stands."""

    block: _Block
    keys: int
    columns: dict[Name, int]
    rows: list[Line]

    def texts(self, names: Iterable[Name]) -> list[list[str]]:
        """Cells of every row under these names."""
        columns = [self.columns.get(name) for name in names]
        return [["" if column is None else line.cells[column] for column in columns] for line in self.rows]


class _Group(NamedTuple):
    """One printed average: its sample, the wells it stands for, and its row in each block of averages."""

    sample: str
    spots: list[Spot]
    rows: dict[str, Row]


class _Key(NamedTuple):
    """How to read the cells: the analytes, what to call them, and the decimal mark."""

    names: list[Name]
    labels: list[str]
    decimal: str


Grids = Mapping[str, list[_Grid]]
WellRows = Mapping[str, Mapping[Spot, Row]]
Reagents = Mapping[tuple[str, str], Mapping[str, np.ndarray]]
Facts = Mapping[str, Mapping[str, Row]]
Comments = Mapping[Spot, list[str]]
"""Text of the Comments block for every analyte of a well."""


def is_xponent(text: str) -> bool:
    """Whether a text is an xPONENT export, by its first line or its DataType lines.

    Examples
    --------
    >>> is_xponent('"DataType:","Median"'), is_xponent("Program;xPONENT;;MAGPIX"), is_xponent("well,mfi")
    (True, True, False)
    """
    return bool(_PROGRAM.match(text) or _DATATYPE.search(text))


def read_xponent(text: str, file: str) -> list[Plate]:
    """Plates of an xPONENT export as its software printed them.

    Parameters
    ----------
    text
        The file, decoded.
    file
        Its path inside the study, for messages.

    Returns
    -------
    One plate for every plate number in the Location cells, usually one. `wells` holds Median, Net MFI, Count, %CV
    of the beads, Result, % Recovery and Dilution Factor, and a Result that Comments calls extrapolated has that state;
    other comments and warnings stand in `flag`; `averages` Avg Net MFI, Avg Result and %CV Replicates;
    `curves` Coefficient A, B, C, D, F as a, d, c, b, g. Dates, operator, computer and serial number are not kept.

    Raises
    ------
    Refused
        Where no row of a Median block can be trusted.
    """
    log = Log(file)
    plain = _unwrapped(plain_lines(text), log)
    delimiter = _delimiter(plain)
    preface, blocks, ended = _blocks(split_lines(plain, delimiter), log)
    cut = not ended and not plain.endswith("\n") and _last_line_dropped(blocks)
    software = _software(preface, log)
    grids = _grids(blocks, log)
    names = list(dict.fromkeys(chain(*(grid.columns for kind in _STATISTICS for grid in grids.get(kind, ())))))
    rows = _well_rows(grids, names, log)
    if not any("".join(row.texts).strip() for row in rows.get("median", {}).values()):
        expected = "DataType:, Median, then one row a well"
        log.say("error", "no-median", "No row of a Median block can be read here.", expected=expected)
        raise log.refused()
    spots = list(dict.fromkeys(chain(*(rows.get(kind, ()) for kind in _STATISTICS))))
    facts = {kind: _named_rows(grids, kind, names, log) for kind in _OF_ANALYTES}
    cells = [text for of_spots in rows.values() for row in of_spots.values() for text in row.texts]
    key = _Key(names, _labels(names, facts), decimal_mark(cells, delimiter, log))
    samples = _samples(rows, spots, grids, log)
    _say_gaps(grids, rows, samples, key, log)
    reagents = _reagents(grids, key, log)
    if not ended:
        _say_end(blocks[-1], cut, samples, log)
    said = _comments(blocks, samples, ended, key, log)
    wells = _wells(rows, samples, reagents, _marks(_flags(blocks, samples, log), said, samples, key), said, key, log)
    averages = _averages(_groups(grids, samples, key, log), list(wells), reagents, said, key, log)
    standards, curves, analytes = _standards(reagents, key), _curves(facts, key, log), _analytes(facts, key, log)
    return [
        Plate(plate, "xponent", software, wells[plate], averages[plate], standards, curves, analytes, log.about(plate))
        for plate in wells
    ]


# ---- lines and blocks


def plain_lines(text: str) -> str:
    """A text without byte-order mark, its lines ending in a line feed."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def split_lines(text: str, delimiter: str) -> list[Line]:
    r"""Lines that are not blank, each split alone, so that a lost quotation mark cannot swallow the lines below it.

    Examples
    --------
    >>> [tuple(line) for line in split_lines('a,"b,c"\n,,\nd,"e\n', ",")]
    [(1, ['a', 'b,c'], True), (3, ['d', 'e'], False)]
    """
    lines = []
    for at, line in enumerate(text.split("\n"), 1):
        if not line.strip(_BLANK):
            continue
        if '"' not in line:
            lines.append(Line(at, line.split(delimiter), True))
            continue
        try:
            lines.append(Line(at, next(csv.reader([line], delimiter=delimiter, strict=True)), True))
        except csv.Error:
            lines.append(Line(at, line.replace('"', "").split(delimiter), False))
    return lines


def _unwrapped(text: str, log: Log) -> str:
    """Undo what Excel does where its list separator is another one: every line becomes one quoted cell."""
    if not any(start in text for start in _WRAPPED):
        return text
    log.say("repaired", "wrapped-lines", "Every line stands in one quoted cell; read as lines.")
    return "\n".join(
        line[1:-1].replace('""', '"') if len(line) > 1 and line[0] == line[-1] == '"' else line
        for line in (line.rstrip(",;\t") for line in text.split("\n"))
    )


def _delimiter(text: str) -> str:
    found = Counter(mark for part in text.split("DataType")[1:] if (mark := part.lstrip(': "')[:1]) in (",", ";", "\t"))
    program = _PROGRAM.match(text)
    return found.most_common(1)[0][0] if found else program[1] if program else ","


def _blocks(lines: list[Line], log: Log) -> tuple[list[Line], list[_Block], bool]:
    """Header lines, blocks, and whether the end mark stands behind the last block."""
    preface: list[Line] = []
    blocks: list[_Block] = []
    inside = ended = False
    for line in lines:
        first = line.cells[0].strip()
        if first.startswith("-- CRC"):
            inside, ended = False, True
        elif first.casefold().rstrip(": ") == "datatype":
            inside, ended = True, False
            blocks.append(_begun(line, log))
        elif inside and blocks[-1].header is None:
            blocks[-1].header = line
        elif inside and _is_header(line):
            message = "A new block begins here, but the DataType line above it is gone; its rows are not read."
            log.say("error", "block-without-name", message, row=line.number)
            blocks.append(_Block("", "", line.number, line))
        elif inside:
            blocks[-1].rows.append(line)
        else:
            preface.append(line)
            if _LOCATION.match(first):
                log.say("error", "row-outside-block", "This row of a well belongs to no block.", row=line.number)
    return preface, blocks, ended


def _begun(line: Line, log: Log) -> _Block:
    name = line.cells[1].strip() if len(line.cells) > 1 else ""
    kind = re.sub(r"\s", "", name).casefold().removesuffix("ofmicrospheres")
    if not name:
        message = "This block does not say what it holds; its rows are not read."
        log.say("error", "block-without-name", message, row=line.number, expected="DataType:, Median")
    elif kind not in _READ and kind not in _NOT_KEPT and kind not in (_WARNINGS, _COMMENTS):
        message = "This kind of block is not known; its rows are not read."
        log.say("warning", "unknown-block", message, LOOK, row=line.number, column="DataType:", found=name)
    return _Block(kind, name, line.number)


def _is_header(line: Line) -> bool:
    first = line.cells[0].strip().casefold()
    if first == "sample":  # a sample may be called so, but then numbers follow
        return len(line.cells) > 1 and number(line.cells[1]) is None
    return first in ("location", "reagent", "analyte:", "userid")


def _last_line_dropped(blocks: list[_Block]) -> bool:
    """Without line end and end mark the last line may stop anywhere, within a number too: take it out."""
    if not blocks:
        return False
    if blocks[-1].rows:
        blocks[-1].rows.pop()
    else:
        blocks[-1].header = None
    return True


def _software(preface: list[Line], log: Log) -> str:
    header = {line.cells[0].strip().casefold(): line.cells[1].strip() for line in preface if len(line.cells) > 1}
    if any(header.get(word) for word in _PERSONAL):
        message = "Run dates, operator and computer in the header were left out."
        log.say("repaired", "header-left-out", message, "Nothing to do.")
    build = header.get("build", "")
    if re.fullmatch(r"\d+(?:\.\d+)+", build):
        return f"xPONENT {build}"
    message = "The header does not say which version of xPONENT wrote this file."
    log.say("warning", "no-version", message, LOOK, column="Build", found=build)
    return "xPONENT"


def _say_end(last: _Block, cut: bool, samples: Mapping[Spot, str], log: Log) -> None:
    """A file without its end mark is cut off, within its last block or behind it; every version writes the mark."""
    lines = [last.header, *last.rows] if last.header else []
    row = lines[-1].number if lines else last.line
    if cut or _is_incomplete(last, samples):
        message = "The file stops within a block, before its end mark; what followed is lost."
        log.say("error", "truncated", message, row=row, column=last.name, expected="-- CRC --")
    else:
        message = "The file stops behind this block, before its end mark; blocks that followed are lost."
        log.say("error", "no-end-mark", message, row=row, column=last.name, expected="-- CRC --")


def _is_incomplete(last: _Block, samples: Mapping[Spot, str]) -> bool:
    """Whether the last block lacks its header or rows that the wells of the other blocks ask for."""
    if last.header is None:
        return True
    located = last.header.cells[0].strip().casefold() == "location"
    if located and last.kind not in ("%recovery", _WARNINGS):
        return len(last.rows) < len(samples)
    roles = {sample: role_of(sample)[0] for sample in samples.values()}
    has = {line.cells[0].strip() for line in last.rows}
    if last.kind in _OF_GROUPS:
        return any(role != "blank" and sample not in has for sample, role in roles.items())
    if last.kind in _OF_REAGENTS:
        return any(role == _OF_REAGENTS[last.kind][0] and sample not in has for sample, role in roles.items())
    return last.kind in _OF_ANALYTES and not last.rows


# ---- headers and rows of a block


def _grids(blocks: list[_Block], log: Log) -> dict[str, list[_Grid]]:
    """Blocks whose header can be trusted, by kind; Median first, since its names tell whether others are headers."""
    grids: dict[str, list[_Grid]] = {}
    known: set[str] = set()
    split = False
    for block in sorted((block for block in blocks if block.kind in _READ), key=lambda block: _READ.index(block.kind)):
        if block.kind in grids and block.kind not in _OF_WELLS:
            message = "This block stands twice in the file; the second is not read."
            log.say("error", "block-twice", message, row=block.line, column=block.name)
            continue
        if block.kind in _OF_WELLS or block.kind in _OF_GROUPS:
            split |= any(line is not _joined(line) for line in block.rows)
            block.rows = [_joined(line) for line in block.rows]
        grid = _grid(block, known, log)
        if grid is not None:
            grids.setdefault(block.kind, []).append(grid)
            known |= {name for name, _ in grid.columns}
    if split:
        message = "Location cells stand without quotation marks and fell into two; they were joined."
        log.say("repaired", "location-unquoted", message, "Nothing to do.")
    return grids


def _joined(line: Line) -> Line:
    """``1(1`` and ``A1)`` in one cell again, which lost its quotation marks; the same line where it has them."""
    if ")" not in line.cells[0] and len(line.cells) > 1 and _HALVES.fullmatch(both := ",".join(line.cells[:2])):
        return line._replace(cells=[both, *line.cells[2:]])
    return line


def _grid(block: _Block, known: set[str], log: Log) -> _Grid | None:
    header = block.header
    if header is None:
        message = "This block has no header line; nothing is read from it."
        log.say("error", "header-missing", message, row=block.line, column=block.name)
        return None
    heads = [cell.strip() for cell in header.cells]
    while heads and not heads[-1]:
        heads.pop()
    usual = _usual_labels(block.kind, heads)
    keys = len(usual)
    columns = _columns(heads, keys)
    right = [head.casefold().rstrip(":") == label for head, label in zip(heads, usual, strict=False)]
    aligned = not known & set(heads[:keys]) and (any(right) or bool(known & set(heads[keys : keys + 1])))
    is_dilution = block.kind == "dilutionfactor"
    if not header.whole or not (all(right) or aligned) or (is_dilution and _DILUTION not in columns):
        message = "The header line of this block is damaged; nothing is read from it."
        log.say("error", "header-damaged", message, row=header.number, column=block.name, found=header.cells[0])
        return None
    if not all(right):
        message = "The first heading of this block is not the usual one; the others are, and it was read."
        log.say("repaired", "header-label", message, LOOK, row=header.number, column=block.name, found=heads[0])
    if "" in heads[keys:]:
        message = "A column of this block has no name; it is not read."
        log.say("error", "column-without-name", message, row=header.number, column=block.name)
    rows = _fitting_rows(block, heads, keys, log)
    return None if rows is None else _Grid(block, keys, columns, rows)


def _usual_labels(kind: str, heads: list[str]) -> tuple[str, ...]:
    """What the columns before the analytes are called."""
    if kind in _OF_WELLS or (kind in _OF_GROUPS and heads[:1] == ["Location"]):
        return "location", "sample"
    return ("reagent",) if kind in _OF_REAGENTS else ("analyte",) if kind in _OF_ANALYTES else ("sample",)


def _columns(heads: list[str], keys: int) -> dict[Name, int]:
    """Column of every analyte; Total Events is none."""
    columns: dict[Name, int] = {}
    times: Counter[str] = Counter()
    for column, head in enumerate(heads[keys:], keys):
        if head and head.casefold() != "total events":
            columns[head, times[head]] = column
            times[head] += 1
    return columns


def _fitting_rows(block: _Block, heads: list[str], keys: int, log: Log) -> list[Line] | None:
    """Rows with as many cells as the header, give or take empty ones behind it; None where none has.

    A row of nothing but its keys is an empty one, since Excel leaves out cells at the end of a line; but not where
    Total Events, which is never empty, belongs there.
    """
    width = len(heads)
    full = "Total Events" in heads
    fitting, unfit = [], []
    for line in block.rows:
        cells = line.cells
        short = len(cells) < width and (full or len(cells) > keys)
        if not line.whole or short or any(map(str.strip, cells[width:])):
            unfit.append(line)
        else:
            fitting.append(line._replace(cells=[*cells[:width], *[""] * (width - len(cells))]))
    if len(unfit) > 1 and not fitting:
        message = "No row of this block has as many cells as its header; nothing is read from it."
        log.say("error", "header-damaged", message, row=block.line, column=block.name)
        return None
    for line in unfit:
        message = "This row does not have as many cells as its header, so none of them can be placed."
        found, expected = f"{len(line.cells)} cells", f"{width} cells"
        if not line.whole:
            message, found, expected = "A quotation mark of this row is lost, so no cell can be placed.", "", ""
        log.say("error", "row-width", message, row=line.number, column=block.name, found=found, expected=expected)
    return fitting


def _spot(line: Line, block: _Block, orders: dict[object, object], log: Log) -> Spot | None:
    """Well of a row; `orders` remembers which running number goes with which well, and rows must agree."""
    match = _LOCATION.fullmatch(line.cells[0])
    if not match:
        message, found = "This row does not say which well it is.", line.cells[0]
        log.say("error", "not-a-well", message, row=line.number, column=block.name, found=found, expected="1(1,A1)")
        return None
    order, spot = int(match[1]), (int(match[2]), f"{match[3].upper()}{match[4]}")
    if orders.setdefault(spot, order) == order and orders.setdefault((spot[0], order), spot) == spot:
        return spot
    message = "Running number and well of this row do not go together as in other rows; it is not read."
    log.say(
        "error", "location-differs", message, plate=spot[0], row=line.number, column=block.name, found=line.cells[0]
    )
    return None


def _well_rows(grids: Grids, names: list[Name], log: Log) -> dict[str, dict[Spot, Row]]:
    """Rows of every block of wells, by block and well."""
    orders: dict[object, object] = {}
    found: dict[str, dict[Spot, Row]] = {}
    for kind in (kind for kind in _OF_WELLS if kind in grids):
        rows = found.setdefault(kind, {})
        wanted = [_DILUTION] if kind == "dilutionfactor" else names
        for grid in grids[kind]:
            for line, texts in zip(grid.rows, grid.texts(wanted), strict=True):
                spot = _spot(line, grid.block, orders, log)
                if spot is None:
                    continue
                row = Row(line.number, line.cells[1].strip(), texts)
                if spot in rows:
                    row = _emptied(rows[spot], row, grid.block, spot, log)
                rows[spot] = row
    return found


def _named_rows(grids: Grids, kind: str, names: list[Name], log: Log) -> dict[str, Row]:
    """Rows of a block that are named by their first cell: a reagent, or ``Units:``."""
    rows: dict[str, Row] = {}
    for grid in grids.get(kind, ()):
        for line, texts in zip(grid.rows, grid.texts(names), strict=True):
            name = line.cells[0].strip().rstrip(":")
            if kind in _OF_ANALYTES:
                name = name.casefold()
                if not _OF_ANALYTES[kind].fullmatch(name):
                    message, column = "This row of the block is not known; it is not read.", grid.block.name
                    log.say("warning", "unknown-row", message, LOOK, row=line.number, column=column, found=name)
            row = Row(line.number, name, texts)
            if name in rows:
                row = _emptied(rows[name], row, grid.block, (None, name), log)
            rows[name] = row
    return rows


def _emptied(first: Row, second: Row, block: _Block, what: tuple[int | None, str], log: Log) -> Row:
    plate, name = what
    message = f"This row stands twice in its block, in row {first.line} too; neither is read."
    log.say("error", "row-twice", message, plate=plate, row=second.line, column=block.name, found=name)
    return first._replace(texts=[""] * len(first.texts))


# ---- what the cells say


def decimal_mark(cells: Collection[str], delimiter: str, log: Log) -> str:
    """Decimal mark by the numbers that have one; between commas, 1,234 alone is no proof of a decimal comma."""
    commas = [text for text in cells if "," in text and _COMMA.fullmatch(text)]
    points = sum("." in text and bool(_POINT.fullmatch(text)) for text in cells) if commas else 0
    if len(commas) <= points or (delimiter == "," and all(map(_THOUSANDS.fullmatch, commas))):
        return "."
    log.say("repaired", "decimal-comma", "Numbers have decimal commas; read as such.", "Nothing to do.")
    return ","


def parsed(
    rows: Iterable[tuple[int | None, Row | None]],
    labels: Sequence[str],
    parse: Callable[[str], T | None],
    nothing: T,
    log: Log,
) -> list[list[T]]:
    """Cells of rows, each with its plate, read by `parse`.

    Gives `nothing` where there is no row and, with a problem, where `parse` gives None.
    """
    table: list[list[T]] = []
    for plate, row in rows:
        values = [nothing] * len(labels) if row is None else [parse(text) for text in row.texts]
        if row is not None and None in values:
            message, expected = "This cell is no number; its value stays empty.", "a number"
            for label, text, value in zip(labels, row.texts, values, strict=True):
                if value is None:
                    log.say(
                        "warning",
                        "not-a-number",
                        message,
                        plate=plate,
                        row=row.line,
                        column=label,
                        found=text,
                        expected=expected,
                    )
        table.append([nothing if value is None else value for value in values])
    return table


def numbers(rows: Iterable[tuple[int | None, Row | None]], labels: Sequence[str], decimal: str, log: Log) -> np.ndarray:
    """Numbers of rows, rows × labels, NaN where there is none."""
    read = parsed(rows, labels, cache(partial(number, decimal=decimal)), math.nan, log)
    return np.array(read, dtype=np.float64).reshape(len(read), len(labels))


def _concentrations(
    rows: Iterable[tuple[int | None, Row | None]], key: _Key, log: Log
) -> tuple[np.ndarray, np.ndarray]:
    """Concentrations and their states, each rows × analytes."""
    parse = cache(partial(concentration, decimal=key.decimal))
    read = parsed(rows, key.labels, parse, (math.nan, "not_available"), log)
    shape = len(read), len(key.labels)
    values = np.array([value for row in read for value, _ in row], dtype=np.float64).reshape(shape)
    states = np.array([state for row in read for _, state in row], dtype=object).reshape(shape)
    return values, states


def _labels(names: list[Name], facts: Facts) -> list[str]:
    """Names as printed; where one repeats, with the bead region, or with its number where regions do not tell."""
    times = Counter(name for name, _ in names)
    pairs = list(zip(names, _regions(facts, len(names)), strict=True))
    labels = [name if times[name] == 1 else f"{name} ({region})" if region else "" for (name, _), region in pairs]
    seen = Counter(labels)
    return [
        label if label and seen[label] == 1 else f"{name} #{nth + 1}"
        for label, (name, nth) in zip(labels, names, strict=True)
    ]


def _regions(facts: Facts, n: int) -> list[str]:
    """Bead region of every analyte, by Units, else by Per Bead Count."""
    rows = [facts[kind].get("beadid") for kind in ("units", "perbeadcount")]
    printed = [[text.strip() for text in row.texts] if row else [""] * n for row in rows]
    return [first or second for first, second in zip(*printed, strict=True)]


def _say_gaps(grids: Grids, rows: WellRows, samples: Mapping[Spot, str], key: _Key, log: Log) -> None:
    """Say which wells, reagents and analytes one block has and another has not."""
    roles = {sample: role_of(sample)[0] for sample in samples.values()}
    tested = [spot for spot, sample in samples.items() if roles[sample] in ("standard", "control")]
    for kind, of_kind in grids.items():
        block = of_kind[0].block
        if kind in rows:
            _say_missing_wells(block, rows[kind], tested if kind == "%recovery" else list(samples), log)
        for spot in rows.get(kind, {}).keys() - samples.keys():
            message, line = "This well is in no block of results.", rows[kind][spot].line
            log.say("error", "unknown-well", message, row=line, column=block.name, found=spot[1])
        if kind in _OF_REAGENTS:
            _say_missing_reagents(grids, kind, roles, log)
        if kind != "dilutionfactor":
            _say_analytes(block, {name for grid in of_kind for name in grid.columns}, key, log)


def _say_missing_reagents(grids: Grids, kind: str, roles: Mapping[str, str], log: Log) -> None:
    """Standards or controls by name that neither this block nor one of the other role lists."""
    role = _OF_REAGENTS[kind][0]
    listing = [of for of, (its_role, _) in _OF_REAGENTS.items() if of == kind or its_role != role]
    listed = {line.cells[0].strip() for of in listing for grid in grids.get(of, ()) for line in grid.rows}
    lacking = [sample for sample, by_name in roles.items() if by_name == role and sample not in listed]
    _say_missing(grids[kind][0].block, lacking, f"{role}s", log)


def _say_missing_wells(block: _Block, rows: Mapping[Spot, Row], spots: list[Spot], log: Log) -> None:
    for plate in dict.fromkeys(plate for plate, _ in spots):
        lacking = [well for at, well in spots if at == plate and (at, well) not in rows]
        _say_missing(block, lacking, "wells", log, plate)


def _say_missing(block: _Block, lacking: list[str], what: str, log: Log, plate: int | None = None) -> None:
    if lacking:
        message = f"{len(lacking)} of the {what} are not in this block; their values stay empty."
        found = f"no {', '.join(lacking)}"
        log.say("warning", "rows-missing", message, LOOK, plate=plate, row=block.line, column=block.name, found=found)


def _say_analytes(block: _Block, has: Collection[Name], key: _Key, log: Log) -> None:
    severity: Severity = "error" if block.kind in _OF_WELLS else "warning"
    lacking = [label for name, label in zip(key.names, key.labels, strict=True) if name not in has]
    if lacking:
        message = f"{len(lacking)} of the analytes are not in this block; their values stay empty."
        found = f"no {', '.join(lacking)}"
        log.say(severity, "analytes-missing", message, LOOK, row=block.line, column=block.name, found=found)
    more = sorted(name for name, _ in set(has) - set(key.names))
    if more:
        message = f"{len(more)} analytes of this block are in no block of results; they are not read."
        log.say(severity, "unknown-analyte", message, LOOK, row=block.line, column=block.name, found=", ".join(more))


def _samples(rows: WellRows, spots: list[Spot], grids: Grids, log: Log) -> dict[Spot, str]:
    """Name of the sample in each well: the one most blocks print; a block that prints another is said."""
    samples = {}
    for spot in spots:
        printed = [(kind, of_spots[spot]) for kind, of_spots in rows.items() if spot in of_spots]
        samples[spot] = Counter(row.name for _, row in printed).most_common(1)[0][0]
        for kind, row in printed:
            if row.name != samples[spot]:
                message = "This block names another sample in this well than most blocks do; theirs is taken."
                name = grids[kind][0].block.name
                log.say("error", "sample-differs", message, plate=spot[0], row=row.line, column=name, found=row.name)
    return samples


def _flags(blocks: list[_Block], samples: Mapping[Spot, str], log: Log) -> dict[Spot, str]:
    """Warnings and errors of each well."""
    flags: dict[Spot, list[str]] = {}
    for line in (line for block in blocks if block.kind == _WARNINGS for line in block.rows):
        cells = [cell.strip() for cell in _joined(line).cells]
        text = ": ".join([cells[1], ", ".join(filter(None, cells[2:]))]) if len(cells) > 2 else cells[-1]
        match = _WARNED.fullmatch(cells[0])
        spot = (int(match[1]), f"{match[2].upper()}{match[3]}") if match else (0, "")
        if spot in samples:
            flags.setdefault(spot, []).append(text)
        else:
            message = "This warning of the instrument belongs to no well that was read."
            log.say("warning", "warning-without-well", message, LOOK, row=line.number, column=cells[0], found=text)
    return {spot: "; ".join(dict.fromkeys(texts)) for spot, texts in flags.items()}


def _comments(blocks: list[_Block], samples: Mapping[Spot, str], ended: bool, key: _Key, log: Log) -> Comments | None:
    """What the Comments blocks say of each well and analyte; a row that cannot be placed is said and left out.

    None where a whole file has no such block, so that nothing is said of any concentration.
    """
    own = [block for block in blocks if block.kind == _COMMENTS]
    found: dict[Spot, list[str]] = {}
    for block in own:
        heads = [cell.strip() for cell in block.header.cells] if block.header and block.header.whole else []
        while heads and not heads[-1]:
            heads.pop()
        columns = _columns(heads, 2)
        if [head.casefold() for head in heads[:2]] != ["location", "sample"] or not set(key.names) <= columns.keys():
            _say_unplaced(block, block.line, "", log)
            continue
        lines = [_joined(line) for line in block.rows]
        # a file that keeps its empty cells has them in every row; one that does not may stop a row anywhere
        padded = any(len(line.cells) >= len(heads) and not line.cells[-1].strip() for line in lines)
        width = Counter(len(line.cells) for line in lines).most_common(1)[0][0] if padded else 0
        for line in lines:
            texts = [cell.strip() for cell in line.cells]
            match = _LOCATION.fullmatch(texts[0])
            spot = (int(match[2]), f"{match[3].upper()}{match[4]}") if match else (0, "")
            fits = len(texts) >= width or not any(texts[2:])
            known = samples.get(spot) == "".join(texts[1:2]) and spot not in found
            if line.whole and fits and known and not any(texts[len(heads) :]):
                texts += [""] * (len(heads) - len(texts))
                found[spot] = [texts[columns[name]] for name in key.names]
            else:
                _say_unplaced(block, line.number, texts[0], log)
    return found if own or not ended else None


def _say_unplaced(block: _Block, row: int, found: str, log: Log) -> None:
    message = "These comments cannot be placed; which concentrations the instrument's software extrapolated stays open."
    log.say("warning", "comments-not-read", message, row=row, column=block.name, found=found)


def _marks(flags: Mapping[Spot, str], said: Comments | None, samples: Mapping[Spot, str], key: _Key) -> np.ndarray:
    """Warnings of the well and comments on the analyte, wells × analytes.

    That a concentration is extrapolated is its state, and no mark.
    """
    table = np.full((len(samples), len(key.names)), None, dtype=object)
    for i, spot in enumerate(samples):
        table[i] = flags.get(spot)
        for j, text in enumerate((said or {}).get(spot, ())):
            if text and not _BEYOND.search(text):
                table[i, j] = "; ".join(filter(None, (flags.get(spot), text)))
    return table


def _stated(states: np.ndarray, of_rows: Sequence[Sequence[Spot]], said: Comments | None) -> np.ndarray:
    """States of rows × analytes: a plain number is extrapolated where a comment on one of its wells says so.

    Where the comments of a well are lost, nobody knows, and its plain numbers have no state.
    """
    out = states.copy()
    for i, spots in enumerate(of_rows if said is not None else ()):
        for spot in spots:
            texts = (said or {}).get(spot)
            if texts is None:
                out[i, states[i] == "measured"] = "not_available"
            elif any(texts):
                beyond = np.array([bool(_BEYOND.search(text)) for text in texts])
                out[i, beyond & (out[i] == "measured")] = "extrapolated"
    return out


# ---- tables


def _reagents(grids: Grids, key: _Key, log: Log) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Printed concentrations of standards and controls, expected, low and high, by role and sample."""
    reagents: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for kind, (role, column) in _OF_REAGENTS.items():
        rows = _named_rows(grids, kind, key.names, log)
        read = numbers(((None, row) for row in rows.values()), key.labels, key.decimal, log)
        for (sample, row), values in zip(rows.items(), read, strict=True):
            by_name = role_of(sample)[0]
            if {by_name, role} == {"standard", "control"}:
                message = f"Listed as a {role}, but called like a {by_name}; taken as listed."
                name = grids[kind][0].block.name
                log.say("warning", "role-differs", message, LOOK, row=row.line, column=name, found=sample)
            reagents.setdefault(("blank" if by_name == "blank" else role, sample), {})[column] = values
    return reagents


def _role(sample: str, reagents: Reagents) -> tuple[str, int | None]:
    """Role and level of a sample: as the file lists it, else by its name."""
    role, level = role_of(sample)
    for listed, name in reagents:
        if name == sample and np.isfinite(reagents[listed, name].get("expected", math.nan)).any():
            return listed, level
    return role, level


def _wells(
    rows: WellRows,
    samples: Mapping[Spot, str],
    reagents: Reagents,
    marks: np.ndarray,
    said: Comments | None,
    key: _Key,
    log: Log,
) -> dict[int, pd.DataFrame]:
    """Tables of wells, by plate."""
    tables: dict[str, np.ndarray] = {}
    for kind, column in _OF_WELLS.items():
        of_spots = [(spot[0], rows.get(kind, {}).get(spot)) for spot in samples]
        if column == "conc":
            tables["conc"], states = _concentrations(of_spots, key, log)
            tables["state"] = _stated(states, [[spot] for spot in samples], said)
        elif column == "dilution":
            tables["dilution"] = np.repeat(numbers(of_spots, _DILUTION[:1], key.decimal, log), len(key.names), axis=1)
        else:
            tables[column] = numbers(of_spots, key.labels, key.decimal, log)
    _say_counts(tables["bead_count"], [(spot[0], rows.get("count", {}).get(spot)) for spot in samples], key, log)
    roles = {sample: _role(sample, reagents) for sample in samples.values()}
    nothing = np.full(len(key.names), math.nan)
    expected = {
        sample: reagents.get((role, sample), {}).get("expected", nothing) for sample, (role, _) in roles.items()
    }
    tables["expected"] = np.array([expected[sample] for sample in samples.values()])
    by_plate: dict[int, list[int]] = {}
    for i, (plate, _) in enumerate(samples):
        by_plate.setdefault(plate, []).append(i)
    tables["flag"] = marks
    records = [(spot[1], sample, *roles[sample]) for spot, sample in samples.items()]
    heads = ("well", "sample", "role", "level")
    return {
        plate: long_table(
            heads, [records[i] for i in here], {name: of[here] for name, of in tables.items()}, key.labels
        )
        for plate, here in sorted(by_plate.items())
    }


def long_table(
    heads: Sequence[str],
    records: Sequence[tuple[object, ...]],
    tables: Mapping[str, np.ndarray],
    labels: Sequence[str],
    columns: dict[str, str] = WELLS,
) -> pd.DataFrame:
    """Records and tables of records × analytes as one row for every record and analyte.

    Parameters
    ----------
    heads, records
        Names and values of what is the same for all analytes of a record.
    tables
        Values by column, each records × analytes.
    labels
        The analytes.
    columns
        Columns and types of the table that comes out.
    """
    made: dict[str, object] = {
        head: np.repeat(np.array([record[i] for record in records], dtype=object), len(labels))
        for i, head in enumerate(heads)
    }
    made["analyte"] = np.tile(np.array(labels, dtype=object), len(records))
    return frame(made | {name: table.ravel() for name, table in tables.items()}, columns)


def _say_counts(counts: np.ndarray, rows: list[tuple[int, Row | None]], key: _Key, log: Log) -> None:
    """Beads are counted whole: a fraction shows that a row came from another block."""
    odd = np.isfinite(counts) & ((counts % 1 != 0) | (counts < 0))
    for i, j in np.argwhere(odd):
        plate, row = rows[i]
        if row is not None:
            message, label, found = "A number of beads must be whole.", key.labels[j], row.texts[j]
            log.say("warning", "not-a-count", message, LOOK, plate=plate, row=row.line, column=label, found=found)


def _groups(grids: Grids, samples: Mapping[Spot, str], key: _Key, log: Log) -> list[_Group]:
    """Printed averages with the wells they stand for.

    A row stands for all wells of its sample. Where a sample has as many rows as wells, the instrument did not
    group them, and each row is one well, in the wells' order. A row with a Location is that well's.
    """
    found: dict[tuple[Spot | None, str, int], dict[str, Row]] = {}
    most: Counter[str] = Counter()
    for kind, grid in ((block_kind, grid) for block_kind in _OF_GROUPS for grid in grids.get(block_kind, ())):
        times: Counter[str] = Counter()
        for line, texts in zip(grid.rows, grid.texts(key.names), strict=True):
            sample = line.cells[grid.keys - 1].strip()
            spot = _spot(line, grid.block, {}, log) if grid.keys == 2 else None
            if spot is not None or grid.keys == 1:
                which = (spot, sample, times[sample] if spot is None else 0)
                found.setdefault(which, {})[kind] = Row(line.number, sample, texts)
                times[sample] += 1
        most |= times
    groups = []
    for (at, sample, nth), rows in found.items():
        spots = [spot for spot, name in samples.items() if (spot == at if at else name == sample)]
        if at is None and len(spots) == most[sample]:
            spots = [spots[nth]]
        if not spots:
            message, at_line = "This average belongs to no well that was read.", min(row.line for row in rows.values())
            log.say("warning", "average-without-well", message, LOOK, row=at_line, column="Sample", found=sample)
        groups.append(_Group(sample, spots, rows))
    for kind, block in ((block_kind, grids[block_kind][0].block) for block_kind in _OF_GROUPS if block_kind in grids):
        _say_missing(block, [group.sample for group in groups if kind not in group.rows], "averages", log)
    return groups


def _averages(
    groups: list[_Group], plates: list[int], reagents: Reagents, said: Comments | None, key: _Key, log: Log
) -> dict[int, pd.DataFrame]:
    """Tables of printed averages, by plate; one that belongs to no well goes with the first plate."""
    tables: dict[str, np.ndarray] = {}
    for kind, column in _OF_GROUPS.items():
        of_groups = [(group.spots[0][0] if group.spots else None, group.rows.get(kind)) for group in groups]
        if column == "conc":
            tables["conc"], states = _concentrations(of_groups, key, log)
            tables["state"] = _stated(states, [group.spots for group in groups], said)
        else:
            tables[column] = numbers(of_groups, key.labels, key.decimal, log)
    if any(len({plate for plate, _ in group.spots}) > 1 for group in groups):
        message = "Some printed averages stand for wells of several plates; they are shown with each of them."
        log.say("warning", "average-over-plates", message, "Compare them with both plates together.")
    averages = {}
    for plate in plates:
        of_plate = [[well for at, well in group.spots if at == plate] for group in groups]
        here = [i for i, group in enumerate(groups) if of_plate[i] or (not group.spots and plate == plates[0])]
        records = [(",".join(of_plate[i]) or None, groups[i].sample, *_role(groups[i].sample, reagents)) for i in here]
        values = {name: table[here] for name, table in tables.items()}
        averages[plate] = long_table(("well", "sample", "role", "level"), records, values, key.labels)
    return averages


def _standards(reagents: Reagents, key: _Key) -> pd.DataFrame:
    nothing = np.full(len(key.names), math.nan)
    columns = ("expected", "low", "high")
    tables = {
        column: np.array([printed.get(column, nothing) for printed in reagents.values()]).reshape(-1, len(key.names))
        for column in columns
    }
    records = [(role, sample, role_of(sample)[1]) for role, sample in reagents]
    return long_table(("role", "sample", "level"), records, tables, key.labels, STANDARDS)


def _curves(facts: Facts, key: _Key, log: Log) -> pd.DataFrame:
    """Printed curves; coefficients of a model that is not logistic go into `equation` as they stand."""
    types = facts["analysistypes"].get("analysistype")
    coefficients = facts["analysiscoefficients"]
    read = numbers(((None, row) for row in coefficients.values()), key.labels, key.decimal, log)
    fits = numbers([(None, facts["r^2"].get("value"))], key.labels, key.decimal, log)[0]
    curves = []
    for j, label in enumerate(key.labels):
        printed = types.texts[j].strip() if types else ""
        printed = "" if printed.casefold() == "none" else printed
        model = _LOGISTIC.get(printed.casefold().replace(" ", ""))
        values = {name.removeprefix("coefficient").strip(): read[i, j] for i, name in enumerate(coefficients)}
        texts = [f"{name} = {row.texts[j].strip()}" for name, row in coefficients.items() if row.texts[j].strip()]
        curve: dict[str, object] = {"analyte": label, "model": model or printed or None, "r2": fits[j]}
        if model:
            curve |= {ours: values.get(theirs, math.nan) for theirs, ours in _LETTERS.items()}
            curve["g"] = 1.0 if model == "4pl" else curve["g"]
        elif texts:
            curve["equation"] = "; ".join(texts)
        if printed or texts:
            curves.append(curve)
    return frame(curves, CURVES)


def _analytes(facts: Facts, key: _Key, log: Log) -> pd.DataFrame:
    units, beads = facts["units"], facts["perbeadcount"]
    regions = _regions(facts, len(key.names))
    other = beads.get("beadid")
    for label, region, text in zip(key.labels, regions, other.texts if other else regions, strict=True):
        if other and text.strip() != region:
            message = "Units and Per Bead Count give this analyte different bead regions; that of Units is taken."
            log.say("warning", "region-differs", message, LOOK, row=other.line, column=label, found=text)
    unit = units["units"].texts if "units" in units else [""] * len(regions)
    columns = {
        "analyte": key.labels,
        "region": [region or None for region in regions],
        "unit": [text.strip() or None for text in unit],
        "bead_minimum": numbers([(None, beads.get("per bead"))], key.labels, key.decimal, log)[0],
    }
    return frame(columns, ANALYTES)
