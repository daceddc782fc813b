"""The simulated study: the same bytes every time, what it promises is in it, and its truths can be found."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import frictionless
import numpy as np
import pandas as pd
import pytest

from helpers.core.files import PROJECT
from helpers.core.schemas import SCHEMAS
from helpers.simulate import write_demo
from helpers.simulate.design import PLANTED, plan
from helpers.simulate.measurements import TRUTHS, Truth, measurement_rows
from helpers.simulate.writing import demo_page
from helpers.study.opening import check_study


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)


def test_the_same_seed_gives_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    write_demo(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(demo)
    write_demo(tmp_path / "other", seed=1)
    assert contents(tmp_path / "other")["donors.csv"] != contents(demo)["donors.csv"]


@pytest.mark.parametrize("name", ["donors", "clinical_labs", "specimens", "cultures", "measurements"])
def test_a_donor_is_the_same_whatever_the_size_of_the_study(demo: Path, tmp_path: Path, name: str) -> None:
    write_demo(tmp_path / "small", donors=10)
    small, whole = (read(f, name) for f in (tmp_path / "small", demo))
    key = small.columns[0]
    first = {
        "donors": "D0[1-6]",
        "clinical_labs": "D0[1-6]",
        "specimens": "S0[1-6]",
        "cultures": "B0[1-3]",
        "measurements": "B0[1-3]",
    }[name]
    small, whole = (t[t[key].str.match(first)].reset_index(drop=True) for t in (small, whole))
    assert len(small) > 5
    pd.testing.assert_frame_equal(small, whole[small.columns])


@pytest.mark.parametrize("donors", [1, 2, 3, 5, 27, 60])
def test_a_study_of_any_size_is_sound(donors: int, tmp_path: Path) -> None:
    write_demo(tmp_path / "demo", donors=donors)
    assert [str(p) for p in check_study(tmp_path / "demo") if p.severity in ("error", "quarantine")] == []
    assert len(read(tmp_path / "demo", "donors")) == donors


@pytest.mark.parametrize(
    "name",
    [
        "donors",
        "clinical_labs",
        "specimens",
        "msc_lots",
        "cultures",
        "measurements",
        "deviations",
        "cytokines/plates",
        "cytokines/layout",
        "cytokines/samples",
        "cytokines/analytes",
    ],
)
def test_frictionless_alone_accepts_each_table(demo: Path, name: str) -> None:
    """Checked without our code: the published schema and the file are enough."""
    descriptor = json.loads((SCHEMAS / "inputs" / f"{name}.json").read_text(encoding="utf-8"))
    descriptor.pop("foreignKeys", None)
    present = list(read(demo, name).columns)
    fields = {f["name"]: f for f in descriptor["fields"]}
    descriptor["fields"] = [fields[c] for c in present]
    descriptor["primaryKey"] = [k for k in descriptor.get("primaryKey", []) if k in present]
    resource = frictionless.Resource(
        path=f"{name}.csv", basepath=str(demo), schema=frictionless.Schema.from_descriptor(descriptor)
    )
    report = resource.validate()
    errors = [e for e in report.flatten(["rowNumber", "fieldName", "type", "cell"]) if not spelt_otherwise(fields, e)]
    assert errors == []


def spelt_otherwise(fields: dict[str, dict[str, Any]], error: list[Any]) -> bool:
    """A coded value in one of its other listed spellings, such as 阴性, which the demo holds on purpose."""
    return error[2] == "constraint-error" and error[3] in fields[error[1]].get("synonyms", {})


def test_the_issue_of_donors_lots_and_control_wells(demo: Path) -> None:
    donors, cultures, specimens = (read(demo, n) for n in ("donors", "cultures", "specimens"))
    assert donors["group"].value_counts().to_dict() == {"apap": 18, "control": 8}
    assert set(cultures["msc_lot_id"]) == {"", "M1", "M2"}
    for batch, wells in cultures.groupby("batch_day"):
        assert {"msc", "medium"} <= set(wells["condition"]), f"batch of day {batch} lacks its control wells"
    control = specimens[specimens["donor_id"].isin(donors.loc[donors["group"] == "control", "donor_id"])]
    assert "wll" not in set(control["source"])
    assert (donors["enrolment_status"] == "withdrawn").sum() == 1
    measured = read(demo, "measurements").merge(cultures, on="culture_id").merge(specimens, on="specimen_id")
    assert "OilRedO" not in set(measured.loc[measured["donor_id"] == "D11", "readout"])


def test_the_awkward_donors_are_within_the_cohort() -> None:
    assert [p.number for p in PLANTED] == list(range(2, 19))


def test_it_says_simulated_where_it_is_read(demo: Path) -> None:
    assert (demo / "README.txt").read_text(encoding="utf-8").startswith("SIMULATED")
    text = (demo / "study.yaml").read_text(encoding="utf-8")
    assert text.startswith("# SIMULATED") and "title: SIMULATED" in text and "simulated: true" in text


def test_the_page_of_planted_truths_is_not_stale() -> None:
    assert (PROJECT / "docs" / "demo.md").read_text(encoding="utf-8") == demo_page(), "run: make dictionary"


@pytest.fixture(scope="module")
def large() -> pd.DataFrame:
    """log2 of the median over wells, one row a donor × readout × condition, of 800 simulated donors."""
    design = plan(800)
    cultures = pd.DataFrame(
        [
            (c.culture_id, c.condition, c.specimen.donor.donor_id, c.specimen.donor.group)
            for c in design.cultures
            if c.specimen
        ],
        columns=["culture_id", "condition", "donor_id", "group"],
    )
    rows = pd.DataFrame(measurement_rows(design)).merge(cultures, on="culture_id")
    rows["log2"] = np.log2(rows["value"].astype(float))
    return rows.groupby(["readout", "group", "donor_id", "condition"], as_index=False)["log2"].median()


@pytest.mark.parametrize("truth", TRUTHS, ids=lambda t: t.readout)
def test_what_was_planted_can_be_found(truth: Truth, large: pd.DataFrame) -> None:
    """Medians, since values below the limit are written at it; 5 standard errors of a median either side."""
    own = large[large["readout"] == truth.readout]

    def level(group: str, condition: str) -> tuple[float, float]:
        values = own.loc[(own["group"] == group) & (own["condition"] == condition), "log2"]
        return float(values.median()), 5 * 1.2533 * float(values.std()) / math.sqrt(len(values))

    control, apap, msc_apap, msc_control = (
        level(*key) for key in (("control", "am"), ("apap", "am"), ("apap", "am_msc"), ("control", "am_msc"))
    )
    assert control[0] == pytest.approx(math.log2(truth.control_median), abs=control[1])
    assert apap[0] - control[0] == pytest.approx(truth.group_gap, abs=math.hypot(apap[1], control[1]))
    assert msc_apap[0] - apap[0] == pytest.approx(truth.msc_effect_apap, abs=apap[1])
    assert msc_control[0] - control[0] == pytest.approx(
        truth.msc_effect_control, abs=math.hypot(control[1], msc_control[1])
    )
    change = own[own["group"] == "apap"].pivot(index="donor_id", columns="condition", values="log2")
    if truth.readout == "OilRedO":  # its limit lies far below; a spread cannot be read off values at a limit
        sd = (change["am_msc"] - change["am"]).std()
        noise = 2 * (truth.culture_sd**2 / 3 + truth.assay_sd**2 / 6) * 1.3
        assert sd == pytest.approx(math.sqrt(truth.change_sd**2 + noise), rel=0.15)


def test_the_demo_stays_small(demo: Path) -> None:
    sizes = {p: p.stat().st_size for p in demo.rglob("*") if p.is_file()}
    assert sum(sizes.values()) < 100e6
