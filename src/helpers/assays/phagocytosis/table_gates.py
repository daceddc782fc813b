"""Gates of the study's gates table for uptake files: which gate set holds for a file, or why none does.

A gate set was drawn on the phenotype panel. It holds for an uptake file only where every gate on the way to the
wanted population finds its channel there with the same marker: the same detector may carry another dye. Edges hold
at the voltages they were drawn at, so the detector must stand at the voltage that it has in the phenotype's files.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from helpers.assays.phenotype.gating import GateRow, Stain, is_dyed, read_rows, rows_for
from helpers.assays.phenotype.samples import file_path, panel_markers
from helpers.core.problems import Problem, Refused
from helpers.readers.fcs import FcsFile, read_fcs_header

NO_TABLE = "none"
"""Value of phagocytosis.gate_set in study.yaml that leaves the gates table to the phenotype."""

Panel = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TableGates:
    """The gates table, as uptake files need it.

    Parameters
    ----------
    sets
        Rows by gate set.
    panels
        Channel and marker of every detector, by gate set; a gate set without a panel of its own has none.
    wanted
        Gate set that study.yaml names; empty to take the only one that holds for a file.
    voltages
        Commonest voltage of each detector in the stained files of the phenotype, by gate set.
    """

    sets: dict[str, list[GateRow]] = field(default_factory=dict)
    panels: dict[str, Panel] = field(default_factory=dict)
    wanted: str = ""
    voltages: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """A gate set that holds for a file: its name, the rows down to the population, and their channels there."""

    gate_set: str
    rows: tuple[GateRow, ...]
    stain: Stain


def read_table_gates(folder: Path, tables: Mapping[str, pd.DataFrame], wanted: str) -> tuple[TableGates, list[Problem]]:
    """Gate sets of phenotype/gates with their panels and the voltages they are used at.

    A gate set's panel is the one of the same name, else the only one there is.

    Parameters
    ----------
    folder, tables
        The study folder and its typed input tables.
    wanted
        phagocytosis.gate_set of study.yaml.

    Returns
    -------
    The gates, and what is said of the table where no phenotype file makes that assay say it.
    """
    if wanted == NO_TABLE:
        return TableGates(), []
    sets, problems = read_rows(tables["phenotype/gates"])
    known = panel_markers(tables)
    only = next(iter(known.values())) if len(known) == 1 else ()
    voltages = _voltages(folder, tables["phenotype/samples"], list(sets))
    gates = TableGates(sets, {name: known.get(name, only) for name in sets}, wanted, voltages)
    unsaid = [p for p in problems if tables["phenotype/samples"].empty]
    if wanted and wanted not in sets:
        message = "study.yaml names a gate set for uptake that is not in phenotype/gates, or that could not be read."
        fix = "Correct phagocytosis.gate_set, or leave it out."
        expected = ", ".join(sets) or "a gate set of phenotype/gates"
        unsaid.append(
            Problem("warning", "gate-set-missing", message, fix, "study.yaml", found=wanted, expected=expected)
        )
    return gates, unsaid


def _voltages(folder: Path, samples: pd.DataFrame, sets: Sequence[str]) -> dict[str, dict[str, float]]:
    """Commonest voltage of each detector by gate set; files that cannot be read say so in the phenotype."""
    seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in samples[samples["tube_role"] == "stained"].itertuples():
        named = [str(n) for n in (one.gate_set, one.panel_id) if not pd.isna(n) and n in sets]
        name = named[0] if named else sets[0] if len(sets) == 1 else ""
        path, file = file_path(folder, str(one.fcs_file))
        try:
            channels = read_fcs_header(path, file).channels if name else ()
        except Refused:
            continue
        for channel in channels:
            if channel.voltage is not None:
                seen[name][channel.name].append(channel.voltage)
    return {name: {c: Counter(v).most_common(1)[0][0] for c, v in own.items()} for name, own in sorted(seen.items())}


def fitting(fcs: FcsFile, gates: TableGates, population: str, donor_id: str, uptake: str) -> Fit | str:
    """The gate set that holds for one uptake file, or a sentence why none does; empty without a gates table.

    Parameters
    ----------
    fcs
        The file.
    gates
        From `read_table_gates`.
    population
        Whose cells are wanted.
    donor_id
        Whose cells they are, for gates that are changed for one donor.
    uptake
        Channel of the uptake; a gate on it would choose cells by what is measured.
    """
    names = [n for n in gates.sets if gates.wanted in ("", n)]
    file = fcs.file.rpartition("/")[2]
    tried = {}
    for name in names:
        rows = rows_for(gates.sets[name], donor_id, file)
        tried[name] = _fit(name, rows, fcs, gates, population, uptake)
    found = [fit for fit in tried.values() if isinstance(fit, Fit)]
    if len(found) == 1:
        return found[0]
    if found:
        return f"Gate sets {', '.join(f.gate_set for f in found)} all fit; name one as phagocytosis.gate_set."
    return " ".join(str(reason) for reason in tried.values())


def _fit(
    name: str, rows: Sequence[GateRow], fcs: FcsFile, gates: TableGates, population: str, uptake: str
) -> Fit | str:
    chain = _down_to(population, rows)
    if not chain:
        return f"Gate set {name} has no population {population} with all its parents."
    channels: dict[str, str] = {}
    for row in chain:
        if row.from_control:
            return f"Gate set {name}: the edge of {row.population} comes from a control tube, which uptake lacks."
        for wanted in row.channels:
            found = _channel(wanted, fcs, gates.panels.get(name, ()), bool(gates.wanted))
            if found.endswith("."):
                return f"Gate set {name}: {found}"
            if found == uptake:
                return f"Gate set {name}: {row.population} is cut by {found}, which holds the uptake."
            here, drawn = _voltage(fcs, found), gates.voltages.get(name, {}).get(found)
            if here is not None and drawn is not None and here != drawn:
                return (
                    f"Gate set {name}: {found} stands at {here:g} V in this file and at {drawn:g} V in the phenotype's."
                )
            channels[wanted] = found
    stain = Stain(tuple((channel, wanted) for wanted, channel in channels.items()), frozenset())
    return Fit(name, chain, stain)


def _voltage(fcs: FcsFile, channel: str) -> float | None:
    return next(c.voltage for c in fcs.channels if c.name == channel)


def _down_to(population: str, rows: Sequence[GateRow]) -> tuple[GateRow, ...]:
    """The population's row and those of its ancestors; empty where one is not there."""
    known = {row.population: row for row in rows}
    chain: list[GateRow] = []
    at = population
    while at:
        row = known.get(at)
        if row is None or row in chain:
            return ()
        chain.append(row)
        at = row.parent
    return tuple(reversed(chain))


def _channel(wanted: str, fcs: FcsFile, panel: Panel, named: bool) -> str:
    """Channel ($PnN) of the file that a gate's channel or marker means, or a sentence why there is none."""
    own = {c.name: c.marker for c in fcs.channels}
    channel = next((c for c, m in panel if m == wanted), wanted)
    marker = next((m for c, m in panel if wanted in (c, m)), "")
    if channel not in own and not marker:  # no panel says which detector a marker is on: the file may
        carrying = [name for name, text in own.items() if _carries(text, wanted)]
        carrying = [n for n in carrying if n.endswith("-A")] if len(carrying) > 1 else carrying
        if len(carrying) == 1:
            return carrying[0]
    if channel not in own:
        return f"{wanted} is not among the channels of this file."
    if not is_dyed(channel) or not marker or _carries(own[channel], marker):
        return channel
    if own[channel]:
        return f"{channel} holds {own[channel]} in this file and {marker} in the panel."
    if named:  # whoever names the gate set in study.yaml vouches for the dyes that the file does not name
        return channel
    return (
        f"this file does not say that {channel} holds {marker}; where it does, name the set as phagocytosis.gate_set."
    )


def _carries(text: str, marker: str) -> bool:
    """Whether the text of $PnS names a marker, alone or as one of its words.

    Examples
    --------
    >>> _carries("CD169 APC", "CD169"), _carries("CD16", "CD169")
    (True, False)
    """
    wanted = marker.casefold().strip()
    return text.casefold().strip() == wanted or wanted in re.split(r"[\s:_/|]+", text.casefold())
