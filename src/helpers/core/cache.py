"""What was computed once is not computed again: joblib.Memory keyed by content and by our own source.

A remembered function is pure and takes digests, not folders: whoever calls it has read the content those
digests stand for. The cache's own path holds a digest of the source of every room up to the function's
room, of data_schema/, of Python and of the installed packages, so that code of another version can never
answer, and a changed caption does not throw away what the readers did.

The cache root lies outside every study, belongs to its owner alone (0700) and is the trust boundary: a
pickle in it is believed, and a pickle can run anything. So a root that came with a study, belongs to someone
else or could be written by others is not used at all.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import pickle
import platform
import sys
import warnings
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from helpers.core.files import PROJECT

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

P = ParamSpec("P")
R = TypeVar("R")

ROOMS = ("core", "readers", "study", "cohort", "assays", "stats", "analysis", "figures", "tables", "report")
"""Rooms in the order of the spine; each may import only rooms before it."""

log = logging.getLogger(__name__)


def cache_root() -> Path:
    """Folder of the cache: ``APAP_CACHE`` where set, else the user's own cache folder.

    Examples
    --------
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", APAP_CACHE="somewhere"):
    ...     cache_root().name
    'somewhere'
    """
    named = os.environ.get("APAP_CACHE")
    if named:
        return Path(named)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "apap"


def digest_of(parts: Iterable[str | bytes]) -> str:
    """SHA-256 over parts, each with its length, so that no two lists of parts collide by joining.

    Examples
    --------
    >>> digest_of(["ab", "c"]) == digest_of(["a", "bc"])
    False
    """
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8") if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big"))
        whole.update(data)
    return whole.hexdigest()


def row_hashes(table: pd.DataFrame) -> np.ndarray:
    """A number for each row of a table by its content, in the rows' order.

    Parameters
    ----------
    table
        Its index does not count.
    """
    import pandas as pd

    hashes: np.ndarray = pd.util.hash_pandas_object(table, index=False).to_numpy()
    return hashes


def digest_of_rows(name: str, table: pd.DataFrame, hashes: np.ndarray) -> str:
    """SHA-256 over rows of a table by their numbers from `row_hashes`, its name and its columns' names."""
    return digest_of([name, repr([*table]), hashes.tobytes()])


@functools.cache
def code_digest(room: str) -> str:
    """Digest of all that can change an answer of `room`: sources up to it, contract, Python, packages.

    Raises
    ------
    ValueError
        Where there is no such room.
    """
    upto = ROOMS[: ROOMS.index(room) + 1]
    source = PROJECT / "src" / "helpers"
    files = [p for name in upto for p in (source / name).rglob("*") if p.suffix not in (".pyc", "")]
    files += [source / f"{name}.py" for name in upto if (source / f"{name}.py").exists()]
    files += list((PROJECT / "data_schema").rglob("*.json"))
    parts: list[str | bytes] = [platform.python_version(), sys.platform, platform.machine(), *_packages()]
    for path in sorted(files):
        parts += [path.relative_to(PROJECT).as_posix(), path.read_bytes()]
    return digest_of(parts)


@functools.cache
def _packages() -> tuple[str, ...]:
    """Names and versions of what is installed, from the names of folders: opening each one's metadata takes 0.2 s."""
    found = {p.name.lower() for entry in sys.path for p in Path(entry).glob("*.dist-info")}
    return tuple(sorted(found))


def remember(room: str, ignore: tuple[str, ...] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a pure function of digests so that the same call is answered from disk.

    Parameters
    ----------
    room
        The room the function lives in; see `ROOMS`.
    ignore
        Arguments that do not change the answer, such as the folder in which the content was found.

    Returns
    -------
    A decorator. Where the cache cannot be read or written (damaged entry, full or read-only disk) the
    function is simply called: the cache can cost time, never an answer.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        # of the call that is going on: only the cache's own trouble may fall back to a plain call, while what the
        # function raises is its answer
        fresh: ContextVar[list[R]] = ContextVar("fresh")
        raised: ContextVar[list[BaseException]] = ContextVar("raised")

        @functools.wraps(function)
        def noting(*args: P.args, **kwargs: P.kwargs) -> bytes:
            try:
                answer = function(*args, **kwargs)
            except BaseException as err:
                raised.get().append(err)
                raise
            fresh.get().append(answer)
            # joblib's own way of writing takes ten times as long for frames of text
            return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)

        @functools.cache  # joblib looks through a function's source whenever it is made to remember it
        def remembering(root: Path):  # type: ignore[no-untyped-def]  # joblib has no types
            return _memory(room, root).cache(noting, ignore=list(ignore))

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            own: list[R] = []
            errors: list[BaseException] = []
            tokens = fresh.set(own), raised.set(errors)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    kept = remembering(cache_root())(*args, **kwargs)
                return own[0] if own else pickle.loads(kept)
            except Exception as err:
                if errors:
                    raise
                log.debug("cache not usable for %s: %s", function.__name__, type(err).__name__)
                return own[0] if own else function(*args, **kwargs)
            finally:
                fresh.reset(tokens[0])
                raised.reset(tokens[1])

        return wrapped

    return decorate


@functools.cache
def _memory(room: str, root: Path):  # type: ignore[no-untyped-def]  # joblib has no types
    from joblib import Memory

    if why := _distrusted(root):
        raise PermissionError(why)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name == "posix":
        root.chmod(0o700)
    return Memory(root / room / code_digest(room)[:32], verbose=0)


@functools.cache
def _distrusted(root: Path) -> str:
    """Why nothing in a cache root may be believed, said once; empty where it may."""
    place = root.resolve()
    why = ""
    if any((folder / "study.yaml").exists() for folder in (place, *place.parents)):
        why = "it lies in a study folder, which may come from someone else"
    elif os.name == "posix" and place.is_dir():
        state = place.stat()
        if state.st_uid != os.geteuid():
            why = "it belongs to another user"
        elif state.st_mode & 0o022 and any(place.iterdir()):
            why = "other users could write into it"
    if why:
        log.warning(
            "The cache folder is not used, and everything is computed again: %s. Set APAP_CACHE to a folder of your own.",
            why,
        )
    return why
