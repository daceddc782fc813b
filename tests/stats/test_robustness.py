"""Each primary estimate computed otherwise: fewer donors, another scale, other limits, against the same by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.stats.effects import Effects, effects
from helpers.stats.plan import Contrast, Plan, Readout

Make = Callable[..., pd.DataFrame]
Run = Callable[..., Effects]

NOT_ELIGIBLE = "P03"  # of the donors in conftest
ONE = ("IL-6",)
OVER_TIME = Contrast("trend", "am_msc", "am", "apap", over_time=True)
OVER_DOSE = Contrast("trend", "d1+d2+d4", "am", "apap", levels=(("d1", 1.0), ("d2", 2.0), ("d4", 4.0)))
SHARE = Contrast("gap_closed", "am_msc", "am", "apap", "control")
SUM = Contrast("beyond_additive", "am_msc", "am", "apap", alone="msc")
DIFFERENCE = Contrast("interaction", "am_msc", "am", "apap", "control")
PRIMARY = {("cytokines", "IL-6"): Readout("IL-6", "cytokines", role="primary")}


def beside(found: Effects, contrast: Contrast, word: str) -> pd.Series:
    own = found.sensitivity[found.sensitivity["contrast_id"] == contrast.contrast_id]
    own = own[own["method"].str.contains(word, regex=False)]
    assert len(own) == 1, own["method"].tolist()
    return own.iloc[0]


def primary(found: Effects, contrast: Contrast) -> pd.Series:
    own = found.effects[found.effects["contrast_id"] == contrast.contrast_id]
    assert len(own) == 1 and own["status"].iloc[0] == "ok", own["note"].tolist()
    return own.iloc[0]


def over_hours(make: Make) -> pd.DataFrame:
    """The treatment's effect grows with the hours, in each donor at its own pace."""
    base, rng = make(names=ONE), np.random.default_rng(11)
    pace = {d: rng.normal(0.3, 0.1) for d in sorted(set(base["donor_id"]))}
    parts = []
    for hours in (6.0, 12.0, 24.0, 48.0):
        part = base.assign(timepoint_h=hours)
        treated = part["condition"] == "am_msc"
        part["value"] *= np.where(treated, 2.0 ** (part["donor_id"].map(pace) * np.log2(hours)), 1.0)
        parts.append(part)
    return pd.concat(parts)


def over_doses(make: Make) -> pd.DataFrame:
    base, rng = make(names=ONE), np.random.default_rng(12)
    own = base[base["condition"] == "am"]
    parts = [
        own.assign(condition=f"d{d}", value=own["value"] * 2 ** (0.5 + 0.3 * np.log2(d) + rng.normal(0, 0.2, len(own))))
        for d in (1, 2, 4)
    ]
    return pd.concat([base, *parts])


def slopes_by_hand(table: pd.DataFrame, contrast: Contrast, take: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """Slope per doubling of each aPAP donor; `take` brings values to the scale."""
    own = table[table["group"] == "apap"].assign(y=lambda t: take(t["value"]))
    if contrast.over_time:
        wide = own.pivot(index="donor_id", columns=["condition", "timepoint_h"], values="y")
        levels = sorted(set(own["timepoint_h"]))
        rows = pd.DataFrame({h: wide["am_msc", h] - wide["am", h] for h in levels})
    else:
        wide = own.pivot(index="donor_id", columns="condition", values="y")
        rows = pd.DataFrame({dose: wide[c] for c, dose in contrast.levels})
    x = np.log2(rows.columns.to_numpy(dtype=float))
    return rows.apply(lambda y: stats.linregress(x, y).slope, axis=1)


@pytest.mark.parametrize(
    ("contrast", "table"), [(OVER_TIME, over_hours), (OVER_DOSE, over_doses)], ids=["time", "dose"]
)
def test_a_trend_is_made_for_eligible_donors_on_the_other_scale_and_without_each_donor(
    contrast: Contrast, table: Callable[[Make], pd.DataFrame], make: Make, run: Run
) -> None:
    rows = table(make)
    found = run(rows, contrasts=(contrast,))
    slope = slopes_by_hand(rows, contrast, np.log2)
    assert primary(found, contrast)["estimate"] == pytest.approx(slope.mean())

    kept = slope.drop(NOT_ELIGIBLE)
    eligible, test = beside(found, contrast, "eligible donors only"), stats.ttest_1samp(kept, 0)
    assert eligible["analysis_set"] == "eligible" and eligible["scale"] == "log2"
    ends = test.confidence_interval()
    assert eligible[["estimate", "ci_low", "ci_high", "p"]].tolist() == pytest.approx(
        [kept.mean(), ends.low, ends.high, test.pvalue]
    )

    plain = slopes_by_hand(rows, contrast, lambda v: v)
    other = beside(found, contrast, "other scale")
    assert (other["scale"], other["analysis_set"]) == ("identity", "all")
    assert other["estimate"] == pytest.approx(plain.mean())
    assert other["p"] == pytest.approx(stats.ttest_1samp(plain, 0).pvalue)

    without = [slope.drop(d).mean() for d in slope.index]
    row, left = primary(found, contrast), beside(found, contrast, "leave one donor out")
    assert row[["loo_low", "loo_high"]].tolist() == pytest.approx([min(without), max(without)])
    assert left[["ci_low", "ci_high"]].tolist() == pytest.approx([min(without), max(without)])
    most = slope.index[np.argmax(np.abs(np.array(without) - slope.mean()))]
    assert f"; {most} moves it most." in left["note"]


def test_a_share_of_a_gap_is_made_without_each_donor_of_either_group(make: Make, run: Run) -> None:
    table = make(names=ONE, gap=3.0)
    found = run(table, contrasts=(SHARE,))
    logs = np.log2(table.pivot(index=["group", "donor_id"], columns="condition", values="value"))

    def share(out: str) -> float:
        sick, well = (logs.loc[g].drop(out, errors="ignore") for g in ("apap", "control"))
        return float((sick["am_msc"] - sick["am"]).mean() / (well["am"].mean() - sick["am"].mean()))

    without = [share(d) for d in sorted(set(table["donor_id"]))]
    assert primary(found, SHARE)[["loo_low", "loo_high"]].tolist() == pytest.approx([min(without), max(without)])
    assert beside(found, SHARE, "eligible donors only")["estimate"] == pytest.approx(share(NOT_ELIGIBLE))
    assert "no estimate" not in beside(found, SHARE, "leave one donor out")["note"]


def test_a_gap_that_one_donor_carries_has_no_share_without_them(make: Make, run: Run) -> None:
    """Without that donor the gap is not established, so nothing is given, and the note counts them."""
    table = make(names=ONE, gap=3.0)
    for shift in np.linspace(0.0, 3.0, 61):
        nearer = table.assign(value=np.where(table["group"] == "apap", table["value"] * 2**-shift, table["value"]))
        found = effects(nearer, nearer.iloc[:0], donors_of(nearer), Plan((SHARE,), (), {}, compared_by_default=False))
        if found.effects["status"].iloc[0] == "ok" and "there is no estimate" in (
            note := beside(found, SHARE, "leave one donor out")["note"]
        ):
            break
    else:
        pytest.fail("no gap is so near its limit")
    lost = 0
    for donor in sorted(set(table["donor_id"])):
        fewer = nearer[nearer["donor_id"] != donor]
        one = effects(fewer, fewer.iloc[:0], donors_of(fewer), Plan((SHARE,), (), {}, compared_by_default=False))
        lost += one.effects["status"].iloc[0] == "not_estimable"
    assert f"Without any one of {lost} donors there is no estimate." in note


def donors_of(table: pd.DataFrame) -> pd.DataFrame:
    who = table[["donor_id", "group"]].drop_duplicates()
    return who.assign(role=who["group"].map({"apap": "disease", "control": "control"}))


def test_more_than_the_sum_is_made_for_eligible_donors_and_without_each(
    make: Make, run: Run, donors: Make, controls: Make, plan: Plan
) -> None:
    table = make(names=ONE)
    found = run(table, contrasts=(SUM,), readouts=PRIMARY)
    own = replace(plan, contrasts=(SUM,), compared_by_default=False)

    def without(donor: str) -> float:
        fewer = table[table["donor_id"] != donor]
        return float(primary(effects(fewer, controls(table), donors(fewer), own), SUM)["estimate"])

    assert beside(found, SUM, "eligible donors only")["estimate"] == pytest.approx(without(NOT_ELIGIBLE))
    left = [without(d) for d in sorted(set(table.loc[table["group"] == "apap", "donor_id"]))]
    assert primary(found, SUM)[["loo_low", "loo_high"]].tolist() == pytest.approx([min(left), max(left)])
    assert "other scale" not in " ".join(found.sensitivity["method"]), "amounts add on one scale only"


def test_a_difference_of_changes_with_bounds_stands_beside_the_one_with_halved_limits(make: Make, run: Run) -> None:
    table = make(names=ONE, n_apap=18, n_control=12, censored=0.1, gap=0.0)
    found = run(table, contrasts=(DIFFERENCE,))
    assert "likelihood" in primary(found, DIFFERENCE)["method"] and primary(found, DIFFERENCE)["n_censored"] > 0
    halved = table.assign(value=table["value"].fillna(table["upper"] / 2))
    logs = np.log2(halved.pivot(index=["group", "donor_id"], columns="condition", values="value"))
    changes = [logs.loc[g, "am_msc"] - logs.loc[g, "am"] for g in ("apap", "control")]
    row, test = beside(found, DIFFERENCE, "limit halved"), stats.ttest_ind(*changes, equal_var=False)
    assert row["estimate"] == pytest.approx(changes[0].mean() - changes[1].mean())
    assert row["p"] == pytest.approx(test.pvalue)


def test_an_interval_of_fewer_donors_is_marked_by_its_own_number(make: Make, run: Run) -> None:
    """Thirteen donors an arm cover enough, the twelve that are eligible do not."""
    gap = Contrast("group_gap", "am", "", "apap", "control")
    table = make(names=ONE, n_apap=13, n_control=13, censored=0.4, gap=0.0)
    found = run(table, contrasts=(gap,))
    assert 0.3 < primary(found, gap)["n_censored"] / 26 <= 0.5 and "likelihood" in primary(found, gap)["method"]
    assert "Approximate" not in primary(found, gap)["note"]
    assert "Approximate" in beside(found, gap, "eligible donors only")["note"]
