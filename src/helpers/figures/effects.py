"""Figures of effects, the same for every assay: forests, donors' paired lines, maps of changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from helpers.core.numbers import show as number
from helpers.core.numbers import show_interval
from helpers.figures.base import Picture, drawn, sentence_picture
from helpers.figures.style import COLUMN_IN, GREY, PAGE_IN, PURPLE, group_looks
from helpers.figures.words import CONTRAST, SCALE_AXIS, STATUS_SHORT
from helpers.stats.slices import on_scale
from helpers.study.config import Condition, Config

ROW_IN, MOST_PANELS, MOST_ACROSS = 0.17, 40, 3
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
    rows["panel"] = [_panel_title(r, config) for r in rows.itertuples()]
    own_unit = rows["kind"] == "identity"  # differences in different units never share an axis
    rows["kind"] = rows["kind"].where(~own_unit, "identity " + rows["unit"])
    # a comparison without any estimate stands in the table alone
    shown = {
        k: list(dict.fromkeys(part["panel"])) for k, part in rows[rows["estimate"].notna()].groupby("kind", sort=False)
    }
    blocks = [(k, names[n : n + MOST_ACROSS]) for k, names in shown.items() for n in range(0, len(names), MOST_ACROSS)]
    widest = max(len(across) for _, across in blocks)
    tall = [ROW_IN * rows.loc[rows["kind"] == k, "readout"].nunique() + 0.75 for k, _ in blocks]
    figure = Figure(figsize=(PAGE_IN, sum(tall) + 0.4), layout="constrained")
    grid = figure.add_gridspec(len(blocks), widest, height_ratios=tall)
    for i, (kind, across) in enumerate(blocks):
        here = rows[rows["kind"] == kind]
        order = _order(here)
        first: Axes | None = None
        for j, panel in enumerate(across):
            axes = figure.add_subplot(grid[i, j], sharex=first, sharey=first)
            first = first or axes
            _forest_panel(axes, here[here["panel"] == panel], order, config, kind)
            axes.set_title(panel)
            axes.tick_params(labelleft=j == 0)
    _forest_legend(figure, rows, config)
    said = "; ".join(_row_words(r, config) for r in rows[rows["status"] == "ok"].itertuples())
    alt = f"Forest of {CONTRAST.get(contrast, contrast)}, {assay}. {said}."
    caption = (
        f"{CONTRAST.get(contrast, contrast).capitalize()} of every readout: estimate and {100 * float(rows['ci_level'].iloc[0]):g} % interval. "
        "Filled marks stay at or below alpha after adjustment in their family; hollow ones do not, or have no p. "
        "▲ and ▼ beside a name: the direction toward health that study.yaml states."
    )
    return Picture(figure, name, alt, caption, rows.drop(columns=["kind", "panel"]))


def _panel_title(row: Any, config: Config) -> str:
    label = {c.code: c.label for c in config.conditions}
    what = label.get(row.treatment, row.treatment)
    against = label.get(row.reference, row.reference)
    times = f", {row.timepoint_h:g} h" if not pd.isna(row.timepoint_h) else ""
    minutes = f", {row.assay_minutes:g} min" if not pd.isna(row.assay_minutes) else ""
    return (f"{what} against\n{against}" if against else what) + times + minutes


def _order(rows: pd.DataFrame) -> list[str]:
    """Readouts from the largest to the smallest estimate of the first comparison that has one."""
    first = rows.groupby("readout", sort=False)["estimate"].first()
    return list(first.sort_values(ascending=True, kind="stable", na_position="first").index)


def _forest_panel(axes: Axes, rows: pd.DataFrame, order: list[str], config: Config, kind: str) -> None:
    groups = list(dict.fromkeys(rows["group"]))
    looks = group_looks(config)
    step = 0.5 / max(len(groups), 1)
    axes.axvline(0, color=GREY, linewidth=0.8)
    for g, group in enumerate(groups):
        colour, marker = looks.get(group, (PURPLE, "D"))
        shift = (g - (len(groups) - 1) / 2) * step
        for row in rows[rows["group"] == group].itertuples():
            y = order.index(row.readout) - shift
            if pd.isna(row.estimate):
                axes.text(
                    0.02,
                    y,
                    STATUS_SHORT.get(row.status, row.status.replace("_", " ")),
                    color=GREY,
                    fontsize=5.5,
                    va="center",
                    transform=axes.get_yaxis_transform(),
                )
                continue
            axes.plot(
                [_end(row.ci_low, row.estimate), _end(row.ci_high, row.estimate)],
                [y, y],
                color=colour,
                linewidth=0.9,
                zorder=2,
            )
            called = not pd.isna(row.p_adjusted) and row.p_adjusted <= config.settings["alpha"]
            axes.scatter(
                [row.estimate],
                [y],
                s=13,
                marker=marker,
                facecolors=colour if called else "white",
                edgecolors=colour,
                linewidths=0.9,
                zorder=3,
            )
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_yticks(range(len(order)), [_label(r, rows["assay"].iloc[0] if len(rows) else "", config) for r in order])
    axes.set_xlabel(SCALE_AXIS[kind.split(" ")[0]].format(unit=rows["unit"].iloc[0] if len(rows) else ""))
    _ratio_axis(axes, kind)


def _end(value: float, estimate: float) -> float:
    return float(estimate if pd.isna(value) else value)


def _label(readout: str, assay: str, config: Config) -> str:
    known: dict[str, str] = next(
        (r for r in config.settings.get("readouts", ()) if r["name"] == readout and r["assay"] == assay), {}
    )
    return str(known.get("label", readout)) + _DIRECTION.get(known.get("direction_toward_health", ""), "")


def _ratio_axis(axes: Axes, kind: str) -> None:
    if kind in ("fold", "odds"):
        base = 2.0 if kind == "fold" else float(np.e)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{base**v:.3g}×"))


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
    chosen = [n for n in (names or sorted(rows["readout"].unique())) if (rows["readout"] == n).any()][:MOST_PANELS]
    rows = rows[rows["readout"].isin(chosen)]
    if rows.empty:
        return sentence_picture(name, "No donor has a value in either arm.", rows, PAGE_IN)
    across = min(len(chosen), 5)
    down = -(-len(chosen) // across)
    figure = Figure(figsize=(PAGE_IN if across > 2 else COLUMN_IN * 1.2, 1.45 * down + 0.5), layout="constrained")
    for k, readout in enumerate(chosen):
        axes = figure.add_subplot(down, across, k + 1)
        _lines_panel(axes, rows[rows["readout"] == readout], config, treatment, reference, k >= len(chosen) - across)
        axes.set_title(_label(readout, assay, config), fontsize=7)
    labels = {c.code: c.label for c in config.conditions}
    alt = (
        f"Donors' {assay} values, {labels.get(reference, reference)} and {labels.get(treatment, treatment)}. "
        + " ".join(_lines_words(rows[rows["readout"] == r], r, treatment, reference) for r in chosen)
    )
    unit = rows["unit"].iloc[0]
    caption = (
        f"Each line is a donor: {labels.get(reference, reference)} (left) and {labels.get(treatment, treatment)} (right), in {unit or 'the unit of the readout'}. "
        "Open triangles lie beyond a limit and stand at it; single hollow points are donors with one arm. Dashed: lower limit of quantification."
    )
    looks, group_labels = group_looks(config), {g.code: g.label for g in config.groups}
    handles = [
        Line2D([], [], color=looks[g][0], marker=looks[g][1], markersize=4, linewidth=0.9, label=group_labels[g])
        for g in group_labels
    ]
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


def all_paired_lines(readouts: pd.DataFrame, config: Config, assay: str, names: Sequence[str] = ()) -> list[Picture]:
    """`paired_lines` of every treatment of the study that the assay has values of."""
    there = set(readouts.loc[readouts["assay"] == assay, "condition"])
    return [paired_lines(readouts, config, assay, c.code, c.compare_to, names) for c in _treatments(config, there)]


def all_change_maps(readouts: pd.DataFrame, config: Config, assay: str) -> list[Picture]:
    """`change_map` of every treatment of the study that the assay has values of."""
    there = set(readouts.loc[readouts["assay"] == assay, "condition"])
    return [change_map(readouts, config, assay, c.code, c.compare_to) for c in _treatments(config, there)]


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
            both = wide.dropna(subset=[reference, treatment])
            axes.plot(
                [x[reference], x[treatment]],
                both[[reference, treatment]].to_numpy().T,
                color=colour,
                linewidth=0.6,
                alpha=0.55,
                zorder=2,
            )
        for condition in (reference, treatment):
            here = own[own["condition"] == condition]
            other = set(own.loc[own["condition"] != condition, "donor_id"])
            exact, alone = here["censoring"] == "none", ~here["donor_id"].isin(other)
            for part, face, shape in (
                (here[exact & ~alone], colour, marker),
                (here[exact & alone], "white", marker),
                (here[~exact & (here["censoring"] != "right")], "white", "v"),
                (here[here["censoring"] == "right"], "white", "^"),
            ):
                axes.scatter(
                    [x[condition]] * len(part),
                    part["drawn"],
                    s=8,
                    marker=shape,
                    facecolors=face,
                    edgecolors=colour,
                    linewidths=0.6,
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
        axes.yaxis.set_major_locator(
            LogLocator(subs=(1.0,) if _decades(rows["drawn"]) > 1.2 else (1.0, 2.0, 5.0), numticks=5)
        )
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(axis="y", labelsize=6.5)


def _decades(values: pd.Series) -> float:
    seen = values.dropna()
    return float(np.log10(seen.max() / seen.min())) if len(seen) and seen.min() > 0 else 0.0


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
    axes.set_xticks(np.arange(len(wide.columns)) + 0.5, list(wide.columns), rotation=90, fontsize=6.5)
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
