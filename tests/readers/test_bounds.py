"""No workbook takes more memory or time than its bounds, whatever it says of itself; honest large ones are read."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from helpers.readers import bounds
from helpers.readers.bounds import package_problem
from helpers.readers.sheets import read_csv, read_workbook

Change = Callable[[bytes], bytes]
SHEET = "xl/worksheets/sheet1.xml"
APART = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000,) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
from helpers.core.problems import Refused
from helpers.readers.flow_tables import read_flow_table
from helpers.readers.plates import read_plate_file
from helpers.readers.sheets import read_tables
from pathlib import Path
path = Path(sys.argv[1])
print(*(p.code for p in read_tables(path, "x.xlsx")[1]))
for read in (read_plate_file, read_flow_table):
    try:
        read(path, "x.xlsx")
        print("read")
    except Refused as err:
        print(*(p.code for p in err.problems))
"""


def book(changes: Change = lambda sheet: sheet, cells: dict[str, object] | None = None) -> bytes:
    """A workbook of two columns, its sheet changed behind the back of the library that wrote it."""
    made, whole, out = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    for line in (["donor_id", "age"], ["D01", 44], ["D02", 51]):
        made.active.append(line)
    for place, value in (cells or {}).items():
        made.active[place] = value
    made.save(whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, changes(old.read(name)) if name == SHEET else old.read(name))
    return out.getvalue()


def bomb(n_parts: int = 1, size: int = 40_000_000) -> bytes:
    """Parts that all lie in the same bytes, so that a file of 42 kB unpacks to gigabytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(SHEET, b"0" * size)
        part = archive.filelist[0]
        for i in range(1, n_parts):
            other = zipfile.ZipInfo(f"xl/worksheets/sheet{i + 1}.xml")
            for name in ("compress_type", "CRC", "compress_size", "file_size", "header_offset"):
                setattr(other, name, getattr(part, name))
            archive.filelist.append(other)
    return out.getvalue()


def lying(data: bytes, name: str, says: int) -> bytes:
    """The same archive, its directory and header naming another unpacked size of a part."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        part = archive.getinfo(name)
    changed = bytearray(data)
    changed[part.header_offset + 22 : part.header_offset + 26] = struct.pack("<I", says)
    entry = data.rindex(name.encode()) - 46
    assert data[entry : entry + 4] == b"PK\x01\x02"
    changed[entry + 24 : entry + 28] = struct.pack("<I", says)
    return bytes(changed)


def far(place: str) -> Change:
    return lambda sheet: sheet.replace(b"</sheetData>", place.encode() + b"</sheetData>")


def code(data: bytes) -> str:
    problem = package_problem(data, "donors.xlsx")
    return problem.code if problem else ""


FAR = {
    "a cell in the last column and row": book(cells={"XFD1048576": "x"}),
    "its place behind other attributes": book(far('<row r="1048576"><c s=">" r="XFD1048576"><v>1</v></c></row>')),
    "its place in other quotes": book(far("<row><c r = 'XFD1048576'><v>1</v></c></row>")),
    "its place in small letters": book(far('<row><c r="xfd1048576"><v>1</v></c></row>')),
    "a place that is none": book(far('<row><c r="AAAAAAAAB9999999999"><v>1</v></c></row>')),
    "a prefix": book(far('<x:row><x:c r="XFD1048576"><x:v>1</x:v></x:c></x:row>')),
    "counted cells in a far row": book(far('<row r="1048576">' + "<c><v>1</v></c>" * 50 + "</row>")),
    "an end of a tag inside its attributes": book(far('<row><c r="XFD1048576" x="/>"><v>1</v></c></row>')),
}


@pytest.mark.parametrize("name", FAR)
def test_a_far_cell_is_refused_before_a_library_takes_memory(name: str) -> None:
    (problem,) = read_workbook(FAR[name], "donors.xlsx")[1]
    assert (problem.code, problem.severity, problem.file) == ("too-large", "error", "donors.xlsx")
    assert "cells" in problem.found and "20,000,000 cells" in problem.expected and "Ctrl+End" in problem.fix


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (bomb(), "zip-bomb"),
        (bomb(60), "zip-bomb"),
        (lying(bomb(), SHEET, 1000), "zip-bomb"),
        (lying(book(), SHEET, 100), "zip-bomb"),
        (lying(book(), SHEET, 100_000), "damaged-workbook"),
        (book(lambda sheet: b'<!DOCTYPE a [<!ENTITY b "c">]>' + sheet), "xml-entities"),
        (book(lambda sheet: b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + sheet), "xml-entities"),
        (book(far("<c " + " " * 3_000_000)), "damaged-workbook"),
    ],
    ids=["bomb", "60 in one", "bomb that lies", "less than it holds", "more than it holds", "entity", "outside", "tag"],
)
def test_what_no_program_writes_is_refused(data: bytes, wanted: str) -> None:
    assert len(data) < 60_000
    started = time.process_time()
    assert code(data) == wanted
    assert read_workbook(data, "donors.xlsx")[0] == []
    assert time.process_time() - started < 5


def test_too_many_parts_are_refused_before_they_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_PARTS", 3)
    assert code(book()) == "zip-bomb"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_part_that_is_there_twice_or_packed_otherwise_is_refused() -> None:
    twice, odd = io.BytesIO(book()), io.BytesIO()
    with zipfile.ZipFile(twice, "a") as archive:
        archive.writestr(SHEET.upper(), b"<worksheet/>")
    with zipfile.ZipFile(odd, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr(SHEET, b"0" * 1000)
    assert [code(x.getvalue()) for x in (twice, odd)] == ["damaged-workbook"] * 2


def test_tags_that_never_end_take_no_more_time_than_their_length() -> None:
    started = time.process_time()
    for junk in (b"<c " * 300_000, b"<c r " * 200_000, b"<" * 900_000, b'<c r="A1" s="1" ' + b's="1" ' * 100_000):
        code(book(lambda sheet, junk=junk: sheet + junk))
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "change",
    [
        lambda s: re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:XFD1048576"', s),
        far('<row r="1048576" s="1"><c r="A1048576" s="1"/><c r="XFD1048576" s="1" /></row>'),
        lambda s: re.sub(rb'(<c|<row) r="[^"]*"', rb"\1", s),
        lambda s: re.sub(rb'<c r="(\w+)"', rb"<c  r='\1'", s),
        lambda s: s,
    ],
    ids=["stated size", "formats to the last row", "no places at all", "other quotes", "as written"],
)
def test_an_honest_workbook_is_read_however_it_was_written(change: Change) -> None:
    tables, problems = read_workbook(book(change), "donors.xlsx")
    assert problems == [] and [t.cells.to_numpy().tolist() for t in tables] == [[["D01", "44"], ["D02", "51"]]]


def test_a_table_of_a_large_trial_is_within_the_bounds() -> None:
    """200,000 rows and 60 columns, as XML; reading it to the end would cost the suite a minute."""
    letters = [
        *(chr(65 + i) for i in range(26)),
        *("A" + chr(65 + i) for i in range(26)),
        *(f"B{x}" for x in "ABCDEFGH"),
    ]

    def rows(sheet: bytes) -> bytes:
        line = "".join(f'<c r="{x}@" t="n"><v>{i}.@</v></c>' for i, x in enumerate(letters))
        many = "".join(f'<row r="{n}">{line.replace("@", str(n))}</row>' for n in range(4, 3000))
        return far(f'{many}<row r="200000"><c r="BH200000"><v>1</v></c></row>')(sheet)

    assert code(book(rows)) == ""
    assert bounds.MOST_UNPACKED > 200_000 * 60 * 40 and bounds.MOST_CELLS > 200_000 * 60


def test_cells_beyond_the_headings_are_never_lost() -> None:
    for cells in ({"E3": "stray"}, {"E3": "#N/A"}, {"E9": "stray"}):
        (table,) = read_workbook(book(cells=dict(cells)), "donors.xlsx")[0]
        assert [(p.code, p.column) for p in table.problems if p.severity == "error"] == [("no-heading", "E")]
    said = read_csv(b"donor_id,age\nD01,44\nD02,51,,stray\n", "donors.csv").problems
    assert [(p.code, p.row) for p in said] == [("long-row", 3)]


def test_rows_with_gaps_and_rows_too_long_take_linear_time() -> None:
    started = time.process_time()
    table = read_csv(b"a,b\n" + b"1,2\n" * 60_000 + b",\n1,2\n", "x.csv")
    assert [(p.code, p.row) for p in table.problems] == [("empty-rows", 60_002)]
    said = read_csv(b"a,b\n" + b"1,2,3\n" * 10_000 + b"1\n" * 5000, "x.csv").problems
    assert [p.code for p in said].count("long-row") == 10_000 and said[-1].code == "short-row"
    assert time.process_time() - started < 8


def test_a_csv_of_nothing_but_commas_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.readers.sheets.MOST_CELLS", 5000)
    assert [p.code for p in read_csv(b"," * 1000 + b"\n" + (b"," * 1000 + b"\n") * 5, "x.csv").problems] == [
        "too-large"
    ]
    assert "too-large" in {p.code for p in read_csv(b"," * 5000 + b"\n", "x.csv").problems}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded for a process on Linux alone")
@pytest.mark.parametrize("data", [FAR["a cell in the last column and row"], lying(bomb(), SHEET, 1000), bomb(60)])
def test_every_reader_of_workbooks_stays_within_memory(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.xlsx").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", APART, str(tmp_path / "x.xlsx")], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert len(set(done.stdout.split())) == 1 and done.stdout.split()[0] in ("too-large", "zip-bomb")


# ---- kinds whose cells cannot be measured beforehand


def open_document(sheet: str) -> bytes:
    """An .ods workbook with the given rows."""
    names = {n: f"urn:oasis:names:tc:opendocument:xmlns:{n}:1.0" for n in ("office", "table", "text")}
    spaces = " ".join(f'xmlns:{n}="{url}"' for n, url in names.items())
    body = f'<office:body><office:spreadsheet><table:table table:name="donors">{sheet}</table:table></office:spreadsheet></office:body>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet", zipfile.ZIP_STORED)
        archive.writestr(
            "META-INF/manifest.xml", f'<m:manifest xmlns:m="{names["office"].replace("office", "manifest")}"/>'
        )
        archive.writestr("content.xml", f"<office:document-content {spaces}>{body}</office:document-content>")
    return out.getvalue()


def written(text: str, columns: int = 1) -> str:
    return f'<table:table-cell table:number-columns-repeated="{columns}" office:value-type="string"><text:p>{text}</text:p></table:table-cell>'


def old_workbook(row: int, column: int, stated: tuple[int, int] | None = None) -> bytes:
    """An .xls workbook (BIFF8 in a compound file) with one number at a place; it may state another size."""

    def record(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data

    begin = [record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0, 0, 0, 6)) for kind in (0x0005, 0x0010)]
    end, name = record(0x000A, b""), b"\x06\x00donors"
    before = len(begin[0]) + 4 + 6 + len(name) + len(end)
    size = struct.pack("<IIHHH", 0, stated[0], 0, stated[1], 0) if stated else b""
    sheet = begin[1] + (record(0x0200, size) if stated else b"")
    sheet += record(0x0203, struct.pack("<HHHd", row, column, 0, 7.0)) + end
    stream = begin[0] + record(0x0085, struct.pack("<IBB", before, 0, 0) + name) + end + sheet
    stream = stream.ljust(4608, b"\0")
    free, last = 0xFFFFFFFF, 0xFFFFFFFE
    sectors = len(stream) // 512
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    head += struct.pack("<HHHHH6xIIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, last, 0, last, 0, 0)[:54]
    head = head[:76].ljust(76, b"\0") + struct.pack("<109I", 0, *[free] * 108)
    fat = [0xFFFFFFFD, last, *range(3, sectors + 2), last]
    table = struct.pack("<128I", *fat, *[free] * (128 - len(fat)))

    def entry(name: str, kind: int, child: int, start: int, length: int) -> bytes:
        text = (name + "\0").encode("utf-16-le") if name else b""
        return text.ljust(64, b"\0") + struct.pack("<HBBIII36xIQ", len(text), kind, 1, free, free, child, start, length)

    folder = (
        entry("Root Entry", 5, 1, last, 0) + entry("Workbook", 2, free, 2, len(stream)) + entry("", 0, free, 0, 0) * 2
    )
    return head + table + folder + stream


def test_an_honest_old_workbook_and_an_open_document_are_read() -> None:
    rows = f"<table:table-row>{written('donor_id')}{written('age')}</table:table-row><table:table-row>{written('D01')}{written('44')}</table:table-row>"
    (table,) = read_workbook(open_document(rows), "donors.ods")[0]
    assert table.columns == ("donor_id", "age") and table.cells.to_numpy().tolist() == [["D01", "44"]]
    (table,) = read_workbook(old_workbook(0, 1), "donors.xls")[0]
    assert table.columns == ("7",)


WIDE = f'<table:table-row table:number-rows-repeated="1048576">{written("x", 16384)}</table:table-row>'
OLD = {
    "repeated cells": open_document(WIDE),
    "a far cell of an open document": open_document(
        f'<table:table-row table:number-rows-repeated="1000000"/><table:table-row><table:table-cell table:number-columns-repeated="16000"/>{written("x")}</table:table-row>'
    ),
    "a far cell": old_workbook(65_535, 65_535),
    "a stated size": old_workbook(0, 0, (4_000_000_000, 65_535)),
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded for a process on Linux alone")
@pytest.mark.parametrize("name", OLD)
def test_an_old_kind_of_workbook_stays_within_memory_and_this_process_alive(name: str, tmp_path: Path) -> None:
    import resource

    (tmp_path / "x.xls").write_bytes(OLD[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tables, problems = read_workbook(OLD[name], "donors.xls")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kB of this process"
    assert [t.columns for t in tables] in ([], [("7",)])
    assert tables or [p.code for p in problems] in (["too-large"], ["damaged-workbook"])
    assert all(p.fix and p.file == "donors.xls" for p in problems)
