"""Simulated flow cytometry: macrophages with autofluorescence, stained and control tubes, as real FCS 3.1 files.

A detector sees every dye through the spillover matrix, the cell's own light and electronic noise. Macrophages of
aPAP donors are larger, more granular and brighter by themselves. All effects are assumptions on the log2 scale.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from helpers.simulate.design import Culture, Design, Donor, culture_stream, stream

PANEL, GATE_VERSION = "P1", "1"
FOLDER = "phenotype/fcs"
SCATTER = ("FSC-A", "FSC-H", "SSC-A")
VOLTS = {"FSC-A": 320, "FSC-H": 320, "SSC-A": 240}
TOP = 262_144
STAINED_EVENTS, CONTROL_EVENTS = 1_600, 900
RUNS = 4
"""Acquisition days; donors of both groups share each of them."""
PURPOSE, TUBE = 40, {"stained": 41_000, "fmo": 42_000, "unstained": 43_000}
CELL_SD, GLOW_SD = 0.55, 0.45
"""SD of the natural logarithm between cells: of a dye, of the cell's own light."""
DONOR_SD, CHANGE_SD, GLOW_DONOR_SD = 0.45, 0.3, 0.3
"""SD in log2 units between donors: of a marker's level, of its change by MSC, of the cells' own light."""
GLOW_GAP, GLOW_MSC_APAP = 1.0, -0.3
"""Autofluorescence of macrophages in log2 units: aPAP minus controls, and its change by MSC in aPAP."""
LYMPHOCYTES, DEBRIS, DOUBLETS, DEAD, MSC_SHARE = 0.12, 0.08, 0.04, {"apap": 0.14, "control": 0.07}, 0.12
"""Shares of events; the rest are living single macrophages."""
GRANULAR_GAP = 0.75
"""Side scatter of macrophages in log2 units, aPAP minus controls: the scatter gate cuts the foamiest."""

LONE_ARM, NO_TUBE, FEW_EVENTS, CLOGGED, OTHER_SCATTER, OWN_GATE = 8, 7, 9, 11, 13, 6
"""Donors by number: control tube for the arm without MSC only; no control tube; hardly any cells; a clog while the
co-culture was acquired; side scatter at another voltage; a scatter gate of its own."""


@dataclass(frozen=True)
class Marker:
    """One detector: its marker, glow of control macrophages, dye on macrophages and on lymphocytes, planted effects.

    Levels are medians in FCS scale values, effects are log2 units.
    """

    name: str
    channel: str
    fluorochrome: str
    glow: float
    level: float
    on_lymphocytes: float
    group_gap: float = 0.0
    msc_effect_apap: float = 0.0
    msc_effect_control: float = 0.0
    volts: int = 450


MARKERS: tuple[Marker, ...] = (
    Marker("CD80", "FITC-A", "FITC", 700, 250, 40, 0.0, 0.0, 0.0, 470),
    Marker("CD206", "PE-A", "PE", 450, 4200, 20, -0.8, 0.6, 0.1, 455),
    Marker("CD163", "PE-CF594-A", "PE-CF594", 400, 1600, 20, 0.3, 0.5, 0.2, 480),
    Marker("CD86", "PerCP-Cy5-5-A", "PerCP-Cy5.5", 260, 1100, 120, 0.5, -0.5, -0.1, 510),
    Marker("CD169", "APC-A", "APC", 90, 5200, 30, 0.0, 0.0, 0.0, 500),
    Marker("Viability", "APC-Cy7-A", "eFluor 780", 70, 9000, 9000, 0.0, 0.0, 0.0, 520),
    Marker("HLA-DR", "BV421-A", "BV421", 500, 14000, 2500, -0.4, 0.0, 0.0, 400),
    Marker("CD45", "BV510-A", "BV510", 600, 6500, 9000, 0.0, 0.0, 0.0, 430),
)
BACKBONE = ("CD169", "Viability", "CD45")
"""What an FMO tube of this study keeps: all other markers are left out of one tube, since cells are scarce."""
SPILLOVER = {
    ("FITC-A", "PE-A"): 0.12,
    ("FITC-A", "PE-CF594-A"): 0.03,
    ("FITC-A", "BV510-A"): 0.02,
    ("PE-A", "FITC-A"): 0.01,
    ("PE-A", "PE-CF594-A"): 0.28,
    ("PE-A", "PerCP-Cy5-5-A"): 0.09,
    ("PE-CF594-A", "PE-A"): 0.15,
    ("PE-CF594-A", "PerCP-Cy5-5-A"): 0.22,
    ("PE-CF594-A", "APC-A"): 0.04,
    ("PerCP-Cy5-5-A", "APC-A"): 0.06,
    ("PerCP-Cy5-5-A", "APC-Cy7-A"): 0.05,
    ("APC-A", "APC-Cy7-A"): 0.10,
    ("APC-Cy7-A", "APC-A"): 0.04,
    ("BV421-A", "BV510-A"): 0.14,
    ("BV510-A", "BV421-A"): 0.05,
    ("BV510-A", "FITC-A"): 0.03,
}
GATES: tuple[tuple[str, str, str, str, str, str, str], ...] = (
    #  population, override_for, parent, kind, channels, edges, reason
    ("Cells", "", "", "polygon", "FSC-A;SSC-A", "45000;5000;250000;5000;250000;190000;150000;190000;45000;80000", ""),
    ("Singlets", "", "Cells", "singlets", "FSC-A;FSC-H", "", ""),
    ("Live", "", "Singlets", "rectangle", "Viability", ";1800", ""),
    ("CD45+", "", "Live", "rectangle", "CD45", "1800;", ""),
    ("AM", "", "CD45+", "rectangle", "CD169", "700;", ""),
)
OWN_CELLS = "45000;5000;262000;5000;262000;262000;45000;262000"


@dataclass(frozen=True)
class TubePlan:
    """One tube: whose cells, what is in it, how many events are acquired."""

    culture: Culture
    role: str
    events: int

    @property
    def donor(self) -> Donor:
        """Whose cells."""
        assert self.culture.specimen is not None, "tubes hold donors' cells"
        return self.culture.specimen.donor

    @property
    def file(self) -> str:
        """Name in phenotype/fcs."""
        return f"{self.culture.culture_id}_{self.role}.fcs"

    @property
    def missing(self) -> tuple[str, ...]:
        """Markers left out of an FMO tube."""
        return tuple(m.name for m in MARKERS if m.name not in BACKBONE) if self.role == "fmo" else ()


def tube_plans(design: Design) -> list[TubePlan]:
    """Tubes of the first culture well of AM with and without MSC: one stained, one control.

    Half of the donors have an FMO tube with the backbone alone, the others an unstained one.

    Examples
    --------
    >>> from helpers.simulate.design import plan
    >>> [t.role for t in tube_plans(plan(1))]
    ['stained', 'fmo', 'stained', 'fmo']
    """
    out = []
    for culture in design.cultures:
        one = culture.condition in ("am", "am_msc") and culture.replicate == 1 and culture.status == "ok"
        if culture.specimen is None or not one:
            continue
        number = culture.specimen.donor.number
        out.append(TubePlan(culture, "stained", 150 if number == FEW_EVENTS else STAINED_EVENTS))
        lone = number == LONE_ARM and culture.condition == "am_msc"
        if number != NO_TUBE and not lone:
            out.append(TubePlan(culture, "fmo" if number // RUNS % 2 == 0 else "unstained", CONTROL_EVENTS))
    return out


def phenotype_tables(design: Design) -> dict[str, list[dict[str, Any]]]:
    """Rows of phenotype/samples, panels and gates."""
    last = max((c.batch_day for c in design.cultures), default=0)
    samples = [
        {
            "fcs_file": tube.file,
            "culture_id": tube.culture.culture_id,
            "panel_id": PANEL,
            "tube_role": tube.role,
            "missing_marker": ";".join(tube.missing),
            "run_day": last + 14 + 7 * (tube.donor.number % RUNS),
        }
        for tube in tube_plans(design)
    ]
    panels = [
        {
            "panel_id": PANEL,
            "channel": m.channel,
            "marker": m.name,
            "fluorochrome": m.fluorochrome,
            "clone": "simulated",
        }
        for m in MARKERS
    ]
    columns = ("population", "override_for", "parent", "kind", "channels", "edges", "reason")
    rows = list(GATES)
    if any(d.number == OWN_GATE for d in design.donors):
        reason = "Foamy macrophages beyond the common scatter gate, seen before unblinding."
        rows.append(("Cells", f"D{OWN_GATE:02d}", "", "polygon", "FSC-A;SSC-A", OWN_CELLS, reason))
    gates = [{"gate_set": PANEL, **dict(zip(columns, row, strict=True)), "version": GATE_VERSION} for row in rows]
    return {"phenotype/samples": samples, "phenotype/panels": panels, "phenotype/gates": gates}


def phenotype_files(design: Design) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every FCS file, one at a time."""
    levels = {d.number: _levels(d, design.seed) for d in design.donors}
    for tube in tube_plans(design):
        events = _events(tube, design.seed, levels[tube.donor.number])
        volts = {**VOLTS, **{m.channel: m.volts for m in MARKERS}}
        if tube.donor.number == OTHER_SCATTER:
            volts["SSC-A"] += 15
        yield tube.file, fcs_bytes(events, volts)


@dataclass(frozen=True)
class _Levels:
    """Of one donor: log2 level of each dye on macrophages without and with MSC, and of the cells' own light."""

    am: np.ndarray
    am_msc: np.ndarray
    glow: dict[str, float]


def _levels(donor: Donor, seed: int) -> _Levels:
    rng, sick = stream(seed, donor.number, PURPOSE), donor.group == "apap"
    varied = np.array([m.name not in BACKBONE for m in MARKERS])
    gap = np.array([m.group_gap for m in MARKERS]) * sick
    change = np.array([m.msc_effect_apap if sick else m.msc_effect_control for m in MARKERS])
    am = np.log2([m.level for m in MARKERS]) + gap + DONOR_SD * rng.normal(size=len(MARKERS)) * varied
    msc = am + change + CHANGE_SD * rng.normal(size=len(MARKERS)) * varied
    glow = GLOW_GAP * sick + GLOW_DONOR_SD * float(rng.normal())
    return _Levels(am, msc, {"am": glow, "am_msc": glow + GLOW_MSC_APAP * sick})


def _kinds(tube: TubePlan, rng: np.random.Generator) -> np.ndarray:
    """What each event is: 0 macrophage, 1 lymphocyte, 2 debris, 3 doublet, 4 dead macrophage, 5 MSC."""
    shares = [0.0, LYMPHOCYTES, DEBRIS, DOUBLETS, DEAD[tube.donor.group], 0.0]
    if tube.culture.condition == "am_msc":
        shares[5] = MSC_SHARE
    shares[0] = 1 - sum(shares)
    return rng.choice(6, tube.events, p=shares)


def _events(tube: TubePlan, seed: int, levels: _Levels) -> np.ndarray:
    """Events × 12 channels as the instrument writes them, Time in hundredths of a second."""
    rng = culture_stream(seed, tube.culture, TUBE[tube.role])
    kind, n = _kinds(tube, rng), tube.events
    am = np.isin(kind, (0, 3, 4))
    scatter = _scatter(kind, tube.donor.group == "apap", rng)
    dyes = _dyes(kind, am, tube, levels, rng)
    light = 2 ** np.where(am, levels.glow[tube.culture.condition], -1.5) * np.exp(GLOW_SD * rng.normal(size=n))
    glow = np.array([m.glow for m in MARKERS]) * light[:, None] * np.exp(0.1 * rng.normal(size=dyes.shape))
    seen = dyes @ spillover_matrix() + glow
    seen += rng.normal(size=seen.shape) * np.sqrt(400 + 4 * np.clip(seen, 0, None))  # electronics and photons
    clock = np.cumsum(rng.exponential(100 / 250, n))
    if tube.donor.number == CLOGGED and tube.culture.condition == "am_msc" and tube.role == "stained":
        clogged = slice(n // 2, n // 2 + n // 8)
        clock[n // 2 :] += np.minimum(np.arange(n - n // 2), n // 8) * 4.0
        seen[clogged] *= 0.35
    whole = np.column_stack([scatter, seen, np.floor(clock)])
    whole[:, :-1] = np.minimum(whole[:, :-1], TOP - 1)
    return whole.astype("<f4")


def _scatter(kind: np.ndarray, sick: bool, rng: np.random.Generator) -> np.ndarray:
    size = np.array([120_000, 60_000, 14_000, 120_000, 95_000, 150_000])[kind]
    grain = np.array([75_000, 16_000, 9_000, 75_000, 85_000, 60_000])[kind]
    foamy = 2 ** (GRANULAR_GAP * sick * np.isin(kind, (0, 3, 4)))
    spread = np.array([0.2, 0.12, 0.4, 0.2, 0.25, 0.25])[kind]
    area = size * np.exp(spread * rng.normal(size=len(kind)))
    side = grain * foamy * np.exp(1.4 * spread * rng.normal(size=len(kind)))
    height = 0.8 * area * np.exp(0.03 * rng.normal(size=len(kind)))
    pair = kind == 3
    return np.column_stack(
        [area * np.where(pair, 1.8, 1), height * np.where(pair, 1.1, 1), side * np.where(pair, 1.7, 1)]
    )


def _dyes(kind: np.ndarray, am: np.ndarray, tube: TubePlan, levels: _Levels, rng: np.random.Generator) -> np.ndarray:
    own = levels.am if tube.culture.condition == "am" else levels.am_msc
    level = np.where(am[:, None], 2**own, np.array([m.on_lymphocytes for m in MARKERS]))
    level[np.isin(kind, (2, 5))] = 8.0
    dead = next(i for i, m in enumerate(MARKERS) if m.name == "Viability")
    level[:, dead] = np.where(kind == 4, MARKERS[dead].level, 25.0)
    level = level * np.exp(CELL_SD * rng.normal(size=level.shape))
    there = [tube.role != "unstained" and m.name not in tube.missing for m in MARKERS]
    return np.asarray(level * np.array(there))


def spillover_matrix() -> np.ndarray:
    """Row: dye, column: detector, in the order of `MARKERS`."""
    names = [m.channel for m in MARKERS]
    out = np.eye(len(names))
    for (dye, detector), share in SPILLOVER.items():
        out[names.index(dye), names.index(detector)] = share
    return out


def fcs_bytes(events: np.ndarray, volts: dict[str, int]) -> bytes:
    """An FCS 3.1 file with 32-bit floats, byte for byte the same for the same events.

    Parameters
    ----------
    events
        Events × channels in the order scatter, `MARKERS`, Time.
    volts
        Detector voltages by channel.
    """
    names = [*SCATTER, *(m.channel for m in MARKERS), "Time"]
    labels = {m.channel: m.name for m in MARKERS}
    numbers = ",".join(f"{x:g}" for x in spillover_matrix().ravel())
    words = {
        "$BYTEORD": "1,2,3,4",
        "$DATATYPE": "F",
        "$MODE": "L",
        "$NEXTDATA": "0",
        "$PAR": str(len(names)),
        "$TOT": str(len(events)),
        "$BEGINSTEXT": "0",
        "$ENDSTEXT": "0",
        "$BEGINANALYSIS": "0",
        "$ENDANALYSIS": "0",
        "$TIMESTEP": "0.01",
        "$CYT": "Simulated cytometer",
        "$SPILLOVER": f"{len(MARKERS)},{','.join(m.channel for m in MARKERS)},{numbers}",
    }
    for i, name in enumerate(names, 1):
        words |= {f"$P{i}N": name, f"$P{i}B": "32", f"$P{i}E": "0,0", f"$P{i}R": str(TOP), f"$P{i}G": "1"}
        words |= {f"$P{i}S": labels[name]} if name in labels else {}
        words |= {f"$P{i}V": str(volts[name])} if name in volts else {}
    data = events.astype("<f4").tobytes()
    begin_text = 256
    length = len(_text(words, 0, 0))
    begin = begin_text + length
    text = _text(words, begin, begin + len(data) - 1)
    ends = (begin_text, begin_text + length - 1, begin, begin + len(data) - 1, 0, 0)
    if ends[3] > 99_999_999:
        raise ValueError("the file is too large for its header")
    head = b"FCS3.1    " + b"".join(f"{x:>8d}".encode() for x in ends)
    return struct.pack(f"{begin_text}s", head.ljust(begin_text)) + text + data


def _text(words: dict[str, str], begin: int, end: int) -> bytes:
    full = {**words, "$BEGINDATA": f"{begin:010d}", "$ENDDATA": f"{end:010d}"}
    return ("|" + "".join(f"{k}|{v}|" for k, v in full.items())).encode("utf-8")


def phenotype_sections() -> str:
    """The part of docs/demo.md on phenotype, as Markdown: every planted truth, and what is awkward.

    Examples
    --------
    >>> phenotype_sections().splitlines()[0]
    '## Phenotype'
    """
    rows = "\n".join(
        f"| {m.name} | {m.channel} | {m.glow:g} | {m.level:g} | {m.group_gap:+g} | {m.msc_effect_apap:+g} "
        f"| {m.msc_effect_control:+g} | {'gates' if m.name in BACKBONE else 'measured'} |"
        for m in MARKERS
    )
    return f"""\
## Phenotype

One stained tube and one control tube of the first culture well of am and am_msc, as FCS 3.1 with 12 channels, a
spillover matrix and {STAINED_EVENTS} or {CONTROL_EVENTS} events. Donors in blocks of {RUNS} have by turns an FMO tube with the backbone
({", ".join(BACKBONE)}) alone, or an unstained tube. Four acquisition days, both groups on each.

Effects in log2 units of the dye on macrophages. Donor's level SD {DONOR_SD:g}, donor's change SD {CHANGE_SD:g}. Autofluorescence
of macrophages: aPAP {GLOW_GAP:+g} against controls, {GLOW_MSC_APAP:+g} by MSC in aPAP, donor SD {GLOW_DONOR_SD:g}.

| marker | detector | autofluorescence of controls | dye of controls | gap | MSC in aPAP | MSC in controls | use |
|---|---|---|---|---|---|---|---|
{rows}

- CD80 has no effect anywhere, and its signal is smaller than the gap of autofluorescence: marked background_gap_exceeds_signal.
- HLA-DR is on nearly every macrophage: told by its MFI, no percentage.
- The scatter gate cuts foamy macrophages of aPAP donors: gate_loss differs at Cells.
- Percentages of aPAP lie lower than ΔMFI says, since a brighter and wider background lifts the threshold: no gap is
  planted for CD80 and upward ones for CD86 and CD163, yet fewer cells count as positive. A gap is read by ΔMFI.
- MSC in co-culture are CD45-negative and must not be counted as macrophages.

| donor | what | what the analysis must say |
|---|---|---|
| D{OWN_GATE:02d} | scatter gate of its own | listed in gate_overrides with its reason |
| D{NO_TUBE:02d} | no control tube | background pooled over FMO tubes of its run, pooled_control |
| D{LONE_ARM:02d} | control tube of am only | FMO of the same donor in am_msc; control_kinds_differ |
| D{FEW_EVENTS:02d} | 150 events in the stained tubes | few macrophages: low_events |
| D{CLOGGED:02d} | clog while am_msc was acquired | rate and drift flagged in acquisition |
| D{OTHER_SCATTER:02d} | side scatter at another voltage | named in detector_voltages |
"""
