"""Figures of one donor's page: the donor's own values beside what the controls showed."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from helpers.analysis import DonorPart
from helpers.core.files import safe_name
from helpers.core.numbers import show as number
from helpers.figures.base import Picture, drawn, sentence_picture
from helpers.figures.effects import drawn_values, value_ticks
from helpers.figures.phenotype import gating_strategy
from helpers.figures.style import GREY, ORANGE, PAGE_IN
from helpers.stats.labels import readout_words
from helpers.study.config import Condition, Config

ACROSS, MOST_PANELS = 5, 15
MOST_OUTLINES = 200
"""Dots of a panel above which they become one image in an SVG file: outlines of thousands made pages of megabytes."""
PANEL = ["assay", "readout", "timepoint_h", "assay_minutes"]
_UNTIMED = {"timepoint_h": -1, "assay_minutes": -1}
_ROLES = ("reference", "treatment", "positive_control", "vehicle")


def against_controls(part: DonorPart) -> Picture:
    """The donor's leading readouts in each condition, the controls' values behind them, one panel a readout.

    Parameters
    ----------
    part
        From `helpers.analysis.load_donor`.
    """
    return _against_controls(part.leading, part.controls, part.own.config, part.donor_id)


@drawn
def _against_controls(own: pd.DataFrame, controls: pd.DataFrame, config: Config, donor: str) -> Picture:
    name = f"donor_readouts_{safe_name(donor)}"
    conditions = _beside_their_reference(config, set(own["condition"]))
    own = own[own["condition"].isin([c.code for c in conditions])]
    if own.empty:
        return sentence_picture(name, "Nothing of this donor was measured.", own, PAGE_IN)
    roles = {(r["assay"], r["name"]): i for i, r in enumerate(config.settings.get("readouts", ()))}
    order = [roles.get(key, len(roles)) for key in zip(own["assay"], own["readout"], strict=True)]
    own = own.assign(place=order, drawn=drawn_values(own)).sort_values(
        ["place", "readout", "timepoint_h"], kind="stable"
    )
    panels = [(key, rows) for key, rows in own.groupby(PANEL, sort=False, dropna=False)][:MOST_PANELS]
    down = -(-len(panels) // ACROSS)
    figure = Figure(figsize=(PAGE_IN, 1.35 * down + 0.75), layout="constrained")
    controls = controls.assign(drawn=drawn_values(controls))
    others = {tuple(key): rows for key, rows in controls.fillna(_UNTIMED).groupby(PANEL, sort=False)}
    said = []
    for i, (key, rows) in enumerate(panels):
        axes = figure.add_subplot(down, ACROSS, i + 1)
        beside = others.get(tuple(-1 if pd.isna(k) else k for k in key), controls.iloc[:0])
        _panel(axes, rows, beside, conditions, bottom=i >= len(panels) - ACROSS)
        title = readout_words(str(key[1])) + (f", {key[2]:g} h" if own["timepoint_h"].nunique() > 1 else "")
        axes.set_title(textwrap.fill(title, 18), fontsize=6.5)
        axes.set_ylabel(str(rows["unit"].iloc[0]), fontsize=5.5, labelpad=1)
        said.append(_words(rows, beside, config))
    handles = [
        Line2D([], [], color=ORANGE, marker="D", markersize=5, linewidth=0.9, label=donor),
        Line2D(
            [], [], color=GREY, marker="s", markersize=3, linestyle="", markerfacecolor="none", label="each control"
        ),
        Line2D([], [], color="#222222", marker="v", linestyle="", markerfacecolor="white", label="beyond a limit"),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=3)
    n = controls["donor_id"].nunique()
    caption = (
        f"{donor} in each condition, and each of {n} controls in the same one. Lines join a condition to the one it is "
        "compared with. Triangles lie beyond a limit and stand at it."
    )
    left = own.groupby(PANEL, dropna=False).ngroups - len(panels)
    if left:
        caption += f" {left} further readouts are in tables/readouts.csv."
    return Picture(
        figure,
        name,
        f"Readouts of {donor}. {' '.join(said)}",
        caption,
        own.drop(columns="drawn").reset_index(drop=True),
    )


def _beside_their_reference(config: Config, there: set[str]) -> list[Condition]:
    """Conditions of macrophages that are there, each reference followed by what is compared with it."""
    place = {c.code: i for i, c in enumerate(config.conditions)}
    chosen = [c for c in config.conditions if c.role in _ROLES and c.code in there]
    return sorted(chosen, key=lambda c: (place.get(c.compare_to, place[c.code]), place[c.code]))


def _panel(axes: Axes, own: pd.DataFrame, controls: pd.DataFrame, there: list[Condition], bottom: bool) -> None:
    x = {c.code: float(i) for i, c in enumerate(there)}
    own = own.assign(x=own["condition"].map(x))
    beside = controls[controls["condition"].isin(x)]
    beside = beside.assign(x=beside["condition"].map(x))
    by_condition = beside.groupby("condition", sort=False)["drawn"]
    shift = 0.5 * (by_condition.cumcount() + 0.5) / by_condition.transform("size") - 0.25
    axes.plot(
        beside["x"] + shift,
        beside["drawn"],
        "s",
        markersize=2.6,
        mfc="none",
        mec=GREY,
        mew=0.5,
        rasterized=len(beside) > MOST_OUTLINES,
    )
    means = own.groupby("condition")["drawn"].mean()
    for condition in there:
        pair = [means.get(code, np.nan) for code in (condition.compare_to, condition.code)]
        if condition.compare_to in x and np.isfinite(pair).all():
            axes.plot([x[condition.compare_to], x[condition.code]], pair, color=ORANGE, linewidth=0.8, alpha=0.7)
    for kinds, marker, face in (
        (("none",), "D", ORANGE),
        (("left", "interval"), "v", "white"),
        (("right",), "^", "white"),
    ):
        rows = own[own["censoring"].isin(kinds)]
        if len(rows):
            axes.plot(
                rows["x"], rows["drawn"], marker, markersize=4.5, mfc=face, mec=ORANGE, mew=0.9, zorder=3, clip_on=False
            )
    axes.set_xlim(-0.5, len(there) - 0.5)
    if bottom:
        names = [c.label for c in there]
        axes.set_xticks(list(x.values()), names, rotation=60, fontsize=5.5, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(list(x.values()))
        axes.tick_params(axis="x", labelbottom=False)
    _value_axis(axes, pd.concat([own, beside]))


def _value_axis(axes: Axes, rows: pd.DataFrame) -> None:
    if (rows["scale"] == "log2").all() and (rows["drawn"].dropna() > 0).all():
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        ticks = value_ticks(low, high)
        axes.set_yticks(ticks, [f"{v:,g}" for v in ticks])
        axes.set_ylim(low, high)
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(axis="y", labelsize=5.5)


def _words(own: pd.DataFrame, controls: pd.DataFrame, config: Config) -> str:
    labels = {c.code: c.label for c in config.conditions}
    parts = []
    seen = controls.groupby("condition")["drawn"].agg(["min", "max"]).dropna()
    for code, mean in own.groupby("condition", sort=False)["drawn"].mean().items():
        others = ""
        if code in seen.index:
            others = f" (controls {number(float(seen['min'][code]))} to {number(float(seen['max'][code]))})"
        parts.append(f"{labels.get(str(code), str(code))} {number(float(mean))}{others}")
    return f"{readout_words(str(own['readout'].iloc[0]))}, {own['unit'].iloc[0]}: {', '.join(parts)}."


def gating(part: DonorPart) -> Picture:
    """The gates on one stained file of the donor, without treatment where there is one.

    Parameters
    ----------
    part
        From `helpers.analysis.load_donor`.
    """
    name = f"donor_gating_{safe_name(part.donor_id)}"
    populations = part.own.table("phenotype_populations")
    stained = populations[populations["tube_role"] == "stained"]
    if stained.empty:
        return sentence_picture(name, "No stained cells of this donor were measured.", stained, PAGE_IN)
    reference = {c.code for c in part.own.config.conditions if c.role == "reference"}
    first = stained.sort_values("condition", key=lambda c: ~c.isin(reference), kind="stable")
    picture = gating_strategy(part.own, str(first["fcs_file"].iloc[0]))
    return replace(picture, name=name)
