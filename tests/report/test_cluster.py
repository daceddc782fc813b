"""A Dask cluster changes where a report is computed and nothing else; what is wrong with it is a sentence."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from helpers.analysis import load_study
from helpers.assays.phagocytosis import events
from helpers.assays.phenotype import measure
from helpers.cli import MACHINE, app
from helpers.core import forks, workers
from helpers.core.cache import code_digest
from helpers.core.workers import ClusterFailed, cluster, each
from helpers.report import build
from helpers.report.build import build_report, on_cluster
from helpers.simulate import write_demo

RECORDS = {"provenance.json", "ro-crate-metadata.json"}
"""Files of a report that hold times."""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes are stopped by signals here")


class Cluster:
    """A scheduler and its workers, each a process of its own, with a cache of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.processes = folder, folder / "scheduler.json", list[subprocess.Popen[bytes]]()
        self.scheduler = self._start("dask_scheduler", "--port", "0", "--no-dashboard", "--no-show")
        until(self.file.is_file)

    @property
    def address(self) -> str:
        import json

        return str(json.loads(self.file.read_text(encoding="utf-8"))["address"])

    def worker(self, *words: str) -> subprocess.Popen[bytes]:
        return self._start("dask_worker", "--nthreads", "1", "--no-dashboard", "--death-timeout", "60", *words)

    def _start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{program}-{len(self.processes)}.log").open("wb") as log:
            command = [sys.executable, "-m", f"distributed.cli.{program}", "--scheduler-file", str(self.file), *words]
            started = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env={**os.environ}, start_new_session=True
            )
        self.processes.append(started)
        return started

    def stop(self) -> None:
        for one in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()


def until(true: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.1)


@pytest.fixture
def dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "cache"))
    (tmp_path / "dask").mkdir()
    made = Cluster(tmp_path / "dask")
    yield made
    made.stop()


def contents(out: Path) -> dict[str, bytes]:
    files = (p for p in out.rglob("*") if p.is_file())
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files if p.name not in RECORDS}


def test_a_cluster_makes_the_same_report_though_a_worker_is_killed(
    small_study: Path, tmp_path: Path, dask: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as here:
        here.setenv("APAP_CACHE", str(tmp_path / "own-cache"))
        build_report(small_study, tmp_path / "local")
    victim, _ = dask.worker("--no-nanny"), dask.worker()

    def no_kernel_here(preload: str) -> None:
        raise AssertionError("the notebooks are for the workers")

    def kill(name: str, done: int, total: int) -> None:
        if name not in ("study", "site") and victim.poll() is None:
            os.kill(victim.pid, signal.SIGKILL)

    monkeypatch.setattr(forks, "begin", no_kernel_here)
    with on_cluster(dask.address, small_study.resolve()):
        result = build_report(small_study.resolve(), tmp_path / "out", progress=kill)
    assert victim.wait(10) == -signal.SIGKILL
    assert (result.exit_code, result.failed) == (0, {})
    local, out = contents(tmp_path / "local"), contents(tmp_path / "out")
    tables = {name for name in local if name.endswith(".csv")}
    assert len(tables) > 20
    assert {n for n in local if local[n] != out.get(n)} <= {"tables.xlsx", "report.docx"}, "but for times in their zips"
    assert set(local) == set(out)


def test_a_cluster_measures_files_to_the_same_numbers(
    tmp_path: Path, dask: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_demo(tmp_path / "four", 4)
    with monkeypatch.context() as here:
        here.setenv("APAP_CACHE", str(tmp_path / "own-cache"))
        local = load_study(tmp_path / "four")
    dask.worker()
    dask.worker()

    def no_file_here(*_: object) -> None:
        raise AssertionError("the files are for the workers")

    monkeypatch.setattr(events, "read_fcs", no_file_here)
    monkeypatch.setattr(measure, "read_fcs", no_file_here)
    with on_cluster(dask.address, tmp_path / "four"):
        spread = load_study(tmp_path / "four")
    assert set(local.measured) == set(spread.measured)
    for name, table in local.measured.items():
        pd.testing.assert_frame_equal(table, spread.measured[name], check_exact=True)


def test_where_no_scheduler_answers_the_command_says_so(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "SECONDS_TO_CONNECT", 1)
    for address in ("tcp://127.0.0.1:9", "no address at all"):
        done = CliRunner().invoke(
            app, ["report", str(small_study), "--out", str(tmp_path / "out"), "--cluster", address]
        )
        assert done.exit_code == MACHINE
        assert "no Dask scheduler answers" in done.output
        assert "Traceback" not in done.output
    assert not (tmp_path / "out").exists()


def test_a_scheduler_without_workers_is_a_sentence(dask: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SECONDS_FOR_A_WORKER", 1)
    with pytest.raises(ClusterFailed, match="has no workers"), cluster(dask.address, str):
        raise AssertionError("nothing can be done")


def test_a_worker_that_is_not_fit_takes_no_part(dask: Cluster) -> None:
    dask.worker()
    unfit = partial(str, "has another version")
    with pytest.raises(ClusterFailed, match="cannot take part: it has another version"), cluster(dask.address, unfit):
        each(abs, [-1], 1)


def test_what_makes_a_worker_unfit(small_study: Path, tmp_path: Path) -> None:
    study, code = str(small_study), code_digest("report")
    content = build.inputs_digest(build.folder_inputs(small_study))
    assert build._unfit(study, content, code) == ""
    assert "version" in build._unfit(study, content, "other")
    assert "does not see" in build._unfit(str(tmp_path / "nowhere"), content, code)
    assert "other files" in build._unfit(study, "other", code)


def test_a_scheduler_that_is_lost_is_a_sentence(dask: Cluster) -> None:
    dask.worker()

    def lose() -> None:
        assert each(abs, [-1], 1) == [1]
        start = workers.starter()
        assert start is not None
        later = start(time.sleep, 300)
        os.killpg(dask.scheduler.pid, signal.SIGKILL)
        later.result()

    with pytest.raises(ClusterFailed, match="scheduler was lost"), cluster(dask.address, str):
        lose()


def test_a_task_that_ends_every_worker_is_a_sentence(dask: Cluster) -> None:
    for _ in range(5):
        dask.worker("--no-nanny")
    with pytest.raises(ClusterFailed, match="again and again"), cluster(dask.address, str):
        each(os._exit, [1], 1)
