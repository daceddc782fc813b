"""Whether a workbook may be opened at all: how large it becomes, and how far apart its cells lie.

An .xlsx or .ods file is an archive of XML parts. What its directory says of their sizes may be untrue, and one
cell in the last column and row makes the library that opens it take memory for all the cells between. So each
part is unpacked here as a stream, which stops at the bound, before any library sees the file. Nothing is kept.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator

from helpers.core.problems import Problem

MOST_BYTES = 200_000_000
"""Of a file as it lies on the disk. A clinical table of 200,000 rows and 60 columns takes about 50 MB."""
MOST_UNPACKED = 1_000_000_000
"""Of all parts together: the same table unpacks to 500 MB, since XML says each cell in 40 bytes."""
MOST_RATIO, RATIO_FROM = 200, 20_000_000
"""Office programs pack sheets 5- to 50-fold; deflate can pack zeros 1,000-fold. Small files may be anything."""
MOST_PARTS = 10_000
"""A workbook has a dozen parts, and a few more for each sheet and picture."""
MOST_CELLS = 20_000_000
"""Cells between A1 and the last filled one, all sheets together, at up to 100 bytes each: 200,000 × 60 is 12 million."""
_BLOCK = 1 << 20
_LAST_ROW, _LONGEST_COLUMN = 1_048_576, 3
_CELL = re.compile(rb"<(?:[^\s<>/:]+:)?c(?=[\s/>])")
_PLACED = re.compile(
    rb'<(?:[^\s<>/:]+:)?c\s+r="([A-Z]{1,3})(\d{1,7})"((?:\s+\w{1,20}="[\w.]{0,20}")*+\s*/>|(?=[\s>/]))'
)
_ROW = re.compile(rb"<(?:[^\s<>/:]+:)?row(?=[\s/>])")
_ANY_PLACE = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]*)(\d*)""")
_DEFINES = re.compile(rb"<!(?:DOCTYPE|ENTITY)")


class _Extent:
    """Last row and column that a sheet fills, found piece by piece."""

    def __init__(self) -> None:
        self.row = self.column = self.rows = self.longest = self.run = 0
        self.loose = False

    def see(self, piece: bytes) -> None:
        """Take note of whole tags; cells that hold nothing but a format do not count, as no library keeps them."""
        placed = _PLACED.findall(piece)
        filled = {(letters, digits) for letters, digits, empty in placed if not empty}
        self.column = max([self.column, *(column_number(x) for x in {a for a, _ in filled})])
        self.row = max([self.row, *map(int, {b for _, b in filled})])
        first, *others = (len(_CELL.findall(part)) for part in _ROW.split(piece))
        self.longest = max(self.longest, self.run + first, *others)
        self.run = others[-1] if others else self.run + first
        self.rows += len(others)
        if self.loose or first + sum(others) != len(placed):
            # cells that do not begin with their place: it is counted, or stands among the other attributes
            self.loose = True
        for letters, digits in set(_ANY_PLACE.findall(piece)) if self.loose else ():
            self.column = max(self.column, column_number(letters) if len(letters) <= _LONGEST_COLUMN else 1 << 30)
            self.row = max(self.row, int(digits or 0) if len(digits) <= len(str(_LAST_ROW)) else 1 << 30)

    @property
    def cells(self) -> int:
        """How many cells a library takes memory for."""
        row, column = (self.row + self.rows, self.column + self.longest) if self.loose else (self.row, self.column)
        return row * column


def package_problem(data: bytes, file: str) -> Problem | None:
    """Why a workbook that is an archive may not be opened; None where it may, or is of another kind.

    Parameters
    ----------
    data
        The whole file.
    file
        Its path inside the study, for messages.

    Examples
    --------
    >>> package_problem(b"PK and no more", "donors.xlsx").code
    'damaged-workbook'
    """
    if not data.startswith(b"PK"):
        return None
    try:
        found = _seen(data)
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, OverflowError, OSError, NotImplementedError):
        found = (
            "damaged-workbook",
            "This workbook cannot be opened; it is damaged or cut off.",
            "Copy or save it again.",
        )
    if found is None:
        return None
    code, message, fix, *quoted = found
    return Problem("error", code, message, fix, file=file, found="".join(quoted[:1]), expected="".join(quoted[1:]))


def _seen(data: bytes) -> tuple[str, ...] | None:
    """Code, sentence, what to do, and what was found and expected."""
    bomb = "This workbook unpacks to far more than a table can hold."
    fewer = "Delete unused rows and columns, or save as CSV."
    if data.count(b"PK\x01\x02") > MOST_PARTS:  # before a list of them is made
        return "zip-bomb", "This workbook has far too many parts.", fewer, "", f"at most {MOST_PARTS:,} parts"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
    if len({part.filename.casefold() for part in parts}) < len(parts):
        raise zipfile.BadZipFile("two parts of one name: programs differ in which they read")
    most = min(MOST_UNPACKED, max(RATIO_FROM, MOST_RATIO * len(data)))
    limit = f"at most {MOST_UNPACKED // 1_000_000:,} MB, and {MOST_RATIO} times the file"
    whole = cells = 0
    for part in parts:
        extent, size = _Extent(), 0
        for piece in _tags(_unpacked(data, part)):
            size += len(piece)
            if whole + size > most:
                return "zip-bomb", bomb, fewer, "", limit
            if size > part.file_size:
                said = "This workbook states a smaller size than it unpacks to; no program writes such a file."
                return "zip-bomb", said, "Open it in Excel and save it again, if you trust its source."
            if _DEFINES.search(piece):
                said = "This workbook defines a document type or entities; no program writes such a file."
                return "xml-entities", said, "Open it in Excel and save it again, if you trust its source."
            extent.see(piece)
        if size != part.file_size:
            raise zipfile.BadZipFile("a part is shorter than stated")
        whole, cells = whole + size, cells + extent.cells
        if cells > MOST_CELLS:
            said = "The last filled cells of this workbook lie so far out that it is far too large to be read."
            fix = "Delete unused rows and columns, and look for a stray cell far right or far down (Ctrl+End)."
            return "too-large", said, fix, f"{cells:,} cells", f"at most {MOST_CELLS:,} cells from A1 to the last one"
    return None


def _unpacked(data: bytes, part: zipfile.ZipInfo) -> Iterator[bytes]:
    """Blocks of a part as it really is, whatever size it is said to have."""
    start = part.header_offset
    if data[start : start + 4] != b"PK\x03\x04" or part.flag_bits & 1:
        raise zipfile.BadZipFile("a part is not where it should be, or encrypted")
    start += 30 + sum(struct.unpack("<HH", data[start + 26 : start + 30]))
    packed = memoryview(data)[start : start + part.compress_size]
    if part.compress_type == zipfile.ZIP_STORED:
        yield from (bytes(packed[i : i + _BLOCK]) for i in range(0, len(packed), _BLOCK))
    elif part.compress_type == zipfile.ZIP_DEFLATED:
        engine = zlib.decompressobj(-15)
        for i in range(0, len(packed), _BLOCK):
            rest, full = bytes(packed[i : i + _BLOCK]), True
            while rest or full:
                block = engine.decompress(rest, _BLOCK)
                rest, full = engine.unconsumed_tail, len(block) == _BLOCK
                yield block
    else:
        raise zipfile.BadZipFile("packed in a way that Office programs do not use")


def _tags(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, cut before tags, so that each tag is whole."""
    kept = b""
    for block in blocks:
        kept += block
        cut = kept.rfind(b"<")
        if cut > 0:
            yield kept[:cut]
            kept = kept[cut:]
        if len(kept) > _BLOCK:
            if cut >= 0 and kept[1:2].isalpha() and b">" not in kept:
                raise zipfile.BadZipFile("a tag without end")
            yield kept
            kept = b""
    yield kept


def column_number(letters: bytes) -> int:
    """Number from 1 of a column.

    Examples
    --------
    >>> column_number(b"A"), column_number(b"XFD")
    (1, 16384)
    """
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
