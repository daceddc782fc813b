"""Which donors changed more than measurement error: smallest detectable change and responders."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from helpers.stats.estimate import NotEstimable

LABEL = "changed more than measurement error"


def smallest_detectable_change(sd_culture: pd.Series, n_cultures: pd.Series) -> float:
    """1.96·√2·SD/√n, with the SD between independent cultures pooled over donors and arms.

    Parameters
    ----------
    sd_culture, n_cultures
        Of each donor and arm, on the scale of analysis: SD between its culture wells, and their number.

    Returns
    -------
    Change beyond which measurement error alone goes in 5 % of donors; n is the median number of cultures.

    Raises
    ------
    NotEstimable
        Without a single arm of two independent cultures: assay wells say nothing of culture to culture error.

    Examples
    --------
    >>> round(smallest_detectable_change(pd.Series([0.2, 0.4]), pd.Series([2, 2])), 3)
    0.62
    """
    known = sd_culture.notna() & (n_cultures > 1)
    df = (n_cultures[known] - 1).astype("float64")
    if not len(df):
        raise NotEstimable(
            "not_estimable", "No donor has two independent cultures of one arm, so measurement error is not known."
        )
    pooled = float(np.sqrt((df * sd_culture[known].astype("float64") ** 2).sum() / df.sum()))
    return float(stats.norm.ppf(0.975) * np.sqrt(2) * pooled / np.sqrt(float(n_cultures.median())))


def responders(differences: pd.Series, smallest: float, level: float = 0.95) -> pd.DataFrame:
    """How many donors changed by more than the smallest detectable change, each way.

    Parameters
    ----------
    differences
        One a donor, on the scale of analysis.
    smallest
        From `smallest_detectable_change`.
    level
        Of the Clopper–Pearson intervals.

    Returns
    -------
    Two rows (up, down): direction, k, n, share, ci_low, ci_high, donors, label. No test: dichotomised changes
    lose what the estimates hold.

    Examples
    --------
    >>> found = responders(pd.Series({"D01": 1.0, "D02": 0.1, "D03": -0.9}), 0.5)
    >>> found[["direction", "k", "n", "donors"]].to_numpy().tolist()
    [['up', 1, 3, 'D01'], ['down', 1, 3, 'D03']]
    """
    rows = []
    for direction, who in (("up", differences > smallest), ("down", differences < -smallest)):
        k, n = int(who.sum()), len(differences)
        interval = stats.binomtest(k, n).proportion_ci(level, method="exact")
        names = ", ".join(sorted(map(str, differences.index[who])))
        rows.append((direction, k, n, k / n, float(interval.low), float(interval.high), names, LABEL))
    return pd.DataFrame(rows, columns=["direction", "k", "n", "share", "ci_low", "ci_high", "donors", "label"])
