"""Plates against each other: arms apart, bridges, samples run twice, controls in their range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.assays.cytokines import quality
from helpers.assays.cytokines.fitted import Rules
from helpers.assays.cytokines.reading import JoinedPlate
from helpers.core.schemas import input_tables
from helpers.readers.plate import ANALYTES, CURVES, STANDARDS, WELLS, Plate, frame
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
        ],
    }
)


def a_plate(plate_id: str, samples: list[str], day: Any = 1) -> JoinedPlate:
    wells = pd.DataFrame({"sample_id": pd.array(samples, dtype="string"), "role": "sample", "use": True})
    empty = Plate(
        1,
        "xponent",
        "",
        frame([], WELLS),
        frame([], WELLS),
        frame([], STANDARDS),
        frame([], CURVES),
        frame([], ANALYTES),
    )
    return JoinedPlate({"plate_id": plate_id, "run_day": day, "kit_lot": "L1"}, empty, wells, {})


def tables(donors: int = 3) -> dict[str, pd.DataFrame]:
    out = {name: empty_table(schema).frame for name, schema in input_tables().items()}
    rows = [(f"D{i}_{c}", f"S{i}", c) for i in range(1, donors + 1) for c in ("am", "am_msc")]
    cultures = pd.DataFrame(rows, columns=["culture_id", "specimen_id", "condition"]).assign(timepoint_h=24.0)
    out["cultures"] = cultures.reindex(columns=out["cultures"].columns)
    specimens = pd.DataFrame(
        {
            "specimen_id": [f"S{i}" for i in range(1, donors + 1)],
            "donor_id": [f"D{i}" for i in range(1, donors + 1)],
            "visit": "V1",
        }
    )
    out["specimens"] = specimens.reindex(columns=out["specimens"].columns)
    return out


def test_arms_of_one_donor_on_two_plates_are_named() -> None:
    together = [a_plate("P1", ["D1_am", "D1_am_msc", "D2_am", "D2_am_msc"]), a_plate("P2", ["D3_am", "D3_am_msc"])]
    assert quality.arms_apart(together, tables(), CONFIG) == []
    apart = [a_plate("P1", ["D1_am", "D1_am_msc", "D2_am"]), a_plate("P2", ["D2_am_msc", "D3_am", "D3_am_msc"])]
    (found,) = quality.arms_apart(apart, tables(), CONFIG)
    assert (found.code, found.severity) == ("arms-on-different-plates", "warning")
    assert "D2" in found.message and "D1" not in found.message


def test_a_condition_that_no_plate_shares_is_confounded() -> None:
    plates = [a_plate("P1", ["D1_am", "D2_am", "D3_am"]), a_plate("P2", ["D1_am_msc", "D2_am_msc", "D3_am_msc"])]
    assert [p.code for p in quality.arms_apart(plates, tables(), CONFIG)] == ["condition-confounded-with-plate"]


def values(scale: float = 1.0, odd: float = 1.0) -> pd.DataFrame:
    names = [
        ("control 1", 100.0, "control"),
        ("control 2", 900.0 * odd, "control"),
        ("pool", 300.0, "bridge"),
        ("C1", 50.0, "sample"),
    ]
    rows = [(n, a, v * scale, r) for a in ("IL-6", "TNF-a") for n, v, r in names]
    frame_ = pd.DataFrame(rows, columns=["sample_id", "analyte", "conc_pg_ml", "role"])
    return frame_.assign(lower=np.nan, upper=np.nan, conc_se=1.0, lloq_pg_ml=1.0, uloq_pg_ml=9999.0, n_wells=2)


def test_bridges_find_the_shift_and_apply_it_only_when_told() -> None:
    both = {"P1": values(), "P2": values(2.0).query("sample_id != 'C1'")}
    plates = [a_plate("P2", [], day=9), a_plate("P1", [], day=2)]
    shown = quality.bridges(both, plates, Rules())
    assert shown["reference_plate_id"].unique().tolist() == ["P1"]
    assert (
        shown["shift_log2"].tolist() == pytest.approx([1.0, 1.0])
        and shown["agree"].all()
        and not shown["applied"].any()
    )
    assert quality.bridged(both["P2"], "P2", shown).equals(both["P2"])
    applied = quality.bridges(both, plates, Rules(apply_bridging=True))
    moved = quality.bridged(both["P2"], "P2", applied)
    np.testing.assert_allclose(moved["conc_pg_ml"], both["P2"]["conc_pg_ml"] / 2)
    np.testing.assert_allclose(moved["lloq_pg_ml"], 0.5)


def test_bridges_that_disagree_are_never_applied() -> None:
    both = {"P1": values(), "P2": values(1.0, odd=2.0)}
    found = quality.bridges(both, [a_plate("P1", [], 1), a_plate("P2", [], 2)], Rules(apply_bridging=True))
    assert not found["agree"].any() and not found["applied"].any()


def test_a_repeated_sample_is_kept_and_superseded_and_one_on_two_plates_is_said() -> None:
    study = tables()
    study["cytokines/samples"] = pd.DataFrame(
        {"sample_id": ["A", "A2", "B"], "repeat_of": [pd.NA, "A", pd.NA]}
    ).reindex(columns=study["cytokines/samples"].columns)
    rows = [("P1", "A"), ("P2", "A2"), ("P1", "B"), ("P2", "B")]
    frame_ = pd.DataFrame(rows, columns=["plate_id", "sample_id"]).assign(role="sample", qc=["", "", "high_cv", ""])
    found, problems = quality.superseded(frame_, study)
    assert found["qc"].tolist() == ["superseded", "", "high_cv", ""]
    assert [(p.code, p.found) for p in problems] == [("sample-on-two-plates", "B")]


def test_controls_are_held_against_their_range() -> None:
    plate = a_plate("P1", [])
    stated = pd.DataFrame(
        {
            "analyte": ["IL-6", "IL-6", "TNF-a"],
            "sample_id": ["control 1", "control 2", "control 1"],
            "role": "control",
            "expected": [100.0, 500.0, 100.0],
            "low_pg_ml": [80.0, 400.0, np.nan],
            "high_pg_ml": [120.0, 600.0, np.nan],
        }
    )
    plate = JoinedPlate(plate.row, plate.plate, stated, {})
    found = quality.plate_controls({"P1": values()}, [plate], {}).set_index(["analyte", "control"])
    assert found["status"].to_dict() == {
        ("IL-6", "control 1"): "in_range",
        ("IL-6", "control 2"): "out_of_range",
        ("IL-6", "pool"): "no_range",
        ("TNF-a", "control 1"): "no_range",
        ("TNF-a", "control 2"): "no_range",
        ("TNF-a", "pool"): "no_range",
    }
    assert found.loc[("IL-6", "control 2"), "recovery_pct"] == pytest.approx(180)


def test_spikes_stand_with_the_controls_over_run_days() -> None:
    study = tables()
    study["cytokines/samples"] = pd.DataFrame(
        {"sample_id": ["S1", "S2", "S3", "C1"], "spike": ["low", "low", "low", pd.NA]}
    ).reindex(columns=study["cytokines/samples"].columns)
    spikes = quality.spikes_of(study)
    assert spikes == {"S1": "low", "S2": "low", "S3": "low"}

    def of(rows: list[tuple[str, float]]) -> pd.DataFrame:
        frame_ = pd.DataFrame(rows, columns=["sample_id", "conc_pg_ml"]).assign(
            analyte="IL-6", role="sample", n_wells=2
        )
        return quality.with_spikes(frame_, spikes)

    per_plate = {
        "P1": of([("S1", 80.0), ("C1", 5.0)]),
        "P2": of([("S2", 120.0)]),
        "P3": of([("S1", 95.0), ("S3", 90.0)]),
    }
    columns = ["analyte", "sample_id", "role", "expected", "low_pg_ml", "high_pg_ml"]
    plates = [
        JoinedPlate(p.row, p.plate, pd.DataFrame(columns=columns).astype(dict.fromkeys(columns[3:], float)), {})
        for p in (a_plate(f"P{i}", [], day=i) for i in (1, 2, 3))
    ]
    found = quality.plate_controls(per_plate, plates, spikes)
    assert found[["run_day", "role", "control", "conc_pg_ml", "status"]].to_numpy().tolist() == [
        [1, "spike", "low", 80.0, "no_range"],
        [2, "spike", "low", 120.0, "no_range"],
        [3, "spike", "low (S1)", 95.0, "no_range"],
        [3, "spike", "low (S3)", 90.0, "no_range"],
    ]
    logs = np.log([80.0, 120.0])
    assert found["z"].iloc[:2].tolist() == pytest.approx(((logs - logs.mean()) / logs.std(ddof=1)).tolist())
