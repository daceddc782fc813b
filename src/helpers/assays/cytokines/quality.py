"""What a plate says of itself: controls against their range and over run days, bridges between plates, arms that
sit on different plates, samples that were run twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from helpers.core.problems import Problem
from helpers.study.config import Config

if TYPE_CHECKING:
    from helpers.assays.cytokines.fitted import Rules
    from helpers.assays.cytokines.reading import JoinedPlate

AGREE_LOG2 = 0.5
"""Bridges agree where the largest and the smallest ratio lie within half a doubling."""
FEWEST_FOR_LIMITS = 8
"""Plates below which control limits only describe."""


# ---- arms on plates


def arms_apart(plates: Sequence[JoinedPlate], tables: Mapping[str, pd.DataFrame], config: Config) -> list[Problem]:
    """Warnings where what is compared does not share a plate: a donor's two arms, or a whole condition.

    Parameters
    ----------
    plates
        Joined plates.
    tables
        Typed input tables.
    config
        study.yaml, for what each condition is compared with.
    """
    cells = _cells(plates, tables)
    problems = []
    for condition in config.conditions:
        pair = cells[cells["condition"].isin([condition.code, condition.compare_to])]
        if not condition.compare_to or pair["condition"].nunique() < 2:
            continue
        on = pair.groupby("condition")["plate_id"].agg(set)
        if not on[condition.code] & on[condition.compare_to]:
            problems.append(
                Problem(
                    "warning",
                    "condition-confounded-with-plate",
                    f"No plate holds both {condition.code} and {condition.compare_to}: their difference may be the plates'.",
                    "Put both arms of a donor on one plate; show bridges.",
                    file="cytokines/plates.csv",
                )
            )
            continue
        apart = _donors_apart(pair, condition.code, condition.compare_to)
        if apart:
            problems.append(
                Problem(
                    "warning",
                    "arms-on-different-plates",
                    f"The arms {condition.code} and {condition.compare_to} of {len(apart)} donors are on different plates: "
                    f"{', '.join(apart[:10])}{' and more' if len(apart) > 10 else ''}. Their change holds the plates' difference.",
                    "Run both arms of a donor on one plate, or judge the bridges.",
                    file="cytokines/plates.csv",
                )
            )
    return problems


def _cells(plates: Sequence[JoinedPlate], tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Which donor, visit, condition and time is on which plate."""
    samples = tables["cytokines/samples"]
    culture_of = dict(zip(samples["sample_id"], samples["culture_id"], strict=True))
    pairs = {
        (p.row["plate_id"], culture_of.get(s, s))
        for p in plates
        for s in p.wells.loc[(p.wells["role"] == "sample") & p.wells["use"], "sample_id"].dropna().unique()
    }
    on = pd.DataFrame(sorted((str(a), str(b)) for a, b in pairs if not pd.isna(b)), columns=["plate_id", "culture_id"])
    cultures = tables["cultures"].merge(tables["specimens"][["specimen_id", "donor_id", "visit"]], on="specimen_id")
    return on.merge(cultures, on="culture_id")


def _donors_apart(pair: pd.DataFrame, one: str, other: str) -> list[str]:
    out = set()
    for (donor, _, _), part in pair.groupby(["donor_id", "visit", "timepoint_h"]):
        on = part.groupby("condition")["plate_id"].agg(set)
        if one in on and other in on and not on[one] & on[other]:
            out.add(str(donor))
    return sorted(out)


# ---- samples run twice


def superseded(values: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[Problem]]:
    """Samples that a later one repeats are kept and flagged; a sample on two plates is said, its plates both count."""
    if values.empty:
        return values, []
    samples = tables["cytokines/samples"]
    repeated = set(samples.loc[samples["sample_id"].isin(values["sample_id"]), "repeat_of"].dropna())
    old = values["sample_id"].isin(repeated)
    qc = values["qc"].fillna("")
    values = values.assign(qc=qc.where(~old, (qc + ";superseded").str.strip(";")))
    twice = values[~old & (values["role"] == "sample")].groupby("sample_id")["plate_id"].nunique()
    several = sorted(str(s) for s in twice.index[twice > 1])
    if not several:
        return values, []
    message = f"{len(several)} samples were run on several plates without repeat_of; the mean of their plates is used."
    fix = "If one run replaces the other, give it a sample_id of its own and name the first in repeat_of."
    return values, [
        Problem("warning", "sample-on-two-plates", message, fix, file="cytokines/layout.csv", found=", ".join(several))
    ]


# ---- controls and bridges


def spikes_of(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Name of each sample that is a spike, by sample_id."""
    samples = tables["cytokines/samples"].dropna(subset="spike")
    return {str(sample): str(name) for sample, name in zip(samples["sample_id"], samples["spike"], strict=True)}


def with_spikes(values: pd.DataFrame, spikes: Mapping[str, str]) -> pd.DataFrame:
    """Values in which spikes have a role of their own, so that none is taken for a sample."""
    return values.assign(role=values["role"].mask(values["sample_id"].isin(list(spikes)), "spike"))


def plate_controls(
    values: Mapping[str, pd.DataFrame], plates: Sequence[JoinedPlate], spikes: Mapping[str, str]
) -> pd.DataFrame:
    """Controls, bridge samples and spikes of all plates, with the kit's range and their place among the plates.

    Parameters
    ----------
    values
        From `values.sample_values`, by plate.
    plates
        Joined plates.
    spikes
        Name of each spike, by sample_id.

    Returns
    -------
    Columns of the output table ``plate_controls``; spikes of one name and plate also bear their sample_id. z is the distance of the log concentration from the mean of all
    plates in their SD.
    """
    parts = [_controls(values[str(p.row["plate_id"])], p, spikes) for p in plates]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if table.empty:
        return table
    logs = np.log(table["conc_pg_ml"].where(table["conc_pg_ml"] > 0).astype("float64"))
    grouped = logs.groupby([table["analyte"], table["role"], table["control"]])
    return table.assign(z=(logs - grouped.transform("mean")) / grouped.transform("std"))


def _controls(values: pd.DataFrame, plate: JoinedPlate, spikes: Mapping[str, str]) -> pd.DataFrame:
    """Controls, bridges and spikes of one plate beside what the kit states for them."""
    keys = ["analyte", "sample_id"]
    stated = (
        plate.wells[plate.wells["role"] == "control"].groupby(keys)[["expected", "low_pg_ml", "high_pg_ml"]].first()
    )
    own = values[values["role"].isin(["control", "bridge", "spike"])].merge(stated.reset_index(), on=keys, how="left")
    conc, low, high = own["conc_pg_ml"], own["low_pg_ml"], own["high_pg_ml"]
    status = np.select(
        [conc.isna(), low.isna() | high.isna(), (conc >= low) & (conc <= high)],
        ["not_measured", "no_range", "in_range"],
        default="out_of_range",
    )
    name = own["sample_id"].map(spikes).fillna(own["sample_id"])
    several = own.assign(name=name).groupby("name")["sample_id"].transform("nunique") > 1
    return own.assign(
        plate_id=plate.row["plate_id"],
        run_day=plate.row["run_day"],
        kit_lot=plate.row["kit_lot"],
        control=name.mask(several, name + " (" + own["sample_id"] + ")"),
        expected_pg_ml=own["expected"],
        recovery_pct=100 * conc / own["expected"].where(own["expected"] > 0),
        status=status,
    )


def bridges(values: Mapping[str, pd.DataFrame], plates: Iterable[JoinedPlate], rules: Rules) -> pd.DataFrame:
    """How far each plate lies from the first one in what both carry, analyte by analyte.

    The shift is the median over bridges of log2 of this plate over the reference plate; it is applied only where
    the rules say so and the bridges agree (at least two of them, within half a doubling).

    Returns
    -------
    Columns of the output table ``plate_bridges``.
    """
    order = [str(p.row["plate_id"]) for p in sorted(plates, key=lambda p: _day(p.row["run_day"]))]
    carried = {i: _carried(values[i]) for i in order}
    rows = []
    for plate_id in order[1:]:
        both = pd.concat([carried[order[0]], carried[plate_id]], axis=1, keys=["reference", "own"], join="inner")
        ratios = both["own"] - both["reference"]
        for analyte, part in ratios.groupby(level="analyte", sort=False):
            spread = float(part.max() - part.min())
            agree = len(part) > 1 and spread <= AGREE_LOG2
            rows.append(
                {
                    "analyte": analyte,
                    "plate_id": plate_id,
                    "reference_plate_id": order[0],
                    "n_bridges": len(part),
                    "shift_log2": float(part.median()),
                    "spread_log2": spread,
                    "agree": agree,
                    "applied": agree and rules.apply_bridging,
                }
            )
    return pd.DataFrame(
        rows,
        columns=[
            "analyte",
            "plate_id",
            "reference_plate_id",
            "n_bridges",
            "shift_log2",
            "spread_log2",
            "agree",
            "applied",
        ],
    )


def _day(day: object) -> float:
    return float("inf") if pd.isna(day) else float(day)  # type: ignore[arg-type]


def _carried(values: pd.DataFrame) -> pd.Series:
    """log2 of what can join plates: controls, bridges, and samples, observed ones only."""
    seen = values[values["conc_pg_ml"] > 0]
    return np.log2(seen.set_index(["analyte", "sample_id"])["conc_pg_ml"])


def bridged(values: pd.DataFrame, plate_id: str, table: pd.DataFrame) -> pd.DataFrame:
    """Values of a plate on the reference plate's scale, where the bridges are applied; else as they are."""
    own = table[(table["plate_id"] == plate_id) & table["applied"].astype(bool)].set_index("analyte")["shift_log2"]
    if own.empty:
        return values
    factor = np.exp2(-values["analyte"].map(own).fillna(0.0).astype("float64"))
    columns = ["conc_pg_ml", "lower", "upper", "conc_se", "lloq_pg_ml", "uloq_pg_ml"]
    return values.assign(**{c: values[c] * factor for c in columns})
