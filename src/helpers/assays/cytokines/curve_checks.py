"""Looking at the standards behind a curve: responses that fall where they should rise, and standards that lie off.

Nothing is dropped here. Each finding is a row with the numbers it rests on, with and without the standard, for a
person to decide on.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from helpers.assays.cytokines.curve_fit import FREE, CurveFits, fit_curves
from helpers.assays.cytokines.curve_search import LN10, Model
from helpers.assays.cytokines.curves import Numbers, Whole, gradient, recovery_pct, response

ALPHA = 0.05
"""Of each series of standards: shared among its levels (Bonferroni)."""
ASSUMED_CV = 0.10
"""Noise of a well, relative, where replicates cannot tell."""
FEWEST_DF = 4
"""Degrees of freedom of replicates below which the assumed noise holds unless theirs is larger."""

FALLS = [
    "curve",
    "expected",
    "response",
    "peak_expected",
    "peak_response",
    "fall_pct",
    "cv_pct",
    "noise",
    "beyond_noise",
    "hook",
]
OUTLYING = [
    "curve",
    "expected",
    "n_wells",
    "response",
    "fitted_with",
    "fitted_without",
    "recovery_with_pct",
    "recovery_without_pct",
    "t",
    "df",
    "p",
    "outlying",
]


def falling_standards(x: ArrayLike, y: ArrayLike, noise_floor: ArrayLike = 0.0) -> pd.DataFrame:
    """Levels whose response lies below that of a lower concentration, and whether noise can explain it.

    A level's mean is compared with the highest mean of the levels below it. The variance of a well is taken as
    noise_floor² + (CV · response)², with the CV pooled over replicates; where they give fewer than `FEWEST_DF` degrees
    of freedom it is `ASSUMED_CV`, or theirs if larger. Beyond noise: one-sided t test, `ALPHA` shared among the
    levels.

    A fall beyond noise that goes on to the highest standard is a hook (prozone: too much analyte for the beads), or
    a spoilt top standard: one level cannot tell the two apart.

    Parameters
    ----------
    x
        Expected concentrations, shape (n,) or (k, n); NaN is missing.
    y
        Responses of single wells or means, shape (k, n); NaN is missing.
    noise_floor
        Standard deviation of a well without analyte, in the unit of y (of the blanks, say); one for all or one for
        each curve.

    Returns
    -------
    One row a fall: `FALLS`; curve counts rows of y from 0, noise is ``replicates`` or ``assumed``.

    Examples
    --------
    >>> falling_standards([1, 10, 100, 1000], [[50, 500, 5000, 3000]])[["expected", "fall_pct", "hook"]].values.tolist()
    [[1000.0, 40.0, True]]
    """
    x, y = _standards(x, y)
    floors = np.broadcast_to(np.asarray(noise_floor, dtype=np.float64), len(y))
    with np.errstate(all="ignore"):
        rows = [row for i in range(len(y)) for row in _falls_of(i, x[i], y[i], float(floors[i]))]
    return pd.DataFrame(rows, columns=FALLS)


def _falls_of(curve: int, x: Numbers, y: Numbers, floor: float) -> list[dict[str, object]]:
    used = np.isfinite(x) & np.isfinite(y)
    levels, at = np.unique(x[used], return_inverse=True)
    if len(levels) < 2:
        return []
    n = np.bincount(at)
    means = np.bincount(at, y[used]) / n
    cv, df, noise = _relative_noise(y[used], at, means, n, floor)
    bar = special.stdtrit(df, 1 - ALPHA / (len(levels) - 1))
    rows: list[dict[str, object]] = []
    for j in range(1, len(levels)):
        peak = int(means[:j].argmax())
        if means[j] < means[peak]:
            spread = np.hypot(*(np.hypot(floor, cv * means[i]) / np.sqrt(n[i]) for i in (j, peak)))
            drop = means[peak] - means[j]
            share = 100 * drop / means[peak] if means[peak] > 0 else np.nan
            found = (curve, levels[j], means[j], levels[peak], means[peak], share, 100 * cv, noise, drop > bar * spread)
            rows.append(dict(zip(FALLS, (*found, False), strict=True)))
    for row, level in zip(reversed(rows), levels[::-1], strict=False):
        if row["expected"] != level or not row["beyond_noise"]:
            break
        row["hook"] = True
    return rows


def _relative_noise(y: Numbers, at: Whole, means: Numbers, n: Whole, floor: float) -> tuple[float, float, str]:
    """Pooled CV of a well, its degrees of freedom, and where it comes from."""
    clear = (n > 1) & (means > 10 * floor) & (means > 0)
    df = int((n[clear] - 1).sum())
    off = (y / np.where(clear, means, 1.0)[at] - 1.0)[clear[at]]
    cv = float(np.sqrt((off**2).sum() / df)) if df else 0.0
    if df < FEWEST_DF:
        return max(cv, ASSUMED_CV), np.inf, "assumed"
    return cv, float(df), "replicates"


def outlying_standards(x: ArrayLike, y: ArrayLike, fits: CurveFits, raw: ArrayLike | None = None) -> pd.DataFrame:
    """Every level of every curve against the curve fitted without it: a deleted, studentised residual of the level.

    The level is left out (all its wells, since wells of one dilution are wrong together), the same model is fitted
    to the rest with the same weighting, and the level's mean is predicted: t = (mean − prediction) / SE, with SE² the
    residual variance over the level's weight plus the curve's own ∇fᵀ Σ ∇f, and the refit's degrees of freedom. For a
    single well in a linear model this is the externally studentised residual (Cook and Weisberg, Residuals and
    Influence in Regression, 1982, section 2.2). An end standard is predicted by extension, so its SE is wide and it
    is rarely called outlying: the columns with and without show what it does to the curve.

    Parameters
    ----------
    x, y, raw
        What `fits` was made of.
    fits
        Of k curves; models may differ.

    Returns
    -------
    One row a level of each fitted curve: `OUTLYING`; p is two-sided and multiplied by the number of levels,
    outlying is p < `ALPHA`. t is missing where the rest does not make a curve that can be judged.

    Examples
    --------
    >>> x = np.array([1.0, 4, 16, 64, 256, 1024, 4096, 16384])
    >>> y = response([20, 9000, 300, -1.2, 1], x) * [1.01, 0.99, 1, 1.5, 1.01, 0.99, 1, 1]
    >>> found = outlying_standards(x, [y], fit_curves(x, [y], "4pl", "1/y2"))
    >>> found.loc[found["outlying"], "expected"].tolist()
    [64.0]
    """
    x, y = _standards(x, y)
    raw = None if raw is None else np.broadcast_to(np.asarray(raw, dtype=np.float64), y.shape)
    used = fits.weights > 0
    pairs = [
        (i, level)
        for i in range(len(y))
        if np.isfinite(fits.objective[i])
        for level in np.unique(x[i][used[i]]).tolist()
    ]
    by_model = {model: [p for p in pairs if fits.model[p[0]] == model] for model in FREE}
    parts = [_levels_left_out(x, y, raw, fits, own, model) for model, own in by_model.items() if own]
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=OUTLYING)
    return found.sort_values(["curve", "expected"], ignore_index=True)


def _levels_left_out(
    x: Numbers, y: Numbers, raw: Numbers | None, fits: CurveFits, pairs: list[tuple[int, float]], model: Model
) -> pd.DataFrame:
    """The refits of one model, one row an analyte and level."""
    curve, level = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    out = (x[curve] == level[:, None]) & (fits.weights[curve] > 0)
    rest = np.where(out, np.nan, y[curve])
    refits = fit_curves(
        x[curve], rest, model, fits.weighting, None if raw is None else raw[curve], near=fits.parameters[curve]
    )
    weight = np.where(out, fits.weights[curve], 0.0)
    mean = np.where(out, y[curve], 0.0).sum(axis=1) / out.sum(axis=1)
    n_levels = np.bincount(curve, minlength=len(y))[curve]
    t, df = _deleted(refits, level, np.where(out, y[curve], np.nan), weight)
    p = np.minimum(2 * special.stdtr(df, -np.abs(t)) * n_levels, 1.0)
    return pd.DataFrame(
        {
            "curve": curve,
            "expected": level,
            "n_wells": out.sum(axis=1),
            "response": mean,
            "fitted_with": response(fits.parameters[curve], level),
            "fitted_without": response(refits.parameters, level),
            "recovery_with_pct": recovery_pct(fits.parameters[curve], level, mean),
            "recovery_without_pct": recovery_pct(refits.parameters, level, mean),
            "t": t,
            "df": df,
            "p": p,
            "outlying": p < ALPHA,
        }
    )


def _deleted(refits: CurveFits, level: Numbers, y: Numbers, weight: Numbers) -> tuple[Numbers, Numbers]:
    """Studentised distance of the level's wells y from the refit, and its degrees of freedom; NaN where unjudged."""
    df = refits.n_points - np.where(refits.model == "5pl", FREE["5pl"], FREE["4pl"])
    fitted, along = response(refits.parameters, level), gradient(refits.parameters, level)
    with np.errstate(all="ignore"):
        if refits.weighting == "log":
            y, along, fitted = np.log10(y), along / (fitted * LN10)[:, None], np.log10(fitted)
        off = np.nansum(weight * (y - fitted[:, None]), axis=1) / weight.sum(axis=1)
        curve = np.einsum("ki,kij,kj->k", along, refits.covariance, along)
        t = off / np.sqrt(refits.variance / weight.sum(axis=1) + np.maximum(curve, 0.0))
    judged = np.isin(refits.status, ("ok", "not_identified")) & np.isfinite(t)
    return np.where(judged, t, np.nan), np.where(judged, df, np.nan).astype(np.float64)


def _standards(x: ArrayLike, y: ArrayLike) -> tuple[Numbers, Numbers]:
    y = np.atleast_2d(np.asarray(y, dtype=np.float64))
    return np.broadcast_to(np.asarray(x, dtype=np.float64), y.shape), y
