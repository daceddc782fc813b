"""INTELLIFLEX's one row per well: real files against the csv module, their disguises, and damage."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.core.problems import Problem, Refused
from helpers.readers.intelliflex import is_intelliflex, read_intelliflex
from helpers.readers.plate import Plate
from helpers.readers.text import decode_instrument
from helpers.readers.xponent import is_xponent

Rows = list[list[str]]
NAMES = ("luminex_intelliflex_single_dataset.csv", "luminex_intelliflex_v2_2.csv", "random_intelliflex.csv")
VALUES = ["mfi", "net_mfi", "cv_pct", "bead_count", "dilution"]


def read(text: str) -> list[Plate]:
    return read_intelliflex(text, "x.csv")


def one(text: str) -> Plate:
    (plate,) = read(text)
    return plate


def attempt(text: str) -> tuple[list[Plate], list[Problem]]:
    """Plates and all problems; no plate where the file is refused, which needs an error."""
    try:
        plates = read(text)
        problems = [problem for plate in plates for problem in plate.problems]
    except Refused as refused:
        plates, problems = [], refused.problems
    assert plates or any(problem.severity == "error" for problem in problems)
    return plates, problems


def codes(problems: Iterable[Problem]) -> set[str]:
    return {problem.code for problem in problems}


def cells(plate: Plate) -> pd.DataFrame:
    return plate.wells.set_index(["well", "analyte"])


def table(text: str) -> Rows:
    return list(csv.reader(io.StringIO(text, newline="")))


def written(rows: Rows, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL, end: str = "\n") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    return out.getvalue()


@pytest.fixture(scope="module")
def folder(reference_data: Path) -> Path:
    return reference_data / "luminex" / "intelliflex"


@pytest.fixture(scope="module")
def texts(folder: Path) -> dict[str, str]:
    return {name: decode_instrument((folder / name).read_bytes(), name).text for name in NAMES}


@pytest.fixture(scope="module")
def dual(texts: dict[str, str]) -> str:
    """A real plate of three wells, fourteen regions and two reporters."""
    return texts[NAMES[0]]


# ---- real files


def test_which_files_these_are(folder: Path, texts: dict[str, str]) -> None:
    assert all(is_intelliflex(text) and not is_xponent(text) for text in texts.values())
    assert not is_intelliflex((folder / "luminex_intelliflex_example_01.csv").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("statistic", "column"),
    [("MEDIAN", "mfi"), ("NET MEDIAN", "net_mfi"), ("COUNT", "bead_count"), ("%CV", "cv_pct")],
)
def test_every_number_as_the_csv_module_reads_it(texts: dict[str, str], name: str, statistic: str, column: str) -> None:
    rows = [row for row in table(texts[name]) if len(row) > 5]
    plate = one(texts[name])
    wells = plate.wells.pivot(index="well", columns="analyte", values=column)
    beads = list(
        dict.fromkeys(head.rsplit(" ", len(head.split(": RP")[1].split()) - 1)[0] for head in rows[0] if ": RP" in head)
    )
    assert len(beads) == len(plate.analytes)
    where = rows[0].index("WELL LOCATION")
    for bead, analyte in zip(beads, plate.analytes["analyte"], strict=True):
        heading = f"{bead} {statistic}"
        want = [float(row[rows[0].index(heading)]) if heading in rows[0] else np.nan for row in rows[1:]]
        np.testing.assert_array_equal(wells.loc[[row[where] for row in rows[1:]], analyte], want, err_msg=heading)


def test_two_reporters_without_names(dual: str) -> None:
    plate = one(dual)
    assert plate.software == "INTELLIFLEX 2.0.1017" and plate.layout == "intelliflex"
    assert plate.analytes.iloc[:3].to_numpy().tolist() == [
        ["R25", "25", pd.NA, pytest.approx(np.nan, nan_ok=True)],
        ["R25 (RP2)", "25", pd.NA, pytest.approx(np.nan, nan_ok=True)],
        ["R27", "27", pd.NA, pytest.approx(np.nan, nan_ok=True)],
    ]
    assert cells(plate)["mfi"]["B1", "R25 (RP2)"] == 8.27637
    assert plate.wells["sample"].unique().tolist() == ["Unknown1", "Unknown13", "Unknown25"]
    assert plate.averages["mfi"].tolist() == plate.wells["mfi"].tolist(), "single wells are their own average"
    assert codes(plate.problems) == {"header-left-out"}


def test_dry_wells_names_kinds_and_dilutions(texts: dict[str, str]) -> None:
    plate = one(texts["luminex_intelliflex_v2_2.csv"])
    assert plate.software == "INTELLIFLEX 2.1.1015"
    assert plate.analytes["analyte"].tolist()[:3] == ["HPV6", "HPV11", "HPV16"], "named by the wells that were read"
    dry, read_well = cells(plate).loc[("A1", "HPV6")], cells(plate).loc[("B1", "HPV6")]
    assert np.isnan(dry["mfi"]) and dry["flag"] == "Dry" and dry["dilution"] == 82
    assert (read_well["mfi"], read_well["net_mfi"], read_well["kind"], read_well["role"]) == (
        6.05021,
        10.27147,
        "U2",
        "sample",
    )
    assert (plate.wells["state"] == "not_available").all()
    assert codes(plate.problems) == {"header-left-out"}


def test_an_analyte_without_columns_is_said(texts: dict[str, str]) -> None:
    plate = one(texts["random_intelliflex.csv"])
    (problem,) = [p for p in plate.problems if p.severity == "warning"]
    assert (problem.code, problem.row, problem.column) == (
        "column-missing",
        1,
        "R25: RP1",
    ) and "MEDIAN" in problem.found
    assert plate.wells["mfi"][plate.wells["analyte"] == "HBeV"].isna().all()
    assert plate.wells["flag"].dropna().unique().tolist() == ["Warning"]


def test_nothing_that_names_a_person_an_instrument_or_a_day(texts: dict[str, str]) -> None:
    plate = one(texts["luminex_intelliflex_v2_2.csv"])
    said = " ".join([*map(str, plate.problems), plate.software, plate.wells.to_csv(), plate.averages.to_csv()])
    assert not any(word in said for word in ("TestUser", "IFLXTEST", "2026-0", "TEST_PLATE"))


# ---- in other clothes


def reordered(rows: Rows) -> Rows:
    """As a user who chose another order of columns, who put the wells first."""
    order = sorted(range(len(rows[0])), key=lambda j: (": RP" in rows[0][j], rows[0][j]))
    return [[row[j] for j in order] for row in rows]


def comma(cell: str) -> str:
    return cell.replace(".", ",") if cell.replace(".", "", 1).isdigit() else cell


CLOTHES: dict[str, Callable[[Rows], str]] = {
    "blank first lines": lambda rows: "\n,,,\n" + written(rows),
    "all cells quoted": lambda rows: written(rows, quoting=csv.QUOTE_ALL, end="\r\n"),
    "semicolons and decimal commas": lambda rows: written([[comma(c) for c in row] for row in rows], ";"),
    "tabs": lambda rows: written(rows, "\t", end="\r"),
    "commas to spare": lambda rows: written([[*row, "", ""] for row in rows]),
    "byte-order mark": lambda rows: "\ufeff" + written(rows),
    "signature": lambda rows: written(
        [*rows, ["--DOCUMENT SIGNATURE--"], ["Instrument Serial Number: X"], ["ABCD1234"]]
    ),
}


@pytest.mark.parametrize("clothes", CLOTHES)
def test_the_same_plate_in_other_clothes(dual: str, clothes: str) -> None:
    text = CLOTHES[clothes](table(dual))
    assert is_intelliflex(text)
    plate, other = one(dual), one(text)
    for name in ("wells", "averages", "analytes"):
        pd.testing.assert_frame_equal(getattr(plate, name), getattr(other, name))
    assert not any(p.severity in ("error", "warning") for p in other.problems)


def test_columns_in_another_order(dual: str) -> None:
    plate, other = cells(one(dual)), cells(one(written(reordered(table(dual)))))
    pd.testing.assert_frame_equal(plate.sort_index(), other.sort_index())


def test_only_well_and_median_are_needed() -> None:
    plate = one("WELL LOCATION,R25: RP1 MEDIAN\nA1,5\nH12,6.5\n")
    assert plate.wells[["well", "analyte", "mfi", "role"]].to_numpy().tolist() == [
        ["A1", "R25", 5, "sample"],
        ["H12", "R25", 6.5, "sample"],
    ]
    assert plate.wells[["sample", "kind", "flag"]].isna().all(axis=None) and plate.averages.empty and not plate.problems


def test_well_types_give_kind_and_role() -> None:
    text = "WELL LOCATION,WELL TYPE,SAMPLE ID,R1: RP1 MEDIAN\nA1,S3,top,1\nB1,C2,kit,2\nC1,B1,x,3\nD1,U9,D07,4\nE1,,QC1,5\n"
    wells = one(text).wells
    assert wells["role"].tolist() == ["standard", "control", "blank", "sample", "control"]
    assert wells["kind"].tolist() == ["S3", "C2", "B1", "U9", pd.NA] and wells["level"].tolist()[:2] == [3, 2]


def test_several_plates_by_name() -> None:
    text = "PLATE NAME,WELL LOCATION,R1: RP1 ANALYTE NAME,R1: RP1 MEDIAN\nP,A1,IL-6,1\nQ,A1,IL-8,2\nP,B1,IL-6,3\n"
    first, second = read(text)
    assert (first.number, first.wells["mfi"].tolist(), first.analytes["analyte"].tolist()) == (1, [1, 3], ["IL-6"])
    assert (second.number, second.wells["mfi"].tolist(), second.analytes["analyte"].tolist()) == (2, [2], ["IL-8"])


def test_names_that_two_regions_or_two_reporters_share() -> None:
    text = (
        "WELL LOCATION,R1: RP1 ANALYTE NAME,R1: RP1 MEDIAN,R1: RP2 ANALYTE NAME,R1: RP2 MEDIAN,"
        "R2: RP1 ANALYTE NAME,R2: RP1 MEDIAN,R2: RP2 ANALYTE NAME,R2: RP2 MEDIAN\nA1,IL-6,1,IgG,2,IL-6,3,IgA,4\n"
    )
    wells = one(text).wells
    assert wells["analyte"].tolist() == ["IL-6 (1)", "IgG (RP2)", "IL-6 (2)", "IgA (RP2)"]
    assert wells["mfi"].tolist() == [1, 2, 3, 4]
    only_second = one("WELL LOCATION,R1: RP2 ANALYTE NAME,R1: RP2 MEDIAN\nA1,IgG,2\n")
    assert only_second.wells["analyte"].tolist() == ["IgG"]


# ---- damage


@pytest.mark.parametrize(
    ("text", "code", "row"),
    [
        ("WELL LOCATION,R1: RP1 COUNT\nA1,5\n", "no-median", 1),
        ("WELL LOCATION,R1: RP1 MEDIAN\n", "no-median", None),
        ("WELL LOCATION,R1: RP1 MEDIAN\nnowhere,5\n", "not-a-well", 2),
        ("", "header-damaged", None),
        ('WELL LOCATION,"R1: RP1 MEDIAN\nA1,5\n', "header-damaged", None),
    ],
)
def test_files_that_are_refused(text: str, code: str, row: int | None) -> None:
    plates, problems = attempt(text)
    assert not plates and (code, row) in {(p.code, p.row) for p in problems}


@pytest.mark.parametrize(
    ("body", "code", "row", "mfi"),
    [
        ("A1,5\nB1,x\n", "not-a-number", 3, {"A1": 5, "B1": None}),
        ("A1,5\nA1,6\nB1,7\n", "row-twice", 3, {"A1": None, "B1": 7}),
        ("A1,5\nB1\nC1,7\n", "row-width", 3, {"A1": 5, "C1": 7}),
        ("A1,5\nB1,6,7\nC1,7\n", "row-width", 3, {"A1": 5, "C1": 7}),
        ("A1,5\nZ99,6\n", "not-a-well", 3, {"A1": 5}),
        ("A1,5\nB1,61", "no-line-end", 3, {"A1": 5, "B1": None}),
        ("A1,5\nB1", "truncated", 3, {"A1": 5}),
        ('A1,5\nB1,"6\nC1,7\n', "row-width", 3, {"A1": 5, "C1": 7}),
    ],
)
def test_damage_is_located_and_stays_where_it_is(body: str, code: str, row: int, mfi: dict[str, float | None]) -> None:
    plate = one("WELL LOCATION,R1: RP1 MEDIAN\n" + body)
    assert [(p.code, p.row) for p in plate.problems] == [(code, row)]
    found = plate.wells.set_index("well")["mfi"]
    assert {well: None if np.isnan(value) else value for well, value in found.items()} == mfi


def test_headings_that_are_unknown_or_stand_twice() -> None:
    plate = one(
        "WELL LOCATION,R1: RP1 MEDIAN,R1: RP1 SKEW,R2: RP1 MEDIAN,R2: RP1 SKEW,R2: RP1 COUNT,R2: RP1 COUNT\nA1,1,2,3,4,5,6\n"
    )
    assert plate.wells["mfi"].tolist() == [1, 3] and plate.wells["bead_count"].isna().all()
    told = {(p.severity, p.code, p.column or p.found) for p in plate.problems}
    assert told == {("error", "column-twice", "R2: RP1 COUNT"), ("warning", "unknown-statistic", "SKEW")}


def test_a_bead_that_changes_its_name_and_a_plate_that_does() -> None:
    head = "PLATE NAME,PLATE START,WELL LOCATION,R1: RP1 ANALYTE NAME,R1: RP1 MEDIAN\n"
    (plate,) = read(head + "P,9:00,A1,IL-6,1\nP,9:00,B1,IL-8,2\nP,9:00,C1,IL-6,3\n")
    assert plate.wells["analyte"].unique().tolist() == ["IL-6"]
    assert [(p.code, p.row, p.found) for p in plate.problems if p.severity == "error"] == [
        ("analyte-differs", 3, "IL-8")
    ]
    plates = read(head + "P,9:00,A1,IL-6,1\nQ,9:00,B1,IL-6,2\n")
    assert len(plates) == 2 and ("plate-differs", 3) in {(p.code, p.row) for p in plates[0].problems}


def as_cells(plates: list[Plate]) -> dict[tuple[object, ...], float | str]:
    found: dict[tuple[object, ...], float | str] = {}
    for plate in plates:
        for row in plate.wells[["well", "analyte", "sample", *VALUES]].to_dict("records"):
            found |= {
                (plate.number, row["well"], row["analyte"], column): row[column]
                for column in ("sample", *VALUES)
                if row[column] == row[column]
            }
    return found


def changes(before: str, plates: list[Plate]) -> set[tuple[object, ...]]:
    old, new = as_cells(read(before)), as_cells(plates)
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


@pytest.mark.parametrize("seed", range(40))
def test_a_replaced_cell_shows_in_its_own_place_and_nowhere_else(dual: str, seed: int) -> None:
    rng = random.Random(seed)
    rows = table(dual)
    i = rng.randrange(1, len(rows))
    j = rng.choice([j for j, head in enumerate(rows[0]) if head.endswith(("MEDIAN", "COUNT"))])
    value = rng.choice(["123456", "kaputt", "1,5", "12.Mai"])
    heading, rows[i][j] = rows[0][j], value
    plates, problems = attempt(written(rows))
    region, reporter = heading[:3], heading[5:8]
    analyte = region if reporter == "RP1" else f"{region} (RP2)"
    column = "mfi" if heading.endswith("MEDIAN") else "bead_count"
    well = rows[i][rows[0].index("WELL LOCATION")]
    assert changes(dual, plates) == {(1, well, analyte, column)}
    told = [(p.code, p.row, p.column) for p in problems if p.severity != "repaired"]
    assert told == ([] if value == "123456" else [("not-a-number", i + 1, heading)])


@pytest.mark.parametrize("seed", range(60))
def test_damage_anywhere_is_told_or_harmless(dual: str, seed: int) -> None:
    rng = random.Random(seed)
    rows = table(dual)
    kind = rng.choice(["text", "swap", "cut", "byte"])
    if kind == "text":
        i, j = rng.randrange(len(rows)), rng.randrange(6, len(rows[0]))
        rows[i][j] = rng.choice(["kaputt", '"', "x,y", "A1"])
    elif kind == "swap":
        i, j = rng.sample(range(len(rows)), 2)
        rows[i], rows[j] = rows[j], rows[i]
    text = written(rows)
    if kind == "cut":
        text = text[: rng.randrange(len(text))]
    elif kind == "byte":
        data = bytearray(text.encode())
        data[rng.randrange(len(data))] = rng.choice([0, 0x1B, 0x80, 0xC3, 0xFF])
        text = decode_instrument(bytes(data), "x.csv").text
    plates, problems = attempt(text)
    changed = changes(dual, plates)
    if kind == "cut":
        before = as_cells(read(dual))
        assert all(before.get(key) == value for key, value in as_cells(plates).items())
        assert not changed or codes(problems) & {
            "truncated",
            "no-line-end",
            "header-damaged",
            "no-median",
            "column-missing",
        }
    elif changed and not all(key[3] == "sample" for key in changed):
        assert any(p.severity in ("error", "warning") for p in problems)
