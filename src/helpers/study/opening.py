"""Open a study, or say everything that stands in the way.

`check_study` and `open_study` are the same reading: the first hands over the problems, the second refuses
a study with errors by raising them. Errors refuse the whole study; a quarantine sets one donor, plate or
file aside.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.core import privacy
from helpers.core.cache import digest_of
from helpers.core.files import sha256
from helpers.core.problems import Problem, Refused, has_errors, sorted_problems
from helpers.core.schemas import input_tables
from helpers.study.config import Config, config_problems, is_pattern, read_config, sound_sections
from helpers.study.folder import Folder, list_files, missing_tables, read_folder, read_study_yaml
from helpers.study.identities import identities
from helpers.study.rules import cross_check
from helpers.study.rules.saying import key_is_there
from helpers.study.tables import TypedTable, default_rows, empty_table, type_table


@dataclass(frozen=True)
class Study:
    """An opened study: what it is, its typed tables, and all that was said while reading it.

    Parameters
    ----------
    folder
        Where it lies.
    config
        study.yaml with defaults.
    tables
        Every input table by name; a table that the study lacks is there without rows.
    sources
        File, sheet and number of records of each table that the study has, by name.
    problems
        Everything found, worst first.
    quarantined
        ``("donor", "D07")``, ``("plate", "P2")``, ``("file", "x.fcs")`` that are set aside.
    inputs
        SHA-256 of every file, by path inside the folder.
    digest
        One digest of all inputs: two folders with the same digest are the same study.
    """

    folder: Path
    config: Config
    tables: dict[str, pd.DataFrame]
    sources: dict[str, tuple[str, str, int]]
    problems: tuple[Problem, ...]
    quarantined: frozenset[tuple[str, str]]
    inputs: dict[str, str]
    digest: str


def check_study(folder: Path) -> list[Problem]:
    """Every problem of a study folder's tables in one pass, worst first; empty where all is well.

    Parameters
    ----------
    folder
        The study folder; it need not exist.
    """
    return read_study(folder)[0]


def open_study(folder: Path) -> Study:
    """Open a study folder.

    Parameters
    ----------
    folder
        The study folder.

    Raises
    ------
    Refused
        Where there is any error; it carries all problems.
    """
    problems, study = read_study(folder)
    if study is None:
        raise Refused(problems)
    return study


def read_study(folder: Path) -> tuple[list[Problem], Study | None]:
    """Read a study folder: every problem, worst first, and the study where none is an error."""
    folder = Path(folder)
    problems, config, tables, listing = _read(folder)
    problems = sorted_problems(problems)
    if has_errors(problems) or config is None:
        return problems, None
    inputs = folder_inputs(folder)
    return problems, Study(
        folder=folder,
        config=config,
        tables={name: table.frame for name, table in tables.items()},
        sources={n: (privacy.alias(raw.file), raw.sheet, len(raw.rows)) for n, raw in sorted(listing.sheets.items())},
        problems=tuple(problems),
        quarantined=quarantined_by(problems),
        inputs=inputs,
        digest=inputs_digest(inputs),
    )


def quarantined_by(problems: Iterable[Problem]) -> frozenset[tuple[str, str]]:
    """Kind and code of everything that problems set aside; a standard left out of its curve with a warning, too.

    Examples
    --------
    >>> sorted(quarantined_by([Problem("quarantine", "x", "Odd.", "Look.", entity="plate P2")]))
    [('plate', 'P2')]
    """
    named = (p for p in problems if p.entity)
    return frozenset(_entity(p.entity) for p in named if p.severity == "quarantine" or p.entity.startswith("standard "))


def _entity(text: str) -> tuple[str, str]:
    kind, _, code = text.partition(" ")
    return kind, code


def _read(folder: Path) -> tuple[list[Problem], Config | None, dict[str, TypedTable], Folder]:
    listing = read_folder(folder)
    if not folder.is_dir():
        return listing.problems, None, {}, listing
    text, problems = read_study_yaml(folder)
    settings, lines, said = read_config(text) if text else ({}, {}, [])
    sheets, private = identities(listing, settings, lines)
    problems += listing.problems + said + missing_tables(listing) + private
    sound = sound_sections(settings, said)
    config = Config.from_settings(sound) if sound else None
    if sound:
        problems += config_problems(sound, lines)
    patterns = _patterns(settings)
    tables: dict[str, TypedTable] = {}
    for name, schema in input_tables().items():
        if name in sheets:
            tables[name], said = type_table(sheets[name], schema, patterns)
            problems += said
        else:
            tables[name] = empty_table(schema)
    problems += _one_specimen_each(tables, listing)
    if config is not None:
        problems += cross_check(tables, config, listing)
    return problems, config, tables, listing


def _patterns(settings: dict[str, Any]) -> dict[str, str]:
    """Patterns of codes that can be used; the others are said where study.yaml is checked."""
    patterns = settings.get("id_patterns")
    found = patterns.items() if isinstance(patterns, dict) else ()
    return {k: v for k, v in found if isinstance(v, str) and is_pattern(v)}


def _one_specimen_each(tables: dict[str, TypedTable], folder: Folder) -> list[Problem]:
    """Without a table of specimens, one specimen for each donor, called as the donor, where cultures name donors so."""
    name, donors = "specimens", tables["donors"]
    if name in {*folder.sheets, *folder.unread}:
        return []
    if not key_is_there(tables, folder, "donors", "donor_id"):
        folder.unread.add(name)  # nothing can be said of its codes
        return []
    codes = donors.frame["donor_id"].dropna().drop_duplicates()
    named = {code for t in tables.values() if "specimen_id" in t.headings for code in t.frame["specimen_id"].dropna()}
    if named.isdisjoint(codes):
        return []
    schema = input_tables()[name]
    frame = default_rows(schema, len(codes)).assign(specimen_id=codes.to_numpy(), donor_id=codes.to_numpy())
    frame = frame.astype({"specimen_id": "string", "donor_id": "string"})
    headings = {"specimen_id": "specimen_id", "donor_id": "donor_id"}
    tables[name] = TypedTable(schema, frame, f"{name}.csv", "", (), headings)
    return [
        Problem(
            "repaired",
            "specimens-from-donors",
            "There is no table of specimens: each donor has one, called as the donor, of visit V1 and unknown source.",
            "Add the table specimens where a donor gave several, or where source and visit are known.",
            file=f"{name}.csv",
        )
    ]


def folder_inputs(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a study folder by its path inside it; empty where there is no folder.

    Every file counts, named or not, since names and contents alike can refuse a study. What cannot be
    read as a file of this folder (a link to elsewhere, a device, a closed folder) counts by a word, so that
    a folder with it is never taken for the same folder without it.
    """
    root, unreadable = folder.resolve(), "not readable as a file of this study"
    files, closed = list_files(folder)
    inputs = dict.fromkeys(closed, unreadable)
    for file in files:
        path = folder / file
        try:
            sound = path.is_file() and path.resolve().is_relative_to(root)
            inputs[file] = sha256(path) if sound else unreadable
        except OSError:
            inputs[file] = unreadable
    return inputs


def inputs_digest(inputs: dict[str, str]) -> str:
    """One digest of all inputs."""
    return digest_of(part for item in sorted(inputs.items()) for part in item)
