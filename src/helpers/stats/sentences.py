"""Sentences on results, computed from the table of effects; they follow intervals and claim no more than the design.

A conclusion follows the interval and, where the plan gives one, the smallest relevant change. Of many readouts those
are named whose adjusted p lies at or below alpha, with their intervals.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from helpers.core.numbers import show, show_interval, show_p
from helpers.stats.labels import arms_of, comparison_of, groups_of, name_of, times_of
from helpers.study.config import Config

MOST_NAMED = 6


def conclusions(effects: pd.DataFrame, config: Config, assay: str, contrast: str) -> list[str]:
    """What the rows of one assay and kind of comparison say, a paragraph a comparison and group.

    Comparisons that nobody measured share one sentence.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml, for labels and alpha.
    assay, contrast
        Which rows.

    Returns
    -------
    Sentences; one that says so where there is nothing.
    """
    rows = effects[(effects["assay"] == assay) & (effects["contrast"] == contrast)]
    if rows.empty:
        return [f"No {contrast.replace('_', ' ')} was planned or can be made for {assay}."]
    keys = ["contrast_id", "timepoint_h", "assay_minutes"]
    parts = [part for _, part in rows.groupby(keys, sort=False, dropna=False)]
    unmeasured = [part.iloc[0] for part in parts if _is_unmeasured(part)]
    out = [" ".join(_paragraph(part, config, contrast)) for part in parts if not _is_unmeasured(part)]
    return out + _unmeasured(unmeasured, config) + _limits_of_design(rows, config, contrast)


def primary_changes(effects: pd.DataFrame, config: Config) -> list[str]:
    """The effect of co-culture on every readout that study.yaml calls primary, a sentence a comparison.

    Parameters
    ----------
    effects
        The output table ``effects``.
    config
        study.yaml, for labels.

    Returns
    -------
    Estimates with intervals, or why there is none; one sentence that says so where no readout is primary.
    """
    rows = effects[(effects["contrast"] == "msc_effect") & (effects["role"] == "primary")]
    if rows.empty:
        return ["No readout is declared primary in study.yaml, so none is singled out here."]
    keys = ["assay", "readout", "treatment", "reference", "timepoint_h", "assay_minutes"]
    labels = {c.code: c.label for c in config.conditions} | {g.code: g.label for g in config.groups}
    said = []
    for _, part in rows.groupby(keys, sort=False, dropna=False):
        first = part.iloc[0]
        if (part["status"] == "no_data").all():
            continue  # a treatment that this readout was never measured under
        each = "; ".join(f"{labels.get(r['group'], r['group'])} {_size(r)}" for _, r in part.iterrows())
        name = name_of(config, str(first["assay"]), str(first["readout"]))
        said.append(f"{name}, {comparison_of(first, config)}: {each}.")
    return said


def _size(row: Any) -> str:
    """The estimate of one row with its interval and pairs, or why there is none."""
    if pd.isna(row["estimate"]):
        return f"without an estimate ({str(row['status']).replace('_', ' ')})"
    ratio = row["ratio_kind"] in ("fold", "odds")
    columns = ("ratio", "ratio_low", "ratio_high") if ratio else ("estimate", "ci_low", "ci_high")
    value, low, high = (float(row[c]) for c in columns)
    kind = {"fold": "fold change ", "odds": "odds ratio "}.get(row["ratio_kind"], "change ")
    unit = "" if ratio or not row["unit"] else f" {row['unit']}"
    pairs = "" if pd.isna(row["n_pairs"]) else f", {int(row['n_pairs'])} pairs"
    return f"{kind}{show(value)}{unit} ({show_interval(low, high)}{pairs})"


def _paragraph(part: pd.DataFrame, config: Config, contrast: str) -> list[str]:
    first = part.iloc[0]
    given = part[part["estimate"].notna()]
    said = [
        f"{arms_of(first, config)}, {groups_of(first, config)}{times_of(first)}: {len(given)} of {len(part)} readouts have an estimate{_pairs(given)}."
    ]
    called = given[given["p_adjusted"] <= config.settings["alpha"]].sort_values("p_adjusted", kind="stable")
    sizes = part.loc[part["p"].notna(), "family_size"].dropna()
    if len(called):
        named = "; ".join(_one(r) for r in called.head(MOST_NAMED).itertuples())
        more = f"; and {len(called) - MOST_NAMED} more" if len(called) > MOST_NAMED else ""
        said.append(
            f"At or below {config.settings['alpha']:g} after adjustment in families of up to {int(sizes.max())} tests: {named}{more}."
        )
    elif len(sizes):
        said.append(
            f"No readout stays at or below {config.settings['alpha']:g} after adjustment in families of up to {int(sizes.max())} tests; that is no evidence of no difference."
        )
    for word, sentence in (
        ("relevant", "Larger than the smallest relevant change with the whole interval"),
        ("negligible", "Smaller than the smallest relevant change"),
    ):
        own = part.loc[part["relevance"] == word, "readout"]
        if len(own):
            said.append(f"{sentence}: {', '.join(own)}.")
    refused = part.loc[part["estimate"].isna(), "status"].value_counts()
    if len(refused):
        words = ((n, "without a finite one" if s == "ok" else str(s).replace("_", " ")) for s, n in refused.items())
        said.append("Without an estimate: " + ", ".join(f"{n} {word}" for n, word in words) + ".")
    if (part["status"] == "confounded_with_run").any():
        said.append("Where groups share no run, or no pair of runs, there is no p.")
    return said


def _is_unmeasured(part: pd.DataFrame) -> bool:
    """Whether no donor has the values that any readout of a comparison needs: none in an arm, or none in both."""
    nobody = (part["status"] == "no_data") | part["n_pairs"].eq(0).fillna(False).astype(bool)
    return bool((nobody & part["estimate"].isna()).all())


def _unmeasured(rows: list[Any], config: Config) -> list[str]:
    """One sentence for all comparisons without any value, arm by arm; none where all have some."""
    arms: dict[str, list[str]] = {}
    for row in rows:
        arms.setdefault(arms_of(row, config), []).append(f"{groups_of(row, config)}{times_of(row)}")
    named = "; ".join(f"{what} ({'; '.join(dict.fromkeys(where))})" for what, where in arms.items())
    return [f"No donor has the values for these comparisons, so no readout has an estimate: {named}."] if named else []


def _pairs(given: pd.DataFrame) -> str:
    n = given["n_pairs"].dropna()
    if n.empty:
        n, word = given["n_donors"].dropna(), "donors"
    else:
        word = "pairs"
    if n.empty:
        return ""
    low, high = int(n.min()), int(n.max())
    return f" from {low} {word}" if low == high else f" from {low} to {high} {word}"


def _one(row: Any) -> str:
    value = (
        (row.ratio, row.ratio_low, row.ratio_high)
        if row.ratio_kind in ("fold", "odds")
        else (row.estimate, row.ci_low, row.ci_high)
    )
    kind = {"fold": "fold ", "odds": "odds "}.get(row.ratio_kind, "")
    return f"{row.readout} {kind}{show(float(value[0]))} ({show_interval(float(value[1]), float(value[2]))}, adjusted p {_p(row.p_adjusted)})"


def _p(p: float) -> str:
    return show_p(float(p)).replace("<", "below ")


def _limits_of_design(rows: pd.DataFrame, config: Config, contrast: str) -> list[str]:
    """What the design does not allow to be said, whatever the numbers."""
    said = []
    if contrast in ("msc_effect", "interaction", "gap_closed", "beyond_additive") and not any(
        c.role == "irrelevant_cell" for c in config.conditions
    ):
        said.append(
            "These are effects of co-culture: no irrelevant cell was co-cultured, so they cannot be ascribed to MSC as such."
        )
    if contrast in ("group_gap", "gap_closed"):
        said.append("Groups were not randomised and differ in more than the disease; a gap describes and has no cause.")
    marks = ";".join(rows["note"].dropna())
    if "source ambiguous" in marks:
        said.append(
            "Where a note says source ambiguous, MSC secrete the analyte themselves: more of it is no change of the macrophages."
        )
    if "antibody interference" in marks:
        said.append("GM-CSF of donors with aPAP cannot be interpreted: their antibodies hide it from the assay.")
    if not (rows["prespecified"] == "plan").any():
        said.append("No dated and hashed plan precedes these results: they are exploratory.")
    return said
