"""study.yaml: what the study is, read into one object with every default filled in.

The file is YAML without tags, anchors aside plain data. Every mistake is reported with its line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar, cast

import yaml

from helpers.core.problems import Problem
from helpers.core.schemas import study_schema

FILE = "study.yaml"
Path_ = tuple[str | int, ...]
Coded = TypeVar("Coded", "Group", "Condition")


@dataclass(frozen=True)
class Group:
    """A group of donors; `role` is disease or control."""

    code: str
    label: str
    role: str
    control_source: str = ""
    target_n: int | None = None


@dataclass(frozen=True)
class Condition:
    """One fully stated treatment of cells; doses are in `dose_unit`, the ratio is MSC per macrophage."""

    code: str
    label: str
    cells: str
    role: str
    format: str = "mono"
    msc_am_ratio: float | None = None
    stimulus: str = ""
    dose: float | None = None
    dose_unit: str = ""
    compare_to: str = ""

    @property
    def has_macrophages(self) -> bool:
        """Whether donors' macrophages are in the well."""
        return self.cells in ("am", "am_msc")

    @property
    def has_msc(self) -> bool:
        """Whether MSC or what they made are in the well."""
        return self.cells in ("am_msc", "msc")


@dataclass(frozen=True)
class Config:
    """study.yaml with all defaults; `settings` is the whole of it as plain data."""

    id: str
    title: str
    registry_id: str
    simulated: bool
    groups: tuple[Group, ...]
    conditions: tuple[Condition, ...]
    settings: dict[str, Any]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Config:
        """Build from plain data that satisfies data_schema/study.schema.json, adding its defaults.

        Examples
        --------
        >>> config = Config.from_settings({
        ...     "id": "demo", "title": "Demo",
        ...     "groups": [{"code": "apap", "label": "aPAP", "role": "disease"}],
        ...     "conditions": [{"code": "am", "label": "AM", "cells": "am", "role": "reference"}]})
        >>> config.settings["eligibility"]["shunt_limit_pct"], config.condition("am").format
        (10, 'mono')
        """
        full = cast(dict[str, Any], with_defaults(dict(settings), study_schema()))
        return cls(
            id=full["id"],
            title=full["title"],
            registry_id=full.get("registry_id", ""),
            simulated=full["simulated"],
            groups=tuple(Group(**g) for g in full["groups"]),
            conditions=tuple(Condition(**c) for c in full["conditions"]),
            settings=full,
        )

    def group(self, code: str) -> Group:
        """The group with this code; KeyError where there is none."""
        return _by_code(self.groups, code)

    def condition(self, code: str) -> Condition:
        """The condition with this code; KeyError where there is none."""
        return _by_code(self.conditions, code)

    def groups_of(self, role: str) -> list[str]:
        """Codes of the groups with this role (disease or control), in the order of study.yaml."""
        return [g.code for g in self.groups if g.role == role]


def _by_code(things: tuple[Coded, ...], code: str) -> Coded:
    for thing in things:
        if thing.code == code:
            return thing
    raise KeyError(code)


def with_defaults(value: Any, schema: Mapping[str, Any]) -> Any:
    """A copy of `value` in which absent keys have the schema's ``default``, at every depth."""
    if isinstance(value, dict):
        known = schema.get("properties", {})
        filled = {k: with_defaults(v, known.get(k, {})) for k, v in value.items()}
        for name, part in known.items():
            if name not in filled and "default" in part:
                filled[name] = with_defaults(part["default"], part)
        return filled
    if isinstance(value, list):
        return [with_defaults(v, schema.get("items", {})) for v in value]
    return value


class _Loader(yaml.SafeLoader):
    """Safe loading that keeps dates as text: the schema says which texts are dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

_MOST_NODES, _DEEPEST = 20_000, 30
"""Entries, counted through their aliases, and how deep they stand in each other; an alias may hold itself."""
_LONGEST_NUMBER = 100
"""Digits; Python refuses to write numbers of more than 4,300, and takes square time to read others."""
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))


def read_config(text: str) -> tuple[dict[str, Any], dict[Path_, int], list[Problem]]:
    """Text of study.yaml as plain data, the line of every entry, and what is wrong with it.

    Parameters
    ----------
    text
        The whole file.

    Returns
    -------
    settings
        Plain data as written (no defaults); empty where it could not be read.
    lines
        Line, counted from 1, of each entry by its path, ``("groups", 0, "code")``.
    problems
        Syntax, tags, doubled keys, and everything the JSON Schema refuses.

    Examples
    --------
    >>> settings, lines, problems = read_config("id: x\\nidd: y\\n")
    >>> lines[("idd",)], problems[0].code
    (2, 'unknown-key')
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as err:
        mark = getattr(err, "problem_mark", None) or getattr(err, "context_mark", None)
        row = mark.line + 1 if mark else None
        return (
            {},
            {},
            [
                Problem(
                    "error",
                    "yaml-syntax",
                    "This is not valid YAML here.",
                    "Check indentation, colons and quotes near this line.",
                    file=FILE,
                    row=row,
                    expected="key: value, indented by spaces",
                )
            ],
        )
    if node is None or not isinstance(node, yaml.MappingNode):
        return (
            {},
            {},
            [
                Problem(
                    "error",
                    "yaml-empty",
                    "The file holds no settings.",
                    "Start from the study.yaml that `apap new` writes.",
                    file=FILE,
                    expected="a list of key: value pairs",
                )
            ],
        )
    lines: dict[Path_, int] = {}
    problems = list(_walk(node, (), lines))
    if problems:
        return {}, lines, problems
    try:
        settings = cast(dict[str, Any], _Loader("").construct_document(node))
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as err:
        mark = getattr(err, "problem_mark", None) or node.start_mark
        message, fix = "This entry cannot be read.", "Write it as key: value, with plain text or a number."
        return {}, lines, [Problem("error", "yaml-syntax", message, fix, file=FILE, row=mark.line + 1)]
    problems = _against_schema(settings, lines)
    return settings, lines, problems


def _walk(root: yaml.Node, path: Path_, lines: dict[Path_, int]) -> Iterator[Problem]:
    """Note the line of every entry; report tags, aliases by the million and doubled keys."""
    todo: list[tuple[yaml.Node, Path_]] = [(root, path)]
    seen = 0
    while todo:
        node, here = todo.pop()
        row = node.start_mark.line + 1
        lines.setdefault(here, row)
        seen += 1
        if seen > _MOST_NODES or len(here) > _DEEPEST:
            yield Problem(
                "error",
                "yaml-too-large",
                "The file holds far too many entries, or entries far too deep in each other.",
                "Remove repeated anchors; a study.yaml has a few hundred entries.",
                file=FILE,
                row=row,
            )
            return
        if node.tag not in _PLAIN_TAGS:
            yield Problem(
                "error",
                "yaml-tag",
                "A YAML tag (!) stands here; tags are not read.",
                "Write the value as plain text or number.",
                file=FILE,
                row=row,
            )
        yield from _long_number(node)
        if isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                yield from _long_number(key)
                name = str(key.value)
                if name in keys:
                    yield Problem(
                        "error",
                        "duplicate-key",
                        "This key stands twice.",
                        "Keep one of the two.",
                        file=FILE,
                        row=key.start_mark.line + 1,
                        column=name,
                    )
                keys.add(name)
                lines[(*here, name)] = key.start_mark.line + 1
                todo.append((value, (*here, name)))
        elif isinstance(node, yaml.SequenceNode):
            todo += [(item, (*here, i)) for i, item in enumerate(node.value)]


def _long_number(node: yaml.Node) -> Iterator[Problem]:
    if node.tag.endswith((":int", ":float")) and len(node.value) > _LONGEST_NUMBER:
        yield Problem(
            "error",
            "yaml-long-number",
            "This number has far too many digits.",
            "Correct the number; text that looks like a number stands in quotation marks.",
            file=FILE,
            row=node.start_mark.line + 1,
            expected=f"at most {_LONGEST_NUMBER} digits",
        )


def _jsonschema() -> Any:
    """Import jsonschema without its optional URI grammar, which costs 0.9 s and is not used here."""
    absent = "rfc3987_syntax"
    if "jsonschema" not in sys.modules and absent not in sys.modules:
        sys.modules[absent] = None  # type: ignore[assignment]
        try:
            import jsonschema
        finally:
            del sys.modules[absent]
    import jsonschema

    return jsonschema


def _against_schema(settings: dict[str, Any], lines: Mapping[Path_, int]) -> list[Problem]:
    validator = _jsonschema().Draft202012Validator(
        study_schema(), format_checker=_jsonschema().FormatChecker(["regex"])
    )
    return [p for err in validator.iter_errors(settings) for p in _schema_problems(err, lines)]


def _schema_problems(err: Any, lines: Mapping[Path_, int]) -> Iterator[Problem]:
    path: Path_ = tuple(err.absolute_path)
    where = dotted(path)
    if err.validator == "additionalProperties":
        for key in sorted(set(err.instance) - set(err.schema.get("properties", {})), key=str):
            near = get_close_matches(str(key), list(err.schema["properties"]), 1)
            yield Problem(
                "error",
                "unknown-key",
                "This key is not known.",
                "Rename or remove it; the data dictionary lists all keys.",
                file=FILE,
                row=lines.get((*path, key)),
                column=dotted((*path, key)),
                expected=near[0] if near else "",
            )
        return
    if err.validator == "required":
        for key in (k for k in err.validator_value if k not in err.instance):
            yield Problem(
                "error",
                "missing-key",
                "A needed key is missing.",
                "Add it.",
                file=FILE,
                row=lines.get(path),
                column=where,
                expected=str(key),
            )
        return
    found = err.instance if isinstance(err.instance, (str, int, float, bool)) else type(err.instance).__name__
    yield Problem(
        "error",
        "bad-setting",
        "This setting has a value that is not allowed.",
        "Correct it.",
        file=FILE,
        row=lines.get(path),
        column=where,
        found=str(found),
        expected=_expected(err),
    )


def _expected(err: Any) -> str:
    rule, limit = err.validator, err.validator_value
    words: dict[str, Callable[[], str]] = {
        "enum": lambda: "one of " + ", ".join(map(str, limit)),
        "type": lambda: " or ".join([limit] if isinstance(limit, str) else limit),
        "minimum": lambda: f"at least {limit}",
        "exclusiveMinimum": lambda: f"more than {limit}",
        "maximum": lambda: f"at most {limit}",
        "maxLength": lambda: f"at most {limit} characters",
        "minLength": lambda: "text",
        "minItems": lambda: f"at least {limit} entries",
        "uniqueItems": lambda: "each entry once",
        "format": lambda: "a regular expression",
        "pattern": lambda: f"text of the form {limit}",
    }
    return words.get(rule, lambda: str(err.schema.get("description", "")))()


def dotted(path: Path_) -> str:
    """A path in study.yaml as people write it.

    Examples
    --------
    >>> dotted(("groups", 0, "code"))
    'groups[1].code'
    """
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def sound_sections(settings: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The top-level entries in which nothing is wrong, so that tables can still be checked against them.

    Empty where the groups or conditions themselves are not sound: nothing can be checked then.

    Examples
    --------
    >>> bad = Problem("error", "unknown-key", "Not known.", "Rename.", column="alfa")
    >>> sorted(sound_sections({"alfa": 1, "groups": [], "conditions": []}, [bad]))
    ['conditions', 'groups', 'id', 'title']
    """
    wrong = {re.split(r"[.\[]", p.column)[0] for p in problems}
    sound = {"id": "unnamed", "title": "unnamed"} | {k: v for k, v in settings.items() if k not in wrong}
    return sound if {"groups", "conditions"} <= sound.keys() else {}


def config_problems(settings: Mapping[str, Any], lines: Mapping[Path_, int]) -> list[Problem]:
    """What the JSON Schema cannot say: codes used once, references that exist, controls with a source."""
    found = list(_twice(settings, lines)) + list(_references(settings, lines)) + list(_group_rules(settings, lines))
    found += list(_plan_dates(settings, lines)) + list(_condition_rules(settings, lines))
    return found + list(_code_patterns(settings, lines))


def _problem(
    code: str, message: str, fix: str, path: Path_, lines: Mapping[Path_, int], found: str = "", expected: str = ""
) -> Problem:
    row = next((lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in lines), None)
    return Problem("error", code, message, fix, file=FILE, row=row, column=dotted(path), found=found, expected=expected)


def _twice(settings: Mapping[str, Any], lines: Mapping[Path_, int]) -> Iterator[Problem]:
    for section, key in (("groups", "code"), ("conditions", "code")):
        seen: set[str] = set()
        for i, entry in enumerate(settings.get(section, ())):
            if entry[key] in seen:
                yield _problem(
                    "duplicate-code",
                    "This code is used twice.",
                    "Give each entry a code of its own.",
                    (section, i, key),
                    lines,
                    found=entry[key],
                )
            seen.add(entry[key])


def _references(settings: Mapping[str, Any], lines: Mapping[Path_, int]) -> Iterator[Problem]:
    conditions = [c["code"] for c in settings["conditions"]]
    groups = [g["code"] for g in settings["groups"]]
    wanted = [
        (("conditions", i, "compare_to"), c.get("compare_to"), conditions, "condition")
        for i, c in enumerate(settings["conditions"])
    ]
    for i, contrast in enumerate(settings.get("contrasts", ())):
        wanted += [
            (("contrasts", i, arm), contrast.get(arm), conditions, "condition") for arm in ("treatment", "reference")
        ]
        wanted.append((("contrasts", i, "group"), contrast.get("group"), groups, "group"))
    for path, code, known, kind in wanted:
        if code and code not in known:
            near = get_close_matches(code, known, 1) or known
            yield _problem(
                f"unknown-{kind}",
                f"No {kind} has this code.",
                f"Use the code of a {kind} listed above.",
                path,
                lines,
                found=code,
                expected=", ".join(near),
            )


def _group_rules(settings: Mapping[str, Any], lines: Mapping[Path_, int]) -> Iterator[Problem]:
    for i, group in enumerate(settings["groups"]):
        if group["role"] == "control" and not group.get("control_source"):
            yield _problem(
                "control-source",
                "A control group needs the source of its cells.",
                "Add control_source, for example: diagnostic lavage of people without lung disease.",
                ("groups", i),
                lines,
                expected="control_source",
            )


def _condition_rules(settings: Mapping[str, Any], lines: Mapping[Path_, int]) -> Iterator[Problem]:
    for i, one in enumerate(settings["conditions"]):
        path: Path_ = ("conditions", i)
        ratio = one.get("msc_am_ratio")
        if one["cells"] == "am_msc" and ratio is not None and ratio <= 0:
            yield _problem(
                "ratio-contradicts-cells",
                "Co-culture with MSC has an MSC : AM ratio of 0.",
                "Correct cells or msc_am_ratio.",
                (*path, "msc_am_ratio"),
                lines,
                found=str(ratio),
                expected="more than 0",
            )
        if one["cells"] in ("am", "none") and ratio:
            yield _problem(
                "ratio-contradicts-cells",
                "A condition without MSC has an MSC : AM ratio.",
                "Correct cells or msc_am_ratio.",
                (*path, "msc_am_ratio"),
                lines,
                found=str(ratio),
                expected="0 or no ratio",
            )
        if one.get("compare_to") == one["code"]:
            yield _problem(
                "compares-itself",
                "A condition is compared with itself.",
                "Name another condition or none.",
                (*path, "compare_to"),
                lines,
                found=one["code"],
            )
        if one["role"] == "treatment" and not one.get("compare_to"):
            yield _problem(
                "no-comparison",
                "A treatment does not say what it is compared with.",
                "Add compare_to with the code of its reference.",
                path,
                lines,
                expected="compare_to",
            )


def is_pattern(text: str) -> bool:
    """Whether a text is a regular expression that a whole code can be held against.

    Examples
    --------
    >>> is_pattern("D[0-9]+"), is_pattern("("), is_pattern("(?i)d[0-9]+")
    (True, False, False)
    """
    try:
        re.compile(f"^(?:{text})$")
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _code_patterns(settings: Mapping[str, Any], lines: Mapping[Path_, int]) -> Iterator[Problem]:
    for name, text in settings.get("id_patterns", {}).items():
        if not is_pattern(text):
            yield _problem(
                "bad-setting",
                "This regular expression cannot be used for a whole code.",
                "Correct the expression; flags such as (?i) may not stand in front.",
                ("id_patterns", name),
                lines,
                found=text,
                expected="a regular expression, such as D[0-9]{2}",
            )


def _plan_dates(settings: Mapping[str, Any], lines: Mapping[Path_, int]) -> Iterator[Problem]:
    from datetime import date

    plan = settings.get("plan") or {}
    for path, text in (
        (("plan", "date"), plan.get("date")),
        (("first_unblinding_date",), settings.get("first_unblinding_date")),
        (("data_lock_date",), settings.get("data_lock_date")),
    ):
        try:
            if text:
                date.fromisoformat(text)
        except ValueError:
            yield _problem(
                "no-such-date",
                "There is no such day.",
                "Correct the date.",
                cast(Path_, path),
                lines,
                expected="a real date as YYYY-MM-DD",
            )
