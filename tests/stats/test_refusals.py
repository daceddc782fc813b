"""What a comparison may not claim: slices without data, runs that part the groups, bounds, units, lots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from helpers.stats import mixed
from helpers.stats.effects import Effects
from helpers.stats.plan import Contrast, Plan, Readout

Make = Callable[..., pd.DataFrame]
Run = Callable[..., Effects]

PAIR = Contrast("msc_effect", "am_msc", "am", "apap")
GAP = Contrast("group_gap", "am", "", "apap", "control")
DIFFERENCE = Contrast("interaction", "am_msc", "am", "apap", "control")
SHARE = Contrast("gap_closed", "am_msc", "am", "apap", "control")
SUM = Contrast("beyond_additive", "am_msc", "am", "apap", alone="msc")
ONE = ("IL-6",)


def only(found: Effects, contrast: Contrast) -> pd.Series:
    own = found.effects[found.effects["contrast_id"] == contrast.contrast_id]
    assert len(own) == 1
    return own.iloc[0]


def beside(found: Effects, contrast: Contrast, word: str = "") -> pd.DataFrame:
    own = found.sensitivity[found.sensitivity["contrast_id"] == contrast.contrast_id]
    return own[own["method"].str.contains(word, regex=False)]


def bound(table: pd.DataFrame, which: pd.Series, kind: str, limit: float) -> pd.DataFrame:
    out = table.copy()
    side = "lower" if kind == "right" else "upper"
    out.loc[which, ["censoring", "value", side]] = [kind, np.nan, limit]
    return out


def logs(table: pd.DataFrame, group: str = "apap") -> pd.DataFrame:
    own = table[table["group"] == group]
    return np.log2(own.pivot(index="donor_id", columns="condition", values="value"))


# ---- rows that a contrast does not name


def test_a_zero_in_an_arm_that_is_not_named_refuses_nothing(make: Make, run: Run) -> None:
    table = make(names=ONE)
    plain = run(table, contrasts=(PAIR, GAP))
    for other in (
        (table["condition"] == "gm") & (table["donor_id"] == "P01"),
        (table["condition"] == "am_msc") & (table["group"] == "control"),
    ):
        spoilt = table.assign(value=np.where(other, 0.0, table["value"]))
        found = run(spoilt, contrasts=(PAIR, GAP))
        pd.testing.assert_frame_equal(found.effects, plain.effects)


@pytest.mark.parametrize(
    ("contrast", "status"),
    [
        (replace(PAIR, visit="V2"), "no_data"),
        (replace(PAIR, treatment="am_mcs"), "no_data"),
        (replace(PAIR, treatment="x", reference="y"), "no_data"),
        (replace(PAIR, timepoint_h=48.0), "no_data"),
        (replace(PAIR, group="nobody"), "no_data"),
        (replace(GAP, control="nobody"), "no_controls"),
        (replace(GAP, treatment="x"), "no_data"),
        (replace(DIFFERENCE, control="nobody"), "no_controls"),
        (replace(SUM, treatment="x", reference="y"), "no_data"),
    ],
)
def test_a_planned_slice_without_rows_is_a_row_with_a_sentence(
    contrast: Contrast, status: str, make: Make, run: Run
) -> None:
    refused = only(run(make(names=ONE), contrasts=(contrast,)), contrast)
    assert refused["status"] == status and pd.isna(refused["estimate"]) and pd.isna(refused["p"])
    assert refused["note"].endswith(".") and len(refused["note"].split()) > 4
    assert (refused["n_donors"] == 0) == (refused["n_cultures"] == 0)


def test_mixed_units_are_refused(make: Make, run: Run) -> None:
    table = make(names=ONE)
    table["unit"] = np.where(table["donor_id"] == "P01", "ng/ml", "pg/ml")
    found = run(table, contrasts=(PAIR, replace(PAIR, group="control"), SUM))
    assert only(found, PAIR)["status"] == only(found, SUM)["status"] == "mixed_units"
    assert only(found, replace(PAIR, group="control"))["status"] == "ok"


def test_an_infinite_value_refuses_its_own_comparison(make: Make, run: Run) -> None:
    for scale in ("log2", "identity"):
        table = make(names=("IL-6", "TNF")).assign(scale=scale)
        spoilt = (table["readout"] == "IL-6") & (table["donor_id"] == "P01") & (table["condition"] == "am")
        found = run(table.assign(value=np.where(spoilt, np.inf, table["value"])), contrasts=(PAIR, GAP, SHARE, SUM))
        status = found.effects.set_index(["readout", "contrast"])["status"]
        assert (status.loc["IL-6"] == "not_estimable").all()
        assert set(status.loc["TNF"].drop("gap_closed")) == {"ok"}


def test_numbers_that_break_a_method_cost_one_row(make: Make, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("float division by zero")

    table, plain = make(names=ONE), run(make(names=ONE), contrasts=(PAIR,))
    monkeypatch.setattr(mixed, "_kenward_roger", broken)
    found = run(table, contrasts=(PAIR,), fewest_donors=5)  # the default, but another question: answers are kept
    pd.testing.assert_frame_equal(found.effects, plain.effects)
    assert beside(found, PAIR, "Kenward–Roger").empty
    assert len(beside(plain, PAIR, "Kenward–Roger")) == 1
    monkeypatch.setattr("helpers.stats.paired.paired_t", broken)
    refused = only(run(table, contrasts=(PAIR,), several_lots="mean"), PAIR)
    assert refused["status"] == "not_estimable" and "breaks down" in refused["note"]


def test_a_donor_in_two_groups_is_refused_wherever_groups_are_compared(make: Make, run: Run) -> None:
    table = make(names=ONE)
    table = pd.concat([table, table[table["donor_id"] == "P01"].assign(group="control")])
    found = run(table, contrasts=(GAP, DIFFERENCE, SHARE))
    assert set(found.effects["status"]) == {"donor_in_two_groups"}


# ---- runs


def test_runs_that_part_the_groups_leave_no_p_anywhere(make: Make, run: Run) -> None:
    table = make(names=("IL-6", "TNF"), gap=3.0)
    known = {("cytokines", n): Readout(n, "cytokines", smallest_relevant_change=0.1) for n in ("IL-6", "TNF")}
    found = run(table.assign(run_id=table["group"]), contrasts=(GAP, SHARE, DIFFERENCE), readouts=known)
    parted = found.effects[found.effects["contrast"] != "interaction"]
    assert set(parted["status"]) == {"confounded_with_run"} and parted["estimate"].notna().all()
    assert parted[["p", "p_adjusted", "p_maxt"]].isna().all(axis=None)
    assert set(parted["relevance"]) == {""}
    rows = found.sensitivity[found.sensitivity["contrast"] != "interaction"]
    assert len(rows) and rows["p"].isna().all()
    assert only_status(found, DIFFERENCE) == {"ok"}, "a run that both arms share cancels"
    apart = run(table.assign(run_id=table["group"] + table["condition"]), contrasts=(DIFFERENCE,))
    assert only_status(apart, DIFFERENCE) == {"confounded_with_run"}
    assert apart.effects[["p", "p_maxt"]].isna().all(axis=None) and apart.sensitivity["p"].isna().all()
    shared = run(table.assign(run_id=table["condition"]), contrasts=(DIFFERENCE, GAP))
    assert set(shared.effects["status"]) == {"ok"} and shared.effects["p_maxt"].notna().all()


def only_status(found: Effects, contrast: Contrast) -> set[str]:
    return set(found.effects.loc[found.effects["contrast_id"] == contrast.contrast_id, "status"])


def test_the_audit_sets_conditions_against_each_other(make: Make, run: Run) -> None:
    table = make(names=ONE)
    found = run(table.assign(run_id=table["condition"]), contrasts=(PAIR, GAP)).confounding
    own = found[found["disease"] == "apap am_msc"].set_index("factor")
    assert own.loc["run_id", "status"] == "separate" and own.loc["batch_day", "status"] == "shared"
    assert "am_msc and am share no run_id" in own.loc["run_id", "note"]


# ---- bounds


def test_above_an_upper_limit_is_detected(make: Make, run: Run) -> None:
    table = make(names=ONE)
    kept = table["donor_id"].isin(["P01", "P02"])
    low = bound(table, (table["condition"] == "am") & ~kept, "left", 3.0)
    both = bound(low, (low["condition"] == "am_msc") & ~kept, "right", 1e4)
    found = only(run(both, contrasts=(PAIR,)), PAIR)
    assert found["p"] == pytest.approx(stats.binomtest(11, 11).pvalue), "eleven gained, none lost"
    assert "11 below a lower limit, 11 above an upper limit" in found["note"]
    between = both.assign(
        censoring=both["censoring"].replace("right", "interval"),
        upper=np.where(both["censoring"] == "right", 20.0, both["upper"]),
        lower=np.where(both["censoring"] == "right", 5.0, both["lower"]),
    )
    assert only(run(between, contrasts=(PAIR,)), PAIR)["p"] == pytest.approx(found["p"]), "between LOD and LLOQ too"


def test_groups_beyond_opposite_limits_differ(make: Make, run: Run) -> None:
    table = make(names=ONE)
    sick, well = (table["group"] == g for g in ("apap", "control"))
    table = bound(bound(table, sick, "right", 1e4), well, "left", 3.0)
    found = only(run(table, contrasts=(GAP,)), GAP)
    assert found["p"] == pytest.approx(stats.fisher_exact([[13, 0], [0, 8]]).pvalue)
    assert "Without a finite" in found["note"] and pd.isna(found["ci_high"]) and found["ci_low"] > 0
    above = only(run(bound(make(names=ONE), sick | well, "right", 1e4), contrasts=(GAP,)), GAP)
    assert above["status"] == "all_censored" and "21 above an upper limit" in above["note"]


def test_total_suppression_is_compared_by_detection(make: Make, run: Run) -> None:
    table = make(names=ONE)
    found = run(bound(table, table["condition"] == "am_msc", "left", 1.0), contrasts=(PAIR, GAP))
    own = only(found, PAIR)
    assert own["status"] == "ok" and own["method"].startswith("exact McNemar")
    assert own["p"] == pytest.approx(2 / 2**13) and "only 0 pairs are fully observed" in own["note"]


def test_no_p_below_the_plans_minimum_with_bounds_either(make: Make, run: Run) -> None:
    table = make(n_apap=7, n_control=7, names=ONE, gap=3.0)
    first = (table["donor_id"] == "P01") & (table["condition"] == "am")
    for rows in (table, bound(table, first, "left", 1.0), bound(table, table["condition"] == "am", "left", 1.0)):
        found = run(rows, contrasts=(PAIR, GAP, DIFFERENCE, SHARE), fewest_donors=8)
        assert found.effects["p"].isna().all() and set(found.effects["status"]) <= {
            "too_few_donors",
            "all_censored",
            "not_estimable",
        }
    assert only(run(table, contrasts=(SHARE,), fewest_donors=8), SHARE)["status"] == "too_few_donors"
    assert only(run(table, contrasts=(SHARE,), fewest_donors=7), SHARE)["status"] == "ok"


def test_equal_values_with_one_bound_have_no_spread(make: Make, run: Run) -> None:
    table = make(names=ONE)
    table["value"] = np.where(table["condition"] == "am", 8.0, 16.0)
    table = bound(table, (table["donor_id"] == "P01") & (table["condition"] == "am"), "left", 4.0)
    assert set(run(table, contrasts=(PAIR, GAP)).effects["status"]) == {"zero_variance"}


def test_equal_groups_on_a_log_scale_have_no_spread(make: Make, run: Run) -> None:
    table = make(names=ONE)
    table["value"] = np.where(table["group"] == "apap", 3.2, 7.7)
    assert set(run(table, contrasts=(PAIR, GAP, DIFFERENCE, SHARE)).effects["status"]) == {"zero_variance"}


@pytest.mark.parametrize("scale", ["identity", "log2"])
def test_half_a_limit_is_half_in_the_unit_of_the_readout(make: Make, run: Run, scale: str) -> None:
    table = make(names=ONE).assign(scale=scale)
    which = table["donor_id"].isin(["P01", "P02"]) & (table["condition"] == "am")
    found = beside(run(bound(table, which, "left", 60.0), contrasts=(PAIR,)), PAIR, "halved")
    own = table.assign(value=np.where(which, 30.0, table["value"]))
    wide = logs(own) if scale == "log2" else 2 ** logs(own)
    assert found["estimate"].tolist() == pytest.approx([(wide["am_msc"] - wide["am"]).mean()])


def test_one_bound_leaves_the_difference_of_changes(make: Make, run: Run) -> None:
    table = make(names=ONE, gap=3.0)
    which = (table["donor_id"] == "P01") & (table["condition"] == "am_msc")
    limit = 1.02 * table.loc[which, "value"].iloc[0]  # a value just below a limit: little is lost
    bounded = run(bound(table, which, "left", limit), contrasts=(PAIR, GAP, DIFFERENCE, SHARE))
    plain = run(table, contrasts=(DIFFERENCE, SHARE))
    one, two = only(bounded, DIFFERENCE), only(plain, DIFFERENCE)
    assert one["status"] == "ok" and "likelihood" in one["method"] and pd.isna(one["p_maxt"])
    assert one["estimate"] == pytest.approx(two["estimate"], abs=0.15)
    assert one["ci_high"] - one["ci_low"] == pytest.approx(two["ci_high"] - two["ci_low"], rel=0.25)
    refused = only(bounded, SHARE)
    assert refused["status"] == "not_estimable" and "beyond a limit" in refused["note"]
    parts = beside(bounded, SHARE)
    assert [m.split(",")[0] for m in parts["method"]] == ["change", "gap"]
    assert parts["estimate"].tolist() == pytest.approx(
        [only(bounded, PAIR)["estimate"], -only(bounded, GAP)["estimate"]]
    )
    assert parts["p"].isna().all()


def test_a_share_that_fieller_refuses_keeps_its_parts(make: Make, run: Run) -> None:
    table = make(names=ONE, gap=0.0, seed=2)
    found = run(table, contrasts=(SHARE,))
    assert only(found, SHARE)["status"] == "not_estimable"
    assert beside(found, SHARE)["method"].tolist() == ["change", "gap"]
    wide = logs(table)
    assert beside(found, SHARE, "change")["estimate"].iloc[0] == pytest.approx((wide["am_msc"] - wide["am"]).mean())


# ---- more than the sum


def test_sums_of_amounts_are_of_matched_rows_only(make: Make, run: Run, controls: Make) -> None:
    table = make(names=ONE)
    wells = controls(table)
    few = wells[wells["batch_day"].isin(sorted(set(wells["batch_day"]))[:3])]
    found = only(run(table, few, contrasts=(SUM,)), SUM)
    matched = table[(table["group"] == "apap") & table["batch_day"].isin(few["batch_day"])]
    n = matched["donor_id"].nunique()
    assert (found["n_donors"], found["n_pairs"], found["df"]) == (n, n, 2) and n < 13
    assert found["n_cultures"] == 4 * n
    stray = wells.iloc[:1].assign(batch_day=999, censoring="left", value=np.nan)
    plain, strayed = (only(run(table, w, contrasts=(SUM,)), SUM) for w in (wells, pd.concat([wells, stray])))
    pd.testing.assert_series_equal(plain, strayed)
    unnamed = only(run(table.assign(msc_lot_id=None), wells, contrasts=(SUM,)), SUM)
    assert unnamed["estimate"] == plain["estimate"]


@pytest.mark.parametrize(("value", "status"), [(0.0, "wrong_scale"), (-1.0, "wrong_scale"), (np.inf, "not_estimable")])
@pytest.mark.parametrize("condition", ["am_msc", "am"])
def test_amounts_that_have_no_logarithm_are_refused(
    make: Make, run: Run, value: float, status: str, condition: str
) -> None:
    table = make(names=ONE).assign(scale="identity")
    which = (table["donor_id"] == "P01") & (table["condition"] == condition)
    found = only(run(table.assign(value=np.where(which, value, table["value"])), contrasts=(SUM,)), SUM)
    if condition == "am" and value == 0:
        assert found["status"] == "ok", "nothing of one cell and something of the other have a sum"
    else:
        assert found["status"] == status and found["note"].endswith(".")


def test_two_rows_with_one_lot_are_refused_and_two_lots_averaged(make: Make, run: Run, controls: Make) -> None:
    table = make(names=ONE)
    treated = table["condition"] == "am_msc"
    table.loc[treated, "msc_lot_id"] = "M1"
    wells = controls(table)
    wells = pd.concat([wells.assign(msc_lot_id=lot) for lot in ("M1", "M2")])
    again = table[treated & (table["donor_id"] == "P01")]
    plain = only(run(table, wells, contrasts=(SUM,)), SUM)
    twice = only(run(pd.concat([table, again.assign(value=1e6)]), wells, contrasts=(SUM,)), SUM)
    assert twice["status"] == "repeated_rows" and "P01" in twice["note"]
    lots = only(
        run(pd.concat([table, again.assign(msc_lot_id="M2", value=4 * again["value"])]), wells, contrasts=(SUM,)), SUM
    )
    batch = table.loc[table["donor_id"] == "P01", "batch_day"].iloc[0]
    mates = table.loc[(table["group"] == "apap") & (table["batch_day"] == batch), "donor_id"].nunique()
    assert lots["estimate"] == pytest.approx(plain["estimate"] + 1.0 / mates / 5), "half of two doublings, one donor"
    assert lots["n_pairs"] == plain["n_pairs"] == 13


def test_wells_with_different_numbers_of_msc_match_none(make: Make, run: Run, controls: Make) -> None:
    table = make(names=ONE)
    wells = controls(table).assign(msc_per_well=10_000)
    assert only(run(table, wells, contrasts=(SUM,)), SUM)["status"] == "ok"
    both = pd.concat([wells, wells.assign(msc_per_well=50_000, value=900.0)])
    refused = only(run(table, both, contrasts=(SUM,)), SUM)
    assert refused["status"] == "not_estimable" and "different numbers of MSC" in refused["note"]


# ---- labels


def test_rows_beside_carry_their_own_set_and_scale(make: Make, run: Run) -> None:
    found = run(make(names=ONE), contrasts=(PAIR,))
    rows = beside(found, PAIR)
    eligible = rows["method"].str.contains("eligible donors only")
    other = rows["method"].str.contains("other scale")
    assert set(rows.loc[eligible, "analysis_set"]) == {"eligible"} and set(rows.loc[~eligible, "analysis_set"]) == {
        "all"
    }
    assert set(rows.loc[other, "scale"]) == {"identity"} and set(rows.loc[~other, "scale"]) == {"log2"}
    assert eligible.sum() == other.sum() == 1


def test_one_lot_says_that_it_applies_to_this_lot(make: Make, run: Run) -> None:
    table = make(names=ONE)
    table.loc[table["condition"] == "am_msc", "msc_lot_id"] = "M1"
    found = run(table, contrasts=(PAIR, GAP, DIFFERENCE))
    assert only(found, PAIR)["note"] == only(found, DIFFERENCE)["note"] == "One MSC lot, M1: applies to this lot."
    assert only(found, GAP)["note"] == ""


def test_both_degrees_of_freedom_stand_beside_the_pairs(make: Make, run: Run) -> None:
    table = make(names=ONE, n_apap=12)
    table = table[~(table["donor_id"].isin(["P01", "P02"]) & (table["condition"] == "am_msc"))]
    rows = beside(run(table, contrasts=(PAIR,)), PAIR, "mixed model").set_index("method")
    assert list(rows.index) == [f"mixed model, {d}, all donors" for d in ("Kenward–Roger", "Satterthwaite")]
    assert rows["estimate"].nunique() == 1 and rows["df"].between(8, 14).all()


def test_the_gap_has_a_term_for_having_smoked(make: Make, run: Run, donors: Make) -> None:
    """Against the same least squares solved by hand."""
    table = make(names=ONE)
    found = beside(run(table, contrasts=(GAP,)), GAP, "having smoked").iloc[0]
    own = table[table["condition"] == "am"].merge(donors(table)[["donor_id", "smoking_status"]], on="donor_id")
    design = np.column_stack([np.ones(len(own)), own["group"] == "apap", own["smoking_status"] != "never"]).astype(
        float
    )
    y = np.log2(own["value"].to_numpy())
    beta, rest, *_ = np.linalg.lstsq(design, y, rcond=None)
    se = np.sqrt(rest[0] / (len(y) - 3) * np.linalg.inv(design.T @ design)[1, 1])
    assert (found["estimate"], found["df"]) == pytest.approx((beta[1], len(y) - 3))
    assert found["p"] == pytest.approx(2 * stats.t.sf(abs(beta[1] / se), len(y) - 3))


def test_the_gap_with_a_term_for_smoking_keeps_bounds_as_bounds(make: Make, run: Run, donors: Make) -> None:
    """Against SciPy's minimiser on the likelihood written out; values below a limit are not left out."""
    table = make(names=ONE, n_apap=18, n_control=12, gap=1.0)
    at = table["condition"] == "am"
    limit = float(table.loc[at, "value"].quantile(0.25))
    below = at & (table["value"] < limit)
    found = run(bound(table, below, "left", limit), contrasts=(GAP,))
    row = beside(found, GAP, "having smoked").iloc[0]
    assert row["method"].endswith("normal likelihood with bounds") and row["df"] == 27
    own = table[at].merge(donors(table)[["donor_id", "smoking_status"]], on="donor_id")
    x = np.column_stack([np.ones(30), own["group"] == "apap", own["smoking_status"] != "never"]).astype(float)
    y, hidden = np.log2(own["value"].clip(lower=limit)).to_numpy(), (own["value"] < limit).to_numpy()

    def minus(theta: np.ndarray) -> float:
        normal = stats.norm(x @ theta[:3], np.exp(theta[3]))
        return -float(np.where(hidden, normal.logcdf(y), normal.logpdf(y)).sum())

    best = optimize.minimize(minus, [7.0, 1.0, 0.0, 0.0], method="BFGS", options={"gtol": 1e-7})
    assert 5 < hidden.sum() < 10 and row["estimate"] == pytest.approx(best.x[1], abs=1e-4)
    without = np.linalg.lstsq(x[~hidden], y[~hidden], rcond=None)[0][1]
    assert abs(row["estimate"] - without) > 0.1, "what lies below the limit is no missing value"
    most = bound(table, at & (table["value"] < table.loc[at, "value"].quantile(0.7)), "left", 1e3)
    assert beside(run(most, contrasts=(GAP,)), GAP, "having smoked").empty, "detection alone is compared"


def test_a_slope_is_not_judged_by_a_change(make: Make, run: Run, plan: Plan) -> None:
    table = make(names=ONE)
    base = table[table["condition"] == "am"]
    rng = np.random.default_rng(1)
    series = [
        base.assign(condition=f"d{d}", value=base["value"] * d * 2 ** rng.normal(0, 0.1, len(base))) for d in (1, 2)
    ]
    trend = Contrast("trend", "d1+d2", "am", "apap", levels=(("d1", 1.0), ("d2", 2.0)))
    known = {("cytokines", "IL-6"): Readout("IL-6", "cytokines", smallest_relevant_change=0.1)}
    found = run(pd.concat([table, *series]), contrasts=(trend, PAIR), readouts=known)
    assert only(found, trend)["status"] == "ok" and only(found, trend)["relevance"] == ""
    assert only(found, PAIR)["relevance"] != ""


# ---- concordance


def test_concordance_tells_minutes_apart_and_says_what_is_assumed(make: Make, run: Run) -> None:
    parts = []
    for minutes in (30.0, 120.0):
        part = make(names=("bead",), gap=4.0, seed=int(minutes))
        parts.append(part.assign(assay="phagocytosis", assay_minutes=minutes))
    known = {("phagocytosis", "bead"): Readout("bead", "phagocytosis", direction="down")}
    found = run(pd.concat(parts), contrasts=(PAIR,), readouts=known).concordance
    assert found[["first", "second"]].to_numpy().tolist() == [
        ["phagocytosis bead 24 h 30 min", "phagocytosis bead 24 h 120 min"]
    ]
    assert found["note"].iloc[0].startswith("Direction assumed: phagocytosis bead 24 h 30 min, ")
    shown = run(pd.concat(parts), contrasts=(PAIR, GAP), readouts=known).concordance
    assert shown["note"].tolist() == [""], "the study's own gap has the stated direction"
    against = {k: replace(r, direction="up") for k, r in known.items()}
    assert run(pd.concat(parts), contrasts=(PAIR, GAP), readouts=against).concordance["note"].iloc[0] != ""


def test_clinical_covariates_stand_beside_the_changes(make: Make, plan: Plan, donors: Make, controls: Make) -> None:
    from helpers.stats.effects import effects

    table = make(names=("IL-6", "TNF"))
    known = {("cytokines", n): Readout(n, "cytokines", direction="up") for n in ("IL-6", "TNF")}
    change = logs(table[table["readout"] == "IL-6"]).pipe(lambda w: w["am_msc"] - w["am"])
    who = donors(table).assign(dss=lambda d: np.where(d["donor_id"] == "P01", "1-2", "3"), aa_gradient_mmhg=np.nan)
    who["pao2_mmhg"] = 60 + 5 * who["donor_id"].map(change)
    found = effects(table, controls(table), who, replace(plan, contrasts=(PAIR,), readouts=known)).concordance
    pairs = found.set_index(["first", "second"])["rho"]
    assert pairs[("cytokines IL-6 24 h", "PaO2")] == pytest.approx(1.0)
    assert pd.isna(pairs[("cytokines IL-6 24 h", "disease severity score")]), "one score for all"
    assert not any("gradient" in name for pair in pairs.index for name in pair)
    assert not any(first == "PaO2" for first, _ in pairs.index), "no covariate against another"
