"""Ratios of two estimates: the share of a gap that a treatment closes, with Fieller's interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from helpers.core.numbers import SEED
from helpers.stats.coverage import small_gap
from helpers.stats.estimate import NAN, Estimate, NotEstimable, numbers, ordered, spread_of

FEWEST_AN_ARM = 5
RESAMPLES = 2_000


def fieller(
    top: float, bottom: float, var_top: float, var_bottom: float, covariance: float, quantile: float
) -> tuple[float, float]:
    """Limits of top / bottom (Fieller 1954).

    With A = b² − q²·var b, B = a·b − q²·cov, C = a² − q²·var a, the limits are (B ± √(B² − A·C)) / A.

    Parameters
    ----------
    top, bottom, var_top, var_bottom, covariance
        Both estimates with their variances and covariance.
    quantile
        Of t at the level of the interval.

    Returns
    -------
    The limits; NaN where A ≤ 0: then the bottom is not told from 0 and no bounded interval exists.

    Examples
    --------
    >>> [round(limit, 3) for limit in fieller(2.0, 4.0, 0.1, 0.2, 0.0, 1.96)]
    [0.329, 0.721]
    """
    q = quantile**2
    a, b, c = bottom**2 - q * var_bottom, top * bottom - q * covariance, top**2 - q * var_top
    inside = b**2 - a * c
    if a <= 0 or inside < 0:
        return NAN, NAN
    root = float(np.sqrt(inside))
    return (b - root) / a, (b + root) / a


@dataclass(frozen=True)
class GapClosed:
    """The share of the gap that the treatment closes, with what it is made of.

    Parameters
    ----------
    share
        Estimate with Fieller's limits; above 1 overshoot, below 0 away from the controls.
    change, gap
        Mean change of the treated donors, and control − untreated disease, each with its interval.
    bootstrap_low, bootstrap_high
        Percentile limits of the stratified donor bootstrap, a check of Fieller's.
    """

    share: Estimate
    change: Estimate
    gap: Estimate
    bootstrap_low: float
    bootstrap_high: float


def gap_closed(
    untreated: ArrayLike, treated: ArrayLike, control: ArrayLike, level: float = 0.95, fewest: int = FEWEST_AN_ARM
) -> GapClosed:
    """(T − U) / (H − U): mean change of the disease donors over the distance of their start from the controls.

    The change and the gap share the untreated values, so their covariance (s²_U − s_TU)/n enters Fieller's
    limits, with n + m − 2 degrees of freedom.

    Parameters
    ----------
    untreated, treated
        The same disease donors in the same order, on the scale of analysis.
    control
        Control donors, untreated.
    level
        Of the intervals.
    fewest
        Donors an arm below which nothing is given; never fewer than two.

    Raises
    ------
    NotEstimable
        ``too_few_donors`` with fewer donors in an arm; ``zero_variance`` where all changes are equal, or the
        values of each group; ``not_estimable`` where the gap is not told from 0 at this level: there is no
        bounded interval then, and no estimate is given. This is a designed result and will be common for small
        gaps; the change and the gap stand beside it.
    """
    least = max(fewest, 2)
    u, t = numbers(untreated, least, "disease donors with a pair"), numbers(treated, least, "pairs")
    h = numbers(control, least, "control donors")
    share, change, gap = share_of_gap(u, t, h, level)
    boot = _bootstrap(ordered(np.column_stack([u, t])), ordered(h), level)
    return GapClosed(share, change, gap, *boot)


def share_of_gap(
    untreated: ArrayLike, treated: ArrayLike, control: ArrayLike, level: float = 0.95
) -> tuple[Estimate, Estimate, Estimate]:
    """The share, the change and the gap of `gap_closed`, without its bootstrap; at least two donors an arm."""
    u, t = numbers(untreated, 2, "disease donors with a pair"), numbers(treated, 2, "pairs")
    h = numbers(control, 2, "control donors")
    size = max(float(np.abs(v).max()) for v in (u, t, h))
    spread_of(np.concatenate([u - u.mean(), h - h.mean()]), "values of each group", size)
    spread_of(t - u, "changes", size)
    n, m = len(u), len(h)
    change, gap = float((t - u).mean()), float(h.mean() - u.mean())
    var_change = float((t - u).var(ddof=1)) / n
    var_gap = float(u.var(ddof=1)) / n + float(h.var(ddof=1)) / m
    covariance = float(u.var(ddof=1) - np.cov(t, u)[0, 1]) / n
    quantile = float(stats.t.ppf((1 + level) / 2, n + m - 2))
    low, high = fieller(change, gap, var_change, var_gap, covariance, quantile)
    half_change, half_gap = (quantile * float(np.sqrt(v)) for v in (var_change, var_gap))
    parts = (
        Estimate(change, change - half_change, change + half_change, "change"),
        Estimate(gap, gap - half_gap, gap + half_gap, "gap"),
    )
    if np.isnan(low):
        sentence = "The gap between the groups is not told from zero, so no share of it can be given."
        raise NotEstimable("not_estimable", sentence, parts)
    note = small_gap(gap / float(np.sqrt(var_gap)), n + m - 2, level)
    return Estimate(change / gap, low, high, "gap closed, Fieller", df=n + m - 2, note=note), *parts


def _bootstrap(both: np.ndarray, h: np.ndarray, level: float) -> tuple[float, float]:
    u, t = both.T
    rng = np.random.default_rng(SEED)
    pairs, others = rng.integers(0, len(u), (RESAMPLES, len(u))), rng.integers(0, len(h), (RESAMPLES, len(h)))
    starts = u[pairs].mean(axis=1)
    ratios = (t[pairs].mean(axis=1) - starts) / (h[others].mean(axis=1) - starts)
    low, high = np.quantile(ratios[np.isfinite(ratios)], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
