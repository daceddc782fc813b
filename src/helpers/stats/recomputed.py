"""The primary estimates a second time: donors taken anew from the table of readouts, tests by another program.

What goes wrong in taking donors, scale, pairs or test shows as a row that differs. pingouin has the t tests of pairs
and of groups and the adjusted p; it has nothing for bounds, shares of a gap, sums of cells and trends.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from helpers.core.numbers import show
from helpers.core.schemas import output_tables
from helpers.stats.estimate import NAN, Numbers
from helpers.stats.plan import PAIRED, Contrast, Plan
from helpers.stats.slices import plain

AGAIN = ("paired t", "Welch t", "Welch t on donors' differences")
"""Primary methods that pingouin has."""
SAME = 1e-6
"""Numbers that differ by less, as part of the interval's half-width or of p, are the same."""
ADJUSTMENTS = {"holm": "holm", "bh": "fdr_bh"}
SLICE = ["assay", "readout", "visit", "timepoint_h", "assay_minutes"]


def recomputed(effects: pd.DataFrame, readouts: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Primary estimates by pingouin's t test and its adjustments of p, beside whether ours are the same.

    Parameters
    ----------
    effects, readouts
        The output tables.
    plan
        The plan that `effects` followed.

    Returns
    -------
    One row for each row of `effects` whose method is one of `AGAIN`, in their order: the output table
    ``effects_recomputed``. Estimates on the scale of analysis. A p stands only where `effects` gives one.
    """
    columns = output_tables()["effects_recomputed"].columns
    own = effects[effects["method"].isin(AGAIN) & effects["estimate"].notna()]
    if own.empty:
        return _typed(pd.DataFrame(columns=columns))
    contrasts = {c.contrast_id: c for c in plan.contrasts}
    slices = dict(iter(plain(readouts).assign(**_filled(readouts)).groupby(SLICE, sort=False)))
    wide: dict[tuple[Any, ...], dict[str, pd.DataFrame]] = {}
    made = []
    with _pingouin() as pg:
        for key, row in zip(pd.DataFrame(_filled(own)).itertuples(index=False), own.to_dict("records"), strict=True):
            contrast = contrasts[row["contrast_id"]]
            which = (*key, contrast.msc_lot_id)
            if which not in wide:
                rows = slices.get(tuple(key), readouts.head(0))
                scale = plan.readout(row["assay"], row["readout"]).scale or "".join(rows["scale"].iloc[:1])
                wide[which] = _by_donor(rows, scale, contrast.msc_lot_id)
            again = _by_pingouin(pg, row, _arms(wide[which], contrast), plan.level)
            made.append({c: row[c] for c in columns if c in row} | again)
        table = pd.DataFrame(made, columns=columns, index=own.index)
        _adjust(pg, table, effects)
    told = [_judged(old, new) for old, new in zip(own.to_dict("records"), table.to_dict("records"), strict=True)]
    table[["status", "note"]] = pd.DataFrame(told, index=table.index, columns=["status", "note"])
    return _typed(table)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    kinds = {"string": "string", "integer": "Int64", "number": "float64"}
    fields = output_tables()["effects_recomputed"].fields
    return table.astype({f.name: kinds[f.type] for f in fields}).reset_index(drop=True)


def _filled(table: pd.DataFrame) -> dict[str, Any]:
    """The columns of a slice; an empty number becomes −1, so that empty equals empty."""
    return {c: table[c].fillna(-1.0) if pd.api.types.is_numeric_dtype(table[c]) else table[c] for c in SLICE}


@contextmanager
def _pingouin() -> Iterator[Any]:
    """The program, with intervals that are not rounded to two decimals."""
    import pingouin

    before = dict(pingouin.options)
    pingouin.options["round.column.CI95"] = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it computes beside: power and Bayes factors of small groups
            yield pingouin
    finally:
        pingouin.options.clear()
        pingouin.options.update(before)


def _by_donor(rows: pd.DataFrame, scale: str, lot: str) -> dict[str, pd.DataFrame]:
    """Known values on the scale of analysis, group by group: a row for each donor, a column for each condition."""
    rows = rows[(rows["censoring"] == "none") & (rows["msc_lot_id"].fillna("").isin(["", lot]) if lot else True)]
    values = pd.Series(_on_scale(rows, scale), rows.index)
    # several rows of a donor are several MSC lots, which only a plan that averages them lets through
    wide = values.groupby([rows["group"], rows["donor_id"], rows["condition"]]).mean().unstack("condition")
    return dict(iter(wide.groupby(level="group")))


def _arms(by_group: dict[str, pd.DataFrame], contrast: Contrast) -> tuple[Numbers, Numbers, bool]:
    """The two lists of numbers that are compared, and whether they are pairs."""
    if contrast.name == "group_gap":
        (first,), (second,) = (_known(by_group.get(g), contrast.treatment) for g in (contrast.group, contrast.control))
        return first, second, False
    treated, reference = _known(by_group.get(contrast.group), contrast.treatment, contrast.reference)
    if contrast.name in PAIRED:
        return treated, reference, True
    others, of_others = _known(by_group.get(contrast.control), contrast.treatment, contrast.reference)
    return treated - reference, others - of_others, False


def _known(donors: pd.DataFrame | None, *conditions: str) -> Numbers:
    """Values of the donors who have all of these conditions: conditions × donors; none where there is no such row."""
    if donors is None:
        return np.empty((len(conditions), 0))
    values = donors.reindex(columns=list(conditions)).to_numpy(dtype="float64")
    return np.asarray(values[np.isfinite(values).all(axis=1)].T)


def _on_scale(rows: pd.DataFrame, scale: str) -> Numbers:
    """Values as they are, as log2, or as log odds with half a count added to both sides where there are counts."""
    value, k, n = (rows[c].to_numpy(dtype="float64", na_value=np.nan) for c in ("value", "k", "n"))
    if scale == "log2":
        return np.asarray(np.log2(value))
    if scale != "logit":
        return np.asarray(value)
    whole = 100.0 if (rows["unit"] == "%").all() else 1.0
    counted = np.isfinite(k) & np.isfinite(n)
    return np.asarray(np.where(counted, np.log((k + 0.5) / (n - k + 0.5)), np.log(value / (whole - value))))


def _by_pingouin(
    pg: Any, row: dict[str, Any], arms: tuple[Numbers, Numbers, bool], level: float
) -> dict[str, float | int | str]:
    first, second, paired = arms
    made: dict[str, float | int | str] = {"n_first": len(first), "n_second": len(second), "test": ""}
    if min(len(first), len(second)) < 2:
        return made | dict.fromkeys(("estimate", "ci_low", "ci_high", "p"), NAN)
    found = pg.ttest(first, second, paired=paired, correction=not paired, confidence=level).iloc[0]
    low, high = (float(end) for end in found[next(c for c in found.index if c.startswith("CI"))])
    return made | {
        "test": "pingouin.ttest, paired" if paired else "pingouin.ttest, Welch",
        "estimate": float(first.mean() - second.mean()),
        "ci_low": low,
        "ci_high": high,
        "p": NAN if pd.isna(row["p"]) else float(found["p_val"]),
    }


def _adjust(pg: Any, table: pd.DataFrame, effects: pd.DataFrame) -> None:
    """Fill p_adjusted: of whole families, tests that pingouin does not have with the p that is printed."""
    whole = effects["p"].astype("float64").copy()
    whole[table.index] = table["p"].astype("float64")
    for _, rows in effects.groupby("family", sort=False):
        how = ADJUSTMENTS.get(str(rows["adjustment"].iloc[0]))
        p = whole[rows.index]
        adjusted = p if how is None or p.isna().all() else pd.Series(pg.multicomp(p, method=how)[1], p.index)
        mine = table.index.intersection(rows.index)
        table.loc[mine, "p_adjusted"] = adjusted[mine]


def _judged(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, str]:
    """Whether both have the same numbers, and which differ."""
    half = abs(old["ci_high"] - old["ci_low"]) / 2
    apart = []
    for name in ("estimate", "ci_low", "ci_high", "p", "p_adjusted"):
        a, b = float(old[name]), float(new[name])
        size = half if name in ("estimate", "ci_low", "ci_high") else max(a, b)
        if np.isnan(a) != np.isnan(b) or abs(a - b) > SAME * size:
            apart.append(f"{name.replace('_', ' ')} is {_said(a)}, computed again {_said(b)}")
    return ("differs", "; ".join(apart) + ".") if apart else ("same", "")


def _said(number: float) -> str:
    return "empty" if np.isnan(number) else show(number)
