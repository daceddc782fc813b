"""One FCS file → everything the study wants from it, as small tables; its events are held no longer than that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

import numpy as np
import pandas as pd

from helpers.assays.flow.compensation import compensate
from helpers.assays.flow.gates import Gated, apply_gates, counts, flowjo_differences
from helpers.assays.phenotype.acquisition import acquisition
from helpers.assays.phenotype.gating import (
    QUANTILE,
    GateRow,
    Stain,
    automatic,
    column_of,
    is_dyed,
    resolved,
    robust_sd,
)
from helpers.core.cache import digest_of, remember
from helpers.core.files import refuse_changed, sha256
from helpers.core.problems import Problem, Refused
from helpers.readers.fcs import FcsFile, Values, read_fcs
from helpers.readers.gate import OWN_MATRIX, Boolean, Dimension, GateSet, Path, Population

AXES = (("CD80", "CD86"), ("CD163", "CD206"))
"""Markers of the two poles of activation: each of the first against each of the second gives four quadrants."""


@dataclass(frozen=True)
class Recipe:
    """What is to be done with one file, as plain values, so that the same file and recipe give the same answer.

    Parameters
    ----------
    rows
        Gates of the table that hold for it; empty where gates come from a file or are automatic.
    gate_file
        Digest of the FlowJo or GatingML file whose gates hold, empty for none.
    gate_set
        Name of the gates, as printed.
    stain
        Panel, markers that are not in the tube, thresholds.
    quantiles
        Share of a control below the threshold, by marker, where it is not the usual one.
    """

    gate_set: str
    rows: tuple[GateRow, ...]
    gate_file: str
    stain: Stain
    quantiles: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Measured:
    """What one file gave.

    Parameters
    ----------
    n_events
        Events of the file.
    populations
        population, parent (paths joined by “/”), n_events, n_parent, pct_parent, flowjo_n_events.
    reported
        Names of the populations whose markers are measured.
    gating_markers
        Markers by which those populations are cut.
    stats
        population, marker, channel, n_events, median, rsd, quantile, threshold, n_positive.
    quadrants
        population, marker_x, marker_y, quadrant, n_events, n_population.
    voltages
        Detector voltage by channel, where the file has it.
    cytometer
        Instrument keywords; `compensation` says which matrix was applied.
    acquired
        Rate, drift and margins over time.
    problems
        Of the file.
    """

    n_events: int
    populations: pd.DataFrame
    reported: tuple[str, ...]
    gating_markers: frozenset[str]
    stats: pd.DataFrame
    quadrants: pd.DataFrame
    voltages: dict[str, float]
    cytometer: dict[str, str]
    acquired: dict[str, float]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, eq=False)
class GatedFile:
    """A file with its gates applied; only while it is measured or drawn."""

    fcs: FcsFile
    compensated: Values
    gates: GateSet
    gated: Gated
    matrix: str


def measure(path: FilePath, file: str, recipe: Recipe, gates: GateSet | None = None) -> Measured:
    """Read, compensate, gate and measure one file; remembered by the file's and the gates' content.

    Parameters
    ----------
    path, file
        The FCS file and its path inside the study.
    recipe
        What to do.
    gates
        Gates of a gate file, whose digest stands in the recipe.

    Raises
    ------
    Refused
        Where the file or its gates cannot be used.
    """
    lacking = recipe.stain.lacking  # a set, whose order differs from one process to the next
    rest = replace(recipe, stain=replace(recipe.stain, lacking=frozenset()))
    return _measured(sha256(path), digest_of([repr(rest), *sorted(lacking)]), str(path), file, recipe, gates)


@remember("assays", ignore=("path", "recipe", "gates"))
def _measured(digest: str, what: str, path: str, file: str, recipe: Recipe, gates: GateSet | None) -> Measured:
    one = gated_file(FilePath(path), file, recipe, gates)
    refuse_changed(FilePath(path), digest, file)
    table = counts(one.gates, one.gated)
    reported, used = reported_populations(one.gates), _gating_channels(one.gates)
    stain = recipe.stain
    panel = stain.panel or tuple((c.name, c.marker or c.name) for c in one.fcs.channels if is_dyed(c.name))
    stats, quadrants = [], []
    for path_ in reported:
        mask = one.gated.members[path_] if path_ else np.ones(one.gated.n_events, dtype=bool)
        name, own = (path_[-1] if path_ else "all events"), one.compensated[mask]
        stats += _stats(name, own, one.fcs, panel, recipe)
        quadrants += _quadrants(name, own, one.fcs, stain)
    return Measured(
        n_events=one.fcs.n_events,
        populations=table,
        reported=tuple(p[-1] if p else "all events" for p in reported),
        gating_markers=frozenset(m for c, m in panel if used & {c, m}),
        stats=pd.DataFrame(stats, columns=list(_STATS)),
        quadrants=pd.DataFrame(quadrants, columns=list(_QUADRANTS)),
        voltages={c.name: c.voltage for c in one.fcs.channels if c.voltage is not None},
        cytometer={**one.fcs.cytometer, "FCS": one.fcs.version, "compensation": one.matrix},
        acquired=acquisition(one.fcs),
        problems=(*one.fcs.problems, *one.gated.problems, *flowjo_differences(one.gates, one.gated, file)),
    )


def gated_file(path: FilePath, file: str, recipe: Recipe, gates: GateSet | None = None) -> GatedFile:
    """Read, compensate and gate one file; arguments and errors as in `measure`."""
    fcs = read_fcs(path, file)
    matrix, compensated = "none", fcs.events
    named = _matrix_of(gates) if gates is not None else ""
    if gates is not None and named in gates.matrices:
        matrix = f"{named} of the gate file"
        compensated = compensate(fcs.events, fcs.names, gates.matrices[named])
    elif fcs.spillover is not None:
        same = np.abs(fcs.spillover.matrix - np.eye(len(fcs.spillover.channels))).max() < 1e-3
        matrix = "the file's own, which is the identity" if same else "the file's own"
        compensated = compensate(fcs.events, fcs.names, fcs.spillover)
    if gates is None:
        rows = recipe.rows or automatic(fcs, recipe.stain, compensated)
        gates = resolved(rows, fcs, recipe.stain, compensated)
    try:
        return _gated(fcs, compensated, gates, matrix)
    except Refused as refused:
        raise Refused([_placed(p, file) for p in refused.problems]) from None


def _gated(fcs: FcsFile, compensated: Values, gates: GateSet, matrix: str) -> GatedFile:
    own = fcs.spillover is not None and _matrix_of(gates) not in gates.matrices
    known = {OWN_MATRIX: compensated} if own else {}
    return GatedFile(
        fcs, compensated, gates, apply_gates(fcs.events, fcs.channels, gates, fcs.spillover, known), matrix
    )


def regated(one: GatedFile, rows: Sequence[GateRow], stain: Stain) -> GatedFile:
    """The same events through other gates of the table, without reading the file again.

    Parameters
    ----------
    one
        The file as `gated_file` gave it.
    rows
        Gates that hold for it.
    stain
        Panel, what the tube lacks, thresholds of its controls.
    """
    return _gated(one.fcs, one.compensated, resolved(rows, one.fcs, stain, one.compensated), one.matrix)


def _placed(problem: Problem, file: str) -> Problem:
    return Problem(problem.severity, problem.code, problem.message, problem.fix, file=file, found=problem.found)


def _matrix_of(gates: GateSet) -> str:
    """The matrix of the gate file that most of its dimensions use."""
    used = [d.compensation for p in gates.populations for d in _dimensions(p) if d.compensation in gates.matrices]
    return max(sorted(set(used)), key=used.count) if used else ""


def _dimensions(population: Population) -> Sequence[Dimension]:
    return () if isinstance(population.gate, Boolean) else population.gate.dimensions


def reported_populations(gates: GateSet) -> list[Path]:
    """Populations whose markers are measured: macrophages by their name, else every last one of the tree.

    A last population is one from which nothing is cut but a threshold or quadrants (names with + or −); a file
    without gates is measured as a whole.
    """
    paths = [p.path for p in gates.populations]
    own = [p for p in paths if p[-1].casefold() in ("am", "macrophages", "alveolar macrophages", "mac")]
    if own:
        return own
    plain = [p for p in paths if not p[-1].strip().endswith(("+", "-"))] or paths
    last = [p for p in plain if not any(q[: len(p)] == p and q != p for q in plain)]
    return last or [()]


def _gating_channels(gates: GateSet) -> frozenset[str]:
    """Channels by which the reported populations are cut: their markers are one-sided there."""
    reported = reported_populations(gates)
    before = {path[:n] for path in reported for n in range(1, len(path) + 1)}
    used = [d for p in gates.populations if p.path in before for d in _dimensions(p)]
    return frozenset(d.channel for d in used if isinstance(d.channel, str))


_STATS = ("population", "marker", "channel", "n_events", "median", "rsd", "quantile", "threshold", "n_positive")
_QUADRANTS = ("population", "marker_x", "marker_y", "quadrant", "n_events", "n_population")


def _stats(
    name: str, own: Values, fcs: FcsFile, panel: Sequence[tuple[str, str]], recipe: Recipe
) -> list[tuple[object, ...]]:
    thresholds, shares = dict(recipe.stain.thresholds), dict(recipe.quantiles)
    out: list[tuple[object, ...]] = []
    for channel, marker in panel:
        values = own[:, column_of(fcs.channels, channel)]
        values = values[np.isfinite(values)]
        edge = thresholds.get(marker, math.nan)
        quantile = float(np.quantile(values, shares.get(marker, QUANTILE))) if len(values) else math.nan
        positive = int((values >= edge).sum()) if not math.isnan(edge) else None
        median = float(np.median(values)) if len(values) else math.nan
        out.append((name, marker, channel, len(values), median, robust_sd(values), quantile, edge, positive))
    return out


def _quadrants(name: str, own: Values, fcs: FcsFile, stain: Stain) -> list[tuple[object, ...]]:
    thresholds = dict(stain.thresholds)
    out: list[tuple[object, ...]] = []
    for x in AXES[0]:
        for y in AXES[1]:
            if not {x, y} <= thresholds.keys():
                continue
            above = [own[:, column_of(fcs.channels, stain.channel(m))] >= thresholds[m] for m in (x, y)]
            for signs in ("++", "+-", "-+", "--"):
                inside = [a if s == "+" else ~a for a, s in zip(above, signs, strict=True)]
                n = int((inside[0] & inside[1]).sum())
                out.append((name, x, y, f"{x}{signs[0]}{y}{signs[1]}", n, len(own)))
    return out
