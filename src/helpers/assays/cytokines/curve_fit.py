"""Finding the standard curve of every analyte of a plate by weighted least squares, and whether it can be trusted.

`curve_search` holds the search itself; here are the weights, what a fit is worth, and the choice between models.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from helpers.assays.cytokines.curve_search import (
    ASYMMETRIES,
    LN10,
    Flags,
    Model,
    Place,
    Scaled,
    alike,
    descend,
    grid_starts,
    near_starts,
    scaled,
)
from helpers.assays.cytokines.curves import PARAMETERS, Numbers, Whole

if TYPE_CHECKING:
    import pandas as pd

Weighting = Literal["none", "1/y", "1/y2", "bioplex", "xponent", "log"]
FREE: dict[Model, int] = {"4pl": 4, "5pl": 5}
"""Parameters of each model."""

LEVEL = 0.95
"""Of the intervals and tests that decide whether a curve is identified."""
WIDEST = 10.0
"""Factor by which an identified parameter may lie off either way, at `LEVEL`."""
AICC_MARGIN = 2.0
"""By how much the AICc of a 5PL must be lower before it is preferred."""

_LIKELY = (1e-30, 1e30)  # numbers that an instrument and a unit can give
_ENDS = ("no plateau", *(f"an asymmetry of {g:g}" for g in ASYMMETRIES))  # the last two for a 5PL only
_SEARCH, _POLISH = 200, 500  # iterations
_FLOOR = 1e-12  # residuals below a millionth of the response are rounding: share of its sum of squares


@dataclass(frozen=True)
class CurveFits:
    """Fitted curves, one entry of each array for an analyte (k of them, n standards each).

    Parameters
    ----------
    model
        ``"4pl"`` or ``"5pl"`` of each analyte.
    weighting
        By name.
    parameters
        Shape (k, 5) in the order a, d, c, b, g; NaN where nothing was fitted.
    covariance
        Shape (k, 5, 5), scaled by the residual variance; parameters at a bound are held there (zero rows). NaN
        where there is no spare standard.
    objective
        Weighted sum of squared residuals.
    variance
        Residual variance, objective / (n_points − parameters), of a response of weight 1.
    aicc
        Corrected information criterion; only differences between models under the same weighting mean anything.
    n_points, n_levels
        Standards that were used and their distinct concentrations.
    n_starts, n_reached
        Searches begun, and those that ended within a millionth of the best objective. Few of many means a rough
        surface; a 4PL that is not reached by most of them deserves a look.
    condition
        Condition number of the scaled Jacobian (logarithms of d − a, c, −b, g; columns of length one).
    status
        ``ok``; ``not_identified`` or ``at_bound``: the curve follows the standards, its parameters are not fixed by
        them; ``saturated``: as many parameters as standards; ``flat``: no rise beyond the noise, or a fall;
        ``too_few_levels`` and ``impossible`` (a negative concentration, an infinite number): nothing fitted.
    reason
        The sentence to the status, empty where ok.
    weights, residuals
        Shape (k, n); residuals are observed − fitted (log10 for the weighting ``log``), NaN where not used.
    """

    model: NDArray[np.str_]
    weighting: Weighting
    parameters: Numbers
    covariance: Numbers
    objective: Numbers
    variance: Numbers
    aicc: Numbers
    n_points: Whole
    n_levels: Whole
    n_starts: Whole
    n_reached: Whole
    condition: Numbers
    status: NDArray[np.str_]
    reason: NDArray[np.str_]
    weights: Numbers
    residuals: Numbers

    @property
    def identifiable(self) -> Flags:
        """Whether the standards fix the parameters; see `fit_curves` for the rule."""
        return np.asarray(self.status == "ok")

    def table(self) -> pd.DataFrame:
        """One row an analyte: model, the five parameters and what is said about the fit."""
        import pandas as pd

        single = [f.name for f in fields(self) if f.name not in ("parameters", "covariance", "weights", "residuals")]
        columns = {name: getattr(self, name) for name in single}
        columns |= {name: self.parameters[:, i] for i, name in enumerate(PARAMETERS)}
        return pd.DataFrame(columns | {"identifiable": self.identifiable})


def weights(y: ArrayLike, weighting: Weighting, raw: ArrayLike | None = None) -> Numbers:
    """Weights of squared residuals.

    ``none`` 1; ``1/y`` and ``1/y2`` powers of the response; ``bioplex`` 1/raw^1.8, which reproduces the curves that
    Bio-Plex Manager prints; ``xponent`` 1/max(|y|, 1)², which reproduces those of xPONENT 3.1; ``log`` 1 (the
    residual is then log10 y − log10 fit). A response that is not positive has no relative error: under ``1/y``,
    ``1/y2`` and ``bioplex`` it gets the largest weight of its analyte's other responses, under ``log`` it cannot be
    used and gets 0.

    Parameters
    ----------
    y
        Responses, the last axis holds the standards of an analyte; NaN is missing.
    weighting
        By name.
    raw
        Responses before the blank was subtracted, for ``bioplex``; `y` itself where left out.

    Returns
    -------
    Weights, 0 for missing responses.

    Raises
    ------
    ValueError
        For a name that is not known.

    Examples
    --------
    >>> weights([10.0, 100.0, -1.0], "1/y").tolist()
    [0.1, 0.01, 0.1]
    """
    if weighting not in get_args(Weighting):
        raise ValueError(f"no such weighting: {weighting}; known are {', '.join(get_args(Weighting))}")
    y = np.asarray(y, dtype=np.float64)
    base = np.asarray(raw, dtype=np.float64) if raw is not None and weighting == "bioplex" else y
    there = np.isfinite(y) & np.isfinite(base)
    if weighting == "xponent":
        return np.where(there, np.maximum(np.abs(np.where(there, y, 1.0)), 1.0) ** -2.0, 0.0)
    if weighting == "log":
        return np.where(there & (base > 0), 1.0, 0.0)
    power = {"none": 0.0, "1/y": 1.0, "1/y2": 2.0, "bioplex": 1.8}[weighting]
    positive = there & (base > 0)
    with np.errstate(over="ignore", under="ignore"):
        given = np.where(positive, np.where(positive, base, 1.0) ** -power, 0.0)
    largest = given.max(axis=-1, keepdims=True, initial=0.0)
    return np.asarray(np.where(there & ~positive, np.where(largest > 0, largest, 1.0), given))


def response_variance(fits: CurveFits, y: ArrayLike, raw: ArrayLike | None = None, wells: ArrayLike = 1) -> Numbers:
    """Variance of a response as the fit sees it: residual variance over the response's weight, over its wells.

    No response is taken for less noisy than the standards are at their least: its weight ends at their largest.

    Parameters
    ----------
    fits
        Of k analytes.
    y, raw
        Responses of shape (k, m), mean of the wells; `raw` as in `weights`.
    wells
        How many wells the response is the mean of; broadcast.

    Returns
    -------
    Shape (k, m), in squared units of the response; NaN where it cannot be told.
    """
    y = np.asarray(y, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        own = np.where(fits.weights > 0, fits.weights, -np.inf).max(axis=1, initial=-np.inf)[:, None]
        given = np.minimum(weights(y, fits.weighting, raw), own)
        unit = fits.variance[:, None] / np.asarray(wells, dtype=np.float64)
        spread = unit * (y * LN10) ** 2 if fits.weighting == "log" else unit / given
    return np.asarray(np.where((given > 0) & np.isfinite(spread), spread, np.nan))


def fit_curves(
    x: ArrayLike,
    y: ArrayLike,
    model: Model,
    weighting: Weighting,
    raw: ArrayLike | None = None,
    near: ArrayLike | None = None,
) -> CurveFits:
    """The best standard curve of every analyte of a plate, and whether the standards fix it.

    Bounds: −10 < b < −0.05, 0.02 < g < 50, c below 10⁴ times the highest standard; a is free, for ``log`` at
    least 0.

    A curve is *identified* (status ``ok``) if it rises beyond the noise (F test of the curve against a constant, 5 %),
    no parameter ends at a bound, there are more standards than parameters, and

    - the 95 % interval of each of d − a, c, −b and g (Wald, on the logarithm, t with n − p degrees of freedom)
      reaches no further than a factor of ten either way; a is left out, since it only matters where it is below
      every standard; and
    - a curve without a plateau (c held at its upper bound, the rest fitted) is significantly worse (F test, 5 %), and so
      are, for a 5PL, curves with g held at either end of its range. Else the profile-likelihood interval of d, c or g is
      open, which is what practical non-identifiability is (Raue and others, Bioinformatics 2009;25:1923–1929). The
      Wald interval alone misses that, as it only knows the curvature at the optimum.

    A curve that is not identified still describes the standards, and concentrations between them are as good as
    their standard errors say; its parameters must not be compared, nor the curve be extended.

    Parameters
    ----------
    x
        Expected concentrations, at least 0, shape (n,) or (k, n); one unit throughout. NaN is missing.
    y
        Responses of k analytes, shape (k, n); NaN is missing.
    model
        ``"4pl"`` or ``"5pl"``.
    weighting
        See `weights`.
    raw
        See `weights`.
    near
        Parameters of shape (k, 5): begin there, and at flatter, steeper and symmetric variants, instead of searching
        the grid. For refits of almost the same standards.

    Raises
    ------
    ValueError
        For an unknown model or weighting, or a gap in `near`. What data can be (flat, too few, impossible, all
        missing) never raises, it has a status.

    Examples
    --------
    >>> from helpers.assays.cytokines.curves import response
    >>> x = [1, 4, 16, 64, 256, 1024, 4096]
    >>> fits = fit_curves(x, [response([20, 9000, 300, -1.2, 1], x)], "4pl", "1/y2")
    >>> fits.parameters.round(6).tolist(), fits.status.tolist()
    ([[20.0, 9000.0, 300.0, -1.2, 1.0]], ['ok'])
    """
    if model not in FREE:
        raise ValueError(f"no such model: {model}; known are 4pl and 5pl")
    y = np.atleast_2d(np.asarray(y, dtype=np.float64))
    x = np.broadcast_to(np.asarray(x, dtype=np.float64), y.shape)
    raw = y if raw is None else np.broadcast_to(np.asarray(raw, dtype=np.float64), y.shape)
    impossible = _impossible(x, y, raw)
    given = np.where(np.isnan(x) | impossible[:, None], 0.0, weights(y, weighting, raw))
    levels = _levels(x, given > 0)
    able = levels >= FREE[model]
    close = None if near is None else np.asarray(near, dtype=np.float64)[able]
    if close is not None and not np.isfinite(close).all():
        raise ValueError("the parameters to begin near are missing where there are standards to fit")
    standards = scaled(x[able], y[able], given[able], weighting == "log")
    with np.errstate(all="ignore"):
        starts = grid_starts(standards, model) if close is None else near_starts(standards, close)
        found = _searched(standards, model, starts)
        worth = _worth(standards, model, found)
        fits = _gathered(standards, found, worth, able, model, weighting, levels, given)
    sentence = "A standard's concentration is negative, or a number is none that an instrument gives."
    return replace(
        fits,
        status=np.where(impossible, "impossible", fits.status),
        reason=np.where(impossible, sentence, fits.reason),
    )


def choose_model(four: CurveFits, five: CurveFits) -> NDArray[np.str_]:
    """Which model to use for each analyte: 5PL only where it is identified and its AICc is lower by `AICC_MARGIN`.

    The 4PL stands unless the standards speak against it. An asymmetry that is not there costs precision, most of it
    between the highest standard and the plateau, and even where the true curve is asymmetric the gain in bias may be
    less than that loss (Cumberland and others, J Biopharm Stat 2015;25:972–983, weigh one against the other). AICc is
    that trade-off, and its correction for few points forbids a 5PL on seven averaged standards (n − p − 2 = 0), where
    it would fit the noise. Models within 2 of each other count as equally supported (Burnham and Anderson, Model
    Selection and Multimodel Inference, 2002, section 2.6), so the margin of 2 keeps an analyte from changing its
    model from plate to plate by chance. Replicate wells of a level count as points.

    Parameters
    ----------
    four, five
        Fits of the same standards with the same weighting.

    Returns
    -------
    ``"4pl"`` or ``"5pl"`` for each analyte.

    Raises
    ------
    ValueError
        Where the weightings differ: their criteria cannot be compared.
    """
    if four.weighting != five.weighting:
        raise ValueError("models are compared under one weighting only")
    with np.errstate(invalid="ignore"):
        better = four.aicc - five.aicc >= AICC_MARGIN
    return np.where(five.identifiable & better, "5pl", "4pl")


def chosen(four: CurveFits, five: CurveFits, models: NDArray[np.str_]) -> CurveFits:
    """The fits of the models that were chosen, one for each analyte."""
    mixed: dict[str, object] = {"weighting": four.weighting}
    for name in (f.name for f in fields(CurveFits) if f.name != "weighting"):
        one, other = getattr(four, name), getattr(five, name)
        mixed[name] = np.where((models == "5pl").reshape(-1, *[1] * (one.ndim - 1)), other, one)
    return CurveFits(**mixed)  # type: ignore[arg-type]


def _impossible(x: Numbers, *responses: Numbers) -> Flags:
    """Rows with a negative concentration or a number far beyond any instrument."""
    found = (x < 0).any(axis=1)
    for values in (x, *responses):
        size = np.abs(values)
        found |= ((size > _LIKELY[1]) | ((size > 0) & (size < _LIKELY[0]))).any(axis=1)
    return np.asarray(found)


def _levels(x: Numbers, used: Flags) -> Whole:
    """Distinct concentrations of each row."""
    ordered = np.sort(np.where(used, x, np.nan), axis=1)
    steps = (np.diff(ordered, axis=1) > 0).sum(axis=1)
    return np.asarray(steps + used.any(axis=1), dtype=np.int64)


# ---- what a fit is worth


@dataclass(frozen=True)
class _Found:
    """What the search gives for the analytes that could be fitted; on the scale of `Scaled`."""

    best: Place
    n_starts: int
    n_reached: Whole
    held: Flags  # parameters that are not free: g of a 4PL, or at a bound
    ends: Numbers  # objective with a parameter held at each of `_ENDS`, shape (analytes, ends)


def _searched(s: Scaled, model: Model, starts: Numbers) -> _Found:
    k, n_starts = starts.shape[:2]
    rows = np.repeat(np.arange(k), n_starts)
    held = np.zeros((k, 5), dtype=np.bool_)
    held[:, 4] = model == "4pl"
    tried = descend(s, rows, starts.reshape(-1, 5), held[rows], _SEARCH, 1e-9)
    misfit = tried.objective.reshape(k, n_starts)
    first = tried.p.reshape(k, n_starts, 5)[np.arange(k), misfit.argmin(axis=1)]
    best = descend(s, np.arange(k), first, held, _POLISH, 0.0)
    reached = (misfit <= (best.objective * (1 + 1e-6) + _FLOOR * s.total)[:, None]).sum(axis=1)
    at_bound = (best.p <= s.low) | (best.p >= s.high)
    return _Found(best, n_starts, reached, held | at_bound, _ends(s, model, best.p, held))


def _ends(s: Scaled, model: Model, p: Numbers, held: Flags) -> Numbers:
    """Objective of the best curves near p without a plateau, and for a 5PL with each extreme asymmetry."""
    k, steeper = len(p), np.array([1.0, 0.6, 0.3])
    flatter = np.repeat(p[:, None], len(steeper), axis=1)
    flatter[:, :, 3] += np.log(steeper)
    flatter[:, :, 2] = s.high[:, 2, None]
    families, columns = [flatter], [2]
    if model == "5pl":
        for g in ASYMMETRIES:
            families.append(alike(p, np.full((k, len(steeper)), g), np.array([1.0, 0.5, 2.0])))
            columns.append(4)
    starts = np.concatenate(families, axis=1)
    rows = np.repeat(np.arange(k), starts.shape[1])
    fixed = held[rows] | (np.tile(np.repeat(columns, len(steeper)), k)[:, None] == np.arange(5))
    found = descend(s, rows, starts.reshape(-1, 5), fixed, _SEARCH, 1e-6)
    return np.asarray(found.objective.reshape(k, len(columns), len(steeper)).min(axis=2))


def _unit_covariance(best: Place, held: Flags) -> tuple[Numbers, Numbers]:
    """Inverse of JᵀJ over the parameters that are not held, zero for those that are; condition of the scaled J."""
    jacobian = np.where(held[:, :, None], 0.0, best.jacobian)
    lengths = np.sqrt(np.einsum("kpn,kpn->kp", jacobian, jacobian))
    unit = jacobian / np.where(lengths > 0, lengths, 1.0)[:, :, None]
    _, singular, right = np.linalg.svd(unit.swapaxes(1, 2), full_matrices=False)
    free = (~held).sum(axis=1)
    smallest = np.take_along_axis(singular, free[:, None] - 1, axis=1)[:, 0]
    kept = np.arange(singular.shape[1]) < free[:, None]
    condition = np.where(
        smallest > 0, singular.max(axis=1, initial=0.0) / np.where(smallest > 0, smallest, 1.0), np.inf
    )
    inverse = np.where(kept, 1.0 / np.where(kept & (singular > 0), singular, 1.0), 0.0)
    half = right * inverse[:, :, None] / np.where(lengths > 0, lengths, np.inf)[:, None, :]
    covariance = half.swapaxes(1, 2) @ half
    return np.where(np.isfinite(condition)[:, None, None], covariance, np.nan), condition


@dataclass(frozen=True)
class _Worth:
    """What can be said of each fit; on the scale of `Scaled`."""

    covariance: Numbers
    condition: Numbers
    variance: Numbers
    aicc: Numbers
    status: list[str]
    reason: list[str]


def _worth(s: Scaled, model: Model, found: _Found) -> _Worth:
    free, n = FREE[model], (s.root > 0).sum(axis=1)
    df = np.where(n > free, n - free, np.nan)
    objective = np.maximum(found.best.objective, _FLOOR * s.total)
    variance = found.best.objective / df
    unit, condition = _unit_covariance(found.best, found.held)
    covariance = unit * variance[:, None, None]
    errors = np.sqrt(np.einsum("kpp->kp", unit) * (objective / df)[:, None])
    wide = np.where(found.held, 0.0, special.stdtrit(df, 0.5 + LEVEL / 2)[:, None] * errors) > np.log(WIDEST)
    wide[:, 1:] |= ~np.isfinite(errors[:, 1:])
    as_good = (found.ends - objective[:, None]) / (objective / df)[:, None] <= special.fdtri(1, df, LEVEL)[:, None]
    y = np.log(s.y) / LN10 if s.on_logs else s.y
    mean = (s.root**2 * y).sum(axis=1) / (s.root**2).sum(axis=1)
    constant = ((s.root * (y - mean[:, None])) ** 2).sum(axis=1)
    f = (constant - objective) / (free - 1) / (objective / df)
    flat = (found.best.p[:, 1] <= 0) | (constant <= _FLOOR * s.total) | (f < special.fdtri(free - 1, df, LEVEL))
    spare = n - free - 2
    penalty = 2 * (free + 1) + np.where(spare > 0, 2 * (free + 1) * (free + 2) / np.maximum(spare, 1), np.inf)
    verdicts = [_verdict(model, flat[i], np.isnan(df[i]), found.held[i], wide[i], as_good[i]) for i in range(len(n))]
    return _Worth(
        covariance=covariance,
        condition=condition,
        variance=variance,
        aicc=n * np.log(objective / n) + penalty,
        status=[v[0] for v in verdicts],
        reason=[v[1] for v in verdicts],
    )


def _verdict(model: Model, flat: bool, saturated: bool, held: Flags, wide: Flags, as_good: Flags) -> tuple[str, str]:
    """Status and its sentence, the gravest first."""
    names = np.array(["a", "d − a", "c", "b", "g"])
    judged = np.arange(5) > 0
    judged[4] = model == "5pl"
    if flat:
        return "flat", "The response does not rise with the concentration beyond the noise."
    if saturated:
        return "saturated", "There are as many parameters as standards; nothing is left to judge the fit by."
    if (held & judged).any():
        return "at_bound", f"At its bound: {', '.join(names[held & judged])}."
    said = [f"Not fixed within a factor of ten: {', '.join(names[wide & judged])}."] if (wide & judged).any() else []
    if as_good.any():
        said.append(f"As good with {' or '.join(_ENDS[i] for i in np.flatnonzero(as_good))}.")
    return ("not_identified", " ".join(said)) if said else ("ok", "")


def _gathered(
    s: Scaled,
    found: _Found,
    worth: _Worth,
    able: Flags,
    model: Model,
    weighting: Weighting,
    levels: Whole,
    given: Numbers,
) -> CurveFits:
    """Everything in the units it came in, with gaps where nothing was fitted."""
    p, unit = found.best.p, np.ones_like(s.y_unit) if s.on_logs else s.y_unit
    c, b, g = np.exp(p[:, 2] + s.middle), -np.exp(p[:, 3]), np.exp(p[:, 4])
    span = s.y_unit * p[:, 1]
    parameters = np.column_stack([s.y_unit * p[:, 0], s.y_unit * p[:, 0] + span, c, b, g])
    by_log = np.zeros((len(p), 5, 5))  # of the parameters by a, ln(d − a), ln c, ln −b, ln g on the scale of search
    by_log[:, 0, 0] = by_log[:, 1, 0] = s.y_unit
    by_log[:, 1, 1], by_log[:, 2, 2], by_log[:, 3, 3], by_log[:, 4, 4] = span, c, b, g
    too_few = [f"Only {n} concentrations have a response; a {model.upper()} needs {FREE[model]}." for n in levels]
    reason = np.array(too_few, dtype=object)
    reason[able] = worth.reason
    return CurveFits(
        model=np.full(len(able), model),
        weighting=weighting,
        parameters=_spread(parameters, able, np.nan),
        covariance=_spread(by_log @ worth.covariance @ by_log.swapaxes(1, 2), able, np.nan),
        objective=_spread(found.best.objective * (unit * s.root_unit) ** 2, able, np.nan),
        variance=_spread(worth.variance * (unit * s.root_unit) ** 2, able, np.nan),
        aicc=_spread(worth.aicc, able, np.nan),
        n_points=(given > 0).sum(axis=1),
        n_levels=levels,
        n_starts=np.where(able, found.n_starts, 0),
        n_reached=_spread(found.n_reached, able, 0),
        condition=_spread(worth.condition, able, np.nan),
        status=_spread(np.array(worth.status, dtype=object), able, "too_few_levels").astype(np.str_),
        reason=reason.astype(np.str_),
        weights=given,
        residuals=_spread(np.where(s.root > 0, -found.best.residuals / s.root * unit[:, None], np.nan), able, np.nan),
    )


def _spread(part: NDArray[Any], able: Flags, missing: object) -> NDArray[Any]:
    """Values of the fitted analytes in the rows of all, `missing` elsewhere."""
    whole = np.full((len(able), *part.shape[1:]), missing, dtype=part.dtype)
    whole[able] = part
    return whole
