"""The standard curve: response at a concentration, concentration at a response, and how sure that is.

One form for all vendors: y = a + (d − a) / (1 + (x/c)^b)^g, with g = 1 for the four-parameter logistic (4PL) and
b < 0 for a curve that rises from a to d. Parameters stand in the last axis of an array in the order of
`PARAMETERS`; x and c are concentrations in one unit, y, a and d responses in one unit (fluorescence).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

Numbers = NDArray[np.float64]
Whole = NDArray[np.int64]

PARAMETERS = ("a", "d", "c", "b", "g")
"""Response at zero, response at infinite dose, scale of concentration, slope, asymmetry."""

LOG_OF_ZERO = -1e9
"""Stands for the logarithm of concentration zero: far enough that the curve is at its end, and finite."""


def response(parameters: ArrayLike, x: ArrayLike) -> Numbers:
    """Response of the curve at concentrations.

    Parameters
    ----------
    parameters
        Shape (…, 5) in the order of `PARAMETERS`; the leading axes broadcast against x, so that many curves at
        many concentrations are shapes (k, 1, 5) and (k, n).
    x
        Concentrations, at least 0, in the unit of c.

    Returns
    -------
    Responses in the unit of a and d; NaN where a parameter or x is missing.

    Examples
    --------
    >>> response([10, 110, 50, -1, 1], [0, 50]).tolist()
    [10.0, 60.0]
    """
    a, d, c, b, g = _columns(parameters)
    with np.errstate(all="ignore"):
        u = _distance(c, b, np.asarray(x, dtype=np.float64))
        return np.asarray(a + (d - a) * np.exp(-g * np.logaddexp(0.0, u)))


def gradient(parameters: ArrayLike, x: ArrayLike) -> Numbers:
    """Derivatives of the response with respect to a, d, c, b and g.

    Parameters
    ----------
    parameters, x
        As in `response`.

    Returns
    -------
    Shape of the broadcast x with a last axis of 5.

    Examples
    --------
    >>> gradient([10, 110, 50, -1, 1], 50).tolist()[:3]
    [0.5, 0.5, -0.5]
    """
    a, d, c, b, g = _columns(parameters)
    with np.errstate(all="ignore"):
        u = _distance(c, b, np.asarray(x, dtype=np.float64))
        softened = np.logaddexp(0.0, u)
        h = np.exp(-g * softened)
        steep = (d - a) * g * h * expit(u)
        parts = (1.0 - h, h, steep * b / c, -steep * u / b, -(d - a) * h * softened)
        return np.stack(np.broadcast_arrays(*parts), axis=-1)


def invert(parameters: ArrayLike, y: ArrayLike) -> tuple[Numbers, Whole]:
    """Concentration at a response: c · (((d − a)/(y − a))^(1/g) − 1)^(1/b), as the vendors' programs compute it.

    Parameters
    ----------
    parameters
        Shape (…, 5).
    y
        Responses in the unit of a and d; broadcast against the leading axes of `parameters`.

    Returns
    -------
    Concentrations in the unit of c, NaN where y does not lie strictly between a and d; and the side on which it
    fell: −1 at or below a, 1 at or above d, 0 between them or missing.

    Examples
    --------
    >>> x, side = invert([10, 110, 50, -1, 1], [5, 60, 110])
    >>> x.tolist(), side.tolist()
    ([nan, 50.0, nan], [-1, 0, 1])
    """
    a, d, c, b, g = _columns(parameters)
    with np.errstate(all="ignore"):
        share = (np.asarray(y, dtype=np.float64) - a) / (d - a)
        inside = (share > 0) & (share < 1)
        depth = -np.log(np.where(inside, share, 0.5)) / g
        # log(e^t − 1) written so that neither a small nor a large t loses digits
        x = c * np.exp((depth + np.log(-np.expm1(-depth))) / b)
    side = np.where(share <= 0, -1, np.where(share >= 1, 1, 0)).astype(np.int64)
    return np.where(inside & np.isfinite(x), x, np.nan), side


def concentration_se(parameters: ArrayLike, covariance: ArrayLike, y: ArrayLike, y_variance: ArrayLike) -> Numbers:
    """Standard error of the concentration at a response, by the delta method.

    Var(x) = (Var(y) + ∇fᵀ Σ ∇f) / f′(x)², with ∇f the derivatives of the curve with respect to its parameters at
    x, Σ their covariance and f′ its slope (Belanger, Davidian and Giltinan, Biometrics 1996;52:158–175). The first
    part is the sample's own noise, the second that of the curve. It holds where both are small enough for the curve
    to be straight over them: not close to a plateau, where the interval of a concentration is open on one side.

    Parameters
    ----------
    parameters, covariance
        Shapes (…, 5) and (…, 5, 5).
    y, y_variance
        Response of the sample and the variance of that response (of its mean, if it is a mean), independent of
        the standards; broadcast against the leading axes of `parameters`.

    Returns
    -------
    Standard errors in the unit of c; NaN where the concentration or the covariance is missing.

    Examples
    --------
    >>> concentration_se([10, 110, 50, -1, 1], np.zeros((5, 5)), 60, 1.0).tolist()
    2.0
    """
    c = _columns(parameters)[2]
    x, _ = invert(parameters, y)
    along = gradient(parameters, np.where(np.isnan(x), 1.0, x))
    with np.errstate(all="ignore"):
        curve = np.einsum("...i,...ij,...j->...", along, np.asarray(covariance, dtype=np.float64), along)
        slope = -along[..., 2] * c / x
        se = np.sqrt(np.asarray(y_variance, dtype=np.float64) + np.maximum(curve, 0.0)) / np.abs(slope)
    return np.where(np.isfinite(se), se, np.nan)


def recovery_pct(parameters: ArrayLike, x: ArrayLike, y: ArrayLike) -> Numbers:
    """Concentration found in a standard as per cent of the expected one; NaN outside the asymptotes and for blanks.

    Examples
    --------
    >>> recovery_pct([10, 110, 50, -1, 1], [40, 0], [60, 10]).tolist()
    [125.0, nan]
    """
    found, _ = invert(parameters, y)
    expected = np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        return np.asarray(100.0 * found / np.where(expected > 0, expected, np.nan))


def _columns(parameters: ArrayLike) -> tuple[Numbers, ...]:
    array = np.asarray(parameters, dtype=np.float64)
    return tuple(array[..., i] for i in range(len(PARAMETERS)))


def _distance(c: Numbers, b: Numbers, x: Numbers) -> Numbers:
    """b · ln(x/c), finite at x = 0."""
    logs = np.where(x > 0, np.log(np.where(x > 0, x, 1.0)), np.where(x == 0, LOG_OF_ZERO, np.nan))
    return np.asarray(b * (logs - np.log(c)))
