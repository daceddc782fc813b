"""Standard curves against R's optima, two vendors' programs, planted truths and broken standards."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from helpers.assays.cytokines.curve_checks import falling_standards, outlying_standards
from helpers.assays.cytokines.curve_fit import (
    CurveFits,
    Weighting,
    choose_model,
    chosen,
    fit_curves,
    response_variance,
    weights,
)
from helpers.assays.cytokines.curves import concentration_se, gradient, invert, recovery_pct, response
from helpers.core.numbers import SEED

PLATES = ("bioplex_pnLINCO20070302A", "xponent_drlumi_plate1", "ncal_hier_model_ex2")
REFERENCE_WEIGHTS = ("none", "1/y", "1/y2", "log")
XPONENT_LETTERS = ["A", "B", "C", "D", "F"]  # of a, d, c, b, g
LEVELS = 10_000 / 4.0 ** np.arange(8)


@pytest.fixture(autouse=True)
def _no_warning_leaks() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("default", ResourceWarning)  # sockets of an earlier test, collected here
        yield


# ---- plates of the reference data


class Plate:
    """Standards of a real plate: a row an analyte, with the key of each well."""

    def __init__(self, wells: pd.DataFrame, key: str) -> None:
        self.analytes = list(dict.fromkeys(wells["analyte"]))
        at = wells.groupby("analyte").cumcount().to_numpy()
        row = wells["analyte"].map(self.analytes.index).to_numpy()
        shape = (len(self.analytes), at.max() + 1)
        self.x, self.y, self.net = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
        self.x[row, at], self.y[row, at], self.net[row, at] = wells["x"], wells["y"], wells["net"]
        self.key = np.full(shape, "", dtype=object)
        self.key[row, at] = wells[key]


@cache
def plate(folder: Path, name: str) -> Plate:
    if name.startswith("bioplex"):
        wells = pd.read_csv(folder / "reference" / f"{name}_tidy.csv")
        wells = wells[wells["type"].str.startswith("S")]
        return Plate(wells.assign(x=wells["exp_conc"], y=wells["fi"]), "type")
    if name.startswith("xponent"):
        wells = pd.read_csv(folder / "reference" / f"{name}_tidy.csv")
        true = pd.read_csv(folder / "xponent" / "drLumi_ecdata.csv").rename(columns={"ec": "x"})
        wells = wells.merge(true[true["sample"].str.startswith("Standard")], on=["sample", "analyte"])
        assert wells["x"].equals(wells["exp_conc_true"])
        return Plate(wells.assign(y=wells["median_mfi"], net=wells["net_mfi"]), "sample")
    wells = pd.read_csv(folder / "ncal" / "nCal_hier_model_ex2.csv")
    wells = wells[wells["well_role"] == "Standard"]
    wells["key"] = "dil" + wells["dilution"].astype(str) + "_r" + wells["replicate"].astype(str)
    wells["analyte"] = wells["assay_id"] + " " + wells["analyte"]
    return Plate(wells.assign(x=wells["expected_conc"], y=wells["fi"], net=np.nan), "key")


@cache
def fitted(folder: Path, name: str, model: str, weighting: Weighting) -> CurveFits:
    own = plate(folder, name)
    return fit_curves(own.x, own.y, model, weighting)


def reference(folder: Path, name: str, model: str, weighting: str) -> pd.DataFrame:
    table = pd.read_csv(folder / "reference" / f"{name}_reference_fits.csv")
    table = table[(table["model"] == model.upper()) & (table["weighting"] == weighting)]
    return table.set_index("analyte").loc[plate(folder, name).analytes]


@pytest.fixture
def luminex(reference_data: Path) -> Path:
    return reference_data / "luminex"


each_plate = pytest.mark.parametrize("name", PLATES)
each_model = pytest.mark.parametrize("model", ["4pl", "5pl"])
each_weighting = pytest.mark.parametrize("weighting", REFERENCE_WEIGHTS)


@each_plate
@each_model
@each_weighting
def test_no_reference_optimum_is_better(luminex: Path, name: str, model: str, weighting: Weighting) -> None:
    want, fits = reference(luminex, name, model, weighting), fitted(luminex, name, model, weighting)
    assert fits.n_points.tolist() == want["n"].tolist()
    excess = fits.objective / want["objective"].to_numpy() - 1
    assert excess.max() <= 1e-4
    print(f"{name} {model} {weighting}: better by more than 1e-4 in {(excess < -1e-4).sum()} of {len(excess)}")


@each_plate
@pytest.mark.parametrize("weighting", ["none", "1/y", "1/y2"])
def test_symmetric_optima_are_the_reference(luminex: Path, name: str, weighting: Weighting) -> None:
    want, fits = reference(luminex, name, "4pl", weighting), fitted(luminex, name, "4pl", weighting)
    assert fits.objective == pytest.approx(want["objective"].to_numpy(), rel=1e-8)
    assert fits.parameters[:, :4] == pytest.approx(want[["A", "D", "C", "B"]].to_numpy(), rel=1e-4)
    assert (fits.n_reached >= fits.n_starts / 2).all()


def test_better_log_fits_lie_where_the_reference_held_a_below_every_response(luminex: Path) -> None:
    for name in PLATES:
        want, fits = reference(luminex, name, "4pl", "log"), fitted(luminex, name, "4pl", "log")
        held = want["A"].to_numpy() > (1 - 2e-6) * np.nanmin(plate(luminex, name).y, axis=1)
        excess = fits.objective / want["objective"].to_numpy() - 1
        assert np.abs(excess[~held]).max(initial=0) < 1e-7
        assert (excess[held] < 0).all()


@each_plate
@each_model
@each_weighting
def test_fitted_responses_and_recoveries(luminex: Path, name: str, model: str, weighting: Weighting) -> None:
    own, fits = plate(luminex, name), fitted(luminex, name, model, weighting)
    want = reference(luminex, name, model, weighting)
    same = (want["status"] == "ok") & (np.abs(fits.objective / want["objective"] - 1) < 1e-4)
    back = pd.read_csv(luminex / "reference" / f"{name}_reference_backcalc.csv")
    back = back[(back["model"] == model.upper()) & (back["weighting"] == weighting)]
    compared = 0
    for i in np.flatnonzero(same):
        theirs = back[back["analyte"] == own.analytes[i]]
        used = np.isfinite(own.y[i])
        assert own.key[i][used].tolist() == theirs["standard"].tolist()
        assert own.y[i][used] == pytest.approx(theirs["observed_response"].to_numpy())
        ours = response(fits.parameters[i], own.x[i][used])
        assert ours == pytest.approx(theirs["fitted_response"].to_numpy(), rel={"4pl": 1e-3, "5pl": 1e-2}[model])
        recovery = theirs["recovery_pct"].to_numpy()
        middle = (recovery > 70) & (recovery < 130)
        assert recovery_pct(fits.parameters[i], own.x[i], own.y[i])[used][middle] == pytest.approx(
            recovery[middle], abs=0.5
        )
        compared += int(middle.sum())
    assert compared >= 30


# ---- the vendors


def test_bioplex_curves_are_reproduced(luminex: Path) -> None:
    own, fits = plate(luminex, PLATES[0]), fitted(luminex, PLATES[0], "4pl", "bioplex")
    printed = pd.read_csv(luminex / "reference" / f"{PLATES[0]}_vendor_parameters.csv").set_index("analyte")
    vendor = printed.loc[own.analytes, ["A", "D", "C", "B", "G"]].to_numpy()
    x = np.geomspace(np.nanmin(own.x, axis=1), np.nanmax(own.x, axis=1), 100).T
    theirs = response(vendor[:, None], x)
    assert np.abs(response(fits.parameters[:, None], x) / theirs - 1).max() < 1.2e-3
    ours = pd.read_csv(luminex / "reference" / f"{PLATES[0]}_vendor_weight_fits.csv").set_index("analyte")
    assert (fits.objective <= ours.loc[own.analytes, "objective"].to_numpy() * (1 + 1e-4)).all()
    unweighted = fitted(luminex, PLATES[0], "4pl", "none")
    assert np.abs(response(unweighted.parameters[:, None], x) / theirs - 1).max() > 0.02


def test_bioplex_concentrations(luminex: Path) -> None:
    printed = pd.read_csv(luminex / "reference" / f"{PLATES[0]}_vendor_parameters.csv").set_index("analyte")
    wells = pd.read_csv(luminex / "reference" / f"{PLATES[0]}_tidy.csv")
    wells["shown"] = pd.to_numeric(wells["obs_conc"], errors="coerce")
    wells = wells[wells["type"].str.startswith("X") & (wells["shown"] >= 1)]
    curve = printed.loc[wells["analyte"], ["A", "D", "C", "B", "G"]].to_numpy()
    ours = invert(curve, wells["net"])[0] * wells["dilution"].to_numpy()
    assert len(wells) > 100
    assert np.median(np.abs(ours / wells["shown"] - 1)) < 1e-3
    assert np.abs(ours / wells["shown"] - 1).max() < 6e-3, "three printed digits"


def test_xponent_curves_and_concentrations_are_reproduced(luminex: Path) -> None:
    own = plate(luminex, PLATES[1])
    fits = fit_curves(own.x, own.net, "5pl", "xponent")
    printed = pd.read_csv(luminex / "reference" / f"{PLATES[1]}_vendor_parameters.csv").set_index("analyte")
    vendor = printed.loc[own.analytes, XPONENT_LETTERS].to_numpy()
    theirs = (fits.weights * (own.net - response(vendor[:, None], own.x)) ** 2).sum(axis=1)
    excess = theirs / fits.objective - 1
    assert (excess > -1e-9).all(), "no curve of the vendor is better than ours"
    same = excess < 1e-6
    assert same.sum() == 18
    x = np.geomspace(own.x.min(axis=1), own.x.max(axis=1), 50).T
    assert response(fits.parameters[:, None], x)[same] == pytest.approx(response(vendor[:, None], x)[same], rel=1e-5)
    wells = pd.read_csv(luminex / "reference" / f"{PLATES[1]}_tidy.csv")
    wells["shown"] = pd.to_numeric(wells["vendor_result"], errors="coerce")
    wells = wells[wells["shown"].notna() & wells["dilution"].notna()]
    curve = printed.loc[wells["analyte"], XPONENT_LETTERS].to_numpy()
    ours = invert(curve, wells["net_mfi"])[0] * wells["dilution"].to_numpy()
    assert len(wells) > 1000
    assert ours == pytest.approx(wells["shown"].to_numpy(), rel=1e-9)


# ---- properties


def curves_of(k: int, rng: np.random.Generator) -> np.ndarray:
    """Curves that rise within `LEVELS`."""
    return np.column_stack(
        [
            rng.uniform(5, 100, k),
            rng.uniform(5_000, 30_000, k),
            10 ** rng.uniform(1.5, 3.2, k),
            -rng.uniform(0.8, 1.6, k),
            rng.uniform(0.5, 2.0, k),
        ]
    )


def noisy(parameters: np.ndarray, cv: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Duplicate wells of `LEVELS`."""
    x = np.repeat(LEVELS, 2)
    fit = response(np.atleast_2d(parameters)[:, None], x)
    return x, fit * np.exp(rng.normal(0, cv, fit.shape))


@pytest.mark.parametrize("weighting", get_args(Weighting))
@each_model
def test_planted_parameters_come_back(model: str, weighting: Weighting) -> None:
    planted = curves_of(12, np.random.default_rng(SEED))
    planted[:, 4] = 1.0 if model == "4pl" else planted[:, 4]
    fits = fit_curves(LEVELS, response(planted[:, None], LEVELS), model, weighting)
    assert fits.parameters == pytest.approx(planted, rel=1e-4)
    assert response(fits.parameters[:, None], LEVELS) == pytest.approx(response(planted[:, None], LEVELS), rel=1e-8)
    assert fits.identifiable.all() and (fits.reason == "").all()


@each_model
@pytest.mark.parametrize("weighting", ["none", "1/y", "1/y2", "log", "bioplex"])
def test_units_and_order_do_not_matter(model: str, weighting: Weighting) -> None:
    rng = np.random.default_rng(SEED)
    x, y = noisy(curves_of(6, rng), 0.03, rng)
    fits = fit_curves(x, y, model, weighting)
    order, columns = rng.permutation(6), rng.permutation(16)
    mixed = fit_curves(x[columns], y[order][:, columns], model, weighting)
    larger = fit_curves(1000 * x, y, model, weighting)
    brighter = fit_curves(x, 7 * y, model, weighting)
    sure = fits.identifiable
    assert sure.sum() >= 4
    for other, factors in ((larger, [1, 1, 1000, 1, 1]), (brighter, [7, 7, 1, 1, 1])):
        assert other.parameters[sure] == pytest.approx((fits.parameters * factors)[sure], rel=1e-5)
        assert other.status.tolist() == fits.status.tolist()
    assert mixed.parameters[np.argsort(order)][sure] == pytest.approx(fits.parameters[sure], rel=1e-5)
    assert mixed.objective[np.argsort(order)] == pytest.approx(fits.objective, rel=1e-9)
    assert mixed.residuals == pytest.approx(fits.residuals[order][:, columns], rel=1e-3, abs=1e-3 * y.std())
    assert larger.objective == pytest.approx(fits.objective, rel=1e-9)


def test_missing_wells_are_as_if_never_there() -> None:
    rng = np.random.default_rng(SEED)
    x, y = noisy(curves_of(2, rng), 0.03, rng)
    gaps = y.copy()
    gaps[0, [3, 8]] = np.nan
    fits, alone = (
        fit_curves(x, gaps, "4pl", "1/y2"),
        fit_curves(np.delete(x, [3, 8]), [np.delete(y[0], [3, 8])], "4pl", "1/y2"),
    )
    assert fits.parameters[0] == pytest.approx(alone.parameters[0], rel=1e-7)
    assert fits.n_points.tolist() == [14, 16] and np.isnan(fits.residuals[0, [3, 8]]).all()


def test_residuals_weights_and_covariance_belong_together() -> None:
    rng = np.random.default_rng(SEED)
    x, y = noisy(curves_of(5, rng), 0.03, rng)
    fits = fit_curves(x, y, "4pl", "1/y2")
    assert fits.residuals == pytest.approx(y - response(fits.parameters[:, None], x), abs=1e-6)
    assert fits.objective == pytest.approx((fits.weights * fits.residuals**2).sum(axis=1), rel=1e-9)
    assert fits.variance == pytest.approx(fits.objective / 12, rel=1e-12)
    along = gradient(fits.parameters[:, None], x)[:, :, :4] * np.sqrt(fits.weights)[:, :, None]
    want = np.linalg.inv(along.swapaxes(1, 2) @ along) * fits.variance[:, None, None]
    assert fits.covariance[:, :4, :4] == pytest.approx(want, rel=1e-3)
    assert (fits.covariance[:, 4] == 0).all()
    table = fits.table()
    assert table["c"].tolist() == fits.parameters[:, 2].tolist() and len(table) == 5


def test_gradient_is_the_slope_of_the_response() -> None:
    for parameters in curves_of(5, np.random.default_rng(SEED)):
        for i in range(5):
            step = np.zeros(5)
            step[i] = 1e-5 * abs(parameters[i])
            difference = (response(parameters + step, LEVELS) - response(parameters - step, LEVELS)) / (2 * step[i])
            assert gradient(parameters, LEVELS)[:, i] == pytest.approx(difference, rel=1e-5, abs=1e-9)
    assert gradient(parameters, 0.0).tolist() == [1, 0, 0, 0, 0]


@given(
    share=st.floats(1e-6, 1 - 1e-6),
    c=st.floats(1e-2, 1e5),
    b=st.floats(-10, -0.3),
    g=st.floats(0.1, 50),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_inversion_comes_back(share: float, c: float, b: float, g: float) -> None:
    curve = np.array([10.0, 25_000.0, c, b, g])
    y = 10 + share * 24_990
    x, side = invert(curve, y)
    assert side == 0
    if np.isfinite(x) and x > 0:
        assert response(curve, x) == pytest.approx(y, rel=1e-9)


def test_outside_the_asymptotes_there_is_a_side_and_no_number() -> None:
    x, side = invert([10, 110, 50, -1, 1], [-5, 10, 60, 110, 200, np.nan])
    assert np.isnan(x[[0, 1, 3, 4, 5]]).all() and x[2] == pytest.approx(50)
    assert side.tolist() == [-1, -1, 0, 1, 1, 0]
    x, side = invert([110, 10, 50, -1, 1], [5, 200])
    assert np.isnan(x).all() and side.tolist() == [1, -1], "the side follows the concentration, not the response"
    assert np.isnan(concentration_se([10, 110, 50, -1, 1], np.eye(5), [5, 120], 1.0)).all()


@pytest.mark.parametrize(("model", "weighting"), [("4pl", "1/y2"), ("5pl", "1/y2"), ("4pl", "log")])
def test_standard_error_of_a_concentration_is_the_spread_of_simulated_plates(model: str, weighting: Weighting) -> None:
    rng, plates, cv = np.random.default_rng(SEED), 1500, 0.05
    curve = np.array([30, 20_000, 800, -1.2, 1.0 if model == "4pl" else 0.7])
    x, y = noisy(np.tile(curve, (plates, 1)), cv, rng)
    fits = fit_curves(x, y, model, weighting, near=np.tile(curve, (plates, 1)))
    for true in (10.0, 100.0, 800.0):
        wells = response(curve, true) * np.exp(rng.normal(0, cv, (plates, 2)))
        mean = wells.mean(axis=1)
        found, _ = invert(fits.parameters, mean)
        variance = response_variance(fits, mean[:, None], wells=2)[:, 0]
        se = concentration_se(fits.parameters, fits.covariance, mean, variance)
        assert np.sqrt(np.mean(se**2)) == pytest.approx(found.std(), rel=0.1)


# ---- weights


def test_weights() -> None:
    y, raw = np.array([-2.0, 0.5, 4.0, np.nan]), np.array([8.0, 10.5, 14.0, 10.0])
    assert weights(y, "none").tolist() == [1, 1, 1, 0]
    assert weights(y, "1/y").tolist() == [2, 2, 0.25, 0]
    assert weights(y, "1/y2").tolist() == [4, 4, 1 / 16, 0]
    assert weights(y, "xponent").tolist() == [0.25, 1, 1 / 16, 0]
    assert weights(y, "bioplex", raw).tolist() == pytest.approx([8**-1.8, 10.5**-1.8, 14**-1.8, 0])
    assert weights(y, "log").tolist() == [0, 1, 1, 0]
    with pytest.raises(ValueError, match="no such weighting: 1/x"):
        weights(y, "1/x")
    with pytest.raises(ValueError, match="no such model: 6pl"):
        fit_curves(LEVELS, [LEVELS], "6pl", "none")
    with pytest.raises(ValueError, match="to begin near are missing"):
        fit_curves(LEVELS, [LEVELS], "4pl", "none", near=np.full((1, 5), np.nan))


def test_a_response_is_not_surer_than_the_standards_at_their_least() -> None:
    rng = np.random.default_rng(SEED)
    x, y = noisy(curves_of(1, rng), 0.05, rng)
    fits = fit_curves(x, y, "4pl", "1/y2")
    low, middle, negative = response_variance(fits, [[y.min() / 10, 2 * y.min(), -3.0]])[0]
    assert low == negative == pytest.approx(fits.variance[0] * y.min() ** 2)
    assert middle == pytest.approx(4 * low)
    assert response_variance(fits, [[2 * y.min()]], wells=4)[0, 0] == pytest.approx(low)


# ---- what standards can be


def status_of(x: object, y: object, model: str = "4pl", weighting: Weighting = "1/y2") -> tuple[str, str]:
    fits = fit_curves(np.asarray(x, dtype=float), np.asarray([y], dtype=float), model, weighting)
    return str(fits.status[0]), str(fits.reason[0])


def test_broken_standards_have_a_status() -> None:
    good = response([20, 9_000, 300, -1.2, 1], LEVELS) * [1.01, 0.98, 1.02, 1, 0.99, 1.01, 1, 0.99]
    assert status_of(LEVELS, good) == ("ok", "")
    assert status_of(LEVELS[:3], good[:3]) == (
        "too_few_levels",
        "Only 3 concentrations have a response; a 4PL needs 4.",
    )
    assert status_of(np.repeat(LEVELS[:4], 3), np.repeat(good[:4], 3), "5pl")[0] == "too_few_levels"
    assert status_of(LEVELS[:4], good[:4])[0] == "saturated"
    assert status_of(LEVELS, np.full(8, np.nan))[0] == "too_few_levels"
    for flat in (np.full(8, 25.0), np.zeros(8), good[::-1], [21, 19, 20, 22, 18, 20, 21, 19]):
        assert status_of(LEVELS, flat)[0] == "flat"
    for odd in (np.inf, 1e200, -np.inf):
        assert status_of(LEVELS, [odd, *good[1:]])[0] == "impossible"
    assert status_of([-1, *LEVELS[1:]], good)[0] == "impossible"
    assert status_of([np.nan, *LEVELS[1:]], good)[0] == "ok"
    assert status_of([*LEVELS[:-1], 0], good)[0] == "ok", "a blank may be a standard of concentration 0"


def test_a_curve_without_its_plateau_is_not_identified() -> None:
    rng = np.random.default_rng(SEED)
    x = np.repeat(LEVELS, 2)
    y = (30 + 0.4 * x**0.9) * np.exp(rng.normal(0, 0.05, (200, 16)))
    four, five = fit_curves(x, y, "4pl", "1/y2"), fit_curves(x, y[:40], "5pl", "1/y2")
    assert four.identifiable.mean() < 0.1 and not five.identifiable.any()
    assert set(four.status) == {"ok", "at_bound", "not_identified"}
    assert all("no plateau" in reason for reason in four.reason[four.status == "not_identified"])
    found, _ = invert(four.parameters, 30 + 0.4 * 100**0.9)
    assert np.median(np.abs(found / 100 - 1)) < 0.05, "between the standards the curve serves all the same"


def test_noise_takes_the_asymmetry_away() -> None:
    rng = np.random.default_rng(SEED)
    curve = np.tile([30, 20_000, 800, -1.2, 1], (60, 1))
    clear, noisier = (fit_curves(*noisy(curve, cv, rng), "5pl", "1/y2") for cv in (0.02, 0.25))
    assert clear.identifiable.all()
    assert noisier.identifiable.mean() < 0.7
    assert any("an asymmetry of 50" in reason for reason in noisier.reason)
    assert any("Not fixed within a factor of ten" in reason for reason in noisier.reason)


@given(
    y=arrays.arrays(
        np.float64,
        (2, 7),
        elements=st.one_of(
            st.floats(-50, 40_000), st.sampled_from([0.0, 1e-20, 1e20, np.nan, np.inf, 5e-324, 32_767.0])
        ),
    ),
    x=arrays.arrays(
        np.float64,
        (2, 7),
        elements=st.one_of(st.floats(1e-3, 1e5), st.sampled_from([0.0, 1.0, 10.0, 100.0, np.nan, 1e25, -1.0])),
    ),
    weighting=st.sampled_from(get_args(Weighting)),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_no_standards_raise_or_warn(x: np.ndarray, y: np.ndarray, weighting: Weighting) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("default", ResourceWarning)  # sockets of an earlier test, collected here
        four, five = (fit_curves(x, y, model, weighting) for model in ("4pl", "5pl"))
        fits = chosen(four, five, choose_model(four, five))
        nothing = np.isin(fits.status, ["too_few_levels", "impossible"])
        assert np.isfinite(fits.parameters).all(axis=1).tolist() == (~nothing).tolist()
        assert np.isfinite(fits.objective).tolist() == (~nothing).tolist()
        assert (fits.reason[fits.status != "ok"] != "").all()
        found, _ = invert(fits.parameters[:, None], y)
        assert np.isnan(found[nothing]).all()
        concentration_se(fits.parameters[:, None], fits.covariance[:, None], y, response_variance(fits, y))
        outlying = outlying_standards(x, y, fits)
        assert set(outlying["curve"]) == set(np.flatnonzero(~nothing))
        falling_standards(x, y)


def test_no_analytes_and_no_wells() -> None:
    assert len(fit_curves(np.empty((0, 7)), np.empty((0, 7)), "5pl", "1/y2").table()) == 0
    assert fit_curves(np.empty((2, 0)), np.empty((2, 0)), "4pl", "log").status.tolist() == ["too_few_levels"] * 2


# ---- choice of model


def test_symmetric_curves_stay_symmetric_and_skewed_ones_do_not() -> None:
    rng = np.random.default_rng(SEED)
    curve = np.array([30, 20_000, 800, -1.4, 1.0])
    skewed = np.array([30, 20_000, 200, -1.2, 3.0])
    for parameters, least, most in ((curve, 0.0, 0.08), (skewed, 0.9, 1.0)):
        x, y = noisy(np.tile(parameters, (60, 1)), 0.03, rng)
        four, five = fit_curves(x, y, "4pl", "1/y2"), fit_curves(x, y, "5pl", "1/y2")
        share = (choose_model(four, five) == "5pl").mean()
        assert least <= share <= most
    exact = response(curve, LEVELS)[None]
    assert choose_model(fit_curves(LEVELS, exact, "4pl", "none"), fit_curves(LEVELS, exact, "5pl", "none")) == ["4pl"]


def test_seven_means_never_carry_five_parameters(luminex: Path) -> None:
    four, five = (fitted(luminex, PLATES[0], model, "bioplex") for model in ("4pl", "5pl"))
    assert (choose_model(four, five) == "4pl").all()
    with pytest.raises(ValueError, match="one weighting"):
        choose_model(four, replace(five, weighting="none"))


def test_chosen_takes_each_analyte_from_its_model(luminex: Path) -> None:
    four, five = (fitted(luminex, PLATES[1], model, "1/y2") for model in ("4pl", "5pl"))
    models = choose_model(four, five)
    mixed = chosen(four, five, models)
    assert 0 < (models == "5pl").sum() < 30 and mixed.model.tolist() == models.tolist()
    for i, model in enumerate(models):
        one = five if model == "5pl" else four
        assert mixed.parameters[i].tolist() == one.parameters[i].tolist() and mixed.status[i] == one.status[i]


# ---- checks of the standards


def test_a_hook_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(SEED)
    x, y = noisy(np.tile([30, 20_000, 300, -1.6, 1], (40, 1)), 0.05, rng)
    falls = falling_standards(x, y)
    assert len(falls) > 0, "on the plateau means fall by chance"
    assert falls[falls["beyond_noise"]]["curve"].nunique() <= 4
    hooked = y.copy()
    hooked[:, x == LEVELS[0]] *= 0.5
    falls = falling_standards(x, hooked)
    assert set(falls.loc[falls["hook"], "curve"]) == set(range(40))
    assert (falls.loc[falls["hook"], "expected"] == LEVELS[0]).all() and set(falls["noise"]) == {"replicates"}
    assert falls.loc[falls["hook"], "fall_pct"].to_numpy() == pytest.approx(50, abs=10)


def test_a_dip_in_the_middle_is_a_fall_and_no_hook() -> None:
    y = np.array([[9_000.0, 7_000, 300, 3_000, 900, 200, 60, 30]])
    falls = falling_standards(LEVELS, y)
    assert falls["expected"].tolist() == [LEVELS[2]] and falls["peak_expected"].tolist() == [LEVELS[3]]
    assert falls["beyond_noise"].all() and not falls["hook"].any() and falls["noise"].tolist() == ["assumed"]
    low = np.array([[9_000.0, 7_000, 5_000, 3_000, 900, 200, -1.5, 2.0]])
    assert falling_standards(LEVELS, low)["beyond_noise"].tolist() == [True]
    assert falling_standards(LEVELS, low, noise_floor=3.0)["beyond_noise"].tolist() == [False], "within the blanks"


@each_model
def test_a_wrong_dilution_is_shown_with_and_without(model: str) -> None:
    rng = np.random.default_rng(SEED)
    x, y = noisy(np.tile([30, 20_000, 800, -1.2, 1], (20, 1)), 0.04, rng)
    clean = outlying_standards(x, y, fit_curves(x, y, model, "1/y2"))
    assert len(clean) == 160 and clean.groupby("curve")["outlying"].any().sum() <= 3
    y[:, x == LEVELS[3]] *= 1.6
    found = outlying_standards(x, y, fit_curves(x, y, model, "1/y2"))
    hit = found[found["expected"] == LEVELS[3]]
    assert hit["outlying"].mean() >= 0.9 and (hit["n_wells"] == 2).all()
    assert hit["recovery_without_pct"].median() > hit["recovery_with_pct"].median() > 110
    assert found.loc[found["expected"] != LEVELS[3]].groupby("curve")["outlying"].any().mean() < 0.2


def test_a_lost_decimal_point_is_outlying(luminex: Path) -> None:
    printed = pd.read_csv(luminex / "reference" / f"{PLATES[1]}_tidy.csv")
    own = plate(luminex, PLATES[1])
    wrong = printed[printed["sample"].str.startswith("Standard")].pivot_table(
        index="analyte", columns="sample", values="exp_conc_as_printed"
    )
    x = np.array([[wrong.loc[a, s] for s in keys] for a, keys in zip(own.analytes, own.key, strict=True)])
    bad = x / own.x > 2
    assert (bad.sum(axis=1) == 1).all(), "one lost point in each of 30 analytes"
    for weighting, least in (("1/y2", 29), ("log", 30)):
        found = outlying_standards(x, own.y, fit_curves(x, own.y, "4pl", weighting))
        found = found[found["outlying"]]
        assert sum(found["expected"].isin(x[bad])) == len(found) >= least, "the lost points and no other level"
        assert (found["recovery_without_pct"] < 1).all()


def test_a_single_deleted_well_is_the_studentised_residual_nearby() -> None:
    rng = np.random.default_rng(SEED)
    x = np.geomspace(5, 5_000, 24)
    y = response([30, 20_000, 800, -1.2, 1], x)[None] * np.exp(rng.normal(0, 0.005, 24))
    fits = fit_curves(x, y, "4pl", "1/y2")
    root = np.sqrt(fits.weights[0])
    along = gradient(fits.parameters[0], x)[:, :4] * root[:, None]
    leverage = np.einsum("ij,jk,ik->i", along, np.linalg.inv(along.T @ along), along)
    r = root * fits.residuals[0]
    deleted = r * np.sqrt(19 / (fits.objective[0] * (1 - leverage) - r**2))
    found = outlying_standards(x, y, fits)
    assert found["t"].to_numpy() == pytest.approx(deleted, abs=0.05, rel=0.05)
    assert (found["df"] == 19).all()
