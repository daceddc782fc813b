"""Limits of an assay on one plate: what can be detected, and between which standards it can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from helpers.assays.cytokines.curves import invert

if TYPE_CHECKING:
    from helpers.assays.cytokines.fitted import Rules


def detection_limit(parameters: np.ndarray, blank_sd: float, sds: float) -> float:
    """LOD: the concentration whose net response is `sds` standard deviations of the blank wells.

    Net responses have the mean of the blanks subtracted, so the mean of the blanks is 0 (Currie 1968; the form
    mean + 3 SD is that of the kits' leaflets).

    Parameters
    ----------
    parameters
        Of the curve: a, d, c, b, g.
    blank_sd
        Of the plate's blank wells, MFI.
    sds
        Usually 3.

    Returns
    -------
    Concentration on the scale of the standards; NaN where the curve does not pass there.

    Examples
    --------
    >>> round(detection_limit(np.array([0.0, 1000.0, 100.0, -1.0, 1.0]), 5.0, 3), 3)
    1.523
    """
    found = float(invert(parameters, np.array(sds * blank_sd))[0])
    return found if found > 0 else float("nan")


def working_range(levels: pd.DataFrame, rules: Rules, at_least: float) -> tuple[float, float]:
    """LLOQ and ULOQ: the ends of the longest unbroken run of standard levels that come back as they went in.

    A level passes where its recovery lies in the range of `rules` and the CV of its wells is not above the limit;
    a level of one well has no CV and passes by its recovery. The recoveries are of the standards that made the
    curve, so this is a working range and no validation of the method.

    Parameters
    ----------
    levels
        Of one analyte, by rising expected concentration: expected, recovery_pct, cv_pct.
    rules
        Limits of recovery and CV; the first and last standard may have wider ones.
    at_least
        Levels below this concentration cannot be in the range (a LOD that is used).

    Returns
    -------
    Two concentrations on the scale of the standards; NaN where fewer than two neighbouring levels pass. Of runs
    of the same length the higher one counts.
    """
    recovery, cv = levels["recovery_pct"].to_numpy(dtype="float64"), levels["cv_pct"].to_numpy(dtype="float64")
    expected = levels["expected"].to_numpy(dtype="float64")
    low, high = (
        np.full(len(levels), float(rules.recovery_low_pct)),
        np.full(len(levels), float(rules.recovery_high_pct)),
    )
    if len(levels):
        low[[0, -1]] = rules.end_recovery_low_pct or rules.recovery_low_pct
        high[[0, -1]] = rules.end_recovery_high_pct or rules.recovery_high_pct
    with np.errstate(invalid="ignore"):
        passes = (recovery >= low) & (recovery <= high) & ~(cv > rules.cv_max_pct) & (expected >= at_least)
    best: tuple[int, int] = (0, -1)
    start = 0
    for i in range(len(passes) + 1):
        if i == len(passes) or not passes[i]:
            if i - start >= best[1] - best[0] + 1 and i - start > 0:
                best = (start, i - 1)
            start = i + 1
    if best[1] - best[0] < 1:
        return float("nan"), float("nan")
    return float(expected[best[0]]), float(expected[best[1]])
