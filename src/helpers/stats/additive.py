"""More than the sum: co-culture against macrophages alone plus MSC alone, for secreted analytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from helpers.stats.estimate import Estimate, NotEstimable, Numbers, numbers
from helpers.stats.paired import paired_t
from helpers.stats.slices import same_unit

MATCHED_ON = ("msc_lot_id", "batch_day", "timepoint_h")
READ = (*MATCHED_ON, "donor_id", "unit", "value", "lower", "upper", "censoring", "n_cultures", "msc_per_well")
"""Columns that the comparison needs; joining all of a readout's takes several times as long."""
MOST_OPEN = 14
"""Batches that may hold values between two ends: each doubles the corners."""


@dataclass(frozen=True)
class Beyond:
    """The estimate, and the donors and culture wells that it rests on.

    Parameters
    ----------
    found
        In log2 units, degrees of freedom from batches.
    donors
        Those whose co-culture matches macrophages and MSC alone.
    n_cultures
        Culture wells of these donors, both arms.
    n_bounded
        Values of co-cultures, macrophages and MSC alone that are bounds.
    """

    found: Estimate
    donors: tuple[str, ...]
    n_cultures: int
    n_bounded: int


def beyond_additive(
    together: pd.DataFrame, macrophages: pd.DataFrame, msc_alone: pd.DataFrame, level: float = 0.95
) -> Beyond:
    """log2 of co-culture over the sum of what both cells secrete alone, averaged in each batch, tested over batches.

    Amounts add in pg/ml, not on the log scale. MSC-alone wells are shared by the donors of a batch, so donors
    of one batch are not independent: degrees of freedom are batches − 1. A donor with several lots is averaged
    over them on the log2 scale. A value below its limit lies between zero and that limit: sums keep both ends, and
    `widest_t` says what holds wherever the values lie.

    Parameters
    ----------
    together, macrophages
        Rows of readouts in pg/ml, one a donor and MSC lot: donor_id, msc_lot_id, batch_day, timepoint_h, unit,
        value, lower, upper, censoring, n_cultures.
    msc_alone
        Rows of cell_controls: msc_lot_id, batch_day, timepoint_h, unit, value, lower, upper, censoring and, where
        known, msc_per_well; several wells are averaged. Only those that match a donor count.
    level
        Of the interval.

    Raises
    ------
    NotEstimable
        ``repeated_rows`` where a donor has two rows with one lot; ``mixed_units``; ``wrong_scale`` where an
        amount is not above zero; ``not_estimable`` where a bound leaves a side of the ratio open (co-culture beyond
        its limit, both cells alone below theirs), a value is infinite, no MSC-alone well matches on lot, batch and
        time, or those of one match held different numbers of MSC; ``too_few_donors`` with fewer than two batches.
    """
    same_unit(pd.concat([part[["unit"]] for part in (together, macrophages, msc_alone)]))
    _once(together, ["donor_id", "msc_lot_id"])
    _once(macrophages, ["donor_id"])
    keys = list(MATCHED_ON)
    together, macrophages, msc_alone = (
        part[[c for c in READ if c in part]] for part in (together, macrophages, msc_alone)
    )
    together, msc_alone = (part[part["batch_day"].notna()] for part in (together, msc_alone))  # unknown matches none
    arms = [part.assign(msc_lot_id=part["msc_lot_id"].fillna("").astype(str)) for part in (together, msc_alone)]
    wells = arms[1].merge(arms[0][arms[0]["donor_id"].isin(macrophages["donor_id"])][keys].drop_duplicates(), on=keys)
    rows = arms[0].merge(macrophages, on="donor_id", suffixes=("", "_am"))
    rows = rows.merge(wells[keys].drop_duplicates(), on=keys)
    if rows.empty:
        raise NotEstimable("not_estimable", "No MSC-alone well matches a co-culture on lot, batch and time.")
    _same_number_of_msc(wells, keys)
    bounded = int((wells["censoring"] != "none").sum() + (rows[["censoring", "censoring_am"]] != "none").sum().sum())
    wells = wells.assign(**dict(zip(("msc_low", "msc_high"), _ends(wells), strict=True)))
    rows = rows.merge(wells.groupby(keys, dropna=False)[["msc_low", "msc_high"]].mean().reset_index(), on=keys)
    rows["low"], rows["high"] = _log_ratio(rows)
    batches = rows.groupby(["batch_day", "donor_id"])[["low", "high"]].mean().groupby("batch_day").mean()
    if len(batches) < 2:
        raise NotEstimable("too_few_donors", "There is one batch only; batches are the unit of this comparison.")
    who = tuple(sorted(set(rows["donor_id"])))
    found = widest_t(batches["low"], batches["high"], level)
    said = f"{len(who)} donors in {len(batches)} batches; the batch is the unit, since MSC-alone wells are shared."
    if bounded:
        said += f" {bounded} values lie beyond a limit: {found.note}"
    method = "t over batches of log2(co-culture / sum)" + (", widest within the limits" if bounded else "")
    cultures = rows["n_cultures"].sum() + rows.drop_duplicates("donor_id")["n_cultures_am"].sum()
    return Beyond(replace(found, method=method, note=said), who, int(cultures), bounded)


def _ends(rows: pd.DataFrame, of: str = "") -> tuple[Numbers, Numbers]:
    """Lowest and highest amount of each row; below a lower limit an amount is at least zero."""
    known = (rows[f"censoring{of}"] == "none").to_numpy(dtype=bool)
    value, low, high = (
        rows[f"{c}{of}"].to_numpy(dtype="float64", na_value=np.nan) for c in ("value", "lower", "upper")
    )
    return (
        np.where(known, value, np.where(np.isnan(low), 0.0, low)),
        np.where(known, value, np.where(np.isnan(high), np.inf, high)),
    )


def _log_ratio(rows: pd.DataFrame) -> tuple[Numbers, Numbers]:
    """Ends of log2(co-culture / sum) of each row."""
    (low, high), (low_am, high_am) = _ends(rows), _ends(rows, "_am")
    sums = low_am + rows["msc_low"].to_numpy(), high_am + rows["msc_high"].to_numpy()
    exact = (rows["censoring"] == "none").to_numpy(dtype=bool), low_am == high_am
    amounts = np.concatenate([low[exact[0]], low_am[exact[1]], rows["msc_low"]])
    if not np.isfinite(amounts).all():
        raise NotEstimable("not_estimable", "A value is missing or infinite, so the sum of both cells is not known.")
    if (amounts < 0).any() or (low[exact[0]] == 0).any() or (sums[1] == 0).any():
        raise NotEstimable(
            "wrong_scale",
            "An amount is negative, or zero where its logarithm is needed: it cannot be set against a sum.",
        )
    open_ends = (low <= 0) | np.isinf(high) | (sums[0] <= 0) | np.isinf(sums[1])
    if open_ends.any():
        raise NotEstimable(
            "not_estimable",
            f"In {int(open_ends.sum())} of {len(rows)} co-cultures values beyond a limit leave the ratio to the sum "
            "open on one side, so no mean of it is known.",
        )
    return np.log2(low) - np.log2(sums[1]), np.log2(high) - np.log2(sums[0])


def widest_t(low: ArrayLike, high: ArrayLike, level: float = 0.95) -> Estimate:
    """What a one-sample t interval and test say wherever each value lies between its two ends.

    The lower end of a t interval is a concave function of the values and the upper end a convex one, so the lowest
    and the highest are found at corners of the box; so is the smallest |t|, unless the mean can be zero: then p is 1
    (worst case over a partially identified sample, after Manski 2003). Without any bound it is `paired_t`.

    Parameters
    ----------
    low, high
        Ends of each value; equal where it is known.
    level
        Of the interval.

    Returns
    -------
    The middle of the means that are possible, the widest interval, the largest p, and the possible means in the note.

    Raises
    ------
    NotEstimable
        As `paired_t`; ``not_estimable`` where more than 14 values are not known.

    Examples
    --------
    >>> found = widest_t([1.0, 1.2, 0.8, 1.1], [1.0, 1.2, 0.9, 1.1])
    >>> round(found.estimate, 4), round(found.low, 2), round(found.high, 2)
    (1.0375, 0.75, 1.3)
    """
    a, b = numbers(low, 2, "values"), numbers(high, 2, "values")
    between = np.flatnonzero(a < b)
    if not len(between):
        return paired_t(a, level)
    if len(between) > MOST_OPEN:
        raise NotEstimable("not_estimable", f"More than {MOST_OPEN} values lie between two ends.")
    corners = np.array(list(product((0.0, 1.0), repeat=len(between))))
    boxes = np.tile(a, (len(corners), 1))
    boxes[:, between] += corners * (b - a)[between]
    mean, df = boxes.mean(axis=1), len(a) - 1
    se = boxes.std(axis=1, ddof=1) / np.sqrt(len(a))
    half = float(stats.t.ppf((1 + level) / 2, df)) * se
    one_side = mean.min() > 0 or mean.max() < 0
    with np.errstate(divide="ignore"):
        p = float(2 * stats.t.sf(np.abs(mean / se).min(), df)) if one_side else 1.0
    note = f"wherever they lie, the mean is between {mean.min():.2f} and {mean.max():.2f}; interval and p hold for all of them."
    ends = float((mean - half).min()), float((mean + half).max())
    return Estimate(float((mean.min() + mean.max()) / 2), *ends, "t, widest within the limits", df=df, p=p, note=note)


def _once(rows: pd.DataFrame, keys: list[str]) -> None:
    twice = rows[rows[keys].fillna({"msc_lot_id": ""}).duplicated(keep=False)]
    if len(twice):
        who = ", ".join(sorted(set(twice["donor_id"]))[:5])
        raise NotEstimable(
            "repeated_rows", f"Donors with several rows in one arm: {who}; say in the plan which one counts."
        )


def _same_number_of_msc(wells: pd.DataFrame, keys: list[str]) -> None:
    """Refuse MSC-alone wells of one match with different numbers of MSC: which one a co-culture had is not known."""
    if "msc_per_well" in wells and (wells.groupby(keys, dropna=False)["msc_per_well"].nunique() > 1).any():
        raise NotEstimable(
            "not_estimable", "MSC-alone wells of one lot, batch and time held different numbers of MSC: none matches."
        )
