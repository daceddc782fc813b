"""The data dictionary says what the schemas say."""

from __future__ import annotations

import csv
import re

from helpers.core.files import PROJECT
from helpers.core.schemas import input_tables, output_tables
from helpers.study.dictionary import dictionary
from helpers.study.redcap import redcap_dictionary


def test_the_stored_dictionary_is_not_stale() -> None:
    stored = (PROJECT / "data_schema" / "README.md").read_text(encoding="utf-8")
    assert stored == dictionary(), "run: make dictionary"


def test_every_column_of_every_table_stands_in_it() -> None:
    page = dictionary()
    for schema in [*input_tables().values(), *output_tables().values()]:
        assert schema.name in page
        missing = [f.name for f in schema.fields if f"`{f.name}`" not in page]
        assert not missing, f"{schema.name}: {missing}"


def test_every_number_has_a_unit_in_its_name_beside_it_or_in_its_schema() -> None:
    """A number whose unit nobody can find is the most expensive kind of missing value."""
    without = [
        f"{schema.name}.{f.name}"
        for schema in [*input_tables().values(), *output_tables().values()]
        for f in schema.fields
        if f.type == "number"
        and not f.unit
        and not {"unit", f"{f.name}_unit"} & set(schema.columns)
        and not f.name.endswith(("_ratio", "_fraction"))
    ]
    assert without == []


def test_the_stored_redcap_dictionary_is_not_stale() -> None:
    stored = (PROJECT / "data_schema" / "redcap_dictionary.csv").read_text(encoding="utf-8")
    assert stored == redcap_dictionary(), "run: make dictionary"


def test_redcap_can_import_it() -> None:
    """Its own rules: 18 columns, names of small letters that stand once, choices as code and label."""
    rows = list(csv.reader(redcap_dictionary().splitlines()))
    assert {len(r) for r in rows} == {18}
    names = [r[0] for r in rows[1:]]
    assert len(set(names)) == len(names)
    assert names[0] == "donor_id"
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", n) for n in names)
    for row in rows[1:]:
        assert row[3] in ("text", "dropdown")
        assert (row[3] == "dropdown") == bool(row[5])
        for choice in filter(None, row[5].split(" | ")):
            assert re.fullmatch(r"[A-Za-z0-9_]+, [^,|]+", choice), row[0]


def test_redcap_asks_for_every_column_but_free_text() -> None:
    asked = {(r["Form Name"], r["Variable / Field Name"]) for r in csv.DictReader(redcap_dictionary().splitlines())}
    wanted = {(t, c) for t in ("donors", "clinical_labs") for c in input_tables()[t].columns if c != "comment"}
    assert asked == wanted - {("clinical_labs", "donor_id")}
