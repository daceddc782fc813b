"""A gap between groups with a term for something else that parts them, such as smoking."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from helpers.stats.censored import FEWEST_OBSERVED, MOST_CENSORED
from helpers.stats.estimate import Estimate, NotEstimable
from helpers.stats.summaries import regression

FEWEST = 6
"""Donors below which a model of three terms is not fitted."""


def adjusted_gap(
    lower: ArrayLike, upper: ArrayLike, sick: ArrayLike, covariate: ArrayLike, level: float = 0.95
) -> Estimate:
    """The gap of a normal linear model value ~ group + covariate, bounds as bounds.

    Without bounds it is least squares with its t interval. With bounds it is the likelihood (Tobit 1958, as R's
    ``survreg``), whose standard error is widened by √(n / (n − 3)) and read on n − 3 degrees of freedom, so that the
    two are one where no bound is left.

    Parameters
    ----------
    lower, upper
        Bounds on the scale of analysis; equal where observed, −∞ or ∞ where open.
    sick, covariate
        0 or 1 for each value.
    level
        Of the interval.

    Raises
    ------
    NotEstimable
        With fewer than six donors, where a group does not hold both kinds of donors, and with bounds where the
        likelihood of groups is not fitted either: above half of the values, or fewer than five observed in a group.

    Examples
    --------
    >>> y = [1.0, 2.0, 4.0, 3.0, 2.0, 4.0, 6.0, 6.0]
    >>> found = adjusted_gap(y, y, [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1])
    >>> round(found.estimate, 6), round(found.p, 4), found.df
    (2.0, 0.0197, 5.0)
    """
    low, high = (np.asarray(v, dtype=np.float64) for v in (lower, upper))
    group, other = (np.asarray(v, dtype=np.float64) for v in (sick, covariate))
    n, df = len(low), float(len(low) - 3)
    if n < FEWEST or len(set(zip(group, other, strict=True))) < 4:
        raise NotEstimable("not_estimable", "Too few donors of one kind stand in one of the groups.")
    seen = low == high
    least = min(int(seen[group == g].sum()) for g in (0.0, 1.0))
    if not seen.all() and (1 - seen.mean() > MOST_CENSORED or least < FEWEST_OBSERVED):
        raise NotEstimable("not_estimable", "Too many values lie beyond a limit for a model of the gap.")
    fit = regression(low, high, np.column_stack([np.ones(n), group, other]))
    gap, se = float(fit.coefficients[1]), float(fit.errors[1] * np.sqrt(n / df))
    half, t = float(stats.t.ppf((1 + level) / 2, df)) * se, gap / se
    how = "least squares" if seen.all() else "normal likelihood with bounds"
    p = float(2 * stats.t.sf(abs(t), df))
    return Estimate(gap, gap - half, gap + half, how, t, df, p)
