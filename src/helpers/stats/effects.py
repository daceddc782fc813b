"""Every comparison of every readout as one table, with its sensitivity analyses and the pairs that are missing.

Refusals are rows: a comparison that cannot be made stands in the table with its status and a sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from helpers.core.cache import digest_of, digest_of_rows, row_hashes
from helpers.core.schemas import output_tables
from helpers.stats import change, compare, concordance, confounding, multiplicity
from helpers.stats.adjusted import adjusted_gap
from helpers.stats.compare import Comparison
from helpers.stats.coverage import shortfall
from helpers.stats.estimate import NAN, Estimate, NotEstimable, attempted
from helpers.stats.plan import PAIRED, Contrast, Plan, family_of
from helpers.stats.slices import Arms, limits, plain, same_kit, same_unit

ACROSS_GROUPS = ("group_gap", "gap_closed", "interaction")
WITH_MSC = ("msc_effect", "interaction", "gap_closed", "beyond_additive", "trend")
NO_SHARED_RUN = "Disease and control donors share no run: the gap may be the runs'. The estimate is shown without p."
NO_SHARED_CHANGE = (
    "The arms of a donor were run apart, and disease and control donors share no such pair of runs: "
    "the difference may be the runs'. The estimate is shown without p."
)
UNJUDGED = ("gap_closed", "trend")
"""A smallest relevant change is one of the readout; a share is none, and a slope is one a doubling."""
OF_DONORS = ("donor_id", "role", "eligible_all_of", "smoking_status")
"""What of a donor a comparison of one readout depends on."""
FEWEST_MARKED = 0.1
"""Share of a comparison's values below which a flag is left to the table of readouts."""
OTHER_SCALE = {"log2": "identity", "logit": "identity", "identity": ""}


@dataclass(frozen=True)
class Effects:
    """The output tables of the room, by their names."""

    effects: pd.DataFrame
    sensitivity: pd.DataFrame
    missing_pairs: pd.DataFrame
    donor_changes: pd.DataFrame
    responders: pd.DataFrame
    concordance: pd.DataFrame
    confounding: pd.DataFrame


class _Readings:
    """One readout at one time, in every condition and group: as it is, and arm by arm on either scale."""

    def __init__(self, raw: pd.DataFrame, several_lots: str) -> None:
        self.raw, self._several_lots = raw, several_lots
        self._without: dict[frozenset[str], Arms] = {}

    @cached_property
    def _of_each(self) -> tuple[np.ndarray, np.ndarray]:
        condition, group = (self.raw[c].fillna("").to_numpy(dtype=object) for c in ("condition", "group"))
        return condition, group

    def of(self, conditions: AbstractSet[str], groups: AbstractSet[str]) -> pd.DataFrame:
        """Rows of some conditions and groups."""
        condition, group = self._of_each
        mine = np.zeros(len(self.raw), dtype=bool)
        for c, g in product(conditions, groups):
            mine |= (condition == c) & (group == g)
        return self.raw[mine]

    @cached_property
    def arms(self) -> Arms:
        """Arms on the scale of analysis."""
        return Arms(self.raw, self._several_lots)

    @cached_property
    def other_scale(self) -> str:
        """The other scale, empty where there is none."""
        return OTHER_SCALE.get(str(self.raw["scale"].iloc[0]), "")

    @cached_property
    def other_arms(self) -> Arms:
        """Arms on the other scale."""
        return Arms(self.raw.assign(scale=self.other_scale), self._several_lots)

    def without(self, out: frozenset[str]) -> Arms:
        """Arms without the donors `out`, made once for the contrasts that leave the same ones out."""
        if out not in self._without:
            self._without[out] = self.arms.without(out)
        return self._without[out]


@dataclass(frozen=True)
class _Slice:
    """One readout at one time and which contrast is made of it; `raw` are the rows that the contrast names."""

    contrast: Contrast
    readings: _Readings
    raw: pd.DataFrame
    alone: pd.DataFrame
    key: dict[str, Any]
    times: tuple[tuple[float, _Readings], ...] = ()
    """Hours with their readings, for a trend over time."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """Condition codes that the contrast names."""
        named = (self.contrast.reference, *dict(self.contrast.levels), self.contrast.treatment)
        return tuple(c for c in dict.fromkeys(named) if c and not (self.contrast.levels and "+" in c))

    @cached_property
    def parted(self) -> bool:
        """Whether runs part the groups; see `confounded`."""
        return confounded(self.raw, self.contrast)

    @cached_property
    def extent(self) -> tuple[int, float]:
        """Donors of the smallest group, and the share of values that are bounds."""
        if self.raw.empty:
            return 0, 0.0
        groups = dict(zip(self.raw["donor_id"], self.raw["group"], strict=True))
        return min(Counter(groups.values()).values()), float((self.raw["censoring"] != "none").mean())


@dataclass(frozen=True)
class Part:
    """One readout and all on which its comparisons depend.

    Parameters
    ----------
    assay, name
        Of the readout.
    readouts, cell_controls
        Its rows of these tables.
    donors
        Group, eligibility and smoking of its donors.
    plan
        The plan of analysis; of single readouts it knows this one.
    measured
        What was measured at all, as assay and condition.
    """

    assay: str
    name: str
    readouts: pd.DataFrame
    cell_controls: pd.DataFrame
    donors: pd.DataFrame
    plan: Plan
    measured: frozenset[tuple[str, str]]

    @property
    def digest(self) -> str:
        """Of all of it: parts with the same one have the same answers."""
        tables = {"readouts": self.readouts, "cell_controls": self.cell_controls, "donors": self.donors}
        rows = [digest_of_rows(name, table, row_hashes(table)) for name, table in tables.items()]
        return digest_of([self.assay, self.name, repr(self.plan), repr(sorted(self.measured)), *rows])


@dataclass(frozen=True)
class Answer:
    """One comparison of one readout, as far as no other readout is needed for it.

    Parameters
    ----------
    contrast
        Which one of the plan's.
    row
        Its row of ``effects``, without what the family adds.
    values
        What max-T needs; see `Comparison`.
    lines, missing_pairs, responders
        Its rows of these tables.
    changes
        Its rows of ``donor_changes``, without the spread of donors.
    """

    contrast: Contrast
    row: dict[str, Any]
    values: tuple[pd.Series, ...]
    lines: list[dict[str, Any]]
    missing_pairs: list[dict[str, Any]]
    responders: list[dict[str, Any]]
    changes: pd.DataFrame | None


def _one_by_one(parts: Sequence[Part]) -> list[list[Answer]]:
    return [answered(part) for part in parts]


def effects(
    readouts: pd.DataFrame,
    cell_controls: pd.DataFrame,
    donors: pd.DataFrame,
    plan: Plan,
    ask: Callable[[Sequence[Part]], Iterable[list[Answer]]] = _one_by_one,
) -> Effects:
    """Compute every contrast of the plan for every readout.

    Parameters
    ----------
    readouts
        The output table ``readouts``: one row a donor, visit, condition, time, lot and readout.
    cell_controls
        The output table ``cell_controls``: wells without a donor's macrophages.
    donors
        The output table ``donors_derived``; ``eligible_all_of`` serves the eligible-only sensitivity rows.
    plan
        The plan of analysis.
    ask
        What gives the answers to all parts, in their order: `answered` one by one, or whoever remembers or shares it.

    Returns
    -------
    The tables, rows in the order of the plan and of the readouts' names, whatever the order of the rows
    that went in.
    """
    place = {contrast: i for i, contrast in enumerate(plan.contrasts)}
    answers = [one for part in ask(_parts(plain(readouts), plain(cell_controls), donors, plan)) for one in part]
    made = sorted(answers, key=lambda one: place[one.contrast])
    table = pd.DataFrame([one.row for one in made], columns=output_tables()["effects"].columns)
    _adjust(table, made)
    return Effects(
        _typed(table, "effects"),
        _rows((one.lines for one in made), "effects_sensitivity"),
        _rows((one.missing_pairs for one in made), "missing_pairs"),
        _typed(_donor_changes(made), "donor_changes"),
        _rows((one.responders for one in made), "responders"),
        _typed(_concordance(made, donors, plan), "concordance"),
        _typed(_confounding(readouts, donors, plan), "confounding"),
    )


def _rows(parts: Iterable[list[dict[str, Any]]], name: str) -> pd.DataFrame:
    rows = [row for part in parts for row in part]
    return _typed(pd.DataFrame(rows, columns=output_tables()[name].columns), name)


def _typed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    kinds = {"string": "string", "integer": "Int64", "number": "float64"}
    return table.astype({f.name: kinds[f.type] for f in output_tables()[name].fields}).reset_index(drop=True)


# ---- slices


def _parts(readouts: pd.DataFrame, cell_controls: pd.DataFrame, donors: pd.DataFrame, plan: Plan) -> list[Part]:
    """One for each readout, by assay and name; one that study.yaml names and nobody measured has no rows."""
    keys = ["assay", "readout"]
    by_name = {key: part for key, part in readouts.groupby(keys, sort=False)}
    alone = {key: part for key, part in cell_controls.groupby(keys, sort=False)}
    measured = frozenset(zip(readouts["assay"], readouts["condition"], strict=True))
    donors = donors[[c for c in OF_DONORS if c in donors]]
    parts = []
    for key in sorted(by_name.keys() | plan.readouts.keys()):
        (assay, name), rows = key, by_name.get(key, readouts.iloc[:0])
        own = replace(plan, readouts={key: plan.readouts[key]} if key in plan.readouts else {})
        whose = donors[donors["donor_id"].isin(rows["donor_id"])]
        parts.append(Part(assay, name, rows, alone.get(key, cell_controls.iloc[:0]), whose, own, measured))
    return parts


def answered(part: Part) -> list[Answer]:
    """Every comparison of one readout, in the order of the plan and of time.

    Parameters
    ----------
    part
        The readout.
    """
    out = _not_eligible(part.donors)
    return [_answer(one, out, part.donors, part.plan) for one in _slices(part)]


def _answer(one: _Slice, not_eligible: frozenset[str], donors: pd.DataFrame, plan: Plan) -> Answer:
    result, row, beside = _row(one, plan)
    if result is None:
        lines = [_line(one, found) for found in beside]
    else:
        lines = _sensitivity(one, result, not_eligible, donors, plan)
    if one.parted:
        lines = [_without_p(line, one.contrast) for line in lines]
    values = () if result is None else result.values
    missing, responders = _missing_pairs(one), _responders(one, values, plan)
    return Answer(one.contrast, row, values, lines, missing, responders, _changes(one))


def _slices(part: Part) -> Iterator[_Slice]:
    """A readout by contrast and time; a contrast sees only the conditions and groups it names.

    A readout without any row for a contrast gives an empty slice, so that what was planned never vanishes, not even
    a readout that study.yaml names and nobody measured; for the default contrasts only where its assay has measured
    what they treat at all.
    """
    plan, assay, name, nobody = part.plan, part.assay, part.name, part.cell_controls.iloc[:0]
    made: dict[tuple[str, str], list[tuple[float, float, _Readings]]] = {}
    for contrast in plan.contrasts:
        conditions = {contrast.treatment, contrast.reference, *dict(contrast.levels)} - {""}
        wanted = {contrast.group, contrast.control} - {""}
        visit = contrast.visit or plan.visit
        found = False
        if contrast.name == "beyond_additive" and assay != "cytokines":
            continue  # amounts add for what cells secrete, for nothing else
        if plan.compared_by_default and not _due(contrast, assay, part.measured):
            continue
        which = (visit, contrast.msc_lot_id)
        if which not in made:
            made[which] = list(_times(part.readouts, plan, assay, name, *which))
        if contrast.over_time:
            over = list(_over_times(contrast, made[which], nobody, assay, name, visit))
            found = bool(over)
            yield from over
        for hours, minutes, readings in () if contrast.over_time else made[which]:
            if contrast.timepoint_h not in (None, hours):
                continue
            raw = readings.of(conditions, wanted)
            if raw.empty:
                continue
            found = True
            alone = part.cell_controls
            alone = alone[(alone["condition"] == contrast.alone) & (alone["timepoint_h"] == hours)]
            yield _Slice(contrast, readings, raw, alone, _key(contrast, raw, assay, name, visit, hours, minutes))
        if not found:
            nothing = _scaled(part.readouts.iloc[:0], plan, assay, name)
            first = _scaled(part.readouts.iloc[:1], plan, assay, name)
            hours = NAN if contrast.timepoint_h is None else contrast.timepoint_h
            key = _key(contrast, first, assay, name, visit, hours, NAN)
            yield _Slice(contrast, _Readings(nothing, plan.several_lots), nothing, nobody, key)


def _over_times(
    contrast: Contrast,
    readings: list[tuple[float, float, _Readings]],
    alone: pd.DataFrame,
    assay: str,
    name: str,
    visit: str,
) -> Iterator[_Slice]:
    """One slice over all hours of culture, for each time of the assay itself."""
    by_minutes: dict[float, list[tuple[float, _Readings]]] = {}
    for hours, minutes, one in readings:
        by_minutes.setdefault(NAN if pd.isna(minutes) else minutes, []).append((hours, one))
    for minutes, times in by_minutes.items():
        rows = pd.concat([one.raw for _, one in times])
        conditions = [c for c in (contrast.treatment, contrast.reference) if c]
        rows = rows[rows["condition"].isin(conditions) & (rows["group"] == contrast.group)]
        if len(rows):
            key = _key(contrast, rows, assay, name, visit, NAN, minutes)
            yield _Slice(contrast, times[0][1], rows, alone, key, tuple(times))


def _due(contrast: Contrast, assay: str, measured: AbstractSet[tuple[str, str]]) -> bool:
    """Whether an assay has measured what a default contrast treats: its condition, or two of its levels.

    Of an assay that measured nothing at all, the effect of the treatment is due where the plan names a readout.
    """
    if assay not in {a for a, _ in measured}:
        return contrast.name == "msc_effect"
    levels = dict(contrast.levels) or {contrast.treatment: 0.0}
    return sum((assay, c) in measured for c in levels) >= min(len(levels), 2)


def _times(
    part: pd.DataFrame, plan: Plan, assay: str, name: str, visit: str, lot: str
) -> Iterator[tuple[float, float, _Readings]]:
    """Readings of one readout at each time, of one visit and, where one is named, one lot."""
    own = part[part["visit"] == visit]
    if lot:
        own = own[own["msc_lot_id"].fillna("").isin(["", lot])]
    for (hours, minutes), raw in own.groupby(["timepoint_h", "assay_minutes"], dropna=False, sort=True):
        yield hours, minutes, _Readings(_scaled(raw, plan, assay, name), plan.several_lots)


def _scaled(rows: pd.DataFrame, plan: Plan, assay: str, name: str) -> pd.DataFrame:
    """Rows with the scale that the plan gives, where it gives one."""
    scale = plan.readout(assay, name).scale
    return rows.assign(scale=scale) if scale else rows


def _key(
    contrast: Contrast, rows: pd.DataFrame, assay: str, name: str, visit: str, hours: float, minutes: float
) -> dict[str, Any]:
    parts = name.split("|")
    return {
        "contrast_id": contrast.contrast_id,
        "contrast": contrast.name,
        "assay": assay,
        "readout": name,
        "unit": rows["unit"].iloc[0] if len(rows) else "",
        "scale": rows["scale"].iloc[0] if len(rows) else "",
        "analysis_set": "all",
        "visit": visit,
        "group": contrast.groups,
        "treatment": contrast.treatment,
        "reference": contrast.reference,
        "timepoint_h": hours,
        "assay_minutes": minutes,
        "msc_lot_id": contrast.msc_lot_id,
        "cell_population": parts[0] if len(parts) == 3 else "",
    }


# ---- one row


def _compared(one: _Slice, which: Callable[[_Readings], Arms], plan: Plan) -> Comparison:
    """The comparison of a slice; `which` gives the arms that are compared at one time."""
    contrast, of = one.contrast, which(one.readings).of
    if contrast.name in PAIRED:
        pair = (of(contrast.reference, contrast.group), of(contrast.treatment, contrast.group))
        return compare.compare_pairs(*pair, plan.fewest_donors, plan.level)
    if contrast.name == "group_gap":
        two = (of(contrast.treatment, contrast.group), of(contrast.treatment, contrast.control))
        return compare.compare_groups(*two, plan.fewest_donors, plan.level)
    if contrast.name == "interaction":
        four = [of(c, g) for g in (contrast.group, contrast.control) for c in (contrast.reference, contrast.treatment)]
        return compare.compare_changes(four, plan.fewest_donors, plan.level)
    if contrast.name == "gap_closed":
        untreated, treated = of(contrast.reference, contrast.group), of(contrast.treatment, contrast.group)
        control = of(contrast.reference, contrast.control)
        return compare.compare_gap_closed(untreated, treated, control, plan.fewest_donors, plan.level)
    if contrast.over_time:
        arms = [
            [which(r).of(c, contrast.group) for c in (contrast.reference, contrast.treatment)] for _, r in one.times
        ]
        hours = [h for h, _ in one.times]
        return compare.compare_times(list(zip(hours, arms, strict=True)), plan.fewest_donors, plan.level)
    if contrast.name == "trend":
        doses = [(0.0, of(contrast.reference, contrast.group))] + [
            (d, of(c, contrast.group)) for c, d in contrast.levels
        ]
        return compare.compare_doses(doses, plan.fewest_donors, plan.level)
    raw = [
        one.raw[(one.raw["condition"] == c) & (one.raw["group"] == contrast.group)]
        for c in (contrast.treatment, contrast.reference)
    ]
    return compare.compare_with_sum(raw[0], raw[1], one.alone, plan.fewest_donors, plan.level)


def _checked(one: _Slice, plan: Plan) -> Comparison:
    """The comparison of a slice on its own scale, after what no comparison may do without."""
    if one.raw.empty:
        at = "" if pd.isna(one.key["timepoint_h"]) else f" at {one.key['timepoint_h']:g} h"
        where = f"{' or '.join(one.conditions)}, visit {one.key['visit']}{at}"
        raise NotEstimable("no_data", f"No donor of {one.key['group']} has a value in {where}.")
    same_unit(one.raw)
    return attempted(lambda: _compared(one, _as_planned, plan))


def _as_planned(readings: _Readings) -> Arms:
    return readings.arms


def _row(one: _Slice, plan: Plan) -> tuple[Comparison | None, dict[str, Any], tuple[Estimate, ...]]:
    """The comparison, its row, and for a refusal the estimates that stand beside it."""
    known = plan.readout(one.key["assay"], one.key["readout"])
    role = one.contrast.role or known.role
    family, adjustment = family_of(plan, one.contrast, one.key["assay"], one.key["readout"], role)
    row = one.key | {"role": role, "prespecified": plan.prespecified, "family": family, "adjustment": adjustment}
    row |= {"ci_level": plan.level, "relevance": ""}
    try:
        result = _checked(one, plan)
    except NotEstimable as refused:
        row |= _counted(one) | {"status": refused.status, "note": str(refused), "ratio_kind": "none"}
        return None, row, refused.beside
    if role == "primary" and len(one.raw):
        result = replace(result, left_out=result.left_out or result.refitted())
    found, tally = result.primary, result.tally
    row |= {
        "n_donors": tally.n_donors,
        "n_pairs": tally.n_pairs,
        "n_cultures": tally.n_cultures,
        "n_censored": tally.n_censored,
    }
    row |= {"estimate": found.estimate, "ci_low": found.low, "ci_high": found.high, "method": found.method}
    row |= {"statistic": found.statistic, "df": found.df, "p": found.p, "note": found.note}
    row |= _open_ends(row)
    found = replace(found, estimate=row["estimate"], low=row["ci_low"], high=row["ci_high"])
    row |= _ratio(found, result.ratio_kind or {"log2": "fold", "logit": "odds"}.get(one.key["scale"], "none"))
    if result.size is not None:
        size = result.size
        row |= {"effect_size": size.estimate, "effect_size_low": size.low, "effect_size_high": size.high}
        row["effect_size_name"] = size.method
    if ends := result.ends:
        row |= dict(zip(("loo_low", "loo_high"), ends, strict=True))
    few = np.isnan(found.p) and one.contrast.name != "gap_closed"
    row["status"] = "too_few_donors" if few else "ok"
    if known.smallest_relevant_change is not None and one.contrast.name not in UNJUDGED and not result.ratio_kind:
        row["relevance"] = relevance(found, plan.alpha, known.smallest_relevant_change)
    if one.parted:
        row = _without_p(row, one.contrast) | {"status": "confounded_with_run", "relevance": ""}
    row["note"] = " ".join(filter(None, [row["note"], _approximate(one, found), _lot(one), marks(one.raw)]))
    return result, row, ()


def _lot(one: _Slice) -> str:
    """With one MSC lot, that the result applies to it; empty otherwise."""
    if one.contrast.name not in WITH_MSC:
        return ""
    lots = {str(lot) for lot in set(one.raw["msc_lot_id"]) if not pd.isna(lot)} - {""}
    if len(lots) != 1:
        return ""
    return f"One MSC lot, {lots.pop()}: applies to this lot."


def marks(rows: pd.DataFrame) -> str:
    """Which flags at least a tenth of a comparison's values carry, as a sentence; empty where none is.

    Examples
    --------
    >>> marks(pd.DataFrame({"qc": ["high_cv", "high_cv;low_beads", None]}))
    'Marked: high cv (2 of 3 values), low beads (1 of 3 values).'
    """
    cells = (cell for cell in rows["qc"] if isinstance(cell, str))
    counts = Counter(flag for cell in cells for flag in cell.split(";") if flag)
    often = {flag: n for flag, n in counts.items() if n >= FEWEST_MARKED * len(rows)}
    if not often:
        return ""
    return "Marked: " + ", ".join(f"{f.replace('_', ' ')} ({n} of {len(rows)} values)" for f, n in often.items()) + "."


def _open_ends(row: dict[str, Any]) -> dict[str, Any]:
    """Infinite numbers are empty in the table, and the note says that the side is open."""
    endless = [k for k in ("estimate", "ci_low", "ci_high") if np.isinf(row[k])]
    if not endless:
        return {}
    return {k: np.nan for k in endless} | {"note": f"{row['note']} Without a finite {', '.join(endless)}.".strip()}


def _counted(one: _Slice) -> dict[str, Any]:
    """How many donors, pairs, cultures and bounds a refused comparison has."""
    rows = one.raw
    arms = Counter(donor for donor, _ in set(zip(rows["donor_id"], rows["condition"], strict=True)))
    paired = None if one.contrast.name == "group_gap" else sum(n > 1 for n in arms.values())
    bounded = int((rows["censoring"] != "none").sum())
    return {
        "n_donors": len(arms),
        "n_pairs": paired,
        "n_cultures": int(rows["n_cultures"].sum()),
        "n_censored": bounded,
    }


def confounded(rows: pd.DataFrame, contrast: Contrast) -> bool:
    """Whether runs part the groups of a comparison; unknown runs part nothing.

    A gap is parted where disease and control donors stand in no run together. A difference of changes is not
    where both arms of each donor stand in one run, since that run cancels; where they stand apart, the groups
    must share a pair of runs.

    Examples
    --------
    >>> two = pd.DataFrame({"donor_id": ["P1", "C1"], "group": ["a", "b"], "condition": "am", "run_id": ["1", "2"]})
    >>> confounded(two, Contrast("group_gap", "am", "", "a", "b"))
    True
    """
    if contrast.name not in ACROSS_GROUPS or rows["run_id"].isna().all():
        return False
    known = rows["run_id"].notna().to_numpy(dtype=bool)
    columns = (rows[c].to_numpy(dtype=object)[known] for c in ("donor_id", "group", "condition", "run_id"))
    runs: dict[str, set[tuple[str, str, str]]] = {contrast.group: set(), contrast.control: set()}
    for donor, group, condition, run in zip(*columns, strict=True):
        if group in runs:
            runs[group].add((donor, condition, str(run)))
    if contrast.name == "interaction":
        one, other = (_pairs(seen, contrast.reference, contrast.treatment) for seen in runs.values())
    else:
        one, other = ({run for _, _, run in seen} for seen in runs.values())
    return bool(one and other) and not one & other


def _pairs(runs: set[tuple[str, str, str]], reference: str, treatment: str) -> set[str]:
    """Pairs of runs of donors' arms, one empty word for all that are one run."""
    treated: dict[str, list[str]] = {}
    for donor, condition, run in runs:
        if condition == treatment:
            treated.setdefault(donor, []).append(run)
    both = ((a, b) for donor, condition, a in runs if condition == reference for b in treated.get(donor, ()))
    return {"" if a == b else f"{a}\n{b}" for a, b in both}


def _without_p(line: dict[str, Any], contrast: Contrast) -> dict[str, Any]:
    why = NO_SHARED_CHANGE if contrast.name == "interaction" else NO_SHARED_RUN
    return line | {"p": np.nan, "note": f"{line['note']} {why}".strip()}


def _ratio(found: Estimate, kind: str) -> dict[str, Any]:
    base = {"fold": 2.0, "odds": float(np.e)}.get(kind)
    if base is None:
        return {"ratio_kind": "none"}
    with np.errstate(over="ignore"):
        ratio, low, high = (float(np.power(base, v)) for v in (found.estimate, found.low, found.high))
    return {"ratio_kind": kind, "ratio": ratio, "ratio_low": low, "ratio_high": high}


def relevance(found: Estimate, alpha: float, smallest: float) -> str:
    """Relevant, negligible or inconclusive against the smallest relevant change.

    Relevant where the whole interval lies beyond it on one side; negligible where two one-sided t tests of
    level alpha place the effect within it (Schuirmann 1987); else inconclusive.

    Examples
    --------
    >>> relevance(Estimate(1.0, 0.6, 1.4, "t", 5.0, 12, 0.001), 0.05, 0.5)
    'relevant'
    >>> relevance(Estimate(0.1, -0.1, 0.3, "t", 1.1, 12, 0.3), 0.05, 0.5)
    'negligible'
    """
    if not np.isfinite([found.low, found.high]).all():
        return "inconclusive"
    if found.low > smallest or found.high < -smallest:
        return "relevant"
    if np.isfinite(found.statistic) and found.statistic and np.isfinite(found.df):
        from scipy import stats

        se = abs(found.estimate / found.statistic)
        half = float(stats.t.ppf(1 - alpha, found.df)) * se
        return "negligible" if abs(found.estimate) + half < smallest else "inconclusive"
    return "negligible" if max(abs(found.low), abs(found.high)) < smallest else "inconclusive"


# ---- families


def _adjust(table: pd.DataFrame, made: list[Answer]) -> None:
    """Fill family_size, p_adjusted and p_maxt, family by family."""
    for _, rows in table.groupby("family", sort=False):
        p = rows["p"].astype("float64").to_numpy()
        how = {"holm": multiplicity.holm, "bh": multiplicity.benjamini_hochberg}.get(rows["adjustment"].iloc[0])
        table.loc[rows.index, "family_size"] = int(np.isfinite(p).sum())
        table.loc[rows.index, "p_adjusted"] = p if how is None else how(p)
        known = set(rows.index[np.isfinite(p)])
        usable = [i for i in rows.index if made[i].values and i in known]
        if usable and len({made[i].contrast.contrast_id for i in usable}) == 1:
            table.loc[usable, "p_maxt"] = _max_t([made[i].values for i in usable])


def _max_t(values: list[tuple[pd.Series, ...]]) -> np.ndarray:
    """Max-T over the readouts of one comparison: pairs by sign vectors, groups by labels of donors."""
    wide = [pd.concat(side, axis=1).sort_index() for side in zip(*values, strict=True)]
    if len(wide) == 1:
        return multiplicity.max_t_paired(wide[0].to_numpy(dtype="float64"))
    return multiplicity.max_t_groups(*(w.to_numpy(dtype="float64") for w in wide))


# ---- companions


def _sensitivity(
    one: _Slice, result: Comparison, not_eligible: frozenset[str], donors: pd.DataFrame, plan: Plan
) -> list[dict[str, Any]]:
    rows = [_line(one, found) for found in result.more()]
    if ends := result.ends:
        known = {d: v for d, v in result.left_out.items() if not np.isnan(v)}
        most = max(known, key=lambda d: abs(known[d] - result.primary.estimate))
        note = f"Range of the estimate when one donor is left out; {most} moves it most. {moves(result.primary, ends)}"
        if lost := len(result.left_out) - len(known):
            note += f" Without any one of {lost} donors there is no estimate."
        rows.append(_line(one, Estimate(result.primary.estimate, *ends, "leave one donor out", note=note)))
    for label, other, which, key in _otherwise(one, not_eligible):
        try:
            again = attempted(lambda other=other, which=which: _compared(other, which, plan)).primary  # type: ignore[misc]
        except NotEstimable:
            continue
        rows.append(_line(other, replace(again, method=f"{again.method}, {label}")) | key)
    return rows + [_line(one, found) for found in _by_smoking(one, donors, plan)]


def _otherwise(
    one: _Slice, not_eligible: frozenset[str]
) -> Iterator[tuple[str, _Slice, Callable[[_Readings], Arms], dict[str, str]]]:
    """The same comparison of eligible donors and on the other scale, where that is another question.

    Amounts that are added have one scale: what is more than their sum is not told on another.
    """
    out = not_eligible & frozenset(one.raw["donor_id"])
    if out:
        rows = replace(one, raw=one.raw[~one.raw["donor_id"].isin(out)])
        yield "eligible donors only", rows, lambda readings: readings.without(out), {"analysis_set": "eligible"}
    bounded = (one.raw["censoring"] != "none").any()
    if one.readings.other_scale and not bounded and one.contrast.name != "beyond_additive":
        yield "other scale", one, lambda readings: readings.other_arms, {"scale": one.readings.other_scale}


def moves(primary: Estimate, ends: tuple[float, float]) -> str:
    """A sentence on whether the sign holds; never on p.

    Examples
    --------
    >>> moves(Estimate(1.0, 0.5, 1.5, ""), (0.8, 1.2))
    'The sign does not depend on any one donor.'
    """
    same = np.sign(ends[0]) == np.sign(ends[1]) == np.sign(primary.estimate)
    return "The sign does not depend on any one donor." if same else "The sign depends on one donor."


def _approximate(one: _Slice, found: Estimate) -> str:
    """Whether the interval covers less than it says; nothing where there is none."""
    return "" if np.isnan(found.low) and np.isnan(found.high) else shortfall(found.method, *one.extent)


def _line(one: _Slice, found: Estimate) -> dict[str, Any]:
    line = one.key | {"method": found.method, "estimate": found.estimate, "ci_low": found.low, "ci_high": found.high}
    note = " ".join(filter(None, [found.note, _approximate(one, found)]))
    line |= {"statistic": found.statistic, "df": found.df, "p": found.p, "note": note}
    return line | _open_ends(line)


def _not_eligible(donors: pd.DataFrame) -> frozenset[str]:
    """Disease donors that do not meet the criteria under all-of."""
    if "eligible_all_of" not in donors:
        return frozenset()
    return frozenset(donors.loc[(donors["eligible_all_of"] != "eligible") & (donors["role"] == "disease"), "donor_id"])


def _by_smoking(one: _Slice, donors: pd.DataFrame, plan: Plan) -> list[Estimate]:
    """The gap with a term for having smoked, where both groups hold both kinds of donors."""
    if one.contrast.name != "group_gap" or "smoking_status" not in donors:
        return []
    status = donors.set_index("donor_id")["smoking_status"]
    arms = [
        one.readings.arms.of(one.contrast.treatment, g).assign(group=g)
        for g in (one.contrast.group, one.contrast.control)
    ]
    rows = pd.concat(arms).reset_index()
    rows = rows.assign(smoked=rows["donor_id"].map(status).map({"never": 0.0, "ex": 1.0, "current": 1.0}))
    rows = rows[rows["smoked"].notna()]
    try:
        found = attempted(
            lambda: adjusted_gap(*limits(rows), rows["group"] == one.contrast.group, rows["smoked"], plan.level)
        )
    except NotEstimable:
        return []
    smallest = min(Counter(rows["group"]).values())
    if smallest < plan.fewest_donors:
        few = f"A group has {smallest} donors, fewer than {plan.fewest_donors}: an estimate without p."
        found = replace(found, p=NAN, note=f"{found.note} {few}".strip())
    return [replace(found, method=f"gap adjusted for having smoked, {found.method}")]


def _missing_pairs(one: _Slice) -> list[dict[str, Any]]:
    """Donors with one arm of a paired comparison, and the value they have (bounds have none)."""
    if one.contrast.name not in PAIRED:
        return []
    kept = ("contrast_id", "contrast", "assay", "readout", "timepoint_h", "assay_minutes")
    lines: list[dict[str, Any]] = []
    names = (one.contrast.reference, one.contrast.treatment)
    values = {c: _known_values(one, c) for c in names}
    for missing, other in (names, names[::-1]):
        if missing not in values:
            continue  # nobody was measured in that arm: not a lost pair, a condition this assay did not have
        for donor in values[other].index.difference(values[missing].index):
            found = {"donor_id": donor, "group": one.contrast.group, "missing": missing}
            lines.append({k: one.key[k] for k in kept} | found | {"value": values[other][donor]})
    return lines


def _known_values(one: _Slice, condition: str) -> pd.Series:
    """Values of one arm of a paired comparison by donor; those of an arm that is refused are not known."""
    try:
        return one.readings.arms.of(condition, one.contrast.group)["value"]
    except NotEstimable:
        return pd.Series(np.nan, sorted(set(one.raw.loc[one.raw["condition"] == condition, "donor_id"])))


def _changes(one: _Slice) -> pd.DataFrame | None:
    """Each donor's change in a paired comparison, by the arms that it is made of; None where they are not compared."""
    if one.contrast.name not in PAIRED or one.raw.empty:
        return None
    try:
        same_unit(one.raw)
        arms = [one.readings.arms.of(c, one.contrast.group) for c in (one.contrast.reference, one.contrast.treatment)]
        same_kit(*arms)
    except NotEstimable:
        return None
    return change.donor_changes(*arms)


def _donor_changes(made: list[Answer]) -> pd.DataFrame:
    """The changes of all paired comparisons, beside each the spread of donors."""
    columns, parts, keys = output_tables()["donor_changes"].columns, [], []
    for one in made:
        if one.changes is not None and len(one.changes):
            parts.append(one.changes)
            keys.append({k: v for k, v in one.row.items() if k in columns and k not in one.changes})
    if not parts:
        return pd.DataFrame(columns=columns)
    repeated = pd.DataFrame(keys).loc[np.repeat(np.arange(len(parts)), [len(p) for p in parts])]
    table = pd.concat([pd.concat(parts, ignore_index=True), repeated.reset_index(drop=True)], axis=1)
    table = table.reindex(columns=columns)
    comparison = ["assay", "readout", "visit", "treatment", "reference", "timepoint_h", "assay_minutes"]
    return table.assign(sd_donors=change.pooled_sd(table, comparison))


def _responders(one: _Slice, values: tuple[pd.Series, ...], plan: Plan) -> list[dict[str, Any]]:
    """Responders of a paired comparison whose cultures are independent enough to know measurement error."""
    if one.contrast.name not in PAIRED or len(values) != 1:
        return []
    keys = {k: one.key[k] for k in ("contrast_id", "contrast", "assay", "readout", "timepoint_h", "assay_minutes")}
    try:
        smallest = change.smallest_detectable_change(one.raw["sd_culture"], one.raw["n_cultures"])
    except NotEstimable as refused:
        return [{**keys, "note": str(refused)}]
    found = change.responders(values[0], smallest, plan.level)
    found = found.assign(**keys, smallest_detectable_change=smallest, note="")
    return [dict(zip(found, row, strict=True)) for row in found.itertuples(index=False)]


def _columns(parts: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame([row for part in parts for row in part.to_dict("records")], columns=columns)


def _concordance(made: list[Answer], donors: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Rank correlations of the treatment's changes over all assays, group by group and time by time.

    Clinical covariates stand beside the changes; no two of them are correlated with each other.
    """
    by_contrast: dict[str, dict[str, pd.Series]] = {}
    directions: dict[str, str] = {}
    for one in made:
        if one.contrast.name == "msc_effect" and len(one.values) == 1:
            name = _at(one.row)
            by_contrast.setdefault(one.contrast.contrast_id, {})[name] = one.values[0]
            directions[name] = plan.readout(one.row["assay"], one.row["readout"]).direction
    parts = []
    established = _established(made)
    for contrast_id, series in by_contrast.items():
        matrix, _ = concordance.aligned(pd.DataFrame(series), directions)
        if matrix.columns.empty:
            continue
        clinical = concordance.covariates(donors, matrix.index)
        found = concordance.concordance(matrix.join(clinical), plan.level)
        found = found[~found["first"].isin(clinical.columns)]
        turned = {n: established.get(n, "") == directions[n] for n in matrix.columns}
        found["note"] = [concordance.said(a, b, turned) for a, b in zip(found["first"], found["second"], strict=True)]
        parts.append(found.assign(contrast_id=contrast_id))
    return _columns(parts, output_tables()["concordance"].columns)


def _at(row: dict[str, Any]) -> str:
    """A readout with its time, as concordance names it."""
    minutes = "" if pd.isna(row["assay_minutes"]) else f" {row['assay_minutes']:g} min"
    return f"{row['assay']} {row['readout']} {row['timepoint_h']:g} h{minutes}"


def _established(made: list[Answer]) -> dict[str, str]:
    """Direction toward the controls of each readout whose gap has an interval that leaves zero out."""
    found = {}
    for row in (one.row for one in made if one.contrast.name == "group_gap"):
        if row["status"] == "ok" and (row["ci_low"] > 0 or row["ci_high"] < 0):
            found[_at(row)] = "down" if row["ci_low"] > 0 else "up"
    return found


def _confounding(readouts: pd.DataFrame, donors: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Group against group, and within each group the conditions of a paired contrast."""
    pairs = dict.fromkeys((c.group, c.control) for c in plan.contrasts if c.control)
    parts = [confounding.confounding(readouts, donors, d, c).assign(disease=d, control=c) for d, c in pairs]
    for contrast in plan.contrasts:
        if contrast.name in PAIRED:
            found = confounding.of_conditions(readouts, contrast.group, contrast.treatment, contrast.reference)
            names = [f"{contrast.group} {c}" for c in (contrast.treatment, contrast.reference)]
            parts.append(found.assign(disease=names[0], control=names[1]))
    columns = output_tables()["confounding"].columns
    return _columns([p for p in parts if len(p)], columns).drop_duplicates(["disease", "control", "assay", "factor"])
