"""Do assays agree, donor by donor: rank correlations of standardised changes. Descriptive only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from helpers.core.numbers import SEED
from helpers.stats.estimate import ordered
from helpers.stats.labels import COVARIATES
from helpers.stats.permutation import blocks

RESAMPLES = 2_000
FEWEST = 5


def aligned(changes: pd.DataFrame, directions: Mapping[str, str]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Changes in SDs of the donors, turned so that up is toward health.

    Parameters
    ----------
    changes
        Donors × readouts, on the scale of analysis.
    directions
        ``up``, ``down`` or ``none`` of each readout, from the plan.

    Returns
    -------
    The standardised matrix without readouts of no stated direction or no spread, and why each was left out.
    """
    left_out = {}
    kept = {}
    for name in changes.columns:
        sd = changes[name].std(ddof=1)
        direction = directions.get(name, "none")
        if direction not in ("up", "down"):
            left_out[name] = "The plan states no direction toward health."
        elif not np.isfinite(sd) or sd == 0:
            left_out[name] = "The changes do not vary."
        else:
            kept[name] = changes[name] / sd * (1 if direction == "up" else -1)
    return pd.DataFrame(kept, index=changes.index), left_out


def covariates(donors: pd.DataFrame, who: pd.Index) -> pd.DataFrame:
    """Clinical covariates of donors as numbers; a score that is a range is not known.

    Parameters
    ----------
    donors
        The output table ``donors_derived``.
    who
        Donors, the index of what is returned.
    """
    table = donors.set_index("donor_id").reindex(who)
    found = {name: pd.to_numeric(table[c], errors="coerce") for c, name in COVARIATES.items() if c in table}
    return pd.DataFrame(found, index=who).dropna(axis=1, how="all").astype("float64")


def said(first: str, second: str, established: Mapping[str, bool]) -> str:
    """What a reader must know of one correlation: whether its directions are known from the study's own gap.

    Parameters
    ----------
    first, second
        Columns of the matrix.
    established
        Of each readout, whether this study's gap between the groups has the stated direction.

    Examples
    --------
    >>> said("IL-6", "TNF", {"IL-6": True, "TNF": False})
    'Direction assumed: TNF.'
    """
    assumed = [name for name in (first, second) if not established.get(name, True)]
    return f"Direction assumed: {', '.join(assumed)}." if assumed else ""


def concordance(changes: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Spearman correlation of every two columns with a donor bootstrap interval.

    Parameters
    ----------
    changes
        Donors × readouts or clinical covariates; NaN where missing. Each pair uses the donors it has.
    level
        Of the percentile interval.

    Returns
    -------
    first, second, n, rho, ci_low, ci_high, and critical: the |rho| that n donors cannot tell from 0. Pairs with
    fewer than five donors have no rho. No p: nothing was planned to be tested here.
    """
    rng, rows = np.random.default_rng(SEED), []
    names = list(changes.columns)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            both = changes[[first, second]].dropna().to_numpy(dtype="float64")
            n = len(both)
            if n < FEWEST or (both == both[0]).all(axis=0).any():
                rows.append((first, second, n, np.nan, np.nan, np.nan, np.nan))
                continue
            rho = float(stats.spearmanr(both[:, 0], both[:, 1]).statistic)
            low, high = _bootstrap(ordered(both), level, rng)
            rows.append((first, second, n, rho, low, high, _critical(n, level)))
    return pd.DataFrame(rows, columns=["first", "second", "n", "rho", "ci_low", "ci_high", "critical"])


def _bootstrap(both: np.ndarray, level: float, rng: np.random.Generator) -> tuple[float, float]:
    picked = rng.integers(0, len(both), (RESAMPLES, len(both)))
    rho = np.concatenate([_spearman(both[picked[block]]) for block in blocks(RESAMPLES, 8 * len(both))])
    low, high = np.nanquantile(rho, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _spearman(samples: np.ndarray) -> np.ndarray:
    """Correlation of the ranks of each sample, of shape (samples, donors, 2)."""
    ranks = stats.rankdata(samples, axis=1)
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((ranks[..., 0] * ranks[..., 1]).sum(axis=1) / np.sqrt((ranks**2).sum(axis=1).prod(axis=1)))


def _critical(n: int, level: float) -> float:
    """|rho| at the edge of the t approximation.

    Examples
    --------
    >>> round(_critical(13, 0.95), 2)
    0.55
    """
    t = stats.t.ppf((1 + level) / 2, n - 2)
    return float(t / np.sqrt(n - 2 + t**2))
