"""More than the sum: co-culture against macrophages alone plus MSC alone, for secreted analytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.stats.estimate import Estimate, NotEstimable
from helpers.stats.paired import paired_t
from helpers.stats.slices import same_unit

MATCHED_ON = ("msc_lot_id", "batch_day", "timepoint_h")


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
    """

    found: Estimate
    donors: tuple[str, ...]
    n_cultures: int


def beyond_additive(
    together: pd.DataFrame, macrophages: pd.DataFrame, msc_alone: pd.DataFrame, level: float = 0.95
) -> Beyond:
    """log2 of co-culture over the sum of what both cells secrete alone, averaged in each batch, tested over batches.

    Amounts add in pg/ml, not on the log scale. MSC-alone wells are shared by the donors of a batch, so donors
    of one batch are not independent: degrees of freedom are batches − 1. A donor with several lots is averaged
    over them on the log2 scale.

    Parameters
    ----------
    together, macrophages
        Rows of readouts in pg/ml, one a donor and MSC lot: donor_id, msc_lot_id, batch_day, timepoint_h, unit,
        value, censoring, n_cultures.
    msc_alone
        Rows of cell_controls: msc_lot_id, batch_day, timepoint_h, unit, value, censoring and, where known,
        msc_per_well; several wells are averaged. Only those that match a donor count.
    level
        Of the interval.

    Raises
    ------
    NotEstimable
        ``repeated_rows`` where a donor has two rows with one lot; ``mixed_units``; ``wrong_scale`` where an
        amount is not above zero; ``not_estimable`` where a matched value is a bound or infinite, no MSC-alone
        well matches on lot, batch and time, or those of one match held different numbers of MSC;
        ``too_few_donors`` with fewer than two batches.
    """
    same_unit(pd.concat([part[["unit"]] for part in (together, macrophages, msc_alone)]))
    _once(together, ["donor_id", "msc_lot_id"])
    _once(macrophages, ["donor_id"])
    keys = list(MATCHED_ON)
    together, msc_alone = (part[part["batch_day"].notna()] for part in (together, msc_alone))  # unknown matches none
    arms = [part.assign(msc_lot_id=part["msc_lot_id"].fillna("").astype(str)) for part in (together, msc_alone)]
    wells = arms[1].merge(arms[0][arms[0]["donor_id"].isin(macrophages["donor_id"])][keys].drop_duplicates(), on=keys)
    rows = arms[0].merge(macrophages, on="donor_id", suffixes=("", "_am"))
    rows = rows.merge(wells[keys].drop_duplicates(), on=keys)
    if rows.empty:
        raise NotEstimable("not_estimable", "No MSC-alone well matches a co-culture on lot, batch and time.")
    bounded = int((wells["censoring"] != "none").sum() + (rows[["censoring", "censoring_am"]] != "none").sum().sum())
    if bounded:
        raise NotEstimable(
            "not_estimable", f"{bounded} values lie beyond a limit, so the sum of both cells is not known."
        )
    _same_number_of_msc(wells, keys)
    rows = rows.merge(wells.groupby(keys, dropna=False)["value"].mean().rename("msc").reset_index(), on=keys)
    amounts = rows[["value", "value_am", "msc"]].to_numpy(dtype="float64")
    both = amounts[:, 1] + amounts[:, 2]
    if not np.isfinite(amounts).all():
        raise NotEstimable("not_estimable", "A value is missing or infinite, so the sum of both cells is not known.")
    if (amounts < 0).any() or (amounts[:, 0] == 0).any() or (both == 0).any():
        raise NotEstimable(
            "wrong_scale",
            "An amount is negative, or zero where its logarithm is needed: it cannot be set against a sum.",
        )
    rows["beyond"] = np.log2(amounts[:, 0]) - np.log2(both)
    donors = rows.groupby(["batch_day", "donor_id"])["beyond"].mean()
    batches = donors.groupby("batch_day").mean()
    if len(batches) < 2:
        raise NotEstimable("too_few_donors", "There is one batch only; batches are the unit of this comparison.")
    t = paired_t(batches, level)
    who = tuple(sorted(set(rows["donor_id"])))
    note = f"{len(who)} donors in {len(batches)} batches; the batch is the unit, since MSC-alone wells are shared."
    method = "t over batches of log2(co-culture / sum)"
    cultures = rows["n_cultures"].sum() + rows.drop_duplicates("donor_id")["n_cultures_am"].sum()
    return Beyond(Estimate(t.estimate, t.low, t.high, method, t.statistic, t.df, t.p, note), who, int(cultures))


def _once(rows: pd.DataFrame, keys: list[str]) -> None:
    twice = rows[rows.fillna({"msc_lot_id": ""}).duplicated(keys, keep=False)]
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
