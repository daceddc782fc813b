"""Planning the next study: what precision so many donors buy, and where the variance comes from.

No power of an effect that was observed: it says nothing beyond its p (Hoenig and Heisey 2001).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower


def paired_precision(pairs: Sequence[int], level: float = 0.95) -> pd.DataFrame:
    """What n pairs can tell, in SDs of the differences.

    Returns
    -------
    n_pairs, detectable_80, detectable_90 (standardised change found with 80 and 90 %), half_width of the
    interval, smallest_p of the exact sign flip.

    Examples
    --------
    >>> paired_precision([13]).round(2).iloc[0].tolist()
    [13.0, 0.85, 0.98, 0.6, 0.0]
    """
    power = TTestPower()
    rows = []
    for n in pairs:
        found = [
            float(power.solve_power(nobs=n, alpha=1 - level, power=p, alternative="two-sided")) for p in (0.8, 0.9)
        ]
        half = float(stats.t.ppf((1 + level) / 2, n - 1) / np.sqrt(n))
        rows.append((n, *found, half, 2.0 ** (1 - n)))
    return pd.DataFrame(rows, columns=["n_pairs", "detectable_80", "detectable_90", "half_width", "smallest_p"])


def group_precision(arms: Sequence[tuple[int, int]], level: float = 0.95) -> pd.DataFrame:
    """What n against m donors can tell, in SDs of the donors.

    Examples
    --------
    >>> group_precision([(18, 8)]).round(2).iloc[0].tolist()
    [18.0, 8.0, 1.24, 1.44, 0.88]
    """
    power = TTestIndPower()
    rows = []
    for n, m in arms:
        found = [float(power.solve_power(nobs1=n, ratio=m / n, alpha=1 - level, power=p)) for p in (0.8, 0.9)]
        half = float(stats.t.ppf((1 + level) / 2, n + m - 2) * np.sqrt(1 / n + 1 / m))
        rows.append((n, m, *found, half))
    return pd.DataFrame(rows, columns=["n_disease", "n_control", "detectable_80", "detectable_90", "half_width"])


def variance_budget(
    sd_change: float,
    sd_culture: float,
    sd_assay: float,
    donors: int,
    cultures: int,
    assay_wells: int,
    level: float = 0.95,
) -> pd.DataFrame:
    """Where the spread of a mean change comes from, and the half-width with one more of each.

    A donor's change varies by σ²_donor + 2·σ²_culture/c + 2·σ²_assay/(c·a) with c cultures an arm and a assay
    wells a culture.

    Parameters
    ----------
    sd_change
        Observed SD of donors' changes.
    sd_culture, sd_assay
        SD between independent cultures of an arm, after assay wells are averaged; SD between assay wells.
    donors, cultures, assay_wells
        Numbers as they are; cultures an arm and donor, assay wells a culture.

    Returns
    -------
    One row a source (donor, culture, assay): variance, share of the variance of a donor's change, half_width
    now, half_width with one more of that source.

    Examples
    --------
    >>> variance_budget(0.7, 0.2, 0.1, 13, 2, 2)["share"].round(2).tolist()
    [0.92, 0.07, 0.01]
    """
    assay = 2 * sd_assay**2 / (cultures * assay_wells)
    culture = max(2 * sd_culture**2 / cultures - assay, 0.0)
    donor = max(sd_change**2 - culture - assay, 0.0)

    def half(n: int, c: int, a: int) -> float:
        spread = donor + culture * cultures / c + assay * cultures * assay_wells / (c * a)
        return float(stats.t.ppf((1 + level) / 2, n - 1) * np.sqrt(spread / n))

    now, total = half(donors, cultures, assay_wells), donor + culture + assay
    more = (
        half(donors + 1, cultures, assay_wells),
        half(donors, cultures + 1, assay_wells),
        half(donors, cultures, assay_wells + 1),
    )
    parts = zip(("donor", "culture", "assay"), (donor, culture, assay), more, strict=True)
    rows = [(name, part, part / total if total else np.nan, now, one) for name, part, one in parts]
    return pd.DataFrame(rows, columns=["source", "variance", "share", "half_width", "half_width_one_more"])
