"""Plates with planted curves: limits, states and values come out as planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.assays.cytokines.curves import response
from helpers.assays.cytokines.fitted import Rules, fit_plate
from helpers.assays.cytokines.values import sample_values

TRUE = np.array([0.0, 20_000.0, 800.0, -1.1, 1.0])
LEVELS = [10_000 / 4**i for i in range(7)]


def plate(samples: list[tuple[str, float, float]], blanks: int = 6, noise: float = 0.0, seed: int = 1) -> pd.DataFrame:
    """Wells of one analyte: samples are (name, concentration in the well, dilution)."""
    rng, rows = np.random.default_rng(seed), []
    blank = 30 + np.array([-3.0, 3.0] * 48)[:blanks]
    for i, b in enumerate(blank):
        rows.append((f"A{i + 1}", "blank", None, None, 1.0, np.nan, b))
    for i, x in enumerate(LEVELS, 1):
        for well in (f"B{i}", f"C{i}"):
            rows.append((well, "standard", i, None, 1.0, x, 30 + float(response(TRUE, x)) * (1 + noise * rng.normal())))
    for i, (name, x, dilution) in enumerate(samples, 1):
        rows.append(
            (
                f"D{i}",
                "sample",
                None,
                name,
                dilution,
                np.nan,
                30 + float(response(TRUE, x)) * (1 + noise * rng.normal()),
            )
        )
    frame = pd.DataFrame(rows, columns=["well", "role", "level", "sample_id", "dilution", "expected", "mfi"])
    return frame.assign(analyte="IL-6", net_mfi=np.nan, use=True, vendor_recovery_pct=np.nan, flags="").astype(
        {"level": "Int64", "sample_id": "string"}
    )


def test_a_noiseless_plate_gives_back_what_was_put_in() -> None:
    found = fit_plate(plate([("x", 100.0, 1.0), ("y", 5.0, 4.0)]), Rules())
    curve = found.curves.iloc[0]
    assert (curve["model"], curve["status"], curve["n_blanks"], curve["blank_mfi"]) == ("4pl", "ok", 6, 30.0)
    assert curve[["d", "c", "b"]].astype(float).tolist() == pytest.approx([20_000, 800, -1.1], rel=1e-6)
    values = sample_values(found, Rules()).set_index("sample_id")
    assert values.loc["x", "conc_pg_ml"] == pytest.approx(100.0, rel=1e-6)
    assert values.loc["y", "conc_pg_ml"] == pytest.approx(20.0, rel=1e-6)
    assert (values["censoring"] == "none").all()


def test_the_dilution_multiplies_samples_and_their_limits_and_never_standards() -> None:
    found = fit_plate(plate([("x", 100.0, 1.0), ("y", 100.0, 50.0)]), Rules())
    values = sample_values(found, Rules()).set_index("sample_id")
    assert values.loc["y", "conc_pg_ml"] == pytest.approx(5000, rel=1e-6)
    assert values.loc["y", "lloq_pg_ml"] == pytest.approx(50 * found.curves["lloq_pg_ml"].iloc[0])
    assert found.recovery["recovery_pct"].to_numpy() == pytest.approx(100.0, rel=1e-4)


@pytest.mark.parametrize(("blanks", "used"), [(6, True), (5, False), (2, False)])
def test_the_lod_is_used_with_six_blanks_and_only_shown_with_fewer(blanks: int, used: bool) -> None:
    found = fit_plate(plate([("low", 0.1, 1.0)], blanks), Rules())
    curve = found.curves.iloc[0]
    assert np.isfinite(curve["lod_pg_ml"]) and bool(curve["lod_used"]) is used
    value = sample_values(found, Rules()).iloc[0]
    lloq = curve["lloq_pg_ml"]
    if used:
        assert value["censoring"] == "left" and value["upper"] == pytest.approx(curve["lod_pg_ml"])
    else:
        assert value["censoring"] == "left" and value["upper"] == pytest.approx(lloq)
    assert np.isnan(value["conc_pg_ml"])


def test_between_lod_and_lloq_the_value_is_that_interval() -> None:
    wells = plate([("mid", 2.2, 10.0)])
    found = fit_plate(wells, Rules())
    curve, value = found.curves.iloc[0], sample_values(found, Rules()).iloc[0]
    assert curve["lod_pg_ml"] < 2.2 < curve["lloq_pg_ml"]
    assert value["censoring"] == "interval"
    assert [value["lower"], value["upper"]] == pytest.approx([10 * curve["lod_pg_ml"], 10 * curve["lloq_pg_ml"]])
    state = found.wells.loc[found.wells["sample_id"] == "mid", "state"].iloc[0]
    assert state == "detected_below_lloq"


def test_above_the_range_is_a_lower_bound_even_where_the_curve_still_reaches() -> None:
    found = fit_plate(plate([("high", 15_000.0, 2.0), ("endless", 1e9, 1.0)]), Rules())
    values = sample_values(found, Rules()).set_index("sample_id")
    uloq = found.curves["uloq_pg_ml"].iloc[0]
    assert values["censoring"].tolist() == ["right", "right"]
    assert values.loc["high", "lower"] == pytest.approx(2 * uloq)
    assert values["upper"].isna().all()
    assert "extrapolated" in set(found.wells.loc[found.wells["sample_id"] == "high", "state"])


def test_replicates_are_averaged_on_net_mfi_and_inverted_once() -> None:
    found = fit_plate(plate([("x", 50.0, 1.0), ("x", 200.0, 1.0)]), Rules())
    value = sample_values(found, Rules()).iloc[0]
    mean = float((response(TRUE, 50.0) + response(TRUE, 200.0)) / 2)
    back = 800 * ((20_000 / mean) - 1) ** (1 / -1.1)
    assert value["conc_pg_ml"] == pytest.approx(back, rel=1e-5)
    assert value["n_wells"] == 2 and "high_cv" in value["qc"]


def test_two_dilutions_of_one_sample_are_combined_and_a_disagreement_is_flagged() -> None:
    agree = sample_values(fit_plate(plate([("x", 100.0, 1.0), ("x", 10.0, 10.0)]), Rules()), Rules()).iloc[0]
    assert agree["conc_pg_ml"] == pytest.approx(100, rel=1e-5)
    assert (agree["n_dilutions"], agree["qc"]) == (2, "")
    apart = sample_values(fit_plate(plate([("x", 100.0, 1.0), ("x", 20.0, 10.0)]), Rules()), Rules()).iloc[0]
    assert apart["conc_pg_ml"] == pytest.approx(np.sqrt(100 * 200), rel=1e-5)
    assert apart["qc"] == "dilutions_disagree"


def test_a_dilution_in_range_goes_before_one_beyond_it() -> None:
    value = sample_values(fit_plate(plate([("x", 50_000.0, 1.0), ("x", 500.0, 100.0)]), Rules()), Rules()).iloc[0]
    assert (value["censoring"], value["qc"]) == ("none", "")
    assert value["conc_pg_ml"] == pytest.approx(50_000, rel=1e-5)


def test_a_well_that_is_set_aside_counts_nowhere_and_stays_in_the_table() -> None:
    wells = plate([("x", 100.0, 1.0), ("x", 900.0, 1.0)])
    wells.loc[wells["well"] == "D2", "use"] = False
    found = fit_plate(wells, Rules())
    value = sample_values(found, Rules()).iloc[0]
    assert value["n_wells"] == 1 and value["conc_pg_ml"] == pytest.approx(100, rel=1e-5)
    assert found.wells.set_index("well").loc["D2", "state"] == "excluded"


def test_a_suspect_series_gives_no_curve_and_no_value() -> None:
    found = fit_plate(plate([("x", 100.0, 1.0)]), Rules(), {"IL-6": "The series jumps."})
    assert (
        found.curves["status"].tolist() == ["standards_suspect"] and found.curves["note"].iloc[0] == "The series jumps."
    )
    value = sample_values(found, Rules()).iloc[0]
    assert pd.isna(value["conc_pg_ml"]) and pd.isna(value["censoring"]) and value["qc"] == "no_curve"


def test_a_hook_is_said_and_kept() -> None:
    wells = plate([("x", 100.0, 1.0)])
    wells.loc[(wells["role"] == "standard") & (wells["level"] == 1), "mfi"] *= 0.5
    found = fit_plate(wells, Rules())
    assert "hook" in found.curves["note"].iloc[0]
    assert found.curves["n_standards"].iloc[0] == 14


def test_the_order_of_wells_changes_nothing() -> None:
    wells = plate([("x", 100.0, 1.0), ("y", 1.0, 2.0)], noise=0.05)
    one = sample_values(fit_plate(wells, Rules()), Rules()).sort_values("sample_id", ignore_index=True)
    other = sample_values(fit_plate(wells.sample(frac=1, random_state=3), Rules()), Rules()).sort_values(
        "sample_id", ignore_index=True
    )
    pd.testing.assert_frame_equal(one, other, rtol=1e-6)


def test_without_blanks_the_printed_net_counts_else_the_response_itself() -> None:
    wells = plate([("x", 100.0, 1.0)], blanks=0)
    printed = wells.assign(net_mfi=wells["mfi"] - 30)
    values = [sample_values(fit_plate(w, Rules()), Rules())["conc_pg_ml"].iloc[0] for w in (wells, printed)]
    assert values == pytest.approx([100, 100], rel=1e-3)


def test_flat_standards_give_no_range_and_a_sentence() -> None:
    wells = plate([("x", 100.0, 1.0)])
    wells.loc[wells["role"] == "standard", "mfi"] = 31.0
    found = fit_plate(wells, Rules())
    assert found.curves["status"].iloc[0] == "flat"
    assert found.wells.loc[found.wells["role"] == "sample", "state"].tolist() == ["not_available"]
