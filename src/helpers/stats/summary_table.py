"""Every readout of every group and condition in a few numbers, limits included: the table behind “median, n below”."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from helpers.core.schemas import output_tables
from helpers.stats.censored import bounds
from helpers.stats.estimate import NAN, NotEstimable, Numbers
from helpers.stats.summaries import MOST_CENSORED, Summary, kaplan_meier, lognormal, order_statistics

NAME = "readout_summaries"
_KEYS = [
    "assay",
    "readout",
    "unit",
    "group",
    "visit",
    "condition",
    "timepoint_h",
    "msc_lot_id",
    "assay_minutes",
    "comparability",
]
_MOSTLY = f"{MOST_CENSORED:.0%} or more lie beyond a limit: no summary says anything of them.".replace("%", " %")


def readout_summaries(readouts: pd.DataFrame) -> pd.DataFrame:
    """Median, mean, SD and geometric mean of every readout by group, condition, visit, time, lot and kit.

    A donor counts once a row. Without bounds the numbers are the usual ones. With values below limits the median
    is Kaplan–Meier's, mean and SD come from regression on order statistics where the readout is compared on a log
    scale and from Kaplan–Meier elsewhere; the geometric mean and its factor are the lognormal likelihood's.

    Parameters
    ----------
    readouts
        The output table ``readouts``.

    Returns
    -------
    The output table ``readout_summaries``.
    """
    columns = output_tables()[NAME].columns
    value, lower, upper = (readouts[c].to_numpy(dtype=np.float64, na_value=NAN) for c in ("value", "lower", "upper"))
    seen = (readouts["censoring"] == "none").to_numpy(dtype=bool)
    low, high = bounds(np.where(seen, value, lower), np.where(seen, value, upper))
    log = (readouts["scale"] == "log2").to_numpy(dtype=bool)
    group = readouts.groupby(_KEYS, sort=False, dropna=False).ngroup().to_numpy()
    places = [np.flatnonzero(group == i) for i in range(group.max(initial=-1) + 1)]
    keys = readouts[_KEYS].iloc[[p[0] for p in places]].reset_index(drop=True)
    rows = [_row(low[p], high[p], bool(log[p].all())) for p in places]
    table = pd.concat([keys, pd.DataFrame(rows, index=keys.index)], axis=1).reindex(columns=columns)
    return table.astype({"n_donors": "Int64", "n_censored": "Int64"})


def _row(low: Numbers, high: Numbers, log: bool) -> dict[str, Any]:
    """Numbers of one group, one value a donor; what cannot be said is empty and its reason stands in the note."""
    seen = low == high
    beyond = int((~seen).sum())
    out: dict[str, Any] = {"n_donors": len(low), "n_censored": beyond, "note": ""}
    if beyond >= MOST_CENSORED * len(low):
        return out | {"note": _MOSTLY}
    notes: list[str] = []
    if beyond:
        # order statistics and Kaplan–Meier take what lies between two limits as below the upper one
        left = np.where(~seen & np.isfinite(high), -np.inf, low)
        ranks = _tried(kaplan_meier, left, high, notes)
        sizes = _tried(order_statistics, left, high, notes) if log else ranks
    else:
        spread = float(low.std(ddof=1)) if len(low) > 1 else NAN
        ranks = sizes = Summary(float(low.mean()), float(np.median(low)), spread, "as observed")
    if ranks is not None:
        out |= {"median": ranks.median}
        notes += ["The median lies below the limits."] if np.isnan(ranks.median) else []
    if sizes is not None:
        out |= {"mean": sizes.mean, "sd": sizes.sd, "method": sizes.method}
    if log and (shape := _tried(lognormal, low, high, notes)) is not None:
        out |= {"geometric_mean": shape.median, "geometric_sd": _factor(shape)}
    return out | {"note": " ".join(dict.fromkeys(notes))}


def _factor(shape: Summary) -> float:
    """Geometric SD of a lognormal of this mean and SD."""
    return float(np.exp(np.sqrt(np.log1p((shape.sd / shape.mean) ** 2))))


def _tried(way: Callable[[Numbers, Numbers], Summary], low: Numbers, high: Numbers, notes: list[str]) -> Summary | None:
    try:
        return way(low, high)
    except NotEstimable as refused:
        notes.append(str(refused))
        return None
