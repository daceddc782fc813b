"""The table of effects: every contrast in it, invariants of its numbers, refusals as rows with a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.core.numbers import show
from helpers.core.schemas import output_tables
from helpers.stats.additive import widest_t
from helpers.stats.effects import Answer, Effects, Part, answered, effects
from helpers.stats.paired import paired_t
from helpers.stats.plan import Contrast, Family, Plan, Readout
from helpers.stats.recomputed import recomputed
from helpers.stats.sentences import primary_changes
from helpers.stats.words import methods
from helpers.study.config import Config

Make = Callable[..., pd.DataFrame]
KEYS = ["contrast_id", "assay", "readout", "timepoint_h"]
NUMBERS = ["estimate", "ci_low", "ci_high", "p", "p_adjusted", "p_maxt", "effect_size", "loo_low", "loo_high"]


def row(found: Effects, contrast_id: str, readout: str = "IL-6") -> pd.Series:
    own = found.effects[(found.effects["contrast_id"] == contrast_id) & (found.effects["readout"] == readout)]
    assert len(own) == 1
    return own.iloc[0]


MSC, GAP, DIFFERENCE, SHARE = (
    "msc_effect:am_msc:am:apap",
    "group_gap:am:apap:control",
    "interaction:am_msc:am:apap:control",
    "gap_closed:am_msc:am:apap:control",
)


def wide(readouts: pd.DataFrame, readout: str = "IL-6") -> pd.DataFrame:
    own = readouts[readouts["readout"] == readout]
    return np.log2(own.pivot(index=["group", "donor_id"], columns="condition", values="value"))


def test_every_contrast_of_every_readout_is_a_row(make: Make, run: Callable[..., Effects], plan: Plan) -> None:
    found = run(make()).effects
    assert list(found.columns) == output_tables()["effects"].columns
    assert len(found) == len(plan.contrasts) * 3
    assert not found.duplicated(KEYS).any()
    assert set(found["contrast_id"]) == {c.contrast_id for c in plan.contrasts}
    assert (found["status"] == "ok").all()


def asked(readouts: pd.DataFrame, wells: pd.DataFrame, donors: pd.DataFrame, plan: Plan) -> dict[str, str]:
    """Digest of each readout's part."""
    parts: list[Part] = []

    def ask(these: Sequence[Part]) -> list[list[Answer]]:
        parts.extend(these)
        return [answered(part) for part in these]

    effects(readouts, wells, donors, plan, ask)
    return {part.name: part.digest for part in parts}


def test_a_readout_is_compared_again_where_something_of_its_own_changed(
    make: Make, controls: Make, donors: Callable[[pd.DataFrame], pd.DataFrame], plan: Plan
) -> None:
    names = {"IL-6", "TNF", "CCL18"}
    readouts = make(n_apap=6, n_control=6).query("readout != 'TNF' or donor_id != 'P06'").reset_index(drop=True)
    wells, people = controls(readouts), donors(readouts)
    first = asked(readouts, wells, people, plan)
    assert set(first) == names and len(set(first.values())) == 3

    def changed(**other: object) -> set[str]:
        now = asked(**({"readouts": readouts, "wells": wells, "donors": people, "plan": plan} | other))  # type: ignore[arg-type]
        return {n for n in names if now[n] != first[n]}

    of_il6 = readouts["readout"] == "IL-6"
    assert changed() == set()
    assert changed(readouts=readouts.assign(value=readouts["value"].where(~of_il6, readouts["value"] * 2))) == {"IL-6"}
    assert changed(wells=wells.assign(value=wells["value"].where(wells["readout"] != "TNF", 1.0))) == {"TNF"}
    assert changed(donors=people.assign(pao2_mmhg=50.0)) == set(), "no comparison of one readout asks for it"
    ineligible = people["eligible_all_of"].mask(people["donor_id"] == "P06", "ineligible")
    assert changed(donors=people.assign(eligible_all_of=ineligible)) == {"IL-6", "CCL18"}, "it has no value of TNF"
    known = Readout("TNF", "cytokines", direction="down", smallest_relevant_change=0.5)
    assert changed(plan=replace(plan, readouts={("cytokines", "TNF"): known})) == {"TNF"}
    assert changed(plan=replace(plan, alpha=0.01)) == names


def test_primary_estimates_are_the_textbook_tests(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make()
    found, table = run(readouts), wide(readouts)
    sick, well = table.loc["apap"], table.loc["control"]
    t = stats.ttest_rel(sick["am_msc"], sick["am"])
    assert row(found, MSC)["p"] == pytest.approx(t.pvalue, rel=1e-12)
    assert row(found, MSC)["estimate"] == pytest.approx((sick["am_msc"] - sick["am"]).mean(), rel=1e-12)
    assert row(found, MSC)["ratio"] == pytest.approx(2 ** (sick["am_msc"] - sick["am"]).mean(), rel=1e-12)
    welch = stats.ttest_ind(sick["am"], well["am"], equal_var=False)
    assert row(found, GAP)["p"] == pytest.approx(welch.pvalue, rel=1e-12)
    changes = [t["am_msc"] - t["am"] for t in (sick, well)]
    assert row(found, DIFFERENCE)["p"] == pytest.approx(stats.ttest_ind(*changes, equal_var=False).pvalue, rel=1e-12)
    share = row(found, SHARE)
    assert share["estimate"] == pytest.approx(changes[0].mean() / (well["am"].mean() - sick["am"].mean()), rel=1e-12)
    assert share["ci_low"] < share["estimate"] < share["ci_high"] and pd.isna(share["p"])


def test_complete_two_by_two_mixed_model_is_the_pooled_t_on_differences(
    make: Make, run: Callable[..., Effects]
) -> None:
    readouts = make()
    found, table = run(readouts), wide(readouts)
    own = found.sensitivity[(found.sensitivity["contrast_id"] == DIFFERENCE) & (found.sensitivity["readout"] == "IL-6")]
    mixed = own[own["method"].str.startswith("mixed model")].iloc[0]
    pooled = stats.ttest_ind(*(table.loc[g, "am_msc"] - table.loc[g, "am"] for g in ("apap", "control")))
    assert (mixed["p"], mixed["df"]) == pytest.approx((pooled.pvalue, pooled.df), rel=1e-6)


def test_sensitivity_rows_of_each_contrast(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make(n_apap=14)
    lost = (readouts["donor_id"].isin(["P01", "P02"])) & (readouts["condition"] == "am_msc")
    found = run(readouts[~lost]).sensitivity
    assert not found.duplicated(output_tables()["effects_sensitivity"].primary_key).any()
    methods = found.groupby("contrast")["method"].agg(" / ".join)
    for word in (
        "mixed model, Kenward–Roger, all donors",
        "exact sign flip",
        "exact Wilcoxon signed rank, zeros dropped",
        "BCa bootstrap",
        "g_av",
        "matched rank-biserial",
        "baseline of donors with a lost pair",
        "leave one donor out",
        "eligible donors only",
        "other scale",
    ):
        assert word in methods["msc_effect"], word
    for word in ("Brunner–Munzel", "exact Wilcoxon–Mann–Whitney", "permutation", "Cliff's delta", "having smoked"):
        assert word in methods["group_gap"], word
    for word in ("mixed model", "permutation of labels"):
        assert word in methods["interaction"], word
    assert "bootstrap" in methods["gap_closed"]


# ---- invariants


def same(one: Effects, two: Effects, columns: list[str] = NUMBERS) -> None:
    a, b = (t.effects.sort_values(KEYS).reset_index(drop=True) for t in (one, two))
    pd.testing.assert_frame_equal(a[KEYS + columns], b[KEYS + columns], rtol=1e-9)


def test_the_order_of_rows_changes_nothing(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make()
    one, two = run(readouts), run(readouts.sample(frac=1, random_state=3))
    pd.testing.assert_frame_equal(one.effects, two.effects)
    pd.testing.assert_frame_equal(one.sensitivity, two.sensitivity)


def same_rows(one: Effects, two: Effects, without: str = "") -> None:
    """All numbers of the sensitivity table, whatever the order of its rows."""
    keys, numbers = ["contrast_id", "readout", "method"], ["estimate", "ci_low", "ci_high", "p"]
    tables = []
    for table in (one.sensitivity, two.sensitivity):
        own = table[~table["method"].str.contains(without)] if without else table
        tables.append(own.sort_values(keys).reset_index(drop=True)[keys + numbers])
    pd.testing.assert_frame_equal(*tables, rtol=1e-6, atol=1e-7)


def test_names_of_donors_and_their_order_change_nothing(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make()
    names = sorted(set(readouts["donor_id"]))
    batch = readouts["batch_day"].to_numpy()
    turned = {
        a: a[0] + b[1:]
        for g in "PC"
        for a, b in zip(*[[n for n in names if n[0] == g][::s] for s in (1, -1)], strict=True)
    }
    renamed = readouts.assign(donor_id=readouts["donor_id"].map(turned), batch_day=batch)
    # the donor that is not eligible, and who smoked, go by name and are left out of what is compared
    one, two = run(readouts), run(renamed)
    same(one, two)
    same_rows(one, two, "eligible|smoked")


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_a_unit_changes_no_fold_change(make: Make, run: Callable[..., Effects], plan: Plan, share: float) -> None:
    readouts = make(names=("IL-6", "TNF"), censored=share)
    readouts["value"] = readouts["value"].round(-1)  # with ties
    larger = readouts.assign(value=readouts["value"] * 1000, upper=readouts["upper"] * 1000)
    # amounts that are added must have one unit: the MSC-alone wells stay in the first
    contrasts = tuple(c for c in plan.contrasts if c.name != "beyond_additive")
    one, two = (run(r, contrasts=contrasts) for r in (readouts, larger))
    assert one.effects["method"].str.contains("likelihood").any() == bool(share)
    same(one, two, [*NUMBERS, "ratio"])
    same_rows(one, two, "other scale")


def test_a_hundred_times_the_assay_wells_change_nothing(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make()
    one, two = run(readouts), run(readouts.assign(n_assay_wells=400))
    pd.testing.assert_frame_equal(one.effects, two.effects)
    pd.testing.assert_frame_equal(one.sensitivity, two.sensitivity)


def test_swapping_the_groups_changes_the_sign_only(make: Make, run: Callable[..., Effects], plan: Plan) -> None:
    readouts = make()
    swapped = tuple(
        replace(c, group=c.control, control=c.group) for c in plan.contrasts if c.name in ("group_gap", "interaction")
    )
    one, two = run(readouts), run(readouts, contrasts=swapped)
    for a, b in ((GAP, "group_gap:am:control:apap"), (DIFFERENCE, "interaction:am_msc:am:control:apap")):
        x, y = row(one, a), row(two, b)
        assert (x["estimate"], x["ci_low"], x["p"]) == pytest.approx((-y["estimate"], -y["ci_high"], y["p"]), rel=1e-9)
        assert x["p_maxt"] == y["p_maxt"]
        first, second = (
            t.sensitivity[(t.sensitivity["contrast_id"] == c) & (t.sensitivity["readout"] == "IL-6")].set_index(
                "method"
            )
            for t, c in ((one, a), (two, b))
        )
        assert set(first.index) == set(second.index)
        assert first["p"].to_numpy() == pytest.approx(
            second["p"].reindex(first.index).to_numpy(), rel=1e-6, nan_ok=True
        )


def test_another_arm_cannot_enter_a_contrast(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make()
    noisy = readouts.copy()
    gm = noisy["condition"] == "gm"
    noisy.loc[gm, "value"] *= 2.0 ** np.random.default_rng(0).normal(0, 5, gm.sum())
    one, two = (run(r).effects.query("contrast != 'positive_control'") for r in (readouts, noisy))
    pd.testing.assert_frame_equal(one, two)


def test_one_lost_well_does_not_change_which_test_is_primary(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make()
    lost = readouts.drop(readouts.index[(readouts["donor_id"] == "P05") & (readouts["condition"] == "am_msc")])
    found = run(lost)
    assert row(found, MSC)["method"] == "paired t" and row(found, MSC)["n_pairs"] == 12
    assert row(found, DIFFERENCE)["method"] == "Welch t on donors' differences"
    missing = found.missing_pairs
    assert set(missing["donor_id"]) == {"P05"} and set(missing["missing"]) == {"am_msc"}
    assert set(missing["contrast_id"]) == {MSC}
    assert missing["value"].notna().all(), "the arm that is there is shown"


def test_many_tests_cost_and_the_family_says_how_many(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make(names=tuple(f"R{i}" for i in range(12)))
    found = run(readouts).effects
    own = found[found["contrast_id"] == MSC]
    assert (own["family_size"] == 12).all() and (own["adjustment"] == "bh").all()
    assert (own["p_adjusted"] >= own["p"] - 1e-12).all()
    assert own["p_adjusted"].to_numpy() == pytest.approx(stats.false_discovery_control(own["p"]))


def test_primary_readouts_are_a_family_of_their_own_by_holm(make: Make, run: Callable[..., Effects]) -> None:
    known = {("cytokines", n): Readout(n, "cytokines", role="primary") for n in ("IL-6", "TNF")}
    found = run(make(), readouts=known).effects
    own = found[(found["contrast_id"] == MSC) & (found["role"] == "primary")]
    assert len(own) == 2 and set(own["adjustment"]) == {"holm"} and (own["family_size"] == 2).all()
    assert own["p_adjusted"].min() == pytest.approx(2 * own["p"].min())


def test_families_of_the_plan(make: Make, run: Callable[..., Effects]) -> None:
    families = (Family("all of them", (), ("msc_effect",), "holm"), Family("rest", (), (), "none"))
    found = run(make(), families=families).effects
    assert set(found.loc[found["contrast"] == "msc_effect", "family"]) == {"all of them"}
    rest = found[(found["family"] == "rest") & found["p"].notna()]
    assert (rest["p_adjusted"] == rest["p"]).all()


# ---- bounds


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_up_to_half_beyond_a_limit_is_a_likelihood(make: Make, run: Callable[..., Effects], share: float) -> None:
    found = run(make(n_apap=18, n_control=12, censored=share, gap=0.0))
    own = found.effects[found.effects["contrast"].isin(["msc_effect", "group_gap"]) & (found.effects["status"] == "ok")]
    bounded = own[own["n_censored"] > 0]
    assert len(bounded) >= 3
    assert bounded["method"].str.contains("likelihood").all()
    assert bounded["p_maxt"].isna().all(), "Holm or BH alone where a readout has bounds"
    assert (bounded["ci_low"].fillna(-np.inf) < bounded["estimate"]).all()
    methods = set(found.sensitivity["method"])
    assert any("one common limit" in m for m in methods) and any("halved" in m for m in methods)


def test_primary_readouts_with_bounds_are_fitted_without_each_donor(make: Make, run: Callable[..., Effects]) -> None:
    table = make(n_apap=18, n_control=12, censored=0.2, gap=0.0)
    planned = {("cytokines", "IL-6"): Readout("IL-6", "cytokines", "log2", role="primary")}
    found = run(table, readouts=planned)
    for contrast in (MSC, GAP, DIFFERENCE):
        own = row(found, contrast)
        assert "likelihood" in own["method"]
        assert own["loo_low"] < own["estimate"] < own["loo_high"]
    others = found.effects[(found.effects["readout"] == "TNF") & (found.effects["n_censored"] > 0)]
    assert others["loo_low"].isna().all()
    left = [row(run(table[table["donor_id"] != d], readouts=planned), MSC)["estimate"] for d in ("P02", "P11")]
    own = row(found, MSC)
    assert own["loo_low"] <= min(left) + 1e-6 and max(left) <= own["loo_high"] + 1e-6


def test_more_than_half_beyond_a_limit_is_detection(make: Make, run: Callable[..., Effects]) -> None:
    found = run(make(n_apap=18, n_control=12, censored=0.65, gap=0.0)).effects
    own = found[found["contrast"].isin(["msc_effect", "group_gap"]) & (found["status"] == "ok")]
    share = own["n_censored"] / np.where(own["contrast"] == "group_gap", own["n_donors"], 2 * own["n_pairs"])
    detection = own["method"].str.contains("detected or not")
    assert detection.any()
    few = own["note"].str.contains(r"only [0-4] (?:pairs|donors of a group) are fully observed")
    assert (detection == ((share > 0.5) | few)).all(), "the pooled share of both arms decides, or too few observed"
    assert set(own.loc[detection, "ratio_kind"]) == {"odds"}


def test_all_beyond_the_limit_is_a_row_that_says_so(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make(names=("IL-6",)).assign(censoring="left", value=np.nan, upper=3.2)
    found = run(readouts).effects
    paired = found[found["contrast"].isin(["msc_effect", "group_gap"])]
    assert set(paired["status"]) == {"all_censored"}
    assert paired["estimate"].isna().all() and paired["note"].str.contains("beyond a limit").all()


# ---- refusals


def change_kit(r: pd.DataFrame) -> pd.DataFrame:
    return r.assign(comparability=np.where(r["condition"] == "am_msc", "kit 2", "kit 1"))


def double(r: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([r, r[(r["donor_id"] == "P01") & (r["condition"] == "am")]])


def other_group(r: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([r, r[r["donor_id"] == "P01"].assign(group="control")])


REFUSALS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str, str]] = {
    "two rows per donor and arm": (double, MSC, "repeated_rows"),
    "fewer than five pairs": (lambda r: r[~r["donor_id"].str.match("P0[5-9]|P1")], MSC, "too_few_donors"),
    "one donor": (lambda r: r[~r["donor_id"].str.match("P0[2-9]|P1")], MSC, "too_few_donors"),
    "no controls": (lambda r: r[r["group"] == "apap"], GAP, "no_controls"),
    "no controls for a difference": (lambda r: r[r["group"] == "apap"], DIFFERENCE, "no_controls"),
    "no controls for a share": (lambda r: r[r["group"] == "apap"], SHARE, "no_controls"),
    "zero variance": (lambda r: r.assign(value=np.where(r["condition"] == "am", 8.0, 16.0)), MSC, "zero_variance"),
    "arms of another kit": (change_kit, MSC, "mixed_kits"),
    "donor in two groups": (other_group, GAP, "donor_in_two_groups"),
    "zero on a log scale": (
        lambda r: r.assign(value=np.where(r["donor_id"] == "P01", 0.0, r["value"])),
        MSC,
        "wrong_scale",
    ),
    "no gap to close": (
        lambda r: r.assign(value=np.where(r["condition"] == "am", 8 + r.index % 7, r["value"])),
        SHARE,
        "not_estimable",
    ),
    "groups in runs of their own": (lambda r: r.assign(run_id=r["group"]), GAP, "confounded_with_run"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_compared_is_a_row_with_a_sentence(name: str, make: Make, run: Callable[..., Effects]) -> None:
    change, contrast, status = REFUSALS[name]
    refused = row(run(change(make())), contrast)
    assert refused["status"] == status, refused["note"]
    assert pd.isna(refused["p"]) and pd.isna(refused["p_adjusted"])
    assert refused["note"].endswith(".")
    assert len(refused["note"].split()) > 3
    if status == "confounded_with_run" or name == "fewer than five pairs":
        assert pd.notna(refused["estimate"]), "an estimate without p"
    else:
        assert pd.isna(refused["estimate"])


def test_runs_that_are_shared_confound_nothing(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make()
    found = run(readouts.assign(run_id=np.where(readouts["donor_id"].str.endswith("1"), "A", readouts["group"])))
    assert row(found, GAP)["status"] == "ok"


def test_several_lots_are_averaged_only_where_the_plan_says_so(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make()
    treated = readouts["condition"] == "am_msc"
    readouts["msc_lot_id"] = np.where(treated, np.where(readouts["donor_id"].str[-1].astype(int) % 2, "M1", "M2"), "")
    second = readouts[treated & (readouts["donor_id"] == "P01")].assign(msc_lot_id="M2")
    both = pd.concat([readouts, second.assign(value=second["value"] * 4)])
    refused = row(run(both), MSC)
    assert refused["status"] == "repeated_rows" and "slices.several_lots" in refused["note"]
    found = run(both, several_lots="mean")
    plain = row(run(readouts), MSC)
    assert row(found, MSC)["estimate"] == pytest.approx(plain["estimate"] + 1.0 / 13), (
        "log2 of 4, halved, over 13 donors"
    )
    lots = found.sensitivity[
        (found.sensitivity["contrast_id"] == MSC) & found.sensitivity["method"].str.contains("MSC lot")
    ]
    assert {"MSC lot M1", "MSC lot M2"} <= {m.split(",")[0] for m in lots["method"]}
    assert lots["note"].str.contains("applies to these lots: M1, M2").all()


@pytest.mark.parametrize(("smallest", "verdict"), [(0.01, "relevant"), (5.0, "negligible"), (0.45, "inconclusive")])
def test_relevance_follows_the_interval_not_the_p(
    make: Make, run: Callable[..., Effects], smallest: float, verdict: str
) -> None:
    known = {("cytokines", "IL-6"): Readout("IL-6", "cytokines", smallest_relevant_change=smallest)}
    found = row(run(make(), readouts=known), MSC)
    assert found["p"] < 0.05
    assert found["relevance"] == verdict


def test_a_change_with_next_to_no_spread_has_no_standardised_effect(make: Make, run: Callable[..., Effects]) -> None:
    """SciPy's search for the noncentral t takes minutes where t is in the millions."""
    readouts = make(names=("IL-6",))
    values = readouts.pivot(index=["donor_id", "readout"], columns="condition", values="value")["am"]
    spread = np.random.default_rng(5).normal(0, 1e-7, len(readouts))
    key = pd.MultiIndex.from_frame(readouts[["donor_id", "readout"]])
    treated = readouts["condition"] == "am_msc"
    readouts["value"] = np.where(treated, values.reindex(key).to_numpy() * 4 * (1 + spread), readouts["value"])
    found = row(run(readouts), MSC)
    assert found["estimate"] == pytest.approx(2.0) and abs(found["statistic"]) > 1e6
    assert np.isnan(found["effect_size"]) and found["status"] == "ok"


def test_fractions_with_counts_bring_the_beta_binomial_beside(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make(names=("AM|CD206+|pct",))
    rng = np.random.default_rng(4)
    share = 1 / (1 + np.exp(-(np.log2(readouts["value"]) - 7) / 2))
    k = rng.binomial(2000, share)
    frame = readouts.assign(scale="logit", unit="%", value=100 * k / 2000, k=k, n=2000, assay="phenotype")
    found = run(frame)
    assert row(found, MSC, "AM|CD206+|pct")["method"] == "paired t"
    assert row(found, MSC, "AM|CD206+|pct")["ratio_kind"] == "odds"
    own = found.sensitivity[found.sensitivity["method"].str.contains("beta-binomial")]
    assert {"msc_effect", "group_gap", "interaction"} <= set(own["contrast"])
    assert own["p"].between(0, 1).all() and own["p"].nunique() == len(own)
    paired = own[own["contrast_id"] == MSC].iloc[0]
    assert paired["p"] == pytest.approx(row(found, MSC, "AM|CD206+|pct")["p"], rel=0.5), "of one order with the t"


# ---- more than the sum, trend, responders, concordance, confounding, words


def test_beyond_additive_counts_batches_not_donors(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make()
    found = row(run(readouts), "beyond_additive:am_msc:am:apap")
    own = readouts[(readouts["readout"] == "IL-6") & (readouts["group"] == "apap")]
    wide = own.pivot(index=["batch_day", "donor_id"], columns="condition", values="value")
    beyond = np.log2(wide["am_msc"]) - np.log2(wide["am"] + 20.0)
    batches = beyond.groupby("batch_day").mean()
    assert len(batches) == 5 < len(beyond) == 13
    assert (found["estimate"], found["df"]) == pytest.approx((batches.mean(), 4))
    assert "5 batches" in found["note"]


def test_beyond_additive_is_refused_for_bounds_and_without_a_match(
    make: Make, controls: Make, donors: Make, plan: Plan
) -> None:
    readouts = make()
    for wells, word in (
        (controls(readouts).assign(censoring="left"), "beyond a limit"),
        (controls(readouts).assign(batch_day=999), "No MSC-alone well"),
    ):
        found = effects(readouts, wells, donors(readouts), plan)
        refused = row(found, "beyond_additive:am_msc:am:apap")
        assert refused["status"] == "not_estimable" and word in refused["note"]


@pytest.mark.parametrize("below", ["msc", "am"])
def test_beyond_additive_keeps_both_ends_of_what_lies_below_a_limit(
    make: Make, controls: Make, donors: Make, plan: Plan, below: str
) -> None:
    readouts, wells = make(), controls(make())
    if below == "msc":
        wells = wells.assign(censoring="left", value=np.nan, upper=20.0)
    else:
        few = (readouts["condition"] == "am") & (readouts["batch_day"] == readouts["batch_day"].min())
        readouts = readouts.assign(
            upper=readouts["value"].where(few), censoring=readouts["censoring"].mask(few, "left")
        ).assign(value=readouts["value"].mask(few))
    found = row(effects(readouts, wells, donors(readouts), plan), "beyond_additive:am_msc:am:apap")
    assert found["status"] == "ok" and found["n_censored"] > 0
    assert "widest within the limits" in found["method"] and "the mean is between" in found["note"]
    for share in (0.01, 0.5, 1.0):  # whatever the values were, their own interval lies within
        known = wells.assign(censoring="none", value=wells["value"].fillna(wells["upper"] * share))
        filled = readouts.assign(censoring="none", value=readouts["value"].fillna(readouts["upper"] * share))
        one = row(effects(filled, known, donors(filled), plan), "beyond_additive:am_msc:am:apap")
        assert found["ci_low"] <= one["ci_low"] + 1e-9 and one["ci_high"] <= found["ci_high"] + 1e-9
        assert one["p"] <= found["p"] + 1e-12
        assert found["df"] == one["df"]


def test_a_co_culture_below_its_limit_has_no_ratio_to_the_sum(
    make: Make, controls: Make, donors: Make, plan: Plan
) -> None:
    readouts = make()
    first = (readouts["condition"] == "am_msc") & (readouts["donor_id"] == "P01")
    readouts = readouts.assign(upper=readouts["value"].where(first), censoring=np.where(first, "left", "none"))
    found = row(effects(readouts, controls(readouts), donors(readouts), plan), "beyond_additive:am_msc:am:apap")
    assert found["status"] == "not_estimable" and "In 1 of 13 co-cultures" in found["note"]


def test_the_widest_t_holds_every_t_within_the_ends() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        low = rng.normal(0.3, 1, 6)
        high = low + np.where(rng.random(6) < 0.6, rng.exponential(0.5, 6), 0.0)
        widest = widest_t(low, high)
        inside = [paired_t(rng.uniform(low, high)) for _ in range(40)]
        assert min(one.low for one in inside) >= widest.low - 1e-9
        assert max(one.high for one in inside) <= widest.high + 1e-9
        assert max(one.p for one in inside) <= widest.p + 1e-9
    assert widest_t(low, low) == paired_t(low)


def doses(readouts: pd.DataFrame) -> tuple[pd.DataFrame, Contrast]:
    """Conditions d1, d2, d4 that rise by 0.3 a doubling in every donor, with a step of 1 from none to the lowest."""
    base = readouts[readouts["condition"] == "am"]
    parts = [base.assign(condition=f"d{d}", value=base["value"] * 2 ** (1 + 0.3 * np.log2(d))) for d in (1, 2, 4)]
    rng = np.random.default_rng(5)
    series = pd.concat(parts)
    series["value"] *= 2 ** rng.normal(0, 0.02, len(series))
    levels = (("d1", 1.0), ("d2", 2.0), ("d4", 4.0))
    return pd.concat([readouts, series]), Contrast("trend", "d1+d2+d4", "am", "apap", levels=levels)


def test_zero_dose_is_a_level_of_its_own(make: Make, run: Callable[..., Effects]) -> None:
    readouts, contrast = doses(make())
    found = run(readouts, contrasts=(contrast,))
    slope = found.effects[found.effects["readout"] == "IL-6"].iloc[0]
    assert slope["estimate"] == pytest.approx(0.3, abs=0.03), "the step from none does not bend the slope"
    step = found.sensitivity[found.sensitivity["method"].str.contains("none to the lowest")]
    assert step["estimate"].tolist() == pytest.approx([1.0] * 3, abs=0.03)


@pytest.mark.parametrize("reference", ["am", ""])
def test_a_trend_goes_over_hours_of_culture_too(make: Make, run: Callable[..., Effects], reference: str) -> None:
    base, rng = make(), np.random.default_rng(7)
    parts = [base.assign(timepoint_h=float(h)) for h in (0, 12, 24, 48)]
    for part, change in zip(parts, (0.0, 1.0, 1.25, 1.5), strict=True):  # a step of 1, then 0.25 a doubling
        treated = part["condition"] == "am_msc"
        part["value"] = base["value"].where(~treated, part["value"] * 2 ** (change + rng.normal(0, 0.02, len(part))))
    contrast = Contrast("trend", "am_msc", reference, "apap", over_time=True)
    found = run(pd.concat(parts), contrasts=(contrast,))
    slope = row(found, contrast.contrast_id)
    assert slope["estimate"] == pytest.approx(0.25, abs=0.03) and slope["n_pairs"] == 13
    assert pd.isna(slope["timepoint_h"]) and "levels 12, 24, 48" in slope["note"]
    step = found.sensitivity[found.sensitivity["method"].str.contains("none to the lowest")]
    assert step["estimate"].tolist() == pytest.approx([1.0] * 3, abs=0.03)


def test_study_yaml_can_ask_for_a_trend_over_time(config: Config) -> None:
    asked = {**config.settings, "contrasts": [{"name": "trend", "treatment": "am_msc", "over": "time"}]}
    found = Plan.from_config(Config.from_settings(asked)).contrasts
    assert [c.contrast_id for c in found] == ["trend:am_msc:am:apap:time", "trend:am_msc:am:control:time"]


def test_a_readout_that_was_planned_and_not_measured_stays_a_row(make: Make, run: Callable[..., Effects]) -> None:
    planned = {
        k: Readout(k[1], k[0], "log2", role="primary") for k in (("cytokines", "IL-8"), ("phagocytosis", "bead"))
    }
    found = run(make(), readouts=planned).effects
    lost = found[found["readout"] == "IL-8"]
    assert set(lost["contrast"]) == {"msc_effect", "group_gap", "interaction", "gap_closed", "positive_control"} | {
        "beyond_additive"
    }
    assert set(found.loc[found["readout"] == "bead", "contrast"]) == {"msc_effect"}, "of an assay nobody did"
    lost = found[found["readout"].isin(["IL-8", "bead"])]
    assert (lost["status"] == "no_data").all() and (lost["role"] == "primary").all() and lost["p"].isna().all()
    assert lost["note"].str.startswith("No donor of").all()


def test_a_series_of_doses_is_found_in_study_yaml(config: Config) -> None:
    settings = {**config.settings, "conditions": [*config.settings["conditions"]]}
    for ratio in (0.1, 0.5):
        settings["conditions"].append(
            {
                "code": f"m{ratio}",
                "label": "x",
                "cells": "am_msc",
                "role": "treatment",
                "compare_to": "am",
                "msc_am_ratio": ratio,
            }
        )
    found = [c for c in Plan.from_config(Config.from_settings(settings)).contrasts if c.name == "trend"]
    assert {c.levels for c in found} == {(("m0.1", 0.1), ("m0.5", 0.5))}


def test_responders_need_independent_cultures(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make()
    found = run(readouts).responders
    own = found[(found["contrast_id"] == MSC) & (found["readout"] == "IL-6")].set_index("direction")
    expected = 1.959964 * np.sqrt(2) * 0.2 / np.sqrt(2)
    assert own["smallest_detectable_change"].tolist() == pytest.approx([expected] * 2)
    table = wide(readouts).loc["apap"]
    change = table["am_msc"] - table["am"]
    assert own.loc["up", "k"] == (change > expected).sum() and own.loc["down", "k"] == (change < -expected).sum()
    assert (own["ci_low"] <= own["share"]).all() and (own["ci_high"] >= own["share"]).all()
    single = run(readouts.assign(n_cultures=1, sd_culture=np.nan)).responders
    assert single["k"].isna().all() and single["note"].str.contains("independent cultures").all()


def test_concordance_only_between_readouts_with_a_stated_direction(make: Make, run: Callable[..., Effects]) -> None:
    known = {("cytokines", n): Readout(n, "cytokines", direction=d) for n, d in (("IL-6", "down"), ("TNF", "up"))}
    readouts = make()
    tnf, il6 = (readouts["readout"] == n for n in ("TNF", "IL-6"))
    readouts.loc[tnf, "value"] = 1e4 / readouts.loc[il6, "value"].to_numpy()
    found = run(readouts, readouts=known).concordance
    own = found[found["contrast_id"] == MSC]
    assert len(own) == 1, "CCL18 has no direction"
    assert own["rho"].iloc[0] == pytest.approx(1.0), "opposite changes agree once both are turned toward health"
    assert own["n"].iloc[0] == 13 and own["critical"].iloc[0] == pytest.approx(0.55, abs=0.005)
    assert "p" not in own.columns


def test_confounding_names_what_the_groups_do_not_share(make: Make, run: Callable[..., Effects]) -> None:
    readouts = make()
    table = run(readouts.assign(run_id=readouts["group"] + " run")).confounding
    found = table[table["disease"] == "apap"].set_index(["assay", "factor"])
    assert found.loc[("cytokines", "run_id"), "status"] == "separate"
    assert found.loc[("cytokines", "comparability"), "status"] == "shared"
    assert "share no run_id" in found.loc[("cytokines", "run_id"), "note"]
    assert ("", "smoking_status") in found.index


def test_the_methods_paragraph_follows_what_was_done(make: Make, run: Callable[..., Effects], plan: Plan) -> None:
    many = {"n_apap": 18, "n_control": 12, "gap": 0.0}
    readouts = pd.concat([make(names=("IL-6", "TNF"), censored=0.3, **many), make(names=("IL-8",), **many)])
    found = run(readouts)
    again = recomputed(found.effects, readouts, plan)
    text = methods(plan, found.effects, found.sensitivity, again, {"SciPy": "1.0"})
    assert f"groups ({len(again)} of {found.effects['estimate'].notna().sum()} estimates) were" in text
    assert "none differed by more than rounding" in text
    first = again.assign(status=["differs", *again["status"][1:]])
    assert "; 1 differed by more" in methods(plan, found.effects, found.sensitivity, first, {})
    for word in (
        "The donor is the unit",
        "paired t",
        "Welch t",
        "bivariate normal likelihood",
        "log2 (3)",
        "bh",
        "SciPy 1.0",
        "exploratory",
        "the primary method (eligible donors only), the primary method (other scale)",
    ):
        assert word in text, word
    assert "Fieller" not in methods(
        plan, found.effects[found.effects["contrast"] == "msc_effect"], found.sensitivity.head(0), again, {}
    )
    hashed = methods(replace(plan, prespecified="plan"), found.effects, found.sensitivity, again.head(0), {})
    assert "pingouin" not in hashed
    assert "deposited with a hash" in hashed and "exploratory" not in hashed


def test_no_power_of_an_observed_effect_anywhere(make: Make, run: Callable[..., Effects]) -> None:
    found = run(make())
    assert not [c for c in (*found.effects.columns, *found.sensitivity.columns) if "power" in c]


def test_the_primary_readouts_are_said_with_their_intervals_and_no_p(
    make: Make, run: Callable[..., Effects], config: Config
) -> None:
    table = run(make()).effects
    assert primary_changes(table.assign(role="secondary"), config) == [
        "No readout is declared primary in study.yaml, so none is singled out here."
    ]
    own = table[(table["contrast"] == "msc_effect") & (table["readout"] == "IL-6")].assign(role="primary")
    said = primary_changes(own, config)
    assert len(said) == len(own.drop_duplicates(["treatment", "reference"])) and all(
        s.startswith("IL-6, ") for s in said
    )
    text = " ".join(said)
    for row in own.itertuples():
        assert f"fold change {show(float(row.ratio))} (" in text and f", {int(row.n_pairs)} pairs)" in text
    assert "p " not in text
    refused = own.assign(estimate=np.nan, status="too_few_donors")
    assert "without an estimate (too few donors)" in primary_changes(refused, config)[0]
    assert primary_changes(own.assign(estimate=np.nan, status="no_data"), config) == []
