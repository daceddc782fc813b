"""Exact and drawn reference distributions: sign flips, label permutations, sums of scores."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations
from math import comb

import numpy as np

from helpers.core.numbers import SEED
from helpers.stats.estimate import Numbers

MOST_FLIPPED = 20
"""Up to so many donors every sign vector is enumerated."""
MOST_ARRANGEMENTS = 20_000
"""Up to so many arrangements every permutation of group labels is enumerated."""
DRAWS = 9_999
_BLOCK = 1 << 14
_NEAR = 1e-9  # relative: ties of sums that differ in the last bits only


def sign_vectors(n: int) -> Iterator[Numbers]:
    """Blocks of all 2^n sign vectors of n donors, or of `DRAWS` drawn ones above `MOST_FLIPPED`.

    Yields arrays of shape (vectors, n) holding 1 and −1; the first row of the first block of a complete
    enumeration is the observed one, all plus.
    """
    if n > MOST_FLIPPED:
        rng = np.random.default_rng(SEED)
        yield 1.0 - 2.0 * rng.integers(0, 2, size=(DRAWS, n)).astype(np.float64)
        return
    bits = np.arange(min(n, 14))
    low = 1.0 - 2.0 * ((np.arange(1 << len(bits))[:, None] >> bits) & 1)
    for high in range(1 << (n - len(bits))):
        rest = 1.0 - 2.0 * ((high >> np.arange(n - len(bits))) & 1)
        yield np.hstack([low, np.broadcast_to(rest, (len(low), len(rest)))])


def all_sums(values: Numbers) -> Numbers:
    """Sums of the values under every sign vector, 2^n of them.

    Examples
    --------
    >>> sorted(all_sums(np.array([1.0, 2.0])).tolist())
    [-3.0, -1.0, 1.0, 3.0]
    """
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def is_complete(n: int) -> bool:
    """Whether `sign_vectors` enumerates all vectors of n donors."""
    return n <= MOST_FLIPPED


@cache
def labellings(n_first: int, n_all: int) -> tuple[Numbers, bool]:
    """Which of n_all donors are labelled as the first group: every way, or `DRAWS` drawn ones.

    Returns
    -------
    Array of shape (labellings, n_all) of 1 and 0, and whether it is complete. Complete ones hold the observed
    labelling (the first n_first donors) as their first row.
    """
    if comb(n_all, n_first) <= MOST_ARRANGEMENTS:
        chosen = np.array(list(combinations(range(n_all), n_first)))
    else:
        rng = np.random.default_rng(SEED)
        chosen = rng.permuted(np.tile(np.arange(n_all), (DRAWS, 1)), axis=1)[:, :n_first]
    labels = np.zeros((len(chosen), n_all))
    np.put_along_axis(labels, chosen, 1.0, axis=1)
    return labels, comb(n_all, n_first) <= MOST_ARRANGEMENTS


def p_value(at_least: int, vectors: int, complete: bool) -> float:
    """Share of arrangements at least as extreme; for drawn ones (b + 1)/(B + 1) (Phipson and Smyth 2010).

    Examples
    --------
    >>> p_value(2, 64, True), p_value(0, 9999, False)
    (0.03125, 0.0001)
    """
    return at_least / vectors if complete else (at_least + 1) / (vectors + 1)


def reached(values: Numbers, observed: float | Numbers, size: float = 1.0) -> np.ndarray:
    """Where |values| reach |observed|, ties within rounding counted as reached.

    Parameters
    ----------
    values, observed
        Statistics; either may be infinite.
    size
        Of the numbers that were added up: what rounds near zero is measured by it. A t statistic has 1.

    Examples
    --------
    >>> reached(np.array([0.0, 2.0, np.inf]), np.inf).tolist(), reached(np.array([0.0]), 1e-17).tolist()
    ([False, False, True], [True])
    """
    return np.abs(values) >= np.abs(observed) * (1 - _NEAR) - _NEAR * size


def signed_sums(scores: np.ndarray) -> Numbers:
    """Probability of each sum 0, 1, … of a random half-and-half subset of integer scores.

    Streitberg and Röhmel 1986; this is the exact null distribution of a signed-rank sum with tied ranks.

    Examples
    --------
    >>> signed_sums(np.array([1, 2])).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    chance = np.zeros(int(scores.sum()) + 1)
    chance[0], top = 1.0, 0
    for score in scores:
        s = int(score)
        moved = chance[: top + 1].copy()
        chance[: top + 1] *= 0.5
        chance[s : s + top + 1] += 0.5 * moved
        top += s
    return chance


def subset_sums(scores: np.ndarray, size: int) -> Numbers:
    """Probability of each sum of a random subset of `size` of the integer scores, all subsets alike.

    Streitberg and Röhmel 1986; the exact null distribution of a rank sum with tied ranks, and of a sum of
    values on a grid (the Fisher–Pitman test).

    Examples
    --------
    >>> subset_sums(np.array([1, 2, 3]), 2).round(3).tolist()
    [0.0, 0.0, 0.0, 0.333, 0.333, 0.333, 0.0]
    """
    ways = np.zeros((size + 1, int(scores.sum()) + 1))
    ways[0, 0] = 1.0
    for i, score in enumerate(scores):
        s = int(score)
        for k in range(min(size, i + 1), 0, -1):
            ways[k, s:] += ways[k - 1, : ways.shape[1] - s]
    return np.asarray(ways[size] / ways[size].sum())
