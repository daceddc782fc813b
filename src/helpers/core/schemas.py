"""The data contract: the Frictionless Table Schemas of data_schema/, as Python objects.

The JSON files are the only place where a column, a unit, a code or a limit is written down. Readers of
tables, the dictionary, the template and the output tables all come from them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from helpers.core.files import PROJECT

SCHEMAS = PROJECT / "data_schema"

FieldType = Literal["string", "integer", "number", "boolean"]


@dataclass(frozen=True)
class Field:
    """One column of a table.

    Parameters
    ----------
    name, type, title, description
        As in the Table Schema; `type` is string, integer, number or boolean.
    unit
        Unit of the numbers, empty where there is none.
    required
        Whether every row needs a value.
    codes
        Allowed values, empty where free; `synonyms` maps other accepted spellings to one of them.
    minimum, maximum
        Limits beyond which a value is an error; `usual` holds the limits beyond which it is a warning.
    pattern
        Regular expression the whole text must match; `pattern_setting` names the entry of
        ``id_patterns`` in study.yaml that replaces it.
    default
        What an empty cell or an absent column means, None where it means missing.
    identifier
        Whether the column holds a study code that must never be a person's real identifier.
    """

    name: str
    type: FieldType
    title: str
    description: str
    unit: str = ""
    required: bool = False
    codes: tuple[str, ...] = ()
    synonyms: dict[str, str] = field(default_factory=dict)
    minimum: float | None = None
    maximum: float | None = None
    usual: tuple[float, float] | None = None
    pattern: str = ""
    pattern_setting: str = ""
    default: str | int | float | bool | None = None
    identifier: bool = False


@dataclass(frozen=True)
class ForeignKey:
    """A column whose values must stand in a column of another table."""

    column: str
    table: str
    target: str


@dataclass(frozen=True)
class TableSchema:
    """One table: its columns, key and links, and the JSON it came from (`descriptor`)."""

    name: str
    title: str
    description: str
    fields: tuple[Field, ...]
    primary_key: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]
    needed: bool
    descriptor: dict[str, Any]

    def field(self, name: str) -> Field:
        """The column called `name`; KeyError where there is none."""
        for one in self.fields:
            if one.name == name:
                return one
        raise KeyError(name)

    @property
    def columns(self) -> list[str]:
        """Column names in order."""
        return [one.name for one in self.fields]


def _read(path: Path, name: str) -> TableSchema:
    raw = json.loads(path.read_text(encoding="utf-8"))
    return TableSchema(
        name=name,
        title=raw["title"],
        description=raw["description"],
        fields=tuple(_field(f) for f in raw["fields"]),
        primary_key=tuple(raw.get("primaryKey", ())),
        foreign_keys=tuple(
            ForeignKey(k["fields"], k["reference"]["resource"], k["reference"]["fields"])
            for k in raw.get("foreignKeys", ())
        ),
        needed=raw.get("needed", False),
        descriptor=raw,
    )


def _field(raw: dict[str, Any]) -> Field:
    limits = raw.get("constraints", {})
    usual = raw.get("usual")
    return Field(
        name=raw["name"],
        type=raw["type"],
        title=raw["title"],
        description=raw["description"],
        unit=raw.get("unit", ""),
        required=limits.get("required", False),
        codes=tuple(limits.get("enum", ())),
        synonyms=raw.get("synonyms", {}),
        minimum=limits.get("minimum"),
        maximum=limits.get("maximum"),
        usual=(usual[0], usual[1]) if usual else None,
        pattern=limits.get("pattern", ""),
        pattern_setting=raw.get("patternSetting", ""),
        default=raw.get("default"),
        identifier=raw.get("identifier", False),
    )


@cache
def _folder(kind: str) -> dict[str, TableSchema]:
    root = SCHEMAS / kind
    names = {p: p.relative_to(root).with_suffix("").as_posix() for p in sorted(root.rglob("*.json"))}
    return {name: _read(path, name) for path, name in names.items()}


def input_tables() -> dict[str, TableSchema]:
    """Schemas of all tables a study folder may hold, by name (``donors``, ``cytokines/plates``).

    Examples
    --------
    >>> input_tables()["donors"].primary_key
    ('donor_id',)
    """
    return _folder("inputs")


def output_tables() -> dict[str, TableSchema]:
    """Schemas of all tables that come out, by name (``eligibility``, ``effects``).

    Examples
    --------
    >>> output_tables()["eligibility"].columns[:2]
    ['donor_id', 'criterion_id']
    """
    return _folder("outputs")


@cache
def study_schema() -> dict[str, Any]:
    """The JSON Schema of study.yaml, as a dictionary."""
    schema: dict[str, Any] = json.loads((SCHEMAS / "study.schema.json").read_text(encoding="utf-8"))
    return schema


@cache
def lab_tests() -> dict[str, dict[str, Any]]:
    """What is known of each laboratory test: canonical unit, accepted units, limits.

    Examples
    --------
    >>> lab_tests()["pao2"]["unit"]
    'mmHg'
    """
    tests: dict[str, dict[str, Any]] = json.loads((SCHEMAS / "lab_tests.json").read_text(encoding="utf-8"))
    return tests
