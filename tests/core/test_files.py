"""Locks are held by one at a time, and folders for passing files go, whoever ends."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest

from helpers.core.files import SCRATCH, alone, scratch

fcntl = pytest.importorskip("fcntl", reason="locks as Linux and macOS have them")


def test_a_lock_whose_file_was_removed_meanwhile_is_not_held_by_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who opened the file before its holder removed it must not believe that it holds the new one."""
    lock, real, others = tmp_path / "lock", fcntl.flock, []

    def late(handle: Any, how: int) -> None:
        if not others:
            lock.unlink()
            others.append(lock.open("a+b"))
            real(others[0], how)
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with alone(lock) as mine:
        assert not mine
    others[0].close()
    with alone(lock) as mine:
        assert mine
    assert not lock.exists()


def test_a_disk_without_locks_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with alone(tmp_path / "lock") as mine:
        assert mine


def test_a_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, link, elsewhere = tmp_path / f"{SCRATCH}dead", tmp_path / f"{SCRATCH}link", tmp_path / "precious"
    for folder in (dead, elsewhere):
        folder.mkdir()
        (folder / "file").touch()
    dead.with_suffix(".lock").touch()
    (tmp_path / f"{SCRATCH}begun.lock").touch()
    link.symlink_to(elsewhere)
    with scratch() as first:
        (first / "mine").touch()
        with scratch() as second:
            assert (first / "mine").exists() and first != second
        names = {p.name for p in tmp_path.iterdir()}
        assert names == {first.name, f"{first.name}.lock", link.name, "precious"}
    assert (elsewhere / "file").exists()
    assert {p.name for p in tmp_path.iterdir()} == {link.name, "precious"}
