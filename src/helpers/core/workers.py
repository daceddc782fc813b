"""Where work that falls into independent parts is done: in this process, in several, or on a Dask cluster.

Each part is a pure function of what it is given and of files that every worker sees under the same path, so that
where it is done changes nothing in its answer. A worker of a cluster first shows that this is so.
"""

from __future__ import annotations

import errno
import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from helpers.core import forks
from helpers.core.files import scratch

T = TypeVar("T")
R = TypeVar("R")

BYTES_A_WORKER = 200_000_000
"""Files under this size together are read by one process: starting another takes longer."""
MOST = 8
"""Each process holds the events of a file."""
ANSWER = "helpers.core.workers:answer"
SECONDS_TO_CONNECT = 10
SECONDS_FOR_A_WORKER = 60

Unfit = Callable[[], str]
"""Asked on a worker before each part: why it must not take part, in words after "it"; empty where it may."""

_cluster: ContextVar[tuple[Any, Unfit] | None] = ContextVar("_cluster", default=None)


class ClusterFailed(OSError):
    """The cluster cannot do the work; ``strerror`` is a clause that says why."""


@contextmanager
def cluster(address: str, unfit: Unfit) -> Iterator[None]:
    """Let the workers of a Dask scheduler do what `each` and `starter` are given; what is left is given up at the end.

    Parameters
    ----------
    address
        Of the scheduler, such as ``tcp://host:8786``.
    unfit
        What each worker is asked; it and all parts are functions of modules, so that workers find them.

    Raises
    ------
    ClusterFailed
        Where no scheduler answers, it has no workers, one is unfit, or scheduler or workers are lost for good.
    """
    from distributed import Client
    from distributed.scheduler import KilledWorker

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it prints tracebacks of what is a sentence here
    try:
        client: Any = Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, ImportError) as err:
        raise _failed("no Dask scheduler answers at the address that --cluster names") from err
    token = _cluster.set((client, unfit))
    try:
        _wait_for_workers(client)
        yield
    except KilledWorker as err:
        raise _failed("workers of the cluster ended again and again at the same task; see their logs") from err
    except CancelledError as err:
        raise _failed("the Dask scheduler was lost") from err
    finally:
        _cluster.reset(token)
        client.close()


def each(work: Callable[[T], R], parts: Sequence[T], processes: int) -> list[R]:
    """The answers to all parts, in their order.

    Parameters
    ----------
    work
        What is to be done with a part.
    parts
        What it is asked.
    processes
        How many of this machine's share the work where there is neither a cluster nor a fork server.

    Examples
    --------
    >>> each(abs, [-2, 3], 1)
    [2, 3]
    """
    if (there := _cluster.get()) is not None:
        client, unfit = there
        return list(client.gather(client.map(partial(_held, unfit, work), parts, pure=False)))
    if len(parts) < 2:
        return [work(part) for part in parts]
    if forks.standing():
        return _beside(work, parts)
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=processes)(delayed(work)(part) for part in parts))


def apart(work: Callable[[T], R], parts: Sequence[T]) -> list[R]:
    """The answers to all parts as `each` gives them, from forked children where there is a fork server.

    This process waits meanwhile, and what the work takes of memory goes with the children.

    Parameters
    ----------
    work, parts
        As in `each`.

    Examples
    --------
    >>> apart(abs, [-2, 3])
    [2, 3]
    """
    if _cluster.get() is not None or not forks.standing():
        return each(work, parts, 1)
    with scratch() as folder:
        children = _Children(folder, work, parts)
        try:
            for _ in range(min(processors(), len(parts))):
                children.start()
            answers = children.answers()
        finally:
            children.kill()
    return [answers[i] if i in answers else work(part) for i, part in enumerate(parts)]


def processes_for(files: Iterable[Path]) -> int:
    """How many processes share files of this size; starting another takes as long as reading many small ones."""
    return max(1, min(processors(), sum(f.stat().st_size for f in files if f.is_file()) // BYTES_A_WORKER))


def processors() -> int:
    """How many processes may compute at once: what this process may use of the machine, and no more than `MOST`."""
    from joblib import cpu_count

    return min(int(cpu_count()), MOST)


class _Children(Generic[T, R]):
    """Forked children that do parts, each the last one that nobody has begun with."""

    def __init__(self, folder: Path, work: Callable[[T], R], parts: Sequence[T]) -> None:
        (folder / "asked").write_bytes(pickle.dumps((work, list(parts))))
        self._folder = folder
        self._answers: dict[Path, forks.Forked] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def start(self) -> None:
        """Start one more, where one can be forked."""
        to = self._folder / f"answer {len(self)}"
        child = forks.fork(ANSWER, dict(os.environ), os.getcwd(), folder=str(self._folder), to=str(to))
        if child is not None:
            self._answers[to] = child

    def answers(self) -> dict[int, R]:
        """What they have answered, by the part's place, when all have ended; not what was lost or broke in them."""
        found: dict[int, R] = {}
        for to, child in self._answers.items():
            found |= pickle.loads(to.read_bytes()) if child.wait() == 0 else {}
        return found

    def kill(self) -> None:
        """End those that still are there."""
        for child in self._answers.values():
            child.kill()


def _beside(work: Callable[[T], R], parts: Sequence[T]) -> list[R]:
    """Forked children do parts from the last one on, and this process from the first one on, until they meet.

    What a child does not answer, and what breaks in it, is done here: so it breaks here too.
    """
    answers: dict[int, R] = {}
    with scratch() as folder:
        children = _Children(folder, work, parts)
        try:
            for i, part in enumerate(parts):
                if len(children) < processors() - 1 and forks.ready():
                    children.start()
                if not _claimed(folder, i):
                    break
                answers[i] = work(part)
            answers |= children.answers()
        finally:
            children.kill()
    return [answers[i] if i in answers else work(part) for i, part in enumerate(parts)]


def answer(folder: str, to: str) -> None:
    """What such a child does."""
    work, parts = pickle.loads((Path(folder) / "asked").read_bytes())
    answers = {}
    with suppress(Exception):
        for i in reversed(range(len(parts))):
            if _claimed(Path(folder), i):
                answers[i] = work(parts[i])
    Path(to).write_bytes(pickle.dumps(answers))
    os._exit(0)  # taking down all that the server has imported would take longer than most answers


def _claimed(folder: Path, i: int) -> bool:
    """Whether part `i` is for who asks: one process alone is told so."""
    try:
        (folder / str(i)).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def starter() -> Callable[..., Future[Any]] | None:
    """What starts one part on the cluster, given a function and its arguments; None where there is no cluster."""
    if (there := _cluster.get()) is None:
        return None
    client, unfit = there
    return partial(client.get_executor(pure=False).submit, _held, unfit)


def _held(unfit: Unfit, work: Callable[..., R], *args: Any) -> R:
    if why := unfit():
        raise _failed(f"a worker of the cluster (process {os.getpid()}) cannot take part: it {why}")
    with one_blas_thread():
        return work(*args)


def one_blas_thread() -> AbstractContextManager[object]:
    """Last bits of sums depend on the number of BLAS threads, and tables must not; forked children have one."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits


def _wait_for_workers(client: Any) -> None:
    try:
        client.wait_for_workers(1, timeout=SECONDS_FOR_A_WORKER)
    except TimeoutError as err:
        raise _failed("the Dask scheduler has no workers") from err


def _failed(why: str) -> ClusterFailed:
    return ClusterFailed(errno.EHOSTDOWN, why)
