"""Any one instrument file without a study as a tidy table: plates, FCS files, exports of gates, uptake tables.

What a file is, its content tells: FCS files begin with their version, plates have layouts of their own, exports of
gates name a gate and a statistic in a heading, uptake tables name cells, particles or times.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.assays.cytokines.alone import plate_wells
from helpers.core import privacy
from helpers.core.problems import Problem, Refused
from helpers.readers.fcs import Channel, FcsFile, Values, read_fcs
from helpers.readers.flow_tables import read_flow_table
from helpers.readers.plates import LAYOUTS, read_plate_file
from helpers.readers.uptake_tables import read_uptake_table

Read = tuple[pd.DataFrame, list[Problem]]

CHANNEL_COLUMNS = (
    "number", "channel", "marker", "voltage", "gain", "decades", "range", "in_spillover", "n_events", "n_not_finite",
    "pct_negative", "pct_at_top", "min", "q01", "q25", "median", "q75", "q99", "max",
)  # fmt: skip
"""What is told of an FCS file: its detectors, and how their events lie, on the FCS scale and not compensated.
`range` is $PnR as stored, `decades` those of $PnE (0 is linear); `pct_at_top` counts events at the end of the scale."""
_QUANTILES = {"min": 0.0, "q01": 0.01, "q25": 0.25, "median": 0.5, "q75": 0.75, "q99": 0.99, "max": 1.0}
_FCS = re.compile(rb"FCS\d\.\d")
_NOT_A_PLATE = {"unknown-layout", "mixed-statistics"}
"""Codes by which the reader of plates says that a file is something else; gates over several statistics are."""

FORMATS = LAYOUTS | {
    "fcs": "FCS file",
    "flow_table": "statistics table of FlowJo, FACSDiva or FCS Express (CSV, text, workbook)",
    "uptake": "table of cells, fields or a series over time (CellProfiler, ImageJ, Incucyte, plate readers)",
}
"""Formats that can be read, by the name that forces one, and what they are in words."""


def read_one_file(path: Path, layout: str = "") -> Read:
    """One instrument file as a table: wells of a plate, channels of an FCS file, numbers of an export.

    Parameters
    ----------
    path
        The file.
    layout
        Name of one of `FORMATS` to read it as; empty to tell it from the content.

    Returns
    -------
    The table and what was said while reading. A plate has the columns of ``cytokine_wells``, an FCS file those of
    `CHANNEL_COLUMNS`, a statistics table a row a number, an uptake table a row a cell, field or time. Names of
    samples are masked where they look like a person.

    Raises
    ------
    Refused
        Where the file is in no known format, not in the one that was asked for, or damaged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "export.csv"
    >>> _ = path.write_text(",AM | Count,AM/bead+ | Freq. of Parent\\nT1.fcs,900,12.4 %\\n")
    >>> read_one_file(path)[0][["gate", "statistic", "value"]].values.tolist()
    [['AM', 'count', 900.0], ['AM/bead+', 'pct_parent', 12.4]]
    """
    ways: dict[str, Callable[[Path], Read]] = {"fcs": fcs_channels, "flow_table": _flow_table, "uptake": _uptake_table}
    if layout in ways:
        return ways[layout](path)
    if layout:
        return plate_wells(path, layout)
    if _begins_as_fcs(path):
        return fcs_channels(path)
    try:
        plates = read_plate_file(path, path.name)
        return _flow_table(path) if plates[0].layout == "plain" and _counts_gates(path) else plate_wells(path)
    except Refused as refused:
        if refused.problems[0].code not in _NOT_A_PLATE:
            raise
    said: list[Problem] = []
    for way, is_other in ((_flow_table, "no-statistics"), (_uptake_table, "no-uptake")):
        try:
            return way(path)
        except Refused as refused:
            said += [p for p in refused.problems if p.code != is_other]
    raise Refused([_unknown(path), *said])


def _unknown(path: Path) -> Problem:
    message = "This file is in no format that can be read."
    fix = "Export it in one of these, or force one with --format."
    expected = "; ".join(f"{name}: {words}" for name, words in FORMATS.items())
    return Problem("error", "unknown-format", message, fix, file=path.name, expected=expected)


def _begins_as_fcs(path: Path) -> bool:
    try:
        with path.open("rb") as handle:
            return _FCS.match(handle.read(6)) is not None
    except OSError:
        return False  # the reader of plates says what is wrong with it


def fcs_channels(path: Path) -> Read:
    """An FCS file's detectors and how its events lie in each: a row a channel, columns `CHANNEL_COLUMNS`.

    Parameters
    ----------
    path
        The FCS file.

    Raises
    ------
    Refused
        Where it is damaged or of a kind that is not read.
    """
    fcs = read_fcs(path, path.name)
    rows = [_channel(channel, fcs.events[:, i], fcs) for i, channel in enumerate(fcs.channels)]
    table = pd.DataFrame(rows, columns=list(CHANNEL_COLUMNS))
    return table.astype({"voltage": "float64", "in_spillover": "boolean"}), list(fcs.problems)


def _channel(channel: Channel, values: Values, fcs: FcsFile) -> dict[str, object]:
    finite = values[np.isfinite(values)]
    row: dict[str, object] = {
        "number": channel.number,
        "channel": channel.name,
        "marker": privacy.mask(channel.marker),
        "voltage": channel.voltage,
        "gain": channel.gain,
        "decades": channel.decades,
        "range": channel.range,
        "in_spillover": fcs.spillover is not None and channel.name in fcs.spillover.channels,
        "n_events": fcs.n_events,
        "n_not_finite": len(values) - len(finite),
    }
    if not len(finite):
        return row
    if np.isfinite(channel.range) and channel.name.casefold() != "time":
        row["pct_at_top"] = 100 * float((finite >= _top(channel)).mean())
    row["pct_negative"] = 100 * float((finite < 0).mean())
    return row | dict(zip(_QUANTILES, map(float, np.quantile(finite, list(_QUANTILES.values()))), strict=True))


def _top(channel: Channel) -> float:
    """The largest value that a detector can store, on the FCS scale."""
    last = channel.range - 1
    top = channel.log_zero * 10 ** (channel.decades * last / channel.range) if channel.decades else last
    return float(top / channel.gain * (1 - 1e-6))


def _counts_gates(path: Path) -> bool:
    """Whether a table counts events of gates or gives shares of them: then its numbers are no signals of a plate."""
    try:
        numbers = read_flow_table(path, path.name).numbers
    except Refused:
        return False
    return bool((numbers["gate"].ne("") & numbers["statistic"].str.match("count|pct_")).any())


def _flow_table(path: Path) -> Read:
    found = read_flow_table(path, path.name)
    return _masked(found.numbers), list(found.problems)


def _uptake_table(path: Path) -> Read:
    found = read_uptake_table(path, path.name)
    return _masked(found.numbers), list(found.problems)


def _masked(numbers: pd.DataFrame) -> pd.DataFrame:
    return numbers.assign(sample=numbers["sample"].map(privacy.mask, na_action="ignore"))
