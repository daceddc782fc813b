"""The demo study broken in many ways: each gives a located sentence, no traceback, and no output.

A mutation that concerns one donor sets that donor aside; every other one refuses the study, and then the
report writes nothing.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from typer.testing import CliRunner

from helpers.cli import app
from helpers.core.problems import Problem
from helpers.study.opening import check_study

Break = Callable[[Path], object]


def text(file: str, before: str, after: str, count: int = 1) -> Break:
    def mutate(study: Path) -> None:
        path = study / file
        whole = path.read_text(encoding="utf-8")
        assert before in whole, f"{before!r} is not in {file}"
        path.write_text(whole.replace(before, after, count), encoding="utf-8")

    return mutate


def cell(file: str, row: int, column: str, value: str) -> Break:
    """Set the cell of a record, counted from 1, in a CSV without quotes."""

    def mutate(study: Path) -> None:
        path = study / file
        lines = path.read_text(encoding="utf-8").splitlines()
        cells = lines[row].split(",")
        cells[lines[0].split(",").index(column)] = value
        lines[row] = ",".join(cells)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return mutate


def lab(donor: str, test: str, column: str, value: str, day: str = "") -> Break:
    def mutate(study: Path) -> None:
        lines = (study / "clinical_labs.csv").read_text(encoding="utf-8").splitlines()
        row = next(i for i, line in enumerate(lines) if line.startswith(f"{donor},{test},{day}"))
        cell("clinical_labs.csv", row, column, value)(study)

    return mutate


def recode(file: str, encoding: str, mark: bytes = b"") -> Break:
    return lambda s: (s / file).write_bytes(
        mark + (s / file).read_text(encoding="utf-8").replace("阴性", "neg").replace("am", "µg am", 1).encode(encoding)
    )


def raw(file: str, data: bytes) -> Break:
    return lambda s: (s / file).write_bytes(data)


def both(*breaks: Break) -> Break:
    return lambda s: [b(s) for b in breaks]


def as_workbook(change: Callable[[openpyxl.worksheet.worksheet.Worksheet], object], sheet: str = "donors") -> Break:
    def mutate(study: Path) -> None:
        book = openpyxl.Workbook()
        page = book.active
        page.title = sheet
        for line in (study / "donors.csv").read_text(encoding="utf-8").splitlines():
            page.append(line.split(","))
        change(page)
        (study / "donors.csv").unlink()
        book.save(study / "data.xlsx")

    return mutate


def remove(file: str) -> Break:
    return lambda s: (s / file).unlink()


def no_assay(study: Path) -> None:
    (study / "measurements.csv").unlink()
    for folder in ("cytokines", "phenotype", "phagocytosis"):
        shutil.rmtree(study / folder, ignore_errors=True)


def keep_lines(file: str, n: int) -> Break:
    return lambda s: (s / file).write_text(
        "\n".join((s / file).read_text(encoding="utf-8").splitlines()[:n]) + "\n", encoding="utf-8"
    )


def drop_column(file: str, column: str) -> Break:
    def mutate(study: Path) -> None:
        lines = [line.split(",") for line in (study / file).read_text(encoding="utf-8").splitlines()]
        at = lines[0].index(column)
        (study / file).write_text(
            "\n".join(",".join(c for i, c in enumerate(line) if i != at) for line in lines) + "\n", encoding="utf-8"
        )

    return mutate


def excel_date(page: openpyxl.worksheet.worksheet.Worksheet) -> None:
    import datetime

    page["A2"] = datetime.datetime(2024, 3, 1)


# name → (mutation, expected code, whether one donor only is set aside)
BROKEN: dict[str, tuple[Break, str, bool]] = {
    # files and tables
    "no study.yaml": (remove("study.yaml"), "missing-table", False),
    "no donors": (remove("donors.csv"), "missing-table", False),
    "no cultures": (remove("cultures.csv"), "missing-table", False),
    "no assay": (no_assay, "no-assay", False),
    "no specimens": (remove("specimens.csv"), "unknown-key", False),
    "donors empty": (raw("donors.csv", b""), "empty-table", False),
    "donors headings only": (keep_lines("donors.csv", 1), "missing-table", False),
    "donors binary": (raw("donors.csv", bytes(range(256)) * 40), "unknown-encoding", False),
    "donors zeros": (raw("donors.csv", b"donor_id\x00\x00,x\n" + b"\x00" * 50), "not-text", False),
    "table misnamed": (lambda s: (s / "specimens.csv").rename(s / "specimen.csv"), "unknown-file", False),
    "table twice": (lambda s: shutil.copy(s / "donors.csv", s / "donors.tsv"), "table-twice", False),
    "workbook truncated": (raw("deviations.xlsx", b"PK\x03\x04" + b"x" * 300), "damaged-workbook", False),
    "old workbook damaged": (
        raw("deviations.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 300),
        "damaged-workbook",
        False,
    ),
    "unknown sheet": (as_workbook(lambda p: None, sheet="donor list"), "unknown-sheet", False),
    "link out of the study": (lambda s: (s / "extra.csv").symlink_to("/dev/null"), "link-outside", False),
    "link to a folder outside": (lambda s: (s / "older").symlink_to(s.parent), "link-outside", False),
    "title above the headings": (
        text("donors.csv", "donor_id,", "Donors of the study,,,\ndonor_id,"),
        "title-above-headings",
        False,
    ),
    # encodings
    "cp1252": (recode("study.yaml", "cp1252"), "unknown-encoding", False),
    "cp1252 table": (
        both(text("cultures.csv", ",OP1,", ",OP1µ,"), recode("cultures.csv", "cp1252")),
        "unknown-encoding",
        False,
    ),
    "cut in the middle of a character": (
        raw("donors.csv", "donor_id,group\nD01,男".encode()[:-1]),
        "unknown-encoding",
        False,
    ),
    # headings and rows
    "heading misspelt": (text("donors.csv", "age_years", "age_year"), "unknown-column", False),
    "needed column gone": (drop_column("donors.csv", "sex"), "missing-column", False),
    "heading twice": (text("donors.csv", "symptoms_present", "sex"), "duplicate-heading", False),
    "heading empty": (text("donors.csv", "symptoms_present", ""), "no-heading", False),
    "too many cells in a row": (text("donors.csv", "D02,apap", "D02,apap,apap"), "long-row", False),
    "open quote": (text("donors.csv", "D02,apap", 'D02,"apap'), "open-quote", False),
    "wrong separator in one row": (text("donors.csv", "D02,apap,", "D02;apap;"), "bad-code", False),
    "column of names": (text("donors.csv", "dust_type", "patient name"), "private-column", False),
    # cells
    "age in words": (cell("donors.csv", 1, "age_years", "forty"), "not-a-number", False),
    "age with unit": (cell("donors.csv", 1, "age_years", "44 years"), "unit-in-number", False),
    "age broken": (cell("donors.csv", 1, "age_years", "44.5"), "not-whole", False),
    "age impossible": (cell("donors.csv", 1, "age_years", "444"), "out-of-range", False),
    "thousands or decimals": (
        both(
            lab("D01", "kl6", "value", '"1112,5"'),
            lab("D02", "kl6", "value", "1.234"),
        ),
        "ambiguous-point",
        False,
    ),
    "age negative": (cell("donors.csv", 1, "age_years", "-4"), "out-of-range", False),
    "age missing": (cell("donors.csv", 1, "age_years", ""), "missing-value", False),
    "sex unknown code": (cell("donors.csv", 1, "sex", "femal"), "unknown-code", False),
    "consent unclear": (cell("donors.csv", 1, "consent_signed", "maybe"), "not-yes-no", False),
    "donor without code": (cell("donors.csv", 1, "donor_id", ""), "missing-value", False),
    "donor code of another form": (cell("donors.csv", 1, "donor_id", "donor-1"), "bad-code", False),
    "donor twice": (cell("donors.csv", 2, "donor_id", "D01"), "duplicate-key", False),
    "unknown group": (cell("donors.csv", 1, "group", "apapp"), "unknown-group", False),
    "Excel made a date of a code": (as_workbook(excel_date), "excel-date", False),
    "Excel made a date in CSV": (cell("donors.csv", 1, "donor_id", "1-Mar"), "excel-date", False),
    "Excel error": (cell("donors.csv", 1, "height_cm", "#REF!"), "excel-error", False),
    "number too wide for its column": (cell("donors.csv", 1, "height_cm", "######"), "excel-error", False),
    "ambiguous comma": (cell("donors.csv", 1, "symptom_duration_months", '"1,012"'), "ambiguous-comma", False),
    "sign in a number": (lab("D01", "kl6", "value", "<500"), "qualifier-in-number", False),
    "date instead of a study day": (lab("D01", "kl6", "study_day", "2023-03-05"), "not-a-number", False),
    "unknown test": (lab("D01", "kl6", "test_code", "KL-66"), "unknown-code", False),
    "oxygen in percent": (lab("D01", "pao2", "fio2", "21"), "out-of-range", False),
    "laboratory of an unknown donor": (lab("D01", "kl6", "donor_id", "D99"), "unknown-key", False),
    "same result twice": (lab("D01", "pao2", "study_day", "-30", day="-1"), "duplicate-key", False),
    # one donor's contradictions
    "kPa labelled mmHg": (lab("D01", "pao2", "value", "7.2", day="-1"), "pressure-unit", True),
    "mmHg labelled kPa": (lab("D14", "pao2", "value", "56", day="-1"), "pressure-unit", True),
    "carbon dioxide in kPa labelled mmHg": (lab("D01", "paco2", "value", "4.6", day="-1"), "pressure-unit", True),
    "more oxygen than was breathed": (lab("D01", "pao2", "value", "160", day="-1"), "pao2-above-inspired", True),
    "room air with oxygen": (lab("D01", "pao2", "fio2", "0.5", day="-1"), "fio2-contradiction", True),
    "unit of another test": (lab("D01", "kl6", "unit", "mmHg"), "unit-of-other-test", True),
    "no unit": (lab("D01", "kl6", "unit", ""), "missing-unit", True),
    "limit in another unit": (lab("D01", "creatinine", "uln", "1.2"), "uln-unit", True),
    "limit far from its unit": (lab("D01", "alt", "uln", "9000"), "uln-unit", True),
    "serology with a number": (lab("D01", "hiv_ab", "qualifier", "="), "needs-pos-neg", True),
    "number test with positive": (lab("D01", "kl6", "qualifier", "pos"), "needs-number", True),
    "result without value": (lab("D01", "kl6", "value", ""), "missing-value", True),
    "impossible enzyme": (lab("D01", "ldh", "value", "90000"), "impossible-value", True),
    "never smoked but did": (
        both(cell("donors.csv", 1, "smoking_status", "never"), cell("donors.csv", 1, "cigarettes_per_day", "20")),
        "smoking-contradiction",
        True,
    ),
    "pack-years do not multiply": (
        both(
            cell("donors.csv", 1, "smoking_status", "ex"),
            cell("donors.csv", 1, "cigarettes_per_day", "20"),
            cell("donors.csv", 1, "smoking_years", "10"),
            cell("donors.csv", 1, "pack_years", "40"),
        ),
        "pack-years-disagree",
        True,
    ),
    "smoked longer than lived": (
        both(cell("donors.csv", 1, "smoking_status", "ex"), cell("donors.csv", 1, "smoking_years", "79")),
        "smoking-contradiction",
        True,
    ),
    "consent signed and refused": (cell("donors.csv", 1, "consent_refused", "yes"), "consent-contradiction", True),
    "patient without disease": (cell("donors.csv", 1, "diagnosis", "none"), "diagnosis-contradicts-group", True),
    "control with disease": (
        cell("donors.csv", 20, "diagnosis", "autoimmune_pap"),
        "diagnosis-contradicts-group",
        True,
    ),
    "control with whole-lung lavage": (cell("specimens.csv", 22, "source", "wll"), "control-with-lavage", True),
    "treatment that never was": (
        both(cell("donors.csv", 1, "prior_gmcsf", "no"), cell("donors.csv", 1, "prior_gmcsf_days_since", "30")),
        "treatment-contradiction",
        True,
    ),
    # specimens and cultures
    "specimen of an unknown donor": (cell("specimens.csv", 1, "donor_id", "D99"), "unknown-key", False),
    "specimen without donor": (cell("specimens.csv", 1, "donor_id", ""), "specimen-without-donor", False),
    "culture of an unknown specimen": (cell("cultures.csv", 1, "specimen_id", "S99"), "unknown-key", False),
    "culture without specimen": (cell("cultures.csv", 1, "specimen_id", ""), "culture-without-specimen", False),
    "culture of an unknown condition": (cell("cultures.csv", 1, "condition", "am_mcs"), "unknown-condition", False),
    "culture of an unknown lot": (cell("cultures.csv", 4, "msc_lot_id", "M9"), "unknown-key", False),
    "co-culture without lot": (cell("cultures.csv", 4, "msc_lot_id", ""), "no-msc-lot", True),
    "co-culture without MSC": (cell("cultures.csv", 4, "msc_per_well", "0"), "cells-contradict-condition", True),
    "AM alone with MSC": (cell("cultures.csv", 1, "msc_per_well", "20000"), "cells-contradict-condition", True),
    "another ratio than the condition's": (
        cell("cultures.csv", 4, "msc_per_well", "90000"),
        "ratio-contradicts-condition",
        True,
    ),
    "culture twice": (cell("cultures.csv", 2, "culture_id", "B01C01"), "duplicate-key", False),
    "two cultures in one well": (cell("cultures.csv", 2, "well", "A1"), "well-twice", False),
    "no such well": (cell("cultures.csv", 1, "well", "Z9"), "bad-code", False),
    # assays
    "measurement of an unknown culture": (cell("measurements.csv", 1, "culture_id", "B99C99"), "unknown-key", False),
    "two units for one readout": (cell("measurements.csv", 1, "unit", "mg"), "two-units", False),
    "readout whose units are all blank": (
        lambda s: (s / "measurements.csv").write_text(
            "\n".join(
                ",".join("" if i == 5 and n else c for i, c in enumerate(line.split(",")))
                for n, line in enumerate((s / "measurements.csv").read_text(encoding="utf-8").splitlines())
            ),
            encoding="utf-8",
        ),
        "missing-value",
        False,
    ),
    "measurement without value": (cell("measurements.csv", 1, "value", ""), "missing-value", False),
    "deviation of an unknown culture": (cell("deviations.csv", 1, "entity_id", "B99C99"), "unknown-key", False),
    # study.yaml
    "yaml syntax": (text("study.yaml", "groups:", "groups: ["), "yaml-syntax", False),
    "yaml tab": (text("study.yaml", "  - {code: apap", "\t- {code: apap"), "yaml-syntax", False),
    "yaml key misspelt": (text("study.yaml", "simulated:", "simulate:"), "unknown-key", False),
    "yaml key twice": (
        text("study.yaml", "simulated: true", "simulated: true\nsimulated: false"),
        "duplicate-key",
        False,
    ),
    "yaml key missing": (text("study.yaml", "id: demo\n", ""), "missing-key", False),
    "yaml wrong code": (text("study.yaml", "role: disease", "role: patients"), "bad-setting", False),
    "yaml group gone": (text("study.yaml", "code: control", "code: healthy"), "unknown-group", False),
    "yaml condition gone": (text("study.yaml", "code: am_gmcsf", "code: gmcsf"), "unknown-condition", False),
    "yaml compares with nothing": (
        text("study.yaml", "compare_to: am}", "compare_to: mono}"),
        "unknown-condition",
        False,
    ),
    "yaml tag": (text("study.yaml", "simulated: true", "simulated: !!python/name:os.system true"), "yaml-tag", False),
    "yaml pattern of codes is none": (
        text("study.yaml", "simulated: true", "simulated: true\nid_patterns: {donor_id: '('}"),
        "bad-setting",
        False,
    ),
    "yaml no such day": (text("study.yaml", "2022-11-01", "2022-11-31"), "no-such-date", False),
    "yaml control without source": (
        text("study.yaml", ", control_source: diagnostic lavage of people examined for another reason", ""),
        "control-source",
        False,
    ),
    "yaml contrast of an unknown condition": (
        text(
            "study.yaml",
            "simulated: true",
            "simulated: true\ncontrasts: [{name: msc_effect, treatment: nothing}]",
        ),
        "unknown-condition",
        False,
    ),
}


def test_there_are_enough_ways() -> None:
    assert len(BROKEN) >= 60


@pytest.fixture(scope="module")
def usual_problems(demo: Path) -> list[Problem]:
    """What the demo's own planted oddities give."""
    return check_study(demo)


@pytest.mark.parametrize("name", BROKEN, ids=lambda n: n.replace(" ", "-"))
def test_a_broken_study_gets_a_clear_answer(
    name: str, demo: Path, usual_problems: list[Problem], tmp_path: Path
) -> None:
    mutate, code, one_donor = BROKEN[name]
    study, out = tmp_path / "study", tmp_path / "out"
    shutil.copytree(demo, study)
    mutate(study)
    new = [p for p in check_study(study) if p not in usual_problems]
    hits = [p for p in new if p.code == code]
    assert hits, f"expected {code}; got {[str(p) for p in new][:6]}"
    hit = hits[0]
    assert hit.severity == ("quarantine" if one_donor else "error"), str(hit)
    assert hit.file
    assert hit.message.endswith(".")
    assert len(hit.fix.split()) > 1
    if one_donor:
        assert re.fullmatch(r"donor D\d+", hit.entity)
        assert hit.row
        assert hit.column
        return
    for command in (["check", str(study)], ["report", str(study), "--out", str(out)]):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 1, result.output
        assert "Traceback" not in result.output
        assert hit.message in " ".join(result.output.split())
    assert not out.exists()


@pytest.mark.parametrize(
    ("mutate", "code"),
    [
        (BROKEN["title above the headings"][0], "title-above-headings"),
        (raw("donors.csv", "donor_id,group\nD01,Mü\n".encode("cp1252")), "unknown-encoding"),
        (remove("specimens.csv"), "unknown-key"),
    ],
    ids=["title", "encoding", "no-specimens"],
)
def test_one_cause_does_not_bury_itself(
    mutate: Break, code: str, demo: Path, usual_problems: list[Problem], tmp_path: Path
) -> None:
    study = tmp_path / "study"
    shutil.copytree(demo, study)
    mutate(study)
    errors = [p for p in check_study(study) if p.severity == "error"]
    assert errors[0].code == code
    assert len(errors) <= 3, [str(p) for p in errors][:6]
