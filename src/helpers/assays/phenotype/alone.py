"""FCS files without a study: through a gates table, a FlowJo workspace or GatingML to populations and medians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from helpers.assays.cytokines.assay import typed
from helpers.assays.phenotype.assay import TABLES, population_table
from helpers.assays.phenotype.gate_choice import Gates, read_gates_file, recipe_for
from helpers.assays.phenotype.gating import Stain, read_rows
from helpers.assays.phenotype.markers import marker_rows
from helpers.assays.phenotype.measure import measure
from helpers.assays.phenotype.samples import Tube
from helpers.assays.phenotype.tasks import condensed
from helpers.core import privacy
from helpers.core.files import sha256
from helpers.core.problems import Problem, Refused, has_errors, softened
from helpers.core.schemas import input_tables
from helpers.readers.sheets import read_tables
from helpers.study.tables import type_table

GATES = "phenotype/gates"
MINIMUMS = {"events_statistic": 50, "events_percentage": 100, "events_warning": 500}


def gate_files(paths: Sequence[Path], gates_path: Path) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """FCS files through gates to ``phenotype_populations`` and ``phenotype_markers``.

    Without a study nothing says which tube is whose control: medians are there, percentages and ΔMFI are not, and
    thresholds that a gates table takes from a control let everything through. Markers are those that
    the files name ($PnS), else their detectors.

    Parameters
    ----------
    paths
        FCS files.
    gates_path
        A FlowJo workspace (.wsp), GatingML (.xml), or a table with the columns of phenotype/gates (CSV, .xlsx).

    Returns
    -------
    The two tables, and what was said; a damaged file is a quarantine, and the others go on.

    Raises
    ------
    Refused
        Where the gates cannot be read, or no file can.
    """
    gates, problems = _gates(gates_path)
    populations, markers = [], []
    for path in paths:
        tube = _tube(path.name)
        name = privacy.alias(path.name)
        try:
            recipe, its_gates, source = recipe_for(tube, Stain((), frozenset()), gates)
            if source == "automatic":
                message = "The gate file holds no gates for this FCS file."
                fix = "Save the workspace with this file in it, or give another gate file."
                raise Refused([Problem("error", "no-gates", message, fix, file=path.name)])
            one = measure(path, path.name, recipe, its_gates)
        except Refused as refused:
            placed = [p if p.file else replace(p, file=path.name) for p in refused.problems]
            problems += softened(placed, "quarantine", f"file {path.name}")
            continue
        except OSError:
            message = "The file cannot be opened."
            problems.append(
                Problem(
                    "quarantine", "unreadable", message, "Check its path.", file=path.name, entity=f"file {path.name}"
                )
            )
            continue
        shown = replace(tube, fcs_file=name)
        populations.append(population_table(shown, one, recipe, source))
        markers += marker_rows(shown, one, {}, MINIMUMS)
        problems += softened(one.problems, "warning")
    if not populations:
        raise Refused([replace(p, severity="error") for p in problems if p.severity == "quarantine"])
    out = {"phenotype_populations": pd.concat(populations), "phenotype_markers": pd.DataFrame(markers)}
    return {n: typed(t, n) for n, t in out.items() if n in TABLES}, condensed(problems)


def _tube(name: str) -> Tube:
    return Tube(name, "", "", "", "", "", (), "", "stained", (), "", "", "")


def _gates(path: Path) -> tuple[Gates, list[Problem]]:
    if not path.is_file():
        message = "There is no such gate file."
        raise Refused([Problem("error", "file-absent", message, "Correct the path.", file=path.name)])
    if path.suffix.lower() in (".wsp", ".xml"):
        digest = sha256(path)
        read = read_gates_file(digest, str(path), path.name)
        return Gates({}, ((digest, read),)), softened(read.problems, "warning")
    raws, problems = read_tables(path, path.name)
    if not raws:
        raise Refused(problems)
    table, said = type_table(raws[0], input_tables()[GATES], {})
    problems += [*raws[0].problems, *said]
    if has_errors(problems):
        raise Refused(problems)
    sets, said = read_rows(table.frame, path.name)
    if not sets:
        raise Refused([replace(p, severity="error") for p in said] or [_no_rows(path.name)])
    if len(sets) > 1:
        message = "The table holds several gate sets, and nothing says which file each is for."
        fix = "Give a table with one gate set."
        raise Refused([Problem("error", "several-gate-sets", message, fix, file=path.name, found=", ".join(sets))])
    return Gates(sets, ()), [*problems, *said]


def _no_rows(file: str) -> Problem:
    return Problem("error", "no-gates", "The table holds no gates.", "Write one row for each gate.", file=file)
