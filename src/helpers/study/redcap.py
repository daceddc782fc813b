"""Donors and laboratory results as a REDCap data dictionary, so that a site can enter what a study folder takes.

Free text (``comment``) is left out: it is where identities creep in. Donors are entered once each; results are
a repeating instrument. What REDCap exports has the columns of the study's tables, with codes as they are here.
"""

from __future__ import annotations

import csv
import io
import re

from helpers.core.schemas import Field, input_tables, lab_tests
from helpers.study.cells import expected_of

HEADINGS = (
    "Variable / Field Name",
    "Form Name",
    "Section Header",
    "Field Type",
    "Field Label",
    "Choices, Calculations, OR Slider Labels",
    "Field Note",
    "Text Validation Type OR Show Slider Number",
    "Text Validation Min",
    "Text Validation Max",
    "Identifier?",
    "Branching Logic (Show field only if...)",
    "Required Field?",
    "Custom Alignment",
    "Question Number (surveys only)",
    "Matrix Group Name",
    "Matrix Ranking?",
    "Field Annotation",
)
FORMS = ("donors", "clinical_labs")
_CODE = re.compile(r"[A-Za-z0-9_]+")
"""What REDCap takes as the code of a choice; a column with other codes is a text field with a note."""


def redcap_dictionary() -> str:
    """The dictionary as CSV text, to be uploaded under Online Designer, Data Dictionary.

    Examples
    --------
    >>> redcap_dictionary().splitlines()[1].split(",")[:4]
    ['donor_id', 'donors', '', 'text']
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, HEADINGS, restval="", lineterminator="\n")
    writer.writeheader()
    for form in FORMS:
        for one in input_tables()[form].fields:
            if one.name != "comment" and (form == FORMS[0] or one.name != "donor_id"):
                writer.writerow(dict(zip(HEADINGS, _row(one, form), strict=False)))
    return out.getvalue()


def _row(one: Field, form: str) -> tuple[str, ...]:
    codes = ("yes", "no") if one.type == "boolean" else one.codes
    choices = " | ".join(f"{c}, {_label(one, c)}" for c in codes) if all(map(_CODE.fullmatch, codes)) else ""
    note = "" if choices else expected_of(one)
    number = {"integer": "integer", "number": "number"}.get(one.type, "") if not choices else ""
    low, high = ("" if v is None else f"{v:g}" for v in (one.minimum, one.maximum))
    label = f"{one.title}, {one.unit}" if one.unit else one.title
    kind = "dropdown" if choices else "text"
    return one.name, form, "", kind, label, choices, note, number, low, high, "", "", "y" if one.required else ""


def _label(one: Field, code: str) -> str:
    """How a choice reads; a bar or a comma would end it."""
    said = lab_tests()[code]["title"] if one.name == "test_code" else code.replace("_", " ")
    return re.sub(r"[|,]", ";", said)
