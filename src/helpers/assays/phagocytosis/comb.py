"""Beads in a cell from the comb of the histogram: a mixture whose peaks share one bead's fluorescence.

A cell with k beads has fluorescence a + k·b with variance s_a² + k·s_b²: a and s_a from cells without beads,
b and s_b from the comb itself. Works on linear, background-kept values alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

MOST_PEAKS = 10
"""Peaks looked for, the one of cells without beads included; what lies above is in the open top bin."""
SEPARATION = 2.0
"""Distance of two peaks in standard deviations, below which they cannot be told apart."""
FEWEST_CELLS = 100
_FEWEST_BINS, _MOST_BINS, _BINS_AN_SD = 200, 2048, 5
_STARTS, _PEAKS_TRIED, _SHORT, _LONG = 12, (3, 4, 6, MOST_PEAKS), 10, 100
_NARROWEST = 2.5  # smallest distance of peaks that is tried, in SD of autofluorescence
_FEWEST_IN_PEAK = 10.0
_TOLERANCE = 0.05  # relative: how well one bead's fluorescence must be known
_DROP = 1.92  # of the log likelihood, at the ends of a 95 % interval


@dataclass(frozen=True)
class Autofluorescence:
    """Cells without beads, of the same donor and condition: centre and SD, both robust."""

    centre: float
    sd: float


@dataclass(frozen=True)
class Comb:
    """A fitted comb.

    Parameters
    ----------
    autofluorescence
        What the fit was given.
    bead, bead_sd
        Fluorescence of one bead and its SD between beads.
    shares
        Share of cells with 0, 1, … beads; the last one is of all cells with at least that many.
    top_beads
        Mean beads of a cell in the open top bin, from its total fluorescence; NaN where it is empty.
    n_cells
        Cells fitted.
    bic
        Of the number of peaks chosen.
    identifiable
        Whether the peaks of none, one and two beads stand apart and hold cells; else numbers of beads are a guess.
    reason
        Why not, in a sentence.
    """

    autofluorescence: Autofluorescence
    bead: float
    bead_sd: float
    shares: tuple[float, ...]
    top_beads: float
    n_cells: int
    bic: float
    identifiable: bool
    reason: str = ""

    def position(self, k: int) -> float:
        """Fluorescence of a cell with k beads."""
        return self.autofluorescence.centre + k * self.bead

    def sd(self, k: int) -> float:
        """SD of the fluorescence of cells with k beads."""
        return math.sqrt(self.autofluorescence.sd**2 + k * self.bead_sd**2)

    def separation(self, k: int) -> float:
        """Distance of peaks k and k + 1 in SD of peak k."""
        return self.bead / self.sd(k)

    @property
    def mean_beads(self) -> float:
        """Beads per cell, over all cells."""
        *counted, top = self.shares
        inner = sum(k * share for k, share in enumerate(counted))
        return inner + (top * self.top_beads if top > 0 else 0.0)

    @property
    def pct_with_beads(self) -> float:
        """Percent of cells with at least one bead."""
        return 100 * (1 - self.shares[0])


@dataclass(frozen=True)
class _Binned:
    """Fluorescence in fine bins, counts as weights: as good as events, and as fast for a million of them."""

    x: Values
    count: Values
    top: float


def autofluorescence(values: Values) -> Autofluorescence:
    """Centre and spread of cells without beads: median, and 1.4826 × median absolute deviation.

    Parameters
    ----------
    values
        Linear fluorescence of the no-particle control, one a cell.
    """
    centre = float(np.median(values))
    return Autofluorescence(centre, 1.4826 * float(np.median(np.abs(values - centre))))


def refusal(target: str, label: str, quench: str) -> str:
    """Why a target has no comb; empty for beads whose brightness is their own.

    Examples
    --------
    >>> refusal("zymosan", "FITC", ""), refusal("bead", "YG", "wash")
    ('Only beads are alike enough for a comb; this target is not.', '')
    """
    if target != "bead":
        return "Only beads are alike enough for a comb; this target is not."
    if "phrodo" in label.casefold().replace(" ", "") or quench == "ph_dye":
        return "The dye's brightness depends on pH, so beads have no common fluorescence and there is no comb."
    return ""


def fit_comb(values: Values, background: Autofluorescence) -> Comb | str:
    """Fit the comb by EM for 2 to `MOST_PEAKS` peaks and choose by BIC; above them lies an open bin.

    Parameters
    ----------
    values
        Linear fluorescence, one a macrophage; not on a logicle or logarithmic scale.
    background
        From `autofluorescence`.

    Returns
    -------
    The comb, or a sentence why there is none.
    """
    values = values[np.isfinite(values)]
    if len(values) < FEWEST_CELLS:
        return f"There are fewer than {FEWEST_CELLS} cells."
    if not background.sd > 0:
        return "Cells without beads have no spread, so the first peak has no width."
    data = _binned(values, background.sd)
    starts = _starts(data, background)
    if not starts.size:
        return "Hardly any cell is brighter than cells without beads."
    anywhere = (background.sd, math.inf)
    short = [_em(data, background, n, (b, 0.3 * background.sd), anywhere, _SHORT) for b in starts for n in _PEAKS_TRIED]
    near = min(short, key=lambda f: f.bic)
    fits = [_em(data, background, n, (near.bead, near.bead_sd), anywhere, _LONG) for n in range(2, MOST_PEAKS + 1)]
    best = min(fits, key=lambda f: f.bic)
    return _judged(best, values, data)


def _binned(values: Values, sd: float) -> _Binned:
    bins = int(np.clip(_BINS_AN_SD * np.ptp(values) / sd, _FEWEST_BINS, _MOST_BINS))
    count, edges = np.histogram(values, bins)
    x = (edges[:-1] + edges[1:]) / 2
    return _Binned(x[count > 0], count[count > 0].astype(float), float(values.max()))


def _starts(data: _Binned, background: Autofluorescence) -> Values:
    """Bead fluorescences to begin from, on a logarithmic grid up to the brightest of the usual cells."""
    above = data.x > background.centre + 3 * background.sd
    if data.count[above].sum() < FEWEST_CELLS / 10:
        return np.array([])
    order = np.cumsum(data.count[above]) / data.count[above].sum()
    high = float(data.x[above][np.searchsorted(order, 0.8)]) - background.centre
    low = _NARROWEST * background.sd
    return np.geomspace(low, max(high, 1.5 * low), _STARTS)


def _densities(data: _Binned, background: Autofluorescence, peaks: int, bead: float, bead_sd: float) -> Values:
    """Density of each peak at each bin, and last of the open top bin, which is flat."""
    k = np.arange(peaks)
    sd = np.sqrt(background.sd**2 + k * bead_sd**2)
    z = (data.x[:, None] - background.centre - k * bead) / sd
    inner = np.exp(-0.5 * z**2) / (sd * math.sqrt(2 * math.pi))
    edge = background.centre + (peaks - 0.5) * bead
    width = max(data.top - edge, bead)
    return np.column_stack([inner, (data.x > edge) / width])


def _em(
    data: _Binned,
    background: Autofluorescence,
    peaks: int,
    start: tuple[float, float],
    within: tuple[float, float],
    rounds: int,
) -> Comb:
    """EM from one start (bead, its SD), the bead held within a range; its variance takes a scoring step a round."""
    bead, bead_sd = start
    n = float(data.count.sum())
    shares = np.full(peaks + 1, 1 / (peaks + 1))
    k = np.arange(peaks)
    likelihood = -np.inf
    for _ in range(rounds):
        joint = shares * _densities(data, background, peaks, bead, bead_sd)
        total = joint.sum(axis=1) + 1e-300
        before, likelihood = likelihood, float((data.count * np.log(total)).sum())
        weight = data.count[:, None] * joint / total[:, None]
        shares = weight.sum(axis=0) / n
        inner = weight[:, :peaks]
        variance = background.sd**2 + k * bead_sd**2
        moved = ((data.x - background.centre)[:, None] * inner).sum(axis=0) @ (k / variance)
        stiff = float(inner.sum(axis=0) @ (k**2 / variance))
        bead = min(max(float(moved) / stiff, within[0]), within[1]) if stiff > 0 else bead
        squares = (inner * (data.x[:, None] - background.centre - k * bead) ** 2).sum(axis=0)
        held = inner.sum(axis=0)
        weighing = float(held @ (k / variance) ** 2)
        if weighing > 0:
            found = float((squares - held * background.sd**2) @ (k / variance**2)) / weighing
            bead_sd = math.sqrt(max(found, (0.01 * bead) ** 2))
        if likelihood - before < 1e-5 * n and before > -np.inf:
            break
    bic = -2 * likelihood + (peaks + 2) * math.log(n)
    return Comb(background, bead, bead_sd, tuple(map(float, shares)), float("nan"), int(n), bic, False)


def _is_sharp(comb: Comb, data: _Binned) -> bool:
    """Whether a bead 5 % dimmer or brighter fits clearly worse: the profile likelihood of one bead's fluorescence."""
    peaks, ends = len(comb.shares) - 1, (comb.bead * (1 - _TOLERANCE), comb.bead * (1 + _TOLERANCE))
    held = [_em(data, comb.autofluorescence, peaks, (b, comb.bead_sd), (b, b), _LONG) for b in ends]
    return all((f.bic - comb.bic) / 2 > _DROP for f in held)


def _judged(comb: Comb, values: Values, data: _Binned) -> Comb:
    """The comb with the beads of its top bin and with the verdict on its peaks."""
    peaks = len(comb.shares) - 1
    top = values[values > comb.position(peaks) - comb.bead / 2]
    beads = float(((top - comb.autofluorescence.centre) / comb.bead).mean()) if len(top) else float("nan")
    shares = (*comb.shares[:-1], comb.shares[-1] if len(top) else 0.0)
    held = [share * comb.n_cells for share in shares]
    reason = ""
    if peaks < 3:
        reason = "Fewer than three peaks are supported by the data, so one bead's fluorescence has no second witness."
    elif min(comb.separation(0), comb.separation(1)) < SEPARATION:
        reason = "Peaks overlap: they are closer than two standard deviations."
    elif min(held[1], held[2]) < _FEWEST_IN_PEAK:
        reason = "Too few cells lie in the peaks of one and two beads."
    elif not _is_sharp(comb, data):
        reason = "The data leave the fluorescence of one bead open by more than 5 %."
    return Comb(
        comb.autofluorescence,
        comb.bead,
        comb.bead_sd,
        shares,
        beads,
        comb.n_cells,
        comb.bic,
        not reason,
        reason,
    )
