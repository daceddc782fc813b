"""Gates as a table: what each kind means on events, whose row holds, what a broken row says, the automatic proposal."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.assays.flow.gates import apply_gates
from helpers.assays.phenotype.gating import (
    GateRow,
    Stain,
    automatic,
    overrides,
    read_rows,
    resolved,
    rows_for,
    without_channels,
)
from helpers.core.problems import Refused
from helpers.readers.fcs import Channel, FcsFile
from helpers.readers.gate import Dimension, GateSet, Population, Rectangle
from helpers.readers.gate_files import read_gate_file

PANEL = (("FL1-A", "CD206"), ("FL2-A", "CD80"), ("FL3-A", "Viability"))


def fcs_of(**columns: list[float] | np.ndarray) -> FcsFile:
    names = [n.replace("_", "-") for n in columns]
    channels = tuple(Channel(i + 1, n, "", 32, 262144.0) for i, n in enumerate(names))
    events = np.column_stack([np.asarray(c, dtype=float) for c in columns.values()])
    return FcsFile("x.fcs", "3.1", len(events), channels, None, 1.0, {}, (), events)


def row(kind: str, channels: str, edges: tuple[float, ...] = (), **more: str) -> GateRow:
    named = {"population": "P", "parent": "", "rule": "", "override_for": "", "reason": "", "version": "", **more}
    return GateRow(kind=kind, channels=tuple(channels.split(";")), edges=edges, **named)


def inside(fcs: FcsFile, rows: list[GateRow], stain: Stain | None = None) -> dict[str, list[bool]]:
    gates = resolved(rows, fcs, stain or Stain(PANEL, frozenset()), fcs.events)
    gated = apply_gates(fcs.events, fcs.channels, gates)
    return {"/".join(path): mask.tolist() for path, mask in gated.members.items()}


def table(*records: dict[str, str]) -> pd.DataFrame:
    columns = [
        "gate_set",
        "population",
        "override_for",
        "parent",
        "kind",
        "channels",
        "edges",
        "rule",
        "reason",
        "version",
    ]
    return pd.DataFrame([{"gate_set": "G", "population": "P", **r} for r in records], columns=columns)


def test_a_rectangle_has_open_sides_and_knows_markers() -> None:
    fcs = fcs_of(FL1_A=[1, 5, 9], FSC_A=[1, 1, 7])
    assert inside(fcs, [row("rectangle", "CD206", (5, math.nan))]) == {"P": [False, True, True]}
    both = row("rectangle", "FL1-A;FSC-A", (math.nan, 9, 0, 5))
    assert inside(fcs, [both]) == {"P": [True, True, False]}


def test_a_polygon_is_straight_on_logicle_for_dyes_and_on_the_fcs_scale_for_scatter() -> None:
    corners = (100.0, 0.0, 10_000.0, 0.0, 10_000.0, 100_000.0)
    # on the line from (100, 0) to (10 000, 100 000), halfway in x: 50 000 on a linear axis of scatter
    scatter = fcs_of(FSC_A=[5050, 5050], SSC_A=[49_000, 51_000])
    assert inside(scatter, [row("polygon", "FSC-A;SSC-A", corners)]) == {"P": [True, False]}
    # on a logicle axis 5 050 lies far right of the middle, so that the line is higher there
    dye = fcs_of(FL1_A=[5050, 5050], SSC_A=[51_000, 95_000])
    assert inside(dye, [row("polygon", "CD206;SSC-A", corners)]) == {"P": [True, False]}


def test_an_ellipse_holds_its_half_axes_ends_and_nothing_beyond() -> None:
    fcs = fcs_of(FSC_A=[30, 30.2, 10, 24, 25], SSC_A=[10, 10, 15, 14, 15])
    ellipse = row("ellipse", "FSC-A;SSC-A", (10, 10, 30, 10, 10, 15))
    # the last two lie on either side of the curve: (14/20)² + (4/5)² = 1.13, (15/20)² + 1 = 1.56 and (0/20)² + 1 = 1
    assert inside(fcs, [ellipse]) == {"P": [True, False, True, False, False]}


def test_quadrants_are_four_named_populations_that_share_all_events() -> None:
    fcs = fcs_of(FL1_A=[1, 9, 1, 9], FL2_A=[1, 1, 9, 9])
    found = inside(fcs, [row("quadrant", "CD206;CD80", (5, 5))])
    assert found == {
        "CD206+CD80+": [False, False, False, True],
        "CD206+CD80-": [False, True, False, False],
        "CD206-CD80+": [False, False, True, False],
        "CD206-CD80-": [True, False, False, False],
    }


def test_a_threshold_comes_from_the_control_and_lets_all_through_where_there_is_none() -> None:
    fcs = fcs_of(FL1_A=[1, 5, 9])
    gate = row("threshold", "CD206", rule="control 99.5")
    assert gate.from_control and gate.quantile == 0.995
    assert inside(fcs, [gate], Stain(PANEL, frozenset(), (("CD206", 6.0),))) == {"P": [False, False, True]}
    assert inside(fcs, [gate]) == {"P": [True, True, True]}
    assert inside(fcs, [row("threshold", "CD206", (5.0,), rule="below")]) == {"P": [True, False, False]}


def test_a_gate_on_a_dye_that_a_control_lacks_lets_everything_through() -> None:
    fcs = fcs_of(FL1_A=[1, 9], FSC_A=[9, 9])
    rows = [
        row("rectangle", "CD206", (5, math.nan)),
        row("rectangle", "FSC-A", (5, math.nan), population="Q", parent="P"),
    ]
    assert inside(fcs, rows, Stain(PANEL, frozenset({"CD206"}))) == {"P": [True, True], "P/Q": [True, True]}


def test_automatic_singlets_follow_the_parents_height_over_area() -> None:
    rng = np.random.default_rng(3)
    area = rng.uniform(50_000, 100_000, 1000)
    height = area * (0.8 + 0.01 * rng.normal(size=1000))
    height[:50] = area[:50] * 0.45  # doublets
    found = inside(fcs_of(FSC_A=area, FSC_H=height), [row("singlets", "FSC-A;FSC-H")])["P"]
    assert not any(found[:50]) and sum(found[50:]) > 930


def test_a_files_own_gate_goes_before_its_donors_and_that_before_everyones() -> None:
    rows = [
        row("threshold", "CD206", (1.0,)),
        row("threshold", "CD206", (2.0,), override_for="D01", reason="foamy"),
        row("threshold", "CD206", (3.0,), override_for="b.fcs", reason="clog"),
    ]
    assert [rows_for(rows, d, f)[0].edges for d, f in (("D02", "a.fcs"), ("D01", "a.fcs"), ("D01", "b.fcs"))] == [
        (1.0,),
        (2.0,),
        (3.0,),
    ]
    assert rows_for(rows, "", "")[0].edges == (1.0,)
    log = overrides({"G": rows}, {"D01": ["a.fcs", "b.fcs"]}, {"b.fcs": 4})
    assert log[["override_for", "n_files", "n_controls", "edges", "edges_of_all", "reason"]].to_numpy().tolist() == [
        ["D01", 2, 0, "2", "1", "foamy"],
        ["b.fcs", 1, 4, "3", "1", "clog"],
    ]


@pytest.mark.parametrize(
    ("kind", "channels", "edges", "rule"),
    [
        ("rectangle", "FSC-A", "1;x", ""),
        ("rectangle", "FSC-A;SSC-A", "1;2", ""),
        ("rectangle", "FSC-A", "", ""),
        ("polygon", "FSC-A;SSC-A", "1;2;3;4", ""),
        ("polygon", "FSC-A;SSC-A", "1;2;3;4;5;", ""),
        ("polygon", "FSC-A", "1;2;3;4;5;6", ""),
        ("ellipse", "FSC-A;SSC-A", "1;2;3;4", ""),
        ("threshold", "CD206", "", ""),
        ("threshold", "CD206", "1;2", ""),
        ("quadrant", "CD206", "1;2", ""),
        ("singlets", "FSC-A", "", ""),
        ("rectangle", "FSC-A", "inf;2", ""),
    ],
)
def test_a_row_that_cannot_be_read_loses_its_gate_set_and_says_which(
    kind: str, channels: str, edges: str, rule: str
) -> None:
    good = {"gate_set": "H", "kind": "threshold", "channels": "CD206", "edges": "7"}
    sets, problems = read_rows(table({"kind": kind, "channels": channels, "edges": edges, "rule": rule}, good))
    assert list(sets) == ["H"]
    assert [(p.severity, p.code, p.entity) for p in problems] == [("quarantine", "gate-row", "gates G")]


def test_an_override_without_a_reason_is_said() -> None:
    _, problems = read_rows(table({"kind": "threshold", "channels": "CD206", "edges": "7", "override_for": "D01"}))
    assert [p.code for p in problems] == ["override-reason"]


@pytest.mark.parametrize("parents", [("Q", "P"), ("P", ""), ("Z", "")])
def test_parents_in_a_circle_or_not_there_are_refused(parents: tuple[str, str]) -> None:
    rows = [
        row("threshold", "CD206", (1.0,), parent=parents[0]),
        row("threshold", "CD206", (1.0,), population="Q", parent=parents[1]),
    ]
    with pytest.raises(Refused) as refused:
        inside(fcs_of(FL1_A=[1.0]), rows)
    assert refused.value.problems[0].code == "gate-parent"


def test_a_channel_that_is_not_there_is_refused_not_raised() -> None:
    with pytest.raises(Refused):
        inside(fcs_of(FL1_A=[1.0]), [row("rectangle", "FL9-A", (1.0, 2.0))])
    with pytest.raises(Refused):
        inside(fcs_of(FL1_A=[1.0]), [row("singlets", "FSC-A;FSC-H")])


def test_the_automatic_gate_cuts_two_heaps_apart_and_only_proposes() -> None:
    rng = np.random.default_rng(5)
    debris, dead, cells = 300, 150, 1500
    size = np.concatenate([rng.normal(10_000, 2_000, debris), rng.normal(110_000, 9_000, dead + cells)])
    dye = np.concatenate([rng.normal(50, 30, debris), rng.normal(20_000, 3_000, dead), rng.normal(60, 40, cells)])
    fcs = fcs_of(FSC_A=size, FL3_A=dye)
    rows = automatic(fcs, Stain(PANEL, frozenset()), fcs.events)
    assert [(r.population, r.parent, r.rule) for r in rows] == [
        ("Cells", "", "automatic"),
        ("Live", "Cells", "automatic"),
    ]
    found = inside(fcs, list(rows))
    assert np.flatnonzero(found["Cells/Live"]).tolist() == list(range(debris + dead, len(size)))


@pytest.mark.parametrize("values", [[], [5.0], [5.0, 5.0, 5.0]])
def test_the_automatic_gate_bears_files_with_next_to_nothing(values: list[float]) -> None:
    fcs = fcs_of(FSC_A=values, FL3_A=values)
    rows = automatic(fcs, Stain(PANEL, frozenset()), fcs.events)
    assert len(inside(fcs, list(rows))["Cells/Live"]) == len(values)


def test_gates_of_a_gate_file_open_where_a_control_lacks_the_dye() -> None:
    gate = Rectangle((Dimension("FL1-A"),), (5.0,), (math.inf,))
    other = Rectangle((Dimension("FSC-A"),), (5.0,), (math.inf,))
    gates = GateSet((Population(("P",), gate, stored_events=4), Population(("P", "Q"), other, stored_events=3)))
    fcs = fcs_of(FL1_A=[1.0, 9.0], FSC_A=[9.0, 1.0])
    opened = without_channels(gates, frozenset({"FL1-A"}))
    gated = apply_gates(fcs.events, fcs.channels, opened)
    assert {p: m.tolist() for p, m in gated.members.items()} == {("P",): [True, True], ("P", "Q"): [True, False]}
    assert [p.stored_events for p in opened.populations] == [None, None]
    assert without_channels(gates, frozenset({"FL2-A"})) is gates


def test_a_flowjo_workspace_opens_too(reference_data: Path) -> None:
    """The gates of a real workspace survive, their counts dropped only below what was opened."""
    path = reference_data / "flow/flowkit/simple_diamond_example/test_data_diamond_biex_rect.wsp"
    gates = next(iter(read_gate_file(path, path.name).sets.values()))
    name = str(gates.populations[0].gate.dimensions[0].channel)
    opened = without_channels(gates, frozenset({name}))
    assert [p.path for p in opened.populations] == [p.path for p in gates.populations]
    assert gates.populations[0].stored_events == 50605 and opened.populations[0].stored_events is None
    assert replace(opened, populations=gates.populations) == gates or opened.matrices is gates.matrices
