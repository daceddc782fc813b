"""Which uptake wells can be used, and the files and gates behind them."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import pandas as pd

from helpers.assays.phagocytosis import controls
from helpers.assays.phagocytosis.events import Source
from helpers.assays.phagocytosis.exported import Reading, readings
from helpers.assays.phagocytosis.population import RAW, Gates, gates_beside, uptake_channel
from helpers.assays.phagocytosis.settings import Rules
from helpers.assays.phagocytosis.table_gates import read_table_gates
from helpers.core.files import sha256
from helpers.core.problems import Problem, Refused, softened
from helpers.readers.fcs import read_fcs_header
from helpers.study.config import Config
from helpers.study.deviations import excluded

Placed = tuple[pd.DataFrame, dict[str, Source], dict[str, Reading], list[Problem]]


def usable(
    folder: Path, tables: Mapping[str, pd.DataFrame], quarantined: AbstractSet[tuple[str, str]], config: Config
) -> Placed:
    """Wells that can be used, their FCS files, the numbers of all others, and what was wrong.

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
    own = excluded(tables, "phagocytosis")
    uptakes = {("uptake", code) for kind, code in own if kind == "well"} | {one for one in own if one[0] == "file"}
    wells = _usable(controls.placed(tables), uptakes | quarantined)
    wrong = controls.misplaced(wells)
    aside = {p.entity.removeprefix("uptake ") for p in wrong}
    wells = wells[~wells["phago_id"].isin(aside)].reset_index(drop=True)
    is_fcs = wells["file"].fillna("").str.casefold().str.endswith((".fcs", ".lmd"))
    sources, more = _sources(folder, wells[is_fcs])
    read, unread = readings(folder, wells[~is_fcs], config.settings.get("file_patterns", {}))
    wells = wells[wells["phago_id"].isin(set(sources) | set(read))].reset_index(drop=True)
    return wells, sources, read, [*wrong, *more, *unread]


def look_into(
    folder: Path, tables: Mapping[str, pd.DataFrame], quarantined: AbstractSet[tuple[str, str]], config: Config
) -> list[Problem]:
    """What the study's uptake files show to be wrong: exports are read, of FCS files what they say of themselves.

    Arguments as in `usable`.
    """
    _, sources, _, problems = usable(folder, tables, quarantined, config)
    if sources:
        problems += gates_of(folder, tables, Rules.from_settings(config.settings))[1]
    for phago_id, source in sources.items():
        try:
            problems += softened(read_fcs_header(Path(source.path), source.file).problems, "warning")
        except Refused as refused:
            problems += softened(refused.problems, "quarantine", f"uptake {phago_id}")
    return problems


def gates_of(folder: Path, tables: Mapping[str, pd.DataFrame], rules: Rules) -> tuple[Gates, list[Problem]]:
    """Gates that choose the macrophages: files beside the FCS files, and the table of the study."""
    gates, said = gates_beside(folder, rules.population)
    table, more = read_table_gates(folder, tables, rules.gate_set)
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
        path = folder / file
        out[str(one.phago_id)] = Source(digest, str(path), file, label, donor, _voltage(path, file, label))
    digests = wells["phago_id"].map({i: s.digest for i, s in out.items()})
    for _, own in wells.groupby(digests, sort=False):
        for column, word in (("owner", "donors"), ("condition", "conditions"), ("role", "roles")):
            if own[column].nunique() > 1:
                problems += [_same_file(out.pop(i).file, i, word, own) for i in own["phago_id"]]
                break
    return out, problems


def _voltage(path: Path, file: str, label: str) -> float | None:
    """Voltage of the uptake's detector; a file that cannot be used is said where it is read."""
    try:
        header = read_fcs_header(path, file)
        return header.channels[uptake_channel(header, label)].voltage
    except Refused:
        return None


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
