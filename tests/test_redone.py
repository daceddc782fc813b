"""One threshold changed: only what depends on it is done again, counted by what the cache gained."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from helpers.analysis import load_study
from helpers.assays.phagocytosis.controls import NO_PARTICLE, placed
from helpers.report.donors import page_keys
from helpers.simulate import write_demo
from helpers.study.opening import open_study

DONORS = 6
FILES = ("_measured", "_control", "_uptake", "_fitted", "_read")
"""What is remembered of an FCS file, an uptake well, a plate's curves, a plate's file."""


def kept(cache: Path) -> Counter[str]:
    """How many answers of each function are remembered."""
    return Counter(answer.parent.parent.name for answer in cache.rglob("output.pkl"))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "study"
    write_demo(folder, donors=DONORS)
    return folder


def redone(study: Path, file: str, before: str, after: str) -> tuple[dict[str, int], set[str]]:
    """Tasks done again after a text was replaced in a file of the study, and donors whose page is made anew."""
    cache, path = study.parent / "cache", study / file
    keys, first = page_keys(load_study(study)), kept(cache)
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, after), encoding="utf-8")
    again = page_keys(load_study(study))
    return {name: kept(cache)[name] - first[name] for name in FILES}, {d for d in again if again[d] != keys[d]}


GATE = "P1,CD45+,,Live"
OWN_GATE = f"P1,Live,D01,Singlets,rectangle,Viability,;1900,Seen before unblinding.,1\n{GATE}"


def test_a_gate_changed_for_one_patient_is_that_patients(study: Path) -> None:
    tables = open_study(study).tables
    cultures = tables["cultures"].merge(tables["specimens"], on="specimen_id")
    own = set(cultures.loc[cultures["donor_id"] == "D01", "culture_id"])
    files = tables["phenotype/samples"]["culture_id"].isin(own).sum()
    wells = placed(tables)
    wells = wells[wells["culture_id"].isin(own) & wells["file"].fillna("").str.endswith(".fcs")]
    tasks, pages = redone(study, "phenotype/gates.csv", GATE, OWN_GATE)
    assert files and tasks["_measured"] == files
    assert tasks["_control"] == (wells["role"] == NO_PARTICLE).sum() > 0
    assert 0 < tasks["_uptake"] <= len(wells)
    assert (tasks["_fitted"], tasks["_read"]) == (0, 0)
    assert pages == {"D01"}


@pytest.mark.parametrize(
    ("setting", "again"),
    [
        ("phagocytosis: {threshold_quantile: 0.98}", {"_control", "_uptake"}),
        ("cytokines: {recovery_low_pct: 75}", {"_fitted"}),
        ("alpha: 0.01", set()),
    ],
)
def test_a_threshold_of_one_assay_leaves_files_of_the_others_alone(study: Path, setting: str, again: set[str]) -> None:
    tasks, _ = redone(study, "study.yaml", "assays: [", f"{setting}\nassays: [")
    assert {name for name, n in tasks.items() if n} == again


def test_a_gate_changes_no_statistics_of_another_assay(study: Path) -> None:
    """Of phenotype readouts are compared again, of the other assays none."""

    def compared() -> tuple[Counter[str], int]:
        data = load_study(study)
        effects, before = data.table("readouts"), kept(cache)["_kept_answers"]
        _ = data.inferred
        readouts = Counter(effects[["assay", "readout"]].drop_duplicates()["assay"])
        return readouts, kept(cache)["_kept_answers"] - before

    cache, gates = study.parent / "cache", study / "phenotype" / "gates.csv"
    readouts, first = compared()
    assert first >= sum(readouts.values()) > 2 * readouts["phenotype"] > 0
    strict = OWN_GATE.replace(";1900", ";200")
    gates.write_text(gates.read_text(encoding="utf-8").replace(GATE, strict), encoding="utf-8")
    assert 0 < compared()[1] <= readouts["phenotype"]


def test_another_process_finds_what_the_first_one_remembered(study: Path) -> None:
    """Sets are walked in another order in each process; a key made of one would never be found again."""
    cache, counts = study.parent / "cache", []
    for seed, alpha in (("1", "0.05"), ("2", "0.01")):
        text = (study / "study.yaml").read_text(encoding="utf-8").replace("alpha: 0.05\n", "")
        (study / "study.yaml").write_text(text.replace("assays: [", f"alpha: {alpha}\nassays: ["), encoding="utf-8")
        load = "import sys; from helpers.analysis import load_study; load_study(sys.argv[1])"
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", load, str(study)], check=True, env=environment)
        counts.append(kept(cache))
    assert counts[1]["_computed"] == 2, "the second one was not simply remembered"
    assert [counts[1][name] for name in FILES] == [counts[0][name] for name in FILES]
    assert all(counts[0][name] for name in FILES)
