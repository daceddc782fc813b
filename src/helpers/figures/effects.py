"""Figures of effects, the same for every assay: forests, donors' paired lines, maps of changes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from helpers.core.numbers import show as number
from helpers.core.numbers import show_interval
from helpers.figures.base import MOST_ROWS, Picture, drawn, sentence_picture, too_many_donors
from helpers.figures.style import COLUMN_IN, GREY, PAGE_IN, PURPLE, group_looks
from helpers.figures.words import CONTRAST, SCALE_AXIS, STATUS_SHORT
from helpers.stats.labels import readout_words
from helpers.stats.slices import on_scale
from helpers.study.config import Condition, Config

ROW_IN, MOST_PANELS, MOST_ACROSS = 0.17, 40, 3
LONG_TITLE = 22
TITLE_WIDTH = 87
"""Characters of a title across the page."""
LONGEST_LABEL, LABEL_WIDTH = 80, 56
"""Characters of a label beside a forest that leave room for it, and where longer ones are broken."""
"""Characters from which a panel's title needs a wider panel."""
FEWEST_FILLED = 0.6
"""Share of readouts × comparisons with an estimate, from which a forest sets the comparisons side by side."""
_DIRECTION = {"up": " ▲", "down": " ▼"}


# ---- forest


@drawn
def forest(effects: pd.DataFrame, config: Config, assay: str, contrast: str, name: str = "") -> Picture:
    """Estimates with intervals of every readout of an assay, one panel a comparison, one axis a scale.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml.
    assay, contrast
        Which rows: ``cytokines``, ``msc_effect``.
    name
        File name without ending; made of both where empty.

    Returns
    -------
    The picture. Filled marks have an adjusted p at or below alpha; hollow ones do not, or have no p.
    """
    name = name or f"{assay}_{contrast}_forest"
    rows = effects[(effects["assay"] == assay) & (effects["contrast"] == contrast)].copy()
    if rows.empty or rows["estimate"].isna().all():
        return sentence_picture(name, f"There is no estimate of {CONTRAST.get(contrast, contrast)}.", rows, PAGE_IN)
    rows["kind"] = np.where(
        rows["ratio_kind"].isin(["fold", "odds"]),
        rows["ratio_kind"],
        rows["scale"].replace({"log2": "fold", "logit": "odds"}),
    )
    if contrast == "gap_closed":
        rows["kind"] = "share"
    own_unit = rows["kind"] == "identity"  # differences in different units never share an axis
    rows["kind"] = rows["kind"].where(~own_unit, "identity " + rows["unit"])
    rows["panel"] = [_panel_title(r, config) for r in rows.itertuples()]
    there = rows.groupby(["kind", "readout", "panel"], sort=False)["estimate"].transform("count") > 0
    drawable = rows.groupby(["kind", "readout"], sort=False)["estimate"].transform("count") > 0
    blocks = [
        block
        for kind, part in rows[drawable].groupby("kind", sort=False)
        for block in _forest_blocks(str(kind), part, there[part.index], config)
    ]
    widest = max(len(block.panels) for block in blocks)
    tall = [ROW_IN * len(block.labels) * block.label_lines + 0.6 + 0.13 * block.title_lines for block in blocks]
    figure = Figure(figsize=(PAGE_IN, sum(tall) + 0.4), layout="constrained")
    grid = figure.add_gridspec(len(blocks), widest, height_ratios=tall)
    for i, block in enumerate(blocks):
        first: Axes | None = None
        for j, (title, part) in enumerate(block.panels):
            axes = figure.add_subplot(grid[i, j] if len(block.panels) > 1 else grid[i, :], sharex=first, sharey=first)
            first = first or axes
            _forest_panel(axes, part, config, block.kind)
            axes.set_title(title)
            axes.tick_params(labelleft=j == 0)
        if first is not None:
            first.set_ylim(-0.7, len(block.labels) - 0.3)
            first.set_yticks(range(len(block.labels)), block.labels)
            _ratio_axis(first, block.kind)
    _forest_legend(figure, rows[rows["estimate"].notna()], config)
    said = "; ".join(_row_words(r, config) for r in rows[rows["status"] == "ok"].itertuples())
    alt = f"Forest of {CONTRAST.get(contrast, contrast)}, {assay}. {said}."
    caption = (
        f"{CONTRAST.get(contrast, contrast).capitalize()} of every readout: estimate and {100 * float(rows['ci_level'].iloc[0]):g} % interval. "
        "Filled marks stay at or below alpha after adjustment in their family; hollow ones do not, or have no p. "
        "▲ and ▼ beside a name: the direction toward health that study.yaml states."
    )
    absent = list(dict.fromkeys(rows.loc[~rows.groupby("readout")["estimate"].transform("count").gt(0), "readout"]))
    if absent:
        caption += f" Without any estimate, so in the table alone: {', '.join(absent)}."
    return Picture(figure, name, alt, caption, rows.drop(columns=["kind", "panel"]))


class _Block(NamedTuple):
    """Panels of a forest that share both axes; each row of a part knows its height `y`."""

    kind: str
    panels: list[tuple[str, pd.DataFrame]]
    labels: list[str]
    title_lines: int
    label_lines: int = 1


def _forest_blocks(kind: str, rows: pd.DataFrame, there: pd.Series, config: Config) -> list[_Block]:
    """Comparisons side by side where most readouts have most of them; else a row for each that there is."""
    assay = rows["assay"].iloc[0]
    panels = list(dict.fromkeys(rows.loc[there, "panel"]))
    readouts = _order(rows)
    cells = rows.loc[there].drop_duplicates(["readout", "panel"])
    if len(panels) == 1 or len(cells) > FEWEST_FILLED * len(panels) * len(readouts):
        height = {r: float(y) for y, r in enumerate(readouts)}
        labels = [_label(r, assay, config) for r in readouts]
        parts = [(p, rows[rows["panel"] == p]) for p in panels]
        parts = [(p, part.assign(y=part["readout"].map(height))) for p, part in parts]
        width = TITLE_WIDTH // min(len(panels), MOST_ACROSS)
        parts = [("\n".join(textwrap.fill(line, width) for line in p.split("\n")), part) for p, part in parts]
        lines = max(p.count("\n") for p, _ in parts) + 1
        return [_Block(kind, parts[n : n + MOST_ACROSS], labels, lines) for n in range(0, len(parts), MOST_ACROSS)]
    keys = sorted(zip(cells["readout"], cells["panel"], strict=True), key=lambda k: -panels.index(k[1]))
    keys = sorted(keys, key=lambda k: readouts.index(k[0]))
    place = {key: float(y) for y, key in enumerate(keys)}
    labels = [f"{_label(r, assay, config)} · {' '.join(p.split())}" for r, p in keys]
    if max(map(len, labels)) > LONGEST_LABEL:
        labels = [textwrap.fill(label, LABEL_WIDTH) for label in labels]
    own = rows[there].assign(
        y=[place[k] for k in zip(rows.loc[there, "readout"], rows.loc[there, "panel"], strict=True)]
    )
    return [_Block(kind, [("", own)], labels, 0, max(label.count("\n") + 1 for label in labels))]


def _panel_title(row: Any, config: Config) -> str:
    label = {c.code: c.label for c in config.conditions}
    what = ", ".join(label.get(code, code) for code in row.treatment.split("+"))
    against = label.get(row.reference, row.reference)
    times = f", {row.timepoint_h:g} h" if not pd.isna(row.timepoint_h) else ""
    minutes = f", {row.assay_minutes:g} min" if not pd.isna(row.assay_minutes) else ""
    return (f"{what} against\n{against}" if against else what) + times + minutes


def _order(rows: pd.DataFrame) -> list[str]:
    """Readouts from the largest to the smallest estimate of the first comparison that has one."""
    first = rows.groupby("readout", sort=False)["estimate"].first()
    return list(first.sort_values(ascending=True, kind="stable", na_position="first").index)


def _forest_panel(axes: Axes, rows: pd.DataFrame, config: Config, kind: str) -> None:
    groups = list(dict.fromkeys(rows["group"]))
    looks = group_looks(config)
    step = 0.5 / max(len(groups), 1)
    axes.axvline(0, color=GREY, linewidth=0.8)
    for g, group in enumerate(groups):
        colour, marker = looks.get(group, (PURPLE, "D"))
        shift = (g - (len(groups) - 1) / 2) * step
        own = rows[(rows["group"] == group) & rows["estimate"].notna()]
        y = (own["y"] - shift).to_numpy()
        ends = [own[end].fillna(own["estimate"]) for end in ("ci_low", "ci_high")]
        # one path with gaps, as in `_lines_panel`
        spans = np.column_stack([*ends, np.full(len(own), np.nan)]).ravel()
        axes.plot(spans, np.repeat(y, 3), color=colour, linewidth=0.9, zorder=2)
        called = (own["p_adjusted"] <= config.settings["alpha"]).to_numpy(dtype=bool)
        look: dict[str, Any] = {"linestyle": "", "marker": marker, "markersize": 13**0.5, "markeredgewidth": 0.9}
        for face, these in ((colour, called), ("white", ~called)):
            axes.plot(
                own.loc[these, "estimate"], y[these], markerfacecolor=face, markeredgecolor=colour, zorder=3, **look
            )
    labels = {g.code: g.label for g in config.groups}
    for y, part in rows.groupby("y"):
        without = part[part["estimate"].isna()]
        words = {
            g: STATUS_SHORT.get(s, s.replace("_", " "))
            for g, s in zip(without["group"], without["status"], strict=True)
        }
        same = len(set(words.values())) == 1 and len(words) == len(groups)
        said = (
            next(iter(words.values()))
            if same
            else "; ".join(f"{_group_label(g, labels)}: {w}" for g, w in words.items())
        )
        if said:
            at = axes.get_yaxis_transform()
            axes.text(0.01, y, said, color=GREY, fontsize=5.5, va="center", transform=at, zorder=1)
    axes.set_xlabel(SCALE_AXIS[kind.split(" ")[0]].format(unit=rows["unit"].iloc[0]))


def _label(readout: str, assay: str, config: Config) -> str:
    known: dict[str, str] = next(
        (r for r in config.settings.get("readouts", ()) if r["name"] == readout and r["assay"] == assay), {}
    )
    return str(known.get("label") or readout_words(readout)) + _DIRECTION.get(
        known.get("direction_toward_health", ""), ""
    )


def _ratio_axis(axes: Axes, kind: str) -> None:
    """Ticks at round ratios, on an axis that is linear in their logarithm."""
    if kind in ("fold", "odds"):
        base = 2.0 if kind == "fold" else math.e
        low, high = axes.get_xlim()
        ratios = ratio_ticks(base**low, base**high)
        axes.set_xticks([np.log(r) / np.log(base) for r in ratios], [f"{r:g}×" for r in ratios])
        axes.set_xlim(low, high)


def ratio_ticks(low: float, high: float) -> list[float]:
    """Round ratios between two: powers of ten, of four or two, or equal steps where these are too far apart.

    Examples
    --------
    >>> ratio_ticks(0.2, 5)
    [0.25, 0.5, 1.0, 2.0, 4.0]
    >>> ratio_ticks(0.005, 150)
    [0.01, 0.1, 1.0, 10.0, 100.0]
    >>> ratio_ticks(0.95, 1.7)
    [1.0, 1.2, 1.4, 1.6]
    """
    for base in (10.0, 4.0, 2.0):
        powers = [base**n for n in range(-40, 41) if low <= base**n <= high]
        if 4 - (base == 2.0) <= len(powers):
            return powers[:: 1 + len(powers) // 9]
    return [float(f"{v:.6g}") for v in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= v <= high]


def _forest_legend(figure: Figure, rows: pd.DataFrame, config: Config) -> None:
    looks, labels = group_looks(config), {g.code: g.label for g in config.groups}
    handles = [
        Line2D(
            [],
            [],
            color=looks.get(g, (PURPLE, "D"))[0],
            marker=looks.get(g, (PURPLE, "D"))[1],
            markersize=4,
            linewidth=0.9,
            label=_group_label(g, labels),
        )
        for g in dict.fromkeys(rows["group"])
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=4)


def _group_label(group: str, labels: dict[str, str]) -> str:
    return " − ".join(labels.get(part.strip(), part.strip()) for part in group.split("\N{MINUS SIGN}"))


def _row_words(row: Any, config: Config) -> str:
    labels = {g.code: g.label for g in config.groups}
    value = (
        (row.ratio, row.ratio_low, row.ratio_high)
        if row.ratio_kind in ("fold", "odds")
        else (row.estimate, row.ci_low, row.ci_high)
    )
    kind = {"fold": "fold ", "odds": "odds "}.get(row.ratio_kind, "")
    return f"{row.readout}, {_group_label(row.group, labels)}, {kind}{number(value[0])} ({show_interval(value[1], value[2])})"


# ---- donors' lines


@drawn
def paired_lines(
    readouts: pd.DataFrame,
    config: Config,
    assay: str,
    treatment: str,
    reference: str,
    names: Sequence[str] = (),
    name: str = "",
) -> Picture:
    """Every donor's value without and with the treatment, one panel a readout, the limit drawn where there is one.

    Parameters
    ----------
    readouts
        The output table ``readouts``.
    config
        study.yaml.
    assay, treatment, reference
        Which rows.
    names
        Readouts; all of the assay where empty.
    name
        File name without ending.

    Returns
    -------
    The picture. A value beyond a limit stands at the limit as an open triangle; a donor with one arm is a single
    hollow point.
    """
    name = name or f"{assay}_{treatment}_lines"
    rows = readouts[(readouts["assay"] == assay) & readouts["condition"].isin([treatment, reference])]
    of_arms = rows.groupby(["readout", "donor_id", "visit", "timepoint_h"])["condition"].nunique()
    paired = set(of_arms[of_arms == 2].index.get_level_values("readout"))
    asked = [n for n in (names or sorted(rows["readout"].unique())) if (rows["readout"] == n).any()]
    chosen = [n for n in asked if n in paired][:MOST_PANELS]
    rows = rows[rows["readout"].isin(chosen)]
    if rows.empty:
        return sentence_picture(name, "No donor has a value in both arms.", rows, PAGE_IN)
    titles = [_label(r, assay, config) for r in chosen]
    units = [str(rows.loc[rows["readout"] == r, "unit"].iloc[0]) for r in chosen]
    across = min(len(chosen), 5 if max(map(len, titles)) < LONG_TITLE else 4)
    down = -(-len(chosen) // across)
    figure = Figure(figsize=(PAGE_IN if across > 2 else COLUMN_IN * 1.2, 1.45 * down + 0.5), layout="constrained")
    for k, readout in enumerate(chosen):
        axes = figure.add_subplot(down, across, k + 1)
        _lines_panel(axes, rows[rows["readout"] == readout], config, treatment, reference, k >= len(chosen) - across)
        axes.set_title(
            textwrap.fill(titles[k].replace(" ▲", "\u00a0▲").replace(" ▼", "\u00a0▼"), LONG_TITLE - 5), fontsize=7
        )
        if units[k] and (len(set(units)) > 1 or k % across == 0):
            axes.set_ylabel(units[k], fontsize=6.5, labelpad=2)
    labels = {c.code: c.label for c in config.conditions}
    alt = (
        f"Donors' {assay} values, {labels.get(reference, reference)} and {labels.get(treatment, treatment)}. "
        + " ".join(_lines_words(rows[rows["readout"] == r], r, treatment, reference) for r in chosen)
    )
    caption = (
        f"Each line is a donor: {labels.get(reference, reference)} (left) and {labels.get(treatment, treatment)} (right). "
        "Open triangles lie beyond a limit and stand at it; single hollow points are donors with one arm. Dashed: lower limit of quantification."
    )
    looks, group_labels = group_looks(config), {g.code: g.label for g in config.groups}
    handles = [
        Line2D([], [], color=looks[g][0], marker=looks[g][1], markersize=4, linewidth=0.9, label=group_labels[g])
        for g in group_labels
    ]
    marks: dict[str, Any] = {"color": "#222222", "linestyle": "", "markersize": 4, "markerfacecolor": "white"}
    left_out = len(asked) - len(chosen)
    if left_out:
        caption += f" Without a donor who has both: {', '.join(n for n in asked if n not in chosen)}."
    if not set(rows["donor_id"]) <= set(of_arms[of_arms == 2].index.get_level_values("donor_id")):
        handles.append(Line2D([], [], marker="o", label="one arm only", **marks))
    if (rows["censoring"] != "none").any():
        handles.append(Line2D([], [], marker="v", label="beyond a limit", **marks))
    figure.legend(handles=handles, loc="outside lower left", ncols=4)
    columns = [
        "donor_id",
        "group",
        "visit",
        "condition",
        "timepoint_h",
        "readout",
        "unit",
        "value",
        "lower",
        "upper",
        "censoring",
        "lloq",
    ]
    return Picture(figure, name, alt, caption, rows[columns].reset_index(drop=True))


def all_paired_lines(
    readouts: pd.DataFrame, config: Config, assay: str, names: Sequence[str] = ()
) -> Iterator[Picture]:
    """`paired_lines` of every treatment of the study that the assay has values of, each drawn when it is asked for."""
    there = set(readouts.loc[readouts["assay"] == assay, "condition"])
    return (paired_lines(readouts, config, assay, c.code, c.compare_to, names) for c in _treatments(config, there))


def all_change_maps(readouts: pd.DataFrame, config: Config, assay: str) -> Iterator[Picture]:
    """`change_map` of every treatment of the study that the assay has values of, each drawn when it is asked for."""
    there = set(readouts.loc[readouts["assay"] == assay, "condition"])
    return (change_map(readouts, config, assay, c.code, c.compare_to) for c in _treatments(config, there))


def _treatments(config: Config, there: set[str]) -> list[Condition]:
    return [c for c in config.conditions if c.role == "treatment" and c.compare_to and {c.code, c.compare_to} <= there]


def drawn_values(rows: pd.DataFrame) -> pd.Series:
    """The value, or the bound at which a value beyond a limit is drawn."""
    bound = rows["upper"].where(rows["censoring"].isin(["left", "interval"]), rows["lower"])
    return rows["value"].where(rows["censoring"] == "none", bound).astype("float64")


def _lines_panel(axes: Axes, rows: pd.DataFrame, config: Config, treatment: str, reference: str, bottom: bool) -> None:
    rows = rows.assign(drawn=drawn_values(rows))
    log = rows["scale"].iloc[0] == "log2" and (rows["drawn"].dropna() > 0).all()
    looks, ticks, names = group_looks(config), [], []
    for g, group in enumerate(config.groups):
        colour, marker = looks[group.code]
        own = rows[rows["group"] == group.code]
        wide = own.pivot_table(
            index=["donor_id", "visit", "timepoint_h"], columns="condition", values="drawn", aggfunc="mean"
        )
        x = {reference: 2.3 * g, treatment: 2.3 * g + 1}
        if {reference, treatment} <= set(wide.columns):
            both = wide.dropna(subset=[reference, treatment])[[reference, treatment]].to_numpy()
            # one path with gaps: an artist a donor would take most of the time of a figure of many panels
            across = np.tile([x[reference], x[treatment], np.nan], len(both))
            upward = np.column_stack([both, np.full(len(both), np.nan)]).ravel()
            axes.plot(across, upward, color=colour, linewidth=0.6, alpha=0.55, zorder=2)
        in_both = own.groupby("donor_id")["condition"].transform("nunique") == 2
        kinds = own["censoring"].map({"none": "exact", "right": "above"}).fillna("below")
        looked = kinds.where((kinds != "exact") | in_both, "alone")
        for condition in (reference, treatment):
            here = own["condition"] == condition
            for kind, face, shape in (
                ("exact", colour, marker),
                ("alone", "white", marker),
                ("below", "white", "v"),
                ("above", "white", "^"),
            ):
                shown = own.loc[here & (looked == kind), "drawn"].to_numpy()
                if len(shown):
                    axes.plot(
                        np.full(len(shown), x[condition]),
                        shown,
                        linestyle="",
                        marker=shape,
                        markersize=8**0.5,
                        markerfacecolor=face,
                        markeredgecolor=colour,
                        markeredgewidth=0.6,
                        zorder=3,
                    )
            ticks.append(x[condition])
            names.append("without" if condition == reference else "with")
    limit = rows["lloq"].max()
    if not pd.isna(limit) and (rows["censoring"] != "none").any():
        axes.axhline(limit, color=GREY, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(-0.5, 2.3 * len(config.groups) - 0.8)
    axes.set_xticks(ticks, names if bottom else [""] * len(ticks), rotation=45, fontsize=6.5)
    if log:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        ticks = value_ticks(low, high)
        axes.set_yticks(ticks, [f"{v:,g}" for v in ticks])
        axes.set_ylim(low, high)
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(axis="y", labelsize=6.5)


def value_ticks(low: float, high: float) -> list[float]:
    """Round values on a logarithmic axis: powers of ten, 1-2-5 where these are few, or equal steps.

    Examples
    --------
    >>> value_ticks(0.5, 3000)
    [1.0, 10.0, 100.0, 1000.0]
    >>> value_ticks(40, 300)
    [50.0, 100.0, 200.0]
    >>> value_ticks(0.55, 1.6)
    [0.6, 0.8, 1.0, 1.2, 1.4, 1.6]
    """
    for steps in ((1,), (1, 2, 5)):
        values = [float(f"{step}e{n}") for n in range(-15, 16) for step in steps]
        ticks = [v for v in values if low <= v <= high]
        if len(ticks) >= 3:
            return ticks[:: 1 + len(ticks) // 7]
    return [float(f"{v:.6g}") for v in MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= v <= high]


def _lines_words(rows: pd.DataFrame, readout: str, treatment: str, reference: str) -> str:
    value = drawn_values(rows)
    medians = {c: value[rows["condition"] == c].median() for c in (reference, treatment)}
    beyond = int((rows["censoring"] != "none").sum())
    return f"{readout}: median {number(medians[reference])} without, {number(medians[treatment])} with, {rows['donor_id'].nunique()} donors{f', {beyond} values beyond a limit' if beyond else ''}."


# ---- map of changes


@drawn
def change_map(
    readouts: pd.DataFrame, config: Config, assay: str, treatment: str, reference: str, name: str = ""
) -> Picture:
    """Donors × readouts: each donor's change on the scale of analysis; bounds and missing pairs marked.

    Parameters
    ----------
    readouts
        The output table ``readouts``; those of scale log2 are drawn.
    config
        study.yaml.
    assay, treatment, reference
        Which rows.
    name
        File name without ending.
    """
    name = name or f"{assay}_{treatment}_changes"
    changes = donor_changes(
        readouts[(readouts["assay"] == assay) & (readouts["scale"] == "log2")], treatment, reference
    )
    if changes.empty:
        return sentence_picture(name, "No donor has both arms.", changes, PAGE_IN)
    if (n := changes["donor_id"].nunique()) > MOST_ROWS:
        return too_many_donors(name, n, changes, PAGE_IN)
    order = {g.code: i for i, g in enumerate(config.groups)}
    donors = (
        changes[["donor_id", "group"]]
        .drop_duplicates()
        .sort_values(["group", "donor_id"], key=lambda s: s.map(order) if s.name == "group" else s)
    )
    wide = changes.pivot_table(index="donor_id", columns="readout", values="change", aggfunc="first").reindex(
        donors["donor_id"]
    )
    wide = wide[wide.median().sort_values(kind="stable").index]
    marks = changes.pivot_table(index="donor_id", columns="readout", values="mark", aggfunc="first").reindex(
        index=wide.index, columns=wide.columns
    )
    figure = Figure(figsize=(PAGE_IN, 0.15 * len(wide) + 1.1), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("#DDDDDD")
    most = float(min(4.0, max(1.0, np.nanquantile(np.abs(wide.to_numpy()), 0.98))))
    image = axes.pcolormesh(
        np.ma.masked_invalid(wide.to_numpy()),
        cmap="PuOr_r",
        norm=TwoSlopeNorm(0, -most, most),
        edgecolors="white",
        linewidth=0.4,
    )
    for i, j in np.argwhere(marks.isin(["<", ">", "?"]).to_numpy()):
        dark = abs(wide.iat[i, j]) > 0.6 * most
        axes.text(
            j + 0.5,
            i + 0.5,
            marks.iat[i, j],
            ha="center",
            va="center",
            fontsize=6,
            color="white" if dark else "#222222",
        )
    axes.set_xticks(
        np.arange(len(wide.columns)) + 0.5, [readout_words(c) for c in wide.columns], rotation=90, fontsize=6.5
    )
    axes.set_yticks(np.arange(len(wide)) + 0.5, list(wide.index), fontsize=6)
    axes.invert_yaxis()
    edge = int((donors["group"] == donors["group"].iloc[0]).sum())
    axes.axhline(edge, color="#222222", linewidth=1.2)
    bar = figure.colorbar(image, ax=axes, pad=0.01, fraction=0.03, extend="both")
    bar.set_ticks([v for v in (-4, -2, -1, 0, 1, 2, 4) if abs(v) <= most])
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{2.0**v:g}×"))
    labels = {c.code: c.label for c in config.conditions}
    alt = (
        f"Changes of {len(wide.columns)} readouts in {len(wide)} donors, {labels.get(treatment, treatment)} over {labels.get(reference, reference)}. "
        + " ".join(f"{c}: median {number(float(2 ** wide[c].median()))} fold." for c in wide if wide[c].notna().any())
    )
    caption = (
        f"{labels.get(treatment, treatment)} over {labels.get(reference, reference)}, donor by donor; groups parted by the black line. "
        "< or >: one arm lies beyond a limit, so the change is at most or at least what is drawn; ?: both do, no direction is known. Grey: no pair."
    )
    return Picture(figure, name, alt, caption, changes)


def donor_changes(readouts: pd.DataFrame, treatment: str, reference: str) -> pd.DataFrame:
    """Change of each donor, visit, time and readout on the scale of analysis, with the mark of a bound.

    Returns
    -------
    donor_id, group, visit, timepoint_h, readout, change, mark: empty where both arms are observed, < or > where
    the change is a bound, ? where both arms are beyond a limit (change is then missing).
    """
    keys = ["donor_id", "group", "visit", "timepoint_h", "readout"]
    rows = on_scale(readouts[readouts["condition"].isin([treatment, reference])]) if len(readouts) else readouts
    arms = [
        rows[rows["condition"] == c].groupby(keys, dropna=False)[["lower", "upper"]].mean()
        for c in (reference, treatment)
    ]
    both = arms[0].join(arms[1], lsuffix="_r", rsuffix="_t", how="inner").reset_index()
    seen_r, seen_t = both["lower_r"] == both["upper_r"], both["lower_t"] == both["upper_t"]
    low, high = both["lower_t"] - both["upper_r"], both["upper_t"] - both["lower_r"]
    at_most, at_least = np.isneginf(low) & np.isfinite(high), np.isfinite(low) & np.isposinf(high)
    change = np.select([seen_r & seen_t, at_most, at_least], [low, high, low], default=np.nan)
    mark = np.select([seen_r & seen_t, at_most, at_least], ["", "<", ">"], default="?")
    return both[keys].assign(change=change, mark=mark)
