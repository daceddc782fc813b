"""Words of the widgets room."""

from __future__ import annotations

ASSAYS = {
    "cytokines": "Cytokines",
    "cytokines_per_cell": "Cytokines per living macrophage",
    "phenotype": "Phenotype",
    "phagocytosis": "Phagocytosis",
    "measurements": "Other measurements",
}
ROLES = {"primary": " (primary)", "secondary": " (secondary)"}
SCALES = {"log2": "as analysed: logarithmic", "logit": "as analysed: log odds", "measured": "as measured"}
ASSAY, READOUT, COMPARISON, DONORS, SCALE = "Assay", "Readout", "Comparison", "Donors", "Scale"
NO_REFERENCE = "{condition}, groups side by side"
EVERYONE = (
    "The estimate below is of all donors, as planned. Choosing donors changes the picture and the wells, never the "
    "estimate, its interval or its p."
)
FEWER = "{n} of {all} donors are chosen. The estimate below is still that of all donors, as planned; choosing never makes a new p."
EFFECT_ROWS = "Rows of the table of effects for this readout and comparison, all donors."
NO_READOUTS = "This study has no readouts of donors, so there is nothing to explore."
NO_ROWS = "The plan holds no estimate for this choice."
ALL_DONORS = "All donors"
NO_COMPARISON = "No comparison of the plan has values of this readout in all of its conditions."

TUBE, GATE, EDGE, PLACE, VALUE, REASON, SAVE = "Tube", "Gate", "Edge", "Place", "Value", "Reason", "Save this gate"
REASON_HINT = "What is different in this file? At least a word, at most 200 characters."
BLINDED = (
    "Whose cells these are, in which condition, and every effect stay hidden until the gate is saved with a reason."
)
NO_TUBES = "This study has no FCS files of the phenotype, so there is no gate to look at."
NO_EDGE = "No gate of this tube has an edge that can be moved: polygons, ellipses and quadrants are drawn elsewhere."
UNCHANGED = "The edge stands where it stood; move it before saving."
SAVED = (
    "Saved to {file}, with its reason. This was {fcs_file}: {whose}. Run all cells again, and the study is computed "
    "with this gate; it is listed in gate_overrides. For this file its donor's control tubes are gated alike, so that "
    "background and thresholds are of the same cells."
)
IN_WORKBOOK = "The row to copy:"
SEEN = "This gate was saved and whose cells these are was shown; it is not moved again here."
