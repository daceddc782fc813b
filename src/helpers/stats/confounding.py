"""What else differs between groups or conditions: runs, kits, lots, days, smoking, sex. It governs what may be claimed."""

from __future__ import annotations

import pandas as pd

FACTORS = ("run_id", "comparability", "msc_lot_id", "batch_day", "operator_code")
FACTORS_OF_CONDITIONS = ("run_id", "comparability", "batch_day", "operator_code")
"""Without the MSC lot, which a reference has not."""
COVARIATES = ("smoking_status", "sex")


def confounding(readouts: pd.DataFrame, donors: pd.DataFrame, disease: str, control: str) -> pd.DataFrame:
    """How much disease and control donors have in common, factor by factor.

    Parameters
    ----------
    readouts
        The output table ``readouts``.
    donors
        The output table ``donors_derived``.
    disease, control
        Group codes.

    Returns
    -------
    One row an assay and factor (for factors of donors the assay is empty): levels of each group, shared levels,
    donors of each group in shared levels, status ``shared``, ``partly`` or ``separate``, and a sentence.
    """
    rows = _of_assays(readouts, FACTORS, disease, control, ("disease", "control"))
    for factor in COVARIATES:
        if factor in donors and donors[factor].notna().any():
            known = donors[donors[factor].notna()]
            rows.append(_shared("", factor, known, disease, control, ("disease", "control")))
    return _table(rows)


def of_conditions(readouts: pd.DataFrame, group: str, treatment: str, reference: str) -> pd.DataFrame:
    """How much the arms of a paired comparison have in common, factor by factor; as `confounding`.

    Parameters
    ----------
    readouts
        The output table ``readouts``.
    group
        Group code.
    treatment, reference
        Condition codes; they take the places of disease and control.
    """
    own = readouts[(readouts["group"] == group) & readouts["condition"].isin([treatment, reference])]
    own = own.assign(group=own["condition"])
    return _table(_of_assays(own, FACTORS_OF_CONDITIONS, treatment, reference, (treatment, reference)))


def _of_assays(
    readouts: pd.DataFrame, factors: tuple[str, ...], first: str, second: str, words: tuple[str, str]
) -> list[tuple[object, ...]]:
    rows = []
    for assay, part in readouts.groupby("assay", sort=True):
        for factor in (f for f in factors if f in part):
            known = part[part[factor].notna() & (part[factor].astype(str) != "")]
            if not known.empty:
                rows.append(_shared(str(assay), factor, known, first, second, words))
    return rows


def _table(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    columns = [
        "assay",
        "factor",
        "n_disease_levels",
        "n_control_levels",
        "n_shared",
        "disease_in_shared",
        "control_in_shared",
        "status",
        "note",
    ]
    return pd.DataFrame(rows, columns=columns)


def _shared(
    assay: str, factor: str, rows: pd.DataFrame, disease: str, control: str, words: tuple[str, str]
) -> tuple[object, ...]:
    levels = {g: set(rows.loc[rows["group"] == g, factor].astype(str)) for g in (disease, control)}
    common = levels[disease] & levels[control]
    inside = rows[rows[factor].astype(str).isin(common)]
    donors = [int(inside.loc[inside["group"] == g, "donor_id"].nunique()) for g in (disease, control)]
    everyone = [int(rows.loc[rows["group"] == g, "donor_id"].nunique()) for g in (disease, control)]
    status = "separate" if not common else "shared" if donors == everyone else "partly"
    note = {
        "separate": f"{words[0]} and {words[1]} share no {factor}: a difference between them may be that factor's.",
        "partly": f"{donors[0]} of {everyone[0]} {words[0]} and {donors[1]} of {everyone[1]} {words[1]} donors share a {factor}.",
        "shared": f"Every donor shares its {factor} with a donor of the other side.",
    }[status]
    return (assay, factor, len(levels[disease]), len(levels[control]), len(common), *donors, status, note)
