"""Save a gate that was changed for one file: one more row in phenotype/gates, with its reason, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from helpers.assays.phenotype.gating import GateRow, written
from helpers.assays.phenotype.moved import OpenTube
from helpers.core import privacy
from helpers.core.files import sha256, write_atomically
from helpers.core.problems import Problem, Refused
from helpers.core.schemas import input_tables
from helpers.readers.csv_rows import with_record
from helpers.readers.sheets import read_csv
from helpers.study.tables import match_headings

TABLE = "phenotype/gates"
LONGEST_REASON = 200


def checked_reason(reason: str) -> str:
    """The reason as one line.

    Raises
    ------
    Refused
        Where it is empty, too long, holds what may stand in no study, or begins as a formula does.

    Examples
    --------
    >>> checked_reason("Foamy cells \\n beyond the common gate.")
    'Foamy cells beyond the common gate.'
    """
    text = " ".join(reason.split())
    where = {"file": TABLE, "column": "reason"}
    if not text:
        message = "A gate is changed for one file only with a reason."
        raise Refused([Problem("error", "override-reason", message, "Write what is different in this file.", **where)])  # type: ignore[arg-type]
    if len(text) > LONGEST_REASON or text[0] in "=+-@":
        message = f"A reason has at most {LONGEST_REASON} characters and begins with a word."
        raise Refused([Problem("error", "override-reason", message, "Shorten or reword it.", **where)])  # type: ignore[arg-type]
    private = privacy.findings_in_prose(text)
    if private:
        message = f"The reason holds {private[0].description}, which may stand in no study."
        raise Refused([Problem("error", private[0].rule, message, "Take it out.", **where)])  # type: ignore[arg-type]
    return text


def record_of(gate_set: str, row: GateRow) -> dict[str, str]:
    """A gate as a row of phenotype/gates, text by column.

    Examples
    --------
    >>> row = GateRow("AM", "Live", "rectangle", ("CD169",), (700.0, float("nan")), "", "a.fcs", "Dim stain.", "1")
    >>> record_of("P1", row)["edges"], record_of("P1", row)["override_for"]
    ('700;', 'a.fcs')
    """
    record = {
        "gate_set": gate_set,
        "population": row.population,
        "override_for": row.override_for,
        "parent": row.parent,
        "kind": row.kind,
        "channels": ";".join(row.channels),
        "edges": written(row.edges),
        "rule": row.rule,
        "reason": row.reason,
        "version": row.version,
    }
    return {name: text for name, text in record.items() if text}


def save_override(
    folder: Path,
    source: tuple[str, str, int] | None,
    inputs: Mapping[str, str],
    tube: OpenTube,
    row: GateRow,
    reason: str,
) -> tuple[str, str]:
    """Add the row to the study's gates table in one step, or say in a sentence why not.

    Parameters
    ----------
    folder
        The study folder.
    source
        File, sheet and rows of the gates table, of the opened study.
    inputs
        Digest of every file as it was read.
    tube, row
        The file, and its gate from `helpers.assays.phenotype.moved.with_edge`.
    reason
        Why.

    Returns
    -------
    The file that was written, and its new digest.

    Raises
    ------
    Refused
        Where there is no reason, the gate of this file was changed before, the table is a sheet of a workbook or no
        file of its own, or it is no longer what was read.
    """
    row = replace(row, reason=checked_reason(reason))
    if tube.row(row.population).override_for == row.override_for:
        message = "This gate was already changed for this file, and whose cells they are was shown then."
        fix = "Change its row in the table itself, with a new version, where everyone can see it."
        raise Refused([Problem("error", "override-twice", message, fix, file=TABLE)])
    name = next((n for n in inputs if source and privacy.alias(n) == source[0]), "")
    if not name or (source and source[1]) or PurePosixPath(name).suffix.casefold() not in (".csv", ".tsv"):
        message = "The gates table is a sheet of a workbook, which is never written to."
        fix = "Copy the row below into its sheet."
        raise Refused([Problem("error", "gates-in-workbook", message, fix, file=name or TABLE)])
    path = folder / name
    changed = Problem(
        "error",
        "changed-since-read",
        "The gates table was changed since the study was read.",
        "Run all cells again, then move the gate again.",
        file=name,
    )
    try:
        data = path.read_bytes()
    except OSError:
        raise Refused([changed]) from None
    if sha256(path) != inputs[name]:
        raise Refused([changed])
    headings, _ = match_headings(read_csv(data, name), input_tables()[TABLE])
    record = record_of(tube.gate_set, row)
    write_atomically(path, with_record(data, name, {headings.get(k, k): v for k, v in record.items()}))
    return name, sha256(path)
