"""Readable views of flow cytometry: files and controls, markers, audits, checklist."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.study.config import Config
from helpers.tables.base import TableView, show_table

CONTROL_WORDS = {
    "fmo_same_condition": "FMO, same donor and condition",
    "fmo_same_donor": "FMO, same donor, other condition",
    "unstained_same_condition": "Unstained, same donor and condition",
    "fmo_pooled": "FMO, pooled over the run",
    "none": "None",
}


def controls_view(markers: pd.DataFrame) -> TableView:
    """Which control each marker had, in the order in which controls are preferred: number of files.

    Parameters
    ----------
    markers
        The output table ``phenotype_markers``.
    """
    own = markers[~_flagged(markers, "gates_population")]
    counts = own.pivot_table(index="marker", columns="control_kind", values="fcs_file", aggfunc="count", fill_value=0)
    counts = counts.reindex(columns=list(CONTROL_WORDS), fill_value=0)
    counts["differ"] = own[_flagged(own, "control_kinds_differ")].groupby("marker")["fcs_file"].count()
    counts["differ"] = counts["differ"].fillna(0).astype(int)
    labels = {"marker": "Marker", **CONTROL_WORDS, "differ": "Arms of a pair differ"}
    notes = (
        "The first control that there is, from left to right, sets background and threshold. An isotype never does.",
        "Markers by which the population is cut are left out.",
    )
    return show_table(
        counts.reset_index(), "Controls of each marker, files.", notes, labels, "tables/phenotype_markers.csv"
    )


def _flagged(table: pd.DataFrame, flag: str) -> pd.Series:
    return table["qc"].fillna("").str.split(";").map(lambda flags: flag in flags).astype(bool)


def markers_view(markers: pd.DataFrame, populations: pd.DataFrame, config: Config) -> TableView:
    """Medians over files of each marker by group and condition: ΔMFI, stain index, percent, events.

    Parameters
    ----------
    markers, populations
        The output tables ``phenotype_markers`` and ``phenotype_populations``.
    config
        study.yaml.
    """
    whose = populations.drop_duplicates("fcs_file")[["fcs_file", "group", "condition"]]
    own = markers[~_flagged(markers, "gates_population")].merge(whose, on="fcs_file", how="left")
    labels = {g.code: g.label for g in config.groups} | {c.code: c.label for c in config.conditions}
    own = own.assign(bound=own["censoring"] == "left", mfi_only=own["reported_by"] == "mfi")
    grouped = own.groupby(["population", "marker", "group", "condition"], sort=False)
    rows = grouped.agg(
        files=("fcs_file", "nunique"),
        mfi_background=("mfi_background", "median"),
        delta_mfi=("delta_mfi", "median"),
        bounds=("bound", "sum"),
        stain_index=("stain_index", "median"),
        pct_positive=("pct_positive", "median"),
        n_events=("n_events", "median"),
        mfi_only=("mfi_only", "any"),
    ).reset_index()
    rows["pct_positive"] = rows["pct_positive"].astype("float64")
    rows["told"] = np.where(rows.pop("mfi_only"), "MFI", "MFI and %")
    rows["group"], rows["condition"] = rows["group"].map(labels), rows["condition"].map(labels).fillna("ex vivo")
    notes = (
        "Medians over files. ΔMFI: median of the population less that of its control. Stain index: ΔMFI over twice the control's robust SD.",
        "Within noise: files whose ΔMFI is no larger than its own noise; they enter as bounds.",
        "A marker on nearly all cells is told by its MFI alone.",
    )
    return show_table(rows, "Markers by group and condition.", notes, _MARKER, "tables/phenotype_markers.csv")


_MARKER = {
    "population": "Population",
    "marker": "Marker",
    "group": "Group",
    "condition": "Condition",
    "files": "Files",
    "mfi_background": "Background\nMFI",
    "delta_mfi": "ΔMFI\nMFI",
    "bounds": "Within noise\nfiles",
    "stain_index": "Stain index",
    "pct_positive": "Positive\n%",
    "n_events": "Events",
    "told": "Told by",
}


def gap_view(gap: pd.DataFrame, config: Config) -> TableView:
    """The groups' backgrounds on each detector beside the signal of its marker.

    Parameters
    ----------
    gap
        The output table ``autofluorescence_gap``.
    config
        study.yaml.
    """
    labels = {c.code: c.label for c in config.conditions}
    columns = [c for c in _GAP if c in gap]
    shown = gap.assign(condition=gap["condition"].map(labels).fillna("ex vivo"))[columns] if len(gap) else gap
    note = "Where backgrounds differ by more than the signal, a difference of raw MFI between the groups says nothing of the marker."
    return show_table(shown, "Autofluorescence between the groups.", (note,), _GAP, "tables/autofluorescence_gap.csv")


_GAP = {
    "condition": "Condition",
    "marker": "Marker",
    "channel": "Detector",
    "tube_role": "Tubes",
    "n_disease": "Disease\ndonors",
    "n_control": "Control\ndonors",
    "disease_median": "Disease\nMFI",
    "control_median": "Control\nMFI",
    "difference": "Difference\nMFI",
    "delta_mfi_median": "ΔMFI\nMFI",
    "exceeds_signal": "Exceeds the signal",
}


def acquisition_view(acquired: pd.DataFrame, voltages: pd.DataFrame) -> TableView:
    """Files that ran oddly or at other voltages; nothing was removed from them.

    Parameters
    ----------
    acquired, voltages
        The output tables ``acquisition`` and ``detector_voltages``.
    """
    changed = voltages[voltages["changed"].fillna(False).astype(bool)]
    other = changed.groupby("fcs_file")["channel"].agg(", ".join)
    rows = acquired.assign(voltages=acquired["fcs_file"].map(other).fillna(""))
    rows = rows[(rows["flags"].fillna("") != "") | (rows["voltages"] != "")][list(_ACQUIRED)]
    notes = (
        f"{len(acquired)} files were looked at. Odd rate: stretches of less than half or more than twice the file's usual rate. "
        "Drift: stretches in which a detector's level moved. Flags from 5 % of events.",
    )
    return show_table(rows, "Files that ask for a look.", notes, _ACQUIRED, "tables/acquisition.csv")


_ACQUIRED = {
    "fcs_file": "File",
    "donor_id": "Donor",
    "tube_role": "Tube",
    "n_events": "Events",
    "events_per_second": "Rate\n1/s",
    "rate_pct": "Odd rate\n% of events",
    "drift_pct": "Drift\n% of events",
    "margin_pct": "Margins\n% of events",
    "flags": "Flags",
    "voltages": "Other voltages",
}


def drift_view(drift: pd.DataFrame) -> TableView:
    """Runs whose background on a detector lies apart from the other runs'.

    Parameters
    ----------
    drift
        The output table ``instrument_drift``.
    """
    labels = {
        "run_id": "Run",
        "channel": "Detector",
        "marker": "Marker",
        "n_donors": "Donors",
        "shift_log2": "Shift\nlog2 units",
    }
    rows = drift[drift["drifts"].fillna(False).astype(bool)][list(labels)]
    note = (
        f"{drift['run_id'].nunique()} runs were compared, group, condition, kind of tube and voltage allowed for. "
        "Runs hold other donors: beads tell their light from the instrument's."
    )
    return show_table(rows, "Runs with another background.", (note,), labels, "tables/instrument_drift.csv")


def beads_view(lines: pd.DataFrame) -> TableView:
    """Lines of the calibration beads, and which are used.

    Parameters
    ----------
    lines
        The output table ``bead_calibration``.
    """
    labels = {
        "run_id": "Run",
        "channel": "Detector",
        "marker": "Marker",
        "unit": "Unit",
        "voltage": "Voltage\nV",
        "n_peaks": "Peaks",
        "slope": "Slope",
        "units_per_mfi": "Units per MFI",
        "largest_deviation_pct": "Largest deviation\n%",
        "status": "Status",
        "used": "Used",
    }
    note = (
        "A marker's ΔMFI is given in the beads' units where every stained file with it has a line at its voltage; then it can be compared over voltages and panels."
        if len(lines)
        else "The study gives no calibration beads (phenotype/beads): MFI are compared only within one panel and detector voltage."
    )
    rows = lines[list(labels)].assign(status=lines["status"].str.replace("_", " "))
    return show_table(rows, "Calibration beads.", (note,), labels, "tables/bead_calibration.csv")


def overrides_view(changed: pd.DataFrame) -> TableView:
    """Gates that were changed for one donor or file, with the reason."""
    labels = {
        "gate_set": "Gate set",
        "population": "Population",
        "override_for": "Changed for",
        "n_files": "Files",
        "n_controls": "Control tubes\ngated alike",
        "edges": "Edges",
        "edges_of_all": "Edges of all",
        "reason": "Reason",
        "version": "Version",
    }
    note = (
        "A gate changed for a donor holds for their control tubes too, which are among the files. One changed for a file "
        "holds, for that file alone, for its donor's control tubes: background and threshold are then of the same cells."
    )
    spaced = {c: changed[c].str.replace(";", "; ") for c in ("edges", "edges_of_all")}  # a line may break there
    return show_table(changed.assign(**spaced), "Changed gates.", (note,), labels, "tables/gate_overrides.csv")


def flowjo_view(populations: pd.DataFrame) -> TableView:
    """Populations whose count FlowJo stored too, where it differs from ours.

    Parameters
    ----------
    populations
        The output table ``phenotype_populations``.
    """
    both = populations[populations["flowjo_n_events"].notna()]
    rows = both.assign(difference=both["n_events"] - both["flowjo_n_events"])
    rows = rows[rows["difference"] != 0][["fcs_file", "population", "n_events", "flowjo_n_events", "difference"]]
    labels = {
        "fcs_file": "File",
        "population": "Population",
        "n_events": "Ours",
        "flowjo_n_events": "FlowJo",
        "difference": "Difference",
    }
    notes = (
        f"{len(both)} populations have a count of FlowJo. Ours are by exact geometry; FlowJo gates polygons and ellipses on binned values.",
    )
    return show_table(rows, "Counts that differ from FlowJo's.", notes, labels, "tables/phenotype_populations.csv")


def checklist_view(items: pd.DataFrame) -> TableView:
    """The MIFlowCyt checklist with its gaps."""
    gaps = int((items["status"] == "gap").sum())
    labels = {"item": "Item", "what": "What", "status": "Status", "value": "Answer"}
    note = f"{gaps} of {len(items)} items are for a person to fill in."
    return show_table(items, "MIFlowCyt checklist.", (note,), labels, "tables/miflowcyt.csv")


def moved_view(shares: pd.DataFrame, label: str) -> TableView:
    """Counts and shares of one file as its gates stand and as they would be.

    Parameters
    ----------
    shares
        From `helpers.assays.phenotype.moved.shares`.
    label
        Blinded label of the file.
    """
    labels = {
        "population": "Population",
        "n_parent_stored": "Parent, events\nas stored",
        "n_events_stored": "Events\nas stored",
        "pct_parent_stored": "% of parent\nas stored",
        "n_parent": "Parent, events\nas moved",
        "n_events": "Events\nas moved",
        "pct_parent": "% of parent\nas moved",
    }
    return show_table(shares, f"{label}: all populations of this one file.", (), labels)
