"""A file that changes while it is read gives a sentence, and nothing that is kept for its earlier content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers import analysis
from helpers.assays.cytokines import reading
from helpers.assays.phagocytosis import events, exported, population
from helpers.assays.phagocytosis.sources import Source
from helpers.assays.phenotype import gate_choice, measure
from helpers.core.files import sha256
from helpers.core.problems import Refused

Patch = pytest.MonkeyPatch


def changing(monkeypatch: Patch, place: str, change: Callable[[], object], before: bool = False) -> None:
    """Let a function change something around its work."""
    room, _, name = place.rpartition(".")
    real = getattr(__import__(room, fromlist=[name]), name)

    def work(*args: Any, **kwargs: Any) -> Any:
        if before:
            change()
        done = real(*args, **kwargs)
        if not before:
            change()
        return done

    monkeypatch.setattr(place, work)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "step", ["helpers.analysis.open_study", "helpers.analysis._assays", "helpers.analysis._cohort"]
)
def test_a_study_that_changes_on_the_way_is_refused_and_read_anew_later(
    step: str, before: bool, small_study: Path, monkeypatch: Patch
) -> None:
    donors = small_study / "donors.csv"
    first = donors.read_text(encoding="utf-8")
    with monkeypatch.context() as patch:
        other = first.replace("apap,male,44", "apap,male,47")
        changing(patch, step, lambda: donors.write_text(other, encoding="utf-8"), before)
        with pytest.raises(Refused, match="changed while it was read"):
            analysis.load_study(small_study)
    for text, age in ((first, 44), (other, 47), (first, 44)):
        donors.write_text(text, encoding="utf-8")
        assert analysis.load_study(small_study).table("donors_derived")["age_years"].iloc[0] == age


# ---- one file of an instrument

RECIPE = measure.Recipe.__new__(measure.Recipe)
READERS: dict[str, tuple[str, str, Callable[[Path, str], object]]] = {
    "a plate": (
        "helpers.readers.plates.read_plate_file",
        "p.csv",
        lambda path, digest: reading._read(digest, str(path), path.name),
    ),
    "gates of markers": (
        "helpers.readers.gate_files.read_gate_file",
        "g.wsp",
        lambda path, digest: gate_choice.read_gates_file(digest, str(path), path.name),
    ),
    "gates of uptake": (
        "helpers.readers.gate_files.read_gate_file",
        "g.xml",
        lambda path, digest: population._gate_file(digest, str(path), path.name),
    ),
    "a table of uptake": (
        "helpers.assays.phagocytosis.exported.read_uptake_table",
        "u.csv",
        lambda path, digest: exported._read(digest, str(path), path.name, "imaging"),
    ),
    "a table of a flow program": (
        "helpers.assays.phagocytosis.exported.read_flow_table",
        "f.csv",
        lambda path, digest: exported._read(digest, str(path), path.name, "flow"),
    ),
    "events of uptake": (
        "helpers.assays.phagocytosis.events.read_fcs",
        "e.fcs",
        lambda path, digest: events._values(
            Source(digest, str(path), path.name, "", "D01"), population.Gates("macrophages")
        ),
    ),
    "events of markers": (
        "helpers.assays.phenotype.measure.gated_file",
        "m.fcs",
        lambda path, digest: measure._measured(digest, "recipe", str(path), path.name, RECIPE, None),
    ),
}


@pytest.mark.parametrize("kind", READERS)
def test_what_was_read_of_other_content_is_not_kept(kind: str, tmp_path: Path, monkeypatch: Patch) -> None:
    reader, name, ask = READERS[kind]
    path = tmp_path / name
    path.write_text("what was asked for", encoding="utf-8")
    digest = sha256(path)

    def replaced(*_: object) -> list[object]:
        path.write_text("what was copied over it", encoding="utf-8")
        return []

    monkeypatch.setattr(reader, replaced)
    with pytest.raises(Refused, match="changed while it was read") as caught:
        ask(path, digest)
    assert [p.file for p in caught.value.problems] == [name]


def test_a_file_that_goes_while_it_is_read_is_the_same_sentence(tmp_path: Path, monkeypatch: Patch) -> None:
    path = tmp_path / "p.csv"
    path.write_text("x", encoding="utf-8")
    digest = sha256(path)
    monkeypatch.setattr("helpers.readers.plates.read_plate_file", lambda *_: path.unlink() or [])
    with pytest.raises(Refused, match="changed while it was read"):
        reading._read(digest, str(path), path.name)
