"""Any number per culture becomes a readout: limits as bounds, scales from the plan, control wells without a donor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.assays import steps
from helpers.assays.measurements import measurements
from helpers.assays.steps import Assayed
from helpers.study.opening import Study, open_study

HEADING = "culture_id,readout,replicate,value,qualifier,unit\n"


def opened(folder: Path, rows: str, yaml: str = "") -> Study:
    (folder / "measurements.csv").write_text(HEADING + rows, encoding="utf-8")
    path = folder / "study.yaml"
    path.write_text(path.read_text(encoding="utf-8") + yaml, encoding="utf-8")
    return open_study(folder)


def assayed(study: Study) -> Assayed:
    return measurements(study.tables, study.config)


def as_readouts(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    donors = set(study.tables["donors"]["donor_id"])
    cultures = steps.usable_cultures(study.tables, donors, study.quarantined, "measurements")
    return steps.readouts(assayed(study).wells, cultures)


def test_limits_become_bounds(small_study: Path) -> None:
    study = opened(small_study, "C01,q,1,5,=,x\nC02,q,1,2,<,x\nC03,q,1,30,>,x\nC04,q,1,7,,x\n")
    wells = assayed(study).wells.set_index("culture_id")
    assert wells.loc["C01", ["lower", "upper"]].tolist() == [5, 5]
    assert np.isnan(wells.at["C02", "lower"]) and wells.at["C02", "upper"] == 2
    assert wells.at["C03", "lower"] == 30 and np.isnan(wells.at["C03", "upper"])
    assert wells.loc["C04", ["lower", "upper"]].tolist() == [7, 7], "without a qualifier a value is a value"
    out = as_readouts(study)[0].set_index(["donor_id", "condition"])
    assert out["censoring"].to_dict() == {
        ("D01", "am"): "none",
        ("D01", "am_msc"): "left",
        ("D02", "am"): "right",
        ("D02", "am_msc"): "none",
    }


@pytest.mark.parametrize("readout", ["OilRedO", "ABCA1 dCt", "胆固醇", "STAT5 | pY694"])
def test_any_readout_needs_no_code(small_study: Path, readout: str) -> None:
    out, _ = as_readouts(opened(small_study, f"C01,{readout},1,-1.5,=,cycles\nC02,{readout},1,2,=,cycles\n"))
    assert out["readout"].tolist() == [readout] * 2 and out["value"].tolist() == [-1.5, 2.0]
    assert set(out["scale"]) == {"identity"}, "a difference may be negative where the plan names no scale"


def test_the_plan_names_the_scale(small_study: Path) -> None:
    yaml = "readouts:\n  - {name: OilRedO, assay: measurements, scale: log2}\n"
    study = opened(
        small_study, "C01,OilRedO,1,2,=,OD\nC01,OilRedO,2,8,=,OD\nC01,other,1,2,=,x\nC01,other,2,8,=,x\n", yaml
    )
    out = as_readouts(study)[0].set_index("readout")
    assert out["value"].to_dict() == {"OilRedO": pytest.approx(4.0), "other": 5.0}


def test_ninety_six_replicates_weigh_as_one(small_study: Path) -> None:
    few = "C01,q,1,4,=,x\nC01,q,2,6,=,x\n"
    many = "".join(f"C01,q,{i},{4 if i % 2 else 6},=,x\n" for i in range(1, 97))
    first = as_readouts(opened(small_study, few))[0]
    second = as_readouts(opened(small_study, many))[0]
    assert first["value"].tolist() == second["value"].tolist() == [5.0]
    assert second["n_assay_wells"].tolist() == [96] and second["n_cultures"].tolist() == [1]


def test_wells_without_macrophages_are_controls(small_study: Path) -> None:
    out, controls = as_readouts(opened(small_study, "C01,q,1,4,=,x\nC07,q,1,9,=,x\n"))
    assert out["donor_id"].tolist() == ["D01"]
    assert controls[["condition", "msc_lot_id", "value"]].to_numpy().tolist() == [["msc", "M1", 9.0]]


def test_what_was_measured_is_told_readout_by_readout(small_study: Path) -> None:
    done = assayed(opened(small_study, "C01,a,1,4,=,x\nC02,a,1,9,=,x\nC01,b,1,9,=,x\n")).measured
    assert done == {"measurements: a": {"C01", "C02"}, "measurements: b": {"C01"}}


def test_no_measurements_are_no_readouts(small_study: Path) -> None:
    study = open_study(small_study)
    found = measurements(study.tables | {"measurements": study.tables["measurements"].iloc[:0]}, study.config)
    assert found.wells.empty and found.measured == {}
