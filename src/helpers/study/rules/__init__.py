"""What one cell cannot say alone: keys, links between tables, and numbers that contradict each other.

Broken keys and links are errors: nothing can be joined. A contradiction within one donor, plate or file
sets that one aside (quarantine) and the rest goes on.
"""

from __future__ import annotations

from helpers.core.problems import Problem
from helpers.study.config import Config
from helpers.study.folder import Folder
from helpers.study.rules import assays, cultures, donors, keys, labs
from helpers.study.rules.saying import Rule, Tables

RULES: tuple[Rule, ...] = (
    keys.primary_keys,
    keys.foreign_keys,
    keys.config_codes,
    donors.donor_logic,
    labs.lab_units,
    labs.blood_gas,
    cultures.specimen_logic,
    cultures.culture_logic,
    cultures.pairs,
    assays.measurement_units,
    assays.counts,
    assays.limits,
    assays.instrument_files,
    assays.cells_without_culture,
    assays.bead_runs,
    assays.bead_peaks,
    assays.layout_logic,
    assays.deviation_targets,
)


def cross_check(tables: Tables, config: Config, folder: Folder) -> list[Problem]:
    """Every problem that needs more than one cell to see.

    Parameters
    ----------
    tables
        Typed tables by name; all input tables, absent ones empty.
    config
        study.yaml.
    folder
        Files as listed.
    """
    return [problem for rule in RULES for problem in rule(tables, config, folder)]
