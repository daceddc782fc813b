"""Sentences on results, computed from the table of effects; they follow intervals and claim no more than the design.

A conclusion follows the interval and, where the plan gives one, the smallest relevant change; never a p alone.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from helpers.core.numbers import show, show_interval, show_p
from helpers.study.config import Config

MOST_NAMED = 6


def conclusions(effects: pd.DataFrame, config: Config, assay: str, contrast: str) -> list[str]:
    """What the rows of one assay and kind of comparison say, a paragraph a comparison and group.

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
    out = []
    for _, part in rows.groupby(["contrast_id", "timepoint_h", "assay_minutes"], sort=False, dropna=False):
        out.append(" ".join(_paragraph(part, config, contrast)))
    return out + _limits_of_design(rows, config, contrast)


def _paragraph(part: pd.DataFrame, config: Config, contrast: str) -> list[str]:
    first = part.iloc[0]
    given = part[part["estimate"].notna()]
    said = [f"{_what(first, config)}: {len(given)} of {len(part)} readouts have an estimate{_pairs(given)}."]
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
        said.append("Groups that share no run have no p.")
    return said


def _what(row: Any, config: Config) -> str:
    labels = {c.code: c.label for c in config.conditions} | {g.code: g.label for g in config.groups}
    group = " − ".join(labels.get(g.strip(), g.strip()) for g in str(row["group"]).split("\N{MINUS SIGN}"))
    against = f" against {labels.get(row['reference'], row['reference'])}" if row["reference"] else ""
    time = f", {row['timepoint_h']:g} h" if not pd.isna(row["timepoint_h"]) else ""
    return f"{labels.get(row['treatment'], row['treatment'])}{against}, {group}{time}"


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
