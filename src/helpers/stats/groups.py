"""Two independent groups of donors: primary Welch, and the sensitivity analyses beside it.

The first argument is the group whose excess is estimated (disease), the second what it is compared with.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from helpers.stats.estimate import NAN, SAME, Estimate, NotEstimable, Numbers, numbers, on_grid, ordered, spread_of
from helpers.stats.paired import acceptance, noncentral_t, small_sample
from helpers.stats.permutation import DRAWS, is_every_labelling, labellings, p_value, reached, subset_sums

SMALL_ARM = 8
"""Below so many donors in an arm, the Brunner–Munzel test is by permutation."""


MOST_RANKED = 100
"""Up to so many donors of both groups the rank-sum test is exact; above by the normal approximation."""
_NONE = 1e-18  # variance of chances between 0 and 1 that is rounding


def _two(first: ArrayLike, second: ArrayLike, least: int) -> tuple[Numbers, Numbers]:
    return numbers(first, least, "donors in the first group"), numbers(second, least, "donors in the second group")


def welch(first: ArrayLike, second: ArrayLike, level: float = 0.95, magnitude: float = 0.0) -> Estimate:
    """Difference of means with Welch's interval and test, which allow unequal spreads.

    Parameters
    ----------
    first, second
        One a donor, on the scale of analysis.
    level
        Of the interval.
    magnitude
        Where they are changes, the largest |value| they come from: spread of its rounding is none.

    Raises
    ------
    NotEstimable
        With fewer than two donors in a group, or without any spread.

    Examples
    --------
    >>> found = welch([3.1, 2.9, 3.6, 3.3], [2.2, 2.8, 2.5])
    >>> round(found.estimate, 3), round(found.df, 2), round(found.p, 3)
    (0.725, 4.44, 0.029)
    """
    x, y = _two(first, second, 2)
    _within(x, y, magnitude)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a group without spread, which Welch's test allows
        test = stats.ttest_ind(x, y, equal_var=False)
    interval = test.confidence_interval(level)
    return Estimate(
        float(x.mean() - y.mean()),
        float(interval.low),
        float(interval.high),
        "Welch t",
        float(test.statistic),
        float(test.df),
        float(test.pvalue),
    )


def _within(x: Numbers, y: Numbers, magnitude: float = 0.0) -> float:
    """Standard deviation within both groups together; refused where neither has any."""
    size = max(magnitude, float(np.abs(x).max()), float(np.abs(y).max()))
    return spread_of(np.concatenate([x - x.mean(), y - y.mean()]), "values of each group", size)


def brunner_munzel(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> Estimate:
    """Chance that a donor of the first group lies above one of the second, ties half, with its test against ½.

    Brunner and Munzel 2000 with t degrees of freedom; in arms below 8 donors, and where the groups do not
    overlap at all, the p is of the studentised permutation test (Neubert and Brunner 2007). The interval is
    theirs, cut to 0 and 1; without overlap there is none.

    Raises
    ------
    NotEstimable
        Where all values are equal.
    """
    x, y = _two(first, second, 2)
    above, se, df = _relative_effect(x, y)
    if se == 0:
        if above not in (0.0, 1.0):
            raise NotEstimable("zero_variance", "All values are equal: the Brunner–Munzel test has no spread.")
        p, method = _permuted_brunner_munzel(x, y, np.inf)
        return Estimate(above, NAN, NAN, method, p=p, note="The groups do not overlap: no interval.")
    statistic = (above - 0.5) / se
    half = stats.t.ppf((1 + level) / 2, df) * se
    p, method = float(2 * stats.t.sf(abs(statistic), df)), "Brunner–Munzel"
    if min(len(x), len(y)) < SMALL_ARM:
        p, method = _permuted_brunner_munzel(x, y, statistic)
    return Estimate(above, float(max(0.0, above - half)), float(min(1.0, above + half)), method, statistic, df, p)


def _relative_effect(x: Numbers, y: Numbers) -> tuple[float, float, float]:
    """P(x > y) + ½ P(x = y), its standard error, and degrees of freedom."""
    n, m = len(x), len(y)
    together = on_grid(np.concatenate([x, y]))
    above = (np.sign(together[:n, None] - together[None, n:]) + 1) / 2
    of_x, of_y = above.mean(axis=1), above.mean(axis=0)
    a, b = (v if v > _NONE else 0.0 for v in (of_x.var(ddof=1) / n, of_y.var(ddof=1) / m))
    df = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1)) if a + b > 0 else NAN
    return float(above.mean()), float(np.sqrt(a + b)), float(df)


def _permuted_brunner_munzel(x: Numbers, y: Numbers, observed: float) -> tuple[float, str]:
    together = on_grid(ordered(np.concatenate([x, y])))
    n, m = sorted((len(x), len(y)))  # the square of the statistic is that of the groups in either order
    complete = is_every_labelling(n, len(together))
    above = (np.sign(together[:, None] - together[None, :]) + 1) / 2
    values = np.concatenate([_relative_effects(labels, above, n, m) for labels in labellings(n, len(together))])
    p = p_value(int(reached(values, observed).sum()), len(values), complete)
    return p, "Brunner–Munzel, exact permutation" if complete else f"Brunner–Munzel, {DRAWS:,} permutations"


def _relative_effects(labels: Numbers, above: Numbers, n: int, m: int) -> Numbers:
    """Studentised relative effect of each labelling; n donors have the label, m have not."""
    other = 1 - labels
    of_x, of_y = other @ above.T / m * labels, labels @ above / n * other
    mean = of_x.sum(axis=1) / n
    a = ((of_x - mean[:, None] * labels) ** 2).sum(axis=1) / (n - 1) / n
    b = ((of_y - mean[:, None] * other) ** 2).sum(axis=1) / (m - 1) / m
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(np.abs(mean - 0.5) < SAME, 0.0, mean - 0.5) / np.sqrt(np.where(a + b > _NONE, a + b, 0.0))
    return np.where(np.isnan(values), 0.0, values)  # no spread and no difference


def rank_sum(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> Estimate:
    """Wilcoxon–Mann–Whitney test with the Hodges–Lehmann shift and its interval, exact with ties.

    Midranks and all ways to divide the donors; SciPy's exact method ignores ties. The interval holds the
    shifts that the test does not reject, as R's exactRankTests has it. `statistic` is W, the pairs in which
    the first group is higher. With more than 100 donors p and interval are by the normal approximation with
    the variance of tied ranks and without continuity correction (Lehmann 1975).

    Examples
    --------
    >>> rank_sum([4, 5, 6], [1, 2, 3]).p
    0.1
    """
    x, y = _two(first, second, 1)
    n = len(x)
    doubled = np.rint(2 * stats.rankdata(on_grid(np.concatenate([x, y])))).astype(int)
    if len(doubled) > MOST_RANKED:
        return _rank_sum_of_many(x, y, doubled / 2, level)
    chance = subset_sums(doubled, n)
    observed, centre = int(doubled[:n].sum()), doubled.sum() * n / len(doubled)
    far = np.abs(np.arange(len(chance)) - centre) >= abs(observed - centre) - 1e-9
    shifts = np.sort((x[:, None] - y[None, :]).ravel())
    low_sum, high_sum, note = acceptance(chance, level)
    if len(np.unique(doubled)) == len(doubled):
        sums = np.arange(len(shifts), 0, -1) * 2 + n * (n + 1)
        low = shifts[0] if high_sum >= sums.max() else shifts[sums > high_sum].max()
        high = shifts[-1] if low_sum <= sums.min() else shifts[sums <= low_sum].min()
    else:  # with ties the ends are the outermost shifts at which the tied statistic is not rejected
        moved = on_grid(np.concatenate([x[None, :] - shifts[:, None], np.tile(y, (len(shifts), 1))], axis=1))
        sums = np.rint(2 * stats.rankdata(moved, axis=1)[:, :n].sum(axis=1))
        low, high = shifts[sums <= high_sum].min(), shifts[sums >= low_sum].max()
    w = observed / 2 - n * (n + 1) / 2
    p = min(1.0, float(chance[far].sum()))
    middle = float(np.median(shifts))
    return Estimate(middle, float(low), float(high), "exact Wilcoxon–Mann–Whitney", w, p=p, note=note)


def _rank_sum_of_many(x: Numbers, y: Numbers, ranks: Numbers, level: float) -> Estimate:
    """The rank-sum test of many donors, normal approximation with midranks."""
    n, m = len(x), len(y)
    w = float(ranks[:n].sum() - n * (n + 1) / 2)
    spread = float(np.sqrt(n * m * ranks.var(ddof=1) / (n + m)))
    if spread == 0:
        raise NotEstimable("zero_variance", "All values are equal.")
    shifts = np.sort((x[:, None] - y[None, :]).ravel())
    edge = int(np.clip(np.floor(n * m / 2 - stats.norm.ppf((1 + level) / 2) * spread), 0, n * m // 2))
    p = float(2 * stats.norm.sf(abs(w - n * m / 2) / spread))
    method = "Wilcoxon–Mann–Whitney, normal approximation"
    return Estimate(float(np.median(shifts)), float(shifts[edge]), float(shifts[-1 - edge]), method, w, p=p)


def label_permutation(first: ArrayLike, second: ArrayLike) -> Estimate:
    """Difference of means with the permutation test of Welch's t: all labellings up to 20,000, else drawn.

    The studentised statistic keeps its level where the groups differ in spread (Janssen 1997).
    """
    x, y = _two(first, second, 2)
    observed = welch(x, y)
    # from the smaller group and in the order of the values, so that drawn labels follow neither names nor groups
    split, together = (min(len(x), len(y)), len(x) + len(y)), ordered(np.concatenate([x, y]))[:, None]
    values = np.concatenate([welch_statistics(together, labels)[:, 0] for labels in labellings(*split)])
    complete = is_every_labelling(*split)
    p = p_value(int(reached(values, observed.statistic).sum()), len(values), complete)
    method = "exact permutation of labels" if complete else f"permutation of labels, {DRAWS:,} draws"
    return Estimate(observed.estimate, NAN, NAN, f"{method}, Welch statistic", observed.statistic, p=p)


def welch_statistics(values: Numbers, labels: Numbers) -> Numbers:
    """Welch's t of many readouts under many labellings at once.

    Parameters
    ----------
    values
        Donors × readouts; NaN where a donor lacks a readout.
    labels
        Labellings × donors, 1 for the first group.

    Returns
    -------
    Labellings × readouts; infinite where both groups have no spread but differ, 0 where they do not differ or
    a group has fewer than two donors.
    """
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    filled = filled - np.where(known, filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1), 0.0)  # for precision
    size = np.abs(filled).max(axis=0)
    parts = []
    for of in (labels, 1 - labels):
        n = of @ known.astype(float)
        mean = of @ filled / np.maximum(n, 1)
        var = (of @ filled**2 - n * mean**2) / np.maximum(n - 1, 1)
        parts.append((n, mean, np.where(var > 1e-13 * size**2, var, 0.0)))
    (n, mean, var), (m, other, spread) = parts
    difference = np.where(np.abs(mean - other) > SAME * size, mean - other, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = difference / np.sqrt(var / n + spread / m)
    return np.where((n > 1) & (m > 1) & ~np.isnan(t), t, 0.0)


# ---- effect sizes


def hedges_g(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> Estimate:
    """Difference of means over the pooled SD, times J(n + m − 2), with the noncentral t interval."""
    x, y = _two(first, second, 2)
    n, m = len(x), len(y)
    _within(x, y)
    pooled = np.sqrt(((n - 1) * x.var(ddof=1) + (m - 1) * y.var(ddof=1)) / (n + m - 2))
    per, factor = np.sqrt(1 / n + 1 / m), small_sample(n + m - 2)
    d = float((x.mean() - y.mean()) / pooled)
    low, high = noncentral_t(d / per, n + m - 2, level)
    return Estimate(
        factor * d,
        factor * low * per,
        factor * high * per,
        "Hedges g: difference / pooled SD, J(n + m − 2), noncentral t",
    )


def cliffs_delta(first: ArrayLike, second: ArrayLike, level: float = 0.95) -> Estimate:
    """Share of pairs in which the first group is higher minus the share in which it is lower (Cliff 1993).

    The interval is that of the Brunner–Munzel variance on the logit scale, so that it stays within −1 and 1
    (Pauly, Asendorf and Konietschke 2016); where the groups do not overlap there is none.

    Examples
    --------
    >>> cliffs_delta([10, 10, 20, 20, 20, 30, 30, 30, 40, 50], [10, 20, 30, 40, 40, 50]).estimate
    -0.25
    """
    x, y = _two(first, second, 2)
    above, se, df = _relative_effect(x, y)
    if se == 0 or above in (0.0, 1.0):
        note = "The groups do not overlap: no interval."
        return Estimate(2 * above - 1, NAN, NAN, "Cliff's delta", note=note)
    logit, spread = np.log(above / (1 - above)), se / (above * (1 - above))
    ends = 1 / (1 + np.exp(-(logit + np.array([-1, 1]) * stats.t.ppf((1 + level) / 2, df) * spread)))
    low, high = (2 * ends - 1).tolist()
    return Estimate(2 * above - 1, low, high, "Cliff's delta, Brunner–Munzel variance on the logit scale")
