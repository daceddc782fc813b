"""What machines read beside the report: a Frictionless Data Package of the tables and an RO-Crate of the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from helpers.core.files import Content, bytes_of
from helpers.core.schemas import output_tables
from helpers.report import words
from helpers.study.config import Config

CRATE = "ro-crate-metadata.json"
_PLAIN = ("name", "type", "title", "description", "unit")
_TYPES = {
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".csv": "text/csv",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".tiff": "image/tiff",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


def data_package(columns: Mapping[str, Sequence[str]], config: Config) -> str:
    """The descriptor of all tables as one Frictionless Data Package, for ``tables/datapackage.json``.

    Parameters
    ----------
    columns
        Columns of each table as written, by the table's name; those of the study's own (``x_…``) are of any type.
    config
        study.yaml, for the title.

    Returns
    -------
    JSON after https://specs.frictionlessdata.io/tabular-data-package; keys and limits are those of data_schema/outputs.
    """
    said = {
        "profile": "tabular-data-package",
        "name": "apap-tables",
        "title": config.title,
        "description": f"{words.SIMULATED} {words.RESEARCH}" if config.simulated else words.RESEARCH,
        "resources": [_resource(name, list(names)) for name, names in sorted(columns.items())],
    }
    return json.dumps(said, ensure_ascii=False, indent=1) + "\n"


def _resource(name: str, columns: Sequence[str]) -> dict[str, Any]:
    schema = output_tables()[name]
    known = {f["name"]: f for f in schema.descriptor["fields"]}
    fields = [_field(known[c]) if c in known else {"name": c, "type": "any"} for c in columns]
    return {
        "profile": "tabular-data-resource",
        "name": name,
        "path": f"{name}.csv",
        "title": schema.title,
        "description": schema.description,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": {"fields": fields, "missingValues": [""], "primaryKey": list(schema.primary_key)}
        if schema.primary_key
        else {"fields": fields, "missingValues": [""]},
    }


def _field(known: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: known[k] for k in _PLAIN if known.get(k)}
    if known["type"] == "boolean":
        kept |= {"trueValues": ["True"], "falseValues": ["False"]}
    return kept | ({"constraints": known["constraints"]} if known.get("constraints") else {})


def crate(record: Mapping[str, Any], files: Mapping[str, Content]) -> str:
    """The run as an RO-Crate 1.1: what was read, what made it, and every file that came out, with digests.

    Parameters
    ----------
    record
        The record of `provenance`.
    files
        Everything that was written, by path inside the report.

    Returns
    -------
    JSON-LD after https://w3id.org/ro/crate/1.1. Input files are named and digested, not contained.
    """
    study, project = record["study"], record["project"]
    tools = [_software("apap-notebooks", project["version"])]
    tools += [_software(name, version) for name, version in sorted(record["packages"].items())]
    read = [
        {"@id": f"#input-{i}", "@type": "CreativeWork", "name": one["file"], "identifier": f"sha256:{one['sha256']}"}
        for i, one in enumerate(record["inputs"], 1)
    ]
    made = [_part(name, content) for name, content in sorted(files.items())]
    run = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"apap report of {study['id']}",
        "startTime": record["times"]["started"],
        "endTime": record["times"]["ended"],
        "instrument": [{"@id": tools[0]["@id"]}],
        "object": [{"@id": one["@id"]} for one in read],
        "result": [{"@id": one["@id"]} for one in made],
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": study["title"],
        "description": f"{words.SIMULATED} {words.RESEARCH}" if study["simulated"] else words.RESEARCH,
        "identifier": study["registry_id"] or study["id"],
        "datePublished": record["times"]["ended"][:10],
        "license": words.LICENCE,
        "hasPart": [{"@id": one["@id"]} for one in made],
        "mentions": [{"@id": "#run"}, *({"@id": one["@id"]} for one in tools)],
    }
    head = {
        "@id": CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        "about": {"@id": "./"},
    }
    graph = [head, root, run, *tools, *read, *made]
    whole = {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _software(name: str, version: str) -> dict[str, Any]:
    return {"@id": f"#software-{name}", "@type": "SoftwareApplication", "name": name, "softwareVersion": version}


def _part(name: str, content: Content) -> dict[str, Any]:
    data = bytes_of(content)
    return {
        "@id": name,
        "@type": "File",
        "name": PurePosixPath(name).name,
        "encodingFormat": _TYPES.get(PurePosixPath(name).suffix, "application/octet-stream"),
        "contentSize": str(len(data)),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
