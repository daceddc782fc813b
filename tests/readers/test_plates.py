"""Detection: every real file is read as what it is, whatever its name; everything else is refused with a sentence."""

from __future__ import annotations

import os
import random
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from helpers.core.problems import Problem, Refused
from helpers.readers import msd, plates
from helpers.readers.bioplex import read_bioplex
from helpers.readers.plate import ANALYTES, CURVES, STANDARDS, STATES, WELLS, Plate
from helpers.readers.plates import LAYOUTS, read_plate_file

REAL = {
    "xponent": ["xponent/*.csv", "intelliflex/luminex_intelliflex_example_01.csv"],
    "intelliflex": ["intelliflex/luminex_intelliflex_single_dataset.csv", "intelliflex/luminex_intelliflex_v2_2.csv", "intelliflex/random_intelliflex.csv"],
    "bioplex": ["bioplex/*.xls", "bioplex/RawAndSummary.xlsx", "bioplex/plate*.xlsx", "bioplex/pnLINCO*.xlsx"],
    "bioplex_wide": ["bioplex/derived*.xlsx", "bioplex/synthetic_bioplex.xlsx"],
    "bioplex_xml": ["bioplex/*.xml"],
    "msd": ["msd/*"],
}  # fmt: skip
NO_EXPORT = ["drLumi_ecdata.csv", "drLumi_mfidata.csv"]
BROKEN = ["random_broken_colB.csv"]
PLATES = 39


def real_files(folder: Path) -> list[tuple[str, Path]]:
    found = [
        (layout, f) for layout, patterns in REAL.items() for pattern in patterns for f in sorted(folder.glob(pattern))
    ]
    return [(layout, f) for layout, f in found if f.name not in (*NO_EXPORT, *BROKEN)]


@pytest.fixture(scope="module")
def luminex(reference_data: Path) -> Path:
    return reference_data / "luminex"


@pytest.fixture(scope="module")
def read(luminex: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, list[Plate]]]:
    """Every real plate, read once, under a name that says nothing."""
    plain = tmp_path_factory.mktemp("renamed") / "x.dat"
    found = {}
    for layout, path in real_files(luminex):
        plain.write_bytes(path.read_bytes())
        found[str(path.relative_to(luminex))] = (layout, read_plate_file(plain, "x.dat"))
    return found


def refusal(path: Path, layout: str = "") -> list[Problem]:
    with pytest.raises(Refused) as caught:
        read_plate_file(path, "raw/x.dat", layout)
    problems = caught.value.problems
    assert problems[0].severity == "error" and problems[0].file == "raw/x.dat"
    assert problems[0].message.endswith((".", ")")) and problems[0].fix
    assert "reader-failed" not in {p.code for p in problems}
    return problems


def test_every_real_plate_is_found(read: dict[str, tuple[str, list[Plate]]]) -> None:
    assert len(read) == PLATES
    wrong = {name: [p.layout for p in found] for name, (layout, found) in read.items() if {p.layout for p in found} != {layout}}  # fmt: skip
    assert wrong == {}
    assert [p.number for p in read["msd/methodical_test_1.txt"][1]] == [1, 2]


def test_every_real_plate_keeps_the_contract(read: dict[str, tuple[str, list[Plate]]]) -> None:
    for name, (_, found) in read.items():
        for plate in found:
            tables = ((plate.wells, WELLS), (plate.averages, WELLS), (plate.standards, STANDARDS), (plate.curves, CURVES), (plate.analytes, ANALYTES))  # fmt: skip
            for table, columns in tables:
                assert {c: str(t) for c, t in table.dtypes.items()} == columns, name
                assert table.index.equals(pd.RangeIndex(len(table))), name
            assert len(plate.wells) and set(plate.wells["state"].dropna()) <= set(STATES), name
            assert set(plate.wells["role"].dropna()) <= {"standard", "blank", "control", "sample"}, name
            assert set(plate.wells["analyte"]) <= set(plate.analytes["analyte"]), name
            assert not any(p.severity == "error" or p.file != "x.dat" for p in plate.problems), name


def test_the_name_of_a_file_does_not_matter(luminex: Path, tmp_path: Path) -> None:
    """A workbook that calls itself CSV, a CSV that calls itself a workbook."""
    for source, name in (("bioplex/WithBlankBead.xls", "x.csv"), ("msd/msd_workbench_test_2.csv", "x.xls")):
        copy = tmp_path / name
        copy.write_bytes((luminex / source).read_bytes())
        (a,), (b,) = read_plate_file(copy, "x"), read_plate_file(luminex / source, "x")
        pd.testing.assert_frame_equal(a.wells, b.wells)


def test_layouts_and_other_tables_are_no_exports(luminex: Path) -> None:
    for path in sorted(luminex.glob("*/*layout.xlsx")):
        assert refusal(path)[0].code == "unknown-layout", path.name
    assert refusal(luminex / "xponent" / "drLumi_ecdata.csv")[0].code == "unknown-layout"
    assert refusal(luminex / "README.md")[0].code == "unknown-layout"
    for path in sorted((luminex / "concentrations").iterdir()):
        assert refusal(path)[0].code == "unknown-layout", path.name
    (plate,) = read_plate_file(luminex / "xponent" / "drLumi_mfidata.csv", "x")
    assert plate.layout == "plain"
    (plate,) = read_plate_file(luminex / "ncal" / "nCal_hier_model_ex2.csv", "x")
    assert plate.layout == "plain"


def test_a_broken_export_is_refused_by_its_own_reader(luminex: Path) -> None:
    assert "unknown-layout" not in {p.code for p in refusal(luminex / "xponent" / BROKEN[0])}


# ---- other ways to write the same file


@pytest.mark.parametrize("name", ["xponent/luminex_xPONENT_example03.csv", "intelliflex/random_intelliflex.csv", "msd/msd_workbench_test_2.csv", "msd/methodical_test_1.txt"])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(luminex: Path, tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / "x"
    path.write_bytes((luminex / name).read_bytes().decode("utf-8-sig").encode(encoding))
    for a, b in zip(read_plate_file(path, "x"), read_plate_file(luminex / name, "x"), strict=True):
        pd.testing.assert_frame_equal(a.wells, b.wells)


def test_what_was_said_of_the_encoding_goes_with_every_plate(luminex: Path, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(
        (luminex / "msd/methodical_test_1.txt").read_bytes().replace(b"dmc", "Müller 5 µl".encode("cp1252"))
    )
    found = read_plate_file(path, "x")
    assert [sum(p.code == "cp1252" for p in plate.problems) for plate in found] == [1, 1]
    path.write_bytes("well,sample,IL-6\nA1,5 µl,7\n".encode("cp1252"))
    (plate,) = read_plate_file(path, "x")
    assert sum(p.code == "cp1252" for p in plate.problems) == 1, "said once, although two have decoded"


# ---- a layout that is asked for


def test_a_wanted_layout_is_used_or_refused(luminex: Path, tmp_path: Path) -> None:
    path = luminex / "msd" / "msd_workbench_test_2.csv"
    assert read_plate_file(path, "x", "msd")[0].layout == "msd"
    assert read_plate_file(luminex / "msd" / "methodical_test_1.txt", "x", "msd")[0].layout == "msd"
    assert read_plate_file(luminex / "bioplex" / "synthetic_bioplex.xlsx", "x", "bioplex")[0].layout == "bioplex_wide"
    for layout in set(LAYOUTS) - {"msd"}:
        (problem,) = refusal(path, layout)
        assert (problem.code, problem.expected) == ("other-layout", LAYOUTS[layout])
    (problem,) = refusal(luminex / "bioplex" / "WithBlankBead.xls", "xponent")
    assert problem.code == "other-layout"
    (problem,) = refusal(path, "lumi")
    assert (problem.code, problem.found, problem.expected) == ("unknown-layout", "lumi", ", ".join(LAYOUTS))


def test_a_table_that_fits_two_layouts_can_be_read_as_either(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("sample,well,assay,spot,signal\nS1,A1,IL-6,1,5\n")
    assert read_plate_file(path, "x")[0].layout == "msd"
    assert read_plate_file(path, "x", "plain")[0].layout == "plain"


# ---- what is no file of a plate


def test_folders_and_missing_files(tmp_path: Path) -> None:
    assert (refusal(tmp_path)[0].code, refusal(tmp_path / "none")[0].code) == ("not-a-file", "not-a-file")
    if hasattr(os, "mkfifo"):  # not on Windows
        os.mkfifo(tmp_path / "pipe")
        assert refusal(tmp_path / "pipe")[0].code == "not-a-file"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty-file"), (b" \r\n\n", "empty-file"), (b"hello", "unknown-layout"), (bytes(range(256)) * 40, "not-a-plate"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "not-a-plate"), (b"PK\x03\x04 not a zip", "damaged-workbook"), (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(99), "not-a-plate"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(3000), "damaged-workbook"), (b'<?xml version="1.0"?><html/>', "unknown-layout"),
        ('<?xml version="1.0" encoding="UTF-16"?><a/>'.encode("utf-16"), "unknown-layout"), (b"\xff\xfe", "unknown-layout"), (b"\n" * 9 + b"\0", "not-a-plate"),
        (b'"' * 100_000, "unknown-layout"), (b",;\t" * 50_000, "unknown-layout"), (b"a\n" * 200_000, "unknown-layout"),
        (b"FCS3.1         256    1545" + b" " * 300, "unknown-layout"),
    ],
)  # fmt: skip
def test_other_files_are_refused(tmp_path: Path, data: bytes, code: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    problems = refusal(path)
    assert code in {p.code for p in problems}
    if code in ("unknown-layout", "not-a-plate"):
        assert all(name in problems[0].expected for name in ("xPONENT", "INTELLIFLEX", "Bio-Plex", "MSD", "plain"))


def test_zip_files_that_are_no_workbooks(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    assert refusal(path)
    book = openpyxl.Workbook()
    book.save(path)
    assert refusal(path)[0].code == "unknown-layout"


def test_too_large_a_file_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as handle:
        handle.truncate(200_000_001)
    assert refusal(path)[0].code == "too-large"


def test_identities_in_a_file_that_is_refused_are_not_printed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("name,phone\nZhang San,13800138000\n")
    assert not any("138" in str(p) or "Zhang" in str(p) for p in refusal(path))


@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), KeyError("x"), ZeroDivisionError()])
def test_a_reader_that_fails_is_a_refusal_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(data: bytes, file: str) -> list[Plate]:
        raise error

    monkeypatch.setattr(msd, "read_msd", fails)
    path = tmp_path / "x"
    path.write_text("Sample,Assay,Well,Spot,Signal\nS1,IL-6,A01,1,5\n")
    with pytest.raises(Refused, match="This file cannot be read") as caught:
        read_plate_file(path, "raw/x.dat")
    assert caught.value.__cause__ is error
    assert [p.code for p in caught.value.problems] == ["reader-failed"]


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_text("a")

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert refusal(path)[0].code == "unreadable"


# ---- damaged files of every layout


def damaged(draw: random.Random, data: bytes) -> bytes:
    """Cut off, bytes changed, a piece lost, doubled or moved."""
    a, b = sorted(draw.randrange(len(data)) for _ in range(2))
    b = min(b, a + 400)
    how = draw.randrange(5)
    if how == 0:
        return data[:a]
    if how == 1:
        changed = bytearray(data)
        for _ in range(20):
            changed[draw.randrange(len(data))] = draw.randrange(256)
        return bytes(changed)
    if how == 2:
        return data[:a] + data[b:]
    if how == 3:
        return data[:b] + data[a:]
    at = draw.randrange(len(data))
    rest = data[:a] + data[b:]
    return rest[:at] + data[a:b] + rest[at:]


DAMAGED = {
    "xponent/luminex_xPONENT_example03.csv": range(16),
    "intelliflex/random_intelliflex.csv": range(16),
    "msd/msd_workbench_test_1.csv": range(16),
    "msd/methodical_test_4_missing_spots.txt": range(12),
    "bioplex/bio-rad_bio-plex_manager_example_01.xml": range(4),
    "bioplex/synthetic_bioplex.xlsx": range(6),
    "bioplex/WithBlankBead.xls": (1, 3, 4),  # others make the workbook's library ask for all the memory it may have
    "msd/test_msd_workbench_xlsx.xlsx": range(4),
}


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for name, seeds in DAMAGED.items() for seed in seeds])
def test_damaged_files_give_plates_or_a_refusal(luminex: Path, tmp_path: Path, name: str, seed: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(damaged(random.Random(f"{name} {seed}"), (luminex / name).read_bytes()))
    try:
        found, problems = read_plate_file(path, "x"), []
    except Refused as err:
        found, problems = [], err.problems
    assert found or any(p.severity == "error" and p.file == "x" for p in problems)
    assert "reader-failed" not in {p.code for p in problems}, "a reader raised something else than Refused"


def test_the_readers_are_the_ones_that_stand_alone(luminex: Path) -> None:
    """Detection changes nothing in what a reader gives."""
    path = luminex / "bioplex" / "WithBlankBead.xls"
    (direct,), (found,) = read_bioplex(path.read_bytes(), "x"), plates.read_plate_file(path, "x")
    pd.testing.assert_frame_equal(direct.wells, found.wells)
    assert direct.problems == found.problems
