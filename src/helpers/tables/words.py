"""Words of the tables room."""

from __future__ import annotations

TABLE_ONE_LABELS: dict[str, str] = {
    "age_years": "Age, years",
    "sex": "Sex",
    "bmi_kg_m2": "Body mass index, kg/m²",
    "smoking_status": "Smoking",
    "pack_years": "Pack-years",
    "dust_exposure": "Dust exposure",
    "symptom_duration_months": "Symptom duration, months",
    "prior_wll_count": "Earlier lavages",
    "pao2_mmhg": "PaO2, mmHg",
    "aa_gradient_mmhg": "P(A-a)O2, mmHg",
    "shunt_pct": "Shunt, %",
    "dss": "Disease severity score",
    "gmcsf_ab_ug_ml": "Anti-GM-CSF antibody, µg/ml",
    "fvc_pct": "FVC, % predicted",
    "fev1_pct": "FEV1, % predicted",
    "dlco_pct": "DLCO, % predicted",
    "ldh_u_l": "LDH, U/L",
    "kl6_u_ml": "KL-6, U/ml",
    "cea_ng_ml": "CEA, ng/ml",
    "cyfra211_ng_ml": "CYFRA 21-1, ng/ml",
    "sp_a_ng_ml": "SP-A, ng/ml",
    "sp_d_ng_ml": "SP-D, ng/ml",
}

READ_ME_SIMULATED = "SIMULATED: no person and no measurement in this workbook is real."
TABLE_ONE_NOTES = (
    "Mean (SD), or median [quartiles] where the variable is skewed by nature; n (%) for categories. Which of the two is fixed beforehand, not by a test.",
    "SMD: standardised mean difference between the groups; it describes, it does not test.",
    "Groups were not randomised and differ in the source of their cells; no p-values are shown unless asked for.",
)
EFFECT_NOTES = (
    "Donors: pairs of a paired comparison, else donors with a value. Beyond a limit: values that entered as bounds.",
    "Fold: ratio of geometric means; intervals are not adjusted for the number of readouts, p is, within its family.",
)
BANDS: dict[str, float] = {
    "age_years": 10,
    "bmi_kg_m2": 5,
    "pack_years": 10,
    "symptom_duration_months": 12,
    "pao2_mmhg": 10,
    "aa_gradient_mmhg": 10,
    "shunt_pct": 5,
    "gmcsf_ab_ug_ml": 5,
    "fvc_pct": 10,
    "dlco_pct": 10,
    "ldh_u_l": 100,
    "kl6_u_ml": 5000,
}
"""Width of the bands of a donor's page, in the unit of the column."""
QC: dict[str, str] = {
    "low_beads": "too few beads counted",
    "high_cv": "replicates far apart",
    "source_ambiguous": "MSC may have made it",
    "antibody_interference": "the donor's antibodies may interfere",
    "no_control": "no control of its own",
    "gates_population": "the marker also gates the cells",
    "background_gap_exceeds_signal": "backgrounds differ by more than the signal",
}
"""Flags of the assays for readers; others are shown by their code."""
