"""Is the printed standard series one that a person could have pipetted: checked before any curve is fitted.

Real exports have lost decimal points (215625 for 215.625), swapped levels, levels without a concentration and
two units in one series. Nothing is corrected here: what stands out is named with the value that would fit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

TOLERANCE = float(np.log10(1.5))
"""How far a level may stand from its series, as a factor of 1.5: kits round, and round differently at the ends."""
KINDS = {
    "zero": "A standard has no concentration above zero.",
    "lost_decimal": "A standard is a power of ten away from its series: a lost decimal point, or another unit.",
    "swapped": "Two standards of the series stand in each other's place.",
    "missing_level": "The series jumps here, as if a level were missing or the unit changed.",
    "deviating": "A standard does not fit the dilution of its series.",
    "short": "There are fewer than four standards, too few for a curve.",
}
_COLUMNS = ["analyte", "level", "kind", "found", "likely"]


def check_series(standards: pd.DataFrame) -> pd.DataFrame:
    """Levels of standard series that cannot be right.

    A series is a straight line of log concentration over the level's number. Its slope is the median step of all
    analytes of the plate, its height the analyte's own median; a step that all analytes share (a kit with an
    uneven series) is the kit's and no finding.

    Parameters
    ----------
    standards
        One row an analyte and level: analyte, level (whole number), expected (concentration, one unit).

    Returns
    -------
    One row a finding: analyte, level, kind (`KINDS`), found, likely (the concentration that would fit; NaN where
    none can be named).

    Examples
    --------
    >>> good = pd.DataFrame({"analyte": "IL-6", "level": range(1, 8), "expected": [1000 / 2**i for i in range(7)]})
    >>> len(check_series(good))
    0
    >>> found = check_series(good.replace(250.0, 250000.0)).iloc[0]
    >>> int(found["level"]), found["kind"], float(found["likely"])
    (3, 'lost_decimal', 250.0)
    """
    rows = standards.drop_duplicates(["analyte", "level"]).sort_values(["analyte", "level"])
    wide = rows.pivot(index="analyte", columns="level", values="expected").astype("float64")
    logs = np.log10(wide.where(wide > 0)) if len(wide) else wide
    shape = _shape(logs)
    plain = _plainly_right(wide, logs, shape)
    found = [
        one
        for analyte in dict.fromkeys(standards["analyte"])
        if analyte not in plain
        for one in _findings(analyte, wide.loc[analyte], logs.loc[analyte], shape)
    ]
    return pd.DataFrame(found, columns=_COLUMNS).astype({"level": "Int64", "found": "float64", "likely": "float64"})


MOST_SET_ASIDE = 1 / 3
"""Share of a series beyond which nobody can say which levels are the right ones."""


def verdicts(standards: pd.DataFrame, findings: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Which levels stay out of the fit, and which analytes get no curve at all.

    Parameters
    ----------
    standards, findings
        As `check_series` takes and gives them.

    Returns
    -------
    The findings that set single levels aside; and, by analyte, the sentence why its series is not usable: a jump
    (nobody can say which side is right), too few standards, or more than a third of the levels set aside.

    Examples
    --------
    >>> found = pd.DataFrame({"analyte": ["IL-6"], "level": [3], "kind": ["missing_level"]})
    >>> verdicts(pd.DataFrame({"analyte": ["IL-6"] * 7, "level": range(1, 8)}), found)[1]["IL-6"][:27]
    'The series of standards jum'
    """
    unusable = {}
    sizes = standards.drop_duplicates(["analyte", "level"]).groupby("analyte").size()
    for analyte, own in findings.groupby("analyte", sort=False):
        if (own["kind"] == "short").any():
            unusable[str(analyte)] = "There are too few standards with a concentration for a curve."
        elif (own["kind"] == "missing_level").any():
            unusable[str(analyte)] = "The series of standards jumps, so its concentrations cannot be trusted."
        elif len(own) > MOST_SET_ASIDE * sizes[analyte]:
            unusable[str(analyte)] = "More than a third of the standards do not fit their series."
    single = findings[~findings["analyte"].isin(list(unusable))]
    return single.reset_index(drop=True), unusable


def _shape(logs: pd.DataFrame) -> pd.Series:
    """Log10 concentration of each level relative to the first, by the median step of all analytes.

    A step that fewer than three analytes tell, or that most analytes do not share, is the plate's usual step.
    """
    steps = logs.diff(axis=1).iloc[:, 1:].div(np.diff(logs.columns.to_numpy(dtype="float64")), axis=1)
    usual = float(np.nanmedian(steps)) if np.isfinite(steps.to_numpy(dtype="float64")).any() else 0.0
    height, out = 0.0, [0.0]
    for level in steps:
        own = steps[level].dropna()
        middle = float(own.median()) if len(own) else usual
        shared = len(own) >= 3 and float(((own - middle).abs() < 0.05).mean()) > 0.5
        position = int(logs.columns.get_loc(level))
        height += (middle if shared else usual) * float(logs.columns[position] - logs.columns[position - 1])
        out.append(height)
    return pd.Series(out[: len(logs.columns)], index=logs.columns)


def _plainly_right(values: pd.DataFrame, logs: pd.DataFrame, shape: pd.Series) -> set[str]:
    """Analytes whose every level is there and on the line, as nearly all are; `_findings` looks at the others."""
    rest = logs.to_numpy(dtype="float64") - shape.to_numpy(dtype="float64")
    if rest.shape[1] < 4:
        return set()
    rest = rest - np.median(rest, axis=1, keepdims=True)  # NaN where a level is missing, which is then not right
    right = (np.abs(rest) <= TOLERANCE).all(axis=1) & (np.abs(np.diff(rest, axis=1)) <= TOLERANCE).all(axis=1)
    return set(values.index[right])


Finding = tuple[str, int, str, float, float]


def _findings(analyte: str, values: pd.Series, logs: pd.Series, shape: pd.Series) -> Iterator[Finding]:
    there = values.dropna()
    for level, value in there[there <= 0].items():
        yield analyte, int(level), "zero", float(value), np.nan
    logs = logs.dropna()
    if len(logs) < 4:
        if len(logs) or len(there):
            yield analyte, int(there.index[0]), "short", float(there.iloc[0]), np.nan
        return
    rest = logs - shape[logs.index]
    rest = rest - rest.median()
    jump = _jump(rest)
    if jump is not None:
        yield analyte, jump, "missing_level", float(values[jump]), np.nan
        return
    off = rest[rest.abs() > TOLERANCE]
    likely = 10 ** (logs - rest)
    swapped = _swapped(rest, shape)
    for level, distance in off.items():
        found, fits = float(values[level]), float(likely[level])
        if level in swapped:
            yield analyte, int(level), "swapped", found, fits
        else:
            power = _is_power(distance)
            yield analyte, int(level), "lost_decimal" if power else "deviating", found, _near(found, fits, distance)


def _jump(rest: pd.Series) -> int | None:
    """The level from which on the whole rest of the series stands off, at least two levels on either side."""
    wide = np.flatnonzero(rest.diff().abs().to_numpy() > TOLERANCE)
    if len(wide) == 1 and 2 <= wide[0] <= len(rest) - 2:
        return int(rest.index[wide[0]])
    return None


def _is_power(distance: float) -> bool:
    """Whether a distance is a whole number of tens, near enough."""
    return round(distance) != 0 and abs(distance - round(distance)) < TOLERANCE / 2


def _near(found: float, fits: float, distance: float) -> float:
    """The printed digits with the decimal point put back, where that is what is wrong."""
    return found / 10 ** round(distance) if _is_power(distance) else fits


def _swapped(rest: pd.Series, shape: pd.Series) -> set[int]:
    """Neighbours that fit when they change places."""
    out: set[int] = set()
    for one, two in zip(rest.index[:-1], rest.index[1:], strict=True):
        step = float(shape[two] - shape[one])
        if abs(rest[one] - step) < TOLERANCE and abs(rest[two] + step) < TOLERANCE and abs(step) > TOLERANCE:
            out |= {one, two}
    return out
