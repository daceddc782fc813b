"""What every reader of multiplex plates hands over: one plate as the instrument's software printed it.

Nothing is computed here and nothing is thrown away: a state such as ``OOR <`` stays a state, a printed
concentration stays the vendor's, and a cell that holds no number is empty with a sentence in `problems`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

import pandas as pd

from helpers.core.problems import Problem

STATES = ("measured", "extrapolated", "below", "above", "excluded", "not_available")
"""Of a printed concentration: a plain number; a number beyond the curve's range (Bio-Plex ``*3.4``); ``OOR <``
or ``< 0.1``; ``OOR >`` or ``> 500``; taken out as an outlier (``---``); nothing to give (``***``, NaN, N/A, empty)."""

WELLS = {
    "well": "string",
    "sample": "string",
    "kind": "string",
    "role": "string",
    "level": "Int64",
    "analyte": "string",
    "mfi": "float64",
    "net_mfi": "float64",
    "cv_pct": "float64",
    "bead_count": "float64",
    "dilution": "float64",
    "expected": "float64",
    "conc": "float64",
    "state": "string",
    "recovery_pct": "float64",
    "flag": "string",
}
"""Columns of `Plate.wells` and `Plate.averages`, one row a well (or group of wells) and analyte, in the file's order.

well: position as printed, "A1", or "A1,A2" for an average. sample: the instrument's own sample name. kind: its
code of the well where it has one (S1, B, X3, C1). role: standard, blank, control or sample, by kind, else by the
sample's name (`role_of`). level: number of a standard or control. analyte: name as printed, without the bead
region unless two analytes of the plate share a name. mfi, net_mfi: median (Bio-Plex FI) and the same less the
blank. cv_pct: of beads or replicates, as printed. dilution: fold, empty where none is printed. expected: printed
concentration of a standard or control. conc, state: the vendor's concentration and what kind it is; for below and
above, conc holds the printed limit or is empty. flag: sampling errors, outlier marks, warnings of that well."""

STANDARDS = {
    "analyte": "string",
    "role": "string",
    "sample": "string",
    "level": "Int64",
    "expected": "float64",
    "low": "float64",
    "high": "float64",
}
"""Printed concentrations of standards and controls, with the range a kit's control should fall into."""

CURVES = {
    "analyte": "string",
    "model": "string",
    "a": "float64",
    "d": "float64",
    "c": "float64",
    "b": "float64",
    "g": "float64",
    "r2": "float64",
    "fit_prob": "float64",
    "res_var": "float64",
    "equation": "string",
}
"""The vendor's printed curve: y = a + (d − a)/(1 + (x/c)^b)^g, g = 1 for 4PL."""

ANALYTES = {"analyte": "string", "region": "string", "unit": "string", "bead_minimum": "float64"}
"""Analytes in the file's order with bead region and unit as printed."""


@dataclass(frozen=True)
class Plate:
    """One plate of an instrument's file.

    Parameters
    ----------
    number
        Which plate of the file, from 1.
    layout
        Which reader read it: xponent, intelliflex, bioplex, bioplex_wide, bioplex_xml, msd, plain.
    software
        Program and version as printed, without operator, computer, file path or date.
    wells
        Columns of `WELLS`: single wells where the file has them, else the averages it has.
    averages
        Columns of `WELLS`: rows the file prints for groups of replicate wells, where it has single wells too.
        They are kept for comparison and never counted beside the wells.
    standards, curves, analytes
        Columns of `STANDARDS`, `CURVES`, `ANALYTES`.
    problems
        What was odd, repaired or could not be read, each with its line or sheet and cell.
    """

    number: int
    layout: str
    software: str
    wells: pd.DataFrame
    averages: pd.DataFrame
    standards: pd.DataFrame
    curves: pd.DataFrame
    analytes: pd.DataFrame
    problems: tuple[Problem, ...] = field(default=())


def frame(rows: object, columns: dict[str, str]) -> pd.DataFrame:
    """Rows (records, or columns by name) as a table with the columns and types of `columns`; what lacks is empty.

    Examples
    --------
    >>> frame([{"well": "A1", "level": 1}], WELLS)[["well", "level", "role"]].to_numpy().tolist()
    [['A1', 1, <NA>]]
    """
    return pd.DataFrame(rows).reindex(columns=list(columns)).astype(columns)


_ROLES = (
    (re.compile(r"(?:blank|background|bkg|b|medium blank|buffer|0|std ?0|standard ?0)[ _-]?\d*", re.I), "blank"),
    (re.compile(r"(?:e?s|std|standard|cal|calibrator)[ _.-]?(\d{1,2})", re.I), "standard"),
    (re.compile(r"(?:c|qc|control|ctrl|kit control|spike)[ _.-]?(\d{1,2})", re.I), "control"),
)


def role_of(name: str) -> tuple[str, int | None]:
    """Role and level of a well by the name its sample has in the instrument; sample where the name is free.

    Parameters
    ----------
    name
        Sample name or Bio-Plex type.

    Examples
    --------
    >>> role_of("Standard12"), role_of("Background0"), role_of("QC 2"), role_of("D07 AM"), role_of("X3")
    (('standard', 12), ('blank', None), ('control', 2), ('sample', None), ('sample', None))
    """
    text = name.strip()
    for pattern, role in _ROLES:
        match = pattern.fullmatch(text)
        if match:
            return role, int(match[1]) if match.groups() else None
    return "sample", None


_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NONE = frozenset({"", "nan", "n/a", "na", "***", "-", "none", "not reported"})
_LIMIT = re.compile(r"(?:OOR\s*)?([<>])\s*=?\s*(.*)", re.I)


def number(text: str, decimal: str = ".") -> float | None:
    """A printed number; NaN where the file says there is none, None where the text is no number.

    Parameters
    ----------
    text
        One cell.
    decimal
        Decimal mark of the file.

    Examples
    --------
    >>> number("4284,5", ","), number("NaN"), number("4284,5"), number("1e400")
    (4284.5, nan, None, None)
    """
    plain = text.strip()
    if plain.casefold() in _NONE:
        return math.nan
    if decimal == ",":
        plain = plain.replace(",", ".") if "." not in plain else "?"
    value = float(plain) if _NUMBER.fullmatch(plain) else math.inf
    return value if math.isfinite(value) else None


def concentration(text: str, decimal: str = ".") -> tuple[float, str] | None:
    """A printed concentration and its state (`STATES`), None where the text is neither.

    Examples
    --------
    >>> concentration("*3.42"), concentration("OOR >"), concentration("< 0.105"), concentration("---"), concentration("x")
    ((3.42, 'extrapolated'), (nan, 'above'), (0.105, 'below'), (nan, 'excluded'), None)
    """
    plain = text.strip()
    if plain == "---":
        return math.nan, "excluded"
    if limit := _LIMIT.fullmatch(plain):
        value = number(limit[2], decimal)
        return None if value is None else (value, "below" if limit[1] == "<" else "above")
    extrapolated = plain.startswith("*") and plain != "***"
    value = number(plain.removeprefix("*") if extrapolated else plain, decimal)
    if value is None:
        return None
    return value, "not_available" if math.isnan(value) else "extrapolated" if extrapolated else "measured"
