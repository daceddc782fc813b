"""Processes that start at once: each is forked from one process in which the slow imports have happened.

Starting Python and importing packages is most of what a small task costs. Here one process, the fork server,
imports them once; every task still gets a process of its own. Where forking is not safe there is no server,
and whoever asks does without.

The server listens on a socket of which only its client holds the other end: when the client ends, however
it ends, the server reads end-of-file, kills its children with all they started, and ends too.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from helpers.core.memory import collect_seldom

SERVER = "helpers.core.forks"
FORKS = sys.platform == "linux"
"""Elsewhere a process that has loaded system libraries may not fork, or there is no fork."""

FINAL_ENVIRONMENT = {
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"),
}
"""What cannot be changed after a fork; plain kernels get the same, so that a page does not hang on how it was made."""

_SERVER_ENVIRONMENT = {"JE_ARROW_MALLOC_CONF": "background_thread:false", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
"""No thread, since a process forks safely only while it has one (pyarrow's allocator); no remarks of a debugger."""

_SECONDS = 120.0


# ---- the client's side


class Forked:
    """A child as its client sees it: what jupyter_client needs of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, server: _Server) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        """Exit code, or None while it runs; the server has not let go of the process id until this says so."""
        if self.returncode is None:
            try:
                self.returncode = self._server.ask(poll=self.pid)["code"]
            except OSError:  # the server is gone, and its kernels with it
                self.returncode = -signal.SIGKILL
        return self.returncode

    def wait(self) -> int:
        """Exit code, as soon as there is one."""
        while (code := self.poll()) is None:
            time.sleep(0.01)
        return code

    def send_signal(self, signum: int) -> None:
        """Signal this process alone."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class _Server:
    """A running fork server and our end of the socket to it."""

    def __init__(self, preload: str) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_SECONDS)
        self._lock = threading.Lock()
        self._greeted = False
        self._stream = self._socket.makefile("rwb")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", SERVER, str(theirs.fileno()), preload],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **FINAL_ENVIRONMENT, **_SERVER_ENVIRONMENT},
                start_new_session=True,  # an interrupt at the terminal is for the client, which then ends this one
            )

    def ask(self, **question: Any) -> dict[str, Any]:
        """One question, one answer; OSError where there is no server any more."""
        with self._lock:
            self._greet()
            self._stream.write(json.dumps(question).encode() + b"\n")
            self._stream.flush()
            return self._read()

    def ready(self) -> bool:
        """Whether it has imported what it imports; does not wait for that."""
        if not self._greeted and self._lock.acquire(blocking=False):
            try:
                if select.select([self._socket], [], [], 0)[0]:
                    self._greet()
            except OSError:  # it failed to start, which the next who asks is told
                return False
            finally:
                self._lock.release()
        return self._greeted

    def _greet(self) -> None:
        if not self._greeted:
            self._read()
            self._greeted = True

    def _read(self) -> dict[str, Any]:
        line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the server, which ends its children; one that still imports has none and does not listen yet."""
        if not self.ready():
            self._process.kill()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_lock = threading.Lock()
_server: _Server | None = None
_broken = False


def begin(preload: str) -> None:
    """Start the fork server where there is none yet and forking is safe; does not wait for it.

    Parameters
    ----------
    preload
        What it calls before it forks, as ``module:function``.
    """
    global _server
    with _lock:
        if FORKS and _server is None and not _broken:
            _server = _Server(preload)


def standing() -> bool:
    """Whether there is a fork server, though it may still be importing."""
    return _server is not None


def ready() -> bool:
    """Whether there is a fork server that forks at once."""
    server = _server
    return server is not None and server.ready()


def stop() -> None:
    """End the fork server and all its children."""
    global _server
    with _lock:
        server, _server = _server, None
    if server is not None:
        server.stop()


atexit.register(stop)


def fork(call: str, env: dict[str, str], cwd: str, **arguments: Any) -> Forked | None:
    """A child that calls a function and ends; None where there is no server.

    Parameters
    ----------
    call
        The function, as ``module:function``.
    env, cwd
        Its environment, but for `FINAL_ENVIRONMENT`, and its folder.
    arguments
        Of the function, as JSON knows them.
    """
    global _server, _broken
    server = _server
    if server is None:
        return None
    try:
        return Forked(
            server.ask(call=call, env={**env, **FINAL_ENVIRONMENT}, cwd=cwd, arguments=arguments)["pid"], server
        )
    except OSError:
        with _lock:
            if _server is server:  # not because it was stopped: it failed to start, so the next would too
                _server, _broken = None, True
        return None


# ---- the server's side


def serve(connection: socket.socket) -> dict[str, Any] | None:
    """Answer questions until end-of-file.

    Parameters
    ----------
    connection
        Our end of the socket.

    Returns
    -------
    None in the server. In a forked child, the question that asked for it: what the child is to become.
    """
    live: set[int] = set()
    stream = connection.makefile("rwb")
    try:
        stream.write(b"{}\n")
        stream.flush()
        for line in stream:
            question: dict[str, Any] = json.loads(line)
            if "poll" in question:
                answer = {"code": _exit_code(question["poll"], live)}
            else:
                pid = os.fork()
                if pid == 0:
                    live.clear()
                    return question
                os.setpgid(pid, pid)
                live.add(pid)
                answer = {"pid": pid}
            stream.write(json.dumps(answer).encode() + b"\n")
            stream.flush()
    except OSError:  # the client ended between its question and our answer
        pass
    finally:
        connection.close()
        for pid in live:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
    return None


def _exit_code(pid: int, live: set[int]) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    if not done:
        return None
    live.discard(pid)
    return os.waitstatus_to_exitcode(status)


def _named(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def _run(call: str, env: dict[str, str], cwd: str, arguments: dict[str, Any]) -> None:
    """What a forked child is to do, where and as what it is to do it."""
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # as the new environment says
    os.chdir(cwd)
    _named(call)(**arguments)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as _connection:
        _named(sys.argv[2])()
        collect_seldom()  # and so do the children
        gc.collect()
        gc.freeze()  # a child's collector leaves these objects alone, and their memory stays shared
        _asked = serve(_connection)
    if _asked is None:
        os._exit(0)  # the client waits for this, and taking down all that was imported has no use
    _run(**_asked)
