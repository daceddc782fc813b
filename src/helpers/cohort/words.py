"""Words of the cohort room: the registry's criteria in short."""

from __future__ import annotations

CRITERIA: dict[str, str] = {
    "I1": "Written informed consent before any procedure",
    "I2": "Age 18 to 75 years",
    "I3.0": "Whole-lung lavage indicated and agreed",
    "I3.1a": "Autoimmune pulmonary alveolar proteinosis",
    "I3.1b": "Serum anti-GM-CSF antibody > 5 µg/ml",
    "I3.2": "PaO2 < 65 mmHg",
    "I3.3": "P(A-a)O2 > 40 mmHg",
    "I3.4": "Shunt fraction > 10 % to 12 %",
    "E1": "Chronic respiratory disease other than PAP",
    "E2": "History of malignancy",
    "E3": "Uncontrolled infection",
    "E4": "Severe systemic disease",
    "E5": "Syphilis, HIV or hepatitis C antibody",
    "E6": "Coagulation disorder that forbids bronchoscopy",
    "E7": "Creatinine > 1.5 × upper limit of normal",
    "E8": "ALT, AST or bilirubin > 2 × upper limit of normal",
    "E9": "Judged unsuitable by the investigator",
    "E10": "Lacks capacity to consent",
    "E11": "Refused consent",
}
"""Inclusion criteria begin with I, exclusion criteria with E."""

READINGS: dict[str, str] = {
    "default": "as registered",
    "room_air_only": "PaO2 on room air only",
    "any_oxygen": "PaO2 whatever was breathed",
    "aa_simplified": "simplified alveolar gas equation",
    "aa_full": "full alveolar gas equation",
    "aa_auto": "simplified up to FiO2 0.3, full above",
    "over_lower": "above the lower limit (10 %)",
    "over_upper": "above the upper limit (12 %)",
    "one_disease": "one disease excludes",
    "two_diseases": "two diseases exclude",
    "any_value": "one raised value excludes",
    "all_values": "all three raised exclude",
}
