"""How rules speak: where a record stands, and what a contradiction sets aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import pandas as pd

from helpers.core.problems import Problem
from helpers.study.config import Config
from helpers.study.folder import Folder
from helpers.study.tables import TypedTable

Tables = Mapping[str, TypedTable]
Rule = Callable[[Tables, Config, Folder], Iterator[Problem]]
Say = Callable[..., Problem]


def key_is_there(tables: Tables, folder: Folder, name: str, column: str) -> bool:
    """Whether a table and its key could be read, so that a code that is not in it is the code's fault.

    Examples
    --------
    >>> from pathlib import Path
    >>> key_is_there({}, Folder(Path(), unread={"donors"}), "donors", "donor_id")
    False
    """
    return name not in folder.unread and column in tables[name].headings


def about(table: TypedTable, i: int, donor: object, fix: str = "Correct the record.") -> Say:
    """A sentence about record `i` of a donor, wanting code, message, column, found and expected."""
    return partial(_contradiction, table, i, donor, fix)


def _contradiction(
    table: TypedTable,
    i: int,
    donor: object,
    usual_fix: str,
    code: str,
    message: str,
    column: str,
    found: object = "",
    expected: str = "",
    fix: str = "",
) -> Problem:
    """A contradiction that sets a donor aside, or only warns where no donor is known."""
    known = donor is not None and not pd.isna(donor)
    return Problem(
        "quarantine" if known else "warning",
        code,
        message,
        fix or usual_fix,
        found="" if pd.isna(found) else str(found),
        expected=expected,
        entity=f"donor {donor}" if known else "",
        **table.at(i, column),
    )
