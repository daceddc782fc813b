"""Add one record to a CSV file that people made: its own encoding, separator and line ends, every other byte as it is."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping

from helpers.core.problems import Problem, Refused
from helpers.readers.sheets import RawTable, _delimiter, read_csv
from helpers.readers.text import decode

_WITHOUT_MARK = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def with_record(data: bytes, file: str, record: Mapping[str, str]) -> bytes:
    """The file with one more record at its end.

    Parameters
    ----------
    data
        The whole file.
    file
        Its path inside the study, for messages.
    record
        Text by heading; a heading that is not named stays empty.

    Raises
    ------
    Refused
        Where the file cannot be read, lacks a heading, or would not be read again as it was with the new record.

    Examples
    --------
    >>> with_record(b"a;b\\r\\n1;2", "x.csv", {"b": "3"})
    b'a;b\\r\\n1;2\\r\\n;3\\r\\n'
    """
    before = read_csv(data, file)
    missing = [h for h in record if h not in before.columns]
    if missing or any(p.severity == "error" for p in before.problems):
        message = "The table cannot be read, or lacks a column of the new row."
        fix = "Mend the table, or add the column."
        raise Refused(
            [*before.problems, Problem("error", "row-not-added", message, fix, file=file, column=", ".join(missing))]
        )
    decoded = decode(data, file)
    text = decoded.text
    first, _, rest = text.partition("\n")
    separator = re.fullmatch(r"sep=(.)\r?", first.strip("\ufeff"), re.I)
    delimiter = separator[1] if separator else _delimiter(text)
    end = "\r\n" if "\r\n" in text else "\n"
    line = io.StringIO()
    width = next(csv.reader(io.StringIO(rest if separator else text, newline=""), delimiter=delimiter))
    names = [_clean(h) for h in width]
    cells = [record.get(name, "") for name in names]
    csv.writer(line, delimiter=delimiter, lineterminator=end).writerow(cells)
    added = ("" if text.endswith(("\n", "\r")) or not text else end) + line.getvalue()
    mark = next((m for m in _WITHOUT_MARK if data.startswith(m)), b"")
    try:
        out = data + added.encode(_WITHOUT_MARK.get(mark, decoded.encoding))
    except UnicodeEncodeError:
        out = b""
    if not _holds(read_csv(out, file), before, record):
        message = "The table would not be read again as it was with the new row."
        raise Refused([Problem("error", "row-not-added", message, "Save it as CSV UTF-8 and try again.", file=file)])
    return out


def _clean(heading: str) -> str:
    return re.sub(r"\s+", " ", heading.strip("\ufeff").strip())


def _holds(after: RawTable, before: RawTable, record: Mapping[str, str]) -> bool:
    """Whether a table is the one before and the record below it."""
    if after.columns != before.columns or len(after.cells) != len(before.cells) + 1:
        return False
    last = after.cells.iloc[-1]
    return bool(after.cells.iloc[:-1].equals(before.cells)) and all(
        str(last[h]) == record.get(h, "") for h in after.columns
    )
