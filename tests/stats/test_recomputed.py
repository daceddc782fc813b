"""The primary estimates a second time: the same numbers where nothing is wrong, and a row that differs where one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.analysis import load_study
from helpers.core.schemas import output_tables
from helpers.stats.effects import Effects
from helpers.stats.plan import Family, Plan, Readout
from helpers.stats.recomputed import AGAIN, recomputed

Make = Callable[..., pd.DataFrame]
Run = Callable[..., Effects]
MSC, GAP, CHANGE = "msc_effect:am_msc:am:apap", "group_gap:am:apap:control", "interaction:am_msc:am:apap:control"


def fractions(make: Make) -> pd.DataFrame:
    """Percentages with the counts behind them, some of which are 0 or all."""
    readouts = make(names=("AM|CD206+|pct",))
    share = 1 / (1 + np.exp(-(np.log2(readouts["value"]) - 7) / 2))
    k = np.random.default_rng(4).binomial(40, share)
    k[:3] = 0, 40, 0
    return readouts.assign(scale="logit", unit="%", value=100 * k / 40, k=k, n=40, assay="phenotype")


def uncounted(make: Make) -> pd.DataFrame:
    """Shares that come without counts."""
    return fractions(make).assign(k=pd.NA, n=pd.NA, value=lambda t: t["value"].clip(2, 98))


def lost(make: Make) -> pd.DataFrame:
    """Wells of other conditions lost for several donors."""
    readouts = make()
    out = {("P02", "am"), ("P05", "am_msc"), ("C01", "am_msc"), ("C02", "gm")}
    keys = zip(readouts["donor_id"], readouts["condition"], strict=True)
    return readouts[[key not in out for key in keys]]


CASES: dict[str, Callable[[Make], pd.DataFrame]] = {
    "folds": lambda make: make(),
    "differences": lambda make: make().assign(scale="identity"),
    "fractions": fractions,
    "fractions without counts": uncounted,
    "lost wells": lost,
    "some beyond a limit": lambda make: make(censored=0.1),
    "few donors": lambda make: make(n_apap=4, n_control=3),
    "two donors": lambda make: make(n_apap=2, n_control=2),
    "kinetics": lambda make: make().assign(assay_minutes=30.0),
}


@pytest.mark.parametrize("name", CASES)
def test_another_program_gives_the_same_numbers(name: str, make: Make, run: Run, plan: Plan) -> None:
    readouts = CASES[name](make)
    found = run(readouts).effects
    again = recomputed(found, readouts, plan)
    own = found[found["method"].isin(AGAIN) & found["estimate"].notna()]
    assert len(again) == len(own) > 0
    assert again["status"].tolist() == ["same"] * len(own), again["note"].tolist()
    for column in ("estimate", "ci_low", "ci_high", "p", "p_adjusted"):
        np.testing.assert_allclose(again[column], own[column], rtol=1e-7, atol=1e-9, err_msg=column)


def test_donors_are_counted_as_they_stand_in_the_readouts(make: Make, run: Run, plan: Plan) -> None:
    for readouts, pairs, gap, change in ((make(), 13, (13, 8), (13, 8)), (lost(make), 11, (12, 8), (11, 7))):
        again = recomputed(run(readouts).effects, readouts, plan).query("readout == 'TNF'").set_index("contrast_id")
        counts = again[["n_first", "n_second"]].apply(tuple, axis=1)
        assert counts[MSC] == (pairs, pairs) and counts[GAP] == gap and counts[CHANGE] == change


CASES_OF_PLAN: dict[str, dict[str, object]] = {
    "intervals of 90 %": {"alpha": 0.1},
    "one family, Holm": {"families": (Family("all", (), (), "holm"),)},
    "one family, no adjustment": {"families": (Family("all", (), (), "none"),)},
    "fewer donors than asked for": {"fewest_donors": 9},
    "another scale": {"readouts": {("cytokines", "IL-6"): Readout("IL-6", "cytokines", scale="identity")}},
    "a primary readout": {"readouts": {("cytokines", "IL-6"): Readout("IL-6", "cytokines", role="primary")}},
}


@pytest.mark.parametrize("name", CASES_OF_PLAN)
def test_the_plan_is_followed(name: str, make: Make, run: Run, plan: Plan) -> None:
    """What the plan says enters anew: whoever followed another plan differs."""
    readouts, other = make(), replace(plan, **CASES_OF_PLAN[name])  # type: ignore[arg-type]
    found = run(readouts, **CASES_OF_PLAN[name]).effects
    again = recomputed(found, readouts, other)
    assert len(again) and (again["status"] == "same").all(), again["note"].tolist()
    assert (recomputed(found, readouts, plan)["status"] == "differs").any()


def test_contrasts_that_name_a_visit_or_a_time(make: Make, run: Run, plan: Plan) -> None:
    msc = next(c for c in plan.contrasts if c.contrast_id == MSC)
    two = {
        "contrasts": (
            replace(msc, visit="V2"),
            replace(msc, timepoint_h=24.0),
            replace(msc, timepoint_h=48.0, role="primary"),
        )
    }
    several = pd.concat([make(), make(seed=2).assign(timepoint_h=48.0), make(seed=3).assign(visit="V2")])
    found = run(several, **two).effects
    again = recomputed(found, several, replace(plan, **two))  # type: ignore[arg-type]
    assert len(again) == 9 and (again["status"] == "same").all(), again["note"].tolist()


def test_minutes_of_a_kinetic_assay_are_kept_apart(make: Make, run: Run, plan: Plan) -> None:
    several = pd.concat([make(seed=i).assign(assay_minutes=30.0 * i) for i in (1, 2)])
    found = run(several).effects
    again = recomputed(found, several, plan)
    assert (again["status"] == "same").all() and set(again["assay_minutes"]) == {30.0, 60.0}


BROKEN: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "every p lost": lambda e: e.assign(p=np.nan, p_adjusted=np.nan),
    "ratio doubled": lambda e: e.assign(ratio=e["ratio"] * 2),
    "end of a ratio": lambda e: e.assign(ratio_low=1.0),
    "pairs": lambda e: e.assign(n_pairs=e["n_pairs"] + 1, n_donors=e["n_donors"] + 1),
    "p not adjusted": lambda e: e.assign(p_adjusted=e["p"]),
    "no interval": lambda e: e.assign(ci_low=np.nan, ci_high=np.nan),
    "scale": lambda e: e.assign(scale="identity"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_column_that_is_wrong_differs(name: str, make: Make, run: Run, plan: Plan) -> None:
    readouts = make()
    again = recomputed(BROKEN[name](run(readouts).effects), readouts, plan)
    assert (again["status"] == "differs").mean() > 0.5, again["note"].tolist()


def test_readouts_without_a_scale_are_taken_as_they_are(make: Make, run: Run, plan: Plan) -> None:
    readouts = make(names=("IL-6",)).assign(scale=None)
    again = recomputed(run(make(names=("IL-6",)).assign(scale="identity")).effects, readouts, plan)
    assert len(again) and (again["status"] == "same").all()


def test_what_pingouin_cannot_compute_is_a_row_that_differs(
    make: Make, run: Run, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pingouin

    def broken(*_: object, **__: object) -> None:
        raise ValueError("no")

    readouts = make()
    monkeypatch.setattr(pingouin, "ttest", broken)
    again = recomputed(run(readouts).effects, readouts, plan)
    assert (again["status"] == "differs").all() and again["note"].str.contains("computed again empty").all()


def test_it_is_another_program(make: Make, run: Run, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test of ours that is broken changes nothing here: the row differs."""
    import pingouin

    readouts = make()
    found = run(readouts).effects
    real = pingouin.ttest
    monkeypatch.setattr(pingouin, "ttest", lambda *a, **k: real(*a, **k).assign(p_val=0.5))
    again = recomputed(found, readouts, plan)
    assert (again["p"] == 0.5).all() and (again["status"] == "differs").all()
    assert again["note"].str.contains("computed again 0.500").all()


def test_lots_that_the_plan_averages_or_names(make: Make, run: Run, plan: Plan) -> None:
    readouts = make()
    treated = readouts["condition"] == "am_msc"
    readouts["msc_lot_id"] = np.where(treated, "M1", "")
    both = pd.concat([readouts, readouts[treated].assign(msc_lot_id="M2", value=readouts["value"] * 3)])
    averaged = {"several_lots": "mean"}
    named = {"contrasts": tuple(replace(c, msc_lot_id="M2") for c in plan.contrasts)}
    for changes in (averaged, named):
        found = run(both, **changes).effects
        again = recomputed(found, both, replace(plan, **changes))  # type: ignore[arg-type]
        assert len(again) > 3 and (again["status"] == "same").all(), again["note"].tolist()


def test_times_and_visits_are_kept_apart(make: Make, run: Run, plan: Plan) -> None:
    one = make()
    several = pd.concat([one, make(seed=2).assign(timepoint_h=48.0), make(seed=3).assign(visit="V2")])
    found = run(several).effects
    again = recomputed(found, several, plan)
    assert (again["status"] == "same").all() and set(again["timepoint_h"]) == {24.0, 48.0}


@pytest.mark.parametrize("column", ["estimate", "ci_low", "ci_high", "p", "p_adjusted"])
def test_a_number_that_is_off_by_a_thousandth_differs(column: str, make: Make, run: Run, plan: Plan) -> None:
    readouts = make()
    found = run(readouts).effects.copy()
    at = found.index[(found["contrast_id"] == MSC) & (found["readout"] == "TNF")][0]
    half = (found.loc[at, "ci_high"] - found.loc[at, "ci_low"]) / 2
    found.loc[at, column] += 1e-3 * (found.loc[at, column] if column.startswith("p") else half)
    again = recomputed(found, readouts, plan)
    differing = again[again["status"] == "differs"]
    assert differing[["contrast_id", "readout"]].to_numpy().tolist() == [[MSC, "TNF"]]
    assert differing["note"].iloc[0].startswith(column.replace("_", " ")) and differing["note"].iloc[0].endswith(".")


def wrong_scale(t: pd.DataFrame) -> pd.DataFrame:
    return t.assign(scale=np.where(t["readout"] == "IL-6", "identity", t["scale"]))


def turned_pairs(t: pd.DataFrame) -> pd.DataFrame:
    """Values of one arm handed on to the next donor: the means stay, the pairs do not."""
    out, at = t.copy(), (t["condition"] == "am_msc") & (t["group"] == "apap") & (t["readout"] == "IL-6")
    out.loc[at, "value"] = np.roll(out.loc[at, "value"], 1)
    return out


def one_donor_less(t: pd.DataFrame) -> pd.DataFrame:
    return t[~((t["donor_id"] == "P04") & (t["readout"] == "IL-6"))]


@pytest.mark.parametrize("wrong", [wrong_scale, turned_pairs, one_donor_less])
def test_a_mistake_in_what_was_compared_differs(
    wrong: Callable[[pd.DataFrame], pd.DataFrame], make: Make, run: Run, plan: Plan
) -> None:
    """Effects that were computed from wrong rows, beside the right table of readouts."""
    readouts = make()
    again = recomputed(run(wrong(readouts)).effects, readouts, plan)
    differing = again[again["status"] == "differs"]
    assert MSC in set(differing["contrast_id"])
    own = differing[~differing["note"].str.startswith("p adjusted")]  # those of a family share one adjustment
    assert set(own["readout"]) == {"IL-6"}


@pytest.mark.parametrize(
    "kept",
    [
        lambda t: t["readout"] != "IL-6",
        lambda t: (t["readout"] != "IL-6") | (t["condition"] != "am_msc"),
        lambda t: (t["readout"] != "IL-6") | (t["group"] != "apap"),
        lambda t: (t["readout"] != "IL-6") | (t["donor_id"] == "P01"),
    ],
)
def test_effects_without_their_readouts_differ(
    kept: Callable[[pd.DataFrame], pd.Series], make: Make, run: Run, plan: Plan
) -> None:
    readouts = make()
    found = run(readouts).effects
    again = recomputed(found, readouts[kept(readouts)], plan)
    missing = again[(again["readout"] == "IL-6") & (again["contrast_id"] == MSC)].iloc[0]
    assert missing["status"] == "differs" and "estimate is" in missing["note"] and "again empty" in missing["note"]
    assert missing["test"] == "" and pd.isna(missing["estimate"])
    assert len(again) == found["method"].isin(AGAIN).sum()


def test_no_p_where_the_plan_gives_none(make: Make, run: Run, plan: Plan) -> None:
    readouts = make(n_apap=4, n_control=3)
    again = recomputed(run(readouts).effects, readouts, plan)
    assert len(again) and again[["p", "p_adjusted"]].isna().all(axis=None) and again["estimate"].notna().all()


def test_families_are_adjusted_with_the_tests_that_it_does_not_have(make: Make, run: Run, plan: Plan) -> None:
    readouts = make(names=("IL-6", "TNF", "CCL18", "IL-8"))
    bounded = make(names=("IL-1b",), censored=0.3)
    both = pd.concat([readouts, bounded])
    found = run(both).effects
    again = recomputed(found, both, plan)
    family = found[found["contrast_id"] == MSC]
    assert "IL-1b" not in set(again["readout"]) and family["family_size"].iloc[0] == 5
    assert (again["status"] == "same").all()


def test_nothing_to_compute_is_an_empty_table(make: Make, run: Run, plan: Plan) -> None:
    readouts = make(censored=0.9)
    found = run(readouts).effects
    for effects, table in ((found, readouts), (found.head(0), readouts.head(0))):
        again = recomputed(effects, table, plan)
        assert list(again.columns) == output_tables()["effects_recomputed"].columns and again.empty


def test_pingouin_is_left_as_it_was(make: Make, run: Run, plan: Plan) -> None:
    import pingouin

    before = dict(pingouin.options)
    readouts = make()
    recomputed(run(readouts).effects, readouts, plan)
    assert dict(pingouin.options) == before


def test_every_t_test_of_the_demo_is_the_same(demo: Path) -> None:
    data = load_study(demo)
    found, again = data.table("effects"), data.table("effects_recomputed")
    due = found[found["method"].isin(AGAIN) & found["estimate"].notna()]
    assert len(again) == len(due) > 400
    assert (again["status"] == "same").all(), again.loc[again["status"] != "same", ["readout", "contrast_id", "note"]]
    assert due["status"].isin(["ok", "too_few_donors", "confounded_with_run"]).all()
