"""A plate drawn as it lies on the bench, 8 × 12 cells, as rows of cytokines/layout.

The top left cell holds the plate's code, the headings are 1 to 12 (or 24), the first column A to H (or P). A cell
holds S1, B, QC1 or R (standard, blank, kit control, bridge), a sample's code, or nothing; ``@4`` behind a code is
a dilution of 4. C1 is a code, not a control, since cultures are often called so.
"""

from __future__ import annotations

import re

import pandas as pd

from helpers.core.problems import Problem
from helpers.readers.plate import role_of
from helpers.readers.sheets import RawTable

LAYOUT = "cytokines/layout"
COLUMNS = ("plate_id", "well", "role", "level", "sample_id", "dilution")
_DILUTED = re.compile(r"(.*?)\s*@\s*1?:?\s*(\d+(?:[.,]\d+)?)\s*x?", re.I)


def is_grid(raw: RawTable) -> bool:
    """Whether a sheet is a plate drawn as a grid: headings are numbers from 1, the first column letters from A."""
    heads = list(raw.columns[1:])
    if len(heads) < 8 or heads != [str(i) for i in range(1, len(heads) + 1)] or not len(raw.cells):
        return False
    letters = [str(c).strip().upper() for c in raw.cells[raw.columns[0]]]
    return len(letters) <= 16 and letters == [chr(65 + i) for i in range(len(letters))]


def from_grid(raw: RawTable) -> tuple[RawTable, list[Problem]]:
    """A grid as rows; each record remembers its cell.

    Examples
    --------
    >>> cells = pd.DataFrame({"P1": ["A"], **{str(i): [""] for i in range(1, 13)}}).assign(**{"1": "S1", "2": "C07 @4"})
    >>> grid = RawTable("g.csv", "", tuple(cells.columns), cells, (2,), {}, ())
    >>> is_grid(grid), from_grid(grid)[0].cells.to_numpy().tolist()
    (True, [['P1', 'A1', 'standard', '1', '', ''], ['P1', 'A2', 'sample', '', 'C07', '4']])
    """
    plate = raw.columns[0]
    rows, places = [], []
    for i, letter in enumerate(raw.cells[plate]):
        for column in raw.columns[1:]:
            text = str(raw.cells[column].iloc[i]).strip()
            if not text or text.casefold() in ("empty", "leer", "空"):
                continue
            rows.append((plate, f"{str(letter).strip().upper()}{column}", *_cell(text)))
            places.append((raw.file, raw.sheet, raw.rows[i], column))
    note = Problem(
        "repaired",
        "layout-grid",
        "A plate is drawn as a grid; read as one row a well.",
        "Nothing to do.",
        file=raw.file,
        sheet=raw.sheet,
    )
    cells = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    lines = tuple(p[2] for p in places)
    return RawTable(raw.file, raw.sheet, COLUMNS, cells, lines, {}, (), tuple(places)), [note]


def _cell(text: str) -> tuple[str, str, str, str]:
    """Role, level, sample and dilution of one cell."""
    diluted = _DILUTED.fullmatch(text)
    name, dilution = (diluted[1], diluted[2].replace(",", ".")) if diluted else (text, "")
    if re.fullmatch(r"r|bridge ?\d*", name, re.I):
        return "bridge", "", "bridge", dilution
    role, level = role_of(name)
    if role == "sample" or re.fullmatch(r"(c ?\d+|[a-z]+ ?0\d+)", name, re.I):
        return "sample", "", name, dilution
    return role, "" if level is None else str(level), "", dilution


def joined(one: RawTable, other: RawTable) -> RawTable:
    """Grids of several plates as one table."""
    cells = pd.concat([one.cells, other.cells], ignore_index=True)
    return RawTable(one.file, one.sheet, one.columns, cells, one.rows + other.rows, {}, (), one.places + other.places)
