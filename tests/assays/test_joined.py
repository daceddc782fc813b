"""Plates joined to a study: roles, samples, dilutions and standards from the layout or from the instrument's names."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from helpers.assays.cytokines.joined import joined, position, renamed
from helpers.core.schemas import input_tables
from helpers.readers.plate import ANALYTES, CURVES, STANDARDS, WELLS, Plate, frame
from helpers.study.tables import empty_table

ROW = {"plate_id": "P1", "dilution_default": 2.0, "bead_min": 50}


def a_plate(unit: str = "pg/ml", analyte: str = "CXCL8") -> Plate:
    wells = [
        {"well": "A1", "sample": "Standard1", "role": "standard", "level": 1, "mfi": 900.0, "bead_count": 80},
        {"well": "B1", "sample": "Background0", "role": "blank", "mfi": 20.0, "bead_count": 80},
        {"well": "C1", "sample": "Control1", "role": "control", "level": 1, "mfi": 300.0, "bead_count": 80},
        {"well": "D1", "sample": "C01", "role": "control", "level": 1, "mfi": 100.0, "bead_count": 30},
        {
            "well": "E1",
            "sample": "mystery",
            "role": "sample",
            "mfi": 110.0,
            "bead_count": 80,
            "conc": 7.0,
            "state": "measured",
        },
        {"well": "F1", "sample": "D02/am/24", "role": "sample", "mfi": 120.0, "bead_count": 80, "flag": "aggregates"},
    ]
    standards = [
        {"analyte": analyte, "role": "standard", "level": 1, "expected": 1000.0},
        {"analyte": analyte, "role": "control", "level": 1, "expected": 200.0, "low": 150.0, "high": 260.0},
    ]
    return Plate(
        1,
        "xponent",
        "xPONENT 4.2",
        frame([w | {"analyte": analyte} for w in wells], WELLS),
        frame([], WELLS),
        frame(standards, STANDARDS),
        frame([], CURVES),
        frame([{"analyte": analyte, "unit": unit}], ANALYTES),
    )


def study(**tables: list[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    out = {name: empty_table(schema).frame for name, schema in input_tables().items()}
    base = {
        "specimens": [
            {"specimen_id": "S1", "donor_id": "D01", "visit": "V1"},
            {"specimen_id": "S2", "donor_id": "D02", "visit": "V1"},
        ],
        "cultures": [
            {"culture_id": "C01", "specimen_id": "S1", "condition": "am", "timepoint_h": 24.0, "replicate": 1},
            {"culture_id": "C02", "specimen_id": "S2", "condition": "am", "timepoint_h": 24.0, "replicate": 1},
        ],
    }
    for name, rows in (base | {k.replace("__", "/"): v for k, v in tables.items()}).items():
        empty = out[name]
        out[name] = pd.DataFrame(rows).reindex(columns=empty.columns).astype(empty.dtypes.to_dict())
    return out


LAYOUT = [
    {"plate_id": "P1", "well": "A01", "role": "standard", "level": 1, "use": "y"},
    {"plate_id": "P1", "well": "B1", "role": "blank", "use": "y"},
    {"plate_id": "P1", "well": "C1", "role": "control", "level": 1, "use": "y"},
    {"plate_id": "P1", "well": "D1", "role": "sample", "sample_id": "C01", "use": "y"},
    {"plate_id": "P1", "well": "E1", "role": "sample", "sample_id": "C02", "dilution": 5.0, "use": "y"},
    {"plate_id": "P1", "well": "F1", "role": "sample", "sample_id": "C02", "use": "n", "reason": "spilt"},
    {"plate_id": "P1", "well": "G1", "role": "sample", "sample_id": "C02", "use": "y"},
    {"plate_id": "P9", "well": "A1", "role": "sample", "sample_id": "C02", "use": "y"},
]


def test_the_layout_says_what_a_well_holds() -> None:
    wells, problems = joined(a_plate(), "cytokines/raw/p.csv", ROW, study(cytokines__layout=LAYOUT))
    one = wells.set_index("well")
    assert one["role"].tolist() == ["standard", "blank", "control", "sample", "sample", "sample"]
    assert one["sample_id"].fillna("").tolist() == ["", "", "control 1", "C01", "C02", "C02"]
    assert one["dilution"].tolist() == [1, 1, 1, 2, 5, 2], "the plate's default belongs to samples alone"
    assert one["use"].tolist() == [True] * 5 + [False]
    assert one.loc["F1", "flags"] == "set_aside;vendor_flag" and one.loc["D1", "flags"] == "low_beads"
    assert one.loc[["C1"], ["expected", "low_pg_ml", "high_pg_ml"]].to_numpy().tolist() == [[200, 150, 260]]
    assert [p.code for p in problems] == ["well-without-result"] and problems[0].found == "G1"


def test_without_a_layout_the_instruments_names_are_matched_and_the_rest_is_listed() -> None:
    pattern = r"(?P<donor_id>\w+)/(?P<condition>\w+)/(?P<timepoint_h>\d+)"
    wells, problems = joined(a_plate(), "p.csv", ROW, study(), pattern)
    one = wells.set_index("well")
    assert one.loc["D1", ["role", "sample_id"]].tolist() == ["sample", "C01"], "a culture called C01 is no control"
    assert one.loc["F1", "sample_id"] == "C02"
    assert pd.isna(one.loc["E1", "sample_id"]) and not one.loc["E1", "use"]
    assert [(p.code, p.found) for p in problems] == [("sample-unmatched", "mystery")]


def test_a_pattern_that_fits_two_cultures_matches_neither() -> None:
    tables = study()
    tables["cultures"] = pd.concat(
        [tables["cultures"], tables["cultures"].tail(1).assign(culture_id="C03", replicate=2)]
    )
    wells, problems = joined(
        a_plate(), "p.csv", ROW, tables, r"(?P<donor_id>\w+)/(?P<condition>\w+)/(?P<timepoint_h>\d+)"
    )
    assert pd.isna(wells.set_index("well").loc["F1", "sample_id"])
    assert "D02/am/24" in problems[0].found


def test_the_studys_standards_go_before_the_printed_ones() -> None:
    tables = study(cytokines__standards=[{"plate_id": "P1", "analyte": "IL-8", "level": 1, "expected_pg_ml": 640.0}])
    plate = renamed(a_plate(), pd.DataFrame({"analyte": ["IL-8"], "synonyms": ["CXCL8; il8"], "msc_secreted": [None]}))
    wells, _ = joined(plate, "p.csv", ROW, tables)
    assert set(wells["analyte"]) == {"IL-8"}
    assert wells.set_index("well").loc["A1", "expected"] == 640


@pytest.mark.parametrize(
    ("unit", "factor", "codes"), [("ng/ml", 1000.0, []), ("", 1.0, []), ("AU/ml", 1.0, ["unit-unknown"])]
)
def test_units_become_pg_ml_or_are_said(unit: str, factor: float, codes: list[str]) -> None:
    wells, problems = joined(a_plate(unit), "p.csv", ROW, study(cytokines__layout=LAYOUT[:-2]))
    one = wells.set_index("well")
    assert one.loc["A1", "expected"] == 1000 * factor
    assert one.loc["E1", "vendor_conc_pg_ml"] == 7 * factor
    assert [p.code for p in problems] == codes


def test_an_average_of_two_samples_is_not_used() -> None:
    plate = a_plate()
    wells = plate.wells.assign(well=plate.wells["well"].mask(plate.wells["well"] == "D1", "D1,E1"))
    from dataclasses import replace

    out, problems = joined(
        replace(plate, wells=wells[wells["well"] != "E1"]), "p.csv", ROW, study(cytokines__layout=LAYOUT[:-2])
    )
    assert "average-of-different" in {p.code for p in problems}
    assert not out.set_index("well").loc["D1,E1", "use"]


@pytest.mark.parametrize(("printed", "plain"), [("A01", "A1"), ("h12", "H12"), ("A1,A02", "A1,A2")])
def test_positions_are_written_one_way(printed: str, plain: str) -> None:
    assert position(printed) == plain
