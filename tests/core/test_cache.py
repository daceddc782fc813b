"""The cache answers only what was computed by this code from this content; its troubles never reach a result."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from helpers.core import cache

CALLS: list[tuple[str, str]] = []


@cache.remember("core", ignore=("folder",))
def doubled(digest: str, folder: str) -> str:
    """Counts its calls."""
    CALLS.append((digest, folder))
    if digest == "bad":
        raise ValueError("told to fail")
    return digest * 2


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "cache"))
    CALLS.clear()
    return tmp_path / "cache"


def test_the_same_content_is_computed_once_wherever_it_lies(root: Path) -> None:
    assert doubled("a", "here") == doubled("a", "there") == "aa"
    assert doubled("b", "here") == "bb"
    assert CALLS == [("a", "here"), ("b", "here")]


def test_the_root_belongs_to_its_owner_alone(root: Path) -> None:
    doubled("a", "x")
    if os.name == "posix":
        assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_an_error_is_passed_on_once_and_never_kept(root: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="told to fail"):
            doubled("bad", "x")
    assert len(CALLS) == 2


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x05"])
def test_a_damaged_entry_is_computed_again_in_silence(
    root: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    doubled("a", "x")
    entries = list(root.rglob("output.pkl"))
    assert entries
    for entry in entries:
        entry.write_bytes(content)
    assert doubled("a", "x") == "aa"
    assert "Traceback" not in capfd.readouterr().err


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("APAP_CACHE", str(blocked / "cache"))
    assert doubled("c", "x") == "cc"


def test_other_source_of_the_room_or_an_earlier_one_gives_another_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    for file in (
        "src/helpers/core/a.py",
        "src/helpers/study/b.py",
        "src/helpers/report/c.py",
        "data_schema/inputs/d.json",
    ):
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text("1", encoding="utf-8")
    monkeypatch.setattr(cache, "PROJECT", project)

    def digests() -> dict[str, str]:
        cache.code_digest.cache_clear()
        return {room: cache.code_digest(room) for room in ("core", "study", "report")}

    before = digests()
    (project / "src/helpers/study/b.py").write_text("2", encoding="utf-8")
    after = digests()
    assert [before[r] == after[r] for r in ("core", "study", "report")] == [True, False, False]
    (project / "data_schema/inputs/d.json").write_text("2", encoding="utf-8")
    assert digests()["core"] != after["core"]
    monkeypatch.undo()
    cache.code_digest.cache_clear()
