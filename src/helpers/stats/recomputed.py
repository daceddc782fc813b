"""The primary t tests a second time: donors, scale, pairs and families taken anew, tests by another program, pingouin.

What goes wrong in taking them shows as a row that differs. pingouin takes t and p from SciPy, as our tests do, so that
a mistake in SciPy would show in neither; its degrees of freedom and intervals are its own, and p is adjusted by
statsmodels. It has nothing for bounds, shares of a gap, sums of cells and trends.
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
from helpers.stats.plan import PAIRED, Contrast, Plan, family_of
from helpers.stats.slices import plain

AGAIN = ("paired t", "Welch t", "Welch t on donors' differences")
"""Primary methods that are computed again."""
SAME = 1e-6
"""Numbers that differ by less, as part of the interval's half-width or of p, are the same."""
ADJUSTMENTS = {"holm": "holm", "bh": "fdr_bh"}
BASES = {"log2": 2.0, "logit": float(np.e)}
SLICE = ["assay", "readout", "visit", "timepoint_h", "assay_minutes"]
_NONE = -1.0  # stands for an empty time, so that empty equals empty; no time is below zero


def recomputed(effects: pd.DataFrame, readouts: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Primary t tests by pingouin, beside whether the table of effects says the same.

    Compared are estimate, interval, p, adjusted p, ratio with its ends and the number of donors.

    Parameters
    ----------
    effects, readouts
        The output tables.
    plan
        The plan that `effects` followed.

    Returns
    -------
    One row for each row of `effects` whose method is one of `AGAIN`, in their order: the output table
    ``effects_recomputed``. Estimates on the scale of analysis. There is no p below the plan's least number of donors,
    nor where `effects` says that runs part the groups.
    """
    columns = output_tables()["effects_recomputed"].columns
    own = effects[effects["method"].isin(AGAIN) & effects["estimate"].notna()]
    if own.empty:
        return _typed(pd.DataFrame(columns=columns))
    slices = dict(iter(plain(readouts).assign(**_filled(readouts)).groupby(SLICE, sort=False, dropna=False)))
    wide: dict[tuple[Any, ...], tuple[str, dict[str, pd.DataFrame]]] = {}
    made = []
    with _pingouin() as pg:
        for key, row in zip(pd.DataFrame(_filled(own)).itertuples(index=False), own.to_dict("records"), strict=True):
            contrast = _contrast(plan, row)
            which = (*key, contrast.msc_lot_id)
            if which not in wide:
                wide[which] = _by_donor(slices.get(tuple(key), readouts.head(0)), row, contrast.msc_lot_id, plan)
            scale, by_group = wide[which]
            again = _tested(pg, _arms(by_group, contrast), plan, row["status"] == "confounded_with_run")
            made.append({c: row[c] for c in columns if c in row} | again | {"scale": scale})
    table = pd.DataFrame(made, columns=columns, index=own.index)
    table["p_adjusted"] = _adjusted(table, effects, plan)
    told = [_judged(old, new) for old, new in zip(own.to_dict("records"), table.to_dict("records"), strict=True)]
    table[["status", "note"]] = pd.DataFrame(told, index=table.index, columns=["status", "note"])
    return _typed(table)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    kinds = {"string": "string", "integer": "Int64", "number": "float64"}
    fields = output_tables()["effects_recomputed"].fields
    return table.astype({f.name: kinds[f.type] for f in fields}).reset_index(drop=True)


def _filled(table: pd.DataFrame) -> dict[str, Any]:
    """The columns of a slice, an empty number as one that equals itself."""
    return {c: table[c].fillna(_NONE) if pd.api.types.is_numeric_dtype(table[c]) else table[c] for c in SLICE}


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


def _contrast(plan: Plan, row: dict[str, Any]) -> Contrast:
    """The contrast of a row; several of one code differ in the time that they name."""
    own = [c for c in plan.contrasts if c.contrast_id == row["contrast_id"]]
    return next((c for c in own if c.timepoint_h in (None, row["timepoint_h"])), own[0])


# ---- the numbers that are compared


def _by_donor(rows: pd.DataFrame, row: dict[str, Any], lot: str, plan: Plan) -> tuple[str, dict[str, pd.DataFrame]]:
    """The scale, and known values on it, group by group: a row for each donor, a column for each condition."""
    stated = (s for s in rows["scale"] if isinstance(s, str))
    scale = plan.readout(row["assay"], row["readout"]).scale or next(stated, "identity")
    rows = rows[(rows["censoring"] == "none") & (rows["msc_lot_id"].fillna("").isin(["", lot]) if lot else True)]
    values = pd.Series(_on_scale(rows, scale), rows.index).groupby([rows["group"], rows["donor_id"], rows["condition"]])
    # several rows of a donor are several MSC lots; a plan that does not average them has no value for that donor
    means = values.mean() if plan.several_lots == "mean" else values.first().where(values.size() == 1)
    return scale, dict(iter(means.unstack("condition").groupby(level="group")))


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


# ---- the tests


def _tested(pg: Any, arms: tuple[Numbers, Numbers, bool], plan: Plan, without_p: bool) -> dict[str, float | int | str]:
    """What pingouin finds; nothing where a list has fewer than two numbers or its arithmetic breaks down."""
    first, second, paired = arms
    made: dict[str, float | int | str] = {"n_first": len(first), "n_second": len(second), "test": ""}
    nothing = made | dict.fromkeys(("estimate", "ci_low", "ci_high", "p"), NAN)
    if min(len(first), len(second)) < 2:
        return nothing
    try:
        found = pg.ttest(first, second, paired=paired, correction=not paired, confidence=plan.level).iloc[0]
    except (ArithmeticError, ValueError, np.linalg.LinAlgError):
        return nothing
    low, high = (float(end) for end in found[next(c for c in found.index if c.startswith("CI"))])
    few = min(len(first), len(second)) < plan.fewest_donors
    return made | {
        "test": "pingouin.ttest, paired" if paired else "pingouin.ttest, Welch",
        "estimate": float((first - second).mean() if paired else first.mean() - second.mean()),
        "ci_low": low if np.isfinite(low) else NAN,
        "ci_high": high if np.isfinite(high) else NAN,
        "p": NAN if few or without_p else float(found["p_val"]),
    }


def _adjusted(table: pd.DataFrame, effects: pd.DataFrame, plan: Plan) -> pd.Series:
    """Adjusted p by statsmodels, in families by the plan; what is not computed again enters with the p of `effects`."""
    from statsmodels.stats.multitest import multipletests

    named = []
    for row in effects[["contrast_id", "timepoint_h", "assay", "readout"]].to_dict("records"):
        contrast = _contrast(plan, row)
        role = contrast.role or plan.readout(row["assay"], row["readout"]).role
        named.append(family_of(plan, contrast, row["assay"], row["readout"], role))
    families = pd.DataFrame(named, index=effects.index, columns=["family", "adjustment"])
    p = table["p"].astype("float64").reindex(effects.index)
    whole = p.fillna(effects["p"].astype("float64"))
    out = pd.Series(NAN, effects.index)
    for _, rows in families.groupby("family", sort=False):
        known = whole[rows.index].dropna()
        how = ADJUSTMENTS.get(rows["adjustment"].iloc[0])
        if len(known):
            out[known.index] = known if how is None else multipletests(known, method=how)[1]
    return out.where(p.notna())[table.index]


# ---- the verdict


def _judged(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, str]:
    """Whether both have the same numbers, and which differ."""
    half = (new["ci_high"] - new["ci_low"]) / 2
    pairs = [(name, old[name], new[name], half) for name in ("estimate", "ci_low", "ci_high")]
    pairs += [(name, old[name], new[name], new[name]) for name in ("p", "p_adjusted")]
    base = BASES.get(new["scale"])
    for name, of in (("ratio", "estimate"), ("ratio_low", "ci_low"), ("ratio_high", "ci_high")):
        with np.errstate(over="ignore"):
            ratio = NAN if base is None else float(np.exp2(new[of] * np.log2(base)))
        pairs.append((name, old[name], ratio, ratio * half))
    n = {"group_gap": ("n_donors", 1), "interaction": ("n_pairs", 1)}.get(old["contrast"], ("n_pairs", 0))
    pairs.append((n[0], old[n[0]], new["n_first"] + n[1] * new["n_second"], 0.0))
    known = [(name, *(NAN if pd.isna(x) else float(x) for x in (a, b)), size) for name, a, b, size in pairs]
    apart = [_said(name, a, b) for name, a, b, size in known if not _same(a, b, size)]
    apart += [f"scale is {old['scale']}, computed again {new['scale']}"] if old["scale"] != new["scale"] else []
    return ("differs", "; ".join(apart) + ".") if apart else ("same", "")


def _same(a: float, b: float, size: float) -> bool:
    return bool(a == b or np.isnan([a, b]).all() or abs(a - b) <= SAME * size)


def _said(name: str, a: float, b: float) -> str:
    """Both numbers, with as many digits as tell them apart."""
    digits = next((d for d in (3, 6) if show(a, d) != show(b, d)), 10)
    ours, theirs = ("empty" if np.isnan(x) else show(x, digits) for x in (a, b))
    return f"{name.replace('_', ' ')} is {ours}, computed again {theirs}"
