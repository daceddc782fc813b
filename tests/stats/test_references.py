"""Every number of other programs: R 4.2.2 with its packages, SAS, StatXact, mratios, glmmTMB."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.stats import counts, groups, mixed, multiplicity, paired, permutation
from helpers.stats.ratios import fieller

TIGHT = 1e-6


@pytest.fixture(scope="module")
def data(reference_data: Path) -> Path:
    return reference_data / "stats"


@pytest.fixture(scope="module")
def expected(data: Path) -> dict[str, Any]:
    return json.loads((data / "expected.json").read_text(encoding="utf-8"))


def sleep(data: Path) -> pd.DataFrame:
    return pd.read_csv(data / "sleep_paired.csv")


def approx(value: Any, rel: float = TIGHT) -> Any:
    return pytest.approx(value, rel=rel, abs=1e-12)


# ---- paired


def test_sleep(data: Path, expected: dict[str, Any]) -> None:
    table, want = sleep(data), expected["sleep"]
    d = table["trt"] - table["ctrl"]
    t = paired.paired_t(d)
    assert (t.statistic, t.df, t.p, t.estimate) == approx((want["t"], want["df"], want["p_t"], want["mean_diff"]))
    assert (t.low, t.high) == approx(tuple(want["ci95"]))
    assert paired.sign_flip(d).p == want["p_signflip"]
    ranks = paired.signed_rank(d)
    assert ranks.p == approx(want["p_wilcoxon_exact"])
    assert (ranks.estimate, ranks.low, ranks.high) == approx((want["hl_zero_dropped"], *want["hl_ci95_zero_dropped"]))
    g = paired.g_z(d)
    assert g.estimate == approx(want["g_z"]) and (round(g.low, 2), round(g.high, 2)) == (0.38, 1.94)
    assert paired.g_av(table["ctrl"], table["trt"]).estimate == approx(want["g_av_rms_J9"])
    assert paired.rank_biserial(d).estimate == want["rank_biserial"]
    boot = paired.bca(d)
    # 9,999 resamples here, 200,000 in R: both limits lie on a grid of 0.01
    assert (boot.low, boot.high) == pytest.approx(tuple(want["bca95_mean"]), abs=0.06)


def test_sleep_bootstrap_with_many_resamples(
    data: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paired, "RESAMPLES", 200_000)
    table = sleep(data)
    boot = paired.bca(table["trt"] - table["ctrl"])
    assert (boot.low, boot.high) == pytest.approx(tuple(expected["sleep"]["bca95_mean"]), abs=0.03)


def test_sbp_with_ties(data: Path, expected: dict[str, Any]) -> None:
    table, want = pd.read_csv(data / "sbp_paired.csv"), expected["sbp"]
    d = table["after"] - table["before"]
    t, ranks = paired.paired_t(d), paired.signed_rank(d)
    assert (t.statistic, t.p, t.low, t.high) == approx((want["t"], want["p_t"], *want["ci95"]))
    assert paired.sign_flip(d).p == approx(want["p_signflip"])
    assert (ranks.statistic, ranks.p) == approx((want["V"], want["p_wilcoxon_exact"]))
    assert (ranks.estimate, ranks.low, ranks.high) == approx((want["hl"], *want["hl_ci95"]))
    assert stats.wilcoxon(d, method="exact").pvalue != approx(want["p_wilcoxon_exact"]), (
        "SciPy's trap is why ours exists"
    )


@pytest.mark.parametrize("n", [240, 19, 13])
def test_camis_wilcoxon(data: Path, expected: dict[str, Any], n: int) -> None:
    table, want = pd.read_csv(data / "camis_wilcoxon_paired.csv").head(n), expected[f"camis_wilcoxon_{n}"]
    d = table["TRT_B"] - table["TRT_A"]
    ranks = paired.signed_rank(d)
    assert (ranks.statistic, ranks.p, ranks.estimate) == approx((want["V"], want["p_exact"], want["hl"]))
    assert (ranks.low, ranks.high) == approx(tuple(want["hl_ci95"]))
    if "hl_ci90" in want:
        ninety = paired.signed_rank(d, 0.9)
        assert (ninety.low, ninety.high) == approx(tuple(want["hl_ci90"]))
    if "p_signflip" in want:
        assert paired.sign_flip(d).p == approx(want["p_signflip"])
        assert (paired.paired_t(d).statistic, paired.paired_t(d).p) == approx((want["t"], want["p_t"]))


# ---- two groups


def arms(data: Path) -> tuple[pd.Series, pd.Series]:
    table = pd.read_csv(data / "birthweight_two_group.csv")
    return table.loc[table["group"] == "smoker", "value"], table.loc[table["group"] == "nonsmoker", "value"]


def test_birthweight(data: Path, expected: dict[str, Any]) -> None:
    (x, y), want = arms(data), expected["birthweight"]
    t, ranks, relative = groups.welch(x, y), groups.rank_sum(x, y), groups.brunner_munzel(x, y)
    assert (t.statistic, t.df, t.p) == approx((want["welch_t"], want["welch_df"], want["welch_p"]))
    assert (t.low, t.high) == approx(tuple(want["welch_ci95"]))
    assert (ranks.p, ranks.statistic) == approx((want["p_wmw_exact"], want["W"]))
    assert (ranks.estimate, ranks.low, ranks.high) == approx((want["hl"], *want["hl_ci95"]))
    assert (-relative.statistic, relative.df, relative.p) == approx((want["bm_stat"], want["bm_df"], want["bm_p"]))
    assert 1 - relative.estimate == approx(want["bm_phat"])
    assert (1 - relative.high, 1 - relative.low) == approx((0.6051003, 0.9615664))
    assert groups.cliffs_delta(x, y).estimate == approx(want["cliffs_delta"])
    g = groups.hedges_g(x, y)
    assert (round(g.estimate, 2), round(g.low, 2), round(g.high, 2)) == (-1.07, -1.82, -0.30)


def test_fisher_pitman_by_the_same_algorithm(data: Path, expected: dict[str, Any]) -> None:
    """Weights in hundredths are integer scores, so that the sum's exact distribution is that of `subset_sums`."""
    x, y = arms(data)
    scores = np.rint(100 * np.concatenate([x, y])).astype(int)
    chance = permutation.subset_sums(scores, len(x))
    centre, observed = scores.sum() * len(x) / len(scores), scores[: len(x)].sum()
    far = np.abs(np.arange(len(chance)) - centre) >= abs(observed - centre) - 1e-9
    assert chance[far].sum() == approx(expected["birthweight"]["p_perm_mean_exact"])


def test_brunner_munzel(data: Path, expected: dict[str, Any]) -> None:
    table, want = pd.read_csv(data / "brunner_munzel_pain.csv"), expected["brunner_munzel"]
    first, second = (own["value"] for _, own in table.groupby("group", sort=False))
    found = groups.brunner_munzel(first, second)
    above = max(found.estimate, 1 - found.estimate)
    assert (abs(found.statistic), found.df, found.p, above) == approx(
        (want["stat"], want["df"], want["p"], want["phat"])
    )
    ends = sorted([found.low, found.high]) if found.estimate > 0.5 else sorted([1 - found.low, 1 - found.high])
    assert ends == approx(want["ci95"])
    assert found.p == approx(stats.brunnermunzel(first, second).pvalue)


def test_cliff(expected: dict[str, Any]) -> None:
    found = groups.cliffs_delta([10, 10, 20, 20, 20, 30, 30, 30, 40, 50], [10, 20, 30, 40, 40, 50])
    assert found.estimate == expected["cliff"]["delta"]
    assert -1 < found.low < found.estimate < found.high < 1


# ---- families


def test_barley(data: Path) -> None:
    table = pd.read_csv(data / "barley_paired_multi_outcome.csv")
    want = pd.read_csv(data / "barley_expected.csv", index_col="variety")
    table["d"] = table["condition_b_1932"] - table["condition_a_1931"]
    wide = table.pivot(index="donor", columns="analyte", values="d")[want.index]
    assert multiplicity.max_t_paired(wide).tolist() == want["p_maxT_stepdown"].tolist()
    raw = [paired.paired_t(wide[c]).p for c in wide]
    assert raw == approx(want["p_t"].tolist(), 1e-9)
    assert multiplicity.benjamini_hochberg(raw).tolist() == approx(want["BH_t"].tolist(), 1e-9)
    assert multiplicity.holm(raw).tolist() == approx(want["holm_t"].tolist(), 1e-9)
    assert [paired.sign_flip(wide[c]).p for c in wide] == want["p_perm"].tolist()


def test_bh1995(data: Path) -> None:
    want = pd.read_csv(data / "bh1995_expected.csv")
    assert multiplicity.benjamini_hochberg(want["p"]).tolist() == approx(want["BH"].tolist(), 1e-9)
    assert multiplicity.holm(want["p"]).tolist() == approx(want["holm"].tolist(), 1e-9)
    assert (multiplicity.benjamini_hochberg(want["p"]) <= 0.05).sum() == 4
    assert (multiplicity.holm(want["p"]) <= 0.05).sum() == 3


# ---- ratios


def test_asat_ratio(data: Path, expected: dict[str, Any]) -> None:
    table, want = pd.read_csv(data / "asat_ratio.csv"), expected["asat_ratio"]
    x, y = (table.loc[table["group"] == g, "ASAT"] for g in ("TREAT", "KON"))
    n, m = len(x), len(y)
    pooled = ((n - 1) * x.var() + (m - 1) * y.var()) / (n + m - 2)
    limits = fieller(x.mean(), y.mean(), pooled / n, pooled / m, 0.0, stats.t.ppf(0.975, n + m - 2))
    assert x.mean() / y.mean() == approx(want["ratio"])
    assert limits == approx(tuple(want["fieller95_pooled"]))
    # unequal variances: degrees of freedom of Satterthwaite at the estimated ratio (Tamhane and Logan 2004)
    a, b, r = x.var() / n, y.var() / m, x.mean() / y.mean()
    df = (a + r**2 * b) ** 2 / (a**2 / (n - 1) + r**4 * b**2 / (m - 1))
    assert fieller(x.mean(), y.mean(), a, b, 0.0, stats.t.ppf(0.975, df)) == approx(tuple(want["fieller95_welch"]))


@pytest.mark.parametrize("name", ["D50_of_D150", "D50_of_D100", "D50_of_AC"])
def test_gap_closed(data: Path, expected: dict[str, Any], name: str) -> None:
    table, want = pd.read_csv(data / "ap_gap_closed.csv"), expected["gap_closed"][name]
    by = table.groupby("group")["value"]
    mean, n = by.mean(), by.size()
    df = int((n - 1).sum())
    variance = float(((n - 1) * by.var()).sum() / df)
    top, bottom = name.split("_of_")
    a, b = mean[top] - mean["D0"], mean[bottom] - mean["D0"]
    parts = variance * (1 / n[top] + 1 / n["D0"]), variance * (1 / n[bottom] + 1 / n["D0"]), variance / n["D0"]
    limits = fieller(a, b, *parts, stats.t.ppf(0.975, df))
    assert a / b == approx(want["est"])
    if want["ci95"] is None:
        assert all(math.isnan(v) for v in limits), "mratios prints NSD: no limits"
    else:
        assert limits == approx(tuple(want["ci95"]))


# ---- mixed model


def orthodont(data: Path, file: str) -> mixed.Fit:
    table = pd.read_csv(data / file)
    design, _ = mixed.treatment_by_group(table["condition"] == "age14", table["group"] == "Female")
    return mixed.fit(table["value"], design, table["donor"])


def test_orthodont(data: Path, expected: dict[str, Any]) -> None:
    model, want = orthodont(data, "orthodont_group_by_condition.csv"), expected["orthodont"]
    assert model.beta.tolist() == approx(want["coef"])
    assert (model.donor_variance, model.error_variance) == approx((want["var_donor"], want["var_resid"]))
    for df in ("satterthwaite", "kenward_roger"):
        found = mixed.contrast(model, [0, 0, 0, 1], df=df)
        assert (found.statistic, found.df, found.p) == approx(
            (want["interaction_t"], want["interaction_df"], want["interaction_p"])
        )
    # type III F tests of one degree of freedom: the effect of each factor at the mean of the other's levels, squared
    for weights, f, p in (([0, 1, 0, 0.5], 73.67271, None), ([0, 0, 1, 0.5], 10.59469, 0.0032467)):
        found = mixed.contrast(model, weights)
        assert found.statistic**2 == approx(f) and (p is None or found.p == pytest.approx(p, rel=1e-4))
    table = pd.read_csv(data / "orthodont_group_by_condition.csv")
    wide = table.pivot(index=["group", "donor"], columns="condition", values="value")
    change = wide["age14"] - wide["age8"]
    welch = groups.welch(change["Male"], change["Female"])
    assert (welch.statistic, welch.df, welch.p) == approx((2.1666794, 23.156838, 0.0407909))


def test_orthodont_missing(data: Path, expected: dict[str, Any]) -> None:
    model, want = orthodont(data, "orthodont_missing_pairs.csv"), expected["orthodont_missing"]
    assert model.beta.tolist() == approx(want["coef"])
    assert (model.donor_variance, model.error_variance) == approx((want["var_donor"], want["var_resid"]))
    for df in ("satterthwaite", "kenward_roger"):
        found = mixed.contrast(model, [0, 0, 0, 1], df=df)
        se = found.estimate / found.statistic
        assert (se, found.df, found.p) == approx(tuple(want[df][k] for k in ("se", "df", "p")))
    for weights, ends in (([0, 1, 0, 0], (4.83, 3.49, 6.18)), ([0, 1, 0, 1], (2.71, 1.09, 4.32))):
        found = mixed.contrast(model, weights)
        assert (round(found.estimate, 2), round(found.low, 2), round(found.high, 2)) == ends


# ---- counts


def phagocytosis(reference_data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    folder = reference_data / "phagocytosis" / "simulated_paired"
    return pd.read_csv(folder / "counts.csv"), pd.read_csv(folder / "reference_r.csv")


def test_beta_binomial_against_glmmtmb(reference_data: Path) -> None:
    """glmmTMB approximates the integral over donors by Laplace; ours is a quadrature, so they differ in the third digit."""
    table, want = phagocytosis(reference_data)
    design, _ = mixed.treatment_by_group(table["condition"] == "AM+MSC", table["group"] == "aPAP")
    data = counts.counts(table["n_phagocytic"], table["n_cells"], design, table["donor"])
    model = counts.fit(data)
    rows = want[want["model"].str.startswith("glmmTMB")].set_index("term")
    want, want_errors = rows["estimate"], rows["se"]
    reference = want[["(Intercept)", "conditionAM+MSC", "groupaPAP", "groupaPAP:conditionAM+MSC"]].to_numpy()
    assert model.beta.tolist() == pytest.approx(reference.tolist(), abs=1e-3)
    assert model.beta.tolist() == pytest.approx(reference.tolist(), rel=0.02)
    errors = want_errors[["(Intercept)", "conditionAM+MSC", "groupaPAP", "groupaPAP:conditionAM+MSC"]]
    assert counts.standard_errors(data, model).tolist() == pytest.approx(errors.tolist(), rel=0.05)


def test_paired_t_of_fractions(reference_data: Path) -> None:
    table, want = phagocytosis(reference_data)
    table = table.groupby(["donor", "group", "condition"], as_index=False)[["n_phagocytic", "n_cells"]].sum()
    table["fraction"] = table["n_phagocytic"] / table["n_cells"]
    rows = want.set_index("model")
    for group, name in (("aPAP", "aPAP"), ("healthy", "healthy")):
        own = table[table["group"] == group]
        wide = own.pivot_table(index="donor", columns="condition", values="fraction", aggfunc="mean")
        d = wide["AM+MSC"] - wide["AM"]
        t = paired.paired_t(d)
        row = rows.loc[f"paired t, fraction, {name}"]
        assert (t.estimate, t.statistic, t.p) == approx((row["estimate"], row["stat"], row["p"]))
        ranks = paired.signed_rank(d)
        row = rows.loc[f"Wilcoxon signed rank exact, {name}"]
        assert (ranks.statistic, ranks.p) == approx((row["stat"], row["p"]))
        assert d.median() == approx(row["estimate"]), "the reference prints the plain median beside that p"
