"""Donors with everything statistics and figures may use: chosen laboratory values and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from helpers.cohort.eligibility import derived_gradient
from helpers.cohort.gas import chosen_equation, disease_severity_score, on_room_air, pack_years
from helpers.core.numbers import show
from helpers.core.problems import Problem
from helpers.core.schemas import output_tables
from helpers.study.config import Config
from helpers.study.tables import DTYPES, records

LABS = {
    "pao2": "pao2_mmhg",
    "paco2": "paco2_mmhg",
    "shunt": "shunt_pct",
    "fvc_pct": "fvc_pct",
    "fev1_pct": "fev1_pct",
    "dlco_pct": "dlco_pct",
    "ldh": "ldh_u_l",
    "kl6": "kl6_u_ml",
    "cea": "cea_ng_ml",
    "cyfra211": "cyfra211_ng_ml",
    "sp_a": "sp_a_ng_ml",
    "sp_d": "sp_d_ng_ml",
}
"""Tests whose chosen value becomes a column."""

AA_TOLERANCE_MMHG = 5.0


def donors_derived(
    donors: pd.DataFrame, labs_used: pd.DataFrame, readings: pd.DataFrame, config: Config
) -> pd.DataFrame:
    """One row a donor: demographics, chosen values in canonical units, derived values, eligibility.

    Parameters
    ----------
    donors
        Typed input table.
    labs_used
        Chosen results.
    readings
        The output table ``eligibility_readings``.
    config
        study.yaml.

    Returns
    -------
    The output table ``donors_derived``. A reported gradient goes before a derived one; ``aa_source`` says which.
    """
    rules = config.settings["eligibility"]
    by_donor: dict[str, dict[str, Any]] = {}
    for lab in records(labs_used):
        by_donor.setdefault(lab.donor_id, {})[lab.test_code] = lab
    rows = [_donor(donor, by_donor.get(donor.donor_id, {}), rules, config) for donor in records(donors)]
    schema = output_tables()["donors_derived"]
    table = pd.DataFrame(rows, columns=[c for c in schema.columns if not c.startswith("eligible_")])
    for combine in ("all_of", "any_of"):
        table[f"eligible_{combine}"] = table["donor_id"].map(_status(readings, combine))
    return table[schema.columns].astype({f.name: DTYPES[f.type] for f in schema.fields})


def _status(readings: pd.DataFrame, combine: str) -> dict[str, str]:
    """Overall status by donor under one combination of 3.1 to 3.4, every other reading as study.yaml chose."""
    if readings.empty:
        return {}
    usual = readings[readings["is_default"]].iloc[0]
    same = readings["combine"] == combine
    for column in ("shunt_limit_pct", "supplemental_o2", "e1_min_count", "e8_combine"):
        same &= readings[column] == usual[column]
    return dict(zip(readings.loc[same, "donor_id"], readings.loc[same, "status"], strict=True))


def _donor(donor: Any, labs: Mapping[str, Any], rules: Mapping[str, Any], config: Config) -> dict[str, Any]:
    o2, given = labs.get("pao2"), labs.get("aa_gradient")
    fio2 = o2.fio2 if o2 is not None else math.nan
    derived = derived_gradient(labs, rules, rules["aa_equation"])
    reported = _exact(given)
    titre = labs.get("gmcsf_ab")
    room_air = on_room_air(fio2)
    shunt = _exact(labs.get("shunt"))
    return {
        "donor_id": donor.donor_id,
        "group": donor.group,
        "role": config.group(donor.group).role,
        "sex": donor.sex,
        "age_years": donor.age_years,
        "bmi_kg_m2": donor.weight_kg / (donor.height_cm / 100) ** 2,
        "smoking_status": donor.smoking_status,
        "pack_years": pack_years(donor.pack_years, donor.smoking_status, donor.cigarettes_per_day, donor.smoking_years),
        "dust_exposure": donor.dust_exposure,
        "symptom_duration_months": donor.symptom_duration_months,
        "prior_wll_count": donor.prior_wll_count,
        **{column: _exact(labs.get(test)) for test, column in LABS.items()},
        "pao2_fio2": fio2,
        "aa_gradient_mmhg": reported if not math.isnan(reported) else derived,
        "aa_source": "given" if not math.isnan(reported) else None if math.isnan(derived) else "derived",
        "aa_equation": None if math.isnan(derived) else chosen_equation(rules["aa_equation"], fio2),
        "aa_simplified_mmhg": derived_gradient(labs, rules, "simplified"),
        "aa_full_mmhg": derived_gradient(labs, rules, "full"),
        "dss": disease_severity_score(_exact(o2), donor.symptoms_present) or None if room_air else None,
        "gmcsf_ab_ug_ml": _exact(titre) if titre is not None and titre.calibrator == "polyclonal" else math.nan,
        "shunt_grey_zone": None
        if math.isnan(shunt)
        else rules["shunt_limit_pct"] < shunt <= rules["shunt_limit_alternative_pct"],
    }


def not_on_room_air(derived: pd.DataFrame) -> dict[str, pd.Series]:
    """Donors whose oxygen pressure or gradient is there but was not measured on room air, so cannot be compared.

    Parameters
    ----------
    derived
        The output table ``donors_derived``.

    Returns
    -------
    By column, one answer a donor. An oxygen pressure counts also where what was breathed is not recorded; a
    gradient as reported without an inspired fraction is taken as it is.
    """
    fio2 = derived["pao2_fio2"].astype("float64")
    room_air = on_room_air(fio2)
    return {
        "pao2_mmhg": derived["pao2_mmhg"].notna() & ~room_air,
        "aa_gradient_mmhg": derived["aa_gradient_mmhg"].notna() & fio2.notna() & ~room_air,
    }


def _exact(lab: Any) -> float:
    """The value of a chosen result, NaN where there is none or only a bound."""
    return lab.value if lab is not None and lab.qualifier == "=" else math.nan


def aa_disagreements(derived: pd.DataFrame) -> list[Problem]:
    """Donors whose reported and derived gradients differ by more than 5 mmHg: a sign of a wrong unit or FiO2.

    Parameters
    ----------
    derived
        The output table ``donors_derived``.
    """
    problems = []
    for donor in records(derived):
        computed = donor.aa_full_mmhg if donor.aa_equation == "full" else donor.aa_simplified_mmhg
        if donor.aa_source == "given" and abs(donor.aa_gradient_mmhg - computed) > AA_TOLERANCE_MMHG:
            problems.append(
                Problem(
                    "warning",
                    "gradient-disagrees",
                    f"Donor {donor.donor_id}: the reported P(A-a)O2 differs from the one its blood gas gives.",
                    "Check PaO2, PaCO2, FiO2 and their units.",
                    file="clinical_labs.csv",
                    column="value",
                    found=f"{show(donor.aa_gradient_mmhg)} mmHg",
                    expected=f"about {show(computed)} mmHg",
                )
            )
    return problems
