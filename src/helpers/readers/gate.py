"""What a gate is: its dimensions, its form, its parent. Readers of gate files make these; assays apply them.

Edges, vertices and centres stand on the scale of their dimension: the FCS scale where it has no transform, the
transformed one (GatingML's 0 to 1, FlowJo's 0 to 4096) where it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from helpers.core.problems import Problem
from helpers.readers.fcs import Spillover

RAW, OWN_MATRIX = "uncompensated", "FCS"
"""Compensation of a dimension: none, or by the matrix of the FCS file; else the name of a matrix of the gates."""


@dataclass(frozen=True)
class Linear:
    """(x + bottom) / (top + bottom); GatingML flin."""

    top: float
    bottom: float = 0.0


@dataclass(frozen=True)
class Log:
    """log10(x / top) / decades + 1, undefined below 0; GatingML flog."""

    top: float
    decades: float


@dataclass(frozen=True)
class Asinh:
    """Inverse hyperbolic sine scaled to 0 … 1; GatingML fasinh with T, M, A."""

    top: float
    decades: float
    negative: float = 0.0


@dataclass(frozen=True)
class Logicle:
    """Moore and Parks 2012; GatingML logicle with T, W, M, A, on the scale 0 … 1."""

    top: float = 262_144.0
    width: float = 0.5
    decades: float = 4.5
    negative: float = 0.0


@dataclass(frozen=True)
class Hyperlog:
    """Bagwell 2005; GatingML hyperlog with T, W, M, A, on the scale 0 … 1."""

    top: float = 262_144.0
    width: float = 0.5
    decades: float = 4.5
    negative: float = 0.0


@dataclass(frozen=True)
class Biex:
    """FlowJo 10's biexponential look-up table, on the scale 0 … 4096; held at its ends."""

    negative: float = 0.0
    width: float = -10.0
    positive: float = 4.41854
    top: float = 262_144.000029


@dataclass(frozen=True)
class FlowJoLog:
    """log10(x / offset) / decades, 0 below the offset; FlowJo 10's logarithmic scale."""

    offset: float
    decades: float


Transform = Linear | Log | Asinh | Logicle | Hyperlog | Biex | FlowJoLog


@dataclass(frozen=True)
class Ratio:
    """factor · (x − x_offset) / (y − y_offset) of two channels; GatingML fratio."""

    numerator: str
    denominator: str
    factor: float = 1.0
    x_offset: float = 0.0
    y_offset: float = 0.0


@dataclass(frozen=True)
class Dimension:
    """One axis of a gate.

    Parameters
    ----------
    channel
        $PnN, or $PnS where it is unique, or the dye of a named matrix; or a ratio of two channels.
    transform
        Scale on which the gate is drawn; None for the FCS scale.
    compensation
        `RAW`, `OWN_MATRIX` or the name of a matrix in the gate set.
    """

    channel: str | Ratio
    transform: Transform | None = None
    compensation: str = RAW


@dataclass(frozen=True)
class Rectangle:
    """low ≤ x < high in every dimension; with one dimension a range or threshold.

    An open side is −∞ or ∞.
    """

    dimensions: tuple[Dimension, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]


@dataclass(frozen=True)
class Polygon:
    """Inside by the even-odd rule, the border included."""

    dimensions: tuple[Dimension, Dimension]
    vertices: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Ellipsoid:
    """(x − centre) · covariance⁻¹ · (x − centre) ≤ distance_squared, in two or more dimensions."""

    dimensions: tuple[Dimension, ...]
    centre: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    distance_squared: float


Path = tuple[str, ...]
"""Names of a population and its ancestors, the oldest first: ("Cells", "Live", "CD206+")."""


@dataclass(frozen=True)
class Operand:
    """A population that a Boolean gate uses, or its complement among all events."""

    path: Path
    complement: bool = False


@dataclass(frozen=True)
class Boolean:
    """and, or, not of other populations."""

    operation: str
    operands: tuple[Operand, ...]


Gate = Rectangle | Polygon | Ellipsoid | Boolean


@dataclass(frozen=True)
class Population:
    """The events of the parent that lie in a gate.

    Parameters
    ----------
    path
        Its name after those of its ancestors.
    gate
        Its form.
    outside
        Whether it holds the events outside of the gate.
    stored_events
        Number of events that another program (FlowJo) stored for it.
    """

    path: Path
    gate: Gate
    outside: bool = False
    stored_events: int | None = None


@dataclass(frozen=True, eq=False)
class GateSet:
    """The gates of one sample, or of every sample.

    Parameters
    ----------
    populations
        In any order; every parent is among them.
    matrices
        Spillover matrices by the names that dimensions use.
    stored_events
        Number of all events that another program (FlowJo) stored.
    """

    populations: tuple[Population, ...]
    matrices: dict[str, Spillover] = field(default_factory=dict)
    stored_events: int | None = None


@dataclass(frozen=True, eq=False)
class GateFile:
    """Gates of a FlowJo workspace or a GatingML file.

    Parameters
    ----------
    file
        Path inside the study.
    kind
        "flowjo" or "gatingml".
    version
        FlowJo's or GatingML's.
    sets
        Gates by the sample's name in FlowJo (its FCS file); under "" where they are for every sample.
    problems
        What was odd or could not be read.
    """

    file: str
    kind: str
    version: str
    sets: dict[str, GateSet]
    problems: tuple[Problem, ...] = ()


def quadrants(x: Dimension, y: Dimension, x_edge: float, y_edge: float, parent: Path = ()) -> tuple[Population, ...]:
    """Four populations around a cross, named x−y+, x+y+, x+y−, x−y− by channel.

    Parameters
    ----------
    x, y
        Dimensions.
    x_edge, y_edge
        Where they are divided, on the dimensions' scales; a value on the edge is positive.
    parent
        Path of the population that is divided.

    Examples
    --------
    >>> [p.path[-1] for p in quadrants(Dimension("CD80"), Dimension("CD206"), 1.0, 2.0)]
    ['CD80- CD206+', 'CD80+ CD206+', 'CD80+ CD206-', 'CD80- CD206-']
    """
    sides = {"-": (-math.inf, 0), "+": (0, math.inf)}
    made = []
    for x_sign, y_sign in ("-+", "++", "+-", "--"):
        (x_low, x_high), (y_low, y_high) = sides[x_sign], sides[y_sign]
        gate = Rectangle((x, y), (x_low + x_edge, y_low + y_edge), (x_high + x_edge, y_high + y_edge))
        made.append(Population((*parent, f"{x.channel}{x_sign} {y.channel}{y_sign}"), gate))
    return tuple(made)
