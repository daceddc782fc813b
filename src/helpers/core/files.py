"""Files: digests, writing in one step, and where the project's own folders are."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

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


def safe_name(code: str) -> str:
    """A code as part of a file's name on any system; where signs had to go, letters keep two codes apart.

    Examples
    --------
    >>> safe_name("D01"), safe_name("D 01")
    ('D01', 'D-01-4a0aeed0')
    """
    kept = re.sub(r"[^A-Za-z0-9_-]", "-", code)[:40]
    return kept if kept == code else f"{kept}-{hashlib.sha256(code.encode('utf-8')).hexdigest()[:8]}"


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
    data = content.encode("utf-8") if isinstance(content, str) else content
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


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
