"""Which events of an FCS file are macrophages, and which channel holds the uptake."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helpers.assays.flow.compensation import compensate
from helpers.assays.flow.gates import apply_gates
from helpers.assays.phagocytosis.table_gates import TableGates, fitting
from helpers.assays.phenotype.gating import resolved, rows_for
from helpers.core.cache import digest_of, remember
from helpers.core.files import refuse_changed, sha256
from helpers.core.problems import Problem, Refused, softened
from helpers.readers.fcs import FcsFile, FcsHeader, Values
from helpers.readers.gate import OWN_MATRIX, GateFile, GateSet

RAW = "phagocytosis/raw"
_NO_DYE = re.compile(r"(fsc|ssc|fs|ss|time|event|width)(?![a-z])", re.I)


@dataclass(frozen=True)
class Gates:
    """Gates for the files of the assay.

    Parameters
    ----------
    population
        Name of the population whose cells are counted.
    digest
        Of the gate files.
    sets
        Gates of gate files by FCS file; under "" where they are for every file.
    origins
        Name of the gate file each of `sets` comes from.
    table
        The study's gates table.
    """

    population: str
    digest: str = ""
    sets: dict[str, GateSet] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    table: TableGates = field(default_factory=TableGates)

    def of(self, file: str) -> tuple[GateSet | None, str]:
        """The gates of a gate file for an FCS file, by its name without folders, and the gate file's name."""
        name = file.rpartition("/")[2]
        key = name if name in self.sets else ""
        return self.sets.get(key), self.origins.get(key, "")

    def with_table(self, table: TableGates) -> Gates:
        """The same with the study's gates table, which goes before gate files wherever it fits."""
        return replace(self, table=table)

    def digest_for(self, file: str, donor_id: str) -> str:
        """Of all that can choose the cells of one file: gates that are changed for others cannot.

        Parameters
        ----------
        file
            The FCS file.
        donor_id
            Whose cells they are.
        """
        name = file.rpartition("/")[2]
        own = {gates: list(rows_for(rows, donor_id, name)) for gates, rows in self.table.sets.items()}
        return digest_of([self.digest, repr(replace(self.table, sets=own))])


@dataclass(frozen=True, eq=False)
class Chosen:
    """Cells that are counted.

    Parameters
    ----------
    members
        One entry an event.
    gates
        Which gates chose them, in words; empty where none did and all events are counted.
    unfit
        Why the gates table does not hold for the file; empty where it does, or where there is none.
    problems
        What had to be said.
    """

    members: NDArray[np.bool_]
    gates: str
    unfit: str = ""
    problems: tuple[Problem, ...] = ()


def gates_beside(folder: Path, population: str) -> tuple[Gates, list[Problem]]:
    """Gates of the FlowJo workspaces (.wsp) and GatingML files (.xml) that lie beside the FCS files.

    Parameters
    ----------
    folder
        The study folder.
    population
        Name of the population that is wanted.
    """
    raw = folder / RAW
    paths = sorted(p for p in raw.glob("*") if p.suffix.casefold() in (".wsp", ".xml")) if raw.is_dir() else []
    sets: dict[str, GateSet] = {}
    origins: dict[str, str] = {}
    problems: list[Problem] = []
    for path in paths:
        file = f"{RAW}/{path.name}"
        try:
            found = _gate_file(sha256(path), str(path), file)
        except Refused as refused:
            problems += softened(refused.problems, "quarantine", f"file {path.name}")
            continue
        problems += found.problems
        sets |= found.sets
        origins |= dict.fromkeys(found.sets, path.name)
    return Gates(population, digest_of([sha256(p) for p in paths]), sets, origins), problems


@remember("assays", ignore=("path",))
def _gate_file(digest: str, path: str, file: str) -> GateFile:
    from helpers.readers.gate_files import read_gate_file

    found = read_gate_file(Path(path), file)
    refuse_changed(Path(path), digest, file)
    return found


def uptake_channel(fcs: FcsHeader, label: str) -> int:
    """Column of the channel that holds the uptake.

    By the label of the target, as a channel's name or marker or a part of one; without a label, the only
    fluorescence channel.

    Raises
    ------
    Refused
        Where no channel, or more than one, fits.
    """
    wanted = label.casefold().strip()
    texts = [(c.name.casefold(), c.marker.casefold()) for c in fcs.channels]
    dyes = [i for i, c in enumerate(fcs.channels) if not _NO_DYE.match(c.name)]
    exact = [i for i in dyes if wanted and wanted in texts[i]]
    partly = [i for i in dyes if wanted and any(wanted in t for t in texts[i])]
    area = [i for i in partly if texts[i][0].endswith("-a")]
    found = next((f for f in (exact, partly, area) if len(f) == 1), [] if wanted else dyes)
    if len(found) == 1:
        return found[0]
    raise Refused(
        [
            Problem(
                "error",
                "uptake-channel",
                "It cannot be told which channel holds the uptake.",
                "Write the channel's name or marker into the column label of phagocytosis/wells.",
                file=fcs.file,
                column="label",
                found=label,
                expected=", ".join(fcs.channels[i].name for i in dyes) or "a fluorescence channel",
            )
        ]
    )


def macrophages(fcs: FcsFile, gates: Gates, donor_id: str, channel: int) -> Chosen:
    """Which events are counted: the wanted population of the gates table, else of a gate file, else all of them.

    Parameters
    ----------
    fcs
        The file.
    gates
        From `gates_beside`, with the study's table.
    donor_id
        Whose cells they are; a gate of the table may be changed for one donor.
    channel
        Column of the uptake.
    """
    fit = fitting(fcs, gates.table, gates.population, donor_id, fcs.channels[channel].name)
    if not isinstance(fit, str):
        compensated = _compensated(fcs)
        own = resolved(fit.rows, fcs, fit.stain, compensated)
        known = {OWN_MATRIX: compensated} if fcs.spillover is not None else {}
        gated = apply_gates(fcs.events, fcs.channels, own, fcs.spillover, known)
        path = next(p.path for p in own.populations if p.path[-1] == gates.population)
        return Chosen(gated.members[path], f"gates table {fit.gate_set}", "", gated.problems)
    beside, origin = gates.of(fcs.file)
    paths = [p.path for p in beside.populations if p.path[-1] == gates.population] if beside else []
    if beside is None or not paths:
        return Chosen(np.ones(len(fcs.events), dtype=bool), "", fit)
    gated = apply_gates(fcs.events, fcs.channels, beside, fcs.spillover)
    return Chosen(gated.members[min(paths, key=len)], f"gate file {origin}", fit, gated.problems)


def _compensated(fcs: FcsFile) -> Values:
    return fcs.events if fcs.spillover is None else compensate(fcs.events, fcs.names, fcs.spillover)


def uptake_values(fcs: FcsFile, label: str, donor_id: str, gates: Gates) -> tuple[Values, Chosen]:
    """Fluorescence of the macrophages in the uptake channel, compensated where the file has a matrix, linear.

    Returns
    -------
    One value a macrophage, and how they were chosen.
    """
    channel = uptake_channel(fcs, label)
    chosen = macrophages(fcs, gates, donor_id, channel)
    events = fcs.events[chosen.members]
    if fcs.spillover is not None:
        events = compensate(events, fcs.names, fcs.spillover)
    values = events[:, channel]
    return np.array(values[np.isfinite(values)]), chosen
