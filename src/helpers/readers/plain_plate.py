"""Plates as a plain table: ELISA or LEGENDplex results that a person typed or that FlowJo's table editor wrote.

Long: one row a well and analyte, with columns such as well, sample, analyte, mfi. Wide: one row a well, with
well or sample first and one column of signals an analyte. Headings are matched whatever their case.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice, takewhile
from typing import TypeVar

import pandas as pd

from helpers.core.problems import Problem, Refused, Severity, has_errors
from helpers.readers.plate import ANALYTES, CURVES, STANDARDS, WELLS, Plate, concentration, frame, number, role_of
from helpers.readers.sheets import RawTable, read_csv
from helpers.readers.text import decode_instrument

T = TypeVar("T")

MOST_QUOTED = 20
"""So many cells of one column are named one by one; the rest is counted."""

_HEADINGS = {
    "plate": ("plate", "plate id", "plate name", "plate no"),
    "well": ("well", "wells", "well id", "position", "well position"),
    "sample": ("sample", "sample id", "sampleid", "sample name"),
    "kind": ("type", "kind", "role", "well type", "well role", "sample type"),
    "analyte": ("analyte", "cytokine", "assay", "target", "analyte name"),
    "mfi": ("mfi", "signal", "od", "fi", "median", "median fi", "median mfi", "absorbance", "rfu", "rlu"),
    "net_mfi": ("net mfi", "net signal", "net od", "net fi", "fi bkgd", "adjusted signal"),
    "cv_pct": ("cv", "cv pct", "% cv", "%cv"),
    "bead_count": ("bead count", "beads", "count", "bead counts"),
    "dilution": ("dilution", "dilution factor", "fold", "dilution fold"),
    "expected": ("expected", "expected conc", "expected concentration", "exp conc", "standard concentration"),
    "conc": ("conc", "concentration", "obs conc", "calculated concentration", "calc concentration", "result"),
    "recovery_pct": ("recovery", "recovery pct", "% recovery", "%recovery"),
}
_MEANINGS = {word: column for column, words in _HEADINGS.items() for word in words}
_PLACE = ("plate", "well", "sample", "kind", "dilution")
_NUMBERS = ("mfi", "net_mfi", "cv_pct", "bead_count", "dilution", "expected", "conc", "recovery_pct")
_UNIT = re.compile(r"[([]\s*([^()\[\]]*)\s*[)\]]$|(?<=[_ ])([pnu]g[_/]ml)$", re.I)
_MASS = re.compile(r"\b(?:[pnuµμ]?g|[pnµμ]?mol|iu|u)\s*/\s*[mdµμ]?l\b", re.I)
_WELL = re.compile(r"([A-P])0{0,2}([1-9]|1\d|2[0-4])", re.I)
_STATISTICS = ("mean", "sd", "stddev", "std dev")
_ROLES = {
    **dict.fromkeys(("standard", "standards", "std", "stds", "calibrator", "calibrators"), "standard"),
    **dict.fromkeys(("blank", "blanks", "background", "backgrounds"), "blank"),
    **dict.fromkeys(("control", "controls", "qc", "qcs"), "control"),
    **dict.fromkeys(("sample", "samples", "unknown", "unknowns"), "sample"),
}
_PEEKED = 100_000
_MARKED = r"[<>=*\s]*[+-]?"
_COMMA = re.compile(rf"{_MARKED}\d*,\d+(?:[eE][+-]?\d+)?")
_POINT = re.compile(rf"{_MARKED}\d*\.\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(rf"{_MARKED}[1-9]\d{{0,2}},\d{{3}}")
_FORMS = (
    "a long table with the columns well, sample, analyte and mfi (or signal, OD), "
    "or a wide one with well or sample first and one column of signals for each analyte"
)


def is_workbook(data: bytes) -> bool:
    """Whether a file begins as an .xlsx, .ods or .xls workbook does.

    Examples
    --------
    >>> is_workbook(b"PK\\x03\\x04..."), is_workbook(b"well,sample")
    (True, False)
    """
    return data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"))


# ---- from bytes to tables


def sheet_texts(data: bytes, file: str) -> dict[str, str]:
    """Sheets of a workbook as text with tabs, a line a row, so that a row keeps its number; by sheet.

    Raises
    ------
    Refused
        If it is locked, damaged, far too large, or no workbook.
    """
    from helpers.readers.bioplex import workbook_values

    sheets, problems = workbook_values(data, file)
    if problems:
        raise Refused(replace(p, file=file) for p in problems)
    return as_texts(sheets)


def as_texts(sheets: Mapping[str, Sequence[Sequence[object]]]) -> dict[str, str]:
    """Values of a workbook as `sheet_texts` gives them.

    Examples
    --------
    >>> as_texts({"plate": [["well", "IL-6"], ["A1", 0.1 + 0.2]]})
    {'plate': 'well\\tIL-6\\nA1\\t0.3\\n'}
    """
    texts = {}
    for sheet, rows in sheets.items():
        width = max(map(len, rows), default=0)
        out = io.StringIO()
        cells = ([*map(_cell, row), *[""] * (width - len(row))] for row in rows)
        csv.writer(out, delimiter="\t", lineterminator="\n").writerows(cells)
        texts[sheet] = out.getvalue()
    return texts


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, (dt.datetime, dt.date, dt.time, dt.timedelta)):
        return str(value)
    return re.sub(r"\s+", " ", str(value))  # a line break inside a cell would shift the rows


def table_of(text: str, file: str, sheet: str, start: int = 0) -> RawTable:
    """The table whose headings stand in the line `start` (from 0); empty lines stand in for what is above.

    A row with fewer cells than headings, and a last line without an end, are warnings: a file that was cut off has
    them. A row with more cells than the headings' line is an error even where its last cells are empty: a comma
    inside a number has moved the others.
    """
    lines = re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff"))
    below = "\n".join([*[""] * start, *lines[start:]])
    read = read_csv(below.encode("utf-8", "replace"), file)
    problems = []
    for problem in read.problems:
        if start and problem.code == "empty-rows" and problem.row == 1:
            continue
        severity: Severity = "warning" if problem.code == "short-row" else problem.severity
        problems.append(replace(problem, severity=severity))
    if lines[-1].strip() and read.rows:
        message = "The last line has no end; the file may be cut off inside its last cell."
        fix = "Compare the last row with its source."
        problems.append(Problem("warning", "no-line-end", message, fix, file=file, row=read.rows[-1]))
    fix = "Put a number with a decimal comma into quotation marks, or save the table with semicolons."
    for row, cells, width in _long_rows(below, read)[:MOST_QUOTED]:
        message = "This row has more cells than the line of headings; its cells may stand in wrong columns."
        expected = f"{width} cells"
        problems.append(
            Problem("error", "long-row", message, fix, file=file, row=row, found=str(cells), expected=expected)
        )
    return replace(read, sheet=sheet, problems=tuple(replace(p, sheet=sheet) for p in problems))


def _long_rows(text: str, table: RawTable) -> list[tuple[int, int, int]]:
    """Row, its number of cells and that of the headings' line, where a row has more."""
    plain = re.sub(r"\Asep=.(?=[\r\n])", "", text)
    for mark in (",", ";", "\t") if table.columns else ():
        reader = csv.reader(io.StringIO(plain, newline=""), delimiter=mark)
        head, before = 0, 0
        long: list[tuple[int, int, int]] = []
        for record in reader:
            row, before = before + 1, reader.line_num
            if head:
                long += [(row, len(record), head)] if len(record) > head and any(map(_clean, record)) else []
            elif filled := [c for c in map(_clean, record) if c]:
                if filled != list(table.columns):
                    break
                head = len(record)
        if head:
            return long
    return []


def _clean(cell: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", cell)).strip(' "\ufeff\u200b')


# ---- cells of a table as numbers


def decimal_mark(texts: Iterable[str]) -> str:
    """Decimal mark of a table's numbers: the one most of them have; a point where 1,234 could be read both ways.

    Examples
    --------
    >>> decimal_mark(["4284,5", "12"]), decimal_mark(["4284.5", "12"]), decimal_mark(["1,234", "2,500"])
    (',', '.', '.')
    """
    commas = points = doubtful = 0
    for text in texts:
        plain = text.strip()
        if _COMMA.fullmatch(plain):
            commas += 1
            doubtful += _THOUSANDS.fullmatch(plain) is not None
        else:
            points += _POINT.fullmatch(plain) is not None
    return "," if commas > points and commas > doubtful else "."


def well_of(text: str) -> str | None:
    """A position on a plate of 96 or 384 wells as ``A1``, several (an average's) as ``A1,A2``; None where it is none.

    Examples
    --------
    >>> well_of("A02"), well_of("h12"), well_of("A1, A2"), well_of("A25"), well_of("")
    ('A2', 'H12', 'A1,A2', None, None)
    """
    matches = [_WELL.fullmatch(part) for part in re.split(r"[,;+\s]+", text.strip())]
    wells = [f"{m[1].upper()}{m[2]}" for m in matches if m]
    return ",".join(wells) if len(wells) == len(matches) else None


def fold(text: str, decimal: str = ".") -> float | None:
    """A dilution as its factor: 50, 50x, 1:50 and 1/50 are all 50; NaN where empty, None where it is none.

    Examples
    --------
    >>> fold("1:50"), fold("4"), fold("0"), fold("none at all")
    (50.0, 4.0, None, None)
    """
    value = number(re.sub(r"^1\s*[:/]\s*(?=[\d.,])|(?<=\d)\s*[x×]$", "", text.strip()), decimal)
    return None if value is not None and value <= 0 else value


@dataclass
class Cells:
    """Cells of one table as numbers, wells and concentrations; what is none is empty and said with its place.

    Parameters
    ----------
    table
        The table.
    decimal
        Its decimal mark (`decimal_mark`).
    problems
        What was said so far.
    """

    table: RawTable
    decimal: str = "."
    problems: list[Problem] = field(default_factory=list)

    def say(
        self,
        severity: Severity,
        code: str,
        message: str,
        fix: str,
        record: int | None = None,
        column: str = "",
        found: str = "",
        expected: str = "",
    ) -> None:
        """Note a problem at a record (from 0) and heading of the table."""
        row = None if record is None else self.table.rows[record]
        place = {"file": self.table.file, "sheet": self.table.sheet, "row": row, "column": column}
        self.problems.append(Problem(severity, code, message, fix, found=found, expected=expected, **place))  # type: ignore[arg-type]

    def texts(self, column: str) -> list[str]:
        """Cells of a column as they stand, without blanks around them."""
        return [str(text) for text in self.table.cells[column]]

    def wells(self, column: str) -> list[str | None]:
        """Positions (`well_of`)."""
        return self._each(column, well_of, None, "not-a-well", "a position such as A1")

    def numbers(self, column: str) -> list[float]:
        """Printed numbers; NaN where the cell is empty or says so."""
        return self._each(column, lambda t: number(t, self.decimal), math.nan, "not-a-number", "a number")

    def counts(self, column: str) -> list[float]:
        """Numbers of beads: whole and not negative."""

        def count(text: str) -> float | None:
            value = number(text, self.decimal)
            return value if value is None or math.isnan(value) or (value >= 0 and value.is_integer()) else None

        return self._each(column, count, math.nan, "not-a-count", "a whole number, 0 or more")

    def not_negative(self, column: str) -> list[float]:
        """Expected concentrations: 0 or more."""

        def amount(text: str) -> float | None:
            value = number(text, self.decimal)
            return None if value is not None and value < 0 else value

        return self._each(column, amount, math.nan, "not-a-number", "a number, 0 or more")

    def dilutions(self, column: str) -> list[float]:
        """Dilution factors (`fold`); one below 1 is a warning, since 0.02 may be meant as 1:50."""
        factors = self._each(column, lambda t: fold(t, self.decimal), math.nan, "not-a-dilution", "a factor such as 50")
        small = [i for i, factor in enumerate(factors) if factor < 1]
        if small:
            self.say(
                "warning",
                "dilution-below-1",
                f"Dilutions below 1 ({len(small)} cells) mean samples that were concentrated; a sample diluted 1:50 has 50.",
                "Write the factor by which the sample was diluted.",
                small[0],
                column,
                self.texts(column)[small[0]],
            )
        return factors

    def concentrations(self, column: str) -> list[tuple[float, str]]:
        """Printed concentrations and their states (`helpers.readers.plate.STATES`)."""
        nothing = (math.nan, "not_available")

        def parse(text: str) -> tuple[float, str] | None:
            return concentration(text, self.decimal)

        return self._each(column, parse, nothing, "not-a-concentration", "a concentration, or < or > with a limit")

    def _each(self, column: str, parse: Callable[[str], T | None], nothing: T, code: str, expected: str) -> list[T]:
        values: list[T] = []
        bad: list[int] = []
        for i, text in enumerate(self.texts(column)):
            value = parse(text)
            if value is None:
                bad.append(i)
            values.append(nothing if value is None else value)
        texts = self.texts(column) if bad else []
        for i in bad[:MOST_QUOTED]:
            doubtful = self.decimal == "." and _THOUSANDS.fullmatch(texts[i])
            message = "This cell cannot be read; it is left empty."
            if doubtful:
                message = "This number can be read in two ways, as 1.234 or as 1234; it is left empty."
            self.say("error", code, message, "Correct the cell.", i, column, texts[i], expected)
        if len(bad) > MOST_QUOTED:
            message = f"Further cells of this column cannot be read: {len(bad) - MOST_QUOTED}."
            self.say("error", code, message, "Correct the column.", bad[MOST_QUOTED], column, expected=expected)
        return values


# ---- roles, and the plate from its rows


def role_by(kind: str, sample: str) -> tuple[str | None, int | None]:
    """Role and level of a well by its kind, a word or a code, else by its sample's name; None where it has neither.

    Examples
    --------
    >>> role_by("Standards", "S3"), role_by("C2", "x"), role_by("", "QC1"), role_by("unknown", "S3"), role_by("", "")
    (('standard', 3), ('control', 2), ('control', 1), ('sample', None), (None, None))
    """
    by_name = role_of(sample) if sample.strip() else (None, None)
    if not kind.strip():
        return by_name
    word = re.match(r"[a-z]*", kind.strip().casefold())
    said = _ROLES.get(word[0]) if word else None
    role, level = role_of(kind)
    if said and said != role:
        role, level = said, None
    return role, level if level is not None or role != by_name[0] else by_name[1]


def with_roles(rows: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    """Rows of `WELLS` with role and level; a free name with an expected concentration is a standard, with a warning."""
    kinds, samples = (rows[c].fillna("") if c in rows else pd.Series("", index=rows.index) for c in ("kind", "sample"))
    known = {pair: role_by(*pair) for pair in dict.fromkeys(zip(kinds, samples, strict=True))}
    found = [known[pair] for pair in zip(kinds, samples, strict=True)]
    rows = rows.assign(role=[role for role, _ in found], level=[level for _, level in found])
    if "expected" in rows:
        free = rows["expected"].notna() & (rows["role"].isna() | (rows["role"] == "sample")) & (kinds == "")
        if free.any():
            cells.say(
                "warning",
                "standard-by-concentration",
                f"Rows with an expected concentration whose sample is not named as a standard or control ({free.sum()}) "
                "are taken as standards.",
                "Name them Standard1, Standard2, … or QC1, QC2, …, or give the role in the layout.",
                int(rows.loc[free, "record"].iloc[0]),
            )
            rows.loc[free, "role"] = "standard"
    return rows


def say_doubled(rows: pd.DataFrame, cells: Cells) -> None:
    """Say where a well stands twice with the same analyte."""
    named = rows[rows["well"].notna()]
    again = named[named.duplicated(["well", "analyte"])].drop_duplicates("record")
    for record, well in zip(again["record"][:MOST_QUOTED], again["well"], strict=False):
        message = "This well stands twice on the plate with the same analyte; both rows are kept."
        cells.say("error", "doubled-well", message, "Correct the well or delete the row.", int(record), found=well)
    if len(again) > MOST_QUOTED:
        message = f"Further wells stand twice with the same analyte: {len(again) - MOST_QUOTED}."
        fix = "Correct the wells, or add a column plate."
        cells.say("error", "doubled-well", message, fix, int(again["record"].iloc[MOST_QUOTED]))


def say_gaps(rows: pd.DataFrame, cells: Cells) -> None:
    """Say where a well lacks a row of an analyte that other wells have."""
    named = rows[["well", "analyte"]].dropna().drop_duplicates()
    wells = named["well"].value_counts(sort=False)
    gaps = wells[wells < named["analyte"].nunique()]
    if len(gaps):
        message = f"Wells that lack rows of analytes which other wells have: {len(gaps)}."
        cells.say("warning", "missing-rows", message, "Look whether rows were lost.", found=", ".join(gaps.index[:5]))


def say_empty(rows: pd.DataFrame, column: str, cells: Cells) -> None:
    """Say how many wells have no signal in a column of `WELLS`, and where the first is."""
    empty = rows[rows[column].isna()]
    if len(empty):
        message = f"Wells without a signal: {len(empty)}; they stay empty."
        cells.say("warning", "empty-signal", message, "Look whether they were read.", int(empty["record"].iloc[0]))


def plate_of(
    number: int,
    layout: str,
    rows: pd.DataFrame,
    analytes: pd.DataFrame,
    problems: Iterable[Problem],
    *,
    averages: pd.DataFrame | None = None,
    curves: pd.DataFrame | None = None,
    software: str = "",
) -> Plate:
    """A plate from its rows; a row of several wells is an average where those wells have rows of their own, too.

    Parameters
    ----------
    number, layout, software, averages, curves, analytes, problems
        As in `helpers.readers.plate.Plate`; averages, curves and analytes may lack columns.
    rows
        Columns of `WELLS`, in the file's order; what lacks is empty.
    """
    wells = frame(rows, WELLS).reset_index(drop=True)
    joined = wells[_repeats(wells)]
    wells = wells.drop(joined.index).reset_index(drop=True)
    extra = frame([] if averages is None else averages, WELLS)
    known = wells[wells["role"].isin(["standard", "control"]) & wells["expected"].notna()]
    return Plate(
        number=number,
        layout=layout,
        software=software,
        wells=wells,
        averages=frame(joined if extra.empty else extra, WELLS).reset_index(drop=True),
        standards=frame(known, STANDARDS).drop_duplicates().reset_index(drop=True),
        curves=frame([] if curves is None else curves, CURVES).reset_index(drop=True),
        analytes=frame(analytes, ANALYTES).reset_index(drop=True),
        problems=tuple(problems),
    )


def _repeats(wells: pd.DataFrame) -> list[bool]:
    """Which rows of several wells stand beside rows of those single wells, with the same analyte."""
    single = set(zip(wells["well"], wells["analyte"], strict=True))
    return [
        isinstance(well, str) and "," in well and any((part, analyte) in single for part in well.split(","))
        for well, analyte in zip(wells["well"], wells["analyte"], strict=True)
    ]


def by_plate(rows: pd.DataFrame, cells: Cells) -> list[pd.DataFrame]:
    """Rows of each plate that the column plate names, in the file's order; all rows where there is none."""
    if "plate" not in rows:
        return [rows]
    nameless = rows[rows["plate"] == ""]
    if len(nameless):
        message = f"Rows that name no plate: {len(nameless)}."
        cells.say("error", "no-plate-name", message, "Fill in the plate.", int(nameless["record"].iloc[0]))
    plates = [own for _, own in rows.groupby("plate", sort=False)]
    if len(plates) > 1:
        message = f"The table holds {len(plates)} plates; they are numbered in the order of their first rows."
        cells.say("repaired", "several-plates", message, "Nothing to do.")
    return plates


# ---- what kind of table


def _meaning(heading: str) -> tuple[str, str]:
    """What a heading stands for, empty where that is not known, and the unit it prints."""
    match = _UNIT.search(heading.strip())
    bare = heading.strip()[: match.start()] if match else heading
    unit = (match[1] or match[2] or "").replace("_", "/") if match else ""
    words = re.sub(r"[\s_.\-–]+", " ", bare.casefold()).strip()
    if re.fullmatch(r"(?:od|a|abs|absorbance) ?\d{3}(?: ?nm)?", words):
        return "mfi", ""
    return _MEANINGS.get(words, ""), unit


def _is_note(heading: str) -> bool:
    return heading.casefold() in ("comment", "comments", "note", "notes") or heading.casefold().startswith("x_")


def _form(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """long, wide, or empty where the table is no plate."""
    meanings = [_meaning(heading)[0] for heading in headings]
    if {"well", "sample"} & set(meanings) and {"mfi", "net_mfi"} & set(meanings):
        return "long"
    first = set(takewhile(lambda meaning: meaning in _PLACE, meanings))
    further = [
        j for j, h in enumerate(headings) if h.strip() and meanings[j] not in _PLACE and not _is_note(headings[j])
    ]
    numbered = all(headings[j].strip().isdigit() for j in further)  # the columns of a plate's drawing
    if not {"well", "sample"} & first or not further or "analyte" in meanings or numbered:
        return ""

    def holds_numbers(j: int) -> bool:
        cells = [row[j] for row in rows if j < len(row) and row[j].strip()]
        return bool(cells) and 2 * sum(number(c) is not None or number(c, ",") is not None for c in cells) >= len(cells)

    return "wide" if 3 * sum(map(holds_numbers, further)) >= 2 * len(further) else ""


def _with_first_heading(text: str) -> str:
    """A text whose first heading is empty, as FlowJo's table editor leaves that of the samples, with it filled in."""
    empty = re.match(r'((?:sep=.[\r\n]+)?(?>(?:[\s,;"]*[\r\n])?))(?:"")?([,;\t])([^\r\n]*)', text)
    if not empty or {"well", "sample"} & {_meaning(h.strip(' "'))[0] for h in empty[3].split(empty[2])}:
        return text
    return f"{empty[1]}sample{text[empty.start(2) :]}"


def _peek(text: str) -> tuple[list[str], list[list[str]]]:
    """Headings and some rows of a text, cut where that gives most headings."""
    filled = (line for line in text.splitlines() if line.strip(' ,;\t"') and not re.fullmatch(r"sep=.", line))
    lines = list(islice(filled, 50))
    if not lines:
        return [], []
    try:
        cut = [list(csv.reader(lines, delimiter=mark)) for mark in (",", ";", "\t")]
    except csv.Error:
        return [], []
    best = max(cut, key=lambda rows: len(rows[0]))
    return best[0], best[1:]


def is_plain_plate(text: str) -> bool:
    """Whether a text (a file, or a sheet of a workbook by `sheet_texts`) is a plate as a plain long or wide table.

    Examples
    --------
    >>> is_plain_plate("Well;Sample;IL-6\\nA1;S1;12,5\\n"), is_plain_plate("donor_id,age_years\\nD01,44\\n")
    (True, False)
    """
    return bool(_form(*_peek(_with_first_heading(text[:_PEEKED]))))


# ---- reading


def read_plain_plate(data: bytes, file: str) -> list[Plate]:
    """Plates of a plain long or wide table, one for each value of its column plate where it has one.

    Parameters
    ----------
    data
        The whole file: CSV with comma, semicolon or tab and either decimal mark, or a workbook.
    file
        Its path inside the study, for messages.

    Raises
    ------
    Refused
        Where no table of the file is a plate, or its headings or rows cannot be trusted.

    Examples
    --------
    >>> plate = read_plain_plate(b"well;sample;IL-6;IL-8\\nA1;D07;12,5;30\\n", "elisa.csv")[0]
    >>> plate.wells[["well", "analyte", "mfi"]].to_numpy().tolist()
    [['A1', 'IL-6', 12.5], ['A1', 'IL-8', 30.0]]
    """
    notes: list[Problem] = []
    if is_workbook(data):
        texts = sheet_texts(data, file)
    else:
        decoded = decode_instrument(data, file)
        if has_errors(decoded.problems):
            raise Refused(decoded.problems)
        texts, notes = {"": decoded.text}, list(decoded.problems)
    plates: list[Plate] = []
    refused: list[Problem] = []
    for sheet, text in texts.items():
        if not is_plain_plate(text):
            message = "This sheet is no plate; it is not read."
            notes.append(Problem("repaired", "sheet-not-read", message, "Nothing to do.", file=file, sheet=sheet))
            continue
        try:
            plates += _plates(table_of(_with_first_heading(text), file, sheet), len(plates) + 1)
        except Refused as err:
            refused += err.problems
    if not plates and not refused:
        message, fix = "This table is no plate that can be read.", "Write the table in one of the two forms."
        refused.append(Problem("error", "not-a-plate", message, fix, file=file, expected=_FORMS))
    if refused:
        raise Refused([*refused, *(p for plate in plates for p in plate.problems)])
    return [replace(plate, problems=(*notes, *plate.problems)) for plate in plates]


def _plates(table: RawTable, first: int) -> list[Plate]:
    """Plates of one table, numbered from `first`; refused where its headings or the cut of its rows are wrong."""
    cells = Cells(table, problems=list(table.problems))
    form = _form(table.columns, table.cells.head(50).to_numpy().tolist())
    if not form:
        cells.say(
            "error", "not-a-plate", "This table is no plate.", "Write it in one of the two forms.", expected=_FORMS
        )
        raise Refused(cells.problems)
    columns = _columns(cells, form)
    if not len(table.cells):
        cells.say("error", "empty-table", "There is no row below the headings.", "Fill in the table.")
    analytes = [h for h, meaning in columns.items() if not meaning]
    names, unit = _without_statistic(analytes, cells), _unit(cells)
    if has_errors(cells.problems):
        raise Refused(cells.problems)
    numeric = [h for h, meaning in columns.items() if meaning in _NUMBERS or not meaning]
    cells.decimal = decimal_mark(text for h in numeric for text in cells.texts(h))
    rows = _read(cells, {meaning: h for h, meaning in columns.items() if meaning})
    if form == "wide":
        signals = pd.DataFrame({h: cells.numbers(h) for h in analytes}).set_axis(names, axis=1)
        rows = _widened(rows, signals, cells)
    rows = with_roles(rows, cells)
    if "well" not in rows:
        message = "The table names no wells; rows are told apart by their samples' names only."
        cells.say("warning", "no-wells", message, "Add a column well.")
        rows["well"] = None
    plates = by_plate(rows, cells)
    for own in plates:
        say_doubled(own, cells)
        say_gaps(own, cells)
        say_empty(own, "mfi" if "mfi" in own else "net_mfi", cells)
    return [
        plate_of(
            n,
            "plain",
            own,
            pd.DataFrame({"analyte": own["analyte"].dropna().unique(), "unit": unit or None}),
            problems_of(own, plates, cells),
        )
        for n, own in enumerate(plates, first)
    ]


def _columns(cells: Cells, form: str) -> dict[str, str]:
    """Heading → column of `WELLS`, empty for an analyte of a wide table; what is not read is left out and said."""
    headings = cells.table.columns
    meanings = {h: _meaning(h)[0] for h in headings}
    known = {h: m for h, m in meanings.items() if m}
    for h, meaning in known.items():
        earlier = next(other for other, m in known.items() if m == meaning)
        if earlier != h:
            message = "Two columns mean the same; which one is right cannot be told."
            cells.say("error", "doubled-column", message, "Keep one of the two.", column=h, found=earlier)
    others = [h for h in headings if h not in known]
    if form == "wide":
        return _wide_columns(cells, known, [h for h in others if not _is_note(h)])
    if "analyte" not in known.values():
        signal = next(h for h, m in known.items() if m in ("mfi", "net_mfi"))
        message = "The table does not say which analyte this column is of."
        fix = "Add a column analyte, or write the analyte as this heading."
        cells.say("error", "no-analyte", message, fix, column=signal)
    for h in others:
        message, fix = "This column is not known; it is not read.", "Correct the heading if it should be read."
        near = [] if _is_note(h) else get_close_matches(h.casefold(), _MEANINGS, 1)
        cells.say(
            "repaired" if _is_note(h) else "warning", "column-not-read", message, fix, column=h, expected="".join(near)
        )
    return known


def _wide_columns(cells: Cells, known: dict[str, str], analytes: list[str]) -> dict[str, str]:
    for h, meaning in known.items():
        if meaning not in _PLACE:
            message = "This column belongs into a long table, with one row for each well and analyte."
            cells.say("error", "long-column", message, "Write the table long, or remove the column.", column=h)
    for h in analytes:
        if near := get_close_matches(h.casefold(), _MEANINGS, 1, 0.85):
            message = "This heading is near to one that is no analyte."
            cells.say("error", "odd-heading", message, "Correct the heading.", column=h, expected=near[0])
        if _MASS.search(h):
            message = "This heading has a unit of concentration, but a wide table holds signals."
            fix = "Give signals here, and concentrations in the study's table of concentrations."
            cells.say("error", "concentrations", message, fix, column=h)
    return {**known, **dict.fromkeys(analytes, "")}


def _read(cells: Cells, columns: dict[str, str]) -> pd.DataFrame:
    """Rows of the known columns (column of `WELLS` → heading) and the record they come from."""
    read: dict[str, Callable[[str], Sequence[object]]] = {
        **dict.fromkeys(("plate", "sample", "kind", "analyte"), cells.texts),
        **dict.fromkeys(("mfi", "net_mfi", "cv_pct", "recovery_pct"), cells.numbers),
        "well": cells.wells,
        "bead_count": cells.counts,
        "dilution": cells.dilutions,
        "expected": cells.not_negative,
    }
    found = {column: read[column](heading) for column, heading in columns.items() if column != "conc"}
    rows = pd.DataFrame({"record": range(len(cells.table.cells)), **found})
    if "conc" in columns:
        rows[["conc", "state"]] = cells.concentrations(columns["conc"])
    for column in {"sample", "kind", "analyte"} & set(rows):
        rows[column] = rows[column].where(rows[column] != "")
    nameless = rows[rows["analyte"].isna()] if "analyte" in rows else rows[:0]
    if len(nameless):
        message = f"Rows that name no analyte: {len(nameless)}."
        cells.say(
            "error", "no-analyte", message, "Fill in the analyte.", int(nameless["record"].iloc[0]), columns["analyte"]
        )
    return rows


def _widened(rows: pd.DataFrame, signals: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    """One row a well and analyte, well after well, without the last rows that FlowJo adds (Mean, SD)."""
    if "sample" in rows and "well" not in rows:
        words = rows["sample"].fillna("").str.strip(": ").str.casefold()
        last = words.isin(_STATISTICS)[::-1].cummin()[::-1].astype(bool)
        if last.any():
            message = f"The last rows ({last.sum()}) are statistics over the samples; they are not read."
            cells.say("repaired", "statistics-rows", message, "Nothing to do.", int(rows.loc[last, "record"].iloc[0]))
            rows, signals = rows[~last], signals[~last]
    long = rows.loc[rows.index.repeat(signals.shape[1])].reset_index(drop=True)
    return long.assign(analyte=list(signals.columns) * len(rows), mfi=signals.to_numpy().ravel())


def _without_statistic(analytes: list[str], cells: Cells) -> list[str]:
    """FlowJo's headings without the statistic that it writes behind a bar."""
    parts = [h.rpartition(" | ") for h in analytes]
    statistics = [statistic if bar else "" for _, bar, statistic in parts]
    if not any(statistics):
        return analytes
    other = next((h for h, statistic in zip(analytes, statistics, strict=True) if statistic != statistics[0]), "")
    if other:
        message = "The columns hold different FlowJo statistics; only one is the signal."
        cells.say("error", "mixed-statistics", message, "Export one statistic, such as Median.", column=other)
        return analytes
    message = "The headings end with a FlowJo statistic; the analytes are named without it."
    cells.say("repaired", "statistic-in-heading", message, "Nothing to do.", column=analytes[0])
    return [name for name, _, _ in parts]


def _unit(cells: Cells) -> str:
    """Unit that the headings of concentrations print."""
    units = {h: u for h in cells.table.columns for m, u in [_meaning(h)] if m in ("expected", "conc") and u}
    if len(set(units.values())) > 1:
        message = "Two columns of concentrations have different units."
        cells.say("error", "units-differ", message, "Give both in one unit.", column=list(units)[-1])
    return next(iter(units.values()), "")


def problems_of(plate: pd.DataFrame, plates: Sequence[pd.DataFrame], cells: Cells) -> list[Problem]:
    """Problems of the whole table and of one plate's rows, without those of the other plates' rows."""
    others = {cells.table.rows[i] for rows in plates if rows is not plate for i in rows["record"]}
    others -= {cells.table.rows[i] for i in plate["record"]}
    return [p for p in cells.problems if p.row not in others]
