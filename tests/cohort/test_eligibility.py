"""Every criterion at, below and above its limit, with missing values, bounds and unit traps."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers.analysis import load_study
from helpers.cohort.eligibility import all_met, any_met, compare, eligibility
from helpers.cohort.labs import labs_used
from helpers.study.config import Config
from helpers.study.opening import open_study

SETTINGS: dict[str, Any] = {
    "id": "t", "title": "t",
    "groups": [{"code": "apap", "label": "aPAP", "role": "disease"}, {"code": "control", "label": "Control", "role": "control", "control_source": "x"}],
    "conditions": [{"code": "am", "label": "AM", "cells": "am", "role": "reference"}],
}  # fmt: skip
FLAGS = ("copd", "pulmonary_fibrosis", "asthma", "other_chronic_respiratory", "malignancy_history", "uncontrolled_infection", "acute_myocardial_infarction",
         "unstable_angina", "cirrhosis", "acute_glomerulonephritis", "other_severe_systemic", "coagulation_disorder", "investigator_exclusion", "lacks_capacity",
         "consent_refused")  # fmt: skip


def donor_table(**changes: Any) -> pd.DataFrame:
    from helpers.core.schemas import input_tables
    from helpers.study.tables import DTYPES

    schema = input_tables()["donors"]
    row = dict.fromkeys(schema.columns) | {
        "donor_id": "D01", "group": "apap", "age_years": 45, "consent_signed": True, "consent_before_procedures": True,
        "diagnosis": "autoimmune_pap", "wll_indicated": True, "wll_agreed": True, **dict.fromkeys(FLAGS, False), **changes}  # fmt: skip
    return pd.DataFrame({f.name: pd.Series([row[f.name]], dtype=DTYPES[f.type]) for f in schema.fields})


GOOD_LABS: dict[str, dict[str, Any]] = {
    "pao2": {"value": 58.0, "unit": "mmHg", "breathing": "room_air"},
    "paco2": {"value": 36.0, "unit": "mmHg"},
    "shunt": {"value": 20.0, "unit": "%", "method": "o2_100_estimate"},
    "gmcsf_ab": {"value": 22.0, "unit": "ug/ml", "calibrator": "polyclonal"},
    "creatinine": {"value": 70.0, "unit": "umol/L", "uln": 100.0},
    "alt": {"value": 20.0, "unit": "U/L", "uln": 40.0},
    "ast": {"value": 20.0, "unit": "U/L", "uln": 40.0},
    "tbil": {"value": 10.0, "unit": "umol/L", "uln": 20.0},
    "syphilis_ab": {"qualifier": "neg"}, "hiv_ab": {"qualifier": "neg"}, "hcv_ab": {"qualifier": "neg"},
}  # fmt: skip


def lab_table(changes: dict[str, dict[str, Any] | None]) -> pd.DataFrame:
    from helpers.core.schemas import input_tables
    from helpers.study.tables import DTYPES

    schema = input_tables()["clinical_labs"]
    labs = {
        t: {**GOOD_LABS.get(t, {}), **(changes.get(t) or {})}
        for t in {*GOOD_LABS, *changes}
        if changes.get(t, {}) is not None
    }
    rows = [
        {
            **dict.fromkeys(schema.columns),
            "donor_id": "D01",
            "test_code": t,
            "study_day": -1,
            "rep": 1,
            "qualifier": "=",
            **lab,
        }
        for t, lab in labs.items()
    ]
    return pd.DataFrame({f.name: pd.Series([r[f.name] for r in rows], dtype=DTYPES[f.type]) for f in schema.fields})


def judge(
    criterion: str,
    reading: str = "default",
    donor: dict[str, Any] | None = None,
    labs: dict[str, Any] | None = None,
    **rules: Any,
) -> str:
    statuses, _ = run(donor, labs, **rules)
    row = statuses[(statuses["criterion_id"] == criterion) & (statuses["reading"] == reading)]
    return str(row["status"].iloc[0])


def run(
    donor: dict[str, Any] | None = None, labs: dict[str, Any] | None = None, **rules: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    config = Config.from_settings(SETTINGS | {"eligibility": rules})
    specimens = pd.DataFrame(
        {"donor_id": pd.Series(["D01"], dtype="string"), "study_day": pd.Series([0], dtype="Int64")}
    )
    used = labs_used(lab_table(labs or {}), specimens, config.settings)
    return eligibility(donor_table(**(donor or {})), used, config)


def overall(combine: str = "all_of", **more: Any) -> str:
    _, readings = run(**more)
    row = readings[(readings["combine"] == combine) & (readings["shunt_limit_pct"] == 10) & (readings["supplemental_o2"] == "room_air_only")
                   & (readings["e1_min_count"] == 1) & (readings["e8_combine"] == "any_of")]  # fmt: skip
    return str(row["status"].iloc[0])


def test_a_plain_donor_is_eligible_under_every_reading() -> None:
    _, readings = run()
    assert len(readings) == 32
    assert set(readings["status"]) == {"eligible"}
    assert readings["is_default"].sum() == 1


@pytest.mark.parametrize(
    ("age", "status"), [(17, "not_met"), (18, "met"), (75, "met"), (76, "not_met"), (None, "not_assessable")]
)
def test_age(age: int | None, status: str) -> None:
    assert judge("I2", donor={"age_years": age}) == status


@pytest.mark.parametrize(
    ("signed", "before", "status"),
    [(True, True, "met"), (True, None, "not_assessable"), (False, None, "not_met"), (True, False, "not_met")],
)
def test_consent(signed: bool | None, before: bool | None, status: str) -> None:
    assert judge("I1", donor={"consent_signed": signed, "consent_before_procedures": before}) == status


@pytest.mark.parametrize(
    ("lab", "status"),
    [
        ({"value": 5.0}, "not_met"), ({"value": 5.01}, "met"), ({"value": 4.9}, "not_met"), ({"value": 5.0, "qualifier": "<"}, "not_met"),
        ({"value": 3.0, "qualifier": ">"}, "not_assessable"), ({"value": 100.0, "qualifier": ">"}, "met"), ({"value": 500.0, "unit": "U/ml"}, "not_assessable"),
        ({"value": 25000.0, "unit": "titre"}, "not_assessable"), ({"value": 22.0, "calibrator": "monoclonal"}, "not_assessable"), ({"calibrator": None}, "not_assessable"),
        ({"value": 6.0, "unit": "mg/L"}, "met"), (None, "not_assessable"),
    ],
)  # fmt: skip
def test_antibody(lab: dict[str, Any] | None, status: str) -> None:
    assert judge("I3.1b", labs={"gmcsf_ab": lab}) == status


@pytest.mark.parametrize(
    ("lab", "air", "any_"),
    [
        ({"value": 64.9}, "met", "met"), ({"value": 65.0}, "not_met", "not_met"), ({"value": 65.1}, "not_met", "not_met"), ({"value": 8.66, "unit": "kPa"}, "met", "met"),
        ({"value": 8.67, "unit": "kPa"}, "not_met", "not_met"), ({"value": 60.0, "qualifier": "<"}, "met", "met"), ({"value": 70.0, "qualifier": "<"}, "not_assessable", "not_assessable"),
        ({"value": 60.0, "breathing": "oxygen", "fio2": 0.4}, "not_assessable", "met"), ({"value": 60.0, "breathing": None}, "not_assessable", "met"),
        ({"value": 60.0, "breathing": None, "fio2": 0.21}, "met", "met"), (None, "not_assessable", "not_assessable"),
    ],
)  # fmt: skip
def test_oxygen(lab: dict[str, Any] | None, air: str, any_: str) -> None:
    assert judge("I3.2", "room_air_only", labs={"pao2": lab}) == air
    assert judge("I3.2", "any_oxygen", labs={"pao2": lab}) == any_


@pytest.mark.parametrize(
    ("labs", "status"),
    [
        ({"aa_gradient": {"value": 40.0, "unit": "mmHg"}}, "not_met"), ({"aa_gradient": {"value": 40.1, "unit": "mmHg"}}, "met"), ({"aa_gradient": {"value": 5.4, "unit": "kPa"}}, "met"),
        ({"pao2": {"value": 64.73}}, "not_met"), ({"pao2": {"value": 64.0}}, "met"), ({"paco2": None}, "not_assessable"), ({"pao2": {"breathing": None}}, "not_assessable"),
    ],
)  # fmt: skip
def test_gradient_given_and_derived(labs: dict[str, Any], status: str) -> None:
    # derived at PaCO2 36 on room air: 713 × 0.21 − 36 / 0.8 = 104.73 mmHg
    assert judge("I3.3", "aa_auto", labs=labs) == status


def test_the_equation_can_decide() -> None:
    labs = {"pao2": {"value": 65.0}}  # 39.7 by the simplified equation, 41.6 by the full one
    assert judge("I3.3", "aa_simplified", labs=labs) == "not_met"
    assert judge("I3.3", "aa_full", labs=labs) == "met"


@pytest.mark.parametrize(
    ("lab", "lower", "upper"),
    [({"value": 10.0}, "not_met", "not_met"), ({"value": 11.0}, "met", "not_met"), ({"value": 12.0}, "met", "not_met"), ({"value": 12.1}, "met", "met"),
     ({"value": 0.13, "unit": "fraction"}, "met", "met"), ({"method": "other"}, "not_assessable", "not_assessable"), (None, "not_assessable", "not_assessable")],
)  # fmt: skip
def test_shunt(lab: dict[str, Any] | None, lower: str, upper: str) -> None:
    assert judge("I3.4", "over_lower", labs={"shunt": lab}) == lower
    assert judge("I3.4", "over_upper", labs={"shunt": lab}) == upper


@pytest.mark.parametrize(
    ("flags", "one", "two"),
    [({}, "not_met", "not_met"), ({"asthma": True}, "met", "not_met"), ({"asthma": True, "copd": True}, "met", "met"),
     ({"asthma": None}, "not_assessable", "not_met"), ({"asthma": True, "copd": None}, "met", "not_assessable")],
)  # fmt: skip
def test_chronic_disease(flags: dict[str, Any], one: str, two: str) -> None:
    assert judge("E1", "one_disease", donor=flags) == one
    assert judge("E1", "two_diseases", donor=flags) == two


@pytest.mark.parametrize("criterion_flag", [("E2", "malignancy_history"), ("E3", "uncontrolled_infection"), ("E4", "cirrhosis"), ("E6", "coagulation_disorder"),
                                            ("E9", "investigator_exclusion"), ("E10", "lacks_capacity"), ("E11", "consent_refused")])  # fmt: skip
def test_plain_exclusions(criterion_flag: tuple[str, str]) -> None:
    criterion, flag = criterion_flag
    assert judge(criterion) == "not_met"
    assert judge(criterion, donor={flag: True}) == "met"
    assert judge(criterion, donor={flag: None}) == "not_assessable"


def test_infections_need_all_three_to_be_negative() -> None:
    assert judge("E5") == "not_met"
    assert judge("E5", labs={"hcv_ab": {"qualifier": "pos"}}) == "met"
    assert judge("E5", labs={"hcv_ab": None}) == "not_assessable"
    assert judge("E5", labs={"hcv_ab": None, "hiv_ab": {"qualifier": "pos"}}) == "met"


@pytest.mark.parametrize(
    ("lab", "status"),
    [({"value": 150.0}, "not_met"), ({"value": 150.1}, "met"), ({"value": 1.7, "unit": "mg/dL", "uln": 1.13}, "met"), ({"value": 1.69, "unit": "mg/dL", "uln": 1.13}, "not_met"),
     ({"uln": None}, "not_assessable"), (None, "not_assessable")],
)  # fmt: skip
def test_creatinine_against_its_own_limit(lab: dict[str, Any] | None, status: str) -> None:
    assert judge("E7", labs={"creatinine": lab}) == status


def test_liver_any_and_all() -> None:
    one = {"alt": {"value": 81.0}}
    every = {"alt": {"value": 81.0}, "ast": {"value": 81.0}, "tbil": {"value": 40.1}}
    assert [judge("E8", r, labs=one) for r in ("any_value", "all_values")] == ["met", "not_met"]
    assert [judge("E8", r, labs=every) for r in ("any_value", "all_values")] == ["met", "met"]
    assert [judge("E8", r, labs={"alt": {"value": 80.0}}) for r in ("any_value", "all_values")] == [
        "not_met",
        "not_met",
    ]
    assert judge("E8", "any_value", labs={"alt": None}) == "not_assessable"


def test_platelets_count_only_where_a_limit_is_set() -> None:
    low = {"platelets": {"value": 40.0, "unit": "1e9/L"}}
    assert judge("E6", labs=low) == "not_met"
    assert judge("E6", labs=low, platelet_limit_1e9_l=50) == "met"


def test_criteria_of_the_disease_are_not_for_controls() -> None:
    statuses, readings = run(
        donor={"group": "control", "diagnosis": "none", "wll_indicated": False},
        labs={"gmcsf_ab": {"value": 0.1}, "pao2": None, "shunt": None},
    )
    disease = statuses[statuses["criterion_id"].str.startswith("I3")]
    assert set(disease["status"]) == {"not_applicable"}
    assert set(readings["status"]) == {"eligible"}


def test_all_of_and_any_of() -> None:
    assert overall("all_of", labs={"pao2": {"value": 66.0}}) == "ineligible"
    assert overall("any_of", labs={"pao2": {"value": 66.0}}) == "eligible"
    assert overall("all_of", labs={"shunt": None}) == "indeterminate"
    assert overall("any_of", labs={"shunt": None}) == "eligible"
    assert overall("any_of", labs={"gmcsf_ab": {"value": 1.0}}) == "ineligible"


@pytest.mark.parametrize("statuses", list(itertools.product(("met", "not_met", "not_assessable"), repeat=2)))
def test_kleene(statuses: tuple[str, str]) -> None:
    truth = {"met": 1.0, "not_assessable": 0.5, "not_met": 0.0}
    assert truth[any_met(statuses)] == max(truth[s] for s in statuses)
    assert truth[all_met(statuses)] == min(truth[s] for s in statuses)


@pytest.mark.parametrize(("value", "qualifier"), [(v, q) for v in (4.0, 5.0, 6.0) for q in "=<>"])
def test_a_bound_is_never_judged_against_a_truth_it_allows(value: float, qualifier: str) -> None:
    possible = {"=": [value], "<": [value - 0.01, value - 3], ">": [value + 0.01, value + 3]}[qualifier]
    for above in (True, False):
        answers = {compare(t, "=", 5.0, above) for t in possible}
        given = compare(value, qualifier, 5.0, above)
        assert given == "not_assessable" or answers == {given}


def test_the_demo_finds_every_planted_donor(demo: Path) -> None:
    readings = load_study(demo).table("eligibility_readings")
    usual = readings[readings["is_default"]].set_index("donor_id")
    assert usual.loc["D07", ["status", "deciding"]].tolist() == ["ineligible", "I2"]
    assert usual.loc["D03", ["status", "deciding"]].tolist() == ["ineligible", "I3.2"]
    assert usual.loc["D04", ["status", "deciding"]].tolist() == ["indeterminate", "I3.4"]
    assert usual.loc["D05", ["status", "deciding"]].tolist() == ["indeterminate", "I3.1b"]
    assert usual.loc["D06", ["status", "deciding"]].tolist() == ["indeterminate", "I3.2"]
    assert usual.loc["D08", ["status", "deciding"]].tolist() == ["ineligible", "E8"]
    assert usual.loc["D09", ["status", "deciding"]].tolist() == ["ineligible", "E1"]
    assert set(readings.loc[readings["changes"], "donor_id"]) == {"D02", "D03", "D04", "D06", "D08", "D09"}
    assert usual.loc[["D01", "D02", "D14", *[f"D{n}" for n in range(15, 27)]], "status"].eq("eligible").all()


def test_kpa_and_mmhg_give_the_same_eligibility(demo: Path, tmp_path: Path) -> None:
    import shutil

    study = tmp_path / "kpa"
    shutil.copytree(demo, study)
    labs = pd.read_csv(study / "clinical_labs.csv", dtype=str, keep_default_na=False)
    pressure = labs["test_code"].isin(["pao2", "paco2", "aa_gradient"]) & (labs["unit"] == "mmHg")
    labs.loc[pressure, "value"] = (labs.loc[pressure, "value"].astype(float) / 7.50061682704).map(lambda v: f"{v:.12g}")
    labs.loc[pressure, "unit"] = "kPa"
    labs.to_csv(study / "clinical_labs.csv", index=False)
    before, after = (load_study(s).table("eligibility_readings") for s in (demo, study))
    pd.testing.assert_frame_equal(before, after)
    assert pressure.sum() > 50


def test_the_order_of_rows_and_the_names_of_donors_do_not_matter(demo: Path) -> None:
    study = open_study(demo)
    labs, donors, specimens = study.tables["clinical_labs"], study.tables["donors"], study.tables["specimens"]
    rename = {d: f"X{i:03d}" for i, d in enumerate(reversed(donors["donor_id"].tolist()))}

    def renamed(frame: pd.DataFrame) -> pd.DataFrame:
        return (
            frame.assign(donor_id=frame["donor_id"].map(rename).astype("string"))
            .sample(frac=1, random_state=1)
            .reset_index(drop=True)
        )

    plain = eligibility(donors, labs_used(labs, specimens, study.config.settings), study.config)[0]
    other = eligibility(
        renamed(donors), labs_used(renamed(labs), renamed(specimens), study.config.settings), study.config
    )[0]
    key = ["donor_id", "criterion_id", "reading"]
    expected = plain.assign(donor_id=plain["donor_id"].map(rename)).sort_values(key, ignore_index=True)
    pd.testing.assert_frame_equal(other.sort_values(key, ignore_index=True), expected, check_dtype=False)
