"""Simulated donors: clinical facts, laboratory values, specimens.

Distributions of people who need lavage, after published cohorts (Inoue 2008, Bai 2016, Lin 2006, Byun 2010;
choices for this demo where they say nothing).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from helpers.simulate.design import AM_PER_WELL, WITHDRAWN, Culture, Design, Donor, Specimen, culture_stream, stream

Row = dict[str, Any]
PEOPLE, LABS, CELLS, HARVEST = 1, 2, 3, 4
SURVIVING = 0.8
"""Share of the seeded macrophages that is alive at harvest."""
PB, PH2O, FIO2_AIR, RQ = 760, 47, 0.21, 0.8
KPA = 7.50061682704


def donor_rows(design: Design) -> list[Row]:
    """Rows of donors."""
    return [_donor(donor, stream(design.seed, donor.number, PEOPLE)) for donor in design.donors]


def _donor(donor: Donor, rng: np.random.Generator) -> Row:
    sick = donor.group == "apap"
    age = 76 if donor.number == 7 else int(np.clip(round(rng.normal(45, 11)), 18, 75))
    male = rng.random() < 0.68
    smoked, current = rng.random() < 0.5, rng.random() < 0.4
    per_day, share = int(rng.integers(1, 9)) * 5, rng.uniform(0.2, 0.6)
    dusty, dust = (
        rng.random() < (0.4 if sick else 0.2),
        rng.choice(["metal", "stone_sand", "chemical_paint", "diesel", "wood"]),
    )
    months = round(float(rng.lognormal(math.log(12), math.log(2.5))), 0)
    height, bmi = rng.normal(170 if male else 159, 6), rng.normal(23.5, 2.8)
    status = ("current" if current else "ex") if smoked else "never"
    years = round((age - 17) * share) if smoked else 0
    no = dict.fromkeys(
        (
            "copd",
            "pulmonary_fibrosis",
            "asthma",
            "other_chronic_respiratory",
            "malignancy_history",
            "uncontrolled_infection",
            "acute_myocardial_infarction",
            "unstable_angina",
            "cirrhosis",
            "acute_glomerulonephritis",
            "other_severe_systemic",
            "coagulation_disorder",
            "investigator_exclusion",
            "lacks_capacity",
            "consent_refused",
        ),
        "no",
    )
    return {
        "donor_id": donor.donor_id,
        "group": donor.group,
        "enrolment_status": "withdrawn" if donor.number == WITHDRAWN else "enrolled",
        "sex": "male" if male else "female",
        "age_years": age,
        "consent_signed": "yes",
        "consent_before_procedures": "yes",
        "diagnosis": "autoimmune_pap" if sick else "none",
        "wll_indicated": "yes" if sick else "no",
        "wll_agreed": "yes" if sick else "",
        "smoking_status": status,
        "cigarettes_per_day": per_day if smoked else 0,
        "smoking_years": years,
        "pack_years": f"{per_day / 20 * years:g}" if smoked and years and donor.number % 3 else "",
        "dust_exposure": "yes" if dusty else "no",
        "dust_type": dust if dusty else "",
        "symptoms_present": ("" if donor.number % 9 == 0 else "yes") if sick else "no",
        "symptom_duration_months": f"{max(months, 1):g}" if sick else "",
        "prior_wll_count": int(rng.poisson(0.5)) if sick else 0,
        "prior_gmcsf": "yes" if sick and donor.number % 6 == 0 else "no",
        "prior_gmcsf_days_since": 200 if sick and donor.number % 6 == 0 else "",
        "height_cm": f"{height:.0f}",
        "weight_kg": f"{bmi * (height / 100) ** 2:.1f}",
        **no,
        "asthma": "yes" if donor.number == 9 and sick else "no",
    }


def lab_rows(design: Design) -> list[Row]:
    """Rows of clinical_labs: a screening day, the days before lavage, and for some a later day that must not count."""
    return [row for donor in design.donors for row in _labs(donor, stream(design.seed, donor.number, LABS))]


def _labs(donor: Donor, rng: np.random.Generator) -> list[Row]:
    rows: list[Row] = []

    def add(
        test: str, day: int, value: float | str, unit: str = "", digits: int = 1, rep: int = 1, **more: object
    ) -> None:
        text = value if isinstance(value, str) else f"{value:.{digits}f}"
        rows.append(
            {
                "donor_id": donor.donor_id,
                "test_code": test,
                "study_day": day,
                "rep": rep,
                "value": text,
                "qualifier": "=",
                "unit": unit,
                **more,
            }
        )

    safety = _safety(rng)
    if donor.group == "control":
        add(
            "gmcsf_ab",
            -5,
            min(rng.lognormal(math.log(0.08), math.log(2.1)), 0.9),
            "ug/ml",
            3,
            calibrator="polyclonal",
            specimen="serum",
        )
        for test, unit, median, gsd in (
            ("ldh", "U/L", 175, 1.15),
            ("kl6", "U/ml", 250, 1.3),
            ("cea", "ng/ml", 1.8, 1.5),
        ):
            add(test, -5, rng.lognormal(math.log(median), math.log(gsd)), unit, 1, specimen="serum")
    else:
        _disease_labs(donor, rng, add)
    _safety_rows(donor, safety, add)
    return rows


def _safety(rng: np.random.Generator) -> dict[str, float]:
    return {
        "creatinine": rng.normal(72, 12),
        "alt": rng.normal(22, 6),
        "ast": rng.normal(22, 5),
        "tbil": rng.normal(11, 3),
    }


def _safety_rows(donor: Donor, values: dict[str, float], add: Any) -> None:
    limits = {"creatinine": (104, "umol/L"), "alt": (40, "U/L"), "ast": (40, "U/L"), "tbil": (21, "umol/L")}
    for test, value in values.items():
        uln, unit = limits[test]
        value = max(value, 5)
        if test == "alt" and donor.number == 8:
            value = 3 * uln
        if test == "creatinine" and donor.number % 7 == 0:
            add(test, -3, value / 88.42, "mg/dL", 2, uln=f"{uln / 88.42:.2f}", specimen="serum")
        else:
            add(test, -3, value, unit, 0 if test != "tbil" else 1, uln=uln, specimen="serum")
    for test in ("syphilis_ab", "hiv_ab", "hcv_ab"):
        add(test, -20, "", "", qualifier="阴性" if donor.number % 5 == 0 else "neg", specimen="serum")


def _disease_labs(donor: Donor, rng: np.random.Generator, add: Any) -> None:
    # severity drives PaO2 and, through correlations of about ±0.5, the blood markers and diffusing capacity
    z = rng.normal(size=4)
    pao2 = 66.0 if donor.number == 3 else float(np.clip(56 + 6 * z[0], 38, 64.5))
    paco2 = float(np.clip(rng.normal(34, 2.5), 27, 39))
    while (PB - PH2O) * FIO2_AIR - paco2 / RQ - pao2 <= 41 and donor.number != 3:
        pao2 -= 1
    tied = [sign * 0.5 * z[0] + math.sqrt(0.75) * z[i] for i, sign in ((1, -1), (2, -1), (3, 1))]
    shunt = 11.0 if donor.number == 2 else float(np.clip(rng.normal(17, 5), 12.5, 40))
    aa = (PB - PH2O) * FIO2_AIR - paco2 / RQ - pao2
    oxygen = donor.number == 6
    kpa = donor.number % 14 == 0
    unit, factor, digits = ("kPa", KPA, 2) if kpa else ("mmHg", 1.0, 1)
    breathing = {"breathing": "oxygen", "fio2": 0.35} if oxygen else {"breathing": "room_air", "fio2": FIO2_AIR}
    for day, shift in ((-30, 2.0), (-1, 0.0), (90, 15.0)):
        value = pao2 + shift + (42 if oxygen else 0)
        add("pao2", day, value / factor, unit, digits, specimen="arterial", position="supine", **breathing)
        add("paco2", day, paco2 / factor, unit, digits, specimen="arterial", position="supine", **breathing)
    if donor.number % 2 == 0 and not oxygen:
        add("aa_gradient", -1, aa, "mmHg", 1, specimen="none", **breathing)
    if donor.number != 4:
        add("shunt", -1, shunt, "%", 1, method="o2_100_estimate", specimen="arterial", breathing="oxygen", fio2=1)
    titre = max(rng.lognormal(math.log(22), math.log(2.2)), 5.6)
    if donor.number == 5:
        add("gmcsf_ab", -5, titre * 20, "U/ml", 0, calibrator="unknown", specimen="serum")
    else:
        add("gmcsf_ab", -5, titre, "ug/ml", 1, calibrator="polyclonal", specimen="serum")
    add("ldh", -3, 290 * 1.25 ** tied[0], "U/L", 0, specimen="serum")
    add("kl6", -3, min(6000 * 2.5 ** tied[1], 45000), "U/ml", 0, specimen="serum")
    add("dlco_pct", -2, float(np.clip(48 + 13 * tied[2], 15, 110)), "%", 0, specimen="none")
    add("fvc_pct", -2, float(np.clip(rng.normal(74, 13), 40, 115)), "%", 0, specimen="none")
    add("cea", -3, rng.lognormal(math.log(5), math.log(2)), "ng/ml", 1, specimen="serum")
    add("cyfra211", -3, rng.lognormal(math.log(5), math.log(1.7)), "ng/ml", 1, specimen="serum")
    add("sp_d", -3, rng.lognormal(math.log(250), math.log(1.6)), "ng/ml", 0, specimen="serum")


def specimen_rows(design: Design) -> list[Row]:
    """Rows of specimens; controls come from a diagnostic lavage of one segment, not from a sick lung."""
    return [
        _specimen(s, stream(design.seed, s.donor.number, CELLS + 10 * (s.specimen_id[-1] == "B")))
        for s in design.specimens
    ]


def _specimen(specimen: Specimen, rng: np.random.Generator) -> Row:
    sick = specimen.donor.group == "apap"
    lymphocytes, neutrophils = rng.uniform(4, 12), rng.uniform(0.5, 4)
    eosinophils = rng.uniform(0, 1)
    shares = [
        f"{v:.1f}" for v in (100 - lymphocytes - neutrophils - eosinophils, lymphocytes, neutrophils, eosinophils)
    ]
    volume = rng.uniform(9000, 15000) if sick else rng.uniform(100, 160)
    return {
        "specimen_id": specimen.specimen_id,
        "donor_id": specimen.donor.donor_id,
        "visit": specimen.visit,
        "study_day": specimen.study_day,
        "source": "wll" if sick else "diagnostic_bal",
        "side": specimen.side,
        "bottle": 3 if sick else 1,
        "preservation": "fresh",
        "thaw_count": 0,
        "hours_to_culture": f"{rng.uniform(2, 6):.1f}",
        "viability_pct": f"{rng.uniform(82, 97):.1f}",
        "am_purity_pct": f"{rng.uniform(84, 97):.1f}",
        **dict(zip(("pct_macrophage", "pct_lymphocyte", "pct_neutrophil", "pct_eosinophil"), shares, strict=True)),
        "volume_in_ml": f"{volume:.0f}",
        "volume_out_ml": f"{volume * rng.uniform(0.6, 0.95):.0f}",
        "total_cells_1e6": f"{rng.uniform(80, 400) if sick else rng.uniform(8, 25):.1f}",
    }


def harvest(design: Design, culture: Culture) -> Row:
    """Live macrophages and viability at harvest; nothing was counted in wells without macrophages or with no result."""
    if culture.specimen is None or culture.status != "ok":
        return {"live_am_end": "", "viability_end": ""}
    rng = culture_stream(design.seed, culture, HARVEST)
    live = AM_PER_WELL * SURVIVING * math.exp(0.1 * rng.normal())
    return {
        "live_am_end": f"{round(live, -2):.0f}",
        "viability_end": f"{float(np.clip(rng.normal(88, 4), 60, 99)):.1f}",
    }
