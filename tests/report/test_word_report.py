"""The Word report of the demo: the same numbers as the pages, every figure, and it opens."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path

import docx
import pandas as pd
import pytest

from helpers.report.words import SIMULATED


@pytest.fixture(scope="module")
def document(report: Path) -> docx.document.Document:
    return docx.Document(str(report / "report.docx"))


def text_of(document: docx.document.Document) -> str:
    cells = [c.text for table in document.tables for row in table.rows for c in row.cells]
    return "\n".join([*(p.text for p in document.paragraphs), *cells])


def test_it_says_what_the_first_page_says(report: Path, document: docx.document.Document) -> None:
    page = html.unescape((report / "index.html").read_text(encoding="utf-8"))
    lines = [p.text for p in document.paragraphs]
    changed = lines.index("What co-culture with MSC changed"), lines.index("What is uncertain")
    assert changed[1] - changed[0] > 1
    for line in lines[changed[0] : lines.index("Donors")]:
        assert line in page


def test_table_1_and_the_effects_are_those_of_the_tables(report: Path, document: docx.document.Document) -> None:
    one, effects, following = document.tables
    table = pd.read_csv(report / "tables" / "table_one.csv", dtype=str, keep_default_na=False)
    table = table[table["group"] != "overall"]  # which the printed table leaves out
    shown = {c.text for row in one.rows for c in row.cells}
    assert set(table["text"]) - {""} <= shown
    rows = pd.read_csv(report / "tables" / "effects.csv")
    rows = rows[(rows["contrast"] == "msc_effect") & (rows["status"] != "no_data")]
    assert len(effects.rows) - 1 == (rows["role"] == "primary").sum() > 0
    assert len(following.rows) - 1 == (rows["role"] == "secondary").sum() > 0


def test_every_figure_of_the_response_is_there_with_its_alt_text(
    report: Path, document: docx.document.Document
) -> None:
    cells = json.loads((report / "notebooks" / "05_msc_response.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = [o["metadata"] for c in cells for o in c.get("outputs", ()) if "apap" in o.get("metadata", {})]
    alts = [s._inline.docPr.get("descr") for s in document.inline_shapes]
    assert len(shown) > 8
    assert alts[1:] == [m["image/png"]["alt"] for m in shown]
    captions = [p.text for p in document.paragraphs if p.style.name == "Caption"]
    assert {m["apap"]["caption"] for m in shown} <= set(captions)


def test_every_sheet_says_simulated_and_the_end_has_the_methods(report: Path, as_pdf: Callable[[Path], str]) -> None:
    sheets = [s for s in as_pdf(report / "report.docx").split("\f") if s.strip()]
    assert 5 < len(sheets) < 40
    assert all(" ".join(SIMULATED.split()) in " ".join(s.split()) for s in sheets)
    assert "The donor is the unit of analysis" in " ".join(" ".join(sheets[-2:]).split())


def test_a_study_of_one_group_without_effects_has_its_report_too(small_study: Path, tmp_path: Path) -> None:
    from helpers.analysis import load_study
    from helpers.report.word import word_report

    (tmp_path / "report.docx").write_bytes(word_report(load_study(small_study), []))
    said = text_of(docx.Document(str(tmp_path / "report.docx")))
    assert "Table 1" in said and "SIMULATED" not in said.split("\n")[0]
    assert "No rows." in said
