"""The readout explorer: what a choice shows, and what no choice of donors may change."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.analysis import Analysis, load_study
from helpers.figures.explore import axis_scales
from helpers.tables.wells import wells_behind
from helpers.widgets import choices
from helpers.widgets.choices import Comparison, Selection
from helpers.widgets.readouts import explore_readouts, shown

FEW = ("D01", "D05", "D20")


@pytest.fixture(scope="module")
def data(demo: Path) -> Analysis:
    return load_study(demo)


@pytest.fixture(scope="module")
def start(data: Analysis) -> Selection:
    found = choices.first(data)
    assert found is not None
    return found


def selection(data: Analysis, assay: str, readout: str) -> Selection:
    found = choices.comparisons(data.table("readouts"), data.table("effects"), assay, readout)
    return Selection(assay, readout, found[0])


def test_the_first_choice_is_a_primary_readout_of_the_plan(start: Selection) -> None:
    assert (start.assay, start.readout) == ("measurements", "OilRedO")
    assert start.comparison == Comparison("am_msc", "am", "V1", 24.0, None)


def test_choosing_donors_changes_picture_and_wells_and_never_the_estimate(data: Analysis, start: Selection) -> None:
    everyone, few = shown(data, start), shown(data, replace(start, donors=FEW))
    pd.testing.assert_frame_equal(everyone.effects.frame, few.effects.frame)
    assert everyone.effects.frame["n"].tolist()[:2] == [14, 8]
    assert set(few.wells.frame["donor_id"]) == set(FEW) < set(everyone.wells.frame["donor_id"])
    assert everyone.picture.image("png") != few.picture.image("png")
    assert "3 of 24 donors" in few.sentence and "never makes a new p" in few.sentence


def test_every_donor_is_drawn_whoever_is_chosen(data: Analysis, start: Selection) -> None:
    rows = choices.rows_of(data.table("readouts"), start)
    picture = shown(data, replace(start, donors=FEW)).picture
    assert set(picture.data["donor_id"]) == set(rows["donor_id"])
    assert set(picture.data.loc[picture.data["chosen"], "donor_id"]) == set(FEW)
    points = sum(len(c.get_offsets()) for c in picture.figure.axes[0].collections)
    assert points == len(rows)
    named = {t.get_text() for t in picture.figure.axes[0].texts}
    assert named == set(FEW)


def test_an_unknown_donor_is_no_choice(data: Analysis, start: Selection) -> None:
    assert not shown(data, replace(start, donors=("D99",))).sentence.startswith("0 of")


def test_the_rows_are_those_of_the_table_of_effects(data: Analysis, start: Selection) -> None:
    effects = data.table("effects")
    own = choices.effect_rows(effects, start)
    assert set(own["contrast"]) == {"msc_effect", "interaction", "gap_closed"}
    whole = effects[(effects["readout"] == "OilRedO") & (effects["contrast_id"] == own["contrast_id"].iloc[0])]
    assert own["p"].iloc[0] == whole["p"].iloc[0]


@pytest.mark.parametrize(
    ("assay", "readout"),
    [
        ("cytokines", "IL-6"),
        ("phenotype", "AM|CD206|delta_mfi"),
        ("phenotype", "AM|CD80|pct"),
        ("phenotype", "AM|CD80+CD206+|pct"),
        ("phenotype", "AM|pct"),
        ("phagocytosis", "bead|pct_phagocytic"),
        ("phagocytosis", "zymosan|plateau"),
        ("measurements", "Cholesterol"),
    ],
)
def test_every_point_has_the_wells_it_was_made_from(data: Analysis, assay: str, readout: str) -> None:
    rows = choices.rows_of(data.table("readouts"), selection(data, assay, readout))
    wells = wells_behind(data, rows)
    used = wells[~wells["remark"].str.startswith("Excluded")]
    keys = ["donor_id", "condition", "msc_lot_id"]
    points = rows.assign(msc_lot_id=rows["msc_lot_id"].fillna("")).groupby(keys)["n_cultures"].sum()
    cultures = used.groupby(keys)["culture_id"].nunique()
    assert set(cultures.index) == set(points.index)
    assert (cultures.reindex(points.index) >= points).all()


def test_the_mean_of_the_wells_is_the_point(data: Analysis) -> None:
    """Geometric mean of cultures, each the geometric mean of its replicates."""
    rows = choices.rows_of(data.table("readouts"), selection(data, "measurements", "OilRedO"))
    one = rows[(rows["donor_id"] == "D01") & (rows["condition"] == "am")]
    wells = wells_behind(data, one)
    logs = np.log2(wells["value"]).groupby(wells["culture_id"]).mean()
    assert len(wells) == one["n_assay_wells"].iloc[0] and len(logs) == 3
    assert 2 ** logs.mean() == pytest.approx(one["value"].iloc[0], rel=1e-9)


def test_an_excluded_culture_is_shown_with_the_rule_that_excluded_it(data: Analysis) -> None:
    rows = choices.rows_of(data.table("readouts"), selection(data, "measurements", "OilRedO"))
    wells = wells_behind(data, rows)
    culture = wells["culture_id"].iloc[0]
    row = {"entity": "culture", "entity_id": culture, "rule": "Spilt.", "decided_by": "deviations"}
    more = pd.concat([data.table("exclusions"), pd.DataFrame([row])])
    after = wells_behind(replace(data, measured=data.measured | {"exclusions": more}), rows)
    marked = after["remark"] == "Excluded. Spilt."
    assert set(after.loc[marked, "culture_id"]) == {culture} and len(after) == len(wells)


def test_an_axis_of_logarithms_is_offered_only_where_every_value_has_one(data: Analysis, start: Selection) -> None:
    rows = choices.rows_of(data.table("readouts"), start)
    assert axis_scales(rows) == ["log2", "measured"]
    assert axis_scales(rows.assign(value=0.0)) == ["measured"]


def test_the_scale_changes_the_picture_alone(data: Analysis, start: Selection) -> None:
    log, plain = shown(data, start), shown(data, replace(start, scale="measured"))
    assert log.picture.figure.axes[0].get_yscale() == "log" and plain.picture.figure.axes[0].get_yscale() == "linear"
    pd.testing.assert_frame_equal(log.effects.frame, plain.effects.frame)


def test_comparisons_without_values_in_all_arms_are_not_offered(data: Analysis) -> None:
    readouts, effects = data.table("readouts"), data.table("effects")
    for readout in ("bead|pct_phagocytic", "ecoli|pct_phagocytic"):
        for one in choices.comparisons(readouts, effects, "phagocytosis", readout):
            rows = choices.rows_of(readouts, Selection("phagocytosis", readout, one))
            assert set(rows["condition"]) == set(one.arms)


# ---- the widgets themselves, without a browser


def named(explorer: object, description: str) -> object:
    """The control with this description."""
    waiting = [explorer]
    while waiting:
        one = waiting.pop()
        if getattr(one, "description", None) == description:
            return one
        waiting += getattr(one, "children", ())
    raise AssertionError(f"no control {description}")


def pages(explorer: object) -> str:
    return " ".join(getattr(w, "value", "") for w in explorer.children[1:])  # type: ignore[attr-defined]


def test_a_moved_widget_shows_another_picture(data: Analysis) -> None:
    explorer = explore_readouts(data)
    before = pages(explorer)
    named(explorer, "Donors").value = ("D02",)  # type: ignore[attr-defined]
    after = pages(explorer)
    images = [re.findall(r'src="([^"]+)"', text) for text in (before, after)]
    assert images[0] != images[1] and "1 of 24 donors" in after
    named(explorer, "All donors").click()  # type: ignore[attr-defined]
    assert pages(explorer) == before


def test_another_assay_brings_its_own_readouts_and_keeps_chosen_donors(data: Analysis) -> None:
    explorer = explore_readouts(data)
    named(explorer, "Donors").value = ("D02", "D21")  # type: ignore[attr-defined]
    named(explorer, "Assay").value = "cytokines"  # type: ignore[attr-defined]
    assert named(explorer, "Readout").value == "CCL18"  # type: ignore[attr-defined]
    assert named(explorer, "Donors").value == ("D02", "D21")  # type: ignore[attr-defined]
    assert explorer.picture is not None and "CCL18" in explorer.picture.alt


def test_where_no_widget_can_run_the_picture_stands(data: Analysis) -> None:
    bundle, about = explore_readouts(data)._repr_mimebundle_()
    assert bundle["image/png"] and re.search(r"\d", about["image/png"]["alt"])
    assert bundle["text/plain"] == about["image/png"]["alt"]


def test_a_study_without_readouts_says_so(data: Analysis) -> None:
    none = replace(data, measured=data.measured | {"readouts": data.table("readouts").iloc[:0]})
    assert "no readouts" in pages(explore_readouts(none))
