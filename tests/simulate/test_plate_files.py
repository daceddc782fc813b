"""Simulated cytokine plates: files as the vendors write them, and an analysis that finds what was planted."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from helpers.analysis import analysed_donors
from helpers.assays import steps
from helpers.assays.cytokines.assay import cytokines
from helpers.assays.cytokines.curves import invert, response
from helpers.readers.plate import Plate
from helpers.readers.plates import read_plate_file
from helpers.simulate import cytokines as supernatant
from helpers.simulate import plates as simulated
from helpers.simulate.cytokines import CYTOKINES
from helpers.simulate.design import ARMS_APART, Culture, plan
from helpers.simulate.plate_files import plate_file
from helpers.study.opening import Study, open_study

FILES = {"P1": "P1.csv", "P2": "P2.csv", "P3": "P3.xlsx"}
MOSTLY_BELOW = {"IL-4", "IFN-g", "GM-CSF"}
OFTEN_BELOW = {"IL-7", "IL-12p70"}
SECRETED = {"IL-6", "IL-8", "MCP-1", "VEGF", "TGF-b1"}


@pytest.fixture(scope="module")
def read(demo: Path) -> dict[str, Plate]:
    """Each plate of the demo as its reader gives it."""
    found = {name: read_plate_file(demo / "cytokines" / "raw" / file, file) for name, file in FILES.items()}
    assert all(len(plates) == 1 for plates in found.values())
    return {name: plates[0] for name, plates in found.items()}


@pytest.fixture(scope="module")
def truth() -> dict[str, simulated.Readings]:
    """What was simulated for each plate."""
    return {r.plan.plate_id: r for r in simulated.read_plates(plan())}


@pytest.fixture(scope="module")
def study(demo: Path) -> Study:
    """The demo, opened."""
    return open_study(demo)


@pytest.fixture(scope="module")
def assayed(study: Study) -> steps.Assayed:
    """The demo's cytokines, through every step of the assay."""
    return cytokines(study.folder, study.tables, study.quarantined, study.config)


@pytest.fixture(scope="module")
def readouts(study: Study, assayed: steps.Assayed) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Readouts and cell_controls of the demo's cytokines."""
    cultures = steps.usable_cultures(study.tables, analysed_donors(study), study.quarantined, assayed.assay)
    return steps.readouts(assayed.wells, cultures)


@pytest.fixture(scope="module")
def values(study: Study, assayed: steps.Assayed) -> pd.DataFrame:
    """cytokine_values with condition, donor and group of the culture."""
    cultures = study.tables["cultures"].merge(study.tables["specimens"], on="specimen_id", how="left")
    cultures = cultures.merge(study.tables["donors"][["donor_id", "group"]], on="donor_id", how="left")
    known = cultures[["culture_id", "condition", "donor_id", "group", "msc_lot_id"]]
    return assayed.tables["cytokine_values"].merge(known, on="culture_id", how="left")


# ---- where what is


@pytest.mark.parametrize("donors", [1, 2, 5, 8, 14, 26, 27, 60, 131])
def test_every_supernatant_has_its_well(donors: int) -> None:
    design = plan(donors)
    plans = simulated.plate_plans(design)
    assert [p.number for p in plans] == list(range(1, len(plans) + 1))
    wanted = set(supernatant.supernatants(design))
    placed = {w.culture.culture_id for p in plans for w in p.samples if w.culture}
    left_out = [c for p in plans for c in p.left_out]
    assert placed | {c.culture_id for c in left_out} == wanted
    assert {c.condition for c in left_out} <= {"am_lps", "am_msc_lps"}
    for p in plans:
        assert len({w.position for w in p.wells}) == len(p.wells) <= 96
        roles = Counter(w.role for w in p.wells)
        assert (roles["standard"], roles["control"], roles["bridge"]) == (16, 4, 2)
        assert roles["blank"] == (2 if p.is_bioplex else 6)
        assert max(Counter(w.sample_id for w in p.samples).values()) <= 2
        assert not (p.left_out and len(p.wells) < 92), "an arm was left out of a plate with room for a donor's arms"


def test_no_group_is_confounded_with_a_plate() -> None:
    for donors in (*range(2, 30), 40, 60, 90):
        for p in simulated.plate_plans(plan(donors)):
            groups = {w.culture.specimen.donor.group for w in p.samples if w.culture and w.culture.specimen}
            assert groups == {"apap", "control"}, f"{p.plate_id} of a study of {donors} donors"


@pytest.mark.parametrize("donors", [17, 26, 60])
def test_one_donor_alone_has_arms_on_two_plates(donors: int) -> None:
    where: dict[int, dict[str, set[str]]] = {}
    for p in simulated.plate_plans(plan(donors)):
        for well in p.samples:
            if well.culture and well.culture.specimen:
                arms = where.setdefault(well.culture.specimen.donor.number, {})
                arms.setdefault(well.culture.condition, set()).add(p.plate_id)
    apart = {n for n, arms in where.items() if len(set.union(*arms.values())) > 1}
    assert apart == ({ARMS_APART} if donors >= ARMS_APART else set())
    for n in apart:
        assert not where[n]["am"] & where[n]["am_msc"]


# ---- files


def test_each_file_is_read_without_a_problem(read: dict[str, Plate]) -> None:
    assert {name: [p.code for p in plate.problems] for name, plate in read.items()} == {
        "P1": ["header-left-out"],
        "P2": ["header-left-out"],
        "P3": ["not-kept"],
    }
    assert [p.layout for p in read.values()] == ["xponent", "xponent", "bioplex"]
    for plate in read.values():
        assert len(plate.analytes) == len(plate.curves) == 30
        assert set(plate.curves["model"]) == {"5pl"}
        assert plate.wells[["mfi", "net_mfi", "bead_count"]].notna().all(axis=None)
        assert set(plate.standards["role"]) == {"standard", "control"}
    for name in ("P1", "P2"):
        assert read[name].analytes["unit"].eq("pg/ml").all()
        assert read[name].analytes["bead_minimum"].eq(50).all()
        controls = read[name].standards.query("role == 'control'")
        assert (controls["low"] < controls["expected"]).all() and (controls["expected"] < controls["high"]).all()


def test_the_mark_at_the_end_is_that_of_the_text(demo: Path) -> None:
    text = (demo / "cytokines" / "raw" / "P1.csv").read_text(encoding="utf-8")
    body, mark = text.rstrip("\n").rsplit("\n", 1)
    assert body.endswith("-- CRC --")
    assert mark == f"CRC32: {zlib.crc32((body + chr(10)).encode()):08X}"


def test_the_workbook_holds_no_time(demo: Path, truth: dict[str, simulated.Readings]) -> None:
    data = (demo / "cytokines" / "raw" / "P3.xlsx").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        assert {entry.date_time for entry in book.infolist()} == {(2000, 1, 1, 0, 0, 0)}
    assert plate_file(truth["P3"]) == data


def test_what_is_read_is_what_was_simulated(read: dict[str, Plate], truth: dict[str, simulated.Readings]) -> None:
    for name, plate in read.items():
        made = truth[name]
        names = [one.bioplex if made.plan.is_bioplex else one.xponent for one in CYTOKINES]
        for column, array in (("mfi", made.mfi), ("net_mfi", made.net)):
            table = plate.wells.pivot(index="well", columns="analyte", values=column)
            # Bio-Plex Manager takes nothing off the blanks themselves
            kept = [i for i, w in enumerate(made.plan.wells) if not (made.plan.is_bioplex and w.role == "blank")]
            table = table.loc[[made.plan.wells[i].position for i in kept], names]
            np.testing.assert_allclose(table.to_numpy(), array[kept], rtol=1e-8, atol=1e-8)


def test_the_vendors_concentrations_follow_from_the_printed_curve(read: dict[str, Plate]) -> None:
    for name, plate in read.items():
        curves = plate.curves.set_index("analyte")
        wells = plate.wells[plate.wells["state"] == "measured"]
        assert len(wells) > 1900
        found, _ = invert(curves.loc[wells["analyte"], list("adcbg")].to_numpy(), wells["net_mfi"].to_numpy())
        sample = wells["role"].isin(["sample", "control"])
        dilution = wells["dilution"].where(sample, 1.0).to_numpy()
        np.testing.assert_allclose(wells["conc"], found * dilution, rtol=1e-7 if name != "P3" else 1e-4)
        top = plate.standards.query("role == 'standard'").groupby("analyte")["expected"].max()
        above = plate.wells[plate.wells["state"] == "above"]
        if name != "P3":  # xPONENT prints the highest standard, Bio-Plex Manager none
            samples = above[above["role"] == "sample"]
            assert len(samples) and (samples["conc"] == samples["analyte"].map(top) * samples["dilution"]).all()


def test_noise_is_that_of_a_good_assay(truth: dict[str, simulated.Readings]) -> None:
    """CV of pairs of standards, from their differences: sd of ln a − ln b is √2 CV."""
    for made in truth.values():
        wells = made.plan.wells
        first, second = ([i for i, w in enumerate(wells) if w.role == "standard" and w.position[1:] == c] for c in "12")
        pairs = np.log(made.mfi[first][:5]) - np.log(made.mfi[second][:5])
        assert 0.05 < pairs.std() / math.sqrt(2) < 0.08


# ---- what the analysis says


def test_what_is_awkward_is_said_and_nothing_else(assayed: steps.Assayed) -> None:
    said = Counter(p.code for p in assayed.problems if p.severity != "repaired")
    assert said == {"standard-lost-decimal": 1, "sample-unmatched": 1, "arms-on-different-plates": 2}
    by_code = {p.code: p for p in assayed.problems}
    lost = by_code["standard-lost-decimal"]
    assert (lost.found, lost.expected) == ("215625", "about 215.625")
    assert lost.file == "cytokines/raw/P1.csv" and "MIP-1b" in lost.column and "4" in lost.column
    unmatched = by_code["sample-unmatched"]
    assert unmatched.file == "cytokines/raw/P3.xlsx" and unmatched.found == "B12-14"
    assert f"D{ARMS_APART}" in by_code["arms-on-different-plates"].message


def test_planted_curves_are_found(assayed: steps.Assayed, truth: dict[str, simulated.Readings]) -> None:
    """Between standards 1 and 5 the fitted response is within what 16 wells of 6.5 % CV leave open."""
    curves = assayed.tables["cytokine_curves"]
    assert set(curves["status"]) == {"ok"} and len(curves) == 90
    far = []
    for name, made in truth.items():
        own = curves[curves["plate_id"] == name].set_index("analyte").loc[[c.analyte for c in CYTOKINES]]
        ours = own[list("adcbg")].to_numpy(dtype="float64")[:, None, :]
        x = np.geomspace([c.top for c in CYTOKINES], [c.top / 4**4 for c in CYTOKINES], 9).T
        far.append(np.log(response(ours, x)) - np.log(response(made.curves[:, None, :], x)))
    assert np.abs(far).max() < 0.15
    assert np.sqrt(np.square(far).mean()) < 0.05


def test_bridges_show_the_plate_that_reads_high(assayed: steps.Assayed) -> None:
    bridges = assayed.tables["plate_bridges"]
    assert bridges["agree"].all() and len(bridges) == 60
    assert not bridges["applied"].any()
    shift = bridges.groupby("plate_id")["shift_log2"].median()
    # wells of a plate share 2 % of their noise, and 16 standards make its curves
    assert shift["P2"] == pytest.approx(math.log2(simulated.OFFSET), abs=0.05)
    assert shift["P3"] == pytest.approx(0.0, abs=0.08)


def test_controls_lie_in_their_range(assayed: steps.Assayed) -> None:
    controls = assayed.tables["plate_controls"].query("role == 'control' and plate_id != 'P3'")
    assert len(controls) == 120 and set(controls["status"]) == {"in_range"}


def test_doubtful_values_are_flagged(values: pd.DataFrame) -> None:
    flags = values["qc"].fillna("").str.split(";")
    hidden, ambiguous = (flags.map(lambda f, w=what: w in f) for what in ("antibody_interference", "source_ambiguous"))
    gm = (values["analyte"] == "GM-CSF") & (values["group"] == "apap")
    assert gm.sum() > 60 and (hidden == gm.fillna(False)).all()
    both = values["condition"].isin(["am_msc", "am_msc_lps"]) & values["analyte"].isin(SECRETED)
    assert both.sum() > 300 and (ambiguous == both).all()


def test_three_wells_have_few_beads(assayed: steps.Assayed, values: pd.DataFrame) -> None:
    wells = assayed.tables["cytokine_wells"]
    few = wells[wells["bead_count"] < 50].groupby(["plate_id", "well"])["analyte"].nunique()
    assert {plate: len(part) for plate, part in few.groupby(level=0)} == {"P1": 2, "P3": 1}
    assert (few == 30).all()
    marked = values[values["qc"].fillna("").str.contains("low_beads")]
    assert marked["sample_id"].nunique() == 3 and (marked["conc_pg_ml"].notna() | marked["censoring"].notna()).all()


def test_the_repeat_replaces_the_short_pipetted_sample(values: pd.DataFrame, assayed: steps.Assayed) -> None:
    old = values[values["qc"].fillna("").str.contains("superseded")].set_index("analyte")
    assert set(old["sample_id"]) == {"B03C01"} and len(old) == 30
    new = values[values["sample_id"] == "B03C01-R"].set_index("analyte")
    assert set(new["culture_id"]) == {"B03C01"}
    ratio = np.log2(old["conc_pg_ml"] / new["conc_pg_ml"]).dropna()
    assert ratio.median() == pytest.approx(math.log2(simulated.SHORT_PIPETTED), abs=0.15)
    used = assayed.wells.query("culture_id == 'B03C01' and assay == 'cytokines'").set_index("readout")
    assert len(used) == 30
    np.testing.assert_array_equal(used["lower"], new.loc[used.index, "conc_pg_ml"].fillna(new["lower"]))


def test_limits_cut_where_they_were_planted(values: pd.DataFrame) -> None:
    wells = values[values["condition"].isin(["am", "am_msc"])]
    below = wells["censoring"].isin(["left", "interval"]).groupby(wells["analyte"]).mean()
    above = (wells["censoring"] == "right").groupby([wells["analyte"], wells["group"]]).mean()
    for analyte in MOSTLY_BELOW:
        assert below[analyte] > 0.5, analyte
    for analyte in OFTEN_BELOW:
        assert 0.2 < below[analyte] < 0.4, analyte
    assert (below.drop([*MOSTLY_BELOW, *OFTEN_BELOW]) < 0.2).all()
    assert 0 < above["CCL18", "apap"] < 0.3
    assert above.drop("CCL18").eq(0).all()


# ---- planted truths


def arm(rows: pd.DataFrame, condition: str, group: str) -> pd.DataFrame:
    """log2 bounds of one condition by donor, equal where observed; a donor's lots are averaged."""
    own = rows[(rows["condition"] == condition) & (rows["group"] == group)]
    low = own["value"].fillna(own["lower"]).fillna(0.0).astype(float)
    high = own["value"].fillna(own["upper"]).fillna(np.inf).astype(float)
    with np.errstate(divide="ignore"):
        bounds = pd.DataFrame({"low": np.log2(low), "high": np.log2(high), "donor_id": own["donor_id"]})
    return bounds.groupby("donor_id").mean()


def normal_mean(low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Mean of a normal sample with bounds and its standard error, by SciPy's likelihood for censored data."""
    seen, left, right = low == high, np.isneginf(low) & np.isfinite(high), np.isfinite(low) & np.isposinf(high)
    between = ~seen & np.isfinite(low) & np.isfinite(high)
    if seen.all():
        return float(low.mean()), float(low.std(ddof=1) / math.sqrt(len(low)))
    interval = np.column_stack([low[between], high[between]])
    data = stats.CensoredData(uncensored=low[seen], left=high[left], right=low[right], interval=interval)
    mean, sd = stats.norm.fit(data)
    return float(mean), float(sd / math.sqrt(seen.sum()))


def estimated(rows: pd.DataFrame, contrast: str, group: str) -> tuple[float, float]:
    """Mean change by MSC in one group, or the gap of am, with its standard error."""
    if contrast == "gap":
        (x, se_x), (y, se_y) = (normal_mean(*arm(rows, "am", g).to_numpy().T) for g in ("apap", "control"))
        return x - y, math.hypot(se_x, se_y)
    am, both = arm(rows, "am", group), arm(rows, "am_msc", group)
    am, both = am.align(both, join="inner", axis=0)
    low, high = both["low"] - am["high"], both["high"] - am["low"]
    known = np.isfinite(low) | np.isfinite(high)
    return normal_mean(low[known].to_numpy(), high[known].to_numpy())


def detection_p(rows: pd.DataFrame, contrast: str, group: str) -> float:
    """Fisher's p of observed values against bounds, for analytes that are mostly bounds."""
    arms = (("am", "apap"), ("am", "control")) if contrast == "gap" else (("am", group), ("am_msc", group))
    seen = [arm(rows, *one).eval("low == high") for one in arms]
    return float(stats.fisher_exact([[s.sum(), (~s).sum()] for s in seen]).pvalue)


@pytest.mark.parametrize(("contrast", "group"), [("msc", "apap"), ("msc", "control"), ("gap", "")])
def test_planted_effects_are_recovered(contrast: str, group: str, readouts: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Within three standard errors for at least 27 of 30; where nearly all are bounds, no change in detection."""
    rows = readouts[0].query("assay == 'cytokines' and visit == 'V1'")
    recovered = 0
    for one in CYTOKINES:
        own = rows[rows["readout"] == one.analyte]
        if one.analyte in MOSTLY_BELOW:
            recovered += detection_p(own, contrast, group) > 0.0027
            continue
        found, se = estimated(own, contrast, group)
        assert 0 < se < 1
        recovered += abs(found - (one.group_gap if contrast == "gap" else one.seen_effect(group))) <= 3 * se
    assert recovered >= 27


@pytest.mark.parametrize(
    ("analyte", "contrast"),
    [("TNF-a", "msc"), ("IL-10", "msc"), ("IL-6", "msc"), ("VEGF", "msc"), ("CCL18", "gap"), ("MCP-1", "gap")],
)
def test_strong_effects_are_told_from_zero(
    analyte: str, contrast: str, readouts: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    """So that recovery is no matter of wide standard errors."""
    found, se = estimated(
        readouts[0].query("assay == 'cytokines' and visit == 'V1' and readout == @analyte"), contrast, "apap"
    )
    assert abs(found) > 2 * se


def test_msc_alone_hold_what_msc_secrete_and_medium_nothing(readouts: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    controls = readouts[1].query("assay == 'cytokines'")
    seen = controls[controls["censoring"] == "none"]
    assert "medium" not in set(seen["condition"])
    alone = seen[seen["condition"] == "msc"]
    assert set(alone["readout"]) - MOSTLY_BELOW - OFTEN_BELOW == SECRETED
    for one in CYTOKINES:
        own = alone[alone["readout"] == one.analyte]
        for lot, share in supernatant.LOT_STRENGTH.items() if one.analyte in SECRETED else ():
            logs = np.log2(own.loc[own["msc_lot_id"] == lot, "value"].astype(float) / (one.msc_secretes * share))
            assert len(logs) == 13
            assert logs.mean() == pytest.approx(0.0, abs=3 * logs.std() / math.sqrt(13) + 0.06)


def test_amounts_per_live_cell(assayed: steps.Assayed, study: Study) -> None:
    cultures = study.tables["cultures"].set_index("culture_id")
    on_plates = cultures.index.isin(assayed.measured["cytokines"]) & cultures["specimen_id"].notna()
    live = cultures.loc[on_plates, "live_am_end"].astype(float)
    assert live.notna().all() and live.mean() == pytest.approx(80_000, rel=0.02)
    assert cultures.loc[cultures["specimen_id"].isna(), "live_am_end"].isna().all()
    assert cultures["viability_end"].dropna().between(60, 99).all()
    keys = ["culture_id", "readout", "run_id"]
    per_ml, per_cell = (assayed.wells[assayed.wells["assay"] == a] for a in ("cytokines", "cytokines_per_cell"))
    both = per_ml.merge(per_cell, on=keys, suffixes=("", "_cell"))
    both = both[both["lower"].notna()]
    assert len(both) > 3000
    np.testing.assert_allclose(both["lower_cell"], both["lower"] * 0.5 / both["culture_id"].map(live) * 1e6, rtol=1e-9)


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    """log2 pg/ml of the first wells of am, am_msc and am_lps of 900 simulated donors, without any assay."""
    design = plan(900)
    first: dict[str, Culture] = {
        c.culture_id: c
        for c in design.cultures
        if c.specimen and c.specimen.visit == "V1" and c.specimen.side != "right" and c.replicate == 1
    }
    amounts = {k: v for k, v in supernatant.supernatants(design).items() if k in first}
    index = pd.MultiIndex.from_tuples(
        [
            (c.specimen.donor.group, c.specimen.donor.number, c.condition, c.lot)
            for c in map(first.get, amounts)
            if c is not None and c.specimen is not None
        ],
        names=["group", "donor", "condition", "lot"],
    )
    return pd.DataFrame(np.log2(list(amounts.values())), index=index, columns=[c.analyte for c in CYTOKINES])


def test_the_simulator_plants_what_its_table_says(many: pd.DataFrame) -> None:
    """Without assay noise or limits, 622 aPAP donors and 278 controls: 5 standard errors either side."""
    arms = {c: part.groupby(level=["group", "donor"]).mean() for c, part in many.groupby(level="condition")}
    for one in CYTOKINES:
        am = arms["am"][one.analyte]
        change, by_lps = ((arms[c][one.analyte] - am).dropna() for c in ("am_msc", "am_lps"))
        wells = 2 * one.culture_sd**2
        assert am["control"].mean() == pytest.approx(math.log2(one.control_median), abs=5 * 1.12 / math.sqrt(278))
        gap = am["apap"].mean() - am["control"].mean()
        assert gap == pytest.approx(one.group_gap, abs=5 * 1.12 * math.sqrt(1 / 622 + 1 / 278))
        for group in ("apap", "control"):
            own = change[group]
            assert own.mean() == pytest.approx(one.seen_effect(group), abs=5 * own.std() / math.sqrt(len(own)))
        assert by_lps.mean() == pytest.approx(one.lps_effect, abs=5 * by_lps.std() / math.sqrt(len(by_lps)))
        if not one.msc_secretes:
            assert change.groupby("group").std().mean() == pytest.approx(math.sqrt(one.change_sd**2 + wells), rel=0.1)


def test_a_third_of_the_analytes_is_exactly_null() -> None:
    assert 9 <= sum(c.is_null for c in CYTOKINES) <= 12
    assert len({c.analyte for c in CYTOKINES}) == 30
    assert {c.analyte for c in CYTOKINES if c.msc_secretes} == SECRETED


def test_study_yaml_names_readouts_that_exist(demo: Path) -> None:
    settings = yaml.safe_load((demo / "study.yaml").read_text(encoding="utf-8"))
    assert settings["assays"] == ["cytokines", "phenotype", "phagocytosis", "measurements"]
    named = [r for r in settings["readouts"] if r["assay"] == "cytokines"]
    assert {r["name"] for r in named} <= {c.analyte for c in CYTOKINES}
    assert Counter(r["role"] for r in named)["primary"] == 1
    for r in named:
        assert r["scale"] == "log2" and (r["direction_toward_health"] == "none") == ("direction_source" not in r)


def test_files_stay_small(demo: Path) -> None:
    assert sum(p.stat().st_size for p in (demo / "cytokines").rglob("*") if p.is_file()) < 2e6
