"""The assay that CONTRIBUTING.md adds is added as it says, in a copy of the project, and its numbers come out as it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.core.files import PROJECT

BLOCK = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.M | re.S)
RUN = """
import json, sys
from helpers.analysis import load_study
data = load_study(sys.argv[1])
tables = {name: json.loads(data.table(name).to_json(orient="records")) for name in ("readouts", "effects", "problems")}
print(json.dumps(tables))
"""


def blocks() -> list[tuple[str, str, str]]:
    """Kind, path and text of every block that names a file."""
    return BLOCK.findall((PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8"))


def edited(text: str, change: str) -> str:
    """A text with one change made to it, as the difference between two versions says."""
    lines = change.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] != "+")
    after = "".join(line[1:] for line in lines if line[0] != "-")
    assert text.count(before) == 1, f"this stands in the file once:\n{before}"
    return text.replace(before, after)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the example was added."""
    root = tmp_path_factory.mktemp("contributing")
    for name in ("src/helpers", "data_schema"):
        shutil.copytree(PROJECT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for kind, name, text in blocks():
        path = root / name
        if kind == "diff":
            path.write_text(edited(path.read_text(encoding="utf-8"), text), encoding="utf-8")
        elif name.startswith(("src/", "data_schema/")):
            assert not path.exists(), f"{name} is new"
            path.write_text(text, encoding="utf-8")
    return root


def added(study: Path) -> Path:
    """The small study with the example's tables and settings."""
    for kind, name, text in blocks():
        path = study / name
        if kind == "csv":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif kind == "yaml":
            path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")
    return study


def run(copy: Path, *words: str | Path) -> str:
    env = os.environ | {"PYTHONPATH": str(copy / "src"), "APAP_CACHE": str(copy / "cache")}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return done.stdout


def analysed(copy: Path, study: Path) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = json.loads(run(copy, "-c", RUN, study))
    return tables


def test_the_example_ends_in_readouts_and_effects(copy: Path, small_study: Path) -> None:
    tables = analysed(copy, added(small_study))
    rows = [r for r in tables["readouts"] if r["assay"] == "cytotoxicity"]
    assert {(r["donor_id"], r["condition"]): r["value"] for r in rows} == {
        ("D01", "am"): pytest.approx(20),
        ("D01", "am_msc"): pytest.approx(10),
        ("D02", "am"): pytest.approx(30),
        ("D02", "am_msc"): pytest.approx(15),
    }
    assert {(r["readout"], r["unit"], r["scale"]) for r in rows} == {("LDH release", "%", "identity")}
    (effect,) = [e for e in tables["effects"] if e["assay"] == "cytotoxicity" and e["contrast"] == "msc_effect" and e["group"] == "apap"]  # fmt: skip
    assert (effect["n_donors"], effect["estimate"]) == (2, pytest.approx(-12.5))
    assert not [p for p in tables["problems"] if "cytotoxicity" in p["file"]]


def test_a_damaged_file_of_the_example_is_set_aside_and_the_rest_goes_on(copy: Path, small_study: Path) -> None:
    plate = added(small_study) / "cytotoxicity/raw/plate1.csv"
    plate.write_text(plate.read_text(encoding="utf-8").replace("0.31", "OVRFLW"), encoding="utf-8")
    tables = analysed(copy, small_study)
    (said,) = [p for p in tables["problems"] if p["code"] == "not-a-number"]
    assert (said["severity"], said["row"], said["column"], said["found"]) == ("quarantine", 5, "1", "OVRFLW")
    assert {r["assay"] for r in tables["readouts"]} == {"measurements"}


def test_the_code_of_the_example_is_clean(copy: Path) -> None:
    files = [copy / name for kind, name, _ in blocks() if kind == "python"]
    assert len(files) == 2
    settings = ["--config", PROJECT / "pyproject.toml", "--no-cache"]
    run(copy, "-m", "ruff", "check", *settings, *files)
    run(copy, "-m", "ruff", "format", "--check", *settings, *files)
    run(copy, "-m", "mypy", "--config-file", PROJECT / "pyproject.toml", "--cache-dir", copy / "mypy", *files)


def test_the_rooms_are_those_of_the_spine() -> None:
    """The page's picture and README's name the same rooms in the same order."""
    line = next(
        x for x in (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines() if x.startswith("core →")
    )
    assert line in (PROJECT / "README.md").read_text(encoding="utf-8")
