"""Words of the figures room."""

from __future__ import annotations

STATUS = {"met": "met", "not_met": "not met", "not_assessable": "not assessable", "not_applicable": "not applicable"}
VERDICT = {
    "fits": "as needed",
    "against": "against inclusion",
    "not_assessable": "not assessable",
    "not_applicable": "not applicable",
}
STEPS = {"screened": "Screened", "enrolled": "Enrolled", "analysed": "Analysed"}
LEAVING = {"declined": "Declined", "not_eligible": "Not eligible", "withdrawn": "Withdrawn", "set_aside": "Set aside"}
COMPLETE = {"complete": "complete", "partial": "partial", "missing": "missing"}
GAS = {"pao2_mmhg": "PaO2, mmHg", "aa_gradient_mmhg": "P(A-a)O2, mmHg", "shunt_pct": "Shunt, %"}
MARKERS = {
    "gmcsf_ab_ug_ml": "Anti-GM-CSF, µg/ml",
    "ldh_u_l": "LDH, U/L",
    "kl6_u_ml": "KL-6, U/ml",
    "cea_ng_ml": "CEA, ng/ml",
    "cyfra211_ng_ml": "CYFRA 21-1, ng/ml",
    "sp_d_ng_ml": "SP-D, ng/ml",
}
LUNG = {"fvc_pct": "FVC, % predicted", "fev1_pct": "FEV1, % predicted", "dlco_pct": "DLCO, % predicted"}
CONTRAST = {
    "msc_effect": "effect of co-culture with MSC",
    "positive_control": "effect of the positive control",
    "group_gap": "gap between the groups",
    "interaction": "difference of MSC effects between the groups",
    "gap_closed": "share of the gap that is closed",
    "beyond_additive": "co-culture beyond the sum of both cells alone",
    "trend": "trend over doses",
}
SCALE_AXIS = {
    "fold": "Fold change",
    "odds": "Odds ratio",
    "detection": "Odds ratio of detection",
    "log2": "log2 units",
    "logit": "logit units",
    "identity": "Difference, {unit}",
    "share": "Share of the gap closed",
}
STATUS_SHORT = {
    "ok": "no finite estimate",
    "no_data": "no data",
    "mixed_units": "mixed units",
    "not_estimable": "not estimable",
    "too_few_donors": "too few donors",
    "all_censored": "all beyond a limit",
    "no_controls": "no controls",
    "zero_variance": "no spread",
    "repeated_rows": "repeated rows",
    "mixed_kits": "different kits",
    "wrong_scale": "wrong scale",
}
HEALTH_SOURCE = {"stated": "study.yaml", "own gap": "own gap", "": "no direction\nknown"}
HEALTH_CAPTION = (
    "Tinted side and arrow: toward health, as study.yaml states it, or toward this study's controls (own gap) "
    "where it states nothing and the interval of the gap leaves zero out."
)
ONE_MORE = {"donor": "one more donor", "culture": "one more culture an arm", "assay": "one more assay well a culture"}
CHANGE_UNIT = {"log2": "log2 fold", "logit": "log odds"}
AXIS_SCALE = {"measured": "", "log2": "logarithmic axis", "logit": "log-odds axis"}
