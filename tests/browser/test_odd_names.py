"""Names as people write them: sixty characters without a space, markup, quotation marks, Han characters, emoji."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_site import DESK, NOTEBOOKS, PHONE, browser, opened

from helpers.core.files import safe_name
from helpers.report.build import build_report
from helpers.simulate import write_demo

__all__ = ["browser"]
DONOR = "D01-Lavage-of-the-left-lung-second-of-two-procedures-on-one-day"[:60]
GROUP = "患者 <script>alert(1)</script> \"with\" 'quotes' & 😀".ljust(60, "W")
CONDITION = "AM+MSC_" + "W" * 53
LABELS = {"label: aPAP,": GROUP, "label: AM + MSC,": CONDITION}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of four donors with such names."""
    root = tmp_path_factory.mktemp("odd")
    study = root / "study"
    write_demo(study, donors=4)
    for table in study.rglob("*.csv"):
        text = table.read_bytes()
        if b"D01" in text and "raw" not in table.parts:
            table.write_bytes(text.replace(b"D01", DONOR.encode()))
    settings = (study / "study.yaml").read_text(encoding="utf-8")
    for old, new in LABELS.items():
        assert settings.count(old) == 1
        quoted = new.replace("'", "''")
        settings = settings.replace(old, f"label: '{quoted}',")
    settings += "id_patterns: {donor_id: '[A-Za-z0-9-]{1,60}'}\n"
    (study / "study.yaml").write_text(settings, encoding="utf-8")
    assert build_report(study, root / "out").failed == {}
    return root / "out"


PAGES = ["index", *NOTEBOOKS, "donors", "problems", f"donors/{safe_name(DONOR)}"]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_a_page_with_such_names_is_quiet_fits_and_runs_none_of_them(
    browser: Any, odd: Path, name: str, width: int
) -> None:
    page, said = opened(browser, odd, name, width)
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.scripts].filter(s => s.textContent.includes('alert(1)')).length") == 0
    page.context.close()


def test_such_names_are_read_as_they_were_written(browser: Any, odd: Path) -> None:
    page, _ = opened(browser, odd, "donors")
    assert page.get_by_role("link", name=DONOR, exact=True).count() == 1
    assert page.get_by_role("cell", name=GROUP, exact=True).count() >= 1
    page.context.close()
    page, _ = opened(browser, odd, "05_msc_response")
    assert CONDITION in page.inner_text("main")
    page.context.close()
