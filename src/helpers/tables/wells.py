"""The wells, files and replicates behind the points of one readout, each as its assay wrote it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from helpers.analysis import Analysis
from helpers.study.config import Config
from helpers.tables.base import MOST_ROWS, TableView, show_table
from helpers.tables.words import FEWER_DONORS, WELL_COLUMNS, WELL_NOTES

_ARM = ["donor_id", "visit", "condition", "timepoint_h", "msc_lot_id"]
_UPTAKE = {
    "pct_phagocytic": "pct_positive",
    "net_pct_phagocytic": "net_pct_positive",
    "auc": "pct_positive",
    "initial_rate": "pct_positive",
    "plateau": "pct_positive",
}
"""Column of a well behind a readout of uptake, where it has another name."""
_KINETIC = ("auc", "initial_rate", "plateau")


def wells_behind(data: Analysis, rows: pd.DataFrame) -> pd.DataFrame:
    """Every well, file or replicate from which some readouts were made.

    Parameters
    ----------
    data
        The analysis.
    rows
        Rows of the output table ``readouts``, of one assay and readout.

    Returns
    -------
    donor_id, visit, condition, msc_lot_id, culture_id, source, value, unit, detail, remark; excluded cultures, too,
    with the rule that excluded them.
    """
    if rows.empty:
        return pd.DataFrame(columns=list(WELL_COLUMNS))
    cultures = _cultures(data.study_tables, rows)
    assay, readout = str(rows["assay"].iloc[0]), str(rows["readout"].iloc[0])
    minutes = set(rows["assay_minutes"].dropna())
    if assay.startswith("cytokines"):
        found = _cytokines(data, readout)
    elif assay == "phagocytosis":
        found = _uptake(data.table("phagocytosis_wells"), readout, minutes)
    elif assay == "phenotype":
        found = _phenotype(data, readout)
    else:
        found = _measured(data.study_tables[assay], readout) if assay in data.study_tables else pd.DataFrame()
    if found.empty:
        return pd.DataFrame(columns=list(WELL_COLUMNS))
    found = cultures.merge(found, on="culture_id")
    out = data.table("exclusions")
    out = out[out["entity"].isin(["culture"])].drop_duplicates("entity_id").set_index("entity_id")["rule"]
    excluded = found["culture_id"].map(out).astype("string").fillna("")
    found["remark"] = found["remark"].fillna("").where(excluded == "", "Excluded. " + excluded)
    found = found.drop_duplicates().sort_values(["donor_id", "visit", "condition", "culture_id", "source"])
    return found[list(WELL_COLUMNS)].reset_index(drop=True)


def _cultures(tables: dict[str, pd.DataFrame], rows: pd.DataFrame) -> pd.DataFrame:
    cultures = tables["cultures"].merge(tables["specimens"][["specimen_id", "donor_id", "visit"]], on="specimen_id")
    plain = {c: cultures[c].astype("string").fillna("") for c in _ARM if c != "timepoint_h"}
    cultures = cultures.assign(**plain, timepoint_h=cultures["timepoint_h"].astype("float64"))
    arms = rows[_ARM].drop_duplicates()
    arms = arms.assign(
        **{c: arms[c].astype("string").fillna("") for c in plain}, timepoint_h=arms["timepoint_h"].astype("float64")
    )
    return cultures.merge(arms, on=_ARM)[["culture_id", *_ARM]]


def _frame(rows: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"culture_id": rows["culture_id"].astype("string"), **columns}, index=rows.index)


def _cytokines(data: Analysis, analyte: str) -> pd.DataFrame:
    values = data.table("cytokine_values")
    values = values[(values["analyte"] == analyte) & values["culture_id"].notna()]
    wells = data.table("cytokine_wells")
    wells = wells[(wells["analyte"] == analyte) & (wells["role"] == "sample")]
    keys = ["plate_id", "sample_id"]
    rows = values[[*keys, "culture_id", "conc_pg_ml"]].merge(
        wells.rename(columns={"conc_pg_ml": "well_value"}), on=keys, how="left"
    )
    alone = rows["well"].isna()  # a concentration that was computed elsewhere
    source = rows["plate_id"].astype("string").fillna("") + " " + rows["well"].astype("string").fillna("")
    state = rows["state"].astype("string").fillna("").str.replace("_", " ")
    return _frame(
        rows,
        source=source.str.strip(),
        value=rows["well_value"].where(~alone, rows["conc_pg_ml"]).astype("float64"),
        unit="pg/ml",
        detail=[_detail("MFI", m, "beads", b) for m, b in zip(rows["net_mfi"], rows["bead_count"], strict=True)],
        remark=[_joined(s if s != "measured" else "", q) for s, q in zip(state, rows["qc"], strict=True)],
    )


def _uptake(wells: pd.DataFrame, readout: str, minutes: set[float]) -> pd.DataFrame:
    target, _, measure = readout.partition("|")
    rows = wells[(wells["target"] == target) & (wells["role"] == "uptake")]
    if measure not in _KINETIC and minutes:
        rows = rows[rows["minutes"].isin(minutes)]
    column = _UPTAKE.get(measure, measure)
    if column not in rows:
        return pd.DataFrame()
    return _frame(
        rows,
        source=rows["phago_id"].astype("string"),
        value=rows[column].astype("float64"),
        unit="%" if column.endswith("pct_positive") else "",
        detail=[
            _detail("min", m, "cells", n, "background %", b)
            for m, n, b in zip(rows["minutes"], rows["n_cells"], rows["background_pct"], strict=True)
        ],
        remark=[_joined(q) for q in rows["qc"]],
    )


def _phenotype(data: Analysis, readout: str) -> pd.DataFrame:
    population, *marker, measure = readout.split("|")
    if not marker:
        rows = data.table("phenotype_populations")
        rows = rows[(rows["population"].str.split("/").str[-1] == population) & (rows["tube_role"] == "stained")]
        value, unit, counted, remark = rows["pct_parent"], "%", rows["n_parent"], pd.Series("", rows.index)
    elif "+" in marker[0]:
        rows = data.table("phenotype_coexpression")
        rows = rows[(rows["population"] == population) & (rows["quadrant"] == marker[0])]
        value, unit, counted, remark = rows["pct"], "%", rows["n_population"], rows["qc"]
    else:
        rows = data.table("phenotype_markers")
        rows = rows[(rows["population"] == population) & (rows["marker"] == marker[0])]
        counted, remark = rows["n_events"], rows["qc"]
        value, unit = rows["pct_positive"], "%"
        if measure == "delta_mfi":
            value = rows["delta_mfi"] * rows["units_per_mfi"].fillna(1.0)
            unit = next(iter(rows["calibrated_unit"].dropna().replace("", pd.NA).dropna()), "MFI")
    return _frame(
        rows,
        source=rows["fcs_file"].astype("string"),
        value=value.astype("float64"),
        unit=unit,
        detail=[_detail("events", n) for n in counted],
        remark=[_joined(q) for q in remark],
    )


def _measured(table: pd.DataFrame, readout: str) -> pd.DataFrame:
    rows = table[table["readout"] == readout]
    sign = rows["qualifier"].astype("string").fillna("=")
    return _frame(
        rows,
        source="replicate " + rows["replicate"].astype("string"),
        value=rows["value"].astype("float64"),
        unit=rows["unit"].astype("string").fillna(""),
        detail="",
        remark=sign.map({"<": "at most this", ">": "at least this"}).fillna(""),
    )


def _detail(*parts: Any) -> str:
    """Names and numbers in turn, as text, without those that are missing.

    Examples
    --------
    >>> _detail("cells", 1150, "background %", float("nan"))
    'cells 1150'
    """
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return ", ".join(f"{name} {float(value):.4g}" for name, value in pairs if pd.notna(value))


def _joined(*words: Any) -> str:
    said = [str(w).replace("_", " ").replace(";", "; ") for w in words if pd.notna(w) and str(w)]
    return "; ".join(said)


def wells_view(data: Analysis, rows: pd.DataFrame, config: Config) -> TableView:
    """The wells behind some readouts, with labels; see `wells_behind`."""
    found = wells_behind(data, rows)
    labels = {c.code: c.label for c in config.conditions}
    found["condition"] = found["condition"].map(lambda c: labels.get(c, c))
    kept = [c for c in WELL_COLUMNS if c not in ("msc_lot_id", "detail", "remark") or (found[c].fillna("") != "").any()]
    kept = [c for c in kept if c != "visit" or found[c].nunique() > 1]
    notes = (*((FEWER_DONORS,) if len(found) > MOST_ROWS else ()), *WELL_NOTES)
    return show_table(found[kept], "Wells, files and replicates behind the chosen points.", notes, WELL_COLUMNS)
