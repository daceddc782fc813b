"""Controls of uptake: which well is whose, what sets the threshold, what is taken off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from helpers.core.problems import Problem

TABLE = "phagocytosis/wells"
UPTAKE, NO_PARTICLE, COLD, INHIBITOR = "uptake", "no_particle", "cold", "inhibitor"
CONTROLS = (NO_PARTICLE, COLD, INHIBITOR)
COLDEST_UPTAKE_C = 15.0
"""Up to this temperature a well with particles is a control: cells bind, and do not ingest."""
PARTNER = ["owner", "visit", "condition", "timepoint_h", "msc_lot_id", "target", "minutes"]
"""What a control shares with its well; the owner is the donor."""
_OF_CULTURES = [
    "culture_id",
    "specimen_id",
    "condition",
    "timepoint_h",
    "msc_lot_id",
    "replicate",
    "batch_day",
    "plate_label",
    "well",
]
OUTLYING = 3.5
"""Robust z of a log count beyond which a well is shown as outlying (Iglewicz and Hoaglin 1993)."""


@dataclass(frozen=True)
class Partners:
    """Controls of one well by phago_id: without particles, and what is taken off (4 °C, else inhibitor)."""

    no_particle: tuple[str, ...] = ()
    background: tuple[str, ...] = ()


def placed(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Uptake wells with donor, visit, condition and role.

    Parameters
    ----------
    tables
        Typed input tables.

    Returns
    -------
    The rows of phagocytosis/wells with the columns of their culture and specimen, owner (the donor, else the
    culture) and role.
    """
    specimens = tables["specimens"][["specimen_id", "donor_id", "visit"]]
    cultures = tables["cultures"][_OF_CULTURES].merge(specimens, on="specimen_id", how="left")
    wells = tables[TABLE].merge(cultures, on="culture_id", how="left")
    owner = wells["donor_id"].fillna(wells["culture_id"])
    return wells.assign(
        owner=owner,
        visit=wells["visit"].fillna(""),
        msc_lot_id=wells["msc_lot_id"].fillna(""),
        role=[_role(one) for one in wells.to_dict("records")],
    )


def _role(one: Mapping[str, object]) -> str:
    temperature, inhibitor, dose = one["temperature_c"], one["inhibitor"], one["particles_per_cell"]
    if not pd.isna(dose) and dose == 0:
        return NO_PARTICLE
    if not pd.isna(inhibitor) and inhibitor != "none":
        return INHIBITOR
    return COLD if not pd.isna(temperature) and float(str(temperature)) <= COLDEST_UPTAKE_C else UPTAKE


def misplaced(wells: pd.DataFrame) -> list[Problem]:
    """Controls that name a well of another donor, condition or target, or none at all; they control nothing.

    Parameters
    ----------
    wells
        From `placed`.
    """
    by_id = wells.set_index("phago_id")
    problems = []
    for one in wells[wells["control_for"].notna()].itertuples():
        if one.control_for not in by_id.index:
            message = "A control names a well that is not in the table."
            problems.append(_aside("control-of-nothing", message, one.phago_id, str(one.control_for), "a phago_id"))
            continue
        well = by_id.loc[one.control_for]
        for column, word in (("owner", "donor"), ("condition", "condition"), ("target", "target")):
            if well[column] != getattr(one, column):
                message = f"A control belongs to another {word} than the well it is named for."
                problems.append(
                    _aside(
                        f"control-of-another-{word}",
                        message,
                        one.phago_id,
                        str(getattr(one, column)),
                        f"{well[column]}, as well {one.control_for}",
                    )
                )
                break
    return problems


def _aside(code: str, message: str, phago_id: object, found: str, expected: str) -> Problem:
    return Problem(
        "quarantine",
        code,
        message,
        "Correct control_for or the culture, or leave control_for empty.",
        file=TABLE,
        column=f"control_for of {phago_id}",
        found=found,
        expected=expected,
        entity=f"uptake {phago_id}",
    )


def partners(wells: pd.DataFrame) -> dict[str, Partners]:
    """The controls of every well that takes up.

    A control named by control_for is taken before all others; else those that share donor, visit, condition, time
    of culture, lot, target and minutes, of the same culture where it has them.

    Parameters
    ----------
    wells
        From `placed`, without what was set aside.

    Returns
    -------
    By phago_id; a well without controls has empty ones.
    """
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    named: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in wells.to_dict("records"):
        if not pd.isna(one["control_for"]):
            named[one["control_for"], one["role"]].append(one["phago_id"])
        groups[_key(one)].append(one)
    out = {}
    for own in groups.values():
        free = [c for c in own if pd.isna(c["control_for"])]
        for one in own:
            if one["role"] == UPTAKE:
                found = {r: tuple(named[one["phago_id"], r]) or _like(one, free, r) for r in CONTROLS}
                out[str(one["phago_id"])] = Partners(found[NO_PARTICLE], found[COLD] or found[INHIBITOR])
    return out


def _key(one: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple("" if pd.isna(one[c]) else str(one[c]) for c in (*PARTNER, "method"))


def _like(one: Mapping[str, Any], others: list[dict[str, Any]], role: str) -> tuple[str, ...]:
    """Controls of a role that share the key: of the same culture, else of any."""
    every = [c for c in others if c["role"] == role]
    near = [c for c in every if c["culture_id"] == one["culture_id"]]
    return tuple(str(c["phago_id"]) for c in near or every)


def outlying(wells: pd.DataFrame) -> pd.Series:
    """Wells whose number of cells is far from that of the study's other wells of the method, target and role.

    Parameters
    ----------
    wells
        method, target, role, n_cells.

    Returns
    -------
    True where |log count − median| is more than `OUTLYING` robust SD; such wells are shown and kept.

    Examples
    --------
    >>> counts = pd.DataFrame({"method": "flow", "target": "bead", "role": "uptake",
    ...                        "n_cells": [900, 1000, 1100, 1050, 950, 5]})
    >>> outlying(counts).tolist()
    [False, False, False, False, False, True]
    """
    log = np.log(wells["n_cells"].astype("float64").where(wells["n_cells"] > 0))
    kinds = [wells[c].fillna("") for c in ("method", "target", "role")]
    distance = (log - log.groupby(kinds).transform("median")).abs()
    spread = 1.4826 * distance.groupby(kinds).transform("median")
    return (distance > OUTLYING * spread.clip(lower=0.05)).fillna(False)
