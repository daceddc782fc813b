"""Forests, lines and maps of the demo: nothing is cut or hidden, what is not drawn is named, bytes are stable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from helpers.analysis import Analysis, load_study
from helpers.figures import effects as draw
from helpers.figures.base import PRINT_DPI, Picture
from helpers.figures.style import styled

ASSAYS = ("cytokines", "phenotype", "phagocytosis")


@pytest.fixture(scope="module")
def data(demo: Path) -> Analysis:
    return load_study(demo)


@pytest.fixture(scope="module")
def forest(data: Analysis) -> Callable[[str, str], Picture]:
    return lambda assay, contrast: draw.forest(data.table("effects"), data.config, assay, contrast)


def cut(picture: Picture) -> float:
    """Inches by which the ink of a print reaches over the paper's edge."""
    figure = picture.figure
    with styled():
        figure.set_dpi(PRINT_DPI)
        ink = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    width, height = figure.get_size_inches()
    return max(-ink.x0, -ink.y0, ink.x1 - width, ink.y1 - height)


@pytest.mark.parametrize("assay", ASSAYS)
@pytest.mark.parametrize("contrast", ["msc_effect", "group_gap", "interaction"])
def test_no_word_of_a_forest_is_cut(assay: str, contrast: str, forest: Callable[[str, str], Picture]) -> None:
    assert cut(forest(assay, contrast)) < 0.01


@pytest.mark.parametrize("assay", ASSAYS)
def test_no_word_of_the_lines_is_cut_and_no_title_covers_another(assay: str, data: Analysis) -> None:
    for picture in draw.all_paired_lines(data.table("readouts"), data.config, assay):
        assert cut(picture) < 0.01
        renderer = FigureCanvasAgg(picture.figure).get_renderer()
        boxes = [a._left_title.get_window_extent(renderer) for a in picture.figure.axes]
        assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])


def test_a_sparse_assay_has_a_row_for_each_comparison_there_is(forest: Callable[[str, str], Picture]) -> None:
    picture = forest("phagocytosis", "msc_effect")
    seen = picture.data[picture.data["estimate"].notna()]
    keys = ["readout", "treatment", "timepoint_h", "assay_minutes"]
    assert sum(len(a.get_yticklabels()) for a in picture.figure.axes) == len(seen.drop_duplicates(keys))
    marks = [
        x for a in picture.figure.axes for line in a.lines if line.get_linestyle() == "None" for x in line.get_xdata()
    ]
    assert sorted(marks) == sorted(seen["estimate"]), "every estimate is a mark"


def test_a_full_assay_has_its_comparisons_side_by_side(forest: Callable[[str, str], Picture]) -> None:
    picture = forest("cytokines", "msc_effect")
    titles = [a.get_title(loc="left") for a in picture.figure.axes]
    assert titles[:2] == ["AM + MSC against\nAM alone, 24 h", "AM + MSC + LPS against\nAM + LPS, 24 h"]
    assert len(picture.figure.axes[0].get_yticks()) == len(picture.figure.axes[1].get_yticks())


def test_what_has_no_estimate_is_named_and_not_drawn(forest: Callable[[str, str], Picture]) -> None:
    picture = forest("cytokines", "beyond_additive")
    drawn = {t.get_text() for a in picture.figure.axes for t in a.get_yticklabels()}
    without = picture.data.groupby("readout")["estimate"].count().eq(0)
    assert without.any()
    named = picture.caption.split("Without any estimate, so in the table alone: ")[1].rstrip(".").split(", ")
    assert sorted(named) == sorted(without[without].index)
    assert not drawn & set(named)


def test_lines_leave_out_what_no_donor_has_both_arms_of_and_say_so(data: Analysis) -> None:
    picture = draw.paired_lines(data.table("readouts"), data.config, "phagocytosis", "am_msc_high", "am")
    assert set(picture.data["readout"].str.split("|").str[0]) == {"ecoli"}
    assert "Without a donor who has both: " in picture.caption and "bead|imfi" in picture.caption


@pytest.mark.parametrize(("low", "high"), [(0.2, 5), (0.004, 300), (0.9, 1.15), (1e-12, 1e12), (0.999, 1.001)])
def test_ticks_of_ratios_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = draw.ratio_ticks(low, high)
    assert 2 <= len(ticks) <= 10
    assert all(low <= t <= high for t in ticks) and ticks == sorted(set(ticks))


def test_the_layout_is_rounded_so_that_its_last_bit_shows_nowhere(forest: Callable[[str, str], Picture]) -> None:
    for axes in forest("cytokines", "msc_effect").figure.axes:
        bounds = np.array(axes.get_position(original=True).bounds)
        assert bounds == pytest.approx(bounds.round(6), abs=1e-12)


def test_a_bound_is_drawn_at_its_limit(data: Analysis) -> None:
    rows = data.table("readouts")
    left = rows[rows["censoring"] == "left"]
    assert len(left) and (draw.drawn_values(left) == left["upper"]).all()
    assert pd.isna(left["value"]).all()
