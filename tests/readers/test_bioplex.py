"""Bio-Plex Manager's workbooks: real plates against tables that another parser made, and plates that were damaged."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
import python_calamine
from pandas.testing import assert_frame_equal

from helpers.core.problems import Problem, Refused
from helpers.readers.bioplex import is_bioplex, read_bioplex, workbook_values
from helpers.readers.plate import STATES, WELLS, Plate

Grid = list[list[Any]]
Book = dict[str, Grid]

PLATES = {
    "01-11A12-IgA-Biotin.xls": "bp_01_11A12_IgA_Biotin",
    "04-17A32-IgA-Biotin.xls": "bp_04_17A32_IgA_Biotin",
    "RawAndSummary.xlsx": "bp_RawAndSummary",
    "WithBlankBead.xls": "bp_WithBlankBead",
    "plate 1_IgA-Biot (Standard2).xls": "bp_plate_1_IgA_Biot_Standard2_",
    "pnLINCO20070302A.xls": "bioplex_pnLINCO20070302A",
}
TABLES = ("wells", "averages", "standards", "curves", "analytes")
NUMBERS = [name for name, kind in WELLS.items() if kind == "float64"]


@pytest.fixture(scope="module")
def folder(reference_data: Path) -> Path:
    return reference_data / "luminex"


@cache
def plate_of(folder: Path, name: str) -> Plate:
    (plate,) = read_bioplex((folder / "bioplex" / name).read_bytes(), name)
    return plate


def named(printed: pd.Series) -> pd.Series:
    """Analyte names without their region, but where the plate has two alike."""
    bare = printed.str.replace(r" \(\d+\)$", "", regex=True)
    kinds = pd.DataFrame({"bare": bare, "printed": printed}).drop_duplicates()["bare"].value_counts()
    return bare.where(bare.map(kinds) == 1, printed)


def both(plate: Plate) -> pd.DataFrame:
    """Averages and wells as the reference tables have them, table by table of each analyte."""
    if plate.averages.empty:
        return plate.wells
    blocks = pd.concat([plate.averages.assign(block=1), plate.wells.assign(block=2)])
    order = {name: i for i, name in enumerate(plate.analytes["analyte"])}
    return blocks.sort_values("block", kind="stable").sort_values("analyte", kind="stable", key=lambda a: a.map(order))


def state_of(text: str) -> str:
    if text.startswith("OOR"):
        return "above" if ">" in text else "below"
    return (
        "extrapolated"
        if text.startswith("*") and text != "***"
        else "not_available"
        if text in ("", "***")
        else "measured"
    )


def assert_same(left: Plate, right: Plate) -> None:
    for table in TABLES:
        assert_frame_equal(getattr(left, table), getattr(right, table))


# ---- real plates


@pytest.mark.parametrize("name", PLATES)
def test_tables_equal_those_of_another_parser(folder: Path, name: str) -> None:
    want = pd.read_csv(folder / "reference" / f"{PLATES[name]}_tidy.csv", dtype=str, keep_default_na=False)
    found = both(plate_of(folder, name)).reset_index(drop=True)
    assert len(found) == len(want) > 100
    assert found["analyte"].tolist() == named(want["analyte"]).tolist()
    assert found["well"].tolist() == want["well"].tolist()
    assert found["kind"].tolist() == want["type"].tolist()
    assert found["sample"].fillna("").tolist() == want["description"].tolist()

    def numbers(column: str) -> np.ndarray:
        return pd.to_numeric(want[column].str.removeprefix("*"), errors="coerce").to_numpy()

    columns = {"fi": "mfi", "net": "net_mfi", "cv": "cv_pct", "obs_conc": "conc", "recovery": "recovery_pct"}
    columns |= {"dilution": "dilution"} | ({"bead_count": "bead_count"} if "bead_count" in want else {})
    for theirs, ours in columns.items():
        np.testing.assert_allclose(found[ours].to_numpy(), numbers(theirs), rtol=1e-15, err_msg=ours)  # the last bit
    unset = (want["type"].str.startswith("C") & (want["exp_conc"] == "0.0")).to_numpy()
    np.testing.assert_array_equal(found["expected"].to_numpy(), np.where(unset, np.nan, numbers("exp_conc")))
    outlier = (want.get("outlier", pd.Series("", index=want.index)) == "1").to_numpy()
    states = want["obs_conc"].map(state_of).mask(outlier, "excluded")
    assert found["state"].tolist() == states.tolist()
    assert (found["flag"] == "outlier").fillna(False).tolist() == outlier.tolist()
    assert set(found["state"]) <= set(STATES)


def printed_cells(data: bytes) -> dict[tuple[str, str, bool], tuple[Any, bool]]:
    """Obs Conc of every row as it stands in the workbook, and whether it is an outlier; nothing of our reader.

    Keys are analyte, wells and whether it stands in the first of two tables of its sheet.
    """
    found = {}
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    for sheet in book.sheet_names:
        rows = [
            [str(c).strip() if isinstance(c, str) else c for c in row]
            for row in book.get_sheet_by_name(sheet).to_python()
        ]
        tops = [i for i, row in enumerate(rows) if row and row[0] == "Analyte"]
        for top, end in pairwise([*tops, len(rows)]):
            at = {name: j for j, name in enumerate(rows[top])}
            for row in rows[top + 1 : end]:
                well = str(row[at["Well"]]).replace(" ", "")
                if re.fullmatch(r"[A-P]\d+(,[A-P]\d+)*", well):
                    outlier = row[at["Outlier"]] == 1 if "Outlier" in at else False
                    found[str(row[0]), well, len(tops) > 1 and top == tops[0]] = (row[at["Obs Conc"]], outlier)
    return found


@pytest.mark.parametrize(
    "name",
    [
        *PLATES,
        "pnLINCO20070302A.xlsx",
        "plate 1_IgA-Biot (Standard2).xlsx",
        *(f"Guide Set plate {i}.xls" for i in range(1, 6)),
    ],
)
def test_every_printed_concentration_keeps_its_number_and_state(folder: Path, name: str) -> None:
    """Cell by cell against the workbook itself, taken apart by a few lines of their own."""
    cells = printed_cells((folder / "bioplex" / name).read_bytes())
    plate = plate_of(folder, name)
    rows = {
        (row["analyte"], row["well"], averaged): row
        for table, averaged in ((plate.wells, False), (plate.averages, True))
        for row in table.to_dict("records")
    }
    bare = named(pd.Series([analyte for analyte, _, _ in cells]))
    assert len(rows) == len(cells) > 20
    for ((_, well, first), (cell, outlier)), analyte in zip(cells.items(), bare, strict=True):
        row = rows[analyte, well, first and not plate.averages.empty]
        text = cell if isinstance(cell, str) else ""
        state = "measured" if not isinstance(cell, str) else state_of(text)
        assert row["state"] == ("excluded" if outlier or text == "---" else state), (analyte, well)
        value = (
            cell
            if not isinstance(cell, str)
            else text.removeprefix("*")
            if state in ("measured", "extrapolated")
            else "nan"
        )
        assert row["conc"] == float(value) or np.isnan([row["conc"], float(value)]).all(), (analyte, well)


@pytest.mark.parametrize("name", PLATES)
def test_curves_are_the_printed_ones(folder: Path, name: str) -> None:
    want = pd.read_csv(folder / "reference" / f"{PLATES[name]}_vendor_parameters.csv", dtype={"fit_prob": float})
    found = plate_of(folder, name).curves
    assert found["analyte"].tolist() == named(want["analyte"]).tolist()
    assert found["model"].tolist() == want["model"].str.lower().tolist()
    for ours, theirs in {
        **dict(zip("adcbg", "ADCBG", strict=True)),
        "fit_prob": "fit_prob",
        "res_var": "res_var",
    }.items():
        assert found[ours].tolist() == want[theirs].tolist()
    assert found["equation"].tolist() == want["equation"].str.removeprefix("Std. Curve: ").tolist()


def test_printed_concentrations_are_the_inverted_printed_curves(folder: Path) -> None:
    plate = plate_of(folder, "pnLINCO20070302A.xls")
    rows = plate.wells.merge(plate.curves, on="analyte", suffixes=("", "_curve"))
    rows = rows[(rows["role"] == "sample") & (rows["state"] == "measured")]
    ratio = (rows["d"] - rows["a"]) / (rows["mfi"] - rows["a"])
    inverted = rows["c"] * (ratio ** (1 / rows["g"]) - 1) ** (1 / rows["b"]) * rows["dilution"]
    # FI is printed to 0.1 and a concentration to 0.01: that alone is 1.9 % of the smallest, 0.05 % of the median
    rounding = inverted * np.abs(0.05 / (rows["mfi"] - rows["a"]) * ratio / (ratio - 1) / rows["b"])
    assert len(rows) == 520
    apart = np.abs(inverted - rows["conc"])
    assert (apart <= 0.005 + rounding).all()
    assert (apart / rows["conc"]).median() < 0.0005
    close = apart < 0.002 * rows["conc"]
    assert close[0.005 + rounding < 0.002 * rows["conc"]].all()
    assert close.sum() > 450


@pytest.mark.parametrize("name", ["pnLINCO20070302A", "plate 1_IgA-Biot (Standard2)"])
def test_both_kinds_of_workbook_give_the_same_plate(folder: Path, name: str) -> None:
    old, new = plate_of(folder, f"{name}.xls"), plate_of(folder, f"{name}.xlsx")
    assert_same(old, new)
    assert [(p.code, p.sheet, p.row) for p in old.problems] == [(p.code, p.sheet, p.row) for p in new.problems]


def test_wide_sheets_with_decimal_commas_give_the_same_numbers(folder: Path) -> None:
    wide, usual = plate_of(folder, "derived_pnLINCO_wide_decimal_comma.xlsx"), plate_of(folder, "pnLINCO20070302A.xls")
    assert (wide.layout, usual.layout) == ("bioplex_wide", "bioplex")
    # the wide file has no Outlier column and nothing in the five cells that the other marks ---
    told = ["state", "flag"]
    assert_frame_equal(wide.wells.drop(columns=told), usual.wells.drop(columns=told))
    assert (wide.wells["state"] != usual.wells["state"]).sum() == 5
    assert_frame_equal(wide.standards, usual.standards)
    assert_frame_equal(wide.analytes, usual.analytes)
    assert {p.code for p in wide.problems} == {"decimal-comma", "not-kept"}


def test_means_are_not_counted_beside_single_wells(folder: Path) -> None:
    plate = plate_of(folder, "RawAndSummary.xlsx")
    assert not plate.wells["well"].str.contains(",").any()
    assert plate.averages["well"].str.contains(",").all()
    assert (len(plate.wells), len(plate.averages), len(plate.standards)) == (72, 36, 30)
    first = plate.standards.iloc[0]
    assert (first["analyte"], first["role"], first["level"], first["expected"]) == ("Analyte3", "standard", 1, 500)


def test_only_means_are_the_wells(folder: Path) -> None:
    plate = plate_of(folder, "pnLINCO20070302A.xls")
    assert plate.averages.empty
    assert plate.wells["well"].head(2).tolist() == ["C1,D1", "E1,F1"]
    assert "B6" in set(plate.wells["well"])


@pytest.mark.parametrize(("number", "wells"), [(1, 16), (2, 11), (3, 11), (4, 11), (5, 12)])
def test_guide_sets(folder: Path, number: int, wells: int) -> None:
    plate = plate_of(folder, f"Guide Set plate {number}.xls")
    assert plate.analytes.to_numpy()[:, :2].tolist() == [["GS Analyte A", "1"], ["GS Analyte B", "2"]]
    assert plate.wells.groupby("analyte").size().tolist() == [wells, wells]
    assert plate.wells["mfi"].notna().all()
    assert set(plate.wells["state"]) == {"not_available"}
    assert plate.curves.empty
    assert not [p for p in plate.problems if p.severity == "error"]
    odd = {p.code for p in plate.problems} - {"not-kept"}
    # the first plate holds wells that no plate has, and other ones for each analyte
    assert odd == ({"no-such-well", "well-in-two-rows", "wells-differ"} if number == 1 else set())


def test_guide_set_values_read_by_eye(folder: Path) -> None:
    wells = plate_of(folder, "Guide Set plate 1.xls").wells.set_index(["analyte", "well"])
    row = wells.loc[("GS Analyte A", "A5,B5")]
    assert (row["kind"], row["role"], row["level"], row["sample"]) == ("C5", "control", 5, "Standard1")
    assert (row["mfi"], row["net_mfi"], row["cv_pct"], row["dilution"], row["bead_count"]) == (
        40.5,
        23.3,
        5.24,
        129600,
        100,
    )


def test_one_wide_sheet_with_several_tables(folder: Path) -> None:
    plate = plate_of(folder, "synthetic_bioplex.xlsx")
    assert (plate.layout, len(plate.wells), plate.averages.empty) == ("bioplex_wide", 30, True)
    wells = plate.wells.set_index(["analyte", "well"])
    row = wells.loc[("AN2", "A2")]
    assert (row["mfi"], row["bead_count"], row["role"], row["level"], row["sample"]) == (
        6433.6,
        74,
        "standard",
        1,
        "1/50",
    )
    assert wells.loc[("AN1", "B2"), "kind"] == "N2" and wells.loc[("AN1", "B2"), "role"] == "sample"
    assert plate.analytes["region"].tolist() == ["33", "44"]


def test_nothing_of_persons_and_machines_is_kept(folder: Path) -> None:
    for name in [*PLATES, "Guide Set plate 1.xls", "synthetic_bioplex.xlsx"]:
        plate = plate_of(folder, name)
        everything = " ".join(
            [plate.software, *map(str, plate.problems), *(getattr(plate, t).to_csv() for t in TABLES)]
        )
        for private in (
            "Eckels",
            "Nelson",
            "Supervisor",
            "LX1000",
            "LabKeyTest",
            "Document",
            "CHAVI",
            "Mar-2007",
            "rbx",
            ":\\",
        ):
            assert private not in everything.replace(name, ""), (name, private)
        assert [p.severity for p in plate.problems if p.code == "not-kept"] == ["repaired"]


def test_other_sheets_are_said_once(folder: Path) -> None:
    said = [p for p in plate_of(folder, "pnLINCO20070302A.xls").problems if p.code == "other-sheets"]
    assert [(p.severity, p.found) for p in said] == [("repaired", "Project Template")]


def test_exports_are_told_from_other_workbooks(folder: Path) -> None:
    for path in sorted((folder / "bioplex").glob("*.xls*")):
        sheets, problems = workbook_values(path.read_bytes(), path.name)
        assert is_bioplex(sheets) is (path.name != "synthetic_bioplex_layout.xlsx"), path.name
        assert problems == []
    for path in sorted(folder.rglob("*.xlsx")):
        if path.parent.name != "bioplex":
            assert not is_bioplex(workbook_values(path.read_bytes(), path.name)[0]), path.name


def test_a_workbook_without_wells_is_refused(folder: Path) -> None:
    with pytest.raises(Refused) as caught:
        plate_of(folder, "synthetic_bioplex_layout.xlsx")
    assert caught.value.problems[0].code == "no-data"


# ---- plates written here

HEAD = [
    "Analyte",
    "Type",
    "Well",
    "Outlier",
    "Description",
    "FI",
    "FI - Bkgd",
    "Std Dev",
    "%CV",
    "Obs Conc",
    "Exp Conc",
]
HEAD += ["(Obs/Exp) * 100", "Conc in Range", "Group", "Ratio", "Dilution", "Sampling Errors"]
LEGEND = ["***Value not available / --- = Designated as an outlier"]


def workbook(book: Book) -> bytes:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in book.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append([None if cell == "" else cell for cell in row])
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def read(book: Book) -> Plate:
    (plate,) = read_bioplex(workbook(book), "p.xlsx")
    return plate


def small(**changes: Any) -> Book:
    """One analyte, one row, with other cells where they are given."""
    row = dict.fromkeys(HEAD, "") | {"Analyte": "IL-6 (12)", "Type": "X1", "Well": "A1", "FI": 50.5} | changes
    return {"IL-6 (12)": [["Analyte: IL-6 (12)"], [], HEAD, list(row.values()), [], LEGEND]}


@pytest.mark.parametrize(
    ("text", "value", "state"),
    [
        ("OOR <", np.nan, "below"), ("OOR >", np.nan, "above"), ("*3.42", 3.42, "extrapolated"), ("***", np.nan, "not_available"),
        ("---", np.nan, "excluded"), (12.5, 12.5, "measured"), ("", np.nan, "not_available"), ("12.5", 12.5, "measured"),
    ],
)  # fmt: skip
def test_states_of_a_concentration(text: object, value: float, state: str) -> None:
    plate = read(small(**{"Obs Conc": text}))
    row = plate.wells.iloc[0]
    assert row["state"] == state
    assert row["conc"] == value or (np.isnan(row["conc"]) and np.isnan(value))
    assert plate.problems == ()


def test_an_outlier_is_empty_excluded_and_flagged() -> None:
    row = read(small(**{"FI": "---", "FI - Bkgd": "---", "Outlier": 1})).wells.iloc[0]
    assert (np.isnan(row["mfi"]), row["state"], row["flag"]) == (True, "excluded", "outlier")


def test_sampling_errors_are_words() -> None:
    assert read(small(**{"Sampling Errors": "1,4"})).wells["flag"][0] == "low bead number; region selection"
    assert read(small(**{"Sampling Errors": 5})).wells["flag"][0] == "platform temperature"
    assert read(small()).wells["flag"].isna().all()


@pytest.mark.parametrize(
    ("kind", "sample", "role", "level"),
    [("B", "", "blank", None), ("eS3", "x", "standard", 3), ("C2", "", "control", 2), ("X4", "Standard1", "sample", None), ("", "Std 2", "standard", 2)],
)  # fmt: skip
def test_roles_by_type_and_else_by_description(kind: str, sample: str, role: str, level: int | None) -> None:
    row = read(small(Type=kind, Description=sample)).wells.iloc[0]
    assert (row["role"], None if pd.isna(row["level"]) else row["level"]) == (role, level)


def test_expected_zero_is_unset_for_controls_only() -> None:
    assert np.isnan(read(small(**{"Type": "C1", "Exp Conc": 0})).wells["expected"][0])
    standard = read(small(**{"Type": "S8", "Exp Conc": 0}))
    assert standard.wells["expected"][0] == 0
    assert standard.standards["expected"].tolist() == [0]


@pytest.mark.parametrize(
    ("cell", "code"), [("4284,5", "decimal-comma"), ("4,284", "not-a-number"), ("#N/A", "not-a-number")]
)
def test_decimal_marks_are_told_and_said(cell: str, code: str) -> None:
    plate = read(small(FI=cell))
    assert [p.code for p in plate.problems] == [code]
    assert (plate.wells["mfi"][0] == 4284.5) == (code == "decimal-comma")


def test_what_has_the_other_decimal_mark_is_no_number() -> None:
    plate = read(small(FI="4284,5", Dilution="20,0", **{"%CV": "1.5"}))
    assert (plate.wells["mfi"][0], np.isnan(plate.wells["cv_pct"][0])) == (4284.5, True)
    assert [(p.code, p.row, p.column, p.found) for p in plate.problems if p.severity == "warning"] == [
        ("not-a-number", 4, "%CV", "1.5")
    ]


def test_a_well_twice_leaves_no_row_of_it() -> None:
    book = small()
    grid = book["IL-6 (12)"]
    grid.insert(4, [*grid[3][:5], 99, *grid[3][6:]])
    grid.insert(5, [*grid[3][:2], "A2", *grid[3][3:]])
    plate = read(book)
    assert plate.wells["well"].tolist() == ["A2"]
    assert [(p.severity, p.row) for p in plate.problems if p.code == "well-twice"] == [("error", 4), ("error", 5)]


def test_a_mean_beside_its_own_wells_is_left_out() -> None:
    book = small()
    grid = book["IL-6 (12)"]
    grid.insert(3, [*grid[3][:2], "A1,A2", *grid[3][3:]])
    plate = read(book)
    assert plate.wells["well"].tolist() == ["A1"]
    assert [(p.code, p.row) for p in plate.problems] == [("mean-among-wells", 4)]


def test_singlets_printed_twice_are_counted_once() -> None:
    book = small()
    book["IL-6 (12)"][4:4] = [[], HEAD, [*book["IL-6 (12)"][3][:5], 50.0, *book["IL-6 (12)"][3][6:]]]
    plate = read(book)
    assert (plate.averages["mfi"].tolist(), plate.wells["mfi"].tolist()) == ([50.5], [50.0])


def test_the_same_analyte_on_two_sheets_is_read_once() -> None:
    book = small()
    book["copy"] = small(FI=1)["IL-6 (12)"]
    plate = read(book)
    assert plate.wells["mfi"].tolist() == [50.5]
    assert [(p.code, p.sheet, p.row) for p in plate.problems] == [("analyte-twice", "copy", 3)]


def test_an_analyte_without_its_headings_is_said_and_the_others_are_read() -> None:
    book = {**small(), "IL-8 (20)": small(Analyte="IL-8 (20)")["IL-6 (12)"]}
    book["IL-8 (20)"][0] = ["Analyte: IL-8 (20)"]
    book["IL-8 (20)"] += [["Std. Curve: FI = 1 + (2 - 1) / (1 + (Conc / 3)^-1)"]]
    del book["IL-8 (20)"][2]
    plate = read(book)
    assert plate.analytes["analyte"].tolist() == ["IL-6"]
    assert plate.curves.empty
    assert [(p.severity, p.code, p.sheet) for p in plate.problems] == [("error", "no-headings", "IL-8 (20)")]


def test_sheets_of_another_run_are_said() -> None:
    book = {**small(), "IL-8 (20)": small(Analyte="IL-8 (20)")["IL-6 (12)"]}
    for name, run in (("IL-6 (12)", "P1"), ("IL-8 (20)", "P2")):
        book[name][:2] = [[f"Analyte: {name}"], [f"Plate ID: {run}"]]
    assert [(p.code, p.sheet) for p in read(book).problems if p.severity == "error"] == [("runs-differ", "IL-8 (20)")]


@pytest.mark.parametrize(
    ("equation", "values"),
    [
        ("Std. Curve: FI = 36.9094 + (16123.9 - 36.9094) / (1 + (Conc / 247.786)^-1.05775)", ("4pl", 36.9094, 16123.9, 247.786, -1.05775, 1)),
        ("Std. Curve: FI = 27,863 + (7268,64 - 27,863) / ((1 + (Conc / 101819)^-1,51961))^0,62292", ("5pl", 27.863, 7268.64, 101819, -1.51961, 0.62292)),
        ("Std. Curve: FI = -1.5E+001 + (2.16699E+007 + 1.5E+001) / ((1 + (Conc / 3e-4)^-0.16))^10", ("5pl", -15, 21669900, 3e-4, -0.16, 10)),
    ],
)  # fmt: skip
def test_spellings_of_a_curve(equation: str, values: tuple[object, ...]) -> None:
    book = small()
    book["IL-6 (12)"] += [
        ["Regression Type: Logistic - " + str(values[0]).upper()],
        [equation],
        ["FitProb. = 0,5, ResVar. = 1.25"],
    ]
    plate = read(book)
    assert tuple(plate.curves[["model", "a", "d", "c", "b", "g", "fit_prob", "res_var"]].iloc[0]) == (
        *values,
        0.5,
        1.25,
    )
    assert plate.problems == ()


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["Regression Type: Linear", "Std. Curve: FI = 2 + 3 * Conc"], "unknown-equation"),
        (["Std. Curve: FI = 36.9 + (16123.9 - 36.8) / (1 + (Conc / 247.786)^-1.05775)"], "unknown-equation"),
        (["Regression Type: Logistic - 5PL"], "no-curve"),
        (["Regression Type: Logistic - 5PL", "Std. Curve: FI = 1 + (2 - 1) / (1 + (Conc / 3)^-1)"], "curve-differs"),
    ],
)  # fmt: skip
def test_odd_curves_are_said(lines: list[str], code: str) -> None:
    book = small()
    book["IL-6 (12)"] += [[line] for line in lines]
    plate = read(book)
    assert [p.code for p in plate.problems] == [code]
    assert plate.curves["a"].isna().all() is not (code == "curve-differs") or plate.curves.empty


def wide(decimal: str = ".") -> Book:
    """Two analytes on sheets of a statistic each, one of them the curves."""

    def sheet(statistic: str, *rows: tuple[object, ...]) -> Grid:
        heads: Grid = [["File Name: x"], [], ["", "", "IL-6 (12)", "IL-8 (20)"], ["Type", "Well", statistic, statistic]]
        return [
            *heads,
            *([kind, well, *cells] for (kind, well), cells in zip((("S1", "A1"), ("X1", "A2")), rows, strict=True)),
        ]

    curve = "Std. Curve: FI = 1 + (2 - 1) / (1 + (Conc / {})^-1)"
    book = {
        "FI": sheet("FI", (10.5, 20.5), (11.5, 21.5)),
        "Std Dev": sheet("Std Dev", (1.5, 2.5), (1.5, 2.5)),
        "Conc in Range": sheet("Conc in Range", (1.5, 2.5), ("***", 2.5)),
        "Obs Conc": sheet("Obs Conc", (1.25, "OOR >"), ("*3.5", "OOR <")),
        "Exp Conc": sheet("Exp Conc", (1.5, 2.5), ("", "")),
    }
    book["Standard Curve"] = [
        ["File Name: x"],
        [],
        ["", "IL-6 (12)", "IL-8 (20)"],
        ["", curve.format(3), curve.format(4)],
    ]
    for grid in book.values():
        for row in grid[4:]:
            row[:] = [
                str(c).replace(".", decimal) if isinstance(c, float) or str(c).startswith("*3") else c for c in row
            ]
    return book


@pytest.mark.parametrize("decimal", [".", ","])
def test_wide_sheets(decimal: str) -> None:
    plate = read(wide(decimal))
    assert plate.wells["analyte"].tolist() == ["IL-6", "IL-6", "IL-8", "IL-8"]
    assert plate.wells["mfi"].tolist() == [10.5, 11.5, 20.5, 21.5]
    assert plate.wells["state"].tolist() == ["measured", "extrapolated", "above", "below"]
    assert plate.wells["conc"].tolist()[:2] == [1.25, 3.5]
    assert plate.standards["expected"].tolist() == [1.5, 2.5]
    assert plate.curves[["analyte", "c"]].to_numpy().tolist() == [["IL-6", 3], ["IL-8", 4]]
    assert {p.code for p in plate.problems} == {"not-kept"} | ({"decimal-comma"} if decimal == "," else set())


def test_a_wide_column_under_another_statistic_is_left_out() -> None:
    book = wide()
    book["FI"][3][3] = "Obs Conc"
    plate = read(book)
    assert plate.wells["mfi"].isna().tolist() == [False, False, True, True]
    assert plate.wells["conc"].tolist()[:2] == [1.25, 3.5]
    assert [(p.code, p.sheet, p.row) for p in plate.problems if p.severity == "error"] == [
        ("statistic-differs", "FI", 4)
    ]


def test_a_wide_table_without_analytes_above_is_refused() -> None:
    book = {"FI": wide()["FI"]}
    book["FI"][2] = []
    with pytest.raises(Refused) as caught:
        read(book)
    assert {p.code for p in caught.value.problems if p.severity == "error"} == {"no-analyte", "no-data"}


# ---- damaged plates


@pytest.fixture(scope="module")
def books(folder: Path) -> dict[str, tuple[Book, Plate]]:
    """Three real workbooks, cut down to a few sheets, and what is read of them."""
    found = {}
    for name, first, last in (
        ("plate 1_IgA-Biot (Standard2).xlsx", 0, 3),
        ("RawAndSummary.xlsx", 0, 3),
        ("derived_pnLINCO_wide_decimal_comma.xlsx", 0, 5),
    ):
        sheets, _ = workbook_values((folder / "bioplex" / name).read_bytes(), name)
        book = {
            sheet: [[*row, *[""] * (17 - len(row))] for row in (rows[:24] if "wide" in name else rows)]
            for sheet, rows in list(sheets.items())[first:last]
        }
        found[name] = (book, read(book))
    return found


def keyed(plate: Plate) -> dict[tuple[str, str, str], dict[str, Any]]:
    rows = {}
    for table in ("wells", "averages"):
        for row in getattr(plate, table).to_dict("records"):
            key = (table, row["analyte"], row["well"])
            assert key not in rows, "one row a well and analyte"
            rows[key] = {k: None if pd.isna(v) else v for k, v in row.items()}
    return rows


def changes(before: Plate, after: Plate) -> dict[tuple[str, str, str], set[str]]:
    """Columns that changed, by row; rows that are gone have none, and a new row has all."""
    old, new = keyed(before), keyed(after)
    differ = {key: {c for c in WELLS if row.get(c) != new[key].get(c)} for key, row in old.items() if key in new}
    return (
        {k: v for k, v in differ.items() if v}
        | {k: set(WELLS) for k in new.keys() - old.keys()}
        | {k: set() for k in old.keys() - new.keys()}
    )


def new_problems(before: Plate, after: Plate) -> list[Problem]:
    known = {(p.code, p.sheet, p.row, p.column, p.found) for p in before.problems}
    return [p for p in after.problems if (p.code, p.sheet, p.row, p.column, p.found) not in known]


FIELDS = {
    "FI": "mfi", "FI - Bkgd": "net_mfi", "%CV": "cv_pct", "Obs Conc": "conc", "Exp Conc": "expected", "(Obs/Exp) * 100": "recovery_pct",
    "(Obs Exp) X 100": "recovery_pct", "Dilution": "dilution", "Bead Count": "bead_count",
}  # fmt: skip


def data_cells(book: Book) -> list[tuple[str, int, int, str, str, str]]:
    """Cells of wells: sheet, row, column, field, analyte as printed, well."""
    cells = []
    for sheet, grid in book.items():
        head: list[str] = []
        above: list[str] = []
        for i, row in enumerate(grid):
            if row[0] == "Analyte" or row[0] == "Type":
                head, above = row, grid[i - 1]
            elif head and re.fullmatch(r"[A-H]\d+(,[A-H]\d+)?", str(row[head.index("Well")])):
                for j, name in enumerate(head):
                    if name in FIELDS:
                        cells.append(
                            (
                                sheet,
                                i,
                                j,
                                FIELDS[name],
                                row[0] if head[0] == "Analyte" else above[j],
                                row[head.index("Well")],
                            )
                        )
    return cells


def copied(book: Book) -> Book:
    return {sheet: [list(row) for row in grid] for sheet, grid in book.items()}


BOOKS = ["plate 1_IgA-Biot (Standard2).xlsx", "RawAndSummary.xlsx", "derived_pnLINCO_wide_decimal_comma.xlsx"]


@pytest.mark.parametrize("name", BOOKS)
def test_a_changed_number_shows_in_its_own_cell_only(books: dict[str, tuple[Book, Plate]], name: str) -> None:
    book, before = books[name]
    rng = random.Random(20)
    for sheet, i, j, field, analyte, well in rng.sample(data_cells(book), 8):
        changed = copied(book)
        changed[sheet][i][j] = 987654.25
        after = read(changed)
        (key,) = [k for k in keyed(before) if k[1] == re.sub(r" \(\d+\)$", "", analyte) and k[2] == well]
        assert set(changes(before, after)) == {key}
        assert keyed(after)[key][field] == 987654.25
        assert (
            changes(before, after)[key] <= {field, "state"}
            if field == "conc"
            else {field} == changes(before, after)[key]
        )


@pytest.mark.parametrize("name", BOOKS)
def test_a_cell_that_is_no_number_is_empty_and_said(books: dict[str, tuple[Book, Plate]], name: str) -> None:
    book, before = books[name]
    rng = random.Random(21)
    for sheet, i, j, field, analyte, well in rng.sample(data_cells(book), 8):
        changed = copied(book)
        changed[sheet][i][j] = rng.choice(["n.d.", "12 pg", "1.2.3", "1e999", "O.5", "OOR"])
        after = read(changed)
        said = new_problems(before, after)
        assert [(p.severity, p.code, p.file, p.sheet, p.row) for p in said] == [
            ("warning", "not-a-number", "p.xlsx", sheet, i + 1)
        ]
        assert said[0].column in (str(changed[sheet][i][j]), *FIELDS) or said[0].column.startswith(f"{analyte}, ")
        for key, columns in changes(before, after).items():
            assert key[1:] == (re.sub(r" \(\d+\)$", "", analyte), well)
            assert columns <= ({"conc", "state"} if field == "conc" else {field})
            assert keyed(after)[key][field] is None


def damages(book: Book, rng: random.Random) -> Iterator[tuple[str, Book, str, set[str]]]:
    """Damages to rows, headings and sheets: what was done, the workbook, the sheet, columns that may differ."""
    sheets = list(book)
    every = data_cells(book)
    for turn in range(2):
        sheet, i, j, _, _, well = rng.choice(every)
        head = next(k for k in range(i, -1, -1) if book[sheet][k][0] in ("Analyte", "Type"))
        place = book[sheet][head].index("Well")

        changed = copied(book)
        del changed[sheet][i]
        yield "row removed", changed, sheet, set()

        other = rng.choice([c for c in every if c[0] == sheet and c[5] != well and ("," in c[5]) == ("," in well)])[1]
        changed = copied(book)
        changed[sheet][i], changed[sheet][other] = changed[sheet][other], changed[sheet][i]
        yield "rows swapped", changed, sheet, set()

        for cell in ("", "Q7", "A1,", book[sheet][other][place], "H11")[2 * turn : 2 * turn + 3]:
            changed = copied(book)
            changed[sheet][i][place] = cell
            yield "well changed", changed, sheet, set(WELLS)

        changed = copied(book)
        changed[sheet][i][book[sheet][head].index("Type")] = "S9"
        yield "type changed", changed, sheet, {"kind", "role", "level", "expected"}

        changed = copied(book)
        changed[sheet][head][j] = rng.choice(["", "signal", *FIELDS])
        yield "heading changed", changed, sheet, {*FIELDS.values(), "state"}

        changed = copied(book)
        changed[sheet][head][turn] = rng.choice(["", "FI", "Well"])
        yield "key heading changed", changed, sheet, {"kind", "role", "level", "sample", "state", *FIELDS.values()}

        changed = copied(book)
        changed[sheet] = changed[sheet][: head + turn]
        yield "sheet cut", changed, sheet, set()

        changed = copied(book)
        del changed[sheet][head]
        yield "headings removed", changed, sheet, set()

    changed = copied(book)
    del changed[rng.choice(sheets)]
    yield "sheet removed", changed, "", set()


@pytest.mark.parametrize("name", BOOKS)
def test_damage_is_said_with_its_place_and_moves_nothing(books: dict[str, tuple[Book, Plate]], name: str) -> None:
    book, before = books[name]
    old = keyed(before)
    number = 0
    for what, changed, sheet, may_differ in damages(book, random.Random(22)):
        number += 1
        after = read(changed)
        said = [p for p in new_problems(before, after) if p.sheet == sheet and p.severity in ("error", "warning")]
        differ, new = changes(before, after), keyed(after)
        assert said or not differ or what == "sheet removed", what
        for key, columns in differ.items():
            if key not in old:
                assert what == "well changed" and any(key[2] in p.found for p in said), (what, key)
            elif key in new:
                lost = {c for c in columns if new[key][c] is None or new[key][c] == "not_available"}
                assert columns - lost <= may_differ, (what, key, columns)
    assert number >= 17


def test_swapped_rows_change_nothing_but_the_order(books: dict[str, tuple[Book, Plate]]) -> None:
    book, before = books["RawAndSummary.xlsx"]
    changed = copied(book)
    grid = changed["Analyte2"]
    grid[30], grid[44] = grid[44], grid[30]
    after = read(changed)
    assert changes(before, after) == {}
    assert after.wells["well"].tolist() != before.wells["well"].tolist()


@pytest.mark.parametrize(
    "name",
    ["WithBlankBead.xls", "Guide Set plate 2.xls", "plate 1_IgA-Biot (Standard2).xlsx", "synthetic_bioplex.xlsx"],
)
def test_damaged_bytes_are_a_sentence_or_a_plate(folder: Path, name: str) -> None:
    raw = (folder / "bioplex" / name).read_bytes()
    rng = random.Random(23)
    errors: list[Refused] = []
    for turn in range(12):
        data = bytearray(raw)
        if turn % 3 == 0:
            del data[rng.randrange(1, len(data)) :]
        for _ in range(rng.choice([1, 1, 8])):
            data[rng.randrange(min(len(data), 5000 if turn % 2 else len(data)))] ^= 1 << rng.randrange(8)
        try:
            (plate,) = read_bioplex(bytes(data), name)
        except Refused as err:
            errors.append(err)
        else:
            keyed(plate)
            assert all(p.file == name for p in plate.problems)
    assert len(errors) > 2
    for error in errors:
        assert all(p.file == name and p.message and p.fix for p in error.problems)
        assert any(p.severity == "error" for p in error.problems)


def test_a_stray_cell_far_away_does_not_end_the_program() -> None:
    made = openpyxl.Workbook()
    made.active.cell(1_048_576, 16_384, "x")
    out = io.BytesIO()
    made.save(out)
    with pytest.raises(Refused) as caught:
        read_bioplex(out.getvalue(), "p.xlsx")
    assert [p.code for p in caught.value.problems] == ["too-large"]


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "damaged-workbook"), (b"PK\x03\x04rest", "damaged-workbook"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "locked-workbook")],
)  # fmt: skip
def test_what_is_no_workbook_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        read_bioplex(data, "p.xls")
    assert [(p.code, p.file) for p in caught.value.problems] == [(code, "p.xls")]
