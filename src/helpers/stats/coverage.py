"""Which intervals cover less than they say: a rule from simulated studies, applied to every row alike.

The numbers come from `benchmarks/calibration.py` and stand in docs/methods.md; an interval of a method, size and
share of bounds whose simulated coverage lies below 93 % is marked as approximate.
"""

from __future__ import annotations

from dataclasses import dataclass

WORD = "Approximate"


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
    Shortfall("normal likelihood of differences", 50, 0.0, "85 to 90 %"),
    Shortfall("BCa bootstrap", 50, -1.0, "87 to 93 %"),
    Shortfall("Brunner–Munzel", 50, -1.0, "about 92 %"),
    Shortfall("matched rank-biserial", 50, -1.0, "about 85 %"),
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
