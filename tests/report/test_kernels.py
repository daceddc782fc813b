"""Kernels forked from one process: as fresh as plain ones, and nothing left of them however their client ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from traitlets.config import Config

from helpers.core import forks
from helpers.core.files import PROJECT, scratch
from helpers.report import kernels
from helpers.report.kernels import ForkedKernelManager
from helpers.report.preload import stop

only_forked = pytest.mark.skipif(not forks.FORKS, reason="kernels are not forked here")
plain = pytest.param(False, id="plain")
forked = pytest.param(True, id="forked", marks=only_forked)


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    yield
    stop()


@pytest.fixture(scope="module", params=[forked, plain])
def way(request: pytest.FixtureRequest) -> bool:
    """One way after the other, so that a server starts once for many tests."""
    return bool(request.param)


@pytest.fixture
def either(way: bool, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways to start a kernel; true where it is forked."""
    if not way:
        stop()
    monkeypatch.setattr(forks, "FORKS", way)
    return way


def run(*cells: str, cwd: Path | None = None, **options: Any) -> list[Any]:
    """Results of the cells of a notebook that runs in a kernel of its own."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    client = NotebookClient(
        book,
        kernel_name="python3",
        kernel_manager_class=ForkedKernelManager,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(cwd or Path.cwd())}},
        **options,
    )
    client.execute()
    return [c.outputs for c in book.cells]


@pytest.mark.skipif(os.name != "posix", reason="no sockets in folders")
def test_a_kernel_is_reached_through_its_own_folder(either: bool) -> None:
    with scratch() as folder:
        own = kernels.line(folder)
        asked = "import os; from ipykernel.kernelapp import IPKernelApp; app = IPKernelApp.instance()"
        there = "[app.transport, *(os.path.dirname(app.ip) == os.getcwd() and os.path.exists(f'{app.ip}-{p}') for p in app.ports)]"
        options = {"cwd": folder, "config": Config({"ForkedKernelManager": own})}
        assert value(run(asked, there, **options)[1]) == ["ipc", True, True, True, True, True]
        assert not [p for p in folder.iterdir() if p.is_socket()]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no file system without sockets is at hand")
def test_a_file_system_without_sockets_gives_ports() -> None:
    assert kernels.line(Path("/proc/self"))["transport"] == "tcp"


def test_a_folder_too_deep_for_sockets_gives_ports(either: bool) -> None:
    with scratch() as folder:
        deep = folder / ("d" * 90)
        deep.mkdir()
        own = kernels.line(deep)
        assert own["transport"] == "tcp"
        assert value(run("6 * 7", cwd=deep, config=Config({"ForkedKernelManager": own}))[0]) == 42


def value(outputs: Any) -> Any:
    return eval(outputs[0]["data"]["text/plain"])


def marked(mark: Path) -> set[int]:
    """Living processes that started with the mark in their environment, or were forked from such a process."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            dead = b") Z" in (folder / "stat").read_bytes()
            if not dead and f"APAP_TEST_MARK={mark}".encode() in (folder / "environ").read_bytes():
                found.add(int(folder.name))
    return found


def left(mark: Path) -> dict[int, str]:
    """Marked processes that have not ended after 20 seconds, with what they are and where they wait."""
    until = time.monotonic() + 20
    while marked(mark) and time.monotonic() < until:
        time.sleep(0.2)
    found = {}
    for pid in marked(mark):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            waits = [(t / "wchan").read_text() for t in Path(f"/proc/{pid}/task").iterdir()]
            found[pid] = f"{command} {Path(f'/proc/{pid}/status').read_text()} {waits}"
    return found


# ---- a kernel like any other


def test_a_kernel_has_its_own_folder_environment_and_names(
    either: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run("import os, sys; x = 1; sys.modules['left_by_the_first'] = sys", "os.getcwd()", cwd=tmp_path)
    assert value(first[1]) == str(tmp_path)
    monkeypatch.setenv("APAP_TEST_LATE", "set after the server started")
    (outputs,) = run(
        "import os, sys\n('x' in globals(), 'left_by_the_first' in sys.modules, os.environ['APAP_TEST_LATE'], "
        "os.environ['TZ'], os.environ['OMP_NUM_THREADS'], os.environ.get('APAP_NOT_THERE'))"
    )
    assert value(outputs) == (False, False, "set after the server started", "UTC", "1", None)


@only_forked
def test_a_forked_kernel_has_everything_imported_and_a_plain_one_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = "import sys; ('helpers.figures.cohort' in sys.modules, 'tableone' in sys.modules)"
    assert value(run(ask)[0]) == (True, True)
    stop()
    monkeypatch.setattr(forks, "FORKS", False)
    assert value(run(ask)[0]) == (False, False)


def test_kernels_do_not_share_their_chance(either: bool) -> None:
    ask = "import random, numpy as np; (random.random(), np.random.rand())"
    one, two = (value(run(ask)[0]) for _ in range(2))
    assert one[0] != two[0] and one[1] != two[1]


def test_a_figure_is_there(either: bool) -> None:
    """With pyplot loaded before the fork, figures could vanish without an error."""
    before, after = run("import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])", "_ = plt.bar([1], [2])")
    for outputs in (before, after):
        assert [o["output_type"] for o in outputs] == ["display_data"]
        assert len(outputs[0]["data"]["image/png"]) > 2000


def test_a_kernel_that_dies_is_noticed(either: bool) -> None:
    with pytest.raises(DeadKernelError):
        run("import os; os._exit(3)")


def test_a_kernel_that_dies_before_it_is_ready_is_noticed() -> None:
    async def begin() -> None:
        manager = ForkedKernelManager(kernel_name="python3")
        manager.kernel_spec.argv[:] = [sys.executable, "-c", "raise SystemExit(3)"]
        await manager.start_kernel()
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=30)
        finally:
            client.stop_channels()
            await manager.cleanup_resources()

    with pytest.raises(RuntimeError, match="died before it was ready"):
        asyncio.run(begin())


def test_a_cell_without_end_is_stopped_and_its_kernel_is_gone(either: bool, tmp_path: Path) -> None:
    with pytest.raises(CellTimeoutError):
        run(
            f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)", timeout=4
        )
    pid = int((tmp_path / "pid").read_text())
    assert not alive(pid)


def alive(pid: int, seconds: float = 5) -> bool:
    """Whether a process is still there after some seconds; one that nobody has collected yet is gone."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            if Path("/proc").exists() and b") Z" in Path(f"/proc/{pid}/stat").read_bytes():
                return False
        except (ProcessLookupError, FileNotFoundError):
            return False
        time.sleep(0.1)
    return True


def test_an_interrupted_cell_ends_and_the_kernel_stays(either: bool) -> None:
    manager = ForkedKernelManager(kernel_name="python3")
    client = NotebookClient(nbformat.v4.new_notebook(), km=manager, timeout=60)
    with client.setup_kernel(cleanup_kc=True):
        cells = [
            nbformat.v4.new_code_cell("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT); time.sleep(30)"),
            nbformat.v4.new_code_cell("1 + 1"),
        ]
        client.nb.cells = cells
        client.allow_errors = True
        for i, cell in enumerate(cells):
            client.execute_cell(cell, i)
    assert cells[0].outputs[0]["ename"] == "KeyboardInterrupt"
    assert value(cells[1].outputs) == 2


def test_parallel_work_inside_a_kernel(either: bool) -> None:
    (outputs,) = run(
        "from joblib import Parallel, delayed\nimport math\nParallel(n_jobs=2)(delayed(math.factorial)(i) for i in range(5))"
    )
    assert value(outputs) == [1, 1, 2, 6, 24]


def test_nothing_is_said_on_the_way_out(either: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """jupyter_client interrupts an idle kernel before it asks it to end; the kernel would log that as an error."""
    for _ in range(3):
        run("1")
    stop()
    said = capfd.readouterr()
    assert said.out + said.err == ""


def test_the_environments_default_starts_forked_kernels_for_any_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """How tests of the stored notebooks use them: no notebook names our provisioner."""
    code = (
        "import nbformat; from nbclient import NotebookClient; from helpers.report import kernels\n"
        "book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('import sys; \"tableone\" in sys.modules')])\n"
        "NotebookClient(book, kernel_name='python3').execute()\n"
        "print(book.cells[0].outputs[0]['data']['text/plain'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "JUPYTER_DEFAULT_PROVISIONER_NAME": kernels.PROVISIONER},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == f"{forks.FORKS}\n"


def test_the_stored_notebooks_name_the_ordinary_kernel() -> None:
    for path in (PROJECT / "notebooks").glob("*.ipynb"):
        assert nbformat.read(path, as_version=4).metadata.kernelspec.name == "python3", path.name


# ---- the server


@only_forked
def test_the_server_forks_with_one_thread() -> None:
    (outputs,) = run("import os; os.getppid()")
    assert len(os.listdir(f"/proc/{value(outputs)}/task")) == 1


def test_the_inline_backend_is_not_loaded_before_the_fork() -> None:
    code = "import sys; from helpers.report.preload import preload; preload(); print('matplotlib.pyplot' in sys.modules, 'matplotlib_inline.backend_inline' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "True False\n"


@only_forked
def test_a_server_that_cannot_start_is_replaced_by_plain_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    stop()
    monkeypatch.setattr(forks, "_broken", False)
    monkeypatch.setattr(forks, "SERVER", "helpers.no_such_module")
    assert value(run("6 * 7")[0]) == 42
    assert forks._broken, "and no other is started for every kernel"


@only_forked
def test_after_stop_a_new_server_starts() -> None:
    first = value(run("import os; os.getppid()")[0])
    stop()
    assert not alive(first)
    second = value(run("import os; os.getppid()")[0])
    assert second != first


CLIENT = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a suite started with nohup hands on that it is ignored
from test_kernels import run
from helpers.core import forks
from helpers.report import kernels
forks.FORKS = sys.argv[1] == "True"
work = "Parallel(n_jobs=2)(delayed(time.sleep)(600) for _ in range(2))" if forks.FORKS else "time.sleep(600)"
run("from joblib import Parallel, delayed\\nimport time\\n" + work)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_of_a_killed_client(either: bool, end: signal.Signals, tmp_path: Path) -> None:
    """Neither server nor kernel, nor workers that a forked kernel started."""
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(either)],
        env={**os.environ, "APAP_TEST_MARK": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    least, until = 5 if either else 2, time.monotonic() + 90  # client, server, kernel, two workers; client, kernel
    while len(there := marked(tmp_path)) < least and time.monotonic() < until:
        time.sleep(0.2)
    assert len(there) >= least
    client.send_signal(end)
    client.wait(timeout=30)
    assert left(tmp_path) == {}


STUCK = """
import sys
from traitlets.config import Config
from test_kernels import run
from helpers.core import forks
forks.FORKS = False
ports = {"iopub_port": int(sys.argv[1]), "cache_ports": False}
run("1", config=Config({"ForkedKernelManager": ports}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_kernel_that_hangs_while_it_starts_ends_with_its_client(tmp_path: Path) -> None:
    """Seen once: another program had taken its port, and ipykernel neither starts then nor ends."""
    said = tmp_path / "said"
    with socket.create_server(("127.0.0.1", 0)) as taken, said.open("wb") as stderr:
        client = subprocess.Popen(
            [sys.executable, "-c", STUCK, str(taken.getsockname()[1])],
            env={**os.environ, "APAP_TEST_MARK": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent)},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        until = time.monotonic() + 90
        while b"Address already in use" not in said.read_bytes() and time.monotonic() < until:
            time.sleep(0.2)
        assert len(marked(tmp_path)) == 2, said.read_text()
        client.kill()
        client.wait(timeout=30)
        assert left(tmp_path) == {}
