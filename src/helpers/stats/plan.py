"""The plan of analysis: which comparisons, which families, what is fixed beforehand; defaults where study.yaml is silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from helpers.study.config import Condition, Config

PAIRED = ("msc_effect", "positive_control")
TWO_GROUPS = ("group_gap",)


@dataclass(frozen=True)
class Contrast:
    """One comparison, of every readout it applies to.

    Parameters
    ----------
    name
        msc_effect, positive_control, group_gap, interaction, gap_closed, ….
    treatment, reference
        Condition codes; a gap has its one condition as treatment.
    group
        Disease group, or the one group of a paired contrast.
    control
        Control group of a gap, an interaction or a share of a gap; empty for a paired contrast.
    timepoint_h, visit, msc_lot_id
        Slice, None or empty where every one is compared by itself.
    role
        primary, secondary or exploratory; empty leaves it to the readout.
    alone
        Condition with MSC alone, for ``beyond_additive``.
    levels
        Condition codes with their dose, for ``trend``; the reference is dose 0.
    over_time
        Whether a ``trend`` goes over the hours of culture: of the treatment's change, or of the treatment where there
        is no reference.
    """

    name: str
    treatment: str
    reference: str
    group: str
    control: str = ""
    timepoint_h: float | None = None
    visit: str = ""
    msc_lot_id: str = ""
    role: str = ""
    alone: str = ""
    levels: tuple[tuple[str, float], ...] = ()
    over_time: bool = False

    @property
    def contrast_id(self) -> str:
        """Code that names the comparison, without time.

        Examples
        --------
        >>> Contrast("msc_effect", "am_msc", "am", "apap").contrast_id
        'msc_effect:am_msc:am:apap'
        """
        slice_of = (self.visit, self.msc_lot_id, "time" if self.over_time else "")
        parts = (self.name, self.treatment, self.reference, self.group, self.control, *slice_of)
        return ":".join(p for p in parts if p)

    @property
    def groups(self) -> str:
        """The group as printed: for two groups disease − control."""
        return f"{self.group} \N{MINUS SIGN} {self.control}" if self.control else self.group


@dataclass(frozen=True)
class Readout:
    """What the plan says of one readout."""

    name: str
    assay: str
    scale: str = ""
    role: str = "exploratory"
    direction: str = "none"
    smallest_relevant_change: float | None = None


@dataclass(frozen=True)
class Family:
    """Tests that are adjusted together; empty readouts or contrasts mean all."""

    name: str
    readouts: tuple[str, ...]
    contrasts: tuple[str, ...]
    adjustment: str


@dataclass(frozen=True)
class Plan:
    """Everything the comparisons need to know of study.yaml.

    Parameters
    ----------
    contrasts, families
        In order; without families each assay, comparison and role is one.
    readouts
        What is known of single readouts, by assay and name.
    alpha
        Level of tests; intervals have level 1 − alpha.
    fewest_donors
        Donors or pairs below which no p is given.
    visit, several_lots
        Which visit counts where a contrast names none; refuse or mean for a donor with several MSC lots.
    prespecified
        plan, declared or no.
    compared_by_default
        Whether the contrasts are the defaults.
    """

    contrasts: tuple[Contrast, ...]
    families: tuple[Family, ...]
    readouts: Mapping[tuple[str, str], Readout]
    alpha: float = 0.05
    fewest_donors: int = 5
    visit: str = "V1"
    several_lots: str = "refuse"
    prespecified: str = "no"
    compared_by_default: bool = True

    @property
    def level(self) -> float:
        """Level of intervals."""
        return 1 - self.alpha

    def readout(self, assay: str, name: str) -> Readout:
        """What the plan says of a readout; the defaults where it says nothing."""
        return self.readouts.get((assay, name), Readout(name, assay))

    @classmethod
    def from_config(cls, config: Config) -> Plan:
        """The plan of a study.

        Examples
        --------
        >>> config = Config.from_settings({"id": "x", "title": "x",
        ...     "groups": [{"code": "apap", "label": "aPAP", "role": "disease"}],
        ...     "conditions": [{"code": "am", "label": "AM", "cells": "am", "role": "reference"},
        ...         {"code": "am_msc", "label": "AM + MSC", "cells": "am_msc", "role": "treatment", "compare_to": "am"}]})
        >>> [c.contrast_id for c in Plan.from_config(config).contrasts]
        ['msc_effect:am_msc:am:apap']
        """
        settings = config.settings
        named = [_named(c, config) for c in settings.get("contrasts", ())]
        slices = settings.get("slices", {})
        return cls(
            contrasts=tuple(c for group in named for c in group) if named else tuple(default_contrasts(config)),
            families=tuple(
                Family(
                    f["name"], tuple(f.get("readouts", ())), tuple(f.get("contrasts", ())), f.get("adjustment", "holm")
                )
                for f in settings.get("families", ())
            ),
            readouts={(r["assay"], r["name"]): _readout(r) for r in settings.get("readouts", ())},
            alpha=float(settings.get("alpha", 0.05)),
            fewest_donors=int(settings.get("minimums", {}).get("donors_p", 5)),
            visit=slices.get("visit", "V1"),
            several_lots=slices.get("several_lots", "refuse"),
            prespecified=prespecified(settings),
            compared_by_default=not named,
        )


def _readout(raw: Mapping[str, Any]) -> Readout:
    return Readout(
        raw["name"],
        raw["assay"],
        raw.get("scale", ""),
        raw.get("role", "exploratory"),
        raw.get("direction_toward_health", "none"),
        raw.get("smallest_relevant_change"),
    )


def prespecified(settings: Mapping[str, Any]) -> str:
    """``plan`` where a hashed, deposited plan is older than the first unblinding, ``declared`` where roles are only stated.

    Examples
    --------
    >>> prespecified({"plan": {"date": "2022-01-31", "url": "u", "sha256": "h"}, "first_unblinding_date": "2023-01-31"})
    'plan'
    """
    plan, first = settings.get("plan") or {}, settings.get("first_unblinding_date")
    complete = all(plan.get(k) for k in ("date", "url", "sha256"))
    if complete and first and str(plan["date"]) < str(first):
        return "plan"
    stated = any(r.get("role") in ("primary", "secondary") for r in settings.get("readouts", ()))
    return "declared" if stated or settings.get("contrasts") else "no"


def default_contrasts(config: Config) -> list[Contrast]:
    """Every treatment with its `compare_to` in each group, the groups in each reference, and what follows from both."""
    sick, well = config.groups_of("disease"), config.groups_of("control")
    out: list[Contrast] = []
    treatments = [c for c in config.conditions if c.role == "treatment" and c.compare_to]
    for condition in treatments:
        out += [Contrast("msc_effect", condition.code, condition.compare_to, g) for g in [*sick, *well]]
    for condition in config.conditions:
        if condition.role == "reference":
            out += [Contrast("group_gap", condition.code, "", d, c) for d in sick for c in well]
    for kind in ("interaction", "gap_closed"):
        for condition in treatments:
            out += [Contrast(kind, condition.code, condition.compare_to, d, c) for d in sick for c in well]
    for condition in config.conditions:
        if condition.role == "positive_control" and condition.compare_to:
            out += [Contrast("positive_control", condition.code, condition.compare_to, g) for g in [*sick, *well]]
    for condition in treatments:
        if alone := _msc_alone(config, condition):
            out += [
                Contrast("beyond_additive", condition.code, condition.compare_to, g, alone=alone)
                for g in [*sick, *well]
            ]
    for levels in _series(treatments):
        codes, reference = "+".join(code for code, _ in levels), config.condition(levels[0][0]).compare_to
        out += [Contrast("trend", codes, reference, g, levels=levels) for g in [*sick, *well]]
    return out


def _msc_alone(config: Config, treatment: Condition) -> str:
    """The MSC-alone condition with the stimulus of a co-culture, empty where there is none."""
    if treatment.cells != "am_msc":
        return ""
    alone = (c.code for c in config.conditions if c.role == "msc_alone" and c.stimulus == treatment.stimulus)
    return next(alone, "")


def _series(treatments: Sequence[Condition]) -> list[tuple[tuple[str, float], ...]]:
    """Treatments that differ in dose alone, or in MSC per macrophage alone, each with at least two doses."""
    kinds: dict[tuple[object, ...], dict[str, float]] = {}
    for c in treatments:
        what = (c.cells, c.format, c.stimulus, c.compare_to)
        if c.dose:
            kinds.setdefault(("dose", *what, c.msc_am_ratio), {})[c.code] = c.dose
        if c.msc_am_ratio:
            kinds.setdefault(("ratio", *what, c.dose), {})[c.code] = c.msc_am_ratio
    return [
        tuple(sorted(doses.items(), key=lambda item: item[1]))
        for doses in kinds.values()
        if len(set(doses.values())) > 1
    ]


def _named(raw: Mapping[str, Any], config: Config) -> list[Contrast]:
    """A contrast of study.yaml, in each group where it names none."""
    conditions: dict[str, Condition] = {c.code: c for c in config.conditions}
    treatment = raw.get("treatment", "")
    own = conditions.get(treatment)
    reference = raw.get("reference") or (own.compare_to if own and raw["name"] != "group_gap" else "")
    base = Contrast(
        raw["name"],
        treatment,
        reference,
        "",
        timepoint_h=raw.get("timepoint_h"),
        visit=raw.get("visit", ""),
        msc_lot_id=raw.get("msc_lot_id", ""),
        role=raw.get("role", ""),
    )
    sick, well = config.groups_of("disease"), config.groups_of("control")
    group: str = raw.get("group", "")
    if raw["name"] == "beyond_additive" and own:
        base = replace(base, alone=_msc_alone(config, own))
    if raw["name"] == "trend" and raw.get("over") == "time":
        base = replace(base, over_time=True)
    elif raw["name"] == "trend":
        series = (s for s in _series([c for c in config.conditions if c.compare_to]) if treatment in dict(s))
        levels = next(series, ())
        base = replace(base, levels=levels, treatment="+".join(code for code, _ in levels) or treatment)
    if raw["name"] in (*PAIRED, "beyond_additive", "trend"):
        return [replace(base, group=g) for g in ([group] if group else [*sick, *well])]
    return [replace(base, group=d, control=c) for d in ([group] if group in sick else sick) for c in well]


def family_of(plan: Plan, contrast: Contrast, assay: str, readout: str, role: str) -> tuple[str, str]:
    """Name and adjustment of the family of a test: as the plan groups them, else one for assay, comparison and role.

    Returns
    -------
    Name and ``holm``, ``bh`` or ``none``. Primary families default to Holm, all others to Benjamini–Hochberg.
    """
    for family in plan.families:
        if _holds(family.readouts, readout) and _holds(family.contrasts, contrast.name, contrast.contrast_id):
            return family.name, family.adjustment
    return f"{assay} {contrast.contrast_id} {role}", "holm" if role == "primary" else "bh"


def _holds(names: Sequence[str], *values: str) -> bool:
    return not names or any(v in names for v in values)
