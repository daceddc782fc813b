"""Seconds from "Run All Cells" in a new JupyterLab session to the first figure, with a warm cache.

Run with ``.venv/bin/python benchmarks/lab.py``; it needs chromium. The notebook is the one of the cohort, on the demo,
its outputs cleared and its kernel idle when the menu is used. The peer, in the same JupyterLab, is a notebook that
imports pandas and seaborn and draws ten points.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import nbformat

from helpers.analysis import load_study
from helpers.cli import QUIET
from helpers.core.files import PROJECT
from helpers.simulate import write_demo

OURS, PEER = "01_cohort_description.ipynb", "peer.ipynb"
DRAW = "import pandas as pd, seaborn as sns\n_ = sns.scatterplot(pd.DataFrame({'x': range(10), 'y': range(10)}), x='x', y='y')"
ROUNDS = 3


def cleared(books: Path, turn: int) -> None:
    """Both notebooks, without outputs, under names that no session knows yet."""
    book = nbformat.read(PROJECT / "notebooks" / OURS, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(book, books / f"{turn}_{OURS}")
    peer = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(DRAW)], metadata=book.metadata)
    nbformat.write(peer, books / f"{turn}_{PEER}")


def served(books: Path, study: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A running JupyterLab and its address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    words = [
        "--no-browser",
        f"--port={port}",
        "--IdentityProvider.token=",
        "--allow-root",
        f"--ServerApp.root_dir={books}",
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", *words, *QUIET],
        env={**os.environ, "APAP_STUDY": str(study), "JUPYTERLAB_WORKSPACES_DIR": str(books.parent / "workspaces")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/api/status", timeout=5)
            return server, address
        except OSError:
            time.sleep(0.2)
    raise TimeoutError


def first_figure(browser: Any, address: str, name: str) -> float:
    """Seconds from the menu to the first image."""
    page = browser.new_context(viewport={"width": 1400, "height": 6000}).new_page()  # what is out of sight is not drawn
    page.set_default_timeout(60_000)
    page.goto(f"{address}/lab/tree/{name}?reset")
    page.locator(".jp-NotebookPanel .jp-Notebook .jp-Cell").first.wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    start = time.perf_counter()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".jp-OutputArea-output img").first.wait_for(state="attached")
    taken = time.perf_counter() - start
    page.context.close()
    return taken


def main() -> None:
    """Print one row a notebook."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        here = Path(folder)
        (here / "notebooks").mkdir()
        write_demo(here / "demo")
        _ = load_study(here / "demo").inferred
        server, address = served(here / "notebooks", here / "demo")
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        found: dict[str, list[float]] = {OURS: [], PEER: []}
        try:
            for turn in range(ROUNDS):
                cleared(here / "notebooks", turn)
                for name, seconds in found.items():
                    seconds.append(first_figure(browser, address, f"{turn}_{name}"))
        finally:
            browser.close()
            server.send_signal(signal.SIGTERM)
            server.wait()
    print("| first figure in JupyterLab | s | range |\n|---|---|---|")
    for name, seconds in found.items():
        print(f"| {name} | {statistics.median(seconds):.1f} | {min(seconds):.1f}–{max(seconds):.1f} |")


if __name__ == "__main__":
    main()
