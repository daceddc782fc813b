"""Wells and courses of uptake as tables and readouts."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from helpers.assays.phagocytosis.controls import UPTAKE
from helpers.assays.phagocytosis.kinetics import FEWEST_TIMES, course
from helpers.core.schemas import output_tables
from helpers.study.config import Config

ASSAY = "phagocytosis"
NAN = float("nan")


def kinetics(table: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Summary measures of every culture that was followed over time."""
    lots = tables["cultures"].set_index("culture_id")["msc_lot_id"]
    rows = []
    own = table[table["role"] == UPTAKE]
    for readout, column, unit in (("pct_phagocytic", "pct_positive", "%"), ("signal", "signal", "signal")):
        there = own[own[column].notna()]
        for (culture, donor, condition, target), part in there.groupby(
            ["culture_id", "donor_id", "condition", "target"], dropna=False, sort=True
        ):
            if part["minutes"].nunique() < FEWEST_TIMES:
                continue
            minutes, values = (part[c].to_numpy(dtype="float64") for c in ("minutes", column))
            rows.append(
                {
                    "culture_id": culture,
                    "donor_id": donor,
                    "condition": condition,
                    "msc_lot_id": lots.get(culture),
                    "target": target,
                    "readout": readout,
                    "unit": unit,
                    "n_times": part["minutes"].nunique(),
                    "first_minutes": minutes.min(),
                    "last_minutes": minutes.max(),
                    **vars(course(minutes, values)),
                }
            )
    return pd.DataFrame(rows, columns=output_tables()["kinetics"].columns)


_READOUTS = (
    ("pct_phagocytic", "pct_positive", "%", "logit"),
    ("net_pct_phagocytic", "net_pct_positive", "points", "identity"),
    ("index_mean", "index_mean", "particles per cell", "log2"),
    ("net_index", "net_index", "particles per cell", "identity"),
    ("index_product", "index_product", "% × particles", "log2"),
    ("imfi", "imfi", "fluorescence", "log2"),
    ("signal", "signal", "signal", "log2"),
)
"""Name, column, unit and scale of each readout."""
_COURSES = (("initial_rate", "per min"), ("auc", "· min"), ("plateau", ""))


def _at_the_end(own: pd.DataFrame, courses: pd.DataFrame) -> pd.DataFrame:
    """Wells without the earlier times of a course."""
    last = courses.groupby(["culture_id", "target"])["last_minutes"].max().to_dict()
    keys = zip(own["culture_id"], own["target"], own["minutes"], strict=True)
    kept = [not (minutes < last.get((culture, target), float("-inf"))) for culture, target, minutes in keys]
    return own[pd.Series(kept, index=own.index, dtype=bool)]


def readout_wells(table: pd.DataFrame, courses: pd.DataFrame, wells: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Wells that took up, and courses, as wells for `steps.readouts`; net percentages stay in points.

    A course counts by its summary measures and its last time: a test at every time would ask one question many times.

    Parameters
    ----------
    table, courses
        The output tables ``phagocytosis_wells`` and ``kinetics``.
    wells
        From `controls.placed`.
    config
        study.yaml; its readouts name the scale where it is another.
    """
    own = _at_the_end(table[table["role"] == UPTAKE], courses)
    own = own.merge(wells[["phago_id", "label", "particle_lot"]], on="phago_id", how="left")
    parts = []
    for name, column, unit, scale in _READOUTS:
        there = own[own[column].notna()]
        value = there[column].astype("float64")
        least = 1 / there["n_cells"].astype("float64")
        low, high, counted = value, value, name == "pct_phagocytic"
        if counted:  # none of n is a bound, not 0 %: its logit does not exist
            low, high = value.where(value > 0), value.where(value > 0, 100 * least)
            low, high = low.where(value < 100, 100 * (1 - least)), high.where(value < 100)
        elif name == "index_mean":
            low, high = value.where(value > 0), value.where(value > 0, least)
        elif scale == "log2":  # fluorescence of 0 or less has no logarithm and no bound either
            there = there[value > 0]
            low = high = value[value > 0]
        measured_as = there["method"] + (" " + there["label"].fillna("")).str.rstrip()
        if name == "imfi":  # fluorescence, unlike a share by its own control, is another at another voltage
            measured_as += there["voltage"].map(lambda v: "" if pd.isna(v) else f" {v:g} V")
        parts.append(
            pd.DataFrame(
                {
                    "culture_id": there["culture_id"],
                    "assay": ASSAY,
                    "readout": there["target"] + "|" + name,
                    "unit": unit,
                    "scale": scale,
                    "assay_minutes": there["minutes"],
                    "lower": low,
                    "upper": high,
                    "k": there["n_positive"].astype("float64") if counted else NAN,
                    "n": there["n_cells"].astype("float64") if counted else NAN,
                    "run_id": there["particle_lot"],
                    "comparability": measured_as,
                    "qc": there["qc"],
                }
            )
        )
    for name, unit in _COURSES:
        there = courses[courses[name].notna()]
        prefix = there["readout"].map({"pct_phagocytic": "", "signal": "signal_"})
        parts.append(
            pd.DataFrame(
                {
                    "culture_id": there["culture_id"],
                    "assay": ASSAY,
                    "readout": there["target"] + "|" + prefix + name,
                    "unit": (there["unit"] + " " + unit).str.strip(),
                    "scale": "identity",
                    "lower": there[name].astype("float64"),
                    "upper": there[name].astype("float64"),
                    "qc": "",
                }
            )
        )
    out = pd.concat([p for p in parts if len(p)], ignore_index=True) if any(len(p) for p in parts) else pd.DataFrame()
    if out.empty:
        return out
    planned = {
        r["name"]: r["scale"] for r in config.settings.get("readouts", ()) if r["assay"] == ASSAY and "scale" in r
    }
    return out.assign(scale=out["readout"].map(planned).fillna(out["scale"]))
