"""A table as a reader sees it: caption, units under the headings, rounded numbers, footnotes."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from helpers.core.numbers import show

MOST_ROWS = 200
SHOWN_ROWS = 50
_TRUTH = {True: "yes", False: "no"}


@dataclass(frozen=True)
class TableView:
    """A table for display; Jupyter shows its HTML, nbval compares its text and HTML.

    Parameters
    ----------
    frame
        Values, one row a line of the table.
    caption
        What the table is, in one sentence.
    footnotes
        Sentences below the table.
    labels
        Heading of a column where its name is not good enough; a line break separates the unit.
    file
        CSV file that holds the whole table, named where rows are left out.
    """

    frame: pd.DataFrame
    caption: str
    footnotes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    file: str = ""

    def _rows(self) -> pd.DataFrame:
        return self.frame if len(self.frame) <= MOST_ROWS else self.frame.head(SHOWN_ROWS)

    def headings(self) -> list[str]:
        """Headings of the columns; a unit follows after a line break."""
        return [self.labels.get(str(c), str(c)) for c in self.frame]

    def texts(self) -> list[list[str]]:
        """The cells of the rows that are shown, as text."""
        return [[_text(v) for v in row] for row in self._rows().itertuples(index=False, name=None)]

    def numeric(self) -> dict[str, bool]:
        """Whether a column holds numbers, by its name."""
        kinds = {str(c): self.frame[c].dtype for c in self.frame}
        return {
            c: pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for c, kind in kinds.items()
        }

    def notes(self) -> list[str]:
        """Sentences below the table, what was left out first."""
        left_out = len(self.frame) - len(self._rows())
        where = f" The whole table is in {self.file}." if self.file else ""
        more = [f"{len(self._rows()):,} of {len(self.frame):,} rows are shown.{where}"] if left_out else []
        return [*more, *self.footnotes]

    def _repr_html_(self) -> str:
        numeric = self.numeric()
        head = "".join(
            f'<th scope="col"{" class=num" if numeric[str(c)] else ""}>{_heading(heading)}</th>'
            for c, heading in zip(self.frame, self.headings(), strict=True)
        )
        body = "".join(
            "<tr>" + "".join(_cell(row[j], numeric[str(c)]) for j, c in enumerate(self.frame)) + "</tr>"
            for row in self._rows().itertuples(index=False, name=None)
        )
        if not len(self.frame):
            body = f'<tr><td colspan="{max(1, self.frame.shape[1])}">No rows.</td></tr>'
        notes = "".join(f"<li>{html.escape(n)}</li>" for n in self.notes())
        return (
            f'<div class="table-wrap" role="region" aria-label="{html.escape(self.caption)}" tabindex="0"><table class="apap"><caption>{html.escape(self.caption)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
            + (f'<ul class="footnotes">{notes}</ul>' if notes else "")
        )

    def __repr__(self) -> str:
        cells = self.texts()
        headings = [h.replace("\n", ", ") for h in self.headings()]
        widths = [max([len(h), *(len(r[j]) for r in cells)]) for j, h in enumerate(headings)]
        lines = [self.caption, "  ".join(h.ljust(w) for h, w in zip(headings, widths, strict=True)).rstrip()]
        lines += ["  ".join(t.ljust(w) for t, w in zip(r, widths, strict=True)).rstrip() for r in cells] or ["No rows."]
        return "\n".join([*lines, *self.notes()])


def _heading(label: str) -> str:
    name, _, unit = label.partition("\n")
    return html.escape(name) + (f' <span class="unit">{html.escape(unit)}</span>' if unit else "")


def _cell(value: Any, numeric: bool) -> str:
    text = html.escape(_text(value))
    if numeric:
        # no more digits than order needs: the last ones differ from processor to processor
        raw = "" if pd.isna(value) else f"{float(value):.4g}"
        return f'<td class="num" data-sort="{raw}">{text}</td>'
    return f"<td>{text}</td>"


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "; ".join(map(str, value))
    if value is None or pd.isna(value):
        return ""
    if value is True or value is False or str(type(value).__name__) in ("bool_", "bool"):
        return _TRUTH[bool(value)]
    if isinstance(value, int) or (hasattr(value, "dtype") and value.dtype.kind in "iu"):
        return show(int(value))
    if isinstance(value, float):
        return show(float(value))
    return str(value)


def show_table(
    frame: pd.DataFrame,
    caption: str,
    footnotes: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    file: str = "",
) -> TableView:
    """A frame as a readable table.

    Parameters
    ----------
    frame
        What to show; long frames are cut at 50 rows, with a sentence that names `file`.
    caption
        One sentence.
    footnotes
        Sentences below.
    labels
        Headings by column name; a unit follows after a line break.
    file
        Name of the CSV file with all rows.

    Examples
    --------
    >>> show_table(pd.DataFrame({"donor_id": ["D01"], "pao2": [58.04]}), "Donors.", labels={"pao2": "PaO2\\nmmHg"})
    Donors.
    donor_id  PaO2, mmHg
    D01       58.0
    """
    return TableView(frame.reset_index(drop=True), caption, tuple(footnotes), dict(labels or {}), file)
