"""The plates of a study: read, joined to its samples, their standards checked; cheap enough for every check."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.assays.cytokines import quality
from helpers.assays.cytokines.joined import joined, renamed
from helpers.assays.cytokines.standards import KINDS, check_series, verdicts
from helpers.core.cache import remember
from helpers.core.files import refuse_changed, sha256
from helpers.core.problems import Problem, Refused, softened
from helpers.readers.plate import Plate
from helpers.study.config import Config
from helpers.study.deviations import excluded


@dataclass(frozen=True)
class JoinedPlate:
    """A plate read and joined to the study, with its record of cytokines/plates."""

    row: dict[str, Any]
    plate: Plate
    wells: pd.DataFrame
    unusable: dict[str, str]


def read_plates(
    folder: Path, tables: Mapping[str, pd.DataFrame], quarantined: AbstractSet[tuple[str, str]], config: Config
) -> tuple[list[JoinedPlate], list[Problem]]:
    """Every plate of the study, read, joined and its standards checked; a plate that cannot be read is set aside.

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

    Returns
    -------
    The plates in the order of cytokines/plates, without those that the checks or deviations set aside, and every
    problem found on the way.
    """
    pattern = str(config.settings["file_patterns"].get("cytokine_sample", ""))
    out: list[JoinedPlate] = []
    problems: list[Problem] = []
    aside = excluded(tables, "cytokines") | quarantined
    for row in tables["cytokines/plates"].to_dict("records"):
        if not aside.isdisjoint({("plate", row["plate_id"]), ("file", row["instrument_file"])}):
            continue
        entity, file = f"plate {row['plate_id']}", f"cytokines/raw/{row['instrument_file']}"
        try:
            plate, said = _one_plate(folder / file, file, int(row["plate_in_file"]))
        except Refused as refused:
            problems += softened(refused.problems, "quarantine", entity)
            continue
        plate = renamed(plate, tables["cytokines/analytes"])
        wells, more = joined(plate, file, row, tables, pattern)
        wells, unusable, findings = checked_standards(wells, row["plate_id"], file)
        inside = softened([*said, *plate.problems], "quarantine", f"part of {entity}")
        problems += [*inside, *more, *findings]
        out.append(JoinedPlate(row, plate, wells, unusable))
    return out, [*problems, *quality.arms_apart(out, tables, config)]


def _one_plate(path: Path, file: str, number: int) -> tuple[Plate, list[Problem]]:
    plates = _read(sha256(path), str(path), file)
    if number > len(plates):
        message = f"The file holds {len(plates)} plates, and plate_in_file names another."
        raise Refused(
            [Problem("error", "no-such-plate", message, "Correct plate_in_file in cytokines/plates.", file=file)]
        )
    return plates[number - 1], []


@remember("readers", ignore=("path",))
def _read(digest: str, path: str, file: str) -> list[Plate]:
    from helpers.readers.plates import read_plate_file

    plates = read_plate_file(Path(path), file)
    refuse_changed(Path(path), digest, file)
    return plates


def checked_standards(
    wells: pd.DataFrame, plate_id: object, file: str
) -> tuple[pd.DataFrame, dict[str, str], list[Problem]]:
    """Standards that cannot be right are set aside and named; a series that cannot be trusted gives no curve.

    Parameters
    ----------
    wells
        From `joined.joined`.
    plate_id, file
        For messages.

    Returns
    -------
    The wells, their `use` false for what is set aside; the sentence of each analyte without a usable series; and
    one quarantine a finding.
    """
    series = wells.loc[
        (wells["role"] == "standard") & wells["use"] & wells["level"].notna() & wells["expected"].notna(),
        ["analyte", "level", "expected"],
    ]
    findings = check_series(series)
    single, unusable = verdicts(series, findings)
    aside = {(one.analyte, one.level) for one in single.itertuples()}
    keys = zip(wells["role"], wells["analyte"], wells["level"], strict=True)
    hit = pd.Series([r == "standard" and (a, n) in aside for r, a, n in keys], index=wells.index)
    reason = wells["reason"].mask(hit, "the standard does not fit its series")
    problems = [_finding(one, unusable, plate_id, file) for one in findings.itertuples()]
    return wells.assign(use=wells["use"] & ~hit, reason=reason), unusable, problems


def _finding(one: Any, unusable: Mapping[str, str], plate_id: object, file: str) -> Problem:
    lost = one.analyte in unusable
    consequence = (
        f"{unusable[one.analyte]} The analyte gets no concentration."
        if lost
        else "This standard is left out of the curve."
    )
    return Problem(
        "quarantine" if lost else "warning",
        f"standard-{str(one.kind).replace('_', '-')}",
        f"{KINDS[str(one.kind)]} {consequence}",
        "If the file is wrong, give the right concentration in cytokines/standards.",
        file=file,
        column=f"{one.analyte}, standard {one.level}",
        found=f"{one.found:.10g}",
        expected="" if np.isnan(one.likely) else f"about {one.likely:.6g}",
        entity=f"analyte {plate_id}/{one.analyte}" if lost else f"standard {plate_id}/{one.analyte}/{one.level}",
    )
