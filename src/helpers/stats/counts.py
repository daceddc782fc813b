"""Fractions with counts behind them: a beta-binomial model with a random donor, as a sensitivity analysis.

k of n cells, one row a donor and condition: k is beta-binomial with mean μ and precision φ (variance
n·μ(1 − μ)·(n + φ)/(1 + φ)), logit μ = X·β + donor, donor normal. Cells never stand for donors: the spread
beyond counting is estimated. Where no donor has two rows, that spread is the donors' own and there is no
second term for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from helpers.stats.estimate import NAN, Estimate, NotEstimable, NotFinite, Numbers

NODES = 15
_Z, _W = np.polynomial.hermite_e.hermegauss(NODES)
_SMALL_SD = 0.05  # on the logit scale; below it the model without a donor term is fitted too
_LOG_SD, _LOG_PHI = (-7.0, 3.0), (-2.0, 14.0)  # bounds that keep a flat likelihood from running away


@dataclass(frozen=True)
class Counts:
    """Data of the model: k of n, design, donor of each row as 0, 1, …."""

    k: Numbers
    n: Numbers
    design: Numbers
    donor: np.ndarray

    @property
    def n_donors(self) -> int:
        """How many donors."""
        return int(self.donor.max()) + 1

    @cached_property
    def of_donor(self) -> Numbers:
        """Donors × rows, 1 where the row is the donor's."""
        return np.asarray(self.donor[None, :] == np.arange(self.n_donors)[:, None], dtype=np.float64)


@dataclass(frozen=True)
class Fit:
    """Maximum likelihood: fixed effects on the logit scale, SD of donors (may be 0), precision φ, log likelihood."""

    beta: Numbers
    donor_sd: float
    phi: float
    log_likelihood: float


def counts(k: ArrayLike, n: ArrayLike, design: ArrayLike, donors: ArrayLike) -> Counts:
    """Check and hold the data of the model.

    Raises
    ------
    NotFinite
        Where a number is missing.
    ValueError
        Where k is negative or above n.
    NotEstimable
        Where every fraction is 0, or every one is 1.
    """
    successes, cells = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if not (np.isfinite(successes) & np.isfinite(cells)).all():
        raise NotFinite("missing or infinite counts: drop them knowingly before testing")
    if not ((successes >= 0) & (cells >= successes) & (cells > 0)).all():
        raise ValueError("each row needs 0 ≤ k ≤ n and n > 0")
    if successes.sum() == 0 or (successes == cells).all():
        raise NotEstimable("zero_variance", "Every fraction is 0 %, or every one is 100 %.")
    codes = np.unique(np.asarray(donors), return_inverse=True)[1]
    return Counts(successes, cells, np.asarray(design, dtype=np.float64), codes)


def fit(data: Counts) -> Fit:
    """Fit by maximum likelihood, donors integrated by adaptive Gauss–Hermite quadrature (Pinheiro and Bates 1995).

    The nodes of each donor lie around its mode and are as wide as its likelihood, at every value of the
    parameters that is tried, so that the likelihood stays right as the donors' SD goes to zero. At zero it is
    that of the plain beta-binomial, which is taken where it is as high.

    Parameters
    ----------
    data
        From `counts`.
    """
    start = _start(data)
    repeated = data.n_donors < len(data.k)
    found = _maximised(data, start) if repeated else None
    if found is None or found.donor_sd < _SMALL_SD:
        plain = _maximised(data, np.delete(start, -2))
        if found is None or plain.log_likelihood >= found.log_likelihood - 1e-6:
            return plain
    return found


def _maximised(data: Counts, start: Numbers) -> Fit:
    """Fit from a start in (β, log SD, log φ); without log SD where there is no donor term."""
    k = data.design.shape[1]
    limits = [(-30.0, 30.0)] * k + [_LOG_SD] * (len(start) - k - 1) + [_LOG_PHI]
    modes = np.zeros(data.n_donors)
    found = optimize.minimize(
        lambda theta: _negative(theta, data, modes),
        np.clip(start, *np.array(limits).T),
        jac=True,
        method="SLSQP",  # L-BFGS-B finds the same, but starts threads that cost ten times the fit
        bounds=limits,
        options={"ftol": 1e-9, "maxiter": 500},
    )
    beta, sd, phi = _parts(found.x, data)
    return Fit(beta, sd, phi, -float(found.fun))


def _parts(theta: Numbers, data: Counts) -> tuple[Numbers, float, float]:
    k = data.design.shape[1]
    return theta[:k], float(np.exp(theta[k])) if len(theta) > k + 1 else 0.0, float(np.exp(theta[-1]))


def _start(data: Counts) -> Numbers:
    """Least squares on the empirical logits."""
    share = (data.k + 0.5) / (data.n + 1)
    logit = np.log(share / (1 - share))
    beta = np.linalg.lstsq(data.design, logit, rcond=None)[0]
    left = logit - data.design @ beta
    means = np.bincount(data.donor, left) / np.bincount(data.donor)
    return np.concatenate([beta, [np.log(max(means.std(), 0.1)), np.log(50.0)]])


def _by_eta(data: Counts, eta: Numbers, phi: float) -> Numbers:
    """Derivative of the log probability of each row to η; rows × nodes."""
    mu = special.expit(eta)
    a, b = np.maximum(mu * phi, 1e-12), np.maximum((1 - mu) * phi, 1e-12)
    k, rest = data.k[:, None], (data.n - data.k)[:, None]
    slope = special.digamma(k + a) - special.digamma(a) - special.digamma(rest + b) + special.digamma(b)
    return np.asarray(phi * slope * mu * (1 - mu))


def _pieces(data: Counts, eta: Numbers, phi: float) -> tuple[Numbers, Numbers, Numbers]:
    """Log probability of each row and its derivatives to η and to φ; rows × nodes."""
    mu = special.expit(eta)
    a, b = np.maximum(mu * phi, 1e-12), np.maximum((1 - mu) * phi, 1e-12)
    k, rest, n = data.k[:, None], (data.n - data.k)[:, None], data.n[:, None]
    log = special.betaln(k + a, rest + b) - special.betaln(a, b)
    up, down = special.digamma(k + a) - special.digamma(a), special.digamma(rest + b) - special.digamma(b)
    by_phi = mu * up + (1 - mu) * down - special.digamma(n + phi) + special.digamma(phi)
    return log, phi * (up - down) * mu * (1 - mu), by_phi


def _placed(data: Counts, base: Numbers, sd: float, phi: float, modes: Numbers) -> Numbers:
    """Width of each donor's likelihood around its mode, in SDs of donors; `modes`, in the same unit, are moved there."""
    shifts = np.array([-1e-4, 1e-4])
    curve = np.ones_like(modes)
    for _ in range(50):
        at = modes[:, None] + shifts
        slopes = sd * (data.of_donor @ _by_eta(data, base[:, None] + sd * at[data.donor], phi)) - at
        curve = np.maximum((slopes[:, 0] - slopes[:, 1]) / 2e-4, 1.0)
        step = np.clip(slopes.mean(axis=1) / curve, -2, 2)
        modes += step
        if np.abs(step * np.sqrt(curve)).max() < 1e-3:  # of the width: quadrature needs no more
            break
    return np.asarray(1 / np.sqrt(curve))


def _negative(theta: Numbers, data: Counts, modes: Numbers) -> tuple[float, Numbers]:
    """Minus log likelihood and its gradient in the parameters; the search for modes begins where the last ended."""
    beta, sd, phi = _parts(theta, data)
    base = data.design @ beta
    if sd == 0:
        log, by_eta, by_phi = (part[:, 0] for part in _pieces(data, base[:, None], phi))
        return -float(log.sum()), -np.concatenate([data.design.T @ by_eta, [phi * float(by_phi.sum())]])
    width = _placed(data, base, sd, phi, modes)
    at = modes[:, None] + width[:, None] * _Z
    log, by_eta, by_phi = _pieces(data, base[:, None] + sd * at[data.donor], phi)
    joint = (
        data.of_donor @ log + np.log(_W) + _Z**2 / 2 + np.log(width)[:, None] - 0.5 * at**2 - 0.5 * np.log(2 * np.pi)
    )
    each = special.logsumexp(joint, axis=1)
    weight = np.exp(joint - each[:, None])[data.donor]
    slope = weight * by_eta
    gradient = [data.design.T @ slope.sum(axis=1), [sd * float((slope * at[data.donor]).sum())]]
    return -float(each.sum()), -np.concatenate([*gradient, [phi * float((weight * by_phi).sum())]])


def log_likelihood(data: Counts, model: Fit) -> float:
    """Log likelihood at the parameters of `model`, without the binomial coefficients."""
    return -_negative(_theta(model), data, np.zeros(data.n_donors))[0]


def _theta(model: Fit) -> Numbers:
    spread = [np.log(model.donor_sd)] if model.donor_sd > 0 else []
    return np.concatenate([model.beta, spread, [np.log(model.phi)]])


def standard_errors(data: Counts, model: Fit) -> Numbers:
    """Standard errors of the fixed effects, from the observed information of all parameters.

    Parameters
    ----------
    data, model
        Counts and their fit.

    Raises
    ------
    NotEstimable
        Where the information is not positive: the likelihood is flat in some direction.
    """
    theta, h, modes = _theta(model), 1e-4, np.zeros(data.n_donors)
    rows = [
        (_negative(theta + h * unit, data, modes)[1] - _negative(theta - h * unit, data, modes)[1]) / (2 * h)
        for unit in np.eye(len(theta))
    ]
    information = (np.array(rows) + np.array(rows).T) / 2
    if np.linalg.eigvalsh(information)[0] <= 0:
        raise NotEstimable("not_estimable", "The likelihood of the counts is flat: no standard errors.")
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(information)))[: len(model.beta)])


def beta_binomial(data: Counts, term: int) -> Estimate:
    """Log odds ratio of one term, with the likelihood ratio read on the scale of t.

    With many cells a fraction's logit is all but normal, and the likelihood ratio of N donors is then
    N·log(1 + t²/df) with df = N − the fixed effects that differ between donors: N − 1 for pairs, N − 2 for two
    groups and for the difference of their changes. That t, with df degrees of freedom, is what p is taken
    from, so that few donors are not read off a χ² made for many; with few cells it errs to the larger p.

    Parameters
    ----------
    data
        From `counts`.
    term
        Column of the design that is tested.

    Returns
    -------
    Estimate on the logit scale with its t, df and p, to the five digits that the search is sure of; no interval.

    Raises
    ------
    NotEstimable
        ``too_few_donors`` where no degree of freedom is left.
    """
    full = fit(data)
    without = fit(Counts(data.k, data.n, np.delete(data.design, term, axis=1), data.donor))
    fixed = len({tuple(row) for row in _between(data)})
    n, df = data.n_donors, data.n_donors - fixed
    if df < 1:
        raise NotEstimable("too_few_donors", "There are too few donors to tell their spread.")
    ratio = max(0.0, 2 * (full.log_likelihood - without.log_likelihood))
    t = float(f"{np.sign(full.beta[term]) * np.sqrt(df * np.expm1(ratio / n)):.5g}")
    odds = float(f"{full.beta[term]:.5g}")  # where the search stops hangs on last bits from the sixth digit on
    method = "beta-binomial mixed model, likelihood ratio on the scale of t"
    return Estimate(odds, NAN, NAN, method, t, df, float(2 * stats.t.sf(abs(t), df)))


def _between(data: Counts) -> Numbers:
    """Mean design of each donor, which tells groups apart and not the conditions within a donor."""
    sums = np.stack([np.bincount(data.donor, column) for column in data.design.T], axis=1)
    return np.asarray(np.round(sums / np.bincount(data.donor)[:, None], 9))
