"""Assay tables, and the instrument files they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import PurePosixPath

import pandas as pd

from helpers.core import privacy
from helpers.core.problems import Problem
from helpers.study.config import Config
from helpers.study.folder import Folder
from helpers.study.rules.saying import Tables, key_is_there
from helpers.study.tables import records


def measurement_units(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """One unit for each readout: numbers of two units cannot stand in one column."""
    table = tables["measurements"]
    known = table.frame[["readout", "unit"]].dropna()
    usual = known.groupby("readout", observed=True)["unit"].agg(lambda u: u.mode().iloc[0]).to_dict()
    for i, one in enumerate(records(table.frame)):
        if not pd.isna(one.readout) and not pd.isna(one.unit) and one.unit != usual[one.readout]:
            yield Problem(
                "error",
                "two-units",
                "This readout has more than one unit.",
                "Write all its values in one unit.",
                found=one.unit,
                expected=str(usual[one.readout]),
                **table.at(i, "unit"),
            )


def counts(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """No more positive cells than cells; counts are there where counting was the method."""
    table = tables["phagocytosis/wells"]
    for i, one in enumerate(records(table.frame)):
        if not pd.isna(one.n_cells) and not pd.isna(one.n_positive) and one.n_positive > one.n_cells:
            yield Problem(
                "error",
                "count-above-cells",
                "More cells took up particles than were counted.",
                "Correct the two counts.",
                found=str(one.n_positive),
                expected=f"at most {one.n_cells}",
                **table.at(i, "n_positive"),
            )
        if one.method == "counts" and pd.isna(one.n_cells):
            yield Problem(
                "error",
                "missing-value",
                "Counting was the method, but there is no count.",
                "Fill in n_cells and n_positive.",
                expected="a count",
                **table.at(i, "n_cells"),
            )


def limits(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """A lower limit of quantification lies below the upper one."""
    table = tables["cytokines/concentrations"]
    for i, one in enumerate(records(table.frame)):
        if one.lloq_pg_ml >= one.uloq_pg_ml:
            yield Problem(
                "error",
                "limits-swapped",
                "LLOQ is not below ULOQ.",
                "Correct the two limits.",
                found=f"{one.lloq_pg_ml:g}",
                expected=f"below {one.uloq_pg_ml:g}",
                **table.at(i, "lloq_pg_ml"),
            )


_FILE_COLUMNS = (
    ("cytokines/plates", "instrument_file", "cytokines/raw", "plate_id", "plate"),
    ("phenotype/samples", "fcs_file", "phenotype/fcs", "fcs_file", "file"),
    ("phagocytosis/wells", "file", "phagocytosis/raw", "file", "file"),
)


def instrument_files(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """Files that are named are there, files that are there are named, and none lies outside the study."""
    present = {f.casefold(): f for f in folder.instrument_files()}
    named: set[str] = set()
    for name, column, place, key, kind in _FILE_COLUMNS:
        table = tables[name]
        for i, (file, code) in enumerate(zip(table.frame[column], table.frame[key], strict=True)):
            if pd.isna(file):
                continue
            path = PurePosixPath(str(file).replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
                yield Problem(
                    "error",
                    "path-outside",
                    "A file name leads out of the study folder.",
                    f"Put the file into {place} and write its name alone.",
                    found=privacy.alias(str(file)),
                    expected=f"a name in {place}",
                    **table.at(i, column),
                )
                continue
            wanted = f"{place}/{path}"
            named.add(wanted.casefold())
            if wanted.casefold() not in present:
                near = get_close_matches(wanted.casefold(), list(present), 1, 0.8)
                yield Problem(
                    "quarantine",
                    "file-absent",
                    "This file is named but not there.",
                    f"Put the file into {place}, or correct its name.",
                    found=privacy.alias(str(file)),
                    expected=privacy.alias(PurePosixPath(present[near[0]]).name) if near else f"a file in {place}",
                    entity=f"{kind} {code}",
                    **table.at(i, column),
                )
    for low, file in present.items():
        gates = (".wsp",) if low.startswith("cytokines/") else (".wsp", ".xml")  # a plate may be an XML file
        if low not in named and PurePosixPath(low).suffix not in (*gates, ".txt", ".md"):
            yield Problem(
                "warning",
                "file-unnamed",
                "This file is there, but no table names it; it is not read.",
                "Name it in its table, or move it out of the study folder.",
                file=file,
            )


def cells_without_culture(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """Stained files of no culture, said once: a readout is of a condition and a time, and a culture has them."""
    table = tables["phenotype/samples"]
    stained = [
        i for i, one in enumerate(records(table.frame)) if one.tube_role == "stained" and pd.isna(one.culture_id)
    ]
    if stained:
        first = table.frame.iloc[stained[0]]
        yield Problem(
            "warning",
            "no-culture",
            f"{len(stained)} stained files belong to no culture: they stand in the phenotype tables, and no comparison has them.",
            "To compare cells stained ex vivo, give each specimen a culture of 0 hours in a condition of the role day0.",
            found=privacy.alias(str(first["fcs_file"])),
            expected="a culture_id",
            **table.at(stained[0], "culture_id"),
        )


def bead_runs(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """Calibration beads name a detector of a panel, and a day on which the panel's files were acquired."""
    table, panels = tables["phenotype/beads"], tables["phenotype/panels"].frame
    detectors = set(zip(panels["panel_id"], panels["channel"], strict=True))
    runs = _runs(tables)
    known = key_is_there(tables, folder, "phenotype/panels", "panel_id")
    for i, one in enumerate(records(table.frame)):
        if pd.isna(one.panel_id) or pd.isna(one.channel) or pd.isna(one.run_day):
            continue  # said by the cell
        if known and (one.panel_id, one.channel) not in detectors:
            own = sorted(str(c) for p, c in detectors if p == one.panel_id)
            yield Problem(
                "error",
                "unknown-key",
                "phenotype/panels has no such detector in this panel.",
                "Write the channel as phenotype/panels has it, or correct panel_id.",
                found=f"{one.panel_id}, {one.channel}",
                expected=", ".join(own) or "a panel_id of phenotype/panels",
                **table.at(i, "channel"),
            )
        elif (one.panel_id, one.run_day) not in runs:
            yield Problem(
                "warning",
                "beads-without-run",
                "No file of this panel was acquired on the day of these beads; they calibrate nothing.",
                "Correct run_day: it is that of phenotype/samples, else the batch day of the culture.",
                found=str(one.run_day),
                expected=", ".join(str(d) for p, d in sorted(runs) if p == one.panel_id),
                **table.at(i, "run_day"),
            )


def bead_peaks(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """Of two peaks of a run and detector, the one with more light has more assigned to it."""
    table = tables["phenotype/beads"]
    rows = list(records(table.frame))
    dimmer: dict[tuple[str, ...], float] = {}
    for i in sorted(range(len(rows)), key=lambda i: rows[i].median_mfi):
        one = rows[i]
        if pd.isna(one.assigned) or pd.isna(one.median_mfi):
            continue  # said by the cell
        key = tuple(str(part) for part in (one.panel_id, one.run_day, one.channel))
        given = dimmer.setdefault(key, -1.0)
        if one.assigned <= given:
            yield Problem(
                "error",
                "peaks-swapped",
                "A peak with more light than another has no larger assigned value.",
                "Correct the two peaks.",
                found=f"{one.assigned:g}",
                expected=f"above {given:g}",
                **table.at(i, "assigned"),
            )
        dimmer[key] = max(given, one.assigned)


def _runs(tables: Tables) -> set[tuple[str, int]]:
    """Panel and day of every phenotype file, as `phenotype/samples` describes the day."""
    days = tables["cultures"].frame.set_index("culture_id")["batch_day"].to_dict()
    rows = records(tables["phenotype/samples"].frame)
    both = ((r.panel_id, days.get(r.culture_id) if pd.isna(r.run_day) else r.run_day) for r in rows)
    return {(str(panel), int(day)) for panel, day in both if day is not None and not pd.isna(day)}


def layout_logic(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """Samples in a layout are known; a well set aside has a reason."""
    table = tables["cytokines/layout"]
    samples = set(tables["cytokines/samples"].frame["sample_id"].dropna()) or set(
        tables["cultures"].frame["culture_id"].dropna()
    )
    listed = {"cytokines/samples"} & {*folder.sheets, *folder.unread}
    known = key_is_there(
        tables, folder, *(("cytokines/samples", "sample_id") if listed else ("cultures", "culture_id"))
    )
    for i, one in enumerate(records(table.frame)):
        if one.role == "sample" and pd.isna(one.sample_id):
            yield Problem(
                "error",
                "missing-value",
                "A sample well names no sample.",
                "Fill in sample_id.",
                expected="a sample_id",
                **table.at(i, "sample_id"),
            )
        if known and one.role == "sample" and not pd.isna(one.sample_id) and one.sample_id not in samples:
            yield Problem(
                "error",
                "unknown-key",
                "No sample or culture has this code.",
                "Correct the code, or add it to cytokines/samples.",
                found=one.sample_id,
                expected="a sample_id",
                **table.at(i, "sample_id"),
            )
        if one.use == "n" and pd.isna(one.reason):
            yield Problem(
                "error",
                "missing-reason",
                "A well is set aside without a reason.",
                "Fill in reason.",
                expected="a reason",
                **table.at(i, "reason"),
            )


def deviation_targets(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """A deviation names something that exists; a well is a phago_id, or plate and well with a colon between them."""
    table = tables["deviations"]
    for i, one in enumerate(records(table.frame)):
        places = DEVIATING.get(str(one.entity), ())
        if not places or pd.isna(one.entity_id) or not all(key_is_there(tables, folder, *place) for place in places):
            continue
        codes = {str(code) for name, column in places for code in tables[name].frame[column].dropna()}
        plate, _, well = str(one.entity_id).rpartition(":")
        if str(one.entity_id) in codes or (one.entity == "well" and _on_plate(tables, plate, well)):
            continue
        near = get_close_matches(str(one.entity_id), codes, 1, 0.7)
        known = " or ".join(f"a {column} of {name}" for name, column in places)
        yield Problem(
            "error",
            "unknown-key",
            f"A deviation names a {one.entity} that does not exist.",
            "Correct the code.",
            found=one.entity_id,
            expected=near[0] if near else known + (", or plate:well" if one.entity == "well" else ""),
            **table.at(i, "entity_id"),
        )


DEVIATING = {
    "donor": (("donors", "donor_id"),),
    "specimen": (("specimens", "specimen_id"),),
    "culture": (("cultures", "culture_id"),),
    "plate": (("cytokines/plates", "plate_id"),),
    "well": (("phagocytosis/wells", "phago_id"),),
    "file": (
        ("phenotype/samples", "fcs_file"),
        ("phagocytosis/wells", "file"),
        ("cytokines/plates", "instrument_file"),
    ),
}
"""Tables and columns in which what a deviation names may stand."""


def _on_plate(tables: Tables, plate: str, well: str) -> bool:
    """Whether a plate has this well; without a layout, every position counts."""
    if plate not in set(tables["cytokines/plates"].frame["plate_id"].dropna()):
        return False
    layout = tables["cytokines/layout"].frame
    own = layout.loc[layout["plate_id"] == plate, "well"].dropna()
    if own.empty:
        return re.fullmatch(r"[A-Pa-p]0?[1-9][0-9]?", well) is not None
    return _place(well) in {_place(str(one)) for one in own}


def _place(well: str) -> str:
    return str(re.sub(r"^([A-Z])0+", r"\1", well.strip().upper()))
