"""Linear mixed model with a random donor, by REML, with small-sample degrees of freedom.

value = X·β + donor + error. Own code because statsmodels gives z tests only and pingouin drops incomplete
donors; estimates, degrees of freedom and p are those of R's lmerTest (Satterthwaite) and pbkrtest
(Kenward–Roger). Donors with a part of their values stay in, which assumes values missing at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from helpers.stats.estimate import Estimate, NotEstimable, Numbers, numbers

_SMALLEST = 1e-8  # donor variance over error variance, below which it counts as zero


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Parameters
    ----------
    beta, covariance
        Fixed effects and their covariance given the variances.
    donor_variance, error_variance
        REML estimates; the first may be 0.
    log_likelihood
        Restricted log likelihood.
    design, together, values
        Columns of X, which rows share a donor (rows × rows, 1 or 0), and y.
    """

    beta: Numbers
    covariance: Numbers
    donor_variance: float
    error_variance: float
    log_likelihood: float
    design: Numbers
    together: Numbers
    values: Numbers


def fit(values: ArrayLike, design: ArrayLike, donors: ArrayLike) -> Fit:
    """Fit by restricted maximum likelihood (Patterson and Thompson 1971).

    Parameters
    ----------
    values
        One a row, on the scale of analysis.
    design
        Rows × fixed effects.
    donors
        Donor of each row.

    Raises
    ------
    NotEstimable
        Where there are no more rows than fixed effects, the fixed effects cannot be told apart, no donor has
        two rows, or nothing is left to vary.
    """
    y, x = numbers(values, 1, "values"), np.asarray(design, dtype=np.float64)
    codes = np.unique(np.asarray(donors), return_inverse=True)[1]
    if len(y) <= x.shape[1] or np.linalg.matrix_rank(x) < x.shape[1]:
        raise NotEstimable("not_estimable", "There are too few values to tell the terms of the model apart.")
    if codes.max() + 1 == len(y):
        raise NotEstimable("not_estimable", "No donor has two values, so donors and error cannot be told apart.")
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    if float(residual @ residual) <= 1e-24 * max(float(y @ y), 1e-300):
        raise NotEstimable("zero_variance", "The model leaves nothing to vary.")
    together = (codes[:, None] == codes[None, :]).astype(np.float64)

    def deviance(log_ratio: float) -> float:
        return -2 * _profiled(y, x, together, float(np.exp(log_ratio)))[0]

    found = optimize.minimize_scalar(
        deviance, bounds=(np.log(1e-6), np.log(1e6)), method="bounded", options={"xatol": 1e-9}
    )
    ratio = float(np.exp(found.x))
    at_zero = _profiled(y, x, together, 0.0)
    if ratio < 1e-5 or at_zero[0] >= -found.fun / 2:
        ratio = 0.0
    likelihood, beta, covariance, error = _profiled(y, x, together, ratio)
    return Fit(beta, covariance, ratio * error, error, likelihood, x, together, y)


def _profiled(y: Numbers, x: Numbers, together: Numbers, ratio: float) -> tuple[float, Numbers, Numbers, float]:
    """Restricted log likelihood at one ratio of the variances, with what maximises the rest."""
    n, k = x.shape
    chol = np.linalg.cholesky(np.eye(n) + ratio * together)
    xs, ys = np.linalg.solve(chol, x), np.linalg.solve(chol, y)
    gram = xs.T @ xs
    inverse = np.linalg.inv(gram)
    beta = inverse @ (xs.T @ ys)
    rest = ys - xs @ beta
    error = float(rest @ rest) / (n - k)
    log_det = 2 * np.log(np.diag(chol)).sum() + np.linalg.slogdet(gram)[1]
    likelihood = -0.5 * ((n - k) * (np.log(2 * np.pi * error) + 1) + log_det)
    return float(likelihood), beta, error * inverse, error


def contrast(model: Fit, weights: ArrayLike, level: float = 0.95, df: str = "kenward_roger") -> Estimate:
    """A linear combination of fixed effects with its t interval and test.

    Parameters
    ----------
    model
        A fit.
    weights
        One a fixed effect.
    level
        Of the interval.
    df
        ``kenward_roger`` (Kenward and Roger 1997, adjusted covariance) or ``satterthwaite`` (Fai and Cornelius
        1996, as lmerTest). With the donor variance at zero the latter are rows − fixed effects; the former stay
        those of the design: pairs − 1 for complete pairs.

    Raises
    ------
    NotEstimable
        Where the variance of the contrast is not told from zero.
    """
    w = np.asarray(weights, dtype=np.float64)
    estimate = float(w @ model.beta)
    note = ""
    if model.donor_variance == 0:
        note = "The donor variance is estimated at zero: donors do not differ more than their cultures do."
    if df == "kenward_roger":
        variance, freedom = _kenward_roger(model, w)
    elif model.donor_variance == 0:
        variance, freedom = float(w @ model.covariance @ w), float(len(model.values) - len(w))
    else:
        variance, freedom = _satterthwaite(model, w)
    if not (variance > 0 and freedom > 0):
        raise NotEstimable("not_estimable", "The variance of the contrast cannot be told from zero.")
    se = float(np.sqrt(variance))
    half, t = float(stats.t.ppf((1 + level) / 2, freedom)) * se, estimate / se
    name = {"satterthwaite": "Satterthwaite", "kenward_roger": "Kenward–Roger"}[df]
    p = float(2 * stats.t.sf(abs(t), freedom))
    return Estimate(estimate, estimate - half, estimate + half, f"mixed model, {name}", t, freedom, p, note)


def _pieces(model: Fit) -> tuple[Numbers, list[Numbers], list[Numbers], Numbers]:
    """V⁻¹, the derivatives of V, P_i = −X'V⁻¹G_iV⁻¹X, and the REML projection."""
    x, eye = model.design, np.eye(len(model.values))
    derivatives = [model.together, eye]
    inverse: Numbers = np.linalg.inv(model.donor_variance * model.together + model.error_variance * eye).astype(
        np.float64
    )
    side = inverse @ x
    p = [-side.T @ g @ side for g in derivatives]
    return inverse, derivatives, p, inverse - side @ model.covariance @ side.T


def _satterthwaite(model: Fit, w: Numbers) -> tuple[float, float]:
    """Variance of the contrast, and 2V²/(g'Ag) with A from the observed information of the REML variances."""
    _, derivatives, p, projection = _pieces(model)
    y, phi = model.values, model.covariance
    residual = projection @ y
    hessian = np.empty((2, 2))
    for i, a in enumerate(derivatives):
        for j, b in enumerate(derivatives):
            trace = np.trace(projection @ a @ projection @ b)
            hessian[i, j] = -trace + 2 * residual @ a @ projection @ b @ residual
    gradient = np.array([-float(w @ phi @ part @ phi @ w) for part in p])
    variance = float(w @ phi @ w)
    return variance, float(2 * variance**2 / (gradient @ (2 * np.linalg.inv(hessian)) @ gradient))


def _kenward_roger(model: Fit, w: Numbers) -> tuple[float, float]:
    """Adjusted variance of the contrast and its degrees of freedom, for one contrast of linear variances."""
    inverse, derivatives, p, _ = _pieces(model)
    x, phi = model.design, model.covariance
    side = inverse @ x
    q = [[side.T @ a @ inverse @ b @ side for b in derivatives] for a in derivatives]
    information = np.empty((2, 2))
    for i, a in enumerate(derivatives):
        for j, b in enumerate(derivatives):
            information[i, j] = 0.5 * (
                np.trace(inverse @ a @ inverse @ b) - 2 * np.trace(phi @ q[i][j]) + np.trace(phi @ p[i] @ phi @ p[j])
            )
    omega = np.linalg.inv(information)
    parts = [omega[i, j] * (q[i][j] - p[i] @ phi @ p[j]) for i in range(2) for j in range(2)]
    middle = np.sum(parts, axis=0)
    adjusted = phi + 2 * phi @ middle @ phi
    plain = float(w @ phi @ w)
    slopes = np.array([float(w @ phi @ part @ phi @ w) / plain for part in p])
    # For one contrast A1 = A2 = A of the paper: its degrees of freedom then reduce to 2/A and its scale to 1.
    return float(w @ adjusted @ w), float(2 / (slopes @ omega @ slopes))


def treatment_by_group(
    condition: ArrayLike, group: ArrayLike | None = None, block: ArrayLike | None = None
) -> tuple[Numbers, list[str]]:
    """Design matrix of condition × group, plus a fixed block such as plate or batch.

    Parameters
    ----------
    condition
        1 for treated rows, 0 for reference.
    group
        1 for disease, 0 for control; without it, one group.
    block
        A code for each row, or None.

    Returns
    -------
    Design and names of its columns: intercept, condition, group, interaction, block ….
    """
    treated = np.asarray(condition, dtype=np.float64)
    columns, names = [np.ones_like(treated), treated], ["intercept", "condition"]
    if group is not None:
        sick = np.asarray(group, dtype=np.float64)
        columns += [sick, treated * sick]
        names += ["group", "interaction"]
    if block is not None:
        codes, which = np.unique(np.asarray(block), return_inverse=True)
        columns += [(which == i).astype(np.float64) for i in range(1, len(codes))]
        names += [f"block {code}" for code in codes[1:]]
    return np.column_stack(columns), names
