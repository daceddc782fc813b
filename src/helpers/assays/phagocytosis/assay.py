"""Phagocytosis from files and counts to readouts: thresholds from controls, indices, combs, courses."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import pandas as pd

from helpers.assays.phagocytosis.population import RAW, Gates
from helpers.assays.phagocytosis.results import ASSAY, kinetics, readout_wells
from helpers.assays.phagocytosis.settings import Rules
from helpers.assays.phagocytosis.sources import gates_of, usable
from helpers.assays.phagocytosis.wells import Cells, measured
from helpers.assays.steps import Assayed
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
    wells, sources, read, problems = usable(folder, tables, quarantined, config)
    gates, said = gates_of(folder, tables, rules) if sources else (Gates(rules.population), [])
    cells = Cells(sources, read, gates, rules.quantile)
    found = measured(wells, cells, read, rules, config)
    problems += [*said, *cells.problems, *found.problems, *_ungated(cells), *_two_gates(cells)]
    courses = kinetics(found.tables["phagocytosis_wells"], tables)
    out = found.tables | {"kinetics": courses}
    rows = readout_wells(found.tables["phagocytosis_wells"], courses, wells, config)
    done: dict[str, set[str]] = {}
    for culture, readout in zip(rows.get("culture_id", ()), rows.get("readout", ()), strict=True):
        done.setdefault(f"{ASSAY}: {readout.split('|')[0]}", set()).add(culture)
    return Assayed(ASSAY, rows, done, {n: _typed(out[n], n) for n in TABLES}, tuple(problems))


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
