"""What a plot of one gating step needs: densities of the parent's events and the gate's outline, on display scales."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath

import numpy as np
import pandas as pd

from helpers.assays.flow.transforms import linear_edge, transformed
from helpers.assays.phenotype.gate_choice import read_gates, recipe_for
from helpers.assays.phenotype.gating import Stain, column_of, is_dyed
from helpers.assays.phenotype.measure import GatedFile, gated_file, reported_populations
from helpers.assays.phenotype.samples import file_path, panel_markers, tubes
from helpers.readers.fcs import Values
from helpers.readers.gate import Boolean, Dimension, Ellipsoid, Logicle, Polygon, Population, Ratio, Rectangle

BINS = 72
TOP = 262_144.0
SCALE = Logicle()


@dataclass(frozen=True)
class Axis:
    """One axis of a plot: its label, whether it is logicle (0 to 1 is drawn) or linear (0 to `top`)."""

    label: str
    dyed: bool
    top: float

    def place(self, values: Values) -> Values:
        """FCS scale values on the axis, 0 to 1."""
        return transformed(values, SCALE) if self.dyed else values / self.top


@dataclass(frozen=True, eq=False)
class Step:
    """One gate: events of its parent as a density, its outline, what it kept.

    Parameters
    ----------
    population, parent
        Names.
    x, y
        Axes.
    density
        Events of the parent in `BINS` × `BINS` squares of the unit square, x first.
    outlines
        Lines of the gate, x and y on the axes.
    n_events, n_parent
        Counts.
    """

    population: str
    parent: str
    x: Axis
    y: Axis
    density: np.ndarray
    outlines: tuple[tuple[Values, Values], ...]
    n_events: int
    n_parent: int


def gating_steps(
    folder: FilePath, tables: Mapping[str, pd.DataFrame], fcs_file: str, thresholds: Mapping[str, float]
) -> list[Step]:
    """Every gate on the way to the measured populations of one file, in order.

    Parameters
    ----------
    folder
        The study folder.
    tables
        Typed input tables.
    fcs_file
        Which file.
    thresholds
        Its markers' thresholds, from ``phenotype_markers``.

    Raises
    ------
    Refused
        Where the file or its gates cannot be used.
    """
    tube = next(t for t in tubes(tables, set()) if t.fcs_file == fcs_file)
    panel = panel_markers(tables).get(tube.panel_id, ())
    gates, _ = read_gates(folder, tables["phenotype/gates"])
    stain = Stain(panel, frozenset(), tuple(thresholds.items()))
    recipe, its_gates, _ = recipe_for(tube, stain, gates)
    one = gated_file(*file_path(folder, fcs_file), recipe, its_gates)
    wanted = {path[:n] for path in reported_populations(one.gates) for n in range(1, len(path) + 1)}
    chosen = [p for p in one.gates.populations if p.path in wanted and not isinstance(p.gate, Boolean)]
    return [step_of(p, one, stain) for p in sorted(chosen, key=lambda p: len(p.path))]


def step_of(population: Population, one: GatedFile, stain: Stain) -> Step:
    """One gate of a gated file as a plot needs it.

    Parameters
    ----------
    population
        Its gate; no Boolean one, which has no outline.
    one, stain
        The file, and panel and thresholds of its tube.
    """
    gate, path = population.gate, population.path
    assert not isinstance(gate, Boolean), "Boolean gates have no outline"
    parent = one.gated.members[path[:-1]] if len(path) > 1 else np.ones(one.gated.n_events, dtype=bool)
    first = gate.dimensions[0].channel
    if isinstance(first, Ratio):
        names = [first.denominator, first.numerator]
    else:
        names = [str(d.channel) for d in gate.dimensions[:2]]
        names += [_beside(one, names[0])] * (len(names) < 2)
    axes = [_axis(n, one, stain) for n in names]
    columns = [one.compensated[parent, column_of(one.fcs.channels, n)] for n in names]
    placed = [np.clip(a.place(c), 0, 1 - 1e-9) for a, c in zip(axes, columns, strict=True)]
    density = np.histogram2d(placed[0], placed[1], bins=BINS, range=((0, 1), (0, 1)))[0]
    lines = _outlines(population, axes)
    n = int(one.gated.members[path].sum())
    return Step(path[-1], path[-2] if len(path) > 1 else "", axes[0], axes[1], density, lines, n, int(parent.sum()))


def _beside(one: GatedFile, name: str) -> str:
    """Second axis of a gate on one channel: side scatter, else another channel."""
    others = [n for n in one.fcs.names if n != name and n.casefold() != "time"]
    return next((n for n in others if n.upper() in ("SSC-A", "SSC-H", "SSC", "SS")), others[0] if others else name)


def _axis(name: str, one: GatedFile, stain: Stain) -> Axis:
    channel = one.fcs.channels[column_of(one.fcs.channels, name)]
    marker = stain.marker(name) or channel.marker
    top = channel.range / channel.gain if channel.range > 0 else TOP
    return Axis(f"{marker} ({name})" if marker else name, is_dyed(name), top)


def _outlines(population: Population, axes: list[Axis]) -> tuple[tuple[Values, Values], ...]:
    gate = population.gate
    match gate:
        case Rectangle(dimensions, lows, highs) if isinstance(dimensions[0].channel, Ratio):
            x = np.linspace(0, axes[0].top, 50)
            edges = [e for e in (lows[0], highs[0]) if math.isfinite(e)]
            return tuple((axes[0].place(x), axes[1].place(e * x)) for e in edges)
        case Rectangle(dimensions, lows, highs):
            return _box(dimensions, lows, highs, axes)
        case Polygon(dimensions, vertices):
            corners = np.array([*vertices, vertices[0]], dtype=np.float64)
            between = np.linspace(0, 1, 20)[:, None]
            sides = [a + (b - a) * between for a, b in itertools.pairwise(corners)]
            return (_on_axes(np.concatenate(sides), dimensions, axes),)
        case Ellipsoid(dimensions, centre, covariance, distance) if len(dimensions) == 2:
            turn = np.linspace(0, 2 * np.pi, 120)
            circle = np.linalg.cholesky(np.array(covariance)) @ np.array([np.cos(turn), np.sin(turn)])
            return (_on_axes(np.array(centre) + math.sqrt(distance) * circle.T, dimensions, axes),)
    return ()


def _box(
    dimensions: tuple[Dimension, ...], lows: tuple[float, ...], highs: tuple[float, ...], axes: list[Axis]
) -> tuple[tuple[Values, Values], ...]:
    ends = []
    for dimension, axis, low, high in zip(dimensions, axes, lows, highs, strict=False):
        raw = [linear_edge(e, dimension.transform) for e in (low, high)]
        ends.append(
            [float(np.clip(axis.place(np.array([e]))[0], 0, 1)) if math.isfinite(e) else float(e > 0) for e in raw]
        )
    (left, right), (bottom, top) = ends[0], (ends[1] if len(ends) > 1 else (0.0, 1.0))
    return ((np.array([left, right, right, left, left]), np.array([bottom, bottom, top, top, bottom])),)


def _on_axes(points: np.ndarray, dimensions: tuple[Dimension, ...], axes: list[Axis]) -> tuple[Values, Values]:
    """Points on the gate's own scales, on the scales of the plot."""
    placed = []
    for column, dimension, axis in zip(points.T, dimensions, axes, strict=True):
        raw = column if dimension.transform is None else np.array([linear_edge(v, dimension.transform) for v in column])
        placed.append(np.clip(axis.place(np.clip(raw, -TOP, 4 * TOP)), 0, 1))
    return placed[0], placed[1]
