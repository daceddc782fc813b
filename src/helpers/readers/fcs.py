"""FCS files (2.0, 3.0, 3.1) → events on the FCS scale, and what was odd about the file.

HEADER and TEXT say how large everything is, so they are read first and every size is held against the file
before memory is taken. What instruments really write is read and said: empty values, offsets that disagree,
24-bit integers, event counts that do not fit. What could only be guessed is refused. Keywords are kept by a
list of names; all others, with every person, day and comment in them, are left out.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from helpers.core import privacy
from helpers.core.problems import Problem, Refused, Severity
from helpers.readers.text import decode_instrument

CONVENTION = (
    "Values are FCS scale values: $PnE decades applied (integer data), divided by $PnG (never Time), "
    "Time multiplied by $TIMESTEP."
)
MOST_BYTES = 1_000_000_000
"""Memory that one file may take while it is read."""
MOST_TEXT_BYTES = 10_000_000
MOST_CHANNELS = 2_000

_HEADER_BYTES = 58
_VERSIONS = {b"FCS2.0": "2.0", b"FCS3.0": "3.0", b"FCS3.1": "3.1"}
_FLOAT_BITS = {"F": 32, "D": 64}
_NEAR_IDENTITY = 1e-3
_LONGEST_NAME = 200
_SMALLEST = 1e-30
_KEPT = re.compile(r"CYT|CREATOR|VOL|ABRT|LOST|TR|THRESHOLD|WINDOW EXTENSION|FSC ASF|LASER\d+(NAME|DELAY|ASF)")
_PRIVATE = re.compile(
    r"DATE|BTIM|ETIM|OP|FIL|EXP|SRC|SMNO|COM|INST|PROJ|CELLS|SYS|CYTSN|LAST_MODIFI(ED|ER)|PLATE(ID|NAME)|"
    r".*(NAME|PATIENT|SAMPLE|SPECIMEN|SUBJECT|DONOR|OPERATOR|USER|EXPERIMENT|TUBE|DATE|GUID|BIRTH|ADDRESS|COMMENT).*"
)
_NO_DYE = re.compile(r"(fsc|ssc|fs|ss|time|event|width|hdr)(?![a-z])", re.I)
_DAMAGED = "Export the file again from the instrument's software."

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Channel:
    """One parameter of a file, with the factors that were applied to it.

    A value is ``log_zero · 10^(decades · stored / range)`` where decades > 0, else the stored number, divided by
    `gain` and multiplied by `time_step`; any other convention can be computed back from these.

    Parameters
    ----------
    number
        n of $PnN, counted from 1.
    name, marker
        $PnN and $PnS; the marker is empty where the file has none.
    bits
        Width of a stored number.
    range
        $PnR; NaN where the file does not say.
    decades, log_zero
        $PnE as applied; 0 decades for a linear channel.
    gain
        $PnG as divided by; 1 for Time, and where none is given.
    time_step
        $TIMESTEP in seconds for Time, 1 for all others.
    voltage
        $PnV of the detector.
    """

    number: int
    name: str
    marker: str
    bits: int
    range: float
    decades: float = 0.0
    log_zero: float = 1.0
    gain: float = 1.0
    time_step: float = 1.0
    voltage: float | None = None


@dataclass(frozen=True, eq=False)
class Spillover:
    """A spillover matrix: row i holds what dye i gives to each detector.

    Parameters
    ----------
    channels
        Detectors ($PnN), in the order of rows and columns.
    matrix
        Square, the diagonal 1.
    dyes
        Other names of the rows, where a gate file gives them.
    """

    channels: tuple[str, ...]
    matrix: Values
    dyes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FcsHeader:
    """What a file says about itself, without its events and without any identity.

    Parameters
    ----------
    file
        Path inside the study.
    version
        2.0, 3.0 or 3.1.
    n_events
        Number of events, by the data where $TOT contradicts them.
    channels
        In the file's order; names are unique.
    spillover
        The file's own matrix, None where it has none that can be used.
    time_step
        $TIMESTEP in seconds; 1 where none is given or the file has no Time.
    cytometer
        Keywords of the instrument that are worth keeping: $CYT, software, lasers, thresholds.
    problems
        What was odd, repaired or left out.
    """

    file: str
    version: str
    n_events: int
    channels: tuple[Channel, ...]
    spillover: Spillover | None
    time_step: float
    cytometer: dict[str, str]
    problems: tuple[Problem, ...] = field(default=())

    @property
    def convention(self) -> str:
        """What the values are, in words."""
        return CONVENTION

    @property
    def names(self) -> tuple[str, ...]:
        """Channel names, $PnN."""
        return tuple(c.name for c in self.channels)


@dataclass(frozen=True, eq=False)
class FcsFile(FcsHeader):
    """A file with its events.

    Parameters
    ----------
    events
        Events × channels, by `CONVENTION`; stored by column.
    """

    events: Values = field(default_factory=lambda: np.empty((0, 0)))


@dataclass(frozen=True)
class _Layout:
    """Where the events lie and how one is stored."""

    header: FcsHeader
    begin: int
    record: np.dtype[np.void]
    integers: bool
    big_endian: bool


class _Notes:
    """Problems of one file, collected while it is read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def say(
        self, severity: Severity, code: str, message: str, fix: str, keyword: str = "", found: str = "", want: str = ""
    ) -> None:
        found = found[:_LONGEST_NAME]
        said = Problem(severity, code, message, fix, file=self.file, column=keyword, found=found, expected=want)
        if said not in self.problems:
            self.problems.append(said)

    def wrong(self, code: str, message: str, keyword: str = "", found: str = "", want: str = "") -> None:
        self.say("error", code, message, _DAMAGED, keyword, found, want)

    def refuse(self, code: str, message: str, keyword: str = "", found: str = "", want: str = "") -> NoReturn:
        self.wrong(code, message, keyword, found, want)
        raise Refused(self.problems)

    def refuse_if_wrong(self) -> None:
        if any(p.severity == "error" for p in self.problems):
            raise Refused(self.problems)


def read_fcs_header(path: Path, file: str) -> FcsHeader:
    """Channels, event count, matrix and oddities of an FCS file, without reading its events.

    Parameters
    ----------
    path
        The file.
    file
        Its path inside the study, for messages.

    Raises
    ------
    Refused
        If the file is damaged or of a kind that is not read; the same as `read_fcs`.
    """
    try:
        state = path.stat()
    except OSError:
        _Notes(file).refuse("unreadable", "The file cannot be opened.")
    return _header_of(path, file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=512)  # several rooms ask the same files of a study
def _header_of(path: Path, file: str, mtime_ns: int, size: int) -> FcsHeader:
    notes = _Notes(file)
    with _opened(path, notes) as handle:
        return _layout(handle, notes).header


def read_fcs(path: Path, file: str) -> FcsFile:
    """One FCS file with its events as FCS scale values (`CONVENTION`).

    Parameters
    ----------
    path
        The file.
    file
        Its path inside the study, for messages.

    Raises
    ------
    Refused
        If the file is damaged, contradicts itself, is of a kind that is not read (histograms, text data,
        other versions) or would take more than `MOST_BYTES`.
    """
    notes = _Notes(file)
    with _opened(path, notes) as handle:
        layout = _layout(handle, notes)
        needed = layout.header.n_events * layout.record.itemsize
        handle.seek(layout.begin)
        data = handle.read(needed)
    if len(data) < needed:
        notes.refuse("truncated", "The file ended while it was read.")
    events = _scaled(np.frombuffer(data, layout.record), layout, notes)
    _say_implausible(events, notes)
    head = layout.header
    rest = (head.channels, head.spillover, head.time_step, head.cytometer, tuple(notes.problems))
    return FcsFile(head.file, head.version, head.n_events, *rest, events)


def _opened(path: Path, notes: _Notes) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError:
        notes.refuse("unreadable", "The file cannot be opened.")


# ---- HEADER and TEXT


def _layout(handle: BinaryIO, notes: _Notes) -> _Layout:
    size = handle.seek(0, 2)
    handle.seek(0)
    head = handle.read(_HEADER_BYTES)
    if not head.startswith(b"FCS") or len(head) < _HEADER_BYTES:
        notes.refuse("not-fcs", "This is not an FCS file.")
    if head[:6] not in _VERSIONS:
        found = head[:6].decode("latin-1")
        notes.refuse("fcs-version", "This version is not read.", "FCS version", found, "FCS2.0, FCS3.0 or FCS3.1")
    version = _VERSIONS[head[:6]]
    text = (_offset(head[10:18], notes), _offset(head[18:26], notes))
    data = (_offset(head[26:34], notes), _offset(head[34:42], notes))
    words = _words(_segment(handle, *text, size, notes), notes)
    extra = (_whole(words.get("BEGINSTEXT", "0")) or 0, _whole(words.get("ENDSTEXT", "0")) or 0)
    if version != "2.0" and 0 < extra[0] < extra[1] and extra != text:
        words = {**_words(_segment(handle, *extra, size, notes), notes), **words}

    kind, big_endian = _kind(words, notes)
    channels = _channels(words, kind, notes)
    notes.refuse_if_wrong()
    record = _record([c.bits for c in channels], kind, big_endian)
    bits = {c.bits for c in channels}
    certain = kind != "I" or (len(bits) == 1 and len(channels) > 1)
    spans, total = _spans(words, version, data, text), _total(words, notes)
    begin, n_events = _data_segment(spans, total, record.itemsize, certain, size, notes)
    if n_events * (record.itemsize + 8 * len(channels)) > MOST_BYTES:
        found = f"{n_events} events × {len(channels)} channels"
        notes.refuse("too-large", "The file is too large to be read in one piece.", "$TOT", found, "under 1 GB")
    if not n_events:
        notes.say("warning", "no-events", "The file holds no events.", "Remove it, or export it again.", "$TOT")
    if _whole(words.get("NEXTDATA", "0")):
        message = "The file holds several data sets; only the first was read."
        notes.say("warning", "several-data-sets", message, "Export each data set as its own file.", "$NEXTDATA")
    return _Layout(_header(version, n_events, words, channels, notes), begin, record, kind == "I", big_endian)


def _header(
    version: str, n_events: int, words: dict[str, str], channels: Sequence[Channel], notes: _Notes
) -> FcsHeader:
    """What is handed over; names that look like an identity are masked, after the matrix has found its channels."""
    spillover = _spillover(words, channels, notes)
    if spillover is not None:
        spillover = replace(spillover, channels=tuple(privacy.mask(c) for c in spillover.channels))
    step = next((c.time_step for c in channels if _is_time(c.name)), 1.0)
    shown = tuple(replace(c, name=privacy.mask(c.name), marker=privacy.mask(c.marker)) for c in channels)
    cytometer = _cytometer(words, notes)
    return FcsHeader(notes.file, version, n_events, shown, spillover, step, cytometer, tuple(notes.problems))


def _offset(field_: bytes, notes: _Notes) -> int:
    text = field_.decode("latin-1").strip()
    if text and not (text.isascii() and text.isdigit()):
        notes.refuse("header-offset", "An offset in the first 58 bytes is no number; the file is damaged.", "HEADER")
    return int(text or 0)


def _segment(handle: BinaryIO, begin: int, end: int, size: int, notes: _Notes) -> bytes:
    if not (_HEADER_BYTES <= begin < end < size):
        notes.refuse("text-segment", "The keywords should lie where the file has none; it is damaged or cut.", "HEADER")
    if end - begin >= MOST_TEXT_BYTES:
        notes.refuse("text-segment", "The keywords are said to take more than 10 MB; the file is damaged.", "HEADER")
    handle.seek(begin)
    return handle.read(end - begin + 1)


def _words(data: bytes, notes: _Notes) -> dict[str, str]:
    """Keywords in capitals without their $, and values.

    A doubled delimiter stands for itself inside a value. Many programs write it for an empty value instead;
    then two keywords seem glued together, which is how it shows, since no keyword holds a delimiter.
    """
    delimiter = data[:1]
    for byte in (b"\0", b"\r", b"\n"):
        if byte != delimiter:
            data = data.replace(byte, b" ")
    ended = data.rstrip(b" ").endswith(delimiter)
    decoded = decode_instrument(data.replace(delimiter, b"\n"), notes.file)
    if any(p.severity == "error" for p in decoded.problems):
        notes.refuse("text-segment", "The keywords of this file cannot be read; it is damaged.", "TEXT")
    notes.problems += decoded.problems
    glue = "\ue000"
    cells = decoded.text[1:].replace("\n\n", glue).split("\n")
    delimiter_text = delimiter.decode("latin-1")
    if not cells[-1].strip():
        cells.pop()  # what follows the last delimiter
    if not ended or (len(cells) % 2 and glue not in cells[-1]):
        message = "The keywords end in the middle of one; the file may be cut or changed."
        notes.say("warning", "text-end", message, _DAMAGED, "TEXT")
    standard: dict[str, str] = {}
    own: dict[str, str] = {}
    twice, empty = False, False
    for key, value in zip(cells[::2], [*cells[1::2], ""], strict=False):
        *without, last = key.split(glue)
        empty |= bool(without)
        for name, text in [*((w, "") for w in without), (last, value.replace(glue, delimiter_text))]:
            word = name.strip().upper()
            kept = standard if word.startswith("$") else own
            twice |= kept.get(word.removeprefix("$"), text) != text
            kept[word.removeprefix("$")] = text.strip()
    if empty:
        notes.say("repaired", "empty-values", "Some keywords have no value; read as empty.", "Nothing to do.", "TEXT")
    if twice:
        message = "A keyword stands twice with different values; the last one is used."
        notes.say("warning", "keyword-twice", message, "Check the channels; better, export the file again.", "TEXT")
    return {**own, **standard}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(text: str) -> int | None:
    value = _number(text)
    return int(value) if value is not None and value.is_integer() and value >= 0 else None


def _kind(words: dict[str, str], notes: _Notes) -> tuple[str, bool]:
    """$DATATYPE, and whether the first byte of a number is its highest."""
    kind = words.get("DATATYPE", "").upper()
    if kind not in ("I", "F", "D"):
        notes.wrong("data-type", "This kind of data is not read.", "$DATATYPE", kind, "I, F or D")
    mode = words.get("MODE", "").upper()
    if not mode:
        message = "The kind of the file is not stated; read as single events."
        notes.say("repaired", "mode", message, "Check the number of events.", "$MODE", want="L (list mode)")
    elif mode != "L":
        notes.wrong("mode", "The file holds histograms, not single events.", "$MODE", mode, "L (list mode)")
    order = [_whole(b) for b in words.get("BYTEORD", "").split(",")]
    rising = list(range(1, len(order) + 1))
    if order not in (rising, rising[::-1]):
        notes.wrong("byte-order", "The order of bytes is not one that is read.", "$BYTEORD", words.get("BYTEORD", ""))
    return kind, order != rising


def _record(bits: Sequence[int], kind: str, big_endian: bool) -> np.dtype[np.void]:
    """One event as a record; integers of unusual width as single bytes."""
    order, formats = ">" if big_endian else "<", []
    for width in bits:
        if kind != "I":
            formats.append(f"{order}f{width // 8}")
        elif width in (8, 16, 32, 64):
            formats.append(f"{order}u{width // 8}")
        else:
            formats.append(f"({width // 8},)u1")
    return np.dtype([(str(i), f) for i, f in enumerate(formats)])


# ---- channels


def _channels(words: dict[str, str], kind: str, notes: _Notes) -> tuple[Channel, ...]:
    count = _whole(words.get("PAR", ""))
    if count is None or not 1 <= count <= MOST_CHANNELS:
        notes.wrong("channel-count", "The number of channels is missing or absurd.", "$PAR", words.get("PAR", ""))
        return ()
    highest = max((int(m[1]) for w in words if (m := re.fullmatch(r"P(\d{1,6})[BN]", w))), default=0)
    if highest > count:
        message = "The file describes more channels than it counts."
        notes.wrong("channel-count", message, "$PAR", f"{count}", f"{highest}")
        return ()
    step = _time_step(words, notes)
    channels = _uniquely_named([_channel(n, words, kind, step, notes) for n in range(1, count + 1)], notes)
    if not any(c.marker for c in channels):
        fix = "Say in the panel which channel carries which marker."
        notes.say("warning", "no-marker-names", "No channel of this file has a marker name.", fix, "$PnS")
    return channels


def _uniquely_named(channels: Sequence[Channel], notes: _Notes) -> tuple[Channel, ...]:
    times = Counter(c.name for c in channels)
    doubled = sorted(name for name in times if times[name] > 1)
    if doubled:
        message = "Several channels have one name; each of them got its number added."
        fix = "Gates and panels must use the new names, as in “FL1-A [5]”."
        notes.say("repaired", "channel-name-twice", message, fix, "$PnN", ", ".join(doubled))
    return tuple(replace(c, name=f"{c.name} [{c.number}]") if times[c.name] > 1 else c for c in channels)


def _channel(n: int, words: dict[str, str], kind: str, step: float, notes: _Notes) -> Channel:
    name, marker = words.get(f"P{n}N", ""), words.get(f"P{n}S", "")
    if not name:
        name = f"P{n}"
        notes.say("repaired", "channel-name", "A channel has no name; its number is used.", "Check it.", f"$P{n}N")
    if max(len(name), len(marker)) > _LONGEST_NAME:
        notes.wrong("channel-name", "The name of a channel is absurdly long; the file is damaged.", f"$P{n}N")
    decades, log_zero = _decades(n, words, kind, notes)
    timed = _is_time(name)
    return Channel(
        number=n,
        name=name,
        marker=marker,
        bits=_bits(n, words, kind, notes),
        range=_range(n, words, kind, notes),
        decades=decades,
        log_zero=log_zero,
        gain=1.0 if timed else _gain(n, words, notes),
        time_step=step if timed else 1.0,
        voltage=_number(words.get(f"P{n}V", "")),
    )


def _bits(n: int, words: dict[str, str], kind: str, notes: _Notes) -> int:
    spoken = words.get(f"P{n}B", "")
    bits = _whole(spoken) or 0
    if bits != _FLOAT_BITS.get(kind, bits) or bits % 8 or not 8 <= bits <= 64:
        want = str(_FLOAT_BITS.get(kind, "8, 16, 24, 32, 40, 48, 56 or 64"))
        notes.wrong("channel-bits", "The width of a stored number is not one that is read.", f"$P{n}B", spoken, want)
    return bits


def _range(n: int, words: dict[str, str], kind: str, notes: _Notes) -> float:
    spoken = words.get(f"P{n}R", "")
    limit = _number(spoken)
    if limit is None or limit <= 0:
        if kind == "I":
            notes.wrong("channel-range", "The range of a channel is missing or no positive number.", f"$P{n}R", spoken)
        return math.nan
    return limit


def _is_time(name: str) -> bool:
    return name.casefold() == "time"


def _decades(n: int, words: dict[str, str], kind: str, notes: _Notes) -> tuple[float, float]:
    spoken = words.get(f"P{n}E", "" if kind == "I" else "0,0")
    pair = [_number(x) for x in spoken.split(",")]
    if len(pair) != 2 or pair[0] is None or pair[1] is None or min(pair[0], pair[1]) < 0:
        check = "Check that the channel is not on a logarithmic scale."
        message = "The scale of a channel cannot be read; taken as linear."
        notes.say("warning", "amplification", message, check, f"$P{n}E", spoken)
        return 0.0, 1.0
    decades, log_zero = pair[0], pair[1]
    if decades and kind != "I":
        message = "Floating-point data are linear by the standard; the stated logarithmic scale was not applied."
        notes.say("warning", "amplification", message, "Check the values of this channel.", f"$P{n}E", spoken, "0,0")
        return 0.0, 1.0
    if decades and not log_zero:
        message = "A logarithmic scale must not begin at 0; read as 1, as the standard says."
        notes.say("repaired", "amplification", message, "Nothing to do.", "$PnE")
    return decades, log_zero or 1.0


def _gain(n: int, words: dict[str, str], notes: _Notes) -> float:
    spoken = words.get(f"P{n}G", "")
    gain = _number(spoken or "1")
    if gain is None or gain < 0:
        message = "The gain of a channel cannot be read; values are not divided by it."
        notes.say("warning", "gain", message, "Check the values of this channel.", f"$P{n}G", spoken)
    return gain if gain and gain > 0 else 1.0


def _time_step(words: dict[str, str], notes: _Notes) -> float:
    spoken = words.get("TIMESTEP", "")
    step = _number(spoken or "1")
    if step is None or step <= 0:
        message = "The time step cannot be read; Time is left in the instrument's own ticks."
        notes.say("warning", "time-step", message, "Check the time axis.", "$TIMESTEP", spoken)
        return 1.0
    return step


# ---- where the events are


Span = tuple[int, int]


def _spans(words: dict[str, str], version: str, header: Span, text: Span) -> list[Span]:
    """First and last byte of the data as HEADER and TEXT state them, the more binding first."""
    stated = (_whole(words.get("BEGINDATA", "0")) or 0, _whole(words.get("ENDDATA", "0")) or 0)
    order = [header, stated] if version == "2.0" else [stated, header]
    free = [(b, e) for b, e in order if b >= _HEADER_BYTES and (b >= text[1] or 0 < e <= text[0])]
    return list(dict.fromkeys(free))


def _data_segment(
    spans: list[Span], total: int | None, event_bytes: int, certain: bool, size: int, notes: _Notes
) -> tuple[int, int]:
    """First byte of the events and their number.

    HEADER, TEXT (from version 3.0) and $TOT say how many bytes there are: two that agree overrule the third.
    Where the width of an event is itself in doubt (`certain` is False), nothing is overruled.
    """
    if not spans:
        if total == 0:
            return _HEADER_BYTES, 0
        notes.refuse("data-offset", "The file does not say where its events are.", "$BEGINDATA")
    if total is not None:
        expected = total * event_bytes
        fitting = [(b, e) for b, e in spans if e - b + 1 in (expected, expected + 1) and b + expected <= size]
        if len({begin for begin, _ in fitting}) > 1:
            notes.refuse("data-offset", "The file names two places where its events could be.", "$BEGINDATA")
        if fitting:
            surplus = all(end - begin + 1 > expected for begin, end in fitting)
            _say_offsets(len(spans) > 1, surplus, notes)
            return fitting[0][0], total
        for begin, end in spans:
            if end == 0 and begin + expected <= size:
                _say_offsets(True, False, notes)
                return begin, total
    if len(spans) > 1:
        notes.refuse("data-offset", "The file contradicts itself about where its events are, and how many.", "$ENDDATA")
    begin, end = spans[0]
    return begin, _counted(begin, end, event_bytes, total, certain, size, notes)


def _total(words: dict[str, str], notes: _Notes) -> int | None:
    spoken = words.get("TOT", "")
    total = _whole(spoken)
    if total is None:
        message = "The number of events is missing or no number; they were counted by the size of the data."
        notes.say("warning", "event-count", message, "Check the number of events.", "$TOT", spoken)
    return total


def _say_offsets(disagree: bool, one_more: bool, notes: _Notes) -> None:
    fix = "Nothing to do; the number of events fits."
    if disagree:
        message = "The file says in two ways where its events are; the way that fits the number of events was used."
        notes.say("repaired", "data-offset", message, fix, "$BEGINDATA")
    if one_more:
        notes.say("repaired", "data-offset", "The stated end of the data is one byte too far.", fix, "$ENDDATA")


def _counted(begin: int, end: int, event_bytes: int, total: int | None, certain: bool, size: int, notes: _Notes) -> int:
    """Number of events where $TOT does not fit the data."""
    if end > size:
        here, want = f"{max(size - begin, 0) // event_bytes}", f"{total if total is not None else 'more'} events"
        notes.refuse("truncated", "The file is cut: its data end before the place it states.", "$ENDDATA", here, want)
    count, rest = divmod(min(end, size - 1) - begin + 1, event_bytes)
    if count < 0 or (total is None and rest > 1) or (total is not None and not certain):
        notes.refuse("data-size", "The size of the data does not fit channels and number of events.", "$TOT")
    if rest > 1 and count != total:
        notes.refuse("data-size", "The data are no whole number of events; the file is damaged.", "$ENDDATA")
    if total is not None and count != total:
        message = "The stated number of events contradicts the data; all events that the data hold were read."
        fix = "Compare the number of events with the instrument's software."
        notes.say("warning", "event-count", message, fix, "$TOT", f"{total}", f"{count}")
    if rest:
        message = "A few bytes follow the last event; they were left out."
        notes.say("repaired", "data-offset", message, "Nothing to do.", "$ENDDATA", f"{rest}")
    return count


def _scaled(stored: NDArray[np.void], layout: _Layout, notes: _Notes) -> Values:
    """Stored numbers to FCS scale values, column by column."""
    channels, above = layout.header.channels, []
    events = np.empty((len(stored), len(channels)), order="F")
    with np.errstate(all="ignore"):  # what is not finite is counted and said
        for i, channel in enumerate(channels):
            column, numbers = events[:, i], stored[str(i)]
            if layout.integers:
                read = _integers(numbers, layout.big_endian)
                numbers = _within_range(read, channel)
                above += [channel.name] * bool(np.any(read != numbers))
            column[:] = numbers
            if channel.decades > 0:
                column[:] = channel.log_zero * 10 ** (channel.decades * column / channel.range)
            column /= channel.gain
            column *= channel.time_step
    if above:
        message = "Stored numbers exceed the range of their channel; bits above it were ignored, as the standard says."
        fix = "Compare with the instrument's software."
        notes.say("warning", "above-range", message, fix, "$PnR", ", ".join(above))
    return events


def _integers(stored: NDArray[np.unsignedinteger], big_endian: bool) -> NDArray[np.unsignedinteger]:
    """Integers of a column, put together from bytes where their width is unusual."""
    if stored.ndim == 1:
        return stored
    numbers = np.zeros(len(stored), dtype=np.uint64)
    for k in range(stored.shape[1]) if big_endian else reversed(range(stored.shape[1])):
        numbers = (numbers << np.uint64(8)) | stored[:, k]
    return numbers


def _within_range(numbers: NDArray[np.unsignedinteger], channel: Channel) -> NDArray[np.unsignedinteger]:
    """Integers without the bits above the channel's range."""
    top = 1 << (math.ceil(channel.range) - 1).bit_length()
    return numbers & numbers.dtype.type(top - 1) if top < 1 << channel.bits else numbers


def _say_implausible(events: Values, notes: _Notes) -> None:
    broken, tiny = np.zeros(len(events), dtype=bool), False
    for column in events.T:
        broken |= ~np.isfinite(column)
        tiny |= bool(((column != 0) & (np.abs(column) < _SMALLEST)).any())
    if broken.any():
        look = "Look at the file in the instrument's software; gates leave these events out."
        found = f"{int(broken.sum())}"
        notes.say("warning", "not-finite", "Some events hold values that are no finite number.", look, "", found)
    if tiny:
        message = "Some values are absurdly small, as when numbers are read in the wrong kind or order of bytes."
        notes.say("warning", "absurd-values", message, "Compare with the instrument's software.", "$BYTEORD")


# ---- spillover


def _spillover(words: dict[str, str], channels: Sequence[Channel], notes: _Notes) -> Spillover | None:
    keyword = next((k for k in ("SPILLOVER", "SPILL") if words.get(k)), None)
    if keyword is None:
        if words.get("COMP") or any(re.fullmatch(r"DFC\d+TO\d+", w) for w in words):
            message = "The file has a compensation in an old form, which is not applied."
            notes.say("warning", "spillover-old", message, "Give the matrix in the gate file.", "$COMP")
        return None
    parts = [p.strip() for p in words[keyword].split(",")]
    count = _whole(parts[0]) or 0
    numbers = [_number(p) for p in parts[count + 1 :]] if 1 <= count <= len(channels) else []
    values = [x for x in numbers if x is not None]
    if not numbers or len(values) != len(numbers) or len(values) != count * count:
        fix = "Give the matrix in the gate file, or export the file again."
        notes.say("warning", "spillover-unreadable", "The spillover matrix cannot be read.", fix, f"${keyword}")
        return None
    names = _named(parts[1 : count + 1], channels, f"${keyword}", notes)
    if names is None:
        return None
    matrix = np.array(values).reshape(count, count)
    if np.linalg.matrix_rank(matrix) < count:
        fix = "Give the matrix in the gate file."
        notes.say("warning", "spillover-singular", "The spillover matrix cannot be inverted.", fix, f"${keyword}")
        return None
    spillover = Spillover(names, matrix)
    _say_oddities(spillover, channels, f"${keyword}", notes)
    return spillover


def _named(names: list[str], channels: Sequence[Channel], keyword: str, notes: _Notes) -> tuple[str, ...] | None:
    """The matrix's names as channel names: by name, by number, or by marker; None where they do not fit."""
    own = {c.name: c.name for c in channels}
    numbers = {p: c.name for c in channels for p in (f"{c.number}", f"P{c.number}")}
    folded = Counter(c.name.casefold() for c in channels)
    loose = {c.name.casefold(): c.name for c in channels if folded[c.name.casefold()] == 1}
    marked = Counter(c.marker for c in channels)
    markers = {c.marker: c.name for c in channels if c.marker and marked[c.marker] == 1}
    for known, message in (
        (own, ""),
        (numbers, "The spillover matrix names channels by number; read so."),
        (loose, "The spillover matrix writes channel names in other letters; read as the same."),
        (markers, "The spillover matrix names channels by marker; read so."),
    ):
        wanted = [n.casefold() for n in names] if known is loose else names
        found = tuple(known[n] for n in wanted if n in known)
        if len(set(found)) == len(names):
            if message:
                notes.say("repaired", "spillover-names", message, "Nothing to do.", keyword)
            return found
    missing = [n for n in names if n not in own]
    if missing and all(any(f"{prefix}{n}" in own for prefix in ("Comp-", "FJComp-")) for n in missing):
        message = "The channels are compensated already, by their names; the matrix is not applied again."
        fix = "Better: use the instrument's own file instead of an export."
        notes.say("warning", "spillover-applied", message, fix, keyword)
        return None
    message = "The spillover matrix names channels that the file does not have; it is not used."
    fix = "Export the file with all channels, or give the matrix in the gate file."
    notes.say("warning", "spillover-names", message, fix, keyword, ", ".join(missing or names))
    return None


def _say_oddities(spillover: Spillover, channels: Sequence[Channel], keyword: str, notes: _Notes) -> None:
    rest = spillover.matrix - np.diag(np.diag(spillover.matrix))
    if np.abs(rest).max() < _NEAR_IDENTITY:
        message = "The file's spillover matrix changes nothing (it is the identity, or nearly)."
        fix = "If dyes overlap, give the real matrix, as in a FlowJo workspace."
        notes.say("warning", "spillover-identity", message, fix, keyword)
    if not np.allclose(np.diag(spillover.matrix), 1):
        message = "The diagonal of the spillover matrix is not 1; compensated values change scale."
        notes.say("warning", "spillover-diagonal", message, "Check the matrix.", keyword)
    outside = [c.name for c in channels if c.name not in spillover.channels and not _NO_DYE.match(c.name)]
    other = [n for n in outside if n[-2:] in ("-H", "-W") and f"{n[:-2]}-A" in spillover.channels]
    if other:
        message = "Height and width columns are not in the spillover matrix; they are left as they are."
        notes.say("repaired", "spillover-height-width", message, "Nothing to do.", keyword, ", ".join(other))
    outside = [n for n in outside if n not in other]
    if outside:
        message = "Some channels are not in the spillover matrix; they are left as they are."
        fix = "Nothing to do if these detectors were not used."
        notes.say("warning", "spillover-partial", message, fix, keyword, ", ".join(outside))


# ---- what is kept


def _cytometer(words: dict[str, str], notes: _Notes) -> dict[str, str]:
    """Instrument keywords without identities; one note that others were left out, which quotes nothing."""
    kept = {w: t for w, t in words.items() if t and _KEPT.fullmatch(w) and not privacy.findings(t)}
    if any(words[w] and w not in kept and not re.fullmatch(r"P\d+.*", w) and _PRIVATE.fullmatch(w) for w in words):
        message = "Keywords that can name people, samples or days were left out."
        notes.say("repaired", "private-keywords", message, "Nothing to do.", "TEXT")
    return kept
