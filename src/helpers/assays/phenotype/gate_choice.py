"""Which gates hold for which tube: the gates table, a FlowJo or GatingML file beside the FCS files, or a proposal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from helpers.assays.phenotype.gating import GateRow, Stain, read_rows, rows_for, without_channels
from helpers.assays.phenotype.measure import Recipe
from helpers.assays.phenotype.samples import FOLDER, Tube
from helpers.core.cache import remember
from helpers.core.files import refuse_changed, sha256
from helpers.core.problems import Problem, Refused, softened
from helpers.readers.gate import GateFile, GateSet

AUTOMATIC = "automatic"
SOURCES = ("table", "flowjo", "gatingml", AUTOMATIC)


@dataclass(frozen=True, eq=False)
class Gates:
    """All gates of a study.

    Parameters
    ----------
    sets
        Rows of the gates table by gate set.
    files
        Gate files with their digests.
    """

    sets: dict[str, list[GateRow]] = field(default_factory=dict)
    files: tuple[tuple[str, GateFile], ...] = ()


def read_gates(folder: Path, table: pd.DataFrame) -> tuple[Gates, list[Problem]]:
    """The gates table, and every .wsp and .xml in phenotype/fcs; a file that cannot be read is set aside.

    Parameters
    ----------
    folder
        The study folder.
    table
        The typed input table phenotype/gates.
    """
    sets, problems = read_rows(table)
    files = []
    place = folder / FOLDER
    for path in sorted(place.glob("*")) if place.is_dir() else []:
        if path.suffix.lower() in (".wsp", ".xml"):
            inside = f"{FOLDER}/{path.name}"
            digest = sha256(path)
            try:
                read = read_gates_file(digest, str(path), inside)
            except Refused as refused:
                problems += softened(refused.problems, "quarantine", f"file {path.name}")
                continue
            files.append((digest, read))
            problems += softened(read.problems, "warning")
    if sets and files:
        message = "There are a gates table and gate files; the table holds wherever it has gates for a panel."
        fix = "Remove the one that is not meant."
        problems.append(Problem("warning", "two-gates", message, fix, file=files[0][1].file))
    return Gates(sets, tuple(files)), problems


@remember("readers", ignore=("path",))
def read_gates_file(digest: str, path: str, file: str) -> GateFile:
    """A gate file, remembered by its content; see `helpers.readers.gate_files.read_gate_file`."""
    from helpers.readers.gate_files import read_gate_file

    found = read_gate_file(Path(path), file)
    refuse_changed(Path(path), digest, file)
    return found


def recipe_for(tube: Tube, stain: Stain, gates: Gates) -> tuple[Recipe, GateSet | None, str]:
    """What to do with one tube: its recipe, gates of a gate file where those hold, and the source of its gates.

    A gate set is found by the tube's own gate_set, else by the panel's name, else it is the only one there is;
    without a table, the gate file that names the FCS file, else one that is for every file.

    Parameters
    ----------
    tube, stain
        The tube and what is in it.
    gates
        From `read_gates`.

    Raises
    ------
    Refused
        Where the tube names a gate set that is not there.
    """
    name = tube.gate_set or (tube.panel_id if tube.panel_id in gates.sets else "")
    if not name and len(gates.sets) == 1:
        name = next(iter(gates.sets))
    if name:
        if name not in gates.sets:
            message = "This file names a gate set that is not in phenotype/gates, or that could not be read."
            raise Refused([Problem("error", "gate-set-missing", message, "Correct gate_set.", found=name)])
        rows = rows_for(gates.sets[name], tube.donor_id, tube.fcs_file)
        return Recipe(name, rows, "", stain, shares_of(rows, stain)), None, "table"
    chosen = next(((d, f, f.sets[tube.fcs_file]) for d, f in gates.files if tube.fcs_file in f.sets), None)
    chosen = chosen or next(((d, f, f.sets[""]) for d, f in gates.files if "" in f.sets), None)
    if chosen is None:
        return Recipe(AUTOMATIC, (), "", stain), None, AUTOMATIC
    digest, file, its_gates = chosen
    lacking = frozenset(name for c, m in stain.panel if m in stain.lacking for name in (c, m))
    title = Path(file.file).stem
    return Recipe(title, (), digest, stain), without_channels(its_gates, lacking), file.kind


def shares_of(rows: Iterable[GateRow], stain: Stain) -> tuple[tuple[str, float], ...]:
    """Share of a control below the threshold, by marker, where a gate of the table names another than the usual one."""
    return tuple((stain.marker(c), row.quantile) for row in rows if row.from_control for c in row.channels)
