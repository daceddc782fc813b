"""What can be chosen of the readouts: assays, readouts, comparisons, donors; and which rows a choice means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from helpers.analysis import Analysis
from helpers.stats.labels import name_of, readout_of, times_of
from helpers.stats.response import same
from helpers.study.config import Config
from helpers.widgets.words import NO_REFERENCE, ROLES

_KEYS = ["treatment", "reference", "visit", "timepoint_h", "assay_minutes"]
_TIMES = ["visit", "timepoint_h", "assay_minutes"]


@dataclass(frozen=True)
class Comparison:
    """Arms that are set side by side, and when: columns of ``effects``; no reference where groups are compared."""

    treatment: str
    reference: str
    visit: str
    timepoint_h: float | None
    assay_minutes: float | None

    @property
    def arms(self) -> tuple[str, ...]:
        """Conditions from left to right: the reference, then the treatment, or the doses in their order.

        Examples
        --------
        >>> Comparison("low+high", "am", "V1", 24.0, None).arms
        ('am', 'low', 'high')
        """
        return (*([self.reference] if self.reference else []), *self.treatment.split("+"))

    def label(self, config: Config, visits: bool = False) -> str:
        """The comparison for readers; `visits`: whether the visit must be said."""
        labels = {c.code: c.label for c in config.conditions}
        what = ", ".join(labels.get(arm, arm) for arm in self.treatment.split("+"))
        against = f" against {labels.get(self.reference, self.reference)}" if self.reference else ""
        said = what + against if against else NO_REFERENCE.format(condition=what)
        return said + (f", {self.visit}" if visits and self.visit else "") + times_of(self)


@dataclass(frozen=True)
class Selection:
    """One choice in the explorer.

    Parameters
    ----------
    assay, readout
        As in ``readouts``.
    comparison
        One of `comparisons`.
    donors
        Chosen donors; all where empty.
    scale
        One of `helpers.figures.explore.axis_scales`; the first of them where empty.
    """

    assay: str
    readout: str
    comparison: Comparison
    donors: tuple[str, ...] = ()
    scale: str = ""


def assays(readouts: pd.DataFrame) -> list[str]:
    """Assays that have readouts, in the order of the table."""
    return list(dict.fromkeys(readouts["assay"].astype(str)))


def readouts_of(readouts: pd.DataFrame, config: Config, assay: str) -> list[tuple[str, str]]:
    """Label and name of an assay's readouts: primary ones, then secondary ones, then the others, each by label.

    Parameters
    ----------
    readouts
        The output table ``readouts``.
    config
        study.yaml.
    assay
        Which.
    """
    names = dict.fromkeys(readouts.loc[readouts["assay"] == assay, "readout"].astype(str))
    roles = {name: str(readout_of(config, assay, name).get("role", "")) for name in names}
    labels = {name: name_of(config, assay, name) + ROLES.get(roles[name], "") for name in names}
    order = [*ROLES, ""]
    rank = {name: order.index(role) if role in order else len(order) for name, role in roles.items()}
    return [(labels[n], n) for n in sorted(names, key=lambda n: (rank[n], labels[n].casefold()))]


def comparisons(readouts: pd.DataFrame, effects: pd.DataFrame, assay: str, readout: str) -> list[Comparison]:
    """Comparisons of the plan that a readout has values for, those with a reference first.

    Parameters
    ----------
    readouts, effects
        The output tables.
    assay, readout
        Which.
    """
    own = effects[(effects["assay"] == assay) & (effects["readout"] == readout)]
    found = [_comparison(row) for row in own.drop_duplicates(_KEYS).itertuples()]
    there = [c for c in dict.fromkeys(found) if len(_of_arms(readouts, assay, readout, c))]
    return sorted(there, key=lambda c: (not c.reference, "+" in c.treatment))


def _comparison(row: Any) -> Comparison:
    texts = ["" if pd.isna(v) else str(v) for v in (row.treatment, row.reference, row.visit)]
    hours, minutes = (None if pd.isna(v) else float(v) for v in (row.timepoint_h, row.assay_minutes))
    return Comparison(texts[0], texts[1], texts[2], hours, minutes)


def _of_arms(readouts: pd.DataFrame, assay: str, readout: str, comparison: Comparison) -> pd.DataFrame:
    """Rows of the readout at the comparison's time in every one of its arms; none where an arm has no value."""
    rows = readouts[(readouts["assay"] == assay) & (readouts["readout"] == readout)]
    rows = rows[same(rows, _row(comparison), [c for c in _TIMES if c != "visit" or comparison.visit])]
    rows = rows[rows["condition"].isin(comparison.arms)]
    return rows if set(comparison.arms) <= set(rows["condition"]) else rows.iloc[:0]


def _row(comparison: Comparison) -> Any:
    hours, minutes = (math.nan if v is None else v for v in (comparison.timepoint_h, comparison.assay_minutes))
    frame = pd.DataFrame(
        [(comparison.treatment, comparison.reference, comparison.visit, hours, minutes)], columns=_KEYS
    )
    return next(frame.itertuples())


def rows_of(readouts: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """Rows of ``readouts`` of every donor that a selection means, whichever donors are chosen.

    Parameters
    ----------
    readouts
        The output table ``readouts``.
    selection
        The choice.
    """
    return _of_arms(readouts, selection.assay, selection.readout, selection.comparison).reset_index(drop=True)


def donors_of(readouts: pd.DataFrame, config: Config, selection: Selection) -> list[tuple[str, str]]:
    """Label and code of the donors who have a value, group by group as study.yaml names them."""
    rows = rows_of(readouts, selection)[["donor_id", "group"]].drop_duplicates()
    order = {g.code: i for i, g in enumerate(config.groups)}
    labels = {g.code: g.label for g in config.groups}
    pairs = sorted(rows.itertuples(index=False), key=lambda r: (order.get(r.group, len(order)), r.donor_id))
    return [(f"{r.donor_id}  {labels.get(r.group, r.group)}", str(r.donor_id)) for r in pairs]


def effect_rows(effects: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """Rows of ``effects`` for a readout and comparison: always those of all donors, whichever are chosen.

    Parameters
    ----------
    effects
        The output table ``effects``.
    selection
        The choice.
    """
    own = effects[(effects["assay"] == selection.assay) & (effects["readout"] == selection.readout)]
    return own[same(own, _row(selection.comparison), _KEYS)].reset_index(drop=True)


def first(data: Analysis) -> Selection | None:
    """What is shown first: the first primary readout of the plan, else the first readout that can be compared.

    Parameters
    ----------
    data
        The analysis.
    """
    readouts, effects = data.table("readouts"), data.table("effects")
    there = assays(readouts)
    plan = [(r["assay"], r["name"]) for r in data.config.settings.get("readouts", ()) if r.get("role") == "primary"]
    names = plan + [(a, name) for a in there for _, name in readouts_of(readouts, data.config, a)]
    for assay, name in names:
        found = comparisons(readouts, effects, assay, name)
        if found:
            return Selection(assay, name, found[0])
    return None
