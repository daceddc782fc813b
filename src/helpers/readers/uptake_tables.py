"""Uptake seen one cell, one field or one time at a time: CellProfiler, ImageJ, Incucyte, plate readers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from helpers.core.problems import Problem, Refused
from helpers.readers.flow_tables import number_of, table_lines

CELL_COLUMNS = ("row", "sample", "field", "particles", "fluorescence")
FIELD_COLUMNS = ("row", "sample", "field", "n_cells", "n_positive", "particles")
SERIES_COLUMNS = ("row", "sample", "minutes", "value")
_WELL = re.compile(r"^[A-P]0?\d{1,2}$")

_SAMPLE = (
    "sample", "phago_id", "well", "image", "label", "filename", "file_name", "metadata_well", "metadata_sample",
    "image_metadata_well", "imagename", "slice",
)  # fmt: skip
_FIELD = ("field", "imagenumber", "image_number", "site", "metadata_site", "fov")
_N_CELLS = ("n_cells", "cells", "cell_count", "count_cells", "count_macrophages", "n_macrophages", "total_cells")
_N_POSITIVE = ("n_positive", "positive", "positive_cells", "count_positive", "phagocytic_cells", "cells_with_particles")
_PARTICLES = (
    "particles", "beads", "n_beads", "n_particles", "bacteria", "count_beads", "count_particles", "particles_total",
    "children_beads_count", "children_particles_count", "children_bacteria_count", "beads_per_cell",
)  # fmt: skip
_FLUORESCENCE = re.compile(
    r"^(intensity_integratedintensity_.+|rawintden|intden|integrated_density|total_fluorescence|fluorescence|"
    r"intensity_meanintensity_.+|mean_intensity|mean)$"
)
_TIME = re.compile(r"^(elapsed|time|minutes|min|hours|h)\s*[\[(]?\s*(?P<unit>[a-z]*)\s*[\])]?$", re.I)
_UNITS = {"s": 1 / 60, "sec": 1 / 60, "min": 1.0, "m": 1.0, "minutes": 1.0, "h": 60.0, "hr": 60.0, "hours": 60.0}
_CLOCK = re.compile(r"^(\d+):(\d{2})(?::(\d{2}))?$")


@dataclass(frozen=True, eq=False)
class UptakeTable:
    """Numbers of an imaging or plate-reader file.

    Parameters
    ----------
    file
        Path inside the study.
    kind
        ``cells`` (columns `CELL_COLUMNS`), ``fields`` (`FIELD_COLUMNS`) or ``series`` (`SERIES_COLUMNS`).
    numbers
        One row a cell, a field, or a sample and time; `row` is the line of the file.
    problems
        What was left out or read as meant.
    """

    file: str
    kind: str
    numbers: pd.DataFrame
    problems: tuple[Problem, ...] = ()


def read_uptake_table(path: Path, file: str) -> UptakeTable:
    """One file, its kind told by its headings.

    Headings that name times make a series; those that name counts of cells, a table of fields; those that name
    particles or an intensity, a table of cells. A table of nothing but numbers, a heading over each column, holds
    the fluorescence of single cells, a sample a column (columns may differ in length).

    Parameters
    ----------
    path
        The file.
    file
        Its path inside the study, for messages.

    Raises
    ------
    Refused
        Where it cannot be read, or is none of these, or a time or count is negative.
    """
    for lines in table_lines(path, file):
        found = _series(lines, file) or _listed(lines, file) or _wide(lines, file)
        if found is not None:
            return found
    message = "This table is neither a list of cells or fields nor a series over time."
    fix = "Name the columns sample, particles or fluorescence (cells), n_cells and n_positive (fields), or Time."
    raise Refused([Problem("error", "no-uptake", message, fix, file=file)])


def _plain(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", heading.casefold()).strip("_")


def _cell(line: list[str], j: int) -> str:
    return line[j] if j < len(line) else ""


def _column(headings: list[str], names: tuple[str, ...]) -> int | None:
    return next((headings.index(n) for n in names if n in headings), None)


# ---- cells and fields


def _listed(lines: list[tuple[int, list[str]]], file: str) -> UptakeTable | None:
    for i, (_, line) in enumerate(lines[:20]):
        headings = [_plain(t) for t in line]
        n_cells, particles = _column(headings, _N_CELLS), _column(headings, _PARTICLES)
        light = next((j for j, h in enumerate(headings) if _FLUORESCENCE.match(h)), None)
        if n_cells is None and particles is None and (light is None or _column(headings, _SAMPLE) is None):
            continue
        sample, field = _column(headings, _SAMPLE), _column(headings, _FIELD)
        columns: dict[str, int | None] = (
            {"n_cells": n_cells, "n_positive": _column(headings, _N_POSITIVE), "particles": particles}
            if n_cells is not None
            else {"particles": particles, "fluorescence": light}
        )
        problems: list[Problem] = []
        rows = []
        for n, cells in lines[i + 1 :]:
            numbers = {
                name: _read(_cell(cells, j), file, n, line[j], problems) if j is not None else float("nan")
                for name, j in columns.items()
            }
            names = {
                "sample": _cell(cells, sample) if sample is not None else "",
                "field": _cell(cells, field) if field is not None else "",
            }
            rows.append({"row": n} | names | numbers)
        kind = "fields" if n_cells is not None else "cells"
        table = pd.DataFrame(rows, columns=list(FIELD_COLUMNS if kind == "fields" else CELL_COLUMNS))
        wrong = _impossible(table, file)
        if wrong:
            raise Refused(wrong)
        return UptakeTable(file, kind, table, tuple(problems))
    return None


def _read(text: str, file: str, row: int, column: str, problems: list[Problem]) -> float:
    found = number_of(text)
    if found is None:
        message, fix = "A number is expected here; the cell is left out.", "Correct the cell."
        problems.append(Problem("warning", "not-a-number", message, fix, file, "", row, column, text))
        return float("nan")
    return found[0]


def _impossible(table: pd.DataFrame, file: str) -> list[Problem]:
    """Counts below zero, and cells with uptake above the cells counted."""
    problems = []
    for column in set(table.columns) & {"n_cells", "n_positive", "particles"}:
        for one in table[table[column] < 0].itertuples():
            message, fix = "A count is negative.", "Correct the count."
            found = f"{getattr(one, column):g}"
            problems.append(
                Problem("error", "negative-count", message, fix, file, "", one.row, column, found, "0 or more")
            )
    if "n_cells" in table:
        for one in table[table["n_positive"] > table["n_cells"]].itertuples():
            message, fix = "More cells took up particles than were counted.", "Correct the two counts."
            expected = f"at most {one.n_cells:g}"
            found = f"{one.n_positive:g}"
            problems.append(
                Problem("error", "count-above-cells", message, fix, file, "", one.row, "n_positive", found, expected)
            )
    return problems


def _wide(lines: list[tuple[int, list[str]]], file: str) -> UptakeTable | None:
    """Fluorescence of cells, a sample a column: headings, and below them numbers and gaps alone."""
    if len(lines) < 2:
        return None
    headings = lines[0][1]
    if not all(headings) or len(set(headings)) < len(headings) or any(number_of(h) for h in headings):
        return None
    rows = []
    for n, cells in lines[1:]:
        for j, sample in enumerate(headings):
            value = number_of(_cell(cells, j))
            if value is None:
                return None
            if value[0] == value[0]:
                rows.append((n, sample, "", float("nan"), value[0]))
    return UptakeTable(file, "cells", pd.DataFrame(rows, columns=list(CELL_COLUMNS))) if rows else None


# ---- series


def _series(lines: list[tuple[int, list[str]]], file: str) -> UptakeTable | None:
    """Times down and samples across, as Incucyte and most readers write; or times across, as some do."""
    for i, (_, line) in enumerate(lines[:60]):
        j = next((j for j, t in enumerate(line[:3]) if _TIME.match(t.strip())), None)
        if j is None:
            continue
        body = [(n, cells) for n, cells in lines[i + 1 :]]
        if _minutes(_cell(line, j + 1), "min") is not None and all(
            number_of(c) or _CLOCK.match(c) for c in line[j + 1 :]
        ):
            return _across(line, j, body, file)
        unit = _unit(line[j], default="h" if line[j].strip().casefold().startswith("elapsed") else "")
        return _down(line, j, unit, body, file)
    return None


def _unit(heading: str, default: str) -> str:
    match = _TIME.match(heading.strip())
    word, unit = (match[1].casefold(), match["unit"].casefold()) if match else ("", "")
    return unit or ({"minutes": "min", "min": "min", "hours": "h", "h": "h"}.get(word) or default)


def _minutes(text: str, unit: str) -> float | None:
    """A printed time in minutes: a number in its unit, or hours:minutes:seconds."""
    if clock := _CLOCK.match(text.strip()):
        hours, minutes, seconds = int(clock[1]), int(clock[2]), int(clock[3] or 0)
        return hours * 60 + minutes + seconds / 60
    found = number_of(text)
    if found is None or found[0] != found[0] or unit not in _UNITS:
        return None
    return found[0] * _UNITS[unit]


def _down(headings: list[str], j: int, unit: str, body: list[tuple[int, list[str]]], file: str) -> UptakeTable:
    if unit not in _UNITS and not any(_CLOCK.match(_cell(cells, j)) for _, cells in body):
        message = "The heading of the times does not say their unit."
        fix = "Write it into the heading, as Time [min], Time [s] or Elapsed (h)."
        raise Refused([Problem("error", "time-unit", message, fix, file=file, column=headings[j])])
    samples = {k: t for k, t in enumerate(headings) if k > j and t}
    rows, problems = [], list[Problem]()
    for n, cells in body:
        minutes = _minutes(_cell(cells, j), unit)
        if minutes is None:
            continue
        rows += [(n, s, minutes, _read(_cell(cells, k), file, n, s, problems)) for k, s in samples.items()]
    return _timed(rows, problems, file)


def _across(line: list[str], j: int, body: list[tuple[int, list[str]]], file: str) -> UptakeTable:
    unit = _unit(line[j], default="")
    if unit not in _UNITS and not any(_CLOCK.match(t) for t in line[j + 1 :]):
        unit = "s"  # readers that write times across count seconds
    times = {k: m for k, t in enumerate(line) if k > j and (m := _minutes(t, unit)) is not None}
    problems: list[Problem] = []
    rows = [
        (n, cells[j], minutes, _read(_cell(cells, k), file, n, line[k], problems))
        for n, cells in body
        if _WELL.match(_cell(cells, j))
        for k, minutes in times.items()
    ]
    return _timed(rows, problems, file)


def _timed(rows: list[tuple[int, str, float, float]], problems: list[Problem], file: str) -> UptakeTable:
    table = pd.DataFrame(rows, columns=list(SERIES_COLUMNS))
    early = table[table["minutes"] < 0]
    if len(early):
        first = early.iloc[0]
        message, fix = "A time is negative.", "Count minutes from the moment particles were added."
        found = f"{first['minutes']:g} min"
        raise Refused(
            [
                Problem(
                    "error", "negative-minutes", message, fix, file, "", int(first["row"]), "time", found, "0 or more"
                )
            ]
        )
    if table.empty:
        message, fix = "The table has a heading for times, but no times below it.", "Export the series again."
        raise Refused([Problem("error", "no-times", message, fix, file=file)])
    return UptakeTable(file, "series", table, tuple(problems))
