"""The data dictionary, data_schema/README.md, from the schemas: what to write into which column.

``python -m helpers.study.dictionary`` writes it, and redcap_dictionary.csv beside it.
"""

from __future__ import annotations

from typing import Any

from helpers.core.files import write_atomically
from helpers.core.schemas import SCHEMAS, Field, TableSchema, input_tables, lab_tests, output_tables, study_schema
from helpers.study.cells import expected_of
from helpers.study.redcap import redcap_dictionary

INTRODUCTION = """\
# Data dictionary

This page is generated from the schemas in this folder by `make dictionary`; a test fails when it is stale.

## How to fill in a study

A study is one folder. `apap new mystudy` makes an empty one with `study.yaml` and `template.xlsx`: one sheet for each
table, drop-downs for coded columns and a note on every heading.

- **One row is one thing**: a donor, a laboratory result, a culture well. The key column says which.
- **Missing is an empty cell.** No NA, no dash, no zero. A yes/no column left empty means not recorded, never no.
- **Days, never dates.** Study days count from the first lavage (0), batch and run days from a private origin.
- **Codes, never names.** Donors, operators and MSC donors have codes. Names, identity numbers, telephone numbers, e-mail and
  calendar dates are refused before anything is read further, and are never printed.
- **One unit a column**, or a column `unit` beside the value, with the units listed for each laboratory test below.
- **Numbers are numbers.** `<5` is the value 5 with the qualifier `<`.
- **Columns of your own** begin with `x_`; they and `comment` are kept, scanned for identities and otherwise not used. A lone
  word there that could be a person's name is a warning, and dots stand for it.
- **One sign for decimals** in a table: beside `12,5`, `1.234` is refused, since the point may separate thousands.
- **REDCap**: `redcap_dictionary.csv` beside this page makes the forms for donors and clinical_labs (set clinical_labs as a
  repeating instrument); export raw codes.
- Optional tables and columns may be left out. The smallest study is study.yaml, donors, cultures and one assay. Without
  specimens, `specimen_id` of a culture is the donor's code; without msc_lots, no culture needs an MSC lot.

Tables may be CSV files (comma, semicolon or tab; UTF-8, UTF-16 or GB18030), one .xlsx a table, or sheets of one workbook,
named as the table with `_` for `/` (`cytokines_plates`). Instrument files stay as the instrument wrote them, in
`cytokines/raw`, `phenotype/fcs` and `phagocytosis/raw`. Chinese spellings of codes are accepted where they are listed.

An example, donors and cultures:

| donor_id | group | sex | age_years | consent_signed | diagnosis | smoking_status |
|---|---|---|---|---|---|---|
| D01 | apap | male | 44 | yes | autoimmune_pap | never |
| D02 | apap | 女 | 51 | yes | autoimmune_pap | ex |
| D19 | control | female | 39 | yes | none |  |

| culture_id | specimen_id | condition | msc_lot_id | timepoint_h | replicate | am_per_well | msc_per_well |
|---|---|---|---|---|---|---|---|
| C001 | S01 | am |  | 24 | 1 | 100000 | 0 |
| C002 | S01 | am_msc | M1 | 24 | 1 | 100000 | 20000 |
| C003 |  | msc | M1 | 24 | 1 | 0 | 20000 |
"""


def dictionary() -> str:
    """The whole page as Markdown.

    Examples
    --------
    >>> dictionary().splitlines()[0]
    '# Data dictionary'
    """
    inputs, outputs = input_tables(), output_tables()
    parts = [
        INTRODUCTION,
        "## Contents",
        "Tables that go in: " + ", ".join(_link(n) for n in _ordered(inputs)) + ".",
        "[Laboratory tests](#laboratory-tests), [study.yaml](#studyyaml).",
        "Tables that come out: " + ", ".join(_link(n) for n in outputs) + ".",
        "## Tables that go in",
    ]
    parts += [_table(inputs[name], goes_in=True) for name in _ordered(inputs)]
    parts += [
        _labs(),
        _study_yaml(),
        "## Tables that come out\n\nWritten to `<out>/tables/*.csv` and into one workbook; numbers with 10 significant digits.",
    ]
    parts += [_table(schema, goes_in=False) for schema in outputs.values()]
    return "\n\n".join(parts) + "\n"


def _ordered(schemas: dict[str, TableSchema]) -> list[str]:
    """The tables of people and cells first, then the assays."""
    first = ["donors", "clinical_labs", "specimens", "msc_lots", "cultures", "measurements", "deviations"]
    return [n for n in first if n in schemas] + [n for n in schemas if n not in first]


def _link(name: str) -> str:
    return f"[{name}](#{name.replace('/', '')})"


def _table(schema: TableSchema, goes_in: bool) -> str:
    lines = [f"### {schema.name}", f"{schema.title}. {schema.description}"]
    if schema.primary_key:
        lines.append(
            "Key: " + ", ".join(f"`{k}`" for k in schema.primary_key) + "." + (" Needed." if schema.needed else "")
        )
    if schema.foreign_keys:
        lines.append(
            "Links: " + ", ".join(f"`{k.column}` is a `{k.target}` of {k.table}" for k in schema.foreign_keys) + "."
        )
    rows = (
        ["| column | meaning | what to write | |", "|---|---|---|---|"]
        if goes_in
        else ["| column | meaning | type | unit |", "|---|---|---|---|"]
    )
    for one in schema.fields:
        rows.append(
            _input_row(one)
            if goes_in
            else f"| `{one.name}` | {_cell(one.description)} | {one.type} | {_cell(one.unit)} |"
        )
    return "\n\n".join(lines) + "\n\n" + "\n".join(rows)


def _input_row(one: Field) -> str:
    extra = []
    if one.synonyms and one.type != "boolean":
        extra.append("also " + ", ".join(f"{s} = {c}" for s, c in one.synonyms.items()))
    if one.usual:
        extra.append(f"usually {one.usual[0]:g} to {one.usual[1]:g}")
    if one.default is not None:
        extra.append(f"empty means {one.default}")
    return f"| `{one.name}`{' **needed**' if one.required else ''} | {_cell(one.description)} | {_cell(expected_of(one))} | {_cell('; '.join(extra))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _labs() -> str:
    rows = [
        "## Laboratory tests",
        "Values are converted to the first unit. Units without a factor are kept as reported and count as missing in rules.",
        "",
        "| test_code | test | units (factor) | possible | usual |",
        "|---|---|---|---|---|",
    ]
    for code, test in lab_tests().items():
        units = ", ".join(
            f"{u} (× {f:g})" if f not in (1, None) else u if f == 1 else f"{u} (not converted)"
            for u, f in test["units"].items()
            if u
        )
        limits, usual = (
            "" if not t else f"{t[0]:g} to {t[1]:g} {test['unit']}" for t in (test["limits"], test["usual"])
        )
        rows.append(f"| `{code}` | {test['title']} | {units or 'pos or neg'} | {limits} | {usual} |")
    return "\n".join([rows[0], "", *rows[1:]])


def _study_yaml() -> str:
    rows = ["## study.yaml", "", "| key | meaning | what to write | default |", "|---|---|---|---|"]
    rows += [
        f"| `{key}`{' **needed**' if needed else ''} | {_cell(part.get('description', ''))} | {_cell(_allowed(part))} | {_cell(_default(part))} |"
        for key, part, needed in _keys(study_schema(), "")
    ]
    return "\n".join(rows)


def _keys(schema: dict[str, Any], prefix: str) -> list[tuple[str, dict[str, Any], bool]]:
    found = []
    for name, part in schema.get("properties", {}).items():
        key = f"{prefix}{name}"
        found.append((key, part, name in schema.get("required", ())))
        found += _keys(part, f"{key}.")
        found += _keys(part.get("items", {}), f"{key}[].")
    return found


def _allowed(part: dict[str, Any]) -> str:
    if "enum" in part:
        return ", ".join(map(str, part["enum"]))
    if part.get("type") == "array":
        return "a list" + (" of " + ", ".join(part["items"]["enum"]) if "enum" in part.get("items", {}) else "")
    kind = part.get("type", "")
    return {
        "object": "a block",
        "string": "text",
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
    }.get(str(kind), "a date as YYYY-MM-DD" if "pattern" in part else "text or nothing")


def _default(part: dict[str, Any]) -> str:
    value = part.get("default", "")
    return "" if value in ({}, None, "") else str(value).lower() if isinstance(value, bool) else str(value)


def main() -> None:
    """Write the dictionary, and REDCap's."""
    write_atomically(SCHEMAS / "README.md", dictionary())
    write_atomically(SCHEMAS / "redcap_dictionary.csv", redcap_dictionary())


if __name__ == "__main__":
    main()
