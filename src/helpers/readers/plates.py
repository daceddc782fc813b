"""Any file of a multiplex plate → plates: which layout it has is told by its content, never by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from helpers.core.problems import Problem, Refused, has_errors
from helpers.readers.bounds import MOST_BYTES
from helpers.readers.plate import Plate
from helpers.readers.text import decode_instrument

LAYOUTS = {
    "xponent": "xPONENT CSV",
    "intelliflex": "INTELLIFLEX table, one row a well",
    "bioplex": "Bio-Plex Manager workbook (.xls, .xlsx)",
    "bioplex_xml": "Bio-Plex Manager XML",
    "msd": "MSD Discovery Workbench table (CSV, workbook) or MSD plate text",
    "plain": "plain long or wide table of signals (CSV, workbook)",
}
"""Layouts that can be read, by the name that forces one, and what they are in words."""


@dataclass(frozen=True)
class _Way:
    """One way to read a file that was opened: its layout, whether its content fits, and what reads it."""

    layout: str
    fits: Callable[[], bool]
    read: Callable[[], list[Plate]]


def read_plate_file(path: Path, file: str, layout: str = "") -> list[Plate]:
    """Plates of one instrument's file, in whichever of `LAYOUTS` its content is.

    Parameters
    ----------
    path
        The file.
    file
        Its path inside the study, for messages.
    layout
        Name of the layout to read it as, one of `LAYOUTS`; empty to find it out.

    Raises
    ------
    Refused
        Where the file cannot be opened, is in no known layout or not in the wanted one, or is damaged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.dat"
    >>> _ = path.write_text("well,sample,IL-6,IL-8\\nA1,S1,1200,300\\n")
    >>> [(plate.layout, len(plate.wells)) for plate in read_plate_file(path, "x.dat")]
    [('plain', 2)]
    """
    if layout and layout not in LAYOUTS:
        message, fix = "There is no such layout.", "Name one of the layouts, or none."
        raise _refused("unknown-layout", message, fix, file, layout, expected=", ".join(LAYOUTS))
    data = _bytes(path, file)
    try:
        plates = _read(data, file, layout)
    except Refused:
        raise
    except Exception as err:  # the last guard: a person gets a sentence, and the cause stays for --debug
        message = f"This file cannot be read; its reader failed ({type(err).__name__})."
        raise _refused("reader-failed", message, "Export the plate again; if that fails, report it.", file) from err
    if not plates:
        raise _refused("no-plate", "This file holds no plate.", "Export the plate again.", file)
    return plates


def _refused(code: str, message: str, fix: str, file: str, found: str = "", expected: str = "") -> Refused:
    return Refused([Problem("error", code, message, fix, file=file, found=found, expected=expected)])


def _bytes(path: Path, file: str) -> bytes:
    """Content of a file of bounded size."""
    try:
        if not path.is_file():
            message = "This is a folder, not a file." if path.is_dir() else "There is no such file."
            raise _refused("not-a-file", message, "Name the file that the instrument wrote.", file)
        size = path.stat().st_size
        if size > MOST_BYTES:
            limit = f"at most {MOST_BYTES // 1_000_000} MB"
            raise _refused("too-large", "This file is far too large for a plate.", "Check the file.", file, "", limit)
        data = path.read_bytes()
    except OSError as err:
        message = f"This file cannot be read ({err.strerror or type(err).__name__})."
        fix = "Close it in other programs and check its permissions."
        raise _refused("unreadable", message, fix, file) from err
    if not data.strip():
        raise _refused("empty-file", "This file is empty.", "Export the plate again.", file)
    return data


def _read(data: bytes, file: str, layout: str) -> list[Plate]:
    ways, notes = _ways(data, file)
    for way in ways:
        if layout in ("", way.layout) and way.fits():
            return [replace(p, problems=tuple(dict.fromkeys((*notes, *p.problems)))) for p in way.read()]
    known = "; ".join(LAYOUTS.values())
    if not layout:
        message, fix = "This file is in no layout of plates that can be read.", "Export the plate in one of these."
        raise Refused([Problem("error", "unknown-layout", message, fix, file=file, expected=known), *notes])
    message, fix = "This file does not have the layout that was asked for.", "Leave the layout open, or check the file."
    raise Refused([Problem("error", "other-layout", message, fix, file=file, expected=LAYOUTS[layout]), *notes])


def _ways(data: bytes, file: str) -> tuple[Iterable[_Way], tuple[Problem, ...]]:
    """Ways to read a file, the likeliest first, and what was said when it was opened."""
    from helpers.readers.bioplex_xml import is_bioplex_xml, read_bioplex_xml
    from helpers.readers.plain_plate import is_workbook

    if is_workbook(data):
        return _workbook_ways(data, file), ()
    if is_bioplex_xml(data):
        return [_Way("bioplex_xml", lambda: True, lambda: read_bioplex_xml(data, file))], ()
    decoded = decode_instrument(data, file)
    if has_errors(decoded.problems):
        message = "This file is neither text nor a workbook."
        fix = "Give the file that the instrument's software exports."
        raise _refused("not-a-plate", message, fix, file, expected="; ".join(LAYOUTS.values()))
    return _text_ways(data, decoded.text, file), decoded.problems


def _workbook_ways(data: bytes, file: str) -> Iterator[_Way]:
    from helpers.readers.bioplex import is_bioplex, read_bioplex, workbook_values
    from helpers.readers.msd import is_msd, read_msd
    from helpers.readers.plain_plate import as_texts, is_plain_plate, read_plain_plate

    sheets, _ = workbook_values(data, file)
    yield _Way("bioplex", lambda: is_bioplex(sheets), lambda: read_bioplex(data, file))
    texts = as_texts(sheets)
    yield _Way("msd", lambda: any(map(is_msd, texts.values())), lambda: read_msd(data, file))
    yield _Way("plain", lambda: any(map(is_plain_plate, texts.values())), lambda: read_plain_plate(data, file))


def _text_ways(data: bytes, text: str, file: str) -> Iterator[_Way]:
    from helpers.readers.intelliflex import is_intelliflex, read_intelliflex
    from helpers.readers.msd import is_msd, is_msd_grid, read_msd, read_msd_grid
    from helpers.readers.plain_plate import is_plain_plate, read_plain_plate
    from helpers.readers.xponent import is_xponent, read_xponent

    yield _Way("xponent", lambda: is_xponent(text), lambda: read_xponent(text, file))
    yield _Way("intelliflex", lambda: is_intelliflex(text), lambda: read_intelliflex(text, file))
    yield _Way("msd", lambda: is_msd(text), lambda: read_msd(data, file))
    yield _Way("msd", lambda: is_msd_grid(text), lambda: read_msd_grid(text, file))
    yield _Way("plain", lambda: is_plain_plate(text), lambda: read_plain_plate(data, file))
