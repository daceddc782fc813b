"""A Word document of headings, paragraphs, tables and figures, as journals want them: three rules, notes below."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import docx
from docx.enum.section import WD_ORIENT, WD_SECTION
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt

from helpers.core.office import without_times
from helpers.tables.base import TableView

FONT, HAN_FONT = "Calibri", "Microsoft YaHei"
SHEET_MM, MARGIN_MM, TALLEST_MM = (210, 297), 18, 215
TEXT_WIDTH_MM, ACROSS_MM = SHEET_MM[0] - 2 * MARGIN_MM, SHEET_MM[1] - 2 * MARGIN_MM
LETTER_MM, BESIDE_MM, WIDEST_MM = 1.9, 4.5, 70.0
"""Width of a letter of a table, of the space beside a cell's text, and of the widest column."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|[\ud800-\udfff]")


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 (a part) or 2."""

    text: str
    level: int = 1


@dataclass(frozen=True)
class Bullets:
    """Sentences as a list."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Image:
    """A figure: the bytes of a .png with its resolution, its caption, and its alt text."""

    png: bytes
    caption: str
    alt: str


Part = str | Heading | Bullets | Image | TableView


def document_bytes(parts: Sequence[Part], title: str, head: str) -> bytes:
    """The document as bytes, the same for the same parts.

    Parameters
    ----------
    parts
        What follows the title: paragraphs, headings, lists, tables and figures. Tables that are too wide for a
        sheet stand on sheets turned to the side.
    title
        Title of the document.
    head
        Line at the top of every sheet.

    Returns
    -------
    A .docx file, A4. Control characters, which Word refuses, are left out.
    """
    document = docx.Document()
    _styles(document)
    _turn(document.sections[0], across=False)
    document.sections[0].header.paragraphs[0].text = _clean(head)
    document.core_properties.title, document.core_properties.author = _clean(title), "apap-notebooks"
    document.core_properties.comments = ""
    document.add_heading(_clean(title), 0)
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        across = _is_wide(following if isinstance(part, Heading) else part)
        if across != (document.sections[-1].orientation == WD_ORIENT.LANDSCAPE):
            _turn(document.add_section(WD_SECTION.NEW_PAGE), across)
        _add(document, part, ACROSS_MM if across else TEXT_WIDTH_MM)
    out = io.BytesIO()
    document.save(out)
    return without_times(out.getvalue())


def _turn(section: Any, across: bool) -> None:
    """Sheets of A4, upright or turned to the side."""
    section.orientation = WD_ORIENT.LANDSCAPE if across else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = (Mm(v) for v in sorted(SHEET_MM, reverse=across))
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Mm(MARGIN_MM)


def _add(document: Any, part: Part, width: float) -> None:
    if isinstance(part, Heading):
        document.add_heading(_clean(part.text), part.level)
    elif isinstance(part, Bullets):
        for text in part.texts:
            document.add_paragraph(_clean(text), style="List Bullet")
    elif isinstance(part, Image):
        _figure(document, part)
    elif isinstance(part, TableView):
        _table(document, part, width)
    else:
        document.add_paragraph(_clean(part))


def _styles(document: Any) -> None:
    for name, size in (("Normal", 10), ("Caption", 9), ("Title", 20), ("Heading 1", 14), ("Heading 2", 12)):
        style = document.styles[name]
        style.font.name, style.font.size = FONT, Pt(size)
        fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
        for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
            fonts.attrib.pop(qn(f"w:{theme}"), None)
        fonts.set(qn("w:eastAsia"), HAN_FONT)
        style.font.color.rgb = docx.shared.RGBColor(0x1B, 0x25, 0x30)
    document.styles["Caption"].font.bold = False


def _figure(document: Any, image: Image) -> None:
    line = document.add_paragraph()
    line.paragraph_format.keep_with_next = True
    shape = line.add_run().add_picture(io.BytesIO(image.png))
    if shape.width > Mm(TEXT_WIDTH_MM):
        shape.width, shape.height = Mm(TEXT_WIDTH_MM), round(shape.height * Mm(TEXT_WIDTH_MM) / shape.width)
    most = Mm(TALLEST_MM)  # the caption stands on the same sheet
    if shape.height > most:
        shape.width, shape.height = round(shape.width * most / shape.height), most
    shape._inline.docPr.set("descr", _clean(image.alt))
    document.add_paragraph(_clean(image.caption), style="Caption")


def _wanted(view: TableView) -> tuple[list[float], list[float]]:
    """Widths of the columns in mm: the least, at which no word is broken, and the one at which no line is."""
    least, best = [], []
    for cells in zip(*([h.replace("\n", " \n") for h in view.headings()], *view.texts()), strict=True):
        words = max((len(word) for cell in cells for word in cell.split()), default=1)
        lines = max((len(line) for cell in cells for line in cell.split("\n")), default=1)
        least.append(words * LETTER_MM + BESIDE_MM)
        best.append(max(least[-1], min(WIDEST_MM, lines * LETTER_MM + BESIDE_MM)))
    return least, best


def _is_wide(part: Part) -> bool:
    return isinstance(part, TableView) and sum(_wanted(part)[1]) > 1.5 * TEXT_WIDTH_MM


def _widths(view: TableView, width: float) -> list[float]:
    """Widths of the columns in mm, together at most `width`; what is left over the least goes where lines are long."""
    least, best = _wanted(view)
    if sum(best) <= width:
        return best
    if sum(least) >= width:
        return [w * width / sum(least) for w in least]
    share = (width - sum(least)) / (sum(best) - sum(least))
    return [low + share * (high - low) for low, high in zip(least, best, strict=True)]


def _table(document: Any, view: TableView, width: float) -> None:
    caption = document.add_paragraph(_clean(view.caption), style="Caption")
    caption.runs[0].bold = True
    caption.paragraph_format.keep_with_next = True
    lines = view.texts() or [["No rows."] + [""] * (len(view.headings()) - 1)]
    table = document.add_table(rows=1 + len(lines), cols=len(view.headings()))
    table.alignment, table.autofit = WD_TABLE_ALIGNMENT.LEFT, False
    widths = [Mm(round(w, 1)) for w in _widths(view, width)]
    for column, wide in zip(table._tbl.tblGrid.gridCol_lst, widths, strict=True):
        column.w = wide
    right = list(view.numeric().values())
    for row, texts in zip(table.rows, [view.headings(), *lines], strict=True):
        for cell, text, number, wide in zip(row._tr.tc_lst, texts, right, widths, strict=True):
            cell.width = wide
            _fill(cell, text, number, bold=row._index == 0)
        _mark(row._tr.get_or_add_trPr(), "w:cantSplit")
    _mark(table.rows[0]._tr.get_or_add_trPr(), "w:tblHeader")
    _rules(table)
    notes = document.add_paragraph(style="Caption")
    notes.add_run(_clean("\n".join(view.notes())))


def _fill(cell: Any, text: str, number: bool, bold: bool) -> None:
    """Text of 8 points; written to the cell's own paragraph, which is much quicker than through its proxy."""
    from docx.text.paragraph import Paragraph

    line = Paragraph(cell.p_lst[0], None)  # type: ignore[arg-type]
    run = line.add_run(_clean(text))
    run.font.size, run.font.bold = Pt(8), bold or None
    line.paragraph_format.space_after = Pt(1)
    if number:
        line.alignment = WD_ALIGN_PARAGRAPH.RIGHT


def _mark(properties: Any, name: str) -> None:
    properties.append(OxmlElement(name))


def _rules(table: Any) -> None:
    """A rule above and below the table and one below its headings, no other."""
    borders = OxmlElement("w:tblBorders")
    for side in ("top", "bottom"):
        borders.append(_rule(side))
    # Word wants the parts of the properties in the order of the standard
    table._tbl.tblPr.insert_element_before(borders, "w:shd", "w:tblLayout", "w:tblCellMar", "w:tblLook")
    for cell in table.rows[0]._tr.tc_lst:
        below = OxmlElement("w:tcBorders")
        below.append(_rule("bottom"))
        cell.get_or_add_tcPr().append(below)


def _rule(side: str) -> Any:
    rule = OxmlElement(f"w:{side}")
    for name, value in (("val", "single"), ("sz", "8"), ("space", "0"), ("color", "1B2530")):
        rule.set(qn(f"w:{name}"), value)
    return rule


def _clean(text: str) -> str:
    return _CONTROL.sub("", text)
