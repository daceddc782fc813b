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
    "Groups were not randomised and differ in the source of their cells; no p-values are shown.",
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

WAYS = {"up": "▲ higher", "down": "▼ lower", "": "not known"}
SOURCES = {"stated": "study.yaml", "own gap": "this study's own gap", "": ""}
STATED_BY = {"plan": "dated and hashed plan", "declared": "the user", "no": "no plan"}
SCALES = {"log2": "fold change", "logit": "odds ratio", "identity": "difference"}
SCENARIOS = {
    "observed": "as observed",
    "planned": "as planned",
    "doubled": "twice as many",
    "donor": "one more donor",
    "culture": "one more culture an arm",
    "assay": "one more assay well a culture",
}
COMPARED = {"readout": "Readout", "group": "Group", "comparison": "Comparison"}
ROLE_COLUMNS = {
    "readout": "Readout",
    "assay": "Assay",
    "role": "Role",
    "stated": "Role stated by",
    "scale": "Scale",
    "way": "Toward health",
    "source": "Source",
    "own": "Own gap",
}
CHANGE_COLUMNS = COMPARED | {
    "n": "Donors\npairs",
    "effect": "Effect",
    "interval": "Interval",
    "way": "Toward health",
    "left_out": "One donor left out",
    "p": "p",
    "p_adjusted": "Adjusted p",
    "family_size": "Family",
    "status": "Status and note",
}
GAP_COLUMNS = COMPARED | {"share": "Share closed", "interval": "Interval", "status": "Status and note"}
CONFOUNDER_COLUMNS = {
    "factor": "Factor",
    "assay": "Assay",
    "n_disease_levels": "Levels\ndisease",
    "n_control_levels": "Levels\ncontrol",
    "n_shared": "Levels\nshared",
    "status": "Status",
}
RESPONDER_COLUMNS = COMPARED | {
    "direction": "Change",
    "health": "Toward health",
    "count": "Donors",
    "interval": "Interval\n%",
    "smallest": "Smallest detectable change",
    "donors": "Who",
    "note": "Note",
}
TALLY_COLUMNS = COMPARED | {
    "effect": "Effect",
    "range": "Range of other analyses",
    "sign": "Same sign",
    "side": "Interval on the same side",
    "one_donor": "Sign turns without one donor",
    "differs": "Which differ",
}
AGAIN_COLUMNS = {
    "method": "Method",
    "n_estimates": "Estimates",
    "n_again": "Computed again",
    "n_same": "Same numbers",
    "differs": "Which differ",
}
CORRELATION_COLUMNS = {
    "group": "Group",
    "comparison": "Comparison",
    "first": "First",
    "second": "Second",
    "n": "Donors",
    "rho": "Rank correlation",
    "interval": "Interval",
    "critical": "Not told from none\nbelow",
    "note": "Note",
}
LOT_COLUMNS = COMPARED | {"lot": "MSC lot", "n": "Donors", "effect": "Effect", "interval": "Interval"}
PLANNING_COLUMNS = COMPARED | {
    "scenario": "Scenario",
    "design": "Donors × cultures × wells",
    "share": "Share of the variance\n%",
    "half": "Half-width",
    "found": "Found by 80 %",
    "note": "Note",
}
WELL_COLUMNS = {
    "donor_id": "Donor",
    "visit": "Visit",
    "condition": "Condition",
    "msc_lot_id": "MSC lot",
    "culture_id": "Culture",
    "source": "Well, file or replicate",
    "value": "Value",
    "unit": "Unit",
    "detail": "Detail",
    "remark": "Remark",
}
WELL_NOTES = ("A point is one donor: wells are averaged to cultures, cultures to the donor. No well reaches a test.",)
CONTRASTS = {
    "msc_effect": "Effect of MSC",
    "positive_control": "Positive control",
    "group_gap": "Gap between groups",
    "interaction": "Difference of effects",
    "gap_closed": "Share of the gap closed",
    "beyond_additive": "Beyond the sum of both",
    "trend": "Trend over doses",
}
FEWER_DONORS = "Choose fewer donors to see every row."
