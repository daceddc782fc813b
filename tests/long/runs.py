"""Whole reports in processes of their own, each with its own home, cache and folder for what passes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

COMMAND = [sys.executable, "-c", "from helpers.cli import main; main()"]
RECORD, CRATE = "provenance.json", "ro-crate-metadata.json"
"""Files of a report in which times stand, in the second inside a digest too."""

CACHES = ("nothing", "numbers", "everything")
"""What a cache holds at the start: a run from nothing is mostly statistics, one with all numbers mostly notebooks."""


@dataclass(frozen=True)
class Place:
    """Where a run may leave anything: the report, the cache, the folder for passing files, the home folder."""

    root: Path
    study: Path

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def environment(self, **more: str) -> dict[str, str]:
        own = {"HOME": str(self.root / "home"), "TMPDIR": str(self.root / "tmp"), "APAP_CACHE": str(self.cache)}
        for folder in ("home", "tmp"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        usual = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "JUPYTER_", "IPYTHON", "LC_"))}
        return usual | own | {"APAP_TEST_MARK": str(self.root)} | more

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        command = [*COMMAND, "report", str(self.study), "--out", str(self.out), *words]
        both = subprocess.STDOUT
        environment = self.environment(**more)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=both, text=True, env=environment, cwd=self.root)

    def run(self, *words: str, **more: str) -> float:
        """One whole report; returns the seconds it took."""
        started = time.monotonic()
        run = self.start(*words, **more)
        said, _ = run.communicate()
        assert run.returncode == 0, said
        return time.monotonic() - started

    def processes(self) -> list[str]:
        """Whatever of a run is alive still, by its command."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                dead = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                if not dead and f"APAP_TEST_MARK={self.root}\0".encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text())
            except OSError:
                continue
        return found

    def passing(self) -> list[str]:
        """What is left in the folder for passing files."""
        return sorted(p.relative_to(self.root).as_posix() for p in (self.root / "tmp").rglob("*"))


@dataclass(frozen=True)
class Undisturbed:
    """The report as it is where nothing happens, and what the run left behind."""

    study: Path
    files: dict[str, bytes]
    caches: Path
    seconds: dict[str, float]
    home: list[str]


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a report but the crate; the record without its times."""
    found = {
        p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file() and p.name != CRATE
    }
    if RECORD in found:
        record = json.loads(found[RECORD])
        record.pop("times")
        found[RECORD] = json.dumps(record).encode()
    return found


def listing(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def fill(place: Place, caches: Path, state: str) -> None:
    """Give a run the cache of a state."""
    if state != "nothing":
        shutil.copytree(caches, place.cache)
    if state == "numbers":
        shutil.rmtree(place.cache / "report")
