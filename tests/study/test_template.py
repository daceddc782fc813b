"""`apap new`: a workbook in which it is hard to write something wrong."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from helpers.core.problems import Refused
from helpers.core.schemas import Field, TableSchema, input_tables
from helpers.study.config import config_problems, read_config
from helpers.study.opening import check_study
from helpers.study.template import STUDY_YAML, template_bytes, write_template

FIELDS = [pytest.param(s, f, id=f"{s.name}.{f.name}") for s in input_tables().values() for f in s.fields]


@pytest.fixture(scope="module")
def book() -> Any:
    return openpyxl.load_workbook(io.BytesIO(template_bytes()))


def column(book: Any, schema: TableSchema, one: Field) -> tuple[Any, Any]:
    sheet = book[schema.name.replace("/", "_")]
    return sheet, next(c for c in sheet[1] if c.value == one.name)


def allowed(book: Any, formula: str) -> list[str]:
    """Codes of a drop-down, written in place or in the hidden sheet."""
    if formula.startswith('"'):
        return formula.strip('"').split(",")
    sheet, place = formula.split("!")
    return [str(row[0].value) for row in book[sheet][place.replace("$", "")]]


@pytest.mark.parametrize(("schema", "one"), FIELDS)
def test_each_column_has_its_note_and_its_rule(book: Any, schema: TableSchema, one: Field) -> None:
    sheet, head = column(book, schema, one)
    assert one.title in head.comment.text and one.description in head.comment.text
    assert not one.unit or one.unit in head.comment.text
    rules = [r for r in sheet.data_validations.dataValidation if f"{head.column_letter}2" in r.sqref]
    if one.codes:
        assert allowed(book, rules[0].formula1) == list(one.codes)
    elif one.type == "boolean":
        assert allowed(book, rules[0].formula1) == ["yes", "no"]
    elif one.type in ("number", "integer"):
        assert float(rules[0].formula1) <= (one.minimum if one.minimum is not None else -1e15)
    else:
        assert rules == []
    if one.type == "string":
        assert sheet.column_dimensions[head.column_letter].number_format == "@", "Excel would turn MAR-1 into a date"


def test_the_sheets_are_the_tables(book: Any) -> None:
    assert set(book.sheetnames) == {"read me", "lists"} | {n.replace("/", "_") for n in input_tables()}
    assert book["lists"].sheet_state == "hidden"
    assert book.properties.creator == "apap-notebooks", "no name of a person"


def test_the_same_template_has_the_same_bytes() -> None:
    assert template_bytes() == template_bytes()
    times = {part.date_time for part in zipfile.ZipFile(io.BytesIO(template_bytes())).infolist()}
    assert times == {(2000, 1, 1, 0, 0, 0)}, "else the bytes differ from second to second"


def test_its_study_yaml_is_valid() -> None:
    settings, lines, problems = read_config(STUDY_YAML)
    assert problems == []
    assert config_problems(settings, lines) == []


def test_a_new_study_lacks_only_its_tables(tmp_path: Path) -> None:
    assert write_template(tmp_path / "new") == []
    assert {p.code for p in check_study(tmp_path / "new")} == {"missing-table"}


def filled(folder: Path, tables: dict[str, list[dict[str, str]]]) -> None:
    """Type records into the template as a person would: below the headings, as text."""
    path = folder / "template.xlsx"
    book = openpyxl.load_workbook(path)
    for name, rows in tables.items():
        sheet = book[name.replace("/", "_")]
        heads = {c.value: c.column for c in sheet[1]}
        for i, row in enumerate(rows, 2):
            for key, value in row.items():
                sheet.cell(i, heads[key], value)
    book.save(path)


def test_a_filled_in_template_is_a_study(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    write_template(folder)
    filled(
        folder,
        {
            "donors": [{"donor_id": "D01", "group": "apap", "sex": "male", "age_years": "50", "consent_signed": "yes"}],
            "specimens": [{"specimen_id": "S1", "donor_id": "D01", "source": "wll"}],
            "msc_lots": [{"msc_lot_id": "M1", "tissue": "umbilical_cord"}],
            "cultures": [
                {"culture_id": "MAR-1", "specimen_id": "S1", "condition": "am", "timepoint_h": "24", "replicate": "1"},
                {
                    "culture_id": "C2",
                    "specimen_id": "S1",
                    "condition": "am_msc",
                    "msc_lot_id": "M1",
                    "timepoint_h": "24",
                    "replicate": "1",
                },
            ],
            "measurements": [
                {"culture_id": c, "readout": "x", "replicate": "1", "value": "1.5", "qualifier": "=", "unit": "OD"}
                for c in ("MAR-1", "C2")
            ],
        },
    )
    assert [str(p) for p in check_study(folder) if p.severity in ("error", "quarantine")] == []


def test_files_given_are_copied_and_named(tmp_path: Path) -> None:
    (tmp_path / "D01 am.fcs").write_bytes(b"FCS3.1    rest")
    (tmp_path / "plate 1.csv").write_text("Program,xPONENT\n")
    problems = write_template(tmp_path / "new", [tmp_path / "D01 am.fcs", tmp_path / "plate 1.csv"])
    assert {p.severity for p in problems} == {"warning"}, "half a plate file is taken along and said"
    assert (tmp_path / "new" / "phenotype" / "fcs" / "D01 am.fcs").read_bytes() == b"FCS3.1    rest"
    assert (tmp_path / "new" / "cytokines" / "raw" / "plate 1.csv").exists()
    book = openpyxl.load_workbook(tmp_path / "new" / "template.xlsx")
    rows = {n: list(book[n].values) for n in ("phenotype_samples", "cytokines_plates")}
    assert dict(zip(*rows["phenotype_samples"][:2], strict=True))["fcs_file"] == "D01 am.fcs"
    assert dict(zip(*rows["cytokines_plates"][:2], strict=True))["instrument_file"] == "plate 1.csv"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("11010519491231002X.fcs", "prc-identity-number"),
        ("李四光 病历.fcs", "personal-name"),
        ("absent.fcs", "no-file"),
    ],
)
def test_files_that_may_not_come_in(tmp_path: Path, name: str, code: str) -> None:
    if code != "no-file":
        (tmp_path / name).write_bytes(b"FCS3.1")
    with pytest.raises(Refused) as refused:
        write_template(tmp_path / "new", [tmp_path / name])
    assert [p.code for p in refused.value.problems] == [code]
    assert code == "no-file" or Path(name).stem not in str(refused.value)
    assert not (tmp_path / "new").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Refused):
        write_template(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_the_template_opens_in_an_office_program(tmp_path: Path, office: Callable[[Path], Path]) -> None:
    (tmp_path / "template.xlsx").write_bytes(template_bytes())
    saved = openpyxl.load_workbook(office(tmp_path / "template.xlsx"))
    for schema in input_tables().values():
        sheet = saved[schema.name.replace("/", "_")]
        assert [c.value for c in sheet[1]][: len(schema.columns)] == schema.columns
        coded = sum(bool(f.codes) or f.type != "string" for f in schema.fields)
        assert len(sheet.data_validations.dataValidation) >= min(coded, 1)
        assert sheet["A1"].comment is not None
