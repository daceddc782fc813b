"""The command ``apap``: the same functions that notebooks call, from a terminal.

Exit codes: 0 fine, 1 study or file refused, 2 wrong usage, 3 built but parts failed or were set aside, 4 the
machine failed us, 130 interrupted. Heavy packages are imported inside the commands, so that help is quick.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from helpers import __version__
from helpers.core import privacy
from helpers.core.interrupts import heard
from helpers.core.memory import collect_seldom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from helpers.core.problems import Problem

REFUSED, USAGE, MACHINE, INTERRUPTED = 1, 2, 4, 130

QUIET = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)
"""What keeps JupyterLab from asking the network for anything."""

app = typer.Typer(
    help="From raw instrument files of a macrophage study to a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(epilog="Example: apap demo demo")
def demo(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; new or empty.")],
    donors: Annotated[int, typer.Option(min=1, max=100_000, help="Number of donors.")] = 26,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 20221207,
) -> None:
    """Write the simulated demo study."""
    from helpers.simulate import write_demo

    _empty(directory)
    write_demo(directory, donors, seed)
    _say(f"SIMULATED study of {donors} donors written to {directory}.")


@app.command(epilog="Example: apap new mystudy")
def new(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write; new or empty.")],
    files: Annotated[
        list[Path] | None, typer.Option("--from", help="Instrument files to begin with; may be repeated.")
    ] = None,
) -> None:
    """Write an empty study: study.yaml, template.xlsx and folders."""
    from helpers.study.template import write_template

    _empty(directory)
    _print_problems(write_template(directory, files or []))
    _say(f"Empty study written to {directory}. Fill in study.yaml and template.xlsx, then: apap check {directory}")


@app.command(epilog="Example: apap check mystudy --csv > problems.csv")
def check(
    study: Annotated[Path, typer.Argument(help="Study folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Problems as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Problems as CSV.")] = False,
) -> None:
    """List every problem of a study in one pass; exit 1 where the study or a part of it is refused."""
    from helpers.analysis import check as check_everything

    if as_json and as_csv:
        _stop("Choose --json or --csv, not both.", USAGE)
    problems = check_everything(study)
    if as_json:
        from dataclasses import asdict

        _write(json.dumps([asdict(p) for p in problems], ensure_ascii=False, indent=1) + "\n")
    elif as_csv:
        from helpers.core.numbers import write_csv
        from helpers.core.problems import problems_table

        _write(write_csv(problems_table(problems)))
    else:
        _print_problems(problems)
        _say(_verdict(problems))
    raise typer.Exit(REFUSED if any(p.severity in ("error", "quarantine") for p in problems) else 0)


@app.command(epilog="Example: apap report mystudy --out report")
def report(
    study: Annotated[Path, typer.Argument(help="Study folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the report.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Name of a notebook, such as 01_cohort_description; may be repeated.")
    ] = None,
    donor: Annotated[str, typer.Option(help="Code of a donor: that page alone, in seconds.")] = "",
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Notebooks run at once.")] = min(2, os.cpu_count() or 1),
    figures: Annotated[
        bool, typer.Option("--figures", help="Each figure as PDF and TIFF (300 and 600 dpi) too.")
    ] = False,
    cluster: Annotated[
        str, typer.Option(help="Address of a Dask scheduler whose workers share the work, such as tcp://host:8786.")
    ] = "",
) -> None:
    """Build everything that is stale: notebooks, web site, tables, figures, workbook, Word report, provenance."""
    from helpers.core.problems import Refused
    from helpers.report.build import UsageError, build_donor, build_report, on_cluster

    if donor and only:
        _stop("Choose --donor or --only, not both.", USAGE)
    if donor and figures:
        _stop("Figures for print are those of the notebooks, not of a donor's page; leave out --donor.", USAGE)
    try:
        with _progress() as step, on_cluster(cluster, study.resolve()) if cluster else nullcontext():
            study = study.resolve() if cluster else study
            result = (
                build_donor(study, out, donor, step)
                if donor
                else build_report(study, out, only or [], jobs, step, figures)
            )
    except Refused as refused:
        _print_problems(refused.problems)
        _stop("The study is refused; nothing was written.", REFUSED)
    except UsageError as err:
        _stop(str(err), USAGE)
    except KeyboardInterrupt:
        _stop("Interrupted. Nothing half-written was left; what was computed is kept.", INTERRUPTED)
    except OSError as err:
        _stop(f"The machine failed: {err.strerror or type(err).__name__}. Nothing half-written was left.", MACHINE)
    for name, reason in result.failed.items():
        _say(f"Failed: {name}. {reason}")
    if result.set_aside:
        _say(f"Set aside by the checks: {', '.join(result.set_aside)}. See problems.html.")
    _say(str(result.index))
    raise typer.Exit(result.exit_code)


@app.command(epilog="Example: apap read plate.csv --out table.csv")
def read(
    file: Annotated[Path, typer.Argument(help="One file of an instrument.")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    layout: Annotated[
        str, typer.Option("--format", help="Format of the file, where its content is not enough to tell it.")
    ] = "",
) -> None:
    """Write one instrument file as a tidy table, without a study: a plate's wells, an FCS file's channels, an export."""
    from helpers.assays.one_file import read_one_file
    from helpers.core.files import write_atomically
    from helpers.core.numbers import write_csv

    with _refusals():
        table, problems = read_one_file(_file(file), layout)
        write_atomically(out, write_csv(table))
    _print_problems(problems)
    _say(f"{len(table)} rows written to {out}.")


@app.command(epilog="Example: apap curves plate.csv --out curves")
def curves(
    file: Annotated[Path, typer.Argument(help="One plate file of an instrument.")],
    out: Annotated[Path, typer.Option(help="Folder for the tables.")],
    layout: Annotated[Path | None, typer.Option(help="Layout of the plate, as rows or as a grid.")] = None,
    model: Annotated[str, typer.Option(help="4pl, 5pl or auto.")] = "auto",
    weights: Annotated[str, typer.Option(help="bioplex, xponent, 1/y2, 1/y or none.")] = "bioplex",
) -> None:
    """Fit the standard curves of one plate and put its wells through them, beside the vendor's numbers."""
    from helpers.assays.cytokines.alone import plate_curves
    from helpers.assays.cytokines.fitted import Rules
    from helpers.core.files import write_atomically
    from helpers.core.numbers import write_csv

    if model not in ("auto", "4pl", "5pl") or weights not in ("bioplex", "xponent", "1/y2", "1/y", "none"):
        _stop("Models are auto, 4pl and 5pl; weights are bioplex, xponent, 1/y2, 1/y and none.", USAGE)
    with _refusals():
        tables, problems = plate_curves(
            _file(file), _file(layout) if layout else None, Rules(weights=weights, model=model)
        )
        for name, table in tables.items():
            write_atomically(out / f"{name}.csv", write_csv(table))
    _print_problems(problems)
    found = tables["cytokine_curves"]
    _say(f"{int(found['lloq_pg_ml'].notna().sum())} of {len(found)} curves have a working range; tables are in {out}.")


@app.command(epilog="Example: apap gate D01.fcs D02.fcs --gates gates.csv --out gated")
def gate(
    files: Annotated[list[Path], typer.Argument(help="FCS files.")],
    gates: Annotated[Path, typer.Option(help="A gates table, a FlowJo workspace or a GatingML file.")],
    out: Annotated[Path, typer.Option(help="Folder for the tables.")],
) -> None:
    """Put FCS files through gates: populations and markers, without a study."""
    from helpers.assays.phenotype.alone import gate_files
    from helpers.core.files import write_atomically
    from helpers.core.numbers import write_csv

    with _refusals():
        tables, problems = gate_files([_file(f) for f in files], _file(gates))
        for name, table in tables.items():
            write_atomically(out / f"{name}.csv", write_csv(table))
    _print_problems(problems)
    _say(f"{len(files)} files gated; tables are in {out}.")
    if any(p.severity == "quarantine" for p in problems):
        raise typer.Exit(3)


@app.command(epilog="Example: apap lab mystudy")
def lab(
    study: Annotated[
        Path | None, typer.Argument(help="Study folder; without it, the notebooks say what is missing.")
    ] = None,
) -> None:
    """Open JupyterLab on the notebooks with the study set."""
    from helpers.core.files import PROJECT

    if study is not None:
        if not study.is_dir():
            _stop("There is no such study folder.", REFUSED)
        os.environ["APAP_STUDY"] = str(study.resolve())
    command = [sys.executable, "-m", "jupyter", "lab", str(PROJECT / "notebooks"), *QUIET]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        _say(f"apap {__version__}")
        raise typer.Exit


@contextmanager
def _refusals() -> Iterator[None]:
    """A refused file ends the command with its problems; a disk that fails, with a sentence."""
    from helpers.core.problems import Refused

    try:
        yield
    except Refused as refused:
        _print_problems(refused.problems)
        _stop("The file is refused; nothing was written.", REFUSED)
    except OSError as err:
        _stop(f"The machine failed: {err.strerror or type(err).__name__}.", MACHINE)


def _file(path: Path) -> Path:
    if not path.is_file():
        _stop("There is no such file.", REFUSED)
    return path


# ---- talking to a terminal


def _write(text: str) -> None:
    """To standard output, whatever its encoding can show."""
    stream = sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()


def _say(text: str) -> None:
    _write(privacy.mask(text) + "\n")


def _stop(text: str, code: int) -> NoReturn:
    _say(text)
    raise typer.Exit(code)


def _empty(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        _stop("This folder is not empty; name a new one.", USAGE)


_HEADINGS = {
    "error": "Errors: the study is refused until they are mended",
    "quarantine": "Set aside: these parts are left out, the rest goes on",
    "warning": "Warnings: look at them",
    "repaired": "Repaired: read as meant",
}


def _print_problems(problems: Sequence[Problem]) -> None:
    """Problems by severity, wrapped; colours only on a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty(), legacy_windows=False)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for severity, heading in _HEADINGS.items():
        own = [p for p in problems if p.severity == severity]
        if own:
            console.print(Text(f"{heading} ({len(own)})", style="bold"))
            for problem in own:
                console.print(Text("  " + str(problem).encode(encoding, "replace").decode(encoding)))


def _verdict(problems: Sequence[Problem]) -> str:
    counts = {s: sum(p.severity == s for p in problems) for s in _HEADINGS}
    if counts["error"]:
        return f"Refused: {counts['error']} errors."
    if counts["quarantine"]:
        return f"Usable, but parts are set aside: {counts['quarantine']}."
    return f"Fine. Warnings: {counts['warning']}, repairs: {counts['repaired']}."


class _progress:
    """A progress bar with the name of each step; silent where nobody watches."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar.start()
        self._task = self._bar.add_task("reading the study", total=None)
        return self._step

    def _step(self, name: str, done: int, total: int) -> None:
        self._bar.update(self._task, description=name, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def main() -> None:
    """Run the command; an unexpected failure is one sentence, its traceback only with ``--debug``."""
    collect_seldom()
    debug = "--debug" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        with heard():
            app(args=arguments, prog_name="apap")
    except Exception as err:
        if debug:
            raise
        _say(f"Something unexpected happened ({type(err).__name__}). Run again with --debug and report what it prints.")
        sys.exit(MACHINE)
