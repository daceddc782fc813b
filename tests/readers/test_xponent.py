"""xPONENT files: a real cytokine plate against its own numbers, its disguises, and what damage does to it."""

from __future__ import annotations

import csv
import io
import random
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.core.problems import Problem, Refused
from helpers.readers.plate import Plate
from helpers.readers.text import decode_instrument
from helpers.readers.xponent import is_xponent, read_xponent

Rows = list[list[str]]
Cells = dict[tuple[object, ...], dict[str, object]]
VALUES = ["mfi", "net_mfi", "cv_pct", "bead_count", "dilution", "expected", "conc", "recovery_pct"]
COLUMN = {
    "Median": ("mfi",),
    "Net MFI": ("net_mfi",),
    "Count": ("bead_count",),
    "Result": ("conc", "state"),
    "% Recovery": ("recovery_pct",),
}
TABLES = ("wells", "averages", "standards", "curves", "analytes")


def read(data: bytes | str) -> list[Plate]:
    text = data if isinstance(data, str) else decode_instrument(data, "x.csv").text
    return read_xponent(text, "x.csv")


def attempt(data: bytes | str) -> tuple[list[Plate], list[Problem]]:
    """Plates and all problems; no plate where the file is refused, which needs an error."""
    try:
        plates = read(data)
        problems = [problem for plate in plates for problem in plate.problems]
    except Refused as refused:
        plates, problems = [], refused.problems
    assert plates or any(problem.severity == "error" for problem in problems)
    return plates, problems


def one(data: bytes | str) -> Plate:
    (plate,) = read(data)
    return plate


def codes(problems: Iterable[Problem]) -> set[str]:
    return {problem.code for problem in problems}


def assert_same(plate: Plate, other: Plate, tables: Iterable[str] = TABLES) -> None:
    for table in tables:
        pd.testing.assert_frame_equal(getattr(plate, table), getattr(other, table))


def cells(plate: Plate) -> pd.DataFrame:
    return plate.wells.set_index(["well", "analyte"])


@pytest.fixture(scope="module")
def folder(reference_data: Path) -> Path:
    return reference_data / "luminex"


@pytest.fixture(scope="module")
def drlumi(folder: Path) -> bytes:
    return (folder / "xponent" / "drLumi_plate1.csv").read_bytes()


@pytest.fixture(scope="module")
def plate(drlumi: bytes) -> Plate:
    return one(drlumi)


# ---- the real cytokine plate


def commented(folder: Path) -> dict[str, set[tuple[str, str]]]:
    """Wells and analytes by the text of their comment, straight from the lines of the file."""
    lines = (folder / "xponent" / "drLumi_plate1.csv").read_text(encoding="utf-8-sig").splitlines()[945:1042]
    heads, *rows = (row for row in csv.reader(lines) if any(row))
    found: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        for analyte, text in zip(heads[2:], row[2:], strict=True):
            if text:
                found.setdefault(text, set()).add((re.sub(r".*,|\)", "", row[0]), analyte))
    return found


def test_every_well_and_analyte_as_another_parser_read_it(folder: Path, plate: Plate) -> None:
    tidy = pd.read_csv(folder / "reference" / "xponent_drlumi_plate1_tidy.csv", dtype=str, keep_default_na=False)
    wells = plate.wells
    assert len(wells) == len(tidy) == 2880
    assert wells["well"].tolist() == tidy["location"].str.extract(r",(\w+)\)")[0].tolist()
    assert wells["sample"].tolist() == tidy["sample"].tolist()
    assert wells["analyte"].tolist() == tidy["analyte"].tolist()
    pairs = {"median_mfi": "mfi", "net_mfi": "net_mfi", "bead_count": "bead_count", "dilution": "dilution"}
    for theirs, ours in pairs.items():
        np.testing.assert_array_equal(wells[ours], pd.to_numeric(tidy[theirs]), err_msg=ours)
    printed = tidy["vendor_result"]
    sign = printed.str[0].map({"<": "below", ">": "above", "N": "not_available"}).fillna("measured")
    beyond = [
        (well, analyte) in commented(folder)["Extrapolated"] for well, analyte in wells[["well", "analyte"]].values
    ]
    assert set(sign[beyond]) == {"measured"} and sum(beyond) == 178
    assert wells["state"].tolist() == sign.mask(beyond, "extrapolated").tolist()
    np.testing.assert_array_equal(wells["conc"], [float(text.lstrip("<> ")) for text in printed])
    standards, controls = (wells["role"] == role for role in ("standard", "control"))
    np.testing.assert_array_equal(wells["expected"][standards], pd.to_numeric(tidy["exp_conc_as_printed"][standards]))
    np.testing.assert_array_equal(wells["expected"][controls], pd.to_numeric(tidy["exp_conc_true"][controls]))
    assert wells["expected"][~standards & ~controls].isna().all()


def test_roles_levels_and_flags(plate: Plate) -> None:
    wells = plate.wells.drop_duplicates("well").set_index("well")
    assert wells["role"].value_counts().to_dict() == {"sample": 71, "standard": 17, "control": 6, "blank": 2}
    assert wells["level"][["A2", "H4", "B1", "A1"]].tolist() == [1, 1, 1, pd.NA]
    flagged = plate.wells.dropna(subset="flag")
    controls = flagged["role"] == "control"
    assert (flagged["well"] == "B9")[~controls].all() and len(flagged) == 30 + 6 * 30
    assert flagged.loc[~controls, "flag"].str.startswith("Warning: The acquisition had at least one region").all()
    assert set(flagged.loc[controls, "flag"]) == {"Control Failed."}


def test_the_lost_decimal_points_stay_as_printed(folder: Path, plate: Plate) -> None:
    bad = pd.read_csv(folder / "reference" / "xponent_drlumi_plate1_corrupted_expected.csv")
    printed = plate.standards.set_index(["sample", "analyte"])["expected"]
    assert len(bad) == 30
    assert [printed[row.standard, row.analyte] for row in bad.itertuples()] == bad["printed"].tolist()


def test_standards_and_controls_with_their_range(plate: Plate) -> None:
    table = plate.standards
    assert table["role"].value_counts().to_dict() == {"standard": 16 * 30, "control": 3 * 30}
    row = table[(table["sample"] == "Control3") & (table["analyte"] == "RANTES")].iloc[0]
    assert (row["level"], row["expected"], row["low"], row["high"]) == (3, 72.96296296, 72.96296296, 72.96296296)
    assert table[table["role"] == "standard"][["low", "high"]].isna().all(axis=None)


def test_recovery_stands_with_its_well(drlumi: bytes, plate: Plate) -> None:
    recovery = cells(plate)["recovery_pct"]
    block = drlumi[drlumi.index(b"% Recovery") : drlumi.index(b"DataType:,Comments")].decode()
    assert recovery.notna().sum() == 23 * 30 - block.count("N/A")
    assert recovery["B1", "FGF"] == 86.4 and recovery["G12", "IL8"] == 88.57 and recovery["A10", "FGF"] == 1693.32


def test_printed_curves(folder: Path, plate: Plate) -> None:
    want = pd.read_csv(folder / "reference" / "xponent_drlumi_plate1_vendor_parameters.csv")
    curves = plate.curves
    assert curves["analyte"].tolist() == want["analyte"].tolist() and set(curves["model"]) == {"5pl"}
    for ours, theirs in {"a": "A", "d": "B", "c": "C", "b": "D", "g": "F", "r2": "R2"}.items():
        np.testing.assert_allclose(curves[ours], want[theirs], rtol=1e-12)


def test_the_printed_curves_give_the_printed_concentrations(plate: Plate) -> None:
    wells = plate.wells.merge(plate.curves, on="analyte")
    wells = wells[wells["state"].isin(["measured", "extrapolated"])]
    assert len(wells) == 2580
    ratio = (wells["d"] - wells["a"]) / (wells["net_mfi"] - wells["a"])
    conc = wells["c"] * (ratio ** (1 / wells["g"]) - 1) ** (1 / wells["b"]) * wells["dilution"].fillna(1)
    np.testing.assert_allclose(conc, wells["conc"], rtol=1e-9)


def test_analytes_with_region_unit_and_least_beads(plate: Plate) -> None:
    table = plate.analytes
    assert table.iloc[[0, 29]].to_numpy().tolist() == [["FGF", "12", "pg/mL", 100], ["IL8", "78", "pg/mL", 100]]
    assert len(table) == 30 and "Total Events" not in set(table["analyte"])


def test_averages_name_their_wells_and_are_kept_apart(plate: Plate) -> None:
    table = plate.averages.set_index(["sample", "analyte"])
    assert len(table) == 90 * 30 and table["mfi"].isna().all()
    control = table.loc[("Control1", "FGF")]
    assert control["well"] == "B1,G10" and control["net_mfi"] == 3017.75
    assert control["conc"] == 1087.6501656434 and control["cv_pct"] == pytest.approx(12.2255468922347)
    wells = plate.wells[(plate.wells["sample"] == "Control1") & (plate.wells["analyte"] == "FGF")]
    assert wells["net_mfi"].mean() == control["net_mfi"], "the printed mean is the mean of these two wells"
    assert table.loc[("Standard1", "MIP1A")][["conc", "state"]].tolist() == [18300, "above"]
    assert table.loc[("Standard1", "FGF"), "state"] == "not_available"


def test_software_is_kept_and_nothing_that_names_a_person_or_day(drlumi: bytes) -> None:
    text = drlumi.decode().replace("Operator,", "Operator,Zhang Wei", 1)
    plate = one(text)
    assert plate.software == "xPONENT 3.1.871.0" and plate.layout == "xponent" and plate.number == 1
    assert [(p.severity, p.code) for p in plate.problems] == [("repaired", "header-left-out")]
    told = " ".join([str(p) for p in plate.problems] + [getattr(plate, table).to_csv() for table in TABLES])
    assert not re.search(r"Zhang|FCP1240|drLumi1234567890|plate_1|/2014", told)


# ---- other real files


def test_saving_from_excel_changes_nothing(folder: Path) -> None:
    names = ("luminex_xPONENT_example02.csv", "luminex_xPONENT_example02_saved.csv")
    before, after = (one((folder / "xponent" / name).read_bytes()) for name in names)
    assert_same(before, after)
    assert before.wells["mfi"].tolist() == [10921.5, 37214, 8244, 35052, 5603, 33948, 3071, 28980]
    assert before.wells["bead_count"].tolist() == [30, 42, 26, 33, 25, 37, 25, 42]
    assert before.analytes["bead_minimum"].tolist() == [25, 25]
    assert codes(before.problems) == codes(after.problems) == {"header-left-out"}


def by_hand(file: Path, block: str) -> pd.DataFrame:
    """One block of a file, read by nothing but the csv module."""
    rows = list(csv.reader(io.StringIO(file.read_text("utf-8-sig"), newline="")))
    at = next(i for i, row in enumerate(rows) if row[:2] == ["DataType:", block])
    head, found = [cell for cell in rows[at + 1] if cell], {}
    for row in rows[at + 2 :]:
        if not any(row) or row[0] == "DataType:":
            break
        found[re.sub(r".*,|\)", "", row[0])] = [float(c or "nan") for c in row[2 : len(head)]]
    return pd.DataFrame.from_dict(found, orient="index", columns=head[2:]).drop(columns="Total Events", errors="ignore")


@pytest.mark.parametrize(
    ("name", "wells", "analytes", "version"),
    [
        ("xponent/CovidOISExPONTENT.csv", 96, 30, "4.2.1705.0"),
        ("xponent/CovidOISExPONTENT_CO.csv", 49, 28, "4.2.1705.0"),
        ("xponent/CovidOISExPONTENT_CO_with_holes.csv", 44, 2, "4.2.1705.0"),
        ("xponent/CovidOISExPONTENT_missing_rows.csv", 96, 30, "4.2.1705.0"),
        ("xponent/IGG_CO_1_xponent.csv", 96, 29, "4.2.1705.0"),
        ("xponent/IGG_CO_2_xponent.csv", 96, 30, "4.2.1705.0"),
        ("xponent/IGG_CO_3_xponent.csv", 96, 30, "4.2.1705.0"),
        ("xponent/luminex_xPONENT_example03.csv", 4, 2, "4.3.229.0"),
        ("xponent/luminex_xPONENT_NaN_and_not_reported_values.csv", 96, 3, "4.3.309.1"),
        ("intelliflex/luminex_intelliflex_example_01.csv", 12, 5, "2.1.1015"),
    ],
)
def test_medians_and_counts_of_real_files(folder: Path, name: str, wells: int, analytes: int, version: str) -> None:
    file = folder / name
    text = decode_instrument(file.read_bytes(), name).text
    assert is_xponent(text)
    plate = one(text)
    assert plate.software == f"xPONENT {version}"
    assert (plate.wells["well"].nunique(), len(plate.analytes)) == (wells, analytes)
    assert not any(p.severity == "error" for p in plate.problems)
    for block, column in {"Median": "mfi", "Count": "bead_count"}.items():
        want = by_hand(file, block)
        ours = plate.wells.pivot(index="well", columns="analyte", values=column).loc[want.index, want.columns]
        np.testing.assert_array_equal(ours, want, err_msg=block)


def test_a_block_that_lacks_rows_is_said_and_nothing_shifts(folder: Path) -> None:
    file = folder / "xponent" / "CovidOISExPONTENT_missing_rows.csv"
    plate = one(file.read_bytes())
    (problem,) = [p for p in plate.problems if p.code == "rows-missing"]
    assert (problem.row, problem.column, problem.found) == (140, "Net MFI", "no A1, A2")
    net = cells(plate)["net_mfi"]
    rest = ~net.index.get_level_values("well").isin(["A1", "A2"])
    assert net[~rest].isna().all()
    want = by_hand(file, "Net MFI")
    assert net[rest].tolist() == want.to_numpy().ravel().tolist()


def test_percentages_that_excel_made_dates_are_empty_and_located(folder: Path) -> None:
    file = folder / "xponent" / "CovidOISExPONTENT_CO_with_holes.csv"
    plate = one(file.read_bytes())
    bad = [p for p in plate.problems if p.code == "not-a-number"]
    first = min(bad, key=lambda p: p.row or 0)
    assert (first.row, first.column, first.found) == (279, "Spike_6P_IPP", "20.lip")
    assert len(bad) == plate.wells["cv_pct"].isna().sum() and plate.wells["mfi"].notna().all()
    assert cells(plate)["cv_pct"]["H1", "ME_NA"] == 24.52
    assert {p.found for p in plate.problems if p.code == "unknown-analyte"} == {"HKU1_S_IPP"}


def test_bead_percentages_and_ungrouped_averages(folder: Path) -> None:
    plate = one((folder / "xponent" / "CovidOISExPONTENT.csv").read_bytes())
    assert cells(plate)["cv_pct"]["A2", "Spike_6P"] == 27.08
    assert plate.averages["well"].tolist() == plate.wells["well"].tolist(), "eleven wells S have eleven averages"
    assert plate.averages["net_mfi"].tolist() == plate.wells["net_mfi"].tolist()


def test_nan_and_not_reported(folder: Path) -> None:
    plate = one((folder / "xponent" / "luminex_xPONENT_NaN_and_not_reported_values.csv").read_bytes())
    row = cells(plate).loc[("A1", "analyte3")]
    assert np.isnan(row["mfi"]) and row["net_mfi"] == 2 and row["bead_count"] == 0 and row["state"] == "not_available"
    assert row["flag"].count("; ") == 1, "two different warnings of one well"
    assert "not-a-number" not in codes(plate.problems)


def test_intelliflex_in_blocks(folder: Path) -> None:
    plate = one((folder / "intelliflex" / "luminex_intelliflex_example_01.csv").read_bytes())
    assert cells(plate).loc[("A10", "JN1_PBS_1_day1")][["mfi", "net_mfi"]].tolist() == [1988.97815, 6.28052]
    assert plate.averages["well"].tolist() == plate.wells["well"].tolist(), "its averages have a Location"
    assert plate.wells["role"].unique().tolist() == ["sample", "blank"]
    assert plate.analytes["region"].tolist() == ["18", "19", "29", "33", "45"] and plate.analytes["unit"].isna().all()


def test_locations_without_quotes_and_blank_lines_within_blocks(folder: Path) -> None:
    plate = one((folder / "xponent" / "random_blanks.csv").read_bytes())
    assert plate.wells["well"].unique().tolist() == ["A1", "A2", "A3", "A4", "B1", "B2", "B3", "B4"]
    assert plate.wells["mfi"].tolist()[:6] == [20, 21, 23, 1292, 1389, 1414]
    assert plate.wells["bead_count"].tolist()[-3:] == [85, 50, 54]
    assert plate.analytes["bead_minimum"].tolist() == [50, 50, 50]
    assert codes(plate.problems) == {"header-left-out", "location-unquoted", "header-label"}


def test_a_shifted_second_column_is_refused_with_every_block_named(folder: Path) -> None:
    text = (folder / "xponent" / "random_broken_colB.csv").read_text()
    assert is_xponent(text)
    with pytest.raises(Refused) as refused:
        read(text)
    lost = [p.row for p in refused.value.problems if p.code == "block-without-name"]
    assert lost == [28, 39, 50, 55, 58] and "no-median" in codes(refused.value.problems)


def test_other_files_are_none_of_these(folder: Path) -> None:
    for name in (
        "xponent/drLumi_mfidata.csv",
        "intelliflex/luminex_intelliflex_v2_2.csv",
        "msd/msd_workbench_test_1.csv",
    ):
        assert not is_xponent((folder / name).read_text("utf-8-sig"))


# ---- the same plate in other clothes


def table(data: bytes) -> Rows:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def written(rows: Rows, delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL, end: str = "\n") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    return out.getvalue()


def parts(rows: Rows) -> tuple[Rows, list[Rows], Rows]:
    """Header, blocks, end."""
    starts = [i for i, row in enumerate(rows) if row[0] == "DataType:"]
    end = next(i for i, row in enumerate(rows) if row[0].startswith("-- CRC"))
    bounds = [*starts, end]
    return rows[: starts[0]], [rows[a:b] for a, b in pairwise(bounds)], rows[end:]


def shuffled(rows: Rows) -> str:
    head, blocks, end = parts(rows)
    random.Random(7).shuffle(blocks)
    return written([*head, *(row for block in blocks for row in block), *end])


def semicolons(rows: Rows) -> str:
    number = re.compile(r"([<>] )?-?\d+\.\d+([eE]-?\d+)?")
    made = [[c.replace(".", ",") if number.fullmatch(c) else c for c in row] for row in rows]
    return written(made, ";")


def spaced(rows: Rows) -> str:
    head, blocks, end = parts(rows)
    return written([*head, *(row for block in blocks for row in [*block, []]), *end])


def stripped(rows: Rows) -> str:
    """As the instrument writes: no commas to the widest line."""
    return "\n".join(line.rstrip(",") for line in written(rows).split("\n"))


def in_one_cell(rows: Rows) -> str:
    """As Excel saves a quoted file where it opened every line in one cell: the first quotes are gone, too."""
    lines = written(rows, quoting=csv.QUOTE_ALL).splitlines()
    return written([[line.replace('"', "", 2)] for line in lines])


def quoted_again(rows: Rows) -> str:
    return written([[line] for line in written(rows, quoting=csv.QUOTE_ALL).splitlines()])


CLOTHES: dict[str, Callable[[Rows], str]] = {
    "blocks shuffled": shuffled,
    "all cells quoted": lambda rows: written(rows, quoting=csv.QUOTE_ALL),
    "semicolons and decimal commas": semicolons,
    "tabs": lambda rows: written(rows, "\t"),
    "CRLF": lambda rows: written(rows, end="\r\n"),
    "CR": lambda rows: written(rows, end="\r"),
    "blank lines": spaced,
    "blank lines and CRLF, all quoted": lambda rows: written(
        table(spaced(rows).encode()), quoting=csv.QUOTE_ALL, end="\r\n"
    ),
    "no commas to spare": stripped,
    "more commas": lambda rows: written([[*row, "", "", ""] for row in rows]),
    "byte-order mark": lambda rows: "\ufeff" + written(rows),
    "every line one cell": in_one_cell,
    "every line quoted once more": quoted_again,
    "locations without quotes": lambda rows: written(rows).replace('"', ""),
}


@pytest.mark.parametrize("clothes", CLOTHES)
def test_the_same_plate_in_other_clothes(drlumi: bytes, plate: Plate, clothes: str) -> None:
    other = one(CLOTHES[clothes](table(drlumi)))
    assert_same(plate, other)
    assert not any(p.severity in ("error", "warning") for p in other.problems)


def test_blank_lines_taken_out(folder: Path) -> None:
    text = (folder / "xponent" / "CovidOISExPONTENT_CO.csv").read_text()
    assert "\n\n" in text
    assert_same(one(text), one("\n".join(line for line in text.splitlines() if line)))


def test_two_plates_in_one_file(drlumi: bytes, plate: Plate) -> None:
    head, blocks, end = parts(table(drlumi))
    made = []
    for block in blocks:
        made += block
        second = [row for row in block if re.match(r"\d+\(1,|1,[A-H]\d", row[0])]
        for row in second:
            made.append([re.sub(r"\(1,", "(2,", re.sub(r"^1,", "2,", row[0])), *row[1:]])
            if block[0][1] == "Median":
                made[-1][2] = str(float(row[2]) + 1)
    first, other = read(written([*head, *made, *end]))
    assert (first.number, other.number) == (1, 2)
    assert_same(plate, first)
    is_first = (plate.wells["analyte"] == "FGF").to_numpy(dtype=float)
    expected = plate.wells.assign(mfi=plate.wells["mfi"] + is_first)
    pd.testing.assert_frame_equal(other.wells, expected)
    assert_same(plate, other, ("averages", "standards", "curves", "analytes"))
    assert codes(first.problems) == {"header-left-out", "average-over-plates"}


@pytest.mark.parametrize(
    "block", ["Net MFI", "Count", "Result", "Units", "Dilution Factor", "Analysis Types", "Avg Result"]
)
def test_a_block_that_is_not_there_leaves_the_others_as_they_are(drlumi: bytes, plate: Plate, block: str) -> None:
    head, blocks, end = parts(table(drlumi))
    left = [row for rows in blocks if rows[0][1] != block for row in rows]
    other = one(written([*head, *left, *end]))
    gone = {"Dilution Factor": ("dilution",)}.get(block, COLUMN.get(block, ()))
    kept = [column for column in plate.wells if column not in gone]
    pd.testing.assert_frame_equal(other.wells[kept], plate.wells[kept])
    assert other.wells[[c for c in gone if c != "state"]].isna().all(axis=None)


def renamed(data: bytes, names: dict[str, str]) -> str:
    rows = table(data)
    return written([[names.get(c, c) for c in row] if {"FGF", "IL1B"} <= set(row) else row for row in rows])


def test_names_that_repeat_or_hold_commas(drlumi: bytes, plate: Plate) -> None:
    other = one(renamed(drlumi, {"IL1B": "FGF", "IL6": "IL-6, human"}))
    labels = {"FGF": "FGF (12)", "IL1B": "FGF (13)", "IL6": "IL-6, human"}
    for name in TABLES:
        want = getattr(plate, name).assign(analyte=lambda t: t["analyte"].replace(labels))
        pd.testing.assert_frame_equal(getattr(other, name), want)


def test_names_that_repeat_without_a_region_are_numbered(drlumi: bytes, plate: Plate) -> None:
    text = "\n".join(line for line in renamed(drlumi, {"IL1B": "FGF"}).split("\n") if not line.startswith("BeadID"))
    other = one(text)
    assert other.analytes["analyte"].tolist()[:3] == ["FGF #1", "FGF #2", "G-CSF"]
    assert other.wells["mfi"].tolist() == plate.wells["mfi"].tolist()


def test_curves_of_other_models(drlumi: bytes) -> None:
    text = drlumi.decode().replace(
        "AnalysisType,Logistic 5P,Logistic 5P,Logistic 5P", "AnalysisType,Logistic 4P,Cubic Spline,None"
    )
    curves = one(text).curves.set_index("analyte")
    assert curves.loc["FGF", ["model", "g", "b"]].tolist() == ["4pl", 1.0, -2.24661069769899]
    spline = curves.loc["IL1B"]
    assert spline["model"] == "Cubic Spline" and spline[["a", "d", "c", "b", "g"]].isna().all()
    assert "coefficient b = 15392.0194634303" in spline["equation"], "printed numbers are kept"


def test_a_sample_listed_as_a_standard_is_one(drlumi: bytes) -> None:
    plate = one(drlumi.decode().replace("Standard3", "Top mix").replace("Control2", "S9"))
    roles = plate.wells.drop_duplicates("sample").set_index("sample")["role"]
    assert roles["Top mix"] == "standard" and roles["S9"] == "control"
    assert cells(plate)["expected"]["A3", "FGF"] == 1725 and cells(plate)["expected"]["H5", "FGF"] == 862.5
    assert {(p.code, p.found) for p in plate.problems if p.severity == "warning"} == {("role-differs", "S9")}


# ---- damage, one kind each


def changed(data: bytes, line: int, cell: int, value: str) -> tuple[str, str]:
    """The file with one cell replaced, and what stood there."""
    rows = table(data)
    old = rows[line - 1][cell]
    rows[line - 1][cell] = value
    return written(rows), old


def test_unknown_blocks_are_named(drlumi: bytes, plate: Plate) -> None:
    other = one(drlumi.decode().replace("DataType:,Range", "DataType:,Median 13800138000"))
    (problem,) = [p for p in other.problems if p.code == "unknown-block"]
    assert problem.row == 454 and problem.found.startswith("Median") and "13800138000" not in str(problem)
    assert_same(plate, other)


# ---- comments


def test_an_average_is_extrapolated_where_a_well_of_it_is(drlumi: bytes) -> None:
    text = drlumi.decode()
    row = next(line for line in text.splitlines() if line.startswith('"2(1,B1)",Control1,Control Failed.'))
    plate = one(text.replace(row, row.replace("Control Failed.", "Extrapolated", 1)))
    wells, averages = cells(plate), plate.averages.set_index(["sample", "analyte"])
    assert wells.loc[[("B1", "FGF"), ("G10", "FGF"), ("B1", "IL1B")], "state"].tolist() == [
        "extrapolated", "measured", "measured",
    ]  # fmt: skip
    assert averages.loc[("Control1", "FGF"), "state"] == "extrapolated"
    assert averages.loc[("Control1", "IL1B"), "state"] == "measured"


def test_other_comments_stand_beside_the_warning_of_their_well(drlumi: bytes) -> None:
    rows = table(drlumi)
    line = next(i for i, row in enumerate(rows) if row and row[0].endswith(",B9)") and i > 946)
    rows[line][3] = "Outlier"
    flags = cells(one(written(rows)))["flag"]
    assert flags["B9", "IL1B"].startswith("Warning:") and flags["B9", "IL1B"].endswith("; Outlier")
    assert not flags["B9", "FGF"].endswith("Outlier")


@pytest.mark.parametrize(
    "change",
    [lambda row: [row[0], "another", *row[2:]], lambda row: ["?", *row[1:]], lambda row: row[:5] + row[6:]],
    ids=["sample", "well", "a cell lost"],
)
def test_comments_that_cannot_be_placed_leave_the_state_open(
    drlumi: bytes, plate: Plate, change: Callable[[list[str]], list[str]]
) -> None:
    rows = table(drlumi)
    assert rows[948][0] == "3(1,C1)" and "Extrapolated" in rows[948]
    rows[948] = change(rows[948])
    other = one(written(rows))
    (problem,) = [p for p in told(other.problems) if p.code == "comments-not-read"]
    assert (problem.severity, problem.row, problem.column) == ("warning", 949, "Comments")
    before, after = plate.wells, other.wells
    here = after["well"] == "C1"
    assert after.loc[~here].equals(before.loc[~here])
    numbers = before.loc[here, "state"].isin(["measured", "extrapolated"])
    assert (after.loc[here, "state"][numbers] == "not_available").all() and numbers.any()
    assert after.loc[here, "conc"].equals(before.loc[here, "conc"])


def test_a_file_cut_before_its_comments_says_nothing_of_extrapolation(drlumi: bytes) -> None:
    cut = one(drlumi[: drlumi.index(b"DataType:,Comments")])
    assert set(cut.wells["state"]) == {"below", "above", "not_available"}
    assert "no-end-mark" in codes(cut.problems)


def test_a_whole_file_without_comments_keeps_its_numbers_as_they_are(drlumi: bytes) -> None:
    text = drlumi.decode()
    start, end = text.index("DataType:,Comments"), text.index("DataType:,Units")
    assert "extrapolated" not in set(one(text[:start] + text[end:]).wells["state"])


def test_counts_are_whole(drlumi: bytes) -> None:
    plate = one(changed(drlumi, 260, 2, "20.5")[0])
    (problem,) = [p for p in plate.problems if p.code == "not-a-count"]
    assert (problem.row, problem.column, problem.found) == (260, "FGF", "20.5")


def test_thousands_are_not_taken_for_decimals(folder: Path) -> None:
    text = (folder / "xponent" / "luminex_xPONENT_example03.csv").read_text()
    for old, new in {"11510": "11,510", "3206.5": "3,206", "8538": "8,538"}.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    plate = one(text)
    assert plate.wells["mfi"].isna().sum() == 3
    assert {p.found for p in plate.problems if p.code == "not-a-number"} == {"11,510", "3,206", "8,538"}


def test_a_well_that_stands_twice_is_read_in_neither_row(drlumi: bytes, plate: Plate) -> None:
    rows = table(drlumi)
    rows.insert(70, [*rows[66][:2], "99999", *rows[66][3:]])
    other = one(written(rows))
    (problem,) = [p for p in other.problems if p.code == "row-twice"]
    assert (problem.row, problem.column, problem.severity) == (71, "Median", "error") and "row 67" in problem.message
    well = plate.wells["well"].unique()[3]
    assert other.wells["mfi"][other.wells["well"] == well].isna().all()
    pd.testing.assert_frame_equal(other.wells.drop(columns="mfi"), plate.wells.drop(columns="mfi"))


def test_a_row_that_lost_a_cell_does_not_shift(drlumi: bytes, plate: Plate) -> None:
    rows = table(drlumi)
    del rows[66][10]
    other = one(stripped(rows))
    (problem,) = [p for p in other.problems if p.severity == "error"]
    assert (problem.code, problem.row, problem.found) == ("row-width", 67, "32 cells")
    lost = cells(plate)["mfi"].compare(cells(other)["mfi"].reindex(cells(plate).index))
    assert len(lost) == 30 and lost["other"].isna().all()


def test_a_header_that_lost_a_cell_does_not_shift(drlumi: bytes, plate: Plate) -> None:
    rows = table(drlumi)
    del rows[258][10]
    other = one(written(rows))
    assert codes(other.problems) == {"header-left-out", "header-damaged"}
    assert other.wells["bead_count"].isna().all()
    pd.testing.assert_frame_equal(other.wells.drop(columns="bead_count"), plate.wells.drop(columns="bead_count"))


def test_a_header_in_another_order_is_followed(drlumi: bytes, plate: Plate) -> None:
    head, blocks, end = parts(table(drlumi))
    for block in blocks[1:3]:
        block[1:] = [[*row[:2], *row[2:32][::-1], *row[32:]] for row in block[1:]]
    assert_same(plate, one(written([*head, *(row for block in blocks for row in block), *end])))


def test_a_lost_block_line_does_not_pour_one_block_into_another(drlumi: bytes, plate: Plate) -> None:
    rows = table(drlumi)
    del rows[257]
    other = one(written(rows))
    assert {p.row for p in other.problems if p.code == "block-without-name"} == {258}
    assert other.wells["bead_count"].isna().all() and other.wells["net_mfi"].equals(plate.wells["net_mfi"])


def test_an_analyte_misspelt_in_one_block(drlumi: bytes, plate: Plate) -> None:
    other = one(changed(drlumi, 259, 2, "FGX")[0])
    told = {(p.column, p.found) for p in other.problems if p.code == "analytes-missing" and p.severity == "error"}
    assert ("Count", "no FGF") in told and ("Median", "no FGX") in told
    mine = cells(other)
    assert mine["bead_count"]["B1", "FGX"] == cells(plate)["bead_count"]["B1", "FGF"]
    assert np.isnan(mine["bead_count"]["B1", "FGF"]) and np.isnan(mine["mfi"]["B1", "FGX"])


def test_every_real_export_ends_with_its_mark(folder: Path) -> None:
    """So that a file without it is cut off, whichever version wrote it."""
    files = [
        *folder.glob("xponent/*xPONENT*.csv"),
        *folder.glob("xponent/*_xponent.csv"),
        *folder.glob("xponent/*Covid*.csv"),
    ]
    assert len(set(files)) > 8
    for file in files:
        assert "no-end-mark" not in codes(one(file.read_bytes()).problems), file.name


def test_without_an_end_mark(drlumi: bytes, plate: Plate) -> None:
    whole = drlumi[: drlumi.index(b"-- CRC")]
    other = one(whole)
    assert [(p.code, p.severity) for p in other.problems if p.severity != "repaired"] == [("no-end-mark", "error")]
    assert_same(plate, other)
    short = one(whole[: whole.index(b'"60(1,D8)"', whole.index(b"DataType:,Net MFI"))])
    (problem,) = [p for p in short.problems if p.severity == "error"]
    assert (problem.code, problem.column, problem.row) == ("truncated", "Net MFI", 220)
    assert short.wells["mfi"].equals(plate.wells["mfi"])


def test_empty_and_foreign_texts_are_refused() -> None:
    for text in ("", "\n\n", "a,b\n1,2\n", "DataType:,Median", "Program,xPONENT\nDataType:,Median\nLocation,Sample\n"):
        with pytest.raises(Refused):
            read(text)


# ---- damage anywhere, by chance with fixed seeds


@pytest.fixture(scope="module")
def small(drlumi: bytes) -> Rows:
    """The real plate cut down to columns 1 to 3 and six analytes, so that hundreds of damages are read in seconds."""
    head, blocks, end = parts(table(drlumi))
    out = set(blocks[0][1][2:-1]) - {"FGF", "IL1B", "G-CSF", "IL10", "IL13", "IL6"}
    left = {row[1] for row in blocks[0][2:] if re.search(r"[A-H][1-3]\)", row[0])}
    made = [filled for row in [*head, *end] if (filled := row[: sum(map(bool, row))])]
    for block in reversed(blocks):
        columns = [i for i, name in enumerate(block[1]) if name and name not in out]
        rows = [
            [row[i] for i in columns]
            for row in block[1:]
            if not re.match(r".*,[A-H]([4-9]|1\d)\)?$", row[0])
            and (block[1][0] != "Sample" or row[0] in {"Sample", *left})
        ]
        made[len(head) - 1 : len(head) - 1] = [block[0][:2], *rows]
    return made


def as_cells(plates: list[Plate]) -> Cells:
    """Every value and state of every well and analyte, empty ones left out."""
    found = {}
    for plate in plates:
        for row in plate.wells[["well", "analyte", *VALUES, "state", "sample", "role"]].to_dict("records"):
            key = (plate.number, row.pop("well"), row.pop("analyte"))
            found[key] = {column: value for column, value in row.items() if value == value}
    return found


@pytest.fixture(scope="module")
def before(small: Rows) -> Cells:
    """What the undamaged plate holds."""
    return as_cells(read(written(small)))


def differences(old: Cells, new: Cells) -> set[tuple[object, ...]]:
    return {
        (*key, column)
        for key in old.keys() | new.keys()
        for column in old.get(key, {}).keys() | new.get(key, {}).keys()
        if old.get(key, {}).get(column) != new.get(key, {}).get(column)
    }


def only_lost(old: Cells, new: Cells) -> bool:
    """Whether whatever is still there is as it was."""
    return all(
        old.get(key, {}).get(column) == value or (column, value) == ("state", "not_available")
        for key, row in new.items()
        for column, value in row.items()
    )


def block_of(rows: Rows, line: int) -> str:
    return next((row[1] for row in rows[line::-1] if row[0] == "DataType:"), "")


def told(problems: Iterable[Problem]) -> list[Problem]:
    return [p for p in problems if p.severity in ("error", "warning")]


def value_cells(rows: Rows) -> list[tuple[int, int]]:
    """Cells of wells × analytes in the blocks that are read, by index of row and cell."""
    places = []
    for i, row in enumerate(rows):
        block = block_of(rows, i)
        if block in COLUMN and re.match(r"\d+\(", row[0]):
            places += [(i, j) for j in range(2, 8)]
    return places


def expected_differences(rows: Rows, i: int, j: int) -> set[tuple[object, ...]]:
    header = next(row for row in rows[i::-1] if row[0] == "Location")
    well = re.sub(r".*,|\)", "", rows[i][0])
    return {(1, well, header[j], column) for column in COLUMN[block_of(rows, i)]}


def test_the_small_plate_is_whole(small: Rows) -> None:
    plate = one(written(small))
    assert len(plate.wells) == 24 * 6 and not told(plate.problems)
    assert plate.wells[["mfi", "net_mfi", "bead_count"]].notna().all(axis=None)


@pytest.mark.parametrize("seed", range(40))
def test_a_replaced_number_shows_in_its_own_cell_and_nowhere_else(small: Rows, before: Cells, seed: int) -> None:
    rng = random.Random(seed)
    i, j = rng.choice(value_cells(small))
    rows = [list(row) for row in small]
    rows[i][j] = str(rng.randrange(100_000, 200_000))
    after = as_cells(read(written(rows)))
    changed = differences(before, after)
    assert changed and changed <= expected_differences(small, i, j)
    assert float(rows[i][j]) in [after[key[:3]].get(key[3]) for key in changed]


@pytest.mark.parametrize("seed", range(40))
def test_a_text_for_a_number_is_located_and_leaves_all_others_equal(small: Rows, before: Cells, seed: int) -> None:
    rng = random.Random(seed)
    i, j = rng.choice(value_cells(small))
    rows = [list(row) for row in small]
    rows[i][j] = rng.choice(["kaputt", "12.5.2014", "1,5", "#REF!", "5..3", "12.Mai", "²"])
    after = one(written(rows))
    expected = expected_differences(small, i, j)
    assert differences(before, as_cells([after])) <= expected
    (problem,) = told(after.problems)
    assert (problem.code, problem.severity, problem.row) == ("not-a-number", "warning", i + 1)
    assert {problem.column} == {analyte for _, _, analyte, _ in expected}


@pytest.mark.parametrize("seed", range(40))
def test_a_text_in_any_other_cell(small: Rows, before: Cells, seed: int) -> None:
    rng = random.Random(seed)
    places = {(i, j) for i, row in enumerate(small) for j, cell in enumerate(row) if cell and block_of(small, i)}
    i, j = rng.choice(sorted(places - set(value_cells(small))))
    rows = [list(row) for row in small]
    rows[i][j] = rng.choice(["kaputt", "x,y", '"', "B", "1(1,A1)"])
    plates, problems = attempt(written(rows))
    if differences(before, as_cells(plates)):
        assert any(p.row is not None for p in told(problems))


def cut_off(problems: Iterable[Problem]) -> bool:
    """Whether an error says that the file is cut off, and where."""
    return any(p.severity == "error" and p.code in ("truncated", "no-end-mark") and p.row for p in problems)


@pytest.mark.parametrize("seed", range(40))
def test_cut_off_anywhere(small: Rows, before: Cells, seed: int) -> None:
    text = written(small)
    cut = text[: random.Random(seed).randrange(len(text))]
    plates, problems = attempt(cut)
    assert only_lost(before, as_cells(plates))
    assert not plates or cut_off(problems) or "-- CRC" in cut


@pytest.mark.parametrize("seed", range(40))
def test_two_lines_swapped(small: Rows, before: Cells, seed: int) -> None:
    """Rows of one well in two blocks, or two DataType lines, cannot be told when they change places."""
    rng = random.Random(seed)
    i, j = rng.sample(range(len(small)), 2)
    while small[i][0] == small[j][0]:
        i, j = rng.sample(range(len(small)), 2)
    rows = [list(row) for row in small]
    rows[i], rows[j] = rows[j], rows[i]
    plates, problems = attempt(written(rows))
    if differences(before, as_cells(plates)):
        assert any(p.row is not None for p in told(problems))


@pytest.mark.parametrize("seed", range(40))
def test_bytes_of_a_wrong_encoding(small: Rows, before: Cells, seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(written(small).encode())
    for _ in range(rng.choice([1, 1, 3, 40])):
        at = rng.randrange(len(data))
        data[at : at + rng.choice([0, 1])] = bytes([rng.choice([0, 0x1B, 0x80, 0x9D, 0xB5, 0xC3, 0xE4, 0xFF])])
    plates, problems = attempt(bytes(data))
    if differences(before, as_cells(plates)):
        assert any(p.row is not None for p in told(problems))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_another_encoding_as_a_whole(small: Rows, before: Cells, encoding: str) -> None:
    assert not differences(before, as_cells(read(written(small).encode(encoding))))


def test_an_encoding_of_mainframes_is_refused(small: Rows) -> None:
    with pytest.raises(Refused):
        read(written(small).encode("cp500"))


@pytest.mark.parametrize("seed", range(8))
def test_the_whole_plate_cut_off_anywhere(drlumi: bytes, plate: Plate, seed: int) -> None:
    plates, problems = attempt(drlumi[: random.Random(seed).randrange(len(drlumi))])
    assert not plates or cut_off(problems)
    assert only_lost(as_cells([plate]), as_cells(plates))
