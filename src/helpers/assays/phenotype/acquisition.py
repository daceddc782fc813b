"""How a file was acquired, from its events in time: flow rate, drift of the signal, events at the margins.

Events are looked at in `BINS` equal stretches of the file; nothing is removed. The fraction of events in
stretches that stand out is told, and a person decides.
"""

from __future__ import annotations

import math

import numpy as np

from helpers.assays.phenotype.gating import is_dyed
from helpers.readers.fcs import FcsFile, Values

BINS = 40
FEWEST = 400
"""Events under which a file's course in time is not judged."""
RATE_FACTOR = 2.0
"""A stretch stands out where its rate is so many times the file's median rate, or so many times less."""
DRIFT, LEAST_DRIFT = 5.0, 0.1
"""A stretch stands out where its mean rank in a channel (0 to 1 over the file) lies so many standard errors, and at
least so far, from one half. Ranks are as steady for two heaps of cells as for one; a median is not."""


def acquisition(fcs: FcsFile) -> dict[str, float]:
    """Seconds, events a second, and percent of events in stretches of odd rate or signal, and at margins.

    Parameters
    ----------
    fcs
        The file with its events.

    Returns
    -------
    ``seconds``, ``events_per_second``, ``rate_pct``, ``drift_pct``, ``margin_pct``; NaN where the file has no Time
    (rate) or too few events.
    """
    times = [i for i, c in enumerate(fcs.channels) if c.name.casefold() == "time"]
    dyes = [i for i, c in enumerate(fcs.channels) if is_dyed(c.name)]
    out = dict.fromkeys(("seconds", "events_per_second", "rate_pct", "drift_pct"), math.nan)
    out["margin_pct"] = _margins(fcs)
    if fcs.n_events and times:
        clock = fcs.events[:, times[0]]
        out["seconds"] = float(np.nanmax(clock) - np.nanmin(clock))
        if out["seconds"] > 0:
            out["events_per_second"] = fcs.n_events / out["seconds"]
    if fcs.n_events >= FEWEST:
        stretches = np.array_split(np.arange(fcs.n_events), BINS)
        if times:
            out["rate_pct"] = _odd_rate(fcs.events[:, times[0]], stretches)
        out["drift_pct"] = _drifting(fcs.events[:, dyes], stretches)
    return out


def _odd_rate(clock: Values, stretches: list[np.ndarray]) -> float:
    """Percent of events in stretches far from the median rate; stretches hold equal numbers of events."""
    lasted = np.array([clock[s[-1]] - clock[s[0]] for s in stretches])
    typical = np.median(lasted[lasted > 0]) if (lasted > 0).any() else math.nan
    if not typical > 0:
        return math.nan
    odd = (lasted > RATE_FACTOR * typical) | (lasted < typical / RATE_FACTOR)
    return 100 * sum(len(s) for s, o in zip(stretches, odd, strict=True) if o) / len(clock)


def _drifting(dyes: Values, stretches: list[np.ndarray]) -> float:
    """Percent of events in stretches where a channel's level has moved."""
    n, off = len(dyes), np.zeros(len(stretches), dtype=bool)
    far = max(DRIFT / math.sqrt(12 * len(stretches[-1])), LEAST_DRIFT)
    for column in dyes.T:
        rank = np.empty(n)
        rank[np.argsort(column, kind="stable")] = (np.arange(n) + 0.5) / n
        off |= np.abs(np.array([rank[s].mean() for s in stretches]) - 0.5) > far
    return 100 * sum(len(s) for s, o in zip(stretches, off, strict=True) if o) / n


def _margins(fcs: FcsFile) -> float:
    """Percent of events at the upper end of a channel's range or piled up at its lowest value."""
    if not fcs.n_events:
        return math.nan
    at = np.zeros(fcs.n_events, dtype=bool)
    for i, channel in enumerate(fcs.channels):
        column = fcs.events[:, i]
        if channel.name.casefold() == "time" or math.isnan(channel.range):
            continue
        top = channel.range / channel.gain if not channel.decades else np.nanmax(column)
        at |= column >= top * (1 - 1e-6) if not channel.decades else False
        lowest = np.nanmin(column)
        piled = column == lowest
        if piled.sum() > max(10, 0.002 * fcs.n_events):
            at |= piled
    return 100 * float(at.mean())
