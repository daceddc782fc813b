"""Figures: drawn for any cohort, alt text from the data, the same bytes every time, nothing lost."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch

from helpers.analysis import Analysis, load_study
from helpers.figures import cohort as draw
from helpers.figures.base import Picture, shortened, show
from helpers.study.config import Config

DRAWINGS = (
    "participant_flow",
    "eligibility_map",
    "completeness_map",
    "gas_exchange",
    "biomarkers",
    "lung_function",
    "severity",
)


@pytest.fixture(scope="module")
def data(demo: Path) -> Analysis:
    return load_study(demo)


def tables(data: Analysis) -> dict[str, pd.DataFrame]:
    return {n: data.table(n) for n in ("participant_flow", "eligibility", "donors_derived", "completeness")}


def drawing(name: str, frames: dict[str, pd.DataFrame], config: Config) -> Picture:
    calls: dict[str, Any] = {
        "participant_flow": lambda: draw.participant_flow(frames["participant_flow"], config),
        "eligibility_map": lambda: draw.eligibility_map(frames["eligibility"], frames["donors_derived"], config),
        "completeness_map": lambda: draw.completeness_map(frames["completeness"], config),
    }
    made = calls.get(name, lambda: getattr(draw, name)(frames["donors_derived"], config))()
    assert isinstance(made, Picture)
    return made


@pytest.mark.parametrize("name", DRAWINGS)
def test_each_figure_is_drawn_without_a_warning_and_described(name: str, data: Analysis) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("default", ResourceWarning)  # sockets of an earlier test, collected here
        picture = drawing(name, tables(data), data.config)
        assert picture.image("png").startswith(b"\x89PNG")
        assert b"<svg" in picture.image("svg")
    assert picture.name == name
    assert re.search(r"\d", picture.alt), "alt text holds numbers"
    assert picture.caption.endswith(".")
    bundle, metadata = picture._repr_mimebundle_()
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == picture.alt


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_figure_has_the_same_bytes(name: str, kind: str, data: Analysis) -> None:
    one, two = (drawing(name, tables(data), data.config).image(kind) for _ in range(2))
    assert one == two


def test_every_donor_is_a_point(data: Analysis) -> None:
    donors = data.table("donors_derived")
    picture = draw.gas_exchange(donors, data.config)
    for axes, column in zip(picture.figure.axes, ("pao2_mmhg", "aa_gradient_mmhg", "shunt_pct"), strict=True):
        drawn = sorted(y for c in axes.collections for _, y in c.get_offsets())
        assert drawn == pytest.approx(sorted(donors[column].dropna()))


def test_what_was_measured_on_oxygen_is_hollow_and_in_no_count_and_no_median(data: Analysis) -> None:
    """Dots, n below them, median line and alt text say one thing; D06 was measured on oxygen."""
    donors = data.table("donors_derived")
    picture = draw.gas_exchange(donors, data.config)
    sick = donors[donors["group"] == "apap"]
    for axes, column, apart in zip(
        picture.figure.axes, ("pao2_mmhg", "aa_gradient_mmhg", "shunt_pct"), (1, 1, 0), strict=True
    ):
        values = sick.loc[sick["pao2_fio2"] == 0.21, column] if apart else sick[column]
        n, median = values.notna().sum(), values.median()
        filled, hollow = axes.collections[:2]
        assert (len(filled.get_offsets()), len(hollow.get_offsets())) == (n, apart)
        assert len(hollow.get_facecolors()) == 0
        tick = axes.get_xticklabels()[0].get_text()
        assert tick == f"aPAP\nn {n}" + ("\n+ 1 hollow" if apart else "")
        lines = [
            line.get_ydata() for line in axes.lines if len(set(line.get_xdata())) == 2 and 0 not in line.get_xdata()
        ]
        assert any(list(y) == pytest.approx([median, median]) for y in lines)
        said = picture.alt.split(f"{axes.get_title(loc='left')}: ")[1].split(";")[0]
        assert said.startswith(f"aPAP n {n}, median {median:.3g}")
        assert ("1 not measured on room air" in said) == bool(apart)
    assert "in no median" in picture.caption


def test_a_group_without_values_says_so_below_the_axis(data: Analysis) -> None:
    donors = data.table("donors_derived")
    donors.loc[donors["group"] == "control", "pao2_mmhg"] = float("nan")
    axes = draw.gas_exchange(donors, data.config).figure.axes[0]
    assert axes.get_xticklabels()[1].get_text() == "Control\nno data"
    assert "no data" not in [t.get_text() for t in axes.texts], "nothing is written across the limits"


def test_alt_text_follows_the_data(data: Analysis) -> None:
    donors = data.table("donors_derived")
    median = donors.loc[donors["group"] == "apap", "shunt_pct"].median()
    assert f"median {median:.3g}" in draw.gas_exchange(donors, data.config).alt
    donors["shunt_pct"] += 1
    assert f"median {median + 1:.3g}" in draw.gas_exchange(donors, data.config).alt


def test_the_map_of_eligibility_names_who_is_against_it(data: Analysis) -> None:
    alt = drawing("eligibility_map", tables(data), data.config).alt
    assert "Against inclusion: D03 I3.2; D07 I2; D08 E8; D09 E1." in alt


def many(frame: pd.DataFrame, times: int) -> pd.DataFrame:
    return pd.concat([frame.assign(donor_id=frame["donor_id"] + f"x{i}") for i in range(times)], ignore_index=True)


CASES: dict[str, Any] = {
    "one donor": lambda f: f.head(1) if "donor_id" in f else f,
    "no controls": lambda f: f[f["group"] == "apap"] if "group" in f else f,
    "nothing": lambda f: f.head(0),
    "two hundred": lambda f: many(f, 8) if "donor_id" in f else f,
    "all missing": lambda f: f.assign(
        **{c: float("nan") for c in f.columns if c.endswith(("_mmhg", "_pct", "_ml", "_l"))},
        **({"dss": pd.NA} if "dss" in f else {}),
    ),
}


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize("case", CASES)
def test_odd_cohorts_are_drawn_or_said(name: str, case: str, data: Analysis) -> None:
    frames = {n: CASES[case](f) for n, f in tables(data).items()}
    picture = drawing(name, frames, data.config)
    assert len(picture.image("png")) > 500
    assert picture.alt
    assert picture.figure.get_figheight() < 20, "no figure grows without end"


@pytest.mark.parametrize(
    "label",
    [
        "<script>x</script>",
        '"$quoted$"',
        "😀 emoji",
        "肺泡巨噬细胞组",
        "a label of sixty characters that goes on and on until here",
        "50% \\frac{1}{2} $x^2",
    ],
)
def test_any_label_can_be_drawn(label: str, data: Analysis) -> None:
    settings = data.config.settings | {
        "groups": [{**g, "label": label} for g in data.config.settings["groups"]],
        "conditions": [{**c, "label": label} for c in data.config.settings["conditions"]],
    }
    config = Config.from_settings(settings)
    for name in DRAWINGS:
        assert drawing(name, tables(data), config).image("svg")


# ---- simulated


def real(config: Config) -> Config:
    return Config.from_settings(config.settings | {"simulated": False})


def unmarked(data: Analysis) -> dict[str, pd.DataFrame]:
    """Tables as those of a study of real donors."""
    frames = tables(data)
    for frame in frames.values():
        frame.attrs.clear()
    return frames


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_figure_of_a_simulated_study_says_so_inside_the_image(name: str, data: Analysis) -> None:
    picture = drawing(name, unmarked(data), data.config)
    assert picture.image("svg").count(b">SIMULATED</text>") == 1
    assert b"SIMULATED" not in drawing(name, unmarked(data), real(data.config)).image("svg")


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_mark_covers_nothing(name: str, data: Analysis) -> None:
    figure = drawing(name, tables(data), data.config).figure
    (mark,) = (t for t in figure.texts if t.get_text() == "SIMULATED")
    own = mark.get_window_extent()
    assert figure.bbox.contains(*own.min) and figure.bbox.contains(*own.max)
    for axes in figure.axes:
        assert own.y1 <= axes.get_tightbbox().y0 + 1, "the drawing stands above the mark"


def test_pixels_are_marked_too(data: Analysis) -> None:
    from PIL import Image

    reds = []
    for config in (data.config, real(data.config)):
        png = drawing("severity", unmarked(data), config).image("png", 300)
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
        strip = pixels[-42:, -300:]
        reds.append(int((abs(strip - [0x8A, 0x2B, 0x00]).sum(axis=2) < 60).sum()))
    assert reds[0] > 200 and reds[1] == 0


def test_a_figure_that_is_given_only_a_table_is_marked_by_it(data: Analysis) -> None:
    from helpers.figures.plates import plate_maps

    wells = data.table("cytokine_wells")
    wells = wells[wells["plate_id"] == "P1"]
    assert b">SIMULATED</text>" in plate_maps(wells).image("svg")
    wells.attrs.clear()
    assert b"SIMULATED" not in plate_maps(wells).image("svg")


def test_a_sentence_in_place_of_a_figure_is_marked(data: Analysis) -> None:
    nothing = {n: f.head(0) for n, f in tables(data).items()}
    picture = drawing("completeness_map", nothing, data.config)
    assert "nothing can be missing" in picture.alt and b">SIMULATED</text>" in picture.image("svg")


def test_show_keeps_files_only_where_asked(data: Analysis, tmp_path: Path) -> None:
    picture = draw.severity(data.table("donors_derived"), data.config)
    assert show(picture, "") is picture
    assert list(tmp_path.iterdir()) == []
    show(picture, str(tmp_path))
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == ["severity.csv", "severity.png", "severity.svg"]


def test_drawing_changes_nothing_global(data: Analysis) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    draw.biomarkers(data.table("donors_derived"), data.config).image("png")
    assert dict(mpl.rcParams) == before


def test_boxes_of_the_flow_hold_their_words_and_long_names_keep_their_ends(data: Analysis) -> None:
    long = "Autoimmune proteinosis, second lavage after two years, group {}"
    groups = tuple(replace(g, label=long.format(i)) for i, g in enumerate(data.config.groups))
    picture = draw.participant_flow(data.table("participant_flow"), replace(data.config, groups=groups))
    assert picture.alt.count("Autoimmune prote…rs, group 0 17") >= 1 and "prote…rs, group 1" in picture.alt
    assert ",;" not in picture.alt
    (axes,) = picture.figure.axes
    renderer = FigureCanvasAgg(picture.figure).get_renderer()
    boxes = [p.get_window_extent(renderer) for p in axes.patches if isinstance(p, FancyBboxPatch)]
    words = [t.get_window_extent(renderer) for t in axes.texts if t.get_text()]
    assert len(words) == len(boxes) >= 5
    for word in words:
        assert any(box.x0 <= word.x0 and word.x1 <= box.x1 and box.y0 <= word.y0 and word.y1 <= box.y1 for box in boxes)


def test_a_donor_with_a_long_code_leaves_room_for_the_map(data: Analysis) -> None:
    table = data.table("eligibility")
    code = "D01-Lavage-of-the-left-lung-second-of-two-procedures"
    renamed = [t.replace({"donor_id": {"D01": code}}) for t in (table, data.table("donors_derived"))]
    picture = draw.eligibility_map(*renamed, data.config)
    names = [t.get_text() for a in picture.figure.axes for t in a.get_yticklabels()]
    assert "D01-Lavage-of-…rocedures" in names and code not in names
    assert code in set(picture.data["donor_id"]), "the numbers beside the figure have the whole code"


def test_names_that_would_look_the_same_are_not_shortened() -> None:
    names = ["A" * 30 + "1" + "B" * 30, "A" * 30 + "2" + "B" * 30]
    assert shortened(names, 24) == names
    assert [len(n) for n in shortened(["A" * 60, "B" * 24], 24)] == [24, 24]


def test_heads_of_the_completeness_map_stand_side_by_side(data: Analysis) -> None:
    picture = draw.completeness_map(data.table("completeness"), data.config)
    renderer = FigureCanvasAgg(picture.figure).get_renderer()
    heads = [t for t in picture.figure.axes[0].texts if t.get_fontweight() == "bold"]
    assert len(heads) == data.table("completeness")["assay"].nunique()
    ends = sorted((box.x0, box.x1) for box in (t.get_window_extent(renderer) for t in heads))
    assert all(one[1] <= other[0] for one, other in pairwise(ends))
