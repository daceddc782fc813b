"""Compensation, scales and gates: GatingML's truth, FlowJo's counts, flowCore's medians, and properties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path as Outline

from helpers.assays.flow.compensation import compensate
from helpers.assays.flow.gates import apply_gates, counts, flowjo_differences
from helpers.assays.flow.transforms import asinh_of_cofactor, linear_edge, transformed
from helpers.core.problems import Refused
from helpers.readers.fcs import Channel, FcsFile, Spillover, read_fcs
from helpers.readers.gate import (
    OWN_MATRIX,
    Asinh,
    Biex,
    Boolean,
    Dimension,
    Ellipsoid,
    FlowJoLog,
    Gate,
    GateSet,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    Operand,
    Polygon,
    Population,
    Ratio,
    Rectangle,
    Transform,
    quadrants,
)
from helpers.readers.gate_files import read_gate_file

SCALES: tuple[Transform, ...] = (
    Linear(262144.0, 100.0),
    Log(10000.0, 4.0),
    Asinh(262144.0, 4.5, 1.0),
    Logicle(),
    Hyperlog(),
    Biex(),
    Biex(1.0, -7.943282, 4.41854, 262144.000029),
    FlowJoLog(10.0, 4.0),
)


# ---- GatingML's compliance set


@pytest.fixture(scope="module")
def compliance(reference_data: Path) -> Path:
    return reference_data / "flow/flowkit/gate_ref"


@pytest.fixture(scope="module")
def data1(compliance: Path) -> FcsFile:
    return read_fcs(compliance / "data1.fcs", "data1.fcs")


@pytest.fixture(scope="module")
def found(compliance: Path, data1: FcsFile) -> dict[str, np.ndarray]:
    """Membership by the name of the truth file; two gates stand in files of their own."""
    members = {}
    for name in ("gml_all_gates", "gml_ellipsoid3d_gate", "gml_parent_quadrant_rect_gate"):
        gates = read_gate_file(compliance / f"gml/{name}.xml", name).sets[""]
        gated = apply_gates(data1.events, data1.channels, gates, data1.spillover)
        members |= {path[-1]: mask for path, mask in gated.members.items()}
    members["ParQuadRect"] = members["ParRectangle1"]
    return members


def test_all_51_truth_files_event_for_event(compliance: Path, found: dict[str, np.ndarray]) -> None:
    truths = sorted((compliance / "truth").glob("Results_*.txt"))
    assert len(truths) == 51
    differ = [t.name for t in truths if not np.array_equal(np.loadtxt(t) == 1, found[t.stem.removeprefix("Results_")])]
    assert differ == []


def test_single_gate_files_agree_with_the_joint_one(
    compliance: Path, data1: FcsFile, found: dict[str, np.ndarray]
) -> None:
    """Each file alone: matrices, ratios and dyes are found by the file's own names."""
    compared = 0
    for path in sorted((compliance / "gml").glob("gml_*_gate.xml")):
        gates = read_gate_file(path, path.name).sets[""]
        gated = apply_gates(data1.events, data1.channels, gates, data1.spillover)
        for own, mask in gated.members.items():
            if own[-1] in found:
                assert np.array_equal(mask, found[own[-1]]), (path.name, own)
                compared += 1
    assert compared > 50


# ---- FlowJo's counts


def gated_by_flowjo(folder: Path, workspace: str, fcs_name: str) -> tuple[GateSet, pd.DataFrame, list[str]]:
    fcs = read_fcs(folder / fcs_name, fcs_name)
    gates = read_gate_file(folder / workspace, workspace).sets[fcs_name]
    gated = apply_gates(fcs.events, fcs.channels, gates, fcs.spillover)
    said = [p.code for p in flowjo_differences(gates, gated, fcs_name)]
    return gates, counts(gates, gated).set_index("population"), said


def test_rectangles_and_quadrants_count_what_flowjo_counted(reference_data: Path) -> None:
    folder = reference_data / "flow/flowkit/simple_diamond_example"
    seven = 0
    for path in sorted(folder.glob("*.wsp")):
        _, table, said = gated_by_flowjo(folder, path.name, "test_data_diamond_01.fcs")
        assert table["n_events"].tolist() == table["flowjo_n_events"].tolist() and said == []
        seven += len(table)
    assert seven == 7


def test_polygons_keep_both_counts_and_say_why(reference_data: Path) -> None:
    folder, fcs = reference_data / "flow/flowkit/simple_line_example", "data_set_simple_line_100.fcs"
    _, table, said = gated_by_flowjo(folder, "simple_poly_and_rect_v2_poly50.wsp", fcs)
    assert table.loc["poly1", ["n_events", "flowjo_n_events"]].tolist() == [50, 0] and said == ["flowjo-binned"]
    assert table.loc["rect1", ["n_events", "flowjo_n_events"]].tolist() == [0, 0]
    _, table, said = gated_by_flowjo(folder, "single_ellipse_51_events.wsp", fcs)
    assert table.loc["ellipse1", ["n_events", "flowjo_n_events"]].tolist() == [51, 51] and said == []
    _, table, said = gated_by_flowjo(folder, "simple_poly_and_rect.wsp", fcs)
    assert table["flowjo_n_events"].isna().all() and said == [], "FlowJo had not counted"


def test_another_count_of_a_rectangle_is_no_matter_of_binning() -> None:
    gates = GateSet((above("x", "A", 5.0, stored=7), above("y", "A", 8.0, parent=("x",), stored=2)))
    gated = apply_gates(EVENTS, ABC, gates)
    (problem,) = flowjo_differences(gates, gated, "a.fcs")
    assert problem.code == "flowjo-differs" and "x: 5, FlowJo 7" in problem.found and "y" not in problem.found


def test_a_rectangle_inside_a_polygon_inherits_its_binning() -> None:
    square = Polygon((Dimension("A"), Dimension("B")), ((0.0, -1.0), (6.0, -1.0), (6.0, 99.0), (0.0, 99.0)))
    gates = GateSet((Population(("p",), square, stored_events=6), above("y", "A", 3.0, parent=("p",), stored=9)))
    (problem,) = flowjo_differences(gates, apply_gates(EVENTS, ABC, gates), "a.fcs")
    assert problem.code == "flowjo-binned"


# ---- flowCore's medians


def test_every_median_of_flowcore(reference_data: Path) -> None:
    """Compensated, logicle (flowCore's scale ends at 4.5) and asinh(x / 150), on flowCore's convention of gain and time."""
    compared = 0
    asinh = asinh_of_cofactor(150.0)
    for table in sorted((reference_data / "flow").rglob("*.flowcore.csv")):
        path = next((reference_data / "flow").rglob(table.name.removesuffix(".flowcore.csv")))
        fcs = read_fcs(path, path.name)
        expected = pd.read_csv(table).set_index("channel")
        values = fcs.events if fcs.spillover is None else compensate(fcs.events, fcs.names, fcs.spillover)
        covered = set() if fcs.spillover is None else set(fcs.spillover.channels)
        assert covered == set(expected.index[expected["compensated"]])
        for i, channel in enumerate(fcs.channels):
            column = values[:, i] * channel.gain / channel.time_step
            row = expected.loc[channel.name]
            low, middle, high = np.quantile(column, [0.05, 0.5, 0.95])
            ours = {
                "comp_median": middle,
                "comp_q05": low,
                "comp_q95": high,
                "logicle_median": 4.5 * np.median(transformed(column, Logicle())),
                "asinh150_median": np.median(transformed(column, asinh)) * math.asinh(262144 / 150),
            }
            for name, value in ours.items():
                assert value == pytest.approx(row[name], rel=1e-9, abs=1e-12), (path.name, channel.name, name)
                compared += 1
    assert compared > 750


# ---- compensation


def test_compensation_undoes_spillover_and_leaves_other_channels_alone() -> None:
    rng = np.random.default_rng(3)
    true = rng.normal(1000, 300, (50_000, 5))
    matrix = np.array([[1, 0.3, 0.02], [0.1, 1, 0.25], [0, 0.05, 1]])
    raw = true.copy()
    raw[:, [3, 0, 2]] = true[:, [3, 0, 2]] @ matrix
    before = raw.copy()
    out = compensate(raw, ["A", "B", "C", "D", "Time"], Spillover(("D", "A", "C"), matrix))
    assert np.allclose(out, true, rtol=1e-9, atol=0) and np.array_equal(raw, before)
    assert np.array_equal(out[:, [1, 4]], raw[:, [1, 4]])


@pytest.mark.parametrize(
    ("channels", "matrix"),
    [(("A", "X"), np.eye(2)), (("A", "B"), np.ones((2, 2))), (("A", "B"), np.ones((2, 3))), (("A",), np.zeros((1, 1)))],
)
def test_matrices_that_do_not_fit_are_refused(channels: tuple[str, ...], matrix: np.ndarray) -> None:
    with pytest.raises(Refused):
        compensate(np.ones((4, 2)), ["A", "B"], Spillover(channels, matrix))


# ---- scales


@pytest.mark.parametrize("scale", SCALES, ids=repr)
def test_an_edge_on_the_scale_is_the_same_edge_on_the_values(scale: Transform) -> None:
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(0, 300, 4000), 10 ** rng.uniform(0, 5.5, 4000), [0.0, -1e6, 1e6]])
    drawn = transformed(values, scale)
    finite = drawn[np.isfinite(drawn)]
    for edge in [*rng.choice(finite, 20), finite.min(), finite.max(), 0.0, 1.0]:
        at = linear_edge(float(edge), scale)
        assert np.array_equal(values >= at, drawn >= edge)
        if math.isfinite(at):
            below, here = transformed(np.array([np.nextafter(at, -math.inf), at]), scale)
            rounding = 1e-15 if isinstance(scale, Logicle | Hyperlog) else 0.0
            assert below < edge + rounding and edge - rounding <= here


@pytest.mark.parametrize("scale", SCALES, ids=repr)
def test_the_value_on_which_an_edge_was_drawn_is_inside(scale: Transform) -> None:
    values = np.concatenate([np.arange(0, 400.0), np.arange(-40.0, 0), np.arange(1, 40) * 6500.0, [1e-6, 1e-3]])
    if isinstance(scale, Log):
        values = values[values > 0]
    for value, edge in zip(values, transformed(values, scale), strict=True):
        assert linear_edge(float(edge), scale) <= value


def test_flowjos_biexponential_table(reference_data: Path) -> None:
    """FlowJo printed its table with six digits."""
    (path,) = (reference_data / "flow/flowkit/flowjo_xforms").glob("*.csv")
    table = pd.read_csv(path)
    channel = transformed(table["lookup[i]"].to_numpy(dtype=float), Biex(1.0, -7.943282, 4.41854, 262144.000029))
    assert channel == pytest.approx(table["i"].to_numpy(), abs=0.002)


# ---- gates


def channels(*names: str, markers: Sequence[str] = ()) -> tuple[Channel, ...]:
    labels = [*markers, *[""] * (len(names) - len(markers))]
    return tuple(Channel(n, name, labels[n - 1], 32, 1e5) for n, name in enumerate(names, start=1))


ABC = channels("A", "B", "C")
EVENTS = np.array([[float(i), float(i * i % 7), 10.0 - i] for i in range(10)])


def above(
    name: str, channel: str | Ratio, edge: float, parent: tuple[str, ...] = (), stored: int | None = None
) -> Population:
    form = Rectangle((Dimension(channel),), (edge,), (math.inf,))
    return Population((*parent, name), form, stored_events=stored)


def members(*populations: Population, events: np.ndarray = EVENTS) -> dict[str, list[bool]]:
    gated = apply_gates(events, ABC, GateSet(populations))
    return {path[-1]: mask.tolist() for path, mask in gated.members.items()}


def test_a_value_on_the_lower_edge_is_inside_and_on_the_upper_edge_outside() -> None:
    form = Rectangle((Dimension("A"),), (2.0,), (5.0,))
    assert members(Population(("g",), form))["g"] == [2 <= i < 5 for i in range(10)]
    assert members(Population(("g",), form, outside=True))["g"] == [not 2 <= i < 5 for i in range(10)]


def test_quadrants_divide_every_event_once() -> None:
    four = quadrants(Dimension("A", Logicle()), Dimension("B"), linear := 0.112, 3.0, parent=("c",))
    got = members(above("c", "C", 3.0), *four)
    assert np.sum([got[p.path[-1]] for p in four], axis=0).tolist() == [int(10 - i >= 3) for i in range(10)]
    bright = transformed(EVENTS[:, 0], Logicle()) >= linear
    assert got["A+ B+"] == [bool(b and e[1] >= 3 and e[2] >= 3) for b, e in zip(bright, EVENTS, strict=True)]


def test_boolean_gates_parents_and_their_order() -> None:
    populations = (
        Population(("far", "not b"), Boolean("not", (Operand(("b",)),))),
        Population(("or",), Boolean("or", (Operand(("far",)), Operand(("b",))))),
        Population(("and",), Boolean("and", (Operand(("far",), complement=True), Operand(("b",))))),
        above("far", "A", 6.0),
        above("b", "B", 2.0),
    )
    got = members(*populations)
    far, b = EVENTS[:, 0] >= 6, EVENTS[:, 1] >= 2
    assert got["not b"] == (far & ~b).tolist() and got["or"] == (far | b).tolist() and got["and"] == (~far & b).tolist()


def test_ratios() -> None:
    got = members(above("r", Ratio("A", "C", 2.0, 1.0, -1.0), 1.0))["r"]
    assert got == [2 * (a - 1) / (c + 1) >= 1 for a, _, c in EVENTS]
    with_zero = np.array([[1.0, 0.0, -1.0], [0.0, 0.0, -1.0], [5.0, 0.0, 1.0]])
    assert members(above("r", Ratio("A", "C", 1.0, 0.0, -1.0), 1.0), events=with_zero)["r"] == [True, False, True]


@pytest.mark.parametrize("scale", [None, Logicle(), Biex(), asinh_of_cofactor(150.0)], ids=repr)
def test_polygons_hold_what_another_geometry_says(scale: Transform | None) -> None:
    rng = np.random.default_rng(5)
    events = rng.normal(3000, 4000, (20_000, 3))
    drawn = transformed(events[:, :2], scale)
    middle, size = np.median(drawn, axis=0), drawn.std(axis=0)
    turns = np.sort(rng.uniform(0, 2 * np.pi, 15))
    reach = rng.uniform(0.3, 1.5, (15, 1))
    star = middle + size * reach * np.column_stack([np.cos(turns), np.sin(turns)])
    form = Polygon((Dimension("A", scale), Dimension("B", scale)), tuple((float(x), float(y)) for x, y in star))
    inside = np.array(members(above("c", "C", 2000.0), Population(("c", "star"), form), events=events)["star"])
    expected = Outline(star).contains_points(drawn) & (events[:, 2] >= 2000)
    assert np.array_equal(inside, expected) and 1000 < inside.sum() < 15_000
    every = np.array(members(Population(("star",), form, outside=True), events=events)["star"])
    assert np.array_equal(~every & (events[:, 2] >= 2000), expected)


def test_ellipses_hold_what_their_distance_says() -> None:
    rng = np.random.default_rng(6)
    events = rng.normal(0, 1, (5000, 3))
    shape = ((1.0, 0.6), (0.6, 2.0))
    got = members(
        Population(("e",), Ellipsoid((Dimension("A"), Dimension("B")), (0.5, -0.2), shape, 1.5)), events=events
    )
    away = events[:, :2] - [0.5, -0.2]
    assert got["e"] == (np.einsum("ni,ij,nj->n", away, np.linalg.inv(shape), away) <= 1.5).tolist()


def test_events_without_a_number_are_in_no_gate() -> None:
    events = np.array([[np.nan, 1.0, 1.0], [1.0, 1.0, 1.0]])
    form = Polygon(
        (Dimension("A", Logicle()), Dimension("B", Logicle())), ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    )
    got = members(above("x", "A", -math.inf), above("y", "A", 0.0), Population(("p",), form), events=events)
    assert got == {"x": [False, True], "y": [False, True], "p": [False, True]}


def test_no_events_and_empty_parents() -> None:
    form = Polygon((Dimension("A"), Dimension("B")), ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))
    gates = GateSet((above("none", "A", 1e9), Population(("none", "p"), form)))
    table = counts(gates, apply_gates(EVENTS, ABC, gates))
    assert table["n_events"].tolist() == [0, 0] and table["n_parent"].tolist() == [10, 0]
    assert table["pct_parent"].isna().tolist() == [False, True]
    assert counts(gates, apply_gates(EVENTS[:0], ABC, gates))["n_parent"].tolist() == [0, 0]


def test_channels_by_marker_by_dye_and_as_flowjo_writes_them() -> None:
    named = channels("FL1/A", "FL2-A", "FL3-A", markers=("CD80", "CD206", "CD206"))
    events = np.array([[100.0, 60.0, 0.0], [100.0, 20.0, 0.0]])
    matrix = Spillover(("FL1_A", "FL2-A"), np.array([[1.0, 0.5], [0.0, 1.0]]), ("FITC", "PE"))
    for channel in ("FL2-A", "PE"):
        form = Rectangle(
            (Dimension(channel, None, "m"), Dimension("CD80"), Dimension("FL1_A")), (5.0, 1.0, 1.0), (math.inf,) * 3
        )
        gated = apply_gates(events, named, GateSet((Population(("x",), form),), {"m": matrix}))
        assert gated.members[("x",)].tolist() == [True, False], "60 − 50 and 20 − 50"
    with pytest.raises(Refused, match="several channels"):
        apply_gates(events, named, GateSet((above("x", "CD206", 1.0),)))


def test_the_files_own_matrix() -> None:
    own = GateSet((Population(("x",), Rectangle((Dimension("B", None, OWN_MATRIX),), (4.0,), (math.inf,))),))
    spillover = Spillover(("A", "B"), np.array([[1.0, 0.5], [0.0, 1.0]]))
    gated = apply_gates(EVENTS, ABC, own, spillover)
    assert gated.members[("x",)].tolist() == (EVENTS[:, 1] - 0.5 * EVENTS[:, 0] >= 4).tolist() and not gated.problems
    raw = apply_gates(EVENTS, ABC, own)
    assert raw.members[("x",)].tolist() == (EVENTS[:, 1] >= 4).tolist()
    assert [p.code for p in raw.problems] == ["spillover-none"]
    given = apply_gates(EVENTS, ABC, own, spillover, {OWN_MATRIX: EVENTS + 100})
    assert given.members[("x",)].all(), "events that are compensated already are taken as they are"


AB = (Dimension("A"), Dimension("B"))


@pytest.mark.parametrize(
    ("populations", "code"),
    [
        ((above("x", "CD99", 1.0),), "gate-channel"),
        ((above("x", "A", 1.0, parent=("gone",)),), "gate-missing"),
        ((above("x", "A", 1.0), above("x", "B", 1.0)), "gate-twice"),
        ((Population(("x",), Boolean("not", (Operand(("x",)),))),), "gate-circle"),
        ((Population(("x",), Boolean("and", (Operand(("gone",)),))),), "gate-missing"),
        ((Population(("x",), Rectangle((Dimension("A", None, "other"),), (1.0,), (2.0,))),), "matrix-missing"),
    ],
)
def test_gates_that_cannot_be_applied_are_refused(populations: tuple[Population, ...], code: str) -> None:
    with pytest.raises(Refused) as caught:
        members(*populations)
    assert [p.code for p in caught.value.problems] == [code]


@pytest.mark.parametrize(
    "form",
    [
        Rectangle((), (), ()),
        Rectangle(AB, (1.0,), (2.0, 3.0)),
        Polygon(AB, ((0.0, 0.0), (1.0, 1.0))),
        Polygon(AB, ((0.0, 0.0), (1.0, 1.0), (math.nan, 0.0))),
        Ellipsoid(AB, (0.0, 0.0), ((1.0, 1.0), (1.0, 1.0)), 1.0),
        Ellipsoid(AB, (0.0,), ((1.0,),), 1.0),
        Boolean("not", (Operand(("a",)), Operand(("b",)))),
        Boolean("xor", (Operand(("a",)), Operand(("b",)))),
        Boolean("or", ()),
    ],
)
def test_forms_without_an_inside_are_refused(form: Gate) -> None:
    with pytest.raises(Refused, match="form is incomplete"):
        members(above("a", "A", 1.0), above("b", "A", 1.0), Population(("x",), form))
