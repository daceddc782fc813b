"""Uptake over time of one culture: how fast it begins, how much there is in all, where it ends."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Values = NDArray[np.float64]

FIRST_TIMES = 3
FEWEST_TIMES = 3
_REACHED = 1.5
"""A plateau further above the largest value than this factor is an extrapolation and is not given."""


@dataclass(frozen=True)
class Course:
    """Summary measures of a course (Matthews 1990); NaN where the data give none.

    Parameters
    ----------
    initial_rate
        Slope through the first three times, unit a minute.
    auc
        Trapezoids from the first to the last time, unit × minutes.
    plateau, plateau_low, plateau_high, rate_constant
        Of y = y0 + (plateau − y0)·(1 − exp(−k·t)), by least squares, with a 95 % interval from t.
    status
        ok, not_reached or too_few_times.
    """

    initial_rate: float
    auc: float
    plateau: float
    plateau_low: float
    plateau_high: float
    rate_constant: float
    status: str


def course(minutes: Values, values: Values) -> Course:
    """Rate, area and plateau of one culture.

    Parameters
    ----------
    minutes
        In any order; values at one time are averaged.
    values
        One a time, NaN where missing.

    Examples
    --------
    >>> found = course(np.array([0.0, 10.0, 20.0]), np.array([0.0, 5.0, 10.0]))
    >>> found.initial_rate, found.auc, found.status
    (0.5, 100.0, 'not_reached')
    """
    known = np.isfinite(values) & np.isfinite(minutes)
    t = np.unique(minutes[known])
    y = np.array([values[known & (minutes == one)].mean() for one in t])
    nothing = float("nan")
    if len(t) < FEWEST_TIMES:
        return Course(nothing, nothing, nothing, nothing, nothing, nothing, "too_few_times")
    rate = round(float(np.polyfit(t[:FIRST_TIMES], y[:FIRST_TIMES], 1)[0]), 12)
    auc = float(np.trapezoid(y, t))
    found = _plateau(t, y)
    if found is None:
        return Course(rate, auc, nothing, nothing, nothing, nothing, "not_reached")
    return Course(rate, auc, *found, "ok")


def _plateau(t: Values, y: Values) -> tuple[float, float, float, float] | None:
    """Plateau with its interval and the rate constant; None where the data do not hold one."""
    if len(t) < FEWEST_TIMES + 1:
        return None
    from scipy import optimize  # slow to import, and most studies have too few times

    span = t[-1] - t[0]

    def rise(x: Values, start: float, end: float, k: float) -> Values:
        return np.asarray(start + (end - start) * -np.expm1(-k * (x - t[0])))

    start = (y[0], y.max(), 3 / span)
    bounds = ([-np.inf, -np.inf, 0.05 / span], [np.inf, np.inf, 100 / span])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optimize.OptimizeWarning)  # a covariance that is not there is infinite
            (_, end, k), covariance = optimize.curve_fit(rise, t, y, p0=start, bounds=bounds)
    except (RuntimeError, ValueError):
        return None
    error = float(np.sqrt(covariance[1, 1]))
    if not np.isfinite(error) or end - y[0] > _REACHED * (y.max() - y[0]):
        return None
    half = float(special.stdtrit(len(t) - 3, 0.975)) * error
    return float(end), float(end) - half, float(end) + half, float(k)
