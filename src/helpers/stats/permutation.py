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
AT_ONCE = 4_000_000
"""Values of resamples that are in memory at one time."""
_NEAR = 1e-9  # relative: ties of sums that differ in the last bits only


def sign_vectors(n: int) -> Iterator[Numbers]:
    """Blocks of all 2^n sign vectors of n donors, or of `DRAWS` drawn ones above `MOST_FLIPPED`.

    Yields arrays of shape (vectors, n) holding 1 and −1; the first row of the first block of a complete
    enumeration is the observed one, all plus.
    """
    if n > MOST_FLIPPED:
        rng = np.random.default_rng(SEED)
        for block in blocks(DRAWS, n):
            yield 1.0 - 2.0 * rng.integers(0, 2, size=(block.stop - block.start, n)).astype(np.float64)
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


def labellings(n_first: int, n_all: int) -> Iterator[Numbers]:
    """Blocks of which of n_all donors are labelled as the first group: every way, or `DRAWS` drawn ones.

    Yields arrays of shape (labellings, n_all) of 1 and 0; the first row of the first block of a complete
    enumeration is the observed labelling, the first n_first donors.

    Examples
    --------
    >>> np.vstack([*labellings(1, 2)]).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    packed = _packed_labels(n_first, n_all)
    for block in blocks(len(packed), n_all):
        yield np.unpackbits(packed[block], axis=1, count=n_all).astype(np.float64)


def is_every_labelling(n_first: int, n_all: int) -> bool:
    """Whether `labellings` enumerates every way."""
    return comb(n_all, n_first) <= MOST_ARRANGEMENTS


@cache
def _packed_labels(n_first: int, n_all: int) -> np.ndarray:
    """All labellings, eight donors a byte: every readout with the same donors asks for them again."""
    parts = []
    if is_every_labelling(n_first, n_all):
        parts.append(_labelled(np.array([*combinations(range(n_all), n_first)]), n_all))
    else:
        rng = np.random.default_rng(SEED)
        for block in blocks(DRAWS, n_all):
            orders = np.tile(np.arange(n_all), (block.stop - block.start, 1))
            parts.append(_labelled(rng.permuted(orders, axis=1)[:, :n_first], n_all))
    return np.vstack(parts)


def _labelled(chosen: np.ndarray, n_all: int) -> np.ndarray:
    labels = np.zeros((len(chosen), n_all), dtype=np.uint8)
    np.put_along_axis(labels, chosen, 1, axis=1)
    return np.packbits(labels, axis=1)


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Rows of an array that are in memory at one time."""
    step = max(1, AT_ONCE // max(columns, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


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
