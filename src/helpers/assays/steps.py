"""The steps every assay takes from its wells to readouts: assay well → culture well → specimen → visit.

Each step is a mean on the scale of analysis, so that a donor with many wells weighs no more than one with few,
and each step hands on the spread it took away. A bound stays a bound: the mean of upper bounds bounds the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from helpers.core.problems import Problem
from helpers.core.schemas import output_tables

CELL = ["donor_id", "group", "visit", "condition", "timepoint_h", "msc_lot_id", "assay_minutes"]
NAME = ["assay", "readout"]
CONTROL_CELL = ["condition", "msc_lot_id", "batch_day", "timepoint_h", "assay_minutes"]


@dataclass(frozen=True)
class Assayed:
    """What one assay makes of a study.

    Parameters
    ----------
    assay
        Its name: cytokines, phenotype, phagocytosis or measurements.
    wells
        What `readouts` takes.
    measured
        Cultures that have a result, by the label under which completeness is judged.
    tables
        Output tables of the assay's own, by name.
    problems
        What was wrong with its files.
    """

    assay: str
    wells: pd.DataFrame
    measured: dict[str, set[str]]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def usable_cultures(
    tables: Mapping[str, pd.DataFrame], donors: AbstractSet[str], quarantined: AbstractSet[tuple[str, str]], assay: str
) -> pd.DataFrame:
    """Cultures that count for an assay, with donor, group and visit; control wells have no donor.

    Parameters
    ----------
    tables
        Typed input tables.
    donors
        Donors whose results may be used.
    quarantined
        Kind and code of what the checks set aside.
    assay
        Deviations of this assay and of all assays exclude.

    Returns
    -------
    Cultures with status ok that no deviation excludes and no check sets aside.
    """
    deviations = tables["deviations"]
    excluding = deviations[
        (deviations["decision"] == "exclude") & (deviations["assay"].isna() | (deviations["assay"] == assay))
    ]
    out = set(zip(excluding["entity"], excluding["entity_id"], strict=True)) | set(quarantined)
    specimens = tables["specimens"][["specimen_id", "donor_id", "visit"]]
    rows = tables["cultures"].merge(specimens, on="specimen_id", how="left")
    rows = rows.merge(tables["donors"][["donor_id", "group"]], on="donor_id", how="left")
    for kind, column in (("culture", "culture_id"), ("specimen", "specimen_id"), ("donor", "donor_id")):
        rows = rows[~rows[column].isin({code for k, code in out if k == kind}).fillna(False).astype(bool)]
    control = rows["specimen_id"].isna()
    return rows[(rows["status"] == "ok") & (control | rows["donor_id"].isin(donors))].reset_index(drop=True)


def to_scale(values: pd.Series, scale: str) -> pd.Series:
    """Values on the scale of analysis; what has no logarithm becomes −∞, and is refused where it is compared."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "log2":
            return np.log2(values.clip(lower=0))
        if scale == "logit":
            return np.log(values / 100) - np.log1p(-values / 100)
    return values


def from_scale(values: pd.Series, scale: str) -> pd.Series:
    """Back to the unit of the readout.

    Examples
    --------
    >>> from_scale(to_scale(pd.Series([8.0]), "log2"), "log2").tolist()
    [8.0]
    """
    if scale == "log2":
        return np.exp2(values)
    return 100 / (1 + np.exp(-values)) if scale == "logit" else values


def readouts(wells: pd.DataFrame, cultures: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Wells of an assay to the output tables ``readouts`` and ``cell_controls``.

    Parameters
    ----------
    wells
        One row an assay well: culture_id, assay, readout, unit, scale, lower, upper in the unit (equal where
        observed, NaN where open), and where the assay has them assay_minutes, k, n, lloq, run_id, comparability, qc.
    cultures
        From `usable_cultures`; wells of other cultures are left out.

    Returns
    -------
    readouts and cell_controls.
    """
    if wells.empty:
        return tuple(pd.DataFrame(columns=output_tables()[n].columns) for n in ("readouts", "cell_controls"))
    rows = wells.merge(cultures, on="culture_id")
    for column in ("assay_minutes", "k", "n", "lloq", "run_id", "comparability", "qc", "operator_code"):
        if column not in rows:
            rows[column] = "" if column in ("comparability", "qc") else np.nan
    rows["msc_lot_id"] = rows["msc_lot_id"].fillna("")
    parts = [_of_scale(part, str(scale)) for scale, part in rows.groupby("scale", sort=True)]
    tables = output_tables()
    both = [pd.concat([p[i] for p in parts]) if parts else pd.DataFrame() for i in (0, 1)]
    return _ordered(both[0], tables["readouts"].columns, CELL + NAME), _ordered(
        both[1], tables["cell_controls"].columns, CONTROL_CELL + NAME
    )


def _flags(grouped: Any) -> np.ndarray:
    """Flags of the rows of each group as one text, each once, in the order of their first appearance.

    Most wells carry none, so the few that do are walked through rather than every group.

    Examples
    --------
    >>> rows = pd.DataFrame({"well": ["A1", "A1", "A2"], "qc": ["low_beads", "cv;low_beads", ""]})
    >>> _flags(rows.groupby("well")).tolist()
    ['low_beads;cv', '']
    """
    texts = grouped.obj["qc"].fillna("").astype(str).to_numpy()
    marked = texts != ""
    found: dict[int, dict[str, None]] = {}
    for group, text in zip(grouped.ngroup().to_numpy()[marked], texts[marked], strict=True):
        found.setdefault(int(group), {}).update(dict.fromkeys(f for f in text.split(";") if f))
    out = np.full(grouped.ngroups, "", dtype=object)
    for group, flags in found.items():
        out[group] = ";".join(flags)
    return out


_AND = " + "


def _kits(grouped: Any) -> np.ndarray:
    """Kits, panels or voltages of the rows of each group: all of them where one mean is over several.

    Examples
    --------
    >>> rows = pd.DataFrame({"well": ["A1", "A1", "A2"], "comparability": ["P1 455 V", "P1 555 V", "P1 455 V"]})
    >>> _kits(rows.groupby("well")).tolist()
    ['P1 455 V + P1 555 V', 'P1 455 V']
    """
    column = grouped["comparability"]
    out: np.ndarray = column.first().to_numpy(dtype=object)
    for group in np.flatnonzero(column.nunique().to_numpy() > 1):
        own = grouped.obj["comparability"][grouped.ngroup() == group].dropna()
        out[group] = _AND.join(sorted({kit for text in own for kit in str(text).split(_AND) if kit}))
    return out


def _ordered(frame: pd.DataFrame, columns: list[str], keys: list[str]) -> pd.DataFrame:
    if frame.empty:
        return pd.DataFrame(columns=columns)
    return frame.reindex(columns=columns).sort_values([k for k in keys if k in columns], ignore_index=True)


def _of_scale(rows: pd.DataFrame, scale: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    observed = rows["lower"] == rows["upper"]
    rows = rows.assign(
        low=to_scale(rows["lower"].astype("float64"), scale).where(rows["lower"].notna(), -np.inf),
        high=to_scale(rows["upper"].astype("float64"), scale).where(rows["upper"].notna(), np.inf),
        exact=observed,
    )
    donors, controls = rows[rows["donor_id"].notna()], rows[rows["specimen_id"].isna()]
    out = []
    for part, cell in ((donors, [*CELL, "specimen_id"]), (controls, CONTROL_CELL)):
        by_culture = _wells_to_culture(part, [*cell, *NAME])
        out.append(_finished(_cultures_to_cell(by_culture, CELL if part is donors else CONTROL_CELL), scale))
    return out[0], out[1]


def _wells_to_culture(rows: pd.DataFrame, cell: list[str]) -> pd.DataFrame:
    """Mean over assay wells of each culture, with their spread where all are observed."""
    if rows.empty:
        return pd.DataFrame()
    grouped = rows.groupby(["culture_id", *cell], dropna=False, sort=True)
    found = grouped.agg(
        low=("low", "mean"),
        high=("high", "mean"),
        exact=("exact", "all"),
        k=("k", "sum"),
        n=("n", "sum"),
        n_assay_wells=("low", "size"),
        unit=("unit", "first"),
        lloq=("lloq", "max"),
        run_id=("run_id", "first"),
        operator_code=("operator_code", "first"),
        day=("batch_day", "min"),
        msc_per_well=("msc_per_well", "first"),
    ).reset_index()
    found["qc"], found["comparability"] = _flags(grouped), _kits(grouped)
    found["sd_assay"] = grouped["low"].std(ddof=1).to_numpy()
    found["df_assay"] = np.where(found["exact"] & found["sd_assay"].notna(), found["n_assay_wells"] - 1, 0)
    return found


def _cultures_to_cell(cultures: pd.DataFrame, cell: list[str]) -> pd.DataFrame:
    """Mean over cultures of each specimen, then over specimens of the visit; spreads pooled within specimens."""
    if cultures.empty:
        return pd.DataFrame()
    inner = [*cell, *NAME, *(["specimen_id"] if "specimen_id" in cultures else [])]
    grouped = cultures.groupby(inner, dropna=False, sort=True)
    specimens = grouped.agg(
        low=("low", "mean"),
        high=("high", "mean"),
        exact=("exact", "all"),
        k=("k", "sum"),
        n=("n", "sum"),
        n_cultures=("low", "size"),
        n_assay_wells=("n_assay_wells", "sum"),
        unit=("unit", "first"),
        lloq=("lloq", "max"),
        run_id=("run_id", "first"),
        operator_code=("operator_code", "first"),
        first_day=("day", "min"),
        msc_per_well=("msc_per_well", "first"),
    ).reset_index()
    specimens["qc"], specimens["comparability"] = _flags(grouped), _kits(grouped)
    specimens["ss_culture"] = (grouped["low"].var(ddof=1) * (grouped["low"].size() - 1)).to_numpy()
    specimens["df_culture"] = np.where(
        specimens["exact"] & specimens["ss_culture"].notna(), specimens["n_cultures"] - 1, 0
    )
    weighted = cultures.assign(ss=cultures["sd_assay"] ** 2 * cultures["df_assay"])
    assay = weighted.groupby(inner, dropna=False, sort=True)[["ss", "df_assay"]].sum().reset_index(drop=True)
    specimens[["ss_assay", "df_assay"]] = assay.to_numpy()
    outer = specimens.groupby([*cell, *NAME], dropna=False, sort=True)
    found = outer.agg(
        low=("low", "mean"),
        high=("high", "mean"),
        exact=("exact", "all"),
        k=("k", "sum"),
        n=("n", "sum"),
        n_cultures=("n_cultures", "sum"),
        n_assay_wells=("n_assay_wells", "sum"),
        unit=("unit", "first"),
        lloq=("lloq", "max"),
        run_id=("run_id", "first"),
        operator_code=("operator_code", "first"),
        first_day=("first_day", "min"),
        msc_per_well=("msc_per_well", "first"),
        df_culture=("df_culture", "sum"),
        df_assay=("df_assay", "sum"),
    ).reset_index()
    found["qc"], found["comparability"] = _flags(outer), _kits(outer)
    for what in ("culture", "assay"):
        total = specimens[f"ss_{what}"].where(specimens[f"df_{what}"] > 0, 0.0)
        ss = total.groupby([specimens[c] for c in [*cell, *NAME]], dropna=False, sort=True).sum().to_numpy()
        found[f"sd_{what}"] = np.sqrt(ss / found[f"df_{what}"].where(found[f"df_{what}"] > 0))
    return found if "batch_day" in cell else found.rename(columns={"first_day": "batch_day"})


def _finished(found: pd.DataFrame, scale: str) -> pd.DataFrame:
    """Back to the unit, with the kind of censoring; a count without cells is none."""
    if found.empty:
        return found
    low, high = found["low"], found["high"]
    kinds = np.select(
        [found["exact"], np.isneginf(low), np.isposinf(high)], ["none", "left", "right"], default="interval"
    )
    return found.assign(
        scale=scale,
        censoring=kinds,
        value=from_scale(low, scale).where(found["exact"]),
        lower=from_scale(low, scale).where(~found["exact"] & ~np.isneginf(low)),
        upper=from_scale(high, scale).where(~found["exact"] & ~np.isposinf(high)),
        k=found["k"].where(found["n"] > 0),
        n=found["n"].where(found["n"] > 0),
    )
