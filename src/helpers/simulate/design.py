"""Who and what the simulated study has: donors, specimens and cultures that every assay's simulator shares.

A donor is drawn from a stream of its own, keyed by its number, so that donor 7 is the same person whatever
the size of the study.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

SEED = 20221207
DISEASE_SHARE = 18 / 26
LOTS = ("M1", "M2")
TIME_H = 24
AM_PER_WELL, MSC_PER_WELL = 100_000, 20_000
DONORS_A_BATCH = 2

CONDITIONS = ("am", "am_msc", "am_lps", "am_msc_lps", "am_gmcsf")
"""Conditions with a donor's macrophages; the control wells of every batch are `CONTROL_WELLS`."""
CONTROL_WELLS = ("msc", "medium")
WITH_MSC = frozenset({"am_msc", "am_msc_lps", "msc"})
WELLS = {"am": 3, "am_msc": 3}
"""Culture wells a condition; two where it is not named."""


@dataclass(frozen=True)
class Planted:
    """The donors that are awkward on purpose, by number, and what the analysis must say of them."""

    number: int
    what: str
    expect: str


PLANTED: tuple[Planted, ...] = (
    Planted(
        2,
        "shunt of 11 %",
        "eligible above 10 %, ineligible above 12 % under all-of; named as changing with the shunt limit",
    ),
    Planted(3, "PaO2 of 66 mmHg", "I3.2 not met: ineligible under all-of, eligible under any-of"),
    Planted(4, "no shunt measured", "I3.4 not assessable: indeterminate under all-of, eligible under any-of"),
    Planted(5, "antibody reported in U/ml", "I3.1b not assessable: indeterminate under every reading"),
    Planted(
        6,
        "PaO2 measured on oxygen only",
        "I3.2 not assessable as registered: indeterminate under all-of; not met where any oxygen counts",
    ),
    Planted(7, "76 years old", "I2 not met: ineligible under every reading"),
    Planted(
        8,
        "ALT three times its limit, AST and bilirubin normal",
        "E8 met where one value excludes, not met where all three must",
    ),
    Planted(9, "asthma and nothing else", "E1 met where one disease excludes, not met where two must"),
    Planted(10, "consent withdrawn after enrolment", "in no analysis; counted in the flow and listed under exclusions"),
    Planted(11, "Oil Red O never measured", "missing in the completeness map, not_measured"),
    Planted(12, "co-culture arm contaminated", "pair missing, reason contaminated"),
    Planted(13, "too few cells for the co-culture arm", "pair missing, no_culture"),
    Planted(14, "blood gas in kPa", "same eligibility as in mmHg"),
    Planted(15, "left and right lung lavaged, one specimen each", "one donor, two specimens"),
    Planted(16, "cultured with both MSC lots", "two lots for one donor"),
    Planted(17, "came twice", "two visits"),
    Planted(
        18,
        "co-culture wells on another cytokine plate than the wells without MSC",
        "named in the warning that arms are on different plates; the other plate's offset is in this donor's change",
    ),
)
"""Numbers are those of donors D01, D02, …; the rest of the donors are drawn plainly."""

UNDONE_ASSAY, CONTAMINATED, FEW_CELLS, TWO_SIDES, BOTH_LOTS, TWO_VISITS, WITHDRAWN = 11, 12, 13, 15, 16, 17, 10
ARMS_APART = 18


@dataclass(frozen=True)
class Donor:
    """A simulated person; group is apap or control."""

    number: int
    group: str

    @property
    def donor_id(self) -> str:
        """D01, D02, …"""
        return f"D{self.number:02d}"


@dataclass(frozen=True)
class Specimen:
    """Cells of a donor from one lavage."""

    specimen_id: str
    donor: Donor
    visit: str
    study_day: int
    side: str


@dataclass(frozen=True)
class Culture:
    """One culture well; without a specimen it is a control well of its batch."""

    culture_id: str
    specimen: Specimen | None
    condition: str
    lot: str
    replicate: int
    batch_day: int
    plate: str
    well: str
    status: str


@dataclass(frozen=True)
class Design:
    """The whole simulated study, as every assay's simulator takes it."""

    seed: int
    donors: tuple[Donor, ...]
    specimens: tuple[Specimen, ...]
    cultures: tuple[Culture, ...]


def stream(seed: int, donor: int, purpose: int) -> np.random.Generator:
    """Random numbers of one donor for one purpose, the same whatever else is simulated."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, donor, purpose))))


def culture_stream(seed: int, culture: Culture, purpose: int) -> np.random.Generator:
    """Random numbers of one culture for one purpose, so that one lost well changes no other.

    A culture is known by what it is (specimen, condition, lot, replicate), not by its place in a batch.
    """
    specimen = culture.specimen
    if specimen is None:
        return stream(seed, 0, purpose + zlib.crc32(culture.culture_id.encode()))
    own = f"{specimen.specimen_id}|{culture.condition}|{culture.lot}|{culture.replicate}"
    return stream(seed, specimen.donor.number, purpose + zlib.crc32(own.encode()))


def plan(donors: int = 26, seed: int = SEED) -> Design:
    """Draw the design of a study.

    Parameters
    ----------
    donors
        Number of donors, at least 1; 18 of 26 have aPAP.
    seed
        Any whole number.

    Examples
    --------
    >>> design = plan()
    >>> len(design.donors), sum(d.group == "apap" for d in design.donors)
    (26, 18)
    """
    if donors < 1:
        raise ValueError("a study has at least one donor")
    diseased = max(1, round(donors * DISEASE_SHARE))
    people = tuple(Donor(n, "apap" if n <= diseased else "control") for n in range(1, donors + 1))
    specimens = tuple(s for person in people for s in _specimens(person))
    return Design(seed, people, specimens, _cultures(people, specimens))


def _specimens(donor: Donor) -> list[Specimen]:
    first = Specimen(
        f"S{donor.number:02d}A",
        donor,
        "V1",
        0,
        "left" if donor.number == TWO_SIDES else "both" if donor.group == "apap" else "segment",
    )
    if donor.group == "apap" and donor.number == TWO_SIDES:
        return [first, Specimen(f"S{donor.number:02d}B", donor, "V1", 0, "right")]
    if donor.group == "apap" and donor.number == TWO_VISITS:
        return [first, Specimen(f"S{donor.number:02d}B", donor, "V2", 168, "both")]
    return [first]


def _cultures(donors: tuple[Donor, ...], specimens: tuple[Specimen, ...]) -> tuple[Culture, ...]:
    cultures: list[Culture] = []
    for start in range(0, len(donors), DONORS_A_BATCH):
        batch = start // DONORS_A_BATCH
        wells = iter(f"{row}{column}" for row in "ABCDEFGH" for column in range(1, 13))
        number = iter(range(1, 97))
        people = donors[start : start + DONORS_A_BATCH]
        rows: list[tuple[Specimen | None, str, str]] = [
            (s, c, lot) for s in specimens if s.donor in people for c, lot in _arms(s)
        ]
        rows += [(None, c, lot) for c in CONTROL_WELLS for lot in (LOTS if c == "msc" else ("",))]
        for specimen, condition, lot in rows:
            for replicate in range(1, WELLS.get(condition, 2) + 1):
                spoiled = specimen is not None and specimen.donor.number == CONTAMINATED and condition == "am_msc"
                cultures.append(
                    Culture(
                        f"B{batch + 1:02d}C{next(number):02d}",
                        specimen,
                        condition,
                        lot,
                        replicate,
                        14 * batch + 7,
                        f"CP{batch + 1:02d}",
                        next(wells),
                        "contaminated" if spoiled else "ok",
                    )
                )
    return tuple(cultures)


def _arms(specimen: Specimen) -> list[tuple[str, str]]:
    donor = specimen.donor
    lots = LOTS if donor.number == BOTH_LOTS else (LOTS[donor.number % 2],)
    arms = []
    for condition in CONDITIONS:
        if condition in WITH_MSC:
            if not (donor.number == FEW_CELLS and condition == "am_msc"):
                arms += [(condition, lot) for lot in lots]
        elif specimen.visit == "V1" or condition == "am":
            arms.append((condition, ""))
    return arms
