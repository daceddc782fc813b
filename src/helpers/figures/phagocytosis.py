"""Figures of uptake: histograms with their controls, bead combs, courses over time, doses, thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from helpers.core.files import safe_name
from helpers.core.numbers import show as number
from helpers.core.numbers import show_interval
from helpers.figures.base import Picture, drawn, sentence_picture
from helpers.figures.style import BLUE, COLUMN_IN, GREY, ORANGE, PAGE_IN, group_looks
from helpers.stats.thresholds import changes_by_quantile
from helpers.study.config import Condition, Config

ACROSS, MOST_PANELS = 6, 36
_ROLES = {"no_particle": (GREY, "without particles"), "cold": (BLUE, "4 °C"), "uptake": (ORANGE, "37 °C")}


def all_histograms(histograms: pd.DataFrame, wells: pd.DataFrame, config: Config) -> Iterator[Picture]:
    """`histograms_of` of every target and condition that has events, each drawn when it is asked for."""
    pairs = histograms[["target", "condition"]].drop_duplicates()
    order = {c.code: i for i, c in enumerate(config.conditions)}
    found = sorted(pairs.itertuples(index=False), key=lambda p: (p.target, order.get(p.condition, len(order))))
    if not found:
        yield sentence_picture("uptake_histograms", "No uptake was measured cell by cell.", histograms, PAGE_IN)
    for one in found:
        yield histograms_of(histograms, wells, config, one.target, one.condition)


@drawn
def histograms_of(
    histograms: pd.DataFrame, wells: pd.DataFrame, config: Config, target: str, condition: str
) -> Picture:
    """Uptake channel of each donor's well with its controls over it and the threshold, one panel a donor.

    Parameters
    ----------
    histograms, wells
        The output tables ``uptake_histograms`` and ``phagocytosis_wells``.
    config
        study.yaml.
    target, condition
        Which wells.
    """
    rows = histograms[(histograms["target"] == target) & (histograms["condition"] == condition)]
    own = wells[(wells["target"] == target) & (wells["condition"] == condition) & (wells["role"] == "uptake")]
    figure, panels = _panels(own)
    for axes, well in panels:
        _over_controls(axes, rows, well)
        axes.set_title(f"{well.donor_id}{_above(well)}", fontsize=6.5)
    _legend(figure)
    label = _label(config, condition)
    share = own["pct_positive"].dropna().astype("float64")
    alt = f"Histograms of {target} uptake, {label}: {own['donor_id'].nunique()} donors" + (
        f", percent above the threshold {number(float(share.min()))} to {number(float(share.max()))}."
        if len(share)
        else "."
    )
    caption = (
        f"{target}, {label}. Density of macrophages over fluorescence (linear scale), the well and its controls. "
        "Dashed: the threshold; beside the donor: percent of macrophages above it."
    )
    return Picture(figure, f"uptake_{target}_{condition}", alt, caption, rows.reset_index(drop=True))


@drawn
def donor_histograms(histograms: pd.DataFrame, wells: pd.DataFrame, config: Config) -> Picture:
    """One donor's uptake channel in every condition with its controls over it, one panel a target and condition.

    Parameters
    ----------
    histograms, wells
        The output tables ``uptake_histograms`` and ``phagocytosis_wells``, of one donor.
    config
        study.yaml.
    """
    donor = str(wells["donor_id"].iloc[0]) if len(wells) else ""
    name = f"donor_uptake_{safe_name(donor)}"
    own = wells[(wells["role"] == "uptake") & wells["phago_id"].isin(histograms["phago_id"])]
    if own.empty:
        return sentence_picture(name, "No uptake was measured cell by cell.", own, PAGE_IN)
    order = {c.code: i for i, c in enumerate(config.conditions)}
    own = own.assign(place=own["condition"].map(order)).sort_values(["target", "place", "minutes"])
    own = own.drop_duplicates(["target", "condition"]).head(MOST_PANELS)
    figure, panels = _grid(own)
    for axes, well in panels:
        rows = histograms[(histograms["target"] == well.target) & (histograms["condition"] == well.condition)]
        _over_controls(axes, rows, well)
        axes.set_title(f"{well.target}, {_label(config, str(well.condition))}{_above(well)}", fontsize=5.5)
    _legend(figure)
    said = "; ".join(f"{w.target}, {_label(config, str(w.condition))}{_above(w)}" for w in own.itertuples())
    caption = (
        "Density of macrophages over fluorescence of particles (linear scale), each well and its controls. Dashed: the "
        "threshold; beside the condition: percent of macrophages above it."
    )
    return Picture(
        figure, name, f"Uptake of {donor} above each threshold: {said}.", caption, own.reset_index(drop=True)
    )


def _over_controls(axes: Axes, rows: pd.DataFrame, well: Any) -> None:
    """A well's histogram, its controls over it, and its threshold."""
    there = rows[(rows["donor_id"] == well.donor_id) & (rows["minutes"] == well.minutes)]
    for role, (colour, _) in _ROLES.items():
        part = there[there["role"] == role]
        _steps(axes, part[part["phago_id"] == part["phago_id"].iloc[0]] if len(part) else part, colour)
    axes.set_ylim(0, 1.5 * _tallest(there[there["role"] == "uptake"]))  # controls are narrow and would flatten it
    if not pd.isna(well.threshold):
        axes.axvline(well.threshold, color="#222222", linewidth=0.7, linestyle="--")


def _above(well: Any) -> str:
    return "" if pd.isna(well.pct_positive) else f"  {number(float(well.pct_positive))} %"


def _legend(figure: Figure) -> None:
    handles = [Line2D([], [], color=colour, label=label) for colour, label in _ROLES.values()]
    handles.append(Line2D([], [], color="#222222", linestyle="--", linewidth=0.7, label="threshold"))
    figure.legend(handles=handles, loc="outside lower left", ncols=4)


def all_combs(histograms: pd.DataFrame, combs: pd.DataFrame, config: Config) -> Iterator[Picture]:
    """`combs_of` of every condition that has combs, each drawn when it is asked for."""
    order = [c.code for c in config.conditions if (combs["condition"] == c.code).any()]
    if not order:
        yield sentence_picture("bead_combs", "No bead uptake was measured cell by cell.", combs, PAGE_IN)
    for code in order:
        yield combs_of(histograms, combs, config, code)


@drawn
def combs_of(histograms: pd.DataFrame, combs: pd.DataFrame, config: Config, condition: str) -> Picture:
    """Histogram of each bead well with the fitted peaks over it, one panel a donor.

    Parameters
    ----------
    histograms, combs
        The output tables ``uptake_histograms`` and ``bead_combs``.
    config
        study.yaml.
    condition
        Which wells.
    """
    rows = combs[combs["condition"] == condition]
    figure, panels = _panels(rows.drop_duplicates("phago_id"))
    for axes, well in panels:
        events = histograms[histograms["phago_id"] == well.phago_id]
        _steps(axes, events, GREY)
        fitted = rows[(rows["phago_id"] == well.phago_id) & rows["position"].notna()]
        if len(fitted) and len(events):
            x = np.linspace(float(events["low"].min()), float(events["high"].max()), 400)
            axes.plot(x, _mixture(x, fitted), color=ORANGE if well.identifiable else BLUE, linewidth=0.8)
        beads = f"  {number(float(well.mean_beads))}" if well.identifiable else "  not resolved"
        axes.set_title(f"{well.donor_id}{beads}", fontsize=6.5)
    label = _label(config, condition)
    once = rows.drop_duplicates("phago_id")
    good = once[once["identifiable"].astype(bool)]
    alt = f"Bead combs, {label}: {len(good)} of {len(once)} wells with peaks that stand apart" + (
        f"; beads per cell {number(float(good['mean_beads'].min()))} to {number(float(good['mean_beads'].max()))}."
        if len(good)
        else "."
    )
    caption = (
        f"Beads, {label}. Grey: macrophages; orange: fitted mixture, whose peaks share one bead's fluorescence (blue where peaks cannot be told "
        "apart). Beside the donor: beads per macrophage, those without beads included. The open bin above the last peak is not drawn."
    )
    return Picture(figure, f"bead_combs_{condition}", alt, caption, rows.reset_index(drop=True))


def _mixture(x: np.ndarray, fitted: pd.DataFrame) -> np.ndarray:
    peaks = fitted[~fitted["is_open"].astype(bool)]
    centre, sd, share = (peaks[c].to_numpy(dtype="float64") for c in ("position", "sd", "share"))
    z = (x[:, None] - centre) / sd
    return np.asarray((share * np.exp(-0.5 * z**2) / (sd * np.sqrt(2 * np.pi))).sum(axis=1))


def _panels(wells: pd.DataFrame) -> tuple[Figure, Iterator[tuple[Axes, Any]]]:
    """A grid with one panel a well, in the order of donors."""
    return _grid(wells.sort_values(["donor_id", "minutes"]).drop_duplicates("donor_id").head(MOST_PANELS))


def _grid(chosen: pd.DataFrame) -> tuple[Figure, Iterator[tuple[Axes, Any]]]:
    """A grid with one panel a row."""
    down = max(1, -(-len(chosen) // ACROSS))
    figure = Figure(figsize=(PAGE_IN, 0.95 * down + 0.35), layout="constrained")

    def made() -> Iterator[tuple[Axes, Any]]:
        for i, well in enumerate(chosen.itertuples(), 1):
            axes = figure.add_subplot(down, ACROSS, i)
            axes.set_yticks([])
            axes.tick_params(labelsize=5, length=2)
            axes.locator_params(axis="x", nbins=4)
            yield axes, well

    return figure, made()


def _steps(axes: Axes, bins: pd.DataFrame, colour: str) -> None:
    if bins.empty or not (bins["high"] > bins["low"]).all():
        return
    bins = bins.sort_values("low")
    edges = np.append(bins["low"].to_numpy(dtype="float64"), float(bins["high"].iloc[-1]))
    counts = bins["n_cells"].to_numpy(dtype="float64")
    axes.stairs(counts / counts.sum() / np.diff(edges), edges, color=colour, linewidth=0.8)


def _tallest(bins: pd.DataFrame) -> float:
    """Largest density of a histogram; 1 where there is none."""
    width = (bins["high"] - bins["low"]).astype("float64")
    density = bins["n_cells"].astype("float64") / bins["n_cells"].sum() / width.where(width > 0)
    return float(density.max()) if density.notna().any() else 1.0


def _label(config: Config, code: str) -> str:
    return next((c.label for c in config.conditions if c.code == code), code)


# ---- over time


def all_courses(wells: pd.DataFrame, kinetics: pd.DataFrame, config: Config) -> Iterator[Picture]:
    """`courses_of` of every target that was followed over time, each drawn when it is asked for."""
    if kinetics.empty:
        nothing = "No uptake was followed over at least three times."
        yield sentence_picture("uptake_courses", nothing, kinetics, PAGE_IN)
    for target in sorted(set(kinetics["target"])):
        yield courses_of(wells, kinetics, config, target)


@drawn
def courses_of(wells: pd.DataFrame, kinetics: pd.DataFrame, config: Config, target: str) -> Picture:
    """Uptake over time, one panel a donor, one line a condition, the fitted plateau beside it.

    Parameters
    ----------
    wells, kinetics
        The output tables ``phagocytosis_wells`` and ``kinetics``.
    config
        study.yaml.
    target
        What is taken up.
    """
    fits = kinetics[kinetics["target"] == target]
    column = {"signal": "signal"}.get(str(fits["readout"].iloc[0]), "pct_positive")
    rows = wells[
        (wells["role"] == "uptake") & wells["culture_id"].isin(fits["culture_id"]) & (wells["target"] == target)
    ]
    donors = list(dict.fromkeys(rows["donor_id"].dropna()))[:MOST_PANELS]
    conditions = [c for c in config.conditions if (rows["condition"] == c.code).any()]
    colours = dict(zip([c.code for c in conditions], (BLUE, ORANGE, GREY, "#009E73", "#7B4FA3") * 3, strict=False))
    down = max(1, -(-len(donors) // 3))
    figure = Figure(figsize=(PAGE_IN, 1.6 * down + 0.4), layout="constrained")
    top = float(rows[column].max()) * 1.05
    for i, donor in enumerate(donors):
        axes = figure.add_subplot(down, 3, i + 1)
        for culture, own in rows[rows["donor_id"] == donor].groupby("culture_id", sort=False):
            _course(axes, own.sort_values("minutes"), column, fits[fits["culture_id"] == culture], colours)
        axes.set_title(str(donor), fontsize=7)
        axes.set_ylim(0, top)
        if i % 3 == 0:
            axes.set_ylabel("%" if column == "pct_positive" else "signal")
        if i >= len(donors) - 3:
            axes.set_xlabel("minutes")
    handles = [Line2D([], [], color=colours[c.code], marker="o", markersize=3, label=c.label) for c in conditions]
    figure.legend(handles=handles, loc="outside lower left", ncols=4)
    alt = f"{target} over time in {len(donors)} donors. " + " ".join(
        f"{c.label}: median plateau {number(float(fits.loc[fits['condition'] == c.code, 'plateau'].median()))}."
        for c in conditions
        if fits.loc[fits["condition"] == c.code, "plateau"].notna().any()
    )
    caption = (
        f"{target}: share of macrophages with uptake over time. Bars at the right: plateau of a rise of first order with its 95 % interval, "
        "where the data hold one."
    )
    return Picture(figure, f"uptake_course_{target}", alt, caption, fits.reset_index(drop=True))


def _course(axes: Axes, own: pd.DataFrame, column: str, fit: pd.DataFrame, colours: dict[str, str]) -> None:
    colour = colours[str(own["condition"].iloc[0])]
    axes.plot(
        own["minutes"].astype("float64"),
        own[column].astype("float64"),
        "o-",
        color=colour,
        markersize=2.5,
        linewidth=0.9,
    )
    if len(fit) and not pd.isna(fit["plateau"].iloc[0]):
        level, low, high = (float(fit[c].iloc[0]) for c in ("plateau", "plateau_low", "plateau_high"))
        at = float(own["minutes"].max()) * 1.07
        axes.errorbar(
            [at], [level], [[level - low], [high - level]], fmt="_", color=colour, markersize=5, linewidth=0.9
        )


# ---- over doses


def all_doses(readouts: pd.DataFrame, config: Config, names: Sequence[str] = ()) -> Iterator[Picture]:
    """`doses_of` of every readout measured at two or more doses of MSC, each when it is asked for; `names` chooses some."""
    rows = _with_ratio(readouts, config)
    counts = rows[rows["ratio"] > 0].groupby("readout")["ratio"].nunique()
    chosen = [n for n in counts[counts > 1].index if not names or n in names]
    if not chosen:
        yield sentence_picture("uptake_doses", "No readout has two doses of MSC.", rows, PAGE_IN)
    for name in chosen:
        yield doses_of(readouts, config, name)


def _with_ratio(readouts: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Uptake of untreated macrophages (ratio 0) and of direct co-cultures, with MSC per macrophage."""
    series = [c for c in config.conditions if c.cells == "am_msc" and c.msc_am_ratio and not c.stimulus]
    ratios = {c.code: float(c.msc_am_ratio or 0) for c in series} | {_reference(c): 0.0 for c in series}
    rows = readouts[(readouts["assay"] == "phagocytosis") & readouts["condition"].isin(ratios)]
    return rows.assign(ratio=rows["condition"].map(ratios).astype("float64"))


def _reference(condition: Condition) -> str:
    return condition.compare_to


@drawn
def doses_of(readouts: pd.DataFrame, config: Config, readout: str) -> Picture:
    """Each donor's value over MSC per macrophage; none is a level of its own, left of the logarithmic axis.

    Parameters
    ----------
    readouts
        The output table ``readouts``.
    config
        study.yaml.
    readout
        Which one.
    """
    rows = _with_ratio(readouts, config)
    rows = rows[(rows["readout"] == readout) & rows["value"].notna()]
    several = rows[rows["ratio"] > 0].groupby("donor_id")["ratio"].nunique()
    rows = rows[rows["donor_id"].isin(several[several > 1].index)]
    levels = sorted(rows.loc[rows["ratio"] > 0, "ratio"].unique())
    place = {0.0: np.log2(levels[0]) - 1.5} | {r: np.log2(r) for r in levels}
    looks = group_looks(config)
    figure = Figure(figsize=(COLUMN_IN * 1.2, 2.4), layout="constrained")
    axes = figure.add_subplot()
    for _, own in rows.groupby("donor_id", sort=True):
        own = own.sort_values("ratio")
        colour, marker = looks[str(own["group"].iloc[0])]
        x, y = own["ratio"].map(place).to_numpy(dtype="float64"), own["value"].to_numpy(dtype="float64")
        some = own["ratio"].to_numpy() > 0
        axes.plot(x[some], y[some], color=colour, marker=marker, markersize=4, linewidth=0.9)
        axes.plot(x[~some], y[~some], color=colour, marker=marker, markersize=4, markerfacecolor="white", linestyle="")
    axes.axvline(np.log2(levels[0]) - 0.75, color=GREY, linewidth=0.6, linestyle=":")
    axes.set_xticks(list(place.values()), ["none", *(f"{r:g}" for r in levels)])
    axes.set_xlabel("MSC per macrophage")
    axes.set_ylabel(f"{readout}, {rows['unit'].iloc[0]}")
    medians = rows.groupby("ratio")["value"].median()
    alt = f"{readout} over doses of MSC in {rows['donor_id'].nunique()} donors. Medians: " + ", ".join(
        f"{number(float(v))} at {f'{r:g}' if r else 'none'}" for r, v in medians.items()
    )
    caption = (
        f"{readout}: each line is a donor over doses of MSC. Without MSC (open) is a level of its own: it has no "
        "logarithm, and the step from none to some is another question than more or less."
    )
    columns = ["donor_id", "group", "condition", "ratio", "readout", "unit", "value"]
    return Picture(
        figure, f"doses_{readout.replace('|', '_')}", f"{alt}.", caption, rows[columns].reset_index(drop=True)
    )


# ---- thresholds


@drawn
def threshold_sensitivity(thresholds: pd.DataFrame, donors: pd.DataFrame, config: Config) -> Picture:
    """Mean change of donors by each treatment, for thresholds at several quantiles of the control.

    Parameters
    ----------
    thresholds
        The output table ``uptake_thresholds``.
    donors
        donor_id and group: donors_derived.
    config
        study.yaml.
    """
    rows = changes_by_quantile(thresholds, donors, config)
    if rows.empty:
        return sentence_picture("threshold_sensitivity", "No pair was measured cell by cell.", rows, PAGE_IN)
    looks, labels = group_looks(config), {g.code: g.label for g in config.groups}
    figure = Figure(figsize=(COLUMN_IN * 1.3, 2.3), layout="constrained")
    axes = figure.add_subplot()
    lines = list(rows.groupby(["group", "treatment", "target"], sort=False))
    quantiles = sorted(rows["quantile"].unique())
    for i, ((group, treatment, target), own) in enumerate(lines):
        shift = (i - (len(lines) - 1) / 2) * 0.12
        x = own["quantile"].map(quantiles.index).to_numpy(dtype="float64") + shift
        y, low, high = (own[c].to_numpy(dtype="float64") for c in ("change", "low", "high"))
        colour, marker = looks[str(group)]
        label = f"{labels[str(group)]}, {_label(config, str(treatment))}, {target}"
        axes.errorbar(x, y, [y - low, high - y], color=colour, marker=marker, markersize=4, linewidth=0.9, label=label)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.set_xticks(range(len(quantiles)), [f"{100 * q:g} %" for q in quantiles])
    axes.set_xlabel("quantile of the control that sets the threshold")
    axes.set_ylabel("change, points")
    figure.legend(loc="outside lower left", ncols=1)
    alt = "Change of percent phagocytic by the quantile of the threshold. " + " ".join(
        f"{labels[str(r.group)]}, {_label(config, str(r.treatment))}, {100 * r.quantile:g} %: {number(r.change)} points "
        f"({show_interval(r.low, r.high)})."
        for r in rows.itertuples()
    )
    caption = (
        "Mean change of donors in percentage points with its 95 % interval, for thresholds at several quantiles of the control. A conclusion "
        "that turns with the quantile is one of the threshold, not of the cells."
    )
    return Picture(figure, "threshold_sensitivity", alt, caption, rows)
