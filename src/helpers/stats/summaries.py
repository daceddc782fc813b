"""One sample of amounts with values below a limit, summed up without putting anything in the place of a bound.

Three ways, since each leans on something else: a lognormal likelihood on the whole shape, regression on order
statistics on the shape of what lies below the limits alone, Kaplan–Meier on no shape at all. They are those of
R's NADA (Helsel 2012) and give its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from helpers.stats.censored import bounds, log_interval
from helpers.stats.estimate import NAN, NotEstimable, Numbers, spread_of

MOST_CENSORED = 0.8
"""Share of values beyond a limit from which on a mean says nothing of the sample (Helsel 2012)."""
FEWEST_OBSERVED = 3
_ROUNDS, _CLOSE = 100, 1e-12
_LARGEST = 300.0  # of a logarithm whose exponential is multiplied on


@dataclass(frozen=True)
class Summary:
    """A sample in three numbers, on the scale of the amounts; NaN where the method cannot give one.

    Parameters
    ----------
    mean, median, sd
        Of the amounts.
    method
        As printed.
    """

    mean: float
    median: float
    sd: float
    method: str


@dataclass(frozen=True, eq=False)
class Regression:
    """A normal linear model of values with bounds, by maximum likelihood (Tobit model).

    Parameters
    ----------
    coefficients, errors
        One a column of the design.
    sd
        Of the residuals; the likelihood's, divided by n.
    log_likelihood
        At the maximum, of the observed densities and the chances of the bounds.
    """

    coefficients: Numbers
    errors: Numbers
    sd: float
    log_likelihood: float


def regression(lower: ArrayLike, upper: ArrayLike, design: ArrayLike) -> Regression:
    """Fit a normal linear model to values with bounds by Newton's method, as R's ``survreg(dist = "gaussian")``.

    Parameters
    ----------
    lower, upper
        Bounds on the scale of analysis; equal where observed, −∞ or ∞ where open.
    design
        One row a value, its columns including the intercept's.

    Raises
    ------
    NotEstimable
        Where fewer values are observed than the model has numbers, they leave it no spread, or it has no maximum.

    Examples
    --------
    >>> fit = regression([1.0, 2.0, 3.0, -np.inf], [1.0, 2.0, 3.0, 1.5], np.ones((4, 1)))
    >>> round(float(fit.coefficients[0]), 3), round(fit.sd, 3)
    (1.714, 0.9)
    """
    low, high = bounds(lower, upper)
    x = np.asarray(design, dtype=np.float64)
    seen = low == high
    if seen.sum() <= x.shape[1] or np.linalg.matrix_rank(x[seen]) < x.shape[1]:
        raise NotEstimable("not_estimable", "Too few values are observed for this model.")
    start = np.linalg.lstsq(x[seen], low[seen], rcond=None)[0]
    spread = float((low[seen] - x[seen] @ start).std())
    if spread <= 1e-9 * max(float(np.abs(low[seen]).max()), 1e-300):
        raise NotEstimable("zero_variance", "All observed values are equal, so their spread cannot be estimated.")
    theta = np.append(start, np.log(spread))
    value, slope, curve = _likelihood(theta, low, high, x)
    for _ in range(_ROUNDS):
        theta, step = _newton(theta, value, slope, curve, low, high, x)
        value, slope, curve = _likelihood(theta, low, high, x)
        if step < _CLOSE:
            errors = np.sqrt(np.diag(np.linalg.inv(-curve)))
            return Regression(theta[:-1], errors[:-1], float(np.exp(theta[-1])), value)
    raise NotEstimable("not_estimable", "The likelihood of these values has no maximum that can be found.")


def _newton(
    theta: Numbers, value: float, slope: Numbers, curve: Numbers, low: Numbers, high: Numbers, x: Numbers
) -> tuple[Numbers, float]:
    """One step uphill, halved until the likelihood does not fall; the gain that was expected tells the end."""
    values, vectors = np.linalg.eigh(-curve)
    # a direction that bends the wrong way is walked downhill's opposite by its own size
    step = vectors @ ((vectors.T @ slope) / np.maximum(np.abs(values), 1e-9))
    gain = float(slope @ step)
    for _ in range(60):
        if _likelihood(theta + step, low, high, x)[0] >= value - 1e-12 * abs(value):
            break
        step = step / 2
    return theta + step, gain


def _likelihood(theta: Numbers, low: Numbers, high: Numbers, x: Numbers) -> tuple[float, Numbers, Numbers]:
    """Log likelihood with its gradient and Hessian in the coefficients and the log SD."""
    mean, sd = x @ theta[:-1], float(np.exp(theta[-1]))
    seen = low == high
    z = (low[seen] - mean[seen]) / sd
    n = len(low)
    value = float((_log_density(z) - theta[-1]).sum())
    by_mean, by_sd = np.empty(n), np.empty(n)
    mean_mean, mean_sd, sd_sd = np.empty(n), np.empty(n), np.empty(n)
    by_mean[seen], by_sd[seen] = z / sd, z**2 - 1
    mean_mean[seen], mean_sd[seen], sd_sd[seen] = -1 / sd**2, -2 * z / sd, -2 * z**2
    a, b = (low[~seen] - mean[~seen]) / sd, (high[~seen] - mean[~seen]) / sd
    chance = log_interval(a, b)
    value += float(chance.sum())
    m0, m1, m2, m3 = (_moment(b, chance, k) - _moment(a, chance, k) for k in range(4))
    by_mean[~seen], by_sd[~seen] = -m0 / sd, -m1
    mean_mean[~seen] = -(m1 + m0**2) / sd**2
    mean_sd[~seen] = -(m2 - m0 + m0 * m1) / sd
    sd_sd[~seen] = -(m3 - m1 + m1**2)
    slope = np.append(x.T @ by_mean, by_sd.sum())
    cross = x.T @ mean_sd
    curve = np.block([[(x.T * mean_mean) @ x, cross[:, None]], [cross[None, :], sd_sd.sum()]])
    return value, slope, curve


def _moment(z: Numbers, log_chance: Numbers, power: int) -> Numbers:
    """z^power · φ(z) / chance; nothing at an open end."""
    finite = np.where(np.isfinite(z), z, 0.0)
    log_ratio = np.minimum(_log_density(finite) - log_chance, _LARGEST)  # a step too far is judged by its likelihood
    return np.where(np.isfinite(z), finite**power * np.exp(log_ratio), 0.0)


def _log_density(z: Numbers) -> Numbers:
    return np.asarray(-0.5 * z**2 - 0.5 * np.log(2 * np.pi))


# ---- one sample


def lognormal(lower: ArrayLike, upper: ArrayLike) -> Summary:
    """Mean, median and SD of amounts by the lognormal likelihood; bounds on any side.

    The median is the geometric mean. The mean is that of a lognormal, which a few extreme values pull far.

    Parameters
    ----------
    lower, upper
        Bounds of the amounts; a lower bound that is missing is 0.

    Raises
    ------
    NotEstimable
        Where an amount has no logarithm, or values leave the spread open.

    Examples
    --------
    >>> found = lognormal([4.0, 8.0, 16.0, np.nan], [4.0, 8.0, 16.0, 2.0])
    >>> round(found.median, 2)
    4.94
    """
    low, high = _amounts(lower, upper)
    if (low == high).all() and len(low) > 1:  # then the maximum is the mean and the SD of the logarithms
        logs = np.log(low)
        spread_of(logs, "values", float(np.abs(logs).max()))
        mu, variance = float(logs.mean()), float(logs.var())
    else:
        fit = regression(np.log(np.where(low > 0, low, np.nan)), np.log(high), np.ones((len(low), 1)))
        mu, variance = float(fit.coefficients[0]), fit.sd**2
    mean = float(np.exp(mu + variance / 2))
    sd = float(mean * np.sqrt(np.expm1(variance)))
    return Summary(mean, float(np.exp(mu)), sd, "lognormal likelihood")


def order_statistics(lower: ArrayLike, upper: ArrayLike) -> Summary:
    """Mean, median and SD by regression on order statistics (Helsel and Cohn 1988); values below limits only.

    A line through the logarithms of the observed values against normal scores gives the values below the limits;
    only their sum is meant, no single one of them belongs to a sample.

    Parameters
    ----------
    lower, upper
        Bounds of the amounts, several limits allowed.

    Raises
    ------
    NotEstimable
        Where a value lies above a limit, fewer than three are observed, or an amount has no logarithm.

    Examples
    --------
    >>> found = order_statistics([4.0, 8.0, 16.0, np.nan], [4.0, 8.0, 16.0, 2.0])
    >>> round(found.mean, 2), round(found.median, 2)
    (7.27, 6.0)
    """
    observed, limits = _left(*_amounts(lower, upper), "Regression on order statistics")
    if not len(limits):
        return Summary(float(observed.mean()), float(np.median(observed)), float(observed.std(ddof=1)), "as observed")
    seen_at, below_at = _positions(observed, limits)
    slope, intercept = np.polyfit(special.ndtri(seen_at), np.log(observed), 1)
    filled = np.exp(intercept + slope * special.ndtri(below_at))
    whole = np.concatenate([filled, observed])
    return Summary(
        float(whole.mean()), float(np.median(whole)), float(whole.std(ddof=1)), "regression on order statistics"
    )


def _positions(observed: Numbers, limits: Numbers) -> tuple[Numbers, Numbers]:
    """Plotting positions of observed and of censored values, limit by limit (Helsel and Cohn 1988)."""
    levels = np.unique(limits)
    if (observed < levels[0]).any():
        levels = np.concatenate([[0.0], levels])
    ends = np.append(levels[1:], np.inf)
    above = 0.0  # the chance to lie above the next limit
    seen: list[Numbers] = []
    below: list[Numbers] = []
    for level, end in zip(levels[::-1], ends[::-1], strict=True):
        between = int(((observed >= level) & (observed < end)).sum())
        under = int((observed < level).sum() + (limits <= level).sum())
        chance = above + (1 - above) * between / max(between + under, 1)
        seen.append(1 - chance + (chance - above) * np.arange(1, between + 1) / (between + 1))
        censored = int((limits == level).sum())
        below.append((1 - chance) * np.arange(1, censored + 1) / (censored + 1))
        above = chance
    return np.concatenate(seen[::-1]), np.concatenate(below[::-1])


def kaplan_meier(lower: ArrayLike, upper: ArrayLike) -> Summary:
    """Mean, median and SD by Kaplan–Meier on the turned-round scale; values below limits only, no shape assumed.

    What lies below the smallest observed value counts as that value in the mean, which is then a little high
    (Efron's convention). The median is NaN where it lies below the limits.

    Parameters
    ----------
    lower, upper
        Bounds on any scale, several limits allowed.

    Raises
    ------
    NotEstimable
        Where a value lies above a limit, or fewer than three are observed.

    Examples
    --------
    >>> found = kaplan_meier([4.0, 8.0, 16.0, np.nan], [4.0, 8.0, 16.0, 2.0])
    >>> found.mean, found.median
    (8.0, 4.0)
    """
    observed, limits = _left(*bounds(lower, upper), "Kaplan–Meier")
    n = len(observed) + len(limits)
    steps = np.unique(observed)[::-1]  # from the largest down: what is below a limit is at risk above it
    deaths = np.array([(observed == v).sum() for v in steps], dtype=np.float64)
    risk = np.array([(observed <= v).sum() + (limits <= v).sum() for v in steps], dtype=np.float64)
    share = np.cumprod(1 - deaths / risk)  # of the sample below each step
    area = np.append(np.cumsum((share[:-1] * -np.diff(steps))[::-1])[::-1], 0.0)  # under the curve, below each step
    left = risk > deaths
    variance = float((area[left] ** 2 * deaths[left] / (risk[left] * (risk[left] - deaths[left]))).sum())
    up_to = np.append(1.0, share[:-1])  # of the sample at or below each step
    median = float(steps[up_to >= 0.5 - 1e-12][-1]) if share[-1] < 0.5 else NAN
    events = len(observed)  # survival corrects the variance of its mean by them
    sd = float(np.sqrt(variance * n * events / (events - 1)))
    return Summary(float(steps[0] - area[0]), median, sd, "Kaplan–Meier")


def _left(low: Numbers, high: Numbers, what: str) -> tuple[Numbers, Numbers]:
    """Observed values in order, and the limits of those that lie below one."""
    seen = low == high
    if (~seen & np.isfinite(low)).any():
        raise NotEstimable("not_estimable", f"{what} takes values below limits only, and some lie above or between.")
    if seen.sum() < FEWEST_OBSERVED:
        raise NotEstimable("too_few_donors", f"Only {int(seen.sum())} values are observed; needs {FEWEST_OBSERVED}.")
    return np.sort(low[seen]), np.sort(high[~seen])


def _amounts(lower: ArrayLike, upper: ArrayLike) -> tuple[Numbers, Numbers]:
    low, high = bounds(lower, upper)
    if (high <= 0).any() or (low[np.isfinite(low)] < 0).any():
        raise NotEstimable("wrong_scale", "An amount is zero or negative and has no logarithm.")
    return np.where(low > 0, low, -np.inf), high
