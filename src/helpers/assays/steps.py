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
from helpers.study.deviations import excluded

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
    out = excluded(tables, assay) | set(quarantined)
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
        by_culture = _wells_to_culture(part, cell)
        out.append(_finished(_cultures_to_cell(by_culture, CELL if part is donors else CONTROL_CELL), scale))
    return out[0], out[1]


def _grouped(rows: pd.DataFrame, keys: list[str], size: str, **columns: list[str]) -> pd.DataFrame:
    """One row a group with its size and, by the name of the way, these columns; flags and kits of all its rows.

    Every way takes all its columns at once, which is several times as fast as pandas' own list of ways for each column.

    Examples
    --------
    >>> rows = pd.DataFrame({"well": ["A1", "A1"], "low": [1.0, 3.0], "qc": ["", "low_beads"], "comparability": "P1"})
    >>> _grouped(rows, ["well"], "n", mean=["low"]).iloc[0].to_dict()
    {'well': 'A1', 'n': 2, 'low': 2.0, 'qc': 'low_beads', 'comparability': 'P1'}
    """
    grouped = rows.groupby(keys, dropna=False, sort=True)
    ways = [getattr(grouped[names], way)() for way, names in columns.items()]
    found = pd.concat([grouped.size().rename(size), *ways], axis=1).reset_index()
    return found.assign(qc=_flags(grouped), comparability=_kits(grouped))


_FIRST = ["unit", "run_id", "operator_code", "msc_per_well"]


def _wells_to_culture(rows: pd.DataFrame, cell: list[str]) -> pd.DataFrame:
    """Mean over assay wells of each culture, with their spread where all are observed."""
    if rows.empty:
        return pd.DataFrame()
    found = _grouped(
        rows.assign(day=rows["batch_day"], sd_assay=rows["low"]),
        ["culture_id", *cell, *NAME],
        "n_assay_wells",
        mean=["low", "high"],
        all=["exact"],
        sum=["k", "n"],
        first=_FIRST,
        max=["lloq"],
        min=["day"],
        std=["sd_assay"],
    )
    found["df_assay"] = np.where(found["exact"] & found["sd_assay"].notna(), found["n_assay_wells"] - 1, 0)
    return found


def _cultures_to_cell(cultures: pd.DataFrame, cell: list[str]) -> pd.DataFrame:
    """Mean over cultures of each specimen, then over specimens of the visit; spreads pooled within specimens."""
    if cultures.empty:
        return pd.DataFrame()
    ways = {"mean": ["low", "high"], "all": ["exact"], "first": _FIRST, "max": ["lloq"], "min": ["day"]}
    specimens = _grouped(
        cultures.assign(ss_assay=cultures["sd_assay"] ** 2 * cultures["df_assay"], ss_culture=cultures["low"]),
        [*cell, *NAME, *(["specimen_id"] if "specimen_id" in cultures else [])],
        "n_cultures",
        **ways,
        sum=["k", "n", "n_assay_wells", "ss_assay", "df_assay"],
        var=["ss_culture"],
    )
    specimens["ss_culture"] *= specimens["n_cultures"] - 1
    known = specimens["exact"] & specimens["ss_culture"].notna()
    specimens["df_culture"] = np.where(known, specimens["n_cultures"] - 1, 0)
    for what in ("culture", "assay"):
        specimens[f"ss_{what}"] = specimens[f"ss_{what}"].where(specimens[f"df_{what}"] > 0, 0.0)
    sums = ["n_cultures", "n_assay_wells", "df_culture", "df_assay", "ss_culture", "ss_assay"]
    found = _grouped(specimens, [*cell, *NAME], "n_specimens", **ways, sum=["k", "n", *sums])
    for what in ("culture", "assay"):
        degrees = found[f"df_{what}"]
        found[f"sd_{what}"] = np.sqrt(found[f"ss_{what}"] / degrees.where(degrees > 0))
    return found.drop(columns="day") if "batch_day" in cell else found.rename(columns={"day": "batch_day"})


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
