"""Whole reports of studies that lack most things: every page is there, and nothing is called by a missing value."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.report.build import OK, build_report
from helpers.simulate import write_demo

pytestmark = pytest.mark.long

CONTROL = "D04"
"""The one control among the four donors."""


def kept(study: Path, table: str, keep: Callable[[dict[str, str]], bool]) -> None:
    """Drop the rows of a table that are not to be kept."""
    with (study / table).open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    with (study / table).open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if keep(row))


def column(study: Path, table: str, name: str, those: Callable[[dict[str, str]], bool] = lambda row: True) -> set[str]:
    """Codes in a column of a table."""
    with (study / table).open(encoding="utf-8", newline="") as handle:
        return {row[name] for row in csv.DictReader(handle) if those(row)}


def one_assay(study: Path) -> None:
    for assay in ("cytokines", "phenotype", "phagocytosis"):
        shutil.rmtree(study / assay)


def one_group(study: Path) -> None:
    one_assay(study)
    for table in ("donors.csv", "specimens.csv", "clinical_labs.csv"):
        kept(study, table, lambda row: row["donor_id"] != CONTROL)
    specimens = column(study, "specimens.csv", "specimen_id")
    kept(study, "cultures.csv", lambda row: row["specimen_id"] in {"", *specimens})
    cultures = column(study, "cultures.csv", "culture_id")
    kept(study, "measurements.csv", lambda row: row["culture_id"] in cultures)


def no_pair(study: Path) -> None:
    one_assay(study)
    treated = column(study, "cultures.csv", "culture_id", lambda row: "msc" in row["condition"])
    kept(study, "measurements.csv", lambda row: row["culture_id"] not in treated)


@pytest.mark.parametrize(("donors", "change"), [(4, one_assay), (4, one_group), (4, no_pair), (1, lambda study: None)])
def test_every_page_is_there_and_says_nothing_of_nothing(
    donors: int, change: Callable[[Path], None], tmp_path: Path
) -> None:
    study, out = tmp_path / "study", tmp_path / "out"
    write_demo(study, donors=donors)
    change(study)
    result = build_report(study, out)
    assert result.failed == {} and result.exit_code == OK
    pages = [*out.glob("*.html"), *out.glob("donors/*.html")]
    assert len(pages) >= 11 + 1
    for page in pages:
        text = re.sub(r"<(style|script)\b.*?</\1>|<[^>]*>", " ", page.read_text(encoding="utf-8"), flags=re.S)
        assert not re.search(r"\bnan\b|<NA>|\bNaT\b", text), page.name
