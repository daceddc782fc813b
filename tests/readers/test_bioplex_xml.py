"""Bio-Plex Manager's XML: the real file, the same one damaged, and files that were made to harm."""

from __future__ import annotations

import math
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from helpers.core.problems import Refused
from helpers.readers.bioplex_xml import is_bioplex_xml, read_bioplex_xml
from helpers.readers.plate import Plate

NAME = "bio-rad_bio-plex_manager_example_01.xml"
TABLES = ("wells", "averages", "standards", "curves", "analytes")


@pytest.fixture(scope="module")
def data(reference_data: Path) -> bytes:
    return (reference_data / "luminex" / "bioplex" / NAME).read_bytes()


@pytest.fixture(scope="module")
def plate(data: bytes) -> Plate:
    (found,) = read_bioplex_xml(data, "p.xml")
    return found


@pytest.fixture(scope="module")
def small(data: bytes) -> bytes:
    """The real file with two standards in four wells and without single bead events."""
    root = ET.fromstring(data)
    wells, samples = root.find("Wells"), root.find("Samples")
    assert wells is not None and samples is not None
    for well in wells.findall("Well"):
        for events in well.findall("BeadEventData"):
            well.remove(events)
        if well.get("WellNo") not in ("1", "2"):
            wells.remove(well)
    for group in samples:
        for i, sample in enumerate(list(group)):
            if group.tag != "Standards" or i > 1:
                group.remove(sample)
    return ET.tostring(root)


def read(data: bytes) -> Plate:
    (found,) = read_bioplex_xml(data, "p.xml")
    return found


def changed(data: bytes, change: Callable[[ET.Element], None]) -> Plate:
    root = ET.fromstring(data)
    change(root)
    return read(ET.tostring(root))


def at(root: ET.Element, path: str) -> ET.Element:
    found = root.find(path)
    assert found is not None, path
    return found


def codes(plate: Plate) -> set[str]:
    return {p.code for p in plate.problems} - {"not-kept", "no-curve", "no-regions"}


FIRST = "Samples/Standards/Standard/MemberWells/MemberWell"


def test_every_well_and_region_is_there(plate: Plate) -> None:
    assert (plate.layout, plate.software) == ("bioplex_xml", "Bio-Plex Manager 6.2.0.175")
    assert plate.wells.groupby("well").size().tolist() == [15] * 96
    assert plate.wells["role"].value_counts().to_dict() == {"sample": 960, "standard": 330, "control": 120, "blank": 30}
    assert len(plate.averages) == 48 * 15
    regions = ["12", "15", "18", "21", "25", "28", "33", "36", "42", "47", "53", "57", "62", "67", "75"]
    assert plate.analytes["region"].tolist() == regions
    assert plate.analytes["analyte"].iloc[[0, 3, 14]].tolist() == ["alpha", "delta", "oscar"]
    assert set(plate.analytes["bead_minimum"]) == {25}
    # only eight wells of this file still have their bead regions
    assert plate.wells["bead_count"].notna().sum() == 8 * 15
    assert not plate.wells.duplicated(["analyte", "well"]).any()


def test_values_read_by_eye(plate: Plate) -> None:
    wells = plate.wells.set_index(["analyte", "well"])
    row = wells.loc[("delta", "A1")]
    assert (row["kind"], row["role"], row["level"], row["dilution"]) == ("S1", "standard", 1, 1)
    assert (row["mfi"], row["bead_count"], row["cv_pct"]) == (3245, 60, pytest.approx(12.561339139938354, rel=1e-14))
    assert (row["state"], pd.isna(row["conc"]), pd.isna(row["expected"])) == ("not_available", True, True)
    assert wells.loc[("hotel", "H12"), ["kind", "mfi"]].tolist() == ["X32", 2483.5]
    mean = plate.averages.set_index(["analyte", "well"]).loc[("alpha", "C1,D1")]
    assert (mean["kind"], mean["mfi"], mean["net_mfi"]) == ("C1", 294, 232)
    assert mean["cv_pct"] == pytest.approx(1.4430750636460152, rel=1e-14)


def test_codes_of_sampling_errors_are_words(plate: Plate) -> None:
    flags = plate.wells[plate.wells["flag"].notna()]
    assert flags["well"].tolist() == ["A12"] * 5
    words = ["low bead number", "aggregated beads", "classification", "region selection", "platform temperature"]
    assert flags["flag"].tolist() == words


def test_a_failed_regression_is_said_for_every_analyte(plate: Plate) -> None:
    assert plate.curves.empty and plate.standards.empty
    said = [p for p in plate.problems if p.code == "no-curve"]
    assert [p.column for p in said] == plate.analytes["analyte"].tolist()
    assert all(p.severity == "warning" and "All expected values set to" in p.found for p in said)
    assert {p.code for p in plate.problems} == {"no-curve", "no-regions", "not-kept"}


def test_nothing_of_persons_and_machines_is_kept(plate: Plate) -> None:
    everything = " ".join([plate.software, *map(str, plate.problems), *(getattr(plate, t).to_csv() for t in TABLES)])
    for private in ("foobar", "waldo", "baz", "qux", "corge", "2023-05", "LX123", "test file"):
        assert private not in everything


def test_other_encodings_and_a_byte_order_mark(small: bytes) -> None:
    text = small.decode()
    for data in (text.encode("utf-8-sig"), ('<?xml version="1.0" encoding="UTF-16"?>' + text).encode("utf-16")):
        assert is_bioplex_xml(data)
        assert_frame_equal(read(data).wells, read(small).wells)


def test_xml_exports_are_told_from_other_files(data: bytes, reference_data: Path) -> None:
    assert is_bioplex_xml(data)
    others = [p for p in sorted(reference_data.rglob("*")) if p.suffix in (".xml", ".wsp", ".csv", ".xls", ".xlsx")]
    assert len(others) > 50
    assert [p.name for p in others if is_bioplex_xml(p.read_bytes())] == [NAME]


# ---- what this file does not have


@pytest.mark.parametrize(
    ("ok", "error", "value", "state"),
    [
        ("true", "", 12.5, "measured"), ("false", "Out of range above", math.nan, "above"), ("false", "Value is below range", math.nan, "below"),
        ("false", "Extrapolated beyond standards", 12.5, "extrapolated"), ("false", "Designated as an outlier", math.nan, "excluded"),
        ("false", "Data field has not been set", math.nan, "not_available"), ("false", "something new", math.nan, "not_available"),
    ],
)  # fmt: skip
def test_errors_of_a_concentration_are_states(small: bytes, ok: str, error: str, value: float, state: str) -> None:
    def change(root: ET.Element) -> None:
        conc = at(root, f"{FIRST}/MWAnalytes/MWAnalyte/MWObsConc")
        conc.set("ReadingOK", ok)
        conc.set("ReadError", error)
        conc.text = "1.25E+001"

    found = changed(small, change)
    row = found.wells.iloc[0]
    assert row["state"] == state
    assert row["conc"] == value or (math.isnan(value) and math.isnan(row["conc"]))
    assert codes(found) == ({"unknown-error"} if error == "something new" else set())


def test_a_concentration_of_a_mean_stands_after_its_statistics(small: bytes) -> None:
    def change(root: ET.Element) -> None:
        analyte = at(root, "Samples/Standards/Standard/Analytes/Analyte")
        at(analyte, "ObsConcValidationFlag").text = "OK"
        at(analyte, "ObsConc")[-1].tail = "4.5E+001\n"
        at(analyte, "ExpectedConc").text = "5.0E+001"

    found = changed(small, change)
    mean, well = found.averages.iloc[0], found.wells.iloc[0]
    assert (mean["conc"], mean["state"], mean["expected"], well["expected"]) == (45, "measured", 50, 50)
    assert found.standards[["analyte", "role", "level", "expected"]].to_numpy().tolist() == [
        ["alpha", "standard", 1, 50]
    ]


def test_a_curve_is_found_wherever_it_stands(small: bytes) -> None:
    def change(root: ET.Element) -> None:
        first, second = root.findall("StandardCurves/Interpolators/Interpolator")[:2]
        for element, text in ((first, "FI = 1.5 + (20 - 1.5) / ((1 + (Conc / 3)^-1.1))^0.5"), (second, "FI = ?")):
            element.set("IsValid", "true")
            at(element, "EquationErr").tag = "Equation"
            at(element, "Equation").text = text

    found = changed(small, change)
    assert found.curves[["analyte", "model", "a", "d", "c", "b", "g"]].to_numpy().tolist() == [
        ["alpha", "5pl", 1.5, 20, 3, -1.1, 0.5]
    ]
    assert [(p.code, p.column) for p in found.problems if p.code == "unknown-equation"] == [
        ("unknown-equation", "bravo")
    ]


def test_outliers_and_invalid_readings_are_flagged(small: bytes) -> None:
    def change(root: ET.Element) -> None:
        first, second = root.findall(f"{FIRST}/MWAnalytes/MWAnalyte/Reading")[:2]
        first.set("OutlierType", "User")
        second.set("Valid", "false")

    wells = changed(small, change).wells
    assert wells["flag"].tolist()[:3] == ["outlier", "outlier", pd.NA]
    assert wells["state"].tolist()[:3] == ["excluded", "excluded", "not_available"]


# ---- damage


def shift_region(root: ET.Element) -> None:
    at(root, f"{FIRST}/MWAnalytes/MWAnalyte").set("RegionNumber", "15")


def shift_well(root: ET.Element) -> None:
    at(root, FIRST).set("RowNo", "2")


def move_well(root: ET.Element) -> None:
    at(root, FIRST).attrib.update(RowNo="2", WellNumber="13")


def leave_plate(root: ET.Element) -> None:
    at(root, FIRST).attrib.update(RowNo="9", WellNumber="97")


def change_reading(root: ET.Element) -> None:
    at(root, f"{FIRST}/MWAnalytes/MWAnalyte/Reading").text = "7"


def spoil_reading(root: ET.Element) -> None:
    at(root, f"{FIRST}/MWAnalytes/MWAnalyte/Reading").text = "n.d."


def drop_reading(root: ET.Element) -> None:
    analyte = at(root, f"{FIRST}/MWAnalytes/MWAnalyte")
    analyte.remove(at(analyte, "Reading"))


def relabel(root: ET.Element) -> None:
    at(root, "Samples/Standards/Standard/Label").text = "X7"


def repeat_analyte(root: ET.Element) -> None:
    analytes = at(root, f"{FIRST}/MWAnalytes")
    analytes.append(analytes[0])


def loosen_wells(root: ET.Element) -> None:
    standards = at(root, "Samples/Standards")
    standards.remove(standards[1])


@pytest.mark.parametrize(
    ("change", "code", "lost"),
    [
        (shift_region, "analyte-differs", {("A1", "alpha")}), (shift_well, "not-a-well", {("A1", None)}), (move_well, "well-twice", {("A1", None), ("B1", None)}),
        (leave_plate, "not-a-well", {("A1", None)}), (change_reading, "reading-differs", set()), (spoil_reading, "not-a-number", set()),
        (drop_reading, "no-reading", set()), (relabel, "sample-differs", set()), (repeat_analyte, "analyte-twice", {("A1", "alpha")}),
        (loosen_wells, "well-of-none", {("B2", None)}),
    ],
)  # fmt: skip
def test_doubt_is_said_and_moves_nothing(
    small: bytes, change: Callable[[ET.Element], None], code: str, lost: set[tuple[str, str | None]]
) -> None:
    before, after = read(small).wells, changed(small, change)
    assert code in codes(after)
    said = next(p for p in after.problems if p.code == code)
    assert said.file == "p.xml" and (said.column or said.found)
    old = before.set_index(["well", "analyte"])["mfi"].to_dict()
    new = after.wells.set_index(["well", "analyte"])["mfi"].to_dict()
    gone = {key for key in old if key not in new}
    # wells without a sample keep the medians of their bead regions
    kept = {key for key in gone if not lost & {key, (key[0], None)}}
    assert not kept and set(new) <= set(old)
    touched = {key for key in new if new[key] != old[key]}
    assert touched <= ({("A1", "alpha")} if code in ("reading-differs", "not-a-number", "no-reading") else set())


def test_damaged_bytes_are_a_sentence_or_a_plate(small: bytes) -> None:
    rng = random.Random(31)
    errors = []
    for turn in range(120):
        damaged = bytearray(small)
        if turn % 4 == 0:
            del damaged[rng.randrange(len(damaged)) :]
        else:
            for _ in range(rng.choice([1, 1, 1, 5])):
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(7)
        try:
            found = read(bytes(damaged))
        except Refused as error:
            errors.append(error)
        else:
            assert not found.wells.duplicated(["analyte", "well"]).any()
            assert set(found.wells["well"]) <= {"A1", "A2", "B1", "B2"}
    assert 30 < len(errors) < 120
    assert all(p.file == "p.xml" and p.message and p.fix for error in errors for p in error.problems)


def test_a_cut_file_is_refused_with_the_line_where_it_ends(data: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read(data[: len(data) // 2])
    (problem,) = caught.value.problems
    assert (problem.code, problem.severity) == ("damaged-xml", "error")
    assert problem.row == data[: len(data) // 2].count(b"\n") + 1


# ---- made to harm

HEAD = '<bpm:BioPlexManager xmlns:bpm="http://www.Bio-Rad.com/XMLschema/2010/Bio-Plex_5">'
LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize(
    "text",
    [
        f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>{HEAD}&l9;</bpm:BioPlexManager>',
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>{HEAD}<Description>&e;</Description></bpm:BioPlexManager>',
        f'<!DOCTYPE x SYSTEM "http://localhost:1/x.dtd">{HEAD}</bpm:BioPlexManager>',
        f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]>{HEAD}{"&a;" * 10_000}</bpm:BioPlexManager>',
        f'<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///dev/zero"> %p;]>{HEAD}</bpm:BioPlexManager>',
    ],
    ids=["billion laughs", "external entity", "external document type", "quadratic", "parameter entity"],
)
def test_entities_and_document_types_are_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(Refused) as caught:
        read_bioplex_xml(text.encode(), "bad.xml")
    (problem,) = caught.value.problems
    assert (problem.code, problem.severity, problem.file) == ("xml-entities", "error", "bad.xml")
    assert re.search(r"document type or entities", str(problem)) and "root:" not in str(problem)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "damaged-xml"), (b"<a/>", "not-bioplex"), (b'<BioPlexManager xmlns="other"/>', "not-bioplex"), (f"{HEAD}</bpm:BioPlexManager>".encode(), "no-data"),
        (b"\x00\x01\x02", "damaged-xml"), (b'<?xml version="1.0" encoding="klingon"?><a/>', "damaged-xml"), (b"<a>" * 100_000, "damaged-xml"),
        (HEAD.encode() + b"<Wells>" * 50_000 + b"</Wells>" * 50_000 + b"</bpm:BioPlexManager>", "no-data"),
    ],
    ids=["empty", "other", "other namespace", "no wells", "no text", "unknown encoding", "deep", "deep and closed"],
)  # fmt: skip
def test_what_holds_no_plate_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(Refused) as caught:
        read_bioplex_xml(data, "bad.xml")
    assert [(p.code, p.file) for p in caught.value.problems] == [(code, "bad.xml")]


def test_a_file_far_too_large_is_not_parsed(small: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.readers.bioplex_xml.MOST_XML_BYTES", len(small) - 1)
    with pytest.raises(Refused) as caught:
        read(small)
    assert [p.code for p in caught.value.problems] == ["too-large"]
