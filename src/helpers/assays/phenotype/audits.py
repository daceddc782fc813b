"""What a reader must doubt: autofluorescence by group, events lost at gates, voltages, acquisition, MIFlowCyt gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.assays.phenotype.measure import Measured
from helpers.assays.phenotype.samples import Tube
from helpers.readers.fcs import CONVENTION

FLAG_PCT = 5.0
"""Percent of events in odd stretches, or at margins, from which a file is flagged."""
LOSS_POINTS = 10.0
"""Difference of the groups' median losses at a gate, in percentage points, from which it is marked."""


def autofluorescence(tubes: Sequence[Tube], measured: Mapping[str, Measured], fewest: int) -> pd.DataFrame:
    """Background of every detector in tubes without its dye, in the measured population.

    An unstained tube counts for every detector, an FMO tube for those of its missing markers.

    Parameters
    ----------
    tubes, measured
        All tubes, and what could be measured, by file.
    fewest
        Events a median needs.
    """
    out = []
    for tube in tubes:
        one = measured.get(tube.fcs_file)
        if one is None or tube.role not in ("unstained", "fmo"):
            continue
        rows = one.stats[one.stats["population"] == one.reported[0]]
        for row in rows.itertuples():
            if int(row.n_events) >= fewest and (tube.role == "unstained" or row.marker in tube.missing):
                facts = (tube.fcs_file, tube.donor_id, tube.group, tube.condition, tube.panel_id, tube.role)
                voltage = one.voltages.get(str(row.channel), math.nan)
                out.append(
                    (*facts, row.population, row.channel, row.marker, row.n_events, row.median, row.rsd, voltage)
                )
    return pd.DataFrame(
        out,
        columns=[
            *("fcs_file", "donor_id", "group", "condition", "panel_id", "tube_role", "population", "channel"),
            *("marker", "n_events", "mfi_median", "rsd", "voltage"),
        ],
    )


def autofluorescence_gap(
    background: pd.DataFrame,
    markers: pd.DataFrame,
    groups: Mapping[str, str],
    disease: Sequence[str],
    control: Sequence[str],
) -> pd.DataFrame:
    """Difference of the groups' backgrounds on each detector beside the size of the marker's own signal.

    Medians over donors of donors' medians; tubes of another role or voltage are not mixed: FMO tubes where both
    groups have them, since their macrophages can be told by the other markers, else unstained tubes, at the panel's
    commonest voltage.

    Parameters
    ----------
    background
        From `autofluorescence`.
    markers
        ``phenotype_markers``.
    groups
        Condition by culture_id.
    disease, control
        Group codes by role.
    """
    out = []
    signal = markers.assign(condition=markers["culture_id"].map(groups))
    for (panel, condition, channel, marker), part in background.groupby(
        ["panel_id", "condition", "channel", "marker"], sort=True
    ):
        chosen = next((r for r in ("fmo", "unstained") if _both(part[part["tube_role"] == r], disease, control)), "")
        own = part[part["tube_role"] == chosen]
        common = own["voltage"].mode()
        own = own[own["voltage"].isna() | (own["voltage"] == (common.iloc[0] if len(common) else math.nan))]
        per_donor = own.groupby(["group", "donor_id"])["mfi_median"].median().reset_index()
        sides = [per_donor.loc[per_donor["group"].isin(list(g)), "mfi_median"] for g in (disease, control)]
        here = signal[(signal["panel_id"] == panel) & (signal["condition"] == condition) & (signal["marker"] == marker)]
        delta = float(here["delta_mfi"].median()) if here["delta_mfi"].notna().any() else math.nan
        difference = float(sides[0].median() - sides[1].median()) if min(map(len, sides)) else math.nan
        out.append(
            {
                "panel_id": panel,
                "condition": condition,
                "channel": channel,
                "marker": marker,
                "tube_role": chosen,
                "n_disease": len(sides[0]),
                "n_control": len(sides[1]),
                "disease_median": float(sides[0].median()) if len(sides[0]) else math.nan,
                "control_median": float(sides[1].median()) if len(sides[1]) else math.nan,
                "difference": difference,
                "delta_mfi_median": delta,
                "exceeds_signal": bool(abs(difference) > delta) if not math.isnan(difference + delta) else pd.NA,
            }
        )
    return pd.DataFrame(out)


def _both(part: pd.DataFrame, disease: Sequence[str], control: Sequence[str]) -> bool:
    there = set(part["group"])
    return bool(there & set(disease)) and bool(there & set(control))


def gate_loss(populations: pd.DataFrame, disease: Sequence[str], control: Sequence[str]) -> pd.DataFrame:
    """Percent of events that each gate took away, by group and condition; the median over donors.

    Parameters
    ----------
    populations
        ``phenotype_populations`` with donor_id, group, condition and tube_role.
    disease, control
        Group codes by role.
    """
    own = populations[(populations["tube_role"] == "stained") & (populations["group"] != "")]
    own = own.assign(lost=100 - own["pct_parent"])
    keys = ["gate_set", "population", "parent", "condition"]
    donors = own.groupby([*keys, "group", "donor_id"], sort=False, dropna=False)["lost"].mean().reset_index()
    grouped = donors.groupby([*keys, "group"], sort=False, dropna=False)["lost"]
    out = grouped.agg(n_donors="size", lost_pct="median", lowest_pct="min", highest_pct="max").reset_index()
    sick = out[out["group"].isin(list(disease))].set_index(keys)["lost_pct"]
    well = out[out["group"].isin(list(control))].groupby(keys)["lost_pct"].median()
    difference = (sick.groupby(level=list(range(len(keys)))).median() - well).rename("difference_pct")
    out = out.merge(difference.reset_index(), on=keys, how="left")
    return out.assign(differs=(out["difference_pct"].abs() >= LOSS_POINTS).where(out["difference_pct"].notna(), pd.NA))


def voltages(
    tubes: Sequence[Tube], measured: Mapping[str, Measured], markers: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """Voltage of every detector of every file beside the panel's commonest.

    Parameters
    ----------
    tubes, measured
        All tubes, and what could be measured, by file.
    markers
        Marker by channel, by panel.
    """
    rows = [
        (
            t.fcs_file,
            t.donor_id,
            t.group,
            t.run,
            t.panel_id,
            channel,
            markers.get(t.panel_id, {}).get(channel, ""),
            volts,
        )
        for t in tubes
        if t.fcs_file in measured
        for channel, volts in measured[t.fcs_file].voltages.items()
    ]
    columns = ["fcs_file", "donor_id", "group", "run_id", "panel_id", "channel", "marker", "voltage"]
    table = pd.DataFrame(rows, columns=columns)
    if table.empty:
        return table.assign(usual_voltage=pd.Series(dtype="float64"), changed=pd.Series(dtype="boolean"))
    usual = table.groupby(["panel_id", "channel"])["voltage"].transform(lambda v: v.mode().iloc[0])
    return table.assign(usual_voltage=usual, changed=table["voltage"] != usual)


DRIFT_LOG2 = 0.5
"""Shift of a run, log2 units, under which it is not marked however sure it is."""


def instrument_drift(background: pd.DataFrame, runs: Mapping[str, str]) -> pd.DataFrame:
    """Where a run's background on a detector lies beside the other runs': the instrument, unless its donors differ.

    Each tube counts by log2 of its median less the median of its group, condition, kind of tube and voltage; a donor
    by the mean of their tubes, a run by the median of its donors. A run is marked where that lies beyond 1.96
    standard errors of a median of so many donors, and beyond `DRIFT_LOG2`.

    Parameters
    ----------
    background
        From `autofluorescence`.
    runs
        Run by file.
    """
    rows = background[background["mfi_median"] > 0].assign(run_id=lambda t: t["fcs_file"].map(runs))
    alike = ["panel_id", "channel", "marker", "group", "condition", "tube_role", "voltage"]
    level = np.log2(rows["mfi_median"].astype("float64"))
    rows = rows.assign(off=level - level.groupby([rows[c] for c in alike], dropna=False).transform("median"))
    detector = ["panel_id", "channel", "marker"]
    donors = rows.groupby([*detector, "run_id", "donor_id"])["off"].mean().reset_index()
    spread = 1.4826 * donors.groupby(detector)["off"].agg(lambda v: (v - v.median()).abs().median()).rename("spread")
    out = donors.groupby([*detector, "run_id"])["off"].agg(n_donors="size", shift_log2="median").reset_index()
    out = out.merge(spread.reset_index(), on=detector)
    sure = out["shift_log2"].abs() > 1.96 * math.sqrt(math.pi / 2) * out["spread"] / np.sqrt(out["n_donors"])
    several = out.groupby(detector)["run_id"].transform("size") > 1
    return out.assign(drifts=several & sure & (out["shift_log2"].abs() >= DRIFT_LOG2)).drop(columns="spread")


def acquired(tubes: Sequence[Tube], measured: Mapping[str, Measured]) -> pd.DataFrame:
    """Rate, drift and margins of every file with flags; nothing is removed."""
    rows = []
    for tube in tubes:
        one = measured.get(tube.fcs_file)
        if one is None:
            continue
        flags = [name for name in ("rate", "drift", "margin") if one.acquired[f"{name}_pct"] >= FLAG_PCT]
        rows.append(
            {
                "fcs_file": tube.fcs_file,
                "donor_id": tube.donor_id,
                "group": tube.group,
                "condition": tube.condition,
                "tube_role": tube.role,
                "n_events": one.n_events,
                **one.acquired,
                "flags": ";".join(flags),
            }
        )
    return pd.DataFrame(rows)


def miflowcyt(
    tubes: Sequence[Tube], measured: Mapping[str, Measured], tables: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """The MIFlowCyt checklist (Lee 2008, doi 10.1002/cyto.a.20623): what files and tables say, and what is missing.

    Parameters
    ----------
    tubes, measured
        All tubes, and what could be measured, by file.
    tables
        Typed input tables.
    """
    there = [measured[t.fcs_file] for t in tubes if t.fcs_file in measured]
    panels, gates = tables["phenotype/panels"], tables["phenotype/gates"]

    def keyword(name: str) -> str:
        return "; ".join(sorted({m.cytometer[name] for m in there if m.cytometer.get(name)}))

    def column(name: str) -> str:
        values = panels[name].dropna()
        return f"{len(values)} of {len(panels)} detectors" if len(values) else ""

    roles = pd.Series([t.role for t in tubes]).value_counts().sort_index()
    volts = sum(bool(m.voltages) for m in there)
    kinds = sorted({"gates table" if len(gates) else "gate file or automatic"})
    items: list[tuple[str, str, str]] = [
        ("1.1", "Purpose of the experiment", ""),
        ("1.2", "Keywords", ""),
        ("1.3", "Variables of the experiment", f"{len({t.condition for t in tubes if t.condition})} conditions"),
        ("1.4", "Organisation", ""),
        ("1.5", "Primary contact", ""),
        ("1.6", "Date of the experiment", "kept out on purpose: study days only"),
        ("1.7", "Conclusions", ""),
        ("1.8", "Quality control", "; ".join(f"{n} {role}" for role, n in roles.items())),
        ("2.1", "Samples", f"{len({t.specimen_id for t in tubes if t.specimen_id})} specimens"),
        ("2.2", "Source and treatment of samples", "tables specimens and cultures"),
        ("2.3", "Fluorescence reagents: marker, fluorochrome", column("fluorochrome")),
        ("2.4", "Fluorescence reagents: clone", column("clone")),
        ("2.4", "Fluorescence reagents: lot", column("lot")),
        ("3.1", "Instrument, manufacturer and model", keyword("CYT")),
        ("3.2", "Instrument configuration: lasers", keyword("LASER1NAME")),
        ("3.3", "Detector voltages", f"{volts} of {len(there)} files" if volts else ""),
        ("3.3", "Optical filters", ""),
        ("4.1", "List-mode files", f"{len(there)} files, FCS {keyword('FCS')}" if there else ""),
        ("4.2", "Compensation", keyword("compensation")),
        ("4.3", "Data transformation", f"{CONVENTION} Statistics: no other; polygons and plots: logicle."),
        ("4.4", "Gates and their statistics", ", ".join(kinds) + "; phenotype_populations"),
    ]
    rows = [(n, what, "filled" if value else "gap", value) for n, what, value in items]
    return pd.DataFrame(rows, columns=["item", "what", "status", "value"])


def facts(tube: Tube) -> dict[str, Any]:
    """Who a tube belongs to, as columns."""
    return {
        "fcs_file": tube.fcs_file,
        "culture_id": tube.culture_id,
        "donor_id": tube.donor_id,
        "group": tube.group,
        "condition": tube.condition,
        "tube_role": tube.role,
    }
