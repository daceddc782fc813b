"""Calibration beads: real beads of FlowCal, lines that do not hold, and ΔMFI over voltages and panels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.analysis import Analysis
from helpers.assays import steps
from helpers.assays.phenotype.assay import phenotype
from helpers.assays.phenotype.beads import line_of
from helpers.assays.phenotype.tasks import look_into
from helpers.assays.steps import Assayed
from helpers.core.problems import Problem, Refused
from helpers.core.schemas import output_tables
from helpers.readers.fcs import read_fcs
from helpers.simulate import phenotype as simulated
from helpers.simulate import write_demo
from helpers.stats.slices import NotEstimable, same_kit
from helpers.study.opening import check_study, open_study
from helpers.tables.wells import wells_behind

PEAKS = ((1, 40.0, 0), (2, 140.0, 1_500), (3, 340.0, 4_500), (4, 1_040.0, 15_000), (5, 4_040.0, 60_000))
"""Number, median and assigned value at the usual voltage: 15 units an MFI over a blank at 40."""
READOUT = "AM|CD206|delta_mfi"
KIT = "PE-A PE simulated MESF by beads"

# ---- one line


def real_beads(reference_data: Path) -> tuple[list[float], list[float]]:
    """FlowCal's medians of the eight peaks in FL1, and what the maker assigns to them."""
    folder = reference_data / "flow/flowcal"
    medians = pd.read_csv(folder / "flowcal_beads_peaks.csv")["FL1_median_rfi"].to_list()
    sheet = openpyxl.load_workbook(folder / "experiment.xlsx")["Beads"]
    rows = list(sheet.iter_rows(values_only=True))
    text = str(dict(zip(rows[0], rows[1], strict=True))["FL1 MEF Values"])
    return medians, [float(x) for x in text.split(",")]


def test_real_beads_lie_on_a_line_of_slope_one_once_the_blanks_light_is_taken_off(reference_data: Path) -> None:
    medians, assigned = real_beads(reference_data)
    found = line_of(medians[:7], assigned[:7])
    assert found.status == "ok" and found.n_peaks == 6
    assert found.slope == pytest.approx(1, abs=0.03) and found.off_pct < 12
    for light, value in zip(medians[1:7], assigned[1:7], strict=True):
        assert found.factor * (light - found.blank) == pytest.approx(value, rel=0.12)


def test_the_real_peak_at_the_end_of_the_scale_is_found_and_the_line_refused(reference_data: Path) -> None:
    """The eighth peak stands at 9,222 of 9,910: FlowCal names the saturation too."""
    found = line_of(*real_beads(reference_data))
    assert found.status == "not_linear" and found.worst == 7


def test_without_its_blank_the_real_line_is_bent_and_refused(reference_data: Path) -> None:
    medians, assigned = real_beads(reference_data)
    assert line_of(medians[1:7], assigned[1:7]).status == "not_linear"


@given(
    st.lists(st.floats(50, 1e5), min_size=3, max_size=8, unique=True),
    st.floats(1e-2, 1e3),
    st.floats(0, 1e3),
)
def test_proportional_peaks_give_their_factor_whatever_the_blank(
    light: list[float], factor: float, blank: float
) -> None:
    found = line_of([blank, *(blank + x for x in light)], [0.0, *(factor * x for x in light)])
    assert found.factor == pytest.approx(factor, rel=1e-6) and found.off_pct < 1e-3
    assert found.slope == pytest.approx(1, abs=1e-3) or np.ptp(np.log10(light)) < 1e-3


@pytest.mark.parametrize(
    ("medians", "assigned", "status"),
    [
        ([], [], "too_few_peaks"),
        ([40.0], [0.0], "too_few_peaks"),
        ([40.0, 140.0, 340.0], [0, 1500, 4500], "too_few_peaks"),
        ([40.0, 30.0, 20.0, 10.0], [0, 1, 2, 3], "too_few_peaks"),
        ([100.0, 100.0, 100.0], [1, 10, 100], "not_linear"),
        ([10.0, 100.0, 1000.0], [10, 200, 4000], "not_linear"),
    ],
)
def test_peaks_that_make_no_line(medians: list[float], assigned: list[float], status: str) -> None:
    assert line_of(medians, assigned).status == status


# ---- a study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three donors in two batches, the first batch on a day of its own."""
    write_demo(tmp_path / "study", donors=3)
    samples = tmp_path / "study/phenotype/samples.csv"
    rows = pd.read_csv(samples)
    rows.loc[rows["culture_id"].str.startswith("B01"), "run_day"] = 5
    rows.to_csv(samples, index=False)
    return tmp_path / "study"


def louder(folder: Path, monkeypatch: pytest.MonkeyPatch, times: float = 10.0) -> None:
    """The PE detector of the first batch at a higher voltage: its values and its spillover multiplied, the voltage stated."""
    spill = {
        (dye, seen): share * (times if seen == "PE-A" else 1 / times if dye == "PE-A" else 1)
        for (dye, seen), share in simulated.SPILLOVER.items()
    }
    monkeypatch.setattr(simulated, "SPILLOVER", spill)
    for path in (folder / "phenotype/fcs").glob("B01C*.fcs"):
        fcs = read_fcs(path, path.name)
        events = fcs.events.copy()
        events[:, fcs.names.index("PE-A")] *= times
        volts = {c.name: int(c.voltage) for c in fcs.channels if c.voltage is not None}
        path.write_bytes(simulated.fcs_bytes(events, volts | {"PE-A": 555}))


def beads(
    folder: Path,
    days: dict[int, tuple[float, object]],
    *,
    unit: str = "MESF",
    peaks: tuple[tuple[int, float, float], ...] = PEAKS,
) -> None:
    """phenotype/beads: by run day the light of all peaks against the usual, and the voltage."""
    lines = ["panel_id,run_day,channel,peak,median_mfi,assigned,unit,voltage_v"]
    for day, (times, volts) in days.items():
        lines += [f"P1,{day},PE-A,{n},{light * times},{value},{unit},{volts}" for n, light, value in peaks]
    (folder / "phenotype/beads.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_days(folder: Path) -> list[int]:
    """Days of the first batch and of the others."""
    rows = pd.read_csv(folder / "phenotype/samples.csv")
    first = rows["culture_id"].str.startswith("B01")
    return [int(rows.loc[first, "run_day"].iloc[0]), *sorted(set(rows.loc[~first, "run_day"]))]


def assayed(folder: Path) -> Assayed:
    study = open_study(folder)
    return phenotype(study.folder, study.tables, study.quarantined, study.config)


def rows_of(done: Assayed) -> pd.DataFrame:
    return done.wells[done.wells["readout"] == READOUT].sort_values("culture_id", ignore_index=True)


def codes(done: Assayed) -> list[str]:
    return [p.code for p in done.problems if p.code.startswith("beads")]


def test_beads_undo_a_change_of_voltage_and_make_mfi_comparable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = rows_of(assayed(folder))
    louder(folder, monkeypatch)
    changed = rows_of(assayed(folder))
    arms = [part for _, part in changed.groupby("comparability")]
    with pytest.raises(NotEstimable, match="different kits or panels"):
        same_kit(*arms)
    first, *others = run_days(folder)
    beads(folder, {first: (10.0, 555)} | {day: (1.0, 455) for day in others})
    done = assayed(folder)
    found = rows_of(done)
    assert codes(done) == [] and done.tables["bead_calibration"]["used"].all()
    same_kit(found)
    assert set(found["unit"]) == {"MESF"} and set(found["comparability"]) == {KIT}
    assert found["run_id"].nunique() == 1, "a run that beads join to the others parts no groups"
    np.testing.assert_allclose(found["lower"], 15 * plain["lower"], rtol=1e-3)
    own = done.tables["phenotype_markers"].set_index("marker")
    factors = own.loc["CD206"].groupby(own.loc["CD206", "fcs_file"].str[:3])["units_per_mfi"]
    assert factors.agg(["min", "max"]).loc["B01"].tolist() == pytest.approx([1.5, 1.5])
    assert factors.min().drop("B01").to_list() == pytest.approx([15.0])
    assert own.loc["CD163", "units_per_mfi"].isna().all(), "no beads, no change"
    study = open_study(folder)
    readouts, _ = steps.readouts(done.wells, steps.usable_cultures(study.tables, {"D01"}, set(), "phenotype"))
    none = pd.DataFrame(columns=output_tables()["exclusions"].columns)
    shown = wells_behind(Analysis(study, done.tables | {"exclusions": none}), readouts[readouts["readout"] == READOUT])
    assert len(shown) and set(shown["unit"]) == {"MESF"}
    assert set(shown["value"].round(6)) <= set(found["lower"].round(6)), "what a readout shows behind it is in its unit"
    unchanged = done.wells["readout"] == "AM|CD163|delta_mfi"
    assert set(done.wells.loc[unchanged, "unit"]) == {"MFI"}


def test_beads_join_panels_with_the_same_dye_and_clone_and_no_others(folder: Path) -> None:
    first, *others = run_days(folder)
    samples, panels = folder / "phenotype/samples.csv", folder / "phenotype/panels.csv"
    rows = [
        line.replace(",P1,", ",P2,") if line.startswith("B01") else line for line in samples.read_text().splitlines()
    ]
    samples.write_text("\n".join(rows) + "\n", encoding="utf-8")
    heading, *own = panels.read_text(encoding="utf-8").splitlines()
    second = [line.replace("P1,", "P2,", 1) for line in own]
    panels.write_text("\n".join([heading, *own, *second]) + "\n", encoding="utf-8")
    beads(folder, {first: (1.0, 455)} | {day: (1.0, 455) for day in others})
    table = folder / "phenotype/beads.csv"
    table.write_text(table.read_text().replace(f"P1,{first},", f"P2,{first},"), encoding="utf-8")
    assert set(rows_of(assayed(folder))["comparability"]) == {KIT}
    other = [line.replace("simulated", "other") if "CD206" in line else line for line in second]
    panels.write_text("\n".join([heading, *own, *other]) + "\n", encoding="utf-8")
    assert rows_of(assayed(folder))["comparability"].nunique() == 2


def partly(
    folder: Path, monkeypatch: pytest.MonkeyPatch, days: dict[int, tuple[float, object]], **more: str
) -> Problem:
    """With beads that do not cover the marker, nothing is calibrated and the voltages stay apart; what is said."""
    louder(folder, monkeypatch)
    beads(folder, days, **more)
    done = assayed(folder)
    found = rows_of(done)
    assert set(found["unit"]) == {"MFI"} and found["comparability"].nunique() == 2
    assert not done.tables["bead_calibration"]["used"].any()
    assert "voltages-differ" in {p.code for p in done.problems}
    (problem,) = [p for p in done.problems if p.code in ("beads-incomplete", "beads-units")]
    assert problem.file == "phenotype/beads" and problem.message.endswith(".") and "CD206" in problem.message
    return problem


def test_beads_of_some_runs_only_calibrate_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking, *others = run_days(folder)
    problem = partly(folder, monkeypatch, {day: (1.0, 455) for day in others})
    assert problem.found == f"P1 day {lacking}, PE-A"


def test_beads_at_another_voltage_than_the_files_calibrate_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = partly(folder, monkeypatch, {day: (1.0, 455) for day in run_days(folder)})
    assert problem.found == f"P1 day {run_days(folder)[0]}, PE-A"


def test_beads_without_a_voltage_hold_for_a_run_of_one_voltage_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = run_days(folder)
    beads(folder, {day: (1.0, "") for day in days})
    assert set(rows_of(assayed(folder))["comparability"]) == {KIT}
    samples = folder / "phenotype/samples.csv"
    one_day = pd.read_csv(samples).assign(run_day=days[0])
    one_day.to_csv(samples, index=False)
    problem = partly(folder, monkeypatch, {days[0]: (1.0, "")})
    assert problem.code == "beads-incomplete"


def test_a_line_that_does_not_hold_is_named_with_its_peak(folder: Path) -> None:
    bent = (*PEAKS[:4], (5, 1_500.0, 60_000.0))
    beads(folder, {day: (1.0, 455) for day in run_days(folder)}, peaks=bent)
    done = assayed(folder)
    assert set(rows_of(done)["unit"]) == {"MFI"} and "beads-not-linear" in codes(done)
    problem = next(p for p in done.problems if p.code == "beads-not-linear")
    assert "PE-A" in problem.found and "peak 5" in problem.found and "0.9 to 1.1" in problem.expected
    assert set(done.tables["bead_calibration"]["status"]) == {"not_linear"}
    study = open_study(folder)
    assert "beads-not-linear" in {p.code for p in look_into(study.folder, study.tables, set())}, "the check says it too"


def test_two_units_are_not_one_scale(folder: Path) -> None:
    first, *others = run_days(folder)
    beads(folder, {day: (1.0, 455) for day in (first, *others)})
    table = folder / "phenotype/beads.csv"
    lines = [
        line.replace("MESF", "ABC") if line.startswith(f"P1,{first},") else line
        for line in table.read_text().splitlines()
    ]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = assayed(folder)
    assert "beads-units" in codes(done) and set(rows_of(done)["unit"]) == {"MFI"}
    mixed = [line.replace("MESF", "ABC") if ",1,40.0," in line else line for line in lines]
    table.write_text("\n".join(mixed) + "\n", encoding="utf-8")
    assert "mixed" in set(assayed(folder).tables["bead_calibration"]["status"])


# ---- what the check says


@pytest.mark.parametrize(
    ("before", "after", "code", "column", "severity"),
    [
        (",PE-A,1,", ",PE-X,1,", "unknown-key", "channel", "error"),
        (",2,140.0,1500,", ",2,140.0,0,", "peaks-swapped", "assigned", "error"),
        (",3,340.0,", ",2,340.0,", "duplicate-key", "panel_id", "error"),
        (",3,340.0,", ",3,bright,", "", "median_mfi", "error"),
        (",3,340.0,4500,MESF,", ",3,340.0,4500,,", "missing-value", "unit", "error"),
    ],
    ids=["detector", "peaks", "twice", "number", "unit"],
)
def test_wrong_beads_are_refused_with_their_place(
    folder: Path, before: str, after: str, code: str, column: str, severity: str
) -> None:
    beads(folder, {run_days(folder)[0]: (1.0, 455)})
    table = folder / "phenotype/beads.csv"
    text = table.read_text(encoding="utf-8")
    assert before in text
    table.write_text(text.replace(before, after, 1), encoding="utf-8")
    own = [p for p in check_study(folder) if p.file == "phenotype/beads.csv" and p.severity == severity]
    assert [(p.code if code else "", p.column) for p in own] == [(code, column)]
    assert own[0].row and own[0].message.endswith(".") and own[0].fix
    with pytest.raises(Refused):
        open_study(folder)


def test_beads_of_a_day_without_files_are_said_and_the_study_goes_on(folder: Path) -> None:
    beads(folder, {9_999: (1.0, 455)}, peaks=PEAKS[:1])
    said = [p for p in check_study(folder) if p.code == "beads-without-run"]
    assert [(p.row, p.column, p.found, p.severity) for p in said] == [(2, "run_day", "9999", "warning")]
