"""The whole of phenotype on the demo: planted truths, damaged files, gate files, what is redone when a donor is added."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.assays import steps
from helpers.assays.phenotype import measure as measuring
from helpers.assays.phenotype.alone import gate_files
from helpers.assays.phenotype.assay import TABLES, phenotype
from helpers.assays.phenotype.audits import instrument_drift
from helpers.assays.phenotype.pictures import gating_steps
from helpers.assays.phenotype.tasks import condensed
from helpers.assays.steps import Assayed
from helpers.cli import app
from helpers.core import forks
from helpers.core.problems import Problem, Refused
from helpers.core.schemas import output_tables
from helpers.simulate import write_demo
from helpers.simulate.phenotype import CLOGGED, FEW_EVENTS, LONE_ARM, MARKERS, NO_TUBE, OTHER_SCATTER, OWN_GATE, RUNS
from helpers.study.opening import Study, open_study
from helpers.tables.phenotype import markers_view


def assayed(study: Study) -> Assayed:
    return phenotype(study.folder, study.tables, study.quarantined, study.config)


@pytest.fixture(scope="module")
def study(demo: Path) -> Study:
    return open_study(demo)


@pytest.fixture(scope="module")
def done(study: Study) -> Assayed:
    return assayed(study)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    write_demo(tmp_path / "study", donors=3)
    return tmp_path / "study"


def flags(table: pd.DataFrame) -> pd.Series:
    return table["qc"].fillna("").str.split(";")


def of_donor(done: Assayed, name: str, study: Study, number: int) -> pd.DataFrame:
    cultures = study.tables["cultures"].merge(study.tables["specimens"], on="specimen_id")
    own = set(cultures.loc[cultures["donor_id"] == f"D{number:02d}", "culture_id"])
    table = done.tables[name]
    return table[table["culture_id"].isin(own)]


def test_every_table_has_the_columns_of_its_schema_and_rows(done: Assayed) -> None:
    assert set(done.tables) == set(TABLES)
    for name, table in done.tables.items():
        schema = output_tables()[name]
        assert list(table.columns) == schema.columns, name
        assert len(table) or name == "bead_calibration", "the demo has no calibration beads"
        if schema.descriptor.get("primaryKey"):
            assert not table.duplicated(schema.descriptor["primaryKey"]).any(), name


def test_counts_of_children_are_counts_of_their_parents(done: Assayed) -> None:
    table = done.tables["phenotype_populations"]
    events = table.set_index(["fcs_file", "population"])["n_events"]
    child = table[table["parent"] != ""]
    parents = events.loc[list(zip(child["fcs_file"], child["parent"], strict=True))].to_numpy()
    assert (child["n_parent"].to_numpy() == parents).all() and (child["n_events"] <= child["n_parent"]).all()


def test_awkward_donors_are_what_the_page_says(done: Assayed, study: Study) -> None:
    markers = done.tables["phenotype_markers"]
    measured = markers[~flags(markers).map(lambda f: "gates_population" in f)]
    pooled = of_donor(done, "phenotype_markers", study, NO_TUBE)
    assert set(pooled["control_kind"]) == {"fmo_pooled", "none"}
    lone = of_donor(done, "phenotype_markers", study, LONE_ARM)
    assert {"fmo_same_condition", "fmo_same_donor"} <= set(lone["control_kind"])
    differing = set(measured.loc[flags(measured).map(lambda f: "control_kinds_differ" in f), "culture_id"])
    assert differing == set(lone["culture_id"])
    few = of_donor(done, "phenotype_markers", study, FEW_EVENTS)
    assert flags(few).map(lambda f: bool({"low_events", "few_events"} & set(f))).all()
    acquired = done.tables["acquisition"]
    clogged = acquired[acquired["flags"].fillna("") != ""]
    assert clogged[["donor_id", "condition", "flags"]].to_numpy().tolist() == [[f"D{CLOGGED}", "am_msc", "rate;drift"]]
    volts = done.tables["detector_voltages"]
    assert set(volts.loc[volts["changed"], "donor_id"]) == {f"D{OTHER_SCATTER}"}
    assert set(volts.loc[volts["changed"], "channel"]) == {"SSC-A"}
    log = done.tables["gate_overrides"]
    assert log[["override_for", "population"]].to_numpy().tolist() == [[f"D{OWN_GATE:02d}", "Cells"]]
    assert log["reason"].str.len().min() > 10


def test_autofluorescence_hides_cd80_and_only_cd80(done: Assayed) -> None:
    gap = done.tables["autofluorescence_gap"]
    worse = gap[gap["exceeds_signal"].fillna(False).astype(bool)]
    assert set(worse["marker"]) <= {"CD80", "Viability"} and "CD80" in set(worse["marker"])
    assert (gap.loc[gap["condition"] == "am", "difference"] > 0).all(), "patients' cells shine more everywhere"
    marked = done.tables["phenotype_markers"]
    marked = marked[flags(marked).map(lambda f: "background_gap_exceeds_signal" in f)]
    assert "CD80" in set(marked["marker"]) and not {"CD206", "CD163", "CD86"} & set(marked["marker"])


def test_the_scatter_gate_cuts_patients_cells_and_says_so(done: Assayed) -> None:
    loss = done.tables["gate_loss"]
    assert set(loss.loc[loss["differs"].fillna(False).astype(bool), "population"]) == {"Cells"}
    assert (loss.loc[loss["population"] == "Cells", "difference_pct"] > 10).all()


def test_msc_are_not_counted_as_macrophages(done: Assayed, study: Study) -> None:
    """CD45-negative MSC are lost at CD45+ in co-culture, where nothing is lost without them."""
    table = done.tables["phenotype_populations"]
    own = table[(table["tube_role"] == "stained") & table["population"].str.endswith("CD45+")]
    kept = own.groupby("condition")["pct_parent"].median()
    assert kept["am"] > 98 and 75 < kept["am_msc"] < 92


def test_readouts_have_names_scales_counts_and_bounds(done: Assayed) -> None:
    wells = done.wells
    names = set(wells["readout"])
    assert {"AM|CD206|delta_mfi", "AM|CD163|pct", "AM|CD80+CD206+|pct", "AM|pct"} <= names
    assert not any("ratio" in n or "CD169" in n or "Viability" in n for n in names)
    assert "AM|HLA-DR|delta_mfi" in names and "AM|HLA-DR|pct" not in names, "nearly full: told by its MFI"
    shares = wells[wells["unit"] == "%"]
    np.testing.assert_allclose(shares["lower"], 100 * shares["k"] / shares["n"])
    assert set(shares["scale"]) == {"logit"} and set(wells.loc[wells["unit"] == "MFI", "scale"]) == {"log2"}
    bound = wells[wells["lower"].isna()]
    assert bound["upper"].gt(0).all()
    volts = wells.loc[wells["readout"] == "AM|CD206|delta_mfi", "comparability"].unique()
    assert volts.tolist() == ["P1 PE-A 455 V"]


def test_planted_changes_come_out_of_the_readouts(done: Assayed, study: Study) -> None:
    """Median paired log2 change of ΔMFI in aPAP against the planted effect; three standard errors of 15 donors."""
    donors = set(study.tables["donors"]["donor_id"]) - {"D10"}
    cultures = steps.usable_cultures(study.tables, donors, study.quarantined, "phenotype")
    found, _ = steps.readouts(done.wells, cultures)
    for marker in MARKERS:
        rows = found[(found["readout"] == f"AM|{marker.name}|delta_mfi") & (found["group"] == "apap")]
        if marker.name in ("CD206", "CD163", "CD86"):
            wide = rows.groupby(["donor_id", "condition"])["value"].mean().unstack()
            change = np.log2(wide["am_msc"] / wide["am"]).median()
            assert abs(change - marker.msc_effect_apap) < 0.35, (marker.name, change)


def test_a_damaged_file_is_named_and_the_rest_goes_on(small: Path) -> None:
    whole = assayed(open_study(small))
    victim = sorted((small / "phenotype/fcs").glob("*_stained.fcs"))[0]
    victim.write_bytes(victim.read_bytes()[:5000])
    one = assayed(open_study(small))
    assert [(p.code, p.entity) for p in one.problems if p.severity == "quarantine"] == [
        ("truncated", f"file {victim.name}")
    ]
    kept = whole.tables["phenotype_markers"]
    kept = kept[kept["fcs_file"] != victim.name].drop(columns=["qc", "reported_by"]).reset_index(drop=True)
    again = one.tables["phenotype_markers"].drop(columns=["qc", "reported_by"])
    pd.testing.assert_frame_equal(again, kept)


def test_a_study_whose_files_are_all_damaged_has_empty_tables_and_names_each(small: Path) -> None:
    files = sorted((small / "phenotype/fcs").glob("*.fcs"))
    for path in files:
        path.write_bytes(path.read_bytes()[:300])
    done = assayed(open_study(small))
    assert {p.entity for p in done.problems if p.severity == "quarantine"} == {f"file {f.name}" for f in files}
    assert done.wells.empty and done.tables["phenotype_markers"].empty and done.measured == {"phenotype": set()}


def test_another_donor_does_not_redo_the_others(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forks.stop()  # what a child reads would not be counted
    assayed(open_study(small))
    read: list[str] = []
    real = measuring.read_fcs
    monkeypatch.setattr(measuring, "read_fcs", lambda path, file: read.append(path.name) or real(path, file))
    assayed(open_study(small))
    assert read == []
    samples = small / "phenotype/samples.csv"
    lines = samples.read_text(encoding="utf-8").splitlines()
    gone = [line for line in lines if line.startswith(lines[1].split("_")[0])]
    samples.write_text("\n".join(line for line in lines if line not in gone) + "\n", encoding="utf-8")
    assayed(open_study(small))
    assert read == [], "other files keep their answers"
    gates = small / "phenotype/gates.csv"
    gates.write_text(gates.read_text(encoding="utf-8").replace("700;", "710;"), encoding="utf-8")
    assayed(open_study(small))
    assert len(read) == len(lines) - 1 - len(gone), "a changed gate redoes every file, once"


def test_without_gates_a_proposal_is_used_and_said(small: Path) -> None:
    (small / "phenotype/gates.csv").unlink()
    done = assayed(open_study(small))
    assert "automatic-gates" in {p.code for p in done.problems}
    populations = done.tables["phenotype_populations"]
    assert set(populations["gates_from"]) == {"automatic"} and set(populations["gate_set"]) == {"automatic"}
    share = populations[populations["population"].str.endswith("/AM") & (populations["tube_role"] == "stained")]
    assert len(share) == 6 and share["pct_parent"].between(50, 95).all()


def test_an_isotype_alone_sets_no_percentage_and_no_background(small: Path) -> None:
    samples = small / "phenotype/samples.csv"
    samples.write_text(samples.read_text(encoding="utf-8").replace(",fmo,", ",isotype,"), encoding="utf-8")
    done = assayed(open_study(small))
    markers = done.tables["phenotype_markers"]
    assert set(markers["control_kind"]) == {"none"} and markers["pct_positive"].isna().all()
    assert "no-control" in {p.code for p in done.problems}
    assert set(done.wells["readout"]) == {"AM|pct"}


def test_a_changed_voltage_parts_the_mfi_and_is_said(small: Path) -> None:
    for path in (small / "phenotype/fcs").glob("B01C01_*.fcs"):
        path.write_bytes(path.read_bytes().replace(b"$P5V|455|", b"$P5V|555|"))
    done = assayed(open_study(small))
    wells = done.wells[done.wells["readout"] == "AM|CD206|delta_mfi"]
    assert set(wells["comparability"]) == {"P1 PE-A 455 V", "P1 PE-A 555 V"}
    assert "voltages-differ" in {p.code for p in done.problems}


# ---- audits over runs, versions of panels and gates, the scale of values


def backgrounds_of(shift: float, donors: int, seed: int) -> tuple[pd.DataFrame, dict[str, str]]:
    """Two detectors over four runs; the third run is brighter on the first of them. Groups differ by a doubling."""
    rng, rows, runs = np.random.default_rng(seed), [], {}
    for run in range(4):
        for i in range(donors):
            donor, group = f"D{run}{i}", ("apap", "control")[i % 2]
            own = rng.normal(0, 0.2)
            for channel in ("PE-A", "FITC-A"):
                moved = shift if (run, channel) == (2, "PE-A") else 0.0
                light = 400 * 2 ** (own + (group == "apap") + moved + rng.normal(0, 0.1))
                rows.append(
                    (donor + ".fcs", donor, group, "am", "P1", "unstained", channel, channel[:-2], light, 450.0)
                )
            runs[donor + ".fcs"] = f"P1 day {run}"
    columns = ["fcs_file", "donor_id", "group", "condition", "panel_id", "tube_role", "channel", "marker"]
    return pd.DataFrame(rows, columns=[*columns, "mfi_median", "voltage"]), runs


@pytest.mark.parametrize("shift", [1.5, -1.5])
def test_a_run_at_another_gain_is_found_on_its_detector_alone(shift: float) -> None:
    found = instrument_drift(*backgrounds_of(shift, 8, 1))
    marked = found[found["drifts"]]
    assert marked[["channel", "run_id"]].to_numpy().tolist() == [["PE-A", "P1 day 2"]]
    assert marked["shift_log2"].iloc[0] == pytest.approx(shift, abs=0.3) and (found["n_donors"] == 8).all()


def test_runs_that_are_alike_are_seldom_marked() -> None:
    marks = [instrument_drift(*backgrounds_of(0.0, 6, seed))["drifts"].mean() for seed in range(40)]
    assert np.mean(marks) < 0.01


def test_the_demo_has_no_drift_of_the_instrument(done: Assayed) -> None:
    drift = done.tables["instrument_drift"]
    assert drift["run_id"].nunique() == RUNS and not drift["drifts"].any()


def test_the_checklist_states_the_scale_of_the_values(done: Assayed) -> None:
    items = done.tables["miflowcyt"].set_index("item")["value"]
    assert all(word in items["4.3"] for word in ("$PnE", "$PnG", "$TIMESTEP", "logicle"))


def test_panels_and_gate_sets_may_change_within_a_study(small: Path) -> None:
    """The first batch on a panel and gate set of its own, at version 2; the rest of the study is as before."""
    plain = assayed(open_study(small))
    for name, marks in (("samples", ("B01",)), ("panels", ("P1",)), ("gates", ("P1",))):
        path = small / f"phenotype/{name}.csv"
        heading, *lines = path.read_text(encoding="utf-8").splitlines()
        own = [line for line in lines if line.startswith(marks)]
        if name == "samples":
            lines = [line.replace(",P1,", ",P2,") if line in own else line for line in lines]
        else:
            lines += [line.replace("P1,", "P2,", 1) for line in own]
        if name == "gates":
            lines = [line[:-1] + "2" if line.startswith("P2,") else line.replace("700;", "710;") for line in lines]
        path.write_text("\n".join([heading, *lines]) + "\n", encoding="utf-8")
    table = assayed(open_study(small)).tables["phenotype_populations"]
    first = table["fcs_file"].str.startswith("B01")
    for own, gate_set, version in ((first, "P2", "2"), (~first, "P1", "1")):
        assert set(table.loc[own, "gate_set"]) == {gate_set}
        assert set(table.loc[own & (table["population"] != ""), "gate_version"]) == {version}
    before = plain.tables["phenotype_populations"]
    columns = ["fcs_file", "population", "n_events"]
    pd.testing.assert_frame_equal(
        table.loc[first, columns].reset_index(drop=True),
        before.loc[before["fcs_file"].str.startswith("B01"), columns].reset_index(drop=True),
    )


def test_an_automatic_gate_is_drawn_for_review(small: Path) -> None:
    (small / "phenotype/gates.csv").unlink()
    study = open_study(small)
    file = sorted((small / "phenotype/fcs").glob("*_stained.fcs"))[0].name
    steps_drawn = gating_steps(study.folder, study.tables, file, {})
    assert [s.population for s in steps_drawn] == ["Cells", "Singlets", "Live", "CD45+", "AM"]
    assert all(0 < s.n_events <= s.n_parent for s in steps_drawn)


# ---- cells stained ex vivo


def ex_vivo(folder: Path, culture: str, specimen: str) -> None:
    """The tubes of one culture as tubes of its specimen, or of another culture."""
    path = folder / "phenotype/samples.csv"
    heading, *lines = path.read_text(encoding="utf-8").splitlines()
    cells = [line.split(",", 2) for line in lines]
    owners = {"B01C01": f"{culture},{specimen}"}
    rows = [f"{file},{owners.get(own, own + ',')},{rest}" for file, own, rest in cells]
    path.write_text(
        "\n".join([heading.replace("culture_id,", "culture_id,specimen_id,"), *rows]) + "\n", encoding="utf-8"
    )


def test_cells_of_no_culture_are_measured_and_shown_and_compared_with_nothing(small: Path) -> None:
    plain = assayed(open_study(small)).tables["phenotype_markers"].query("fcs_file == @STAINED_FILE")
    ex_vivo(small, "", "S01A")
    study = open_study(small)
    done = assayed(study)
    own = done.tables["phenotype_markers"].query("fcs_file == @STAINED_FILE")
    assert (
        own["delta_mfi"].dropna().tolist() == plain["delta_mfi"].dropna().tolist() and (own["culture_id"] == "").all()
    )
    assert "ex vivo" in set(markers_view(own, done.tables["phenotype_populations"], study.config).frame["condition"])
    assert "B01C01" not in set(done.wells["culture_id"])
    assert done.wells["culture_id"].ne("").all()
    (problem,) = [p for p in study.problems if p.code == "no-culture"]
    assert (problem.row, problem.column, problem.found) == (2, "culture_id", STAINED_FILE)
    assert problem.message.startswith("1 stained files") and "day0" in problem.fix


def test_a_culture_of_no_hours_in_a_condition_of_the_role_day0_makes_them_readouts(small: Path) -> None:
    yaml = small / "study.yaml"
    text = yaml.read_text(encoding="utf-8")
    first = "  - {code: am, label: AM alone"
    assert first in text
    yaml.write_text(text.replace(first, "  - {code: fresh, label: Ex vivo, cells: am, role: day0}\n" + first), "utf-8")
    cultures = small / "cultures.csv"
    lines = cultures.read_text(encoding="utf-8").splitlines()
    row = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    row |= {"culture_id": "EX01", "condition": "fresh", "timepoint_h": "0", "well": "H12"}
    cultures.write_text("\n".join([*lines, ",".join(row.values())]) + "\n", encoding="utf-8")
    ex_vivo(small, "EX01", "")
    study = open_study(small)
    found, _ = steps.readouts(assayed(study).wells, steps.usable_cultures(study.tables, {"D01"}, set(), "phenotype"))
    fresh = found[(found["condition"] == "fresh") & (found["readout"] == "AM|CD206|delta_mfi")]
    assert fresh[["donor_id", "timepoint_h"]].to_numpy().tolist() == [["D01", 0.0]] and fresh["value"].gt(0).all()


# ---- control tubes of a file whose gates were moved

STAINED_FILE, FMO_FILE, MOVED = "B01C01_stained.fcs", "B01C01_fmo.fcs", "5000;"


def with_gates(folder: Path, *changed: tuple[str, str]) -> Assayed:
    """The study with the gate AM changed for files."""
    gates = folder / "phenotype/gates.csv"
    kept = gates.read_text(encoding="utf-8").rstrip("\n")
    rows = [f"P1,AM,{file},CD45+,rectangle,CD169,{edges},Dim stain.,1" for file, edges in changed]
    gates.write_text("\n".join([kept, *rows]) + "\n", encoding="utf-8")
    done = assayed(open_study(folder))
    gates.write_text(kept + "\n", encoding="utf-8")
    return done


def behind(done: Assayed, file: str = STAINED_FILE) -> pd.DataFrame:
    """Background and threshold of a file's markers."""
    rows = done.tables["phenotype_markers"]
    rows = rows[(rows["fcs_file"] == file) & (rows["control_kind"] != "none")].set_index("marker")
    return rows[["control_file", "n_background", "mfi_background", "rsd_background", "threshold"]]


def test_controls_of_a_file_with_a_moved_gate_are_the_same_cells(small: Path) -> None:
    """CD169 is in the FMO tube: its threshold is what the table gives where it names both files, and no other."""
    plain, alone = with_gates(small), with_gates(small, (STAINED_FILE, MOVED))
    both = with_gates(small, (STAINED_FILE, MOVED), (FMO_FILE, MOVED))
    pd.testing.assert_frame_equal(behind(alone), behind(both))
    assert (behind(alone)["n_background"] < behind(plain)["n_background"]).all()
    marked = (
        alone.tables["phenotype_markers"].set_index("fcs_file")["qc"].fillna("").str.contains("control_gated_alike")
    )
    assert set(marked[marked].index) == {STAINED_FILE}
    log = alone.tables["gate_overrides"].set_index("override_for")
    assert log.loc[STAINED_FILE, ["n_files", "n_controls"]].tolist() == [1, 2], "both arms' FMO tubes of the donor"
    others = [f for f in set(plain.tables["phenotype_markers"]["fcs_file"]) if f != STAINED_FILE]
    for file in others:
        pd.testing.assert_frame_equal(behind(alone, file), behind(plain, file))
    of_control = [d.tables["phenotype_populations"].query("fcs_file == @FMO_FILE") for d in (plain, alone)]
    pd.testing.assert_frame_equal(*of_control)


def test_a_control_with_a_gate_of_its_own_or_another_voltage_keeps_its_gate(small: Path) -> None:
    plain = with_gates(small)
    kept = with_gates(small, (STAINED_FILE, MOVED), (FMO_FILE, "700;"))
    pd.testing.assert_frame_equal(behind(kept), behind(plain))
    fmo = small / "phenotype/fcs" / FMO_FILE
    channel = next(i for i, m in enumerate(["", "", "", *MARKERS], 1) if m and m.name == "CD169")
    changed = fmo.read_bytes().replace(f"$P{channel}V|500|".encode(), f"$P{channel}V|510|".encode())
    assert changed != fmo.read_bytes()
    fmo.write_bytes(changed)
    apart = with_gates(small, (STAINED_FILE, MOVED))
    columns = ["n_background", "mfi_background", "threshold"]
    same = behind(apart).index.difference(["CD169"])
    pd.testing.assert_frame_equal(behind(apart).loc[same, columns], behind(plain).loc[same, columns])


def test_a_quantile_that_a_file_changes_is_taken_of_its_control(small: Path) -> None:
    """CD206+ is cut at the 99 % quantile of the control, for one file at its median: half of the control lies above."""
    gates = small / "phenotype/gates.csv"
    heading, *rows = gates.read_text(encoding="utf-8").splitlines()
    rows = [f"{row.rsplit(',', 2)[0]},,{','.join(row.rsplit(',', 2)[1:])}" for row in rows]
    rows += ["P1,CD206+,,AM,threshold,CD206,,control 99,,1"]
    changed = [*rows, f"P1,CD206+,{STAINED_FILE},AM,threshold,CD206,,control 50,Bright by themselves.,1"]
    found = []
    for lines in (rows, changed):
        gates.write_text("\n".join([heading.replace(",reason", ",rule,reason"), *lines]) + "\n", encoding="utf-8")
        found.append(behind(assayed(open_study(small))).loc["CD206"])
    assert (
        found[1]["threshold"] == pytest.approx(found[1]["mfi_background"])
        and found[0]["threshold"] > found[1]["threshold"]
    )
    assert found[0]["mfi_background"] == found[1]["mfi_background"], "the same cells"


def test_no_flow_cytometry_gives_empty_tables(small_study: Path) -> None:
    done = assayed(open_study(small_study))
    assert done.wells.empty and done.measured == {} and set(done.tables) == set(TABLES)
    assert all(list(t.columns) == output_tables()[n].columns and t.empty for n, t in done.tables.items())


def test_a_workspace_beside_the_files_gives_a_studys_gates(small_study: Path, reference_data: Path) -> None:
    source, fcs = reference_data / "flow/flowkit/simple_diamond_example", small_study / "phenotype/fcs"
    fcs.mkdir(parents=True)
    for name in ("test_data_diamond_01.fcs", "simple_diamond_example_quad_gate.wsp"):
        shutil.copy(next(source.rglob(name)), fcs / name)
    samples = "fcs_file,culture_id,panel_id,tube_role\ntest_data_diamond_01.fcs,C01,P1,stained\n"
    (small_study / "phenotype/samples.csv").write_text(samples, encoding="utf-8")
    panels = "panel_id,channel,marker\nP1,channel_A,CD80\nP1,channel_B,CD206\n"
    (small_study / "phenotype/panels.csv").write_text(panels, encoding="utf-8")
    done = assayed(open_study(small_study))
    own = done.tables["phenotype_populations"]
    assert set(own["gates_from"]) == {"flowjo"} and set(own["culture_id"]) == {"C01"}
    assert own["n_events"].tolist() == own["flowjo_n_events"].tolist() == [49671, 50596, 50330, 49403]
    assert set(done.tables["phenotype_markers"]["marker"]) == {"CD80", "CD206"}
    assert "no-control" not in {p.code for p in done.problems}, "these markers cut the populations themselves"


def test_the_same_remark_on_many_files_is_said_once() -> None:
    many = [Problem("warning", "x", "Odd.", "Look.", file=f"phenotype/fcs/{i}.fcs") for i in range(9)]
    lost = [Problem("quarantine", "y", "Bad.", "Mend.", file=f"phenotype/fcs/{i}.fcs") for i in range(9)]
    found = condensed([*many, *lost])
    assert [p.code for p in found].count("x") == 1 and [p.code for p in found].count("y") == 9
    assert found[0].found.startswith("9 files")
    assert condensed(many[:2]) == many[:2]


# ---- without a study


def test_files_alone_go_through_a_workspace_with_flowjos_counts_beside_ours(reference_data: Path) -> None:
    folder = reference_data / "flow/flowkit/simple_diamond_example"
    fcs = sorted(folder.rglob("*.fcs"))
    tables, _ = gate_files(fcs, folder / "simple_diamond_example_quad_gate.wsp")
    own = tables["phenotype_populations"]
    assert own["n_events"].tolist() == own["flowjo_n_events"].tolist() == [49671, 50596, 50330, 49403]
    assert set(tables["phenotype_markers"]["marker"]) == {"channel_A", "channel_B"}


def test_files_alone_go_through_a_gates_table_like_in_the_study(demo: Path, done: Assayed) -> None:
    path = sorted((demo / "phenotype/fcs").glob("*_stained.fcs"))[0]
    tables, _ = gate_files([path], demo / "phenotype/gates.csv")
    theirs = done.tables["phenotype_populations"]
    theirs = theirs[theirs["fcs_file"] == path.name].reset_index(drop=True)
    columns = ["population", "n_events", "n_parent"]
    pd.testing.assert_frame_equal(tables["phenotype_populations"][columns], theirs[columns])


def test_files_alone_that_cannot_be_used_are_refused_with_a_sentence(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "no.fcs").write_text("no", encoding="utf-8")
    shutil.copy(demo / "donors.csv", tmp_path / "donors.csv")
    good = sorted((demo / "phenotype/fcs").glob("*.fcs"))[0]
    for files, gates in (
        ([tmp_path / "no.fcs"], demo / "phenotype/gates.csv"),
        ([tmp_path / "absent.fcs"], demo / "phenotype/gates.csv"),
        ([good], tmp_path / "absent.wsp"),
        ([good], tmp_path / "donors.csv"),
        ([good], tmp_path / "no.fcs"),
    ):
        with pytest.raises(Refused):
            gate_files(files, gates)
    tables, problems = gate_files([tmp_path / "no.fcs", good], demo / "phenotype/gates.csv")
    assert set(tables["phenotype_populations"]["fcs_file"]) == {good.name}
    assert [p.code for p in problems if p.severity == "quarantine"] == ["not-fcs"]


def test_the_command_writes_both_tables_and_tells_a_damaged_file_by_its_exit_code(
    reference_data: Path, tmp_path: Path
) -> None:
    folder = reference_data / "flow/flowkit/simple_diamond_example"
    fcs, gates = next(folder.rglob("*.fcs")), folder / "simple_diamond_example_quad_gate.wsp"
    (tmp_path / "cut.fcs").write_bytes(fcs.read_bytes()[:900])
    words = ["gate", str(fcs), "--gates", str(gates), "--out", str(tmp_path / "out")]
    whole = CliRunner().invoke(app, words)
    assert whole.exit_code == 0, whole.output
    populations = pd.read_csv(tmp_path / "out/phenotype_populations.csv")
    assert populations["n_events"].tolist() == populations["flowjo_n_events"].tolist() == [49671, 50596, 50330, 49403]
    assert set(pd.read_csv(tmp_path / "out/phenotype_markers.csv")["marker"]) == {"channel_A", "channel_B"}
    partly = CliRunner().invoke(app, [*words[:2], str(tmp_path / "cut.fcs"), *words[2:]])
    assert partly.exit_code == 3 and "cut.fcs" in partly.output and "Traceback" not in partly.output
    nothing = CliRunner().invoke(app, ["gate", str(tmp_path / "cut.fcs"), *words[2:]])
    assert nothing.exit_code == 1 and "Traceback" not in nothing.output
