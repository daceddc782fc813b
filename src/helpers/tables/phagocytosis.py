"""Readable views of uptake: wells and their controls, beads, courses, what MSC bring into the channel."""

from __future__ import annotations

import pandas as pd

from helpers.core.numbers import show, show_interval
from helpers.stats.thresholds import changes_by_quantile
from helpers.study.config import Config
from helpers.tables.base import TableView, show_table

_SOURCES = {
    "no_particle": "no-particle well of the same donor and condition",
    "cold": "4 °C partner",
    "inhibitor": "partner with inhibitor",
    "other_arm": "the donor's other conditions",
    "counted": "counted, no threshold",
    "none": "none",
}
_CORRECTIONS = {
    "points": "partner subtracted, points",
    "abbott": "partner taken off, Abbott",
    "in_threshold": "in the threshold, nothing subtracted",
    "none": "nothing subtracted",
}


def controls_view(wells: pd.DataFrame, config: Config) -> TableView:
    """How thresholds were set and what was subtracted, by target and condition.

    Parameters
    ----------
    wells
        The output table ``phagocytosis_wells``.
    config
        study.yaml, for labels.
    """
    own = wells[wells["role"] == "uptake"]
    labels = {c.code: c.label for c in config.conditions}
    counted = own.groupby(["target", "condition", "threshold_source", "correction"], sort=False, dropna=False)
    rows = [
        {
            "target": target,
            "condition": labels.get(condition, condition),
            "threshold": _SOURCES.get(source, source),
            "correction": _CORRECTIONS.get(correction, correction),
            "wells": len(part),
            "donors": part["donor_id"].nunique(),
            "cells": float(part["n_cells"].astype("float64").median()),
        }
        for (target, condition, source, correction), part in counted
    ]
    notes = ("The 4 °C partner either sets the threshold or is subtracted, never both.",)
    return show_table(pd.DataFrame(rows, columns=list(_CONTROLS)), "Thresholds and corrections.", notes, _CONTROLS)


_CONTROLS = {
    "target": "Target",
    "condition": "Condition",
    "threshold": "Threshold from",
    "correction": "Correction",
    "wells": "Wells",
    "donors": "Donors",
    "cells": "Macrophages\nmedian",
}


def doubtful_view(wells: pd.DataFrame) -> TableView:
    """Uptake wells with a flag: shown here, and kept."""
    own = wells[(wells["role"] == "uptake") & (wells["qc"].fillna("") != "")]
    shown = own.assign(qc=own["qc"].str.replace("_", " ").str.replace(";", ", "))[list(_DOUBTFUL)]
    notes = (
        "Outlying count: the number of macrophages is more than 3.5 robust SD from that of the study's other wells. Nothing is dropped for it.",
    )
    return show_table(shown, "Wells to look at.", notes, _DOUBTFUL, file="tables/phagocytosis_wells.csv")


_DOUBTFUL = {
    "phago_id": "Well",
    "donor_id": "Donor",
    "condition": "Condition",
    "target": "Target",
    "minutes": "Time\nmin",
    "n_cells": "Macrophages",
    "pct_positive": "Phagocytic\n%",
    "qc": "Flags",
}


def common_threshold_view(wells: pd.DataFrame, config: Config) -> TableView:
    """Percent above each arm's own threshold beside percent above the donor's common one."""
    own = wells[(wells["role"] == "uptake") & wells["pct_positive_common"].notna() & wells["pct_positive"].notna()]
    labels = {c.code: c.label for c in config.conditions}
    rows = [
        {
            "target": target,
            "condition": labels.get(condition, condition),
            "wells": len(part),
            "own": float(part["pct_positive"].median()),
            "common": float(part["pct_positive_common"].median()),
            "largest": float((part["pct_positive"] - part["pct_positive_common"]).abs().max()),
        }
        for (target, condition), part in own.groupby(["target", "condition"], sort=False)
    ]
    notes = ("Common: the largest threshold of the donor's wells without particles.",)
    return show_table(pd.DataFrame(rows, columns=list(_COMMON)), "Own and common thresholds.", notes, _COMMON)


_COMMON = {
    "target": "Target",
    "condition": "Condition",
    "wells": "Wells",
    "own": "Own threshold\nmedian, %",
    "common": "Common threshold\nmedian, %",
    "largest": "Largest difference\npoints",
}


def combs_view(combs: pd.DataFrame, config: Config) -> TableView:
    """Beads per cell by donor and condition, or why they cannot be counted."""
    labels = {c.code: c.label for c in config.conditions}
    once = combs.drop_duplicates("phago_id")
    peaks = combs[combs["position"].notna()].groupby("phago_id").size() - 1
    shown = once.assign(
        condition=once["condition"].map(lambda c: labels.get(c, c)),
        peaks=once["phago_id"].map(peaks).astype("Int64"),
        mean_beads=once["mean_beads"].where(once["identifiable"].astype(bool)),
        status=once["status"].where(once["status"] != "ok", ""),
    )[list(_COMBS)]
    notes = (
        "Beads per macrophage: mean over all of them, the open bin above the last peak by its fluorescence.",
        "Empty where peaks cannot be told apart: integrated MFI is given instead.",
    )
    return show_table(shown, "Beads per macrophage.", notes, _COMBS, file="tables/bead_combs.csv")


_COMBS = {
    "donor_id": "Donor",
    "condition": "Condition",
    "n_cells": "Macrophages",
    "peaks": "Peaks",
    "bead_fluorescence": "One bead\nfluorescence",
    "mean_beads": "Beads\nper macrophage",
    "pct_with_beads": "With a bead\n%",
    "status": "Note",
}


def kinetics_view(kinetics: pd.DataFrame, config: Config) -> TableView:
    """Initial rate, area and plateau of every culture followed over time."""
    labels = {c.code: c.label for c in config.conditions}
    shown = kinetics.assign(
        condition=kinetics["condition"].map(lambda c: labels.get(c, c)),
        interval=[show_interval(a, b) for a, b in zip(kinetics["plateau_low"], kinetics["plateau_high"], strict=True)],
        status=kinetics["status"].str.replace("_", " ").where(kinetics["status"] != "ok", ""),
    )[list(_KINETICS)]
    notes = ("Rate: slope through the first three times. Plateau: of a rise of first order, by least squares.",)
    return show_table(shown, "Courses of uptake.", notes, _KINETICS, file="tables/kinetics.csv")


_KINETICS = {
    "donor_id": "Donor",
    "condition": "Condition",
    "target": "Target",
    "n_times": "Times",
    "initial_rate": "Initial rate\nper min",
    "auc": "Area\nunit × min",
    "plateau": "Plateau",
    "interval": "95 % interval",
    "status": "Note",
}


def msc_signal_view(signal: pd.DataFrame, config: Config) -> TableView:
    """Donors whose macrophages shine with MSC where no particle was given."""
    labels = {c.code: c.label for c in config.conditions}
    shown = signal[signal["raised"].astype(bool)]
    shown = shown.assign(condition=shown["condition"].map(lambda c: labels.get(c, c)))[list(_SIGNAL)]
    notes = (
        f"Checked: {len(signal)} pairs of wells without particles. Listed where more than three times the expected share lies above the reference's threshold and chance does not explain it.",
    )
    return show_table(shown, "Signal that MSC bring.", notes, _SIGNAL, file="tables/msc_signal.csv")


_SIGNAL = {
    "donor_id": "Donor",
    "condition": "Condition",
    "target": "Target",
    "median_reference": "Median without MSC",
    "median": "Median with MSC",
    "pct_above": "Above the reference's threshold\n%",
    "pct_expected": "Expected\n%",
}


def threshold_view(thresholds: pd.DataFrame, donors: pd.DataFrame, config: Config) -> TableView:
    """Mean change of donors at each quantile of the control, in points.

    Parameters
    ----------
    thresholds, donors, config
        As in `stats.thresholds.changes_by_quantile`.
    """
    rows = changes_by_quantile(thresholds, donors, config)
    labels = {c.code: c.label for c in config.conditions} | {g.code: g.label for g in config.groups}
    shown = rows.assign(
        group=rows["group"].map(lambda c: labels.get(c, c)),
        treatment=rows["treatment"].map(lambda c: labels.get(c, c)),
        quantile=[f"{100 * q:g} %" for q in rows["quantile"]],
        change=[show(v) for v in rows["change"]],
        interval=[show_interval(a, b) for a, b in zip(rows["low"], rows["high"], strict=True)],
    )[list(_THRESHOLDS)]
    return show_table(shown, "Change of percent phagocytic by the quantile of the threshold.", (), _THRESHOLDS)


_THRESHOLDS = {
    "target": "Target",
    "group": "Group",
    "treatment": "Condition",
    "quantile": "Quantile",
    "n_donors": "Donors",
    "change": "Change\npoints",
    "interval": "95 % interval",
}
