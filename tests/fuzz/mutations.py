"""Ways to damage a file, as people, programs and disks do it; each is drawn and made smaller by hypothesis."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

Change = Callable[[bytes], bytes]

ODD = (
    b"", b" ", b"0", b"-1", b"1e308", b"-1e308", b"1e999", b"9" * 400, b"1e-320", b"nan", b"inf", b"-inf", b"1,5", b"1.234", b"1_0",
    b"0x1F", b"\xef\xbc\x91\xef\xbc\x92", b"\xc2\xb2", b"\xd9\xa3", b"1" * 20, b"99999999999", b"2147483648", b"4294967296", b"=1+1", b'"', b'""', b"'", b";", b",", b"|", b"\t",
    b"\n", b"\r", b"\0", b"\xff", b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\xc2\xa0", b"\xed\xa0\x80", b"\xf0\x9f\x92\xa9", b"*", b"***", b"---", b"OOR <", b"OOR >", b"< 0.1", b"> ",
    b"A1", b"Z99", b"A0", b"H12", b"1(1,A1)", b"true", b"null", b"~", b"[]", b"{}", b"&a", b"*a", b"!x", b"- ", b"?", b"%", b"100 %", b"(", b")", b"[", b"\\", b"{0}", b"%s", b"(a+)+$",
    b"13800138000", b"zhang.wei@example.org", b"11010119900307783X", "患者张伟".encode(), "张伟".encode(), b"2024-05-06", b"1/2/2010", "１３８００１３８０００".encode(), b"MRN 12345678", b"x" * 3000,
    b"S1", b"B", b"Standard1", b"Blank", b"Total Events", b"Location", b"DataType:", b"Median", b"Count", b"sep=;",
    b"<a>", b"</a>", b"<!--", b"&amp;", b"&#0;", b"&#x110000;", b"<![CDATA[", b"xmlns=''",
)  # fmt: skip
"""Contents of a cell, a number, an attribute or a keyword that some reader may not expect."""

FCS_WORDS = re.compile(rb"(\$?(?:TOT|PAR|BEGINDATA|ENDDATA|BEGINSTEXT|ENDSTEXT|NEXTDATA|BYTEORD|DATATYPE|MODE|TIMESTEP|SPILLOVER|P\d+[NSBREGV]))([|/\\\f!])([^|/\\\f!]*)")  # fmt: skip
FCS_VALUES = (
    *(str(n).encode() for n in (-1, 0, 1, 2, 3, 5, 7, 8, 12, 16, 24, 31, 33, 64, 128, 1000, 65536, 2**31, 2**32, 2**63, 2**64, 10**30)),
    b"*", b"I", b"F", b"D", b"A", b"L", b"C", b"4,3,2,1", b"1,2", b"2,1", b"1,2,3", b"0,0", b"4,1", b"4,0", b"-4,1", b"300,1", b"1e300,1e300", b"nan", b"inf", b"0.0", b"-1.5", b"1e-320",
    b"2,A,B,1,0,0,1", b"2,A,A,1,1,1,1", b"3,A,B,1,0,0,1", b"0", b"1,A,0", b"2,1,2,1,0,0,1", b"2,A,B,1,nan,inf,1", b"Time", b"A", b"",
)  # fmt: skip

NUMBER = re.compile(rb"\d+(?:[.,]\d+)?")
CELL = re.compile(rb"[^,;\t\r\n|<>\"]+")
TAG = re.compile(rb"<(/?)([\w:.-]+)((?:\s+[\w:.-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*(/?)>")
ATTRIBUTE = re.compile(rb"([\w:.-]+)=\"([^\"]*)\"")
ELEMENT = re.compile(rb"<([\w:.-]+)(?:\s[^<>]*)?(?:/>|>[^<]*</\1>)")
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "cp1252", "gb18030", "latin-1", "utf-7", "cp037")  # fmt: skip

PLACE = st.integers(0, 9999)
"""Where in a file, as a share of its length, so that it means the same for every seed."""


def at(place: int, length: int) -> int:
    return place * length // 10_000


def _odd() -> st.SearchStrategy[bytes]:
    return st.sampled_from(ODD)


@st.composite
def flipped(draw: st.DrawFn) -> Change:
    places = draw(st.lists(st.tuples(PLACE, st.integers(0, 255)), min_size=1, max_size=6))

    def change(data: bytes) -> bytes:
        out = bytearray(data)
        for place, byte in places if data else ():
            out[at(place, len(out))] = byte
        return bytes(out)

    return change


@st.composite
def cut(draw: st.DrawFn) -> Change:
    place, kind = draw(PLACE), draw(st.sampled_from(["end", "head", "hole"]))
    length = draw(st.integers(1, 300))

    def change(data: bytes) -> bytes:
        i = at(place, len(data))
        return {"end": data[:i], "head": data[i:], "hole": data[:i] + data[i + length :]}[kind]

    return change


@st.composite
def inserted(draw: st.DrawFn) -> Change:
    place, text, times = draw(PLACE), draw(_odd()), draw(st.sampled_from([1, 1, 1, 2, 50, 3000]))
    return lambda data: data[: at(place, len(data))] + text * times + data[at(place, len(data)) :]


@st.composite
def lines(draw: st.DrawFn) -> Change:
    kind = draw(st.sampled_from(["delete", "double", "swap", "blank", "many", "first", "odd"]))
    one, other, text = draw(PLACE), draw(PLACE), draw(_odd())

    def change(data: bytes) -> bytes:
        rows = data.split(b"\n")
        i, j = at(one, len(rows)), at(other, len(rows))
        if kind == "delete":
            del rows[i]
        elif kind == "swap":
            rows[i], rows[j] = rows[j], rows[i]
        else:
            new = {"blank": [b""], "many": [rows[i]] * 2000, "odd": [text]}.get(kind, [rows[i]])
            where = {"double": i, "first": 0}.get(kind, j)
            rows[where:where] = new
        return b"\n".join(rows)

    return change


@st.composite
def matched(draw: st.DrawFn, pattern: re.Pattern[bytes], contents: Sequence[bytes] = ODD, group: int = 0) -> Change:
    """Some matches of a pattern replaced by odd contents, by another match, or removed."""
    places = draw(st.lists(st.tuples(PLACE, st.sampled_from(contents)), min_size=1, max_size=3))
    other = draw(st.none() | PLACE)

    def change(data: bytes) -> bytes:
        for place, text in places:
            spans = [m.span(group) for m in pattern.finditer(data)]
            if not spans:
                return data
            a, b = spans[at(place, len(spans))]
            if other is not None:
                c, d = spans[at(other, len(spans))]
                text = data[c:d]
            data = data[:a] + text + data[b:]
        return data

    return change


@st.composite
def elements(draw: st.DrawFn) -> Change:
    """A leaf or a tag of XML doubled, removed, renamed, or put elsewhere."""
    kind = draw(st.sampled_from(["delete", "double", "move", "rename", "nest", "untag"]))
    one, other = draw(PLACE), draw(PLACE)

    def change(data: bytes) -> bytes:
        spans = [m.span() for m in ELEMENT.finditer(data)]
        tags = list(TAG.finditer(data))
        if not spans or not tags:
            return data
        a, b = spans[at(one, len(spans))]
        tag = tags[at(other, len(tags))]
        match kind:
            case "delete":
                return data[:a] + data[b:]
            case "double":
                return data[:b] + data[a:b] + data[b:]
            case "move":
                return data[: tag.end()] + data[a:b] + data[tag.end() :]
            case "rename":
                return data.replace(tag[2], tags[at(one, len(tags))][2])
            case "nest":
                return data[:a] + b"<x>" * 3000 + data[a:b] + b"</x>" * 3000 + data[b:]
        return data[: tag.start()] + data[tag.end() :]

    return change


@st.composite
def recoded(draw: st.DrawFn) -> Change:
    name = draw(st.sampled_from(ENCODINGS))

    def change(data: bytes) -> bytes:
        return data.decode("utf-8", errors="replace").encode(name, errors="replace")

    return change


@st.composite
def separated(draw: st.DrawFn) -> Change:
    old, new = draw(st.sampled_from([(b",", b";"), (b",", b"\t"), (b".", b","), (b",", b"|"), (b"\t", b","), (b"\n", b"\r\n"), (b"\n", b"\r"), (b"\n", b"\n\n"), (b'"', b""), (b'"', b"'"), (b" ", b""), (b"-", b"\xe2\x88\x92"), (b"1", b"\xef\xbc\x91"), (b"1", b"\xc2\xb9")]))  # fmt: skip
    return lambda data: data.replace(old, new)


TEXT = st.one_of(
    flipped(), cut(), inserted(), lines(), matched(CELL), matched(CELL), matched(NUMBER), recoded(), separated()
)
XML = st.one_of(flipped(), cut(), inserted(), elements(), elements(), matched(NUMBER), matched(ATTRIBUTE, group=2), matched(ATTRIBUTE, (*(b"1", b"A", b"x"), *ODD), 1), matched(CELL), recoded())  # fmt: skip
FCS = st.one_of(flipped(), cut(), inserted(), matched(FCS_WORDS, FCS_VALUES, 3), matched(FCS_WORDS, FCS_VALUES, 3), matched(FCS_WORDS, (b"$PAR", b"$TOT", b"$P1N", b"x"), 1), matched(re.compile(rb"(?<=^FCS3\.\d {4})[ \d]{48}"), (b"%8d" * 6 % (58, 10, 5, 1, 0, 0), b" " * 48, b"9" * 48, b"%8d" * 6 % (58, 1200, 0, 0, 0, 0))), matched(NUMBER, FCS_VALUES))  # fmt: skip


@st.composite
def part(draw: st.DrawFn) -> Change:
    """A part of a workbook changed, removed, doubled under another name or packed otherwise."""
    kind = draw(st.sampled_from(["xml", "xml", "xml", "text", "delete", "rename", "stored", "raw"]))
    place, other = draw(PLACE), draw(PLACE)
    inner = draw({"xml": XML, "text": TEXT}.get(kind, flipped()))

    def change(data: bytes) -> bytes:
        if kind == "raw" or not zipfile.is_zipfile(io.BytesIO(data)):
            return inner(data)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                parts = [(name, archive.read(name)) for name in archive.namelist()]
        except (
            zipfile.BadZipFile,
            zipfile.LargeZipFile,
            NotImplementedError,
            EOFError,
            ValueError,
            OSError,
            zipfile.zlib.error,
        ):  # type: ignore[attr-defined]
            return inner(data)  # an earlier change broke the archive itself
        i, j = at(place, len(parts)), at(other, len(parts))
        if kind in ("xml", "text"):
            sheets = [k for k, (name, _) in enumerate(parts) if "sheet" in name or "Strings" in name] or [i]
            i = sheets[at(place, len(sheets))] if other % 2 else i
            parts[i] = (parts[i][0], inner(parts[i][1]))
        elif kind == "delete":
            del parts[i]
        elif kind == "rename":
            parts[i] = (parts[j][0].swapcase() if i == j else f"x{parts[i][0]}", parts[i][1])
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if kind == "stored" else zipfile.ZIP_DEFLATED) as new:
            for name, content in parts:
                new.writestr(name, content)
        return out.getvalue()

    return change


def changes_for(seed: bytes) -> st.SearchStrategy[list[Change]]:
    """One to four changes that fit what a seed is."""
    fitting = (
        part()
        if seed[:2] == b"PK"
        else FCS
        if seed[:3] == b"FCS"
        else XML
        if seed.lstrip(b"\xef\xbb\xbf \r\n")[:1] == b"<"
        else TEXT
    )
    return st.lists(fitting, min_size=1, max_size=4)
