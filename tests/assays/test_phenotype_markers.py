"""Marker statistics: which control holds, real files against flowCore's medians, bounds, minimums, refusals."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.assays.phenotype.acquisition import acquisition
from helpers.assays.phenotype.gating import Stain
from helpers.assays.phenotype.markers import (
    Background,
    arms_differ,
    backgrounds,
    controls,
    marker_rows,
    near_full,
    share_interval,
)
from helpers.assays.phenotype.measure import Measured, Recipe, measure
from helpers.assays.phenotype.samples import Tube, control_of
from helpers.readers.fcs import Channel, FcsFile
from helpers.readers.gate import GateSet

MINIMUMS = {"events_statistic": 50, "events_percentage": 100, "events_warning": 500}
ARM = ("V1", "24", "")


def tube(file: str, role: str, donor: str = "D01", condition: str = "am", **more: object) -> Tube:
    missing = ("CD206",) if role == "fmo" else ()
    one = Tube(file, f"C-{condition}", "S1", donor, "apap", condition, ARM, "P1", role, missing, "", "", "P1 day 3")
    return replace(one, **more)


STAINED = tube("s", "stained")


def measured(rows: list[tuple[object, ...]], volts: dict[str, float] | None = None) -> Measured:
    columns = [
        "population",
        "marker",
        "channel",
        "n_events",
        "median",
        "rsd",
        "quantile",
        "threshold",
        "n_positive",
    ]
    table = pd.DataFrame(rows, columns=columns)
    return Measured(1000, pd.DataFrame(), ("AM",), frozenset(), table, pd.DataFrame(), volts or {}, {}, {}, ())


def test_the_order_of_controls_is_the_printed_one() -> None:
    there = [
        tube("pool2", "fmo", "D03"),
        tube("unstained", "unstained"),
        tube("other arm", "fmo", condition="am_msc"),
        tube("own", "fmo"),
        tube("pool1", "fmo", "D02"),
        tube("isotype", "isotype"),
    ]
    found = []
    for name in ("", "own", "other arm", "unstained", "pool1", "pool2"):
        there = [t for t in there if t.fcs_file != name]
        found.append(control_of(STAINED, "CD206", there))
    assert found == [
        ("fmo_same_condition", ("own",)),
        ("fmo_same_donor", ("other arm",)),
        ("unstained_same_condition", ("unstained",)),
        ("fmo_pooled", ("pool1", "pool2")),
        ("fmo_pooled", ("pool2",)),
        ("none", ()),
    ]
    assert [t.fcs_file for t in there] == ["isotype"], "an isotype is left and sets nothing"


def test_a_control_of_another_panel_marker_run_lot_or_visit_is_none() -> None:
    for other in (
        tube("x", "fmo", panel_id="P2"),
        tube("x", "fmo", missing=("CD80",)),
        tube("x", "fmo", "D02", run="P1 day 9"),
        tube("x", "unstained", arm=("V2", "24", "")),
        tube("x", "unstained", "D02"),
    ):
        assert control_of(STAINED, "CD206", [other])[0] == "none", other
    lot = tube("s", "stained", condition="am_msc", arm=("V1", "24", "M1"))
    m2 = tube("m2", "unstained", condition="am_msc", arm=("V1", "24", "M2"))
    assert control_of(lot, "CD206", [m2])[0] == "none"


def test_a_control_that_names_the_file_goes_first() -> None:
    there = [tube("a", "fmo"), tube("b", "fmo", control_for="s")]
    assert control_of(STAINED, "CD206", there) == ("fmo_same_condition", ("b",))
    nobody = tube("s", "stained", donor="")
    assert control_of(nobody, "CD206", [tube("u", "unstained", donor="", control_for="s")])[0] == (
        "unstained_same_condition"
    )


def test_a_control_with_few_events_or_another_voltage_is_passed_over() -> None:
    blanks = [tube("few", "fmo"), tube("bright", "fmo", condition="am_msc"), tube("u", "unstained")]
    given = {
        "few": measured([("AM", "CD206", "PE-A", 49, 10.0, 5.0, 20.0, math.nan, None)], {"PE-A": 450.0}),
        "bright": measured([("AM", "CD206", "PE-A", 900, 90.0, 5.0, 99.0, math.nan, None)], {"PE-A": 500.0}),
        "u": measured([("AM", "CD206", "PE-A", 900, 12.0, 5.0, 25.0, math.nan, None)]),
    }
    back = backgrounds(STAINED, [("PE-A", "CD206")], {"PE-A": 450.0}, controls(blanks, given), 50)["CD206"]
    assert (back.kind, back.files, back.median, back.threshold) == ("unstained_same_condition", ("u",), 12.0, 25.0)


def test_pooled_controls_give_the_median_of_their_numbers() -> None:
    blanks = [tube(f"p{i}", "fmo", f"D0{i + 2}") for i in range(3)]
    given = {
        f"p{i}": measured([("AM", "CD206", "PE-A", 100, m, 5.0, 10 * m, math.nan, None)])
        for i, m in enumerate((1.0, 50.0, 3.0))
    }
    back = backgrounds(STAINED, [("PE-A", "CD206")], {}, controls(blanks, given), 50)["CD206"]
    assert (back.kind, back.median, back.threshold, back.n_events) == ("fmo_pooled", 3.0, 30.0, 300)


@pytest.mark.parametrize(("k", "n"), [(0, 100), (1, 120), (5, 10), (400, 400), (73, 1034)])
def test_the_interval_of_a_share_is_scipys_wilson_interval(k: int, n: int) -> None:
    theirs = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(share_interval(k, n), (100 * theirs.low, 100 * theirs.high), rtol=1e-12, atol=1e-12)


def one_row(n: int, median: float, rsd: float, positive: int | None, back: Background) -> dict[str, object]:
    row = ("AM", "CD206", "PE-A", n, median, rsd, 0.0, back.threshold, positive)
    return marker_rows(STAINED, measured([row]), {"CD206": back}, MINIMUMS)[0]


def test_numbers_of_a_plain_marker() -> None:
    back = Background("fmo_same_condition", ("f",), 100.0, 40.0, 400, 220.0)
    row = one_row(900, 500.0, 150.0, 810, back)
    assert (row["delta_mfi"], row["mfi_ratio"], row["stain_index"], row["pct_positive"]) == (400.0, 5.0, 5.0, 90.0)
    noise = 1.959964 * 1.2533141 * math.sqrt(150**2 / 900 + 40**2 / 400)
    assert row["delta_mfi_noise"] == pytest.approx(noise, rel=1e-6)
    assert row["delta_mfi_lower"] == pytest.approx(400 - noise)
    assert (row["censoring"], row["qc"]) == ("none", "")


@pytest.mark.parametrize("median", [100.0, 101.0, 60.0])
def test_a_delta_within_its_noise_is_a_bound_never_dropped(median: float) -> None:
    row = one_row(900, median, 40.0, 9, Background("fmo_same_condition", ("f",), 100.0, 40.0, 400, 220.0))
    assert row["censoring"] == "left" and "within_noise" in str(row["qc"])
    assert row["delta_mfi_noise"] > 0 >= row["delta_mfi_lower"]


@pytest.mark.parametrize("background", [0.0, -20.0])
def test_a_ratio_to_nothing_is_missing(background: float) -> None:
    row = one_row(900, 500.0, 150.0, 810, Background("fmo_same_condition", ("f",), background, 40.0, 400, 220.0))
    assert math.isnan(row["mfi_ratio"]) and row["delta_mfi"] == 500 - background


def test_minimums_of_events_hold() -> None:
    back = Background("fmo_same_condition", ("f",), 100.0, 40.0, 400, 220.0)
    few, some, less, many = (one_row(n, 500.0, 150.0, n // 2, back) for n in (49, 99, 499, 500))
    assert math.isnan(few["mfi_median"]) and few["qc"] == "few_events" and few["censoring"] == ""
    assert some["mfi_median"] == 500 and some["n_positive"] is None and math.isnan(some["pct_positive"])
    assert less["n_positive"] == 249 and less["qc"] == "low_events" and many["qc"] == ""


def test_without_a_control_there_is_a_median_and_nothing_else() -> None:
    row = one_row(900, 500.0, 150.0, None, Background("none", ()))
    assert row["mfi_median"] == 500 and row["qc"] == "no_control" and row["control_kind"] == "none"
    assert all(math.isnan(row[c]) for c in ("delta_mfi", "mfi_ratio", "stain_index", "pct_positive"))


def test_arms_with_other_kinds_of_controls_are_marked_and_others_are_not() -> None:
    kinds = [
        ("A", "fmo_same_condition"),
        ("B", "fmo_same_donor"),
        ("C", "fmo_same_condition"),
        ("D", "fmo_same_condition"),
    ]
    table = pd.DataFrame(
        [(c, "AM", "CD206", k) for c, k in kinds], columns=["culture_id", "population", "marker", "control_kind"]
    )
    cultures = pd.DataFrame(
        {
            "culture_id": list("ABCD"),
            "donor_id": ["D1", "D1", "D2", "D2"],
            "visit": "V1",
            "condition": ["am", "am_msc", "am", "am_msc"],
        }
    )
    assert arms_differ(table, cultures, {"am_msc": "am"}).tolist() == [True, True, False, False]
    assert arms_differ(table, cultures, {}).tolist() == [False] * 4


def test_markers_on_nearly_all_cells_are_named() -> None:
    table = pd.DataFrame({"population": "AM", "marker": ["a", "a", "b", "b"], "pct_positive": [99.0, 99.5, 60.0, 99.9]})
    assert near_full(table) == {("AM", "a")}


# ---- real files


def real(reference_data: Path, name: str, lacking: frozenset[str] = frozenset()) -> Measured:
    path = reference_data / "flow/cytoexplorer_activation" / name
    return measure(path, name, Recipe("none", (), "", Stain((), lacking)), GateSet(()))


def test_delta_mfi_over_the_unstained_tube_is_flowcores_difference_of_medians(reference_data: Path) -> None:
    stained, unstained = (real(reference_data, f"Activation_{i}.fcs") for i in (1, 33))
    folder = reference_data / "flow/cytoexplorer_activation"
    theirs = [
        pd.read_csv(folder / f"Activation_{i}.fcs.flowcore.csv").set_index("channel")["comp_median"] for i in (1, 33)
    ]
    panel = list(zip(stained.stats["channel"], stained.stats["marker"], strict=True))
    there = controls([tube("Activation_33.fcs", "unstained")], {"Activation_33.fcs": unstained})
    back = backgrounds(tube("Activation_1.fcs", "stained"), panel, stained.voltages, there, 50)
    rows = marker_rows(tube("Activation_1.fcs", "stained"), stained, back, MINIMUMS)
    assert len(rows) >= 11 and {r["control_kind"] for r in rows} == {"unstained_same_condition"}
    ours = pd.Series({r["channel"]: r["delta_mfi"] for r in rows})
    difference = (theirs[0] - theirs[1])[ours.index]
    scale = theirs[0].abs()[ours.index] + theirs[1].abs()[ours.index]
    assert ((ours - difference).abs() / scale).max() < 1e-9


def test_positive_cells_of_the_unstained_tube_are_one_in_a_hundred_by_its_own_threshold(reference_data: Path) -> None:
    blank = real(reference_data, "Activation_33.fcs")
    edges = tuple(zip(blank.stats["marker"], blank.stats["quantile"], strict=True))
    path = reference_data / "flow/cytoexplorer_activation/Activation_33.fcs"
    again = measure(path, path.name, Recipe("none", (), "", Stain((), frozenset(), edges)), GateSet(()))
    share = again.stats["n_positive"] / again.stats["n_events"]
    assert share.between(0.0099, 0.0101).all()


# ---- acquisition


def run(rng: np.random.Generator, n: int = 4000) -> np.ndarray:
    heaps = np.where(rng.random((n, 2)) < 0.5, 100.0, 20_000.0)
    return np.column_stack([np.cumsum(rng.exponential(0.01, n)), heaps * rng.lognormal(0, 0.3, (n, 2))])


def acquired(events: np.ndarray) -> dict[str, float]:
    channels = tuple(Channel(i + 1, n, "", 32, 262144.0) for i, n in enumerate(("Time", "FL1-A", "FL2-A")))
    return acquisition(FcsFile("x", "3.1", len(events), channels, None, 1.0, {}, (), events))


def test_a_steady_file_of_two_heaps_has_no_marks() -> None:
    for seed in range(10):
        found = acquired(run(np.random.default_rng(seed)))
        assert (found["rate_pct"], found["drift_pct"], found["margin_pct"]) == (0, 0, 0)
        assert found["events_per_second"] == pytest.approx(100, rel=0.1)


def test_a_clog_a_drift_and_a_full_channel_are_told_with_their_share() -> None:
    events = run(np.random.default_rng(1))
    events[1000:1400, 0] += np.arange(400) * 0.05
    events[1400:, 0] += 400 * 0.05
    assert acquired(events)["rate_pct"] == pytest.approx(10, abs=2.5)
    events = run(np.random.default_rng(2))
    events[2000:3000, 1] *= 0.2
    assert acquired(events)["drift_pct"] == pytest.approx(25, abs=2.5)
    events = run(np.random.default_rng(3))
    events[:200, 2] = 262_144
    assert acquired(events)["margin_pct"] == pytest.approx(5, abs=0.01)


def test_short_files_and_files_without_time_are_not_judged() -> None:
    found = acquired(run(np.random.default_rng(1))[:100])
    assert math.isnan(found["rate_pct"]) and math.isnan(found["drift_pct"])
    assert all(math.isnan(v) for v in acquired(np.empty((0, 3))).values())
