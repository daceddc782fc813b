"""Simulated Oil Red O and cholesterol of cultures, with planted group differences and MSC effects.

All effects are assumptions on the log2 scale; no published data set of aPAP macrophages with MSC exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from helpers.simulate.design import UNDONE_ASSAY, Culture, Design, stream


@dataclass(frozen=True)
class Truth:
    """What is planted for one readout; every effect and SD in log2 units, the median and limit in `unit`."""

    readout: str
    unit: str
    control_median: float
    group_gap: float
    msc_effect_apap: float
    msc_effect_control: float
    gmcsf_effect: float
    lps_effect: float
    donor_sd: float
    change_sd: float
    culture_sd: float
    assay_sd: float
    limit: float


TRUTHS: tuple[Truth, ...] = (
    Truth("OilRedO", "OD per 1e5 cells", 0.20, 1.5, -0.6, -0.1, -0.5, 0.1, 0.5, 0.35, 0.15, 0.08, 0.05),
    Truth("Cholesterol", "ug per 1e6 cells", 6.0, 1.2, -0.4, 0.0, -0.4, 0.1, 0.6, 0.40, 0.20, 0.10, 4.0),
)
PURPOSE = 20


def measurement_rows(design: Design) -> list[dict[str, Any]]:
    """Rows of measurements: two assay wells of every usable culture with macrophages."""
    rows: list[dict[str, Any]] = []
    effects = {
        (donor.number, i): _donor_effects(truth, donor.group, stream(design.seed, donor.number, PURPOSE + i))
        for donor in design.donors
        for i, truth in enumerate(TRUTHS)
    }
    for culture in design.cultures:
        if culture.specimen is None or culture.status != "ok":
            continue
        donor = culture.specimen.donor
        for i, truth in enumerate(TRUTHS):
            if not (donor.number == UNDONE_ASSAY and truth.readout == "OilRedO"):
                rows += _wells(
                    culture, truth, effects[donor.number, i], stream(design.seed, donor.number, _own(culture, i))
                )
    return rows


def _own(culture: Culture, i: int) -> int:
    """A purpose number of the culture's own, so that one lost well changes no other."""
    arm = sum(
        ord(c) * int(31**n)
        for n, c in enumerate(
            f"{culture.condition}{culture.lot}{culture.specimen.specimen_id if culture.specimen else ''}"
        )
    )
    return 1000 + (arm * 10 + culture.replicate) * 10 + i


def _donor_effects(truth: Truth, group: str, rng: np.random.Generator) -> dict[str, float]:
    """Log2 level of each condition for one donor."""
    sick = group == "apap"
    level = np.log2(truth.control_median) + (truth.group_gap if sick else 0) + truth.donor_sd * rng.normal()
    # a paired change has SD change_sd; the stimulus and the positive control vary less between donors
    msc = (truth.msc_effect_apap if sick else truth.msc_effect_control) + truth.change_sd * rng.normal()
    gmcsf = truth.gmcsf_effect + truth.change_sd * rng.normal()
    lps = truth.lps_effect + 0.5 * truth.change_sd * rng.normal()
    return {
        "am": level,
        "am_msc": level + msc,
        "am_lps": level + lps,
        "am_msc_lps": level + lps + msc,
        "am_gmcsf": level + gmcsf,
    }


def _wells(culture: Culture, truth: Truth, effects: dict[str, float], rng: np.random.Generator) -> list[dict[str, Any]]:
    level = effects[culture.condition] + truth.culture_sd * rng.normal()
    rows = []
    for replicate in (1, 2):
        value = 2 ** (level + truth.assay_sd * rng.normal())
        below = value < truth.limit
        rows.append(
            {
                "culture_id": culture.culture_id,
                "readout": truth.readout,
                "replicate": replicate,
                "value": f"{truth.limit if below else value:.4g}",
                "qualifier": "<" if below else "=",
                "unit": truth.unit,
            }
        )
    return rows
