"""Locks are held by one at a time, and folders for passing files go, whoever ends."""

from __future__ import annotations

import errno
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from helpers.core import files
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


def test_a_folder_whose_lock_another_took_as_it_was_made_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    real, refused = files._lock, []

    def late(handle: BinaryIO) -> bool:
        if not refused:  # who removes what is left stands between the making of this file and its locking
            refused.append(Path(handle.name).with_suffix(""))
            return False
        return real(handle)

    monkeypatch.setattr(files, "_lock", late)
    with scratch() as folder:
        assert folder not in refused and folder.is_dir()


def test_of_many_at_once_none_loses_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = sys.getswitchinterval()

    def work(_: int) -> int:
        lost = 0
        for _ in range(150):
            with scratch() as folder:
                (folder / "run").mkdir()
                lost += not (folder / "run").exists()
        return lost

    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(work, range(8))) == 0
    finally:
        sys.setswitchinterval(before)
    assert not list(tmp_path.glob("*"))


def test_where_locks_hold_nothing_no_folder_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(fcntl, "flock", none)
    with scratch() as first, scratch():
        assert first.is_dir()
