"""Laboratory values: their units, their size, and what a blood gas can be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from helpers.core.problems import Problem
from helpers.core.schemas import lab_tests
from helpers.study.config import Config
from helpers.study.folder import Folder
from helpers.study.rules.saying import Say, Tables, about
from helpers.study.tables import records


def lab_units(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """Each laboratory value has a unit of its test, a possible size, and its limit in the same unit."""
    table = tables["clinical_labs"]
    tests = lab_tests()
    for i, lab in enumerate(records(table.frame)):
        if pd.isna(lab.test_code):
            continue
        test = tests[lab.test_code]
        say = about(table, i, lab.donor_id)
        units = [u for u in test["units"] if u]
        yes_no = test["limits"] is None
        if not yes_no and pd.isna(lab.unit) and not pd.isna(lab.value):
            yield say("missing-unit", "A value has no unit.", "unit", "", ", ".join(units))
            continue
        if not yes_no and not pd.isna(lab.unit) and lab.unit not in units:
            yield say(
                "unit-of-other-test", "This unit does not belong to this test.", "unit", lab.unit, ", ".join(units)
            )
            continue
        if not pd.isna(lab.uln_unit) and lab.uln_unit != lab.unit:
            yield say(
                "uln-unit",
                "The upper limit of normal is in another unit than the value.",
                "uln_unit",
                lab.uln_unit,
                str(lab.unit),
            )
        if yes_no:
            if lab.qualifier not in ("pos", "neg"):
                yield say("needs-pos-neg", "This test needs pos or neg.", "qualifier", lab.qualifier, "pos or neg")
            continue
        if lab.qualifier in ("pos", "neg"):
            yield say(
                "needs-number",
                "This test needs a number, not positive or negative.",
                "qualifier",
                lab.qualifier,
                "=, < or >",
            )
        elif pd.isna(lab.value):
            yield say(
                "missing-value",
                "This result has no value.",
                "value",
                "",
                "a number; leave the whole row out where it was not measured",
            )
        else:
            yield from _size(lab, test, say)
        yield from _uln(lab, say)


def _size(lab: Any, test: dict[str, Any], say: Say) -> Iterator[Problem]:
    factor = test["units"][lab.unit]
    if factor is None:  # a unit that cannot be converted, such as a titre, has no limits
        return
    value, (low, high) = lab.value * factor, test["limits"]
    if lab.test_code in ("pao2", "paco2"):
        mixed = _pressure_unit(lab)
        if mixed:
            yield say(
                "pressure-unit",
                mixed,
                "unit",
                f"{lab.value:g} {lab.unit}",
                "mmHg" if lab.unit == "kPa" else "kPa",
                fix="Look at the laboratory's report and correct the unit or the value.",
            )
            return
    if not low <= value <= high:
        yield say(
            "impossible-value",
            "This value is not possible in this unit.",
            "value",
            f"{lab.value:g} {lab.unit}",
            f"{low / factor:g} to {high / factor:g} {lab.unit}",
            fix="Look at the laboratory's report and correct the value or its unit.",
        )
    elif not test["usual"][0] <= value <= test["usual"][1] and not (lab.test_code == "pao2" and lab.fio2 > 0.22):
        yield replace(
            say(
                "unusual-value",
                "This value is possible but unusual.",
                "value",
                f"{lab.value:g} {lab.unit}",
                f"usually {test['usual'][0] / factor:g} to {test['usual'][1] / factor:g} {lab.unit}",
                fix="Check it against the laboratory's report.",
            ),
            severity="warning",
            entity="",
        )


def _pressure_unit(lab: Any) -> str:
    """Why a blood gas can only be in the other unit; judged with FiO2, since PaO2 on oxygen may be high."""
    room_air = lab.breathing == "room_air" or (lab.breathing != "oxygen" and not lab.fio2 > 0.22)
    if lab.unit == "mmHg" and lab.value < (25 if lab.test_code == "pao2" else 12):
        return "This pressure is labelled mmHg and can only be kPa."
    if lab.unit == "kPa" and lab.test_code == "pao2" and lab.value > 25 and room_air:
        return "This oxygen pressure is labelled kPa; on room air it can only be mmHg."
    if lab.unit == "kPa" and lab.test_code == "pao2" and lab.value > 95:
        return "This oxygen pressure is labelled kPa and is higher than any inspired oxygen allows."
    if lab.unit == "kPa" and lab.test_code == "paco2" and lab.value > 20:
        return "This carbon dioxide pressure is labelled kPa and can only be mmHg."
    return ""


def _uln(lab: Any, say: Say) -> Iterator[Problem]:
    if pd.isna(lab.uln) or lab.test_code not in ("creatinine", "alt", "ast", "tbil"):
        return
    test = lab_tests()[lab.test_code]
    usual = {"creatinine": (50, 150), "alt": (15, 80), "ast": (15, 80), "tbil": (10, 40)}[lab.test_code]
    factor = test["units"].get(lab.unit) or 1
    if not usual[0] / 2 <= lab.uln * factor <= usual[1] * 2:
        yield say(
            "uln-unit",
            "The upper limit of normal does not fit the unit of the value.",
            "uln",
            f"{lab.uln:g} {lab.unit}",
            f"{usual[0] / factor:.3g} to {usual[1] / factor:.3g} {lab.unit}",
            fix="Write value and limit in the same unit.",
        )


def blood_gas(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """Oxygen and breathing agree: room air is FiO2 0.21, and no PaO2 exceeds what was breathed in."""
    table = tables["clinical_labs"]
    rules = config.settings["eligibility"]
    factors = lab_tests()["pao2"]["units"]
    for i, lab in enumerate(records(table.frame)):
        if lab.test_code != "pao2" or pd.isna(lab.donor_id):
            continue
        if lab.breathing == "room_air" and lab.fio2 > 0.22:
            yield about(table, i, lab.donor_id, "Correct breathing or fio2.")(
                "fio2-contradiction",
                "Room air has an oxygen fraction above 0.22.",
                "fio2",
                f"{lab.fio2:g}",
                "0.21, or breathing oxygen",
            )
        fio2 = 0.21 if lab.breathing == "room_air" and pd.isna(lab.fio2) else lab.fio2
        highest = (rules["pb_mmhg"] - rules["ph2o_mmhg"]) * fio2 if fio2 > 0 else float("nan")
        if (
            lab.unit in factors
            and lab.value * factors[lab.unit] > 25
            and lab.value * factors[lab.unit] > highest
            and not (lab.unit == "kPa" and _pressure_unit(lab))
        ):
            yield about(table, i, lab.donor_id, "Check the value, its unit and fio2.")(
                "pao2-above-inspired",
                "PaO2 is higher than the inspired oxygen allows.",
                "value",
                f"{lab.value:g} {lab.unit}",
                f"below {highest / factors[lab.unit]:.4g} {lab.unit} at FiO2 {fio2:g}",
            )
