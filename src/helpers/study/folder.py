"""The study folder: which file is which table, which are instrument files, and which are neither."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from helpers.core import privacy
from helpers.core.problems import Problem
from helpers.core.schemas import TableSchema, input_tables
from helpers.readers.sheets import RawTable, read_tables
from helpers.study.config import FILE
from helpers.study.layout_grid import LAYOUT, from_grid, is_grid, joined
from helpers.study.tables import plain_heading

TABLE_ENDINGS = (".csv", ".tsv", ".xlsx", ".xlsm", ".xls", ".ods")
INSTRUMENT_FOLDERS = ("cytokines/raw", "phenotype/fcs", "phagocytosis/raw")
PLAIN_SHEETS = frozenset({"read_me", "readme", "lists", "说明"})
"""Sheets of the template that hold no data."""

_MOST_FILES = 200_000
_MOST_TITLE_ROWS = 10
_IGNORED = (".", "~$", "Thumbs.db", "desktop.ini")


@dataclass
class Folder:
    """What lies in a study folder.

    Parameters
    ----------
    root
        The folder.
    files
        Every file as a path inside the folder, with forward slashes, sorted.
    sheets
        Raw tables by the name of the table they are.
    problems
        What is wrong with files as such.
    unread
        Tables that are there, or may be there, and could not be read: nothing can be said of codes that point
        to them.
    """

    root: Path
    files: list[str] = field(default_factory=list)
    sheets: dict[str, RawTable] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)

    def instrument_files(self) -> list[str]:
        """Files in the instruments' folders, as paths inside the study folder."""
        return [f for f in self.files if f.startswith(tuple(p + "/" for p in INSTRUMENT_FOLDERS))]


def read_folder(root: Path) -> Folder:
    """List a study folder and read its tables as text; instrument files are listed, not read.

    Parameters
    ----------
    root
        The folder; a folder that is not there gives a problem, not an exception.
    """
    folder = Folder(root)
    if not root.is_dir():
        folder.problems.append(
            Problem(
                "error",
                "no-folder",
                "There is no such study folder.",
                "Check the path; `apap new` makes an empty study and `apap demo` a simulated one.",
            )
        )
        return folder
    _list(folder)
    for file in folder.files:
        if _may_hold_tables(file):
            _read(folder, file)
    folder.unread -= set(folder.sheets)
    return folder


def _list(folder: Folder) -> None:
    root = folder.root.resolve()
    files, closed, linked = _walk(folder.root)
    folder.problems += [
        Problem("error", "unreadable-folder", "This folder cannot be read.", "Change its permissions.", file=name)
        for name in closed
    ]
    for name in sorted([*files, *linked]):
        path = folder.root / name
        if path.is_symlink() and _leads_out(path, root):
            folder.problems.append(
                Problem(
                    "error",
                    "link-outside",
                    "This is a link to a place outside the study folder.",
                    "Copy the files themselves into the study folder.",
                    file=name,
                )
            )
        elif name in linked:
            folder.problems.append(
                Problem(
                    "error",
                    "linked-folder",
                    "This folder is a link to another one; linked folders are not read.",
                    "Remove the link, or put the files themselves there.",
                    file=name,
                )
            )
        elif not _is_ordinary(path):
            folder.problems.append(
                Problem(
                    "error",
                    "not-a-file",
                    "This is no ordinary file but a pipe, a device or a link to nothing.",
                    "Remove it, or put the real file there.",
                    file=name,
                )
            )
        elif len(folder.files) < _MOST_FILES:
            folder.files.append(name)
    if len(folder.files) >= _MOST_FILES:
        folder.problems.append(
            Problem(
                "error",
                "too-many-files",
                f"The folder holds more than {_MOST_FILES:,} files.",
                "Name the study folder itself, not a disk.",
            )
        )


def _leads_out(link: Path, root: Path) -> bool:
    try:
        return not link.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a link to itself leads nowhere
        return False


def _is_ordinary(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may be listed and not entered; reading the file says so
        return True


def list_files(root: Path) -> tuple[list[str], list[str]]:
    """Every file of a study folder as a path inside it, and every folder that cannot be listed or is a link."""
    files, closed, linked = _walk(root)
    return sorted(files), sorted({*closed, *linked})


def _walk(root: Path) -> tuple[list[str], list[str], set[str]]:
    """Files, folders that cannot be listed and folders that are links, as paths inside `root`."""
    files: list[str] = []
    closed: list[str] = []
    linked: set[str] = set()

    def inside(path: str | Path) -> str:
        return Path(path).relative_to(root).as_posix()

    for where, folders, names in os.walk(root, onerror=lambda err: closed.append(inside(err.filename or root))):
        here = Path(where)
        folders[:] = sorted(d for d in folders if not d.startswith(_IGNORED))
        linked |= {inside(here / d) for d in folders if (here / d).is_symlink()}
        files += [inside(here / f) for f in names if not f.startswith(_IGNORED)]
    return files, closed, linked


def _may_hold_tables(file: str) -> bool:
    """Tables lie at the top of the folder or of an assay's folder, never among instrument files."""
    path = PurePosixPath(file)
    return (
        path.suffix.casefold() in TABLE_ENDINGS
        and len(path.parts) <= 2
        and str(path.parent) in (".", "cytokines", "phenotype", "phagocytosis")
    )


def _read(folder: Folder, file: str) -> None:
    raws, problems = read_tables(folder.root / file, file)
    folder.problems += problems
    if {p.code for p in problems if p.severity == "error"} - {"empty-workbook"}:
        folder.unread |= _may_be(file)
    for raw in raws:
        if raw.sheet.strip().casefold().replace(" ", "_") in PLAIN_SHEETS:
            continue
        name = _table_name(raw, len(raws))
        titled = _title_rows(raw, name)
        if titled or not raw.columns:
            folder.problems += [titled] if titled else raw.problems
            folder.unread |= {name} if name else set()
            continue
        folder.problems += raw.problems
        if is_grid(raw):
            raw, said = from_grid(raw)
            folder.problems += said
            if LAYOUT in folder.sheets and folder.sheets[LAYOUT].places:
                folder.sheets[LAYOUT] = joined(folder.sheets[LAYOUT], raw)
                continue
            name = LAYOUT
        if not raw.rows:  # headings alone, as the template has them, are no table
            continue
        if name is None:
            folder.problems += _unknown(raw)
        elif name in folder.sheets:
            folder.problems.append(
                Problem(
                    "error",
                    "table-twice",
                    f"The table {name} is there twice.",
                    "Keep one of the two files or sheets.",
                    file=raw.file,
                    sheet=raw.sheet,
                    expected=f"only {privacy.alias(folder.sheets[name].file)}",
                )
            )
        else:
            folder.sheets[name] = raw


def _may_be(file: str) -> set[str]:
    """The tables that a file which cannot be read may hold: the one it is named after, else any, of a workbook."""
    named = _named_after(file)
    if named:
        return {named}
    return set() if PurePosixPath(file).suffix.casefold() in (".csv", ".tsv") else set(input_tables())


def _title_rows(raw: RawTable, name: str | None) -> Problem | None:
    """Whether the headings stand further down, below a title: the one cause of a hundred other errors."""
    known = set(input_tables()[name].columns) if name else set()
    if not known or any(plain_heading(h) in known for h in raw.columns):
        return None
    for i, row in enumerate(raw.rows[:_MOST_TITLE_ROWS]):
        cells = [plain_heading(str(c)) for c in raw.cells.iloc[i] if str(c)]
        if cells and known.issuperset(cells):
            return Problem(
                "error",
                "title-above-headings",
                f"The headings stand in row {row}, below other rows; headings belong into the first row.",
                "Delete the rows above the headings.",
                file=raw.file,
                sheet=raw.sheet,
                row=row,
            )
    return None


def _table_name(raw: RawTable, sheets: int) -> str | None:
    """The table a sheet is: by the sheet's name, or by the file's where it has one sheet only."""
    if raw.sheet:
        known = {name.replace("/", "_"): name for name in input_tables()}
        by_sheet = raw.sheet.strip().casefold().replace(" ", "_").replace("/", "_").replace("-", "_")
        if by_sheet in known:
            return known[by_sheet]
        if sheets > 1:
            return None
    return _named_after(raw.file)


def _named_after(file: str) -> str | None:
    by_file = PurePosixPath(file).with_suffix("").as_posix().casefold()
    return {name.replace("/", "_"): name for name in input_tables()}.get(by_file.replace("/", "_"))


def _unknown(raw: RawTable) -> list[Problem]:
    sheet = raw.sheet.strip().casefold().replace(" ", "_")
    names = list(input_tables())
    wanted = sheet.replace("/", "_") if sheet else PurePosixPath(raw.file).with_suffix("").as_posix()
    near = get_close_matches(wanted, [*names, *(n.replace("/", "_") for n in names)], 1, 0.5)
    what = "sheet" if raw.sheet else "file"
    return [
        Problem(
            "error",
            f"unknown-{what}",
            f"This {what} is none of the tables of a study.",
            f"Rename the {what}, or move it out of the study folder.",
            file=raw.file,
            sheet=raw.sheet,
            expected=near[0] if near else "one of " + ", ".join(names),
        )
    ]


def missing_tables(folder: Folder) -> list[Problem]:
    """Tables without which there is no study: donors, cultures and at least one assay; what is unread may be there."""
    problems = [
        Problem(
            "error",
            "missing-table",
            f"The table {name} is missing or has no rows: {schema.title.lower()}.",
            "Add the file or the sheet, and fill it in.",
            file=f"{name}.csv",
            expected=f"{name}.csv, {name}.xlsx or a sheet {name}",
        )
        for name, schema in input_tables().items()
        if schema.needed and name not in {*folder.sheets, *folder.unread}
    ]
    if not any(is_assay(name) for name in {*folder.sheets, *folder.unread}) and not problems:
        problems.append(
            Problem(
                "error",
                "no-assay",
                "The study holds no assay at all.",
                "Add the tables of at least one assay.",
                file="measurements.csv",
                expected="cytokines/plates, cytokines/concentrations, phenotype/samples, phagocytosis/wells or measurements",
            )
        )
    return problems


def is_assay(name: str) -> bool:
    """Whether a table holds results of an assay or names its files."""
    return name in (
        "cytokines/plates",
        "cytokines/concentrations",
        "phenotype/samples",
        "phagocytosis/wells",
        "measurements",
    )


def schema_of(name: str) -> TableSchema:
    """The contract of an input table."""
    return input_tables()[name]


def read_study_yaml(root: Path) -> tuple[str, list[Problem]]:
    """Text of study.yaml; a missing or unreadable file as a problem."""
    from helpers.readers.text import decode

    path = root / FILE
    if not path.exists():
        near = [p.name for p in root.glob("*.y*ml")] if root.is_dir() else []
        return "", [
            Problem(
                "error",
                "missing-table",
                "The study has no study.yaml.",
                "Start from the study.yaml that `apap new` writes.",
                file=FILE,
                found=", ".join(near),
                expected=FILE,
            )
        ]
    try:
        data = path.read_bytes() if path.is_file() and path.stat().st_size < 5_000_000 else None
    except OSError:
        data = None
    if data is None:
        return "", [
            Problem(
                "error",
                "unreadable",
                "The file cannot be read, is no ordinary file, or is far too large for settings.",
                "Check the file.",
                file=FILE,
            )
        ]
    decoded = decode(data, FILE)
    return decoded.text, list(decoded.problems)
