"""Display scales of flow cytometry, and edges drawn on them taken back to the FCS scale.

A monotone scale moves no event across an edge. So for thresholds, rectangles and medians the edge is
transformed, once, and not the events, a million times.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from flowutils import transforms as scales

from helpers.readers.fcs import Values
from helpers.readers.gate import Asinh, Biex, FlowJoLog, Hyperlog, Linear, Log, Logicle, Transform

_LARGEST = 1e38  # about the largest stored number (float32); no scale is asked beyond it
_SOLVED = {Logicle: 5e-16, Hyperlog: 5e-16}  # these are solved for by iteration, which leaves the last bit open


def transformed(values: Values, transform: Transform | None) -> Values:
    """Values on a display scale, for plots and for gates that are not rectangles.

    Parameters
    ----------
    values
        FCS scale values, any shape.
    transform
        The scale; None changes nothing.

    Returns
    -------
    The same shape, by the formulas of GatingML 2.0 (Spidlen 2015) and of FlowJo 10.

    Examples
    --------
    >>> transformed(np.array([0.0, 262144.0]), Logicle()).round(4).tolist()
    [0.1111, 1.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # Log below 0 is undefined and says so by NaN
        match transform:
            case None:
                return values
            case Linear(top, bottom):
                return np.asarray((values + bottom) / (top + bottom))
            case Log(top, decades):
                return np.asarray(scales.log(values, None, t=top, m=decades))
            case Asinh(top, decades, negative):
                return np.asarray(scales.asinh(values, None, t=top, m=decades, a=negative))
            case Logicle(top, width, decades, negative):
                flat = scales.logicle(values.ravel(), None, t=top, m=decades, w=width, a=negative)
                return np.asarray(flat).reshape(values.shape)
            case Hyperlog(top, width, decades, negative):
                flat = scales.hyperlog(values.ravel(), None, t=top, m=decades, w=width, a=negative)
                return np.asarray(flat).reshape(values.shape)
            case Biex():
                return np.asarray(_biex(transform).apply(values))
            case FlowJoLog(offset, decades):
                return np.asarray(1 / decades * (np.log10(np.maximum(values, offset)) - np.log10(offset)))


def asinh_of_cofactor(cofactor: float, top: float = 262_144.0) -> Asinh:
    """The scale asinh(x / cofactor), divided so that `top` is at 1.

    Parameters
    ----------
    cofactor
        Width of the linear part, 150 for fluorescence, 5 for mass cytometry.
    top
        Upper end of the scale.

    Examples
    --------
    >>> scale = asinh_of_cofactor(150)
    >>> bool(np.isclose(transformed(np.array([3000.0]), scale)[0], np.arcsinh(20) / np.arcsinh(262144 / 150)))
    True
    """
    return Asinh(top, math.asinh(top / cofactor) / math.log(10))


@cache
def linear_edge(edge: float, transform: Transform | None) -> float:
    """The smallest FCS scale value that reaches an edge drawn on a display scale.

    Found by bisection over the floating-point numbers with the scale's own function, so that for every x
    ``x >= linear_edge(e, t)`` is ``transformed(x, t) >= e``; for logicle and hyperlog up to the rounding of their
    last bit, in favour of the value on which the edge was drawn.

    Parameters
    ----------
    edge
        On the display scale.
    transform
        A scale that never falls.

    Returns
    -------
    −∞ where every value reaches the edge, ∞ where none does.

    Examples
    --------
    >>> round(linear_edge(0.5, Linear(top=1000.0)), 6), linear_edge(-5.0, FlowJoLog(1.0, 4.0))
    (500.0, -inf)
    """
    if transform is None or math.isinf(edge):
        return edge

    bar = edge - _SOLVED.get(type(transform), 0.0)

    def reaches(x: float) -> bool:
        return bool(transformed(np.array([x]), transform)[0] >= bar)

    if reaches(-_LARGEST):
        return -math.inf
    if not reaches(_LARGEST):
        return math.inf
    below, above = _rank(-_LARGEST), _rank(_LARGEST)
    while above - below > 1:
        middle = (below + above) // 2
        if reaches(_of_rank(middle)):
            above = middle
        else:
            below = middle
    return _of_rank(above)


def lowest(transform: Transform | None) -> float:
    """The smallest value for which a scale is defined: 0 for a logarithm, −∞ for all others."""
    return 0.0 if isinstance(transform, Log) else -math.inf


def _rank(x: float) -> int:
    """Place of a number in the order of all floating-point numbers."""
    bits = int(np.float64(x).view(np.int64))
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _of_rank(rank: int) -> float:
    size = float(np.int64(abs(rank)).view(np.float64))
    return size if rank >= 0 else -size


@cache
def _biex(transform: Biex) -> Any:
    import flowkit  # slow to import, and only FlowJo workspaces need it

    return flowkit.transforms.WSPBiexTransform(transform.negative, transform.width, transform.positive, transform.top)
