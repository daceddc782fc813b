"""Families of tests: Holm and Benjamini–Hochberg on the printed p, step-down max-T beside them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from helpers.stats.estimate import Numbers, ordered
from helpers.stats.groups import welch_statistics
from helpers.stats.permutation import is_every_labelling, labellings, p_value, reached, sign_vectors


def holm(p: ArrayLike) -> Numbers:
    """Holm's step-down adjusted p (Holm 1979); missing p stay missing and count for nothing.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    return _adjusted(p, lambda known: np.maximum.accumulate(known * np.arange(len(known), 0, -1)))


def benjamini_hochberg(p: ArrayLike) -> Numbers:
    """Adjusted p for the false discovery rate (Benjamini and Hochberg 1995); missing p stay missing.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    values = np.asarray(p, dtype=np.float64)
    out, known = np.full(values.shape, np.nan), np.isfinite(values)
    if known.any():
        out[known] = stats.false_discovery_control(values[known], method="bh")
    return out


def _adjusted(p: ArrayLike, step_down) -> Numbers:  # type: ignore[no-untyped-def]
    values = np.asarray(p, dtype=np.float64)
    out, known = np.full(values.shape, np.nan), np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    out[order] = np.minimum(step_down(values[order]), 1.0)
    return out


def max_t_paired(differences: ArrayLike) -> Numbers:
    """Step-down max-T adjusted p of the paired changes of many readouts (Westfall and Young 1993).

    Every sign vector turns all readouts of a donor at once, so that their correlation is kept. Statistics are
    studentised, since readouts may miss different donors.

    Parameters
    ----------
    differences
        Donors × readouts; NaN where a donor lacks a readout.

    Returns
    -------
    One p a readout; NaN where a readout has fewer than two donors or no spread.

    Examples
    --------
    >>> max_t_paired([[1.0, 2.0], [1.2, 1.8], [0.9, -1.1], [1.1, 0.2]]).tolist()
    [0.125, 0.375]
    """
    d = ordered(np.asarray(differences, dtype=np.float64))
    known = np.isfinite(d)
    n, filled = known.sum(axis=0), np.where(known, d, 0.0)
    squares = (filled**2).sum(axis=0)

    def statistics(signs: Numbers) -> Numbers:
        mean = signs @ filled / np.maximum(n, 1)
        spread = (squares - n * mean**2) / np.maximum(n - 1, 1)  # a sign changes no square
        tiny = 1e-12 * squares / np.maximum(n, 1)
        return np.where(
            (n > 1) & (squares > 0), mean / np.sqrt(np.maximum(spread, tiny + 1e-300) / np.maximum(n, 1)), 0.0
        )

    observed = statistics(np.ones((1, len(d))))[0]
    usable = (n > 1) & (squares > 0)
    blocks = (statistics(signs) for signs in sign_vectors(len(d)))
    return _step_down(observed, usable, blocks, complete=len(d) <= 20)


def max_t_groups(first: ArrayLike, second: ArrayLike) -> Numbers:
    """Step-down max-T adjusted p of the group differences of many readouts, by permuting labels of donors.

    Parameters
    ----------
    first, second
        Donors × readouts of both groups; NaN where a donor lacks a readout.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    values = np.vstack([x, y])
    own = np.zeros((1, len(values)))
    own[0, : len(x)] = 1
    observed = welch_statistics(values, own)[0]
    # from the smaller group and in the order of the values, so that drawn labels follow neither names nor groups
    values = ordered(values)
    split = min(len(x), len(y)), len(values)
    blocks = (welch_statistics(values, labels) for labels in labellings(*split))
    return _step_down(observed, observed != 0, blocks, is_every_labelling(*split))


def _step_down(observed: Numbers, usable: np.ndarray, blocks: Iterable[Numbers], complete: bool) -> Numbers:
    """From the largest statistic down: how often the largest of it and all smaller ones reaches it."""
    order = np.flatnonzero(usable)[np.argsort(-np.abs(observed[usable]), kind="stable")]
    out = np.full(len(observed), np.nan)
    if not len(order):
        return out
    counts, total = np.zeros(len(order), dtype=np.int64), 0
    for block in blocks:
        largest = np.maximum.accumulate(np.abs(block[:, order[::-1]]), axis=1)[:, ::-1]
        counts += reached(largest, observed[order]).sum(axis=0)
        total += len(block)
    p = np.array([p_value(int(c), total, complete) for c in counts])
    out[order] = np.maximum.accumulate(p)
    return out
