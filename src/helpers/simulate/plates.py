"""Simulated multiplex plates: which sample is in which well, what the reader sees there, and the tables beside it.

Of three plates two are read by xPONENT and one by Bio-Plex Manager. A batch of cultures stays on one plate with
its control wells, so that both arms of a donor and both groups meet on every plate. The curves of all analytes
are y = d / (1 + (x/c)^b)^g above the background.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from helpers.simulate.cytokines import ASSAYED, CYTOKINES, supernatants
from helpers.simulate.design import ARMS_APART, WITH_MSC, Culture, Design, stream

Row = dict[str, Any]

PURPOSE, KIT_SEED = 50, 30
LEVELS, STEP = 8, 4
"""Standards, each a quarter of the one before."""
CONTROL_SHARES, CONTROL_RANGE = (0.12, 0.008), 0.3
"""Kit controls 1 and 2 in shares of the highest standard, and half the width of their range."""
BRIDGE = "BRIDGE"
DILUTION, LPS_DILUTION = 2.0, 4.0
WELL_SD, SPOT_SD, BEAD_SD = 0.02, 0.045, 0.30
"""Noise of the MFI as shares of it: of a well, of an analyte in it, of one bead (a median of n has 1.2533/√n of it)."""
BEADS_WANTED, MORE_BEADS = 50, 40

READS_HIGH, OFFSET = 2, 1.08
"""Plate whose standards hold 1/1.08 of what is printed, so that everything else reads 8 % higher there."""
OTHER_LOT = {READS_HIGH: "K2"}
FEW_BEADS = {1: (4, 21), 3: (9,)}
"""Sample wells with few beads, by plate and their place among its samples."""
REPEATED_ON, SHORT_PIPETTED = 2, 0.5
MISNAMED_ON = 3
LOST_DECIMAL = (1, "MIP-1b", 4)
"""Plate, analyte and level of the standard that is printed without its decimal point."""


@dataclass(frozen=True)
class Well:
    """One well: role as in cytokines/layout, the sample, and the share of the sample that was pipetted."""

    position: str
    role: str
    level: int | None = None
    sample_id: str = ""
    culture: Culture | None = None
    dilution: float = 1.0
    share: float = 1.0


@dataclass(frozen=True)
class PlatePlan:
    """One plate: its wells in the order of acquisition, and the LPS cultures it had no room for."""

    number: int
    wells: tuple[Well, ...]
    left_out: tuple[Culture, ...]

    @property
    def plate_id(self) -> str:
        """P1, P2, …"""
        return f"P{self.number}"

    @property
    def is_bioplex(self) -> bool:
        """Every third plate is read by Bio-Plex Manager."""
        return _is_bioplex(self.number)

    @property
    def file(self) -> str:
        """Name of the instrument's file."""
        return f"{self.plate_id}.xlsx" if self.is_bioplex else f"{self.plate_id}.csv"

    @property
    def samples(self) -> list[Well]:
        """Wells of role sample."""
        return [w for w in self.wells if w.role == "sample"]


def _is_bioplex(number: int) -> bool:
    return number % 3 == 0


# ---- what is where

_POSITIONS = [f"{row}{column}" for column in range(1, 13) for row in "ABCDEFGH"]


def _fixed_wells(number: int) -> list[Well]:
    """Standards side by side in columns 1 and 2; blanks, controls and the bridge from column 3 on."""
    standards = [Well(f"{'ABCDEFGH'[i]}{column}", "standard", i + 1) for column in (1, 2) for i in range(LEVELS)]
    others: list[tuple[str, int | None, str]] = [("blank", None, "")] * (2 if _is_bioplex(number) else 6)
    others += [("control", level, "") for level in (1, 1, 2, 2)] + [("bridge", None, BRIDGE)] * 2
    free = _POSITIONS[len(standards) :]
    return standards + [
        Well(at, role, level, sample, dilution=DILUTION if role == "bridge" else 1.0)
        for at, (role, level, sample) in zip(free, others, strict=False)
    ]


def _room(number: int) -> int:
    """Wells left for samples; one of the second plate is the repeat's."""
    return len(_POSITIONS) - len(_fixed_wells(number)) - (number == REPEATED_ON)


def plate_plans(design: Design) -> list[PlatePlan]:
    """Distribute the supernatants of a study over as many plates as they need.

    Each batch goes to the plate with the fewest wells of its group, so that no group is confounded with a plate.
    One donor's co-cultures go to another plate than the rest of that donor. Where a plate overflows, the LPS arms
    of its last donors are left out, never the others.
    """
    batches: dict[int, list[Culture]] = {}
    for culture in design.cultures:
        if culture.status == "ok" and culture.replicate in ASSAYED.get(culture.condition, ()):
            batches.setdefault(culture.batch_day, []).append(culture)
    return next(plans for plates in count(1) if (plans := _placed(list(batches.values()), plates)))


def _placed(batches: list[list[Culture]], plates: int) -> list[PlatePlan]:
    """The study on so many plates; nothing where they are too few, or hold too few LPS arms to leave out."""
    if sum(_room(n) for n in range(1, plates + 1)) < sum(map(len, batches)):
        return []
    placed = [_fitted(n, own) for n, own in _distributed(batches, plates).items()]
    if any(len(kept) > _room(n) for n, kept, _ in placed):
        return []
    return [PlatePlan(n, _wells(n, kept), left_out) for n, kept, left_out in placed]


def _distributed(batches: Iterable[list[Culture]], plates: int) -> dict[int, list[Culture]]:
    on: dict[int, list[Culture]] = {n: [] for n in range(1, plates + 1)}
    for batch in batches:
        group = _group(batch[0])
        number = min(on, key=lambda n: (sum(_group(c) == group for c in on[n]), len(on[n]) - _room(n)))
        on[number] += batch
    apart = [c for batch in batches for c in batch if _number(c) == ARMS_APART and c.condition in WITH_MSC]
    own = next((n for n, cultures in on.items() if apart and apart[0] in cultures), None)
    if own is not None and plates > 1:
        other = max((n for n in on if n != own), key=lambda n: _room(n) - len(on[n]))
        on[own] = [c for c in on[own] if c not in apart]
        on[other] += apart
    return on


def _number(culture: Culture) -> int:
    """Number of the culture's donor, 0 for a control well."""
    return culture.specimen.donor.number if culture.specimen else 0


def _group(culture: Culture) -> str:
    return culture.specimen.donor.group if culture.specimen else ""


def _fitted(number: int, cultures: list[Culture]) -> tuple[int, list[Culture], tuple[Culture, ...]]:
    """Cultures of a plate less the LPS arms, from the last donor on, that exceed its room."""
    kept = list(cultures)
    for donor in dict.fromkeys(_number(c) for c in reversed(cultures) if c.specimen):
        if len(kept) <= _room(number):
            break
        kept = [c for c in kept if not (_number(c) == donor and "lps" in c.condition)]
    return number, kept, tuple(c for c in cultures if c not in kept)


def _wells(number: int, cultures: list[Culture]) -> tuple[Well, ...]:
    """Fixed wells, then single wells of the samples, then second wells of the first samples while there is room."""
    fixed = _fixed_wells(number)
    samples = [
        Well("", "sample", None, c.culture_id, c, LPS_DILUTION if "lps" in c.condition else DILUTION) for c in cultures
    ]
    spare = max(_room(number) - len(samples), 0)
    again = samples[:spare]
    if number == REPEATED_ON:
        repeat = replace(samples[0], sample_id=f"{samples[0].sample_id}-R")
        samples[0] = replace(samples[0], share=SHORT_PIPETTED)
        again = [*samples[1 : spare + 1], repeat]
    placed = [replace(w, position=at) for w, at in zip([*samples, *again], _POSITIONS[len(fixed) :], strict=False)]
    return tuple(sorted([*fixed, *placed], key=lambda w: _POSITIONS.index(w.position)))


# ---- what the reader sees


@dataclass(frozen=True)
class Readings:
    """What one plate's reader measured and its program computed; arrays are wells × analytes.

    Parameters
    ----------
    plan
        The wells.
    curves
        Analytes × (a, d, c, b, g) in the concentrations that are printed for the standards; a is 0.
    counts, mfi
        Beads and their median fluorescence.
    """

    plan: PlatePlan
    curves: np.ndarray
    counts: np.ndarray
    mfi: np.ndarray

    def rows(self, role: str) -> list[int]:
        """Numbers of the wells of a role."""
        return [i for i, w in enumerate(self.plan.wells) if w.role == role]

    @cached_property
    def net(self) -> np.ndarray:
        """Fluorescence less the mean of the blanks."""
        return np.asarray(self.mfi - self.mfi[self.rows("blank")].mean(axis=0))

    def at(self, net: np.ndarray) -> np.ndarray:
        """Concentrations of the curves at net fluorescences: 0 at or below zero, inf at the plateau."""
        _, d, c, b, g = self.curves.T
        with np.errstate(divide="ignore"):
            return np.asarray(c * (np.clip(net / d, 0, 1) ** (-1 / g) - 1) ** (1 / b))

    @cached_property
    def conc(self) -> np.ndarray:
        """Concentration the vendor's program finds in every well, times the dilution."""
        return np.asarray(self.at(self.net) * np.array([[w.dilution] for w in self.plan.wells]))

    @cached_property
    def fitted(self) -> np.ndarray:
        """Net fluorescence of the curve at the standards."""
        expected = standard_concentrations()[[(w.level or 0) - 1 for w in self.plan.wells if w.role == "standard"]]
        return _response(self.curves, expected)


def standard_concentrations() -> np.ndarray:
    """Concentrations of the standards in pg/ml, levels × analytes, rounded as a leaflet prints them."""
    return np.array([[float(f"{one.top / STEP**i:.6g}") for one in CYTOKINES] for i in range(LEVELS)])


def control_concentrations() -> np.ndarray:
    """Concentrations of the kit's controls in pg/ml, controls × analytes."""
    return np.array([[float(f"{one.top * share:.4g}") for one in CYTOKINES] for share in CONTROL_SHARES])


def bridge_concentrations() -> np.ndarray:
    """The pooled supernatant: half way from controls to aPAP and from no LPS to LPS."""
    return np.array([c.control_median * 2 ** ((c.group_gap + c.lps_effect) / 2) + c.msc_secretes for c in CYTOKINES])


def readings(plan: PlatePlan, design: Design, amounts: Mapping[str, np.ndarray]) -> Readings:
    """Read one plate.

    Parameters
    ----------
    plan
        Its wells.
    design
        The study, for its seed.
    amounts
        Concentrations by culture_id, from `supernatants`.
    """
    rng = stream(design.seed, 0, PURPOSE + plan.number)
    curves, background = _kit()
    curves[:, 1] *= (0.8 if plan.is_bioplex else 1.0) * np.exp(0.05 * rng.normal(size=len(CYTOKINES)))
    offset = OFFSET if plan.number == READS_HIGH else 1.0
    shape = (len(plan.wells), len(CYTOKINES))
    counts = BEADS_WANTED + rng.poisson(MORE_BEADS, shape)
    few = rng.integers(14, 40, shape)
    low = [plan.wells.index(plan.samples[i]) for i in FEW_BEADS.get(plan.number, ()) if i < len(plan.samples)]
    counts[low] = few[low]
    content = np.array([_content(w, amounts) / (offset if w.role == "standard" else 1.0) for w in plan.wells])
    signal = background + _response(curves, content)
    noise = WELL_SD * rng.normal(size=(shape[0], 1)) + rng.normal(size=shape) * np.sqrt(
        SPOT_SD**2 + (1.2533 * BEAD_SD) ** 2 / counts
    )
    seen = signal * np.exp(noise)
    # the median of an even number of beads lies half way between two of them
    mfi = np.where(counts % 2, np.round(seen), np.round(2 * seen) / 2)
    curves[:, 2] *= offset
    return Readings(plan, curves, counts, mfi)


def _kit() -> tuple[np.ndarray, np.ndarray]:
    """Curves and background of the kit's analytes, the same in every simulated study."""
    rng = np.random.Generator(np.random.PCG64(KIT_SEED))
    n, tops = len(CYTOKINES), np.array([one.top for one in CYTOKINES])
    curves = np.column_stack(
        [
            np.zeros(n),
            rng.uniform(22_000, 36_000, n).round(-1),
            tops * rng.uniform(0.7, 1.3, n).round(2),
            -rng.uniform(0.86, 0.93, n).round(3),
            rng.uniform(0.94, 1.05, n).round(3),
        ]
    )
    return curves, rng.uniform(8, 22, n).round(1)


def _response(curves: np.ndarray, x: np.ndarray) -> np.ndarray:
    _, d, c, b, g = curves.T
    with np.errstate(divide="ignore"):
        return np.asarray(d * (1 + (x / c) ** b) ** -g)


def _content(well: Well, amounts: Mapping[str, np.ndarray]) -> np.ndarray:
    """pg/ml in the well itself."""
    level = (well.level or 0) - 1
    if well.role == "standard":
        return np.asarray(standard_concentrations()[level])
    if well.role == "control":
        return np.asarray(control_concentrations()[level])
    if well.culture is not None:
        return amounts[well.culture.culture_id] * well.share / well.dilution
    return bridge_concentrations() / well.dilution if well.role == "bridge" else np.zeros(len(CYTOKINES))


def read_plates(design: Design) -> list[Readings]:
    """All plates of a study, read."""
    amounts = supernatants(design)
    return [readings(plan, design, amounts) for plan in plate_plans(design)]


# ---- what the study's tables say of them


def plate_tables(design: Design, plans: Iterable[PlatePlan]) -> dict[str, list[Row]]:
    """Rows of cytokines/plates, layout, samples and analytes; Bio-Plex plates have no layout."""
    plans = list(plans)
    return {
        "cytokines/plates": [_plate_row(plan, design) for plan in plans],
        "cytokines/layout": [row for plan in plans if not plan.is_bioplex for row in _layout_rows(plan)],
        "cytokines/samples": list(_sample_rows(plans)),
        "cytokines/analytes": [
            {
                "analyte": one.analyte,
                "synonyms": "; ".join(sorted({one.xponent, one.bioplex} - {one.analyte})),
                "msc_secreted": "yes" if one.msc_secretes else "no",
            }
            for one in CYTOKINES
        ],
    }


def _plate_row(plan: PlatePlan, design: Design) -> Row:
    """One plate; no platform is given, since the kit is the same and is what makes the plates comparable."""
    last = max(c.batch_day for c in design.cultures)
    return {
        "plate_id": plan.plate_id,
        "instrument_file": plan.file,
        "kit": "simulated 30-plex",
        "kit_lot": OTHER_LOT.get(plan.number, "K1"),
        "run_day": last + 30 + 7 * (plan.number - 1),
        "dilution_default": f"{DILUTION:g}",
        "bead_min": BEADS_WANTED,
    }


def _layout_rows(plan: PlatePlan) -> Iterator[Row]:
    """One row a well; the dilution is stated where it is not the plate's."""
    wells = {w.position: w for w in plan.wells}
    for at in _POSITIONS:
        well = wells.get(at, Well(at, "empty"))
        stated = well.role == "sample" and well.dilution != DILUTION
        yield {
            "plate_id": plan.plate_id,
            "well": at,
            "role": well.role,
            "level": "" if well.level is None else well.level,
            "sample_id": well.sample_id,
            "dilution": f"{well.dilution:g}" if stated else "",
        }


def _sample_rows(plans: Iterable[PlatePlan]) -> Iterator[Row]:
    wells = {w.sample_id: w for plan in plans for w in plan.wells if w.sample_id}
    for sample_id, well in wells.items():
        own = well.culture.culture_id if well.culture else ""
        yield {
            "sample_id": sample_id,
            "culture_id": own,
            "matrix": "supernatant",
            "thaw_count": 1,
            "repeat_of": own if own != sample_id else "",
        }


def misnamed(plan: PlatePlan) -> str:
    """Sample whose name was mistyped at the instrument: a second culture well, so that no arm is lost; "" for none.

    Examples
    --------
    >>> from helpers.simulate.design import plan as design_of
    >>> [misnamed(p) for p in plate_plans(design_of(2))]
    ['']
    """
    if plan.number != MISNAMED_ON:
        return ""
    times = [w.sample_id for w in plan.samples]
    second = [
        w.sample_id
        for w in plan.samples
        if w.culture and w.culture.condition == "am" and w.culture.replicate == 2 and times.count(w.sample_id) == 1
    ]
    return second[-1] if second else ""


def mistyped(sample_id: str) -> str:
    """The name as it was typed at the instrument, which matches nothing.

    Examples
    --------
    >>> mistyped("B12C14")
    'B12-14'
    """
    return sample_id.replace("C", "-")
