"""Figures of plates and effects: what is drawn is what the tables say, and nothing to draw is a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.analysis import Analysis, load_study
from helpers.figures import effects as draw
from helpers.figures import plates as draw_plates
from helpers.figures.base import Picture
from helpers.stats.sentences import conclusions
from helpers.tables import effects as views
from helpers.tables import plates as plate_views


@pytest.fixture(scope="module")
def data(demo: Path) -> Analysis:
    return load_study(demo)


def sound(picture: Picture) -> Picture:
    image = picture.image("png")
    assert len(image) > 5_000, "an empty drawing"
    assert picture.alt and picture.caption and "nan" not in picture.alt
    assert picture.image("svg") == picture.image("svg")
    return picture


def test_plate_maps_show_every_well(data: Analysis) -> None:
    wells = data.table("cytokine_wells")
    picture = sound(draw_plates.plate_maps(wells))
    drawn = picture.data.groupby("plate_id")["well"].nunique()
    single = wells[~wells["well"].str.contains(",")].groupby("plate_id")["well"].nunique()
    pd.testing.assert_series_equal(drawn, single, check_dtype=False, check_index_type=False)


def test_many_plates_stand_on_several_pages(data: Analysis) -> None:
    wells = data.table("cytokine_wells")
    many = pd.concat([wells.assign(plate_id=f"{p}{i}") for i in range(5) for p in "ab"])
    pictures = list(draw_plates.all_plate_maps(many))
    assert [p.name for p in pictures] == ["plate_maps", "plate_maps_2"]
    assert [p.data["plate_id"].nunique() for p in pictures] == [6, 4]
    assert len(list(draw_plates.all_plate_maps(wells.iloc[:0]))) == 1


def test_standard_curves_name_ranges_and_what_has_none(data: Analysis) -> None:
    tables = [data.table(n) for n in ("cytokine_curves", "standard_recovery", "cytokine_wells")]
    pictures = list(draw_plates.all_standard_curves(*tables))
    assert [p.name for p in pictures] == ["standard_curves_P1", "standard_curves_P2", "standard_curves_P3"]
    curves = tables[0]
    with_range = curves[(curves["plate_id"] == "P1") & curves["lloq_pg_ml"].notna()]
    assert all(a in pictures[0].alt for a in with_range["analyte"])
    assert len(sound(pictures[0]).figure.axes) == (curves["plate_id"] == "P1").sum()


def test_the_forest_shows_every_estimate_of_the_table(data: Analysis) -> None:
    effects = data.table("effects")
    picture = sound(draw.forest(effects, data.config, "cytokines", "msc_effect"))
    rows = effects[(effects["assay"] == "cytokines") & (effects["contrast"] == "msc_effect")]
    assert len(picture.data) == len(rows)
    lines = [line for axes in picture.figure.axes for line in axes.lines]
    points = [x for line in lines if line.get_linestyle() == "None" for x in line.get_xdata()]
    assert sorted(points) == sorted(rows["estimate"].dropna())
    spans = [line.get_xdata() for line in lines if np.isnan(np.asarray(line.get_xdata(), dtype=float)).any()]
    ends = np.concatenate(spans).reshape(-1, 3)[:, :2]
    there = rows[rows["estimate"].notna()]
    wanted = [there[end].fillna(there["estimate"]) for end in ("ci_low", "ci_high")]
    assert sorted(map(tuple, ends.tolist())) == sorted(zip(*wanted, strict=True)), "every interval, or its known end"
    names = {t.get_text().rstrip(" ▲▼") for axes in picture.figure.axes for t in axes.get_yticklabels()}
    without = set(rows["readout"]) - set(rows.loc[rows["estimate"].notna(), "readout"])
    assert set(rows["readout"]) - without <= names
    assert all(name in picture.caption.split("Without any estimate")[1] for name in without), "named, not drawn"


def test_paired_lines_draw_each_value_once_and_bounds_at_their_limit(data: Analysis) -> None:
    readouts = data.table("readouts")
    picture = sound(draw.paired_lines(readouts, data.config, "cytokines", "am_msc", "am", ["TNF-a", "IL-4"]))
    rows = readouts[
        (readouts["assay"] == "cytokines")
        & readouts["condition"].isin(["am", "am_msc"])
        & readouts["readout"].isin(["TNF-a", "IL-4"])
    ]
    marks = [line for axes in picture.figure.axes for line in axes.lines if line.get_marker() not in ("None", "")]
    assert sum(len(mark.get_ydata()) for mark in marks) == len(rows) == len(picture.data)
    below = [y for mark in marks if mark.get_marker() == "v" for y in np.asarray(mark.get_ydata())]
    np.testing.assert_allclose(sorted(below), sorted(rows.loc[rows["censoring"].isin(["left", "interval"]), "upper"]))
    lines = [line for axes in picture.figure.axes for line in axes.lines if line.get_linestyle() == "-"]
    both = rows.groupby(["readout", "donor_id", "visit", "timepoint_h"])["condition"].nunique() == 2
    assert sum(np.isnan(line.get_ydata()).sum() for line in lines) == both.sum(), "one line a pair"
    left = rows[rows["censoring"] == "left"]
    np.testing.assert_allclose(draw.drawn_values(left), left["upper"])


def test_changes_of_hundreds_of_donors_are_counted(data: Analysis) -> None:
    readouts = data.table("readouts").query(
        "assay == 'cytokines' and readout == 'IL-6' and condition in ('am', 'am_msc')"
    )
    one = readouts[readouts["donor_id"] == "D19"]
    many = pd.concat([one.assign(donor_id=f"E{i:03d}") for i in range(301)], ignore_index=True)
    assert "301 donors are more" in draw.change_map(many, data.config, "cytokines", "am_msc", "am").alt


def test_changes_of_bounds_are_marked(data: Analysis) -> None:
    readouts = data.table("readouts")
    own = readouts[(readouts["assay"] == "cytokines") & (readouts["scale"] == "log2")]
    changes = draw.donor_changes(own, "am_msc", "am")
    one = changes[(changes["mark"] == "")].iloc[0]
    pick = own[
        (own["donor_id"] == one["donor_id"]) & (own["readout"] == one["readout"]) & (own["visit"] == one["visit"])
    ]
    means = {c: np.log2(p["value"].astype(float)).mean() for c, p in pick.groupby("condition")}
    assert one["change"] == pytest.approx(means["am_msc"] - means["am"])
    assert changes.loc[changes["mark"] == "?", "change"].isna().all()
    assert {"<", "?"} & set(changes["mark"])
    sound(draw.change_map(readouts, data.config, "cytokines", "am_msc", "am"))


def test_nothing_to_draw_is_a_sentence(data: Analysis) -> None:
    empty = {
        n: data.table(n).iloc[:0]
        for n in ("cytokine_wells", "cytokine_curves", "standard_recovery", "plate_controls", "effects", "readouts")
    }
    pictures = [
        draw_plates.plate_maps(empty["cytokine_wells"]),
        draw_plates.recoveries(empty["standard_recovery"]),
        draw_plates.controls_over_days(empty["plate_controls"]),
        draw.forest(empty["effects"], data.config, "cytokines", "msc_effect"),
        draw.change_map(empty["readouts"], data.config, "cytokines", "am_msc", "am"),
    ]
    assert all(p.alt.endswith(".") and p.image("png") for p in pictures)
    assert (
        list(
            draw_plates.all_standard_curves(
                empty["cytokine_curves"], empty["standard_recovery"], empty["cytokine_wells"]
            )
        )
        == []
    )
    views_: list[Any] = [
        plate_views.plates_view(empty["cytokine_wells"], empty["cytokine_curves"], empty["standard_recovery"]),
        plate_views.limits_view(empty["cytokine_curves"]),
        plate_views.vendor_view(empty["cytokine_wells"]),
        plate_views.controls_view(empty["plate_controls"]),
        views.effects_view(empty["effects"], data.config, "cytokines", "msc_effect"),
    ]
    assert all("No rows." in repr(v) for v in views_)


def test_sentences_name_what_the_table_calls_and_no_more(data: Analysis) -> None:
    effects = data.table("effects")
    said = " ".join(conclusions(effects, data.config, "cytokines", "msc_effect"))
    rows = effects[
        (effects["assay"] == "cytokines")
        & (effects["contrast"] == "msc_effect")
        & (effects["group"] == "apap")
        & (effects["treatment"] == "am_msc")
    ]
    called = rows[rows["p_adjusted"] <= 0.05].sort_values("p_adjusted", kind="stable")
    assert all(f"{r} fold" in said for r in called["readout"].head(3))
    assert "cannot be ascribed to MSC as such" in said and "exploratory" in said
    none = effects.assign(p_adjusted=1.0)
    assert "no evidence of no difference" in " ".join(conclusions(none, data.config, "cytokines", "msc_effect"))


def test_the_table_of_effects_has_one_line_a_row_with_its_family(data: Analysis) -> None:
    effects = data.table("effects")
    view = views.effects_view(effects, data.config, "cytokines", "msc_effect")
    rows = effects[(effects["assay"] == "cytokines") & (effects["contrast"] == "msc_effect")]
    assert len(view.frame) == len(rows)
    with_p = rows["p"].notna().to_numpy()
    assert (view.frame["family_size"].ne("").to_numpy() == with_p).all()
