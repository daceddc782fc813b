"""What every function of this room returns: an estimate with its interval, its test and the words for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]
NAN = math.nan
T = TypeVar("T")
SAME = 1e-9
"""Spread below this part of the values' own size is rounding."""
_STEP = 2.7e-10  # of the grid; no round part of 1, so that no tie falls on the edge of two steps


@dataclass(frozen=True)
class Estimate:
    """One estimate; what a method does not give is NaN.

    Parameters
    ----------
    estimate, low, high
        On the scale of what went in.
    method
        Name of the test or interval, as it is printed.
    statistic, df, p
        Test statistic, its degrees of freedom, two-sided p.
    note
        A sentence on what the reader must know, or empty.
    """

    estimate: float
    low: float
    high: float
    method: str
    statistic: float = NAN
    df: float = NAN
    p: float = NAN
    note: str = ""


class NotEstimable(ValueError):
    """There is no number to give.

    Parameters
    ----------
    status
        The code in the table of effects.
    sentence
        Why, for the reader.
    beside
        Estimates that stand although the one asked for does not.
    """

    def __init__(self, status: str, sentence: str, beside: tuple[Estimate, ...] = ()) -> None:
        super().__init__(sentence)
        self.status, self.beside = status, beside


class NotFinite(ValueError):
    """A missing or infinite number reached a method that takes none."""


def attempted(make: Callable[[], T]) -> T:
    """What `make` gives; numbers that break its arithmetic are a refusal, so that no table is lost to one row.

    Errors of any other kind are faults of the program and pass.

    Raises
    ------
    NotEstimable
        ``not_estimable`` where a division, a matrix or an infinite number broke the calculation.
    """
    try:
        return make()
    except (ArithmeticError, np.linalg.LinAlgError, NotFinite) as broken:
        raise NotEstimable("not_estimable", f"The calculation breaks down on these values: {broken}.") from broken


def numbers(values: ArrayLike, least: int, what: str) -> Numbers:
    """Values as a float array.

    Raises
    ------
    NotEstimable
        Where there are fewer than `least`; `what` names them.
    NotFinite
        Where one is missing or infinite: what is missing is dropped before, knowingly.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(array).all():
        raise NotFinite(f"missing or infinite {what}: drop them knowingly before testing")
    if len(array) < least:
        raise NotEstimable("too_few_donors", f"Needs at least {least} {what}, there are {len(array)}.")
    return array


def spread_of(values: Numbers, what: str, magnitude: float = 0.0) -> float:
    """Standard deviation, n − 1.

    Parameters
    ----------
    values
        At least two.
    what
        Names them in the sentence.
    magnitude
        Size of the numbers that the values are differences of: rounding of those is no spread.

    Raises
    ------
    NotEstimable
        ``zero_variance`` where all values are equal to a billionth of their own size or of `magnitude`.
    """
    sd = float(values.std(ddof=1))
    if sd <= SAME * max(float(np.abs(values).max()), magnitude, 1e-300):
        raise NotEstimable("zero_variance", f"All {what} are equal, so their spread cannot be estimated.")
    return sd


def on_grid(values: Numbers) -> Numbers:
    """Values as whole steps of a fine grid, so that ranks do not tell apart what only rounding does.

    A step is less than a billionth of the largest |value|: multiplying all values changes no step.

    Examples
    --------
    >>> 0.1 + 0.2 == 0.3, len(set(on_grid(np.array([0.1 + 0.2, 0.3])).tolist()))
    (False, 1)
    """
    largest = float(np.abs(values).max()) if values.size else 0.0
    return np.asarray(np.rint(values / (_STEP * largest))) if largest > 0 else np.zeros_like(values)


def ordered(values: Numbers) -> Numbers:
    """Rows in an order that their numbers give, so that drawn arrangements do not hang on the names of donors.

    Parameters
    ----------
    values
        Donors, or donors × readouts with NaN where one is missing.
    """
    table = values[:, None] if values.ndim == 1 else values
    known = np.where(np.isfinite(table), table, np.inf)
    steps = np.where(np.isfinite(table), on_grid(np.where(np.isfinite(table), table, 0.0)), np.inf)
    keys = [*known.T[::-1], *steps.T[::-1]]
    return np.asarray(values[np.lexsort(keys)])
