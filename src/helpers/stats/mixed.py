"""Linear mixed model with a random donor, by REML, with small-sample degrees of freedom.

value = X·β + donor + error. Own code because statsmodels gives z tests only and pingouin drops incomplete
donors; estimates, degrees of freedom and p are those of R's lmerTest (Satterthwaite) and pbkrtest
(Kenward–Roger). Donors with a part of their values stay in, which assumes values missing at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from helpers.stats.estimate import Estimate, NotEstimable, Numbers, numbers


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
    design, donors, values
        Columns of X, the number of each row's donor (0, 1, …), and y.
    """

    beta: Numbers
    covariance: Numbers
    donor_variance: float
    error_variance: float
    log_likelihood: float
    design: Numbers
    donors: NDArray[np.int_]
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
    rows = _Rows(codes)

    def deviance(log_ratio: float) -> float:
        return -2 * _profiled(y, x, rows, float(np.exp(log_ratio)))[0]

    found = optimize.minimize_scalar(
        deviance, bounds=(np.log(1e-6), np.log(1e6)), method="bounded", options={"xatol": 1e-9}
    )
    ratio = float(np.exp(found.x))
    at_zero = _profiled(y, x, rows, 0.0)
    if ratio < 1e-5 or at_zero[0] >= -found.fun / 2:
        ratio = 0.0
    likelihood, beta, covariance, error = _profiled(y, x, rows, ratio)
    return Fit(beta, covariance, ratio * error, error, likelihood, x, codes, y)


class _Rows:
    """Rows by donor: no matrix of rows × rows is ever made, so that thousands of donors can be fitted."""

    def __init__(self, donors: NDArray[np.int_]) -> None:
        self.donors, self.sizes = donors, np.bincount(donors).astype(np.float64)
        self._order = np.argsort(donors, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(self.sizes[:-1])]).astype(int)

    def summed(self, values: Numbers) -> Numbers:
        """ZZ' times values: each row gets the sum over its donor's rows."""
        return np.asarray(np.add.reduceat(values[self._order], self._starts)[self.donors])

    def scaled(self, values: Numbers, ratio: float) -> Numbers:
        """V^(−½) times values for V = I + ratio · ZZ': each row less a share of its donor's mean."""
        return values - self._wide((1 - 1 / np.sqrt(1 + ratio * self.sizes)) / self.sizes, values)

    def solved(self, values: Numbers, ratio: float) -> Numbers:
        """V⁻¹ times values for the same V."""
        return values - self._wide(ratio / (1 + ratio * self.sizes), values)

    def _wide(self, weights: Numbers, values: Numbers) -> Numbers:
        own = weights[self.donors]
        return np.asarray((own[:, None] if values.ndim > 1 else own) * self.summed(values))


def _profiled(y: Numbers, x: Numbers, rows: _Rows, ratio: float) -> tuple[float, Numbers, Numbers, float]:
    """Restricted log likelihood at one ratio of the variances, with what maximises the rest."""
    n, k = x.shape
    xs, ys = rows.scaled(x, ratio), rows.scaled(y, ratio)
    gram = xs.T @ xs
    inverse = np.linalg.inv(gram)
    beta = inverse @ (xs.T @ ys)
    rest = ys - xs @ beta
    error = float(rest @ rest) / (n - k)
    log_det = np.log1p(ratio * rows.sizes).sum() + np.linalg.slogdet(gram)[1]
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


@dataclass(frozen=True)
class _Pieces:
    """What both kinds of degrees of freedom are made of; G_i are ZZ' and I, the derivatives of V.

    Parameters
    ----------
    rows, ratio
        Rows by donor, and the donor variance over that of the error.
    side
        V⁻¹X.
    p, q
        P_i = −X'V⁻¹G_iV⁻¹X and Q_ij = X'V⁻¹G_iV⁻¹G_jV⁻¹X.
    traces
        tr(V⁻¹G_iV⁻¹G_j).
    """

    rows: _Rows
    ratio: float
    side: Numbers
    p: list[Numbers]
    q: list[list[Numbers]]
    traces: Numbers

    def times(self, i: int, values: Numbers) -> Numbers:
        """G_i times values."""
        return values if i else self.rows.summed(values)


def _pieces(model: Fit) -> _Pieces:
    rows, error = _Rows(model.donors), model.error_variance
    ratio = model.donor_variance / error
    side = rows.solved(model.design, ratio) / error
    changed = [rows.summed(side), side]
    between, n = 1 / (error * (1 + ratio * rows.sizes)), rows.sizes  # V⁻¹ on a donor's mean; on the rest it is 1/error
    traces = np.array(
        [
            [((between * n) ** 2).sum(), (between**2 * n).sum()],
            [(between**2 * n).sum(), (between**2 + (n - 1) / error**2).sum()],
        ]
    )
    q = [[a.T @ rows.solved(b, ratio) / error for b in changed] for a in changed]
    return _Pieces(rows, ratio, side, [-side.T @ g for g in changed], q, traces)


def _satterthwaite(model: Fit, w: Numbers) -> tuple[float, float]:
    """Variance of the contrast, and 2V²/(g'Ag) with A from the observed information of the REML variances."""
    of, phi = _pieces(model), model.covariance

    def projected(values: Numbers) -> Numbers:
        """The REML projection V⁻¹ − V⁻¹XΦX'V⁻¹ times values."""
        solved = of.rows.solved(values, of.ratio) / model.error_variance
        return np.asarray(solved - of.side @ (phi @ (of.side.T @ values)))

    residual = projected(model.values)
    hessian = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            crossed = np.trace(phi @ of.q[i][j]) + np.trace(phi @ of.q[j][i])
            trace = of.traces[i, j] - crossed + np.trace(phi @ of.p[i] @ phi @ of.p[j])
            hessian[i, j] = -trace + 2 * of.times(i, residual) @ projected(of.times(j, residual))
    gradient = np.array([-float(w @ phi @ part @ phi @ w) for part in of.p])
    variance = float(w @ phi @ w)
    return variance, float(2 * variance**2 / (gradient @ (2 * np.linalg.inv(hessian)) @ gradient))


def _kenward_roger(model: Fit, w: Numbers) -> tuple[float, float]:
    """Adjusted variance of the contrast and its degrees of freedom, for one contrast of linear variances."""
    of, phi = _pieces(model), model.covariance
    information = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            information[i, j] = 0.5 * (
                of.traces[i, j] - 2 * np.trace(phi @ of.q[i][j]) + np.trace(phi @ of.p[i] @ phi @ of.p[j])
            )
    omega = np.linalg.inv(information)
    parts = [omega[i, j] * (of.q[i][j] - of.p[i] @ phi @ of.p[j]) for i in range(2) for j in range(2)]
    middle = np.sum(parts, axis=0)
    adjusted = phi + 2 * phi @ middle @ phi
    plain = float(w @ phi @ w)
    slopes = np.array([float(w @ phi @ part @ phi @ w) / plain for part in of.p])
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
