"""Tubes: which file holds whose cells, what is in it, and which controls it has, in one printed order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.study.deviations import excluded

FOLDER = "phenotype/fcs"
CONTROL_KINDS = ("fmo_same_condition", "fmo_same_donor", "unstained_same_condition", "fmo_pooled")
"""Controls of a marker from the best to the last; an isotype is none: macrophages bind antibodies by their tails."""


@dataclass(frozen=True)
class Tube:
    """One FCS file of the study.

    Parameters
    ----------
    fcs_file
        Its name in phenotype/fcs.
    culture_id, specimen_id, donor_id, group, condition
        Whose cells; empty where not known. Ex vivo cells have the condition "".
    arm
        Visit, hours and MSC lot: with donor and condition, what a control must share.
    panel_id, role, missing, control_for
        As in phenotype/samples; `missing` are the markers left out of an FMO.
    gate_set
        Gate set named for this file, empty for the panel's.
    run
        Panel and day of acquisition.
    """

    fcs_file: str
    culture_id: str
    specimen_id: str
    donor_id: str
    group: str
    condition: str
    arm: tuple[str, ...]
    panel_id: str
    role: str
    missing: tuple[str, ...]
    control_for: str
    gate_set: str
    run: str


def tubes(tables: Mapping[str, pd.DataFrame], quarantined: AbstractSet[tuple[str, str]]) -> list[Tube]:
    """Rows of phenotype/samples joined to cultures, specimens and donors, in the order of the table.

    Files of donors who withdrew, files and donors that are set aside, and files that deviations exclude are left out.

    Parameters
    ----------
    tables
        Typed input tables.
    quarantined
        Kind and code of what the checks set aside.
    """
    rows = tables["phenotype/samples"]
    if rows.empty:
        return []
    cultures = tables["cultures"][
        ["culture_id", "specimen_id", "condition", "timepoint_h", "msc_lot_id", "batch_day"]
    ].rename(columns={"specimen_id": "of_culture"})
    rows = rows.merge(cultures, on="culture_id", how="left")
    rows["specimen_id"] = rows["of_culture"].fillna(rows["specimen_id"])
    rows = rows.merge(tables["specimens"][["specimen_id", "donor_id", "visit"]], on="specimen_id", how="left")
    rows = rows.merge(tables["donors"][["donor_id", "group", "enrolment_status"]], on="donor_id", how="left")
    rows = rows[~(rows["enrolment_status"] == "withdrawn").fillna(False).astype(bool)]
    files = {("file", code) for kind, code in excluded(tables, "phenotype") if kind == "file"}
    for kind, column in (("file", "fcs_file"), ("donor", "donor_id")):
        out = [code for k, code in files | quarantined if k == kind]
        rows = rows[~rows[column].isin(out).fillna(False).astype(bool)]
    return [_tube(row) for row in rows.to_dict("records")]


def _tube(row: Mapping[Any, Any]) -> Tube:
    def text(name: str) -> str:
        return "" if pd.isna(row.get(name)) else str(row[name])

    day = text("run_day") or text("batch_day")
    return Tube(
        fcs_file=text("fcs_file"),
        culture_id=text("culture_id"),
        specimen_id=text("specimen_id"),
        donor_id=text("donor_id"),
        group=text("group"),
        condition=text("condition"),
        arm=(text("visit"), text("timepoint_h"), text("msc_lot_id")),
        panel_id=text("panel_id"),
        role=text("tube_role"),
        missing=tuple(m.strip() for m in text("missing_marker").split(";") if m.strip()),
        control_for=text("control_for"),
        gate_set=text("gate_set"),
        run=f"{text('panel_id')} day {day}" if day else text("panel_id"),
    )


def control_of(tube: Tube, marker: str, others: Iterable[Tube]) -> tuple[str, tuple[str, ...]]:
    """The best control there is for a marker of a stained tube, by the order of `CONTROL_KINDS`.

    Parameters
    ----------
    tube
        The stained tube.
    marker
        Marker whose background is wanted.
    others
        All tubes of the study.

    Returns
    -------
    Kind and files: one file, or for ``fmo_pooled`` all FMO tubes of the marker in the run; ``none`` and nothing
    where there is no control. Within a kind, a tube that names this file in control_for goes first.
    """
    same_panel = [t for t in others if t.panel_id == tube.panel_id and t.fcs_file != tube.fcs_file]
    fmo = [t for t in same_panel if t.role == "fmo" and marker in t.missing]
    donor = [t for t in fmo if tube.donor_id and t.donor_id == tube.donor_id]
    unstained = [t for t in same_panel if t.role == "unstained" and _same_condition(t, tube)]
    found = (
        ("fmo_same_condition", [t for t in donor if _same_condition(t, tube)]),
        ("fmo_same_donor", donor),
        ("unstained_same_condition", unstained),
    )
    for kind, there in found:
        if there:
            return kind, (_first(there, tube).fcs_file,)
    pooled = sorted(t.fcs_file for t in fmo if t.run == tube.run)
    return ("fmo_pooled", tuple(pooled)) if pooled else ("none", ())


def _same_condition(control: Tube, tube: Tube) -> bool:
    if not tube.donor_id:
        return control.control_for == tube.fcs_file
    same = (control.donor_id, control.condition, control.arm) == (tube.donor_id, tube.condition, tube.arm)
    return same and (bool(control.condition) or control.specimen_id == tube.specimen_id)


def _first(there: Sequence[Tube], tube: Tube) -> Tube:
    """The tube that names the stained file, then one of the same culture, then the same arm, then by name."""
    return min(
        there,
        key=lambda t: (
            t.control_for != tube.fcs_file,
            t.culture_id != tube.culture_id,
            t.arm != tube.arm,
            t.condition != tube.condition,
            t.fcs_file,
        ),
    )


def panel_markers(tables: Mapping[str, pd.DataFrame]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Channel and marker of every detector, by panel, in the order of phenotype/panels."""
    rows = tables["phenotype/panels"]
    return {
        str(panel): tuple(zip(part["channel"].astype(str), part["marker"].astype(str), strict=True))
        for panel, part in rows.groupby("panel_id", sort=False)
    }


def file_path(folder: Path, name: str) -> tuple[Path, str]:
    """Where a file of phenotype/fcs lies, and its path inside the study for messages."""
    inside = f"{FOLDER}/{name}"
    return folder / inside, inside
