"""How numbers are written: one rule for screens, one for CSV files.

Every number that a reader sees passes `show`, so that the last bit of a float never decides what a
stored notebook looks like.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

CSV_DIGITS = 10
"""Significant digits of every number in a CSV table."""

SEED = 5640687
"""Seed of every resampling, the registry's number, so that a report can be repeated digit by digit."""

MINUS = "\N{MINUS SIGN}"


def show(value: float | int | None, digits: int = 3) -> str:
    """A number for a reader: `digits` significant digits, plain notation, real minus sign.

    Whole numbers keep all their digits; missing is an empty string.

    Parameters
    ----------
    value
        Any real number, or None / NaN for missing.
    digits
        Significant digits, at least 1.

    Examples
    --------
    >>> show(0.0123456), show(1234.5), show(-2.5), show(None), show(7)
    ('0.0123', '1,234', '−2.50', '', '7')
    """
    if value is None or value != value:
        return ""
    if math.isinf(value):
        return ("" if value > 0 else MINUS) + "∞"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 10**digits):
        return f"{int(value):,}".replace("-", MINUS)
    if value == 0:
        return "0"
    if abs(value) < 1e-6:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    # round first, then count the digits before the point, so that 9.996 becomes 10.0 and not 10.00
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{value:,.{min(decimals, 12)}f}".replace("-", MINUS)


def show_p(p: float | None) -> str:
    """A p-value for a reader: three decimals, and ``<0.001`` below that.

    Examples
    --------
    >>> show_p(0.04321), show_p(0.00002), show_p(None)
    ('0.043', '<0.001', '')
    """
    if p is None or p != p:
        return ""
    if not 0 <= p <= 1:
        raise ValueError(f"a p-value lies between 0 and 1, not at {p}")
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def show_interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval for a reader, ``low to high``; an unbounded end is shown as ∞.

    Examples
    --------
    >>> show_interval(0.5, 1.25)
    '0.500 to 1.25'
    """
    if low is None or high is None or low != low or high != high:
        return ""
    return f"{show(low, digits)} to {show(high, digits)}"


def write_csv(table: pd.DataFrame) -> str:
    """A table as CSV text: UTF-8 content, LF line ends, `CSV_DIGITS` significant digits, no index.

    Cells that a spreadsheet would run as a formula are kept as text by a leading apostrophe.

    Examples
    --------
    >>> import pandas as pd
    >>> write_csv(pd.DataFrame({"x": [1 / 3], "note": ["=1+1"]}))
    "x,note\\n0.3333333333,'=1+1\\n"
    """
    out = table.copy()
    for name in out.columns:
        if out[name].dtype == object or str(out[name].dtype).startswith(("string", "str", "category")):
            out[name] = out[name].map(_harmless)
    return str(out.to_csv(index=False, lineterminator="\n", float_format=f"%.{CSV_DIGITS}g"))


def _harmless(cell: object) -> object:
    """Text that no spreadsheet runs: =, +, -, @ and control characters before more text get an apostrophe.

    A sign alone (the qualifier = of a value) is no formula and stays.
    """
    if isinstance(cell, str) and cell and (cell[0] in "@\t\r" or (cell[0] in "=+-" and len(cell) > 1)):
        try:
            float(cell)
        except ValueError:
            return "'" + cell
    return cell
