"""Pages of the donors: one each, made anew only where something on it can differ, and the list of them."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from helpers.analysis import Analysis, DonorPart, control_readouts, donor_parts, kept_controls, kept_part
from helpers.core.cache import remember
from helpers.core.files import safe_name
from helpers.report import words
from helpers.report.notebooks import NOTEBOOKS, Rendered, render

FOLDER = "donors"
SOURCE = NOTEBOOKS / "donor_report.ipynb"
_MARK = re.compile(r'<meta name="apap-content" content="([0-9a-f]+)">')


@dataclass(frozen=True)
class Key:
    """What a donor's page hangs on: digests of the donor's part and of the controls it is compared with."""

    digest: str
    cohort: str


def page_keys(data: Analysis) -> dict[str, Key]:
    """The key of every analysed donor's page, in the order of ``donors_derived``.

    Parameters
    ----------
    data
        The study.
    """
    return _page_keys(data.digest, data)


@remember("report", ignore=("data",))
def _page_keys(digest: str, data: Analysis) -> dict[str, Key]:
    """Also keeps each part, so that the kernel of a page need not load the whole study."""
    kept_controls(digest, lambda: control_readouts(data))
    return {part.donor_id: _kept(digest, part) for part in donor_parts(data)}


def page_key(data: Analysis, donor: str) -> Key | None:
    """The key of one donor's page, sooner than those of all; None where no analysed donor has this code.

    Parameters
    ----------
    data
        The study.
    donor
        The code.
    """
    return _page_key(data.digest, donor, data)


@remember("report", ignore=("data",))
def _page_key(digest: str, donor: str, data: Analysis) -> Key | None:
    kept_controls(digest, lambda: control_readouts(data))
    return next((_kept(digest, part) for part in donor_parts(data, donor)), None)


def _kept(digest: str, part: DonorPart) -> Key:
    return Key(kept_part(digest, part.donor_id, lambda: part).digest, part.cohort)


def page_file(donor: str) -> str:
    """Path of a donor's page inside the report.

    Examples
    --------
    >>> page_file("D27")
    'donors/D27.html'
    """
    return f"{FOLDER}/{safe_name(donor)}.html"


def render_donor(study: Path, study_id: str, content: str, donor: str, key: Key) -> Rendered:
    """The page of one donor.

    Parameters
    ----------
    study, study_id, content
        The study's folder, its code and the digest of all of it.
    donor
        An analysed donor.
    key
        From `page_keys`; the same key gives the same page, from the cache where it was made before.
    """
    made = render(SOURCE, {"donor": donor}, study, key.digest, study_id, content)
    return replace(made, name=f"{FOLDER}/{safe_name(donor)}", title=f"{words.DONOR} {donor}")


def list_body(data: Analysis, states: Mapping[str, str]) -> str:
    """HTML of the list of donors: group, eligibility, what is missing, and how each page stands.

    Parameters
    ----------
    data
        The study.
    states
        A sentence on the page of each donor.
    """
    labels = {g.code: g.label for g in data.config.groups}
    complete = data.table("completeness")
    missing = complete[complete["status"] != "complete"].groupby("donor_id").size()
    lines = []
    for row in data.table("donors_derived").itertuples():
        donor = str(row.donor_id)
        cells = [labels.get(row.group, row.group), row.eligible_all_of, row.eligible_any_of]
        link = f'<a href="{html.escape(page_file(donor))}">{html.escape(donor)}</a>'
        plain = "".join(f"<td>{html.escape(str(c))}</td>" for c in cells)
        n = int(missing.get(donor, 0))
        lines.append(
            f'<tr><td>{link}</td>{plain}<td class="num" data-sort="{n}">{n}</td><td>{html.escape(states[donor])}</td></tr>'
        )
    head = "".join(
        f'<th scope="col"{" class=num" if h == words.DONOR_COLUMNS[4] else ""}>{h}</th>' for h in words.DONOR_COLUMNS
    )
    return (
        f'<p>{html.escape(words.DONORS_LEAD)}</p><div class="table-wrap" role="region" aria-label="{words.DONORS}" tabindex="0">'
        f'<table class="apap"><caption>{words.DONORS}</caption><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def states(out: Path, keys: Mapping[str, Key]) -> dict[str, str]:
    """How each donor's page in a report stands: as the data are, older, or not there.

    Parameters
    ----------
    out
        Folder of the report.
    keys
        From `page_keys`.
    """
    found = {}
    for donor, key in keys.items():
        mark = _content_of(out / page_file(donor))
        found[donor] = words.ABSENT if not mark else words.CURRENT if mark == key.digest else words.STALE
    return found


def _content_of(page: Path) -> str:
    try:
        with page.open(encoding="utf-8") as handle:
            found = _MARK.search(handle.read(4000))
    except (OSError, ValueError):
        return ""
    return found[1] if found else ""
