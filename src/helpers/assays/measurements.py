"""Further measurements: any number per culture, such as Oil Red O, cholesterol or a ΔCt, becomes a readout."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from helpers.assays.steps import Assayed
from helpers.study.config import Config

ASSAY = "measurements"
DEFAULT_SCALE = "identity"
"""Where the plan names none: a ΔCt is a logarithm already, and a difference may be negative."""


def measurements(tables: Mapping[str, pd.DataFrame], config: Config) -> Assayed:
    """The input table ``measurements`` as wells of an assay.

    Parameters
    ----------
    tables
        Typed input tables.
    config
        study.yaml; its readouts name the scale, ``identity`` otherwise.

    Returns
    -------
    The assay; a value with the qualifier < is bounded above by it, one with > below.
    """
    rows = tables[ASSAY]
    scales = {
        r["name"]: r["scale"] for r in config.settings.get("readouts", ()) if r["assay"] == ASSAY and "scale" in r
    }
    value, qualifier = rows["value"].astype("float64"), rows["qualifier"].fillna("=")
    wells = pd.DataFrame(
        {
            "culture_id": rows["culture_id"],
            "assay": ASSAY,
            "readout": rows["readout"],
            "unit": rows["unit"].fillna(""),
            "scale": rows["readout"].map(scales).fillna(DEFAULT_SCALE),
            "lower": value.where(qualifier != "<"),
            "upper": value.where(qualifier != ">"),
        }
    )[value.notna().to_numpy()]
    done = {f"{ASSAY}: {name}": set(part["culture_id"]) for name, part in wells.groupby("readout", sort=True)}
    return Assayed(ASSAY, wells, done)
