"""The whole report: what is in it, that it can be repeated byte by byte, and how it ends when things go wrong."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import openpyxl
import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers import analysis
from helpers.cli import app
from helpers.core.files import PROJECT
from helpers.core.problems import Refused
from helpers.core.schemas import output_tables
from helpers.report import build, notebooks
from helpers.report.build import OK, PARTS_FAILED, UsageError, build_report
from helpers.simulate import write_demo
from helpers.tables import workbook

CHANGING = {"provenance.json", "ro-crate-metadata.json"}


def contents(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


@pytest.fixture
def no_notebooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what surrounds the notebooks."""
    monkeypatch.setattr(build, "study_notebooks", dict)
    monkeypatch.setattr(build, "page_keys", lambda data: {})


# ---- what is in it


def test_everything_promised_is_there(report: Path) -> None:
    files = set(contents(report))
    names = [p.stem for p in (PROJECT / "notebooks").glob("0*.ipynb")]
    assert len(names) >= 2
    for name in names:
        assert {f"{name}.html", f"notebooks/{name}.ipynb"} <= files
    assert {"index.html", "problems.html", "provenance.html", "provenance.json", "tables.xlsx"} <= files
    assert {"methods.html", "report.docx", "tables/datapackage.json", "ro-crate-metadata.json"} <= files
    figures = {Path(f).stem for f in files if f.startswith("figures/")}
    assert len(figures) >= 7
    for figure in figures:
        assert {f"figures/{figure}.{kind}" for kind in ("png", "svg", "csv")} <= files


def test_tables_are_those_of_the_contract(report: Path) -> None:
    for path in (report / "tables").glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as handle:
            heading = next(csv.reader(handle))
        known = output_tables()[path.stem].columns
        assert [c for c in heading if not c.startswith("x_")] == known, path.stem


def test_the_workbook_holds_the_same_tables(report: Path) -> None:
    book = openpyxl.load_workbook(report / "tables.xlsx", read_only=True)
    for path in (report / "tables").glob("*.csv"):
        rows = list(book[path.stem].iter_rows(values_only=True))
        table = pd.read_csv(path)
        assert list(rows[0]) == list(table.columns)
        assert len(rows) - 1 == len(table), path.stem


def test_the_workbook_opens_in_an_office_program_unchanged(report: Path, office: Callable[[Path], Path]) -> None:
    before, after = (
        openpyxl.load_workbook(f, data_only=True) for f in (report / "tables.xlsx", office(report / "tables.xlsx"))
    )
    assert after.sheetnames == before.sheetnames
    for name in before.sheetnames:
        one, two = ([v for row in book[name].iter_rows(values_only=True) for v in row] for book in (before, after))
        assert len(one) == len(two), name
        for a, b in zip(one, two, strict=True):
            assert b == (pytest.approx(a, rel=1e-12) if isinstance(a, float) else a), name


def test_images_have_300_dots_an_inch(report: Path) -> None:
    for path in (report / "figures").glob("*.png"):
        data = path.read_bytes()
        at = data.index(b"pHYs") + 4
        assert int.from_bytes(data[at : at + 4], "big") == pytest.approx(300 / 0.0254, abs=1), path.name


def test_figures_for_print_on_request(small_study: Path, tmp_path: Path) -> None:
    from PIL import Image

    build_report(small_study, tmp_path / "out", only=["01_cohort_description"], pdf_tiff=True)
    folder = tmp_path / "out" / "figures"
    names = [p.stem for p in folder.glob("*.svg")]
    assert len(names) > 3
    for name in names:
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF-")
        widths = set()
        for dpi in (300, 600):
            with Image.open(folder / f"{name}_{dpi}dpi.tiff") as image:
                assert image.info["dpi"] == (dpi, dpi) and image.info["compression"] == "tiff_lzw"
                widths.add(round(image.width / dpi * 25.4))
        assert len(widths) == 1 and 40 < widths.pop() <= 176, "no wider than a page of a journal"


def test_provenance_can_be_checked_by_hand(report: Path, demo: Path) -> None:
    record = json.loads((report / "provenance.json").read_text(encoding="utf-8"))
    said = {i["file"]: i["sha256"] for i in record["inputs"]}
    assert said == {k: hashlib.sha256(v).hexdigest() for k, v in contents(demo).items()}
    assert record["packages"]["pandas"] == pd.__version__
    assert record["study"]["simulated"] is True
    assert record["parameters"]["notebooks"][0] == "00_data_check"
    assert record["times"]["started"] <= record["times"]["ended"]
    assert isinstance(record["seed"], int)
    git = subprocess.run(["git", "-C", str(PROJECT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    assert record["project"]["git_commit"] == (git.stdout.strip() if git.returncode == 0 else None)


def test_nothing_names_this_machine(report: Path, demo: Path) -> None:
    """Pages, notebooks and records can be sent around: no path, no user, no host."""
    private = {str(demo), str(report), str(PROJECT), str(Path.home()), "apap-run-", "ipykernel_"}
    for name, data in contents(report).items():
        if name.endswith((".html", ".ipynb", ".json", ".csv", ".svg")):
            text = data.decode("utf-8")
            assert not [p for p in private if len(p) > 3 and p in text], name


def test_every_page_says_simulated(report: Path) -> None:
    for page in report.glob("*.html"):
        assert "SIMULATED" in page.read_text(encoding="utf-8"), page.name


def test_pages_ask_the_network_for_nothing(report: Path) -> None:
    for page in report.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        assert not re.findall(
            r'(?:src|href)="(?:https?:)?//[^"]*"', text.replace('href="https://clinicaltrials.gov', "")
        ), page.name
        assert not re.findall(r"<(?:link|iframe|object|embed)\b[^>]*", text), page.name


def test_executed_notebooks_are_valid_and_complete(report: Path) -> None:
    for path in (report / "notebooks").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        code = [c for c in notebook.cells if c.cell_type == "code"]
        assert all(c.execution_count for c in code), path.name


# ---- again


@pytest.fixture
def copy(report: Path, tmp_path: Path) -> Path:
    """The demo's report, to be written into."""
    return Path(shutil.copytree(report, tmp_path / "copy"))


def test_a_second_report_computes_and_writes_nothing_again(
    copy: Path, demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = copy

    def again(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    for room, work in (
        (analysis, "_statistics"),
        (analysis, "_cohort"),
        (notebooks, "_execute"),
        (workbook, "workbook_bytes"),
    ):
        monkeypatch.setattr(room, work, again)
    before = {p: p.stat().st_mtime_ns for p in report.rglob("*") if p.is_file()}
    first = contents(report)
    build_report(demo, report)
    changed = {p.relative_to(report).as_posix() for p, t in before.items() if p.stat().st_mtime_ns != t}
    assert changed <= CHANGING | {"notebooks/.files.json"}
    second = contents(report)
    assert {f for f in first if first[f] != second[f]} <= CHANGING


def test_a_report_from_nothing_has_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four donors with files of every kind; `make test-long` does it with all of the demo."""
    write_demo(tmp_path / "four", 4)
    for name in ("first", "again"):
        monkeypatch.setenv("APAP_CACHE", str(tmp_path / f"cache of {name}"))
        build_report(tmp_path / "four", tmp_path / name)
    one, two = contents(tmp_path / "first"), contents(tmp_path / "again")
    assert set(one) == set(two) and len(one) > 100
    assert {f for f in one if one[f] != two[f]} == CHANGING


# ---- when things go wrong


def notebook(folder: Path, name: str, *cells: str) -> Path:
    book = nbformat.v4.new_notebook()
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book.cells = [nbformat.v4.new_markdown_cell(f"# Page {name}\n\nA page.")]
    parameters = nbformat.v4.new_code_cell('study: str = ""\nout: str = ""')
    parameters.metadata["tags"] = ["parameters"]
    book.cells += [parameters, *(nbformat.v4.new_code_cell(c) for c in cells)]
    path = folder / f"{name}.ipynb"
    nbformat.write(book, path)
    return path


def test_a_notebook_that_fails_leaves_the_rest_built(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {
        "10_good": ("1 + 1",),
        "11_bad": ("'before'", "raise ValueError('the curve has no points; call 1380' + '0138000')", "'after'"),
        "12_dead": ("'said before the end'", "import os; os._exit(1)"),
    }
    books = {name: notebook(tmp_path, name, *cells) for name, cells in names.items()}
    books["13_half"] = tmp_path / "13_half.ipynb"
    books["13_half"].write_text('{"cells": [<<<<<<< HEAD')
    monkeypatch.setattr(build, "study_notebooks", lambda: books)
    result = build_report(small_study, tmp_path / "out")
    assert result.exit_code == PARTS_FAILED
    assert set(result.failed) == {"11_bad", "12_dead", "13_half"}
    assert "the curve has no points" in result.failed["11_bad"]
    files = contents(tmp_path / "out")
    assert {
        "10_good.html",
        "11_bad.html",
        "12_dead.html",
        "index.html",
        "tables/donors_derived.csv",
        "tables.xlsx",
    } <= set(files)
    page = files["11_bad.html"].decode()
    assert "the curve has no points" in page and "before" in page
    assert "said before the end" in files["12_dead.html"].decode(), "what was done is kept"
    everything = b"".join(files.values())
    assert b"Traceback" not in everything
    assert b"13800138000" not in everything
    assert "11_bad" in files["index.html"].decode()


@pytest.mark.usefixtures("no_notebooks")
def test_what_is_set_aside_is_named_and_the_report_ends_with_3(small_study: Path, tmp_path: Path) -> None:
    path = small_study / "clinical_labs.csv"
    path.write_text(path.read_text().replace("D02,pao2,-1,8.1,=,kPa", "D02,pao2,-1,81,=,kPa"))
    result = build_report(small_study, tmp_path / "out")
    assert result.exit_code == PARTS_FAILED
    assert result.set_aside == ("donor D02",)
    donors = pd.read_csv(tmp_path / "out" / "tables" / "donors_derived.csv")
    assert donors["donor_id"].tolist() == ["D01", "D03"]
    assert "Set aside by the checks: donor D02." in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_notebooks")
def test_labels_are_text_and_dated_file_names_get_an_alias(small_study: Path, tmp_path: Path) -> None:
    settings = small_study / "study.yaml"
    settings.write_text(settings.read_text().replace("label: Control", "label: '<script>alert(1)</script>'"))
    (small_study / "cytokines" / "raw").mkdir(parents=True)
    (small_study / "cytokines" / "raw" / "run 2023-03-05.csv").write_text("Program,xPONENT\n")
    build_report(small_study, tmp_path / "out")
    files = contents(tmp_path / "out")
    for name, data in files.items():
        assert b"2023-03-05" not in data and "2023-03-05" not in name, name
        if name.endswith(".html"):
            assert b"<script>alert" not in data
    assert b"&lt;script&gt;alert(1)" in files["index.html"]
    assert re.search(r"raw/file-[a-z]{8}\.csv", files["provenance.json"].decode())


@pytest.mark.usefixtures("no_notebooks")
@pytest.mark.parametrize("where", ["", "report", "a/b/report"])
def test_a_report_never_lies_in_the_study(small_study: Path, where: str) -> None:
    before = contents(small_study)
    with pytest.raises(UsageError, match="another folder"):
        build_report(small_study, small_study / where)
    assert contents(small_study) == before


def test_an_unknown_notebook_is_refused_with_the_known_ones(small_study: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="01_cohort_description"):
        build_report(small_study, tmp_path / "out", only=["02_cohort"])
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_notebooks")
@pytest.mark.skipif(os.name == "nt", reason="the lock is of another kind there")
def test_two_runs_into_one_folder_do_not_mix(small_study: Path, tmp_path: Path) -> None:
    import fcntl

    out = tmp_path / "out"
    out.mkdir()
    with (out / ".apap-lock").open("a+b") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="Another run"):
            build_report(small_study, out)
    assert build_report(small_study, out).exit_code == OK


@pytest.mark.usefixtures("no_notebooks")
@pytest.mark.parametrize("writes", [0, 1, 5, 9])
def test_an_interrupted_run_leaves_no_half_file(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    build_report(small_study, tmp_path / "whole")
    whole, out, done = contents(tmp_path / "whole"), tmp_path / "out", []
    real = os.replace

    def replace(a: str, b: str) -> None:
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(b)
        real(a, b)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        build_report(small_study, out)
    monkeypatch.setattr(os, "replace", real)
    left = contents(out)
    assert len(left) == writes
    assert all(whole[name] == data for name, data in left.items() if name not in CHANGING)
    assert "index.html" not in left, "the first page appears last"
    build_report(small_study, out)
    assert set(contents(out)) == set(whole)


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_a_killed_run_leaves_only_whole_files_and_no_lock(report: Path, demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = subprocess.Popen(
        [sys.executable, "-c", "from helpers.cli import main; main()", "report", str(demo), "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while not list(out.glob("tables/*.csv")) and run.poll() is None and time.monotonic() < until:
        time.sleep(0.001)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    whole = contents(report)
    left = {n: d for n, d in contents(out).items() if ".apap-" not in n}
    assert left
    assert all(whole[name] == data for name, data in left.items() if name not in CHANGING)
    build_report(demo, out)
    assert set(contents(out)) == set(whole)


SLOW = "import os, time\nopen(os.environ['APAP_TEST_PID'], 'w').write(str(os.getpid()))\ntime.sleep(600)"


def gone(pid: int, seconds: float = 20) -> bool:
    """Whether a process ends within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def waited_for(path: Path, seconds: float = 120) -> int:
    until = time.monotonic() + seconds
    while not (path.exists() and path.read_text()) and time.monotonic() < until:
        time.sleep(0.1)
    return int(path.read_text())


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_of_a_report_killed_while_notebooks_run_no_process_is_left(small_study: Path, tmp_path: Path) -> None:
    slow = notebook(tmp_path, "10_slow", SLOW)
    code = (
        f"from pathlib import Path; from helpers.report import build; from helpers.cli import main\n"
        f"build.study_notebooks = lambda: {{'10_slow': Path({str(slow)!r})}}\nmain()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code, "report", str(small_study), "--out", str(tmp_path / "out")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "APAP_TEST_PID": str(tmp_path / "pid")},
    )
    kernel = waited_for(tmp_path / "pid")
    children = [int(p) for p in subprocess.run(["ps", "-o", "pid=", "--ppid", str(run.pid)], capture_output=True, text=True, check=False).stdout.split()]  # fmt: skip
    run.kill()
    run.wait()
    assert gone(kernel) and all(gone(child) for child in children)


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_a_report_interrupted_beside_its_notebooks_ends_their_kernels(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = notebook(tmp_path, "10_slow", SLOW)
    monkeypatch.setenv("APAP_TEST_PID", str(tmp_path / "pid"))
    monkeypatch.setattr(build, "study_notebooks", lambda: {f"1{i}_slow": slow for i in range(3)})

    def interrupted(*_: object) -> None:
        waited_for(tmp_path / "pid")
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "_exports", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_report(small_study, tmp_path / "out")
    assert gone(int((tmp_path / "pid").read_text()))
    assert contents(tmp_path / "out") == {}


def test_what_waits_for_the_statistics_goes_before_the_pages_that_are_left() -> None:
    done: list[str] = []

    def work(name: str) -> str:
        time.sleep(0.05)
        done.append(name)
        return name

    with build._running(1) as (start, start_first):
        pages = [start(work, f"page {i}") for i in range(4)]
        time.sleep(0.02)
        late = [start_first(work, f"late {i}") for i in range(2)]
        assert [one.result() for one in [*pages, *late]] == [*(f"page {i}" for i in range(4)), "late 0", "late 1"]
    assert done == ["page 0", "late 0", "late 1", "page 1", "page 2", "page 3"]


@pytest.mark.usefixtures("no_notebooks")
def test_files_of_an_earlier_report_go_and_files_of_others_stay(small_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build_report(small_study, out)
    manifest = out / "notebooks" / ".files.json"
    (tmp_path / "precious.txt").write_text("not ours")
    (out / "tables" / "old.csv").write_text("ours, of an earlier version")
    (out / "mine.txt").write_text("a reader's own")
    manifest.write_text(json.dumps([*json.loads(manifest.read_text()), "tables/old.csv", "../precious.txt", 7]))
    build_report(small_study, out)
    assert not (out / "tables" / "old.csv").exists()
    assert (out / "mine.txt").exists() and (tmp_path / "precious.txt").exists()


def test_only_one_page_leaves_the_others(copy: Path, demo: Path) -> None:
    report = copy
    before = contents(report)
    (report / "00_data_check.html").write_text("stale")
    (report / "01_cohort_description.html").write_text("stale")
    build_report(demo, report, only=["00_data_check"])
    after = contents(report)
    assert after["01_cohort_description.html"] == b"stale"
    assert after["00_data_check.html"] != b"stale"
    build_report(demo, report)
    assert {f for f in before if before[f] != contents(report)[f]} <= CHANGING


@pytest.mark.usefixtures("no_notebooks")
def test_a_full_disk_is_a_sentence_and_4(small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(build, "write_atomically", full)
    result = CliRunner().invoke(app, ["report", str(small_study), "--out", str(tmp_path / "out")])
    assert result.exit_code == 4
    assert "No space left on device" in result.output
    assert not contents(tmp_path / "out")


# ---- a study that changes under the run

OTHER_AGE = """
from pathlib import Path
from helpers.analysis import load_study
from helpers.tables import workbook
if Path({flag!r}).exists():
    donors = Path(study, "donors.csv")
    donors.write_text(donors.read_text().replace("apap,male,44", "apap,male,47"))
load_study(study).table("donors_derived")["age_years"].tolist()
"""


def test_a_study_changed_while_notebooks_run_gives_no_page_then_or_later(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag, donors = tmp_path / "flag", small_study / "donors.csv"
    book = notebook(tmp_path, "10_ages", OTHER_AGE.format(flag=str(flag)))
    monkeypatch.setattr(build, "study_notebooks", lambda: {"10_ages": book})
    monkeypatch.setattr(build, "page_keys", lambda data: {})
    before = donors.read_text()
    flag.touch()
    with pytest.raises(Refused, match="changed while it was read"):
        build_report(small_study, tmp_path / "out")
    assert contents(tmp_path / "out") == {}
    flag.unlink()
    donors.write_text(before)
    assert build_report(small_study, tmp_path / "out").exit_code == OK
    page = (tmp_path / "out" / "10_ages.html").read_text(encoding="utf-8")
    assert "[44, 51, 39]" in page, "what was made of the other content is not kept for this one"


@pytest.mark.usefixtures("no_notebooks")
def test_a_study_changed_while_the_rest_is_made_gives_no_report(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(*_: object) -> dict[str, bytes]:
        (small_study / "cytokines").mkdir()
        (small_study / "cytokines" / "notes.txt").write_text("copied late", encoding="utf-8")
        return {}

    monkeypatch.setattr(build, "_exports", changed)
    done = CliRunner().invoke(app, ["report", str(small_study), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1 and "changed while it was read" in done.output
    assert contents(tmp_path / "out") == {}
