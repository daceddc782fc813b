"""The built site in a real browser: on a desk, on a phone, on paper, by keyboard, with and without script."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.core.files import PROJECT
from helpers.report.words import SIMULATED

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NOTEBOOKS = sorted(p.stem for p in (PROJECT / "notebooks").glob("0*.ipynb"))
PAGES = ["index", *NOTEBOOKS, "donors", "methods", "problems", "provenance"]
DESK, PHONE, SMALL = 1280, 390, 320


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
    if program is None:
        assert os.environ.get("APAP_REQUIRE_BROWSER") != "1", "a browser is mandatory here"
        pytest.skip("no browser (chromium) on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


def opened(browser: Any, report: Path, name: str, width: int = DESK, script: bool = True) -> tuple[Any, list[str]]:
    """A page, and everything it complained about or asked the network for."""
    context = browser.new_context(viewport={"width": width, "height": 900}, java_script_enabled=script)
    page, said = context.new_page(), []
    page.on("console", lambda m: said.append(f"{m.type}: {m.text}"))
    page.on("pageerror", lambda e: said.append(str(e)))
    page.on(
        "request", lambda r: said.append(r.url[:80]) if r.url.split(":")[0] not in ("file", "data", "blob") else None
    )
    page.goto((report / f"{name}.html").as_uri())
    return page, said


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [DESK, PHONE, SMALL])
def test_a_page_is_quiet_and_fits(browser: Any, report: Path, name: str, width: int) -> None:
    page, said = opened(browser, report, name, width)
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing to scroll sideways"
    wide = page.eval_on_selector_all(
        "img", "(l, w) => l.filter(i => i.getBoundingClientRect().right > w).length", width
    )
    assert wide == 0
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_those_who_do_not_see_it(browser: Any, report: Path, name: str) -> None:
    page, _ = opened(browser, report, name)
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.title()
    levels = page.eval_on_selector_all("h1, h2, h3, h4", "l => l.map(h => +h.tagName[1])")
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels)), f"a level is left out: {levels}"
    alts = page.eval_on_selector_all("img", "l => l.map(i => i.alt)")
    assert all(len(a) > 20 and re.search(r"\d", a) for a in alts), "each picture says in words what it shows"
    assert page.eval_on_selector_all("img", "l => l.every(i => i.naturalWidth > 300)")
    assert page.eval_on_selector_all(
        "main table", "l => l.every(t => t.caption && t.tHead && t.tHead.querySelector('th[scope=col]'))"
    )
    ids = page.eval_on_selector_all("[id]", "l => l.map(e => e.id)")
    assert len(ids) == len(set(ids))
    assert page.eval_on_selector_all(
        "a, button",
        "l => l.every(e => e.textContent.trim() || e.getAttribute('aria-label') || e.querySelector('img[alt]'))",
    )
    page.context.close()


CONTRAST = """() => {
  const lum = c => { const v = c.map(x => x / 255).map(x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
    return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const rgb = s => s.match(/[\\d.]+/g).map(Number);
  const low = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length) continue;
    let back = e, colour = [255, 255, 255];
    while (back) { const b = rgb(getComputedStyle(back).backgroundColor); if (b.length === 3 || b[3] === 1) { colour = b; break; } back = back.parentElement; }
    const a = lum(rgb(getComputedStyle(e).color)), b = lum(colour);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) low.push(e.tagName + ' ' + e.className + ' ' + ratio.toFixed(2));
  }
  return low;
}"""


@pytest.mark.parametrize("name", PAGES)
def test_text_stands_out_from_its_ground(browser: Any, report: Path, name: str) -> None:
    """WCAG 2.1 contrast of at least 4.5 for every text that is shown."""
    page, _ = opened(browser, report, name)
    assert page.evaluate(CONTRAST) == []
    page.context.close()


@pytest.mark.parametrize("name", [*PAGES, "donors/D01"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_no_rule_of_accessibility_is_broken(browser: Any, report: Path, name: str, width: int) -> None:
    """The rules of axe-core for WCAG 2.1 A and AA and its best practices; any finding fails, not only serious ones."""
    from axe_playwright_python.base import AXE_FILE_PATH

    page, _ = opened(browser, report, name, width)
    page.evaluate(AXE_FILE_PATH.read_text(encoding="utf-8"))
    contrast = str(width == DESK).lower()  # colours are the same at any width, and looking at each takes long
    found = page.evaluate(f"axe.run({{rules: {{'color-contrast': {{enabled: {contrast}}}}}}}).then(r => r)")
    broken = [(v["id"], v["impact"], [n["target"] for n in v["nodes"][:3]]) for v in found["violations"]]
    assert broken == []
    assert len(found["passes"]) > 15, "the rules were run"
    page.context.close()


def test_the_keyboard_is_enough(browser: Any, report: Path) -> None:
    page, _ = opened(browser, report, "index")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0, "the skip link shows itself"
    page.keyboard.press("Enter")
    assert page.url.endswith("#content")
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.getAttribute('href') || ''"))
        shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert shown != "none" or page.evaluate("document.activeElement === document.body")
    assert {f"{n}.html" for n in PAGES if n != "index"} <= seen
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(browser: Any, report: Path, name: str) -> None:
    page, _ = opened(browser, report, name)
    for href in set(page.eval_on_selector_all("a[href]", "l => l.map(a => a.getAttribute('href'))")):
        file, _, anchor = href.partition("#")
        if file.startswith("http"):
            continue
        target = report / (file or f"{name}.html")
        assert target.is_file(), href
        if anchor:
            assert f'id="{anchor}"' in target.read_text(encoding="utf-8"), href
    page.context.close()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_figure_opens_large(browser: Any, report: Path, name: str) -> None:
    page, _ = opened(browser, report, name)
    pictures = page.eval_on_selector_all("figure img", "l => l.map(i => i.dataset.figure)")
    links = page.eval_on_selector_all("figure a:has(img)", "l => l.map(a => a.getAttribute('href'))")
    assert links == [f"figures/{picture}.svg" for picture in pictures]
    if links:
        page.locator("figure a:has(img)").first.click()
        assert page.url.endswith(links[0])
        wide = page.evaluate("document.documentElement.getBoundingClientRect().width")
        assert wide > 300, "the drawing itself is shown"
    page.context.close()


def test_tables_sort_by_key_and_by_number(browser: Any, report: Path) -> None:
    page, said = opened(browser, report, "00_data_check")
    table = page.locator("table.apap").filter(has=page.locator("td.num")).first
    heads = table.locator("thead th")
    index = next(i for i in range(heads.count()) if "num" in (heads.nth(i).get_attribute("class") or ""))

    def column() -> list[float]:
        texts = table.locator(f"tbody td:nth-child({index + 1}), tbody th:nth-child({index + 1})").all_inner_texts()
        return [float(t.replace(",", "").replace("\N{MINUS SIGN}", "-")) for t in texts if t.strip()]

    button = heads.nth(index).locator("button")
    button.focus()
    page.keyboard.press("Enter")
    assert heads.nth(index).get_attribute("aria-sort") == "ascending"
    assert column() == sorted(column()) and len(column()) > 2
    page.keyboard.press("Enter")
    assert heads.nth(index).get_attribute("aria-sort") == "descending"
    assert column() == sorted(column(), reverse=True)
    assert said == []
    page.context.close()


def test_long_tables_can_be_filtered(browser: Any, report: Path) -> None:
    page, said = opened(browser, report, "donors")
    box, shown = page.get_by_role("searchbox").first, page.locator("table.apap").first.locator("tbody tr:visible")
    everyone = shown.count()
    box.fill("control D2")
    assert 0 < shown.count() < everyone
    assert all("D2" in text and "control" in text.lower() for text in shown.all_inner_texts())
    assert f"{shown.count()} rows of {everyone}" in page.locator(".filter output").first.inner_text()
    page.locator("table.apap thead button").first.click()
    assert 0 < shown.count() < everyone, "sorting keeps the filter"
    box.fill("nobody <b>has</b> this")
    assert shown.count() == 0
    box.fill("")
    assert shown.count() == everyone and page.locator(".filter output").first.inner_text() == ""
    page.emulate_media(media="print")
    assert not box.is_visible()
    assert said == []
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_lost_without_script(browser: Any, report: Path, name: str) -> None:
    with_script, without = opened(browser, report, name)[0], opened(browser, report, name, script=False)[0]
    text = [" ".join(p.inner_text("main").split()) for p in (with_script, without)]
    assert text[0] == text[1]
    for page in (with_script, without):
        page.context.close()


def sheets(page: Any, tmp_path: Path) -> list[str]:
    """The text of each sheet of a printed page."""
    reader = shutil.which("pdftotext")
    if reader is None:
        assert os.environ.get("APAP_REQUIRE_BROWSER") != "1", "pdftotext is mandatory here"
        pytest.skip("no pdftotext on this machine")
    page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    words = [reader, "-layout", tmp_path / "page.pdf", "-"]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [sheet for sheet in text.split("\f") if sheet.strip()]


def test_the_page_of_a_donor_fits_two_sheets_and_a_phone(browser: Any, report: Path, tmp_path: Path) -> None:
    pages = sorted(p.stem for p in (report / "donors").glob("*.html"))
    assert len(pages) == 25
    for name in pages:
        page, said = opened(browser, report, f"donors/{name}", SMALL)
        assert said == [] and page.evaluate("document.documentElement.scrollWidth") <= SMALL
        text = sheets(page, tmp_path)
        assert len(text) <= 2 and f"Donor {name}" in text[0] and all(SIMULATED in sheet for sheet in text), name
        page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_on_paper_nothing_is_cut(browser: Any, report: Path, name: str) -> None:
    page, _ = opened(browser, report, name)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 less its margins, in CSS pixels
    over = page.eval_on_selector_all(
        "table, figure, img",
        "l => l.filter(e => e.getBoundingClientRect().right > 690).map(e => e.tagName + ' ' + (e.caption ? e.caption.textContent : e.alt || ''))",
    )
    assert over == []
    hidden = "l => l.filter(e => e.scrollHeight > e.clientHeight + 1).map(e => e.getAttribute('aria-label'))"
    assert page.eval_on_selector_all(".table-wrap", hidden) == [], "paper does not scroll"
    assert not page.locator("nav.pages").is_visible()
    page.context.close()


def test_every_sheet_says_simulated_once(browser: Any, report: Path, tmp_path: Path) -> None:
    printed = sheets(opened(browser, report, "01_cohort_description")[0], tmp_path)
    assert len(printed) > 3 and "Table 1" in " ".join(printed)
    assert [sheet.count(SIMULATED) for sheet in printed] == [1] * len(printed)


def test_the_headings_of_a_long_table_stand_on_every_sheet(browser: Any, report: Path, tmp_path: Path) -> None:
    printed = sheets(opened(browser, report, "02_cytokine_analysis")[0], tmp_path)
    curves = [sheet for sheet in printed if len(re.findall(r"^ *P\d +\S+ +[45]pl", sheet, re.M)) > 3]
    assert len(curves) > 2
    assert all("Analyte" in sheet and "LLOQ" in sheet for sheet in curves)


def test_a_failing_notebook_shows_on_its_page(
    browser: Any, small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat

    from helpers.report import build

    book = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    parameters = nbformat.v4.new_code_cell('study: str = ""\nout: str = ""', metadata={"tags": ["parameters"]})
    book.cells = [
        nbformat.v4.new_markdown_cell("# Broken\n\nIt stops."),
        parameters,
        nbformat.v4.new_code_cell("1 / 0"),
    ]
    nbformat.write(book, tmp_path / "10_broken.ipynb")
    monkeypatch.setattr(build, "study_notebooks", lambda: {"10_broken": tmp_path / "10_broken.ipynb"})
    build.build_report(small_study, tmp_path / "out")
    page, said = opened(browser, tmp_path / "out", "10_broken")
    assert "division by zero" in page.get_by_role("alert").inner_text()
    assert said == []
    page.goto((tmp_path / "out" / "index.html").as_uri())
    assert page.get_by_role("heading", name="What failed").is_visible()
    page.context.close()
