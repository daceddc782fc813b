"""The Word document: what is in it, that it opens, and that the same parts give the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx
import pandas as pd
from docx.oxml.ns import qn
from matplotlib.figure import Figure

from helpers.tables.base import show_table
from helpers.tables.word import TEXT_WIDTH_MM, Heading, Image, document_bytes


def png(width_in: float, height_in: float) -> bytes:
    out = io.BytesIO()
    Figure(figsize=(width_in, height_in)).savefig(out, format="png", dpi=100)
    return out.getvalue()


VIEW = show_table(
    pd.DataFrame({"donor": ["D01", "=1+1", "王\x07<b>"], "pao2": [58.04, None, -3.0]}),
    "Donors.",
    ("A note.",),
    {"pao2": "PaO2\nmmHg"},
)


def opened(*parts: object) -> docx.document.Document:
    return docx.Document(io.BytesIO(document_bytes(parts, "A title", "A head")))  # type: ignore[arg-type]


def test_a_table_stands_in_the_document_as_on_its_page() -> None:
    table = opened(VIEW).tables[0]
    assert [[c.text for c in row.cells] for row in table.rows] == [
        ["donor", "PaO2\nmmHg"],
        ["D01", "58.0"],
        ["=1+1", ""],
        ["王<b>", "\N{MINUS SIGN}3.00"],
    ]


def test_a_table_has_caption_notes_repeated_headings_and_three_rules() -> None:
    document = opened(VIEW)
    captions = [p.text for p in document.paragraphs if p.style.name == "Caption"]
    assert captions == ["Donors.", "A note."]
    table = document.tables[0]._tbl
    assert len(table.findall(f".//{qn('w:tblHeader')}")) == 1
    assert len(table.findall(f".//{qn('w:cantSplit')}")) == 4
    rules = [e.tag for part in ("w:tblBorders", "w:tcBorders") for b in table.iter(qn(part)) for e in b]
    assert rules == [qn("w:top"), qn("w:bottom"), qn("w:bottom"), qn("w:bottom")]


def test_a_table_without_rows_says_so() -> None:
    table = opened(show_table(pd.DataFrame({"a": [], "b": []}), "Nothing.")).tables[0]
    assert [c.text for c in table.rows[1].cells] == ["No rows.", ""]


def test_a_figure_keeps_its_size_up_to_the_width_of_the_text_and_has_its_alt_text() -> None:
    document = opened(
        Image(png(3, 1), "A caption", 'Says "1 < 2".'), Image(png(9, 2), "Wide", "9"), Image(png(5, 20), "Tall", "20")
    )
    sizes = [(round(s.width.inches, 2), round(s.height.inches, 2)) for s in document.inline_shapes]
    widest = round(TEXT_WIDTH_MM / 25.4, 2)
    assert sizes[0] == (3, 1)
    assert sizes[1] == (widest, round(TEXT_WIDTH_MM / 25.4 / 4.5, 2))
    assert sizes[2][1] < 8.5 and sizes[2][0] * 4 - sizes[2][1] < 0.05
    assert document.inline_shapes[0]._inline.docPr.get("descr") == 'Says "1 < 2".'


def test_a_wide_table_stands_with_its_heading_on_sheets_turned_to_the_side() -> None:
    wide = show_table(pd.DataFrame({f"column {i}": ["some words in a cell"] for i in range(14)}), "Wide.")
    document = opened("Before.", Heading("Wide"), wide, wide, "After.", VIEW)
    assert [s.page_width > s.page_height for s in document.sections] == [False, True, False]
    body = [e.tag.rsplit("}")[-1] for e in document.element.body]
    assert body.count("tbl") == 3
    turned = [i for i, e in enumerate(document.element.body) if e.findall(f".//{qn('w:sectPr')}")]
    texts = ["".join(t.text for t in e.iter(qn("w:t"))) for e in document.element.body]
    assert turned[0] < texts.index("Wide") < turned[1] < texts.index("After.")
    assert document.sections[1].header.paragraphs[0].text == "A head", "the head stands on every sheet"


def test_columns_fit_the_sheet_and_no_word_is_broken_where_there_is_room() -> None:
    table = opened(VIEW).tables[0]
    assert [round(c.width.mm, 1) for c in table.columns] == [round(5 * 1.9 + 4.5, 1), round(5 * 1.9 + 4.5, 1)]
    wide = show_table(pd.DataFrame({f"column {i}": ["some words in a cell"] for i in range(30)}), "Wide.")
    total = sum(c.width.mm for c in opened(wide).tables[0].columns)
    assert total <= 262


def test_title_head_and_order_are_as_asked() -> None:
    document = opened("First.", Heading("Part"), "Second.", Heading("Smaller", 2))
    assert [(p.text, p.style.name) for p in document.paragraphs] == [
        ("A title", "Title"),
        ("First.", "Normal"),
        ("Part", "Heading 1"),
        ("Second.", "Normal"),
        ("Smaller", "Heading 2"),
    ]
    assert document.sections[0].header.paragraphs[0].text == "A head"


def test_the_same_parts_give_the_same_bytes_and_nothing_of_this_machine() -> None:
    one, two = (document_bytes([VIEW, "Text."], "A title", "A head") for _ in range(2))
    assert one == two
    properties = zipfile.ZipFile(io.BytesIO(one)).read("docProps/core.xml").decode()
    assert "2000-01-01T00:00:00Z" in properties and "python-docx" not in properties


def test_the_parts_of_a_table_stand_in_the_order_that_word_wants() -> None:
    properties = [e.tag for e in opened(VIEW).tables[0]._tbl.tblPr]
    order = [qn(f"w:{n}") for n in ("tblStyle", "tblW", "jc", "tblBorders", "tblLayout", "tblLook")]
    assert properties == [tag for tag in order if tag in properties]


def test_an_office_program_reads_the_document(as_pdf: Callable[[Path], str], tmp_path: Path) -> None:
    file = tmp_path / "report.docx"
    file.write_bytes(document_bytes([VIEW, Image(png(3, 1), "A caption", "alt"), "The end."], "A title", "A head"))
    text = as_pdf(file)
    for said in ("A title", "A head", "Donors.", "58.0", "王<b>", "A note.", "A caption", "The end."):
        assert said in text
