"""Gates of a study as a table: rows, overrides with their reason, and what a row means for one file.

Edges are FCS scale values, compensated where the file has a matrix, as the instrument's software shows them.
A polygon or ellipse is straight where people draw it: on a logicle scale for dyes, on a linear one for scatter.
A gate on a marker that a control tube lacks lets everything through in that tube.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from helpers.assays.flow.gates import Mask, apply_gates
from helpers.assays.flow.transforms import transformed
from helpers.core.problems import Problem, Refused
from helpers.readers.fcs import Channel, FcsFile, Values
from helpers.readers.gate import (
    OWN_MATRIX,
    RAW,
    Boolean,
    Dimension,
    Ellipsoid,
    GateSet,
    Logicle,
    Path,
    Polygon,
    Population,
    Ratio,
    Rectangle,
)

SINGLET_SPREAD = 3.0
"""Automatic singlets: height over area within so many robust SD of the parent's median."""
QUANTILE = 0.99
"""Share of a control below a threshold that comes from it."""
_NUMBERS = {"rectangle": (2, 4), "ellipse": (6,), "quadrant": (2,), "threshold": (1,), "singlets": (2,)}
_UNDYED = re.compile(r"(fsc|ssc|fs|ss|time|event|width)(?![a-z])", re.I)


@dataclass(frozen=True)
class GateRow:
    """One row of phenotype/gates; an open edge is NaN."""

    population: str
    parent: str
    kind: str
    channels: tuple[str, ...]
    edges: tuple[float, ...]
    rule: str
    override_for: str
    reason: str
    version: str

    @property
    def from_control(self) -> bool:
        """Whether the edge comes from a control tube."""
        return self.kind in ("threshold", "quadrant") and not self.edges

    @property
    def quantile(self) -> float:
        """Share of the control below the threshold: the number in `rule` in percent, else `QUANTILE`."""
        found = re.search(r"\d+(\.\d+)?", self.rule)
        return float(found[0]) / 100 if found else QUANTILE


def read_rows(table: pd.DataFrame, file: str = "phenotype/gates") -> tuple[dict[str, list[GateRow]], list[Problem]]:
    """Rows of the table by gate set; a row that cannot be read is a problem and its gate set has no gates.

    Parameters
    ----------
    table
        The typed input table phenotype/gates.
    file
        For messages.
    """
    sets: dict[str, list[GateRow]] = {}
    problems: list[Problem] = []
    broken: set[str] = set()
    for record in table.to_dict("records"):
        text = {str(k): "" if pd.isna(v) else str(v) for k, v in record.items()}
        channels = tuple(c.strip() for c in text["channels"].split(";"))
        edges = tuple(_edge(e) for e in text["edges"].split(";")) if text["edges"].strip() else ()
        row = GateRow(
            population=text["population"],
            parent=text["parent"],
            kind=text["kind"],
            channels=channels,
            edges=edges,
            rule=text["rule"],
            override_for=text["override_for"],
            reason=text["reason"],
            version=text["version"],
        )
        said = _wrong(row)
        if said:
            broken.add(text["gate_set"])
            message = f"{said} The gate set is not used."
            fix = "See the dictionary of phenotype/gates for the edges of each kind."
            found = f"{row.population}: {text['channels']} | {text['edges']}"
            problems.append(
                Problem(
                    "quarantine",
                    "gate-row",
                    message,
                    fix,
                    file=file,
                    found=found,
                    entity=f"gates {text['gate_set']}",
                )
            )
        sets.setdefault(text["gate_set"], []).append(row)
        if row.override_for and not row.reason:
            message = "A gate is changed for one donor or file without a reason."
            problems.append(
                Problem("warning", "override-reason", message, "Fill in reason.", file=file, found=row.population)
            )
    return {name: rows for name, rows in sets.items() if name not in broken}, problems


def _edge(text: str) -> float:
    try:
        return float(text) if text.strip() else math.nan
    except ValueError:
        return math.inf  # no gate has it; said by _wrong


def _wrong(row: GateRow) -> str:
    """What is wrong with a row, as a sentence; empty where nothing is."""
    if any(math.isinf(e) for e in row.edges):
        return "An edge is no number; leave an open side empty."
    if row.kind == "polygon":
        closed = len(row.edges) >= 6 and len(row.edges) % 2 == 0 and not any(map(math.isnan, row.edges))
        return "" if len(row.channels) == 2 and closed else "A polygon has two channels and three corners or more."
    width = {"threshold": (1,), "rectangle": (1, 2)}.get(row.kind, (2,))
    if len(row.channels) not in width:
        return f"A gate of the kind {row.kind} has another number of channels."
    if not row.edges:
        wanted = row.kind == "singlets" or "control" in row.rule.casefold()
        return "" if wanted and row.kind not in ("rectangle", "ellipse") else "A gate has neither edges nor a rule."
    if len(row.edges) not in _NUMBERS[row.kind] or (
        row.kind == "rectangle" and len(row.edges) != 2 * len(row.channels)
    ):
        return f"A gate of the kind {row.kind} has another number of edges."
    if row.kind not in ("rectangle", "singlets") and any(map(math.isnan, row.edges)):
        return f"A gate of the kind {row.kind} has no open edge."
    return ""


def rows_for(rows: Iterable[GateRow], donor_id: str, fcs_file: str) -> tuple[GateRow, ...]:
    """The rows that hold for one file: the file's own before the donor's before everyone's."""
    found: dict[str, tuple[int, GateRow]] = {}
    for row in rows:
        rank = {"": 0, donor_id or None: 1, fcs_file: 2}.get(row.override_for)
        if rank is not None and rank >= found.get(row.population, (-1, row))[0]:
            found[row.population] = (rank, row)
    order = list(dict.fromkeys(row.population for row in rows if row.population in found))
    return tuple(found[name][1] for name in order)


@dataclass(frozen=True)
class Stain:
    """What gates need to know of a tube.

    Parameters
    ----------
    panel
        Channel and marker of every detector.
    lacking
        Markers that are not in the tube; all of them in an unstained one.
    thresholds
        Markers' thresholds from their controls.
    """

    panel: tuple[tuple[str, str], ...]
    lacking: frozenset[str]
    thresholds: tuple[tuple[str, float], ...] = ()

    def channel(self, name: str) -> str:
        """Channel of a marker; a channel stays what it is."""
        return next((c for c, m in self.panel if m == name), name)

    def marker(self, name: str) -> str:
        """Marker of a channel or of a marker; empty where the panel has none."""
        return next((m for c, m in self.panel if name in (c, m)), "")


def is_dyed(channel: str) -> bool:
    """Whether a channel holds fluorescence, by its name.

    Examples
    --------
    >>> is_dyed("PE-A"), is_dyed("FSC-A"), is_dyed("Time")
    (True, False, False)
    """
    return not _UNDYED.match(channel)


def resolved(rows: Sequence[GateRow], fcs: FcsFile, stain: Stain, compensated: Values) -> GateSet:
    """Gates of one file: overrides are chosen already; automatic edges are taken from its events.

    Parameters
    ----------
    rows
        From `rows_for`.
    fcs
        The file.
    stain
        Panel, what the tube lacks, thresholds of its controls.
    compensated
        Its events, compensated where it has a matrix.

    Raises
    ------
    Refused
        Where a parent is not there, or parents stand in a circle.
    """
    paths = _paths(rows)
    matrix = OWN_MATRIX if fcs.spillover is not None else RAW
    made: list[Population] = []
    for row in sorted(rows, key=lambda r: len(paths[r.population])):
        path = paths[row.population]
        made += _populations(row, path, fcs, stain, compensated, matrix, made)
    return GateSet(tuple(made))


def _paths(rows: Sequence[GateRow]) -> dict[str, Path]:
    parents = {row.population: row.parent for row in rows}
    paths: dict[str, Path] = {}
    for name in parents:
        path, at = [name], parents[name]
        while at:
            if at not in parents or at in path:
                message = "A gate's parent is not among the gates, or gates are each other's parents."
                fix = "Write the name of another population into parent, or leave it empty."
                raise Refused([Problem("error", "gate-parent", message, fix, found=f"{name} in {at}")])
            path.append(at)
            at = parents[at]
        paths[name] = tuple(reversed(path))
    return paths


def _populations(
    row: GateRow, path: Path, fcs: FcsFile, stain: Stain, events: Values, matrix: str, before: Sequence[Population]
) -> list[Population]:
    names = [stain.channel(c) for c in row.channels]
    markers = [stain.marker(c) for c in row.channels]
    dims = [Dimension(n, None, matrix if is_dyed(n) else RAW) for n in names]
    everything = Rectangle((dims[0],), (-math.inf,), (math.inf,))
    if any(m in stain.lacking for m in markers if m):
        return [Population(path, everything)]
    edges = row.edges
    if row.from_control:
        known = dict(stain.thresholds)
        edges = tuple(known.get(m, math.nan) for m in markers)
        if any(map(math.isnan, edges)):
            return [Population(path, everything)]
    match row.kind:
        case "rectangle":
            lows = [-math.inf if math.isnan(e) else e for e in edges[::2]]
            highs = [math.inf if math.isnan(e) else e for e in edges[1::2]]
            return [Population(path, Rectangle(tuple(dims), tuple(lows), tuple(highs)))]
        case "threshold":
            below = "below" in row.rule.casefold()
            side = (-math.inf, edges[0]) if below else (edges[0], math.inf)
            return [Population(path, Rectangle(tuple(dims), (side[0],), (side[1],)))]
        case "singlets":
            low, high = edges if edges else _singlets(fcs, path, names, before, events)
            ratio = Dimension(Ratio(names[1], names[0]))
            return [Population(path, Rectangle((ratio,), (low,), (high,)))]
        case "quadrant":
            return _quadrants(path, row.channels, dims, edges)
        case "polygon":
            corners = np.array(edges).reshape(-1, 2)
            scaled, drawn = _drawn(dims, corners)
            return [Population(path, Polygon((scaled[0], scaled[1]), tuple(map(tuple, drawn.tolist()))))]
    scaled, points = _drawn(dims, np.array(edges).reshape(3, 2))
    axes = (points[1:] - points[0]).T
    covariance = tuple(map(tuple, (axes @ axes.T).tolist()))
    return [Population(path, Ellipsoid(tuple(scaled), tuple(points[0].tolist()), covariance, 1.0))]


def _quadrants(path: Path, names: Sequence[str], dims: Sequence[Dimension], edges: Sequence[float]) -> list[Population]:
    sides = {"+": (0, math.inf), "-": (-math.inf, 0)}
    out = []
    for x, y in ("++", "+-", "-+", "--"):
        lows = tuple(sides[s][0] + e for s, e in zip((x, y), edges, strict=True))
        highs = tuple(sides[s][1] + e for s, e in zip((x, y), edges, strict=True))
        out.append(Population((*path[:-1], f"{names[0]}{x}{names[1]}{y}"), Rectangle(tuple(dims), lows, highs)))
    return out


def _drawn(dims: Sequence[Dimension], corners: np.ndarray) -> tuple[list[Dimension], np.ndarray]:
    """Dimensions and points on the scale people draw on."""
    scale = [Logicle() if is_dyed(str(d.channel)) else None for d in dims]
    scaled = [Dimension(d.channel, s, d.compensation) for d, s in zip(dims, scale, strict=True)]
    columns = [transformed(corners[:, i].astype(np.float64), s) for i, s in enumerate(scale)]
    return scaled, np.column_stack(columns)


def _singlets(
    fcs: FcsFile, path: Path, names: Sequence[str], before: Sequence[Population], events: Values
) -> tuple[float, float]:
    """Height over area within `SINGLET_SPREAD` robust SD of the median of the parent's events."""
    own = {len(path[:n]): path[:n] for n in range(1, len(path))}.values()
    ancestors = tuple(p for p in before if p.path in set(own))
    mask: Mask = np.ones(len(fcs.events), dtype=bool)
    if ancestors:
        gated = apply_gates(fcs.events, fcs.channels, GateSet(ancestors), fcs.spillover, {OWN_MATRIX: events})
        mask = gated.members[path[:-1]]
    area, height = (fcs.events[mask, column_of(fcs.channels, n)] for n in names)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = height / area
    ratio = ratio[np.isfinite(ratio)]
    if not len(ratio):
        return -math.inf, math.inf
    middle, spread = float(np.median(ratio)), robust_sd(ratio)
    return middle - SINGLET_SPREAD * spread, middle + SINGLET_SPREAD * spread


def column_of(channels: Sequence[Channel], name: str) -> int:
    """Column of a channel by $PnN, else by a $PnS that stands once.

    Raises
    ------
    Refused
        Where there is none.
    """
    for labels in ([c.name for c in channels], [c.marker for c in channels]):
        if labels.count(name) == 1:
            return labels.index(name)
    message = "A channel that the panel or a gate names is not in this file."
    fix = "Write the channel as the file names it ($PnN) into phenotype/panels and phenotype/gates."
    raise Refused([Problem("error", "channel-missing", message, fix, found=name)])


def robust_sd(values: Values) -> float:
    """Half the distance of the 15.87th and 84.13th percentile: an SD that a few bright cells do not move.

    Examples
    --------
    >>> round(robust_sd(np.random.default_rng(1).normal(size=100_000)), 2)
    1.0
    """
    if not len(values):
        return math.nan
    low, high = np.percentile(values, [15.865525, 84.134475])
    return float(high - low) / 2


def without_channels(gates: GateSet, channels: frozenset[str]) -> GateSet:
    """Gates of a gate file for a control tube: those on dyes that the tube lacks let everything through.

    Counts stored for them and for what is cut from them no longer apply and are dropped.

    Parameters
    ----------
    gates
        As read.
    channels
        Detectors and markers of the dyes that are not in the tube.
    """
    opened = {p.path for p in gates.populations if _uses(p, channels)}
    if not opened:
        return gates
    out = []
    for one in gates.populations:
        below = any(one.path[: len(path)] == path for path in opened) or isinstance(one.gate, Boolean)
        stored = None if below else one.stored_events
        if one.path in opened and not isinstance(one.gate, Boolean):
            everything = Rectangle((one.gate.dimensions[0],), (-math.inf,), (math.inf,))
            out.append(Population(one.path, everything, stored_events=stored))
        else:
            out.append(replace(one, stored_events=stored))
    return replace(gates, populations=tuple(out))


def _uses(population: Population, channels: frozenset[str]) -> bool:
    if isinstance(population.gate, Boolean):
        return False
    return any(isinstance(d.channel, str) and d.channel in channels for d in population.gate.dimensions)


# ---- the automatic starting gate


_DEAD = re.compile(r"viab|live|dead|zombie|7-?aad|dapi|sytox|draq7|\bPI\b|vivid", re.I)
VALLEY_DEPTH = 0.5
"""Density of a valley over that of the lower peak, from which on two heaps are taken for one."""
_BINS = 128
_MACROPHAGE = ("CD169", "CD64", "CD68", "CD206", "CD11b")


def automatic(fcs: FcsFile, stain: Stain, compensated: Values) -> tuple[GateRow, ...]:
    """A starting gate from the events of one file: debris, singlets, viability, CD45, macrophage marker.

    Each edge is the valley between two heaps, scatter on its own scale, dyes on logicle; where there is one heap
    the edge stays open. It is a proposal: whoever uses it must look at it.

    Parameters
    ----------
    fcs, stain, compensated
        As in `resolved`.
    """
    names = [c.name for c in fcs.channels]
    area = next((n for n in names if re.fullmatch(r"FSC-A|FSC-H|FSC|FS", n, re.I)), "")
    height = next((n for n in names if n.upper() == "FSC-H"), "")
    steps: list[tuple[str, str, str, Callable[[float], tuple[float, float]]]] = []
    if area:
        steps.append(("Cells", "rectangle", area, lambda e: (e, math.nan)))
    if area and height and height != area:
        steps.append(("Singlets", "singlets", f"{area};{height}", lambda e: (e, e)))
    markers = [m for c, m in stain.panel if c in names]
    dead = next((m for m in markers if _DEAD.search(m)), "")
    if dead:
        steps.append(("Live", "rectangle", dead, lambda e: (math.nan, e)))
    if "CD45" in markers:
        steps.append(("CD45+", "rectangle", "CD45", lambda e: (e, math.nan)))
    own = next((m for m in _MACROPHAGE if m in markers), "")
    if own:
        steps.append(("AM", "rectangle", own, lambda e: (e, math.nan)))
    rows: list[GateRow] = []
    for name, kind, channels, side in steps:
        if kind == "singlets":
            edges: tuple[float, ...] = ()
        else:
            mask = _last(rows, fcs, stain, compensated)
            channel = stain.channel(channels)
            edges = side(_valley(compensated[mask, column_of(fcs.channels, channel)], is_dyed(channel)))
        parent = rows[-1].population if rows else ""
        rows.append(GateRow(name, parent, kind, tuple(channels.split(";")), edges, "automatic", "", "", ""))
    return tuple(rows)


def _last(rows: Sequence[GateRow], fcs: FcsFile, stain: Stain, compensated: Values) -> Mask:
    if not rows:
        return np.ones(len(fcs.events), dtype=bool)
    gates = resolved(rows, fcs, stain, compensated)
    gated = apply_gates(fcs.events, fcs.channels, gates, fcs.spillover, {OWN_MATRIX: compensated})
    return gated.members[max(gated.members, key=len)]


def _valley(values: Values, dyed: bool) -> float:
    """Lowest place between two heaps, on logicle for dyes; NaN, an open edge, where there are not two.

    Otsu's rule (1979) tells the sides apart; there are two heaps where the smoothed density falls below
    `VALLEY_DEPTH` of the lower of both peaks, and each side holds one event in a hundred and at least ten.
    """
    values = values[np.isfinite(values)]
    if len(values) < 2 or values.min() == values.max():
        return math.nan
    seen = transformed(values, Logicle()) if dyed else values
    counts, edges = np.histogram(seen, _BINS)
    middle = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * middle)
    above = len(seen) - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    split = int(np.nanargmax(between)) + 1
    smooth = np.convolve(counts, np.exp(-0.5 * (np.arange(-12, 13) / 4) ** 2), mode="same")
    left, right = int(np.argmax(smooth[:split])), split + int(np.argmax(smooth[split:]))
    lowest = smooth[left : right + 1].min()
    # where a gap lies between the heaps every edge in it is as good; its middle is taken
    at = float(middle[left : right + 1][smooth[left : right + 1] <= lowest * (1 + 1e-9)].mean())
    sides = int((seen < at).sum()), int((seen >= at).sum())
    if lowest > VALLEY_DEPTH * min(smooth[left], smooth[right]) or min(sides) < max(10, 0.01 * len(seen)):
        return math.nan
    # the FCS scale value at the edge: the smallest value that lies above it
    return float(values[seen >= at].min())


def overrides(
    sets: Mapping[str, Sequence[GateRow]], donors: Mapping[str, Sequence[str]], controls: Mapping[str, int]
) -> pd.DataFrame:
    """The log of changed gates, one row an override, with the number of files it holds for.

    Parameters
    ----------
    sets
        Rows by gate set.
    donors
        Files of every donor.
    controls
        Number of control tubes that are gated as a file is, for that file.
    """
    columns = ["gate_set", "population", "override_for", "n_files", "n_controls", "edges", "edges_of_all"]
    out = []
    for name, rows in sets.items():
        common = {r.population: r for r in rows if not r.override_for}
        for row in rows:
            if row.override_for:
                general = common.get(row.population)
                files = donors.get(row.override_for, [row.override_for])
                out.append(
                    (
                        name,
                        row.population,
                        row.override_for,
                        len(files),
                        controls.get(row.override_for, 0),
                        written(row.edges),
                        written(general.edges) if general else "",
                        row.reason,
                        row.version,
                    )
                )
    return pd.DataFrame(out, columns=[*columns, "reason", "version"])


def written(edges: Sequence[float]) -> str:
    """Edges as a cell of phenotype/gates: separated by semicolons, an open one empty.

    Examples
    --------
    >>> written((math.nan, 1800.0))
    ';1800'
    """
    return ";".join("" if math.isnan(e) else f"{e:.10g}" for e in edges)
