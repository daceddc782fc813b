"""Numbers of the planning page, against the table of precision computed beforehand elsewhere."""

from __future__ import annotations

import pytest
from statsmodels.stats.power import TTestPower

from helpers.stats.planning import group_precision, paired_precision, variance_budget


@pytest.mark.parametrize(
    ("n", "d80", "d90", "half", "p"),
    [
        (8, 1.16, 1.34, 0.84, 0.0078),
        (10, 1.00, 1.16, 0.72, 0.0020),
        (13, 0.85, 0.98, 0.60, 0.00024),
        (20, 0.66, 0.76, 0.47, 2e-6),
        (26, 0.57, 0.66, 0.40, 3e-8),
    ],
)
def test_pairs(n: int, d80: float, d90: float, half: float, p: float) -> None:
    found = paired_precision([n]).iloc[0]
    assert found[["detectable_80", "detectable_90", "half_width"]].tolist() == pytest.approx(
        [d80, d90, half], abs=0.006
    )
    assert found["smallest_p"] == pytest.approx(p, rel=0.05)


@pytest.mark.parametrize("n", [299, 301, 1000, 5200])
def test_many_pairs_have_the_power_that_is_asked(n: int) -> None:
    found = paired_precision([n]).iloc[0]
    for power, detectable in ((0.8, found["detectable_80"]), (0.9, found["detectable_90"])):
        assert TTestPower().power(detectable, n, 0.05) == pytest.approx(power, abs=1e-4)


@pytest.mark.parametrize(("n", "m", "d"), [(13, 13, 1.15), (16, 10, 1.18), (18, 8, 1.24), (20, 6, 1.36)])
def test_groups(n: int, m: int, d: float) -> None:
    assert group_precision([(n, m)])["detectable_80"].iloc[0] == pytest.approx(d, abs=0.006)


@pytest.mark.parametrize(("tests", "d"), [(10, 1.22), (20, 1.33), (30, 1.40)])
def test_pairs_with_bonferroni(tests: int, d: float) -> None:
    assert paired_precision([13], level=1 - 0.05 / tests)["detectable_80"].iloc[0] == pytest.approx(d, abs=0.006)


def test_one_more_donor_buys_more_than_one_more_assay_well() -> None:
    budget = variance_budget(0.7, 0.3, 0.2, donors=13, cultures=2, assay_wells=2).set_index("source")
    assert budget["share"].sum() == pytest.approx(1)
    now = budget["half_width"].iloc[0]
    assert budget.loc["donor", "half_width_one_more"] < budget.loc["culture", "half_width_one_more"] < now
    assert budget.loc["assay", "half_width_one_more"] < now


def test_measurement_error_above_the_observed_spread_leaves_no_negative_variance() -> None:
    budget = variance_budget(0.1, 0.5, 0.1, donors=6, cultures=2, assay_wells=2)
    assert (budget["variance"] >= 0).all()
