"""Names of readouts, groups and comparisons as people read them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from helpers.study.config import Config

_MEASURES = {
    "pct": "% positive",
    "delta_mfi": "ΔMFI",
    "pct_phagocytic": "% phagocytic",
    "net_pct_phagocytic": "net % phagocytic",
    "index_mean": "index (mean)",
    "index_product": "index (product)",
    "net_index": "net index",
    "imfi": "iMFI",
    "auc": "AUC",
    "initial_rate": "initial rate",
    "plateau": "plateau",
}

COVARIATES = {"pao2_mmhg": "PaO2", "aa_gradient_mmhg": "P(A-a)O2", "dss": "disease severity score"}
"""Clinical covariates of donors that stand beside the changes, as they are: higher is not turned toward health."""


def readout_words(readout: str) -> str:
    """Name a readout for people, from its name in the tables.

    Examples
    --------
    >>> readout_words("bead|net_pct_phagocytic")
    'bead, net % phagocytic'
    >>> readout_words("IL-6")
    'IL-6'
    """
    *where, measure = readout.split("|")
    return ", ".join([*where, _MEASURES.get(measure, measure) if where else measure])


def readout_of(config: Config, assay: str, readout: str) -> dict[str, Any]:
    """What study.yaml says of a readout; nothing where it does not name it."""
    known = config.settings.get("readouts", ())
    return next((r for r in known if (r["name"], r.get("assay", assay)) == (readout, assay)), {})


def name_of(config: Config, assay: str, readout: str) -> str:
    """The label that study.yaml gives a readout, else its name in words."""
    return str(readout_of(config, assay, readout).get("label") or readout_words(readout))


def groups_of(row: Any, config: Config) -> str:
    """Label of a row's group, or of both with a minus sign between them."""
    labels = {g.code: g.label for g in config.groups}
    return " \N{MINUS SIGN} ".join(labels.get(g.strip(), g.strip()) for g in str(row.group).split("\N{MINUS SIGN}"))


def arms_of(row: Any, config: Config) -> str:
    """Treatment against reference of a row, in labels."""
    labels = {c.code: c.label for c in config.conditions}
    against = f" against {labels.get(row.reference, row.reference)}" if row.reference else ""
    return f"{labels.get(row.treatment, row.treatment)}{against}"


def difference_unit(unit: Any) -> str:
    """Unit of a difference: that of percentages is the percentage point."""
    return "" if not isinstance(unit, str) else "percentage points" if unit == "%" else unit


def times_of(row: Any) -> str:
    """Hours of culture and minutes of the assay of a row, each after a comma; empty where there are none."""
    hours = "" if pd.isna(row.timepoint_h) else f", {row.timepoint_h:g} h"
    return hours + ("" if pd.isna(row.assay_minutes) else f", {row.assay_minutes:g} min")


def comparison_of(row: Any, config: Config) -> str:
    """Treatment against reference with the times."""
    return arms_of(row, config) + times_of(row)
