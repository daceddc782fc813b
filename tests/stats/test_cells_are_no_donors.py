"""Wells of cells through the spine: counts are summed to a donor and condition, and no p ignores the donor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from helpers.assays.steps import readouts
from helpers.stats.effects import Effects

GROUPS, CONDITIONS = {"aPAP": "apap", "healthy": "control"}, {"AM": "am", "AM+MSC": "am_msc"}


@pytest.fixture
def counted(reference_data: Path) -> pd.DataFrame:
    """The reference set: 26 donors, two conditions, two wells; no difference of the groups' changes is in it."""
    return pd.read_csv(reference_data / "phagocytosis/simulated_paired/counts.csv")


def as_readouts(table: pd.DataFrame) -> pd.DataFrame:
    """The spine's own way: one culture a well, one row a donor and condition."""
    codes = [f"C{i:03d}" for i in range(len(table))]
    share = 100 * table["n_phagocytic"] / table["n_cells"]
    wells = pd.DataFrame({"culture_id": codes, "lower": share, "upper": share})
    wells = wells.assign(k=table["n_phagocytic"], n=table["n_cells"], qc="", comparability="flow")
    wells = wells.assign(
        assay="phagocytosis", readout="bead|pct_phagocytic", unit="%", scale="logit", assay_minutes=60.0
    )
    donors = table["donor"].astype(str)
    cultures = pd.DataFrame({"culture_id": codes, "donor_id": donors, "specimen_id": "S" + donors})
    cultures = cultures.assign(group=table["group"].map(GROUPS), condition=table["condition"].map(CONDITIONS))
    cultures = cultures.assign(visit="V1", timepoint_h=24.0, msc_lot_id="", batch_day=1, msc_per_well=0)
    return readouts(wells, cultures)[0]


def test_counts_of_wells_are_summed_to_one_row_a_donor_and_condition(counted: pd.DataFrame) -> None:
    found = as_readouts(counted).set_index(["donor_id", "condition"]).sort_index()
    assert found.index.is_unique and len(found) == 52
    own = counted.assign(donor=counted["donor"].astype(str), condition=counted["condition"].map(CONDITIONS))
    want = own.groupby(["donor", "condition"])[["n_phagocytic", "n_cells"]].sum().sort_index()
    assert found["k"].to_list() == want["n_phagocytic"].to_list() and found["n"].to_list() == want["n_cells"].to_list()


def test_no_method_finds_the_interaction_that_ignoring_donors_finds(
    counted: pd.DataFrame, run: Callable[..., Effects], reference_data: Path
) -> None:
    """A binomial model of wells gives p = 9e-27 for what is not there; whatever is printed here lies far from it."""
    reference = pd.read_csv(reference_data / "phagocytosis/simulated_paired/reference_r.csv")
    assert reference["p"].min() < 1e-20, "the reference holds the wrong answer too"
    found = run(as_readouts(counted))
    rows = [t[t["contrast"] == "interaction"] for t in (found.effects, found.sensitivity)]
    for table in rows:
        assert len(table) and table["p"].notna().any() and (table["p"].dropna() > 0.05).all()
    assert rows[1]["method"].str.contains("beta-binomial").any()


def test_wells_in_the_place_of_donors_are_refused(counted: pd.DataFrame, run: Callable[..., Effects]) -> None:
    whole = as_readouts(counted)
    found = run(pd.concat([whole, whole], ignore_index=True))
    assert found.effects["p"].isna().all() and (found.effects["status"] != "ok").all()
