"""An identity planted anywhere in a study stops everything, and its text reaches no output, log or cache."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import openpyxl
import pytest
from typer.testing import CliRunner

from helpers.cli import app
from helpers.core import privacy
from helpers.report.notebooks import WrongParameter, render

IDENTITY_NUMBER = "11010519491231002X"  # the example of the national standard GB 11643, nobody's number
MOBILE = "13800138000"
EMAIL = "zhang.wei@example.org"
NAME, GIVEN_NAME, LONG_NAME = "张伟", "慧敏", "李四光"
HOSPITAL_NUMBER, RECORD_NUMBER = "P00123456", "0012345"
SECRETS = (
    IDENTITY_NUMBER,
    MOBILE,
    EMAIL,
    NAME,
    GIVEN_NAME,
    LONG_NAME,
    HOSPITAL_NUMBER,
    HOSPITAL_NUMBER[1:],
    RECORD_NUMBER,
)


RULES = {
    *(privacy.IDENTITY, privacy.MOBILE, privacy.TELEPHONE, privacy.EMAIL, privacy.DATE),
    *(privacy.NAME, privacy.DIGITS, privacy.RECORD, privacy.COLUMN),
}


def add_column(study: Path, file: str, heading: str, cell: str) -> None:
    lines = (study / file).read_text(encoding="utf-8").splitlines()
    lines = [f"{lines[0]},{heading}", f"{lines[1]},{cell}", *(f"{line}," for line in lines[2:])]
    (study / file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def replace(study: Path, file: str, before: str, after: str) -> None:
    path = study / file
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def workbook(study: Path, change: Callable[[openpyxl.Workbook], None]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "deviations"
    sheet.append(["entity", "entity_id", "code", "decision", "decided_before_unblinding"])
    sheet.append(["donor", "D01", "protocol", "keep", "yes"])
    change(book)
    book.save(study / "more.xlsx")


def _properties(book: openpyxl.Workbook) -> None:
    book.properties.creator = EMAIL


def _sheet_name(book: openpyxl.Workbook) -> None:
    book.active.title = f"deviations {MOBILE}"


def _comment(book: openpyxl.Workbook) -> None:
    book.active["A2"].comment = openpyxl.comments.Comment(f"tel {MOBILE}", "x")


def noted(text: str) -> Callable[[openpyxl.Workbook], None]:
    def change(book: openpyxl.Workbook) -> None:
        book.active["A2"].comment = openpyxl.comments.Comment(text, "x")

    return change


def disguised(study: Path, name: str) -> None:
    """A workbook with an e-mail address in its properties, under a name of another kind or among instrument files."""
    workbook(study, _properties)
    target = study / name
    target.parent.mkdir(parents=True, exist_ok=True)
    (study / "more.xlsx").rename(target)


def open_document(study: Path, member: str, text: str) -> None:
    with zipfile.ZipFile(study / "plan.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(member, text)


def named(study: Path, name: str) -> None:
    (study / name).parent.mkdir(parents=True, exist_ok=True)
    (study / name).write_text("x", encoding="utf-8")


def hospital_number_everywhere(study: Path) -> None:
    """As a donor's code that study.yaml even allows, and wherever else the study names that donor."""
    replace(study, "study.yaml", "simulated: true", "simulated: true\nid_patterns: {donor_id: '[A-Z][0-9]+'}")
    replace(study, "donors.csv", "D03,control", f"{HOSPITAL_NUMBER},control")
    replace(study, "specimens.csv", "S03,D03", f"S03,{HOSPITAL_NUMBER}")
    (study / "deviations.csv").write_text(
        f"entity,entity_id,code,decision,decided_before_unblinding\ndonor,{HOSPITAL_NUMBER}9,protocol,keep,yes\n"
        f"donor,{HOSPITAL_NUMBER},protocol,keep,yes\n",
        encoding="utf-8",
    )


PLANTS: dict[str, Callable[[Path], object]] = {
    "identity number in a comment": lambda s: add_column(s, "donors.csv", "comment", IDENTITY_NUMBER),
    "identity number with blanks": lambda s: add_column(s, "donors.csv", "comment", "110105 19491231 002X"),
    "identity number in full-width digits": lambda s: add_column(
        s, "donors.csv", "comment", "１１０１０５１９４９１２３１００２Ｘ"
    ),
    "mobile in a free column": lambda s: add_column(s, "specimens.csv", "x_note", f"call {MOBILE}"),
    "e-mail in labs": lambda s: add_column(s, "clinical_labs.csv", "comment", EMAIL),
    "name in a remark": lambda s: add_column(s, "cultures.csv", "comment", f"{LONG_NAME}复查"),
    "relative in a remark": lambda s: add_column(s, "cultures.csv", "x_note", f"家属{NAME}来电"),
    "hospital number in a remark": lambda s: add_column(s, "donors.csv", "comment", f"住院号{RECORD_NUMBER}"),
    "record number in a remark": lambda s: add_column(s, "donors.csv", "comment", f"MRN {RECORD_NUMBER}"),
    "given name in a code column": lambda s: replace(s, "donors.csv", "D02,apap,female", f"D02,apap,{GIVEN_NAME}"),
    "name in a code column": lambda s: replace(s, "donors.csv", "D02,apap,female", f"D02,apap,{NAME}"),
    "name as donor": lambda s: replace(s, "donors.csv", "D03,control", f"{NAME},control"),
    "hospital number as donor": lambda s: replace(s, "donors.csv", "D03,control", "P00123456,control"),
    "hospital number in several tables": hospital_number_everywhere,
    "number as operator": lambda s: add_column(s, "cultures.csv", "operator_code", MOBILE),
    "calendar date in a comment": lambda s: add_column(s, "specimens.csv", "comment", "lavage 2023-03-05"),
    "date of birth column": lambda s: add_column(s, "donors.csv", "Date of Birth", "1970-01-01"),
    "name column": lambda s: add_column(s, "donors.csv", "Patient Name", "Li"),
    "Chinese name column": lambda s: add_column(s, "donors.csv", "姓名", NAME),
    "Chinese telephone column": lambda s: add_column(s, "donors.csv", "联系电话", MOBILE),
    "heading": lambda s: add_column(s, "donors.csv", f"x_{MOBILE}", "1"),
    "measurement": lambda s: add_column(s, "measurements.csv", "comment", f"by {EMAIL}"),
    "study title": lambda s: replace(s, "study.yaml", "A small study for tests", f"Study of {EMAIL}"),
    "study label": lambda s: replace(s, "study.yaml", "label: AM alone", f"label: {MOBILE}"),
    "patient in the title": lambda s: replace(s, "study.yaml", "A small study for tests", f"患者 {NAME} 的研究"),
    "patient in the title without blanks": lambda s: replace(
        s, "study.yaml", "A small study for tests", f"患者{NAME}的研究"
    ),
    "name as title": lambda s: replace(s, "study.yaml", "A small study for tests", LONG_NAME),
    "name as label": lambda s: replace(s, "study.yaml", "label: Control", f"label: {NAME}"),
    "name as source of controls": lambda s: replace(s, "study.yaml", "diagnostic lavage", f"病人{NAME}"),
    "group code list": lambda s: replace(s, "study.yaml", "diagnostic lavage", f"from {IDENTITY_NUMBER}"),
    "file name": lambda s: (s / f"notes {IDENTITY_NUMBER}.txt").write_text("x", encoding="utf-8"),
    "instrument file name": lambda s: (
        (s / "phenotype" / "fcs").mkdir(parents=True),
        (s / "phenotype" / "fcs" / f"{MOBILE}.fcs").write_bytes(b""),
    ),
    "name in a file name": lambda s: named(s, f"{LONG_NAME} 病历.txt"),
    "name beside a date in a file name": lambda s: named(s, f"cytokines/raw/2023年3月5日 {NAME}.csv"),
    "name in a folder's name": lambda s: named(s, f"phenotype/fcs/{NAME}_1/a.fcs"),
    "workbook property": lambda s: workbook(s, _properties),
    "property of a workbook called csv": lambda s: disguised(s, "deviations.csv"),
    "property of an instrument's workbook": lambda s: disguised(s, "cytokines/raw/plate.xlsx"),
    "property of an open document": lambda s: open_document(s, "meta.xml", f"<m><creator>{EMAIL}</creator></m>"),
    "comment of an open document": lambda s: open_document(
        s, "content.xml", f"<c><cell>5</cell><annotation><p>call {MOBILE}</p></annotation></c>"
    ),
    "hospital number in a cell comment": lambda s: workbook(s, noted(f"住院号{RECORD_NUMBER}")),
    "record number in a cell comment": lambda s: workbook(s, noted(f"MRN {RECORD_NUMBER}")),
    "name in a cell comment": lambda s: workbook(s, noted(f"{LONG_NAME}复查")),
    "relative in a cell comment": lambda s: workbook(s, noted(f"家属{NAME}来电")),
    "sheet name": lambda s: workbook(s, _sheet_name),
    "cell comment": lambda s: workbook(s, _comment),
}


def everything_written(folder: Path) -> bytes:
    return b"".join(str(p).encode() + (p.read_bytes() if p.is_file() else b"") for p in folder.rglob("*"))


@pytest.mark.parametrize("place", PLANTS, ids=lambda p: p.replace(" ", "-"))
def test_a_planted_identity_stops_everything(
    place: str, small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, out = tmp_path / "cache", tmp_path / "out"
    monkeypatch.setenv("APAP_CACHE", str(cache))
    PLANTS[place](small_study)
    said = [
        CliRunner().invoke(app, args)
        for args in (
            ["check", str(small_study)],
            ["check", str(small_study), "--json"],
            ["check", str(small_study), "--csv"],
            ["report", str(small_study), "--out", str(out)],
        )
    ]
    assert [r.exit_code for r in said] == [1, 1, 1, 1], said[0].output
    codes = {p["code"] for p in json.loads(said[1].output) if p["severity"] == "error"}
    assert codes & RULES, f"refused for another reason: {codes}"
    assert not out.exists() or not any(p.is_file() and p.name != ".apap-lock" for p in out.rglob("*"))
    written = everything_written(out) + everything_written(cache) + "".join(r.output for r in said).encode()
    squeezed = written.replace(b" ", b"").replace(b"\n", b"")
    for secret in SECRETS:
        assert secret.encode() not in written
        assert secret.encode() not in squeezed
    assert "１１０１０５１９４９" not in written.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("file", "heading"), [("cultures.csv", "comment"), ("specimens.csv", "x_note"), ("deviations.csv", "rule")]
)
def test_a_lone_word_that_could_be_a_name_is_a_warning_and_reaches_nothing(
    file: str, heading: str, small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, out = tmp_path / "cache", tmp_path / "out"
    monkeypatch.setenv("APAP_CACHE", str(cache))
    (small_study / "deviations.csv").write_text(
        "entity,entity_id,code,decision,decided_before_unblinding\nculture,C07,protocol,exclude,yes\n", encoding="utf-8"
    )
    add_column(small_study, file, heading, NAME)
    checked = CliRunner().invoke(app, ["check", str(small_study)])
    assert checked.exit_code == 0, checked.output
    assert "could be a person's name" in checked.output
    built = CliRunner().invoke(app, ["report", str(small_study), "--out", str(out), "--only", "00_data_check"])
    assert built.exit_code == 0, built.output
    assert (out / "tables" / "problems.csv").exists() or (out / "00_data_check.html").exists()
    written = everything_written(out) + everything_written(cache) + (checked.output + built.output).encode()
    assert NAME.encode() not in written
    assert NAME.encode("utf-16-le") not in written


def test_what_could_not_be_looked_at_is_said_once(small_study: Path) -> None:
    from helpers.study.opening import check_study

    for name in ("a.xls", "b.xls"):
        (small_study / "cytokines" / "raw").mkdir(parents=True, exist_ok=True)
        (small_study / "cytokines" / "raw" / name).write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    said = [p for p in check_study(small_study) if p.code == "properties-not-read"]
    assert [(p.severity, p.file) for p in said] == [("warning", "cytokines/raw/a.xls")]


def test_who_saved_a_workbook_is_a_warning(small_study: Path) -> None:
    def author(book: openpyxl.Workbook) -> None:
        book.properties.creator = NAME

    workbook(small_study, author)
    result = CliRunner().invoke(app, ["check", str(small_study)])
    assert result.exit_code == 0, result.output
    assert "could be a person's name" in result.output
    assert NAME not in result.output


HARMLESS: dict[str, Callable[[Path], object]] = {
    "registry and sponsor numbers": lambda s: replace(
        s, "study.yaml", "A small study for tests", "NCT05640687, sponsor 2020132, ChiCTR2000030138"
    ),
    "coded Chinese values": lambda s: replace(s, "donors.csv", "female,51", "女,51"),
    "Chinese tissue": lambda s: replace(s, "msc_lots.csv", "umbilical_cord", "脐带"),
    "Chinese smoking": lambda s: replace(s, "donors.csv", "none,current", "无,吸烟"),
    "the plan's own dates": lambda s: replace(
        s,
        "study.yaml",
        "simulated: true",
        "simulated: true\nplan: {date: 2022-01-03, url: 'https://example.org/plan'}\nfirst_unblinding_date: 2023-02-01",
    ),
    "Chinese labels": lambda s: replace(s, "study.yaml", "label: Control", "label: 对照组"),
    "Chinese title": lambda s: replace(
        s, "study.yaml", "A small study for tests", "间充质干细胞对自身免疫性肺泡蛋白沉积症患者肺泡巨噬细胞的作用"
    ),
    "labels of conditions": lambda s: [
        replace(s, "study.yaml", before, f"label: {label}")
        for before, label in (
            ("label: aPAP", "肺泡蛋白沉积症"),
            ("label: Control", "健康对照"),
            ("label: AM alone", "单独培养"),
            ("label: MSC alone", "间充质干细胞"),
        )
    ],
    "laboratory words": lambda s: add_column(s, "cultures.csv", "comment", "石蜡"),
    "file names in Chinese": lambda s: [
        named(s, f"{n}.txt") for n in ("原始数据", "方案 2", "时间点_1", "平板一", "石蜡切片", "单核细胞", "对照组")
    ],
    "units and umlauts": lambda s: add_column(s, "cultures.csv", "comment", "Müller agar 5 µg/ml at 37 °C"),
    "catalogue number": lambda s: (
        replace(s, "msc_lots.csv", "msc_lot_id,tissue,passage", "msc_lot_id,tissue,passage,catalogue_no"),
        replace(s, "msc_lots.csv", ",5\n", ",5,130-096-535\n"),
    ),
}


@pytest.mark.parametrize("place", HARMLESS, ids=lambda p: p.replace(" ", "-"))
def test_no_false_alarm(place: str, small_study: Path) -> None:
    HARMLESS[place](small_study)
    result = CliRunner().invoke(app, ["check", str(small_study)])
    assert result.exit_code == 0, result.output


def test_an_identity_in_a_notebook_parameter_is_refused(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notebook would write its parameter down; it does so with a donor's code, and is not run with an identity."""
    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "cache"))
    said, source = tmp_path / "said.txt", tmp_path / "10_one.ipynb"
    parameters = nbformat.v4.new_code_cell('study: str = ""\nout: str = ""\ndonor: str = ""')
    parameters.metadata["tags"] = ["parameters"]
    cells = [parameters, nbformat.v4.new_code_cell(f"open({str(said)!r}, 'w').write(donor)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source)
    for secret in (IDENTITY_NUMBER, MOBILE, EMAIL, NAME):
        with pytest.raises(WrongParameter, match="looks like an identity") as refused:
            render(source, {"donor": secret}, small_study, "digest", "small")
        assert secret not in str(refused.value)
        assert not said.exists()
        assert secret.encode() not in everything_written(tmp_path / "cache")
    assert render(source, {"donor": "D01"}, small_study, "digest", "small").failed == ""
    assert said.read_text() == "D01"


def test_what_is_too_large_to_be_looked_at_is_said_for_every_file(
    small_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from helpers.study.opening import check_study

    def author(book: openpyxl.Workbook) -> None:
        book.properties.creator = NAME

    workbook(small_study, author)
    assert {p.code for p in check_study(small_study)} & {"texts-not-read"} == set()
    monkeypatch.setattr("helpers.readers.sheets.MOST_TEXT", 100)
    monkeypatch.setenv(
        "APAP_CACHE", str(small_study.parent / "of other code")
    )  # a limit is code, by which a cache is told
    said = [p for p in check_study(small_study) if p.code == "texts-not-read"]
    assert [p.severity for p in said] == ["warning"] and said[0].file.endswith(".xlsx")
    assert "properties" in said[0].found and NAME not in str(said[0])
