"""Run every notebook on the demo study and store it with its outputs; `make notebooks` calls this.

Only the demo's outputs may be stored: this is what keeps real donors out of the repository, and what nbval
compares in `make test`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from gallery import write_gallery
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
KEPT = {"kernelspec", "language_info"}
WIDGET = "application/vnd.jupyter.widget-view+json"


def refresh(path: Path) -> None:
    """Execute one notebook in place; times, execution metadata and widgets are left out.

    A widget lives only as long as its kernel: what is stored in its place is the picture beside it.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, kernel_name="python3", timeout=300, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    notebook.metadata = {k: v for k, v in notebook.metadata.items() if k in KEPT}
    notebook.metadata["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook.metadata.get("language_info", {}).pop("version", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(WIDGET, None)
    nbformat.write(notebook, path)


def main() -> None:
    """Write the demo into a temporary folder and refresh all notebooks, or those named."""
    from helpers.simulate import write_demo

    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "demo"
        write_demo(study)
        os.environ["APAP_STUDY"] = str(study)
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            if len(sys.argv) == 1 or path.stem in sys.argv[1:]:
                refresh(path)
                print(path.name)
    write_gallery()


if __name__ == "__main__":
    main()
