"""Figures of the response to MSC: a scale an axis, every donor a mark, bounds and refusals in sight, nothing cut."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from helpers.analysis import Analysis, load_study
from helpers.core.schemas import output_tables
from helpers.figures import response as draw
from helpers.figures.base import LONGEST_PX, MOST_ROWS, PRINT_DPI, Picture
from helpers.figures.style import styled
from helpers.stats import response
from helpers.study.config import Config

CONFIG = Config.from_settings(
    {
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
)
KEYS = {"contrast": "msc_effect", "assay": "cytokines", "treatment": "am_msc", "reference": "am"}
KEYS |= {"timepoint_h": 24.0, "assay_minutes": np.nan, "unit": "pg/ml", "scale": "log2", "visit": "V1"}


def effects(*rows: dict[str, object]) -> pd.DataFrame:
    usual = {"readout": "IL-6", "group": "apap", "role": "primary", "n_pairs": 5, "status": "ok", "ci_level": 0.95}
    usual |= {"estimate": -1.0, "ci_low": -1.5, "ci_high": -0.5, "ratio_kind": "fold", "ratio": 0.5, "note": ""}
    usual |= {"ratio_low": 0.354, "ratio_high": 0.707}
    made = [KEYS | usual | r for r in rows]
    return pd.DataFrame([{"contrast_id": f"c:{r['group']}"} | r for r in made]).reindex(
        columns=output_tables()["effects"].columns
    )


def changes(*rows: tuple[str, float, float, float], group: str = "apap", **more: object) -> pd.DataFrame:
    made = [
        KEYS | {"readout": "IL-6", "group": group, "contrast_id": f"c:{group}", "sd_donors": 0.5, "msc_lot_id": ""} | more
        | {"donor_id": d, "change": change, "lower": low, "upper": high}
        for d, change, low, high in rows
    ]  # fmt: skip
    return pd.DataFrame(made).reindex(columns=output_tables()["donor_changes"].columns)


OWN = changes(
    ("P1", -1.0, -1.0, -1.0), ("P2", np.nan, np.nan, -0.25), ("P3", np.nan, 0.5, np.nan), ("P4", np.nan, -1, 1)
)


@pytest.fixture(scope="module")
def data(demo: Path) -> Analysis:
    return load_study(demo)


@pytest.fixture(scope="module")
def pictures(data: Analysis) -> list[Picture]:
    """Every picture of the page."""
    t, config, found = data.table, data.config, data.table("effects")
    own = t("donor_changes")
    return [
        *draw.all_forests(found, own, config),
        *draw.all_forests(found, own, config, "following"),
        draw.gap_closed(found, config),
        draw.responders(t("responders"), found, config),
        draw.response_map(own, t("missing_pairs"), found, t("donors_derived"), config),
        draw.concordance(t("concordance"), found, config),
        draw.covariates(own, found, t("donors_derived"), config),
        *draw.all_lots(found, t("effects_sensitivity"), own, config),
        draw.budget(t("planning"), found, config),
    ]


def test_no_word_is_cut_and_no_label_covers_another(pictures: list[Picture]) -> None:
    for picture in pictures:
        figure = picture.figure
        with styled():
            figure.set_dpi(PRINT_DPI)
            renderer = FigureCanvasAgg(figure).get_renderer()
            ink = figure.get_tightbbox(renderer)
            width, height = figure.get_size_inches()
            assert max(-ink.x0, -ink.y0, ink.x1 - width, ink.y1 - height) < 0.01, picture.name
            for axes in figure.axes:
                for labels in (axes.get_yticklabels(), axes.get_xticklabels(), axes.texts):
                    boxes = [t.get_window_extent(renderer) for t in labels if t.get_text()]
                    crossed = [(i, j) for i, a in enumerate(boxes) for j, b in enumerate(boxes[:i]) if a.overlaps(b)]
                    assert not crossed, (picture.name, [labels[i].get_text() for i in crossed[0]])


def test_names_are_told_apart_and_words_hold_numbers(pictures: list[Picture]) -> None:
    names = [p.name for p in pictures]
    assert len(set(names)) == len(names)
    assert all(any(c.isdigit() for c in p.alt) and "nan" not in p.alt for p in pictures)
    assert all(p.figure.get_size_inches()[0] <= 6.9 for p in pictures)


def test_scales_never_share_an_axis(data: Analysis) -> None:
    rows = data.table("effects"), data.table("donor_changes"), data.config
    forests = [*draw.all_forests(*rows), *draw.all_forests(*rows, "following")]
    labels = [p.figure.axes[0].get_xlabel() for p in forests]
    assert labels == ["Fold change", "Difference, points", "Fold change", "Odds ratio", "Difference, percentage points"]
    for picture in forests:
        assert picture.data.groupby(["scale", "unit"]).ngroups == 1 or set(picture.data["scale"]) == {"log2"}
        marks = sum(c.get_offsets().shape[0] for c in picture.figure.axes[0].collections)
        assert marks == picture.data["estimate"].notna().sum(), "every estimate is a mark"


def test_every_donor_of_a_forest_is_in_it(data: Analysis) -> None:
    own = response.marked(response.changes_of(data.table("donor_changes"), response.leading(data.table("effects"))[1]))
    drawn = draw.all_forests(data.table("effects"), data.table("donor_changes"), data.config)
    marks = sum(
        len(line.get_xdata()) for p in drawn for line in p.figure.axes[0].lines if line.get_marker() in ("|", "<", ">")
    )
    assert marks == own["shown"].notna().sum() > 50


def test_bounded_donors_point_to_where_they_lie_and_refusals_say_why() -> None:
    refused = {"group": "control", "estimate": np.nan, "ci_low": np.nan, "ci_high": np.nan, "status": "too_few_donors"}
    (picture,) = draw.all_forests(effects({}, refused), OWN, CONFIG)
    axes = picture.figure.axes[0]
    drawn = {m: list(x) for line in axes.lines if (m := line.get_marker()) in "|<>" and len(x := line.get_xdata())}
    assert drawn == {"|": [-1.0], "<": [-0.25], ">": [0.5]}
    words = [t.get_text() for t in axes.texts]
    assert "Control: too few donors" in words and "← study.yaml" in words
    assert "Who 1999" in picture.caption and "aPAP, fold change 0.500" in picture.alt


def test_the_tint_lies_on_the_side_toward_health_or_nowhere() -> None:
    def tinted(found: pd.DataFrame) -> list[tuple[float, float]]:
        (picture,) = draw.all_forests(found, OWN, CONFIG)
        patches = [p for p in picture.figure.axes[0].patches if isinstance(p, Rectangle)]
        return [(p.get_x(), p.get_x() + p.get_width()) for p in patches]

    ((low, high),) = tinted(effects({}))
    assert low < 0 == high
    assert tinted(effects({"readout": "TNF"})) == []
    up = {"contrast": "group_gap", "readout": "TNF", "group": "apap \N{MINUS SIGN} control", "treatment": "am"}
    ((low, high),) = tinted(effects({"readout": "TNF"}, up | {"reference": ""}))
    assert low == 0 < high


def test_odds_of_detection_are_no_odds_of_a_percentage_and_have_no_ticks_of_donors() -> None:
    pictures = draw.all_forests(effects({}, {"readout": "TNF", "ratio_kind": "odds"}), OWN, CONFIG)
    assert [p.figure.axes[0].get_xlabel() for p in pictures] == ["Fold change", "Odds ratio of detection"]
    assert not [line for line in pictures[1].figure.axes[0].lines if line.get_marker() in "|<>"]


def test_an_open_end_is_an_arrow() -> None:
    (picture,) = draw.all_forests(effects({"ci_high": np.nan, "ratio_high": np.nan}), OWN, CONFIG)
    assert [t for t in picture.figure.axes[0].texts if t.get_text() == "" and hasattr(t, "arrow_patch")]
    assert "open on a side" in picture.alt


def test_the_map_marks_bounds_and_tells_one_arm_from_none() -> None:
    donors = pd.DataFrame({"donor_id": ["P1", "P2", "P3", "P4", "P5", "P6"], "group": "apap"})
    missing = pd.DataFrame([KEYS | {"readout": "IL-6", "donor_id": "P5"}])
    missing = missing.reindex(columns=output_tables()["missing_pairs"].columns)
    picture = draw.response_map(OWN, missing, effects({}), donors, CONFIG)
    axes = picture.figure.axes[0]
    words = {t.get_position()[1] - 0.5: t.get_text() for t in axes.texts}
    assert words == {0: "−2.0", 1: "<−0.5", 2: ">1.0", 3: "?"}
    hatched = {p.get_y(): p.get_hatch() for p in axes.patches if p.get_hatch()}
    assert hatched == {4: "////", 5: "xxxx"}
    assert [t.get_text() for t in axes.get_xticklabels()] == ["IL-6 ▼"]
    assert "median −2.00 SD in 1 donors, 3 bounded, 2 without a pair" in picture.alt
    assert picture.data["standardised"].tolist() == pytest.approx([-2.0, -0.5, 1.0, np.nan], nan_ok=True)


def test_the_budget_is_how_much_narrower_an_interval_gets() -> None:
    rows = [("observed", 1.0, np.nan), ("doubled", 0.7, np.nan), ("donor", 0.9, 0.8), ("culture", 0.95, 0.2)]
    plan = pd.DataFrame(
        [KEYS | {"readout": "IL-6", "group": "apap", "contrast_id": "c:apap", "scenario": s} | {"half_width": h, "variance_share": v} for s, h, v in rows]
    ).reindex(columns=output_tables()["planning"].columns)  # fmt: skip
    picture = draw.budget(plan, effects({}), CONFIG)
    assert picture.data["narrower"].tolist() == pytest.approx([10.0, 5.0])
    assert [t.get_text() for t in picture.figure.axes[0].texts] == [""]
    alone = draw.budget(plan[plan["scenario"] != "culture"].assign(variance_share=np.nan), effects({}), CONFIG)
    assert [t.get_text() for t in alone.figure.axes[0].texts] == ["cultures not known"]


def test_without_data_every_picture_is_a_sentence() -> None:
    none = {n: pd.DataFrame(columns=s.columns) for n, s in output_tables().items()}
    nothing = none["effects"], none["donor_changes"]
    pictures = [
        *draw.all_forests(*nothing, CONFIG),
        *draw.all_forests(*nothing, CONFIG, "following"),
        draw.gap_closed(nothing[0], CONFIG),
        draw.responders(none["responders"], nothing[0], CONFIG),
        draw.response_map(nothing[1], none["missing_pairs"], nothing[0], none["donors_derived"], CONFIG),
        draw.concordance(none["concordance"], nothing[0], CONFIG),
        draw.covariates(nothing[1], nothing[0], none["donors_derived"], CONFIG),
        *draw.all_lots(nothing[0], none["effects_sensitivity"], nothing[1], CONFIG),
        draw.budget(none["planning"], nothing[0], CONFIG),
    ]
    assert len(pictures) == 9 and all(p.alt == p.caption and p.alt.endswith(".") for p in pictures)
    assert all(any(c.isdigit() for c in p.alt) for p in pictures)


@pytest.mark.parametrize(
    "label", ["<script>alert(1)</script>", "肺泡巨噬细胞与间充质干细胞", "x" * 60, "😀 emoji", "a $\\alpha$ b"]
)
def test_labels_of_any_kind_are_drawn_as_they_are(label: str) -> None:
    readouts = [{"name": "IL-6", "assay": "cytokines", "label": label, "direction_toward_health": "none"}]
    config = Config.from_settings(CONFIG.settings | {"readouts": readouts})
    (picture,) = draw.all_forests(effects({}), OWN, config)
    (tick,) = picture.figure.axes[0].get_yticklabels()
    assert "".join(label.split()) in "".join(tick.get_text().split())
    assert label in picture.alt
    width = picture.figure.axes[0].get_position().width
    assert width > 0.3, "the label leaves room for the numbers"


def test_pictures_are_the_same_bytes_twice(data: Analysis) -> None:
    def made() -> Picture:
        t = data.table
        return draw.response_map(t("donor_changes"), t("missing_pairs"), t("effects"), t("donors_derived"), data.config)

    assert made().image("svg") == made().image("svg")


def test_hundreds_of_donors_are_counted_and_sent_to_their_table() -> None:
    who = [f"D{i:03d}" for i in range(MOST_ROWS + 1)]
    donors = pd.DataFrame({"donor_id": who, "group": "apap"})
    many = pd.concat([OWN.iloc[:1].assign(donor_id=donor) for donor in who], ignore_index=True)
    missing = pd.DataFrame(columns=output_tables()["missing_pairs"].columns)
    picture = draw.response_map(many, missing, effects({}), donors, CONFIG)
    assert "301 donors are more than a map can show" in picture.alt and "donor_changes" in picture.alt
    assert set(picture.data["donor_id"]) == set(who)
    fewer = draw.response_map(many.iloc[1:], missing, effects({}), donors.iloc[1:], CONFIG)
    assert "more than a map" not in fewer.alt


def test_a_drawing_of_any_length_can_be_printed() -> None:
    figure = Figure(figsize=(1, 1000))
    image = Image.open(io.BytesIO(Picture(figure, "long", "", "", pd.DataFrame()).image("png", PRINT_DPI)))
    assert image.height <= LONGEST_PX and image.height > 0.9 * LONGEST_PX


def test_the_image_for_the_notebook_is_the_printed_one_made_smaller() -> None:
    """Both carry the same drawing, whichever was asked for first; the printed one says how large it is on paper."""
    figure = Figure(figsize=(3, 2))
    figure.add_subplot().plot([0, 1], color="#0072B2", linewidth=30)
    shown = []
    for kinds in ((), (("svg", 110), ("png", PRINT_DPI))):
        picture = Picture(figure, "line", "alt", "caption", pd.DataFrame())
        printed = [picture.image(*kind) for kind in kinds]
        bundle, metadata = picture._repr_mimebundle_()
        shown.append(Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))))
        assert metadata["image/png"]["alt"] == bundle["text/plain"] == "alt"
    large = Image.open(io.BytesIO(printed[1]))
    assert large.size == (900, 600) and round(large.info["dpi"][0]) == PRINT_DPI
    assert [one.size for one in shown] == [(330, 220)] * 2
    first, second = (np.asarray(one.convert("RGB"), dtype=float) for one in shown)
    assert np.abs(first - second).mean() < 2 and np.ptp(first) > 200
    assert max(len(one.getcolors()) for one in shown) <= 64
