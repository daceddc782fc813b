"""An empty study to fill in: study.yaml with comments, a workbook with drop-downs and notes, folders for files."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.comments import Comment
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation

from helpers.core import privacy
from helpers.core.files import write_atomically
from helpers.core.office import without_times
from helpers.core.problems import Problem, Refused
from helpers.core.schemas import Field, TableSchema, input_tables
from helpers.study.cells import expected_of
from helpers.study.folder import INSTRUMENT_FOLDERS
from helpers.study.prefill import prefilled

ROWS = 1000
"""Rows with drop-downs."""

_NEEDED, _OPTIONAL = PatternFill("solid", fgColor="FCE4D6"), PatternFill("solid", fgColor="E8EEF4")
_LONGEST_LIST = 250

STUDY_YAML = """\
# Settings of the study. Lines that begin with # are explanations; every key stands in data_schema/README.md.
id: mystudy                 # short code: letters, digits, - and _
title: Title of the study
registry_id: ""             # number in a trial registry
simulated: false

# Groups of donors. A control group needs the source of its cells.
groups:
  - {code: apap, label: aPAP, role: disease}
  - {code: control, label: Control, role: control, control_source: say where control cells come from}

# Every fully stated treatment is a condition; doses, stimuli and formats are conditions of their own.
# cells: am, am_msc, msc, irrelevant, none. compare_to: the condition it is compared with.
conditions:
  - {code: am, label: AM alone, cells: am, role: reference}
  - {code: am_msc, label: AM + MSC, cells: am_msc, format: direct, msc_am_ratio: 0.2, role: treatment, compare_to: am}
  - {code: msc, label: MSC alone, cells: msc, role: msc_alone}
  - {code: medium, label: Medium, cells: none, role: blank}

# Which assays were planned for every culture; completeness is judged against it.
# assays: [cytokines, phenotype, phagocytosis, measurements]

# What is known of single readouts before results are seen: scale (log2, identity, logit), direction toward health.
# readouts:
#   - {name: IL-6, assay: cytokines, scale: log2, direction_toward_health: none, role: exploratory}

# Which of a donor's values a comparison takes where it could take several.
# slices: {visit: V1, several_lots: mean}

# How ambiguous registry criteria are read; every reading is computed, these choose the default.
eligibility:
  combine: all_of           # all of 3.1 to 3.4, or any_of: 3.1 and one of the others
  shunt_limit_pct: 10
  allow_supplemental_o2: false
  e1_min_count: 1
  e8_combine: any_of
  lab_window_days: 90
  pb_mmhg: 760

# People before enrolment, as totals only.
# screening: {screened: 0, declined: 0, not_eligible: {age: 0}}

# The dated analysis plan, if there is one; without it every result is exploratory.
# plan: {date: 2022-01-31, url: https://…, sha256: …}
# first_unblinding_date: 2023-01-31
"""

README = {
    "cytokines/raw": "Put the plate reader's own exports here, untouched. Name each in cytokines_plates, column instrument_file.\n",
    "phenotype/fcs": "Put FCS files here, with the FlowJo .wsp or GatingML .xml beside them. Name each in phenotype_samples, column fcs_file.\n",
    "phagocytosis/raw": "Put uptake files here (FCS, exported tables, plate-reader series). Name each in phagocytosis_wells, column file.\n",
}


def write_template(folder: Path, files: Sequence[Path] = ()) -> list[Problem]:
    """Write an empty study, prefilled from instrument files where some are given.

    Parameters
    ----------
    folder
        New or empty.
    files
        Instrument files; they are copied into their folders and named in their sheets. FCS files are known by
        their content, anything else counts as a plate file.

    Returns
    -------
    Warnings, such as file names that hold a date.

    Raises
    ------
    Refused
        Where the folder is not empty, a file is not there, or a file name holds an identity.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(
            [
                Problem(
                    "error",
                    "folder-not-empty",
                    "This folder is not empty.",
                    "Name a new or empty folder.",
                    file=folder.name,
                )
            ]
        )
    problems = [p for file in files for p in _file_problems(file)]
    problems += [
        Problem("error", "file-twice", "Two files have the same name.", "Rename one of them.", file=name)
        for name in {f.name for f in files}
        if [f.name for f in files].count(name) > 1
    ]
    if any(p.severity == "error" for p in problems):
        raise Refused(problems)
    placed = {file: "phenotype/fcs" if _is_fcs(file) else "cytokines/raw" for file in files}
    for place in INSTRUMENT_FOLDERS:
        (folder / place).mkdir(parents=True, exist_ok=True)
        write_atomically(folder / place / "README.txt", README[place])
    for file, place in placed.items():
        shutil.copyfile(file, folder / place / file.name)
    rows, said = prefilled(
        [f for f, place in placed.items() if place == "phenotype/fcs"],
        [f for f, place in placed.items() if place == "cytokines/raw"],
    )
    problems += said
    write_atomically(folder / "study.yaml", STUDY_YAML)
    write_atomically(folder / "template.xlsx", template_bytes(rows))
    return problems


def _file_problems(file: Path) -> list[Problem]:
    if not file.is_file():
        return [Problem("error", "no-file", "There is no such file.", "Check the name.", file=file.name)]
    return [
        Problem(
            "warning" if f.rule == privacy.DATE else "error",
            f.rule,
            f"The file's name looks like {f.description}.",
            "Outputs will show an alias." if f.rule == privacy.DATE else "Rename the file.",
            file=file.name,
        )
        for f in privacy.findings_in_path(file.name)
    ]


def _is_fcs(file: Path) -> bool:
    with file.open("rb") as handle:
        return handle.read(6) in (b"FCS2.0", b"FCS3.0", b"FCS3.1")


def template_bytes(rows: dict[str, list[dict[str, str]]] | None = None) -> bytes:
    """The workbook: one sheet a table, in which Excel can neither turn codes into dates nor take unknown codes.

    Parameters
    ----------
    rows
        Records to begin with, by table.
    """
    book = Workbook()
    book.properties.creator = "apap-notebooks"
    first: Any = book.active
    first.title = "read me"
    _read_me(first)
    lists = book.create_sheet("lists")
    lists.sheet_state = "hidden"
    for schema in input_tables().values():
        _sheet(book.create_sheet(schema.name.replace("/", "_")), schema, (rows or {}).get(schema.name, []), lists)
    book.move_sheet("lists", offset=len(book.sheetnames))
    out = io.BytesIO()
    book.save(out)
    return without_times(out.getvalue())


def _read_me(sheet: Any) -> None:
    lines = [
        "How to fill in this workbook",
        "One sheet is one table; sheets that stay empty count as absent. Point at a heading to read what belongs below it.",
        "Orange headings are needed in every row. Missing is an empty cell: no NA, no dash, no zero.",
        "Write days, never dates; codes, never names.",
        "Columns of your own begin with x_. Do not rename sheets or headings.",
        "Then run: apap check, with the name of this folder.",
    ]
    for i, line in enumerate(lines, 1):
        sheet.cell(i, 1, line).font = Font(bold=i == 1)
    sheet.cell(len(lines) + 2, 1, "Sheet").font = sheet.cell(len(lines) + 2, 2, "What it holds").font = Font(bold=True)
    for i, schema in enumerate(input_tables().values(), len(lines) + 3):
        sheet.cell(i, 1, schema.name.replace("/", "_"))
        sheet.cell(i, 2, schema.description)
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 30, 110


def _sheet(sheet: Any, schema: TableSchema, rows: Sequence[dict[str, str]], lists: Any) -> None:
    sheet.freeze_panes = "B2"
    for j, one in enumerate(schema.fields, 1):
        head = sheet.cell(1, j, one.name)
        head.font, head.fill = Font(bold=True), _NEEDED if one.required else _OPTIONAL
        head.comment = Comment(_note(one), "apap-notebooks", height=150, width=320)
        letter = get_column_letter(j)
        sheet.column_dimensions[letter].width = max(12, len(one.name) + 3)
        if one.type == "string":  # text format: Excel then leaves MAR-1 and 007 alone
            sheet.column_dimensions[letter].number_format = "@"
        rule = _validation(one, lists)
        if rule is not None:
            sheet.add_data_validation(rule)
            rule.add(f"{letter}2:{letter}{ROWS + 1}")
        for i, row in enumerate(rows, 2):
            if one.name in row:
                cell = sheet.cell(i, j, ILLEGAL_CHARACTERS_RE.sub("", row[one.name]))
                cell.data_type = "s"  # a name out of an instrument's file is text, even where it begins with =
                cell.quotePrefix = row[one.name][:1] in tuple("=+-@")


def _note(one: Field) -> str:
    lines = [one.title + (" (needed)" if one.required else ""), one.description, f"Write: {expected_of(one)}."]
    if one.unit:
        lines.append(f"Unit: {one.unit}.")
    if one.default is not None:
        lines.append(f"Empty means {one.default}.")
    return "\n".join(lines)


def _validation(one: Field, lists: Any) -> DataValidation | None:
    codes = ("yes", "no") if one.type == "boolean" else one.codes
    if codes:
        rule = DataValidation("list", formula1=_list(codes, lists), allow_blank=True)
    elif one.type in ("number", "integer"):
        low, high = (-1e15 if one.minimum is None else one.minimum), (1e15 if one.maximum is None else one.maximum)
        rule = DataValidation(
            "whole" if one.type == "integer" else "decimal",
            operator="between",
            formula1=f"{low:.15g}",
            formula2=f"{high:.15g}",
            allow_blank=True,
        )
    else:
        return None
    rule.errorTitle, rule.error, rule.showErrorMessage = one.title[:32], f"Write {expected_of(one)}."[:255], True
    return rule


def _list(codes: Sequence[str], lists: Any) -> str:
    """A drop-down's codes; long lists stand in a hidden sheet, since Excel allows 255 characters."""
    if len(",".join(codes)) <= _LONGEST_LIST and not any("," in c for c in codes):
        return '"' + ",".join(codes) + '"'
    column = lists.max_column + (lists.cell(1, 1).value is not None)
    for i, code in enumerate(codes, 1):
        lists.cell(i, column, code).number_format = "@"
    letter = get_column_letter(column)
    return f"lists!${letter}$1:${letter}${len(codes)}"
