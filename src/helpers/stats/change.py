"""Each donor's own change, and which donors changed more than measurement error."""

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


def donor_changes(reference: pd.DataFrame, treatment: pd.DataFrame) -> pd.DataFrame:
    """Change of every donor who has both arms, between the least and the largest that its bounds allow.

    Parameters
    ----------
    reference, treatment
        From `slices.arm`.

    Returns
    -------
    donor_id, msc_lot_id (of the treated arm), change (missing where an arm is a bound), lower, upper (missing where
    open).
    """
    both = reference.index.intersection(treatment.index)
    r, t = reference.loc[both], treatment.loc[both]
    lower, upper = (t[a].to_numpy(float) - r[b].to_numpy(float) for a, b in (("lower", "upper"), ("upper", "lower")))
    known = np.where(lower == upper, lower, np.nan)
    lower, upper = np.where(lower == -np.inf, np.nan, lower), np.where(upper == np.inf, np.nan, upper)
    lots = t["msc_lot_id"].to_numpy() if "msc_lot_id" in t else None
    columns = {"donor_id": both.astype(str), "msc_lot_id": lots, "lower": lower, "upper": upper, "change": known}
    return pd.DataFrame(columns)


def pooled_sd(changes: pd.DataFrame, comparison: list[str]) -> pd.Series:
    """SD of the observed changes within groups, pooled over the groups of a comparison; missing without spread.

    Parameters
    ----------
    changes
        group, change (missing where bounded), and the columns of `comparison`.
    comparison
        Columns that make a comparison, whose groups are pooled: one colour then means the same in each group.
    """
    known = changes[changes["change"].notna()]
    centred = known["change"] - known.groupby([*comparison, "group"], dropna=False)["change"].transform("mean")
    rows = known.assign(square=centred**2).groupby(comparison, dropna=False)
    df = (rows["group"].transform("size") - rows["group"].transform("nunique")).astype("float64")
    sd = np.sqrt(rows["square"].transform("sum") / df.where(df > 0))
    by = changes.assign(sd=sd.where(sd > 0)).groupby(comparison, dropna=False)["sd"]
    return by.transform("first").astype("float64")
