"""Reports of four donors that nothing disturbed, and places for runs that something does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import CACHES, Place, Undisturbed, contents, fill, listing

from helpers.simulate import write_demo


@pytest.fixture(scope="session")
def four_donors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    write_demo(tmp_path_factory.mktemp("four") / "study", 4)
    return tmp_path_factory.getbasetemp() / "four0" / "study"


@pytest.fixture(scope="session")
def undisturbed(four_donors: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A report from each state of the cache; all three are the same."""
    root = tmp_path_factory.mktemp("undisturbed")
    seconds, files, caches = {}, {}, root / "caches"
    for state in CACHES:
        place = Place(root / state, four_donors)
        if state != "nothing":
            fill(place, caches, state)
        seconds[state] = place.run()
        files[state] = contents(place.out)
        if state == "nothing":
            shutil.copytree(place.cache, caches, symlinks=True)
    assert files["nothing"] == files["numbers"] == files["everything"]
    return Undisturbed(four_donors, files["nothing"], caches, seconds, listing(root / "nothing" / "home"))


@pytest.fixture
def place(undisturbed: Undisturbed, tmp_path: Path) -> Iterator[Place]:
    """Where a run of the four donors may do what it likes; nothing of it runs on after the test."""
    one = Place(tmp_path, undisturbed.study)
    yield one
    assert one.processes() == []
