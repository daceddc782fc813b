"""Figures of the response to MSC: forests by scale, shares of the gap, responders, the map, lots, covariates, planning."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter

from helpers.core.numbers import show as number
from helpers.core.numbers import show_interval
from helpers.figures.base import Picture, drawn, sentence_picture
from helpers.figures.effects import ratio_ticks
from helpers.figures.style import GREY, PAGE_IN, PURPLE, group_looks
from helpers.figures.words import SCALE_AXIS, STATUS_SHORT, readout_words
from helpers.stats import response as computed
from helpers.stats.concordance import COVARIATES
from helpers.stats.response import KEY, leading, of_role, rows_of
from helpers.stats.summary import arms_of, group_of
from helpers.study.config import Config

ROW_IN, LANE_IN, LABEL_WIDTH = 0.2, 0.15, 44
HEALTH_TINT, MISSING_TINT = "#E3EFE6", "#F2F2F2"
MOST_NUMBERS = 16
"""Columns of the map up to which every cell holds its number."""
MOST_COLUMNS, MOST_SCATTERS = 40, 24
_ARROWS = {"up": "→", "down": "←"}
_ARROWS_ON_NAMES = {"up": " ▲", "down": " ▼", "": ""}
_LOT_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
Lane = tuple[float, Any]


def _label(config: Config, assay: str, readout: str) -> str:
    known = (r for r in config.settings.get("readouts", ()) if (r["name"], r.get("assay", assay)) == (readout, assay))
    return str(next(known, {}).get("label") or readout_words(readout))


def _row_label(row: Any, config: Config) -> str:
    arms = textwrap.fill(arms_of(row, config), LABEL_WIDTH)
    return f"{_label(config, row.assay, row.readout)}\n{arms}"


def _axis_kind(row: Any) -> str:
    """What an axis measures: fold, odds, or a difference in one unit; kinds never share an axis."""
    if row.ratio_kind in ("fold", "odds"):
        return str(row.ratio_kind)
    return {"log2": "fold", "logit": "odds"}.get(row.scale, f"identity {row.unit}")


def _finish_axis(axes: Axes, kind: str) -> None:
    axes.set_xlabel(SCALE_AXIS[kind.split(" ")[0]].format(unit=kind.partition(" ")[2]))
    if kind in ("fold", "odds"):
        base = 2.0 if kind == "fold" else float(np.e)
        low, high = axes.get_xlim()
        ratios = ratio_ticks(base**low, base**high)
        axes.set_xticks([float(np.log(r) / np.log(base)) for r in ratios], [f"{r:g}×" for r in ratios])
        axes.set_xlim(low, high)


def _interval(axes: Axes, y: float, row: Any, colour: str, marker: str, filled: bool = True) -> None:
    """A mark with its interval; an end that is not known is an arrow head at the mark's side of it."""
    known = [row.estimate if pd.isna(v) else v for v in (row.ci_low, row.ci_high)]
    axes.plot(known, [y, y], color=colour, linewidth=1.3, zorder=3, solid_capstyle="butt")
    face = colour if filled else "white"
    axes.scatter([row.estimate], [y], s=22, marker=marker, facecolors=face, edgecolors=colour, linewidths=1, zorder=4)


def _refusal(axes: Axes, y: float, words: str) -> None:
    transform = axes.get_yaxis_transform()
    axes.text(0.01, y, words, color=GREY, fontsize=6.5, va="center", transform=transform, zorder=5)


def _sizes(estimate: float, low: Any, high: Any, kind: str) -> str:
    base = {"fold": 2.0, "odds": float(np.e)}.get(kind)
    values = [float("nan") if pd.isna(v) else float(v) for v in (estimate, low, high)]
    values = [base**v for v in values] if base else values
    return f"{number(values[0])} ({show_interval(values[1], values[2]) or 'open'})"


# ---- forests by scale


def all_forests(
    effects: pd.DataFrame, readouts: pd.DataFrame, donors: pd.DataFrame, config: Config, role: str = ""
) -> list[Picture]:
    """One forest a scale of the readouts of a role: fold changes, differences in each unit, and odds ratios apart.

    Parameters
    ----------
    effects, readouts, donors
        The output tables ``effects``, ``readouts`` and ``donors_derived``.
    config
        study.yaml.
    role
        primary, secondary or exploratory; empty for the role that leads.

    Returns
    -------
    Pictures; one that says so where there is no estimate.
    """
    names = of_role(effects, role) if role else leading(effects)[1]
    role = role or leading(effects)[0]
    rows = rows_of(effects, "msc_effect", names)
    if rows["estimate"].isna().all():
        return [
            _nothing(f"response_{role}_forest", f"There is no estimate of a {role} readout with and without MSC.", rows)
        ]
    changes = computed.donor_changes(readouts, effects, donors, config, names)
    kinds = pd.Series([_axis_kind(r) for r in rows.itertuples()], rows.index)
    given = rows.groupby(KEY, dropna=False, sort=False)["estimate"].transform("count") > 0
    return [
        _forest(rows[given & (kinds == kind)], changes, effects, config, str(kind), role)
        for kind in dict.fromkeys(kinds[given])
    ]


@drawn
def _nothing(name: str, sentence: str, rows: pd.DataFrame) -> Picture:
    return sentence_picture(name, sentence, rows, PAGE_IN)


@drawn
def _forest(
    rows: pd.DataFrame, changes: pd.DataFrame, effects: pd.DataFrame, config: Config, kind: str, role: str
) -> Picture:
    blocks = [part for _, part in rows.groupby(KEY, sort=False, dropna=False)]
    figure, axes, lanes = _lanes(blocks, config)
    looks = group_looks(config)
    for y, row in lanes:
        colour, marker = looks.get(row.group, (PURPLE, "D"))
        own = _of_row(changes, row)
        axes.plot(own["change"], np.full(len(own), y - 0.32), "|", color=colour, markersize=4, alpha=0.7, zorder=2)
        if pd.isna(row.estimate):
            words = STATUS_SHORT.get(row.status, str(row.status).replace("_", " "))
            _refusal(axes, y, f"{group_of(row, config)}: {words}")
        else:
            _interval(axes, y, row, colour, marker)
    ways = [computed.direction(effects, config, next(part.itertuples())) for part in blocks]
    _health(axes, blocks, lanes, ways)
    _finish_axis(axes, kind)
    _group_legend(figure, rows, config, [Patch(facecolor=HEALTH_TINT, label="toward health")])
    said = "; ".join(
        f"{_label(config, r.assay, r.readout)}, {arms_of(r, config)}, {group_of(r, config)} {_sizes(r.estimate, r.ci_low, r.ci_high, kind)}"
        for _, r in lanes
        if pd.notna(r.estimate)
    )
    what = {"fold": "fold changes", "odds": "odds ratios"}.get(kind, f"differences in {kind.partition(' ')[2]}")
    slug = "_".join("".join(c if c.isalnum() else " " for c in kind).split())
    level = 100 * float(rows["ci_level"].iloc[0])
    caption = (
        f"Effect of MSC on {role} readouts, {what}: estimate and {level:g} % interval, each donor's own change as a tick below it. "
        "Tinted side and arrow: toward health, by the plan or by where this study's controls lie (own gap)."
    )
    data = rows.assign(toward_health=[computed.direction(effects, config, r).way for r in rows.itertuples()])
    return Picture(
        figure, f"response_{role}_forest_{slug}", f"Forest of {role} readouts, {what}. {said}.", caption, data
    )


def _of_row(changes: pd.DataFrame, row: Any) -> pd.DataFrame:
    """Donors' observed changes behind one row of effects."""
    same = (changes["group"] == row.group) & (changes["mark"] == "")
    for key in KEY:
        value = getattr(row, key)
        same &= changes[key].isna() if pd.isna(value) else changes[key] == value
    return changes[same]


def _lanes(
    blocks: Sequence[pd.DataFrame], config: Config, label: Callable[[Any, Config], str] = _row_label
) -> tuple[Figure, Axes, list[Lane]]:
    """A figure with a block of lanes for each comparison, a lane for each row of it; rows with their height."""
    lanes: list[Lane] = []
    y, centres, labels, edges = 0.0, [], [], []
    for part in blocks:
        first = next(part.itertuples())
        words = label(first, config)
        height = max(len(part) * 1.0, 0.75 * (words.count("\n") + 1))
        start = y + (height - len(part)) / 2
        lanes += [(start + i + 0.35, row) for i, row in enumerate(part.itertuples())]
        centres.append(y + height / 2 - 0.1)
        labels.append(words)
        y += height + 0.3
        edges.append(y - 0.2)
    figure = Figure(figsize=(PAGE_IN, max(ROW_IN * y + 0.75, 1.3)), layout="constrained")
    axes = figure.add_subplot()
    for edge in edges[:-1]:
        axes.axhline(edge, color="#CCCCCC", linewidth=0.5, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    axes.set_ylim(-0.2, y - 0.1)
    axes.invert_yaxis()
    axes.set_yticks(centres, labels, fontsize=7)
    axes.tick_params(axis="y", length=0)
    # matplotlib draws what lies below in an inverted axis with a larger y; ticks of donors lie just below their mark
    lanes = [(y_, row) for y_, row in lanes]
    return figure, axes, lanes


def _health(axes: Axes, blocks: Sequence[pd.DataFrame], lanes: list[Lane], ways: list[computed.Direction]) -> None:
    """Tint each block's side toward health, and name its source in the margin."""
    low, high = axes.get_xlim()
    heights = iter(y for y, _ in lanes)
    for part, way in zip(blocks, ways, strict=True):
        own = [next(heights) for _ in range(len(part))]
        top, bottom = min(own) - 0.5, max(own) + 0.5
        words = {"plan": "plan", "own gap": "own gap"}.get(way.source, "no direction\nstated")
        axes.text(
            1.01,
            (top + bottom) / 2,
            f"{_ARROWS.get(way.way, '')} {words}".strip(),
            fontsize=6.5,
            va="center",
            transform=axes.get_yaxis_transform(),
        )
        if way.way:
            side = (0.0, high) if way.way == "up" else (low, 0.0)
            axes.add_patch(
                Rectangle((side[0], top), side[1] - side[0], bottom - top, facecolor=HEALTH_TINT, linewidth=0, zorder=0)
            )
    axes.set_xlim(low, high)


def _group_legend(figure: Figure, rows: pd.DataFrame, config: Config, more: Sequence[Any] = ()) -> None:
    looks = group_looks(config)
    first = rows.drop_duplicates("group")
    handles: list[Any] = [
        Line2D([], [], color=colour, marker=marker, markersize=4.5, linewidth=1.3, label=group_of(r, config))
        for r in first.itertuples()
        for colour, marker in [looks.get(r.group, (PURPLE, "D"))]
    ]
    figure.legend(handles=[*handles, *more], loc="outside lower left", ncols=4)


# ---- share of the gap


@drawn
def gap_closed(effects: pd.DataFrame, config: Config) -> Picture:
    """Shares of the gap between the groups, 0 as without MSC and 1 as the controls; refusals in words.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml.
    """
    name = "response_gap_closed"
    rows = rows_of(effects, "gap_closed", leading(effects)[1])
    if rows["estimate"].isna().all():
        return sentence_picture(name, "No share of a gap between groups can be given.", rows, PAGE_IN)
    blocks = [part for _, part in rows.groupby(KEY, sort=False, dropna=False)]
    figure, axes, lanes = _lanes(blocks, config)
    axes.axvline(1, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for y, row in lanes:
        if pd.isna(row.estimate):
            _refusal(axes, y, STATUS_SHORT.get(row.status, str(row.status).replace("_", " ")))
        else:
            _interval(axes, y, row, PURPLE, "D")
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, -2.0), min(high, 4.0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.0f} %"))
    axes.set_xlabel("Share of the gap that is closed (0 %: as without MSC; 100 %: as the controls)")
    said = "; ".join(
        f"{_label(config, r.assay, r.readout)}, {arms_of(r, config)} "
        + (
            "not estimable"
            if pd.isna(r.estimate)
            else _sizes(100 * r.estimate, 100 * r.ci_low, 100 * r.ci_high, "share") + " %"
        )
        for r in rows.itertuples()
    )
    caption = (
        "Share of the gap between the groups that co-culture closes, with its interval; wide where the gap is small. "
        "It describes: groups differ in the source of their cells, and may in smoking, age and calendar time."
    )
    return Picture(figure, name, f"Shares of the gap closed. {said}.", caption, rows)


# ---- responders


@drawn
def responders(table: pd.DataFrame, effects: pd.DataFrame, config: Config) -> Picture:
    """Share of donors who changed more than measurement error, up and down, with Clopper–Pearson intervals.

    Parameters
    ----------
    table
        The output table ``responders``.
    effects
        The output table ``effects``.
    config
        study.yaml.
    """
    name = "response_responders"
    rows = computed.responders_of(table, effects)
    rows = rows[rows["k"].notna()]
    if rows.empty:
        return sentence_picture(
            name, "No readout has independent cultures, so no donor can be called a responder.", rows, PAGE_IN
        )
    rows = rows.assign(estimate=rows["share"], unit="")
    blocks = [part for _, part in rows.groupby(KEY, sort=False, dropna=False)]
    figure, axes, lanes = _lanes(blocks, config)
    looks = group_looks(config)
    for y, row in lanes:
        _interval(axes, y, row, looks.get(row.group, (PURPLE, "D"))[0], {"up": "^", "down": "v"}[row.direction])
        words = f"{int(row.k)} of {int(row.n)}"
        axes.text(1.01, y, words, fontsize=6.5, va="center", transform=axes.get_yaxis_transform())
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.0f} %"))
    axes.set_xlabel("Donors who changed more than measurement error")
    colours = [
        Line2D([], [], color=looks.get(r.group, (PURPLE, "D"))[0], linewidth=2, label=group_of(r, config))
        for r in rows.drop_duplicates("group").itertuples()
    ]
    shapes = [
        Line2D([], [], color="#222222", marker=m, linestyle="", label=w) for m, w in (("^", "higher"), ("v", "lower"))
    ]
    figure.legend(handles=[*colours, *shapes], loc="outside lower left", ncols=4)
    said = "; ".join(
        f"{_label(config, r.assay, r.readout)}, {arms_of(r, config)}, {group_of(r, config)}, "
        f"{'higher' if r.direction == 'up' else 'lower'} {int(r.k)} of {int(r.n)}"
        for r in rows.itertuples()
    )
    caption = "Share of donors whose change is larger than the smallest detectable one, with Clopper–Pearson intervals. Colour and order: group; triangle up: higher, down: lower."
    return Picture(figure, name, f"Responders. {said}.", caption, rows.drop(columns=["estimate"]))


# ---- map


@drawn
def response_map(readouts: pd.DataFrame, effects: pd.DataFrame, donors: pd.DataFrame, config: Config) -> Picture:
    """Donors × primary and secondary readouts: standardised changes; what is missing hatched, what is bounded marked.

    Parameters
    ----------
    readouts, effects, donors
        The output tables ``readouts``, ``effects`` and ``donors_derived``.
    config
        study.yaml.
    """
    name = "response_map"
    names = [*of_role(effects, "primary"), *of_role(effects, "secondary")] or leading(effects)[1]
    changes = computed.donor_changes(readouts, effects, donors, config, names)
    columns = [
        (next(part.itertuples()), part.set_index("donor_id"))
        for _, part in changes.groupby(KEY, sort=False, dropna=False)
        if part["standardised"].notna().any()
    ][:MOST_COLUMNS]
    if not columns:
        return sentence_picture(
            name, "No donor has a change that can be set against the spread of donors.", changes, PAGE_IN
        )
    order = {g.code: i for i, g in enumerate(config.groups)}
    who = donors.sort_values(
        ["group", "donor_id"], key=lambda s: s.map(order) if s.name == "group" else s, kind="stable"
    )
    labels = _map_labels([row for row, _ in columns], effects, config)
    tall = 0.155 * len(who) + 1.0 + 0.062 * max(map(len, labels))
    figure = Figure(figsize=(PAGE_IN, tall), layout="constrained")
    axes = figure.add_subplot()
    image = _cells(axes, columns, list(who["donor_id"]))
    axes.set_xticks(np.arange(len(columns)) + 0.5, labels, rotation=90, fontsize=6.5)
    axes.set_yticks(np.arange(len(who)) + 0.5, list(who["donor_id"]), fontsize=6)
    for edge in np.cumsum(who["group"].value_counts(sort=False).to_numpy())[:-1]:
        axes.axhline(edge, color="#222222", linewidth=1.4)
    bar = figure.colorbar(image, ax=axes, pad=0.01, fraction=0.03, extend="both")
    bar.set_label("Change, SDs of donors")
    hatches = [
        Patch(facecolor=MISSING_TINT, edgecolor="#888888", hatch="////", label="one arm only"),
        Patch(facecolor="white", edgecolor="#888888", hatch="xxxx", label="not measured"),
    ]
    figure.legend(handles=hatches, loc="outside lower left", ncols=2)
    alt = f"Standardised changes of {len(columns)} readouts and comparisons in {len(who)} donors. " + " ".join(
        f"{label.replace(chr(10), ' ')}: {_map_words(part)}." for label, (_, part) in zip(labels, columns, strict=True)
    )
    caption = (
        "Each donor's change in SDs of the donors, groups parted by the black line. < or >: at most or at least, since an arm lies beyond a limit; "
        "?: beyond limits in a way that leaves no direction. ▲ and ▼: toward health, by the plan or this study's own gap."
    )
    return Picture(figure, name, alt, caption, changes)


def _map_labels(rows: list[Any], effects: pd.DataFrame, config: Config) -> list[str]:
    several = len({(r.treatment, r.reference) for r in rows}) > 1
    labels = {c.code: c.label for c in config.conditions}
    out = []
    for row in rows:
        way = _ARROWS_ON_NAMES[computed.direction(effects, config, row).way]
        minutes = "" if pd.isna(row.assay_minutes) else f", {row.assay_minutes:g} min"
        more = f"\n{labels.get(row.treatment, row.treatment)}" if several else ""
        out.append(f"{_label(config, row.assay, row.readout)}{way}{minutes}{more}")
    return out


def _map_words(part: pd.DataFrame) -> str:
    counts = part["mark"].value_counts()
    observed = int(counts.get("", 0))
    bounded = int(sum(counts.get(m, 0) for m in ("<", ">", "?")))
    median = part.loc[part["mark"] == "", "standardised"].median()
    return f"median {number(float(median))} SD in {observed} donors, {bounded} bounded, {len(part) - observed - bounded} without a pair"


def _cells(axes: Axes, columns: list[tuple[Any, pd.DataFrame]], who: list[str]) -> Any:
    values = np.column_stack([part["standardised"].reindex(who).to_numpy(dtype="float64") for _, part in columns])
    marks = np.column_stack([part["mark"].reindex(who).fillna("no arm").to_numpy(dtype=object) for _, part in columns])
    most = float(max(1.0, np.nanquantile(np.abs(values), 0.98)))
    image = axes.pcolormesh(
        np.ma.masked_invalid(values),
        cmap="PuOr_r",
        norm=TwoSlopeNorm(0, -most, most),
        edgecolors="white",
        linewidth=0.4,
    )
    numbered = len(columns) <= MOST_NUMBERS
    for i, j in np.ndindex(*values.shape):
        mark, value = str(marks[i, j]), values[i, j]
        if mark in ("one arm", "no arm"):
            face, hatch = (MISSING_TINT, "////") if mark == "one arm" else ("white", "xxxx")
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=face, edgecolor="#888888", hatch=hatch, linewidth=0.3))
            continue
        words = mark + (f"{value:.1f}".replace("-", "\N{MINUS SIGN}") if numbered and np.isfinite(value) else "")
        if not numbered and not mark and np.isfinite(value):
            words = "+" if value > 0 else "\N{MINUS SIGN}"
        colour = "white" if np.isfinite(value) and abs(value) > 0.6 * most else "#222222"
        axes.text(j + 0.5, i + 0.5, words, ha="center", va="center", fontsize=5.5, color=colour)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(who), 0)
    return image


# ---- across assays and beside clinical values


@drawn
def concordance(table: pd.DataFrame, effects: pd.DataFrame, config: Config) -> Picture:
    """Rank correlations of changes between readouts of different assays, with intervals; grey: what chance alone gives.

    Parameters
    ----------
    table
        The output table ``concordance``.
    effects
        The output table ``effects``, for the names of the comparisons.
    config
        study.yaml.
    """
    name = "response_concordance"
    which = effects.drop_duplicates("contrast_id").set_index("contrast_id")[["group", "treatment", "reference"]]
    rows = computed.across_assays(table).join(which, on="contrast_id", how="inner")
    if rows.empty:
        return sentence_picture(
            name, "No two assays have changes of the same donors to be set side by side.", rows, PAGE_IN
        )
    rows = rows.assign(estimate=rows["rho"], timepoint_h=np.nan, assay_minutes=np.nan)
    blocks = [part for _, part in rows.groupby(["first", "second"], sort=False)]
    figure, axes, lanes = _lanes(blocks, config, lambda r, _: f"{_spoken(r.first)}\nand {_spoken(r.second)}")
    looks = group_looks(config)
    several = rows.groupby("group")["contrast_id"].nunique().max() > 1
    for y, row in lanes:
        colour, marker = looks.get(row.group, (PURPLE, "D"))
        axes.barh(y, 2 * row.critical, left=-row.critical, height=0.8, color="#E8E8E8", zorder=0)
        _interval(axes, y, row, colour, marker)
        if several:
            transform = axes.get_yaxis_transform()
            axes.text(
                1.01, y, arms_of(row, config).split(" against ")[0], fontsize=5.5, va="center", transform=transform
            )
    axes.set_xlim(-1.03, 1.03)
    axes.set_xlabel("Rank correlation of donors' changes")
    _group_legend(figure, rows, config, [Patch(facecolor="#E8E8E8", label="not told from none")])
    said = "; ".join(
        f"{_spoken(r.first)} and {_spoken(r.second)}, {group_of(r, config)}, {number(r.rho)} ({show_interval(r.ci_low, r.ci_high)}), {r.n} donors"
        for r in rows.itertuples()
    )
    caption = "Changes of different assays, turned toward health as the plan states it, donor by donor: rank correlation with a bootstrap interval. It describes; nothing was planned to be tested."
    return Picture(figure, name, f"Concordance across assays. {said}.", caption, rows.drop(columns=["estimate"]))


def _spoken(name: str) -> str:
    """A readout of concordance without its assay and hours, readable.

    Examples
    --------
    >>> _spoken("phagocytosis bead|index_mean 24 h 60 min")
    'bead, index (mean), 60 min'
    """
    words = str(name).split(" ")
    hours = next((i for i, w in enumerate(words) if w == "h"), len(words))
    minutes = words[hours + 1 :]
    return readout_words(" ".join(words[1 : hours - 1])) + (f", {' '.join(minutes)}" if minutes else "")


@drawn
def covariates(readouts: pd.DataFrame, effects: pd.DataFrame, donors: pd.DataFrame, config: Config) -> Picture:
    """Each donor's change against clinical values, a row a leading readout and a column a value; no line is fitted.

    Parameters
    ----------
    readouts, effects, donors
        The output tables ``readouts``, ``effects`` and ``donors_derived``.
    config
        study.yaml.
    """
    name = "response_covariates"
    changes = computed.donor_changes(readouts, effects, donors, config, leading(effects)[1])
    known = donors.set_index("donor_id")
    values = {c: pd.to_numeric(known[c], errors="coerce") for c in COVARIATES if c in known}
    values = {c: v for c, v in values.items() if v.notna().any()}
    seen = changes[changes["mark"].isin(["", "<", ">"])]
    blocks = [part for _, part in seen.groupby(KEY, sort=False, dropna=False)][: MOST_SCATTERS // max(len(values), 1)]
    if not values or not blocks:
        return sentence_picture(name, "No donor has both a change and a clinical value.", seen, PAGE_IN)
    figure = Figure(figsize=(PAGE_IN, 1.55 * len(blocks) + 0.5), layout="constrained")
    looks = group_looks(config)
    for i, part in enumerate(blocks):
        first = next(part.itertuples())
        for j, (column, value) in enumerate(values.items()):
            axes = figure.add_subplot(len(blocks), len(values), i * len(values) + j + 1)
            _scatter(axes, part, value, looks)
            if j == 0:
                axes.set_title(f"{_label(config, first.assay, first.readout)}: {arms_of(first, config)}", fontsize=7)
                unit = {"log2": "log2 fold", "logit": "log odds"}.get(first.scale, first.unit)
                axes.set_ylabel(f"Change, {unit}", fontsize=6.5)
            if i == len(blocks) - 1:
                axes.set_xlabel(COVARIATES[column], fontsize=7)
    _group_legend(
        figure,
        seen,
        config,
        [
            Line2D([], [], color="#222222", marker=m, linestyle="", markerfacecolor="white", label=w)
            for m, w in (("v", "at most"), ("^", "at least"))
        ],
    )
    joined = seen.assign(**{c: seen["donor_id"].map(v) for c, v in values.items()})
    alt = "Changes beside clinical values. " + " ".join(
        f"{COVARIATES[c]}: {int(joined.loc[joined[c].notna(), 'donor_id'].nunique())} donors from {number(float(v.min()))} to {number(float(v.max()))}."
        for c, v in values.items()
    )
    caption = "Each point is a donor: change with MSC against a clinical value before it. No line is drawn; correlations with their intervals stand in the table."
    return Picture(figure, name, alt, caption, joined)


def _scatter(axes: Axes, part: pd.DataFrame, value: pd.Series, looks: dict[str, tuple[str, str]]) -> None:
    x = part["donor_id"].map(value)
    for group, (colour, marker) in looks.items():
        for mark, face, shape in (("", colour, marker), ("<", "white", "v"), (">", "white", "^")):
            own = (part["group"] == group) & (part["mark"] == mark)
            axes.scatter(
                x[own], part.loc[own, "change"], s=12, marker=shape, facecolors=face, edgecolors=colour, linewidths=0.7
            )
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.tick_params(labelsize=6.5)


# ---- lots


def all_lots(
    effects: pd.DataFrame, sensitivity: pd.DataFrame, readouts: pd.DataFrame, donors: pd.DataFrame, config: Config
) -> list[Picture]:
    """The effect with each MSC lot and each donor's own change, a picture a scale.

    Parameters
    ----------
    effects, sensitivity, readouts, donors
        The output tables ``effects``, ``effects_sensitivity``, ``readouts`` and ``donors_derived``.
    config
        study.yaml.
    """
    names = leading(effects)[1]
    rows = computed.lot_effects(effects, sensitivity, names).assign(ratio_kind="")
    if rows.empty:
        return [_nothing("response_lots", "No effect can be parted by MSC lot.", rows)]
    changes = computed.donor_changes(readouts, effects, donors, config, names)
    kinds = pd.Series([_axis_kind(r) for r in rows.itertuples()], rows.index)
    return [_lots(rows[kinds == kind], changes, config, str(kind)) for kind in dict.fromkeys(kinds)]


@drawn
def _lots(rows: pd.DataFrame, changes: pd.DataFrame, config: Config, kind: str) -> Picture:
    blocks = [part for _, part in rows.groupby(KEY, sort=False, dropna=False)]
    figure, axes, lanes = _lanes(blocks, config)
    looks, lots = group_looks(config), sorted(rows["lot"].unique())
    shapes = {lot: _LOT_MARKS[i % len(_LOT_MARKS)] for i, lot in enumerate(lots)}
    for y, row in lanes:
        colour = looks.get(row.group, (PURPLE, "D"))[0]
        own = _of_row(changes, row)
        own = own[own["msc_lot_id"] == row.lot]
        axes.plot(own["change"], np.full(len(own), y - 0.32), "|", color=colour, markersize=4, alpha=0.7, zorder=2)
        _interval(axes, y, row, colour, shapes[row.lot])
        words = f"{row.lot}, {row.n_donors} donors"
        axes.text(1.01, y, words, fontsize=6.5, va="center", transform=axes.get_yaxis_transform())
    _finish_axis(axes, kind)
    colours = [
        Line2D([], [], color=looks.get(r.group, (PURPLE, "D"))[0], linewidth=2, label=group_of(r, config))
        for r in rows.drop_duplicates("group").itertuples()
    ]
    marks = [Line2D([], [], color="#222222", marker=m, linestyle="", label=f"lot {lot}") for lot, m in shapes.items()]
    figure.legend(handles=[*colours, *marks], loc="outside lower left", ncols=4)
    said = "; ".join(
        f"{_label(config, r.assay, r.readout)}, {arms_of(r, config)}, {group_of(r, config)}, lot {r.lot} {_sizes(r.estimate, r.ci_low, r.ci_high, kind)}"
        for r in rows.itertuples()
    )
    slug = "_".join("".join(c if c.isalnum() else " " for c in kind).split())
    caption = f"Effect with each MSC lot and its interval, each donor's change as a tick. It applies to these lots ({', '.join(lots)}); other donors stand behind each."
    return Picture(figure, f"response_lots_{slug}", f"Effects by MSC lot. {said}.", caption, rows)


# ---- the next donors


@drawn
def budget(readouts: pd.DataFrame, effects: pd.DataFrame, donors: pd.DataFrame, config: Config) -> Picture:
    """How much narrower each interval gets with one more donor, culture or assay well.

    Parameters
    ----------
    readouts, effects, donors
        The output tables ``readouts``, ``effects`` and ``donors_derived``.
    config
        study.yaml.
    """
    name = "response_budget"
    changes = computed.donor_changes(readouts, effects, donors, config, leading(effects)[1])
    rows = computed.budgets(changes, readouts)
    rows = rows[rows["source"].notna()]
    if rows.empty:
        return sentence_picture(name, "No spread can be parted into donors, cultures and wells.", rows, PAGE_IN)
    rows = rows.assign(narrower=100 * (1 - (rows["half_width_one_more"] / rows["half_width"]).astype("float64")))
    keys = [*KEY, "group"]
    blocks = [part.head(1) for _, part in rows.groupby(keys, sort=False, dropna=False)]
    figure, axes, lanes = _lanes(
        blocks, config, lambda r, c: f"{_label(c, r.assay, r.readout)}, {group_of(r, c)}\n{arms_of(r, c)}"
    )
    looks = {
        "donor": ("#7B4FA3", "o", "one more donor"),
        "culture": ("#0072B2", "s", "one more culture an arm"),
        "assay": ("#D55E00", "^", "one more assay well a culture"),
    }
    for (y, _), (_, part) in zip(lanes, rows.groupby(keys, sort=False, dropna=False), strict=True):
        axes.plot([0, part["narrower"].max()], [y, y], color="#CCCCCC", linewidth=0.7, zorder=1)
        for row in part.itertuples():
            colour, marker, _ = looks[row.source]
            axes.scatter(
                [row.narrower],
                [y],
                s=20,
                marker=marker,
                facecolors="white",
                edgecolors=colour,
                linewidths=1.1,
                zorder=3,
            )
    axes.set_xlim(left=-0.3)
    axes.set_xlabel("Interval narrower by, %")
    handles = [
        Line2D([], [], color=c, marker=m, linestyle="", markerfacecolor="white", label=w)
        for s, (c, m, w) in looks.items()
        if s in set(rows["source"])
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=3)
    said = "; ".join(
        f"{_label(config, r.assay, r.readout)}, {arms_of(r, config)}, {group_of(r, config)}, {looks[r.source][2]} {number(r.narrower, 2)} %"
        for r in rows.itertuples()
    )
    caption = "How much narrower the interval of the mean change becomes with one more donor, one more culture in each arm, or one more assay well of each culture."
    return Picture(figure, name, f"What one more of each brings. {said}.", caption, rows)
