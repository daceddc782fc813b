"""Figures of plates: what the instrument saw well by well, standard curves with their points, controls over days."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from helpers.assays.cytokines.curves import response
from helpers.core.numbers import show as number
from helpers.figures.base import Picture, drawn, sentence_picture
from helpers.figures.style import BLUE, GREY, ORANGE, PAGE_IN

ACROSS = 6
PLATES_A_PAGE = 6
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FEWEST_FOR_LIMITS = 8


def all_plate_maps(wells: pd.DataFrame) -> Iterator[Picture]:
    """`plate_maps` of every plate, as many as a page holds at a time, each drawn when it is asked for."""
    plates = list(dict.fromkeys(wells["plate_id"]))
    for start in range(0, max(len(plates), 1), PLATES_A_PAGE):
        own = wells[wells["plate_id"].isin(plates[start : start + PLATES_A_PAGE])]
        yield plate_maps(own, f"plate_maps_{start // PLATES_A_PAGE + 1}" if start else "plate_maps")


@drawn
def plate_maps(wells: pd.DataFrame, name: str = "plate_maps") -> Picture:
    """Each plate as it lies on the bench: median beads of a well, and its level against the plate's other wells.

    Parameters
    ----------
    wells
        The output table ``cytokine_wells``.
    name
        Of the picture.
    """
    placed = _placed(wells)
    plates = list(dict.fromkeys(placed["plate_id"]))
    if not plates:
        return sentence_picture(name, "No plate was read.", placed, PAGE_IN)
    figure = Figure(figsize=(PAGE_IN, 1.75 * len(plates) + 0.2), layout="constrained")
    for i, plate in enumerate(plates):
        own = placed[placed["plate_id"] == plate]
        _plate(
            figure.add_subplot(len(plates), 2, 2 * i + 1),
            own,
            "beads",
            f"{plate}: beads, median over analytes",
            "cividis",
        )
        _plate(
            figure.add_subplot(len(plates), 2, 2 * i + 2),
            own,
            "level",
            f"{plate}: log2 net MFI against the plate's median",
            "PuOr_r",
        )
    alt = "Plate maps. " + " ".join(
        f"{p}: {len(part)} wells, beads {number(float(part['beads'].min()))} to {number(float(part['beads'].max()))}."
        for p, part in placed.groupby("plate_id", sort=False)
    )
    caption = (
        "Left: beads counted in a well, median over analytes; few beads in one corner point to a clog or a leak. Right: how bright a well is against "
        "the plate, median over analytes; rows or columns that stand out point to pipetting, washing or evaporation. Letters: S standard, B blank, C control, R bridge."
    )
    return Picture(figure, name, alt, caption, placed)


def _placed(wells: pd.DataFrame) -> pd.DataFrame:
    """One row a well: row and column on the plate, role, median beads, median relative brightness."""
    single = wells[~wells["well"].str.contains(",")]
    single = single if len(single) else wells.assign(well=wells["well"].str.split(",").str[0])
    log = np.log2(single["net_mfi"].where(single["net_mfi"] > 0).astype("float64"))
    typical = log.groupby([single["plate_id"], single["analyte"]]).transform("median")
    part = single.assign(level=log - typical)
    out = (
        part.groupby(["plate_id", "well"], sort=False)
        .agg(role=("role", "first"), beads=("bead_count", "median"), level=("level", "median"))
        .reset_index()
    )
    where = out["well"].str.extract(r"^([A-P])0*(\d+)$")
    out["row"] = where[0].map(lambda c: ord(c) - 64 if isinstance(c, str) else np.nan)
    out["column"] = pd.to_numeric(where[1])
    return out.dropna(subset=["row", "column"])


def _plate(axes: Axes, own: pd.DataFrame, value: str, title: str, colours: str) -> None:
    tall, wide = (16, 24) if own["row"].max() > 8 or own["column"].max() > 12 else (8, 12)
    grid = np.full((tall, wide), np.nan)
    grid[own["row"].astype(int) - 1, own["column"].astype(int) - 1] = own[value].astype("float64")
    axes.set_facecolor("#EEEEEE")
    limits = (
        Normalize(-4, 4)
        if value == "level"
        else Normalize(0, max(float(np.nanmax(grid)), 1.0) if np.isfinite(grid).any() else 1.0)
    )
    image = axes.pcolormesh(
        np.arange(wide + 1) + 0.5,
        np.arange(tall + 1) + 0.5,
        np.ma.masked_invalid(grid),
        cmap=colours,
        edgecolors="white",
        linewidth=0.4,
        norm=limits,
    )
    letter = {"standard": "S", "blank": "B", "control": "C", "bridge": "R"}
    for one in own[own["role"].isin(list(letter))].itertuples():
        axes.text(
            one.column,
            one.row,
            letter[one.role],
            ha="center",
            va="center",
            fontsize=5,
            color="#222222",
            bbox={"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )
    axes.invert_yaxis()
    axes.set_xticks(range(1, wide + 1, 1 if wide == 12 else 2))
    axes.set_yticks(range(1, tall + 1), [chr(64 + r) for r in range(1, tall + 1)])
    axes.tick_params(labelsize=6, length=0)
    axes.set_title(title, fontsize=7)
    axes.figure.colorbar(image, ax=axes, pad=0.01, fraction=0.04).ax.tick_params(labelsize=6)


# ---- curves


@drawn
def standard_curves(curves: pd.DataFrame, recovery: pd.DataFrame, wells: pd.DataFrame, plate_id: str) -> Picture:
    """Every standard curve of one plate with its points, its working range and where the samples lie.

    Parameters
    ----------
    curves, recovery, wells
        The output tables ``cytokine_curves``, ``standard_recovery`` and ``cytokine_wells``.
    plate_id
        Plate.
    """
    name = f"standard_curves_{re.sub(r'[^A-Za-z0-9-]', '-', plate_id)}"
    own = curves[curves["plate_id"] == plate_id]
    points = recovery[recovery["plate_id"] == plate_id]
    if own.empty:
        return sentence_picture(name, f"Plate {plate_id} has no curve.", points, PAGE_IN)
    across = min(ACROSS, len(own))
    down = -(-len(own) // across)
    figure = Figure(figsize=(PAGE_IN, 1.1 * down + 0.35), layout="constrained")
    samples = wells[(wells["plate_id"] == plate_id) & wells["role"].isin(["sample", "bridge"])]
    for k, one in enumerate(own.itertuples()):
        axes = figure.add_subplot(down, across, k + 1)
        _curve_panel(axes, one, points[points["analyte"] == one.analyte], samples[samples["analyte"] == one.analyte])
    figure.supxlabel("Concentration, pg/ml", fontsize=7.5)
    figure.supylabel("Net MFI", fontsize=7.5)
    usable = own[own["lloq_pg_ml"].notna()]
    alt = f"Standard curves of plate {plate_id}. " + " ".join(
        f"{o.analyte} {o.model}, {number(o.lloq_pg_ml)} to {number(o.uloq_pg_ml)} pg/ml." for o in usable.itertuples()
    )
    without = ", ".join(own.loc[own["lloq_pg_ml"].isna(), "analyte"])
    caption = (
        f"Plate {plate_id}. Dots: means of standards (hollow: outside the working range; crosses: apart from the curve through the others, kept in the fit). "
        "Line: fitted curve. Shaded: working range. Ticks at the left: net MFI of the samples."
        + (f" Without a working range: {without}." if without else "")
    )
    return Picture(figure, name, alt, caption, points.reset_index(drop=True))


def all_standard_curves(curves: pd.DataFrame, recovery: pd.DataFrame, wells: pd.DataFrame) -> Iterator[Picture]:
    """`standard_curves` of every plate, each drawn when it is asked for."""
    return (standard_curves(curves, recovery, wells, str(p)) for p in dict.fromkeys(curves["plate_id"]))


def _curve_panel(axes: Axes, one: Any, points: pd.DataFrame, samples: pd.DataFrame) -> None:
    analyte, low, high = one.analyte, one.lloq_pg_ml, one.uloq_pg_ml
    axes.set_title(str(analyte), fontsize=6.5, pad=2)
    axes.tick_params(labelsize=5.5, pad=1, length=2)
    seen = points[(points["expected_pg_ml"] > 0) & (points["mean_net_mfi"] > 0)]
    if seen.empty:
        axes.text(
            0.5,
            0.5,
            str(one.status).replace("_", " "),
            ha="center",
            va="center",
            color=GREY,
            fontsize=6,
            transform=axes.transAxes,
        )
        return
    if not pd.isna(low):
        axes.axvspan(low, high, color="#E6EEF5", linewidth=0)
    x = np.geomspace(seen["expected_pg_ml"].min() / 3, seen["expected_pg_ml"].max() * 2, 120)
    parameters = np.array([getattr(one, n) for n in "adcbg"], dtype="float64")
    if np.isfinite(parameters).all():
        y = response(parameters, x)
        axes.plot(x[y > 0], y[y > 0], color=BLUE, linewidth=0.9)
    inside = seen["in_range"].astype(bool)
    outlying = seen["outlying"].astype(bool)
    marks: tuple[tuple[pd.Series, dict[str, Any]], ...] = (
        (inside, {"marker": "o", "markersize": 7**0.5, "mfc": BLUE, "mec": BLUE, "mew": 0.6, "zorder": 3}),
        (~inside, {"marker": "o", "markersize": 7**0.5, "mfc": "white", "mec": BLUE, "mew": 0.6, "zorder": 3}),
        (outlying, {"marker": "x", "markersize": 22**0.5, "mec": ORANGE, "mew": 1, "zorder": 4}),
    )
    for these, look in marks:
        if these.any():
            axes.plot(seen.loc[these, "expected_pg_ml"], seen.loc[these, "mean_net_mfi"], linestyle="", **look)
    axes.set_xscale("log")
    axes.set_yscale("log")
    level = samples["net_mfi"].astype("float64")
    axes.plot(
        [0.02] * int((level > 0).sum()),
        level[level > 0],
        "_",
        color=ORANGE,
        markersize=4,
        markeredgewidth=0.4,
        alpha=0.6,
        transform=axes.get_yaxis_transform(),
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=4))
        axis.set_major_formatter(FuncFormatter(power_of_ten))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())


def power_of_ten(value: float, _: object = None) -> str:
    """A tick of a log axis as 10 with its exponent, without mathematical typesetting.

    Examples
    --------
    >>> power_of_ten(1000.0), power_of_ten(0.01)
    ('10³', '10⁻²')
    """
    return "10" + str(round(float(np.log10(value)))).translate(_RAISED) if value > 0 else ""


# ---- recoveries and controls


@drawn
def recoveries(recovery: pd.DataFrame, low: float = 80, high: float = 120) -> Picture:
    """Recovery of every standard level of every analyte, one panel a plate.

    Parameters
    ----------
    recovery
        The output table ``standard_recovery``.
    low, high
        Limits of the working range, percent.
    """
    plates = list(dict.fromkeys(recovery["plate_id"]))
    if not plates:
        return sentence_picture("standard_recoveries", "No standard was read.", recovery, PAGE_IN)
    figure = Figure(figsize=(PAGE_IN, 2.3), layout="constrained")
    first: Axes | None = None
    for k, plate in enumerate(plates[:6]):
        axes = figure.add_subplot(1, min(len(plates), 6), k + 1, sharey=first)
        first = first or axes
        own = recovery[(recovery["plate_id"] == plate) & recovery["recovery_pct"].notna()]
        axes.axhspan(low, high, color="#E6EEF5", linewidth=0)
        axes.axhline(100, color=GREY, linewidth=0.7)
        inside = own["in_range"].astype(bool)
        axes.scatter(
            own["level"],
            own["recovery_pct"].clip(upper=250),
            s=7,
            facecolors=[BLUE if i else "white" for i in inside],
            edgecolors=BLUE,
            linewidths=0.5,
            alpha=0.8,
        )
        axes.set_title(str(plate))
        axes.set_xlabel("Level of the standard")
        axes.tick_params(labelleft=k == 0)
    assert first is not None
    first.set_ylabel("Recovery, %")
    alt = "Recoveries of standards. " + " ".join(
        f"{p}: {int(part['in_range'].sum())} of {len(part)} levels in the working range."
        for p, part in recovery.groupby("plate_id", sort=False)
    )
    caption = (
        f"One dot is one level of one analyte; filled dots are in the working range. Shaded: {low:g} to {high:g} %. Recoveries above 250 % stand at 250 %. "
        "These standards made the curves, so a recovery near 100 % shows that the curve fits, not that the method is right."
    )
    return Picture(figure, "standard_recoveries", alt, caption, recovery)


@drawn
def controls_over_days(controls: pd.DataFrame) -> Picture:
    """Kit controls and bridges of all plates over run days, in SDs of all plates (Levey–Jennings).

    Parameters
    ----------
    controls
        The output table ``plate_controls``.
    """
    seen = controls[controls["conc_pg_ml"].notna()]
    plates = list(dict.fromkeys(seen.sort_values("run_day")["plate_id"])) if len(seen) else []
    if len(plates) < 2:
        return sentence_picture(
            "controls_over_days",
            "Fewer than two plates carry controls, so there is nothing to compare.",
            controls,
            PAGE_IN,
        )
    center = np.log2(seen["conc_pg_ml"].astype("float64"))
    mean = center.groupby([seen["analyte"], seen["control"]]).transform("mean")
    seen = seen.assign(ratio=center - mean)
    names = list(dict.fromkeys(seen["control"]))
    figure = Figure(figsize=(PAGE_IN, 2.4), layout="constrained")
    first: Axes | None = None
    for k, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), k + 1, sharey=first)
        first = first or axes
        wide = (
            seen[seen["control"] == name]
            .pivot_table(index="plate_id", columns="analyte", values="ratio")
            .reindex(plates)
        )
        axes.axhline(0, color=GREY, linewidth=0.7)
        axes.plot(range(len(plates)), wide.to_numpy(), color=BLUE, linewidth=0.5, alpha=0.4, marker="o", markersize=2)
        axes.plot(range(len(plates)), wide.median(axis=1), color=ORANGE, linewidth=1.6, marker="s", markersize=4)
        axes.set_xticks(range(len(plates)), plates, rotation=45)
        axes.set_title(name)
        axes.tick_params(labelleft=k == 0)
    assert first is not None
    first.set_ylabel("log2 ratio to the mean of all plates")
    medians = seen.groupby("plate_id", sort=False)["ratio"].median()
    few = (
        f" With fewer than {FEWEST_FOR_LIMITS} plates no limits are drawn: they would decide nothing."
        if len(plates) < FEWEST_FOR_LIMITS
        else ""
    )
    alt = "Controls over plates. " + " ".join(f"{p}: median {number(float(m))} log2." for p, m in medians.items())
    return Picture(
        figure,
        "controls_over_days",
        alt,
        f"Thin lines: analytes; thick: their median. Plates in the order of their run days.{few}",
        seen,
    )
