"""Control tubes of a file whose gates were moved: for that file they are measured through the moved gates.

A threshold is a quantile of the same cells without the dye. Where a gate of a stained file is moved, these are other
cells, so the donor's control tubes are gated alike, for that file alone. A control keeps a gate that the table gives
it by name, and one whose detector stands at another voltage in it, where the edge would be another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from helpers.assays.phenotype.gate_choice import shares_of
from helpers.assays.phenotype.gating import GateRow
from helpers.assays.phenotype.measure import Measured, Recipe
from helpers.assays.phenotype.samples import Tube
from helpers.assays.phenotype.tasks import Task


def following(
    stained: Task, voltages: Mapping[str, float], blanks: Sequence[Task], measured: Mapping[str, Measured]
) -> list[Task]:
    """Control tubes of one stained file that are to be measured once more, with their changed recipes.

    Parameters
    ----------
    stained
        The file with its recipe.
    voltages
        Its detector voltages by channel.
    blanks
        All control tubes with their own recipes.
    measured
        What these gave.
    """
    tube, recipe, _, _ = stained
    moved = [r for r in recipe.rows if r.override_for == tube.fcs_file]
    out: list[Task] = []
    for one in blanks if moved else ():
        control, own, _, _ = one
        if control.fcs_file not in measured or own.gate_set != recipe.gate_set or not _of_its_donor(control, tube):
            continue
        volts = measured[control.fcs_file].voltages
        there = {r.population for r in own.rows if r.override_for != control.fcs_file}
        taken = {r.population: r for r in moved if r.population in there and _alike(r, recipe, voltages, volts)}
        if taken:
            rows = tuple(taken.get(r.population, r) for r in own.rows)
            changed = replace(own, rows=rows, quantiles=shares_of(rows, own.stain))
            out.append((control, changed, None, one[3]))
    return out


def _of_its_donor(control: Tube, tube: Tube) -> bool:
    """FMO tubes pooled over other donors hold other cells, for which their own gates are right."""
    same = bool(tube.donor_id) and control.donor_id == tube.donor_id
    return control.panel_id == tube.panel_id and (same or control.control_for == tube.fcs_file)


def _alike(row: GateRow, recipe: Recipe, first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    """Whether both files have the gate's detectors at one voltage; what is not stated is taken as the same."""
    channels = [recipe.stain.channel(c) for c in row.channels]
    return all(first[c] == second[c] for c in channels if c in first and c in second)
