"""Numbers as readers and spreadsheets see them."""

from __future__ import annotations

import io
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.core.numbers import show, show_interval, show_p, write_csv


@pytest.mark.parametrize(
    ("value", "text"),
    [(9.996, "10.0"), (0.00099999, "0.00100"), (99.95, "100"), (1234.5, "1,234"), (-0.5, "−0.500"), (0, "0"), (0.0, "0"), (math.nan, ""), (math.inf, "∞"), (-math.inf, "−∞"),
     (7, "7"), (1e-9, "1.00e−09"), (123456789, "123,456,789")],
)  # fmt: skip
def test_show(value: float, text: str) -> None:
    assert show(value) == text


@given(st.floats(min_value=1e-5, max_value=1e7))
def test_what_is_shown_is_within_half_a_unit_of_the_third_digit(value: float) -> None:
    shown = float(show(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=0.0051)


def test_p_values() -> None:
    assert [show_p(p) for p in (0.0004, 0.001, 0.04999, 1.0, None)] == ["<0.001", "0.001", "0.050", "1.000", ""]
    with pytest.raises(ValueError, match="between 0 and 1"):
        show_p(1.2)


def test_intervals() -> None:
    assert show_interval(-1.0, math.inf) == "−1.00 to ∞"
    assert show_interval(None, 1.0) == ""


@given(st.lists(st.floats(min_value=-1e300, max_value=1e300), min_size=1, max_size=20))
def test_csv_keeps_ten_digits(values: list[float]) -> None:
    back = pd.read_csv(io.StringIO(write_csv(pd.DataFrame({"x": values}))))["x"]
    assert back.tolist() == pytest.approx(values, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-2+3", "\t=1", '=HYPERLINK("x")'])
def test_no_cell_runs_as_a_formula(cell: str) -> None:
    text = write_csv(pd.DataFrame({"note": [cell]}))
    assert text.splitlines()[1].lstrip('"').startswith("'")


@pytest.mark.parametrize("sign", ["=", "<", ">", "+", "-"])
def test_a_sign_alone_is_a_qualifier_and_no_formula(sign: str) -> None:
    assert write_csv(pd.DataFrame({"qualifier": [sign]})) == f"qualifier\n{sign}\n"


def test_numbers_in_text_keep_their_sign() -> None:
    assert write_csv(pd.DataFrame({"x": ["-1.5", "+3", "-"]})) == "x\n-1.5\n+3\n-\n"
