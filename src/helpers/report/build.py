"""The whole report: tables, notebooks, pages, record; written so that an interrupted run leaves no half file."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache, partial
from itertools import count
from pathlib import Path
from queue import PriorityQueue
from typing import Any
from weakref import WeakSet

from helpers.analysis import INFERRED, Analysis, load_study, unchanged
from helpers.core import forks
from helpers.core.cache import code_digest, remember
from helpers.core.files import Content, alone, bytes_of, scratch, write_atomically
from helpers.core.memory import give_back
from helpers.core.numbers import write_csv
from helpers.core.workers import cluster, starter
from helpers.report import words
from helpers.report.donors import Key, page_key, page_keys, render_donor
from helpers.report.notebooks import Rendered, get_ready, render, study_notebooks
from helpers.report.package import CRATE, crate, data_package
from helpers.report.preload import begin, stop
from helpers.report.provenance import provenance
from helpers.report.site import donor_files, donor_html, notebook_pages, planned_site, site_files, with_notice
from helpers.study.opening import folder_inputs, inputs_digest

OK, PARTS_FAILED = 0, 3
SPOOL = ".apap-spool"
Start = Callable[..., Future[Rendered]]
Progress = Callable[[str, int, int], None]


class UsageError(ValueError):
    """What was asked for cannot be: the message is a sentence."""


@dataclass(frozen=True)
class BuildResult:
    """How a report ended.

    Parameters
    ----------
    exit_code
        0 all built, 3 built but parts failed or were set aside.
    index
        First page of the site.
    failed
        Notebooks that stopped, with the reason.
    set_aside
        What the checks quarantined.
    """

    exit_code: int
    index: Path
    failed: dict[str, str] = field(default_factory=dict)
    set_aside: tuple[str, ...] = ()


def build_report(
    folder: Path,
    out: Path,
    only: Sequence[str] = (),
    jobs: int = 2,
    progress: Progress = lambda name, done, total: None,
    pdf_tiff: bool = False,
) -> BuildResult:
    """Build the report of a study.

    Parameters
    ----------
    folder
        The study folder.
    out
        Where to write; made where it is not there. Files of an earlier report that no longer belong are removed.
    only
        Names of notebooks; empty means all. Then other pages are left as they are.
    jobs
        Notebooks run at once.
    progress
        Called with the name of each finished step, its number and how many there are.
    pdf_tiff
        Whether to keep each figure of the notebooks as PDF and TIFF too.

    Raises
    ------
    Refused
        Where the study has errors, or changes while it is read; nothing is written then.
    UsageError
        Where `out` lies in the study, or `only` names no notebook.
    OSError
        Where the disk failed us.
    """
    started = dt.datetime.now(dt.UTC)
    folder, out = Path(folder), Path(out)
    notebooks = _chosen(only)
    _outside(folder, out)
    data = load_study(folder, _kernels_soon)
    give_back()
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out), _passing():
        _sweep(out)
        steps = len(notebooks) + (0 if only else len(data.table("donors_derived"))) + 2
        wishes = {"pdf_tiff": True} if pdf_tiff else {}
        of_study = (data.folder, data.config.id, data.digest)
        progress("study", 1, steps)
        done: dict[str, Rendered] = {}
        files: dict[str, Content] = {}
        with _spool(out) as spool, _running(jobs) as (start, start_first):
            late = {name for name, path in notebooks.items() if _asks_for(path, INFERRED)}
            run = {
                name: partial(render, path, wishes, data.folder, data.digest, data.config.id, data.digest)
                for name, path in notebooks.items()
            }
            # what needs no statistics runs while they are computed, the rest when they are there
            going = deque(start(run[name]) for name in notebooks if name not in late)
            keys = {} if only else page_keys(data)
            pages = deque(start(render_donor, *of_study, donor, key) for donor, key in keys.items())
            if late:
                _ = data.inferred
            # before the pages that are left, and the largest first, so that none is left to be waited for alone
            going += [start_first(run[name]) for name in sorted(late, key=lambda name: -notebooks[name].stat().st_size)]
            files |= {} if only else _exports(data.digest, data)
            give_back()
            donors: dict[str, Rendered] = {}
            site = planned_site(data)
            for donor, key in keys.items():
                donors[donor], own = _set_down(pages.popleft().result(), site, key, spool)
                files |= own
                progress(donors[donor].name, len(donors) + 1, steps)
            while going:
                made = going.popleft().result()
                done[made.name] = made
                files |= {f"notebooks/{made.name}.ipynb": made.notebook, **made.files}
                progress(made.name, len(donors) + len(done) + 1, steps)
            rendered = [done[name] for name in notebooks]
            record = provenance(data, {"notebooks": [r.name for r in rendered]}, started)
            if only:
                files |= notebook_pages(data, rendered)
            else:
                from helpers.report.word import word_report  # late, since a page of one donor needs none

                files |= site_files(data, rendered, donors, record) | {"report.docx": word_report(data, rendered)}
            records = {"provenance.json": json.dumps(record, ensure_ascii=False, indent=1) + "\n"}
            if not only:
                records[CRATE] = crate(record, files | records)
            unchanged(folder, data.digest)
            _write(out, files, records, whole=not only)
        progress("site", steps, steps)
    return _result(data, out / "index.html", [*done.values(), *donors.values()])


def build_donor(
    folder: Path, out: Path, donor: str, progress: Progress = lambda name, done, total: None
) -> BuildResult:
    """Build the page of one donor, and the list that says how the pages of all donors stand.

    Parameters
    ----------
    folder, out, progress
        As in `build_report`.
    donor
        Code of the donor.

    Raises
    ------
    Refused
        Where the study has errors, or changes while it is read; nothing is written then.
    UsageError
        Where no analysed donor has this code, or `out` lies in the study.
    OSError
        Where the disk failed us.
    """
    folder, out = Path(folder), Path(out)
    _outside(folder, out)
    data = load_study(folder, _kernels_soon)
    if (key := page_key(data, donor)) is None:
        there = [*map(str, data.table("donors_derived")["donor_id"])]
        near = get_close_matches(donor, there, 1)
        raise UsageError(f"No donor who is analysed has this code; there is {near[0] if near else ', '.join(there)}.")
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out), _passing():
        _sweep(out)
        progress("study", 1, 3)
        with _running(1) as (start, _):
            drawing = start(render_donor, data.folder, data.config.id, data.digest, donor, key)
            get_ready()  # meanwhile, as the keys of all pages, for their list
            page_keys(data)
            made = drawing.result()
        progress(made.name, 2, 3)
        files: dict[str, Content] = {f"notebooks/{made.name}.ipynb": made.notebook, **made.files}
        files |= donor_files(data, donor, made, out)
        index = out / "index.html"
        if index.is_file() and data.digest[:16] not in (page := index.read_text(encoding="utf-8")):
            files["index.html"] = with_notice(page, words.OTHER_DATA)
        unchanged(folder, data.digest)
        _put(out, files)
        progress("site", 3, 3)
    return _result(data, out / f"{made.name}.html", [made])


@contextmanager
def on_cluster(address: str, folder: Path) -> Iterator[None]:
    """Let the workers of a Dask scheduler measure files and run notebooks of a study.

    Parameters
    ----------
    address
        Of the scheduler, such as ``tcp://host:8786``.
    folder
        The study folder, as an absolute path; each worker must see the same files under it and run the same
        version of this project and its packages, and is asked so.

    Raises
    ------
    ClusterFailed
        Where the cluster cannot do it.
    """
    content = inputs_digest(folder_inputs(folder))
    with cluster(address, partial(_unfit, str(folder), content, code_digest("report"))):
        yield


@cache
def _unfit(folder: str, content: str, code: str) -> str:
    """Why a worker must not take part in the report of a study; asked once in each of its processes."""
    if code_digest("report") != code:
        return "has another version of this project, of Python or of the packages"
    if not Path(folder).is_dir():
        return "does not see the study folder under the same path"
    if inputs_digest(folder_inputs(Path(folder))) != content:
        return "sees other files in the study folder"
    return ""


def _result(data: Analysis, first: Path, made: Iterable[Rendered]) -> BuildResult:
    failed = {r.name: r.failed for r in made if r.failed}
    aside = tuple(dict.fromkeys(p.entity for p in data.problems if p.severity == "quarantine"))
    return BuildResult(PARTS_FAILED if failed or aside else OK, first, failed, aside)


def _set_down(made: Rendered, site: Mapping[str, Any], key: Key, spool: Path) -> tuple[Rendered, dict[str, Content]]:
    """A donor's page as files on the disk, and what is left of it: the pages of hundreds would fill the memory."""
    page = donor_html(made, site, key.digest).encode("utf-8")
    own = {f"{made.name}.html": page, f"notebooks/{made.name}.ipynb": made.notebook, **made.files}
    files: dict[str, Content] = {}
    for name, content in own.items():
        place = spool / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        files[name] = place
    return replace(made, notebook=b"", body="", files={}), files


def _kernels_soon() -> None:
    """Begin with what kernels come from, which takes as long as reading a study; on a cluster they are elsewhere."""
    if starter() is None:
        begin()


def _outside(folder: Path, out: Path) -> None:
    if out.resolve() == folder.resolve() or folder.resolve() in out.resolve().parents:
        raise UsageError("The report may not lie in the study folder; name another folder with --out.")


def _asks_for(notebook: Path, tables: Iterable[str]) -> bool:
    """Whether a notebook names one of these tables."""
    text = notebook.read_text(encoding="utf-8")
    return any(f'\\"{name}\\"' in text for name in tables)


@remember("report", ignore=("data",))
def _exports(digest: str, data: Analysis) -> dict[str, bytes]:
    """Every table as CSV, and all of them as a workbook, by path inside the report."""
    from helpers.tables.table_one import table_one
    from helpers.tables.workbook import workbook_bytes

    tables = data.tables() | {"table_one": table_one(data.table("donors_derived"), data.config)}
    files = {f"tables/{name}.csv": write_csv(table).encode("utf-8") for name, table in tables.items()}
    package = data_package({name: list(table.columns) for name, table in tables.items()}, data.config)
    return files | {
        "tables.xlsx": workbook_bytes(tables, data.config),
        "tables/datapackage.json": package.encode("utf-8"),
    }


def _chosen(only: Sequence[str]) -> dict[str, Path]:
    known = study_notebooks()
    unknown = [name for name in only if name not in known]
    if unknown:
        raise UsageError(f"There is no notebook called {unknown[0][:60]}; there are: {', '.join(known)}.")
    return {name: path for name, path in known.items() if not only or name in only}


@contextmanager
def _running(jobs: int) -> Iterator[tuple[Start, Start]]:
    """Hands out what starts a notebook in a kernel of its own, after those that wait and before them.

    On a cluster its workers have the kernels, and what they have not ended is given up with the cluster.
    Here only the kernels compute, so threads are enough here, and nothing but the kernels is left to end: that
    happens where the caller is stopped, and by itself where this process is killed.
    """
    if (on_worker := starter()) is not None:
        yield on_worker, on_worker
        return
    if forks.standing():  # something is new, so that papermill will be needed: two threads would import it slowly
        import papermill  # noqa: F401
    waiting: PriorityQueue[tuple[int, int, Future[Rendered], Callable[[], Rendered]]] = PriorityQueue()
    going: WeakSet[Future[Rendered]] = WeakSet()  # a result is let go once it was asked for
    order = count()

    def run_next() -> None:
        _, _, one, work = waiting.get()
        if one.set_running_or_notify_cancel():
            try:
                one.set_result(work())
            except BaseException as err:
                one.set_exception(err)

    # threads that save and restore the filters of warnings could leave each other's behind
    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=jobs) as pool:

        def start(rank: int, work: Callable[..., Rendered], *args: object) -> Future[Rendered]:
            one: Future[Rendered] = Future()
            going.add(one)
            waiting.put((rank, next(order), one, partial(work, *args)))
            pool.submit(run_next)
            return one

        try:
            yield partial(start, 1), partial(start, 0)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for one in [*going]:
                one.cancel()
            while not all(one.done() for one in [*going]):
                stop()
                time.sleep(0.1)
            raise


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the folder for this run."""
    with alone(out / ".apap-lock") as mine:
        if not mine:
            raise UsageError("Another run is writing into this folder; wait for it, or name another folder with --out.")
        yield


@contextmanager
def _passing() -> Iterator[None]:
    """Let whatever any library writes in passing lie in one folder, which the next run removes where this one is killed."""
    before = tempfile.tempdir
    with scratch() as folder:
        tempfile.tempdir = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before


@contextmanager
def _spool(out: Path) -> Iterator[Path]:
    """A folder beside the report, on the same disk, for what is finished before all is."""
    folder = out / SPOOL
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(out: Path) -> None:
    """Remove temporary files of a run that was killed."""
    shutil.rmtree(out / SPOOL, ignore_errors=True)
    for left in out.rglob(".apap-*"):
        if left.is_file() and left.name != ".apap-lock":
            left.unlink(missing_ok=True)


def _put(out: Path, files: Mapping[str, Content]) -> None:
    """Write what differs from what is there, the first page last.

    The crate of a whole report has a digest of each file, so it goes before any of them changes.
    """
    for name, content in sorted(files.items(), key=lambda item: item[0] == "index.html"):
        data, path = bytes_of(content), out / name
        if not path.is_file() or path.read_bytes() != data:
            (out / CRATE).unlink(missing_ok=True)
            write_atomically(path, data)


def _write(out: Path, files: Mapping[str, Content], records: dict[str, str], whole: bool) -> None:
    """Write the report and its records, which hold times and are therefore new each time."""
    manifest = out / "notebooks" / ".files.json"
    _put(out, files)
    for name, record in records.items():
        write_atomically(out / name, record)
    if whole:
        for name in set(_earlier(manifest)) - set(files):
            path = out / name
            if out.resolve() in path.resolve().parents and not path.is_symlink():
                path.unlink(missing_ok=True)
        write_atomically(manifest, json.dumps(sorted(files)))


def _earlier(manifest: Path) -> list[str]:
    """Files that the last whole report wrote; none where there was none or its list is damaged."""
    try:
        names = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [n for n in names if isinstance(n, str)] if isinstance(names, list) else []
