"""Figures of the cohort: flow, eligibility, gas exchange, severity, blood markers, completeness."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from helpers.cohort.derived import not_on_room_air
from helpers.core.numbers import show as number
from helpers.figures.base import Picture, drawn, sentence_picture
from helpers.figures.style import GREY, PAGE_IN, group_looks
from helpers.figures.words import COMPLETE, GAS, LEAVING, LUNG, MARKERS, STATUS, STEPS, VERDICT
from helpers.study.config import Config

MOST_DONORS = 60
HEAD_WIDTH = 96
"""Characters of bold type across a map of the page's width."""
_MIDDLE = "#444444"


# ---- participant flow


@drawn
def participant_flow(flow: pd.DataFrame, config: Config) -> Picture:
    """STROBE flow from screened to analysed, with the reasons for leaving beside it.

    Parameters
    ----------
    flow
        The output table ``participant_flow``.
    config
        study.yaml, for labels.
    """
    boxes = [(step, _flow_text(flow, config, step)) for step in STEPS if (flow["step"] == step).any()]
    if not boxes:
        return sentence_picture("participant_flow", "Nobody was enrolled.", flow, PAGE_IN)
    assays = [s for s in dict.fromkeys(flow["step"]) if s not in STEPS and s not in LEAVING]
    sides = {"enrolled": ("declined", "not_eligible"), "analysed": ("withdrawn", "set_aside")}
    shown = {step: _wrapped(text, 42) for step, text in boxes}
    heights = [0.36 + 0.15 * shown[step].count("\n") for step, _ in boxes]
    assay_text = "\n".join(_flow_line(flow, config, a) for a in assays)
    of_assays = _wrapped(assay_text, 86)
    tall_assays = 0.2 + 0.15 * (of_assays.count("\n") + 1)
    figure = Figure(figsize=(PAGE_IN, sum(heights) + 0.62 * len(boxes) + 0.16 + tall_assays), layout="constrained")
    axes = figure.add_subplot()
    axes.axis("off")
    axes.set_xlim(0, PAGE_IN)
    y = figure.get_figheight() - 0.1
    axes.set_ylim(0, y + 0.1)
    below: float | None = None
    for (step, _), height in zip(boxes, heights, strict=True):
        if below is not None:
            leaving = _wrapped(_leaving_text(flow, config, sides.get(step, ())), 50)
            _arrow(axes, (1.7, below), (1.7, y))
            if leaving:
                middle, tall = (below + y) / 2, 0.2 + 0.15 * (leaving.count("\n") + 1)
                _box(axes, 3.5, middle + tall / 2, 3.2, tall, leaving, "#F4F4F4")
                _arrow(axes, (1.7, middle), (3.5, middle))
        _box(axes, 0.2, y, 3.0, height, shown[step], "#EAF1F7")
        below, y = y - height, y - height - 0.62
    if assays and below is not None:
        _arrow(axes, (1.7, below), (1.7, y))
        _box(axes, 0.2, y, 6.4, tall_assays, of_assays, "#EEF5EC")
    alt = (
        "Participant flow. "
        + " ".join(t.replace("\n", "; ") + "." for _, t in boxes)
        + " "
        + " ".join(f"{t.replace(chr(10), '; ')}." for s in sides.values() if (t := _leaving_text(flow, config, s)))
        + (f" {assay_text.replace(chr(10), '; ')}." if assays else "")
    )
    unrecorded = "" if (flow["step"] == "screened").any() else " Screening was not recorded."
    return Picture(
        figure,
        "participant_flow",
        alt.strip() + unrecorded,
        "Participant flow from screening to analysis; a donor counts for an assay with at least one result."
        + unrecorded,
        flow,
    )


def _groups(flow: pd.DataFrame, config: Config, step: str) -> str:
    labels = {g.code: g.label for g in config.groups}
    rows = flow[(flow["step"] == step) & (flow["group"] != "")].groupby("group", sort=False)["n"].sum()
    return ", ".join(f"{labels.get(code, code)} {n}" for code, n in rows.items())


def _flow_text(flow: pd.DataFrame, config: Config, step: str) -> str:
    total = int(flow.loc[flow["step"] == step, "n"].sum())
    groups = _groups(flow, config, step)
    return f"{STEPS[step]}: {total}" + (f"\n{groups}" if groups else "")


def _flow_line(flow: pd.DataFrame, config: Config, step: str) -> str:
    return f"{step}: {int(flow.loc[flow['step'] == step, 'n'].sum())} ({_groups(flow, config, step)})"


def _leaving_text(flow: pd.DataFrame, config: Config, steps: Sequence[str]) -> str:
    lines = []
    for step in steps:
        rows = flow[flow["step"] == step]
        if rows["n"].sum():
            reasons = ", ".join(
                f"{r.replace('_', ' ')} {n}"
                for r, n in rows.groupby("reason", sort=False)["n"].sum().items()
                if r != step
            )
            lines.append(f"{LEAVING[step]}: {int(rows['n'].sum())}" + (f" ({reasons})" if reasons else ""))
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> str:
    """Lines of so many characters at most, as long names of groups need them; what goes on is set in."""
    return "\n".join(textwrap.fill(line, width, subsequent_indent="   ") for line in text.split("\n") if line)


def _box(axes: Axes, x: float, top: float, width: float, height: float, text: str, colour: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x, top - height),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.05",
            facecolor=colour,
            edgecolor="#8A9BA8",
            linewidth=0.8,
        )
    )
    axes.text(x + 0.1, top - height / 2, text, va="center", linespacing=1.25)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=8, color="#5A6B78", linewidth=0.9, shrinkA=0, shrinkB=0
        )
    )


# ---- maps

_TILES = {
    "fits": ("#CFE3F1", "✓", "#0B4F7D"),
    "against": ("#F6D5C2", "✗", "#8A2B00"),
    "not_assessable": ("#F2F2F2", "?", "#444444"),
    "not_applicable": ("#FFFFFF", "·", "#888888"),
    "complete": ("#CFE3F1", "✓", "#0B4F7D"),
    "partial": ("#FBEFC4", "◐", "#6B5200"),
    "missing": ("#F6D5C2", "✗", "#8A2B00"),
}


def _tile_map(values: pd.DataFrame, words: Mapping[str, str], reasons: pd.DataFrame | None, figure: Figure) -> Axes:
    """Rows × columns of coded tiles: colour and symbol; a reason's letters replace the symbol."""
    axes = figure.add_subplot()
    for i, row in enumerate(values.index):
        for j, column in enumerate(values.columns):
            code = values.loc[row, column]
            if pd.isna(code):
                continue
            face, symbol, ink = _TILES[code]
            axes.add_patch(
                FancyBboxPatch(
                    (j - 0.45, i - 0.42),
                    0.9,
                    0.84,
                    boxstyle="round,pad=0,rounding_size=0.08",
                    facecolor=face,
                    edgecolor="none",
                )
            )
            reason = "" if reasons is None else reasons.loc[row, column]
            axes.text(
                j,
                i,
                reason if reason and code != "complete" else symbol,
                ha="center",
                va="center",
                color=ink,
                fontsize=6.2 if reason else 7.5,
            )
    axes.set_xlim(-0.5, len(values.columns) - 0.5)
    axes.set_ylim(len(values.index) - 0.5, -0.5)
    axes.set_xticks(range(len(values.columns)), [str(c) for c in values.columns])
    axes.set_yticks(range(len(values.index)), [str(r) for r in values.index])
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.xaxis.tick_top()
    used = [c for c in words if (values == c).to_numpy().any()]
    handles = [
        Line2D(
            [],
            [],
            marker="s",
            markersize=9,
            linestyle="",
            markerfacecolor=_TILES[c][0],
            markeredgecolor="#AAAAAA",
            label=f"{_TILES[c][1]} {words[c]}",
        )
        for c in used
    ]
    if handles:
        axes.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(0, -0.01), ncols=4, handletextpad=0.2, columnspacing=1.2
        )
    return axes


@drawn
def eligibility_map(eligibility: pd.DataFrame, donors: pd.DataFrame, config: Config) -> Picture:
    """Donors × criteria under the reading that study.yaml chose; beyond 60 donors, counts by criterion.

    Parameters
    ----------
    eligibility
        The output table ``eligibility``.
    donors
        donors_derived, or donors: donor_id and group.
    config
        study.yaml.
    """
    data = eligibility[eligibility["is_default"]].merge(donors[["donor_id", "group"]], on="donor_id")
    if data.empty:
        return sentence_picture("eligibility_map", "No donor to judge.", data, PAGE_IN)
    order = {g.code: i for i, g in enumerate(config.groups)}
    data = data.sort_values(
        ["group", "donor_id"], key=lambda s: s.map(order) if s.name == "group" else s, kind="stable"
    )
    n = data.groupby("status").size()
    alt = (
        f"Eligibility of {data['donor_id'].nunique()} donors by {data['criterion_id'].nunique()} criteria. For inclusion criteria (I) met is required, for exclusion criteria (E) "
        f"met excludes. " + ", ".join(f"{STATUS[s]}: {n.get(s, 0)}" for s in STATUS) + "."
    )
    against = data[
        ((data["status"] == "met") & data["criterion_id"].str.startswith("E"))
        | ((data["status"] == "not_met") & data["criterion_id"].str.startswith("I"))
    ]
    alt += (
        " Against inclusion: "
        + ("; ".join(f"{r.donor_id} {r.criterion_id}" for r in against.head(20).itertuples()) or "none")
        + "."
    )
    caption = "Every donor by every registered criterion, as study.yaml reads it. ✓: inclusion criterion (I) met, or exclusion criterion (E) absent; ✗: the opposite."
    data = data.assign(verdict=[_verdict(c, s) for c, s in zip(data["criterion_id"], data["status"], strict=True)])
    criteria = list(dict.fromkeys(data["criterion_id"]))
    if data["donor_id"].nunique() > MOST_DONORS:
        counts = data.pivot_table(
            index="criterion_id", columns="verdict", values="donor_id", aggfunc="count", fill_value=0
        ).reindex(criteria)
        return Picture(
            _counts(counts, criteria, VERDICT),
            "eligibility_map",
            alt,
            caption + " Counts of donors, since there are many.",
            data,
        )
    table = data.pivot(index="donor_id", columns="criterion_id", values="verdict").reindex(
        index=list(dict.fromkeys(data["donor_id"])), columns=criteria
    )
    figure = Figure(figsize=(PAGE_IN, 0.7 + 0.175 * len(table)), layout="constrained")
    axes = _tile_map(table, VERDICT, None, figure)
    _group_bar(axes, data.drop_duplicates("donor_id")["group"].tolist(), config)
    return Picture(figure, "eligibility_map", alt, caption, data.reset_index(drop=True))


def _verdict(criterion: str, status: str) -> str:
    if status not in ("met", "not_met"):
        return status
    return "fits" if (status == "met") == criterion.startswith("I") else "against"


def _counts(counts: pd.DataFrame, criteria: list[str], words: Mapping[str, str]) -> Figure:
    figure = Figure(figsize=(PAGE_IN, 0.6 + 0.19 * len(criteria)), layout="constrained")
    axes = figure.add_subplot()
    left = np.zeros(len(criteria))
    for status in words:
        if status in counts:
            axes.barh(
                range(len(criteria)),
                counts[status],
                left=left,
                color=_TILES[status][0],
                edgecolor="#AAAAAA",
                linewidth=0.5,
                label=f"{_TILES[status][1]} {words[status]}",
            )
            left = left + counts[status].to_numpy()
    axes.set_yticks(range(len(criteria)), criteria)
    axes.invert_yaxis()
    axes.set_xlabel("Donors")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.1), ncols=4)
    return figure


def _group_bar(axes: Axes, groups: list[str], config: Config) -> None:
    """A coloured bar with the group's label beside its donors."""
    looks, labels = group_looks(config), {g.code: g.label for g in config.groups}
    start = 0
    for i in range(1, len(groups) + 1):
        if i == len(groups) or groups[i] != groups[start]:
            x = axes.get_xlim()[1] + 0.15
            axes.plot(
                [x, x],
                [start - 0.4, i - 0.6],
                color=looks[groups[start]][0],
                linewidth=2.5,
                clip_on=False,
                solid_capstyle="butt",
            )
            axes.text(
                x + 0.2,
                (start + i - 1) / 2,
                textwrap.shorten(labels[groups[start]], 18, placeholder="…"),
                rotation=270,
                va="center",
                ha="left",
                clip_on=False,
            )
            start = i


_REASON_LETTERS = {
    "no_culture": "nc",
    "not_measured": "nm",
    "contaminated": "co",
    "low_cells": "lc",
    "lost": "lo",
    "not_done": "nd",
    "excluded": "ex",
}


@drawn
def completeness_map(completeness: pd.DataFrame, config: Config) -> Picture:
    """Donor × assay × condition: what is there, and the coded reason where it is not.

    Parameters
    ----------
    completeness
        The output table ``completeness``.
    config
        study.yaml.
    """
    if completeness.empty:
        return sentence_picture(
            "completeness_map", "No assay is planned, so nothing can be missing.", completeness, PAGE_IN
        )
    data = completeness.assign(
        row=completeness["donor_id"] + np.where(completeness["visit"] == "V1", "", " " + completeness["visit"]),
    )
    columns = _columns_in_order(data, config)
    place = {key: j for j, key in enumerate(columns)}
    data["column"] = [place[key] for key in _column_keys(data)]
    gaps = data[data["status"] != "complete"]
    n = data.groupby("status").size()
    alt = (
        f"Completeness of {data['donor_id'].nunique()} donors in {data['assay'].nunique()} assays: "
        + ", ".join(f"{COMPLETE[s]} {n.get(s, 0)}" for s in COMPLETE)
        + ". Gaps: "
        + (
            "; ".join(
                f"{r.row} {r.assay} {r.condition} {r.reason.replace('_', ' ')}" for r in gaps.head(15).itertuples()
            )
            or "none"
        )
        + (" and more." if len(gaps) > 15 else ".")
    )
    caption = (
        "What was measured of what was planned. Letters say why something is missing: "
        + ", ".join(f"{v} {k.replace('_', ' ')}" for k, v in _REASON_LETTERS.items())
        + "."
    )
    if data["row"].nunique() > MOST_DONORS:
        counts = data.groupby(["column", "status"]).size().unstack(fill_value=0)
        counts.index = pd.Index([f"{_assay_label(key[0])} · {arm}" for key, arm in columns.items()])
        return Picture(
            _counts(counts, list(counts.index), COMPLETE),
            "completeness_map",
            alt,
            caption + " Counts of donors, since there are many.",
            data.drop(columns="column"),
        )
    rows = list(
        dict.fromkeys(
            data.sort_values(
                ["group", "donor_id"],
                key=lambda s: s.map({g.code: i for i, g in enumerate(config.groups)}) if s.name == "group" else s,
                kind="stable",
            )["row"]
        )
    )
    data["letters"] = data["reason"].map(_REASON_LETTERS).fillna("")
    by_place = data.set_index(["row", "column"])
    status, reason = (by_place[what].unstack().reindex(index=rows) for what in ("status", "letters"))
    figure = Figure(figsize=(PAGE_IN, 1.35 + 0.175 * len(rows)), layout="constrained")
    axes = _tile_map(status, COMPLETE, reason.fillna(""), figure)
    axes.set_xticks(
        range(len(columns)),
        list(columns.values()),
        rotation=40,
        ha="left",
    )
    _assay_heads(axes, [key[0] for key in columns])
    group_of = data.drop_duplicates("row").set_index("row")["group"]
    _group_bar(axes, [group_of[r] for r in rows], config)
    return Picture(figure, "completeness_map", alt, caption, data.drop(columns=["column", "letters"]))


def _column_keys(data: pd.DataFrame) -> list[tuple[str, str, float]]:
    return list(zip(data["assay"], data["condition"], data["timepoint_h"].astype("float64"), strict=True))


def _columns_in_order(data: pd.DataFrame, config: Config) -> dict[tuple[str, str, float], str]:
    """Each column's key (assay, condition, time) with its label; labels may repeat, keys do not."""
    labels = {c.code: c.label for c in config.conditions}
    assays = {a: i for i, a in enumerate(dict.fromkeys(data["assay"]))}
    order = {code: i for i, code in enumerate(labels)}
    several_times = data["timepoint_h"].nunique() > 1
    keys = sorted(set(_column_keys(data)), key=lambda k: (assays[k[0]], order.get(k[1], len(order)), str(k[1]), k[2]))
    return {k: labels.get(k[1], k[1]) + (f" {k[2]:g} h" if several_times else "") for k in keys}


def _assay_label(assay: str) -> str:
    return textwrap.shorten(assay.removeprefix("measurements: "), 30, placeholder="…")


def _assay_heads(axes: Axes, assays: list[str]) -> None:
    """Assays below their columns, broken to the width of these; of several parts of one assay the first names it."""
    before, room = "", HEAD_WIDTH / len(assays)
    for assay in dict.fromkeys(assays):
        whole, _, part = assay.partition(": ")
        label = _assay_label(part if part and whole == before else assay)
        before = whole
        own = [j for j, a in enumerate(assays) if a == assay]
        axes.plot(
            [own[0] - 0.4, own[-1] + 0.4], [len(axes.get_yticks()) - 0.45] * 2, color=GREY, linewidth=1, clip_on=False
        )
        axes.text(
            (own[0] + own[-1]) / 2,
            len(axes.get_yticks()) - 0.3,
            textwrap.fill(label, max(4, int(room * len(own))), break_long_words=False),
            ha="center",
            va="top",
            clip_on=False,
            fontsize=6,
            fontweight="bold",
        )
    legend = axes.get_legend()
    if legend is not None:
        legend.set_bbox_to_anchor((0, -0.05))


# ---- donors as points


def _dots(axes: Axes, data: pd.DataFrame, column: str, config: Config, log: bool, apart: pd.Series) -> list[str]:
    """One point a donor and a short median line a group; says what it drew, for the alt text.

    Donors marked in `apart` are hollow points and enter no median.
    """
    looks, said, ticks = group_looks(config), list[str](), list[str]()
    for x, group in enumerate(config.groups):
        own = data.loc[data["group"] == group.code]
        hollow = own.loc[apart.reindex(own.index, fill_value=False), column].dropna().astype("float64")
        values = own[column].drop(hollow.index).dropna().astype("float64").sort_values()
        if log:
            values = values[values > 0]
        missing = len(own) - len(values) - len(hollow)
        colour, marker = looks[group.code]
        axes.scatter(
            x + _spread(values.to_numpy(), log),
            values,
            s=16,
            c=colour,
            marker=marker,
            alpha=0.8,
            linewidths=0.4,
            edgecolors="white",
            zorder=3,
        )
        axes.scatter(
            [x + 0.2] * len(hollow),
            hollow,
            s=16,
            facecolors="none",
            edgecolors=colour,
            marker=marker,
            linewidths=0.9,
            zorder=3,
        )
        apart_words = f", {len(hollow)} not measured on room air" if len(hollow) else ""
        if len(values):
            axes.plot([x - 0.28, x + 0.28], [values.median()] * 2, color=_MIDDLE, linewidth=1.4, zorder=4)
            said.append(
                f"{group.label} n {len(values)}, median {number(values.median())}, {number(values.iloc[0])} to {number(values.iloc[-1])}"
                + (f", {missing} missing" if missing else "")
                + apart_words
            )
        else:
            said.append(f"{group.label}: no data{apart_words}")
        n = f"n {len(values)}" if len(values) else "no data"
        ticks.append(
            f"{textwrap.shorten(group.label, 14, placeholder='…')}\n{n}"
            + (f"\n+ {len(hollow)} hollow" if len(hollow) else "")
        )
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlim(-0.6, len(config.groups) - 0.4)
    if log and (data[column] > 0).any():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    return said


def _spread(values: np.ndarray, log: bool) -> np.ndarray:
    """Sideways offsets so that near points do not hide each other; decided by the data, never by chance."""
    if len(values) < 2:
        return np.zeros(len(values))
    place = np.log10(values) if log else values
    step = (place.max() - place.min() or 1) / 18
    offsets, last, k = np.zeros(len(values)), -np.inf, 0
    for i, v in enumerate(place):
        k = k + 1 if v - last < step else 0
        offsets[i] = 0.09 * ((k + 1) // 2) * (1 if k % 2 else -1)
        if k == 0:
            last = v
    return np.clip(offsets, -0.32, 0.32)


def _panels(
    data: pd.DataFrame,
    columns: Mapping[str, str],
    config: Config,
    name: str,
    caption: str,
    thresholds: Mapping[str, Sequence[tuple[float, str]]],
    log: bool,
    apart: Mapping[str, pd.Series] | None = None,
) -> Picture:
    kept = {c: label for c, label in columns.items() if data[c].notna().any()}
    if not kept:
        return sentence_picture(
            name,
            f"No donor has a value of {', '.join(columns.values())}.",
            data[["donor_id", "group", *columns]],
            PAGE_IN,
        )
    across = min(len(kept), 4) if len(kept) != 5 else 3
    down = -(-len(kept) // across)
    figure = Figure(figsize=(PAGE_IN * min(1.0, 0.28 * across + 0.06), 2.2 * down), layout="constrained")
    said = []
    for k, (column, label) in enumerate(kept.items()):
        axes = figure.add_subplot(down, across, k + 1)
        words = _dots(axes, data, column, config, log, (apart or {}).get(column, pd.Series(False, index=data.index)))
        axes.set_title(label)
        for value, text in thresholds.get(column, ()):
            axes.axhline(value, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
            axes.annotate(
                text,
                (1, value),
                xycoords=axes.get_yaxis_transform(),
                xytext=(-1, 2),
                textcoords="offset points",
                ha="right",
                va="bottom",
                fontsize=6.5,
                color=GREY,
            )
        said.append(f"{label}: {'; '.join(words)}.")
    absent = [label for c, label in columns.items() if c not in kept]
    caption += " One point a donor, the short line is the median." + (
        f" Not recorded: {', '.join(absent)}." if absent else ""
    )
    return Picture(figure, name, " ".join(said), caption, data[["donor_id", "group", *columns]])


@drawn
def gas_exchange(donors: pd.DataFrame, config: Config) -> Picture:
    """PaO2, alveolar–arterial gradient and shunt of every donor, with the registered limits.

    Parameters
    ----------
    donors
        The output table ``donors_derived``.
    config
        study.yaml, for limits and labels.
    """
    rules = config.settings["eligibility"]
    limits = {
        "pao2_mmhg": [(rules["pao2_limit_mmhg"], f"< {rules['pao2_limit_mmhg']:g}")],
        "aa_gradient_mmhg": [(rules["aa_limit_mmhg"], f"> {rules['aa_limit_mmhg']:g}")],
        "shunt_pct": [
            (rules["shunt_limit_pct"], f"> {rules['shunt_limit_pct']:g}"),
            (rules["shunt_limit_alternative_pct"], f"> {rules['shunt_limit_alternative_pct']:g}"),
        ],
    }
    return _panels(
        donors,
        GAS,
        config,
        "gas_exchange",
        "Gas exchange; dashed lines are the registered limits, for shunt both readings. Hollow: measured on oxygen, or it is not recorded "
        "on what; in no median.",
        limits,
        log=False,
        apart=not_on_room_air(donors),
    )


@drawn
def biomarkers(donors: pd.DataFrame, config: Config) -> Picture:
    """Antibody and blood markers of every donor on logarithmic axes.

    Parameters
    ----------
    donors
        The output table ``donors_derived``.
    config
        study.yaml.
    """
    limit = config.settings["eligibility"]["titre_limit_ug_ml"]
    return _panels(
        donors,
        MARKERS,
        config,
        "biomarkers",
        "Blood markers, logarithmic axes; the dashed line is the registered antibody limit.",
        {"gmcsf_ab_ug_ml": [(limit, f"> {limit:g}")]},
        log=True,
    )


@drawn
def lung_function(donors: pd.DataFrame, config: Config) -> Picture:
    """Lung function of every donor, percent of predicted.

    Parameters
    ----------
    donors
        The output table ``donors_derived``.
    config
        study.yaml.
    """
    return _panels(donors, LUNG, config, "lung_function", "Lung function, percent of predicted.", {}, log=False)


@drawn
def severity(donors: pd.DataFrame, config: Config) -> Picture:
    """Disease severity score: one mark a donor, stacked by score.

    Parameters
    ----------
    donors
        The output table ``donors_derived``.
    config
        study.yaml.
    """
    sick = [g for g in config.groups if g.role == "disease"]
    data = donors.loc[donors["group"].isin([g.code for g in sick]), ["donor_id", "group", "dss"]]
    scores = ["1", "1-2", "2", "3", "4", "5"]
    if data["dss"].isna().all():
        return sentence_picture(
            "severity", "The disease severity score needs PaO2 on room air, which no donor has.", data, PAGE_IN
        )
    looks = group_looks(config)
    figure = Figure(figsize=(PAGE_IN * 0.6, 2.0), layout="constrained")
    axes = figure.add_subplot()
    height = dict.fromkeys(scores, 0)
    said = []
    for group in sick:
        counts = data.loc[data["group"] == group.code, "dss"].value_counts()
        for x, score in enumerate(scores):
            n = int(counts.get(score, 0))
            axes.scatter(
                [x] * n,
                [height[score] + k + 1 for k in range(n)],
                s=26,
                c=looks[group.code][0],
                marker=looks[group.code][1],
                label=group.label if x == 0 else None,
            )
            height[score] += n
        missing = int(data.loc[data["group"] == group.code, "dss"].isna().sum())
        said.append(
            f"{group.label}: "
            + ", ".join(f"score {s} {int(counts.get(s, 0))}" for s in scores if counts.get(s, 0))
            + f", not known {missing}"
        )
    axes.set_xticks(range(len(scores)), scores)
    axes.set_xlim(-0.6, len(scores) - 0.4)
    axes.set_ylim(0, max(height.values()) + 1)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("Disease severity score (1 mild to 5 severe)")
    axes.set_ylabel("Donors")
    return Picture(
        figure,
        "severity",
        "Disease severity score. " + "; ".join(said) + ".",
        "Disease severity score (Inoue 2008) on room air; one mark a donor. 1-2: symptoms not recorded.",
        data.reset_index(drop=True),
    )
