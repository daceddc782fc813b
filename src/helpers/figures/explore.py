"""Figures to explore with: one readout, every donor across the arms of one comparison, the chosen ones by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from helpers.core.numbers import show as number
from helpers.figures.base import Picture, drawn, sentence_picture
from helpers.figures.effects import drawn_values, value_ticks
from helpers.figures.style import GREY, PAGE_IN, group_looks
from helpers.figures.words import AXIS_SCALE
from helpers.stats.labels import name_of
from helpers.study.config import Config

HEIGHT_IN, TEXT_PT = 3.9, 6.5
MOST_NAMED = 34
"""Names of donors that have room beside one group."""
LINE = ["donor_id", "visit", "msc_lot_id"]
_SHARES = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 50, 70, 80, 90, 95, 98, 99, 99.5, 99.9)
_COLUMNS = ["donor_id", "group", "visit", "condition", "msc_lot_id", "unit", "value", "lower", "upper", "censoring"]


def axis_scales(rows: pd.DataFrame) -> list[str]:
    """Scales on which one readout can be drawn: as measured, and as analysed where that is another one.

    Parameters
    ----------
    rows
        Rows of the output table ``readouts`` of one readout.

    Examples
    --------
    >>> row = {"scale": "log2", "unit": "pg/ml", "censoring": "none", "value": 3.0, "lower": None, "upper": None}
    >>> axis_scales(pd.DataFrame([row])), axis_scales(pd.DataFrame([row | {"value": 0.0}]))
    (['log2', 'measured'], ['measured'])
    """
    scale = str(rows["scale"].iloc[0]) if len(rows) else "identity"
    seen = drawn_values(rows).dropna() if len(rows) else pd.Series(dtype="float64")
    possible = {"log2": bool((seen > 0).all()), "logit": True}.get(scale, False)
    return [scale, "measured"] if possible else ["measured"]


@drawn
def donors_across_arms(
    readouts: pd.DataFrame, config: Config, arms: Sequence[str], chosen: Iterable[str] = (), scale: str = ""
) -> Picture:
    """Every donor's values across the arms of one comparison; chosen donors in colour and by name, all others grey.

    Parameters
    ----------
    readouts
        Rows of the output table ``readouts``: one assay, readout, time.
    config
        study.yaml.
    arms
        Conditions from left to right.
    chosen
        Donors; all where empty.
    scale
        One of `axis_scales`; the first of them where empty.

    Returns
    -------
    The picture. A value beyond a limit stands at the limit as an open triangle, a donor who lacks an arm is hollow.
    """
    rows = readouts[readouts["condition"].isin(list(arms))].reset_index(drop=True)
    if rows.empty:
        return sentence_picture("explore_donors", "No donor has a value in any of these conditions.", rows, PAGE_IN)
    arms = [a for a in arms if (rows["condition"] == a).any()]
    names = set(chosen) or set(rows["donor_id"])
    scale = scale if scale in axis_scales(rows) else axis_scales(rows)[0]
    rows = rows.assign(shown=drawn_values(rows), chosen=rows["donor_id"].isin(names))
    rows["y"] = _logits(rows) if scale == "logit" else rows["shown"]
    figure = Figure(figsize=(PAGE_IN, HEIGHT_IN), layout="constrained")
    axes = figure.add_subplot()
    groups = [g for g in config.groups if (rows["group"] == g.code).any()]
    if scale == "log2":
        axes.set_yscale("log")
    _scale_axis(axes, rows["y"], scale)
    places, labels = [], {c.code: c.label for c in config.conditions}
    for g, group in enumerate(groups):
        x = {arm: g * (len(arms) + 0.8) + i for i, arm in enumerate(arms)}
        own = rows[rows["group"] == group.code]
        _donors(axes, own[~own["chosen"]], x, "#BBBBBB", group_looks(config)[group.code][1], 1)
        _donors(axes, own[own["chosen"]], x, *group_looks(config)[group.code], 3)
        _names(axes, own[own["chosen"]], x)
        places += list(x.items())
    axes.set_xlim(-0.35, places[-1][1] + 0.75)
    axes.set_xticks([p for _, p in places], [_wrapped(labels.get(a, a)) for a, _ in places], fontsize=7)
    first = rows.iloc[0]
    unit = str(first["unit"]) if pd.notna(first["unit"]) else ""
    axes.set_ylabel(", ".join(filter(None, [unit, AXIS_SCALE[scale]])))
    axes.set_title(name_of(config, first["assay"], first["readout"]))
    _limit(axes, rows, scale)
    figure.legend(handles=_handles(rows, config, groups), loc="outside lower left", ncols=6)
    words = " ".join(_group_words(rows[rows["group"] == g.code], g.label, arms, labels) for g in groups)
    alt = f"Donors' {name_of(config, first['assay'], first['readout'])} in {' and '.join(labels.get(a, a) for a in arms)}. {words}"
    caption = (
        "Each line is a donor. Coloured and named: the chosen ones; grey: all others. Open triangles lie beyond a limit "
        "and stand at it; hollow points are donors who lack an arm."
    )
    return Picture(figure, "explore_donors", alt, caption, rows[[*_COLUMNS, "chosen"]])


def _logits(rows: pd.DataFrame) -> pd.Series:
    """Shares on the logit axis, counts as (k + ½)/(n + 1), so that 0 and 100 % stay finite, as in the analysis."""
    counted = rows["k"].notna() & rows["n"].notna() & (rows["censoring"] == "none")
    percent = rows["shown"] if (rows["unit"] == "%").all() else 100 * rows["shown"]
    share = (percent / 100).where(~counted, (rows["k"].astype("float64") + 0.5) / (rows["n"].astype("float64") + 1))
    return pd.Series(np.log(share / (1 - share)).where((share > 0) & (share < 1)), rows.index)


def _scale_axis(axes: Axes, y: pd.Series, scale: str) -> None:
    """Limits around all donors, so that choosing some never moves the axis, and round ticks."""
    seen = y.dropna()
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    if scale == "log2":
        low, high = low / 1.25, high * 1.25
        axes.set_ylim(low, high)
        ticks = value_ticks(low, high)
        axes.set_yticks(ticks, [f"{v:,g}" for v in ticks])
        axes.yaxis.set_minor_locator(NullLocator())
        return
    room = 0.06 * (high - low) or 0.5
    axes.set_ylim(low - room, high + room)
    if scale == "logit":
        shares = [s for s in _SHARES if low - room <= np.log(s / (100 - s)) <= high + room]
        axes.set_yticks([float(np.log(s / (100 - s))) for s in shares], [f"{s:g}" for s in shares])
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6))


def _donors(axes: Axes, rows: pd.DataFrame, x: dict[str, float], colour: str, marker: str, z: int) -> None:
    """Lines through each donor's arms, then marks; a donor's single value of an arm belongs to all of its MSC lots."""
    lots: dict[Any, list[str]] = {}
    for keys, part in rows.groupby(["donor_id", "visit"], sort=False):
        lots[keys] = sorted(set(part["msc_lot_id"].fillna("")) - {""}) or [""]
        for lot in lots[keys]:
            own = part[part["msc_lot_id"].fillna("").isin(["", lot])]
            line = own.assign(x=own["condition"].map(x)).sort_values("x")
            axes.plot(line["x"], line["y"], color=colour, linewidth=0.8, alpha=0.7, zorder=z)
    full = rows.groupby(["donor_id", "visit"])["condition"].transform("nunique") == len(x)
    exact, right = rows["censoring"] == "none", rows["censoring"] == "right"
    for part, face, shape in (
        (rows[exact & full], colour, marker),
        (rows[exact & ~full], "white", marker),
        (rows[~exact & ~right], "white", "v"),
        (rows[right], "white", "^"),
    ):
        axes.scatter(
            part["condition"].map(x),
            part["y"],
            s=17,
            marker=shape,
            facecolors=face,
            edgecolors=colour,
            linewidths=0.8,
            zorder=z + 1,
        )


def _names(axes: Axes, rows: pd.DataFrame, x: dict[str, float]) -> None:
    """Each donor's code beside the last value, pushed apart so that none covers another."""
    seen = rows[rows["y"].notna()].assign(x=rows["condition"].map(x).astype("float64"))
    last = seen.sort_values(["x", "y"]).groupby("donor_id", sort=True).tail(1).sort_values(["y", "donor_id"])
    if last.empty or len(last) > MOST_NAMED:
        return
    right = max(x.values())
    heights = axes.transAxes.inverted().transform(axes.transData.transform(last[["x", "y"]].to_numpy(dtype="float64")))
    apart = TEXT_PT * 1.15 / 72 / (HEIGHT_IN * 0.76)
    for (_, row), at, height in zip(last.iterrows(), heights[:, 1], _apart(heights[:, 1], apart), strict=True):
        place = axes.get_xaxis_transform()
        axes.plot(
            [row["x"] + 0.04, right + 0.13], [at, height], color="#AAAAAA", linewidth=0.4, transform=place, zorder=0
        )
        text = axes.text(right + 0.15, height, row["donor_id"], fontsize=TEXT_PT, va="center", transform=place)
        text.set_in_layout(False)


def _apart(heights: np.ndarray, least: float) -> np.ndarray:
    """Sorted heights moved as little as needed, so that neighbours stand at least so far apart.

    Examples
    --------
    >>> _apart(np.array([0.1, 0.1, 0.9]), 0.1).round(2).tolist()
    [0.05, 0.15, 0.9]
    """
    blocks: list[list[float]] = []  # sum of wished starts, number, of runs that touch
    for i, height in enumerate(heights):
        blocks.append([float(height) - i * least, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    starts = np.concatenate([np.full(int(n), total / n) for total, n in blocks])
    return np.asarray(starts + least * np.arange(len(heights)))


def _limit(axes: Axes, rows: pd.DataFrame, scale: str) -> None:
    limit = rows["lloq"].max()
    if scale != "logit" and pd.notna(limit) and (rows["censoring"] != "none").any():
        axes.axhline(float(limit), color=GREY, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)


def _handles(rows: pd.DataFrame, config: Config, groups: Sequence[Any]) -> list[Line2D]:
    looks, dark = (
        group_looks(config),
        {"color": "#222222", "linestyle": "", "markersize": 4, "markerfacecolor": "white"},
    )
    out = [
        Line2D([], [], color=looks[g.code][0], marker=looks[g.code][1], markersize=4, linewidth=0.9, label=g.label)
        for g in groups
    ]
    if not rows["chosen"].all():
        out.append(Line2D([], [], color="#BBBBBB", marker="o", markersize=4, linewidth=0.9, label="not chosen"))
    several = rows["condition"].nunique()
    if (rows.groupby(["donor_id", "visit"])["condition"].nunique() < several).any():
        out.append(Line2D([], [], marker="o", label="lacks an arm", **dark))  # type: ignore[arg-type]
    if (rows["censoring"] != "none").any():
        out.append(Line2D([], [], marker="v", label="beyond a limit", **dark))  # type: ignore[arg-type]
    return out


def _wrapped(label: str) -> str:
    return label.replace(" + ", "\n+ ", 1) if len(label) > 11 else label


def _group_words(rows: pd.DataFrame, group: str, arms: Sequence[str], labels: dict[str, str]) -> str:
    medians = [
        f"median {number(float(part['shown'].median()))} in {labels.get(arm, arm)} ({part['donor_id'].nunique()} donors)"
        for arm in arms
        if len(part := rows[(rows["condition"] == arm) & rows["chosen"]])
    ]
    return f"{group}, chosen donors: {', '.join(medians) or 'none'}."
