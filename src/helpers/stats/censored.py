"""Values below or above a limit as bounds: normal likelihoods of pairs and of groups, and detection tables.

A value is a pair (lower, upper): equal where observed, −∞ or ∞ where a side is open. Nothing is put in the
place of a bound.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from helpers.stats.estimate import NAN, Estimate, NotEstimable, Numbers, spread_of

FEWEST_OBSERVED = 5
"""Fully observed pairs, or observed donors in each group, below which no likelihood is fitted."""
MOST_CENSORED = 0.5
"""Pooled share of both arms above which only detected / not detected is compared."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)
_FAR = 8.5  # SDs beyond which the normal density is nothing
_RHO = 0.995
_STEP = 1e-5  # of the differences that make gradients


def bounds(lower: ArrayLike, upper: ArrayLike) -> tuple[Numbers, Numbers]:
    """Bounds as float arrays; a missing bound is open.

    Raises
    ------
    ValueError
        Where a lower bound lies above its upper one.
    """
    low = np.asarray(lower, dtype=np.float64)
    high = np.asarray(upper, dtype=np.float64)
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    if (low > high).any():
        raise ValueError("a lower bound lies above its upper bound")
    return low, high


def sides(*arms: tuple[Numbers, Numbers]) -> str:
    """On which side of a limit the values of all arms lie, in words.

    Examples
    --------
    >>> sides((np.array([-np.inf, 2.0]), np.array([1.0, np.inf])))
    '1 below a lower limit, 1 above an upper limit'
    """
    low, high = (np.concatenate([arm[i] for arm in arms]) for i in (0, 1))
    kinds = {
        "below a lower limit": np.isneginf(low) & np.isfinite(high),
        "between two limits": np.isfinite(low) & np.isfinite(high) & (low != high),
        "above an upper limit": np.isfinite(low) & np.isposinf(high),
    }
    return ", ".join(f"{int(which.sum())} {name}" for name, which in kinds.items() if which.any())


def _varies(values: Numbers, what: str) -> None:
    """Refuse observed values without spread: a normal likelihood of them has no maximum."""
    if len(values) > 1:
        spread_of(values, f"observed {what}", float(np.abs(values).max()))


def share_censored(*arms: tuple[Numbers, Numbers]) -> float:
    """Share of values of all arms together that are not observed; it decides between change and detection."""
    flags = np.concatenate([low != high for low, high in arms])
    return float(flags.mean()) if len(flags) else 0.0


# ---- pairs


def paired_likelihood(
    reference: tuple[ArrayLike, ArrayLike], treatment: tuple[ArrayLike, ArrayLike], level: float = 0.95
) -> Estimate:
    """Mean change of pairs with bounds, by the bivariate normal likelihood over all four kinds of pairs.

    Both observed: density; one observed: density times the conditional chance of the other's interval; none
    observed: the chance of the rectangle. Interval and p come from the profile likelihood, read on the scale
    of t with pairs − 1 degrees of freedom: without any bound they are those of the paired t test exactly.

    Parameters
    ----------
    reference, treatment
        Lower and upper bounds of the same donors in the same order, on the scale of analysis.
    level
        Of the interval.

    Returns
    -------
    Estimate with the share of observed pairs in its note.

    Raises
    ------
    NotEstimable
        ``too_few_donors`` with fewer than five fully observed pairs; ``zero_variance`` where the observed values
        of an arm or the observed changes are all equal.
    """
    low, high = (np.column_stack(both) for both in zip(bounds(*reference), bounds(*treatment), strict=True))
    observed = low == high
    complete = int(observed.all(axis=1).sum())
    whole = low[observed.all(axis=1)]
    _varies(whole[:, 1] - whole[:, 0], "changes")
    for k, arm in enumerate(("reference", "treatment")):
        _varies(low[observed[:, k], k], f"values of the {arm}")
    if complete < FEWEST_OBSERVED:
        raise NotEstimable(
            "too_few_donors", f"Only {complete} pairs are fully observed; the likelihood needs {FEWEST_OBSERVED}."
        )
    return _fitted_pairs(low.tobytes(), high.tobytes(), complete, level)


@lru_cache(maxsize=1024)
def _fitted_pairs(lower: bytes, upper: bytes, complete: int, level: float) -> Estimate:
    """The fit behind `paired_likelihood`; the same pairs stand in a change, an interaction and a share of the gap."""
    low, high = (np.frombuffer(side).reshape(-1, 2) for side in (lower, upper))
    kinds = _Pairs(low, high)

    best = _minimise(lambda t: -kinds.log_likelihood(t), _start_pairs(low, high))
    change = float(best.x[1] - best.x[0])

    def profile(delta: float, near: Numbers) -> tuple[float, Numbers]:
        found = _minimise(lambda t: -kinds.log_likelihood(np.insert(t, 1, t[..., 0] + delta, axis=-1)), near)
        return float(found.fun), found.x

    n = len(low)
    spread = _spread_of_change(best.x)
    ends, p, t = _profiled(profile, float(best.fun), change, best.x[[0, 2, 3, 4]], spread / np.sqrt(n), n - 1, level)
    note = f"{complete} of {n} pairs are fully observed."
    return Estimate(change, *ends, "bivariate normal likelihood of pairs with bounds", t, n - 1, p, note)


def _spread_of_change(theta: Numbers) -> float:
    one, two, rho = np.exp(theta[2]), np.exp(theta[3]), _RHO * np.tanh(theta[4])
    return float(np.sqrt(one**2 + two**2 - 2 * rho * one * two))


def _start_pairs(low: Numbers, high: Numbers) -> Numbers:
    """Means, log SDs and correlation of values with each bound put a little beyond its limit; only a start."""
    with np.errstate(invalid="ignore"):
        middle = np.where(np.isinf(low), high - 0.5, np.where(np.isinf(high), low + 0.5, (low + high) / 2))
    filled = np.where(np.isfinite(middle), middle, 0.0)
    sd = np.maximum(filled.std(axis=0), 1e-3)
    rho = np.clip(np.corrcoef(filled.T)[0, 1] if (filled.std(axis=0) > 0).all() else 0.0, -0.9, 0.9)
    return np.array([*filled.mean(axis=0), *np.log(sd), np.arctanh(rho)])


class _Pairs:
    """Pairs sorted by kind once, so that each evaluation is a few vector operations."""

    def __init__(self, low: Numbers, high: Numbers) -> None:
        seen = low == high
        self.both = low[seen.all(axis=1)]
        one = seen.sum(axis=1) == 1
        self.single = [
            (low[one & seen[:, k], k], low[one & seen[:, k], 1 - k], high[one & seen[:, k], 1 - k]) for k in (0, 1)
        ]
        none = ~seen.any(axis=1)
        self.low, self.high = low[none], high[none]

    def log_likelihood(self, theta: Numbers) -> Numbers:
        """At two means, two log SDs and the transformed correlation, shape (…, 5); many points at once."""
        mean, sd, rho = theta[..., :2], np.exp(theta[..., 2:4]), _RHO * np.tanh(theta[..., 4])
        root = np.sqrt(1 - rho**2)
        z = (self.both - mean[..., None, :]) / sd[..., None, :]
        cross = z[..., 0] ** 2 - 2 * rho[..., None] * z[..., 0] * z[..., 1] + z[..., 1] ** 2
        each = np.log(2 * np.pi) + theta[..., 2:4].sum(axis=-1) + np.log(root)
        total = -0.5 * cross.sum(axis=-1) / root**2 - z.shape[-2] * each
        for k, (value, low, high) in enumerate(self.single):
            if len(value):
                z1 = (value - mean[..., k, None]) / sd[..., k, None]
                middle = mean[..., 1 - k, None] + (rho * sd[..., 1 - k])[..., None] * z1
                width = (sd[..., 1 - k] * root)[..., None]
                total = total + (-0.5 * z1**2 - 0.5 * np.log(2 * np.pi) - theta[..., 2 + k, None]).sum(axis=-1)
                total = total + log_interval((low - middle) / width, (high - middle) / width).sum(axis=-1)
        if len(self.low):
            a, b = ((edge - mean[..., None, :]) / sd[..., None, :] for edge in (self.low, self.high))
            total = total + np.log(np.maximum(_rectangle(a, b, rho[..., None]), 1e-300)).sum(axis=-1)
        return np.asarray(total)


def _rectangle(a: Numbers, b: Numbers, rho: Numbers) -> Numbers:
    """Chance of each rectangle a < z < b under the standard bivariate normal, by 40-point Gauss–Legendre."""
    low, high = np.maximum(a[..., 0], -_FAR), np.minimum(b[..., 0], _FAR)
    half = np.maximum((high - low) / 2, 0)
    z = (high + low)[..., None] / 2 + half[..., None] * _NODES
    root, lean = np.sqrt(1 - rho**2)[..., None], rho[..., None] * z
    inner = special.ndtr((b[..., 1:] - lean) / root) - special.ndtr((a[..., 1:] - lean) / root)
    return np.asarray(half * ((np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) * inner) @ _WEIGHTS))


def log_interval(a: Numbers, b: Numbers) -> Numbers:
    """log(Φ(b) − Φ(a)), accurate in both tails."""
    flip = a > 0
    low, high = np.where(flip, -b, a), np.where(flip, -a, b)
    upper, lower = special.log_ndtr(high), special.log_ndtr(low)
    with np.errstate(divide="ignore"):
        return np.asarray(upper + np.log1p(-np.exp(np.minimum(lower - upper, -1e-15))))


def _minimise(function: Callable[[Numbers], Numbers], start: Numbers) -> optimize.OptimizeResult:
    """Minimum by BFGS; `function` takes many points at once, so that a gradient costs one call.

    The gradient is the central difference: for functions of this smoothness its error stays below 1e-7.
    """
    steps = _STEP * np.vstack([np.zeros(len(start)), np.eye(len(start)), -np.eye(len(start))])

    def both(theta: Numbers) -> tuple[float, Numbers]:
        values = function(theta + steps)
        up, down = values[1 : len(theta) + 1], values[len(theta) + 1 :]
        return float(values[0]), (up - down) / (2 * _STEP)

    return optimize.minimize(both, start, jac=True, method="BFGS", options={"gtol": 1e-6})


def _profiled(
    profile: Callable[[float, Numbers], tuple[float, Numbers]],
    lowest: float,
    estimate: float,
    near: Numbers,
    step: float,
    df: float,
    level: float,
) -> tuple[tuple[float, float], float, float]:
    """Interval, p and signed root of a profile likelihood on the scale of t.

    For the mean of n normal values without bounds twice the fall of the log likelihood is n·log(1 + t²/(n − 1));
    with bounds, or with Welch's degrees of freedom for n − 1, that t is the calibrated statistic.
    """

    def t_of(fall: float) -> float:
        return float(np.sqrt(df * np.expm1(max(2 * fall, 0.0) / (df + 1))))

    bar = float(stats.t.ppf((1 + level) / 2, df))

    def end(sign: float) -> float:
        """The point on one side at which the profile falls to the bar.

        The signed root of a profile is almost a straight line, so secants from the estimate find it in a few steps.
        """
        unit = max(step, 1e-9)
        inner, inner_t, at = estimate, 0.0, near
        outer = estimate + sign * bar * unit
        for _ in range(60):
            fall, at = profile(outer, at)
            t = t_of(fall - lowest)
            if abs(t - bar) < 1e-3 * bar:
                slope = (outer - inner) / (t - inner_t) if t != inner_t else 0.0
                return float(outer + slope * (bar - t))
            reach = (outer - inner) * (bar - inner_t) / (t - inner_t) if t > inner_t else sign * 4 * bar * unit
            if t < bar:
                inner, inner_t, outer = outer, t, inner + sign * min(abs(reach), 4 * abs(outer - inner))
            else:
                outer = inner + reach
            if abs(outer - estimate) > 1e4 * unit:
                break
        return float(sign * np.inf)

    t = float(np.sign(estimate) * t_of(profile(0.0, near)[0] - lowest))
    return (end(-1.0), end(1.0)), float(2 * stats.t.sf(abs(t), df)), t


def difference_bounds(
    reference: tuple[ArrayLike, ArrayLike], treatment: tuple[ArrayLike, ArrayLike], level: float = 0.95
) -> Estimate:
    """Mean change by a normal likelihood on differences with interval bounds (as R's NADA2 cen_paired).

    A sensitivity value, known to be biased away from zero: it takes the two bounds of a donor as unrelated.
    Pairs in which both sides are open carry nothing. z interval, as survival's survreg has it.
    """
    (low_r, high_r), (low_t, high_t) = bounds(*reference), bounds(*treatment)
    low, high = low_t - high_r, high_t - low_r
    kept = np.isfinite(low) | np.isfinite(high)
    low, high = low[kept], high[kept]
    mean, _, covariance = _one_normal(low, high)
    se, quantile = float(np.sqrt(covariance)), float(stats.norm.ppf((1 + level) / 2))
    z = mean / se
    method = "normal likelihood of differences with bounds"
    return Estimate(mean, mean - quantile * se, mean + quantile * se, method, z, NAN, float(2 * stats.norm.sf(abs(z))))


def _one_normal(low: Numbers, high: Numbers) -> tuple[float, float, float]:
    """Mean, SD and variance of the mean of one normal sample with bounds, by maximum likelihood.

    Raises
    ------
    NotEstimable
        With fewer than two observed values, which leave the spread open.
    """
    seen = low == high
    if seen.sum() < 2:
        raise NotEstimable("not_estimable", "Fewer than two values are observed, so their spread is open.")

    def negative(theta: Numbers) -> Numbers:
        return -_normal(low, high, seen, theta[..., 0], theta[..., 1])

    start = np.array([low[seen].mean(), np.log(max(low[seen].std(), 1e-6))])
    found = _minimise(negative, start)
    covariance = np.linalg.inv(_hessian(negative, found.x))
    return float(found.x[0]), float(np.exp(found.x[1])), float(covariance[0, 0])


def _normal(low: Numbers, high: Numbers, seen: np.ndarray, mean: Numbers, log_sd: Numbers) -> Numbers:
    """Log likelihood of one normal sample with bounds, at many means and log SDs."""
    mean, log_sd = mean[..., None], log_sd[..., None]
    sd = np.exp(log_sd)
    exact = -0.5 * ((low[seen] - mean) / sd) ** 2 - 0.5 * np.log(2 * np.pi) - log_sd
    part = log_interval((low[~seen] - mean) / sd, (high[~seen] - mean) / sd)
    return np.asarray(exact.sum(axis=-1) + part.sum(axis=-1))


def _hessian(function: Callable[[Numbers], Numbers], at: Numbers) -> Numbers:
    h = 1e-4 * np.maximum(np.abs(at), 1.0)
    eye, k = np.diag(h), len(at)
    out = np.empty((k, k))
    for i in range(k):
        for j in range(k):
            signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
            parts = [a * b * float(function(at + a * eye[i] + b * eye[j])) for a, b in signs]
            out[i, j] = sum(parts) / (4 * h[i] * h[j])
    return out


# ---- groups


def group_likelihood(
    first: tuple[ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike], level: float = 0.95
) -> Estimate:
    """Difference of means of two groups with bounds, by normal likelihoods with spreads of their own.

    The two-group analogue of `paired_likelihood`; profile likelihood on the scale of t with Welch's degrees
    of freedom from the estimated spreads.

    Raises
    ------
    NotEstimable
        ``too_few_donors`` with fewer than five observed donors in a group; ``zero_variance`` where those of a
        group are all equal.
    """
    arms = [bounds(*first), bounds(*second)]
    for low, high in arms:
        _varies(low[low == high], "values of a group")
    seen = [int((low == high).sum()) for low, high in arms]
    if min(seen) < FEWEST_OBSERVED:
        raise NotEstimable(
            "too_few_donors",
            f"Only {min(seen)} donors of a group are observed; the likelihood needs {FEWEST_OBSERVED}.",
        )
    fits = [_one_normal(low, high) for low, high in arms]
    sizes = [len(low) for low, _ in arms]
    estimate = fits[0][0] - fits[1][0]

    def negative(theta: Numbers, change: float) -> Numbers:
        means = (theta[..., 0] + change, theta[..., 0])
        parts = zip(arms, means, (theta[..., 1], theta[..., 2]), strict=True)
        each = [_normal(low, high, low == high, mean, sd) for (low, high), mean, sd in parts]
        return np.asarray(-np.sum(each, axis=0))

    near = np.array([fits[1][0], np.log(fits[0][1]), np.log(fits[1][1])])

    def profile(delta: float, at: Numbers) -> tuple[float, Numbers]:
        found = _minimise(lambda t: negative(t, delta), at)
        return float(found.fun), found.x

    variances = [sd**2 / (n - 1) for (_, sd, _), n in zip(fits, sizes, strict=True)]
    df = sum(variances) ** 2 / sum(v**2 / (n - 1) for v, n in zip(variances, sizes, strict=True))
    lowest = float(negative(near, estimate))
    step = float(np.sqrt(sum(variances)))
    ends, p, t = _profiled(profile, lowest, estimate, near, step, df, level)
    note = f"Observed: {seen[0]} of {sizes[0]} and {seen[1]} of {sizes[1]} donors."
    return Estimate(estimate, *ends, "normal likelihood of groups with bounds", t, df, p, note)


# ---- detected or not


def mcnemar(reference: ArrayLike, treatment: ArrayLike, level: float = 0.95) -> Estimate:
    """Exact McNemar test of detection in pairs (McNemar 1947, binomial): log odds of gained over lost.

    Parameters
    ----------
    reference, treatment
        Whether the value is detected, of the same donors in the same order.

    Examples
    --------
    >>> mcnemar([0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1]).p
    0.0625
    """
    before, after = np.asarray(reference, dtype=bool), np.asarray(treatment, dtype=bool)
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    note = f"Detected in {int(before.sum())} of {len(before)} without and {int(after.sum())} with."
    if gained + lost == 0:
        raise NotEstimable("not_estimable", "No donor changes between detected and not detected. " + note)
    test = stats.binomtest(gained, gained + lost)
    ends = test.proportion_ci(level, method="exact")
    share, low, high = (float(special.logit(v)) for v in (gained / (gained + lost), ends.low, ends.high))
    return Estimate(share, low, high, "exact McNemar, detected or not", p=float(test.pvalue), note=note)


def fisher(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> Estimate:
    """Fisher's exact test of detection in two groups; log odds ratio (conditional) with its exact interval.

    Refused where every donor is detected, or none.

    Examples
    --------
    >>> round(fisher([1, 1, 1, 1, 0], [0, 0, 0, 0, 1]).p, 3)
    0.206
    """
    x, y = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    table = np.array([[x.sum(), (~x).sum()], [y.sum(), (~y).sum()]])
    note = f"Detected in {int(x.sum())} of {len(x)} and {int(y.sum())} of {len(y)}."
    if not table.sum(axis=0).all():
        raise NotEstimable("not_estimable", "Donors do not differ in being detected. " + note)
    found = stats.contingency.odds_ratio(table)
    ends = found.confidence_interval(level)
    with np.errstate(divide="ignore"):
        odds, low, high = (float(np.log(v)) for v in (found.statistic, ends.low, ends.high))
    return Estimate(odds, low, high, "Fisher exact, detected or not", p=float(stats.fisher_exact(table)[1]), note=note)


def at_common_limit(*arms: tuple[Numbers, Numbers]) -> list[Numbers]:
    """Values for rank and sign tests: everything at or below the highest limit of any plate becomes one tie.

    Right-censored values become one tie at the lowest upper limit. Ranks then do not depend on which plate a
    value was read from.
    """
    low = np.concatenate([a for a, _ in arms])
    high = np.concatenate([b for _, b in arms])
    left, right = high[(low != high) & np.isfinite(high)], low[(low != high) & np.isfinite(low) & np.isinf(high)]
    floor, roof = (left.max() if len(left) else -np.inf), (right.min() if len(right) else np.inf)
    out = []
    for a, b in arms:
        value = np.where(a == b, a, np.where(np.isfinite(b), floor, roof))
        out.append(np.clip(value, floor, max(roof, floor)))
    return out
