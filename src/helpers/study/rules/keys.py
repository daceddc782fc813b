"""Keys and links: a code stands for one record, and a code that names a record finds it."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

import pandas as pd

from helpers.core.problems import Problem
from helpers.core.schemas import ForeignKey
from helpers.study.config import Config
from helpers.study.folder import Folder, schema_of
from helpers.study.rules.saying import Tables, key_is_there
from helpers.study.tables import TypedTable

OPTIONAL = ("msc_lots",)
"""Tables that only describe codes: without them the codes stand as they are."""


def primary_keys(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """A key stands for one record."""
    for table in tables.values():
        key = list(table.schema.primary_key)
        if not key or table.frame.empty:
            continue
        keys = table.frame[key].astype("string").fillna("")
        first: dict[tuple[str, ...], int] = {}
        for i, values in enumerate(keys.itertuples(index=False, name=None)):
            if not any(values):
                continue
            if values in first:
                yield Problem(
                    "error",
                    "duplicate-key",
                    f"This record repeats the key ({', '.join(key)}) of row {table.rows[first[values]]}.",
                    "Remove one of the two, or correct the key.",
                    found=", ".join(values),
                    **table.at(i, key[0]),
                )
            first.setdefault(values, i)


def foreign_keys(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """A code that names a record of another table has that record; nothing is said of a table that was not read."""
    for table in tables.values():
        for link in table.schema.foreign_keys:
            if key_is_there(tables, folder, link.table, link.target):
                yield from _unknown_keys(table, link, tables[link.table])
            elif link.table not in {*folder.sheets, *folder.unread, *OPTIONAL}:
                yield from _absent_table(table, link)


def _unknown_keys(table: TypedTable, link: ForeignKey, target: TypedTable) -> Iterator[Problem]:
    known = set(target.frame[link.target].dropna())
    for i, code in enumerate(table.frame[link.column]):
        if not pd.isna(code) and code not in known:
            near = get_close_matches(code, known, 1, 0.7)
            yield Problem(
                "error",
                "unknown-key",
                f"The table {link.table} has no such {link.target}.",
                f"Correct the code, or add the record to {link.table}.",
                found=code,
                expected=near[0] if near else f"a {link.target} of {link.table}",
                **table.at(i, link.column),
            )


def _absent_table(table: TypedTable, link: ForeignKey) -> Iterator[Problem]:
    """One sentence for all codes of a table that the study does not have; a needed table is said by itself."""
    first = next((i for i, code in enumerate(table.frame[link.column]) if not pd.isna(code)), None)
    if first is not None and not schema_of(link.table).needed:
        yield Problem(
            "error",
            "unknown-key",
            f"Codes of {link.table} stand in this column, but the study has no table {link.table}.",
            f"Add the table {link.table}"
            + (", or write the donor's code where each donor gave one specimen." if link.table == "specimens" else "."),
            found=table.frame[link.column].iloc[first],
            expected=f"a table {link.table}",
            **table.at(first, link.column),
        )


def config_codes(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """Groups and conditions in tables are those of study.yaml."""
    lists = (
        ("donors", "group", [g.code for g in config.groups]),
        ("cultures", "condition", [c.code for c in config.conditions]),
    )
    for name, column, known in lists:
        table = tables[name]
        for i, code in enumerate(table.frame[column]):
            if not pd.isna(code) and code not in known:
                near = get_close_matches(code, known, 1, 0.6)
                yield Problem(
                    "error",
                    f"unknown-{column}",
                    f"study.yaml has no such {column}.",
                    f"Correct the code, or add the {column} to study.yaml.",
                    found=code,
                    expected=near[0] if near else ", ".join(known),
                    **table.at(i, column),
                )
