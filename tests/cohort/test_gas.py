"""Gas exchange against worked examples of textbooks and papers."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from helpers.cohort.gas import (
    alveolar_po2_full_mmhg,
    alveolar_po2_simplified_mmhg,
    chosen_equation,
    disease_severity_score,
    pack_years,
    shunt_estimate_pct,
)

SIMPLIFIED = ("egan_room_air", "egan_fio2_06", "loyola_case")


def test_worked_examples(reference_data: Path) -> None:
    cases = pd.read_csv(reference_data / "stats" / "bloodgas_worked_examples.csv")
    assert len(cases) == 4
    for case in cases.itertuples():
        form = alveolar_po2_simplified_mmhg if case.example_id in SIMPLIFIED else alveolar_po2_full_mmhg
        alveolar = form(case.pb_mmhg, case.fio2, case.paco2_mmhg, case.rq, case.ph2o_mmhg)
        assert alveolar == pytest.approx(case.expected_pao2_alveolar_mmhg, abs=case.tolerance_mmhg), case.example_id
        assert alveolar - case.pao2_mmhg == pytest.approx(case.expected_aa_gradient_mmhg, abs=case.tolerance_mmhg)


def test_the_two_equations_differ_at_room_air_as_published() -> None:
    assert alveolar_po2_full_mmhg(760, 0.21, 40) == pytest.approx(101.8, abs=0.05)
    assert alveolar_po2_simplified_mmhg(760, 0.21, 40) == pytest.approx(99.7, abs=0.05)


def test_the_two_equations_agree_where_r_is_one() -> None:
    for fio2 in (0.21, 0.5, 1.0):
        assert alveolar_po2_full_mmhg(760, fio2, 40, rq=1) == pytest.approx(
            alveolar_po2_simplified_mmhg(760, fio2, 40, rq=1)
        )


def test_shunt_of_the_published_case() -> None:
    assert shunt_estimate_pct(80, 5) == pytest.approx(4.73, abs=0.005)
    assert shunt_estimate_pct(80, 4.5) == pytest.approx(5.22, abs=0.005)


@pytest.mark.parametrize(
    ("fio2", "equation"), [(0.21, "simplified"), (0.3, "simplified"), (0.301, "full"), (1.0, "full")]
)
def test_auto_changes_above_thirty_percent(fio2: float, equation: str) -> None:
    assert chosen_equation("auto", fio2) == equation


@pytest.mark.parametrize(
    ("pao2", "symptoms", "score"),
    [
        (70, False, "1"),
        (70, True, "2"),
        (70, None, "1-2"),
        (69.9, None, "3"),
        (60, True, "3"),
        (59.9, True, "4"),
        (50, False, "4"),
        (49.9, False, "5"),
        (math.nan, True, ""),
    ],
)
def test_severity_at_its_limits(pao2: float, symptoms: bool | None, score: str) -> None:
    assert disease_severity_score(pao2, symptoms) == score


def test_pack_years_given_derived_never_unknown() -> None:
    assert pack_years(12, "ex", 20, 30) == 12
    assert pack_years(math.nan, "ex", 10, 30) == 15
    assert pack_years(math.nan, "never", math.nan, math.nan) == 0
    assert math.isnan(pack_years(math.nan, "current", 20, math.nan))
