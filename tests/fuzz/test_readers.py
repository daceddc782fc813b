"""Damaged files of every kind: each reader hands over a table or refuses with sentences, soon, in little memory, showing nobody.

Not part of `make test`; `make fuzz` runs it for ten minutes. APAP_FUZZ_SECONDS is the budget of all readers together,
APAP_FUZZ_SEED the number that everything drawn hangs on, APAP_FUZZ_OUT a folder that keeps the bytes of what was found.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hunting import Finding, Read, Seed, bound_memory, fault, hunt
from seeds import broad_study, seeds

from helpers.assays.one_file import read_one_file
from helpers.core.problems import Problem
from helpers.core.schemas import input_tables
from helpers.readers.fcs import read_fcs, read_fcs_header
from helpers.readers.flow_tables import read_flow_table
from helpers.readers.gate_files import read_gate_file
from helpers.readers.plates import read_plate_file
from helpers.readers.sheets import read_tables
from helpers.readers.uptake_tables import read_uptake_table
from helpers.study.layout_grid import from_grid, is_grid
from helpers.study.opening import check_study
from helpers.study.tables import type_table

SECONDS = float(os.environ.get("APAP_FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("APAP_FUZZ_SEED", "20221207"))
OUT = os.environ.get("APAP_FUZZ_OUT", "")
NAME = "x.dat"


def plate(path: Path) -> list[Problem]:
    return [p for one in read_plate_file(path, NAME) for p in one.problems]


def fcs(path: Path) -> list[Problem]:
    read_fcs_header(path, NAME)
    return list(read_fcs(path, NAME).problems)


INSTRUMENTS: dict[str, Callable[[Path], list[Problem]]] = {
    **dict.fromkeys(("bioplex", "bioplex_xml", "xponent", "intelliflex", "msd", "plain"), plate),
    "fcs": fcs,
    "gates": lambda path: list(read_gate_file(path, NAME).problems),
    "flow_table": lambda path: list(read_flow_table(path, NAME).problems),
    "uptake": lambda path: list(read_uptake_table(path, NAME).problems),
}
TARGETS = (*INSTRUMENTS, "tables", "study.yaml", "study")
SCHEMA_OF = {"cytokines/layout_P1.csv": "cytokines/layout", "cytokines/layout_P1.xlsx": "cytokines/layout"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, written: Callable[[Path], Path]) -> Path:
    folder = written(tmp_path_factory.mktemp("fuzz") / "study")
    broad_study(folder)
    wrong = [str(p) for p in check_study(folder) if p.severity == "error"]
    assert wrong == [], "the study to start from is sound"
    return folder


@pytest.fixture(scope="module")
def all_seeds(study: Path, demo: Path) -> dict[str, list[Seed]]:
    return seeds(demo, study)


@pytest.fixture(scope="module", autouse=True)
def _bounded() -> None:
    bound_memory()


def instrument(name: str, folder: Path) -> Read:
    """Reads a file with its own reader, and where that works as `apap read` does."""

    def read(file: str, data: bytes) -> list[Problem]:
        path = folder / file
        path.write_bytes(data)
        said = INSTRUMENTS[name](path)
        return [*said, *read_one_file(path)[1]]

    return read


def tables(folder: Path) -> Read:
    """Reads a file as the table of a study that it is named after."""

    def read(file: str, data: bytes) -> list[Problem]:
        path = folder / NAME
        path.write_bytes(data)
        raws, said = read_tables(path, file)
        schema = input_tables()[SCHEMA_OF.get(file, file.rpartition(".")[0])]
        for raw in raws:
            table, more = from_grid(raw) if is_grid(raw) else (raw, [])
            said += [*raw.problems, *more, *type_table(table, schema, {})[1]]
        return said

    return read


def whole_study(study: Path) -> Read:
    """Checks a study with one file of it replaced, the others as they were."""

    def read(file: str, data: bytes) -> list[Problem]:
        usual = next(p for end in (".csv", ".yaml") if (p := (study / file).with_suffix(end)).exists())
        before = usual.read_bytes()
        usual.unlink()
        try:
            (study / file).write_bytes(data)
            return check_study(study)
        finally:
            (study / file).unlink(missing_ok=True)
            usual.write_bytes(before)

    return read


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_tables_or_sentences(
    name: str, all_seeds: dict[str, list[Seed]], study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read: Read
    if name in INSTRUMENTS:
        read = instrument(name, tmp_path)
    elif name == "tables":
        read = tables(tmp_path)
    elif name == "study":
        read = whole_study(study)
    else:  # settings alone are checked sooner
        (tmp_path / "study.yaml").touch()
        read = whole_study(tmp_path)
    found, tried = hunt(read, all_seeds[name], SECONDS / len(TARGETS), SEED)
    with capsys.disabled():
        print(f"\n{name}: {tried} files, {len(found)} findings")
    assert not found, "\n\n".join(f"{one.file}: {one.key}\n{keep(name, one)}\n{one.words}" for one in found)


def keep(name: str, one: Finding) -> str:
    """The bytes of a finding as Python would write them, and in a file where a folder for them is named."""
    if OUT:
        folder = Path(OUT)
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(one.key.encode()).hexdigest()[:8]
        (folder / f"{name}-{digest}.bin").write_bytes(one.data)
        (folder / f"{name}-{digest}.txt").write_text(f"{one.key}\n{one.file}\n\n{one.words}\n", encoding="utf-8")
    return repr(one.data[:2000])


# ---- the hunt itself finds what it should


def reader(file: str, data: bytes) -> list[Problem]:
    """Reads two columns, badly."""
    for line in data.split(b"\n"):
        int(line.split(b",")[1] or b"0")
    return []


def test_a_reader_that_fails_is_found_with_few_bytes() -> None:
    found, tried = hunt(reader, [("a.csv", b"1,2\n3,4\n5,6")], 5, 1)
    assert tried > 20
    assert {one.key for one in found} >= {"IndexError", "ValueError"}
    assert all(len(one.data) <= 3 for one in found)


def test_a_sentence_that_shows_somebody_is_found() -> None:
    def read(file: str, data: bytes) -> list[Problem]:
        return [Problem("error", "x", f"The cell {data.decode()} is wrong.", "Mend it.")]

    one = fault(read, "a.csv", b"13800138000")
    assert one is not None and one.key == "identity in message of x: mobile-number, part of one"
    assert fault(read, "a.csv", b"A1") is None


def test_words_that_are_no_sentence_are_found() -> None:
    one = fault(lambda file, data: [Problem("error", "x", "wrong", "Mend it.")], "a.csv", b"")
    assert one is not None and one.key == "no sentence: x"


def test_a_reader_that_takes_long_or_much_is_found() -> None:
    def slow(file: str, data: bytes) -> list[Problem]:
        while True:
            pass

    one = fault(slow, "a.csv", b"", seconds=0.1)
    assert one is not None and one.key == "slow"
    two = fault(lambda file, data: list(bytearray(10**12)), "a.csv", b"")  # type: ignore[arg-type]
    assert two is not None and two.key == "MemoryError"


def test_a_study_is_as_before_after_a_file_of_it_was_replaced(study: Path) -> None:
    before = sorted(p.name for p in study.rglob("*"))
    assert whole_study(study)("donors.xlsx", b"PK broken")
    assert sorted(p.name for p in study.rglob("*")) == before
