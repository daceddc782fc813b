"""Simulated plates as the files of two vendors' programs: xPONENT 4.2 CSV and the workbook of Bio-Plex Manager.

Both hold what the programs write: headers with the run's date (here a fictitious one), every block or sheet, and
the concentrations computed from the printed curve.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from helpers.core.office import without_times
from helpers.simulate.cytokines import CYTOKINES
from helpers.simulate.plates import (
    BEADS_WANTED,
    CONTROL_RANGE,
    LOST_DECIMAL,
    SPOT_SD,
    Readings,
    Well,
    control_concentrations,
    misnamed,
    mistyped,
    standard_concentrations,
)

Line = list[str]

_REGIONS = [12, 13, 14, 15, 18, 19, 20, 21, 22, 25, 26, 27, 28, 29, 30, 33, 34, 35, 36, 38, 43, 51, 52, 54, 55, 56, 61]
_REGIONS += [63, 77, 78]
_TOO_FEW = "The acquisition had at least one region that did not reach the maximum count.  (0x4FF010AB)"
_LEGEND = (
    "Sampling Errors: 1 - Low bead #, 2 - Agg beads, 3 - Classify %, 4 - Region selection, 5 - Platform temperature",
    "***Value not available / --- = Designated as an outlier",
    "*Value extrapolated beyond standard range",
    "OOR = Out of Range / OOR> = Out of Range Above  / OOR< = Out of Range Below",
    "Exp Conc = Expected Concentration  /  Obs Conc = Observed  Concentration",
    "Ratio = Member/Reference",
)


def plate_file(read: Readings) -> bytes:
    """The file of one plate, as its program writes it; the same bytes for the same readings."""
    return bioplex_workbook(read) if read.plan.is_bioplex else xponent_csv(read).encode("utf-8")


def _shown(value: float) -> str:
    return f"{value:.10g}"


# ---- xPONENT


def xponent_csv(read: Readings) -> str:
    """One plate as xPONENT 4.2 exports it: a header, one block a statistic, and the end mark."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for line in _xponent_header(read):
        writer.writerow(line)
    for name, lines in _xponent_blocks(read):
        out.write("\n")
        writer.writerow(["DataType:", name])
        writer.writerows(lines)
    out.write("\n-- CRC --\n")
    text = out.getvalue()
    return f"{text}CRC32: {zlib.crc32(text.encode('utf-8')):08X}\n"


def _xponent_header(read: Readings) -> list[Line]:
    return [
        ["Program", "xPONENT", "", "MAGPIX"],
        ["Build", "4.2.1705.0"],
        ["Date", "01/03/2000", "10:00 AM"],
        ["SN", "MAGPX00000000"],
        ["Batch", f"SIMULATED_{read.plan.plate_id}"],
        ["Version", "1"],
        ["Operator", "SIM"],
        ["ComputerName", "SIMULATED"],
        ["Country Code", "409"],
        ["ProtocolName", "Simulated 30-plex"],
        ["ProtocolVersion", "1"],
        ["SampleWash", "Off"],
        ["SampleVolume", "50 uL"],
        ["BatchStartTime", "1/3/2000 9:00:00 AM"],
        ["BatchStopTime", "1/3/2000 10:00:00 AM"],
        ["BatchDescription", "<None>"],
        ["ProtocolPlate", "Name", "Current 96-well plate", "Type", "96", "Plates", "1"],
        ["ProtocolMicrosphere", "Map", "BP 50 regions", "Type", "MagPlex", "Count", str(len(CYTOKINES))],
        ["ProtocolAnalysis", "Type", "Quan", "Mode", "FitOfAllStandards"],
        ["NormBead", "None"],
        ["ProtocolHeater", "Off"],
        ["Most Recent Calibration and Verification Results:"],
        ["Last CAL Calibration", "Passed 01/02/2000 09:00:00"],
        ["Last VER Verification", "Passed 01/02/2000 09:01:00"],
        ["Samples", str(len(read.plan.wells)), "Min Events", str(BEADS_WANTED), "Per Bead"],
        ["Results"],
    ]


def _xponent_blocks(read: Readings) -> Iterator[tuple[str, list[Line]]]:
    """Blocks in xPONENT's order, each with its header line."""
    names = [one.xponent for one in CYTOKINES]
    wells = read.plan.wells
    results = _xponent_results(read)
    yield "Median", _well_block(read, names, lambda i, j: _shown(read.mfi[i, j]))
    yield "Net MFI", _well_block(read, names, lambda i, j: _shown(read.net[i, j]))
    yield "Count", _well_block(read, names, lambda i, j: str(read.counts[i, j]))
    yield "Result", _well_block(read, names, lambda i, j: results[i][j])
    yield from _averages(read, names)
    yield "% Recovery", _recoveries(read, names, results)
    regions = ["BeadID:", *map(str, _REGIONS)]
    yield "Units", [["Analyte:", *names], regions, ["Units:", *["pg/ml"] * len(names)]]
    yield "Standard Expected Concentration", [["Reagent", *names], *_printed_standards(read)]
    controls = control_concentrations()
    for name, factor in (("Expected Concentration", 1.0), ("Range - Low", 1 - CONTROL_RANGE)):
        yield f"Control {name}", _control_lines(names, controls * factor)
    yield "Control Range - High", _control_lines(names, controls * (1 + CONTROL_RANGE))
    yield "Per Bead Count", [["Analyte:", *names], regions, ["Per Bead:", *[str(BEADS_WANTED)] * len(names)]]
    dilutions = ["" if w.role in ("standard", "blank") else f"{w.dilution:g}" for w in wells]
    keys = [_location(i, w) for i, w in enumerate(wells)]
    yield (
        "Dilution Factor",
        [
            ["Location", "Sample", "Dilution Factor"],
            *([at, name, text] for at, name, text in zip(keys, _names(read), dilutions, strict=True)),
        ],
    )
    yield "Analysis Types", [["Analyte:", *names], ["AnalysisType", *["Logistic 5P"] * len(names)]]
    a, d, c, b, g = read.curves.T
    letters = zip("ABCDF", (a, d, c, b, g), strict=True)
    yield (
        "Analysis Coefficients",
        [["Analyte:", *names], *([f"Coefficient {letter}", *map(_shown, v)] for letter, v in letters)],
    )
    yield "R^2", [["Analyte:", *names], ["Value", *map(_shown, _r_squared(read))]]
    yield "Audit Logs", [["UserId", "Date", "Message"]]
    low = [w.position for w, few in zip(wells, _few_beads(read), strict=True) if few.any()]
    yield (
        "Warnings/Errors",
        [["Location", "Status", "Message"], *([f"1,{at}", "Warning", _TOO_FEW] for at in low)],
    )


def _location(i: int, well: Well) -> str:
    return f"{i + 1}(1,{well.position})"


def _names(read: Readings) -> list[str]:
    """The instrument's own sample names; samples are numbered in the order of the plate, as the program does."""
    unknown = list(dict.fromkeys(w.sample_id for w in read.plan.wells if w.sample_id))
    fixed = {"standard": "Standard", "control": "Control", "blank": "Background"}
    return [
        f"{fixed[w.role]}{w.level or 0}" if w.role in fixed else f"Unknown{unknown.index(w.sample_id) + 1}"
        for w in read.plan.wells
    ]


def _well_block(read: Readings, names: list[str], cell: Callable[[int, int], str]) -> list[Line]:
    lines = [["Location", "Sample", *names, "Total Events"]]
    samples, events = _names(read), read.counts.sum(axis=1)
    for i, well in enumerate(read.plan.wells):
        cells = [cell(i, j) for j in range(len(names))]
        lines.append([_location(i, well), samples[i], *cells, str(events[i])])
    return lines


def _result(value: float, low: float, high: float) -> str:
    """A concentration, or the lowest or highest standard that it lies beyond."""
    return f"< {_shown(low)}" if value < low else f"> {_shown(high)}" if value > high else _shown(value)


def _xponent_results(read: Readings) -> list[Line]:
    standards = standard_concentrations()
    return [
        ["NaN"] * len(CYTOKINES)
        if well.role == "blank"
        else [
            _result(x, low * well.dilution, high * well.dilution)
            for x, low, high in zip(read.conc[i], standards[-1], standards[0], strict=True)
        ]
        for i, well in enumerate(read.plan.wells)
    ]


def _averages(read: Readings, names: list[str]) -> Iterator[tuple[str, list[Line]]]:
    """Averages of the wells of a sample: net MFI, its concentration, and the CV of the wells."""
    groups: dict[str, list[int]] = {}
    for i, (name, well) in enumerate(zip(_names(read), read.plan.wells, strict=True)):
        if well.role != "blank":
            groups.setdefault(name, []).append(i)
    net, results, spreads = [], [], []
    standards = standard_concentrations()
    for name, rows in groups.items():
        mean, dilution = read.net[rows].mean(axis=0), read.plan.wells[rows[0]].dilution
        net.append([name, *map(_shown, mean)])
        conc = read.at(mean) * dilution
        ends = zip(conc, standards[-1] * dilution, standards[0] * dilution, strict=True)
        results.append([name, *(_result(*one) for one in ends)])
        sd = read.net[rows].std(axis=0, ddof=1) if len(rows) > 1 else np.full(len(names), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            cv = 100 * sd / mean
        spreads.append([name, *(_shown(v) if np.isfinite(v) else "NaN" for v in cv)])
    for title, lines in (("Avg Net MFI", net), ("Avg Result", results), ("%CV Replicates", spreads)):
        yield title, [["Sample", *names], *lines]


def _expected(well: Well) -> np.ndarray | None:
    """Concentrations that a standard or control should have."""
    if well.role == "standard" and well.level:
        return np.asarray(standard_concentrations()[well.level - 1])
    return control_concentrations()[well.level - 1] if well.role == "control" and well.level else None


def _recoveries(read: Readings, names: list[str], results: list[Line]) -> list[Line]:
    lines = [["Location", "Sample", *names]]
    samples = _names(read)
    for i, well in enumerate(read.plan.wells):
        expected = _expected(well)
        if expected is not None:
            texts = [
                "N/A" if text[0] in "<>" else f"{100 * float(text) / right:.2f}"
                for text, right in zip(results[i], expected, strict=True)
            ]
            lines.append([_location(i, well), samples[i], *texts])
    return lines


def _printed_standards(read: Readings) -> Iterator[Line]:
    """Standards as printed; on one plate one of them has lost its decimal point."""
    for i, level in enumerate(standard_concentrations(), 1):
        yield [
            f"Standard{i}",
            *(
                _shown(x).replace(".", "") if (read.plan.number, one.analyte, i) == LOST_DECIMAL else _shown(x)
                for one, x in zip(CYTOKINES, level, strict=True)
            ),
        ]


def _control_lines(names: list[str], values: np.ndarray) -> list[Line]:
    return [["Reagent", *names], *([f"Control{i}", *map(_shown, row)] for i, row in enumerate(values, 1))]


def _r_squared(read: Readings) -> np.ndarray:
    net = read.net[read.rows("standard")]
    return np.asarray(1 - ((net - read.fitted) ** 2).sum(axis=0) / ((net - net.mean(axis=0)) ** 2).sum(axis=0))


def _few_beads(read: Readings) -> np.ndarray:
    return np.asarray(read.counts < BEADS_WANTED)


# ---- Bio-Plex Manager

_HEADINGS = (
    *("Analyte", "Type", "Well", "Description", "FI", "FI - Bkgd", "Std Dev", "%CV", "Obs Conc", "Exp Conc"),
    *("(Obs/Exp) * 100", "Group", "Ratio", "Dilution", "Bead Count", "Sampling Errors"),
)
_MARKS = {"blank": "B", "standard": "S", "control": "C", "sample": "X", "bridge": "X"}

Cell = str | float | int | None


def bioplex_workbook(read: Readings) -> bytes:
    """One plate as Bio-Plex Manager 6 exports it: a sheet an analyte with single wells, legend and curve."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    for j, (one, region) in enumerate(zip(CYTOKINES, _REGIONS, strict=True)):
        sheet = book.create_sheet(f"{one.bioplex} ({region})")
        for row in _bioplex_sheet(read, j, f"{one.bioplex} ({region})"):
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return without_times(out.getvalue())


def _bioplex_sheet(read: Readings, j: int, analyte: str) -> Iterator[Sequence[Cell]]:
    yield from (
        [text]
        for text in (
            f"File Name: SIMULATED {read.plan.plate_id}.rbx",
            f"Analyte: {analyte}",
            "Acquisition Date: 03-Jan-2000, 10:00 AM",
            "Reader Serial Number: LX00000000000",
            f"Plate ID: {read.plan.plate_id}",
            "RP1 PMT (Volts): 600.00",
            "RP1 Target: 16000",
        )
    )
    yield []
    yield _HEADINGS
    kinds = _kinds(read)
    order = sorted(range(len(kinds)), key=lambda i: ("BSCX".index(kinds[i][0]), int(kinds[i][1:] or 0)))
    for i in order:
        yield _bioplex_row(read, i, j, analyte, kinds[i])
    yield []
    yield from ([text] for text in _LEGEND)
    yield []
    _, d, c, b, g = (f"{p:.6g}" for p in read.curves[j])
    yield ["Regression Type: Logistic - 5PL"]
    yield [f"Std. Curve: FI = 0 + ({d} - 0) / ((1 + (Conc / {c})^{b}))^{g}"]
    yield [_fit_line(read, j)]


def _kinds(read: Readings) -> list[str]:
    """The program's code of every well; wells of one sample share it."""
    unknown = list(dict.fromkeys(w.sample_id for w in read.plan.wells if w.sample_id))
    return [
        f"X{unknown.index(w.sample_id) + 1}" if w.sample_id else f"{_MARKS[w.role]}{w.level or ''}"
        for w in read.plan.wells
    ]


def _bioplex_row(read: Readings, i: int, j: int, analyte: str, kind: str) -> Sequence[Cell]:
    well = read.plan.wells[i]
    wrong = well.sample_id and well.sample_id == misnamed(read.plan)
    name = mistyped(well.sample_id) if wrong else well.sample_id or None
    fi, net = float(read.mfi[i, j]), float(read.net[i, j])
    blank = well.role == "blank"
    found: Cell = None if blank else _observed(read, i, j)
    expected = _expected(well)
    right = None if expected is None else float(expected[j])
    recovery: Cell = None
    if right is not None:
        seen = read.conc[i, j]
        recovery = round(100 * float(seen) / right, 2) if 0 < seen < np.inf else "***"
    few = "1" if _few_beads(read)[i, j] else None
    shown = fi if blank else float(_shown(net))
    return [
        *(analyte, kind, well.position, name, fi, shown, None, None, found, right, recovery),
        *(None, None, well.dilution, int(read.counts[i, j]), few),
    ]


def _observed(read: Readings, i: int, j: int) -> Cell:
    """A concentration; with an asterisk beyond the standards, OOR beyond the plateaus."""
    value = float(read.conc[i, j])
    if value == 0 or np.isinf(value):
        return "OOR <" if value == 0 else "OOR >"
    standards = standard_concentrations()[:, j] * read.plan.wells[i].dilution
    shown = float(f"{value:.6g}")
    return shown if standards[-1] <= value <= standards[0] else f"*{shown:g}"


def _fit_line(read: Readings, j: int) -> str:
    """Probability and residual variance of the curve, with the scatter of single wells for its error."""
    from scipy.special import gammaincc

    net, curve = read.net[read.rows("standard"), j], read.fitted[:, j]
    mfi = read.mfi[read.rows("standard"), j]
    n = len(net)
    squares = float((((net - curve) / (2 * SPOT_SD * mfi)) ** 2).sum())
    return f"FitProb. = {gammaincc((n - 5) / 2, squares / 2):.4f}, ResVar. = {squares / (n - 5):.4f}"
