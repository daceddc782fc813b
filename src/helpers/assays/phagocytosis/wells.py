"""Uptake wells against their controls: thresholds, shares, indices, combs, and what is said of missing controls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from helpers.assays.phagocytosis import controls, indices
from helpers.assays.phagocytosis.comb import Autofluorescence, Comb, refusal
from helpers.assays.phagocytosis.controls import COLD, INHIBITOR, NO_PARTICLE, TABLE, UPTAKE, Partners
from helpers.assays.phagocytosis.events import (
    SENSITIVITY,
    Choice,
    Control,
    Source,
    Uptake,
    control_of,
    read_control,
    read_uptake,
    uptake_of,
)
from helpers.assays.phagocytosis.exported import Reading
from helpers.assays.phagocytosis.population import Gates
from helpers.assays.phagocytosis.settings import Rules
from helpers.core.problems import Problem, Refused, softened
from helpers.core.schemas import output_tables
from helpers.core.workers import each, processes_for
from helpers.study.config import Config

NAN = float("nan")
Well = Mapping[str, Any]
_CLEARLY_MORE, _LEAST_LIKELY = 3.0, 0.001
_SAID = {
    "cold_sets": (
        "no-particle-missing",
        "No well without particles shares donor, condition, time and target: the threshold comes from the partner at "
        "4 °C or with inhibitor, and nothing is subtracted.",
    ),
    "other_arm": (
        "controls-missing",
        "No control shares donor, condition, time and target: the threshold comes from the donor's wells without "
        "particles in other conditions, whose autofluorescence may differ.",
    ),
    "none": (
        "controls-missing",
        "The donor has no control at all: only the median fluorescence is given, no percentage.",
    ),
    "no_background": (
        "background-missing",
        "No partner at 4 °C or with inhibitor: what merely sticks to cells is not subtracted, and there is no net value.",
    ),
}


@dataclass(frozen=True)
class Threshold:
    """Where a well's threshold comes from: value, source, the donor's common one, and one a quantile tried."""

    value: float
    source: str
    common: float
    tried: tuple[float, ...]
    background: Autofluorescence | None

    @property
    def asked(self) -> tuple[float, ...]:
        """All thresholds that cells are counted above, the well's own first."""
        return self.value, self.common, *self.tried


class Cells:
    """Cells of the wells, from FCS files or from tables of cells; files are read one by one and summed up."""

    def __init__(self, sources: Mapping[str, Source], tables: Mapping[str, Reading], gates: Gates, quantile: float):
        self.sources, self.tables, self.gates = sources, tables, gates
        self.quantiles = tuple(sorted({quantile, *SENSITIVITY}))
        self.problems: list[Problem] = []
        self.choices: dict[str, Choice] = {}
        self.unread: set[str] = set()
        self._answers: dict[tuple[str, ...], Answer] = {}

    @property
    def ungated(self) -> set[str]:
        """Wells of which all events are counted, since no gate chose any."""
        return {phago_id for phago_id, choice in self.choices.items() if not choice.gates}

    def has(self, phago_id: str) -> bool:
        """Whether single cells are known."""
        own = self.tables.get(phago_id)
        return phago_id not in self.unread and (
            phago_id in self.sources or (own is not None and own.values is not None)
        )

    def control(self, phago_id: str) -> Control | None:
        """The well as a control; None where it cannot be read."""
        if phago_id not in self.sources:
            return control_of(_values(self.tables[phago_id]), self.quantiles)
        found: Control | None = self._found(phago_id, read_control, self.quantiles)
        return found

    def uptake(
        self, phago_id: str, thresholds: tuple[float, ...], background: Autofluorescence | None = None
    ) -> Uptake | None:
        """The well against thresholds; None where it cannot be read."""
        if phago_id not in self.sources:
            return uptake_of(_values(self.tables[phago_id]), thresholds, background)
        found: Uptake | None = self._found(phago_id, read_uptake, thresholds, background)
        return found

    def read_controls(self, asked: Iterable[str]) -> None:
        """Read the files of controls that will be asked for, in several processes or on a cluster."""
        self._read(read_control, [(i, self.quantiles) for i in asked])

    def read_uptakes(self, asked: Iterable[tuple[str, tuple[float, ...], Autofluorescence | None]]) -> None:
        """Read the files of wells that will be asked for with these thresholds and autofluorescence."""
        self._read(read_uptake, asked)

    def voltage(self, phago_id: str) -> float | None:
        """Of the uptake's detector; None where no file says it."""
        own = self.sources.get(phago_id)
        return own.voltage if own else None

    def share_voltage(self, first: str, second: str) -> bool:
        """Whether fluorescence of two wells can be held against one threshold; what no file says is taken as so."""
        volts = {self.voltage(first), self.voltage(second)} - {None}
        return len(volts) < 2

    def _read(self, read: Callable[..., Any], asked: Iterable[tuple[Any, ...]]) -> None:
        parts = {
            _key(i, read, what): (read, self.sources[i], self.gates, *what) for i, *what in asked if i in self.sources
        }
        new = {key: part for key, part in parts.items() if key not in self._answers}
        jobs = processes_for(Path(source.path) for _, source, *_ in new.values())
        self._answers |= zip(new, each(_answer, list(new.values()), jobs), strict=True)

    def _found(self, phago_id: str, read: Callable[..., Any], *what: Any) -> Any:
        """What a file holds; None, and the well is not asked again, where it cannot be read."""
        self._read(read, [(phago_id, *what)])
        found, choice, problems = self._answers[_key(phago_id, read, what)]
        if choice is None:
            self.unread.add(phago_id)
            self.problems += softened(problems, "quarantine", f"uptake {phago_id}")
        else:
            self.choices[phago_id] = choice
            self.problems += choice.problems
        return found


Answer = tuple[Control | Uptake | None, Choice | None, tuple[Problem, ...]]


def _key(phago_id: str, read: Callable[..., Any], what: Sequence[Any]) -> tuple[str, ...]:
    return phago_id, read.__name__, *map(repr, what)


def _answer(part: tuple[Callable[..., Any], Any]) -> Answer:
    """A damaged file is an answer, not an exception, so that the others go on."""
    read, *what = part
    try:
        return *read(*what), ()
    except Refused as refused:
        return None, None, tuple(refused.problems)


def _values(reading: Reading) -> np.ndarray:
    return np.array([]) if reading.values is None else reading.values


@dataclass(frozen=True)
class Found:
    """Output tables of the wells by name, and what had to be said."""

    tables: dict[str, pd.DataFrame]
    problems: list[Problem]


def measured(wells: pd.DataFrame, cells: Cells, read: Mapping[str, Reading], rules: Rules, config: Config) -> Found:
    """Every well against its controls."""
    reference = wells[(wells["role"] == NO_PARTICLE)]
    cells.read_controls(i for i in reference["phago_id"] if cells.has(i))
    known = {i: c for i in reference["phago_id"] if cells.has(i) and (c := cells.control(i)) is not None and c.n_cells}
    rows: list[dict[str, Any]] = []
    combs: list[dict[str, Any]] = []
    tried: list[dict[str, Any]] = []
    bins: list[dict[str, Any]] = []
    notes: dict[tuple[str, str], list[str]] = {}
    apart: dict[str, list[str]] = {}
    by_id = {str(w["phago_id"]): w for w in wells.to_dict("records")}
    held = _held_against(by_id, wells, known, cells, rules, apart)
    for phago_id, well in by_id.items():
        own = _identity(well)
        if phago_id in known:
            rows.append(own | _control_row(known[phago_id], rules))
            bins += _bins(well, known[phago_id].bins)
        if well["role"] != UPTAKE:
            if well["role"] != NO_PARTICLE and phago_id in read and read[phago_id].values is None:
                rows.append(own | _counted(read[phago_id]))
            continue
        mates, threshold = held[phago_id]
        if threshold is None:
            rows.append(own | _counted_uptake(read[phago_id], mates, read, rules, notes, well))
            continue
        uptake = cells.uptake(phago_id, threshold.asked, _autofluorescence(well, threshold))
        if uptake is None:
            continue
        rows.append(own | _flow_row(uptake, threshold, rules))
        bins += _bins(well, uptake.bins)
        backs = [b for i in mates.background if cells.has(i) and (b := _back(i, threshold, cells)) is not None]
        if threshold.source == NO_PARTICLE and backs:
            rows[-1] |= _net(rows[-1], uptake, [b for _, b in backs], [i for i, _ in backs], threshold, rules)
        elif threshold.source in (COLD, INHIBITOR):
            rows[-1] |= {"correction": "in_threshold", "background_phago_id": ";".join(mates.background)}
        _note(notes, well, threshold.source, bool(backs))
        tried += _tried(well, uptake, threshold, [b for _, b in backs], rules)
        combs += _comb_rows(well, uptake, threshold)
        rows += [
            _identity(by_id[i]) | _background_row(b, threshold)
            for i, b in backs
            if not any(r["phago_id"] == i for r in rows)
        ]
        bins += [x for i, b in backs for x in _bins(by_id[i], b.bins)]
    signal = _msc_signal(wells, known, cells, rules, config)
    table = _flagged(
        pd.DataFrame(rows, columns=output_tables()["phagocytosis_wells"].columns), cells, combs, signal, apart, rules
    )
    out = {
        "phagocytosis_wells": table,
        "bead_combs": pd.DataFrame(combs),
        "uptake_thresholds": pd.DataFrame(tried),
        "uptake_histograms": pd.DataFrame(bins).drop_duplicates(["phago_id", "low"]) if bins else pd.DataFrame(),
        "msc_signal": signal,
    }
    return Found(out, [*_sentences(notes), *_apart(apart, cells), *_no_cells(table), *_raised(signal)])


def _held_against(
    by_id: Mapping[str, Mapping[str, Any]],
    wells: pd.DataFrame,
    known: Mapping[str, Control],
    cells: Cells,
    rules: Rules,
    apart: dict[str, list[str]],
) -> dict[str, tuple[Partners, Threshold | None]]:
    """Controls and threshold of every well with uptake, None for one that was counted; all their files are read."""
    partners = controls.partners(wells)
    blanks = _without_particles(by_id.values(), ("owner", "visit", "target", "method"))
    held: dict[str, tuple[Partners, Threshold | None]] = {}
    asked = []
    for phago_id, well in by_id.items():
        if well["role"] != UPTAKE:
            continue
        mates = _of_its_voltage(phago_id, partners[phago_id], cells, apart)
        threshold = None
        if cells.has(phago_id):
            threshold = _threshold(well, mates, blanks(well), by_id, known, cells, rules)
        held[phago_id] = mates, threshold
        if threshold is not None:
            asked.append((phago_id, threshold.asked, _autofluorescence(well, threshold)))
            asked += [(i, threshold.asked, None) for i in mates.background if cells.has(i)]
    cells.read_uptakes(asked)
    return held


def _autofluorescence(well: Mapping[str, Any], threshold: Threshold) -> Autofluorescence | None:
    """What a comb of beads starts from; None where there can be none."""
    return None if refusal(*_target(well)) else threshold.background


def _identity(well: Mapping[str, Any]) -> dict[str, Any]:
    names = ("phago_id", "culture_id", "donor_id", "condition", "target", "role", "method", "minutes")
    return {n: well[n] for n in names} | {"particles_per_cell": well["particles_per_cell"]}


def _target(well: Mapping[str, Any]) -> tuple[str, str, str]:
    target, label, quench = ("" if pd.isna(well[c]) else str(well[c]) for c in ("target", "label", "quench"))
    return target, label, quench


def _of_its_voltage(phago_id: str, mates: Partners, cells: Cells, apart: dict[str, list[str]]) -> Partners:
    """The controls taken at the voltage of the well: at another one the same cell has another fluorescence."""
    kept = [tuple(i for i in own if cells.share_voltage(i, phago_id)) for own in (mates.no_particle, mates.background)]
    lost = [i for i in (*mates.no_particle, *mates.background) if not cells.share_voltage(i, phago_id)]
    if lost:
        apart[phago_id] = lost
    return Partners(*kept)


def _without_particles(wells: Iterable[Well], columns: Sequence[str]) -> Callable[[Well], Sequence[Well]]:
    """What gives the wells without particles that are as a well in these columns; a value not known is like no other."""

    def alike(well: Well) -> tuple[Any, ...] | None:
        key = tuple(well[c] for c in columns)
        return None if any(map(pd.isna, key)) else key

    found: dict[tuple[Any, ...], list[Well]] = {}
    for well in wells:
        if well["role"] == NO_PARTICLE and (key := alike(well)) is not None:
            found.setdefault(key, []).append(well)
    return lambda well: found.get(alike(well) or (), [])


def _threshold(
    well: Well,
    mates: Partners,
    blanks: Iterable[Well],
    by_id: Mapping[str, Well],
    known: Mapping[str, Control],
    cells: Cells,
    rules: Rules,
) -> Threshold:
    """The threshold of a well and where it comes from; see docs/methods.md for the order."""
    alike = [b for b in blanks if b["phago_id"] in known and cells.share_voltage(b["phago_id"], well["phago_id"])]
    at_time = [known[b["phago_id"]] for b in alike if b["minutes"] == well["minutes"]]
    common = max((c.thresholds[rules.quantile] for c in at_time), default=NAN)
    own = [known[i] for i in mates.no_particle if i in known]
    if own:
        return _from_controls(own, NO_PARTICLE, common, rules)
    cold = [c for i in mates.background if cells.has(i) and (c := cells.control(i)) is not None and c.n_cells]
    if cold:
        source = str(by_id[mates.background[0]]["role"])
        found = _from_controls(cold, source, common, rules)
        return Threshold(found.value, source, common, found.tried, None)
    if others := [known[b["phago_id"]] for b in alike]:
        found = _from_controls(others, "other_arm", common, rules)
        return Threshold(found.value, "other_arm", common, found.tried, None)
    return Threshold(NAN, "none", NAN, tuple(NAN for _ in SENSITIVITY), None)


def _from_controls(own: list[Control], source: str, common: float, rules: Rules) -> Threshold:
    """Several controls count by the mean of their thresholds; the first gives the autofluorescence."""
    at = [float(np.mean([c.thresholds[q] for c in own])) for q in (rules.quantile, *SENSITIVITY)]
    return Threshold(at[0], source, common, tuple(at[1:]), own[0].background)


def _back(phago_id: str, threshold: Threshold, cells: Cells) -> tuple[str, Uptake] | None:
    found = cells.uptake(phago_id, threshold.asked)
    return None if found is None or not found.n_cells else (phago_id, found)


def _share(wells: list[Uptake], i: int) -> float:
    """Percent above threshold i, cells of several wells taken together."""
    return indices.percent_phagocytic(sum(w.n_positive[i] for w in wells), sum(w.n_cells for w in wells))


def _control_row(control: Control, rules: Rules) -> dict[str, Any]:
    return {
        "n_cells": control.n_cells,
        "threshold": control.thresholds[rules.quantile],
        "threshold_source": NO_PARTICLE,
        "mfi_median": control.background.centre if control.background else NAN,
        "correction": "none",
    }


def _background_row(back: Uptake, threshold: Threshold) -> dict[str, Any]:
    return {
        "n_cells": back.n_cells,
        "n_positive": back.n_positive[0],
        "pct_positive": _share([back], 0),
        "threshold": threshold.value,
        "threshold_source": threshold.source,
        "threshold_common": threshold.common,
        "pct_positive_common": _share([back], 1),
        "mfi_median": back.mfi_median,
        "mfi_positive": back.mfi_positive,
        "correction": "none",
    }


def _flow_row(uptake: Uptake, threshold: Threshold, rules: Rules) -> dict[str, Any]:
    row: dict[str, Any] = {"n_cells": uptake.n_cells, "mfi_median": uptake.mfi_median, "threshold": threshold.value}
    row |= {"threshold_source": threshold.source, "threshold_common": threshold.common, "correction": "none"}
    if np.isfinite(threshold.value) and uptake.n_cells >= rules.fewest_for_percentage:
        pct = _share([uptake], 0)
        row |= {"n_positive": uptake.n_positive[0], "pct_positive": pct}
        if np.isfinite(threshold.common):
            row["pct_positive_common"] = _share([uptake], 1)
        if uptake.n_positive[0] >= rules.fewest_for_statistic:
            row |= {"mfi_positive": uptake.mfi_positive, "imfi": indices.integrated_mfi(pct, uptake.mfi_positive)}
        comb = uptake.comb
        if isinstance(comb, Comb) and comb.identifiable:
            each = (uptake.mean_positive - comb.autofluorescence.centre) / comb.bead
            row["index_mean"] = comb.mean_beads
            if uptake.n_positive[0]:
                row |= {"particles_per_positive": each, "index_product": indices.index_product(pct, each)}
    return row


def _net(
    row: Mapping[str, Any], uptake: Uptake, backs: list[Uptake], ids: list[str], threshold: Threshold, rules: Rules
) -> dict[str, Any]:
    background = _share(backs, 0)
    out: dict[str, Any] = {"background_phago_id": ";".join(ids), "background_pct": background}
    if sum(b.n_cells for b in backs) < rules.fewest_for_percentage or "pct_positive" not in row:
        return out
    out |= {"correction": rules.correction}
    out |= {"net_pct_positive": indices.subtracted(float(row["pct_positive"]), background, rules.correction)}
    comb = uptake.comb
    if isinstance(comb, Comb) and comb.identifiable:
        mean = sum(b.mean * b.n_cells for b in backs) / sum(b.n_cells for b in backs)
        out["net_index"] = comb.mean_beads - (mean - comb.autofluorescence.centre) / comb.bead
    return out


def _tried(
    well: Mapping[str, Any], uptake: Uptake, threshold: Threshold, backs: list[Uptake], rules: Rules
) -> Iterator[dict[str, Any]]:
    if not np.isfinite(threshold.value) or uptake.n_cells < rules.fewest_for_percentage:
        return
    for i, (quantile, value) in enumerate(zip(SENSITIVITY, threshold.tried, strict=True), 2):
        pct = _share([uptake], i)
        use = threshold.source == NO_PARTICLE and bool(backs)
        yield {
            **{n: well[n] for n in ("phago_id", "donor_id", "condition", "target", "minutes")},
            "quantile": quantile,
            "threshold": value,
            "n_cells": uptake.n_cells,
            "n_positive": uptake.n_positive[i],
            "pct_positive": pct,
            "net_pct_positive": indices.subtracted(pct, _share(backs, i), rules.correction) if use else NAN,
        }


def _bins(well: Mapping[str, Any], bins: tuple[tuple[float, float, int], ...]) -> Iterator[dict[str, Any]]:
    own = {n: well[n] for n in ("phago_id", "donor_id", "condition", "target", "role", "minutes")}
    for low, high, n in bins:
        yield own | {"low": low, "high": high, "n_cells": n}


def _comb_rows(well: Mapping[str, Any], uptake: Uptake, threshold: Threshold) -> Iterator[dict[str, Any]]:
    own = {n: well[n] for n in ("phago_id", "culture_id", "donor_id", "condition", "target", "minutes")}
    comb = uptake.comb
    if not isinstance(comb, Comb):
        missing = "" if threshold.background else "No well without particles gives the autofluorescence."
        yield own | {
            "peak": 0,
            "n_cells": uptake.n_cells,
            "identifiable": False,
            "status": refusal(*_target(well)) or comb or missing,
        }
        return
    for k, share in enumerate(comb.shares):
        yield own | {
            "peak": k,
            "is_open": k == len(comb.shares) - 1,
            "position": comb.position(k),
            "sd": comb.sd(k),
            "share": share,
            "separation": comb.separation(k),
            "autofluorescence": comb.autofluorescence.centre,
            "bead_fluorescence": comb.bead,
            "bead_sd": comb.bead_sd,
            "n_cells": comb.n_cells,
            "mean_beads": comb.mean_beads,
            "pct_with_beads": comb.pct_with_beads,
            "identifiable": comb.identifiable,
            "status": comb.reason or "ok",
        }


# ---- wells that were counted


def _counted(reading: Reading) -> dict[str, Any]:
    """Percent and indices of a well whose positive cells somebody, or another program, counted."""
    n, k, particles = reading.n_cells, reading.n_positive, reading.particles
    pct = indices.percent_phagocytic(k, n) if np.isfinite(n) and np.isfinite(k) else reading.pct
    row: dict[str, Any] = {"n_cells": n, "n_positive": k, "pct_positive": pct, "threshold_source": "counted"}
    row |= {"signal": reading.signal, "mfi_positive": reading.mfi_positive, "correction": "none"}
    row["imfi"] = indices.integrated_mfi(pct, reading.mfi_positive)
    if np.isfinite(particles):
        row["index_mean"] = indices.index_mean(particles, n)
        if k > 0:
            row["particles_per_positive"] = particles / k
            row["index_product"] = indices.index_product(pct, particles / k)
    return row


def _counted_uptake(
    reading: Reading,
    mates: Partners,
    read: Mapping[str, Reading],
    rules: Rules,
    notes: dict[tuple[str, str], list[str]],
    well: Mapping[str, Any],
) -> dict[str, Any]:
    """A counted well with its counted partner taken off."""
    row = _counted(reading)
    backs = [_counted(read[i]) for i in mates.background if i in read and read[i].values is None]
    backs = [b for b in backs if np.isfinite(b["pct_positive"])]
    if not np.isfinite(row["pct_positive"]):
        return row
    _note(notes, well, NO_PARTICLE, bool(backs))
    few = np.isfinite(row["n_cells"]) and row["n_cells"] < rules.fewest_for_percentage
    if few:
        lost = ("pct_positive", "imfi", "index_mean", "index_product", "particles_per_positive")
        return row | {name: NAN for name in lost}
    if backs:
        weights = [b["n_cells"] if np.isfinite(b["n_cells"]) else 1.0 for b in backs]
        background = float(np.average([b["pct_positive"] for b in backs], weights=weights)) if sum(weights) else NAN
        row |= {"background_phago_id": ";".join(mates.background), "background_pct": background}
        row |= {"correction": rules.correction}
        row["net_pct_positive"] = indices.subtracted(row["pct_positive"], background, rules.correction)
        sticking = [b["index_mean"] for b in backs if "index_mean" in b]
        if sticking and "index_mean" in row:
            row["net_index"] = row["index_mean"] - float(np.mean(sticking))
    return row


# ---- what is said


def _note(notes: dict[tuple[str, str], list[str]], well: Mapping[str, Any], source: str, backs: bool) -> None:
    kind = {COLD: "cold_sets", INHIBITOR: "cold_sets", "other_arm": "other_arm", "none": "none"}.get(source, "")
    if not kind and not backs:
        kind = "no_background"
    if kind:
        notes.setdefault((str(well["owner"]), kind), []).append(str(well["phago_id"]))


def _sentences(notes: Mapping[tuple[str, str], list[str]]) -> list[Problem]:
    out = []
    for (owner, kind), wells in notes.items():
        code, message = _SAID[kind]
        fix = "Add the control, or keep this in mind when reading the result."
        place = (
            f"{wells[0]} of {owner}" if len(wells) == 1 else f"{wells[0]} and {len(wells) - 1} more wells of {owner}"
        )
        out.append(Problem("warning", code, message, fix, file=TABLE, column="phago_id", found=place))
    return out


def _apart(apart: Mapping[str, list[str]], cells: Cells) -> list[Problem]:
    """Controls that were not used, with both voltages."""
    return [
        Problem(
            "warning",
            "voltages-differ",
            f"Controls of well {phago_id} were taken at another voltage of the uptake's detector: they are not used.",
            "Take controls and well at one voltage; a threshold holds at no other.",
            file=cells.sources[lost[0]].file,
            column="$PnV",
            found=", ".join(f"{i} {cells.voltage(i):g} V" for i in lost),
            expected=f"{cells.voltage(phago_id):g} V",
        )
        for phago_id, lost in apart.items()
    ]


def _no_cells(table: pd.DataFrame) -> list[Problem]:
    return [
        Problem(
            "quarantine",
            "no-cells",
            "The well holds no macrophage, so nothing can be said of its uptake.",
            "Check the file and the gates, or the count.",
            file=TABLE,
            column=f"n_cells of {one.phago_id}",
            found="0",
            expected="at least 1",
            entity=f"uptake {one.phago_id}",
        )
        for one in table[table["n_cells"] == 0].itertuples()
    ]


def _flagged(
    table: pd.DataFrame,
    cells: Cells,
    combs: list[dict[str, Any]],
    signal: pd.DataFrame,
    apart: Mapping[str, list[str]],
    rules: Rules,
) -> pd.DataFrame:
    """The wells with their flags; counts that lie far from the others are shown and stay."""
    n = table["n_cells"].astype("float64")
    blurred = {c["phago_id"] for c in combs if not c["identifiable"] and c["target"] == "bead"}
    raised = set(zip(signal["donor_id"], signal["condition"], strict=True)) if len(signal) else set()
    if len(signal):
        up = signal[signal["raised"]]
        raised = set(zip(up["donor_id"], up["condition"], strict=True))
    arms = pd.Series(zip(table["donor_id"], table["condition"], strict=True), index=table.index, dtype=object)
    marks = {
        "too_few_cells": n < rules.fewest_for_percentage,
        "few_cells": (n >= rules.fewest_for_percentage) & (n < rules.fewest_without_warning),
        "outlying_count": controls.outlying(table),
        "not_gated": table["phago_id"].isin(cells.ungated),
        "threshold_from_control_with_particles": table["threshold_source"].isin([COLD, INHIBITOR])
        & (table["role"] == UPTAKE),
        "threshold_from_other_arm": table["threshold_source"] == "other_arm",
        "no_control": table["threshold_source"] == "none",
        "control_at_other_voltage": table["phago_id"].isin(apart),
        "beads_not_resolved": table["phago_id"].isin(blurred),
        "msc_signal": arms.isin(raised),
    }
    text = [";".join(name for name, hit in marks.items() if bool(hit.iloc[i])) for i in range(len(table))]
    chosen = {i: choice.gates or "none" for i, choice in cells.choices.items()}
    volts = [cells.voltage(i) for i in table["phago_id"]]
    return table.assign(gates=table["phago_id"].map(chosen), voltage=pd.array(volts, dtype="Float64"), qc=text)


# ---- MSC


def _msc_signal(
    wells: pd.DataFrame, known: Mapping[str, Control], cells: Cells, rules: Rules, config: Config
) -> pd.DataFrame:
    """Wells without particles, with MSC against without: what MSC or their debris add to the uptake channel."""
    conditions = {c.code: c for c in config.conditions}
    blanks = wells[wells["phago_id"].isin(known)].to_dict("records")
    alike = _without_particles(blanks, ("donor_id", "visit", "timepoint_h", "target", "minutes", "condition"))
    rows = []
    for one in blanks:
        condition = conditions.get(one["condition"])
        if condition is None or not condition.has_msc or not condition.compare_to:
            continue
        mates = [m["phago_id"] for m in alike({**one, "condition": condition.compare_to})]
        mates = [i for i in mates if cells.share_voltage(i, one["phago_id"])]
        if not mates:
            continue
        reference = known[mates[0]]
        found = cells.uptake(one["phago_id"], (reference.thresholds[rules.quantile],))
        own = known[one["phago_id"]].background
        if found is None or own is None or reference.background is None:
            continue
        expected, pct = 1 - rules.quantile, found.n_positive[0] / found.n_cells
        chance = float(special.bdtrc(found.n_positive[0] - 1, found.n_cells, expected))
        rows.append(
            {
                **{n: one[n] for n in ("donor_id", "condition", "target", "minutes")},
                "reference": condition.compare_to,
                "median": own.centre,
                "median_reference": reference.background.centre,
                "pct_above": 100 * pct,
                "pct_expected": 100 * expected,
                "raised": pct > _CLEARLY_MORE * expected and chance < _LEAST_LIKELY,
            }
        )
    key = output_tables()["msc_signal"]
    return pd.DataFrame(rows, columns=key.columns).drop_duplicates(list(key.primary_key))


def _raised(signal: pd.DataFrame) -> list[Problem]:
    up = signal[signal["raised"].astype(bool)]
    if up.empty:
        return []
    message = "Without particles, macrophages with MSC are brighter in the uptake channel than those without."
    fix = "MSC or their debris feed this channel: trust thresholds of the arm's own control, not a common one."
    found = ", ".join(dict.fromkeys(up["donor_id"]))
    return [Problem("warning", "msc-signal", message, fix, file=TABLE, column="condition", found=found)]
