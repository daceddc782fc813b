"""Calibration beads: a line for each run and detector, and ΔMFI in the beads' units where every file has one.

The maker assigns a number of fluorochromes to each peak. With the blank peak's own light taken off, a linear detector
gives them in proportion, so that log10 assigned over log10 median is a line of slope 1; its height is the number of
units of one MFI. Only such a line carries a difference of MFIs over to the beads' scale, whatever its background.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers.assays.phenotype.samples import Tube
from helpers.core.problems import Problem

TABLE = "phenotype/beads"
FEWEST_PEAKS = 3
SLOPES = (0.9, 1.1)
"""Slope of the free line between which the detector is taken as linear."""
MOST_OFF_PCT = 20.0
"""Deviation of a peak from the line of slope 1 up to which it holds."""
_SAID = {
    "too_few_peaks": "Fewer than three peaks of these beads can be used: no line is drawn through them.",
    "not_linear": "The peaks of these beads do not lie on a line through nothing: the run is not calibrated.",
    "mixed": "The peaks of one run and detector have several units, voltages or lots: no line is drawn through them.",
}


@dataclass(frozen=True)
class Line:
    """The beads of one run and detector.

    Parameters
    ----------
    n_peaks
        Peaks with an assigned value and light above the blank's.
    blank
        Median of the blank peak; 0 where there is none.
    slope
        Of log10 assigned over log10 median, both free; NaN with fewer than two peaks.
    factor
        Units of one MFI: geometric mean of assigned over median, the line of slope 1.
    off_pct
        Largest deviation of a peak from that line, in percent.
    worst
        Place of that peak among the given ones.
    """

    n_peaks: int
    blank: float
    slope: float
    factor: float
    off_pct: float
    worst: int

    @property
    def status(self) -> str:
        """ok, too_few_peaks or not_linear."""
        if self.n_peaks < FEWEST_PEAKS:
            return "too_few_peaks"
        straight = SLOPES[0] <= self.slope <= SLOPES[1] and self.off_pct <= MOST_OFF_PCT
        return "ok" if straight else "not_linear"


def line_of(medians: Sequence[float], assigned: Sequence[float]) -> Line:
    """The line through the peaks of one run and detector.

    Parameters
    ----------
    medians
        Of each peak, FCS scale values.
    assigned
        The maker's values; 0 for the blank peak.

    Examples
    --------
    >>> found = line_of([150.0, 190.0, 270.0, 550.0], [0, 800, 2400, 8000])
    >>> found.n_peaks, found.blank, round(found.factor, 6), found.status
    (3, 150.0, 20.0, 'ok')
    """
    light, given = np.asarray(medians, dtype=np.float64), np.asarray(assigned, dtype=np.float64)
    blank = float(light[given == 0].mean()) if (given == 0).any() else 0.0
    places = np.flatnonzero((given > 0) & (light > blank))
    if len(places) < 2:
        return Line(len(places), blank, math.nan, math.nan, math.nan, -1)
    x, y = np.log10(light[places] - blank), np.log10(given[places])
    height = float((y - x).mean())
    off = 100 * (10 ** np.abs(y - x - height) - 1)
    slope = float(np.polyfit(x, y, 1)[0]) if np.ptp(x) > 0 else math.nan
    worst = int(np.argmax(off))
    return Line(len(places), blank, slope, 10**height, float(off[worst]), int(places[worst]))


def bead_lines(beads: pd.DataFrame, panels: Mapping[str, tuple[tuple[str, str], ...]]) -> pd.DataFrame:
    """Lines of all runs and detectors: the columns of ``bead_calibration`` without `used`, and the worst peak.

    Parameters
    ----------
    beads
        The typed input table phenotype/beads.
    panels
        Channel and marker by panel.
    """
    rows = []
    for (panel, day, channel), part in beads.groupby(["panel_id", "run_day", "channel"], sort=True):
        line = line_of(part["median_mfi"].to_list(), part["assigned"].to_list())
        mixed = max(part[c].fillna("").nunique() for c in ("unit", "bead_lot")) > 1 or part["voltage_v"].nunique() > 1
        rows.append(
            {
                "run_id": f"{panel} day {day}",
                "panel_id": panel,
                "channel": channel,
                "marker": dict(panels.get(str(panel), ())).get(str(channel), ""),
                "unit": part["unit"].iloc[0],
                "voltage": part["voltage_v"].max(),
                "n_peaks": line.n_peaks,
                "blank_mfi": line.blank,
                "slope": line.slope,
                "units_per_mfi": line.factor,
                "largest_deviation_pct": line.off_pct,
                "status": "mixed" if mixed else line.status,
                "worst": part["peak"].iloc[line.worst] if line.worst >= 0 else pd.NA,
            }
        )
    columns = ["run_id", "panel_id", "channel", "marker", "unit", "voltage", "n_peaks", "blank_mfi", "slope"]
    return pd.DataFrame(rows, columns=[*columns, "units_per_mfi", "largest_deviation_pct", "status", "worst"])


def said_of(lines: pd.DataFrame) -> list[Problem]:
    """What is wrong with lines that are not used.

    Parameters
    ----------
    lines
        From `bead_lines`.
    """
    out = []
    for one in lines[lines["status"] != "ok"].itertuples():
        place = f"{one.run_id}, {one.channel}"
        found, want = place, "one unit, voltage and lot"
        if one.status == "too_few_peaks":
            found, want = f"{place}: {one.n_peaks} peaks", f"at least {FEWEST_PEAKS} above the blank"
        elif one.status == "not_linear":
            found = f"{place}: slope {one.slope:.3g}, peak {one.worst} off by {one.largest_deviation_pct:.3g} %"
            want = f"slope {SLOPES[0]} to {SLOPES[1]}, every peak within {MOST_OFF_PCT:g} %"
        fix = "Correct the peaks; leave out those at the end of the scale, and give the blank peak as assigned 0."
        message = _SAID[str(one.status)]
        out.append(
            Problem("warning", f"beads-{one.status.replace('_', '-')}", message, fix, TABLE, found=found, expected=want)
        )
    return out


def calibrated(
    markers: pd.DataFrame, tube_of: Mapping[str, Tube], lines: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, list[Problem]]:
    """``phenotype_markers`` with the units of one MFI where beads give them, marker by marker for all files or none.

    Parameters
    ----------
    markers
        The table so far.
    tube_of
        Stained tubes by file.
    lines
        From `bead_lines`.

    Returns
    -------
    The table with units_per_mfi and calibrated_unit; ``bead_calibration``; a sentence for each line that is not used
    and for each marker that beads cover in part.
    """
    good = {(r.run_id, r.channel): r for r in lines[lines["status"] == "ok"].itertuples()}
    has_value = markers["censoring"].isin(["none", "left"]).to_numpy()
    volts = _voltages_of_runs(markers, tube_of)
    factor, unit = np.full(len(markers), math.nan), np.full(len(markers), "", dtype=object)
    problems = said_of(lines)
    used: set[str] = set()
    for marker in sorted({str(m) for m in lines["marker"]} - {""}):
        places = np.flatnonzero((markers["marker"] == marker).fillna(False).to_numpy(dtype=bool) & has_value)
        found, lacking = {}, []
        for i in places:
            row, run = markers.iloc[i], tube_of[str(markers.iloc[i]["fcs_file"])].run
            line = good.get((run, str(row["channel"])))
            if line is None or not _holds(line.voltage, row["voltage"], volts[run, str(row["channel"])]):
                lacking.append(f"{run}, {row['channel']}")
            else:
                found[i] = line
        units = {str(line.unit) for line in found.values()}
        if lacking or len(units) > 1:
            problems.append(_partly(marker, sorted(set(lacking)), sorted(units)))
            continue
        used.add(marker)
        for i, line in found.items():
            factor[i], unit[i] = line.units_per_mfi, line.unit
    table = lines.assign(used=(lines["status"] == "ok") & lines["marker"].isin(list(used)))
    return markers.assign(units_per_mfi=factor, calibrated_unit=pd.array(unit, dtype="string")), table, problems


def _voltages_of_runs(markers: pd.DataFrame, tube_of: Mapping[str, Tube]) -> dict[tuple[str, str], set[float]]:
    out: dict[tuple[str, str], set[float]] = {}
    for row in markers.itertuples():
        seen = out.setdefault((tube_of[str(row.fcs_file)].run, str(row.channel)), set())
        seen |= set() if pd.isna(row.voltage) else {float(row.voltage)}
    return out


def _holds(beads: float, file: float, run: set[float]) -> bool:
    """Whether beads were acquired at the file's voltage; where they do not say, the run must have but one."""
    if pd.isna(beads):
        return len(run) < 2
    return bool(pd.isna(file) or beads == file)


def _partly(marker: str, lacking: Sequence[str], units: Sequence[str]) -> Problem:
    if len(units) > 1:
        message = f"Beads give {marker} in several units: its MFI stay as they are."
        return Problem("warning", "beads-units", message, "Write one unit for a marker.", TABLE, found=", ".join(units))
    message = f"Beads calibrate {marker} in some runs and not in others: its MFI stay as they are in all of them."
    fix = "Add the beads of these runs at the voltage of their files, or leave this marker out."
    found = "; ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
    return Problem("warning", "beads-incomplete", message, fix, TABLE, column="channel", found=found)
