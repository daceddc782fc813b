"""Statistics tables of FlowJo, FACSDiva and FCS Express, as labs hand them over."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from helpers.core.problems import Refused
from helpers.readers.flow_tables import FlowTable, design_of, number_of, read_flow_table, recycled

DESIGN = r"phagocytosis_(?P<genotype>[A-Z0-9]+)_Serum\((?P<serum>\d+)ul\)_(?P<hours>\d+)hr"


def read(tmp_path: Path, text: str | bytes, name: str = "export.csv") -> FlowTable:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_flow_table(path, f"raw/{name}")


def codes(table: FlowTable) -> list[str]:
    return [p.code for p in table.problems]


def refused(tmp_path: Path, text: str | bytes) -> set[str]:
    with pytest.raises(Refused) as caught:
        read(tmp_path, text)
    assert all(p.file == "raw/export.csv" and p.message and p.fix for p in caught.value.problems)
    return {p.code for p in caught.value.problems}


# ---- the real export


@pytest.fixture(scope="module")
def flowjo(reference_data: Path) -> FlowTable:
    return read_flow_table(reference_data / "phagocytosis/opsonophagocytosis_flowjo/flowjo_export.csv", "export.csv")


def test_a_real_flowjo_export_has_all_its_rows_and_statistics(flowjo: FlowTable) -> None:
    numbers = flowjo.numbers
    assert numbers["row"].nunique() == 60 and len(numbers) == 540 and numbers["value"].notna().all()
    assert set(numbers["statistic"]) == {"mean", "pct_parent"}
    assert set(numbers["gate"]) == {f"l_d/singles_f'/singles_s/leu{end}" for end in ("", "/sal+", "/sal-")}
    share = numbers[numbers["statistic"] == "pct_parent"]
    assert set(share["unit"]) == {"%"} and share["value"].iloc[0] == 12.4


def test_the_group_summaries_of_r_come_back_from_the_design_in_the_names(
    flowjo: FlowTable, reference_data: Path
) -> None:
    share = flowjo.numbers[flowjo.numbers["statistic"] == "pct_parent"]
    design = design_of(share["sample"], DESIGN)
    ours = share.assign(**{c: design[c] for c in design}).groupby(["genotype", "serum", "hours"])["value"]
    r = pd.read_csv(reference_data / "phagocytosis/opsonophagocytosis_flowjo/reference_group_summaries_r.csv")
    assert len(r) == len(ours) == 10
    for one in r.itertuples():
        own = ours.get_group((one.geno, one.serum[6:-3], one.time.removesuffix("hr")))
        assert (len(own), own.mean(), own.median()) == pytest.approx((one[4], one[5], one[6]))


def test_recycled_blocks_of_the_real_export_are_named(flowjo: FlowTable) -> None:
    found = recycled(flowjo.numbers)
    groups = [frozenset(design_of(pd.Series(s), DESIGN).agg("/".join, axis=1)) for s in found["samples"]]
    assert {"TLR4/10/24", "WT/10/24", "TLR3/100/2"} in groups
    assert {"TLR3/10/2", "TLR3/100/24", "TLR4/100/2"} in groups
    assert sum(len(rows) for rows in found["rows"]) == 60, "every row of this file stands more than once"
    said = [p for p in flowjo.problems if p.code == "recycled-numbers"]
    assert len(said) == len(found) and all(" = " in p.column and p.row for p in said)


def test_the_real_bead_table_with_its_trailing_spaces(reference_data: Path) -> None:
    table = read_flow_table(reference_data / "phagocytosis/abalone_beads/Table_phagocytosis.csv", "abalone.csv")
    assert table.numbers["sample"].nunique() == 9
    assert set(table.numbers["gate"]) == {"cells/phago/2 beads", "cells/phago/3 beads +"}
    assert set(table.numbers["channel"]) == {"FL1-A :: FITC-A"} and set(table.numbers["statistic"]) == {
        "geometric_mean"
    }


# ---- other programs, written by hand


def test_facsdiva_names_gate_then_statistic(tmp_path: Path) -> None:
    text = "Tube Name,P1 #Events,P1 %Parent,P1 FITC-A Mean\nT1,1200,48.5,1502\nT2,900,12,88\n"
    table = read(tmp_path, text).numbers
    assert table["sample"].tolist() == ["T1"] * 3 + ["T2"] * 3
    assert table["statistic"].tolist()[:3] == ["count", "pct_parent", "mean"]
    assert set(table["gate"]) == {"P1"} and table["channel"].tolist()[2] == "FITC-A"


def test_fcs_express_and_gates_in_a_row_above_the_statistics(tmp_path: Path) -> None:
    one = read(tmp_path, "Sample;AM - % of Gated Cells;AM - Median FL1-A\ns1;55,5;1000,25\n").numbers
    assert one[["gate", "statistic", "channel", "value"]].to_numpy().tolist() == [
        ["AM", "pct_parent", "", 55.5],
        ["AM", "median", "FL1-A", 1000.25],
    ]
    two = read(tmp_path, ",AM,,MSC\nSample,Count,Median,Count\ns1,100,5.5,20\n").numbers
    assert two[["gate", "statistic", "value"]].to_numpy().tolist() == [
        ["AM", "count", 100.0],
        ["AM", "median", 5.5],
        ["MSC", "count", 20.0],
    ]


def test_means_and_sd_below_the_samples_are_left_out_and_said(tmp_path: Path) -> None:
    table = read(tmp_path, ",AM | Count\na.fcs,10\nb.fcs,20\nMean,15\nSD,7.07\n")
    assert table.numbers["sample"].tolist() == ["a.fcs", "b.fcs"]
    assert codes(table) == ["summary-rows"]


def test_text_where_a_number_belongs_is_missing_and_has_its_place(tmp_path: Path) -> None:
    table = read(tmp_path, ",AM | Count,AM | Median (X)\na.fcs,many,n/a\n")
    assert table.numbers["value"].isna().all()
    (said,) = table.problems
    assert (said.code, said.row, said.column, said.found) == ("not-a-number", 2, "AM | Count", "many")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_any_encoding_and_a_workbook_read_the_same(tmp_path: Path, encoding: str) -> None:
    plain = read(tmp_path, ",AM/+ | Median (α)\na,12.5 %\n".replace("α", "µ").encode(encoding)).numbers
    book = openpyxl.Workbook()
    for row in (["", "AM/+ | Median (µ)"], ["a", "12.5 %"]):
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    pd.testing.assert_frame_equal(plain, read(tmp_path, out.getvalue()).numbers)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("12.4 %", 12.4, "%"),
        ("12,4%", 12.4, "%"),
        ("-142", -142.0, ""),
        ("1.97E6", 1.97e6, ""),
        ("−3", -3.0, ""),
        ("1,234.5", 1234.5, ""),
    ],
)
def test_printed_numbers(text: str, value: float, unit: str) -> None:
    assert number_of(text) == (value, unit)


def test_what_is_no_number() -> None:
    found = number_of("----")
    assert found is not None and math.isnan(found[0])
    assert number_of("12 cells") is None and number_of("1.2.3") is None


def test_one_repeated_value_is_no_recycled_block(tmp_path: Path) -> None:
    rows = "\n".join(f"s{i},0,0,0" for i in range(5))
    table = read(tmp_path, f",A | Count,A | Median (X),A | Mean (X)\n{rows}\n")
    assert recycled(table.numbers).empty, "rows of zeros are alike by nature"


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "no-statistics"), ("a,b\n1,2\n", "no-statistics"), (b"\x00\x01\x02" * 200, "not-text")],
)
def test_what_is_no_export_is_refused(tmp_path: Path, text: str | bytes, code: str) -> None:
    assert code in refused(tmp_path, text)


def test_different_numbers_beyond_all_sense_are_not_taken_for_copies(tmp_path: Path) -> None:
    """Found by `make fuzz`: rounded to ten decimals, all of them were infinite, with a warning of pandas on the screen."""
    text = ",A | Count,A | Mean (F),A | Mean (G)\na.fcs,1,1e300,2e300\nb.fcs,1,3e300,4e300\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "recycled-numbers" not in codes(read(tmp_path, text))
    assert "recycled-numbers" in codes(read(tmp_path, text.replace("3e300,4e300", "1e300,2e300")))
