"""Table 1 against the numbers that other programs print for a public cohort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.analysis import load_study
from helpers.tables.table_one import (
    MEAN,
    MEDIAN,
    describe,
    room_air_note,
    table_one,
    table_one_tests,
    table_one_view,
)


@pytest.fixture(scope="module")
def cohort(reference_data: Path) -> pd.DataFrame:
    return pd.read_csv(reference_data / "stats" / "pn2012_demo.csv")


@pytest.fixture(scope="module")
def described(cohort: pd.DataFrame) -> pd.DataFrame:
    table = describe(cohort, "death", ["SysABP", "Height", "Weight"], ["Age"], ["ICU"])
    return table.set_index(["variable", "level", "group"])


@pytest.mark.parametrize(
    ("variable", "group", "mean", "sd"),
    [("SysABP", "0", 115.36, 38.34), ("SysABP", "1", 107.57, 49.43), ("Height", "0", 170.33, 23.22), ("Height", "1", 168.51, 11.31), ("Weight", "0", 83.04, 23.58), ("Weight", "1", 82.29, 25.40)],
)  # fmt: skip
def test_means(described: pd.DataFrame, variable: str, group: str, mean: float, sd: float) -> None:
    row = described.loc[(variable, "", group)]
    assert row["mean"] == pytest.approx(mean, abs=0.006)
    assert row["sd"] == pytest.approx(sd, abs=0.006)


def test_medians_and_quartiles(described: pd.DataFrame) -> None:
    assert described.loc[("Age", "", "0"), ["median", "q1", "q3"]].tolist() == [66, 52.75, 78]
    assert described.loc[("Age", "", "1"), ["median", "q1", "q3"]].tolist() == [75, 62, 83]


def test_missing_counts(described: pd.DataFrame) -> None:
    overall = described.xs("overall", level="group")["n_missing"].groupby("variable").first()
    assert overall[["SysABP", "Height", "Weight"]].tolist() == [291, 475, 302]


def test_categories(described: pd.DataFrame) -> None:
    counts = {
        level: tuple(described.loc[("ICU", level, g), "count"] for g in "01")
        for level in ("CCU", "CSRU", "MICU", "SICU")
    }
    assert counts == {"CCU": (137, 25), "CSRU": (194, 8), "MICU": (318, 62), "SICU": (215, 41)}


def test_standardised_differences(described: pd.DataFrame) -> None:
    assert described.loc[("Age", "", "0"), "smd"] == pytest.approx(0.4874142, abs=1e-6)
    assert described.loc[("SysABP", "", "0"), "smd"] == pytest.approx(-0.1760898, abs=1e-6)


@pytest.mark.parametrize(("first", "second"), [("apap", "control"), ("control", "apap"), ("10", "9")])
def test_a_difference_is_second_less_first_whatever_the_codes(first: str, second: str) -> None:
    frame = pd.DataFrame({"g": [first] * 3 + [second] * 3, "x": [1.0, 2, 3, 4, 5, 6]})
    assert describe(frame, "g", ["x"], [], [])["smd"].iloc[0] == pytest.approx(3)


def test_differences_of_nothing_and_without_spread() -> None:
    frame = pd.DataFrame({"g": [*"aabb"], "same": [1.0, 2, 1, 2], "constant": [1.0, 1, 2, 2], "sex": [*"mfmf"]})
    smd = describe(frame, "g", ["same", "constant"], [], ["sex"]).groupby("variable")["smd"].first()
    assert smd["same"] == 0 and smd["sex"] == 0
    assert pd.isna(smd["constant"]), "a difference over no spread is not a number"


def test_tests_only_on_request_and_by_name(cohort: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    from helpers.tables import table_one as module

    monkeypatch.setattr(module, "MEAN", ("SysABP", "Height", "Weight"))
    monkeypatch.setattr(module, "CATEGORIES", ("ICU",))
    tests = table_one_tests(cohort, ("SysABP", "Height", "Weight", "ICU"), "death").set_index("variable")
    assert tests.loc["SysABP", "p"] == pytest.approx(0.1336450, rel=1e-5)
    assert tests.loc["Height", "p"] == pytest.approx(0.3043429, rel=1e-5)
    assert tests.loc["Weight", "p"] == pytest.approx(0.7823709, rel=1e-5)
    assert tests.loc["ICU", "p"] == pytest.approx(0.0001623443, rel=1e-5)
    assert tests["test"].tolist() == ["Welch's t-test"] * 3 + ["chi-squared test"]


def test_the_demo_has_no_p_values_and_every_missing_count(demo: Path) -> None:
    data = load_study(demo)
    table = table_one(data.table("donors_derived"), data.config)
    view = repr(table_one_view(table, data.config))
    assert "P-value" not in view
    assert "no p-values are shown" in view
    sizes = table[table["group"] == "apap"].eval("n + n_missing")
    assert sizes.eq(17).all()


def test_oxygen_pressure_on_oxygen_is_left_out_and_said(demo: Path) -> None:
    """D06 was measured on oxygen only."""
    data = load_study(demo)
    donors = data.table("donors_derived")
    table = table_one(donors, data.config).set_index(["variable", "level", "group"])
    text, missing = table["text"].xs("apap", level="group"), table["n_missing"].xs("apap", level="group")
    assert (text["pao2_mmhg", ""], text["aa_gradient_mmhg", ""]) == ("57.7 (5.12)", "49.9 (5.67)")
    assert missing["pao2_mmhg", ""] == missing["aa_gradient_mmhg", ""] == missing["dss"].iloc[0] == 1
    view = repr(table_one_view(table.reset_index(), data.config, [room_air_note(donors, data.config)]))
    assert "on room air only" in view and "aPAP 1, Control 0" in view
    assert "SMD of numbers: Control − aPAP" in view


def test_a_reported_gradient_without_fio2_counts_and_an_oxygen_pressure_without_does_not(demo: Path) -> None:
    data = load_study(demo)
    donors = data.table("donors_derived").assign(pao2_fio2=np.nan)
    table = table_one(donors, data.config).query("group == 'overall'").set_index("variable")
    assert "pao2_mmhg" not in table.index, "nobody is known to have breathed room air"
    assert table.loc["aa_gradient_mmhg", "n"] == donors["aa_gradient_mmhg"].notna().sum()
    assert f"aPAP {donors['pao2_mmhg'].notna().sum()}" in room_air_note(donors, data.config)


def test_empty_groups_print_a_dash_and_never_nan(demo: Path) -> None:
    data = load_study(demo)
    text = repr(table_one_view(table_one(data.table("donors_derived"), data.config), data.config))
    assert "nan" not in text
    assert "–" in text


@pytest.mark.parametrize(
    "keep",
    [
        lambda d: d[d["role"] == "disease"],
        lambda d: d.head(1),
        lambda d: d.head(0),
        lambda d: d.assign(**dict.fromkeys([*MEAN, *MEDIAN], np.nan)),
    ],
)
def test_odd_cohorts_give_a_table(demo: Path, keep) -> None:
    data = load_study(demo)
    table = table_one(keep(data.table("donors_derived")), data.config)
    assert "nan" not in repr(table_one_view(table, data.config)).lower()


def test_an_unknown_column_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="no such columns: height"):
        describe(pd.DataFrame({"g": ["a"]}), "g", ["height"], [], [])
