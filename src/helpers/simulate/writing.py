"""Write the simulated study as files, byte for byte the same for the same seed."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.core.files import PROJECT, write_atomically
from helpers.simulate.cohort import donor_rows, harvest, lab_rows, specimen_rows
from helpers.simulate.cytokine_page import cytokine_sections
from helpers.simulate.design import (
    AM_PER_WELL,
    LOTS,
    MSC_PER_WELL,
    PLANTED,
    SEED,
    TIME_H,
    WITH_MSC,
    Culture,
    Design,
    plan,
)
from helpers.simulate.measurements import TRUTHS, measurement_rows
from helpers.simulate.phagocytosis import (
    dose_cultures,
    phagocytosis_conditions,
    phagocytosis_files,
    phagocytosis_readouts,
    phagocytosis_sections,
    phagocytosis_tables,
)
from helpers.simulate.phenotype import FOLDER as FCS_FOLDER
from helpers.simulate.phenotype import phenotype_files, phenotype_sections, phenotype_tables
from helpers.simulate.plate_files import plate_file
from helpers.simulate.plates import plate_tables, read_plates

README = """\
SIMULATED

This study is invented: no person, no cell and no measurement in it is real. It shows what a study folder
looks like and lets tests check that the analysis finds what was planted. What was planted is listed in
docs/demo.md of the project.
"""


MOST_WITH_FILES = 1000
"""Donors above which the demo has tables alone: instrument files of so many would be more than a gigabyte."""


def write_demo(folder: Path, donors: int = 26, seed: int = SEED) -> None:
    """Write the simulated demo study into a folder; of more than `MOST_WITH_FILES` donors, its tables alone.

    Parameters
    ----------
    folder
        Made where it is not there.
    donors
        Number of donors, at least 1; 18 of 26 have aPAP.
    seed
        Same seed, same bytes.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> write_demo(folder, donors=2)
    >>> sorted(p.name for p in folder.iterdir())[:3]
    ['README.txt', 'clinical_labs.csv', 'cultures.csv']
    """
    design = plan(donors, seed)
    folder.mkdir(parents=True, exist_ok=True)
    lots = [
        {
            "msc_lot_id": lot,
            "tissue": "umbilical_cord",
            "donor_code": f"U{i}",
            "passage": 4 + i,
            "viability_pct": 94 - i,
            "supplier": "simulated",
        }
        for i, lot in enumerate(LOTS, 1)
    ]
    tables = {
        "donors": donor_rows(design),
        "clinical_labs": lab_rows(design),
        "specimens": specimen_rows(design),
        "msc_lots": lots,
        "cultures": [*(_culture(design, c) for c in design.cultures), *dose_cultures(design)],
        "measurements": measurement_rows(design),
        "deviations": _deviations(design),
    }
    if donors <= MOST_WITH_FILES:
        tables |= _instruments(folder, design)
    for name, rows in tables.items():
        if rows:
            write_atomically(folder / f"{name}.csv", _csv(rows))
    write_atomically(folder / "study.yaml", _study_yaml(design, donors <= MOST_WITH_FILES))
    write_atomically(folder / "README.txt", README)


def _instruments(folder: Path, design: Design) -> dict[str, list[dict[str, Any]]]:
    """Writes the instruments' files, and returns the tables that name them."""
    plates = read_plates(design)
    for plate in plates:
        write_atomically(folder / "cytokines" / "raw" / plate.plan.file, plate_file(plate))
    for name, content in phenotype_files(design):
        write_atomically(folder / FCS_FOLDER / name, content)
    for name, content in phagocytosis_files(design).items():
        write_atomically(folder / "phagocytosis" / "raw" / name, content)
    return {
        **plate_tables(design, [plate.plan for plate in plates]),
        **phenotype_tables(design),
        **phagocytosis_tables(design),
    }


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _culture(design: Design, culture: Culture) -> dict[str, Any]:
    return {
        "culture_id": culture.culture_id,
        "specimen_id": culture.specimen.specimen_id if culture.specimen else "",
        "condition": culture.condition,
        "msc_lot_id": culture.lot,
        "timepoint_h": TIME_H,
        "replicate": culture.replicate,
        "am_per_well": AM_PER_WELL if culture.specimen else 0,
        "msc_per_well": MSC_PER_WELL if culture.condition in WITH_MSC else 0,
        "volume_ul": 500,
        "batch_day": culture.batch_day,
        "operator_code": "OP1",
        "plate_label": culture.plate,
        "well": culture.well,
        **harvest(design, culture),
        "status": culture.status,
    }


def _deviations(design: Design) -> list[dict[str, Any]]:
    spoiled = [c for c in design.cultures if c.status == "contaminated"]
    return [
        {
            "entity": "culture",
            "entity_id": c.culture_id,
            "assay": "",
            "code": "contaminated",
            "decision": "exclude",
            "decided_before_unblinding": "yes",
            "rule": "Visible contamination at harvest excludes the well.",
        }
        for c in spoiled
    ]


def _study_yaml(design: Design, with_files: bool) -> str:
    assays = ("cytokines", "phenotype", "phagocytosis", "measurements") if with_files else ("measurements",)
    named = f"\n{_cytokine_readouts()}\n{_phenotype_readouts()}\n{phagocytosis_readouts()}" if with_files else ""
    groups = [g for g in ("apap", "control") if any(d.group == g for d in design.donors)]
    lines = {
        "apap": "  - {code: apap, label: aPAP, role: disease, target_n: 18}",
        "control": "  - {code: control, label: Control, role: control, target_n: 8, control_source: diagnostic lavage of people examined for another reason}",
    }
    readouts = "\n".join(
        f"  - {{name: {t.readout}, assay: measurements, unit: {t.unit}, scale: log2, direction_toward_health: down,\n"
        f"     direction_source: 'McCarthy 2018, lipid-laden macrophages in aPAP', role: {'primary' if i == 0 else 'secondary'}}}"
        for i, t in enumerate(TRUTHS)
    )
    return f"""\
# SIMULATED: every person and every number of this study is invented (seed {design.seed}).
id: demo
title: SIMULATED demo of macrophages from aPAP donors cultured with and without MSC
registry_id: NCT05640687
simulated: true

groups:
{chr(10).join(lines[g] for g in groups)}

# A condition is one fully stated treatment; compare_to names what it is compared with.
conditions:
  - {{code: am, label: AM alone, cells: am, role: reference}}
  - {{code: am_msc, label: AM + MSC, cells: am_msc, format: direct, msc_am_ratio: 0.2, role: treatment, compare_to: am}}
  - {{code: am_lps, label: AM + LPS, cells: am, stimulus: LPS, dose: 10, dose_unit: ng/ml, role: reference}}
  - {{code: am_msc_lps, label: AM + MSC + LPS, cells: am_msc, format: direct, msc_am_ratio: 0.2, stimulus: LPS, dose: 10, dose_unit: ng/ml,
     role: treatment, compare_to: am_lps}}
  - {{code: am_gmcsf, label: AM + GM-CSF, cells: am, stimulus: GM-CSF, dose: 10, dose_unit: ng/ml, role: positive_control, compare_to: am}}
{phagocytosis_conditions()}
  - {{code: msc, label: MSC alone, cells: msc, role: msc_alone}}
  - {{code: medium, label: Medium, cells: none, role: blank}}

assays: [{", ".join(assays)}]
readouts:
{readouts}{named}

# One donor was treated with both MSC lots; that donor counts by the mean of its lots.
slices: {{several_lots: mean}}

# People before enrolment, as totals only.
screening:
  screened: {len(design.donors) + 15}
  declined: 6
  not_eligible: {{age: 2, infection: 3, malignancy: 1, secondary_pap: 3}}

plan:
  date: 2022-11-01
  url: null
  sha256: null
first_unblinding_date: 2024-03-01
"""


_RAISED = "raised in lavage of aPAP, as reviews say"
_PLANNED = (
    ("CCL18", "primary", "none", ""),
    ("TNF-a", "secondary", "none", ""),
    ("IL-10", "secondary", "none", ""),
    ("MCP-1", "secondary", "down", _RAISED),
    ("M-CSF", "secondary", "down", _RAISED),
)
"""Cytokines named in study.yaml: role, direction toward health and its source; no direction where it is not known."""


def _cytokine_readouts() -> str:
    lines = []
    for name, role, direction, source in _PLANNED:
        stated = f"direction_toward_health: {direction}" + (f", direction_source: '{source}'" if source else "")
        lines.append(f"  - {{name: {name}, assay: cytokines, unit: pg/ml, scale: log2, {stated}, role: {role}}}")
    return "\n".join(lines)


_MARKERS = (("AM|CD206|delta_mfi", "MFI", "log2", "primary"), ("AM|CD163|delta_mfi", "MFI", "log2", "secondary"))
"""Markers named in study.yaml: name, unit, scale, role."""


def _phenotype_readouts() -> str:
    return "\n".join(
        f"  - {{name: '{name}', assay: phenotype, unit: {unit}, scale: {scale}, direction_toward_health: none, role: {role}}}"
        for name, unit, scale, role in _MARKERS
    )


def demo_page() -> str:
    """The page docs/demo.md: every planted truth as a table.

    Examples
    --------
    >>> demo_page().splitlines()[0]
    '# What is planted in the simulated demo study'
    """
    donors = "\n".join(f"| D{p.number:02d} | {p.what} | {p.expect} |" for p in PLANTED)
    effects = "\n".join(
        f"| {t.readout} | {t.unit} | {t.control_median:g} | {t.group_gap:+g} | {t.msc_effect_apap:+g} | {t.msc_effect_control:+g} | {t.gmcsf_effect:+g} "
        f"| {t.donor_sd:g} | {t.change_sd:g} | {t.culture_sd:g} | {t.assay_sd:g} | {t.limit:g} |"
        for t in TRUTHS
    )
    return f"""\
# What is planted in the simulated demo study

SIMULATED: no person and no measurement is real. `apap demo DIR` writes the study with seed {SEED}; the same seed
gives the same bytes. Donors D01 to D18 have aPAP, D19 to D26 are controls whose cells come from a diagnostic
lavage. This page is generated by `make dictionary` from the simulator, and a test fails when it is stale.

## Awkward donors

| donor | what | what the analysis must say |
|---|---|---|
{donors}

## Measurements

Effects and standard deviations (SD) in log2 units, all assumed. Gap: aPAP minus control without MSC. MSC: co-culture
minus AM alone. Donor: SD of a donor's level; change: SD of a donor's change; culture and assay: SD of culture wells
and of assay wells. Values below the limit are written with the qualifier <.

| readout | unit | median of controls | gap | MSC in aPAP | MSC in controls | GM-CSF | donor SD | change SD | culture SD | assay SD | limit |
|---|---|---|---|---|---|---|---|---|---|---|---|
{effects}

{cytokine_sections()}
{phenotype_sections()}
{phagocytosis_sections()}"""


if __name__ == "__main__":
    write_atomically(PROJECT / "docs" / "demo.md", demo_page())
