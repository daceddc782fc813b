"""Which intervals cover less than they say: a rule from simulated studies, applied to every row alike.

The numbers come from `benchmarks/calibration.py` and stand in docs/methods.md; an interval of a method, size and
share of bounds whose simulated coverage lies below 93 % is marked as approximate.
"""

from __future__ import annotations

from dataclasses import dataclass

from helpers.stats.paired import noncentral_t

WORD = "Approximate"
SMALL_GAP = 1.75
"""Gap over its standard error below which a share of it, where it is shown at all, covers less than 93 %."""


@dataclass(frozen=True)
class Shortfall:
    """Where a method, by how its name begins, covers less than 93 %.

    Below `donors` in the smaller arm, and above `bounded` of the values as bounds.
    """

    method: str
    donors: int
    bounded: float
    coverage: str


SHORTFALLS: tuple[Shortfall, ...] = (
    Shortfall("normal likelihood of groups", 13, 0.3, "about 85 %"),
    Shortfall("gap, normal likelihood of groups", 13, 0.3, "about 85 %"),
    Shortfall("gap adjusted for having smoked, normal likelihood", 13, 0.3, "about 92 %"),
    Shortfall("normal likelihood of differences", 50, 0.0, "85 to 90 %"),
    Shortfall("BCa bootstrap", 50, -1.0, "87 to 93 %"),
    Shortfall("Brunner–Munzel", 50, -1.0, "about 92 %"),
    Shortfall("matched rank-biserial", 50, -1.0, "about 85 %"),
    Shortfall("gap closed, stratified donor bootstrap", 50, -1.0, "83 to 96 %"),
)


def shortfall(method: str, donors: int, bounded: float) -> str:
    """The sentence that stands beside an interval which covers less than it says; empty where it covers enough.

    Parameters
    ----------
    method
        As printed in the table of effects.
    donors
        Donors or pairs of the smaller arm.
    bounded
        Share of the values that are bounds.

    Examples
    --------
    >>> shortfall("normal likelihood of groups with bounds", 8, 0.4)
    'Approximate: at this size the interval covers about 85 % instead of 95 %.'
    >>> shortfall("Welch t", 8, 0.0)
    ''
    """
    for one in SHORTFALLS:
        if method.startswith(one.method) and donors < one.donors and bounded > one.bounded:
            return f"{WORD}: at this size the interval covers {one.coverage} instead of 95 %."
    return ""


def small_gap(t: float, df: float, level: float) -> str:
    """The sentence that stands beside a share of a gap which may be small; empty where it is not.

    A small gap is shown only where chance has made it large, and then its share is off. How large it is in truth is
    not told from the sample, so the rule asks whether the interval of gap / standard error (noncentral t, Steiger and
    Fouladi 1997) reaches below `SMALL_GAP`.

    Parameters
    ----------
    t, df
        The gap over its standard error, and its degrees of freedom.
    level
        Of the interval.

    Examples
    --------
    >>> small_gap(2.5, 24, 0.95)[:55], small_gap(6.0, 24, 0.95)
    ('Approximate: the gap may be below 1.75 of its standard ', '')
    """
    if noncentral_t(abs(t), df, level)[0] >= SMALL_GAP:
        return ""
    return f"{WORD}: the gap may be below {SMALL_GAP:g} of its standard errors, where the interval covers less than 93 % instead of 95 %."
