"""Plain plate tables: what people type and FlowJo writes, the same in other clothes, and broken ones."""

from __future__ import annotations

import io
import math
import random
import re
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.core.problems import Problem, Refused
from helpers.readers.plain_plate import (
    Cells,
    decimal_mark,
    fold,
    is_plain_plate,
    read_plain_plate,
    role_by,
    sheet_texts,
    table_of,
    well_of,
)
from helpers.readers.plate import ANALYTES, CURVES, STANDARDS, WELLS, Plate

LONG = (
    "Well,Sample,Analyte,MFI,Bead_Count,Dilution,Expected_pg_ml,Conc\n"
    "A1,Standard1,IL-6,9000.5,80,,1000,1012.5\n"
    "A1,Standard1,IL-8,8000.5,75,,800,801\n"
    "B1,Standard2,IL-6,2100.5,91,,250,248\n"
    "B1,Standard2,IL-8,1800.5,66,,200,OOR >\n"
    "C1,Blank,IL-6,20.5,70,,,\n"
    "C1,Blank,IL-8,22.5,71,,,\n"
    "D1,D07 AM,IL-6,80.5,72,2,,< 3.5\n"
    "D1,D07 AM,IL-8,120.5,73,2,,*0.25\n"
)
WIDE = (
    "well,sample,dilution,IL-6,IL-8,TNF\n"
    "A1,S1,1,9000.5,8000.5,7000.5\n"
    "B1,S2,1,2100.5,1800.5,1500.5\n"
    "C1,QC1,2,1200.5,1100.5,1000.5\n"
    "D1,D07 AM,2,80.5,120.5,33.5\n"
    "E1,D07 AM+MSC,2,60.5,220.5,31.5\n"
)


def read(text: str | bytes, file: str = "plate.csv") -> Plate:
    (plate,) = read_plain_plate(text.encode("utf-8") if isinstance(text, str) else text, file)
    return plate


def codes(plate: Plate) -> set[str]:
    return {p.code for p in plate.problems}


def problem(plate: Plate, code: str) -> Problem:
    return next(p for p in plate.problems if p.code == code)


def refusal(text: str | bytes) -> list[Problem]:
    with pytest.raises(Refused) as caught:
        read(text)
    assert all(p.file == "plate.csv" and p.message and p.fix for p in caught.value.problems)
    return [p for p in caught.value.problems if p.severity == "error"]


def book(*sheets: tuple[str, list[list[object]]]) -> bytes:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets:
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def cells_of(text: str) -> list[list[object]]:
    def value(cell: str) -> object:
        return float(cell) if re.fullmatch(r"\d+(\.\d+)?", cell) else cell or None

    return [[value(cell) for cell in line.split(",")] for line in text.splitlines()]


# ---- what is read


def test_a_long_table() -> None:
    plate = read(LONG)
    wells = plate.wells
    assert (plate.layout, plate.number, plate.software) == ("plain", 1, "")
    assert wells["mfi"].tolist() == [9000.5, 8000.5, 2100.5, 1800.5, 20.5, 22.5, 80.5, 120.5]
    assert wells["bead_count"].tolist()[:2] == [80, 75] and wells["dilution"].tolist()[6:] == [2, 2]
    assert wells["role"].tolist()[::2] == ["standard", "standard", "blank", "sample"]
    assert wells["state"].tolist() == ["measured", "measured", "measured", "above", "not_available", "not_available", "below", "extrapolated"]  # fmt: skip
    assert wells["conc"].tolist()[6:] == [3.5, 0.25]
    assert plate.standards[["analyte", "level", "expected"]].to_numpy().tolist() == [["IL-6", 1, 1000], ["IL-8", 1, 800], ["IL-6", 2, 250], ["IL-8", 2, 200]]  # fmt: skip
    assert plate.analytes[["analyte", "unit"]].to_numpy().tolist() == [["IL-6", "pg/ml"], ["IL-8", "pg/ml"]]
    assert plate.problems == ()


def test_a_wide_table() -> None:
    plate = read(WIDE)
    assert plate.wells["analyte"].tolist() == ["IL-6", "IL-8", "TNF"] * 5
    assert plate.wells["mfi"].tolist()[:4] == [9000.5, 8000.5, 7000.5, 2100.5]
    assert plate.wells["well"].tolist()[::3] == ["A1", "B1", "C1", "D1", "E1"]
    assert plate.wells["role"].tolist()[::3] == ["standard", "standard", "control", "sample", "sample"]
    assert plate.wells["dilution"].tolist()[::3] == [1, 1, 2, 2, 2]
    assert plate.wells["state"].isna().all(), "the table has no concentrations"
    assert plate.problems == ()


@pytest.mark.parametrize("text", [LONG, WIDE])
def test_columns_and_types_of_the_contract(text: str) -> None:
    plate = read(text)
    for table, columns in ((plate.wells, WELLS), (plate.averages, WELLS), (plate.standards, STANDARDS), (plate.curves, CURVES), (plate.analytes, ANALYTES)):  # fmt: skip
        assert {c: str(t) for c, t in table.dtypes.items()} == columns


def test_a_flowjo_table_of_legendplex() -> None:
    text = (
        ",A4 | Median (PE),A5 | Median (PE),\n"
        "01-Well-A1.fcs,1200,33.5,\n02-Well-A2.fcs,800,12,\nMean,1000,22.75,\nSD,282.8,15.2,\n"
    )
    plate = read(text)
    assert plate.wells[["sample", "analyte", "mfi"]].to_numpy().tolist() == [
        ["01-Well-A1.fcs", "A4", 1200], ["01-Well-A1.fcs", "A5", 33.5], ["02-Well-A2.fcs", "A4", 800], ["02-Well-A2.fcs", "A5", 12],
    ]  # fmt: skip
    assert problem(plate, "statistics-rows").row == 4
    assert {"statistic-in-heading", "no-wells"} <= codes(plate)
    assert [p.code for p in refusal(text.replace("A5 | Median (PE)", "A5 | Count"))] == ["mixed-statistics"]


def test_a_sample_called_mean_is_kept_where_wells_are_named_or_rows_follow() -> None:
    assert len(read("well,sample,IL-6,IL-8\nA1,D1,1,2\nA2,Mean,3,4\n").wells) == 4
    assert len(read("sample,IL-6,IL-8\nMean,1,2\nD1,3,4\n").wells) == 4


@pytest.mark.parametrize(
    ("heading", "meaning"),
    [("OD450", "mfi"), ("OD 450 nm", "mfi"), ("signal", "mfi"), ("FI", "mfi"), ("Absorbance", "mfi"), ("Net MFI", "net_mfi")],
)  # fmt: skip
def test_names_of_the_signal(heading: str, meaning: str) -> None:
    plate = read(f"Position,Sample ID,Cytokine,{heading}\nA1,x,IL-6,1.25\n")
    assert plate.wells[["well", "sample", "analyte", meaning]].to_numpy().tolist() == [["A1", "x", "IL-6", 1.25]]


def test_units_of_concentrations() -> None:
    text = "well,sample,analyte,OD,expected (ng/mL),conc (ng/mL)\nA1,S1,IL-6,1,5,5.1\n"
    assert read(text).analytes["unit"].tolist() == ["ng/mL"]
    assert [p.code for p in refusal(text.replace("conc (ng/mL)", "conc (pg/ml)"))] == ["units-differ"]


def test_plates_by_a_column() -> None:
    text = "plate,well,sample,analyte,mfi\nP1,A1,a,IL-6,1\nP2,A1,b,IL-6,2\nP1,A2,c,IL-6,3\nP2,A2,d,IL-6,x\n"
    first, second = read_plain_plate(text.encode(), "plate.csv")
    assert (first.number, second.number) == (1, 2)
    assert first.wells["mfi"].tolist() == [1, 3]
    assert "not-a-number" not in codes(first) and problem(second, "not-a-number").row == 5
    assert {"several-plates"} <= codes(first) & codes(second)
    assert "no-plate-name" in {p.code for plate in read_plain_plate(text.replace("P2,A2", ",A2").encode(), "x") for p in plate.problems}  # fmt: skip


def test_averages_stand_beside_their_single_wells_only() -> None:
    text = 'well,sample,analyte,mfi\nA1,a,IL-6,1\nA2,a,IL-6,3\n"A1,A2",a,IL-6,2\n"B1,B2",b,IL-6,7\n'
    plate = read(text)
    assert plate.wells["well"].tolist() == ["A1", "A2", "B1,B2"]
    assert plate.averages[["well", "mfi"]].to_numpy().tolist() == [["A1,A2", 2]]


def test_roles_by_a_column_and_by_concentration() -> None:
    plate = read("well,type,sample,analyte,mfi\nA1,Standard,S3,IL-6,1\nA2,B,x,IL-6,2\nA3,unknown,S1,IL-6,3\nA4,C2,y,IL-6,4\nA5,,QC1,IL-6,4\nA6,,,IL-6,4\n")  # fmt: skip
    assert plate.wells["role"].fillna("-").tolist() == ["standard", "blank", "sample", "control", "control", "-"]
    assert plate.wells["level"].fillna(-1).tolist() == [3, -1, -1, 2, 1, -1]
    plate = read("well,sample,analyte,mfi,expected\nA1,pool,IL-6,1,500\nA2,D07,IL-6,2,\n")
    assert plate.wells["role"].tolist() == ["standard", "sample"]
    assert (problem(plate, "standard-by-concentration").row, plate.standards["expected"].tolist()) == (2, [500])


def test_comments_and_unknown_columns_are_said() -> None:
    plate = read("well,sample,analyte,mfi,comment,bead_cuont\nA1,x,IL-6,1,haemolytic,50\n")
    said = {p.column: (p.severity, p.expected) for p in plate.problems if p.code == "column-not-read"}
    assert said == {"comment": ("repaired", ""), "bead_cuont": ("warning", "bead count")}
    assert len(read("well,sample,IL-6,comment\nA1,x,5,haemolytic\n").wells) == 1


def test_sheets_of_a_workbook() -> None:
    data = book(("notes", [["made by"], ["x"]]), ("one", cells_of(WIDE)), ("two", cells_of(LONG)))
    wide, long = read_plain_plate(data, "plate.xlsx")
    assert (wide.number, long.number) == (1, 2)
    pd.testing.assert_frame_equal(wide.wells, read(WIDE).wells)
    pd.testing.assert_frame_equal(long.wells, read(LONG).wells)
    assert [p.sheet for p in wide.problems] == ["notes"] and problem(wide, "sheet-not-read").severity == "repaired"


def test_real_long_tables(reference_data: Path) -> None:
    folder = reference_data / "luminex"
    name = "bioplex_pnLINCO20070302A_tidy.csv"
    table = pd.read_csv(folder / "reference" / name)
    plate = read((folder / "reference" / name).read_bytes())
    assert plate.wells["mfi"].equals(table["fi"]) and plate.averages.empty
    assert plate.wells["well"].tolist() == table["well"].tolist()
    assert plate.wells["expected"].dropna().tolist() == table.loc[table["exp_conc"].notna(), "exp_conc"].tolist()
    want = table["obs_conc"].astype(str).str.match(r"\*?\d")
    assert plate.wells["conc"].notna().tolist() == want.tolist()
    numbers = table.loc[want, "obs_conc"].astype(str).str.removeprefix("*").astype(float)
    assert plate.wells.loc[want, "conc"].tolist() == numbers.tolist()
    assert (plate.wells["state"] == "below").sum() == (table["obs_conc"] == "OOR <").sum()
    table = pd.read_csv(folder / "ncal" / "nCal_hier_model_ex2.csv")
    plate = read((folder / "ncal" / "nCal_hier_model_ex2.csv").read_bytes())
    assert plate.wells["mfi"].tolist() == table["fi"].tolist()
    assert plate.wells["expected"].tolist() == table["expected_conc"].tolist()
    assert set(plate.wells["role"]) == {"standard"} and "no-wells" in codes(plate)


# ---- the same in other clothes


def commas(text: str) -> str:
    return re.sub(r"(?<=\d)\.(?=\d)", "@", text).replace(",", ";").replace("@", ",")


REWRITTEN: dict[str, Callable[[str], bytes]] = {
    "windows lines": lambda t: t.replace("\n", "\r\n").encode(),
    "mark": lambda t: t.encode("utf-8-sig"),
    "utf-16": lambda t: t.encode("utf-16"),
    "semicolons": lambda t: t.replace(",", ";").encode(),
    "decimal commas": lambda t: commas(t).encode(),
    "decimal commas, tabs": lambda t: commas(t).replace(";", "\t").encode(),
    "decimal commas, quoted": lambda t: commas(t).replace(";", "@").replace(",", ";").replace("@", '","').replace("\n", '"\n"').replace(";", ",").join('""').removesuffix('""').encode(),
    "separator named": lambda t: ("sep=;\n" + t.replace(",", ";")).encode(),
    "trailing commas": lambda t: t.replace("\n", ",,\n").encode(),
    "empty lines": lambda t: ("\n\n" + t.replace("\n", "\n\n")).encode(),
    "blanks": lambda t: t.replace(",", " ,  ").encode(),
    "capitals": lambda t: "\n".join([t.split("\n")[0].replace("sample", "SAMPLE").replace("well", "WELL"), *t.split("\n")[1:]]).encode(),
    "wells of two digits": lambda t: re.sub(r"(?m)^([A-H])(\d),", r"\g<1>0\2,", t).encode(),
    "workbook": lambda t: book(("data", cells_of(t))),
    "workbook of texts": lambda t: book(("data", [x.split(";") for x in commas(t).splitlines()])),
    "workbook away from the corner": lambda t: book(("data", [[None], [None], *cells_of(t)])),
}  # fmt: skip


@pytest.mark.parametrize("how", REWRITTEN)
@pytest.mark.parametrize("text", [LONG, WIDE], ids=["long", "wide"])
def test_a_rewritten_table_gives_the_same_plate(text: str, how: str) -> None:
    plate, want = read(REWRITTEN[how](text)), read(text)
    pd.testing.assert_frame_equal(plate.wells, want.wells)
    pd.testing.assert_frame_equal(plate.standards, want.standards)
    assert not any(p.severity == "error" for p in plate.problems)


def test_long_and_wide_of_the_same_plate() -> None:
    rows = [line.split(",") for line in WIDE.splitlines()]
    long = "well,sample,dilution,analyte,signal\n" + "".join(
        ",".join([*row[:3], analyte, signal]) + "\n" for row in rows[1:] for analyte, signal in zip(rows[0][3:], row[3:], strict=True)
    )  # fmt: skip
    pd.testing.assert_frame_equal(read(long).wells, read(WIDE).wells)


# ---- what is no plate


@pytest.mark.parametrize(
    "text",
    [
        "", "hello", "a,b\n1,2\n", ",1,2,3\nA,0.1,0.2,0.3\nB,0.4,0.5,0.6\n", "donor_id,age_years\nD01,44\n",
        "plate_id,well,role,level,sample_id,dilution,use\nP1,A1,standard,1,,1,y\n", "sample,analyte,ec\nS1,FGF,3450\n",
        "sample_id,analyte,replicate,value\nx,IL-6,1,5\n", "Plate,Group,Location,Well ID,IL-6\nP1,MSC,A6,14,5\n",
        "well,sample,note\nA1,x,good\n",
    ],
)  # fmt: skip
def test_other_tables_are_no_plates(text: str) -> None:
    assert not is_plain_plate(text)
    assert refusal(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("well,sample,OD\nA1,x,1\n", "no-analyte"), ("well,sample,IL-6 (pg/ml),IL-8\nA1,x,1,2\n", "concentrations"),
        ("well,sample,IL-6,expected\nA1,x,1,2\n", "long-column"), ("well,sample,analyte,mfi,signal\nA1,x,IL-6,1,2\n", "doubled-column"),
        ("well,sample,analyte,mfi,mfi\nA1,x,IL-6,1,2\n", "duplicate-heading"), ("well,sample,analyte,mfi\n", "empty-table"),
        ("well,sample,analyte,mfi\nA1,x,IL-6,1,2\n", "long-row"), ("well,sample,analyte,mfi,conc\nA1,x,IL-6,1,5,\nA2,x,IL-6,2,5,\n", "long-row"), (",well,sample,analyte,mfi\n0,A1,x,IL-6,1\n", "no-heading"),
        ("well,sample,dilutoin,IL-6\nA1,x,2,1\n", "odd-heading"), ("\0\1\2" * 99, "not-text"), ('well,sample,analyte,mfi\nA1,x,"IL-6,1\nA2,x,IL-6,2\n', "open-quote"),
    ],
)  # fmt: skip
def test_what_cannot_be_trusted_is_refused(text: str, code: str) -> None:
    assert code in {p.code for p in refusal(text)}


@pytest.mark.parametrize(
    ("old", "new", "code", "row", "column"),
    [
        ("2100.5", "high", "not-a-number", 4, "MFI"), ("2100.5", '"2,100"', "not-a-number", 4, "MFI"), (",91,", ",9.5,", "not-a-count", 4, "Bead_Count"),
        (",91,", ",-9,", "not-a-count", 4, "Bead_Count"), ("72,2,", "72,none at all,", "not-a-dilution", 8, "Dilution"), ("< 3.5", "low", "not-a-concentration", 8, "Conc"),
        (",250,", ",-250,", "not-a-number", 4, "Expected_pg_ml"), ("B1,Standard2,IL-6", "Z1,Standard2,IL-6", "not-a-well", 4, "Well"),
        ("B1,Standard2,IL-6", ",Standard2,IL-6", "not-a-well", 4, "Well"), ("Blank,IL-8", "Blank,", "no-analyte", 7, "Analyte"), ("B1,Standard2,IL-8", "A1,Standard2,IL-8", "doubled-well", 5, ""),
    ],
)  # fmt: skip
def test_errors_of_cells_have_their_place_and_the_rest_is_read(old: str, new: str, code: str, row: int, column: str) -> None:  # fmt: skip
    assert old in LONG
    plate = read(LONG.replace(old, new, 1))
    hit = problem(plate, code)
    assert (hit.severity, hit.row, hit.column) == ("error", row, column)
    want = read(LONG).wells
    if column == "MFI":
        assert "two ways" in hit.message or hit.found == "high"
        assert math.isnan(plate.wells["mfi"].iloc[2])
    pd.testing.assert_frame_equal(plate.wells.drop(index=row - 2), want.drop(index=row - 2))


def test_warnings_of_wells() -> None:
    plate = read(WIDE.replace("1100.5", "").replace("QC1,2", "QC1,0.02"))
    assert (problem(plate, "empty-signal").row, problem(plate, "dilution-below-1").row) == (4, 4)
    plate = read("".join(x for x in LONG.splitlines(True) if "D07 AM,IL-8" not in x))
    assert (problem(plate, "missing-rows").severity, problem(plate, "missing-rows").found) == ("warning", "D1")


def test_identities_in_samples_are_not_printed() -> None:
    text = LONG.replace("B1,Standard2,IL-6", "张伟 13800138000,Standard2,IL-6")
    assert "13800138000" not in " ".join(map(str, read(text).problems))


def blank_error_cells() -> bytes:
    made = openpyxl.Workbook()
    sheet = made.active
    for row in cells_of(WIDE):
        sheet.append(row)
    sheet["D3"] = "=1/0"
    sheet["D3"].data_type, sheet["D3"].value = "e", "#DIV/0!"
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def test_an_error_cell_of_a_workbook_is_an_error() -> None:
    plate = read(blank_error_cells())
    hit = problem(plate, "not-a-number")
    assert (hit.sheet, hit.row, hit.column, hit.found) == ("Sheet", 3, "IL-6", "#DIV/0!")


def test_a_date_in_the_place_of_a_number_is_an_error() -> None:
    import datetime

    rows = cells_of(WIDE)
    rows[1][3] = datetime.date(2024, 5, 3)
    hit = problem(read(book(("data", rows))), "not-a-number")
    assert (hit.row, hit.column) == (2, "IL-6") and "2024" not in str(hit)


def junk_cell(draw: random.Random, rows: list[list[str]]) -> None:
    rows[draw.randrange(1, len(rows))][draw.choice([0, 3])] = draw.choice(["junk", "12 34", "#REF!", "1e999", "I99", "--", "1,5,5"])  # fmt: skip


def cell_lost(draw: random.Random, rows: list[list[str]]) -> None:
    del draw.choice(rows[1:])[draw.randrange(4)]


def cell_more(draw: random.Random, rows: list[list[str]]) -> None:
    draw.choice(rows[1:]).insert(draw.randrange(4), "7")


def row_twice(draw: random.Random, rows: list[list[str]]) -> None:
    rows.insert(draw.randrange(1, len(rows)), list(draw.choice(rows[1:])))


def rows_merged(draw: random.Random, rows: list[list[str]]) -> None:
    i = draw.randrange(1, len(rows) - 1)
    rows[i : i + 2] = [rows[i] + rows[i + 1]]


def row_cut(draw: random.Random, rows: list[list[str]]) -> None:
    i, at = draw.randrange(1, len(rows)), draw.randrange(1, 5)
    rows[i : i + 1] = [rows[i][:at], rows[i][at:]]


def file_cut(draw: random.Random, rows: list[list[str]]) -> None:
    i, at = draw.randrange(1, len(rows)), draw.randrange(1, 4)
    rows[i:] = [[*rows[i][: at - 1], rows[i][at - 1][: draw.randrange(3)] + "\x1a"]]


def heading_spoilt(draw: random.Random, rows: list[list[str]]) -> None:
    i = draw.randrange(4)
    rows[0][i] = draw.choice([rows[0][i][:-1], rows[0][i] + "?", ""])


def heading_twice(draw: random.Random, rows: list[list[str]]) -> None:
    a, b = draw.sample(range(5), 2)
    rows[0][a] = rows[0][b]


def header_lost(draw: random.Random, rows: list[list[str]]) -> None:
    del rows[0]


def open_quote(draw: random.Random, rows: list[list[str]]) -> None:
    row = draw.choice(rows)
    i = draw.randrange(5)
    row[i] = '"' + row[i]


def text_above(draw: random.Random, rows: list[list[str]]) -> None:
    rows.insert(0, [draw.choice(["Plate of Tuesday", "x,y,z", "a,b,c,d,e,f,g,h,i,j"])])


MUTATIONS = [
    junk_cell, cell_lost, cell_more, row_twice, rows_merged, row_cut, file_cut, heading_spoilt, heading_twice,
    header_lost, open_quote, text_above,
]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("text", [LONG, WIDE], ids=["long", "wide"])
@pytest.mark.parametrize("mutate", MUTATIONS)
def test_broken_tables(mutate: Callable[[random.Random, list[list[str]]], None], text: str, seed: int) -> None:
    rows = [line.split(",") for line in text.splitlines()]
    mutate(random.Random(f"{mutate.__name__} {seed}"), rows)
    spoilt = "".join(",".join(row) + "\n" for row in rows)
    assert spoilt != text
    try:
        plates, problems = read_plain_plate(spoilt.encode(), "x.csv"), []
    except Refused as err:
        plates, problems = [], err.problems
    if not plates:
        assert any(p.severity == "error" and p.file == "x.csv" for p in problems)
    elif len(plates) != 1 or not plates[0].wells.equals(read(text).wells):
        said = [p for plate in plates for p in plate.problems if p.severity in ("error", "warning")]
        assert any(p.row or p.column for p in said) or {p.code for p in said} & {"no-wells", "missing-rows"}, "wrong without a word"  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_broken_workbooks(seed: int) -> None:
    draw, data = random.Random(seed), bytearray(book(("data", cells_of(WIDE))))
    if seed % 2:
        del data[draw.randrange(4, len(data)) :]
    else:
        for _ in range(30):
            data[draw.randrange(4, len(data))] = draw.randrange(256)
    try:
        plates, problems = read_plain_plate(bytes(data), "x.xlsx"), []
    except Refused as err:
        plates, problems = [], err.problems
    assert plates or any(p.severity == "error" and p.file == "x.xlsx" for p in problems)
    assert not plates or plates[0].wells.equals(read(WIDE).wells) or plates[0].problems


# ---- parts


@given(st.sampled_from("ABCDEFGHIJKLMNOP"), st.integers(1, 24), st.sampled_from(["", "0", "00"]), st.booleans())
def test_wells_of_every_plate(letter: str, column: int, zeros: str, small: bool) -> None:
    text = f"{letter}{zeros}{column}"
    assert well_of(text.lower() if small else text) == f"{letter}{column}"


@settings(max_examples=200)
@given(st.text(max_size=12))
def test_no_text_breaks_the_parts(text: str) -> None:
    well, factor, mark = well_of(text), fold(text), decimal_mark([text])
    assert well is None or re.fullmatch(r"[A-P]\d{1,2}(,[A-P]\d{1,2})*", well)
    assert factor is None or math.isnan(factor) or factor > 0
    assert mark in ".,"
    assert role_by(text, "")[0] in ("standard", "blank", "control", "sample", None)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 1e6, allow_nan=False).map(lambda v: round(v, 2)), min_size=8, max_size=8),
    st.sampled_from(".,"),
)
def test_numbers_come_back_with_either_decimal_mark(values: list[float], mark: str) -> None:
    table = table_of("mfi\n" + "".join(f'"{v!r}"\n'.replace(".", mark) for v in values), "x.csv", "")
    cells = Cells(table, mark)
    assert cells.numbers("mfi") == values and cells.problems == []
    assert decimal_mark(cells.texts("mfi")) == mark or not any(v % 1 for v in values)


def test_texts_of_sheets_keep_rows_and_numbers() -> None:
    data = book(("a", [[None], ["x\ny", 0.1 + 0.2, 12345678.5, True], [None, "a\tb", '"q"', None]]))
    assert sheet_texts(data, "x.xlsx") == {"a": '\t\t\t\nx y\t0.3\t12345678.5\tTrue\n\ta b\t"""q"""\t\n'}
