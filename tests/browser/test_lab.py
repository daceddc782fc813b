"""JupyterLab really opens, runs a notebook to its end, and a moved widget shows another picture."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from helpers.cli import QUIET
from helpers.core.files import PROJECT

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ERRORS = "[data-mime-type='application/vnd.jupyter.stderr'], [data-mime-type='application/vnd.jupyter.error']"
SECONDS = 60
"""How long anything may take before the test fails; everything goes on as soon as it is there."""


@pytest.fixture(scope="module")
def program() -> str:
    found = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
    if found is None:
        assert os.environ.get("APAP_REQUIRE_BROWSER") != "1", "a browser is mandatory here"
        pytest.skip("no browser (chromium) on this machine")
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def lab(demo: Path, tmp_path_factory: pytest.TempPathFactory, program: str) -> Iterator[str]:
    """Address of a JupyterLab on a copy of the notebooks, set up as `apap lab` sets it up, without the network."""
    home = tmp_path_factory.mktemp("lab")
    books = home / "notebooks"
    books.mkdir()
    book = nbformat.read(PROJECT / "notebooks" / "explore.ipynb", as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(book, books / "explore.ipynb")
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    own = {
        name: str(home / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    port = free_port()
    words = [
        "--no-browser",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
        "--allow-root",
    ]
    words += [f"--ServerApp.root_dir={books}", *QUIET]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *words],
        env=os.environ | own | {"APAP_STUDY": str(demo), "PYTHONPATH": str(PROJECT / "src")},
        cwd=books,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: server.poll() is not None or answers(f"{address}/api/status"))
        assert server.poll() is None, "JupyterLab did not start"
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def answers(address: str) -> bool:
    with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(address, timeout=5) as page:
        return bool(page.status == 200)
    return False


def wait_for(there: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def page(lab: str, program: str) -> Iterator[Any]:
    """The notebook to explore with, run to its end by the menu."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        page.set_default_timeout(1000 * SECONDS)
        page.goto(f"{lab}/lab/tree/explore.ipynb")
        page.locator(".jp-NotebookPanel .jp-Notebook .jp-Cell").first.wait_for()
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # without a kernel, running asks for one
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        yield page
        browser.close()


def explorer(page: Any, number: int) -> Any:
    return page.locator(".apap-explore").nth(number)


def source(one: Any) -> str:
    return str(one.locator("figure img").first.get_attribute("src"))


def changes(page: Any, one: Any, before: str) -> None:
    """Wait until an explorer shows another picture than before."""
    image = one.locator("figure img").first.element_handle()
    assert image is not None
    page.wait_for_function(
        "([e, old]) => e.querySelector('figure img')?.src !== old", arg=[one.element_handle(), before]
    )


def control(one: Any, description: str, kind: str) -> Any:
    return one.locator(".widget-inline-hbox", has=one.page.get_by_text(description, exact=True)).locator(kind)


def test_a_notebook_runs_to_its_end_without_an_error(page: Any) -> None:
    page.get_by_text(re.compile(r"fingerprint [0-9a-f]{16}, \d+ files")).wait_for()
    assert page.locator(ERRORS).count() == 0
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_text_contents()
    assert len(prompts) == 9 and all(re.fullmatch(r"\[\d+\]:", p) for p in prompts), prompts
    assert page.locator(".apap-explore").count() == 2


def test_a_moved_widget_shows_another_picture(page: Any) -> None:
    one = explorer(page, 0)
    one.locator("figure img").wait_for()
    before = source(one)
    control(one, "Scale", "select").select_option(label="as measured")
    changes(page, one, before)
    before = source(one)
    control(one, "Donors", "select").select_option(index=[0, 2])
    changes(page, one, before)
    one.get_by_text("2 of 24 donors are chosen").wait_for()
    before = source(one)
    control(one, "Assay", "select").select_option(label="Cytokines")
    changes(page, one, before)
    assert "CCL18" in str(one.locator("figure img").get_attribute("alt"))


def test_a_moved_gate_shows_other_shares_and_not_whose_cells(page: Any) -> None:
    one = explorer(page, 1)
    one.locator("figure img").wait_for()
    before, shares = source(one), one.locator("table").text_content()
    value = control(one, "Value", "input")
    value.fill("2500")
    value.press("Enter")
    changes(page, one, before)
    page.wait_for_function(
        "([e, old]) => e.querySelector('table')?.textContent !== old", arg=[one.element_handle(), shares]
    )
    one.get_by_role("button", name="Save this gate").click()
    one.get_by_text("only with a reason").wait_for()
    assert "aPAP" not in str(one.text_content()) and "AM + MSC" not in str(one.text_content())


# ---- every notebook alone, with a study typed into its parameters


@pytest.mark.parametrize("name", ["00_data_check", "explore"])
def test_a_notebook_runs_with_another_study_in_its_parameters(
    name: str, small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import papermill

    monkeypatch.setenv("APAP_STUDY", str(tmp_path / "nowhere"))
    out = tmp_path / "run.ipynb"
    source = PROJECT / "notebooks" / f"{name}.ipynb"
    papermill.execute_notebook(source, out, {"study": str(small_study)}, cwd=str(tmp_path), progress_bar=False)
    said = str([c.get("outputs") for c in nbformat.read(out, as_version=4).cells])
    assert "A small study for tests" in said and "Demo" not in said


@pytest.mark.parametrize(("study", "said"), [("no such folder", "There is no such"), (5, "There is no such")])
def test_a_wrong_study_in_the_parameters_is_a_sentence(study: object, said: str, tmp_path: Path) -> None:
    import papermill

    with pytest.raises(papermill.PapermillExecutionError) as stopped:
        papermill.execute_notebook(
            PROJECT / "notebooks" / "explore.ipynb",
            tmp_path / "run.ipynb",
            {"study": study},
            cwd=str(tmp_path),
            progress_bar=False,
        )
    assert stopped.value.ename == "Refused" and said in stopped.value.evalue
