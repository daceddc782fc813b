"""One gate of one file with another edge: what it would keep, by the same steps that measure the study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from helpers.assays.flow.gates import counts
from helpers.assays.phenotype.gate_choice import read_gates
from helpers.assays.phenotype.gating import GateRow, Stain, written
from helpers.assays.phenotype.measure import GatedFile, gated_file, regated
from helpers.assays.phenotype.pictures import Axis, Step, step_of
from helpers.assays.phenotype.samples import Tube, file_path, panel_markers, tubes
from helpers.assays.phenotype.tasks import tasks_of
from helpers.core.cache import digest_of
from helpers.core.problems import Problem, Refused
from helpers.readers.gate import Population, Rectangle

MOVABLE = ("rectangle", "threshold", "singlets")
"""Kinds of gates with edges that can be moved one by one."""


@dataclass(frozen=True, eq=False)
class OpenTube:
    """A file with its gates, ready to be gated again with another edge.

    Parameters
    ----------
    tube
        Whose cells; not for those who gate.
    gate_set
        Name of its gates in phenotype/gates.
    rows
        Gates that hold for it, overrides chosen.
    common
        Gate of everyone else, by population.
    stain
        Panel and thresholds of its controls.
    one
        Its events with the gates as they stand.
    """

    tube: Tube
    gate_set: str
    rows: tuple[GateRow, ...]
    common: dict[str, GateRow]
    stain: Stain
    one: GatedFile

    def row(self, population: str) -> GateRow:
        """The gate that holds for a population."""
        return next(r for r in self.rows if r.population == population)


def open_tube(
    folder: Path,
    tables: Mapping[str, pd.DataFrame],
    fcs_file: str,
    thresholds: Mapping[str, float],
    quarantined: AbstractSet[tuple[str, str]] = frozenset(),
) -> OpenTube:
    """Read one file with its gates.

    Parameters
    ----------
    folder, tables
        The study folder and its typed input tables.
    fcs_file
        Which file.
    thresholds
        Its markers' thresholds from their controls, from ``phenotype_markers``.
    quarantined
        What the checks set aside.

    Raises
    ------
    Refused
        Where its gates do not stand in phenotype/gates, or the file cannot be used.
    """
    tube = next(t for t in tubes(tables, quarantined) if t.fcs_file == fcs_file)
    gates, _ = read_gates(folder, tables["phenotype/gates"])
    panels = panel_markers(tables)
    tasks, said = tasks_of([tube], panels, gates, {fcs_file: tuple(thresholds.items())})
    if not tasks:
        raise Refused([replace(p, severity="error") for p in said])
    _, recipe, _, source = tasks[0]
    if source != "table":
        message = "The gates of this file do not stand in phenotype/gates, so that no edge of theirs can be moved here."
        fix = "Change them where they were made, or write gates into phenotype/gates."
        raise Refused([Problem("error", "gates-elsewhere", message, fix, found=recipe.gate_set)])
    common = {r.population: r for r in gates.sets[recipe.gate_set] if not r.override_for}
    path, file = file_path(folder, fcs_file)
    return OpenTube(tube, recipe.gate_set, recipe.rows, common, recipe.stain, gated_file(path, file, recipe))


@dataclass(frozen=True)
class Edge:
    """One edge that can be moved.

    Parameters
    ----------
    place
        Its place among the edges of the gate's row.
    side
        lower or upper.
    channel
        Marker or channel, or height over area.
    value
        Where it stands, FCS scale value.
    dimension
        0 or 1: which axis of the plot.
    """

    place: int
    side: str
    channel: str
    value: float
    dimension: int


def movable(tube: OpenTube) -> list[str]:
    """Populations of a tube whose gates have an edge to move."""
    return [r.population for r in tube.rows if r.kind in MOVABLE and edges_of(tube, r.population)]


def edges_of(tube: OpenTube, population: str) -> list[Edge]:
    """Edges of a gate that can be moved, where they stand now; automatic ones as they were found in the file.

    Parameters
    ----------
    tube
        The file.
    population
        Which gate.
    """
    row, now = tube.row(population), current_edges(tube, population)
    gate = _population(tube.one, population).gate if row.kind in MOVABLE else None
    if not isinstance(gate, Rectangle) or not any(map(math.isfinite, (*gate.lows, *gate.highs))):
        return []  # a tube that lacks the marker lets everything through
    names = row.channels if row.kind == "rectangle" else (row.channels[0],)
    if row.kind == "singlets":
        names = (f"{row.channels[1]} over {row.channels[0]}",)
    if row.kind == "threshold":
        side = "upper" if "below" in row.rule.casefold() else "lower"
        return [Edge(0, side, names[0], now[0], 0)] if now and math.isfinite(now[0]) else []
    sides = ("lower", "upper")
    return [Edge(i, sides[i % 2], names[i // 2], value, i // 2) for i, value in enumerate(now) if math.isfinite(value)]


def current_edges(tube: OpenTube, population: str) -> tuple[float, ...]:
    """Edges of a gate as a row of phenotype/gates has them; those that a rule gives are taken from the file."""
    row = tube.row(population)
    if row.edges or row.kind not in MOVABLE:
        return row.edges
    gate = _population(tube.one, population).gate
    if not isinstance(gate, Rectangle):
        return ()
    if row.kind == "threshold":
        below = "below" in row.rule.casefold()
        return (gate.highs[0] if below else gate.lows[0],)
    return (gate.lows[0], gate.highs[0])


def _population(one: GatedFile, name: str) -> Population:
    return next(p for p in one.gates.populations if p.path[-1] == name)


def as_written(value: float) -> float:
    """The number that a table will hold: what is shown must be what is read again.

    Examples
    --------
    >>> as_written(1234.56789012345)
    1234.56789
    """
    return float(written((value,)))


def with_edge(tube: OpenTube, population: str, place: int, value: float) -> GateRow:
    """The gate's row for this file alone, with one edge elsewhere.

    Parameters
    ----------
    tube
        The file.
    population
        Which gate.
    place
        Which edge, of `Edge`.
    value
        Where it is to stand, FCS scale value.

    Raises
    ------
    Refused
        Where the edge is no number, or the lower edge is not below the upper one.
    """
    row = tube.row(population)
    edges = [as_written(e) if math.isfinite(e) else math.nan for e in current_edges(tube, population)]
    edges[place] = as_written(value) if math.isfinite(value) else math.inf
    pairs = zip(edges[::2], edges[1::2], strict=False)
    if math.isinf(edges[place]) or any(low >= high for low, high in pairs if row.kind != "threshold"):
        message = "An edge is a number, and the lower edge of a gate lies below its upper one."
        raise Refused([Problem("error", "gate-edge", message, "Move the edge back.", found=f"{value:.10g}")])
    rule = "below" if "below" in row.rule.casefold() else ""
    return replace(row, edges=tuple(edges), rule=rule, override_for=tube.tube.fcs_file, reason="")


def moved(tube: OpenTube, row: GateRow) -> GatedFile:
    """The file gated with another row in place of the one that holds for its population.

    Parameters
    ----------
    tube
        The file.
    row
        From `with_edge`, or the common row.
    """
    rows = [row if r.population == row.population else r for r in tube.rows]
    return regated(tube.one, rows, tube.stain)


def step(tube: OpenTube, one: GatedFile, population: str) -> Step:
    """A gate of a gated file as a plot needs it."""
    return step_of(_population(one, population), one, tube.stain)


def axis_of(tube: OpenTube, edge: Edge, population: str) -> Axis | None:
    """The axis along which an edge is moved; none for height over area, which is no axis of the plot."""
    if tube.row(population).kind == "singlets":
        return None
    drawn = step(tube, tube.one, population)
    return drawn.y if edge.dimension else drawn.x


def shares(tube: OpenTube, one: GatedFile) -> pd.DataFrame:
    """Counts and shares of all populations of the one file: as the gates stand, and as they would be.

    Parameters
    ----------
    tube
        The file as it stands.
    one
        From `moved`.

    Returns
    -------
    population, n_parent_stored, n_events_stored, pct_parent_stored, n_parent, n_events, pct_parent.
    """
    stored, now = counts(tube.one.gates, tube.one.gated), counts(one.gates, one.gated)
    columns = ["population", "n_parent", "n_events", "pct_parent"]
    return stored[columns].merge(now[columns], on="population", suffixes=("_stored", ""))


def blinded(everyone: Sequence[Tube], salt: str) -> dict[str, str]:
    """Labels that tell nothing, each with its file: stained tubes first, in the order of the labels.

    Parameters
    ----------
    everyone
        Tubes of the study.
    salt
        Code of the study, so that the same name has another label in another study.

    Examples
    --------
    >>> one = Tube("D01_am.fcs", "", "", "D01", "apap", "am", (), "P1", "stained", (), "", "", "")
    >>> blinded([one], "demo")
    {'Tube pgqp, stained': 'D01_am.fcs'}
    """
    letters = str.maketrans("0123456789abcdef", "bcdfghjkmnpqrstv")
    whole = {t.fcs_file: digest_of([salt, t.fcs_file]).translate(letters) for t in everyone}
    length = next(n for n in range(4, 65) if len({code[:n] for code in whole.values()}) == len(whole))
    codes = {file: code[:length] for file, code in whole.items()}
    order = sorted(everyone, key=lambda t: (t.role != "stained", t.role, codes[t.fcs_file]))
    return {f"Tube {codes[t.fcs_file]}, {t.role}": t.fcs_file for t in order}
