"""From assay wells to readouts: means of means on the scale of analysis, bounds that stay bounds, flags, k of n."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.assays.steps import from_scale, readouts, to_scale, usable_cultures
from helpers.core.schemas import output_tables
from helpers.stats.slices import NotEstimable, same_kit

Row = dict[str, Any]


def wells(*rows: Row) -> pd.DataFrame:
    base = {"assay": "a", "readout": "x", "unit": "u", "scale": "log2"}
    out = pd.DataFrame([base | r for r in rows])
    for column in ("lower", "upper"):
        out[column] = out.get(column, pd.Series(np.nan, index=out.index)).astype("float64")
        if "value" in out:
            out[column] = out[column].where(out["value"].isna(), out["value"])
    return out.drop(columns="value", errors="ignore")


def cultures(*ids: tuple[str, str, str, str], **other: Any) -> pd.DataFrame:
    """culture, specimen, donor, visit; a culture without a specimen is a control."""
    rows = [
        {
            "culture_id": c,
            "specimen_id": s or None,
            "donor_id": d or None,
            "visit": v or None,
            "group": "apap" if d else None,
        }
        for c, s, d, v in ids
    ]
    base = {"condition": "am", "timepoint_h": 24.0, "msc_lot_id": None, "batch_day": 7, "msc_per_well": 0}
    return pd.DataFrame([r | base | other for r in rows])


ONE = cultures(("C1", "S1", "D1", "V1"))


def value(frame: pd.DataFrame) -> float:
    return float(frame["value"].iloc[0])


# ---- what a mean is over


@pytest.mark.parametrize(
    "ids",
    [
        (("C1", "S1", "D1", "V1"), ("C1", "S1", "D1", "V1")),
        (("C1", "S1", "D1", "V1"), ("C2", "S1", "D1", "V1")),
        (("C1", "S1", "D1", "V1"), ("C2", "S2", "D1", "V1")),
    ],
    ids=["wells", "cultures", "specimens"],
)
def test_a_mean_over_two_voltages_or_kits_names_both_and_is_not_compared_with_either(ids: Any) -> None:
    rows = wells(
        {"culture_id": ids[0][0], "value": 2.0, "comparability": "P1 455 V"},
        {"culture_id": ids[1][0], "value": 8.0, "comparability": "P1 555 V"},
    )
    mixed, _ = readouts(rows, cultures(*dict.fromkeys(ids)))
    assert mixed["comparability"].tolist() == ["P1 455 V + P1 555 V"]
    plain, _ = readouts(rows.iloc[:1], ONE)
    with pytest.raises(NotEstimable, match="different kits or panels"):
        same_kit(mixed, plain)


# ---- order of the steps


def test_each_step_is_a_mean_so_many_wells_weigh_no_more_than_few() -> None:
    """Culture 1 (three wells at 2) and culture 2 (one well at 8) of specimen 1, and specimen 2 (one well at 64)."""
    rows = [{"culture_id": "C1", "value": 2.0}] * 3 + [
        {"culture_id": "C2", "value": 8.0},
        {"culture_id": "C3", "value": 64.0},
    ]
    places = cultures(("C1", "S1", "D1", "V1"), ("C2", "S1", "D1", "V1"), ("C3", "S2", "D1", "V1"))
    out, _ = readouts(wells(*rows), places)
    assert np.log2(value(out)) == pytest.approx(((1 + 3) / 2 + 6) / 2)
    assert out[["n_cultures", "n_assay_wells"]].iloc[0].tolist() == [3, 5]


def test_visits_stay_apart() -> None:
    rows = [{"culture_id": "C1", "value": 2.0}, {"culture_id": "C2", "value": 8.0}]
    out, _ = readouts(wells(*rows), cultures(("C1", "S1", "D1", "V1"), ("C2", "S2", "D1", "V2")))
    assert out.set_index("visit")["value"].to_dict() == {"V1": 2.0, "V2": pytest.approx(8.0)}


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=6), st.sampled_from(["log2", "identity"]))
def test_a_hundred_copies_of_every_well_change_nothing_that_is_compared(values: list[float], scale: str) -> None:
    once = [{"culture_id": f"C{i % 2 + 1}", "value": v, "scale": scale} for i, v in enumerate(values)]
    places = cultures(("C1", "S1", "D1", "V1"), ("C2", "S1", "D1", "V1"))
    few, many = (readouts(wells(*rows), places)[0] for rows in (once, once * 100))
    kept = ["value", "lower", "upper", "censoring", "n_cultures", "sd_culture"]
    pd.testing.assert_frame_equal(few[kept], many[kept], check_exact=False, rtol=1e-9)
    assert many["n_assay_wells"].iloc[0] == 100 * few["n_assay_wells"].iloc[0]


def test_order_of_wells_does_not_matter() -> None:
    rows = [{"culture_id": "C1", "value": v, "run_id": "P1"} for v in (1.0, 2.0, 9.0)]
    pd.testing.assert_frame_equal(readouts(wells(*rows), ONE)[0], readouts(wells(*rows[::-1]), ONE)[0])


def test_spreads_are_pooled_within_cultures_and_specimens() -> None:
    rows = [
        {"culture_id": c, "value": v, "scale": "identity"} for c, v in (("C1", 1), ("C1", 3), ("C2", 6), ("C2", 10))
    ]
    out, _ = readouts(wells(*rows), cultures(("C1", "S1", "D1", "V1"), ("C2", "S1", "D1", "V1")))
    assert out["sd_assay"].iloc[0] == pytest.approx(np.sqrt((2 + 8) / 2))
    assert out["sd_culture"].iloc[0] == pytest.approx(np.std([2, 8], ddof=1))


# ---- bounds


@pytest.mark.parametrize(
    ("lower", "upper", "censoring"),
    [(np.nan, 4.0, "left"), (4.0, np.nan, "right"), (2.0, 4.0, "interval"), (4.0, 4.0, "none")],
)
def test_a_bound_stays_a_bound(lower: float, upper: float, censoring: str) -> None:
    one = readouts(wells({"culture_id": "C1", "lower": lower, "upper": upper}), ONE)[0].iloc[0]
    assert one["censoring"] == censoring
    if censoring == "none":
        assert one["value"] == pytest.approx(4.0) and pd.isna(one["lower"]) and pd.isna(one["upper"])
    else:
        assert pd.isna(one["value"])
        assert [one["lower"], one["upper"]] == pytest.approx([lower, upper], nan_ok=True)


def test_a_value_and_a_bound_make_a_bound_on_their_mean() -> None:
    rows = [{"culture_id": "C1", "value": 16.0}, {"culture_id": "C1", "upper": 4.0}]
    one = readouts(wells(*rows), ONE)[0].iloc[0]
    assert (one["censoring"], one["upper"]) == ("left", pytest.approx(8.0)) and pd.isna(one["value"])


def test_the_mean_of_bounds_holds_the_mean_of_whatever_lies_within() -> None:
    rng = np.random.default_rng(3)
    true = rng.uniform(1, 9, 40)
    rows = [{"culture_id": f"C{i % 4}", "lower": v * 0.8, "upper": v * 1.3} for i, v in enumerate(true)]
    places = cultures(*((f"C{i}", f"S{i % 2}", "D1", "V1") for i in range(4)))
    bound = readouts(wells(*rows), places)[0].iloc[0]
    exact = readouts(
        wells(*({"culture_id": r["culture_id"], "value": v} for r, v in zip(rows, true, strict=True))), places
    )
    assert bound["lower"] < value(exact[0]) < bound["upper"]


def test_the_largest_limit_is_kept() -> None:
    rows = [{"culture_id": "C1", "value": 9.0, "lloq": limit} for limit in (1.0, 3.0, np.nan)]
    assert readouts(wells(*rows), ONE)[0]["lloq"].iloc[0] == 3.0


# ---- what goes along


def test_flags_are_joined_each_once_in_their_order() -> None:
    rows: Sequence[Row] = [
        {"culture_id": "C1", "value": 1.0, "qc": q} for q in ("low_beads;high_cv", "", "high_cv;late")
    ]
    assert readouts(wells(*rows), ONE)[0]["qc"].iloc[0] == "low_beads;high_cv;late"


def test_counts_are_summed_and_absent_counts_are_missing() -> None:
    rows = [
        {"culture_id": "C1", "value": 25.0, "scale": "logit", "k": 5.0, "n": 20.0},
        {"culture_id": "C2", "value": 30.0, "scale": "logit", "k": 30.0, "n": 100.0},
    ]
    out = readouts(wells(*rows), cultures(("C1", "S1", "D1", "V1"), ("C2", "S1", "D1", "V1")))[0].iloc[0]
    assert (out["k"], out["n"]) == (35, 120)
    assert readouts(wells({"culture_id": "C1", "value": 1.0}), ONE)[0][["k", "n"]].isna().all(axis=None)


def test_wells_without_a_donor_are_controls_and_only_there() -> None:
    rows = [{"culture_id": "C1", "value": 4.0}, {"culture_id": "M1", "value": 2.0}, {"culture_id": "M2", "value": 8.0}]
    places = pd.concat([ONE, cultures(("M1", "", "", ""), ("M2", "", "", ""), condition="msc", msc_lot_id="L1")])
    donors, controls = readouts(wells(*rows), places)
    assert donors["donor_id"].tolist() == ["D1"] and value(controls) == pytest.approx(4.0)
    assert list(controls.columns) == output_tables()["cell_controls"].columns
    assert controls[["condition", "msc_lot_id"]].iloc[0].tolist() == ["msc", "L1"]


def test_wells_of_cultures_that_do_not_count_are_left_out() -> None:
    assert readouts(wells({"culture_id": "C9", "value": 4.0}), ONE)[0].empty


def test_no_wells_give_empty_tables_with_all_columns() -> None:
    for table, name in zip(readouts(pd.DataFrame(), ONE), ("readouts", "cell_controls"), strict=True):
        assert table.empty and list(table.columns) == output_tables()[name].columns


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.floats(0.01, 99.9), st.sampled_from(["log2", "identity", "logit"]))
def test_scales_go_there_and_back(number: float, scale: str) -> None:
    assert from_scale(to_scale(pd.Series([number]), scale), scale).iloc[0] == pytest.approx(number)


# ---- which cultures count


def study_tables(status: str = "ok", **deviation: str) -> dict[str, pd.DataFrame]:
    culture = {"culture_id": "C1", "specimen_id": "S1", "condition": "am", "status": status}
    rows = [{"entity": "", "entity_id": "", "assay": None, "decision": "", **deviation}] if deviation else []
    columns = ["entity", "entity_id", "assay", "decision"]
    return {
        "cultures": pd.DataFrame([culture, culture | {"culture_id": "M1", "specimen_id": None, "status": "ok"}]),
        "specimens": pd.DataFrame([{"specimen_id": "S1", "donor_id": "D1", "visit": "V1"}]),
        "donors": pd.DataFrame([{"donor_id": "D1", "group": "apap"}]),
        "deviations": pd.DataFrame(rows, columns=columns),
    }


def test_cultures_that_are_ok_count_and_controls_stay() -> None:
    assert usable_cultures(study_tables(), {"D1"}, set(), "a")["culture_id"].tolist() == ["C1", "M1"]


@pytest.mark.parametrize(
    ("tables", "donors", "aside"),
    [
        (study_tables(status="contaminated"), {"D1"}, set()),
        (study_tables(), set(), set()),
        (study_tables(), {"D1"}, {("culture", "C1")}),
        (study_tables(), {"D1"}, {("specimen", "S1")}),
        (study_tables(entity="culture", entity_id="C1", decision="exclude"), {"D1"}, set()),
        (study_tables(entity="donor", entity_id="D1", decision="exclude", assay="a"), {"D1"}, set()),
    ],
)
def test_cultures_that_something_excludes_do_not_count(
    tables: dict[str, pd.DataFrame], donors: set[str], aside: set[tuple[str, str]]
) -> None:
    assert usable_cultures(tables, donors, aside, "a")["culture_id"].tolist() == ["M1"]


def test_a_deviation_of_another_assay_excludes_nothing_here() -> None:
    tables = study_tables(entity="culture", entity_id="C1", decision="exclude", assay="other")
    assert "C1" in usable_cultures(tables, {"D1"}, set(), "a")["culture_id"].tolist()
