"""Uptake from files and counts to readouts: thresholds, partners, corrections, and what is said when they lack."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import flowio
import numpy as np
import pandas as pd
import pytest

from helpers.assays import steps
from helpers.assays.phagocytosis.assay import TABLES, phagocytosis
from helpers.assays.steps import Assayed
from helpers.core.problems import Problem, Refused
from helpers.core.schemas import output_tables
from helpers.stats.slices import NotEstimable, same_kit
from helpers.study.opening import check_study, open_study

RNG = np.random.default_rng(11)
BLANK = RNG.normal(500, 50, 800)
WARM = np.concatenate([RNG.normal(500, 50, 500), RNG.normal(3000, 400, 500)])
COLD = np.concatenate([RNG.normal(500, 50, 900), RNG.normal(2500, 300, 100)])
BASE = {
    "target": "bead",
    "label": "YG",
    "particles_per_cell": 10,
    "minutes": 60,
    "temperature_c": 37,
    "method": "flow",
}
Row = dict[str, Any]


def fcs(values: np.ndarray, names: Sequence[str] = ("FSC-A", "YG-A")) -> bytes:
    """An FCS file whose last channel holds the values."""
    columns = np.column_stack([np.full(len(values), 100.0)] * (len(names) - 1) + [values])
    out = io.BytesIO()
    flowio.create_fcs(out, columns.ravel().tolist(), list(names))
    return out.getvalue()


def well(phago_id: str, culture: str, file: str = "", **other: Any) -> Row:
    return BASE | {"phago_id": phago_id, "culture_id": culture, "file": file} | other


def blank(phago_id: str, culture: str, file: str, **other: Any) -> Row:
    return well(phago_id, culture, file, particles_per_cell=0, **other)


def cold(phago_id: str, culture: str, file: str = "", **other: Any) -> Row:
    return well(phago_id, culture, file, temperature_c=4, **other)


def counted(phago_id: str, culture: str, n: int, k: int, particles: int | str = "", **other: Any) -> Row:
    counts = {"method": "counts", "n_cells": n, "n_positive": k, "particles_total": particles}
    return well(phago_id, culture) | counts | other


@pytest.fixture
def write(small_study: Path) -> Callable[[Sequence[Row], Mapping[str, Any]], Path]:
    """Writes phagocytosis/wells and the files beside it: arrays as FCS, text as it is."""

    def written(rows: Sequence[Row], files: Mapping[str, Any]) -> Path:
        raw = small_study / "phagocytosis" / "raw"
        raw.mkdir(parents=True)
        for name, content in files.items():
            data = fcs(content) if isinstance(content, np.ndarray) else content
            (raw / name).write_bytes(data.encode() if isinstance(data, str) else data)
        out = io.StringIO()
        sheet = csv.DictWriter(out, list(dict.fromkeys(k for r in rows for k in r)))
        sheet.writeheader()
        sheet.writerows(rows)
        (raw.parent / "wells.csv").write_text(out.getvalue(), encoding="utf-8")
        return small_study

    return written


@pytest.fixture
def run(write: Callable[[Sequence[Row], Mapping[str, Any]], Path]) -> Callable[..., Assayed]:
    """The assay of a small study with these wells and files; `settings` go into study.yaml's phagocytosis."""

    def assayed(rows: Sequence[Row], files: Mapping[str, Any] | None = None, **settings: Any) -> Assayed:
        study = open_study(write(rows, files or {}))
        config = replace(study.config, settings=study.config.settings | settings)
        found = phagocytosis(study.folder, study.tables, study.quarantined, config)
        for name in TABLES:
            assert list(found.tables[name].columns) == output_tables()[name].columns
        return found

    return assayed


def of(found: Assayed, phago_id: str) -> pd.Series:
    table = found.tables["phagocytosis_wells"].set_index("phago_id")
    assert table.index.is_unique
    return table.loc[phago_id]


def codes(found: Assayed) -> set[str]:
    return {p.code for p in found.problems}


def said(found: Assayed, code: str) -> Problem:
    (problem,) = [p for p in found.problems if p.code == code]
    assert problem.file and problem.column and problem.message.endswith(".") and problem.fix.endswith(".")
    return problem


FULL = [blank("U1b", "C01", "b.fcs"), well("U1", "C01", "w.fcs"), cold("U1c", "C01", "c.fcs")]
FILES = {"b.fcs": BLANK, "w.fcs": WARM, "c.fcs": COLD}


def as_stored(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(float)


# ---- thresholds and corrections


def test_the_own_blank_sets_the_threshold_and_the_cold_partner_is_subtracted(run: Callable[..., Assayed]) -> None:
    one = of(run(FULL, FILES), "U1")
    threshold = np.quantile(as_stored(BLANK), 0.99)
    warm, sticking = (100 * np.mean(as_stored(v) > threshold) for v in (WARM, COLD))
    assert (one.threshold, one.threshold_source) == (pytest.approx(threshold), "no_particle")
    assert one.pct_positive == pytest.approx(warm) and one.n_positive == round(warm * 10)
    assert (one.background_phago_id, one.correction) == ("U1c", "points")
    assert one.net_pct_positive == pytest.approx(warm - sticking)
    positive = as_stored(WARM)[as_stored(WARM) > threshold]
    assert one.imfi == pytest.approx(warm / 100 * np.median(positive))


def test_the_quantile_and_the_form_of_the_correction_come_from_the_study(run: Callable[..., Assayed]) -> None:
    one = of(run(FULL, FILES, phagocytosis={"threshold_quantile": 0.95, "correction": "abbott"}), "U1")
    threshold = np.quantile(as_stored(BLANK), 0.95)
    warm, sticking = (np.mean(as_stored(v) > threshold) for v in (WARM, COLD))
    assert one.threshold == pytest.approx(threshold)
    assert one.net_pct_positive == pytest.approx(100 * (warm - sticking) / (1 - sticking))


def test_a_cold_partner_alone_sets_the_threshold_and_nothing_is_subtracted(run: Callable[..., Assayed]) -> None:
    found = run(FULL[1:], FILES)
    one = of(found, "U1")
    assert (one.threshold_source, one.correction) == ("cold", "in_threshold")
    assert one.threshold == pytest.approx(np.quantile(as_stored(COLD), 0.99))
    assert pd.isna(one.net_pct_positive) and pd.isna(one.background_pct)
    assert "nothing is subtracted" in said(found, "no-particle-missing").message
    assert not found.wells["readout"].str.contains("net").any()


def test_cytochalasin_d_stands_in_for_the_cold_partner(run: Callable[..., Assayed]) -> None:
    rows = [*FULL[:2], well("U1d", "C01", "c.fcs", inhibitor="cytochalasin_d")]
    one = of(run(rows, FILES), "U1")
    assert one.background_phago_id == "U1d" and one.net_pct_positive < one.pct_positive


def test_without_own_controls_the_other_arm_lends_its_threshold_and_that_is_said(run: Callable[..., Assayed]) -> None:
    rows = [*FULL, well("U2", "C02", "x.fcs")]
    found = run(rows, FILES | {"x.fcs": WARM + 1})
    assert of(found, "U2").threshold_source == "other_arm"
    assert of(found, "U2").threshold == of(found, "U1").threshold
    assert "threshold_from_other_arm" in of(found, "U2").qc
    assert "other conditions" in said(found, "controls-missing").message


def test_without_any_control_there_is_no_percentage(run: Callable[..., Assayed]) -> None:
    found = run([FULL[1]], FILES)
    one = of(found, "U1")
    assert pd.isna(one.pct_positive) and one.threshold_source == "none" and "no_control" in one.qc
    assert one.mfi_median == pytest.approx(np.median(as_stored(WARM)))
    assert found.wells.empty and "controls-missing" in codes(found)


def test_without_a_background_partner_there_is_no_net_value(run: Callable[..., Assayed]) -> None:
    found = run(FULL[:2], FILES)
    assert of(found, "U1").correction == "none" and pd.isna(of(found, "U1").net_pct_positive)
    assert "U1 of D01" in said(found, "background-missing").found


def test_controls_of_another_time_target_or_donor_are_not_partners(run: Callable[..., Assayed]) -> None:
    other = [
        blank("B1", "C01", "b.fcs", minutes=30),
        blank("B2", "C01", "b2.fcs", target="zymosan"),
        blank("B3", "C03", "b3.fcs"),
    ]
    found = run([*other, FULL[1]], FILES | {"b2.fcs": BLANK + 1, "b3.fcs": BLANK + 2})
    assert of(found, "U1").threshold_source == "other_arm", "of the same donor and target, at another time"
    assert of(found, "U1").threshold == of(found, "B1").threshold


def test_net_uptake_may_be_negative_and_stays_in_points(run: Callable[..., Assayed]) -> None:
    found = run([FULL[0], well("U1", "C01", "c.fcs"), cold("U1c", "C01", "w.fcs")], FILES)
    net = found.wells[found.wells["readout"] == "bead|net_pct_phagocytic"]
    assert (net["lower"] < 0).all() and (net["lower"] == net["upper"]).all()
    assert set(net["scale"]) == {"identity"} and set(net["unit"]) == {"points"}


def test_the_common_threshold_is_the_largest_of_the_donors_arms(run: Callable[..., Assayed]) -> None:
    rows = [*FULL, blank("U2b", "C02", "b2.fcs"), well("U2", "C02", "w2.fcs")]
    found = run(rows, FILES | {"b2.fcs": BLANK + 300, "w2.fcs": WARM + 300})
    first, second = of(found, "U1"), of(found, "U2")
    assert first.threshold_common == second.threshold_common == second.threshold > first.threshold
    assert first.pct_positive_common == pytest.approx(100 * np.mean(as_stored(WARM) > second.threshold))


def test_thresholds_at_other_quantiles_stand_beside(run: Callable[..., Assayed]) -> None:
    table = run(FULL, FILES).tables["uptake_thresholds"]
    assert table["quantile"].tolist() == [0.95, 0.975, 0.99, 0.995, 0.999]
    for one in table.itertuples():
        assert one.threshold == pytest.approx(np.quantile(as_stored(BLANK), one.quantile))
        assert one.n_positive == (as_stored(WARM) > one.threshold).sum()
    assert table["pct_positive"].is_monotonic_decreasing


def test_msc_that_shine_in_the_channel_are_noticed(run: Callable[..., Assayed]) -> None:
    rows = [*FULL, blank("U2b", "C02", "b2.fcs"), well("U2", "C02", "w2.fcs")]
    dirty = np.concatenate([BLANK[:700], BLANK[:100] + 600])
    found = run(rows, FILES | {"b2.fcs": dirty, "w2.fcs": WARM + 1})
    (one,) = found.tables["msc_signal"].itertuples()
    assert (one.condition, one.reference, one.raised) == ("am_msc", "am", True)
    assert one.pct_above == pytest.approx(100 * np.mean(dirty > np.quantile(BLANK, 0.99)), abs=0.2)
    assert "msc_signal" in of(found, "U2").qc and "msc_signal" not in of(found, "U1").qc


def test_msc_without_light_are_not_accused(run: Callable[..., Assayed]) -> None:
    rows = [*FULL, blank("U2b", "C02", "b2.fcs")]
    found = run(rows, FILES | {"b2.fcs": np.random.default_rng(5).normal(500, 50, 800)})
    assert not found.tables["msc_signal"]["raised"].any() and "msc-signal" not in codes(found)


# ---- voltages


def at_volts(values: np.ndarray, volts: int) -> bytes:
    """An FCS file whose uptake detector states its voltage."""
    columns = np.column_stack([np.full(len(values), 100.0), values])
    out = io.BytesIO()
    flowio.create_fcs(out, columns.ravel().tolist(), ["FSC-A", "YG-A"], metadata_dict={"$P2V": str(volts)})
    return out.getvalue()


def test_a_control_at_another_voltage_sets_no_threshold_and_both_voltages_are_named(
    run: Callable[..., Assayed],
) -> None:
    files = {name: at_volts(v, 450 if name == "b.fcs" else 500) for name, v in FILES.items()}
    found = run(FULL, files)
    one = of(found, "U1")
    assert (one.threshold_source, one.correction, one.voltage) == ("cold", "in_threshold", 500)
    assert one.threshold == pytest.approx(np.quantile(as_stored(COLD), 0.99))
    assert pd.isna(one.threshold_common) and "control_at_other_voltage" in one.qc.split(";")
    problem = said(found, "voltages-differ")
    assert (problem.file, problem.found, problem.expected) == ("phagocytosis/raw/b.fcs", "U1b 450 V", "500 V")
    assert not found.wells["readout"].str.contains("net").any()


def test_a_background_partner_at_another_voltage_is_not_subtracted(run: Callable[..., Assayed]) -> None:
    files = {name: at_volts(v, 450 if name == "c.fcs" else 500) for name, v in FILES.items()}
    one = of(run(FULL, files), "U1")
    assert (one.threshold_source, one.correction) == ("no_particle", "none")
    assert pd.isna(one.net_pct_positive) and pd.isna(one.background_pct)


def test_one_voltage_stated_everywhere_or_only_here_and_there_changes_no_number(run: Callable[..., Assayed]) -> None:
    stated = {name: at_volts(v, 500) if name != "b.fcs" else v for name, v in FILES.items()}
    found = run(FULL, stated)
    one = of(found, "U1")
    assert (one.threshold_source, one.correction) == ("no_particle", "points")
    assert "voltages-differ" not in codes(found) and "control_at_other_voltage" not in one.qc


def test_another_arms_blank_is_lent_at_the_same_voltage_only(run: Callable[..., Assayed]) -> None:
    rows = [FULL[0], well("U1", "C01", "w.fcs"), well("U2", "C02", "x.fcs")]
    files = {"b.fcs": at_volts(BLANK, 450), "w.fcs": at_volts(WARM, 450), "x.fcs": at_volts(WARM + 1, 500)}
    found = run(rows, files)
    assert of(found, "U1").threshold_source == "no_particle"
    assert (of(found, "U2").threshold_source, pd.isna(of(found, "U2").pct_positive)) == ("none", True)
    volts = found.wells.loc[found.wells["readout"] == "bead|imfi", "comparability"]
    assert volts.tolist() == ["flow YG 450 V"]


def test_fluorescence_of_two_voltages_is_not_compared_and_shares_are(run: Callable[..., Assayed]) -> None:
    rows = [*FULL[:2], blank("U2b", "C02", "b2.fcs"), well("U2", "C02", "w2.fcs")]
    files = {"b.fcs": at_volts(BLANK, 450), "w.fcs": at_volts(WARM, 450)}
    files |= {"b2.fcs": at_volts(BLANK + 1, 500), "w2.fcs": at_volts(WARM + 1, 500)}
    wells = run(rows, files).wells
    kits = wells.groupby("readout")["comparability"].agg(lambda c: sorted(set(c)))
    assert kits["bead|imfi"] == ["flow YG 450 V", "flow YG 500 V"]
    assert kits["bead|pct_phagocytic"] == ["flow YG"], "each has its own control"
    arms = wells[wells["readout"] == "bead|imfi"]
    with pytest.raises(NotEstimable, match="different kits or panels"):
        same_kit(*(part for _, part in arms.groupby("culture_id")))


# ---- gates


def stained(
    macrophages: np.ndarray, others: int, markers: Mapping[str, str] | None = None, volts: int | None = None
) -> bytes:
    """An FCS file whose macrophages carry CD169 on APC-A and whose other cells, bright with uptake, do not."""
    n = len(macrophages)
    rows = np.zeros((n + others, 3))
    rows[:, 0] = 100.0
    rows[:n, 1], rows[n:, 1] = macrophages, 9000.0
    rows[:n, 2], rows[n:, 2] = 2000.0, 10.0
    names = ("FSC-A", "FITC-A", "APC-A")
    known = {"FITC-A": "YG", "APC-A": "CD169"} | dict(markers or {})
    out = io.BytesIO()
    stated = {} if volts is None else {"$P3V": str(volts)}
    flowio.create_fcs(out, rows.ravel().tolist(), list(names), [known.get(n, "") for n in names], stated)
    return out.getvalue()


GATES = (
    "gate_set,population,override_for,parent,kind,channels,edges,rule,reason\n"
    "P1,Cells,,,rectangle,FSC-A,50;,,\n"
    "P1,AM,,Cells,rectangle,CD169,700;,,\n"
    "P1,CD206+,,AM,threshold,CD206,100,,\n"
)
GATE_FILE = """<?xml version="1.0" encoding="UTF-8"?>
<gating:Gating-ML xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating"
    xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes">
  <gating:RectangleGate gating:id="AM">
    <gating:dimension gating:min="0" gating:max="1000" gating:compensation-ref="uncompensated">
      <data-type:fcs-dimension data-type:name="APC-A"/>
    </gating:dimension>
  </gating:RectangleGate>
</gating:Gating-ML>
"""


@pytest.fixture
def gated(small_study: Path, run: Callable[..., Assayed]) -> Callable[..., Assayed]:
    """The assay with a gates table of one panel (CD169 on APC-A) and stained files of 1000 macrophages, 300 others."""

    def assayed(
        gates: str = GATES, markers: Mapping[str, str] | None = None, files: Any = None, **settings: Any
    ) -> Assayed:
        folder = small_study / "phenotype"
        folder.mkdir(exist_ok=True)
        (folder / "gates.csv").write_text(gates, encoding="utf-8")
        (folder / "panels.csv").write_text("panel_id,channel,marker,fluorochrome\nP1,APC-A,CD169,APC\n")
        own = {name: stained(values, 300, markers) for name, values in FILES.items()}
        return run(FULL, own | (files or {}), **settings)

    return assayed


def test_the_gates_of_the_phenotype_choose_macrophages_of_uptake_files(gated: Callable[..., Assayed]) -> None:
    found = gated()
    one = of(found, "U1")
    assert (one.n_cells, one.gates) == (1000, "gates table P1")
    threshold = np.quantile(as_stored(BLANK), 0.99)
    assert one.pct_positive == pytest.approx(100 * np.mean(as_stored(WARM) > threshold))
    assert "not_gated" not in one.qc and not codes(found) & {"not-gated", "two-gates"}


def test_a_gate_changed_for_a_donor_holds_for_uptake_too(gated: Callable[..., Assayed]) -> None:
    own = "P1,AM,D01,Cells,rectangle,CD169,5;,,seen before unblinding\n"
    assert of(gated(GATES + own), "U1").n_cells == 1300


def test_a_detector_with_another_dye_is_not_gated_as_in_the_phenotype(gated: Callable[..., Assayed]) -> None:
    found = gated(markers={"APC-A": "CD90"})
    assert (of(found, "U1").n_cells, of(found, "U1").gates) == (1300, "none")
    (problem,) = [p for p in found.problems if p.code == "not-gated"]
    assert "Gate set P1: APC-A holds CD90 in this file and CD169 in the panel." in problem.message


def test_a_file_that_does_not_name_its_dyes_is_gated_where_the_study_names_the_gate_set(
    gated: Callable[..., Assayed],
) -> None:
    found = gated(markers={"APC-A": ""}, phagocytosis={"gate_set": "P1"})
    assert (of(found, "U1").n_cells, of(found, "U1").gates) == (1000, "gates table P1")


def test_a_file_that_does_not_name_its_dyes_is_not_gated_by_guess(gated: Callable[..., Assayed]) -> None:
    found = gated(markers={"APC-A": ""})
    assert of(found, "U1").gates == "none"
    (problem,) = [p for p in found.problems if p.code == "not-gated"]
    assert "phagocytosis.gate_set" in problem.message


@pytest.mark.parametrize(
    ("gates", "reason"),
    [
        (GATES.replace("FSC-A", "SSC-A"), "SSC-A is not among the channels"),
        (GATES.replace("P1,AM,", "P1,Mac,").replace("Cells,thr", "Mac,thr"), "no population AM"),
        (GATES.replace("rectangle,CD169,700;,", "threshold,CD169,,control"), "comes from a control tube"),
        (GATES.replace("FSC-A", "FITC-A"), "holds the uptake"),
        (GATES + GATES.split("\n", 1)[1].replace("P1,", "P2,"), "all fit"),
    ],
    ids=["channel", "population", "control", "uptake", "two sets"],
)
def test_gates_that_do_not_fit_are_not_used_and_it_is_said_why(
    gated: Callable[..., Assayed], gates: str, reason: str
) -> None:
    found = gated(gates)
    (problem,) = [p for p in found.problems if p.code == "not-gated"]
    assert reason in problem.message and of(found, "U1").n_cells == 1300


def test_the_table_goes_before_a_gate_file_and_that_is_said(gated: Callable[..., Assayed]) -> None:
    found = gated(files={"gates.xml": GATE_FILE})
    assert of(found, "U1").n_cells == 1000
    (problem,) = [p for p in found.problems if p.code == "two-gates"]
    assert problem.file == "phagocytosis/raw/gates.xml" and "3 uptake files" in problem.message


def test_a_study_may_leave_uptake_to_its_gate_file(gated: Callable[..., Assayed]) -> None:
    found = gated(files={"gates.xml": GATE_FILE}, phagocytosis={"gate_set": "none"})
    assert (of(found, "U1").n_cells, of(found, "U1").gates) == (300, "gate file gates.xml")
    assert "two-gates" not in codes(found)


def test_a_gate_set_that_is_not_there_is_said(gated: Callable[..., Assayed]) -> None:
    found = gated(phagocytosis={"gate_set": "P9"})
    (problem,) = [p for p in found.problems if p.code == "gate-set-missing"]
    assert (problem.found, problem.expected) == ("P9", "P1") and of(found, "U1").gates == "none"


def test_gates_drawn_at_another_voltage_do_not_choose_macrophages(
    small_study: Path, gated: Callable[..., Assayed]
) -> None:
    """The phenotype's files have CD169 at 500 V; uptake at 500 V is gated by the table, at 450 V it is not."""
    fcs_folder = small_study / "phenotype/fcs"
    fcs_folder.mkdir(parents=True)
    (fcs_folder / "s.fcs").write_bytes(stained(BLANK, 10, volts=500))
    samples = "fcs_file,culture_id,panel_id,tube_role\ns.fcs,C01,P1,stained\n"
    (small_study / "phenotype/samples.csv").write_text(samples, encoding="utf-8")
    files = {"w.fcs": stained(WARM, 300, volts=450), "b.fcs": stained(BLANK, 300, volts=500)}
    found = gated(files=files)
    assert (of(found, "U1b").gates, of(found, "U1b").n_cells) == ("gates table P1", 800)
    assert (of(found, "U1").gates, of(found, "U1").n_cells) == ("none", 1300)
    (problem,) = [p for p in found.problems if p.code == "not-gated"]
    assert "APC-A stands at 450 V in this file and at 500 V in the phenotype's." in problem.message


# ---- wrong input


def test_a_cold_file_named_for_another_donor_is_set_aside(run: Callable[..., Assayed]) -> None:
    found = run([*FULL[:2], cold("U3c", "C03", "c.fcs", control_for="U1")], FILES)
    problem = said(found, "control-of-another-donor")
    assert (problem.severity, problem.entity, problem.found) == ("quarantine", "uptake U3c", "D02")
    assert "D01" in problem.expected and pd.isna(of(found, "U1").background_pct)


def test_a_control_of_another_condition_or_of_nothing_is_set_aside(run: Callable[..., Assayed]) -> None:
    rows = [*FULL[:2], cold("U2c", "C02", "c.fcs", control_for="U1"), cold("U9c", "C01", "d.fcs", control_for="U77")]
    found = run(rows, FILES | {"d.fcs": COLD + 1})
    assert {"control-of-another-condition", "control-of-nothing"} <= codes(found)
    assert pd.isna(of(found, "U1").background_pct)


def test_the_same_events_under_two_donors_are_set_aside(run: Callable[..., Assayed]) -> None:
    rows = [*FULL, blank("U3b", "C03", "b3.fcs"), cold("U3c", "C03", "c3.fcs"), well("U3", "C03", "w3.fcs")]
    found = run(rows, FILES | {"b3.fcs": BLANK + 1, "c3.fcs": COLD, "w3.fcs": WARM + 1})
    assert {p.entity for p in found.problems if p.code == "same-file"} == {"uptake U1c", "uptake U3c"}
    assert of(found, "U3").threshold_source == "no_particle" and pd.isna(of(found, "U3").net_pct_positive)


def test_a_file_without_cells_and_a_count_of_none_are_said(run: Callable[..., Assayed]) -> None:
    found = run([counted("U1", "C01", 0, 0), counted("U3", "C03", 500, 100)])
    problem = said(found, "no-cells")
    assert problem.entity == "uptake U1" and problem.found == "0"
    assert set(found.wells["culture_id"]) == {"C03"}


def test_a_damaged_file_is_set_aside_and_the_rest_goes_on(run: Callable[..., Assayed]) -> None:
    found = run([*FULL, well("U3", "C03", "bad.fcs")], FILES | {"bad.fcs": fcs(WARM)[:400]})
    assert any(p.severity == "quarantine" and p.entity == "uptake U3" for p in found.problems)
    assert of(found, "U1").net_pct_positive > 0


def test_a_channel_that_cannot_be_told_names_the_choices(run: Callable[..., Assayed]) -> None:
    data = fcs(WARM, ("FSC-A", "PE-A", "APC-A"))
    found = run([FULL[0], well("U1", "C01", "w.fcs", label="Nile red")], FILES | {"w.fcs": data})
    assert said(found, "uptake-channel").expected == "PE-A, APC-A"


def test_counts_above_cells_and_negative_minutes_are_refused_with_their_place(
    write: Callable[[Sequence[Row], Mapping[str, Any]], Path],
) -> None:
    folder = write([counted("U1", "C01", 100, 101), counted("U3", "C03", 100, 10, minutes=-5)], {})
    problems = {p.code: p for p in check_study(folder) if p.severity == "error"}
    assert problems["count-above-cells"].row == 2
    assert any(p.row == 3 and p.column == "minutes" for p in problems.values())
    with pytest.raises(Refused):
        open_study(folder)


# ---- minimums and counts


def test_below_the_minimums_a_number_is_not_given(run: Callable[..., Assayed]) -> None:
    few = FILES | {"w.fcs": np.concatenate([WARM[:60], WARM[-30:]])}
    found = run(FULL, few)
    assert pd.isna(of(found, "U1").pct_positive) and "too_few_cells" in of(found, "U1").qc


def test_between_the_minimums_a_number_is_flagged(run: Callable[..., Assayed]) -> None:
    some = FILES | {"w.fcs": np.concatenate([WARM[:270], WARM[-30:]])}
    one = of(run(FULL, some), "U1")
    assert one.pct_positive == pytest.approx(11, abs=2) and "few_cells" in one.qc
    assert pd.isna(one.imfi), "30 positive cells are too few for their median"


def test_an_outlying_count_is_shown_and_kept(run: Callable[..., Assayed]) -> None:
    rows = [counted(f"U{i}", f"C0{i}", n, n // 2) for i, n in enumerate((900, 950, 1000, 1050, 1100, 9000), 1)]
    found = run(rows)
    flagged = found.tables["phagocytosis_wells"].set_index("phago_id")["qc"].str.contains("outlying_count")
    assert flagged[flagged].index.tolist() == ["U6"]
    assert "C06" in set(found.wells["culture_id"])


def test_counts_give_the_indices_and_keep_k_of_n(run: Callable[..., Assayed]) -> None:
    rows = [
        counted("U1", "C01", 200, 50, 150),
        cold("U1c", "C01") | counted("U1c", "C01", 400, 20, 20, temperature_c=4),
    ]
    found = run(rows)
    one = of(found, "U1")
    assert (one.pct_positive, one.index_mean, one.particles_per_positive, one.index_product) == (25.0, 0.75, 3.0, 75.0)
    assert (one.net_pct_positive, one.net_index) == (20.0, pytest.approx(0.7))
    pct = found.wells[found.wells["readout"] == "bead|pct_phagocytic"].iloc[0]
    assert (pct.k, pct.n, pct.scale, pct.assay_minutes) == (50, 200, "logit", 60)
    assert found.wells.loc[found.wells["readout"] != "bead|pct_phagocytic", "k"].isna().all()


def test_efferocytosis_is_named_by_its_target(run: Callable[..., Assayed]) -> None:
    found = run([counted("U1", "C01", 200, 50, target="apoptotic")])
    names = dict(zip(found.wells["readout"], found.wells["lower"], strict=True))
    assert names["apoptotic|pct_phagocytic"] == 25.0


def test_none_of_n_is_a_bound_and_not_zero(run: Callable[..., Assayed]) -> None:
    found = run([counted("U1", "C01", 200, 0), counted("U2", "C02", 200, 200)])
    wells = found.wells[found.wells["readout"] == "bead|pct_phagocytic"].set_index("culture_id")
    assert np.isnan(wells.at["C01", "lower"]) and wells.at["C01", "upper"] == pytest.approx(0.5)
    assert wells.at["C02", "lower"] == pytest.approx(99.5) and np.isnan(wells.at["C02", "upper"])


def test_replicate_wells_are_summed_to_one_k_of_n_a_donor_and_condition(run: Callable[..., Assayed]) -> None:
    found = run([counted("U1", "C01", 200, 50), counted("U2", "C01", 300, 60)])
    cultures = pd.DataFrame(
        [
            {
                "culture_id": "C01",
                "specimen_id": "S01",
                "donor_id": "D01",
                "group": "apap",
                "visit": "V1",
                "condition": "am",
            }
        ]
    ).assign(timepoint_h=24.0, msc_lot_id="", batch_day=1, msc_per_well=0)
    readouts, _ = steps.readouts(found.wells, cultures)
    one = readouts[readouts["readout"] == "bead|pct_phagocytic"].iloc[0]
    assert (one.k, one.n, one.n_assay_wells, one.n_cultures) == (110, 500, 2, 1)


# ---- tables from other programs


def test_a_flowjo_export_is_matched_by_the_pattern_of_the_study(run: Callable[..., Assayed]) -> None:
    rows = [well("U1", "C01", "flowjo.csv"), cold("U1c", "C01", "flowjo.csv"), well("U3", "C03", "flowjo.csv")]
    text = (
        ",AM | Count,AM/bead+ | Freq. of Parent,AM/bead+ | Count,AM/bead+ | Median (YG-A)\n"
        "Tube_D01_37C.fcs,1000,40 %,400,5000\nTube_D01_4C.fcs,900,5 %,45,2000\n"
        "Tube_D02_37C.fcs,800,30 %,240,4000\nTube_D09_37C.fcs,800,31 %,248,4100\n"
    )
    pattern = r"Tube_(?P<donor_id>D\d+)_(?P<temperature>\d+)C"
    found = run(rows, {"flowjo.csv": text}, file_patterns={"phagocytosis": pattern})
    one = of(found, "U1")
    assert (one.n_cells, one.n_positive, one.pct_positive, one.net_pct_positive) == (1000, 400, 40.0, 35.0)
    assert one.imfi == 2000.0 and of(found, "U3").pct_positive == 30.0
    assert said(found, "no-such-well").found == "Tube_D09_37C.fcs"


def test_cells_of_a_microscope_get_their_threshold_like_events(run: Callable[..., Assayed]) -> None:
    def cells(name: str, values: np.ndarray) -> list[str]:
        return [f"{name},{v:.17g}" for v in values]

    lines = ["sample,fluorescence", *cells("U1b", BLANK), *cells("U1", WARM), *cells("U1c", COLD)]
    rows = [{**row, "file": "cells.csv", "method": "microscopy"} for row in FULL]
    one = of(run(rows, {"cells.csv": "\n".join(lines)}), "U1")
    assert one.threshold == pytest.approx(np.quantile(BLANK, 0.99))
    shares = [float(np.mean(np.array(v) > one.threshold)) for v in (WARM, COLD)]
    assert one.net_pct_positive == pytest.approx(100 * (shares[0] - shares[1]))


def test_a_series_of_a_plate_reader_becomes_courses(run: Callable[..., Assayed]) -> None:
    rows = [well(f"U{m}", "C01", "series.csv", minutes=m, method="plate") for m in (0, 30, 60, 90)]
    found = run(rows, {"series.csv": "Time [min],C01\n0,10\n30,40\n60,70\n90,100\n"})
    (course,) = found.tables["kinetics"].itertuples()
    assert (course.readout, course.n_times, course.initial_rate) == ("signal", 4, pytest.approx(1.0))
    assert set(found.wells["readout"]) == {"bead|signal", "bead|signal_initial_rate", "bead|signal_auc"}
    end = found.wells[found.wells["readout"] == "bead|signal"]
    assert end[["assay_minutes", "lower"]].to_numpy().tolist() == [[90.0, 100.0]], (
        "only the end of a course is compared"
    )


def test_a_file_without_a_line_for_a_well_sets_the_well_aside(run: Callable[..., Assayed]) -> None:
    rows = [well("U1", "C01", "t.csv", method="microscopy"), well("U3", "C03", "t.csv", method="microscopy")]
    found = run(rows, {"t.csv": "sample,n_cells,n_positive\nU1,200,50\n"})
    assert [p.entity for p in found.problems if p.code == "no-such-line"] == ["uptake U3"]
    assert of(found, "U1").pct_positive == 25.0


def test_a_study_without_uptake_gives_empty_tables(small_study: Path) -> None:
    study = open_study(small_study)
    found = phagocytosis(study.folder, study.tables, study.quarantined, study.config)
    assert found.wells.empty and not found.measured and not found.problems
    assert all(found.tables[name].empty for name in TABLES)
