"""Who is there and what is there, against the demo's planted gaps."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from helpers.analysis import Analysis, load_study
from helpers.cohort.derived import aa_disagreements


@pytest.fixture(scope="module")
def data(demo: Path) -> Analysis:
    return load_study(demo)


def test_the_flow_adds_up(data: Analysis) -> None:
    flow = data.table("participant_flow")
    n = flow.groupby("step")["n"].sum()
    assert n["screened"] == n["declined"] + n["not_eligible"] + n["enrolled"]
    assert n["enrolled"] == n["withdrawn"] + n["analysed"] == 26
    assert n["analysed"] == len(data.table("donors_derived"))


def test_the_withdrawn_donor_is_in_no_analysis_but_in_the_log(data: Analysis) -> None:
    assert "D10" not in set(data.table("donors_derived")["donor_id"])
    assert "D10" not in set(data.table("completeness")["donor_id"])
    row = data.table("exclusions").set_index("entity_id").loc["D10"]
    assert row["rule"] == "consent withdrawn"
    assert row["n_cultures"] == 12


def test_every_planted_gap_is_found_and_nothing_else(data: Analysis) -> None:
    gaps = data.table("completeness").query("status != 'complete' and assay.str.startswith('measurements')")
    found = {(g.donor_id, g.assay.split(": ")[1], g.condition, g.reason) for g in gaps.itertuples()}
    undone = {("D11", "OilRedO", c, "not_measured") for c in ("am", "am_msc", "am_lps", "am_msc_lps", "am_gmcsf")}
    spoiled = {("D12", r, "am_msc", "contaminated") for r in ("OilRedO", "Cholesterol")}
    never = {("D13", r, "am_msc", "no_culture") for r in ("OilRedO", "Cholesterol")}
    assert found == undone | spoiled | never


def test_what_was_not_put_on_a_plate_is_missing(data: Analysis) -> None:
    plates = data.table("completeness").query("assay == 'cytokines' and visit == 'V1'")
    status = plates.set_index(["donor_id", "condition"])[["status", "reason"]].apply(tuple, axis=1)
    assert {status[donor, "am_lps"] for donor in ("D25", "D26")} == {("missing", "not_measured")}
    assert status["D12", "am_msc"] == ("missing", "contaminated")
    assert status["D13", "am_msc"] == ("missing", "no_culture")
    rest = status.drop([("D25", "am_lps"), ("D26", "am_lps"), ("D25", "am_msc_lps"), ("D26", "am_msc_lps")])
    rest = rest.drop([("D12", "am_msc"), ("D13", "am_msc")])
    assert rest.pop(("D24", "am")) == ("partial", "not_measured"), (
        "the name of its second sample was mistyped at the plate"
    )
    assert set(rest) == {("complete", "")}


def test_nobody_is_asked_for_what_the_assay_never_did(data: Analysis) -> None:
    """Doses of MSC were given bacteria and nothing else; GM-CSF was never put on a plate."""
    done = data.table("completeness").groupby("assay")["condition"].agg(set)
    assert "am_gmcsf" not in done["cytokines"]
    assert done["phenotype"] == {"am", "am_msc"}
    assert [a for a in done.index if "am_msc_high" in done[a]] == ["phagocytosis: ecoli"]
    doses = data.table("completeness").query("assay == 'phagocytosis: ecoli'")
    assert doses["donor_id"].nunique() == 4 and set(doses["status"]) == {"complete"}


def test_fewer_cultures_than_the_others_have_is_partial(data: Analysis) -> None:
    from helpers.cohort.flow import completeness

    tables, measured = data.study.tables, {"cytokines": {"B01C01", "B01C02", "B02C01", "B02C02", "B03C01"}}
    cells = completeness(tables, measured, data.config).query("status != 'missing'")
    assert sorted(cells["status"]) == ["complete", "complete", "partial"]
    assert list(cells.loc[cells["status"] == "partial", ["n_cultures", "n_measured"]].iloc[0]) == [3, 1]
    assert list(cells.loc[cells["status"] == "partial", "reason"]) == ["not_measured"]


def test_a_second_visit_is_not_asked_for_what_it_never_planned(data: Analysis) -> None:
    second = data.table("completeness").query("visit == 'V2'")
    assert set(second["donor_id"]) == {"D17"}
    assert set(second["condition"]) == {"am", "am_msc", "am_msc_lps"}


def test_each_exclusion_stands_once(data: Analysis) -> None:
    log = data.table("exclusions")
    assert not log.duplicated(["entity", "entity_id"]).any()


def test_derived_values_of_planted_donors(data: Analysis) -> None:
    donors = data.table("donors_derived").set_index("donor_id")
    assert bool(donors.loc["D02", "shunt_grey_zone"]) is True
    assert pd.isna(donors.loc["D04", "shunt_pct"])
    assert pd.isna(donors.loc["D05", "gmcsf_ab_ug_ml"])
    assert pd.isna(donors.loc["D06", "dss"]), "no severity score from oxygen pressure on oxygen"
    assert donors.loc["D06", "aa_equation"] == "full"
    assert donors.loc["D02", "aa_source"] == "given"
    assert donors.loc["D01", "aa_source"] == "derived"
    assert (donors["aa_full_mmhg"] > donors["aa_simplified_mmhg"])[donors["pao2_fio2"] == 0.21].all()


def test_reported_gradients_that_disagree_are_named(data: Analysis) -> None:
    donors = data.table("donors_derived")
    assert aa_disagreements(donors) == []
    donors.loc[donors["donor_id"] == "D02", "aa_gradient_mmhg"] += 6
    assert [p.code for p in aa_disagreements(donors)] == ["gradient-disagrees"]
    assert "D02" in aa_disagreements(donors)[0].message


def test_output_tables_have_the_columns_of_their_schemas(data: Analysis) -> None:
    from helpers.core.schemas import output_tables

    for name in data.names():
        assert list(data.table(name).columns) == output_tables()[name].columns, name


def test_a_quarantined_donor_leaves_the_analysis_and_is_counted(small_study: Path) -> None:
    labs = small_study / "clinical_labs.csv"
    labs.write_text(labs.read_text(encoding="utf-8").replace("58,=,mmHg", "7.7,=,mmHg"), encoding="utf-8")
    data = load_study(small_study)
    assert set(data.table("donors_derived")["donor_id"]) == {"D02", "D03"}
    flow = data.table("participant_flow").set_index(["step", "group"])["n"]
    assert flow["set_aside", "apap"] == 1
    assert ("donor", "D01") in data.study.quarantined
    assert "D01" in set(data.table("exclusions")["entity_id"])


def test_no_controls_and_one_donor_work(small_study: Path) -> None:
    for name in ("donors", "specimens", "cultures", "clinical_labs", "measurements"):
        path = small_study / f"{name}.csv"
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [
            ln
            for ln in lines[1:]
            if not any(code in ln for code in ("D02", "D03", "S02", "S03", "C03", "C04", "C05", "C06"))
        ]
        path.write_text("\n".join([lines[0], *kept]) + "\n", encoding="utf-8")
    data = load_study(small_study)
    assert len(data.table("donors_derived")) == 1
    assert set(data.table("completeness")["status"]) == {"complete"}
