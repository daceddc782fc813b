"""Trend over dose or time: one slope a donor, no slope through zero dose."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.stats.estimate import Estimate, NotEstimable
from helpers.stats.paired import paired_t


def trend(values: pd.DataFrame, level: float = 0.95) -> list[Estimate]:
    """Mean slope per doubling of dose or time over donors, with the step from none to the lowest beside it.

    Zero is a level of its own and enters no slope: its logarithm does not exist, and the step from none to some
    is another question than more or less. Slopes are summary measures of donors (Matthews 1990).

    Parameters
    ----------
    values
        Donors × levels on the scale of analysis; columns are doses or times, NaN where missing.
    level
        Of the intervals.

    Returns
    -------
    The slope, and where there is a zero level, the step from it to the lowest level above.

    Raises
    ------
    NotEstimable
        With fewer than two levels above zero, or fewer than two donors with a slope.
    """
    doses = np.array([float(c) for c in values.columns])
    above = doses > 0
    if above.sum() < 2:
        raise NotEstimable("not_estimable", "There are fewer than two levels above zero, so there is no slope.")
    own = slopes(values)
    found = paired_t(own, level)
    note = f"{len(own)} donors; levels {', '.join(f'{d:g}' for d in doses[above])}."
    method = "t on donors' slopes per doubling"
    out = [Estimate(found.estimate, found.low, found.high, method, found.statistic, found.df, found.p, note)]
    if (doses == 0).any():
        lowest = values.loc[:, doses == doses[above].min()].iloc[:, 0] - values.loc[:, doses == 0].iloc[:, 0]
        try:
            step = paired_t(lowest.dropna(), level)
        except NotEstimable:
            return out
        out.append(
            Estimate(
                step.estimate,
                step.low,
                step.high,
                "paired t, none to the lowest level",
                step.statistic,
                step.df,
                step.p,
            )
        )
    return out


def slopes(values: pd.DataFrame) -> pd.Series:
    """Slope per doubling of each donor with at least two levels above zero.

    Parameters
    ----------
    values
        As in `trend`.

    Examples
    --------
    >>> slopes(pd.DataFrame({0: [0.0], 1: [1.0], 2: [1.5], 4: [2.0]}, index=["D01"])).round(6).to_dict()
    {'D01': 0.5}
    """
    doses = np.array([float(c) for c in values.columns])
    x, rows = np.log2(doses[doses > 0]), values.loc[:, doses > 0]
    found = {donor: _slope(x, y) for donor, y in zip(rows.index, rows.to_numpy(dtype="float64"), strict=True)}
    return pd.Series({donor: slope for donor, slope in found.items() if slope is not None}, dtype="float64")


def _slope(x: np.ndarray, y: np.ndarray) -> float | None:
    known = np.isfinite(y)
    if known.sum() < 2:
        return None
    return float(np.polyfit(x[known], y[known], 1)[0])
