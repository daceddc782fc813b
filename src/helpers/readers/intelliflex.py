"""INTELLIFLEX's CSV of one row per well, with columns such as ``R25: RP1 MEDIAN`` → plates.

The user chooses the columns at the instrument, so every one but WELL LOCATION and a MEDIAN may be absent. A cell is
placed by its heading and by the WELL LOCATION of its row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from helpers.readers.plate import ANALYTES, CURVES, STANDARDS, WELLS, Plate, frame, role_of
from helpers.readers.xponent import (
    LOOK,
    Line,
    Log,
    Row,
    decimal_mark,
    long_table,
    numbers,
    plain_lines,
    split_lines,
)

_STATISTICS = {"MEDIAN": "mfi", "NET MEDIAN": "net_mfi", "COUNT": "bead_count", "%CV": "cv_pct"}
_AVERAGES = {"AVERAGE MFI": "mfi", "NET AVERAGE MEDIAN": "net_mfi", "REPLICATE %CV": "cv_pct"}
_NAME = "ANALYTE NAME"
_NOT_KEPT = frozenset(
    {"REGION", "MEAN", "NET MEAN", "BACKGROUND", "NORMALIZED MEDIAN", "NET NORMALIZED MEDIAN", "PEAK", "STD DEV"}
)
_PERSONAL = re.compile(r"PLATE (?:START|END)|SERIAL NUMBER|.* USER|WELL ACQUISITION (?:START|END)|.* TIMESTAMP")
_HEADING = re.compile(r"(R\d+): ?(RP\d) (.+)")
_WELL = re.compile(r"([A-P])0?([1-9]|1\d|2[0-4])", re.I)
_HEADER = re.compile(r"(?:^|[\r\n])([^\r\n]*\bWELL LOCATION\b[^\r\n]*\bR\d+: ?RP\d [^\r\n]*)")
Bead = tuple[str, str]
"""Bead region and reporter, as ``("R25", "RP1")``."""


class _Table(NamedTuple):
    """Column of every heading, of every bead's statistics, and the rows, each as long as the header."""

    heads: dict[str, int]
    beads: dict[Bead, dict[str, int]]
    rows: list[Line]
    decimal: str

    def text(self, line: Line, head: str) -> str | None:
        """Cell under a heading; None where there is no such column or the cell says there is nothing."""
        text = line.cells[self.heads[head]].strip() if head in self.heads else ""
        return None if text.casefold() in ("", "nan", "n/a") else text

    def row(self, line: Line, statistic: str) -> Row:
        columns = (of_bead.get(statistic) for of_bead in self.beads.values())
        return Row(line.number, "", ["" if column is None else line.cells[column] for column in columns])


def is_intelliflex(text: str) -> bool:
    """Whether a text is INTELLIFLEX's export of one row per well, by its header line.

    Examples
    --------
    >>> is_intelliflex("PLATE NAME,WELL LOCATION,R25: RP1 MEDIAN"), is_intelliflex("WELL LOCATION,MFI")
    (True, False)
    """
    return bool(_HEADER.search(text))


def read_intelliflex(text: str, file: str) -> list[Plate]:
    """Plates of an INTELLIFLEX export of one row per well.

    Parameters
    ----------
    text
        The file, decoded.
    file
        Its path inside the study, for messages.

    Returns
    -------
    One plate for every PLATE NAME. An analyte is called by its ANALYTE NAME, else by its region (``R25``); where
    both reporters were read, those of the second end in " (RP2)". `wells` holds MEDIAN, NET MEDIAN, COUNT, %CV and
    DILUTION, with WELL STATUS as flag; `averages` what the instrument printed beside each well about its replicates.
    Dates, users and serial number are not kept.

    Raises
    ------
    Refused
        Without a header, a MEDIAN, or a row that can be placed.
    """
    log = Log(file)
    table = _table(plain_lines(text), log)
    plates = _plates(table, log)
    if not plates:
        log.say("error", "no-median", "No row of this file says which well it is.", expected="WELL LOCATION: A1")
        raise log.refused()
    return [_plate(nth, wells, table, log) for nth, wells in enumerate(plates.values(), 1)]


# ---- header and rows


def _table(text: str, log: Log) -> _Table:
    found = _HEADER.search(text)
    delimiter = max(",;\t", key=found[1].count) if found else ","
    lines = split_lines(text, delimiter)
    at = next((i for i, line in enumerate(lines) if "WELL LOCATION" in map(str.strip, line.cells)), None)
    if at is None or not lines[at].whole:
        log.say("error", "header-damaged", "This file has no readable header line.", expected="WELL LOCATION")
        raise log.refused()
    header = lines[at]
    for line in lines[:at]:
        log.say("warning", "line-above-header", "This line above the header is not read.", LOOK, row=line.number)
    names = [cell.strip() for cell in header.cells]
    while not names[-1]:
        names.pop()
    for name, times in Counter(filter(None, names)).items():
        if times > 1:
            log.say(
                "error", "column-twice", "This column stands twice; neither is read.", row=header.number, column=name
            )
    heads = {name: column for column, name in enumerate(names) if names.count(name) == 1}
    if any(map(_PERSONAL.fullmatch, heads)):
        message = "Run dates, users and serial number were left out."
        log.say("repaired", "header-left-out", message, "Nothing to do.")
    beads = _beads(heads, header.number, log)
    rows = _rows(lines[at + 1 :], len(names), text.endswith("\n"), log)
    values = [
        line.cells[of_bead[name]] for line in rows for of_bead in beads.values() for name in of_bead if name != _NAME
    ]
    return _Table(heads, beads, rows, decimal_mark(values, delimiter, log))


def _beads(heads: Mapping[str, int], row: int, log: Log) -> dict[Bead, dict[str, int]]:
    """Columns of every region and reporter by statistic."""
    beads: dict[Bead, dict[str, int]] = {}
    for head, column in heads.items():
        if match := _HEADING.fullmatch(head):
            beads.setdefault((match[1], match[2]), {})[match[3].strip()] = column
    statistics = set().union(*beads.values())
    for unknown in sorted(statistics - _NOT_KEPT - {_NAME} - _STATISTICS.keys() - _AVERAGES.keys()):
        message = "This statistic is not known; its columns are not read."
        log.say("warning", "unknown-statistic", message, LOOK, row=row, found=unknown)
    if "MEDIAN" not in statistics:
        log.say("error", "no-median", "This file has no MEDIAN column.", row=row, expected="R25: RP1 MEDIAN")
        raise log.refused()
    for (region, reporter), of_bead in beads.items():
        lacking = sorted(statistics - of_bead.keys() - _NOT_KEPT)
        if lacking:
            message, found = (
                "This analyte lacks columns that others have; its values stay empty.",
                f"no {', '.join(lacking)}",
            )
            log.say("warning", "column-missing", message, LOOK, row=row, column=f"{region}: {reporter}", found=found)
    return beads


def _rows(lines: list[Line], width: int, line_end: bool, log: Log) -> list[Line]:
    """Rows as long as the header, up to the signature."""
    end = next((i for i, line in enumerate(lines) if line.cells[0].strip().startswith("--")), None)
    rows = []
    for line in lines[:end]:
        cells = line.cells
        cut = end is None and not line_end and line is lines[-1]
        if not line.whole or len(cells) < width or any(map(str.strip, cells[width:])):
            code = "truncated" if cut else "row-width"
            message = "This row does not have as many cells as the header, so none of them can be placed."
            found, expected = f"{len(cells)} cells", f"{width} cells"
            log.say("error", code, message, row=line.number, found=found, expected=expected)
            continue
        if cut:
            message = "The file ends without a line end; its last cell may be cut short and is not read."
            log.say("warning", "no-line-end", message, row=line.number)
            cells = [*cells[: width - 1], ""]
        rows.append(line._replace(cells=cells[:width]))
    return rows


def _plates(table: _Table, log: Log) -> dict[str, dict[str, Line]]:
    """Rows by plate and well."""
    plates: dict[str, dict[str, Line]] = {}
    started: dict[str, str] = {}
    for line in table.rows:
        plate = table.text(line, "PLATE NAME") or ""
        match = _WELL.fullmatch(table.text(line, "WELL LOCATION") or "")
        if not match:
            message, found = "This row does not say which well it is.", table.text(line, "WELL LOCATION") or ""
            where = "WELL LOCATION"
            log.say("error", "not-a-well", message, row=line.number, column=where, found=found, expected="A1")
            continue
        start = table.text(line, "PLATE START")
        if start and started.setdefault(start, plate) != plate:
            message = "Rows that started together belong to plates of different names; read as different plates."
            log.say("error", "plate-differs", message, row=line.number, column="PLATE NAME", found=plate)
        well = f"{match[1].upper()}{match[2]}"
        rows = plates.setdefault(plate, {})
        if well in rows:
            message = f"This well stands twice on its plate, in row {rows[well].number} too; neither is read."
            log.say("error", "row-twice", message, row=line.number, column="WELL LOCATION", found=well)
            columns = {column for of_bead in table.beads.values() for column in of_bead.values()}
            cells = ["" if column in columns else cell for column, cell in enumerate(rows[well].cells)]
            line = rows[well]._replace(cells=cells)
        rows[well] = line
    return plates


# ---- one plate


def _plate(nth: int, wells: Mapping[str, Line], table: _Table, log: Log) -> Plate:
    labels = _labels(nth, wells.values(), table, log)
    records = []
    for well, line in wells.items():
        sample, kind, status = (table.text(line, head) for head in ("SAMPLE ID", "WELL TYPE", "WELL STATUS"))
        flag = None if (status or "").casefold() in ("completed", "complete") else status
        records.append((well, sample, kind, *role_of(kind or sample or ""), flag))
    heads = ("well", "sample", "kind", "role", "level", "flag")
    values = _values(_STATISTICS, nth, wells.values(), table, log)
    dilutions = [(nth, Row(line.number, "", [table.text(line, "DILUTION") or ""])) for line in wells.values()]
    values["dilution"] = np.repeat(numbers(dilutions, ["DILUTION"], table.decimal, log), len(labels), axis=1)
    values["state"] = np.full((len(records), len(labels)), "not_available", dtype=object)
    averages = _values(_AVERAGES, nth, wells.values(), table, log)
    if averages:
        averages["state"] = values["state"]
    software = next((table.text(line, "SOFTWARE VERSION") for line in wells.values()), None) or ""
    version = re.search(r"Bundle - (\d+(?:\.\d+)+)", software)
    return Plate(
        number=nth,
        layout="intelliflex",
        software=f"INTELLIFLEX {version[1]}" if version else "INTELLIFLEX",
        wells=long_table(heads, records, values, labels),
        averages=long_table(heads, records, averages, labels) if averages else frame([], WELLS),
        standards=frame([], STANDARDS),
        curves=frame([], CURVES),
        analytes=frame({"analyte": labels, "region": [region[1:] for region, _ in table.beads]}, ANALYTES),
        problems=log.about(nth),
    )


def _values(
    statistics: Mapping[str, str], nth: int, lines: Iterable[Line], table: _Table, log: Log
) -> dict[str, np.ndarray]:
    """Numbers of the statistics the file has, by column, each wells × analytes."""
    lines = list(lines)
    has = set().union(*table.beads.values())
    tables = {}
    for statistic, column in statistics.items():
        if statistic in has:
            names = [f"{region}: {reporter} {statistic}" for region, reporter in table.beads]
            tables[column] = numbers([(nth, table.row(line, statistic)) for line in lines], names, table.decimal, log)
    return tables


def _labels(nth: int, lines: Iterable[Line], table: _Table, log: Log) -> list[str]:
    """What to call each bead: its analyte's name, with the region where two share it, and the second reporter."""
    rows = [table.row(line, _NAME) for line in lines]
    names = []
    for i, (region, reporter) in enumerate(table.beads):
        texts = [row.texts[i].strip() for row in rows]
        printed = Counter(text for text in texts if text.casefold() not in ("", "nan", "n/a"))
        names.append(printed.most_common(1)[0][0] if printed else region)
        for row, text in zip(rows, texts, strict=True):
            if text in printed and text != names[-1]:
                message = "This row gives the bead another analyte than most rows do; theirs is taken."
                where = f"{region}: {reporter} {_NAME}"
                log.say("error", "analyte-differs", message, plate=nth, row=row.line, column=where, found=text)
    reporters = sorted({reporter for _, reporter in table.beads})
    shared = Counter((name, reporter) for name, (_, reporter) in zip(names, table.beads, strict=True))
    return [
        name
        + (f" ({region[1:]})" if shared[name, reporter] > 1 else "")
        + (f" ({reporter})" if reporter != reporters[0] else "")
        for name, (region, reporter) in zip(names, table.beads, strict=True)
    ]
