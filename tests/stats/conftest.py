"""Readouts made for tests: donors with known effects, on the log2 scale."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.core.schemas import output_tables
from helpers.stats.effects import Effects, effects
from helpers.stats.plan import Plan
from helpers.study.config import Config

ANSWERS: dict[tuple[str, str, str], Effects] = {}
SETTINGS = {
    "id": "x",
    "title": "x",
    "groups": [
        {"code": "apap", "label": "aPAP", "role": "disease"},
        {"code": "control", "label": "Control", "role": "control", "control_source": "lavage"},
    ],
    "conditions": [
        {"code": "am", "label": "AM", "cells": "am", "role": "reference"},
        {"code": "am_msc", "label": "AM + MSC", "cells": "am_msc", "role": "treatment", "compare_to": "am"},
        {"code": "msc", "label": "MSC alone", "cells": "msc", "role": "msc_alone"},
        {"code": "gm", "label": "AM + GM-CSF", "cells": "am", "role": "positive_control", "compare_to": "am"},
    ],
}


def simulated_readouts(
    n_apap: int = 13,
    n_control: int = 8,
    names: tuple[str, ...] = ("IL-6", "TNF", "CCL18"),
    seed: int = 1,
    censored: float = 0.0,
    effect: float = 0.5,
    gap: float = 1.5,
) -> pd.DataFrame:
    """A table of readouts; `censored` is the share of values below one limit a readout."""
    rng, rows = np.random.default_rng(seed), []
    for group, n, shift in (("apap", n_apap, gap), ("control", n_control, 0.0)):
        for i in range(n):
            donor = f"{'P' if group == 'apap' else 'C'}{i + 1:02d}"
            for name in names:
                level = 6 + shift + rng.normal(0, 1.0)
                change = (effect if group == "apap" else 0.1) + rng.normal(0, 0.6)
                for condition, extra in (("am", 0.0), ("am_msc", change), ("gm", -0.4 + rng.normal(0, 0.6))):
                    rows.append((donor, group, condition, name, 2 ** (level + extra)))
    frame = pd.DataFrame(rows, columns=["donor_id", "group", "condition", "readout", "value"])
    frame = frame.assign(
        visit="V1", timepoint_h=24.0, msc_lot_id="", assay_minutes=np.nan, assay="cytokines", unit="pg/ml", scale="log2"
    )
    frame = frame.assign(
        censoring="none",
        lower=np.nan,
        upper=np.nan,
        k=pd.NA,
        n=pd.NA,
        n_cultures=2,
        n_assay_wells=4,
        comparability="kit 1",
    )
    frame["batch_day"] = 7 + 14 * (frame["donor_id"].str[1:].astype(int) % 5)
    frame["sd_culture"] = 0.2
    if censored:
        limit = frame.groupby("readout")["value"].transform(lambda v: v.quantile(censored))
        below = frame["value"] < limit
        frame.loc[below, ["censoring", "value", "upper"]] = [["left", np.nan, u] for u in limit[below]]
    for column in output_tables()["readouts"].columns:
        if column not in frame:
            frame[column] = np.nan
    return frame[output_tables()["readouts"].columns]


def controls_of(readouts: pd.DataFrame, value: float = 20.0) -> pd.DataFrame:
    """MSC-alone wells of every batch."""
    wells = readouts[["batch_day", "timepoint_h", "assay", "readout", "unit"]].drop_duplicates()
    ends = {"lower": np.nan, "upper": np.nan}
    return wells.assign(condition="msc", msc_lot_id="", value=value, censoring="none", n_cultures=2, **ends)


def donors_of(readouts: pd.DataFrame) -> pd.DataFrame:
    """donors_derived of the donors in a table of readouts."""
    frame = readouts[["donor_id", "group"]].drop_duplicates().sort_values(["group", "donor_id"]).reset_index(drop=True)
    smoking = np.array(["never", "ex", "current"])[np.arange(len(frame)) % 3]
    eligible = np.where(frame["donor_id"] == "P03", "ineligible", "eligible")
    role = frame["group"].map({"apap": "disease", "control": "control"})
    return frame.assign(role=role, smoking_status=smoking, eligible_all_of=eligible)


@pytest.fixture
def config() -> Config:
    return Config.from_settings(SETTINGS)


@pytest.fixture
def plan(config: Config) -> Plan:
    return Plan.from_config(config)


@pytest.fixture
def run(plan: Plan) -> Callable[..., Effects]:
    """Effects of a table of readouts; `wells` for other MSC-alone wells, the rest changes the plan.

    The same question is answered once: nobody changes what is returned.
    """

    def computed(table: pd.DataFrame, wells: pd.DataFrame | None = None, **changes: object) -> Effects:
        wells = controls_of(table) if wells is None else wells
        if "contrasts" in changes:  # contrasts that are given are named, as in a study.yaml
            changes.setdefault("compared_by_default", False)
        question = (table.to_csv(), wells.to_csv(), repr(sorted(changes.items())))
        if question not in ANSWERS:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("default", ResourceWarning)  # sockets of an earlier test, collected here
                ANSWERS[question] = effects(table, wells, donors_of(table), replace(plan, **changes))
        return ANSWERS[question]

    return computed


@pytest.fixture
def make() -> Callable[..., pd.DataFrame]:
    return simulated_readouts


@pytest.fixture
def donors() -> Callable[[pd.DataFrame], pd.DataFrame]:
    return donors_of


@pytest.fixture
def controls() -> Callable[..., pd.DataFrame]:
    return controls_of
