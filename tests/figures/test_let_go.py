"""Figures that were shown are let go: dozens of them would fill the memory of a laptop."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from helpers.analysis import Analysis, load_study
from helpers.figures import effects, phagocytosis, plates
from helpers.figures.base import Picture, show_all


@pytest.fixture(scope="module")
def data(demo: Path) -> Analysis:
    return load_study(demo)


ALL = {
    "plate_maps": lambda d: plates.all_plate_maps(d.table("cytokine_wells")),
    "standard_curves": lambda d: plates.all_standard_curves(
        *(d.table(n) for n in ("cytokine_curves", "standard_recovery", "cytokine_wells"))
    ),
    "paired_lines": lambda d: effects.all_paired_lines(d.table("readouts"), d.config, "cytokines"),
    "change_maps": lambda d: effects.all_change_maps(d.table("readouts"), d.config, "cytokines"),
    "histograms": lambda d: phagocytosis.all_histograms(
        d.table("uptake_histograms"), d.table("phagocytosis_wells"), d.config
    ),
    "combs": lambda d: phagocytosis.all_combs(d.table("uptake_histograms"), d.table("bead_combs"), d.config),
    "courses": lambda d: phagocytosis.all_courses(d.table("phagocytosis_wells"), d.table("kinetics"), d.config),
    "doses": lambda d: phagocytosis.all_doses(d.table("readouts"), d.config),
}


@pytest.mark.parametrize("name", ALL)
def test_a_picture_is_drawn_when_it_is_asked_for(data: Analysis, name: str) -> None:
    pictures: Any = ALL[name](data)
    assert iter(pictures) is pictures
    assert isinstance(next(pictures), Picture)


def test_a_shown_figure_does_not_wait_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("IPython.display.display", lambda picture: None)
    shown: list[weakref.ref[Figure]] = []
    alive: list[int] = []

    def draw(i: int) -> Picture:
        figure = Figure()
        figure.add_subplot().plot([1, 2])
        shown.append(weakref.ref(figure))
        return Picture(figure, f"p{i}", "alt", "caption", pd.DataFrame())

    def pictures() -> Iterator[Picture]:
        for i in range(4):
            alive.append(sum(figure() is not None for figure in shown))
            yield draw(i)

    before = gc.get_threshold()
    gc.set_threshold(10**9, 10**9, 10**9)
    try:
        show_all(pictures())
    finally:
        gc.set_threshold(*before)
    assert alive == [0, 0, 0, 0]
