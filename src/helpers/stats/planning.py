"""Planning the next study: what precision so many donors buy, and where the variance comes from.

No power of an effect that was observed: it says nothing beyond its p (Hoenig and Heisey 2001).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special, stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from helpers.core.schemas import output_tables

FEWEST_FOR_SPREAD = 3
MOST_SOLVED = 300
UNPARTED = "Donors and cultures cannot be parted: no arm of a donor has two independent cultures."
INSIDE = "The error of the assay stands inside that of the cultures."


def paired_precision(pairs: Sequence[int], level: float = 0.95) -> pd.DataFrame:
    """What n pairs can tell, in SDs of the differences.

    Returns
    -------
    n_pairs, detectable_80, detectable_90 (standardised change found with 80 and 90 %), half_width of the
    interval, smallest_p of the exact sign flip.

    Examples
    --------
    >>> paired_precision([13]).round(2).iloc[0].tolist()
    [13.0, 0.85, 0.98, 0.6, 0.0]
    """
    rows = []
    for n in pairs:
        found = [_detectable(n, 1 - level, p) for p in (0.8, 0.9)]
        half = float(stats.t.ppf((1 + level) / 2, n - 1) / np.sqrt(n))
        rows.append((n, *found, half, 2.0 ** (1 - n)))
    return pd.DataFrame(rows, columns=["n_pairs", "detectable_80", "detectable_90", "half_width", "smallest_p"])


def _detectable(n: int, alpha: float, power: float) -> float:
    """Standardised change that a paired t test of level `alpha` finds with `power`.

    The solver of statsmodels finds none from about a thousand pairs on; there the noncentral t distribution is
    searched beside the normal solution, which is within a percent.
    """
    if n <= MOST_SOLVED:
        return float(TTestPower().solve_power(nobs=n, alpha=alpha, power=power, alternative="two-sided"))
    bar, root = float(stats.t.ppf(1 - alpha / 2, n - 1)), float(np.sqrt(n))

    def missed(d: float) -> float:
        below, above = (float(special.nctdtr(n - 1, d * root, t)) for t in (-bar, bar))
        return above - below - (1 - power)

    near = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) / root
    return float(optimize.brentq(missed, 0.95 * near, 1.05 * near, xtol=1e-12))


def group_precision(arms: Sequence[tuple[int, int]], level: float = 0.95) -> pd.DataFrame:
    """What n against m donors can tell, in SDs of the donors.

    Examples
    --------
    >>> group_precision([(18, 8)]).round(2).iloc[0].tolist()
    [18.0, 8.0, 1.24, 1.44, 0.88]
    """
    power = TTestIndPower()
    rows = []
    for n, m in arms:
        found = [float(power.solve_power(nobs1=n, ratio=m / n, alpha=1 - level, power=p)) for p in (0.8, 0.9)]
        half = float(stats.t.ppf((1 + level) / 2, n + m - 2) * np.sqrt(1 / n + 1 / m))
        rows.append((n, m, *found, half))
    return pd.DataFrame(rows, columns=["n_disease", "n_control", "detectable_80", "detectable_90", "half_width"])


def variance_budget(
    sd_change: float,
    sd_culture: float,
    sd_assay: float,
    donors: int,
    cultures: int,
    assay_wells: int,
    level: float = 0.95,
) -> pd.DataFrame:
    """Where the spread of a mean change comes from, and the half-width with one more of each.

    A donor's change varies by σ²_donor + 2·σ²_culture/c + 2·σ²_assay/(c·a) with c cultures an arm and a assay
    wells a culture.

    Parameters
    ----------
    sd_change
        Observed SD of donors' changes.
    sd_culture, sd_assay
        SD between independent cultures of an arm, after assay wells are averaged; SD between assay wells.
    donors, cultures, assay_wells
        Numbers as they are; cultures an arm and donor, assay wells a culture.

    Returns
    -------
    One row a source (donor, culture, assay): variance, share of the variance of a donor's change, half_width
    now, half_width with one more of that source.

    Examples
    --------
    >>> variance_budget(0.7, 0.2, 0.1, 13, 2, 2)["share"].round(2).tolist()
    [0.92, 0.07, 0.01]
    """
    assay = 2 * sd_assay**2 / (cultures * assay_wells)
    culture = max(2 * sd_culture**2 / cultures - assay, 0.0)
    donor = max(sd_change**2 - culture - assay, 0.0)

    def half(n: int, c: int, a: int) -> float:
        spread = donor + culture * cultures / c + assay * cultures * assay_wells / (c * a)
        return float(stats.t.ppf((1 + level) / 2, n - 1) * np.sqrt(spread / n))

    now, total = half(donors, cultures, assay_wells), donor + culture + assay
    more = (
        half(donors + 1, cultures, assay_wells),
        half(donors, cultures + 1, assay_wells),
        half(donors, cultures, assay_wells + 1),
    )
    parts = zip(("donor", "culture", "assay"), (donor, culture, assay), more, strict=True)
    rows = [(name, part, part / total if total else np.nan, now, one) for name, part, one in parts]
    return pd.DataFrame(rows, columns=["source", "variance", "share", "half_width", "half_width_one_more"])


def planning(
    changes: pd.DataFrame, readouts: pd.DataFrame, targets: Mapping[str, int], level: float = 0.95
) -> pd.DataFrame:
    """How wide the interval of each mean change is, and would be with more donors, cultures or assay wells.

    Parameters
    ----------
    changes
        The output table ``donor_changes``.
    readouts
        The output table ``readouts``, for the spreads between cultures and between assay wells.
    targets
        Planned donors of a group.
    level
        Of intervals.

    Returns
    -------
    The output table ``planning``, a row a scenario: as observed, as many donors as planned where that is more,
    twice as many, and one more of each kind. One more culture or assay well has a row only where its spread is known.
    """
    schema = output_tables()["planning"]
    arms = {key: part for key, part in readouts.groupby(["assay", "readout"], sort=False)}
    lines = [
        {k: one[k] for k in schema.columns if k in one} | line
        for one, own in _spreads(changes)
        for line in _scenarios(one, _arms(arms, one, own), targets.get(one["group"], 0), level)
    ]
    kinds = {"string": "string", "integer": "Int64", "number": "float64"}
    return pd.DataFrame(lines, columns=schema.columns).astype({f.name: kinds[f.type] for f in schema.fields})


def _spreads(changes: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The first row of each comparison with its SD and numbers, and all its rows, where three and half of them are observed."""
    keys = ["contrast_id", "assay", "readout", "timepoint_h", "assay_minutes"]
    for _, own in changes.groupby(keys, sort=False, dropna=False):
        seen = own["change"].dropna()
        enough = len(seen) >= max(FEWEST_FOR_SPREAD, len(own) / 2)
        sd = float(seen.std(ddof=1)) if enough else 0.0
        if sd > 0:
            one = {str(k): v for k, v in own.iloc[0].to_dict().items()}
            yield one | {"n_pairs": len(seen), "n_bounded": len(own) - len(seen), "sd_change": sd}, own


def _arms(arms: Mapping[Any, pd.DataFrame], one: dict[str, Any], own: pd.DataFrame) -> pd.DataFrame:
    """Observed readouts of the donors, arms and times of a comparison."""
    rows = arms[(one["assay"], one["readout"])]
    keep = rows["condition"].isin([one["treatment"], one["reference"]]) & rows["donor_id"].isin(own["donor_id"])
    keep &= (rows["visit"] == one["visit"]) & (rows["censoring"] == "none")
    for key in ("timepoint_h", "assay_minutes"):
        keep &= rows[key].isna() if pd.isna(one[key]) else rows[key] == one[key]
    return rows[keep]


def _scenarios(one: dict[str, Any], arms: pd.DataFrame, target: int, level: float) -> Iterator[dict[str, Any]]:
    n, sd = int(one["n_pairs"]), float(one["sd_change"])
    cultures = max(1, round(float(arms["n_cultures"].median()))) if len(arms) else 1
    wells = max(1, round(float((arms["n_assay_wells"] / arms["n_cultures"]).median()))) if len(arms) else 1
    now = {"n_cultures": cultures, "n_assay_wells": wells, "note": ""}
    culture, assay = pooled_spread(arms, "sd_culture"), pooled_spread(arms, "sd_assay")
    known = 0.0 if np.isnan(assay) else assay
    budget = variance_budget(sd, culture, known, n, cultures, wells, level).set_index("source")
    parted = not np.isnan(culture)
    numbers = {"observed": n} | ({"planned": target} if target > n else {}) | {"doubled": 2 * n, "donor": n + 1}
    for scenario, pairs in numbers.items():
        half, found = _precision(pairs, level)
        line = now | {"scenario": scenario, "n_pairs": pairs, "half_width": half * sd, "detectable_80": found * sd}
        if scenario == "observed" and one["n_bounded"]:
            line["note"] = f"{one['n_bounded']} more changes are bounds and left out: the spread may be larger."
        if scenario == "donor":
            line |= {"variance_share": budget.at["donor", "share"]} if parted else {"note": UNPARTED}
        yield line
    more = {"culture": {"n_cultures": cultures + 1}, "assay": {"n_assay_wells": wells + 1}}
    for source, added in more.items():
        if not parted or (source == "assay" and np.isnan(assay)):
            continue
        row = budget.loc[source]
        # by its ratio, since the budget's own width is not the observed one where cultures vary more than donors
        half = _precision(n, level)[0] * sd * float(row["half_width_one_more"] / row["half_width"])
        note = INSIDE if source == "culture" and np.isnan(assay) else ""
        line = now | added | {"scenario": source, "n_pairs": n, "half_width": half, "note": note}
        yield line | {"variance_share": row["share"]}


@lru_cache(maxsize=256)
def _precision(n: int, level: float) -> tuple[float, float]:
    found = paired_precision([n], level).iloc[0]
    return float(found["half_width"]), float(found["detectable_80"])


def pooled_spread(rows: pd.DataFrame, column: str) -> float:
    """Root of the weighted mean square of ``sd_culture`` or ``sd_assay``; weights are the degrees of freedom behind it.

    Examples
    --------
    >>> arms = pd.DataFrame({"sd_culture": [0.3, 0.4, None], "n_cultures": [2, 3, 1], "n_assay_wells": [4, 6, 2]})
    >>> round(pooled_spread(arms, "sd_culture"), 4)
    0.3697
    """
    sd, cultures, wells = (rows[c].to_numpy(float, na_value=np.nan) for c in (column, "n_cultures", "n_assay_wells"))
    df = cultures - 1 if column == "sd_culture" else wells - cultures
    known = np.isfinite(sd) & (df > 0)
    return float(np.sqrt((sd[known] ** 2 * df[known]).sum() / df[known].sum())) if known.any() else np.nan
