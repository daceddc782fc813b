"""Simulated uptake: bead FCS files with their controls, zymosan followed over time, E. coli over doses of MSC.

All numbers are assumptions; no published FCS file of bead uptake by human alveolar macrophages exists.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.simulate.design import AM_PER_WELL, LOTS, TIME_H, Culture, Design, Donor, stream

Events = NDArray[np.uint16]

PURPOSE = 7_000_000
LABEL, PARTICLE_LOT, MINUTES, DOSE = "YG", "BD01", 60, 10
CELLS, MSC_EVENTS, DEBRIS = 1_150, 240, 60
COLD_SHARE = 0.04
"""Macrophages to which one bead sticks at 4 °C; it sticks at 37 °C too."""
BEAD, BEAD_SD, AUTOFLUORESCENCE_SD = 1_000.0, 110.0, 60.0
AUTOFLUORESCENCE = {"apap": 600.0, "control": 400.0}
MSC_BRIGHTER = 1.01
DONOR_SD, CHANGE_SD, BEADS_SD = 0.45, 0.15, 0.10
"""SD of a donor's uptake and of its change (logit units), and of log beads per cell with uptake."""
MORE_BEADS = {"apap": 0.9, "control": 1.4}
"""Mean beads beyond the first, in a cell with uptake."""
UPTAKE = {"apap": -0.4, "control": 0.4}
"""Logit of the share of macrophages that take up beads without MSC, at the median donor."""
MSC_EFFECT = {"apap": 0.6, "control": 0.2}
"""Change of that logit by MSC."""

NO_BLANK, NO_COLD, FEW_EVENTS, DEBRIS_OF_MSC = 6, 8, 20, 9
"""Donors without a no-particle file of the co-culture, without 4 °C files, with few events, with MSC debris in cells."""
SERIES_DONORS = (1, 3, 4, 19, 21, 22)
SERIES_MINUTES = (0, 15, 30, 60, 90, 120)
SERIES_CELLS = 800
PLATEAU = {"apap": 45.0, "control": 65.0}
PLATEAU_WITH_MSC = 12.0
RATE_A_MINUTE, SERIES_COLD = 0.03, 2.0
DOSE_DONORS = (1, 3, 4, 5)
DOSES = {"am_msc_low": 0.05, "am_msc": 0.2, "am_msc_high": 1.0}
"""MSC per macrophage of the conditions of the dose series."""
DOSE_START, DOSE_STEP, DOSE_SLOPE = -0.6, 0.3, 0.2
"""Logit of uptake without MSC, its change from none to the lowest dose, and its change a doubling of the dose."""

GATES = """\
<?xml version="1.0" encoding="UTF-8"?>
<gating:Gating-ML xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating"
    xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes">
  <gating:RectangleGate gating:id="AM">
    <gating:dimension gating:min="8000" gating:compensation-ref="uncompensated">
      <data-type:fcs-dimension data-type:name="FSC-A"/>
    </gating:dimension>
    <gating:dimension gating:max="2000" gating:compensation-ref="uncompensated">
      <data-type:fcs-dimension data-type:name="APC-A"/>
    </gating:dimension>
  </gating:RectangleGate>
</gating:Gating-ML>
"""


@dataclass(frozen=True)
class DoseCulture:
    """A culture of the dose series that no other assay measures."""

    culture_id: str
    like: Culture
    condition: str

    @property
    def ratio(self) -> float:
        """MSC per macrophage."""
        return DOSES[self.condition]


def phagocytosis_tables(design: Design) -> dict[str, list[dict[str, Any]]]:
    """The table phagocytosis/wells."""
    flow = [_flow_row(design, c, kind) for c in _measured(design) for kind in _kinds(c)]
    return {"phagocytosis/wells": [*flow, *_series_rows(design), *_dose_rows(design)]}


def phagocytosis_files(design: Design) -> dict[str, bytes]:
    """FCS files and the gate file of phagocytosis/raw, by name."""
    out = {_name(c, kind): _fcs(_events(design, c, kind)) for c in _measured(design) for kind in _kinds(c)}
    return out | ({"gates.xml": GATES.encode()} if out else {})


def dose_cultures(design: Design) -> list[dict[str, Any]]:
    """Rows of cultures of the dose series; they come after all others and change none."""
    return [
        {
            "culture_id": one.culture_id,
            "specimen_id": one.like.specimen.specimen_id if one.like.specimen else "",
            "condition": one.condition,
            "msc_lot_id": LOTS[_donor(one.like).number % 2],
            "timepoint_h": TIME_H,
            "replicate": 1,
            "am_per_well": AM_PER_WELL,
            "msc_per_well": round(one.ratio * AM_PER_WELL),
            "volume_ul": 500,
            "batch_day": one.like.batch_day,
            "operator_code": "OP1",
            "plate_label": one.like.plate.replace("CP", "DP"),
            "well": f"{'AB'[_donor(one.like).number % 2]}{i}",
            "status": "ok",
        }
        for start in _first_cultures(design, DOSE_DONORS, "am")
        for i, one in enumerate(_doses(start), 1)
    ]


# ---- who is measured


def _donor(culture: Culture) -> Donor:
    assert culture.specimen is not None
    return culture.specimen.donor


def _measured(design: Design) -> list[Culture]:
    """The first well of am and am_msc of each donor's first specimen, its first MSC lot."""
    return [c for condition in ("am", "am_msc") for c in _first_cultures(design, (), condition)]


def _first_cultures(design: Design, donors: tuple[int, ...], condition: str) -> list[Culture]:
    first: dict[int, Culture] = {}
    for culture in design.cultures:
        if culture.specimen and culture.condition == condition and culture.status == "ok" and culture.replicate == 1:
            first.setdefault(culture.specimen.donor.number, culture)
    return [c for n, c in first.items() if not donors or n in donors]


def _kinds(culture: Culture) -> list[str]:
    number = _donor(culture).number
    kinds = ["blank", "warm", "cold"]
    if number == NO_BLANK and culture.condition == "am_msc":
        kinds.remove("blank")
    if number == NO_COLD:
        kinds.remove("cold")
    return kinds


def _name(culture: Culture, kind: str) -> str:
    return f"{culture.culture_id}_{kind}.fcs"


# ---- beads


def uptake_of(design: Design, donor: Donor, condition: str) -> tuple[float, float]:
    """Share of a donor's macrophages that take up beads at 37 °C, and mean beads of such a cell.

    Parameters
    ----------
    design
        The study.
    donor
        Whose cells.
    condition
        am or am_msc.
    """
    rng = stream(design.seed, donor.number, PURPOSE)
    level, change, beads = rng.normal(size=3)
    logit = UPTAKE[donor.group] + DONOR_SD * level
    if condition == "am_msc":
        logit += MSC_EFFECT[donor.group] + CHANGE_SD * change
    return 1 / (1 + math.exp(-logit)), 1 + MORE_BEADS[donor.group] * math.exp(BEADS_SD * beads)


def _beads(design: Design, culture: Culture, kind: str, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if kind == "blank":
        return np.zeros(n, dtype=np.int64)
    stuck = (rng.random(n) < COLD_SHARE).astype(np.int64)
    share, mean = uptake_of(design, _donor(culture), culture.condition)
    eaten = np.where(rng.random(n) < share, 1 + rng.poisson(mean - 1, n), 0)
    return stuck if kind == "cold" else stuck + eaten


def beads_per_cell(design: Design, culture: Culture, kind: str) -> float:
    """Mean beads over the macrophages of one file, as drawn."""
    return float(_drawn(design, culture, kind)[1].mean())


def _drawn(design: Design, culture: Culture, kind: str) -> tuple[np.random.Generator, NDArray[np.int64]]:
    own = f"{culture.specimen and culture.specimen.specimen_id}|{culture.condition}|{kind}"
    donor = _donor(culture)
    rng = stream(design.seed, donor.number, PURPOSE + 1 + zlib.crc32(own.encode()))
    n = 240 if donor.number == FEW_EVENTS and kind == "warm" else CELLS
    return rng, _beads(design, culture, kind, n, rng)


def _events(design: Design, culture: Culture, kind: str) -> Events:
    """Forward scatter, bead channel and CD90 of macrophages, MSC and debris, in an order of chance."""
    rng, beads = _drawn(design, culture, kind)
    donor, n = _donor(culture), len(beads)
    own = stream(design.seed, donor.number, PURPOSE + 2).normal()
    centre = AUTOFLUORESCENCE[donor.group] * math.exp(0.12 * own)
    centre *= MSC_BRIGHTER if culture.condition == "am_msc" else 1.0
    light = centre + BEAD * beads + rng.normal(size=n) * np.sqrt(AUTOFLUORESCENCE_SD**2 + beads * BEAD_SD**2)
    if donor.number == DEBRIS_OF_MSC and culture.condition == "am_msc":
        light += np.where(rng.random(n) < 0.15, rng.uniform(200, 500, n), 0.0)
    am = np.column_stack([rng.normal(20_000, 3_000, n), light, rng.normal(400, 120, n)])
    extra = MSC_EVENTS if culture.condition == "am_msc" else 0
    msc = np.column_stack(
        [rng.normal(26_000, 4_000, extra), rng.normal(900, 150, extra), rng.normal(9_000, 1_500, extra)]
    )
    small = np.column_stack([rng.normal(3_000, 800, DEBRIS), rng.normal(250, 80, DEBRIS), rng.normal(300, 100, DEBRIS)])
    events = np.vstack([am, msc, small])
    mixed: Events = np.clip(np.rint(events[rng.permutation(len(events))]), 0, 65_535).astype(np.uint16)
    return mixed


def _fcs(events: Events) -> bytes:
    """An FCS 3.1 file of 16-bit integers with three channels."""
    data = events.astype("<u2").tobytes()
    words = {"BEGINANALYSIS": "0", "ENDANALYSIS": "0", "BEGINSTEXT": "0", "ENDSTEXT": "0", "BYTEORD": "1,2,3,4"}
    words |= {"DATATYPE": "I", "MODE": "L", "NEXTDATA": "0", "PAR": "3", "TOT": str(len(events)), "CYT": "simulated"}
    for i, (name, marker) in enumerate((("FSC-A", ""), ("FITC-A", LABEL), ("APC-A", "CD90")), 1):
        words |= {f"P{i}N": name, f"P{i}B": "16", f"P{i}R": "65536", f"P{i}E": "0,0"}
        words |= {f"P{i}S": marker} if marker else {}
    begin = 58 + len(_text(words | {"BEGINDATA": "0" * 8, "ENDDATA": "0" * 8}))
    text = _text(words | {"BEGINDATA": f"{begin:08d}", "ENDDATA": f"{begin + len(data) - 1:08d}"})
    offsets = (58, begin - 1, begin, begin + len(data) - 1, 0, 0)
    return b"FCS3.1    " + b"".join(b"%8d" % o for o in offsets) + text + data + struct.pack("8s", b"0" * 8)


def _text(words: dict[str, str]) -> bytes:
    return ("/" + "".join(f"${name}/{value}/" for name, value in words.items())).encode("ascii")


def _flow_row(design: Design, culture: Culture, kind: str) -> dict[str, Any]:
    return _row(f"{culture.culture_id}-{kind}", culture.culture_id, culture.condition) | {
        "target": "bead",
        "label": LABEL,
        "particle_lot": PARTICLE_LOT,
        "particles_per_cell": 0 if kind == "blank" else DOSE,
        "minutes": MINUTES,
        "temperature_c": 4 if kind == "cold" else 37,
        "method": "flow",
        "file": _name(culture, kind),
    }


def _row(phago_id: str, culture_id: str, condition: str) -> dict[str, Any]:
    with_msc = "yes" if condition.startswith("am_msc") else "no"
    return {
        "phago_id": phago_id,
        "culture_id": culture_id,
        "per": "macrophage",
        "msc_present": with_msc,
        "quench": "wash",
    }


# ---- zymosan over time


def plateau_of(design: Design, donor: Donor, condition: str) -> float:
    """Percent of a donor's macrophages that hold zymosan in the end."""
    level = float(stream(design.seed, donor.number, PURPOSE + 3).normal())
    with_msc = PLATEAU_WITH_MSC if condition == "am_msc" else 0.0
    return PLATEAU[donor.group] + 4 * level + with_msc


def _series_rows(design: Design) -> list[dict[str, Any]]:
    rows = []
    for condition in ("am", "am_msc"):
        for culture in _first_cultures(design, SERIES_DONORS, condition):
            rng = _own_stream(design, culture, "zymosan")
            top = plateau_of(design, _donor(culture), condition)
            for minutes in SERIES_MINUTES:
                for cold in (False, True):
                    pct = SERIES_COLD + (0 if cold else top * -math.expm1(-RATE_A_MINUTE * minutes))
                    row = _row(f"{culture.culture_id}-z{minutes}{'c' if cold else ''}", culture.culture_id, condition)
                    rows.append(row | _counts("zymosan", minutes, cold, pct, SERIES_CELLS, 1.6, rng))
    return rows


def _own_stream(design: Design, culture: Culture, what: str) -> np.random.Generator:
    own = f"{culture.specimen and culture.specimen.specimen_id}|{culture.condition}|{what}"
    return stream(design.seed, _donor(culture).number, PURPOSE + 4 + zlib.crc32(own.encode()))


def _counts(
    target: str, minutes: int, cold: bool, pct: float, cells: int, each: float, rng: np.random.Generator
) -> dict[str, Any]:
    n = int(rng.poisson(cells))
    k = int(rng.binomial(n, min(pct, 99.0) / 100))
    return {
        "target": target,
        "label": "FITC" if target == "zymosan" else "pHrodo",
        "particle_lot": f"{target[:2].upper()}01",
        "particles_per_cell": DOSE,
        "minutes": minutes,
        "temperature_c": 4 if cold else 37,
        "method": "counts",
        "n_cells": n,
        "n_positive": k,
        "particles_total": k + int(rng.poisson(k * (each - 1))),
    }


# ---- E. coli over doses of MSC


def _doses(start: Culture) -> list[DoseCulture]:
    """New cultures of a donor's dose series; the dose that everyone has is taken from the main design."""
    batch = start.culture_id.partition("C")[0]
    number = _donor(start).number
    new = [c for c in DOSES if c != "am_msc"]
    return [DoseCulture(f"{batch}X{number:02d}{i}", start, c) for i, c in enumerate(new, 1)]


def dose_logit(design: Design, donor: Donor, ratio: float) -> float:
    """Logit of the share of a donor's macrophages with E. coli at one dose of MSC."""
    level, slope = map(float, stream(design.seed, donor.number, PURPOSE + 5).normal(size=2))
    start = DOSE_START + 0.3 * level
    if not ratio:
        return start
    return start + DOSE_STEP + (DOSE_SLOPE + 0.02 * slope) * math.log2(ratio / min(DOSES.values()))


def _dose_rows(design: Design) -> list[dict[str, Any]]:
    rows = []
    with_msc = {_donor(c).number: c for c in _first_cultures(design, DOSE_DONORS, "am_msc")}
    for start in _first_cultures(design, DOSE_DONORS, "am"):
        donor = _donor(start)
        arms = [(start.culture_id, "am", 0.0), *((d.culture_id, d.condition, d.ratio) for d in _doses(start))]
        if donor.number in with_msc:
            arms.append((with_msc[donor.number].culture_id, "am_msc", DOSES["am_msc"]))
        rng = _own_stream(design, start, "doses")
        for culture_id, condition, ratio in arms:
            taken = 100 / (1 + math.exp(-dose_logit(design, donor, ratio)))
            for cold in (False, True):
                row = _row(f"{culture_id}-e{'c' if cold else ''}", culture_id, condition)
                rows.append(row | _counts("ecoli", MINUTES, cold, 1.0 + (0 if cold else taken), 2_000, 2.2, rng))
    return rows


# ---- docs/demo.md


def phagocytosis_conditions() -> str:
    """Lines of study.yaml for the conditions that only the dose series has."""
    return "\n".join(
        f"  - {{code: {code}, label: 'AM + MSC {ratio:g}:1', cells: am_msc, format: direct, msc_am_ratio: {ratio:g}, "
        "role: treatment, compare_to: am}"
        for code, ratio in DOSES.items()
        if code != "am_msc"
    )


def phagocytosis_readouts() -> str:
    """Lines of study.yaml for the readouts that were named beforehand."""
    return "\n".join(
        f"  - {{name: '{name}', assay: phagocytosis, unit: {unit}, scale: {scale}, direction_toward_health: up,\n"
        f"     direction_source: 'Carey and Trapnell 2010, impaired host defence in aPAP', role: {role}}}"
        for name, unit, scale, role in _PLANNED
    )


_PLANNED = (
    ("bead|net_pct_phagocytic", "points", "identity", "primary"),
    ("bead|pct_phagocytic", "'%'", "logit", "secondary"),
    ("bead|index_mean", "particles per cell", "log2", "secondary"),
    ("zymosan|plateau", "'%'", "identity", "secondary"),
)


def phagocytosis_sections() -> str:
    """The sections of docs/demo.md on uptake, as Markdown.

    Examples
    --------
    >>> phagocytosis_sections().splitlines()[0]
    '## Phagocytosis'
    """
    lines = "\n".join(
        f"| {group} | {100 / (1 + math.exp(-UPTAKE[group])):.0f} % | {MSC_EFFECT[group]:+g} | {1 + MORE_BEADS[group]:g} "
        f"| {AUTOFLUORESCENCE[group]:g} | {PLATEAU[group]:g} % |"
        for group in ("apap", "control")
    )
    awkward = "\n".join(f"| D{n:02d} | {what} | {expect} |" for n, what, expect in _AWKWARD)
    series, doses = (", ".join(f"D{n:02d}" for n in who) for who in (SERIES_DONORS, DOSE_DONORS))
    return f"""\
## Phagocytosis

Beads by flow cytometry, {MINUTES} minutes, well 1 of am and am_msc: without particles, at 37 °C and at 4 °C, {CELLS} macrophages
a file, with debris, and in co-culture {MSC_EVENTS} MSC (CD90 bright), which phagocytosis/raw/gates.xml gates out. One bead shines
{BEAD:g} ± {BEAD_SD:g}, cells without beads ± {AUTOFLUORESCENCE_SD:g}: peaks stand apart. At 4 °C one bead sticks to {COLD_SHARE:.0%} of cells, and at 37 °C too.
A cell with uptake holds one bead and a Poisson number more. SD of donors {DONOR_SD:g}, of their change {CHANGE_SD:g} (logit units).
Autofluorescence rises by {MSC_BRIGHTER - 1:.0%} with MSC.

| group | macrophages with uptake, without MSC | MSC, logit units | beads in such a cell | autofluorescence | zymosan, plateau |
|---|---|---|---|---|---|
{lines}

Zymosan by counting at {", ".join(map(str, SERIES_MINUTES))} minutes in {series}: percent = {SERIES_COLD:g} + plateau · (1 − exp(−{RATE_A_MINUTE:g} · minutes)),
of which {SERIES_COLD:g} stick at 4 °C; MSC raise the plateau by {PLATEAU_WITH_MSC:g} points. E. coli by counting in {doses} at {", ".join(f"{r:g}" for r in DOSES.values())} MSC per
macrophage and none: logit {DOSE_STEP:+g} from none to the lowest dose and {DOSE_SLOPE:+g} a doubling.

| donor | what | what the analysis must say |
|---|---|---|
{awkward}
"""


_AWKWARD = (
    (NO_BLANK, "no file without particles in co-culture", "the 4 °C file sets the threshold, nothing is subtracted"),
    (NO_COLD, "no files at 4 °C", "no net uptake"),
    (
        DEBRIS_OF_MSC,
        "15 % of macrophages in co-culture hold debris of MSC that shines in the bead channel",
        "named in the warning on signal that MSC bring; msc_signal on the wells",
    ),
    (FEW_EVENTS, "240 macrophages in the 37 °C files", "few_cells and outlying_count; shown and kept"),
)
