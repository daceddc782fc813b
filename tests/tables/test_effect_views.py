"""Tables of effects: what is put side by side belongs together, and no p chooses what is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from helpers.analysis import Analysis, load_study
from helpers.stats.sentences import primary_changes
from helpers.tables import effects as views


@pytest.fixture(scope="module")
def data(demo: Path) -> Analysis:
    return load_study(demo)


def msc(data: Analysis, assay: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects of one treatment in one group on one assay, with what stands beside them."""
    effects, beside = data.table("effects"), data.table("effects_sensitivity")
    chosen = (effects["contrast"] == "msc_effect") & (effects["assay"] == assay) & (effects["treatment"] == "am_msc")
    effects = effects[chosen & (effects["group"] == "apap")]
    return effects, beside[beside["contrast_id"].isin(effects["contrast_id"]) & (beside["assay"] == assay)]


def test_methods_of_another_time_are_not_put_beside_an_estimate(data: Analysis) -> None:
    effects, beside = msc(data, "phagocytosis")
    effects, beside = (t[t["readout"] == "bead|net_pct_phagocytic"] for t in (effects, beside))
    assert set(effects["assay_minutes"]) == {60} and len(beside) > 1
    later = (t.assign(assay_minutes=120.0) for t in (effects, beside.assign(estimate=77.0)))
    both = [pd.concat(pair) for pair in zip((effects, beside), later, strict=True)]
    shown = views.sensitivity_view(both[0], both[1], data.config, "phagocytosis", "msc_effect").frame
    assert len(shown) == 2 * (1 + len(beside))
    at = shown["treatment"].str.extract(r"(\d+) min")[0]
    assert set(at) == {"60", "120"}
    assert not (shown.loc[at == "60", "estimate"] == 77).any()
    assert (shown.loc[at == "120", "estimate"] == 77).sum() == len(beside)


def test_without_a_role_names_choose_and_no_p(data: Analysis) -> None:
    effects, beside = msc(data, "cytokines")
    effects = effects[effects["estimate"].notna()].assign(role="exploratory")
    first = sorted(effects["readout"])[:3]
    assert set(effects.nsmallest(3, "p")["readout"]) != set(first), "else the test could not tell"
    shown = views.sensitivity_view(effects, beside, data.config, "cytokines", "msc_effect").frame
    assert list(dict.fromkeys(shown["readout"])) == first


@pytest.mark.parametrize(("level", "heading"), [(0.95, "95 % interval"), (0.9, "90 % interval")])
def test_intervals_bear_the_level_of_the_plan(data: Analysis, level: float, heading: str) -> None:
    effects, beside = msc(data, "measurements")
    effects = effects.assign(ci_level=level)
    for view in (
        views.effects_view(effects, data.config, "measurements", "msc_effect"),
        views.sensitivity_view(effects, beside, data.config, "measurements", "msc_effect"),
    ):
        assert view.labels["interval"] == heading and heading in repr(view)


def test_readouts_are_named_for_people(data: Analysis) -> None:
    readouts = [{"name": "AM|CD206|delta_mfi", "assay": "phenotype", "label": "Mannose receptor"}]
    config = replace(data.config, settings=data.config.settings | {"readouts": readouts})
    effects, beside = msc(data, "phenotype")
    effects = effects[effects["readout"] == "AM|CD206|delta_mfi"]
    assert "Mannose receptor" in repr(views.effects_view(effects, config, "phenotype", "msc_effect"))
    assert "Mannose receptor" in repr(views.sensitivity_view(effects, beside, config, "phenotype", "msc_effect"))
    assert primary_changes(effects, config)[0].startswith("Mannose receptor, ")
    assert "AM|CD206" not in " ".join(primary_changes(effects, data.config))
