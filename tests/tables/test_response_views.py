"""Tables of the response to MSC as readers see them: ratios, points and shares by hand, refusals in words, escaped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.analysis import Analysis, load_study
from helpers.core.schemas import output_tables
from helpers.study.config import Config
from helpers.tables import response as views

SETTINGS: dict[str, Any] = {
    "id": "x",
    "title": "x",
    "groups": [
        {"code": "apap", "label": "aPAP", "role": "disease"},
        {"code": "control", "label": "Control", "role": "control", "control_source": "lavage"},
    ],
    "conditions": [
        {"code": "am", "label": "AM", "cells": "am", "role": "reference"},
        {"code": "am_msc", "label": "AM + MSC", "cells": "am_msc", "role": "treatment", "compare_to": "am"},
    ],
    "readouts": [
        {"name": "IL-6", "assay": "cytokines", "direction_toward_health": "down", "direction_source": "Who 1999"}
    ],
}
CONFIG = Config.from_settings(SETTINGS)
KEYS = {"contrast_id": "c", "contrast": "msc_effect", "assay": "cytokines", "readout": "IL-6", "unit": "pg/ml"}
KEYS |= {"scale": "log2", "group": "apap", "treatment": "am_msc", "reference": "am", "timepoint_h": 24.0}
KEYS |= {"assay_minutes": np.nan, "role": "primary", "prespecified": "declared"}


def rows(name: str, *given: dict[str, Any]) -> pd.DataFrame:
    """Rows of an output table with the usual keys."""
    columns = output_tables()[name].columns
    return pd.DataFrame([KEYS | g for g in given], columns=None if given else columns).reindex(columns=columns)


def effects(*given: dict[str, Any]) -> pd.DataFrame:
    usual = {"estimate": -1.0, "ci_low": -2.0, "ci_high": 1.0, "n_pairs": 7, "ratio_kind": "fold", "status": "ok"}
    usual |= {"note": "", "p": 0.04, "p_adjusted": 0.08, "family_size": 2, "loo_low": -1.5, "loo_high": -0.5}
    return rows("effects", *(usual | g for g in given or ({},)))


@pytest.fixture(scope="module")
def data(demo: Path) -> Analysis:
    return load_study(demo)


@pytest.mark.parametrize(
    ("row", "effect", "interval"),
    [
        ({}, "0.500 fold", "0.250 to 2.00"),
        ({"scale": "logit", "ratio_kind": "odds"}, "0.368 odds", "0.135 to 2.72"),
        ({"scale": "log2", "ratio_kind": "odds"}, "0.368 odds of detection", "0.135 to 2.72"),
        ({"scale": "identity", "ratio_kind": "none", "unit": "%"}, "−1.00 percentage points", "−2.00 to 1.00"),
        ({"scale": "identity", "ratio_kind": "none", "unit": "points"}, "−1.00 points", "−2.00 to 1.00"),
        ({"estimate": np.nan, "ci_low": np.nan, "ci_high": np.nan, "status": "all_censored"}, "", ""),
    ],
)
def test_changes_are_shown_in_the_unit_of_their_scale(row: dict[str, Any], effect: str, interval: str) -> None:
    shown = views.changes_view(effects(row), CONFIG).frame.iloc[0]
    assert (shown["effect"], shown["interval"]) == (effect, interval)


def test_a_change_stands_with_its_direction_its_pairs_and_both_p() -> None:
    shown = views.changes_view(effects({"status": "too_few_donors", "note": "Few."}), CONFIG).frame.iloc[0]
    assert shown[["n", "way", "left_out"]].tolist() == [7, "▼ lower (stated)", "0.354 to 0.707"]
    assert shown[["p", "p_adjusted", "family_size"]].tolist() == ["0.040", "0.080", "2"]
    assert shown["status"] == "too few donors. Few."
    assert views.changes_view(effects(), CONFIG, "following").frame.empty


def test_the_level_of_the_intervals_is_that_of_the_plan() -> None:
    ninety = Config.from_settings(SETTINGS | {"alpha": 0.1})
    assert "Intervals have level 90 %." in views.changes_view(effects(), ninety).footnotes


def test_roles_name_their_source_and_count_what_is_exploratory() -> None:
    gap = {"contrast": "group_gap", "group": "apap \N{MINUS SIGN} control", "treatment": "am", "reference": ""}
    table = effects({}, {"readout": "TNF", "role": "secondary"}, {"readout": "x", "role": "exploratory"},
                    gap | {"readout": "TNF", "ci_low": -2.0, "ci_high": -1.0})  # fmt: skip
    view = views.roles_view(table, CONFIG)
    assert view.frame[["readout", "role", "way", "source", "own"]].to_numpy().tolist() == [
        ["IL-6", "primary", "▼ lower", "study.yaml: Who 1999", "no say"],
        ["TNF", "secondary", "▲ higher", "this study's own gap", "▲ higher"],
    ]
    assert view.footnotes[0] == "Exploratory, and not in this table: 1 of cytokines."


def test_a_share_of_the_gap_is_given_or_refused_by_name() -> None:
    gap = {"contrast": "gap_closed", "group": "apap \N{MINUS SIGN} control"}
    refused = {"estimate": np.nan, "ci_low": np.nan, "ci_high": np.nan, "status": "not_estimable", "note": "No gap."}
    table = effects({}, gap | {"estimate": 0.5, "ci_low": -0.1, "ci_high": np.nan}, gap | refused)
    shown = views.gap_closed_view(table, CONFIG)
    assert shown.frame["share"].tolist() == ["50 %", "not estimable"]
    assert shown.frame["interval"].tolist() == ["−10 % to open above", ""]
    assert shown.frame["status"].tolist() == ["", "not estimable. No gap."]
    assert any("Control: lavage" in note and "smoking, age and calendar time" in note for note in shown.footnotes)


def test_responders_are_counted_or_it_is_said_why_not() -> None:
    more = {"k": 3, "n": 7, "share": 3 / 7, "ci_low": 0.0990, "ci_high": 0.8159, "smallest_detectable_change": 1.0}
    table = rows("responders", more | {"direction": "down", "donors": "P1, P2, P3"}, more | {"direction": "up", "k": 0})
    shown = views.responders_view(table, effects(), CONFIG).frame
    assert shown["count"].tolist() == ["3 of 7", "0 of 7"] and shown["health"].tolist() == ["yes", "no"]
    assert shown["interval"].iloc[0] == "9.90 to 81.6" and shown["smallest"].iloc[0] == "2.00 fold"
    refused = views.responders_view(rows("responders", {"note": "No cultures."}), effects(), CONFIG).frame
    assert refused["note"].tolist() == ["No cultures."] and refused["count"].isna().all()


def test_the_tally_names_what_differs_once() -> None:
    table = effects({"ci_low": -2.0, "ci_high": -0.5})
    more = rows("effects_sensitivity", *({"method": m, "estimate": e, "ci_low": e - 0.4, "ci_high": e + 0.4} for m, e in (("mixed", -0.9), ("odd", 0.1))))  # fmt: skip
    shown = views.sensitivity_summary_view(table, more, CONFIG).frame.iloc[0]
    assert shown["effect"] == "0.500 fold (0.250 to 0.707)" and shown["range"] == "0.500 to 1.07"
    assert shown[["sign", "side", "one_donor", "differs"]].tolist() == ["1 of 2", "1 of 2", "no", "odd"]


def test_correlations_keep_assays_and_covariates_apart() -> None:
    pairs = [
        ("cytokines IL-6 24 h", "measurements OilRedO 24 h", 0.5),
        ("cytokines IL-6 24 h", "cytokines_per_cell IL-6 24 h", 0.9),
        ("cytokines IL-6 24 h", "PaO2", -0.3),
        ("cytokines IL-6 24 h", "measurements x 24 h", np.nan),
    ]
    table = rows("concordance", *({"first": a, "second": b, "rho": r, "n": 9, "critical": 0.67} for a, b, r in pairs))
    across = views.concordance_view(table, effects(), CONFIG).frame
    assert across[["first", "second", "group", "comparison", "rho"]].to_numpy().tolist() == [
        ["IL-6", "OilRedO", "aPAP", "AM + MSC against AM", 0.5]
    ]
    assert views.covariates_view(table, effects(), CONFIG).frame["second"].tolist() == ["PaO2"]


def test_planning_shows_half_widths_of_ratios_as_factors() -> None:
    more = {"n_pairs": 7, "n_cultures": 2, "n_assay_wells": 3, "half_width": 1.0, "detectable_80": 2.0}
    table = rows("planning", more | {"scenario": "donor", "variance_share": 0.1234}, more | {"scenario": "observed"})
    shown = views.planning_view(table, effects(), CONFIG).frame
    assert shown["half"].tolist() == ["×/÷ 2.00"] * 2 and shown["found"].iloc[0] == "4.00 fold"
    assert (
        shown["design"].iloc[0] == "7 × 2 × 3" and shown["share"].iloc[0] == 12.3 and np.isnan(shown["share"].iloc[1])
    )
    plain = views.planning_view(table.assign(scale="identity", unit="points"), effects(), CONFIG).frame
    assert plain["half"].iloc[0] == "± 1.00 points" and plain["found"].iloc[0] == "2.00 points"


def test_lots_are_rows_of_their_own() -> None:
    more = rows("effects_sensitivity", {"method": "MSC lot M1, 3 donors", "estimate": -1.0, "ci_low": -2, "ci_high": 0})
    shown = views.lots_view(effects(), more, CONFIG).frame
    assert shown[["lot", "n", "effect", "interval"]].to_numpy().tolist() == [["M1", 3, "0.500 fold", "0.250 to 1.00"]]


@pytest.mark.parametrize("nasty", ["<script>alert(1)</script>", "肺泡巨噬细胞", "x" * 60, "😀 & \"q\" 'q'"])
def test_labels_of_any_kind_are_escaped(nasty: str) -> None:
    readouts = [{"name": "IL-6", "assay": "cytokines", "label": nasty, "direction_source": nasty}]
    readouts[0]["direction_toward_health"] = "down"
    groups = [{"code": "apap", "label": nasty, "role": "disease"}]
    config = Config.from_settings(SETTINGS | {"readouts": readouts, "groups": groups})
    sensitivity, readout_table = rows("effects_sensitivity"), rows("readouts", {"msc_lot_id": nasty})
    page = [
        views.summary_view(effects(), sensitivity, readout_table, config),
        views.roles_view(effects(), config),
        views.changes_view(effects(), config),
        views.lots_words_view(readout_table),
    ]
    for view in page:
        assert "<script" not in view._repr_html_()
    assert all(nasty in str(view) for view in page)


def test_without_data_every_table_is_empty_and_every_text_a_sentence() -> None:
    none = {n: pd.DataFrame(columns=s.columns) for n, s in output_tables().items()}
    found, more = none["effects"], none["effects_sensitivity"]
    tables: list[Callable[[], Any]] = [
        lambda: views.roles_view(found, CONFIG),
        lambda: views.changes_view(found, CONFIG),
        lambda: views.gap_closed_view(found, CONFIG),
        lambda: views.confounders_view(none["confounding"], CONFIG),
        lambda: views.responders_view(none["responders"], found, CONFIG),
        lambda: views.sensitivity_summary_view(found, more, CONFIG),
        lambda: views.concordance_view(none["concordance"], found, CONFIG),
        lambda: views.covariates_view(none["concordance"], found, CONFIG),
        lambda: views.lots_view(found, more, CONFIG),
        lambda: views.recomputed_view(found, none["effects_recomputed"], CONFIG),
        lambda: views.planning_view(none["planning"], found, CONFIG),
    ]
    assert all(t().frame.empty and "No rows." in str(t()) for t in tables)
    texts = [
        views.summary_view(found, more, none["readouts"], CONFIG),
        views.gap_words_view(found, none["confounding"], CONFIG),
        views.differences_view(found, CONFIG),
        views.stability_view(found, more, CONFIG),
        views.budget_words_view(none["planning"], found),
        views.lots_words_view(none["readouts"]),
    ]
    assert all(line.endswith(".") for text in texts for line in text.split("\n"))


def test_what_another_program_computes_differently_is_named(data: Analysis) -> None:
    found, again = data.table("effects"), data.table("effects_recomputed")
    shown = views.recomputed_view(found, again, data.config).frame
    assert shown["n_estimates"].sum() == found["estimate"].notna().sum() > shown["n_again"].sum() == len(again)
    assert (shown["n_same"] == shown["n_again"]).all() and (shown["differs"] == "").all()
    again.loc[0, ["status", "note"]] = ["differs", "p is 0.0100, computed again 0.500."]
    differing = views.recomputed_view(found, again, data.config).frame.query("differs != ''")
    assert len(differing) == 1 and differing["n_same"].iloc[0] == differing["n_again"].iloc[0] - 1
    assert differing["differs"].iloc[0].endswith("p is 0.0100, computed again 0.500.")
    again[["status", "note"]] = ["differs", "p is 0.0100, computed again 0.500."]
    many = views.recomputed_view(found, again, data.config).frame.set_index("method").loc["paired t"]
    assert many["n_same"] == 0 and many["differs"].count("computed again") == 5
    assert many["differs"].endswith(f"And {many['n_again'] - 5} more.")


def test_every_number_of_the_demo_is_shown_rounded(data: Analysis) -> None:
    t, found = data.table, data.table("effects")
    for view in (
        views.changes_view(found, data.config),
        views.planning_view(t("planning"), found, data.config),
        views.summary_view(found, t("effects_sensitivity"), t("readouts"), data.config),
    ):
        words = str(view).replace("\N{MINUS SIGN}", "").split()
        assert not [
            w
            for w in words
            if len(w.strip("(),;").partition(".")[2]) > 4 and w.strip("(),;.").replace(".", "").isdigit()
        ]
