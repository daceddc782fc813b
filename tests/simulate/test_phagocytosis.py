"""Simulated uptake: files a cytometer could have written, and an analysis that finds what was planted."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.assays.phagocytosis.assay import phagocytosis
from helpers.assays.steps import Assayed
from helpers.readers.fcs import read_fcs
from helpers.simulate import phagocytosis as simulated
from helpers.simulate.design import Culture, Design, plan
from helpers.stats.trend import trend
from helpers.study.opening import Study, open_study


@pytest.fixture(scope="module")
def design() -> Design:
    return plan()


@pytest.fixture(scope="module")
def study(demo: Path) -> Study:
    return open_study(demo)


@pytest.fixture(scope="module")
def assayed(study: Study) -> Assayed:
    return phagocytosis(study.folder, study.tables, study.quarantined, study.config)


@pytest.fixture(scope="module")
def wells(assayed: Assayed) -> pd.DataFrame:
    return assayed.tables["phagocytosis_wells"].set_index("phago_id")


@pytest.fixture(scope="module")
def warm(design: Design) -> dict[str, Culture]:
    """Cultures with a bead file at 37 °C, by phago_id."""
    tables = simulated.phagocytosis_tables(design)["phagocytosis/wells"]
    by_id = {c.culture_id: c for c in design.cultures}
    return {r["phago_id"]: by_id[r["culture_id"]] for r in tables if r["phago_id"].endswith("-warm")}


# ---- the files


def test_each_file_is_sound_and_small(demo: Path) -> None:
    files = sorted((demo / "phagocytosis" / "raw").glob("*.fcs"))
    assert len(files) == 26 * 3 + 24 * 3 - 3, "a blank is missing once, a cold one twice"
    for path in files[::13]:
        fcs = read_fcs(path, path.name)
        assert fcs.names == ("FSC-A", "FITC-A", "APC-A") and 200 < fcs.n_events <= 1500
        assert not [p for p in fcs.problems if p.severity != "repaired"]


def test_a_donor_has_the_same_cells_in_a_smaller_study(demo: Path) -> None:
    small = simulated.phagocytosis_files(plan(10))
    own = {n: d for n, d in small.items() if n.startswith(("B01", "B02", "B03"))}  # both studies have D01 to D06
    assert len(own) == 35 and all((demo / "phagocytosis" / "raw" / n).read_bytes() == d for n, d in own.items())


def test_msc_and_debris_are_gated_out(wells: pd.DataFrame) -> None:
    own = wells[(wells["method"] == "flow") & (wells["donor_id"] != f"D{simulated.FEW_EVENTS:02d}")]
    assert own["n_cells"].between(simulated.CELLS * 0.99, simulated.CELLS * 1.01).all()
    assert not wells["qc"].str.contains("not_gated").any()


# ---- beads


def test_beads_per_cell_come_back_within_five_percent(
    assayed: Assayed, design: Design, warm: dict[str, Culture]
) -> None:
    combs = assayed.tables["bead_combs"].drop_duplicates("phago_id").set_index("phago_id")
    good = combs[combs["identifiable"]]
    assert len(good) >= 46 and set(combs.index) == set(warm)
    for phago_id, one in good.iterrows():
        truth = simulated.beads_per_cell(design, warm[str(phago_id)], "warm")
        assert one["mean_beads"] == pytest.approx(truth, rel=0.05)
        assert one["bead_fluorescence"] == pytest.approx(simulated.BEAD, rel=0.03)


def test_net_uptake_is_each_donors_own(wells: pd.DataFrame, design: Design, warm: dict[str, Culture]) -> None:
    """Sticking adds only to cells without uptake, so points understate by sticking × uptake."""
    z = []
    for phago_id, culture in warm.items():
        one = wells.loc[phago_id]
        if pd.isna(one.net_pct_positive) or "msc_signal" in one.qc or "few_cells" in one.qc:
            continue
        assert culture.specimen is not None
        share, _ = simulated.uptake_of(design, culture.specimen.donor, culture.condition)
        expected = 100 * share * (1 - simulated.COLD_SHARE)
        z.append((one.net_pct_positive - expected) / (100 * math.sqrt(share * (1 - share) / one.n_cells)))
    assert len(z) > 40
    assert abs(np.mean(z)) < 1.0 and np.abs(z).max() < 5


def test_the_planted_change_by_msc_is_found(wells: pd.DataFrame, study: Study) -> None:
    own = wells[(wells["target"] == "bead") & (wells["role"] == "uptake")]
    share = (own["net_pct_positive"] / 100 / (1 - simulated.COLD_SHARE)).clip(0.01, 0.99)
    logit = np.log(share / (1 - share)).groupby([own["donor_id"], own["condition"]]).mean().unstack()
    change = (logit["am_msc"] - logit["am"]).dropna()
    group = change.index.map(study.tables["donors"].set_index("donor_id")["group"])
    for name, planted in simulated.MSC_EFFECT.items():
        found = change[group == name]
        assert found.mean() == pytest.approx(planted, abs=4 * simulated.CHANGE_SD * 1.3 / math.sqrt(len(found)))


# ---- courses and doses


def test_plateaus_come_back(assayed: Assayed, design: Design) -> None:
    kinetics = assayed.tables["kinetics"]
    assert set(kinetics["donor_id"]) == {f"D{n:02d}" for n in simulated.SERIES_DONORS}
    donors = {d.donor_id: d for d in design.donors}
    off = [
        one.plateau - simulated.SERIES_COLD - simulated.plateau_of(design, donors[one.donor_id], one.condition)
        for one in kinetics.itertuples()
    ]
    assert (kinetics["status"] == "ok").all() and len(off) == 12
    assert np.mean(off) == pytest.approx(0, abs=2.0) and np.abs(off).max() < 8
    assert kinetics["rate_constant"].median() == pytest.approx(simulated.RATE_A_MINUTE, rel=0.15)


def test_the_slope_over_doses_comes_back(wells: pd.DataFrame) -> None:
    own = wells[(wells["target"] == "ecoli") & (wells["role"] == "uptake")]
    assert set(own["donor_id"]) == {f"D{n:02d}" for n in simulated.DOSE_DONORS}
    net = own["net_pct_positive"] / 100
    ratio = own["condition"].map(simulated.DOSES | {"am": 0.0})
    values = np.log(net / (1 - net)).groupby([own["donor_id"], ratio]).mean().unstack()
    slope, step = trend(values)
    assert slope.estimate == pytest.approx(simulated.DOSE_SLOPE, abs=0.05)
    assert step.estimate == pytest.approx(simulated.DOSE_STEP, abs=0.15)


# ---- what is awkward


def test_awkward_donors_are_said(wells: pd.DataFrame, assayed: Assayed) -> None:
    bead = wells[(wells["target"] == "bead") & (wells["role"] == "uptake")].set_index(["donor_id", "condition"])
    no_blank, no_cold, debris, few = (
        f"D{n:02d}" for n in (simulated.NO_BLANK, simulated.NO_COLD, simulated.DEBRIS_OF_MSC, simulated.FEW_EVENTS)
    )
    assert bead.loc[(no_blank, "am_msc"), ["threshold_source", "correction"]].tolist() == ["cold", "in_threshold"]
    assert bead.loc[no_cold, "net_pct_positive"].isna().all()
    assert bead.loc[few, "qc"].str.contains("few_cells;outlying_count").all()
    signal = assayed.tables["msc_signal"]
    assert signal.loc[signal["raised"], "donor_id"].tolist() == [debris]
    codes = {p.code for p in assayed.problems}
    assert codes == {"no-particle-missing", "background-missing", "msc-signal"}


def test_the_page_names_what_is_planted() -> None:
    page = simulated.phagocytosis_sections()
    for number in (simulated.NO_BLANK, simulated.NO_COLD, simulated.DEBRIS_OF_MSC, simulated.FEW_EVENTS):
        assert f"| D{number:02d} |" in page
