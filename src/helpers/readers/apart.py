"""Workbooks opened in a process of their own, with a bound on memory and time.

The library that reads them takes memory for every cell between the first and the last one, and where it gets none it
ends the whole program. An .xlsx file is measured before (see `bounds`); the older and binary kinds, and repeated cells
of .ods, cannot be, so that here another process may end in our place.
"""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from typing import Any

from helpers.readers.bounds import MOST_CELLS

MOST_MEMORY = 2_000_000_000
SECONDS = 60
_CHILD = """
import io, pickle, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
except (ImportError, ValueError, OSError):
    pass
import python_calamine
try:
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
    visible = python_calamine.SheetVisibleEnum.Visible
    hidden = {{s.name for s in book.sheets_metadata if s.visible != visible}}
    found, cells = [], 0
    for name in book.sheet_names:
        try:
            sheet = book.get_sheet_by_name(name)
            size = sheet.total_height, sheet.total_width
            cells += size[0] * size[1]
            values = sheet.to_python(skip_empty_area=False) if cells <= {cells} else None
            found.append((name, name in hidden, *size, values))
        except BaseException:
            found.append((name, name in hidden, 0, 0, None))
except BaseException as err:
    found = type(err).__name__ + " " + str(err)
pickle.dump(found, sys.stdout.buffer)
"""


@dataclass(frozen=True)
class Sheet:
    """A sheet as the library reads it; without values where it is damaged, or too large (then its size is there)."""

    name: str
    hidden: bool
    height: int
    width: int
    values: list[list[Any]] | None


class Unopened(Exception):
    """What the library said of a workbook that it cannot open; empty where its process ended without a word."""


def is_measured(data: bytes) -> bool:
    """Whether a workbook is an .xlsx and nothing else, so that `bounds.package_problem` has measured all its cells.

    Examples
    --------
    >>> is_measured(b"no archive")
    False
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {name.casefold() for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, OSError):
        return False
    return "xl/workbook.xml" in names and "content.xml" not in names and not any(n.endswith(".bin") and n.startswith("xl/w") for n in names)  # fmt: skip


def sheets_apart(data: bytes) -> list[Sheet]:
    """All sheets of a workbook of any kind.

    Raises
    ------
    Unopened
        Where it cannot be opened within the bounds.
    """
    code = _CHILD.format(memory=MOST_MEMORY, cells=MOST_CELLS)
    command = [sys.executable, "-P", "-c", code]  # -P: no module is taken from the folder the user works in
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, check=True)
        found = pickle.loads(done.stdout)
    except (subprocess.SubprocessError, pickle.UnpicklingError, EOFError) as err:
        raise Unopened("") from err
    if isinstance(found, str):
        raise Unopened(found)
    return [Sheet(*one) for one in found]
