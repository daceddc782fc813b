"""Opening a study: everything wrong in one pass, with its place; only errors refuse the whole."""

from __future__ import annotations

import os
from pathlib import Path

import openpyxl
import pytest

from helpers.analysis import load_study
from helpers.core.privacy import alias
from helpers.core.problems import Problem, Refused
from helpers.study.opening import check_study, folder_inputs, inputs_digest, open_study


def change(study: Path, file: str, before: str, after: str) -> None:
    path = study / file
    text = path.read_text(encoding="utf-8")
    assert before in text, f"{before!r} is not in {file}"
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def only(problems: list[Problem], code: str) -> Problem:
    hits = [p for p in problems if p.code == code]
    assert len(hits) == 1, [str(p) for p in problems]
    return hits[0]


def test_a_good_study_has_no_problems(small_study: Path) -> None:
    assert check_study(small_study) == []
    study = open_study(small_study)
    assert study.tables["donors"]["donor_id"].tolist() == ["D01", "D02", "D03"]
    assert study.tables["clinical_labs"]["rep"].tolist() == [1] * 6
    assert study.tables["cultures"]["status"].tolist() == ["ok"] * 7
    assert len(study.tables["phagocytosis/wells"]) == 0
    assert study.sources["measurements"] == ("measurements.csv", "", 6)


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    assert only(check_study(tmp_path / "none"), "no-folder").fix


def test_all_problems_come_in_one_pass(small_study: Path) -> None:
    change(small_study, "donors.csv", "D01,apap,male,44", "D01,apapp,mle,444")
    change(small_study, "cultures.csv", "C03,S02", "C03,S22")
    change(small_study, "study.yaml", "simulated: true", "simulate: true")
    codes = {p.code for p in check_study(small_study)}
    assert {"unknown-group", "unknown-code", "out-of-range", "unknown-key"} <= codes
    with pytest.raises(Refused) as refused:
        open_study(small_study)
    assert len(refused.value.problems) >= 5


@pytest.mark.parametrize(
    ("before", "after", "code", "severity"),
    [
        ("58,=,mmHg", "7.7,=,mmHg", "pressure-unit", "quarantine"),
        ("8.1,=,kPa", "61,=,kPa", "pressure-unit", "quarantine"),
        ("58,=,mmHg,,room_air,0.21", "190,=,mmHg,,room_air,0.21", "pao2-above-inspired", "quarantine"),
        ("58,=,mmHg,,room_air,0.21", "58,=,mmHg,,room_air,0.4", "fio2-contradiction", "quarantine"),
        ("70,=,umol/L,104", "70,=,umol/L,1.2", "uln-unit", "quarantine"),
        ("70,=,umol/L,104", "70,=,U/L,104", "unit-of-other-test", "quarantine"),
        ("22,=,U/L,40", ",=,U/L,40", "missing-value", "quarantine"),
        ("22,=,U/L,40", "22,=,,40", "missing-unit", "quarantine"),
        ("58,=,mmHg", "9000,=,mmHg", "impossible-value", "quarantine"),
        ("D02,pao2", "D20,pao2", "unknown-key", "error"),
        ("D01,pao2,-1", "D01,pao2,2024-03-05", "not-a-number", "error"),
    ],
)
def test_laboratory_contradictions(small_study: Path, before: str, after: str, code: str, severity: str) -> None:
    change(small_study, "clinical_labs.csv", before, after)
    problem = next(p for p in check_study(small_study) if p.code == code)
    assert problem.severity == severity
    assert problem.file == "clinical_labs.csv"
    assert problem.row is not None
    assert problem.column


def test_high_oxygen_pressure_on_oxygen_is_no_unit_error(small_study: Path) -> None:
    change(small_study, "clinical_labs.csv", "8.1,=,kPa,,room_air,0.21", "40,=,kPa,,oxygen,0.6")
    assert check_study(small_study) == []


def test_a_quarantined_donor_is_named_and_the_rest_opens(small_study: Path) -> None:
    change(small_study, "clinical_labs.csv", "58,=,mmHg", "7.7,=,mmHg")
    study = open_study(small_study)
    assert study.quarantined == {("donor", "D01")}


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("C01,S01,am,,", "C01,,am,,", "culture-without-specimen"),
        ("C01,S01,am,,24,1,100000,0", "C01,S01,am,,24,1,0,0", "cells-contradict-condition"),
        ("C01,S01,am,,24,1,100000,0", "C01,S01,am,,24,1,100000,20000", "cells-contradict-condition"),
        ("C02,S01,am_msc,M1,24,1,100000,20000", "C02,S01,am_msc,M1,24,1,100000,0", "cells-contradict-condition"),
        ("C02,S01,am_msc,M1,24,1,100000,20000", "C02,S01,am_msc,M1,24,1,100000,100000", "ratio-contradicts-condition"),
        ("C02,S01,am_msc,M1", "C02,S01,am_msc,", "no-msc-lot"),
        ("C01,S01,am,,", "C01,S01,am,M1,", "lot-contradicts-condition"),
        ("C07,,msc", "C07,S01,msc", "specimen-contradicts-condition"),
        ("C07,,msc", "C06,,msc", "duplicate-key"),
        ("C01,S01,am,", "C01,S01,an,", "unknown-condition"),
    ],
)
def test_cultures_that_contradict_their_condition(small_study: Path, before: str, after: str, code: str) -> None:
    change(small_study, "cultures.csv", before, after)
    problem = next(p for p in check_study(small_study) if p.code == code)
    assert problem.severity in ("error", "quarantine")
    assert problem.row is not None


def test_pack_years_are_cigarettes_times_years(small_study: Path) -> None:
    change(
        small_study, "donors.csv", "smoking_status\n", "smoking_status,cigarettes_per_day,smoking_years,pack_years\n"
    )
    change(small_study, "donors.csv", "autoimmune_pap,ex", "autoimmune_pap,ex,20,10,10")
    assert {p.severity for p in check_study(small_study)} == {"repaired"}
    change(small_study, "donors.csv", "ex,20,10,10", "ex,20,10,30")
    assert only(check_study(small_study), "pack-years-disagree").expected == "10"


def test_unknown_columns_name_the_nearest_and_x_columns_are_kept(small_study: Path) -> None:
    change(small_study, "donors.csv", "age_years", "age_year")
    problem = only(check_study(small_study), "unknown-column")
    assert problem.expected == "age_years"
    change(small_study, "donors.csv", "age_year", "age_years")
    change(small_study, "specimens.csv", "viability_pct", "x_my_note")
    assert check_study(small_study) == []
    assert open_study(small_study).tables["specimens"]["x_my_note"].tolist() == ["92", "88", "95"]


def test_files_named_but_absent_and_present_but_unnamed(small_study: Path) -> None:
    (small_study / "phenotype" / "fcs").mkdir(parents=True)
    (small_study / "phenotype" / "samples.csv").write_text(
        "fcs_file,culture_id,panel_id,tube_role\na.fcs,C01,P1,stained\n", encoding="utf-8"
    )
    (small_study / "phenotype" / "fcs" / "b.fcs").write_bytes(b"x")
    problems = check_study(small_study)
    assert only(problems, "file-absent").entity == "file a.fcs"
    assert only(problems, "file-unnamed").file == "phenotype/fcs/b.fcs"


@pytest.mark.parametrize("name", ["../secret.fcs", "/etc/passwd", "C:\\x.fcs", "..\\x.fcs"])
def test_no_file_name_leads_out_of_the_study(small_study: Path, name: str) -> None:
    (small_study / "phenotype").mkdir()
    (small_study / "phenotype" / "samples.csv").write_text(
        f"fcs_file,culture_id,panel_id,tube_role\n{name},C01,P1,stained\n", encoding="utf-8"
    )
    assert only(check_study(small_study), "path-outside").severity == "error"


def test_a_link_out_of_the_study_is_refused(small_study: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("donor_id\n", encoding="utf-8")
    (small_study / "deviations.csv").symlink_to(outside)
    assert only(check_study(small_study), "link-outside").severity == "error"


def test_unknown_tables_are_refused_with_the_nearest_name(small_study: Path) -> None:
    (small_study / "measurements.csv").rename(small_study / "measurement.csv")
    problem = only(check_study(small_study), "unknown-file")
    assert problem.expected == "measurements"


def test_the_digest_is_of_content(small_study: Path) -> None:
    before = open_study(small_study).digest
    change(small_study, "donors.csv", "44", "45")
    assert open_study(small_study).digest != before


def test_a_link_out_of_the_study_is_another_study(small_study: Path) -> None:
    before = open_study(small_study).digest
    (small_study / "phenotype").mkdir()
    (small_study / "phenotype" / "extra.fcs").symlink_to("/dev/null")
    assert inputs_digest(folder_inputs(small_study)) != before, "else the cache would answer for the refused study"


# ---- what is there in another way than a file


def test_a_linked_folder_is_said_and_changes_the_digest(small_study: Path, tmp_path: Path) -> None:
    before = inputs_digest(folder_inputs(small_study))
    (tmp_path / "elsewhere").mkdir()
    (small_study / "phenotype").symlink_to(tmp_path / "elsewhere")
    problem = only(check_study(small_study), "link-outside")
    assert (problem.severity, problem.file) == ("error", "phenotype")
    assert inputs_digest(folder_inputs(small_study)) != before, "else the cache would answer for the refused study"


def test_a_folder_linked_within_the_study_and_a_link_to_itself_are_said(small_study: Path) -> None:
    (small_study / "more").mkdir()
    (small_study / "phenotype").symlink_to(small_study / "more")
    (small_study / "loop.csv").symlink_to(small_study / "loop.csv")
    said = {p.file: p.code for p in check_study(small_study)}
    assert said == {"phenotype": "linked-folder", "loop.csv": "not-a-file"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["x.csv", "study.yaml", "cytokines/raw/plate.csv", "notes.xlsx"])
def test_a_pipe_is_refused_and_never_opened(small_study: Path, name: str) -> None:
    (small_study / name).parent.mkdir(parents=True, exist_ok=True)
    (small_study / name).unlink(missing_ok=True)
    os.mkfifo(small_study / name)
    assert [p.severity for p in check_study(small_study) if p.code == "not-a-file" and p.file == name] == ["error"]


# ---- causes and what they bring about


@pytest.mark.parametrize(
    "title", ["Donors of the study", "Donors of the study,,,,,,,", ",Donors,seen until today,,,,,"]
)
@pytest.mark.parametrize("above", ["", "\n"])
def test_a_title_above_the_headings_is_one_error(small_study: Path, title: str, above: str) -> None:
    text = (small_study / "donors.csv").read_text(encoding="utf-8")
    (small_study / "donors.csv").write_text(f"{title}\n{above}{text}", encoding="utf-8")
    problems = check_study(small_study)
    assert [p.code for p in problems if p.severity == "error"] == ["title-above-headings"]
    assert (problems[0].file, problems[0].row) == ("donors.csv", 2 + len(above))


@pytest.mark.parametrize(
    ("file", "data", "code"),
    [
        ("donors.csv", "donor_id,group\nD01,Mü\n".encode("cp1252"), "unknown-encoding"),
        ("specimens.csv", b"", "empty-table"),
        ("cultures.csv", b'culture_id,condition\nC1,"am\n' + b"x\n" * 300, "open-quote"),
        ("msc_lots.csv", b"PK\x03\x04" + b"x" * 300, "damaged-workbook"),
    ],
)
def test_nothing_is_said_of_codes_of_a_table_that_cannot_be_read(
    small_study: Path, file: str, data: bytes, code: str
) -> None:
    (small_study / "deviations.csv").write_text(
        "entity,entity_id,code,decision,decided_before_unblinding\ndonor,D01,x,keep,yes\nculture,C01,x,keep,yes\n"
    )
    (small_study / file).write_bytes(data)
    assert [p.code for p in check_study(small_study) if p.severity == "error"] == [code]


@pytest.mark.parametrize(
    ("file", "heading"), [("donors.csv", "donor_id"), ("specimens.csv", "specimen_id"), ("cultures.csv", "culture_id")]
)
def test_a_key_column_that_is_not_there_is_the_only_error(small_study: Path, file: str, heading: str) -> None:
    change(small_study, file, heading, "x_code")
    errors = [p for p in check_study(small_study) if p.severity == "error"]
    assert [(p.code, p.file, p.expected) for p in errors] == [("missing-column", file, heading)]


def test_a_damaged_workbook_may_hold_every_table_that_is_not_there(small_study: Path) -> None:
    (small_study / "donors.csv").unlink()
    (small_study / "all.xlsx").write_bytes(b"PK\x03\x04" + b"x" * 300)
    assert [p.code for p in check_study(small_study) if p.severity == "error"] == ["damaged-workbook"]


def test_causes_come_before_consequences(small_study: Path) -> None:
    change(small_study, "clinical_labs.csv", "D02,pao2", "D20,pao2")
    change(small_study, "donors.csv", "age_years", "age_year")
    codes = [p.code for p in check_study(small_study) if p.severity == "error"]
    assert codes == ["missing-column", "unknown-column", "unknown-key"]


# ---- crashes


@pytest.mark.parametrize(
    "file", ["donors.csv", "clinical_labs.csv", "specimens.csv", "msc_lots.csv", "cultures.csv", "measurements.csv"]
)
def test_no_column_that_is_blank_or_named_twice_stops_the_check(small_study: Path, file: str) -> None:
    lines = [line.split(",") for line in (small_study / file).read_text(encoding="utf-8").splitlines()]
    for at, heading in enumerate(lines[0]):
        for broken in (
            [[c if i != at or not n else "" for i, c in enumerate(line)] for n, line in enumerate(lines)],
            [[lines[0][0] if i == at and not n else c for i, c in enumerate(line)] for n, line in enumerate(lines)],
        ):
            (small_study / file).write_text("\n".join(map(",".join, broken)) + "\n", encoding="utf-8")
            assert all(p.message.endswith(".") and p.fix for p in check_study(small_study)), heading


@pytest.mark.parametrize("pattern", ["(", "[", "(?i)D[0-9]+", "*"])
def test_a_pattern_that_is_none_is_one_error_of_study_yaml(small_study: Path, pattern: str) -> None:
    change(small_study, "study.yaml", "simulated: true", f"simulated: true\nid_patterns: {{donor_id: '{pattern}'}}")
    problem = only(check_study(small_study), "bad-setting")
    assert (problem.file, problem.row, problem.column) == ("study.yaml", 4, "id_patterns.donor_id")


# ---- numbers


def test_a_table_with_decimal_commas_settles_no_points_of_its_other_columns(small_study: Path) -> None:
    text = (small_study / "cultures.csv").read_text(encoding="utf-8").replace(",", ";")
    text = text.replace("C01;S01;am;;24;1;100000", "C01;S01;am;;24,5;1;100.000")
    (small_study / "cultures.csv").write_text(text, encoding="utf-8")
    problem = only(check_study(small_study), "ambiguous-point")
    assert (problem.severity, problem.column, problem.found) == ("error", "am_per_well", "100.000")


# ---- identities


def test_no_message_about_a_cell_with_an_identity_shows_it(small_study: Path) -> None:
    change(small_study, "donors.csv", "D03,control", "P00123456,control")
    change(small_study, "donors.csv", "D02,apap,female", "D02,apap,慧敏")
    for column, codes in (("donor_id", {"long-digit-run", "bad-code"}), ("sex", {"personal-name", "unknown-code"})):
        said = [p for p in check_study(small_study) if p.file == "donors.csv" and p.column == column]
        assert {p.code for p in said} == codes
        assert {p.found for p in said} == {"•••"}


def test_a_word_that_could_be_a_name_is_dots_in_the_opened_study(small_study: Path) -> None:
    change(small_study, "specimens.csv", "viability_pct", "comment")
    change(small_study, "specimens.csv", "wll,92", "wll,张伟")
    change(small_study, "specimens.csv", "wll,88", "wll,石蜡")
    study = open_study(small_study)
    assert study.tables["specimens"]["comment"].tolist() == ["•••", "石蜡", "95"]
    assert [(p.severity, p.row, p.found) for p in study.problems] == [("warning", 2, "•••")]


def test_a_dated_workbook_has_its_alias_among_the_sources(small_study: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "msc_lots"
    for line in (small_study / "msc_lots.csv").read_text(encoding="utf-8").splitlines():
        book.active.append(line.split(","))
    (small_study / "msc_lots.csv").unlink()
    book.save(small_study / "lots 2023-03-05.xlsx")
    assert open_study(small_study).sources["msc_lots"][0] == alias("lots 2023-03-05.xlsx")


# ---- tables that may be absent


def test_without_a_table_of_lots_no_lot_is_demanded(small_study: Path) -> None:
    (small_study / "msc_lots.csv").unlink()
    assert [(p.severity, p.code) for p in check_study(small_study)] == [("warning", "msc-lots-not-recorded")]
    change(small_study, "cultures.csv", "C02,S01,am_msc,M1", "C02,S01,am_msc,")
    (problem,) = check_study(small_study)
    assert (problem.severity, problem.code) == ("warning", "msc-lots-not-recorded")
    assert "1 of 4" in problem.message
    assert open_study(small_study).quarantined == frozenset()


def test_without_a_table_of_specimens_a_donor_is_its_own_specimen(small_study: Path) -> None:
    types = dict(open_study(small_study).tables["specimens"].dtypes)
    (small_study / "specimens.csv").unlink()
    text = (small_study / "cultures.csv").read_text(encoding="utf-8")
    (small_study / "cultures.csv").write_text(text.replace(",S0", ",D0"), encoding="utf-8")
    study = open_study(small_study)
    assert [(p.severity, p.code) for p in study.problems] == [("repaired", "specimens-from-donors")]
    found = study.tables["specimens"]
    assert found[["specimen_id", "donor_id"]].to_numpy().tolist() == [[d, d] for d in ("D01", "D02", "D03")]
    assert set(found["visit"]) == {"V1"}
    assert found["source"].isna().all()
    assert dict(found.dtypes) == types


def test_a_culture_of_a_donor_that_is_not_there_is_still_said(small_study: Path) -> None:
    (small_study / "specimens.csv").unlink()
    text = (small_study / "cultures.csv").read_text(encoding="utf-8")
    (small_study / "cultures.csv").write_text(text.replace(",S03", ",D09").replace(",S0", ",D0"), encoding="utf-8")
    errors = [p for p in check_study(small_study) if p.severity == "error"]
    assert [(p.code, p.found, p.row) for p in errors] == [("unknown-key", "D09", 6), ("unknown-key", "D09", 7)]


def test_specimens_that_are_named_and_not_listed_are_one_error(small_study: Path) -> None:
    (small_study / "specimens.csv").unlink()
    errors = [p for p in check_study(small_study) if p.severity == "error"]
    assert [(p.code, p.file, p.column, p.row) for p in errors] == [("unknown-key", "cultures.csv", "specimen_id", 2)]
    assert "no table specimens" in errors[0].message


def test_the_smallest_study_has_readouts_and_effects(small_study: Path) -> None:
    for name in ("specimens", "msc_lots", "clinical_labs"):
        (small_study / f"{name}.csv").unlink()
    text = (small_study / "cultures.csv").read_text(encoding="utf-8").replace(",S0", ",D0").replace(",M1,", ",,")
    (small_study / "cultures.csv").write_text(text, encoding="utf-8")
    found = load_study(small_study)
    assert found.table("readouts")["donor_id"].value_counts().to_dict() == {"D01": 2, "D02": 2, "D03": 2}
    assert set(found.table("readouts")["msc_lot_id"]) == {""}
    assert (found.table("effects")["n_pairs"] > 0).any()


def test_what_frictionless_refuses_is_remembered_by_its_place_alone(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import frictionless

    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "cache"))
    change(small_study, "donors.csv", "D02,apap,female", "D02,apap,femele-hidden")
    first = check_study(small_study)
    monkeypatch.setattr(frictionless, "Resource", None)  # whoever asks it again fails
    assert check_study(small_study) == first
    assert only(first, "unknown-code").found == "femele-hidden"
    kept = [p.read_bytes() for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert len(kept) > 5 and not any(b"femele" in data for data in kept)


def test_a_row_with_nothing_but_a_column_of_its_own_lacks_what_is_needed(small_study: Path) -> None:
    path = small_study / "specimens.csv"
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    empty = "," * head.count(",")
    path.write_text(
        "\n".join([f"{head},x_note", *(f"{r}," for r in rows), f"{empty},lost tube"]) + "\n", encoding="utf-8"
    )
    missing = [p for p in check_study(small_study) if p.code == "missing-value"]
    assert ("specimen_id", len(rows) + 2) in {(p.column, p.row) for p in missing}
