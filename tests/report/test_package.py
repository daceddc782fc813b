"""What machines read: the data package holds for the tables, the crate for every file."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import frictionless
import pytest

from helpers.core.schemas import output_tables
from helpers.report.package import CRATE


def test_the_data_package_is_valid_for_every_table(report: Path) -> None:
    package = frictionless.Package(str(report / "tables" / "datapackage.json"))
    assert {r.name for r in package.resources} == {p.stem for p in (report / "tables").glob("*.csv")}
    found = package.validate()
    assert found.valid, found.flatten(["name", "type", "rowNumber", "fieldName", "note"])[:5]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [(",eligible,eligible,", ",elligible,eligible,", "constraint-error"), ("donor_id,", "donor,", "incorrect-label")],
    ids=["a code nobody knows", "a heading nobody knows"],
)
def test_the_data_package_notices_a_damaged_table(report: Path, tmp_path: Path, old: str, new: str, kind: str) -> None:
    shutil.copytree(report / "tables", tmp_path / "tables")
    table = tmp_path / "tables" / "donors_derived.csv"
    text = table.read_text(encoding="utf-8")
    assert old in text
    table.write_text(text.replace(old, new, 1), encoding="utf-8")
    found = frictionless.Package(str(tmp_path / "tables" / "datapackage.json")).validate()
    assert kind in {row[0] for row in found.flatten(["type"])}


def test_the_data_package_has_units_and_keys_of_the_contract(report: Path) -> None:
    package = json.loads((report / "tables" / "datapackage.json").read_text(encoding="utf-8"))
    by_name = {r["name"]: r for r in package["resources"]}
    for name, resource in by_name.items():
        schema = output_tables()[name]
        assert resource["schema"].get("primaryKey", []) == list(schema.primary_key), name
        units = {f["name"]: f.get("unit", "") for f in resource["schema"]["fields"] if f["type"] != "any"}
        assert units == {f.name: f.unit for f in schema.fields}, name
    assert "SIMULATED" in package["description"]


def test_the_crate_names_every_file_with_its_digest(report: Path) -> None:
    graph = {one["@id"]: one for one in json.loads((report / CRATE).read_text(encoding="utf-8"))["@graph"]}
    files = {name: one for name, one in graph.items() if one["@type"] == "File"}
    there = {p.relative_to(report).as_posix(): p for p in report.rglob("*") if p.is_file()}
    assert set(files) == set(there) - {CRATE, "notebooks/.files.json"}
    for name, one in files.items():
        data = there[name].read_bytes()
        assert one["sha256"] == hashlib.sha256(data).hexdigest(), name
        assert one["contentSize"] == str(len(data)), name
        assert one["encodingFormat"] != "application/octet-stream", name


def test_the_crate_holds_together(report: Path) -> None:
    """RO-Crate 1.1: one root, one descriptor, nothing named that is not described, inputs with their digests."""
    whole = json.loads((report / CRATE).read_text(encoding="utf-8"))
    graph = whole["@graph"]
    ids = [one["@id"] for one in graph]
    assert len(ids) == len(set(ids))

    def named(value: object) -> set[str]:
        if isinstance(value, dict):
            return {value["@id"]} if set(value) == {"@id"} else set().union(*map(named, value.values()))
        return set().union(*map(named, value)) if isinstance(value, list) else set()

    assert set().union(*(named(one) for one in graph)) - set(ids) == {"https://w3id.org/ro/crate/1.1"}
    by_id = {one["@id"]: one for one in graph}
    assert whole["@context"] == "https://w3id.org/ro/crate/1.1/context"
    assert by_id[CRATE]["about"] == {"@id": "./"}
    assert {"name", "description", "datePublished", "license"} <= set(by_id["./"])
    record = json.loads((report / "provenance.json").read_text(encoding="utf-8"))
    read = {by_id[one["@id"]]["name"]: by_id[one["@id"]]["identifier"] for one in by_id["#run"]["object"]}
    assert read == {i["file"]: f"sha256:{i['sha256']}" for i in record["inputs"]}
    assert by_id["#software-pandas"]["softwareVersion"] == record["packages"]["pandas"]
