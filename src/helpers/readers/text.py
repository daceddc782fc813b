"""Bytes → text, without ever turning one alphabet into another.

Order: a byte-order mark; UTF-16 that shows by its zero bytes; strict UTF-8; GB18030, but only where the
result is plausible Chinese. GB18030 accepts almost any bytes: cp1252 ``µg/ml`` becomes ``礸/ml`` and
``37 °C`` becomes ``37 癈`` without an error, so every character must also exist in GB2312 and stand as
Chinese stands.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from helpers.core.problems import Problem

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HAN = r"\u4e00-\u9fff"
_GLUED = re.compile(rf"[A-Za-z0-9][{_HAN}][A-Za-z0-9/]|(?<![{_HAN}])[{_HAN}](?=[a-z])")
_RUN = re.compile(rf"[{_HAN}]{{2,}}")
_AS_PYTHON_MAPS = str.maketrans("—·", "―・")
"""Bytes A1AA and A1A4: GB18030 reads them as em dash and middle dot, Python's GB2312 as bar and katakana dot."""


@dataclass(frozen=True)
class Decoded:
    """Text of a file, the encoding it was in, and what had to be said."""

    text: str
    encoding: str
    problems: tuple[Problem, ...] = ()


def decode(data: bytes, file: str) -> Decoded:
    """Text of a table that people made; refused where the encoding cannot be told.

    Parameters
    ----------
    data
        The whole file.
    file
        Its path inside the study, for messages.

    Examples
    --------
    >>> decode("5 µg/ml".encode("utf-8"), "x.csv").text
    '5 µg/ml'
    >>> decode("5 µg/ml".encode("cp1252"), "x.csv").problems[0].code
    'unknown-encoding'
    >>> decode("男,吸烟".encode("gb18030"), "x.csv").text
    '男,吸烟'
    """
    known = _known(data)
    if known is not None:
        return Decoded(known[0], known[1], _binary(known[0], file))
    chinese = _chinese(data)
    if chinese is not None:
        note = Problem(
            "repaired",
            "gb18030",
            "The file is in the Chinese encoding GB18030; read as such.",
            "Better: save as CSV UTF-8.",
            file=file,
        )
        return Decoded(chinese, "gb18030", (*_binary(chinese, file), note))
    return Decoded(
        "",
        "",
        (
            Problem(
                "error",
                "unknown-encoding",
                "The encoding of this file cannot be told; special characters would be guessed.",
                "In Excel choose Save as → CSV UTF-8 (comma delimited).",
                file=file,
                expected="UTF-8",
            ),
        ),
    )


def decode_instrument(data: bytes, file: str) -> Decoded:
    """Text of an instrument's export; Western Windows encoding where nothing else fits, with a note.

    Examples
    --------
    >>> decode_instrument("37 °C".encode("cp1252"), "run.csv").text
    '37 °C'
    """
    decoded = decode(data, file)
    if decoded.encoding:
        return decoded
    text = data.decode("cp1252", errors="replace")
    note = Problem(
        "repaired", "cp1252", "The file is in a Western Windows encoding; read as cp1252.", "Nothing to do.", file=file
    )
    return Decoded(text, "cp1252", (*_binary(text, file), note))


def _known(data: bytes) -> tuple[str, str] | None:
    for mark, name in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(name), name
            except UnicodeDecodeError:
                return None
    even, odd = data[0:4000:2], data[1:4000:2]
    sparse, full = sorted((even.count(0), odd.count(0)))
    if full > 0.3 * len(odd) and sparse < 0.05 * len(even):  # Latin letters have every other byte zero
        name = "utf-16-le" if odd.count(0) == full else "utf-16-be"
        try:
            return data.decode(name), name
        except UnicodeDecodeError:
            return None
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return None


def _chinese(data: bytes) -> str | None:
    """GB18030 text, or None where it would be a guess.

    Every character must exist in GB2312; no Han character may be glued into a Latin word, as ``M黮ler`` and
    ``礸/ml`` are; and there must be at least one run of two Han characters, or a Han character that fills a
    cell alone (男), since single ones are what cp1252 accents turn into.
    """
    try:
        text = data.decode("gb18030")
        text.translate(_AS_PYTHON_MAPS).encode("gb2312")
    except UnicodeError:
        return None
    if _GLUED.search(text):
        return None
    cells = [c.strip(" \t\"'") for c in re.split(r"[,;\t\r\n]", text)]
    odd = [c for c in cells if re.search(rf"[{_HAN}]", c) and not _RUN.search(c) and len(c) > 1]
    han = [c for c in cells if re.search(rf"[{_HAN}]", c)]
    common = [ch for ch in re.findall(rf"[{_HAN}]", text) if 0xB0 <= ch.encode("gb2312")[0] <= 0xD7]
    every = re.findall(rf"[{_HAN}]", text)
    if not han or odd or len(common) < 0.8 * len(every):
        return None
    return text


def _binary(text: str, file: str) -> tuple[Problem, ...]:
    if "\0" in text or sum(c < " " and c not in "\t\r\n\f" for c in text[:10000]) > 20:
        return (
            Problem(
                "error", "not-text", "This is not a text file.", "Save the table as CSV UTF-8 or as .xlsx.", file=file
            ),
        )
    return ()
