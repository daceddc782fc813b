"""The command line: exit codes, output for machines, one sentence where something is wrong, never a traceback."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers import __version__, cli
from helpers.cli import app
from helpers.core.files import PROJECT

RUN = [sys.executable, "-c", "from helpers.cli import main; main()"]


def run(*words: object, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*RUN, *map(str, words)], capture_output=True, check=False, timeout=120, env={**os.environ, **env}
    )


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("demo", "new", "check", "report", "lab"):
        assert command in result.output
        own = CliRunner().invoke(app, [command, "--help"])
        assert own.exit_code == 0 and "Example: apap " + command in own.output


def test_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"apap {__version__}\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["check", "nowhere"], 1, "no such study folder"),
        (["report", "nowhere", "--out", "out"], 1, "nothing was written"),
        (["report", "STUDY"], 2, "--out"),
        (["report", "STUDY", "--out", "out", "--jobs", "0"], 2, "jobs"),
        (["report", "STUDY", "--out", "STUDY/out"], 2, "may not lie in the study folder"),
        (["report", "STUDY", "--out", "out", "--only", "99_none"], 2, "no notebook called"),
        (["report", "STUDY", "--out", "out", "--donor", "D1"], 2, "No donor who is analysed"),
        (["check", "STUDY", "--json", "--csv"], 2, "not both"),
        (["check", "STUDY", "--jsn"], 2, "--json"),
        (["chek"], 2, "chek"),
        (["demo", "STUDY"], 2, "not empty"),
        (["new", "STUDY"], 2, "not empty"),
        (["demo", "out", "--donors", "0"], 2, "donors"),
        (["lab", "nowhere"], 1, "no such study folder"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_what_cannot_be_done_is_said(
    words: list[str], code: int, says: str, small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = CliRunner().invoke(app, [w.replace("STUDY", str(small_study)) for w in words])
    assert result.exit_code == code, result.output
    assert says in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_problems_for_machines(small_study: Path) -> None:
    (small_study / "donors.csv").write_text(
        (small_study / "donors.csv").read_text().replace("D02,apap,female,51", "D02,apap,femal,51")
    )
    as_json = CliRunner().invoke(app, ["check", str(small_study), "--json"])
    as_csv = CliRunner().invoke(app, ["check", str(small_study), "--csv"])
    assert as_json.exit_code == as_csv.exit_code == 1
    (problem,) = json.loads(as_json.output)
    (row,) = csv.DictReader(io.StringIO(as_csv.output))
    assert (problem["file"], problem["row"], problem["column"]) == ("donors.csv", 3, "sex")
    assert (row["file"], row["row"], row["column"]) == ("donors.csv", "3", "sex")
    assert problem["fix"] and problem["expected"]


def test_a_good_study_is_fine(small_study: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(small_study)])
    assert result.exit_code == 0
    assert result.output == "Fine. Warnings: 0, repairs: 0.\n"
    assert json.loads(CliRunner().invoke(app, ["check", str(small_study), "--json"]).output) == []


def test_a_demo_of_any_size(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["demo", str(tmp_path / "d"), "--donors", "4", "--seed", "7"])
    assert result.exit_code == 0 and "SIMULATED study of 4 donors" in result.output
    assert CliRunner().invoke(app, ["check", str(tmp_path / "d")]).exit_code == 0


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "gb18030", "utf-8"])
def test_any_console_can_show_what_is_said(encoding: str, small_study: Path) -> None:
    path = small_study / "study.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("label: Control", "labl: 对照组 µ"), encoding="utf-8")
    done = run("check", small_study, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 1, done.stderr.decode(encoding, "replace")
    assert b"labl" in done.stdout and not done.stderr
    done.stdout.decode(encoding)


def test_output_cut_by_a_pager_is_no_failure(demo: Path) -> None:
    """`apap check study | head -1`."""
    first = subprocess.Popen([*RUN, "check", str(demo)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert first.stdout is not None and first.stderr is not None
    first.stdout.close()
    said = first.stderr.read()
    first.wait(timeout=60)
    assert b"Traceback" not in said and b"Exception" not in said


def test_what_nobody_foresaw_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("13800138000")

    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr(sys, "argv", ["apap", "check", "x"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    said = capsys.readouterr()
    assert stopped.value.code == 4
    assert "ZeroDivisionError" in said.out and "--debug" in said.out
    assert "13800138000" not in said.out + said.err
    monkeypatch.setattr(sys, "argv", ["apap", "--debug", "check", "x"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_interrupting_a_report_is_130_without_a_traceback(demo: Path, tmp_path: Path) -> None:
    going = subprocess.Popen(
        [*RUN, "report", str(demo), "--out", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "APAP_CACHE": str(tmp_path / "cache")},
    )
    until = time.monotonic() + 60
    while not (tmp_path / "out" / ".apap-lock").exists() and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(1)
    os.killpg(going.pid, signal.SIGINT)
    out, err = going.communicate(timeout=60)
    assert going.returncode == 130, (out, err)
    assert b"Interrupted." in out
    assert b"Traceback" not in out + err
    assert not (tmp_path / "out" / "index.html").exists()


def test_help_is_quick_because_heavy_packages_wait() -> None:
    code = "import sys; from helpers import cli; print([m for m in ('pandas', 'numpy', 'papermill', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_report_that_finds_nothing_new_waits_for_no_statistics_and_no_drawing() -> None:
    heavy = ("scipy", "matplotlib", "frictionless", "papermill", "jupyter_client", "openpyxl", "docx")
    code = f"import sys, helpers.report.build; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_command_is_installed() -> None:
    command = shutil.which("apap") or str(Path(sys.executable).parent / "apap")
    assert subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout.startswith("apap ")


def test_the_laboratory_opens_on_the_notebooks_with_the_study_set(
    small_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[str], str]] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        asked.append((command, os.environ["APAP_STUDY"]))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("helpers.cli.subprocess.run", run)
    monkeypatch.setenv("APAP_STUDY", "another")
    assert CliRunner().invoke(app, ["lab", str(small_study)]).exit_code == 0
    (command, study), *more = asked
    assert study == str(small_study.resolve()) and not more
    assert command[1:4] == ["-m", "jupyter", "lab"] and Path(command[4]) == PROJECT / "notebooks"
