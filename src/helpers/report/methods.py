"""The methods of a study in sentences, ready for a manuscript."""

from __future__ import annotations

from helpers.analysis import Analysis
from helpers.report.provenance import versions
from helpers.stats.plan import Plan
from helpers.stats.words import methods

COMPUTING = ("flowkit", "flowutils", "numpy", "pandas", "pingouin", "scipy", "statsmodels", "tableone")
"""Packages that compute what is reported: FlowKit and FlowUtils gates and compensation, tableone standardised
differences, statsmodels planning; pingouin computes the t tests a second time."""


def methods_text(data: Analysis) -> list[str]:
    """What was done, from the plan and the tables; paragraphs.

    Parameters
    ----------
    data
        The opened study.
    """
    used = {name: version for name, version in versions().items() if name in COMPUTING}
    found, more, again = (data.table(f"effects{which}") for which in ("", "_sensitivity", "_recomputed"))
    return [methods(Plan.from_config(data.config), found, more, again, used)]
