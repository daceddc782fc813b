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
