"""Phagocytosis from files and counts to readouts: thresholds from controls, indices, combs, courses."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import pandas as pd

from helpers.assays.phagocytosis import controls
from helpers.assays.phagocytosis.events import Source
from helpers.assays.phagocytosis.exported import readings
from helpers.assays.phagocytosis.population import RAW, Gates, gates_beside
from helpers.assays.phagocytosis.results import ASSAY, kinetics, readout_wells
from helpers.assays.phagocytosis.settings import Rules
from helpers.assays.phagocytosis.table_gates import read_table_gates
from helpers.assays.phagocytosis.wells import Cells, measured
from helpers.assays.steps import Assayed
from helpers.core.files import sha256
from helpers.core.problems import Problem
from helpers.core.schemas import output_tables
from helpers.study.config import Config

TABLES = ("phagocytosis_wells", "bead_combs", "kinetics", "uptake_thresholds", "uptake_histograms", "msc_signal")


def phagocytosis(
    folder: Path, tables: Mapping[str, pd.DataFrame], quarantined: AbstractSet[tuple[str, str]], config: Config
) -> Assayed:
    """All uptake wells of a study, as output tables and as wells for the steps to readouts.

    Parameters
    ----------
    folder
        The study folder.
    tables
        Typed input tables.
    quarantined
        What the checks set aside already.
    config
        study.yaml.
    """
    rules = Rules.from_settings(config.settings)
    wells = _usable(controls.placed(tables), quarantined)
    wrong = controls.misplaced(wells)
    aside = {p.entity.removeprefix("uptake ") for p in wrong}
    wells = wells[~wells["phago_id"].isin(aside)].reset_index(drop=True)
    is_fcs = wells["file"].fillna("").str.casefold().str.endswith((".fcs", ".lmd"))
    sources, more = _sources(folder, wells[is_fcs])
    gates, said = _gates(folder, tables, rules) if len(sources) else (Gates(rules.population), [])
    read, unread = readings(folder, wells[~is_fcs], config.settings.get("file_patterns", {}))
    cells = Cells(sources, read, gates, rules.quantile)
    wells = wells[wells["phago_id"].isin(set(sources) | set(read))].reset_index(drop=True)
    found = measured(wells, cells, read, rules, config)
    problems = [*wrong, *more, *said, *unread, *cells.problems, *found.problems, *_ungated(cells), *_two_gates(cells)]
    courses = kinetics(found.tables["phagocytosis_wells"], tables)
    out = found.tables | {"kinetics": courses}
    rows = readout_wells(found.tables["phagocytosis_wells"], courses, wells, config)
    done: dict[str, set[str]] = {}
    for culture, readout in zip(rows.get("culture_id", ()), rows.get("readout", ()), strict=True):
        done.setdefault(f"{ASSAY}: {readout.split('|')[0]}", set()).add(culture)
    return Assayed(ASSAY, rows, done, {n: _typed(out[n], n) for n in TABLES}, tuple(problems))


def _gates(folder: Path, tables: Mapping[str, pd.DataFrame], rules: Rules) -> tuple[Gates, list[Problem]]:
    gates, said = gates_beside(folder, rules.population)
    table, more = read_table_gates(tables, rules.gate_set)
    return gates.with_table(table), [*said, *more]


def _usable(wells: pd.DataFrame, quarantined: AbstractSet[tuple[str, str]]) -> pd.DataFrame:
    for kind, column in (("uptake", "phago_id"), ("file", "file"), ("culture", "culture_id")):
        wells = wells[~wells[column].isin({code for k, code in quarantined if k == kind})]
    return wells[wells["condition"].notna()].reset_index(drop=True)


def _sources(folder: Path, wells: pd.DataFrame) -> tuple[dict[str, Source], list[Problem]]:
    """FCS files by well; a file that stands for wells of different donors, conditions or roles is set aside."""
    out: dict[str, Source] = {}
    problems = []
    for one in wells.itertuples():
        file = f"{RAW}/{one.file}"
        try:
            digest = sha256(folder / file)
        except OSError:
            message, fix = "This file cannot be opened.", "Put it there, or correct its name."
            problems.append(
                Problem("quarantine", "unreadable", message, fix, file=file, entity=f"uptake {one.phago_id}")
            )
            continue
        label, donor = ("" if pd.isna(text) else str(text) for text in (one.label, one.donor_id))
        out[str(one.phago_id)] = Source(digest, str(folder / file), file, label, donor)
    digests = wells["phago_id"].map({i: s.digest for i, s in out.items()})
    for _, own in wells.groupby(digests, sort=False):
        for column, word in (("owner", "donors"), ("condition", "conditions"), ("role", "roles")):
            if own[column].nunique() > 1:
                problems += [_same_file(out.pop(i).file, i, word, own) for i in own["phago_id"]]
                break
    return out, problems


def _same_file(file: str, phago_id: str, word: str, own: pd.DataFrame) -> Problem:
    return Problem(
        "quarantine",
        "same-file",
        f"The same events stand for wells of different {word}; it cannot be told whose they are.",
        "Name the right file in each row of phagocytosis/wells.",
        file=file,
        column="file",
        found=", ".join(own["phago_id"]),
        expected="one well for a file",
        entity=f"uptake {phago_id}",
    )


def _ungated(cells: Cells) -> list[Problem]:
    if not cells.ungated:
        return []
    files = sorted({cells.sources[i].file for i in cells.ungated})
    unfit = sorted({cells.choices[i].unfit for i in cells.ungated} - {""})
    why = f" {unfit[0]}" if unfit else ""
    return [
        Problem(
            "warning",
            "not-gated",
            f"No gate says which events of {len(files)} files are macrophages: all events are counted, MSC and debris "
            f"among them.{why}",
            f"Put a gate file with the population {cells.gates.population} beside the FCS files, or write a gate set for "
            "their channels into phenotype/gates.",
            file=files[0],
            expected=cells.gates.population,
        )
    ]


def _two_gates(cells: Cells) -> list[Problem]:
    """Where the gates table went before a gate file that lies beside the FCS files."""
    own = [cells.sources[i].file for i, choice in cells.choices.items() if choice.gates.startswith("gates table")]
    beside = sorted({origin for file in own if (origin := cells.gates.of(file)[1])})
    if not beside:
        return []
    message = f"The gates table has gates for {len(set(own))} uptake files, so the gate file beside them is not used."
    fix = "Remove the gate file, or, if it is meant, write gate_set: none under phagocytosis into study.yaml."
    return [Problem("warning", "two-gates", message, fix, file=f"{RAW}/{beside[0]}")]


def _typed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    kinds = {"string": "string", "integer": "Int64", "number": "float64", "boolean": "boolean"}
    schema = output_tables()[name]
    return (
        table.reindex(columns=schema.columns)
        .astype({f.name: kinds[f.type] for f in schema.fields})
        .reset_index(drop=True)
    )
