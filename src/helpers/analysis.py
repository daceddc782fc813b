"""The one object that notebooks, the report and tests ask for tables.

`load_study` reads a study folder, computes what is stale, keeps it in the cache and hands over an
`Analysis`. There is no second path: a notebook in JupyterLab, papermill, a test and the report all call it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from helpers.core.cache import remember
from helpers.core.problems import Problem, Refused, problems_table, sorted_problems
from helpers.core.schemas import input_tables, output_tables
from helpers.study.config import Config
from helpers.study.folder import INSTRUMENT_FOLDERS
from helpers.study.opening import Study, folder_inputs, inputs_digest, open_study, quarantined_by, read_study

if TYPE_CHECKING:
    from helpers.assays.steps import Assayed


class Sentence(str):
    """Text that a notebook shows as it is, without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Analysis:
    """An opened study with every table that comes out of it.

    Parameters
    ----------
    study
        The opened study: folder, config, typed input tables, problems.
    tables
        Output tables by name, columns as in data_schema/outputs.
    """

    study: Study
    tables: dict[str, pd.DataFrame]

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
        return list(self.tables)

    def summary(self) -> Sentence:
        """One sentence on what was loaded, for the top of a notebook."""
        donors, config = self.tables["donors_derived"], self.config
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
        if name not in self.tables:
            raise KeyError(f"there is no output table {name!r}; there are: {', '.join(self.tables)}")
        table = self.tables[name].copy()
        table.attrs["simulated"] = self.config.simulated
        return table


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


def load_study(study: str | Path = "") -> Analysis:
    """Read a study folder and compute everything that comes out of it; what did not change is remembered.

    Parameters
    ----------
    study
        The study folder; empty means the folder in the environment variable ``APAP_STUDY``.

    Returns
    -------
    The analysis.

    Raises
    ------
    Refused
        Where the study has errors; the message holds every problem with its place and its mending.
    """
    folder = study_folder(study)
    digest = inputs_digest(folder_inputs(folder))
    found = _computed(digest, str(folder))
    return replace(found, study=replace(found.study, folder=folder))


def check(folder: str | Path) -> list[Problem]:
    """Every problem of a study in one pass, those inside the instruments' files too, worst first.

    Parameters
    ----------
    folder
        The study folder; it need not exist.
    """
    from helpers.assays.cytokines.reading import read_plates

    problems, study = read_study(Path(folder))
    if study is None:
        return problems
    return sorted_problems([*problems, *read_plates(study.folder, study.tables, study.quarantined, study.config)[1]])


@remember("study", ignore=("folder",))
def _opened(digest: str, folder: str) -> Study:
    study = open_study(Path(folder))
    if study.digest != digest:
        raise Refused(
            [
                Problem(
                    "error",
                    "changed-while-read",
                    "A file of the study changed while it was read.",
                    "Wait until copying has ended, then run again.",
                )
            ]
        )
    return study


@remember("analysis", ignore=("folder",))
def _computed(digest: str, folder: str) -> Analysis:
    """Every table of the study; on one BLAS thread, since its last bits depend on their number and tables must not."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        return _all_tables(digest, folder)


def _all_tables(digest: str, folder: str) -> Analysis:
    from helpers.cohort.flow import without_withdrawn

    study = replace(_opened(digest, folder), folder=Path(folder))  # remembered where it was first opened
    assays = _assays(study)
    said = [p for one in assays for p in one.problems]
    study = replace(study, quarantined=study.quarantined | quarantined_by(said))
    tables, problems = _cohort(study, {label: done for one in assays for label, done in one.measured.items()})
    tables |= _readouts(study, assays)
    tables |= {name: table for one in assays for name, table in one.tables.items()}
    tables |= _statistics(study, tables)
    tables = without_withdrawn(tables, study.tables)
    problems = sorted_problems([*study.problems, *said, *problems])
    study = replace(study, problems=tuple(problems))
    return Analysis(study, {"inputs": _inputs(study), "problems": problems_table(problems), **tables})


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
    found = effects(tables["readouts"], tables["cell_controls"], tables["donors_derived"], plan)
    targets = {g.code: g.target_n for g in study.config.groups if g.target_n}
    return {
        "readout_summaries": readout_summaries(tables["readouts"]),
        "effects": found.effects,
        "effects_sensitivity": found.sensitivity,
        "missing_pairs": found.missing_pairs,
        "donor_changes": found.donor_changes,
        "planning": planning(found.donor_changes, tables["readouts"], targets, plan.level),
        "responders": found.responders,
        "concordance": found.concordance,
        "confounding": found.confounding,
    }


def analysed_donors(study: Study) -> set[str]:
    """Donors whose results may be used: enrolled, not withdrawn, not set aside by a check or a deviation."""
    donors, deviations = study.tables["donors"], study.tables["deviations"]
    there = set(donors.loc[donors["enrolment_status"] != "withdrawn", "donor_id"])
    aside = {code for kind, code in study.quarantined if kind == "donor"}
    excluded = deviations[
        (deviations["entity"] == "donor") & (deviations["decision"] == "exclude") & deviations["assay"].isna()
    ]
    return there - aside - set(excluded["entity_id"])
