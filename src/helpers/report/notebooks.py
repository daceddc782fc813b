"""Run a notebook with parameters and keep what it made: the executed notebook, its page, its figure files.

The result is a pure function of the notebook, its parameters, the study's content and our own source, so an
unchanged notebook is never run twice. Paths, times and user names are taken out of what is kept.
"""

from __future__ import annotations

import ast
import base64
import errno
import json
import re
import shutil
import threading
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from helpers.analysis import CONTENT
from helpers.core import privacy
from helpers.core.cache import remember
from helpers.core.files import PROJECT, scratch, sha256
from helpers.report import words
from helpers.report.preload import begin

NOTEBOOKS = PROJECT / "notebooks"
NOT_PAGES = ("donor_report", "explore")
"""Notebooks that are not run once for the whole study."""

TEMPLATES = Path(__file__).parent / "templates"
SECONDS = 600
_EXPORTING = threading.Lock()
"""One exporter serves all pages, one page at a time."""

_DISK = frozenset({errno.ENOSPC, errno.EROFS, errno.EIO, errno.EFBIG})
"""A disk that fails ends the report: it is no fault of a notebook."""

_TYPES: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "bool": bool}


@dataclass(frozen=True)
class Rendered:
    """What one notebook became.

    Parameters
    ----------
    name
        Name of the notebook without ending.
    title, lead
        Its first heading and first paragraph, as plain text.
    notebook
        The executed notebook as bytes of an .ipynb file.
    body
        HTML of its cells.
    files
        Files it wrote, by path inside the report.
    failed
        Why it stopped, in a sentence; empty where it ran to its end.
    """

    name: str
    title: str
    lead: str
    notebook: bytes
    body: str
    files: dict[str, bytes]
    failed: str = ""


class WrongParameter(ValueError):
    """A parameter that the notebook does not have, or of another type; the message is a sentence."""


class _Failed(Exception):
    """Carries the rendering of a notebook that stopped, so that no cache keeps it."""

    def __init__(self, rendered: Rendered) -> None:
        super().__init__(rendered.failed)
        self.rendered = rendered


def study_notebooks(folder: Path = NOTEBOOKS) -> dict[str, Path]:
    """Notebooks that are run once for a study, by name, in the order of their numbers."""
    return {p.stem: p for p in sorted(folder.glob("*.ipynb")) if p.stem not in NOT_PAGES}


def title_of(source: Path) -> str:
    """First heading of a notebook; its file's name where it is no whole notebook.

    Examples
    --------
    >>> title_of(NOTEBOOKS / "donor_report.ipynb")
    'One donor'
    """
    try:
        return _title(json.loads(source.read_text(encoding="utf-8")))[0]
    except (json.JSONDecodeError, KeyError):
        return source.stem


def declared_parameters(source: Path) -> dict[str, str]:
    """Parameters of a notebook with their types, from the cell tagged ``parameters``.

    Examples
    --------
    >>> declared_parameters(NOTEBOOKS / "00_data_check.ipynb")["study"]
    'str'
    """
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if "parameters" in cell.get("metadata", {}).get("tags", ()):
            tree = ast.parse("".join(cell["source"]))
            return {
                n.target.id: ast.unparse(n.annotation)
                for n in tree.body
                if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
            }
    return {}


def check_parameters(source: Path, parameters: Mapping[str, object]) -> None:
    """Refuse a parameter that the notebook does not declare; papermill itself would only warn.

    Raises
    ------
    WrongParameter
        With the nearest known name, or the expected type. A value that looks like an identity is refused too.
    """
    known = declared_parameters(source)
    for name, value in parameters.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise WrongParameter(
                f"{source.name} has no parameter {name}; it has {near[0] if near else ', '.join(known)}."
            )
        if not isinstance(value, _TYPES.get(known[name], object)):
            raise WrongParameter(f"Parameter {name} of {source.name} is of type {known[name]}.")
        if isinstance(value, str) and name != "study" and name != "out" and privacy.findings_in_id(value):
            raise WrongParameter(f"Parameter {name} of {source.name} looks like an identity and is not used.")


def render(
    source: Path, parameters: Mapping[str, object], study: Path, digest: str, study_id: str, content: str = ""
) -> Rendered:
    """Run a notebook on a study, or take the result of the same run from the cache.

    Parameters
    ----------
    source
        The notebook.
    parameters
        Further parameters beside ``study`` and ``out``.
    study, digest, study_id
        The study's folder, a digest of what the notebook uses of it, and its code.
    content
        Digest of all of the study; where the folder holds other content by then, the notebook stops.

    Returns
    -------
    The rendering; where a cell failed, with `failed` set and the notebook up to that cell.

    Raises
    ------
    WrongParameter
        Where a parameter is unknown or of another type.
    """
    try:
        check_parameters(source, parameters)
    except (json.JSONDecodeError, SyntaxError):  # marks of a merge, or half a file
        why = "This is not a whole notebook file; restore it from the project."
        return Rendered(source.stem, source.stem, "", source.read_bytes(), "", {}, why)
    try:
        return _rendered(
            sha256(source),
            source.stem,
            tuple(sorted(parameters.items())),
            digest,
            study_id,
            str(source),
            str(study.resolve()),
            content,
        )
    except _Failed as stopped:
        return stopped.rendered


@remember("report", ignore=("source", "study", "content"))
def _rendered(
    notebook: str,
    name: str,
    parameters: tuple[tuple[str, object], ...],
    digest: str,
    study_id: str,
    source: str,
    study: str,
    content: str,
) -> Rendered:
    with scratch() as folder:
        run, out = folder / "run", folder / "out"
        run.mkdir()
        out.mkdir()
        own = {**dict(parameters), "study": study, "out": str(out)}
        failed = _execute(Path(source), run / "executed.ipynb", own, run, {CONTENT: content} if content else {})
        text = (run / "executed.ipynb").read_text(encoding="utf-8")
        files = {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
        executed = _scrubbed(text, {study: study_id, str(out): "report", str(folder): "", str(Path.home()): "~"})
    rendered = Rendered(
        name,
        *_title(executed),
        json.dumps(executed, ensure_ascii=False, indent=1).encode() + b"\n",
        _body(executed, files),
        files,
        failed,
    )
    if failed:
        raise _Failed(rendered)
    return rendered


def _execute(source: Path, target: Path, parameters: dict[str, object], cwd: Path, environment: dict[str, str]) -> str:
    """Run with papermill; returns why it stopped, or an empty string.

    The kernel starts in `cwd`; this process, which may run other notebooks in other threads, stays where it is.
    """
    begin()
    import papermill  # slow, like the start of the fork server, which goes on meanwhile
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    from helpers.report import kernels

    passing = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(cwd))
    own = {**kernels.line(cwd), "environment": passing | environment}
    try:
        papermill.execute_notebook(
            str(source),
            str(target),
            parameters=parameters,
            engine_name=_engine(),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            log_output=False,
            execution_timeout=SECONDS,
            start_timeout=120,
            iopub_timeout=60,
            shutdown_kernel="immediate",  # nothing is left to be done in it, and its own way out takes 0.2 s
            extra_arguments=["--log-level=ERROR"],
            kernel_manager_class=kernels.ForkedKernelManager,
            config=Config({"ForkedKernelManager": own}),
            resources={"metadata": {"path": str(cwd)}},
        )
    except PapermillExecutionError as err:
        return _sentence(err.ename, err.evalue, err.exec_count)
    except Exception as err:  # a kernel that died or a time limit, whatever its class
        if isinstance(err, OSError) and err.errno in _DISK:
            raise
        if not target.exists():
            shutil.copyfile(source, target)
        return _sentence(type(err).__name__, str(err).strip().splitlines()[0] if str(err).strip() else "", None)
    return ""


@cache
def _engine() -> str:
    """Name of papermill's own engine, but for one thing: it writes the notebook twice a cell, ours once at the end."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Once(NBClientEngine):  # type: ignore[misc]  # papermill has no types
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> None:
            target, nb_man.output_path = nb_man.output_path, None
            try:
                super().execute_managed_notebook(nb_man, kernel_name, **kwargs)
            finally:  # what was done before a kernel died is kept, too
                nb_man.output_path = target

    papermill_engines.register("apap-once", Once)
    return "apap-once"


def _sentence(kind: str, text: str, count: int | None) -> str:
    where = f"Cell {count} stopped" if count else "The notebook stopped"
    lines = [line for line in privacy.mask(text).splitlines() if line.strip()]
    if kind == "Refused":
        return " ".join([f"{where}: the study is refused.", *lines])
    return f"{where}: {lines[0] if lines else kind} ({kind})."


def _scrubbed(text: str, places: Mapping[str, str]) -> dict[str, Any]:
    """The executed notebook without what differs from run to run or names this machine."""
    for path, name in sorted(places.items(), key=lambda item: -len(item[0])):
        # as it stands, in JSON, and in JSON as the parameters cell writes it: other letters and quotes are escaped there
        cell = path.encode("unicode_escape").decode("ascii").replace('"', '\\"')
        for form in {path, path.replace("\\", "\\\\"), json.dumps(path)[1:-1], json.dumps(cell)[1:-1]}:
            text = text.replace(form, name)
    notebook: dict[str, Any] = json.loads(text)
    notebook["metadata"] = {k: v for k, v in notebook["metadata"].items() if k == "kernelspec"}
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags")
        cell["metadata"] = {"tags": tags} if tags else {}
        for output in cell.get("outputs", ()):
            if output.get("output_type") == "error":
                output["traceback"] = []
                output["evalue"] = privacy.mask(output.get("evalue", ""))
    notebook["cells"] = [
        c for c in notebook["cells"] if "papermill-error-cell-tag" not in c["metadata"].get("tags", ())
    ]
    for i, cell in enumerate(notebook["cells"]):
        cell["id"] = f"cell-{i:02d}"
    return notebook


def _title(notebook: Mapping[str, Any]) -> tuple[str, str]:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            lines = [line for line in "".join(cell["source"]).splitlines() if line.strip()]
            return lines[0].lstrip("# "), lines[1] if len(lines) > 1 else ""
    return "Untitled", ""


def _body(notebook: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    import nbformat

    light = deepcopy(notebook)
    for cell in light["cells"]:
        for output in cell.get("outputs", ()):
            # the exporter parses its page once more, which images of megabytes slow down
            if f"figures/{output.get('metadata', {}).get('apap', {}).get('name')}.png" in files:
                output["data"]["image/png"] = ""
    with _EXPORTING:
        body, _ = _exporter().from_notebook_node(nbformat.reads(json.dumps(light), as_version=4))
    return _sharp(str(body), files)


def get_ready() -> None:
    """Load what makes pages of executed notebooks; else that is done once the first one has been executed."""
    _body({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, {})


@cache
def _exporter() -> Any:
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="apap", extra_template_basedirs=[str(TEMPLATES)])
    exporter.environment.globals["words"] = words
    return exporter


def _sharp(body: str, files: Mapping[str, bytes]) -> str:
    """Put each figure's 300-dpi image into the page, in place of the screen image of the notebook."""

    def swap(match: re.Match[str]) -> str:
        data = files.get(f"figures/{match[1]}.png")
        return (
            match[0]
            if data is None
            else f'data-figure="{match[1]}" src="data:image/png;base64,{base64.b64encode(data).decode()}"'
        )

    return re.sub(r'data-figure="([^"]+)" src="data:image/png;base64,[^"]*"', swap, body)
