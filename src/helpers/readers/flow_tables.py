"""Statistics tables that FlowJo, FACSDiva and FCS Express export: one number a row, with its gate and statistic."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from helpers.core.problems import Problem, Refused
from helpers.readers.sheets import MOST_COLUMNS, is_office_file, read_workbook
from helpers.readers.text import decode_instrument

MOST_BYTES = 50_000_000
MOST_CELLS = 5_000_000
"""Fluorescence of single cells, a sample a column, is the longest of these tables."""
COLUMNS = ("row", "sample", "gate", "statistic", "channel", "value", "unit")
_STATISTICS = {
    "count": "count",
    "#events": "count",
    "events": "count",
    "# of events": "count",
    "number of events": "count",
    "freq. of parent": "pct_parent",
    "%parent": "pct_parent",
    "% parent": "pct_parent",
    "% of gated cells": "pct_parent",
    "% of gated": "pct_parent",
    "freq. of total": "pct_total",
    "%total": "pct_total",
    "% total": "pct_total",
    "% of all cells": "pct_total",
    "freq. of grandparent": "pct_grandparent",
    "%grandparent": "pct_grandparent",
    "mean": "mean",
    "arithmetic mean": "mean",
    "median": "median",
    "geometric mean": "geometric_mean",
    "geo mean": "geometric_mean",
    "geomean": "geometric_mean",
    "mode": "mode",
    "sd": "sd",
    "cv": "cv",
    "robust cv": "robust_cv",
    "rcv": "robust_cv",
    "robust sd": "robust_sd",
    "rsd": "robust_sd",
    "min": "min",
    "max": "max",
}
_WORDS = "|".join(re.escape(word) for word in sorted(_STATISTICS, key=len, reverse=True))
_HEADINGS = (
    re.compile(r"^(?P<gate>.*?)\s*\|\s*(?P<statistic>[^()|]+?)\s*(?:\((?P<channel>.*)\))?$"),
    re.compile(rf"^(?P<gate>.+?)\s*[-–:]\s*(?P<statistic>{_WORDS})(?:\s+\(?(?P<channel>[^()]+?)\)?)?$", re.I),
    re.compile(r"^(?P<gate>.+?)\s+(?P<statistic>#Events|% ?Parent|% ?Total|%Grandparent)$", re.I),
    re.compile(rf"^(?P<gate>.+?)\s+(?P<channel>\S+)\s+(?P<statistic>{_WORDS})$", re.I),
    re.compile(rf"^(?P<statistic>{_WORDS})$", re.I),
)
"""FlowJo's path pipe statistic, FCS Express's gate, dash, statistic, FACSDiva's gate, channel, statistic."""
_SAMPLE_HEADINGS = (
    "",
    "sample",
    "sample name",
    "sample:",
    "name",
    "tube name",
    "tube",
    "file",
    "filename",
    "file name",
)
_SUMMARY = frozenset({"mean", "sd", "mean:", "sd:", "median", "stdev"})
_EMPTY = frozenset({"", "n/a", "na", "nan", "-", "--", "---", "----", "####", "#div/0!"})
_NUMBER = re.compile(r"^[-+−]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?$")
_FEWEST_NUMBERS = 3


@dataclass(frozen=True, eq=False)
class FlowTable:
    """An export as a tidy table.

    Parameters
    ----------
    file
        Path inside the study.
    numbers
        Columns `COLUMNS`: line of the file, the sample's name as written, gate path joined by “/”, statistic (count,
        pct_parent, mean, median, geometric_mean, …, or as written), channel, value, and “%” where it was printed.
    problems
        What was repaired, left out, or looks copied.
    """

    file: str
    numbers: pd.DataFrame
    problems: tuple[Problem, ...] = ()


def read_flow_table(path: Path, file: str) -> FlowTable:
    """One export, CSV or text in any encoding, or a workbook's first sheet with numbers.

    Parameters
    ----------
    path
        The file.
    file
        Its path inside the study, for messages.

    Raises
    ------
    Refused
        Where the file cannot be read, or holds no column that names a gate and a statistic.
    """
    problems: list[Problem] = []
    for lines in table_lines(path, file):
        table = _tidy(lines, file, problems)
        if table is not None:
            return FlowTable(file, table, (*problems, *_copies(table, file)))
    message = "No column of this table names a statistic, as “Cells/Live | Median (FITC-A)” does."
    fix = "Export the statistics table of FlowJo, FACSDiva or FCS Express as CSV, headings included."
    raise Refused([Problem("error", "no-statistics", message, fix, file=file)])


def table_lines(path: Path, file: str) -> list[list[tuple[int, list[str]]]]:
    """Lines of a table's cells with their numbers, a list a sheet; headings may be missing or doubled.

    Raises
    ------
    Refused
        Where the file cannot be read.
    """
    try:
        data = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except OSError:
        raise Refused([_wrong("unreadable", "The file cannot be opened.", file)]) from None
    if data is None:
        raise Refused([_wrong("too-large", "The file is larger than 50 MB.", file)])
    if is_office_file(path):
        return _sheets(data, file)
    decoded = decode_instrument(data, file)
    if any(p.severity == "error" for p in decoded.problems):
        raise Refused(decoded.problems)
    delimiter = _delimiter(decoded.text)
    try:
        reader = csv.reader(io.StringIO(decoded.text, newline=""), delimiter=delimiter)
        lines, cells = [], 0
        for line in reader:
            cells += len(line)
            if len(line) > MOST_COLUMNS or cells > MOST_CELLS:
                message = "The table is far too large for an export of statistics."
                limit = f"at most {MOST_COLUMNS:,} columns and {MOST_CELLS:,} cells"
                raise Refused([_wrong("too-large", message, file, reader.line_num, limit)])
            lines.append((reader.line_num, [c.strip(" \u00a0\ufeff") for c in line]))
    except csv.Error:
        raise Refused([_wrong("not-csv", "The file cannot be read as a table.", file)]) from None
    return [[(n, line) for n, line in lines if any(line)]]


def _delimiter(text: str) -> str:
    """Tab, else semicolon, else comma: the first that stands in most lines, since commas may be decimal."""
    lines = [line for line in text[:50_000].splitlines() if line.strip()]
    usual = (c for c in "\t;" if sum(c in line for line in lines) > len(lines) / 2)
    return next(usual, ",")


def _sheets(data: bytes, file: str) -> list[list[tuple[int, list[str]]]]:
    _, problems = read_workbook(data, file)  # damaged, locked and oversized workbooks are refused there
    if problems:
        raise Refused(problems)
    import python_calamine

    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    out = []
    for name in book.sheet_names:
        rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
        lines = [(i, [_text(v) for v in row]) for i, row in enumerate(rows, 1)]
        out.append([(i, line) for i, line in lines if any(line)])
    return out


def _text(value: object) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value).strip(" \u00a0")


def _wrong(code: str, message: str, file: str, row: int | None = None, expected: str = "") -> Problem:
    return Problem("error", code, message, "Export the table again as CSV.", file=file, row=row, expected=expected)


def number_of(text: str) -> tuple[float, str] | None:
    """A printed number and its unit; NaN where the program printed that there is none; None for other text.

    Examples
    --------
    >>> number_of("12.4 %"), number_of("1,5"), number_of("high")
    ((12.4, '%'), (1.5, ''), None)
    """
    plain = text.strip().replace("\u00a0", " ")
    unit = "%" if plain.endswith("%") else ""
    plain = plain.removesuffix("%").strip()
    if plain.casefold() in _EMPTY:
        return float("nan"), unit
    plain = re.sub(r"(?<=\d),(?=\d{3}(\D|$))", "", plain) if re.search(r"\d,\d{3}[.,]", plain) else plain
    if not _NUMBER.match(plain):
        return None
    return float(plain.replace(",", ".").replace("−", "-")), unit


def _tidy(lines: list[tuple[int, list[str]]], file: str, problems: list[Problem]) -> pd.DataFrame | None:
    found = _heading_line(lines)
    if found is None:
        return None
    start, headings = found
    columns = {j: parsed for j, text in enumerate(headings) if (parsed := _heading(text))}
    names = next((j for j, t in enumerate(headings) if j not in columns and t.casefold() in _SAMPLE_HEADINGS), 0)
    rows, left = [], 0
    for n, line in lines[start:]:
        sample = line[names] if names < len(line) and names not in columns else ""
        if sample.casefold() in _SUMMARY:
            left += 1
            continue
        for j, (gate, statistic, channel) in columns.items():
            text = line[j] if j < len(line) else ""
            value = number_of(text)
            if value is None:
                message, fix = "A number is expected here.", "Correct the cell in the program that made the table."
                problems.append(Problem("warning", "not-a-number", message, fix, file, "", n, headings[j], text))
                value = (float("nan"), "")
            rows.append((n, sample, gate, statistic, channel, *value))
    if left:
        message = f"{left} rows hold means or SD of the other rows; they are left out."
        problems.append(Problem("repaired", "summary-rows", message, "Nothing to do.", file=file))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _heading_line(lines: list[tuple[int, list[str]]]) -> tuple[int, list[str]] | None:
    """Where the numbers begin, and the headings above them; gates above statistics become one heading."""
    for i, (_, line) in enumerate(lines[:30]):
        if sum(_heading(text) is not None for text in line) == 0:
            continue
        above = lines[i - 1][1] if i else []
        plain = all(_STATISTICS.get(t.casefold()) or not t or j == 0 for j, t in enumerate(line))
        if plain and sum(bool(t) for t in above) > 1:
            gate, joined = "", []
            for j, text in enumerate(line):
                gate = above[j] if j < len(above) and above[j] else gate
                joined.append(f"{gate} | {text}" if text and _STATISTICS.get(text.casefold()) else text)
            return i + 1, joined
        return i + 1, line
    return None


def _heading(text: str) -> tuple[str, str, str] | None:
    """Gate, statistic and channel of a heading; None where it names no statistic."""
    plain = re.sub(r"\s+", " ", text).strip()
    for form in _HEADINGS:
        if match := form.match(plain):
            parts = match.groupdict()
            word = parts["statistic"].strip().casefold()
            known = _STATISTICS.get(word) or _STATISTICS.get(word.replace("% ", "%"))
            if known or form is _HEADINGS[0]:
                gate = (parts.get("gate") or "").strip().strip("/")
                return gate, known or word, (parts.get("channel") or "").strip()
    return None


# ---- the same numbers twice


def recycled(numbers: pd.DataFrame) -> pd.DataFrame:
    """Rows of numbers that stand under more than one sample.

    Parameters
    ----------
    numbers
        As in `FlowTable`.

    Returns
    -------
    One row a group of samples: samples (a tuple), n_rows (lines of numbers they share), rows (their lines).
    """
    lines: dict[tuple[object, ...], list[tuple[int, str]]] = defaultdict(list)
    for (n, sample), own in numbers.groupby(["row", "sample"], sort=False):
        values = own["value"]
        if values.notna().sum() >= _FEWEST_NUMBERS and values.nunique() > 1:
            printed = [f"{value:.12g}" for value in values]
            key = tuple(zip(own["gate"], own["statistic"], own["channel"], printed, strict=True))
            lines[tuple(str(part) for part in key)].append((int(str(n)), str(sample)))
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    shared: dict[tuple[str, ...], int] = defaultdict(int)
    for places in lines.values():
        samples = tuple(dict.fromkeys(sample for _, sample in places))
        if len(places) > 1 and (len(samples) > 1 or len(places) > 1):
            groups[samples] += [n for n, _ in places]
            shared[samples] += 1
    return pd.DataFrame(
        [(samples, shared[samples], tuple(sorted(rows))) for samples, rows in groups.items()],
        columns=["samples", "n_rows", "rows"],
    )


def _copies(numbers: pd.DataFrame, file: str) -> list[Problem]:
    return [
        Problem(
            "warning",
            "recycled-numbers",
            f"The same {one.n_rows} rows of numbers stand under {len(one.samples)} different samples."
            if len(one.samples) > 1
            else f"{one.n_rows} rows of numbers stand twice under the same sample.",
            "Check which sample they belong to; measured numbers do not repeat in every column.",
            file=file,
            row=one.rows[0],
            column=" = ".join(one.samples),
            found=f"lines {', '.join(map(str, one.rows))}",
        )
        for one in recycled(numbers).itertuples()
    ]


# ---- design in names


def design_of(names: pd.Series, pattern: str) -> pd.DataFrame:
    """What a pattern reads from sample or file names: one column a named group, missing where it does not match.

    Parameters
    ----------
    names
        Names as written.
    pattern
        Regular expression with named groups, searched anywhere in the name.

    Examples
    --------
    >>> design_of(pd.Series(["uptake_WT_2hr.fcs"]), r"_(?P<genotype>[A-Z0-9]+)_(?P<hours>\\d+)hr").to_dict("records")
    [{'genotype': 'WT', 'hours': '2'}]
    """
    compiled = re.compile(pattern)
    found = [match.groupdict() if (match := compiled.search(str(name))) else {} for name in names]
    return pd.DataFrame(found, index=names.index, columns=list(compiled.groupindex), dtype="string")
