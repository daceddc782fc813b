"""Sheets begun from instrument files, so that nobody types 96 rows: plates, layout, analytes, FCS files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from helpers.core import privacy
from helpers.core.problems import Problem, Refused, softened
from helpers.core.schemas import input_tables
from helpers.readers.plate import Plate

PLATFORMS = {
    "xponent": "luminex_xponent",
    "intelliflex": "luminex_intelliflex",
    "bioplex": "bioplex",
    "bioplex_wide": "bioplex",
    "bioplex_xml": "bioplex",
    "msd": "msd",
}
Rows = dict[str, list[dict[str, str]]]


def prefilled(fcs: Iterable[Path], plates: Iterable[Path]) -> tuple[Rows, list[Problem]]:
    """Records to begin with, by table.

    Parameters
    ----------
    fcs
        FCS files.
    plates
        Files of plate readers; one that cannot be read gets its record of cytokines/plates and a warning.

    Returns
    -------
    Rows of phenotype/samples, cytokines/plates, cytokines/layout and cytokines/analytes. An instrument's sample name
    becomes a sample_id only where it is a code; a name that looks like a person's is left out.
    """
    rows: Rows = {
        "phenotype/samples": [{"fcs_file": f.name, "tube_role": "stained"} for f in fcs],
        "cytokines/plates": [],
        "cytokines/layout": [],
        "cytokines/analytes": [],
    }
    problems: list[Problem] = []
    for file in plates:
        try:
            read = _plates(file)
        except Refused as refused:
            problems += softened(refused.problems, "warning")
            read = []
        for number, plate in enumerate(read or [None], 1):
            plate_id = f"P{len(rows['cytokines/plates']) + 1}"
            rows["cytokines/plates"].append(_record(plate_id, file.name, number, plate))
            if plate is not None:
                rows["cytokines/layout"] += _layout(plate_id, plate)
                known = {r["analyte"] for r in rows["cytokines/analytes"]}
                rows["cytokines/analytes"] += [{"analyte": a} for a in plate.analytes["analyte"] if a not in known]
    return rows, problems


def _plates(file: Path) -> list[Plate]:
    from helpers.readers.plates import read_plate_file

    return read_plate_file(file, file.name)


def _record(plate_id: str, file: str, number: int, plate: Plate | None) -> dict[str, str]:
    record = {"plate_id": plate_id, "instrument_file": file}
    if number > 1:
        record["plate_in_file"] = str(number)
    if plate is not None and plate.layout in PLATFORMS:
        record["platform"] = PLATFORMS[plate.layout]
    return record


def _layout(plate_id: str, plate: Plate) -> list[dict[str, str]]:
    """One row a single well, in the order of the plate."""
    code = re.compile(input_tables()["cytokines/layout"].field("sample_id").pattern)
    wells = plate.wells.drop_duplicates("well")
    out = []
    for one in wells.itertuples():
        for well in str(one.well).split(","):
            row = {"plate_id": plate_id, "well": well.strip(), "role": "sample" if pd.isna(one.role) else str(one.role)}
            if not pd.isna(one.level):
                row["level"] = str(one.level)
            name = "" if pd.isna(one.sample) else str(one.sample).strip()
            if row["role"] == "sample" and code.fullmatch(name) and not privacy.findings_in_id(name):
                row["sample_id"] = name
            if row["role"] == "sample" and not pd.isna(one.dilution) and one.dilution >= 1:
                row["dilution"] = f"{one.dilution:g}"
            out.append(row)
    return sorted(out, key=lambda r: (int(re.sub(r"\D", "", r["well"]) or 0), r["well"]))
