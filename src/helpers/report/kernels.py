"""Kernels that start at once: each is forked from one process in which the slow imports have happened.

Starting Python and importing packages is most of what a small notebook costs. Here one process, the fork
server, imports them once; every notebook still gets a process and a namespace of its own. jupyter_client
knows the class `ForkedProvisioner` under the name ``apap-forked`` (an entry point of this package), so the
stored notebooks keep the ordinary python3 kernel. Where forking is not safe, kernels start as usual.

The server listens on a socket of which only its client holds the other end: when the client ends, however
it ends, the server reads end-of-file, kills its kernels with all they started, and ends too.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from queue import Empty
from typing import Any

import traitlets
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

PROVISIONER = "apap-forked"
SERVER = "helpers.report.kernels"
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

PRELOADED = (
    "ipykernel.kernelapp",
    # what every kernel would import while it starts, half of its time
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.magics.execution",
    "IPython.core.oinspect",
    "IPython.core.pylabtools",
    "IPython.extensions.storemagic",
    "sqlite3",
    "pandas",
    "matplotlib.pyplot",
    "seaborn",
    "tableone",
    "helpers.analysis",
)
PRELOADED_ROOMS = ("helpers.figures", "helpers.tables")
_SECONDS = 120.0


class ForkedProvisioner(LocalProvisioner):
    """Starts kernels for jupyter_client by asking the fork server; plain ones where there is none."""

    process: Any = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start a kernel; `cmd` is the command of a plain one."""
        kwargs["env"] = {**kwargs.get("env", os.environ), **FINAL_ENVIRONMENT}
        forked = await asyncio.to_thread(_forked, cmd, kwargs["env"], kwargs.get("cwd"))
        if forked is None:
            await super().launch_kernel(cmd, **kwargs)
        else:
            self.process, self.pid, self.pgid = forked, forked.pid, forked.pid
            self.cwd = kwargs.get("cwd")
        _running.add(self)
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel and all it started. One that is being shut down is not interrupted on its way out."""
        if signum == signal.SIGINT and getattr(self.parent, "shutting_down", False):
            return
        await super().send_signal(signum)

    async def kill(self, restart: bool = False) -> None:
        """Kill it, and see it gone: who asked looks every 0.1 s, and it is gone much sooner."""
        await super().kill(restart)
        for _ in range(20):
            if await self.poll() is not None:
                return
            await asyncio.sleep(0.005)


class PromptClient(AsyncKernelClient):
    """A client that is ready when its kernel is; the usual one listens 0.2 s longer whether anything else comes."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until the kernel has answered on all channels.

        Raises
        ------
        RuntimeError
            Where it died, or did not answer within `timeout` seconds.
        """
        end = time.monotonic() + (timeout or float("inf"))
        while not await self._idle_after(self.kernel_info()):
            if not await self.is_alive():
                raise RuntimeError("the kernel died before it was ready")
            if time.monotonic() > end:
                raise RuntimeError(f"the kernel was not ready within {timeout:g} seconds")

    async def _idle_after(self, asked: str) -> bool:
        """Whether the kernel says that it is done with what it was asked; it may not be listened to yet."""
        while True:
            try:
                said = await self.get_iopub_msg(timeout=0.1)
            except Empty:
                return False
            done = said["msg_type"] == "status" and said["content"]["execution_state"] == "idle"
            if done and said["parent_header"].get("msg_id") == asked:
                return True


class ForkedKernelManager(AsyncKernelManager):
    """A kernel manager whose kernels come from `ForkedProvisioner`, whatever the environment says."""

    client_factory = traitlets.Type(PromptClient)
    environment = traitlets.Dict(help="Variables that a kernel gets beside those of this process.").tag(config=True)

    async def start_kernel(self, **kw: Any) -> None:  # type: ignore[override]  # async there too, but not typed so
        """Start a kernel with our variables."""
        await super().start_kernel(**{**kw, "env": {**kw.get("env", os.environ), **self.environment}})

    @property
    def kernel_spec(self) -> KernelSpec | None:
        """The kernel's specification, with our provisioner named in it."""
        spec = super().kernel_spec
        if spec is not None:
            spec.metadata["kernel_provisioner"] = {"provisioner_name": PROVISIONER, "config": {}}
        return spec


# ---- the client's side


class _Forked:
    """A kernel as the client sees it: what `LocalProvisioner` needs of a `subprocess.Popen`."""

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
            time.sleep(0.05)
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

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_SECONDS)
        self._lock = threading.Lock()
        self._stream = self._socket.makefile("rwb")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", SERVER, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **FINAL_ENVIRONMENT, **_SERVER_ENVIRONMENT},
                start_new_session=True,  # an interrupt at the terminal is for the client, which then ends this one
            )

    def ask(self, **question: Any) -> dict[str, Any]:
        """One question, one answer; OSError where there is no server any more."""
        with self._lock:
            self._stream.write(json.dumps(question).encode() + b"\n")
            self._stream.flush()
            line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the server, which ends its kernels."""
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
_running: weakref.WeakSet[ForkedProvisioner] = weakref.WeakSet()


def begin() -> None:
    """Start the fork server where there is none yet and forking is safe; does not wait for it."""
    global _server
    with _lock:
        if FORKS and _server is None and not _broken:
            _server = _Server()


def stop() -> None:
    """End every kernel that this process started, and the fork server."""
    global _server
    with _lock:
        server, _server = _server, None
        plain = [p.process for p in _running if isinstance(p.process, subprocess.Popen)]
    for process in plain:
        if process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
    if server is not None:
        server.stop()


atexit.register(stop)


def _forked(cmd: list[str], env: dict[str, str], cwd: str | None) -> _Forked | None:
    """A forked kernel; None where only a plain one can be had."""
    global _server, _broken
    begin()
    server = _server
    if server is None or cmd[0] != sys.executable or "ipykernel_launcher" not in cmd:
        return None
    question = {"argv": cmd[cmd.index("ipykernel_launcher") + 1 :], "env": env, "cwd": cwd or os.getcwd()}
    try:
        return _Forked(server.ask(**question)["pid"], server)
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


def _preload() -> None:
    """Import what notebooks use; what cannot be imported is left to the notebook that needs it, which says so."""
    import matplotlib

    matplotlib.use("agg")
    names = [*PRELOADED]
    for room in PRELOADED_ROOMS:
        names += [m.name for m in pkgutil.iter_modules(importlib.import_module(room).__path__, room + ".")]
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a child's collector leaves these objects alone, and their memory stays shared


def _become_kernel(argv: list[str], env: dict[str, str], cwd: str) -> None:
    """What ``python -m ipykernel_launcher`` does, in a forked child."""
    import numpy as np
    from ipykernel.kernelapp import IPKernelApp

    os.environ.clear()
    os.environ.update(env)
    gc.set_threshold(50_000, 20, 100)  # drawing makes many objects that live long; looking them through took a tenth
    tempfile.tempdir = None  # as the new environment says
    os.chdir(cwd)
    np.random.seed()
    sys.argv = ["ipykernel_launcher", *argv]
    app: Any = IPKernelApp.instance(parent_handle=os.getppid())
    app.initialize(argv)
    app.shell.enable_matplotlib("inline")  # pyplot is loaded already, so its backend is not looked up again
    app.start()


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as _connection:
        _preload()
        _asked = serve(_connection)
    if _asked is not None:
        _become_kernel(**_asked)
