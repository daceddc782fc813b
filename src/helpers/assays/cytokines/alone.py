"""One instrument file without a study: its wells as they are, or its curves and concentrations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.assays.cytokines.assay import stacked, typed, wells_table, with_vendor
from helpers.assays.cytokines.fitted import Rules, fit_plate
from helpers.assays.cytokines.joined import joined
from helpers.assays.cytokines.reading import JoinedPlate, checked_standards
from helpers.core import privacy
from helpers.core.problems import Problem, Refused, has_errors
from helpers.core.schemas import input_tables
from helpers.readers.plate import Plate
from helpers.readers.plates import read_plate_file
from helpers.readers.sheets import read_tables
from helpers.study.layout_grid import LAYOUT, from_grid, is_grid
from helpers.study.tables import empty_table, type_table

BEAD_MIN = 50


def plate_wells(path: Path, layout: str = "") -> tuple[pd.DataFrame, list[Problem]]:
    """One plate file as the columns of ``cytokine_wells``; what the file does not hold stays empty.

    Parameters
    ----------
    path
        The instrument's file.
    layout
        Name of a format to force, empty to tell it from the content.

    Returns
    -------
    The table and what was said while reading.

    Raises
    ------
    Refused
        Where the file cannot be read.
    """
    plates = read_plate_file(path, path.name, layout)
    parts = []
    for plate in plates:
        wells = plate.wells
        parts.append(
            wells.assign(
                sample_id=wells["sample"].map(privacy.mask, na_action="ignore"),
                vendor_conc_pg_ml=wells["conc"],
                vendor_state=wells["state"],
                qc=wells["flag"].map(privacy.mask, na_action="ignore"),
                state=pd.NA,
            )
        )
    table = typed(stacked([f"P{p.number}" for p in plates], parts), "cytokine_wells")
    return table, [problem for plate in plates for problem in plate.problems]


def plate_curves(path: Path, layout: Path | None, rules: Rules) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """One plate file through curves: ``cytokine_curves``, ``cytokine_wells`` and ``standard_recovery``.

    Parameters
    ----------
    path
        The instrument's file.
    layout
        A table cytokines/layout (rows, plate_id optional) or a plate drawn as a grid; None takes the
        instrument's own marks and sample names.
    rules
        Weights, model and limits.

    Raises
    ------
    Refused
        Where the file or the layout cannot be read.
    """
    plates = read_plate_file(path, path.name)
    problems = [problem for plate in plates for problem in plate.problems]
    done, fitted = [], []
    for plate in plates:
        row = {"plate_id": f"P{plate.number}", "dilution_default": 1.0, "bead_min": BEAD_MIN}
        tables = {name: empty_table(schema).frame for name, schema in input_tables().items()}
        if layout is not None:
            tables[LAYOUT], said = read_layout(layout, str(row["plate_id"]))
            problems += said
        else:
            tables["cytokines/samples"], plate = _own_names(plate)
        wells, said = joined(plate, path.name, row, tables)
        wells, unusable, findings = checked_standards(wells, row["plate_id"], path.name)
        problems += [*said, *findings]
        one = JoinedPlate(row, plate, wells, unusable)
        done.append(one)
        fitted.append(fit_plate(wells, rules, unusable))
    ids = [str(p.row["plate_id"]) for p in done]
    out = {
        "cytokine_curves": stacked(ids, [with_vendor(f.curves, p) for f, p in zip(fitted, done, strict=True)]),
        "cytokine_wells": stacked(ids, [wells_table(f.wells) for f in fitted]),
        "standard_recovery": stacked(ids, [f.recovery for f in fitted]),
    }
    return {name: typed(table, name) for name, table in out.items()}, problems


def _own_names(plate: Plate) -> tuple[pd.DataFrame, Plate]:
    """The instrument's sample names as samples, masked where they look like a person."""
    wells = plate.wells
    named = wells["sample"].map(privacy.mask, na_action="ignore").fillna(wells["well"]).astype("string")
    wells = wells.assign(sample=named, role=wells["role"].fillna("sample"))
    samples = wells.loc[wells["role"] == "sample", "sample"].drop_duplicates()
    table = empty_table(input_tables()["cytokines/samples"]).frame
    return table.reindex(range(len(samples))).assign(sample_id=samples.to_numpy()), replace(plate, wells=wells)


def read_layout(path: Path, plate_id: str) -> tuple[pd.DataFrame, list[Problem]]:
    """A layout outside a study: rows as in cytokines/layout, or a grid; it belongs to the plate that is read.

    Raises
    ------
    Refused
        Where it cannot be read as a layout.
    """
    raws, problems = read_tables(path, path.name)
    if not raws:
        raise Refused(problems)
    raw = raws[0]
    problems += raw.problems
    if is_grid(raw):
        raw, said = from_grid(raw)
        problems += said
    cells: Any = raw.cells.assign(plate_id=plate_id)
    columns = raw.columns if "plate_id" in raw.columns else ("plate_id", *raw.columns)
    table, said = type_table(replace(raw, cells=cells, columns=columns), input_tables()[LAYOUT], {})
    problems += said
    if has_errors(problems):
        raise Refused(problems)
    return table.frame, problems
