"""Gates on events: which events each population holds, and exact counts beside those another program stored."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from flowutils import gating
from numpy.typing import NDArray

from helpers.assays.flow.compensation import compensate
from helpers.assays.flow.transforms import linear_edge, lowest, transformed
from helpers.core.problems import Problem, Refused
from helpers.readers.fcs import Channel, Spillover, Values
from helpers.readers.gate import (
    OWN_MATRIX,
    RAW,
    Boolean,
    Dimension,
    Ellipsoid,
    Gate,
    GateSet,
    Operand,
    Path,
    Polygon,
    Population,
    Ratio,
    Rectangle,
)

Mask = NDArray[np.bool_]

_MARGIN = 1e-9  # relative: keeps events on the border of a polygon inside its bounding box

COUNTS = ("population", "parent", "n_events", "n_parent", "pct_parent", "flowjo_n_events")
"""Columns of `counts`: paths joined by “/” (the parent of a first gate is empty), events in the population and its
parent, their share in percent (empty where the parent has none), and the count stored by FlowJo."""


@dataclass(frozen=True, eq=False)
class Gated:
    """Membership of the events of one file.

    Parameters
    ----------
    members
        One entry an event, by population; parents are already applied.
    n_events
        All events of the file.
    problems
        What had to be said.
    """

    members: dict[Path, Mask]
    n_events: int
    problems: tuple[Problem, ...] = ()


def apply_gates(
    events: Values,
    channels: Sequence[Channel],
    gates: GateSet,
    spillover: Spillover | None = None,
    compensated: Mapping[str, Values] | None = None,
) -> Gated:
    """Which events lie in each population, exactly: rectangles on transformed edges, other forms on transformed events.

    Parameters
    ----------
    events
        Events × channels, FCS scale values, not compensated.
    channels
        Of the columns.
    gates
        From a gate file or made in code.
    spillover
        The file's own matrix, for dimensions that ask for it.
    compensated
        Events that are compensated already, by the name of their matrix, so that this is not done twice.

    Raises
    ------
    Refused
        If a gate needs a channel, matrix or population that is not there, or gates depend on each other in a circle.

    Examples
    --------
    >>> channel = Channel(1, "FL1-A", "CD206", 32, 262144.0)
    >>> bright = Population(("bright",), Rectangle((Dimension("CD206"),), (10.0,), (math.inf,)))
    >>> gated = apply_gates(np.array([[5.0], [10.0], [20.0]]), [channel], GateSet((bright,)))
    >>> gated.members["bright",].tolist()
    [False, True, True]
    """
    columns = _Columns(events, channels, gates.matrices, spillover, dict(compensated or {}))
    members: dict[Path, Mask] = {}
    for population in _in_order(gates.populations):
        parent = members.get(population.path[:-1])
        members[population.path] = _inside(population, parent, members, columns)
    return Gated(members, len(events), tuple(columns.problems))


def counts(gates: GateSet, gated: Gated) -> pd.DataFrame:
    """Events of every population and its parent, in the order of the gates; columns of `COUNTS`."""
    rows = []
    for population in gates.populations:
        path = population.path
        n, n_parent = int(gated.members[path].sum()), gated.n_events
        if len(path) > 1:
            n_parent = int(gated.members[path[:-1]].sum())
        share = 100 * n / n_parent if n_parent else math.nan
        rows.append(("/".join(path), "/".join(path[:-1]), n, n_parent, share, population.stored_events))
    return pd.DataFrame(rows, columns=list(COUNTS)).astype({"flowjo_n_events": "Int64"})


def flowjo_differences(gates: GateSet, gated: Gated, file: str) -> list[Problem]:
    """Where exact counts and the counts stored by FlowJo differ, and why that can be.

    FlowJo gates polygons and ellipses on values that are binned for display; populations that hang on such a gate
    differ by little and need no action. A difference elsewhere means other events or another matrix.

    Parameters
    ----------
    gates, gated
        Gates and what they gave.
    file
        The FCS file, for messages.
    """
    table = counts(gates, gated)
    by_path = {p.path: p for p in gates.populations}
    off: dict[bool, list[str]] = {True: [], False: []}
    for population, ours, theirs in zip(gates.populations, table["n_events"], table["flowjo_n_events"], strict=True):
        if theirs is not pd.NA and ours != theirs:
            off[_binned(population, by_path)].append(f"{population.path[-1]}: {ours}, FlowJo {theirs}")
    problems = []
    if off[True]:
        message = "FlowJo counts other events in polygons and ellipses, since it gates them on binned values."
        fix = "Nothing to do; the exact count is used and both are shown."
        problems.append(Problem("warning", "flowjo-binned", message, fix, file=file, found="; ".join(off[True])))
    if off[False]:
        message = "FlowJo stored another count where none is expected: other events, or another matrix or scale."
        fix = "Save the workspace again with this FCS file."
        problems.append(Problem("warning", "flowjo-differs", message, fix, file=file, found="; ".join(off[False])))
    return problems


def _binned(population: Population, by_path: Mapping[Path, Population]) -> bool:
    """Whether a count hangs on a polygon or ellipse: its own form, an ancestor's, or one it is composed of."""
    if isinstance(population.gate, Polygon | Ellipsoid):
        return True
    return any(_binned(by_path[path], by_path) for path in _needs(population) if path in by_path)


# ---- order


def _needs(population: Population) -> list[Path]:
    """Populations that must be known first."""
    parent = [population.path[:-1]] if len(population.path) > 1 else []
    return parent + ([o.path for o in population.gate.operands] if isinstance(population.gate, Boolean) else [])


def _in_order(populations: Sequence[Population]) -> list[Population]:
    """Every population after its parent and operands."""
    twice = [path for path, times in Counter(p.path for p in populations).items() if times > 1]
    if twice:
        raise Refused([_problem("gate-twice", "Two gates have the same name and parent.", twice[0])])
    known = {p.path for p in populations}
    for population in populations:
        if not _is_whole(population.gate):
            raise Refused([_problem("gate-form", "A gate has no inside: its form is incomplete.", population.path)])
        for path in _needs(population):
            if path not in known:
                raise Refused([_problem("gate-missing", "A gate refers to a population that is not there.", path)])
    waiting, ordered, done = list(populations), list[Population](), set[Path]()
    while waiting:
        ready = [p for p in waiting if done.issuperset(_needs(p))]
        if not ready:
            raise Refused([_problem("gate-circle", "Gates depend on each other in a circle.", waiting[0].path)])
        ordered += ready
        done.update(p.path for p in ready)
        waiting = [p for p in waiting if p.path not in done]
    return ordered


def _is_whole(gate: Gate) -> bool:
    """Whether a form has the dimensions and numbers that it needs."""
    match gate:
        case Rectangle(dimensions, lows, highs):
            return len(dimensions) == len(lows) == len(highs) > 0
        case Polygon(_, vertices):
            return len(vertices) > 2 and bool(np.isfinite(vertices).all())
        case Ellipsoid(dimensions, centre, covariance):
            n = len(dimensions)
            matrix = np.array(covariance)
            return n == len(centre) > 1 and matrix.shape == (n, n) and np.linalg.matrix_rank(matrix) == n
        case Boolean(operation, operands):
            return len(operands) == 1 if operation == "not" else operation in ("and", "or") and len(operands) > 0


def _problem(code: str, message: str, found: Path) -> Problem:
    return Problem("error", code, message, "Mend the gate, or take it out.", found="/".join(found))


# ---- columns


class _Columns:
    """The columns that gates ask for; every matrix is applied at most once."""

    def __init__(
        self,
        events: Values,
        channels: Sequence[Channel],
        matrices: Mapping[str, Spillover],
        spillover: Spillover | None,
        compensated: dict[str, Values],
    ) -> None:
        self.names = [c.name for c in channels]
        self.markers = [c.marker for c in channels]
        self.matrices = dict(matrices) | ({OWN_MATRIX: spillover} if spillover is not None else {})
        self.compensated = {**compensated, RAW: events}
        self.problems: list[Problem] = []

    def values(self, dimension: Dimension) -> Values:
        """A dimension's FCS scale values."""
        events = self._events(dimension.compensation)
        match dimension.channel:
            case Ratio(x, y, factor, x_offset, y_offset):
                above, below = (events[:, self._index(name, dimension.compensation)] for name in (x, y))
                with np.errstate(divide="ignore", invalid="ignore"):
                    return np.asarray(factor * ((above - x_offset) / (below - y_offset)))
            case name:
                return events[:, self._index(name, dimension.compensation)]

    def _events(self, compensation: str) -> Values:
        if compensation not in self.compensated:
            matrix = self.matrices.get(compensation)
            if matrix is not None:
                flowjo = {name.replace("/", "_"): name for name in self.names}
                detectors = tuple(c if c in self.names else flowjo.get(c, c) for c in matrix.channels)
                matrix = replace(matrix, channels=detectors)
                self.compensated[compensation] = compensate(self.compensated[RAW], self.names, matrix)
            elif compensation == OWN_MATRIX:
                message = "Gates ask for the file's own spillover matrix and it has none; values are not compensated."
                self.problems.append(Problem("warning", "spillover-none", message, "Check that this is meant."))
                self.compensated[compensation] = self.compensated[RAW]
            else:
                message = "A gate asks for a spillover matrix that the gate file does not have."
                raise Refused([_problem("matrix-missing", message, (compensation,))])
        return self.compensated[compensation]

    def _index(self, name: str, compensation: str) -> int:
        """Column of a $PnN, of a $PnS that stands once, or of a matrix's dye; FlowJo writes “/” as “_”."""
        for labels in (self.names, self.markers, [n.replace("/", "_") for n in self.names]):
            if labels.count(name) == 1:
                return labels.index(name)
        matrix = self.matrices.get(compensation)
        if matrix is not None and name in matrix.dyes:
            return self.names.index(matrix.channels[matrix.dyes.index(name)])
        message = "A gate uses a channel that the file does not have, or a marker that several channels have."
        raise Refused([_problem("gate-channel", message, (name,))])


# ---- forms


def _inside(population: Population, parent: Mask | None, members: Mapping[Path, Mask], columns: _Columns) -> Mask:
    """Events of one population, its parent applied."""
    match population.gate:
        case Rectangle():
            inside = _in_rectangle(population.gate, columns)
        case Polygon():
            inside = _in_polygon(population.gate, parent, columns)
        case Ellipsoid():
            inside = _in_ellipsoid(population.gate, columns)
        case Boolean(operation, operands):
            inside = _combined(operation, operands, members)
    if population.outside:
        np.logical_not(inside, out=inside)
    return inside if parent is None else np.logical_and(inside, parent, out=inside)


def _in_rectangle(gate: Rectangle, columns: _Columns) -> Mask:
    inside: Mask | None = None
    for dimension, low, high in zip(gate.dimensions, gate.lows, gate.highs, strict=True):
        values = columns.values(dimension)
        floor = max(linear_edge(low, dimension.transform), lowest(dimension.transform))
        ceiling = linear_edge(high, dimension.transform)
        here = values >= floor
        if ceiling != math.inf:
            here &= values < ceiling
        inside = here if inside is None else np.logical_and(inside, here, out=inside)
    assert inside is not None, "a rectangle has a dimension"
    return inside


def _in_polygon(gate: Polygon, parent: Mask | None, columns: _Columns) -> Mask:
    """Only events of the parent around the polygon's bounding box are transformed and looked at."""
    vertices = np.array(gate.vertices, dtype=np.float64)
    near = None if parent is None else parent.copy()
    for dimension, drawn in zip(gate.dimensions, vertices.T, strict=True):
        values, margin = columns.values(dimension), _MARGIN * float(np.abs(drawn).max())
        here = values >= linear_edge(float(drawn.min()) - margin, dimension.transform)
        here &= values < linear_edge(float(drawn.max()) + margin, dimension.transform)
        near = here if near is None else np.logical_and(near, here, out=near)
    assert near is not None, "a polygon has two dimensions"
    which = np.flatnonzero(near)
    points = np.column_stack([transformed(columns.values(d)[which], d.transform) for d in gate.dimensions])
    inside = np.zeros(len(near), dtype=bool)
    inside[which] = gating.points_in_polygon(vertices, points) if len(which) else False
    return inside


def _in_ellipsoid(gate: Ellipsoid, columns: _Columns) -> Mask:
    points = np.column_stack([transformed(columns.values(d), d.transform) for d in gate.dimensions])
    covariance, centre = np.array(gate.covariance), np.array(gate.centre)
    with np.errstate(invalid="ignore"):
        inside = gating.points_in_ellipsoid(covariance, centre, gate.distance_squared, points)
    return np.asarray(inside, dtype=bool)


def _combined(operation: str, operands: Sequence[Operand], members: Mapping[Path, Mask]) -> Mask:
    parts = [~members[o.path] if o.complement else members[o.path] for o in operands]
    if operation == "not":
        return np.logical_not(parts[0])
    return np.asarray((np.logical_and if operation == "and" else np.logical_or).reduce(parts))
