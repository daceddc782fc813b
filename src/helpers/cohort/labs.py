"""Which laboratory result counts for a donor, in the canonical unit of its test.

The rule: the last result at or before the donor's first lavage, and at most ``lab_window_days`` before it;
of several on one day the last repeat. Arterial oxygen on room air goes before oxygen pressure on oxygen.
Carbon dioxide and barometric pressure count only from the day of that oxygen pressure, since they enter one
equation with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from helpers.cohort.gas import on_room_air
from helpers.core.schemas import lab_tests, output_tables

WITH_PAO2 = ("paco2", "pb")
ROOM_AIR_FIO2 = 0.21


def labs_used(clinical_labs: pd.DataFrame, specimens: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Choose one result for each donor and test and convert it.

    Parameters
    ----------
    clinical_labs, specimens
        Typed input tables.
    settings
        study.yaml with defaults; ``eligibility.lab_window_days`` is used.

    Returns
    -------
    The output table ``labs_used``: one row a donor and test. The value is missing where the unit cannot be
    converted (a titre, U/ml of an unknown standard); as reported it stays.
    """
    columns = output_tables()["labs_used"].columns
    labs = clinical_labs.assign(lavage_day=_lavage_day(clinical_labs["donor_id"], specimens))
    age = (labs["lavage_day"] - labs["study_day"]).astype("float64")
    labs = labs[(age >= 0) & (age <= settings["eligibility"]["lab_window_days"])].copy()
    if labs.empty:
        return pd.DataFrame({c: [] for c in columns})
    room_air = (labs["breathing"] == "room_air").fillna(False) | (
        on_room_air(labs["fio2"]) & (labs["breathing"] != "oxygen").fillna(True)
    )
    labs["fio2"] = labs["fio2"].where(
        labs["fio2"].notna() | (labs["breathing"] != "room_air").fillna(True), ROOM_AIR_FIO2
    )
    labs["first_choice"] = (labs["test_code"] == "pao2").fillna(False) & room_air
    labs = labs.sort_values(["donor_id", "test_code", "first_choice", "study_day", "rep"], kind="stable")
    pao2 = labs[labs["test_code"] == "pao2"].groupby("donor_id", sort=False).tail(1).set_index("donor_id")
    labs = labs[
        ~labs["test_code"].isin(WITH_PAO2)
        | (labs["study_day"] == labs["donor_id"].map(pao2["study_day"])).fillna(False)
    ]
    n = labs.groupby(["donor_id", "test_code"], sort=False).size().rename("n_candidates")
    used = _converted(labs.groupby(["donor_id", "test_code"], sort=False).tail(1).join(n, on=["donor_id", "test_code"]))
    return used[columns].reset_index(drop=True)


def _lavage_day(donors: pd.Series, specimens: pd.DataFrame) -> pd.Series:
    """Day of each donor's first specimen; 0 where there is none."""
    first = specimens.groupby("donor_id")["study_day"].min()
    return donors.map(first).fillna(0).astype("float64")


def _converted(used: pd.DataFrame) -> pd.DataFrame:
    tests = lab_tests()
    factors = [
        tests[t]["units"].get("" if pd.isna(u) else u) for t, u in zip(used["test_code"], used["unit"], strict=True)
    ]
    factor = np.array([np.nan if f is None else f for f in factors], dtype="float64")
    return used.assign(
        value_as_reported=used["value"],
        unit_as_reported=used["unit"],
        value=used["value"].to_numpy() * factor,
        uln=used["uln"].to_numpy() * factor,
        unit=[tests[t]["unit"] for t in used["test_code"]],
    )
