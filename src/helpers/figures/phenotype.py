"""Figures of flow cytometry: gates on densities, events lost at gates, autofluorescence, four quadrants."""

from __future__ import annotations

import re
from typing import Any, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.ticker import FuncFormatter

from helpers.analysis import Analysis
from helpers.assays.flow.transforms import transformed
from helpers.assays.phenotype.pictures import BINS, SCALE, Axis, Step, gating_steps
from helpers.core.numbers import show as number
from helpers.core.problems import Refused
from helpers.figures.base import Picture, drawn, sentence_picture
from helpers.figures.style import GREY, ORANGE, PAGE_IN, PURPLE, group_looks
from helpers.study.config import Config

ACROSS = 3
DECADES = (-1e2, 0.0, 1e2, 1e3, 1e4, 1e5)
_MINOR = tuple(s * m * 10.0**e for s in (1, -1) for e in (2, 3, 4) for m in range(1, 10))
_DECADE_WORDS = ("−10²", "0", "10²", "10³", "10⁴", "10⁵")


@drawn
def gating_strategy(data: Analysis, fcs_file: str) -> Picture:
    """The gates of one file, step by step: density of the parent's events, the gate, the share it keeps.

    Parameters
    ----------
    data
        The analysis.
    fcs_file
        File in phenotype/fcs.
    """
    name = f"gating_{re.sub(r'[^A-Za-z0-9-]', '-', fcs_file.rsplit('.', 1)[0])}"
    markers = data.table("phenotype_markers")
    own = markers[(markers["fcs_file"] == fcs_file) & markers["threshold"].notna()]
    try:
        steps = gating_steps(
            data.folder, data.study_tables, fcs_file, dict(zip(own["marker"], own["threshold"], strict=True))
        )
    except Refused:
        steps = []
    if not steps:
        return sentence_picture(name, f"{fcs_file} has no gates that can be drawn.", own.iloc[:0], PAGE_IN)
    down = -(-len(steps) // ACROSS)
    figure = Figure(figsize=(PAGE_IN, 2.3 * down + 0.1), layout="constrained")
    for i, step in enumerate(steps):
        step_panel(figure.add_subplot(down, ACROSS, i + 1), step)
    shares = pd.DataFrame(
        [(s.population, s.parent, s.n_events, s.n_parent, _share(s)) for s in steps],
        columns=["population", "parent", "n_events", "n_parent", "pct_parent"],
    )
    whose = _whose(data, fcs_file)
    words = " ".join(f"{s.population} {number(_share(s))} % of {s.parent or 'all events'}." for s in steps)
    caption = (
        f"Gates of {fcs_file} ({whose}). Density of the parent's events; inside the line, the share that is kept. Dyes "
        "are compensated and on a logicle scale, scatter is linear; events beyond an axis lie on its edge."
    )
    return Picture(figure, name, f"Gating of {whose}. {words}", caption, shares)


def _share(step: Step) -> float:
    return 100 * step.n_events / step.n_parent if step.n_parent else float("nan")


def _whose(data: Analysis, fcs_file: str) -> str:
    table = data.table("phenotype_populations")
    row = table[table["fcs_file"] == fcs_file].iloc[0]
    labels = {g.code: g.label for g in data.config.groups} | {c.code: c.label for c in data.config.conditions}
    parts = (row["donor_id"], labels.get(row["group"], row["group"]), labels.get(row["condition"], row["condition"]))
    return ", ".join(str(p) for p in parts if isinstance(p, str) and p)


def step_panel(axes: Axes, step: Step) -> None:
    """Draw one gate: density of the parent's events, the gate's outline, decades or thousands on the axes."""
    edges = np.linspace(0, 1, BINS + 1)
    density = np.ma.masked_equal(step.density.T, 0)
    axes.pcolormesh(
        edges, edges, density, cmap="viridis", norm=LogNorm(1, max(float(step.density.max()), 2.0)), rasterized=True
    )
    for x, y in step.outlines:
        axes.plot(x, y, color=ORANGE, linewidth=1.3, clip_on=True)
    for which, axis in ((axes.xaxis, step.x), (axes.yaxis, step.y)):
        axis_ticks(which, axis)
    axes.set(xlim=(0, 1), ylim=(0, 1))  # after the ticks, which would widen them
    axes.set_xlabel(step.x.label, fontsize=7)
    axes.set_ylabel(step.y.label, fontsize=7)
    axes.set_title(f"{step.population}: {number(_share(step))} %", fontsize=7.5)
    axes.tick_params(labelsize=6)


def axis_ticks(which: Any, axis: Axis) -> None:
    """Decades on a logicle axis, thousands on a linear one."""
    if axis.dyed:
        which.set_ticks(transformed(np.array(DECADES), SCALE).tolist(), labels=list(_DECADE_WORDS))
        minor = transformed(np.array(_MINOR), SCALE)
        _marks(which, minor[(minor >= 0) & (minor <= 1)])
    else:
        places = np.array([0, 0.25, 0.5, 0.75, 1.0])
        which.set_ticks(places.tolist(), labels=[f"{v:.0f}k" if v else "0" for v in places * axis.top / 1000])


def _marks(which: Any, places: np.ndarray) -> None:
    """Minor ticks as one line: they have no words, and a `Tick` for each would take half the time of the panel."""
    axes, name, across = which.axes, which.axis_name, np.zeros(len(places))
    upright, look = name == "x", cast("dict[str, Any]", mpl.rcParams)
    axes.plot(
        *((places, across) if upright else (across, places)),
        linestyle="",
        marker=TICKDOWN if upright else TICKLEFT,
        markersize=look[f"{name}tick.minor.size"],
        markeredgewidth=look[f"{name}tick.minor.width"],
        color=look[f"{name}tick.color"],
        transform=axes.get_xaxis_transform() if upright else axes.get_yaxis_transform(),
        clip_on=False,
    )


def representative_files(data: Analysis) -> list[str]:
    """One stained file a group without treatment: the one whose measured share is nearest its group's median."""
    table = data.table("phenotype_populations")
    names = set(data.table("phenotype_markers")["population"])
    reference = {c.code for c in data.config.conditions if c.role == "reference"}
    own = table[(table["tube_role"] == "stained") & table["condition"].isin(reference)]
    own = own[own["population"].str.split("/").str[-1].isin(names) & own["pct_parent"].notna()]
    files = []
    for group in data.config.groups:
        part = own[own["group"] == group.code].sort_values("fcs_file")
        if len(part):
            far = (part["pct_parent"] - part["pct_parent"].median()).abs()
            files.append(str(part.loc[far.idxmin(), "fcs_file"]))
    return files


def representative_gating(data: Analysis) -> list[Picture]:
    """`gating_strategy` of one representative file of each group."""
    return [gating_strategy(data, file) for file in representative_files(data)]


def donor_gating(data: Analysis, donor_id: str) -> list[Picture]:
    """`gating_strategy` of every stained file of one donor."""
    table = data.table("phenotype_populations")
    own = table[(table["donor_id"] == donor_id) & (table["tube_role"] == "stained")]
    return [gating_strategy(data, file) for file in dict.fromkeys(own["fcs_file"])]


@drawn
def gate_loss(loss: pd.DataFrame, config: Config) -> Picture:
    """Percent of events that each gate took away, by group, one panel a condition: median and range over donors.

    Parameters
    ----------
    loss
        The output table ``gate_loss``.
    config
        study.yaml.
    """
    if loss.empty:
        return sentence_picture("gate_loss", "No stained file was gated.", loss, PAGE_IN)
    looks, labels = group_looks(config), {g.code: g.label for g in config.groups}
    titles = {c.code: c.label for c in config.conditions}
    conditions, gates = list(dict.fromkeys(loss["condition"])), list(dict.fromkeys(loss["population"]))
    figure = Figure(figsize=(PAGE_IN, 0.32 * len(gates) + 1.0), layout="constrained")
    panels = figure.subplots(1, len(conditions), sharey=True, squeeze=False)[0]
    for axes, condition in zip(panels, conditions, strict=True):
        for g, group in enumerate(config.groups):
            rows = loss[(loss["condition"] == condition) & (loss["group"] == group.code)]
            colour, marker = looks[group.code]
            at = [gates.index(p) + (g - (len(config.groups) - 1) / 2) * 0.25 for p in rows["population"]]
            axes.hlines(at, rows["lowest_pct"], rows["highest_pct"], color=colour, linewidth=1.2)
            axes.plot(rows["lost_pct"], at, marker, color=colour, markersize=4.5, label=labels[group.code])
        axes.set_title(titles.get(condition, condition or "ex vivo"), fontsize=8)
        axes.set_xlabel("Events lost, % of parent")
        axes.set_xlim(left=0)
    panels[0].set_yticks(range(len(gates)), [g.rpartition("/")[2] for g in gates])
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(config.groups))
    marked = loss[loss["differs"].fillna(False).astype(bool)].drop_duplicates(["population", "condition"])
    words = "; ".join(
        f"{r.population.rpartition('/')[2]}, {titles.get(r.condition, r.condition)}: {number(r.difference_pct)} points"
        for r in marked.itertuples()
    )
    alt = f"Events lost at each gate. Ten points or more between the groups: {words or 'nowhere'}."
    caption = (
        "Percent of the parent's events that each gate took away; median (mark) and range (line) over donors. A gate that "
        "cuts one group more leaves other cells in that group, and every later number is about those."
    )
    return Picture(figure, "gate_loss", alt, caption, loss)


@drawn
def autofluorescence(background: pd.DataFrame, gap: pd.DataFrame, config: Config) -> Picture:
    """Background of each detector in tubes without its dye, donor by donor, beside the marker's own signal.

    Parameters
    ----------
    background, gap
        The output tables ``autofluorescence`` and ``autofluorescence_gap``.
    config
        study.yaml.
    """
    if background.empty:
        return sentence_picture("autofluorescence", "There is no unstained and no FMO tube.", background, PAGE_IN)
    looks = group_looks(config)
    titles = {c.code: c.label for c in config.conditions}
    conditions, markers = list(dict.fromkeys(background["condition"])), list(dict.fromkeys(background["marker"]))
    figure = Figure(figsize=(PAGE_IN, 1.9 * len(conditions) + 0.6), layout="constrained")
    panels = figure.subplots(len(conditions), 1, sharex=True, squeeze=False)[:, 0]
    for axes, condition in zip(panels, conditions, strict=True):
        here = background[background["condition"] == condition]
        for g, group in enumerate(config.groups):
            colour, marker = looks[group.code]
            rows = here[here["group"] == group.code]
            at = np.array([markers.index(m) for m in rows["marker"]]) + (g - (len(config.groups) - 1) / 2) * 0.3
            shift = 0.04 * (np.arange(len(rows)) % 5 - 2)
            axes.plot(at + shift, rows["mfi_median"], marker, color=colour, markersize=3, alpha=0.7, label=group.label)
        own = gap[gap["condition"] == condition]
        places = np.array([float(markers.index(m)) for m in own["marker"]])
        axes.hlines(
            own["delta_mfi_median"],
            places - 0.35,
            places + 0.35,
            color=PURPLE,
            linewidth=1.6,
            label="ΔMFI of the marker",
        )
        for row in own[own["exceeds_signal"].fillna(False).astype(bool)].itertuples():
            axes.annotate(
                "!", (markers.index(row.marker), row.delta_mfi_median), fontsize=11, weight="bold", ha="center"
            )
        axes.set_yscale("symlog", linthresh=100)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number(v)))
        axes.set_ylabel("MFI")
        axes.grid(axis="y", color=GREY, alpha=0.15)
        axes.set_title(titles.get(condition, condition or "ex vivo"), fontsize=8)
    panels[-1].set_xticks(range(len(markers)), markers)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(config.groups) + 1)
    worse = gap[gap["exceeds_signal"].fillna(False).astype(bool)]
    words = ", ".join(f"{r.marker} ({titles.get(r.condition, r.condition)})" for r in worse.itertuples())
    alt = f"Autofluorescence by detector. Larger than the marker's own signal: {words or 'nowhere'}."
    caption = (
        "Median of the measured population in tubes without the dye, one mark a donor. Line: median ΔMFI of the marker. "
        "“!”: the groups' backgrounds differ by more than the marker's whole signal."
    )
    return Picture(figure, "autofluorescence", alt, caption, background)


@drawn
def coexpression(quadrants: pd.DataFrame, data: Analysis) -> Picture:
    """Shares of the four quadrants, median over donors, by group and condition, one panel a pair of markers.

    Parameters
    ----------
    quadrants
        The output table ``phenotype_coexpression``.
    data
        The analysis, for donors and labels.
    """
    if quadrants.empty:
        return sentence_picture("coexpression", "No pair of markers has thresholds for both.", quadrants, PAGE_IN)
    whose = data.table("phenotype_populations").drop_duplicates("fcs_file")[
        ["fcs_file", "donor_id", "group", "condition"]
    ]
    rows = quadrants.merge(whose, on="fcs_file", how="left")
    rows["signs"] = [q[len(x)] + q[-1] for q, x in zip(rows["quadrant"], rows["marker_x"], strict=True)]
    keys = ["marker_x", "marker_y", "group", "condition", "signs"]
    donors = rows.groupby([*keys, "donor_id"])["pct"].mean().reset_index()
    shown = donors.groupby(keys)["pct"].median().reset_index()
    pairs = list(dict.fromkeys(zip(quadrants["marker_x"], quadrants["marker_y"], strict=True)))
    config = data.config
    bars = [
        (g, c)
        for g in config.groups
        for c in config.conditions
        if ((shown["group"] == g.code) & (shown["condition"] == c.code)).any()
    ]
    figure = Figure(figsize=(PAGE_IN, 1.6 * -(-len(pairs) // 2) + 0.7), layout="constrained")
    panels = figure.subplots(-(-len(pairs) // 2), 2, sharex=True, sharey=True, squeeze=False)
    colours = {"++": PURPLE, "+-": ORANGE, "-+": "#0072B2", "--": "#D0D0D0"}
    for axes, (x, y) in zip(panels.ravel(), pairs, strict=False):
        for i, (group, condition) in enumerate(bars):
            left = 0.0
            own = shown[
                (shown["marker_x"] == x)
                & (shown["marker_y"] == y)
                & (shown["group"] == group.code)
                & (shown["condition"] == condition.code)
            ]
            shares = own.set_index("signs")["pct"]
            for signs, colour in colours.items():
                share = float(shares.get(signs, 0.0)) / max(float(shares.sum()), 1e-9) * 100
                axes.barh(i, share, left=left, color=colour, height=0.75, label=f"first {signs[0]}, second {signs[1]}")
                left += share
        axes.set_title(f"{x} (first) and {y} (second)", fontsize=8)
        axes.set_yticks(range(len(bars)), [f"{g.label}, {c.label}" for g, c in bars])
    for axes in panels[-1]:
        axes.set_xlabel("Share of cells, %")
    panels[0, 0].invert_yaxis()
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles[:4], [n.replace("-", "−") for n in names[:4]], loc="outside lower center", ncols=4)
    both = shown[shown["signs"] == "++"].groupby(["marker_x", "marker_y"])["pct"].median()
    words = "; ".join(f"{x} and {y}: {number(float(v))} %" for (x, y), v in both.items())
    caption = (
        "Share of cells in the four quadrants: medians over donors, scaled to 100 %. Thresholds come from each marker's own "
        "control; most macrophages carry markers of both poles, so that neither pole alone describes a cell."
    )
    return Picture(figure, "coexpression", f"Co-expression. Positive for both, median: {words}.", caption, shown)
