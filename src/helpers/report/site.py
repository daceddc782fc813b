"""Pages of the site: one self-contained HTML file each, which asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
import pandas as pd

from helpers.analysis import Analysis
from helpers.core.schemas import output_tables
from helpers.report import words
from helpers.report.notebooks import TEMPLATES, Rendered
from helpers.stats.sentences import primary_changes
from helpers.tables.base import show_table
from helpers.tables.cohort import problem_counts_view, problems_view


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


def site_files(data: Analysis, rendered: Sequence[Rendered], record: Mapping[str, Any]) -> dict[str, str]:
    """Every page of the site as HTML, by file name.

    Parameters
    ----------
    data
        The opened study.
    rendered
        Notebooks that were run, in the order of the navigation.
    record
        The record of `provenance`.
    """
    pages = [Page(f"{r.name}.html", r.title, r.lead, _without_first_heading(r.body), r.failed) for r in rendered]
    pages.append(Page("problems.html", words.PROBLEMS, words.PROBLEMS_LEAD, _problems_body(data)))
    pages.append(Page("provenance.html", words.PROVENANCE, words.PROVENANCE_LEAD, _provenance_body(record)))
    overview = Page("index.html", words.INDEX, "", _index_body(data, pages))
    site = {
        "id": data.config.id,
        "title": data.config.title,
        "registry_id": data.config.registry_id,
        "simulated": data.config.simulated,
        "fingerprint": data.digest[:16],
        "pages": [overview, *pages],
    }
    return {page.file: _page(page, site) for page in (overview, *pages)}


def _page(page: Page, site: Mapping[str, Any]) -> str:
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "sort.js"))
    toc = [] if page.file == "index.html" else _contents(page.body)  # the overview answers on its first screen
    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            title=page.title,
            file=page.file,
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


def _provenance_body(record: Mapping[str, Any]) -> str:
    """Everything of the record but its times, so that the page is the same for the same report."""
    pairs = {
        "Study": record["study"]["id"],
        "Data digest": record["study"]["digest"],
        "Project version": record["project"]["version"],
        "Source digest": record["project"]["source_digest"],
        "Git commit": record["project"]["git_commit"] or "not known",
        "Uncommitted changes": {True: "yes", False: "no", None: "not known"}[record["project"]["git_changes"]],
        "Seed of resampling": str(record["seed"]),
        "Python": record["python"],
        "Platform": record["platform"],
        **{f"Parameter {k}": str(v) for k, v in record["parameters"].items()},
    }
    facts = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(str(v))}</dd>" for k, v in pairs.items())
    inputs = show_table(
        pd.DataFrame(record["inputs"]),
        "Input files.",
        ("Names that hold a date or an identity are replaced by an alias.",),
        {"file": "File", "sha256": "SHA-256"},
    )
    packages = show_table(
        pd.DataFrame(sorted(record["packages"].items()), columns=["package", "version"]),
        "Packages.",
        labels={"package": "Package", "version": "Version"},
    )
    return f'<p>{html.escape(words.PROVENANCE_LEAD)}</p><dl class="pairs">{facts}</dl><h2 id="inputs">Inputs</h2>{inputs._repr_html_()}<h2 id="packages">Packages</h2>{packages._repr_html_()}'


def _index_body(data: Analysis, pages: Sequence[Page]) -> str:
    donors = data.table("donors_derived")
    facts = [{"value": str(len(donors)), "label": "donors analysed"}]
    facts += [{"value": str(int((donors["group"] == g.code).sum())), "label": g.label} for g in data.config.groups]
    facts += [
        {"value": str(data.table("completeness")["assay"].nunique()), "label": "assays and measurements"},
        {"value": _share(data.table("completeness")), "label": "of planned results are there"},
    ]
    schemas = output_tables()
    described = [(name, schemas[name].description if name in schemas else "") for name in (*data.names(), "table_one")]
    return (
        _templates()
        .get_template("index.html.j2")
        .render(
            facts=facts,
            changed=primary_changes(data.table("effects"), data.config),
            uncertain=uncertainties(data),
            failed=[p for p in pages if p.failed],
            pages=pages,
            tables=described,
        )
    )


def _share(completeness: pd.DataFrame) -> str:
    if completeness.empty:
        return "–"
    return f"{100 * (completeness['status'] == 'complete').mean():.0f} %"


def uncertainties(data: Analysis) -> list[str]:
    """What a reader should know before trusting a number, each a sentence computed from the tables.

    Parameters
    ----------
    data
        The opened study.
    """
    said = []
    readings, problems, complete = (
        data.table("eligibility_readings"),
        data.table("problems"),
        data.table("completeness"),
    )
    usual = readings[readings["is_default"]]
    if len(usual):
        counts = usual["status"].value_counts()
        said.append(
            f"Eligibility as study.yaml reads the registry: {counts.get('eligible', 0)} eligible, {counts.get('ineligible', 0)} ineligible, "
            f"{counts.get('indeterminate', 0)} indeterminate of {len(usual)} donors."
        )
        changing = list(dict.fromkeys(readings.loc[readings["changes"], "donor_id"]))
        named = ", ".join(changing[:12]) + (" and more" if len(changing) > 12 else "")
        said.append(f"Donors whose status depends on how an ambiguous criterion is read: {named or 'none'}.")
    else:
        said.append("Nobody is analysed, so nobody's eligibility is judged.")
    aside = problems[problems["severity"] == "quarantine"]
    if len(aside):
        said.append(f"Set aside by the checks: {', '.join(dict.fromkeys(aside['entity']))}.")
    warnings = int((problems["severity"] == "warning").sum())
    if warnings:
        said.append(f"Warnings that wait for a look: {warnings}; see the page of problems.")
    gaps = complete[complete["status"] == "missing"]
    if len(gaps):
        said.append(f"Planned results that are missing: {len(gaps)}, of {gaps['donor_id'].nunique()} of the donors.")
    if not data.config.groups_of("control") or not (data.table("donors_derived")["role"] == "control").any():
        said.append("There are no control donors: nothing can be compared with health.")
    else:
        said.append(
            "Controls differ from patients in the source of their cells and in more than the disease; group differences describe."
        )
    plan = data.config.settings.get("plan") or {}
    if not plan.get("sha256"):
        said.append("No hash of a dated analysis plan is recorded, so every result is exploratory.")
    return said
