"""Courses of uptake: rate, area, plateau."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.assays.phagocytosis.kinetics import course

TIMES = np.array([0.0, 10, 20, 30, 45, 60, 90, 120])


def rise(plateau: float, k: float, start: float = 2.0) -> np.ndarray:
    return start + (plateau - start) * -np.expm1(-k * TIMES)


def test_an_exact_rise_gives_its_plateau_and_rate_constant() -> None:
    found = course(TIMES, rise(50.0, 0.04))
    assert (found.plateau, found.rate_constant, found.status) == (pytest.approx(50.0), pytest.approx(0.04), "ok")
    assert found.auc == pytest.approx(float(np.trapezoid(rise(50.0, 0.04), TIMES)))


def test_the_interval_of_the_plateau_holds_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside, done = 0, 0
    for _ in range(150):
        found = course(TIMES, rise(50.0, 0.04) + rng.normal(0, 1.5, len(TIMES)))
        if found.status == "ok":
            done += 1
            inside += found.plateau_low <= 50 <= found.plateau_high
    assert done > 140 and inside / done == pytest.approx(0.95, abs=0.06)


def test_a_rise_that_goes_on_has_no_plateau() -> None:
    found = course(TIMES, 2 + 0.1 * TIMES)
    assert found.status == "not_reached" and np.isnan(found.plateau)
    assert found.initial_rate == pytest.approx(0.1)


def test_order_of_times_and_repeats_do_not_matter() -> None:
    values = rise(40.0, 0.03)
    turned = course(TIMES[::-1], values[::-1])
    doubled = course(np.repeat(TIMES, 2), np.repeat(values, 2))
    assert turned == course(TIMES, values) == doubled


@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, np.nan, 2.0], [], [np.nan] * 5])
def test_too_few_times_give_nothing_and_say_so(values: list[float]) -> None:
    found = course(np.arange(float(len(values))), np.array(values))
    assert found.status == "too_few_times" and np.isnan(found.initial_rate)


def test_a_flat_course_is_its_own_plateau() -> None:
    found = course(TIMES, np.full(len(TIMES), 3.0))
    assert (found.initial_rate, found.auc) == (0.0, pytest.approx(360.0))
