"""What deviations exclude is read by no assay: plates, wells and files as much as donors and cultures."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from helpers.analysis import Analysis, load_study
from helpers.study.opening import check_study

Row = dict[str, str]


def deviating(study: Path, *rows: Row) -> None:
    """Add rows to the deviations of a study."""
    path = study / "deviations.csv"
    fields = ["entity", "entity_id", "assay", "code", "decision", "decided_before_unblinding", "rule", "comment"]
    there = list(csv.DictReader(path.open(encoding="utf-8"))) if path.is_file() else []
    usual = {"code": "spoilt", "decision": "exclude", "decided_before_unblinding": "yes", "rule": "Spoilt."}
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, fields, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*there, *(usual | row for row in rows)])


@pytest.fixture
def changed(demo: Path, tmp_path: Path) -> Callable[..., Analysis]:
    def opened(*rows: Row) -> Analysis:
        study = Path(shutil.copytree(demo, tmp_path / "study", dirs_exist_ok=True))
        deviating(study, *rows)
        return load_study(study)

    return opened


def logged(data: Analysis, code: str) -> pd.Series:
    """The row of ``exclusions`` of one code."""
    log = data.table("exclusions")
    (row,) = [one for _, one in log[log["entity_id"] == code].iterrows()]
    return row


def test_an_excluded_plate_is_in_no_table(demo: Path, changed: Callable[..., Analysis]) -> None:
    before, after = load_study(demo), changed({"entity": "plate", "entity_id": "P2"})
    for name in ("cytokine_wells", "cytokine_curves", "cytokine_values", "standard_recovery"):
        assert set(before.table(name)["plate_id"]) - set(after.table(name)["plate_id"]) == {"P2"}
    own = before.table("cytokine_wells").query("plate_id == 'P2' and role == 'sample'")
    row = logged(after, "P2")
    assert row["decided_by"] == "deviations" and row["n_cultures"] > 0.5 * own["sample_id"].nunique()
    was, left = (d.table("readouts").query("assay == 'cytokines'") for d in (before, after))
    assert 0 < len(left) < len(was)


@pytest.mark.parametrize(
    ("assay", "gone"), [("", True), ("cytokines", True), ("phenotype", False), ("measurements", False)]
)
def test_an_instrument_file_that_is_excluded_takes_its_plate_along(
    demo: Path, changed: Callable[..., Analysis], assay: str, gone: bool
) -> None:
    plates = load_study(demo).study_tables["cytokines/plates"]
    file = plates.set_index("plate_id").loc["P3", "instrument_file"]
    data = changed({"entity": "file", "entity_id": file, "assay": assay})
    assert ("P3" in set(data.table("cytokine_wells")["plate_id"])) != gone


def test_an_excluded_file_of_phenotype_is_not_measured(demo: Path, changed: Callable[..., Analysis]) -> None:
    before = load_study(demo)
    tubes = before.study_tables["phenotype/samples"]
    file = tubes.loc[(tubes["tube_role"] == "stained") & tubes["culture_id"].notna(), "fcs_file"].iloc[0]
    culture = tubes.loc[tubes["fcs_file"] == file, "culture_id"].iloc[0]
    after = changed({"entity": "file", "entity_id": file, "assay": "phenotype"})
    for name in ("phenotype_markers", "phenotype_populations"):
        assert file in set(before.table(name)["fcs_file"]) and file not in set(after.table(name)["fcs_file"])
    assert logged(after, file)[["n_donors", "n_cultures"]].tolist() == [1, 1]
    assert culture in set(before.table("phenotype_markers")["culture_id"])
    assert culture not in set(after.table("phenotype_markers")["culture_id"])
    kept = changed({"entity": "file", "entity_id": file, "assay": "phagocytosis"})
    assert file in set(kept.table("phenotype_markers")["fcs_file"])


def test_an_excluded_well_of_uptake_is_not_measured(demo: Path, changed: Callable[..., Analysis]) -> None:
    before = load_study(demo).table("phagocytosis_wells")
    one = before[before["net_pct_positive"].notna() & before["culture_id"].notna()].iloc[0]
    after = changed({"entity": "well", "entity_id": one["phago_id"]})
    gone = before[~before["phago_id"].isin(after.table("phagocytosis_wells")["phago_id"])]
    assert one["phago_id"] in set(gone["phago_id"]) and set(gone["culture_id"]) == {one["culture_id"]}
    assert logged(after, one["phago_id"])["n_cultures"] == 1
    uptake = "culture_id == @one.culture_id and net_pct_positive.notna()"
    assert len(before.query(uptake)) - len(after.table("phagocytosis_wells").query(uptake)) == 1


@pytest.mark.parametrize("written", ["{plate}:{well}", "{plate}:{lower}"])
def test_an_excluded_well_of_a_plate_gives_no_value(demo: Path, changed: Callable[..., Analysis], written: str) -> None:
    before = load_study(demo).table("cytokine_wells")
    own = before[(before["plate_id"] == "P1") & (before["role"] == "sample") & (before["state"] == "measured")].iloc[0]
    code = written.format(plate="P1", well=own["well"], lower=own["well"].lower())
    after = changed({"entity": "well", "entity_id": code})
    wells = after.table("cytokine_wells").query("plate_id == 'P1'")
    assert set(wells.loc[wells["well"] == own["well"], "state"]) == {"excluded"}
    assert wells.loc[wells["well"] == own["well"], "qc"].str.contains("set_aside").all()
    others = before[(before["plate_id"] == "P1") & (before["well"] != own["well"])]
    assert wells.loc[wells["well"] != own["well"], "state"].tolist() == others["state"].tolist()
    key = (own["sample_id"], own["analyte"])
    was, left = (
        d.query("plate_id == 'P1'").set_index(["sample_id", "analyte"])["n_wells"].get(key, 0)
        for d in (load_study(demo).table("cytokine_values"), after.table("cytokine_values"))
    )
    assert left == was - 1


def test_a_decision_to_keep_excludes_nothing(demo: Path, changed: Callable[..., Analysis]) -> None:
    after = changed({"entity": "plate", "entity_id": "P2", "decision": "keep"})
    assert "P2" in set(after.table("cytokine_wells")["plate_id"])
    assert "P2" not in set(after.table("exclusions")["entity_id"])


@pytest.mark.parametrize(
    ("entity", "code", "fine"),
    [
        ("plate", "P9", False),
        ("file", "nowhere.fcs", False),
        ("well", "nowhere", False),
        ("well", "P9:A1", False),
        ("well", "P1:Z99", False),
        ("well", "P1:A1", True),
        ("well", "P1:a01", True),
        ("plate", "P1", True),
    ],
)
def test_a_deviation_names_what_exists(demo: Path, tmp_path: Path, entity: str, code: str, fine: bool) -> None:
    study = Path(shutil.copytree(demo, tmp_path / "study"))
    deviating(study, {"entity": entity, "entity_id": code})
    errors = [p for p in check_study(study) if p.severity == "error"]
    assert [(p.code, p.column, p.found) for p in errors] == ([] if fine else [("unknown-key", "entity_id", code)])
    assert all(p.expected for p in errors)
