"""Which result counts: the last at or before the first lavage, within the window, oxygen on room air first."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from helpers.cohort.labs import labs_used
from helpers.core.schemas import input_tables, lab_tests
from helpers.study.tables import DTYPES

SCHEMA = input_tables()["clinical_labs"]


def choose(*labs: dict[str, Any], lavage: int | None = 0, window: int = 90) -> pd.DataFrame:
    rows = [{**dict.fromkeys(SCHEMA.columns), "donor_id": "D01", "rep": 1, "qualifier": "=", **lab} for lab in labs]
    table = pd.DataFrame({f.name: pd.Series([r[f.name] for r in rows], dtype=DTYPES[f.type]) for f in SCHEMA.fields})
    days = [] if lavage is None else [lavage, lavage + 100]
    specimens = pd.DataFrame(
        {"donor_id": pd.Series(["D01"] * len(days), dtype="string"), "study_day": pd.Series(days, dtype="Int64")}
    )
    return labs_used(table, specimens, {"eligibility": {"lab_window_days": window}})


def ldh(day: int, value: float, rep: int = 1) -> dict[str, Any]:
    return {"test_code": "ldh", "study_day": day, "value": value, "unit": "U/L", "rep": rep}


def test_the_last_before_lavage_counts_and_later_ones_never() -> None:
    used = choose(ldh(-30, 300), ldh(-2, 280), ldh(5, 150))
    assert used["value"].tolist() == [280]
    assert used["n_candidates"].tolist() == [2]


def test_the_day_of_lavage_counts() -> None:
    assert choose(ldh(-2, 280), ldh(0, 260))["value"].tolist() == [260]


def test_the_window_is_closed_at_its_end() -> None:
    assert choose(ldh(-90, 300))["value"].tolist() == [300]
    assert choose(ldh(-91, 300)).empty


def test_of_one_day_the_last_repeat_counts() -> None:
    assert choose(ldh(-2, 280, rep=2), ldh(-2, 300, rep=1))["value"].tolist() == [280]


def test_days_count_from_the_first_lavage() -> None:
    assert choose(ldh(5, 150), ldh(20, 140), lavage=10)["value"].tolist() == [150]


def test_without_a_specimen_day_zero_counts() -> None:
    assert choose(ldh(-2, 280), ldh(1, 100), lavage=None)["value"].tolist() == [280]


def test_room_air_goes_before_a_later_value_on_oxygen() -> None:
    used = choose(
        {"test_code": "pao2", "study_day": -10, "value": 60, "unit": "mmHg", "breathing": "room_air"},
        {"test_code": "pao2", "study_day": -1, "value": 90, "unit": "mmHg", "breathing": "oxygen", "fio2": 0.4},
        {"test_code": "paco2", "study_day": -10, "value": 36, "unit": "mmHg"},
        {"test_code": "paco2", "study_day": -1, "value": 45, "unit": "mmHg"},
    ).set_index("test_code")
    assert used.loc["pao2", "value"] == 60
    assert used.loc["pao2", "fio2"] == 0.21
    assert used.loc["paco2", "value"] == 36, "carbon dioxide comes from the day of the oxygen that counts"


def test_carbon_dioxide_of_another_day_never_enters() -> None:
    used = choose(
        {"test_code": "pao2", "study_day": -1, "value": 60, "unit": "mmHg", "breathing": "room_air"},
        {"test_code": "paco2", "study_day": -2, "value": 36, "unit": "mmHg"},
    )
    assert used["test_code"].tolist() == ["pao2"]


@pytest.mark.parametrize(
    ("test", "unit", "value", "canonical"),
    [("pao2", "kPa", 8.0, 60.00493), ("creatinine", "mg/dL", 1.0, 88.42), ("tbil", "mg/dL", 1.0, 17.1), ("alt", "ukat/L", 0.5, 30.0), ("hb", "g/dL", 14.0, 140.0),
     ("shunt", "fraction", 0.11, 11.0), ("pb", "hPa", 1013.25, 760.0)],
)  # fmt: skip
def test_conversions(test: str, unit: str, value: float, canonical: float) -> None:
    labs = [{"test_code": test, "study_day": -1, "value": value, "unit": unit, "uln": value, "breathing": "room_air"}]
    if test == "pb":
        labs.append({"test_code": "pao2", "study_day": -1, "value": 60, "unit": "mmHg", "breathing": "room_air"})
    used = choose(*labs).set_index("test_code").loc[test]
    assert used["value"] == pytest.approx(canonical, rel=1e-5)
    assert used["uln"] == pytest.approx(canonical, rel=1e-5)
    assert used["unit"] == lab_tests()[test]["unit"]
    assert used["value_as_reported"] == value


def test_a_titre_is_kept_as_reported_and_not_converted() -> None:
    used = choose({"test_code": "gmcsf_ab", "study_day": -1, "value": 25000, "unit": "titre"})
    assert used["value"].isna().all()
    assert used["value_as_reported"].tolist() == [25000]


def test_no_results_give_an_empty_table_with_its_columns() -> None:
    assert list(choose(ldh(400, 1)).columns) == list(choose(ldh(-1, 1)).columns)
