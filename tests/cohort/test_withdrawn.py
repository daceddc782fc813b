"""Who may not be published: a withdrawn donor stands in no result, a donor set aside is judged nowhere."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from helpers.analysis import Analysis, load_study
from helpers.cohort.flow import of_donors, without_withdrawn

LOGS = {"exclusions", "participant_flow"}


@pytest.fixture(scope="module")
def data(demo: Path) -> Analysis:
    return load_study(demo)


def codes_of(data: Analysis, donor: str) -> set[str]:
    """A donor's own code and those of its specimens and cultures."""
    specimens, cultures = data.study_tables["specimens"], data.study_tables["cultures"]
    own = set(specimens.loc[specimens["donor_id"] == donor, "specimen_id"])
    return {donor} | own | set(cultures.loc[cultures["specimen_id"].isin(own), "culture_id"])


def naming(data: Analysis, codes: set[str]) -> set[str]:
    """Output tables with any cell that is one of the codes, or names one as a word; wells bear names like D10 too."""
    pattern = "|".join(rf"(?<!well ){code}\b" for code in sorted(codes))
    texts = {
        n: data.table(n).select_dtypes(exclude="number").drop(columns="well", errors="ignore").astype("string")
        for n in data.names()
    }
    named = {n: t.apply(lambda c: c.str.contains(pattern).fillna(False).astype(bool)) for n, t in texts.items()}
    return {n for n, found in named.items() if found.to_numpy(dtype=bool).any()}


def test_a_withdrawn_donor_stands_in_the_log_only(data: Analysis) -> None:
    codes = codes_of(data, "D10")
    assert len(codes) == 14
    assert naming(data, codes) == {"exclusions"}
    assert len(naming(data, codes_of(data, "D11"))) > 6, "others are looked for in the same way"


def test_all_counts_of_donors_agree(data: Analysis) -> None:
    analysed = set(data.table("donors_derived")["donor_id"])
    assert len(analysed) == 25
    for name in ("eligibility", "eligibility_readings", "labs_used", "completeness", "readouts"):
        assert set(data.table(name)["donor_id"]) == analysed, name
    flow = data.table("participant_flow")
    assert flow.loc[flow["step"] == "analysed", "n"].sum() == len(analysed)


def impossible(study: Path, *replaced: tuple[str, str]) -> Analysis:
    labs = study / "clinical_labs.csv"
    text = labs.read_text(encoding="utf-8")
    for before, after in replaced:
        assert before in text
        text = text.replace(before, after)
    labs.write_text(text, encoding="utf-8")
    return load_study(study)


def test_a_donor_set_aside_is_judged_nowhere_and_named(small_study: Path) -> None:
    data = impossible(small_study, ("D02,pao2,-1,8.1,=,kPa", "D02,pao2,-1,81,=,kPa"))
    for name in ("eligibility", "eligibility_readings", "labs_used", "donors_derived", "completeness", "readouts"):
        assert "D02" not in set(data.table(name)["donor_id"]), name
    assert ("donor", "D02") in set(data.table("exclusions")[["entity", "entity_id"]].itertuples(index=False, name=None))


def test_with_everyone_set_aside_nobody_is_judged(small_study: Path) -> None:
    wrong = (
        ("D01,pao2,-1,58,=,mmHg", "D01,pao2,-1,7.7,=,mmHg"),
        ("D02,pao2,-1,8.1,=,kPa", "D02,pao2,-1,81,=,kPa"),
        ("D03,alt,-1,22,=,U/L", "D03,pao2,-1,7.7,=,mmHg"),
    )
    data = impossible(small_study, *wrong)
    assert {code for kind, code in data.study.quarantined if kind == "donor"} == {"D01", "D02", "D03"}
    assert all(data.table(n).empty for n in ("eligibility", "eligibility_readings", "donors_derived", "labs_used"))
    assert set(data.table("exclusions")["entity_id"]) == {"D01", "D02", "D03"}


def test_withdrawn_and_set_aside_is_one_exclusion(small_study: Path) -> None:
    donors = small_study / "donors.csv"
    lines = donors.read_text(encoding="utf-8").splitlines()
    ends = ("enrolment_status", "enrolled", "withdrawn", "enrolled")
    donors.write_text("\n".join(f"{a},{b}" for a, b in zip(lines, ends, strict=True)) + "\n", encoding="utf-8")
    log = impossible(small_study, ("D02,pao2,-1,8.1,=,kPa", "D02,pao2,-1,81,=,kPa")).table("exclusions")
    assert log["rule"].tolist() == ["consent withdrawn"]


def test_wells_files_and_samples_of_a_withdrawn_donor_are_found_by_any_code(data: Analysis) -> None:
    tables = dict(data.study_tables) | {
        "cytokines/samples": pd.DataFrame({"sample_id": ["X1", "X2"], "culture_id": ["B05C13", pd.NA], "specimen_id": [pd.NA, "S10A"]}),
        "phenotype/samples": pd.DataFrame({"fcs_file": ["a.fcs", "b.fcs"], "culture_id": ["B05C13", "B01C01"]}),
        "phagocytosis/wells": pd.DataFrame({"phago_id": ["P1", "P2"], "culture_id": ["B05C13", "B01C01"]}),
    }  # fmt: skip
    results = {
        "wells": pd.DataFrame({"sample_id": ["X1", "X2", "B05C13", "X3", pd.NA]}),
        "gates": pd.DataFrame({"fcs_file": ["a.fcs", "b.fcs"]}),
        "uptake": pd.DataFrame({"phago_id": ["P1", "P2"]}),
        "effects": pd.DataFrame({"contrast_id": ["D10"]}),
    }
    left = without_withdrawn(results, tables)
    assert left["wells"]["sample_id"].tolist() == ["X3", pd.NA]
    assert (left["gates"]["fcs_file"].tolist(), left["uptake"]["phago_id"].tolist()) == (["b.fcs"], ["P2"])
    assert len(left["effects"]) == 1


def test_tables_that_name_no_donor_stay_whole(data: Analysis) -> None:
    kept = of_donors(data.study_tables, {"D01"})
    assert set(kept["specimens"]["donor_id"]) == set(kept["donors"]["donor_id"]) == {"D01"}
    assert len(kept["cultures"]) == len(data.study_tables["cultures"])
