"""Which events of an FCS file are macrophages, and which channel holds the uptake."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from helpers.assays.flow.compensation import compensate
from helpers.assays.flow.gates import apply_gates
from helpers.core.cache import digest_of, remember
from helpers.core.files import sha256
from helpers.core.problems import Problem, Refused, softened
from helpers.readers.fcs import FcsFile, Values
from helpers.readers.gate import GateFile, GateSet

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
        Of the files the gates were read from.
    sets
        Gates by FCS file; under "" where they are for every file.
    """

    population: str
    digest: str = ""
    sets: dict[str, GateSet] = field(default_factory=dict)

    def of(self, file: str) -> GateSet | None:
        """The gates of a file, by its name without folders."""
        return self.sets.get(file.rpartition("/")[2], self.sets.get(""))


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
    return Gates(population, digest_of([sha256(p) for p in paths]), sets), problems


@remember("assays", ignore=("path",))
def _gate_file(digest: str, path: str, file: str) -> GateFile:
    from helpers.readers.gate_files import read_gate_file

    return read_gate_file(Path(path), file)


def uptake_channel(fcs: FcsFile, label: str) -> int:
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


def macrophages(fcs: FcsFile, gates: Gates) -> tuple[NDArray[np.bool_], list[Problem]]:
    """Which events are counted: the wanted population, else all of them, which is said.

    Parameters
    ----------
    fcs
        The file.
    gates
        From `gates_beside`.
    """
    own = gates.of(fcs.file)
    everything = np.ones(len(fcs.events), dtype=bool)
    paths = [p.path for p in own.populations if p.path[-1] == gates.population] if own else []
    if own is None or not paths:
        message = "No gate says which events are macrophages, so all events are counted, MSC and debris among them."
        fix = f"Put a gate file with the population {gates.population} beside the FCS files."
        return everything, [Problem("warning", "not-gated", message, fix, file=fcs.file, expected=gates.population)]
    gated = apply_gates(fcs.events, fcs.channels, own, fcs.spillover)
    return gated.members[min(paths, key=len)], list(gated.problems)


def uptake_values(fcs: FcsFile, label: str, gates: Gates) -> tuple[Values, bool, list[Problem]]:
    """Fluorescence of the macrophages in the uptake channel, compensated where the file has a matrix, linear.

    Returns
    -------
    One value a macrophage; whether a gate chose them; what had to be said.
    """
    channel = uptake_channel(fcs, label)
    members, problems = macrophages(fcs, gates)
    events = fcs.events[members]
    if fcs.spillover is not None:
        events = compensate(events, fcs.names, fcs.spillover)
    values = events[:, channel]
    gated = not any(p.code == "not-gated" for p in problems)
    return np.array(values[np.isfinite(values)]), gated, problems
