"""Formulas of uptake. Every name stands for one formula; forms that share a name in papers are kept apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def percent_phagocytic(n_positive: float, n_cells: float) -> float:
    """100 × cells with uptake / cells; NaN without cells.

    Examples
    --------
    >>> percent_phagocytic(30, 120)
    25.0
    """
    return 100 * n_positive / n_cells if n_cells > 0 else float("nan")


def index_mean(particles: float, n_cells: float) -> float:
    """Phagocytic index: particles in all counted macrophages / macrophages counted, those without uptake included.

    Examples
    --------
    >>> index_mean(180, 120)
    1.5
    """
    return particles / n_cells if n_cells > 0 else float("nan")


def index_product(pct_positive: float, particles_per_positive: float) -> float:
    """Product form of the index: percent phagocytic × particles per cell with uptake.

    It equals 100 × `index_mean` where every particle is in a cell that counts as positive.

    Examples
    --------
    >>> index_product(25.0, 6.0)
    150.0
    """
    return pct_positive * particles_per_positive


def integrated_mfi(pct_positive: float, mfi_positive: float) -> float:
    """Integrated MFI: fraction positive × median fluorescence of the positive cells.

    Examples
    --------
    >>> integrated_mfi(25.0, 4000.0)
    1000.0
    """
    return pct_positive / 100 * mfi_positive


def one_bead_fluorescence(two_bead_fluorescence: Values | float) -> Values | float:
    """Fluorescence of one bead: half that of the gate of cells with two beads.

    Examples
    --------
    >>> one_bead_fluorescence(149356.0)
    74678.0
    """
    return two_bead_fluorescence / 2


def capacity(fluorescence_of_many: Values | float, one_bead: Values | float) -> Values | float:
    """Beads in a cell of the open top gate: its fluorescence / the fluorescence of one bead.

    Examples
    --------
    >>> round(float(capacity(906000.0, 74678.0)), 8)
    12.13208709
    """
    return fluorescence_of_many / one_bead


def subtracted(pct: float, background_pct: float, form: str) -> float:
    """Uptake without what merely sticks: the share of the 4 °C or inhibitor partner taken off.

    Parameters
    ----------
    pct, background_pct
        Percent positive of the well and of its partner, above the same threshold.
    form
        ``points``: difference, in percentage points, which may be negative. ``abbott``: the share of cells that
        would be negative in the partner and are positive here, (p − b) / (1 − b), in percent (Abbott 1925); it
        assumes that sticking and uptake are independent.

    Examples
    --------
    >>> subtracted(55.0, 10.0, "points"), subtracted(55.0, 10.0, "abbott")
    (45.0, 50.0)
    """
    if form == "points":
        return pct - background_pct
    return 100 * (pct - background_pct) / (100 - background_pct) if background_pct < 100 else float("nan")
