"""Do the tests keep their level and the intervals their coverage? Simulated studies, one line a method and design.

Run with ``.venv/bin/python benchmarks/calibration.py [runs]``; it prints the tables that stand in
docs/methods.md. `runs` (default 2000) are the studies of each quick line; likelihoods and mixed models use a
fifth of it. Log2 scale: SD between donors 1.2, SD of changes 0.7, effect 0.5, gap 1.5.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.special import expit
from scipy.stats import binom, norm

from helpers.core.numbers import SEED
from helpers.stats import censored, compare, counts, groups, mixed, multiplicity, paired, permutation
from helpers.stats.additive import beyond_additive
from helpers.stats.adjusted import adjusted_gap
from helpers.stats.estimate import Estimate, NotEstimable
from helpers.stats.ratios import GapClosed, gap_closed
from helpers.stats.trend import trend

LEVEL, CHANGE, EFFECT = 1.2, 0.7, 0.5
Line = tuple[str, str, str, str, str]


def pairs(rng: np.random.Generator, n: int, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Reference and treatment of n donors."""
    start = rng.normal(0, LEVEL, n)
    return start, start + effect + rng.normal(0, CHANGE, n)


def bounded(values: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of values with a lower limit."""
    return np.where(values < limit, -np.inf, values), np.where(values < limit, limit, values)


def limit_of(share: float, *parts: tuple[float, float]) -> float:
    """The limit below which that share of a mixture of normals (mean, SD) lies."""
    rng = np.random.default_rng(0)
    return float(np.quantile(np.concatenate([rng.normal(m, s, 50_000) for m, s in parts]), share))


def line(
    method: str,
    design: str,
    study: Callable[[np.random.Generator, float], Estimate],
    truth: float,
    runs: int,
    has_p: bool = True,
) -> Line:
    """Coverage where there is an effect, level where there is none, and how many studies gave no estimate."""
    covered = given = refused = false = null_runs = 0
    for effect in (truth, 0.0) if has_p else (truth,):
        for i in range(runs):
            rng = np.random.default_rng([SEED, i, int(effect != 0)])
            try:
                found = study(rng, effect)
            except NotEstimable:
                refused += effect != 0
                continue
            if effect:
                given += 1
                covered += bool(found.low <= truth <= found.high)
            else:
                null_runs += 1
                false += bool(found.p <= 0.05)
    share = (
        f"{100 * covered / given:.1f} ± {100 * np.sqrt(0.95 * 0.05 / given):.1f}"
        if given and not np.isnan(found.low)
        else "no interval"
    )
    level = f"{100 * false / null_runs:.1f} ± {100 * np.sqrt(0.05 * 0.95 / null_runs):.1f}" if null_runs else "no p"
    return method, design, share, level, f"{100 * refused / runs:.0f}"


def paired_lines(n: int, runs: int) -> list[Line]:
    """Complete pairs."""
    makers = {
        "paired t": lambda d: paired.paired_t(d),
        "exact sign flip": lambda d: paired.sign_flip(d),
        "exact signed rank, Hodges–Lehmann": lambda d: paired.signed_rank(d),
        "BCa bootstrap of the mean": lambda d: paired.bca(d),
    }
    out = []
    for name, make in makers.items():

        def study(rng: np.random.Generator, effect: float, make: Callable[..., Estimate] = make) -> Estimate:
            x, y = pairs(rng, n, effect)
            return make(y - x)

        slow = "BCa" in name
        out.append(line(name, f"{n} pairs", study, EFFECT, runs // 5 if slow else runs, has_p=not slow))
    return out


def effect_size_lines(n: int, runs: int) -> list[Line]:
    """g_z and g_av against the true standardised effects."""

    def z(rng: np.random.Generator, effect: float) -> Estimate:
        x, y = pairs(rng, n, EFFECT)
        return paired.g_z(y - x)

    def av(rng: np.random.Generator, effect: float) -> Estimate:
        x, y = pairs(rng, n, EFFECT)
        return paired.g_av(x, y)

    spread = np.sqrt((LEVEL**2 + LEVEL**2 + CHANGE**2) / 2)
    return [
        line("g_z, noncentral t", f"{n} pairs", z, EFFECT / CHANGE, runs, has_p=False),
        line("g_av, BCa", f"{n} pairs", av, EFFECT / spread, runs // 5, has_p=False),
    ]


def bounded_lines(n: int, share: float, runs: int) -> list[Line]:
    """Pairs with values below a limit."""
    wide = float(np.hypot(LEVEL, CHANGE))

    def study(rng: np.random.Generator, effect: float) -> Estimate:
        limit = limit_of(share, (0, LEVEL), (effect, wide))
        x, y = pairs(rng, n, effect)
        a, b = bounded(x, limit), bounded(y, limit)
        if censored.share_censored(a, b) > censored.MOST_CENSORED:
            raise NotEstimable("detection", "Detection is compared.")
        return censored.paired_likelihood(a, b)

    design = f"{n} pairs, {100 * share:.0f} % below the limit"
    return [line("bivariate likelihood", design, study, EFFECT, runs // 5)]


def lost_lines(n: int, lost: float, runs: int) -> list[Line]:
    """Pairs of which a share lost the treated value at random: complete pairs, and all donors by the mixed model."""

    def draw(rng: np.random.Generator, effect: float) -> tuple[np.ndarray, np.ndarray]:
        x, y = pairs(rng, n, effect)
        return x, np.where(rng.random(n) < lost, np.nan, y)

    def complete(rng: np.random.Generator, effect: float) -> Estimate:
        x, y = draw(rng, effect)
        return paired.paired_t((y - x)[np.isfinite(y)])

    def model(rng: np.random.Generator, effect: float, df: str = "kenward_roger") -> Estimate:
        x, y = draw(rng, effect)
        known = np.concatenate([np.ones(n, dtype=bool), np.isfinite(y)])
        treated, donor = np.repeat([0, 1], n)[known], np.tile(np.arange(n), 2)[known]
        design, _ = mixed.treatment_by_group(treated)
        return mixed.contrast(mixed.fit(np.concatenate([x, y])[known], design, donor), [0, 1], df=df)

    design = f"{n} pairs, {100 * lost:.0f} % of treated lost"
    other = partial(model, df="satterthwaite")
    return [
        line("paired t", design, complete, EFFECT, runs),
        line("mixed model of all donors, Kenward–Roger", design, model, EFFECT, runs // 5),
        line("mixed model of all donors, Satterthwaite", design, other, EFFECT, runs // 5),
    ]


def standardised_lines(n: int, m: int, runs: int) -> list[Line]:
    """Standardised sizes that are no mean: Hedges g of groups, matched rank-biserial of pairs."""

    def g(rng: np.random.Generator, effect: float) -> Estimate:
        return groups.hedges_g(rng.normal(1, 1, n), rng.normal(0, 1, m))

    def matched(rng: np.random.Generator, effect: float) -> Estimate:
        found = paired.rank_biserial(rng.normal(EFFECT, CHANGE, n))
        if np.isnan(found.low):
            raise NotEstimable("not_estimable", found.note)
        return found

    truth = float(2 * norm.cdf(np.sqrt(2) * EFFECT / CHANGE) - 1)
    return [
        line("Hedges g, noncentral t", f"{n} v {m}", g, 1.0, runs, has_p=False),
        line("matched rank-biserial, Fisher z", f"{n} pairs", matched, truth, runs, has_p=False),
    ]


def detection_lines(n: int, m: int, runs: int) -> list[Line]:
    """Detected or not: 30 % without, 70 % with; conditional odds, exact."""
    odds = 2 * float(np.log(0.7 / 0.3))

    def share(effect: float) -> float:
        return 0.7 if effect else 0.3

    def in_pairs(rng: np.random.Generator, effect: float) -> Estimate:
        return censored.mcnemar(rng.random(n) < 0.3, rng.random(n) < share(effect))

    def in_groups(rng: np.random.Generator, effect: float) -> Estimate:
        return censored.fisher(rng.random(n) < share(effect), rng.random(m) < 0.3)

    return [
        line("exact McNemar, detected or not", f"{n} pairs", in_pairs, odds, runs),
        line("Fisher exact, detected or not", f"{n} v {m}", in_groups, odds, runs),
    ]


def bounded_change_lines(n: int, m: int, share: float, runs: int) -> list[Line]:
    """What bounds ask of an interaction, and the differences with bounds that stand beside pairs."""
    wide = float(np.hypot(LEVEL, CHANGE))

    def part(values: np.ndarray, limit: float, first: str) -> pd.DataFrame:
        low, high = bounded(values, limit)
        seen = values >= limit
        columns = {"value": np.where(seen, values, np.nan), "lower": low, "upper": high, "detected": seen}
        names = [f"{first}{i:02d}" for i in range(len(values))]
        return pd.DataFrame({**columns, "half": high, "n_cultures": 1.0, "comparability": None}, index=names)

    def interaction(rng: np.random.Generator, effect: float) -> Estimate:
        limit = limit_of(share, (0, LEVEL), (effect, wide))
        sick, well = pairs(rng, n, effect), pairs(rng, m, 0.0)
        arms = [part(v, limit, "P") for v in sick] + [part(v, limit, "C") for v in well]
        return compare.compare_changes(arms, 5, 0.95).primary

    def differences(rng: np.random.Generator, effect: float) -> Estimate:
        limit = limit_of(share, (0, LEVEL), (effect, wide))
        return censored.difference_bounds(*(bounded(v, limit) for v in pairs(rng, n, effect)))

    design = f"{100 * share:.0f} % below the limit"
    return [
        line("interaction, difference of likelihood changes", f"{n} v {m}, {design}", interaction, 1.0, runs // 5),
        line("normal likelihood of differences with bounds", f"{n} pairs, {design}", differences, EFFECT, runs // 5),
    ]


def design_lines(runs: int) -> list[Line]:
    """Lots as a fixed factor, slopes over three doses, co-culture beyond the sum over four batches."""

    def lot(rng: np.random.Generator, effect: float) -> Estimate:
        names = [f"P{i:02d}" for i in range(13)]
        lots = pd.DataFrame({"msc_lot_id": ["L1"] * 7 + ["L2"] * 6}, index=names)
        change = pd.Series(rng.normal(effect, CHANGE, 13) + (lots["msc_lot_id"] == "L2").to_numpy(), index=names)
        return compare.by_lot(change, lots, 0.95)[0]

    def slope(rng: np.random.Generator, effect: float) -> Estimate:
        own = rng.normal(0, LEVEL, (8, 1)) + rng.normal(effect, 0.3, (8, 1)) * np.arange(3)
        return trend(pd.DataFrame(own + rng.normal(0, 0.3, (8, 3)), columns=[1.0, 2.0, 4.0]))[0]

    def beyond(rng: np.random.Generator, effect: float) -> Estimate:
        batch = np.repeat([1, 2, 3, 4], 3)
        of_batch = rng.normal(0, 0.3, 4)[batch - 1]
        rows = pd.DataFrame({"donor_id": [f"P{i:02d}" for i in range(12)], "batch_day": batch, "n_cultures": 1})
        rows = rows.assign(msc_lot_id="L1", timepoint_h=24.0, unit="pg/ml", censoring="none")
        alone = rows.drop_duplicates("batch_day").assign(value=50.0)
        macrophages = rows.assign(value=2 ** rng.normal(6, LEVEL, 12))
        total = macrophages["value"] + 50
        return beyond_additive(
            rows.assign(value=total * 2 ** (effect + of_batch + rng.normal(0, 0.5, 12))), macrophages, alone
        ).found

    return [
        line("one MSC lot of two, common spread", "7 and 6 donors", lot, EFFECT, runs),
        line("slope per doubling, t over donors", "8 donors, 3 doses", slope, 0.3, runs),
        line("co-culture beyond the sum, t over batches", "12 donors, 4 batches", beyond, EFFECT, runs // 5),
    ]


def group_lines(n: int, m: int, ratio: float, runs: int) -> list[Line]:
    """Two groups, the second with `ratio` times the spread of the first."""
    makers = {
        "Welch t": groups.welch,
        "exact rank sum, Hodges–Lehmann": groups.rank_sum,
        "label permutation of Welch's t": groups.label_permutation,
    }
    out = []
    for name, make in makers.items():

        def study(rng: np.random.Generator, effect: float, make: Callable[..., Estimate] = make) -> Estimate:
            return make(rng.normal(effect, 1, n), rng.normal(0, ratio, m))

        out.append(line(name, f"{n} v {m}, SD ratio {ratio:g}", study, 1.5, runs if name == "Welch t" else runs // 5))

    def relative(rng: np.random.Generator, effect: float) -> Estimate:
        return groups.brunner_munzel(rng.normal(effect, 1, n), rng.normal(0, ratio, m))

    truth = float(norm.cdf(0.8 / np.hypot(1, ratio)))

    def near(rng: np.random.Generator, effect: float) -> Estimate:
        return relative(rng, 0.8 if effect else 0.0)

    def cliff(rng: np.random.Generator, effect: float) -> Estimate:
        return groups.cliffs_delta(rng.normal(0.8, 1, n), rng.normal(0, ratio, m))

    design = f"{n} v {m}, SD ratio {ratio:g}"
    out.append(line("Brunner–Munzel", design, near, truth, runs // 2))
    out.append(line("Cliff's delta, logit", design, cliff, 2 * truth - 1, runs // 2, has_p=False))
    return out


def adjusted_lines(n: int, m: int, share: float, runs: int) -> list[Line]:
    """The gap with a term for having smoked, which shifts by 1; two in three disease donors and half of the others did."""

    def study(rng: np.random.Generator, effect: float) -> Estimate:
        sick = np.repeat([1.0, 0.0], [n, m])
        smoked = (rng.random(n + m) < np.where(sick, 2 / 3, 1 / 2)).astype(float)
        limit = limit_of(share, *((effect * g + s, 1.0) for g in (0, 1) for s in (0, 1)))
        low, high = bounded(effect * sick + smoked + rng.normal(size=n + m), limit)
        return adjusted_gap(low, high, sick, smoked)

    return [line("gap adjusted for having smoked", f"{n} v {m}, {100 * share:.0f} % below the limit", study, 1.0, runs)]


def bounded_group_lines(n: int, m: int, share: float, runs: int) -> list[Line]:
    """Groups with values below a limit; the lower group has most of them."""

    def study(rng: np.random.Generator, effect: float) -> Estimate:
        limit = limit_of(share, (effect, 1.0), (0.0, 1.0))
        a, b = (bounded(rng.normal(mean, 1.0, k), limit) for mean, k in ((effect, n), (0.0, m)))
        if censored.share_censored(a, b) > censored.MOST_CENSORED:
            raise NotEstimable("detection", "Detection is compared.")
        return censored.group_likelihood(a, b)

    return [line("likelihood of groups", f"{n} v {m}, {100 * share:.0f} % below the limit", study, 1.0, runs // 5)]


def interaction_lines(n: int, m: int, lost: float, runs: int) -> list[Line]:
    """Difference of changes, with a share of treated values lost."""

    def draw(rng: np.random.Generator, effect: float) -> list[tuple[np.ndarray, np.ndarray]]:
        out = []
        for size, change in ((n, effect), (m, 0.0)):
            x, y = pairs(rng, size, change)
            y[rng.random(size) < lost] = np.nan
            out.append((x, y))
        return out

    def welch(rng: np.random.Generator, effect: float) -> Estimate:
        d = [(y - x)[np.isfinite(y)] for x, y in draw(rng, effect)]
        return groups.welch(*d)

    def model(rng: np.random.Generator, effect: float) -> Estimate:
        values, treated, sick, donor = [], [], [], []
        for g, (x, y) in enumerate(draw(rng, effect)):
            for i, (a, b) in enumerate(zip(x, y, strict=True)):
                for condition, v in ((0, a), (1, b)):
                    if np.isfinite(v):
                        values.append(v)
                        treated.append(condition)
                        sick.append(1 - g)
                        donor.append(100 * g + i)
        design, _ = mixed.treatment_by_group(treated, sick)
        return mixed.contrast(mixed.fit(values, design, donor), [0, 0, 0, 1])

    design = f"{n} v {m}, {100 * lost:.0f} % of treated lost"
    return [
        line("interaction, Welch on differences", design, welch, 1.0, runs),
        line("interaction, mixed model Kenward–Roger", design, model, 1.0, runs // 5),
    ]


def gap_lines(n: int, m: int, gap: float, runs: int) -> list[Line]:
    """Share of a gap of which 0.4 is closed; coverage is of the studies in which it is shown."""

    def share(rng: np.random.Generator, effect: float) -> GapClosed:
        x, y = pairs(rng, n, 0.4 * gap)
        return gap_closed(x, y, rng.normal(gap, LEVEL, m))

    def boot(rng: np.random.Generator, effect: float) -> Estimate:
        found = share(rng, effect)
        return Estimate(found.share.estimate, found.bootstrap_low, found.bootstrap_high, "")

    design = f"{n} v {m}, gap {gap:g} log2"
    return [
        line("gap closed, Fieller, when shown", design, lambda r, e: share(r, e).share, 0.4, runs, has_p=False),
        line("gap closed, stratified donor bootstrap, when shown", design, boot, 0.4, runs // 2, has_p=False),
    ]


def halved_lines(n: int, m: int, share: float, runs: int) -> list[Line]:
    """What stands beside a likelihood: halved limits, and rank tests at one common limit."""
    wide = float(np.hypot(LEVEL, CHANGE))

    def drawn(rng: np.random.Generator, effect: float) -> tuple[float, np.ndarray, np.ndarray]:
        return limit_of(share, (0, LEVEL), (effect, wide)), *pairs(rng, n, effect)

    def half(values: np.ndarray, limit: float) -> np.ndarray:
        return np.where(values < limit, limit - 1, values)  # half of a limit is one doubling less

    def paired_half(rng: np.random.Generator, effect: float) -> Estimate:
        limit, x, y = drawn(rng, effect)
        return paired.paired_t(half(y, limit) - half(x, limit))

    def ranked(rng: np.random.Generator, effect: float) -> Estimate:
        limit, x, y = drawn(rng, effect)
        first, second = censored.at_common_limit(bounded(x, limit), bounded(y, limit))
        return paired.signed_rank(second - first)

    def two(rng: np.random.Generator, effect: float) -> tuple[float, np.ndarray, np.ndarray]:
        return limit_of(share, (effect, 1.0), (0.0, 1.0)), rng.normal(effect, 1.0, n), rng.normal(0, 1.0, m)

    def groups_half(rng: np.random.Generator, effect: float) -> Estimate:
        limit, x, y = two(rng, effect)
        return groups.welch(half(x, limit), half(y, limit))

    def groups_ranked(rng: np.random.Generator, effect: float) -> Estimate:
        limit, x, y = two(rng, effect)
        return groups.rank_sum(*censored.at_common_limit(bounded(x, limit), bounded(y, limit)))

    below = f"{100 * share:.0f} % below the limit"
    return [
        line("paired t, limit halved", f"{n} pairs, {below}", paired_half, EFFECT, runs),
        line("exact signed rank at one common limit", f"{n} pairs, {below}", ranked, EFFECT, runs // 5),
        line("Welch t, limit halved", f"{n} v {m}, {below}", groups_half, 1.0, runs),
        line("exact rank sum at one common limit", f"{n} v {m}, {below}", groups_ranked, 1.0, runs // 5),
    ]


def fraction_lines(n: int, m: int, runs: int) -> list[Line]:
    """Counts of 300 cells with a spread between donors: the beta-binomial model, which has a p and no interval."""

    def k_of(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
        mu = expit(eta)
        return rng.binomial(300, rng.beta(60 * mu, 60 * (1 - mu)))

    def in_pairs(rng: np.random.Generator, effect: float) -> Estimate:
        treated, donor = np.tile([0.0, 1.0], n), np.repeat(np.arange(n), 2)
        k = k_of(rng, -0.5 + effect * treated + rng.normal(0, 0.6, n)[donor])
        design, _ = mixed.treatment_by_group(treated)
        return counts.beta_binomial(counts.counts(k, np.full(2 * n, 300), design, donor), 1)

    def in_groups(rng: np.random.Generator, effect: float) -> Estimate:
        sick = np.repeat([1.0, 0.0], [n, m])
        k = k_of(rng, -0.5 + effect * sick + rng.normal(0, 0.6, n + m))
        design = np.column_stack([np.ones(n + m), sick])
        return counts.beta_binomial(counts.counts(k, np.full(n + m, 300), design, np.arange(n + m)), 1)

    name = "beta-binomial, likelihood ratio on the scale of t"
    return [
        line(name, f"{n} pairs", in_pairs, EFFECT, runs // 5),
        line(name, f"{n} v {m}", in_groups, EFFECT, runs // 5),
    ]


def family_lines(n: int, m: int, runs: int) -> list[Line]:
    """Ten readouts correlated 0.5 without any effect: how often any is called; n pairs, or n v m where there are m."""
    called = {"Holm": 0, "Benjamini–Hochberg": 0, "step-down max-T": 0}

    def drawn(rng: np.random.Generator, k: int) -> np.ndarray:
        return np.asarray(np.sqrt(0.5) * rng.normal(size=(k, 1)) + np.sqrt(0.5) * rng.normal(size=(k, 10)))

    for i in range(runs // 2):
        rng = np.random.default_rng([SEED, i])
        x, y = drawn(rng, n), drawn(rng, m)
        p = [groups.welch(a, b).p if m else paired.paired_t(a).p for a, b in zip(x.T, y.T, strict=True)]
        most = multiplicity.max_t_groups(x, y) if m else multiplicity.max_t_paired(x)
        called["Holm"] += bool((multiplicity.holm(p) <= 0.05).any())
        called["Benjamini–Hochberg"] += bool((multiplicity.benjamini_hochberg(p) <= 0.05).any())
        called["step-down max-T"] += bool((most <= 0.05).any())
    total = runs // 2
    error, design = 100 * np.sqrt(0.05 * 0.95 / total), f"{n} v {m}" if m else f"{n} pairs"
    return [
        (f"{k}, any of 10 readouts", f"{design}, correlation 0.5", "", f"{100 * c / total:.1f} ± {error:.1f}", "")
        for k, c in called.items()
    ]


def attainable() -> list[tuple[str, str, str]]:
    """The largest level up to 5 % that exact tests can have, untied: p takes few values in few donors."""

    def below(chances: np.ndarray) -> float:
        """Level of a two-sided test from the chances of its statistic, symmetric and in order."""
        tails = 2 * np.cumsum(chances)
        return float(tails[tails <= 0.05 + 1e-12].max(initial=0.0))

    found: list[tuple[str, str, float]] = []
    for n in (6, 13, 20):
        found.append(("exact sign flip", f"{n} pairs", below(np.full(2**n, 0.5**n))))
        found.append(("exact signed rank", f"{n} pairs", below(permutation.signed_sums(np.arange(1, n + 1)))))
    for n, m in ((8, 6), (13, 13), (18, 8)):
        found.append(("exact rank sum", f"{n} v {m}", below(permutation.subset_sums(np.arange(1, n + m + 1), n))))
    for n in (6, 10, 13):
        found.append(("exact McNemar", f"{n} pairs that differ", below(binom.pmf(np.arange(n + 1), n, 0.5))))
    return [(name, design, f"{100 * level:.2f}") for name, design, level in found]


def main() -> None:
    """Print both tables in Markdown."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    warnings.simplefilter("ignore")
    tasks = [delayed(paired_lines)(n, runs) for n in (6, 13, 26)]
    tasks += [delayed(lost_lines)(n, 0.2, runs) for n in (13, 26)]
    tasks += [delayed(effect_size_lines)(n, runs) for n in (13, 26)]
    tasks += [delayed(standardised_lines)(n, m, runs) for n, m in ((13, 13), (18, 8))]
    tasks += [delayed(detection_lines)(n, m, runs) for n, m in ((13, 13), (18, 8))]
    tasks += [delayed(bounded_lines)(n, s, runs) for n in (6, 13, 26) for s in (0.2, 0.4)]
    tasks += [delayed(group_lines)(n, m, r, runs) for n, m, r in ((18, 8, 1), (18, 8, 2), (13, 13, 1))]
    tasks += [delayed(bounded_group_lines)(n, m, s, runs) for n, m in ((18, 8), (13, 13)) for s in (0.2, 0.4)]
    tasks += [delayed(adjusted_lines)(n, m, s, runs) for n, m in ((18, 8), (13, 13)) for s in (0.0, 0.2, 0.4)]
    tasks += [delayed(bounded_change_lines)(n, m, s, runs) for n, m in ((18, 8), (13, 13)) for s in (0.2, 0.4)]
    tasks += [delayed(halved_lines)(n, m, s, runs) for n, m in ((18, 8), (13, 13)) for s in (0.2, 0.4)]
    tasks += [delayed(fraction_lines)(n, m, runs) for n, m in ((18, 8), (13, 13))]
    tasks += [delayed(design_lines)(runs)]
    tasks += [delayed(interaction_lines)(18, 8, lost, runs) for lost in (0.0, 0.2)]
    tasks += [delayed(gap_lines)(13, 13, g, runs) for g in (3, 1.5, 1, 0.5)]
    tasks += [delayed(gap_lines)(18, 8, g, runs) for g in (1.5, 0.5)]
    tasks += [delayed(family_lines)(n, m, runs) for n, m in ((6, 0), (13, 0), (26, 0), (18, 8))]
    print("| method | design | coverage of 95 %, % | level at 5 %, % | without an estimate, % |")
    print("|---|---|---|---|---|")
    for lines in Parallel(n_jobs=2, return_as="generator")(tasks):
        for row in lines:
            print("| " + " | ".join(row) + " |", flush=True)
    print("\n| exact test | design | attainable level at 5 %, % |\n|---|---|---|")
    for exact in attainable():
        print("| " + " | ".join(exact) + " |")


if __name__ == "__main__":
    main()
