"""The data dictionary says what the schemas say."""

from __future__ import annotations

from helpers.core.files import PROJECT
from helpers.core.schemas import input_tables, output_tables
from helpers.study.dictionary import dictionary


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
