"""What the page on the response to MSC needs of the tables: directions, donors' changes, tallies, lots, the budget."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from helpers.stats.concordance import COVARIATES
from helpers.stats.estimate import NotEstimable
from helpers.stats.planning import paired_precision, variance_budget
from helpers.stats.slices import Arms
from helpers.study.config import Config

ROLES = ("primary", "secondary", "exploratory")
MOST_LEADING = 12
"""Readouts that lead where the plan names none: the first ones by name, never those with the smallest p."""
KEY = ["assay", "readout", "treatment", "reference", "timepoint_h", "assay_minutes"]
OTHER_MEASURES = (
    "g_av",
    "matched rank-biserial",
    "Cliff's delta",
    "Brunner–Munzel",
    "exact McNemar",
    "Fisher exact",
    "baseline of donors",
    "difference between MSC lots",
    "MSC lot",
    "leave one donor out",
)
"""Beginnings of methods that answer another question than the primary estimate, so that their sign is no second opinion."""
FEWEST_FOR_SPREAD = 3


class Direction(NamedTuple):
    """Which way is toward health for one readout, and who says so.

    Parameters
    ----------
    way
        up, down, or empty where neither the plan nor the study's own gap says it.
    source
        plan, own gap, or empty.
    cited
        What the plan cites.
    own
        The way toward the controls by this study's own gap, empty where its interval holds zero or it has no say.
    """

    way: str
    source: str
    cited: str
    own: str


def leading(effects: pd.DataFrame) -> tuple[str, list[tuple[str, str]]]:
    """The role that leads the page, and its readouts: primary ones; else secondary ones; else the first by name.

    Parameters
    ----------
    effects
        The output table ``effects``.

    Returns
    -------
    The role and pairs of assay and readout; no pair where there is no readout at all.

    Examples
    --------
    >>> rows = [("msc_effect", "cytokines", "IL-6", "exploratory"), ("msc_effect", "cytokines", "TNF", "primary")]
    >>> leading(pd.DataFrame(rows, columns=["contrast", "assay", "readout", "role"]))
    ('primary', [('cytokines', 'TNF')])
    """
    for role in ROLES:
        found = of_role(effects, role)
        if found:
            return role, found
    return "exploratory", []


def of_role(effects: pd.DataFrame, role: str) -> list[tuple[str, str]]:
    """Assay and name of the readouts of one role, sorted; of exploratory ones the first `MOST_LEADING`."""
    rows = effects.loc[(effects["contrast"] == "msc_effect") & (effects["role"] == role), ["assay", "readout"]]
    named = sorted({(str(a), str(r)) for a, r in rows.itertuples(index=False)})
    return named if role != "exploratory" else named[:MOST_LEADING]


def rows_of(effects: pd.DataFrame, contrast: str, readouts: list[tuple[str, str]]) -> pd.DataFrame:
    """Rows of one kind of comparison for some readouts, without treatments that a readout was never measured under.

    Parameters
    ----------
    effects
        The output table ``effects``, or one with its keys and ``status``.
    contrast
        ``msc_effect``, ``gap_closed``, ….
    readouts
        Pairs of assay and readout; rows come in their order.
    """
    place = {key: i for i, key in enumerate(readouts)}
    rows = effects[effects["contrast"] == contrast]
    order = [place.get((a, r), -1) for a, r in zip(rows["assay"], rows["readout"], strict=True)]
    rows = rows.assign(place=order)
    rows = rows[rows["place"] >= 0].sort_values("place", kind="stable").drop(columns="place")
    nobody = rows["estimate"].isna() & (rows["n_pairs"].fillna(0) == 0)
    of_key = (~nobody).groupby([rows[k] for k in KEY], dropna=False, sort=False).transform("any")
    return rows[of_key | ~_any_measured(rows, nobody)] if len(rows) else rows


def _any_measured(rows: pd.DataFrame, nobody: pd.Series) -> pd.Series:
    """Whether a readout was measured under any treatment; where it was under none, its empty rows stay."""
    return (~nobody).groupby([rows["assay"], rows["readout"]], sort=False).transform("any")


def direction(effects: pd.DataFrame, config: Config, row: Any) -> Direction:
    """The direction toward health of one row of effects, and its source.

    The plan comes first. Where it states none, the study's own gap in the reference condition says which way the
    controls lie, if its interval leaves zero out and runs and antibodies let it be read.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml.
    row
        A row of ``effects`` as `itertuples` gives it.
    """
    known: dict[str, Any] = next(
        (
            r
            for r in config.settings.get("readouts", ())
            if (r["name"], r.get("assay", row.assay)) == (row.readout, row.assay)
        ),
        {},
    )
    planned, own = known.get("direction_toward_health", "none"), _own_direction(effects, config, row)
    if planned in ("up", "down"):
        return Direction(planned, "plan", str(known.get("direction_source") or ""), own)
    return Direction(own, "own gap" if own else "", "", own)


def _own_direction(effects: pd.DataFrame, config: Config, row: Any) -> str:
    gaps = effects[
        (effects["contrast"] == "group_gap")
        & (effects["assay"] == row.assay)
        & (effects["readout"] == row.readout)
        & (effects["treatment"] == row.reference)
        & (effects["status"] == "ok")
        & ~effects["note"].fillna("").str.contains("antibody interference")
    ]
    for key in ("timepoint_h", "assay_minutes"):
        value = getattr(row, key)
        gaps = gaps[gaps[key].isna() if pd.isna(value) else gaps[key] == value]
    of_group = str(row.group).split(" \N{MINUS SIGN} ")[0]
    if of_group in config.groups_of("disease"):
        gaps = gaps[gaps["group"].str.startswith(f"{of_group} \N{MINUS SIGN}")]
    ways = {"down" if g.ci_low > 0 else "up" for g in gaps.itertuples() if g.ci_low > 0 or g.ci_high < 0}
    return ways.pop() if len(ways) == 1 else ""


# ---- donors' changes


def donor_changes(
    readouts: pd.DataFrame, effects: pd.DataFrame, donors: pd.DataFrame, config: Config, names: list[tuple[str, str]]
) -> pd.DataFrame:
    """Each donor's change under each treatment, on the scale of analysis and in SDs, as the estimates use it.

    Parameters
    ----------
    readouts, effects, donors
        The output tables ``readouts``, ``effects`` and ``donors_derived``.
    config
        study.yaml.
    names
        Pairs of assay and readout.

    Returns
    -------
    The keys of the comparison, donor_id, msc_lot_id, change, standardised, mark. Mark: empty where both arms are
    observed; < or > where the change is at most or at least what stands there; ? where its direction is not known;
    ``one arm``; ``no arm``. SDs are pooled within groups, so that colours mean the same in each.
    """
    several = config.settings.get("slices", {}).get("several_lots", "refuse")
    everyone = {g: list(part["donor_id"]) for g, part in donors.groupby("group", sort=False)}
    parts = [
        _changes_of(row, readouts, several, everyone.get(row.group, []))
        for row in rows_of(effects, "msc_effect", names).itertuples()
    ]
    columns = [*KEY, "group", "unit", "scale", "donor_id", "msc_lot_id", "change", "mark"]
    found = pd.concat([p for p in parts if len(p)] or [pd.DataFrame(columns=columns)], ignore_index=True)
    found["change"] = found["change"].astype("float64")
    return found.assign(standardised=found["change"] / _pooled_sd(found))


def _changes_of(row: Any, readouts: pd.DataFrame, several: str, everyone: list[str]) -> pd.DataFrame:
    own = readouts[
        (readouts["assay"] == row.assay) & (readouts["readout"] == row.readout) & (readouts["visit"] == row.visit)
    ]
    for key in ("timepoint_h", "assay_minutes"):
        value = getattr(row, key)
        own = own[own[key].isna() if pd.isna(value) else own[key] == value]
    if row.msc_lot_id:
        own = own[own["msc_lot_id"].fillna("").isin(["", row.msc_lot_id])]
    own = own.assign(scale=row.scale)
    try:
        arms = Arms(own, several)
        reference, treated = arms.of(row.reference, row.group), arms.of(row.treatment, row.group)
    except NotEstimable:
        reference = treated = pd.DataFrame(columns=["lower", "upper", "msc_lot_id"])
    lines = [_change_of(donor, reference, treated) for donor in everyone]
    key = {k: getattr(row, k) for k in [*KEY, "group", "unit", "scale"]}
    return pd.DataFrame(lines, columns=["donor_id", "msc_lot_id", "change", "mark"]).assign(**key)


def _change_of(donor: str, reference: pd.DataFrame, treated: pd.DataFrame) -> tuple[str, str, float, str]:
    there = (donor in reference.index) + (donor in treated.index)
    if there < 2:
        return donor, "", np.nan, "one arm" if there else "no arm"
    r, t = reference.loc[donor], treated.loc[donor]
    low, high = float(t["lower"] - r["upper"]), float(t["upper"] - r["lower"])
    lot = str(t["msc_lot_id"]) if isinstance(t.get("msc_lot_id"), str) else ""
    return (donor, lot, *bounded_change(low, high))


def bounded_change(low: float, high: float) -> tuple[float, str]:
    """A change that lies between two numbers, as one number and a mark.

    Examples
    --------
    >>> bounded_change(1.0, 1.0), bounded_change(-np.inf, -0.5), bounded_change(0.2, 0.9), bounded_change(-1.0, 2.0)
    ((1.0, ''), (-0.5, '<'), (0.2, '>'), (nan, '?'))
    """
    if low == high:
        return low, ""
    if np.isfinite(high) and (high < 0 or np.isneginf(low)):
        return high, "<"
    if np.isfinite(low) and (low > 0 or np.isposinf(high)):
        return low, ">"
    return np.nan, "?"


def _pooled_sd(changes: pd.DataFrame) -> pd.Series:
    """SD of the observed changes within groups, pooled over the groups of a comparison; missing without spread."""
    exact = changes["change"].where(changes["mark"] == "")
    within = [changes[k] for k in [*KEY, "group"]]
    centred = exact - exact.groupby(within, dropna=False).transform("mean")
    by = [changes[k] for k in KEY]
    groups = changes["group"].where(exact.notna()).groupby(by, dropna=False).transform("nunique")
    df = exact.groupby(by, dropna=False).transform("count") - groups
    squares = (centred**2).groupby(by, dropna=False).transform("sum")
    sd = np.sqrt((squares / df.where(df > 0)).astype("float64"))
    return sd.where(sd > 0)


# ---- does it depend on how it is computed, and on the lot


def sensitivity_tally(
    effects: pd.DataFrame, sensitivity: pd.DataFrame, contrast: str, names: list[tuple[str, str]]
) -> pd.DataFrame:
    """How the other analyses of each estimate compare with it: by sign and by the side of zero of their interval.

    Parameters
    ----------
    effects, sensitivity
        The output tables ``effects`` and ``effects_sensitivity``.
    contrast
        Kind of comparison.
    names
        Pairs of assay and readout.

    Returns
    -------
    Keys, estimate, interval; n_methods and n_same_sign; other_sign (their names); n_intervals and n_same_side, the
    intervals on the same side of zero as the primary one (or, like it, with zero inside); other_side (names);
    low and high, the least and the largest estimate on the scale of analysis; one_donor, whether leaving one donor
    out turns the sign. Never a p.
    """
    lines = []
    for one in rows_of(effects, contrast, names).itertuples():
        if pd.isna(one.estimate):
            continue
        others = sensitivity[_same_key(sensitivity, one) & sensitivity["estimate"].notna()]
        others = others[~others["method"].str.startswith(OTHER_MEASURES)]
        held = others[others["ci_low"].notna() & others["ci_high"].notna()]
        turned = others[np.sign(others["estimate"]) != np.sign(one.estimate)]
        moved = held[_side(held["ci_low"], held["ci_high"]) != _side_of(one.ci_low, one.ci_high)]
        same = others[(others["scale"] == one.scale) & ~others["method"].str.startswith("beta-binomial")]["estimate"]
        ends = [*same, one.estimate]
        line = {k: getattr(one, k) for k in [*KEY, "group", "unit", "scale", "ratio_kind", "estimate"]}
        line |= {"ci_low": one.ci_low, "ci_high": one.ci_high, "n_methods": len(others)}
        line |= {"n_same_sign": len(others) - len(turned), "other_sign": "; ".join(turned["method"])}
        line |= {"n_intervals": len(held), "n_same_side": len(held) - len(moved)}
        line |= {"other_side": "; ".join(moved["method"]), "low": min(ends), "high": max(ends)}
        line["one_donor"] = bool(np.sign(one.loo_low) != np.sign(one.loo_high)) if pd.notna(one.loo_low) else None
        lines.append(line)
    return pd.DataFrame(lines, columns=_TALLY)


_TALLY = [
    *KEY,
    *("group", "unit", "scale", "ratio_kind", "estimate", "ci_low", "ci_high", "n_methods", "n_same_sign"),
    *("other_sign", "n_intervals", "n_same_side", "other_side", "low", "high", "one_donor"),
]


def _same_key(table: pd.DataFrame, one: Any) -> pd.Series:
    same = (table["contrast_id"] == one.contrast_id) & (table["assay"] == one.assay) & (table["readout"] == one.readout)
    for key in ("timepoint_h", "assay_minutes"):
        value = getattr(one, key)
        same &= table[key].isna() if pd.isna(value) else table[key] == value
    return same


def _side(low: pd.Series, high: pd.Series) -> np.ndarray:
    return np.where(low > 0, 1, np.where(high < 0, -1, 0))


def _side_of(low: float, high: float) -> int:
    return 1 if low > 0 else -1 if high < 0 else 0


_LOT = re.compile(r"MSC lot (?P<lot>.+), (?P<n>\d+) donors$")


def lot_effects(effects: pd.DataFrame, sensitivity: pd.DataFrame, names: list[tuple[str, str]]) -> pd.DataFrame:
    """The effect with each MSC lot, from the sensitivity analyses; rows only where two lots or more were used.

    Parameters
    ----------
    effects, sensitivity
        The output tables ``effects`` and ``effects_sensitivity``.
    names
        Pairs of assay and readout.

    Returns
    -------
    Keys, group, unit, scale, lot, n_donors, estimate, ci_low, ci_high.
    """
    lines = []
    for one in rows_of(effects, "msc_effect", names).itertuples():
        for row in sensitivity[_same_key(sensitivity, one)].itertuples():
            found = _LOT.match(str(row.method))
            if found:
                line = {k: getattr(one, k) for k in [*KEY, "group", "unit", "scale"]}
                line |= {"lot": found["lot"], "n_donors": int(found["n"]), "estimate": row.estimate}
                lines.append(line | {"ci_low": row.ci_low, "ci_high": row.ci_high})
    columns = [*KEY, "group", "unit", "scale", "lot", "n_donors", "estimate", "ci_low", "ci_high"]
    return pd.DataFrame(lines, columns=columns)


def lots_used(readouts: pd.DataFrame) -> list[str]:
    """MSC lots that stand in the table of readouts, sorted."""
    return sorted(set(readouts["msc_lot_id"].dropna().astype(str)) - {""})


def responders_of(responders: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``responders`` of the leading readouts, with the columns of ``effects`` that they need."""
    more = ["group", "treatment", "reference", "unit", "scale", "ratio_kind"]
    key = ["contrast_id", "contrast", "assay", "readout", "timepoint_h", "assay_minutes"]
    rows = rows_of(effects, "msc_effect", leading(effects)[1])[[*key, *more]]
    return rows.merge(responders, on=key, how="inner")


# ---- across assays, and beside clinical values


def across_assays(concordance: pd.DataFrame) -> pd.DataFrame:
    """Pairs of readouts of two different assays that have a rank correlation."""
    rows = concordance[concordance["rho"].notna() & ~_with_covariate(concordance)]
    return rows[_assay_of(rows["first"]) != _assay_of(rows["second"])]


def with_covariates(concordance: pd.DataFrame) -> pd.DataFrame:
    """Pairs of a readout and a clinical covariate that have a rank correlation."""
    return concordance[concordance["rho"].notna() & _with_covariate(concordance)]


def _with_covariate(table: pd.DataFrame) -> pd.Series:
    return table["second"].isin(list(COVARIATES.values()))


def _assay_of(names: pd.Series) -> pd.Series:
    """The assay that a name in concordance begins with; per-cell cytokines are no other assay than cytokines."""
    return names.astype(str).str.split(" ").str[0].str.removesuffix("_per_cell")


# ---- the next donors


def change_spreads(changes: pd.DataFrame) -> Iterator[tuple[dict[str, Any], float, int]]:
    """Keys, SD of the observed changes and number of donors, of each comparison and group with enough of them."""
    for key, part in changes[changes["mark"] == ""].groupby([*KEY, "group", "unit", "scale"], sort=False, dropna=False):
        n, sd = len(part), float(part["change"].std(ddof=1))
        if n >= FEWEST_FOR_SPREAD and sd > 0:
            yield dict(zip([*KEY, "group", "unit", "scale"], key, strict=True)), sd, n


def precision(changes: pd.DataFrame, config: Config) -> pd.DataFrame:
    """How wide the interval of each effect is, and would be with more donors; what change so many would find.

    Parameters
    ----------
    changes
        From `donor_changes`.
    config
        study.yaml; `target_n` of a group is one of the numbers.

    Returns
    -------
    Keys, n_pairs (as observed, as planned where that is more, and twice as many), sd_change, half_width,
    detectable_80, on the scale of analysis; `which`: now, planned, doubled. No power of the effect that was observed.
    """
    lines = []
    for key, sd, n in change_spreads(changes):
        planned = {g.code: g.target_n for g in config.groups}.get(key["group"]) or 0
        numbers = {"now": n} | ({"planned": planned} if planned > n else {}) | {"doubled": 2 * n}
        for which, found in zip(numbers, paired_precision(list(numbers.values())).itertuples(), strict=True):
            line = {"which": which, "n_pairs": int(found.n_pairs), "sd_change": sd, "half_width": found.half_width * sd}
            lines.append(key | line | {"detectable_80": found.detectable_80 * sd})
    columns = [*KEY, "group", "unit", "scale", "which", "n_pairs", "sd_change", "half_width", "detectable_80"]
    return pd.DataFrame(lines, columns=columns)


def budgets(changes: pd.DataFrame, readouts: pd.DataFrame) -> pd.DataFrame:
    """Where the spread of each mean change comes from, and the half-width with one more donor, culture or assay well.

    Parameters
    ----------
    changes
        From `donor_changes`.
    readouts
        The output table ``readouts``, for spreads between cultures and between assay wells.

    Returns
    -------
    Keys, n_pairs, cultures, assay_wells, source (donor, culture, assay), variance, share, half_width,
    half_width_one_more, note. Where no donor has two cultures of one arm there is one row, without a source, whose
    note says so. Without a spread between assay wells, the assay's error stands inside the cultures'.
    """
    lines = []
    for key, sd, n in change_spreads(changes):
        own = _arms_of(readouts, key)
        culture, assay = _pooled(own, "sd_culture"), _pooled(own, "sd_assay")
        cultures = max(1, round(float(own["n_cultures"].median()))) if len(own) else 1
        wells = max(1, round(float((own["n_assay_wells"] / own["n_cultures"]).median()))) if len(own) else 1
        base = key | {"n_pairs": n, "cultures": cultures, "assay_wells": wells}
        if np.isnan(culture) or cultures < 2:
            lines.append(base | {"note": "No donor has two independent cultures of one arm: donors and cultures mix."})
            continue
        note = "" if not np.isnan(assay) else "The assay's own error stands inside that of the cultures."
        found = variance_budget(sd, culture, 0.0 if np.isnan(assay) else assay, n, cultures, wells)
        for row in found.to_dict("records"):
            if row["source"] != "assay" or not np.isnan(assay):
                lines.append(base | {str(k): v for k, v in row.items()} | {"note": note})
    numbers = ["n_pairs", "cultures", "assay_wells", "source", "variance", "share", "half_width", "half_width_one_more"]
    return pd.DataFrame(lines, columns=[*KEY, "group", "unit", "scale", *numbers, "note"])


def _arms_of(readouts: pd.DataFrame, key: dict[str, Any]) -> pd.DataFrame:
    rows = readouts[
        (readouts["assay"] == key["assay"])
        & (readouts["readout"] == key["readout"])
        & (readouts["group"] == key["group"])
        & readouts["condition"].isin([key["treatment"], key["reference"]])
        & (readouts["censoring"] == "none")
    ]
    for name in ("timepoint_h", "assay_minutes"):
        rows = rows[rows[name].isna() if pd.isna(key[name]) else rows[name] == key[name]]
    return rows


def _pooled(rows: pd.DataFrame, column: str) -> float:
    """Root of the weighted mean square of an SD over arms; weights are the degrees of freedom behind it."""
    sd = rows[column].astype("float64").to_numpy()
    cultures, wells = (rows[c].astype("float64").to_numpy() for c in ("n_cultures", "n_assay_wells"))
    df = cultures - 1 if column == "sd_culture" else wells - cultures
    known = np.isfinite(sd) & (df > 0)
    return float(np.sqrt((sd[known] ** 2 * df[known]).sum() / df[known].sum())) if known.any() else np.nan
