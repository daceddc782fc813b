"""Cells, fields and series of uptake, as imaging programs and readers write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.core.problems import Problem, Refused
from helpers.readers.uptake_tables import UptakeTable, read_uptake_table


def read(tmp_path: Path, text: str) -> UptakeTable:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    return read_uptake_table(path, "raw/t.csv")


def refused(tmp_path: Path, text: str) -> list[Problem]:
    with pytest.raises(Refused) as caught:
        read(tmp_path, text)
    assert all(p.file == "raw/t.csv" for p in caught.value.problems)
    return caught.value.problems


def test_the_real_per_cell_table_keeps_columns_of_unequal_length(reference_data: Path) -> None:
    folder = reference_data / "phagocytosis/glioma_beads"
    table = read_uptake_table(folder / "sample_GCMdata.txt", "cells.txt")
    lines = [line.split("\t") for line in (folder / "sample_GCMdata.txt").read_text().splitlines()]
    assert table.kind == "cells"
    for j, name in enumerate(("Control", "GCM")):
        expected = [float(line[j]) for line in lines[1:] if j < len(line) and line[j] not in ("NA", "")]
        assert table.numbers.loc[table.numbers["sample"] == name, "fluorescence"].tolist() == expected
        assert len(expected) > 100


def test_cellprofiler_cells_with_bead_counts(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "ImageNumber,ObjectNumber,Metadata_Well,Children_Beads_Count,Intensity_IntegratedIntensity_YG\n"
        "1,1,B02,0,10.5\n1,2,B02,3,99\n2,1,B03,1,40\n",
    )
    assert table.kind == "cells"
    assert table.numbers[["sample", "field", "particles", "fluorescence"]].to_numpy().tolist() == [
        ["B02", "1", 0.0, 10.5],
        ["B02", "1", 3.0, 99.0],
        ["B03", "2", 1.0, 40.0],
    ]


def test_imagej_results_with_an_unnamed_first_column(tmp_path: Path) -> None:
    table = read(tmp_path, " ,Label,Area,Mean,IntDen\n1,donor1.tif,120,10,1200\n2,donor1.tif,90,20,1800\n")
    assert table.numbers["fluorescence"].tolist() == [10.0, 20.0]
    assert set(table.numbers["sample"]) == {"donor1.tif"}


def test_fields_hold_counts(tmp_path: Path) -> None:
    table = read(tmp_path, "sample,field,n_cells,n_positive,particles\nU1,1,50,20,41\nU1,2,60,10,12\n")
    assert table.kind == "fields" and table.numbers["n_cells"].sum() == 110


def test_incucyte_hours_become_minutes(tmp_path: Path) -> None:
    text = "Vessel Name: x\nMetric: Total Red Intensity\n\nDate Time\tElapsed\tA1\tA2\n1\t0\t10\t20\n2\t0.5\t15,5\t30\n"
    table = read(tmp_path, text)
    assert table.kind == "series"
    assert table.numbers[["sample", "minutes", "value"]].to_numpy().tolist() == [
        ["A1", 0.0, 10.0],
        ["A2", 0.0, 20.0],
        ["A1", 30.0, 15.5],
        ["A2", 30.0, 30.0],
    ]


@pytest.mark.parametrize(
    ("heading", "times", "minutes"),
    [
        ("Time [s]", ("0", "90"), [0.0, 1.5]),
        ("Time (min)", ("0", "90"), [0.0, 90.0]),
        ("Time", ("00:00:30", "01:30:00"), [0.5, 90.0]),
        ("Elapsed (h)", ("1", "2"), [60.0, 120.0]),
    ],
)
def test_times_in_every_unit(tmp_path: Path, heading: str, times: tuple[str, str], minutes: list[float]) -> None:
    table = read(tmp_path, f"{heading},A1\n{times[0]},1\n{times[1]},2\n")
    assert table.numbers["minutes"].tolist() == minutes


def test_times_across_and_wells_down(tmp_path: Path) -> None:
    table = read(tmp_path, "Time [s],0,60,120\nTemp. [C],37,37,37\nA1,1,2,3\nB12,4,5,6\n")
    assert table.numbers["sample"].unique().tolist() == ["A1", "B12"]
    assert table.numbers["minutes"].tolist() == [0.0, 1.0, 2.0] * 2
    assert table.numbers["value"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_more_positive_cells_than_cells_has_its_row(tmp_path: Path) -> None:
    (said,) = refused(tmp_path, "sample,n_cells,n_positive\nU1,50,20\nU2,50,51\n")
    assert (said.code, said.row, said.found, said.expected) == ("count-above-cells", 3, "51", "at most 50")


def test_negative_minutes_and_counts_have_their_row(tmp_path: Path) -> None:
    (time,) = refused(tmp_path, "Time [min],A1\n-5,1\n0,2\n")
    assert (time.code, time.row, time.found) == ("negative-minutes", 2, "-5 min")
    (count,) = refused(tmp_path, "sample,particles\nU1,3\nU1,-1\n")
    assert (count.code, count.row) == ("negative-count", 3)


def test_a_time_without_unit_is_not_guessed(tmp_path: Path) -> None:
    (said,) = refused(tmp_path, "Time,A1\n0,1\n30,2\n")
    assert said.code == "time-unit"


@pytest.mark.parametrize("text", ["", "a,b\nx,y\n", "only prose, no table at all"])
def test_what_is_no_uptake_is_refused(tmp_path: Path, text: str) -> None:
    assert {p.code for p in refused(tmp_path, text)} <= {"no-uptake", "empty-table"}
