"""Disks that are full, read-only or others than the study's: real ones, of a few pages of memory, in a room of their own.

Linux lets a process mount such disks for itself alone where it allows user namespaces; elsewhere this is not tested.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MOUNTS = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
ROOM = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]

RUN = """
import json, os, subprocess, sys, tempfile
from pathlib import Path
from typer.testing import CliRunner
from helpers.cli import app
from helpers.report import build

disk, study, whole = map(Path, sys.argv[1:4])
build.page_keys = lambda data: {}

def mount(how):
    subprocess.run(["mount", "-o", "remount," + how, str(disk)], check=True)

def contents(out):
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}

def report(out, notebooks=False):
    build.study_notebooks = (lambda: {"00_data_check": build_notebook}) if notebooks else dict
    done = CliRunner().invoke(app, ["report", str(study), "--out", str(out)])
    now, then = contents(out), contents(whole)
    wrong = sorted(n for n in now if n not in ("provenance.json", "ro-crate-metadata.json") and now[n] != then.get(n))
    missing = sorted(set(then) - set(now))
    return {"code": done.exit_code, "said": done.output + repr(done.exception or ""), "files": sorted(now), "wrong": wrong, "missing": missing}

from helpers.report.notebooks import NOTEBOOKS
build_notebook = NOTEBOOKS / "00_data_check.ipynb"
"""


@pytest.fixture(scope="module")
def room() -> None:
    """Whether this machine lets a process mount disks for itself."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare on this machine")
    if subprocess.run([*ROOM, "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets no process mount a disk for itself")


def in_room(tmp_path: Path, study: Path, size: str, script: str) -> Any:
    """Run lines on a disk of a size; what they print last, as JSON."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = [size, disk, sys.executable, "-c", RUN + script, disk, study, tmp_path / "whole"]
    own = {**os.environ, "APAP_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([*ROOM, MOUNTS, "sh", *words], capture_output=True, text=True, env=own, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


pytestmark = pytest.mark.usefixtures("room")


def test_a_full_disk_is_a_sentence_whole_files_and_the_next_run_mends_it(small_study: Path, tmp_path: Path) -> None:
    steps = in_room(
        tmp_path,
        small_study,
        "4k",
        """
report(whole)
steps = []
for size in ("4k", "64k", "256k", "50m"):
    mount("size=" + size)
    steps.append(report(disk / "out"))
print(json.dumps(steps))
""",
    )
    *full, last = steps
    assert [one["code"] for one in full] == [4] * len(full)
    for one in full:
        assert "No space left on device" in one["said"]
        assert one["wrong"] == [] and not [f for f in one["files"] if ".apap-" in f]
        assert "index.html" not in one["files"], "the first page appears last"
    assert full[-1]["files"], "else nothing was ever half done"
    assert (last["code"], last["wrong"], last["missing"]) == (0, [], [])


def test_a_disk_that_may_not_be_written_is_a_sentence_and_one_that_lies_elsewhere_is_as_good(
    small_study: Path, tmp_path: Path
) -> None:
    fine, shut, again = in_room(
        tmp_path,
        small_study,
        "50m",
        """
report(whole)
steps = [report(disk / "out")]
(disk / "out" / "index.html").write_text("stale")
mount("ro")
steps.append(report(disk / "out"))
mount("rw")
steps.append(report(disk / "out"))
print(json.dumps(steps))
""",
    )
    assert (fine["code"], fine["wrong"], fine["missing"]) == (0, [], [])
    assert shut["code"] == 4 and "Read-only file system" in shut["said"] and shut["wrong"] == ["index.html"]
    assert (again["code"], again["wrong"], again["missing"]) == (0, [], [])


@pytest.mark.parametrize("how", ["size=4k", "ro"])
def test_a_cache_on_a_full_or_closed_disk_costs_time_only(how: str, small_study: Path, tmp_path: Path) -> None:
    (one,) = in_room(
        tmp_path,
        small_study,
        "50m",
        f"""
report(whole)
os.environ["APAP_CACHE"] = str(disk / "cache")
(disk / "cache").mkdir(mode=0o700)
mount("{how}")
print(json.dumps([report(disk.parent / "out")]))
""",
    )
    assert (one["code"], one["wrong"], one["missing"]) == (0, [], [])


def test_no_room_for_what_passes_is_a_sentence_and_nothing_is_kept(small_study: Path, tmp_path: Path) -> None:
    small, large = in_room(
        tmp_path,
        small_study,
        "50m",
        """
report(whole, notebooks=True)
os.environ["APAP_CACHE"] = str(disk.parent / "other")
tempfile.tempdir = str(disk)
mount("size=16k")
steps = [report(disk.parent / "out", notebooks=True)]
left = [p.name for p in disk.iterdir()]
mount("size=50m")
steps.append(report(disk.parent / "out", notebooks=True))
steps[0]["left"] = left
print(json.dumps(steps))
""",
    )
    assert small["code"] in (3, 4) and "No space left on device" in small["said"], small["said"]
    assert small["left"] == []
    assert (large["code"], large["wrong"], large["missing"]) == (0, [], [])


def test_a_study_on_a_disk_that_may_not_be_written_is_read(small_study: Path, tmp_path: Path) -> None:
    (one,) = in_room(
        tmp_path,
        small_study,
        "50m",
        """
import shutil
report(whole)
shutil.copytree(study, disk / "study")
mount("ro")
os.environ["APAP_CACHE"] = str(disk.parent / "other")
study = disk / "study"
print(json.dumps([report(disk.parent / "out")]))
""",
    )
    assert (one["code"], one["wrong"], one["missing"]) == (0, [], [])
