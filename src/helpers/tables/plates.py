"""Readable views of plates: curves and limits, ours against the vendor's, standards, controls, bridges."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.core.numbers import show
from helpers.tables.base import TableView, show_table


def plates_view(wells: pd.DataFrame, curves: pd.DataFrame, recovery: pd.DataFrame) -> TableView:
    """One line a plate: wells, beads, curves that are usable, standards in range, spread of replicates.

    Parameters
    ----------
    wells, curves, recovery
        The output tables ``cytokine_wells``, ``cytokine_curves`` and ``standard_recovery``.
    """
    rows = []
    for plate, own in curves.groupby("plate_id", sort=False):
        here, levels = wells[wells["plate_id"] == plate], recovery[recovery["plate_id"] == plate]
        flags = here["qc"].fillna("").str.split(";").explode()
        rows.append(
            {
                "plate_id": plate,
                "wells": here["well"].nunique(),
                "samples": here.loc[here["role"] == "sample", "sample_id"].nunique(),
                "beads": float(here["bead_count"].median()) if here["bead_count"].notna().any() else np.nan,
                "low": int((flags == "low_beads").sum()),
                "aside": int((here["state"] == "excluded").sum()),
                "curves": f"{int(own['lloq_pg_ml'].notna().sum())} of {len(own)}",
                "recovered": f"{int(levels['in_range'].sum())} of {len(levels)}",
                "cv": float(levels["cv_pct"].median()) if levels["cv_pct"].notna().any() else np.nan,
                "vendor": float(own["vendor_diff_pct"].median()) if own["vendor_diff_pct"].notna().any() else np.nan,
            }
        )
    return show_table(
        pd.DataFrame(rows, columns=list(_PLATE)),
        "Plates at a glance.",
        (
            "Set aside: well and analyte combinations that the layout, or a standard that does not fit its series, took out.",
        ),
        _PLATE,
    )


_PLATE = {
    "plate_id": "Plate",
    "wells": "Wells",
    "samples": "Samples",
    "beads": "Beads\nmedian",
    "low": "Few beads\nwell × analyte",
    "aside": "Set aside\nwell × analyte",
    "curves": "Curves with a working range",
    "recovered": "Standards in range\nlevel × analyte",
    "cv": "CV of standards\nmedian, %",
    "vendor": "Curve against vendor's\nmedian of the largest difference, %",
}


def limits_view(curves: pd.DataFrame) -> TableView:
    """Model, limits and notes of every curve."""
    shown = curves.assign(
        model=curves["model"].fillna(""),
        lod=[
            f"{show(v)}{'' if used else ' (not used)'}" if not pd.isna(v) else ""
            for v, used in zip(curves["lod_pg_ml"], curves["lod_used"], strict=True)
        ],
        status=curves["status"].str.replace("_", " "),
    )[
        [
            "plate_id",
            "analyte",
            "model",
            "lod",
            "lloq_pg_ml",
            "uloq_pg_ml",
            "n_levels",
            "vendor_diff_pct",
            "status",
            "note",
        ]
    ]
    return show_table(
        shown,
        "Curves and limits, on the scale of the standards.",
        (
            "LOD: mean of the blanks + 3 SD unless study.yaml says otherwise; with fewer than six blanks it is shown and not used.",
            "LLOQ and ULOQ: ends of the longest run of standards that come back within the allowed recovery and CV. A working range, not a validation.",
            "Values between an LOD that is used and the LLOQ enter as that interval, below as bounds, whatever the curve would extrapolate.",
        ),
        {
            "plate_id": "Plate",
            "analyte": "Analyte",
            "model": "Model",
            "lod": "LOD\npg/ml",
            "lloq_pg_ml": "LLOQ\npg/ml",
            "uloq_pg_ml": "ULOQ\npg/ml",
            "n_levels": "Levels",
            "vendor_diff_pct": "Against vendor's curve\nlargest, %",
            "status": "Status",
            "note": "Note",
        },
        file="tables/cytokine_curves.csv",
    )


def vendor_view(wells: pd.DataFrame) -> TableView:
    """Our concentrations against those printed in the file, plate by plate, in samples both call measured."""
    both = wells[(wells["role"] == "sample") & (wells["state"] == "measured") & (wells["vendor_state"] == "measured")]
    rows = []
    for (plate, analyte), own in both.groupby(["plate_id", "analyte"], sort=False):
        apart = own["vendor_diff_pct"].dropna()
        if len(apart):
            rows.append(
                (
                    plate,
                    analyte,
                    len(apart),
                    float(apart.median()),
                    float(apart.quantile(0.05)),
                    float(apart.quantile(0.95)),
                )
            )
    table = pd.DataFrame(rows, columns=["plate_id", "analyte", "n", "median", "low", "high"])
    order = table["median"].abs().sort_values(ascending=False, kind="stable").index
    states = wells[(wells["role"] == "sample") & wells["vendor_state"].notna()]
    other = int(((states["state"] == "measured") != (states["vendor_state"] == "measured")).sum())
    return show_table(
        table.loc[order],
        "Ours minus the vendor's concentration, in percent of the vendor's; the largest first.",
        (
            f"{other} of {len(states)} sample values are measured for one of us and not for the other.",
            "A steady difference points to another weighting or blank; a wide one to another curve.",
        ),
        {
            "plate_id": "Plate",
            "analyte": "Analyte",
            "n": "Values",
            "median": "Median\n%",
            "low": "5th percentile\n%",
            "high": "95th percentile\n%",
        },
        file="tables/cytokine_wells.csv",
    )


def censoring_view(values: pd.DataFrame) -> TableView:
    """How many values of cultures are observed, and how many are bounds, analyte by analyte."""
    own = values[values["culture_id"].notna()]
    counts = own.groupby(["analyte", "censoring"], sort=True).size().unstack(fill_value=0)
    table = counts.reindex(columns=["none", "left", "interval", "right"], fill_value=0).reset_index()
    table["unknown"] = (
        own.groupby("analyte")["censoring"].apply(lambda c: int(c.isna().sum())).reindex(table["analyte"]).to_numpy()
    )
    return show_table(
        table.sort_values(["none", "analyte"], ignore_index=True),
        "Values of cultures: observed, and beyond a limit.",
        (
            "Up to half beyond a limit, over both arms together, a change is estimated from the bounds; above, only detection is compared.",
        ),
        {
            "analyte": "Analyte",
            "none": "Observed",
            "left": "Below",
            "interval": "Between LOD and LLOQ",
            "right": "Above",
            "unknown": "No curve",
        },
        file="tables/cytokine_values.csv",
    )


def controls_view(controls: pd.DataFrame) -> TableView:
    """Kit controls outside their range, and how many were inside."""
    ranged = controls[controls["status"].isin(["in_range", "out_of_range"])]
    out = ranged[ranged["status"] == "out_of_range"]
    return show_table(
        out[["plate_id", "analyte", "control", "conc_pg_ml", "low_pg_ml", "high_pg_ml", "recovery_pct"]],
        "Kit controls outside their range.",
        (f"{len(ranged) - len(out)} of {len(ranged)} controls with a range are inside it.",),
        {
            "plate_id": "Plate",
            "analyte": "Analyte",
            "control": "Control",
            "conc_pg_ml": "Measured\npg/ml",
            "low_pg_ml": "From\npg/ml",
            "high_pg_ml": "To\npg/ml",
            "recovery_pct": "Recovery\n%",
        },
        file="tables/plate_controls.csv",
    )


def bridges_view(bridges: pd.DataFrame) -> TableView:
    """How far plates differ in what both carry, over all analytes."""
    rows = []
    for plate, own in bridges.groupby("plate_id", sort=False):
        rows.append(
            {
                "plate_id": plate,
                "reference": own["reference_plate_id"].iloc[0],
                "analytes": len(own),
                "agree": int(own["agree"].sum()),
                "shift": float(own["shift_log2"].median()),
                "widest": float(own["spread_log2"].max()),
                "applied": int(own["applied"].sum()),
            }
        )
    return show_table(
        pd.DataFrame(rows, columns=["plate_id", "reference", "analytes", "agree", "shift", "widest", "applied"]),
        "Plates against the first one, by the controls and bridge samples both carry.",
        ("Shown; applied only where study.yaml says so and the bridges of the analyte agree within half a doubling.",),
        {
            "plate_id": "Plate",
            "reference": "Against",
            "analytes": "Analytes",
            "agree": "Bridges agree\nanalytes",
            "shift": "Median shift\nlog2",
            "widest": "Widest spread\nlog2",
            "applied": "Applied\nanalytes",
        },
        file="tables/plate_bridges.csv",
    )
