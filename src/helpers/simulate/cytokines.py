"""Simulated supernatants: what every culture holds of 30 analytes, with planted gaps, MSC effects and MSC secretion.

All effects are assumptions on the log2 scale; no published data set of aPAP macrophages with MSC exists. Amounts
add in pg/ml: a co-culture holds what its macrophages make, changed by the MSC, and what the MSC make themselves.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from helpers.simulate.design import WITH_MSC, Culture, Design, Donor, culture_stream, stream

PURPOSE, IN_CULTURE, IN_BATCH = 111, 1_000_000, 112
ASSAYED = {"am": (1, 2), "am_msc": (1, 2), "am_lps": (1,), "am_msc_lps": (1,), "msc": (1,), "medium": (1,)}
"""Culture replicates whose supernatant is measured, by condition."""
LOT_STRENGTH = {"M1": 1.0, "M2": 1.3}
"""What an MSC lot secretes, in shares of `Cytokine.msc_secretes`."""
BATCH_SD = 0.15
"""SD of MSC secretion between batches, log2 units."""
LPS_SD = 0.4
"""SD of the change by LPS between donors, log2 units."""


@dataclass(frozen=True)
class Cytokine:
    """What is planted for one analyte; effects and SD in log2 units, amounts in pg/ml.

    Parameters
    ----------
    analyte
        Name in every output.
    xponent, bioplex
        Names in the two instruments' files.
    control_median
        Of supernatants of controls' macrophages without MSC.
    group_gap
        aPAP minus control.
    msc_effect_apap, msc_effect_control
        Change of what the macrophages make, by MSC.
    lps_effect
        Change by LPS.
    msc_secretes
        What MSC of lot M1 add to a well, alone or with macrophages.
    top
        Concentration of the highest standard.
    """

    analyte: str
    xponent: str
    bioplex: str
    control_median: float
    group_gap: float
    msc_effect_apap: float
    msc_effect_control: float
    lps_effect: float
    msc_secretes: float
    top: float
    donor_sd: float = 1.1
    change_sd: float = 0.65
    culture_sd: float = 0.2

    @property
    def is_null(self) -> bool:
        """Whether neither group nor MSC changes anything."""
        return not (self.group_gap or self.msc_effect_apap or self.msc_effect_control or self.msc_secretes)

    def seen_effect(self, group: str) -> float:
        """Mean log2 change by MSC that a measurement sees: that of the macrophages, and what MSC add in pg/ml.

        The mean over donors (level and change normal on the log2 scale) and over the two lots, by Gauss–Hermite
        quadrature.

        Examples
        --------
        >>> Cytokine("x", "x", "x", 10, 0, -0.5, 0, 0, 0, 1000).seen_effect("apap")
        -0.5
        """
        sick = group == "apap"
        own = self.msc_effect_apap if sick else self.msc_effect_control
        if not self.msc_secretes:
            return own
        nodes, weights = np.polynomial.hermite_e.hermegauss(24)
        level = np.log2(self.control_median) + (self.group_gap if sick else 0) + self.donor_sd * nodes[:, None]
        made = 2 ** (level + own + self.change_sd * nodes)
        added = [np.log2(made + self.msc_secretes * share) - level for share in LOT_STRENGTH.values()]
        return float(weights @ np.mean(added, axis=0) @ weights / weights.sum() ** 2)


CYTOKINES: tuple[Cytokine, ...] = (
    #        analyte,   xPONENT,     Bio-Plex,    median,  gap, MSC aPAP, MSC control, LPS, MSC secrete, top standard
    Cytokine("IL-1b", "IL-1b", "IL-1b", 25, 0.3, -0.5, -0.1, 3.0, 0, 3200),
    Cytokine("IL-1Ra", "IL-1RA", "IL-1ra", 600, 0, 0.6, 0.3, 1.0, 0, 48000),
    Cytokine("IL-2", "IL-2", "IL-2", 12, 0, 0, 0, 0, 0, 900),
    Cytokine("IL-4", "IL-4", "IL-4", 0.06, 0, 0, 0, 0, 0, 600),
    Cytokine("IL-5", "IL-5", "IL-5", 9, 0, 0, 0, 0, 0, 700),
    Cytokine("IL-6", "IL-6", "IL-6", 60, 0.5, 0, 0, 3.0, 35, 9600),
    Cytokine("IL-7", "IL-7", "IL-7", 0.75, 0, 0, 0, 0, 0, 1600),
    Cytokine("IL-8", "CXCL8", "IL-8", 400, 0.8, -0.5, -0.2, 2.0, 20, 24000),
    Cytokine("IL-9", "IL-9", "IL-9", 15, 0, 0, 0, 0, 0, 1200),
    Cytokine("IL-10", "IL-10", "IL-10", 30, -0.3, 0.7, 0.2, 2.0, 0, 4800),
    Cytokine("IL-12p70", "IL-12p70", "IL-12 (p70)", 2.8, 0, -0.4, -0.2, 1.0, 0, 2400),
    Cytokine("IL-13", "IL-13", "IL-13", 12, 0, 0, 0, 0, 0, 800),
    Cytokine("IL-15", "IL-15", "IL-15", 24, 0, 0, 0, 0.5, 0, 1600),
    Cytokine("IL-17A", "IL-17A", "IL-17", 14, 0, 0, 0, 0, 0, 1200),
    Cytokine("Eotaxin", "CCL11", "Eotaxin", 25, 0, 0, 0, 0, 0, 2000),
    Cytokine("FGF-2", "FGF-2", "FGF basic", 30, 0, 0, 0, 0, 0, 2400),
    Cytokine("G-CSF", "G-CSF", "G-CSF", 60, 0.2, -0.3, 0, 2.5, 0, 9600),
    Cytokine("GM-CSF", "GM-CSF", "GM-CSF", 0.08, 0, 0, 0.3, 1.0, 0, 900),
    Cytokine("IFN-g", "IFN-g", "IFN-gamma", 0.12, 0, 0, 0, 0, 0, 1200),
    Cytokine("IP-10", "IP-10", "IP-10", 120, 0.3, -0.4, 0, 2.0, 0, 14400),
    Cytokine("MCP-1", "CCL2", "MCP-1 (MCAF)", 150, 1.5, -0.8, -0.6, 1.0, 40, 9600),
    Cytokine("M-CSF", "M-CSF", "M-CSF", 40, 1.0, -0.3, 0, 0.5, 0, 4800),
    Cytokine("MIP-1a", "MIP-1a", "MIP-1a", 80, 0.3, -0.4, 0, 3.0, 0, 14400),
    Cytokine("MIP-1b", "MIP-1b", "MIP-1b", 90, 0.3, -0.4, 0, 3.0, 0, 13800),
    Cytokine("PDGF-BB", "PDGF-BB", "PDGF-bb", 35, 0, 0, 0, 0, 0, 2800),
    Cytokine("RANTES", "RANTES", "RANTES", 70, 0.3, -0.4, 0, 2.0, 0, 9600),
    Cytokine("TNF-a", "TNF-a", "TNF-alpha", 40, -0.5, -0.8, -0.2, 3.5, 0, 9600),
    Cytokine("VEGF", "VEGF", "VEGF", 50, 0, 0, 0, 0.5, 38, 6400),
    Cytokine("TGF-b1", "TGF-b1", "TGF-b1", 200, 0, 0, 0, 0.3, 150, 24000),
    Cytokine("CCL18", "CCL18", "CCL18 (PARC)", 900, 1.5, -0.4, 0, 0, 0, 3200),
)


def supernatants(design: Design) -> dict[str, np.ndarray]:
    """Concentrations in pg/ml of `CYTOKINES` in every culture whose supernatant is measured, by culture_id."""
    donors = {donor.number: _levels(donor, design.seed) for donor in design.donors}
    return {
        c.culture_id: _supernatant(c, design.seed, donors)
        for c in design.cultures
        if c.status == "ok" and c.replicate in ASSAYED.get(c.condition, ())
    }


def _column(name: str) -> np.ndarray:
    return np.array([getattr(one, name) for one in CYTOKINES], dtype=np.float64)


def _levels(donor: Donor, seed: int) -> dict[str, np.ndarray]:
    """Log2 level of what the macrophages of one donor make, by condition."""
    sick = donor.group == "apap"
    level, change, by_lps = stream(seed, donor.number, PURPOSE).normal(size=(3, len(CYTOKINES)))
    am = np.log2(_column("control_median")) + sick * _column("group_gap") + _column("donor_sd") * level
    msc = _column("msc_effect_apap" if sick else "msc_effect_control") + _column("change_sd") * change
    lps = _column("lps_effect") + LPS_SD * by_lps * (_column("lps_effect") > 0)
    return {"am": am, "am_msc": am + msc, "am_lps": am + lps, "am_msc_lps": am + lps + msc}


def _supernatant(culture: Culture, seed: int, donors: Mapping[int, Mapping[str, np.ndarray]]) -> np.ndarray:
    amount = np.zeros(len(CYTOKINES))
    if culture.specimen is not None:
        amount += 2 ** donors[culture.specimen.donor.number][culture.condition]
    if culture.condition in WITH_MSC:
        batch = zlib.crc32(f"{culture.batch_day}|{culture.lot}".encode())
        noise = 2 ** (BATCH_SD * stream(seed, 0, IN_BATCH + batch).normal(size=len(CYTOKINES)))
        amount += _column("msc_secretes") * LOT_STRENGTH[culture.lot] * noise
    own = culture_stream(seed, culture, IN_CULTURE).normal(size=len(CYTOKINES))
    return np.asarray(amount * 2 ** (_column("culture_sd") * own))
