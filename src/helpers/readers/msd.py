"""MSD plates: tables of Discovery Workbench (CSV, workbook), and the text that the instrument's own software writes."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import NamedTuple

import pandas as pd

from helpers.core.problems import Problem, Refused, Severity, has_errors
from helpers.readers.plain_plate import (
    MOST_QUOTED,
    Cells,
    by_plate,
    decimal_mark,
    is_workbook,
    plate_of,
    problems_of,
    say_doubled,
    say_empty,
    say_gaps,
    sheet_texts,
    table_of,
    with_roles,
)
from helpers.readers.plate import Plate, number
from helpers.readers.sheets import RawTable
from helpers.readers.text import decode_instrument

_COLUMNS = {
    "plate name": "plate",
    "sample": "sample",
    "sample group": "group",
    "assay": "analyte",
    "well": "well",
    "spot": "spot",
    "dilution": "dilution",
    "dilution factor": "dilution",
    "concentration": "expected",
    "standard concentration": "expected",
    "signal": "mfi",
    "adjusted signal": "net_mfi",
    "cv": "cv_pct",
    "% recovery": "recovery_pct",
    "calc. concentration": "conc",
    "detection range": "range",
    "detection limits: calc. low": "limit_low",
    "detection limits: calc. high": "limit_high",
    "excluded": "excluded",
    "mean": "mean_mfi",
    "adj. sig. mean": "mean_net_mfi",
    "calc. conc. mean": "mean_conc",
    "% recovery mean": "mean_recovery_pct",
    "fit statistic: rsquared": "r2",
    "algorithm": "algorithm",
    "algorithm parameter: calc. bottom": "a",
    "algorithm parameter: calc. top": "d",
    "algorithm parameter: calc. midpoint": "c",
    "algorithm parameter: calc. hillslope": "b",
}
_TEXTS = ("plate", "sample", "group", "analyte", "spot", "range", "excluded", "algorithm")
_VALUES = frozenset({"mfi", "net_mfi", "conc"})
_OWN = frozenset({"plate", "group", "spot", "conc", "range", "r2", "net_mfi", "mean_net_mfi", "mean_conc", "limit_low"})
_CODE = re.compile(r"^([SCU])0+(\d{1,2})$")
_MOST_TITLE_LINES = 30


# ---- tables of Discovery Workbench


def is_msd(text: str) -> bool:
    """Whether a text is a table of MSD Discovery Workbench, told by its headings.

    Examples
    --------
    >>> is_msd("Plate_1,,,,\\nSample,Assay,Well,Spot,Signal\\n"), is_msd("well,sample,analyte,mfi\\n")
    (True, False)
    """
    return _header(_lines(text[:200_000])) is not None


def read_msd(data: bytes, file: str) -> list[Plate]:
    """Plates of a table of MSD Discovery Workbench, one row a well and spot.

    Parameters
    ----------
    data
        The whole file, CSV or workbook.
    file
        Its path inside the study, for messages.

    Returns
    -------
    One plate for each Plate Name. `mfi` is Signal, `net_mfi` Adjusted Signal, `conc` Calc. Concentration; Detection
    Range decides the state, and where it says below or above, `conc` holds the printed detection limit of an
    undiluted well or is empty, and `flag` keeps what was calculated. `averages` holds the printed means, `curves`
    R² and the 4PL parameters where they are printed: Bottom, Top, MidPoint and −HillSlope are a, d, c and b.

    Raises
    ------
    Refused
        Without such a table, or where its headings or the cut of its rows are wrong.
    """
    notes: list[Problem] = []
    if is_workbook(data):
        texts = sheet_texts(data, file)
    else:
        decoded = decode_instrument(data, file)
        if has_errors(decoded.problems):
            raise Refused(decoded.problems)
        texts, notes = {"": decoded.text}, list(decoded.problems)
    plates: list[Plate] = []
    refused: list[Problem] = []
    for sheet, text in texts.items():
        if not is_msd(text):
            message = "This sheet is no table of MSD Discovery Workbench; it is not read."
            notes.append(Problem("repaired", "sheet-not-read", message, "Nothing to do.", file=file, sheet=sheet))
            continue
        try:
            plates += _plates(_table(text, file, sheet), len(plates) + 1)
        except Refused as err:
            refused += err.problems
    if not plates and not refused:
        message, fix = "This is no table of MSD Discovery Workbench.", "Export the data table with its headings."
        expected = "headings such as Sample, Assay, Well, Spot, Signal"
        refused.append(Problem("error", "not-msd", message, fix, file=file, expected=expected))
    if refused:
        raise Refused([*refused, *(p for plate in plates for p in plate.problems)])
    return [replace(plate, problems=(*notes, *plate.problems)) for plate in plates]


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff"))


def _heading(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip(' "\ufeff\u00a0')).casefold()


def _header(lines: Sequence[str]) -> int | None:
    """Which line holds the headings."""
    for i, line in enumerate(lines[:_MOST_TITLE_LINES]):
        names = {_COLUMNS.get(_heading(cell), "") for cell in re.split(r"[,;\t]", line)}
        told = ("analyte" in names and names & _OWN) or len(names & _OWN - {"plate", "net_mfi"}) >= 2
        if told and names & (_VALUES | {"range"}):
            return i
    return None


def _table(text: str, file: str, sheet: str) -> RawTable:
    """The table below its title."""
    lines = _lines(text)
    start = _header(lines) or 0
    read = table_of(text, file, sheet, start)
    titles = [i + 1 for i, line in enumerate(lines[:start]) if line.strip(' ,;\t"')]
    if not titles:
        return read
    message = "What stands above the headings may name the plate or the experiment; it is not kept."
    note = Problem("repaired", "title-not-kept", message, "Nothing to do.", file=file, sheet=sheet, row=titles[0])
    return replace(read, problems=(*read.problems, note))


def _plates(table: RawTable, first: int) -> list[Plate]:
    """Plates of one table, numbered from `first`."""
    cells = Cells(table, problems=list(table.problems))
    columns = _columns(cells)
    if has_errors(cells.problems):
        raise Refused(cells.problems)
    cells.decimal = decimal_mark(
        text for column, heading in columns.items() if column not in (*_TEXTS, "well") for text in cells.texts(heading)
    )
    rows = _states(with_roles(_kinds(_read(cells, columns)), cells), cells, columns)
    plates = by_plate(rows, cells)
    made = []
    for own in map(_named_spots, plates):
        say_doubled(own, cells)
        say_gaps(own, cells)
        if signal := next((c for c in ("mfi", "net_mfi") if c in own), ""):
            say_empty(own, signal, cells)
        analytes = pd.DataFrame({"analyte": own["analyte"], "region": own.get("spot")}).drop_duplicates("analyte")
        made.append((own, analytes, _averages(own), _curves(own, cells)))
    return [
        plate_of(n, "msd", own, analytes, problems_of(own, [m[0] for m in made], cells), averages=means, curves=curves)
        for n, (own, analytes, means, curves) in enumerate(made, first)
    ]


def _columns(cells: Cells) -> dict[str, str]:
    """Our column → heading; errors where one is missing or stands twice."""
    columns: dict[str, str] = {}
    for heading in cells.table.columns:
        column = _COLUMNS.get(_heading(heading), "")
        if not column and (near := get_close_matches(_heading(heading), _COLUMNS, 1, 0.85)):
            message, fix = "This heading is not known, though it is near to one that is; it is not read.", "Correct it."
            cells.say("warning", "column-not-read", message, fix, column=heading, expected=near[0])
        elif not column:
            message = "This column is not used."
            cells.say("repaired", "column-not-read", message, "Nothing to do.", column=heading)
        elif column in columns:
            message = "Two columns mean the same; which one is right cannot be told."
            cells.say("error", "doubled-column", message, "Keep one.", column=heading, found=columns[column])
        else:
            columns[column] = heading
    for column, heading in (("analyte", "Assay"), ("well", "Well")):
        if column not in columns and cells.table.columns:
            message, fix = "This column is missing.", "Export the table again with this column."
            cells.say("error", "missing-column", message, fix, column=heading)
    if not len(cells.table.cells) and cells.table.columns:
        cells.say("error", "empty-table", "There is no row below the headings.", "Export the table again.")
    return columns


def _read(cells: Cells, columns: dict[str, str]) -> pd.DataFrame:
    """Rows of the known columns, and the record they come from."""
    readers: dict[str, Callable[[str], Sequence[object]]] = {
        **dict.fromkeys(_TEXTS, cells.texts),
        "well": cells.wells,
        "dilution": cells.dilutions,
        "expected": cells.not_negative,
    }
    found = {c: readers.get(c, cells.numbers)(heading) for c, heading in columns.items() if c != "conc"}
    rows = pd.DataFrame({"record": range(len(cells.table.cells)), **found})
    if "conc" in columns:
        rows[["conc", "state"]] = cells.concentrations(columns["conc"])
    nameless = rows[rows["analyte"] == ""]
    if len(nameless):
        message = f"Rows that name no assay: {len(nameless)}."
        first = int(nameless["record"].iloc[0])
        cells.say("error", "no-analyte", message, "Fill in the assay.", first, columns["analyte"])
    return rows


def _kinds(rows: pd.DataFrame) -> pd.DataFrame:
    """Workbench's own names S001, C001, U001 are codes (S1, C1, U1); other rows have their sample group, if any."""
    if "sample" in rows:
        code = rows["sample"].str.extract(_CODE)
        rows["kind"] = code[0] + code[1]
        rows["sample"] = rows["sample"].where(rows["sample"] != "")
    if "group" in rows:
        group = rows["group"].where(rows["group"] != "")
        rows["kind"] = rows["kind"].fillna(group) if "kind" in rows else group
    return rows


def _states(rows: pd.DataFrame, cells: Cells, columns: dict[str, str]) -> pd.DataFrame:
    """State, concentration and flag of every row, by Detection Range and Excluded."""
    if not {"conc", "range", "excluded"} & set(rows):
        return rows
    nothing = pd.Series(math.nan, index=rows.index)
    undiluted = rows.get("dilution", nothing).fillna(1.0) == 1.0
    limits = {s: rows.get(f"limit_{w}", nothing).where(undiluted) for s, w in (("below", "low"), ("above", "high"))}
    conc, state = (
        rows.get("conc", nothing).copy(),
        rows.get("state", pd.Series(None, index=rows.index, dtype=object)).copy(),
    )
    flags = pd.Series("", index=rows.index)
    if "range" in rows:
        said = rows["range"].str.casefold().str.strip()
        state = state.where(state.notna(), "not_available")
        for outside in ("below", "above"):
            here = said.str.startswith(outside)
            printed = conc.map("; calculated {:.10g}".format).where(conc.notna(), "")
            flags = flags.where(~here, rows["range"] + printed)
            state, conc = state.where(~here, outside), conc.where(~here, limits[outside])
        odd = ~said.str.match(r"below|above|in detection range|in range|$")
        _say_words(rows[odd], "range", "detection range", "In, Below or Above Detection Range", cells, columns)
    if "excluded" in rows:
        said = rows["excluded"].str.casefold().str.strip()
        out = said.isin(["yes", "true", "1", "x", "excluded"])
        state = state.where(~out, "excluded")
        flags = flags.where(~out, (flags + "; excluded").str.removeprefix("; "))
        odd = ~out & ~said.isin(["", "no", "false", "0"])
        _say_words(rows[odd], "excluded", "exclusion", "yes or no", cells, columns)
    return rows.assign(conc=conc, state=state, flag=flags.where(flags != ""))


def _say_words(odd: pd.DataFrame, column: str, what: str, expected: str, cells: Cells, columns: dict[str, str]) -> None:
    message, fix = f"This {what} is not known; it is not used.", "Compare with the software's own table."
    for record, word in zip(odd["record"][:MOST_QUOTED], odd[column], strict=False):
        cells.say("warning", f"unknown-{column}", message, fix, int(record), columns[column], word, expected)
    if len(odd) > MOST_QUOTED:
        message = f"Further cells of this column are not known: {len(odd) - MOST_QUOTED}."
        record = int(odd["record"].iloc[MOST_QUOTED])
        cells.say("warning", f"unknown-{column}", message, fix, record, columns[column], expected=expected)


def _named_spots(rows: pd.DataFrame) -> pd.DataFrame:
    """An assay on several spots of one well gets the spot's number into its name."""
    if "spot" not in rows:
        return rows
    spots = rows.groupby(["well", "analyte"])["spot"].transform("nunique")
    several = rows["analyte"].isin(rows.loc[spots > 1, "analyte"])
    named = rows["analyte"] + " (spot " + rows["spot"] + ")"
    return rows.assign(analyte=rows["analyte"].where(~several, named))


def _averages(rows: pd.DataFrame) -> pd.DataFrame:
    """What the table prints for replicates of a sample: one row for every sample, assay, dilution and printed mean."""
    means = [c for c in ("mean_mfi", "mean_net_mfi", "mean_conc", "mean_recovery_pct") if c in rows]
    if not means or "sample" not in rows:
        return pd.DataFrame()
    keys = [c for c in ("sample", "kind", "role", "level", "analyte", "dilution", "expected") if c in rows]
    groups = rows.assign(state=rows.get("state")).groupby([*keys, *means], sort=False, dropna=False)
    several = groups["state"].nunique() > 1
    table = groups[["state", *(["cv_pct"] if "cv_pct" in rows else [])]].first()
    table["state"] = table["state"].where(~several, None)
    wells: dict[int, list[str]] = {}
    for group, well in zip(groups.ngroup(), rows["well"].fillna(""), strict=True):
        wells.setdefault(group, []).append(well)
    table["well"] = [",".join(filter(None, dict.fromkeys(wells[group]))) for group in range(len(table))]
    table = table.reset_index()
    table = table.rename(columns={c: c.removeprefix("mean_") for c in means})
    if "conc" in table:
        outside = table["state"].isin(["below", "above", "excluded"])
        plain = table["conc"].map(lambda value: "not_available" if math.isnan(value) else "measured")
        table["state"] = table["state"].where(outside, plain)
        hidden = outside & table["conc"].notna()
        table["flag"] = table["conc"].map("calculated {:.10g}".format).where(hidden)
        table["conc"] = table["conc"].where(~table["state"].isin(["below", "above"]))
    return table


def _curves(rows: pd.DataFrame, cells: Cells) -> pd.DataFrame:
    """Printed R² and 4PL parameters of each assay; a number that differs between rows of an assay is left out, said."""
    parameters = [c for c in ("a", "d", "c", "b") if c in rows]
    if "r2" not in rows and not parameters:
        return pd.DataFrame()
    curves = []
    for analyte, own in rows.groupby("analyte", sort=False):
        curve: dict[str, object] = {"analyte": analyte}
        for column in [c for c in ("r2", *parameters) if c in own]:
            values = own[column].dropna().unique()
            if len(values) > 1:
                record = int(own.loc[own[column] == values[1], "record"].iloc[0])
                message = "The curve's number differs between rows of one assay; it is left out."
                cells.say("warning", "curve-differs", message, "Export the table again.", record, expected="one number")
            elif len(values):
                curve[column] = float(values[0])
        four = own["algorithm"].isin(["", "FourPL"]).all() if "algorithm" in own else True
        if four and all(c in curve for c in ("a", "d", "c", "b")):
            curve |= {"model": "4pl", "b": -float(str(curve["b"])), "g": 1.0}
        else:
            curve = {c: value for c, value in curve.items() if c in ("analyte", "r2")}
        curves.append(curve)
    return pd.DataFrame(curves)


# ---- text of the instrument's own software


_DATA = re.compile(r'"?={5,}\s*Data\s*={5,}')
_RULE = re.compile(r'"?={5,}')
_KEY = re.compile(r"\s*([A-Za-z][\w #.%()]*?)\s*:(.*)")
_LETTERS = "ABCDEFGHIJKLMNOP"
_AGAIN = "Export the plate again, and keep the file as the instrument wrote it."


def is_msd_grid(text: str) -> bool:
    """Whether a text is an MSD plate as the instrument's software writes it: a grid below a line ``=====Data=====``.

    Examples
    --------
    >>> is_msd_grid("User :x\\n=====Data=====\\n"), is_msd_grid("well,sample,analyte,mfi\\n")
    (True, False)
    """
    return re.search(rf"(?:\A|[\r\n]){_DATA.pattern}", text) is not None


@dataclass
class _Log:
    """What is said of one grid: `broken` where its rows cannot be trusted, `problems` else."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    broken: list[Problem] = field(default_factory=list)

    def say(self, severity: Severity, code: str, message: str, row: int, column: str = "", found: str = "") -> None:
        fix = "Nothing to do." if severity == "repaired" else "Look at the plate's image, or read it again."
        place = Problem(severity, code, message, fix, file=self.file, row=row, column=column, found=found)
        self.problems.append(place)

    def breaks(self, code: str, message: str, row: int, found: str = "", expected: str = "") -> None:
        place = Problem("error", code, message, _AGAIN, file=self.file, row=row, found=found, expected=expected)
        self.broken.append(place)


class _Line(NamedTuple):
    """One line of a grid: its number in the file, and its cells below the numbers of the columns."""

    row: int
    cells: list[str]


def read_msd_grid(text: str, file: str) -> list[Plate]:
    """Plates of the text that MSD's instrument software writes: 8 × 12 or 16 × 24 wells, a line for every spot.

    Parameters
    ----------
    text
        The file, decoded.
    file
        Its path inside the study, for messages.

    Returns
    -------
    One plate for each grid; every spot is one analyte, named as the file names it, else "Spot 1", "Spot 2", … There
    are no samples. Spots without a signal are empty. User, times, paths and barcodes are not kept.

    Raises
    ------
    Refused
        Where a grid is not whole.
    """
    lines = _lines(text)
    starts = [i for i, line in enumerate(lines) if _DATA.match(line)]
    if not starts:
        message, expected = "This is no plate of MSD's instrument software.", "a line =====Data===== above the grid"
        raise Refused([Problem("error", "not-msd", message, _AGAIN, file=file, expected=expected)])
    plates: list[Plate] = []
    refused: list[Problem] = []
    for n, start in enumerate(starts, 1):
        log = _Log(file)
        plate = _grid_plate(lines, starts[n - 2] + 1 if n > 1 else 0, start, n, log)
        refused += log.broken
        plates += [plate] if plate else []
    if refused:
        raise Refused([*refused, *(p for plate in plates for p in plate.problems)])
    return plates


def _grid_plate(lines: list[str], first: int, start: int, n: int, log: _Log) -> Plate | None:
    """The grid below the line `start`, with the header from line `first` on; None where it is not whole."""
    facts = {m[1].casefold(): m[2].strip() for line in lines[first:start] if (m := _KEY.match(line))}
    width, grid = _grid(lines, start, log)
    spots = _spots(facts, grid, log) if grid else 0
    if log.broken:
        return None
    if any(line.strip() for line in lines[first:start]):
        message = "The header may name people, times, paths and barcodes; only the software's version is kept."
        log.say("repaired", "header-not-kept", message, first + 1)
    names = _spot_names(facts.get("assays", ""), spots)
    signals = _signals(grid, spots, log)
    wells = [
        {"well": f"{letter}{column}", "analyte": names[spot], "mfi": signals[letter, spot, column]}
        for letter in grid
        for spot in range(spots)
        for column in range(1, width + 1)
    ]
    analytes = pd.DataFrame({"analyte": names, "region": [str(spot + 1) for spot in range(spots)]})
    return plate_of(n, "msd", pd.DataFrame(wells), analytes, log.problems, software=facts.get("version", ""))


def _grid(lines: list[str], start: int, log: _Log) -> tuple[int, dict[str, list[_Line]]]:
    """How many columns a grid has, and the lines of each of its rows, A to H or A to P."""
    end = next((i for i in range(start + 1, len(lines)) if _RULE.match(lines[i])), len(lines))
    body = [(i + 1, lines[i].split("\t")) for i in range(start + 1, end) if lines[i].strip() or "\t" in lines[i]]
    titles = [cell.strip() for cell in body[0][1]] if body else []
    width = next((w for w in (12, 24) if [t for t in titles if t] == [str(c) for c in range(1, w + 1)]), 0)
    if not width or titles[0]:
        message, expected = "Below this line the numbers of the columns are missing.", "1 to 12, or 1 to 24"
        log.breaks("no-columns", message, start + 1, expected=expected)
        return 0, {}
    grid: dict[str, list[_Line]] = {}
    for row, cells in body[1:]:
        letter, values = cells[0].strip(), [cell.strip() for cell in cells[1:]]
        if letter and (letter not in _LETTERS[: width * 2 // 3] or letter in grid):
            log.breaks("not-a-row", "This line is no row of the plate, or one that was there before.", row, letter)
        elif not letter and not grid:
            log.breaks("not-a-row", "This line has no letter of a row, and none stands above it.", row)
        elif len(values) < width or any(values[width:]):
            log.breaks("row-length", "This row has too few or too many cells.", row, str(len(values)), f"{width} cells")
        grid.setdefault(letter or next(reversed(grid), ""), []).append(_Line(row, values[:width]))
    letters = _LETTERS[: width * 2 // 3]
    missing = [letter for letter in letters if letter not in grid]
    if letters[: len(grid)] != "".join(grid) or (missing and end == len(lines)):
        log.breaks(
            "missing-rows", f"Rows of the plate are missing: {len(missing)}.", end, expected=f"row {missing[:1]}"
        )
    elif missing:
        message = f"The grid holds the rows A to {letters[len(grid) - 1]} only; the other wells were not read."
        log.say("warning", "missing-rows", message, end)
    if end == len(lines):
        log.say("warning", "cut-off", "The file ends with this grid; it may be cut off inside its last cell.", end)
    return width, grid


def _spots(facts: dict[str, str], grid: dict[str, list[_Line]], log: _Log) -> int:
    """How many spots a well has, by the header, else by most rows; a row with another number of lines breaks the grid."""
    named = re.search(r"\d+$", facts.get("spots per well", "")) or re.search(r"Spot (\d+)$", facts.get("type", ""))
    if named:
        spots = int(named[0].removeprefix("Spot "))
    else:
        spots = Counter(len(own) for own in grid.values()).most_common(1)[0][0]
    for letter, own in grid.items():
        if len(own) != spots:
            message = f"Row {letter} has a wrong number of lines, one for each spot."
            log.breaks("spots-differ", message, own[0].row, str(len(own)), f"{spots} lines")
    return spots


def _spot_names(assays: str, spots: int) -> list[str]:
    """Names of the spots as the file gives them, else by number; a name that several spots share is numbered."""
    given = [name.strip() for name in assays.split(",")]
    names = given if len(given) == spots else [""] * spots
    shared = {name for name, times in Counter(names).items() if times > 1}
    return [
        f"Spot {i}" if not name else f"{name} (spot {i})" if name in shared else name for i, name in enumerate(names, 1)
    ]


def _signals(grid: dict[str, list[_Line]], spots: int, log: _Log) -> dict[tuple[str, int, int], float]:
    """Signal by row's letter, spot from 0 and column from 1; what is missing is said by spot or by cell."""
    signals: dict[tuple[str, int, int], float] = {}
    empty: list[tuple[int, int]] = []
    bad = 0
    for spot in range(spots):
        own = {letter: lines[spot] for letter, lines in grid.items()}
        missing = not any(cell for line in own.values() for cell in line.cells)
        if missing:
            message = f"Spot {spot + 1} has no signal in any well; it stays empty."
            log.say("warning", "missing-spot", message, own["A"].row)
        for letter, line in own.items():
            for column, cell in enumerate(line.cells, 1):
                value = number(cell)
                signals[letter, spot, column] = math.nan if value is None else value
                if value is None:
                    bad += 1
                    if bad <= MOST_QUOTED:
                        message = "This cell cannot be read; it is left empty."
                        log.say("error", "not-a-number", message, line.row, str(column), cell)
                elif math.isnan(value) and not missing:
                    empty.append((line.row, column))
    if bad > MOST_QUOTED:
        log.say("error", "not-a-number", f"Further cells cannot be read: {bad - MOST_QUOTED}.", min(own["A"].row, 1))
    if empty:
        message = f"Wells without a signal, though others have one on this spot: {len(empty)}; they stay empty."
        log.say("warning", "empty-signal", message, empty[0][0], str(empty[0][1]))
    return signals
