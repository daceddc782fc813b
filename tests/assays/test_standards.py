"""Standard series that cannot be right are found, and only those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.assays.cytokines.standards import check_series, verdicts


def series(ratio: float = 3.0, levels: int = 7, top: float = 10_000.0, analytes: int = 4) -> pd.DataFrame:
    rows = [(f"A{a}", i, top * (a + 1) / ratio ** (i - 1)) for a in range(analytes) for i in range(1, levels + 1)]
    return pd.DataFrame(rows, columns=["analyte", "level", "expected"])


def changed(frame: pd.DataFrame, analyte: str, level: int, factor: float) -> pd.DataFrame:
    hit = (frame["analyte"] == analyte) & (frame["level"] == level)
    return frame.assign(expected=frame["expected"].mask(hit, frame["expected"] * factor))


def test_the_thirty_lost_decimal_points_of_a_real_plate_are_found_and_nothing_else(reference_data: Path) -> None:
    folder = reference_data / "luminex" / "reference"
    tidy = pd.read_csv(folder / "xponent_drlumi_plate1_tidy.csv")
    rows = tidy[tidy["sample"].str.fullmatch(r"Standard\d+")].assign(level=lambda f: f["sample"].str[8:].astype(int))
    printed = rows.assign(expected=rows["exp_conc_as_printed"].astype(float))[["analyte", "level", "expected"]]
    found = check_series(printed)
    bad = pd.read_csv(folder / "xponent_drlumi_plate1_corrupted_expected.csv")
    bad = bad.assign(level=bad["standard"].str[8:].astype(int)).set_index(["analyte", "level"]).sort_index()
    found = found.set_index(["analyte", "level"]).sort_index()
    assert list(found.index) == list(bad.index)
    assert (found["kind"] == "lost_decimal").all()
    np.testing.assert_allclose(found["likely"], bad["true"], rtol=1e-12)
    true = rows.assign(expected=rows["exp_conc_true"])[["analyte", "level", "expected"]]
    assert check_series(true).empty


@pytest.mark.parametrize("ratio", [2.0, 3.0, 4.0, 10.0])
@pytest.mark.parametrize("level", [1, 2, 4, 6, 7])
@pytest.mark.parametrize("factor", [1000.0, 100.0, 10.0, 0.1, 0.001])
def test_one_lost_decimal_point_anywhere_is_found(ratio: float, level: int, factor: float) -> None:
    good = series(ratio)
    assert check_series(good).empty
    found = check_series(changed(good, "A2", level, factor))
    assert found[["analyte", "level", "kind"]].to_numpy().tolist() == [["A2", level, "lost_decimal"]]
    right = good.loc[(good["analyte"] == "A2") & (good["level"] == level), "expected"].iloc[0]
    assert found["likely"].iloc[0] == pytest.approx(right)


def test_two_swapped_levels_are_both_named() -> None:
    rows = series()
    a, b = (rows["analyte"] == "A1") & (rows["level"] == 3), (rows["analyte"] == "A1") & (rows["level"] == 4)
    one, other = float(rows.loc[a, "expected"].iloc[0]), float(rows.loc[b, "expected"].iloc[0])
    rows.loc[a, "expected"], rows.loc[b, "expected"] = other, one
    found = check_series(rows)
    assert found[["level", "kind"]].to_numpy().tolist() == [[3, "swapped"], [4, "swapped"]]
    assert found["likely"].tolist() == pytest.approx([one, other])


def test_a_missing_level_is_a_jump_and_gives_no_curve() -> None:
    rows = series(2.0, 8)
    hit = (rows["analyte"] == "A0") & (rows["level"] >= 5)
    rows.loc[hit, "expected"] /= 2
    found = check_series(rows)
    assert found["kind"].tolist() == ["missing_level"]
    assert verdicts(rows, found)[1].keys() == {"A0"}


def test_a_gap_in_the_level_numbers_alone_is_nothing_wrong() -> None:
    rows = series(2.0, 8)
    assert check_series(rows[rows["level"] != 4]).empty


def test_an_uneven_series_that_all_analytes_share_is_the_kits() -> None:
    rows = series(3.0, 7)
    rows.loc[rows["level"] == 7, "expected"] /= 4
    assert check_series(rows).empty


def test_a_standard_without_concentration_and_a_short_series() -> None:
    rows = series()
    assert check_series(changed(rows, "A3", 7, 0.0))["kind"].tolist() == ["zero"]
    short = rows[(rows["analyte"] != "A1") | (rows["level"] < 4)]
    found = check_series(short)
    assert found["kind"].tolist() == ["short"]
    assert "A1" in verdicts(short, found)[1]


def test_other_units_throughout_one_analyte_cannot_be_seen_but_half_a_series_can() -> None:
    rows = series(4.0, 8)
    rows.loc[(rows["analyte"] == "A1") & (rows["level"] > 4), "expected"] *= 1000
    found = check_series(rows)
    assert set(found["analyte"]) == {"A1"}
    assert "A1" in verdicts(rows, found)[1]


def test_more_than_a_third_wrong_gives_no_curve_and_one_does() -> None:
    rows = series()
    single, unusable = verdicts(rows, check_series(changed(rows, "A1", 2, 1000)))
    assert (len(single), unusable) == (1, {})
    worse = rows
    for level in (2, 4, 6):
        worse = changed(worse, "A1", level, 1000)
    assert verdicts(worse, check_series(worse))[1].keys() == {"A1"}


def test_order_of_rows_does_not_matter_and_an_empty_table_is_fine() -> None:
    rows = changed(series(), "A2", 3, 1000)
    pd.testing.assert_frame_equal(
        check_series(rows),
        check_series(rows.sample(frac=1, random_state=1)).sort_values(["analyte", "level"], ignore_index=True),
    )
    assert check_series(rows.iloc[:0]).empty
