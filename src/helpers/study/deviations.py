"""What deviations exclude: the user's own decisions, each by a rule, beside what the checks set aside."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd


def excluded(tables: Mapping[str, pd.DataFrame], assay: str = "") -> frozenset[tuple[str, str]]:
    """Kind and code of what deviations exclude from an assay.

    Parameters
    ----------
    tables
        Typed input tables.
    assay
        Its name; empty for what is excluded from every one.

    Examples
    --------
    >>> rows = [("plate", "P1", None, "exclude"), ("file", "a.fcs", "phenotype", "exclude"), ("plate", "P2", None, "keep")]
    >>> table = pd.DataFrame(rows, columns=["entity", "entity_id", "assay", "decision"])
    >>> sorted(excluded({"deviations": table})), sorted(excluded({"deviations": table}, "phenotype"))
    ([('plate', 'P1')], [('file', 'a.fcs'), ('plate', 'P1')])
    """
    table = tables["deviations"]
    own = table[(table["decision"] == "exclude") & (table["assay"].isna() | (table["assay"] == assay))]
    return frozenset(zip(own["entity"], own["entity_id"], strict=True))


def excluded_wells(tables: Mapping[str, pd.DataFrame], plate_id: str) -> frozenset[str]:
    """Wells of a plate that deviations exclude, as they are written after ``plate:``.

    Parameters
    ----------
    tables
        Typed input tables.
    plate_id
        Of cytokines/plates.
    """
    start = f"{plate_id}:"
    return frozenset(
        code.removeprefix(start)
        for kind, code in excluded(tables, "cytokines")
        if kind == "well" and code.startswith(start)
    )
