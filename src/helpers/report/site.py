"""Pages of the site: one self-contained HTML file each, which asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from helpers.analysis import Analysis
from helpers.core.schemas import output_tables
from helpers.report import words
from helpers.report.donors import list_body, page_keys, states
from helpers.report.methods import methods_text
from helpers.report.notebooks import TEMPLATES, Rendered, study_notebooks, title_of
from helpers.report.uncertain import uncertainties
from helpers.stats.sentences import primary_changes
from helpers.tables.base import show_table
from helpers.tables.cohort import problem_counts_view, problems_view

DONORS, METHODS = "donors.html", "methods.html"


@dataclass(frozen=True)
class Page:
    """One page: its file, title, first sentence, HTML, and why it is not complete."""

    file: str
    title: str
    lead: str
    body: str
    failed: str = ""


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )


def site_files(
    data: Analysis, rendered: Sequence[Rendered], donors: Mapping[str, Rendered], record: Mapping[str, Any]
) -> dict[str, str]:
    """Every page of the site but those of donors, as HTML, by file name.

    Parameters
    ----------
    data
        The opened study.
    rendered
        Notebooks that were run, in the order of the navigation.
    donors
        Pages of donors by the donor's code.
    record
        The record of `provenance`.
    """
    pages = _of_notebooks(rendered)
    listed = dict.fromkeys(donors, words.CURRENT)
    if donors:
        pages.append(Page(DONORS, words.DONORS, words.DONORS_LEAD, list_body(data, listed)))
    pages.append(Page(METHODS, words.METHODS, words.METHODS_LEAD, _methods_body(data)))
    pages.append(Page("problems.html", words.PROBLEMS, words.PROBLEMS_LEAD, _problems_body(data)))
    pages.append(Page("provenance.html", words.PROVENANCE, words.PROVENANCE_LEAD, _provenance_body(record)))
    failing = [Page(f"{r.name}.html", r.title, r.lead, "", r.failed) for r in donors.values() if r.failed]
    overview = Page("index.html", words.INDEX, "", _index_body(data, pages, [*pages, *failing]))
    site = _site(data, [overview, *pages])
    return {page.file: _page(page, site) for page in (overview, *pages)}


def notebook_pages(data: Analysis, rendered: Sequence[Rendered]) -> dict[str, str]:
    """Pages of some notebooks alone, with the navigation to all; arguments as in `site_files`."""
    site = planned_site(data)
    return {page.file: _page(page, site) for page in _of_notebooks(rendered)}


def _of_notebooks(rendered: Sequence[Rendered]) -> list[Page]:
    return [Page(f"{r.name}.html", r.title, r.lead, _without_first_heading(r.body), r.failed) for r in rendered]


def donor_files(data: Analysis, donor: str, made: Rendered, out: Path) -> dict[str, str]:
    """The page of one donor and the list of donors, which says how all their pages stand.

    Parameters
    ----------
    data
        The opened study.
    donor
        The donor.
    made
        The donor's page.
    out
        Folder of the report, where the other pages are.
    """
    keys = page_keys(data)
    site = planned_site(data)
    stand = states(out, keys) | {donor: words.CURRENT}
    listed = Page(DONORS, words.DONORS, words.DONORS_LEAD, list_body(data, stand))
    return {DONORS: _page(listed, site), f"{made.name}.html": donor_html(made, site, keys[donor].digest)}


def planned_site(data: Analysis) -> dict[str, Any]:
    """What every page shows of the site, before any other page is made."""
    return _site(data, _planned_pages())


def _planned_pages() -> list[Page]:
    """The navigation before any page is made."""
    notebooks = [Page(f"{name}.html", title_of(path), "", "") for name, path in study_notebooks().items()]
    own = [(METHODS, words.METHODS), ("problems.html", words.PROBLEMS), ("provenance.html", words.PROVENANCE)]
    first, last = Page("index.html", words.INDEX, "", ""), [Page(f, t, "", "") for f, t in own]
    return [first, *notebooks, Page(DONORS, words.DONORS, "", ""), *last]


def donor_html(made: Rendered, site: Mapping[str, Any], digest: str) -> str:
    """A donor's page, one folder below the others; it carries the digest of what it was made from.

    Parameters
    ----------
    made
        The page.
    site
        From `planned_site`.
    digest
        Of the donor's part.
    """
    body = _without_first_heading(made.body).replace('href="figures/', 'href="../figures/')
    page = Page(f"{made.name}.html", made.title, made.lead, body, made.failed)
    return _page(page, site, digest)


def _site(data: Analysis, pages: Sequence[Page]) -> dict[str, Any]:
    return {
        "id": data.config.id,
        "title": data.config.title,
        "registry_id": data.config.registry_id,
        "simulated": data.config.simulated,
        "fingerprint": data.digest[:16],
        "pages": pages,
    }


def with_notice(page: str, sentence: str) -> str:
    """A finished page with a sentence at its top, once.

    Examples
    --------
    >>> with_notice('<main id="content"></main>', "Older.")
    '<main id="content"><p class="failed" role="alert">Older.</p></main>'
    """
    notice = f'<p class="failed" role="alert">{html.escape(sentence)}</p>'
    return page if notice in page else page.replace('<main id="content">', f'<main id="content">{notice}', 1)


def _page(page: Page, site: Mapping[str, Any], content: str = "") -> str:
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "tables.js"))
    toc = [] if page.file == "index.html" or content else _contents(page.body)  # those answer on their first screen
    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            title=page.title,
            file=DONORS if content else page.file,
            root="../" if content else "",
            content=content,
            heading=True,
            failed=page.failed,
            body=_safe(page.body),
            toc=toc if len(toc) > 3 else [],
            site=site,
            words=words,
            style=_safe(style),
            style_hash=_hash(style),
            script=_safe(script),
            script_hash=_hash(script),
        )
    )


def _safe(text: str) -> Any:
    """Mark HTML of our own as finished; cells were escaped where they were made."""
    from markupsafe import Markup

    return Markup(text)


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _without_first_heading(body: str) -> str:
    return re.sub(r"<h1[^>]*>.*?</h1>", "", body, count=1, flags=re.S)


def _contents(body: str) -> list[tuple[str, str]]:
    """Second-level headings with their anchors."""
    found = []
    for anchor, inner in re.findall(r'<h2[^>]*\bid="([^"]+)"[^>]*>(.*?)</h2>', body, flags=re.S):
        text = re.sub(r'<a class="anchor-link".*?</a>', "", inner, flags=re.S)
        found.append((html.unescape(anchor), html.unescape(re.sub(r"<[^>]+>", "", text)).strip()))
    return found


def _problems_body(data: Analysis) -> str:
    problems = data.table("problems")
    return f"<p>{html.escape(words.PROBLEMS_LEAD)}</p>{problem_counts_view(problems)._repr_html_()}{problems_view(problems)._repr_html_()}"


def _methods_body(data: Analysis) -> str:
    said = "".join(f"<p>{html.escape(line)}</p>" for line in methods_text(data))
    return f'<p>{html.escape(words.METHODS_LEAD)}</p><div class="text">{said}</div>'


def _provenance_body(record: Mapping[str, Any]) -> str:
    """Everything of the record but its times, so that the page is the same for the same report."""
    study, project = record["study"], record["project"]
    known = {True: words.YES, False: words.NO, None: words.NOT_KNOWN}
    values = (
        study["id"],
        study["digest"],
        project["version"],
        project["source_digest"],
        project["git_commit"] or words.NOT_KNOWN,
        known[project["git_changes"]],
        record["seed"],
        record["python"],
        record["platform"],
    )
    pairs = dict(zip(words.PROVENANCE_FACTS, map(str, values), strict=True))
    given = record["parameters"].items()
    pairs |= {f"{words.PARAMETER} {k}": ", ".join(v) if isinstance(v, list) else str(v) for k, v in given}
    facts = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in pairs.items())
    inputs = show_table(
        pd.DataFrame(record["inputs"]),
        words.INPUT_FILES,
        (words.ALIASES,),
        {"file": words.FILE, "sha256": "SHA-256"},
    )
    packages = show_table(
        pd.DataFrame(sorted(record["packages"].items()), columns=["package", "version"]),
        f"{words.PACKAGES}.",
        labels={"package": words.PACKAGE, "version": words.VERSION},
    )
    return (
        f'<p>{html.escape(words.PROVENANCE_LEAD)}</p><dl class="pairs">{facts}</dl>'
        f'<h2 id="inputs">{words.INPUTS}</h2>{inputs._repr_html_()}'
        f'<h2 id="packages">{words.PACKAGES}</h2>{packages._repr_html_()}'
    )


def _index_body(data: Analysis, pages: Sequence[Page], made: Sequence[Page]) -> str:
    donors = data.table("donors_derived")
    facts = [{"value": str(len(donors)), "label": words.DONORS_ANALYSED}]
    facts += [{"value": str(int((donors["group"] == g.code).sum())), "label": g.label} for g in data.config.groups]
    facts += [
        {"value": str(data.table("completeness")["assay"].nunique()), "label": words.ASSAYS_MEASURED},
        {"value": _share(data.table("completeness")), "label": words.RESULTS_THERE},
    ]
    schemas = output_tables()
    described = [(name, schemas[name].description if name in schemas else "") for name in (*data.names(), "table_one")]
    return (
        _templates()
        .get_template("index.html.j2")
        .render(
            words=words,
            facts=facts,
            changed=primary_changes(data.table("effects"), data.config),
            uncertain=uncertainties(data),
            failed=[p for p in made if p.failed],
            pages=pages,
            tables=described,
        )
    )


def _share(completeness: pd.DataFrame) -> str:
    """Percent of what is complete, rounded, but never to all or to nothing.

    Examples
    --------
    >>> _share(pd.DataFrame({"status": ["complete"] * 999 + ["missing"]}))
    '> 99 %'
    """
    if completeness.empty:
        return "–"
    percent = 100 * float((completeness["status"] == "complete").mean())
    if 99.5 <= percent < 100:
        return "> 99 %"
    return "< 1 %" if 0 < percent < 0.5 else f"{percent:.0f} %"
