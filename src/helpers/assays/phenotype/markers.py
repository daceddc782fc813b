"""Marker statistics of stained tubes against their controls: percent, ΔMFI, ratio, stain index, four quadrants.

MFI is the median of compensated FCS scale values. rSD is half the distance of the 15.87th and 84.13th percentile.
Stain index = (MFI − MFI of the control) / (2 · rSD of the control). A positive event lies at or above the quantile
of the control. The noise of a ΔMFI is 1.96 · 1.2533 · √(rSD²/n of the tube + rSD²/n of the control), the standard
error of a difference of medians; a ΔMFI within its noise is bounded above by it and has no lower bound.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from helpers.assays.phenotype.measure import Measured
from helpers.assays.phenotype.samples import Tube, control_of

NEAR_FULL_PCT = 98.0
"""A marker whose median percentage over the study lies at or above this is told by its MFI."""
_Z = 1.959963984540054
_MEDIAN_SE = 1.2533141373155001  # √(π/2): standard error of a median over that of a mean, normal values


@dataclass(frozen=True)
class Background:
    """What the control of one marker gave, for one stained tube.

    Parameters
    ----------
    kind, files
        From `samples.control_of`.
    median, rsd, n_events
        Of the control's population; medians over the tubes where they are pooled.
    threshold
        Quantile of the control, NaN where there is none.
    gated_alike
        Whether the control was measured through gates that were moved for the stained file.
    """

    kind: str
    files: tuple[str, ...]
    median: float = math.nan
    rsd: float = math.nan
    n_events: int = 0
    threshold: float = math.nan
    gated_alike: bool = False


@dataclass(frozen=True, eq=False)
class Controls:
    """Control tubes of a study, found quickly: only those of the same donor or run, or that name a file, can serve.

    Parameters
    ----------
    near
        Tubes by donor, by run and by the file they name.
    numbers
        Events, median, rSD and quantile of the measured population, by file and marker.
    volts
        Detector voltages by file.
    """

    near: dict[tuple[str, str], list[Tube]]
    numbers: dict[tuple[str, str], tuple[int, float, float, float]]
    volts: dict[str, dict[str, float]]


def controls(tubes: Iterable[Tube], measured: Mapping[str, Measured]) -> Controls:
    """Gather the control tubes that could be measured.

    Parameters
    ----------
    tubes
        FMO and unstained tubes; others are never a control.
    measured
        What each file gave.
    """
    found = Controls(defaultdict(list), {}, {})
    for tube in tubes:
        one = measured.get(tube.fcs_file)
        if one is None:
            continue
        for key in (("donor", tube.donor_id), ("run", tube.run), ("file", tube.control_for)):
            if key[1]:
                found.near[key].append(tube)
        own = one.stats[one.stats["population"] == one.reported[0]]
        for row in own.itertuples():
            numbers = (int(row.n_events), float(row.median), float(row.rsd), float(row.quantile))
            found.numbers[tube.fcs_file, str(row.marker)] = numbers
        found.volts[tube.fcs_file] = one.voltages
    return found


def backgrounds(
    tube: Tube,
    panel: Sequence[tuple[str, str]],
    volts: Mapping[str, float],
    there: Controls,
    fewest: int,
    alike: AbstractSet[str] = frozenset(),
) -> dict[str, Background]:
    """The background of every marker of a stained tube.

    A control with fewer than `fewest` events, or taken at another voltage of the detector, is none.

    Parameters
    ----------
    tube
        Stained.
    panel
        Channels and markers.
    volts
        Detector voltages of the stained tube by channel; what is not stated is taken as the same.
    there
        From `controls`.
    fewest
        Events a control needs.
    alike
        Controls that were measured through gates moved for this tube.
    """
    keys = (("donor", tube.donor_id), ("run", tube.run), ("file", tube.fcs_file))
    near = list({t.fcs_file: t for key in keys for t in there.near.get(key, ())}.values())
    out = {}
    for channel, marker in panel:
        enough = [
            t
            for t in near
            if there.numbers.get((t.fcs_file, marker), (0,))[0] >= fewest
            and _same(there.volts[t.fcs_file].get(channel), volts.get(channel))
        ]
        kind, files = control_of(tube, marker, enough)
        out[marker] = _background(kind, files, marker, there, bool(alike & set(files)))
    return out


def _same(first: float | None, second: float | None) -> bool:
    return first is None or second is None or first == second


def _background(kind: str, files: tuple[str, ...], marker: str, there: Controls, alike: bool) -> Background:
    if not files:
        return Background(kind, files)
    rows = [there.numbers[f, marker] for f in files]
    median, rsd, quantile = (float(np.median([r[i] for r in rows])) for i in (1, 2, 3))
    return Background(kind, files, median, rsd, sum(r[0] for r in rows), quantile, alike)


def share_interval(k: int, n: int) -> tuple[float, float]:
    """95 % Wilson interval (1927) of a share, in percent; counting only, not between donors.

    Examples
    --------
    >>> [round(x, 1) for x in share_interval(5, 10)]
    [23.7, 76.3]
    """
    if n <= 0:
        return math.nan, math.nan
    share, z = k / n, _Z**2 / n
    middle, width = (share + z / 2) / (1 + z), _Z * math.sqrt(share * (1 - share) / n + z / (4 * n)) / (1 + z)
    return 100 * max(middle - width, 0.0), 100 * min(middle + width, 1.0)


def marker_rows(
    tube: Tube, one: Measured, behind: Mapping[str, Background], minimums: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Rows of ``phenotype_markers`` of one stained tube.

    Parameters
    ----------
    tube, one
        The tube and what it gave.
    behind
        From `backgrounds`.
    minimums
        ``minimums`` of study.yaml.
    """
    out = []
    for row in one.stats.itertuples():
        back = behind.get(str(row.marker), Background("none", ()))
        n, few = int(row.n_events), int(row.n_events) < minimums["events_statistic"]
        median = math.nan if few else float(row.median)
        delta = median - back.median
        noise = (
            _Z * _MEDIAN_SE * math.sqrt(row.rsd**2 / n + back.rsd**2 / back.n_events)
            if n and back.n_events
            else math.nan
        )
        counted = row.n_positive is not None and not pd.isna(row.n_positive) and n >= minimums["events_percentage"]
        low, high = share_interval(int(row.n_positive), n) if counted else (math.nan, math.nan)
        flags = [
            "few_events" if few else "low_events" if n < minimums["events_warning"] else "",
            "no_control" if back.kind == "none" else "",
            "other_condition_control" if back.kind == "fmo_same_donor" else "",
            "unstained_control" if back.kind == "unstained_same_condition" else "",
            "pooled_control" if back.kind == "fmo_pooled" else "",
            "control_gated_alike" if back.gated_alike else "",
            "within_noise" if delta <= noise else "",
            "gates_population" if row.marker in one.gating_markers else "",
        ]
        out.append(
            {
                "fcs_file": tube.fcs_file,
                "culture_id": tube.culture_id,
                "panel_id": tube.panel_id,
                "population": row.population,
                "marker": row.marker,
                "channel": row.channel,
                "mfi_median": median,
                "rsd": math.nan if few else row.rsd,
                "control_file": ";".join(back.files),
                "control_kind": back.kind,
                "mfi_background": back.median,
                "rsd_background": back.rsd,
                "n_background": back.n_events or None,
                "delta_mfi": delta,
                "delta_mfi_noise": noise,
                "delta_mfi_lower": delta - noise,
                "censoring": "" if math.isnan(delta) else "left" if delta <= noise else "none",
                "mfi_ratio": median / back.median if back.median > 0 else math.nan,
                "stain_index": delta / (2 * back.rsd) if back.rsd > 0 else math.nan,
                "threshold": back.threshold,
                "n_positive": int(row.n_positive) if counted else None,
                "pct_positive": 100 * int(row.n_positive) / n if counted else math.nan,
                "pct_low": low,
                "pct_high": high,
                "n_events": n,
                "voltage": one.voltages.get(str(row.channel), math.nan),
                "qc": ";".join(filter(None, flags)),
            }
        )
    return out


def quadrant_rows(tube: Tube, one: Measured, behind: Mapping[str, Background], fewest: int) -> list[dict[str, Any]]:
    """Rows of ``phenotype_coexpression`` of one stained tube; none where a population is too small."""
    out = []
    for row in one.quadrants.itertuples():
        if row.n_population < fewest:
            continue
        low, high = share_interval(int(row.n_events), int(row.n_population))
        kinds = {behind[m].kind for m in (row.marker_x, row.marker_y)}
        out.append(
            {
                "fcs_file": tube.fcs_file,
                "culture_id": tube.culture_id,
                "population": row.population,
                "marker_x": row.marker_x,
                "marker_y": row.marker_y,
                "quadrant": row.quadrant,
                "n_events": row.n_events,
                "n_population": row.n_population,
                "pct": 100 * row.n_events / row.n_population,
                "pct_low": low,
                "pct_high": high,
                "qc": "control_kinds_differ" if len(kinds) > 1 else "",
            }
        )
    return out


def arms_differ(markers: pd.DataFrame, cultures: pd.DataFrame, pairs: Mapping[str, str]) -> pd.Series:
    """Whether the other arm of a pair has another kind of control for the marker.

    Parameters
    ----------
    markers
        ``phenotype_markers``.
    cultures
        culture_id, donor_id, visit and condition.
    pairs
        Reference condition of each treatment.
    """
    rows = markers.merge(cultures[["culture_id", "donor_id", "visit", "condition"]], on="culture_id", how="left")
    rows["pair"] = rows["condition"].map(pairs).fillna(rows["condition"])
    by = rows.groupby(["donor_id", "visit", "pair", "population", "marker"], dropna=False)["control_kind"]
    return pd.Series(
        (by.transform("nunique") > 1).to_numpy() & rows["donor_id"].notna().to_numpy(), index=markers.index
    )


def near_full(markers: pd.DataFrame) -> set[tuple[str, str]]:
    """Population and marker whose percentages are nearly full over the study: they are told by MFI alone."""
    if markers.empty:
        return set()
    middle = markers.groupby(["population", "marker"])["pct_positive"].median()
    return set(middle[middle >= NEAR_FULL_PCT].index)
