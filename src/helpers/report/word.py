"""The Word report: Table 1, the changes with MSC and their figures, the methods, for a manuscript or a meeting."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence

from helpers.analysis import Analysis
from helpers.core.cache import remember
from helpers.report import words
from helpers.report.methods import methods_text
from helpers.report.notebooks import Rendered
from helpers.report.uncertain import uncertainties
from helpers.stats.sentences import primary_changes
from helpers.tables.response import changes_view
from helpers.tables.table_one import room_air_note, table_one, table_one_view
from helpers.tables.word import Bullets, Heading, Image, Part, document_bytes

COHORT, RESPONSE = "01_cohort_description", "05_msc_response"
"""Notebooks whose figures are in the document."""


def word_report(data: Analysis, rendered: Sequence[Rendered]) -> bytes:
    """The document as bytes of a .docx file.

    Parameters
    ----------
    data
        The opened study.
    rendered
        Notebooks that were run; the figures are theirs.
    """
    shown = {r.name: r for r in rendered if r.name in (COHORT, RESPONSE)}
    return _document(data.digest, tuple(sorted((n, r.notebook) for n, r in shown.items())), data, shown)


@remember("report", ignore=("data", "shown"))
def _document(
    digest: str, notebooks: tuple[tuple[str, bytes], ...], data: Analysis, shown: dict[str, Rendered]
) -> bytes:
    config = data.config
    head = f"{words.SIMULATED} {config.id}" if config.simulated else config.id
    return document_bytes(list(_parts(data, shown)), config.title, head)


def _parts(data: Analysis, shown: dict[str, Rendered]) -> Iterator[Part]:
    donors, effects, config = data.table("donors_derived"), data.table("effects"), data.config
    registry = f", {config.registry_id}" if config.registry_id else ""
    yield f"{words.RESEARCH} {words.STUDY} {config.id}{registry}. {words.FINGERPRINT} {data.digest[:16]}."
    yield Heading(words.CHANGED)
    yield Bullets(primary_changes(effects, config))
    yield Heading(words.UNCERTAIN)
    yield Bullets(uncertainties(data))
    yield Heading(words.DONORS)
    yield from _figures(shown.get(COHORT), first=1)
    yield table_one_view(table_one(donors, config), config, [room_air_note(donors, config)])
    yield Heading(words.EFFECTS)
    yield changes_view(effects, config)
    yield changes_view(effects, config, "following")
    yield Heading(words.FIGURES)
    yield from _figures(shown.get(RESPONSE))
    yield Heading(words.METHODS)
    yield from methods_text(data)


def _figures(made: Rendered | None, first: int | None = None) -> Iterator[Image]:
    """Figures of a notebook in its order, at 300 dpi; the `first` ones, or all."""
    if made is None:
        return
    cells = json.loads(made.notebook)["cells"]
    outputs = [o for cell in cells for o in cell.get("outputs", ()) if "apap" in o.get("metadata", {})]
    for output in outputs[:first]:
        own, alt = output["metadata"]["apap"], output["metadata"]["image/png"]["alt"]
        printed = made.files.get(f"figures/{own['name']}.png")
        yield Image(printed or base64.b64decode(output["data"]["image/png"]), own["caption"], alt)
