"""Files: digests, writing in one step, locks and passing folders, and where the project's own folders are."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from helpers.core.problems import Problem, Refused

PROJECT = Path(__file__).resolve().parents[3]
"""The checkout: helpers is installed editable, so that data_schema/ and notebooks/ are beside src/."""


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits, read in blocks of one MiB.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> f = pathlib.Path(tempfile.mkdtemp()) / "x"
    >>> _ = f.write_bytes(b"abc")
    >>> sha256(f)[:8]
    'ba7816bf'
    """
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


CHANGED = Problem(
    "error",
    "changed-while-read",
    "A file of the study changed while it was read.",
    "Wait until copying has ended, and save what is open in other programs; then run again.",
)


def refuse_changed(path: Path, digest: str, file: str) -> None:
    """Refuse what was read of a file that is no longer the one that was asked for.

    Parameters
    ----------
    path, file
        The file, and its path inside the study for the message.
    digest
        SHA-256 of the content that was asked for.

    Raises
    ------
    Refused
        Where the file has other content now, or is gone.
    """
    try:
        same = sha256(path) == digest
    except OSError:
        same = False
    if not same:
        raise Refused([replace(CHANGED, file=file)])


def safe_name(code: str) -> str:
    """A code as part of a file's name on any system; where signs had to go, letters keep two codes apart.

    Examples
    --------
    >>> safe_name("D01"), safe_name("D 01")
    ('D01', 'D-01-4a0aeed0')
    """
    kept = re.sub(r"[^A-Za-z0-9_-]", "-", code)[:40]
    return kept if kept == code else f"{kept}-{hashlib.sha256(code.encode('utf-8')).hexdigest()[:8]}"


Content = bytes | str | Path
"""What a file is to hold: bytes, text in UTF-8, or what another file holds."""


def bytes_of(content: Content) -> bytes:
    """Content as bytes.

    Examples
    --------
    >>> bytes_of("µg")
    b'\\xc2\\xb5g'
    """
    if isinstance(content, Path):
        return content.read_bytes()
    return content.encode("utf-8") if isinstance(content, str) else content


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that it is there whole or not at all; folders are made as needed.

    The temporary file stands beside the target (same file system) under a name starting with
    ``.apap-``; a run that is killed can leave one, and the next run into the folder removes it.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> f = pathlib.Path(tempfile.mkdtemp()) / "a" / "b.txt"
    >>> write_atomically(f, "hello")
    >>> f.read_text(encoding="utf-8")
    'hello'
    """
    data = bytes_of(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".apap-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def alone(lock: Path) -> Iterator[bool]:
    """Hold a lock while a block runs; yields whether it could be had, and does not wait for it.

    The lock belongs to the process, so that one that was killed holds nothing; its file goes with the block.

    Parameters
    ----------
    lock
        The lock's file; the folder it lies in is there.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> f = pathlib.Path(tempfile.mkdtemp()) / "lock"
    >>> with alone(f) as first, alone(f) as second:
    ...     first, second
    (True, False)
    """
    while True:
        with lock.open("a+b") as handle:
            mine = _lock(handle)
            if mine and os.name != "nt" and not _same(handle, lock):
                continue  # who held it has removed the file in between, and another may hold a new one
            try:
                yield mine
            finally:
                if mine and os.name != "nt":
                    lock.unlink(missing_ok=True)
        if mine and os.name == "nt":  # where a file that is open cannot be removed
            with suppress(OSError):
                lock.unlink()
        return


def _lock(handle: BinaryIO) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        return err.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # a file system that knows no locks
    return True


def _same(handle: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except OSError:
        return False


SCRATCH = "apap-run-"
"""How names of passing folders begin."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of one's own that is gone after the block; what a killed process left is removed on the way.

    Examples
    --------
    >>> with scratch() as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    place = Path(tempfile.gettempdir()).resolve()
    while True:
        folder = place / f"{SCRATCH}{secrets.token_hex(8)}"
        with alone(folder.with_suffix(".lock")) as mine:
            if not mine:
                continue  # one who looks for what is left took the lock as it was made, and may remove the folder
            with alone(folder.with_suffix(".lock")) as again:  # where locks hold nothing, a living folder looks dead
                if not again:
                    _remove_left(place)
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return


def _remove_left(place: Path) -> None:
    """Remove passing folders of this user that no living process holds."""
    for left in {p.with_suffix("") for p in place.glob(f"{SCRATCH}*") if _own(p)}:
        with suppress(OSError), alone(left.with_suffix(".lock")) as dead:
            if dead:
                shutil.rmtree(left, ignore_errors=True)


def _own(path: Path) -> bool:
    """Whether a file or folder, and no link, belongs to this user."""
    try:
        state = path.lstat()
    except OSError:
        return False
    return not stat.S_ISLNK(state.st_mode) and (os.name == "nt" or state.st_uid == os.geteuid())


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
