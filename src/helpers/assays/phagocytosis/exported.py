"""Wells whose numbers stand in a table: exports of gates, cells, fields, series, or counts typed into the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.assays.phagocytosis.population import RAW
from helpers.core.cache import remember
from helpers.core.files import refuse_changed, sha256
from helpers.core.problems import Problem, Refused, softened
from helpers.readers.fcs import Values
from helpers.readers.flow_tables import FlowTable, design_of, read_flow_table
from helpers.readers.uptake_tables import UptakeTable, read_uptake_table

NAN = float("nan")
PATTERN = "phagocytosis"
"""Entry of file_patterns in study.yaml that reads the design from names in exports."""
_ENDINGS = (".fcs", ".lmd", ".csv", ".tif", ".tiff")
_COLUMN_OF = {"hours": ("minutes", 60.0), "hour": ("minutes", 60.0), "temperature": ("temperature_c", 1.0)}


@dataclass(frozen=True, eq=False)
class Reading:
    """What a table says of one well; NaN where it does not.

    Parameters
    ----------
    n_cells, n_positive, particles
        Counts; particles in all cells counted.
    pct
        Percent positive where it was printed and not counted.
    mfi_positive
        Fluorescence of positive cells as printed.
    signal
        Of the whole well.
    values
        Fluorescence of single cells, where the table holds them.
    """

    n_cells: float = NAN
    n_positive: float = NAN
    particles: float = NAN
    pct: float = NAN
    mfi_positive: float = NAN
    signal: float = NAN
    values: Values | None = None


def readings(
    folder: Path, wells: pd.DataFrame, patterns: Mapping[str, str]
) -> tuple[dict[str, Reading], list[Problem]]:
    """Readings of all wells that are not FCS files.

    A line of a file belongs to the well whose columns equal the named groups that file_patterns.phagocytosis finds
    in the line's sample name (also of cultures: condition, replicate, plate_label, well); without a pattern, to the
    well whose phago_id or culture_id the name is, or to the only well of the file.

    Parameters
    ----------
    folder
        The study folder.
    wells
        From `controls.placed`, without FCS files.
    patterns
        file_patterns of study.yaml.

    Returns
    -------
    By phago_id; and what could not be read or matched.
    """
    found: dict[str, Reading] = {}
    problems: list[Problem] = []
    for one in wells[wells["file"].isna()].to_dict("records"):
        if not pd.isna(one["n_cells"]):
            n_cells, n_positive, particles = (_float(one[c]) for c in ("n_cells", "n_positive", "particles_total"))
            found[str(one["phago_id"])] = Reading(n_cells, n_positive, particles)
    for name, own in wells[wells["file"].notna()].groupby("file", sort=True):
        file = f"{RAW}/{name}"
        try:
            table = _read(sha256(folder / file), str(folder / file), file, str(own["method"].iloc[0]))
        except (Refused, OSError) as err:
            said = err.problems if isinstance(err, Refused) else [_unreadable(file)]
            problems += softened(said, "quarantine", f"file {name}")
            continue
        problems += table.problems
        matched, unmatched = _matched(table.numbers, own, patterns.get(PATTERN, ""), file)
        problems += unmatched
        for phago_id, lines in matched.items():
            found[phago_id] = _reading(table, lines)
    return found, problems


def _float(value: Any) -> float:
    return NAN if pd.isna(value) else float(value)


def _unreadable(file: str) -> Problem:
    return Problem("error", "unreadable", "The file cannot be opened.", "Put it there, or correct its name.", file=file)


@remember("assays", ignore=("path",))
def _read(digest: str, path: str, file: str, method: str) -> FlowTable | UptakeTable:
    read = read_flow_table if method == "flow" else read_uptake_table
    table = read(Path(path), file)
    refuse_changed(Path(path), digest, file)
    return table


def _matched(
    numbers: pd.DataFrame, wells: pd.DataFrame, pattern: str, file: str
) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """Lines of a file by the well they belong to."""
    names = numbers["sample"].drop_duplicates()
    owner = {str(name): _well_of(str(name), wells, pattern) for name in names}
    if "minutes" in numbers:
        keys = zip(numbers["sample"].astype(str), numbers["minutes"], strict=True)
        mine = [_at_time(owner[s], wells, m) for s, m in keys]
    else:
        mine = [owner[s][0] if len(owner[s]) == 1 else "" for s in numbers["sample"].astype(str)]
    by_well = numbers.assign(phago_id=mine)
    lost = [s for s, ids in owner.items() if not ids]
    twice = [] if "minutes" in numbers else [s for s, ids in owner.items() if len(ids) > 1]
    problems = []
    for samples, message in (
        (lost, "Lines of this file match no well of phagocytosis/wells; they are not used."),
        (twice, "Lines of this file match several wells of phagocytosis/wells; they are not used."),
    ):
        if samples:
            fix = "Correct file_patterns.phagocytosis in study.yaml, or name the lines by phago_id."
            rows = numbers.loc[numbers["sample"].astype(str) == samples[0], "row"]
            problems.append(
                Problem(
                    "warning", "no-such-well", message, fix, file, "", int(rows.iloc[0]), "sample", "; ".join(samples)
                )
            )
    known = by_well[by_well["phago_id"] != ""]
    parts = dict(list(known.groupby("phago_id", sort=False)))
    for phago_id in wells["phago_id"]:
        if phago_id not in parts:
            message, fix = "The file holds no line for this well.", "Correct phago_id or the file's sample names."
            problems.append(
                Problem("quarantine", "no-such-line", message, fix, file, found=phago_id, entity=f"uptake {phago_id}")
            )
    return {str(k): v for k, v in parts.items()}, problems


def _well_of(name: str, wells: pd.DataFrame, pattern: str) -> list[str]:
    ids = list(wells["phago_id"])
    stem = name.casefold()
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    for column in ("phago_id", "culture_id"):
        direct = list(wells.loc[wells[column].str.casefold() == stem, "phago_id"])
        if direct:
            return direct
    if pattern:
        groups = design_of(pd.Series([name]), pattern).iloc[0].dropna()
        if len(groups):
            fits = wells
            for column, text in groups.items():
                fits = fits[_equal(fits, str(column), str(text))]
            return list(fits["phago_id"])
    return ids if len(ids) == 1 else []


def _equal(wells: pd.DataFrame, column: str, text: str) -> pd.Series:
    """Wells whose column holds a text or number found in a name; groups that are no column choose nothing."""
    column, factor = _COLUMN_OF.get(column, (column, 1.0))
    if column not in wells:
        return pd.Series(True, index=wells.index)
    try:
        number = float(text) * factor
    except ValueError:
        return wells[column].astype("string").str.casefold().eq(text.casefold()).fillna(False).astype(bool)
    as_number = pd.to_numeric(wells[column], errors="coerce")
    same = np.isclose(as_number.astype("float64"), number)
    return pd.Series(same, index=wells.index) | wells[column].astype("string").eq(text).fillna(False).astype(bool)


def _at_time(ids: list[str], wells: pd.DataFrame, minutes: float) -> str:
    here = wells[wells["phago_id"].isin(ids) & np.isclose(wells["minutes"].astype("float64"), minutes)]
    return str(here["phago_id"].iloc[0]) if len(here) == 1 else ""


def _reading(table: FlowTable | UptakeTable, lines: pd.DataFrame) -> Reading:
    if isinstance(table, FlowTable):
        return _of_gates(lines)
    if table.kind == "fields":
        n_cells, n_positive, particles = (lines[c].sum(min_count=1) for c in ("n_cells", "n_positive", "particles"))
        return Reading(float(n_cells), float(n_positive), float(particles))
    if table.kind == "series":
        return Reading(signal=float(lines["value"].mean()))
    particles = lines["particles"].dropna()
    if len(particles):
        return Reading(float(len(particles)), float((particles > 0).sum()), float(particles.sum()))
    return Reading(values=lines["fluorescence"].dropna().to_numpy(dtype="float64"))


def _of_gates(lines: pd.DataFrame) -> Reading:
    """From an export: the deepest gate with a percentage of its parent holds the cells with uptake; lines are averaged."""
    shares = lines[lines["statistic"] == "pct_parent"]
    if shares.empty:
        return Reading()
    depth = shares["gate"].str.count("/")
    gate = str(shares.loc[depth.idxmax(), "gate"])
    own = lines[lines["gate"] == gate]
    counts = lines[lines["statistic"] == "count"].groupby("gate")["value"].sum(min_count=1)
    light = own[own["statistic"].isin(["median", "geometric_mean", "mean"])]
    first = next((s for s in ("median", "geometric_mean", "mean") if (light["statistic"] == s).any()), "")
    return Reading(
        float(counts.get(gate.rpartition("/")[0], NAN)),
        float(counts.get(gate, NAN)),
        pct=float(own.loc[own["statistic"] == "pct_parent", "value"].mean()),
        mfi_positive=float(light.loc[light["statistic"] == first, "value"].mean()) if first else NAN,
    )
