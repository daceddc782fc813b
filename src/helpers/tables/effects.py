"""Readable views of effects, the same for every assay: estimates with p, sensitivity, missing pairs."""

from __future__ import annotations

from typing import Any

import pandas as pd

from helpers.core.numbers import show, show_interval, show_p
from helpers.stats.labels import groups_of, name_of, times_of
from helpers.stats.response import ROW, same
from helpers.stats.sentences import conclusions
from helpers.study.config import Config
from helpers.tables.base import TableView, show_table
from helpers.tables.words import CONTRASTS, EFFECT_NOTES

_RATIO = {"fold": "fold", "odds": "odds"}


def effects_view(effects: pd.DataFrame, config: Config, assay: str, contrast: str) -> TableView:
    """Estimates of one kind of comparison: how many donors, estimate with interval, raw and adjusted p, status.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml, for labels.
    assay, contrast
        Which rows.
    """
    rows = effects[(effects["assay"] == assay) & (effects["contrast"] == contrast)]
    lines = [_line(r, config) for r in rows.itertuples()]
    caption = f"{contrast.replace('_', ' ').capitalize()}, {assay}."
    return _view(pd.DataFrame(lines, columns=list(_HEADINGS)), rows, caption, _HEADINGS)


def rows_view(rows: pd.DataFrame, config: Config, caption: str) -> TableView:
    """Some rows of the output table ``effects``, of whatever comparison each is, as they stand there.

    Parameters
    ----------
    rows
        The rows.
    config
        study.yaml, for labels.
    caption
        One sentence.
    """
    headings = {"contrast": "Question", **_HEADINGS}
    sets = {"eligible": " (eligible donors)"}
    lines = [
        {"contrast": CONTRASTS.get(r.contrast, r.contrast) + sets.get(r.analysis_set, ""), **_line(r, config)}
        for r in rows.itertuples()
    ]
    return _view(pd.DataFrame(lines, columns=list(headings)), rows, caption, headings)


def _view(lines: pd.DataFrame, rows: pd.DataFrame, caption: str, headings: dict[str, str]) -> TableView:
    approximate = rows["note"].str.contains("Approximate", na=False).any()
    about = ("Approximate: the interval covers less than it says at this size; see methods.",) if approximate else ()
    return show_table(
        lines, caption, (*EFFECT_NOTES, *about), headings | interval_heading(rows), file="tables/effects.csv"
    )


_HEADINGS = {
    "readout": "Readout",
    "group": "Group",
    "comparison": "Comparison",
    "n": "Donors",
    "bounds": "Beyond a limit",
    "effect": "Effect",
    "interval": "Interval",
    "p": "p",
    "p_adjusted": "Adjusted p",
    "family_size": "Family",
    "status": "Status and note",
}


def interval_heading(rows: pd.DataFrame) -> dict[str, str]:
    """Heading of intervals with the level that the plan gave them; without it where rows differ or have none.

    Examples
    --------
    >>> interval_heading(pd.DataFrame({"ci_level": [0.9, 0.9]}))
    {'interval': '90 % interval'}
    """
    levels = set(rows["ci_level"].dropna())
    return {"interval": f"{100 * levels.pop():g} % interval"} if len(levels) == 1 else {}


def _line(row: Any, config: Config) -> dict[str, Any]:
    labels = {c.code: c.label for c in config.conditions} | {g.code: g.label for g in config.groups}
    ratio = row.ratio_kind in _RATIO
    value = (row.ratio, row.ratio_low, row.ratio_high) if ratio else (row.estimate, row.ci_low, row.ci_high)
    numbers = [float(v) if not pd.isna(v) else float("nan") for v in value]
    unit = _RATIO[row.ratio_kind] if ratio else {"log2": "log2", "logit": "logit"}.get(row.scale, row.unit)
    if row.contrast == "gap_closed":
        unit = "of the gap"
    comparison = labels.get(row.treatment, row.treatment) + (
        f" / {labels.get(row.reference, row.reference)}" if row.reference else ""
    )
    status = "" if row.status == "ok" else row.status.replace("_", " ")
    return {
        "readout": name_of(config, row.assay, row.readout),
        "group": " − ".join(labels.get(g.strip(), g.strip()) for g in str(row.group).split("\N{MINUS SIGN}")),
        "comparison": comparison,
        "n": int(row.n_pairs) if not pd.isna(row.n_pairs) else int(row.n_donors),
        "bounds": int(row.n_censored),
        "effect": f"{show(numbers[0])} {unit}".strip() if numbers[0] == numbers[0] else "",
        "interval": show_interval(numbers[1], numbers[2]),
        "p": show_p(_plain(row.p)),
        "p_adjusted": show_p(_plain(row.p_adjusted)),
        "family_size": "" if pd.isna(row.family_size) or pd.isna(row.p) else str(int(row.family_size)),
        "status": ". ".join(filter(None, [status, row.note if isinstance(row.note, str) else ""])),
    }


def _plain(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def sensitivity_view(
    effects: pd.DataFrame, sensitivity: pd.DataFrame, config: Config, assay: str, contrast: str
) -> TableView:
    """The primary estimate and every other way to it, for the readouts that count most.

    Readouts whose role is primary or secondary; where none is, the first three by name, so that no p chooses.

    Parameters
    ----------
    effects, sensitivity
        The output tables ``effects`` and ``effects_sensitivity``.
    config
        study.yaml.
    assay, contrast
        Which rows.
    """
    rows = effects[(effects["assay"] == assay) & (effects["contrast"] == contrast) & effects["estimate"].notna()]
    chosen = list(dict.fromkeys(rows.loc[rows["role"].isin(["primary", "secondary"]), "readout"]))
    shown = chosen or sorted(rows["readout"].unique())[:3]
    several = {c for c in _TIMES if rows.loc[rows["readout"].isin(shown), c].nunique(dropna=False) > 1}
    lines = []
    for one in rows[rows["readout"].isin(shown)].sort_values(["readout", "contrast_id", *_TIMES]).itertuples():
        more = sensitivity[same(sensitivity, one, ROW)]
        words = (name_of(config, assay, str(one.readout)), groups_of(one, config), _arm(one, config, bool(several)))
        lines.append(_method(*words, f"{one.method} (primary)", one, one.note))
        lines += [_method(*words, m.method, m, m.note) for m in more.itertuples()]
    return show_table(
        pd.DataFrame(lines, columns=list(_METHOD_HEADINGS)),
        "The primary analysis and every other one, for the readouts that count most.",
        (
            "All on the scale of analysis unless the method says otherwise. Look whether sign and interval hold, not whether p crosses a line.",
        ),
        _METHOD_HEADINGS | interval_heading(rows),
        file="tables/effects_sensitivity.csv",
    )


_METHOD_HEADINGS = {
    "readout": "Readout",
    "group": "Group",
    "treatment": "Treatment",
    "method": "Method",
    "estimate": "Estimate",
    "interval": "Interval",
    "p": "p",
    "note": "Note",
}


_TIMES = ("timepoint_h", "assay_minutes")


def _arm(row: Any, config: Config, several_times: bool) -> str:
    label = next((c.label for c in config.conditions if c.code == row.treatment), str(row.treatment))
    return label + (times_of(row) if several_times else "")


def _method(readout: str, group: str, treatment: str, method: str, row: Any, note: Any) -> dict[str, Any]:
    low, high = (float(v) if not pd.isna(v) else float("nan") for v in (row.ci_low, row.ci_high))
    return {
        "readout": readout,
        "group": group,
        "treatment": treatment,
        "method": method,
        "estimate": float(row.estimate) if not pd.isna(row.estimate) else float("nan"),
        "interval": show_interval(low, high),
        "p": show_p(_plain(row.p)),
        "note": note if isinstance(note, str) else "",
    }


def missing_pairs_view(missing: pd.DataFrame, assay: str) -> TableView:
    """Donors with one arm of a comparison."""
    rows = missing[missing["assay"] == assay]
    grouped = rows.groupby(["donor_id", "group", "missing"], sort=False)["readout"].agg(
        lambda r: ", ".join(dict.fromkeys(r))
    )
    return show_table(
        grouped.reset_index(),
        "Donors with one arm only: not in the paired estimate, in the mixed model where one is fitted.",
        (),
        {"donor_id": "Donor", "group": "Group", "missing": "Missing condition", "readout": "Readouts"},
        file="tables/missing_pairs.csv",
    )


class Paragraphs(str):
    """Sentences computed from a table, shown in a notebook as paragraphs."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        import html

        return "".join(f"<p>{html.escape(p)}</p>" for p in str(self).split("\n") if p)


def conclusions_view(effects: pd.DataFrame, config: Config, assay: str, contrast: str) -> Paragraphs:
    """What the rows say, in sentences; see `helpers.stats.sentences.conclusions`."""
    return Paragraphs("\n".join(conclusions(effects, config, assay, contrast)))
