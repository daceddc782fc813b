"""The search behind the standard curves: many starts, all analytes of a plate at once.

A five-parameter fit has long curved valleys and several minima, and one start finds the best of them only by luck.
So the two parameters in which the curve is linear (a and d) are solved for exactly wherever the weighting allows
(variable projection: Golub and Pereyra, SIAM J Numer Anal 1973;10:413–432, in the form of Kaufman, BIT
1975;15:49–57); the best points of a grid over c, b and g are kept, one from each band of slope and asymmetry; and all
of them, for all analytes, go down together in one Levenberg–Marquardt search on logarithms between bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from helpers.assays.cytokines.curves import LOG_OF_ZERO, Numbers, Whole

Flags = NDArray[np.bool_]
Model = Literal["4pl", "5pl"]

SLOPES = (0.05, 10.0)
"""Bounds of −b."""
ASYMMETRIES = (0.02, 50.0)
"""Bounds of g."""
HIGHEST_SCALE = 1e4
"""Upper bound of c, in multiples of the highest standard."""
LOWEST_SCALE = 1e-30
"""Lower bound of c, in multiples of the lowest standard above zero; only keeps the logarithm finite."""

LN10 = float(np.log(10.0))
_FAINTEST = 1e-100  # share of the largest response, on logs; keeps squares of its reciprocal finite
_STEP = 1.5  # longest step in a logarithm
_LAYERS = np.array([0.02, 0.06, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 50.0])  # asymmetries of the grid
_MIDDLE_SLOPES = np.geomspace(0.15, 6.0, 12)  # slope of the 4PL that is as steep at half its height
_MIDPOINTS = np.linspace(-0.2, 1.3, 15)  # place of half height along the standards, 0 the lowest, 1 the highest
_BANDS = {"4pl": 12, "5pl": 3}  # slope bands with one start each, for each asymmetry of the grid


@dataclass(frozen=True)
class Scaled:
    """Standards with logarithms of x around their middle, y in units of the largest, and weights up to 1.

    Rows of a parameter array here are a, d − a, ln c, ln −b, ln g.
    """

    log_x: Numbers
    y: Numbers
    root: Numbers  # of the weight, 0 where not used
    on_logs: bool
    low: Numbers
    high: Numbers
    middle: Numbers
    y_unit: Numbers
    root_unit: Numbers

    @property
    def total(self) -> Numbers:
        """Weighted sum of squares of the responses themselves, what a misfit is small against."""
        return np.asarray(
            (self.root**2).sum(axis=1) / LN10**2 if self.on_logs else ((self.root * self.y) ** 2).sum(axis=1)
        )


def scaled(x: Numbers, y: Numbers, given: Numbers, on_logs: bool) -> Scaled:
    """Standards x, y of shape (k, n) with the weights given (0 for not used) on the scale of the search."""
    used, positive = given > 0, (given > 0) & (x > 0)
    logs = np.log(np.where(positive, x, 1.0))
    middle = logs.sum(axis=1) / np.maximum(positive.sum(axis=1), 1)
    logs = np.where(positive, logs - middle[:, None], LOG_OF_ZERO)
    y_unit = np.abs(np.where(used, y, 0.0)).max(axis=1, initial=0.0)
    y_unit = np.where(y_unit > 0, y_unit, 1.0)
    root_unit = np.sqrt(given.max(axis=1, initial=0.0))
    low, high = np.full((len(x), 5), -np.inf), np.full((len(x), 5), np.inf)
    if on_logs:
        low[:, 0] = 0.0
    low[:, 2] = np.where(positive, logs, np.inf).min(axis=1, initial=np.inf) + np.log(LOWEST_SCALE)
    high[:, 2] = np.where(positive, logs, -np.inf).max(axis=1, initial=-np.inf) + np.log(HIGHEST_SCALE)
    (low[:, 3], high[:, 3]), (low[:, 4], high[:, 4]) = np.log(SLOPES), np.log(ASYMMETRIES)
    shares = np.where(used, y, y_unit[:, None]) / y_unit[:, None]
    return Scaled(
        log_x=logs,
        y=np.maximum(shares, _FAINTEST) if on_logs else shares,
        root=np.sqrt(given) / root_unit[:, None],
        on_logs=on_logs,
        low=low,
        high=high,
        middle=middle,
        y_unit=y_unit,
        root_unit=root_unit,
    )


# ---- search


@dataclass
class Place:
    """Where the searches stand: parameters, residuals, objective and Jacobian, one row each."""

    p: Numbers
    residuals: Numbers
    objective: Numbers
    jacobian: Numbers  # rows, parameters, standards

    def take(self, rows: Flags | Whole) -> Place:
        """Some of the searches."""
        return Place(self.p[rows], self.residuals[rows], self.objective[rows], self.jacobian[rows])

    def put(self, rows: Flags | Whole, other: Place) -> None:
        """Set some of the searches to where others stand."""
        for name in ("p", "residuals", "objective", "jacobian"):
            getattr(self, name)[rows] = getattr(other, name)


def _place(s: Scaled, rows: Whole, p: Numbers) -> Place:
    """Residuals and Jacobian (of a, ln(d − a), ln c, ln −b, ln g) at p; a and d − a solved for unless on logs."""
    y, root = s.y[rows], s.root[rows]
    b, g = -np.exp(p[:, 3, None]), np.exp(p[:, 4, None])
    u = b * (s.log_x[rows] - p[:, 2, None])
    softened = np.logaddexp(0.0, u)
    h = np.exp(-g * softened)
    if not s.on_logs:
        p = p.copy()
        p[:, 0], p[:, 1] = _linear(h, y, root)
    span = p[:, 1, None]
    fit = p[:, 0, None] + span * h
    if s.on_logs:
        fit = np.maximum(fit, _FAINTEST)
        residuals, scale = root * np.log(fit / y) / LN10, root / (fit * LN10)
    else:
        residuals, scale = root * (fit - y), root
    rise = scale * span * h
    fall = -g * rise
    across = fall * expit(u)
    jacobian = np.stack([scale, rise, -b * across, across * u, fall * softened], axis=1)
    return Place(p, residuals, np.einsum("mn,mn->m", residuals, residuals), jacobian)


def _linear(h: Numbers, y: Numbers, root: Numbers) -> tuple[Numbers, Numbers]:
    """Weighted least squares line of y on h: value at h = 0 and slope (0 where h does not vary)."""
    w = root**2
    total = w.sum(axis=-1)
    h_mean, y_mean = (w * h).sum(axis=-1) / total, (w * y).sum(axis=-1) / total
    off = h - h_mean[..., None]
    squares = (w * off**2).sum(axis=-1)
    slope = (w * off * y).sum(axis=-1) / np.where(squares > 0, squares, 1.0)
    slope = np.where(squares > 1e-26 * total, slope, 0.0)
    return y_mean - slope * h_mean, slope


def descend(s: Scaled, rows: Whole, p: Numbers, held: Flags, iterations: int, least_gain: float) -> Place:
    """Levenberg–Marquardt from every p at once; `held` parameters stay, bounds hold by projection.

    A row rests when two steps in a row gain less than `least_gain` (relative), when no step gains, or when steps
    have no length. Steps that gain nothing but flatten the gradient are taken, so that the end does not hang on the
    rounding of the objective.
    """
    at = _place(s, rows, np.clip(p, s.low[rows], s.high[rows]))
    done, active = at.take(np.arange(len(rows))), np.arange(len(rows))
    damping, lazy = np.full(len(rows), 1e-2), np.zeros(len(rows), dtype=np.int64)
    for _ in range(iterations):
        mine = rows[active]
        step = _step(s, at, mine, held[active], damping)
        moved = at.p + step
        moved[:, 1] = at.p[:, 1] * np.exp(step[:, 1])
        there = _place(s, mine, np.clip(moved, s.low[mine], s.high[mine]))
        gain = at.objective - there.objective
        level = gain >= -1e-14 * at.objective
        better = (gain > 0) | (level & (_tilt(s, there, mine, held[active]) < 0.5 * _tilt(s, at, mine, held[active])))
        lazy = np.where(gain > least_gain * at.objective, 0, lazy + (gain > 0))
        short = np.abs(there.p - at.p)[:, 2:].max(axis=1) < 1e-13
        damping = np.clip(damping * np.where(better, 0.2, 5.0), 1e-13, 1e12)
        at.put(better, there.take(better))
        rests = (lazy >= 2) | (damping >= 1e9) | short
        done.put(active[rests], at.take(rests))
        at, active, damping, lazy = at.take(~rests), active[~rests], damping[~rests], lazy[~rests]
        if not len(active):
            break
    done.put(active, at)
    return done


def _step(s: Scaled, at: Place, rows: Whole, held: Flags, damping: Numbers) -> Numbers:
    """Damped Gauss–Newton step; a parameter at a bound that pulls outwards stays."""
    downhill = -np.einsum("mpn,mn->mp", at.jacobian, at.residuals)
    curvature = at.jacobian @ at.jacobian.swapaxes(1, 2)
    size = np.einsum("mpp->mp", curvature)
    free = (size > 0) & ~_stuck(s, at.p, downhill, rows, held)
    scale = np.where(free, 1.0 / np.sqrt(np.where(free, size, 1.0)), 0.0)
    matrix = curvature * scale[:, :, None] * scale[:, None, :]
    one_to_five = np.arange(5)
    matrix[:, one_to_five, one_to_five] = 1.0 + damping[:, None]
    if not s.on_logs:  # a and d − a are solved for afterwards: their steps need no damping
        matrix[:, one_to_five[:2], one_to_five[:2]] = 1.0 + 1e-14
    step = np.linalg.solve(matrix, (downhill * scale)[:, :, None])[:, :, 0] * scale
    longest = np.abs(step[:, (1 if s.on_logs else 2) :]).max(axis=1)
    step /= np.maximum(longest / _STEP, 1.0)[:, None]
    step[:, 1] = np.clip(step[:, 1], -_STEP, _STEP)
    return np.asarray(step)


def _stuck(s: Scaled, p: Numbers, downhill: Numbers, rows: Whole, held: Flags) -> Flags:
    low, high = (p <= s.low[rows]) & (downhill < 0), (p >= s.high[rows]) & (downhill > 0)
    return np.asarray(held | low | high)


def _tilt(s: Scaled, at: Place, rows: Whole, held: Flags) -> Numbers:
    """Largest cosine between the residuals and a free column of the Jacobian: 0 at an optimum."""
    along = np.einsum("mpn,mn->mp", at.jacobian, at.residuals)
    lengths = np.sqrt(np.einsum("mpn,mpn->mp", at.jacobian, at.jacobian) * at.objective[:, None])
    cosines = np.abs(along) / np.where(lengths > 0, lengths, 1.0)
    return np.asarray(np.where(_stuck(s, at.p, -along, rows, held), 0.0, cosines).max(axis=1))


# ---- where searches start


def _shape(midpoint: Numbers, slope: Numbers, g: Numbers) -> tuple[Numbers, Numbers]:
    """Logarithms of c and −b of the curve with that ln x at half height and the steepness there of a 4PL's slope."""
    b = np.clip(0.5 * slope / (-g * np.expm1(-np.log(2.0) / g)), 1.01 * SLOPES[0], 0.99 * SLOPES[1])
    return midpoint + np.log(np.expm1(np.log(2.0) / g)) / b, np.log(b)


def grid_starts(s: Scaled, model: Model) -> Numbers:
    """The best rising grid point of each band of slope at each asymmetry: shape (analytes, starts, 5)."""
    layers = _LAYERS if model == "5pl" else np.ones(1)
    g, slope, place = (a.ravel() for a in np.meshgrid(layers, _MIDDLE_SLOPES, _MIDPOINTS, indexing="ij"))
    starts = np.empty((len(s.y), len(layers) * _BANDS[model], 5))
    for i in range(len(s.y)):
        used = s.root[i] > 0
        x, y, root = s.log_x[i][used], s.y[i][used], s.root[i][used]
        if s.on_logs:
            root = 1.0 / np.maximum(y, 1e-6)  # small misfits on logarithms are relative ones
        finite = x[x > LOG_OF_ZERO]
        c, b = _shape(finite.min() + place * np.ptp(finite), slope, g)
        c = np.clip(c, s.low[i, 2], s.high[i, 2])
        h = np.exp(-g[:, None] * np.logaddexp(0.0, -np.exp(b[:, None]) * (x - c[:, None])))
        a, span = _linear(h, y, root)
        misfit = (((a[:, None] + span[:, None] * h - y) * root) ** 2).sum(axis=1)
        bands = np.where(span > 0, misfit, np.inf).reshape(starts.shape[1], -1)
        best = bands.argmin(axis=1) + np.arange(len(bands)) * bands.shape[1]
        rising = np.where(span[best] > 0, span[best], 1e-3)
        starts[i] = np.column_stack([np.maximum(a[best], s.low[i, 0]), rising, c[best], b[best], np.log(g[best])])
    return starts


def alike(p: Numbers, asymmetries: Numbers, steeper: Numbers) -> Numbers:
    """The curves p with other asymmetries and steepnesses at the same midpoint: shape (analytes, variants, 5)."""
    g, b = np.exp(p[:, 4, None]), np.exp(p[:, 3, None])
    midpoint = p[:, 2, None] - np.log(np.expm1(np.log(2.0) / g)) / b
    slope = -2.0 * b * g * np.expm1(-np.log(2.0) / g)
    out = np.repeat(p[:, None, :], asymmetries.shape[1], axis=1)
    out[:, :, 2], out[:, :, 3] = _shape(midpoint, slope * steeper, asymmetries)
    out[:, :, 4] = np.log(asymmetries)
    return out


def near_starts(s: Scaled, near: Numbers) -> Numbers:
    """The given curves, and steeper and flatter ones, with the asymmetry given and with none."""
    a, d, c, b, g = near.T
    p = np.column_stack([a / s.y_unit, (d - a) / s.y_unit, np.log(c) - s.middle, np.log(-b), np.log(g)])
    steeper = np.tile([1.0, 0.6, 1.6], 2)
    asymmetries = np.column_stack([np.repeat(g[:, None], 3, axis=1), np.ones((len(p), 3))])
    starts = alike(p, asymmetries, steeper)
    starts[:, 0] = p
    return starts
