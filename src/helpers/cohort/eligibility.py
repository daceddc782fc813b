"""The 19 registered criteria as rules with three answers, under every reading the record allows.

Answers are ``met``, ``not_met`` and ``not_assessable`` (Kleene's third value: not known), and
``not_applicable`` where a rule is not for the donor's group. Nothing missing is ever taken as fine.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from helpers.cohort.gas import alveolar_po2_full_mmhg, alveolar_po2_simplified_mmhg, chosen_equation, on_room_air
from helpers.core.numbers import show
from helpers.core.schemas import output_tables
from helpers.study.config import Config
from helpers.study.tables import records

MET, NOT_MET, UNKNOWN, NOT_APPLICABLE = "met", "not_met", "not_assessable", "not_applicable"


@dataclass(frozen=True)
class Judged:
    """Answer of one rule for one donor, with the value judged and a reason in words."""

    status: str
    reason: str
    value: str = ""
    unit: str = ""


# ---- three-valued logic


def any_met(statuses: Iterable[str]) -> str:
    """Kleene's or.

    Examples
    --------
    >>> any_met(["not_met", "met", "not_assessable"]), any_met(["not_met", "not_assessable"]), any_met(["not_met"])
    ('met', 'not_assessable', 'not_met')
    """
    known = set(statuses)
    return MET if MET in known else UNKNOWN if UNKNOWN in known else NOT_MET


def all_met(statuses: Iterable[str]) -> str:
    """Kleene's and.

    Examples
    --------
    >>> all_met(["met", "not_assessable"]), all_met(["met", "not_met", "not_assessable"])
    ('not_assessable', 'not_met')
    """
    known = set(statuses)
    return NOT_MET if NOT_MET in known else UNKNOWN if UNKNOWN in known else MET


def _yes(value: bool | None, said: str) -> Judged:
    if value is None:
        return Judged(UNKNOWN, f"{said}: not recorded.")
    return Judged(MET if value else NOT_MET, f"{said}: {'yes' if value else 'no'}.", "yes" if value else "no")


def _flags(values: Mapping[str, bool | None], least: int = 1) -> Judged:
    """Met where at least `least` flags are yes, for sure; unknown where missing flags could make it so."""
    yes = [name for name, v in values.items() if v is True]
    open_ = [name for name, v in values.items() if v is None]
    if len(yes) >= least:
        return Judged(MET, f"Recorded: {', '.join(yes)}.", ", ".join(yes))
    if len(yes) + len(open_) >= least:
        return Judged(UNKNOWN, f"Not recorded: {', '.join(open_)}.", ", ".join(yes))
    return Judged(
        NOT_MET,
        f"Fewer than {least} of {', '.join(values)}." if yes else f"None of {', '.join(values)}.",
        ", ".join(yes),
    )


def compare(value: float, qualifier: str, limit: float, above: bool) -> str:
    """Whether a value is strictly above (or below) a limit, when it may itself be only a bound.

    Parameters
    ----------
    value, limit
        In one unit; NaN is missing.
    qualifier
        ``=`` exact, ``<`` the truth is below `value`, ``>`` above it.
    above
        True asks for more than the limit, False for less.

    Examples
    --------
    >>> compare(5, "=", 5, True), compare(3, ">", 5, True), compare(60, "<", 65, False)
    ('not_met', 'not_assessable', 'met')
    """
    if math.isnan(value):
        return UNKNOWN
    if qualifier == "=":
        return MET if (value > limit if above else value < limit) else NOT_MET
    if qualifier == ">":
        sure = value >= limit
        return (MET if above else NOT_MET) if sure else UNKNOWN
    if qualifier == "<":
        sure = value <= limit
        return (NOT_MET if above else MET) if sure else UNKNOWN
    return UNKNOWN


def _lab(lab: Any, limit: float, above: bool, unit: str) -> Judged:
    shown = f"{'' if lab.qualifier == '=' else lab.qualifier + ' '}{show(lab.value, 4)}"
    sign = ">" if above else "<"
    status = compare(lab.value, lab.qualifier, limit, above)
    words = {MET: "is", NOT_MET: "is not", UNKNOWN: "may or may not be"}[status]
    return Judged(status, f"{shown} {unit} {words} {sign} {limit:g} {unit}.", shown, unit)


# ---- criteria; each takes a donor, the donor's laboratory values by test, and the settings


def consent(donor: Any) -> Judged:
    """I1: signed, and before any procedure."""
    status = all_met([_yes(donor.consent_signed, "").status, _yes(donor.consent_before_procedures, "").status])
    said = {
        MET: "Signed before any procedure.",
        NOT_MET: "Not signed, or signed after a procedure.",
        UNKNOWN: "Signature or its time is not recorded.",
    }
    return Judged(status, said[status])


def age(donor: Any) -> Judged:
    """I2: 18 to 75 completed years at consent, both included."""
    if math.isnan(donor.age_years):
        return Judged(UNKNOWN, "Age is not recorded.")
    inside = 18 <= donor.age_years <= 75
    return Judged(
        MET if inside else NOT_MET,
        f"{donor.age_years:g} years {'lies' if inside else 'does not lie'} in 18 to 75.",
        f"{donor.age_years:g}",
        "years",
    )


def lavage(donor: Any) -> Judged:
    """I3.0: whole-lung lavage indicated and agreed."""
    status = all_met([_yes(donor.wll_indicated, "").status, _yes(donor.wll_agreed, "").status])
    said = {
        MET: "Indicated and agreed.",
        NOT_MET: "Not indicated, or not agreed.",
        UNKNOWN: "Indication or agreement is not recorded.",
    }
    return Judged(status, said[status])


def diagnosis(donor: Any) -> Judged:
    """I3.1a: autoimmune pulmonary alveolar proteinosis."""
    if donor.diagnosis is None:
        return Judged(UNKNOWN, "Diagnosis is not recorded.")
    right = donor.diagnosis == "autoimmune_pap"
    return Judged(MET if right else NOT_MET, f"Diagnosis: {donor.diagnosis}.", donor.diagnosis)


def titre(labs: Mapping[str, Any], rules: Mapping[str, Any]) -> Judged:
    """I3.1b: anti-GM-CSF strictly above the limit, on the polyclonal standard only (Uchida 2014)."""
    lab = labs.get("gmcsf_ab")
    if lab is None:
        return Judged(UNKNOWN, "Anti-GM-CSF was not measured in the window.")
    if math.isnan(lab.value):
        return Judged(
            UNKNOWN,
            f"Reported in {lab.unit_as_reported}; the limit is in ug/ml of the polyclonal standard, and there is no conversion.",
            show(lab.value_as_reported, 4),
            str(lab.unit_as_reported),
        )
    if lab.calibrator != "polyclonal":
        return Judged(
            UNKNOWN,
            "The assay's standard is not known to be the polyclonal one, for which the limit holds.",
            show(lab.value, 4),
            "ug/ml",
        )
    return _lab(lab, rules["titre_limit_ug_ml"], True, "ug/ml")


def pao2(labs: Mapping[str, Any], rules: Mapping[str, Any], any_oxygen: bool) -> Judged:
    """I3.2: PaO2 strictly below the limit; on room air, unless any inspired oxygen counts."""
    lab = labs.get("pao2")
    if lab is None:
        return Judged(UNKNOWN, "PaO2 was not measured in the window.")
    if not any_oxygen:
        if math.isnan(lab.fio2):
            return Judged(UNKNOWN, "What the donor breathed was not recorded.", show(lab.value, 4), "mmHg")
        if not on_room_air(lab.fio2):
            return Judged(
                UNKNOWN, f"Measured at FiO2 {lab.fio2:g}; the limit is read for room air.", show(lab.value, 4), "mmHg"
            )
    return _lab(lab, rules["pao2_limit_mmhg"], False, "mmHg")


def aa_gradient(labs: Mapping[str, Any], rules: Mapping[str, Any], equation: str) -> Judged:
    """I3.3: alveolar–arterial gradient strictly above the limit; as reported, else derived."""
    given = labs.get("aa_gradient")
    if given is not None:
        judged = _lab(given, rules["aa_limit_mmhg"], True, "mmHg")
        return Judged(judged.status, f"As reported: {judged.reason}", judged.value, judged.unit)
    derived = derived_gradient(labs, rules, equation)
    if math.isnan(derived):
        return Judged(UNKNOWN, "Neither reported nor derivable: PaO2, PaCO2 and FiO2 of one day are needed.")
    status = compare(derived, "=", rules["aa_limit_mmhg"], True)
    return Judged(
        status,
        f"Derived: {show(derived, 4)} mmHg is{'' if status == MET else ' not'} > {rules['aa_limit_mmhg']:g} mmHg.",
        show(derived, 4),
        "mmHg",
    )


def derived_gradient(labs: Mapping[str, Any], rules: Mapping[str, Any], equation: str) -> float:
    """Alveolar–arterial gradient in mmHg from PaO2, PaCO2, FiO2 and barometric pressure of one day; NaN where one lacks.

    Parameters
    ----------
    labs
        Chosen results by test.
    rules
        ``eligibility`` of study.yaml: constants and limits.
    equation
        auto, simplified or full.
    """
    o2, co2, pb = labs.get("pao2"), labs.get("paco2"), labs.get("pb")
    if o2 is None or co2 is None or o2.qualifier != "=" or co2.qualifier != "=" or math.isnan(o2.fio2):
        return math.nan
    barometer = pb.value if pb is not None else rules["pb_mmhg"]
    form = (
        alveolar_po2_simplified_mmhg if chosen_equation(equation, o2.fio2) == "simplified" else alveolar_po2_full_mmhg
    )
    return float(form(barometer, o2.fio2, co2.value, rules["rq"], rules["ph2o_mmhg"]) - o2.value)


def shunt(labs: Mapping[str, Any], limit: float) -> Judged:
    """I3.4: shunt strictly above the limit, measured on pure oxygen or by catheter."""
    lab = labs.get("shunt")
    if lab is None:
        return Judged(UNKNOWN, "Shunt was not measured in the window.")
    if lab.method not in ("o2_100_estimate", "catheter"):
        return Judged(UNKNOWN, "Not known to be measured on pure oxygen or by catheter.", show(lab.value, 4), "%")
    return _lab(lab, limit, True, "%")


def infections(labs: Mapping[str, Any]) -> Judged:
    """E5: any of syphilis, HIV and hepatitis C antibodies positive."""
    known = {"syphilis": "syphilis_ab", "HIV": "hiv_ab", "hepatitis C": "hcv_ab"}
    return _flags({name: None if test not in labs else labs[test].qualifier == "pos" for name, test in known.items()})


def _over_uln(lab: Any, times: float) -> str:
    if lab is None or math.isnan(lab.uln) or math.isnan(lab.value) or not lab.uln > 0:
        return UNKNOWN
    return compare(lab.value / lab.uln, lab.qualifier, times, True)


def creatinine(labs: Mapping[str, Any]) -> Judged:
    """E7: creatinine more than 1.5 times its laboratory's upper limit of normal."""
    lab = labs.get("creatinine")
    status = _over_uln(lab, 1.5)
    if lab is None or status == UNKNOWN:
        return Judged(status, "Creatinine or its upper limit of normal is not recorded.")
    return Judged(
        status,
        f"{show(lab.value / lab.uln)} × the upper limit is{'' if status == MET else ' not'} > 1.5 ×.",
        show(lab.value / lab.uln),
        "x ULN",
    )


def liver(labs: Mapping[str, Any], all_values: bool) -> Judged:
    """E8: ALT, AST and bilirubin more than twice their upper limits; any of them, or all."""
    statuses = {
        name: _over_uln(labs.get(test), 2) for name, test in (("ALT", "alt"), ("AST", "ast"), ("bilirubin", "tbil"))
    }
    status = all_met(statuses.values()) if all_values else any_met(statuses.values())
    raised = [n for n, s in statuses.items() if s == MET]
    unknown = [n for n, s in statuses.items() if s == UNKNOWN]
    reason = f"Above 2 × the upper limit: {', '.join(raised) or 'none'}" + (
        f"; not known: {', '.join(unknown)}." if unknown else "."
    )
    return Judged(status, reason, ", ".join(raised))


def coagulation(donor: Any, labs: Mapping[str, Any], rules: Mapping[str, Any]) -> Judged:
    """E6: the investigator's flag, or platelets below the study's limit where it sets one."""
    flag = _yes(donor.coagulation_disorder, "Coagulation disorder")
    limit, lab = rules["platelet_limit_1e9_l"], labs.get("platelets")
    if limit is None or flag.status == MET:
        return flag
    low = compare(lab.value, lab.qualifier, limit, False) if lab is not None else UNKNOWN
    return Judged(any_met([flag.status, low]), f"{flag.reason} Platelets below {limit:g}: {low.replace('_', ' ')}.")


def judge(
    donor: Any, labs: Mapping[str, Any], rules: Mapping[str, Any], control: bool
) -> dict[tuple[str, str], Judged]:
    """All criteria of a donor by (criterion, reading).

    Parameters
    ----------
    donor
        A record of donors.
    labs
        The donor's chosen results by test.
    rules
        ``eligibility`` of study.yaml.
    control
        Whether the donor belongs to a control group: I3 is then not applicable.
    """
    chronic = {
        "COPD": donor.copd,
        "pulmonary fibrosis": donor.pulmonary_fibrosis,
        "asthma": donor.asthma,
        "other": donor.other_chronic_respiratory,
    }
    severe = {
        "acute myocardial infarction": donor.acute_myocardial_infarction,
        "unstable angina": donor.unstable_angina,
        "cirrhosis": donor.cirrhosis,
        "acute glomerulonephritis": donor.acute_glomerulonephritis,
        "other": donor.other_severe_systemic,
    }
    disease = {
        ("I3.0", "default"): lavage(donor),
        ("I3.1a", "default"): diagnosis(donor),
        ("I3.1b", "default"): titre(labs, rules),
        ("I3.2", "room_air_only"): pao2(labs, rules, any_oxygen=False),
        ("I3.2", "any_oxygen"): pao2(labs, rules, any_oxygen=True),
        ("I3.3", "aa_auto"): aa_gradient(labs, rules, "auto"),
        ("I3.3", "aa_simplified"): aa_gradient(labs, rules, "simplified"),
        ("I3.3", "aa_full"): aa_gradient(labs, rules, "full"),
        ("I3.4", "over_lower"): shunt(labs, rules["shunt_limit_pct"]),
        ("I3.4", "over_upper"): shunt(labs, rules["shunt_limit_alternative_pct"]),
    }
    if control:
        disease = dict.fromkeys(disease, Judged(NOT_APPLICABLE, "Not for controls."))
    return {
        ("I1", "default"): consent(donor),
        ("I2", "default"): age(donor),
        **disease,
        ("E1", "one_disease"): _flags(chronic, 1),
        ("E1", "two_diseases"): _flags(chronic, 2),
        ("E2", "default"): _yes(donor.malignancy_history, "Malignancy"),
        ("E3", "default"): _yes(donor.uncontrolled_infection, "Uncontrolled infection"),
        ("E4", "default"): _flags(severe),
        ("E5", "default"): infections(labs),
        ("E6", "default"): coagulation(donor, labs, rules),
        ("E7", "default"): creatinine(labs),
        ("E8", "any_value"): liver(labs, all_values=False),
        ("E8", "all_values"): liver(labs, all_values=True),
        ("E9", "default"): _yes(donor.investigator_exclusion, "Excluded by the investigator"),
        ("E10", "default"): _yes(donor.lacks_capacity, "Lacks capacity"),
        ("E11", "default"): _yes(donor.consent_refused, "Consent refused"),
    }


# ---- readings


@dataclass(frozen=True)
class Reading:
    """One way to read every ambiguous rule."""

    combine: str
    shunt: str
    oxygen: str
    chronic: str
    liver: str
    equation: str = "aa_auto"

    def of(self, criterion: str) -> str:
        """The reading of one criterion."""
        chosen = {"I3.2": self.oxygen, "I3.3": self.equation, "I3.4": self.shunt, "E1": self.chronic, "E8": self.liver}
        return chosen.get(criterion, "default")


def default_reading(rules: Mapping[str, Any]) -> Reading:
    """The reading that study.yaml chose."""
    return Reading(
        rules["combine"],
        "over_lower",
        "any_oxygen" if rules["allow_supplemental_o2"] else "room_air_only",
        "one_disease" if rules["e1_min_count"] == 1 else "two_diseases",
        "all_values" if rules["e8_combine"] == "all_of" else "any_value",
        f"aa_{rules['aa_equation']}",
    )


def all_readings(rules: Mapping[str, Any]) -> list[Reading]:
    """Every combination of the five ambiguous rules, 32 in all."""
    parts = (
        ("all_of", "any_of"),
        ("over_lower", "over_upper"),
        ("room_air_only", "any_oxygen"),
        ("one_disease", "two_diseases"),
        ("any_value", "all_values"),
    )
    return [Reading(*combination, equation=f"aa_{rules['aa_equation']}") for combination in itertools.product(*parts)]


def overall(judged: Mapping[tuple[str, str], Judged], reading: Reading) -> tuple[str, list[str]]:
    """Overall status under one reading, and the criteria that decide it.

    Any inclusion not met or exclusion met makes a donor ineligible; otherwise anything not assessable makes
    it indeterminate. Under ``any_of``, 3.1 and one of 3.2 to 3.4 are needed.
    """
    criteria = list(dict.fromkeys(c for c, _ in judged))
    status = {c: judged[c, reading.of(c)].status for c in criteria}
    if reading.combine == "any_of" and status["I3.2"] != NOT_APPLICABLE:
        together = any_met(status.pop(c) for c in ("I3.2", "I3.3", "I3.4"))
        status["I3.2-I3.4"] = together
    against = [c for c, s in status.items() if s == (MET if c.startswith("E") else NOT_MET)]
    if against:
        return "ineligible", against
    unknown = [c for c, s in status.items() if s == UNKNOWN]
    return ("indeterminate", unknown) if unknown else ("eligible", [])


def eligibility(donors: pd.DataFrame, labs_used: pd.DataFrame, config: Config) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judge every donor by every criterion and every reading.

    Parameters
    ----------
    donors
        Typed input table.
    labs_used
        Chosen results.
    config
        study.yaml.

    Returns
    -------
    eligibility
        One row a donor, criterion and reading.
    eligibility_readings
        One row a donor and combination of readings.
    """
    rules = config.settings["eligibility"]
    controls = set(config.groups_of("control"))
    by_donor: dict[str, dict[str, Any]] = {}
    for lab in records(labs_used):
        by_donor.setdefault(lab.donor_id, {})[lab.test_code] = lab
    chosen, combinations = default_reading(rules), all_readings(rules)
    rows: list[tuple[object, ...]] = []
    overalls: list[tuple[object, ...]] = []
    for donor in records(donors):
        judged = judge(donor, by_donor.get(donor.donor_id, {}), rules, donor.group in controls)
        rows += [
            (donor.donor_id, c, r, j.status, j.value, j.unit, j.reason, chosen.of(c) == r)
            for (c, r), j in judged.items()
        ]
        usual = overall(judged, chosen)[0]
        for reading in combinations:
            status, deciding = overall(judged, reading)
            overalls.append(
                (
                    donor.donor_id,
                    donor.group,
                    reading.combine,
                    rules["shunt_limit_pct"] if reading.shunt == "over_lower" else rules["shunt_limit_alternative_pct"],
                    reading.oxygen,
                    1 if reading.chronic == "one_disease" else 2,
                    "any_of" if reading.liver == "any_value" else "all_of",
                    status,
                    reading == chosen,
                    status != usual,
                    "; ".join(deciding),
                )
            )
    tables = output_tables()
    return (
        pd.DataFrame(rows, columns=tables["eligibility"].columns),
        pd.DataFrame(overalls, columns=tables["eligibility_readings"].columns),
    )
