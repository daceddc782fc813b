"""Beads per cell: formulas on a real table, combs drawn with known beads, and what has no comb."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.assays.phagocytosis import indices
from helpers.assays.phagocytosis.comb import Autofluorescence, Comb, autofluorescence, fit_comb, refusal
from helpers.readers.flow_tables import read_flow_table


def test_one_bead_and_capacity_of_the_real_table(reference_data: Path) -> None:
    """Turbo-haemocytes: one bead exactly, capacity to 4e-9, and its summary."""
    path = reference_data / "phagocytosis/abalone_beads/Table_phagocytosis.csv"
    theirs = pd.read_csv(path)
    numbers = read_flow_table(path, "abalone.csv").numbers
    two, many = (
        numbers.loc[numbers["gate"] == gate, "value"].to_numpy()
        for gate in ("cells/phago/2 beads", "cells/phago/3 beads +")
    )
    one = indices.one_bead_fluorescence(two)
    assert np.array_equal(one, theirs["Fluorescence_1_bead "])
    ours = np.asarray(indices.capacity(many, one))
    assert np.abs(ours - theirs["Phagocytosis_capacity"]).max() < 4e-9
    assert (ours.mean(), ours.std(ddof=1), ours.min(), ours.max()) == pytest.approx(
        (18.0415, 4.5959, 12.1321, 26.1417), abs=5e-5
    )


def drawn(
    seed: int, n: int, bead: float, bead_sd: float, spread: float, some: float, more: float
) -> tuple[np.ndarray, np.ndarray, Autofluorescence]:
    """Fluorescence, beads, and the autofluorescence of as many cells without beads; heavy-tailed beads."""
    rng = np.random.default_rng(seed)
    beads = np.where(rng.random(n) < some, 1 + rng.negative_binomial(2, 2 / (2 + more), n), 0)
    values = 500 + bead * beads + rng.normal(size=n) * np.sqrt(spread**2 + beads * bead_sd**2)
    return values, beads, autofluorescence(500 + spread * rng.normal(size=n))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("n", "bead_sd", "spread", "some", "more"),
    [(1200, 100, 60, 0.4, 1.0), (1200, 150, 120, 0.6, 1.5), (1200, 80, 200, 0.7, 0.8), (20_000, 110, 60, 0.5, 3.0)],
)
def test_beads_are_counted_where_peaks_stand_apart(
    seed: int, n: int, bead_sd: float, spread: float, some: float, more: float
) -> None:
    values, beads, background = drawn(seed, n, 1000.0, bead_sd, spread, some, more)
    comb = fit_comb(values, background)
    assert isinstance(comb, Comb) and comb.identifiable, comb
    assert comb.mean_beads == pytest.approx(beads.mean(), rel=0.05)
    assert comb.bead == pytest.approx(1000, rel=0.03)
    for k in range(3):
        assert comb.shares[k] == pytest.approx(float((beads == k).mean()), abs=0.03)
    assert sum(comb.shares) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("bead_sd", "spread"), [(600, 60), (100, 700), (450, 300)])
def test_peaks_that_run_together_are_flagged_or_right(seed: int, bead_sd: float, spread: float) -> None:
    """The promise: an identifiable comb is within 5 %."""
    values, beads, background = drawn(seed, 1200, 1000.0, bead_sd, spread, 0.6, 1.5)
    comb = fit_comb(values, background)
    if isinstance(comb, Comb) and comb.identifiable:
        assert comb.mean_beads == pytest.approx(beads.mean(), rel=0.05)
    else:
        assert isinstance(comb, str) or comb.reason.endswith(".")
    assert isinstance(comb, str) or not comb.identifiable or bead_sd < 600


@pytest.mark.parametrize("sigma", [0.4, 0.8])
def test_a_smear_without_peaks_has_no_identifiable_comb(sigma: float) -> None:
    rng = np.random.default_rng(3)
    values = 500 + np.exp(rng.normal(6.5, sigma, 1500)) + rng.normal(0, 60, 1500)
    comb = fit_comb(values, Autofluorescence(500.0, 60.0))
    assert isinstance(comb, str) or not comb.identifiable


def test_cells_above_the_last_peak_count_by_their_fluorescence() -> None:
    """Cells with 30 beads lie above every peak that is looked for, and still weigh 30 in the mean."""
    rng = np.random.default_rng(4)
    beads = np.concatenate([rng.poisson(1.0, 1400), np.full(60, 30)])
    values = 500 + 1000 * beads + rng.normal(size=len(beads)) * np.sqrt(60**2 + beads * 80**2)
    comb = fit_comb(values, Autofluorescence(500.0, 60.0))
    assert isinstance(comb, Comb) and comb.identifiable
    assert comb.top_beads == pytest.approx(30, rel=0.1)
    assert comb.mean_beads == pytest.approx(beads.mean(), rel=0.05)


def test_the_unit_of_fluorescence_does_not_matter() -> None:
    values, _, background = drawn(5, 1200, 1000.0, 100, 60, 0.5, 1.0)
    one = fit_comb(values, background)
    other = fit_comb(values * 37, Autofluorescence(background.centre * 37, background.sd * 37))
    assert isinstance(one, Comb) and isinstance(other, Comb)
    assert other.mean_beads == pytest.approx(one.mean_beads, rel=1e-3)
    assert other.bead == pytest.approx(37 * one.bead, rel=1e-3)


def test_without_uptake_or_without_enough_cells_a_sentence_says_so() -> None:
    rng = np.random.default_rng(6)
    alone = rng.normal(500, 60, 1000)
    assert isinstance(fit_comb(alone, autofluorescence(alone)), str)
    assert isinstance(fit_comb(alone[:50], autofluorescence(alone)), str)
    assert isinstance(fit_comb(alone, Autofluorescence(500.0, 0.0)), str)
    nothing = np.full(1000, np.nan)
    assert isinstance(fit_comb(nothing, autofluorescence(alone)), str)


@pytest.mark.parametrize(
    ("target", "label", "quench"),
    [
        ("zymosan", "FITC", ""),
        ("ecoli", "AF488", ""),
        ("saureus", "", ""),
        ("bead", "pHrodo Red", ""),
        ("bead", "x", "ph_dye"),
    ],
)
def test_targets_without_a_comb_are_refused(target: str, label: str, quench: str) -> None:
    assert refusal(target, label, quench).endswith(".")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 10_000), st.integers(0, 10_000), st.integers(0, 30))
def test_the_two_forms_of_the_index_agree_where_every_particle_is_in_a_positive_cell(n: int, k: int, each: int) -> None:
    k = min(k, n)
    particles = k * (1 + each)
    pct = indices.percent_phagocytic(k, n)
    product = indices.index_product(pct, particles / k if k else 0.0)
    assert product == pytest.approx(100 * indices.index_mean(particles, n))


@pytest.mark.parametrize(("pct", "background"), [(55.0, 10.0), (5.0, 10.0), (100.0, 40.0), (0.0, 0.0)])
def test_corrections(pct: float, background: float) -> None:
    points, abbott = (indices.subtracted(pct, background, form) for form in ("points", "abbott"))
    assert points == pct - background
    assert 100 * (1 - (1 - background / 100) * (1 - abbott / 100)) == pytest.approx(pct), (
        "independent routes join again"
    )
