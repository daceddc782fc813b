"""What a sample is decides where its values go: cultures to readouts, lavage and serum and spikes beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.assays.cytokines.assay import cytokines
from helpers.assays.cytokines.fitted import Rules
from helpers.assays.cytokines.limits import working_range
from helpers.assays.steps import Assayed
from helpers.core.schemas import input_tables
from helpers.study.config import Config
from helpers.study.tables import empty_table

CONFIG = Config.from_settings(
    {
        "id": "x",
        "title": "x",
        "groups": [{"code": "apap", "label": "aPAP", "role": "disease"}],
        "conditions": [
            {"code": "am", "label": "AM", "cells": "am", "role": "reference"},
            {"code": "am_msc", "label": "AM + MSC", "cells": "am_msc", "role": "treatment", "compare_to": "am"},
            {"code": "msc", "label": "MSC", "cells": "msc", "role": "msc_alone"},
        ],
    }
)


def study(**given: list[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    out = {name: empty_table(schema).frame for name, schema in input_tables().items()}
    rows = {
        "donors": [{"donor_id": "D1", "group": "apap"}],
        "specimens": [{"specimen_id": "S1", "donor_id": "D1", "visit": "V1"}],
        "cultures": [
            {"culture_id": "C1", "specimen_id": "S1", "condition": "am", "timepoint_h": 24.0, "volume_ul": 500.0, "live_am_end": 250_000},
            {"culture_id": "C2", "specimen_id": "S1", "condition": "am_msc", "timepoint_h": 24.0},
            {"culture_id": "C3", "condition": "msc", "timepoint_h": 24.0},
        ],
    }  # fmt: skip
    for name, values in (rows | {k.replace("__", "/"): v for k, v in given.items()}).items():
        empty = out[name]
        out[name] = pd.DataFrame(values).reindex(columns=empty.columns).astype(empty.dtypes.to_dict())
    return out


def assayed(tables: dict[str, pd.DataFrame]) -> Assayed:
    return cytokines(Path("nowhere"), tables, frozenset(), CONFIG)


def result(sample: str, conc: float | None, **more: Any) -> dict[str, Any]:
    return {"sample_id": sample, "analyte": "IL-6", "replicate": 1, "conc_pg_ml": conc, **more}


def test_lavage_and_serum_are_kept_and_no_readouts_of_cultures() -> None:
    tables = study(
        cytokines__samples=[
            {"sample_id": "sup", "culture_id": "C1", "matrix": "supernatant"},
            {"sample_id": "bal", "specimen_id": "S1", "matrix": "lavage"},
            {"sample_id": "ser", "specimen_id": "S1", "matrix": "serum"},
        ],
        cytokines__concentrations=[result("sup", 40.0), result("bal", 9000.0), result("ser", 7.0)],
    )
    found = assayed(tables)
    values = found.tables["cytokine_values"].set_index("sample_id")
    assert values["matrix"].to_dict() == {"sup": "supernatant", "bal": "lavage", "ser": "serum"}
    assert values["conc_pg_ml"].to_dict() == pytest.approx({"sup": 40.0, "bal": 9000.0, "ser": 7.0})
    assert values["specimen_id"].fillna("").to_dict() == {"sup": "", "bal": "S1", "ser": "S1"}
    per_ml = found.wells[found.wells["assay"] == "cytokines"]
    assert per_ml[["culture_id", "lower", "upper"]].to_numpy().tolist() == [
        ["C1", pytest.approx(40), pytest.approx(40)]
    ]
    per_cell = found.wells[found.wells["assay"] == "cytokines_per_cell"]
    assert per_cell[["culture_id", "lower"]].to_numpy().tolist() == [["C1", pytest.approx(40 * 0.5 / 250_000 * 1e6)]]
    assert found.measured["cytokines"] == {"C1"}


def test_results_computed_elsewhere_are_averaged_as_logs_and_limits_stay_bounds() -> None:
    tables = study(
        cytokines__concentrations=[
            result("C1", 4.0),
            result("C1", 16.0) | {"replicate": 2},
            result("C2", None, qualifier="<", lloq_pg_ml=3.2),
            result("C3", 2.0, lloq_pg_ml=3.2),
            result("C1", 900.0, uloq_pg_ml=500.0) | {"analyte": "CCL18"},
        ]
    )
    values = assayed(tables).tables["cytokine_values"].set_index(["sample_id", "analyte"])
    assert values.loc[("C1", "IL-6"), "conc_pg_ml"] == pytest.approx(8.0)
    assert values["censoring"].to_dict() == {
        ("C1", "IL-6"): "none", ("C2", "IL-6"): "left", ("C3", "IL-6"): "left", ("C1", "CCL18"): "right",
    }  # fmt: skip
    assert values.loc[("C3", "IL-6"), "upper"] == pytest.approx(3.2), "below its limit, though a number was given"
    assert values.loc[("C1", "CCL18"), "lower"] == pytest.approx(500) and pd.isna(values.loc[("C1", "CCL18"), "upper"])


def test_a_limit_without_a_number_is_below_it() -> None:
    tables = study(cytokines__concentrations=[result("C2", None, qualifier="<", lloq_pg_ml=3.2)])
    one = assayed(tables).tables["cytokine_values"].iloc[0]
    assert (one["censoring"], one["upper"]) == ("left", pytest.approx(3.2)) and pd.isna(one["lower"])


# ---- working range


def levels(recovery: list[float], cv: list[float] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "expected": [2.0**i for i in range(len(recovery))],
            "recovery_pct": recovery,
            "cv_pct": cv or [5.0] * len(recovery),
        }
    )


@pytest.mark.parametrize(
    ("recovery", "cv", "rules", "ends"),
    [
        ([75, 100, 100, 100, 125], None, Rules(), (2, 8)),
        ([75, 100, 100, 100, 125], None, Rules(end_recovery_low_pct=70, end_recovery_high_pct=130), (1, 16)),
        ([75, 75, 100, 100, 125], None, Rules(end_recovery_low_pct=70, end_recovery_high_pct=130), (4, 16)),
        ([79.9, 80, 120, 120.1, 100], None, Rules(), (2, 4)),
        ([100] * 5, [5, 20, 20.1, 5, np.nan], Rules(), (8, 16)),
        ([100] * 5, [5, 20, 20.1, 5, np.nan], Rules(cv_max_pct=25), (1, 16)),
        ([100, 100, 100, 50, 100], None, Rules(), (1, 4)),
        ([100, 50, 100, 50, 100], None, Rules(), (np.nan, np.nan)),
        ([], None, Rules(), (np.nan, np.nan)),
    ],
    ids=["80 to 120", "wider at the ends", "the ends alone", "edges", "CV 20", "CV 25", "unbroken", "alone", "none"],
)
def test_the_working_range_ends_where_standards_no_longer_come_back(
    recovery: list[float], cv: list[float] | None, rules: Rules, ends: tuple[float, float]
) -> None:
    assert working_range(levels(recovery, cv), rules, 0.0) == pytest.approx(ends, nan_ok=True)


def test_the_working_range_begins_above_a_lod_that_is_used() -> None:
    assert working_range(levels([100] * 5), Rules(), 1.5) == (2, 16)
