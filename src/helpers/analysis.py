"""The one object that notebooks, the report and tests ask for tables.

`load_study` reads a study folder, computes what is stale, keeps it in the cache and hands over an
`Analysis`. There is no second path: a notebook in JupyterLab, papermill, a test and the report all call it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from helpers.core.cache import digest_of, digest_of_rows, remember, row_hashes
from helpers.core.files import CHANGED
from helpers.core.problems import Problem, Refused, problems_table, sorted_problems
from helpers.core.schemas import input_tables, output_tables
from helpers.core.workers import apart, one_blas_thread
from helpers.study.config import Config
from helpers.study.deviations import excluded
from helpers.study.folder import INSTRUMENT_FOLDERS
from helpers.study.opening import Study, folder_inputs, inputs_digest, open_study, quarantined_by, read_study

if TYPE_CHECKING:
    from helpers.assays.steps import Assayed
    from helpers.stats.effects import Answer, Part
    from helpers.stats.plan import Plan


INFERRED = (
    "readout_summaries",
    "effects",
    "effects_sensitivity",
    "effects_recomputed",
    "missing_pairs",
    "donor_changes",
    "planning",
    "responders",
    "concordance",
    "confounding",
)
"""Output tables that the statistics make."""
CONTENT = "APAP_CONTENT"
"""Environment variable in which a report tells its kernels the digest of the content that it is about."""
MOST_LEADING = 12
"""Readouts that lead a donor's page where study.yaml names none."""


class Sentence(str):
    """Text that a notebook shows as it is, without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Analysis:
    """An opened study with every table that comes out of it.

    Statistics take longer than all else together and many who ask need none, so they are computed when first
    asked for.

    Parameters
    ----------
    study
        The opened study: folder, config, typed input tables, problems.
    measured
        Output tables up to the readouts by name, columns as in data_schema/outputs.
    """

    study: Study
    measured: dict[str, pd.DataFrame]

    @cached_property
    def inferred(self) -> dict[str, pd.DataFrame]:
        """Output tables of the statistics by name: the effects and what stands beside them."""
        return _inferred(self.digest, str(self.folder))

    @property
    def config(self) -> Config:
        """study.yaml with defaults."""
        return self.study.config

    @property
    def folder(self) -> Path:
        """The study folder."""
        return self.study.folder

    @property
    def digest(self) -> str:
        """One digest of all inputs."""
        return self.study.digest

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything found while reading, worst first."""
        return self.study.problems

    @property
    def study_tables(self) -> dict[str, pd.DataFrame]:
        """Typed input tables by name."""
        return self.study.tables

    def names(self) -> list[str]:
        """Names of the output tables, in the order of the spine."""
        return [*self.measured, *INFERRED]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Output tables by name, in the order of the spine, for who only reads them: these are no copies."""
        return {**self.measured, **self.inferred}

    def summary(self) -> Sentence:
        """One sentence on what was loaded, for the top of a notebook."""
        donors, config = self.measured["donors_derived"], self.config
        groups = ", ".join(f"{g.label} {int((donors['group'] == g.code).sum())}" for g in config.groups)
        warning = "SIMULATED: no person and no measurement is real. " if config.simulated else ""
        return Sentence(f"{warning}{config.title}. Donors analysed: {len(donors)} ({groups}).")

    def fingerprint(self) -> Sentence:
        """The study's code and the digest of its files, by which two reports can be compared."""
        return Sentence(f"Study {self.config.id}, fingerprint {self.digest[:16]}, {len(self.study.inputs)} files.")

    def table(self, name: str) -> pd.DataFrame:
        """An output table by name; a copy, so that no cell of a notebook changes another's numbers.

        Its ``attrs`` say whether the study is ``simulated``, so that a figure drawn from it can say so too.

        Raises
        ------
        KeyError
            Where there is no such table; the message lists the names.
        """
        if name not in self.names():
            raise KeyError(f"there is no output table {name!r}; there are: {', '.join(self.names())}")
        table = (self.inferred if name in INFERRED else self.measured)[name].copy()
        table.attrs["simulated"] = self.config.simulated
        return table


@dataclass(frozen=True)
class DonorPart:
    """All that the page of one donor may see: the donor's own rows, and what the controls showed.

    Parameters
    ----------
    donor_id
        The donor.
    own
        The study with this donor's rows alone; tables that name no donor are left out of its output.
    controls
        Rows of ``readouts`` of the control donors, without this one, of the readouts that lead the page.
    digest
        Of everything above, so that a page is made anew only where something on it can differ.
    cohort
        Of the controls' rows: two pages with the same one were compared with the same donors' same numbers.
    """

    donor_id: str
    own: Analysis
    controls: pd.DataFrame
    digest: str
    cohort: str

    @property
    def leading(self) -> pd.DataFrame:
        """Rows of this donor's ``readouts`` that lead the page."""
        readouts = self.own.table("readouts")
        return readouts[_leads(readouts, self.own.config)].reset_index(drop=True)

    def compared_with(self) -> Sentence:
        """With whom this donor is compared, for the page."""
        n = self.controls["donor_id"].nunique()
        return Sentence(
            f"Compared with what was observed in {n} control donors (cohort {self.cohort[:12]}); these are no reference limits."
            if n
            else "There are no control donors to be compared with."
        )


def donor_parts(data: Analysis, only: str = "") -> Iterator[DonorPart]:
    """The part of every analysed donor, in the order of ``donors_derived``, one after the other.

    Parameters
    ----------
    data
        The study.
    only
        Code of one donor, whose part alone is made; none where no analysed donor has it.
    """
    from helpers.cohort.owners import owners, places

    known = owners(data.study_tables)
    tables = {f"in {n}": t for n, t in data.study_tables.items()} | {f"out {n}": t for n, t in data.measured.items()}
    at = places(tables, known)
    # of each row once, and not once for each donor
    hashes = {name: row_hashes(table) for name, table in tables.items()}
    controls = control_readouts(data)
    of_controls = row_hashes(controls)
    problems = _problems_by_donor(data.problems, known)
    for donor in map(str, data.measured["donors_derived"]["donor_id"]):
        if donor in at and only in ("", donor):
            cohort = digest_of_rows("controls", controls, of_controls[(controls["donor_id"] != donor).to_numpy()])
            yield _donor_part(data, donor, tables, hashes, at[donor], (controls, cohort), problems.get(donor, ()))


def control_readouts(data: Analysis) -> pd.DataFrame:
    """Rows of ``readouts`` of the control donors, of the readouts that lead a donor's page."""
    donors, readouts = data.table("donors_derived"), data.table("readouts")
    roles = dict(zip(donors["donor_id"], donors["role"], strict=True))
    return readouts[(readouts["donor_id"].map(roles) == "control") & _leads(readouts, data.config)].reset_index(
        drop=True
    )


def without_donor(controls: pd.DataFrame, donor: str) -> pd.DataFrame:
    """Rows of all donors but one; the same table where it has none of that donor's."""
    others = controls["donor_id"] != donor
    return controls if others.all() else controls[others].reset_index(drop=True)


def _leads(readouts: pd.DataFrame, config: Config) -> pd.Series:
    """Rows of readouts that study.yaml calls primary or secondary; where it names none, of the first by name."""
    named = [r for r in config.settings.get("readouts", ()) if r.get("role") in ("primary", "secondary")]
    keys = [(r["assay"], r["name"]) for r in named]
    rows = list(zip(readouts["assay"], readouts["readout"], strict=True))
    leading = set(keys) or set(sorted(set(rows))[:MOST_LEADING])
    return pd.Series([row in leading for row in rows], readouts.index, dtype=bool)


def _donor_part(
    data: Analysis,
    donor: str,
    tables: Mapping[str, pd.DataFrame],
    hashes: Mapping[str, np.ndarray],
    at: Mapping[str, np.ndarray],
    compared: tuple[pd.DataFrame, str],
    problems: tuple[Problem, ...],
) -> DonorPart:
    """Input tables without owners stay whole but for gates of others, output tables without owners are left out."""
    from helpers.cohort.owners import parted

    controls, cohort = compared
    own_files = set(tables["in phenotype/samples"]["fcs_file"].iloc[at["in phenotype/samples"]])
    gates = tables["in phenotype/gates"]["override_for"]
    at = {**at, "in phenotype/gates": np.flatnonzero(gates.isna() | gates.isin([donor, *own_files]))}
    own = parted(tables, at)
    inputs = {n.removeprefix("in "): t for n, t in own.items() if n.startswith("in ")}
    outputs = {n.removeprefix("out "): t for n, t in own.items() if n.startswith("out ")}
    files = {
        f: d for f, d in data.study.inputs.items() if f == "study.yaml" or _of_gates(f) or Path(f).name in own_files
    }
    study = replace(data.study, tables=data.study_tables | inputs, problems=problems, inputs=files)
    seen = {n: hashes[n][at[n]] if n in at else hashes[n] for n in tables if n in at or n.startswith("in ")}
    content = digest_of(digest_of_rows(n, tables[n], rows) for n, rows in sorted(seen.items()))
    whole = digest_of([donor, cohort, content, repr(problems), repr(sorted(files.items()))])
    return DonorPart(donor, Analysis(study, outputs), without_donor(controls, donor), whole, cohort)


def _of_gates(file: str) -> bool:
    """Whether a file lies among FCS files and is none: a gate file may hold for any of them."""
    return file.startswith("phenotype/fcs/") and not file.casefold().endswith((".fcs", ".lmd"))


def _problems_by_donor(
    problems: Sequence[Problem], known: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[Problem, ...]]:
    """Problems that name something of a donor's as the part that they are about."""
    whose = {code: donor for codes in known.values() for code, donor in codes.items()}
    out: dict[str, tuple[Problem, ...]] = {}
    for one in problems:
        donor = whose.get(one.entity.partition(" ")[2])
        if donor:
            out[donor] = (*out.get(donor, ()), one)
    return out


def load_donor(study: str | Path = "", donor: str = "") -> DonorPart:
    """What the page of one donor may see; what did not change is remembered.

    Parameters
    ----------
    study
        The study folder; empty means the folder in the environment variable ``APAP_STUDY``.
    donor
        Code of the donor; empty means the first one.

    Raises
    ------
    Refused
        Where the study has errors, or no analysed donor has this code.
    """
    folder = study_folder(study)
    digest = _asked_content(folder)
    part = kept_part(digest, donor, lambda: _chosen(load_study(folder), donor))
    controls = kept_controls(digest, lambda: control_readouts(load_study(folder)))
    own = replace(part.own, study=replace(part.own.study, folder=folder))
    return replace(part, own=own, controls=without_donor(controls, part.donor_id))


@remember("analysis", ignore=("make",))
def kept_part(digest: str, donor: str, make: Callable[[], DonorPart]) -> DonorPart:
    """A donor's part by the study's digest, without the controls; a page then need not load the whole study.

    Parameters
    ----------
    digest
        Of the study.
    donor
        Code of the donor.
    make
        What makes the part where it is not remembered.
    """
    part = make()
    return replace(part, controls=part.controls.iloc[:0])  # the same for all donors, so kept once


@remember("analysis", ignore=("make",))
def kept_controls(digest: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The controls' rows by the study's digest; arguments as in `kept_part`."""
    return make()


def _chosen(data: Analysis, donor: str) -> DonorPart:
    for part in donor_parts(data, donor):
        return part
    there = [*map(str, data.measured["donors_derived"]["donor_id"])]
    near = get_close_matches(donor, there, 1)
    expected = near[0] if near else ", ".join(there[:12])
    message, fix = "No donor who is analysed has this code.", "Write the code as it stands in donors."
    raise Refused([Problem("error", "no-such-donor", message, fix, found=donor, expected=expected)])


def study_folder(study: str | Path = "") -> Path:
    """The folder a notebook means: its parameter, else ``APAP_STUDY``.

    Raises
    ------
    Refused
        Where neither names a folder.
    """
    named = str(study) or os.environ.get("APAP_STUDY", "")
    if not named:
        raise Refused(
            [
                Problem(
                    "error",
                    "no-study",
                    "No study folder is named.",
                    'Write its path into the parameters cell (study = "…"), or set APAP_STUDY before starting.',
                )
            ]
        )
    return Path(named).expanduser()


def load_study(study: str | Path = "", when_new: Callable[[], None] = lambda: None) -> Analysis:
    """Read a study folder and compute everything that comes out of it; what did not change is remembered.

    Parameters
    ----------
    study
        The study folder; empty means the folder in the environment variable ``APAP_STUDY``.
    when_new
        Called first where not all is remembered, for what can begin meanwhile.

    Returns
    -------
    The analysis.

    Raises
    ------
    Refused
        Where the study has errors; the message holds every problem with its place and its mending.
    """
    folder = study_folder(study)
    digest = _asked_content(folder)
    found = _computed(digest, str(folder), when_new)
    return replace(found, study=replace(found.study, folder=folder))


def _asked_content(folder: Path) -> str:
    """Digest of what a folder holds now; refused where a report that started this kernel holds other content."""
    digest = inputs_digest(folder_inputs(folder))
    if os.environ.get(CONTENT, digest) != digest:
        raise Refused([CHANGED])
    return digest


def unchanged(folder: Path, digest: str) -> None:
    """Refuse what came out of a study folder that does not hold the same content any more.

    Parameters
    ----------
    folder
        The study folder.
    digest
        Digest of the content that was asked for.

    Raises
    ------
    Refused
        Where a file was changed, added or removed since.
    """
    if inputs_digest(folder_inputs(folder)) != digest:
        raise Refused([CHANGED])


def check(folder: str | Path) -> list[Problem]:
    """Every problem of a study in one pass, those inside the instruments' files too, worst first.

    Parameters
    ----------
    folder
        The study folder; it need not exist.
    """
    from helpers.assays.cytokines.reading import read_plates
    from helpers.assays.phagocytosis import sources as phagocytosis
    from helpers.assays.phenotype import tasks as phenotype

    problems, study = read_study(Path(folder))
    if study is None:
        return problems
    of_study = (study.folder, study.tables, study.quarantined)
    inside = [
        *read_plates(*of_study, study.config)[1],
        *phenotype.look_into(*of_study),
        *phagocytosis.look_into(*of_study, study.config),
    ]
    return sorted_problems([*problems, *inside])


@remember("study", ignore=("folder",))
def _opened(digest: str, folder: str) -> Study:
    study = open_study(Path(folder))
    if study.digest != digest:
        raise Refused([CHANGED])
    return study


@remember("analysis", ignore=("folder", "when_new"))
def _computed(digest: str, folder: str, when_new: Callable[[], None] = lambda: None) -> Analysis:
    """The study and its tables up to the readouts."""
    when_new()
    from helpers.cohort.flow import without_withdrawn

    study = replace(_opened(digest, folder), folder=Path(folder))  # remembered where it was first opened
    with one_blas_thread():
        assays = _assays(study)
        said = [p for one in assays for p in one.problems]
        study = replace(study, quarantined=study.quarantined | quarantined_by(said))
        tables, problems = _cohort(study, {label: done for one in assays for label, done in one.measured.items()})
        tables |= _readouts(study, assays)
    tables |= {name: table for one in assays for name, table in one.tables.items()}
    tables = without_withdrawn(tables, study.tables)
    problems = sorted_problems([*study.problems, *said, *problems])
    study = replace(study, problems=tuple(problems))
    unchanged(Path(folder), digest)
    return Analysis(study, {"inputs": _inputs(study), "problems": problems_table(problems), **tables})


@remember("analysis", ignore=("folder",))
def _inferred(digest: str, folder: str) -> dict[str, pd.DataFrame]:
    from helpers.cohort.flow import without_withdrawn

    data = _computed(digest, folder)
    with one_blas_thread():
        return without_withdrawn(_statistics(data.study, data.measured), data.study.tables)


def _inputs(study: Study) -> pd.DataFrame:
    schemas = input_tables()
    rows = [(name, schemas[name].title, file, sheet, n) for name, (file, sheet, n) in study.sources.items()]
    for folder in INSTRUMENT_FOLDERS:
        n = sum(f.startswith(folder + "/") for f in study.inputs)
        if n:
            rows.append((folder, "Instrument files", folder, "", n))
    return pd.DataFrame(rows, columns=output_tables()["inputs"].columns)


def _cohort(study: Study, measured: dict[str, set[str]]) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    """Donors: which laboratory values count, eligibility by every reading, derived values, flow, completeness.

    Only who is analysed is judged: a withdrawn donor must not be, and one set aside cannot be trusted to be.
    """
    from helpers.cohort import derived, eligibility, flow, labs

    config, donors = study.config, analysed_donors(study)
    tables = flow.of_donors(study.tables, donors)
    used = labs.labs_used(tables["clinical_labs"], tables["specimens"], config.settings)
    criteria, readings = eligibility.eligibility(tables["donors"], used, config)
    analysed = derived.donors_derived(tables["donors"], used, readings, config)
    complete = flow.completeness(tables, measured, config)
    out = {
        "eligibility": criteria,
        "eligibility_readings": readings,
        "donors_derived": analysed,
        "labs_used": used,
        "completeness": complete,
        "participant_flow": flow.participant_flow(study.tables["donors"], study.quarantined, donors, complete, config),
        "exclusions": flow.exclusions(study.tables, study.quarantined),
    }
    return out, derived.aa_disagreements(analysed)


def _assays(study: Study) -> list[Assayed]:
    """Every assay's results; an assay without data gives empty tables."""
    from helpers.assays.cytokines.assay import cytokines
    from helpers.assays.measurements import measurements
    from helpers.assays.phagocytosis.assay import phagocytosis
    from helpers.assays.phenotype.assay import phenotype

    from_files = (study.folder, study.tables, study.quarantined, study.config)
    return [
        cytokines(*from_files),
        phenotype(*from_files),
        phagocytosis(*from_files),
        measurements(study.tables, study.config),
    ]


def _readouts(study: Study, assays: Sequence[Assayed]) -> dict[str, pd.DataFrame]:
    """Every assay's wells as readouts, and the wells without a donor's macrophages beside them."""
    from helpers.assays import steps

    donors = analysed_donors(study)
    parts = [
        steps.readouts(one.wells, steps.usable_cultures(study.tables, donors, study.quarantined, one.assay))
        for one in assays
    ]
    return {
        name: pd.concat([p[i] for p in parts if len(p[i])] or [parts[0][i]], ignore_index=True)
        for i, name in enumerate(("readouts", "cell_controls"))
    }


def _statistics(study: Study, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Effects with their companions; empty tables where nothing was measured."""
    from helpers.stats.effects import effects
    from helpers.stats.plan import Plan
    from helpers.stats.planning import planning
    from helpers.stats.summary_table import readout_summaries

    plan = Plan.from_config(study.config)
    found = effects(tables["readouts"], tables["cell_controls"], tables["donors_derived"], plan, _of_readouts)
    (again,) = apart(_again, [(found.effects, tables["readouts"], plan)])  # what pingouin imports goes with the child
    targets = {g.code: g.target_n for g in study.config.groups if g.target_n}
    return {
        "readout_summaries": readout_summaries(tables["readouts"]),
        "effects": found.effects,
        "effects_sensitivity": found.sensitivity,
        "effects_recomputed": again,
        "missing_pairs": found.missing_pairs,
        "donor_changes": found.donor_changes,
        "planning": planning(found.donor_changes, tables["readouts"], targets, plan.level),
        "responders": found.responders,
        "concordance": found.concordance,
        "confounding": found.confounding,
    }


def _of_readouts(parts: Sequence[Part]) -> list[list[Answer]]:
    return apart(_of_readout, parts)  # what they take in passing is several times what comes out


def _of_readout(part: Part) -> list[Answer]:
    return _kept_answers(part.digest, part)


def _again(asked: tuple[pd.DataFrame, pd.DataFrame, Plan]) -> pd.DataFrame:
    from helpers.stats.recomputed import recomputed

    return recomputed(*asked)


@remember("analysis", ignore=("part",))
def _kept_answers(digest: str, part: Part) -> list[Answer]:
    from helpers.stats.effects import answered

    return answered(part)


def analysed_donors(study: Study) -> set[str]:
    """Donors whose results may be used: enrolled, not withdrawn, not set aside by a check or a deviation."""
    donors = study.tables["donors"]
    there = set(donors.loc[donors["enrolment_status"] != "withdrawn", "donor_id"])
    aside = {code for kind, code in study.quarantined if kind == "donor"}
    return there - aside - {code for kind, code in excluded(study.tables) if kind == "donor"}
