"""Figures and views of uptake say what they show, and hold when there is nothing to show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from helpers.core.schemas import output_tables
from helpers.figures import phagocytosis as draw
from helpers.figures.base import Picture
from helpers.stats.thresholds import changes_by_quantile
from helpers.study.config import Config
from helpers.tables import phagocytosis as views

CONFIG = Config.from_settings(
    {
        "id": "x",
        "title": "x",
        "groups": [
            {"code": "apap", "label": "aPAP", "role": "disease"},
            {"code": "control", "label": "Control", "role": "control", "control_source": "x"},
        ],
        "conditions": [
            {"code": "am", "label": "AM alone", "cells": "am", "role": "reference"},
            *(
                {"code": f"m{i}", "label": f"AM + MSC {r}", "cells": "am_msc", "msc_am_ratio": r, "role": "treatment"}
                | {"compare_to": "am"}
                for i, r in enumerate((0.1, 1.0))
            ),
        ],
    }
)
DONORS = pd.DataFrame({"donor_id": [f"D{i}" for i in range(6)], "group": ["apap"] * 4 + ["control"] * 2})


def empty(name: str) -> pd.DataFrame:
    return pd.DataFrame(columns=output_tables()[name].columns)


def thresholds(shift: float) -> pd.DataFrame:
    rows = [
        {"phago_id": f"{d}{c}", "donor_id": d, "condition": c, "target": "bead", "minutes": 60.0, "quantile": q}
        | {"pct_positive": 40 + 3 * i + (10 + i + shift * q if c == "m0" else 0)}
        for i, d in enumerate(DONORS["donor_id"])
        for c in ("am", "m0")
        for q in (0.95, 0.99)
    ]
    return pd.DataFrame(rows)


def test_changes_by_quantile_are_means_of_donors() -> None:
    found = changes_by_quantile(thresholds(0.0), DONORS, CONFIG).set_index(["group", "quantile"])
    assert found.loc[("apap", 0.95), ["n_donors", "change"]].tolist() == [4, pytest.approx(11.5)]
    assert found.loc[("control", 0.99), "change"] == pytest.approx(14.5)
    assert found.loc[("apap", 0.95), "low"] < 11.5 < found.loc[("apap", 0.95), "high"]
    moved = changes_by_quantile(thresholds(100.0), DONORS, CONFIG).set_index(["group", "quantile"])["change"]
    assert moved["apap", 0.99] - moved["apap", 0.95] == pytest.approx(4.0)


def test_the_picture_of_thresholds_names_every_number() -> None:
    picture = draw.threshold_sensitivity(thresholds(0.0), DONORS, CONFIG)
    assert "aPAP" in picture.alt and "11.5 points" in picture.alt and len(picture.data) == 4
    assert picture.image("svg") == draw.threshold_sensitivity(thresholds(0.0), DONORS, CONFIG).image("svg")


def test_doses_keep_none_apart_and_leave_out_donors_with_one_dose() -> None:
    rows = [
        {"donor_id": d, "group": "apap", "condition": c, "assay": "phagocytosis", "readout": "ecoli|pct", "unit": "%"}
        | {"value": v}
        for d in ("D0", "D1")
        for c, v in (("am", 20.0), ("m0", 30.0), ("m1", 40.0))
    ] + [
        {"donor_id": "D2", "group": "apap", "condition": "m0", "assay": "phagocytosis", "readout": "ecoli|pct"}
        | {"value": 9.0}
    ]
    (picture,) = draw.all_doses(pd.DataFrame(rows), CONFIG)
    assert picture.alt.endswith("in 2 donors. Medians: 20.0 at none, 30.0 at 0.1, 40.0 at 1.")
    assert set(picture.data["donor_id"]) == {"D0", "D1"}


def test_combs_that_are_not_resolved_are_named_so() -> None:
    comb = {"donor_id": "D0", "condition": "am", "target": "bead", "minutes": 60.0, "sd": 50.0}
    rows = [
        comb
        | {
            "phago_id": i,
            "peak": k,
            "is_open": k == 2,
            "position": 500.0 + 1000 * k,
            "share": 0.5,
            "identifiable": good,
        }
        | {"mean_beads": 0.7, "status": "ok" if good else "Peaks overlap.", "n_cells": 900}
        for i, good in (("U1", True), ("U2", False))
        for k in range(3)
    ]
    combs = pd.DataFrame(rows).reindex(columns=output_tables()["bead_combs"].columns)
    (picture,) = draw.all_combs(empty("uptake_histograms"), combs, CONFIG)
    assert (
        picture.alt == "Bead combs, AM alone: 1 of 2 wells with peaks that stand apart; beads per cell 0.700 to 0.700."
    )
    shown = views.combs_view(combs, CONFIG).frame
    assert shown["mean_beads"].tolist() == [0.7, pytest.approx(np.nan, nan_ok=True)]
    assert shown["status"].tolist() == ["", "Peaks overlap."]


def test_without_data_every_picture_is_a_sentence_and_every_table_is_empty() -> None:
    bins, wells, combs, kinetics, tried, signal = (
        empty(n)
        for n in (
            "uptake_histograms",
            "phagocytosis_wells",
            "bead_combs",
            "kinetics",
            "uptake_thresholds",
            "msc_signal",
        )
    )
    pictures: list[Picture] = [
        *draw.all_histograms(bins, wells, CONFIG),
        *draw.all_combs(bins, combs, CONFIG),
        *draw.all_courses(wells, kinetics, CONFIG),
        *draw.all_doses(empty("readouts"), CONFIG),
        draw.threshold_sensitivity(tried, DONORS, CONFIG),
    ]
    assert len(pictures) == 5 and all(p.alt.startswith("No ") and p.alt == p.caption for p in pictures)
    tables = [
        views.controls_view(wells, CONFIG),
        views.doubtful_view(wells),
        views.common_threshold_view(wells, CONFIG),
        views.combs_view(combs, CONFIG),
        views.kinetics_view(kinetics, CONFIG),
        views.msc_signal_view(signal, CONFIG),
        views.threshold_view(tried, DONORS, CONFIG),
    ]
    assert all(t.frame.empty and "No rows." in str(t) for t in tables)


def test_controls_are_counted_by_what_they_did() -> None:
    wells = pd.DataFrame(
        {
            "target": "bead",
            "condition": "am",
            "role": "uptake",
            "donor_id": ["D0", "D1", "D2"],
            "threshold_source": ["no_particle", "cold", "no_particle"],
            "correction": ["points", "in_threshold", "points"],
            "n_cells": [100, 200, 300],
        }
    )
    shown = views.controls_view(wells, CONFIG).frame.set_index("correction")
    assert shown["wells"].to_dict() == {
        "partner subtracted, points": 2,
        "in the threshold, nothing subtracted": 1,
    }
    assert shown.loc["partner subtracted, points", "cells"] == 200
