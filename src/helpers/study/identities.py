"""No identity gets past this point: every text of a study folder is looked at before anything is kept.

What is found is said by place and rule; the text itself is shown in no message, and dots stand for it in the tables
that are read further.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers.core import privacy
from helpers.core.cache import remember
from helpers.core.files import sha256
from helpers.core.problems import Problem
from helpers.core.schemas import Field, TableSchema, input_tables
from helpers.readers.sheets import MOST_TEXT, RawTable, has_closed_texts, is_office_file, workbook_texts
from helpers.study.config import FILE, Path_, dotted
from helpers.study.folder import Folder
from helpers.study.tables import plain_heading

DATE_KEYS = frozenset({("plan", "date"), ("first_unblinding_date",), ("data_lock_date",)})
PROSE = frozenset({"comment", "reason", "rule"})
"""Columns in which people write words; x_* columns are the other ones."""

CODES = frozenset({"entity_id", "pooled_from", "override_for"})
"""Columns that hold codes of donors and specimens, though no schema calls them so, or names of files."""

_CITING_KEYS = frozenset({"direction_source"})
"""Settings that cite literature, where authors have names."""

_FIX = "Delete it, and keep the key between code and person outside the study folder."


def identities(
    folder: Folder, settings: Mapping[str, Any], lines: Mapping[Path_, int]
) -> tuple[dict[str, RawTable], list[Problem]]:
    """Every identity in file names, sheet names, workbook properties, cells and study.yaml.

    Parameters
    ----------
    folder
        The folder as read.
    settings, lines
        study.yaml as data, and the line of each entry.

    Returns
    -------
    The folder's tables with dots in every cell that broke a rule or merely may, and what was found.
    """
    found = list(_file_names(folder.files)) + list(_office_files(folder))
    checked = {name: _cells(raw, name) for name, raw in folder.sheets.items()}
    secrets = frozenset().union(*(texts for _, texts in checked.values()))
    found += [problem for problems, _ in checked.values() for problem in problems]
    sheets = {name: _dotted(raw, secrets) for name, raw in folder.sheets.items()} if secrets else folder.sheets
    return sheets, found + list(_settings(settings, lines))


def _problem(finding: privacy.Finding, **where: Any) -> Problem:
    if finding.severity == "warning":
        return Problem(
            "warning",
            finding.rule,
            f"This is {finding.description}; dots stand for it in every output.",
            "Delete it where it is a name; nothing else depends on it.",
            **where,
        )
    return Problem(
        "error",
        finding.rule,
        f"This looks like {finding.description}; identities may not be in a study folder.",
        _FIX,
        **where,
    )


def _file_names(files: Iterable[str]) -> Iterator[Problem]:
    for file in files:
        for finding in privacy.findings_in_path(file):
            if finding.rule != privacy.DATE:
                yield _problem(finding, file=file)


def _office_files(folder: Folder) -> Iterator[Problem]:
    """Texts outside the cells of every Office file, told by its content; of binary ones it is said that nobody looked."""
    closed, large = [], []
    for file in folder.files:
        path = folder.root / file
        if is_office_file(path):
            found, unread = _in_workbook(sha256(path), path)
            yield from (_problem(one, file=file, sheet=place, found=privacy.DOTS) for place, one in found)
            large += [(file, ", ".join(unread))] if unread else []
            closed += [file] if has_closed_texts(path) else []
    for file, places in large:
        yield Problem(
            "warning",
            "texts-not-read",
            "Texts outside the cells of this Office file are too large to be looked at for identities.",
            "Look at them yourself, or save the tables as CSV UTF-8.",
            file=file,
            found=places,
            expected=f"at most {MOST_TEXT // 1_000_000} MB in each part of the file",
        )
    if closed:
        others = f" and {len(closed) - 1} others" if len(closed) > 1 else ""
        yield Problem(
            "warning",
            "properties-not-read",
            f"Properties and comments of this old or binary Office file{others} cannot be looked at for identities.",
            "Look at them yourself, or save the file as .xlsx.",
            file=closed[0],
        )


@remember("study", ignore=("path",))
def _in_workbook(digest: str, path: Path) -> tuple[list[tuple[str, privacy.Finding]], list[str]]:
    """Places in a workbook with the rules that texts there break, no text among them, and places too large to be read.

    Who wrote a workbook stands in its properties: a name there is a warning, a number or an address an error.
    """
    unread: list[str] = []
    found = []
    for place, text in workbook_texts(path, unread):
        names_author = place in ("properties", "comments")
        broken = privacy.findings_in_prose(text) if names_author else privacy.findings(text)
        found += [(place, one) for one in broken if one.rule != privacy.DATE]
    return found, [*dict.fromkeys(unread)]


def _cells(raw: RawTable, name: str) -> tuple[list[Problem], set[str]]:
    """What a table's name, headings and cells break, and the texts of those cells."""
    schema = input_tables()[name]
    problems = [_problem(f, file=raw.file, sheet=raw.sheet) for f in privacy.findings(raw.sheet)]
    secrets: set[str] = set()
    for heading in raw.columns:
        where = {"file": raw.file, "sheet": raw.sheet, "column": heading}
        problems += [_problem(f, **where) for f in privacy.findings(heading)]
        known = _field(schema, heading)
        if privacy.column_finding(heading) and known is None:
            continue  # the whole column is refused; its cells need no messages of their own
        seen = {text: _cell_findings(text, known) for text in dict.fromkeys(raw.cells[heading])}
        secrets |= {text for text, found in seen.items() if found}
        problems += [
            _problem(finding, **raw.place(i, heading), found=privacy.DOTS)
            for i, text in enumerate(raw.cells[heading])
            for finding in seen[text]
        ]
    return problems, secrets


def _dotted(raw: RawTable, secrets: frozenset[str]) -> RawTable:
    """The table with dots for every cell that is, or lists, a text in which a rule fired anywhere in the study."""

    def shown(text: str) -> str:
        hit = text in secrets or not secrets.isdisjoint(re.split(r"[;,\s]+", text))
        return privacy.DOTS if hit else text

    return replace(raw, cells=raw.cells.map(shown))


def _field(schema: TableSchema, heading: str) -> Field | None:
    name = plain_heading(heading)
    return schema.field(name) if name in schema.columns else None


def _cell_findings(text: str, known: Field | None) -> list[privacy.Finding]:
    if len(text) < 2:
        return []
    if known is None or known.name in PROSE:
        return privacy.findings_in_prose(text)
    allowed = frozenset(known.synonyms) | frozenset(known.codes)
    coded = known.identifier or (known.name in CODES and "." not in text)
    found = privacy.findings_in_id(text) if coded else privacy.findings(text, allowed)
    if known.type in ("number", "integer"):  # a date there is Excel's doing and has a sentence of its own
        found = [f for f in found if f.rule != privacy.DATE]
    return found


def _settings(settings: Any, lines: Mapping[Path_, int], path: Path_ = ()) -> Iterator[Problem]:
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield from _text(str(key), (*path, key), lines)
            yield from _settings(value, lines, (*path, key))
    elif isinstance(settings, list):
        for i, value in enumerate(settings):
            yield from _settings(value, lines, (*path, i))
    elif isinstance(settings, (str, int)) and not isinstance(settings, bool):
        yield from _text(str(settings), path, lines)


def _text(text: str, path: Path_, lines: Mapping[Path_, int]) -> Iterator[Problem]:
    for finding in privacy.findings(text):
        dated = finding.rule == privacy.DATE and path in DATE_KEYS
        cited = finding.rule == privacy.NAME and path and path[-1] in _CITING_KEYS
        if not dated and not cited:
            yield _problem(finding, file=FILE, row=lines.get(path), column=dotted(path), found=privacy.DOTS)
