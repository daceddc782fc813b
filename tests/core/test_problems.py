"""Problems: the same file has the same name everywhere, and causes stand before what they bring about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers.core.privacy import DOTS, alias
from helpers.core.problems import Problem, sorted_problems


def problem(code: str = "x", severity: str = "error", **where: object) -> Problem:
    return Problem(severity, code, "Wrong.", "Mend it.", **where)


def test_two_dated_files_stay_apart_under_the_aliases_of_every_other_output() -> None:
    first, second = (f"cytokines/raw/plate 2023-03-0{day}.xlsx" for day in (5, 6))
    assert problem(file=first).file == alias(first) != problem(file=second).file
    assert "2023" not in str(problem(file=first))
    assert replace(problem(file=first), severity="warning").file == alias(first)


def test_a_file_that_is_set_aside_has_its_alias_too() -> None:
    name = "am 2023-03-05.fcs"
    assert problem(file=f"phenotype/fcs/{name}", entity=f"file {name}").entity == f"file {alias(name)}"
    assert problem(entity="donor D07").entity == "donor D07"


@pytest.mark.parametrize("where", ["sheet", "column", "found", "expected", "entity"])
def test_no_field_that_quotes_a_file_shows_an_identity(where: str) -> None:
    assert getattr(problem(**{where: "call 13800138000"}), where) == f"call {DOTS}"


def test_errors_of_whole_files_come_first_and_codes_that_nobody_knows_last() -> None:
    lost = problem("unknown-key", file="clinical_labs.csv", row=2, column="donor_id")
    cell = problem("bad-code", file="cultures.csv", row=9, column="donor_id")
    whole = problem("unknown-encoding", file="donors.csv")
    column = problem("unknown-column", file="specimens.csv", column="donorid")
    mild = problem("odd", "warning", file="a.csv")
    assert sorted_problems([mild, lost, cell, column, whole]) == [whole, column, cell, lost, mild]


def test_a_notebook_shows_the_sentences_of_a_refusal_and_no_code(capsys: pytest.CaptureFixture[str]) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.run_cell("from helpers.analysis import load_study\nload_study('there/is/no/such/folder')")
    InteractiveShell.clear_instance()
    said = capsys.readouterr()
    assert "study folder" in said.out + said.err
    assert "Traceback" not in said.out + said.err and "load_study(" not in said.out + said.err
