"""Problems: what is wrong with a file, said to the person who made the file.

Nothing raises on the first mistake. Every check returns a list of :class:`Problem`, the lists are
joined, and only the one who opens the study decides whether it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Literal

from helpers.core import privacy

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["error", "quarantine", "warning", "repaired"]

SEVERITIES: tuple[Severity, ...] = ("error", "quarantine", "warning", "repaired")
"""From worst to mildest. error: the study is refused. quarantine: one donor, plate or file is set
aside and the rest goes on. warning: look at it. repaired: read as meant, and said."""

_LONGEST_QUOTE = 60
_LONGEST_HEADING = 200


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, where it stands, and how to mend it.

    Text that came out of a file belongs in `file`, `sheet`, `column`, `found`, `expected` and `entity` and
    nowhere else: those are masked here where they look like a person's identity, so that no caller can print one
    by accident. A file whose name may not be shown has the same alias here as in every other output.

    Parameters
    ----------
    severity
        One of `SEVERITIES`.
    code
        Short stable name of the rule, in kebab-case, for tests and filters.
    message
        One sentence: what is wrong. Never quotes a cell.
    fix
        One sentence: what to do about it.
    file, sheet, column
        Where, as the person knows it: path inside the study folder, sheet name, column heading.
    row
        Line of a text file or row of a sheet, counted from 1 as an editor or Excel shows it.
    found, expected
        The cell or name as it stands, and what would have been right.
    entity
        What a quarantine sets aside, as ``"donor D07"``, ``"plate P2"`` or ``"file x.fcs"``.

    Examples
    --------
    >>> print(Problem("error", "unknown-column", "This column is not known.", "Rename or remove it.",
    ...               file="donors.csv", column="agee", expected="age_years"))
    donors.csv, column "agee": This column is not known. Expected: age_years. Rename or remove it.
    """

    severity: Severity
    code: str
    message: str
    fix: str
    file: str = ""
    sheet: str = ""
    row: int | None = None
    column: str = ""
    found: str = ""
    expected: str = ""
    entity: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "file", privacy.alias(self.file))
        for name in ("sheet", "column", "found", "expected", "entity"):
            text = getattr(self, name)
            kind, _, code = text.partition(" ")
            text = f"file {privacy.alias(code)}" if (name, kind) == ("entity", "file") else privacy.mask(text)
            longest = {"found": _LONGEST_QUOTE, "sheet": _LONGEST_HEADING, "column": _LONGEST_HEADING}.get(name)
            if longest and len(text) > longest:
                text = text[: longest - 1] + "…"
            object.__setattr__(self, name, text)

    def place(self) -> str:
        """Where it stands, in words: file, sheet, row, column."""
        parts = [self.file or "study folder"]
        if self.sheet:
            parts.append(f'sheet "{self.sheet}"')
        if self.row is not None:
            parts.append(f"row {self.row}")
        if self.column:
            parts.append(f'column "{self.column}"')
        return ", ".join(parts)

    def __str__(self) -> str:
        said = [f"{self.place()}: {self.message}"]
        if self.found:
            said.append(f'Found: "{self.found}".')
        if self.expected:
            said.append(f"Expected: {self.expected.rstrip('.')}.")
        said.append(self.fix)
        return " ".join(said)


class Refused(Exception):
    """A study or a file that cannot be used; carries every problem found, not only the first.

    Parameters
    ----------
    problems
        All problems; at least one of severity ``error``.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted_problems(problems)
        super().__init__("\n".join(str(p) for p in self.problems))

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows: the sentences, without the lines of code that a reader of a notebook has no use for."""
        return str(self).splitlines()


def sorted_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Order problems worst first, then by file, sheet, row and column; exact repeats once.

    Among errors, those of a whole file, table or column come first, and codes that another table lacks come
    last, since they often are only what the first ones brought about.

    Examples
    --------
    >>> a = Problem("warning", "x", "Odd.", "Look.", file="b.csv")
    >>> b = Problem("error", "y", "Wrong.", "Mend.", file="c.csv")
    >>> [p.code for p in sorted_problems([a, b, a])]
    ['y', 'x']
    """

    def key(p: Problem) -> tuple[int, int, str, str, int, str, str, str]:
        rank = SEVERITIES.index(p.severity)
        whole = p.row is None or not p.column
        order = 0 if p.severity != "error" or whole else 2 if p.code == "unknown-key" else 1
        return (rank, order, p.file, p.sheet, p.row or 0, p.column, p.code, p.entity)

    return sorted(dict.fromkeys(problems), key=key)


def has_errors(problems: Iterable[Problem]) -> bool:
    """Whether any problem refuses the whole study.

    Examples
    --------
    >>> has_errors([Problem("warning", "x", "Odd.", "Look.")])
    False
    """
    return any(p.severity == "error" for p in problems)


def softened(problems: Iterable[Problem], severity: Severity, entity: str = "") -> list[Problem]:
    """The same problems, their errors turned into `severity`, naming the `entity` they concern.

    Used where a damaged plate or FCS file is set aside while the study goes on.

    Examples
    --------
    >>> bad = [Problem("error", "damaged", "The file ends early.", "Export it again.")]
    >>> softened(bad, "quarantine", "file a.fcs")[0].severity
    'quarantine'
    """
    return [replace(p, severity=severity, entity=entity or p.entity) if p.severity == "error" else p for p in problems]


def problems_table(problems: Iterable[Problem]) -> pd.DataFrame:
    """Problems as the output table `problems`, one row each, worst first.

    Examples
    --------
    >>> problems_table([Problem("error", "x", "Wrong.", "Mend.", row=3)])["row"].tolist()
    [3]
    """
    import pandas as pd

    table = pd.DataFrame([asdict(p) for p in sorted_problems(problems)], columns=[f.name for f in fields(Problem)])
    table["row"] = table["row"].astype("Int64")
    order = ["severity", "code", "file", "sheet", "row", "column", "found", "expected", "message", "fix", "entity"]
    return table[order]
