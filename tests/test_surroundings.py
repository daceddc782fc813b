"""A report is the same bytes whatever the machine's language, zone, hashing, threads, order of files and line endings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.report import build
from helpers.report.build import build_report

Patch = pytest.MonkeyPatch
ALONE = """
import locale, sys
from helpers.report import build
locale.setlocale(locale.LC_ALL, "")
build.study_notebooks, build.page_keys = dict, lambda data: {}
assert build.build_report(sys.argv[1], sys.argv[2], jobs=int(sys.argv[3])).exit_code == 0
"""
LOCALES = {"de_DE.UTF-8": ("de_DE", "UTF-8"), "tr_TR.UTF-8": ("tr_TR", "UTF-8"), "zh_CN.GB18030": ("zh_CN", "GB18030")}
SURROUNDINGS = {
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "de_DE": {"LC_ALL": "de_DE.UTF-8", "TZ": "America/St_Johns", "PYTHONHASHSEED": "1"},
    "tr_TR": {"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati", "OPENBLAS_NUM_THREADS": "2"},
    "zh_CN": {"LC_ALL": "zh_CN.GB18030", "TZ": "Asia/Shanghai", "PYTHONHASHSEED": "2", "OPENBLAS_NUM_THREADS": "1"},
}


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a report but its records, in which times stand."""
    files = (p for p in out.rglob("*") if p.is_file() and p.name not in ("provenance.json", "ro-crate-metadata.json"))
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in files}


@pytest.fixture(scope="module")
def languages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, str]]:
    """What makes a process find a locale; where the machine lacks it, it is generated."""
    folder = tmp_path_factory.mktemp("locales")

    def found(name: str) -> dict[str, str]:
        probe = [sys.executable, "-c", "import locale; locale.setlocale(locale.LC_ALL, '')"]
        if name not in LOCALES or not subprocess.run(probe, env={**os.environ, "LC_ALL": name}, capture_output=True, check=False).returncode:  # fmt: skip
            return {}
        if shutil.which("localedef") is None:
            pytest.skip(f"the locale {name} is not here, and no localedef to make it")
        language, signs = LOCALES[name]
        made = ["localedef", "-i", language, "-f", signs, str(folder / name)]
        subprocess.run(made, capture_output=True, check=False)  # it may warn, and end with 1
        if not (folder / name / "LC_CTYPE").exists():
            pytest.skip(f"the locale {name} cannot be made here")
        return {"LOCPATH": str(folder)}

    return found


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory, written: Callable[[Path], Path]) -> tuple[Path, dict[str, bytes]]:
    """A study with signs of many languages, and its report."""
    root = tmp_path_factory.mktemp("usual")
    study = written(root / "study")
    settings = study / "study.yaml"
    settings.write_text(settings.read_text("utf-8").replace("aPAP", "aPAP İıß µ 自身免疫"), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APAP_CACHE", str(root / "cache"))
        made = reported(study, root / "out", patch)
    assert {"tables.xlsx", "tables/effects.csv", "tables/donors_derived.csv", "index.html"} <= set(made)
    return study, made


def reported(study: Path, out: Path, patch: Patch) -> dict[str, bytes]:
    patch.setattr(build, "study_notebooks", dict)
    patch.setattr(build, "page_keys", lambda data: {})
    assert build_report(study, out).exit_code == 0
    return contents(out)


@pytest.mark.parametrize("name", [n if n != "zh_CN" else pytest.param(n, marks=pytest.mark.long) for n in SURROUNDINGS])
def test_no_byte_depends_on_the_machines_settings(
    name: str,
    usual: tuple[Path, dict[str, bytes]],
    languages: Callable[[str], dict[str, str]],
    tmp_path: Path,
) -> None:
    study, expected = usual
    own = SURROUNDINGS[name]
    usually = {k: v for k, v in os.environ.items() if not k.startswith("LC_") and k != "LANG"}
    environment = usually | own | languages(own["LC_ALL"]) | {"APAP_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-c", ALONE, str(study), str(tmp_path / "out"), "1" if name == "C" else "4"]
    done = subprocess.run(words, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
    made = contents(tmp_path / "out")
    assert set(made) == set(expected)
    assert [n for n, data in made.items() if data != expected[n]] == []


class Entries(list[Any]):
    """What `os.scandir` gives, in an order of ours."""

    def __enter__(self) -> Entries:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self:
            raise StopIteration
        return self.pop(0)

    def close(self) -> None:
        """Nothing is open."""


def test_no_byte_depends_on_the_order_in_which_the_disk_names_files(
    usual: tuple[Path, dict[str, bytes]], tmp_path: Path, monkeypatch: Patch
) -> None:
    study, expected = usual
    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "cache"))
    scan, names = os.scandir, os.listdir
    asked = []

    def scandir(path: Any = ".") -> Any:
        asked.append(str(path))
        return Entries(sorted(scan(path), key=lambda e: e.name, reverse=True))

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        patch.setattr(os, "listdir", lambda path=".": sorted(names(path), reverse=True))
        made = reported(study, tmp_path / "out", patch)
    assert str(study) in asked, "else the order was never another"
    assert [n for n in expected if made.get(n) != expected[n]] == []


@pytest.mark.parametrize("ending", ["\r\n", "\r"], ids=["Windows", "old Macs"])
def test_no_table_depends_on_line_endings(
    ending: str, usual: tuple[Path, dict[str, bytes]], tmp_path: Path, monkeypatch: Patch
) -> None:
    study, expected = usual
    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "cache"))
    other = Path(shutil.copytree(study, tmp_path / "study"))
    for path in (p for p in other.rglob("*") if p.is_file()):
        path.write_bytes(path.read_bytes().replace(b"\n", ending.encode()))
    assert b"\n" not in (other / "donors.csv").read_bytes().replace(b"\r\n", b"")
    made = reported(other, tmp_path / "out", monkeypatch)
    tables = [n for n in expected if n.startswith("tables")]
    assert len(tables) > 20
    assert [n for n in tables if made.get(n) != expected[n]] == []
