"""Samples with values below a limit against R: NADA's three summaries and survreg's Tobit model on 37 analytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.core.schemas import output_tables
from helpers.stats.estimate import NotEstimable
from helpers.stats.summaries import Summary, kaplan_meier, lognormal, order_statistics, regression
from helpers.stats.summary_table import readout_summaries

Way = Callable[[np.ndarray, np.ndarray], Summary]


@pytest.fixture(scope="module")
def wound(reference_data: Path) -> pd.DataFrame:
    """MSC and Dual wells of the wound experiment, a dash for no value."""
    table = pd.read_csv(
        reference_data / "luminex" / "concentrations" / "olabisi_hemi_edited.csv", skiprows=1, encoding="utf-8-sig"
    )
    return table[table["Treatment"].isin(["MSC", "Dual"])]


def reference(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "luminex" / "reference" / f"olabisi_hemi_{name}.csv").set_index("analyte")


def sample(wound: pd.DataFrame, analyte: str, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds by the rule of the reference: a dash or a value below the limit lies below the limit."""
    values = pd.to_numeric(wound[analyte].replace("-", np.nan)).to_numpy(dtype=float)
    seen = values >= limit
    return np.where(seen, values, -np.inf), np.where(seen, values, limit)


@pytest.mark.parametrize(
    ("way", "prefix", "tolerance"),
    [(order_statistics, "ros", 1e-7), (lognormal, "mle_lognormal", 1e-6), (kaplan_meier, "km", 1e-7)],
    ids=["ros", "mle", "km"],
)
def test_every_analyte_is_summed_up_as_nada_does(
    reference_data: Path, wound: pd.DataFrame, way: Way, prefix: str, tolerance: float
) -> None:
    table = reference(reference_data, "censored_summary_NADA")
    compared = 0
    for analyte, row in table.iterrows():
        low, high = sample(wound, str(analyte), row["lod"])
        assert (len(low), int((low != high).sum())) == (row["n"], row["n_censored"])
        if np.isnan(row[f"{prefix}_mean"]):
            continue
        found = way(low, high)
        want = tuple(row[[f"{prefix}_{part}" for part in ("mean", "median", "sd")]])
        assert (found.mean, found.median, found.sd) == pytest.approx(want, rel=tolerance, nan_ok=True), analyte
        compared += 1
    assert compared == (30 if prefix == "ros" else 37)


def test_the_tobit_model_of_every_analyte_is_that_of_survreg(reference_data: Path, wound: pd.DataFrame) -> None:
    limits = reference(reference_data, "censored_summary_NADA")["lod"]
    table = reference(reference_data, "tobit_survreg")
    design = np.column_stack([np.ones(len(wound)), wound["Treatment"] == "MSC", wound["Day"].astype(float)])
    for analyte, row in table.iterrows():
        low, high = sample(wound, str(analyte), limits[analyte])
        with np.errstate(divide="ignore", invalid="ignore"):
            fit = regression(np.where(np.isfinite(low), np.log2(low), -np.inf), np.log2(high), design)
        want = row[["intercept", "coef_MSC_vs_Dual_log2", "coef_day"]].to_numpy(dtype=float)
        assert fit.coefficients == pytest.approx(want, rel=1e-6, abs=1e-8), analyte
        assert fit.errors[1] == pytest.approx(row["se"], rel=1e-6), analyte
        assert np.log(fit.sd) == pytest.approx(row["log_scale"], rel=1e-6, abs=1e-7), analyte
        assert fit.log_likelihood == pytest.approx(row["loglik"], rel=1e-8), analyte


def test_several_limits_take_their_own_positions() -> None:
    """The worked data of Helsel and Cohn's positions: limits of 1, 3 and 10, positions by hand."""
    low = np.array([np.nan, np.nan, 2.0, 2.5, np.nan, 5.0, 7.0, np.nan, 12.0, 20.0])
    high = np.array([1.0, 1.0, 2.0, 2.5, 3.0, 5.0, 7.0, 10.0, 12.0, 20.0])
    above = {10: 2 / 10, 3: 2 / 10 + 8 / 10 * 2 / 7}
    above[1] = above[3] + (1 - above[3]) * 2 / 4
    seen = [1 - above[1] + (above[1] - above[3]) * r / 3 for r in (1, 2)]
    seen += [1 - above[3] + (above[3] - above[10]) * r / 3 for r in (1, 2)]
    seen += [1 - above[10] + above[10] * r / 3 for r in (1, 2)]
    below = [(1 - above[1]) * r / 3 for r in (1, 2)] + [(1 - above[3]) / 2, (1 - above[10]) / 2]
    from scipy.stats import linregress, norm

    line = linregress(norm.ppf(seen), np.log([2.0, 2.5, 5.0, 7.0, 12.0, 20.0]))
    whole = [*np.exp(line.intercept + line.slope * norm.ppf(below)), 2.0, 2.5, 5.0, 7.0, 12.0, 20.0]
    found = order_statistics(low, high)
    assert (found.mean, found.median) == pytest.approx((np.mean(whole), np.median(whole)))


def test_without_limits_all_ways_see_the_values_themselves() -> None:
    values = np.array([3.0, 5.0, 9.0, 14.0])
    assert kaplan_meier(values, values).mean == order_statistics(values, values).mean == values.mean()
    assert lognormal(values, values).median == pytest.approx(np.exp(np.log(values).mean()))


def test_an_upper_limit_is_taken_by_the_likelihood_and_refused_elsewhere() -> None:
    low, high = np.array([3.0, 5.0, 9.0, 10.0]), np.array([3.0, 5.0, 9.0, np.inf])
    assert lognormal(low, high).median > np.exp(np.log([3.0, 5.0, 9.0]).mean())
    for way in (order_statistics, kaplan_meier):
        with pytest.raises(NotEstimable, match="below limits only"):
            way(low, high)


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        ([np.nan] * 4, [1.0] * 4, "not_estimable"),
        ([2.0, 2.0, 2.0, np.nan], [2.0, 2.0, 2.0, 1.0], "zero_variance"),
        ([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], "wrong_scale"),
    ],
)
def test_samples_that_carry_no_summary_are_refused(low: list[float], high: list[float], status: str) -> None:
    with pytest.raises(NotEstimable) as refused:
        lognormal(np.array(low), np.array(high))
    assert refused.value.status == status


# ---- the table


def test_without_bounds_the_table_holds_the_usual_numbers(make: Callable[..., pd.DataFrame]) -> None:
    readouts = make()
    table = readout_summaries(readouts)
    assert not table.duplicated(output_tables()["readout_summaries"].primary_key).any()
    one = table[(table["readout"] == "IL-6") & (table["group"] == "apap") & (table["condition"] == "am")].iloc[0]
    mask = (readouts["readout"] == "IL-6") & (readouts["group"] == "apap") & (readouts["condition"] == "am")
    own = readouts.loc[mask, "value"]
    assert (one["n_donors"], one["n_censored"], one["method"], one["note"]) == (13, 0, "as observed", "")
    assert (one["median"], one["mean"], one["sd"]) == pytest.approx((own.median(), own.mean(), own.std()))
    logs = np.log(own)
    assert one["geometric_mean"] == pytest.approx(np.exp(logs.mean()))
    assert one["geometric_sd"] == pytest.approx(np.exp(logs.std(ddof=0)))


def test_values_below_a_limit_enter_as_bounds(make: Callable[..., pd.DataFrame]) -> None:
    readouts = make(censored=0.3)
    table = readout_summaries(readouts)
    for one in table.to_dict("records"):
        part = readouts
        for key in ("readout", "group", "condition"):
            part = part[part[key] == one[key]]
        assert one["n_censored"] == (part["censoring"] == "left").sum()
        if one["method"] == "regression on order statistics":
            low = part["value"].fillna(-np.inf).to_numpy(dtype=float)
            high = part["value"].fillna(part["upper"]).to_numpy(dtype=float)
            assert one["mean"] == order_statistics(low, high).mean
            assert one["geometric_mean"] == lognormal(low, high).median
    assert (table["method"] == "regression on order statistics").any()
    empty = table[table["n_censored"] >= 0.8 * table["n_donors"]]
    assert empty[["median", "mean", "geometric_mean"]].isna().all(axis=None)
    assert empty["note"].str.contains("80 % or more").all()


def test_negative_readouts_have_no_geometric_mean_and_no_complaint(make: Callable[..., pd.DataFrame]) -> None:
    readouts = make().assign(scale="identity", value=lambda t: t["value"] - 200)
    table = readout_summaries(readouts)
    assert table["geometric_mean"].isna().all() and table["mean"].notna().all() and table["note"].eq("").all()


def test_an_empty_study_gives_an_empty_table(make: Callable[..., pd.DataFrame]) -> None:
    table = readout_summaries(make().head(0))
    assert table.empty and list(table.columns) == output_tables()["readout_summaries"].columns
