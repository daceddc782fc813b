"""The part of docs/demo.md on cytokines: every planted truth, and what is awkward on the plates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from helpers.simulate.cohort import SURVIVING
from helpers.simulate.cytokines import BATCH_SD, CYTOKINES, LOT_STRENGTH, LPS_SD
from helpers.simulate.design import LOTS, plan
from helpers.simulate.plates import (
    BRIDGE,
    CONTROL_SHARES,
    DILUTION,
    FEW_BEADS,
    LOST_DECIMAL,
    LPS_DILUTION,
    OFFSET,
    READS_HIGH,
    REPEATED_ON,
    SHORT_PIPETTED,
    PlatePlan,
    misnamed,
    mistyped,
    plate_plans,
    standard_concentrations,
)


def cytokine_sections() -> str:
    """The sections as Markdown, of the demo as it is written by default.

    Examples
    --------
    >>> cytokine_sections().splitlines()[0]
    '## Cytokines'
    """
    return f"{_cytokines_section()}\n{_plates_section()}"


def _cytokines_section() -> str:
    rows = "\n".join(
        f"| {c.analyte} | {c.xponent} | {c.bioplex} | {c.control_median:g} | {c.group_gap:+g} | {c.msc_effect_apap:+g} "
        f"| {c.msc_effect_control:+g} | {c.msc_secretes:g} | {c.seen_effect('apap'):+.2f} | {c.seen_effect('control'):+.2f} "
        f"| {c.lps_effect:+g} | {c.top:g} |"
        for c in CYTOKINES
    )
    one = CYTOKINES[0]
    nulls = ", ".join(c.analyte for c in CYTOKINES if c.is_null)
    lots = ", ".join(f"{lot} {share:g} times" for lot, share in LOT_STRENGTH.items())
    return f"""\
## Cytokines

Effects in log2 units, all assumed; amounts in pg/ml. MSC: change of what the macrophages make. MSC secrete: what MSC
of lot {LOTS[0]} add to a well, alone or with macrophages ({lots}; SD between batches {BATCH_SD:g} log2). Amounts add in
pg/ml, so what a measurement sees of the co-culture (seen, the mean over donors and lots) is more than the change of
the macrophages. LPS with MSC: both changes. Without gap, effect and secretion, exactly nothing is planted for
{nulls}.

SD in log2 units of every analyte: donor's level {one.donor_sd:g}, donor's change by MSC {one.change_sd:g}, by LPS {LPS_SD:g}
(0 without an LPS effect), culture wells {one.culture_sd:g}. MFI of an assay well: CV of about 6.5 % with 85 beads, more with fewer.
Medium holds nothing. Live macrophages at harvest: {SURVIVING:g} of those seeded, CV 10 %.

| analyte | in xPONENT | in Bio-Plex | median of controls | gap | MSC in aPAP | MSC in controls | MSC secrete | seen in aPAP | seen in controls | LPS | top standard |
|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}

- IL-4, IFN-g and GM-CSF lie mostly below the LLOQ: bounds, no fold change; detection is compared where more than half
  are bounds. GM-CSF of aPAP donors carries antibody_interference.
- IL-7 and IL-12p70 lie below the LLOQ in 20 to 40 % of the wells of AM with and without MSC.
- CCL18 of some aPAP donors lies above the ULOQ: bounded below.
- {", ".join(c.analyte for c in CYTOKINES if c.msc_secretes)} carry source_ambiguous in co-culture; more than the sum
  (beyond_additive) is close to 0 for {", ".join(c.analyte for c in CYTOKINES if c.msc_secretes and not c.msc_effect_apap)}.
"""


def _plates_section() -> str:
    plans = plate_plans(plan())
    where = "\n".join(
        f"| {p.plate_id} | cytokines/raw/{p.file} | {'Bio-Plex Manager workbook' if p.is_bioplex else 'xPONENT 4.2 CSV'} "
        f"| {', '.join(_donors_of(p, 'apap'))} | {', '.join(_donors_of(p, 'control'))} |"
        for p in plans
    )
    awkward = "\n".join(f"| {where} | {what} | {expect} |" for where, what, expect in _awkward(plans))
    return f"""\
## Cytokine plates

Eight standards in duplicate, each a quarter of the one before; two kit controls in duplicate at {CONTROL_SHARES[0]:g} and {CONTROL_SHARES[1]:g} of the
highest standard; a pooled supernatant ({BRIDGE}) in duplicate on every plate; blanks. Supernatants are diluted {DILUTION:g}-fold,
those of LPS arms {LPS_DILUTION:g}-fold. Measured are wells 1 and 2 of am and am_msc, well 1 of am_lps and am_msc_lps, and well 1 of
MSC alone (each lot) and medium of every batch. Assay wells are single; free ones repeat the plate's first samples.
A larger study gets as many plates as it needs, every third of them read by Bio-Plex Manager.

| plate | file | written by | aPAP donors | controls |
|---|---|---|---|---|
{where}

| where | what | what the analysis must say |
|---|---|---|
{awkward}
"""


def _donors_of(plate: PlatePlan, group: str) -> list[str]:
    people = {w.culture.specimen.donor for w in plate.samples if w.culture and w.culture.specimen}
    return sorted(d.donor_id for d in people if d.group == group)


def _awkward(plans: Sequence[PlatePlan]) -> Iterator[tuple[str, str, str]]:
    """Place, what is planted there, and what the analysis must say."""
    by_number = {p.number: p for p in plans}
    number, analyte, level = LOST_DECIMAL
    names = [c.analyte for c in CYTOKINES]
    right = standard_concentrations()[level - 1, names.index(analyte)]
    yield (
        f"P{number}",
        f"standard {level} of {analyte} printed as {str(right).replace('.', '')}",
        f"named as a lost decimal point, likely {right:g}; left out of the curve",
    )
    for number, places in FEW_BEADS.items():
        wells = [by_number[number].samples[i].position for i in places]
        yield f"P{number}", f"few beads in {' and '.join(wells)}", "low_beads on their values, which stay"
    for plate in plans:
        if lost := misnamed(plate):
            expect = "listed as matching nothing; the culture has no cytokines, its arm has another well"
            yield plate.plate_id, f"{lost} typed as {mistyped(lost)} at the instrument", expect
    first = by_number[REPEATED_ON].samples[0].sample_id
    yield (
        f"P{REPEATED_ON}",
        f"{first} pipetted with {SHORT_PIPETTED:.0%} of its volume and run again as {first}-R",
        "the first is kept, marked superseded and not used",
    )
    yield (
        f"P{READS_HIGH}",
        f"another kit lot, whose standards hold 1/{OFFSET:g} of what is printed",
        f"controls, samples and {BRIDGE} read {OFFSET - 1:.0%} higher: bridges agree on log2({OFFSET:g}) = "
        f"{math.log2(OFFSET):.3f} against P1, and on 0 for P3",
    )
    for plate in plans:
        if plate.left_out:
            people = dict.fromkeys(c.specimen.donor.donor_id for c in plate.left_out if c.specimen)
            expect = "missing in the completeness map, not_measured"
            yield plate.plate_id, f"no room for the LPS arms of {', '.join(people)}", expect
    yield "all", "well 3 of am and am_msc, and am_gmcsf, were not put on a plate", "partial or missing, not_measured"
