"""What is to be done with each FCS file of the phenotype, and doing it, file by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.assays.phenotype.beads import bead_lines, said_of
from helpers.assays.phenotype.gate_choice import Gates, read_gates, recipe_for
from helpers.assays.phenotype.gating import Stain, column_of
from helpers.assays.phenotype.measure import Measured, Recipe, measure
from helpers.assays.phenotype.samples import Tube, file_path, panel_markers, tubes
from helpers.core.files import CHANGED
from helpers.core.problems import Problem, Refused, softened
from helpers.core.workers import each, processes_for
from helpers.readers.fcs import FcsHeader, read_fcs_header
from helpers.readers.gate import GateSet

MANY = 3
"""A remark on more files than this is said once for all of them."""

Task = tuple[Tube, Recipe, GateSet | None, str]


def tasks_of(
    chosen: Sequence[Tube],
    panels: Mapping[str, tuple[tuple[str, str], ...]],
    gates: Gates,
    thresholds: Mapping[str, tuple[tuple[str, float], ...]],
) -> tuple[list[Task], list[Problem]]:
    """What is to be done with each tube; one whose gates cannot be had is set aside and named.

    Parameters
    ----------
    chosen
        Tubes.
    panels
        From `panel_markers`.
    gates
        From `read_gates`.
    thresholds
        Marker and threshold by file, from the controls of stained tubes.
    """
    tasks: list[Task] = []
    problems: list[Problem] = []
    for tube in chosen:
        panel = panels.get(tube.panel_id, ())
        everything = frozenset(m for _, m in panel)
        lacking = {"stained": frozenset[str](), "unstained": everything}.get(tube.role, frozenset(tube.missing))
        stain = Stain(
            panel, lacking or (everything if tube.role == "isotype" else lacking), thresholds.get(tube.fcs_file, ())
        )
        try:
            tasks.append((tube, *recipe_for(tube, stain, gates)))
        except Refused as refused:
            file = file_path(Path(), tube.fcs_file)[1]
            placed = [replace(p, file=file) for p in refused.problems]
            problems += softened(placed, "quarantine", f"file {tube.fcs_file}")
    return tasks, problems


def measure_all(folder: Path, tasks: Sequence[Task]) -> tuple[dict[str, Measured], list[Problem]]:
    """Measure many files, in several processes or on a cluster; a damaged file is set aside and named.

    Parameters
    ----------
    folder
        The study folder.
    tasks
        Tube, recipe, gates of a gate file, source.
    """
    # the check of the study names the others
    there = [t for t in tasks if file_path(folder, t[0].fcs_file)[0].is_file()]
    jobs = processes_for(file_path(folder, t.fcs_file)[0] for t, _, _, _ in there)
    parts = [(*file_path(folder, t.fcs_file), r, g) for t, r, g, _ in there]
    out: dict[str, Measured] = {}
    problems: list[Problem] = []
    for (tube, _, _, _), (one, said) in zip(there, each(_attempt, parts, jobs), strict=True):
        problems += softened(said, "quarantine", f"file {tube.fcs_file}")
        if one is not None:
            out[tube.fcs_file] = one
            problems += softened(one.problems, "warning")
    return out, problems


def _attempt(part: tuple[Path, str, Recipe, GateSet | None]) -> tuple[Measured | None, list[Problem]]:
    """A damaged file is an answer, not an exception, so that the others go on."""
    path, file, recipe, gates = part
    try:
        return measure(path, file, recipe, gates), []
    except FileNotFoundError:
        raise Refused([CHANGED]) from None
    except Refused as refused:
        return None, [p if p.file else replace(p, file=file) for p in refused.problems]


def look_into(
    folder: Path, tables: Mapping[str, pd.DataFrame], quarantined: AbstractSet[tuple[str, str]]
) -> list[Problem]:
    """What HEADER and TEXT of the study's files show to be wrong, without reading an event, and unusable gates and beads.

    Parameters
    ----------
    folder
        The study folder.
    tables
        Typed input tables.
    quarantined
        What the checks set aside already.
    """
    everyone = tubes(tables, quarantined)
    if not everyone:
        return []
    gates, problems = read_gates(folder, tables["phenotype/gates"])
    panels = panel_markers(tables)
    problems += said_of(bead_lines(tables["phenotype/beads"], panels))
    tasks, said = tasks_of(everyone, panels, gates, {})
    problems += said
    for tube, recipe, _, _ in tasks:
        path, file = file_path(folder, tube.fcs_file)
        try:
            header = read_fcs_header(path, file)
            _hold_channels(header, recipe)
            problems += softened(header.problems, "warning")
        except Refused as refused:
            placed = [p if p.file else replace(p, file=file) for p in refused.problems]
            problems += softened(placed, "quarantine", f"file {tube.fcs_file}")
    return condensed(problems)


def _hold_channels(header: FcsHeader, recipe: Recipe) -> None:
    """Refuse a file that lacks a channel of its panel or of the gates table; gate files find theirs in their own way."""
    stain = recipe.stain
    named = [c for c, _ in stain.panel] + [stain.channel(c) for row in recipe.rows for c in row.channels]
    for channel in dict.fromkeys(named):
        column_of(header.channels, channel)


def condensed(problems: Sequence[Problem]) -> list[Problem]:
    """The same remark on many files said once, with their number; what sets a file aside is said for each."""
    times = Counter(_kind(p) for p in problems)
    out: dict[Any, Problem] = {}
    for one in problems:
        kind = _kind(one)
        many = times[kind] > MANY and one.severity in ("warning", "repaired")
        found = f"{times[kind]} files, such as {one.file.rpartition('/')[2]}"
        out.setdefault(kind if many else one, replace(one, found=found, file="phenotype/fcs") if many else one)
    return list(out.values())


def _kind(problem: Problem) -> tuple[str, ...]:
    return (problem.severity, problem.code, problem.message, problem.column)


# ---- tables
