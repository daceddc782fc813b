"""Readable views of the cohort's output tables: what was read, what was wrong, who is eligible by which reading."""

from __future__ import annotations

import pandas as pd

from helpers.cohort.words import CRITERIA, READINGS
from helpers.core.problems import SEVERITIES
from helpers.study.config import Config
from helpers.tables.base import TableView, show_table

_MEANING = {
    "error": "the whole study is refused",
    "quarantine": "one donor, plate or file is set aside, the rest goes on",
    "warning": "possible, but look at it",
    "repaired": "read as meant; nothing to do",
}


def inputs_view(inputs: pd.DataFrame) -> TableView:
    """What was read, from which file."""
    shown = inputs.assign(file=[f"{f} ({s})" if s else f for f, s in zip(inputs["file"], inputs["sheet"], strict=True)])
    return show_table(
        shown[["title", "file", "rows"]], "What was read.", labels={"title": "Table", "file": "File", "rows": "Records"}
    )


def problem_counts_view(problems: pd.DataFrame) -> TableView:
    """How many problems of each kind."""
    counts = [{"severity": s, "n": int((problems["severity"] == s).sum()), "meaning": _MEANING[s]} for s in SEVERITIES]
    return show_table(
        pd.DataFrame(counts),
        "Problems by severity.",
        labels={"severity": "Severity", "n": "Number", "meaning": "What it means"},
    )


def problems_view(problems: pd.DataFrame) -> TableView:
    """Every problem with its place and its mending."""
    place = [
        " ".join(
            filter(
                None,
                (p.file, f"sheet {p.sheet}" if p.sheet else "", "" if pd.isna(p.row) else f"row {p.row}", p.column),
            )
        )
        for p in problems.itertuples()
    ]
    shown = problems.assign(place=place)[["severity", "place", "message", "found", "expected", "fix"]]
    return show_table(
        shown,
        "Every problem found.",
        labels={
            "severity": "Severity",
            "place": "Where",
            "message": "What",
            "found": "Found",
            "expected": "Expected",
            "fix": "What to do",
        },
        file="tables/problems.csv",
    )


def readings_view(readings: pd.DataFrame, config: Config) -> TableView:
    """Counts of eligible, ineligible and indeterminate donors under every single change of reading."""
    usual = readings[readings["is_default"]].iloc[0] if len(readings) else None
    keys = ["combine", "shunt_limit_pct", "supplemental_o2", "e1_min_count", "e8_combine"]
    rows = []
    for values, part in readings.groupby(keys, sort=False):
        differs = [k for k, v in zip(keys, values, strict=True) if usual is not None and v != usual[k]]
        if len(differs) <= 1:
            counts = part["status"].value_counts()
            what = (
                "as study.yaml reads it" if not differs else reading_words(differs[0], values[keys.index(differs[0])])
            )
            rows.append(
                {
                    "reading": what,
                    **{s: int(counts.get(s, 0)) for s in ("eligible", "ineligible", "indeterminate")},
                    "changed": ", ".join(part.loc[part["changes"], "donor_id"]) or "none",
                }
            )
    rows.sort(key=lambda r: r["reading"] != "as study.yaml reads it")
    return show_table(
        pd.DataFrame(rows),
        "Eligibility under each reading of the registry record, one change at a time.",
        (
            "Indeterminate: a needed value is missing or cannot be judged, and nothing speaks against the donor.",
            "All 32 combinations stand in tables/eligibility_readings.csv.",
        ),
        {
            "reading": "Reading",
            "eligible": "Eligible",
            "ineligible": "Ineligible",
            "indeterminate": "Indeterminate",
            "changed": "Donors whose status changes",
        },
    )


def reading_words(key: str, value: object) -> str:
    """One reading of an ambiguous criterion, from its column in ``eligibility_readings`` and its value."""
    return {
        "combine": "3.1 and any one of 3.2 to 3.4" if value == "any_of" else "all of 3.1 to 3.4",
        "shunt_limit_pct": f"shunt above {value:g} %" if isinstance(value, (int, float)) else f"shunt above {value} %",
        "supplemental_o2": READINGS[str(value)] if str(value) in READINGS else str(value),
        "e1_min_count": "one chronic disease excludes" if value == 1 else "two chronic diseases exclude",
        "e8_combine": "one raised liver value excludes"
        if value == "any_of"
        else "all three liver values raised exclude",
    }[key]


def against_view(eligibility: pd.DataFrame) -> TableView:
    """Each criterion that speaks against a donor or cannot be judged, with its reason."""
    chosen = eligibility[eligibility["is_default"]]
    exclusion = chosen["criterion_id"].str.startswith("E")
    against = (
        (chosen["status"] == "not_assessable")
        | (exclusion & (chosen["status"] == "met"))
        | (~exclusion & (chosen["status"] == "not_met"))
    )
    shown = chosen[against].assign(
        criterion=chosen["criterion_id"].map(CRITERIA), status=chosen["status"].str.replace("_", " ")
    )
    return show_table(
        shown[["donor_id", "criterion_id", "criterion", "status", "reason"]],
        "What speaks against a donor, or cannot be judged.",
        labels={
            "donor_id": "Donor",
            "criterion_id": "No.",
            "criterion": "Criterion",
            "status": "Status",
            "reason": "Why",
        },
        file="tables/eligibility.csv",
    )


def exclusions_view(exclusions: pd.DataFrame) -> TableView:
    """What is not analysed, by which rule."""
    return show_table(
        exclusions,
        "What is not analysed, by which rule.",
        ("Blind: decided before group or condition was seen with results; empty where it is not recorded.",),
        {
            "entity": "What",
            "entity_id": "Code",
            "rule": "Rule",
            "decided_by": "Recorded in",
            "decided_before_unblinding": "Blind",
            "n_donors": "Donors",
            "n_cultures": "Cultures",
        },
        file="tables/exclusions.csv",
    )


def gaps_view(completeness: pd.DataFrame) -> TableView:
    """Planned results that are missing or partial, with the coded reason."""
    gaps = completeness[completeness["status"] != "complete"]
    shown = gaps.assign(reason=gaps["reason"].str.replace("_", " "))[
        ["donor_id", "visit", "assay", "condition", "n_cultures", "n_measured", "reason"]
    ]
    return show_table(
        shown,
        "Planned results that are not there.",
        labels={
            "donor_id": "Donor",
            "visit": "Visit",
            "assay": "Assay",
            "condition": "Condition",
            "n_cultures": "Cultures usable",
            "n_measured": "Measured",
            "reason": "Why",
        },
        file="tables/completeness.csv",
    )
