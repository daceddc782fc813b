"""What README, CONTRIBUTING and CITATION.cff promise is there: tables, pictures, links, version."""

from __future__ import annotations

import re
import sys
import tomllib
from typing import Any

import pytest
import yaml

from helpers.core.files import PROJECT
from helpers.core.schemas import output_tables

README = (PROJECT / "README.md").read_text(encoding="utf-8")
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")
CFF_KEYS = {
    "abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license",
    "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact", "repository-code",
    "title", "type", "url", "version",
}  # fmt: skip
"""Keys that the Citation File Format 1.2.0 allows at the top."""


def test_readme_lists_every_output_table_and_no_other() -> None:
    listed = re.findall(r"\[`(\w+)`\]\(data_schema/README\.md#(\w+)\)", README)
    assert all(name == anchor for name, anchor in listed)
    assert sorted(name for name, _ in listed) == sorted(output_tables()), "each once"


def test_pictures_are_small_and_say_that_they_are_simulated() -> None:
    pictures = PICTURE.findall(README)
    assert len(pictures) >= 4
    for caption, file in pictures:
        data = (PROJECT / file).read_bytes()
        assert data.startswith(b"\x89PNG") and len(data) <= 150_000, file
        assert "SIMULATED" in caption, caption


def test_the_gallery_is_as_the_stored_notebooks_have_it() -> None:
    sys.path.insert(0, str(PROJECT / "tests" / "notebooks"))
    try:
        from gallery import GALLERY, figure_of
    finally:
        sys.path.pop(0)
    assert {file for _, file in PICTURE.findall(README)} == {*GALLERY, "docs/report.png"}
    stale = [file for file, place in GALLERY.items() if (PROJECT / file).read_bytes() != figure_of(*place)]
    assert stale == [], "run: python tests/notebooks/gallery.py"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (PROJECT / page).read_text(encoding="utf-8"), flags=re.M | re.S)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [link for link in links if not (PROJECT / link).exists()] == []
    assert links or page == "CONTRIBUTING.md"


def test_the_citation_file_holds_what_its_format_needs() -> None:
    cited: dict[str, Any] = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    package = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(cited) <= CFF_KEYS and {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["cff-version"] == "1.2.0" and cited["type"] == "software"
    assert (cited["version"], cited["license"]) == (package["version"], package["license"])
    assert cited["authors"] and all(isinstance(one["name"], str) and one["name"] for one in cited["authors"])
    assert all(isinstance(word, str) for word in cited["keywords"])
