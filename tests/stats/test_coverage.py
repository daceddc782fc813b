"""The rule that marks intervals as approximate, held against the simulated coverage that the methods print."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from helpers.analysis import load_study
from helpers.core.files import PROJECT
from helpers.stats.coverage import SMALL_GAP, WORD, shortfall, small_gap
from helpers.stats.effects import Effects
from helpers.stats.plan import Contrast

Make = Callable[..., pd.DataFrame]
Run = Callable[..., Effects]

LEAST = 93
PRINTED = {
    "BCa bootstrap of the mean": "BCa bootstrap",
    "Brunner–Munzel": "Brunner–Munzel",
    "matched rank-biserial, Fisher z": "matched rank-biserial, Fisher z",
    "likelihood of groups": "normal likelihood of groups with bounds",
    "normal likelihood of differences with bounds": "normal likelihood of differences with bounds",
    "bivariate likelihood": "bivariate normal likelihood of pairs with bounds",
    "g_av, BCa": "g_av: mean change / root mean square SD, J(n − 1), BCa",
    "Cliff's delta, logit": "Cliff's delta, Brunner–Munzel variance on the logit scale",
    "paired t": "paired t",
    "Welch t": "Welch t",
    "exact rank sum, Hodges–Lehmann": "exact Wilcoxon–Mann–Whitney",
    "interaction, difference of likelihood changes": "difference of likelihood changes, Welch–Satterthwaite",
    "gap closed, stratified donor bootstrap, when shown": "gap closed, stratified donor bootstrap",
    "gap adjusted for having smoked": "gap adjusted for having smoked, normal likelihood with bounds",
    "paired t, limit halved": "paired t, limit halved, for comparison only",
    "Welch t, limit halved": "Welch t, limit halved, for comparison only",
    "exact signed rank at one common limit": "exact Wilcoxon signed rank, zeros dropped, at one common limit",
}
SHARE = "gap closed, Fieller, when shown"
"""Marked by the size of the gap, which is no matter of method, donors and bounds."""
WITHHELD = "exact rank sum at one common limit"
"""Bears no interval at all."""
BOOTSTRAP = "gap closed, stratified donor bootstrap, when shown"
"""Marked at every size of the gap, since that size is not known."""
PRIMARY = {
    "paired t",
    "Welch t",
    "bivariate likelihood",
    "likelihood of groups",
    "interaction, Welch on differences",
    "interaction, difference of likelihood changes",
    "exact McNemar, detected or not",
    "Fisher exact, detected or not",
    "slope per doubling, t over donors",
    "co-culture beyond the sum, t over batches",
}
EXACT = {
    "exact sign flip": "exact sign flip",
    "exact signed rank, Hodges–Lehmann": "exact signed rank",
    "exact rank sum, Hodges–Lehmann": "exact rank sum",
}


class Line(NamedTuple):
    """One line of the table; what it does not give is NaN."""

    method: str
    design: str
    donors: int
    bounded: float
    coverage: float
    coverage_error: float
    level: float
    level_error: float


def methods_text() -> str:
    return (PROJECT / "docs" / "methods.md").read_text(encoding="utf-8")


def lines() -> list[Line]:
    """Every line of the table; donors are those of the smaller arm."""
    number = r"(?:([\d.]+) ± ([\d.]+)|no interval|no p|)"
    found = []
    for method, design, *numbers in re.findall(
        rf"^\| ([^|]+?) \| ([^|]+?) \| {number} \| {number} \| [\d.]* ?\|", methods_text(), flags=re.M
    ):
        arms = [int(n) for n in re.match(r"(\d+)(?: (?:v|and) (\d+))?", design).groups() if n]
        bounded = re.search(r"(\d+) % below the limit", design)
        share = int(bounded[1]) / 100 if bounded else 0.0
        found.append(Line(method, design, min(arms), share, *(float(v or "nan") for v in numbers)))
    return found


COVERED = [one for one in lines() if not np.isnan(one.coverage)]
TESTED = [one for one in lines() if not np.isnan(one.level)]


def name(one: Line) -> str:
    return f"{one.method} {one.design}"


def test_the_table_is_there() -> None:
    assert len(COVERED) > 75 and len(TESTED) > 60
    assert set(PRINTED) | {SHARE, WITHHELD} <= {one.method for one in COVERED}
    assert {one.method for one in TESTED} >= PRIMARY
    sizes = {one.donors for one in COVERED if one.method == "bivariate likelihood"}
    assert sizes == {6, 13, 26}, "the sizes that were asked for"


@pytest.mark.parametrize("one", COVERED, ids=name)
def test_what_covers_less_is_marked_and_nothing_else(one: Line) -> None:
    if one.method in (SHARE, WITHHELD):
        return
    said = shortfall(PRINTED.get(one.method, one.method), one.donors, one.bounded)
    if one.method == BOOTSTRAP:
        assert said
    else:
        assert bool(said) == (one.coverage < LEAST), f"{one.coverage} %"
    if said:  # within a point of what the sentence says
        low, *high = map(int, re.search(r"covers (?:about )?(\d+)(?: to (\d+))? %", said).groups(default=0))
        assert low - 1 <= one.coverage <= max(low, *high) + 1, said


@pytest.mark.parametrize("one", [one for one in COVERED if one.method == SHARE], ids=name)
def test_a_share_is_marked_where_its_gap_is_of_a_size_that_covers_less(one: Line) -> None:
    n, m, gap = (float(v) for v in re.match(r"(\d+) v (\d+), gap ([\d.]+)", one.design).groups())
    size = gap / (1.2 * np.sqrt(1 / n + 1 / m))  # SD between donors 1.2, as drawn
    assert (size < SMALL_GAP) == (one.coverage < LEAST)


@pytest.mark.parametrize("df", [10, 24, 50])
def test_the_rule_asks_whether_the_gap_may_be_small(df: int) -> None:
    """At the t where the rule turns, a gap of that size would give so large a t in one study of forty."""
    turns = optimize.brentq(lambda t: len(small_gap(t, df, 0.95)) - 0.5, 1.0, 12.0)
    assert stats.nct.sf(turns, df, SMALL_GAP) == pytest.approx(0.025, abs=1e-4)
    assert small_gap(-turns + 0.01, df, 0.95).startswith(WORD) and not small_gap(-turns - 0.01, df, 0.95)


def test_a_share_of_a_small_gap_says_so_in_the_table(make: Make, run: Run) -> None:
    contrast = Contrast("gap_closed", "am_msc", "am", "apap", "control")
    for gap, marked in ((1.5, True), (5.0, False)):
        found = run(make(names=("IL-6",), gap=gap), contrasts=(contrast,))
        row = found.effects.iloc[0]
        assert row["status"] == "ok" and (WORD in row["note"]) == marked
        boot = found.sensitivity[found.sensitivity["method"].str.contains("bootstrap")]["note"].iloc[0]
        assert boot.count(WORD) == 1


def test_ranks_at_one_limit_have_no_interval(make: Make, run: Run) -> None:
    found = run(make(n_apap=18, n_control=12, censored=0.3, gap=0.0)).sensitivity
    own = found[found["method"].str.contains("Mann–Whitney, at one common limit", regex=False)]
    assert len(own) and own[["ci_low", "ci_high"]].isna().all(axis=None) and own["p"].notna().all()
    assert own["note"].str.contains("no interval").all()


@pytest.mark.parametrize(
    "one", [one for one in TESTED if one.method in PRIMARY or "any of 10 readouts" in one.method], ids=name
)
def test_no_primary_test_and_no_family_calls_too_much(one: Line) -> None:
    assert one.level <= 5 + 3 * one.level_error


@pytest.mark.parametrize(
    "one",
    [
        one
        for one in COVERED
        if one.donors >= 13 and re.search(r"\bt\b|mixed model|likelihood|Welch", one.method)
        if "halved" not in one.method and "differences with bounds" not in one.method
    ],
    ids=name,
)
def test_intervals_of_t_models_and_likelihoods_cover_what_they_say(one: Line) -> None:
    """93 to 97 %, as far as so many studies can tell."""
    assert one.coverage >= 93 and one.coverage - 3 * one.coverage_error <= 97


def attainable() -> dict[tuple[str, str], float]:
    return {
        (method, design): float(level)
        for method, design, level in re.findall(r"^\| (exact [^|]+?) \| ([^|]+?) \| ([\d.]+) \|$", methods_text(), re.M)
    }


def chances(scores: list[int], chosen: int | None = None) -> np.ndarray:
    """Chance of each sum of a random subset of scores (of `chosen` of them), by multiplying out polynomials."""
    sums: dict[tuple[int, int], int] = {(0, 0): 1}
    for score in scores:
        for (k, total), ways in list(sums.items()):
            sums[k + 1, total + score] = sums.get((k + 1, total + score), 0) + ways
    ways = np.zeros(sum(scores) + 1)
    for (k, total), number in sums.items():
        ways[total] += number if chosen in (None, k) else 0
    return ways / ways.sum()


def test_attainable_levels_are_those_of_the_distributions() -> None:
    """Largest two-sided level up to 5 % of statistics whose distribution is multiplied out here."""
    want = {}
    for n in (6, 13, 20):
        want["exact sign flip", f"{n} pairs"] = np.floor(0.025 * 2**n) / 2**n * 2
        want["exact signed rank", f"{n} pairs"] = chances(list(range(1, n + 1)))
    for n, m in ((8, 6), (13, 13), (18, 8)):
        want["exact rank sum", f"{n} v {m}"] = chances(list(range(1, n + m + 1)), n)
    for n in (6, 10, 13):
        want["exact McNemar", f"{n} pairs that differ"] = stats.binom.pmf(np.arange(n + 1), n, 0.5)
    printed = attainable()
    assert set(printed) == set(want)
    for key, value in want.items():
        tails = 2 * np.cumsum(value) if np.ndim(value) else np.array([value])
        assert printed[key] == pytest.approx(100 * tails[tails <= 0.05].max(), abs=0.006), key


@pytest.mark.parametrize(
    "one", [one for one in TESTED if one.method in EXACT and "ratio 2" not in one.design], ids=name
)
def test_exact_tests_call_what_they_can_attain(one: Line) -> None:
    most = attainable().get((EXACT[one.method], re.split(",", one.design)[0]), 5.0)
    assert abs(one.level - most) <= 3 * one.level_error


def test_rows_without_an_interval_are_not_called_approximate(demo: Path) -> None:
    data = load_study(demo)
    rows = pd.concat([data.table("effects"), data.table("effects_sensitivity")])
    marked = rows[rows["note"].fillna("").str.contains(WORD)]
    assert len(marked) > 100
    assert not (marked["ci_low"].isna() & marked["ci_high"].isna()).any()
    beginnings = {re.split(r"[, ]", m)[0] for m in marked["method"]}
    assert {"BCa", "Brunner–Munzel", "matched"} <= beginnings and not beginnings & {"Welch", "paired", "g_av:"}
    assert np.isfinite(marked["estimate"].astype(float)).all()
