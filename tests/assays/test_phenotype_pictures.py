"""Plots of gates: densities hold every event of the parent, outlines lie where the gate cuts, figures say their numbers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.markers import TICKDOWN, TICKLEFT

from helpers.analysis import Analysis
from helpers.assays.flow.transforms import transformed
from helpers.assays.phenotype.assay import phenotype
from helpers.assays.phenotype.pictures import BINS, SCALE, Step, gating_steps
from helpers.figures import phenotype as draw
from helpers.readers.gate import Logicle
from helpers.simulate import write_demo
from helpers.study.opening import Study, open_study
from helpers.tables import phenotype as views


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("small") / "study"
    write_demo(folder, donors=4)
    return open_study(folder)


@pytest.fixture(scope="module")
def data(study: Study) -> Analysis:
    done = phenotype(study.folder, study.tables, study.quarantined, study.config)
    return Analysis(study, done.tables)


@pytest.fixture(scope="module")
def steps(study: Study) -> dict[str, Step]:
    file = str(study.tables["phenotype/samples"]["fcs_file"].iloc[0])
    return {s.population: s for s in gating_steps(study.folder, study.tables, file, {})}


def test_steps_are_the_gates_in_order_and_each_density_holds_its_parent(steps: dict[str, Step]) -> None:
    assert list(steps) == ["Cells", "Singlets", "Live", "CD45+", "AM"]
    for before, after in zip(list(steps.values())[:-1], list(steps.values())[1:], strict=True):
        assert after.n_parent == before.n_events and after.parent == before.population
    assert all(s.density.shape == (BINS, BINS) and s.density.sum() == s.n_parent for s in steps.values())


def test_the_outline_of_a_threshold_lies_at_its_edge_on_the_logicle_axis(steps: dict[str, Step]) -> None:
    x, y = steps["AM"].outlines[0]
    edge = float(transformed(np.array([700.0]), Logicle())[0])
    assert x.min() == pytest.approx(edge, abs=1e-6) and x.max() == 1 and (y.min(), y.max()) == (0, 1)
    assert steps["AM"].x.label == "CD169 (APC-A)" and steps["AM"].y.label == "SSC-A"


def test_events_inside_an_outline_are_those_of_the_gate(steps: dict[str, Step]) -> None:
    """Whole squares right of the edge hold no more events than the gate kept, those from the edge's square no fewer."""
    step = steps["AM"]
    column = int(step.outlines[0][0].min() * BINS)
    assert step.density[column + 1 :].sum() <= step.n_events <= step.density[column:].sum()


def test_the_polygon_is_closed_and_straight_on_linear_scatter(steps: dict[str, Step]) -> None:
    x, y = steps["Cells"].outlines[0]
    assert (x[0], y[0]) == (x[-1], y[-1])
    assert x.min() == pytest.approx(45_000 / 262_144) and y.max() == pytest.approx(190_000 / 262_144)


def test_decades_of_a_logicle_axis_lie_where_the_scale_puts_them(data: Analysis) -> None:
    figure = draw.gating_strategy(data, draw.representative_files(data)[0]).figure
    axis = next(a for a in figure.axes if a.get_xlabel().startswith("CD169")).xaxis
    words = [t.get_text() for t in axis.get_ticklabels()]
    assert words == ["−10²", "0", "10²", "10³", "10⁴", "10⁵"]
    np.testing.assert_allclose(axis.get_ticklocs(), transformed(np.array([-1e2, 0, 1e2, 1e3, 1e4, 1e5]), SCALE))


def test_each_group_has_one_representative_untreated_file(data: Analysis) -> None:
    table = data.table("phenotype_populations").drop_duplicates("fcs_file").set_index("fcs_file")
    files = draw.representative_files(data)
    assert table.loc[files, ["group", "condition", "tube_role"]].to_numpy().tolist() == [
        ["apap", "am", "stained"],
        ["control", "am", "stained"],
    ]


def test_pictures_tell_their_numbers_and_are_the_same_twice(data: Analysis) -> None:
    table, config = data.table, data.config
    makers = (
        lambda: draw.gating_strategy(data, draw.representative_files(data)[0]),
        lambda: draw.gate_loss(table("gate_loss"), config),
        lambda: draw.autofluorescence(table("autofluorescence"), table("autofluorescence_gap"), config),
        lambda: draw.coexpression(table("phenotype_coexpression"), data),
    )
    for make in makers:
        first, second = make(), make()
        assert first.image("svg") == second.image("svg")
        assert len(first.data) and len(first.alt) > 40 and first.caption
    shown = makers[0]().data.set_index("population")
    own = table("phenotype_populations")
    own = own[own["fcs_file"] == draw.representative_files(data)[0]]
    assert shown["n_events"].tolist() == own["n_events"].tolist()


def test_every_donors_page_has_a_plot_for_each_arm(data: Analysis) -> None:
    assert len(draw.donor_gating(data, "D02")) == 2
    assert draw.donor_gating(data, "D99") == []


def test_views_and_pictures_of_nothing_say_so(small_study: Path) -> None:
    study = open_study(small_study)
    done = phenotype(study.folder, study.tables, study.quarantined, study.config)
    data = Analysis(study, done.tables)
    table, config = data.table, data.config
    assert draw.representative_gating(data) == []
    for picture in (
        draw.gate_loss(table("gate_loss"), config),
        draw.autofluorescence(table("autofluorescence"), table("autofluorescence_gap"), config),
        draw.coexpression(table("phenotype_coexpression"), data),
    ):
        assert picture.image("png").startswith(b"\x89PNG")
    for view in (
        views.controls_view(table("phenotype_markers")),
        views.markers_view(table("phenotype_markers"), table("phenotype_populations"), config),
        views.gap_view(table("autofluorescence_gap"), config),
        views.acquisition_view(table("acquisition"), table("detector_voltages")),
        views.drift_view(table("instrument_drift")),
        views.beads_view(table("bead_calibration")),
        views.overrides_view(table("gate_overrides")),
        views.flowjo_view(table("phenotype_populations")),
        views.checklist_view(table("miflowcyt")),
    ):
        assert "No rows" in repr(view)


def test_views_show_what_the_tables_hold(data: Analysis) -> None:
    text = repr(views.markers_view(data.table("phenotype_markers"), data.table("phenotype_populations"), data.config))
    assert "CD206" in text and "AM + MSC" in text and "CD169" not in text
    assert "FMO, same donor and condition" in repr(views.controls_view(data.table("phenotype_markers")))
    assert "8 of 21" in repr(views.checklist_view(data.table("miflowcyt")))


def test_minor_ticks_of_a_logicle_axis_stand_between_its_decades(steps: dict[str, Step]) -> None:
    figure = Figure()
    axes = figure.add_subplot()
    draw.step_panel(axes, steps["Live"])
    dyed = axes.xaxis if steps["Live"].x.dyed else axes.yaxis
    (marks,) = [line for line in axes.lines if line.get_marker() in (TICKDOWN, TICKLEFT)]
    places = np.asarray(marks.get_xdata() if dyed is axes.xaxis else marks.get_ydata())
    decades = np.asarray(dyed.get_majorticklocs())
    assert not len(dyed.get_minorticklocs()), "drawn as one line"
    between = transformed(np.array([2e3, 5e3, 2e4, 5e4]), SCALE)
    assert np.abs(places[:, None] - between).min(axis=0).max() < 1e-9
    assert all(((places > a) & (places < b)).sum() == 8 for a, b in pairwise(decades[2:]))
    assert (places >= 0).all() and (places <= 1).all()
