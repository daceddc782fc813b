"""Numbers computed a second way: by enumeration, by another program's formula, or by hand."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import integrate, optimize, special, stats

from helpers.stats import (
    censored,
    change,
    compare,
    concordance,
    counts,
    groups,
    mixed,
    multiplicity,
    paired,
    permutation,
    ratios,
)
from helpers.stats.estimate import NotEstimable, NotFinite, attempted, spread_of

SLEEP = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])


def normal_pairs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    start = rng.normal(0, 1.2, n)
    return start, start + 0.5 + rng.normal(0, 0.7, n)


# ---- mixed model


def model_of(x: np.ndarray, y: np.ndarray) -> mixed.Fit:
    design, _ = mixed.treatment_by_group(np.repeat([0, 1], len(x)))
    return mixed.fit(np.concatenate([x, y]), design, np.tile(np.arange(len(x)), 2))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 13, 3000])
def test_kenward_roger_of_complete_pairs_is_the_paired_t(n: int) -> None:
    x, y = normal_pairs(n, n)
    found, t = mixed.contrast(model_of(x, y), [0, 1]), paired.paired_t(y - x)
    assert found.df == pytest.approx(n - 1, rel=1e-6)
    assert (found.p, found.low, found.high) == pytest.approx((t.p, t.low, t.high), rel=1e-5)


def test_five_pairs_of_round_values_do_not_divide_by_zero() -> None:
    x, y = np.array([1.0, 2, 2, 2, 0]), np.array([2.0, 0, 1, 2, 0])
    found = mixed.contrast(model_of(x, y), [0, 1])
    assert (found.df, found.p) == pytest.approx((4.0, stats.ttest_rel(x, y).pvalue), rel=1e-6)


def test_donor_variance_at_zero_keeps_the_degrees_of_freedom_of_the_pairs() -> None:
    x = np.array([1.0, 2, 3, 4, 5, 6])
    model = model_of(x, x[::-1] + 0.5)
    assert model.donor_variance == 0
    assert mixed.contrast(model, [0, 1]).df == pytest.approx(5)
    assert mixed.contrast(model, [0, 1], df="satterthwaite").df == 10


@pytest.mark.parametrize("group", [False, True])
def test_a_run_as_a_fixed_factor_is_that_of_statsmodels(group: bool) -> None:
    """Some donors' treated arms stand in a second run that reads a doubling higher, where the plain model is misled."""
    rng = np.random.default_rng(21)
    arms = []
    for names, n, effect in (("P", 13, 0.5), ("C", 8, 0.0)):
        x = rng.normal(0, 1.2, n)
        y, apart = x + effect + rng.normal(0, 0.3, n), np.arange(n) % 3 == 0
        for values, run in ((x, np.full(n, "1")), (y + apart, np.where(apart, "2", "1"))):
            arms.append(arm_of(values, values, values, names).assign(run_id=run))
    if group:
        found = compare._mixed_interaction(arms, 0.95)
        rows, formula, term = compare._stacked(arms), "value ~ treated * sick + C(run_id)", "treated:sick"
    else:
        found = compare._mixed_pairs(arms[0], arms[1], 0.95)
        rows, formula, term = compare._stacked(arms[:2]), "value ~ treated + C(run_id)", "treated"
        assert abs(found[0].estimate - 0.5) > 0.25 > abs(found[2].estimate - 0.5)
    kenward, satterthwaite = found[2:]
    assert all(one.method.startswith("mixed model with the run as a fixed factor, ") for one in found[2:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of statsmodels, on its optimiser
        theirs = smf.mixedlm(formula, rows, groups=rows.index).fit(reml=True)
    assert kenward.estimate == satterthwaite.estimate == pytest.approx(theirs.params[term], rel=1e-4)
    assert satterthwaite.estimate / satterthwaite.statistic == pytest.approx(theirs.bse[term], rel=1e-3)
    together = [a.assign(run_id=a.index.str[1:]) for a in arms]
    one_run = compare._mixed_interaction(together, 0.95) if group else compare._mixed_pairs(*together[:2], 0.95)
    assert len(one_run) == 2, "a run that both arms of a donor share cancels"


# ---- ranks and permutations


def by_all_splits(x: np.ndarray, y: np.ndarray, statistic: Callable[[np.ndarray, np.ndarray], float]) -> float:
    """Share of all splits whose |statistic| reaches the observed one."""
    both, n = np.concatenate([x, y]), len(x)
    observed = abs(statistic(x, y))
    splits = itertools.combinations(range(len(both)), n)
    return float(
        np.mean([abs(statistic(both[list(i)], np.delete(both, list(i)))) >= observed * (1 - 1e-9) for i in splits])
    )


def welch_t(x: np.ndarray, y: np.ndarray) -> float:
    difference, variance = x.mean() - y.mean(), x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y)
    return 0.0 if difference == 0 else float(difference / np.sqrt(variance)) if variance else np.inf


@pytest.mark.parametrize(
    ("x", "y"),
    [([0, 0, 0, 0, 1], [1, 1, 1, 1, 0]), ([2, 2, 2, 1], [1, 1, 1, 2, 1]), ([0.3, 1.1, 2.0, 0.4], [1.5, 2.5, 3.1])],
)
def test_label_permutation_counts_perfect_splits(x: list[float], y: list[float]) -> None:
    first, second = np.array(x, dtype=float), np.array(y, dtype=float)
    expected = by_all_splits(first, second, welch_t)
    assert groups.label_permutation(first, second).p == pytest.approx(expected, abs=1e-12)
    assert multiplicity.max_t_groups(first[:, None], second[:, None])[0] == pytest.approx(expected, abs=1e-12)


def test_separated_groups_have_the_permutation_p_of_brunner_and_munzel() -> None:
    found = groups.brunner_munzel([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    assert found.p == pytest.approx(2 / 252) and found.estimate == 0.0 and np.isnan(found.low)


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 1000.0])
def test_a_unit_changes_no_p_of_signs_and_ranks(unit: float) -> None:
    for test in (paired.sign_flip, paired.signed_rank, paired.rank_biserial):
        one, two = test(SLEEP), test(unit * SLEEP)
        assert two.p == one.p or np.isnan(one.p)
    one, two = paired.signed_rank(SLEEP), paired.signed_rank(unit * SLEEP)
    ends = [v / unit for v in (two.estimate, two.low, two.high)]
    assert ends == pytest.approx([one.estimate, one.low, one.high], rel=1e-9)


def test_ranks_do_not_see_the_last_bit() -> None:
    level = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    noisy = np.append((level + 0.3) - level, -0.3)
    assert len(set(noisy)) > 2, "the changes differ in the last bit"
    assert paired.signed_rank(noisy).p == paired.signed_rank([0.3] * 6 + [-0.3]).p == 0.125
    x, y = np.array([0.1 + 0.2, 0.3, 0.5, 0.7]), np.array([0.3, 0.3, 0.1 + 0.2, 0.9])
    assert groups.rank_sum(x, y).p == groups.rank_sum(x.round(1), y.round(1)).p


def test_opposite_changes_of_two_donors_did_not_move_the_same_way() -> None:
    found = paired.rank_biserial([0, 0, 0, 0, 1.0, -2.0])
    assert found.estimate == pytest.approx(-1 / 3)
    assert "Only 2 donors" in found.note


def test_many_donors_are_ranked_by_the_normal_approximation() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.2, 1, 200).round(1), rng.normal(0, 1, 200).round(1)
    found = groups.rank_sum(x, y)
    assert found.p == pytest.approx(
        stats.mannwhitneyu(x, y, method="asymptotic", use_continuity=False).pvalue, rel=1e-9
    )
    assert "normal approximation" in found.method and found.low <= found.estimate <= found.high


def test_many_changes_are_ranked_by_the_normal_approximation(monkeypatch: pytest.MonkeyPatch) -> None:
    d = np.random.default_rng(1).normal(0.15, 1, 340).round(1)
    found = paired.signed_rank(d)
    asymptotic = stats.wilcoxon(d, zero_method="wilcox", correction=False, method="asymptotic")
    assert found.p == pytest.approx(asymptotic.pvalue, rel=1e-9)
    assert "normal approximation" in found.method
    monkeypatch.setattr(paired, "MOST_SIGNED", 1000)
    exact = paired.signed_rank(d)
    assert "exact" in exact.method and found.statistic == exact.statistic
    assert found.p == pytest.approx(exact.p, rel=0.01)
    assert (found.estimate, found.low, found.high) == pytest.approx((exact.estimate, exact.low, exact.high), abs=0.051)


def test_resamples_in_blocks_are_those_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.2, 1, (31, 3)), rng.normal(0, 2, (15, 3))
    few, changes = second[:8, 0], pd.DataFrame(first, columns=["a", "b", "c"])

    def all_of_them() -> list[Any]:
        permutation._packed_labels.cache_clear()
        return [
            paired.bca(first[:, 0]),
            paired.sign_flip(first[:, 0]),
            groups.label_permutation(first[:, 0], second[:, 0]),
            groups.brunner_munzel(first[:, 0], few),
            multiplicity.max_t_paired(first).tolist(),
            multiplicity.max_t_groups(first, second).tolist(),
            concordance.concordance(changes).to_dict("records"),
        ]

    whole = all_of_them()
    monkeypatch.setattr(paired, "AT_ONCE", 40_000)
    monkeypatch.setattr(permutation, "AT_ONCE", 40_000)
    assert len([*permutation.labellings(15, 46)]) > 9
    assert all_of_them() == whole
    permutation._packed_labels.cache_clear()


def step_down(observed: np.ndarray, drawn: list[np.ndarray]) -> np.ndarray:
    """Westfall and Young's step-down p, written out."""
    order = np.argsort(-observed)
    p = []
    for i in range(len(order)):
        rest = order[i:]
        p.append(np.mean([d[rest].max() >= observed[order[i]] - 1e-9 for d in drawn]))
    out = np.empty(len(order))
    out[order] = np.maximum.accumulate(p)
    return out


def test_max_t_of_pairs_by_enumeration_with_a_donor_missing() -> None:
    d = np.random.default_rng(0).normal(0.4, 1, (7, 4))
    d[0, 0] = np.nan

    def t(table: np.ndarray) -> np.ndarray:
        return np.abs(stats.ttest_1samp(table, 0, nan_policy="omit").statistic)

    drawn = [t(d * np.array(s)[:, None]) for s in itertools.product((1, -1), repeat=7)]
    assert multiplicity.max_t_paired(d) == pytest.approx(step_down(t(d), drawn), abs=1e-12)


def test_max_t_of_groups_by_enumeration() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(0.8, 1, (4, 3)), rng.normal(0, 1, (5, 3))
    both = np.vstack([x, y])

    def t(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.abs(stats.ttest_ind(a, b, equal_var=False).statistic)

    drawn = [t(both[list(i)], np.delete(both, list(i), 0)) for i in itertools.combinations(range(9), 4)]
    assert multiplicity.max_t_groups(x, y) == pytest.approx(step_down(t(x, y), drawn), abs=1e-12)


def test_drawn_arrangements_hang_neither_on_names_nor_on_which_group_is_first() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(0.5, 1, (13, 2)), rng.normal(0, 1, (9, 2))
    one = multiplicity.max_t_groups(x, y)
    assert one.tolist() == multiplicity.max_t_groups(x[::-1], rng.permutation(y)).tolist()
    assert one.tolist() == multiplicity.max_t_groups(y, x).tolist()
    p = {groups.label_permutation(a, b).p for a, b in ((x[:, 0], y[:, 0]), (x[::-1, 0], y[:, 0]), (y[:, 0], x[:, 0]))}
    assert len(p) == 1
    d = rng.normal(0.3, 1, (24, 2))
    assert multiplicity.max_t_paired(d).tolist() == multiplicity.max_t_paired(d[::-1]).tolist()
    for test in (paired.sign_flip, paired.bca):
        assert test(d[:, 0]) == test(d[::-1, 0])


# ---- no spread


@pytest.mark.parametrize("n", [5, 6, 7, 13])
@pytest.mark.parametrize("value", [0.1, np.log2(3.2), np.log2(7.7)])
def test_rounding_is_no_spread(n: int, value: float) -> None:
    x, y = np.full(n, value), np.full(8, 1.3 * value)
    for made in (
        lambda: groups.welch(x, y),
        lambda: groups.hedges_g(x, y),
        lambda: paired.paired_t((x + 1 / 3) - x, magnitude=float(x.max())),
        lambda: ratios.gap_closed(x, x + 1 / 3, y),
        lambda: ratios.gap_closed(x, x, y),
    ):
        with pytest.raises(NotEstimable) as refused:
            made()
        assert refused.value.status == "zero_variance"
    assert spread_of(value + np.arange(4.0) * 1e-6, "values") > 0, "a small spread is one"


def test_only_broken_arithmetic_is_a_refusal() -> None:
    for error in (ZeroDivisionError("x"), FloatingPointError("x"), np.linalg.LinAlgError("x"), NotFinite("x")):
        with pytest.raises(NotEstimable, match="breaks down"):
            attempted(lambda error=error: (_ for _ in ()).throw(error))
    for fault in (TypeError("x"), ValueError("x"), KeyError("x")):
        with pytest.raises(type(fault)):
            attempted(lambda fault=fault: (_ for _ in ()).throw(fault))


# ---- shares


def test_gap_closed_by_hand() -> None:
    """Fieller's limits are the shares r at which change − r·gap is not told from 0 by its own t."""
    rng = np.random.default_rng(2)
    u = rng.normal(0, 1, 9)
    t, h = u + 0.9 + rng.normal(0, 0.5, 9), rng.normal(2.5, 1, 7)
    found = ratios.gap_closed(u, t, h).share
    quantile = stats.t.ppf(0.975, 9 + 7 - 2)

    def distance(r: float) -> float:
        # the change minus r times the gap, one number a disease donor and one a control donor
        disease, control = (t - u) + r * u, -r * h
        return float(abs(disease.mean() + control.mean()) / np.sqrt(disease.var(ddof=1) / 9 + control.var(ddof=1) / 7))

    for limit in (found.low, found.high):
        assert distance(limit) == pytest.approx(quantile, rel=1e-9)
    assert found.estimate == pytest.approx((t - u).mean() / (h.mean() - u.mean()))
    assert found.low < found.estimate < found.high


def test_a_gap_that_is_not_told_from_zero_keeps_its_parts() -> None:
    rng = np.random.default_rng(5)
    u = rng.normal(0, 1, 8)
    t, h = u + 0.5 + rng.normal(0, 0.3, 8), rng.normal(0, 1, 8)
    with pytest.raises(NotEstimable) as refused:
        ratios.gap_closed(u, t, h)
    assert refused.value.status == "not_estimable"
    assert [e.method for e in refused.value.beside] == ["change", "gap"]
    assert refused.value.beside[0].estimate == pytest.approx((t - u).mean())


def test_clopper_and_pearson_of_responders() -> None:
    """Limits by their definition: the shares at which k or more, or k or fewer, has half of 5 %."""
    found = change.responders(pd.Series([1.0] * 9 + [0.0] * 2), 0.5).iloc[0]
    assert stats.binom.sf(8, 11, found["ci_low"]) == pytest.approx(0.025)
    assert stats.binom.cdf(9, 11, found["ci_high"]) == pytest.approx(0.025)
    assert (round(100 * found["ci_low"]), round(100 * found["ci_high"])) == (48, 98), "9 of 11"


# ---- bounds


def below(values: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    return np.where(values < limit, -np.inf, values), np.where(values < limit, limit, values)


def test_likelihood_of_pairs_without_bounds_is_the_paired_t() -> None:
    x, y = normal_pairs(11, 1)
    found, t = censored.paired_likelihood((x, x), (y, y)), paired.paired_t(y - x)
    assert (found.estimate, found.low, found.high) == pytest.approx((t.estimate, t.low, t.high), abs=1e-3)
    assert (found.p, found.statistic) == pytest.approx((t.p, t.statistic), rel=1e-3)


def test_the_p_of_the_likelihood_of_pairs_is_that_of_a_parametric_bootstrap() -> None:
    """One design: 13 pairs, 30 % below a limit. Data drawn from the fit without an effect, fitted again each time."""
    x, y = normal_pairs(13, 8)
    limit = float(np.sort(np.concatenate([x, y]))[8])
    observed = censored.paired_likelihood(below(x, limit), below(y, limit))
    assert 0.01 < observed.p < 0.2, "a p of which a few hundred draws can say something"
    (a, b), (c, d) = below(x, limit), below(y, limit)
    pairs = censored._Pairs(np.column_stack([a, c]), np.column_stack([b, d]))

    def at(null: np.ndarray) -> np.ndarray:
        """One mean for both arms, then the SDs and the correlation."""
        return np.array([null[0], null[0], *null[1:]])

    null = optimize.minimize(
        lambda v: -float(pairs.log_likelihood(at(v))),
        [0.5, 0.0, 0.0, 0.5],
        method="Nelder-Mead",
        options={"maxiter": 4000},
    ).x
    sd, rho = np.exp(null[1:3]), censored._RHO * np.tanh(null[3])
    rng, far, fitted = np.random.default_rng(5), 0, 0
    for _ in range(400):
        z = rng.normal(size=(2, 13))
        first, second = null[0] + sd[0] * z[0], null[0] + sd[1] * (rho * z[0] + np.sqrt(1 - rho**2) * z[1])
        try:
            drawn = censored.paired_likelihood(below(first, limit), below(second, limit))
        except NotEstimable:
            continue
        fitted += 1
        far += abs(drawn.statistic) >= abs(observed.statistic)
    share = (far + 1) / (fitted + 1)
    assert fitted > 300
    assert observed.p == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / fitted))


def test_likelihood_of_groups_without_bounds_is_near_welch() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(1, 1, 20), rng.normal(0, 1, 20)
    found, t = censored.group_likelihood((x, x), (y, y)), groups.welch(x, y)
    assert found.estimate == pytest.approx(t.estimate, abs=1e-4)
    assert (found.low, found.high) == pytest.approx((t.low, t.high), rel=0.03)
    assert found.statistic == pytest.approx(t.statistic, rel=0.03)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.statistic), found.df))


def test_likelihood_of_pairs_with_bounds_by_plain_numerical_integration() -> None:
    x, y = normal_pairs(9, 6)
    limit = float(np.sort(np.concatenate([x, y]))[4])
    (a, b), (c, d) = below(x, limit), below(y, limit)
    pairs = censored._Pairs(np.column_stack([a, c]), np.column_stack([b, d]))
    theta = np.array([0.1, 0.4, np.log(1.1), np.log(1.3), 0.8])
    rho = censored._RHO * np.tanh(0.8)
    normal = stats.multivariate_normal([0.1, 0.4], [[1.21, rho * 1.43], [rho * 1.43, 1.69]])
    total = 0.0
    for low_x, high_x, low_y, high_y in zip(a, b, c, d, strict=True):
        if low_x == high_x and low_y == high_y:
            total += normal.logpdf([low_x, low_y])
        elif low_y == high_y:
            total += np.log(integrate.quad(lambda v, at=low_y: normal.pdf([v, at]), -12, high_x)[0])
        elif low_x == high_x:
            total += np.log(integrate.quad(lambda v, at=low_x: normal.pdf([at, v]), -12, high_y)[0])
        else:
            total += np.log(normal.cdf([high_x, high_y]))
    assert float(pairs.log_likelihood(theta)) == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize(
    ("scale", "row"), [("raw", (-3.927083, 3.594860, 0.27465)), ("log", (-2.166597, 0.649788, 0.0008551))]
)
def test_atrazine(reference_data: Path, scale: str, row: tuple[float, float, float]) -> None:
    table = pd.read_csv(reference_data / "stats" / "atrazine_paired_censored.csv")
    arms = []
    for month in ("sept", "june"):
        value, hidden = table[month].to_numpy(float), table[f"{month}_below_lod"].astype(bool).to_numpy()
        low = np.where(hidden, 0.0, value)
        with np.errstate(divide="ignore"):
            arms.append((low, value) if scale == "raw" else (np.log(low), np.log(value)))
    found = censored.difference_bounds(*arms)
    se = found.estimate / found.statistic
    assert (found.estimate, se, found.p) == pytest.approx(row, rel=0.005)


@pytest.mark.parametrize("complete", [3, 4])
def test_no_likelihood_of_fewer_than_five_observed(complete: int) -> None:
    x, y = normal_pairs(9, 3)
    low = np.where(np.arange(9) < complete, x, -np.inf)
    with pytest.raises(NotEstimable, match="needs 5") as refused:
        censored.paired_likelihood((low, np.maximum(x, low)), (y, y))
    assert refused.value.status == "too_few_donors"
    with pytest.raises(NotEstimable, match="needs 5"):
        censored.group_likelihood((low, np.maximum(x, low)), (y, y))


def test_equal_values_with_one_bound_have_no_likelihood() -> None:
    low = np.array([8.0] * 6 + [-np.inf])
    for arms in (
        (censored.paired_likelihood, (low, np.full(7, 8.0)), (np.full(7, 9.0), np.full(7, 9.0))),
        (censored.group_likelihood, (low, np.full(7, 8.0)), (np.arange(7.0), np.arange(7.0))),
    ):
        with pytest.raises(NotEstimable) as refused:
            arms[0](*arms[1:])
        assert refused.value.status == "zero_variance"


def test_fisher_names_the_first_group_first() -> None:
    """The conditional odds ratio and its interval against R's fisher.test: rbind(c(9, 2), c(3, 7))."""
    found = censored.fisher([1] * 9 + [0] * 2, [1] * 3 + [0] * 7)
    assert found.estimate > 0, "detected more often in the first"
    assert found.p == pytest.approx(stats.fisher_exact([[9, 2], [3, 7]]).pvalue)
    low, high = np.exp([found.low, found.high])
    hidden = stats.nchypergeom_fisher
    assert hidden.sf(8, 21, 12, 11, low) == pytest.approx(0.025, rel=1e-3)
    assert hidden.cdf(9, 21, 12, 11, high) == pytest.approx(0.025, rel=1e-3)
    with pytest.raises(NotEstimable, match="do not differ"):
        censored.fisher([1, 1, 1], [1, 1])


def test_mcnemar_counts_what_was_gained_over_what_was_lost() -> None:
    found = censored.mcnemar([0] * 7 + [1] * 2 + [1] * 4, [1] * 7 + [0] * 2 + [1] * 4)
    assert found.p == pytest.approx(stats.binomtest(7, 9).pvalue)
    assert found.estimate == pytest.approx(np.log(7 / 2))


def arm_of(value: np.ndarray, low: np.ndarray, high: np.ndarray, names: str) -> pd.DataFrame:
    frame = pd.DataFrame({"value": np.where(low == high, value, np.nan), "lower": low, "upper": high})
    frame = frame.assign(detected=np.isfinite(low), half=np.where(low == high, value, high - 1.0), n_cultures=1)
    return frame.assign(comparability="kit").set_axis([f"{names}{i:02d}" for i in range(len(value))])


def test_a_difference_of_changes_without_bounds_is_welch_of_the_differences() -> None:
    (a, b), (c, d) = normal_pairs(9, 1), normal_pairs(7, 2)
    arms = [arm_of(v, v, v, n) for v, n in ((a, "P"), (b, "P"), (c, "C"), (d, "C"))]
    found, welch = compare._bounded_changes(arms, 0.95, 0), groups.welch(b - a, d - c)
    for name in ("estimate", "low", "high", "df", "p"):
        assert getattr(found, name) == pytest.approx(getattr(welch, name), rel=1e-9), name


# ---- counts


def beta_binomial_by_hand(
    k: np.ndarray, n: np.ndarray, eta: np.ndarray, sd: float, phi: float, donor: np.ndarray
) -> float:
    """Log likelihood by the trapezoid rule over 4,001 values of each donor."""
    at, total = np.linspace(-9, 9, 4001), 0.0
    for one in np.unique(donor):
        mine = donor == one
        mu = special.expit(eta[mine][:, None] + sd * at)
        a, b = mu * phi, (1 - mu) * phi
        each = special.betaln(k[mine][:, None] + a, (n - k)[mine][:, None] + b) - special.betaln(a, b)
        joint = each.sum(axis=0) + stats.norm.logpdf(at)
        total += joint.max() + np.log(np.trapezoid(np.exp(joint - joint.max()), at))
    return float(total)


def fractions(seed: int, cells: int, sd: float, effect: float = 0.3, donors: int = 13) -> counts.Counts:
    rng = np.random.default_rng(seed)
    donor, treated = np.repeat(np.arange(donors), 2), np.tile([0.0, 1.0], donors)
    mu = special.expit(-0.5 + effect * treated + sd * rng.normal(size=donors)[donor])
    k = rng.binomial(cells, rng.beta(60 * mu, 60 * (1 - mu)))
    return counts.counts(k, np.full(2 * donors, cells), np.column_stack([np.ones(2 * donors), treated]), donor)


@pytest.mark.parametrize("sd", [0.0, 1e-3, 0.02, 0.3, 1.2])
def test_the_likelihood_of_counts_is_right_whatever_the_spread_of_donors(sd: float) -> None:
    data = fractions(1, 1000, 0.4)
    for phi in (20.0, 500.0):
        model = counts.Fit(np.array([-0.4, 0.2]), sd, phi, np.nan)
        by_hand = beta_binomial_by_hand(data.k, data.n, data.design @ model.beta, sd, phi, data.donor)
        assert counts.log_likelihood(data, model) == pytest.approx(by_hand, abs=1e-4)


@pytest.mark.parametrize(("seed", "sd"), [(1, 0.0), (2, 0.0), (3, 0.3), (4, 0.6)])
def test_no_neighbour_of_the_fit_is_likelier(seed: int, sd: float) -> None:
    data = fractions(seed, 400, sd)
    model = counts.fit(data)
    assert counts.log_likelihood(data, model) == pytest.approx(model.log_likelihood, abs=1e-6)
    for factor in (0.9, 1.1):
        for other in (
            counts.Fit(model.beta, max(model.donor_sd, 0.1) * factor, model.phi, np.nan),
            counts.Fit(model.beta, model.donor_sd, model.phi * factor, np.nan),
            counts.Fit(model.beta + 0.05 * (factor - 1), model.donor_sd, model.phi, np.nan),
        ):
            assert counts.log_likelihood(data, other) <= model.log_likelihood + 1e-6


@pytest.mark.parametrize("cells", [100, 2000])
def test_the_p_of_the_beta_binomial_is_that_of_a_parametric_bootstrap(cells: int) -> None:
    """Counts drawn from the fit without the effect, and both models fitted again each time."""
    data = fractions(8, cells, 0.6, effect=0.25)
    found = counts.beta_binomial(data, 1)
    assert 0.01 < found.p < 0.3, "a p of which a few hundred draws can say something"
    without = counts.fit(counts.Counts(data.k, data.n, data.design[:, :1], data.donor))
    rng, far, draws = np.random.default_rng(6), 0, 200
    for _ in range(draws):
        mu = special.expit(without.beta[0] + without.donor_sd * rng.normal(size=data.n_donors)[data.donor])
        k = rng.binomial(data.n.astype(int), rng.beta(without.phi * mu, without.phi * (1 - mu)))
        far += abs(counts.beta_binomial(counts.Counts(k * 1.0, data.n, data.design, data.donor), 1).statistic) >= abs(
            found.statistic
        )
    share = (far + 1) / (draws + 1)
    assert found.p == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / draws))


def test_many_cells_give_the_paired_t_on_logits() -> None:
    for seed in range(4):
        data = fractions(seed, 100_000, 0.6)
        logit = special.logit(data.k / data.n).reshape(-1, 2)
        found, t = counts.beta_binomial(data, 1), paired.paired_t(logit[:, 1] - logit[:, 0])
        assert found.df == t.df == 12
        assert (found.estimate, found.statistic) == pytest.approx((t.estimate, t.statistic), rel=0.1)
        assert found.p == pytest.approx(2 * stats.t.sf(abs(found.statistic), 12))


def test_one_row_a_donor_is_the_plain_beta_binomial() -> None:
    rng = np.random.default_rng(0)
    sick = np.repeat([1.0, 0.0], [9, 8])
    share = np.where(sick, 0.55, 0.3)
    k = rng.binomial(500, rng.beta(40 * share, 40 * (1 - share)))
    data = counts.counts(k, np.full(17, 500), np.column_stack([np.ones(17), sick]), np.arange(17))
    model, found = counts.fit(data), counts.beta_binomial(data, 1)
    assert model.donor_sd == 0
    mu = special.expit(data.design @ model.beta)
    own = stats.betabinom.logpmf(k, 500, model.phi * mu, model.phi * (1 - mu))
    binomial = special.gammaln(501) - special.gammaln(k + 1) - special.gammaln(501 - k)
    assert model.log_likelihood == pytest.approx((own - binomial).sum(), abs=1e-6)
    assert found.df == 15 and found.p < 0.01


def test_an_effect_on_counts_lowers_p() -> None:
    assert counts.beta_binomial(fractions(5, 1000, 0.6, effect=1.5), 1).p < 1e-4
    assert counts.beta_binomial(fractions(5, 1000, 0.6, effect=0.0), 1).p > 0.05
