"""The rule that marks intervals as approximate, held against the simulated coverage that the methods print."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.analysis import load_study
from helpers.core.files import PROJECT
from helpers.stats.coverage import WORD, shortfall

LEAST = 93
PRINTED = {
    "BCa bootstrap of the mean": "BCa bootstrap",
    "Brunner–Munzel": "Brunner–Munzel",
    "matched rank-biserial, Fisher z": "matched rank-biserial, Fisher z",
    "likelihood of groups": "normal likelihood of groups with bounds",
    "normal likelihood of differences with bounds": "normal likelihood of differences with bounds",
    "bivariate likelihood": "bivariate normal likelihood of pairs with bounds",
    "g_av, BCa": "g_av: mean change / root mean square SD, J(n − 1), BCa",
    "Cliff's delta, logit": "Cliff's delta, Brunner–Munzel variance on the logit scale",
    "paired t": "paired t",
    "Welch t": "Welch t",
    "exact rank sum, Hodges–Lehmann": "exact Wilcoxon–Mann–Whitney",
    "interaction, difference of likelihood changes": "difference of likelihood changes, Welch–Satterthwaite",
}
UNMARKED = "gap closed, Fieller, when shown"
"""Its size decides, and that cannot be told from the sample; docs/methods.md says so."""


def lines() -> list[tuple[str, int, float, float]]:
    """Method, donors of the smaller arm, share of bounds and coverage of each line of the table."""
    text = (PROJECT / "docs" / "methods.md").read_text(encoding="utf-8")
    found = []
    for method, design, coverage in re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| ([\d.]+) ± ", text, flags=re.M):
        arms = [int(n) for n in re.match(r"(\d+)(?: v (\d+))?", design).groups() if n]
        bounded = re.search(r"(\d+) % below the limit", design)
        found.append((method, min(arms), int(bounded[1]) / 100 if bounded else 0.0, float(coverage)))
    return found


def test_the_table_is_there() -> None:
    assert len(lines()) > 50 and {PRINTED[m] for m, *_ in lines() if m in PRINTED} == set(PRINTED.values())


@pytest.mark.parametrize(("method", "donors", "bounded", "coverage"), lines())
def test_what_covers_less_is_marked_and_nothing_else(method: str, donors: int, bounded: float, coverage: float) -> None:
    if method == UNMARKED:
        return
    marked = bool(shortfall(PRINTED.get(method, method), donors, bounded))
    assert marked == (coverage < LEAST), f"{method}: {coverage} %"


def test_rows_without_an_interval_are_not_called_approximate(demo: Path) -> None:
    data = load_study(demo)
    rows = pd.concat([data.table("effects"), data.table("effects_sensitivity")])
    marked = rows[rows["note"].fillna("").str.contains(WORD)]
    assert len(marked) > 100
    assert not (marked["ci_low"].isna() & marked["ci_high"].isna()).any()
    beginnings = {re.split(r"[, ]", m)[0] for m in marked["method"]}
    assert {"BCa", "Brunner–Munzel", "matched"} <= beginnings and not beginnings & {"Welch", "paired", "g_av:"}
    assert np.isfinite(marked["estimate"].astype(float)).all()
