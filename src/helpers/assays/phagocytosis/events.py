"""One file's cells, summed up: what a control says of thresholds, what a well holds above them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.assays.phagocytosis.comb import Autofluorescence, Comb, autofluorescence, fit_comb
from helpers.assays.phagocytosis.population import Gates, uptake_values
from helpers.core.cache import remember
from helpers.core.files import refuse_changed
from helpers.core.problems import Problem
from helpers.readers.fcs import Values, read_fcs

BINS, CONTROL_BINS = 80, 30
SENSITIVITY = (0.95, 0.975, 0.99, 0.995, 0.999)
"""Quantiles of the control at which uptake is computed beside the one of the plan."""

Bins = tuple[tuple[float, float, int], ...]


@dataclass(frozen=True)
class Control:
    """Cells without uptake.

    Parameters
    ----------
    n_cells
        Macrophages.
    thresholds
        Fluorescence by quantile.
    background
        Centre and spread; None without cells.
    bins
        Histogram: low, high, cells.
    """

    n_cells: int
    thresholds: dict[float, float]
    background: Autofluorescence | None
    bins: Bins


@dataclass(frozen=True)
class Uptake:
    """Cells of one well against thresholds.

    Parameters
    ----------
    n_cells
        Macrophages.
    n_positive
        Above each threshold that was asked.
    mfi_median, mfi_positive
        Median fluorescence of all, and of those above the first threshold.
    mean, mean_positive
        Mean fluorescence of the same, from which total beads are computed.
    comb
        Beads per cell, a sentence why there is none, or empty where none was asked.
    bins
        Histogram.
    """

    n_cells: int
    n_positive: tuple[int, ...]
    mfi_median: float
    mfi_positive: float
    mean: float
    mean_positive: float
    comb: Comb | str
    bins: Bins


@dataclass(frozen=True)
class Source:
    """Where the cells of a well come from: a file by its digest, a label that finds the channel, the donor.

    `voltage` is that of the uptake's detector; None where the file does not say it, or its channel cannot be told.
    """

    digest: str
    path: str
    file: str
    label: str
    donor_id: str = ""
    voltage: float | None = None


@dataclass(frozen=True)
class Choice:
    """How a file's cells were chosen: `Chosen` without its events, and with what the file itself made said."""

    gates: str
    unfit: str
    problems: tuple[Problem, ...]


def control_of(values: Values, quantiles: tuple[float, ...]) -> Control:
    """Thresholds, centre and histogram of cells without uptake.

    Parameters
    ----------
    values
        Linear fluorescence, one a cell.
    quantiles
        Between 0 and 1.
    """
    if not len(values):
        return Control(0, {}, None, ())
    found = dict(zip(quantiles, map(float, np.quantile(values, quantiles)), strict=True))
    return Control(len(values), found, autofluorescence(values), histogram(values, CONTROL_BINS))


def uptake_of(values: Values, thresholds: tuple[float, ...], background: Autofluorescence | None) -> Uptake:
    """Cells above thresholds, and the comb where the autofluorescence is given.

    Parameters
    ----------
    values
        Linear fluorescence, one a cell.
    thresholds
        The first one decides which cells are positive; NaN asks nothing.
    background
        None asks for no comb.
    """
    if not len(values):
        nothing = float("nan")
        return Uptake(0, tuple(0 for _ in thresholds), nothing, nothing, nothing, nothing, "", ())
    above = values[values > thresholds[0]]
    return Uptake(
        len(values),
        tuple(int((values > t).sum()) for t in thresholds),
        float(np.median(values)),
        float(np.median(above)) if len(above) else float("nan"),
        float(values.mean()),
        float(above.mean()) if len(above) else float("nan"),
        fit_comb(values, background) if background is not None else "",
        histogram(values, BINS),
    )


def histogram(values: Values, bins: int) -> Bins:
    """Counts in even bins between the 0.1 and 99.5 % quantiles; the first and last bin hold what lies beyond.

    Examples
    --------
    >>> sum(n for _, _, n in histogram(np.arange(1000.0), 10))
    1000
    """
    low, high = map(float, np.quantile(values, (0.001, 0.995)))
    if not high > low:
        return ((low, low, len(values)),)
    edges = np.linspace(low, high, bins + 1)
    counts = np.histogram(np.clip(values, low, high), edges)[0]
    return tuple((float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True))


def read_control(source: Source, gates: Gates, quantiles: tuple[float, ...]) -> tuple[Control, Choice]:
    """A control's FCS file, summed up, and how its cells were chosen.

    Raises
    ------
    Refused
        Where the file cannot be read.
    """
    of_gates = gates.digest_for(source.file, source.donor_id)
    key = (of_gates, gates.population, source.label, source.file, source.donor_id)
    return _control(source.digest, *key, quantiles, source, gates)


@remember("assays", ignore=("source", "gates"))
def _control(
    digest: str,
    gates_digest: str,
    population: str,
    label: str,
    file: str,
    donor_id: str,
    quantiles: tuple[float, ...],
    source: Source,
    gates: Gates,
) -> tuple[Control, Choice]:
    values, choice = _values(source, gates)
    return control_of(values, quantiles), choice


def read_uptake(
    source: Source, gates: Gates, thresholds: tuple[float, ...], background: Autofluorescence | None
) -> tuple[Uptake, Choice]:
    """A well's FCS file against thresholds; otherwise as `read_control`."""
    of_gates = gates.digest_for(source.file, source.donor_id)
    key = (of_gates, gates.population, source.label, source.file, source.donor_id)
    return _uptake(source.digest, *key, repr(thresholds), repr(background), thresholds, background, source, gates)


@remember("assays", ignore=("thresholds", "background", "source", "gates"))
def _uptake(
    digest: str,
    gates_digest: str,
    population: str,
    label: str,
    file: str,
    donor_id: str,
    thresholds_key: str,
    background_key: str,
    thresholds: tuple[float, ...],
    background: Autofluorescence | None,
    source: Source,
    gates: Gates,
) -> tuple[Uptake, Choice]:
    values, choice = _values(source, gates)
    return uptake_of(values, thresholds, background), choice


def _values(source: Source, gates: Gates) -> tuple[Values, Choice]:
    """The macrophages' values; the events of the file are let go before another is read."""
    fcs = read_fcs(Path(source.path), source.file)
    refuse_changed(Path(source.path), source.digest, source.file)
    values, chosen = uptake_values(fcs, source.label, source.donor_id, gates)
    return values, Choice(chosen.gates, chosen.unfit, (*fcs.problems, *chosen.problems))
