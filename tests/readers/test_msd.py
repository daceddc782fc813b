"""MSD tables and plate texts: real files, what was changed on the way to us, and broken ones."""

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

from helpers.core.problems import Problem, Refused
from helpers.readers.msd import is_msd, is_msd_grid, read_msd, read_msd_grid
from helpers.readers.plate import ANALYTES, CURVES, STANDARDS, WELLS, Plate

HEADINGS = "Plate Name,Sample,Assay,Well,Spot,Detection Range,Dilution,Concentration,Signal,Calc. Concentration"
TABLE = (
    "# Experiment 7: Experiment Data Table\n" + HEADINGS + "\n"
    "P1,S001,IL-6,A01,1,In Detection Range,,1000,90000,1004.5\n"
    "P1,S001,IL-8,A01,2,Above Detection Range,,800,70000,812\n"
    "P1,S002,IL-6,B01,1,In Detection Range,,250,21000,248\n"
    "P1,S002,IL-8,B01,2,In Detection Range,,200,18000,199\n"
    "P1,C001,IL-6,C01,1,In Detection Range,2,125,12000,131\n"
    "P1,C001,IL-8,C01,2,In Detection Range,2,100,11000,103\n"
    "P1,D07 AM,IL-6,D01,1,Below Fit Curve Range,2,,80,NaN\n"
    "P1,D07 AM,IL-8,D01,2,Below Detection Range,2,,120,0.04\n"
    "P1,D08 AM,IL-6,E01,1,Above Fit Curve Range,2,,990000,NaN\n"
    "P1,D08 AM,IL-8,E01,2,In Detection Range,2,,5000,51.25\n"
)


def read(text: str) -> Plate:
    (plate,) = read_msd(text.encode("utf-8"), "plate.csv")
    return plate


def codes(plate: Plate) -> set[str]:
    return {p.code for p in plate.problems}


def refused(text: str | bytes, reader: Callable[..., list[Plate]] = read_msd) -> set[str]:
    with pytest.raises(Refused) as caught:
        reader(text.encode("utf-8") if isinstance(text, str) and reader is read_msd else text, "plate.csv")
    assert all(p.file == "plate.csv" and p.message and p.fix for p in caught.value.problems)
    return {p.code for p in caught.value.problems if p.severity == "error"}


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


# ---- real files


@pytest.fixture
def folder(reference_data: Path) -> Path:
    return reference_data / "luminex" / "msd"


def test_real_table_with_detection_range(folder: Path) -> None:
    data = (folder / "msd_workbench_test_1.csv").read_bytes()
    assert is_msd(data.decode())
    (plate,) = read_msd(data, "raw/a.csv")
    wells = plate.wells
    assert wells["well"].tolist() == ["A2", "A1", "A2", "A1"]
    assert wells["analyte"].tolist() == ["Spike (FL.1.5.1)"] * 2 + ["Spike (Wuhan)"] * 2
    assert wells["mfi"].tolist() == wells["net_mfi"].tolist() == [3513, 3328, 341, 315]
    assert wells["expected"].tolist() == [54.2, 54.2, 331, 331]
    assert set(wells["state"]) == {"above"} and wells["conc"].isna().all(), "a calculated number is no limit"
    assert wells["flag"].tolist()[0] == "Above Detection Range; calculated 53.20256476"
    assert wells["cv_pct"].tolist() == [3.824433694] * 2 + [5.605114729] * 2
    assert wells["recovery_pct"].tolist()[:3] == [98.15971358, 101.6496351, 150.5505864]
    assert set(wells["role"]) == {"standard"} and set(wells["level"]) == {1} and set(wells["kind"]) == {"S1"}
    assert plate.curves["r2"].tolist() == [0.9989664195, 0.9923430361]
    assert plate.analytes["region"].tolist() == ["2", "1"]
    assert plate.averages["well"].tolist() == ["A2,A1"] * 2 and plate.averages["net_mfi"].tolist() == [3420.5, 328]
    said = " ".join(map(str, plate.problems))
    assert "title-not-kept" in codes(plate) and "2BO40" not in said
    assert not any(p.severity in ("error", "quarantine") for p in plate.problems)


def test_real_table_with_standards_and_unknowns(folder: Path) -> None:
    (plate,) = read_msd((folder / "msd_workbench_test_2.csv").read_bytes(), "raw/b.csv")
    wells = plate.wells
    assert len(wells) == 48
    assert wells["role"].value_counts().to_dict() == {"sample": 32, "standard": 16}
    assert plate.standards[["sample", "level", "expected"]].to_numpy().tolist() == [
        [f"S00{i}", i, e] for i, e in enumerate([100, 50, 25, 12.5, 6.25, 3.125, 1.5625, 0], 1)
    ]
    last = wells[wells["sample"] == "S008"]
    assert last["expected"].tolist() == [0, 0] and last["state"].tolist() == ["not_available"] * 2
    unknown = wells[wells["well"] == "A4"].iloc[0]
    assert (unknown["sample"], unknown["dilution"], unknown["mfi"], unknown["conc"]) == ("U001", 1, 2020, 202)
    assert wells.loc[wells["role"] == "sample", "state"].eq("measured").all()
    assert len(plate.averages) == 24 and plate.averages["conc"].iloc[1] == 201


def test_real_workbook(folder: Path) -> None:
    (plate,) = read_msd((folder / "test_msd_workbench_xlsx.xlsx").read_bytes(), "raw/c.xlsx")
    wells = plate.wells.set_index("well")
    assert len(wells) == 24
    assert (wells.loc["A3", "conc"], wells.loc["A3", "expected"], wells.loc["A3", "mfi"]) == (624.46, 666.67, 36127)
    assert wells.loc["G2", "dilution"] == 2 and math.isnan(wells.loc["G1", "dilution"])
    assert wells.loc["G2", "state"] == "not_available"
    not_read = {p.sheet for p in plate.problems if p.code == "sheet-not-read"}
    assert not_read == {"MSD Data", "Chart"}
    warned = next(p for p in plate.problems if p.code == "standard-by-concentration")
    assert (warned.sheet, warned.row) == ("Workbench data", 3)
    assert "Z:" not in " ".join(map(str, plate.problems))


@pytest.mark.parametrize(
    ("name", "plates", "spots", "rows", "cells"),
    [
        ("methodical_test_1.txt", 2, 1, 8, {(1, "A1", "Spot 1"): 12895, (1, "H12", "Spot 1"): 997, (2, "C5", "Spot 1"): 562}),
        ("methodical_test_3.txt", 1, 10, 4, {(1, "A1", "Spot 1"): 315, (1, "A12", "Spot 10"): 405304, (1, "B7", "Spot 7"): 287444}),
        ("methodical_test_4_missing_spots.txt", 1, 10, 8, {(1, "A1", "Spot 3"): 628082, (1, "H12", "Spot 1"): None, (1, "H2", "Spot 10"): 56460}),
    ],
)  # fmt: skip
def test_real_plate_texts(folder: Path, name: str, plates: int, spots: int, rows: int, cells: dict[tuple[int, str, str], float | None]) -> None:  # fmt: skip
    text = (folder / name).read_text(encoding="utf-8")
    assert is_msd_grid(text) and not is_msd(text)
    found = read_msd_grid(text, "raw/p.txt")
    assert [p.number for p in found] == list(range(1, plates + 1))
    for plate in found:
        assert len(plate.wells) == rows * 12 * spots
        assert plate.analytes["analyte"].tolist() == [f"Spot {i}" for i in range(1, spots + 1)]
        assert plate.software == "MMPR 1.0.38"
        assert sum(p.code == "header-not-kept" and p.severity == "repaired" for p in plate.problems) == 1
        assert not any(p.severity == "error" for p in plate.problems)
    for (number, well, analyte), signal in cells.items():
        table = found[number - 1].wells
        own = table[(table["well"] == well) & (table["analyte"] == analyte)]["mfi"]
        assert len(own) == 1 and (signal is None or own.iloc[0] == signal)
    private = ("dmc", "administrator", "danielle", "yehs", "2023", "2024", "22M0T", "2CM0B", "Export", "ECL Results")
    said = " ".join(str(p) for plate in found for p in plate.problems)
    assert not any(word in said for word in private)


def test_every_number_of_a_real_plate_text(folder: Path) -> None:
    """Read once more in another way: the signals in the order of the file."""
    for name in ("methodical_test_1.txt", "methodical_test_3.txt", "methodical_test_4_missing_spots.txt"):
        text = (folder / name).read_text(encoding="utf-8")
        grids = re.findall(r"=Data=+\n.*\n((?:[A-P ] ?\s*\t.*\n|\n)+)", text.replace("\r\n", "\n"))
        want = [int(n) for grid in grids for n in re.findall(r"\d+", grid)]
        found = read_msd_grid(text, name)
        assert [int(v) for plate in found for v in plate.wells["mfi"].dropna()] == want


def test_missing_spots_are_said(folder: Path) -> None:
    text = (folder / "methodical_test_4_missing_spots.txt").read_text(encoding="utf-8")
    (plate,) = read_msd_grid(text, "p.txt")
    said = [p for p in plate.problems if p.code == "missing-spot"]
    assert [p.message.split()[1] for p in said] == ["2", "4", "5", "6", "7", "9"]
    assert [p.row for p in said] == [27, 29, 30, 31, 32, 34] and {p.severity for p in said} == {"warning"}
    empty = plate.wells.groupby("analyte")["mfi"].apply(lambda v: v.isna().all())
    assert set(empty[empty].index) == {f"Spot {i}" for i in (2, 4, 5, 6, 7, 9)}


# ---- tables: what the columns mean


def test_columns_and_types_of_the_contract() -> None:
    plate = read(TABLE)
    for table, columns in ((plate.wells, WELLS), (plate.averages, WELLS), (plate.standards, STANDARDS), (plate.curves, CURVES), (plate.analytes, ANALYTES)):  # fmt: skip
        assert {c: str(t) for c, t in table.dtypes.items()} == columns


def test_states_by_detection_range() -> None:
    wells = read(TABLE).wells
    assert wells["state"].tolist() == ["measured", "above", *["measured"] * 4, "below", "below", "above", "measured"]
    assert wells["conc"].dropna().tolist() == [1004.5, 248, 199, 131, 103, 51.25]
    assert wells["flag"].tolist()[7] == "Below Detection Range; calculated 0.04"
    assert wells["role"].tolist()[::2] == ["standard", "standard", "control", "sample", "sample"]


def test_detection_limits_are_the_limits_of_undiluted_wells() -> None:
    lines = TABLE.splitlines()
    lines = [
        lines[1] + ",Detection Limits: Calc. Low,Detection Limits: Calc. High",
        *(x + ",0.5,900" for x in lines[2:]),
    ]
    text = "\n".join(lines).replace("D07 AM,IL-6,D01,1,Below Fit Curve Range,2", "D07 AM,IL-6,D01,1,Below Fit Curve Range,1") + "\n"  # fmt: skip
    wells = read(text).wells
    assert wells["conc"].tolist()[1] == 900 and wells["state"].tolist()[1] == "above"
    assert wells["conc"].tolist()[6] == 0.5 and math.isnan(wells["conc"].tolist()[7])


def test_unknown_detection_range_is_said() -> None:
    plate = read(TABLE.replace("Below Fit Curve Range", "Somewhere"))
    said = next(p for p in plate.problems if p.code == "unknown-range")
    assert (said.row, said.column, said.found) == (9, "Detection Range", "Somewhere")
    assert plate.wells["state"].tolist()[6] == "not_available"


def test_plates_by_name_each_with_its_own_problems() -> None:
    second = TABLE.replace("P1,", "P2,").split("\n", 2)[2].replace("21000", "x")
    plates = read_msd((TABLE + second).encode(), "two.csv")
    assert [p.number for p in plates] == [1, 2] and [len(p.wells) for p in plates] == [10, 10]
    pd.testing.assert_frame_equal(plates[0].wells, read(TABLE).wells)
    assert "not-a-number" not in codes(plates[0])
    bad = next(p for p in plates[1].problems if p.code == "not-a-number")
    assert (bad.row, bad.column, bad.found) == (15, "Signal", "x")
    assert "P2" not in " ".join(str(p) for plate in plates for p in plate.problems)


def test_an_assay_on_two_spots_gets_the_spot_into_its_name() -> None:
    plate = read(TABLE.replace("IL-8", "IL-6"))
    assert plate.analytes[["analyte", "region"]].to_numpy().tolist() == [["IL-6 (spot 1)", "1"], ["IL-6 (spot 2)", "2"]]


def test_sample_groups_decide_the_role() -> None:
    lines = TABLE.splitlines()[1:]
    groups = ["Sample Group", *["Standards"] * 4, *["Controls - Neg"] * 2, *["Unknowns"] * 4]
    text = "\n".join(f"{g},{line}" for g, line in zip(groups, lines, strict=True)).replace("S00", "cal x") + "\n"
    plate = read(text.replace("C001", "pool").replace("D07 AM", "S1"))
    assert plate.wells["role"].tolist() == [*["standard"] * 4, *["control"] * 2, *["sample"] * 4]


def test_excluded_wells() -> None:
    lines = TABLE.splitlines()[1:]
    words = ["Excluded", "no", "no", "Yes", "no", "maybe", "False", "no", "no", "True", "no"]
    plate = read("\n".join(f"{line},{w}" for line, w in zip(lines, words, strict=True)) + "\n")
    wells = plate.wells
    assert wells["state"].tolist()[2] == "excluded" and wells["conc"].tolist()[2] == 248
    assert wells["flag"].tolist()[8] == "Above Fit Curve Range; excluded"
    assert [p.row for p in plate.problems if p.code == "unknown-excluded"] == [6]


def test_curve_parameters_give_back_the_calculated_concentrations() -> None:
    """Signals made with Workbench's own equation, Top + (Bottom − Top)/(1 + (x/MidPoint)^HillSlope)."""
    bottom, top, middle, slope = 110.0, 1.4e6, 2300.0, 0.95
    head = "Sample,Assay,Well,Spot,Signal,Calc. Concentration,Fit Statistic: RSquared,Algorithm"
    head += "".join(f",Algorithm Parameter: Calc. {p}" for p in ("Top", "Bottom", "MidPoint", "HillSlope"))
    lines = []
    for i, x in enumerate([3.0, 40.0, 900.0], 1):
        y = top + (bottom - top) / (1 + (x / middle) ** slope)
        lines.append(f"U00{i},IL-6,A{i},1,{y!r},{x},0.999,FourPL,{top},{bottom},{middle},{slope}")
    plate = read("\n".join([head, *lines]) + "\n")
    curve = plate.curves.iloc[0]
    assert (curve["model"], curve["g"], curve["r2"]) == ("4pl", 1, 0.999)
    back = curve["a"] + (curve["d"] - curve["a"]) / (1 + (plate.wells["conc"] / curve["c"]) ** curve["b"])
    assert back.tolist() == pytest.approx(plate.wells["mfi"].tolist(), rel=1e-12)
    other = read("\n".join([head, *lines]).replace("FourPL", "FivePL") + "\n").curves.iloc[0]
    assert other["r2"] == 0.999 and pd.isna(other["model"]) and math.isnan(other["a"])


def test_curve_numbers_that_differ_are_left_out() -> None:
    lines = TABLE.splitlines()[1:]
    r2 = ["Fit Statistic: RSquared", "0.99", "0.98", "0.99", "0.98", "0.99", "0.98", "0.99", "0.5", "0.99", "0.98"]
    plate = read("\n".join(f"{line},{r}" for line, r in zip(lines, r2, strict=True)) + "\n")
    assert plate.curves["r2"].tolist()[0] == 0.99 and math.isnan(plate.curves["r2"].tolist()[1])
    assert [p.row for p in plate.problems if p.code == "curve-differs"] == [9]


def test_names_of_spots_in_a_plate_text(folder: Path) -> None:
    text = (folder / "methodical_test_3.txt").read_text(encoding="utf-8")
    named = text.replace("Assays   :\t,,,,,,,,,", "Assays   :\tIL-6,IL-8,BSA,BSA,,f,g,h,i,j")
    assert named != text
    (plate,) = read_msd_grid(named, "p.txt")
    assert plate.analytes["analyte"].tolist() == ["IL-6", "IL-8", "BSA (spot 3)", "BSA (spot 4)", "Spot 5", *"fghij"]


# ---- what happens to files on their way


def commas(text: str) -> str:
    """As a program in a country with decimal commas writes it."""
    return re.sub(r"(?<=\d)\.(?=\d)", "@", text).replace(",", ";").replace("@", ",")


REWRITTEN: dict[str, Callable[[str], bytes]] = {
    "windows lines": lambda t: t.replace("\n", "\r\n").encode(),
    "old lines": lambda t: t.replace("\n", "\r").encode(),
    "mark": lambda t: t.encode("utf-8-sig"),
    "utf-16": lambda t: t.encode("utf-16"),
    "semicolons": lambda t: t.replace(",", ";").encode(),
    "decimal commas": lambda t: commas(t).encode(),
    "tabs": lambda t: t.replace(",", "\t").encode(),
    "quoted": lambda t: "".join(",".join(f'"{c}"' for c in x.split(",")) + "\n" for x in t.splitlines()).encode(),
    "trailing commas": lambda t: t.replace("\n", ",,\n").encode(),
    "empty lines": lambda t: t.replace("\n", "\n\n").encode(),
    "title twice": lambda t: (t.split("\n")[0] + "\n" + t).encode(),
    "no title": lambda t: t.split("\n", 1)[1].encode(),
    "blanks": lambda t: t.replace(",", " , ").encode(),
    "capitals": lambda t: t.replace(HEADINGS, HEADINGS.upper()).encode(),
    "columns turned round": lambda t: "".join(",".join(x.split(",")[::-1]) + "\n" for x in t.splitlines()).encode(),
    "workbook": lambda t: book(("notes", [["a"]]), ("data", cells_of(t))),
    "workbook of texts": lambda t: book(("data", [x.split(";") for x in commas(t).splitlines()])),
}


@pytest.mark.parametrize("how", REWRITTEN)
def test_a_rewritten_table_gives_the_same_plate(how: str) -> None:
    (plate,) = read_msd(REWRITTEN[how](TABLE), "x")
    want = read(TABLE)
    pd.testing.assert_frame_equal(plate.wells, want.wells)
    pd.testing.assert_frame_equal(plate.standards, want.standards)
    assert not any(p.severity == "error" for p in plate.problems)


def test_western_text_is_read_with_a_note() -> None:
    (plate,) = read_msd(TABLE.replace("D07 AM", "D07 \u00b5").encode("cp1252"), "x")
    assert plate.wells["sample"].tolist()[6] == "D07 \u00b5" and "cp1252" in codes(plate)


def test_a_comma_of_thousands_is_not_taken_for_a_decimal_comma() -> None:
    plate = read(TABLE.replace(",90000,", ',"90,000",'))
    said = next(p for p in plate.problems if p.code == "not-a-number")
    assert (said.severity, said.row, said.column) == ("error", 3, "Signal") and "two ways" in said.message
    assert math.isnan(plate.wells["mfi"].iloc[0])


# ---- broken files


def lines_of(text: str) -> tuple[list[list[str]], list[list[str]]]:
    rows = [line.split(",") for line in text.splitlines()]
    return rows[:2], rows[2:]


def joined(*parts: list[list[str]]) -> str:
    return "".join(",".join(row) + "\n" for part in parts for row in part)


def junk_cell(draw: random.Random, text: str) -> str:
    head, rows = lines_of(text)
    rows[draw.randrange(len(rows))][draw.choice([3, 5, 6, 7, 8, 9])] = draw.choice(["junk", "12 34", "#REF!", "1e999", "A99", "--"])  # fmt: skip
    return joined(head, rows)


def cell_lost(draw: random.Random, text: str) -> str:
    head, rows = lines_of(text)
    del rows[draw.randrange(len(rows))][draw.randrange(3, 9)]
    return joined(head, rows)


def cell_more(draw: random.Random, text: str) -> str:
    head, rows = lines_of(text)
    rows[draw.randrange(len(rows))].insert(draw.randrange(8), "7")
    return joined(head, rows)


def row_twice(draw: random.Random, text: str) -> str:
    head, rows = lines_of(text)
    rows.insert(draw.randrange(len(rows)), draw.choice(rows))
    return joined(head, rows)


def row_lost(draw: random.Random, text: str) -> str:
    head, rows = lines_of(text)
    del rows[draw.randrange(len(rows))]
    return joined(head, rows)


def rows_merged(draw: random.Random, text: str) -> str:
    lines = text.split("\n")
    i = draw.randrange(2, len(lines) - 2)
    return "\n".join([*lines[:i], lines[i] + lines[i + 1], *lines[i + 2 :]])


def row_cut(draw: random.Random, text: str) -> str:
    head, rows = lines_of(text)
    row = draw.choice(rows)
    at = draw.randrange(1, 9)
    rows[rows.index(row)] = row[:at]
    rows.insert(draw.randrange(len(rows)), row[at:])
    return joined(head, rows)


def file_cut(draw: random.Random, text: str) -> str:
    at = draw.randrange(len("".join(text.splitlines(True)[:3])), len(text))
    return text[: at + 1 if text[at] == "\n" else at]


def heading_spoilt(draw: random.Random, text: str) -> str:
    heading = draw.choice(HEADINGS.split(",")[2:])
    return text.replace(heading, heading[:-1], 1)


def heading_twice(draw: random.Random, text: str) -> str:
    head, rows = lines_of(text)
    head[1][draw.randrange(5)] = draw.choice(head[1][5:])
    return joined(head, rows)


def heading_lost(draw: random.Random, text: str) -> str:
    head, rows = lines_of(text)
    head[1][draw.randrange(10)] = ""
    return joined(head, rows)


def column_lost(draw: random.Random, text: str) -> str:
    at = draw.choice([2, 3])
    return "".join(",".join(x.split(",")[:at] + x.split(",")[at + 1 :]) + "\n" for x in text.splitlines())


def open_quote(draw: random.Random, text: str) -> str:
    head, rows = lines_of(text)
    row = draw.choice(rows)
    at = draw.randrange(10)
    row[at] = '"' + row[at]
    return joined(head, rows)


def zero_byte(draw: random.Random, text: str) -> str:
    at = draw.randrange(len(text))
    return text[:at] + "\0" + text[at:]


MUTATIONS = [
    junk_cell, cell_lost, cell_more, row_twice, row_lost, rows_merged, row_cut, file_cut, heading_spoilt,
    heading_twice, heading_lost, column_lost, open_quote, zero_byte,
]  # fmt: skip


def outcome(reader: Callable[[], list[Plate]]) -> tuple[list[Plate], list[Problem]]:
    """Plates, or the problems of a refusal; any other exception fails the test."""
    try:
        return reader(), []
    except Refused as err:
        return [], err.problems


def judged(reader: Callable[[], list[Plate]], want: pd.DataFrame) -> None:
    """The right table, or a located error or warning: nothing else."""
    plates, problems = outcome(reader)
    if not plates:
        assert any(p.severity == "error" and p.file and p.message and p.fix for p in problems)
        return
    wells = pd.concat([p.wells for p in plates], ignore_index=True)
    if not wells.equals(want):
        said = [p for plate in plates for p in plate.problems if p.severity in ("error", "warning")]
        assert any(p.row or p.column or p.found for p in said), "wrong without a word"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mutate", MUTATIONS)
def test_broken_tables(mutate: Callable[[random.Random, str], str], seed: int) -> None:
    spoilt = mutate(random.Random(f"{mutate.__name__} {seed}"), TABLE)
    assert spoilt != TABLE
    judged(lambda: read_msd(spoilt.encode(), "x.csv"), read(TABLE).wells)


@pytest.mark.parametrize(
    ("old", "new", "code", "row"),
    [
        ("A01,1,In", "A99,1,In", "not-a-well", 3), (",21000,", ",2 1000,", "not-a-number", 5),
        (",199\n", ",about 199\n", "not-a-concentration", 6), (",2,,80,", ",none at all,,80,", "not-a-dilution", 9),
        (",,250,", ",,-250,", "not-a-number", 5), ("D08 AM,IL-6", "D08 AM,", "no-analyte", 11),
        ("E01,2", "D01,2", "doubled-well", 12), ("P1,D07 AM,IL-6", ",D07 AM,IL-6", "no-plate-name", 9),
    ],
)  # fmt: skip
def test_errors_of_cells_have_their_place_and_the_rest_is_read(old: str, new: str, code: str, row: int) -> None:
    assert old in TABLE
    plates = read_msd(TABLE.replace(old, new, 1).encode(), "x.csv")
    hit = next(p for plate in plates for p in plate.problems if p.code == code)
    assert (hit.severity, hit.file, hit.row) == ("error", "x.csv", row)
    assert sum(len(plate.wells) for plate in plates) == 10


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (TABLE.replace(",Well,", ",Where,"), "missing-column"), (TABLE.replace("Assay", "Test"), "missing-column"),
        (TABLE.replace("Spot,", "Well,"), "duplicate-heading"), (TABLE.replace("Dilution", "Dilution Factor,Dilution"), "doubled-column"),
        ("".join(TABLE.splitlines(True)[:2]), "empty-table"), ("hello\n", "not-msd"), ("", "not-msd"), ("\0\1\2" * 99, "not-text"),
        (TABLE.replace("IL-8,C01", "IL-8,C01,C01"), "long-row"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_trusted_are_refused(text: str, code: str) -> None:
    assert code in refused(text)


def test_many_bad_cells_are_counted() -> None:
    body = "".join(f"P1,U{i:03},IL-6,{'ABCDEFGH'[i // 12]}{i % 12 + 1},1,,1,,bad,\n" for i in range(96))
    plate = read(HEADINGS + "\n" + body)
    bad = [p for p in plate.problems if p.code == "not-a-number"]
    assert len(bad) == 21 and "76" in bad[-1].message


def test_a_broken_workbook_is_refused(folder: Path) -> None:
    data = (folder / "test_msd_workbench_xlsx.xlsx").read_bytes()
    assert "damaged-workbook" in refused(data[: len(data) // 2])
    assert "not-msd" in refused(book(("a", [["x", 1]])))


# ---- broken plate texts


@pytest.fixture
def grid(folder: Path) -> str:
    return (folder / "methodical_test_3.txt").read_text(encoding="utf-8").replace("\r\n", "\n")


def line_lost(draw: random.Random, lines: list[str], at: int) -> None:
    del lines[at]


def line_twice(draw: random.Random, lines: list[str], at: int) -> None:
    lines.insert(at, lines[at])


def tab_lost(draw: random.Random, lines: list[str], at: int) -> None:
    cells = lines[at].split("\t")
    i = draw.randrange(1, 12)
    lines[at] = "\t".join([*cells[:i], cells[i] + cells[i + 1], *cells[i + 2 :]])


def tab_more(draw: random.Random, lines: list[str], at: int) -> None:
    cells = lines[at].split("\t")
    cells.insert(draw.randrange(1, 12), " ")
    lines[at] = "\t".join(cells)


def cell_spoilt(draw: random.Random, lines: list[str], at: int) -> None:
    cells = lines[at].split("\t")
    cells[draw.randrange(1, 13)] = draw.choice(["x", "12 34", "1,5", "", "nan"])
    lines[at] = "\t".join(cells)


def letter_spoilt(draw: random.Random, lines: list[str], at: int) -> None:
    lines[at] = draw.choice("BDQ1 ") + lines[at][1:] if lines[at][0] not in " BD" else "?" + lines[at][1:]


def text_between(draw: random.Random, lines: list[str], at: int) -> None:
    lines.insert(at, draw.choice(["hello", "==========Notes=====", "A\tB", "\tx"]))


def cut_here(draw: random.Random, lines: list[str], at: int) -> None:
    lines[at:] = [lines[at][: draw.randrange(len(lines[at]))]]


def tabs_to_blanks(draw: random.Random, lines: list[str], at: int) -> None:
    lines[at] = lines[at].replace("\t", "  ")


GRID_MUTATIONS = [line_lost, line_twice, tab_lost, tab_more, cell_spoilt, letter_spoilt, text_between, cut_here, tabs_to_blanks]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mutate", GRID_MUTATIONS)
def test_broken_plate_texts(grid: str, mutate: Callable[[random.Random, list[str], int], None], seed: int) -> None:
    draw, lines = random.Random(f"{mutate.__name__} {seed}"), grid.split("\n")
    start = next(i for i, line in enumerate(lines) if "=Data=" in line)
    body = [i for i in range(start + 1, start + 46) if "\t" in lines[i]]
    (want,) = read_msd_grid(grid, "x.txt")
    mutate(draw, lines, draw.choice(body))
    spoilt = "\n".join(lines)
    assert spoilt != grid
    plates, problems = outcome(lambda: read_msd_grid(spoilt, "x.txt"))
    if not plates:
        assert any(p.severity == "error" and p.row and p.file == "x.txt" for p in problems)
        return
    wells = plates[0].wells
    if not wells.equals(want.wells):
        right = wells["mfi"].isna() | (wells["mfi"] == want.wells["mfi"])
        assert len(wells) == 480 and right.all(), "a number has moved"
        assert any(p.row and p.column and p.code in ("not-a-number", "empty-signal") for p in plates[0].problems)


def test_a_plate_text_of_384_wells() -> None:
    head = "\t".join([" ", *map(str, range(1, 25))])
    body = "\n".join("\t".join([f"{letter} ", *[str(10 * i + j) for j in range(24)]]) for i, letter in enumerate("ABCDEFGHIJKLMNOP"))  # fmt: skip
    (plate,) = read_msd_grid(f"=====Data=====\n{head}\n{body}\n=====End=====\n", "x.txt")
    assert len(plate.wells) == 384
    assert plate.wells.set_index("well").loc["P24", "mfi"] == 173
    assert plate.problems == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "not-msd"), ("=====Data=====\n", "no-columns"), ("=====Data=====\n \t1\t2\nA\t5\t6\n", "no-columns")],
)
def test_texts_without_a_grid_are_refused(text: str, code: str) -> None:
    assert code in refused(text, read_msd_grid)
