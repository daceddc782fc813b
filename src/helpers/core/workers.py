"""Where work that falls into independent parts is done: in this process, in several, or on a Dask cluster.

Each part is a pure function of what it is given and of files that every worker sees under the same path, so that
where it is done changes nothing in its answer. A worker of a cluster first shows that this is so.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

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
        How many of this machine's share the work where there is no cluster.

    Examples
    --------
    >>> each(abs, [-2, 3], 1)
    [2, 3]
    """
    if (there := _cluster.get()) is not None:
        client, unfit = there
        return list(client.gather(client.map(partial(_held, unfit, work), parts, pure=False)))
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=processes)(delayed(work)(part) for part in parts))


def starter() -> Callable[..., Future[Any]] | None:
    """What starts one part on the cluster, given a function and its arguments; None where there is no cluster."""
    if (there := _cluster.get()) is None:
        return None
    client, unfit = there
    return partial(client.get_executor(pure=False).submit, _held, unfit)


def _held(unfit: Unfit, work: Callable[..., R], *args: Any) -> R:
    if why := unfit():
        raise _failed(f"a worker of the cluster (process {os.getpid()}) cannot take part: it {why}")
    return work(*args)


def _wait_for_workers(client: Any) -> None:
    try:
        client.wait_for_workers(1, timeout=SECONDS_FOR_A_WORKER)
    except TimeoutError as err:
        raise _failed("the Dask scheduler has no workers") from err


def _failed(why: str) -> ClusterFailed:
    return ClusterFailed(errno.EHOSTDOWN, why)
