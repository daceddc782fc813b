"""Whose each row is: every table, in or out, parted by donor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

Tables = Mapping[str, pd.DataFrame]
Owners = Mapping[str, Mapping[str, str]]

OWN_CODES = (
    ("specimens", "specimen_id"),
    ("cultures", "culture_id"),
    ("cytokines/samples", "sample_id"),
    ("phenotype/samples", "fcs_file"),
    ("phagocytosis/wells", "phago_id"),
)
"""Tables in the order of the spine, and the code by which later tables name their rows."""


def owners(tables: Tables) -> dict[str, dict[str, str]]:
    """The donor behind each code of a study, by the name of the column that bears the codes.

    Parameters
    ----------
    tables
        Typed input tables.

    Returns
    -------
    Columns as in `OWN_CODES` and ``donor_id``; a code of a pool, of MSC alone or of medium is not in it.
    """
    found = {"donor_id": {str(d): str(d) for d in tables["donors"]["donor_id"]}}
    for name, column in OWN_CODES:
        whose = owner_of(tables[name], found)
        pairs = zip(tables[name][column], whose, strict=True)
        found[column] = {str(code): str(donor) for code, donor in pairs if not pd.isna(donor)}
    found["sample_id"] |= found["culture_id"]  # a sample without a row of its own bears its culture's code
    return found


def owner_of(table: pd.DataFrame, known: Owners) -> pd.Series:
    """The donor of each row of a table, missing where a row is nobody's.

    Parameters
    ----------
    table
        Any table, in or out.
    known
        From `owners`.

    Examples
    --------
    >>> wells = pd.DataFrame({"culture_id": ["C1", "C9"]})
    >>> owner_of(wells, {"donor_id": {"D01": "D01"}, "culture_id": {"C1": "D01"}}).tolist()
    ['D01', None]
    """
    whose: list[str | None] = [None] * len(table)
    for column in (c for c in known if c in table):
        codes = table[column].to_numpy(dtype=object)
        whose = [known[column].get(code) if own is None else own for own, code in zip(whose, codes, strict=True)]
    return pd.Series(whose, index=table.index, dtype=object)


def places(tables: Tables, known: Owners) -> dict[str, dict[str, np.ndarray]]:
    """Where each donor's rows stand in every table.

    Parameters
    ----------
    tables
        Tables by name, in or out.
    known
        From `owners`.

    Returns
    -------
    Numbers of rows, from 0, by donor and name of table, in the tables' order; tables that name no donor are in none.

    Examples
    --------
    >>> found = places({"wells": pd.DataFrame({"donor_id": ["D2", "D1", "D2"]})}, {"donor_id": {"D1": "D1", "D2": "D2"}})
    >>> found["D2"]["wells"].tolist()
    [0, 2]
    """
    donors = known["donor_id"]
    out: dict[str, dict[str, np.ndarray]] = {donor: {} for donor in donors}
    for name, table in tables.items():
        if set(known) & set(table.columns):
            rows = pd.Series(range(len(table))).groupby(owner_of(table, known).to_numpy(), sort=False).indices
            for donor in donors:
                out[donor][name] = rows.get(donor, np.array([], dtype=int))
    return out


def parted(tables: Tables, at: Mapping[str, np.ndarray]) -> dict[str, pd.DataFrame]:
    """Rows of one donor in every table that names donors; a table without such rows is there, empty.

    Parameters
    ----------
    tables
        Tables by name.
    at
        Of the donor, from `places`.
    """
    return {name: tables[name].iloc[rows].reset_index(drop=True) for name, rows in at.items() if name in tables}
