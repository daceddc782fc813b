"""The response to MSC: directions, tallies, donors' changes, lots and planning by hand; sentences of hard studies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.core.schemas import output_tables
from helpers.stats import response, summary
from helpers.stats.change import donor_changes, pooled_sd
from helpers.stats.effects import Effects
from helpers.stats.planning import UNPARTED, planning, pooled_spread
from helpers.study.config import Config

NAN = float("nan")
Make = Callable[..., pd.DataFrame]
Run = Callable[..., Effects]


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    """Rows of effects; what is not given is an effect of 1 (0.5 to 1.5) of 6 pairs in aPAP."""
    usual = {"contrast": "msc_effect", "assay": "cytokines", "readout": "IL-6", "unit": "pg/ml", "scale": "log2"}
    usual |= {"group": "apap", "treatment": "am_msc", "reference": "am", "timepoint_h": 24.0, "assay_minutes": NAN}
    usual |= {
        "n_pairs": 6,
        "estimate": 1.0,
        "ci_low": 0.5,
        "ci_high": 1.5,
        "ci_level": 0.95,
        "status": "ok",
        "note": "",
    }
    usual |= {"role": "primary", "prespecified": "declared", "loo_low": NAN, "loo_high": NAN}
    made = []
    for given in rows:
        row = usual | given
        row.setdefault("contrast_id", f"{row['contrast']}:{row['treatment']}:{row['group']}")
        if row["scale"] == "log2" and "ratio_kind" not in row:
            row |= {"ratio_kind": "fold", "ratio": 2.0 ** row["estimate"]}
            row |= {"ratio_low": 2.0 ** row["ci_low"], "ratio_high": 2.0 ** row["ci_high"]}
        made.append({"ratio_kind": "none"} | row)
    return pd.DataFrame(made).reindex(columns=output_tables()["effects"].columns)


def gap(readout: str = "IL-6", low: float = 0.5, high: float = 1.5, **more: Any) -> dict[str, Any]:
    row = {"contrast": "group_gap", "readout": readout, "group": "apap \N{MINUS SIGN} control", "treatment": "am"}
    return row | {"reference": "", "estimate": (low + high) / 2, "ci_low": low, "ci_high": high} | more


def others(effects: pd.DataFrame, *rows: tuple[str, float, float, float]) -> pd.DataFrame:
    """Sensitivity rows of the first row of effects: method, estimate, ends of the interval."""
    keys = {c: effects.iloc[0][c] for c in output_tables()["effects_sensitivity"].columns if c in effects}
    made = [keys | dict(zip(("method", "estimate", "ci_low", "ci_high"), r, strict=True)) for r in rows]
    return pd.DataFrame(made, columns=output_tables()["effects_sensitivity"].columns)


def first(effects: pd.DataFrame) -> Any:
    return next(effects.itertuples())


@pytest.fixture
def stated(config: Config) -> Config:
    """TNF has a direction that study.yaml states, CCL18 a label."""
    more = [
        {"name": "TNF", "assay": "cytokines", "direction_toward_health": "down", "direction_source": "Who 1999"},
        {"name": "CCL18", "assay": "cytokines", "direction_toward_health": "none", "label": "PARC"},
    ]
    return Config.from_settings(config.settings | {"readouts": more})


# ---- which readouts lead, and which way is toward health


def test_roles_lead_in_their_order_and_names_not_sizes_choose_among_exploratory_ones() -> None:
    roles = {"a": "exploratory", "b": "secondary", "c": "primary"}
    three = table(*({"readout": r, "role": role} for r, role in roles.items()))
    assert response.ranked(three, "leading") == ("primary", [("cytokines", "c")])
    assert response.ranked(three, "following") == ("secondary", [("cytokines", "b")])
    two = three[three["role"] != "primary"]
    assert response.ranked(two, "leading") == ("secondary", [("cytokines", "b")])
    assert response.ranked(two, "following") == ("secondary", [])
    many = table(*({"readout": f"r{i:02d}", "role": "exploratory", "p": 1 - i / 20} for i in range(20)))
    assert [n for _, n in response.leading(many)[1]] == [f"r{i:02d}" for i in range(12)]
    assert response.leading(three.iloc[:0]) == ("exploratory", [])


def test_a_treatment_without_any_value_leaves_and_a_readout_without_any_stays() -> None:
    nothing = {"estimate": NAN, "n_pairs": 0, "status": "no_data"}
    rows = table({}, {"treatment": "gm"} | nothing, {"readout": "TNF"} | nothing, {"group": "control"} | nothing)
    found = response.rows_of(rows, "msc_effect", [("cytokines", "TNF"), ("cytokines", "IL-6")])
    assert found[["readout", "treatment", "group"]].to_numpy().tolist() == [
        ["TNF", "am_msc", "apap"],
        ["IL-6", "am_msc", "apap"],
        ["IL-6", "am_msc", "control"],
    ]
    assert response.rows_of(rows.iloc[:0], "msc_effect", [("cytokines", "TNF")]).empty


@pytest.mark.parametrize(
    ("row", "way"),
    [
        (gap(low=0.5, high=1.5), "down"),
        (gap(low=-1.5, high=-0.5), "up"),
        (gap(low=-0.5, high=1.5), ""),
        (gap(low=NAN, high=-0.1), "up"),
        (gap(status="confounded_with_run"), ""),
        (gap(note="Marked: antibody interference (9 of 9 values)."), ""),
        (gap(timepoint_h=48.0), ""),
        (gap(treatment="am_lps"), ""),
        (gap(readout="TNF"), ""),
    ],
)
def test_the_own_gap_gives_the_way_only_where_it_can_be_read(row: dict[str, Any], way: str, config: Config) -> None:
    effects = table({}, row)
    assert response.direction(effects, config, first(effects)) == (way, "own gap" if way else "", "", way)


def test_what_is_stated_comes_before_the_own_gap_and_both_are_known(stated: Config) -> None:
    effects = table({"readout": "TNF"}, gap("TNF", -1.5, -0.5))
    assert response.direction(effects, stated, first(effects)) == ("down", "stated", "Who 1999", "up")


def test_gaps_that_disagree_give_no_way_to_controls_and_each_disease_its_own(config: Config) -> None:
    groups = [*config.settings["groups"], {"code": "hpap", "label": "hPAP", "role": "disease"}]
    both = Config.from_settings(config.settings | {"groups": groups})
    other = gap(low=-2, high=-1, group="hpap \N{MINUS SIGN} control")
    effects = table({}, {"group": "hpap"}, {"group": "control"}, gap(), other)
    ways = [response.direction(effects, both, r).way for r in effects.iloc[:3].itertuples()]
    assert ways == ["down", "up", ""]


# ---- other analyses, lots


def test_the_tally_counts_signs_and_sides_of_those_that_ask_the_same() -> None:
    effects = table({"loo_low": 0.8, "loo_high": 1.2})
    more = others(
        effects,
        ("mixed model", 0.9, 0.4, 1.4),  # same sign, same side
        ("Wilcoxon", 0.7, -0.1, 1.6),  # same sign, holds zero
        ("other way", -0.2, -0.3, -0.1),  # other sign, other side
        ("permutation", 1.1, NAN, NAN),  # no interval
        ("exact sign flip, sign test at one common limit", 0.1, NAN, NAN),  # a mean of signs
        ("beta-binomial", 9.0, 1.0, 17.0),  # on the logit scale
        ("g_av: mean change", -5.0, -6.0, -4.0),  # another question
        ("MSC lot M1, 3 donors", -5.0, -6.0, -4.0),
        ("leave one donor out", 1.0, 0.8, 1.2),
    )
    (row,) = response.sensitivity_tally(effects, more, "msc_effect", [("cytokines", "IL-6")]).to_dict("records")
    assert (row["n_methods"], row["n_same_sign"], row["n_intervals"], row["n_same_side"]) == (6, 5, 4, 2)
    assert (row["other_sign"], row["other_side"]) == ("other way", "Wilcoxon; other way")
    assert (row["low"], row["high"], row["one_donor"]) == (-0.2, 1.1, False)


@pytest.mark.parametrize(("low", "high", "turns"), [(0.2, 1.0, False), (-0.1, 1.0, True), (NAN, NAN, None)])
def test_one_donor_turns_a_sign_or_it_is_not_known(low: float, high: float, turns: bool | None) -> None:
    effects = table({"loo_low": low, "loo_high": high}, {"readout": "TNF", "estimate": NAN})
    found = response.sensitivity_tally(effects, others(effects), "msc_effect", response.leading(effects)[1])
    assert found["one_donor"].tolist() == [turns] and found["low"].tolist() == [1.0]


def test_another_time_or_readout_is_no_other_analysis() -> None:
    effects = table({"assay_minutes": 60.0})
    more = others(effects, ("mixed model", -1.0, -2.0, -0.5))
    for column, value in (("assay_minutes", 120.0), ("assay_minutes", NAN), ("readout", "TNF"), ("contrast_id", "x")):
        found = response.sensitivity_tally(
            effects, more.assign(**{column: value}), "msc_effect", [("cytokines", "IL-6")]
        )
        assert found["n_methods"].tolist() == [0], column


def test_effects_of_lots_are_means_of_their_donors(make: Make, run: Run) -> None:
    readouts = make(n_apap=6, n_control=0, names=("IL-6",))
    lots = {"P01": "M1", "P02": "M1", "P03": "M1", "P04": "M2, 9 donors", "P05": "M2, 9 donors", "P06": "M3"}
    treated = readouts["condition"] == "am_msc"
    readouts.loc[treated, "msc_lot_id"] = readouts.loc[treated, "donor_id"].map(lots)
    made = run(readouts)
    found = response.lot_effects(made.effects, made.sensitivity, [("cytokines", "IL-6")])
    wide = np.log2(readouts.pivot(index="donor_id", columns="condition", values="value"))
    change = (wide["am_msc"] - wide["am"]).groupby(pd.Series(lots)).mean()
    assert found[["msc_lot_id", "n_donors"]].to_numpy().tolist() == [["M1", 3], ["M2, 9 donors", 2]]
    assert found["estimate"].tolist() == pytest.approx([change["M1"], change["M2, 9 donors"]])
    assert response.lots_used(readouts) == ["M1", "M2, 9 donors", "M3"]


# ---- donors' changes and planning


def test_changes_of_donors_keep_the_bounds_of_their_arms() -> None:
    arms = [
        pd.DataFrame({"lower": [1.0, 2.0, -np.inf, 3.0], "upper": [1.0, 2.0, 2.0, 3.0]}, index=["A", "B", "C", "D"]),
        pd.DataFrame(
            {"lower": [3.0, -np.inf, 5.0], "upper": [3.0, 1.0, 5.0], "msc_lot_id": "M1"}, index=["A", "B", "C"]
        ),
    ]
    found = donor_changes(*arms).set_index("donor_id")
    assert list(found.index) == ["A", "B", "C"] and set(found["msc_lot_id"]) == {"M1"}
    assert found.loc["A", ["change", "lower", "upper"]].tolist() == [2.0, 2.0, 2.0]
    assert found.loc["B", ["change", "lower", "upper"]].tolist() == pytest.approx([NAN, NAN, -1.0], nan_ok=True)
    assert found.loc["C", ["change", "lower", "upper"]].tolist() == pytest.approx([NAN, 3.0, NAN], nan_ok=True)
    marked = response.marked(found)
    assert marked["shown"].tolist() == [2.0, -1.0, 3.0] and marked["mark"].tolist() == ["", "<", ">"]


def test_the_spread_of_donors_is_pooled_within_groups() -> None:
    frame = pd.DataFrame({"readout": "x", "group": ["a", "a", "a", "b", "b"], "change": [1.0, 3.0, NAN, 10.0, 14.0]})
    # squares within groups: 1 + 1 and 4 + 4, with 1 + 1 degrees of freedom
    assert pooled_sd(frame, ["readout"]).tolist() == pytest.approx([np.sqrt(5.0)] * 5)
    alone = frame.assign(change=[1.0, NAN, NAN, 10.0, NAN])
    assert pooled_sd(alone, ["readout"]).isna().all()
    assert pooled_sd(frame.assign(change=2.0), ["readout"]).isna().all()


def test_changes_are_those_that_the_estimates_are_made_of(make: Make, run: Run) -> None:
    readouts = make(names=("IL-6", "TNF"))
    lost = (readouts["donor_id"] == "P02") & (readouts["condition"] == "am_msc")
    made = run(readouts[~lost])
    changes = made.donor_changes
    assert "P02" not in set(changes.loc[changes["contrast"] == "msc_effect", "donor_id"])
    assert "P02" in set(made.missing_pairs["donor_id"])
    means = changes.groupby(["contrast_id", "readout"])["change"].mean()
    paired = made.effects[made.effects["contrast"].isin(["msc_effect", "positive_control"])]
    for row in paired.itertuples():
        assert means[row.contrast_id, row.readout] == pytest.approx(row.estimate)
    one = response.changes_of(changes, [("cytokines", "TNF")])
    within = one.groupby("group")["change"].agg(["var", "size"])
    pooled = np.sqrt((within["var"] * (within["size"] - 1)).sum() / (within["size"] - 1).sum())
    assert one["sd_donors"].tolist() == pytest.approx([pooled] * len(one))


def test_arms_that_may_not_be_compared_give_no_changes(make: Make, run: Run) -> None:
    readouts = make(names=("IL-6",))
    readouts.loc[readouts["condition"] == "am_msc", "comparability"] = "kit 2"
    changes = run(readouts).donor_changes
    assert set(changes["contrast"]) == {"positive_control"}


CHANGES = {
    "contrast_id": "c", "contrast": "msc_effect", "assay": "a", "readout": "r", "unit": "u", "scale": "log2",
    "visit": "V1", "group": "apap", "treatment": "t", "reference": "r0", "timepoint_h": 24.0, "assay_minutes": NAN,
}  # fmt: skip


def changes_and_arms(values: list[float], sd_culture: float, sd_assay: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    donors = [f"D{i}" for i in range(len(values))]
    changes = pd.DataFrame({"donor_id": donors, "change": values}).assign(**CHANGES)
    arms = pd.DataFrame([{"donor_id": d, "condition": c} for d in donors for c in ("t", "r0")])
    keys = {k: CHANGES[k] for k in ("assay", "readout", "visit", "group", "timepoint_h", "assay_minutes")}
    numbers = {"n_cultures": 2, "n_assay_wells": 6, "sd_culture": sd_culture, "sd_assay": sd_assay}
    return changes, arms.assign(censoring="none", **keys, **numbers)


def test_planning_by_hand() -> None:
    changes, arms = changes_and_arms([0.0, 2.0, 4.0, 6.0], 1.0, 0.6)  # variance 20/3
    found = planning(changes, arms, {"apap": 9}).set_index("scenario")
    assert found["n_pairs"].to_dict() == {
        "observed": 4,
        "planned": 9,
        "doubled": 8,
        "donor": 5,
        "culture": 4,
        "assay": 4,
    }
    sd = np.sqrt(20 / 3)
    t = {3: 3.182446, 4: 2.776445, 7: 2.364624, 8: 2.306004}
    for scenario, df in {"observed": 3, "donor": 4, "doubled": 7, "planned": 8}.items():
        assert found.loc[scenario, "half_width"] == pytest.approx(t[df] * sd / np.sqrt(df + 1), rel=1e-6)
    # of a donor's variance 20/3: assay 2·0.36/6 = 0.12, cultures 2·1/2 − 0.12 = 0.88, donors the rest
    shares = {"donor": (20 / 3 - 1) / (20 / 3), "culture": 0.88 / (20 / 3), "assay": 0.12 / (20 / 3)}
    assert found["variance_share"].dropna().to_dict() == pytest.approx(shares)
    three_cultures = 20 / 3 - 1 + (0.88 + 0.12) * 2 / 3
    assert found.loc["culture", "half_width"] == pytest.approx(t[3] * np.sqrt(three_cultures / 4), rel=1e-6)
    four_wells = 20 / 3 - 0.12 + 0.12 * 3 / 4
    assert found.loc["assay", "half_width"] == pytest.approx(t[3] * np.sqrt(four_wells / 4), rel=1e-6)
    assert found.loc["culture", ["n_cultures", "n_assay_wells"]].tolist() == [3, 3]
    assert found["detectable_80"].notna().to_dict() == {s: s not in ("culture", "assay") for s in found.index}


def test_planning_says_what_it_cannot_part() -> None:
    changes, arms = changes_and_arms([0.0, 2.0, 4.0, NAN], 1.0, NAN)
    found = planning(changes, arms, {}).set_index("scenario")
    assert list(found.index) == ["observed", "doubled", "donor", "culture"]
    assert found.loc["observed", ["n_pairs", "n_bounded"]].tolist() == [3, 1]
    assert found.loc["observed", "note"].startswith("1 more changes are bounds")
    assert found.loc["culture", "note"] == "The error of the assay stands inside that of the cultures."
    whole = planning(changes, arms.assign(sd_culture=NAN), {}).set_index("scenario")
    assert list(whole.index) == ["observed", "doubled", "donor"] and whole.loc["donor", "note"] == UNPARTED


def test_cultures_that_vary_more_than_donors_do_not_widen_the_interval() -> None:
    changes, arms = changes_and_arms([0.0, 0.2, 0.4], 3.0, NAN)
    found = planning(changes, arms, {}).set_index("scenario")["half_width"]
    assert found["culture"] < found["observed"] and found["donor"] < found["observed"]


@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, 1.0, 1.0], [1.0, 2.0, 3.0, NAN, NAN, NAN, NAN], []])
def test_too_little_to_plan_by_gives_no_rows(values: list[float]) -> None:
    assert planning(*changes_and_arms(values, 1.0, 1.0), {}).empty


# ---- sentences


@pytest.mark.parametrize(
    ("row", "way", "said"),
    [
        ({}, ("", "", "", ""), "higher, fold change 2.00 (95 % interval 1.41 to 2.83, 6 donors), with no known direction toward health"),
        ({}, ("down", "own gap", "", "down"), "higher, fold change 2.00 (95 % interval 1.41 to 2.83, 6 donors), away from where this study's controls lie"),
        ({"estimate": -1.0, "ci_low": -2.0, "ci_high": -0.5, "n_pairs": 1}, ("down", "stated", "Who 1999", "up"),
         "lower, fold change 0.500 (95 % interval 0.250 to 0.707, 1 donor), toward health as study.yaml states it (Who 1999; this study's own gap points the other way)"),
        ({"scale": "identity", "unit": "%", "ci_low": -0.5}, ("up", "stated", "", ""),
         "not told apart from no change, 1.00 percentage points (95 % interval −0.500 to 1.50, 6 donors)"),
        ({"ci_low": NAN, "ci_high": NAN}, ("up", "stated", "", ""), "not told apart from no change, fold change 2.00 (95 % interval open on a side, 6 donors)"),
        ({"estimate": NAN, "status": "all_censored"}, ("up", "stated", "", ""), "no estimate (all censored)"),
        ({"estimate": NAN}, ("up", "stated", "", ""), "no estimate (without a finite one)"),
    ],
)  # fmt: skip
def test_a_change_in_words(row: dict[str, Any], way: tuple[str, ...], said: str) -> None:
    assert summary.change(first(table(row)), response.Direction(*way)) == said


def test_controls_do_not_move_toward_themselves() -> None:
    said = summary.change(first(table({})), response.Direction("down", "stated", "x", "down"), of_controls=True)
    assert said == "higher, fold change 2.00 (95 % interval 1.41 to 2.83, 6 donors)"


def test_p_decides_no_word(stated: Config) -> None:
    effects = table({}, {"readout": "TNF", "ci_low": -0.5}, gap(), gap("TNF", -0.5, 1.5))
    said = [
        summary.plain_summary(effects.assign(p=p, p_adjusted=p), tally(effects), readouts_of("apap"), stated)
        for p in (1e-9, 0.9, NAN)
    ]
    assert said[0] == said[1] == said[2]


def tally(effects: pd.DataFrame, *rows: tuple[str, float, float, float]) -> pd.DataFrame:
    names = response.leading(effects)[1]
    return response.sensitivity_tally(effects, others(effects, *rows), "msc_effect", names)


def readouts_of(*groups: str, lot: str = "M1") -> pd.DataFrame:
    rows = [{"donor_id": f"{g}{i}", "group": g, "msc_lot_id": lot} for g in groups for i in range(3)]
    return pd.DataFrame(rows).reindex(columns=output_tables()["readouts"].columns)


def test_groups_of_one_comparison_share_a_sentence_and_labels_are_used(stated: Config) -> None:
    effects = table({"readout": "CCL18"}, {"readout": "CCL18", "group": "control", "ci_low": -0.5})
    assert summary.changes(effects, stated) == [
        "PARC, AM + MSC against AM, 24 h: aPAP higher, fold change 2.00 (95 % interval 1.41 to 2.83, 6 donors), with no known direction toward health; "
        "Control not told apart from no change, fold change 2.00 (95 % interval 0.707 to 2.83, 6 donors)."
    ]


def test_the_headline_counts_intervals_and_their_ways_in_disease_groups_only(stated: Config) -> None:
    effects = table(
        {"readout": "TNF"},  # away from the stated direction
        {"readout": "TNF", "treatment": "gm", "estimate": -1.0, "ci_low": -1.5, "ci_high": -0.5},
        {"ci_low": -0.5},
        {"treatment": "gm"},
        {"readout": "CCL18"},
        {"readout": "TNF", "group": "control"},
        gap("CCL18", -1.5, -0.5),
    )
    assert summary.headline(effects, stated) == [
        "aPAP: the interval leaves no change out in 4 of 5 comparisons: 1 toward where this study's controls lie, "
        "1 with no known direction toward health, 1 away from health as study.yaml states it and 1 toward health as study.yaml states it."
    ]
    assert summary.headline(effects.assign(ci_low=-9.0, ci_high=9.0), stated) == [
        "aPAP: the interval leaves no change out in 0 of 5 comparisons."
    ]


def test_what_stands_behind_the_roles_is_said(config: Config) -> None:
    rows = ({"readout": "a"}, {"readout": "b", "role": "secondary"}, {"readout": "c", "role": "exploratory"})
    said = summary.standing(table(*rows), config)
    assert said.startswith("1 readout is primary: a. No dated and hashed plan precedes the results")
    assert "Beside them there are 1 secondary and 1 exploratory ones." in said
    planned = summary.standing(table(*({"prespecified": "plan"} | r for r in rows)), config)
    assert (
        "A dated and hashed plan precedes the first unblinding." in planned
        and "every result is exploratory" not in planned
    )
    assert summary.standing(table(*rows[1:]), config).startswith(
        "No readout is declared primary. 1 readout is secondary: b."
    )
    assert summary.standing(table(rows[2]), config).startswith(
        "No readout is declared primary or secondary in study.yaml: all 1 are exploratory."
    )


def test_shares_of_the_gap_name_their_confounders_and_their_refusals(config: Config) -> None:
    share = {"contrast": "gap_closed", "group": "apap \N{MINUS SIGN} control"}
    rows = (
        share | {"estimate": 0.346, "ci_low": 0.218, "ci_high": NAN, "status": "confounded_with_run"},
        share | {"estimate": NAN, "status": "not_estimable", "treatment": "gm"},
    )
    said = summary.gaps_closed(table({}, {"treatment": "gm"}, *rows), config)
    assert said == (
        "Share of the gap between the groups that is closed: IL-6 (AM + MSC against AM, 24 h) 35 % (22 % to open above, groups share no run). "
        "No share is given in 1 comparison (1 not estimable). A share describes: the groups differ in the source of their cells "
        "(Control: lavage), and may in smoking, age and calendar time."
    )
    assert summary.gaps_closed(table({}), config).startswith("No share of a gap between groups can be given")


def test_factors_that_part_the_groups_are_named(config: Config) -> None:
    rows = [("cytokines", "run_id", "separate"), ("phenotype", "run_id", "separate"), ("", "smoking_status", "partly")]
    found = pd.DataFrame(rows, columns=["assay", "factor", "status"]).assign(disease="apap", control="control")
    arms = found.assign(disease="apap am_msc", control="apap am")
    assert summary.confounders_found(pd.concat([found, arms]), config) == [
        "aPAP and Control donors share no run (cytokines and phenotype); only some donors share smoking."
    ]
    assert "share a level of every factor" in summary.confounders_found(found.assign(status="shared"), config)[0]
    assert summary.confounders_found(arms, config) == ["No two groups were measured, so nothing can part them."]


def test_groups_differ_only_by_the_comparison_of_changes(config: Config) -> None:
    one, two = {"ci_low": 0.5}, {"group": "control", "ci_low": -0.5}
    both = {"contrast": "interaction", "group": "apap \N{MINUS SIGN} control"}
    assert summary.differences(table(one, two), config) == "The changes of two groups cannot be compared."
    said = summary.differences(table(one, two, both | {"ci_low": -0.1}), config)
    assert said.startswith("In none of 1 comparisons") and said.endswith("no evidence that the groups respond alike.")
    said = summary.differences(table(one, two, both), config)
    assert "in 1 of 1 comparisons: IL-6 (aPAP − Control; AM + MSC against AM, 24 h) ratio of fold changes 2.00" in said
    parted = summary.differences(table(one, two, both | {"status": "confounded_with_run"}), config)
    assert parted.startswith("Whether the groups differ in their change is not settled: of 1 comparison")
    other = both | {"ci_low": -0.1, "timepoint_h": 48.0}
    mixed = summary.differences(table(one, two, both | {"status": "confounded_with_run"}, other), config)
    assert mixed.startswith("In none of 1 comparisons") and "Of 1 more there is an estimate without p" in mixed


def test_stability_follows_sign_and_side(config: Config) -> None:
    effects = table({"loo_low": -0.1, "loo_high": 1.0})
    held = tally(effects, ("mixed model", 0.9, 0.4, 1.4))
    assert summary.stability(held, config) == (
        "Computed in other ways, the sign holds in 1 of 1 estimates. Every other interval lies on the same side of zero, or holds it as the first does, in 1 of 1. "
        "Of 1 estimates whose interval leaves zero out, leaving out one donor turns the sign of 1."
    )
    turned = summary.stability(tally(effects, ("mixed model", -0.1, -0.4, 1.4)), config)
    assert (
        "in 0 of 1 estimates (it turns for IL-6 (aPAP; AM + MSC against AM, 24 h))" in turned
        and "in 0 of 1 (not for" in turned
    )
    assert summary.stability(tally(effects), config) == "No estimate was computed in another way."


def test_the_design_limits_what_is_said(config: Config) -> None:
    effects = table({"note": "Marked: source ambiguous (1 of 2 values)."})
    said = summary.limits(effects, readouts_of("apap", "control"), config)
    assert (
        "effects of co-culture" in said[0] and said[1] == "One MSC lot was used: what is said applies to this lot (M1)."
    )
    assert (
        said[2] == "Controls are what was observed in 3 controls, no healthy range." and "source ambiguous" in said[3]
    )
    cell = {
        "code": "fib",
        "label": "AM + fibroblast",
        "cells": "irrelevant",
        "role": "irrelevant_cell",
        "compare_to": "am",
    }
    controlled = Config.from_settings(config.settings | {"conditions": [*config.settings["conditions"], cell]})
    said = summary.limits(table({}), readouts_of("apap", lot=""), controlled)
    assert said[0].startswith("No MSC lot is recorded") and said[1].startswith("No control donor was measured")
    assert not any("cannot be ascribed" in s or "source ambiguous" in s for s in said)
    two = pd.concat([readouts_of("apap"), readouts_of("apap", lot="M2")])
    assert summary.lots(two) == "2 MSC lots were used: what is said applies to these lots (M1 and M2)."


def test_the_budget_names_what_narrows_most() -> None:
    found = planning(*changes_and_arms([0.0, 2.0, 4.0, 6.0], 1.0, 0.6), {})
    assert summary.budget(found) == [
        "In 1 comparison whose spread can be parted, differences between donors make 85 % to 85 % of the variance of a donor's change.",
        "What narrows the interval most: one more donor in 1.",
    ]
    cultures = planning(*changes_and_arms([0.0, 0.2, 0.4, 0.1, 0.5, 0.3, 0.25, 0.35], 3.0, NAN), {})
    assert summary.budget(cultures)[1] == "What narrows the interval most: one more culture an arm in 1."
    assert summary.budget(found.iloc[:0])[0].startswith("No comparison has donors with two independent cultures")


# ---- hard studies, from readouts to sentences


def said_of(readouts: pd.DataFrame, run: Run, config: Config) -> str:
    made = run(readouts)
    return "\n".join(
        summary.plain_summary(
            made.effects,
            response.sensitivity_tally(made.effects, made.sensitivity, "msc_effect", response.leading(made.effects)[1]),
            readouts,
            config,
        )
    )


def test_one_group_alone_has_no_gap_and_no_health(make: Make, run: Run, config: Config) -> None:
    said = said_of(make(n_control=0, names=("IL-6",)), run, config)
    assert "No control donor was measured, so this study itself says nothing of health." in said
    assert "No share is given in 1 comparison (1 no controls)." in said
    assert "The changes of two groups cannot be compared." in said
    assert "toward" not in said.replace("no known direction toward health", "")


def test_one_donor_has_no_interval_and_nothing_is_called(make: Make, run: Run, config: Config) -> None:
    said = said_of(make(n_apap=1, n_control=0, names=("IL-6",)), run, config)
    assert "higher" not in said and "lower" not in said
    assert "No estimate was computed in another way." in said


def test_no_complete_pair_is_no_estimate(make: Make, run: Run, config: Config) -> None:
    readouts = make(names=("IL-6",))
    odd = readouts["donor_id"].str[1:].astype(int) % 2 == 1
    said = said_of(readouts[(readouts["condition"] == "am") == odd], run, config)
    assert "No donor has the values that a change needs of IL-6." in said and "higher" not in said
    assert run(readouts[(readouts["condition"] == "am") == odd]).donor_changes.empty


def test_everything_below_the_limit_is_neither_higher_nor_lower(make: Make, run: Run, config: Config) -> None:
    readouts = make(names=("IL-6",)).assign(value=NAN, upper=1.0, censoring="left")
    said = said_of(readouts, run, config)
    assert "no estimate (all censored)" in said and "higher" not in said and "lower," not in said
    changes = response.marked(run(readouts).donor_changes)
    assert set(changes["mark"]) == {"?"} and changes["sd_donors"].isna().all()
    assert planning(run(readouts).donor_changes, readouts, {}).empty


def test_nothing_measured_is_said_in_sentences(make: Make, run: Run, config: Config) -> None:
    said = said_of(make(names=("IL-6",)).iloc[:0], run, config)
    assert said.startswith("No readout was compared with and without MSC.")
    assert "nan" not in said.lower() and "none" not in said.lower()


def test_spreads_are_pooled_by_the_wells_behind_them() -> None:
    arms = pd.DataFrame({"n_cultures": [2, 3, 1], "n_assay_wells": [4, 9, 1]})
    arms = arms.assign(sd_culture=[0.3, 0.6, 9.0], sd_assay=[0.1, 0.2, 9.0])
    assert pooled_spread(arms, "sd_culture") == pytest.approx(np.sqrt((0.09 * 1 + 0.36 * 2) / 3))
    assert pooled_spread(arms, "sd_assay") == pytest.approx(np.sqrt((0.01 * 2 + 0.04 * 6) / 8))
    assert np.isnan(pooled_spread(arms.iloc[2:], "sd_culture"))
