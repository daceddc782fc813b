"""Figures of the response to MSC: forests by scale, shares of the gap, responders, the map, lots, covariates, planning."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from helpers.core.numbers import show as number
from helpers.core.numbers import show_interval
from helpers.figures.base import MOST_ROWS, Picture, drawn, sentence_picture, too_many_donors
from helpers.figures.effects import ratio_ticks
from helpers.figures.style import BLUE, GREY, ORANGE, PAGE_IN, PURPLE, group_looks
from helpers.figures.words import CHANGE_UNIT, GAS, HEALTH_CAPTION, HEALTH_SOURCE, ONE_MORE, SCALE_AXIS, STATUS_SHORT
from helpers.stats import response as computed
from helpers.stats.labels import COVARIATES, arms_of, comparison_of, groups_of, name_of, times_of
from helpers.stats.response import KEY, ROW, leading, of_role, rows_of
from helpers.stats.summary import confounders, listed, share, shares, size
from helpers.study.config import Config

ROW_IN, LABEL_WIDTH, NAME_WIDTH = 0.2, 44, 34
HEALTH_TINT, MISSING_TINT, BAND = "#E3EFE6", "#F2F2F2", "#E8E8E8"
MOST_NUMBERS = 24
"""Columns of the map up to which every cell holds its number."""
MOST_COLUMNS, MOST_SCATTERS = 40, 24
_ARROWS, _TRIANGLES = {"up": "→ ", "down": "← ", "": ""}, {"up": " ▲", "down": " ▼", "": ""}
_LOT_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_MORE_LOOKS = {"donor": (PURPLE, "o"), "culture": (BLUE, "s"), "assay": (ORANGE, "^")}


# ---- lanes: what all forests of this page share


def _lanes(
    blocks: Sequence[pd.DataFrame], label: Callable[[Any], str]
) -> tuple[Figure, Axes, list[list[tuple[float, Any]]]]:
    """A figure with a block of lanes for each comparison, a lane for each row of it; the rows with their heights."""
    lanes, centres, labels, y = [], [], [], 0.0
    figure = Figure(layout="constrained")
    axes = figure.add_subplot()
    for part in blocks:
        words = label(next(part.itertuples()))
        height = max(float(len(part)), 0.75 * (words.count("\n") + 1))
        start = y + (height - len(part)) / 2 + 0.4
        lanes.append([(start + i, row) for i, row in enumerate(part.itertuples())])
        centres.append(y + height / 2)
        labels.append(words)
        y += height + 0.3
        axes.axhline(y - 0.15, color="#CCCCCC", linewidth=0.5, zorder=0)
    figure.set_size_inches(PAGE_IN, ROW_IN * y + 0.85)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    axes.set_ylim(y - 0.15, -0.15)
    axes.set_yticks(centres, labels, fontsize=7)
    axes.tick_params(axis="y", length=0)
    return figure, axes, lanes


def _row_label(row: Any, config: Config) -> str:
    name = textwrap.fill(name_of(config, row.assay, row.readout), NAME_WIDTH)
    return f"{name}\n{textwrap.fill(comparison_of(row, config), LABEL_WIDTH)}"


def _parts(rows: pd.DataFrame, keys: Sequence[str] = KEY) -> list[pd.DataFrame]:
    return [part for _, part in rows.groupby(list(keys), sort=False, dropna=False)]


def _interval(axes: Axes, y: float, row: Any, colour: str, marker: str) -> None:
    """A mark with its interval; an end that is not known is an arrow head."""
    known = [row.estimate if pd.isna(v) else v for v in (row.ci_low, row.ci_high)]
    axes.plot(known, [y, y], color=colour, linewidth=1.3, zorder=3, solid_capstyle="butt")
    for end, shape in ((row.ci_low, "<"), (row.ci_high, ">")):
        if pd.isna(end):
            axes.annotate(
                "",
                (0.06 if shape == "<" else 0.94, y),
                (row.estimate, y),
                axes.get_yaxis_transform(),
                "data",
                arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 1.0},
                annotation_clip=False,
            )
    axes.scatter([row.estimate], [y], s=22, marker=marker, color=colour, zorder=4)


def _own_changes(axes: Axes, y: float, own: pd.DataFrame, colour: str) -> None:
    """Each donor's change below its mark: a tick, or a triangle that points to where a bounded one lies."""
    for mark, shape in (("", "|"), ("<", "<"), (">", ">")):
        x = own.loc[own["mark"] == mark, "shown"]
        axes.plot(
            x, [y + 0.36] * len(x), shape, color=colour, markersize=3.5, markerfacecolor="white", alpha=0.8, zorder=2
        )


def _beside(axes: Axes, y: float, words: str, fontsize: float = 6.5) -> None:
    axes.text(1.01, y, words, fontsize=fontsize, va="center", transform=axes.get_yaxis_transform())


def _refusal(axes: Axes, y: float, words: str) -> None:
    clear = {"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 0.8}  # zero's line ends beside the words
    at: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "zorder": 5}
    axes.text(0.01, y, words, color=GREY, fontsize=6.5, bbox=clear, **at)


def _short(row: Any) -> str:
    return STATUS_SHORT.get(row.status, str(row.status).replace("_", " "))


def _finish_axis(axes: Axes, kind: str) -> None:
    axes.set_xlabel(SCALE_AXIS.get(kind) or SCALE_AXIS["identity"].format(unit=kind))
    base = computed.BASES.get(kind)
    if base:
        low, high = axes.get_xlim()
        ratios = ratio_ticks(base**low, base**high)
        axes.set_xticks([float(np.log(r) / np.log(base)) for r in ratios], [f"{r:g}×" for r in ratios])
        axes.set_xlim(low, high)


def _percent_axis(axes: Axes, label: str) -> None:
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.0f} %".replace("-", "\N{MINUS SIGN}")))
    axes.set_xlabel(label)


def _group_handles(rows: pd.DataFrame, config: Config, marks: bool = True) -> list[Line2D]:
    looks = group_looks(config)
    labels = {r.group: groups_of(r, config) for r in rows.drop_duplicates("group").itertuples()}
    order = sorted(labels, key=lambda g: (list(looks).index(g) if g in looks else len(looks), g))
    return [
        Line2D([], [], color=c, marker=m if marks else "", markersize=4.5, linewidth=1.3, label=labels[g])
        for g in order
        for c, m in [looks.get(g, (PURPLE, "D"))]
    ]


def _mark(shape: str, label: str, colour: str = "#222222", face: str = "white") -> Line2D:
    return Line2D([], [], color=colour, marker=shape, linestyle="", markersize=4.5, markerfacecolor=face, label=label)


def _legend(figure: Figure, handles: Sequence[Any], columns: int = 4) -> None:
    figure.legend(handles=handles, loc="outside lower left", ncols=columns)


def _said(row: Any, config: Config, *more: str) -> str:
    what = (name_of(config, row.assay, row.readout), comparison_of(row, config), groups_of(row, config))
    return ", ".join([*what, *more])


def _slug(kind: str) -> str:
    """A kind of axis as part of a file name, another one for every kind."""
    letters = (c if c.isascii() and c.isalnum() else "_" if c == " " else f"-{ord(c):x}" for c in kind)
    return "".join(letters) or "none"


@drawn
def _nothing(name: str, sentence: str, rows: pd.DataFrame) -> Picture:
    return sentence_picture(name, sentence, rows, PAGE_IN)


# ---- forests by scale


def all_forests(effects: pd.DataFrame, changes: pd.DataFrame, config: Config, rank: str = "leading") -> list[Picture]:
    """One forest a scale of the effect on some readouts: fold changes, differences in each unit, and odds ratios apart.

    Parameters
    ----------
    effects, changes
        The output tables ``effects`` and ``donor_changes``.
    config
        study.yaml.
    rank
        ``leading``, or ``following``: the secondary readouts where primary ones lead.

    Returns
    -------
    Pictures; one that says so where there is no estimate.
    """
    role, names = computed.ranked(effects, rank)
    rows = rows_of(effects, "msc_effect", names)
    if rows["estimate"].isna().all():
        sentence = f"There is no estimate of co-culture with MSC on any of {len(names)} {role} readouts."
        return [_nothing(f"response_{role}_forest", sentence, rows)]
    ways = [computed.direction(effects, config, r) for r in rows.itertuples()]
    rows = rows.assign(
        toward_health=[w.way for w in ways], source=[w.source for w in ways], cited=[w.cited for w in ways]
    )
    given = rows[rows["estimate"].notna()]
    there = set(zip(given["assay"], given["readout"], strict=True))
    absent = [name_of(config, *n) for n in names if n not in there]
    rows = rows[rows.groupby(KEY, dropna=False, sort=False)["estimate"].transform("count") > 0]
    own = computed.marked(computed.changes_of(changes, names))
    kinds = pd.Series([computed.axis_kind(r) for r in rows.itertuples()], rows.index)
    # a refused row has no kind of its own: it stands with the other group of its comparison
    kinds = kinds.where(rows["estimate"].notna()).groupby([rows[k] for k in KEY], dropna=False).transform("first")
    pictures = [_forest(rows[kinds == kind], own, config, str(kind), role) for kind in dict.fromkeys(kinds)]
    more = f" Without any estimate, so in the table alone: {listed(absent)}." if absent else ""
    return [replace(picture, caption=picture.caption + more) for picture in pictures]


@drawn
def _forest(rows: pd.DataFrame, changes: pd.DataFrame, config: Config, kind: str, role: str) -> Picture:
    figure, axes, blocks = _lanes(_parts(rows), lambda r: _row_label(r, config))
    looks, drawn_changes = group_looks(config), []
    for y, row in (lane for block in blocks for lane in block):
        colour, marker = looks.get(row.group, (PURPLE, "D"))
        if kind != "detection":  # donors' changes are on the scale of the readout, odds of detection are not
            drawn_changes.append(changes[computed.same(changes, row, ROW)])
            _own_changes(axes, y, drawn_changes[-1], colour)
        if pd.isna(row.estimate):
            _refusal(axes, y, f"{groups_of(row, config)}: {_short(row)}")
        else:
            _interval(axes, y, row, colour, marker)
    _tint_health(axes, blocks)
    _finish_axis(axes, kind)
    bounded = any(part["mark"].isin(["<", ">"]).any() for part in drawn_changes)
    marks = [_mark("<", "at most"), _mark(">", "at least")] if bounded else []
    ticks = [_mark("|", "one donor")] if drawn_changes else []
    _legend(
        figure, [*_group_handles(rows, config), *ticks, *marks, Patch(facecolor=HEALTH_TINT, label="toward health")], 6
    )
    what = {"fold": "fold changes", "odds": "odds ratios", "detection": "odds of detection"}.get(kind)
    what = what or f"differences in {kind}"
    said = "; ".join(_said(r, config, size(r)) for r in rows.itertuples() if pd.notna(r.estimate))
    caption = f"Effect of co-culture with MSC on {role} readouts, {what}: estimate and {100 * float(rows['ci_level'].iloc[0]):g} % interval"
    caption += f"{', each donor below it' if drawn_changes else ''}. {HEALTH_CAPTION}"
    cited = {name_of(config, r.assay, r.readout): r.cited for r in rows.itertuples() if r.cited}
    caption += "".join(f" {name}: {source}." for name, source in cited.items())
    name = f"response_{role}_forest_{_slug(kind)}"
    return Picture(figure, name, f"Forest of {role} readouts, {what}. {said}.", caption, rows)


def _tint_health(axes: Axes, blocks: list[list[tuple[float, Any]]]) -> None:
    """Tint each block's side toward health, and name its source in the margin."""
    low, high = axes.get_xlim()
    for block in blocks:
        (top, row), bottom = block[0], block[-1][0]
        _beside(axes, (top + bottom) / 2, _ARROWS[row.toward_health] + HEALTH_SOURCE[row.source])
        if row.toward_health:
            left, right = (0.0, high) if row.toward_health == "up" else (low, 0.0)
            corner, height = (left, top - 0.5), bottom - top + 1.1
            axes.add_patch(Rectangle(corner, right - left, height, facecolor=HEALTH_TINT, linewidth=0, zorder=0))
    axes.set_xlim(low, high)


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
    name, rows = "response_gap_closed", rows_of(effects, "gap_closed", leading(effects)[1])
    if rows["estimate"].isna().all():
        return sentence_picture(name, f"No share of a gap can be given: 0 of {len(rows)} comparisons.", rows, PAGE_IN)
    figure, axes, blocks = _lanes(_parts(rows), lambda r: _row_label(r, config))
    axes.axvline(1, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    several = rows["group"].nunique() > 1
    for y, row in (lane for block in blocks for lane in block):
        if pd.isna(row.estimate):
            _beside(axes, y, f"{groups_of(row, config)}\n{_short(row)}" if several else _short(row))
        else:
            _interval(axes, y, row, PURPLE, "D")
            words = f"{share(row.estimate)} ({shares(row)})"
            _beside(axes, y, f"{groups_of(row, config)}\n{words}" if several else words)
    low, high = axes.get_xlim()
    axes.set_xlim(min(max(low, -2.0), -0.05), max(min(high, 4.0), 1.1))
    _percent_axis(axes, "Share of the gap that is closed (0 %: as without MSC; 100 %: as the controls)")
    said = "; ".join(
        _said(r, config, "not estimable" if pd.isna(r.estimate) else f"{share(r.estimate)} ({shares(r)})")
        for r in rows.itertuples()
    )
    caption = (
        "Share of the gap between the groups that co-culture closes, with its interval; wide where the gap is small. "
        f"It describes: {confounders(config)}."
    )
    return Picture(figure, name, f"Shares of the gap closed. {said}.", caption, rows)


# ---- responders


@drawn
def responders(table: pd.DataFrame, effects: pd.DataFrame, config: Config) -> Picture:
    """Share of donors who changed more than measurement error, up and down, with Clopper–Pearson intervals.

    Parameters
    ----------
    table, effects
        The output tables ``responders`` and ``effects``.
    config
        study.yaml.
    """
    name, rows = "response_responders", computed.responders_of(table, effects)
    rows = rows[rows["k"].notna()]
    if rows.empty:
        sentence = "No readout has independent cultures, so 0 donors can be called responders."
        return sentence_picture(name, sentence, rows, PAGE_IN)
    figure, axes, blocks = _lanes(_parts(rows.assign(estimate=rows["share"])), lambda r: _row_label(r, config))
    looks = group_looks(config)
    for y, row in (lane for block in blocks for lane in block):
        _interval(axes, y, row, looks.get(row.group, (PURPLE, "D"))[0], {"up": "^", "down": "v"}[row.direction])
        _beside(axes, y, f"{row.k} of {row.n}")
    axes.set_xlim(-0.02, 1.02)
    _percent_axis(axes, "Donors who changed more than measurement error")
    shapes = [_mark("^", "higher", face="#222222"), _mark("v", "lower", face="#222222")]
    _legend(figure, [*_group_handles(rows, config, marks=False), *shapes])
    words = {"up": "higher", "down": "lower"}
    said = "; ".join(_said(r, config, f"{words[r.direction]} {r.k} of {r.n}") for r in rows.itertuples())
    caption = "Share of donors whose change is larger than the smallest detectable one, with Clopper–Pearson intervals."
    return Picture(figure, name, f"Responders. {said}.", caption, rows)


# ---- map


@drawn
def response_map(
    changes: pd.DataFrame, missing: pd.DataFrame, effects: pd.DataFrame, donors: pd.DataFrame, config: Config
) -> Picture:
    """Donors × primary and secondary readouts: standardised changes; what is missing hatched, what is bounded marked.

    Parameters
    ----------
    changes, missing, effects, donors
        The output tables ``donor_changes``, ``missing_pairs``, ``effects`` and ``donors_derived``.
    config
        study.yaml.
    """
    name = "response_map"
    names = [*of_role(effects, "primary"), *of_role(effects, "secondary")] or leading(effects)[1]
    rows = computed.marked(computed.changes_of(changes, names))
    rows = rows.assign(standardised=rows["shown"] / rows["sd_donors"])
    columns = [part for part in _parts(rows) if part["standardised"].notna().any()][:MOST_COLUMNS]
    if not columns:
        return sentence_picture(
            name, "0 donors have a change that can be set against the spread of donors.", rows, PAGE_IN
        )
    if len(donors) > MOST_ROWS:
        return too_many_donors(name, len(donors), pd.concat(columns, ignore_index=True), PAGE_IN)
    order = {g.code: i for i, g in enumerate(config.groups)}
    who = donors.assign(place=donors["group"].map(order)).sort_values(["place", "donor_id"], kind="stable")
    labels = _map_labels([next(part.itertuples()) for part in columns], effects, config)
    longest = max(len(line) for label in labels for line in label.split("\n"))
    figure = Figure(figsize=(PAGE_IN, 0.155 * len(who) + 0.9 + 0.058 * longest), layout="constrained")
    axes = figure.add_subplot()
    image = _cells(axes, columns, missing, list(who["donor_id"]))
    axes.set_xticks(np.arange(len(columns)) + 0.5, labels, rotation=90, fontsize=6.5)
    axes.set_yticks(np.arange(len(who)) + 0.5, list(who["donor_id"]), fontsize=6)
    for edge in np.cumsum(who["group"].value_counts(sort=False).to_numpy())[:-1]:
        axes.axhline(edge, color="#222222", linewidth=1.4)
    bar = figure.colorbar(image, ax=axes, pad=0.01, fraction=0.03, extend="both")
    bar.set_label("Change, SDs of donors")
    one_arm = Patch(facecolor=MISSING_TINT, edgecolor="#888888", hatch="////", label="one arm only")
    _legend(figure, [one_arm, Patch(facecolor="white", edgecolor="#888888", hatch="xxxx", label="not measured")])
    said = " ".join(f"{' '.join(n.split())}: {_map_words(p, len(who))}." for n, p in zip(labels, columns, strict=True))
    alt = f"Standardised changes of {len(columns)} readouts and comparisons in {len(who)} donors. {said}"
    caption = (
        "Each donor's change in SDs of the donors, groups parted by the black line. < or >: at most or at least, since an arm lies beyond a limit; "
        "?: the limits leave the direction open. ▲ and ▼: toward health, by study.yaml or this study's own gap."
    )
    return Picture(figure, name, alt, caption, pd.concat(columns, ignore_index=True))


def _map_labels(rows: list[Any], effects: pd.DataFrame, config: Config) -> list[str]:
    several = len({(r.treatment, r.reference) for r in rows}) > 1
    labels = {c.code: c.label for c in config.conditions}
    minutes = len({r.assay_minutes for r in rows if pd.notna(r.assay_minutes)}) > 1
    hours = len({r.timepoint_h for r in rows if pd.notna(r.timepoint_h)}) > 1
    out = []
    for row in rows:
        way = _TRIANGLES[computed.direction(effects, config, row).way]
        more = [labels.get(row.treatment, row.treatment)] if several else []
        more += [times_of(row).removeprefix(", ")] if hours or minutes else []
        name = textwrap.shorten(name_of(config, row.assay, row.readout), NAME_WIDTH, placeholder="…")
        out.append("\n".join([name + way, *([", ".join(more)] if more else [])]))
    return out


def _map_words(part: pd.DataFrame, everyone: int) -> str:
    observed = part.loc[part["mark"] == "", "standardised"]
    bounded = len(part) - len(observed)
    return f"median {number(float(observed.median()))} SD in {len(observed)} donors, {bounded} bounded, {everyone - len(part)} without a pair"


def _cells(axes: Axes, columns: list[pd.DataFrame], missing: pd.DataFrame, who: list[str]) -> Any:
    parts = [part.set_index("donor_id").reindex(who) for part in columns]
    values = np.column_stack([part["standardised"].to_numpy(dtype="float64") for part in parts])
    most = float(max(1.0, np.nanquantile(np.abs(values), 0.98)))
    image = axes.pcolormesh(
        np.ma.masked_invalid(values),
        cmap="PuOr_r",
        norm=TwoSlopeNorm(0, -most, most),
        edgecolors="white",
        linewidth=0.4,
    )
    for j, part in enumerate(parts):
        first = next(columns[j].itertuples())
        alone = set(missing.loc[computed.same(missing, first, ["assay", "readout", *computed.TIMES]), "donor_id"])
        for i, (donor, mark) in enumerate(part["mark"].items()):
            if pd.isna(mark):
                face, hatch = (MISSING_TINT, "////") if donor in alone else ("white", "xxxx")
                axes.add_patch(Rectangle((j, i), 1, 1, facecolor=face, edgecolor="#888888", hatch=hatch, linewidth=0.3))
                continue
            value = float(values[i, j])
            words = mark + (_cell_words(value) if len(columns) <= MOST_NUMBERS else "")
            colour = "white" if abs(value) > 0.6 * most else "#222222"
            axes.text(j + 0.5, i + 0.5, words, ha="center", va="center", fontsize=5, color=colour)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(who), 0)
    return image


def _cell_words(value: float) -> str:
    """A number of the map in as few characters as tell it: one decimal.

    Examples
    --------
    >>> _cell_words(-2.14), _cell_words(0.52), _cell_words(-0.04), _cell_words(float("nan"))
    ('−2.1', '0.5', '0', '')
    """
    rounded = round(value, 1)
    return number(rounded, 2 if abs(rounded) >= 1 else 1)


# ---- across assays and beside clinical values


@drawn
def concordance(table: pd.DataFrame, effects: pd.DataFrame, config: Config) -> Picture:
    """Rank correlations of changes between readouts of different assays, with intervals; grey: what chance alone gives.

    Parameters
    ----------
    table, effects
        The output tables ``concordance`` and ``effects``, the second for the names of the comparisons.
    config
        study.yaml.
    """
    name, rows = "response_concordance", computed.with_arms(computed.across_assays(table), effects)
    if rows.empty:
        sentence = "0 pairs of assays have changes of the same donors to be set side by side."
        return sentence_picture(name, sentence, rows, PAGE_IN)
    rows = rows.assign(estimate=rows["rho"], one=rows["first"], other=rows["second"])
    figure, axes, blocks = _lanes(
        _parts(rows, ["one", "other"]), lambda r: f"{computed.spoken(r.one)}\nand {computed.spoken(r.other)}"
    )
    looks, several = group_looks(config), rows[["treatment", "reference"]].drop_duplicates().shape[0] > 1
    for y, row in (lane for block in blocks for lane in block):
        axes.barh(y, 2 * row.critical, left=-row.critical, height=0.8, color=BAND, zorder=0)
        _interval(axes, y, row, *looks.get(row.group, (PURPLE, "D")))
        _beside(
            axes, y, f"{arms_of(row, config).split(' against ')[0]}, n = {row.n}" if several else f"n = {row.n}", 5.5
        )
    axes.set_xlim(-1.03, 1.03)
    axes.set_xlabel("Rank correlation of donors' changes")
    _legend(figure, [*_group_handles(rows, config), Patch(facecolor=BAND, label="not told from none")])
    said = "; ".join(
        f"{computed.spoken(r.one)} and {computed.spoken(r.other)}, {arms_of(r, config)}, {groups_of(r, config)}, "
        f"{number(r.rho)} ({show_interval(r.ci_low, r.ci_high)}), {r.n} donors"
        for r in rows.itertuples()
    )
    caption = "Changes of different assays, turned toward health as study.yaml states it, donor by donor: rank correlation with a bootstrap interval. It describes; none was planned to be tested."
    return Picture(
        figure, name, f"Concordance across assays. {said}.", caption, rows.drop(columns=["estimate", "one", "other"])
    )


@drawn
def covariates(changes: pd.DataFrame, effects: pd.DataFrame, donors: pd.DataFrame, config: Config) -> Picture:
    """Each donor's change against clinical values, a row a leading readout and a column a value; no line is fitted.

    Parameters
    ----------
    changes, effects, donors
        The output tables ``donor_changes``, ``effects`` and ``donors_derived``.
    config
        study.yaml.
    """
    name = "response_covariates"
    known = donors.set_index("donor_id")
    values = {c: pd.to_numeric(known[c], errors="coerce") for c in COVARIATES if c in known}
    rows = computed.marked(computed.changes_of(changes, leading(effects)[1]))
    rows = rows.assign(**{c: rows["donor_id"].map(v) for c, v in values.items()})
    values = {c: v for c, v in values.items() if rows.loc[rows["shown"].notna(), c].notna().any()}
    blocks = _parts(rows[rows["shown"].notna()])[: MOST_SCATTERS // max(len(values), 1)]
    if not values:
        return sentence_picture(name, "0 donors have both a change and a clinical value.", rows, PAGE_IN)
    figure = Figure(figsize=(PAGE_IN, 1.3 * len(blocks) + 0.6), layout="constrained")
    panels = figure.subplots(len(blocks), len(values), squeeze=False, sharex="col", sharey="row")
    looks = group_looks(config)
    for part, row_of_panels in zip(blocks, panels, strict=True):
        first = next(part.itertuples())
        for column, axes in zip(values, row_of_panels, strict=True):
            _scatter(axes, part, column, looks)
        title = f"{name_of(config, first.assay, first.readout)}: {comparison_of(first, config)}"
        row_of_panels[0].set_title(textwrap.shorten(title, 100, placeholder="…"), fontsize=7)
        row_of_panels[0].set_ylabel(f"Change, {CHANGE_UNIT.get(first.scale, first.unit)}", fontsize=6.5)
    for column, axes in zip(values, panels[-1], strict=True):
        axes.set_xlabel(GAS.get(column, COVARIATES[column]), fontsize=7)
        if not (rows[column].dropna() % 1).any():
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    bounded = pd.concat(blocks)["mark"].ne("").any()
    marks = [_mark("v", "at most"), _mark("^", "at least")] if bounded else []
    seen = pd.concat(blocks)[lambda b: b[list(values)].notna().any(axis=1)]
    _legend(figure, [*_group_handles(seen, config), *marks])
    said = "; ".join(f"{_said(next(p.itertuples()), config)}, {len(p)} donors" for p in _parts(seen, ROW))
    spans = listed(
        [f"{COVARIATES[c]} from {number(float(v.min()))} to {number(float(v.max()))}" for c, v in values.items()]
    )
    caption = "Each point is a donor: change with MSC against a clinical value before it. No line is drawn; correlations with their intervals stand in the table."
    return Picture(figure, name, f"Changes beside {spans}. {said}.", caption, rows)


def _scatter(axes: Axes, part: pd.DataFrame, column: str, looks: dict[str, tuple[str, str]]) -> None:
    for group, (colour, marker) in looks.items():
        for mark, face, shape in (("", colour, marker), ("<", "white", "v"), (">", "white", "^")):
            own = part[(part["group"] == group) & (part["mark"] == mark)]
            if len(own):
                axes.plot(
                    own[column], own["shown"], shape, markersize=12**0.5, mfc=face, mec=colour, markeredgewidth=0.7
                )
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=6.5)


# ---- lots


def all_lots(effects: pd.DataFrame, sensitivity: pd.DataFrame, changes: pd.DataFrame, config: Config) -> list[Picture]:
    """The effect with each MSC lot and each donor's own change, a picture a scale.

    Parameters
    ----------
    effects, sensitivity, changes
        The output tables ``effects``, ``effects_sensitivity`` and ``donor_changes``.
    config
        study.yaml.
    """
    rows = computed.lot_effects(effects, sensitivity, leading(effects)[1])
    if rows.empty:
        return [_nothing("response_lots", "The effects of 0 comparisons can be parted by MSC lot.", rows)]
    own = computed.marked(computed.changes_of(changes, leading(effects)[1]))
    kinds = pd.Series([computed.axis_kind(r) for r in rows.itertuples()], rows.index)
    return [_lots(rows[kinds == kind], own, config, str(kind)) for kind in dict.fromkeys(kinds)]


@drawn
def _lots(rows: pd.DataFrame, changes: pd.DataFrame, config: Config, kind: str) -> Picture:
    figure, axes, blocks = _lanes(_parts(rows), lambda r: _row_label(r, config))
    looks, lots = group_looks(config), sorted(rows["msc_lot_id"].unique())
    shapes = {lot: _LOT_MARKS[i % len(_LOT_MARKS)] for i, lot in enumerate(lots)}
    for y, row in (lane for block in blocks for lane in block):
        colour = looks.get(row.group, (PURPLE, "D"))[0]
        _own_changes(axes, y, changes[computed.same(changes, row, [*ROW, "msc_lot_id"])], colour)
        _interval(axes, y, row, colour, shapes[row.msc_lot_id])
        _beside(axes, y, f"{textwrap.shorten(row.msc_lot_id, 16, placeholder='…')}, n = {row.n_donors}")
    _finish_axis(axes, kind)
    marks = [_mark(m, f"lot {textwrap.shorten(lot, 30, placeholder='…')}", face="#222222") for lot, m in shapes.items()]
    _legend(figure, [*_group_handles(rows, config, marks=False), *marks, _mark("|", "one donor")], 5)
    base = computed.BASES.get(kind, 0.0)
    said = "; ".join(
        _said(r, config, f"lot {r.msc_lot_id}", number(computed.on_ratio(r.estimate, base)))
        + f" ({show_interval(computed.on_ratio(r.ci_low, base), computed.on_ratio(r.ci_high, base))})"
        for r in rows.itertuples()
    )
    caption = f"Effect of co-culture with each MSC lot and its interval, each donor's change below it. It applies to these lots ({listed(lots)}); other donors stand behind each."
    return Picture(figure, f"response_lots_{_slug(kind)}", f"Effects by MSC lot. {said}.", caption, rows)


# ---- the next donors


@drawn
def budget(planning: pd.DataFrame, effects: pd.DataFrame, config: Config) -> Picture:
    """How much narrower each leading interval gets with one more donor, culture or assay well.

    Parameters
    ----------
    planning, effects
        The output tables.
    config
        study.yaml.
    """
    name, rows = "response_budget", computed.changes_of(planning, leading(effects)[1])
    if rows.empty:
        sentence = "0 comparisons have three donors whose change is observed, so nothing can be planned by them."
        return sentence_picture(name, sentence, rows, PAGE_IN)
    now = rows["half_width"].where(rows["scenario"] == "observed")
    now = now.groupby([rows[k] for k in ROW], dropna=False).transform("first")
    rows = rows.assign(narrower=100 * (1 - rows["half_width"] / now))
    rows = rows[rows["scenario"].isin(list(ONE_MORE))]
    alone = rows.groupby(ROW, dropna=False)["variance_share"].transform("count") == 0
    blocks = _parts(rows, ROW)
    heads = [part.head(1) for part in blocks]
    figure, axes, lanes = _lanes(
        heads, lambda r: f"{name_of(config, r.assay, r.readout)}, {groups_of(r, config)}\n{comparison_of(r, config)}"
    )
    for ((y, _),), part in zip(lanes, blocks, strict=True):
        axes.plot([0, part["narrower"].max()], [y, y], color="#CCCCCC", linewidth=0.7, zorder=1)
        for row in part.itertuples():
            colour, marker = _MORE_LOOKS[row.scenario]
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
        _beside(axes, y, "cultures not known" if alone[part.index[0]] else "")
    axes.set_xlim(left=-0.3)
    axes.set_xlabel("Interval narrower by, %")
    there = [s for s in ONE_MORE if (rows["scenario"] == s).any()]
    _legend(figure, [_mark(_MORE_LOOKS[s][1], ONE_MORE[s], _MORE_LOOKS[s][0]) for s in there])
    said = "; ".join(_said(r, config, f"{ONE_MORE[r.scenario]} {number(r.narrower, 2)} %") for r in rows.itertuples())
    caption = "How much narrower the interval of the mean change becomes with one more donor, one more culture in each arm, or one more assay well of each culture; the last two where their spread is known."
    return Picture(figure, name, f"What one more of each brings. {said}.", caption, rows)
