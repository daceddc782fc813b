"""Kernels that start at once: each is forked from one process in which the slow imports have happened.

Each notebook gets a process and a namespace of its own from the fork server (`helpers.core.forks`). jupyter_client
knows the class `ForkedProvisioner` under the name ``apap-forked`` (an entry point of this package), so the
stored notebooks keep the ordinary python3 kernel. Where forking is not safe, kernels start as usual.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from pathlib import Path
from queue import Empty
from typing import Any

import traitlets
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from helpers.core import forks
from helpers.report.preload import begin, started

PROVISIONER = "apap-forked"


class ForkedProvisioner(LocalProvisioner):
    """Starts kernels for jupyter_client by asking the fork server; plain ones where there is none."""

    process: Any = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start a kernel; `cmd` is the command of a plain one."""
        kwargs["env"] = {**kwargs.get("env", os.environ), **forks.FINAL_ENVIRONMENT}
        forked = await asyncio.to_thread(_forked, cmd, kwargs["env"], kwargs.get("cwd"))
        if forked is None:
            await super().launch_kernel(_bound(cmd), **kwargs)
        else:
            self.process, self.pid, self.pgid = forked, forked.pid, forked.pid
            self.cwd = kwargs.get("cwd")
        started.add(self)
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


def line(folder: Path) -> dict[str, str]:
    """Settings of a kernel manager that reaches its kernel through sockets in a folder of its own.

    A port of the machine can be taken by another program between the choice and its use, as one of 13,000 was, and
    all users of the machine can knock at it; a socket in a folder of one's own is neither. Ports where the folder
    takes no sockets: its path is too long for them, or its file system or the machine has none.

    Parameters
    ----------
    folder
        Of this kernel alone.

    Examples
    --------
    >>> line(Path("/a") / ("very" * 25 + "long"))["transport"]
    'tcp'
    """
    file = folder / "kernel.json"
    return {"connection_file": str(file), "transport": "ipc" if _takes_sockets(folder) else "tcp"}


def _takes_sockets(folder: Path) -> bool:
    if not hasattr(socket, "AF_UNIX"):
        return False
    tried = folder / "kernel-ipc-00"  # as long a name as any that will be used
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.fsencode(tried))
        tried.unlink()
    except OSError:
        return False
    return True


def _arguments(cmd: list[str]) -> list[str] | None:
    """What the ordinary kernel of this Python is called with; None for any other kernel."""
    if cmd[0] != sys.executable or "ipykernel_launcher" not in cmd:
        return None
    return cmd[cmd.index("ipykernel_launcher") + 1 :]


def _bound(cmd: list[str]) -> list[str]:
    """The command of the same kernel, one that ends with its client even while it starts."""
    argv = _arguments(cmd)
    if argv is None or os.name != "posix":  # elsewhere no process gets another parent, and ipykernel waits for its end
        return cmd
    return [sys.executable, "-P", "-m", "helpers.report.plain", *argv]


def _forked(cmd: list[str], env: dict[str, str], cwd: str | None) -> forks.Forked | None:
    """A forked kernel; None where only a plain one can be had."""
    begin()
    argv = _arguments(cmd)
    if argv is None:
        return None
    return forks.fork("helpers.report.kernels:become_kernel", env, cwd or os.getcwd(), argv=argv)


# ---- the server's side


def become_kernel(argv: list[str]) -> None:
    """What ``python -m ipykernel_launcher`` does, in a forked child."""
    import numpy as np
    from ipykernel.kernelapp import IPKernelApp
    from traitlets.config import Config

    np.random.seed()
    sys.argv = ["ipykernel_launcher", *argv]
    nothing_kept = Config({"InteractiveShell": {"cache_size": 0}})  # a figure is let go once it is shown
    app: Any = IPKernelApp.instance(parent_handle=os.getppid(), config=nothing_kept)
    app.initialize(argv)
    app.shell.events.register("post_run_cell", lambda _: gc.collect(1))  # figures are rings of many objects
    app.shell.enable_matplotlib("inline")  # pyplot is loaded already, so its backend is not looked up again
    app.start()
